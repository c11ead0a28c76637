//! The everyday path: a customer, an order with tax, loaded by external id, confirmed.

use serde_json::json;

use super::support::{Erp, VERSIONS};

#[tokio::test]
async fn an_order_loads_once_and_confirms() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let product = erp.product("Mug", 50.0).await;
        let tax = erp.tax(20.0, true).await;
        let taxes = format!("order_line/{}/.id", erp.taxes());
        let loaded = erp
            .call(
                "res.partner",
                "load",
                json!([
                    ["id", "name", "country_id/id"],
                    [["shop.customer_1", "Ada", "base.us"]]
                ]),
                json!({}),
            )
            .await
            .unwrap();
        assert_eq!(loaded["messages"], json!([]), "{version:?}");
        let fields = json!([
            "id",
            "partner_id/id",
            "client_order_ref",
            "date_order",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/name",
            "order_line/product_uom_qty",
            "order_line/price_unit",
            taxes
        ]);
        let rows = json!([
            [
                "shop.order_1",
                "shop.customer_1",
                "#1001",
                "2024-07-01 12:00:00",
                "shop.order_1_1",
                product.to_string(),
                "Mug",
                "3",
                "9.99",
                tax.to_string()
            ],
            [
                "",
                "",
                "",
                "",
                "shop.order_1_2",
                product.to_string(),
                "Mug again",
                "1",
                "5",
                ""
            ]
        ]);
        for _ in 0..2 {
            let loaded = erp
                .call(
                    "sale.order",
                    "load",
                    json!([fields, rows]),
                    json!({"context": {"tz": "UTC"}}),
                )
                .await
                .unwrap();
            assert_eq!(loaded["messages"], json!([]), "{version:?}");
        }
        let orders = erp.sandbox.ledger().orders();
        assert_eq!(orders.len(), 1, "{version:?}");
        assert_eq!(orders[0].lines.len(), 2);
        // 3 x 9.99 at 20 % included: 24.97 + 5.00; and 5.00 without tax.
        assert_eq!(orders[0].amount_total.to_string(), "34.97");
        assert_eq!(orders[0].amount_tax.to_string(), "5");
        let id = orders[0].id;
        assert_eq!(
            erp.ok("sale.order", "action_confirm", json!([[id]])).await,
            json!(true)
        );
        let order = &erp.sandbox.ledger().orders()[0];
        assert_eq!((order.state.as_str(), order.pickings.len()), ("sale", 1));
        assert_eq!(
            erp.err("sale.order", "action_confirm", json!([[id]])).await,
            "odoo.exceptions.UserError"
        );
    }
}
