//! Records given whole, as compact JSON in the shape of the API's own types, instead of being made by actions.
//!
//! Actions compute what a shop would compute, and so can only make orders that the stand-in thought of. A raw order says
//! itself what the shop says about it, contradictions and all. `fixtures/orders/README.md` explains the compact form;
//! the pinned schema decides what may stand where ([`check`]), `fill` completes what may be left out, and the API
//! serves the result to any selection.

mod check;
mod fill;
pub(super) mod shape;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::ids::gid;
use super::shop::Shop;
use super::webhook::Change;

/// Why a raw record was not taken: a mistake in the JSON.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path}: {why}")]
pub struct RawError {
    /// Where, such as `Order.lineItems[0].taxLines[1].rate`.
    pub path: String,
    /// What is wrong there.
    pub why: String,
}

impl RawError {
    fn new(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            why: why.into(),
        }
    }
}

/// One record with everything inside it.
#[derive(Clone, Debug)]
pub(super) struct RawRecord {
    /// Its object type in the schema.
    pub(super) kind: &'static str,
    pub(super) id: u64,
    /// Complete: what may be left out was filled in.
    pub(super) json: Json,
    /// JSON pointers of the records inside, by type and id.
    index: HashMap<(&'static str, u64), String>,
    /// Codes of the shop's and of the buyer's currency.
    pub(super) currencies: (String, String),
    /// How often it was put.
    versions: i32,
}

impl RawRecord {
    /// A record inside, by type and id.
    pub(super) fn inner(&self, kind: &str, id: u64) -> Option<(&'static str, &Json)> {
        let ((kind, _), pointer) = self.index.iter().find(|((k, i), _)| *k == kind && *i == id)?;
        Some((kind, self.json.pointer(pointer)?))
    }

    /// A text of the record itself.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.json[field].as_str()
    }

    /// A time of the record itself; the epoch where there is none.
    pub(super) fn time(&self, field: &str) -> DateTime<Utc> {
        let time = self
            .text(field)
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        time.map_or(DateTime::UNIX_EPOCH, |time| time.to_utc())
    }

    /// The shop's side of an amount of the record itself.
    pub(super) fn amount(&self, field: &str) -> Decimal {
        let amount = self.text(field).and_then(shape::bag);
        amount.map_or(Decimal::ZERO, |(shop, _)| shop)
    }
}

/// All raw records of a shop.
#[derive(Clone, Debug, Default)]
pub(super) struct RawRecords(BTreeMap<(&'static str, u64), RawRecord>);

impl RawRecords {
    pub(super) fn orders(&self) -> impl Iterator<Item = &RawRecord> {
        self.0.values().filter(|record| record.kind == "Order")
    }

    pub(super) fn order(&self, id: u64) -> Option<&RawRecord> {
        self.0.get(&("Order", id))
    }

    /// A record, or one inside another: the outer one, its type, and its JSON.
    pub(super) fn find(&self, kind: &str, id: u64) -> Option<(&RawRecord, &'static str, &Json)> {
        let mut all = self.0.values();
        all.find_map(|record| record.inner(kind, id).map(|(kind, json)| (record, kind, json)))
    }
}

impl Shop {
    /// Puts an order into the shop as it stands in this JSON, in place of the one with the same id, and announces it.
    /// Returns its id.
    ///
    /// # Errors
    /// A field that its type does not have, a value of the wrong shape, a reference that leads nowhere, a missing id.
    pub fn put_order(&mut self, json: &Json) -> Result<u64, RawError> {
        let id = self.put_record("Order", json)?;
        let first = self.raw.order(id).is_some_and(|order| order.versions == 1);
        let topic = if first { "orders/create" } else { "orders/updated" };
        self.announce(&[Change::Order(topic, id)]);
        Ok(id)
    }

    /// Puts a record of any object type into the shop, without announcing it.
    ///
    /// # Errors
    /// As [`Self::put_order`].
    pub fn put_record(&mut self, kind: &str, json: &Json) -> Result<u64, RawError> {
        let Some(kind) = shape::object(kind) else {
            return Err(RawError::new(kind, "the schema has no such object type"));
        };
        let Some(id) = json["id"].as_u64() else {
            return Err(RawError::new(format!("{kind}.id"), "a record needs a number"));
        };
        let versions = self.raw.0.get(&(kind, id)).map_or(0, |old| old.versions) + 1;
        let text = |field: &str, other: &str| json[field].as_str().unwrap_or(other).to_owned();
        let shop_money = text("currencyCode", &self.currency);
        let currencies = (shop_money.clone(), text("presentmentCurrencyCode", &shop_money));
        let mut record = RawRecord {
            kind,
            id,
            index: check::index(kind, json)?,
            json: json.clone(),
            currencies,
            versions,
        };
        // As it was given, so that a mistake is named where it was made.
        check::record(self, &record)?;
        record.json = fill::record(self, kind, json, &record.currencies, versions - 1);
        record.index = check::index(kind, &record.json)?;
        self.raw.0.insert((kind, id), record);
        Ok(id)
    }

    /// Takes a raw order away, as a merchant deletes one. `false` when there is none.
    pub(super) fn delete_raw_order(&mut self, id: u64) -> bool {
        if self.raw.0.remove(&("Order", id)).is_none() {
            return false;
        }
        self.deleted.push(("Order", id));
        self.announce(&[Change::Deleted("orders/delete", "Order", id)]);
        true
    }

    /// Raw orders follow their customer into another one.
    pub(super) fn move_raw_orders(&mut self, gone: u64, kept: u64) {
        for record in self.raw.0.values_mut() {
            if record.kind == "Order" && record.json["customer"] == gone {
                record.json["customer"] = kept.into();
            }
        }
    }
}

/// The body of a webhook about a raw order: bodies are hints, so it says which order and when, and no more.
pub(super) fn body(order: &RawRecord) -> Json {
    serde_json::json!({
        "id": order.id,
        "admin_graphql_api_id": gid("Order", order.id),
        "name": order.text("name"),
        "created_at": order.text("createdAt"),
        "updated_at": order.text("updatedAt"),
        "test": order.json["test"].as_bool().unwrap_or(false),
    })
}
