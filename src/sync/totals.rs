//! Whether the ERP's order costs what Shopify's does: the last check before anything is confirmed.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::{Currency, round_half_up};

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
    /// The total differs by this much (to be added in the ERP), small enough for a rounding line.
    Round(Decimal),
    /// The total differs by more than may be rounded away.
    TotalDiffers(Decimal),
    /// The total is equal but the tax is not.
    TaxDiffers(Decimal),
}

impl Totals {
    /// Compares. `rounding_limit` is zero once a rounding line was added.
    pub(super) fn compare(&self, rounding_limit: Decimal, tax_tolerance: Decimal) -> Compared {
        let decimals = self.currency.decimals();
        let missing = round_half_up(self.shop_total - self.erp_total, decimals);
        if missing.is_zero() {
            let tax = round_half_up(self.shop_tax - self.erp_tax, decimals);
            return if tax.abs() <= tax_tolerance {
                Compared::Equal
            } else {
                Compared::TaxDiffers(tax)
            };
        }
        if missing.abs() <= rounding_limit {
            Compared::Round(missing)
        } else {
            Compared::TotalDiffers(missing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_decimal;

    #[test]
    fn a_cent_is_rounded_visibly_and_three_are_not() {
        let limit = Decimal::new(2, 2);
        for (shop, erp, shop_tax, erp_tax, expected) in [
            ("29.97", "29.97", "5.00", "5.00", Compared::Equal),
            (
                "29.97",
                "29.98",
                "5.00",
                "5.00",
                Compared::Round(Decimal::new(-1, 2)),
            ),
            (
                "29.97",
                "29.95",
                "5.00",
                "5.00",
                Compared::Round(Decimal::new(2, 2)),
            ),
            (
                "29.97",
                "29.94",
                "5.00",
                "5.00",
                Compared::TotalDiffers(Decimal::new(3, 2)),
            ),
            (
                "29.97",
                "29.97",
                "5.00",
                "4.97",
                Compared::TaxDiffers(Decimal::new(3, 2)),
            ),
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
            assert_eq!(totals.compare(limit, limit), expected, "{shop} against {erp}");
        }
    }
}
