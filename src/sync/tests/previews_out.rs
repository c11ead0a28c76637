//! Dry runs of the way back: what is shown is what the flow then does, and nothing is written.

use serde_json::json;

use super::bench::*;
use super::out::{completed, prices, theirs, write};
use super::*;
use crate::domain::{ErpId, Link, LinkKind};
use crate::sync::{LimitState, SUDDEN_CHANGE};

async fn preview(bench: &Bench, object: Object, id: i64) -> Preview {
    let shop: ShopName = "main".parse().unwrap();
    bench.engine.preview_out(&shop, object, ErpId(id)).await.unwrap()
}

/// What is shown, as `action model field now then`.
fn shown(preview: &Preview) -> Vec<String> {
    let line = |write: &PreviewedWrite| -> Vec<String> {
        let fields = write.fields.iter().map(|field| {
            let now = field.now.as_deref().unwrap_or("-");
            format!(
                "{} {} {} {now} -> {}",
                write.action, write.model, field.field, field.then
            )
        });
        fields.collect()
    };
    preview.writes.iter().flat_map(line).collect()
}

/// All that a preview might have changed.
async fn state(bench: &Bench, links: &[(LinkKind, u64)]) -> (String, Vec<Option<Link>>, u64, LimitState) {
    let shop: ShopName = "main".parse().unwrap();
    let ledger = bench.shop.ledger();
    let mut known = Vec::new();
    for (kind, id) in links {
        known.push(bench.link(*kind, *id).await);
    }
    let long_ago = Timestamp::from_millis(0);
    let noted = bench
        .store
        .out_writes_since(&shop, Object::Product, "write", "", long_ago)
        .await
        .unwrap();
    let limits = LimitState::read(&*bench.store, &shop, Object::Product)
        .await
        .unwrap();
    let records = format!(
        "{:?} {:?} {:?}",
        ledger.products, ledger.customers, ledger.adjustments
    );
    (records, known, noted, limits)
}

#[tokio::test]
async fn what_changed_is_shown_and_then_done() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::both_ways(version, &[]).await;
        let (product, variants) = shirt(&bench);
        completed(bench.sync(Object::Product, product).await);
        let template = theirs(&bench, LinkKind::Product, product).await;
        let quiet = preview(&bench, Object::Product, template).await;
        assert!(quiet.writes.is_empty(), "{:?}", shown(&quiet));
        assert!(quiet.verdict.ends_with("up to date"), "{}", quiet.verdict);

        let values = json!({ "name": "Shirt, washed", "list_price": 25.5 });
        write(&bench, "product.template", template, values);
        let links = [(LinkKind::Product, product), (LinkKind::Variant, variants[0])];
        let before = state(&bench, &links).await;
        let seen = preview(&bench, Object::Product, template).await;
        assert_eq!(
            shown(&seen),
            [
                "update product title Shirt -> Shirt, washed",
                "update variant price 19.99 -> 25.5",
                "update variant price 21.99 -> 25.5",
            ]
        );
        assert_eq!(seen.writes[0].fields[0].source, "product.name");
        assert_eq!(seen.record_name.as_deref(), Some("Shirt, washed"));
        assert!(seen.problem.is_none());
        assert_eq!(state(&bench, &links).await, before, "{version:?}");

        completed(bench.send(Object::Product, template).await);
        assert_eq!(prices(&bench, product), [decimal("25.5"), decimal("25.5")]);
        let quiet = preview(&bench, Object::Product, template).await;
        assert!(quiet.writes.is_empty(), "{:?}", shown(&quiet));
    }
}

#[tokio::test]
async fn new_and_adopted_records_are_shown_whole() {
    let adopt = [("product.out.toml", "adopt = \"propose\"", "adopt = \"exact\"")];
    let bench = Bench::both_ways(Version::V18, &adopt).await;
    let values = json!({ "name": "Hat", "list_price": 30, "type": "consu", "is_storable": true, "default_code": "HAT", "sale_ok": true });
    let variant = bench.made_in_the_erp("product.product", values);
    let read = bench.in_the_erp("product.product", "read", json!([[variant], ["product_tmpl_id"]]));
    let template = read[0]["product_tmpl_id"][0].as_i64().unwrap();
    let before = state(&bench, &[]).await;
    let new = preview(&bench, Object::Product, template).await;
    assert_eq!(new.verdict, "a product would be created on the shop");
    for line in [
        "create product title - -> Hat",
        "create product status - -> DRAFT",
        "create variant price - -> 30",
        "create variant sku - -> HAT",
    ] {
        assert!(
            shown(&new).contains(&line.to_owned()),
            "{line}: {:?}",
            shown(&new)
        );
    }
    assert_eq!(state(&bench, &[]).await, before);

    let product = bench.shop.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Hat of the shop".into(),
            variants: vec![VariantDraft::new(&[], "HAT", decimal("31"))],
            ..ProductDraft::default()
        })
    });
    let found = preview(&bench, Object::Product, template).await;
    assert_eq!(found.writes[0].action, "adopt");
    assert_eq!(found.writes[0].record, product.to_string());
    assert!(bench.link(LinkKind::Product, product).await.is_none());

    let values = json!({ "name": "Grace Hopper", "email": "grace@example.com", "customer_rank": 1 });
    let partner = bench.made_in_the_erp("res.partner", values);
    let new = preview(&bench, Object::Customer, partner).await;
    assert!(shown(&new).contains(&"create customer first_name - -> Grace".to_owned()));
    assert!(bench.shop.ledger().customers.is_empty());
    let values = json!({ "name": "Mill", "email": "m@example.com" });
    let supplier = bench.made_in_the_erp("res.partner", values);
    let left = preview(&bench, Object::Customer, supplier).await;
    assert!(
        left.verdict.starts_with("would be left alone"),
        "{}",
        left.verdict
    );
}

#[tokio::test]
async fn what_would_be_held_or_asked_is_shown_with_its_problem() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    write(
        &bench,
        "product.template",
        template,
        json!({ "list_price": 199.9 }),
    );
    let links = [(LinkKind::Product, product)];
    let before = state(&bench, &links).await;
    let held = preview(&bench, Object::Product, template).await;
    assert_eq!(held.problem.as_ref().unwrap().code.0, SUDDEN_CHANGE);
    assert_eq!(shown(&held)[0], "update variant price 19.99 -> 199.9");
    assert_eq!(state(&bench, &links).await, before);
    assert_eq!(
        before.3,
        LimitState::Open,
        "and the limit is not closed by looking"
    );

    let hold = [
        ("product.in.toml", "truth = \"shopify\"", "truth = \"hold\""),
        ("product.out.toml", "truth = \"shopify\"", "truth = \"hold\""),
    ];
    let bench = Bench::both_ways(Version::V18, &hold).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    write(&bench, "product.template", template, json!({ "name": "E" }));
    let edited = bench
        .shop
        .change(|shop| shop.edit_product(product, |product| product.title = "S".into()));
    edited.unwrap();
    let asked = preview(&bench, Object::Product, template).await;
    let problem = asked.problem.as_ref().unwrap();
    assert_eq!(problem.code.0, crate::sync::CHANGED_ON_BOTH_SIDES);
    assert_eq!(problem.detail["shopify"], "S");
    assert!(asked.writes.is_empty());
    // The other way round it is asked, too.
    let shop: ShopName = "main".parse().unwrap();
    let asked = bench
        .engine
        .preview(&shop, Object::Product, ShopifyId(product))
        .await
        .unwrap();
    assert_eq!(asked.problem.unwrap().code.0, crate::sync::CHANGED_ON_BOTH_SIDES);
}

#[tokio::test]
async fn stock_is_shown_by_level() {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::adjusted(options, |shop| {
        shop.out.insert(Object::Inventory);
    })
    .await;
    let (product, variants) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let variant = theirs(&bench, LinkKind::Variant, variants[0]).await;
    bench.erp.set_stock(variant, None, 12).unwrap();
    let before = state(&bench, &[]).await;
    let seen = preview(&bench, Object::Inventory, variant).await;
    // The other variant of its product is shown beside it: the two are one piece of work.
    let lines = shown(&seen);
    let counts: Vec<&str> = lines
        .iter()
        .filter(|line| line.starts_with("update inventory level on_hand "))
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(counts, ["12", "0"], "{lines:?} {}", seen.verdict);
    assert_eq!(state(&bench, &[]).await, before);
}
