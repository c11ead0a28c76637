//! Payments, and what they settle. None of it was observed: it is what the code of the versions is known to do.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{JournalKind, JournalSeed, Options, PaymentView, Version};

const USER_ERROR: &str = "odoo.exceptions.UserError";
const ALL: [Version; 3] = [Version::V17, Version::V18, Version::V19];

fn memo(version: Version) -> &'static str {
    if version == Version::V17 { "ref" } else { "memo" }
}

impl Erp {
    fn payment(&self, id: i64) -> PaymentView {
        let mut all = self.sandbox.ledger().payments();
        all.retain(|payment| payment.id == id);
        all.remove(0)
    }

    /// A posted payment of the API user's own company's customer 1.
    async fn paid(&self, amount: f64) -> i64 {
        let id = self
            .create("account.payment", json!({"partner_id": 1, "amount": amount}))
            .await;
        self.ok("account.payment", "action_post", json!([[id]])).await;
        id
    }

    /// The open receivable item of a payment.
    async fn open_item(&self, payment: i64) -> i64 {
        let domain = json!([
            ["payment_id", "=", payment],
            ["account_type", "=", "asset_receivable"],
            ["reconciled", "=", false]
        ]);
        self.ok("account.move.line", "search", json!([domain])).await[0]
            .as_i64()
            .unwrap()
    }
}

#[tokio::test]
async fn journals_are_what_the_options_say_and_one_for_sales() {
    for version in VERSIONS {
        let journals = vec![
            JournalSeed::new("Cards", "CARD", JournalKind::Bank),
            JournalSeed::new("PayPal", "PAYP", JournalKind::Bank),
        ];
        let erp = Erp::start(Options {
            journals,
            ..Options::version(version)
        })
        .await;
        let rows = erp
            .ok(
                "account.journal",
                "search_read",
                json!([[], ["name", "code", "type"]]),
            )
            .await;
        let seen: Vec<(&str, &str)> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["code"].as_str().unwrap(), row["type"].as_str().unwrap()))
            .collect();
        assert_eq!(seen, [("INV", "sale"), ("CARD", "bank"), ("PAYP", "bank")]);
    }
}

#[tokio::test]
async fn a_payment_loaded_twice_is_there_once_and_posts() {
    for version in ALL {
        let erp = Erp::of(version).await;
        let journal = erp.by("account.journal", "code", json!("CSH1")).await;
        let fields = json!([
            "id",
            "payment_type",
            "partner_type",
            "partner_id/.id",
            "amount",
            "journal_id/.id",
            "date",
            memo(version)
        ]);
        let row = json!([[
            "__lockstep_main__.payment_7",
            "inbound",
            "customer",
            "1",
            "29.97",
            journal.to_string(),
            "2024-02-03",
            "#1001 ch_1"
        ]]);
        for posted in [false, true] {
            if posted {
                let id = erp.sandbox.ledger().payments()[0].id;
                let reply = erp
                    .execute_raw("account.payment", "action_post", json!([[id]]), json!({}))
                    .await;
                assert!(reply.get("result").is_none() && reply.get("error").is_none());
            }
            // The same values again are fine, posted or not.
            let loaded = erp
                .ok("account.payment", "load", json!([fields.clone(), row.clone()]))
                .await;
            assert_eq!(loaded["messages"], json!([]), "{version:?} {posted}");
        }
        let payments = erp.sandbox.ledger().payments();
        assert_eq!(payments.len(), 1);
        let payment = &payments[0];
        assert_eq!(
            (payment.amount.to_string().as_str(), payment.journal.as_str()),
            ("29.97", "Cash")
        );
        assert_eq!(payment.memo.as_deref(), Some("#1001 ch_1"));
        assert_eq!(payment.date.unwrap().to_string(), "2024-02-03");
        assert_eq!(
            payment.state,
            if version == Version::V17 {
                "posted"
            } else {
                "in_process"
            }
        );
        assert_eq!(payment.name.as_deref(), Some("PCSH1/2024/00001"));
        let other = json!([[payment.id], {"amount": 5}]);
        assert_eq!(erp.err("account.payment", "write", other).await, USER_ERROR);
        let wrong = if version == Version::V17 { "memo" } else { "ref" };
        let unknown = erp
            .err(
                "account.payment",
                "create",
                json!([{"partner_id": 1, wrong: "x"}]),
            )
            .await;
        assert!(unknown.starts_with("builtins."));
    }
}

#[tokio::test]
async fn the_register_wizard_pays_invoices() {
    for version in ALL {
        for (amount, state, due) in [(None, "paid", "0"), (Some(10), "partial", "19.97")] {
            let erp = Erp::of(version).await;
            let order = erp.three_mugs().await;
            let draft = erp.draft_invoice(order).await;
            let opened = json!({"context": {"active_model": "account.move", "active_ids": [draft]}});
            let early = erp
                .call("account.payment.register", "create", json!([{}]), opened.clone())
                .await;
            assert_eq!(early.unwrap_err().0, USER_ERROR);
            erp.ok("account.move", "action_post", json!([[draft]])).await;
            let journal = erp.by("account.journal", "code", json!("BNK1")).await;
            let mut vals =
                json!({"journal_id": journal, "payment_date": "2024-05-06", "communication": "#1001"});
            if let Some(amount) = amount {
                vals["amount"] = json!(amount);
            }
            let wizard = erp
                .call(
                    "account.payment.register",
                    "create",
                    json!([vals]),
                    opened.clone(),
                )
                .await
                .unwrap();
            let shown = erp
                .ok(
                    "account.payment.register",
                    "action_create_payments",
                    json!([[wizard]]),
                )
                .await;
            assert_eq!(shown["type"], "ir.actions.act_window");
            let payment = erp.payment(shown["res_id"].as_i64().unwrap());
            assert_eq!(payment.invoices, [draft]);
            assert_eq!(payment.memo.as_deref(), Some("#1001"));
            let invoice = erp.invoice_view(draft);
            assert_eq!(
                (
                    invoice.payment_state.as_str(),
                    invoice.amount_residual.to_string().as_str()
                ),
                (state, due)
            );
            let expected = match (version, amount) {
                (Version::V17, _) => "posted",
                (_, None) => "paid",
                _ => "in_process",
            };
            assert_eq!(payment.state, expected);
            let again = erp
                .call("account.payment.register", "create", json!([{}]), opened)
                .await;
            assert_eq!(again.is_err(), amount.is_none());
        }
    }
}

#[tokio::test]
async fn an_open_payment_is_assigned_to_an_invoice() {
    for version in VERSIONS {
        for by_lines in [false, true] {
            let erp = Erp::of(version).await;
            let order = erp.three_mugs().await;
            let invoice = erp.posted_invoice(order).await;
            let (first, second) = (erp.paid(20.0).await, erp.paid(20.0).await);
            for payment in [first, second] {
                let item = erp.open_item(payment).await;
                if by_lines {
                    let own = json!([
                        ["move_id", "=", invoice],
                        ["account_type", "=", "asset_receivable"]
                    ]);
                    let own = erp.ok("account.move.line", "search", json!([own])).await[0].clone();
                    erp.ok("account.move.line", "reconcile", json!([[own, item]]))
                        .await;
                } else {
                    erp.ok(
                        "account.move",
                        "js_assign_outstanding_line",
                        json!([[invoice], item]),
                    )
                    .await;
                }
            }
            let view = erp.invoice_view(invoice);
            assert_eq!(
                (
                    view.payment_state.as_str(),
                    view.amount_residual.to_string().as_str()
                ),
                ("paid", "0")
            );
            let fields = json!(["is_reconciled", "reconciled_invoice_ids"]);
            let read = erp.fields("account.payment", first, fields.clone()).await;
            assert_eq!(read["is_reconciled"], json!(true));
            // 10.03 of the second one is still open; nothing is left to settle.
            let read = erp.fields("account.payment", second, fields).await;
            assert_eq!(read["is_reconciled"], json!(false));
            let item = erp.open_item(second).await;
            let residual = erp
                .fields("account.move.line", item, json!(["amount_residual"]))
                .await;
            assert_eq!(residual["amount_residual"], json!(-10.03));
            let settled = erp
                .call(
                    "account.move",
                    "js_assign_outstanding_line",
                    json!([[invoice], item]),
                    json!({}),
                )
                .await;
            assert_eq!(settled.unwrap_err().0, USER_ERROR);
            // Withdrawing a payment opens the invoice again.
            erp.ok("account.payment", "action_draft", json!([[first]])).await;
            let view = erp.invoice_view(invoice);
            assert_eq!(
                (
                    view.payment_state.as_str(),
                    view.amount_residual.to_string().as_str()
                ),
                ("partial", "20")
            );
        }
    }
}

#[tokio::test]
async fn the_enterprise_edition_waits_for_the_bank() {
    let erp = Erp::start(Options {
        in_payment: true,
        ..Options::version(Version::V19)
    })
    .await;
    let order = erp.three_mugs().await;
    let invoice = erp.sandbox.invoice(order).unwrap();
    erp.sandbox.pay(invoice).unwrap();
    assert_eq!(erp.invoice_view(invoice).payment_state, "in_payment");
}

#[tokio::test]
async fn a_credit_note_settles_its_invoice() {
    let erp = Erp::of(Version::V18).await;
    let order = erp.three_mugs().await;
    let invoice = erp.posted_invoice(order).await;
    let opened = json!({"context": {"active_model": "account.move", "active_ids": [invoice]}});
    let wizard = erp
        .call("account.move.reversal", "create", json!([{}]), opened)
        .await
        .unwrap();
    erp.ok("account.move.reversal", "modify_moves", json!([[wizard]]))
        .await;
    let all = erp.sandbox.ledger().invoices();
    let states: Vec<(&str, &str, &str)> = all
        .iter()
        .map(|view| {
            (
                view.kind.as_str(),
                view.state.as_str(),
                view.payment_state.as_str(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("out_invoice", "posted", "reversed"),
            ("out_refund", "posted", "paid"),
            ("out_invoice", "draft", "not_paid")
        ]
    );
}

#[tokio::test]
async fn a_refund_is_paid_out() {
    let erp = Erp::of(Version::V19).await;
    let mug = erp.product("Mug", 10.0).await;
    let vals = json!({"move_type": "out_refund", "partner_id": 1,
        "invoice_line_ids": [[0, 0, {"product_id": mug, "price_unit": 10, "tax_ids": [[5]]}]]});
    let note = erp.create("account.move", vals).await;
    erp.ok("account.move", "action_post", json!([[note]])).await;
    erp.sandbox.pay(note).unwrap();
    let payment: &PaymentView = &erp.sandbox.ledger().payments()[0];
    assert_eq!(
        (payment.kind.as_str(), payment.amount.to_string().as_str()),
        ("outbound", "10")
    );
    assert_eq!(erp.invoice_view(note).payment_state, "paid");
}

#[tokio::test]
async fn a_negative_payment_is_no_payment() {
    let erp = Erp::of(Version::V18).await;
    let refused = erp
        .err(
            "account.payment",
            "create",
            json!([{"partner_id": 1, "amount": -1}]),
        )
        .await;
    assert_eq!(refused, "odoo.exceptions.ValidationError");
    assert_eq!(Json::from(erp.sandbox.ledger().payments().len()), json!(0));
}
