use proptest::prelude::*;

use super::*;

fn shop() -> ShopName {
    "main".parse().unwrap()
}

/// The action as a short text.
fn check(topic: Option<&str>, body: &[u8]) -> String {
    let wanted = [Object::Order, Object::Customer]
        .map(|object| (object, Priority::LIVE))
        .into();
    let sha = hex::encode(Sha256::digest(body));
    match action(&shop(), &wanted, topic, body, &sha) {
        DeliveryAction::Job { key, .. } => format!("job {}/{}", key.object, key.source_id),
        DeliveryAction::Record { reason } => format!("record {reason}"),
        DeliveryAction::Problem { key, problem } => {
            assert_eq!(key.source_id, format!("unreadable-{}", &sha[..12]));
            let what = problem.reason.split(": ").nth(1).unwrap_or_default().to_owned();
            format!("problem {}: {what}", key.object)
        }
    }
}

#[test]
fn a_job_has_the_priority_of_its_category() {
    let wanted = [
        (Object::Order, Priority::URGENT),
        (Object::Product, Priority::BACKGROUND),
        (Object::Inventory, Priority::LIVE),
    ]
    .into();
    let body = br#"{"id":7,"inventory_item_id":7}"#;
    for (topic, expected) in [
        ("inventory_levels/update", Some(Priority::LIVE)),
        ("orders/create", Some(Priority::URGENT)),
        ("products/update", Some(Priority::BACKGROUND)),
        ("customers/update", None),
    ] {
        let priority = match action(&shop(), &wanted, Some(topic), body, &"0".repeat(64)) {
            DeliveryAction::Job { priority, .. } => Some(priority),
            DeliveryAction::Record { .. } | DeliveryAction::Problem { .. } => None,
        };
        assert_eq!(priority, expected, "{topic}");
    }
}

#[test]
fn deliveries_are_understood() {
    for (topic, body, expected) in [
        (
            "orders/create",
            r#"{"id":450789469,"x":[{"id":1}]}"#,
            "job order/450789469",
        ),
        (
            "orders/updated",
            r#"{"x":{"id":1},"id":18446744073709551615}"#,
            "job order/18446744073709551615",
        ),
        ("orders/delete", r#"{"id":7}"#, "job order/7"),
        (
            "orders/edited",
            r#"{"order_edit":{"id":1,"order_id":7}}"#,
            "job order/7",
        ),
        ("refunds/create", r#"{"id":1,"order_id":7}"#, "job order/7"),
        (
            "fulfillment_events/create",
            r#"{"id":1,"order_id":7}"#,
            "job order/7",
        ),
        ("customers/update", r#" {"id":7} "#, "job customer/7"),
        (
            "customers/merge",
            r#"{"admin_graphql_api_customer_kept_id":"gid://shopify/Customer/7"}"#,
            "job customer/7",
        ),
        ("orders/create", r#"{"id":"7"}"#, "job order/7"),
        ("orders/create", r#"{"id":6,"id":7}"#, "job order/7"),
        ("products/update", r#"{"id":7}"#, "record toggle_off"),
        (
            "inventory_levels/update",
            r#"{"inventory_item_id":7}"#,
            "record toggle_off",
        ),
        ("carts/create", r#"{"id":"c1"}"#, "record unknown_topic"),
        ("app/uninstalled", r#"{"id":7}"#, "job shop/uninstalled"),
        (
            "shop/redact",
            r#"{"shop_id":7}"#,
            "job shop/shop/redact-5022e73d4285",
        ),
    ] {
        assert_eq!(check(Some(topic), body.as_bytes()), expected, "{topic} {body}");
    }
}

#[test]
fn what_cannot_be_understood_is_a_problem() {
    for (topic, body, expected) in [
        ("orders/create", "", "problem order: its body is empty."),
        ("orders/create", "\n ", "problem order: its body is empty."),
        ("orders/create", "<xml/>", "problem order: its body is no JSON."),
        (
            "orders/create",
            r#"{"id":7"#,
            "problem order: its body is no JSON.",
        ),
        (
            "orders/create",
            r#"{"id":7}x"#,
            "problem order: its body is no JSON.",
        ),
        (
            "orders/create",
            r#"{"id":7,}"#,
            "problem order: its body is no JSON.",
        ),
        ("orders/create", "null", "problem order: its body has no `id`."),
        ("orders/create", "[]", "problem order: its body has no `id`."),
        (
            "orders/create",
            r#"[{"id":7}]"#,
            "problem order: its body has no `id`.",
        ),
        ("orders/create", "{}", "problem order: its body has no `id`."),
        ("orders/create", "7", "problem order: its body has no `id`."),
        (
            "orders/create",
            r#"{"ID":7}"#,
            "problem order: its body has no `id`.",
        ),
        (
            "orders/create",
            r#"{"id":null}"#,
            "problem order: its body has no `id`.",
        ),
        (
            "orders/create",
            r#"{"id":-7}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":0}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":7.0}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":18446744073709551616}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":"seven"}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":true}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":[7]}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "orders/create",
            r#"{"id":{"id":7}}"#,
            "problem order: its `id` is no id.",
        ),
        (
            "products/update",
            "garbage",
            "problem product: its body is no JSON.",
        ),
        (
            "inventory_levels/update",
            "[]",
            "problem inventory: its body has no `inventory_item_id`.",
        ),
        (
            "orders/edited",
            r#"{"order_edit":7}"#,
            "problem order: its body has no `order_edit.order_id`.",
        ),
        (
            "shop/redact",
            "{}",
            "problem shop: its body is no JSON object with something in it.",
        ),
        (
            "app/uninstalled",
            "null",
            "problem shop: its body is no JSON object with something in it.",
        ),
    ] {
        assert_eq!(check(Some(topic), body.as_bytes()), expected, "{topic} {body}");
    }
    assert_eq!(
        check(None, b"{}"),
        "problem shop: it names no topic (X-Shopify-Topic is missing)."
    );
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert_eq!(
        check(Some("orders/create"), &deep),
        "problem order: its body has no `id`."
    );
}

#[test]
fn only_a_true_repetition_has_the_same_key() {
    let headers = |id: Option<&str>, topic: &str, time: Option<&str>| Headers {
        topic: Some(topic.into()),
        webhook_id: id.map(str::to_owned),
        triggered_at: time.map(str::to_owned),
        ..Headers::default()
    };
    let first = dedup_key(&headers(Some("w1"), "orders/create", Some("t1")), "aa");
    for (name, other, body, same) in [
        (
            "the same",
            headers(Some("w1"), "orders/create", Some("t1")),
            "aa",
            true,
        ),
        (
            "the same with another time",
            headers(Some("w1"), "orders/create", None),
            "aa",
            true,
        ),
        (
            "another id",
            headers(Some("w2"), "orders/create", Some("t1")),
            "aa",
            false,
        ),
        (
            "the id with another topic",
            headers(Some("w1"), "orders/paid", Some("t1")),
            "aa",
            false,
        ),
        (
            "the id with another body",
            headers(Some("w1"), "orders/create", Some("t1")),
            "bb",
            false,
        ),
    ] {
        assert_eq!(dedup_key(&other, body) == first, same, "{name}");
    }
    let without = dedup_key(&headers(None, "orders/create", Some("t1")), "aa");
    for (name, other, body, same) in [
        ("the same", headers(None, "orders/create", Some("t1")), "aa", true),
        (
            "another time",
            headers(None, "orders/create", Some("t2")),
            "aa",
            false,
        ),
        (
            "another topic",
            headers(None, "orders/paid", Some("t1")),
            "aa",
            false,
        ),
        (
            "another body",
            headers(None, "orders/create", Some("t1")),
            "bb",
            false,
        ),
        (
            "an id that looks like the time",
            headers(Some("t1"), "orders/create", None),
            "aa",
            false,
        ),
    ] {
        assert_eq!(dedup_key(&other, body) == without, same, "{name}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            r#"[\[\]{}:,"0-9a-z\\.-]{0,60}"#.prop_map(String::into_bytes),
            r#"\{"id":[-0-9.eE"]{0,25}\}"#.prop_map(String::into_bytes),
        ],
        topic in any::<proptest::sample::Index>(),
    ) {
        check(Some(topic.get(Topic::ALL).name), &body);
    }

    /// What serde_json's own reader says, ours says too.
    #[test]
    fn ids_are_read_as_a_plain_reader_does(id in any::<u64>(), noise in ".{0,20}") {
        let body = json!({ "noise": { "id": 1, "text": noise.clone() }, "id": id, noise: [1, null, "id"] });
        let expected = body["id"].as_u64().filter(|id| *id > 0);
        let read = record_id(body.to_string().as_bytes(), "id").ok().map(|id| id.0);
        prop_assert_eq!(read, expected);
    }
}
