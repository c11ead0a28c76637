//! The client of one endpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::{Certificate, Identity, redirect};

use super::Target;
use crate::domain::Network;
use crate::files;
use crate::notify::guard::{Guard, GuardedNames, system_names};

/// The most headers of an answer that are read: more is no answer.
const MOST_HEADERS: usize = 100;

/// How long a connection that is not used is kept: receivers close theirs after a minute or so.
const IDLE: Duration = Duration::from_secs(30);

/// Sends to one endpoint. Cheap to clone; clones share their connections. Certificates are read when it is made: whoever keeps it
/// makes a new one when their files change, as the daemon does, which takes up its configuration anew then.
#[derive(Clone, Debug)]
pub struct Sender {
    pub(super) target: Arc<Target>,
    pub(super) guard: Guard,
    pub(super) http: reqwest::Client,
    /// The same without lockstep's certificate, for hosts that a redirect leads to: it is shown to the endpoint's own and to no
    /// other.
    pub(super) elsewhere: reqwest::Client,
}

/// An endpoint that cannot be sent to.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be read.
    #[error("{key}: cannot read {path}")]
    Read {
        /// The setting.
        key: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{key}: it must hold {expected} as PEM")]
    NoPem {
        /// The setting.
        key: &'static str,
        /// What is expected.
        expected: &'static str,
    },
    /// The certificates do not work together.
    #[error("the connection's settings cannot be used")]
    Client(#[source] reqwest::Error),
}

impl Sender {
    /// A sender to `target`; `allowed` are networks that may be sent to although they are not public.
    ///
    /// # Errors
    /// When a certificate cannot be read or used.
    pub fn new(target: Target, allowed: &[Network]) -> Result<Self, BuildError> {
        Self::with_names(target, allowed, system_names())
    }

    /// The same with other names than the operating system's.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub fn with_names(
        target: Target,
        allowed: &[Network],
        names: Arc<dyn Resolve>,
    ) -> Result<Self, BuildError> {
        let guard = Guard::new(allowed.to_vec(), target.allow_http);
        let names = GuardedNames::new(guard.clone(), names);
        let trusted = trusted(&target)?;
        let http = client(&target, &names, &trusted, identity(&target)?)?;
        let elsewhere = if target.client_certificate_file.is_some() && target.redirects > 0 {
            client(&target, &names, &trusted, None)?
        } else {
            http.clone()
        };
        Ok(Self {
            target: Arc::new(target),
            guard,
            http,
            elsewhere,
        })
    }
}

fn client(
    target: &Target,
    names: &GuardedNames,
    trusted: &[Certificate],
    identity: Option<Identity>,
) -> Result<reqwest::Client, BuildError> {
    let builder = || {
        let builder = builder(target, names.clone());
        match identity.clone() {
            Some(identity) => builder.identity(identity),
            None => builder,
        }
    };
    // A minimal machine without any trusted authority can still reach a receiver of one's own authority.
    builder()
        .tls_certs_merge(trusted.iter().cloned())
        .build()
        .or_else(|error| {
            if trusted.is_empty() {
                return Err(error);
            }
            builder().tls_certs_only(trusted.iter().cloned()).build()
        })
        .map_err(BuildError::Client)
}

fn builder(target: &Target, names: GuardedNames) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
        // Followed by hand: each hop is guarded, and keeps the method.
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .tcp_nodelay(true)
        // A few bytes of the answer are wanted, and no compressed bomb.
        .no_gzip()
        .http1_only()
        .http1_max_headers(MOST_HEADERS)
        .connect_timeout(target.connect_timeout.min(target.timeout))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(target.idle_connections)
        .dns_resolver(Arc::new(names))
}

/// What lockstep shows of itself.
fn identity(target: &Target) -> Result<Option<Identity>, BuildError> {
    const KEY: &str = "client_certificate_file";
    let Some(path) = &target.client_certificate_file else {
        return Ok(None);
    };
    let identity = Identity::from_pem(&read(KEY, path)?).map_err(|_| BuildError::NoPem {
        key: KEY,
        expected: "a certificate and its private key",
    })?;
    Ok(Some(identity))
}

fn trusted(target: &Target) -> Result<Vec<Certificate>, BuildError> {
    const KEY: &str = "ca_file";
    let Some(path) = &target.ca_file else {
        return Ok(Vec::new());
    };
    let no_pem = || BuildError::NoPem {
        key: KEY,
        expected: "one or more certificates",
    };
    let found = Certificate::from_pem_bundle(&read(KEY, path)?).map_err(|_| no_pem())?;
    if found.is_empty() {
        return Err(no_pem());
    }
    Ok(found)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, BuildError> {
    files::read(path).map_err(|source| BuildError::Read {
        key,
        path: path.to_owned(),
        source,
    })
}
