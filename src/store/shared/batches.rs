//! Retries of many jobs: begun, made step by step, stopped.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, DbRow, audit, kept, listing, sql};
use crate::domain::{Actor, JobState, Priority, Timestamp, Via};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{Act, Acted, BatchFilter, BatchRow, BatchState, JobFilter};

/// A batch makes a step so often.
const STEP: Duration = Duration::from_secs(1);

/// A step is one transaction, and others wait for it.
const STEP_MOST: i64 = 500;

/// Up to so many jobs are counted one by one when a batch begins.
const COUNTED_MOST: i64 = if cfg!(test) { 20 } else { 5_000 };

/// Begins a batch, or names the same one that runs.
pub(super) async fn start(
    conn: &mut Conn,
    act: &Act,
    filter: &BatchFilter,
    per_second: u32,
) -> Result<(Acted, Value), Fault> {
    let text = serde_json::to_string(filter)?;
    let running: Option<i64> =
        sqlx::query_scalar("SELECT id FROM batches WHERE state = 'running' AND filter = $1")
            .bind(&text)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(id) = running {
        return Ok((Acted::Batch { id, is_new: false }, Value::Null));
    }
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM jobs")
        .fetch_one(&mut *conn)
        .await?;
    let total = total(conn, filter, last, act.at).await?;
    if total == 0 {
        return Ok((Acted::Already, Value::Null));
    }
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO batches (started_at, actor, via, reason, filter, state, per_second, total, done, last_job,
                              upto_job, next_at)
         VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, 0, 0, $8, $1)
         ON CONFLICT (filter) WHERE state = 'running' DO NOTHING RETURNING id",
    )
    .bind(act.at.millis())
    .bind(clean(&act.actor.name))
    .bind(act.actor.via.as_str())
    .bind(act.reason.as_deref().map(clean))
    .bind(&text)
    .bind(i64::from(per_second.max(1)))
    .bind(total)
    .bind(last)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = id {
        let detail = json!({ "filter": filter, "total": total, "per_second": per_second });
        return Ok((Acted::Batch { id, is_new: true }, detail));
    }
    // Another node was faster by a hair.
    let id: i64 = sqlx::query_scalar("SELECT id FROM batches WHERE state = 'running' AND filter = $1")
        .bind(&text)
        .fetch_one(conn)
        .await?;
    Ok((Acted::Batch { id, is_new: false }, Value::Null))
}

/// Which jobs of a batch are left.
#[derive(Clone, Copy)]
pub(super) struct Left {
    /// Jobs after this one.
    pub(super) after: i64,
    /// And up to this one.
    pub(super) upto: i64,
    /// Whose problem was seen last before the batch began, or then. What failed later is not retried by it: it was tried
    /// meanwhile, or was none of those that were meant.
    pub(super) seen_until: Timestamp,
    /// At most this many.
    pub(super) most: i64,
}

/// How many jobs fit. Many are not counted one by one, because everything that is written waits for it: then it is how many
/// problems of that kind are open, or how many jobs of these lanes need a person.
async fn total(conn: &mut Conn, filter: &BatchFilter, last: i64, now: Timestamp) -> Result<i64, Fault> {
    let has_cause = filter.cluster.is_some() || filter.code.is_some();
    let is_kept = has_cause && filter.object.is_none() && filter.direction.is_none();
    let mut query = QueryBuilder::<Db>::new(
        "SELECT CAST(coalesce(sum(p.jobs), 0) AS BIGINT) FROM problem_counts AS p WHERE true",
    );
    push_cause(&mut query, filter);
    let problems: i64 = query
        .build_query_scalar()
        .persistent(false)
        .fetch_one(&mut *conn)
        .await?;
    let lanes = listing::fitting_lanes(conn, &lanes_of(filter)).await?;
    let left = Left {
        after: 0,
        upto: last,
        seen_until: now,
        // Of very many that are known already it is only asked whether there is one to be tried again.
        most: if is_kept && problems > COUNTED_MOST {
            1
        } else {
            COUNTED_MOST + 1
        },
    };
    let mut query = QueryBuilder::<Db>::new("SELECT count(*) FROM (");
    push_fitting(&mut query, filter, &lanes, left)?;
    query.push(") AS fitting");
    let total: i64 = query
        .build_query_scalar()
        .persistent(false)
        .fetch_one(&mut *conn)
        .await?;
    if total < left.most {
        return Ok(total);
    }
    if is_kept {
        return Ok(problems.max(total));
    }
    let jobs: i64 = sqlx::query_scalar(kept::PROBLEMS_OF_LANES)
        .bind(serde_json::to_string(&lanes)?)
        .fetch_one(conn)
        .await?;
    Ok(problems.min(jobs).max(total))
}

/// The lanes that a batch is about.
fn lanes_of(filter: &BatchFilter) -> JobFilter {
    JobFilter {
        shop: filter.shop.clone(),
        object: filter.object,
        direction: filter.direction,
        ..JobFilter::default()
    }
}

fn push_cause(query: &mut QueryBuilder<Db>, filter: &BatchFilter) {
    if let Some(cluster) = &filter.cluster {
        query.push(" AND p.cluster = ").push_bind(clean(cluster));
    }
    if let Some(code) = &filter.code {
        query.push(" AND p.code = ").push_bind(clean(code));
    }
    if let Some(shop) = &filter.shop {
        query.push(" AND p.shop = ").push_bind(shop.as_str().to_owned());
    }
}

/// The ids of the jobs that need a person, fit and are left, in their order: of a cause by its problems, else lane by lane.
pub(super) fn push_fitting(
    query: &mut QueryBuilder<Db>,
    filter: &BatchFilter,
    lanes: &[i64],
    left: Left,
) -> Result<(), Fault> {
    if filter.cluster.is_some() || filter.code.is_some() {
        let is_one = filter.cluster.is_some() && filter.code.is_some() && filter.shop.is_some();
        query
            .push("SELECT p.job_id AS id FROM ")
            .push(listing::open_problems(is_one))
            .push(
                " CROSS JOIN jobs AS j WHERE j.id = p.job_id AND p.closed_at IS NULL
                     AND p.job_id IS NOT NULL AND j.state = 'problem' AND p.job_id > ",
            )
            .push_bind(left.after)
            .push(" AND p.job_id <= ")
            .push_bind(left.upto)
            .push(" AND p.seen_at <= ")
            .push_bind(left.seen_until.millis());
        push_cause(query, filter);
        if listing::has_lanes(&lanes_of(filter)) {
            query.push(" AND j.lane_id IN (-1");
            for lane in lanes {
                query.push(format_args!(", {lane}"));
            }
            query.push(")");
        }
        query.push(" ORDER BY p.job_id LIMIT ").push_bind(left.most);
        return Ok(());
    }
    let (begin, of_each, end) = sql::EACH_LIST;
    query
        .push(begin)
        .push_bind(listing::lists(lanes, &[JobState::Problem])?)
        .push(of_each)
        .push(" AND j.id > ")
        .push_bind(left.after)
        .push(" AND j.id <= ")
        .push_bind(left.upto)
        .push(
            " AND EXISTS (SELECT 1 FROM problems AS p WHERE p.job_id = j.id AND p.closed_at IS NULL AND p.seen_at <= ",
        )
        .push_bind(left.seen_until.millis())
        .push(") ORDER BY j.id LIMIT ")
        .push_bind(left.most)
        .push(end)
        .push(" ORDER BY o.id LIMIT ")
        .push_bind(left.most);
    Ok(())
}

/// Ends a batch before its time.
pub(super) async fn stop(conn: &mut Conn, batch: i64, now: Timestamp) -> Result<(Acted, Value), Fault> {
    let rows = sqlx::query(
        "UPDATE batches SET state = 'stopped', ended_at = $2 WHERE id = $1 AND state = 'running'",
    )
    .bind(batch)
    .bind(now.millis())
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let known: Option<(i64, i64)> = sqlx::query_as("SELECT done, total FROM batches WHERE id = $1")
        .bind(batch)
        .fetch_optional(conn)
        .await?;
    Ok(match known {
        None => (Acted::Unknown, Value::Null),
        Some((done, total)) if rows > 0 => (Acted::Done, json!({ "done": done, "total": total })),
        Some(_) => (Acted::Already, Value::Null),
    })
}

const BATCH: &str = "
    SELECT id, started_at, actor, via, reason, filter, state, per_second, total, done, last_job, upto_job, next_at,
           ended_at FROM batches";

fn read_batch(row: &DbRow) -> Result<BatchRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "batches",
        row: id,
        column,
    };
    let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    let count = |column| -> Result<u64, Fault> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| bad(column))
    };
    let via: Via = row.try_get::<String, _>("via")?.parse().map_err(|_| bad("via"))?;
    Ok(BatchRow {
        id,
        started_at: time("started_at")?,
        actor: Actor::new(row.try_get::<String, _>("actor")?, via),
        reason: row.try_get("reason")?,
        filter: serde_json::from_str(&row.try_get::<String, _>("filter")?).map_err(|_| bad("filter"))?,
        state: match row.try_get::<String, _>("state")?.as_str() {
            "running" => BatchState::Running,
            "done" => BatchState::Done,
            "stopped" => BatchState::Stopped,
            _ => return Err(bad("state")),
        },
        per_second: u32::try_from(row.try_get::<i64, _>("per_second")?).map_err(|_| bad("per_second"))?,
        total: count("total")?,
        done: count("done")?,
        next_at: time("next_at")?,
        ended_at: row
            .try_get::<Option<i64>, _>("ended_at")?
            .map(Timestamp::from_millis),
    })
}

/// Batches, newest first; only running ones where that is asked.
pub(super) async fn list(conn: &mut Conn, running: bool, most: u32) -> Result<Vec<BatchRow>, Fault> {
    let mut query = QueryBuilder::<Db>::new(BATCH);
    if running {
        query.push(" WHERE state = 'running'");
    }
    query
        .push(" ORDER BY id DESC LIMIT ")
        .push_bind(audit::limit(most));
    let rows = query.build().fetch_all(conn).await?;
    rows.iter().map(read_batch).collect()
}

/// The next step of a batch, if it is due: some jobs are tried again, each with its line in the audit log, and what is left
/// moves on in the same transaction. Returns the batch as it stands then.
pub(super) async fn step(conn: &mut Conn, id: i64, now: Timestamp) -> Result<Option<BatchRow>, Fault> {
    let mut query = QueryBuilder::<Db>::new(BATCH);
    query.push(" WHERE id = ").push_bind(id).push(sql::FOR_UPDATE);
    let Some(row) = query.build().fetch_optional(&mut *conn).await? else {
        return Ok(None);
    };
    let mut batch = read_batch(&row)?;
    let (after, upto): (i64, i64) = (row.try_get("last_job")?, row.try_get("upto_job")?);
    if batch.state != BatchState::Running || now < batch.next_at {
        return Ok(Some(batch));
    }
    let most = i64::from(batch.per_second).min(STEP_MOST);
    let lanes = listing::fitting_lanes(conn, &lanes_of(&batch.filter)).await?;
    let mut query = QueryBuilder::<Db>::new("");
    let left = Left {
        after,
        upto,
        seen_until: batch.started_at,
        most,
    };
    push_fitting(&mut query, &batch.filter, &lanes, left)?;
    let found: Vec<i64> = query
        .build_query_scalar()
        .persistent(false)
        .fetch_all(&mut *conn)
        .await?;
    // Somebody may have done something with one of them meanwhile, on another node.
    let mut query =
        QueryBuilder::<Db>::new("SELECT j.id FROM jobs AS j WHERE j.state = 'problem' AND j.id IN (-1");
    for job in &found {
        query.push(format_args!(", {job}"));
    }
    query.push(") ORDER BY j.id").push(sql::FOR_UPDATE_OF_JOBS);
    let jobs: Vec<i64> = query
        .build_query_scalar()
        .persistent(false)
        .fetch_all(&mut *conn)
        .await?;
    if !jobs.is_empty() {
        try_again(conn, &batch, &jobs, now).await?;
    }
    batch.done += jobs.len() as u64;
    batch.next_at = now.plus(STEP);
    if i64::try_from(found.len()).is_ok_and(|count| count < most) {
        batch.state = BatchState::Done;
        batch.ended_at = Some(now);
    }
    sqlx::query(
        "UPDATE batches SET done = $2, last_job = $3, next_at = $4, state = $5, ended_at = $6 WHERE id = $1",
    )
    .bind(id)
    .bind(i64::try_from(batch.done).unwrap_or(i64::MAX))
    .bind(found.last().copied().unwrap_or(after))
    .bind(batch.next_at.millis())
    .bind(if batch.ended_at.is_some() {
        "done"
    } else {
        "running"
    })
    .bind(batch.ended_at.map(Timestamp::millis))
    .execute(conn)
    .await?;
    Ok(Some(batch))
}

/// Makes these jobs available, behind those that somebody waits for.
async fn try_again(conn: &mut Conn, batch: &BatchRow, jobs: &[i64], now: Timestamp) -> Result<(), Fault> {
    let ids = serde_json::to_string(jobs)?;
    sqlx::query(concat!(
        "UPDATE jobs SET state = 'available', run_at = $2, priority = $3, failed_attempts = 0, system_down = NULL,
             waits_on = NULL, held_by = NULL, updated_at = $2 WHERE id ",
        sql::in_array!("$1")
    ))
    .bind(&ids)
    .bind(now.millis())
    .bind(i64::from(Priority::LIVE.0))
    .execute(&mut *conn)
    .await?;
    // Why stands once, in the batch's own line: it may name a person, who may want it removed.
    sqlx::query(concat!(
        "INSERT INTO audit (at, actor, via, action, shop, subject, reason, detail)
         SELECT $2, $3, $4, 'retry', l.shop, 'job:' || j.id, NULL, $5
         FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.id ",
        sql::in_array!("$1")
    ))
    .bind(&ids)
    .bind(now.millis())
    .bind(clean(&batch.actor.name))
    .bind(batch.actor.via.as_str())
    .bind(json!({ "batch": batch.id }).to_string())
    .execute(conn)
    .await?;
    Ok(())
}
