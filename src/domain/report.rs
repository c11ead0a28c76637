//! What an attempt reports: the one thing that flows hand to the queue.

use std::time::Duration;

use crate::domain::{About, Disposition, Happened, JobKey, Link, NewProblem, Priority, RecordKey, Timestamp};

/// The result of one attempt, with everything that is to be saved with it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What came of it.
    pub outcome: Outcome,
    /// Whether what was sent to the ERP may still take effect: a call has no answer.
    pub unclean: bool,
    /// One line for the retry log. No customer data.
    pub summary: String,
    /// What was done, for people: calls with durations, the plan, totals. No secrets.
    pub detail: serde_json::Value,
    /// The record's name for people, e.g. `#1042`.
    pub record_name: Option<String>,
    /// The ERP's name for people, e.g. `S00042`.
    pub erp_name: Option<String>,
    /// Links to store.
    pub links: Vec<Link>,
    /// Jobs that this one needs or caused: key, urgency, and why.
    pub enqueue: Vec<(JobKey, Priority, String)>,
    /// Why the shop is disabled from now on, where the attempt found out that it must be.
    pub disables_shop: Option<String>,
    /// The record that it was about, as far as it came to know it.
    pub about: Option<Box<About>>,
    /// What others are to be told once this end is saved, in this order. Of an attempt that is repeated only what its repeat
    /// does not see any more.
    pub happened: Vec<Happened>,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done.
    Completed,
    /// Nothing to do, with the reason as a code, e.g. `before_start`.
    Obsolete(String),
    /// It failed; the queue decides by the disposition and its policy when it is tried again.
    Failed {
        /// What the failure means.
        disposition: Disposition,
        /// What a person is told if it is permanent or retries are exhausted.
        problem: NewProblem,
    },
    /// Waits for a record: its lock, or its job's end.
    Wait {
        /// The record.
        on: RecordKey,
        /// Looked at again after this long in any case.
        at_most: Duration,
    },
    /// Needs a person.
    Problem(NewProblem),
    /// Planned; waits for a person's yes.
    Held(NewProblem),
    /// Too early to tell: looked at again then, and no failure.
    Later {
        /// When.
        at: Timestamp,
    },
    /// Stopped before its end, by a shutdown or a time limit.
    Interrupted,
}

impl Report {
    /// A report with nothing but an outcome and its one line.
    pub fn of(outcome: Outcome, summary: impl Into<String>) -> Self {
        Self {
            outcome,
            unclean: false,
            summary: summary.into(),
            detail: serde_json::Value::Null,
            record_name: None,
            erp_name: None,
            links: Vec::new(),
            enqueue: Vec::new(),
            disables_shop: None,
            about: None,
            happened: Vec::new(),
        }
    }
}
