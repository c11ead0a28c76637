//! What must be known of an endpoint to send to it.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use super::is_reserved;
use crate::notify::signature::HmacEncoding;
use crate::secret::{Secret, SecretError};

/// Where to send, and how. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address. It may hold a secret itself.
    pub url: Secret,
    /// Whether plain http is allowed.
    pub allow_http: bool,
    /// How many redirects are followed.
    pub redirects: u8,
    /// How long a whole attempt may take.
    pub timeout: Duration,
    /// How long connecting may take of that.
    pub connect_timeout: Duration,
    /// Secrets that sign, all of them.
    pub secrets: Vec<Secret>,
    /// For how long the content that a secret's file had before signs, too. That content is known only as long as the process
    /// runs, and over new settings only by [`Endpoint::carry_over`](crate::notify::Endpoint::carry_over), and it is the last one
    /// only: a mistake that is written in between and corrected takes its place (and signs nothing). Two secrets side by
    /// side are the sure way.
    pub rotation: Duration,
    /// A plain HMAC beside the signature.
    pub hmac: Option<HmacHeader>,
    /// How lockstep identifies itself.
    pub auth: Option<Auth>,
    /// More headers, made by [`header`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Client certificate and key, PEM.
    pub client_certificate_file: Option<PathBuf>,
    /// Authorities to trust besides the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Connections that are kept open while nothing is sent.
    pub idle_connections: usize,
}

/// A plain HMAC under a header of its own.
#[derive(Clone, Debug)]
pub struct HmacHeader {
    /// Name.
    pub header: HeaderName,
    /// How it is written.
    pub encoding: HmacEncoding,
    /// What stands before it.
    pub prefix: String,
    /// Its key.
    pub secret: Secret,
}

/// How lockstep identifies itself.
#[derive(Clone, Debug)]
pub enum Auth {
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
}

impl Auth {
    /// The setting that names its file.
    pub(super) const fn file_key(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "auth.password_file",
            Self::Bearer(_) => "auth.bearer_file",
        }
    }

    /// The header's value, and the secret in it.
    pub(super) fn header(&self) -> Result<(String, String), SecretError> {
        Ok(match self {
            Self::Basic { user, password } => {
                let secret = password.current()?.expose_secret().to_owned();
                let code = STANDARD.encode(format!("{user}:{secret}"));
                (format!("Basic {code}"), secret)
            }
            Self::Bearer(token) => {
                let secret = token.current()?.expose_secret().to_owned();
                (format!("Bearer {secret}"), secret)
            }
        })
    }
}

/// A header of one's own. Its value is taken for a secret.
///
/// # Errors
/// Why it cannot be sent, in one sentence that does not quote the value.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let key: HeaderName = name
        .parse()
        .map_err(|_| format!("`{name}` is no name of a header: letters, digits and dashes"))?;
    if is_reserved(key.as_str()) {
        return Err(format!("`{name}` is set by lockstep itself"));
    }
    if key == reqwest::header::AUTHORIZATION {
        return Err("`Authorization` is set by auth: give user and password, or bearer, there".to_owned());
    }
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of `{name}` has a character that headers cannot hold"))?;
    value.set_sensitive(true);
    Ok((key, value))
}
