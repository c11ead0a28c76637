//! The sentences.

use super::Outlook;
use crate::domain::Timestamp;
use crate::store::{HELD_BY_PERSON, JobRow, WAITING_FOR_APPROVAL};
use crate::sync::{OUT_OF_SCOPE, SUDDEN_CHANGE};

/// What the order is called.
pub(super) fn called(job: &JobRow) -> String {
    match &job.record_name {
        Some(name) => format!("Order {name}"),
        None => format!("Order {}", job.key.source_id),
    }
}

pub(super) fn told(job: &JobRow) -> (String, String) {
    job.problem.as_ref().map_or_else(
        || (job.last_summary.clone().unwrap_or_default(), String::new()),
        |problem| (problem.reason.clone(), problem.fix.clone()),
    )
}

pub(super) fn held(job: &JobRow, what: &str) -> (Outlook, String, Option<String>) {
    let (reason, fix) = told(job);
    let code = job.problem.as_ref().map(|problem| problem.code.0.as_str());
    let next = match code {
        Some(HELD_BY_PERSON) => format!("When it may go on: lockstep jobs release {}", job.id),
        Some(WAITING_FOR_APPROVAL) => format!(
            "Look at its plan: lockstep jobs show {0}. Then: lockstep jobs approve {0}, or reject {0} --reason …",
            job.id
        ),
        Some(SUDDEN_CHANGE) => format!(
            "Approve or reject: lockstep jobs approve --shop {} --object {}",
            job.key.shop, job.key.object
        ),
        _ => format!("{fix} Then: lockstep jobs retry {}", job.id),
    };
    (
        Outlook::Held,
        format!("{what} is held back: {reason}"),
        Some(next),
    )
}

/// An order that was looked at and left alone.
pub(super) fn left_alone(what: &str, reason: &str, start: Timestamp) -> (Outlook, String, Option<String>) {
    match reason {
        "before_start" => (
            Outlook::BeforeStart,
            format!("{what} is older than the shop's start ({}).", day(start)),
            Some("If it is wanted, set an earlier `start_at`, then sync it.".to_owned()),
        ),
        "cancelled_before_import" => (
            Outlook::Cancelled,
            format!("{what} was cancelled before it was ever booked."),
            None,
        ),
        "deleted" | "deleted_before_import" => {
            (Outlook::Deleted, format!("{what} was deleted on Shopify."), None)
        }
        "entered_by_hand" => (
            Outlook::Booked,
            format!("{what} was entered into the ERP by hand and is left to people."),
            None,
        ),
        OUT_OF_SCOPE => (
            Outlook::OutOfScope,
            format!("{what} is out of scope: the shop's rule says that such orders are not carried over."),
            Some("If it is wanted, change `scope` in the configuration, then sync it.".to_owned()),
        ),
        "high_fraud_risk" => (
            Outlook::OutOfScope,
            format!("{what} is left alone because of its risk of fraud."),
            None,
        ),
        other if other.contains("test gateway") => {
            (Outlook::Test, format!("{what} is left alone: {other}."), None)
        }
        other => (
            Outlook::OutOfScope,
            format!("{what} is left alone: {other}."),
            None,
        ),
    }
}

pub(super) fn day(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%M").to_string()
}

/// `now`, `in 40 s`, `in 12 min`, `in 3 h`.
pub(super) fn in_time(now: Timestamp, at: Timestamp) -> String {
    if at <= now {
        return "now".to_owned();
    }
    match at.since(now).as_secs() {
        0 => "now".to_owned(),
        seconds @ 1..=99 => format!("in {seconds} s"),
        seconds @ 100..=5_999 => format!("in {} min", seconds / 60),
        seconds => format!("in {} h", seconds / 3_600),
    }
}
