//! The proof that an order's lines are what the shop says they are.
//!
//! Gross amounts add up to the shop's current total exactly; taxes add up to the shop's current tax within half of the
//! smallest unit for each tax line, which is what rounding each of them by itself can make. Amounts of Shopify are never
//! changed for that. Where we had to reckon a share of a tax ourselves (units were removed after the sale) it was rounded,
//! and Shopify may have rounded the other way: [`settle`] moves such amounts, and only such, by one smallest unit towards
//! the shop's own sum of that tax.

use rust_decimal::Decimal;

use super::NormaliseError;
use super::lines::{Draft, Tax, tax};
use super::read::{At, Purse};
use crate::domain::LineKind;

/// The lines, proven, with a line of cash rounding where the shop's total contains one.
pub(super) fn prove(
    order: &At<'_>,
    purse: Purse,
    taxes_included: bool,
    mut drafts: Vec<Draft>,
) -> Result<Vec<Draft>, NormaliseError> {
    settle(order, purse, &mut drafts)?;
    let total = order.get("currentTotalPriceSet");
    let stated = total.need_money(purse)?;
    let lines: Decimal = drafts.iter().map(|draft| draft.gross(taxes_included)).sum();
    if lines != stated {
        match cash_rounding(order, purse)? {
            // Usually only payments are rounded, and the total is not.
            Some(rounding) if lines + rounding == stated => drafts.push(Draft::single(
                "rounding".to_owned(),
                LineKind::Rounding,
                "Cash rounding".to_owned(),
                rounding,
            )),
            _ => {
                return Err(differs(
                    &total,
                    "totals_do_not_add_up",
                    "total",
                    lines,
                    stated,
                    purse,
                ));
            }
        }
    }
    let total = order.get("currentTotalTaxSet");
    let stated = total.need_money(purse)?;
    let taxes: Decimal = drafts.iter().map(Draft::tax).sum();
    let entries: usize = drafts.iter().map(|draft| draft.taxes.len()).sum();
    let tolerance = purse.smallest() * Decimal::from(entries.max(1)) / Decimal::TWO;
    if (taxes - stated).abs() > tolerance {
        return Err(differs(
            &total,
            "taxes_do_not_add_up",
            "total of taxes",
            taxes,
            stated,
            purse,
        ));
    }
    Ok(drafts)
}

fn differs(
    field: &At<'_>,
    code: &'static str,
    what: &str,
    lines: Decimal,
    stated: Decimal,
    purse: Purse,
) -> NormaliseError {
    let currency = purse.currency;
    NormaliseError {
        code,
        field: field.path(),
        reason: format!(
            "the order's lines add up to {} {currency}, Shopify's {what} is {} {currency}: a difference of {} {currency}",
            purse.tidy(lines),
            purse.tidy(stated),
            purse.tidy(lines - stated),
        ),
        fix: "Compare lines, edits and refunds of the order in Shopify's admin and book the order by hand, or report it."
            .to_owned(),
    }
}

fn cash_rounding(order: &At<'_>, purse: Purse) -> Result<Option<Decimal>, NormaliseError> {
    let adjustment = order.get("totalCashRoundingAdjustment");
    if adjustment.is_nothing() {
        return Ok(None);
    }
    let payments = adjustment.get("paymentSet").money_or_zero(purse)?;
    let refunds = adjustment.get("refundSet").money_or_zero(purse)?;
    Ok(Some(payments + refunds).filter(|rounding| !rounding.is_zero()))
}

/// Moves taxes that we reckoned ourselves by at most one smallest unit each, so that each tax adds up to what the shop
/// says of it.
fn settle(order: &At<'_>, purse: Purse, drafts: &mut [Draft]) -> Result<(), NormaliseError> {
    let all = || drafts.iter().flat_map(|draft| &draft.taxes);
    let list = order.get("currentTaxLines");
    if list.is_nothing() || !all().any(|tax| tax.derived && !tax.amount.is_zero()) {
        return Ok(());
    }
    let mut differences: Vec<(Tax, Decimal)> = Vec::new();
    let mut note =
        |tax: &Tax, amount: Decimal| match differences.iter_mut().find(|(known, _)| same(known, tax)) {
            Some((_, difference)) => *difference += amount,
            None => differences.push((tax.clone(), amount)),
        };
    for at in list.items()? {
        let stated = tax(&at, purse)?;
        note(&stated, stated.amount);
    }
    for tax in all() {
        note(tax, -tax.amount);
    }
    for (kind, mut difference) in differences {
        let step = if difference.is_sign_negative() {
            -purse.smallest()
        } else {
            purse.smallest()
        };
        let reckoned = drafts
            .iter_mut()
            .flat_map(|draft| &mut draft.taxes)
            .filter(|tax| tax.derived && !tax.amount.is_zero() && same(tax, &kind));
        for tax in reckoned {
            if difference.abs() < purse.smallest() {
                break;
            }
            tax.amount += step;
            difference -= step;
        }
    }
    Ok(())
}

/// Whether two tax lines are one tax.
fn same(one: &Tax, other: &Tax) -> bool {
    one.title == other.title && one.rate_percent == other.rate_percent
}
