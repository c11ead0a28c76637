//! Totals of orders: by hand, and as properties of any order.

use super::*;
use crate::sandbox::shopify::draft::{CancelDraft, OrderEdit, Payment, RefundDraft, RefundMoney};
use crate::sandbox::shopify::facts::{
    AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, FinancialStatus, Order, Restock,
};
use crate::sandbox::shopify::money::Bag;
use proptest::prelude::*;

fn empty_shop() -> Shop {
    Shop::new(&Options::default())
}

fn place(shop: &mut Shop, draft: OrderDraft) -> u64 {
    shop.place_order(draft).unwrap()
}

fn code(code: &str, value: DiscountValue) -> Discount {
    Discount {
        kind: DiscountKind::Code(code.into()),
        value,
        target: DiscountTarget::AllLines,
        method: AllocationMethod::Across,
    }
}

#[test]
fn tax_on_top_is_rounded_per_tax_line() {
    let mut shop = empty_shop();
    let taxes = vec![Tax::new("State", d("0.0625")), Tax::new("County", d("0.01"))];
    let lines = vec![
        LineDraft::custom("A", d("9.99"), 3),
        LineDraft::custom("B", d("0.50"), 1),
    ];
    let shipping = vec![ShippingDraft::new("Post", d("5.00"))];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            shipping,
            taxes,
            ..OrderDraft::default()
        },
    );
    let order = shop.order(id).unwrap();
    let tax =
        |index: usize| -> Vec<Decimal> { order.lines[index].taxes.iter().map(|t| t.amount.shop).collect() };
    // 29.97 x 0.0625 = 1.873125, x 0.01 = 0.2997; 0.50 x 0.0625 = 0.03125, x 0.01 = 0.005 -> 0.01 (half up).
    assert_eq!(tax(0), [d("1.87"), d("0.30")]);
    assert_eq!(tax(1), [d("0.03"), d("0.01")]);
    // Shipping 5.00: 0.3125 -> 0.31, 0.05. Total 30.47 + 5.00 + 1.87 + 0.30 + 0.03 + 0.01 + 0.31 + 0.05.
    assert_eq!(order.totals.total.shop, d("38.04"));
    assert_eq!(order.totals.subtotal.shop, d("30.47"));
    // By title and rate over lines and shipping: 1.87 + 0.03 + 0.31 and 0.30 + 0.01 + 0.05.
    let merged: Vec<Decimal> = order.totals.taxes.iter().map(|t| t.amount.shop).collect();
    assert_eq!(merged, [d("2.21"), d("0.36")]);
}

#[test]
fn tax_within_prices_is_taken_out_of_them() {
    let mut shop = empty_shop();
    let taxes = vec![Tax::new("DE MwSt", d("0.19"))];
    let lines = vec![LineDraft::custom("A", d("19.99"), 2)];
    let discounts = vec![code("TEN", DiscountValue::Percentage(d("10")))];
    let draft = OrderDraft {
        lines,
        taxes,
        discounts,
        taxes_included: true,
        ..OrderDraft::default()
    };
    let id = place(&mut shop, draft);
    let order = shop.order(id).unwrap();
    // 39.98 less 10 % (3.998 -> 4.00) = 35.98; 35.98 x 0.19 / 1.19 = 5.74470… -> 5.74.
    assert_eq!(order.totals.discounts.shop, d("4.00"));
    assert_eq!(order.totals.total.shop, d("35.98"));
    assert_eq!(order.totals.tax.shop, d("5.74"));
}

#[test]
fn a_code_is_spread_over_the_lines_after_line_discounts() {
    let mut shop = empty_shop();
    let lines = vec![
        LineDraft::custom("A", d("99.00"), 1),
        LineDraft::custom("B", d("100.00"), 1),
    ];
    let discounts = vec![
        code("P15", DiscountValue::Percentage(d("15"))),
        Discount {
            kind: DiscountKind::Automatic("Five off".into()),
            value: DiscountValue::Amount(d("5")),
            target: DiscountTarget::Lines(vec![0]),
            method: AllocationMethod::Each,
        },
    ];
    let shipping = vec![ShippingDraft::new("Post", d("22.00"))];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            shipping,
            discounts,
            ..OrderDraft::default()
        },
    );
    let order = shop.order(id).unwrap();
    // As in a recorded order: 15 % of 94.00 and of 100.00 are 14.10 and 15.00.
    let amounts: Vec<(usize, Decimal)> = order.lines[0]
        .allocations
        .iter()
        .map(|a| (a.discount, a.amount.shop))
        .collect();
    assert_eq!(amounts, [(1, d("5")), (0, d("14.10"))]);
    assert_eq!(order.lines[1].allocations[0].amount.shop, d("15.00"));
    assert_eq!(order.totals.discounts.shop, d("34.10"));
    assert_eq!(order.totals.total.shop, d("186.90"));
}

#[test]
fn goodwill_leaves_the_current_total_alone() {
    let mut shop = empty_shop();
    let lines = vec![LineDraft::custom("A", d("100.00"), 1)];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            ..OrderDraft::default()
        },
    );
    shop.refund_order(id, &RefundDraft::goodwill(d("5"))).unwrap();
    let t = &shop.order(id).unwrap().totals;
    assert_eq!((t.current_total.shop, t.refunded.shop), (d("100.00"), d("5")));
    assert_eq!(t.refund_discrepancy.shop, d("-5"), "in the buyer's favour");
    assert_eq!(t.outstanding.shop, Decimal::ZERO);
    assert_eq!(t.financial, FinancialStatus::PartiallyRefunded);
}

#[test]
fn a_return_lowers_the_current_total_by_its_worth() {
    let mut shop = empty_shop();
    let lines = vec![LineDraft::custom("A", d("10.00"), 3)];
    let taxes = vec![Tax::new("VAT", d("0.20"))];
    let discounts = vec![code("ONE", DiscountValue::Amount(d("1")))];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            discounts,
            taxes,
            ..OrderDraft::default()
        },
    );
    shop.fulfill_order(id, None).unwrap();
    shop.refund_order(id, &RefundDraft::returned(0, 1)).unwrap();
    let order = shop.order(id).unwrap();
    // 29.00 net, 5.80 tax. A third is 9.67 (of 9.666…) and 1.93 (of 1.9333…).
    assert_eq!(order.refunds[0].lines[0].subtotal.shop, d("9.67"));
    assert_eq!(order.refunds[0].lines[0].tax.shop, d("1.93"));
    assert_eq!(order.totals.total.shop, d("34.80"));
    assert_eq!(order.totals.current_total.shop, d("23.20"));
    assert_eq!(order.totals.refunded.shop, d("11.60"));
    assert_eq!(order.current_quantity(&order.lines[0]), 2);
    shop.refund_order(id, &RefundDraft::returned(0, 2)).unwrap();
    let t = &shop.order(id).unwrap().totals;
    assert_eq!(
        (t.current_total.shop, t.current_tax.shop),
        (Decimal::ZERO, Decimal::ZERO)
    );
    assert_eq!(t.refunded.shop, d("34.80"));
    assert_eq!(t.financial, FinancialStatus::Refunded);
}

#[test]
fn payments_decide_the_financial_status() {
    let gateway = || "shopify_payments".to_owned();
    for (payment, status) in [
        (Payment::Paid(gateway()), FinancialStatus::Paid),
        (Payment::Authorized(gateway()), FinancialStatus::Authorized),
        (Payment::Pending(gateway()), FinancialStatus::Pending),
        (
            Payment::Deposit(gateway(), d("10")),
            FinancialStatus::PartiallyPaid,
        ),
        (
            Payment::Split(vec![("gift_card".into(), Some(d("10"))), (gateway(), None)]),
            FinancialStatus::Paid,
        ),
        (Payment::Cash(d("0.05")), FinancialStatus::Paid),
        (Payment::None, FinancialStatus::Pending),
    ] {
        let mut shop = empty_shop();
        let lines = vec![LineDraft::custom("A", d("99.98"), 1)];
        let id = place(
            &mut shop,
            OrderDraft {
                lines,
                payment: payment.clone(),
                ..OrderDraft::default()
            },
        );
        assert_eq!(shop.order(id).unwrap().totals.financial, status, "{payment:?}");
        if status != FinancialStatus::Paid {
            shop.pay_order(id).unwrap();
            assert_eq!(
                shop.order(id).unwrap().totals.financial,
                FinancialStatus::Paid,
                "{payment:?}"
            );
        }
    }
}

#[test]
fn cash_is_rounded_beside_the_total() {
    let mut shop = empty_shop();
    let lines = vec![LineDraft::custom("A", d("10.02"), 1)];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            payment: Payment::Cash(d("0.05")),
            ..OrderDraft::default()
        },
    );
    let t = &shop.order(id).unwrap().totals;
    assert_eq!(
        (t.total.shop, t.received.shop, t.payment_rounding.shop),
        (d("10.02"), d("10.02"), d("-0.02"))
    );
    assert_eq!(t.outstanding.shop, Decimal::ZERO);
}

#[test]
fn cancelling_empties_the_order() {
    for (payment, refund, status, outstanding) in [
        (Payment::Paid("card".into()), true, FinancialStatus::Refunded, "0"),
        (
            Payment::Paid("card".into()),
            false,
            FinancialStatus::Paid,
            "-34.90",
        ),
        (
            Payment::Authorized("card".into()),
            true,
            FinancialStatus::Voided,
            "0",
        ),
        (
            Payment::Pending("bank".into()),
            false,
            FinancialStatus::Voided,
            "0",
        ),
    ] {
        let mut shop = empty_shop();
        let lines = vec![LineDraft::custom("A", d("15.00"), 2)];
        let shipping = vec![ShippingDraft::new("Post", d("4.90"))];
        let draft = OrderDraft {
            lines,
            shipping,
            payment: payment.clone(),
            ..OrderDraft::default()
        };
        let id = place(&mut shop, draft);
        shop.cancel_order(
            id,
            &CancelDraft {
                refund,
                ..CancelDraft::default()
            },
        )
        .unwrap();
        let t = &shop.order(id).unwrap().totals;
        assert_eq!(t.total.shop, d("34.90"), "{payment:?}");
        assert_eq!(t.current_total.shop, Decimal::ZERO, "{payment:?}");
        assert_eq!(
            (t.financial, t.outstanding.shop),
            (status, d(outstanding)),
            "{payment:?}"
        );
        assert!(shop.cancel_order(id, &CancelDraft::default()).is_err(), "twice");
    }
}

#[test]
fn an_edit_adds_and_removes() {
    let mut shop = empty_shop();
    let taxes = vec![Tax::new("VAT", d("0.20"))];
    let lines = vec![LineDraft::custom("A", d("10.00"), 2)];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            taxes,
            ..OrderDraft::default()
        },
    );
    let edit = OrderEdit {
        add: vec![LineDraft::custom("B", d("5.00"), 1)],
        remove: vec![(0, 1)],
        settle: Some("card".into()),
    };
    shop.edit_order(id, &edit).unwrap();
    let order = shop.order(id).unwrap();
    assert!(order.edited);
    assert_eq!(order.original_total.shop, d("24.00"));
    // 10.00 + 5.00 and a fifth on top; the difference of 6.00 was given back.
    assert_eq!(order.totals.current_total.shop, d("18.00"));
    assert_eq!(
        (order.lines[0].quantity, order.current_quantity(&order.lines[0])),
        (2, 1)
    );
    assert_eq!(order.refunds[0].lines[0].restock, Restock::Cancel);
    assert_eq!(
        (order.totals.refunded.shop, order.totals.outstanding.shop),
        (d("6.00"), Decimal::ZERO)
    );
}

#[test]
fn a_tip_is_a_line_and_no_part_of_the_subtotal() {
    let mut shop = empty_shop();
    let lines = vec![LineDraft::custom("A", d("10.00"), 1)];
    let id = place(
        &mut shop,
        OrderDraft {
            lines,
            tip: d("2"),
            ..OrderDraft::default()
        },
    );
    let order = shop.order(id).unwrap();
    assert_eq!(order.lines.len(), 2);
    let t = &order.totals;
    assert_eq!(
        (t.subtotal.shop, t.tip.shop, t.total.shop, t.current_total.shop),
        (d("10"), d("2"), d("12"), d("12"))
    );
}

/// What must hold for every order, on both sides of the money.
fn check(order: &Order) {
    let t = &order.totals;
    let goods = || order.lines.iter().filter(|l| !l.tip);
    let sum = |f: &dyn Fn(&crate::sandbox::shopify::facts::Line) -> Bag| -> Bag { goods().map(f).sum() };
    let on_top = |tax: Bag| if order.taxes_included { Bag::ZERO } else { tax };
    assert_eq!(t.subtotal, sum(&|l| l.original_total() - l.discount()));
    assert_eq!(
        t.total,
        t.subtotal + t.discounted_shipping + on_top(t.tax) + t.tip + t.duties
    );
    assert_eq!(
        t.line_items + t.shipping - t.discounts,
        t.subtotal + t.discounted_shipping
    );
    let removed: Bag = order
        .refunds
        .iter()
        .map(|r| {
            let lines: Bag = r.lines.iter().map(|l| l.subtotal + on_top(l.tax)).sum();
            let shipping: Bag = r.shipping.iter().map(|l| l.subtotal + on_top(l.tax)).sum();
            let duties: Bag = r.duties.iter().map(|d| d.amount + on_top(d.tax)).sum();
            lines + shipping + duties
        })
        .sum();
    assert_eq!(t.current_total, t.total - removed);
    assert_eq!(
        t.outstanding,
        t.current_total - (t.received - t.refunded) + t.refund_discrepancy
    );
    for (part, whole) in [
        (t.current_total, t.total),
        (t.current_tax, t.tax),
        (t.current_subtotal, t.subtotal),
        (t.current_discounts, t.discounts),
        (t.refunded, t.received),
    ] {
        assert!(
            part.shop >= Decimal::ZERO && part.shop <= whole.shop,
            "{part:?} of {whole:?}"
        );
        assert!(part.presentment >= Decimal::ZERO && part.presentment <= whole.presentment);
    }
    for line in &order.lines {
        assert!(line.total().shop >= Decimal::ZERO);
    }
    if order.lines.iter().all(|l| order.current_quantity(l) == 0) && order.cancellation.is_some() {
        assert_eq!(t.current_total, Bag::ZERO);
        assert_eq!(t.current_tax, Bag::ZERO);
    }
}

fn any_discount() -> impl Strategy<Value = Discount> {
    let value = prop_oneof![
        (0u32..=100).prop_map(|p| DiscountValue::Percentage(p.into())),
        (0i64..5000).prop_map(|c| DiscountValue::Amount(Decimal::new(c, 2))),
    ];
    let target = prop_oneof![
        Just(DiscountTarget::AllLines),
        Just(DiscountTarget::Lines(vec![0, 2])),
        Just(DiscountTarget::Shipping),
    ];
    (value, target, any::<bool>(), any::<bool>()).prop_map(|(value, target, across, is_code)| Discount {
        kind: if is_code {
            DiscountKind::Code("C".into())
        } else {
            DiscountKind::Automatic("A".into())
        },
        value,
        target,
        method: if across {
            AllocationMethod::Across
        } else {
            AllocationMethod::Each
        },
    })
}

proptest! {
    #[test]
    fn totals_stay_consistent_whatever_happens(
        lines in prop::collection::vec((1i64..20_000, 1u32..9), 1..6),
        shipping in prop::collection::vec(0i64..2000, 0..3),
        discounts in prop::collection::vec(any_discount(), 0..3),
        rates in prop::sample::subsequence(vec!["0.19", "0.07", "0.08875"], 0..3),
        taxes_included: bool,
        tip in 0i64..500,
        rate in prop::option::of(1i64..3000),
        payment in 0..4,
        steps in prop::collection::vec((0u8..5, 0usize..5, 1u32..4, 0i64..3000), 0..6),
    ) {
        let mut shop = empty_shop();
        let cents = |c: i64| Decimal::new(c, 2);
        let draft = OrderDraft {
            lines: lines.iter().map(|(price, n)| LineDraft::custom("X", cents(*price), *n)).collect(),
            shipping: shipping.iter().map(|price| ShippingDraft::new("S", cents(*price))).collect(),
            discounts,
            taxes: rates.iter().map(|r| Tax::new(r, d(r))).collect(),
            taxes_included,
            tip: cents(tip),
            presentment: rate.map(|r| ("JPY".to_owned(), Decimal::new(r, 1))),
            payment: match payment {
                0 => Payment::Paid("card".into()),
                1 => Payment::Pending("bank".into()),
                2 => Payment::Authorized("card".into()),
                _ => Payment::Split(vec![("gift_card".into(), Some(cents(500))), ("card".into(), None)]),
            },
            ..OrderDraft::default()
        };
        let id = shop.place_order(draft).unwrap();
        check(shop.order(id).unwrap());
        for (step, line, units, amount) in steps {
            // Refused steps change nothing; the checks hold either way.
            let _ = match step {
                0 => shop.pay_order(id),
                1 => shop.refund_order(id, &RefundDraft::returned(line, units)).map(|_| ()),
                2 => shop.refund_order(id, &RefundDraft {
                    shipping: Some(Some(cents(amount))), money: RefundMoney::Worth, ..RefundDraft::goodwill(cents(0))
                }).map(|_| ()),
                3 => shop.edit_order(id, &OrderEdit {
                    add: vec![LineDraft::custom("Y", cents(amount + 1), units)], remove: vec![(line, units)], settle: None,
                }),
                _ => shop.cancel_order(id, &CancelDraft::default()),
            };
            check(shop.order(id).unwrap());
        }
    }
}
