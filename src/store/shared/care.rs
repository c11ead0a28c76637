//! Open problems by cause, and who looks after them.

use serde_json::{Value, json};
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, audit, problems};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{Act, Acted, Cluster, ClusterFilter, ClusterRow};

pub(super) async fn claim(
    conn: &mut Conn,
    act: &Act,
    cluster: &Cluster,
    over: bool,
) -> Result<(Acted, Value), Fault> {
    let who = clean(&act.actor.name);
    let known: Option<String> = sqlx::query_scalar::<_, Option<String>>(
        "SELECT claimed_by FROM problem_care WHERE shop = $1 AND code = $2 AND cluster = $3",
    )
    .bind(cluster.shop.as_str())
    .bind(clean(&cluster.code))
    .bind(clean(&cluster.cluster))
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    match &known {
        Some(owner) if *owner == who => return Ok((Acted::Already, Value::Null)),
        Some(owner) if !over => return Ok((Acted::Taken(owner.clone()), Value::Null)),
        _ => {}
    }
    let rows = sqlx::query(
        "INSERT INTO problem_care (shop, code, cluster, claimed_by, claimed_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (shop, code, cluster) DO UPDATE SET claimed_by = excluded.claimed_by,
             claimed_at = excluded.claimed_at
         WHERE problem_care.claimed_by IS NULL OR problem_care.claimed_by = $6",
    )
    .bind(cluster.shop.as_str())
    .bind(clean(&cluster.code))
    .bind(clean(&cluster.cluster))
    .bind(&who)
    .bind(act.at.millis())
    .bind(known.as_deref())
    .execute(conn)
    .await?
    .rows_affected();
    // On PostgreSQL somebody else may have claimed it between the two statements.
    if rows == 0 {
        return Ok((Acted::Taken("somebody else".to_owned()), Value::Null));
    }
    Ok((Acted::Done, json!({ "before": known })))
}

pub(super) async fn unclaim(conn: &mut Conn, cluster: &Cluster) -> Result<Acted, Fault> {
    let rows = sqlx::query(
        "UPDATE problem_care SET claimed_by = NULL, claimed_at = NULL
         WHERE shop = $1 AND code = $2 AND cluster = $3 AND claimed_by IS NOT NULL",
    )
    .bind(cluster.shop.as_str())
    .bind(clean(&cluster.code))
    .bind(clean(&cluster.cluster))
    .execute(conn)
    .await?
    .rows_affected();
    Ok(if rows > 0 { Acted::Done } else { Acted::Already })
}

pub(super) async fn snooze(
    conn: &mut Conn,
    cluster: &Cluster,
    until: Option<Timestamp>,
) -> Result<Acted, Fault> {
    sqlx::query(
        "INSERT INTO problem_care (shop, code, cluster, snoozed_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (shop, code, cluster) DO UPDATE SET snoozed_until = excluded.snoozed_until",
    )
    .bind(cluster.shop.as_str())
    .bind(clean(&cluster.code))
    .bind(clean(&cluster.cluster))
    .bind(until.map(Timestamp::millis))
    .execute(conn)
    .await?;
    Ok(Acted::Done)
}

/// Open problems by cause, the most frequent first.
pub(super) async fn clusters(conn: &mut Conn, filter: &ClusterFilter) -> Result<Vec<ClusterRow>, Fault> {
    let mut query = clusters_question(filter);
    let rows = query.build().persistent(false).fetch_all(&mut *conn).await?;
    let mut examples = Vec::with_capacity(rows.len());
    for row in &rows {
        examples.push(row.try_get::<i64, _>("example")?);
    }
    let examples = problems::by_ids(conn, &examples).await?;
    let mut clusters = Vec::with_capacity(rows.len());
    for row in &rows {
        let example: i64 = row.try_get("example")?;
        let bad = |column| Fault::BadRow {
            table: "problems",
            row: example,
            column,
        };
        let count = |column| -> Result<u64, Fault> {
            u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| bad(column))
        };
        let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
        let found = examples
            .iter()
            .find(|problem| problem.id == example)
            .ok_or_else(|| bad("id"))?;
        clusters.push(ClusterRow {
            cluster: Cluster {
                shop: row
                    .try_get::<String, _>("shop")?
                    .parse()
                    .map_err(|_| bad("shop"))?,
                code: row.try_get("code")?,
                cluster: row.try_get("cluster")?,
            },
            problems: count("problems")?,
            jobs: count("jobs")?,
            opened_at: time("opened_at")?,
            seen_at: time("seen_at")?,
            example: found.problem.clone(),
            example_job: found.job,
            claimed_by: row.try_get("claimed_by")?,
            snoozed_until: row
                .try_get::<Option<i64>, _>("snoozed_until")?
                .map(Timestamp::from_millis),
        });
    }
    Ok(clusters)
}

pub(super) fn clusters_question(filter: &ClusterFilter) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT g.shop, g.code, g.cluster, g.problems, g.jobs, g.opened_at, g.seen_at, g.example, c.claimed_by,
                c.snoozed_until
         FROM (SELECT p.shop, p.code, p.cluster, count(*) AS problems, count(p.job_id) AS jobs,
                      min(p.opened_at) AS opened_at, max(p.seen_at) AS seen_at, max(p.id) AS example FROM ",
    );
    if let Some(person) = &filter.claimed_by {
        query
            .push(
                "problem_care AS m CROSS JOIN problems AS p WHERE p.cluster = m.cluster AND p.code = m.code
                     AND p.shop = m.shop AND p.closed_at IS NULL AND m.claimed_by = ",
            )
            .push_bind(clean(person));
    } else {
        query.push("problems AS p WHERE p.closed_at IS NULL");
    }
    if let Some(cluster) = &filter.cluster {
        query.push(" AND p.cluster = ").push_bind(clean(cluster));
    }
    if let Some(code) = &filter.code {
        query.push(" AND p.code = ").push_bind(clean(code));
    }
    if let Some(shop) = &filter.shop {
        query.push(" AND p.shop = ").push_bind(shop.as_str().to_owned());
    }
    query
        .push(" GROUP BY p.cluster, p.code, p.shop ORDER BY problems DESC, example DESC LIMIT ")
        .push_bind(audit::limit(filter.limit))
        .push(
            ") AS g LEFT JOIN problem_care AS c ON c.shop = g.shop AND c.code = g.code AND c.cluster = g.cluster
             ORDER BY g.problems DESC, g.example DESC",
        );
    query
}
