//! `[http]` and `[admin]`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::domain::{Network, Role};

/// `[http]`: the public listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where Shopify reaches this listener, e.g. `https://sync.example.com`. Webhooks are sent to `/webhooks/shopify` there.
    pub public_url: Option<String>,
    /// The largest body that is accepted, in bytes; larger ones are answered 413. Shopify sends about 1 MB for large orders.
    pub max_body_bytes: NonZeroUsize,
    /// Connections that are open at once; further ones wait.
    pub max_connections: NonZeroU32,
    /// How long a client may take to send a request's headers, and stay silent between requests, in seconds.
    pub header_timeout_s: NonZeroU64,
    /// How long a client may take to send a request's body, in seconds.
    pub body_timeout_s: NonZeroU64,
    /// What is not durable within this many milliseconds is answered 503, so that Shopify sends it again. Shopify waits
    /// five seconds for the whole answer.
    pub store_within_ms: NonZeroU64,
    /// Bad signatures of a shop in a row that become a problem: after eight failures in a row Shopify deletes the
    /// subscription.
    pub bad_signatures: NonZeroU32,
    /// How long open requests may go on after the daemon was told to stop, in seconds.
    pub stop_within_s: u64,
    /// Who may call what; empty lists mean everybody.
    pub allow_from: AllowFrom,
    /// Reverse proxies whose `X-Forwarded-For` is believed, e.g. `["10.0.0.0/8"]`.
    pub trusted_proxies: Vec<Network>,
}

/// `[http.allow_from]`: client addresses (behind trusted proxies) that may call a route, e.g. `["192.0.2.0/24"]`. Shopify
/// publishes no addresses, so webhooks are restricted only where something stands between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowFrom {
    /// `/webhooks/…`.
    pub webhooks: Vec<Network>,
    /// `/healthz` and `/readyz`.
    pub health: Vec<Network>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            public_url: None,
            max_body_bytes: NonZeroUsize::MIN.saturating_add(5 * 1024 * 1024 - 1),
            max_connections: NonZeroU32::MIN.saturating_add(1023),
            header_timeout_s: NonZeroU64::MIN.saturating_add(9),
            body_timeout_s: NonZeroU64::MIN.saturating_add(9),
            store_within_ms: NonZeroU64::MIN.saturating_add(2999),
            bad_signatures: NonZeroU32::MIN.saturating_add(2),
            stop_within_s: 10,
            allow_from: AllowFrom::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Settings {
    /// How long a client may take for a body.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_s.get())
    }

    /// How long the store may take.
    pub fn store_within(&self) -> Duration {
        Duration::from_millis(self.store_within_ms.get())
    }
}

/// `[admin]`: the listener for operators.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Address and port. Port 0 takes any free one. It speaks plain HTTP and gives its metrics to everybody: anything but this
    /// machine's own address is refused unless `behind_tls` or `allow_insecure_listen` says otherwise.
    pub listen: SocketAddr,
    /// Whether a reverse proxy with TLS stands in front, and nobody reaches the listener but through it. The console's cookies
    /// are sent over TLS only then, and the address may be one that other machines reach.
    pub behind_tls: bool,
    /// Listen on an address that other machines reach, although everybody there can read the metrics and tokens travel
    /// unencrypted. The console lets nobody log in there.
    pub allow_insecure_listen: bool,
    /// Who may log in to the console, by name; `lockstep user add` makes them. Without any, nobody can.
    #[serde(skip_serializing)]
    pub users: BTreeMap<String, UserSettings>,
    /// After so many minutes without a request a person must log in again.
    pub idle_minutes: NonZeroU32,
    /// Tokens that open `/api/v1` (`Authorization: Bearer …`), each at least 16 characters; several while one is being
    /// replaced. One that is written as a text may do everything; `{ token = "…", name = "…", role = "viewer" }` says who it
    /// is and what it may. Without any, only this installation's own commands get in.
    #[serde(skip_serializing)]
    pub tokens: Vec<TokenSettings>,
    /// Files that hold such tokens (for everything); read again when they change.
    pub tokens_files: Vec<PathBuf>,
    /// Whether `/api/v1` wants a token. `false` lets every program of this machine in.
    pub require_token: bool,
}

/// `[admin.users.NAME]`: who may log in to the console.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// The password's hash by Argon2id; `lockstep user add` makes it.
    #[schemars(with = "String")]
    pub password_hash: SecretString,
    /// `viewer` sees, `operator` works with jobs, `admin` changes what is synced.
    pub role: Role,
}

/// A token of the API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "it must be a text in quotes, or a table with token, name and role"
)]
pub enum TokenSettings {
    /// One that may do everything.
    Text(#[schemars(with = "String")] SecretString),
    /// One with a name and a role.
    Named(NamedToken),
}

/// A token that says who shows it and what they may.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedToken {
    /// The token.
    #[schemars(with = "String")]
    pub token: SecretString,
    /// Who shows it, as the audit log names them.
    pub name: String,
    /// What they may.
    pub role: Role,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            behind_tls: false,
            allow_insecure_listen: false,
            users: BTreeMap::new(),
            idle_minutes: NonZeroU32::MIN.saturating_add(59),
            tokens: Vec::new(),
            tokens_files: Vec::new(),
            require_token: true,
        }
    }
}

impl AdminSettings {
    /// Whether the same address is listened on.
    pub fn is_same_listener(&self, other: &Self) -> bool {
        self.listen == other.listen
    }

    /// Whether only this machine reaches the address.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether the address may be listened on.
    pub fn is_allowed(&self) -> bool {
        self.is_loopback() || self.behind_tls || self.allow_insecure_listen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_what_the_documentation_says() {
        let settings = Settings::default();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(settings.max_body_bytes.get(), 5 * 1024 * 1024);
        assert_eq!(settings.max_connections.get(), 1024);
        assert_eq!(settings.header_timeout_s.get(), 10);
        assert_eq!(settings.store_within_ms.get(), 3000);
        assert_eq!(settings.bad_signatures.get(), 3);
        assert_eq!(AdminSettings::default().listen.to_string(), "127.0.0.1:8081");
    }

    #[test]
    fn settings_are_read_strictly() {
        for (text, valid) in [
            ("listen = '[::]:0'\ntrusted_proxies = ['10.0.0.0/8', '::1']", true),
            ("[allow_from]\nwebhooks = ['192.0.2.1']", true),
            ("listen = 'everywhere'", false),
            ("trusted_proxies = ['10.0.0.0/33']", false),
            ("max_body_bytes = 0", false),
            ("max_body = 5", false),
            ("[allow_from]\nmetrics = []", false),
        ] {
            assert_eq!(toml::from_str::<Settings>(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn the_admin_listener_stays_on_this_machine() {
        for (listen, insecure, behind_tls, allowed) in [
            ("127.0.0.1:0", false, false, true),
            ("[::1]:0", false, false, true),
            ("[::ffff:127.0.0.1]:0", false, false, true),
            ("0.0.0.0:0", false, false, false),
            ("[::]:0", false, false, false),
            ("192.0.2.1:0", false, false, false),
            ("0.0.0.0:0", true, false, true),
            ("0.0.0.0:0", false, true, true),
        ] {
            let settings = AdminSettings {
                listen: listen.parse().unwrap(),
                allow_insecure_listen: insecure,
                behind_tls,
                ..AdminSettings::default()
            };
            assert_eq!(settings.is_allowed(), allowed, "{listen} {insecure}");
        }
    }
}
