//! What is about to be written to the shop and what was: intents, counts for the limits on sudden change, and what orders in
//! work sell.

use serde_json::json;
use sqlx::Row as _;

use super::{Conn, DbRow, queue, sql};
use crate::domain::{Fence, JobId, LinkKind, Object, ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{Intent, NewIntent};

/// Commits an intent of a running attempt; `None` when the attempt is no longer ours.
pub(super) async fn open(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    intent: &NewIntent,
    now: Timestamp,
) -> Result<Option<i64>, Fault> {
    if !queue::is_held(conn, job, fence).await? {
        return Ok(None);
    }
    Ok(sqlx::query_scalar(
        "INSERT INTO intents (lane_id, source_id, kind, key, payload, created_at)
         SELECT lane_id, source_id, $2, $3, $4, $5 FROM jobs WHERE id = $1 RETURNING id",
    )
    .bind(job.0)
    .bind(clean(&intent.kind))
    .bind(clean(&intent.key))
    .bind(intent.payload.to_string())
    .bind(now.millis())
    .fetch_optional(conn)
    .await?)
}

/// The open intents of a record's jobs, oldest first.
pub(super) async fn open_ones(conn: &mut Conn, lane_id: i64, source_id: &str) -> Result<Vec<Intent>, Fault> {
    let rows = sqlx::query(
        "SELECT id, kind, key, payload, created_at FROM intents
         WHERE lane_id = $1 AND source_id = $2 AND closed_at IS NULL ORDER BY id",
    )
    .bind(lane_id)
    .bind(clean(source_id))
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &DbRow) -> Result<Intent, Fault> {
    let id: i64 = row.try_get("id")?;
    let payload: String = row.try_get("payload")?;
    Ok(Intent {
        id,
        kind: row.try_get("kind")?,
        key: row.try_get("key")?,
        payload: serde_json::from_str(&payload).map_err(|_| Fault::BadRow {
            table: "intents",
            row: id,
            column: "payload",
        })?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
    })
}

/// Closes an intent whose outcome is known; false when the attempt is no longer ours.
pub(super) async fn close(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    intent: i64,
    now: Timestamp,
) -> Result<bool, Fault> {
    if !queue::is_held(conn, job, fence).await? {
        return Ok(false);
    }
    sqlx::query("UPDATE intents SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL")
        .bind(intent)
        .bind(now.millis())
        .execute(conn)
        .await?;
    Ok(true)
}

/// Notes what the order of a running attempt sells; false when the attempt is no longer ours.
pub(super) async fn note_items(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    items: &[String],
) -> Result<bool, Fault> {
    if !queue::is_held(conn, job, fence).await? {
        return Ok(false);
    }
    let items: Vec<String> = items.iter().map(|item| clean(item)).collect();
    let rows: Vec<_> = items.iter().map(|item| json!([job.0, item])).collect();
    sqlx::query(sql::JOB_ITEMS_ADD)
        .bind(serde_json::to_string(&rows)?)
        .execute(conn)
        .await?;
    Ok(true)
}

/// An open job of the lane that sells this item, or of which nobody knows yet what it sells.
pub(super) async fn in_work(conn: &mut Conn, lane_id: i64, item: &str) -> Result<Option<JobId>, Fault> {
    let job: Option<i64> = sqlx::query_scalar(sql::ITEM_IN_WORK)
        .bind(lane_id)
        .bind(clean(item))
        .fetch_optional(conn)
        .await?;
    Ok(job.map(JobId))
}

/// Notes that a record is written to the shop.
pub(super) async fn note_write(
    conn: &mut Conn,
    shop: &ShopName,
    object: Object,
    kind: &str,
    record: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO out_writes (shop, object, kind, record, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (shop, object, kind, record) DO UPDATE SET at = excluded.at",
    )
    .bind(shop.as_str())
    .bind(object.as_str())
    .bind(kind)
    .bind(clean(record))
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// How many records were written since, but for this one.
pub(super) async fn writes_since(
    conn: &mut Conn,
    shop: &ShopName,
    object: Object,
    kind: &str,
    but: &str,
    since: Timestamp,
) -> Result<u64, Fault> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM out_writes
         WHERE shop = $1 AND object = $2 AND kind = $3 AND at >= $4 AND record <> $5",
    )
    .bind(shop.as_str())
    .bind(object.as_str())
    .bind(kind)
    .bind(since.millis())
    .bind(clean(but))
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// How many records of a kind are linked.
pub(super) async fn linked(conn: &mut Conn, shop: &ShopName, kind: LinkKind) -> Result<u64, Fault> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM links WHERE shop = $1 AND kind = $2 AND state <> 'retired'")
            .bind(shop.as_str())
            .bind(kind.as_str())
            .fetch_one(conn)
            .await?;
    Ok(u64::try_from(count).unwrap_or_default())
}
