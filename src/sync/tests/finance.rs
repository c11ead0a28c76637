//! What must not be booked twice, nor wrongly, where people work in the ERP at the same time.

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::bench::*;
use super::changes::{BOTH, confirmed, fix};
use super::edits::{done, problem};
use super::*;
use crate::sandbox::odoo::{Fault, InvoiceView, OdooError, Rule};
use crate::sandbox::shopify::draft::RefundDraft;
use crate::sandbox::shopify::facts::{
    AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Restock,
};

fn settings() -> Settings {
    Settings {
        invoices: Invoices::Post,
        journals: [("shopify_payments".to_owned(), "Bank".to_owned())].into(),
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

fn documents(bench: &Bench, kind: &str) -> Vec<InvoiceView> {
    let mut all = bench.erp.ledger().invoices();
    all.retain(|document| document.kind == kind);
    all
}

fn write(bench: &Bench, model: &str, id: &Value, values: Value) {
    bench.in_the_erp(model, "write", json!([[id], values]));
}

fn placed(bench: &Bench, at: &str) -> (u64, String) {
    let (_, variants) = shirt(bench);
    let mut draft = everyday(Buyer::Customer(ada(bench)), variants[0]);
    draft.processed_at = Some(at.parse().unwrap());
    order(bench, draft)
}

fn close(bench: &Bench, day: Value) {
    let companies = bench.in_the_erp("res.company", "search", json!([[["id", ">", 0]]]));
    bench.in_the_erp(
        "res.company",
        "write",
        json!([companies, { "fiscalyear_lock_date": day }]),
    );
}

/// The lines of a document that cost something.
fn items(bench: &Bench, document: i64) -> Vec<Value> {
    let domain = json!([[["move_id", "=", document], ["display_type", "=", "product"]]]);
    let ids = bench.in_the_erp("account.move.line", "search", domain);
    ids.as_array().unwrap().clone()
}

#[tokio::test]
async fn an_order_that_somebody_repriced_is_not_invoiced() {
    for version in BOTH {
        let bench = bench(version, settings()).await;
        let (_, variants) = shirt(&bench);
        let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
        bench
            .erp
            .faults()
            .on("sale.advance.payment.inv", "create_invoices", Fault::CloseBefore);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        let line = json!(bench.booked(&name).lines[0].id);
        write(&bench, "sale.order.line", &line, json!({ "price_unit": 25 }));
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("total_differs") && why.contains("64.87") && why.contains("79.9 "),
            "{version:?}: {why}"
        );
        assert!(documents(&bench, "out_invoice").is_empty(), "{version:?}");
        write(&bench, "sale.order.line", &line, json!({ "price_unit": 19.99 }));
        done(&bench, id).await;
        assert_eq!(
            documents(&bench, "out_invoice")[0].amount_total,
            decimal("64.87"),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_draft_invoice_of_another_total_is_left_a_draft() {
    for version in BOTH {
        let bench = bench(version, settings()).await;
        let (_, variants) = shirt(&bench);
        let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
        bench
            .erp
            .faults()
            .on("sale.advance.payment.inv", "create_invoices", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        let draft = documents(&bench, "out_invoice").remove(0);
        let line = items(&bench, draft.id).remove(0);
        for price in ["25", "15"] {
            let price: f64 = price.parse().unwrap();
            write(&bench, "account.move.line", &line, json!({ "price_unit": price }));
            let why = problem(&bench, id).await;
            let total = documents(&bench, "out_invoice")
                .remove(0)
                .amount_total
                .to_string();
            assert!(
                why.starts_with("invoice_total_differs") && why.contains("64.87") && why.contains(&total),
                "{version:?}: {why}"
            );
            assert_eq!(documents(&bench, "out_invoice")[0].state, "draft", "{version:?}");
        }
        write(&bench, "account.move.line", &line, json!({ "price_unit": 19.99 }));
        done(&bench, id).await;
        assert_eq!(documents(&bench, "out_invoice")[0].state, "posted", "{version:?}");
    }
}

#[tokio::test]
async fn units_that_finance_credited_by_the_erps_own_button_are_not_invoiced_again() {
    for version in BOTH {
        for refunds in [Refunds::Quantity, Refunds::Problem] {
            let bench = bench(
                version,
                Settings {
                    refunds,
                    ..settings()
                },
            )
            .await;
            let (_, id, name) = confirmed(&bench).await;
            let invoice = documents(&bench, "out_invoice").remove(0);
            let line = json!(bench.booked(&name).lines[0].id);
            write(&bench, "sale.order.line", &line, json!({ "qty_delivered": 3 }));
            let draft = RefundDraft {
                lines: vec![(0, 1, Restock::Return)],
                ..RefundDraft::returned(0, 1)
            };
            let number = bench.shop.change(|shop| shop.refund_order(id, &draft)).unwrap();
            assert!(problem(&bench, id).await.starts_with("refund_needs_finance"));
            // Finance reverses the invoice, and leaves on the credit note what came back.
            let wizard = json!([{ "move_ids": [[6, 0, [invoice.id]]] }]);
            let wizard = bench.in_the_erp("account.move.reversal", "create", wizard);
            let ids = if wizard.is_array() {
                wizard
            } else {
                json!([wizard])
            };
            bench.in_the_erp("account.move.reversal", "refund_moves", json!([ids]));
            let note = documents(&bench, "out_refund").remove(0);
            let items = items(&bench, note.id);
            write(&bench, "account.move.line", &items[0], json!({ "quantity": 1 }));
            bench.in_the_erp("account.move.line", "unlink", json!([items[1..]]));
            // Without the reference nobody knows what it stands for, and still nothing is invoiced again.
            assert!(problem(&bench, id).await.starts_with("refund_needs_finance"));
            assert_eq!(
                documents(&bench, "out_invoice").len(),
                1,
                "{version:?} {refunds:?}"
            );
            write(
                &bench,
                "account.move",
                &json!(note.id),
                json!({ "ref": format!("refund_{number}") }),
            );
            done(&bench, id).await;
            done(&bench, id).await;
            assert_eq!(bench.booked(&name).lines[0].quantity, decimal("3"), "{version:?}");
            assert_eq!(
                documents(&bench, "out_invoice").len(),
                1,
                "{version:?} {refunds:?}"
            );
            assert_eq!(
                documents(&bench, "out_refund").len(),
                1,
                "{version:?} {refunds:?}"
            );
            // The rest is open, too: somebody takes a line off the credit note's invoice.
            if refunds == Refunds::Quantity {
                let values = json!({ "quantity": 2 });
                write(&bench, "account.move.line", &items[0], values);
                let why = problem(&bench, id).await;
                assert!(why.starts_with("invoice_by_hand"), "{version:?}: {why}");
                assert_eq!(documents(&bench, "out_invoice").len(), 1, "{version:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_to_invoice_what_is_due_is_told_and_what_is_not_due_waits() {
    for version in BOTH {
        let bench = bench(version, settings()).await;
        let refusal = OdooError::custom("odoo.exceptions.UserError", "No journal could be found.");
        let rule = Rule::new(Fault::Error(refusal))
            .model("sale.advance.payment.inv")
            .method("create_invoices");
        bench.erp.faults().add(rule.always());
        let (_, variants) = shirt(&bench);
        let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("invoice_refused")
                && why.contains("No journal")
                && why.contains(&bench.booked(&name).name),
            "{version:?}: {why}"
        );
        // Everything is invoiced when it is delivered: nothing is due, and nobody asks.
        let all = bench.in_the_erp("product.product", "search", json!([[["id", ">", 0]]]));
        bench.in_the_erp(
            "product.product",
            "write",
            json!([all, { "invoice_policy": "delivery" }]),
        );
        let line = json!(bench.booked(&name).lines[0].id);
        write(&bench, "sale.order.line", &line, json!({ "qty_delivered": 0 }));
        done(&bench, id).await;
        assert!(documents(&bench, "out_invoice").is_empty(), "{version:?}");
        bench.erp.faults().clear();
        for line in &bench.booked(&name).lines {
            let values = json!({ "qty_delivered": line.quantity.to_string().parse::<f64>().unwrap() });
            write(&bench, "sale.order.line", &json!(line.id), values);
        }
        done(&bench, id).await;
        assert_eq!(documents(&bench, "out_invoice").len(), 1, "{version:?}");
    }
}

/// What the preview says would be invoiced.
async fn invoices_ahead(bench: &Bench, id: u64) -> Vec<String> {
    let shop = "main".parse().unwrap();
    let preview = bench
        .engine
        .preview(&shop, Object::Order, ShopifyId(id))
        .await
        .unwrap();
    let steps = preview.steps.into_iter().filter(|step| step.act == Act::Invoice);
    steps.map(|step| step.amount.unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_discount_is_not_invoiced_before_its_goods() {
    for version in BOTH {
        let settings = Settings {
            fulfillments: Fulfillments::Validate,
            ..settings()
        };
        let bench = bench(version, settings).await;
        bench.remap_orders(r#"discounts = "unit_price_else_line""#, r#"discounts = "line""#);
        let (product, variants) = shirt(&bench);
        assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
        let domain = json!([[["default_code", "=", "SHIRT-S"]]]);
        let goods = bench.in_the_erp("product.product", "search", domain);
        let policy = json!([goods, { "invoice_policy": "delivery" }]);
        bench.in_the_erp("product.product", "write", policy);
        // 3 x 19.99 less 10.00 and 4.90 of shipping: without the goods less than nothing is due.
        let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
        draft.discounts = vec![Discount {
            kind: DiscountKind::Code("SAVE".into()),
            value: DiscountValue::Amount(decimal("10.00")),
            target: DiscountTarget::AllLines,
            method: AllocationMethod::Across,
        }];
        let (id, name) = order(&bench, draft);
        assert_eq!(invoices_ahead(&bench, id).await, [""; 0], "{version:?}");
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).lines.len(), 3, "{version:?}");
        assert_eq!(bench.erp.ledger().invoices().len(), 0, "{version:?}");
        assert_eq!(invoices_ahead(&bench, id).await, [""; 0], "{version:?}");
        bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
        assert_eq!(invoices_ahead(&bench, id).await, ["54.87"], "{version:?}");
        done(&bench, id).await;
        let totals: Vec<String> = bench
            .erp
            .ledger()
            .invoices()
            .iter()
            .map(|known| format!("{} {} {}", known.kind, known.state, known.amount_total))
            .collect();
        assert_eq!(totals, ["out_invoice posted 54.87"], "{version:?}");
    }
}

#[tokio::test]
async fn a_payment_around_a_closed_period_is_registered_once() {
    for version in BOTH {
        let settings = Settings {
            invoices: Invoices::None,
            payments: Payments::Register,
            ..settings()
        };
        let bench = bench(version, settings).await;
        // Registered by us, the answer lost, the period closed since.
        let (_, variants) = shirt(&bench);
        let draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
        let (id, _) = order(&bench, draft.clone());
        let lost = |method| {
            bench
                .erp
                .faults()
                .on("account.payment", method, Fault::CloseAfter);
        };
        lost("action_post");
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        close(&bench, json!("2099-12-31"));
        done(&bench, id).await;
        assert_eq!(bench.erp.ledger().payments().len(), 1, "{version:?}");
        // Registered by hand while it was closed, and opened again.
        let (id, _) = order(&bench, draft);
        assert!(problem(&bench, id).await.starts_with("accounting_period_closed"));
        let payment = bench
            .shop
            .change(|shop| shop.order(id).unwrap().transactions[0].id);
        let memo = json!({ "memo": format!("payment_{payment}"), "amount": 64.87 });
        bench.made_in_the_erp("account.payment", memo.clone());
        close(&bench, json!(false));
        let twice = bench.made_in_the_erp("account.payment", memo);
        let why = problem(&bench, id).await;
        assert!(why.starts_with("payment_registered_twice"), "{version:?}: {why}");
        write(
            &bench,
            "account.payment",
            &json!(twice),
            json!({ "memo": "a mistake" }),
        );
        done(&bench, id).await;
        assert_eq!(bench.erp.ledger().payments().len(), 3, "{version:?}");
    }
}

#[tokio::test]
async fn a_draft_payment_of_a_period_that_was_closed_is_not_moved() {
    let settings = Settings {
        invoices: Invoices::None,
        payments: Payments::Register,
        ..settings()
    };
    let bench = bench(Version::V19, settings).await;
    let (id, _) = placed(&bench, "2026-03-14T10:00:00Z");
    bench
        .erp
        .faults()
        .on("account.payment", "load", Fault::CloseAfter);
    assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
    close(&bench, json!("2099-12-31"));
    assert!(problem(&bench, id).await.starts_with("accounting_period_closed"));
    let draft = bench.erp.ledger().payments().remove(0);
    assert_eq!(draft.state, "draft");
    assert!(
        fix(&bench, id)
            .await
            .contains(&format!("draft payment {}", draft.id))
    );
    write(
        &bench,
        "account.payment",
        &json!(draft.id),
        json!({ "date": "2100-01-01" }),
    );
    bench.in_the_erp("account.payment", "action_post", json!([[draft.id]]));
    done(&bench, id).await;
    assert_eq!(bench.erp.ledger().payments().len(), 1);
}

#[tokio::test]
async fn documents_have_the_day_of_the_shop() {
    for (zone, day) in [(chrono_tz::UTC, 14), (chrono_tz::Europe::Berlin, 15)] {
        let settings = Settings {
            payments: Payments::Register,
            refunds: Refunds::CreditNote,
            time_zone: zone,
            ..settings()
        };
        let bench = bench(Version::V18, settings).await;
        let (id, _) = placed(&bench, "2026-03-14T23:30:00Z");
        done(&bench, id).await;
        let day = NaiveDate::from_ymd_opt(2026, 3, day);
        let payment = bench.erp.ledger().payments().remove(0).id;
        let payment = bench.in_the_erp("account.payment", "read", json!([[payment], ["date"]]));
        assert_eq!(documents(&bench, "out_invoice")[0].invoice_date, day);
        let paid = bench
            .shop
            .change(|shop| shop.order(id).unwrap().transactions[0].processed_at);
        let expected = paid.with_timezone(&zone).date_naive().to_string();
        assert_eq!(payment[0]["date"], json!(expected));
    }
}

#[tokio::test]
async fn cash_is_registered_as_the_till_took_it() {
    let settings = Settings {
        payments: Payments::Register,
        journals: [("cash".to_owned(), "Cash".to_owned())].into(),
        ..settings()
    };
    let bench = bench(Version::V18, settings).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.payment = Payment::Cash(decimal("0.05"));
    let (id, name) = order(&bench, draft);
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).amount_total, decimal("64.87"));
    let payments = bench.erp.ledger().payments();
    assert_eq!((payments.len(), payments[0].amount), (1, decimal("64.85")));
}

#[tokio::test]
async fn history_that_was_cancelled_is_not_paid() {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::adjusted(options, |shop| {
        shop.start_at = Some(Timestamp::parse_rfc3339("2099-01-01T00:00:00Z").unwrap());
        shop.settings = Settings {
            before_start: BeforeStart::Book,
            payments: Payments::Register,
            ..settings()
        };
    })
    .await;
    let (_, id, name) = confirmed(&bench).await;
    bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).state, "cancel");
    assert!(bench.erp.ledger().payments().is_empty());
}

#[tokio::test]
async fn a_kit_is_delivered_by_people_and_nothing_of_it_is_given_up() {
    for version in BOTH {
        let settings = Settings {
            fulfillments: Fulfillments::Validate,
            invoices: Invoices::None,
            ..settings()
        };
        let bench = bench(version, settings).await;
        let (_, id, name) = confirmed(&bench).await;
        // The shirts are a kit of two things.
        let line = bench.booked(&name).lines[0].id;
        let domain = json!([[["sale_line_id", "=", line]]]);
        let first = bench.in_the_erp("stock.move", "search", domain)[0].clone();
        let picking = bench.in_the_erp("stock.move", "read", json!([[first], ["picking_id"]]));
        let part =
            |name: &str| bench.made_in_the_erp("product.product", json!({ "name": name, "type": "consu" }));
        let (cloth, label) = (part("Cloth"), part("Label"));
        write(&bench, "stock.move", &first, json!({ "product_id": cloth }));
        bench.made_in_the_erp(
            "stock.move",
            json!({
                "product_id": label, "product_uom_qty": 3, "sale_line_id": line,
                "picking_id": picking[0]["picking_id"][0],
            }),
        );
        bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("delivery_by_hand") && why.contains("3 x Shirt") && why.contains("kit"),
            "{version:?}: {why}"
        );
        let states: Vec<String> = bench
            .booked(&name)
            .pickings
            .iter()
            .map(|known| known.state.clone())
            .collect();
        assert!(
            states
                .iter()
                .all(|state| !["done", "cancel"].contains(&state.as_str())),
            "{version:?}: {states:?}"
        );
        bench.erp.deliver_all(bench.booked(&name).id).unwrap();
        done(&bench, id).await;
    }
}
