//! Bulk operations, as an app sees them.

use super::*;

const RUN: &str = "mutation Run($query: String!) { bulkOperationRunQuery(query: $query) {
    bulkOperation { id status url } userErrors { field message code } } }";
const STATE: &str = "query State($id: ID!) { bulkOperation(id: $id) {
    status errorCode objectCount rootObjectCount fileSize url partialDataUrl } }";
const PRODUCTS: &str = "{ products { edges { node { id title variants { edges { node { id sku inventoryItem { id } } } } } } } }";

async fn start_operation(shop: &ShopSandbox, query: &str) -> Json {
    run(shop, RUN, json!({ "query": query })).await["data"]["bulkOperationRunQuery"].clone()
}

async fn state(shop: &ShopSandbox, id: &Json) -> Json {
    run(shop, STATE, json!({ "id": id })).await["data"]["bulkOperation"].clone()
}

#[tokio::test]
async fn an_operation_goes_through_its_states_and_leaves_lines_in_no_order() {
    let shop = start(quick()).await;
    shop.change(|shop| {
        product(shop, "Tee", &["1.00", "2.00"]);
        product(shop, "Cup", &["3.00"]);
    });
    let started = start_operation(&shop, PRODUCTS).await;
    assert_eq!(started["bulkOperation"]["status"], "CREATED", "{started}");
    let id = &started["bulkOperation"]["id"];
    let running = state(&shop, id).await;
    assert_eq!(
        (&running["status"], &running["url"]),
        (&json!("RUNNING"), &Json::Null)
    );
    let over = state(&shop, id).await;
    assert_eq!(over["status"], "COMPLETED");
    assert_eq!(
        (&over["objectCount"], &over["rootObjectCount"]),
        (&json!("5"), &json!("2"))
    );
    let url = over["url"].as_str().unwrap();
    let text = client().get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(over["fileSize"], json!(text.len().to_string()));
    let rows: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let parts = rows.iter().filter(|row| row["__parentId"].is_string()).count();
    assert_eq!((rows.len(), parts), (5, 3));
    assert!(
        rows.iter().all(|row| row["variants"].is_null()),
        "parts are rows of their own: {text}"
    );
    // A result is nobody's who shows a token there.
    let shown = client()
        .get(url)
        .header("X-Shopify-Access-Token", "t")
        .send()
        .await
        .unwrap();
    assert_eq!(shown.status(), 400);
}

#[tokio::test]
async fn queries_that_no_operation_carries_out_are_refused() {
    let shop = start(quick()).await;
    for (query, code) in [
        ("{ shop { id } }", "INVALID"),
        ("{ products { edges { node { nonsense } } } }", "INVALID"),
        (
            "{ products { edges { node { id variants { edges { node { id media { edges { node { id } } } } } } } } } }",
            "INVALID",
        ),
    ] {
        let answer = start_operation(&shop, query).await;
        assert_eq!(answer["userErrors"][0]["code"], code, "{query}: {answer}");
        assert_eq!(answer["bulkOperation"], Json::Null);
    }
}

#[tokio::test]
async fn five_run_at_a_time_and_what_the_app_may_not_see_fails() {
    let shop = start(quick()).await;
    shop.change(|shop| shop.hold_bulk(true));
    for _ in 0..5 {
        assert_eq!(start_operation(&shop, PRODUCTS).await["userErrors"], json!([]));
    }
    let sixth = start_operation(&shop, PRODUCTS).await;
    assert_eq!(sixth["userErrors"][0]["code"], "LIMIT_REACHED", "{sixth}");
    shop.change(|shop| {
        shop.hold_bulk(false);
        shop.bulk.clear();
        shop.grant_scopes(&["read_orders"]);
    });
    let started = start_operation(&shop, PRODUCTS).await;
    let id = &started["bulkOperation"]["id"];
    state(&shop, id).await;
    let over = state(&shop, id).await;
    assert_eq!(
        (&over["status"], &over["errorCode"]),
        (&json!("FAILED"), &json!("ACCESS_DENIED"))
    );
}

#[tokio::test]
async fn counts_stop_at_their_limit() {
    let shop = start(quick()).await;
    shop.change(|shop| {
        for n in 0..3 {
            product(shop, &format!("P{n}"), &["1.00"]);
        }
    });
    let query = "{ all: productsCount { count precision } two: productsCount(limit: 2) { count precision } }";
    let answer = run(&shop, query, json!({})).await;
    assert_eq!(
        answer["data"],
        json!({"all": {"count": 3, "precision": "EXACT"}, "two": {"count": 2, "precision": "AT_LEAST"}})
    );
}
