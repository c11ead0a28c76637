//! Open problems by cause, and who looks after them.

use serde_json::{Value, json};
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, audit, clusters, problems};
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
    let limit = audit::limit(filter.limit);
    let mut query = QueryBuilder::<Db>::new("");
    clusters::push_begin(&mut query, filter, limit);
    query.push(
        "SELECT k.shop, k.code, k.cluster, k.problems, k.jobs, k.newest AS example, c.claimed_by, c.snoozed_until,
                (SELECT min(p.opened_at) FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = k.cluster
                     AND p.code = k.code AND p.shop = k.shop) AS opened_at,
                (SELECT max(p.seen_at) FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = k.cluster
                     AND p.code = k.code AND p.shop = k.shop) AS seen_at
         FROM ",
    );
    let of_care = " c.shop = k.shop AND c.code = k.code AND c.cluster = k.cluster ";
    if let Some(person) = &filter.claimed_by {
        // A person looks after few: these are looked up among all.
        query
            .push(format_args!(
                "problem_care AS c CROSS JOIN {} AS k WHERE{of_care}",
                clusters::NAME
            ))
            .push("AND c.claimed_by = ")
            .push_bind(clean(person));
    } else {
        query.push(format_args!(
            "{} AS k LEFT JOIN problem_care AS c ON{of_care}WHERE true",
            clusters::NAME
        ));
    }
    push_which(&mut query, filter, "k");
    query
        .push(" AND k.problems > 0 ORDER BY k.problems DESC, k.newest DESC LIMIT ")
        .push_bind(limit);
    query
}

/// Which causes are asked for; but whose they are is asked elsewhere.
pub(super) fn push_which(query: &mut QueryBuilder<Db>, filter: &ClusterFilter, of: &str) {
    if let Some(cluster) = &filter.cluster {
        query
            .push(format_args!(" AND {of}.cluster = "))
            .push_bind(clean(cluster));
    }
    if let Some(code) = &filter.code {
        query
            .push(format_args!(" AND {of}.code = "))
            .push_bind(clean(code));
    }
    if let Some(shop) = &filter.shop {
        query
            .push(format_args!(" AND {of}.shop = "))
            .push_bind(shop.as_str().to_owned());
    }
}
