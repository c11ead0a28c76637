//! Throttling as Shopify says it, versions, look-ups by name, and the rows of `check`.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::support::{Stage, answer, cost, data, ok, shop_id, throttled};
use crate::domain::{CheckOutcome, Clock as _, Disposition, Object, ShopifyId, Timestamp};
use crate::shopify::{CheckNeeds, ShopifyError};

/// How long the queue is to wait. Neither our own line nor Shopify's throttling is a failure of the job: as many of them as may
/// come, it never becomes a problem.
fn no_try_is_lost(error: &ShopifyError) -> Duration {
    match error.disposition() {
        Disposition::NotYet { after } => after,
        other => panic!("{error:?}: {other:?}"),
    }
}

#[tokio::test]
async fn throttling_is_waited_out_by_the_buckets_own_numbers() {
    let stage = Stage::new().await;
    let shop = stage.shop();
    // 800 points asked, 100 there, 100 a second: 7 seconds, and up to half a second more.
    stage.answers([throttled(800, 100), shop_id()]);
    let before = stage.clock.now();
    shop.probe().await.unwrap();
    let waited = stage.clock.now().since(before);
    assert!(
        (Duration::from_secs(7)..Duration::from_millis(7_600)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(stage.asked().len(), 2);
    assert_eq!(shop.bucket_level(), Some(1990.0));
}

#[tokio::test]
async fn a_wait_beyond_patience_is_handed_to_the_queue() {
    let stage = Stage::new().await;
    let shop = stage.shop();
    // 2000 points at 20 a second: 100 seconds.
    let mut reply = json!({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]});
    reply["extensions"] = cost(1000, 0);
    reply["extensions"]["cost"]["throttleStatus"]["restoreRate"] = json!(10.0);
    stage.answers([ok(&reply)]);
    let error = shop.probe().await.unwrap_err();
    let wait = no_try_is_lost(&error);
    assert!(
        (Duration::from_secs(100)..Duration::from_secs(101)).contains(&wait),
        "{wait:?}"
    );
    assert_eq!(stage.asked().len(), 1);
}

#[tokio::test]
async fn throttling_without_numbers_is_waited_out_longer_each_time() {
    let stage = Stage::new().await;
    let shop = stage.shop();
    let bare = || ok(&json!({"errors": [{"message": "Throttled"}]}));
    stage.answers([bare(), bare(), bare(), shop_id()]);
    let before = stage.clock.now();
    shop.probe().await.unwrap();
    // 1 + 2 + 4 seconds, each with up to half a second more.
    let waited = stage.clock.now().since(before);
    assert!(
        (Duration::from_secs(7)..Duration::from_millis(8_600)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test]
async fn http_429_is_waited_out_and_430_is_not_hammered() {
    let stage = Stage::new().await;
    let shop = stage.shop();
    stage.answers([
        ResponseTemplate::new(429).insert_header("Retry-After", "2.0"),
        shop_id(),
    ]);
    shop.probe().await.unwrap();
    assert_eq!(stage.asked().len(), 2);
    stage.answers([ResponseTemplate::new(430)]);
    let error = shop.probe().await.unwrap_err();
    let wait = no_try_is_lost(&error);
    assert!(wait >= Duration::from_mins(2), "{wait:?}");
    assert_eq!(stage.asked().len(), 1);
    stage.answers([shop_id()]);
    let error = shop.probe().await.unwrap_err();
    assert_eq!(stage.asked().len(), 0, "nobody asks anything during the pause");
    no_try_is_lost(&error);
    stage.clock.advance_s(121);
    shop.probe().await.unwrap();
}

#[tokio::test]
async fn the_version_served_is_kept() {
    let stage = Stage::new().await;
    let shop = stage.shop();
    assert_eq!(shop.served_version(), None);
    stage.answers([shop_id()]);
    shop.probe().await.unwrap();
    assert_eq!(shop.served_version().as_deref(), Some("2026-10"));
    let fallen = answer(200, &json!({"data": {"shop": {"id": "1"}}}));
    stage.answers([fallen.insert_header("X-Shopify-API-Version", "2027-01")]);
    shop.probe().await.unwrap();
    assert_eq!(shop.served_version().as_deref(), Some("2027-01"));
}

#[tokio::test]
async fn orders_are_found_by_their_very_name() {
    let stage = Stage::new().await;
    let shop = stage.shop();
    let node = |id: u64, name: &str| json!({"id": format!("gid://shopify/Order/{id}"), "name": name});
    stage.answers([data(
        &json!({"orders": {"nodes": [node(1, "#1001"), node(2, "#10010"), node(3, "#1001")]}}),
    )]);
    for name in ["#1001", "1001", " #1001 "] {
        let found = shop.find_order_by_name(name).await.unwrap();
        assert_eq!(
            found,
            [
                (ShopifyId(1), "#1001".to_owned()),
                (ShopifyId(3), "#1001".to_owned())
            ],
            "{name}"
        );
    }
    stage.asked();
    shop.find_order_by_name("a\" OR name:\"\\").await.unwrap();
    let body: Value = serde_json::from_str(&stage.asked()[0].body).unwrap();
    assert_eq!(
        body["variables"]["search"],
        json!("name:\"a\\\" OR name:\\\"\\\\\""),
        "quotes stay inside the quotes"
    );
}

#[tokio::test]
async fn admin_addresses_name_the_shop() {
    let stage = Stage::new().await;
    assert_eq!(
        stage.shop().admin_url("order", ShopifyId(7)),
        "https://test-shop.myshopify.com/admin/orders/7"
    );
}

fn installation(domain: &str, scopes: &[&str]) -> ResponseTemplate {
    let scopes: Vec<Value> = scopes.iter().map(|handle| json!({ "handle": handle })).collect();
    data(&json!({
        "shop": {
            "name": "Test", "myshopifyDomain": domain, "currencyCode": "EUR", "taxesIncluded": true,
            "ianaTimezone": "Europe/Berlin", "plan": {"publicDisplayName": "Basic"},
        },
        "currentAppInstallation": {"accessScopes": scopes},
    }))
}

#[tokio::test]
async fn check_says_what_works_and_what_is_missing() {
    use CheckOutcome::{Failed, Ok, Skipped, Warning};
    let needs = CheckNeeds {
        reads: vec![Object::Order],
        topics: vec!["orders/create".to_owned(), "fulfillments/create".to_owned()],
        orders_since: Some(Timestamp::from_millis(0)),
        ..CheckNeeds::default()
    };
    let all = [
        "write_orders",
        "read_customers",
        "read_products",
        "read_fulfillments",
        "read_all_orders",
    ];
    let domain = "test-shop.myshopify.com";
    for (name, reply, outcomes, word) in [
        (
            "all is well",
            installation(domain, &all),
            [Ok, Ok, Ok, Ok, Ok, Ok, Warning],
            "plan Basic",
        ),
        (
            "scopes missing",
            installation(domain, &["read_orders"]),
            [Ok, Ok, Ok, Failed, Warning, Warning, Warning],
            "missing: read_customers, read_products",
        ),
        (
            "another shop",
            installation("other.myshopify.com", &all),
            [Ok, Failed, Ok, Ok, Ok, Ok, Warning],
            "the configuration names test-shop.myshopify.com",
        ),
        (
            "another version",
            installation(domain, &all).insert_header("X-Shopify-API-Version", "2027-01"),
            [Ok, Ok, Warning, Ok, Ok, Ok, Warning],
            "2026-10 was asked for, 2027-01 is served",
        ),
        (
            "token refused",
            answer(401, &json!({"errors": "[API] Invalid API key"})),
            [Failed, Skipped, Skipped, Skipped, Skipped, Skipped, Skipped],
            "Put a valid Admin API access token",
        ),
    ] {
        let stage = Stage::new().await;
        stage.answers([reply]);
        let rows = stage.shop().check(&needs).await.rows;
        let seen: Vec<CheckOutcome> = rows.iter().map(|row| row.outcome).collect();
        assert_eq!(seen, outcomes, "{name}: {rows:?}");
        assert!(rows.iter().any(|row| row.note.contains(word)), "{name}: {rows:?}");
    }
}
