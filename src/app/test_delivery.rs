//! A delivery that this installation sends to itself: signed like Shopify's, through the public address, and without any effect.
//!
//! It proves what a delivery meets on its way: the address leads to this installation, the shop is known, its secret signs,
//! and the store takes deliveries. That Shopify itself gets there only its own deliveries prove. Where the public address cannot
//! be called from here, which some networks do not allow, it goes to the listener directly, and that is said.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::reach::{Answerer, ask, outward, own_address};
use crate::config::{Config, Shop};
use crate::domain::{SharedClock, SharedEntropy, ShopName};
use crate::http::{InstanceKey, TEST_TOPIC, test_body};
use crate::shopify::webhook::{SIGNATURE_HEADER, sign};
use crate::transport::{self, Client};

/// Where deliveries go.
const PATH: &str = "/webhooks/shopify";

/// By which way a test delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Through `public_url`.
    Public,
    /// To the listener of this machine, past `public_url`.
    Local,
}

/// What became of a test delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TestDelivery {
    /// For which shop.
    pub shop: ShopName,
    /// Whether it was taken.
    pub taken: bool,
    /// By which way.
    pub way: Way,
    /// The address.
    pub address: String,
    /// The answer's status.
    pub status: Option<u16>,
    /// How long the answer took, in milliseconds.
    pub took_ms: u64,
    /// One sentence.
    pub told: String,
    /// What else there is to know, e.g. why it did not go through `public_url`.
    pub notes: Vec<String>,
}

/// Sends one. `listener` is where the public listener of this daemon is.
pub async fn send(
    config: &Config,
    shop: &Shop,
    listener: SocketAddr,
    key: &InstanceKey,
    (clock, entropy): (&SharedClock, &SharedEntropy),
) -> TestDelivery {
    let mut notes = Vec::new();
    let local = format!("http://{}", own_address(listener));
    let mut sent = TestDelivery {
        shop: shop.name.clone(),
        taken: false,
        way: Way::Local,
        address: format!("{local}{PATH}"),
        status: None,
        took_ms: 0,
        told: String::new(),
        notes: Vec::new(),
    };
    let patient = |settings: transport::Settings| {
        let settings = transport::Settings {
            connect_timeout_s: 5,
            timeout_s: 10,
            ..settings
        };
        Client::new(&settings).map(|client| client.with_limit_bytes(64 * 1024))
    };
    let mut client = patient(transport::Settings::default());
    match &config.http.public_url {
        None => {
            notes
                .push("`public_url` is not set: Shopify is told no address of this installation.".to_owned());
        }
        Some(public_url) => {
            let base = public_url.trim_end_matches('/');
            let outside = patient(outward(config, public_url));
            let answerer = match &outside {
                Ok(outside) => ask(outside, base, key, entropy).await,
                Err(error) => Answerer::Nobody(error.to_string()),
            };
            match answerer {
                Answerer::Us => {
                    sent.way = Way::Public;
                    sent.address = format!("{base}{PATH}");
                    client = outside;
                }
                Answerer::Stranger(said) => {
                    sent.way = Way::Public;
                    sent.address = format!("{base}{PATH}");
                    sent.told = format!("Nothing was sent: something else answers at {base}: {said}.");
                    return sent;
                }
                Answerer::Nobody(why) => notes.push(format!(
                    "{base} cannot be reached from this machine ({why}), which some networks do not allow from inside: so it \
                     went to the listener directly. Whether Shopify gets there, its own deliveries show."
                )),
            }
        }
    }
    sent.notes = notes;
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            sent.told = format!("Nothing was sent: {error}.");
            return sent;
        }
    };
    let secret = shop.webhook_secrets.first().map(crate::secret::Secret::current);
    let secret = match secret {
        Some(Ok(secret)) => secret,
        Some(Err(error)) => {
            sent.told = format!("Nothing was sent: the shop's secret cannot be read: {error}.");
            return sent;
        }
        None => {
            "Nothing was sent: the shop has no secret that signs webhooks.".clone_into(&mut sent.told);
            return sent;
        }
    };
    let body = test_body(&hex::encode(entropy.bytes()));
    let request = client
        .post(&sent.address)
        .header("content-type", "application/json")
        .header("x-shopify-topic", TEST_TOPIC)
        .header("x-shopify-shop-domain", &shop.shopify.domain)
        .header(SIGNATURE_HEADER, sign(&secret, body.as_bytes()))
        .body(body);
    let began = clock.now();
    let answer = client.send(request).await;
    let took: Duration = clock.now().since(began);
    sent.took_ms = took.as_millis().try_into().unwrap_or(u64::MAX);
    match answer {
        Ok(answer) => {
            let status = answer.status();
            sent.status = Some(status);
            sent.taken = status == 200;
            sent.told = if sent.taken {
                "Taken: the shop is known, the signature is right, and the store answers. It made no event and no job.".to_owned()
            } else {
                let said = serde_json::from_slice::<serde_json::Value>(answer.body()).ok();
                let said = said.and_then(|said| said["detail"].as_str().map(str::to_owned));
                format!(
                    "Refused with {status}: {}",
                    said.unwrap_or_else(|| "it says not why.".to_owned())
                )
            };
        }
        Err(failure) => sent.told = format!("It did not arrive: {failure}."),
    }
    sent
}
