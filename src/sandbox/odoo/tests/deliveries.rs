//! Section 4: transfers, and what edits of confirmed orders do to them.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{PickingView, Version};

const USER_ERROR: &str = "odoo.exceptions.UserError";
const SKIP: &str = "skip_backorder";

impl Erp {
    /// Two goods lines of 3 and 2 units, confirmed: the order, its lines, its moves.
    async fn five_units(&self) -> (i64, Vec<i64>, Vec<i64>) {
        let (mug, tea) = (self.product("Mug", 10.0).await, self.product("Tea", 5.0).await);
        let order = self
            .sold(&[
                json!({"product_id": mug, "product_uom_qty": 3}),
                json!({"product_id": tea, "product_uom_qty": 2}),
            ])
            .await;
        let view = self.view(order);
        let moves = view.pickings[0].lines.iter().map(|line| line.id).collect();
        (order, view.lines.iter().map(|line| line.id).collect(), moves)
    }

    async fn validate(&self, picking: i64, context: Json) -> Json {
        self.call(
            "stock.picking",
            "button_validate",
            json!([[picking]]),
            json!({"context": context}),
        )
        .await
        .unwrap()
    }

    async fn set_move(&self, id: i64, vals: Json) {
        self.ok("stock.move", "write", json!([[id], vals])).await;
    }
}

/// Units of a transfer that are done, and its state.
fn done(picking: &PickingView) -> (Vec<String>, &str) {
    let quantities = picking
        .lines
        .iter()
        .filter(|line| line.state == "done")
        .map(|line| line.quantity.to_string());
    (quantities.collect(), picking.state.as_str())
}

#[tokio::test]
async fn a_full_delivery_is_done_at_once_with_its_tracking() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let erp = Erp::of(version).await;
        let (order, _, _) = erp.five_units().await;
        let picking = erp.view(order).pickings[0].clone();
        assert_eq!(
            (
                picking.state.as_str(),
                picking.lines[0].quantity.to_string().as_str()
            ),
            ("assigned", "3")
        );
        let stamp = |erp: &Erp| erp.view(order).written_at;
        let before = stamp(&erp);
        let tracking = json!([[picking.id], {"carrier_tracking_ref": "T1"}]);
        erp.ok("stock.picking", "write", tracking).await;
        assert_eq!(
            stamp(&erp),
            before,
            "the tracking number does not move the order's write_date"
        );
        assert_eq!(erp.validate(picking.id, json!({})).await, json!(true));
        assert_ne!(stamp(&erp), before);
        let view = erp.view(order);
        let picking = &view.pickings[0];
        assert_eq!(done(picking), (vec!["3".to_owned(), "2".to_owned()], "done"));
        assert!(picking.done_at.is_some());
        assert_eq!(picking.tracking.as_deref(), Some("T1"));
        assert_eq!(view.delivery_status.as_deref(), Some("full"));
        assert_eq!(
            view.lines
                .iter()
                .map(|line| line.delivered.to_string())
                .collect::<Vec<_>>(),
            ["3", "2"]
        );
        // A second time changes nothing.
        assert_eq!(erp.validate(picking.id, json!({})).await, json!(true));
        assert_eq!(erp.view(order).pickings.len(), 1);
    }
}

#[tokio::test]
async fn a_partial_delivery_asks_unless_told_and_leaves_a_back_order() {
    for version in VERSIONS {
        for (dropped, pickings, state) in [(false, 2, "partial"), (true, 1, "full")] {
            let erp = Erp::of(version).await;
            let (order, _, moves) = erp.five_units().await;
            let picking = erp.view(order).pickings[0].id;
            erp.set_move(moves[0], json!({"quantity": 1, "picked": true}))
                .await;
            let asked = erp.validate(picking, json!({})).await;
            assert_eq!(
                (&asked["type"], &asked["res_model"]),
                (
                    &json!("ir.actions.act_window"),
                    &json!("stock.backorder.confirmation")
                )
            );
            assert_eq!(erp.view(order).pickings[0].state, "assigned", "nothing is done");
            let without: Vec<i64> = dropped.then_some(picking).into_iter().collect();
            let flags = json!({SKIP: true, "picking_ids_not_to_backorder": without});
            assert_eq!(erp.validate(picking, flags).await, json!(true));
            let view = erp.view(order);
            assert_eq!(view.pickings.len(), pickings);
            let first = view.pickings.iter().find(|view| view.id == picking).unwrap();
            assert_eq!(done(first), (vec!["1".to_owned()], "done"));
            assert_eq!(view.delivery_status.as_deref(), Some(state));
            assert_eq!(view.lines[0].delivered.to_string(), "1");
            if dropped {
                let given_up = first.lines.iter().filter(|line| line.state == "cancel");
                assert_eq!(given_up.count(), 2);
                continue;
            }
            let rest = view.pickings.iter().find(|view| view.id != picking).unwrap();
            assert_eq!(
                (rest.backorder_of, rest.state.as_str()),
                (Some(picking), "assigned")
            );
            assert_eq!(rest.tracking, None);
            let left: Vec<String> = rest.moves.iter().map(|(_, units)| units.to_string()).collect();
            assert_eq!(left.len(), 2);
            assert!(left.iter().all(|units| units == "2"));
            erp.sandbox.deliver_all(order).unwrap();
            let view = erp.view(order);
            assert_eq!(view.delivery_status.as_deref(), Some("full"));
            assert_eq!(view.lines[0].delivered.to_string(), "3");
        }
    }
}

#[tokio::test]
async fn the_back_order_wizard_can_be_answered() {
    let erp = Erp::of(Version::V18).await;
    for (button, pickings) in [("process", 2), ("process_cancel_backorder", 1)] {
        let (order, _, moves) = erp.five_units().await;
        let picking = erp.view(order).pickings[0].id;
        erp.set_move(moves[0], json!({"quantity": 1})).await;
        let asked = erp.validate(picking, json!({})).await;
        let vals = json!({"pick_ids": asked["context"]["default_pick_ids"]});
        let wizard = erp.create("stock.backorder.confirmation", vals).await;
        erp.ok("stock.backorder.confirmation", button, json!([[wizard]]))
            .await;
        // Nobody picked anything, so all quantities count: one of three, and both of the other.
        let view = erp.view(order);
        assert_eq!(view.pickings.len(), pickings);
        assert_eq!(
            view.lines
                .iter()
                .map(|line| line.delivered.to_string())
                .collect::<Vec<_>>(),
            ["1", "2"]
        );
    }
}

#[tokio::test]
async fn stored_goods_wait_for_stock_until_a_quantity_is_written() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let erp = Erp::of(version).await;
        let mut vals = json!({"name": "Mug", "list_price": 10});
        if version == Version::V17 {
            vals["detailed_type"] = json!("product");
        } else {
            vals["is_storable"] = json!(true);
        }
        let mug = erp.create("product.product", vals).await;
        let order = erp
            .sold(&[json!({"product_id": mug, "product_uom_qty": 2})])
            .await;
        let picking = erp.view(order).pickings[0].clone();
        assert_eq!(picking.state, "confirmed");
        assert_eq!(
            erp.err("stock.picking", "button_validate", json!([[picking.id]]))
                .await,
            USER_ERROR
        );
        erp.set_move(picking.lines[0].id, json!({"quantity": 2, "picked": true}))
            .await;
        assert_eq!(erp.validate(picking.id, json!({})).await, json!(true));
        assert_eq!(erp.view(order).lines[0].delivered.to_string(), "2");
    }
}

#[tokio::test]
async fn more_of_a_line_is_more_of_its_move_and_a_new_transfer_after_delivery() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (order, lines, _) = erp.five_units().await;
        let more = |quantity: i64| json!([[lines[0]], {"product_uom_qty": quantity, "price_unit": 10}]);
        erp.ok("sale.order.line", "write", more(4)).await;
        let view = erp.view(order);
        assert_eq!(view.pickings.len(), 1);
        assert_eq!(view.pickings[0].moves[0].1.to_string(), "4");
        erp.sandbox.deliver_all(order).unwrap();
        erp.ok("sale.order.line", "write", more(6)).await;
        let view = erp.view(order);
        let open: Vec<&PickingView> = view.pickings.iter().filter(|view| view.state != "done").collect();
        assert_eq!((open.len(), open[0].moves[0].1.to_string().as_str()), (1, "2"));
        assert_eq!(view.delivery_status.as_deref(), Some("partial"));
        // Less than was delivered is refused, and what was not delivered yet may go.
        assert_eq!(erp.err("sale.order.line", "write", more(3)).await, USER_ERROR);
        assert_eq!(erp.view(order).lines[0].quantity.to_string(), "6");
    }
}

#[tokio::test]
async fn a_delivered_order_can_still_be_cancelled_and_keeps_its_history() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (order, _, _) = erp.five_units().await;
        erp.sandbox.deliver_all(order).unwrap();
        erp.sandbox.invoice(order).unwrap();
        let flag = json!({"context": {"disable_cancel_warning": true}});
        erp.call("sale.order", "action_cancel", json!([[order]]), flag)
            .await
            .unwrap();
        let view = erp.view(order);
        assert_eq!(
            (view.state.as_str(), view.pickings[0].state.as_str()),
            ("cancel", "done")
        );
        assert!(view.pickings[0].lines.iter().all(|line| line.state == "done"));
        assert_eq!(erp.sandbox.ledger().invoices_of(order)[0].state, "posted");
        let done = view.pickings[0].clone();
        assert_eq!(
            erp.err("stock.picking", "action_cancel", json!([[done.id]]))
                .await,
            USER_ERROR
        );
        assert_eq!(
            erp.err(
                "stock.move",
                "write",
                json!([[done.lines[0].id], {"product_uom_qty": 9}])
            )
            .await,
            USER_ERROR
        );
    }
}

#[tokio::test]
async fn what_is_invoiced_follows_the_products_policy() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = json!({"name": "Mug", "list_price": 10, "invoice_policy": "delivery", "taxes_id": [[5]]});
        let mug = erp.create("product.product", mug).await;
        let order = erp
            .sold(&[json!({"product_id": mug, "product_uom_qty": 3})])
            .await;
        assert_eq!(erp.view(order).invoice_status, "no");
        let picking = erp.view(order).pickings[0].clone();
        erp.set_move(picking.lines[0].id, json!({"quantity": 2})).await;
        erp.validate(picking.id, json!({SKIP: true})).await;
        assert_eq!(erp.view(order).invoice_status, "to invoice");
        let invoice = erp.sandbox.invoice(order).unwrap();
        assert_eq!(erp.invoice_view(invoice).amount_total.to_string(), "20");
        assert_eq!(erp.view(order).lines[0].invoiced.to_string(), "2");
    }
}
