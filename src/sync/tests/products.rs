//! Products.

use super::bench::*;
use super::*;
use crate::domain::LinkKind;
use crate::sandbox::shopify::facts::ProductStatus;

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

#[tokio::test]
async fn a_variant_that_changes_altogether_is_no_stranger_afterwards() {
    let bench = Bench::new(Version::V18).await;
    let (id, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    bench
        .shop
        .change(|shop| {
            shop.edit_variant(variants[0], |variant| {
                variant.sku = Some("NEW-S".into());
                variant.barcode = Some("4006381333931".into());
                variant.item.weight_kg = decimal("0.75");
            })
        })
        .unwrap();
    let before = bench.erp.ledger().calls();
    let (state, why) = bench.sync(Object::Product, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let link = bench.link(LinkKind::Variant, variants[0]).await.unwrap();
    for field in ["default_code", "barcode", "weight"] {
        let agreed = &link.agreed[field];
        assert_eq!(
            agreed["source"], agreed["target"],
            "{field}: read back after writing"
        );
    }
    for _ in 0..2 {
        let (state, why) = bench.sync(Object::Product, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
    }
    let calls = bench.calls_since(&before);
    assert_eq!(calls.get("product.product/load"), Some(&1), "{calls:?}");
    // What the ERP changes is kept, and not agreed upon by looking at it.
    let edit = serde_json::json!([[link.erp_id.0], { "default_code": "THEIRS" }]);
    bench.in_the_erp("product.product", "write", edit);
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    let record = bench
        .erp
        .ledger()
        .record("product.product", link.erp_id.0)
        .unwrap();
    assert_eq!(record["default_code"], "THEIRS");
    let after = bench.link(LinkKind::Variant, variants[0]).await.unwrap();
    assert_eq!(after.agreed, link.agreed);
}

#[tokio::test]
async fn two_products_of_a_shop_may_share_a_sku() {
    let bench = Bench::new(Version::V18).await;
    let (first, _) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, first).await.0, JobState::Completed);
    let (second, variants) = shirt(&bench);
    let before = bench.erp.ledger().calls();
    let (state, why) = bench.sync(Object::Product, second).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let asked = bench.calls_since(&before);
    assert!(bench.link(LinkKind::Variant, variants[0]).await.is_some());
    // Two variants, one question for their SKUs (neither has a bar code); the rest belongs to the making.
    let searches = asked.get("product.product/search_read").copied();
    assert_eq!(searches, Some(2), "{asked:?}");
}

/// A product of the ERP with one attribute of two values and the SKUs of our shirt. Returns template and attribute.
fn taille(bench: &Bench) -> i64 {
    let attribute = serde_json::json!({ "name": "Taille", "create_variant": "always" });
    let attribute = bench.made_in_the_erp("product.attribute", attribute);
    let values: Vec<i64> = ["petite", "moyenne"]
        .into_iter()
        .map(|name| {
            let value = serde_json::json!({ "name": name, "attribute_id": attribute });
            bench.made_in_the_erp("product.attribute.value", value)
        })
        .collect();
    let template = serde_json::json!({
        "name": "Chemise",
        "attribute_line_ids": [[0, 0, { "attribute_id": attribute, "value_ids": [[6, 0, values]] }]],
    });
    let template = bench.made_in_the_erp("product.template", template);
    let mut variants: Vec<i64> = bench
        .erp
        .ledger()
        .products()
        .iter()
        .filter(|product| product.template_id == template)
        .map(|product| product.id)
        .collect();
    variants.sort_unstable();
    for (variant, sku) in variants.iter().zip(["SHIRT-S", "SHIRT-M"]) {
        let sku = serde_json::json!([[variant], { "default_code": sku }]);
        bench.in_the_erp("product.product", "write", sku);
    }
    template
}

#[tokio::test]
async fn an_adopted_product_keeps_its_own_options() {
    let bench = Bench::with_edited("product.in.toml", "adopt = \"propose\"", "adopt = \"exact\"").await;
    let template = taille(&bench);
    let (id, _) = shirt(&bench);
    let of_template = || {
        let products = bench.erp.ledger().products();
        products
            .iter()
            .filter(|product| product.template_id == template)
            .count()
    };
    assert_eq!(of_template(), 2);
    let (state, why) = bench.sync(Object::Product, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(
        bench.link(LinkKind::Product, id).await.unwrap().erp_id.0,
        template
    );
    assert_eq!(of_template(), 2, "no variants were multiplied");
    assert_eq!(
        bench.erp.ledger().record("product.template", template).unwrap()["name"],
        "Shirt"
    );
    // A new variant has no place among options of another name: a person must decide, and nothing is multiplied.
    bench
        .shop
        .change(|shop| shop.add_variant(id, VariantDraft::new(&["L"], "SHIRT-L", decimal("23.99"))))
        .unwrap();
    let (state, why) = bench.sync(Object::Product, id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().contains("Taille"));
    assert_eq!(of_template(), 2);
}

#[tokio::test]
async fn a_product_that_is_gone_is_made_again_and_orders_go_on() {
    let bench = Bench::new(Version::V18).await;
    let (id, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    let gone = bench.link(LinkKind::Product, id).await.unwrap().erp_id.0;
    bench.in_the_erp("product.template", "unlink", serde_json::json!([[gone]]));
    let (order_id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    let (state, why) = bench.sync(Object::Order, order_id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_ne!(bench.link(LinkKind::Product, id).await.unwrap().erp_id.0, gone);
    bench.booked(&name);
}

#[tokio::test]
async fn an_attribute_that_is_remembered_and_gone_is_made_again() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (first, _) = shirt(&bench);
        assert_eq!(bench.sync(Object::Product, first).await.0, JobState::Completed);
        let template = bench.link(LinkKind::Product, first).await.unwrap().erp_id.0;
        bench.in_the_erp("product.template", "unlink", serde_json::json!([[template]]));
        let size = serde_json::json!([[["name", "=", "Size"]]]);
        let size = bench
            .erp
            .as_admin("product.attribute", "search", size, serde_json::json!({}));
        bench.in_the_erp("product.attribute", "unlink", serde_json::json!([size.unwrap()]));
        assert_eq!(bench.erp.ledger().count("product.attribute"), 0);
        let (second, variants) = shirt(&bench);
        let (state, why) = bench.sync(Object::Product, second).await;
        assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        assert_eq!(bench.erp.ledger().count("product.attribute"), 1, "{version:?}");
        for variant in variants {
            assert!(bench.link(LinkKind::Variant, variant).await.is_some());
        }
    }
}

#[tokio::test]
async fn a_product_and_a_partner_that_were_archived_are_still_booked() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (id, variants) = shirt(&bench);
        let customer = ada(&bench);
        assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
        assert_eq!(
            bench.sync(Object::Customer, customer).await.0,
            JobState::Completed
        );
        let (order_id, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
        // The one-off item is archived before its order is booked, and so is the partner.
        bench
            .shop
            .change(|shop| shop.edit_product(id, |product| product.status = ProductStatus::Archived))
            .unwrap();
        assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
        let template = bench.link(LinkKind::Product, id).await.unwrap().erp_id.0;
        let record = bench.erp.ledger().record("product.template", template).unwrap();
        assert_eq!(record["active"], false);
        let partner = bench.link(LinkKind::Customer, customer).await.unwrap().erp_id.0;
        bench.in_the_erp(
            "res.partner",
            "write",
            serde_json::json!([[partner], { "active": false }]),
        );
        let (state, why) = bench.sync(Object::Order, order_id).await;
        assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        assert_eq!(bench.booked(&name).partner_id, partner);
    }
}
