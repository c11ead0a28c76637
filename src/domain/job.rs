//! The states and priorities of jobs.

use serde::{Deserialize, Serialize};

use super::ids::text_enum;

text_enum! {
    /// Where a job stands. Open states hold the key: no second job of the same key can be made.
    JobState, "job state" {
        /// Ready to be claimed.
        Available = "available",
        /// Waits for a time, for a lock or for another record's job.
        Scheduled = "scheduled",
        /// An attempt is under way under a lease.
        Running = "running",
        /// Failed transiently; tried again at `run_at`.
        Retryable = "retryable",
        /// Planned and waiting for a person's approval or for a pause to end.
        Held = "held",
        /// Needs a person: see its problem.
        Problem = "problem",
        /// Done. Closed.
        Completed = "completed",
        /// Nothing was left to do. Closed.
        Obsolete = "obsolete",
        /// Given up by a person, with a reason. Closed.
        Discarded = "discarded",
    }
}

impl JobState {
    /// Whether the job still holds its key.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Completed | Self::Obsolete | Self::Discarded)
    }
}

/// Which of two waiting jobs of one lane goes first: the smaller number. Lanes (orders, customers, products) are
/// weighed against each other separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(pub i16);

impl Priority {
    /// Somebody is waiting for it: a retry by hand, an order's missing product.
    pub const URGENT: Self = Self(0);
    /// A change that came by webhook.
    pub const LIVE: Self = Self(1);
    /// Found by a run or an import.
    pub const BACKGROUND: Self = Self(2);
    /// Every priority that exists, first to last: claims look at each in turn.
    pub const ALL: [Self; 3] = [Self::URGENT, Self::LIVE, Self::BACKGROUND];
}
