//! Payments, refunds, parcels, discounts, company and risk, as they are told of an order.

use serde_json::json;

use super::build::*;
use crate::domain::{LineKind, Restock, Risk, ShopifyId};

/// Two units of 10.00 with two taxes (10 % and 5 %) on top: 20.00 + 2.00 + 1.00 = 23.00.
fn taxed() -> serde_json::Value {
    let thing = with(
        line(1, 2, "10.0"),
        "/taxLines",
        json!([tax("State", &json!(0.1), "2.0"), tax("City", &json!(0.05), "1.0")]),
    );
    order_of(false, &[thing], &[], "23.0", "3.0")
}

#[test]
fn a_refund_tells_worth_and_money() {
    // One unit: 10.00 + 1.50 tax, shared 2:1. Shipping 4.00 + 0.40. The buyer got 1.00 (tax included: 0.90 + 0.10) more
    // than that, and 3.00 duty: 11.50 + 4.40 + 1.00 + 3.00 = 19.90, of which 15.00 went back and 4.90 is on its way.
    let mut refund = refund(&[(1, 1, "10.0", "1.5")]);
    refund["processedAt"] = json!("2026-11-21T00:00:00Z");
    refund["note"] = json!("broken");
    refund["refundLineItems"]["nodes"][0]["restockType"] = json!("RETURN");
    refund["refundLineItems"]["nodes"][0]["location"] =
        json!({"id": "gid://shopify/Location/5", "name": "Ely"});
    refund["refundShippingLines"]["nodes"] = json!([{
        "id": "gid://shopify/RefundShippingLine/1", "shippingLine": {"id": "gid://shopify/ShippingLine/9"},
        "subtotalAmountSet": euro("4.0"), "taxAmountSet": euro("0.4"),
    }]);
    refund["orderAdjustments"] = json!({"nodes": [{
        "reason": "REFUND_DISCREPANCY", "amountSet": euro("-0.9"), "taxAmountSet": euro("-0.1"),
    }]});
    refund["duties"] = json!([{"amountSet": euro("3.0"), "originalDuty": null}]);
    refund["transactions"] = json!({"nodes": [
        {"kind": "REFUND", "status": "SUCCESS", "amountSet": euro("15.0")},
        {"kind": "REFUND", "status": "PENDING", "amountSet": euro("4.9")},
        {"kind": "REFUND", "status": "FAILURE", "amountSet": euro("4.9")},
        {"kind": "VOID", "status": "SUCCESS", "amountSet": euro("7.0")},
    ]});
    let mut raw = taxed();
    raw["lineItems"]["nodes"][0]["currentQuantity"] = json!(1);
    raw["currentTotalPriceSet"] = euro("11.5");
    raw["currentTotalTaxSet"] = euro("1.5");
    raw["refunds"] = json!([refund]);
    let order = book(raw);
    let [refund] = order.refunds.as_slice() else {
        panic!("{:?}", order.refunds)
    };
    assert_eq!(refund.id, ShopifyId(900));
    assert_eq!(refund.note.as_deref(), Some("broken"));
    assert!(refund.processed_at > refund.created_at);
    let line = &refund.lines[0];
    assert_eq!(line.key, "line_1");
    assert_eq!(
        (line.restock, line.location.as_deref()),
        (Restock::Return, Some("Ely"))
    );
    let amounts = [line.quantity, line.amount, line.net, line.tax, line.gross];
    assert_eq!(
        amounts.map(|n| n.to_string()),
        ["1", "10.00", "10.00", "1.50", "11.50"]
    );
    let shares: Vec<String> = line
        .taxes
        .iter()
        .map(|t| format!("{} {}", t.title, t.amount))
        .collect();
    assert_eq!(shares, ["State 1.00", "City 0.50"]);
    let shipping = &refund.shipping[0];
    assert_eq!(shipping.key, "shipping_9");
    assert_eq!(
        [shipping.net, shipping.tax, shipping.gross].map(|n| n.to_string()),
        ["4.00", "0.40", "4.40"]
    );
    let adjustment = &refund.adjustments[0];
    assert_eq!(adjustment.reason, "refund_discrepancy");
    assert_eq!(
        [adjustment.net, adjustment.tax, refund.duties].map(|n| n.to_string()),
        ["0.90", "0.10", "3.00"]
    );
    assert_eq!(
        [refund.total, refund.paid_back, refund.pending].map(|n| n.to_string()),
        ["19.90", "15.00", "4.90"]
    );
}

#[test]
fn a_refund_with_tax_included_splits_its_amount() {
    let thing = with(line(1, 2, "11.9"), "/taxLines", json!([vat(0.19, "3.8")]));
    let thing = with(thing, "/currentQuantity", json!(1));
    let mut raw = order_of(true, &[thing], &[], "11.9", "1.9");
    raw["refunds"] = json!([refund(&[(1, 1, "11.9", "1.9")])]);
    raw["refunds"][0]["refundLineItems"]["nodes"][0]["restockType"] = json!("THROWN_AWAY");
    let order = book(raw);
    let line = &order.refunds[0].lines[0];
    assert_eq!(
        [
            line.amount,
            line.net,
            line.tax,
            line.gross,
            order.refunds[0].total
        ]
        .map(|n| n.to_string()),
        ["11.90", "10.00", "1.90", "11.90", "11.90"]
    );
    assert_eq!(line.restock, Restock::Unknown);
}

#[test]
fn parcels_and_payments_are_told() {
    let mut raw = taxed();
    raw["fulfillments"] = json!([
        {"id": "gid://shopify/Fulfillment/2", "status": "CANCELLED", "createdAt": "2026-11-22T00:00:00Z",
         "location": null, "trackingInfo": [], "fulfillmentLineItems": {"nodes": []}},
        {"id": "gid://shopify/Fulfillment/1", "status": "SUCCESS", "createdAt": "2026-11-21T00:00:00Z",
         "location": {"id": "gid://shopify/Location/5", "name": null},
         "trackingInfo": [{"company": "DHL", "number": "T1"}, {"company": null, "number": "T2"}],
         "fulfillmentLineItems": {"nodes": [{"quantity": 2, "lineItem": {"id": "gid://shopify/LineItem/1"}}]}},
    ]);
    raw["transactions"] = json!([{
        "id": "gid://shopify/OrderTransaction/3", "kind": "CAPTURE", "status": "SUCCESS", "gateway": "paypal",
        "amountSet": euro("23.0"), "paymentId": "PAY-1", "test": true, "processedAt": "2026-11-20T10:00:00Z",
        "parentTransaction": {"id": "gid://shopify/OrderTransaction/2"},
    }]);
    let order = book(raw);
    let [first, second] = order.fulfillments.as_slice() else {
        panic!("{:?}", order.fulfillments)
    };
    assert_eq!((first.id, second.id), (ShopifyId(1), ShopifyId(2)));
    assert_eq!(second.status, "CANCELLED");
    assert_eq!(first.tracking_company.as_deref(), Some("DHL"));
    assert_eq!(first.tracking_numbers, ["T1", "T2"]);
    assert_eq!(first.location.as_deref(), Some("5"));
    assert_eq!(
        first
            .lines
            .iter()
            .map(|l| format!("{} x{}", l.key, l.quantity))
            .collect::<Vec<_>>(),
        ["line_1 x2"]
    );
    let payment = &order.payments[0];
    assert_eq!(payment.reference.as_deref(), Some("PAY-1"));
    assert_eq!((payment.parent, payment.test), (Some(ShopifyId(2)), true));
}

#[test]
fn a_list_that_goes_on_is_no_whole_record() {
    for (part, list) in [
        ("refunds", "orderAdjustments"),
        ("refunds", "transactions"),
        ("fulfillments", "fulfillmentLineItems"),
    ] {
        let mut raw = taxed();
        raw["refunds"] = json!([refund(&[])]);
        raw["fulfillments"] = json!([{"fulfillmentLineItems": {"nodes": []}}]);
        raw[part][0][list] = json!({"nodes": [], "pageInfo": {"hasNextPage": true}});
        let error = refuse(raw);
        assert_eq!(
            (error.code, error.field),
            ("incomplete_record", format!("{part}[0].{list}"))
        );
    }
}

#[test]
fn discounts_are_told_with_what_they_took_off() {
    let mut raw = order_of(
        false,
        &[
            with(
                line(1, 1, "10.0"),
                "/discountAllocations",
                allocations(&["1.0", "0.5"]),
            ),
            with(
                line(2, 1, "10.0"),
                "/discountAllocations",
                allocations(&["0.0", "0.5"]),
            ),
        ],
        &[],
        "18.0",
        "0.0",
    );
    raw["discountApplications"] = json!({"nodes": [
        {"__typename": "AutomaticDiscountApplication", "index": 0, "title": "Mugs", "targetType": "LINE_ITEM",
         "targetSelection": "ENTITLED", "allocationMethod": "EACH"},
        {"__typename": "DiscountCodeApplication", "index": 1, "code": "SAVE", "targetType": "LINE_ITEM",
         "targetSelection": "ALL", "allocationMethod": "ACROSS"},
        {"__typename": "ManualDiscountApplication", "index": 2, "title": null, "description": "a favour",
         "targetType": "SHIPPING_LINE", "targetSelection": "ALL", "allocationMethod": "ACROSS"},
    ]});
    let seen: Vec<String> = book(raw)
        .discounts
        .iter()
        .map(|d| format!("{} {:?} {} {}", d.title, d.code, d.kind, d.amount))
        .collect();
    assert_eq!(
        seen,
        [
            "Mugs None product 1.00",
            "SAVE Some(\"SAVE\") order 1.00",
            "a favour None shipping 0.00"
        ]
    );
}

#[test]
fn company_risk_and_place_are_told() {
    let order = book(taxed());
    assert_eq!(
        (order.risk, order.company, order.tax_exempt),
        (Risk::None, None, false)
    );
    for (word, risk) in [
        ("NONE", Risk::None),
        ("ACCEPT", Risk::Low),
        ("INVESTIGATE", Risk::Medium),
        ("CANCEL", Risk::High),
        ("SOMETHING_NEW", Risk::Pending),
    ] {
        let mut raw = taxed();
        raw["risk"] = json!({ "recommendation": word });
        assert_eq!(book(raw).risk, risk, "{word}");
    }
    let mut raw = taxed();
    raw["taxExempt"] = json!(true);
    raw["retailLocation"] = json!({"id": "gid://shopify/Location/5", "name": "Ely"});
    raw["purchasingEntity"] = json!({
        "__typename": "PurchasingCompany",
        "company": {"id": "gid://shopify/Company/8001", "name": "Acme GmbH", "externalId": "C-1"},
        "location": {"id": "gid://shopify/CompanyLocation/8101", "name": "Hamburg", "externalId": null},
        "contact": {"id": "gid://shopify/CompanyContact/1"},
    });
    let order = book(raw);
    assert!(order.tax_exempt);
    assert_eq!(order.confirmation_number.as_deref(), Some("ABC123"));
    assert_eq!(order.retail_location.as_deref(), Some("Ely"));
    let company = order.company.unwrap();
    assert_eq!(
        (company.id, company.location_id),
        (ShopifyId(8001), ShopifyId(8101))
    );
    assert_eq!(
        (
            company.name.as_str(),
            company.location_name.as_str(),
            company.external_id.as_deref()
        ),
        ("Acme GmbH", "Hamburg", Some("C-1"))
    );
    // A private buyer is a customer, whatever else is told of him.
    let mut raw = taxed();
    raw["purchasingEntity"] = json!({"__typename": "Customer"});
    assert_eq!(book(raw).company, None);
}

#[test]
fn a_line_that_never_had_a_product_is_told_from_one_whose_product_was_deleted() {
    // vendor, SKU, variant title -> is it custom?
    for (vendor, sku, variant, custom) in [
        (json!(null), json!(null), json!(null), true),
        (json!("Maker"), json!(null), json!(null), false),
        (json!(null), json!("S"), json!(null), false),
        (json!(null), json!(""), json!("Blue"), false),
    ] {
        let mut thing = line(1, 1, "5.0");
        thing["product"] = json!(null);
        thing["variant"] = json!(null);
        thing["vendor"] = vendor.clone();
        thing["sku"] = sku.clone();
        thing["variantTitle"] = variant.clone();
        thing["lineItemGroup"] =
            json!({"id": "gid://shopify/LineItemGroup/1", "title": "Set", "quantity": 1});
        let order = book(order_of(false, &[thing], &[], "5.0", "0.0"));
        let line = &order.lines[0];
        assert_eq!(line.kind, LineKind::Product);
        assert_eq!(line.is_custom, custom, "{vendor} {sku} {variant}");
        assert_eq!(line.is_deleted_product(), !custom, "{vendor} {sku} {variant}");
        assert_eq!(line.group.as_deref(), Some("Set"));
        assert!(line.requires_shipping);
    }
    // The variant alone is gone, the product is not.
    let gone = with(line(1, 3, "5.0"), "/variant", json!(null));
    let order = book(order_of(
        false,
        &[with(gone, "/currentQuantity", json!(1))],
        &[],
        "5.0",
        "0.0",
    ));
    assert!(order.lines[0].is_deleted_product());
    assert_eq!(order.lines[0].sold_quantity.to_string(), "3");
    assert_eq!(order.lines[0].quantity.to_string(), "1");
}
