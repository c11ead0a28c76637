//! Removing what notifications tell of a customer or a shop, and what receivers repeated of it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Conn, events, held, outbox, sql};
use crate::domain::{RecordKey, ShopName, System, Timestamp};
use crate::store::OutboxRow;
use crate::store::fault::Fault;
use crate::store::rules::clean;

/// How many notifications are looked through at a time, at most.
const PAGE: u32 = 200;

/// How large their bodies are together, in bytes; one that is larger is looked through by itself.
const PAGE_BYTES: u64 = 8 << 20;

/// The one thing that is read of a body here.
#[derive(Deserialize)]
struct Envelope {
    shop: Option<String>,
}

/// By what notifications about a record are found.
fn key(record: &RecordKey) -> String {
    match record.system {
        System::Shopify => format!("shopify/{}", record.id),
        System::Erp => format!("erp/{}/{}", record.model, record.id),
    }
}

/// A record of the ERP that is linked with one of the shop. What was told of it before there was a link names only itself.
struct Linked {
    /// The kind of record, e.g. `customer`.
    kind: String,
    /// The ERP's model.
    model: String,
    /// The ERP's id.
    id: String,
}

impl Linked {
    fn key(&self) -> String {
        format!("erp/{}/{}", self.model, self.id)
    }

    /// Whether this names it: as a record of the ERP, or as what a job is about that carries it to the shop.
    fn is_named_by(&self, object: &Map<String, Value>) -> bool {
        let is = |key: &str, wanted: &str| match object.get(key) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Number(number)) => number.to_string() == wanted,
            _ => false,
        };
        is("model", &self.model) && is("id", &self.id)
            || is("direction", "out") && is("object", &self.kind) && is("source_id", &self.id)
    }

    /// Whether a body names it anywhere. Its number alone says nothing: short ones stand everywhere.
    fn is_named_in(&self, body: &Value) -> bool {
        match body {
            Value::Object(object) => {
                self.is_named_by(object) || object.values().any(|value| self.is_named_in(value))
            }
            Value::Array(items) => items.iter().any(|item| self.is_named_in(item)),
            _ => false,
        }
    }
}

/// The records of the ERP that these of the shop are linked with.
async fn linked(conn: &mut Conn, shop: &ShopName, records: &[RecordKey]) -> Result<Vec<Linked>, Fault> {
    let mut linked = Vec::new();
    for record in records.iter().filter(|record| record.system == System::Shopify) {
        let pairs: Vec<(String, i64)> = sqlx::query_as(
            "SELECT model, erp_id FROM links WHERE shop = $1 AND kind = $2 AND source_id = $3",
        )
        .bind(shop.as_str())
        .bind(clean(&record.model))
        .bind(clean(&record.id))
        .fetch_all(&mut *conn)
        .await?;
        linked.extend(pairs.into_iter().map(|(model, id)| Linked {
            kind: record.model.clone(),
            model,
            id: id.to_string(),
        }));
    }
    Ok(linked)
}

/// Whether a body in the outbox names one of these records, or one of the ERP that is linked with them.
fn names_one(body: &str, records: &[RecordKey], linked: &[Linked]) -> bool {
    if records
        .iter()
        .any(|record| events::names(body.as_bytes(), &record.id))
    {
        return true;
    }
    if linked.is_empty() {
        return false;
    }
    let read = serde_json::from_str(body);
    linked.iter().any(|record| match &read {
        Ok(read) => record.is_named_in(read),
        Err(_) => [&record.model, &record.id]
            .iter()
            .all(|word| events::names(body.as_bytes(), word)),
    })
}

/// Notifications of the shop in the outbox that name one of these records; all of the shop where none is given.
pub(in super::super) async fn waiting_mentions(
    conn: &mut Conn,
    shop: &ShopName,
    records: Option<&[RecordKey]>,
) -> Result<Vec<i64>, Fault> {
    let linked = linked(&mut *conn, shop, records.unwrap_or_default()).await?;
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = outbox(conn, after, PAGE, PAGE_BYTES).await?;
        for OutboxRow { id, body, .. } in page.rows {
            after = id;
            // One that cannot be read may be of any shop.
            let is_of_shop = serde_json::from_str::<Envelope>(&body)
                .map_or(true, |envelope| envelope.shop.as_deref() == Some(shop.as_str()));
            if is_of_shop && records.is_none_or(|records| names_one(&body, records, &linked)) {
                found.push(id);
            }
        }
        if !page.has_more {
            return Ok(found);
        }
    }
}

async fn drop_waiting(conn: &mut Conn, outbox: &[i64]) -> Result<u64, Fault> {
    Ok(
        sqlx::query(concat!("DELETE FROM outbox WHERE id ", sql::in_array!("$1")))
            .bind(serde_json::to_string(outbox)?)
            .execute(conn)
            .await?
            .rows_affected(),
    )
}

/// Removes what is told of these records and of those of the ERP that they are linked with, and these notifications from the outbox. What waits is not sent any more.
pub(in super::super) async fn redact(
    conn: &mut Conn,
    shop: &ShopName,
    records: &[RecordKey],
    outbox: &[i64],
    now: Timestamp,
) -> Result<u64, Fault> {
    let mut touched = drop_waiting(conn, outbox).await?;
    let linked = linked(&mut *conn, shop, records).await?;
    let keys: Vec<String> = records
        .iter()
        .map(key)
        .chain(linked.iter().map(Linked::key))
        .map(|key| clean(&key))
        .collect();
    let ids: Vec<i64> = sqlx::query_scalar(concat!(
        "SELECT DISTINCT n.id FROM notification_keys AS k JOIN notifications AS n ON n.id = k.notification_id
         WHERE n.shop = $2 AND n.body IS NOT NULL AND k.key ",
        sql::in_texts!("$1")
    ))
    .bind(serde_json::to_string(&keys)?)
    .bind(shop.as_str())
    .fetch_all(&mut *conn)
    .await?;
    touched += blank(conn, &ids, now).await?;
    Ok(touched)
}

/// Removes all notifications of the shop from the outbox that were found there.
pub(in super::super) async fn redact_shop_outbox(conn: &mut Conn, outbox: &[i64]) -> Result<u64, Fault> {
    drop_waiting(conn, outbox).await
}

/// One step of the removal of everything of a shop: notifications with numbers after `after`, up to [`events::STEP`].
pub(in super::super) async fn redact_shop_step(
    conn: &mut Conn,
    shop: &ShopName,
    after: i64,
    now: Timestamp,
) -> Result<u64, Fault> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM notifications WHERE id > $2 AND id <= $3 AND shop = $1 AND body IS NOT NULL ORDER BY id",
    )
    .bind(shop.as_str())
    .bind(after)
    .bind(after.saturating_add(events::STEP))
    .fetch_all(&mut *conn)
    .await?;
    blank(conn, &ids, now).await
}

/// The lowest and the highest number of a notification.
pub(in super::super) async fn ends_of_numbers(conn: &mut Conn) -> Result<(i64, i64), Fault> {
    Ok(
        sqlx::query_as("SELECT coalesce((SELECT min(id) FROM notifications), 0), coalesce((SELECT max(id) FROM notifications), -1)")
            .fetch_one(conn)
            .await?,
    )
}

/// Blanks notifications, what receivers answered to them, and cancels what waits of them. Ids and times stay.
async fn blank(conn: &mut Conn, notifications: &[i64], now: Timestamp) -> Result<u64, Fault> {
    if notifications.is_empty() {
        return Ok(0);
    }
    let notifications = serde_json::to_string(notifications)?;
    // Nobody makes one of them wait anew meanwhile.
    let endpoints: Vec<String> = sqlx::query_scalar(concat!(
        "SELECT DISTINCT endpoint FROM dispatches WHERE notification_id ",
        sql::in_array!("$1")
    ))
    .bind(&notifications)
    .fetch_all(&mut *conn)
    .await?;
    held(conn, &endpoints.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let mut touched = sqlx::query(concat!(
        "UPDATE dispatches SET state = 'cancelled', ended_at = $2, sentence = $3 WHERE state = 'waiting' AND notification_id ",
        sql::in_array!("$1")
    ))
    .bind(&notifications)
    .bind(now.millis())
    .bind(events::REMOVED)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    touched += sqlx::query(concat!(
        "UPDATE dispatches SET sentence = $2 WHERE sentence IS NOT NULL AND sentence <> $2 AND notification_id ",
        sql::in_array!("$1")
    ))
    .bind(&notifications)
    .bind(events::REMOVED)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let mut dispatches: Vec<i64> = sqlx::query_scalar(concat!(
        "SELECT id FROM dispatches WHERE notification_id ",
        sql::in_array!("$1")
    ))
    .bind(&notifications)
    .fetch_all(&mut *conn)
    .await?;
    // The answer to a batch is kept with its first dispatch, and may repeat something of any of them.
    let told_by: Vec<i64> = sqlx::query_scalar(concat!(
        "SELECT DISTINCT told_by FROM dispatch_tries WHERE told_by IS NOT NULL AND dispatch_id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(&dispatches)?)
    .fetch_all(&mut *conn)
    .await?;
    dispatches.extend(told_by);
    touched += sqlx::query(concat!(
        "UPDATE dispatch_tries SET headers = '[]', answer = '',
             sentence = CASE WHEN sentence IS NULL THEN NULL ELSE $2 END WHERE dispatch_id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(&dispatches)?)
    .bind(events::REMOVED)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    touched += sqlx::query(concat!(
        "UPDATE notifications SET body = NULL, record = NULL WHERE body IS NOT NULL AND id ",
        sql::in_array!("$1")
    ))
    .bind(&notifications)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(touched)
}
