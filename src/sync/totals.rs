//! Whether the ERP's order costs what Shopify's does: the last check before anything is confirmed.
//!
//! Taxes are compared in sum and for each rate. Odoo's own summary of an order adds up tax *groups*, which several rates
//! may share, so the amounts of each rate come from the order's lines: each carries its taxes and what they come to.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::{BookedLine, Currency, ErpId, FieldValue, Order, round_half_up};
use crate::erp::{SalesOrder, SalesOrderLine};
use crate::mapping::MappedRow;

/// The field of a line that holds its taxes.
const TAXES: &str = "tax_ids";

/// What an order costs on both sides, and how far it may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    /// Shopify's total with tax.
    pub(super) shop_total: Decimal,
    /// Shopify's tax.
    pub(super) shop_tax: Decimal,
    /// The ERP's total with tax.
    pub(super) erp_total: Decimal,
    /// The ERP's tax.
    pub(super) erp_tax: Decimal,
    /// The currency of all four.
    pub(super) currency: Currency,
}

/// The result of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Equal to the smallest unit, tax within its tolerance.
    Equal,
    /// The total differs by this much (to be added in the ERP).
    TotalDiffers(Decimal),
    /// The total is equal but the tax is not.
    TaxDiffers(Decimal),
}

impl Totals {
    /// Compares.
    pub(super) fn compare(&self, tax_tolerance: Decimal) -> Compared {
        let decimals = self.currency.decimals();
        let missing = round_half_up(self.shop_total - self.erp_total, decimals);
        let tax = round_half_up(self.shop_tax - self.erp_tax, decimals);
        if !missing.is_zero() {
            Compared::TotalDiffers(missing)
        } else if tax.abs() > tax_tolerance {
            Compared::TaxDiffers(tax)
        } else {
            Compared::Equal
        }
    }
}

/// What the lines with the same taxes pay, on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RateTax {
    /// The rates, for people: `19 %`.
    pub name: String,
    /// Shopify's tax.
    pub shop: Decimal,
    /// The ERP's tax.
    pub erp: Decimal,
    /// By how much the ERP's may be off because it rounds each line only to show it.
    #[serde(skip_serializing_if = "Decimal::is_zero")]
    pub unsure: Decimal,
}

/// The tax of each rate (or set of rates) on both sides. `None` when it cannot be told: the mapping makes lines of something
/// else than the order's lines, or leaves their taxes to the ERP.
pub(super) fn by_rate(order: &Order, rows: &[MappedRow], held: &SalesOrder) -> Option<Vec<RateTax>> {
    let rows: BTreeMap<&str, &MappedRow> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
    let mut rates: BTreeMap<Vec<ErpId>, RateTax> = BTreeMap::new();
    for line in &order.lines {
        let Some(row) = rows.get(line.key.as_str()) else {
            if line.taxes.is_empty() {
                continue;
            }
            return None;
        };
        let taxes = match &row.fields.iter().find(|field| *field.target == *TAXES)?.value {
            FieldValue::Records(taxes) => sorted(taxes),
            FieldValue::Clear => Vec::new(),
            _ => return None,
        };
        let rate = rates.entry(taxes).or_default();
        rate.shop += line.taxes.iter().map(|tax| tax.amount).sum::<Decimal>();
        if rate.name.is_empty() {
            rate.name = name(line);
        }
    }
    let tax = |line: &SalesOrderLine| line.total - line.subtotal;
    // A company that rounds per order rounds the lines only to show them, and then they need not add up.
    let half = Decimal::new(5, order.currency.decimals() + 1);
    let exact = held.lines.iter().map(|line| line.total).sum::<Decimal>() == held.total
        && held.lines.iter().map(tax).sum::<Decimal>() == held.tax;
    for line in &held.lines {
        let rate = rates.entry(sorted(&line.taxes)).or_default();
        rate.erp += tax(line);
        if !exact {
            rate.unsure += half;
        }
        if rate.name.is_empty() {
            let ids: Vec<String> = line.taxes.iter().map(|tax| format!("#{tax}")).collect();
            rate.name = format!("the ERP's tax {}", ids.join(" + "));
        }
    }
    Some(
        rates
            .into_values()
            .filter(|rate| !(rate.shop.is_zero() && rate.erp.is_zero()))
            .collect(),
    )
}

/// A set of taxes, in whatever order it was given.
pub(super) fn sorted(taxes: &[ErpId]) -> Vec<ErpId> {
    let mut taxes = taxes.to_vec();
    taxes.sort_unstable();
    taxes
}

/// The rates of a line, for people.
fn name(line: &BookedLine) -> String {
    let rates: Vec<String> = line
        .taxes
        .iter()
        .map(|tax| format!("{} %", tax.rate_percent.normalize()))
        .collect();
    rates.join(" + ")
}

/// The first rate whose tax differs by more than it may.
pub(super) fn differing(rates: &[RateTax], currency: Currency, tolerance: Decimal) -> Option<&RateTax> {
    rates
        .iter()
        .find(|rate| round_half_up(rate.shop - rate.erp, currency.decimals()).abs() > tolerance + rate.unsure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_decimal;

    #[test]
    fn totals_are_equal_to_the_cent_and_taxes_within_their_tolerance() {
        let cents = |cents| Decimal::new(cents, 2);
        for (shop, erp, shop_tax, erp_tax, expected) in [
            ("29.97", "29.97", "5.00", "5.00", Compared::Equal),
            (
                "29.97",
                "29.98",
                "5.00",
                "5.00",
                Compared::TotalDiffers(cents(-1)),
            ),
            ("29.97", "29.94", "5.00", "5.00", Compared::TotalDiffers(cents(3))),
            ("29.97", "29.97", "5.00", "4.97", Compared::TaxDiffers(cents(3))),
            ("29.97", "29.97", "5.00", "4.98", Compared::Equal),
            ("0", "0.00", "0", "0", Compared::Equal),
        ] {
            let read = |text| parse_decimal(text).unwrap();
            let totals = Totals {
                shop_total: read(shop),
                erp_total: read(erp),
                shop_tax: read(shop_tax),
                erp_tax: read(erp_tax),
                currency: "EUR".parse().unwrap(),
            };
            assert_eq!(totals.compare(cents(2)), expected, "{shop} against {erp}");
        }
    }

    #[test]
    fn each_rate_has_its_own_tolerance() {
        let rate = |shop: i64, erp: i64, unsure: i64| RateTax {
            name: "19 %".into(),
            shop: Decimal::new(shop, 2),
            erp: Decimal::new(erp, 2),
            unsure: Decimal::new(unsure, 3),
        };
        let tolerance = Decimal::new(2, 2);
        for (rate, differs) in [
            (rate(500, 500, 0), false),
            (rate(500, 498, 0), false),
            (rate(500, 497, 0), true),
            (rate(500, 503, 0), true),
            // Two lines that were rounded only to be shown.
            (rate(500, 497, 10), false),
            (rate(500, 496, 10), true),
        ] {
            let rates = [RateTax::default(), rate.clone()];
            let found = differing(&rates, "EUR".parse().unwrap(), tolerance);
            assert_eq!(found.is_some(), differs, "{rate:?}");
        }
    }
}
