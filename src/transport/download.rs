//! Large files that a system refers to, read piece by piece.
//!
//! They lie with strangers (a storage service), under addresses that are the permission themselves. So nothing of ours goes
//! along: no extra headers, no client certificate, no token. A file may take as long as it likes, but not be silent for long.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::timeout;

use super::client::{client, host_of};
use super::{BuildError, Failure, Settings, classify};

/// No file takes longer in all.
const LONGEST: Duration = Duration::from_hours(24);

/// A client for files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Downloads {
    http: reqwest::Client,
    proxied: bool,
}

/// A file under way.
#[derive(Debug)]
pub struct Download {
    response: Response,
    host: String,
    proxied: bool,
    silence: Duration,
}

impl Downloads {
    /// A client that reaches the world as `settings` say, without what they add for one system.
    ///
    /// # Errors
    /// When a file cannot be read or a setting is not usable.
    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        let plain = Settings {
            headers: Default::default(),
            headers_file: None,
            client_certificate_file: None,
            ..settings.clone()
        };
        Ok(Self {
            http: client(&plain)?,
            proxied: settings.proxy.is_some() || settings.proxy_file.is_some(),
        })
    }

    /// Begins to read a file, whatever the status of the answer; it fails when nothing comes for as long as `silence`.
    ///
    /// # Errors
    /// A [`Failure`] that says how it failed; messages do not hold the address.
    pub async fn open(&self, url: &str, silence: Duration) -> Result<Download, Failure> {
        let request = self.http.get(url).timeout(LONGEST);
        let request = request.build().map_err(|_| Failure::Connect {
            host: String::new(),
            reason: "the address cannot be used".to_owned(),
        })?;
        let host = host_of(request.url());
        let response = match timeout(silence, self.http.execute(request)).await {
            Ok(answered) => answered.map_err(|error| classify(&host, self.proxied, &error))?,
            Err(_) => return Err(Failure::Timeout { host }),
        };
        Ok(Download {
            response,
            host,
            proxied: self.proxied,
            silence,
        })
    }
}

impl Download {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Who answered, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The next piece, decompressed; none at the end of the file.
    ///
    /// # Errors
    /// When the connection breaks, ends before the length that was announced, or is silent for too long.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        match timeout(self.silence, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| classify(&self.host, self.proxied, &error)),
            Err(_) => Err(Failure::Timeout {
                host: self.host.clone(),
            }),
        }
    }
}
