//! Orders as they were placed.

use serde_json::json;

use super::build::*;

#[test]
fn a_rate_without_its_amount_is_not_charged() {
    // 10.00 at 19 % would be 1.90, and the shop charges nothing: exempt. Of 0.01 it would be nothing anyway.
    for (price, taxes) in [("10.0", 0), ("0.01", 1), ("0.0", 1)] {
        let thing = with(line(1, 1, price), "/taxLines", json!([vat(0.19, "0.0")]));
        let order = book(order_of(false, &[thing], &[], price, "0.0"));
        assert_eq!(order.lines[0].taxes.len(), taxes, "{price}");
    }
}
use crate::domain::{FinancialStatus, LineKind};
use crate::shopify::normalise::order;
use crate::shopify::settings::CurrencyChoice;

#[test]
fn an_order_discount_is_kept_as_an_amount() {
    // 1000.00 - 1.23 = 998.77; 19 % of it is 189.7663, rounded 189.77; 998.77 + 189.77 = 1188.54.
    let thing = with(
        line(1, 1, "1000.0"),
        "/discountAllocations",
        allocations(&["1.23"]),
    );
    let thing = with(thing, "/taxLines", json!([vat(0.19, "189.77")]));
    let order = book(order_of(false, &[thing], &[], "1188.54", "189.77"));
    check(
        &order,
        0,
        "line_1 product x1 at 1000.00 - 1.23 = 998.77 each 998.77 net 998.77 gross 1188.54 tax [19% 189.77]",
    );
    assert_eq!(totals(&order), pair("1188.54", "189.77"));
}

#[test]
fn seven_units_with_a_code_have_an_exact_unit_price() {
    // 7 x 3.33 = 23.31; less 7 x 0.50 = 3.50 leaves 19.81 = 7 x 2.83. Tax contained at 19 %:
    // 19.81 x 19 / 119 = 376.39 / 119 = 3.16294, rounded 3.16; net 19.81 - 3.16 = 16.65.
    let thing = with(line(1, 7, "3.33"), "/discountAllocations", allocations(&["3.5"]));
    let thing = with(thing, "/taxLines", json!([vat(0.19, "3.16")]));
    let raw = with(
        order_of(true, &[thing], &[], "19.81", "3.16"),
        "/discountCodes",
        json!(["FIFTY"]),
    );
    let order = book(raw);
    check(
        &order,
        0,
        "line_1 product x7 at 3.33 - 3.50 = 19.81 each 2.83 net 16.65 gross 19.81 tax [19% 3.16]",
    );
    assert_eq!(order.discount_codes, ["FIFTY"]);
}

#[test]
fn contained_tax_is_taken_out_of_the_gross_amount() {
    // 3 x 9.99 = 29.97 with 20 %: 29.97 / 6 = 4.995, rounded 5.00; net 29.97 - 5.00 = 24.97.
    let thing = with(line(1, 3, "9.99"), "/taxLines", json!([vat(0.2, "5.0")]));
    let order = book(order_of(true, &[thing], &[], "29.97", "5.0"));
    check(
        &order,
        0,
        "line_1 product x3 at 9.99 - 0.00 = 29.97 each 9.99 net 24.97 gross 29.97 tax [20% 5.00]",
    );
}

#[test]
fn two_taxes_stay_apart_with_their_exact_rates() {
    // 2 x 50.00 = 100.00; 5 % is 5.00; 9.975 % is 9.975, rounded 9.98; 100.00 + 14.98 = 114.98.
    let taxes = json!([
        tax("GST", &json!(0.05), "5.0"),
        tax("QST", &json!(0.09975), "9.98")
    ]);
    let order = book(order_of(
        false,
        &[with(line(1, 2, "50.0"), "/taxLines", taxes)],
        &[],
        "114.98",
        "14.98",
    ));
    check(
        &order,
        0,
        "line_1 product x2 at 50.00 - 0.00 = 100.00 each 50.00 net 100.00 gross 114.98 tax [5% 5.00, 9.975% 9.98]",
    );
    let titles: Vec<&str> = order.lines[0]
        .taxes
        .iter()
        .map(|tax| tax.title.as_str())
        .collect();
    assert_eq!(titles, ["GST", "QST"]);
}

#[test]
fn shipping_has_its_own_discount_and_tax() {
    // Goods 20.00 with 19 % contained: 380 / 119 = 3.19328, rounded 3.19, net 16.81.
    // Shipping 10.00 - 4.00 = 6.00 with 19 % contained: 114 / 119 = 0.95798, rounded 0.96, net 5.04.
    // Total 26.00, tax 3.19 + 0.96 = 4.15.
    let goods = with(line(1, 1, "20.0"), "/taxLines", json!([vat(0.19, "3.19")]));
    let freight = with(
        shipping(2, "10.0", "6.0", "6.0"),
        "/taxLines",
        json!([vat(0.19, "0.96")]),
    );
    let order = book(order_of(true, &[goods], &[freight], "26.0", "4.15"));
    check(
        &order,
        0,
        "line_1 product x1 at 20.00 - 0.00 = 20.00 each 20.00 net 16.81 gross 20.00 tax [19% 3.19]",
    );
    check(
        &order,
        1,
        "shipping_2 shipping x1 at 10.00 - 4.00 = 6.00 each 6.00 net 5.04 gross 6.00 tax [19% 0.96]",
    );
}

#[test]
fn several_discounts_of_one_line_add_up() {
    // 4 x 25.00 = 100.00 less 10.00 (10 %) less 3.34 (a share of an order discount) = 86.66; each 21.665: not exact.
    let thing = with(
        line(1, 4, "25.0"),
        "/discountAllocations",
        allocations(&["10.0", "3.34"]),
    );
    let order = book(order_of(false, &[thing], &[], "86.66", "0.0"));
    check(
        &order,
        0,
        "line_1 product x4 at 25.00 - 13.34 = 86.66 each - net 86.66 gross 86.66 tax []",
    );
}

#[test]
fn a_gift_of_the_house_keeps_its_line() {
    // Zero price with a tax of nothing, and a line with a discount of everything: 15.00 - 15.00 = 0.00.
    let sample = with(line(1, 2, "0.0"), "/taxLines", json!([vat(0.19, "0.0")]));
    let free = with(line(2, 1, "15.0"), "/discountAllocations", allocations(&["15.0"]));
    let order = book(order_of(true, &[sample, free], &[], "0.0", "0.0"));
    check(
        &order,
        0,
        "line_1 product x2 at 0.00 - 0.00 = 0.00 each 0.00 net 0.00 gross 0.00 tax [19% 0.00]",
    );
    check(
        &order,
        1,
        "line_2 product x1 at 15.00 - 15.00 = 0.00 each 0.00 net 0.00 gross 0.00 tax []",
    );
}

#[test]
fn a_guest_at_the_till_has_nothing_but_lines() {
    let thing = with(line(1, 1, "5.0"), "/variant", json!(null));
    let thing = with(thing, "/product", json!(null));
    let thing = with(thing, "/sku", json!(""));
    let mut raw = with(
        order_of(true, &[thing], &[], "5.0", "0.0"),
        "/sourceName",
        json!("pos"),
    );
    for field in [
        "note",
        "tags",
        "email",
        "phone",
        "customer",
        "billingAddress",
        "shippingAddress",
        "discountCodes",
        "paymentGatewayNames",
        "transactions",
        "refunds",
        "additionalFees",
        "currentTaxLines",
        "edited",
        "test",
        "totalCashRoundingAdjustment",
        "currentTotalAdditionalFeesSet",
        "totalTipReceivedSet",
        "dutiesIncluded",
        "displayFinancialStatus",
        "displayFulfillmentStatus",
        "cancelReason",
        "sourceName",
        "poNumber",
    ] {
        raw[field] = json!(null);
    }
    let order = book(raw);
    assert!(order.customer.is_none() && order.billing_address.is_none() && order.email.is_none());
    assert_eq!(order.financial_status, FinancialStatus::Unknown);
    let line = &order.lines[0];
    assert_eq!((line.product_id, line.variant_id, &line.sku), (None, None, &None));
}

#[test]
fn unknown_enum_values_survive() {
    let raw = order_of(false, &[line(1, 1, "1.0")], &[], "1.0", "0.0");
    let raw = with(raw, "/displayFinancialStatus", json!("HALF_PAID"));
    let raw = with(raw, "/displayFulfillmentStatus", json!("BEAMED_UP"));
    let raw = with(raw, "/cancelReason", json!("WHIM"));
    let order = book(raw);
    assert_eq!(order.financial_status, FinancialStatus::Unknown);
    assert_eq!(order.fulfillment_status.as_deref(), Some("BEAMED_UP"));
    assert_eq!(order.cancel_reason.as_deref(), Some("WHIM"));
}

#[test]
fn tips_gift_cards_duties_and_fees_are_lines_of_their_own_kind() {
    // Goods 100.00 + 20.00 tax, gift card 50.00, tip 4.00, duty 12.00 + 2.40 tax, fee 3.00:
    // 100 + 50 + 4 + 12 + 3 = 169.00, tax 22.40, total 191.40.
    let goods = with(line(1, 1, "100.0"), "/taxLines", json!([vat(0.2, "20.0")]));
    let goods = with(
        goods,
        "/duties",
        json!([{"id": "gid://shopify/Duty/67", "price": euro("12.0"), "taxLines": [vat(0.2, "2.4")]}]),
    );
    let card = with(line(2, 1, "50.0"), "/isGiftCard", json!(true));
    let mut tip = line(3, 1, "4.0");
    for (field, value) in [
        ("product", json!(null)),
        ("variant", json!(null)),
        ("requiresShipping", json!(false)),
        ("taxable", json!(false)),
        ("nonFulfillableQuantity", json!(1)),
    ] {
        tip[field] = value;
    }
    let raw = order_of(false, &[goods, card, tip], &[], "191.4", "22.4");
    let raw = with(raw, "/totalTipReceivedSet", euro("4.0"));
    let raw = with(raw, "/currentTotalAdditionalFeesSet", euro("3.0"));
    let raw = with(
        raw,
        "/additionalFees",
        json!([{"id": "gid://shopify/AdditionalFee/9", "name": "Bottle deposit", "price": euro("3.0"), "taxLines": []}]),
    );
    let order = book(raw.clone());
    let kinds: Vec<(&str, LineKind)> = order
        .lines
        .iter()
        .map(|line| (line.key.as_str(), line.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("line_1", LineKind::Product),
            ("line_2", LineKind::GiftCard),
            ("line_3", LineKind::Tip),
            ("duty_67", LineKind::Duty),
            ("fee_9", LineKind::Fee),
        ]
    );
    check(
        &order,
        3,
        "duty_67 duty x1 at 12.00 - 0.00 = 12.00 each 12.00 net 12.00 gross 14.40 tax [20% 2.40]",
    );
    assert_eq!(order.lines[4].title, "Bottle deposit");

    // Where prices contain duties, they are no line: 191.40 - 14.40 = 177.00, tax 20.00.
    let raw = with(raw, "/dutiesIncluded", json!(true));
    let raw = with(raw, "/currentTotalPriceSet", euro("177.0"));
    let raw = with(raw, "/currentTotalTaxSet", euro("20.0"));
    assert!(book(raw).lines.iter().all(|line| line.kind != LineKind::Duty));
}

#[test]
fn a_tip_that_is_no_line_becomes_one_and_an_unclear_one_is_refused() {
    let raw = order_of(false, &[line(1, 1, "10.0")], &[], "12.0", "0.0");
    let order = book(with(raw, "/totalTipReceivedSet", euro("2.0")));
    check(
        &order,
        1,
        "tip tip x1 at 2.00 - 0.00 = 2.00 each 2.00 net 2.00 gross 2.00 tax []",
    );
    let mut odd = line(1, 1, "3.0");
    for field in ["product", "variant", "requiresShipping", "taxable"] {
        odd[field] = json!(null);
    }
    odd["nonFulfillableQuantity"] = json!(1);
    let raw = order_of(false, &[odd], &[], "3.0", "0.0");
    let error = refuse(with(raw, "/totalTipReceivedSet", euro("2.0")));
    assert_eq!(
        (error.code, error.field.as_str()),
        ("tip_unclear", "totalTipReceivedSet")
    );
}

#[test]
fn cash_rounding_is_a_line_only_where_the_total_contains_it() {
    // 9.99 paid with 10.00 in cash (rounded up by 0.01): the total may say 9.99 or 10.00.
    let raw = order_of(false, &[line(1, 1, "9.99")], &[], "9.99", "0.0");
    let raw = with(raw, "/totalCashRoundingAdjustment/paymentSet", euro("0.01"));
    assert_eq!(book(raw.clone()).lines.len(), 1);
    let order = book(with(raw, "/currentTotalPriceSet", euro("10.0")));
    check(
        &order,
        1,
        "rounding rounding x1 at 0.01 - 0.00 = 0.01 each 0.01 net 0.01 gross 0.01 tax []",
    );
}

#[test]
fn one_currency_is_used_throughout() {
    // 10.00 EUR and 20 % tax 2.00 EUR; the buyer saw 11.03 USD and 2.21 USD.
    let mut thing = line(1, 1, "10.0");
    thing["originalUnitPriceSet"] = bag("10.0", "EUR", "11.03", "USD");
    thing["taxLines"] = json!([{"title": "VAT", "rate": 0.2, "priceSet": bag("2.0", "EUR", "2.21", "USD")}]);
    let mut raw = order_of(false, &[thing], &[], "12.0", "2.0");
    for field in [
        "currentTotalDiscountsSet",
        "currentShippingPriceSet",
        "totalTipReceivedSet",
        "totalRefundedSet",
        "totalOutstandingSet",
    ] {
        raw[field] = bag("0.0", "EUR", "0.0", "USD");
    }
    raw["totalCashRoundingAdjustment"] = json!(null);
    raw["presentmentCurrencyCode"] = json!("USD");
    for field in ["totalPriceSet", "currentTotalPriceSet", "totalReceivedSet"] {
        raw[field] = bag("12.0", "EUR", "13.24", "USD");
    }
    raw["currentTotalTaxSet"] = bag("2.0", "EUR", "2.21", "USD");
    assert_eq!(totals(&book(raw.clone())), pair("12.00", "2.00"));
    let foreign = order(raw.clone(), CurrencyChoice::Presentment).unwrap();
    assert_eq!(foreign.currency.as_str(), "USD");
    assert_eq!(totals(&foreign), pair("13.24", "2.21"));
    check(
        &foreign,
        0,
        "line_1 product x1 at 11.03 - 0.00 = 11.03 each 11.03 net 11.03 gross 13.24 tax [20% 2.21]",
    );
    let mixed = with(
        raw,
        "/lineItems/nodes/0/originalUnitPriceSet/shopMoney/currencyCode",
        json!("CHF"),
    );
    let error = refuse(mixed);
    assert_eq!(error.code, "mixed_currencies");
    assert_eq!(
        error.field,
        "lineItems[0].originalUnitPriceSet.shopMoney.currencyCode"
    );
}

#[test]
fn currencies_without_and_with_three_decimals_keep_theirs() {
    for (code, price, units, total, each, printed) in [
        ("JPY", "1980.0", 2, "3960.0", "1980", "3960"),
        ("KWD", "1.235", 3, "3.705", "1.235", "3.705"),
        // A price finer than the smallest unit: 1000 x 0.125 = 125.00, and each is not a price in cents.
        ("EUR", "0.125", 1000, "125.0", "-", "125.00"),
    ] {
        let raw = order_of(false, &[line(1, units, price)], &[], total, "0.0");
        let text = raw.to_string().replace("\"EUR\"", &format!("\"{code}\""));
        let order = book(serde_json::from_str(&text).unwrap());
        let unit = order.lines[0]
            .unit_price
            .map_or_else(|| "-".to_owned(), |price| price.to_string());
        assert_eq!(
            (unit.as_str(), order.lines[0].gross.to_string().as_str()),
            (each, printed),
            "{code}"
        );
    }
}

#[test]
fn lines_that_do_not_add_up_are_never_booked() {
    let thing = with(line(1, 1, "100.0"), "/taxLines", json!([vat(0.19, "19.0")]));
    let raw = order_of(false, &[thing], &[], "119.0", "19.0");
    let error = refuse(with(raw.clone(), "/currentTotalPriceSet", euro("118.99")));
    assert_eq!(
        (error.code, error.field.as_str()),
        ("totals_do_not_add_up", "currentTotalPriceSet")
    );
    assert_eq!(
        error.reason,
        "the order's lines add up to 119.00 EUR, Shopify's total is 118.99 EUR: a difference of 0.01 EUR"
    );
    // Contained taxes do not change the total, but must be right, too: 0.01 for two tax lines is rounding, 0.02 is not.
    let both = json!([vat(0.19, "15.83"), tax("City", &json!(0.01), "0.83")]);
    let thing = with(line(1, 1, "100.0"), "/taxLines", both);
    let raw = order_of(true, &[thing], &[], "100.0", "16.66");
    book(with(raw.clone(), "/currentTotalTaxSet", euro("16.67")));
    let error = refuse(with(raw, "/currentTotalTaxSet", euro("16.68")));
    assert_eq!(
        (error.code, error.field.as_str()),
        ("taxes_do_not_add_up", "currentTotalTaxSet")
    );
}

#[test]
fn rates_are_read_exactly_and_noise_of_floating_point_is_cut() {
    for (rate, percentage, expected) in [
        (json!(0.19), json!(null), Some("19")),
        (json!(0.08875), json!(null), Some("8.875")),
        (json!(0.072_500_000_000_000_01), json!(null), Some("7.25")),
        (json!("0.21"), json!(null), Some("21")),
        (json!(null), json!(5.5), Some("5.5")),
        (json!(0), json!(null), Some("0")),
        (json!(null), json!(null), None),
    ] {
        let entry = with(tax("T", &rate, "1.0"), "/ratePercentage", percentage);
        let thing = with(line(1, 1, "10.0"), "/taxLines", json!([entry]));
        let raw = order_of(false, &[thing], &[], "11.0", "1.0");
        match expected {
            Some(expected) => {
                assert_eq!(
                    book(raw).lines[0].taxes[0].rate_percent.to_string(),
                    expected,
                    "{rate}"
                );
            }
            None => assert_eq!(refuse(raw).field, "lineItems[0].taxLines[0].rate"),
        }
    }
}

#[test]
fn what_must_be_there_is_named_when_it_is_not() {
    let raw = order_of(
        false,
        &[line(1, 1, "1.0")],
        &[shipping(2, "0.0", "0.0", "0.0")],
        "1.0",
        "0.0",
    );
    for (pointer, value, code, field) in [
        ("/id", json!(null), "missing_value", "id"),
        ("/id", json!(7), "unreadable_value", "id"),
        ("/name", json!("  "), "missing_value", "name"),
        ("/taxesIncluded", json!(null), "missing_value", "taxesIncluded"),
        (
            "/processedAt",
            json!("yesterday"),
            "unreadable_value",
            "processedAt",
        ),
        ("/currencyCode", json!("EURO"), "unreadable_value", "currencyCode"),
        ("/currencyCode", json!(null), "missing_value", "currencyCode"),
        ("/lineItems", json!(null), "missing_value", "lineItems"),
        ("/lineItems", json!([]), "unreadable_value", "lineItems"),
        (
            "/lineItems",
            json!({"nodes": [], "pageInfo": {"hasNextPage": true}}),
            "incomplete_record",
            "lineItems",
        ),
        (
            "/lineItems/nodes/0",
            json!(null),
            "missing_value",
            "lineItems[0].id",
        ),
        (
            "/lineItems/nodes/0/originalUnitPriceSet",
            json!(null),
            "missing_value",
            "lineItems[0].originalUnitPriceSet",
        ),
        (
            "/lineItems/nodes/0/originalUnitPriceSet/shopMoney/amount",
            json!("1e9999"),
            "unreadable_value",
            "lineItems[0].originalUnitPriceSet.shopMoney.amount",
        ),
        (
            "/lineItems/nodes/0/currentQuantity",
            json!(-1),
            "negative_quantity",
            "lineItems[0].currentQuantity",
        ),
        (
            "/lineItems/nodes/0/quantity",
            json!(1.5),
            "unreadable_value",
            "lineItems[0].quantity",
        ),
        (
            "/shippingLines/nodes/0/currentDiscountedPriceSet",
            json!(null),
            "missing_value",
            "shippingLines[0].currentDiscountedPriceSet",
        ),
        (
            "/totalOutstandingSet",
            json!(null),
            "missing_value",
            "totalOutstandingSet",
        ),
        ("/tags", json!("a, b"), "unreadable_value", "tags"),
    ] {
        let error = refuse(with(raw.clone(), pointer, value));
        assert_eq!((error.code, error.field.as_str()), (code, field), "{pointer}");
        assert!(!error.reason.is_empty() && !error.fix.is_empty(), "{pointer}");
    }
    assert_eq!(refuse(json!(null)).code, "missing_value");
}
