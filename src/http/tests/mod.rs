//! The routes as clients see them, and the connections themselves.

mod bodies;
mod connections;
mod intake;
mod odoo;
mod rig;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::address::Peer;
use super::{Admin, AllowFrom, InstanceKey, NONCE_PATH, Settings, admin_router, finish, nonce_proof};
use crate::domain::SystemEntropy;
use crate::store::SharedStore;
use crate::store::faulty::StoreFault;
use rig::Rig;

fn get_of(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let rig = Rig::new().await;
    for (request, status, code) in [
        (get_of("/"), 404, "not_found"),
        (get_of("/webhooks"), 404, "not_found"),
        (get_of("/webhooks/shopify/"), 404, "not_found"),
        (get_of("/webhooks/shopify"), 405, "wrong_method"),
        (
            Request::post("/healthz").body(Body::empty()).unwrap(),
            405,
            "wrong_method",
        ),
        (get_of("/metrics"), 404, "not_found"),
        (get_of("/.well-known/lockstep/nonce/short"), 404, "not_found"),
    ] {
        let name = format!("{} {}", request.method(), request.uri());
        let (got, answer) = rig.call(request).await;
        assert_eq!(
            (got.as_u16(), answer["code"].as_str()),
            (status, Some(code)),
            "{name}"
        );
        assert_eq!(answer["status"], json!(status), "{name}");
        assert_eq!(answer["request_id"].as_str().map(str::len), Some(32), "{name}");
    }
}

#[tokio::test]
async fn health_is_alive_and_readiness_has_reasons() {
    let rig = Rig::new().await;
    assert_eq!(
        rig.call(get_of("/healthz")).await,
        (StatusCode::OK, json!({ "status": "alive" }))
    );
    let ready = json!({ "ready": true, "reasons": [] });
    assert_eq!(rig.call(get_of("/readyz")).await, (StatusCode::OK, ready));

    rig.pending.send(vec!["stopping".to_owned()]).unwrap();
    let (status, answer) = rig.call(get_of("/readyz")).await;
    assert_eq!(
        (status.as_u16(), &answer["reasons"][0]["reason"]),
        (503, &json!("stopping"))
    );
    rig.pending.send(Vec::new()).unwrap();

    rig.store.fail("ping", StoreFault::Away, 1);
    rig.clock.advance(std::time::Duration::from_secs(2));
    let (status, answer) = rig.call(get_of("/readyz")).await;
    assert_eq!(
        (status.as_u16(), &answer["reasons"][0]["part"]),
        (503, &json!("store"))
    );
    assert!(
        !answer.to_string().contains("pool"),
        "inner texts stay inside: {answer}"
    );
    assert_eq!(rig.call(get_of("/healthz")).await.0, 200, "still alive");

    let pings = rig.store.calls("ping");
    rig.clock.advance(std::time::Duration::from_secs(2));
    for _ in 0..20 {
        assert_eq!(rig.call(get_of("/readyz")).await.0, 200);
    }
    assert_eq!(rig.store.calls("ping"), pings + 1, "nobody wears the store down");
}

#[tokio::test]
async fn the_nonce_is_answered_with_this_installations_proof() {
    let rig = Rig::new().await;
    let nonce = "a-nonce-of-enough-length";
    let (status, answer) = rig.call(get_of(&format!("{NONCE_PATH}{nonce}"))).await;
    let proof = nonce_proof(&InstanceKey::new(vec![7; 32]), nonce);
    assert_eq!(
        (status.as_u16(), answer["proof"].as_str()),
        (200, proof.as_deref())
    );
}

#[tokio::test]
async fn routes_are_open_only_to_whom_the_settings_name() {
    let settings = Settings {
        allow_from: AllowFrom {
            webhooks: vec!["192.0.2.0/24".parse().unwrap()],
            health: vec!["127.0.0.1".parse().unwrap()],
        },
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let mut rig = Rig::with(settings).await;
    for (name, peer, forwarded, path, status) in [
        ("outside", "198.51.100.1", None, "/healthz", 403),
        ("inside", "127.0.0.1", None, "/healthz", 200),
        ("webhooks outside", "127.0.0.1", None, "/webhooks/shopify", 403),
        ("webhooks inside", "192.0.2.9", None, "/webhooks/shopify", 404),
        (
            "behind the proxy",
            "10.0.0.1",
            Some("192.0.2.9"),
            "/webhooks/shopify",
            404,
        ),
        (
            "forged behind the proxy",
            "10.0.0.1",
            Some("192.0.2.9, 198.51.100.1"),
            "/webhooks/shopify",
            403,
        ),
        (
            "forged without the proxy",
            "198.51.100.1",
            Some("192.0.2.9"),
            "/webhooks/shopify",
            403,
        ),
    ] {
        let mut request = if path == "/healthz" {
            get_of(path)
        } else {
            Request::post(path).body(Body::empty()).unwrap()
        };
        request
            .extensions_mut()
            .insert(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
        if let Some(forwarded) = forwarded {
            request
                .headers_mut()
                .insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        if path != "/healthz" {
            let domain = rig::DOMAIN.parse().unwrap();
            request.headers_mut().insert("x-shopify-shop-domain", domain);
        }
        let status = if status == 404 { 401 } else { status };
        assert_eq!(rig.call(request).await.0.as_u16(), status, "{name}");
    }
    // Lost webhooks do not go unseen.
    let refused = rig.refused().await;
    let not_allowed: Vec<_> = refused
        .iter()
        .filter(|count| count.reason == "not_allowed")
        .map(|count| (count.shop.as_str(), count.count))
        .collect();
    assert_eq!(not_allowed, [("main", 3)], "{refused:?}");
}

#[tokio::test]
async fn a_scrape_does_not_wait_for_a_store_that_hangs() {
    let rig = Rig::new().await;
    rig.store.fail("counts", StoreFault::Hangs, 1);
    let admin = Admin::new(
        Arc::clone(&rig.store) as SharedStore,
        Arc::new(rig.clock.clone()),
        crate::telemetry::metrics(),
    );
    let router = admin_router(Arc::new(admin), axum::Router::new(), Arc::new(SystemEntropy));
    let scrape = router.oneshot(get_of("/metrics"));
    let response = tokio::time::timeout(std::time::Duration::from_secs(60), scrape).await;
    assert_eq!(response.expect("it is answered").unwrap().status(), 200);
}

#[tokio::test]
async fn a_panic_becomes_a_plain_500() {
    async fn panics() -> &'static str {
        panic!("with a secret in it")
    }
    let router = finish(
        Router::new().route("/panic", get(panics)),
        Arc::new(SystemEntropy),
    );
    let response = router.oneshot(get_of("/panic")).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(response.headers().contains_key("x-request-id"));
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("secret"), "{body}");
}

#[tokio::test]
async fn metrics_are_rendered_with_the_queues_depth() {
    let rig = Rig::new().await;
    assert_eq!(rig.deliver("w1", "orders/create", r#"{"id":1}"#).await, 200);
    let admin = Admin::new(
        Arc::clone(&rig.store) as SharedStore,
        Arc::new(rig.clock.clone()),
        crate::telemetry::metrics(),
    );
    let router = admin_router(Arc::new(admin), axum::Router::new(), Arc::new(SystemEntropy));
    let scrape = async || {
        let response = router.clone().oneshot(get_of("/metrics")).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let text = scrape().await;
    let depth = r#"lockstep_queue_depth{shop="main",object="order",direction="in",state="available"} 1"#;
    assert!(text.contains(depth), "{text}");
    scrape().await;
    assert_eq!(rig.store.calls("counts"), 1, "counted once in a few seconds");
}
