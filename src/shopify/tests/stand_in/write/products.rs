use rust_decimal::Decimal;

use super::super::{client, start};
use super::{amount, calls, lose_answer, refusals, text, variant};
use crate::domain::{Disposition, LinkKind, NewProduct, ShopifyId};
use crate::sandbox::shopify::draft::{ProductDraft, VariantDraft};
use crate::sandbox::shopify::faults::ApiFault;
use crate::shopify::ShopifyError;

/// A product with this many sizes.
fn new(sizes: usize) -> NewProduct {
    let names: Vec<String> = (0..sizes).map(|n| format!("S{n}")).collect();
    NewProduct {
        erp_ref: "product_5".to_owned(),
        fields: vec![
            text("title", "Tee"),
            text("status", "DRAFT"),
            text("handle", "tee-5"),
        ],
        variants: names
            .iter()
            .enumerate()
            .map(|(n, name)| variant(name, vec![amount("price", &format!("{n}.5")), text("sku", name)]))
            .collect(),
        options: vec![("Size".to_owned(), names)],
    }
}

#[tokio::test]
async fn a_large_product_takes_one_call_for_250_variants() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let product = shop.create_product(&new(2000)).await.unwrap();
    assert_eq!(product.variants.len(), 2000);
    assert_eq!(product.options[0].values.len(), 2000);
    assert_eq!(product.status, "DRAFT");
    for (n, variant) in product.variants.iter().enumerate() {
        assert_eq!(variant.sku, Some(format!("S{n}")));
        assert_eq!(variant.price, format!("{n}.5").parse::<Decimal>().unwrap());
        assert_eq!(variant.options[0].value, format!("S{n}"));
    }
    assert_eq!(calls(&sandbox, "LockstepProductSet"), 1);
    assert_eq!(calls(&sandbox, "LockstepVariantsCreate"), 7);
    let before = sandbox.ledger().calls.graphql;
    let mut other = new(1);
    other.erp_ref = "product_6".to_owned();
    other.fields = vec![text("title", "Cap")];
    other.variants[0].erp_ref = "variant_other".to_owned();
    shop.create_product(&other).await.unwrap();
    assert_eq!(
        sandbox.ledger().calls.graphql - before,
        1,
        "a small product is one call"
    );
    let whole = shop.product(product.id, "").await.unwrap().unwrap();
    assert_eq!(whole.variants, product.variants);
}

#[tokio::test]
async fn a_product_is_made_once_wherever_an_answer_is_lost() {
    for (operation, fault) in [
        ("LockstepRefDefine", ApiFault::CutAfter),
        ("LockstepProductSet", ApiFault::CutBefore),
        ("LockstepProductSet", ApiFault::CutAfter),
        ("LockstepProductSet", ApiFault::InternalError),
        ("LockstepVariantsCreate", ApiFault::CutBefore),
        ("LockstepVariantsCreate", ApiFault::CutAfter),
    ] {
        let sandbox = start().await;
        sandbox.inject(fault.clone(), Some(operation), 1);
        let error = client(&sandbox).create_product(&new(300)).await.unwrap_err();
        assert!(error.outcome_unknown(), "{operation} {fault:?}: {error}");
        let made = sandbox.ledger().products.first().map(|p| p.id);
        if let Some(id) = made {
            // Somebody adds a variant meanwhile; it stays.
            let draft = VariantDraft::new(&["Own"], "OWN", Decimal::ONE);
            sandbox.change(|shop| shop.add_variant(id, draft)).unwrap();
        }
        let shop = client(&sandbox);
        let product = shop.create_product(&new(300)).await.unwrap();
        let ledger = sandbox.ledger();
        assert_eq!(ledger.products.len(), 1, "{operation} {fault:?}");
        assert_eq!(
            product.variants.len(),
            300 + usize::from(made.is_some()),
            "{operation} {fault:?}"
        );
        assert_eq!(shop.product_of_ref("product_5").await.unwrap(), Some(product.id));
    }
}

#[tokio::test]
async fn what_is_found_gets_the_fields_that_are_wanted_now() {
    let sandbox = start().await;
    lose_answer(&sandbox, "LockstepProductSet");
    let shop = client(&sandbox);
    shop.create_product(&new(2)).await.unwrap_err();
    let mut changed = new(2);
    changed.fields[0] = text("title", "Shirt");
    changed.variants[1].fields[0] = amount("price", "99");
    let product = shop.create_product(&changed).await.unwrap();
    assert_eq!(product.title, "Shirt");
    assert_eq!(product.variants[1].price, Decimal::from(99));
    assert_eq!(sandbox.ledger().products.len(), 1);
}

#[tokio::test]
async fn a_product_without_options_has_one_variant() {
    let sandbox = start().await;
    let mut plain = new(1);
    plain.options.clear();
    plain.variants[0].options.clear();
    let shop = client(&sandbox);
    let product = shop.create_product(&plain).await.unwrap();
    assert_eq!(product.options, []);
    assert_eq!(product.variants.len(), 1);
    assert_eq!(product.variants[0].options, []);
    // Again, as after a crash.
    let again = shop.create_product(&plain).await.unwrap();
    assert_eq!((again.id, again.variants.len()), (product.id, 1));
}

#[tokio::test]
async fn what_shopify_does_not_take_is_refused_and_nothing_is_made() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let mut negative = new(3);
    negative.variants[2].fields[0] = amount("price", "-1");
    let error = shop.create_product(&negative).await.unwrap_err();
    let expected = (
        Some(2),
        Some("price".to_owned()),
        Some("INVALID_VARIANT".to_owned()),
    );
    assert_eq!(refusals(&error), [expected]);

    let mut odd = new(1);
    odd.variants[0].fields[0] = amount("price", "1.999");
    let mut blank = new(1);
    blank.fields[0] = text("title", "  ");
    let mut options = new(1);
    options.options = vec![("A".to_owned(), vec!["a".to_owned()]); 4];
    for (new, field) in [
        (odd, "variants[0].price"),
        (blank, "title"),
        (options, "options"),
        (new(2049), "variants"),
    ] {
        let error = shop.create_product(&new).await.unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
        assert_eq!(error.disposition(), Disposition::Permanent);
    }
    assert_eq!(sandbox.ledger().products, []);
}

#[tokio::test]
async fn a_change_keeps_variants_and_tags() {
    let sandbox = start().await;
    let id = sandbox.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Tee".to_owned(),
            tags: vec!["summer".to_owned()],
            options: vec!["Size".to_owned()],
            variants: vec![
                VariantDraft::new(&["S"], "TEE-S", Decimal::ONE),
                VariantDraft::new(&["M"], "TEE-M", Decimal::ONE),
            ],
            ..ProductDraft::default()
        })
    });
    let shop = client(&sandbox);
    let fields = vec![
        text("title", "Shirt"),
        super::clear("product_type"),
        text("vendor", "Acme"),
    ];
    shop.update_product(ShopifyId(id), &fields).await.unwrap();
    let product = shop.product(ShopifyId(id), "").await.unwrap().unwrap();
    assert_eq!(product.title, "Shirt");
    assert_eq!(product.vendor.as_deref(), Some("Acme"));
    assert_eq!(
        (product.variants.len(), product.tags),
        (2, vec!["summer".to_owned()])
    );

    let error = shop
        .update_product(ShopifyId(id), &vec![text("handle", "new")])
        .await
        .unwrap_err();
    assert!(matches!(error, ShopifyError::NotWritable { ref field, .. } if field == "handle"));
    let long = vec![text("title", &"x".repeat(256))];
    let error = shop.update_product(ShopifyId(id), &long).await.unwrap_err();
    assert_eq!(error.field(), Some("title"));
    let error = shop
        .update_product(ShopifyId(1), &vec![text("title", "x")])
        .await
        .unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn a_mark_belongs_to_one_record_only() {
    let sandbox = start().await;
    let ids: Vec<u64> = (0..2)
        .map(|_| {
            sandbox.change(|shop| {
                shop.create_product(ProductDraft {
                    title: "Tee".to_owned(),
                    variants: vec![VariantDraft::new(&[], "TEE", Decimal::ONE)],
                    ..ProductDraft::default()
                })
            })
        })
        .collect();
    let shop = client(&sandbox);
    let note = |id: u64| shop.note_erp_ref(LinkKind::Product, ShopifyId(id), "product_9");
    note(ids[0]).await.unwrap();
    // The same once more is the same.
    note(ids[0]).await.unwrap();
    assert_eq!(
        shop.product_of_ref("product_9").await.unwrap(),
        Some(ShopifyId(ids[0]))
    );
    let error = note(ids[1]).await.unwrap_err();
    assert!(
        matches!(&error, ShopifyError::Rejected { code: Some(code), .. } if code == "CAPABILITY_VIOLATION")
    );
    // Kinds that carry no mark.
    shop.note_erp_ref(LinkKind::Order, ShopifyId(1), "x")
        .await
        .unwrap();
    let variant = sandbox.read(|shop| shop.product(ids[0]).unwrap().variants[0].id);
    shop.note_erp_ref(LinkKind::Variant, ShopifyId(variant), "variant_1")
        .await
        .unwrap();
    assert_eq!(
        calls(&sandbox, "LockstepRefDefine"),
        2,
        "once for each kind, whatever it is used for"
    );
}
