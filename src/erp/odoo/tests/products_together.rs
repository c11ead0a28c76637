//! Products that an import has under way at the same time share their calls; a live one makes its few calls alone and at once.

use futures_util::future::join_all;
use serde_json::json;

use super::given::{VERSIONS, amount, fields, id, start, start_narrow, text};
use crate::domain::{ErpId, FieldValue, ShopifyId};
use crate::erp::{Erp as _, ErpError, ProductSave, VariantSave};
use crate::sandbox::odoo::{OdooSandbox, Options};
use crate::telemetry::calls;

const SIZES: [&str; 2] = ["S", "M"];

fn sku(product: u64, size: &str) -> String {
    format!("SHIRT-{product}-{size}")
}

/// A product in two sizes.
fn shirt(number: u64) -> ProductSave {
    let variant = |(size, place): (&str, u64)| VariantSave {
        id: ShopifyId(10 * number + place),
        existing: None,
        options: vec![("Size".to_owned(), size.to_owned())],
        fields: fields(&[("default_code", text(&sku(number, size)))]),
    };
    ProductSave {
        external_id: id(&format!("product_{number}")),
        existing: None,
        fields: fields(&[
            ("name", text(&format!("Shirt {number}"))),
            ("list_price", amount("19.9")),
        ]),
        options: vec![("Size".to_owned(), SIZES.map(str::to_owned).to_vec())],
        variants: SIZES.into_iter().zip(1..).map(variant).collect(),
    }
}

fn skus(server: &OdooSandbox, template: ErpId) -> Vec<String> {
    let products = server.ledger().products().into_iter();
    let mut skus: Vec<String> = products
        .filter(|product| product.template_id == template.0)
        .filter_map(|product| product.sku)
        .collect();
    skus.sort();
    skus
}

/// What was called since the last time that this was asked, in order.
fn called(server: &OdooSandbox) -> Vec<String> {
    let log = server.ledger().call_log();
    server.ledger().reset_calls();
    log
}

#[tokio::test]
async fn ten_products_under_way_at_a_time_share_their_calls() {
    for version in VERSIONS {
        let (server, odoo) = start_narrow(Options::version(version)).await;
        // Learns the fields of the models, and makes the attribute.
        odoo.save_product(&shirt(0)).await.unwrap();
        let products: Vec<ProductSave> = (1..11).map(shirt).collect();
        called(&server);
        let all = products
            .iter()
            .map(|product| calls::giving_way(true, odoo.save_product(product)));
        for (product, saved) in (1..).zip(join_all(all).await) {
            let saved = saved.unwrap();
            let own = ["M", "S"].map(|size| sku(product, size));
            assert_eq!(skus(&server, saved.template), own, "{version:?}");
            assert_eq!(saved.variants.len(), 2);
        }
        let called = called(&server);
        assert!(called.len() <= 6, "{version:?}: {called:?} for ten products");
        assert_eq!(server.ledger().count("product.attribute"), 1, "{version:?}");
    }
}

#[tokio::test]
async fn options_that_many_products_have_are_made_once() {
    for version in VERSIONS {
        let (server, odoo) = start_narrow(Options::version(version)).await;
        let products: Vec<ProductSave> = (1..11).map(shirt).collect();
        called(&server);
        let all = products
            .iter()
            .map(|product| calls::giving_way(true, odoo.save_product(product)));
        for saved in join_all(all).await {
            assert_eq!(saved.unwrap().variants.len(), 2, "{version:?}");
        }
        let called = called(&server);
        for model in ["product.attribute/load", "product.attribute.value/load"] {
            let loads = called.iter().filter(|call| *call == model).count();
            assert_eq!(loads, 1, "{version:?} {model}: {called:?}");
        }
    }
}

#[tokio::test]
async fn a_product_that_is_refused_fails_alone() {
    for version in VERSIONS {
        let (server, odoo) = start_narrow(Options::version(version)).await;
        let barcode = |text: &str| ("barcode".to_owned(), super::given::text(text));
        let mut taken = shirt(0);
        taken.variants[0].fields.push(barcode("4006381333931"));
        odoo.save_product(&taken).await.unwrap();
        let category = server
            .as_admin("product.category", "search", json!([[]]), json!({"limit": 1}))
            .unwrap()[0]
            .as_i64()
            .unwrap();
        let products: Vec<ProductSave> = (1..11)
            .map(|number| {
                let mut product = shirt(number);
                // The category of one is gone, and the bar code of another one is taken.
                let category = ErpId(if number == 4 { 999_999 } else { category });
                let barcode = match number {
                    7 => barcode("4006381333931"),
                    other => barcode(&format!("code-{other}")),
                };
                let field = ("categ_id".to_owned(), FieldValue::Record(category));
                product.fields.push(field);
                product.variants[0].fields.push(barcode);
                product
            })
            .collect();
        let all = products
            .iter()
            .map(|product| calls::giving_way(true, odoo.save_product(product)));
        for (number, saved) in (1..).zip(join_all(all).await) {
            match saved {
                Ok(saved) => {
                    assert!(number != 4 && number != 7, "{version:?}");
                    assert_eq!(skus(&server, saved.template).len(), 2, "{version:?} {number}");
                }
                Err(ErpError::Rejected { model, .. }) => {
                    let refused = match number {
                        4 => "product.template",
                        7 => "product.product",
                        other => panic!("{version:?}: {other} was refused, too"),
                    };
                    assert_eq!(model, refused, "{version:?}");
                }
                Err(error) => panic!("{version:?} {number}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_live_product_takes_four_calls_and_goes_with_nobodys_reads() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        odoo.save_product(&shirt(0)).await.unwrap();
        called(&server);
        let saved = odoo.save_product(&shirt(1)).await.unwrap();
        let alone = called(&server);
        let count = |called: &[String], name: &str| called.iter().filter(|call| *call == name).count();
        assert_eq!(alone.len(), 4, "{version:?}: {alone:?}");
        let (variants, values) = (
            "product.product/search_read",
            "product.template.attribute.value/search_read",
        );
        assert_eq!(
            (count(&alone, variants), count(&alone, values)),
            (1, 1),
            "{alone:?}"
        );

        let products: Vec<ProductSave> = (2..5).map(shirt).collect();
        for saved in join_all(products.iter().map(|product| odoo.save_product(product))).await {
            saved.unwrap();
        }
        let three = called(&server);
        assert_eq!(
            (count(&three, variants), count(&three, values)),
            (3, 3),
            "{three:?}"
        );

        // Of linked variants it is known what they stand for.
        let mut linked = shirt(1);
        linked.existing = Some(saved.template);
        for (variant, (_, id)) in linked.variants.iter_mut().zip(&saved.variants) {
            variant.existing = Some(*id);
        }
        linked.variants[0].fields = fields(&[("default_code", text("NEW"))]);
        called(&server);
        odoo.save_product(&linked).await.unwrap();
        let again = called(&server);
        assert_eq!(count(&again, values), 0, "{version:?}: {again:?}");
        assert_eq!(skus(&server, saved.template), ["NEW".to_owned(), sku(1, "M")]);
    }
}
