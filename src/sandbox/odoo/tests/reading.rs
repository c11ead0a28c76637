//! Sections 5 and 8: `write_date` as pollers meet it, and the one-call shapes of `web_save` and `web_read`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::DateTime;
use serde_json::json;

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Options, Version};

/// A stand-in whose clock stands at `micros` of 2026-01-01 00:00:00.
async fn at(version: Version) -> (Erp, Arc<AtomicI64>) {
    let micros = Arc::new(AtomicI64::new(0));
    let hand = Arc::clone(&micros);
    let start = 1_767_225_600_000_000;
    let clock =
        Arc::new(move || DateTime::from_timestamp_micros(start + hand.load(Ordering::SeqCst)).unwrap());
    (
        Erp::start(Options {
            clock,
            ..Options::version(version)
        })
        .await,
        micros,
    )
}

#[tokio::test]
async fn write_dates_compare_by_second_on_19_and_by_microsecond_on_18() {
    for version in VERSIONS {
        let (erp, clock) = at(version).await;
        clock.store(10_500_000, Ordering::SeqCst);
        let id = erp.create("res.partner", json!({"name": "Ada"})).await;
        let seen = erp.fields("res.partner", id, json!(["write_date"])).await["write_date"].clone();
        assert_eq!(seen, json!("2026-01-01 00:00:10"), "seconds only");
        for (operator, on_18, on_19) in [
            ("=", false, true),
            (">", true, false),
            (">=", true, true),
            ("<", false, false),
        ] {
            let found = erp
                .ok(
                    "res.partner",
                    "search",
                    json!([[["id", "=", id], ["write_date", operator, seen]]]),
                )
                .await;
            let expected = if version == Version::V19 { on_19 } else { on_18 };
            assert_eq!(found == json!([id]), expected, "{version:?} {operator}");
        }
        let zulu = json!([[["write_date", ">=", "2026-01-01T00:00:00Z"]]]);
        let asked = erp.call("res.partner", "search_count", zulu, json!({})).await;
        assert_eq!(asked.is_ok(), version == Version::V18);
    }
}

/// What moves whose `write_date`.
#[tokio::test]
async fn what_is_bumped_and_what_is_not() {
    for version in VERSIONS {
        let (erp, clock) = at(version).await;
        let ada = erp
            .create(
                "res.partner",
                json!({"name": "Ada", "child_ids": [[0, 0, {"type": "invoice", "name": "B"}]]}),
            )
            .await;
        let child = erp.fields("res.partner", ada, json!(["child_ids"])).await["child_ids"][0].clone();
        let variant = erp.product("Mug", 5.0).await;
        let template = erp
            .fields("product.product", variant, json!(["product_tmpl_id"]))
            .await["product_tmpl_id"]
            .as_i64()
            .unwrap();
        let order = erp
            .create(
                "sale.order",
                json!({"partner_id": ada, "order_line": [[0, 0, {"product_id": variant}]]}),
            )
            .await;
        let line = erp.fields("sale.order", order, json!(["order_line"])).await["order_line"][0].clone();
        for (model, ids, vals, watched, id, bumped) in [
            ("res.partner", json!([ada]), json!({}), "res.partner", ada, true),
            (
                "res.partner",
                json!([child]),
                json!({"street": "S"}),
                "res.partner",
                ada,
                false,
            ),
            (
                "sale.order.line",
                json!([line]),
                json!({"name": "Other"}),
                "sale.order",
                order,
                false,
            ),
            (
                "sale.order.line",
                json!([line]),
                json!({"product_uom_qty": 2}),
                "sale.order",
                order,
                true,
            ),
            (
                "product.product",
                json!([variant]),
                json!({"weight": 1}),
                "product.template",
                template,
                false,
            ),
            (
                "product.template",
                json!([template]),
                json!({"name": "Cup"}),
                "product.product",
                variant,
                true,
            ),
        ] {
            let stamp = async || erp.fields(watched, id, json!(["write_date"])).await["write_date"].clone();
            let before = stamp().await;
            clock.fetch_add(2_000_000, Ordering::SeqCst);
            erp.ok(model, "write", json!([ids, vals])).await;
            assert_eq!(
                stamp().await != before,
                bumped,
                "{version:?} {model} {vals} -> {watched}"
            );
        }
    }
}

#[tokio::test]
async fn web_save_writes_and_reads_in_one_transaction() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let mug = erp.product("Mug", 50.0).await;
        let line = json!([0, 0, {"product_id": mug, "price_unit": 10, erp.taxes(): []}]);
        let vals = json!({"partner_id": 1, "order_line": [line]});
        let spec = json!({"name": {}, "partner_id": {"fields": {"display_name": {}}}, "user_id": {},
            "order_line": {"fields": {"price_total": {}}}});
        let saved = erp.ok("sale.order", "web_save", json!([[], vals, spec])).await;
        let order = &erp.sandbox.ledger().orders()[0];
        assert_eq!(
            saved,
            json!([{"id": order.id, "name": "S00001", "partner_id": {"id": 1, "display_name": "My Company"},
                "user_id": erp.sandbox.uid(), "order_line": [{"id": order.lines[0].id, "price_total": 10.0}]}])
        );
        let id = order.id;
        assert_eq!(
            erp.ok("sale.order", "web_save", json!([[id], {"origin": "x"}, {}]))
                .await,
            json!([{"id": id}])
        );
        let read = erp
            .ok(
                "sale.order",
                "web_read",
                json!([[id], {"origin": {}, "order_line": {}}]),
            )
            .await;
        assert_eq!(
            read,
            json!([{"id": id, "origin": "x", "order_line": [order.lines[0].id]}])
        );
        // An unknown field in the specification rolls the write back.
        let unknown = json!([[id], {"origin": "y"}, {"nope": {}}]);
        assert_eq!(
            erp.err("sale.order", "web_save", unknown).await,
            "builtins.ValueError"
        );
        assert_eq!(erp.sandbox.ledger().orders()[0].origin.as_deref(), Some("x"));
        assert_eq!(
            erp.err("sale.order", "web_save", json!([[99_999], {}, {}])).await,
            "odoo.exceptions.MissingError"
        );
        let next = erp
            .call(
                "res.partner",
                "web_save",
                json!([[1], {"ref": "r"}, {"name": {}}]),
                json!({"next_id": 2}),
            )
            .await;
        assert_eq!(next.unwrap()[0]["id"], json!(2));
        let both = erp
            .ok(
                "res.partner",
                "web_save",
                json!([[1, 2], {"ref": "same"}, {"ref": {}}]),
            )
            .await;
        assert_eq!(both, json!([{"id": 1, "ref": "same"}, {"id": 2, "ref": "same"}]));
        let multi = json!([[1, 2], [{"ref": "a"}, {"ref": "b"}], {"ref": {}}]);
        let multi = erp.call("res.partner", "web_save_multi", multi, json!({})).await;
        if version == Version::V19 {
            assert_eq!(
                multi.unwrap(),
                json!([{"id": 1, "ref": "a"}, {"id": 2, "ref": "b"}])
            );
            let body = json!({"vals": {"name": "New"}, "specification": {"name": {}}});
            let (status, reply) = erp.json2("res.partner", "web_save", body).await;
            assert_eq!((status, &reply[0]["name"]), (200, &json!("New")));
        } else {
            assert_eq!(multi.unwrap_err().0, "builtins.AttributeError");
        }
    }
}

#[tokio::test]
async fn company_and_currency_settings_are_readable() {
    let erp = Erp::of(Version::V19).await;
    let company = erp
        .ok(
            "res.company",
            "search_read",
            json!([[], ["tax_calculation_rounding_method", "currency_id"]]),
        )
        .await;
    assert_eq!(
        company[0]["tax_calculation_rounding_method"],
        json!("round_per_line")
    );
    let usd = erp
        .ok(
            "res.currency",
            "read",
            json!([[company[0]["currency_id"][0]], ["rounding", "decimal_places"]]),
        )
        .await;
    assert_eq!(
        (&usd[0]["rounding"], &usd[0]["decimal_places"]),
        (&json!(0.01), &json!(2))
    );
    let active = erp.ok("res.currency", "search_read", json!([[], ["name"]])).await;
    assert_eq!(active.as_array().unwrap().len(), 2, "only active currencies show");
}
