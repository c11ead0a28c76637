//! `POST /webhooks/shopify`.
//!
//! Verify, store, answer; nothing else happens in the request. The order of the checks: the shop is known (404), the body
//! arrives in time, is not too large and not one too many (408, 413, 503), its signature fits one of the shop's live secrets (401), event and
//! job are durable in time (503). Only then 200: for new deliveries, for repeated ones, for topics that are not used, and
//! for signed bodies that cannot be understood, which become visible as problems. Deliveries of disabled shops are
//! stored like all others; whether their jobs run is the queue's affair.
//!
//! A refused body is never logged: its length and hash are.

mod counts;
mod delivery;
mod refusals;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::domain::{Object, Priority, SharedClock, ShopName, Timestamp};
use crate::failpoint::{self, FailPoint};
use crate::secret::Secret;
use crate::store::{Delivery, DeliveryAction, Recorded, SharedStore};
use crate::telemetry;

use super::address::Access;
use super::answer::{Refusal, RequestId};
use super::settings::Settings;
use counts::Counts;
use delivery::Headers;
pub use delivery::{TEST_TOPIC, test_body};
use refusals::Refusals;

/// Bytes of bodies that are held at once. Nobody has proven anything while a body is read: without a bound, everybody could
/// fill the memory through the connections that are allowed.
const BODIES_BYTES: usize = 64 * 1024 * 1024;

/// After a client secret was changed, Shopify may sign with the old one for up to an hour
/// (<https://shopify.dev/docs/apps/build/webhooks/verify-deliveries>).
const OLD_SECRET_SIGNS: Duration = Duration::from_hours(1);

/// How often bad signatures have a shop's secret files read whatever their times say.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One shop as the intake sees it.
#[derive(Clone, Debug)]
pub struct IntakeShop {
    /// Its name in the configuration.
    pub name: ShopName,
    /// `something.myshopify.com`.
    pub domain: String,
    /// Every secret that is live.
    pub secrets: Vec<Secret>,
    /// Objects whose toggle `in` is on or paused: their events make jobs of this priority. Events of the others are recorded
    /// only.
    pub wanted: BTreeMap<Object, Priority>,
}

/// The configured shops by their domain.
#[derive(Clone, Debug, Default)]
pub struct IntakeShops(HashMap<String, Arc<IntakeShop>>);

impl FromIterator<IntakeShop> for IntakeShops {
    fn from_iter<I: IntoIterator<Item = IntakeShop>>(shops: I) -> Self {
        Self(
            shops
                .into_iter()
                .map(|shop| (shop.domain.to_ascii_lowercase(), Arc::new(shop)))
                .collect(),
        )
    }
}

impl IntakeShops {
    fn of_domain(&self, domain: &str) -> Option<Arc<IntakeShop>> {
        self.0.get(domain.trim().to_ascii_lowercase().as_str()).cloned()
    }
}

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Made for this body with one of the secrets.
    Good,
    /// There is none.
    Missing,
    /// Any other.
    Bad,
}

/// Judges a signature: the live secrets, the exact body, the header `X-Shopify-Hmac-Sha256`. It must try every secret and
/// compare in constant time.
pub type Verify = Arc<dyn Fn(&[SecretString], &[u8], Option<&str>) -> Signature + Send + Sync>;

/// The name under which a topic's events come through the subscription of this installation, if it could have one.
pub type OwnName = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the route needs.
pub struct Intake {
    store: SharedStore,
    clock: SharedClock,
    shops: watch::Receiver<Arc<IntakeShops>>,
    verify: Verify,
    settings: Arc<Settings>,
    refusals: Refusals,
    counts: Counts,
    /// One permit for each byte of a body that may be held.
    bodies: Semaphore,
    /// When a shop's secret files were last read because of a bad signature.
    looked: Mutex<HashMap<ShopName, Timestamp>>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// Takes deliveries of `shops` (followed while it runs) into `store`.
    pub fn new(
        store: SharedStore,
        clock: SharedClock,
        shops: watch::Receiver<Arc<IntakeShops>>,
        verify: Verify,
        settings: Arc<Settings>,
        own_name: OwnName,
    ) -> Self {
        let refusals = Refusals::new(settings.bad_signatures.get());
        let bodies = BODIES_BYTES.max(settings.max_body_bytes.get());
        Self {
            bodies: Semaphore::new(bodies.min(Semaphore::MAX_PERMITS)),
            looked: Mutex::default(),
            store,
            clock,
            shops,
            verify,
            settings,
            refusals,
            counts: Counts::new(own_name),
        }
    }

    /// Writes the counts of deliveries and of refused ones, and opens and closes the problem about wrong secrets, until `stop` and
    /// once more then. To be run beside the listener.
    pub async fn keep_count(&self, stop: CancellationToken) {
        tokio::join!(
            self.refusals.keep(&self.store, &self.clock, &stop),
            self.counts.keep(&self.store, &self.clock, &stop),
        );
    }

    /// The shop that the delivery says it comes from.
    fn shop_of(&self, headers: &HeaderMap) -> Option<Arc<IntakeShop>> {
        let domain = headers.get("x-shopify-shop-domain")?.to_str().ok()?;
        self.shops.borrow().of_domain(domain)
    }

    async fn take(&self, request: Request) -> Result<Outcome, Refused> {
        let (parts, body) = request.into_parts();
        let request = parts.extensions.get::<RequestId>().copied();
        let headers = &parts.headers;
        let shop = self.shop_of(headers);
        let refuse = |refusal| Refused {
            refusal,
            shop: shop.as_ref().map(|shop| shop.name.clone()),
            request,
            body: None,
        };
        let Some(shop) = shop.as_deref() else {
            return Err(refuse(Refusal::UnknownShop));
        };
        // Held until the delivery is durable or refused.
        let mut room = Room {
            bodies: &self.bodies,
            taken: None,
        };
        let body = self.read(headers, body, &mut room).await.map_err(refuse)?;
        let refuse_body = |refusal| Refused {
            body: Some((body.len(), hex::encode(Sha256::digest(&body)))),
            ..refuse(refusal)
        };
        self.judge(shop, headers, &body).map_err(refuse_body)?;
        let topic = headers
            .get("x-shopify-topic")
            .and_then(|topic| topic.to_str().ok());
        if delivery::is_test(topic, &body) {
            // It proves nothing of Shopify: neither counts nor the problem about wrong secrets hear of it.
            self.store.ping().await.map_err(|_| refuse(Refusal::NotStored))?;
            return Ok(Outcome {
                shop: shop.name.clone(),
                what: "test",
            });
        }
        self.refusals.signed_well(&shop.name, self.clock.now());

        let headers = Headers::read(headers);
        let (topic, name) = (headers.topic.clone(), headers.name.clone());
        let stored = self.keep(&shop.name, &shop.wanted, headers, body, request).await;
        self.counts.count(
            &shop.name,
            topic.as_deref(),
            name.as_deref(),
            stored.is_ok(),
            self.clock.now(),
        );
        Ok(Outcome {
            shop: shop.name.clone(),
            what: stored.map_err(refuse)?,
        })
    }

    /// Makes a verified delivery durable.
    async fn keep(
        &self,
        shop: &ShopName,
        wanted: &BTreeMap<Object, Priority>,
        headers: Headers,
        body: Bytes,
        request: Option<RequestId>,
    ) -> Result<&'static str, Refusal> {
        failpoint::reach(FailPoint::IntakeVerified)
            .await
            .map_err(|_| Refusal::NotStored)?;
        let delivery = delivery::delivery(shop, wanted, headers, body, self.clock.now());
        let what = self.store(delivery, request).await?;
        failpoint::reach(FailPoint::IntakeCommitted)
            .await
            .map_err(|_| Refusal::NotStored)?;
        Ok(what)
    }

    /// The whole body, within its limits.
    async fn read(&self, headers: &HeaderMap, body: Body, room: &mut Room<'_>) -> Result<Bytes, Refusal> {
        let most = self.settings.max_body_bytes.get();
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > most as u64) {
            return Err(Refusal::TooLarge);
        }
        match tokio::time::timeout(self.settings.body_timeout(), collect(body, most, room)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::BodyTooSlow),
        }
    }

    /// Whether the shop's secret files may be read again because of a bad signature: forged ones must not cost a look each.
    fn may_look_again(&self, shop: &ShopName, now: Timestamp) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let last = looked.insert(shop.clone(), now);
        match last {
            Some(last) if now.since(last) < LOOK_AGAIN && last <= now => {
                looked.insert(shop.clone(), last);
                false
            }
            _ => true,
        }
    }

    /// Judges the signature. Secrets in files are read again before a signature is refused.
    fn judge(&self, shop: &IntakeShop, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let header = headers
            .get("x-shopify-hmac-sha256")
            .map(|value| value.to_str().unwrap_or("unreadable"));
        let now = self.clock.now();
        let mut signature = (self.verify)(&live_secrets(shop, now)?, body, header);
        if signature == Signature::Bad
            && shop.secrets.iter().any(|secret| secret.path().is_some())
            && self.may_look_again(&shop.name, now)
        {
            shop.secrets.iter().for_each(Secret::refresh);
            signature = (self.verify)(&live_secrets(shop, now)?, body, header);
        }
        match signature {
            Signature::Good => Ok(()),
            Signature::Missing => Err(Refusal::NoSignature),
            Signature::Bad => Err(Refusal::BadSignature),
        }
    }

    async fn store(&self, delivery: Delivery, request: Option<RequestId>) -> Result<&'static str, Refusal> {
        let what = match &delivery.action {
            DeliveryAction::Job { .. } => "job",
            DeliveryAction::Record { reason } => reason,
            DeliveryAction::Problem { .. } => "unreadable",
        };
        let (shop, topic) = (delivery.shop.clone(), delivery.topic.clone());
        let request = request.map(|id| id.to_string());
        let recorded =
            tokio::time::timeout(self.settings.store_within(), self.store.record_delivery(delivery));
        match recorded.await {
            Ok(Ok(Recorded::New { event, job })) => {
                if what == "unreadable" {
                    warn!(%shop, topic, %event, request, "signed delivery could not be understood; it is a problem now");
                }
                debug!(%shop, topic, %event, job = job.map(|job| job.0), request, "delivery stored");
                Ok(what)
            }
            Ok(Ok(Recorded::Repeated)) => {
                debug!(%shop, topic, request, "delivery was stored before");
                Ok("repeated")
            }
            Ok(Err(failure)) => {
                error!(%shop, topic, request, error = %failure, "delivery could not be stored");
                Err(Refusal::NotStored)
            }
            Err(_) => {
                error!(%shop, topic, request, "delivery was not durable in time");
                Err(Refusal::StoreTooSlow)
            }
        }
    }
}

/// The secrets that can be read. When there is none that can, nothing can be judged.
fn live_secrets(shop: &IntakeShop, now: Timestamp) -> Result<Vec<SecretString>, Refusal> {
    let mut secrets = Vec::with_capacity(shop.secrets.len());
    for secret in &shop.secrets {
        match secret.recent(now.millis(), OLD_SECRET_SIGNS) {
            Ok(recent) => secrets.extend(recent),
            Err(failure) => error!(shop = %shop.name, error = %failure, "cannot read a webhook secret"),
        }
    }
    if secrets.is_empty() && !shop.secrets.is_empty() {
        return Err(Refusal::SecretUnreadable);
    }
    Ok(secrets)
}

/// The room that one body takes of what all may take.
struct Room<'a> {
    bodies: &'a Semaphore,
    taken: Option<SemaphorePermit<'a>>,
}

impl Room<'_> {
    /// Takes room for another piece. It is not waited for: who waited would hold what was read so far.
    fn take(&mut self, piece: &Bytes) -> Result<(), Refusal> {
        let bytes = u32::try_from(piece.len()).map_err(|_| Refusal::TooLarge)?;
        let more = self
            .bodies
            .try_acquire_many(bytes)
            .map_err(|_| Refusal::TooMuchAtOnce)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

/// The body, if it has at most `most` bytes. One that comes in one piece is not copied.
async fn collect(body: Body, most: usize, room: &mut Room<'_>) -> Result<Bytes, Refusal> {
    let mut pieces = body.into_data_stream();
    let Some(first) = pieces.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| Refusal::BodyBroken)?;
    if first.len() > most {
        return Err(Refusal::TooLarge);
    }
    room.take(&first)?;
    let Some(second) = pieces.next().await else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(&first[..]);
    let mut next = Some(second);
    while let Some(piece) = next {
        let piece = piece.map_err(|_| Refusal::BodyBroken)?;
        if whole.len() + piece.len() > most {
            return Err(Refusal::TooLarge);
        }
        room.take(&piece)?;
        whole.extend_from_slice(&piece);
        next = pieces.next().await;
    }
    Ok(whole.freeze())
}

/// A delivery that is durable.
struct Outcome {
    shop: ShopName,
    what: &'static str,
}

/// A delivery that is refused.
struct Refused {
    refusal: Refusal,
    shop: Option<ShopName>,
    request: Option<RequestId>,
    /// Length and hash of a body that was read and is not accepted.
    body: Option<(usize, String)>,
}

impl Intake {
    /// Counts a refusal, tells the log unless there are too many, and answers.
    fn refuse(&self, refused: Refused, began: Timestamp, extensions: &Extensions) -> Response {
        let Refused {
            refusal,
            shop,
            request,
            body,
        } = refused;
        let now = self.clock.now();
        if self.refusals.count(shop.as_ref(), refusal, now) {
            let (length, sha256) = body.unzip();
            warn!(
                shop = shop.as_ref().map(ShopName::as_str),
                request = request.map(|id| id.to_string()),
                body_length = length,
                body_sha256 = sha256,
                "delivery refused: {}",
                refusal.code()
            );
        }
        measure(shop.as_ref(), refusal.code(), now.since(began));
        refusal.answer(extensions)
    }
}

fn measure(shop: Option<&ShopName>, what: &'static str, took: Duration) {
    let shop = shop.map_or_else(|| "-".to_owned(), |shop| shop.as_str().to_owned());
    metrics::counter!(telemetry::INTAKE, "shop" => shop, "outcome" => what).increment(1);
    metrics::histogram!(telemetry::INTAKE_SECONDS, "outcome" => what).record(took.as_secs_f64());
}

/// The route.
pub(super) async fn receive(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let began = intake.clock.now();
    let extensions = request.extensions().clone();
    match intake.take(request).await {
        Ok(Outcome { shop, what }) => {
            if what == "repeated" {
                metrics::counter!(telemetry::DUPLICATES_SKIPPED, "shop" => shop.as_str().to_owned())
                    .increment(1);
            }
            let now = intake.clock.now();
            measure(Some(&shop), what, now.since(began));
            intake.counts.answered(&shop, what, now.since(began), now);
            StatusCode::OK.into_response()
        }
        Err(refused) => intake.refuse(refused, began, &extensions),
    }
}

/// Refuses who may not call. A wrong `allow_from` would have all webhooks lost without a sign otherwise: these are counted
/// and logged like every refused delivery.
pub(super) async fn only_from(
    State((access, intake)): State<(Access, Arc<Intake>)>,
    request: Request,
    next: Next,
) -> Response {
    if access.lets(&request) {
        return next.run(request).await;
    }
    let refused = Refused {
        refusal: Refusal::NotAllowed,
        shop: intake.shop_of(request.headers()).map(|shop| shop.name.clone()),
        request: request.extensions().get::<RequestId>().copied(),
        body: None,
    };
    intake.refuse(refused, intake.clock.now(), request.extensions())
}
