//! Products.

use super::bench::*;
use super::*;

#[tokio::test]
async fn a_product_is_made_once_with_its_variants_and_prices_are_left_to_the_orders() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (id, variants) = shirt(&bench);
        let (state, why) = bench.sync(Object::Product, id).await;
        assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        let made = bench.erp.ledger().products().len();
        let (state, why) = bench.sync(Object::Product, id).await;
        assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        assert_eq!(bench.erp.ledger().products().len(), made, "{version:?}");
        let ids: Vec<String> = variants.iter().map(ToString::to_string).collect();
        let links = bench
            .store
            .links(&"main".parse().unwrap(), crate::domain::LinkKind::Variant, &ids)
            .await
            .unwrap();
        assert_eq!(links.len(), 2, "{version:?}");
        // An edited SKU arrives.
        bench
            .shop
            .change(|shop| {
                shop.edit_variant(variants[1], |variant| variant.sku = Some("SHIRT-MEDIUM".into()))
            })
            .unwrap();
        let (state, why) = bench.sync(Object::Product, id).await;
        assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        let link = links.iter().find(|link| link.source_id == ids[1]).unwrap();
        let record = bench
            .erp
            .ledger()
            .record("product.product", link.erp_id.0)
            .unwrap();
        assert_eq!(record["default_code"], "SHIRT-MEDIUM", "{version:?}");
    }
}

#[tokio::test]
async fn a_sku_that_the_erp_has_already_proposes_and_makes_nothing() {
    let bench = Bench::new(Version::V18).await;
    let values = serde_json::json!([{ "name": "Old shirt", "default_code": "SHIRT-S" }]);
    bench
        .erp
        .as_admin("product.template", "create", values, serde_json::json!({}))
        .unwrap();
    let before = bench.erp.ledger().products().len();
    let (id, variants) = shirt(&bench);
    let (state, why) = bench.sync(Object::Product, id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("product_match_proposed"));
    assert_eq!(bench.erp.ledger().products().len(), before);
    // An order of that product names it instead of guessing.
    let (order_id, name) = order(&bench, everyday(Buyer::Nobody, variants[0]));
    let (state, why) = bench.sync(Object::Order, order_id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("product_not_linked"));
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
}
