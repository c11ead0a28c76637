//! Whether `public_url` leads to this installation.
//!
//! A nonce is sent through the public address; only who knows the installation's key can answer it rightly. When no
//! daemon listens, this process answers for it during the check. What a machine finds out by calling itself proves less
//! than a delivery from outside, and the row says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::get;
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, is_local};
use crate::domain::{CheckOutcome, CheckRow, SharedClock, SharedEntropy};
use crate::http::{InstanceKey, NONCE_PATH, nonce_proof};
use crate::store::{SharedStore, StoreError};
use crate::transport::{self, Client};

/// The row's name.
const WHAT: &str = "public_url";

/// Where the key is kept: a named position of the first shop, so that every node and command of this store shares it.
const NAME: &str = "instance_key";

/// The installation's key: made once, then kept in the store. It proves an answer's origin and opens nothing.
///
/// # Errors
/// When the store fails.
pub async fn instance_key(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<InstanceKey, StoreError> {
    let fresh = || [entropy.bytes(), entropy.bytes()].concat();
    let Some(shop) = config.shops.keys().next() else {
        return Ok(InstanceKey::new(fresh()));
    };
    if let Some(kept) = store.cursor(shop, NAME).await?
        && let Ok(bytes) = hex::decode(kept)
        && bytes.len() >= 16
    {
        return Ok(InstanceKey::new(bytes));
    }
    let bytes = fresh();
    store
        .set_cursor(shop, NAME, &hex::encode(&bytes), clock.now())
        .await?;
    Ok(InstanceKey::new(bytes))
}

/// Who answers at an address.
#[derive(Debug)]
enum Answerer {
    /// This installation.
    Us,
    /// Something else, which said this.
    Stranger(String),
    /// Nobody.
    Nobody(String),
}

/// The row of `check --live` about `public_url`. `deliveries` is how many events the store has.
pub async fn check_public_url(
    config: &Config,
    key: &InstanceKey,
    entropy: &SharedEntropy,
    deliveries: u64,
) -> CheckRow {
    let row = |outcome, note: String| CheckRow {
        what: WHAT.to_owned(),
        outcome,
        note,
    };
    let Some(public_url) = &config.http.public_url else {
        let note = "not set: say where Shopify reaches this listener".to_owned();
        return row(CheckOutcome::Warning, note);
    };
    let settings = transport::Settings {
        connect_timeout_s: 5,
        timeout_s: 10,
        ..transport::Settings::default()
    };
    let client = match Client::new(&settings) {
        Ok(client) => client.with_limit_bytes(64 * 1024),
        Err(error) => return row(CheckOutcome::Failed, error.to_string()),
    };
    let inside = format!("http://{}", own_address(config.http.listen));
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let by_whom = match ask(&client, &inside, key, entropy).await {
        Answerer::Us => "the running daemon",
        Answerer::Stranger(said) => {
            let note = format!("another program listens on {}: {said}", config.http.listen);
            return row(CheckOutcome::Failed, note);
        }
        Answerer::Nobody(_) if config.http.listen.port() == 0 => {
            let note =
                "not tested: the port is chosen at start; check while the daemon runs behind its proxy"
                    .to_owned();
            return row(CheckOutcome::Skipped, note);
        }
        Answerer::Nobody(_) => match stand_in(config.http.listen, key.clone(), stop).await {
            Ok(()) => "this check, in place of the daemon",
            Err(error) => {
                let note = format!("cannot listen on {}: {error}", config.http.listen);
                return row(CheckOutcome::Failed, note);
            }
        },
    };
    let answer = ask(&client, public_url.trim_end_matches('/'), key, entropy).await;
    drop(guard);
    match answer {
        Answerer::Us => {
            let (outcome, proof) = proof(public_url, deliveries).await;
            row(outcome, format!("{by_whom} answered through it; {proof}"))
        }
        Answerer::Stranger(said) => row(
            CheckOutcome::Failed,
            format!(
                "something else answers there: {said}. The proxy must pass requests on to {}",
                config.http.listen
            ),
        ),
        Answerer::Nobody(why) => row(
            CheckOutcome::Failed,
            format!(
                "{why}. (Some networks cannot call their own public address from inside: then try from elsewhere)"
            ),
        ),
    }
}

/// How much it proves that we reached ourselves.
async fn proof(public_url: &str, deliveries: u64) -> (CheckOutcome, String) {
    if deliveries > 0 {
        let noun = if deliveries == 1 {
            "delivery has"
        } else {
            "deliveries have"
        };
        return (
            CheckOutcome::Ok,
            format!("and {deliveries} signed {noun} come in"),
        );
    }
    let url = reqwest::Url::parse(public_url).ok();
    let named_local = url.as_ref().is_none_or(is_local);
    let mut addresses = Vec::new();
    if let Some(url) = &url
        && let Some(host) = url.host_str()
        && let Ok(found) = tokio::net::lookup_host((
            host.trim_matches(['[', ']']),
            url.port_or_known_default().unwrap_or(443),
        ))
        .await
    {
        addresses.extend(found.map(|address| address.ip()));
    }
    let only_inside = named_local || (!addresses.is_empty() && addresses.iter().all(is_private));
    if only_inside {
        return (
            CheckOutcome::Warning,
            "this proves it from inside only: the address belongs to this machine or a private network"
                .to_owned(),
        );
    }
    (
        CheckOutcome::Ok,
        "asked from this machine; that Shopify reaches it is proven by the first delivery".to_owned(),
    )
}

fn is_private(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Sends a nonce to `base` and judges the answer.
async fn ask(client: &Client, base: &str, key: &InstanceKey, entropy: &SharedEntropy) -> Answerer {
    let nonce = hex::encode(entropy.bytes());
    let answer = match client
        .send(client.get(&format!("{base}{NONCE_PATH}{nonce}")))
        .await
    {
        Ok(answer) => answer,
        Err(failure) => return Answerer::Nobody(failure.to_string()),
    };
    let proof = serde_json::from_slice::<serde_json::Value>(answer.body())
        .ok()
        .and_then(|body| body["proof"].as_str().map(str::to_owned));
    match (proof, nonce_proof(key, &nonce)) {
        (Some(given), Some(right)) if given == right => Answerer::Us,
        (Some(_), _) => Answerer::Stranger("another installation of lockstep".to_owned()),
        (None, _) => Answerer::Stranger(format!("HTTP {} without a proof", answer.status())),
    }
}

/// Where a listener is reached from its own machine.
fn own_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Answers nonces on the public listener's address until `stop`.
async fn stand_in(listen: SocketAddr, key: InstanceKey, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let answer = move |Path(nonce): Path<String>| async move { answer(&key, &nonce) };
    let router = Router::new().route(&format!("{NONCE_PATH}{{nonce}}"), get(answer));
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            ended = async { serve(listener, router).await } => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "the stand-in for the daemon ended");
                }
            }
        }
    });
    Ok(())
}

fn answer(key: &InstanceKey, nonce: &str) -> Response {
    match nonce_proof(key, nonce) {
        Some(proof) => Json(serde_json::json!({ "proof": proof })).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::SystemEntropy;

    #[tokio::test]
    async fn only_this_installation_passes_for_itself() {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let key = InstanceKey::new(vec![1; 32]);
        let client = Client::new(&transport::Settings::default()).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let base = format!("http://{address}");
        assert!(matches!(
            ask(&client, &base, &key, &entropy).await,
            Answerer::Nobody(_)
        ));
        let stop = CancellationToken::new();
        stand_in(address, key.clone(), stop.clone()).await.unwrap();
        assert!(matches!(ask(&client, &base, &key, &entropy).await, Answerer::Us));
        let other = InstanceKey::new(vec![2; 32]);
        assert!(matches!(
            ask(&client, &base, &other, &entropy).await,
            Answerer::Stranger(_)
        ));
        stop.cancel();
    }

    #[tokio::test]
    async fn a_proof_from_inside_is_called_one() {
        let (outcome, note) = proof("http://127.0.0.1:8080", 0).await;
        assert_eq!(outcome, CheckOutcome::Warning);
        assert!(note.contains("from inside only"), "{note}");
        let (outcome, note) = proof("http://127.0.0.1:8080", 3).await;
        assert_eq!(outcome, CheckOutcome::Ok);
        assert!(note.contains("3 signed deliveries"), "{note}");
    }
}
