//! What happened to a job, as its page shows it.

use std::time::Duration;

use serde_json::Value;

use super::parts::{pretty, system_word};
use super::view::{Moment, counted, span};
use crate::domain::{Call, Calls, Timestamp};
use crate::store::{AuditRow, JobStory};

/// Something that happened.
pub(super) struct Step {
    at: Timestamp,
    pub(super) moment: Moment,
    pub(super) kind: &'static str,
    pub(super) tone: &'static str,
    pub(super) title: String,
    pub(super) text: String,
    /// Key and value.
    pub(super) facts: Vec<(String, String)>,
    /// What was noted on the way, each with its details.
    pub(super) notes: Vec<(String, String)>,
    /// The calls that it made.
    pub(super) calls: Option<CallsView>,
    pub(super) link: Option<(String, String)>,
}

/// The calls of an attempt.
pub(super) struct CallsView {
    /// How many to whom, and how long they took.
    pub(super) told: String,
    pub(super) rows: Vec<CallLine>,
    pub(super) more: u64,
}

/// One call.
pub(super) struct CallLine {
    pub(super) system: &'static str,
    pub(super) name: String,
    pub(super) took: String,
    pub(super) outcome: String,
    pub(super) is_good: bool,
}

impl CallsView {
    fn new(calls: &Calls) -> Self {
        let totals: Vec<String> = calls
            .totals
            .iter()
            .map(|total| {
                let failed = match total.failed {
                    0 => String::new(),
                    failed => format!(", {failed} refused or failed"),
                };
                let took = span(Duration::from_millis(total.took_ms));
                format!("{} {}{failed}, {took}", system_word(total.system), total.calls)
            })
            .collect();
        Self {
            told: format!("{}: {}", counted(calls.count(), "call"), totals.join("; ")),
            rows: calls.first.iter().map(CallLine::new).collect(),
            more: calls.more,
        }
    }
}

impl CallLine {
    fn new(call: &Call) -> Self {
        Self {
            system: system_word(call.system),
            name: call.name.clone(),
            took: span(Duration::from_millis(call.took_ms)),
            outcome: call.outcome.replace('_', " "),
            is_good: call.outcome == "ok",
        }
    }
}

/// Everything that happened, newest first. What attempts noted holds values of records: not everybody
/// sees it. Their calls hold none.
pub(super) fn steps(story: &JobStory, actions: Vec<AuditRow>, with_notes: bool, now: Timestamp) -> Vec<Step> {
    let step = |at: Timestamp, kind, tone, title: String, text: String| Step {
        at,
        moment: Moment::new(now, at),
        kind,
        tone,
        title,
        text,
        facts: Vec::new(),
        notes: Vec::new(),
        calls: None,
        link: None,
    };
    let mut steps = Vec::new();
    for event in &story.events {
        let mut one = step(
            event.received_at,
            "Event",
            "plain",
            event.topic.clone(),
            event.reason.clone().unwrap_or_default(),
        );
        if let Some(at) = event.triggered_at {
            one.facts
                .push(("happened".to_owned(), Moment::new(now, at).exact));
        }
        if let Some(id) = &event.webhook_id {
            one.facts.push(("webhook".to_owned(), id.clone()));
        }
        one.link = Some((format!("/events/{}", event.id), "what it said".to_owned()));
        steps.push(one);
    }
    for attempt in &story.attempts {
        let tone = match attempt.outcome.as_str() {
            "completed" => "good",
            "problem" => "bad",
            "retry" | "held" | "unclean" => "warn",
            _ => "plain",
        };
        let mut one = step(
            attempt.started_at,
            "Attempt",
            tone,
            format!("Attempt {}: {}", attempt.number, attempt.outcome),
            attempt.summary.clone(),
        );
        if let Some(end) = attempt.ended_at {
            one.facts
                .push(("took".to_owned(), span(end.since(attempt.started_at))));
        }
        one.facts.push(("on".to_owned(), attempt.node.clone()));
        if let Some(revision) = attempt.revision {
            one.facts.push(("configuration".to_owned(), revision.to_string()));
        }
        let (calls, detail) = Calls::taken_from(attempt.detail.clone());
        one.calls = calls.as_ref().map(CallsView::new);
        if with_notes {
            one.notes = notes(&detail);
        }
        steps.push(one);
    }
    for row in &story.problems {
        steps.push(step(
            row.opened_at,
            "Problem",
            "bad",
            row.problem.code.to_string(),
            row.problem.reason.clone(),
        ));
        if let Some(at) = row.closed_at {
            steps.push(step(
                at,
                "Solved",
                "good",
                row.problem.code.to_string(),
                "The problem was over.".to_owned(),
            ));
        }
    }
    for row in actions {
        let mut one = step(
            row.at,
            "Person",
            "busy",
            format!("{}: {}", row.actor, row.action.replace('_', " ")),
            row.reason.unwrap_or_default(),
        );
        one.facts.push(("through the".to_owned(), row.via.to_string()));
        steps.push(one);
    }
    // What is of the same time stays in the order of the sources: an event before the attempt that follows it.
    steps.sort_by_key(|step| step.at);
    steps.reverse();
    steps
}

/// What an attempt noted: `what` and its details, one by one where it is a list of such.
fn notes(detail: &Value) -> Vec<(String, String)> {
    let Some(items) = detail.as_array() else {
        return pretty(detail)
            .map(|text| vec![("details".to_owned(), text)])
            .unwrap_or_default();
    };
    items
        .iter()
        .map(|item| match item.get("what").and_then(Value::as_str) {
            Some(what) => {
                let inner = item.get("detail").unwrap_or(&Value::Null);
                (what.to_owned(), pretty(inner).unwrap_or_default())
            }
            None => ("details".to_owned(), pretty(item).unwrap_or_default()),
        })
        .collect()
}
