//! Good answers are told from bad ones, and what a failure says.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::errors::{WRITE, denied, down, outcome};
use super::support::{SkippingClock, Stage, connect, cost, data, ok, shop_id};
use crate::shopify::ShopifyError;
use crate::shopify::documents::{CUSTOMER, ORDERS_BY_NAME, PROBE};

#[tokio::test]
async fn good_answers_are_told_from_bad_ones() {
    let stage = Stage::new().await;
    let searched = json!({"orders": {"nodes": []}});
    for (name, document, reply) in [
        ("data", &PROBE, shop_id()),
        (
            "no errors",
            &PROBE,
            ok(&json!({"data": {"shop": null}, "errors": []})),
        ),
        (
            "errors null",
            &PROBE,
            ok(&json!({"data": {"shop": null}, "errors": null})),
        ),
        ("an unknown record", &CUSTOMER, data(&json!({"customer": null}))),
        (
            "a personal field refused",
            &CUSTOMER,
            denied(&json!(["customer", "phone"]), &json!({"id": "x", "phone": null})),
        ),
        (
            "a personal field in a list refused",
            &CUSTOMER,
            denied(
                &json!(["customer", "addressesV2", "nodes", 0, "city"]),
                &json!({"addressesV2": {"nodes": [{"city": null}]}}),
            ),
        ),
        (
            "a search without warnings",
            &ORDERS_BY_NAME,
            ok(
                &json!({"data": searched, "extensions": {"search": [{"path": ["orders"], "parsed": {}, "warnings": []}]}}),
            ),
        ),
        (
            "a write",
            &WRITE,
            data(&json!({"tagsAdd": {"node": {"id": "1"}, "userErrors": []}})),
        ),
    ] {
        let outcome = outcome(&stage, document, vec![reply]).await;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_customer_knows_which_of_its_fields_were_refused() {
    let stage = Stage::new().await;
    let refused = |path: Value| {
        json!({
            "message": "Access denied.", "path": path,
            "extensions": {"code": "ACCESS_DENIED", "requiredAccess": "`read_customers` access scope."},
        })
    };
    stage.answers(vec![ok(&json!({
        "data": {"customer": {
            "id": "gid://shopify/Customer/77", "firstName": "Ana", "defaultEmailAddress": null, "defaultAddress": null,
            "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-02-03T04:05:06Z", "tags": [],
            "addressesV2": {
                "pageInfo": {"hasNextPage": false}, "nodes": [{"city": null, "zip": "1"}, {"city": null, "zip": "2"}],
            },
        }},
        "errors": [
            refused(json!(["customer", "defaultEmailAddress"])),
            refused(json!(["customer", "addressesV2", "nodes", 0, "city"])),
            refused(json!(["customer", "addressesV2", "nodes", 1, "city"])),
        ],
    }))]);
    let customer = stage
        .shop()
        .customer(crate::domain::ShopifyId(77), "")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(customer.first_name.as_deref(), Some("Ana"));
    assert_eq!(
        customer.refused,
        ["addressesV2.nodes.city", "defaultEmailAddress"]
    );
}

#[tokio::test]
async fn messages_name_request_scope_and_field() {
    let stage = Stage::new().await;
    let reply = denied(&json!(["customer", "displayName"]), &json!(null));
    let error = outcome(&stage, &CUSTOMER, vec![reply]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the access token gives no access to customer.displayName: Shopify asks for `read_customers` access scope \
         (request req-1)"
    );
    assert_eq!(error.field(), Some("customer.displayName"));
    assert!(error.fix().contains("read_customers"));
    let reply = ok(&json!({"data": {"tagsAdd": {"userErrors": [
        {"field": ["input", "email"], "message": "has already been taken", "code": "TAKEN"},
        {"field": null, "message": "is odd"},
    ]}}}));
    let error = outcome(&stage, &WRITE, vec![reply]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Shopify did not carry out Write: input.email: has already been taken (TAKEN); is odd (request req-1)"
    );
    assert!(matches!(error, ShopifyError::Rejected { code: Some(code), .. } if code == "TAKEN"));
}

#[tokio::test]
async fn the_worst_of_several_errors_counts() {
    let stage = Stage::new().await;
    let reply = ok(&json!({
        "data": {"customer": null},
        "errors": [
            {"message": "x", "extensions": {"code": "INTERNAL_SERVER_ERROR"}},
            {"message": "y", "extensions": {"code": "SHOP_INACTIVE"}},
            {"message": "z", "extensions": {"code": "undefinedField"}},
        ],
        "extensions": cost(10, 1000),
    }));
    let error = outcome(&stage, &CUSTOMER, vec![reply]).await.unwrap_err();
    assert_eq!(error.code(), "shop_unavailable");
}

#[tokio::test]
async fn nobody_there_means_that_the_system_is_down() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let shop = connect(&format!("http://{address}"), SkippingClock::new());
    let error = shop.probe().await.unwrap_err();
    assert_eq!(
        (error.code(), error.disposition()),
        ("shopify_unreachable", down(None))
    );
    assert_eq!(error.to_string(), format!("{address} refused the connection"));
}

#[test]
fn any_answer_is_answered_calmly() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stage = runtime.block_on(Stage::new());
    let answers = (200_u16..600, ".{0,60}", any::<bool>());
    TestRunner::new(ProptestConfig::with_cases(64))
        .run(&answers, |(status, body, json)| {
            let kind = if json { "application/json" } else { "text/plain" };
            let reply = ResponseTemplate::new(status).set_body_raw(body, kind);
            prop_assert!(runtime.block_on(outcome(&stage, &PROBE, vec![reply])).is_err());
            Ok(())
        })
        .unwrap();
}
