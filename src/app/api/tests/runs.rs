//! Imports, full runs and the recovery plan through the API.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Rig, TOKEN, text};

const OPERATOR: &str = "a token of an operator";

async fn rig() -> Rig {
    let tokens =
        format!("tokens = ['{TOKEN}', {{ token = '{OPERATOR}', name = 'desk', role = 'operator' }}]");
    Rig::with(&text("paused").replace(&format!("tokens = ['{TOKEN}']"), &tokens)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_begun_stopped_and_resumed() {
    let rig = rig().await;
    let path = "/api/v1/shops/main/imports";
    let post =
        async |token: &str, path: &str, body: Value| rig.call("post", path, Some(token), Some(body)).await;
    for (body, status, code) in [
        (
            json!({ "objects": ["customer"] }),
            StatusCode::CONFLICT,
            "switched_off",
        ),
        (
            json!({ "objects": ["inventory"] }),
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
        (json!({ "object": "order" }), StatusCode::BAD_REQUEST, "invalid"),
        (
            json!({ "objects": ["order"], "since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" }),
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
    ] {
        let (answered, told) = post(TOKEN, path, body.clone()).await;
        assert_eq!(
            (answered, &told["code"]),
            (status, &Value::from(code)),
            "{body}: {told}"
        );
    }
    let (unknown, _) = post(TOKEN, "/api/v1/shops/other/imports", json!({})).await;
    assert_eq!(unknown, StatusCode::NOT_FOUND);

    // Lately made ones: whether older ones are shown is then not asked of Shopify.
    let since =
        crate::domain::Clock::now(&crate::domain::SystemClock).minus(std::time::Duration::from_secs(3600));
    let wanted = json!({ "objects": ["order"], "since": since });
    let (status, _) = post(OPERATOR, path, wanted.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "that is an administrator's");
    let (status, begun) = post(TOKEN, path, wanted.clone()).await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    let import = &begun["imports"][0];
    assert_eq!(
        (&import["object"], &import["state"]),
        (&json!("order"), &json!("running"))
    );
    assert_eq!(begun["warning"], Value::Null);
    let (status, again) = post(TOKEN, path, wanted).await;
    assert_eq!(
        (status, &again["code"]),
        (StatusCode::CONFLICT, &json!("under_way"))
    );

    let id = import["id"].as_i64().unwrap();
    // Each is told as it stands when it is asked for twice.
    for (turn, state) in [
        ("stop", "stopped"),
        ("stop", "stopped"),
        ("resume", "running"),
        ("resume", "running"),
    ] {
        let (status, told) = post(OPERATOR, &format!("/api/v1/imports/{id}/{turn}"), json!({})).await;
        assert_eq!(
            (status, &told["state"]),
            (StatusCode::OK, &json!(state)),
            "{turn}: {told}"
        );
        let (_, listed) = rig.get("/api/v1/imports?shop=main").await;
        assert_eq!(listed[0]["state"], state);
    }
    for (id, status) in [("77", StatusCode::NOT_FOUND), ("x", StatusCode::BAD_REQUEST)] {
        let (answered, told) = post(OPERATOR, &format!("/api/v1/imports/{id}/stop"), json!({})).await;
        assert_eq!(answered, status, "{told}");
    }
    let (_, audit) = rig.get("/api/v1/audit?action=import%20stop").await;
    assert!(audit.to_string().contains("desk"), "{audit}");
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_runs_are_begun_and_listed_and_the_recovery_plan_is_told() {
    let rig = rig().await;
    let path = "/api/v1/shops/main/reconcile";
    let post = async |body: Value| rig.call("post", path, Some(OPERATOR), Some(body)).await;
    for body in [
        json!({ "objects": ["inventory"] }),
        json!({ "sample": 0 }),
        json!({ "sample": 5, "since": "2026-01-01T00:00:00Z" }),
    ] {
        let (status, told) = post(body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {told}");
    }
    let (_, told) = post(json!({ "objects": ["inventory"] })).await;
    assert!(
        told.to_string().contains("Stock is compared where it is sent"),
        "{told}"
    );
    let (status, begun) = post(json!({ "objects": ["order"], "dry_run": true })).await;
    assert_eq!(
        (status, &begun["object"]),
        (StatusCode::OK, &json!("order")),
        "{begun}"
    );
    let (_, runs) = rig.get("/api/v1/runs?shop=main").await;
    assert_eq!(runs[0]["id"], begun["run"], "{runs}");
    assert_eq!(runs[0]["cause"], "asked for by desk (api)", "{runs}");
    let (status, reports) = rig.get("/api/v1/reconcile?shop=main&object=order").await;
    assert_eq!(
        (status, reports),
        (StatusCode::OK, json!([])),
        "none came to its end"
    );
    assert_eq!(
        rig.get("/api/v1/reconcile?object=thing").await.0,
        StatusCode::BAD_REQUEST
    );
    let (status, plan) = rig.get("/api/v1/recovery").await;
    assert_eq!(
        (status, &plan["shops"][0]["shop"]),
        (StatusCode::OK, &json!("main")),
        "{plan}"
    );
    assert!(
        plan["shops"][0]["outages"]
            .as_array()
            .is_some_and(|outages| !outages.is_empty())
    );
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_compared_where_it_is_sent_to_the_shop() {
    let rig = Rig::with(&format!("{}inventory = {{ out = 'on' }}\n", text("paused"))).await;
    let body = json!({ "objects": ["inventory"], "dry_run": true });
    let (status, begun) = rig
        .call("post", "/api/v1/shops/main/reconcile", Some(TOKEN), Some(body))
        .await;
    assert_eq!(
        (status, &begun["object"]),
        (StatusCode::OK, &json!("inventory")),
        "{begun}"
    );
    rig.daemon.stop().await;
}
