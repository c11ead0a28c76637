//! Which jobs come next, for who prepares for them.

use super::Conn;
use crate::domain::Timestamp;
use crate::store::fault::Fault;

/// What runs in a lane, through the index of what is busy.
pub(super) const RUNNING: &str = "
    SELECT source_id FROM jobs WHERE state = 'running' AND lane_id = $1 ORDER BY created_at LIMIT $2";

/// What may be claimed of a lane and a priority, in the order of claims.
pub(super) const READY: &str = "
    SELECT source_id FROM jobs WHERE lane_id = $1 AND priority = $2 AND run_at <= $3
        AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at, id LIMIT $4";

/// From the first to the last, as claims take them.
const PRIORITIES: [i64; 3] = [0, 1, 2];

/// The source ids of the jobs that run or may be claimed, in the order of claims.
pub(super) async fn next_in_lane(
    conn: &mut Conn,
    lane_id: i64,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<String>, Fault> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let left = |found: &Vec<String>| i64::try_from(limit.saturating_sub(found.len())).unwrap_or(i64::MAX);
    let mut found: Vec<String> = sqlx::query_scalar(RUNNING)
        .bind(lane_id)
        .bind(left(&Vec::new()))
        .fetch_all(&mut *conn)
        .await?;
    for priority in PRIORITIES {
        if found.len() >= limit {
            break;
        }
        let ready: Vec<String> = sqlx::query_scalar(READY)
            .bind(lane_id)
            .bind(priority)
            .bind(now.millis())
            .bind(left(&found))
            .fetch_all(&mut *conn)
            .await?;
        found.extend(ready);
    }
    Ok(found)
}
