//! Webhooks whose bodies are too large, never end, or are garbage.

use std::collections::HashSet;
use std::num::{NonZeroU64, NonZeroUsize};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;

use super::super::Settings;
use super::intake::ORDER;
use super::rig::{Rig, SECRET, delivery, sign};
use crate::store::faulty::StoreFault;

#[tokio::test]
async fn bodies_take_no_more_memory_than_they_are_given_together() {
    let rig = Rig::new().await;
    // Every body has one piece of five megabytes (all the same one, this test needs no memory) and does not end.
    let piece = Bytes::from(vec![b' '; 5 * 1024 * 1024]);
    let endless = |piece: Bytes| {
        let mut request = delivery("w1", "orders/create", "", SECRET);
        let pieces = stream::iter([Ok::<_, std::io::Error>(piece)]).chain(stream::pending());
        *request.body_mut() = Body::from_stream(pieces);
        request
    };
    let mut under_way: Vec<_> = (0..12)
        .map(|_| Box::pin(rig.call(endless(piece.clone()))))
        .collect();
    for request in &mut under_way {
        assert!(futures_util::poll!(request).is_pending());
    }
    // 60 of 64 megabytes are taken: a small one has room, another large one has not.
    assert_eq!(rig.deliver("w2", "orders/create", ORDER).await, 200);
    let (status, answer) = rig.call(endless(piece.clone())).await;
    assert_eq!(
        (status.as_u16(), answer["code"].as_str()),
        (503, Some("too_much_at_once"))
    );
    // Who leaves gives the room back.
    drop(under_way);
    let mut again = Box::pin(rig.call(endless(piece)));
    assert!(futures_util::poll!(&mut again).is_pending());
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_cap() {
    let rig = Rig::with(Settings {
        max_body_bytes: NonZeroUsize::new(1000).unwrap(),
        ..Settings::default()
    })
    .await;
    for (pieces, status) in [(1, 200), (9, 200), (11, 413), (100_000, 413)] {
        let body = " ".repeat(100).repeat(pieces.min(11));
        let mut request = delivery("w1", "orders/create", &body, SECRET);
        let endless =
            stream::iter((0..pieces).map(|_| Ok::<_, std::io::Error>(Bytes::from(" ".repeat(100)))));
        *request.body_mut() = Body::from_stream(endless);
        assert_eq!(rig.call(request).await.0.as_u16(), status, "{pieces} pieces");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_never_ends_is_refused() {
    let rig = Rig::with(Settings {
        body_timeout_s: NonZeroU64::MIN,
        ..Settings::default()
    })
    .await;
    let mut request = delivery("w1", "orders/create", ORDER, SECRET);
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))]);
    *request.body_mut() = Body::from_stream(broken);
    let (status, answer) = rig.call(request).await;
    assert_eq!(
        (status.as_u16(), answer["code"].as_str()),
        (400, Some("body_broken"))
    );

    let mut request = delivery("w1", "orders/create", ORDER, SECRET);
    *request.body_mut() = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let (status, answer) = rig.call(request).await;
    assert_eq!(
        (status.as_u16(), answer["code"].as_str()),
        (408, Some("body_too_slow"))
    );
}

/// A body, headers (by the number of their name), and whether the body is signed rightly.
type Garbage = (Vec<u8>, Vec<(usize, Vec<u8>)>, bool);

/// A request made of arbitrary parts.
fn garbage() -> impl Strategy<Value = Garbage> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        r#"\{"id":[-0-9.eE"]{0,22}\}"#.prop_map(String::into_bytes),
        Just(ORDER.as_bytes().to_vec()),
    ];
    let header = (0_usize..7, proptest::collection::vec(any::<u8>(), 0..40));
    (body, proptest::collection::vec(header, 0..5), any::<bool>())
}

#[test]
fn nothing_that_was_not_stored_is_ever_answered_200() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rig = runtime.block_on(Rig::new());
    let accepted = std::cell::RefCell::new(HashSet::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    });
    let faults = [None, Some(StoreFault::Away), Some(StoreFault::Refuses)];
    runner
        .run(&(garbage(), 0_usize..3), |((body, headers, signed), fault)| {
            let names = [
                "x-shopify-topic",
                "x-shopify-webhook-id",
                "x-shopify-event-id",
                "x-shopify-triggered-at",
                "x-shopify-api-version",
                "x-forwarded-for",
                "x-shopify-shop-domain",
            ];
            let mut request = delivery("w", "orders/create", "", SECRET);
            // The empty body is signed as it stands.
            let signed = signed || body.is_empty();
            if signed {
                let signature = HeaderValue::from_str(&sign(SECRET, &body)).unwrap();
                request.headers_mut().insert("x-shopify-hmac-sha256", signature);
            }
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request
                        .headers_mut()
                        .insert(HeaderName::from_static(names[name]), value);
                }
            }
            // What makes a delivery the same one, told in the test's own words.
            let text = |name: &str| {
                let bytes = request.headers().get(name).map(|value| value.as_bytes().to_vec());
                String::from_utf8_lossy(&bytes.unwrap_or_default())
                    .trim()
                    .to_owned()
            };
            let id = match (text("x-shopify-webhook-id"), text("x-shopify-triggered-at")) {
                (id, time) if id.is_empty() => ("triggered", time),
                // Shopify repeats a delivery with the time of the first; what is no time counts as none.
                (id, time) if chrono::DateTime::parse_from_rfc3339(&time).is_err() => ("id alone", id),
                (id, _) => ("id", id),
            };
            let same = (id, text("x-shopify-topic"), body.clone());
            *request.body_mut() = Body::from(body);
            runtime.block_on(async {
                rig.store.fail("record_delivery", StoreFault::Away, 0);
                if let Some(fault) = faults[fault] {
                    rig.store.fail("record_delivery", fault, 1);
                }
                let before = rig.events().await;
                let (status, _) = rig.call(request).await;
                let stored = rig.events().await - before;
                let is_new = status == 200 && !accepted.borrow().contains(&same);
                prop_assert!([200, 401, 404, 503].contains(&status.as_u16()), "{status}");
                prop_assert!(status != 200 || (signed && faults[fault].is_none()), "{status}");
                prop_assert_eq!(stored, u64::from(is_new), "{}", status);
                if status == 200 {
                    accepted.borrow_mut().insert(same);
                }
                Ok(())
            })
        })
        .unwrap();
    assert!(!accepted.borrow().is_empty());
}
