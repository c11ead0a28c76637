//! What edits, cancellations and refunds took off an order's lines.
//!
//! Shopify keeps a line as it was sold (quantity, discounts and taxes for all units) and tells how many units are left.
//! What the units that are gone were worth stands in the refunds that took them off; those amounts are Shopify's own
//! and are used first. Where they are missing, or do not cover just the units that are gone, the units that are left
//! keep their share of discounts and taxes, rounded to the smallest unit. The proof at the end judges either way.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::NormaliseError;
use super::lines::Tax;
use super::read::{At, Purse};
use crate::domain::{ShopifyId, round_half_up};

/// How amounts of units that are gone are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// From the refunds, by units where those do not fit.
    Refunds,
    /// By units only.
    Units,
}

/// Units, amount and tax taken off one line. The amount is after discounts and contains tax when prices do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) units: i64,
    pub(super) amount: Decimal,
    pub(super) tax: Decimal,
}

/// Everything that the refunds of an order took off, by the record that it was taken off.
#[derive(Debug, Default)]
pub(super) struct Removals {
    lines: HashMap<ShopifyId, Taken>,
    shipping: HashMap<ShopifyId, Taken>,
    duties: HashMap<ShopifyId, Decimal>,
}

impl Removals {
    pub(super) fn read(order: &At<'_>, purse: Purse) -> Result<Self, NormaliseError> {
        let mut removals = Self::default();
        let refunds = order.get("refunds");
        for refund in refunds.items()? {
            let lines = refund.get("refundLineItems");
            for line in lines.nodes()? {
                let taken = removals
                    .lines
                    .entry(line.get("lineItem").get("id").need_id()?)
                    .or_default();
                taken.units += line.get("quantity").units()?;
                taken.amount += line.get("subtotalSet").need_money(purse)?;
                taken.tax += line.get("totalTaxSet").money_or_zero(purse)?;
            }
            let shipping = refund.get("refundShippingLines");
            for line in shipping.nodes()? {
                // A shipping line may have no id; then what was taken off it is worked out from its current price.
                let Some(id) = line.get("shippingLine").get("id").id()? else {
                    continue;
                };
                let taken = removals.shipping.entry(id).or_default();
                taken.amount += line.get("subtotalAmountSet").need_money(purse)?;
                taken.tax += line.get("taxAmountSet").money_or_zero(purse)?;
            }
            let duties = refund.get("duties");
            for duty in duties.items()? {
                if let Some(id) = duty.get("originalDuty").get("id").id()? {
                    *removals.duties.entry(id).or_default() += duty.get("amountSet").need_money(purse)?;
                }
            }
        }
        Ok(removals)
    }

    pub(super) fn of_line(&self, id: ShopifyId) -> Taken {
        self.lines.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn of_shipping(&self, id: Option<ShopifyId>) -> Taken {
        id.and_then(|id| self.shipping.get(&id).copied())
            .unwrap_or_default()
    }

    pub(super) fn of_duty(&self, id: ShopifyId) -> Decimal {
        self.duties.get(&id).copied().unwrap_or_default()
    }
}

/// Takes `tax` off a line's taxes: exact for a single tax; several taxes share it by their amounts, and what each of
/// them keeps is then our own reckoning.
pub(super) fn less(taxes: &mut [Tax], tax: Decimal, purse: Purse) {
    if let [only] = taxes {
        only.amount -= tax;
        return;
    }
    let all: Decimal = taxes.iter().map(|tax| tax.amount).sum();
    let mut left = tax;
    let last = taxes.len().saturating_sub(1);
    for (index, entry) in taxes.iter_mut().enumerate() {
        let share = if index == last {
            left
        } else {
            portion(tax, entry.amount, all, purse)
        };
        left -= share;
        entry.amount -= share;
        entry.derived = true;
    }
}

/// Leaves of each tax the share of `part` in `whole`.
pub(super) fn scale(taxes: &mut [Tax], part: Decimal, whole: Decimal, purse: Purse) {
    for tax in taxes {
        tax.amount = portion(tax.amount, part, whole, purse);
        tax.derived = true;
    }
}

/// `amount * part / whole`, rounded to the smallest unit; nothing of nothing.
pub(super) fn portion(amount: Decimal, part: Decimal, whole: Decimal, purse: Purse) -> Decimal {
    // Amounts are below 10^12 and so are parts: the product is below 10^24 and fits.
    let share = amount
        .checked_mul(part)
        .and_then(|product| product.checked_div(whole))
        .unwrap_or_default();
    round_half_up(share, purse.currency.decimals())
}
