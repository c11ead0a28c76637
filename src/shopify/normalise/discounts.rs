//! Discounts as they were given, with what each took off.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::NormaliseError;
use super::read::{At, Purse};
use crate::domain::AppliedDiscount;

/// Every discount of an order. Amounts are sums of allocations, as sold: what was removed later took its share along.
pub(super) fn applied(order: &At<'_>, purse: Purse) -> Result<Vec<AppliedDiscount>, NormaliseError> {
    let mut amounts = HashMap::<i64, Decimal>::new();
    for list in ["lineItems", "shippingLines"] {
        let lines = order.get(list);
        for line in lines.nodes()? {
            let allocations = line.get("discountAllocations");
            for allocation in allocations.items()? {
                let amount = allocation.get("allocatedAmountSet").need_money(purse)?;
                let application = allocation.get("discountApplication");
                *amounts.entry(application.get("index").units()?).or_default() += amount;
            }
        }
    }
    let mut discounts = Vec::new();
    let list = order.get("discountApplications");
    for at in list.nodes()? {
        let index = at.get("index").units()?;
        let code = at.get("code").text()?;
        let title = [
            at.get("title").text()?,
            code.clone(),
            at.get("description").text()?,
        ];
        discounts.push(AppliedDiscount {
            title: title.into_iter().flatten().next().unwrap_or_default(),
            code,
            kind: kind(&at)?.to_owned(),
            amount: purse.tidy(amounts.get(&index).copied().unwrap_or_default()),
        });
    }
    Ok(discounts)
}

/// A discount on all lines together is the order's; on some, or on each by itself, the products'.
fn kind(at: &At<'_>) -> Result<&'static str, NormaliseError> {
    let is = |name: &'static str, word: &str| Ok(at.get(name).text()?.as_deref() == Some(word));
    Ok(if is("targetType", "SHIPPING_LINE")? {
        "shipping"
    } else if is("targetSelection", "ALL")? && is("allocationMethod", "ACROSS")? {
        "order"
    } else {
        "product"
    })
}
