//! Links: the pair of ids of one record on both sides.

use std::collections::HashMap;

use serde_json::json;
use sqlx::Row as _;

use super::{Conn, DbRow, queue, sql};
use crate::domain::{ErpId, Fence, JobId, Link, LinkKind, LinkState, ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::{clean, millis};
use crate::store::{Adopted, Adoption, Saved};

macro_rules! select {
    ($($rest:expr),+) => {
        concat!(
            "SELECT shop, kind, source_id, model, erp_id, erp_name, state, source_updated_at, agreed,
             agreed_out, writes FROM links ",
            $($rest),+
        )
    };
}

fn read(row: &DbRow) -> Result<Link, Fault> {
    let erp_id: i64 = row.try_get("erp_id")?;
    let bad = |column| Fault::BadRow {
        table: "links",
        row: erp_id,
        column,
    };
    let text = |column| row.try_get::<String, _>(column);
    let optional = |column: &'static str| match row.try_get::<Option<String>, _>(column)? {
        Some(json) => serde_json::from_str(&json).map_err(|_| bad(column)),
        None => Ok(serde_json::Value::Null),
    };
    Ok(Link {
        shop: text("shop")?.parse().map_err(|_| bad("shop"))?,
        kind: text("kind")?.parse().map_err(|_| bad("kind"))?,
        source_id: text("source_id")?,
        model: text("model")?,
        erp_id: ErpId(erp_id),
        erp_name: row.try_get("erp_name")?,
        state: text("state")?.parse().map_err(|_| bad("state"))?,
        source_updated_at: row
            .try_get::<Option<i64>, _>("source_updated_at")?
            .map(Timestamp::from_millis),
        agreed: serde_json::from_str(&text("agreed")?).map_err(|_| bad("agreed"))?,
        agreed_out: optional("agreed_out")?,
        writes: optional("writes")?,
    })
}

/// The links of these source ids.
pub(super) async fn of_sources(
    conn: &mut Conn,
    shop: &ShopName,
    kind: LinkKind,
    source_ids: &[String],
) -> Result<Vec<Link>, Fault> {
    let source_ids: Vec<String> = source_ids.iter().map(|id| clean(id)).collect();
    let rows = sqlx::query(select!(
        "WHERE shop = $1 AND kind = $2 AND source_id ",
        sql::in_texts!("$3")
    ))
    .bind(shop.as_str())
    .bind(kind.as_str())
    .bind(serde_json::to_string(&source_ids)?)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

/// The link of an ERP record: the live one before a retired one, of several addresses the latest.
pub(super) async fn of_erp(
    conn: &mut Conn,
    shop: &ShopName,
    kind: LinkKind,
    erp_id: ErpId,
) -> Result<Option<Link>, Fault> {
    let row = sqlx::query(select!(
        "WHERE shop = $1 AND kind = $2 AND erp_id = $3
         ORDER BY CASE state WHEN 'retired' THEN 1 ELSE 0 END, updated_at DESC, source_id LIMIT 1"
    ))
    .bind(shop.as_str())
    .bind(kind.as_str())
    .bind(erp_id.0)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read).transpose()
}

/// The live links of a kind in the order of their ERP records.
pub(super) async fn in_order(
    conn: &mut Conn,
    shop: &ShopName,
    kind: LinkKind,
    after: Option<ErpId>,
    limit: u32,
) -> Result<Vec<Link>, Fault> {
    let rows = sqlx::query(select!(
        "WHERE shop = $1 AND kind = $2 AND erp_id > $3 AND state <> 'retired' ORDER BY erp_id LIMIT $4"
    ))
    .bind(shop.as_str())
    .bind(kind.as_str())
    .bind(after.map_or(i64::MIN, |id| id.0))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

/// The live links of these ERP records.
pub(super) async fn of_erp_records(
    conn: &mut Conn,
    shop: &ShopName,
    kind: LinkKind,
    erp_ids: &[ErpId],
) -> Result<Vec<Link>, Fault> {
    let rows = sqlx::query(select!(
        "WHERE shop = $1 AND kind = $2 AND state <> 'retired' AND erp_id ",
        sql::in_numbers!("$3")
    ))
    .bind(shop.as_str())
    .bind(kind.as_str())
    .bind(serde_json::to_string(erp_ids)?)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

fn row(link: &Link) -> serde_json::Value {
    json!({
        "shop": link.shop,
        "kind": link.kind,
        "source_id": clean(&link.source_id),
        "model": clean(&link.model),
        "erp_id": link.erp_id,
        "erp_name": link.erp_name.as_deref().map(clean),
        "state": link.state,
        "source_updated_at": millis(link.source_updated_at),
        "agreed": link.agreed.to_string(),
        "agreed_out": (!link.agreed_out.is_null()).then(|| link.agreed_out.to_string()),
        "writes": (!link.writes.is_null()).then(|| link.writes.to_string()),
    })
}

fn rows(links: &[&Link]) -> Result<String, Fault> {
    let rows: Vec<_> = links.iter().map(|link| row(link)).collect();
    Ok(serde_json::to_string(&rows)?)
}

/// The positions of those links whose ERP record belongs to another source record, in the store or earlier among them.
pub(super) async fn conflicts(conn: &mut Conn, links: &[&Link]) -> Result<Vec<usize>, Fault> {
    let mut positions = Vec::new();
    let mut owners: HashMap<(&ShopName, LinkKind, ErpId), &str> = HashMap::new();
    for (position, link) in links.iter().enumerate() {
        if link.state == LinkState::Retired || link.kind == LinkKind::Address {
            continue;
        }
        let owner = owners
            .entry((&link.shop, link.kind, link.erp_id))
            .or_insert(&link.source_id);
        if *owner != link.source_id {
            positions.push(position);
        }
    }
    let stored: String = sqlx::query_scalar(sql::LINKS_IN_CONFLICT)
        .bind(rows(links)?)
        .fetch_one(conn)
        .await?;
    positions.extend(serde_json::from_str::<Vec<usize>>(&stored)?);
    Ok(positions)
}

/// Stores links. Retired ones come first, because they set their ERP record free.
pub(super) async fn save(conn: &mut Conn, links: &[&Link], now: Timestamp) -> Result<(), Fault> {
    // The last word about a source record counts, and one statement may touch a row only once.
    let mut last: HashMap<(&ShopName, LinkKind, &str), &Link> = HashMap::new();
    for link in links {
        last.insert((&link.shop, link.kind, &link.source_id), link);
    }
    let mut links: Vec<&Link> = last.into_values().collect();
    links.sort_by_key(|link| {
        (
            link.state != LinkState::Retired,
            &link.shop,
            link.kind,
            &link.source_id,
        )
    });
    if !links.is_empty() {
        sqlx::query(sql::LINKS_SAVE)
            .bind(rows(&links)?)
            .bind(now.millis())
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// As [`save`], but answers `false` when a unique key stands in the way, with nothing saved and the transaction intact.
pub(super) async fn try_save(conn: &mut Conn, links: &[&Link], now: Timestamp) -> Result<bool, Fault> {
    sqlx::query("SAVEPOINT links").execute(&mut *conn).await?;
    let saved = save(conn, links, now).await;
    if saved.is_err() {
        sqlx::query("ROLLBACK TO SAVEPOINT links")
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query("RELEASE SAVEPOINT links").execute(conn).await?;
    match saved {
        Ok(()) => Ok(true),
        Err(fault) if fault.is_unique_violation() => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Stores links of a running attempt.
pub(super) async fn save_under_fence(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    links: &[Link],
) -> Result<Saved, Fault> {
    if !queue::is_held(conn, job, fence).await? {
        return Ok(Saved::Stale);
    }
    let links: Vec<&Link> = links.iter().collect();
    // An attempt in the middle has no end yet to date its links by; its beginning will do.
    let now: Option<i64> = sqlx::query_scalar("SELECT claimed_at FROM jobs WHERE id = $1")
        .bind(job.0)
        .fetch_one(&mut *conn)
        .await?;
    let now = Timestamp::from_millis(now.unwrap_or_default());
    if !conflicts(conn, &links).await?.is_empty() || !try_save(conn, &links, now).await? {
        return Ok(Saved::Conflict);
    }
    Ok(Saved::Done)
}

/// Links records that exist on both sides.
pub(super) async fn adopt(
    conn: &mut Conn,
    groups: &[Adoption],
    now: Timestamp,
) -> Result<Vec<Adopted>, Fault> {
    sql::keep_locks(conn).await?;
    let mut adopted = Vec::with_capacity(groups.len());
    for group in groups {
        adopted.push(adopt_one(conn, group, now).await?);
    }
    Ok(adopted)
}

async fn adopt_one(conn: &mut Conn, group: &Adoption, now: Timestamp) -> Result<Adopted, Fault> {
    let records: Vec<String> = group
        .records
        .iter()
        .map(|record| clean(&record.to_string()))
        .collect();
    let busy: i64 = sqlx::query_scalar(concat!(
        "SELECT COUNT(*) FROM locks WHERE record ",
        sql::in_texts!("$1")
    ))
    .bind(serde_json::to_string(&records)?)
    .fetch_one(&mut *conn)
    .await?;
    if busy > 0 {
        return Ok(Adopted::Busy);
    }
    let mut wanted: HashMap<(&ShopName, LinkKind), Vec<String>> = HashMap::new();
    for link in group.links.iter().filter(|link| link.state != LinkState::Retired) {
        wanted
            .entry((&link.shop, link.kind))
            .or_default()
            .push(link.source_id.clone());
    }
    for ((shop, kind), sources) in wanted {
        let known = of_sources(conn, shop, kind, &sources).await?;
        if known.iter().any(|link| link.state != LinkState::Retired) {
            return Ok(Adopted::Taken);
        }
    }
    let links: Vec<&Link> = group.links.iter().collect();
    if !conflicts(conn, &links).await?.is_empty() || !try_save(conn, &links, now).await? {
        return Ok(Adopted::Taken);
    }
    Ok(Adopted::Done)
}
