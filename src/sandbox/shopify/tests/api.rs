//! The API over HTTP.

use serde_json::{Value as Json, json};

use super::*;
use crate::sandbox::shopify::draft::{Payment, RefundDraft};
use crate::sandbox::shopify::ids::{gid, utc_text};

#[tokio::test]
async fn every_recorded_query_executes() {
    let shop = start(quick()).await;
    let id = shop.change(order);
    let (customer, product) = shop.read(|s| {
        let order = s.order(id).unwrap();
        (order.customer.unwrap(), order.lines[0].product.unwrap())
    });
    let full = run_named(&shop, "ConnectorOrder", json!({"id": gid("Order", id)})).await;
    let order = &full["order"];
    // 2 x 19.99 + 5.00 = 44.98, with 4.90 shipping 49.88.
    assert_eq!(
        order["totalPriceSet"]["shopMoney"],
        json!({"amount": "49.88", "currencyCode": "EUR"})
    );
    assert_eq!(
        order["lineItems"]["nodes"][0]["originalTotalSet"]["shopMoney"]["amount"],
        "39.98"
    );
    assert_eq!(order["displayFinancialStatus"], "PAID");
    assert_eq!(
        order["customer"]["defaultEmailAddress"]["emailAddress"],
        "ana0@example.com"
    );
    assert_eq!(order["shippingAddress"]["countryCodeV2"], "DE");
    assert_eq!(order["refunds"], json!([]));
    assert_eq!(order["legacyResourceId"], id.to_string());

    let page = run_named(
        &shop,
        "ConnectorOrdersPage",
        json!({"q": "updated_at:>=2020-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(page["orders"]["nodes"][0]["name"], "#1001");
    let found = run_named(
        &shop,
        "ConnectorCustomer",
        json!({"id": gid("Customer", customer)}),
    )
    .await;
    assert_eq!(found["customer"]["numberOfOrders"], "1");
    assert_eq!(found["customer"]["amountSpent"]["amount"], "49.88");
    let found = run_named(&shop, "ConnectorProduct", json!({"id": gid("Product", product)})).await;
    let quantities =
        &found["product"]["variants"]["nodes"][0]["inventoryItem"]["inventoryLevels"]["nodes"][0];
    assert_eq!(
        quantities["quantities"][0]["quantity"], 98,
        "two of a hundred were sold"
    );
    assert_eq!(
        quantities["quantities"][1]["quantity"], 100,
        "and lie there until they are sent"
    );
    let hooks = run_named(&shop, "ConnectorWebhooks", json!({})).await;
    assert_eq!(hooks["webhookSubscriptions"]["nodes"], json!([]));
}

#[tokio::test]
async fn a_field_without_data_has_the_default_of_its_type() {
    let shop = start(quick()).await;
    let id = shop.change(order);
    let query = "query($id: ID!) { order(id: $id) { agreements(first: 5) { nodes { id } } additionalFees { name }
        currentTotalWeight merchantEditable statusPageUrl events: fulfillmentOrders(first: 3) { edges { cursor } }
        netPaymentSet { presentmentMoney { currencyCode } } paymentTerms { id } } }";
    let answer = run(&shop, query, json!({"id": gid("Order", id)})).await;
    assert_eq!(answer["errors"], Json::Null, "{answer:#}");
    assert_eq!(answer["data"]["order"]["agreements"]["nodes"], json!([]));
    assert_eq!(answer["data"]["order"]["paymentTerms"], Json::Null);
}

#[tokio::test]
async fn mistakes_have_the_recorded_shapes() {
    let shop = start(quick()).await;
    let order_id = gid("Order", 1);
    for (query, variables, code) in [
        ("{ order(id: \"gid://shopify/Order/1\") { nope } }", json!({}), "undefinedField"),
        ("{ order(id: \"gid://shopify/Order/1\", x: 1) { id } }", json!({}), "argumentNotAccepted"),
        ("{ order { id } }", json!({}), "missingRequiredArguments"),
        ("{ orders(first: \"a\") { nodes { id } } }", json!({}), "argumentLiteralsIncompatible"),
        ("{ orders(first: 1, sortKey: NOPE) { nodes { id } } }", json!({}), "argumentLiteralsIncompatible"),
        ("{ shop }", json!({}), "selectionMismatch"),
        ("{ shop { name { x } } }", json!({}), "selectionMismatch"),
        ("{ shop { ... on Nope { id } } }", json!({}), "undefinedType"),
        ("{ shop { name @nope } }", json!({}), "undefinedDirective"),
        ("query($id: ID!) { order(id: $id) { id } }", json!({}), "INVALID_VARIABLE"),
        ("query($id: ID!) { order(id: $id) { id } }", json!({"id": "x"}), "INVALID_VARIABLE"),
        ("query($n: Int!) { orders(first: $n) { nodes { id } } }", json!({"n": "1"}), "INVALID_VARIABLE"),
        ("{ orders { nodes { id } } }", json!({}), "BAD_REQUEST"),
        ("{ order(id: \"gid://shopify/Customer/1\") { id } }", json!({}), "RESOURCE_NOT_FOUND"),
        ("{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { id product { id } variant { id } taxLines { rate }
            duties { id } discountAllocations { discountApplication { index } }
            lineItemGroup { id } } } } } }", json!({}), "MAX_COST_EXCEEDED"),
        ("mutation { inventorySetQuantities(input: {name: \"available\", reason: \"correction\", quantities: []}) { userErrors { code } } }",
            json!({}), "BAD_REQUEST"),
    ] {
        let answer = run(&shop, query, variables).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{query}: {answer}");
    }
    let answer = run(
        &shop,
        "{ order(id: \"gid://shopify/Order/1\") { nope } }",
        json!({}),
    )
    .await;
    assert_eq!(
        answer["errors"][0]["message"],
        "Field 'nope' doesn't exist on type 'Order'"
    );
    assert_eq!(answer["errors"][0]["path"], json!(["query", "order", "nope"]));
    let answer = run(
        &shop,
        "query($id: ID!) { order(id: $id) { id } }",
        json!({"id": order_id}),
    )
    .await;
    assert_eq!(
        answer["data"],
        json!({"order": null}),
        "an unknown order is null without an error"
    );
    assert_eq!(answer["errors"], Json::Null);
}

#[tokio::test]
async fn all_pages_are_read_and_filters_filter() {
    let shop = start(quick()).await;
    let product_id = shop.change(|s| {
        for _ in 0..7 {
            order(s);
        }
        let prices = vec!["1.00"; 260];
        product(s, "Wide", &prices).0
    });
    let query = "query($after: String) { orders(first: 3, after: $after, sortKey: UPDATED_AT) {
        pageInfo { hasNextPage endCursor } nodes { name } } }";
    let (mut names, mut after) = (Vec::new(), Json::Null);
    loop {
        let answer = run(&shop, query, json!({"after": after})).await;
        let page = &answer["data"]["orders"];
        names.extend(
            page["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n["name"].clone()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(names.len(), 7, "{names:?}");

    let query = "query($id: ID!, $after: String) { product(id: $id) { variantsCount { count }
        variants(first: 250, after: $after) { pageInfo { hasNextPage endCursor } nodes { id } } } }";
    let first = run(&shop, query, json!({"id": gid("Product", product_id)})).await;
    let variants = &first["data"]["product"]["variants"];
    assert_eq!(first["data"]["product"]["variantsCount"]["count"], 260);
    assert_eq!(
        (
            variants["nodes"].as_array().unwrap().len(),
            &variants["pageInfo"]["hasNextPage"]
        ),
        (250, &json!(true))
    );
    let cursor = &variants["pageInfo"]["endCursor"];
    let second = run(
        &shop,
        query,
        json!({"id": gid("Product", product_id), "after": cursor}),
    )
    .await;
    assert_eq!(
        second["data"]["product"]["variants"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        10
    );

    for (search, count) in [
        ("name:#1003", 1),
        ("name:1003", 1),
        ("status:open", 7),
        ("status:cancelled", 0),
        ("financial_status:paid", 7),
        ("test:true", 0),
        ("sku:Tee-0", 7),
        ("email:ana4@example.com", 1),
        ("updated_at:>=2100-01-01T00:00:00Z", 0),
        ("-name:1003", 6),
    ] {
        let query = "query($q: String) { orders(first: 50, query: $q) { nodes { id } } }";
        let answer = run(&shop, query, json!({"q": search})).await;
        assert_eq!(
            answer["data"]["orders"]["nodes"].as_array().unwrap().len(),
            count,
            "{search}"
        );
        assert_eq!(answer["extensions"]["search"], Json::Null, "{search}");
    }
    let query = "query($q: String) { orders(first: 50, query: $q) { nodes { id } } }";
    let answer = run(&shop, query, json!({"q": "wibble:1"})).await;
    assert_eq!(
        answer["data"]["orders"]["nodes"].as_array().unwrap().len(),
        7,
        "unknown fields match everything"
    );
    assert_eq!(
        answer["extensions"]["search"][0]["warnings"][0]["code"],
        "invalid_field"
    );
    assert_eq!(answer["extensions"]["search"][0]["path"], json!(["orders"]));
}

#[tokio::test]
async fn searches_lag_behind_the_records() {
    let mut options = quick();
    options.search_lag = std::time::Duration::from_hours(1);
    let shop = start(options).await;
    shop.change(order);
    let query = "query($q: String) { orders(first: 5, query: $q) { nodes { id } } }";
    let answer = run(&shop, query, json!({"q": "status:any"})).await;
    assert_eq!(answer["data"]["orders"]["nodes"], json!([]));
}

#[tokio::test]
async fn a_stopped_shop_keeps_its_data() {
    let shop = start(quick()).await;
    shop.change(order);
    shop.stop().await;
    assert!(
        request(&shop, "2026-10", "{ shop { name } }", &json!({}), None)
            .send()
            .await
            .is_err()
    );
    shop.restart().await.unwrap();
    let answer = run(&shop, "{ orders(first: 1) { nodes { name } } }", json!({})).await;
    assert_eq!(answer["data"]["orders"]["nodes"][0]["name"], "#1001");
}

#[tokio::test]
async fn updates_are_seen_in_the_order_of_their_time() {
    let now = std::sync::Arc::new(std::sync::Mutex::new(
        chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
    ));
    let mut options = quick();
    let clock = std::sync::Arc::clone(&now);
    options.clock = std::sync::Arc::new(move || *clock.lock().unwrap());
    let shop = start(options).await;
    let first = shop.change(order);
    *now.lock().unwrap() += chrono::Duration::seconds(10);
    shop.change(order);
    *now.lock().unwrap() += chrono::Duration::seconds(10);
    shop.change(|s| s.refund_order(first, &RefundDraft::goodwill(d("1"))))
        .unwrap();
    let since = utc_text(*now.lock().unwrap());
    let page = run_named(
        &shop,
        "ConnectorOrdersPage",
        json!({"q": format!("updated_at:>={since}")}),
    )
    .await;
    assert_eq!(page["orders"]["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(page["orders"]["nodes"][0]["name"], "#1001");
    let page = run_named(&shop, "ConnectorOrdersPage", json!({})).await;
    let names: Vec<&Json> = page["orders"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| &n["name"])
        .collect();
    assert_eq!(names, ["#1002", "#1001"]);
}

#[tokio::test]
async fn money_is_given_in_both_currencies() {
    let shop = start(quick()).await;
    let id = shop.change(|s| {
        let (_, variants) = product(s, "Tee", &["10.00"]);
        let draft = OrderDraft {
            lines: vec![LineDraft::variant(variants[0], 3)],
            presentment: Some(("CHF".into(), d("0.953"))),
            payment: Payment::Pending("Bank Deposit".into()),
            ..OrderDraft::default()
        };
        s.place_order(draft).unwrap()
    });
    let order = run_named(&shop, "ConnectorOrder", json!({"id": gid("Order", id)})).await;
    // 9.53 francs a piece.
    let total = &order["order"]["totalPriceSet"];
    assert_eq!(
        total["shopMoney"],
        json!({"amount": "30.0", "currencyCode": "EUR"})
    );
    assert_eq!(
        total["presentmentMoney"],
        json!({"amount": "28.59", "currencyCode": "CHF"})
    );
    assert_eq!(order["order"]["displayFinancialStatus"], "PENDING");
    assert_eq!(order["order"]["transactions"][0]["manualPaymentGateway"], true);
}
