//! What a failure means for the job, the one question that every module's error answers.

use std::time::Duration;

use crate::domain::System;

/// What to do about a failed attempt. Queue and flows look at nothing else of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It may work later: a cut connection, a throttle, a lost race.
    Transient {
        /// The other side asked for at least this much patience.
        retry_after: Option<Duration>,
    },
    /// Nothing failed: it is not this job's turn yet (our own line before a limit, a record that does not hold still).
    /// Tried again after this long; burns no attempt.
    NotYet {
        /// How long from now.
        after: Duration,
    },
    /// The whole system is unavailable (refused, in maintenance, locked, credentials refused): retries of single
    /// jobs are pointless, burn no attempts, and count towards the breaker of this system.
    SystemDown {
        /// The side that does not work.
        system: System,
        /// The other side asked for at least this much patience.
        retry_after: Option<Duration>,
    },
    /// A person must act; repeating the same call cannot help.
    Permanent,
    /// There is nothing left to do: the record is gone, or a newer state was already applied.
    Obsolete,
}
