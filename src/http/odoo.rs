//! `POST /webhooks/odoo/{shop}`: a hint of Odoo's that something changed, so that it is looked at once and not at the next
//! poll. It is never more than that: nothing of the body is believed, and whatever it says is read fresh.
//!
//! Odoo sends it unsigned, waits one second and does not try again. So a token stands in the path or in a header, and the
//! answer does not wait for the look. Who shows no token, a wrong one or an unknown shop gets one and the same answer, and
//! after some of them from one address nothing that comes from there is looked at for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;

use super::address::Access;
use super::answer::problem;
use crate::domain::{SharedClock, ShopName, Timestamp};
use crate::secret::Secret;

/// The header that the token may stand in.
pub(super) const TOKEN_HEADER: &str = "x-lockstep-token";

pub(super) const ROUTE: &str = "/webhooks/odoo/{shop}";

pub(super) const ROUTE_WITH_TOKEN: &str = "/webhooks/odoo/{shop}/{token}";

/// The most of a body that is looked at: Odoo sends a few fields of one record.
const MOST_BYTES: usize = 64 * 1024;

/// How long a body may take: Odoo itself gives up after a second.
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// Hints of a shop that are taken at once. One change in Odoo fires five or six.
const BURST: u32 = 60;

/// How long it takes until one more is taken.
const REFILL: Duration = Duration::from_millis(100);

/// Wrong tokens from one address that are answered at once: a mistake in Odoo's settings, not a search.
const WRONG_BURST: u32 = 20;

/// How long it takes until one more wrong token is compared.
const WRONG_REFILL: Duration = Duration::from_secs(6);

/// Addresses that are kept apart. More than these share one allowance, so that nobody fills the memory.
const MOST_ADDRESSES: usize = 4_096;

/// Where those are counted that are not kept apart, and those without an address.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Who is told of hints.
#[async_trait]
pub trait Hinted: Send + Sync + 'static {
    /// The token of a shop; none where it takes no hints.
    fn token(&self, shop: &ShopName) -> Option<Secret>;

    /// Something of the shop's ERP changed: a record of this model, where the hint names one.
    async fn hinted(&self, shop: &ShopName, model: Option<&str>);
}

/// The route's state.
pub struct Hints {
    hinted: Arc<dyn Hinted>,
    clock: SharedClock,
    taken: Mutex<BTreeMap<ShopName, Allowance>>,
    wrong: Mutex<BTreeMap<IpAddr, Allowance>>,
}

/// What may still come: so much at once, and one more after each wait.
#[derive(Clone, Copy)]
struct Allowance {
    left: u32,
    at: Timestamp,
}

impl Allowance {
    fn new(burst: u32, now: Timestamp) -> Self {
        Self { left: burst, at: now }
    }

    /// What is left now.
    fn left(&mut self, burst: u32, refill: Duration, now: Timestamp) -> u32 {
        let refilled = now.since(self.at).as_millis() / refill.as_millis();
        if refilled > 0 || now < self.at {
            let more = u32::try_from(refilled).unwrap_or(burst);
            self.left = burst.min(self.left.saturating_add(more));
            self.at = now;
        }
        self.left
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hints")
    }
}

impl Hints {
    /// Hints for these listeners.
    pub fn new(hinted: Arc<dyn Hinted>, clock: SharedClock) -> Self {
        Self {
            hinted,
            clock,
            taken: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Whether one more hint of the shop is taken now. Only the right token gets here, so that nobody else can use it up.
    fn is_taken(&self, shop: &ShopName) -> bool {
        let now = self.clock.now();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = taken
            .entry(shop.clone())
            .or_insert_with(|| Allowance::new(BURST, now));
        let is_taken = allowance.left(BURST, REFILL, now) > 0;
        allowance.left = allowance.left.saturating_sub(1);
        is_taken
    }

    /// Whether a token from this address is compared now.
    fn is_heard(&self, client: IpAddr) -> bool {
        let now = self.clock.now();
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place_in(&mut wrong, client, now);
        wrong
            .get_mut(&place)
            .is_none_or(|known| known.left(WRONG_BURST, WRONG_REFILL, now) > 0)
    }

    /// A token from this address was wrong.
    fn note_wrong(&self, client: IpAddr) {
        let now = self.clock.now();
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place_in(&mut wrong, client, now);
        let allowance = wrong
            .entry(place)
            .or_insert_with(|| Allowance::new(WRONG_BURST, now));
        allowance.left = allowance.left.saturating_sub(1);
    }
}

/// Under which address a client's wrong tokens are counted: whoever has one address of IPv6 has its whole network.
fn place_in(wrong: &mut BTreeMap<IpAddr, Allowance>, client: IpAddr, now: Timestamp) -> IpAddr {
    let place = match client.to_canonical() {
        IpAddr::V6(client) => {
            let [a, b, c, d, ..] = client.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        client @ IpAddr::V4(_) => client,
    };
    if wrong.contains_key(&place) || wrong.len() < MOST_ADDRESSES {
        return place;
    }
    wrong.retain(|_, known| known.left(WRONG_BURST, WRONG_REFILL, now) < WRONG_BURST);
    if wrong.len() < MOST_ADDRESSES {
        place
    } else {
        OTHERS
    }
}

pub(super) async fn receive(
    State((hints, access)): State<(Arc<Hints>, Access)>,
    Path(shop): Path<String>,
    request: Request,
) -> Response {
    let shown = request.headers().get(TOKEN_HEADER);
    let shown = shown
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    take(&hints, &access, &shop, &shown, request).await
}

pub(super) async fn receive_with_token(
    State((hints, access)): State<(Arc<Hints>, Access)>,
    Path((shop, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    take(&hints, &access, &shop, &token, request).await
}

async fn take(hints: &Hints, access: &Access, shop: &str, shown: &str, request: Request) -> Response {
    let client = access.client(&request).unwrap_or(OTHERS);
    if !hints.is_heard(client) {
        return problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_wrong_tokens",
            "Too many wrong tokens came from this address. Put the shop's hint_token right, and wait a minute.",
            request.extensions(),
        );
    }
    let known = shop
        .parse::<ShopName>()
        .ok()
        .and_then(|shop| Some((hints.hinted.token(&shop)?, shop)));
    let shop = match known {
        Some((token, shop)) if token.current().is_ok_and(|token| is_same(&token, shown)) => shop,
        _ => {
            hints.note_wrong(client);
            return problem(
                StatusCode::UNAUTHORIZED,
                "bad_token",
                "The shop's hint_token must stand at the end of the path or in X-Lockstep-Token.",
                request.extensions(),
            );
        }
    };
    if !hints.is_taken(&shop) {
        return problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_hints",
            "Enough hints came lately. What changed is found without this one.",
            request.extensions(),
        );
    }
    let body = tokio::time::timeout(BODY_WITHIN, to_bytes(request.into_body(), MOST_BYTES)).await;
    let model = match body {
        Ok(Ok(body)) => model_of(&body),
        _ => None,
    };
    hints.hinted.hinted(&shop, model.as_deref()).await;
    (StatusCode::ACCEPTED, Json(json!({ "noted": true }))).into_response()
}

/// The model that a body names. Names that cannot be one are none.
fn model_of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let model = body["_model"].as_str()?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b);
    ((1..=64).contains(&model.len()) && model.bytes().all(plain)).then(|| model.to_owned())
}

/// Two texts are compared by their HMACs: how long that takes tells nothing about either.
fn is_same(ours: &SecretString, shown: &str) -> bool {
    let mac = |text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"lockstep hint token 1").ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    };
    match (mac(ours.expose_secret()), mac(shown)) {
        (Some(ours), Some(shown)) => shown.verify(&ours.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}
