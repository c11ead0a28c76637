//! Runs and gaps.

use sqlx::Row as _;

use super::{Conn, DbRow, notices, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{GapRow, GapRun, NewGap, NewRun, RUN_DEAD_AFTER, RunCounts, RunOutcome, RunRow};

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Begins a run, unless another one of the same kind and object is under way. One that was not heard of for long is over.
pub(super) async fn start(conn: &mut Conn, run: &NewRun) -> Result<Option<i64>, Fault> {
    let dead_after = i64::try_from(RUN_DEAD_AFTER.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(concat!(
        "UPDATE runs SET ended_at = $3, outcome = 'cut'
         WHERE shop = $1 AND object = $2 AND kind = $5 AND ended_at IS NULL AND seen_at < ",
        sql::seen_now!("$3"),
        " - $4"
    ))
    .bind(run.shop.as_str())
    .bind(run.object.as_str())
    .bind(run.now.millis())
    .bind(dead_after)
    .bind(run.kind.as_str())
    .execute(&mut *conn)
    .await?;
    Ok(sqlx::query_scalar(concat!(
        "INSERT INTO runs (kind, shop, object, cause, since, node, started_at, seen_at)
         VALUES ($7, $1, $2, $3, $4, $5, $6, ",
        sql::seen_now!("$6"),
        ") ON CONFLICT (shop, object, kind) WHERE ended_at IS NULL DO NOTHING RETURNING id"
    ))
    .bind(run.shop.as_str())
    .bind(run.object.as_str())
    .bind(clean(&run.cause))
    .bind(run.since.millis())
    .bind(clean(&run.node))
    .bind(run.now.millis())
    .bind(run.kind.as_str())
    .fetch_optional(conn)
    .await?)
}

/// Notes how far a run is. Says whether it still counts: not when it was taken for dead.
pub(super) async fn goes_on(
    conn: &mut Conn,
    run: i64,
    counts: RunCounts,
    now: Timestamp,
) -> Result<bool, Fault> {
    let touched = sqlx::query(concat!(
        "UPDATE runs SET pages = $2, records = $3, made = $4, seen_at = ",
        sql::seen_now!("$5"),
        " WHERE id = $1 AND ended_at IS NULL"
    ))
    .bind(run)
    .bind(number(counts.pages))
    .bind(number(counts.records))
    .bind(number(counts.made))
    .bind(now.millis())
    .execute(conn)
    .await?
    .rows_affected();
    Ok(touched == 1)
}

/// Ends a run that is under way.
pub(super) async fn finish(
    conn: &mut Conn,
    run: i64,
    outcome: RunOutcome,
    error: Option<&str>,
    notifications: &[String],
    now: Timestamp,
) -> Result<bool, Fault> {
    let touched = sqlx::query(
        "UPDATE runs SET ended_at = $2, outcome = $3, error = $4 WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(run)
    .bind(now.millis())
    .bind(outcome.as_str())
    .bind(error.map(clean))
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if touched == 1 {
        let mut bodies = Vec::with_capacity(notifications.len());
        for body in notifications {
            bodies.push((body.as_str(), now));
        }
        notices::add(conn, &bodies).await?;
    }
    Ok(touched == 1)
}

/// The last runs, newest first.
pub(super) async fn last(conn: &mut Conn, limit: u32) -> Result<Vec<RunRow>, Fault> {
    let rows = sqlx::query(
        "SELECT id, shop, object, cause, since, node, started_at, ended_at, outcome, pages, records, made, error
         FROM runs ORDER BY id DESC LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_run).collect()
}

fn read_run(row: &DbRow) -> Result<RunRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "runs",
        row: id,
        column,
    };
    let text = |column| row.try_get::<String, _>(column);
    let count = |column| {
        let count: i64 = row.try_get(column)?;
        u64::try_from(count).map_err(|_| bad(column))
    };
    let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    Ok(RunRow {
        id,
        shop: text("shop")?.parse().map_err(|_| bad("shop"))?,
        object: text("object")?.parse().map_err(|_| bad("object"))?,
        cause: text("cause")?,
        since: time("since")?,
        node: text("node")?,
        started_at: time("started_at")?,
        ended_at: row
            .try_get::<Option<i64>, _>("ended_at")?
            .map(Timestamp::from_millis),
        outcome: row
            .try_get::<Option<String>, _>("outcome")?
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| bad("outcome"))?,
        counts: RunCounts {
            pages: count("pages")?,
            records: count("records")?,
            made: count("made")?,
        },
        error: row.try_get("error")?,
    })
}

/// Opens a gap, or widens the open one of the same object. A run for it is due at once.
pub(super) async fn open_gap(conn: &mut Conn, gap: &NewGap, now: Timestamp) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar(
        "INSERT INTO gaps (shop, object, since, stood_at, reason, opened_at, next_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (shop, object) WHERE closed_at IS NULL DO UPDATE SET
             since = CASE WHEN excluded.since < gaps.since THEN excluded.since ELSE gaps.since END,
             stood_at = CASE WHEN excluded.stood_at > gaps.stood_at THEN excluded.stood_at ELSE gaps.stood_at END,
             reason = excluded.reason, next_at = excluded.next_at, failed = 0
         RETURNING id",
    )
    .bind(gap.shop.as_str())
    .bind(gap.object.as_str())
    .bind(gap.since.millis())
    .bind(gap.stood_at.millis())
    .bind(clean(&gap.reason))
    .bind(now.millis())
    .fetch_one(conn)
    .await?)
}

/// Closes a gap if the run covers all of it as it is now; else says when the next run is due. A gap that was widened during
/// the run keeps the time that the widening set.
pub(super) async fn ran(conn: &mut Conn, ended: &GapRun) -> Result<bool, Fault> {
    if let Some(covered) = ended.covered {
        let closed = sqlx::query(
            "UPDATE gaps SET closed_at = $2, run_id = $3
             WHERE id = $1 AND closed_at IS NULL AND since >= $4 AND stood_at <= $5",
        )
        .bind(ended.gap.id)
        .bind(ended.now.millis())
        .bind(ended.run)
        .bind(covered.since.millis())
        .bind(covered.stood_until.millis())
        .execute(&mut *conn)
        .await?
        .rows_affected();
        if closed == 1 {
            return Ok(true);
        }
    }
    let failed = if ended.covered.is_some() {
        0
    } else {
        i64::from(ended.gap.failed) + 1
    };
    sqlx::query(
        "UPDATE gaps SET next_at = $2, failed = $3, run_id = coalesce($4, run_id)
         WHERE id = $1 AND closed_at IS NULL AND since = $5 AND stood_at = $6",
    )
    .bind(ended.gap.id)
    .bind(ended.next_at.millis())
    .bind(failed)
    .bind(ended.run)
    .bind(ended.gap.since.millis())
    .bind(ended.gap.stood_at.millis())
    .execute(conn)
    .await?;
    Ok(false)
}

/// The open gaps, oldest first.
pub(super) async fn gaps(conn: &mut Conn) -> Result<Vec<GapRow>, Fault> {
    let rows = sqlx::query(
        "SELECT id, shop, object, since, stood_at, reason, opened_at, next_at, failed, run_id
         FROM gaps WHERE closed_at IS NULL ORDER BY id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_gap).collect()
}

fn read_gap(row: &DbRow) -> Result<GapRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "gaps",
        row: id,
        column,
    };
    let text = |column| row.try_get::<String, _>(column);
    let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    Ok(GapRow {
        id,
        shop: text("shop")?.parse().map_err(|_| bad("shop"))?,
        object: text("object")?.parse().map_err(|_| bad("object"))?,
        since: time("since")?,
        stood_at: time("stood_at")?,
        reason: text("reason")?,
        opened_at: time("opened_at")?,
        next_at: time("next_at")?,
        failed: u32::try_from(row.try_get::<i64, _>("failed")?).map_err(|_| bad("failed"))?,
        run: row.try_get("run_id")?,
    })
}
