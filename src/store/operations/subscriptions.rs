//! Our webhook subscriptions at a shop, and counts of what they deliver.

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::{ShopName, ShopifyId, Timestamp};
use crate::store::StoreError;

/// Webhook subscriptions of ours, and what arrives through them.
#[async_trait]
pub trait Subscriptions: Send + Sync {
    /// The webhook subscriptions of the shop that are ours, and of each topic the last one that stands no more.
    async fn subscriptions(&self, shop: &ShopName) -> Result<Vec<SubscriptionRow>, StoreError>;

    /// The shops that have subscriptions of ours which stand, as far as we know.
    async fn subscribed_shops(&self) -> Result<Vec<ShopName>, StoreError>;

    /// A shop has another name now: what is known of its subscriptions and of what arrives through them follows.
    async fn rename_subscriptions(&self, from: &ShopName, to: &ShopName) -> Result<(), StoreError>;

    /// Notes a subscription as ours, or what it is now, and tells others of it, all or nothing.
    async fn save_subscription(&self, row: SubscriptionRow, word: Option<Word>) -> Result<(), StoreError>;

    /// Notes that a subscription of ours stands no more, since `at`, and tells others of it, all or nothing. Of one of which that is
    /// known already nothing is told.
    async fn remove_subscription(
        &self,
        shop: &ShopName,
        id: ShopifyId,
        at: Timestamp,
        word: Option<Word>,
    ) -> Result<(), StoreError>;

    /// Notes that these subscriptions stand as they are wanted.
    async fn saw_subscriptions(
        &self,
        shop: &ShopName,
        ids: &[ShopifyId],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Adds to the durable counts of verified deliveries, by shop, topic, subscription's name and hour.
    async fn count_deliveries(&self, counts: Vec<DeliveryCount>) -> Result<(), StoreError>;

    /// The shop's verified deliveries by topic and name: how many in the hours that began at `since` or later, and when the
    /// last of all came.
    async fn deliveries_since(
        &self,
        shop: &ShopName,
        since: Timestamp,
    ) -> Result<Vec<DeliverySum>, StoreError>;
}

/// What others are told together with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The notification, as it stands in the outbox.
    pub body: String,
    /// When it happened.
    pub at: Timestamp,
}

/// A webhook subscription of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubscriptionRow {
    /// Shop.
    pub shop: ShopName,
    /// Shopify's number.
    pub id: ShopifyId,
    /// GraphQL's spelling of its topic.
    pub topic: String,
    /// Where its deliveries go.
    pub uri: String,
    /// Its name.
    pub name: Option<String>,
    /// When Shopify made it.
    pub created_at: Timestamp,
    /// When it last stood as it is wanted.
    pub seen_at: Timestamp,
    /// Since when it stands no more: deleted by us, or not found any more (then it is the time of the last look that found it).
    pub removed_at: Option<Timestamp>,
}

/// Verified deliveries of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryCount {
    /// Shop.
    pub shop: ShopName,
    /// `X-Shopify-Topic`.
    pub topic: String,
    /// `X-Shopify-Name`, empty for none.
    pub name: String,
    /// The start of the hour.
    pub hour: Timestamp,
    /// How many were stored and answered 200.
    pub accepted: u64,
    /// How many were not.
    pub failed: u64,
    /// When the last of them came.
    pub last_at: Timestamp,
    /// When the last came that was stored.
    pub last_accepted_at: Option<Timestamp>,
}

/// Verified deliveries of one topic under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliverySum {
    /// `X-Shopify-Topic`.
    pub topic: String,
    /// `X-Shopify-Name`, empty for none.
    pub name: String,
    /// How many were stored and answered 200, in the hours that were asked about.
    pub accepted: u64,
    /// How many were not.
    pub failed: u64,
    /// When the last of all came.
    pub last_at: Timestamp,
    /// When the last came that was stored.
    pub last_accepted_at: Option<Timestamp>,
}
