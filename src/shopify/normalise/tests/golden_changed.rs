//! Orders that were changed after they were placed: edited, refunded, cancelled.

use serde_json::{Value, json};

use super::build::*;

/// 3 x 10.00 less a share of an order discount of 1.00 = 29.00, 10 % tax 2.90; one unit is gone.
fn edited(total: &str, tax: &str, refunds: Value) -> Value {
    let thing = with(line(1, 3, "10.0"), "/discountAllocations", allocations(&["1.0"]));
    let thing = with(thing, "/taxLines", json!([vat(0.1, "2.9")]));
    let thing = with(thing, "/currentQuantity", json!(2));
    with(order_of(false, &[thing], &[], total, tax), "/refunds", refunds)
}

#[test]
fn units_that_are_gone_take_their_own_amounts_with_them() {
    // The refund took 9.67 (29.00 / 3 = 9.6667) and 0.97 tax (2.90 / 3 = 0.9667) off:
    // 29.00 - 9.67 = 19.33; tax 2.90 - 0.97 = 1.93; total 21.26. Discount left: 2 x 10.00 - 19.33 = 0.67.
    let order = book(edited(
        "21.26",
        "1.93",
        json!([refund(&[(1, 1, "9.67", "0.97")])]),
    ));
    check(
        &order,
        0,
        "line_1 product x2 at 10.00 - 0.67 = 19.33 each - net 19.33 gross 21.26 tax [10% 1.93]",
    );
    // Had Shopify taken 9.66 and 0.96, that is what counts: 19.34 + 1.94 = 21.28.
    let order = book(edited(
        "21.28",
        "1.94",
        json!([refund(&[(1, 1, "9.66", "0.96")])]),
    ));
    check(
        &order,
        0,
        "line_1 product x2 at 10.00 - 0.66 = 19.34 each 9.67 net 19.34 gross 21.28 tax [10% 1.94]",
    );
}

#[test]
fn without_refunds_the_units_keep_their_share() {
    // 2/3 of 1.00 is 0.6667, rounded 0.67: 20.00 - 0.67 = 19.33; 2/3 of 2.90 is 1.9333, rounded 1.93.
    let order = book(edited("21.26", "1.93", json!([])));
    check(
        &order,
        0,
        "line_1 product x2 at 10.00 - 0.67 = 19.33 each - net 19.33 gross 21.26 tax [10% 1.93]",
    );
    // A refund whose units do not fit what is gone, or whose amounts do not lead to the total, is not relied on.
    book(edited("21.26", "1.93", json!([refund(&[(1, 2, "9.0", "0.9")])])));
    book(edited("21.26", "1.93", json!([refund(&[(1, 1, "5.0", "0.0")])])));
    // And when neither way leads to the total, the difference of the first way is told: 29.00 - 5.00 + 2.90 = 26.90.
    let error = refuse(edited("21.00", "1.93", json!([refund(&[(1, 1, "5.0", "0.0")])])));
    assert_eq!(
        error.reason,
        "the order's lines add up to 26.90 EUR, Shopify's total is 21.00 EUR: a difference of 5.90 EUR"
    );
}

#[test]
fn shares_of_several_taxes_are_settled_against_the_shops_own_sums() {
    // 3 x 10.00, A 5 % 1.50, B 7.5 % 2.25; one unit is gone with 10.00 and 1.25 tax (0.50 + 0.75).
    // By amounts the refund's tax is shared 1.25 x 1.50 / 3.75 = 0.50 and 0.75: left 1.00 and 1.50; total 22.50.
    let taxes = json!([tax("A", &json!(0.05), "1.5"), tax("B", &json!(0.075), "2.25")]);
    let thing = with(line(1, 3, "10.0"), "/taxLines", taxes);
    let thing = with(thing, "/currentQuantity", json!(2));
    let raw = order_of(false, &[thing], &[], "22.5", "2.5");
    let raw = with(raw, "/refunds", json!([refund(&[(1, 1, "10.0", "1.25")])]));
    let order = book(raw.clone());
    check(
        &order,
        0,
        "line_1 product x2 at 10.00 - 0.00 = 20.00 each 10.00 net 20.00 gross 22.50 tax [5% 1.00, 7.5% 1.50]",
    );
    // The shop says that 0.99 and 1.51 are left: our shares move there, since they were reckoned and not told.
    let stated = json!([tax("A", &json!(0.05), "0.99"), tax("B", &json!(0.075), "1.51")]);
    let order = book(with(raw, "/currentTaxLines", stated));
    check(
        &order,
        0,
        "line_1 product x2 at 10.00 - 0.00 = 20.00 each 10.00 net 20.00 gross 22.50 tax [5% 0.99, 7.5% 1.51]",
    );
}

#[test]
fn a_share_is_moved_by_one_cent_at_most_and_told_amounts_never() {
    // One unit of three is gone without a refund; 2/3 of 2.90 is 1.93. The shop says 1.94: moved. 1.95: not proven.
    let stated = |amount| json!([vat(0.1, amount)]);
    let order = book(with(
        edited("21.27", "1.94", json!([])),
        "/currentTaxLines",
        stated("1.94"),
    ));
    assert_eq!(order.lines[0].taxes[0].amount.to_string(), "1.94");
    let error = refuse(with(
        edited("21.28", "1.95", json!([])),
        "/currentTaxLines",
        stated("1.95"),
    ));
    assert_eq!(error.code, "totals_do_not_add_up");
    // A tax that Shopify told for a line is not moved, whatever the sum says.
    let thing = with(line(1, 1, "10.0"), "/taxLines", json!([vat(0.1, "1.0")]));
    let raw = with(
        order_of(true, &[thing], &[], "10.0", "1.0"),
        "/currentTaxLines",
        stated("1.01"),
    );
    assert_eq!(book(raw).lines[0].taxes[0].amount.to_string(), "1.00");
}

#[test]
fn removed_lines_stay_without_units_and_added_ones_are_booked() {
    // 10.00 is gone, 7.50 (tax 0.75) was added.
    let gone = with(line(1, 1, "10.0"), "/taxLines", json!([vat(0.1, "1.0")]));
    let gone = with(gone, "/currentQuantity", json!(0));
    let added = with(line(2, 1, "7.5"), "/taxLines", json!([vat(0.1, "0.75")]));
    let raw = order_of(false, &[gone, added], &[], "8.25", "0.75");
    let raw = with(raw, "/refunds", json!([refund(&[(1, 1, "10.0", "1.0")])]));
    let order = book(with(raw, "/edited", json!(true)));
    assert!(order.edited);
    check(
        &order,
        0,
        "line_1 product x0 at 10.00 - 0.00 = 0.00 each - net 0.00 gross 0.00 tax [10% 0.00]",
    );
    check(
        &order,
        1,
        "line_2 product x1 at 7.50 - 0.00 = 7.50 each 7.50 net 7.50 gross 8.25 tax [10% 0.75]",
    );
}

#[test]
fn a_cancelled_order_has_lines_of_nothing() {
    let gone = with(line(1, 3, "9.99"), "/taxLines", json!([vat(0.2, "5.0")]));
    let gone = with(gone, "/currentQuantity", json!(0));
    let freight = with(
        shipping(2, "4.9", "4.9", "0.0"),
        "/taxLines",
        json!([vat(0.2, "0.82")]),
    );
    let raw = order_of(true, &[gone], &[freight], "0.0", "0.0");
    let raw = with(raw, "/cancelledAt", json!("2026-11-20T12:00:00+01:00"));
    let raw = with(raw, "/cancelReason", json!("CUSTOMER"));
    let order = book(raw);
    assert_eq!(
        order.cancelled_at.map(|at| at.to_string()).as_deref(),
        Some("2026-11-20T11:00:00Z")
    );
    check(
        &order,
        1,
        "shipping_2 shipping x0 at 4.90 - 0.00 = 0.00 each - net 0.00 gross 0.00 tax [20% 0.00]",
    );
}

#[test]
fn shipping_that_was_partly_given_back_and_shipping_that_was_taken_off() {
    // 10.00 less 2.00 discount = 8.00 + 1.60 tax; 3.00 + 0.60 tax were given back: 5.00 + 1.00 are left.
    let freight = with(
        shipping(2, "10.0", "8.0", "5.0"),
        "/taxLines",
        json!([vat(0.2, "1.6")]),
    );
    let off = with(shipping(3, "20.0", "20.0", "20.0"), "/isRemoved", json!(true));
    let raw = order_of(false, &[line(1, 1, "1.0")], &[freight, off], "7.0", "1.0");
    let given = json!([{
        "id": "gid://shopify/RefundShippingLine/5", "shippingLine": {"id": "gid://shopify/ShippingLine/2"},
        "subtotalAmountSet": euro("3.0"), "taxAmountSet": euro("0.6"),
    }]);
    let refunds = json!([with(refund(&[]), "/refundShippingLines/nodes", given)]);
    for refunds in [refunds, json!([])] {
        let order = book(with(raw.clone(), "/refunds", refunds));
        assert_eq!(order.lines.len(), 2);
        check(
            &order,
            1,
            "shipping_2 shipping x1 at 7.00 - 2.00 = 5.00 each 5.00 net 5.00 gross 6.00 tax [20% 1.00]",
        );
    }
}

#[test]
fn an_amount_given_back_for_nothing_is_proven_or_refused() {
    // Goodwill of 5.00 on 20.00. Where the shop's total stays 20.00 the order is what it was; where the shop takes it
    // off its total, no line says so, and the order is refused with the difference.
    let raw = order_of(false, &[line(1, 1, "20.0")], &[], "20.0", "0.0");
    let raw = with(raw, "/refunds", json!([refund(&[])]));
    let raw = with(raw, "/totalRefundedSet", euro("5.0"));
    assert_eq!(book(raw.clone()).totals.refunded.to_string(), "5.00");
    let error = refuse(with(raw, "/currentTotalPriceSet", euro("15.0")));
    assert_eq!(error.code, "totals_do_not_add_up");
    assert!(error.reason.contains("20.00 EUR") && error.reason.contains("15.00 EUR"));
    assert!(error.reason.contains("difference of 5.00 EUR") && error.fix.contains("Shopify's admin"));
}

#[test]
fn a_duty_follows_the_units_where_refunds_do_not_name_it() {
    // Two duties of 0.05 and 0.03 on 2 units each, one unit of each line is gone: half of 0.05 is 0.025, rounded 0.03,
    // left 0.02; half of 0.03 is 0.015, rounded 0.02, left 0.01: together 0.03. The shop says 0.04: the first moves.
    let half = |id: u64, duty: &str| {
        let thing = with(line(id, 2, "1.0"), "/currentQuantity", json!(1));
        let duty = json!([{"id": format!("gid://shopify/Duty/{id}"), "price": euro(duty), "taxLines": []}]);
        with(thing, "/duties", duty)
    };
    for (stated, total, first) in [("0.03", "2.03", "0.02"), ("0.04", "2.04", "0.03")] {
        let mut raw = order_of(false, &[half(1, "0.05"), half(2, "0.03")], &[], total, "0.0");
        raw["currentTotalDutiesSet"] = euro(stated);
        let order = book(raw);
        check(
            &order,
            2,
            &format!(
                "duty_1 duty x1 at {first} - 0.00 = {first} each {first} net {first} gross {first} tax []"
            ),
        );
    }
}

#[test]
fn duties_and_fees_that_were_given_back_leave_their_lines_without_units() {
    // Duty 12.00 + 2.40 tax and fee 3.00, both given back with the unit: nothing is left.
    let gone = with(line(1, 1, "100.0"), "/currentQuantity", json!(0));
    let gone = with(
        gone,
        "/duties",
        json!([{"id": "gid://shopify/Duty/67", "price": euro("12.0"), "taxLines": [vat(0.2, "2.4")]}]),
    );
    let fee = json!({"id": "gid://shopify/AdditionalFee/9", "name": "Deposit", "price": euro("3.0"), "taxLines": []});
    let raw = order_of(false, &[gone], &[], "0.0", "0.0");
    let raw = with(raw, "/additionalFees", json!([fee]));
    let raw = with(raw, "/currentTotalAdditionalFeesSet", euro("0.0"));
    let duty = json!([{"amountSet": euro("12.0"), "originalDuty": {"id": "gid://shopify/Duty/67"}}]);
    let refunds = json!([with(refund(&[(1, 1, "100.0", "0.0")]), "/duties", duty)]);
    let raw = with(raw, "/refunds", refunds);
    let order = book(raw.clone());
    check(
        &order,
        1,
        "duty_67 duty x0 at 12.00 - 0.00 = 0.00 each - net 0.00 gross 0.00 tax [20% 0.00]",
    );
    check(
        &order,
        2,
        "fee_9 fee x0 at 3.00 - 0.00 = 0.00 each - net 0.00 gross 0.00 tax []",
    );
    // A refund that does not say of which duty it is: then the shop's sum of duties tells that nothing is left.
    let nameless = with(raw.clone(), "/refunds/0/duties/0/originalDuty", json!(null));
    let mut nameless = with(nameless, "/currentTotalPriceSet", euro("0.0"));
    nameless["currentTotalDutiesSet"] = euro("0.0");
    assert_eq!(book(nameless).lines, order.lines);
    // Two fees of which a part is left: Shopify does not say of which.
    let two = json!([
        fee,
        with(fee.clone(), "/id", json!("gid://shopify/AdditionalFee/10"))
    ]);
    let raw = with(raw, "/additionalFees", two);
    let error = refuse(with(raw, "/currentTotalAdditionalFeesSet", euro("3.0")));
    assert_eq!(error.code, "fees_unclear");
}
