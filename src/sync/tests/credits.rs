//! Credit notes that did not come out at the first try, were made by people, or stand for less than all of a refund.

use serde_json::json;

use super::bench::*;
use super::changes::{BOTH, confirmed, fix};
use super::edits::{done, problem};
use super::refunds::{bench, delivered, notes, refund, units};
use super::*;
use crate::domain::LinkKind;
use crate::sandbox::odoo::Fault;
use crate::sandbox::shopify::draft::{RefundDraft, RefundMoney};
use crate::sandbox::shopify::facts::Restock;

/// A document of one line without tax, as a person in finance makes it.
pub(super) fn by_finance(bench: &Bench, kind: &str, reference: &str, amount: &str) -> i64 {
    let amount: f64 = amount.parse().unwrap();
    let line = json!({ "name": "By hand", "quantity": 1, "price_unit": amount, "tax_ids": [[6, 0, []]] });
    bench.made_in_the_erp(
        "account.move",
        json!({ "move_type": kind, "ref": reference, "invoice_line_ids": [[0, 0, line]] }),
    )
}

#[tokio::test]
async fn a_wrong_credit_note_stays_a_problem_although_its_draft_counts_against_what_is_invoiced() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        bench.erp.invoice(bench.booked(&name).id).unwrap();
        let field = if version == Version::V19 {
            "tax_ids"
        } else {
            "tax_id"
        };
        let line = bench.booked(&name).lines[0].id;
        let before = bench.in_the_erp("sale.order.line", "read", json!([[line], [field]]))[0][field].clone();
        let domain = json!([[["amount", "=", 19], ["price_include", "=", false]]]);
        let wrong = bench.in_the_erp("account.tax", "search", domain)[0].clone();
        let set = |taxes: serde_json::Value| {
            let values = json!([[line], { field: [[6, 0, taxes]] }]);
            bench.in_the_erp("sale.order.line", "write", values);
        };
        set(json!([wrong]));
        let number = refund(&bench, id, &units(0, 1, Restock::Cancel));
        for _ in 0..3 {
            let why = problem(&bench, id).await;
            assert!(
                why.starts_with("refund_total_differs") && why.contains("19.99"),
                "{why}"
            );
            assert!(
                bench.link(LinkKind::Refund, number).await.is_none(),
                "{version:?}"
            );
        }
        // Finance corrects the draft, and whoever gave the line its tax takes it back.
        set(before);
        let draft = notes(&bench)[0].id;
        let domain = json!([[["move_id", "=", draft], ["display_type", "=", "product"]]]);
        let lines = bench.in_the_erp("account.move.line", "search", domain);
        let domain = json!([[["amount", "=", 19], ["price_include", "=", true]]]);
        let right = bench.in_the_erp("account.tax", "search", domain)[0].clone();
        let values = json!([lines, { "tax_ids": [[6, 0, [right]]] }]);
        bench.in_the_erp("account.move.line", "write", values);
        done(&bench, id).await;
        assert!(
            bench.link(LinkKind::Refund, number).await.is_some(),
            "{version:?}"
        );
        let booked = bench.booked(&name);
        assert_eq!(booked.lines[0].quantity, decimal("2"), "{version:?}");
        assert_eq!(notes(&bench).len(), 1, "{version:?}");
        let link = bench.link(LinkKind::Order, id).await.unwrap();
        assert!(link.agreed.get("unproven_credits").is_none(), "{version:?}");
    }
}

#[tokio::test]
async fn a_credit_note_whose_answer_was_lost_is_proven_and_linked_at_the_next_try() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        bench.erp.invoice(bench.booked(&name).id).unwrap();
        let number = refund(&bench, id, &units(0, 1, Restock::Cancel));
        bench.erp.faults().on("account.move", "load", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        done(&bench, id).await;
        let amounts: Vec<Decimal> = notes(&bench).iter().map(|note| note.amount_total).collect();
        assert_eq!(amounts, [decimal("19.99")], "{version:?}");
        let link = bench.link(LinkKind::Refund, number).await;
        assert!(link.is_some(), "{version:?}: proven and linked");
    }
}

#[tokio::test]
async fn a_credit_note_of_finance_counts_only_when_it_comes_to_the_refund_and_is_not_cancelled() {
    for version in BOTH {
        let bench = bench(version, Refunds::Quantity).await;
        let (_, id, name) = confirmed(&bench).await;
        delivered(&bench, &name, 3);
        let number = refund(&bench, id, &units(0, 1, Restock::Return));
        let reference = format!("refund_{number}");
        assert!(problem(&bench, id).await.starts_with("refund_needs_finance"));
        let wrong = by_finance(&bench, "out_refund", &reference, "9.99");
        let why = problem(&bench, id).await;
        assert!(why.starts_with("refund_needs_finance"), "{why}");
        let told = fix(&bench, id).await;
        assert!(
            told.contains("19.99 EUR") && told.contains("9.99") && told.contains(&format!("draft {wrong}")),
            "{told}"
        );
        bench.in_the_erp("account.move", "button_cancel", json!([[wrong]]));
        let why = problem(&bench, id).await;
        assert!(why.starts_with("refund_needs_finance"), "{why}");
        by_finance(&bench, "out_refund", &reference, "19.99");
        done(&bench, id).await;
        assert!(
            bench.link(LinkKind::Refund, number).await.is_some(),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_refund_of_units_that_were_sent_and_units_that_were_not_is_credited_whole() {
    let two = |restock: &[(u32, Restock)]| RefundDraft {
        lines: restock.iter().map(|(units, goods)| (0, *units, *goods)).collect(),
        ..RefundDraft::returned(0, 1)
    };
    for version in BOTH {
        for draft in [
            two(&[(1, Restock::Return), (1, Restock::Cancel)]),
            two(&[(2, Restock::None)]),
        ] {
            let bench = bench(version, Refunds::CreditNote).await;
            let (_, id, name) = confirmed(&bench).await;
            bench.erp.invoice(bench.booked(&name).id).unwrap();
            delivered(&bench, &name, 2);
            refund(&bench, id, &draft);
            done(&bench, id).await;
            done(&bench, id).await;
            let amounts: Vec<Decimal> = notes(&bench).iter().map(|note| note.amount_total).collect();
            assert_eq!(amounts, [decimal("39.98")], "{version:?} {:?}", draft.lines);
            let line = &bench.booked(&name).lines[0];
            // One was never sent and is off the order; the other was sent and stays on it, invoiced.
            assert_eq!(line.quantity, decimal("2"), "{version:?} {:?}", draft.lines);
            let id = line.id;
            let invoiced = bench.in_the_erp("sale.order.line", "read", json!([[id], ["qty_invoiced"]]));
            assert_eq!(
                invoiced[0]["qty_invoiced"].as_f64(),
                Some(2.0),
                "{version:?} {:?}",
                draft.lines
            );
        }
    }
}

#[tokio::test]
async fn money_that_was_kept_back_asks_for_an_invoice_and_not_for_a_negative_credit_note() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        // A unit that was never sent, less a fee.
        let draft = RefundDraft {
            money: RefundMoney::Amount(decimal("15.00")),
            ..units(0, 1, Restock::Cancel)
        };
        let number = refund(&bench, id, &draft);
        let why = problem(&bench, id).await;
        assert!(why.starts_with("refund_needs_finance"), "{why}");
        let told = fix(&bench, id).await;
        let reference = format!("refund_{number}");
        assert!(
            told.contains("make an invoice of 4.99 EUR") && told.contains(&reference),
            "{told}"
        );
        by_finance(&bench, "out_invoice", &reference, "4.99");
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).lines[0].quantity, decimal("2"), "{version:?}");
        assert!(
            bench.link(LinkKind::Refund, number).await.is_some(),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn goods_that_came_back_for_no_money_need_no_credit_note() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        delivered(&bench, &name, 3);
        let draft = RefundDraft {
            money: RefundMoney::Amount(Decimal::ZERO),
            ..units(0, 1, Restock::Return)
        };
        refund(&bench, id, &draft);
        done(&bench, id).await;
        done(&bench, id).await;
        assert!(notes(&bench).is_empty(), "{version:?}");
        assert_eq!(bench.booked(&name).lines[0].quantity, decimal("3"), "{version:?}");
    }
}

#[tokio::test]
async fn a_cancellation_counts_the_credit_notes_of_refunds_and_says_what_is_missing() {
    for version in BOTH {
        let bench = bench(version, Refunds::CreditNote).await;
        let (_, id, name) = confirmed(&bench).await;
        bench.erp.invoice(bench.booked(&name).id).unwrap();
        refund(&bench, id, &RefundDraft::goodwill(decimal("2.50")));
        done(&bench, id).await;
        let draft = notes(&bench)[0].id;
        bench
            .shop
            .change(|shop| shop.cancel_order(id, &Default::default()))
            .unwrap();
        let why = problem(&bench, id).await;
        assert!(why.starts_with("cancelled_after_invoice"), "{why}");
        let told = fix(&bench, id).await;
        // 64.87 were invoiced.
        assert!(
            told.contains(&format!("post the draft {draft} (2.50 EUR)"))
                && told.contains("credit note of 62.37 EUR"),
            "{told}"
        );
        bench.in_the_erp("account.move", "action_post", json!([[draft]]));
        assert!(problem(&bench, id).await.starts_with("cancelled_after_invoice"));
        let told = fix(&bench, id).await;
        assert!(
            !told.contains("post the draft") && told.contains("credit note of 62.37 EUR"),
            "{told}"
        );
    }
}
