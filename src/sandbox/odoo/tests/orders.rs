//! Sections 4 and 8: orders and their buttons.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Options, OrderView, Version};

impl Erp {
    /// A draft order with these lines.
    pub(super) async fn order(&self, lines: &[Json]) -> i64 {
        let lines: Vec<Json> = lines.iter().map(|line| json!([0, 0, line])).collect();
        self.create("sale.order", json!({"partner_id": 1, "order_line": lines}))
            .await
    }

    pub(super) fn view(&self, id: i64) -> OrderView {
        self.sandbox
            .ledger()
            .orders()
            .into_iter()
            .find(|order| order.id == id)
            .unwrap()
    }

    pub(super) async fn confirm(&self, id: i64) {
        assert_eq!(
            self.ok("sale.order", "action_confirm", json!([[id]])).await,
            json!(true)
        );
    }
}

#[tokio::test]
async fn an_order_takes_its_defaults_from_customer_product_and_user() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let ada = erp
            .create(
                "res.partner",
                json!({"name": "Ada", "child_ids": [[0, 0, {"type": "delivery", "name": "Dock"}]]}),
            )
            .await;
        let dock = erp.fields("res.partner", ada, json!(["child_ids"])).await["child_ids"][0]
            .as_i64()
            .unwrap();
        let product = erp.product("Mug", 50.0).await;
        let id = erp
            .create(
                "sale.order",
                json!({"partner_id": ada, "order_line": [[0, 0, {"product_id": product}]]}),
            )
            .await;
        let order = erp.view(id);
        assert_eq!((order.name.as_str(), order.state.as_str()), ("S00001", "draft"));
        assert_eq!((order.partner_invoice_id, order.partner_shipping_id), (ada, dock));
        assert_eq!(
            (order.user_id, order.pricelist_id),
            (Some(erp.sandbox.uid()), None)
        );
        assert_eq!(order.currency, "USD");
        let line = &order.lines[0];
        assert_eq!(
            (
                line.name.as_str(),
                line.price_unit.to_string().as_str(),
                line.sequence
            ),
            ("Mug", "50", 10)
        );
        assert_eq!(
            line.taxes
                .iter()
                .map(|tax| tax.amount.to_string())
                .collect::<Vec<_>>(),
            ["15"]
        );
        assert_eq!(order.amount_total.to_string(), "57.5");
        // Explicitly none, and explicitly others.
        let twenty = erp.tax(20.0, true).await;
        for (commands, total) in [
            (json!([[5]]), "50"),
            (json!([[6, 0, [twenty]]]), "50"),
            (json!(false), "50"),
        ] {
            let id = erp
                .order(&[json!({"product_id": product, erp.taxes(): commands})])
                .await;
            assert_eq!(erp.view(id).amount_total.to_string(), total);
        }
    }
}

#[tokio::test]
async fn currency_is_the_price_lists_affair() {
    for version in VERSIONS {
        let pricelists = vec![
            ("Dollars".to_owned(), "USD".to_owned()),
            ("Euros".to_owned(), "EUR".to_owned()),
        ];
        let erp = Erp::start(Options {
            pricelists,
            ..Options::version(version)
        })
        .await;
        let eur = erp.by("res.currency", "name", json!("EUR")).await;
        let ignored = erp
            .create("sale.order", json!({"partner_id": 1, "currency_id": eur}))
            .await;
        assert_eq!(erp.view(ignored).currency, "USD");
        let euros = erp.by("product.pricelist", "name", json!("Euros")).await;
        let order = erp
            .create("sale.order", json!({"partner_id": 1, "pricelist_id": euros}))
            .await;
        assert_eq!(erp.view(order).currency, "EUR");
    }
}

#[tokio::test]
async fn confirming_overwrites_the_date_once_and_makes_one_transfer() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, tea) = (erp.product("Mug", 50.0).await, erp.product("Tea", 5.0).await);
        let service = json!({"name": "Help", "type": "service"});
        let service = erp.create("product.product", service).await;
        let id = erp
            .order(&[
                json!({"product_id": mug, "product_uom_qty": 2}),
                json!({"product_id": tea}),
                json!({"product_id": service}),
            ])
            .await;
        erp.ok(
            "sale.order",
            "write",
            json!([[id], {"date_order": "2024-01-02 03:04:05"}]),
        )
        .await;
        erp.confirm(id).await;
        let order = erp.view(id);
        assert_ne!(order.date_order.unwrap().to_string(), "2024-01-02 03:04:05");
        assert_eq!(order.pickings.len(), 1);
        assert_eq!(
            order.pickings[0]
                .moves
                .iter()
                .map(|(product, _)| *product)
                .collect::<Vec<_>>(),
            [mug, tea]
        );
        erp.ok(
            "sale.order",
            "write",
            json!([[id], {"date_order": "2024-01-02 03:04:05"}]),
        )
        .await;
        assert_eq!(
            erp.view(id).date_order.unwrap().to_string(),
            "2024-01-02 03:04:05"
        );
        let again = erp
            .call("sale.order", "action_confirm", json!([[id]]), json!({}))
            .await
            .unwrap_err();
        assert_eq!(again.0, "odoo.exceptions.UserError");
        assert!(again.1.contains("not in a state requiring confirmation"));
        // Empty orders confirm too; mails are sent only when asked for, which fails here.
        let empty = erp.order(&[]).await;
        let mailed = erp
            .call(
                "sale.order",
                "action_confirm",
                json!([[empty]]),
                json!({"context": {"send_email": true}}),
            )
            .await;
        assert!(mailed.is_err());
        assert_eq!(erp.view(empty).state, "draft");
        erp.confirm(empty).await;
        assert!(erp.view(empty).pickings.is_empty());
        assert!(erp.sandbox.ledger().mails().is_empty());
        let read = erp
            .fields(
                "sale.order",
                id,
                json!(["invoice_status", "delivery_status", "locked"]),
            )
            .await;
        assert_eq!(
            read,
            json!({"id": id, "invoice_status": "to invoice", "delivery_status": "pending", "locked": false})
        );
    }
}

#[tokio::test]
async fn cancelling_asks_back_on_18_and_cancels_on_19() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await;
        let draft = erp.order(&[]).await;
        assert_eq!(
            erp.ok("sale.order", "action_cancel", json!([[draft]])).await,
            json!(true)
        );
        assert_eq!(erp.view(draft).state, "cancel");
        let id = erp.order(&[json!({"product_id": mug})]).await;
        erp.confirm(id).await;
        let asked = erp.ok("sale.order", "action_cancel", json!([[id]])).await;
        if version == Version::V18 {
            assert_eq!(asked["type"], json!("ir.actions.act_window"));
            assert_eq!(erp.view(id).state, "sale");
        } else {
            assert_eq!(asked, json!(true));
        }
        let flag = json!({"context": {"disable_cancel_warning": true}});
        let done = erp
            .call("sale.order", "action_cancel", json!([[id]]), flag.clone())
            .await
            .unwrap();
        assert_eq!(done, json!(true));
        let order = erp.view(id);
        assert_eq!(
            (order.state.as_str(), order.pickings[0].state.as_str()),
            ("cancel", "cancel")
        );
        // Locked orders are unlocked first; both buttons return nothing.
        let id = erp.order(&[json!({"product_id": mug})]).await;
        erp.confirm(id).await;
        assert_eq!(
            erp.ok("sale.order", "action_lock", json!([[id]])).await,
            Json::Null
        );
        let refused = erp
            .call("sale.order", "action_cancel", json!([[id]]), flag.clone())
            .await
            .unwrap_err();
        assert_eq!(refused.0, "odoo.exceptions.UserError");
        assert_eq!(
            erp.ok("sale.order", "action_unlock", json!([[id]])).await,
            Json::Null
        );
        assert_eq!(
            erp.call("sale.order", "action_cancel", json!([[id]]), flag)
                .await
                .unwrap(),
            json!(true)
        );
    }
}

#[tokio::test]
async fn what_may_be_deleted() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await;
        let id = erp
            .order(&[
                json!({"product_id": mug}),
                json!({"display_type": "line_note", "name": "Thanks"}),
            ])
            .await;
        let lines: Vec<i64> = erp.view(id).lines.iter().map(|line| line.id).collect();
        erp.confirm(id).await;
        let user = "odoo.exceptions.UserError";
        assert_eq!(erp.err("sale.order", "unlink", json!([[id]])).await, user);
        assert_eq!(
            erp.err("sale.order.line", "unlink", json!([[lines[0]]])).await,
            user
        );
        assert_eq!(
            erp.err(
                "sale.order",
                "write",
                json!([[id], {"order_line": [[2, lines[0]]]}])
            )
            .await,
            user
        );
        // Quantity 0 instead: nothing is left to deliver.
        erp.ok(
            "sale.order.line",
            "write",
            json!([[lines[0]], {"product_uom_qty": 0, "price_unit": 50}]),
        )
        .await;
        assert_eq!(erp.view(id).pickings[0].state, "cancel");
        let draft = erp.order(&[json!({"product_id": mug})]).await;
        assert_eq!(
            erp.ok("sale.order", "unlink", json!([[draft]])).await,
            json!(true)
        );
    }
}

#[tokio::test]
async fn taking_back_a_quantity_of_several_lines_is_a_return_or_a_message() {
    for (version, email, fine) in [
        (Version::V18, true, true),
        (Version::V18, false, false),
        (Version::V19, false, true),
    ] {
        let user_email = email.then(|| "c@example.com".to_owned());
        let erp = Erp::start(Options {
            user_email,
            ..Options::version(version)
        })
        .await;
        let mug = erp.product("Mug", 50.0).await;
        let id = erp
            .order(&[
                json!({"product_id": mug, "product_uom_qty": 2}),
                json!({"product_id": mug}),
            ])
            .await;
        erp.confirm(id).await;
        let line = erp.view(id).lines[0].id;
        let taken = erp
            .call(
                "sale.order.line",
                "write",
                json!([[line], {"product_uom_qty": 1, "price_unit": 50}]),
                json!({}),
            )
            .await;
        assert_eq!(taken.is_ok(), fine, "{version:?} {taken:?}");
        let kinds: Vec<String> = erp
            .view(id)
            .pickings
            .into_iter()
            .map(|picking| picking.kind)
            .collect();
        assert_eq!(kinds.contains(&"incoming".to_owned()), version == Version::V19);
        if let Err((name, message)) = taken {
            assert_eq!(name, "odoo.exceptions.UserError");
            assert!(message.contains("configure the sender's email"));
        }
    }
}

#[tokio::test]
async fn an_order_born_as_a_sale_keeps_its_date_and_a_draft_made_one_has_no_transfer() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await;
        let fields = json!([
            "id",
            "partner_id/.id",
            "date_order",
            "state",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/price_unit"
        ]);
        let row = json!([[
            "a.order",
            "1",
            "2024-01-02 03:04:05",
            "sale",
            "a.line",
            mug.to_string(),
            "9"
        ]]);
        for _ in 0..2 {
            let loaded = erp.ok("sale.order", "load", json!([fields, row])).await;
            assert_eq!(loaded["messages"], json!([]));
        }
        let order = erp.sandbox.ledger().orders().pop().unwrap();
        assert_eq!(order.date_order.unwrap().to_string(), "2024-01-02 03:04:05");
        assert_eq!((order.pickings.len(), order.pickings[0].moves.len()), (1, 1));
        let draft = erp.order(&[json!({"product_id": mug})]).await;
        erp.ok("sale.order", "write", json!([[draft], {"state": "sale"}]))
            .await;
        assert_eq!(
            (erp.view(draft).state.as_str(), erp.view(draft).pickings.len()),
            ("sale", 0)
        );
    }
}

#[tokio::test]
async fn somebody_elses_order_mails_them_unless_told_not_to() {
    for (context, mails) in [
        (json!({}), 1),
        (json!({"mail_auto_subscribe_no_notify": true}), 0),
        (json!({"tracking_disable": true}), 0),
    ] {
        let erp = Erp::of(Version::V18).await;
        erp.call(
            "sale.order",
            "create",
            json!([{"partner_id": 1, "user_id": 2}]),
            json!({"context": context}),
        )
        .await
        .unwrap();
        assert_eq!(erp.sandbox.ledger().mails().len(), mails, "{context}");
        erp.create("sale.order", json!({"partner_id": 1, "user_id": false}))
            .await;
        assert_eq!(erp.sandbox.ledger().mails().len(), mails);
    }
}

#[tokio::test]
async fn confirming_tells_the_chatter_three_times_or_once() {
    for (context, messages) in [
        (json!({}), 3),
        (json!({"tracking_disable": true}), 1),
        (json!({"mail_notrack": true}), 1),
    ] {
        let erp = Erp::of(Version::V18).await;
        let id = erp.order(&[]).await;
        let count = || erp.sandbox.ledger().count("mail.message");
        let before = count();
        erp.call(
            "sale.order",
            "action_confirm",
            json!([[id]]),
            json!({"context": context}),
        )
        .await
        .unwrap();
        assert_eq!(count() - before, messages, "{context}");
    }
}
