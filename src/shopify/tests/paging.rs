//! Records in pages, records that change meanwhile, records that are gone.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::support::{Stage, data};
use crate::domain::{Clock as _, Disposition, LinkKind, ShopifyId};
use crate::shopify::{OrderOf, ShopifyError};

const ID: ShopifyId = ShopifyId(9);
const THEN: &str = "2026-11-20T10:00:00Z";
const LATER: &str = "2026-11-20T10:00:01Z";

fn variant(id: u64) -> Value {
    json!({
        "id": format!("gid://shopify/ProductVariant/{id}"), "title": format!("V{id}"), "price": "1.0", "taxable": true,
        "selectedOptions": [{"name": "Size", "value": format!("V{id}")}],
        "inventoryItem": {"id": "gid://shopify/InventoryItem/1", "tracked": true, "requiresShipping": true},
    })
}

fn list(ids: std::ops::Range<u64>, next: Option<&str>) -> Value {
    let nodes: Vec<Value> = ids.map(variant).collect();
    json!({"pageInfo": {"hasNextPage": next.is_some(), "endCursor": next}, "nodes": nodes})
}

fn first(updated: &str, variants: &Value) -> ResponseTemplate {
    data(&json!({"product": {
        "id": "gid://shopify/Product/9", "title": "Tee", "handle": "tee", "status": "ACTIVE",
        "hasOnlyDefaultVariant": false, "createdAt": THEN, "updatedAt": updated, "variants": variants,
    }}))
}

fn next(updated: &str, variants: &Value) -> ResponseTemplate {
    data(&json!({"owner": {"updatedAt": updated}, "holder": {"page": variants}}))
}

#[tokio::test]
async fn every_page_is_read_to_the_end() {
    let stage = Stage::new().await;
    stage.answers([
        first(THEN, &list(1..101, Some("a"))),
        next(THEN, &list(101..201, Some("b"))),
        next(THEN, &list(201..258, None)),
    ]);
    let product = stage.shop().product(ID, "").await.unwrap().unwrap();
    let ids: Vec<u64> = product.variants.iter().map(|variant| variant.id.0).collect();
    assert_eq!(ids, (1..258).collect::<Vec<u64>>());
    let asked: Vec<Value> = stage
        .asked()
        .iter()
        .map(|asked| serde_json::from_str(&asked.body).unwrap())
        .collect();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0]["variables"], json!({"id": "gid://shopify/Product/9"}));
    assert_eq!(asked[0]["operationName"], json!("LockstepProduct"));
    assert_eq!(
        asked[2]["variables"],
        json!({"owner": "gid://shopify/Product/9", "holder": "gid://shopify/Product/9", "cursor": "b"})
    );
}

#[tokio::test]
async fn a_record_that_changes_between_two_pages_is_read_again_from_the_start() {
    let stage = Stage::new().await;
    stage.answers([
        first(THEN, &list(1..3, Some("a"))),
        next(LATER, &list(3..5, None)),
        first(LATER, &list(11..13, Some("a"))),
        next(LATER, &list(13..15, None)),
    ]);
    let product = stage.shop().product(ID, "").await.unwrap().unwrap();
    let ids: Vec<u64> = product.variants.iter().map(|variant| variant.id.0).collect();
    assert_eq!(ids, [11, 12, 13, 14], "one state, never a mixture");
}

#[tokio::test]
async fn a_record_that_never_rests_is_left_for_later() {
    let stage = Stage::new().await;
    let turns = (0..8).flat_map(|_| {
        [
            first(THEN, &list(1..3, Some("a"))),
            next(LATER, &list(3..5, None)),
        ]
    });
    stage.answers(turns);
    let before = stage.clock.now();
    let error = stage.shop().product(ID, "").await.unwrap_err();
    assert!(
        matches!(error, ShopifyError::KeepsChanging { tries: 4 }),
        "{error:?}"
    );
    // 1 + 2 + 4 seconds between four readings; the record is not to blame for changing.
    let waited = stage.clock.now().since(before);
    assert!(waited >= Duration::from_secs(7), "{waited:?}");
    assert!(
        matches!(error.disposition(), Disposition::NotYet { .. }),
        "{:?}",
        error.disposition()
    );
}

#[tokio::test]
async fn a_record_that_goes_between_two_pages_is_gone() {
    let stage = Stage::new().await;
    stage.answers([
        first(THEN, &list(1..3, Some("a"))),
        data(&json!({"owner": null, "holder": null})),
        data(&json!({"product": null})),
    ]);
    assert!(stage.shop().product(ID, "").await.unwrap().is_none());
}

#[tokio::test]
async fn an_unknown_record_is_none_and_a_missing_field_is_not() {
    let stage = Stage::new().await;
    stage.answers([data(&json!({"order": null, "customer": null}))]);
    assert!(stage.shop().order(ID, "").await.unwrap().is_none());
    assert!(stage.shop().customer(ID, "").await.unwrap().is_none());
    let error = stage.shop().product(ID, "").await.unwrap_err();
    assert_eq!(error.code(), "shopify_answer_incomplete");
}

#[tokio::test]
async fn pages_that_do_not_say_how_they_go_on_are_refused() {
    for (name, broken) in [
        (
            "no cursor",
            json!({"pageInfo": {"hasNextPage": true, "endCursor": null}, "nodes": []}),
        ),
        ("no word on the end", json!({"pageInfo": null, "nodes": []})),
        ("no nodes", json!({"pageInfo": {"hasNextPage": false}})),
    ] {
        let stage = Stage::new().await;
        stage.answers([first(THEN, &list(1..3, Some("a"))), next(THEN, &broken)]);
        let error = stage.shop().product(ID, "").await.unwrap_err();
        assert_eq!(error.code(), "shopify_answer_incomplete", "{name}");
    }
    // A list that goes on for ever ends somewhere.
    let stage = Stage::new().await;
    stage.answers([
        first(THEN, &list(1..2, Some("a"))),
        next(THEN, &list(1..2, Some("a"))),
    ]);
    let error = stage.shop().product(ID, "").await.unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
}

#[tokio::test]
async fn lists_within_refunds_are_read_to_the_end_too() {
    use crate::shopify::normalise::order;
    let stage = Stage::new().await;
    let shop = stage.shop();
    let empty = json!({"pageInfo": {"hasNextPage": false}, "nodes": []});
    let more = |cursor: &str, node: Value| json!({"pageInfo": {"hasNextPage": true, "endCursor": cursor}, "nodes": [node]});
    stage.answers([
        data(&json!({"order": {
            "id": "gid://shopify/Order/9", "updatedAt": THEN, "lineItems": more("l", json!({"n": 1})),
            "shippingLines": more("s", json!({"n": 1})), "discountApplications": more("d", json!({"n": 1})),
            "refunds": [{
                "id": "gid://shopify/Refund/4", "refundLineItems": more("r", json!({"n": 1})),
                "refundShippingLines": more("t", json!({"n": 1})),
            }, {
                "id": "gid://shopify/Refund/5", "refundLineItems": empty, "refundShippingLines": empty,
            }],
        }})),
        data(&json!({
            "owner": {"updatedAt": THEN},
            "holder": {"page": {"pageInfo": {"hasNextPage": false}, "nodes": [{"n": 2}]}},
        })),
    ]);
    let raw = super::super::fetch::whole(&shop.client, &super::super::fetch::ORDER, ID, "")
        .await
        .unwrap()
        .unwrap();
    for list in [
        "/lineItems",
        "/shippingLines",
        "/discountApplications",
        "/refunds/0/refundLineItems",
        "/refunds/0/refundShippingLines",
    ] {
        assert_eq!(
            raw.pointer(list),
            Some(&json!({"nodes": [{"n": 1}, {"n": 2}]})),
            "{list}"
        );
    }
    let asked: Vec<(String, Value)> = stage
        .asked()
        .iter()
        .map(|asked| serde_json::from_str::<Value>(&asked.body).unwrap())
        .map(|body| {
            (
                body["operationName"].to_string(),
                body["variables"]["holder"].clone(),
            )
        })
        .collect();
    assert_eq!(asked.len(), 6);
    assert_eq!(
        asked[4],
        (
            "\"LockstepRefundLines\"".to_owned(),
            json!("gid://shopify/Refund/4")
        )
    );
    // What is not whole is no order, whoever calls.
    assert!(order(raw, crate::shopify::CurrencyChoice::Shop).is_err());
}

#[tokio::test]
async fn the_orders_of_parts_are_asked_for_a_hundred_at_a_time_and_in_their_order() {
    let stage = Stage::new().await;
    let order = |id: u64, cancelled: Option<&str>| json!({"id": format!("gid://shopify/Order/{id}"), "cancelledAt": cancelled});
    let mut first = vec![json!({"paid": order(1, None)}); 98];
    first.push(Value::Null);
    first.push(json!({"paid": order(2, Some(THEN))}));
    stage.answers([
        data(&json!({ "nodes": first })),
        data(&json!({"nodes": [{"status": "CANCELLED", "sent": order(3, None)}]})),
        data(&json!({"nodes": []})),
    ]);
    let mut parts: Vec<_> = (1..=100).map(|id| (LinkKind::Payment, ShopifyId(id))).collect();
    parts.push((LinkKind::Fulfillment, ShopifyId(101)));
    let shop = stage.shop();
    let found = shop.orders_of(&parts).await.unwrap();
    let of = |order, is_cancelled| {
        Some(OrderOf {
            order: ShopifyId(order),
            is_cancelled,
        })
    };
    assert_eq!(found.len(), 101);
    assert_eq!((found[0], found[98]), (of(1, false), None));
    assert_eq!((found[99], found[100]), (of(2, true), of(3, true)));
    let asked: Value = serde_json::from_str(&stage.asked()[1].body).unwrap();
    assert_eq!(
        asked["variables"],
        json!({"ids": ["gid://shopify/Fulfillment/101"]})
    );
    let broken = shop.orders_of(&parts[..1]).await.unwrap_err();
    assert!(matches!(broken, ShopifyError::Incomplete { .. }), "{broken:?}");
}
