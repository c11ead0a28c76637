//! Webhooks as a receiver sees them.

use serde_json::{Value as Json, json};

use super::*;
use crate::sandbox::shopify::CONNECTOR_TOPICS;
use crate::sandbox::shopify::draft::{CancelDraft, OrderEdit, OrderPatch, RefundDraft};
use crate::sandbox::shopify::faults::DeliveryFault;
use crate::sandbox::shopify::webhook::sign::signature;

async fn shop_with(receiver: &Receiver, topics: &[&str]) -> ShopSandbox {
    let shop = start(quick()).await;
    for topic in topics {
        shop.register(topic, &receiver.url);
    }
    shop
}

#[tokio::test]
async fn a_delivery_has_its_headers_and_a_body_in_rest_shape() {
    let receiver = Receiver::start(&[]).await;
    let shop = shop_with(&receiver, &["orders/create", "orders/paid"]).await;
    let id = shop.change(order);
    shop.settle().await;
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    let create = got
        .iter()
        .find(|r| r.header("X-Shopify-Topic") == "orders/create")
        .unwrap();
    let secret = Access::default().client_secret;
    assert_eq!(
        create.header("X-Shopify-Hmac-Sha256"),
        signature(&secret, &create.body)
    );
    assert_eq!(create.header("X-Shopify-Shop-Domain"), shop.domain());
    assert_eq!(create.header("X-Shopify-API-Version"), "2026-10");
    assert!(chrono::DateTime::parse_from_rfc3339(create.header("X-Shopify-Triggered-At")).is_ok());
    let events: std::collections::BTreeSet<&str> =
        got.iter().map(|r| r.header("X-Shopify-Event-Id")).collect();
    let webhooks: std::collections::BTreeSet<&str> =
        got.iter().map(|r| r.header("X-Shopify-Webhook-Id")).collect();
    assert_eq!(
        (events.len(), webhooks.len()),
        (1, 2),
        "one action, two deliveries"
    );
    let body = create.json();
    assert_eq!(body["id"], id);
    assert_eq!(body["name"], "#1001");
    assert_eq!(body["total_price"], "49.88");
    assert_eq!(
        body["total_price_set"]["shop_money"],
        json!({"amount": "49.88", "currency_code": "EUR"})
    );
    assert_eq!(body["financial_status"], "paid");
    assert_eq!(body["line_items"][0]["price"], "19.99");
    assert_eq!(body["customer"]["email"], "ana0@example.com");
    let offset = body["created_at"].as_str().unwrap();
    assert!(
        offset.ends_with("+01:00") || offset.ends_with("+02:00"),
        "{offset}"
    );
    assert_eq!(shop.ledger().delivered(), 2);
    assert!(shop.ledger().accepted_at("orders/create", id).is_some());
}

/// The topics that an action announces, in alphabetical order; they are delivered before the next action.
async fn topics_of(shop: &ShopSandbox, action: impl FnOnce(&mut Shop)) -> String {
    shop.hold_deliveries();
    shop.change(action);
    let mut topics: Vec<&str> = shop.held().iter().map(|(topic, _)| *topic).collect();
    topics.sort_unstable();
    shop.release(&[]).await;
    topics.join(" ")
}

#[tokio::test]
async fn every_action_announces_its_topics() {
    let receiver = Receiver::start(&[]).await;
    let shop = shop_with(&receiver, CONNECTOR_TOPICS).await;
    let mut id = 0;
    assert_eq!(
        topics_of(&shop, |s| id = order(s)).await,
        "customers/create customers/update inventory_levels/update inventory_levels/update \
         order_transactions/create orders/create orders/paid orders/updated products/create"
    );
    let parcel_of = |line: Option<(usize, u32)>| {
        move |s: &mut Shop| {
            s.fulfill_order(id, line.as_ref().map(std::slice::from_ref))
                .unwrap();
        }
    };
    let sent = "fulfillments/create orders/partially_fulfilled orders/updated";
    assert_eq!(topics_of(&shop, parcel_of(Some((0, 1)))).await, sent);
    assert_eq!(
        topics_of(&shop, parcel_of(None)).await,
        "fulfillments/create orders/fulfilled orders/updated"
    );
    let parcel = shop.read(|s| s.order(id).unwrap().fulfillments[0].id);
    assert_eq!(
        topics_of(&shop, |s| s.deliver(id, parcel).unwrap()).await,
        "fulfillment_events/create fulfillments/update orders/updated"
    );
    let take_back = |s: &mut Shop| {
        s.refund_order(id, &RefundDraft::returned(0, 1)).unwrap();
    };
    assert_eq!(
        topics_of(&shop, take_back).await,
        "inventory_levels/update order_transactions/create orders/updated refunds/create"
    );
    let patch = OrderPatch {
        note: Some("x".into()),
        ..OrderPatch::default()
    };
    assert_eq!(
        topics_of(&shop, |s| s.patch_order(id, patch).unwrap()).await,
        "orders/updated"
    );
    let edit = OrderEdit {
        add: vec![LineDraft::custom("Bag", d("1"), 1)],
        ..OrderEdit::default()
    };
    assert_eq!(
        topics_of(&shop, |s| s.edit_order(id, &edit).unwrap()).await,
        "orders/edited orders/updated"
    );
    let other = shop.change(order);
    shop.settle().await;
    assert_eq!(
        topics_of(&shop, |s| s.cancel_order(other, &CancelDraft::default()).unwrap()).await,
        "inventory_levels/update inventory_levels/update order_transactions/create orders/cancelled orders/updated \
         refunds/create"
    );
    assert_eq!(
        topics_of(&shop, |s| s.delete_order(other).unwrap()).await,
        "orders/delete"
    );
    assert_eq!(receiver.got().last().unwrap().json(), json!({"id": other}));

    let (kept, gone) = shop.change(|s| (customer(s, "kept@example.com"), customer(s, "gone@example.com")));
    shop.settle().await;
    assert_eq!(
        topics_of(&shop, |s| s.merge_customers(gone, kept).unwrap()).await,
        "customers/merge customers/update"
    );
    assert_eq!(
        topics_of(&shop, |s| s.delete_customer(kept).unwrap()).await,
        "customers/delete"
    );
    let variant = shop.read(|s| s.order(id).unwrap().lines[0].variant.unwrap());
    assert_eq!(
        topics_of(&shop, |s| s.edit_variant(variant, |v| v.price = d("21")).unwrap()).await,
        "products/update"
    );
    let place = shop.read(Shop::main_location);
    assert_eq!(
        topics_of(&shop, |s| s.set_available(variant, place, 7).unwrap()).await,
        "inventory_levels/update"
    );
    assert_eq!(receiver.got().last().unwrap().json()["available"], 7);
    let product = shop.read(|s| s.order(id).unwrap().lines[0].product.unwrap());
    assert_eq!(
        topics_of(&shop, |s| s.delete_product(product).unwrap()).await,
        "products/delete"
    );
    let line = shop.read(|s| s.order(id).unwrap().lines[0].clone());
    assert_eq!(
        (line.product, line.variant, line.title.as_str()),
        (None, None, "Tee")
    );
}

#[tokio::test]
async fn an_uninstalled_app_hears_of_it_with_a_dead_token() {
    let receiver = Receiver::start(&[]).await;
    let shop = shop_with(&receiver, CONNECTOR_TOPICS).await;
    shop.uninstall();
    shop.settle().await;
    assert_eq!(receiver.topics(), ["app/uninstalled"]);
    assert_eq!(
        request(&shop, "2026-10", "{ shop { name } }", &json!({}), None)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    shop.change(order);
    assert_eq!(shop.pending(), 0, "nobody listens any more");
}

#[tokio::test]
async fn a_refused_delivery_is_sent_again_unchanged() {
    let receiver = Receiver::start(&[500, 302, 401]).await;
    let shop = shop_with(&receiver, &["orders/create"]).await;
    shop.change(order);
    shop.settle().await;
    let got = receiver.got();
    assert_eq!(got.len(), 4);
    for again in &got[1..] {
        assert_eq!(again.body, got[0].body);
        for header in [
            "X-Shopify-Webhook-Id",
            "X-Shopify-Event-Id",
            "X-Shopify-Triggered-At",
            "X-Shopify-Hmac-Sha256",
        ] {
            assert_eq!(again.header(header), got[0].header(header));
        }
    }
    assert_eq!(
        shop.ledger().deliveries[0].attempts,
        [Some(500), Some(302), Some(401), Some(200)]
    );
}

#[tokio::test]
async fn eight_failures_in_a_row_delete_a_subscription_made_through_the_api() {
    let receiver = Receiver::start(&[500; 9]).await;
    let shop = start(quick()).await;
    let create = "mutation($url: String!) { webhookSubscriptionCreate(topic: ORDERS_CREATE,
        webhookSubscription: {uri: $url, name: \"mine\"}) { webhookSubscription { id topic uri } userErrors { field message } } }";
    let made = run(&shop, create, json!({"url": receiver.url})).await;
    let made = &made["data"]["webhookSubscriptionCreate"];
    assert_eq!(made["webhookSubscription"]["topic"], "ORDERS_CREATE");
    shop.change(order);
    shop.settle().await;
    assert_eq!(receiver.got().len(), 9, "the first attempt and eight retries");
    assert_eq!(receiver.got()[0].header("X-Shopify-Name"), "mine");
    let left = run(
        &shop,
        "{ webhookSubscriptions(first: 9) { nodes { id } } webhookSubscriptionsCount { count } }",
        json!({}),
    )
    .await;
    assert_eq!(
        left["data"],
        json!({"webhookSubscriptions": {"nodes": []}, "webhookSubscriptionsCount": {"count": 0}})
    );
    let ledger = shop.ledger();
    assert_eq!((ledger.deleted_subscriptions, ledger.lost()), (1, 1));
}

#[tokio::test]
async fn failures_that_are_not_in_a_row_cost_nothing() {
    // Seven failures, a success, seven failures, a success.
    let answers = [[500; 7].as_slice(), &[200], &[500; 7], &[200]].concat();
    let receiver = Receiver::start(&answers).await;
    let shop = start(quick()).await;
    let create = "mutation($url: String!) { webhookSubscriptionCreate(topic: ORDERS_CREATE,
        webhookSubscription: {uri: $url}) { userErrors { message } } }";
    run(&shop, create, json!({"url": receiver.url})).await;
    for _ in 0..2 {
        shop.change(order);
        shop.settle().await;
    }
    assert_eq!((receiver.got().len(), shop.ledger().delivered()), (16, 2));
    assert_eq!(shop.read(|s| s.subscriptions().len()), 1);
}

#[tokio::test]
async fn faults_of_deliveries() {
    let receiver = Receiver::start(&[]).await;
    let shop = shop_with(&receiver, &["orders/create"]).await;
    shop.inject_delivery(DeliveryFault::Duplicate(2), Some("orders/create"), 1);
    shop.change(order);
    shop.settle().await;
    let got = receiver.got();
    assert_eq!(got.len(), 3);
    assert!(
        got.iter()
            .all(|r| r.header("X-Shopify-Webhook-Id") == got[0].header("X-Shopify-Webhook-Id"))
    );
    assert_eq!(shop.ledger().duplicated(), 1);

    shop.inject_delivery(DeliveryFault::Drop, None, 1);
    shop.change(order);
    shop.settle().await;
    assert_eq!(receiver.got().len(), 3);
    assert_eq!(shop.ledger().lost(), 1);

    shop.rotate_secret("second");
    for (fault, secret) in [
        (
            Some(DeliveryFault::OldSecret),
            Some(Access::default().client_secret),
        ),
        (Some(DeliveryFault::CorruptSignature), None),
        (None, Some("second".to_owned())),
    ] {
        if let Some(fault) = fault {
            shop.inject_delivery(fault, None, 1);
        }
        shop.change(order);
        shop.settle().await;
        let last = receiver.got().pop().unwrap();
        let signed = last.header("X-Shopify-Hmac-Sha256");
        match secret {
            Some(secret) => assert_eq!(signed, signature(&secret, &last.body)),
            None => assert_ne!(signed, signature("second", &last.body)),
        }
    }
}

#[tokio::test]
async fn held_deliveries_are_released_in_any_order() {
    let receiver = Receiver::start(&[]).await;
    let shop = shop_with(&receiver, &["orders/create", "orders/paid", "orders/updated"]).await;
    shop.hold_deliveries();
    shop.change(order);
    let held: Vec<&str> = shop.held().iter().map(|(topic, _)| *topic).collect();
    assert_eq!(held, ["orders/create", "orders/paid", "orders/updated"]);
    shop.release(&[2, 1, 0]).await;
    assert_eq!(
        receiver.topics(),
        ["orders/updated", "orders/paid", "orders/create"]
    );
    shop.inject_delivery(
        DeliveryFault::Delay(Duration::from_hours(1)),
        Some("orders/create"),
        1,
    );
    shop.change(order);
    shop.deliver_now().await;
    assert_eq!(receiver.got().len(), 6);
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_until_it_is_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let shop = start(quick()).await;
    shop.register("orders/create", &format!("http://{address}/hooks"));
    shop.change(order);
    shop.settle().await;
    let ledger = shop.ledger();
    assert_eq!(ledger.deliveries[0].attempts, [None; 9]);
    assert_eq!(
        shop.read(|s| s.subscriptions().len()),
        1,
        "the app's own subscriptions are kept"
    );
}

#[tokio::test]
async fn subscriptions_complain_as_recorded() {
    let shop = start(quick()).await;
    let create = "mutation($topic: WebhookSubscriptionTopic!, $sub: WebhookSubscriptionInput!) {
        webhookSubscriptionCreate(topic: $topic, webhookSubscription: $sub) {
            webhookSubscription { id filter includeFields format } userErrors { field message } } }";
    let good = json!({"uri": "https://sync.example.com/hooks", "filter": "total_price:>=10", "includeFields": ["id", "updated_at"]});
    let made = run(&shop, create, json!({"topic": "ORDERS_CREATE", "sub": good})).await;
    let made = &made["data"]["webhookSubscriptionCreate"];
    assert_eq!(made["userErrors"], json!([]), "{made}");
    assert_eq!(
        made["webhookSubscription"]["includeFields"],
        json!(["id", "updated_at"])
    );
    let address = json!(["webhookSubscription", "callbackUrl"]);
    for (sub, field, message) in [
        (
            good.clone(),
            address.clone(),
            "Address for this topic has already been taken",
        ),
        (
            json!({"uri": "http://sync.example.com/"}),
            address.clone(),
            "Address protocol http:// is not supported",
        ),
        (
            json!({"uri": "https://x.myshopify.com/"}),
            address.clone(),
            "Address cannot be a Shopify or an internal domain",
        ),
        (json!({"uri": ""}), address.clone(), "Address can't be blank"),
        (json!({"uri": "nonsense"}), address, "Address is invalid"),
    ] {
        let answer = run(&shop, create, json!({"topic": "ORDERS_CREATE", "sub": sub})).await;
        let payload = &answer["data"]["webhookSubscriptionCreate"];
        assert_eq!(payload["webhookSubscription"], Json::Null);
        assert_eq!(
            payload["userErrors"],
            json!([{"field": field, "message": message}])
        );
    }
    let answer = run(&shop, create, json!({"topic": "NOPE", "sub": good})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_VARIABLE");
    let delete = "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field message } } }";
    let id = &made["webhookSubscription"]["id"];
    let gone = run(&shop, delete, json!({"id": id})).await;
    assert_eq!(
        &gone["data"]["webhookSubscriptionDelete"]["deletedWebhookSubscriptionId"],
        id
    );
    let again = run(&shop, delete, json!({"id": id})).await;
    assert_eq!(
        again["data"]["webhookSubscriptionDelete"]["userErrors"],
        json!([{"field": ["id"], "message": "Webhook subscription does not exist"}])
    );
}

#[tokio::test]
async fn filters_and_fields_of_a_subscription_count() {
    let receiver = Receiver::start(&[]).await;
    let shop = start(quick()).await;
    let create = "mutation($sub: WebhookSubscriptionInput!) { webhookSubscriptionCreate(topic: ORDERS_CREATE,
        webhookSubscription: $sub) { userErrors { message } } }";
    let sub =
        json!({"uri": receiver.url, "filter": "total_price:>=40", "includeFields": ["id", "updated_at"]});
    run(&shop, create, json!({"sub": sub})).await;
    shop.change(|s| {
        order(s);
        let lines = vec![LineDraft::custom("Small", d("1"), 1)];
        s.place_order(OrderDraft {
            lines,
            ..OrderDraft::default()
        })
        .unwrap();
    });
    shop.settle().await;
    let got = receiver.got();
    assert_eq!(got.len(), 1, "the small order does not pass the filter");
    let body = got[0].json();
    assert_eq!(
        body.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id", "updated_at"]
    );
}
