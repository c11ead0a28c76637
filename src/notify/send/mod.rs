//! One attempt to deliver a message.
//!
//! What it promises: the whole attempt ends within its time, whatever the receiver does; at most a few kilobytes of its
//! answer are kept; nothing is sent to an address that the guard refuses, at no redirect either; environment variables
//! choose no proxy; a failure says what it was in one sentence, without an address's path or query and without a secret.
//!
//! The answer's status alone decides: a receiver that said 200 has taken the message, even if its body then never ends.
//! Sending it again would only make a second one.
//!
//! Deliberately absent: repetition, and any knowledge of what the message is about.

mod answer;
mod build;
mod failure;
mod secrets;
mod target;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use secrecy::ExposeSecret as _;
use tokio::time::timeout_at;

pub use answer::Answer;
pub use build::{BuildError, Sender};
pub use failure::{Failure, FailureCode};
use secrets::Secrets;
pub use target::{Auth, HmacHeader, Target, header};

use super::health::Ended;
use super::render::Message;
use super::signature::{ID_HEADER, PlainHmac, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER, signatures};
use crate::domain::Timestamp;
use crate::transport::parse_retry_after;

/// How one attempt ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Why it failed; none when the message was taken.
    pub failure: Option<Failure>,
    /// What the receiver answered, if it did.
    pub answer: Option<Answer>,
    /// How long the receiver asked to wait.
    pub retry_after: Option<Duration>,
    /// How long the attempt took.
    pub took: Duration,
}

impl Attempt {
    /// Whether the message was taken.
    pub const fn is_taken(&self) -> bool {
        self.failure.is_none()
    }

    /// What it says about the endpoint's health.
    pub fn ended(&self) -> Ended {
        match &self.failure {
            None => Ended::Taken,
            Some(failure) if failure.code == FailureCode::Gone => Ended::Gone,
            Some(_) => Ended::Failed,
        }
    }
}

/// What a request carries to the endpoint's own host.
struct Signed {
    headers: Vec<(&'static str, HeaderValue)>,
    own: Vec<(reqwest::header::HeaderName, HeaderValue)>,
    /// Everything secret in it, to be blanked out where the receiver repeats it.
    secrets: Secrets,
}

impl Sender {
    /// Sends a message once. `now` is the time that is signed.
    pub async fn send(&self, message: &Message, now: Timestamp) -> Attempt {
        let started = Instant::now();
        let ready = self
            .address()
            .and_then(|url| self.sign(&url, message, now).map(|signed| (url, signed)));
        let mut attempt = match ready {
            Ok((url, signed)) => self.deliver(url, &signed, message, now).await,
            Err(failure) => Attempt {
                failure: Some(failure),
                answer: None,
                retry_after: None,
                took: Duration::ZERO,
            },
        };
        attempt.took = started.elapsed();
        attempt
    }

    /// Where to.
    fn address(&self) -> Result<Url, Failure> {
        let text = self
            .target
            .url
            .current()
            .map_err(|error| Failure::unreadable("url_file", &error))?;
        let url: Url = text.expose_secret().trim().parse().map_err(|_| Failure {
            code: FailureCode::AddressRefused,
            sentence: "the endpoint's url is no address of the form https://host/path".to_owned(),
        })?;
        self.guard
            .check(&url)
            .map_err(|refusal| Failure::refused(&refusal))?;
        Ok(url)
    }

    fn sign(&self, url: &Url, message: &Message, now: Timestamp) -> Result<Signed, Failure> {
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Failure {
                code: FailureCode::Secret,
                sentence: "a header of the request cannot be written: a secret or the mime type has a character that \
                           headers cannot hold"
                    .to_owned(),
            })
        };
        // Addresses of chats and automation services are secrets as a whole.
        let mut secrets = Secrets::default();
        secrets.add_address(url);
        let mut headers = vec![
            ("content-type", value(&message.mime)?),
            (ID_HEADER, value(&message.id)?),
            (
                TIMESTAMP_HEADER,
                value(&now.millis().div_euclid(1000).to_string())?,
            ),
        ];
        let mut keys = Vec::new();
        for secret in &self.target.secrets {
            // While its file changes, the one before signs, too: receivers may not have changed over yet.
            let texts = secret
                .recent(now.millis(), self.target.rotation)
                .map_err(|error| Failure::unreadable("secrets_files", &error))?;
            for (n, text) in texts.iter().enumerate() {
                secrets.add(text.expose_secret());
                match SigningSecret::parse(text.expose_secret()) {
                    Ok(key) => keys.push(key),
                    // The one before may be what somebody wrote by mistake and has corrected since.
                    Err(_) if n > 0 => {}
                    Err(error) => return Err(Failure::no_key(secret.path(), &error)),
                }
            }
        }
        if let Some(signature) = signatures(&keys, &message.id, now, &message.body) {
            headers.push((SIGNATURE_HEADER, value(&signature)?));
        }
        let mut own = self.target.headers.clone();
        for (_, value) in &own {
            secrets.add(&String::from_utf8_lossy(value.as_bytes()));
        }
        if let Some(hmac) = &self.target.hmac {
            let secret = hmac
                .secret
                .current()
                .map_err(|error| Failure::unreadable("hmac.secret_file", &error))?;
            let plain = PlainHmac {
                encoding: hmac.encoding,
                prefix: &hmac.prefix,
            };
            own.push((
                hmac.header.clone(),
                value(&plain.sign(secret.expose_secret(), &message.body))?,
            ));
            secrets.add(secret.expose_secret());
        }
        if let Some(auth) = &self.target.auth {
            let (text, secret) = auth
                .header()
                .map_err(|error| Failure::unreadable(auth.file_key(), &error))?;
            let mut value = value(&text)?;
            value.set_sensitive(true);
            own.push((AUTHORIZATION, value));
            // Some repeat the scheme with it, and some do not.
            if let Some((_, code)) = text.split_once(' ') {
                secrets.add(code);
            }
            secrets.add(&secret);
        }
        Ok(Signed {
            headers,
            own,
            secrets,
        })
    }

    async fn deliver(&self, first: Url, signed: &Signed, message: &Message, now: Timestamp) -> Attempt {
        let deadline = tokio::time::Instant::now() + self.target.timeout;
        let mut url = first.clone();
        let mut hops = 0;
        loop {
            let host = host_of(&url);
            let request = self.request(&url, url.origin() == first.origin(), signed, &message.body);
            let failed = |failure: Failure| Attempt {
                failure: Some(failure),
                answer: None,
                retry_after: None,
                took: Duration::ZERO,
            };
            let response = match timeout_at(deadline, request).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return failed(Failure::of(&host, self.target.timeout, &error)),
                Err(_) => return failed(Failure::no_answer(&host, self.target.timeout)),
            };
            match self.next_hop(&url, &response, hops) {
                Ok(Some(next)) => {
                    url = next;
                    hops += 1;
                }
                Ok(None) => return self.ended(&host, response, deadline, signed, now, None).await,
                Err(failure) => {
                    return self
                        .ended(&host, response, deadline, signed, now, Some(failure))
                        .await;
                }
            }
        }
    }

    /// Only the endpoint's own host gets what is meant for it, and is shown who lockstep is.
    async fn request(
        &self,
        url: &Url,
        is_own: bool,
        signed: &Signed,
        body: &Bytes,
    ) -> Result<Response, reqwest::Error> {
        let client = if is_own { &self.http } else { &self.elsewhere };
        let mut request = client.post(url.clone()).body(body.clone());
        for (name, value) in &signed.headers {
            request = request.header(*name, value.clone());
        }
        for (name, value) in signed.own.iter().filter(|_| is_own) {
            request = request.header(name.clone(), value.clone());
        }
        request.send().await
    }

    /// Where a redirect leads, if this answer is one that is to be followed.
    fn next_hop(&self, url: &Url, response: &Response, hops: u8) -> Result<Option<Url>, Failure> {
        let status = response.status();
        if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let host = host_of(url);
        // By other redirects a POST becomes a GET, which carries nothing.
        let keeps_method = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if self.target.redirects == 0 || !keeps_method {
            return Err(Failure::redirected(&host, status.as_u16(), keeps_method));
        }
        if hops >= self.target.redirects {
            return Err(Failure {
                code: FailureCode::Redirected,
                sentence: format!("{host} redirects more than {} times", self.target.redirects),
            });
        }
        let next = response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| url.join(location).ok())
            .ok_or_else(|| Failure {
                code: FailureCode::Redirected,
                sentence: format!("{host} redirects without saying where to"),
            })?;
        if url.scheme() == "https" && next.scheme() != "https" {
            return Err(Failure {
                code: FailureCode::AddressRefused,
                sentence: format!(
                    "{host} redirects from https to {}, which would be read by others",
                    next.scheme()
                ),
            });
        }
        self.guard
            .check(&next)
            .map_err(|refusal| Failure::refused(&refusal))?;
        Ok(Some(next))
    }

    /// Judges the answer and keeps the beginning of it.
    async fn ended(
        &self,
        host: &str,
        response: Response,
        deadline: tokio::time::Instant,
        signed: &Signed,
        now: Timestamp,
        failure: Option<Failure>,
    ) -> Attempt {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| parse_retry_after(text, now));
        let answer = Answer::read(response, deadline, &signed.secrets).await;
        Attempt {
            failure: failure.or_else(|| Failure::of_status(host, status)),
            answer: Some(answer),
            retry_after,
            took: Duration::ZERO,
        }
    }
}

/// Host and port of an address, for messages.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Headers that are ours, or the protocol's: an endpoint cannot set them.
fn is_reserved(name: &str) -> bool {
    name.starts_with("webhook-")
        || name.starts_with("proxy-")
        || [
            CONTENT_TYPE.as_str(),
            "content-length",
            "content-encoding",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "upgrade",
            "te",
            "trailer",
            "expect",
            "host",
            "user-agent",
            "accept-encoding",
        ]
        .contains(&name)
}
