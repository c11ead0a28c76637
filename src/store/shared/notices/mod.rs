//! What other systems are told: the outbox, its fan-out, and what becomes of each dispatch.

pub(super) mod claims;
mod ends;
mod fan_out;
mod hasten;
pub(super) mod lists;
mod people;
mod privacy;

use super::{Conn, Db, DbRow, audit, events, notices_sql, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{OutboxPage, OutboxRow};

pub(super) use claims::{batch, claim, may_be_sent, next};
pub(super) use ends::{end, reclaim_step};
pub(super) use fan_out::fan_out;
pub(super) use hasten::{Hastening, put_off, step as hasten_step};
pub(super) use lists::{dispatch, dispatches, endpoints, tried_dispatches};
pub(super) use people::{
    Begun, Cancelled, cancel_step, is_paused, prune, redeliver, redeliver_step, set_endpoint,
};
pub(super) use privacy::{ends_of_numbers, redact, redact_shop_outbox, redact_shop_step, waiting_mentions};

/// Puts notifications with their times into the outbox, in their order.
pub(super) async fn add(conn: &mut Conn, bodies: &[(&str, Timestamp)]) -> Result<(), Fault> {
    if bodies.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, i64)> = bodies
        .iter()
        .map(|(body, at)| (clean(body), at.millis()))
        .collect();
    sqlx::query(notices_sql::OUTBOX_ADD)
        .bind(serde_json::to_string(&rows)?)
        .execute(conn)
        .await?;
    Ok(())
}

/// What is not fanned out yet, in its order, with higher numbers than `after`: up to `limit`, with bodies of `bytes` together at most,
/// and one at least. How large they are is asked first, which reads none of them.
pub(super) async fn outbox(conn: &mut Conn, after: i64, limit: u32, bytes: u64) -> Result<OutboxPage, Fault> {
    let sizes: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT id, CAST(octet_length(body) AS BIGINT) FROM outbox WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(limit) + 1)
    .fetch_all(&mut *conn)
    .await?;
    let mut left = bytes;
    let mut ids: Vec<i64> = Vec::new();
    for (id, size) in sizes.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let size = u64::try_from(*size).unwrap_or(0);
        if size > left && !ids.is_empty() {
            break;
        }
        left = left.saturating_sub(size);
        ids.push(*id);
    }
    let has_more = ids.len() < sizes.len();
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(concat!(
        "SELECT id, body, created_at FROM outbox WHERE id ",
        sql::in_array!("$1"),
        " ORDER BY id"
    ))
    .bind(serde_json::to_string(&ids)?)
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|(id, body, at)| OutboxRow {
        id,
        body,
        created_at: Timestamp::from_millis(at),
    });
    Ok(OutboxPage {
        rows: rows.collect(),
        has_more,
    })
}

/// Those of these endpoints that are known, with whether they are paused. On PostgreSQL nobody else changes what waits for them
/// until the transaction ends.
async fn held(conn: &mut Conn, names: &[&str]) -> Result<Vec<(String, bool)>, Fault> {
    let rows: Vec<(String, Option<i64>)> = sqlx::query_as(notices_sql::ENDPOINTS_HELD)
        .bind(serde_json::to_string(names)?)
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(name, paused_at)| (name, paused_at.is_some()))
        .collect())
}

/// Makes sure that these endpoints are known.
async fn know(conn: &mut Conn, names: &[&str]) -> Result<(), Fault> {
    sqlx::query(notices_sql::ENDPOINTS_KNOW)
        .bind(serde_json::to_string(names)?)
        .execute(conn)
        .await?;
    Ok(())
}
