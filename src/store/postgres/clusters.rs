//! Counts that PostgreSQL keeps: open problems by cause, and what else changes too often for one row. What was added up, and what
//! changed since.
//!
//! Each transaction notes its changes in rows of its own, so that a thousand jobs that fail of one cause do not wait for one
//! counter. Nodes add them up every few seconds ([`add_up`]).

use sqlx::{PgConnection, QueryBuilder};

use super::care;
use crate::store::ClusterFilter;
use crate::store::fault::Fault;
use crate::store::postgres::Db;

/// Where the counts are read.
pub(super) const NAME: &str = "standing";

/// The causes among which the first ones are: the first of those that did not change since they were added up, and all that
/// did. So neither all causes nor all problems are counted.
pub(super) fn push_begin(query: &mut QueryBuilder<Db>, filter: &ClusterFilter, limit: i64) {
    query.push(
        "WITH recent AS (
             SELECT cluster, code, shop, sum(problems)::bigint AS problems, sum(jobs)::bigint AS jobs
             FROM problem_counts_changed GROUP BY cluster, code, shop),
         standing AS (
             (SELECT h.cluster, h.code, h.shop, h.problems, h.jobs, h.newest FROM problem_counts_kept AS h
              WHERE NOT EXISTS (SELECT 1 FROM recent AS r
                  WHERE r.cluster = h.cluster AND r.code = h.code AND r.shop = h.shop)",
    );
    care::push_which(query, filter, "h");
    if let Some(person) = &filter.claimed_by {
        query
            .push(
                " AND EXISTS (SELECT 1 FROM problem_care AS m WHERE m.cluster = h.cluster AND m.code = h.code
                      AND m.shop = h.shop AND m.claimed_by = ",
            )
            .push_bind(crate::store::rules::clean(person))
            .push(")");
    }
    query
        .push(" ORDER BY h.problems DESC, h.newest DESC LIMIT ")
        .push_bind(limit)
        .push(
            ") UNION ALL
             (SELECT r.cluster, r.code, r.shop, r.problems + coalesce(h.problems, 0), r.jobs + coalesce(h.jobs, 0),
                     (SELECT p.id FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = r.cluster
                          AND p.code = r.code AND p.shop = r.shop ORDER BY p.opened_at DESC, p.id DESC LIMIT 1)
              FROM recent AS r LEFT JOIN problem_counts_kept AS h
                  ON h.cluster = r.cluster AND h.code = r.code AND h.shop = r.shop)) ",
        );
}

/// Adds up what changed, unless another node is about it. What was kept and what changed since come to the same before and
/// after, in one transaction, so that nobody who counts meanwhile sees anything of it.
pub(super) async fn add_up(conn: &mut PgConnection) -> Result<(), Fault> {
    let is_alone: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext('add up ' || current_schema()))")
            .fetch_one(&mut *conn)
            .await?;
    if !is_alone {
        return Ok(());
    }
    for statement in [
        "WITH taken AS (DELETE FROM job_counts_changed RETURNING lane_id, state, change)
         INSERT INTO job_counts_kept AS k (lane_id, state, count)
         SELECT lane_id, state, sum(change) FROM taken GROUP BY lane_id, state HAVING sum(change) <> 0
         ON CONFLICT (lane_id, state) DO UPDATE SET count = k.count + excluded.count",
        "WITH taken AS (DELETE FROM problem_counts_changed RETURNING cluster, code, shop, problems, jobs)
         INSERT INTO problem_counts_kept AS k (cluster, code, shop, problems, jobs, newest)
         SELECT t.cluster, t.code, t.shop, sum(t.problems), sum(t.jobs),
             (SELECT p.id FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = t.cluster AND p.code = t.code
                  AND p.shop = t.shop ORDER BY p.opened_at DESC, p.id DESC LIMIT 1)
         FROM taken AS t GROUP BY t.cluster, t.code, t.shop
         ON CONFLICT (cluster, code, shop) DO UPDATE SET problems = k.problems + excluded.problems,
             jobs = k.jobs + excluded.jobs, newest = excluded.newest",
        "DELETE FROM problem_counts_kept WHERE problems <= 0",
        "WITH taken AS (DELETE FROM dispatch_counts_changed RETURNING endpoint, state, change)
         INSERT INTO dispatch_counts_kept AS k (endpoint, state, count)
         SELECT endpoint, state, sum(change) FROM taken GROUP BY endpoint, state HAVING sum(change) <> 0
         ON CONFLICT (endpoint, state) DO UPDATE SET count = k.count + excluded.count",
    ] {
        sqlx::query(statement).execute(&mut *conn).await?;
    }
    Ok(())
}
