use rust_decimal::Decimal;

use super::super::{client, product, start};
use super::{amount, calls, clear, flag, lose_answer, refusals, text, variant};
use crate::domain::{Fields, ShopifyId};
use crate::shopify::ShopifyError;

#[tokio::test]
async fn every_field_of_a_variant_arrives() {
    let sandbox = start().await;
    let (id, variants) = product(&sandbox, 2);
    let shop = client(&sandbox);
    let fields: Fields = vec![
        amount("price", "12.50"),
        amount("compare_at_price", "15"),
        text("barcode", "4006381333931"),
        text("sku", "NEW"),
        amount("weight_kg", "0.255"),
        amount("cost", "4.2"),
        flag("taxable", false),
        flag("tracked", false),
        flag("requires_shipping", false),
    ];
    let refused = shop
        .update_variants(id, &[(ShopifyId(variants[0]), fields)])
        .await
        .unwrap();
    assert_eq!(refused, []);
    let now = shop.product(id, "").await.unwrap().unwrap();
    let one = &now.variants[0];
    let d = |text: &str| text.parse::<Decimal>().unwrap();
    assert_eq!(one.price, d("12.5"));
    assert_eq!(one.compare_at_price, Some(d("15")));
    assert_eq!(one.barcode.as_deref(), Some("4006381333931"));
    assert_eq!(one.sku.as_deref(), Some("NEW"));
    assert_eq!(one.weight_kg, Some(d("0.255")));
    assert_eq!(one.cost, Some(d("4.2")));
    assert_eq!(
        (one.taxable, one.tracked, one.requires_shipping),
        (false, false, false)
    );
    assert_eq!(now.variants[1].price, d("20.00"), "the other one stays");
    let emptied = vec![
        clear("compare_at_price"),
        clear("barcode"),
        clear("sku"),
        clear("cost"),
    ];
    shop.update_variants(id, &[(ShopifyId(variants[0]), emptied)])
        .await
        .unwrap();
    let now = shop.product(id, "").await.unwrap().unwrap();
    let one = &now.variants[0];
    assert_eq!(
        (&one.compare_at_price, &one.barcode, &one.sku, &one.cost),
        (&None, &None, &None, &None)
    );
    assert_eq!(one.price, d("12.5"));
}

#[tokio::test]
async fn refused_variants_are_named_and_the_others_written() {
    let sandbox = start().await;
    let (id, variants) = product(&sandbox, 300);
    let shop = client(&sandbox);
    let mut changes: Vec<(ShopifyId, Fields)> = variants
        .iter()
        .map(|v| (ShopifyId(*v), vec![amount("price", "7")]))
        .collect();
    // Three decimals never leave us, so that positions in the call are not those in the list.
    changes[3].1 = vec![amount("price", "1.999")];
    changes[10].1 = vec![amount("price", "-1")];
    changes[270].0 = ShopifyId(1);
    let refused = shop.update_variants(id, &changes).await.unwrap();
    let told: Vec<(Option<usize>, Option<&str>, Option<&str>)> = refused
        .iter()
        .map(|r| (r.index, r.field.as_deref(), r.code.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(3), Some("price"), None),
            (Some(10), Some("price"), Some("GREATER_THAN_OR_EQUAL_TO")),
            (Some(270), None, Some("PRODUCT_VARIANT_DOES_NOT_EXIST")),
        ]
    );
    assert_eq!(calls(&sandbox, "LockstepVariantsUpdate"), 2);
    let written = sandbox.read(|shop| {
        let all = &shop.product(id.0).unwrap().variants;
        all.iter().filter(|v| v.price == Decimal::from(7)).count()
    });
    assert_eq!(written, 297);

    let error = shop
        .update_variants(ShopifyId(1), &changes[..1])
        .await
        .unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn new_variants_come_once_and_known_ones_stay() {
    let sandbox = start().await;
    let (id, variants) = product(&sandbox, 2);
    let shop = client(&sandbox);
    let wanted = [
        variant("S1", vec![amount("price", "5")]),
        variant("XL", vec![amount("price", "6"), text("sku", "TEE-XL")]),
    ];
    lose_answer(&sandbox, "LockstepVariantsCreate");
    let error = shop.create_variants(id, &wanted).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    let made = shop.create_variants(id, &wanted).await.unwrap();
    assert_eq!(calls(&sandbox, "LockstepVariantsCreate"), 1);
    assert_eq!(made[0].id, ShopifyId(variants[1]), "known by its option values");
    assert_eq!(
        (made[0].price, made[1].price),
        (Decimal::from(5), Decimal::from(6))
    );
    assert_eq!(made[1].sku.as_deref(), Some("TEE-XL"));
    sandbox.read(|shop| {
        let all = &shop.product(id.0).unwrap().variants;
        let ids: Vec<u64> = all.iter().map(|v| v.id).collect();
        assert_eq!(ids, [variants[0], variants[1], made[1].id.0]);
    });

    let mut unfit = variant("XXL", Vec::new());
    unfit.options = vec![("Colour".to_owned(), "red".to_owned())];
    let error = shop.create_variants(id, &[unfit]).await.unwrap_err();
    assert_eq!(refusals(&error)[0].0, Some(0));
}

#[tokio::test]
async fn more_variants_than_shopify_takes_are_refused_before_anything_is_sent() {
    let sandbox = start().await;
    let (id, _) = product(&sandbox, 1);
    let wanted: Vec<_> = (0..2048).map(|n| variant(&format!("X{n}"), Vec::new())).collect();
    let error = client(&sandbox).create_variants(id, &wanted).await.unwrap_err();
    assert!(matches!(&error, ShopifyError::NotWritable { field, .. } if field == "variants"));
    assert_eq!(calls(&sandbox, "LockstepVariantsCreate"), 0);
}
