//! Records in the shape in which Shopify answers our documents.

use serde_json::{Value, json};

use crate::domain::{Order, parse_decimal};
use crate::shopify::normalise::{NormaliseError, order};
use crate::shopify::settings::CurrencyChoice;

/// An amount in a shop whose buyers pay in its own currency.
pub(super) fn euro(amount: &str) -> Value {
    bag(amount, "EUR", amount, "EUR")
}

pub(super) fn bag(shop: &str, shop_currency: &str, presentment: &str, currency: &str) -> Value {
    json!({
        "shopMoney": {"amount": shop, "currencyCode": shop_currency},
        "presentmentMoney": {"amount": presentment, "currencyCode": currency},
    })
}

/// A tax line; `rate` is a JSON number as Shopify sends it, e.g. `0.19`.
pub(super) fn tax(title: &str, rate: &Value, amount: &str) -> Value {
    json!({"title": title, "rate": rate, "ratePercentage": null, "channelLiable": false, "priceSet": euro(amount)})
}

pub(super) fn vat(rate: f64, amount: &str) -> Value {
    tax("VAT", &json!(rate), amount)
}

/// A line of goods, as sold and not changed since.
pub(super) fn line(id: u64, units: i64, price: &str) -> Value {
    json!({
        "id": format!("gid://shopify/LineItem/{id}"), "title": format!("Thing {id}"), "variantTitle": null,
        "name": format!("Thing {id}"), "sku": format!("SKU-{id}"), "vendor": "Maker",
        "quantity": units, "currentQuantity": units, "nonFulfillableQuantity": 0,
        "isGiftCard": false, "requiresShipping": true, "taxable": true,
        "product": {"id": "gid://shopify/Product/7"}, "variant": {"id": "gid://shopify/ProductVariant/8"},
        "lineItemGroup": null, "customAttributes": [],
        "originalUnitPriceSet": euro(price), "discountAllocations": [], "taxLines": [], "duties": [],
    })
}

/// Discounts as amounts.
pub(super) fn allocations(amounts: &[&str]) -> Value {
    amounts
        .iter()
        .enumerate()
        .map(|(index, amount)| json!({"allocatedAmountSet": euro(amount), "discountApplication": {"index": index}}))
        .collect()
}

/// A shipping line: price, price after discounts, price now.
pub(super) fn shipping(id: u64, price: &str, discounted: &str, current: &str) -> Value {
    json!({
        "id": format!("gid://shopify/ShippingLine/{id}"), "title": "Standard", "code": "STD", "source": "shopify",
        "carrierIdentifier": null, "isRemoved": false, "custom": false,
        "originalPriceSet": euro(price), "discountedPriceSet": euro(discounted),
        "currentDiscountedPriceSet": euro(current), "discountAllocations": [], "taxLines": [],
    })
}

/// An order of a guest in euros: total and tax are what the shop states.
pub(super) fn order_of(
    taxes_included: bool,
    lines: &[Value],
    shipping: &[Value],
    total: &str,
    tax: &str,
) -> Value {
    let mut order = json!({
        "id": "gid://shopify/Order/450789469", "name": "#1001", "confirmationNumber": "ABC123", "sourceName": "web",
        "test": false, "note": null, "tags": [], "createdAt": "2026-11-20T10:00:00Z",
        "processedAt": "2026-11-20T09:59:58Z", "updatedAt": "2026-11-20T10:00:05Z", "edited": false,
        "displayFinancialStatus": "PAID", "displayFulfillmentStatus": "UNFULFILLED", "currencyCode": "EUR",
        "presentmentCurrencyCode": "EUR", "taxesIncluded": taxes_included, "dutiesIncluded": false,
        "paymentGatewayNames": [], "discountCodes": [], "customAttributes": [], "additionalFees": [],
        "discountApplications": {"nodes": []}, "shippingLines": {"nodes": shipping},
        "lineItems": {"nodes": lines}, "transactions": [], "refunds": [],
    });
    for name in [
        "poNumber",
        "sourceIdentifier",
        "cancelledAt",
        "cancelReason",
        "closedAt",
        "email",
        "phone",
        "customerLocale",
        "customer",
        "billingAddress",
        "shippingAddress",
        "currentTaxLines",
        "currentTotalAdditionalFeesSet",
    ] {
        order[name] = Value::Null;
    }
    for name in [
        "currentTotalDiscountsSet",
        "currentShippingPriceSet",
        "totalTipReceivedSet",
        "totalRefundedSet",
        "totalOutstandingSet",
    ] {
        order[name] = euro("0.0");
    }
    for name in ["totalPriceSet", "currentTotalPriceSet", "totalReceivedSet"] {
        order[name] = euro(total);
    }
    order["currentTotalTaxSet"] = euro(tax);
    order["totalCashRoundingAdjustment"] = json!({"paymentSet": euro("0.0"), "refundSet": euro("0.0")});
    order
}

/// A refund that takes units off: line, units, their amount, their tax.
pub(super) fn refund(lines: &[(u64, i64, &str, &str)]) -> Value {
    let nodes: Vec<Value> = lines
        .iter()
        .map(|(id, units, amount, tax)| {
            json!({
                "quantity": units, "restockType": "CANCEL",
                "lineItem": {"id": format!("gid://shopify/LineItem/{id}")},
                "subtotalSet": euro(amount), "totalTaxSet": euro(tax),
            })
        })
        .collect();
    json!({
        "id": "gid://shopify/Refund/900", "createdAt": "2026-11-20T11:00:00Z",
        "refundLineItems": {"nodes": nodes}, "refundShippingLines": {"nodes": []}, "duties": [],
    })
}

/// The same record with another value at this JSON pointer.
pub(super) fn with(mut record: Value, pointer: &str, value: Value) -> Value {
    *record
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("there is no {pointer}")) = value;
    record
}

pub(super) fn book(raw: Value) -> Order {
    order(raw, CurrencyChoice::Shop).unwrap_or_else(|e| panic!("{e} ({})", e.code))
}

pub(super) fn refuse(raw: Value) -> NormaliseError {
    match order(raw, CurrencyChoice::Shop) {
        Err(error) => error,
        Ok(order) => panic!("it was booked: {:?}", order.lines),
    }
}

/// What a line must be: key, units, amount, net, gross, and each tax as `rate% amount`.
pub(super) fn check(order: &Order, index: usize, expected: &str) {
    let line = &order.lines[index];
    let taxes: Vec<String> = line
        .taxes
        .iter()
        .map(|tax| format!("{}% {}", tax.rate_percent, tax.amount))
        .collect();
    let unit = line
        .unit_price
        .map_or_else(|| "-".to_owned(), |price| price.to_string());
    let seen = format!(
        "{} {} x{} at {} - {} = {} each {unit} net {} gross {} tax [{}]",
        line.key,
        line.kind,
        line.quantity,
        line.original_unit_price,
        line.discount,
        line.amount,
        line.net,
        line.gross,
        taxes.join(", ")
    );
    assert_eq!(seen, expected);
    assert_eq!(
        line.quantity * line.original_unit_price - line.discount,
        line.amount,
        "{}",
        line.key
    );
}

pub(super) fn totals(order: &Order) -> (String, String) {
    (order.totals.total.to_string(), order.totals.tax.to_string())
}

pub(super) fn pair(total: &str, tax: &str) -> (String, String) {
    parse_decimal(total).unwrap();
    (total.to_owned(), tax.to_owned())
}
