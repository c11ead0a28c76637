//! Outgoing connections: how a system is reached, and in which ways that fails.
//!
//! Both sides (Shopify and the ERP) are reached through clients that are built here, so that a private certificate, a
//! proxy or a slow line is configured in the same words, and every failure gets a message that names its cause.
//!
//! What it promises: redirects are never followed, environment variables never choose a proxy, nothing is sent twice
//! (a request that may have arrived is never repeated here), an answer is read up to a limit and no further.
//! Deliberately absent: retries, pace and authentication, which belong to the clients of each system.

mod answer;
mod classify;
mod client;
mod download;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

pub use answer::{Answer, parse_retry_after};
pub use classify::classify;
pub use client::{Client, client};
pub use download::{Download, Downloads};

/// How a system is reached. All optional. `Debug` and `Serialize` show neither the headers' values nor the proxy's
/// password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// PEM file with certificates to trust besides the operating system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate and its private key.
    pub client_certificate_file: Option<PathBuf>,
    /// Outbound proxy, e.g. `http://proxy.example.com:3128`.
    #[serde(serialize_with = "without_password")]
    pub proxy: Option<String>,
    /// File that holds the proxy's address, for one with a password; read when the daemon starts or takes up its files.
    pub proxy_file: Option<PathBuf>,
    /// Headers sent with every request, e.g. for a gateway in front of the ERP.
    #[serde(serialize_with = "names_only")]
    pub headers: BTreeMap<String, String>,
    /// File with more such headers, one `Name: value` on each line; read like `proxy_file`.
    pub headers_file: Option<PathBuf>,
    /// Seconds to wait for a connection.
    pub connect_timeout_s: u64,
    /// Seconds to wait for a whole answer. Odoo finishes what it began: a write should be given more than its 120 s.
    pub timeout_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: None,
            client_certificate_file: None,
            proxy: None,
            proxy_file: None,
            headers: BTreeMap::new(),
            headers_file: None,
            connect_timeout_s: 10,
            timeout_s: 130,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("ca_file", &self.ca_file)
            .field("client_certificate_file", &self.client_certificate_file)
            .field("proxy", &self.proxy.as_deref().map(hide_password))
            .field("proxy_file", &self.proxy_file)
            .field("headers", &self.headers.keys())
            .field("headers_file", &self.headers_file)
            .field("connect_timeout_s", &self.connect_timeout_s)
            .field("timeout_s", &self.timeout_s)
            .finish()
    }
}

/// An address without the user and password that may stand in it.
fn hide_password(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() {
        rest.to_owned()
    } else {
        format!("{scheme}://{rest}")
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn without_password<S: Serializer>(proxy: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    proxy.as_deref().map(hide_password).serialize(serializer)
}

fn names_only<S: Serializer>(headers: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.keys().map(|name| (name, "(hidden)")))
}

/// Settings from which no client can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The setting that names it, e.g. `ca_file`.
        key: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file, an address or a header is not what it should be.
    #[error("{what} is not usable: {reason}")]
    Invalid {
        /// The setting.
        what: String,
        /// Why.
        reason: String,
    },
}

impl BuildError {
    /// The key of [`Settings`] that is at fault, where it is one.
    pub fn key(&self) -> Option<&'static str> {
        const KEYS: [&str; 6] = [
            "ca_file",
            "client_certificate_file",
            "proxy",
            "proxy_file",
            "headers",
            "headers_file",
        ];
        match self {
            Self::Read { key, .. } => Some(key),
            Self::Invalid { what, .. } => {
                let first = what.split(' ').next().unwrap_or_default();
                let first = if first == "header" { "headers" } else { first };
                KEYS.into_iter().find(|key| *key == first)
            }
        }
    }
}

/// In which way reaching a system failed. Messages name the host, never a path, a query or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name does not resolve.
    #[error("the name {host} is not known")]
    Name {
        /// Host.
        host: String,
    },
    /// Nobody listens there.
    #[error("{host} refused the connection")]
    ConnectionRefused {
        /// Host and port.
        host: String,
    },
    /// The certificate is not trusted.
    #[error("{host} showed a certificate that is not trusted: {reason}")]
    Certificate {
        /// Host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection for another reason: no route, or it broke while it was made. Nothing was sent.
    #[error("no connection to {host}: {reason}")]
    Connect {
        /// Host.
        host: String,
        /// What the operating system says.
        reason: String,
    },
    /// The two sides do not agree on a secure connection. Nothing was sent.
    #[error("{host} and lockstep cannot agree on a secure connection: {reason}")]
    Tls {
        /// Host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The proxy failed.
    #[error("the proxy could not reach {host}: {reason}")]
    Proxy {
        /// Host.
        host: String,
        /// What it said.
        reason: String,
    },
    /// No connection within the time allowed.
    #[error("no connection to {host} within the time allowed")]
    ConnectTimeout {
        /// Host.
        host: String,
    },
    /// No answer within the time allowed; the request may have been carried out.
    #[error("no answer from {host} within the time allowed")]
    Timeout {
        /// Host.
        host: String,
    },
    /// The connection broke after the request was sent; the request may have been carried out.
    #[error("{host} closed the connection before it answered")]
    Cut {
        /// Host.
        host: String,
    },
    /// An html page (a login form, a proxy's error) where data was due.
    #[error(
        "{host} answered with a web page instead of data (HTTP {status}): a login page, a proxy, or the wrong address"
    )]
    Page {
        /// Host.
        host: String,
        /// HTTP status.
        status: u16,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// A status that says nothing else.
    #[error("{host} answered with HTTP {status}")]
    Status {
        /// Host.
        host: String,
        /// HTTP status.
        status: u16,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// An answer larger than we accept, or not readable.
    #[error("{host} sent an answer that cannot be read: {reason}")]
    Unreadable {
        /// Host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Failure {
    /// Whether the request may have been carried out all the same.
    pub const fn outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Cut { .. } | Self::Unreadable { .. }
        ) || matches!(self, Self::Page { status, .. } | Self::Status { status, .. } if *status == 502 || *status == 504)
    }

    /// How long the other side asked to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Page { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
