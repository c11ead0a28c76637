//! Orders with their lines and addresses.

use super::*;

#[tokio::test]
async fn lines_are_added_updated_moved_and_never_removed() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await.to_string();
        let fields = json!([
            "id",
            "partner_id/.id",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/name",
            "order_line/price_unit",
            "order_line/sequence"
        ]);
        let rows = json!([
            ["o.1", "1", "o.1_1", mug, "One", "1", "20"],
            ["", "", "o.1_2", mug, "Two", "2", "10"]
        ]);
        for _ in 0..2 {
            erp.loads("sale.order", fields.clone(), rows.clone()).await;
        }
        let names = || {
            let orders = erp.sandbox.ledger().orders();
            orders
                .iter()
                .map(|o| {
                    o.lines
                        .iter()
                        .map(|l| l.name.clone())
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(names(), ["Two One"], "in the order of their sequence");
        // A line that is absent stays; a new one is added; its id under another order moves it.
        erp.loads(
            "sale.order",
            fields.clone(),
            json!([["o.1", "1", "o.1_3", mug, "Three", "3", "30"]]),
        )
        .await;
        assert_eq!(names(), ["Two One Three"]);
        erp.loads(
            "sale.order",
            fields,
            json!([["o.2", "1", "o.1_3", mug, "Moved", "3", "30"]]),
        )
        .await;
        assert_eq!(names(), ["Two One", "Moved"]);
        let totals: Vec<String> = erp
            .sandbox
            .ledger()
            .orders()
            .iter()
            .map(|order| order.amount_untaxed.to_string())
            .collect();
        assert_eq!(totals, ["3", "3"], "both orders are computed again");
        // Without line ids every repeat appends.
        let bare = json!([
            "id",
            "partner_id/.id",
            "order_line/product_id/.id",
            "order_line/name"
        ]);
        let rows = json!([["o.3", "1", mug, "A"], ["", "", mug, "B"]]);
        for _ in 0..2 {
            erp.loads("sale.order", bare.clone(), rows.clone()).await;
        }
        assert_eq!(names()[2], "A B A B");
        // Only changed columns, by either kind of id.
        let order = &erp.sandbox.ledger().orders()[1];
        let (id, line) = (order.id.to_string(), order.lines[0].id.to_string());
        erp.loads(
            "sale.order",
            json!([".id", "order_line/.id", "order_line/name"]),
            json!([[id, line, "By number"]]),
        )
        .await;
        assert_eq!(names()[1], "By number");
        erp.loads(
            "sale.order",
            json!(["id", "order_line/id", "order_line/name"]),
            json!([["o.2", "o.1_3", "By id"]]),
        )
        .await;
        assert_eq!(names()[1], "By id");
        // Deleting a line takes its external id along.
        erp.ok(
            "sale.order",
            "write",
            json!([[order.id], {"order_line": [[2, order.lines[0].id]]}]),
        )
        .await;
        let gone = erp
            .err("ir.model.data", "check_object_reference", json!(["o", "1_3"]))
            .await;
        assert_eq!(gone, "builtins.ValueError");
    }
}

#[tokio::test]
async fn confirmed_and_locked_orders_reload_as_far_as_they_may() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, tea) = (
            erp.product("Mug", 50.0).await.to_string(),
            erp.product("Tea", 5.0).await.to_string(),
        );
        let fields = json!([
            "id",
            "partner_id/.id",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/name",
            "order_line/product_uom_qty",
            "order_line/price_unit"
        ]);
        let row = |product: &str| json!([["c.1", "1", "c.1_1", product, "Mug", "2", "11.11"]]);
        let id = erp.loads("sale.order", fields.clone(), row(&mug)).await[0];
        erp.ok("sale.order", "action_confirm", json!([[id]])).await;
        erp.loads("sale.order", fields.clone(), row(&mug)).await;
        let order = erp.sandbox.ledger().orders().pop().unwrap();
        assert_eq!(
            order.lines[0].price_unit.to_string(),
            "11.11",
            "a full reload keeps the price"
        );
        assert_eq!(
            (order.pickings.len(), order.pickings[0].moves[0].1.to_string()),
            (1, "2".to_owned())
        );
        let other = erp.refuses("sale.order", fields.clone(), row(&tea)).await;
        assert!(other.contains("cannot modify the product"), "{other}");
        erp.ok("sale.order", "action_lock", json!([[id]])).await;
        assert!(
            erp.refuses("sale.order", fields, row(&mug))
                .await
                .contains("locked order")
        );
        erp.loads(
            "sale.order",
            json!(["id", "client_order_ref"]),
            json!([["c.1", "#9"]]),
        )
        .await;
    }
}

#[tokio::test]
async fn addresses_are_kept_as_given_and_follow_the_customer_when_absent() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let other = erp.create("res.partner", json!({"name": "Other"})).await;
        let addresses = || {
            let order = erp.sandbox.ledger().orders().pop().unwrap();
            (order.partner_invoice_id, order.partner_shipping_id)
        };
        let fields = json!([
            "id",
            "partner_id/.id",
            "partner_invoice_id/.id",
            "partner_shipping_id/.id"
        ]);
        let row = json!([["a.1", "1", other.to_string(), other.to_string()]]);
        for _ in 0..2 {
            erp.loads("sale.order", fields.clone(), row.clone()).await;
            assert_eq!(addresses(), (other, other));
        }
        erp.loads(
            "sale.order",
            json!(["id", "client_order_ref"]),
            json!([["a.1", "#1"]]),
        )
        .await;
        assert_eq!(addresses(), (other, other), "the customer was not written");
        erp.loads(
            "sale.order",
            json!(["id", "partner_id/.id"]),
            json!([["a.1", "1"]]),
        )
        .await;
        assert_eq!(addresses(), (1, 1));
    }
}
