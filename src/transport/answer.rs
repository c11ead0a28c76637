//! An answer that was read completely, and what its headers say.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::Failure;
use crate::domain::Timestamp;

/// The longest patience that is granted: a wrong clock on the other side must not park work for years.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// An answer with its whole body. `Debug` shows no content.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) host: String,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("host", &self.host)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// A header's value, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as it came, decompressed.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The host that answered, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How long the other side asks to wait.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        parse_retry_after(self.headers.get(RETRY_AFTER)?.to_str().ok()?, now)
    }

    /// The body, if it is JSON by its type and the answer is no redirect.
    ///
    /// # Errors
    /// [`Failure::Page`] for everything else: a login form, a proxy's error page, a redirect to either;
    /// [`Failure::Proxy`] when a proxy asks for a login.
    pub fn json(&self, now: Timestamp) -> Result<&[u8], Failure> {
        if self.status == 407 {
            return Err(Failure::Proxy {
                host: self.host.clone(),
                reason: "it asks for a login (HTTP 407)".to_owned(),
            });
        }
        if (300..400).contains(&self.status) || !self.is_json() {
            return Err(Failure::Page {
                host: self.host.clone(),
                status: self.status,
                retry_after: self.retry_after(now),
            });
        }
        Ok(&self.body)
    }

    /// The failure that this answer is when its status says all there is to say.
    pub fn failure(&self, now: Timestamp) -> Failure {
        match self.json(now) {
            Err(failure) => failure,
            Ok(_) => Failure::Status {
                host: self.host.clone(),
                status: self.status,
                retry_after: self.retry_after(now),
            },
        }
    }

    /// Whether the content type is `application/json` or `application/*+json`, with any parameters.
    fn is_json(&self) -> bool {
        let Some(kind) = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
        else {
            return false;
        };
        let essence = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    }
}

/// Reads a `Retry-After` header (RFC 9110, section 10.2.3): seconds, fractions included as Shopify sends them, or one of
/// the three forms of an HTTP date. A date that has passed means no wait. At most one day is granted.
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .ok()
            .map(|wait| wait.min(LONGEST_WAIT));
    }
    let at = DateTime::parse_from_rfc2822(text)
        .map(|date| date.timestamp_millis())
        .or_else(|_| {
            let known = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
            known
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
                .map(|date| date.and_utc().timestamp_millis())
                .ok_or(())
        })
        .ok()?;
    Some(Timestamp::from_millis(at).since(now).min(LONGEST_WAIT))
}
