//! Hints of Odoo's: who may give one, and how many.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::rig::{HINT_TOKEN, Rig};
use crate::http::address::Peer;

fn hint(path: &str, token: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path);
    if let Some(token) = token {
        request = request.header("X-Lockstep-Token", token);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn a_hint_counts_with_the_token_in_the_path_or_in_the_header() {
    let rig = Rig::new().await;
    let in_path = format!("/webhooks/odoo/main/{HINT_TOKEN}");
    let body = json!({"_model": "res.partner", "_id": 7, "_action": "x"}).to_string();
    for (request, model) in [
        (hint(&in_path, None, body.clone()), Some("res.partner")),
        (
            hint("/webhooks/odoo/main", Some(HINT_TOKEN), body),
            Some("res.partner"),
        ),
        (hint(&in_path, None, "no json"), None),
        (hint(&in_path, None, "{\"_model\": \"Robert'); DROP\"}"), None),
        (hint(&in_path, None, "x".repeat(100_000)), None),
    ] {
        let (status, _) = rig.call(request).await;
        assert_eq!(status, 202);
        let told = rig.hinted.take();
        assert_eq!(told, [("main".to_owned(), model.map(str::to_owned))]);
    }
}

#[tokio::test]
async fn without_the_right_token_all_get_the_same_answer() {
    let rig = Rig::new().await;
    let mut answers = Vec::new();
    for request in [
        hint("/webhooks/odoo/main", None, ""),
        hint("/webhooks/odoo/main", Some("wrong"), ""),
        hint("/webhooks/odoo/main/wrong", Some(HINT_TOKEN), ""),
        // It takes no hints.
        hint("/webhooks/odoo/other", Some(HINT_TOKEN), ""),
        hint("/webhooks/odoo/nobody", Some(HINT_TOKEN), ""),
        hint("/webhooks/odoo/No%20Name", Some(HINT_TOKEN), ""),
    ] {
        let (status, mut body) = rig.call(request).await;
        assert_eq!(status, 401);
        body["request_id"] = json!(null);
        answers.push(body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(rig.hinted.take(), []);
}

#[tokio::test]
async fn hints_are_limited_and_wrong_ones_of_others_use_nothing_up() {
    let rig = Rig::new().await;
    let status = async |token: &str| from(&rig, "192.0.2.1", "main", token).await;
    for n in 0..200 {
        let expected = if n < 20 { 401 } else { 429 };
        assert_eq!(from(&rig, "198.51.100.9", "main", "wrong").await, expected, "{n}");
    }
    let mut taken = 0;
    for _ in 0..100 {
        taken += u32::from(status(HINT_TOKEN).await == 202);
    }
    assert_eq!(taken, 60);
    assert_eq!(status(HINT_TOKEN).await, 429);
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(status(HINT_TOKEN).await, 202);
    assert_eq!(rig.hinted.take().len(), 61);
}

async fn from(rig: &Rig, client: &str, shop: &str, token: &str) -> u16 {
    let mut request = hint(&format!("/webhooks/odoo/{shop}"), Some(token), "");
    let client = SocketAddr::new(client.parse().unwrap(), 1);
    request.extensions_mut().insert(Peer(client));
    rig.call(request).await.0.as_u16()
}

#[tokio::test]
async fn who_shows_many_wrong_tokens_is_not_heard_for_a_while() {
    let rig = Rig::new().await;
    let guesser = "2001:db8:1:2::7";
    // One address guesses for all shops, those that are not there included.
    for n in 0..20 {
        let shop = ["main", "other", "nobody"][n % 3];
        assert_eq!(from(&rig, guesser, shop, &format!("guess-{n}")).await, 401, "{n}");
    }
    for client in [guesser, "2001:db8:1:2:ffff::1"] {
        for (shop, token) in [
            ("main", "guess"),
            ("nobody", "guess"),
            ("other", HINT_TOKEN),
            // Even the right one: else it would be found by trying.
            ("main", HINT_TOKEN),
        ] {
            assert_eq!(from(&rig, client, shop, token).await, 429, "{client} {shop}");
        }
    }
    assert_eq!(rig.hinted.take(), []);
    for other in ["2001:db8:1:3::7", "192.0.2.1"] {
        assert_eq!(from(&rig, other, "main", HINT_TOKEN).await, 202, "{other}");
    }
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(from(&rig, guesser, "main", "guess").await, 401);
    assert_eq!(from(&rig, guesser, "main", HINT_TOKEN).await, 429);
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(from(&rig, guesser, "main", HINT_TOKEN).await, 202);
}

#[tokio::test]
async fn addresses_without_end_fill_no_memory_and_are_limited_together() {
    let rig = Rig::new().await;
    for n in 0..4_096_u32 {
        let client = std::net::Ipv4Addr::from(0x0A00_0000 + n).to_string();
        assert_eq!(from(&rig, &client, "main", "guess").await, 401);
    }
    let mut heard = 0;
    for n in 0..100_u32 {
        let client = std::net::Ipv4Addr::from(0x0B00_0000 + n).to_string();
        heard += u32::from(from(&rig, &client, "main", "guess").await == 401);
    }
    assert_eq!(heard, 20);
    // Later those of before are forgotten.
    rig.clock.advance(Duration::from_secs(120));
    assert_eq!(from(&rig, "11.0.0.1", "main", HINT_TOKEN).await, 202);
}
