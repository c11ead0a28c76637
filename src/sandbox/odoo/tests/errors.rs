//! Section 2: every row of the table of errors, in both protocols.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{CompanySeed, Denied, Fault, Options, Version};

/// Symptom, call, the name on 18, the name on 19, and the status of JSON-2.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    Json,
    &'static str,
    &'static str,
    u16,
);

fn cases() -> Vec<Case> {
    let user = "odoo.exceptions.UserError";
    let validation = "odoo.exceptions.ValidationError";
    let missing = "odoo.exceptions.MissingError";
    let value = "builtins.ValueError";
    let access = "odoo.exceptions.AccessError";
    vec![
        (
            "private method",
            "res.partner",
            "_write",
            json!({}),
            access,
            access,
            403,
        ),
        (
            "gone on write",
            "res.partner",
            "write",
            json!({"ids": [999_999], "vals": {"ref": "x"}}),
            missing,
            missing,
            404,
        ),
        (
            "gone on unlink",
            "res.partner",
            "unlink",
            json!({"ids": [999_999]}),
            missing,
            missing,
            404,
        ),
        (
            "gone on action",
            "sale.order",
            "action_confirm",
            json!({"ids": [999_999]}),
            missing,
            missing,
            404,
        ),
        (
            "gone as many2one",
            "sale.order",
            "create",
            json!({"vals_list": {"partner_id": 999_999}}),
            missing,
            missing,
            404,
        ),
        (
            "required",
            "sale.order",
            "create",
            json!({"vals_list": {}}),
            validation,
            validation,
            422,
        ),
        (
            "no name",
            "res.partner",
            "create",
            json!({"vals_list": {"email": "a@b.c"}}),
            validation,
            validation,
            422,
        ),
        (
            "bad key",
            "res.partner",
            "create",
            json!({"vals_list": {"name": "A", "country_id": 99_999}}),
            validation,
            validation,
            422,
        ),
        (
            "unknown field on create",
            "res.partner",
            "create",
            json!({"vals_list": {"name": "A", "nope": 1}}),
            value,
            value,
            500,
        ),
        (
            "unknown field on write",
            "res.partner",
            "write",
            json!({"ids": [1], "vals": {"nope": 1}}),
            value,
            "builtins.KeyError",
            500,
        ),
        (
            "unknown field on read",
            "res.partner",
            "read",
            json!({"ids": [1], "fields": ["nope"]}),
            value,
            value,
            500,
        ),
        (
            "unknown field in domain",
            "res.partner",
            "search",
            json!({"domain": [["nope", "=", 1]]}),
            value,
            value,
            500,
        ),
        (
            "order by computed",
            "res.partner",
            "search",
            json!({"domain": [], "order": "country_code"}),
            value,
            value,
            500,
        ),
        (
            "bad selection",
            "res.partner",
            "write",
            json!({"ids": [1], "vals": {"type": "office"}}),
            value,
            value,
            500,
        ),
        (
            "bad datetime",
            "sale.order",
            "create",
            json!({"vals_list": {"partner_id": 1, "date_order": "2024-07-01T12:00:00Z"}}),
            value,
            value,
            500,
        ),
        (
            "NUL",
            "res.partner",
            "write",
            json!({"ids": [1], "vals": {"ref": "a\u{0}b"}}),
            value,
            value,
            500,
        ),
        (
            "malformed domain",
            "res.partner",
            "search",
            json!({"domain": [["name", "="]]}),
            value,
            value,
            500,
        ),
        (
            "text for an id",
            "res.partner",
            "write",
            json!({"ids": [1], "vals": {"country_id": "US"}}),
            "psycopg2.errors.InvalidTextRepresentation",
            "psycopg2.errors.InvalidTextRepresentation",
            500,
        ),
        (
            "language",
            "res.partner",
            "read",
            json!({"ids": [1], "fields": ["name"], "context": {"lang": "xx_XX"}}),
            user,
            user,
            422,
        ),
        (
            "foreign company",
            "res.partner",
            "read",
            json!({"ids": [1], "fields": ["name"], "context": {"allowed_company_ids": [2]}}),
            access,
            access,
            403,
        ),
        (
            "unknown company",
            "res.partner",
            "read",
            json!({"ids": [1], "fields": ["name"], "context": {"allowed_company_ids": [9]}}),
            access,
            access,
            403,
        ),
        (
            "closed model",
            "ir.model.data",
            "search",
            json!({"domain": []}),
            access,
            access,
            403,
        ),
        (
            "closed parameter",
            "ir.config_parameter",
            "get_param",
            json!({"key": "database.uuid"}),
            access,
            access,
            403,
        ),
        (
            "missing external id",
            "ir.model.data",
            "check_object_reference",
            json!({"module": "a", "xml_id": "b"}),
            value,
            value,
            500,
        ),
        (
            "export",
            "res.partner",
            "export_data",
            json!({"ids": [1], "fields_to_export": ["name"]}),
            user,
            user,
            422,
        ),
    ]
}

fn options(version: Version) -> Options {
    let mut options = Options::version(version);
    options.companies.push(CompanySeed {
        name: "Other".to_owned(),
        currency: "EUR".to_owned(),
        country: "DE".to_owned(),
        allowed: false,
    });
    options
}

/// JSON-2's named arguments as a JSON-RPC call: ids first, the rest by name.
fn positional(body: &Json) -> (Json, Json) {
    let mut named = body.as_object().unwrap().clone();
    match named.remove("ids") {
        Some(ids) => (json!([ids]), Json::Object(named)),
        None => (json!([]), Json::Object(named)),
    }
}

#[tokio::test]
async fn every_symptom_has_its_name_and_status() {
    for version in VERSIONS {
        let erp = Erp::start(options(version)).await;
        let before = erp.sandbox.ledger().count("res.partner");
        for (symptom, model, method, body, on_18, on_19, status) in cases() {
            let expected = if version == Version::V19 { on_19 } else { on_18 };
            let (args, named) = positional(&body);
            let answer = erp.call(model, method, args, named).await;
            let (name, message) = answer.expect_err(&format!("{version:?} {symptom}"));
            assert_eq!(name, expected, "{version:?} {symptom}: {message}");
            if name == "builtins.KeyError" {
                assert_eq!(message, "nope", "the message is the field's name");
            }
            if version == Version::V19 {
                let (got, reply) = erp.json2(model, method, body).await;
                assert_eq!(
                    (got, &reply["name"]),
                    (status, &json!(expected)),
                    "{symptom}: {reply}"
                );
            }
        }
        assert_eq!(
            erp.sandbox.ledger().count("res.partner"),
            before,
            "nothing is left of failed calls"
        );
    }
}

#[tokio::test]
async fn unknown_models_and_methods_differ_by_protocol() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        assert_eq!(
            erp.err("no.model", "read", json!([[]])).await,
            "odoo.exceptions.UserError"
        );
        assert_eq!(
            erp.err("res.partner", "no_method", json!([[]])).await,
            "builtins.AttributeError"
        );
    }
}

#[tokio::test]
async fn credentials_fail_as_observed() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let (db, uid, key) = (
            &erp.sandbox.options().database,
            erp.sandbox.uid(),
            erp.sandbox.api_key(),
        );
        for (db, uid, secret, name, part) in [
            (
                db.as_str(),
                uid,
                "wrong",
                "odoo.exceptions.AccessDenied",
                "Access Denied",
            ),
            (
                db.as_str(),
                2,
                key,
                "odoo.exceptions.AccessDenied",
                "Access Denied",
            ),
            (
                db.as_str(),
                99,
                key,
                "odoo.exceptions.MissingError",
                "res.users(99,)",
            ),
            (
                "other",
                uid,
                key,
                "psycopg2.OperationalError",
                "database \"other\" does not exist",
            ),
        ] {
            let args = json!([db, uid, secret, "res.users", "context_get", [], {}]);
            let reply = erp.rpc_raw("object", "execute_kw", args).await;
            let data = &reply["error"]["data"];
            assert_eq!(data["name"], json!(name));
            assert!(data["message"].as_str().unwrap().contains(part), "{data}");
        }
        // A key that has ended looks exactly like a wrong one.
        erp.sandbox.faults().set_keys_expired(true);
        assert_eq!(
            erp.err("res.users", "context_get", json!([])).await,
            "odoo.exceptions.AccessDenied"
        );
        let options = erp.sandbox.options();
        let reply = erp
            .rpc_raw(
                "common",
                "authenticate",
                json!([options.database, options.login, key, {}]),
            )
            .await;
        assert_eq!(reply["result"], json!(false));
        if version == Version::V19 {
            let (status, reply) = erp.json2("res.users", "context_get", json!({})).await;
            assert_eq!((status, &reply["message"]), (401, &json!("Invalid apikey")));
        }
    }
}

#[tokio::test]
async fn rights_can_be_taken_by_model_and_operation() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        erp.sandbox.deny(Denied {
            model: "sale.order".to_owned(),
            operations: vec!["create".to_owned()],
        });
        let vals = json!([{"partner_id": 1}]);
        assert_eq!(
            erp.err("sale.order", "create", vals.clone()).await,
            "odoo.exceptions.AccessError"
        );
        let rights = async |operation: &str| {
            erp.call(
                "sale.order",
                "check_access_rights",
                json!([operation, false]),
                json!({}),
            )
            .await
            .unwrap()
        };
        assert_eq!(
            (rights("create").await, rights("read").await),
            (json!(false), json!(true))
        );
        let loaded = erp
            .ok(
                "sale.order",
                "load",
                json!([["id", "partner_id/.id"], [["a.b", "1"]]]),
            )
            .await;
        assert_eq!(loaded["ids"], json!(false));
        erp.sandbox.allow_all();
        erp.ok("sale.order", "create", vals).await;
    }
}

#[tokio::test]
async fn reads_never_raise_for_missing_ids() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        for (ids, rows) in [
            (json!([1, 999_999]), json!([{"id": 1, "name": "My Company"}])),
            (json!(["1"]), json!([])),
            (json!([null]), json!([{"id": null, "name": false}])),
        ] {
            assert_eq!(
                erp.ok("res.partner", "read", json!([ids, ["name"]])).await,
                rows,
                "{ids}"
            );
        }
    }
}

#[tokio::test]
async fn transient_database_errors_have_their_names_in_both_protocols() {
    let erp = Erp::of(Version::V19).await;
    for (fault, name) in [
        (Fault::Serialization, "psycopg2.errors.SerializationFailure"),
        (Fault::ConnectionLost, "psycopg2.InterfaceError"),
    ] {
        erp.sandbox.faults().next_n(2, fault);
        assert_eq!(erp.err("res.users", "context_get", json!([])).await, name);
        let (status, reply) = erp.json2("res.users", "context_get", json!({})).await;
        assert_eq!((status, &reply["name"]), (500, &json!(name)));
    }
    erp.sandbox.faults().next(Fault::PostgresDown);
    let (name, message) = erp
        .call("res.users", "context_get", json!([]), json!({}))
        .await
        .unwrap_err();
    assert_eq!(name, "psycopg2.OperationalError");
    assert!(message.contains("Connection refused"));
}
