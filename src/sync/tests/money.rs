//! Invoices and payments, as the shop declares them.

use chrono::NaiveDate;
use serde_json::json;

use super::bench::*;
use super::changes::{BOTH, fix};
use super::edits::{done, problem};
use super::*;
use crate::sandbox::odoo::{Fault, InvoiceView};
use crate::sandbox::shopify::draft::RefundDraft;

fn settings(invoices: Invoices, payments: Payments) -> Settings {
    let journals = [("shopify_payments", "Bank"), ("gift_card", "Cash")];
    Settings {
        invoices,
        payments,
        journals: journals
            .into_iter()
            .map(|(gateway, journal)| (gateway.to_owned(), journal.to_owned()))
            .collect(),
        ..Settings::default()
    }
}

async fn bench(version: Version, settings: Settings) -> Bench {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(version)
    };
    Bench::with(options, settings).await
}

fn invoices(bench: &Bench) -> Vec<InvoiceView> {
    let mut all = bench.erp.ledger().invoices();
    all.retain(|document| document.kind == "out_invoice");
    all
}

/// An order of a day in the past.
fn placed(bench: &Bench, day: &str) -> (u64, String) {
    let (_, variants) = shirt(bench);
    let mut draft = everyday(Buyer::Customer(ada(bench)), variants[0]);
    draft.processed_at = Some(format!("{day}T10:00:00Z").parse().unwrap());
    order(bench, draft)
}

fn close(bench: &Bench, field: &str, day: &str) {
    let domain = json!([[["id", ">", 0]]]);
    let companies = bench.in_the_erp("res.company", "search", domain);
    bench.in_the_erp("res.company", "write", json!([companies, { field: day }]));
}

#[tokio::test]
async fn a_confirmed_order_is_invoiced_once_at_the_day_of_the_sale() {
    for version in BOTH {
        for policy in [Invoices::Draft, Invoices::Post] {
            let bench = bench(version, settings(policy, Payments::None)).await;
            let (id, name) = placed(&bench, "2026-03-14");
            done(&bench, id).await;
            done(&bench, id).await;
            let invoices = invoices(&bench);
            assert_eq!(invoices.len(), 1, "{version:?} {policy:?}");
            let state = if policy == Invoices::Post {
                "posted"
            } else {
                "draft"
            };
            let day = NaiveDate::from_ymd_opt(2026, 3, 14);
            assert_eq!(
                (
                    invoices[0].state.as_str(),
                    invoices[0].invoice_date,
                    invoices[0].amount_total
                ),
                (state, day, bench.booked(&name).amount_total),
                "{version:?}"
            );
            assert!(bench.erp.ledger().payments().is_empty(), "{version:?}");
        }
    }
}

#[tokio::test]
async fn an_invoice_whose_answer_is_lost_is_not_made_twice() {
    for version in BOTH {
        let bench = bench(version, settings(Invoices::Post, Payments::None)).await;
        let (id, _) = placed(&bench, "2026-03-14");
        bench
            .erp
            .faults()
            .on("sale.advance.payment.inv", "create_invoices", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        bench
            .erp
            .faults()
            .on("account.move", "action_post", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        done(&bench, id).await;
        let invoices = invoices(&bench);
        assert_eq!(
            (invoices.len(), invoices[0].state.as_str()),
            (1, "posted"),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_period_is_a_problem_that_offers_the_next_open_day_and_nothing_moves() {
    for version in BOTH {
        for lock in ["fiscalyear_lock_date", "tax_lock_date", "sale_lock_date"] {
            let bench = bench(version, settings(Invoices::Post, Payments::None)).await;
            let (id, name) = placed(&bench, "2026-03-14");
            close(&bench, lock, "2026-03-31");
            let why = problem(&bench, id).await;
            assert!(
                why.starts_with("accounting_period_closed") && why.contains("2026-03-31"),
                "{version:?} {lock}: {why}"
            );
            assert!(fix(&bench, id).await.contains("2026-04-01"), "{version:?} {lock}");
            assert_eq!(bench.booked(&name).state, "sale", "the order stands all the same");
            let draft = invoices(&bench).remove(0);
            assert_eq!(draft.state, "draft", "{version:?} {lock}");
            // A person follows the advice.
            let values = json!([[draft.id], { "invoice_date": "2026-04-01" }]);
            bench.in_the_erp("account.move", "write", values);
            done(&bench, id).await;
            let posted = invoices(&bench).remove(0);
            assert_eq!(
                (posted.state.as_str(), posted.date),
                ("posted", NaiveDate::from_ymd_opt(2026, 4, 1)),
                "{version:?} {lock}"
            );
        }
    }
}

#[tokio::test]
async fn each_payment_is_registered_once_in_its_journal_and_settles_the_invoice() {
    for version in BOTH {
        let bench = bench(version, settings(Invoices::Post, Payments::Register)).await;
        let (_, variants) = shirt(&bench);
        let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
        draft.payment = Payment::Split(vec![
            ("gift_card".into(), Some(decimal("20.00"))),
            ("shopify_payments".into(), None),
        ]);
        let (id, _) = order(&bench, draft);
        // The payment is made, and its answer is lost.
        bench
            .erp
            .faults()
            .on("account.payment", "load", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        done(&bench, id).await;
        done(&bench, id).await;
        let payments = bench.erp.ledger().payments();
        let mut seen: Vec<(&str, Decimal)> = payments
            .iter()
            .map(|payment| (payment.journal.as_str(), payment.amount))
            .collect();
        seen.sort();
        // 3 x 19.99 + 4.90 = 64.87, less 20.00.
        assert_eq!(
            seen,
            [("Bank", decimal("44.87")), ("Cash", decimal("20"))],
            "{version:?}"
        );
        assert!(
            payments.iter().all(|payment| payment.state != "draft"),
            "{version:?}"
        );
        let invoice = invoices(&bench).remove(0);
        assert!(
            invoice.amount_residual.is_zero() && invoice.payment_state == "paid",
            "{version:?}: {invoice:?}"
        );
    }
}

#[tokio::test]
async fn payments_need_no_invoice_and_an_authorisation_is_none() {
    let bench = bench(Version::V19, settings(Invoices::None, Payments::Register)).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.payment = Payment::Authorized("shopify_payments".into());
    let (id, _) = order(&bench, draft);
    done(&bench, id).await;
    assert!(bench.erp.ledger().payments().is_empty());
    bench.shop.change(|shop| shop.pay_order(id)).unwrap();
    done(&bench, id).await;
    let payments = bench.erp.ledger().payments();
    assert_eq!((payments.len(), payments[0].amount), (1, decimal("64.87")));
}

#[tokio::test]
async fn a_gateway_without_a_journal_is_one_problem_that_names_it() {
    let bench = bench(Version::V18, settings(Invoices::None, Payments::Register)).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.payment = Payment::Split(vec![
        ("paypal".into(), Some(decimal("10.00"))),
        ("paypal".into(), Some(decimal("10.00"))),
        ("shopify_payments".into(), None),
    ]);
    let (id, _) = order(&bench, draft);
    let why = problem(&bench, id).await;
    assert!(
        why.starts_with("journal_missing") && why.contains("paypal"),
        "{why}"
    );
    // What can be done is done.
    assert_eq!(bench.erp.ledger().payments().len(), 1);
    // The mapping's table is the second place to look.
    bench.remap_orders("[tables.journal]", "[tables.journal]\npaypal = \"Bank\"");
    done(&bench, id).await;
    assert_eq!(bench.erp.ledger().payments().len(), 3);
}

#[tokio::test]
async fn money_that_went_back_is_registered_only_where_the_shop_says_so() {
    for declared in [Payments::None, Payments::Register] {
        let mut settings = settings(Invoices::None, Payments::Register);
        settings.refund_payments = declared;
        settings.refunds = Refunds::CreditNote;
        let bench = bench(Version::V18, settings).await;
        let (_, variants) = shirt(&bench);
        let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
        done(&bench, id).await;
        bench
            .shop
            .change(|shop| shop.refund_order(id, &RefundDraft::goodwill(decimal("5.00"))))
            .unwrap();
        done(&bench, id).await;
        done(&bench, id).await;
        let out: Vec<Decimal> = bench
            .erp
            .ledger()
            .payments()
            .iter()
            .filter(|payment| payment.kind == "outbound")
            .map(|payment| payment.amount)
            .collect();
        let expected = if declared == Payments::Register {
            vec![decimal("5.00")]
        } else {
            Vec::new()
        };
        assert_eq!(out, expected, "{declared:?}");
    }
}

#[tokio::test]
async fn a_payment_of_a_closed_period_is_a_problem() {
    let bench = bench(Version::V19, settings(Invoices::None, Payments::Register)).await;
    let (id, _) = placed(&bench, "2026-03-14");
    close(&bench, "hard_lock_date", "2099-12-31");
    let why = problem(&bench, id).await;
    assert!(why.starts_with("accounting_period_closed"), "{why}");
    assert!(bench.erp.ledger().payments().is_empty());
    // A person registers it on another day, and names it as told.
    let payment = bench
        .shop
        .change(|shop| shop.order(id).unwrap().transactions[0].id);
    let memo = format!("payment_{payment}");
    assert!(fix(&bench, id).await.contains(&memo));
    bench.made_in_the_erp("account.payment", json!({ "memo": memo, "amount": 64.87 }));
    done(&bench, id).await;
    assert_eq!(bench.erp.ledger().payments().len(), 1);
}

#[tokio::test]
async fn an_order_that_was_cancelled_after_its_invoice_names_it_and_goes_on_when_it_was_credited() {
    for version in BOTH {
        let bench = bench(version, settings(Invoices::Post, Payments::None)).await;
        let (id, name) = placed(&bench, "2026-03-14");
        done(&bench, id).await;
        bench
            .shop
            .change(|shop| shop.cancel_order(id, &Default::default()))
            .unwrap();
        let why = problem(&bench, id).await;
        let invoice = invoices(&bench).remove(0);
        let number = invoice.name.clone().unwrap();
        assert!(
            why.starts_with("cancelled_after_invoice") && why.contains("on Shopify") && why.contains(&number),
            "{why}"
        );
        let fix = fix(&bench, id).await;
        let amount = invoice.amount_total.normalize();
        assert!(
            fix.contains(&format!("post a credit note of {amount}"))
                && fix.contains(&format!("for {number}")),
            "{fix}"
        );
        let wizard = json!([{ "move_ids": [[6, 0, [invoice.id]]], "reason": "cancelled" }]);
        let wizard = bench.in_the_erp("account.move.reversal", "create", wizard);
        let ids = if wizard.is_array() {
            wizard
        } else {
            json!([wizard])
        };
        bench.in_the_erp("account.move.reversal", "modify_moves", json!([ids.clone()]));
        // `modify` makes a new invoice besides, as a draft; it goes with the order.
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).state, "cancel", "{version:?}");
    }
}
