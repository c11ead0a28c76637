//! Whether `public_url` leads to this installation.
//!
//! A nonce is sent through the public address; only who knows the installation's key can answer it rightly. When no
//! daemon listens, this process answers for it during the check. What a machine finds out by calling itself proves less
//! than a delivery from outside, and the row says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::get;
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, is_local};
use crate::domain::{CheckOutcome, CheckRow, SharedClock, SharedEntropy, ShopName, Timestamp};
use crate::http::{InstanceKey, NONCE_PATH, nonce_proof};
use crate::store::{SharedStore, StoreError};
use crate::transport::{self, Client};

/// The row's name.
const WHAT: &str = "public_url";

/// Where the key is kept: a named position of no shop, so that every node and command of this store shares it whatever
/// shops are declared.
const NAME: &str = "instance_key";

/// The named position in which the daemon tells other processes which changed files it could not take.
pub(super) const NOT_TAKEN: &str = "files_not_taken";

/// What stands in place of a shop for what belongs to the whole installation.
pub(super) const INSTALLATION: &str = "installation";

/// [`INSTALLATION`] as the store wants it.
pub(super) fn installation() -> ShopName {
    INSTALLATION.parse().expect("it is a valid name")
}

/// The installation's key: made once, then kept in the store. It proves an answer's origin and opens nothing.
///
/// # Errors
/// When the store fails.
pub async fn instance_key(
    store: &SharedStore,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<InstanceKey, StoreError> {
    let fresh = hex::encode([entropy.bytes(), entropy.bytes()].concat());
    let kept = store
        .first_value(&installation(), NAME, &fresh, clock.now())
        .await?;
    Ok(key_of(kept))
}

/// The installation's key if it was made already.
///
/// # Errors
/// When the store fails.
pub async fn known_key(store: &SharedStore) -> Result<Option<InstanceKey>, StoreError> {
    let kept = store.cursor(&installation(), NAME).await?;
    Ok(kept.map(key_of))
}

fn key_of(kept: String) -> InstanceKey {
    // What is no key was put there by hand; whoever did it sees that nobody is recognised.
    InstanceKey::new(hex::decode(&kept).unwrap_or_else(|_| kept.into_bytes()))
}

/// Who answers at an address.
#[derive(Debug)]
pub(super) enum Answerer {
    /// This installation.
    Us,
    /// Something else, which said this.
    Stranger(String),
    /// Nobody.
    Nobody(String),
}

/// Deliveries that came within this time prove that Shopify reaches us.
const RECENT: Duration = Duration::from_hours(24);

/// The row of `check --live` about `public_url`. `last_delivery` is when the last signed delivery came.
pub async fn check_public_url(
    config: &Config,
    key: &InstanceKey,
    entropy: &SharedEntropy,
    last_delivery: Option<Timestamp>,
    now: Timestamp,
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
    let clients = [transport::Settings::default(), outward(config, public_url)].map(|settings| {
        let settings = transport::Settings {
            connect_timeout_s: 5,
            timeout_s: 10,
            ..settings
        };
        Client::new(&settings).map(|client| client.with_limit_bytes(64 * 1024))
    });
    let (own, client) = match clients {
        [Ok(own), Ok(client)] => (own, client),
        [Err(error), _] | [_, Err(error)] => return row(CheckOutcome::Failed, error.to_string()),
    };
    let inside = format!("http://{}", own_address(config.http.listen));
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let by_whom = match ask(&own, &inside, key, entropy).await {
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
            let recent = last_delivery.filter(|at| now.since(*at) < RECENT);
            let (outcome, proof) = proof(public_url, recent).await;
            row(
                outcome,
                format!("{by_whom} answered through it, asked from this machine; {proof}"),
            )
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

/// How the public address is reached from here: with the certificates and the proxy of a shop's connection, which is
/// this machine's way out. Our own network is reached without a proxy.
pub(super) fn outward(config: &Config, public_url: &str) -> transport::Settings {
    let declared = config
        .shops
        .values()
        .map(|shop| &shop.connection)
        .find(|connection| {
            connection.ca_file.is_some() || connection.proxy.is_some() || connection.proxy_file.is_some()
        });
    let Some(declared) = declared else {
        return transport::Settings::default();
    };
    let inside = reqwest::Url::parse(public_url).ok().as_ref().is_none_or(is_local);
    transport::Settings {
        ca_file: declared.ca_file.clone(),
        proxy: declared.proxy.clone().filter(|_| !inside),
        proxy_file: declared.proxy_file.clone().filter(|_| !inside),
        ..transport::Settings::default()
    }
}

/// How much it proves that we reached ourselves.
async fn proof(public_url: &str, recent: Option<Timestamp>) -> (CheckOutcome, String) {
    if let Some(at) = recent {
        return (CheckOutcome::Ok, format!("the last signed delivery came at {at}"));
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
        "that Shopify reaches it is proven by the first delivery".to_owned(),
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
pub(super) async fn ask(client: &Client, base: &str, key: &InstanceKey, entropy: &SharedEntropy) -> Answerer {
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
pub(super) fn own_address(listen: SocketAddr) -> SocketAddr {
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
    use std::fmt::Write as _;
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
        let (outcome, note) = proof("http://127.0.0.1:8080", None).await;
        assert_eq!(outcome, CheckOutcome::Warning);
        assert!(note.contains("from inside only"), "{note}");
        let at = Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap();
        let (outcome, note) = proof("http://127.0.0.1:8080", Some(at)).await;
        assert_eq!(outcome, CheckOutcome::Ok);
        assert!(note.contains("2026-11-20T10:00:00"), "{note}");
    }

    /// A configuration of these shops whose listener and public address are at `port`.
    fn config(shops: &[&str], port: u16, connection: &str) -> Config {
        let mut text = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n"
        );
        for shop in shops {
            write!(
                text,
                "[shops.{shop}]\ndomain = \"{shop}.myshopify.com\"\naccess_token = \"a\"\nwebhook_secrets = [\"b\"]\n\
                 connection = {{ {connection} }}\n[shops.{shop}.odoo]\nurl = \"http://127.0.0.1:1\"\ndatabase = \"d\"\n\
                 login = \"l\"\napi_key = \"k\"\n"
            )
            .unwrap();
        }
        Config::parse(&text, std::path::Path::new("/nowhere/lockstep.toml"), &|_| None).unwrap()
    }

    #[tokio::test]
    async fn the_key_is_made_once_whatever_shops_are_declared() {
        let folder = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(crate::domain::SystemClock);
        let settings = crate::store::Settings {
            url: format!("sqlite://{}", folder.path().join("a.db").display()),
            ..crate::store::Settings::default()
        };
        let mode = crate::store::OpenMode::Serve;
        let store = crate::store::open(&settings, folder.path(), clock.clone(), mode)
            .await
            .unwrap();
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let proof = |key: &InstanceKey| nonce_proof(key, &"ab".repeat(16));
        let first = instance_key(&store, &clock, &entropy).await.unwrap();
        let second = instance_key(&store, &clock, &entropy).await.unwrap();
        assert!(proof(&first).is_some());
        assert_eq!(proof(&first), proof(&second));
        store.close().await;
    }

    #[tokio::test]
    async fn a_check_stands_in_for_the_daemon_and_says_where_it_asked_from() {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let key = InstanceKey::new(vec![1; 32]);
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        // A proxy that nobody answers at: our own network is reached without it.
        let config = config(&["main"], port, "proxy = \"http://127.0.0.1:1\"");
        let now = Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap();
        for (last, outcome) in [
            (None, CheckOutcome::Warning),
            (Some(now.minus(Duration::from_hours(25))), CheckOutcome::Warning),
            (Some(now.minus(Duration::from_hours(23))), CheckOutcome::Ok),
        ] {
            let row = check_public_url(&config, &key, &entropy, last, now).await;
            assert_eq!(row.outcome, outcome, "{last:?}: {}", row.note);
            assert!(row.note.contains("asked from this machine"), "{}", row.note);
        }
    }

    #[test]
    fn the_way_out_is_that_of_the_shops() {
        let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls/ca.pem");
        let declared = format!("ca_file = \"{ca}\", proxy = \"http://proxy.example.com:3128\"");
        let config = config(&["main"], 0, &declared);
        let out = outward(&config, "https://sync.example.com");
        assert_eq!(out.proxy.as_deref(), Some("http://proxy.example.com:3128"));
        assert!(out.ca_file.is_some());
        assert_eq!(outward(&config, "https://10.0.0.1").proxy, None);
        assert!(outward(&config, "https://10.0.0.1").ca_file.is_some());
    }
}
