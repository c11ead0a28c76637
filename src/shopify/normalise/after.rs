//! What happened to an order after the sale: payments, refunds, parcels.

use rust_decimal::Decimal;

use super::NormaliseError;
use super::lines::{Tax, charged, line_key, sold_for};
use super::read::{At, Purse};
use super::removed::portion;
use crate::domain::{
    BookedTax, FulfilledLine, Fulfillment, Payment, Refund, RefundAdjustment, RefundedLine, RefundedShipping,
    Restock, ShopifyId,
};

/// Every movement of money.
pub(super) fn payments(order: &At<'_>, purse: Purse) -> Result<Vec<Payment>, NormaliseError> {
    let mut payments = Vec::new();
    let list = order.get("transactions");
    for at in list.items()? {
        payments.push(Payment {
            id: at.get("id").need_id()?,
            kind: at.get("kind").need_text()?,
            status: at.get("status").need_text()?,
            gateway: at.get("gateway").text()?,
            amount: purse.tidy(at.get("amountSet").need_money(purse)?),
            rounding: purse.tidy(at.get("amountRoundingSet").money_or_zero(purse)?),
            processed_at: at.get("processedAt").time()?,
            reference: at.get("paymentId").text()?,
            parent: at.get("parentTransaction").get("id").id()?,
            test: at.get("test").boolean()?.unwrap_or(false),
        });
    }
    Ok(payments)
}

/// The name of a location, which is unique in a shop; its number where the name is kept from us.
pub(super) fn place(at: &At<'_>) -> Result<Option<String>, NormaliseError> {
    Ok(match at.get("name").text()? {
        Some(name) => Some(name),
        None => at.get("id").id()?.map(|id| id.to_string()),
    })
}

/// Every refund.
pub(super) fn refunds(
    order: &At<'_>,
    purse: Purse,
    taxes_included: bool,
) -> Result<Vec<Refund>, NormaliseError> {
    let mut refunds = Vec::new();
    let list = order.get("refunds");
    for at in list.items()? {
        refunds.push(refund(order, &at, purse, taxes_included)?);
    }
    refunds.sort_by_key(|refund| (refund.created_at, refund.id));
    Ok(refunds)
}

fn refund(order: &At<'_>, at: &At<'_>, purse: Purse, taxes_included: bool) -> Result<Refund, NormaliseError> {
    let lines = lines(order, at, purse, taxes_included)?;
    let shipping = shipping(at, purse, taxes_included)?;
    let adjustments = adjustments(at, purse)?;
    let mut duties = Decimal::ZERO;
    let list = at.get("duties");
    for duty in list.items()? {
        duties += duty.get("amountSet").need_money(purse)?;
    }
    let (paid_back, pending) = money(at, purse)?;
    let total = lines.iter().map(|line| line.gross).sum::<Decimal>()
        + shipping.iter().map(|line| line.gross).sum::<Decimal>()
        + adjustments
            .iter()
            .map(|part| part.net + part.tax)
            .sum::<Decimal>()
        + duties;
    Ok(Refund {
        id: at.get("id").need_id()?,
        created_at: at.get("createdAt").time()?,
        processed_at: at.get("processedAt").time()?,
        note: at.get("note").text()?,
        lines,
        shipping,
        adjustments,
        duties: purse.tidy(duties),
        total: purse.tidy(total),
        paid_back: purse.tidy(paid_back),
        pending: purse.tidy(pending),
    })
}

/// An amount of the order's prices and its tax, as net and gross.
fn net_and_gross(amount: Decimal, tax: Decimal, taxes_included: bool) -> (Decimal, Decimal) {
    if taxes_included {
        (amount - tax, amount)
    } else {
        (amount, amount + tax)
    }
}

fn lines(
    order: &At<'_>,
    refund: &At<'_>,
    purse: Purse,
    taxes_included: bool,
) -> Result<Vec<RefundedLine>, NormaliseError> {
    let mut lines = Vec::new();
    let list = refund.get("refundLineItems");
    for at in list.nodes()? {
        let id = at.get("lineItem").get("id").need_id()?;
        let amount = at.get("subtotalSet").need_money(purse)?;
        let tax = at.get("totalTaxSet").money_or_zero(purse)?;
        let (net, gross) = net_and_gross(amount, tax, taxes_included);
        lines.push(RefundedLine {
            key: line_key(id),
            quantity: Decimal::from(at.get("quantity").units()?),
            restock: restock(at.get("restockType").text()?.as_deref()),
            amount: purse.tidy(amount),
            net: purse.tidy(net),
            tax: purse.tidy(tax),
            gross: purse.tidy(gross),
            taxes: shares(taxes_of(order, id, taxes_included, purse)?, tax, purse),
            location: place(&at.get("location"))?,
        });
    }
    Ok(lines)
}

fn restock(word: Option<&str>) -> Restock {
    word.and_then(|word| word.to_ascii_lowercase().parse().ok())
        .unwrap_or(Restock::Unknown)
}

/// The taxes that were charged on an order's line as sold; none when the line is not there.
fn taxes_of(
    order: &At<'_>,
    id: ShopifyId,
    taxes_included: bool,
    purse: Purse,
) -> Result<Vec<Tax>, NormaliseError> {
    let list = order.get("lineItems");
    for item in list.nodes()? {
        if item.get("id").id()? == Some(id) {
            return charged(&item, sold_for(&item, purse)?, taxes_included, purse);
        }
    }
    Ok(Vec::new())
}

/// `tax` over a line's taxes by their amounts, rounded to the smallest unit; the last one takes what is left.
fn shares(taxes: Vec<Tax>, tax: Decimal, purse: Purse) -> Vec<BookedTax> {
    let all: Decimal = taxes.iter().map(|tax| tax.amount).sum();
    let last = taxes.len().saturating_sub(1);
    let mut left = tax;
    let mut shares = Vec::new();
    for (index, mut entry) in taxes.into_iter().enumerate() {
        entry.amount = if index == last {
            left
        } else {
            portion(tax, entry.amount, all, purse)
        };
        left -= entry.amount;
        if !entry.amount.is_zero() || !entry.rate_percent.is_zero() {
            shares.push(entry.booked(purse));
        }
    }
    shares
}

fn shipping(
    refund: &At<'_>,
    purse: Purse,
    taxes_included: bool,
) -> Result<Vec<RefundedShipping>, NormaliseError> {
    let mut shipping = Vec::new();
    let list = refund.get("refundShippingLines");
    for at in list.nodes()? {
        let amount = at.get("subtotalAmountSet").need_money(purse)?;
        let tax = at.get("taxAmountSet").money_or_zero(purse)?;
        let (net, gross) = net_and_gross(amount, tax, taxes_included);
        shipping.push(RefundedShipping {
            key: match at.get("shippingLine").get("id").id()? {
                Some(id) => format!("shipping_{id}"),
                None => "shipping".to_owned(),
            },
            net: purse.tidy(net),
            tax: purse.tidy(tax),
            gross: purse.tidy(gross),
        });
    }
    Ok(shipping)
}

/// Shopify tells worth less money, so that what the buyer got beyond the lines is negative; here it is the other way
/// round, and everything of a refund can be added up. Its tax comes on top of its amount whatever the order's prices are.
fn adjustments(refund: &At<'_>, purse: Purse) -> Result<Vec<RefundAdjustment>, NormaliseError> {
    let mut adjustments = Vec::new();
    let list = refund.get("orderAdjustments");
    for at in list.nodes_or_none()? {
        let reason = at.get("reason").text()?;
        adjustments.push(RefundAdjustment {
            reason: reason.map_or_else(|| "unknown".to_owned(), |word| word.to_ascii_lowercase()),
            net: purse.tidy(-at.get("amountSet").need_money(purse)?),
            tax: purse.tidy(-at.get("taxAmountSet").money_or_zero(purse)?),
        });
    }
    Ok(adjustments)
}

/// What went back, and what is on its way.
fn money(refund: &At<'_>, purse: Purse) -> Result<(Decimal, Decimal), NormaliseError> {
    let (mut paid_back, mut pending) = (Decimal::ZERO, Decimal::ZERO);
    let list = refund.get("transactions");
    for at in list.nodes_or_none()? {
        if at.get("kind").text()?.as_deref() != Some("REFUND") {
            continue;
        }
        let amount = at.get("amountSet").need_money(purse)?;
        match at.get("status").text()?.as_deref() {
            Some("SUCCESS") => paid_back += amount,
            Some("PENDING" | "AWAITING_RESPONSE") => pending += amount,
            // Failed, or not known to be on its way: no money moved.
            _ => {}
        }
    }
    Ok((paid_back, pending))
}

/// Every parcel.
pub(super) fn fulfillments(order: &At<'_>) -> Result<Vec<Fulfillment>, NormaliseError> {
    let mut parcels = Vec::new();
    let list = order.get("fulfillments");
    for at in list.items()? {
        let mut lines = Vec::new();
        let items = at.get("fulfillmentLineItems");
        for item in items.nodes()? {
            let quantity = item.get("quantity");
            lines.push(FulfilledLine {
                key: line_key(item.get("lineItem").get("id").need_id()?),
                quantity: Decimal::from(if quantity.is_nothing() {
                    0
                } else {
                    quantity.units()?
                }),
            });
        }
        let (mut tracking_company, mut tracking_numbers) = (None, Vec::new());
        let tracking = at.get("trackingInfo");
        for info in tracking.items()? {
            tracking_company = tracking_company.or(info.get("company").text()?);
            tracking_numbers.extend(info.get("number").text()?);
        }
        parcels.push(Fulfillment {
            id: at.get("id").need_id()?,
            status: at.get("status").need_text()?,
            display_status: at.get("displayStatus").text()?,
            created_at: at.get("createdAt").need_time()?,
            lines,
            tracking_company,
            tracking_numbers,
            location: place(&at.get("location"))?,
        });
    }
    parcels.sort_by_key(|parcel| (parcel.created_at, parcel.id));
    Ok(parcels)
}
