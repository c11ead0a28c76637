//! Why a flow ends before its end, and what that means for the job.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::json;

use crate::domain::{Disposition, JobId, NewProblem, Outcome, RecordKey, System, Timestamp};
use crate::erp::ErpError;
use crate::failpoint::Injected;
use crate::shopify::ShopifyError;
use crate::store::StoreError;

/// Everything that ends a flow early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Erp(#[from] ErpError),
    #[error(transparent)]
    Shopify(#[from] ShopifyError),
    #[error(transparent)]
    Injected(#[from] Injected),
    /// A person must act.
    #[error("{}", .0.reason)]
    Problem(Box<NewProblem>),
    /// It may be different soon; a person must act when it stays so.
    #[error("{}", .problem.reason)]
    Again {
        problem: Box<NewProblem>,
        after: Duration,
    },
    /// A person must say yes.
    #[error("{}", .0.reason)]
    Held(Box<NewProblem>),
    /// Another record comes first.
    #[error("waits for {on}")]
    Wait { on: RecordKey, at_most: Duration },
    /// Too early to tell.
    #[error("looked at again {at}: what an earlier attempt sent may still take effect")]
    Later { at: Timestamp },
    /// Another job is about to do it.
    #[error(
        "looked at again {at}: it was made from a record of the ERP, by a job that has not linked it yet"
    )]
    LeftToItsMaker { at: Timestamp },
    /// A record that it needs waits for a person's yes.
    #[error("looked at again {at}: a record that it needs waits for approval (job {job})")]
    LeftToApproval { at: Timestamp, job: JobId },
    /// Nothing to do.
    #[error("nothing to do: {0}")]
    Obsolete(Cow<'static, str>),
    /// The attempt was taken away; nothing that it says counts.
    #[error("the attempt is no longer ours")]
    Stale,
}

impl From<NewProblem> for Stop {
    fn from(problem: NewProblem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// What every problem of one job has in common.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The record's name for people.
    pub(super) record: Option<String>,
    /// Who owns its problems.
    pub(super) owner: String,
    /// The mapping file that demanded it.
    pub(super) mapping: Option<String>,
}

impl Subject {
    /// A problem of this record. Problems with equal `code` and `cause` are one cluster.
    pub(super) fn problem(&self, code: &str, cause: &str, reason: String, fix: &str) -> NewProblem {
        NewProblem {
            code: code.into(),
            record: self.record.clone(),
            field: None,
            reason,
            fix: fix.to_owned(),
            owner: self.owner.clone(),
            mapping: self.mapping.clone(),
            cluster: if cause.is_empty() {
                code.to_owned()
            } else {
                format!("{code}:{cause}")
            },
            detail: serde_json::Value::Null,
        }
    }
}

impl Stop {
    /// Whether the shop understood a write and did not carry it out.
    pub(super) fn is_refused_by_shop(&self) -> bool {
        matches!(self, Self::Shopify(error)
            if !error.outcome_unknown() && matches!(error.disposition(), Disposition::Permanent))
    }

    /// The problem that is this record's own, for whoever looks at many of them; any other stop is given back.
    pub(super) fn of_record(self) -> Result<NewProblem, Self> {
        match self {
            Self::Problem(problem) | Self::Held(problem) | Self::Again { problem, .. } => Ok(*problem),
            other => Err(other),
        }
    }

    /// What the queue is told.
    pub(super) fn outcome(self, subject: &Subject) -> Outcome {
        let text = chain(&self);
        match self {
            Self::Problem(problem) => Outcome::Problem(*problem),
            Self::Held(problem) => Outcome::Held(*problem),
            Self::Again { problem, after } => Outcome::Failed {
                disposition: Disposition::Transient {
                    retry_after: Some(after),
                },
                problem: *problem,
            },
            Self::Wait { on, at_most } => Outcome::Wait { on, at_most },
            Self::Later { at } | Self::LeftToItsMaker { at } | Self::LeftToApproval { at, .. } => {
                Outcome::Later { at }
            }
            Self::Obsolete(reason) => Outcome::Obsolete(reason.into_owned()),
            Self::Stale => Outcome::Interrupted,
            Self::Injected(_) => Outcome::Failed {
                disposition: Disposition::Transient { retry_after: None },
                problem: subject.problem(
                    "injected_failure",
                    "",
                    text,
                    "Nothing: a test asked for this failure.",
                ),
            },
            Self::Store(error) => Outcome::Failed {
                disposition: error.disposition(),
                problem: subject.problem(
                    "store_failed",
                    "",
                    text,
                    "Look at the disk and at the database server, then retry.",
                ),
            },
            Self::Erp(error) => {
                let cause = match &error {
                    ErpError::Rejected { message, .. } | ErpError::Setup { message } => short(message),
                    ErpError::Forbidden { model, method, .. } => format!("{model}.{method}"),
                    _ => String::new(),
                };
                let mut problem = subject.problem(error.code(), &cause, text, erp_fix(&error));
                problem.detail = json!({ "system": System::Erp });
                Outcome::Failed {
                    disposition: error.disposition(),
                    problem,
                }
            }
            Self::Shopify(error) => {
                let mut problem = subject.problem(error.code(), "", text, &error.fix());
                problem.field = error.field().map(str::to_owned);
                problem.detail = json!({ "system": System::Shopify });
                Outcome::Failed {
                    disposition: error.disposition(),
                    problem,
                }
            }
        }
    }
}

const fn erp_fix(error: &ErpError) -> &'static str {
    match error {
        ErpError::Unreachable(_)
        | ErpError::Down { .. }
        | ErpError::Busy { .. }
        | ErpError::Unknown { .. } => {
            "Make sure that the ERP is up and reachable (`lockstep check --live` says what is wrong), then retry."
        }
        ErpError::Refused { .. } => {
            "Make a new API key for the ERP user (Odoo's keys end after 90 days by default), put it into the configuration, then retry."
        }
        ErpError::Forbidden { .. } => "Give the ERP user this right, then retry.",
        ErpError::Misconfigured { .. } => {
            "Correct the ERP section of the configuration (`lockstep check --live` says what is wrong), then retry."
        }
        ErpError::Setup { .. } => {
            "Install or set up in the ERP what is missing, or correct the mapping, then retry."
        }
        ErpError::Missing { .. } => "Restore the record in the ERP, or remove what refers to it, then retry.",
        ErpError::Rejected { .. } => {
            "Correct the value that the ERP refuses, at its source or in the mapping, then retry."
        }
        ErpError::Asked { .. } => {
            "Carry out this step by hand in the ERP and answer its question there, then retry."
        }
        ErpError::Nonsense { .. } => {
            "Look at what answers under the ERP's address (a proxy? another program?), then retry."
        }
    }
}

/// The error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let part = next.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = next.source();
    }
    text
}

/// The first words of a message, without digits: messages that differ in numbers only are one cause.
fn short(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
}
