//! The API over HTTP, on a running daemon.

mod notify;
mod numbers;
mod runs;

use std::path::Path;
use std::sync::Arc;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tempfile::TempDir;

use super::{description, routes};
use crate::app::daemon::{Daemon, DaemonOptions, start};
use crate::app::testing::until;
use crate::app::{reach, ring};
use crate::config::Config;
use crate::domain::{SharedClock, SystemClock};
use crate::http::local_token;
use crate::sandbox::shopify::{Options, ShopSandbox};
use crate::store::OpenMode;
use crate::transport;

pub(super) const TOKEN: &str = "0123456789abcdef";

/// A daemon for a shop and an ERP that do not answer.
pub(super) struct Rig {
    pub(super) daemon: Daemon,
    folder: TempDir,
    client: reqwest::Client,
}

impl Rig {
    async fn new() -> Self {
        Self::with(&text("on")).await
    }

    pub(super) async fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        std::fs::write(&path, text).unwrap();
        // For those configurations that name one.
        std::fs::create_dir(folder.path().join("mappings")).unwrap();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let options = DaemonOptions {
            follow_files: false,
            ..DaemonOptions::new(Arc::new(SystemClock))
        };
        Self {
            daemon: start(config, options).await.unwrap(),
            folder,
            client: transport::client(&transport::Settings::default()).unwrap(),
        }
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("lockstep.toml")
    }

    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let address = format!("http://{}{path}", self.daemon.admin_addr);
        let mut request = self.client.request(method, address);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("get", path, Some(TOKEN), None).await
    }
}

pub(super) fn text(orders: &str) -> String {
    format!(
        "[http]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\ntokens = ['{TOKEN}']\n[shops.main]\n\
         domain = 'main.myshopify.com'\nbase_url = 'http://127.0.0.1:9'\naccess_token = 'shpat_1'\n\
         webhook_secrets = ['secret']\n[shops.main.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'prod'\n\
         login = 'a@example.com'\napi_key = 'k'\n[shops.main.sync]\norders = {{ in = '{orders}' }} # the toggles\n"
    )
}

/// The path with something in place of its parameters.
pub(super) fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_served_without_a_token() {
    let rig = Rig::new().await;
    for route in routes::table() {
        let path = filled(route.path);
        for token in [None, Some("fedcba9876543210")] {
            let (status, body) = rig.call(route.method, &path, token, None).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {path}", route.method);
            let code = if token.is_some() { "bad_token" } else { "no_token" };
            assert_eq!(body["code"], code, "{} {path}", route.method);
            assert!(body["request_id"].is_string(), "{body}");
        }
    }
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_what_the_command_shows() {
    let rig = Rig::new().await;
    let (status, body) = rig.get("/api/v1/status").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["shops"][0]["name"], "main");
    let orders = body["lanes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|lane| lane["object"] == "order" && lane["direction"] == "in")
        .unwrap();
    assert_eq!(orders["toggle"], "on");
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_good_files_and_tells_what_is_wrong_with_others() {
    let rig = Rig::new().await;
    let before = rig.daemon.revision().unwrap();
    std::fs::write(rig.path(), text("paused")).unwrap();
    let (status, body) = rig.call("post", "/api/v1/reload", Some(TOKEN), None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["revision"].as_i64().unwrap() > before, "{body}");
    std::fs::write(rig.path(), text("sometimes")).unwrap();
    let (status, body) = rig.call("post", "/api/v1/reload", Some(TOKEN), None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["code"], "files_not_taken");
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("lockstep.toml:17:17") && detail.contains("not one of: on, off, paused"),
        "{detail}"
    );
    let (_, status) = rig.get("/api/v1/status").await;
    assert_eq!(status["lanes"][0]["toggle"], "paused", "{status}");
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_counts_without_a_restart_and_the_old_one_no_more() {
    let rig = Rig::new().await;
    let other = "a token of next year";
    std::fs::write(rig.path(), text("on").replace(TOKEN, other)).unwrap();
    rig.daemon.reload().await.unwrap();
    let (status, _) = rig.get("/api/v1/status").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = rig.call("get", "/api/v1/status", Some(other), None).await;
    assert_eq!(status, StatusCode::OK);
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_token_is_wanted_follows_the_file() {
    let rig = Rig::new().await;
    let status = async || rig.call("get", "/api/v1/status", None, None).await.0;
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    let open = text("on").replace("tokens =", "require_token = false\ntokens =");
    for (file, expected) in [
        (open.as_str(), StatusCode::OK),
        (text("on").as_str(), StatusCode::UNAUTHORIZED),
        (open.as_str(), StatusCode::OK),
    ] {
        std::fs::write(rig.path(), file).unwrap();
        rig.daemon.reload().await.unwrap();
        assert_eq!(status().await, expected);
    }
    // A file with a mistake opens and closes nothing.
    std::fs::write(rig.path(), text("onn")).unwrap();
    rig.daemon.reload().await.unwrap_err();
    assert_eq!(status().await, StatusCode::OK);
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_changes_nothing_on_demand() {
    let rig = Rig::new().await;
    let config = Config::load(&rig.path()).unwrap_or_else(|error| panic!("{error}"));
    let clock: SharedClock = Arc::new(SystemClock);
    let store = crate::app::open(&config, &clock, OpenMode::Tool).await.unwrap();
    // Another node saves something else; this one does not know yet.
    let file = crate::store::NodeFile {
        node: "another".to_owned(),
        hash: "another file".to_owned(),
        summary: String::new(),
        toggles: serde_json::json!({}),
    };
    let saved = crate::store::TakenUp::Saved;
    store.config_revision(file, saved, clock.now()).await.unwrap();
    for (path, body) in [
        ("/api/v1/webhooks/apply", serde_json::json!({})),
        (
            "/api/v1/webhooks/apply",
            serde_json::json!({ "shop": "main", "remove": true }),
        ),
        (
            "/api/v1/webhooks/adopt",
            serde_json::json!({ "shop": "main", "ids": [1] }),
        ),
    ] {
        let (status, answer) = rig.call("post", path, Some(TOKEN), Some(body)).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::CONFLICT, &Value::from("not_newest")),
            "{answer}"
        );
    }
    store.close().await;
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_this_installation_ring_without_a_declared_token() {
    let rig = Rig::new().await;
    let mut config = Config::load(&rig.path()).unwrap_or_else(|error| panic!("{error}"));
    config.admin.listen = rig.daemon.admin_addr;
    let clock: SharedClock = Arc::new(SystemClock);
    let store = crate::app::open(&config, &clock, OpenMode::Tool).await.unwrap();
    assert!(ring::ring(&config, &store).await);
    let key = reach::known_key(&store).await.unwrap().unwrap();
    let token = local_token(&key);
    let (status, _) = rig
        .call("post", ring::PATH, Some(token.expose_secret()), None)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    store.close().await;
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn toggles_are_listed_by_shop() {
    let rig = Rig::new().await;
    let (status, all) = rig.get("/api/v1/toggles").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(all.as_array().unwrap().len(), 8, "{all}");
    assert_eq!(
        all[0],
        serde_json::json!({"shop": "main", "object": "order", "direction": "in", "state": "on"})
    );
    let (status, main) = rig.get("/api/v1/toggles?shop=main").await;
    assert_eq!((status, main), (StatusCode::OK, all));
    let (status, body) = rig.get("/api/v1/toggles?shop=other").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::NOT_FOUND, &Value::from("unknown"))
    );
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toggle_is_changed_in_the_file_and_taken_up() {
    let rig = Rig::new().await;
    let before = rig.daemon.revision().unwrap();
    let put = async |path: &str, state: &str| {
        let body = Some(serde_json::json!({ "state": state }));
        rig.call("put", path, Some(TOKEN), body).await
    };
    let path = "/api/v1/shops/main/toggles/order/in";
    let (status, body) = put(path, "off").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((&body["before"], &body["after"]), (&"on".into(), &"off".into()));
    assert!(body["revision"].as_i64().unwrap() > before, "{body}");
    let kept = std::fs::read_to_string(rig.path()).unwrap();
    assert!(kept.contains("off") && kept.contains("# the toggles"), "{kept}");
    let (_, toggles) = rig.get("/api/v1/toggles").await;
    assert_eq!(toggles[0]["state"], "off", "{toggles}");
    for (path, state, status, code) in [
        (path, "sometimes", StatusCode::BAD_REQUEST, "invalid"),
        (
            "/api/v1/shops/other/toggles/order/in",
            "on",
            StatusCode::NOT_FOUND,
            "unknown",
        ),
        (
            "/api/v1/shops/main/toggles/refund/in",
            "on",
            StatusCode::NOT_FOUND,
            "unknown",
        ),
        (
            "/api/v1/shops/main/toggles/order/out",
            "on",
            StatusCode::CONFLICT,
            "toggle_refused",
        ),
    ] {
        let answer = put(path, state).await;
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (status, &Value::from(code)),
            "{path}"
        );
    }
    assert_eq!(std::fs::read_to_string(rig.path()).unwrap(), kept);
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_planned_applied_and_listed_as_by_the_command() {
    let shop = ShopSandbox::start(Options::quick()).await.unwrap();
    let token = Options::default().access.static_token.unwrap();
    let rig = Rig::with(
        &text("on")
            .replace("http://127.0.0.1:9'\naccess", &format!("{}'\naccess", shop.url()))
            .replace("main.myshopify.com", shop.domain())
            .replace("shpat_1", &token),
    )
    .await;
    // Nobody knows where Shopify reaches this daemon.
    let (status, body) = rig.get("/api/v1/webhooks/plan").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["shops"][0]["error"]["code"], "public_url_missing", "{body}");
    let public = format!("public_url = '{}'\n[admin]", "http://127.0.0.1:9");
    let now = std::fs::read_to_string(rig.path()).unwrap();
    // What the daemon's own task does is the subject of other tests: it looks at shops with a toggle that is on.
    std::fs::write(rig.path(), now.replace("[admin]", &public)).unwrap();
    rig.daemon.reload().await.unwrap();
    let apply = |body: Value| rig.call("post", "/api/v1/webhooks/apply", Some(TOKEN), Some(body));
    let applied = until("nobody else applies", async || {
        let (status, body) = apply(serde_json::json!({ "shop": "main" })).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        (body[0]["error"]["code"] != "busy").then_some(body)
    })
    .await;
    assert_eq!(applied[0]["is_complete"], true, "{applied}");
    let (_, plan) = rig.get("/api/v1/webhooks/plan?shop=main").await;
    let lines = plan["shops"][0]["lines"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .all(|line| line["kind"] == "unchanged" || line["kind"] == "skipped"),
        "{plan}"
    );
    let (_, listed) = rig.get("/api/v1/webhooks").await;
    let rows = listed[0]["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["topic"] == "orders/create" && row["status"] == "unproven"),
        "{listed}"
    );
    let stands = shop.read(|shop| shop.subscriptions().len());
    assert_eq!(
        stands,
        lines.iter().filter(|line| line["kind"] == "unchanged").count()
    );
    for (body, status, code) in [
        (
            serde_json::json!({ "remove": true }),
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
        (
            serde_json::json!({ "shop": "other" }),
            StatusCode::NOT_FOUND,
            "unknown",
        ),
        (
            serde_json::json!({ "shops": "main" }),
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
    ] {
        let answer = apply(body.clone()).await;
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (status, &Value::from(code)),
            "{body}"
        );
    }
    let (_, other) = apply(serde_json::json!({ "shop": "main", "hash": "0000" })).await;
    assert!(
        ["plan_changed", "busy"].contains(&other[0]["error"]["code"].as_str().unwrap()),
        "{other}"
    );
    rig.daemon.stop().await;
}

#[test]
fn the_description_has_every_route_and_no_dangling_reference() {
    let description = description();
    for route in routes::table() {
        let operation = &description["paths"][route.path][route.method];
        assert_eq!(operation["operationId"], route.id, "{}", route.path);
    }
    let mut references = Vec::new();
    collect(&description, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            description.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn the_description_in_the_docs_is_the_one_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/openapi.json");
    let fresh = serde_json::to_string_pretty(&description()).unwrap() + "\n";
    if std::env::var_os("LOCKSTEP_WRITE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == fresh,
        "{} is stale: run this test with LOCKSTEP_WRITE_DOCS=1",
        path.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_pushed_only_where_the_way_back_is_on() {
    use crate::sandbox::odoo::{OdooSandbox, Options as OdooOptions, Version};
    let erp = OdooSandbox::start(OdooOptions::version(Version::V18))
        .await
        .unwrap();
    let file = |out: &str| {
        let odoo = format!("url = '{}'", erp.url());
        text("on")
            .replace(
                "url = 'http://127.0.0.1:9'\ndatabase",
                &format!("{odoo}\ndatabase"),
            )
            .replace("login = 'a@example.com'", "login = 'connector@example.com'")
            .replace("api_key = 'k'", &format!("api_key = '{}'", erp.api_key()))
            + &format!("products = {{ in = 'on', out = '{out}' }}\n")
    };
    let rig = Rig::with(&file("off")).await;
    let push = async |path: &str| rig.call("post", path, Some(TOKEN), None).await;
    let path = "/api/v1/shops/main/push/product";
    let (status, body) = push(path).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"out_is_off".into())
    );
    for unknown in [
        "/api/v1/shops/other/push/product",
        "/api/v1/shops/main/push/order",
    ] {
        assert_eq!(push(unknown).await.0, StatusCode::NOT_FOUND, "{unknown}");
    }
    let values = serde_json::json!([{ "name": "Hat", "active": true }]);
    erp.as_admin("product.template", "create", values, serde_json::json!({}))
        .unwrap();
    std::fs::write(rig.path(), file("paused")).unwrap();
    rig.daemon.reload().await.unwrap();
    let (status, body) = push(path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let records = body["records"].as_u64().unwrap();
    assert!(records > 0 && body["made"] == body["records"], "{body}");
    let (_, again) = push(path).await;
    assert_eq!(
        (again["records"].as_u64(), again["made"].as_u64()),
        (Some(records), Some(0))
    );

    let resolve = "/api/v1/jobs/1/resolve";
    let keep = serde_json::json!({ "keep": "erp" });
    let (status, body) = rig.call("post", resolve, Some(TOKEN), Some(keep)).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"not_asked".into())
    );
    let neither = serde_json::json!({ "keep": "neither" });
    let (status, _) = rig.call("post", resolve, Some(TOKEN), Some(neither)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    rig.daemon.stop().await;
}
