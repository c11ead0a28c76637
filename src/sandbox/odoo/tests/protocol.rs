//! Section 1: endpoints and bodies.

use reqwest::header;
use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Fault, Options, Rule, Version};

#[tokio::test]
async fn versions_are_told_without_credentials() {
    for (version, serie) in [
        (Version::V17, "17.0"),
        (Version::V18, "18.0"),
        (Version::V19, "19.0"),
    ] {
        let erp = Erp::of(version).await;
        let reply = erp.rpc_raw("common", "version", json!([])).await;
        assert_eq!(reply["id"], json!(7));
        assert_eq!(reply["result"]["server_serie"], json!(serie));
        assert_eq!(reply["result"]["server_version_info"][0], json!(version.major()));
        for page in ["/web/version", "/json/version"] {
            let reply = erp
                .http
                .get(format!("{}{page}", erp.sandbox.url()))
                .send()
                .await
                .unwrap();
            if version == Version::V19 {
                let body: Json = reply.json().await.unwrap();
                assert_eq!(
                    (&body["version"], &body["version_info"][0]),
                    (&json!("19.0"), &json!(19))
                );
            } else {
                assert_eq!(reply.status(), 404, "{version:?} {page}");
                assert!(reply.text().await.unwrap().starts_with('<'));
            }
        }
    }
}

#[tokio::test]
async fn authenticate_tells_the_uid_or_false_and_is_counted() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let options = erp.sandbox.options().clone();
        let key = options.api_keys[0].clone();
        for (db, login, secret, expected) in [
            (&options.database, &options.login, &key, json!(erp.sandbox.uid())),
            (
                &options.database,
                &options.login,
                &options.password,
                json!(erp.sandbox.uid()),
            ),
            (
                &options.database,
                &options.login,
                &"wrong".to_owned(),
                json!(false),
            ),
            (&options.database, &"nobody".to_owned(), &key, json!(false)),
        ] {
            let reply = erp
                .rpc_raw("common", "authenticate", json!([db, login, secret, {}]))
                .await;
            assert_eq!(reply["result"], expected);
        }
        let reply = erp
            .rpc_raw("common", "authenticate", json!(["other", options.login, key, {}]))
            .await;
        assert_eq!(reply["error"]["data"]["name"], json!("psycopg2.OperationalError"));
        assert_eq!(erp.sandbox.ledger().authentications(), 5);
        assert_eq!(erp.sandbox.ledger().total_calls(), 0);
    }
}

#[tokio::test]
async fn unparsable_requests_are_the_only_http_errors_of_json_rpc() {
    for (version, wrong_type) in [(Version::V18, 400), (Version::V19, 415)] {
        let erp = Erp::of(version).await;
        let url = format!("{}/jsonrpc", erp.sandbox.url());
        for (content_type, body, status) in [
            ("text/plain", "{}", wrong_type),
            ("application/json", "{nonsense", 400),
            ("application/json", "[{\"jsonrpc\":\"2.0\"}]", 400),
            (
                "application/json; charset=utf-8",
                "{\"params\":{\"service\":\"common\",\"method\":\"version\"}}",
                200,
            ),
        ] {
            let reply = erp
                .http
                .post(&url)
                .header(header::CONTENT_TYPE, content_type)
                .body(body)
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status(), status, "{version:?} {content_type} {body}");
            assert_eq!(reply.headers()[header::CONNECTION], "close");
            let html = reply.headers()[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .starts_with("text/html");
            assert_eq!(html, status != 200);
        }
    }
}

#[tokio::test]
async fn methods_that_return_nothing_reply_without_result_and_error() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let partner = erp.create("res.partner", json!({"name": "Ada"})).await;
        let reply = erp
            .execute_raw("res.partner", "action_archive", json!([[partner]]), json!({}))
            .await;
        assert_eq!(reply, json!({"jsonrpc": "2.0", "id": 7}));
        if version == Version::V19 {
            assert_eq!(
                erp.json2("res.partner", "action_archive", json!({"ids": [partner]}))
                    .await,
                (200, Json::Null)
            );
        }
    }
}

#[tokio::test]
async fn error_codes_differ_by_version_and_names_do_not() {
    for (version, code) in [(Version::V18, 200), (Version::V19, 0)] {
        let erp = Erp::of(version).await;
        let reply = erp
            .execute_raw("res.partner", "_secret", json!([[]]), json!({}))
            .await;
        assert_eq!(reply["error"]["code"], json!(code));
        assert_eq!(reply["error"]["message"], json!("Odoo Server Error"));
        assert_eq!(
            reply["error"]["data"]["name"],
            json!("odoo.exceptions.AccessError")
        );
        for part in ["message", "arguments", "context", "debug"] {
            assert!(reply["error"]["data"].get(part).is_some(), "{part}");
        }
    }
}

#[tokio::test]
async fn create_answers_in_the_shape_of_its_protocol() {
    let erp = Erp::of(Version::V19).await;
    for (sent, is_list) in [
        (json!({"name": "A"}), false),
        (json!([{"name": "A"}, {"name": "B"}]), true),
        (json!([]), true),
    ] {
        let rpc = erp.ok("res.partner", "create", json!([sent])).await;
        assert_eq!(rpc.is_array(), is_list, "{sent}");
        let (status, json2) = erp
            .json2("res.partner", "create", json!({"vals_list": sent}))
            .await;
        assert_eq!((status, json2.is_array()), (200, true), "{sent}");
        assert_eq!(
            json2.as_array().unwrap().len(),
            sent.as_array().map_or(1, Vec::len)
        );
    }
}

#[tokio::test]
async fn json_2_takes_named_arguments_only() {
    let erp = Erp::of(Version::V19).await;
    let partner = erp.create("res.partner", json!({"name": "Ada"})).await;
    for (model, method, body, status, name) in [
        (
            "res.partner",
            "search_read",
            json!({"domain": [["id", "=", partner]], "fields": ["name"]}),
            200,
            "",
        ),
        (
            "res.partner",
            "write",
            json!({"ids": [partner], "vals": {"ref": "R1"}}),
            200,
            "",
        ),
        ("res.users", "context_get", json!({}), 200, ""),
        ("res.partner", "read", json!([]), 200, ""),
        (
            "res.partner",
            "write",
            json!({"ids": [partner]}),
            422,
            "werkzeug.exceptions.UnprocessableEntity",
        ),
        (
            "res.partner",
            "read",
            json!({"ids": [partner], "nope": 1}),
            422,
            "werkzeug.exceptions.UnprocessableEntity",
        ),
        (
            "res.partner",
            "search",
            json!({"ids": [1], "domain": []}),
            422,
            "werkzeug.exceptions.UnprocessableEntity",
        ),
        ("no.model", "read", json!({}), 404, "werkzeug.exceptions.NotFound"),
        (
            "res.partner",
            "no_method",
            json!({}),
            404,
            "werkzeug.exceptions.NotFound",
        ),
        (
            "res.partner",
            "_private",
            json!({}),
            403,
            "odoo.exceptions.AccessError",
        ),
    ] {
        let (got, reply) = erp.json2(model, method, body.clone()).await;
        assert_eq!(got, status, "{model}/{method} {body}: {reply}");
        if status != 200 {
            assert_eq!(reply["name"], json!(name));
        }
    }
    let (_, context) = erp.json2("res.users", "context_get", json!({})).await;
    assert_eq!(
        context,
        json!({"lang": "en_US", "tz": false, "uid": erp.sandbox.uid()})
    );
    assert_eq!(
        erp.sandbox
            .ledger()
            .partners()
            .last()
            .unwrap()
            .reference
            .as_deref(),
        Some("R1")
    );
}

#[tokio::test]
async fn json_2_wants_a_key_and_a_database() {
    let erp = Erp::of(Version::V19).await;
    let options = erp.sandbox.options().clone();
    let url = format!("{}/json/2/res.users/context_get", erp.sandbox.url());
    let ask = async |key: &str, database: Option<&str>, body: &'static str| {
        let mut request = erp
            .http
            .post(&url)
            .bearer_auth(key)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(database) = database {
            request = request.header("X-Odoo-Database", database);
        }
        let reply = request.send().await.unwrap();
        assert_eq!(reply.headers()[header::CONNECTION], "close");
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let key = options.api_keys[0].as_str();
    assert_eq!(ask(key, Some(&options.database), "{}").await.0, 200);
    assert_eq!(ask(key, None, "{}").await.0, 200);
    assert_eq!(ask(key, None, "").await.0, 200);
    // Passwords are no bearer tokens.
    for wrong in [options.password.as_str(), "wrong"] {
        let (status, body) = ask(wrong, None, "{}").await;
        let body: Json = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &body["name"]),
            (401, &json!("werkzeug.exceptions.Unauthorized"))
        );
        assert_eq!(body["message"], json!("Invalid apikey"));
    }
    assert_eq!(ask(key, None, "{nonsense").await.0, 400);
    let (status, page) = ask(key, Some("other"), "{}").await;
    assert_eq!(status, 404);
    assert!(page.contains("No database is selected"));
    // PostgreSQL down looks the same to the byte; the health page tells them apart.
    erp.sandbox.faults().set_postgres_down(true);
    assert_eq!(ask(key, Some(&options.database), "{}").await, (404, page));
}

#[tokio::test]
async fn older_versions_send_json_2_to_the_login_page() {
    let erp = Erp::of(Version::V18).await;
    let url = format!("{}/json/2/res.users/context_get", erp.sandbox.url());
    let reply = erp.http.post(&url).json(&json!({})).send().await.unwrap();
    assert_eq!(reply.status(), 303);
    assert_eq!(reply.headers()[header::LOCATION], "/web/login");
    let login = erp
        .http
        .get(format!("{}/web/login", erp.sandbox.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(login.status(), 200);
    assert!(
        login.headers()[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
}

#[tokio::test]
async fn the_health_page_tells_odoo_from_its_database() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let ask = async |path: &str| {
            let reply = erp
                .http
                .get(format!("{}{path}", erp.sandbox.url()))
                .send()
                .await
                .unwrap();
            (reply.status().as_u16(), reply.json::<Json>().await.unwrap())
        };
        assert_eq!(ask("/web/health").await, (200, json!({"status": "pass"})));
        assert_eq!(ask("/web/health?db_server_status=1").await.0, 200);
        erp.sandbox.faults().set_postgres_down(true);
        assert_eq!(ask("/web/health").await, (200, json!({"status": "pass"})));
        assert_eq!(
            ask("/web/health?db_server_status=1").await,
            (500, json!({"status": "fail", "db_server_status": false}))
        );
        // The version is told all the same.
        assert!(
            erp.rpc_raw("common", "version", json!([]))
                .await
                .get("result")
                .is_some()
        );
    }
}

#[tokio::test]
async fn bodies_above_the_limit_are_refused_in_the_protocols_own_way() {
    let erp = Erp::of(Version::V19).await;
    erp.sandbox
        .faults()
        .add(Rule::new(Fault::Error(crate::sandbox::odoo::OdooError::too_large())).times(2));
    let reply = erp
        .execute_raw("res.users", "context_get", json!([]), json!({}))
        .await;
    assert_eq!(
        reply["error"]["data"]["name"],
        json!("werkzeug.exceptions.RequestEntityTooLarge")
    );
    let (status, reply) = erp.json2("res.users", "context_get", json!({})).await;
    assert_eq!(
        (status, &reply["name"]),
        (413, &json!("werkzeug.exceptions.RequestEntityTooLarge"))
    );
}

#[tokio::test]
async fn keys_can_be_rotated_and_latency_is_paid_per_call() {
    let latency = std::time::Duration::from_millis(30);
    let erp = Erp::start(Options {
        latency,
        ..Options::default()
    })
    .await;
    let started = std::time::Instant::now();
    erp.ok("res.users", "context_get", json!([])).await;
    assert!(started.elapsed() >= latency);
    erp.sandbox.set_api_keys(vec!["new".to_owned()]);
    assert_eq!(
        erp.err("res.users", "context_get", json!([])).await,
        "odoo.exceptions.AccessDenied"
    );
}
