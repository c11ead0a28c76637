//! Retries of many jobs: begun, made step by step, stopped.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, DbRow, audit, sql};
use crate::domain::{Actor, Priority, Timestamp, Via};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{Act, Acted, BatchFilter, BatchRow, BatchState};

/// A batch makes a step so often.
const STEP: Duration = Duration::from_secs(1);

/// A step is one transaction, and others wait for it.
const STEP_MOST: i64 = 500;

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
    let mut query = QueryBuilder::<Db>::new("SELECT count(*) AS total, coalesce(max(p.job_id), 0) AS last");
    push_fitting(&mut query, filter, 0, i64::MAX);
    let row = query.build().persistent(false).fetch_one(&mut *conn).await?;
    let (total, last): (i64, i64) = (row.try_get("total")?, row.try_get("last")?);
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

/// `FROM` and `WHERE`: the jobs that need a person and fit, with numbers after the one and up to the other.
pub(super) fn push_fitting(query: &mut QueryBuilder<Db>, filter: &BatchFilter, after: i64, upto: i64) {
    query
        .push(
            " FROM problems AS p JOIN jobs AS j ON j.id = p.job_id JOIN lanes AS l ON l.id = j.lane_id
              WHERE p.closed_at IS NULL AND p.job_id IS NOT NULL AND j.state = 'problem' AND p.job_id > ",
        )
        .push_bind(after)
        .push(" AND p.job_id <= ")
        .push_bind(upto);
    if let Some(cluster) = &filter.cluster {
        query.push(" AND p.cluster = ").push_bind(clean(cluster));
    }
    if let Some(code) = &filter.code {
        query.push(" AND p.code = ").push_bind(clean(code));
    }
    if let Some(shop) = &filter.shop {
        query.push(" AND p.shop = ").push_bind(shop.as_str().to_owned());
    }
    if let Some(object) = filter.object {
        query.push(" AND l.object = ").push_bind(object.as_str());
    }
    if let Some(direction) = filter.direction {
        query.push(" AND l.direction = ").push_bind(direction.as_str());
    }
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
    let mut query = QueryBuilder::<Db>::new("SELECT p.job_id AS job_id");
    push_fitting(&mut query, &batch.filter, after, upto);
    query.push(" ORDER BY p.job_id LIMIT ").push_bind(most);
    query.push(sql::FOR_UPDATE_OF_JOBS);
    let rows = query.build().persistent(false).fetch_all(&mut *conn).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for row in &rows {
        jobs.push(row.try_get::<i64, _>("job_id")?);
    }
    if !jobs.is_empty() {
        try_again(conn, &batch, &jobs, now).await?;
    }
    batch.done += jobs.len() as u64;
    batch.next_at = now.plus(STEP);
    if i64::try_from(jobs.len()).is_ok_and(|count| count < most) {
        batch.state = BatchState::Done;
        batch.ended_at = Some(now);
    }
    sqlx::query(
        "UPDATE batches SET done = $2, last_job = $3, next_at = $4, state = $5, ended_at = $6 WHERE id = $1",
    )
    .bind(id)
    .bind(i64::try_from(batch.done).unwrap_or(i64::MAX))
    .bind(jobs.last().copied().unwrap_or(after))
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
    sqlx::query(concat!(
        "INSERT INTO audit (at, actor, via, action, shop, subject, reason, detail)
         SELECT $2, $3, $4, 'retry', l.shop, 'job:' || j.id, $5, $6
         FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.id ",
        sql::in_array!("$1")
    ))
    .bind(&ids)
    .bind(now.millis())
    .bind(clean(&batch.actor.name))
    .bind(batch.actor.via.as_str())
    .bind(batch.reason.as_deref().map(clean))
    .bind(json!({ "batch": batch.id }).to_string())
    .execute(conn)
    .await?;
    Ok(())
}
