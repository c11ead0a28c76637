//! Webhooks: every status, repetitions, secrets, and a store that fails.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use futures_util::future::join_all;

use super::super::Settings;
use super::rig::{DOMAIN, OLD_SECRET, Rig, SECRET, delivery, shop};
use crate::domain::{JobState, Object, Timestamp};
use crate::secret::Secret;
use crate::store::faulty::StoreFault;

/// One kind of delivery, and what becomes of it: status, code, whether an event is stored.
struct Case {
    name: &'static str,
    request: Request<Body>,
    expected: (u16, Option<&'static str>, bool),
}

fn case(
    name: &'static str,
    body: &str,
    secret: &str,
    change: impl Fn(&mut Request<Body>),
    expected: (u16, Option<&'static str>, bool),
) -> Case {
    let mut request = delivery("w1", "orders/create", body, secret);
    change(&mut request);
    Case {
        name,
        request,
        expected,
    }
}

pub(super) const ORDER: &str = r#"{"id":450789469,"updated_at":"2026-11-20T10:29:59Z"}"#;

#[tokio::test]
async fn every_kind_of_delivery_has_its_answer() {
    let large = format!(r#"{{"id":1,"x":"{}"}}"#, "x".repeat(2000));
    let with = |name: &'static str, value: &'static str| {
        move |request: &mut Request<Body>| {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    };
    let without = |name: &'static str| {
        move |request: &mut Request<Body>| {
            request.headers_mut().remove(name);
        }
    };
    let as_is = || |_: &mut Request<Body>| {};
    let stored = (200, None, true);
    let refused = |status: u16, code: &'static str| (status, Some(code), false);
    let cases = [
        case("good", ORDER, SECRET, as_is(), stored),
        case(
            "signed with the older live secret",
            ORDER,
            OLD_SECRET,
            as_is(),
            stored,
        ),
        case(
            "the domain in capitals",
            ORDER,
            SECRET,
            with("x-shopify-shop-domain", "MAIN.myshopify.com"),
            stored,
        ),
        case(
            "a topic that is not used",
            "{}",
            SECRET,
            with("x-shopify-topic", "carts/update"),
            stored,
        ),
        case("no topic", ORDER, SECRET, without("x-shopify-topic"), stored),
        case(
            "no webhook id",
            ORDER,
            SECRET,
            without("x-shopify-webhook-id"),
            stored,
        ),
        case(
            "a time that is none",
            ORDER,
            SECRET,
            with("x-shopify-triggered-at", "yesterday"),
            stored,
        ),
        case("no JSON", "<order/>", SECRET, as_is(), stored),
        case("null", "null", SECRET, as_is(), stored),
        case("an empty list", "[]", SECRET, as_is(), stored),
        case("an empty object", "{}", SECRET, as_is(), stored),
        case("an empty body", "", SECRET, as_is(), stored),
        case("an id below zero", r#"{"id":-1}"#, SECRET, as_is(), stored),
        case(
            "another shop's secret",
            ORDER,
            "another",
            as_is(),
            refused(401, "bad_signature"),
        ),
        case(
            "no signature",
            ORDER,
            SECRET,
            without("x-shopify-hmac-sha256"),
            refused(401, "no_signature"),
        ),
        case(
            "a signature that is none",
            ORDER,
            SECRET,
            with("x-shopify-hmac-sha256", "hm?"),
            refused(401, "bad_signature"),
        ),
        case(
            "an empty signature",
            ORDER,
            SECRET,
            with("x-shopify-hmac-sha256", ""),
            refused(401, "bad_signature"),
        ),
        case(
            "an unknown shop",
            ORDER,
            SECRET,
            with("x-shopify-shop-domain", "x.myshopify.com"),
            refused(404, "unknown_shop"),
        ),
        case(
            "no shop",
            ORDER,
            SECRET,
            without("x-shopify-shop-domain"),
            refused(404, "unknown_shop"),
        ),
        case(
            "another of our shops",
            ORDER,
            SECRET,
            with("x-shopify-shop-domain", "other.myshopify.com"),
            refused(401, "bad_signature"),
        ),
        case("too large", &large, SECRET, as_is(), refused(413, "too_large")),
        case(
            "too large by its own word",
            ORDER,
            SECRET,
            with("content-length", "999999"),
            refused(413, "too_large"),
        ),
    ];
    for Case {
        name,
        request,
        expected: (status, code, stored),
    } in cases
    {
        let mut rig = Rig::with(Settings {
            max_body_bytes: NonZeroUsize::new(1000).unwrap(),
            ..Settings::default()
        })
        .await;
        let (got, answer) = rig.call(request).await;
        assert_eq!(got.as_u16(), status, "{name}: {answer}");
        assert_eq!(answer["code"].as_str(), code, "{name}");
        assert_eq!(rig.events().await, u64::from(stored), "{name}");
        let refused = rig.refused().await;
        assert_eq!(refused.first().map(|count| count.reason.as_str()), code, "{name}");
        for count in refused {
            assert_eq!(
                (count.count, count.hour.to_string().as_str()),
                (1, "2026-11-20T10:00:00Z"),
                "{name}"
            );
            assert_eq!(count.shop == "-", code == Some("unknown_shop"), "{name}");
        }
    }
}

#[tokio::test]
async fn deliveries_become_jobs_records_and_problems() {
    let rig = Rig::new().await;
    for (id, topic, body) in [
        ("w1", "orders/create", ORDER),
        ("w2", "refunds/create", r#"{"id":1,"order_id":450789469}"#),
        ("w3", "products/update", r#"{"id":7}"#),
        ("w4", "app/uninstalled", r#"{"id":7}"#),
        ("w5", "orders/create", "null"),
    ] {
        assert_eq!(rig.deliver(id, topic, body).await, 200, "{topic}");
    }
    let mut jobs: Vec<_> = rig
        .jobs()
        .await
        .into_iter()
        .map(|job| (job.key.object, job.key.source_id, job.state, job.events))
        .collect();
    jobs.sort();
    let unreadable = "unreadable-74234e98afe7";
    assert_eq!(
        jobs,
        [
            (Object::Order, "450789469".into(), JobState::Available, 2),
            (Object::Order, unreadable.into(), JobState::Problem, 1),
            (Object::Shop, "uninstalled".into(), JobState::Available, 1),
        ]
    );
    let problems = rig.problems().await;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].problem.code.0, "delivery_unreadable");
}

#[tokio::test]
async fn the_same_delivery_fifty_times_at_once_is_one_event_and_one_job() {
    let rig = Rig::new().await;
    let all = join_all((0..50).map(|_| rig.deliver("w1", "orders/create", ORDER))).await;
    assert_eq!(all, [200; 50]);
    assert_eq!(rig.events().await, 1);
    let jobs = rig.jobs().await;
    assert_eq!((jobs.len(), jobs[0].events), (1, 1));
}

#[tokio::test]
async fn an_id_that_comes_again_with_something_else_is_no_repetition() {
    let rig = Rig::new().await;
    for (topic, body, events) in [
        ("orders/create", ORDER, 1),
        ("orders/create", ORDER, 1),
        ("orders/paid", ORDER, 2),
        ("orders/create", r#"{"id":2}"#, 3),
    ] {
        assert_eq!(rig.deliver("w1", topic, body).await, 200);
        assert_eq!(rig.events().await, events, "{topic} {body}");
    }
}

#[tokio::test]
async fn what_is_not_durable_is_answered_503_and_taken_when_it_comes_again() {
    let rig = Rig::with(Settings {
        store_within_ms: NonZeroU64::new(50).unwrap(),
        ..Settings::default()
    })
    .await;
    for (fault, code) in [
        (StoreFault::Away, "not_stored"),
        (StoreFault::Refuses, "not_stored"),
        (StoreFault::Hangs, "store_too_slow"),
    ] {
        rig.store.fail("record_delivery", fault, 1);
        let (status, answer) = rig.call(delivery("w1", "orders/create", ORDER, SECRET)).await;
        assert_eq!(
            (status.as_u16(), answer["code"].as_str()),
            (503, Some(code)),
            "{fault:?}"
        );
        let text = answer.to_string();
        assert!(
            !text.contains("pool") && !text.contains("row"),
            "inner texts stay inside: {text}"
        );
        assert_eq!(rig.events().await, 0);
    }
    // What is asked of the good store has no deadline to fear: a busy machine may take longer than 50 ms.
    let rig = Rig::new().await;
    rig.store.fail("record_delivery", StoreFault::Away, 1);
    let (status, _) = rig.call(delivery("w1", "orders/create", ORDER, SECRET)).await;
    assert_eq!(status.as_u16(), 503);
    assert_eq!(rig.deliver("w1", "orders/create", ORDER).await, 200);
    assert_eq!(rig.events().await, 1);
}

#[tokio::test]
async fn several_bad_signatures_in_a_row_raise_a_problem_and_a_good_one_closes_it() {
    let rig = Rig::new().await;
    let bad = async || {
        rig.call(delivery("w1", "orders/create", ORDER, "wrong"))
            .await
            .0
            .as_u16()
    };
    let open = async || rig.problems().await.len();
    for _ in 0..3 {
        assert_eq!(bad().await, 401);
    }
    rig.until("the problem", 1, open).await;
    let problem = rig.problems().await.remove(0).problem;
    assert_eq!(problem.code.0, "webhook_secret_wrong");
    assert!(problem.fix.contains("[shops.main]"), "{}", problem.fix);
    assert_eq!(rig.deliver("w2", "orders/create", ORDER).await, 200);
    rig.clock.advance(Duration::from_mins(5));
    rig.until("the problem is over", 0, open).await;
}

#[tokio::test]
async fn counts_outlive_a_store_that_is_away() {
    let mut rig = Rig::new().await;
    rig.store.fail("count_rejections", StoreFault::Away, 2);
    for _ in 0..4 {
        rig.call(delivery("w1", "orders/create", ORDER, "wrong")).await;
    }
    rig.until("it is tried again", true, async || {
        rig.store.calls("count_rejections") >= 3
    })
    .await;
    let counts = rig.refused().await;
    assert_eq!(
        counts.iter().map(|count| count.count).sum::<u64>(),
        4,
        "{counts:?}"
    );
}

#[tokio::test]
async fn secrets_in_files_are_followed_and_unreadable_ones_are_no_bad_signature() {
    let rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let shops = [shop("main", DOMAIN, vec![Secret::file(&path)])]
        .into_iter()
        .collect();
    rig.shops.send(std::sync::Arc::new(shops)).unwrap();
    let (status, answer) = rig.call(delivery("w1", "orders/create", ORDER, SECRET)).await;
    assert_eq!(
        (status.as_u16(), answer["code"].as_str()),
        (503, Some("secret_unreadable"))
    );
    // All within one tick of the file system's clock.
    let write = |secret: &str| {
        std::fs::write(&path, secret).unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    };
    let mut number = 0;
    let mut signed_with = async |secret: &str| {
        number += 1;
        let request = delivery(&format!("w{number}"), "orders/create", ORDER, secret);
        rig.call(request).await.0.as_u16()
    };
    write("first");
    assert_eq!(signed_with("first").await, 200);
    write("second");
    assert_eq!(
        signed_with("second").await,
        200,
        "read again because of the signature"
    );
    // Shopify may go on with the old one for an hour.
    assert_eq!(signed_with("first").await, 200);
    rig.clock.advance(Duration::from_mins(61));
    assert_eq!(signed_with("first").await, 401);
    // That looked again; forged ones do not make it look at the disk all the time.
    write("third");
    assert_eq!(signed_with("third").await, 401, "within the same second");
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(signed_with("third").await, 200);
}

#[tokio::test]
async fn verified_deliveries_are_counted_by_topic_and_name() {
    let mut rig = Rig::new().await;
    let named = |id: &str, secret: &str, name: Option<&'static str>| {
        let mut request = delivery(id, "orders/create", ORDER, secret);
        if let Some(name) = name {
            let value = HeaderValue::from_static(name);
            request.headers_mut().insert("x-shopify-name", value);
        }
        request
    };
    for (id, name) in [
        ("w1", Some("ours")),
        ("w2", Some("ours")),
        ("w2", Some("ours")),
        ("w3", None),
    ] {
        assert_eq!(rig.call(named(id, SECRET, name)).await.0, 200);
    }
    assert_eq!(rig.call(named("w4", "another", Some("forged"))).await.0, 401);
    rig.store.fail("record_delivery", StoreFault::Away, 1);
    assert_eq!(rig.call(named("w5", SECRET, Some("ours"))).await.0, 503);
    // The first try to write fails; nothing is lost.
    rig.store.fail("count_deliveries", StoreFault::Away, 1);
    rig.until("it is tried again", true, async || {
        rig.store.calls("count_deliveries") >= 2
    })
    .await;
    rig.refused().await;
    let main = "main".parse().unwrap();
    let sums = rig
        .store
        .deliveries_since(&main, Timestamp::default())
        .await
        .unwrap();
    let told: Vec<_> = sums
        .iter()
        .map(|sum| (sum.topic.as_str(), sum.name.as_str(), sum.accepted, sum.failed))
        .collect();
    assert_eq!(
        told,
        [("orders/create", "", 1, 0), ("orders/create", "ours", 3, 1)]
    );
}
