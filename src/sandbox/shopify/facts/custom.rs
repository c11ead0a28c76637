//! Definitions of custom data, and adjustments of stock.

use chrono::{DateTime, Utc};

/// What metafields of one key are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetafieldDefinition {
    /// Number part of the gid.
    pub id: u64,
    /// Value of `MetafieldOwnerType`.
    pub owner_type: String,
    /// Namespace as it is stored.
    pub namespace: String,
    /// Key within the namespace.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Type, e.g. `id`: values of that type are unique.
    pub kind: String,
}

/// One write of quantities that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockAdjustment {
    /// Number part of the gid.
    pub id: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Address of what caused it.
    pub reference: Option<String>,
    /// What changed.
    pub changes: Vec<QuantityChange>,
}

/// One quantity that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityChange {
    /// Which quantity.
    pub name: &'static str,
    /// Inventory item.
    pub item: u64,
    /// Location.
    pub location: u64,
    /// By how much.
    pub delta: i64,
    /// What it is now.
    pub after: i64,
}
