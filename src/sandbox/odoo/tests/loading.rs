//! Sections 6 and 8: `load` and external ids.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Denied, Options};

impl Erp {
    async fn load(&self, model: &str, fields: Json, rows: Json) -> Json {
        self.ok(model, "load", json!([fields, rows])).await
    }

    /// A load that must store something: its ids.
    async fn loads(&self, model: &str, fields: Json, rows: Json) -> Vec<i64> {
        let reply = self.load(model, fields, rows).await;
        assert_eq!(reply["messages"], json!([]), "{reply}");
        assert_eq!(reply["nextrow"], json!(0));
        reply["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect()
    }

    /// A load that must be refused: the first message.
    async fn refuses(&self, model: &str, fields: Json, rows: Json) -> String {
        let before = self.sandbox.ledger().count(model);
        let reply = self.load(model, fields, rows).await;
        assert_eq!(reply["ids"], json!(false), "{reply}");
        assert_eq!(self.sandbox.ledger().count(model), before, "nothing is stored");
        let error = reply["messages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|message| message["type"] == json!("error"));
        error.unwrap()["message"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_same_external_id_is_the_same_record() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let fields = json!(["id", "name", "country_id/id", "email"]);
        let first = erp
            .loads(
                "res.partner",
                fields.clone(),
                json!([["shopify.customer_1", "Ada", "base.us", "a@x.com"]]),
            )
            .await;
        let again = erp
            .loads(
                "res.partner",
                fields,
                json!([["shopify.customer_1", "Ada B", "", ""]]),
            )
            .await;
        assert_eq!(first, again);
        let read = erp
            .fields(
                "res.partner",
                first[0],
                json!(["name", "country_id", "email", "email_normalized"]),
            )
            .await;
        assert_eq!(
            read,
            json!({"id": first[0], "name": "Ada B", "country_id": false, "email": false, "email_normalized": false}),
            "an empty cell is a value"
        );
        // Twice in one load: the last row wins, ids repeat.
        let twice = erp
            .loads(
                "res.partner",
                json!(["id", "name"]),
                json!([["a.b", "One"], ["a.b", "Two"]]),
            )
            .await;
        assert_eq!(twice[0], twice[1]);
        assert_eq!(
            erp.fields("res.partner", twice[0], json!(["name"])).await["name"],
            json!("Two")
        );
        // Gone and loaded again: a new record.
        erp.ok("res.partner", "unlink", json!([[twice[0]]])).await;
        assert_eq!(
            erp.err("ir.model.data", "check_object_reference", json!(["a", "b"]))
                .await,
            "builtins.ValueError"
        );
        assert_ne!(
            erp.loads("res.partner", json!(["id", "name"]), json!([["a.b", "Three"]]))
                .await,
            twice
        );
    }
}

#[tokio::test]
async fn external_ids_of_many_shapes_resolve() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let long = format!("long.{}", "x".repeat(200));
        for (name, module, local) in [
            ("__lockstep_main__.order_123", "__lockstep_main__", "order_123"),
            (
                "shopify.gid://shopify/Customer/1",
                "shopify",
                "gid://shopify/Customer/1",
            ),
            ("a.b.c", "a", "b.c"),
            ("Capital-é/x.Y", "Capital-é/x", "Y"),
            (".empty", "", "empty"),
            ("plain", "__import__", "plain"),
            (long.as_str(), "long", &long[5..]),
        ] {
            let ids = erp
                .loads("res.partner", json!(["id", "name"]), json!([[name, "N"]]))
                .await;
            let found = erp
                .ok("ir.model.data", "check_object_reference", json!([module, local]))
                .await;
            assert_eq!(found, json!(["res.partner", ids[0]]), "{version:?} {name}");
        }
        let refused = erp
            .refuses(
                "res.partner",
                json!(["id", "name"]),
                json!([["a.with space", "N"]]),
            )
            .await;
        assert!(refused.contains("spaces"), "{refused}");
    }
}

#[tokio::test]
async fn archived_records_resolve_to_false_and_still_load() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let id = erp
            .loads("res.partner", json!(["id", "name"]), json!([["a.b", "Ada"]]))
            .await[0];
        erp.ok("res.partner", "write", json!([[id], {"active": false}]))
            .await;
        assert_eq!(erp.resolve("a", "b").await, json!(false));
        let all = json!({"context": {"active_test": false}});
        let found = erp
            .call("ir.model.data", "check_object_reference", json!(["a", "b"]), all)
            .await
            .unwrap();
        assert_eq!(found, json!(["res.partner", id]));
        assert_eq!(
            erp.loads("res.partner", json!(["id", "name"]), json!([["a.b", "Bob"]]))
                .await,
            [id]
        );
        let read = erp.fields("res.partner", id, json!(["name", "active"])).await;
        assert_eq!(read, json!({"id": id, "name": "Bob", "active": false}));
    }
}

#[tokio::test]
async fn reverse_look_ups_work_for_everyone_and_the_table_for_administrators() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let id = erp
            .loads(
                "res.partner",
                json!(["id", "name"]),
                json!([["__lockstep_main__.customer_1", "Ada"]]),
            )
            .await[0];
        let none = erp.create("res.partner", json!({"name": "None"})).await;
        let names = erp
            .ok("res.partner", "get_external_id", json!([[id, none]]))
            .await;
        assert_eq!(
            names,
            json!({id.to_string(): "__lockstep_main__.customer_1", none.to_string(): ""})
        );
        let about = erp.ok("res.partner", "get_metadata", json!([[id]])).await;
        assert_eq!(about[0]["xmlid"], json!("__lockstep_main__.customer_1"));
        assert_eq!(
            erp.err("ir.model.data", "search_count", json!([[]])).await,
            "odoo.exceptions.AccessError"
        );
        let vals = json!([{"module": "a", "name": "b", "model": "res.partner", "res_id": none}]);
        assert_eq!(
            erp.err("ir.model.data", "create", vals.clone()).await,
            "odoo.exceptions.AccessError"
        );
        erp.sandbox
            .as_admin("ir.model.data", "create", vals.clone(), json!({}))
            .unwrap();
        let twice = erp
            .sandbox
            .as_admin("ir.model.data", "create", vals, json!({}))
            .unwrap_err();
        assert!(twice.name.ends_with("ValidationError") && twice.message.contains("duplicate key"));
        assert_eq!(erp.resolve("a", "b").await, json!(none));
        // Without the right to read the model there is no answer.
        let denied = Denied {
            model: "res.partner".to_owned(),
            operations: vec!["read".to_owned()],
        };
        erp.sandbox.deny(denied);
        let refused = erp
            .err("ir.model.data", "check_object_reference", json!(["a", "b"]))
            .await;
        assert_eq!(refused, "odoo.exceptions.AccessError");
    }
}

#[tokio::test]
async fn one_bad_cell_stores_nothing() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        for (model, fields, bad, part) in [
            (
                "res.partner",
                json!(["id", "name", "country_id/id"]),
                json!(["x.2", "B", "base.xx"]),
                "No matching record found for external id 'base.xx'",
            ),
            (
                "res.partner",
                json!(["id", "name", "country_id/.id"]),
                json!(["x.2", "B", "99999"]),
                "No matching record found for database id '99999'",
            ),
            (
                "res.partner",
                json!(["id", "name", "country_id"]),
                json!(["x.2", "B", "Atlantis"]),
                "No matching record found for name 'Atlantis'",
            ),
            (
                "res.partner",
                json!(["id", "name", "customer_rank"]),
                json!(["x.2", "B", "one"]),
                "does not seem to be an integer",
            ),
            (
                "res.partner",
                json!(["id", "name", "type"]),
                json!(["x.2", "B", "office"]),
                "not found in selection",
            ),
            (
                "res.partner",
                json!([".id", "name"]),
                json!(["99999", "B"]),
                "Unknown database identifier",
            ),
            (
                "product.template",
                json!(["id", "name"]),
                json!(["x.2", ""]),
                "Missing required value for the field 'Name' (name)",
            ),
            (
                "sale.order",
                json!(["id", "partner_id/.id", "date_order"]),
                json!(["x.2", "1", "2024-07-01T12:00:00Z"]),
                "valid datetime",
            ),
            (
                "sale.order",
                json!(["id", "partner_id/.id", "date_order"]),
                json!(["x.2", "1", "2024-07-01 12:00:00.5"]),
                "valid datetime",
            ),
            (
                "sale.order",
                json!(["id", "partner_id/.id", "amount_total"]),
                json!(["x.2", "1", "1,5"]),
                "does not seem to be a number",
            ),
        ] {
            let width = fields.as_array().unwrap().len();
            let mut good = ["x.1", "A", "", ""];
            if model == "sale.order" {
                good[1] = "1";
                good[2] = "2024-07-01";
            }
            if fields[2] == json!("amount_total") {
                good[2] = "1";
            }
            if fields[0] == json!(".id") {
                good[0] = "";
            }
            let message = erp
                .refuses(model, fields.clone(), json!([good[..width], bad]))
                .await;
            assert!(message.contains(part), "{version:?} {bad}: {message}");
            assert_eq!(
                erp.err("ir.model.data", "check_object_reference", json!(["x", "1"]))
                    .await,
                "builtins.ValueError"
            );
        }
        erp.loads("res.partner", json!(["id", "name"]), json!([["x.1", "A"]]))
            .await;
        let other = erp
            .refuses("product.template", json!(["id", "name"]), json!([["x.1", "A"]]))
            .await;
        assert!(other.contains("found record of different model"), "{other}");
        assert_eq!(
            erp.err("res.partner", "load", json!([["id", "nope"], [["x.1", "A"]]]))
                .await,
            "builtins.ValueError"
        );
        // An existing product cannot be given an id by its number alone: it counts as a new one.
        let product = erp.create("product.template", json!({"name": "P"})).await;
        let attach = erp
            .refuses(
                "product.template",
                json!(["id", ".id"]),
                json!([["x.9", product.to_string()]]),
            )
            .await;
        assert!(attach.contains("Missing required value"), "{attach}");
    }
}

#[tokio::test]
async fn beside_an_external_id_the_database_id_is_ignored() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (a, b) = (
            erp.create("res.partner", json!({"name": "A"})).await,
            erp.create("res.partner", json!({"name": "B"})).await,
        );
        assert_eq!(
            erp.loads(
                "res.partner",
                json!([".id", "ref"]),
                json!([[a.to_string(), "R"]])
            )
            .await,
            [a]
        );
        let fresh = erp
            .loads(
                "res.partner",
                json!(["id", ".id", "name"]),
                json!([["x.1", b.to_string(), "C"]]),
            )
            .await[0];
        assert!(fresh != a && fresh != b);
        assert_eq!(
            erp.loads(
                "res.partner",
                json!(["id", ".id", "name"]),
                json!([["x.1", a.to_string(), "D"]])
            )
            .await,
            [fresh]
        );
        let created = erp
            .loads("res.partner", json!([".id", "name"]), json!([["", "E"]]))
            .await;
        assert!(created[0] > fresh);
    }
}

#[tokio::test]
async fn dates_are_read_in_a_time_zone() {
    for version in VERSIONS {
        for (user_tz, context, stored) in [
            (None, json!({}), "12:00:00"),
            (None, json!({"tz": "Europe/Brussels"}), "10:00:00"),
            (None, json!({"tz": "America/New_York"}), "16:00:00"),
            (Some("Asia/Tokyo"), json!({}), "03:00:00"),
            (Some("Asia/Tokyo"), json!({"tz": false}), "03:00:00"),
            (Some("Asia/Tokyo"), json!({"tz": "UTC"}), "12:00:00"),
        ] {
            let erp = Erp::start(Options {
                user_tz: user_tz.map(str::to_owned),
                ..Options::version(version)
            })
            .await;
            let fields = json!(["id", "partner_id/.id", "date_order"]);
            let rows = json!([["a.b", "1", "2024-07-01 12:00:00"]]);
            erp.call(
                "sale.order",
                "load",
                json!([fields, rows]),
                json!({"context": context}),
            )
            .await
            .unwrap();
            let order = erp.sandbox.ledger().orders().pop().unwrap();
            assert_eq!(
                order.date_order.unwrap().to_string(),
                format!("2024-07-01 {stored}"),
                "{user_tz:?} {context}"
            );
            // Other ways to write are always UTC.
            let written = json!([[order.id], {"date_order": "2024-07-02 12:00:00"}]);
            erp.call("sale.order", "write", written, json!({"context": context}))
                .await
                .unwrap();
            let read = erp.fields("sale.order", order.id, json!(["date_order"])).await;
            assert_eq!(read["date_order"], json!("2024-07-02 12:00:00"));
            let bare = json!([["a.b", "1", "2024-07-01"]]);
            let utc = json!({"context": {"tz": "UTC"}});
            erp.call("sale.order", "load", json!([fields, bare]), utc)
                .await
                .unwrap();
            let read = erp.fields("sale.order", order.id, json!(["date_order"])).await;
            assert_eq!(read["date_order"], json!("2024-07-01 00:00:00"));
        }
    }
}

/// Tax cell and the rates the line has then; the product's default is 15 %.
#[tokio::test]
async fn a_tax_cell_replaces_and_an_empty_one_means_none() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await;
        let (seven, twenty) = (erp.tax(7.0, false).await, erp.tax(20.0, false).await);
        let column = format!("order_line/{}/.id", erp.taxes());
        let by_name = format!("order_line/{}", erp.taxes());
        for (at, (column, cell, rates)) in [
            (Some(&column), format!("{seven},{twenty}"), vec!["7", "20"]),
            (Some(&column), format!("{seven}, {twenty}"), vec!["7", "20"]),
            (Some(&column), twenty.to_string(), vec!["20"]),
            (Some(&column), String::new(), vec![]),
            (Some(&by_name), "7%,20%".to_owned(), vec!["7", "20"]),
            (None, String::new(), vec!["15"]),
        ]
        .into_iter()
        .enumerate()
        {
            let mut fields = vec![
                "id",
                "partner_id/.id",
                "order_line/id",
                "order_line/product_id/.id",
            ];
            let mut row = vec![
                format!("t.o{at}"),
                "1".to_owned(),
                format!("t.l{at}"),
                mug.to_string(),
            ];
            if let Some(column) = column {
                fields.push(column);
                row.push(cell);
            }
            let id = erp.loads("sale.order", json!(fields), json!([row])).await[0];
            let order = erp
                .sandbox
                .ledger()
                .orders()
                .into_iter()
                .find(|order| order.id == id)
                .unwrap();
            let got: Vec<String> = order.lines[0]
                .taxes
                .iter()
                .map(|tax| tax.amount.to_string())
                .collect();
            assert_eq!(got, rates, "{version:?} {fields:?} {row:?}");
        }
        let fields = json!([
            "id",
            "partner_id/.id",
            "order_line/id",
            "order_line/product_id/.id",
            column
        ]);
        let refused = erp
            .refuses(
                "sale.order",
                fields,
                json!([["t.o", "1", "t.l", mug.to_string(), "99999"]]),
            )
            .await;
        assert!(
            refused.contains("No matching record found for database id"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn lines_are_added_updated_moved_and_never_removed() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await.to_string();
        let fields = json!([
            "id",
            "partner_id/.id",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/name",
            "order_line/price_unit",
            "order_line/sequence"
        ]);
        let rows = json!([
            ["o.1", "1", "o.1_1", mug, "One", "1", "20"],
            ["", "", "o.1_2", mug, "Two", "2", "10"]
        ]);
        for _ in 0..2 {
            erp.loads("sale.order", fields.clone(), rows.clone()).await;
        }
        let names = || {
            let orders = erp.sandbox.ledger().orders();
            orders
                .iter()
                .map(|o| {
                    o.lines
                        .iter()
                        .map(|l| l.name.clone())
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(names(), ["Two One"], "in the order of their sequence");
        // A line that is absent stays; a new one is added; its id under another order moves it.
        erp.loads(
            "sale.order",
            fields.clone(),
            json!([["o.1", "1", "o.1_3", mug, "Three", "3", "30"]]),
        )
        .await;
        assert_eq!(names(), ["Two One Three"]);
        erp.loads(
            "sale.order",
            fields,
            json!([["o.2", "1", "o.1_3", mug, "Moved", "3", "30"]]),
        )
        .await;
        assert_eq!(names(), ["Two One", "Moved"]);
        let totals: Vec<String> = erp
            .sandbox
            .ledger()
            .orders()
            .iter()
            .map(|order| order.amount_untaxed.to_string())
            .collect();
        assert_eq!(totals, ["3", "3"], "both orders are computed again");
        // Without line ids every repeat appends.
        let bare = json!([
            "id",
            "partner_id/.id",
            "order_line/product_id/.id",
            "order_line/name"
        ]);
        let rows = json!([["o.3", "1", mug, "A"], ["", "", mug, "B"]]);
        for _ in 0..2 {
            erp.loads("sale.order", bare.clone(), rows.clone()).await;
        }
        assert_eq!(names()[2], "A B A B");
        // Only changed columns, by either kind of id.
        let order = &erp.sandbox.ledger().orders()[1];
        let (id, line) = (order.id.to_string(), order.lines[0].id.to_string());
        erp.loads(
            "sale.order",
            json!([".id", "order_line/.id", "order_line/name"]),
            json!([[id, line, "By number"]]),
        )
        .await;
        assert_eq!(names()[1], "By number");
        erp.loads(
            "sale.order",
            json!(["id", "order_line/id", "order_line/name"]),
            json!([["o.2", "o.1_3", "By id"]]),
        )
        .await;
        assert_eq!(names()[1], "By id");
        // Deleting a line takes its external id along.
        erp.ok(
            "sale.order",
            "write",
            json!([[order.id], {"order_line": [[2, order.lines[0].id]]}]),
        )
        .await;
        let gone = erp
            .err("ir.model.data", "check_object_reference", json!(["o", "1_3"]))
            .await;
        assert_eq!(gone, "builtins.ValueError");
    }
}

#[tokio::test]
async fn empty_cells_and_odd_lines() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await.to_string();
        let fields = json!([
            "id",
            "partner_id/.id",
            "client_order_ref",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/name",
            "order_line/price_unit",
            "order_line/discount",
            "order_line/display_type"
        ]);
        let rows = json!([
            ["e.1", "1", "#1", "e.1_1", mug, "Mug", "", "", ""],
            ["", "", "", "e.1_2", "", "Section", "", "", "line_section"],
            ["", "", "", "e.1_3", "", "Note", "", "", "Note"],
            ["", "", "", "e.1_4", mug, "Back", "-5.005", "10.555", ""]
        ]);
        erp.loads("sale.order", fields.clone(), rows).await;
        let order = erp.sandbox.ledger().orders().pop().unwrap();
        let kinds: Vec<Option<&str>> = order
            .lines
            .iter()
            .map(|line| line.display_type.as_deref())
            .collect();
        assert_eq!(kinds, [None, Some("line_section"), Some("line_note"), None]);
        assert_eq!(
            order.lines[0].price_unit.to_string(),
            "0",
            "empty is zero, not the list price"
        );
        let price = if version.before_19() { "-5.01" } else { "-5.005" };
        assert_eq!(order.lines[3].price_unit.to_string(), price);
        assert_eq!(order.lines[3].discount.to_string(), "10.56");
        assert_eq!(order.client_order_ref.as_deref(), Some("#1"));
        erp.loads(
            "sale.order",
            json!(["id", "client_order_ref"]),
            json!([["e.1", ""]]),
        )
        .await;
        assert_eq!(erp.sandbox.ledger().orders()[0].client_order_ref, None);
        let unnamed = json!([["e.2", "1", "#1", "e.2_1", mug, "", "1", "", ""]]);
        assert!(
            erp.refuses("sale.order", fields, unnamed)
                .await
                .contains("Missing required value")
        );
        let no_address = erp
            .refuses(
                "sale.order",
                json!(["id", "partner_shipping_id/.id"]),
                json!([["e.1", ""]]),
            )
            .await;
        assert!(no_address.contains("Missing required value"), "{no_address}");
        // Not only text is tolerated in cells.
        erp.loads(
            "sale.order",
            json!(["id", "partner_id/.id", "origin"]),
            json!([["e.3", 1, null]]),
        )
        .await;
    }
}

#[tokio::test]
async fn confirmed_and_locked_orders_reload_as_far_as_they_may() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (mug, tea) = (
            erp.product("Mug", 50.0).await.to_string(),
            erp.product("Tea", 5.0).await.to_string(),
        );
        let fields = json!([
            "id",
            "partner_id/.id",
            "order_line/id",
            "order_line/product_id/.id",
            "order_line/name",
            "order_line/product_uom_qty",
            "order_line/price_unit"
        ]);
        let row = |product: &str| json!([["c.1", "1", "c.1_1", product, "Mug", "2", "11.11"]]);
        let id = erp.loads("sale.order", fields.clone(), row(&mug)).await[0];
        erp.ok("sale.order", "action_confirm", json!([[id]])).await;
        erp.loads("sale.order", fields.clone(), row(&mug)).await;
        let order = erp.sandbox.ledger().orders().pop().unwrap();
        assert_eq!(
            order.lines[0].price_unit.to_string(),
            "11.11",
            "a full reload keeps the price"
        );
        assert_eq!(
            (order.pickings.len(), order.pickings[0].moves[0].1.to_string()),
            (1, "2".to_owned())
        );
        let other = erp.refuses("sale.order", fields.clone(), row(&tea)).await;
        assert!(other.contains("cannot modify the product"), "{other}");
        erp.ok("sale.order", "action_lock", json!([[id]])).await;
        assert!(
            erp.refuses("sale.order", fields, row(&mug))
                .await
                .contains("locked order")
        );
        erp.loads(
            "sale.order",
            json!(["id", "client_order_ref"]),
            json!([["c.1", "#9"]]),
        )
        .await;
    }
}

#[tokio::test]
async fn addresses_are_kept_as_given_and_follow_the_customer_when_absent() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let other = erp.create("res.partner", json!({"name": "Other"})).await;
        let addresses = || {
            let order = erp.sandbox.ledger().orders().pop().unwrap();
            (order.partner_invoice_id, order.partner_shipping_id)
        };
        let fields = json!([
            "id",
            "partner_id/.id",
            "partner_invoice_id/.id",
            "partner_shipping_id/.id"
        ]);
        let row = json!([["a.1", "1", other.to_string(), other.to_string()]]);
        for _ in 0..2 {
            erp.loads("sale.order", fields.clone(), row.clone()).await;
            assert_eq!(addresses(), (other, other));
        }
        erp.loads(
            "sale.order",
            json!(["id", "client_order_ref"]),
            json!([["a.1", "#1"]]),
        )
        .await;
        assert_eq!(addresses(), (other, other), "the customer was not written");
        erp.loads(
            "sale.order",
            json!(["id", "partner_id/.id"]),
            json!([["a.1", "1"]]),
        )
        .await;
        assert_eq!(addresses(), (1, 1));
    }
}
