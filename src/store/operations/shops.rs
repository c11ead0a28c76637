//! What is kept for each shop.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{ShopName, System, Timestamp};
use crate::store::StoreError;

/// What is known of a shop: its state, its named positions, its breakers.
#[async_trait]
pub trait Shops: Send + Sync {
    /// What is known of a shop; made with `first_seen_at = now` when it is new, except by a tool, which only looks.
    async fn shop_state(&self, shop: &ShopName, now: Timestamp) -> Result<ShopState, StoreError>;

    /// Disables or enables a shop.
    async fn set_shop_disabled(
        &self,
        shop: &ShopName,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// A named position of a shop, e.g. of a run.
    async fn cursor(&self, shop: &ShopName, name: &str) -> Result<Option<String>, StoreError>;

    /// Moves a named position.
    async fn set_cursor(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Sets a named position that nobody has set yet. Returns what stands there then.
    async fn first_value(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<String, StoreError>;

    /// Records the state of a breaker, so that other processes can show it.
    async fn save_breaker(&self, breaker: BreakerRow) -> Result<(), StoreError>;

    /// The breakers that were ever recorded.
    async fn breakers(&self) -> Result<Vec<BreakerRow>, StoreError>;
}

/// What is known of a shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShopState {
    /// When this shop was first seen; older orders are left alone unless the configuration says otherwise.
    pub first_seen_at: Timestamp,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
}

/// The state of one breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BreakerRow {
    /// Shop.
    pub shop: ShopName,
    /// Which side.
    pub system: System,
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// Why it opened.
    pub reason: Option<String>,
}
