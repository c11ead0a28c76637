//! Counts of open jobs and problems that the database keeps as they change (`migrations/*/0016_kept_counts.sql`): what pages
//! show of half a million problems costs what is shown of them.

use super::{Conn, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::prepared::Lanes;
use crate::store::{Counts, LaneCount};

/// How far back closed jobs are counted.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// How many problems are open.
pub(super) const OPEN_PROBLEMS: &str =
    "SELECT CAST(coalesce(sum(problems), 0) AS BIGINT) FROM problem_counts";

/// `$1`: array of lanes. How many of their jobs wait for a person.
pub(super) const PROBLEMS_OF_LANES: &str = concat!(
    "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM job_counts WHERE state = 'problem' AND lane_id ",
    sql::in_array!("$1")
);

/// Counts of events, problems, and jobs by lane and state.
pub(super) async fn counts(conn: &mut Conn, now: Timestamp, lanes: &Lanes) -> Result<Counts, Fault> {
    let rows: Vec<(i64, String, i64, Option<i64>)> = sqlx::query_as(sql::COUNTS)
        .bind(now.millis().saturating_sub(DAY_MS))
        .fetch_all(&mut *conn)
        .await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for (lane_id, state, count, oldest) in rows {
        let (Some(lane), Some(oldest)) = (lanes.lane(lane_id), oldest) else {
            continue;
        };
        jobs.push(LaneCount {
            lane,
            state: state.parse().map_err(|_| Fault::BadRow {
                table: "jobs",
                row: lane_id,
                column: "state",
            })?,
            count: u64::try_from(count).unwrap_or(0),
            oldest: Timestamp::from_millis(oldest),
        });
    }
    jobs.sort_by(|a, b| (&a.lane, a.state).cmp(&(&b.lane, b.state)));
    let events: i64 = sqlx::query_scalar(sql::EVENTS_EVER).fetch_one(&mut *conn).await?;
    let last_event_at: Option<i64> =
        sqlx::query_scalar("SELECT received_at FROM events ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *conn)
            .await?;
    let open_problems: i64 = sqlx::query_scalar(OPEN_PROBLEMS).fetch_one(conn).await?;
    Ok(Counts {
        jobs,
        events: u64::try_from(events).unwrap_or(0),
        last_event_at: last_event_at.map(Timestamp::from_millis),
        open_problems: u64::try_from(open_problems).unwrap_or(0),
    })
}
