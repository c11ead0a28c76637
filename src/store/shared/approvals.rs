//! A person's answer to a plan that waits. The plan that is answered is compared in the transaction that saves the answer, so that
//! nobody says yes to one that was made a moment before.

use super::{Conn, people, problems, review, shops};
use crate::domain::{JobId, JobState, Priority, Timestamp};
use crate::store::fault::Fault;
use crate::store::prepared::Lanes;
use crate::store::{Act, Acted, WAITING_FOR_APPROVAL};

/// The hash of the plan that the job waits with; none where it waits for something else.
async fn waiting(conn: &mut Conn, job: JobId) -> Result<Option<String>, Fault> {
    let open = problems::open_of_jobs(conn, &[job.0]).await?;
    let problem = open
        .into_iter()
        .find(|row| row.problem.code.0 == WAITING_FOR_APPROVAL);
    Ok(problem.and_then(|row| row.problem.detail["plan"].as_str().map(str::to_owned)))
}

/// Lets the job go on with this plan, as urgently.
pub(super) async fn approve(
    conn: &mut Conn,
    job: JobId,
    plan: &str,
    (position, approval): (&str, &str),
    priority: Priority,
    now: Timestamp,
) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    let shop: String = sqlx::query_scalar(
        "SELECT l.shop FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.id = $1",
    )
    .bind(job.0)
    .fetch_one(&mut *conn)
    .await?;
    let shop = shop.parse().map_err(|_| Fault::BadRow {
        table: "lanes",
        row: job.0,
        column: "shop",
    })?;
    if state != JobState::Held {
        let known = shops::cursor(conn, &shop, position).await?;
        let is_approved = state.is_open() && known.is_some_and(|known| known == approval);
        return Ok(if is_approved {
            Acted::Already
        } else {
            Acted::NotNow(state)
        });
    }
    if waiting(conn, job).await?.as_deref() != Some(plan) {
        return Ok(Acted::NotNow(state));
    }
    shops::set_cursor(conn, &shop, position, approval, now).await?;
    people::make_available_at(conn, job, priority, now).await?;
    Ok(Acted::Again(job))
}

/// Gives the job up; with `plan`, only if it still waits with this one.
pub(super) async fn reject(
    conn: &mut Conn,
    act: &Act,
    job: JobId,
    plan: Option<&str>,
    lanes: &Lanes,
) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    if state == JobState::Held {
        let waits_with = waiting(conn, job).await?;
        if waits_with.is_none() || plan.is_some_and(|plan| waits_with.as_deref() != Some(plan)) {
            return Ok(Acted::NotNow(state));
        }
    }
    match state {
        JobState::Held | JobState::Discarded => review::discard(conn, act, job, lanes).await,
        state => Ok(Acted::NotNow(state)),
    }
}
