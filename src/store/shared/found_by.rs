//! How long jobs wait, and by what else than numbers and names they are found.

use serde_json::json;

use super::{Conn, queue, sql};
use crate::domain::{Fence, JobId, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{JobName, QueuePlace};

/// How long back the pace of a lane is taken from.
const LATELY: std::time::Duration = std::time::Duration::from_mins(15);

/// The place of a waiting job in its lane; none for one that does not wait.
pub(super) async fn queue_place(
    conn: &mut Conn,
    job: JobId,
    now: Timestamp,
) -> Result<Option<QueuePlace>, Fault> {
    let waits: Option<(i64, i64, i64)> = sqlx::query_as(
        "SELECT lane_id, priority, run_at FROM jobs
         WHERE id = $1 AND state IN ('available', 'scheduled', 'retryable')",
    )
    .bind(job.0)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((lane_id, priority, run_at)) = waits else {
        return Ok(None);
    };
    let ahead: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM jobs WHERE lane_id = $1 AND state IN ('available', 'scheduled', 'retryable')
             AND (priority, run_at, id) < ($2, $3, $4)",
    )
    .bind(lane_id)
    .bind(priority)
    .bind(run_at)
    .bind(job.0)
    .fetch_one(&mut *conn)
    .await?;
    let since = now.minus(LATELY);
    // With the plus the lane is not looked up: a lane has many jobs, of which few ended lately.
    let ended: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM jobs WHERE ended_at IS NOT NULL AND ended_at >= $1 AND + lane_id = $2",
    )
    .bind(since.millis())
    .bind(lane_id)
    .fetch_one(conn)
    .await?;
    Ok(Some(QueuePlace {
        ahead: u64::try_from(ahead).unwrap_or_default(),
        ended_lately: u64::try_from(ended).unwrap_or_default(),
        lately: LATELY,
    }))
}

/// Notes by what the job of a running attempt is found, besides what was noted before; false when the attempt is no longer
/// ours.
pub(super) async fn note_names(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    names: &[JobName],
) -> Result<bool, Fault> {
    if !queue::is_held(conn, job, fence).await? {
        return Ok(false);
    }
    let rows: Vec<_> = names
        .iter()
        .map(|name| {
            let (kind, value) = name.parts();
            json!([job.0, kind, clean(value)])
        })
        .collect();
    sqlx::query(sql::JOB_NAMES_ADD)
        .bind(serde_json::to_string(&rows)?)
        .execute(conn)
        .await?;
    Ok(true)
}
