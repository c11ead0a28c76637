//! `[shops.NAME.scope]` and `[shops.NAME.review]` as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Object;

/// `[shops.NAME.scope]`: which records are carried over at all, as conditions of the mapping language. Without a condition all
/// are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeSettings {
    /// Which orders, e.g. `{ in = "not order.test and order.totals.total is positive" }`. Asked until an order is booked: one
    /// that stands in the ERP is followed to its end.
    pub orders: RuleTexts,
    /// Which customers. Buyers of orders that are carried over are made in the ERP all the same.
    pub customers: RuleTexts,
    /// Which products, e.g. `{ in = "'wholesale' not in product.tags" }`. An order that sells another one becomes a problem.
    pub products: RuleTexts,
}

/// `[shops.NAME.review]`: what waits for a person before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReviewSettings {
    /// Which orders wait, e.g. `{ in = "order.totals.total > ('5000' | decimal)" }`.
    pub orders: RuleTexts,
    /// Which customers wait.
    pub customers: RuleTexts,
    /// Which products wait.
    pub products: RuleTexts,
    /// Orders wait that have one of these for the first time: `gateway`, `country` (where they are sent to) or `location` (the
    /// store where they were sold). Known is what an order had that was carried over since this version runs.
    pub first_time: Vec<FirstTime>,
}

/// A condition for each direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleTexts {
    /// About Shopify's record: `order`, `customer` or `product`.
    #[serde(rename = "in")]
    pub inward: Option<String>,
    /// About the ERP's record: `partner` or `product`.
    #[serde(rename = "out")]
    pub outward: Option<String>,
}

/// What of an order may be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstTime {
    /// A payment gateway.
    Gateway,
    /// The country that it is sent to, else that of the bill.
    Country,
    /// The store where it was sold.
    Location,
}

impl std::fmt::Display for FirstTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Gateway => "gateway",
            Self::Country => "country",
            Self::Location => "location",
        })
    }
}

impl ScopeSettings {
    pub(super) fn texts(&self) -> [(&'static str, Object, &RuleTexts); 3] {
        [
            ("orders", Object::Order, &self.orders),
            ("customers", Object::Customer, &self.customers),
            ("products", Object::Product, &self.products),
        ]
    }
}

impl ReviewSettings {
    pub(super) fn texts(&self) -> [(&'static str, Object, &RuleTexts); 3] {
        [
            ("orders", Object::Order, &self.orders),
            ("customers", Object::Customer, &self.customers),
            ("products", Object::Product, &self.products),
        ]
    }
}
