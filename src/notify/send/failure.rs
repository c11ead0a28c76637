//! In which way an attempt failed: a small, stable set of codes, and one plain sentence.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::domain::text_enum;
use crate::notify::guard::Refusal;
use crate::notify::signature::SecretFormError;
use crate::secret::SecretError;
use crate::transport::{self, classify};

text_enum! {
    /// In which way an attempt failed.
    FailureCode, "failure" {
        /// The address may not be sent to.
        AddressRefused = "address_refused",
        /// The name does not resolve.
        NameUnknown = "name_unknown",
        /// Nobody listens there.
        ConnectionRefused = "connection_refused",
        /// No connection within the time allowed.
        ConnectTimeout = "connect_timeout",
        /// No connection for another reason.
        NoConnection = "no_connection",
        /// The receiver's certificate is not trusted, or has expired.
        Certificate = "certificate",
        /// No secure connection: the receiver asks for a client certificate, for example.
        Tls = "tls",
        /// No answer within the time allowed.
        NoAnswer = "no_answer",
        /// The connection was closed before there was an answer.
        ClosedEarly = "closed_early",
        /// What came is no HTTP.
        NotHttp = "not_http",
        /// The answer's headers are endless, or too many.
        HeadersTooLong = "headers_too_long",
        /// It answered with a redirect, which is not followed.
        Redirected = "redirected",
        /// It answered that it did not take the message.
        Status = "status",
        /// It answered that there is nothing any more (410).
        Gone = "gone",
        /// A secret of ours could not be read.
        Secret = "secret",
        /// The body could not be made.
        Body = "body",
    }
}

/// In which way an attempt failed. The sentence names the host, never a path, a query or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As a code.
    pub code: FailureCode,
    /// In one sentence.
    pub sentence: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Failure {}

impl Failure {
    /// A request that got no answer.
    pub(super) fn of(host: &str, timeout: Duration, error: &reqwest::Error) -> Self {
        for cause in causes(error) {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return Self::refused(refusal);
            }
            if cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_parse_too_large)
            {
                return Self {
                    code: FailureCode::HeadersTooLong,
                    sentence: format!("{host} sent headers without end, or more than are read"),
                };
            }
        }
        let failure = classify(host, false, error);
        let code = match &failure {
            transport::Failure::Name { .. } => FailureCode::NameUnknown,
            transport::Failure::ConnectionRefused { .. } => FailureCode::ConnectionRefused,
            transport::Failure::Certificate { .. } => FailureCode::Certificate,
            transport::Failure::Connect { .. } | transport::Failure::Proxy { .. } => {
                FailureCode::NoConnection
            }
            transport::Failure::Tls { .. } => FailureCode::Tls,
            transport::Failure::ConnectTimeout { .. } => FailureCode::ConnectTimeout,
            transport::Failure::Timeout { .. } => return Self::no_answer(host, timeout),
            transport::Failure::Cut { .. } => FailureCode::ClosedEarly,
            transport::Failure::Page { .. }
            | transport::Failure::Status { .. }
            | transport::Failure::Unreadable { .. } => FailureCode::NotHttp,
        };
        Self {
            code,
            sentence: failure.to_string(),
        }
    }

    /// What a status means; none when the message was taken.
    pub(super) fn of_status(host: &str, status: u16) -> Option<Self> {
        let (code, what) = match status {
            200..=299 => return None,
            410 => (
                FailureCode::Gone,
                "that there is nobody any more: the endpoint is paused until somebody makes it active again",
            ),
            401 | 403 => (
                FailureCode::Status,
                "that it does not accept who we are: look at auth and headers",
            ),
            404 => (
                FailureCode::Status,
                "that this address does not exist there: look at url",
            ),
            413 => (FailureCode::Status, "that the body is too large: include less"),
            429 => (FailureCode::Status, "that it gets too much: set rate"),
            500..=599 => (FailureCode::Status, "that it has a fault of its own"),
            _ => (FailureCode::Status, "that it did not take this"),
        };
        Some(Self {
            code,
            sentence: format!("{host} answered HTTP {status}: {what}"),
        })
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self {
            code: FailureCode::AddressRefused,
            sentence: refusal.to_string(),
        }
    }

    pub(super) fn no_answer(host: &str, timeout: Duration) -> Self {
        Self {
            code: FailureCode::NoAnswer,
            sentence: format!(
                "no answer from {host} within {} s: it should answer first and work afterwards, or needs a longer timeout",
                timeout.as_secs_f32()
            ),
        }
    }

    pub(super) fn redirected(host: &str, status: u16, keeps_method: bool) -> Self {
        let why = if keeps_method {
            "redirects are not followed: set url to the new address, or allow redirects"
        } else {
            "such a redirect would drop the body: set url to the new address"
        };
        Self {
            code: FailureCode::Redirected,
            sentence: format!("{host} redirects to another address (HTTP {status}), and {why}"),
        }
    }

    /// A secret whose file cannot be read. `key` is the setting that names it.
    pub(super) fn unreadable(key: &str, error: &SecretError) -> Self {
        let fix = match error {
            SecretError::Read { source, .. } => {
                format!(" ({source}): put it there, or let the user that lockstep runs as read it")
            }
            SecretError::Empty { .. } => ": write the secret into it".to_owned(),
        };
        Self {
            code: FailureCode::Secret,
            sentence: format!("nothing was sent: `{key}`: {error}{fix}; the next try reads it again"),
        }
    }

    /// A secret that is none to sign with. `file` is where it stands, if that is a file.
    pub(super) fn no_key(file: Option<&Path>, error: &SecretFormError) -> Self {
        let (what, fix) = match file {
            Some(path) => (
                format!("the signing secret in {} (`secrets_files`)", path.display()),
                "write the one that the receiver has into the file; the next try reads it again",
            ),
            None => (
                "a signing secret in `secrets`".to_owned(),
                "take the one that the receiver has",
            ),
        };
        Self {
            code: FailureCode::Secret,
            sentence: format!("nothing was sent: {what} cannot be used ({error}): {fix}"),
        }
    }

    /// A body that could not be made.
    pub fn body(error: &crate::notify::RenderError) -> Self {
        Self {
            code: FailureCode::Body,
            sentence: error.to_string(),
        }
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        // An I/O error that wraps another error shows that one's text but hides it from `source`.
        next = match cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        Some(cause)
    })
}
