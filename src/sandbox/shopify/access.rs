//! Tokens of the API and secrets of the app.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::options::Access;

/// Who may call, and what signs webhooks.
#[derive(Debug)]
pub(super) struct Keys {
    static_token: Option<String>,
    client_id: String,
    lifetime: chrono::Duration,
    /// Granted tokens and when they end.
    granted: Vec<(String, DateTime<Utc>)>,
    /// Secrets of the app, the newest last.
    secrets: Vec<String>,
}

impl Keys {
    pub(super) fn new(access: &Access) -> Self {
        Self {
            static_token: access.static_token.clone(),
            client_id: access.client_id.clone(),
            lifetime: chrono::Duration::from_std(access.token_lifetime).unwrap_or(chrono::Duration::days(1)),
            granted: Vec::new(),
            secrets: vec![access.client_secret.clone()],
        }
    }

    /// Whether a request with this token may pass.
    pub(super) fn admits(&self, token: Option<&str>, now: DateTime<Utc>) -> bool {
        let Some(token) = token else { return false };
        self.static_token.as_deref() == Some(token)
            || self
                .granted
                .iter()
                .any(|(known, end)| known == token && *end > now)
    }

    /// The client credentials grant: a new token and its life in seconds.
    pub(super) fn grant(&mut self, id: &str, secret: &str, now: DateTime<Utc>) -> Option<(String, i64)> {
        if id != self.client_id || !self.secrets.iter().any(|s| s == secret) {
            return None;
        }
        let token = format!("shpua_{}", Uuid::new_v4().simple());
        self.granted.retain(|(_, end)| *end > now);
        self.granted.push((token.clone(), now + self.lifetime));
        Some((token, self.lifetime.num_seconds()))
    }

    /// All granted tokens end now.
    pub(super) fn revoke_granted(&mut self) {
        self.granted.clear();
    }

    /// Another token instead of the static one.
    pub(super) fn set_static_token(&mut self, token: Option<String>) {
        self.static_token = token;
    }

    /// A new secret signs from now on; the old one stays valid for granting.
    pub(super) fn rotate(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// Secret that signs webhooks.
    pub(super) fn secret(&self) -> &str {
        self.secrets.last().map_or("", String::as_str)
    }

    /// The secret before the newest; the newest when there was no other.
    pub(super) fn old_secret(&self) -> &str {
        self.secrets
            .iter()
            .rev()
            .nth(1)
            .or_else(|| self.secrets.last())
            .map_or("", String::as_str)
    }
}
