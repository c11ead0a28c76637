//! A server that gives prepared answers, and a clock that nobody waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::domain::{Clock, SeededEntropy, Timestamp};
use crate::secret::Secret;
use crate::shopify::{Credentials, Settings, Shopify};
use crate::transport;

/// A clock on which every sleep is over at once: time passes by being waited for.
#[derive(Clone, Debug)]
pub(super) struct SkippingClock(Arc<Mutex<Timestamp>>);

impl SkippingClock {
    pub(super) fn new() -> Self {
        let start = Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap();
        Self(Arc::new(Mutex::new(start)))
    }

    pub(super) fn advance_s(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(std::time::Duration::from_secs(seconds));
    }
}

impl Clock for SkippingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            let mut now = clock.0.lock().unwrap();
            *now = (*now).max(at);
        })
    }
}

/// Gives the prepared answers in turn, the last one again and again, and keeps what was asked.
#[derive(Clone, Default)]
pub(super) struct Script {
    answers: Arc<Mutex<VecDeque<ResponseTemplate>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) body: String,
}

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.asked.lock().unwrap().push(Asked {
            path: request.url.path().to_owned(),
            token: request
                .headers
                .get("X-Shopify-Access-Token")
                .map(|token| token.to_str().unwrap().to_owned()),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        });
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            0 => ResponseTemplate::new(500),
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

/// A shop that answers as told.
pub(super) struct Stage {
    pub(super) server: MockServer,
    pub(super) script: Script,
    pub(super) clock: SkippingClock,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let server = MockServer::start().await;
        let script = Script::default();
        Mock::given(any())
            .respond_with(script.clone())
            .mount(&server)
            .await;
        Self {
            server,
            script,
            clock: SkippingClock::new(),
        }
    }

    pub(super) fn answers(&self, answers: impl IntoIterator<Item = ResponseTemplate>) {
        *self.script.answers.lock().unwrap() = answers.into_iter().collect();
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }

    pub(super) fn shop(&self) -> Shopify {
        self.shop_with(Credentials::Token(Secret::text("shpat_static")))
    }

    pub(super) fn shop_with(&self, credentials: Credentials) -> Shopify {
        connect_with(&self.server.uri(), credentials, self.clock.clone())
    }
}

/// A client for the shop at this address.
pub(super) fn connect(base_url: &str, clock: SkippingClock) -> Shopify {
    connect_with(base_url, Credentials::Token(Secret::text("shpat_static")), clock)
}

fn connect_with(base_url: &str, credentials: Credentials, clock: SkippingClock) -> Shopify {
    let settings = Settings {
        base_url: Some(base_url.to_owned()),
        ..Settings::new("test-shop.myshopify.com")
    };
    let transport = transport::Settings {
        timeout_s: 20,
        ..transport::Settings::default()
    };
    let entropy = Arc::new(SeededEntropy::new(7));
    Shopify::connect(
        "main".parse().unwrap(),
        &settings,
        credentials,
        &transport,
        Arc::new(clock),
        entropy,
    )
    .unwrap()
}

/// HTTP 200 with this JSON.
pub(super) fn ok(body: &Value) -> ResponseTemplate {
    answer(200, body)
}

/// This status with this JSON.
pub(super) fn answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_raw(body.to_string(), "application/json; charset=utf-8")
        .insert_header("X-Request-Id", "req-1")
        .insert_header("X-Shopify-API-Version", "2026-10")
}

/// Good data with a full bucket.
pub(super) fn data(data: &Value) -> ResponseTemplate {
    ok(&json!({"data": data, "extensions": cost(10, 1990)}))
}

pub(super) fn cost(requested: u64, available: u64) -> Value {
    json!({"cost": {
        "requestedQueryCost": requested, "actualQueryCost": requested,
        "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": available, "restoreRate": 100.0},
    }})
}

/// The answer to a throttled question.
pub(super) fn throttled(requested: u64, available: u64) -> ResponseTemplate {
    ok(&json!({
        "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev"}}],
        "extensions": cost(requested, available),
    }))
}

/// The answer to a probe.
pub(super) fn shop_id() -> ResponseTemplate {
    data(&json!({"shop": {"id": "gid://shopify/Shop/1"}}))
}
