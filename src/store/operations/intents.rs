//! Intents: writes to the shop that were decided and are not yet known to have happened.

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::{Fence, JobId, JobKey, Object, ShopName, Timestamp};
use crate::store::StoreError;

/// Writes to the shop: those whose outcome is not known, and what limits and flows must know of the others.
#[async_trait]
pub trait Intents: Send + Sync {
    /// Commits a write to the shop before it is sent, under the attempt's fence. Returns its number; `None` when the attempt
    /// is no longer ours.
    async fn open_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: NewIntent,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError>;

    /// The writes of this record's jobs whose outcome is not known yet, oldest first. They outlive the job that decided them.
    async fn open_intents(&self, key: &JobKey) -> Result<Vec<Intent>, StoreError>;

    /// Closes an intent whose outcome is known. False when the attempt is no longer ours.
    async fn close_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Notes what the order of a running attempt sells (Shopify's numbers of variants), besides what was noted before. False
    /// when the attempt is no longer ours.
    async fn note_items(&self, job: JobId, fence: Fence, items: Vec<String>) -> Result<bool, StoreError>;

    /// An order of the shop that is still to be carried in and sells this variant, or of which nobody knows yet what it
    /// sells.
    async fn order_in_work(&self, shop: &ShopName, item: &str) -> Result<Option<JobId>, StoreError>;

    /// Notes that a record is written to the shop, for the limits on sudden change; `kind` says what makes it count.
    async fn note_out_write(
        &self,
        shop: &ShopName,
        object: Object,
        kind: &str,
        record: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// How many records of the object, besides this one, were noted since.
    async fn out_writes_since(
        &self,
        shop: &ShopName,
        object: Object,
        kind: &str,
        but: &str,
        since: Timestamp,
    ) -> Result<u64, StoreError>;
}

/// A write that is about to be sent. It is committed first, so that whoever comes after a crash sends the very same again
/// instead of something else beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewIntent {
    /// What kind of write, e.g. `set_quantities`.
    pub kind: String,
    /// The idempotency key that it is sent with: drawn at random, once.
    pub key: String,
    /// Exactly what is sent.
    pub payload: Value,
}

/// A write whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Its number.
    pub id: i64,
    /// What kind of write.
    pub kind: String,
    /// Its idempotency key.
    pub key: String,
    /// Exactly what was sent, or would have been.
    pub payload: Value,
    /// When it was decided.
    pub created_at: Timestamp,
}
