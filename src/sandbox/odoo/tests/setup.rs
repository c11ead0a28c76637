//! What an administrator sets up, and what an ordinary user may only look at.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{CustomField, Options, TaxSeed, Version};

const ACCESS_ERROR: &str = "odoo.exceptions.AccessError";

impl Erp {
    async fn run_by_an_admin(version: Version) -> Self {
        Self::start(Options {
            is_admin: true,
            ..Options::version(version)
        })
        .await
    }

    async fn field(&self, model: &str, name: &str, kind: &str) -> Json {
        let model = self.by("ir.model", "model", json!(model)).await;
        json!([{"model_id": model, "name": name, "field_description": "From the shop", "ttype": kind,
            "state": "manual"}])
    }
}

#[tokio::test]
async fn an_administrator_adds_fields_and_nobody_else_does() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let erp = Erp::of(version).await;
        let vals = erp.field("sale.order", "x_shopify_id", "char").await;
        assert_eq!(erp.err("ir.model.fields", "create", vals).await, ACCESS_ERROR);

        let erp = Erp::run_by_an_admin(version).await;
        let order = erp.order(&[]).await;
        let early = erp
            .err("sale.order", "write", json!([[order], {"x_shopify_id": "1"}]))
            .await;
        assert!(early.starts_with("builtins."));
        for (name, kind) in [("x_shopify_id", "char"), ("x_shopify_paid", "float")] {
            let vals = erp.field("sale.order", name, kind).await;
            erp.ok("ir.model.fields", "create", vals.clone()).await;
            assert_eq!(
                erp.err("ir.model.fields", "create", vals).await,
                "odoo.exceptions.ValidationError",
                "once only"
            );
        }
        let got = erp
            .ok(
                "sale.order",
                "fields_get",
                json!([["x_shopify_id"], ["type", "string"]]),
            )
            .await;
        assert_eq!(
            got,
            json!({"x_shopify_id": {"type": "char", "string": "From the shop"}})
        );
        let gid = "gid://shopify/Order/1";
        erp.ok(
            "sale.order",
            "write",
            json!([[order], {"x_shopify_id": gid, "x_shopify_paid": 12.5}]),
        )
        .await;
        let found = json!([[["x_shopify_id", "=", gid]]]);
        assert_eq!(erp.ok("sale.order", "search", found).await, json!([order]));
        let custom = erp.view(order).custom;
        assert_eq!(
            (&custom["x_shopify_id"], &custom["x_shopify_paid"]),
            (&json!(gid), &json!(12.5))
        );
        // Searchable, but not unique.
        erp.create("sale.order", json!({"partner_id": 1, "x_shopify_id": gid}))
            .await;
        let loaded = erp
            .ok(
                "sale.order",
                "load",
                json!([["id", "partner_id/.id", "x_shopify_id"], [["a.b", "1", "g"]]]),
            )
            .await;
        assert_eq!(loaded["messages"], json!([]));
        // Another database does not have it.
        let other = Erp::of(version).await;
        let none = other
            .ok("sale.order", "fields_get", json!([["x_shopify_id"]]))
            .await;
        assert_eq!(none, json!({}));
    }
}

#[tokio::test]
async fn a_custom_field_has_a_custom_name() {
    let erp = Erp::run_by_an_admin(Version::V18).await;
    for (name, kind) in [
        ("shopify_id", "char"),
        ("x_Shopify", "char"),
        ("x_shop", "many2one"),
    ] {
        let vals = erp.field("sale.order", name, kind).await;
        let refused = erp.err("ir.model.fields", "create", vals).await;
        assert!(
            refused.starts_with("odoo.exceptions."),
            "{name} {kind}: {refused}"
        );
        let none = erp.ok("sale.order", "fields_get", json!([[name]])).await;
        assert_eq!(none, json!({}));
    }
    // A removed one is gone.
    let vals = erp.field("sale.order", "x_gone", "char").await;
    let id = erp.ok("ir.model.fields", "create", vals).await;
    erp.ok("ir.model.fields", "unlink", json!([[id]])).await;
    assert_eq!(
        erp.ok("sale.order", "fields_get", json!([["x_gone"]])).await,
        json!({})
    );
}

#[tokio::test]
async fn custom_fields_exist_from_the_start_or_come_by_a_persons_hand() {
    for version in VERSIONS {
        let erp = Erp::start(Options {
            custom_fields: vec![CustomField::new("sale.order", "x_shopify_id", "char")],
            ..Options::version(version)
        })
        .await;
        let tags = CustomField::new("sale.order", "x_shopify_tags", "char");
        let id = CustomField::new("sale.order", "x_shopify_id", "char");
        erp.sandbox.set_custom_fields(&[id, tags]).unwrap();
        let order = erp
            .create(
                "sale.order",
                json!({"partner_id": 1, "x_shopify_id": "1", "x_shopify_tags": "a, b"}),
            )
            .await;
        let custom = erp.view(order).custom;
        assert_eq!(
            serde_json::to_value(custom).unwrap(),
            json!({"x_shopify_id": "1", "x_shopify_tags": "a, b"})
        );
        assert_eq!(erp.sandbox.ledger().count("ir.model.fields"), 2);
    }
}

#[tokio::test]
async fn money_is_activated_by_an_administrator_and_price_lists_by_anybody() {
    for version in VERSIONS {
        for is_admin in [false, true] {
            let erp = Erp::start(Options {
                is_admin,
                ..Options::version(version)
            })
            .await;
            let krone = erp.by("res.currency", "name", json!("DKK")).await;
            let activated = erp
                .call(
                    "res.currency",
                    "write",
                    json!([[krone], {"active": true}]),
                    json!({}),
                )
                .await;
            if is_admin {
                activated.unwrap();
            } else {
                assert_eq!(activated.unwrap_err().0, ACCESS_ERROR);
                assert_eq!(
                    erp.err(
                        "res.company",
                        "write",
                        json!([[1], {"fiscalyear_lock_date": false}])
                    )
                    .await,
                    ACCESS_ERROR
                );
                assert_eq!(
                    erp.err(
                        "account.journal",
                        "create",
                        json!([{"name": "X", "code": "X", "type": "bank"}])
                    )
                    .await,
                    ACCESS_ERROR
                );
            }
            let list = erp
                .create(
                    "product.pricelist",
                    json!({"name": "Krones", "currency_id": krone}),
                )
                .await;
            let order = erp
                .create("sale.order", json!({"partner_id": 1, "pricelist_id": list}))
                .await;
            assert_eq!(erp.view(order).currency, "DKK");
            let kind =
                json!({"name": "Shipping", "default_code": "SHIP", "type": "service", "list_price": 0});
            let shipping = erp.create("product.product", kind).await;
            let order = erp
                .sold(&[json!({"product_id": shipping, "price_unit": 5})])
                .await;
            assert!(erp.view(order).pickings.is_empty());
        }
    }
}

#[tokio::test]
async fn taxes_have_the_name_country_and_group_they_were_given() {
    for version in VERSIONS {
        let french = TaxSeed {
            name: Some("TVA 20 %".to_owned()),
            country: Some("FR".to_owned()),
            group: Some("TVA".to_owned()),
            ..TaxSeed::new(20.into(), false)
        };
        let erp = Erp::start(Options {
            taxes: vec![
                TaxSeed::new(20.into(), false),
                french,
                TaxSeed::new(10.into(), false),
            ],
            ..Options::version(version)
        })
        .await;
        let tax = erp.by("account.tax", "name", json!("TVA 20 %")).await;
        let read = erp
            .ok(
                "account.tax",
                "read",
                json!([[tax], ["country_id", "tax_group_id"]]),
            )
            .await;
        assert_eq!(
            (&read[0]["country_id"][1], &read[0]["tax_group_id"][1]),
            (&json!("France"), &json!("TVA"))
        );
        // The summary has a part for each group.
        let (mug, ten) = (erp.product("Mug", 10.0).await, erp.tax(10.0, false).await);
        let order = erp
            .sold(&[
                json!({"product_id": mug, "price_unit": 100, erp.taxes(): [[6, 0, [tax]]]}),
                json!({"product_id": mug, "price_unit": 50, erp.taxes(): [[6, 0, [ten]]]}),
            ])
            .await;
        let invoice = erp.posted_invoice(order).await;
        for (model, id) in [("sale.order", order), ("account.move", invoice)] {
            let read = erp.fields(model, id, json!(["tax_totals"])).await;
            let groups = read["tax_totals"]["subtotals"][0]["tax_groups"]
                .as_array()
                .unwrap()
                .clone();
            let seen: Vec<(&Json, &Json)> = groups
                .iter()
                .map(|group| (&group["base_amount_currency"], &group["tax_amount_currency"]))
                .collect();
            assert_eq!(
                seen,
                [(&json!(100.0), &json!(20.0)), (&json!(50.0), &json!(5.0))],
                "{model}"
            );
        }
    }
}

#[tokio::test]
async fn carriers_and_warehouses_are_what_the_options_say() {
    for version in VERSIONS {
        let erp = Erp::start(Options {
            carriers: vec!["DHL".to_owned(), "UPS".to_owned()],
            warehouses: vec![("Munich".to_owned(), "MUC".to_owned())],
            ..Options::version(version)
        })
        .await;
        let names = |rows: Json| -> Vec<String> {
            let rows = rows.as_array().unwrap().clone();
            rows.iter()
                .map(|row| row["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let carriers = erp
            .ok("delivery.carrier", "search_read", json!([[], ["name"]]))
            .await;
        assert_eq!(names(carriers), ["DHL", "UPS"]);
        let warehouses = erp
            .ok("stock.warehouse", "search_read", json!([[], ["name"]]))
            .await;
        assert_eq!(names(warehouses), ["My Company", "Munich"]);
        // Orders leave from the first one unless they say otherwise.
        let munich = erp.by("stock.warehouse", "code", json!("MUC")).await;
        let (mug, order) = (erp.product("Mug", 10.0).await, erp.order(&[]).await);
        let vals = json!({"warehouse_id": munich, "order_line": [[0, 0, {"product_id": mug}]]});
        erp.ok("sale.order", "write", json!([[order], vals])).await;
        erp.confirm(order).await;
        assert_eq!(erp.view(order).pickings[0].name, "MUC/OUT/00001");
    }
}
