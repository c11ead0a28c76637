//! What a shop declares about its flows.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[shops.NAME.flow]`: how this shop's records are carried over. Everything has a safe default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What becomes of an order without a customer.
    pub guests: Guests,
    /// The ERP partner (its database id) for guests when `guests = "partner"`.
    pub guest_partner: Option<i64>,
    /// Whether orders of a test gateway are booked. They are skipped by default.
    pub book_test_orders: bool,
    /// The largest difference between Shopify's total and the ERP's that may go on a visible rounding line, in the
    /// order's currency. Anything more holds the order. `"0"` allows none.
    #[schemars(with = "String")]
    pub rounding_limit: Decimal,
    /// How far the order's tax in the ERP may be from Shopify's while the total is exact.
    #[schemars(with = "String")]
    pub tax_tolerance: Decimal,
    /// What becomes of a customer that was deleted on Shopify.
    pub deleted_customers: Deleted,
    /// What becomes of a product that was deleted on Shopify.
    pub deleted_products: Deleted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            guests: Guests::PerContact,
            guest_partner: None,
            book_test_orders: false,
            rounding_limit: Decimal::new(2, 2),
            tax_tolerance: Decimal::new(2, 2),
            deleted_customers: Deleted::Ignore,
            deleted_products: Deleted::Archive,
        }
    }
}

/// What becomes of an order without a customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guests {
    /// One partner for each e-mail address or phone number; an existing partner with that e-mail is adopted.
    #[default]
    PerContact,
    /// One partner for each order.
    PerOrder,
    /// All guests on the one partner named by `guest_partner`.
    Partner,
}

/// What becomes of the ERP record when its source was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deleted {
    /// It is archived.
    Archive,
    /// It stays as it is; the link is kept as history.
    Ignore,
    /// A person decides.
    Problem,
}
