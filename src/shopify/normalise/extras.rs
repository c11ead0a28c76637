//! What an order holds beside goods and shipping: duties, additional fees, tips.

use rust_decimal::Decimal;

use super::NormaliseError;
use super::lines::{Draft, Tax, charged, line_key, sold_for};
use super::read::{At, Purse};
use super::removed::{Removals, portion, scale};
use crate::domain::LineKind;

/// A duty and the units of the line that it is for.
struct Duty {
    key: String,
    sold: Decimal,
    left: Decimal,
    taxes: Vec<Tax>,
    units_sold: i64,
    units_gone: i64,
}

/// Duties. What was given back of one stands in the refunds; they need not say of which duty it is, and then the units
/// that are gone and the shop's own sum of duties tell what is left. Where prices contain duties, a duty is a part of
/// its line and no line of its own.
pub(super) fn duties(
    order: &At<'_>,
    taxes_included: bool,
    purse: Purse,
    removals: &Removals,
) -> Result<Vec<Draft>, NormaliseError> {
    if order.get("dutiesIncluded").boolean()?.unwrap_or(false) {
        return Ok(Vec::new());
    }
    let mut duties = Vec::new();
    let items = order.get("lineItems");
    for item in items.nodes()? {
        let units_sold = item.get("quantity").units()?;
        let list = item.get("duties");
        for at in list.items()? {
            let id = at.get("id").need_id()?;
            let sold = at.get("price").need_money(purse)?;
            duties.push(Duty {
                key: format!("duty_{id}"),
                sold,
                left: sold - removals.of_duty(id),
                taxes: charged(&at, sold, taxes_included, purse)?,
                units_sold,
                units_gone: units_sold - item.get("currentQuantity").units()?,
            });
        }
    }
    let told: Decimal = duties.iter().map(|duty| duty.left).sum();
    match order.get("currentTotalDutiesSet").money(purse)? {
        Some(stated) if stated != told => by_units(&mut duties, stated, purse),
        _ => {}
    }
    Ok(duties
        .into_iter()
        .map(|mut duty| {
            if duty.left != duty.sold {
                scale(&mut duty.taxes, duty.left, duty.sold, purse);
            }
            let units = i64::from(!duty.left.is_zero() || duty.sold.is_zero());
            Draft {
                units,
                unit_price: if units == 0 { duty.sold } else { duty.left },
                taxes: duty.taxes,
                ..Draft::single(duty.key, LineKind::Duty, "Duty".to_owned(), duty.left)
            }
        })
        .collect())
}

/// Leaves of each duty the share of the units that are left; what was rounded is moved by one smallest unit at most
/// towards the sum that the shop states.
fn by_units(duties: &mut [Duty], stated: Decimal, purse: Purse) {
    for duty in &mut *duties {
        let (gone, sold) = (Decimal::from(duty.units_gone), Decimal::from(duty.units_sold));
        duty.left = duty.sold - portion(duty.sold, gone, sold, purse);
    }
    let mut difference = stated - duties.iter().map(|duty| duty.left).sum::<Decimal>();
    let step = if difference.is_sign_negative() {
        -purse.smallest()
    } else {
        purse.smallest()
    };
    for duty in duties
        .iter_mut()
        .filter(|duty| duty.units_gone > 0 && duty.units_gone < duty.units_sold)
    {
        if difference.abs() < purse.smallest() {
            break;
        }
        duty.left += step;
        difference -= step;
    }
}

/// Additional fees. Shopify tells only the sum of what is left of them, so a partial refund of several is unclear.
pub(super) fn fees(order: &At<'_>, taxes_included: bool, purse: Purse) -> Result<Vec<Draft>, NormaliseError> {
    let mut drafts = Vec::new();
    let list = order.get("additionalFees");
    for at in list.items()? {
        let price = at.get("price").need_money(purse)?;
        drafts.push(Draft {
            taxes: charged(&at, price, taxes_included, purse)?,
            ..Draft::single(
                format!("fee_{}", at.get("id").need_id()?),
                LineKind::Fee,
                at.get("name").text()?.unwrap_or_else(|| "Fee".to_owned()),
                price,
            )
        });
    }
    let sold: Decimal = drafts.iter().map(|fee| fee.amount).sum();
    let current = order.get("currentTotalAdditionalFeesSet");
    // Absent where the order has none, or where the version served does not know the field.
    let left = current.money(purse)?.unwrap_or(sold);
    if left == sold {
        return Ok(drafts);
    }
    let count = drafts.len();
    for fee in &mut drafts {
        if left.is_zero() {
            scale(&mut fee.taxes, Decimal::ZERO, Decimal::ONE, purse);
            (fee.units, fee.amount) = (0, Decimal::ZERO);
        } else if count == 1 {
            scale(&mut fee.taxes, left, sold, purse);
            (fee.unit_price, fee.amount) = (left, left);
        } else {
            return Err(NormaliseError {
                code: "fees_unclear",
                field: current.path(),
                reason: format!(
                    "of {count} fees that were {sold} together {left} is left, and Shopify does not say of which"
                ),
                fix: "Look at the order's fees in Shopify's admin and book it by hand.".to_owned(),
            });
        }
    }
    Ok(drafts)
}

/// Keys of the line items that are tips. Shopify has no mark for them: they are lines without product, parcel and tax
/// that cannot be fulfilled, and together they are the tip that the order tells.
pub(super) fn tips(order: &At<'_>, purse: Purse) -> Result<Vec<String>, NormaliseError> {
    let total = order.get("totalTipReceivedSet");
    let tip = total.money_or_zero(purse)?;
    if tip.is_zero() {
        return Ok(Vec::new());
    }
    let mut candidates = Vec::new();
    let items = order.get("lineItems");
    for item in items.nodes()? {
        let quantity = item.get("quantity").units()?;
        let none = |name: &'static str| item.get(name).is_nothing();
        let no = |name: &'static str| item.get(name).boolean().map(|value| value != Some(true));
        if none("product")
            && none("variant")
            && no("requiresShipping")?
            && no("taxable")?
            && no("isGiftCard")?
            && item.get("nonFulfillableQuantity").units()? >= quantity
        {
            candidates.push((line_key(item.get("id").need_id()?), sold_for(&item, purse)?));
        }
    }
    let sum: Decimal = candidates.iter().map(|(_, amount)| amount).sum();
    if sum != tip {
        let alone = candidates.iter().position(|(_, amount)| *amount == tip);
        candidates = match alone {
            Some(index) => vec![candidates.swap_remove(index)],
            None if candidates.is_empty() => candidates,
            None => {
                return Err(NormaliseError {
                    code: "tip_unclear",
                    field: total.path(),
                    reason: format!(
                        "the order has a tip of {tip}, and it is not clear which of its lines it is"
                    ),
                    fix: "Look at the order in Shopify's admin and book it by hand.".to_owned(),
                });
            }
        };
    }
    Ok(candidates.into_iter().map(|(key, _)| key).collect())
}
