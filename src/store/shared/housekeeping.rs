//! Deleting what was finished long ago, in small steps.

use std::time::Duration;

use super::{Conn, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;

/// Lines of the audit log, and retries of many jobs, are kept so much longer than jobs: with the 90 days that jobs are kept
/// for unless somebody says otherwise, that makes 400.
const AUDIT_LONGER: Duration = Duration::from_secs(310 * 24 * 3600);

/// Notes of full runs are kept so much longer than jobs: what a run told of a record is told once more when it is that old
/// (`reconcile::full::notes`), and until then the note keeps it from being told.
const NOTES_LONGER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Notes of full runs that nobody asks for any more: what was told of a record, and which job asked about one or about a stock level,
/// once that job is deleted, too. What is told of a lost document (`full:lost:`) is told once and stays.
const NOTES: &str = "
    DELETE FROM cursors WHERE (shop, name) IN (SELECT c.shop, c.name FROM cursors AS c
        WHERE (c.name LIKE 'full:told:%' OR c.name LIKE 'full:asked:%') AND c.updated_at < $1
            AND CASE WHEN c.name LIKE 'full:told:inventory:%' OR c.name LIKE 'full:asked:%'
            THEN NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.id = CAST(nullif(substr(c.value, 18), '') AS BIGINT))
            ELSE true END
        LIMIT $2)";

/// Deletes at most `limit` closed jobs (with what belongs to them), then recorded-only events, closed problems of shops,
/// counts of refusals and deliveries, old notes of full runs, and the oldest lines of the audit log. Open jobs and open problems
/// are never touched, and closed jobs of an import stay until its end: that counts them.
pub(super) async fn prune(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64, Fault> {
    let limit = u64::from(limit);
    let jobs: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM jobs WHERE ended_at IS NOT NULL AND ended_at < $1
           AND (import_id IS NULL OR NOT EXISTS (SELECT 1 FROM imports AS i WHERE i.id = import_id AND i.ended_at IS NULL))
         ORDER BY ended_at LIMIT $2",
    )
    .bind(before.millis())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&mut *conn)
    .await?;
    let mut deleted = 0;
    if !jobs.is_empty() {
        let jobs = serde_json::to_string(&jobs)?;
        for statement in [
            concat!("DELETE FROM events WHERE job_id ", sql::in_array!("$1")),
            concat!("DELETE FROM attempts WHERE job_id ", sql::in_array!("$1")),
            concat!("DELETE FROM problems WHERE job_id ", sql::in_array!("$1")),
            concat!("DELETE FROM job_items WHERE job_id ", sql::in_array!("$1")),
            concat!("DELETE FROM job_names WHERE job_id ", sql::in_array!("$1")),
        ] {
            sqlx::query(statement).bind(&jobs).execute(&mut *conn).await?;
        }
        deleted = sqlx::query(concat!("DELETE FROM jobs WHERE id ", sql::in_array!("$1")))
            .bind(jobs)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    for statement in [
        "DELETE FROM events WHERE id IN (SELECT id FROM events
             WHERE job_id IS NULL AND received_at < $1 ORDER BY received_at LIMIT $2)",
        "DELETE FROM problems WHERE id IN (SELECT id FROM problems
             WHERE job_id IS NULL AND closed_at IS NOT NULL AND closed_at < $1 ORDER BY closed_at LIMIT $2)",
        "DELETE FROM rejections WHERE (hour, shop, reason) IN (SELECT hour, shop, reason FROM rejections
             WHERE hour < $1 ORDER BY hour LIMIT $2)",
        "DELETE FROM deliveries WHERE (shop, topic, name, hour) IN (SELECT shop, topic, name, hour FROM deliveries
             WHERE hour < $1 ORDER BY hour LIMIT $2)",
        "DELETE FROM drift WHERE (run_id, position) IN (SELECT d.run_id, d.position FROM drift AS d
             WHERE NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.id = d.run_id AND (r.ended_at IS NULL OR r.ended_at >= $1))
             ORDER BY d.run_id LIMIT $2)",
        "DELETE FROM drift_reports WHERE run_id IN (SELECT d.run_id FROM drift_reports AS d
             WHERE NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.id = d.run_id AND (r.ended_at IS NULL OR r.ended_at >= $1))
             ORDER BY d.run_id LIMIT $2)",
        "DELETE FROM corrections WHERE (shop, object, source_id, field, value) IN (
             SELECT shop, object, source_id, field, value FROM corrections WHERE found_at < $1 ORDER BY found_at LIMIT $2)",
        "DELETE FROM runs WHERE id IN (SELECT id FROM runs
             WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2)",
        "DELETE FROM gaps WHERE id IN (SELECT id FROM gaps
             WHERE closed_at IS NOT NULL AND closed_at < $1 ORDER BY closed_at LIMIT $2)",
        "DELETE FROM out_writes WHERE (shop, object, kind, record) IN (SELECT shop, object, kind, record FROM out_writes
             WHERE at < $1 ORDER BY at LIMIT $2)",
        "DELETE FROM tallies WHERE (hour, shop, object, direction, kind, bound_ms) IN (
             SELECT hour, shop, object, direction, kind, bound_ms FROM tallies WHERE hour < $1 ORDER BY hour LIMIT $2)",
        "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts
             WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2)",
        "DELETE FROM alert_messages WHERE id IN (SELECT id FROM alert_messages
             WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2)",
        "DELETE FROM intents WHERE id IN (SELECT id FROM intents
             WHERE closed_at IS NOT NULL AND closed_at < $1 ORDER BY closed_at LIMIT $2)",
    ] {
        let left = limit.saturating_sub(deleted);
        if left == 0 {
            break;
        }
        deleted += sqlx::query(statement)
            .bind(before.millis())
            .bind(i64::try_from(left).unwrap_or(i64::MAX))
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    let audit = before.minus(AUDIT_LONGER);
    for (statement, before) in [
        (NOTES, before.minus(NOTES_LONGER)),
        (
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)",
            audit,
        ),
        (
            "DELETE FROM batches WHERE id IN (SELECT id FROM batches
                 WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2)",
            audit,
        ),
    ] {
        let left = limit.saturating_sub(deleted);
        if left == 0 {
            break;
        }
        deleted += sqlx::query(statement)
            .bind(before.millis())
            .bind(i64::try_from(left).unwrap_or(i64::MAX))
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    Ok(deleted)
}

/// The time by the database's clock, if it has one.
pub(super) async fn time(conn: &mut Conn, now: Timestamp) -> Result<Timestamp, Fault> {
    let time: i64 = sqlx::query_scalar(concat!("SELECT ", sql::seen_now!("$1")))
        .bind(now.millis())
        .fetch_one(conn)
        .await?;
    Ok(Timestamp::from_millis(time))
}

/// Whether the database answers. In the writer's transaction this also proves that writing is possible: the transaction
/// could not begin otherwise.
pub(super) async fn ping(conn: &mut Conn) -> Result<(), Fault> {
    sqlx::query("SELECT 1 FROM shops LIMIT 1").execute(conn).await?;
    Ok(())
}
