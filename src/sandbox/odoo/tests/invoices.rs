//! Section 4: invoices and credit notes.

use chrono::NaiveDate;
use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{ClosedPeriod, InvoiceView, Options, Rounding, Version};

const USER_ERROR: &str = "odoo.exceptions.UserError";

impl Erp {
    /// A confirmed order with these lines.
    pub(super) async fn sold(&self, lines: &[Json]) -> i64 {
        let id = self.order(lines).await;
        self.confirm(id).await;
        id
    }

    /// Three mugs at 9.99 with 20 % included, confirmed.
    pub(super) async fn three_mugs(&self) -> i64 {
        let (mug, tax) = (self.product("Mug", 9.99).await, self.tax(20.0, true).await);
        self.sold(&[
            json!({"product_id": mug, "product_uom_qty": 3, "price_unit": 9.99, "technical_price_unit": -1,
            self.taxes(): [[6, 0, [tax]]]}),
        ])
        .await
    }

    /// Drafts what is open on an order, as the API user.
    pub(super) async fn draft_invoice(&self, order: i64) -> i64 {
        let vals = json!({"advance_payment_method": "delivered", "sale_order_ids": [[6, 0, [order]]]});
        let wizard = self.create("sale.advance.payment.inv", vals).await;
        let shown = self
            .ok("sale.advance.payment.inv", "create_invoices", json!([[wizard]]))
            .await;
        // An action, although everything is done.
        assert_eq!(shown["type"], "ir.actions.act_window");
        shown["res_id"].as_i64().unwrap()
    }

    /// A posted invoice of an order.
    pub(super) async fn posted_invoice(&self, order: i64) -> i64 {
        let invoice = self.draft_invoice(order).await;
        assert_eq!(
            self.ok("account.move", "action_post", json!([[invoice]])).await,
            json!(false)
        );
        invoice
    }

    pub(super) fn invoice_view(&self, id: i64) -> InvoiceView {
        let mut all = self.sandbox.ledger().invoices();
        all.retain(|invoice| invoice.id == id);
        all.remove(0)
    }
}

#[tokio::test]
async fn the_wizard_drafts_an_invoice_and_posting_answers_false() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let erp = Erp::of(version).await;
        let order = erp.three_mugs().await;
        erp.ok(
            "sale.order",
            "write",
            json!([[order], {"client_order_ref": "#1001"}]),
        )
        .await;
        let draft = erp.draft_invoice(order).await;
        let view = erp.invoice_view(draft);
        assert_eq!(
            (view.kind.as_str(), view.state.as_str()),
            ("out_invoice", "draft")
        );
        assert_eq!(view.name, None);
        assert_eq!(view.reference.as_deref(), Some("#1001"));
        assert_eq!(view.origin.as_deref(), Some("S00001"));
        assert_eq!(view.orders, [order]);
        assert_eq!(
            [view.amount_untaxed, view.amount_tax, view.amount_total].map(|amount| amount.to_string()),
            ["24.97", "5", "29.97"]
        );
        // Drafts count as invoiced.
        let sold = erp.view(order);
        assert_eq!(sold.lines[0].invoiced.to_string(), "3");
        assert_eq!(sold.invoice_status, "invoiced");
        let fields = json!(["invoice_ids", "invoice_count"]);
        let read = erp.fields("sale.order", order, fields).await;
        assert_eq!(
            (&read["invoice_ids"], &read["invoice_count"]),
            (&json!([draft]), &json!(1))
        );
        assert_eq!(
            erp.ok("account.move", "action_post", json!([[draft]])).await,
            json!(false)
        );
        let view = erp.invoice_view(draft);
        assert_eq!(
            (view.state.as_str(), view.payment_state.as_str()),
            ("posted", "not_paid")
        );
        assert!(view.name.unwrap().starts_with("INV/20"));
        assert_eq!(view.amount_residual.to_string(), "29.97");
        assert!(view.invoice_date.is_some());
        // Once only, and nothing is open any more.
        assert_eq!(
            erp.err("account.move", "action_post", json!([[draft]])).await,
            USER_ERROR
        );
        let vals = json!({"sale_order_ids": [[6, 0, [order]]]});
        let wizard = erp.create("sale.advance.payment.inv", vals).await;
        assert_eq!(
            erp.err("sale.advance.payment.inv", "create_invoices", json!([[wizard]]))
                .await,
            USER_ERROR
        );
    }
}

#[tokio::test]
async fn invoices_are_computed_as_orders_are() {
    for (version, rounding, total) in [
        (Version::V18, Rounding::PerLine, "29.97"),
        (Version::V18, Rounding::Globally, "29.98"),
        (Version::V19, Rounding::Globally, "29.97"),
    ] {
        let erp = Erp::start(Options {
            rounding,
            ..Options::version(version)
        })
        .await;
        let order = erp.three_mugs().await;
        let invoice = erp.posted_invoice(order).await;
        assert_eq!(erp.view(order).amount_total.to_string(), total);
        assert_eq!(erp.invoice_view(invoice).amount_total.to_string(), total);
    }
}

#[tokio::test]
async fn a_posted_invoice_is_fixed_until_it_is_a_draft_again() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let order = erp.three_mugs().await;
        let invoice = erp.posted_invoice(order).await;
        let line = erp.invoice_view(invoice).lines[0].id;
        for (model, id, vals) in [
            ("account.move", invoice, json!({"invoice_date": "2024-01-01"})),
            (
                "account.move",
                invoice,
                json!({"invoice_line_ids": [[1, line, {"quantity": 1}]]}),
            ),
            ("account.move.line", line, json!({"price_unit": 1})),
        ] {
            assert_eq!(erp.err(model, "write", json!([[id], vals])).await, USER_ERROR);
        }
        erp.ok("account.move", "write", json!([[invoice], {"ref": "x"}]))
            .await;
        assert_eq!(
            erp.err("account.move", "button_cancel", json!([[invoice]])).await,
            USER_ERROR
        );
        assert_eq!(
            erp.err("account.move", "unlink", json!([[invoice]])).await,
            USER_ERROR
        );
        let reply = erp
            .execute_raw("account.move", "button_draft", json!([[invoice]]), json!({}))
            .await;
        assert!(reply.get("result").is_none() && reply.get("error").is_none());
        let number = erp.invoice_view(invoice).name;
        erp.ok(
            "account.move.line",
            "write",
            json!([[line], {"quantity": 1, "price_unit": 9.99}]),
        )
        .await;
        assert_eq!(erp.view(order).invoice_status, "to invoice");
        erp.ok("account.move", "action_post", json!([[invoice]])).await;
        assert_eq!(erp.invoice_view(invoice).name, number);
        erp.ok("account.move", "button_draft", json!([[invoice]])).await;
        erp.ok("account.move", "button_cancel", json!([[invoice]])).await;
        // A cancelled invoice invoices nothing.
        assert_eq!(erp.view(order).lines[0].invoiced.to_string(), "0");
    }
}

#[tokio::test]
async fn what_cannot_be_posted() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 10.0).await;
        let line = |price: i64| json!([[0, 0, {"product_id": mug, "price_unit": price}]]);
        for vals in [
            json!({"move_type": "out_invoice", "partner_id": 1}),
            json!({"move_type": "out_invoice", "invoice_line_ids": line(10)}),
            json!({"move_type": "out_invoice", "partner_id": 1, "invoice_line_ids": line(-10)}),
        ] {
            let id = erp.create("account.move", vals.clone()).await;
            assert_eq!(
                erp.err("account.move", "action_post", json!([[id]])).await,
                USER_ERROR,
                "{vals}"
            );
        }
        // Nothing to pay is paid.
        let free = json!({"move_type": "out_invoice", "partner_id": 1, "invoice_line_ids": line(0)});
        let free = erp.create("account.move", free).await;
        erp.ok("account.move", "action_post", json!([[free]])).await;
        assert_eq!(erp.invoice_view(free).payment_state, "paid");
    }
}

#[tokio::test]
async fn a_credit_note_loaded_twice_is_there_once() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let order = erp.three_mugs().await;
        let invoice = erp.posted_invoice(order).await;
        let (sold, tax) = (erp.view(order).lines[0].clone(), erp.tax(20.0, true).await);
        let fields = json!([
            "id",
            "move_type",
            "partner_id/.id",
            "reversed_entry_id/.id",
            "ref",
            "invoice_date",
            "invoice_line_ids/id",
            "invoice_line_ids/product_id/.id",
            "invoice_line_ids/quantity",
            "invoice_line_ids/price_unit",
            "invoice_line_ids/tax_ids/.id",
            "invoice_line_ids/sale_line_ids/.id"
        ]);
        let row = json!([[
            "__lockstep_main__.refund_9",
            "out_refund",
            "1",
            invoice.to_string(),
            "#1001 refund 9",
            "2024-02-03",
            "__lockstep_main__.refund_9_1",
            sold.product_id.unwrap().to_string(),
            "1",
            "9.99",
            tax.to_string(),
            sold.id.to_string()
        ]]);
        for _ in 0..2 {
            let loaded = erp
                .ok("account.move", "load", json!([fields.clone(), row.clone()]))
                .await;
            assert_eq!(loaded["messages"], json!([]));
        }
        let notes: Vec<InvoiceView> = erp
            .sandbox
            .ledger()
            .invoices_of(order)
            .into_iter()
            .filter(|invoice| invoice.kind == "out_refund")
            .collect();
        assert_eq!(notes.len(), 1);
        let note = &notes[0];
        assert_eq!((note.state.as_str(), note.lines.len()), ("draft", 1));
        assert_eq!(note.amount_total.to_string(), "9.99");
        assert_eq!(note.reversed_entry_id, Some(invoice));
        assert_eq!(note.date, NaiveDate::from_ymd_opt(2024, 2, 3));
        assert_eq!(erp.view(order).lines[0].invoiced.to_string(), "2");
        let signed = json!(["amount_total", "amount_total_signed"]);
        let read = erp.fields("account.move", note.id, signed).await;
        assert_eq!(
            (&read["amount_total"], &read["amount_total_signed"]),
            (&json!(9.99), &json!(-9.99))
        );
        erp.ok("account.move", "action_post", json!([[note.id]])).await;
        assert!(erp.invoice_view(note.id).name.unwrap().starts_with("RINV/2024/"));
        // Loading lines into a posted one is refused, as a message.
        let again = erp.ok("account.move", "load", json!([fields, row])).await;
        assert_eq!(again["ids"], json!(false));
    }
}

#[tokio::test]
async fn the_reversal_wizard_drafts_a_credit_note_of_the_same_lines() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let order = erp.three_mugs().await;
        let draft = erp.draft_invoice(order).await;
        let opened = json!({"context": {"active_model": "account.move", "active_ids": [draft]}});
        let early = erp
            .call("account.move.reversal", "create", json!([{}]), opened.clone())
            .await;
        assert_eq!(early.unwrap_err().0, USER_ERROR);
        erp.ok("account.move", "action_post", json!([[draft]])).await;
        let wizard = erp
            .call(
                "account.move.reversal",
                "create",
                json!([{"reason": "broken", "date": "2024-03-04"}]),
                opened,
            )
            .await
            .unwrap();
        let shown = erp
            .ok("account.move.reversal", "refund_moves", json!([[wizard]]))
            .await;
        let note = erp.invoice_view(shown["res_id"].as_i64().unwrap());
        assert_eq!((note.kind.as_str(), note.state.as_str()), ("out_refund", "draft"));
        assert_eq!(note.amount_total.to_string(), "29.97");
        assert_eq!(note.reversed_entry_id, Some(draft));
        assert!(note.reference.unwrap().ends_with("broken"));
        assert_eq!(erp.view(order).lines[0].invoiced.to_string(), "0");
        assert_eq!(erp.view(order).invoice_status, "to invoice");
    }
}

#[tokio::test]
async fn a_quantity_taken_back_after_invoicing_becomes_a_credit_note() {
    let erp = Erp::of(Version::V18).await;
    let order = erp.three_mugs().await;
    erp.posted_invoice(order).await;
    let line = erp.view(order).lines[0].id;
    erp.ok(
        "sale.order.line",
        "write",
        json!([[line], {"product_uom_qty": 2}]),
    )
    .await;
    assert_eq!(erp.view(order).invoice_status, "to invoice");
    let note = erp.invoice_view(erp.draft_invoice(order).await);
    assert_eq!(
        (note.kind.as_str(), note.amount_total.to_string().as_str()),
        ("out_refund", "9.99")
    );
    assert_eq!(erp.view(order).invoice_status, "invoiced");
}

#[tokio::test]
async fn a_closed_period_moves_the_accounting_date_or_refuses() {
    for version in [Version::V17, Version::V18, Version::V19] {
        for closed_period in [ClosedPeriod::Moves, ClosedPeriod::Refuses] {
            let erp = Erp::start(Options {
                closed_period,
                ..Options::version(version)
            })
            .await;
            let order = erp.three_mugs().await;
            let invoice = erp.draft_invoice(order).await;
            let dated = json!([[invoice], {"invoice_date": "2024-01-15"}]);
            erp.ok("account.move", "write", dated).await;
            let closed = NaiveDate::from_ymd_opt(2024, 1, 31).unwrap();
            erp.sandbox.close_period(closed).unwrap();
            let read = erp
                .fields("res.company", 1, json!(["fiscalyear_lock_date", "tax_lock_date"]))
                .await;
            assert_eq!(read["fiscalyear_lock_date"], "2024-01-31");
            let posted = erp
                .call("account.move", "action_post", json!([[invoice]]), json!({}))
                .await;
            let view = erp.invoice_view(invoice);
            if closed_period == ClosedPeriod::Refuses {
                let (name, message) = posted.unwrap_err();
                assert_eq!(name, USER_ERROR);
                assert!(message.contains("01/31/2024"), "{message}");
                assert_eq!(view.state, "draft");
            } else {
                assert_eq!(posted.unwrap(), json!(false));
                assert_eq!(view.invoice_date, NaiveDate::from_ymd_opt(2024, 1, 15));
                assert_eq!(view.date, NaiveDate::from_ymd_opt(2024, 2, 29));
            }
        }
    }
}

#[tokio::test]
async fn sections_come_along_with_what_stands_below_them() {
    let erp = Erp::of(Version::V19).await;
    let mug = erp.product("Mug", 10.0).await;
    let order = erp
        .sold(&[
            json!({"display_type": "line_section", "name": "Bundle", "sequence": 1}),
            json!({"product_id": mug, "sequence": 2}),
            json!({"display_type": "line_note", "name": "Thanks", "sequence": 3}),
        ])
        .await;
    let lines = erp.invoice_view(erp.draft_invoice(order).await).lines;
    let kinds: Vec<&str> = lines.iter().map(|line| line.display_type.as_str()).collect();
    assert_eq!(kinds, ["line_section", "product"]);
}

#[tokio::test]
async fn cancelling_an_order_takes_its_draft_invoices_along() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let order = erp.three_mugs().await;
        let invoice = erp.draft_invoice(order).await;
        let flag = json!({"context": {"disable_cancel_warning": true}});
        erp.call("sale.order", "action_cancel", json!([[order]]), flag)
            .await
            .unwrap();
        assert_eq!(erp.invoice_view(invoice).state, "cancel");
        assert_eq!(erp.view(order).invoice_status, "no");
    }
}

#[tokio::test]
async fn both_protocols_reach_invoices() {
    let erp = Erp::of(Version::V19).await;
    let order = erp.three_mugs().await;
    let vals = json!({"vals_list": {"sale_order_ids": [[6, 0, [order]]]}});
    let (_, wizard) = erp.json2("sale.advance.payment.inv", "create", vals).await;
    let (status, shown) = erp
        .json2(
            "sale.advance.payment.inv",
            "create_invoices",
            json!({"ids": wizard}),
        )
        .await;
    assert_eq!(status, 200);
    let invoice = shown["res_id"].as_i64().unwrap();
    let (status, posted) = erp
        .json2("account.move", "action_post", json!({"ids": [invoice]}))
        .await;
    assert_eq!((status, posted), (200, json!(false)));
    let (status, refused) = erp
        .json2("account.move", "action_post", json!({"ids": [invoice]}))
        .await;
    assert_eq!((status, &refused["name"]), (422, &json!(USER_ERROR)));
    let (status, nothing) = erp
        .json2("account.move", "button_draft", json!({"ids": [invoice]}))
        .await;
    assert_eq!((status, nothing), (200, Json::Null));
}
