//! Deliveries: what is given of one, what becomes of it, and what was refused.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{EventId, JobId, JobKey, NewProblem, Priority, ShopName, Timestamp};
use crate::store::StoreError;

/// What arrives from outside: deliveries that were verified, and those that were refused.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Stores one delivery and, in the same transaction, what it asks for (see [`DeliveryAction`]). Concurrent calls
    /// share commits; each returns only after its own commit. A delivery whose `dedup_key` and
    /// `triggered_at` the shop has sent before changes nothing.
    async fn record_delivery(&self, delivery: Delivery) -> Result<Recorded, StoreError>;

    /// Adds to the durable counts of refused deliveries, by shop, reason and hour.
    async fn count_rejections(&self, counts: Vec<RejectionCount>) -> Result<(), StoreError>;

    /// The refusals since `since`, newest hour first.
    async fn rejections(&self, since: Timestamp) -> Result<Vec<RejectionCount>, StoreError>;
}

/// One verified delivery of a webhook.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The shop whose secret signed it.
    pub shop: ShopName,
    /// `X-Shopify-Topic`.
    pub topic: String,
    /// `X-Shopify-Webhook-Id`.
    pub webhook_id: Option<String>,
    /// `X-Shopify-Event-Id`.
    pub event_id: Option<String>,
    /// What makes a repetition a repetition, together with `triggered_at` (Shopify repeats it unchanged); unique within the
    /// shop.
    pub dedup_key: String,
    /// `X-Shopify-Triggered-At`.
    pub triggered_at: Option<Timestamp>,
    /// `X-Shopify-API-Version`.
    pub api_version: Option<String>,
    /// When we received it.
    pub received_at: Timestamp,
    /// The exact bytes. Stored compressed where that saves space.
    pub body: bytes::Bytes,
    /// SHA-256 of the body, hexadecimal.
    pub body_sha256: String,
    /// What it asks for.
    pub action: DeliveryAction,
}

/// What a delivery asks for.
#[derive(Clone, Debug)]
pub enum DeliveryAction {
    /// Work on a record: joins the open job of the key or makes one.
    Job {
        /// The record.
        key: JobKey,
        /// How urgent.
        priority: Priority,
    },
    /// Nothing but to be kept, with the reason, e.g. `unknown_topic`, `toggle_off`.
    Record {
        /// Why no work follows.
        reason: &'static str,
    },
    /// It cannot be understood: a job in state `problem` makes it visible.
    Problem {
        /// A key of its own, made of the body's hash.
        key: JobKey,
        /// What a person is told.
        problem: NewProblem,
    },
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored.
    New {
        /// Its event.
        event: EventId,
        /// The job that it made or joined.
        job: Option<JobId>,
    },
    /// The same delivery was stored before; nothing changed.
    Repeated,
}

/// Refused deliveries of one shop, reason and hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RejectionCount {
    /// The shop's name, or `-` where none could be told.
    pub shop: String,
    /// E.g. `bad_signature`, `no_signature`, `unknown_shop`, `too_large`.
    pub reason: String,
    /// The start of the hour.
    pub hour: Timestamp,
    /// How many.
    pub count: u64,
}
