//! Completes what a compact record may leave out. Amounts, flags and lists without a value need nothing: the API serves
//! their defaults. Here is what follows from something else in the record.

use chrono::{DateTime, Duration};
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use super::shape;
use crate::sandbox::shopify::ids::utc_text;
use crate::sandbox::shopify::shop::Shop;

/// What is current where nothing changed since the sale.
const CURRENT: [(&str, &str); 8] = [
    ("currentTotalPriceSet", "totalPriceSet"),
    ("currentTotalTaxSet", "totalTaxSet"),
    ("currentSubtotalPriceSet", "subtotalPriceSet"),
    ("currentTotalDiscountsSet", "totalDiscountsSet"),
    ("currentShippingPriceSet", "totalShippingPriceSet"),
    ("currentTaxLines", "taxLines"),
    ("currentTotalDutiesSet", "originalTotalDutiesSet"),
    ("currentTotalAdditionalFeesSet", "originalTotalAdditionalFeesSet"),
];

/// A record with everything filled in. `before` is how often it was put before: each time it is a minute younger.
pub(super) fn record(
    shop: &Shop,
    kind: &str,
    json: &Json,
    currencies: &(String, String),
    before: i32,
) -> Json {
    let mut record = json.clone();
    if kind == "Order" && record.is_object() {
        order(shop, &mut record, currencies, before);
    }
    record
}

fn order(shop: &Shop, order: &mut Json, currencies: &(String, String), before: i32) {
    let processed = order["processedAt"]
        .as_str()
        .map_or_else(|| utc_text(shop.now()), str::to_owned);
    let updated = DateTime::parse_from_rfc3339(&processed).map_or_else(|_| shop.now(), |at| at.to_utc())
        + Duration::minutes(before.into());
    default(order, "processedAt", || processed.clone().into());
    default(order, "createdAt", || processed.clone().into());
    default(order, "updatedAt", || utc_text(updated).into());
    default(order, "currencyCode", || currencies.0.clone().into());
    default(order, "presentmentCurrencyCode", || currencies.1.clone().into());
    default(order, "displayFinancialStatus", || "PAID".into());
    default(order, "displayFulfillmentStatus", || "UNFULFILLED".into());
    default(order, "returnStatus", || "NO_RETURN".into());
    default(order, "confirmed", || true.into());
    for (current, sold) in CURRENT {
        inherit(order, current, sold);
    }
    let id = order["id"].as_u64().unwrap_or(0);
    default(order, "legacyResourceId", || id.to_string().into());
    let mut ids = Spare(id * 1000 + 500);
    for line in each(order, "lineItems") {
        let quantity = line["quantity"].clone();
        default(line, "currentQuantity", || quantity.clone());
        default(line, "refundableQuantity", || quantity.clone());
        from_catalogue(shop, line);
        let name = match (line["title"].as_str(), line["variantTitle"].as_str()) {
            (Some(title), Some(variant)) => format!("{title} - {variant}"),
            (title, _) => title.unwrap_or_default().to_owned(),
        };
        default(line, "name", || name.into());
        taxes(line);
        for duty in each(line, "duties") {
            ids.give(duty);
            taxes(duty);
        }
    }
    for line in each(order, "shippingLines") {
        inherit(line, "discountedPriceSet", "originalPriceSet");
        inherit(line, "currentDiscountedPriceSet", "discountedPriceSet");
        taxes(line);
    }
    for fee in each(order, "additionalFees") {
        ids.give(fee);
        taxes(fee);
    }
    taxes(order);
    for list in ["currentTaxLines"] {
        for tax in each(order, list) {
            percentage(tax);
        }
    }
    for (place, discount) in each(order, "discountApplications").into_iter().enumerate() {
        default(discount, "index", || place.into());
    }
    for transaction in each(order, "transactions") {
        default(transaction, "kind", || "SALE".into());
        default(transaction, "status", || "SUCCESS".into());
        default(transaction, "processedAt", || processed.clone().into());
        default(transaction, "createdAt", || processed.clone().into());
        inherit(transaction, "formattedGateway", "gateway");
    }
    for refund in each(order, "refunds") {
        default(refund, "createdAt", || utc_text(updated).into());
        inherit(refund, "processedAt", "createdAt");
        inherit(refund, "updatedAt", "createdAt");
        for list in ["refundShippingLines", "orderAdjustments", "refundLineItems"] {
            for part in each(refund, list) {
                ids.give(part);
            }
        }
    }
    for fulfillment in each(order, "fulfillments") {
        default(fulfillment, "status", || "SUCCESS".into());
        default(fulfillment, "displayStatus", || "FULFILLED".into());
        default(fulfillment, "createdAt", || utc_text(updated).into());
        inherit(fulfillment, "updatedAt", "createdAt");
        for line in each(fulfillment, "fulfillmentLineItems") {
            ids.give(line);
        }
    }
    for address in ["billingAddress", "shippingAddress"] {
        let address = &mut order[address];
        if address.is_object() {
            ids.give(address);
            let names = ["firstName", "lastName"].map(|part| address[part].as_str().unwrap_or_default());
            let name = names.join(" ").trim().to_owned();
            default(address, "name", || {
                Some(name).filter(|name| !name.is_empty()).into()
            });
        }
    }
    payments(order);
    // Asking for a field that is not there has put a null in its place.
    if let Some(fields) = order.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// What the payments say when the order does not.
fn payments(order: &mut Json) {
    let mut gateways: Vec<Json> = Vec::new();
    let mut received = (Decimal::ZERO, Decimal::ZERO);
    let mut refunded = received;
    for transaction in each(order, "transactions") {
        let gateway = &transaction["gateway"];
        if gateway.is_string() && !gateways.contains(gateway) {
            gateways.push(gateway.clone());
        }
        let amount = transaction["amountSet"].as_str().and_then(shape::bag);
        let (Some((shop, presentment)), Some("SUCCESS")) = (amount, transaction["status"].as_str()) else {
            continue;
        };
        match transaction["kind"].as_str() {
            Some("SALE" | "CAPTURE") => received = (received.0 + shop, received.1 + presentment),
            Some("CHANGE") => received = (received.0 - shop, received.1 - presentment),
            Some("REFUND") => refunded = (refunded.0 + shop, refunded.1 + presentment),
            _ => {}
        }
    }
    let codes: Vec<Json> = each(order, "discountApplications")
        .into_iter()
        .map(|discount| discount["code"].clone())
        .filter(Json::is_string)
        .collect();
    default(order, "paymentGatewayNames", || gateways.into());
    default(order, "discountCodes", || codes.into());
    let text = |(shop, presentment): (Decimal, Decimal)| json!(format!("{shop}|{presentment}"));
    default(order, "totalReceivedSet", || text(received));
    default(order, "totalRefundedSet", || text(refunded));
}

/// What a line copies from its variant at the sale.
fn from_catalogue(shop: &Shop, line: &mut Json) {
    let Some((product, variant)) = line["variant"].as_u64().and_then(|id| shop.variant(id)) else {
        return;
    };
    default(line, "requiresShipping", || variant.item.requires_shipping.into());
    default(line, "taxable", || variant.taxable.into());
    default(line, "isGiftCard", || product.gift_card.into());
    default(line, "title", || product.title.clone().into());
    default(line, "product", || product.id.into());
    let sku = variant.sku.clone();
    default(line, "sku", || sku.into());
    if product.variants.len() > 1 {
        default(line, "variantTitle", || variant.title().into());
    }
}

fn taxes(owner: &mut Json) {
    for tax in each(owner, "taxLines") {
        percentage(tax);
    }
}

fn percentage(tax: &mut Json) {
    let rate = tax["rate"].to_string().parse::<Decimal>();
    let percent = rate.map(|rate| (rate * Decimal::ONE_HUNDRED).normalize().to_string());
    if let Some(percent) = percent.ok().and_then(|percent| percent.parse::<f64>().ok()) {
        default(tax, "ratePercentage", || percent.into());
    }
}

/// The objects of a list; bare references are left out.
fn each<'j>(owner: &'j mut Json, list: &str) -> Vec<&'j mut Json> {
    let items = owner.get_mut(list).and_then(Json::as_array_mut);
    let items = items.into_iter().flatten();
    items.filter(|item| item.is_object()).collect()
}

fn default(owner: &mut Json, field: &str, value: impl FnOnce() -> Json) {
    if let Some(fields) = owner.as_object_mut()
        && missing(fields, field)
    {
        fields.insert(field.to_owned(), value());
    }
}

fn inherit(owner: &mut Json, field: &str, other: &str) {
    let value = owner.get(other).cloned().unwrap_or_default();
    if !value.is_null() {
        default(owner, field, || value);
    }
}

fn missing(fields: &Map<String, Json>, field: &str) -> bool {
    fields.get(field).is_none_or(Json::is_null)
}

/// Ids for parts that the record does not number itself.
struct Spare(u64);

impl Spare {
    fn give(&mut self, part: &mut Json) {
        self.0 += 1;
        let id = self.0;
        default(part, "id", || id.into());
    }
}
