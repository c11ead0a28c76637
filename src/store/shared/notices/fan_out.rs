//! From the outbox to the endpoints.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{Conn, held, know, notices_sql, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{FannedOut, NewDispatch};

/// An endpoint and what makes two dispatches of it about the same.
type Key = (String, String);

/// Makes dispatches of those that are still in the outbox.
pub(in super::super) async fn fan_out(
    conn: &mut Conn,
    rows: &[FannedOut],
    now: Timestamp,
) -> Result<u64, Fault> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let taken: Vec<(i64, i64)> = sqlx::query_as(notices_sql::OUTBOX_TAKE)
        .bind(serde_json::to_string(&ids)?)
        .fetch_all(&mut *conn)
        .await?;
    let taken: HashMap<i64, i64> = taken.into_iter().collect();
    // In the order of their sequence: of two about the same the later is the newer.
    let mut mine: Vec<&FannedOut> = rows
        .iter()
        .filter(|row| taken.contains_key(&row.id) && row.kept.is_some() && !row.dispatches.is_empty())
        .collect();
    mine.sort_by_key(|row| row.id);
    mine.dedup_by_key(|row| row.id);
    if mine.is_empty() {
        return Ok(0);
    }
    let mut all: Vec<(i64, &NewDispatch)> = Vec::new();
    for row in &mine {
        all.extend(row.dispatches.iter().map(|new| (row.id, new)));
    }
    let names: BTreeSet<&str> = all.iter().map(|(_, new)| new.endpoint.as_str()).collect();
    know(conn, &names.into_iter().collect::<Vec<_>>()).await?;
    // All that are changed here at once: they are held in the order of their names.
    let unclear: BTreeSet<&str> = endpoints_of(&all, |new| new.problem.is_some());
    let mut changed = endpoints_of(&all, |new| key(new).is_some());
    changed.extend(&unclear);
    held(conn, &changed.into_iter().collect::<Vec<_>>()).await?;
    let newest = replace(conn, &all, now).await?;
    if !unclear.is_empty() {
        sqlx::query(concat!(
            "UPDATE endpoints SET given_up_at = $2 WHERE name ",
            sql::in_texts!("$1")
        ))
        .bind(serde_json::to_string(&unclear)?)
        .bind(now.millis())
        .execute(&mut *conn)
        .await?;
    }
    keep(conn, &mine, &taken).await?;

    let mut made = Vec::new();
    for row in &mine {
        let (Some(kept), Some(created_at)) = (&row.kept, taken.get(&row.id)) else {
            continue;
        };
        for new in &row.dispatches {
            let state = match key(new) {
                _ if new.problem.is_some() => "problem",
                Some(key) if newest.get(&key) != Some(&row.id) => "replaced",
                _ => "waiting",
            };
            made.push(json!([
                row.id,
                clean(&new.endpoint),
                clean(&kept.event),
                state,
                new.priority.min(2),
                new.object_key.as_deref().map(clean),
                new.due_at,
                new.problem.as_deref().map(clean),
                created_at,
                (state != "waiting").then_some(now),
            ]));
        }
    }
    sqlx::query(notices_sql::DISPATCHES_ADD)
        .bind(serde_json::to_string(&made)?)
        .execute(conn)
        .await?;
    Ok(u64::try_from(made.len()).unwrap_or(u64::MAX))
}

/// The endpoints of those that are like this.
fn endpoints_of<'a>(
    all: &[(i64, &'a NewDispatch)],
    is_such: impl Fn(&NewDispatch) -> bool,
) -> BTreeSet<&'a str> {
    all.iter()
        .filter(|(_, new)| is_such(new))
        .map(|(_, new)| new.endpoint.as_str())
        .collect()
}

fn key(new: &NewDispatch) -> Option<Key> {
    match (&new.object_key, &new.problem) {
        (Some(key), None) => Some((clean(&new.endpoint), clean(key))),
        _ => None,
    }
}

/// Replaces what waits by what is newer; the endpoints are held. Returns the newest notification of each key.
async fn replace(
    conn: &mut Conn,
    all: &[(i64, &NewDispatch)],
    now: Timestamp,
) -> Result<HashMap<Key, i64>, Fault> {
    // The rows come in their order: the last one of a key is the newest.
    let mut newest: HashMap<Key, i64> = all
        .iter()
        .filter_map(|(id, new)| key(new).map(|key| (key, *id)))
        .collect();
    if newest.is_empty() {
        return Ok(newest);
    }
    let mut keys: Vec<&Key> = newest.keys().collect();
    keys.sort();
    let waiting: Vec<(i64, i64, String, String)> = sqlx::query_as(notices_sql::WAITING_OF_KEYS)
        .bind(serde_json::to_string(&keys)?)
        .fetch_all(&mut *conn)
        .await?;
    let mut replaced: Vec<i64> = Vec::new();
    for (id, notification, endpoint, object_key) in waiting {
        if let Some(newest) = newest.get_mut(&(endpoint, object_key)) {
            if notification < *newest {
                replaced.push(id);
            } else {
                *newest = notification;
            }
        }
    }
    if !replaced.is_empty() {
        sqlx::query(concat!(
            "UPDATE dispatches SET state = 'replaced', ended_at = $2 WHERE state = 'waiting' AND id ",
            sql::in_array!("$1")
        ))
        .bind(serde_json::to_string(&replaced)?)
        .bind(now.millis())
        .execute(conn)
        .await?;
    }
    Ok(newest)
}

/// Keeps the notifications themselves, once for all who want them, and what they are found by.
async fn keep(conn: &mut Conn, mine: &[&FannedOut], taken: &HashMap<i64, i64>) -> Result<(), Fault> {
    let mut notifications: Vec<Value> = Vec::with_capacity(mine.len());
    let mut keys: Vec<(String, i64)> = Vec::new();
    for row in mine {
        let (Some(kept), Some(created_at)) = (&row.kept, taken.get(&row.id)) else {
            continue;
        };
        notifications.push(json!([
            row.id,
            clean(&kept.notification),
            clean(&kept.event),
            kept.shop.as_deref().map(clean),
            kept.object.as_deref().map(clean),
            kept.record.as_deref().map(clean),
            clean(&kept.body),
            created_at,
        ]));
        keys.extend(kept.keys.iter().map(|key| (clean(key), row.id)));
    }
    sqlx::query(notices_sql::NOTIFICATIONS_ADD)
        .bind(serde_json::to_string(&notifications)?)
        .execute(&mut *conn)
        .await?;
    if !keys.is_empty() {
        keys.sort();
        sqlx::query(notices_sql::KEYS_ADD)
            .bind(serde_json::to_string(&keys)?)
            .execute(conn)
            .await?;
    }
    Ok(())
}
