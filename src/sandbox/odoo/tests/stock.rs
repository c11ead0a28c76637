//! Section 4: stock levels, how they are set, and what orders do to them.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};

const FIGURES: [&str; 3] = ["qty_available", "free_qty", "virtual_available"];

impl Erp {
    /// A product whose stock is counted: its variant.
    async fn stored(&self, name: &str) -> i64 {
        let vals = json!({"name": name, "list_price": 10.0, "is_storable": true});
        self.ok("product.product", "create", json!([vals]))
            .await
            .as_i64()
            .unwrap()
    }

    async fn shelf(&self) -> i64 {
        let found = self
            .ok("stock.warehouse", "search_read", json!([[], ["lot_stock_id"]]))
            .await;
        found[0]["lot_stock_id"][0].as_i64().unwrap()
    }

    async fn count(&self, product: i64, location: i64, units: i64) -> i64 {
        let mode = json!({"context": {"inventory_mode": true}});
        let values = json!([{"product_id": product, "location_id": location, "inventory_quantity": units}]);
        let level = self.call("stock.quant", "create", values, mode).await.unwrap();
        let level = level.as_i64().unwrap();
        let applied = self
            .ok("stock.quant", "action_apply_inventory", json!([[level]]))
            .await;
        assert_eq!(applied, Json::Null, "it returns nothing");
        level
    }

    /// On hand, free, and forecast.
    async fn figures(&self, product: i64, context: Json) -> Json {
        let named = json!({"context": context});
        let rows = self
            .call("product.product", "read", json!([[product], FIGURES]), named)
            .await
            .unwrap();
        json!(FIGURES.map(|name| rows[0][name].clone()))
    }
}

#[tokio::test]
async fn levels_are_set_by_counting_and_a_second_count_changes_the_same_level() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, shelf) = (erp.stored("Mug").await, erp.shelf().await);
        assert_eq!(erp.figures(mug, json!({})).await, json!([0.0, 0.0, 0.0]));
        let level = erp.count(mug, shelf, 12).await;
        assert_eq!(erp.figures(mug, json!({})).await, json!([12.0, 12.0, 12.0]));
        assert_eq!(erp.count(mug, shelf, 7).await, level);
        assert_eq!(erp.figures(mug, json!({})).await, json!([7.0, 7.0, 7.0]));
        assert_eq!(
            erp.figures(mug, json!({"location": shelf})).await,
            json!([7.0, 7.0, 7.0])
        );
        assert_eq!(
            erp.figures(mug, json!({"warehouse_id": 999})).await,
            json!([0.0, 0.0, 0.0])
        );
    }
}

#[tokio::test]
async fn without_inventory_mode_a_count_does_nothing() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, shelf) = (erp.stored("Mug").await, erp.shelf().await);
        let level = erp.count(mug, shelf, 12).await;
        let values = json!([[level], {"inventory_quantity_auto_apply": 3}]);
        assert_eq!(erp.ok("stock.quant", "write", values.clone()).await, json!(true));
        assert_eq!(erp.figures(mug, json!({})).await[0], json!(12.0));
        let mode = json!({"context": {"inventory_mode": true}});
        erp.call("stock.quant", "write", values, mode).await.unwrap();
        assert_eq!(erp.figures(mug, json!({})).await[0], json!(3.0));
    }
}

#[tokio::test]
async fn a_confirmed_order_reserves_and_its_delivery_takes() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, shelf) = (erp.stored("Mug").await, erp.shelf().await);
        let level = erp.count(mug, shelf, 5).await;
        let stamp = |rows: Json| rows[0]["write_date"].as_str().unwrap_or_default().to_owned();
        let of_product = stamp(
            erp.ok("product.product", "read", json!([[mug], ["write_date"]]))
                .await,
        );
        let order = erp
            .sold(&[json!({"product_id": mug, "product_uom_qty": 3})])
            .await;
        assert_eq!(erp.figures(mug, json!({})).await, json!([5.0, 2.0, 2.0]));
        // What is asked for beyond the stock waits.
        let more = erp
            .sold(&[json!({"product_id": mug, "product_uom_qty": 4})])
            .await;
        assert_eq!(erp.view(more).pickings[0].state, "assigned");
        assert_eq!(erp.view(more).pickings[0].lines[0].quantity.to_string(), "2");
        assert_eq!(erp.figures(mug, json!({})).await, json!([5.0, 0.0, -2.0]));

        erp.sandbox.deliver_all(order).unwrap();
        assert_eq!(erp.figures(mug, json!({})).await, json!([2.0, 0.0, -2.0]));
        let after = erp
            .ok("product.product", "read", json!([[mug], ["write_date"]]))
            .await;
        assert_eq!(stamp(after), of_product, "moves do not bump the product");
        // What leaves without being there makes the level negative.
        erp.sandbox.deliver_all(more).unwrap();
        assert_eq!(erp.figures(mug, json!({})).await, json!([-2.0, -2.0, -2.0]));
        let row = erp
            .ok(
                "stock.quant",
                "read",
                json!([[level], ["quantity", "available_quantity"]]),
            )
            .await;
        assert_eq!(
            (row[0]["quantity"].as_f64(), row[0]["available_quantity"].as_f64()),
            (Some(-2.0), Some(-2.0))
        );
    }
}
