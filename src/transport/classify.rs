//! In which way a request failed.
//!
//! reqwest tells little by type: whether a connection was being made, whether time ran out, whether the name was the
//! matter. The rest is read from the chain of causes: I/O errors by their kind, TLS errors by their text, since the TLS
//! library's own types are not part of reqwest's interface. The tests produce each failure with real sockets, so that a
//! changed text cannot go unnoticed.

use std::error::Error;
use std::io;

use super::Failure;

/// Says in which way `error` failed; `proxied` tells that the request went through a declared proxy.
pub fn classify(host: &str, proxied: bool, error: &reqwest::Error) -> Failure {
    let host = host.to_owned();
    if let Some(tls) = tls_failure(&host, error) {
        return tls;
    }
    if !error.is_connect() {
        return match error {
            e if e.is_timeout() => Failure::Timeout { host },
            e if e.is_builder() => Failure::Connect {
                host,
                reason: "the address cannot be used".to_owned(),
            },
            // Decoding fails for a broken compression as well as for a connection that ends in the middle.
            e if e.is_decode() && io_kind(e).is_none_or(|kind| kind == io::ErrorKind::InvalidData) => {
                Failure::Unreadable {
                    host,
                    reason: "it is not valid HTTP content".to_owned(),
                }
            }
            e if causes(e).any(|cause| {
                cause
                    .downcast_ref::<hyper::Error>()
                    .is_some_and(hyper::Error::is_parse)
            }) =>
            {
                Failure::Unreadable {
                    host,
                    reason: "it is not HTTP".to_owned(),
                }
            }
            _ => Failure::Cut { host },
        };
    }
    if proxied {
        let reason = match innermost(error) {
            _ if error.is_dns() => "the proxy's own name is not known".to_owned(),
            _ if error.is_timeout() => "it did not answer within the time allowed".to_owned(),
            reason => reason,
        };
        return Failure::Proxy { host, reason };
    }
    match io_kind(error) {
        _ if error.is_dns() => Failure::Name { host },
        _ if error.is_timeout() => Failure::ConnectTimeout { host },
        Some(io::ErrorKind::ConnectionRefused) => Failure::ConnectionRefused { host },
        _ => Failure::Connect {
            host,
            reason: innermost(error),
        },
    }
}

/// A failure that the TLS library's text tells of.
fn tls_failure(host: &str, error: &reqwest::Error) -> Option<Failure> {
    let host = host.to_owned();
    causes(error).find_map(|cause| {
        let text = cause.to_string();
        if let Some(reason) = text.strip_prefix("invalid peer certificate: ") {
            return Some(Failure::Certificate {
                host: host.clone(),
                reason: certificate_reason(reason),
            });
        }
        let reason = if text.starts_with("received corrupt message") {
            "it does not answer in TLS: is the address http instead of https?".to_owned()
        } else if let Some(alert) = text.strip_prefix("received fatal alert: ") {
            match alert {
                "CertificateRequired"
                | "BadCertificate"
                | "HandshakeFailure"
                | "CertificateUnknown"
                | "UnknownCA"
                | "UnknownCa"
                | "AccessDenied" => {
                    format!(
                        "it refuses us ({alert}): it may ask for a client certificate, or not accept ours"
                    )
                }
                _ => alert.to_owned(),
            }
        } else if text.starts_with("peer is incompatible") {
            text
        } else {
            return None;
        };
        Some(Failure::Tls {
            host: host.clone(),
            reason,
        })
    })
}

/// The TLS library's reason, with what to do about the usual ones.
fn certificate_reason(reason: &str) -> String {
    if reason.starts_with("UnknownIssuer") {
        "its issuer is not known here; name the issuer's certificate in ca_file".to_owned()
    } else if reason.starts_with("Expired") || reason.contains("expired") {
        format!("it has expired, or this machine's clock is wrong ({reason})")
    } else {
        reason.to_owned()
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        // An I/O error that wraps another error shows that one's text but hides it from `source`.
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        Some(cause)
    })
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .last()
}

fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}
