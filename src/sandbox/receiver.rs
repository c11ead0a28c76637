//! A stand-in for a system that is told by signed webhooks: it verifies by the standard itself (<https://www.standardwebhooks.com>),
//! remembers what it took by its id, and can be told to refuse.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How far the sender's clock may be off, and how old a request may be.
const TOLERANCE: Duration = Duration::from_secs(300);

/// What was told under one id.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The first body, as JSON; a text that is none is kept as such.
    pub body: Value,
    /// How often it came and was taken.
    pub times: u64,
}

/// What it answers.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    body: String,
}

struct Inner {
    key: Vec<u8>,
    told: Mutex<BTreeMap<String, Told>>,
    refused: Mutex<Vec<String>>,
    answer: Mutex<Answer>,
}

/// A running receiver.
pub struct Receiver {
    address: SocketAddr,
    inner: Arc<Inner>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Binds loopback and serves. `secret` is `whsec_` and a key in base64.
    ///
    /// # Errors
    /// When there is no port, or the secret has another form.
    pub async fn start(secret: &str) -> io::Result<Self> {
        let key = secret
            .strip_prefix("whsec_")
            .and_then(|code| STANDARD.decode(code).ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a secret is whsec_ and base64"))?;
        let inner = Arc::new(Inner {
            key,
            told: Mutex::default(),
            refused: Mutex::default(),
            answer: Mutex::new(Answer {
                status: StatusCode::NO_CONTENT,
                body: String::new(),
            }),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/told", post(told))
            .with_state(Arc::clone(&inner));
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone().cancelled_owned();
        tracker.spawn(async move {
            let _gone = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await;
        });
        Ok(Self {
            address,
            inner,
            stop,
            tracker,
        })
    }

    /// Where it is told.
    pub fn url(&self) -> String {
        format!("http://{}/told", self.address)
    }

    /// What it took, by id.
    pub fn told(&self) -> BTreeMap<String, Told> {
        lock(&self.inner.told).clone()
    }

    /// Why it refused what it refused because it was not signed as it must be.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.inner.refused).clone()
    }

    /// From now on it answers this, and takes nothing unless the status says so.
    ///
    /// # Panics
    /// When there is no such status.
    pub fn answer(&self, status: u16, body: &str) {
        *lock(&self.inner.answer) = Answer {
            status: StatusCode::from_u16(status).expect("a status has three digits"),
            body: body.to_owned(),
        };
    }

    /// Closes the port.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Since 1970. A receiver is another system: it has a clock of its own.
#[expect(clippy::disallowed_methods, reason = "it is to go by no clock of ours")]
fn machine_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn told(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let now = machine_time();
    let id = match verified(&inner.key, &headers, &body, now) {
        Ok(id) => id,
        Err(reason) => {
            lock(&inner.refused).push(reason.to_owned());
            return (StatusCode::UNAUTHORIZED, reason).into_response();
        }
    };
    let answer = lock(&inner.answer).clone();
    if answer.status.is_success() {
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let mut all = lock(&inner.told);
        let known = all.entry(id).or_insert_with(|| Told {
            body: serde_json::from_slice(&body).unwrap_or_else(|_| text()),
            times: 0,
        });
        known.times += 1;
    }
    (answer.status, answer.body).into_response()
}

/// The id of a request that was signed with this key just now, else why it is refused.
fn verified(key: &[u8], headers: &HeaderMap, body: &[u8], now: Duration) -> Result<String, &'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let id = text("webhook-id").ok_or("there is no webhook-id")?;
    let timestamp = text("webhook-timestamp").ok_or("there is no webhook-timestamp")?;
    let signatures = text("webhook-signature").ok_or("there is no webhook-signature")?;
    let seconds: u64 = timestamp.parse().map_err(|_| "the timestamp is no number")?;
    if now.as_secs().abs_diff(seconds) > TOLERANCE.as_secs() {
        return Err("the timestamp is not of now");
    }
    let is_right = signatures
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|code| STANDARD.decode(code).ok())
        .any(|code| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
                return false;
            };
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            mac.verify_slice(&code).is_ok()
        });
    if is_right {
        Ok(id.to_owned())
    } else {
        Err("no signature fits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"a key of at least 24 bytes";
    const NOW: u64 = 1_700_000_000;

    fn headers(id: &str, seconds: u64, key: &[u8], body: &[u8]) -> HeaderMap {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        let signature = format!("v1,AAAA v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ]
        .into_iter()
        .map(|(name, value)| {
            (
                name.parse::<axum::http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            )
        })
        .collect()
    }

    #[test]
    fn only_what_was_signed_just_now_is_taken() {
        let check = |headers: &HeaderMap, body: &[u8]| verified(KEY, headers, body, Duration::from_secs(NOW));
        let good = headers("evt_1", NOW - 200, KEY, b"{}");
        assert_eq!(check(&good, b"{}"), Ok("evt_1".to_owned()));
        assert_eq!(check(&good, b"{} "), Err("no signature fits"));
        let other = headers("evt_1", NOW, b"another key of 24 bytes..", b"{}");
        assert_eq!(check(&other, b"{}"), Err("no signature fits"));
        for seconds in [NOW - 301, NOW + 301] {
            let old = headers("evt_1", seconds, KEY, b"{}");
            assert_eq!(check(&old, b"{}"), Err("the timestamp is not of now"));
        }
        let mut nameless = good.clone();
        nameless.remove("webhook-id");
        assert_eq!(check(&nameless, b"{}"), Err("there is no webhook-id"));
    }
}
