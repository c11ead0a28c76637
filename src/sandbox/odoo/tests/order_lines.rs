//! Sections 4 and 8: the lines of orders, and prices that do not stick.

use serde_json::json;

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::Version;

/// What is written to a line of 1 at 11.11, of a product that lists at 50, and the price it has then.
#[tokio::test]
async fn an_explicit_price_does_not_stick() {
    for version in VERSIONS {
        for confirmed in [false, true] {
            for (created, written, price) in [
                (json!({}), json!({"product_uom_qty": 2}), "50"),
                (json!({}), json!({"product_uom_qty": 1}), "50"),
                (json!({}), json!({"discount": 10}), "11.11"),
                (json!({}), json!({"name": "Other"}), "11.11"),
                (json!({}), json!({"tax": []}), "11.11"),
                (
                    json!({}),
                    json!({"product_uom_qty": 2, "price_unit": 11.11}),
                    "11.11",
                ),
                (
                    json!({"technical_price_unit": -1}),
                    json!({"product_uom_qty": 2}),
                    "11.11",
                ),
                (
                    json!({"technical_price_unit": -1, "price_unit": 0}),
                    json!({"product_uom_qty": 2}),
                    "0",
                ),
                (
                    json!({"technical_price_unit": 0, "price_unit": 0}),
                    json!({"product_uom_qty": 2}),
                    "50",
                ),
                (json!({"changed": 12}), json!({"product_uom_qty": 2}), "12"),
            ] {
                let erp = Erp::of(version).await;
                let mug = erp.product("Mug", 50.0).await;
                let mut line = json!({"product_id": mug, "product_uom_qty": 1, "price_unit": 11.11});
                for (name, value) in created
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(name, _)| *name != "changed")
                {
                    line[name] = value.clone();
                }
                let id = erp.order(&[line]).await;
                let line = erp.view(id).lines[0].id;
                if let Some(changed) = created.get("changed") {
                    erp.ok(
                        "sale.order.line",
                        "write",
                        json!([[line], {"price_unit": changed}]),
                    )
                    .await;
                }
                if confirmed {
                    erp.confirm(id).await;
                    erp.ok(
                        "sale.order",
                        "write",
                        json!([[id], {"date_order": "2024-01-01 00:00:00"}]),
                    )
                    .await;
                }
                let mut vals = written.clone();
                if let Some(none) = vals.as_object_mut().unwrap().remove("tax") {
                    vals[erp.taxes()] = json!([[6, 0, none]]);
                }
                erp.ok("sale.order.line", "write", json!([[line], vals])).await;
                let got = erp.view(id).lines[0].price_unit.to_string();
                assert_eq!(
                    got, price,
                    "{version:?} confirmed {confirmed} {created} {written}"
                );
            }
        }
    }
}

#[tokio::test]
async fn writing_the_product_again_resets_name_taxes_and_price() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, twenty) = (erp.product("Mug", 50.0).await, erp.tax(20.0, false).await);
        let line = json!({"product_id": mug, "name": "Mine", "price_unit": 11.11, "discount": 10, "sequence": 7,
            erp.taxes(): [[6, 0, [twenty]]]});
        let id = erp.order(&[line]).await;
        let line = erp.view(id).lines[0].id;
        erp.ok("sale.order.line", "write", json!([[line], {"product_id": mug}]))
            .await;
        let line = &erp.view(id).lines[0];
        assert_eq!(
            (line.name.as_str(), line.price_unit.to_string().as_str()),
            ("Mug", "50")
        );
        assert_eq!(line.taxes[0].amount.to_string(), "15");
        assert_eq!((line.discount.to_string().as_str(), line.sequence), ("10", 7));
    }
}

#[tokio::test]
async fn a_line_without_product_is_for_drafts_only() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let id = erp.order(&[json!({"name": "Something", "price_unit": 10})]).await;
        assert_eq!(erp.view(id).amount_total.to_string(), "10");
        assert_eq!(
            erp.err("sale.order", "action_confirm", json!([[id]])).await,
            "odoo.exceptions.UserError"
        );
        let line = erp.view(id).lines[0].id;
        erp.ok(
            "sale.order.line",
            "write",
            json!([[line], {"product_uom_qty": 2}]),
        )
        .await;
        assert_eq!(erp.view(id).lines[0].price_unit.to_string(), "0");
    }
}

#[tokio::test]
async fn locked_orders_protect_their_lines_and_confirmed_ones_their_products() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, tea) = (erp.product("Mug", 50.0).await, erp.product("Tea", 5.0).await);
        let id = erp.order(&[json!({"product_id": mug})]).await;
        let line = erp.view(id).lines[0].id;
        erp.confirm(id).await;
        let user = "odoo.exceptions.UserError";
        assert_eq!(
            erp.err("sale.order.line", "write", json!([[line], {"product_id": tea}]))
                .await,
            user
        );
        erp.ok("sale.order", "action_lock", json!([[id]])).await;
        for (field, value, locked) in [
            ("product_id", json!(mug), true),
            ("name", json!("x"), true),
            ("price_unit", json!(50), true),
            ("product_uom_qty", json!(1), true),
            (erp.taxes(), json!([[5]]), true),
            ("discount", json!(1), version == Version::V19),
            ("sequence", json!(3), false),
        ] {
            let written = erp
                .call(
                    "sale.order.line",
                    "write",
                    json!([[line], {field: value}]),
                    json!({}),
                )
                .await;
            assert_eq!(written.is_err(), locked, "{version:?} {field}");
        }
        erp.ok("sale.order", "write", json!([[id], {"client_order_ref": "#1"}]))
            .await;
    }
}
