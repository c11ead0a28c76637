//! In which ways a bulk operation or its result fails. None of them may ever pass for "nothing there".

use std::time::Duration;

use crate::domain::Disposition;
use crate::transport::Failure;

/// A bulk operation that gave no whole result. Messages hold neither addresses nor records.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// As many operations as Shopify allows are under way already.
    #[error("Shopify carries out no further bulk operation now: {reason}")]
    Busy {
        /// What it says.
        reason: String,
        /// When it is worth to come back.
        after: Duration,
    },
    /// It failed on Shopify's side.
    #[error("bulk operation {id} failed ({code})")]
    Failed {
        /// Its number.
        id: String,
        /// Shopify's code, e.g. `TIMEOUT`.
        code: String,
    },
    /// Somebody cancelled it.
    #[error("bulk operation {id} was cancelled")]
    Canceled {
        /// Its number.
        id: String,
    },
    /// Its result was not fetched in time.
    #[error("bulk operation {id} has expired")]
    Expired {
        /// Its number.
        id: String,
    },
    /// It is not there any more.
    #[error("Shopify does not know bulk operation {id} any more")]
    Lost {
        /// Its number.
        id: String,
    },
    /// It did not end.
    #[error("bulk operation {id} did not end within {hours} hours")]
    Endless {
        /// Its number.
        id: String,
        /// How long was waited.
        hours: u64,
    },
    /// The address of the result does not serve it (any more).
    #[error("the result of bulk operation {id} cannot be fetched from {host} (HTTP {status})")]
    NotServed {
        /// The operation's number.
        id: String,
        /// Who answered.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The file could not be read to its end.
    #[error("the result of bulk operation {id} broke off after {lines} lines")]
    BrokenOff {
        /// The operation's number.
        id: String,
        /// Whole lines that were read.
        lines: u64,
        /// Why.
        #[source]
        source: Failure,
    },
    /// The file ended before its end.
    #[error("the result of bulk operation {id} is cut short: {reason}")]
    CutShort {
        /// The operation's number.
        id: String,
        /// How that shows.
        reason: String,
    },
    /// A line that is not what it should be.
    #[error("line {line} in the result of bulk operation {id} cannot be read: {reason}")]
    Line {
        /// The operation's number.
        id: String,
        /// Which, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file has another number of records than Shopify says.
    #[error("the result of bulk operation {id} has {read} {what}, Shopify says {told}")]
    Count {
        /// The operation's number.
        id: String,
        /// What was counted.
        what: &'static str,
        /// How many were read.
        read: u64,
        /// How many Shopify says.
        told: u64,
    },
    /// Parts whose whole is not there, or came after it.
    #[error("the result of bulk operation {id} has {count} variants without their product")]
    Orphans {
        /// The operation's number.
        id: String,
        /// How many.
        count: usize,
    },
}

impl BulkError {
    /// What it means for whoever asked.
    pub(in crate::shopify) fn disposition(&self) -> Disposition {
        match self {
            Self::Failed { code, .. } if code == "ACCESS_DENIED" => Disposition::Permanent,
            Self::Busy { after, .. } => Disposition::Transient {
                retry_after: Some(*after),
            },
            Self::BrokenOff { source, .. } => Disposition::Transient {
                retry_after: source.retry_after(),
            },
            _ => Disposition::Transient { retry_after: None },
        }
    }

    /// A stable name of the kind.
    pub(in crate::shopify) const fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "shopify_bulk_busy",
            Self::Failed { .. } => "shopify_bulk_failed",
            Self::Canceled { .. } => "shopify_bulk_cancelled",
            Self::Expired { .. } | Self::Lost { .. } | Self::NotServed { .. } => "shopify_bulk_expired",
            Self::Endless { .. } => "shopify_bulk_endless",
            Self::BrokenOff { .. } | Self::CutShort { .. } => "shopify_bulk_cut_short",
            Self::Line { .. } => "shopify_bulk_unreadable",
            Self::Count { .. } | Self::Orphans { .. } => "shopify_bulk_count_differs",
        }
    }

    /// What a person can do about it.
    pub(in crate::shopify) fn fix(&self) -> &'static str {
        match self {
            Self::Failed { code, .. } if code == "ACCESS_DENIED" => {
                "Give the app the scopes that `lockstep check --live` misses, install it again or renew the token, then start again."
            }
            Self::Busy { .. } => {
                "Nothing for now: Shopify allows five at a time, other apps' included. It is tried again by itself."
            }
            Self::Canceled { .. } => {
                "Find out who cancels bulk operations in this shop (another app, or a person with its token), then start again."
            }
            Self::NotServed { .. } | Self::BrokenOff { .. } => {
                "Look whether this machine reaches Google's storage service (storage.googleapis.com), where Shopify puts results; then start again."
            }
            _ => {
                "Start again: a new operation makes a new result. If it stays, ask Shopify's support with the operation's number."
            }
        }
    }

    /// Whether it is worth to read page by page instead: the shop has no bulk operation for us.
    pub(in crate::shopify) fn is_unavailable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Failed { code, .. } => code == "ACCESS_DENIED",
            _ => false,
        }
    }
}
