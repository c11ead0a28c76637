//! From Shopify's records to canonical ones: pure, exact, and never a guess.
//!
//! Amounts go from text to decimals and are only added, subtracted and, where units were removed after the sale,
//! divided and rounded to the currency's smallest unit. An order proves itself before it is handed on: its lines add up
//! to the shop's own total, or [`NormaliseError`] says by how much they do not. Any JSON is answered with a record or
//! an error, never with a panic.
//!
//! [`order()`] reads the order, `lines` and `extras` make the booked lines, `removed` works out what edits and refunds left of them,
//! `after` reads payments, refunds and parcels, `discounts` the discounts as they were given, `proof` compares the result with the shop's totals.

mod after;
mod customer;
mod discounts;
mod extras;
mod lines;
mod order;
mod product;
mod proof;
mod read;
mod removed;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::settings::CurrencyChoice;
use crate::domain::{Customer, Order, Product, Variant};

/// Why a record cannot be made canonical.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct NormaliseError {
    /// A stable name of the kind of failure, e.g. `totals_do_not_add_up`.
    pub code: &'static str,
    /// The field of Shopify's record, e.g. `lineItems[2].originalUnitPriceSet`.
    pub field: String,
    /// One plain sentence: what is wrong.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
}

/// The order in one currency.
///
/// # Errors
/// When something that must be there is not, or the lines do not add up to the shop's total.
pub fn order(raw: Value, currency: CurrencyChoice) -> Result<Order, NormaliseError> {
    order::order(raw, currency)
}

/// The customer.
///
/// # Errors
/// When something that must be there is not.
pub fn customer(raw: Value) -> Result<Customer, NormaliseError> {
    customer::customer(raw)
}

/// A variant as it stands in a list of variants; `plain` says that its product has no options.
///
/// # Errors
/// When something that must be there is not.
pub(super) fn variant(raw: &Value, plain: bool) -> Result<Variant, NormaliseError> {
    product::variant(&read::At::root(raw), plain)
}

/// The product with its variants.
///
/// # Errors
/// When something that must be there is not.
pub fn product(raw: Value) -> Result<Product, NormaliseError> {
    product::product(raw)
}
