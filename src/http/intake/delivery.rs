//! What a verified delivery asks for. Pure.
//!
//! The body is a hint: only the record's id is read from it, and the worker reads the record fresh. Headers stand outside
//! the signature, so nothing is decided by them that a forged one could turn against anybody: a wrong topic leads to
//! one more look at a record, a notice about the shop is proven by its handler before it acts.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::{
    Direction, JobKey, NewProblem, Object, Priority, ProblemCode, ShopName, ShopifyId, Timestamp, Topic,
    TopicAction,
};
use crate::store::{Delivery, DeliveryAction};

/// The topic of deliveries that this installation sends to itself.
pub const TEST_TOPIC: &str = "lockstep/test";

/// What the body of such a delivery holds, and nothing else.
const TEST_FIELD: &str = "lockstep_test";

/// The body of a delivery that this installation sends to itself; `nonce` makes it like no other.
pub fn test_body(nonce: &str) -> String {
    json!({ TEST_FIELD: nonce }).to_string()
}

/// Whether a verified delivery is one of those. The topic stands outside the signature: the body has to say it, too, so that no
/// real one can be made to pass for a test.
pub(super) fn is_test(topic: Option<&str>, body: &[u8]) -> bool {
    let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
    topic == Some(TEST_TOPIC)
        && fields.is_ok_and(|fields| fields.len() == 1 && fields.contains_key(TEST_FIELD))
}

/// Longest text that is taken from a header.
const LONGEST: usize = 255;

/// The headers that are kept, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) topic: Option<String>,
    pub(super) webhook_id: Option<String>,
    pub(super) event_id: Option<String>,
    pub(super) triggered_at: Option<String>,
    pub(super) api_version: Option<String>,
    /// The subscription's name.
    pub(super) name: Option<String>,
}

impl Headers {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name)?;
            let text = String::from_utf8_lossy(value.as_bytes());
            let text = text.trim();
            (!text.is_empty()).then(|| text.chars().take(LONGEST).collect())
        };
        Self {
            topic: text("x-shopify-topic"),
            webhook_id: text("x-shopify-webhook-id"),
            event_id: text("x-shopify-event-id"),
            triggered_at: text("x-shopify-triggered-at"),
            api_version: text("x-shopify-api-version"),
            name: text("x-shopify-name"),
        }
    }
}

/// A verified delivery as the store takes it. `wanted` are the objects whose events are to be worked on, and how soon.
pub(super) fn delivery(
    shop: &ShopName,
    wanted: &BTreeMap<Object, Priority>,
    headers: Headers,
    body: Bytes,
    received_at: Timestamp,
) -> Delivery {
    let body_sha256 = hex::encode(Sha256::digest(&body));
    Delivery {
        shop: shop.clone(),
        dedup_key: dedup_key(&headers, &body_sha256),
        action: action(shop, wanted, headers.topic.as_deref(), &body, &body_sha256),
        topic: headers.topic.unwrap_or_default(),
        webhook_id: headers.webhook_id,
        event_id: headers.event_id,
        triggered_at: headers
            .triggered_at
            .and_then(|text| Timestamp::parse_rfc3339(&text).ok()),
        api_version: headers.api_version,
        received_at,
        body,
        body_sha256,
    }
}

/// What makes a repetition a repetition: the delivery's id (or, without one, the time it was triggered) together with
/// topic and body.
///
/// Shopify's retries carry the same id, topic and body. The id alone would do for them, but it is not signed: should an
/// id ever come again with another topic or body (a proxy's mistake, a forged header on a replayed body), the event would
/// be lost as a repetition of something that it is not. One look too many is cheaper than one too few.
fn dedup_key(headers: &Headers, body_sha256: &str) -> String {
    let (kind, id) = match (&headers.webhook_id, &headers.triggered_at) {
        (Some(id), _) => ("w", id.as_str()),
        (None, Some(time)) => ("t", time.as_str()),
        (None, None) => ("b", ""),
    };
    let mut hash = Sha256::new();
    for part in [id, headers.topic.as_deref().unwrap_or_default(), body_sha256] {
        hash.update(part.as_bytes());
        // Control characters cannot stand in a header: parts cannot run into each other.
        hash.update(b"\n");
    }
    format!("{kind}:{}", hex::encode(&hash.finalize()[..16]))
}

fn action(
    shop: &ShopName,
    wanted: &BTreeMap<Object, Priority>,
    topic: Option<&str>,
    body: &[u8],
    body_sha256: &str,
) -> DeliveryAction {
    let key = |object, source_id: String| JobKey {
        shop: shop.clone(),
        object,
        direction: Direction::In,
        source_id,
    };
    let hash = &body_sha256[..12];
    let unreadable = |object, topic: &str, what: &str| DeliveryAction::Problem {
        key: key(object, format!("unreadable-{hash}")),
        problem: unreadable(topic, what, body.len(), body_sha256),
    };
    let Some(name) = topic else {
        return unreadable(
            Object::Shop,
            "nameless",
            "it names no topic (X-Shopify-Topic is missing)",
        );
    };
    let Some(topic) = Topic::of_header(name) else {
        return DeliveryAction::Record {
            reason: "unknown_topic",
        };
    };
    match topic.action {
        // Whatever is wanted: a body that cannot be understood says that something between us and Shopify is broken.
        TopicAction::Look(object, path) | TopicAction::Gone(object, path) => match record_id(body, path) {
            Ok(id) => match wanted.get(&object) {
                Some(priority) => DeliveryAction::Job {
                    key: key(object, id.to_string()),
                    priority: *priority,
                },
                None => DeliveryAction::Record { reason: "toggle_off" },
            },
            Err(what) => unreadable(object, name, &what),
        },
        TopicAction::Uninstalled | TopicAction::Compliance if !is_filled_object(body) => unreadable(
            Object::Shop,
            name,
            "its body is no JSON object with something in it",
        ),
        TopicAction::Uninstalled => DeliveryAction::Job {
            key: key(Object::Shop, "uninstalled".into()),
            priority: Priority::URGENT,
        },
        TopicAction::Compliance => DeliveryAction::Job {
            key: key(Object::Shop, format!("{name}-{hash}")),
            priority: Priority::URGENT,
        },
    }
}

/// What people are told about a delivery that cannot be understood.
fn unreadable(topic: &str, what: &str, length: usize, body_sha256: &str) -> NewProblem {
    NewProblem {
        code: ProblemCode::from("delivery_unreadable"),
        record: None,
        field: None,
        reason: format!("A signed {topic} delivery could not be understood: {what}."),
        fix: "Find out what sent it (a proxy that changes bodies, a webhook with an own format); the event keeps the \
              exact body. If a record is behind it, synchronise that with `lockstep sync`, then discard this job."
            .into(),
        owner: "operator".into(),
        mapping: None,
        cluster: format!("delivery_unreadable:{topic}"),
        detail: json!({ "topic": topic, "body_length": length, "body_sha256": body_sha256 }),
    }
}

/// The record's id at `path` (names joined by dots), or why there is none.
fn record_id(body: &[u8], path: &str) -> Result<ShopifyId, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = At(path)
        .deserialize(&mut json)
        .and_then(|found| json.end().map(|()| found))
        .map_err(|error| match error.classify() {
            serde_json::error::Category::Eof if body.iter().all(u8::is_ascii_whitespace) => {
                "its body is empty".to_owned()
            }
            _ => "its body is no JSON".to_owned(),
        })?;
    match found {
        Found::Id(id) => Ok(id),
        Found::Nothing => Err(format!("its body has no `{path}`")),
        Found::Other => Err(format!("its `{path}` is no id")),
    }
}

fn is_filled_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)
        .is_ok_and(|object| !object.is_empty())
}

/// What stands at a path.
enum Found {
    Id(ShopifyId),
    /// Something that is no id.
    Other,
    Nothing,
}

/// Reads only what stands at the path; everything else is checked to be JSON and skipped without being kept. Of a key that
/// comes twice the last one counts, as in most readers.
struct At<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (name, rest) = self.0.split_once('.').unwrap_or((self.0, ""));
        let mut found = Found::Nothing;
        while let Some(is_it) = map.next_key_seed(IsNamed(name))? {
            if is_it {
                found = map.next_value_seed(At(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(if self.0.is_empty() { Found::Other } else { found })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.unless_at_end(Found::Other))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        let id = if number > 0 {
            Found::Id(ShopifyId(number))
        } else {
            Found::Other
        };
        Ok(self.unless_at_end(id))
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(self.unless_at_end(text.parse().map_or(Found::Other, Found::Id)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(self.unless_at_end(Found::Other))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(self.unless_at_end(Found::Other))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(self.unless_at_end(Found::Other))
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }
}

impl At<'_> {
    /// `found` if the path ends here; a value in the middle of the path has nothing below it.
    fn unless_at_end(&self, found: Found) -> Found {
        if self.0.is_empty() { found } else { Found::Nothing }
    }
}

/// Compares a key without keeping it.
struct IsNamed<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNamed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests;
