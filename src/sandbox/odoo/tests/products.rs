//! Section 4, `product.template` and `product.product`.

use serde_json::json;

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Options, ServiceSeed, Version};

/// A template with sizes S and M in red and blue: template, lines, values.
async fn shirt(erp: &Erp) -> (i64, Vec<i64>) {
    let mut lines = Vec::new();
    let mut values = Vec::new();
    for (name, options) in [("Size", ["S", "M"]), ("Colour", ["Red", "Blue"])] {
        let attribute = erp
            .create(
                "product.attribute",
                json!({"name": name, "create_variant": "always", "value_ids": options.map(|name| json!([0, 0, {"name": name}]))}),
            )
            .await;
        let ids = erp
            .fields("product.attribute", attribute, json!(["value_ids"]))
            .await["value_ids"]
            .clone();
        lines.push(json!([0, 0, {"attribute_id": attribute, "value_ids": [[6, 0, ids]]}]));
        values.extend(ids.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()));
    }
    let template = json!({"name": "Shirt", "list_price": 20, "attribute_line_ids": lines});
    (erp.create("product.template", template).await, values)
}

#[tokio::test]
async fn options_generate_variants_that_are_told_apart_by_their_values() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (template, values) = shirt(&erp).await;
        let products = erp.sandbox.ledger().products();
        let own: Vec<_> = products
            .iter()
            .filter(|product| product.template_id == template)
            .collect();
        let options: Vec<String> = own
            .iter()
            .map(|p| {
                p.options
                    .iter()
                    .map(|(_, value)| value.as_str())
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect();
        assert_eq!(options, ["S/Red", "S/Blue", "M/Red", "M/Blue"]);
        // The way of the notes: product_template_attribute_value_ids -> product_attribute_value_id.
        let variant = erp
            .fields(
                "product.product",
                own[3].id,
                json!(["product_template_attribute_value_ids", "display_name"]),
            )
            .await;
        assert_eq!(variant["display_name"], json!("Shirt (M, Blue)"));
        let offered = erp
            .ok(
                "product.template.attribute.value",
                "read",
                json!([
                    variant["product_template_attribute_value_ids"],
                    ["product_attribute_value_id"]
                ]),
            )
            .await;
        assert_eq!(offered[0]["product_attribute_value_id"][0], json!(values[1]));
        assert_eq!(offered[1]["product_attribute_value_id"][0], json!(values[3]));
        erp.ok(
            "product.product",
            "write",
            json!([[own[0].id], {"default_code": "S-R", "barcode": "111", "weight": 0.5}]),
        )
        .await;
        let variant = erp
            .fields("product.product", own[0].id, json!(["display_name", "weight"]))
            .await;
        assert_eq!(
            (&variant["display_name"], &variant["weight"]),
            (&json!("[S-R] Shirt (S, Red)"), &json!(0.5))
        );
        // SKUs repeat, barcodes do not.
        erp.ok(
            "product.product",
            "write",
            json!([[own[1].id], {"default_code": "S-R"}]),
        )
        .await;
        let taken = erp
            .err(
                "product.product",
                "write",
                json!([[own[1].id], {"barcode": "111"}]),
            )
            .await;
        assert_eq!(taken, "odoo.exceptions.ValidationError");
    }
}

#[tokio::test]
async fn removing_a_value_deletes_unused_variants_and_archives_sold_ones() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (template, values) = shirt(&erp).await;
        let own = || {
            let products = erp.sandbox.ledger().products();
            products
                .into_iter()
                .filter(|product| product.template_id == template)
                .collect::<Vec<_>>()
        };
        let before = own();
        let sold = json!({"partner_id": 1, "order_line": [[0, 0, {"product_id": before[3].id}]]});
        erp.create("sale.order", sold).await;
        let lines = erp
            .fields("product.template", template, json!(["attribute_line_ids"]))
            .await["attribute_line_ids"]
            .clone();
        let keep = async |wanted: Vec<i64>| {
            let change = json!([[1, lines[1], {"value_ids": [[6, 0, wanted]]}]]);
            erp.ok(
                "product.template",
                "write",
                json!([[template], {"attribute_line_ids": change}]),
            )
            .await;
        };
        // Blue goes: S/Blue was never sold, M/Blue was.
        keep(vec![values[2]]).await;
        let after = own();
        assert_eq!(
            after.iter().map(|p| (p.id, p.active)).collect::<Vec<_>>(),
            [(before[0].id, true), (before[2].id, true), (before[3].id, false)]
        );
        // Blue comes back: a new S/Blue with an empty SKU, the old M/Blue again.
        keep(vec![values[2], values[3]]).await;
        let again = own();
        assert_eq!(again.len(), 4);
        assert!(again.iter().all(|product| product.active));
        assert!(again.iter().any(|product| product.id == before[3].id));
        assert!(again.iter().all(|product| product.id != before[1].id));
    }
}

#[tokio::test]
async fn one_new_option_with_one_value_keeps_the_variants() {
    let erp = Erp::of(Version::V18).await;
    let template = erp
        .create("product.template", json!({"name": "Mug", "default_code": "MUG"}))
        .await;
    let variant = erp
        .fields("product.template", template, json!(["product_variant_id"]))
        .await["product_variant_id"]
        .clone();
    let attribute = erp
        .create(
            "product.attribute",
            json!({"name": "Material", "value_ids": [[0, 0, {"name": "Clay"}]]}),
        )
        .await;
    let values = erp
        .fields("product.attribute", attribute, json!(["value_ids"]))
        .await["value_ids"]
        .clone();
    let line = json!([[0, 0, {"attribute_id": attribute, "value_ids": [[6, 0, values]]}]]);
    erp.ok(
        "product.template",
        "write",
        json!([[template], {"attribute_line_ids": line}]),
    )
    .await;
    let after = erp
        .fields(
            "product.template",
            template,
            json!(["product_variant_ids", "default_code"]),
        )
        .await;
    assert_eq!(
        (&after["product_variant_ids"], &after["default_code"]),
        (&json!([variant]), &json!("MUG"))
    );
}

#[tokio::test]
async fn a_variants_list_price_is_everybodys_and_extras_are_its_own() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (template, _) = shirt(&erp).await;
        let variants = erp
            .fields("product.template", template, json!(["product_variant_ids"]))
            .await["product_variant_ids"]
            .clone();
        let prices = async || {
            let rows = erp
                .ok("product.product", "read", json!([variants, ["lst_price"]]))
                .await;
            rows.as_array()
                .unwrap()
                .iter()
                .map(|row| row["lst_price"].as_f64().unwrap())
                .collect::<Vec<_>>()
        };
        erp.ok(
            "product.product",
            "write",
            json!([[variants[0]], {"lst_price": 25}]),
        )
        .await;
        assert_eq!(prices().await, [25.0; 4]);
        let offered = erp
            .fields(
                "product.product",
                variants[3].as_i64().unwrap(),
                json!(["product_template_attribute_value_ids"]),
            )
            .await;
        let blue = offered["product_template_attribute_value_ids"][1].clone();
        erp.ok(
            "product.template.attribute.value",
            "write",
            json!([[blue], {"price_extra": 2.5}]),
        )
        .await;
        assert_eq!(prices().await, [25.0, 27.5, 25.0, 27.5]);
    }
}

#[tokio::test]
async fn types_categories_and_default_taxes_differ_by_version() {
    for (version, field, wrong) in [
        (
            Version::V17,
            "detailed_type",
            json!({"type": "combo", "is_storable": true}),
        ),
        (Version::V18, "type", json!({"detailed_type": "product"})),
        (Version::V19, "type", json!({"type": "product"})),
    ] {
        let erp = Erp::of(version).await;
        let fields = erp
            .ok(
                "product.template",
                "fields_get",
                json!([[field, "categ_id", "uom_po_id"]]),
            )
            .await;
        assert_eq!(fields["categ_id"]["required"], json!(version != Version::V19));
        assert_eq!(fields.get("uom_po_id").is_some(), version != Version::V19);
        let template = erp.create("product.template", json!({"name": "Thing"})).await;
        let read = erp
            .fields(
                "product.template",
                template,
                json!([field, "categ_id", "taxes_id"]),
            )
            .await;
        assert_eq!(read[field], json!("consu"));
        assert_eq!(read["categ_id"] == json!(false), version == Version::V19);
        let default = erp.tax(15.0, false).await;
        assert_eq!(read["taxes_id"], json!([default]));
        let mut vals = wrong;
        vals["name"] = json!("Wrong");
        assert_eq!(
            erp.err("product.template", "create", json!([vals])).await,
            "builtins.ValueError",
            "{version:?}"
        );
        // A variant made alone brings its template.
        let variant = erp
            .create(
                "product.product",
                json!({"name": "Alone", "default_code": "A1", "list_price": 3}),
            )
            .await;
        let read = erp
            .fields(
                "product.product",
                variant,
                json!(["name", "default_code", "list_price", "lst_price"]),
            )
            .await;
        assert_eq!(
            read,
            json!({"id": variant, "name": "Alone", "default_code": "A1", "list_price": 3.0, "lst_price": 3.0})
        );
    }
}

#[tokio::test]
async fn services_exist_only_when_asked_for() {
    assert!(Erp::of(Version::V18).await.sandbox.ledger().products().is_empty());
    let shipping = ServiceSeed {
        name: "Shipping".to_owned(),
        code: "SHIP".to_owned(),
        external_id: Some("shop.shipping".to_owned()),
    };
    let erp = Erp::start(Options {
        services: vec![shipping],
        ..Options::default()
    })
    .await;
    let products = erp.sandbox.ledger().products();
    assert_eq!((products.len(), products[0].kind.as_str()), (1, "service"));
    assert_eq!(erp.resolve("shop", "shipping").await, json!(products[0].id));
}
