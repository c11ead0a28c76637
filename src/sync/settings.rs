//! What a shop declares about its flows.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::out::Limits;
use crate::domain::Currency;

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
    /// What becomes of a line that never had a product.
    pub custom_lines: NoProduct,
    /// What becomes of a line whose product was deleted on Shopify since.
    pub lines_of_deleted_products: NoProduct,
    /// What becomes of an order that Shopify recommends to cancel for its risk of fraud.
    pub high_risk: HighRisk,
    /// The largest difference between Shopify's total and the ERP's that may go on a visible rounding line, in the
    /// order's currency. Anything more holds the order. `"0"` allows none; any other limit allows at least one of the
    /// currency's smallest unit, so that one yen is not too much where two cents are declared.
    #[schemars(with = "String")]
    pub rounding_limit: Decimal,
    /// How far the order's tax in the ERP may be from Shopify's while the total is exact; at least one of the currency's
    /// smallest unit, unless it is `"0"`. The same goes for credit notes.
    #[schemars(with = "String")]
    pub tax_tolerance: Decimal,
    /// What becomes of a customer that was deleted on Shopify.
    pub deleted_customers: Deleted,
    /// What becomes of a product that was deleted on Shopify.
    pub deleted_products: Deleted,
    /// What becomes of orders that were placed before the shop's `start_at`.
    pub before_start: BeforeStart,
    /// Whether confirmed orders are invoiced.
    pub invoices: Invoices,
    /// Whether the money that came in is registered in the ERP, each payment once.
    pub payments: Payments,
    /// Whether the money that went back is registered as well. Only with `payments = "register"`.
    pub refund_payments: Payments,
    /// The name of the ERP's journal for each payment gateway, e.g. `{ shopify_payments = "Cards" }`. A gateway that is
    /// not named here is looked for in the table `journal` of the order's mapping.
    pub journals: BTreeMap<String, String>,
    /// What a refund becomes in the ERP.
    pub refunds: Refunds,
    /// What a parcel of Shopify does to the ERP's delivery.
    pub fulfillments: Fulfillments,
    /// Whether an order that is locked in the ERP is unlocked when it was cancelled on Shopify. By default a person is asked:
    /// somebody may have locked it on purpose. For an Odoo that locks every order as it is confirmed.
    pub unlock_to_cancel: bool,
    /// The time zone (IANA name, e.g. `"Europe/Berlin"`) in which the days of invoices, payments and credit notes are told:
    /// a sale shortly after midnight belongs to the new day of the shop, not to that of Greenwich.
    #[schemars(with = "String")]
    pub time_zone: Tz,
    /// What becomes of an invoice or payment of a day for which the books are closed.
    pub closed_period: ClosedPeriod,
    /// How much the ERP may change on the shop at once before a person is asked.
    pub limits: Limits,
}

impl Settings {
    /// The rounding limit for amounts in this currency.
    pub fn rounding_limit_in(&self, currency: Currency) -> Decimal {
        at_least_a_unit(self.rounding_limit, currency)
    }

    /// The tolerance of taxes in this currency.
    pub fn tax_tolerance_in(&self, currency: Currency) -> Decimal {
        at_least_a_unit(self.tax_tolerance, currency)
    }
}

/// A limit below the smallest unit would allow nothing in currencies without decimals, whose least difference is one.
fn at_least_a_unit(limit: Decimal, currency: Currency) -> Decimal {
    if limit.is_zero() {
        limit
    } else {
        limit.max(Decimal::new(1, currency.decimals()))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            guests: Guests::PerContact,
            guest_partner: None,
            book_test_orders: false,
            custom_lines: NoProduct::Fallback,
            lines_of_deleted_products: NoProduct::Fallback,
            high_risk: HighRisk::Hold,
            rounding_limit: Decimal::new(2, 2),
            tax_tolerance: Decimal::new(2, 2),
            deleted_customers: Deleted::Ignore,
            deleted_products: Deleted::Archive,
            before_start: BeforeStart::Skip,
            invoices: Invoices::None,
            payments: Payments::None,
            refund_payments: Payments::None,
            journals: BTreeMap::new(),
            refunds: Refunds::Quantity,
            fulfillments: Fulfillments::Leave,
            unlock_to_cancel: false,
            time_zone: Tz::UTC,
            closed_period: ClosedPeriod::Problem,
            limits: Limits::default(),
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

/// What becomes of a line of goods without a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoProduct {
    /// It is booked on the service product `custom`.
    #[default]
    Fallback,
    /// A person decides; the order is not booked.
    Problem,
}

/// What becomes of an order with a high risk of fraud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HighRisk {
    /// It is a quotation and a problem, until a person confirms it in the ERP or cancels it on Shopify.
    #[default]
    Hold,
    /// It is booked like any other.
    Book,
    /// It is left alone.
    Skip,
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

/// What becomes of orders from before the shop's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeforeStart {
    /// They are left alone.
    #[default]
    Skip,
    /// They are booked as history: no goods are reserved or moved, nothing is invoiced or paid, nobody is mailed.
    Book,
}

/// Whether confirmed orders are invoiced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Invoices {
    /// Not by lockstep.
    #[default]
    None,
    /// A draft invoice, dated to the day of the sale.
    Draft,
    /// An invoice of the day of the sale, put into the books. Drafts that a person made for the order are posted, too.
    Post,
}

/// Whether money is registered in the ERP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payments {
    /// Not by lockstep.
    #[default]
    None,
    /// One payment in the ERP for each successful movement, in the journal of its gateway, matched with the invoice.
    Register,
}

/// What a refund becomes in the ERP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refunds {
    /// While the units are neither delivered nor invoiced, the order's quantity goes down; everything else is a problem
    /// for finance.
    #[default]
    Quantity,
    /// The same while the units are not delivered; everything else becomes a draft credit note, one for each refund.
    CreditNote,
    /// Every refund is a problem for finance; only units that were never sent and not paid back are taken off the order.
    Problem,
}

/// What a parcel of Shopify does to the ERP's delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fulfillments {
    /// Nothing: the ERP delivers by itself.
    #[default]
    Leave,
    /// Its quantities and tracking number are booked on the delivery, which is carried out; what is left stays open.
    Validate,
    /// A person carries out the delivery; until then it is a problem.
    Hold,
}

/// What becomes of a document of a day for which the books are closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedPeriod {
    /// A problem that names the lock date and the next open day. It is never moved silently.
    #[default]
    Problem,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_less_than_the_least_difference_unless_it_is_none() {
        for (limit, currency, expected) in [
            ("0.02", "EUR", "0.02"),
            ("0.02", "JPY", "1"),
            ("3", "JPY", "3"),
            ("0.02", "KWD", "0.02"),
            ("0.001", "EUR", "0.01"),
            ("0.0001", "KWD", "0.001"),
            ("0", "JPY", "0"),
            ("0.00", "EUR", "0"),
        ] {
            let settings = Settings {
                rounding_limit: limit.parse().unwrap(),
                tax_tolerance: limit.parse().unwrap(),
                ..Settings::default()
            };
            let (currency, expected): (Currency, Decimal) =
                (currency.parse().unwrap(), expected.parse().unwrap());
            assert_eq!(
                settings.rounding_limit_in(currency),
                expected,
                "{limit} {currency}"
            );
            assert_eq!(
                settings.tax_tolerance_in(currency),
                expected,
                "{limit} {currency}"
            );
        }
    }
}
