//! Whole records, pace, cost, tokens, faults, scopes, names and versions.

use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::json;

use super::{address, client, compare, connect, d, place, product, start, token, vat};
use crate::domain::{CheckOutcome, CheckRow, Object, RawSchema as _, SeededEntropy, ShopifyId, SystemClock};
use crate::sandbox::shopify::Options;
use crate::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, RefundDraft, RefundMoney, ShippingDraft,
};
use crate::sandbox::shopify::facts::{
    AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Restock,
};
use crate::sandbox::shopify::faults::ApiFault;
use crate::sandbox::shopify::options::Rate;
use crate::secret::Secret;
use crate::shopify::documents::Document;
use crate::shopify::{AdminSchema, CheckNeeds, Credentials, CurrencyChoice, Settings, Shopify, documents};
use crate::transport;

#[tokio::test]
async fn long_records_are_read_whole() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let (id, variants) = product(&sandbox, 257);
    let seen = shop.product(id, "").await.unwrap().unwrap();
    let ids: Vec<u64> = seen.variants.iter().map(|variant| variant.id.0).collect();
    assert_eq!(ids, variants);
    assert_eq!((seen.options.len(), seen.options[0].values.len()), (1, 257));

    let lines = (0..130).map(|n| LineDraft::variant(variants[n], 1 + u32::try_from(n % 3).unwrap()));
    let order = place(
        &sandbox,
        OrderDraft {
            lines: lines.collect(),
            taxes: vat(),
            taxes_included: true,
            discounts: (0..23)
                .map(|n| Discount {
                    kind: DiscountKind::Code(format!("CODE{n}")),
                    value: DiscountValue::Percentage(Decimal::ONE),
                    target: DiscountTarget::AllLines,
                    method: AllocationMethod::Across,
                })
                .collect(),
            shipping: (0..12)
                .map(|n| ShippingDraft::new(&format!("Way {n}"), d("1.00")))
                .collect(),
            ..OrderDraft::default()
        },
    );
    compare(&sandbox, &shop, order, CurrencyChoice::Shop).await;
    // One unit of 70 lines and all ways of delivery are refunded in one go: lists within the refund.
    let refund = RefundDraft {
        lines: (0..70).map(|line| (line, 1, Restock::Return)).collect(),
        shipping: Some(None),
        money: RefundMoney::Worth,
        pending: false,
        note: None,
    };
    sandbox
        .change(|shop| shop.refund_order(order.0, &refund))
        .unwrap();
    compare(&sandbox, &shop, order, CurrencyChoice::Shop).await;
    let raw = shop.order(order, "").await.unwrap().unwrap().raw;
    for (list, length) in [
        ("/lineItems", 130),
        ("/shippingLines", 12),
        ("/discountApplications", 23),
        ("/refunds/0/refundLineItems", 70),
        ("/refunds/0/refundShippingLines", 12),
    ] {
        let nodes = raw
            .pointer(&format!("{list}/nodes"))
            .and_then(serde_json::Value::as_array);
        assert_eq!(nodes.map(Vec::len), Some(length), "{list}");
    }

    let buyer = sandbox
        .change(|shop| {
            shop.create_customer(CustomerDraft {
                first_name: Some("Ana".to_owned()),
                email: Some("ana@example.com".to_owned()),
                addresses: (0..61).map(|n| address(&format!("City {n}"))).collect(),
                ..CustomerDraft::default()
            })
        })
        .unwrap();
    let customer = shop.customer(ShopifyId(buyer), "").await.unwrap().unwrap();
    assert_eq!(customer.addresses.len(), 61);
    assert_eq!(customer.display_name, "Ana");
    assert!(shop.customer(ShopifyId(1), "").await.unwrap().is_none());
}

#[tokio::test]
async fn many_workers_share_the_bucket_without_being_throttled() {
    let sandbox = start().await;
    let (_, variants) = product(&sandbox, 1);
    let order = || OrderDraft {
        lines: vec![LineDraft::variant(variants[0], 1)],
        ..OrderDraft::default()
    };
    let ids: Vec<ShopifyId> = (0..40).map(|_| place(&sandbox, order())).collect();
    // A bucket of four orders that refills in a moment: forty at once must take turns.
    sandbox.set_rate(Rate {
        restore_rate: 4_000.0,
        maximum_available: 800.0,
        max_query_cost: 1000,
    });
    let shop = client(&sandbox);
    // The first answer tells the bucket's size; before it, a smaller one is assumed.
    shop.probe().await.unwrap();
    // On a slow machine a worker may run out of patience in line and come back, as the queue would have it.
    let read = |id: ShopifyId| {
        let shop = &shop;
        async move {
            loop {
                match shop.order(id, "").await {
                    Err(error) if error.code() == "shopify_throttled" => {}
                    other => return other,
                }
            }
        }
    };
    let all = futures_util::future::join_all(ids.iter().map(|id| read(*id))).await;
    assert!(all.iter().all(|order| matches!(order, Ok(Some(_)))));
    let calls = sandbox.ledger().calls;
    assert_eq!(calls.by_operation.get("LockstepOrder"), Some(&40));
    assert_eq!(calls.throttled, 0, "{calls:?}");
    assert!(shop.bucket_level().is_some());
}

#[tokio::test]
async fn costs_are_assumed_about_right_before_they_are_known() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let none = serde_json::json!({
        "id": "gid://shopify/Order/1", "owner": "gid://shopify/Order/1", "holder": "gid://shopify/Order/1",
        "cursor": "x", "search": "name:x", "first": "sku:x", "second": "sku:x", "third": "sku:x", "fourth": "sku:x",
        "fifth": "sku:x", "hasThird": true, "hasFourth": true, "hasFifth": true, "topics": ["ORDERS_CREATE"],
        "topic": "ORDERS_CREATE", "subscription": { "uri": "https://sync.example.com" },
        "email": "ana@example.com", "phone": "+4915112345678", "byEmail": true, "byPhone": true,
        "value": "customer_1", "ref": "customer_1", "input": {}, "address": {}, "ids": [],
        "customer": "gid://shopify/Customer/1", "product": "gid://shopify/Product/1", "variants": [], "fields": [],
        "key": "k", "definition": { "name": "x", "key": "xx", "type": "id", "ownerType": "PRODUCT" },
        "limit": 10, "query": "{ products { edges { node { id } } } }",
    });
    // Two inputs of the same name as others that are of another shape.
    let mut quantities = none.clone();
    quantities["input"] = serde_json::json!({ "name": "on_hand", "reason": "correction", "quantities": [] });
    let mut whole_product = none.clone();
    whole_product["product"] = serde_json::json!({});
    // What a bulk operation carries out is never asked for by itself.
    let bulk = [
        "LockstepBulkOrders",
        "LockstepBulkCustomers",
        "LockstepBulkProducts",
    ];
    for document in documents::ALL
        .iter()
        .filter(|document| !bulk.contains(&document.name))
    {
        let before = sandbox.ledger().calls.requested_cost;
        // Whether it finds anything does not matter: the cost is that of the question.
        let variables = match document.name {
            "LockstepQuantitiesSet" => &quantities,
            "LockstepProductUpdate" => &whole_product,
            _ => &none,
        };
        drop(shop.client.call(document, variables).await);
        let after = sandbox.ledger().calls.requested_cost;
        let told = Decimal::from(after - before);
        let assumed = Decimal::try_from(document.points).unwrap();
        assert!(
            told <= assumed && assumed <= told * d("1.3") + d("5"),
            "{}: {told} points, {assumed} assumed",
            document.name
        );
    }
}

#[tokio::test]
async fn granted_tokens_are_renewed_when_they_are_revoked() {
    let sandbox = start().await;
    let access = Options::default().access;
    let grant = Credentials::ClientCredentials {
        client_id: access.client_id,
        client_secret: Secret::text(access.client_secret),
    };
    let shop = connect(&sandbox, grant, CurrencyChoice::Shop);
    shop.probe().await.unwrap();
    shop.probe().await.unwrap();
    assert_eq!(sandbox.ledger().calls.token_grants, 1);
    sandbox.revoke_tokens();
    shop.probe().await.unwrap();
    assert_eq!(sandbox.ledger().calls.token_grants, 2);
    let wrong = Credentials::Token(Secret::text("shpat_wrong"));
    let error = connect(&sandbox, wrong, CurrencyChoice::Shop)
        .probe()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "shopify_credentials_refused");
}

#[tokio::test]
async fn every_fault_is_named_and_passes_by_itself() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    shop.probe().await.unwrap();
    for (fault, code) in [
        (ApiFault::Unauthorized, "shopify_credentials_refused"),
        (ApiFault::Frozen, "shop_unavailable"),
        (ApiFault::Forbidden, "shop_unavailable"),
        (ApiFault::NotFound, "shop_not_found"),
        (ApiFault::Locked, "shop_unavailable"),
        (ApiFault::HtmlError(502), "shopify_internal_error"),
        (ApiFault::InternalError, "shopify_internal_error"),
        (ApiFault::PartialData, "shopify_internal_error"),
        (ApiFault::Garbage, "shopify_unreadable_answer"),
        (ApiFault::CutBefore, "shopify_no_answer"),
        (ApiFault::CutAfter, "shopify_no_answer"),
    ] {
        sandbox.inject(fault.clone(), Some("LockstepProbe"), 1);
        let error = shop.probe().await.unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        shop.probe().await.unwrap();
    }
    // These two are waited out.
    for fault in [ApiFault::Throttled, ApiFault::TooManyRequests(0.01)] {
        sandbox.inject(fault, Some("LockstepProbe"), 1);
        tokio::time::timeout(Duration::from_secs(30), shop.probe())
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn what_the_token_may_not_see_is_named_and_checked() {
    let sandbox = start().await;
    let buyer = sandbox
        .change(|shop| shop.create_customer(CustomerDraft::default()))
        .unwrap();
    let id = place(
        &sandbox,
        OrderDraft {
            buyer: Buyer::Customer(buyer),
            lines: vec![LineDraft::custom("Thing", d("1.00"), 1)],
            ..OrderDraft::default()
        },
    );
    let shop = client(&sandbox);
    let needs = CheckNeeds {
        reads: vec![Object::Order],
        webhook_address: Some("https://sync.example.com/webhooks/shopify".to_owned()),
        ..CheckNeeds::default()
    };
    let rows = shop.check(&needs).await.rows;
    assert!(rows.iter().all(|row| row.outcome == CheckOutcome::Ok), "{rows:?}");

    sandbox.change(|shop| shop.grant_scopes(&["read_orders", "read_products"]));
    let error = shop.order(id, "").await.unwrap_err();
    assert_eq!(error.code(), "shopify_scope_missing");
    assert!(
        error.fix().contains("read_customers"),
        "an order with a customer never passes for a guest's: {error}"
    );
    let rows = shop.check(&needs).await.rows;
    let scopes = rows.iter().find(|row| row.what == "Shopify scopes").unwrap();
    assert!(scopes.note.contains("missing: read_customers"), "{rows:?}");
}

#[tokio::test]
async fn orders_are_found_by_name_and_deleted_ones_are_gone() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let draft = || OrderDraft {
        lines: vec![LineDraft::custom("Thing", d("1.00"), 1)],
        test: true,
        ..OrderDraft::default()
    };
    let ids: Vec<ShopifyId> = (0..3).map(|_| place(&sandbox, draft())).collect();
    let expected = vec![(ids[1], "#1002".to_owned())];
    assert_eq!(shop.find_order_by_name("#1002").await.unwrap(), expected);
    assert_eq!(shop.find_order_by_name("1002").await.unwrap(), expected);
    assert_eq!(shop.find_order_by_name("#9").await.unwrap(), []);
    sandbox.change(|shop| shop.delete_order(ids[1].0)).unwrap();
    assert!(shop.order(ids[1], "").await.unwrap().is_none());
}

#[tokio::test]
async fn a_version_that_is_no_longer_served_falls_forward_and_is_seen() {
    let sandbox = start().await;
    let settings = Settings {
        base_url: Some(sandbox.url()),
        api_version: "2024-01".to_owned(),
        ..Settings::new(sandbox.domain())
    };
    let shop = Shopify::connect(
        "main".parse().unwrap(),
        &settings,
        token(),
        &transport::Settings::default(),
        Arc::new(SystemClock),
        Arc::new(SeededEntropy::new(3)),
    )
    .unwrap();
    let rows = shop.check(&CheckNeeds::default()).await.rows;
    assert_eq!(shop.served_version().as_deref(), Some("2026-01"));
    let version = rows.iter().find(|row| row.what == "Shopify API version").unwrap();
    assert_eq!(version.outcome, CheckOutcome::Warning, "{rows:?}");
}

#[tokio::test]
async fn what_a_mapping_selects_comes_with_the_record() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let (_, variants) = product(&sandbox, 1);
    let order = place(
        &sandbox,
        OrderDraft {
            lines: vec![LineDraft::variant(variants[0], 1)],
            ..OrderDraft::default()
        },
    );
    let select = r#"hint: metafield(namespace: "custom", key: "hint") { value } unpaid # more to come"#;
    let selected = AdminSchema.selected(Object::Order, select).unwrap();
    let raw = shop.order(order, &selected.text).await.unwrap().unwrap().raw;
    assert!(raw["unpaid"].is_boolean(), "{raw}");
    assert!(raw.get("hint").is_some(), "{raw}");
    let raw = shop.order(order, "").await.unwrap().unwrap().raw;
    assert!(raw.get("unpaid").is_none() && raw.get("hint").is_none());
}

#[tokio::test]
async fn topics_without_a_subscription_at_our_address_are_listed() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let address = "https://sync.example.com/webhooks/shopify";
    let needs = CheckNeeds {
        topics: [
            "orders/create",
            "orders/updated",
            "products/update",
            "refunds/create",
        ]
        .map(str::to_owned)
        .to_vec(),
        webhook_address: Some(address.to_owned()),
        ..CheckNeeds::default()
    };
    // As the app's configuration file makes it: it works, and the API does not list it.
    sandbox.register("orders/updated", address);
    let subscribe = Document {
        name: "Subscribe",
        text: "mutation Subscribe($topic: WebhookSubscriptionTopic!, $uri: String!) {
            webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri}) { userErrors { field message } } }",
        points: 10.0,
        writes: true,
        tells_refusals: false,
        searches: false,
    };
    for (topic, uri) in [
        ("ORDERS_CREATE", address),
        (
            "PRODUCTS_UPDATE",
            "https://elsewhere.example.com/webhooks/shopify",
        ),
    ] {
        let variables = json!({ "topic": topic, "uri": uri });
        shop.client.call(&subscribe, &variables).await.unwrap();
    }
    let row = |rows: Vec<CheckRow>| {
        rows.into_iter()
            .find(|row| row.what == "Shopify webhooks")
            .unwrap()
    };
    let found = row(shop.check(&needs).await.rows);
    assert_eq!(found.outcome, CheckOutcome::Warning);
    assert!(found.note.starts_with(address), "{}", found.note);
    assert!(
        found
            .note
            .contains("to orders/updated, products/update, refunds/create."),
        "{}",
        found.note
    );
    assert!(found.note.contains("shopify.app.toml"), "{}", found.note);
    for topic in ["ORDERS_UPDATED", "PRODUCTS_UPDATE", "REFUNDS_CREATE"] {
        let variables = json!({ "topic": topic, "uri": format!("{address}/") });
        shop.client.call(&subscribe, &variables).await.unwrap();
    }
    let found = row(shop.check(&needs).await.rows);
    assert_eq!(found.outcome, CheckOutcome::Ok, "{}", found.note);
}
