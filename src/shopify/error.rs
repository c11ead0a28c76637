//! In which ways Shopify fails us, and what each of them means for the job.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bulk::BulkError;
use super::normalise::NormaliseError;
use crate::domain::{Disposition, Refusal, System};
use crate::secret::SecretError;
use crate::transport::Failure;

/// How long a record that changes all the time is left alone.
const SETTLING: Duration = Duration::from_mins(1);

/// How long a question is left alone that was throttled without a word on how long.
const THROTTLED: Duration = Duration::from_secs(30);

/// Codes of user errors that pass by themselves.
const PASSING: [&str; 4] = [
    "IDEMPOTENCY_CONCURRENT_REQUEST",
    "INTERNAL_ERROR",
    "GENERIC_ERROR",
    "JOB_ERROR",
];

/// Shopify's number of an answer (`X-Request-Id`), which its support asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestId(pub Option<String>);

/// ` (request …)`, or nothing.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// A question to Shopify that has no usable answer. Messages hold no secrets and no customer data.
#[derive(Debug, thiserror::Error)]
pub enum ShopifyError {
    /// No answer, or nothing that could be one.
    #[error(transparent)]
    Transport(#[from] Failure),
    /// Our own secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The token is refused, a renewed one too.
    #[error("Shopify refuses the access token{request}")]
    Unauthorized {
        /// Request.
        request: RequestId,
    },
    /// Shopify gives no token for the client id and secret.
    #[error("Shopify gives no access token for the client id and secret: {reason}{request}")]
    NoToken {
        /// What it says.
        reason: String,
        /// Request.
        request: RequestId,
    },
    /// The shop is frozen, locked, closed to us, or inactive.
    #[error("the shop does not serve us: {reason}{request}")]
    ShopUnavailable {
        /// What it says.
        reason: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
        /// Request.
        request: RequestId,
    },
    /// There is no such shop, or it does not serve this API version.
    #[error("there is no such shop, or it does not know the API version (HTTP 404){request}")]
    NoSuchShop {
        /// Request.
        request: RequestId,
    },
    /// Too many or too costly questions at once.
    #[error("Shopify asks for patience: {reason}{request}")]
    Throttled {
        /// Which limit.
        reason: &'static str,
        /// When it may be tried again.
        retry_after: Option<Duration>,
        /// Request.
        request: RequestId,
    },
    /// Our own line before the shop's cost bucket is too long; nothing was sent.
    #[error("the cost bucket of the shop is empty and others wait for it, too")]
    InLine {
        /// When it is worth to come back.
        after: Duration,
    },
    /// One question costs more than Shopify ever allows; no patience helps.
    #[error("the query {operation} costs {cost} points, Shopify allows {limit}{request}")]
    TooExpensive {
        /// The document.
        operation: &'static str,
        /// Its cost.
        cost: String,
        /// The limit.
        limit: String,
        /// Request.
        request: RequestId,
    },
    /// The token lacks a scope, or the app lacks the approval to see a field that is needed.
    #[error("the access token gives no access to {path}: Shopify asks for {needed}{request}")]
    AccessDenied {
        /// What was asked for, as a path of the query.
        path: String,
        /// What Shopify asks for.
        needed: String,
        /// Request.
        request: RequestId,
    },
    /// Shopify failed inside.
    #[error("Shopify failed inside: {reason}{request}")]
    Internal {
        /// What it says.
        reason: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
        /// Request.
        request: RequestId,
    },
    /// Shopify does not understand the question: this version of lockstep does not fit the API version.
    #[error("Shopify does not accept the query {operation} ({code}): {reason}{request}")]
    Refused {
        /// The document.
        operation: &'static str,
        /// Shopify's code, or the HTTP status.
        code: String,
        /// What it says.
        reason: String,
        /// Request.
        request: RequestId,
    },
    /// A write was understood and not carried out (`userErrors`).
    #[error("Shopify did not carry out {operation}: {reason}{request}")]
    Rejected {
        /// The document.
        operation: &'static str,
        /// Field, message and code of each error.
        reason: String,
        /// The first error's code, if it has one.
        code: Option<String>,
        /// Each error in our words, where the write is one of a record.
        refusals: Vec<Refusal>,
        /// Request.
        request: RequestId,
    },
    /// A value that the shop cannot take; nothing was sent.
    #[error("{field}: {reason}")]
    NotWritable {
        /// Our name of the field.
        field: String,
        /// Why.
        reason: String,
    },
    /// A search did not mean what we meant: Shopify ignored a part of it and would have matched everything.
    #[error("Shopify ignored a part of the search in {operation}: {reason}{request}")]
    SearchIgnored {
        /// The document.
        operation: &'static str,
        /// What it says.
        reason: String,
        /// Request.
        request: RequestId,
    },
    /// The answer lacks what was asked for, without saying why.
    #[error("Shopify's answer to {operation} is incomplete: {reason}{request}")]
    Incomplete {
        /// The document.
        operation: &'static str,
        /// What is missing.
        reason: String,
        /// Request.
        request: RequestId,
    },
    /// The record changed again and again while its pages were read.
    #[error("the record changed while it was read, {tries} times in a row")]
    KeepsChanging {
        /// How often it was tried.
        tries: u32,
    },
    /// The record was read whole, and cannot be made canonical.
    #[error(transparent)]
    Normalise(#[from] NormaliseError),
    /// A bulk operation gave no whole result.
    #[error(transparent)]
    Bulk(#[from] BulkError),
    /// What became of a question that was asked together with others.
    #[error(transparent)]
    Shared(Arc<ShopifyError>),
}

impl ShopifyError {
    /// What the failure means for the job.
    pub fn disposition(&self) -> Disposition {
        let down = |retry_after: Option<Duration>| Disposition::SystemDown {
            system: System::Shopify,
            retry_after,
        };
        let later = |retry_after: Option<Duration>| Disposition::Transient { retry_after };
        match self {
            Self::Transport(failure) => of_failure(failure),
            Self::Shared(error) => error.disposition(),
            Self::Bulk(error) => error.disposition(),
            Self::Secret(_) | Self::Unauthorized { .. } | Self::NoToken { .. } | Self::NoSuchShop { .. } => {
                down(None)
            }
            Self::ShopUnavailable { retry_after, .. } => down(*retry_after),
            Self::Internal { retry_after, .. } => later(*retry_after),
            Self::Incomplete { .. } => later(None),
            // Nobody failed: none of these burns an attempt. What was throttled was not carried out.
            Self::Throttled { retry_after, .. } => Disposition::NotYet {
                after: retry_after.unwrap_or(THROTTLED),
            },
            Self::InLine { after } => Disposition::NotYet { after: *after },
            Self::KeepsChanging { .. } => Disposition::NotYet { after: SETTLING },
            // The same call is under way, or Shopify failed inside.
            Self::Rejected { code: Some(code), .. } if PASSING.contains(&code.as_str()) => later(None),
            Self::TooExpensive { .. }
            | Self::AccessDenied { .. }
            | Self::Refused { .. }
            | Self::Rejected { .. }
            | Self::NotWritable { .. }
            | Self::SearchIgnored { .. }
            | Self::Normalise(_) => Disposition::Permanent,
        }
    }

    /// A stable name of the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Transport(failure) => match failure {
                Failure::Timeout { .. } | Failure::Cut { .. } => "shopify_no_answer",
                Failure::Page { .. } | Failure::Status { .. } | Failure::Unreadable { .. } => {
                    "shopify_unreadable_answer"
                }
                _ => "shopify_unreachable",
            },
            Self::Secret(_) => "secret_unreadable",
            Self::Unauthorized { .. } | Self::NoToken { .. } => "shopify_credentials_refused",
            Self::ShopUnavailable { .. } => "shop_unavailable",
            Self::NoSuchShop { .. } => "shop_not_found",
            Self::Throttled { .. } | Self::InLine { .. } => "shopify_throttled",
            Self::TooExpensive { .. } => "shopify_query_too_expensive",
            Self::AccessDenied { .. } => "shopify_scope_missing",
            Self::Internal { .. } => "shopify_internal_error",
            Self::Refused { .. } => "shopify_query_refused",
            Self::Rejected { .. } => "shopify_write_rejected",
            Self::NotWritable { .. } => "shopify_value_not_writable",
            Self::SearchIgnored { .. } => "shopify_search_ignored",
            Self::Incomplete { .. } => "shopify_answer_incomplete",
            Self::KeepsChanging { .. } => "record_keeps_changing",
            Self::Normalise(error) => error.code,
            Self::Shared(error) => error.code(),
            Self::Bulk(error) => error.code(),
        }
    }

    /// The field of the record that is at fault, when it is one field.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::AccessDenied { path, .. } => Some(path),
            Self::Normalise(error) => Some(&error.field),
            Self::NotWritable { field, .. } => Some(field),
            Self::Rejected { refusals, .. } => refusals.first()?.field.as_deref(),
            Self::Shared(error) => error.field(),
            _ => None,
        }
    }

    /// Whether the same question may have an answer a moment later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Transport(_) | Self::Internal { .. } | Self::Throttled { .. } | Self::InLine { .. }
        )
    }

    /// Whether a write was refused because its record is not there any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Rejected { code: Some(code), .. }
            if matches!(code.as_str(), "NOT_FOUND" | "PRODUCT_DOES_NOT_EXIST"))
    }

    /// Whether a write that ended so may have been carried out all the same: look before it is repeated, or repeat it
    /// under the same key.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Transport(failure) => failure.outcome_unknown(),
            // Done and not understood, or broken off somewhere inside.
            Self::Internal { .. } | Self::Incomplete { .. } | Self::Normalise(_) => true,
            Self::Shared(error) => error.outcome_unknown(),
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Transport(Failure::Page { .. } | Failure::Status { .. } | Failure::Unreadable { .. }) => {
                "Check the shop's domain and base_url, and what stands between lockstep and Shopify (proxy, firewall)."
            }
            Self::Transport(_) => {
                "Check the network, the proxy and the name resolution of this machine; lockstep tries again by itself."
            }
            Self::Secret(_) => "Make the secret's file readable for lockstep; it is read again by itself.",
            Self::Unauthorized { .. } => {
                "Put a valid Admin API access token into the configuration (it was revoked, or the app was uninstalled)."
            }
            Self::NoToken { .. } => {
                "Check client_id and client_secret, that the app is installed in the shop, and that app and shop belong to one organisation."
            }
            Self::ShopUnavailable { .. } => {
                "Look into the shop's admin: is the plan paid, is the shop open, is the app allowed? lockstep goes on by itself then."
            }
            Self::NoSuchShop { .. } => "Check the shop's domain and api_version in the configuration.",
            Self::Throttled { .. }
            | Self::InLine { .. }
            | Self::Internal { .. }
            | Self::Incomplete { .. }
            | Self::KeepsChanging { .. } => {
                "Nothing for now: lockstep tries again by itself. If it stays, ask Shopify's support with the request's number."
            }
            Self::TooExpensive { .. } => "Take extra selections out of the mappings.",
            Self::AccessDenied { needed, .. } => {
                return format!(
                    "Give the app what Shopify asks for ({needed}), install it again or renew the token, then retry."
                );
            }
            Self::Refused { .. } | Self::SearchIgnored { .. } => {
                "Set api_version to one that this version of lockstep knows, or update lockstep."
            }
            Self::Rejected { .. } => "Correct what Shopify names, then retry.",
            Self::NotWritable { .. } => {
                "Correct the value in the ERP, or round or leave it out in the mapping, then retry."
            }
            Self::Normalise(error) => return error.fix.clone(),
            Self::Shared(error) => return error.fix(),
            Self::Bulk(error) => error.fix(),
        }
        .to_owned()
    }
}

/// Reads are repeated safely, so that only one thing matters: is it this question, or does nobody get through?
fn of_failure(failure: &Failure) -> Disposition {
    let down = Disposition::SystemDown {
        system: System::Shopify,
        retry_after: failure.retry_after(),
    };
    let later = Disposition::Transient {
        retry_after: failure.retry_after(),
    };
    match failure {
        Failure::Name { .. }
        | Failure::ConnectionRefused { .. }
        | Failure::Certificate { .. }
        | Failure::Connect { .. }
        | Failure::Tls { .. }
        | Failure::Proxy { .. }
        | Failure::ConnectTimeout { .. } => down,
        // A web page with a good status is a login or a parking page: it will not go away by itself.
        Failure::Page { status, .. } if *status < 500 => down,
        Failure::Timeout { .. }
        | Failure::Cut { .. }
        | Failure::Unreadable { .. }
        | Failure::Page { .. }
        | Failure::Status { .. } => later,
    }
}
