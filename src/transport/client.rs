//! Building a client from settings, and sending with it.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, Proxy, RequestBuilder, Url, redirect};

use super::{Answer, BuildError, Failure, Settings, classify};
use crate::files;

/// Largest answer that is read unless the caller says otherwise: far above any page of records that we ask for.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// An HTTP client for one system. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) proxied: bool,
    pub(super) limit_bytes: usize,
}

impl Client {
    /// A client as `settings` describe it.
    ///
    /// # Errors
    /// When a file cannot be read or a setting is not usable.
    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        Ok(Self {
            http: client(settings)?,
            proxied: settings.proxy.is_some() || settings.proxy_file.is_some(),
            limit_bytes: ANSWER_LIMIT_BYTES,
        })
    }

    /// The same client, reading at most this many bytes of an answer (after decompression).
    #[must_use]
    pub fn with_limit_bytes(self, limit_bytes: usize) -> Self {
        Self { limit_bytes, ..self }
    }

    /// A GET request, to be completed and given to [`Client::send`].
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.http.get(url)
    }

    /// A POST request, to be completed and given to [`Client::send`].
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.http.post(url)
    }

    /// Sends a request and reads the whole answer, whatever its status and type.
    ///
    /// # Errors
    /// A [`Failure`] that says how it failed; [`Failure::outcome_unknown`] says whether the request may have arrived.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let request = request.build().map_err(|error| Failure::Connect {
            host: error.url().map(host_of).unwrap_or_default(),
            reason: "the address cannot be used".to_owned(),
        })?;
        let host = host_of(request.url());
        let failed = |error: &reqwest::Error| classify(&host, self.proxied, error);
        let mut response = self.http.execute(request).await.map_err(|e| failed(&e))?;
        let too_large = || Failure::Unreadable {
            host: host.clone(),
            reason: format!("it is larger than {} bytes", self.limit_bytes),
        };
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > self.limit_bytes) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))? {
            if body.len() + chunk.len() > self.limit_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
            host,
        })
    }
}

/// Host and port of an address, for messages.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The plain reqwest client that `settings` describe. [`Client`] is what most callers want.
///
/// # Errors
/// When a file cannot be read or a setting is not usable.
pub fn client(settings: &Settings) -> Result<reqwest::Client, BuildError> {
    let trusted = trusted(settings)?;
    // A minimal machine without any trusted authority can still speak plain HTTP, and TLS with our own authority.
    build(builder(settings)?.tls_certs_merge(trusted.clone()))
        .or_else(|_| build(builder(settings)?.tls_certs_only(trusted)))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, BuildError> {
    builder.build().map_err(|error| BuildError::Invalid {
        what: "the connection's settings".to_owned(),
        reason: reason(&error),
    })
}

/// Everything but the trusted authorities.
pub(super) fn builder(settings: &Settings) -> Result<reqwest::ClientBuilder, BuildError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .tcp_nodelay(true)
        .default_headers(headers(settings)?)
        .connect_timeout(Duration::from_secs(settings.connect_timeout_s.max(1)))
        .timeout(Duration::from_secs(settings.timeout_s.max(1)));
    if let Some((key, address)) = proxy(settings)? {
        // The address may hold a password, so neither it nor the parser's quote of it may be repeated.
        let proxy = Proxy::all(address.trim()).map_err(|_| BuildError::Invalid {
            what: key.to_owned(),
            reason: "it is no address such as http://proxy.example.com:3128".to_owned(),
        })?;
        builder = builder.proxy(proxy);
    }
    if let Some(path) = &settings.client_certificate_file {
        let identity = Identity::from_pem(&read("client_certificate_file", path)?).map_err(|error| {
            BuildError::Invalid {
                what: format!("client_certificate_file {}", path.display()),
                reason: format!(
                    "it must hold a certificate and its private key as PEM ({})",
                    reason(&error)
                ),
            }
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// The proxy's address and the setting that it comes from.
fn proxy(settings: &Settings) -> Result<Option<(&'static str, String)>, BuildError> {
    match (&settings.proxy, &settings.proxy_file) {
        (Some(_), Some(_)) => Err(both("proxy_file", "proxy")),
        (Some(address), None) => Ok(Some(("proxy", address.clone()))),
        (None, Some(path)) => Ok(Some(("proxy_file", read_text("proxy_file", path)?))),
        (None, None) => Ok(None),
    }
}

fn both(file: &str, key: &str) -> BuildError {
    BuildError::Invalid {
        what: file.to_owned(),
        reason: format!("`{key}` is set as well: keep one of the two"),
    }
}

fn headers(settings: &Settings) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        add_header(&mut headers, &format!("header {name}"), name, value)?;
    }
    if let Some(path) = &settings.headers_file {
        let text = read_text("headers_file", path)?;
        // Neither a line nor a name is repeated: what is no header may be a secret.
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let what = format!("headers_file line {}", number + 1);
            let (name, value) = line.split_once(':').ok_or_else(|| BuildError::Invalid {
                what: what.clone(),
                reason: "it must be `Name: value`".to_owned(),
            })?;
            add_header(&mut headers, &what, name.trim(), value.trim())?;
        }
    }
    Ok(headers)
}

fn add_header(headers: &mut HeaderMap, what: &str, name: &str, value: &str) -> Result<(), BuildError> {
    let invalid = |reason: &str| BuildError::Invalid {
        what: what.to_owned(),
        reason: reason.to_owned(),
    };
    let key =
        HeaderName::try_from(name).map_err(|_| invalid("its name has characters that are not allowed"))?;
    let mut value =
        HeaderValue::try_from(value).map_err(|_| invalid("its value has characters that are not allowed"))?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}

fn read_text(key: &'static str, path: &Path) -> Result<String, BuildError> {
    String::from_utf8(read(key, path)?).map_err(|_| BuildError::Invalid {
        what: format!("{key} {}", path.display()),
        reason: "it is no text".to_owned(),
    })
}

fn trusted(settings: &Settings) -> Result<Vec<Certificate>, BuildError> {
    let Some(path) = &settings.ca_file else {
        return Ok(Vec::new());
    };
    let invalid = |reason: String| BuildError::Invalid {
        what: format!("ca_file {}", path.display()),
        reason,
    };
    let certificates =
        Certificate::from_pem_bundle(&read("ca_file", path)?).map_err(|error| invalid(reason(&error)))?;
    if certificates.is_empty() {
        return Err(invalid("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, BuildError> {
    files::read(path).map_err(|source| BuildError::Read {
        key,
        path: path.to_owned(),
        source,
    })
}

/// The innermost cause, which is the only one that says something.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
