//! Problems: of jobs, and of shops themselves.

use sqlx::Row as _;

use super::{Conn, DbRow, sql};
use crate::domain::{JobId, NewProblem, ProblemCode, ShopName, Timestamp};
use crate::store::ProblemRow;
use crate::store::fault::Fault;
use crate::store::rules::clean;

macro_rules! select {
    ($($rest:expr),+) => {
        concat!(
            "SELECT id, shop, job_id, code, record, field, reason, fix, owner, mapping, cluster, detail, opened_at,
                seen_at, count, closed_at FROM problems ",
            $($rest),+
        )
    };
}

fn read(row: &DbRow) -> Result<ProblemRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "problems",
        row: id,
        column,
    };
    let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    Ok(ProblemRow {
        id,
        shop: row
            .try_get::<String, _>("shop")?
            .parse()
            .map_err(|_| bad("shop"))?,
        job: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
        problem: NewProblem {
            code: ProblemCode(row.try_get("code")?),
            record: row.try_get("record")?,
            field: row.try_get("field")?,
            reason: row.try_get("reason")?,
            fix: row.try_get("fix")?,
            owner: row.try_get("owner")?,
            mapping: row.try_get("mapping")?,
            cluster: row.try_get("cluster")?,
            detail: serde_json::from_str(&row.try_get::<String, _>("detail")?).map_err(|_| bad("detail"))?,
        },
        opened_at: time("opened_at")?,
        seen_at: time("seen_at")?,
        count: u32::try_from(row.try_get::<i64, _>("count")?).map_err(|_| bad("count"))?,
        closed_at: row
            .try_get::<Option<i64>, _>("closed_at")?
            .map(Timestamp::from_millis),
    })
}

async fn insert(
    conn: &mut Conn,
    shop: &str,
    job: Option<JobId>,
    problem: &NewProblem,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO problems (shop, job_id, code, record, field, reason, fix, owner, mapping, cluster, detail,
                               opened_at, seen_at, count)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, 1)",
    )
    .bind(shop)
    .bind(job.map(|job| job.0))
    .bind(clean(&problem.code.0))
    .bind(problem.record.as_deref().map(clean))
    .bind(problem.field.as_deref().map(clean))
    .bind(clean(&problem.reason))
    .bind(clean(&problem.fix))
    .bind(clean(&problem.owner))
    .bind(problem.mapping.as_deref().map(clean))
    .bind(clean(&problem.cluster))
    .bind(problem.detail.to_string())
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// The same cause was seen again: its words are renewed.
async fn renew(conn: &mut Conn, id: i64, problem: &NewProblem, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE problems SET record = $2, field = $3, reason = $4, fix = $5, owner = $6, mapping = $7, detail = $8,
             seen_at = $9, count = count + 1 WHERE id = $1",
    )
    .bind(id)
    .bind(problem.record.as_deref().map(clean))
    .bind(problem.field.as_deref().map(clean))
    .bind(clean(&problem.reason))
    .bind(clean(&problem.fix))
    .bind(clean(&problem.owner))
    .bind(problem.mapping.as_deref().map(clean))
    .bind(problem.detail.to_string())
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens the problem of a job. The open one of the same cause is renewed, one of another cause is closed. Says whether it was
/// opened.
pub(super) async fn open_for_job(
    conn: &mut Conn,
    job: JobId,
    problem: &NewProblem,
    now: Timestamp,
) -> Result<bool, Fault> {
    let open: Option<(i64, String, String)> =
        sqlx::query_as("SELECT id, code, cluster FROM problems WHERE job_id = $1 AND closed_at IS NULL")
            .bind(job.0)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some((id, code, cluster)) = open {
        if code == clean(&problem.code.0) && cluster == clean(&problem.cluster) {
            renew(conn, id, problem, now).await?;
            return Ok(false);
        }
        close_for_jobs(conn, &[job.0], now).await?;
    }
    let shop: String = sqlx::query_scalar(
        "SELECT l.shop FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.id = $1",
    )
    .bind(job.0)
    .fetch_one(&mut *conn)
    .await?;
    insert(conn, &shop, Some(job), problem, now).await?;
    Ok(true)
}

/// Closes the problems of these jobs.
pub(super) async fn close_for_jobs(conn: &mut Conn, jobs: &[i64], now: Timestamp) -> Result<(), Fault> {
    sqlx::query(concat!(
        "UPDATE problems SET closed_at = $2 WHERE closed_at IS NULL AND job_id IS NOT NULL AND job_id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(jobs)?)
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens a problem of the shop itself.
pub(super) async fn open_for_shop(
    conn: &mut Conn,
    shop: &ShopName,
    problem: &NewProblem,
    now: Timestamp,
) -> Result<(), Fault> {
    let open: Option<i64> = sqlx::query_scalar(
        "SELECT id FROM problems
         WHERE shop = $1 AND code = $2 AND cluster = $3 AND closed_at IS NULL AND job_id IS NULL",
    )
    .bind(shop.as_str())
    .bind(clean(&problem.code.0))
    .bind(clean(&problem.cluster))
    .fetch_optional(&mut *conn)
    .await?;
    match open {
        Some(id) => renew(conn, id, problem, now).await,
        None => insert(conn, shop.as_str(), None, problem, now).await,
    }
}

/// Closes the shop's own problems of a code.
pub(super) async fn close_for_shop(
    conn: &mut Conn,
    shop: &ShopName,
    code: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(sqlx::query(
        "UPDATE problems SET closed_at = $3
         WHERE shop = $1 AND code = $2 AND closed_at IS NULL AND job_id IS NULL",
    )
    .bind(shop.as_str())
    .bind(clean(code))
    .bind(now.millis())
    .execute(conn)
    .await?
    .rows_affected())
}

/// Closes the shop's own problem of a code and cluster.
pub(super) async fn close_cluster(
    conn: &mut Conn,
    shop: &ShopName,
    code: &str,
    cluster: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(sqlx::query(
        "UPDATE problems SET closed_at = $4
         WHERE shop = $1 AND code = $2 AND cluster = $3 AND closed_at IS NULL AND job_id IS NULL",
    )
    .bind(shop.as_str())
    .bind(clean(code))
    .bind(clean(cluster))
    .bind(now.millis())
    .execute(conn)
    .await?
    .rows_affected())
}

/// Open problems, newest first.
pub(super) async fn open(conn: &mut Conn, limit: u32) -> Result<Vec<ProblemRow>, Fault> {
    let rows = sqlx::query(select!("WHERE closed_at IS NULL ORDER BY id DESC LIMIT $1"))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// These problems, in no order.
pub(super) async fn by_ids(conn: &mut Conn, ids: &[i64]) -> Result<Vec<ProblemRow>, Fault> {
    let rows = sqlx::query(select!("WHERE id ", sql::in_array!("$1")))
        .bind(serde_json::to_string(ids)?)
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// All problems of a job, oldest first.
pub(super) async fn of_job(conn: &mut Conn, job: JobId) -> Result<Vec<ProblemRow>, Fault> {
    let rows = sqlx::query(select!("WHERE job_id = $1 ORDER BY id"))
        .bind(job.0)
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// The open problems of these jobs.
pub(super) async fn open_of_jobs(conn: &mut Conn, jobs: &[i64]) -> Result<Vec<ProblemRow>, Fault> {
    let rows = sqlx::query(select!(
        "WHERE closed_at IS NULL AND job_id IS NOT NULL AND job_id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(jobs)?)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}
