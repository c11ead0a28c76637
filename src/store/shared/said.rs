//! Removing what people said about a customer's problems where it does not stand with a job: notes about causes, and why many
//! jobs were tried again.
//!
//! Nobody can tell whether a note about 137 orders names the one customer who asks to be forgotten. So all notes about causes
//! that the customer's jobs ever had lose their words; who wrote one, and when, stays.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Conn, sql};
use crate::domain::ShopName;
use crate::store::BatchFilter;
use crate::store::fault::Fault;

/// A cause: shop, code, cluster.
type Cause = (String, String, String);

/// Removes the words of notes about causes of these jobs' problems, and the reasons of batches that tried one of them again.
/// To be called before the jobs' own problems and lines are blanked. Returns the rows touched.
pub(super) async fn blank(
    conn: &mut Conn,
    jobs: &[i64],
    subjects: &str,
    removed: &str,
) -> Result<u64, Fault> {
    let ids = serde_json::to_string(jobs)?;
    let causes: Vec<Cause> = sqlx::query_as(concat!(
        "SELECT DISTINCT shop, code, cluster FROM problems WHERE job_id ",
        sql::in_array!("$1")
    ))
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    let mut touched = 0;
    for cause in &causes {
        touched += blank_cause(conn, cause, &ids, removed).await?;
    }
    let details: Vec<String> = sqlx::query_scalar(concat!(
        "SELECT DISTINCT detail FROM audit WHERE action = 'retry' AND subject ",
        sql::in_texts!("$1")
    ))
    .bind(subjects)
    .fetch_all(&mut *conn)
    .await?;
    let of_batch = |detail: &String| serde_json::from_str::<Value>(detail).ok()?["batch"].as_i64();
    let batches: BTreeSet<i64> = details.iter().filter_map(of_batch).collect();
    for batch in batches {
        touched += blank_batch(conn, batch, &causes, removed).await?;
    }
    Ok(touched)
}

async fn blank_cause(conn: &mut Conn, cause: &Cause, jobs: &str, removed: &str) -> Result<u64, Fault> {
    let (shop, code, cluster) = cause;
    let subject = format!("cluster:{code}/{cluster}");
    let mut touched = sqlx::query(
        "UPDATE audit SET reason = $3 WHERE subject = $1 AND shop = $2 AND reason IS NOT NULL AND reason <> $3",
    )
    .bind(&subject)
    .bind(shop)
    .bind(removed)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let of_others: Option<i64> = sqlx::query_scalar(concat!(
        "SELECT id FROM problems WHERE cluster = $2 AND code = $3 AND shop = $4 AND closed_at IS NULL
         AND NOT (coalesce(job_id, -1) ",
        sql::in_array!("$1"),
        ") LIMIT 1"
    ))
    .bind(jobs)
    .bind(cluster)
    .bind(code)
    .bind(shop)
    .fetch_optional(&mut *conn)
    .await?;
    if of_others.is_some() || cluster == code {
        return Ok(touched);
    }
    // Nobody else's: the cause itself may be made of the customer's name.
    touched += sqlx::query("UPDATE audit SET subject = $3 WHERE subject = $1 AND shop = $2")
        .bind(&subject)
        .bind(shop)
        .bind(format!("cluster:{code}/{code}"))
        .execute(&mut *conn)
        .await?
        .rows_affected();
    touched += sqlx::query("DELETE FROM problem_care WHERE shop = $1 AND code = $2 AND cluster = $3")
        .bind(shop)
        .bind(code)
        .bind(cluster)
        .execute(conn)
        .await?
        .rows_affected();
    Ok(touched)
}

/// A batch's reason, and its cause where that is one of the customer's.
async fn blank_batch(conn: &mut Conn, batch: i64, causes: &[Cause], removed: &str) -> Result<u64, Fault> {
    let known: Option<(String, String)> = sqlx::query_as("SELECT filter, state FROM batches WHERE id = $1")
        .bind(batch)
        .fetch_optional(&mut *conn)
        .await?;
    let mut touched = 0;
    if let Some((text, state)) = known {
        let mut filter: BatchFilter = serde_json::from_str(&text)?;
        let is_theirs = |cluster: &String| causes.iter().any(|(.., known)| known == cluster);
        // One that runs needs it to go on; it is forgotten with the next request, or when it is old.
        if state != "running" && filter.cluster.as_ref().is_some_and(is_theirs) {
            filter.cluster = filter.code.clone();
        }
        touched += sqlx::query("UPDATE batches SET reason = $2, filter = $3 WHERE id = $1")
            .bind(batch)
            .bind(removed)
            .bind(serde_json::to_string(&filter)?)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    touched += sqlx::query("UPDATE audit SET reason = $2, detail = 'null' WHERE subject = $1")
        .bind(format!("batch:{batch}"))
        .bind(removed)
        .execute(conn)
        .await?
        .rows_affected();
    Ok(touched)
}

/// All reasons of batches that concern a shop, or all shops. Returns the rows touched.
pub(super) async fn blank_shop(conn: &mut Conn, shop: &ShopName, removed: &str) -> Result<u64, Fault> {
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, filter FROM batches ORDER BY id")
        .fetch_all(&mut *conn)
        .await?;
    let mut touched = 0;
    for (batch, filter) in rows {
        let filter: BatchFilter = serde_json::from_str(&filter)?;
        if filter.shop.is_none_or(|of| of == *shop) {
            touched += blank_batch(conn, batch, &[], removed).await?;
        }
    }
    Ok(touched)
}
