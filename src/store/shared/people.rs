//! What people see of jobs, and what they order.

use std::collections::HashMap;

use sqlx::Row as _;

use super::intake::{self, Want, Wants};
use super::{Conn, DbRow, events, finish, listing, problems, sql};
use crate::domain::{JobId, JobKey, JobState, NewProblem, Priority, Timestamp};
use crate::store::fault::Fault;
use crate::store::prepared::Lanes;
use crate::store::rules::clean;
use crate::store::{AttemptRow, JobFilter, JobRow, JobStory, Retried};

macro_rules! select {
    () => {
        "SELECT j.id, l.shop, l.object, l.direction, j.source_id, j.state, j.reason, j.record_name, j.erp_name,
                j.attempts, j.failed_attempts, j.events, j.created_at, j.updated_at, j.run_at, j.waits_on, j.last_summary,
                j.cause
         FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE true"
    };
}

fn read(row: &DbRow) -> Result<JobRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "jobs",
        row: id,
        column,
    };
    let text = |column| row.try_get::<String, _>(column);
    let count = |column| {
        let number = row.try_get::<i64, _>(column)?;
        u32::try_from(number).map_err(|_| bad(column))
    };
    let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    let state: JobState = text("state")?.parse().map_err(|_| bad("state"))?;
    let run_at = time("run_at")?;
    Ok(JobRow {
        id: JobId(id),
        key: JobKey {
            shop: text("shop")?.parse().map_err(|_| bad("shop"))?,
            object: text("object")?.parse().map_err(|_| bad("object"))?,
            direction: text("direction")?.parse().map_err(|_| bad("direction"))?,
            source_id: text("source_id")?,
        },
        state,
        reason: row.try_get("reason")?,
        record_name: row.try_get("record_name")?,
        erp_name: row.try_get("erp_name")?,
        attempts: count("attempts")?,
        failed_attempts: count("failed_attempts")?,
        events: count("events")?,
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
        run_at: matches!(state, JobState::Scheduled | JobState::Retryable).then_some(run_at),
        waits_on: row.try_get("waits_on")?,
        problem: None,
        last_summary: row.try_get("last_summary")?,
        cause: text("cause")?,
    })
}

/// Adds to each job its open problem.
async fn with_problems(conn: &mut Conn, mut jobs: Vec<JobRow>) -> Result<Vec<JobRow>, Fault> {
    let ids: Vec<i64> = jobs.iter().map(|job| job.id.0).collect();
    let mut open: HashMap<JobId, NewProblem> = problems::open_of_jobs(conn, &ids)
        .await?
        .into_iter()
        .filter_map(|row| Some((row.job?, row.problem)))
        .collect();
    for job in &mut jobs {
        job.problem = open.remove(&job.id);
    }
    Ok(jobs)
}

/// Jobs that fit the filter, newest first.
pub(super) async fn jobs(conn: &mut Conn, filter: &JobFilter) -> Result<Vec<JobRow>, Fault> {
    let ids = listing::find(conn, filter).await?;
    by_ids(conn, &ids).await
}

/// These jobs, newest first, with their open problems.
pub(super) async fn by_ids(conn: &mut Conn, ids: &[i64]) -> Result<Vec<JobRow>, Fault> {
    let rows = sqlx::query(concat!(
        select!(),
        " AND j.id ",
        sql::in_array!("$1"),
        " ORDER BY j.id DESC"
    ))
    .bind(serde_json::to_string(ids)?)
    .fetch_all(&mut *conn)
    .await?;
    let jobs = rows.iter().map(read).collect::<Result<_, _>>()?;
    with_problems(conn, jobs).await
}

/// One job with its history.
pub(super) async fn job(conn: &mut Conn, id: JobId) -> Result<Option<JobStory>, Fault> {
    let Some(job) = by_ids(conn, &[id.0]).await?.pop() else {
        return Ok(None);
    };
    Ok(Some(JobStory {
        job,
        attempts: attempts(conn, id).await?,
        events: events::of_job(conn, id, false).await?,
        problems: problems::of_job(conn, id).await?,
    }))
}

async fn attempts(conn: &mut Conn, job: JobId) -> Result<Vec<AttemptRow>, Fault> {
    let rows = sqlx::query(
        "SELECT number, node, started_at, ended_at, outcome, summary, detail, revision FROM attempts
         WHERE job_id = $1 ORDER BY number",
    )
    .bind(job.0)
    .fetch_all(conn)
    .await?;
    let bad = |column| Fault::BadRow {
        table: "attempts",
        row: job.0,
        column,
    };
    rows.iter()
        .map(|row| {
            Ok(AttemptRow {
                number: u32::try_from(row.try_get::<i64, _>("number")?).map_err(|_| bad("number"))?,
                node: row.try_get("node")?,
                started_at: Timestamp::from_millis(row.try_get("started_at")?),
                ended_at: row
                    .try_get::<Option<i64>, _>("ended_at")?
                    .map(Timestamp::from_millis),
                outcome: row.try_get("outcome")?,
                summary: row.try_get("summary")?,
                detail: serde_json::from_str(&row.try_get::<String, _>("detail")?)
                    .map_err(|_| bad("detail"))?,
                revision: row.try_get("revision")?,
            })
        })
        .collect()
}

/// State, lane and source id of a job that a person named.
pub(super) async fn named(conn: &mut Conn, id: JobId) -> Result<Option<(JobState, i64, String)>, Fault> {
    let row: Option<(String, i64, String)> = sqlx::query_as(sql::JOB_FOR_PERSON)
        .bind(id.0)
        .fetch_optional(conn)
        .await?;
    row.map(|(state, lane_id, source_id)| {
        let state = state.parse().map_err(|_| Fault::BadRow {
            table: "jobs",
            row: id.0,
            column: "state",
        })?;
        Ok((state, lane_id, source_id))
    })
    .transpose()
}

/// Makes a job available at once, or makes a new one of a closed one's key.
pub(super) async fn retry(conn: &mut Conn, id: JobId, now: Timestamp) -> Result<Retried, Fault> {
    let Some((state, lane_id, source_id)) = named(conn, id).await? else {
        return Ok(Retried::Unknown);
    };
    match state {
        JobState::Running => Ok(Retried::Running),
        state if state.is_open() => {
            make_available(conn, id, now).await?;
            Ok(Retried::Again(id))
        }
        _ => {
            let open: Option<i64> = sqlx::query_scalar(
                "SELECT id FROM jobs WHERE lane_id = $1 AND source_id = $2 AND ended_at IS NULL",
            )
            .bind(lane_id)
            .bind(&source_id)
            .fetch_optional(&mut *conn)
            .await?;
            if let Some(open) = open {
                // The key has an open job already: that is the one to hurry.
                return Box::pin(retry(conn, JobId(open), now)).await;
            }
            let mut wants = Wants::new();
            let want = Want {
                state: JobState::Available,
                priority: Priority::URGENT,
                times: 1,
                events: 0,
                since: now,
                triggered_at: None,
                cause: format!("retry of job {id}"),
                import: None,
            };
            intake::add(&mut wants, lane_id, &source_id, want);
            let made = intake::want(conn, &wants).await?.into_values().next();
            Ok(made.map_or(Retried::Unknown, |(job, _)| Retried::New(job)))
        }
    }
}

/// Makes a job available that somebody waits for.
pub(super) async fn make_available(conn: &mut Conn, id: JobId, now: Timestamp) -> Result<(), Fault> {
    make_available_at(conn, id, Priority::URGENT, now).await
}

/// Makes a job available, as urgently.
pub(super) async fn make_available_at(
    conn: &mut Conn,
    id: JobId,
    priority: Priority,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE jobs SET state = 'available', run_at = $2, priority = $3, failed_attempts = 0, system_down = NULL,
             waits_on = NULL, held_by = NULL, updated_at = $2 WHERE id = $1",
    )
    .bind(id.0)
    .bind(now.millis())
    .bind(i64::from(priority.0))
    .execute(conn)
    .await?;
    Ok(())
}

/// The same for many at once.
pub(super) async fn make_all_available(conn: &mut Conn, ids: &[i64], now: Timestamp) -> Result<(), Fault> {
    sqlx::query(concat!(
        "UPDATE jobs SET state = 'available', run_at = $2, priority = $3, failed_attempts = 0, system_down = NULL,
             waits_on = NULL, held_by = NULL, updated_at = $2 WHERE id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(ids)?)
    .bind(now.millis())
    .bind(i64::from(Priority::URGENT.0))
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives open jobs up that do not run: their numbers, lanes and source ids.
pub(super) async fn discard_all(
    conn: &mut Conn,
    jobs: &[(i64, i64, String)],
    reason: &str,
    now: Timestamp,
    lanes: &Lanes,
) -> Result<(), Fault> {
    let ids: Vec<i64> = jobs.iter().map(|(id, ..)| *id).collect();
    close_discarded(conn, &ids, reason, now).await?;
    let records: Vec<(String, i64)> = jobs
        .iter()
        .filter_map(|(id, lane_id, source_id)| {
            let lane = lanes.lane(*lane_id)?;
            Some((lane.key(source_id).record().to_string(), *id))
        })
        .collect();
    finish::wake(conn, &serde_json::to_string(&records)?, now).await?;
    Ok(())
}

/// Closes jobs as given up, with their problems.
async fn close_discarded(conn: &mut Conn, ids: &[i64], reason: &str, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(concat!(
        "UPDATE jobs SET state = 'discarded', reason = $2, ended_at = $3, updated_at = $3, waits_on = NULL,
             system_down = NULL WHERE id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(ids)?)
    .bind(clean(reason))
    .bind(now.millis())
    .execute(&mut *conn)
    .await?;
    problems::close_for_jobs(conn, ids, now).await
}

/// Gives an open job up.
pub(super) async fn discard(
    conn: &mut Conn,
    id: JobId,
    reason: &str,
    now: Timestamp,
    lanes: &Lanes,
) -> Result<bool, Fault> {
    let Some((state, lane_id, source_id)) = named(conn, id).await? else {
        return Ok(false);
    };
    if !state.is_open() || state == JobState::Running {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE jobs SET state = 'discarded', reason = $2, ended_at = $3, updated_at = $3, waits_on = NULL,
             system_down = NULL WHERE id = $1",
    )
    .bind(id.0)
    .bind(clean(reason))
    .bind(now.millis())
    .execute(&mut *conn)
    .await?;
    problems::close_for_jobs(conn, &[id.0], now).await?;
    if let Some(lane) = lanes.lane(lane_id) {
        let record = lane.key(&source_id).record().to_string();
        finish::wake(conn, &serde_json::to_string(&[(record, id)])?, now).await?;
    }
    Ok(true)
}

/// How many jobs one step gives up.
pub(super) const STEP: u32 = 500;

/// Gives up jobs of the lane that wait and that no other job waits for, at most [`STEP`].
pub(super) async fn discard_waiting(
    conn: &mut Conn,
    lane_id: i64,
    reason: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    let ids: Vec<i64> = sqlx::query_scalar(sql::WAITING_ALONE)
        .bind(lane_id)
        .bind(i64::from(STEP))
        .fetch_all(&mut *conn)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    close_discarded(conn, &ids, reason, now).await?;
    Ok(ids.len() as u64)
}
