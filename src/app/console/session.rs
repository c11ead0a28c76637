//! Sessions: what the browser keeps, and whom it stands for.
//!
//! The cookie is 32 random bytes; the store has only their hash. What an account may is looked up at each request, so that
//! one that is taken away, or has another password, is out at once. The token in forms is made of the cookie, so that
//! nobody has it who has not seen a page of this session.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::Console;
use crate::config::Config;
use crate::domain::{Role, SharedEntropy};
use crate::store::{SessionRow, StoreError};

/// However busy, a session ends after this.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// How often it is noted that a session is in use.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Who looks at a page.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The account.
    pub(super) name: String,
    /// What it may.
    pub(super) role: Role,
    /// What forms of this session show.
    pub(super) form_token: String,
    /// The session in the store.
    pub(super) session: String,
}

/// The cookie's name. `__Host-` has browsers refuse it from anywhere but this very host over TLS.
pub(super) const fn cookie_name(behind_tls: bool) -> &'static str {
    if behind_tls { "__Host-lockstep" } else { "lockstep" }
}

/// What has a browser keep this; nothing has it forget.
pub(super) fn set_cookie(behind_tls: bool, value: Option<&str>) -> Option<HeaderValue> {
    let name = cookie_name(behind_tls);
    let secure = if behind_tls { "; Secure" } else { "" };
    let end = if value.is_some() { "" } else { "; Max-Age=0" };
    let value = value.unwrap_or_default();
    HeaderValue::from_str(&format!(
        "{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}"
    ))
    .ok()
}

/// What the browser shows.
pub(super) fn shown_cookie(headers: &HeaderMap, behind_tls: bool) -> Option<String> {
    let name = cookie_name(behind_tls);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && value.len() == 64)
        .map(|(_, value)| value.to_owned())
}

fn hash(purpose: &str, text: &str) -> String {
    hex::encode(Sha256::digest(format!("{purpose}:{text}")))
}

/// What a session's row remembers of a password.
fn stamp(password_hash: &str) -> String {
    hash("password", password_hash)
}

/// What nobody can guess: 32 bytes.
fn fresh(entropy: &SharedEntropy) -> String {
    hex::encode([entropy.bytes(), entropy.bytes()].concat())
}

impl Console {
    /// How long a session may be idle.
    fn idle(config: &Config) -> Duration {
        Duration::from_secs(60 * u64::from(config.admin.idle_minutes.get()))
    }

    /// Whom the browser stands for.
    pub(super) async fn visitor(
        &self,
        config: &Config,
        headers: &HeaderMap,
    ) -> Result<Option<Visitor>, StoreError> {
        let Some(cookie) = shown_cookie(headers, config.admin.behind_tls) else {
            return Ok(None);
        };
        let id = hash("session", &cookie);
        let Some(row) = self.api.store.session(&id).await? else {
            return Ok(None);
        };
        let now = self.api.clock.now();
        let unused = now.since(row.seen_at);
        let user = config.admin.users.get(&row.account);
        let user = user.filter(|user| stamp(user.password_hash.expose_secret()) == row.stamp);
        let Some(user) = user else {
            return Ok(None);
        };
        if unused > Self::idle(config) || now.since(row.created_at) > LONGEST {
            return Ok(None);
        }
        // A session of one minute is noted more often; and a store that cannot write locks nobody out of what can be read.
        if unused > NOTED_EVERY.min(Self::idle(config) / 4)
            && let Err(error) = self.api.store.see_session(&id, now).await
        {
            tracing::warn!(%error, "that a session was used could not be noted");
        }
        Ok(Some(Visitor {
            name: row.account,
            role: user.role,
            form_token: hash("form", &cookie),
            session: id,
        }))
    }

    /// Begins a session under a name that nobody knew before; the one that the browser showed ends. Returns the cookie.
    pub(super) async fn begin(
        &self,
        config: &Config,
        account: &str,
        password_hash: &str,
        headers: &HeaderMap,
    ) -> Result<String, StoreError> {
        if let Some(old) = shown_cookie(headers, config.admin.behind_tls) {
            self.api.store.close_session(&hash("session", &old)).await?;
        }
        let cookie = fresh(&self.entropy);
        let now = self.api.clock.now();
        let row = SessionRow {
            id: hash("session", &cookie),
            account: account.to_owned(),
            stamp: stamp(password_hash),
            created_at: now,
            seen_at: now,
        };
        self.api
            .store
            .open_session(row, now.minus(Self::idle(config)))
            .await?;
        Ok(cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_for_this_host_and_no_script() {
        let value = "a".repeat(64);
        let cookie = set_cookie(true, Some(&value)).unwrap();
        assert_eq!(
            cookie.to_str().unwrap(),
            format!("__Host-lockstep={value}; Path=/; HttpOnly; SameSite=Strict; Secure")
        );
        let plain = set_cookie(false, Some(&value)).unwrap();
        assert_eq!(
            plain.to_str().unwrap(),
            format!("lockstep={value}; Path=/; HttpOnly; SameSite=Strict")
        );
        assert!(
            set_cookie(false, None)
                .unwrap()
                .to_str()
                .unwrap()
                .ends_with("Max-Age=0")
        );
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("other=1; lockstep={value}").parse().unwrap());
        assert_eq!(shown_cookie(&headers, false), Some(value));
        assert_eq!(shown_cookie(&headers, true), None, "not the plain one behind TLS");
    }
}
