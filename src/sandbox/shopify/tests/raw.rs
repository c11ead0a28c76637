//! Orders that are put whole: what may stand in them, and how the API serves them.

use super::*;

fn order() -> Json {
    json!({
        "id": 12000, "name": "#1012", "processedAt": "2026-11-20T10:00:00Z", "customer": 3001,
        "presentmentCurrencyCode": "USD", "taxesIncluded": true, "tags": ["b2c"],
        "totalPriceSet": "33.87|37.26", "totalTaxSet": "5.65|6.21",
        "customAttributes": [{"key": "gift", "value": "yes"}],
        "billingAddress": {"firstName": "Ada", "lastName": "Byron", "city": "Berlin", "countryCodeV2": "DE"},
        "discountApplications": [
            {"code": "SAVE", "value": 10.0},
            {"title": "Sale", "value": "1.00", "targetType": "SHIPPING_LINE"},
            {"__typename": "ManualDiscountApplication", "title": "Sorry", "value": {"percentage": 5.0}}
        ],
        "lineItems": [
            {"id": 12001, "variant": 2011, "quantity": 3, "originalUnitPriceSet": "9.99|10.99",
             "taxLines": [{"title": "VAT", "rate": 0.2, "priceSet": "5.00|5.50"}],
             "discountAllocations": [{"allocatedAmountSet": "1.00", "discountApplication": 0}]},
            {"id": 12002, "title": "Engraving", "quantity": 1, "currentQuantity": 0, "originalUnitPriceSet": "4.00"}
        ],
        "shippingLines": [
            {"id": 12101, "title": "Post", "originalPriceSet": "3.90"},
            {"id": 12102, "title": "Courier", "originalPriceSet": "9.00", "isRemoved": true}
        ],
        "transactions": [
            {"id": 12201, "kind": "AUTHORIZATION", "gateway": "paypal", "amountSet": "33.87|37.26"},
            {"id": 12202, "kind": "CAPTURE", "gateway": "paypal", "amountSet": "33.87|37.26", "parentTransaction": {"id": 12201}}
        ],
        "refunds": [{"id": 12301, "refundLineItems": [
            {"quantity": 1, "restockType": "RETURN", "lineItem": 12001, "subtotalSet": "9.66", "location": 9001}
        ]}],
        "metafields": [{"id": 7, "namespace": "erp", "key": "cost_center", "type": "single_line_text_field", "value": "K1"}],
        "purchasingEntity": {"company": 8001, "location": {"id": 8102, "name": "Munich"}}
    })
}

async fn with_catalogue() -> ShopSandbox {
    let shop = start(quick()).await;
    shop.change(|shop| {
        let draft = ProductDraft {
            title: "Coffee mug".into(),
            variants: vec![VariantDraft::new(&[], "MUG", d("9.99"))],
            ..ProductDraft::default()
        };
        shop.put_product(1002, &[2011], draft).unwrap();
        let draft = CustomerDraft {
            first_name: Some("Ada".into()),
            email: Some("ada@example.com".into()),
            ..CustomerDraft::default()
        };
        shop.put_customer(3001, draft).unwrap();
        shop.put_location(9001, "Warehouse", "Berlin", "DE");
        shop.put_record(
            "Company",
            &json!({"id": 8001, "name": "Acme", "externalId": "K-7"}),
        )
        .unwrap();
    });
    shop
}

#[tokio::test]
async fn a_raw_order_answers_any_selection() {
    let shop = with_catalogue().await;
    shop.change(|shop| shop.put_order(&order())).unwrap();
    let query = "query($id: ID!) { order(id: $id) {
        id legacyResourceId name createdAt updatedAt closedAt test currencyCode presentmentCurrencyCode
        displayFinancialStatus cancelReason tags paymentGatewayNames discountCodes requiresShipping
        customAttributes { key value } customer { id firstName }
        billingAddress { name city countryCodeV2 zip } shippingAddress { city }
        shopMoney: totalPriceSet { shopMoney { amount currencyCode } }
        currentTotalPriceSet { presentmentMoney { amount currencyCode } }
        currentTotalDutiesSet { shopMoney { amount } } totalTipReceivedSet { ...Both } totalReceivedSet { ...Both }
        discountApplications(first: 5) { nodes { __typename index targetType
          value { ... on MoneyV2 { amount } ... on PricingPercentageValue { percentage } }
          ... on DiscountCodeApplication { code } ... on ManualDiscountApplication { title } } }
        lineItems(first: 1) { pageInfo { hasNextPage endCursor } nodes {
          id name sku title quantity currentQuantity requiresShipping variant { id sku } product { id title }
          taxLines { title rate ratePercentage priceSet { ...Both } }
          discountAllocations { allocatedAmountSet { ...Both } discountApplication { index
            ... on DiscountCodeApplication { code } } } } }
        shown: shippingLines(first: 5) { nodes { title } }
        all: shippingLines(first: 5, includeRemovals: true) { nodes { id title discountedPriceSet { ...Both } } }
        transactions { id kind status formattedGateway parentTransaction { kind } }
        refunds { id createdAt refundLineItems(first: 5) { nodes { lineItem { id name } location { name } restockType
          totalTaxSet { ...Both } } } }
        metafield(namespace: \"erp\", key: \"cost_center\") { value } other: metafield(namespace: \"x\", key: \"y\") { value }
        purchasingEntity { ... on PurchasingCompany { company { id name externalId } location { id name } } }
      } }
      fragment Both on MoneyBag { shopMoney { amount } presentmentMoney { amount } }";
    let answer = run(&shop, query, json!({"id": "gid://shopify/Order/12000"})).await;
    assert_eq!(answer["errors"], Json::Null, "{answer:#}");
    let both = |shop: &str, presentment: &str| json!({"shopMoney": {"amount": shop}, "presentmentMoney": {"amount": presentment}});
    let seen = &answer["data"]["order"];
    for (path, wanted) in [
        ("/id", json!("gid://shopify/Order/12000")),
        ("/legacyResourceId", json!("12000")),
        ("/createdAt", json!("2026-11-20T10:00:00Z")),
        ("/updatedAt", json!("2026-11-20T10:00:00Z")),
        ("/closedAt", Json::Null),
        ("/test", json!(false)),
        ("/currencyCode", json!("EUR")),
        ("/presentmentCurrencyCode", json!("USD")),
        ("/displayFinancialStatus", json!("PAID")),
        ("/cancelReason", Json::Null),
        ("/tags", json!(["b2c"])),
        ("/paymentGatewayNames", json!(["paypal"])),
        ("/discountCodes", json!(["SAVE"])),
        ("/customAttributes/0/value", json!("yes")),
        (
            "/customer",
            json!({"id": "gid://shopify/Customer/3001", "firstName": "Ada"}),
        ),
        (
            "/billingAddress",
            json!({"name": "Ada Byron", "city": "Berlin", "countryCodeV2": "DE", "zip": null}),
        ),
        ("/shippingAddress", Json::Null),
        (
            "/shopMoney/shopMoney",
            json!({"amount": "33.87", "currencyCode": "EUR"}),
        ),
        (
            "/currentTotalPriceSet/presentmentMoney",
            json!({"amount": "37.26", "currencyCode": "USD"}),
        ),
        ("/currentTotalDutiesSet", Json::Null),
        ("/totalTipReceivedSet", both("0.0", "0.0")),
        ("/totalReceivedSet", both("33.87", "37.26")),
        (
            "/discountApplications/nodes/0/__typename",
            json!("DiscountCodeApplication"),
        ),
        ("/discountApplications/nodes/0/value/percentage", json!(10.0)),
        ("/discountApplications/nodes/1/value/amount", json!("1.0")),
        ("/discountApplications/nodes/1/index", json!(1)),
        ("/discountApplications/nodes/1/targetType", json!("SHIPPING_LINE")),
        ("/discountApplications/nodes/2/title", json!("Sorry")),
        ("/discountApplications/nodes/2/value/percentage", json!(5.0)),
        ("/lineItems/pageInfo/hasNextPage", json!(true)),
        ("/lineItems/nodes/0/id", json!("gid://shopify/LineItem/12001")),
        ("/lineItems/nodes/0/sku", json!("MUG")),
        ("/lineItems/nodes/0/currentQuantity", json!(3)),
        ("/lineItems/nodes/0/requiresShipping", json!(true)),
        ("/lineItems/nodes/0/variant/sku", json!("MUG")),
        ("/lineItems/nodes/0/product/title", json!("Coffee mug")),
        ("/lineItems/nodes/0/taxLines/0/ratePercentage", json!(20.0)),
        ("/lineItems/nodes/0/taxLines/0/priceSet", both("5.0", "5.5")),
        (
            "/lineItems/nodes/0/discountAllocations/0/discountApplication",
            json!({"index": 0, "code": "SAVE"}),
        ),
        ("/shown/nodes", json!([{"title": "Post"}])),
        ("/all/nodes/1/title", json!("Courier")),
        ("/all/nodes/0/discountedPriceSet", both("3.9", "3.9")),
        ("/transactions/1/parentTransaction/kind", json!("AUTHORIZATION")),
        ("/transactions/1/status", json!("SUCCESS")),
        ("/transactions/1/formattedGateway", json!("paypal")),
        (
            "/refunds/0/refundLineItems/nodes/0/lineItem",
            json!({"id": "gid://shopify/LineItem/12001", "name": "Coffee mug"}),
        ),
        (
            "/refunds/0/refundLineItems/nodes/0/location/name",
            json!("Warehouse"),
        ),
        ("/refunds/0/refundLineItems/nodes/0/restockType", json!("RETURN")),
        (
            "/refunds/0/refundLineItems/nodes/0/totalTaxSet",
            both("0.0", "0.0"),
        ),
        ("/metafield/value", json!("K1")),
        ("/other", Json::Null),
        (
            "/purchasingEntity",
            json!({"company": {"id": "gid://shopify/Company/8001", "name": "Acme", "externalId": "K-7"},
                "location": {"id": "gid://shopify/CompanyLocation/8102", "name": "Munich"}}),
        ),
    ] {
        assert_eq!(seen.pointer(path), Some(&wanted), "{path}: {seen:#}");
    }
    let cursor = &seen["lineItems"]["pageInfo"]["endCursor"];
    let query = "query($id: ID!, $after: String, $refund: ID!) {
        node(id: $id) { ... on Order { lineItems(first: 5, after: $after) { nodes { title currentQuantity variant { id } } } } }
        refund: node(id: $refund) { __typename ... on Refund { refundLineItems(first: 1) { nodes { quantity } } } } }";
    let variables =
        json!({"id": "gid://shopify/Order/12000", "after": cursor, "refund": "gid://shopify/Refund/12301"});
    let answer = run(&shop, query, variables).await;
    assert_eq!(
        answer["data"],
        json!({
            "node": {"lineItems": {"nodes": [{"title": "Engraving", "currentQuantity": 0, "variant": null}]}},
            "refund": {"__typename": "Refund", "refundLineItems": {"nodes": [{"quantity": 1}]}},
        })
    );
}

#[tokio::test]
async fn a_raw_order_is_found_replaced_announced_and_deleted() {
    let shop = with_catalogue().await;
    let receiver = Receiver::start(&[]).await;
    shop.register_all(&receiver.url);
    shop.change(|shop| shop.put_order(&order())).unwrap();
    let search = "query($q: String) { orders(first: 5, query: $q) { nodes { id name updatedAt } } }";
    for (query, found) in [
        ("name:#1012", 1),
        ("name:1012", 1),
        ("name:1013", 0),
        ("updated_at:>=2026-11-20T10:00:00Z", 1),
        ("updated_at:>2026-11-20T10:00:00Z", 0),
        ("financial_status:paid AND gateway:paypal", 1),
        ("customer_id:3001", 1),
        ("status:cancelled", 0),
    ] {
        let answer = run(&shop, search, json!({"q": query})).await;
        let nodes = answer["data"]["orders"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), found, "{query}: {answer:#}");
    }
    let mut later = order();
    later["displayFinancialStatus"] = "REFUNDED".into();
    shop.change(|shop| shop.put_order(&later)).unwrap();
    let answer = run(&shop, search, json!({"q": "financial_status:refunded"})).await;
    let node = &answer["data"]["orders"]["nodes"][0];
    assert_eq!(node["updatedAt"], "2026-11-20T10:01:00Z", "{answer:#}");
    shop.change(|shop| shop.delete_order(12000)).unwrap();
    let answer = run(&shop, search, json!({"q": null})).await;
    assert_eq!(answer["data"]["orders"]["nodes"], json!([]));
    shop.deliver_now().await;
    let mut topics = receiver.topics();
    topics.sort();
    assert_eq!(topics, ["orders/create", "orders/delete", "orders/updated"]);
    let bodies: Vec<Json> = receiver.got().iter().map(Received::json).collect();
    assert!(bodies.iter().all(|body| body["id"] == 12000), "{bodies:?}");
}

#[tokio::test]
async fn mistakes_in_raw_orders_are_named_by_their_path() {
    let shop = with_catalogue().await;
    for (path, value, said) in [
        (
            "/totalPrice_Set",
            json!("1"),
            "Order.totalPrice_Set: Order has no such field",
        ),
        (
            "/lineItems/0/price",
            json!("1"),
            "Order.lineItems[0].price: LineItem has no such field",
        ),
        (
            "/lineItems/0/taxLines/0/rate",
            json!("20%"),
            "Order.lineItems[0].taxLines[0].rate: a number is wanted",
        ),
        (
            "/lineItems/0/originalUnitPriceSet",
            json!(9.99),
            "Order.lineItems[0].originalUnitPriceSet: an amount as text",
        ),
        (
            "/totalPriceSet",
            json!("1.00|"),
            "Order.totalPriceSet: an amount as text",
        ),
        ("/customer", json!(3999), "Order.customer: the id of a Customer"),
        (
            "/lineItems/0/variant",
            json!(1),
            "Order.lineItems[0].variant: the id of a ProductVariant",
        ),
        (
            "/lineItems/0/discountAllocations/0/discountApplication",
            json!(3),
            "the place of one of the order's",
        ),
        (
            "/refunds/0/refundLineItems/0/lineItem",
            json!(12009),
            "the id of a LineItem",
        ),
        (
            "/transactions/0/gateway",
            json!(1),
            "Order.transactions[0].gateway: a text is wanted",
        ),
        ("/tags", json!("b2c"), "Order.tags: a list is wanted"),
        ("/processedAt", json!("yesterday"), "Order.processedAt: a time as"),
        (
            "/discountApplications/0/codes",
            json!("X"),
            "Order.discountApplications[0]: one of",
        ),
        (
            "/lineItems/1/id",
            json!(12001),
            "two different records have the id 12001",
        ),
        ("/id", Json::Null, "Order.id: a record needs a number"),
    ] {
        let mut order = order();
        let (parent, field) = path.rsplit_once('/').unwrap();
        order.pointer_mut(parent).unwrap()[field] = value;
        let error = shop
            .change(|shop| shop.put_order(&order))
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{path}: {error}");
    }
    // What a newer shop may say is no mistake.
    let mut unknown = order();
    unknown["displayFinancialStatus"] = "SPLIT_PAID".into();
    shop.change(|shop| shop.put_order(&unknown)).unwrap();
}
