//! External ids: which record they stand for, and who may ask.

use super::*;

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
