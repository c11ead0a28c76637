//! Taking dispatches to send them.

use std::collections::HashMap;

use sqlx::Row as _;

use super::ends::live;
use super::{Conn, DbRow, events, held, notices_sql, sql};
use crate::domain::{Fence, Timestamp};
use crate::store::ClaimedDispatch;
use crate::store::fault::Fault;
use crate::store::rules::clean;

/// `$1`: endpoint, `$2`: now, `$3`: at most so many. What is due, the first by priority, then by time.
pub(in super::super) const DUE: &str = "
    SELECT id, batch FROM (
        SELECT id, batch FROM (SELECT id, batch FROM dispatches WHERE endpoint = $1 AND priority = 0 AND due_at <= $2
            AND state = 'waiting' ORDER BY due_at, id LIMIT $3) AS urgent
        UNION ALL
        SELECT id, batch FROM (SELECT id, batch FROM dispatches WHERE endpoint = $1 AND priority = 1 AND due_at <= $2
            AND state = 'waiting' ORDER BY due_at, id LIMIT $3) AS normal
        UNION ALL
        SELECT id, batch FROM (SELECT id, batch FROM dispatches WHERE endpoint = $1 AND priority = 2 AND due_at <= $2
            AND state = 'waiting' ORDER BY due_at, id LIMIT $3) AS later
    ) AS every LIMIT $3";

/// When the first of each priority is due, of each endpoint that is not paused.
pub(in super::super) const NEXT: &str = "
    SELECT endpoints.name,
        (SELECT min(due_at) FROM dispatches WHERE endpoint = endpoints.name AND priority = 0 AND state = 'waiting'),
        (SELECT min(due_at) FROM dispatches WHERE endpoint = endpoints.name AND priority = 1 AND state = 'waiting'),
        (SELECT min(due_at) FROM dispatches WHERE endpoint = endpoints.name AND priority = 2 AND state = 'waiting')
    FROM endpoints WHERE paused_at IS NULL";

/// `$1`: array of ids, `$2`: claimed until then.
const CLAIM: &str = concat!(
    "UPDATE dispatches SET state = 'sending', tries = tries + 1, fence = fence + 1, claimed_until = $2
     WHERE state = 'waiting' AND id ",
    sql::in_array!("$1"),
    " RETURNING id, fence, notification_id, tries, batch, created_at, is_asked_for,
         (SELECT n.body FROM notifications AS n WHERE n.id = notification_id) AS body"
);

/// `$1`: array of ids that were claimed just now, `$2`: now, `$3`: why. Of these there is nothing to send: they end here, so that they
/// hold up no other.
const EMPTY: &str = concat!(
    "UPDATE dispatches SET state = 'cancelled', tries = tries - 1, claimed_until = NULL, ended_at = $2, sentence = $3
     WHERE state = 'sending' AND id ",
    sql::in_array!("$1")
);

/// Takes what is due for an endpoint; whole batches.
pub(in super::super) async fn claim(
    conn: &mut Conn,
    endpoint: &str,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<ClaimedDispatch>, Fault> {
    let endpoint = clean(endpoint);
    if !matches!(held(conn, &[endpoint.as_str()]).await?.as_slice(), [(_, false)]) {
        return Ok(Vec::new());
    }
    let due: Vec<(i64, Option<String>)> = sqlx::query_as(DUE)
        .bind(&endpoint)
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<i64> = due.iter().map(|(id, _)| *id).collect();
    let mut batches: Vec<&str> = due.iter().filter_map(|(_, batch)| batch.as_deref()).collect();
    batches.sort_unstable();
    batches.dedup();
    if !batches.is_empty() {
        let members: Vec<i64> = sqlx::query_scalar(notices_sql::MEMBERS)
            .bind(serde_json::to_string(&batches)?)
            .bind(&endpoint)
            .fetch_all(&mut *conn)
            .await?;
        ids.extend(members);
    }
    let mut order: HashMap<i64, usize> = HashMap::with_capacity(ids.len());
    for (place, id) in ids.iter().enumerate() {
        order.entry(*id).or_insert(place);
    }
    let rows = sqlx::query(CLAIM)
        .bind(serde_json::to_string(&order.keys().collect::<Vec<_>>())?)
        .bind(until.millis())
        .fetch_all(&mut *conn)
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    let mut empty: Vec<i64> = Vec::new();
    for row in &rows {
        match read(row)? {
            Some(dispatch) => claimed.push(dispatch),
            None => empty.push(row.try_get("id")?),
        }
    }
    if !empty.is_empty() {
        sqlx::query(EMPTY)
            .bind(serde_json::to_string(&empty)?)
            .bind(now.millis())
            .bind(events::REMOVED)
            .execute(conn)
            .await?;
    }
    claimed.sort_by_key(|dispatch| order.get(&dispatch.id).copied());
    Ok(claimed)
}

/// A claimed dispatch; none where its notification was removed.
fn read(row: &DbRow) -> Result<Option<ClaimedDispatch>, Fault> {
    let Some(body) = row.try_get::<Option<String>, _>("body")? else {
        return Ok(None);
    };
    Ok(Some(ClaimedDispatch {
        id: row.try_get("id")?,
        fence: Fence(row.try_get("fence")?),
        sequence: row.try_get("notification_id")?,
        body,
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(u32::MAX),
        batch: row.try_get("batch")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        is_asked_for: row.try_get::<i64, _>("is_asked_for")? != 0,
    }))
}

/// Notes that claimed dispatches are sent together. Those of several endpoints are not.
pub(in super::super) async fn batch(
    conn: &mut Conn,
    ids: &[(i64, Fence)],
    batch: &str,
) -> Result<bool, Fault> {
    let found = live(conn, ids).await?;
    let is_of_one = found.windows(2).all(|pair| pair[0].endpoint == pair[1].endpoint);
    if found.len() != ids.len() || !is_of_one {
        return Ok(false);
    }
    let ids: Vec<i64> = ids.iter().map(|(id, _)| *id).collect();
    sqlx::query(concat!(
        "UPDATE dispatches SET batch = $2 WHERE id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(&ids)?)
    .bind(clean(batch))
    .execute(conn)
    .await?;
    Ok(true)
}

/// Whether all of these are still claimed under these tokens, and there is something to send of each.
pub(in super::super) async fn may_be_sent(conn: &mut Conn, ids: &[(i64, Fence)]) -> Result<bool, Fault> {
    let numbers: Vec<i64> = ids.iter().map(|(id, _)| *id).collect();
    let held: HashMap<i64, i64> = sqlx::query_as(concat!(
        "SELECT d.id, d.fence FROM dispatches AS d JOIN notifications AS n ON n.id = d.notification_id
         WHERE d.state = 'sending' AND n.body IS NOT NULL AND d.id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(&numbers)?)
    .fetch_all(conn)
    .await?
    .into_iter()
    .collect();
    Ok(ids.iter().all(|(id, fence)| held.get(id) == Some(&fence.0)))
}

/// When something is due for each endpoint, the earliest first.
pub(in super::super) async fn next(conn: &mut Conn) -> Result<Vec<(String, Timestamp)>, Fault> {
    let rows: Vec<(String, Option<i64>, Option<i64>, Option<i64>)> =
        sqlx::query_as(NEXT).fetch_all(conn).await?;
    let mut next: Vec<(String, Timestamp)> = rows
        .into_iter()
        .filter_map(|(name, urgent, normal, later)| {
            let first = [urgent, normal, later].into_iter().flatten().min()?;
            Some((name, Timestamp::from_millis(first)))
        })
        .collect();
    next.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    Ok(next)
}
