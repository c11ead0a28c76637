//! Polling of the ERP: cursors, what was seen, what was there.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, DbRow, intake, nodes, sql};
use crate::domain::{ErpId, ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::{clean, millis};
use crate::store::{
    NewJob, PollCommit, PollCommitted, PollCursor, PollForget, PollForgotten, PresentId, PresentPage, SeenRow,
};

/// How many rows one statement inserts: below every limit on parameters.
const STEP: usize = 500;

/// How far a model was read.
pub(super) async fn cursor(
    conn: &mut Conn,
    shop: &ShopName,
    model: &str,
) -> Result<Option<PollCursor>, Fault> {
    let row: Option<(i64, Option<i64>)> =
        sqlx::query_as("SELECT until, swept_at FROM poll_cursors WHERE shop = $1 AND model = $2")
            .bind(shop.as_str())
            .bind(clean(model))
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(until, swept_at)| PollCursor {
        until: Timestamp::from_millis(until),
        swept_at: swept_at.map(Timestamp::from_millis),
    }))
}

fn read_seen(row: &DbRow) -> Result<SeenRow, Fault> {
    let time = |column| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    Ok(SeenRow {
        id: ErpId(row.try_get("erp_id")?),
        written_at: time("written_at")?,
        hash: row.try_get("hash")?,
        is_settled: row.try_get::<i64, _>("settled")? != 0,
        first_at: time("first_at")?,
    })
}

/// Which of these rows were seen.
pub(super) async fn seen(
    conn: &mut Conn,
    shop: &ShopName,
    model: &str,
    ids: &[ErpId],
) -> Result<Vec<SeenRow>, Fault> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(concat!(
        "SELECT erp_id, written_at, hash, settled, first_at FROM poll_seen
         WHERE shop = $1 AND model = $2 AND erp_id ",
        sql::in_array!("$3")
    ))
    .bind(shop.as_str())
    .bind(clean(model))
    .bind(serde_json::to_string(&ids)?)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_seen).collect()
}

/// The rows that were listed last, after one id and up to another.
pub(super) async fn present(
    conn: &mut Conn,
    shop: &ShopName,
    model: &str,
    after: Option<ErpId>,
    upto: Option<ErpId>,
) -> Result<Vec<PresentId>, Fault> {
    let rows: Vec<(i64, Option<i64>, i64)> = sqlx::query_as(
        "SELECT erp_id, owner, active FROM poll_present
         WHERE shop = $1 AND model = $2 AND erp_id > $3 AND erp_id <= $4 ORDER BY erp_id",
    )
    .bind(shop.as_str())
    .bind(clean(model))
    .bind(lower(after))
    .bind(upper(upto))
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, owner, active)| PresentId {
            id: ErpId(id),
            owner: owner.map(ErpId),
            active: active != 0,
        })
        .collect())
}

fn lower(after: Option<ErpId>) -> i64 {
    after.map_or(i64::MIN, |id| id.0)
}

fn upper(upto: Option<ErpId>) -> i64 {
    upto.map_or(i64::MAX, |id| id.0)
}

/// Whether somebody holds a right.
async fn holds(conn: &mut Conn, (lease, holder): &(String, String)) -> Result<bool, Fault> {
    // An update, so that nobody takes the right before this is saved.
    let held = sqlx::query("UPDATE leases SET holder = holder WHERE name = $1 AND holder = $2")
        .bind(clean(lease))
        .bind(clean(holder))
        .execute(conn)
        .await?;
    Ok(held.rows_affected() > 0)
}

/// Saves one step of a poll with the jobs that it makes, if the right to poll is still held. The number beside each job is
/// its lane's.
pub(super) async fn commit(
    conn: &mut Conn,
    commit: &PollCommit,
    jobs: &[(NewJob, i64)],
) -> Result<PollCommitted, Fault> {
    if !holds(conn, &commit.lease).await? {
        return Ok(PollCommitted::Stale);
    }
    save_seen(conn, commit).await?;
    if let Some(until) = commit.until {
        sqlx::query(
            "INSERT INTO poll_cursors (shop, model, until, moved_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (shop, model) DO UPDATE SET until = excluded.until, moved_at = excluded.moved_at",
        )
        .bind(commit.shop.as_str())
        .bind(clean(&commit.model))
        .bind(until.millis())
        .bind(commit.now.millis())
        .execute(&mut *conn)
        .await?;
        sqlx::query("DELETE FROM poll_seen WHERE shop = $1 AND model = $2 AND written_at < $3")
            .bind(commit.shop.as_str())
            .bind(clean(&commit.model))
            .bind(until.millis())
            .execute(&mut *conn)
            .await?;
    }
    if let Some(page) = &commit.present {
        save_present(conn, commit, page).await?;
    }
    insert_present(conn, commit, &commit.noted).await?;
    let made = intake::enqueue(conn, jobs).await?;
    let made = made.iter().filter(|job| job.created).count();
    Ok(PollCommitted::Done {
        made: u64::try_from(made).unwrap_or(u64::MAX),
    })
}

async fn save_seen(conn: &mut Conn, commit: &PollCommit) -> Result<(), Fault> {
    for rows in commit.seen.chunks(STEP) {
        let mut query = QueryBuilder::<Db>::new(
            "INSERT INTO poll_seen (shop, model, erp_id, written_at, hash, settled, first_at) ",
        );
        query.push_values(rows, |mut values, row| {
            values
                .push_bind(commit.shop.as_str().to_owned())
                .push_bind(clean(&commit.model))
                .push_bind(row.id.0)
                .push_bind(row.written_at.millis())
                .push_bind(row.hash.clone())
                .push_bind(i64::from(row.is_settled))
                .push_bind(row.first_at.millis());
        });
        query.push(
            " ON CONFLICT (shop, model, erp_id) DO UPDATE SET written_at = excluded.written_at,
                hash = excluded.hash, settled = excluded.settled, first_at = excluded.first_at",
        );
        query.build().execute(&mut *conn).await?;
    }
    Ok(())
}

async fn save_present(conn: &mut Conn, commit: &PollCommit, page: &PresentPage) -> Result<(), Fault> {
    sqlx::query("DELETE FROM poll_present WHERE shop = $1 AND model = $2 AND erp_id > $3 AND erp_id <= $4")
        .bind(commit.shop.as_str())
        .bind(clean(&commit.model))
        .bind(lower(page.after))
        .bind(upper(page.upto))
        .execute(&mut *conn)
        .await?;
    insert_present(conn, commit, &page.rows).await?;
    if page.upto.is_none() {
        sqlx::query("UPDATE poll_cursors SET swept_at = $3 WHERE shop = $1 AND model = $2")
            .bind(commit.shop.as_str())
            .bind(clean(&commit.model))
            .bind(millis(Some(commit.now)))
            .execute(conn)
            .await?;
    }
    Ok(())
}

async fn insert_present(conn: &mut Conn, commit: &PollCommit, rows: &[PresentId]) -> Result<(), Fault> {
    // A statement must not meet a row twice.
    let rows: BTreeMap<ErpId, &PresentId> = rows.iter().map(|row| (row.id, row)).collect();
    let rows: Vec<&PresentId> = rows.into_values().collect();
    for rows in rows.chunks(STEP) {
        let mut query =
            QueryBuilder::<Db>::new("INSERT INTO poll_present (shop, model, erp_id, owner, active) ");
        query.push_values(rows, |mut values, row| {
            values
                .push_bind(commit.shop.as_str().to_owned())
                .push_bind(clean(&commit.model))
                .push_bind(row.id.0)
                .push_bind(row.owner.map(|owner| owner.0))
                .push_bind(i64::from(row.active));
        });
        query.push(" ON CONFLICT (shop, model, erp_id) DO UPDATE SET active = excluded.active");
        query.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// Forgets everything about a model, if the right to poll is still held and no newer configuration is acted on.
pub(super) async fn forget(conn: &mut Conn, forget: &PollForget) -> Result<PollForgotten, Fault> {
    // In this order: whoever begins anew under a newer configuration needs the right first.
    let is_ours = holds(conn, &forget.lease).await?
        && nodes::newest(conn)
            .await?
            .is_some_and(|newest| newest.id == forget.revision);
    if !is_ours {
        return Ok(PollForgotten::Stale);
    }
    let mut gone = 0;
    for statement in [
        "DELETE FROM poll_seen WHERE shop = $1 AND model = $2",
        "DELETE FROM poll_present WHERE shop = $1 AND model = $2",
        "DELETE FROM poll_cursors WHERE shop = $1 AND model = $2",
    ] {
        gone += sqlx::query(statement)
            .bind(forget.shop.as_str())
            .bind(clean(&forget.model))
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    Ok(PollForgotten::Done { was_known: gone > 0 })
}
