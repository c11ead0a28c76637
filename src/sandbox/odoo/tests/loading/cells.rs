//! What single cells mean.

use super::*;

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
