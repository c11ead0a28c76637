//! The envelope that every notification comes in.
//!
//! A promise to receivers: within a version, no field is renamed, removed or given another meaning, and every field is
//! always there; one that is not known is null. Fields may be added. `version` is raised only by a change that breaks this.

use std::fmt;

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::detail::{Detail, DetailKind};
use super::event::EventType;
use crate::domain::{
    Direction, Entropy, ErpId, NewProblem, Object, ShopName, ShopifyId, System, Timestamp, text_enum,
};

/// The envelope's version.
pub const VERSION: u32 = 1;

/// What makes a notification the same one however often it is sent: `evt_` and 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NotificationId(String);

impl NotificationId {
    /// A new one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self(format!("evt_{}", hex::encode(entropy.bytes())))
    }

    /// As text. It holds no dot: signatures join it with others by dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_enum! {
    /// What came of the record that a notification is about.
    Status, "status" {
        /// It did not exist on the other side and was made there.
        Created = "created",
        /// It was changed on the other side.
        Updated = "updated",
        /// Nothing had to be done.
        Skipped = "skipped",
        /// It needs a person.
        Failed = "failed",
        /// It waits for somebody's approval.
        Held = "held",
        /// It is done after it had failed or waited.
        Recovered = "recovered",
    }
}

/// One notification, as it is sent. `Debug` shows neither names nor values of records.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// The same whenever this is sent again: what was received before can be told by it.
    pub id: NotificationId,
    /// What happened.
    #[serde(rename = "type")]
    pub event: EventType,
    /// Version of this envelope.
    pub version: u32,
    /// When it happened: RFC 3339, UTC, with milliseconds.
    #[serde(serialize_with = "to_rfc3339", deserialize_with = "from_rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub timestamp: Timestamp,
    /// The shop's name in the configuration.
    pub shop: Option<ShopName>,
    /// Which way the change travelled.
    pub direction: Option<Direction>,
    /// Rises with every notification about one record: what arrives later with a smaller number is older.
    pub sequence: Option<i64>,
    /// The record.
    pub object: Option<ObjectReference>,
    /// What came of it.
    pub status: Option<Status>,
    /// Names of the fields that were changed on the destination's side.
    pub changed: Vec<String>,
    /// Why a person is needed.
    pub problem: Option<ProblemNote>,
    /// Where the change came from.
    pub source: Option<Place>,
    /// Where it was carried to.
    pub destination: Option<Place>,
    /// What is special to this type of event.
    pub detail: Value,
    /// The whole record, where the endpoint asks for it (`include`); amounts are texts with exact digits.
    pub record: Option<Value>,
    /// Records that belong to it, where the endpoint asks for them.
    pub related: Option<Vec<RelatedRecord>>,
    /// The changed fields with their values before and after, where the endpoint asks for them.
    pub values: Option<Vec<ChangedValue>>,
}

/// The record that a notification is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReference {
    /// What it is.
    pub kind: Object,
    /// Title of a product, also of the one whose stock this is; name of a customer.
    pub title: Option<Shown>,
    /// Stock keeping unit: of the product's only variant, or of the item whose stock this is.
    pub sku: Option<String>,
    /// The order's name for people, e.g. `#1001`.
    pub name: Option<String>,
    /// The shop's record.
    pub shopify: Option<ShopifyReference>,
    /// The ERP's record.
    pub erp: Option<ErpReference>,
}

/// A record of the shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShopifyReference {
    /// Global id, e.g. `gid://shopify/Order/450789469`.
    pub gid: String,
    /// The number in it.
    pub number: ShopifyId,
}

impl ShopifyReference {
    /// A record of this kind (GraphQL's name of its type).
    pub fn new(kind: &str, number: ShopifyId) -> Self {
        Self {
            gid: number.gid(kind),
            number,
        }
    }
}

/// A record of the ERP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErpReference {
    /// Its model, e.g. `sale.order`.
    pub model: String,
    /// Its id.
    #[schemars(with = "i64")]
    pub id: ErpId,
    /// Its number for people, e.g. `S00042`; null where that could be a person's name and the endpoint takes no personal data.
    pub number: Option<Shown>,
}

/// A text that may name a person. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(description = "A text that may name a person.")]
pub struct Shown(pub String);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Why a person is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemNote {
    /// A stable name of the kind of problem, e.g. `tax_not_found`.
    pub code: String,
    /// The field that is at fault.
    pub field: Option<String>,
    /// What is wrong; null where the endpoint takes no personal data, since it may quote some.
    pub reason: Option<Shown>,
    /// What to do about it; null as `reason`.
    pub fix: Option<Shown>,
    /// Who is to do it.
    pub owner: String,
    /// The job that waits for it.
    pub job: Option<i64>,
}

impl ProblemNote {
    /// What others are told of a problem.
    pub fn new(problem: &NewProblem, job: Option<i64>) -> Self {
        Self {
            code: problem.code.0.clone(),
            field: problem.field.clone(),
            reason: Some(Shown(problem.reason.clone())),
            fix: Some(Shown(problem.fix.clone())),
            owner: problem.owner.clone(),
            job,
        }
    }
}

/// One side of a shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Which side.
    pub system: System,
    /// The store's permanent name (`main-store.myshopify.com`), or the ERP's database.
    pub name: String,
}

/// A record that belongs to the one that a notification is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RelatedRecord {
    /// What it is to it: `customer`, and of orders also `invoice`, `credit_note` and `delivery`, as far as they were looked at.
    pub kind: String,
    /// The shop's record.
    pub shopify: Option<ShopifyReference>,
    /// The ERP's record.
    pub erp: Option<ErpReference>,
}

/// A field that was changed. `Debug` shows its name only.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "A field that was changed.")]
pub struct ChangedValue {
    /// The field.
    pub field: String,
    /// What it was.
    pub old: Value,
    /// What it is.
    pub new: Value,
}

impl fmt::Debug for ChangedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangedValue")
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("id", &self.id)
            .field("event", &self.event)
            .field("shop", &self.shop)
            .field("object", &self.object)
            .finish_non_exhaustive()
    }
}

impl Notification {
    /// A notification of which nothing is known but what happened.
    pub fn new(id: NotificationId, event: EventType, at: Timestamp) -> Self {
        Self {
            id,
            event,
            version: VERSION,
            timestamp: at,
            shop: None,
            direction: None,
            sequence: None,
            object: None,
            status: None,
            changed: Vec::new(),
            problem: None,
            source: None,
            destination: None,
            detail: Value::Null,
            record: None,
            related: None,
            values: None,
        }
    }

    /// The same with what is special to its type.
    #[must_use]
    pub fn with_detail(mut self, detail: &Detail) -> Self {
        debug_assert!(detail.belongs_to(self.event), "{detail:?} of {}", self.event);
        self.detail = serde_json::to_value(detail).unwrap_or_default();
        self
    }

    /// The same without the record, which may be large.
    #[must_use]
    pub(super) fn without_record(&self) -> Self {
        Self {
            id: self.id.clone(),
            event: self.event,
            version: self.version,
            timestamp: self.timestamp,
            shop: self.shop.clone(),
            direction: self.direction,
            sequence: self.sequence,
            object: self.object.clone(),
            status: self.status,
            changed: self.changed.clone(),
            problem: self.problem.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            detail: self.detail.clone(),
            record: None,
            related: self.related.clone(),
            values: self.values.clone(),
        }
    }

    /// The kind of record that it is about.
    pub fn kind(&self) -> Option<Object> {
        self.object
            .as_ref()
            .map(|object| object.kind)
            .or_else(|| self.event.object())
    }

    /// What makes this notification replaceable by another, for endpoints that want only the newest of each: event type, shop,
    /// direction, the record's reference on either side and, where an order has many of them, the number of the payment,
    /// refund or parcel. None where it is about no record, or that number is not known: those are all kept.
    pub fn object_key(&self) -> Option<String> {
        let object = self.object.as_ref()?;
        let shop = self.shop.as_ref().map_or("", ShopName::as_str);
        let direction = self.direction.map_or("", Direction::as_str);
        // The shop's number comes first: a record that is new in the ERP has none there yet.
        let record = match (&object.shopify, &object.erp) {
            (Some(shopify), _) => shopify.gid.clone(),
            (None, Some(erp)) => format!("{}/{}", erp.model, erp.id),
            (None, None) => return None,
        };
        let key = format!("{}/{shop}/{direction}/{record}", self.event);
        Some(match DetailKind::of(self.event).key() {
            None => key,
            Some(field) => match self.detail.get(field)? {
                Value::String(number) if !number.is_empty() => format!("{key}/{number}"),
                Value::Number(number) => format!("{key}/{number}"),
                _ => return None,
            },
        })
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn to_rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn from_rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Timestamp::parse_rfc3339(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
pub(super) mod tests;
