//! The access token of one shop.
//!
//! A static token is read anew when Shopify refuses it (its file may have been changed). A token of the client
//! credentials grant lives about 24 hours; it is renewed ten minutes early, by one caller while the others wait for it,
//! and once more when Shopify refuses it. There is no refresh token: one just asks again. Tokens live in memory only.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::answer::first_message;
use super::error::{RequestId, ShopifyError};
use super::settings::Credentials;
use crate::domain::{SharedClock, ShopName, System, Timestamp};
use crate::secret::Secret;
use crate::telemetry::{self, calls};
use crate::transport::{Answer, Client};

/// How long before its end a token is renewed; never more than half of its life.
const EARLY: Duration = Duration::from_mins(10);
/// A token without a word on its life is renewed after this long.
const ASSUMED_LIFE: Duration = Duration::from_hours(1);
/// Tokens asked for in a burst, and per minute after that: the grant is not for every request, and a wrong secret must
/// not turn into a flood.
const BURST: NonZeroU32 = NonZeroU32::new(5).expect("it is not zero");
const EVERY: Duration = Duration::from_secs(10);

/// A token as it was given to a request. `Debug` does not show it.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// Counts renewals, so that a token refused twice is renewed once.
    generation: u64,
}

/// Keeps the token of one shop.
pub(super) struct Tokens {
    shop: ShopName,
    credentials: Credentials,
    clock: SharedClock,
    endpoint: String,
    client: Client,
    pace: RateLimiter<NotKeyed, InMemoryState, Pace, NoOpMiddleware<Nanos>>,
    granted: tokio::sync::Mutex<Granted>,
}

#[derive(Debug, Default)]
struct Granted {
    token: Option<Token>,
    renew_at: Timestamp,
    expires_at: Timestamp,
    generation: u64,
    /// Why the last question was refused, if it was.
    refusal: Option<String>,
}

/// The daemon's clock in governor's terms.
#[derive(Clone, Debug)]
struct Pace(SharedClock);

impl GovernorClock for Pace {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let millis = u64::try_from(self.0.now().millis()).unwrap_or(0);
        Nanos::from(Duration::from_millis(millis))
    }
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(
        shop: ShopName,
        credentials: Credentials,
        base: &str,
        client: Client,
        clock: SharedClock,
    ) -> Self {
        let quota = Quota::with_period(EVERY)
            .expect("the period is not zero")
            .allow_burst(BURST);
        Self {
            shop,
            credentials,
            endpoint: format!("{base}/admin/oauth/access_token"),
            client,
            pace: RateLimiter::direct_with_clock(quota, Pace(clock.clone())),
            clock,
            granted: tokio::sync::Mutex::default(),
        }
    }

    /// The token to use now.
    ///
    /// # Errors
    /// When the secret cannot be read or Shopify gives no token.
    pub(super) async fn current(&self) -> Result<Token, ShopifyError> {
        let (client_id, secret) = match &self.credentials {
            Credentials::Token(secret) => {
                return Ok(Token {
                    secret: secret.current()?,
                    generation: 0,
                });
            }
            Credentials::ClientCredentials {
                client_id,
                client_secret,
            } => (client_id, client_secret),
        };
        // Whoever comes first renews while holding the lock; the others find the new token.
        let mut granted = self.granted.lock().await;
        let now = self.clock.now();
        if let Some(token) = granted.token.clone().filter(|_| now < granted.renew_at) {
            return Ok(token);
        }
        let asked = self.ask(client_id, secret, granted.refusal.as_deref()).await;
        granted.refusal = match &asked {
            Err(ShopifyError::NoToken { reason, .. }) => Some(reason.clone()),
            _ => None,
        };
        match asked {
            Ok(grant) => Ok(granted.take(grant, self.clock.now())),
            Err(error) => match granted.token.clone().filter(|_| now < granted.expires_at) {
                Some(token) => {
                    tracing::warn!(
                        error = %error,
                        "the access token could not be renewed early; the old one is used until it ends"
                    );
                    // Not with every request: once a minute.
                    granted.renew_at = now.plus(Duration::from_mins(1));
                    Ok(token)
                }
                None => Err(error),
            },
        }
    }

    /// To be called when Shopify refused `token`: whether there is now another one to try.
    ///
    /// # Errors
    /// When the secret cannot be read or Shopify gives no token.
    pub(super) async fn refused(&self, token: &Token) -> Result<bool, ShopifyError> {
        match &self.credentials {
            Credentials::Token(secret) => {
                secret.refresh();
                let fresh = secret.current()?;
                Ok(fresh.expose_secret() != token.secret.expose_secret())
            }
            Credentials::ClientCredentials { .. } => {
                {
                    let mut granted = self.granted.lock().await;
                    if granted.generation == token.generation {
                        granted.token = None;
                    }
                }
                self.current().await?;
                Ok(true)
            }
        }
    }

    /// Asks for a token; when the secret is refused and its file has another content by now, once more.
    async fn ask(
        &self,
        client_id: &str,
        secret: &Secret,
        refusal: Option<&str>,
    ) -> Result<Grant, ShopifyError> {
        let used = secret.current()?;
        match self.ask_once(client_id, &used, refusal).await {
            Err(ShopifyError::NoToken { reason, request }) => {
                secret.refresh();
                let fresh = secret.current()?;
                if fresh.expose_secret() == used.expose_secret() {
                    return Err(ShopifyError::NoToken { reason, request });
                }
                self.ask_once(client_id, &fresh, None).await
            }
            other => other,
        }
    }

    async fn ask_once(
        &self,
        client_id: &str,
        secret: &SecretString,
        refusal: Option<&str>,
    ) -> Result<Grant, ShopifyError> {
        while let Err(early) = self.pace.check() {
            // Refused a moment ago: everybody hears so at once instead of standing in line to hear it again.
            if let Some(reason) = refusal {
                return Err(ShopifyError::NoToken {
                    reason: reason.to_owned(),
                    request: RequestId::default(),
                });
            }
            let wait = early.wait_time_from(GovernorClock::now(&Pace(self.clock.clone())));
            let wait = wait.max(Duration::from_millis(1));
            self.clock.sleep_until(self.clock.now().plus(wait)).await;
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", secret.expose_secret()),
        ];
        let request = self
            .client
            .post(&self.endpoint)
            .header(reqwest::header::ACCEPT, "application/json")
            .form(&form);
        let started = self.clock.now();
        let under_way = calls::begin(System::Shopify, || "access_token".to_owned());
        let answer = self.client.send(request).await;
        let granted = match answer {
            Ok(answer) => self.grant(&answer),
            Err(failure) => Err(failure.into()),
        };
        under_way.ended(granted.as_ref().map_or_else(ShopifyError::code, |_| "ok"));
        metrics::histogram!(
            telemetry::SHOPIFY_CALL_SECONDS,
            "shop" => self.shop.to_string(),
            "operation" => "access_token"
        )
        .record(self.clock.now().since(started).as_secs_f64());
        granted
    }

    fn grant(&self, answer: &Answer) -> Result<Grant, ShopifyError> {
        let now = self.clock.now();
        let request = RequestId(answer.header("x-request-id").map(str::to_owned));
        let status = answer.status();
        match status {
            200..=299 => serde_json::from_slice(answer.json(now)?).map_err(|_| ShopifyError::NoToken {
                reason: "its answer holds no token".to_owned(),
                request,
            }),
            429 | 430 => Err(ShopifyError::Throttled {
                reason: "too many access tokens were asked for",
                retry_after: answer.retry_after(now),
                request,
            }),
            404 => Err(ShopifyError::NoSuchShop { request }),
            402 | 423 => Err(ShopifyError::ShopUnavailable {
                reason: format!("it is frozen or locked (HTTP {status})"),
                retry_after: answer.retry_after(now),
                request,
            }),
            400 | 401 | 403 | 422 => {
                let said = answer
                    .json(now)
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(bytes).ok())
                    .and_then(|body: serde_json::Value| first_message(&body));
                Err(ShopifyError::NoToken {
                    reason: said.map_or_else(
                        || format!("HTTP {status}"),
                        |said| format!("{said} (HTTP {status})"),
                    ),
                    request,
                })
            }
            408 | 500..=599 => Err(ShopifyError::Internal {
                reason: format!("it gives no access token at the moment (HTTP {status})"),
                retry_after: answer.retry_after(now),
                request,
            }),
            _ => Err(answer.failure(now).into()),
        }
    }
}

impl Granted {
    fn take(&mut self, grant: Grant, now: Timestamp) -> Token {
        let life = grant.expires_in.map_or(ASSUMED_LIFE, Duration::from_secs);
        self.generation += 1;
        self.expires_at = now.plus(life);
        self.renew_at = now.plus(life.saturating_sub(EARLY.min(life / 2)));
        let token = Token {
            secret: grant.access_token,
            generation: self.generation,
        };
        self.token = Some(token.clone());
        token
    }
}
