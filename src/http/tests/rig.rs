//! The public routes over a real SQLite store that can be made to fail, called without a network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::super::{
    Health, Hinted, Hints, InstanceKey, Intake, IntakeShop, IntakeShops, Public, Settings, Signature, Verify,
    public_router,
};
use crate::domain::{
    Clock as _, ManualClock, Object, Priority, SharedClock, ShopName, SystemEntropy, Timestamp,
};
use crate::secret::Secret;
use crate::shopify::webhook;
use crate::store::faulty::FaultyStore;
use crate::store::{JobFilter, JobRow, ProblemRow, RejectionCount, SharedStore, testing};

pub(super) const DOMAIN: &str = "main.myshopify.com";
pub(super) const SECRET: &str = "the live secret";
pub(super) const OLD_SECRET: &str = "the secret before";
pub(super) const HINT_TOKEN: &str = "0123456789abcdef";

/// What was hinted at: shop and model. Only `main` takes hints.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<(String, Option<String>)>>);

impl Told {
    pub(super) fn take(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Hinted for Told {
    fn token(&self, shop: &ShopName) -> Option<Secret> {
        (shop.as_str() == "main").then(|| Secret::text(HINT_TOKEN))
    }

    async fn hinted(&self, shop: &ShopName, model: Option<&str>) {
        let told = (shop.to_string(), model.map(str::to_owned));
        self.0.lock().unwrap().push(told);
    }
}

pub(super) struct Rig {
    pub(super) store: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) router: Router,
    pub(super) shops: watch::Sender<Arc<IntakeShops>>,
    pub(super) pending: watch::Sender<Vec<String>>,
    pub(super) stop: CancellationToken,
    pub(super) hinted: Arc<Told>,
    counting: JoinHandle<()>,
    _folder: TempDir,
}

pub(super) fn verify() -> Verify {
    Arc::new(
        |secrets, body, header| match webhook::verify(secrets, body, header) {
            Ok(()) => Signature::Good,
            Err(webhook::SignatureError::Missing) => Signature::Missing,
            Err(_) => Signature::Bad,
        },
    )
}

pub(super) fn shop(name: &str, domain: &str, secrets: Vec<Secret>) -> IntakeShop {
    IntakeShop {
        name: name.parse().unwrap(),
        domain: domain.into(),
        secrets,
        wanted: [Object::Order, Object::Customer]
            .map(|object| (object, Priority::LIVE))
            .into(),
    }
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-11-20T10:30:00Z").unwrap());
        let shared: SharedClock = Arc::new(clock.clone());
        let (folder, inner) = testing::open_temp(Arc::clone(&shared)).await;
        let store = Arc::new(FaultyStore::new(inner));
        let secrets = vec![Secret::text(OLD_SECRET), Secret::text(SECRET)];
        let all: IntakeShops = [
            shop("main", DOMAIN, secrets),
            shop("other", "Other.myshopify.com", vec![Secret::text("another")]),
        ]
        .into_iter()
        .collect();
        let (shops, follow) = watch::channel(Arc::new(all));
        let (pending, pending_follow) = watch::channel(Vec::new());
        let settings = Arc::new(settings);
        let intake = Arc::new(Intake::new(
            Arc::clone(&store) as SharedStore,
            Arc::clone(&shared),
            follow,
            verify(),
            Arc::clone(&settings),
            Arc::new(|topic| Some(format!("ours-{topic}"))),
        ));
        let stop = CancellationToken::new();
        let counting = tokio::spawn({
            let (intake, stop) = (Arc::clone(&intake), stop.clone());
            async move { intake.keep_count(stop).await }
        });
        let hinted = Arc::new(Told::default());
        let router = public_router(Public {
            intake,
            hints: Arc::new(Hints::new(
                Arc::clone(&hinted) as Arc<dyn Hinted>,
                Arc::clone(&shared),
            )),
            health: Arc::new(Health::new(
                Arc::clone(&store) as SharedStore,
                shared,
                pending_follow,
            )),
            instance_key: InstanceKey::new(vec![7; 32]),
            settings,
            entropy: Arc::new(SystemEntropy),
        });
        Self {
            store,
            clock,
            router,
            shops,
            pending,
            stop,
            hinted,
            counting,
            _folder: folder,
        }
    }

    /// The answer's status and body.
    pub(super) async fn call(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        assert!(
            response.headers().contains_key("x-request-id"),
            "every answer has a number"
        );
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        if status.is_client_error() || status.is_server_error() {
            let body: Value =
                serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{status} without JSON"));
            return (status, body);
        }
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The status of a rightly signed delivery.
    pub(super) async fn deliver(&self, webhook_id: &str, topic: &str, body: &str) -> u16 {
        let (status, _) = self.call(delivery(webhook_id, topic, body, SECRET)).await;
        status.as_u16()
    }

    pub(super) async fn jobs(&self) -> Vec<JobRow> {
        self.store.jobs(JobFilter::default()).await.unwrap()
    }

    pub(super) async fn events(&self) -> u64 {
        self.store.counts(self.clock.now()).await.unwrap().events
    }

    pub(super) async fn problems(&self) -> Vec<ProblemRow> {
        self.store.open_problems(100).await.unwrap()
    }

    /// Stops, so that all counts are written, and reads them.
    pub(super) async fn refused(&mut self) -> Vec<RejectionCount> {
        self.stop.cancel();
        (&mut self.counting).await.unwrap();
        self.store.rejections(Timestamp::default()).await.unwrap()
    }

    /// Waits until `look` gives `expected`, while the clock moves on.
    pub(super) async fn until<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        expected: T,
        mut look: impl AsyncFnMut() -> T,
    ) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let seen = look().await;
            if seen == expected {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what}: waited for {expected:?}, last saw {seen:?}"
            );
            self.clock.advance(Duration::from_millis(500));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    webhook::sign(&SecretString::from(secret.to_owned()), body)
}

/// A delivery as Shopify sends it.
pub(super) fn delivery(webhook_id: &str, topic: &str, body: &str, secret: &str) -> Request<Body> {
    Request::post("/webhooks/shopify")
        .header("content-type", "application/json")
        .header("x-shopify-topic", topic)
        .header("x-shopify-hmac-sha256", sign(secret, body.as_bytes()))
        .header("x-shopify-shop-domain", DOMAIN)
        .header("x-shopify-api-version", "2026-10")
        .header("x-shopify-webhook-id", webhook_id)
        .header("x-shopify-event-id", "e1")
        .header("x-shopify-triggered-at", "2026-11-20T10:29:59.5Z")
        .body(Body::from(body.to_owned()))
        .unwrap()
}
