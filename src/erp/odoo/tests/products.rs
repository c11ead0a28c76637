//! Products against the stand-in: options, variants, and nothing twice.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::given::{VERSIONS, amount, fields, id, start, text};
use crate::domain::{ErpId, FieldValue, ShopifyId};
use crate::erp::{Erp as _, ErpError, ProductSave, VariantSave};
use crate::sandbox::odoo::{Options, Version};

fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

fn variant(number: u64, chosen: &[(&str, &str)], sku: &str) -> VariantSave {
    VariantSave {
        id: ShopifyId(number),
        existing: None,
        options: options(chosen),
        fields: fields(&[("default_code", text(sku)), ("weight", amount("0.25"))]),
    }
}

fn hat(sizes: &[&str]) -> ProductSave {
    let with_options = !sizes.is_empty();
    ProductSave {
        external_id: id("product_1"),
        existing: None,
        fields: fields(&[
            ("name", text("Hat")),
            ("list_price", amount("19.9")),
            ("type", text("consu")),
            ("is_storable", FieldValue::Bool(true)),
        ]),
        options: if with_options {
            vec![
                (
                    "Size".to_owned(),
                    sizes.iter().map(|size| (*size).to_owned()).collect(),
                ),
                ("Material".to_owned(), vec!["Wool".to_owned()]),
            ]
        } else {
            Vec::new()
        },
        variants: if with_options {
            sizes
                .iter()
                .zip(100..)
                .map(|(size, number)| {
                    variant(
                        number,
                        &[("Size", size), ("Material", "Wool")],
                        &format!("HAT-{size}"),
                    )
                })
                .collect()
        } else {
            vec![variant(100, &[], "HAT")]
        },
    }
}

#[tokio::test]
async fn products_get_their_options_and_variants_once() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let (server, odoo) = start(Options::version(version)).await;
        let saved = odoo.save_product(&hat(&["S", "M"])).await.unwrap();
        assert_eq!(saved.variants.len(), 2);
        let skus = || -> Vec<Option<String>> {
            let products = server.ledger().products();
            let mut ours: Vec<_> = products
                .iter()
                .filter(|product| product.template_id == saved.template.0)
                .collect();
            ours.sort_by_key(|product| product.id);
            ours.iter().map(|product| product.sku.clone()).collect()
        };
        assert_eq!(
            skus(),
            [Some("HAT-S".to_owned()), Some("HAT-M".to_owned())],
            "{version:?}"
        );

        // The same again changes nothing, not even the time of the last change.
        let written = server
            .ledger()
            .record("product.template", saved.template.0)
            .unwrap()["write_date"]
            .clone();
        let loads = server.ledger().calls_of("product.product", "load");
        let again = ProductSave {
            existing: Some(saved.template),
            ..hat(&["S", "M"])
        };
        assert_eq!(odoo.save_product(&again).await.unwrap(), saved);
        assert_eq!(
            server
                .ledger()
                .record("product.template", saved.template.0)
                .unwrap()["write_date"],
            written
        );
        assert_eq!(
            server.ledger().calls_of("product.product", "load"),
            loads,
            "{version:?}"
        );
        assert_eq!(server.ledger().calls_of("product.template", "write"), 0);

        // One more size, and a new SKU: the old variants stay who they are.
        let mut wider = ProductSave {
            existing: Some(saved.template),
            ..hat(&["S", "M", "L"])
        };
        wider.variants[0].fields = fields(&[
            ("default_code", text("HAT-S2")),
            ("barcode", text("4006381333931")),
        ]);
        let again = odoo.save_product(&wider).await.unwrap();
        assert_eq!(again.variants[..2], saved.variants[..]);
        assert_eq!(
            skus(),
            ["HAT-S2", "HAT-M", "HAT-L"].map(|sku| Some(sku.to_owned())),
            "{version:?}"
        );
        let read = odoo.variants(saved.template).await.unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read[0].barcode.as_deref(), Some("4006381333931"));
        let mut chosen = read[0].options.clone();
        chosen.sort();
        assert_eq!(
            chosen,
            options(&[("Material", "Wool"), ("Size", "S")]),
            "{version:?}"
        );
        assert_eq!(server.ledger().count("product.attribute"), 2, "{version:?}");
        assert_eq!(server.ledger().count("product.attribute.value"), 4);
    }
}

#[tokio::test]
async fn a_product_without_options_has_one_variant() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let saved = odoo.save_product(&hat(&[])).await.unwrap();
        let read = odoo.variants(saved.template).await.unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].id, read[0].sku.as_deref()),
            (saved.variants[0].1, Some("HAT"))
        );
        // A linked product need not carry our name, and is written all the same.
        let adopted = server
            .as_admin(
                "product.template",
                "create",
                json!([{"name": "Old hat"}]),
                json!({}),
            )
            .unwrap();
        let linked = ProductSave {
            existing: adopted.as_i64().map(ErpId),
            ..hat(&[])
        };
        assert_eq!(
            Some(odoo.save_product(&linked).await.unwrap().template),
            linked.existing
        );
        let products = server.ledger().products();
        let adopted = products
            .iter()
            .find(|product| Some(ErpId(product.template_id)) == linked.existing)
            .unwrap();
        assert_eq!(
            (adopted.name.as_str(), adopted.sku.as_deref()),
            ("Hat", Some("HAT")),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn eight_workers_make_one_product() {
    for version in VERSIONS {
        let (server, odoo) = start(Options {
            races: true,
            latency: Duration::from_millis(2),
            ..Options::version(version)
        })
        .await;
        let product = hat(&["S", "M"]);
        let saved = join_all((0..8).map(|_| async {
            loop {
                match odoo.save_product(&product).await {
                    Ok(saved) => return saved,
                    Err(ErpError::Busy { .. }) => {}
                    Err(error) => panic!("{version:?}: {error}"),
                }
            }
        }))
        .await;
        assert!(saved.iter().all(|other| *other == saved[0]), "{version:?}");
        let ours = server
            .ledger()
            .products()
            .iter()
            .filter(|product| product.name == "Hat")
            .count();
        assert_eq!(ours, 2, "{version:?}");
        assert_eq!(server.ledger().count("product.attribute"), 2, "{version:?}");
    }
}

#[tokio::test]
async fn a_variants_price_is_never_written() {
    let (_server, odoo) = start(Options::default()).await;
    let mut product = hat(&["S"]);
    product.variants[0].fields = fields(&[("lst_price", amount("5"))]);
    let error = odoo.save_product(&product).await.unwrap_err();
    assert!(matches!(error, ErpError::Setup { .. }), "{error}");
    assert_eq!(
        odoo.identify(&id("product_1")).await.unwrap(),
        None,
        "nothing was made"
    );
}
