//! Jobs, problems and records as several pages show them.

use super::record::address;
use super::view::Moment;
use crate::domain::{Direction, JobState, NewProblem, Object, System, Timestamp};
use crate::store::JobRow;

/// A state as a word and a colour. The colour is never all that says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chip {
    pub(super) text: &'static str,
    pub(super) tone: &'static str,
}

/// How a job stands, for people.
pub(super) const fn chip(state: JobState) -> Chip {
    let (text, tone) = match state {
        JobState::Available => ("waiting", "plain"),
        JobState::Scheduled => ("waiting for something", "plain"),
        JobState::Running => ("running", "busy"),
        JobState::Retryable => ("will be tried again", "warn"),
        JobState::Held => ("held", "warn"),
        JobState::Problem => ("needs a person", "bad"),
        JobState::Completed => ("done", "good"),
        JobState::Obsolete => ("nothing to do", "plain"),
        JobState::Discarded => ("given up", "plain"),
    };
    Chip { text, tone }
}

/// `Order`, `Stock`.
pub(super) const fn object_word(object: Object) -> &'static str {
    match object {
        Object::Order => "order",
        Object::Customer => "customer",
        Object::Product => "product",
        Object::Inventory => "stock",
        Object::Shop => "shop",
    }
}

/// Which way, for people.
pub(super) const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "Shopify → ERP",
        Direction::Out => "ERP → Shopify",
    }
}

/// A problem, as several pages show it.
#[derive(Clone, Debug)]
pub(super) struct ProblemView {
    pub(super) code: String,
    pub(super) reason: String,
    pub(super) fix: String,
    pub(super) owner: String,
    pub(super) field: Option<String>,
    pub(super) mapping: Option<String>,
    /// Pretty JSON.
    pub(super) detail: Option<String>,
}

impl ProblemView {
    pub(super) fn new(problem: &NewProblem) -> Self {
        Self {
            code: problem.code.to_string(),
            reason: problem.reason.clone(),
            fix: problem.fix.clone(),
            owner: problem.owner.clone(),
            field: problem.field.clone(),
            mapping: problem.mapping.clone(),
            detail: pretty(&problem.detail),
        }
    }
}

/// JSON for people; nothing for what says nothing.
pub(super) fn pretty(value: &serde_json::Value) -> Option<String> {
    let is_empty = match value {
        serde_json::Value::Null => true,
        serde_json::Value::Array(items) => items.is_empty(),
        serde_json::Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    (!is_empty).then(|| format!("{value:#}"))
}

/// A job in a list.
#[derive(Clone, Debug)]
pub(super) struct JobLine {
    pub(super) id: i64,
    pub(super) chip: Chip,
    pub(super) object: &'static str,
    pub(super) direction: &'static str,
    pub(super) shop: String,
    /// What people call the record.
    pub(super) name: String,
    pub(super) erp_name: Option<String>,
    /// The page of its record, for a job into the ERP.
    pub(super) record: Option<String>,
    pub(super) attempts: u32,
    pub(super) changed: Moment,
    pub(super) note: String,
    /// The moment of its last change: what is done about it is done to this state only.
    pub(super) seen: i64,
}

impl JobLine {
    pub(super) fn new(job: &JobRow, now: Timestamp) -> Self {
        Self {
            id: job.id.0,
            chip: chip(job.state),
            object: object_word(job.key.object),
            direction: direction_word(job.key.direction),
            shop: job.key.shop.to_string(),
            name: name_of(job),
            erp_name: job.erp_name.clone(),
            record: match job.key.direction {
                Direction::In => address(job.key.shop.as_str(), job.key.object, &job.key.source_id),
                Direction::Out => None,
            },
            attempts: job.attempts,
            changed: Moment::new(now, job.updated_at),
            note: note(job, now),
            seen: job.updated_at.millis(),
        }
    }
}

/// What people call the record, else its number.
pub(super) fn name_of(job: &JobRow) -> String {
    job.record_name
        .clone()
        .unwrap_or_else(|| job.key.source_id.clone())
}

/// The one thing to know about a job in its state.
fn note(job: &JobRow, now: Timestamp) -> String {
    let summary = || job.last_summary.clone().unwrap_or_default();
    match job.state {
        JobState::Problem | JobState::Held => job
            .problem
            .as_ref()
            .map_or_else(summary, |problem| problem.reason.clone()),
        JobState::Retryable => job.run_at.map_or_else(summary, |at| {
            format!("again {}: {}", Moment::new(now, at).relative, summary())
        }),
        JobState::Scheduled => job
            .waits_on
            .as_ref()
            .map_or_else(summary, |record| format!("waits for {record}")),
        JobState::Obsolete | JobState::Discarded => job.reason.clone().unwrap_or_else(summary),
        JobState::Available | JobState::Running | JobState::Completed => summary(),
    }
}

/// A system for people.
pub(super) const fn system_word(system: System) -> &'static str {
    match system {
        System::Shopify => "Shopify",
        System::Erp => "the ERP",
    }
}
