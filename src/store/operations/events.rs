//! Webhooks that were received, and the privacy requests that empty them.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{EventId, JobId, RecordKey, ShopName, Timestamp};
use crate::store::StoreError;

/// Events, and what privacy asks for: data removed, and that it was.
#[async_trait]
pub trait Events: Send + Sync {
    /// One event with its body.
    async fn event(&self, id: EventId) -> Result<Option<EventRow>, StoreError>;

    /// The events that asked for this job, oldest first, without bodies unless asked for.
    async fn events_of(&self, job: JobId, with_bodies: bool) -> Result<Vec<EventRow>, StoreError>;

    /// Removes or blanks what we store about one customer (by Shopify's id, and the orders named): bodies of their events,
    /// names and details of jobs, attempts and problems. Ids stay, so that nothing is synced twice. Returns rows touched.
    async fn redact(&self, shop: &ShopName, records: &[RecordKey], now: Timestamp)
    -> Result<u64, StoreError>;

    /// As [`Events::redact`], for everything of a shop.
    async fn redact_shop(&self, shop: &ShopName, now: Timestamp) -> Result<u64, StoreError>;

    /// Records that a privacy request was carried out.
    async fn record_compliance(&self, record: ComplianceRecord) -> Result<(), StoreError>;

    /// The privacy requests carried out, newest first.
    async fn compliance_records(&self, shop: &ShopName) -> Result<Vec<ComplianceRecord>, StoreError>;
}

/// One event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventRow {
    /// Number.
    pub id: EventId,
    /// Shop.
    pub shop: ShopName,
    /// Topic.
    pub topic: String,
    /// Delivery's id.
    pub webhook_id: Option<String>,
    /// Action's id.
    pub event_id: Option<String>,
    /// When it happened, by the shop's word.
    pub triggered_at: Option<Timestamp>,
    /// When it came.
    pub received_at: Timestamp,
    /// Hash of the body.
    pub body_sha256: String,
    /// Why no job followed, if none did.
    pub reason: Option<String>,
    /// The body, where it was asked for and is still kept.
    #[serde(skip)]
    pub body: Option<Vec<u8>>,
}

/// A privacy request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComplianceRecord {
    /// Shop.
    pub shop: ShopName,
    /// `customers/data_request`, `customers/redact` or `shop/redact`.
    pub topic: String,
    /// The event that asked.
    pub event: EventId,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When it was done.
    pub done_at: Timestamp,
    /// What was done, without customer data.
    pub summary: String,
}
