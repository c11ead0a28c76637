//! Refunds, by what the shop declares that they become.

use serde_json::json;

use super::bench::*;
use super::changes::{BOTH, confirmed, fix, total};
use super::credits::by_finance;
use super::edits::{done, problem};
use super::*;
use crate::domain::LinkKind;
use crate::sandbox::odoo::{Fault, InvoiceView};
use crate::sandbox::shopify::draft::{RefundDraft, RefundMoney};
use crate::sandbox::shopify::facts::{
    AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Restock,
};

pub(super) async fn bench(version: Version, refunds: Refunds) -> Bench {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(version)
    };
    let settings = Settings {
        refunds,
        ..Settings::default()
    };
    Bench::with(options, settings).await
}

pub(super) fn refund(bench: &Bench, id: u64, draft: &RefundDraft) -> u64 {
    bench.shop.change(|shop| shop.refund_order(id, draft)).unwrap()
}

pub(super) fn units(position: usize, units: u32, restock: Restock) -> RefundDraft {
    RefundDraft {
        lines: vec![(position, units, restock)],
        ..RefundDraft::returned(position, units)
    }
}

fn shipping() -> RefundDraft {
    RefundDraft {
        lines: Vec::new(),
        shipping: Some(None),
        money: RefundMoney::Worth,
        ..RefundDraft::goodwill(Decimal::ZERO)
    }
}

/// Marks what was ordered of the order's first line as delivered, as a person who validates its delivery does.
pub(super) fn delivered(bench: &Bench, name: &str, quantity: u32) {
    let line = bench.booked(name).lines[0].id;
    bench.in_the_erp(
        "sale.order.line",
        "write",
        json!([[line], { "qty_delivered": quantity }]),
    );
}

pub(super) fn notes(bench: &Bench) -> Vec<InvoiceView> {
    let mut all = bench.erp.ledger().invoices();
    all.retain(|document| document.kind == "out_refund");
    all
}

#[tokio::test]
async fn units_that_were_never_delivered_come_off_the_order_under_both_policies() {
    for version in BOTH {
        for policy in [Refunds::Quantity, Refunds::CreditNote] {
            let bench = bench(version, policy).await;
            let (_, id, name) = confirmed(&bench).await;
            refund(&bench, id, &units(0, 1, Restock::Cancel));
            done(&bench, id).await;
            let booked = bench.booked(&name);
            assert_eq!(booked.lines[0].quantity, decimal("2"), "{version:?} {policy:?}");
            assert_eq!(booked.amount_total, total(&bench, id), "{version:?} {policy:?}");
            assert!(notes(&bench).is_empty(), "{version:?} {policy:?}");
        }
    }
}

#[tokio::test]
async fn units_that_came_back_become_a_draft_credit_note_and_stay_on_the_order() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        let before = bench.booked(&name);
        delivered(&bench, &name, 3);
        let number = refund(&bench, id, &units(0, 1, Restock::Return));
        done(&bench, id).await;
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.amount_total, before.amount_total, "{version:?}");
        let notes = notes(&bench);
        assert_eq!(notes.len(), 1, "{version:?}");
        let note = &notes[0];
        // 19.99 with 19 % in it: 19.99 x 19/119 = 3.1917 -> 3.19.
        assert_eq!(
            (note.state.as_str(), note.amount_total, note.amount_tax),
            ("draft", decimal("19.99"), decimal("3.19")),
            "{version:?}"
        );
        assert_eq!(
            note.external_ids,
            [format!("__lockstep_main__.refund_{number}")],
            "{version:?}"
        );
        assert!(
            bench.link(LinkKind::Refund, number).await.is_some(),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn several_refunds_are_credited_once_each_whatever_is_repeated() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        delivered(&bench, &name, 3);
        refund(&bench, id, &units(0, 1, Restock::Return));
        done(&bench, id).await;
        // The second credit note is written, and its answer is lost.
        refund(&bench, id, &units(0, 1, Restock::None));
        bench.erp.faults().on("account.move", "load", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        refund(&bench, id, &RefundDraft::goodwill(decimal("2.50")));
        refund(&bench, id, &shipping());
        done(&bench, id).await;
        done(&bench, id).await;
        let amounts: Vec<Decimal> = notes(&bench).iter().map(|note| note.amount_total).collect();
        assert_eq!(
            amounts,
            [
                decimal("19.99"),
                decimal("19.99"),
                decimal("2.50"),
                decimal("4.90")
            ],
            "{version:?}"
        );
        // 3 x 19.99 + 4.90: what was delivered stays.
        assert_eq!(bench.booked(&name).amount_total, decimal("64.87"), "{version:?}");
    }
}

#[tokio::test]
async fn units_that_have_no_exact_price_are_credited_to_the_cent() {
    let bench = bench(Version::V18, Refunds::CreditNote).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.discounts = vec![Discount {
        kind: DiscountKind::Code("SAVE".into()),
        value: DiscountValue::Amount(decimal("1.00")),
        target: DiscountTarget::AllLines,
        method: AllocationMethod::Across,
    }];
    let (id, name) = order(&bench, draft);
    done(&bench, id).await;
    delivered(&bench, &name, 3);
    refund(&bench, id, &units(0, 2, Restock::Return));
    done(&bench, id).await;
    let worth = bench.shop.change(|shop| {
        let order = shop.order(id).unwrap();
        order.totals.total.shop - order.totals.current_total.shop
    });
    assert_eq!(notes(&bench)[0].amount_total, worth);
}

#[tokio::test]
async fn under_quantity_what_is_delivered_or_is_money_only_needs_finance_and_goes_on_when_it_was_done() {
    for version in BOTH {
        let bench = bench(version, Refunds::Quantity).await;
        let (_, id, name) = confirmed(&bench).await;
        delivered(&bench, &name, 3);
        let first = refund(&bench, id, &units(0, 1, Restock::Return));
        let second = refund(&bench, id, &RefundDraft::goodwill(decimal("2.50")));
        let why = problem(&bench, id).await;
        assert!(why.starts_with("refund_needs_finance"), "{why}");
        let fix = fix(&bench, id).await;
        assert!(
            fix.contains("credit note of 19.99 EUR")
                && fix.contains("1 x Shirt")
                && fix.contains(&format!("refund_{first}"))
                && fix.contains("2.50 EUR")
                && fix.contains(&format!("refund_{second}")),
            "{fix}"
        );
        assert!(notes(&bench).is_empty(), "{version:?}");
        for (number, amount) in [(first, "19.99"), (second, "2.50")] {
            by_finance(&bench, "out_refund", &format!("refund_{number}"), amount);
        }
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).lines[0].quantity, decimal("3"), "{version:?}");
    }
}

#[tokio::test]
async fn under_problem_every_refund_is_left_to_finance_and_an_edit_is_not() {
    let bench = bench(Version::V19, Refunds::Problem).await;
    let (_, id, name) = confirmed(&bench).await;
    super::edits::edit(&bench, id, &super::edits::removed(0, 1));
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).lines[0].quantity, decimal("2"));
    refund(&bench, id, &units(0, 1, Restock::Cancel));
    let why = problem(&bench, id).await;
    assert!(why.starts_with("refund_needs_finance"), "{why}");
    assert_eq!(bench.booked(&name).lines[0].quantity, decimal("2"));
    // Finance takes it off the order.
    let line = &bench.booked(&name).lines[0];
    let values = json!([[line.id], { "product_uom_qty": 1, "price_unit": 19.99 }]);
    bench.in_the_erp("sale.order.line", "write", values);
    done(&bench, id).await;
}

#[tokio::test]
async fn what_was_invoiced_and_never_sent_is_credited_and_comes_off_the_order() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        bench.erp.invoice(bench.booked(&name).id).unwrap();
        refund(&bench, id, &units(0, 1, Restock::Cancel));
        done(&bench, id).await;
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.lines[0].quantity, decimal("2"), "{version:?}");
        assert_eq!(booked.amount_total, total(&bench, id), "{version:?}");
        let notes = notes(&bench);
        assert_eq!(notes.len(), 1, "{version:?}");
        assert_eq!(notes[0].amount_total, decimal("19.99"), "{version:?}");
        assert!(notes[0].reversed_entry_id.is_some(), "{version:?}");
    }
}

#[tokio::test]
async fn a_credit_note_that_does_not_come_to_the_refund_is_a_problem_and_left_a_draft() {
    let bench = bench(Version::V18, Refunds::CreditNote).await;
    let (_, id, name) = confirmed(&bench).await;
    delivered(&bench, &name, 3);
    refund(&bench, id, &units(0, 1, Restock::Return));
    // Somebody gave the line a tax on top.
    let domain = json!([[["amount", "=", 19], ["price_include", "=", false]]]);
    let tax = bench.in_the_erp("account.tax", "search", domain)[0].clone();
    let line = bench.booked(&name).lines[0].id;
    let taxes = if bench.erp.options().version == Version::V19 {
        "tax_ids"
    } else {
        "tax_id"
    };
    let values = json!([[line], { taxes: [[6, 0, [tax]]] }]);
    bench.in_the_erp("sale.order.line", "write", values);
    let why = problem(&bench, id).await;
    assert!(why.starts_with("refund_total_differs"), "{why}");
    assert_eq!(notes(&bench)[0].state, "draft");
    // Finance corrects the draft.
    let draft = &notes(&bench)[0];
    let lines = bench.in_the_erp(
        "account.move.line",
        "search",
        json!([[["move_id", "=", draft.id], ["display_type", "=", "product"]]]),
    );
    let correct = |taxes: serde_json::Value| {
        let values = json!([lines, { "tax_ids": taxes }]);
        bench.in_the_erp("account.move.line", "write", values);
    };
    // The total is right without any tax, and the tax is not.
    correct(json!([[5]]));
    let why = problem(&bench, id).await;
    assert!(
        why.starts_with("refund_tax_differs") && why.contains("3.19"),
        "{why}"
    );
    let domain = json!([[["amount", "=", 19], ["price_include", "=", true]]]);
    let included = bench.in_the_erp("account.tax", "search", domain)[0].clone();
    correct(json!([[6, 0, [included]]]));
    done(&bench, id).await;
}

#[tokio::test]
async fn a_refund_before_the_order_was_ever_seen_leaves_what_a_later_one_leaves() {
    for version in BOTH {
        let mut ends = Vec::new();
        for early in [false, true] {
            let bench = bench(version, Refunds::CreditNote).await;
            let (_, variants) = shirt(&bench);
            let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
            if !early {
                done(&bench, id).await;
            }
            refund(&bench, id, &units(0, 1, Restock::Cancel));
            refund(&bench, id, &shipping());
            refund(&bench, id, &RefundDraft::goodwill(decimal("3.00")));
            done(&bench, id).await;
            let booked = bench.booked(&name);
            assert_eq!(booked.amount_total, total(&bench, id), "{version:?}");
            let notes: Vec<Decimal> = notes(&bench).iter().map(|note| note.amount_total).collect();
            ends.push((booked.state, booked.amount_total, booked.amount_tax, notes));
        }
        assert_eq!(ends[0], ends[1], "{version:?}");
        assert_eq!(ends[0].3, [decimal("3.00")], "{version:?}");
    }
}

#[tokio::test]
async fn refunds_are_told_in_the_summary() {
    let bench = bench(Version::V18, Refunds::CreditNote).await;
    let (_, id, name) = confirmed(&bench).await;
    delivered(&bench, &name, 3);
    let number = refund(&bench, id, &units(0, 1, Restock::Return));
    let (_, summary) = bench.sync(Object::Order, id).await;
    let summary = summary.unwrap();
    assert!(
        summary.contains(&format!("refund {number} of 19.99 EUR: a credit note")),
        "{summary}"
    );
}
