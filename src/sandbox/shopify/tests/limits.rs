//! Who may ask how much, and what happens when the shop does not want to answer.

use serde_json::{Value as Json, json};

use super::*;
use crate::sandbox::shopify::faults::ApiFault;
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::options::Rate;

#[tokio::test]
async fn tokens_are_granted_end_and_are_counted() {
    let now = std::sync::Arc::new(std::sync::Mutex::new(
        chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
    ));
    let mut options = quick();
    let clock = std::sync::Arc::clone(&now);
    options.clock = std::sync::Arc::new(move || *clock.lock().unwrap());
    let shop = start(options).await;
    let url = format!("{}/admin/oauth/access_token", shop.url());
    let access = Access::default();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", access.client_id.as_str()),
        ("client_secret", access.client_secret.as_str()),
    ];
    let granted: Json = client()
        .post(&url)
        .form(&form)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(granted["expires_in"], 86399);
    let json_form =
        json!({"grant_type": "client_credentials", "client_id": "sandbox-client-id", "client_secret": "no"});
    assert_eq!(
        client()
            .post(&url)
            .json(&json_form)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );

    let call = |token: String| {
        let body = json!({"query": "{ currentAppInstallation { accessScopes { handle } } }"});
        let url = format!("{}/admin/api/2026-10/graphql.json", shop.url());
        client()
            .post(url)
            .header("X-Shopify-Access-Token", token)
            .json(&body)
            .send()
    };
    let token = granted["access_token"].as_str().unwrap().to_owned();
    let answer: Json = call(token.clone()).await.unwrap().json().await.unwrap();
    assert_eq!(
        answer["data"]["currentAppInstallation"]["accessScopes"][0]["handle"],
        "read_orders"
    );
    *now.lock().unwrap() += chrono::Duration::seconds(86_400);
    let refused = call(token).await.unwrap();
    assert_eq!(refused.status(), 401);
    let body: Json = refused.json().await.unwrap();
    assert!(
        body["errors"]
            .as_str()
            .unwrap()
            .starts_with("[API] Invalid API key")
    );
    let calls = shop.ledger().calls;
    assert_eq!((calls.token_grants, calls.unauthorized, calls.graphql), (1, 1, 2));
}

#[tokio::test]
async fn missing_scopes_deny_the_field_and_keep_the_rest() {
    let shop = start(quick()).await;
    let id = shop.change(order);
    shop.change(|s| s.grant_scopes(&["read_orders"]));
    let query = "query($id: ID!) { order(id: $id) { name customer { id } } }";
    let answer = run(&shop, query, json!({"id": gid("Order", id)})).await;
    assert_eq!(
        answer["data"],
        json!({"order": {"name": "#1001", "customer": null}})
    );
    assert_eq!(answer["errors"][0]["extensions"]["code"], "ACCESS_DENIED");
    assert_eq!(answer["errors"][0]["path"], json!(["order", "customer"]));
    assert_eq!(
        answer["errors"][0]["extensions"]["requiredAccess"],
        "`read_customers` access scope."
    );
    // Orders older than 60 days need a scope of their own; without it they are not there.
    let old = shop.change(|s| {
        let created_at = Some(s.now() - chrono::Duration::days(61));
        let lines = vec![LineDraft::custom("Old", d("1"), 1)];
        s.place_order(OrderDraft {
            lines,
            created_at,
            ..OrderDraft::default()
        })
        .unwrap()
    });
    let query = "query($id: ID!) { order(id: $id) { name } orders(first: 9) { nodes { name } } }";
    let answer = run(&shop, query, json!({"id": gid("Order", old)})).await;
    assert_eq!(
        answer["data"],
        json!({"order": null, "orders": {"nodes": [{"name": "#1001"}]}})
    );
}

#[tokio::test]
async fn cost_is_reserved_refunded_and_throttled() {
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut options = quick();
    options.clock = std::sync::Arc::new(move || now);
    options.rate = Rate {
        restore_rate: 100.0,
        maximum_available: 200.0,
        max_query_cost: 1000,
    };
    let shop = start(options).await;
    let id = shop.change(order);
    let variables = json!({"id": gid("Order", id)});
    let call = || async {
        let answer = request(&shop, "2026-10", DOCUMENTS, &variables, Some("ConnectorOrder"))
            .send()
            .await
            .unwrap();
        answer.json::<Json>().await.unwrap()
    };
    let cost = call().await["extensions"]["cost"].clone();
    assert_eq!(cost["requestedQueryCost"], 169);
    let actual = cost["actualQueryCost"].as_f64().unwrap();
    assert!(actual > 0.0 && actual < 169.0, "{cost}");
    assert_eq!(cost["throttleStatus"]["currentlyAvailable"], 200.0 - actual);
    assert_eq!(cost["throttleStatus"]["restoreRate"], 100.0);
    shop.drain_bucket(100.0);
    let refused = call().await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "THROTTLED");
    assert_eq!(refused["errors"][0]["message"], "Throttled");
    assert_eq!(refused["data"], Json::Null);
    assert_eq!(refused["extensions"]["cost"]["actualQueryCost"], Json::Null);
    assert_eq!(
        refused["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"],
        100.0
    );
    assert_eq!(shop.ledger().calls.throttled, 1);
}

#[tokio::test]
async fn versions_fall_forward() {
    let shop = start(quick()).await;
    for (asked, served) in [
        ("2026-10", "2026-10"),
        ("2026-04", "2026-04"),
        ("2024-01", "2026-01"),
    ] {
        let answer = request(&shop, asked, "{ shop { name } }", &json!({}), None)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["X-Shopify-API-Version"], served, "{asked}");
        assert!(answer.headers().contains_key("X-Request-Id"));
    }
    assert_eq!(
        request(&shop, "nope", "{ shop { name } }", &json!({}), None)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn faults_strike_once_and_leave_the_shop_working() {
    let shop = start(quick()).await;
    let ask = || {
        request(
            &shop,
            "2026-10",
            "query Named { shop { name } }",
            &json!({}),
            None,
        )
        .send()
    };
    for (fault, status) in [
        (ApiFault::Unauthorized, 401),
        (ApiFault::Frozen, 402),
        (ApiFault::Forbidden, 403),
        (ApiFault::NotFound, 404),
        (ApiFault::Locked, 423),
        (ApiFault::TooManyRequests(2.0), 429),
        (ApiFault::SecurityRejection, 430),
        (ApiFault::HtmlError(503), 503),
        (ApiFault::Throttled, 200),
        (ApiFault::InternalError, 200),
        (ApiFault::PartialData, 200),
        (ApiFault::Garbage, 200),
    ] {
        shop.inject(fault.clone(), Some("Named"), 1);
        let answer = ask().await.unwrap();
        assert_eq!(answer.status(), status, "{fault:?}");
        let headers = answer.headers().clone();
        let text = answer.text().await.unwrap();
        match fault {
            ApiFault::TooManyRequests(_) => assert_eq!(headers["Retry-After"], "2.0"),
            ApiFault::HtmlError(_) => assert!(text.starts_with("<!DOCTYPE html>")),
            ApiFault::Garbage => assert!(serde_json::from_str::<Json>(&text).is_err()),
            ApiFault::PartialData => {
                assert!(text.contains("\"shop\":null") && text.contains("INTERNAL_SERVER_ERROR"));
            }
            _ => assert!(text.contains("errors"), "{text}"),
        }
        assert!(
            ask()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
                .contains("Sandbox Shop"),
            "after {fault:?}"
        );
    }
    for fault in [ApiFault::CutBefore, ApiFault::CutAfter] {
        shop.inject(fault, None, 1);
        assert!(ask().await.is_err());
        assert!(ask().await.is_ok());
    }
}
