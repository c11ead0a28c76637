//! What is known of each shop: its state, named positions, breakers, privacy requests.

use std::collections::BTreeMap;

use super::{Conn, sql};
use crate::domain::{EventId, RecordKey, ShopName, System, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{BreakerRow, ComplianceRecord, Noted, ShopState};

/// What is known of a shop; made when it is new.
pub(super) async fn state(conn: &mut Conn, shop: &ShopName, now: Timestamp) -> Result<ShopState, Fault> {
    make(conn, shop, now).await?;
    let (first_seen_at, disabled): (i64, Option<String>) =
        sqlx::query_as("SELECT first_seen_at, disabled FROM shops WHERE name = $1")
            .bind(shop.as_str())
            .fetch_one(conn)
            .await?;
    Ok(ShopState {
        first_seen_at: Timestamp::from_millis(first_seen_at),
        disabled,
    })
}

/// The same without making it.
pub(super) async fn known_state(conn: &mut Conn, shop: &ShopName) -> Result<Option<ShopState>, Fault> {
    let row: Option<(i64, Option<String>)> =
        sqlx::query_as("SELECT first_seen_at, disabled FROM shops WHERE name = $1")
            .bind(shop.as_str())
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(first_seen_at, disabled)| ShopState {
        first_seen_at: Timestamp::from_millis(first_seen_at),
        disabled,
    }))
}

async fn make(conn: &mut Conn, shop: &ShopName, now: Timestamp) -> Result<(), Fault> {
    sqlx::query("INSERT INTO shops (name, first_seen_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(shop.as_str())
        .bind(now.millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Disables or enables a shop.
pub(super) async fn set_disabled(
    conn: &mut Conn,
    shop: &ShopName,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), Fault> {
    make(conn, shop, now).await?;
    sqlx::query("UPDATE shops SET disabled = $2, disabled_at = $3 WHERE name = $1")
        .bind(shop.as_str())
        .bind(reason.map(clean))
        .bind(reason.map(|_| now.millis()))
        .execute(conn)
        .await?;
    Ok(())
}

/// A named position.
pub(super) async fn cursor(conn: &mut Conn, shop: &ShopName, name: &str) -> Result<Option<String>, Fault> {
    Ok(
        sqlx::query_scalar("SELECT value FROM cursors WHERE shop = $1 AND name = $2")
            .bind(shop.as_str())
            .bind(clean(name))
            .fetch_optional(conn)
            .await?,
    )
}

/// Moves a named position.
pub(super) async fn set_cursor(
    conn: &mut Conn,
    shop: &ShopName,
    name: &str,
    value: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO cursors (shop, name, value, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (shop, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
    )
    .bind(shop.as_str())
    .bind(clean(name))
    .bind(clean(value))
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes out of the named positions about a record what tells of its content, if only as hashes: an approval of its plan ends, and of
/// a record that is to be carried over with care nothing is known any more that could be written over.
pub(super) async fn redact_record(
    conn: &mut Conn,
    shop: &ShopName,
    record: &RecordKey,
) -> Result<u64, Fault> {
    let about = format!("{}:{}", record.model, record.id);
    let mut touched =
        sqlx::query("UPDATE cursors SET value = '' WHERE shop = $1 AND name = $2 AND value <> ''")
            .bind(shop.as_str())
            .bind(clean(&format!("plan:in:{about}")))
            .execute(&mut *conn)
            .await?
            .rows_affected();
    let name = format!("resync:{about}");
    let text = cursor(&mut *conn, shop, &name).await?.unwrap_or_default();
    let Ok(mut mark) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Ok(touched);
    };
    let is_told = mark["wrote"].as_object().is_some_and(|wrote| !wrote.is_empty());
    if is_told {
        mark["wrote"] = serde_json::json!({});
        touched += sqlx::query("UPDATE cursors SET value = $3 WHERE shop = $1 AND name = $2")
            .bind(shop.as_str())
            .bind(clean(&name))
            .bind(mark.to_string())
            .execute(conn)
            .await?
            .rows_affected();
    }
    Ok(touched)
}

/// The same of a whole shop, of which nothing is carried over any more.
pub(super) async fn redact_records(conn: &mut Conn, shop: &ShopName) -> Result<u64, Fault> {
    let touched = sqlx::query(
        "UPDATE cursors SET value = ''
         WHERE shop = $1 AND value <> '' AND (name LIKE 'plan:in:%' OR name LIKE 'resync:%')",
    )
    .bind(shop.as_str())
    .execute(conn)
    .await?;
    Ok(touched.rows_affected())
}

/// Moves many named positions at once; of one that is named twice, the last counts. Returns how many stand elsewhere than
/// before.
pub(super) async fn set_cursors(
    conn: &mut Conn,
    shop: &ShopName,
    notes: &[Noted],
    now: Timestamp,
) -> Result<u64, Fault> {
    let values: BTreeMap<String, String> = notes
        .iter()
        .map(|note| (clean(&note.name), clean(&note.value)))
        .collect();
    if values.is_empty() {
        return Ok(0);
    }
    let rows: Vec<(String, String)> = values.into_iter().collect();
    Ok(sqlx::query(sql::CURSORS_SET)
        .bind(shop.as_str())
        .bind(serde_json::to_string(&rows)?)
        .bind(now.millis())
        .execute(conn)
        .await?
        .rows_affected())
}

/// A named position that keeps what it was first set to: of many that set it at once, one does.
pub(super) async fn first_value(
    conn: &mut Conn,
    shop: &ShopName,
    name: &str,
    value: &str,
    now: Timestamp,
) -> Result<String, Fault> {
    sqlx::query(
        "INSERT INTO cursors (shop, name, value, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (shop, name) DO NOTHING",
    )
    .bind(shop.as_str())
    .bind(clean(name))
    .bind(clean(value))
    .bind(now.millis())
    .execute(&mut *conn)
    .await?;
    Ok(
        sqlx::query_scalar("SELECT value FROM cursors WHERE shop = $1 AND name = $2")
            .bind(shop.as_str())
            .bind(clean(name))
            .fetch_one(conn)
            .await?,
    )
}

/// Records a breaker's state.
pub(super) async fn save_breaker(conn: &mut Conn, breaker: &BreakerRow) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO breakers (shop, system, state, since, reason) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (shop, system) DO UPDATE
         SET state = excluded.state, since = excluded.since, reason = excluded.reason",
    )
    .bind(breaker.shop.as_str())
    .bind(breaker.system.as_str())
    .bind(clean(&breaker.state))
    .bind(breaker.since.millis())
    .bind(breaker.reason.as_deref().map(clean))
    .execute(conn)
    .await?;
    Ok(())
}

/// The breakers that were ever recorded.
pub(super) async fn breakers(conn: &mut Conn) -> Result<Vec<BreakerRow>, Fault> {
    let rows: Vec<(String, String, String, i64, Option<String>)> =
        sqlx::query_as("SELECT shop, system, state, since, reason FROM breakers ORDER BY shop, system")
            .fetch_all(conn)
            .await?;
    let bad = |column| Fault::BadRow {
        table: "breakers",
        row: 0,
        column,
    };
    rows.into_iter()
        .map(|(shop, system, state, since, reason)| {
            Ok(BreakerRow {
                shop: shop.parse().map_err(|_| bad("shop"))?,
                system: system.parse::<System>().map_err(|_| bad("system"))?,
                state,
                since: Timestamp::from_millis(since),
                reason,
            })
        })
        .collect()
}

/// Records that a privacy request was carried out; a second time replaces the first record.
pub(super) async fn record_compliance(conn: &mut Conn, record: &ComplianceRecord) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO compliance (shop, topic, event_id, requested_at, done_at, summary)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (shop, topic, event_id) DO UPDATE
         SET done_at = excluded.done_at, summary = excluded.summary",
    )
    .bind(record.shop.as_str())
    .bind(clean(&record.topic))
    .bind(record.event.0)
    .bind(record.requested_at.millis())
    .bind(record.done_at.millis())
    .bind(clean(&record.summary))
    .execute(conn)
    .await?;
    Ok(())
}

/// The privacy requests carried out, newest first.
pub(super) async fn compliance(conn: &mut Conn, shop: &ShopName) -> Result<Vec<ComplianceRecord>, Fault> {
    let rows: Vec<(String, i64, i64, i64, String)> = sqlx::query_as(
        "SELECT topic, event_id, requested_at, done_at, summary FROM compliance WHERE shop = $1 ORDER BY id DESC",
    )
    .bind(shop.as_str())
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(
            |(topic, event, requested_at, done_at, summary)| ComplianceRecord {
                shop: shop.clone(),
                topic,
                event: EventId(event),
                requested_at: Timestamp::from_millis(requested_at),
                done_at: Timestamp::from_millis(done_at),
                summary,
            },
        )
        .collect())
}
