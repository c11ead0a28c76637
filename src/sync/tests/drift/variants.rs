//! Variants: one that was archived by itself in the ERP, one that was deleted on the shop.

use super::*;

/// A product in step, with what stands for it in the ERP: its template, and the variants of both sides.
async fn in_step(both: &Damaged) -> (u64, i64, Vec<(u64, i64)>) {
    let (product, variants) = shirt(&both.bench);
    let (state, why) = both.bench.sync(Object::Product, product).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    both.later();
    let template = both.bench.link(LinkKind::Product, product).await.unwrap();
    let mut pairs = Vec::new();
    for variant in variants {
        let link = both.bench.link(LinkKind::Variant, variant).await.unwrap();
        pairs.push((variant, link.erp_id.0));
    }
    (product, template.erp_id.0, pairs)
}

fn archive(both: &Damaged, model: &str, id: i64, is_active: bool) {
    both.write(model, id, json!({ "active": is_active }));
}

/// What is noted of a variant's link.
async fn stood(both: &Damaged, variant: u64) -> Option<bool> {
    let link = both.bench.link(LinkKind::Variant, variant).await.unwrap();
    crate::sync::stood(&link)
}

/// The link as an earlier version wrote it.
async fn forget(both: &Damaged, variant: u64) {
    let mut link = both.bench.link(LinkKind::Variant, variant).await.unwrap();
    link.agreed.as_object_mut().unwrap().remove("active").unwrap();
    both.bench.relink(link).await;
}

const AWAY: Told<'static> = (
    DriftClass::Archived,
    Some("active"),
    Some("true"),
    Some("false"),
    DriftFate::LeftAlone,
);

#[tokio::test]
async fn a_variant_that_was_archived_by_itself_is_told_until_it_stands_again() {
    let both = Damaged::new(false).await;
    let (product, _, variants) = in_step(&both).await;
    let (ours, theirs) = variants[1];
    assert_eq!(stood(&both, ours).await, Some(true));
    archive(&both, "product.product", theirs, false);
    for turn in [1, 2] {
        let rows = both.is_quiet(Object::Product).await;
        assert_eq!(told(&rows), [AWAY], "run {turn}");
        let row = &rows[0];
        assert_eq!(row.why.as_deref(), Some("put_away_in_the_erp"));
        let variant = format!("product.product {theirs}");
        assert_eq!(row.model.as_deref(), Some(&*variant));
    }
    // Nothing that comes of the shop's product agrees on it.
    let title = |product: &mut crate::sandbox::shopify::facts::Product| product.title = "Cup".into();
    both.bench
        .shop
        .change(|shop| shop.edit_product(product, title))
        .unwrap();
    assert_eq!(
        both.bench.sync(Object::Product, product).await.0,
        JobState::Completed
    );
    assert_eq!(told(&both.is_quiet(Object::Product).await), [AWAY]);
    archive(&both, "product.product", theirs, true);
    assert_eq!(both.is_quiet(Object::Product).await, []);
}

#[tokio::test]
async fn variants_that_were_archived_with_their_product_are_told_by_it() {
    let both = Damaged::new(false).await;
    let (product, template, variants) = in_step(&both).await;
    archive(&both, "product.template", template, false);
    let rows = both.is_quiet(Object::Product).await;
    assert_eq!(told(&rows), [AWAY]);
    let of_product = format!("product.template {template}");
    assert_eq!(rows[0].model.as_deref(), Some(&*of_product));
    archive(&both, "product.template", template, true);
    assert_eq!(both.is_quiet(Object::Product).await, []);
    // What the shop archives is carried over with all variants, and each of them still stands by itself.
    let away = |product: &mut crate::sandbox::shopify::facts::Product| {
        product.status = crate::sandbox::shopify::facts::ProductStatus::Archived;
    };
    both.bench
        .shop
        .change(|shop| shop.edit_product(product, away))
        .unwrap();
    both.repaired(Object::Product).await;
    assert_eq!(both.is_quiet(Object::Product).await, []);
    assert_eq!(stood(&both, variants[0].0).await, Some(true));
}

#[tokio::test]
async fn a_link_that_never_noted_whether_its_variant_stands_counts_as_in_step_once() {
    let both = Damaged::new(false).await;
    let (_, _, variants) = in_step(&both).await;
    for (ours, _) in &variants {
        forget(&both, *ours).await;
    }
    // One was archived before anybody noted that: it is no flood of findings.
    archive(&both, "product.product", variants[1].1, false);
    let (report, rows) = both.run(Object::Product).await;
    assert_eq!((report.looked.compared, rows), (1, Vec::new()));
    both.bench.drain().await;
    assert_eq!(stood(&both, variants[0].0).await, Some(true));
    assert_eq!(stood(&both, variants[1].0).await, Some(false));
    let (report, rows) = both.run(Object::Product).await;
    assert_eq!((report.looked.compared, rows), (0, Vec::new()), "noted once");
    // From now on it is told of one, and of the other where it stood again meanwhile.
    archive(&both, "product.product", variants[1].1, true);
    both.repaired(Object::Product).await;
    assert_eq!(stood(&both, variants[1].0).await, Some(true));
    for (_, theirs) in &variants {
        archive(&both, "product.product", *theirs, false);
    }
    assert_eq!(told(&both.is_quiet(Object::Product).await), [AWAY, AWAY]);
}

#[tokio::test]
async fn a_variant_that_was_deleted_on_the_shop_is_told_once_and_counted_from_then_on() {
    let both = Damaged::new(false).await;
    let (product, _, variants) = in_step(&both).await;
    let (ours, theirs) = variants[1];
    both.bench.shop.change(|shop| shop.delete_variant(ours)).unwrap();
    let variant = ours.to_string();
    let rows = both.repaired(Object::Product).await;
    let gone = (
        DriftClass::Deleted,
        Some("variants"),
        None,
        Some(&*variant),
        DriftFate::LeftAlone,
    );
    assert_eq!(told(&rows), [gone]);
    assert_eq!(rows[0].why.as_deref(), Some("variant_deleted_on_shopify"));
    assert_eq!(rows[0].source_id, Some(ShopifyId(product)));
    let (report, rows) = both.run(Object::Product).await;
    assert_eq!(rows, []);
    assert_eq!(report.of_fate(DriftFate::LeftAlone), 1);
    let record = both.bench.erp.ledger().record("product.product", theirs).unwrap();
    assert_eq!(record["active"], true, "nothing is taken away");
    // Where the whole product is gone, that is what is told.
    both.later();
    both.bench
        .shop
        .change(|shop| shop.delete_product(product))
        .unwrap();
    let (_, rows) = both.run(Object::Product).await;
    assert_eq!(
        told(&rows),
        [(DriftClass::Deleted, None, None, None, DriftFate::NeedsPerson)]
    );
}

#[tokio::test]
async fn a_sample_finds_a_price_and_a_number_that_were_changed_in_the_erp() {
    let both = Damaged::new(false).await;
    let (product, template, variants) = in_step(&both).await;
    let (_, theirs) = variants[0];
    let sample = FullRun {
        sample: Some(10),
        ..FullRun::of(Object::Product, "test")
    };
    let (report, rows) = both.run_as(sample).await;
    assert_eq!((report.looked.compared, rows), (1, Vec::new()));
    both.write("product.template", template, json!({ "list_price": 1 }));
    both.write("product.product", theirs, json!({ "default_code": "OTHER" }));
    let (_, rows) = both.run_as(sample).await;
    let of_shirt = rows
        .iter()
        .filter(|row| row.source_id == Some(crate::domain::ShopifyId(product)));
    let fields: BTreeSet<&str> = of_shirt.filter_map(|row| row.field.as_deref()).collect();
    for expected in ["list_price", "default_code"] {
        assert!(
            fields.iter().any(|field| field.ends_with(expected)),
            "{expected}: {rows:?}"
        );
    }
}
