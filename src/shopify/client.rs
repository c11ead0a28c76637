//! Sending one document: line up for its cost, add the token, send, understand the answer, try once more where that is
//! safe and useful.
//!
//! Tried again here: a refused token (once, when there is another), throttling (within a bound). Everything else is the
//! queue's business. Nothing is ever sent twice that may have been carried out: both cases were refused before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::auth::{Token, Tokens};
use super::documents::Document;
use super::error::ShopifyError;
use super::settings::{Credentials, Settings};
use super::throttle::Throttle;
use crate::domain::{SharedClock, SharedEntropy, ShopName, System, Timestamp};
use crate::telemetry::{self, calls};
use crate::transport;

/// How long one question waits for the throttle in all; then the job comes back later and the worker is free. One that gives way
/// waits as long again once it is the first of its like.
const PATIENCE: Duration = Duration::from_secs(30);
/// The wait after a throttling that does not say how long, doubled with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No answer may be larger; a page of 100 lines with everything is below one megabyte.
const LARGEST_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Everything needed to ask one shop something.
#[derive(Debug)]
pub(super) struct Client {
    shop: ShopName,
    http: transport::Client,
    endpoint: String,
    asked_version: String,
    tokens: Tokens,
    pub(super) throttle: Throttle,
    clock: SharedClock,
    /// The API version that was served last.
    served: Mutex<Option<String>>,
    /// The refused scopes that were warned of.
    warned: Mutex<Vec<String>>,
}

impl Client {
    pub(super) fn new(
        shop: ShopName,
        settings: &Settings,
        credentials: Credentials,
        transport: &transport::Settings,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, transport::BuildError> {
        let base = settings.address()?;
        let http = transport::Client::new(transport)?.with_limit_bytes(LARGEST_ANSWER_BYTES);
        Ok(Self {
            tokens: Tokens::new(shop.clone(), credentials, &base, http.clone(), clock.clone()),
            endpoint: format!("{base}/admin/api/{}/graphql.json", settings.api_version),
            asked_version: settings.api_version.clone(),
            throttle: Throttle::new(clock.clone(), entropy),
            shop,
            http,
            clock,
            served: Mutex::default(),
            warned: Mutex::default(),
        })
    }

    /// The API version that was asked for, and the one that was served last.
    pub(super) fn versions(&self) -> (&str, Option<String>) {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.asked_version, served.clone())
    }

    /// The daemon's time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits in the daemon's time.
    pub(super) async fn rest(&self, length: Duration) {
        self.clock.sleep_until(self.clock.now().plus(length)).await;
    }

    /// Sends a document and returns its `data`.
    ///
    /// # Errors
    /// Every way in which that fails, told apart.
    pub(super) async fn call(&self, document: &Document, variables: &Value) -> Result<Value, ShopifyError> {
        self.call_selecting(document, "", variables).await
    }

    /// The same with more fields of the record that the document reads.
    ///
    /// # Errors
    /// Every way in which that fails, told apart.
    pub(super) async fn call_selecting(
        &self,
        document: &Document,
        select: &str,
        variables: &Value,
    ) -> Result<Value, ShopifyError> {
        let outcome = self.ask(document, &document.selecting(select), variables).await;
        if let Err(error) = &outcome {
            self.count(error.code());
        }
        outcome
    }

    async fn ask(&self, document: &Document, text: &str, variables: &Value) -> Result<Value, ShopifyError> {
        let deadline = self.clock.now().plus(PATIENCE);
        let mut renewed = false;
        let mut pause = FIRST_PAUSE;
        loop {
            let token = self.tokens.current().await?;
            let permit = self.throttle.take(document, deadline).await?;
            let reply = self.send(document, text, variables, &token).await?;
            let told = reply.cost.status.is_some();
            permit.settle(reply.cost);
            self.report_level();
            match reply.data {
                Err(ShopifyError::Unauthorized { .. }) if !renewed && self.tokens.refused(&token).await? => {
                    renewed = true;
                }
                Err(ShopifyError::Throttled {
                    reason,
                    retry_after,
                    request,
                }) => {
                    // The bucket's own level says how long, if it was told; the throttle then waits for just that.
                    let wait = match retry_after {
                        Some(asked) => asked,
                        None if told => Duration::ZERO,
                        None => pause,
                    };
                    pause = pause.saturating_mul(2);
                    self.throttle.pause(wait);
                    let wait = self.throttle.wait_for(document);
                    if self.clock.now().plus(wait) > deadline {
                        return Err(ShopifyError::Throttled {
                            reason,
                            retry_after: Some(wait),
                            request,
                        });
                    }
                    self.count("shopify_throttled");
                }
                outcome => return outcome,
            }
        }
    }

    async fn send(
        &self,
        document: &Document,
        text: &str,
        variables: &Value,
        token: &Token,
    ) -> Result<Reply, ShopifyError> {
        let started = self.clock.now();
        let mut secret =
            reqwest::header::HeaderValue::from_str(token.secret.expose_secret()).map_err(|_| {
                // Not even a possible token: a line break in the middle, say.
                ShopifyError::Unauthorized {
                    request: super::RequestId::default(),
                }
            })?;
        secret.set_sensitive(true);
        let request = self
            .http
            .post(&self.endpoint)
            .header("X-Shopify-Access-Token", secret)
            .header(reqwest::header::ACCEPT, "application/json")
            .json(&json!({
                "query": text,
                "operationName": document.name,
                "variables": variables,
            }));
        let mut under_way = calls::begin(System::Shopify, || document.name.to_owned());
        let sent = self.http.send(request).await;
        under_way.answered();
        let now = self.clock.now();
        let reply = sent.map(|answer| answer::read(document, &answer, now));
        let took = now.since(started);
        metrics::histogram!(
            telemetry::SHOPIFY_CALL_SECONDS,
            "shop" => self.shop.to_string(),
            "operation" => document.name
        )
        .record(took.as_secs_f64());
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) => {
                let failure = ShopifyError::from(failure);
                under_way.ended(failure.code());
                return Err(failure);
            }
        };
        let outcome = reply.data.as_ref().map_or_else(ShopifyError::code, |_| "ok");
        under_way.ended(outcome);
        tracing::debug!(
            shop = %self.shop,
            operation = document.name,
            outcome,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            points = reply.cost.requested,
            request = reply.request.0.as_deref(),
            "asked Shopify"
        );
        self.note_version(reply.version.as_deref());
        self.note_refused(&reply.refused);
        Ok(reply)
    }

    /// Warns once when another version than the asked one is served, and once when that changes again: an expired
    /// version falls forward silently (<https://shopify.dev/docs/api/usage/versioning>).
    fn note_version(&self, served: Option<&str>) {
        let Some(served) = served else { return };
        {
            let mut known = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            if known.as_deref() == Some(served) {
                return;
            }
            *known = Some(served.to_owned());
        }
        let fits = served == self.asked_version;
        metrics::gauge!(telemetry::SHOPIFY_VERSION_DIFFERS, "shop" => self.shop.to_string()).set(if fits {
            0.0
        } else {
            1.0
        });
        if fits {
            tracing::debug!(shop = %self.shop, version = served, "Shopify serves the API version asked for");
        } else {
            tracing::warn!(
                shop = %self.shop,
                asked = self.asked_version,
                served,
                "Shopify serves another API version than the one asked for: set api_version to a supported one"
            );
        }
    }

    /// Warns once of each scope that personal fields were refused for.
    fn note_refused(&self, refused: &[String]) {
        for needed in refused {
            {
                let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
                if warned.contains(needed) || warned.len() > 20 {
                    continue;
                }
                warned.push(needed.clone());
            }
            tracing::warn!(
                shop = %self.shop,
                needed,
                "Shopify keeps personal fields from us: records arrive without them"
            );
        }
    }

    fn count(&self, kind: &'static str) {
        metrics::counter!(telemetry::SHOPIFY_ERRORS, "shop" => self.shop.to_string(), "kind" => kind)
            .increment(1);
    }

    fn report_level(&self) {
        if let Some(level) = self.throttle.level() {
            metrics::gauge!(telemetry::SHOPIFY_BUCKET_POINTS, "shop" => self.shop.to_string()).set(level);
        }
    }
}
