//! Section 3: values as they are read and written.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{OdooError, Version};

#[tokio::test]
async fn empty_values_read_as_false_by_type() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let partner = erp.create("res.partner", json!({"name": "Ada"})).await;
        let fields = json!([
            "email",
            "country_id",
            "customer_rank",
            "category_id",
            "child_ids",
            "comment",
            "is_company"
        ]);
        let read = erp.ok("res.partner", "read", json!([[partner], fields])).await;
        assert_eq!(
            read[0],
            json!({"id": partner, "email": false, "country_id": false, "customer_rank": 0, "category_id": [],
                "child_ids": [], "comment": false, "is_company": false})
        );
        let order = erp.create("sale.order", json!({"partner_id": partner})).await;
        let read = erp
            .fields(
                "sale.order",
                order,
                json!(["amount_total", "commitment_date", "client_order_ref"]),
            )
            .await;
        assert_eq!(
            read,
            json!({"id": order, "amount_total": 0.0, "commitment_date": false, "client_order_ref": false})
        );
    }
}

#[tokio::test]
async fn written_values_read_back_as_observed() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let partner = erp
            .create("res.partner", json!({"name": "Ada", "ref": "R"}))
            .await;
        let us = erp.by("res.country", "code", json!("US")).await;
        assert_eq!(us, 233);
        for (field, sent, read) in [
            ("ref", json!(null), json!(false)),
            ("ref", json!(""), json!("")),
            ("ref", json!(12), json!("12")),
            ("name", json!(""), json!("")),
            ("name", json!("Ada"), json!("Ada")),
            ("country_id", json!(us), json!([us, "United States"])),
            (
                "country_id",
                json!([us, "United States"]),
                json!([us, "United States"]),
            ),
            ("country_id", json!(0), json!(false)),
            ("customer_rank", json!("3"), json!(3)),
            ("comment", json!("a<script>x</script>"), json!("<p>a</p>")),
            ("is_company", json!(1), json!(true)),
            ("lang", json!("de_DE"), json!("de_DE")),
        ] {
            erp.ok("res.partner", "write", json!([[partner], {field: sent}]))
                .await;
            let got = erp.ok("res.partner", "read", json!([[partner], [field]])).await;
            assert_eq!(got[0][field], read, "{version:?} {field} = {sent}");
        }
        erp.ok("res.partner", "write", json!([[partner], {"ref": ""}]))
            .await;
        let found = erp
            .ok(
                "res.partner",
                "search",
                json!([[["ref", "=", false], ["id", "=", partner]]]),
            )
            .await;
        assert_eq!(found, json!([partner]), "an empty text matches false");
        let image = erp
            .err(
                "res.partner",
                "write",
                json!([[partner], {"image_1920": "bm90IGFuIGltYWdl"}]),
            )
            .await;
        assert_eq!(image, "odoo.exceptions.UserError");
        let bare = erp.fields("res.partner", partner, json!(["country_id"])).await;
        assert_eq!(bare["country_id"], json!(false));
    }
}

#[tokio::test]
async fn eighteen_rounds_prices_and_both_round_discounts_and_quantities() {
    for (version, price, list) in [(Version::V18, 0.33, 19.99), (Version::V19, 0.333, 19.989)] {
        let erp = Erp::of(version).await;
        let product = erp.product("Mug", 19.989).await;
        let list_price = erp
            .fields("product.product", product, json!(["list_price"]))
            .await;
        assert_eq!(list_price["list_price"], json!(list));
        let line = json!({"product_id": product, "price_unit": 0.333, "discount": 33.33333, "product_uom_qty": 1.005});
        let order = erp
            .create(
                "sale.order",
                json!({"partner_id": 1, "order_line": [[0, 0, line]]}),
            )
            .await;
        let line = &erp.sandbox.ledger().orders()[0].lines[0];
        assert_eq!(order, erp.sandbox.ledger().orders()[0].id);
        assert_eq!(line.price_unit.to_string(), price.to_string());
        assert_eq!(line.discount.to_string(), "33.33");
        assert_eq!(line.quantity.to_string(), "1.01");
    }
    // The same order of the notes: 44.12 on 18, 44.13 on 19 is covered by the observed orders.
}

#[tokio::test]
async fn commands_write_relations_to_many() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let tag = async |name: &str| {
            let made = erp.sandbox.as_admin(
                "res.partner.category",
                "create",
                json!([{"name": name}]),
                json!({}),
            );
            made.unwrap().as_i64().unwrap()
        };
        let (a, b) = (tag("A").await, tag("B").await);
        let partner = erp
            .create(
                "res.partner",
                json!({"name": "Ada", "category_id": [[6, 0, [a]]]}),
            )
            .await;
        for (commands, expected) in [
            (json!([[4, b]]), vec![a, b]),
            (json!([[3, a]]), vec![b]),
            (json!([[5]]), vec![]),
            (json!([[6, 0, [a, b]]]), vec![a, b]),
            (json!([a]), vec![a]),
            (json!(false), vec![]),
        ] {
            erp.ok(
                "res.partner",
                "write",
                json!([[partner], {"category_id": commands}]),
            )
            .await;
            let read = erp.fields("res.partner", partner, json!(["category_id"])).await;
            assert_eq!(read["category_id"], json!(expected), "{commands}");
        }
        let child = json!([[0, 0, {"type": "delivery", "name": "Dock", "street": "S"}]]);
        erp.ok("res.partner", "write", json!([[partner], {"child_ids": child}]))
            .await;
        let children = erp.fields("res.partner", partner, json!(["child_ids"])).await["child_ids"].clone();
        erp.ok(
            "res.partner",
            "write",
            json!([[partner], {"child_ids": [[1, children[0], {"city": "C"}]]}]),
        )
        .await;
        assert_eq!(
            erp.fields("res.partner", children[0].as_i64().unwrap(), json!(["city"]))
                .await["city"],
            json!("C")
        );
        erp.ok(
            "res.partner",
            "write",
            json!([[partner], {"child_ids": [[2, children[0]]]}]),
        )
        .await;
        assert_eq!(
            erp.fields("res.partner", partner, json!(["child_ids"])).await["child_ids"],
            json!([])
        );
    }
}

#[tokio::test]
async fn all_columns_at_once_are_refused_by_19() {
    let erp = Erp::of(Version::V18).await;
    let all = erp.ok("res.partner", "read", json!([[1]])).await;
    assert!(all[0].as_object().unwrap().len() > 40);
    let erp = Erp::of(Version::V19).await;
    assert_eq!(
        erp.err("res.partner", "search_read", json!([[]])).await,
        "odoo.exceptions.AccessError"
    );
}

/// Domain, expected names.
#[tokio::test]
async fn domains_select_as_observed() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let de = erp.by("res.country", "code", json!("DE")).await;
        for (name, email, active) in [
            ("d1", "A@x.com", true),
            ("d2", "b_c@x.com", true),
            ("d3", "", false),
        ] {
            let vals = json!({"name": name, "email": email, "active": active, "country_id": if name == "d1" { json!(de) } else { json!(false) }});
            erp.create("res.partner", vals).await;
        }
        for (domain, expected) in [
            (json!([["email", "=", "A@x.com"]]), "d1"),
            (json!([["email", "=", "a@x.com"]]), ""),
            (json!([["email_normalized", "=", "a@x.com"]]), "d1"),
            (json!([["email", "=ilike", "b_c@x.com"]]), "d2"),
            (json!([["email", "=ilike", "b%"]]), "d2"),
            (json!([["country_id.code", "=", "DE"]]), "d1"),
            (json!([["country_id", "=", de]]), "d1"),
            (json!([["country_id", "=", "Germany"]]), "d1"),
            (json!(["|", ["name", "=", "d1"], ["name", "=", "d2"]]), "d1 d2"),
            (json!(["!", ["name", "=", "d1"], ["name", "=like", "d_"]]), "d2"),
            (
                json!(["&", ["name", "in", ["d1", "d2"]], ["name", "!=", "d2"]]),
                "d1",
            ),
            (json!([["name", "in", ["d1", "d2", "d3"]]]), "d1 d2"),
            (
                json!([
                    ["name", "in", ["d1", "d2", "d3"]],
                    ["active", "in", [true, false]]
                ]),
                "d1 d2 d3",
            ),
            (
                json!([["name", "=like", "d_"], ["email", "not in", ["A@x.com"]]]),
                "d2",
            ),
            (json!([["name", "=like", "d_"], ["country_id", "=", false]]), "d2"),
            (
                json!([["name", "=like", "d_"], ["id", ">", 0], ["id", "<=", 999_999]]),
                "d1 d2",
            ),
            (json!([[1, "=", 0]]), ""),
        ] {
            let rows = erp
                .call(
                    "res.partner",
                    "search_read",
                    json!([domain, ["name"]]),
                    json!({"order": "name"}),
                )
                .await;
            let rows = rows.unwrap_or_else(|error| panic!("{domain}: {error:?}"));
            let names: Vec<&str> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["name"].as_str().unwrap())
                .collect();
            assert_eq!(names.join(" "), expected, "{version:?} {domain}");
        }
        let all = json!({"context": {"active_test": false}, "order": "name desc", "limit": 2, "offset": 1});
        let rows = erp
            .call(
                "res.partner",
                "search_read",
                json!([[["name", "=like", "d_"]], ["name"]]),
                all,
            )
            .await
            .unwrap();
        assert_eq!((&rows[0]["name"], &rows[1]["name"]), (&json!("d2"), &json!("d1")));
        let many: Vec<i64> = (1..=5000).collect();
        let count = erp
            .ok("res.partner", "search_count", json!([[["id", "in", many]]]))
            .await;
        let unlimited = erp
            .call("res.partner", "search", json!([[]]), json!({"limit": 0}))
            .await
            .unwrap();
        assert_eq!(count, json!(unlimited.as_array().unwrap().len()));
    }
}

#[tokio::test]
async fn fields_get_tells_what_a_version_has() {
    for (version, present, absent) in [
        (Version::V18, ["mobile", "title"], "nothing"),
        (Version::V19, ["phone", "email"], "mobile"),
    ] {
        let erp = Erp::of(version).await;
        let fields = erp
            .call(
                "res.partner",
                "fields_get",
                json!([]),
                json!({"attributes": ["type", "required", "relation"]}),
            )
            .await
            .unwrap();
        assert!(present.iter().all(|name| fields.get(name).is_some()));
        assert!(fields.get(absent).is_none());
        assert_eq!(
            fields["country_id"],
            json!({"type": "many2one", "required": false, "relation": "res.country"})
        );
        let write = erp
            .call("res.partner", "write", json!([[1], {"mobile": "1"}]), json!({}))
            .await;
        assert_eq!(write.is_ok(), version == Version::V18);
        let lines = erp
            .ok("sale.order.line", "fields_get", json!([[erp.taxes()]]))
            .await;
        assert_eq!(lines.as_object().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_administrator_can_do_what_a_person_would() {
    let erp = Erp::of(Version::V18).await;
    let uuid = erp
        .sandbox
        .as_admin("ir.config_parameter", "search_count", json!([[]]), json!({}))
        .unwrap();
    assert_eq!(uuid, json!(1));
    let refused: Result<Json, OdooError> =
        erp.sandbox
            .as_admin("res.partner", "write", json!([[1], {"nope": 1}]), json!({}));
    assert_eq!(refused.unwrap_err().name, "builtins.ValueError");
    assert_eq!(
        erp.sandbox.ledger().total_calls(),
        0,
        "what a person does is not counted"
    );
}
