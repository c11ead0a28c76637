//! Plans that wait for a yes: as a table on the page of their job, and many at once from the list.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::seam::Done;
use super::session::Visitor;
use super::view::form_fields;
use crate::app::review::{Answered, Plan, plan_of};
use crate::domain::JobId;
use crate::store::{Acted, JobRow};

/// A plan as its job's page shows it.
pub(super) struct PlanView {
    pub(super) hash: String,
    pub(super) verdict: String,
    pub(super) because: Vec<String>,
    pub(super) changed: bool,
    pub(super) rows: Vec<PlanLine>,
    pub(super) then: Option<String>,
    pub(super) is_masked: bool,
}

/// One field, or one thing that is done.
pub(super) struct PlanLine {
    pub(super) what: String,
    pub(super) field: Option<String>,
    pub(super) now: String,
    pub(super) then: String,
}

/// What stands in the place of a value that is not shown.
const MASK: &str = "•••";

impl PlanView {
    /// The plan that a job waits with. Values, names and reasons may be personal: they are shown to those who work with jobs.
    pub(super) fn of(job: &JobRow, shows_values: bool) -> Option<Self> {
        plan_of(job).map(|plan| Self::new(plan, shows_values))
    }

    fn new(plan: Plan, shows_values: bool) -> Self {
        let value = |text: String| {
            if shows_values || text.is_empty() {
                text
            } else {
                MASK.to_owned()
            }
        };
        let mut rows = Vec::new();
        for write in plan.writes {
            let what = format!("{} {} {}", write.action, write.model, write.record);
            if write.fields.is_empty() {
                rows.push(PlanLine {
                    what,
                    field: None,
                    now: String::new(),
                    then: String::new(),
                });
                continue;
            }
            for field in write.fields {
                rows.push(PlanLine {
                    what: what.clone(),
                    field: Some(field.field),
                    now: value(field.now.unwrap_or_default()),
                    then: value(field.then),
                });
            }
        }
        for step in plan.steps {
            rows.push(PlanLine {
                what: format!("then: {}", step.act),
                field: None,
                now: String::new(),
                then: value(format!("{} {}", step.what, step.amount.unwrap_or_default())),
            });
        }
        Self {
            hash: plan.plan,
            verdict: plan.verdict,
            because: plan.because,
            changed: plan.changed,
            rows,
            then: plan.then.map(|asked| asked.reason).filter(|_| shows_values),
            is_masked: !shows_values,
        }
    }
}

/// A plan in the list, as its form names it: the job and the hash of what was seen.
pub(super) fn in_list(job: &JobRow) -> Option<String> {
    plan_of(job).map(|plan| format!("{}:{}", job.id, plan.plan))
}

impl Console {
    /// What became of an answer to a plan.
    pub(super) fn plan_answered(&self, job: JobId, answered: &Answered, done: &'static str) -> Done {
        self.api.controls.look();
        let notice = match answered {
            Answered::Counts(Acted::Already) => "already",
            Answered::Counts(_) => done,
            Answered::Changed => "plan_changed",
            Answered::NotWaiting(_) | Answered::Unknown => "not_waiting",
        };
        (job, notice)
    }
}

/// Approves of the plans that stood on a page of the list, each as it was seen there.
pub(super) async fn approve_many(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let seen: Option<Vec<(JobId, &str)>> = fields
        .iter()
        .filter(|(name, _)| name == "plan")
        .map(|(_, value)| {
            let (id, hash) = value.split_once(':')?;
            Some((JobId(id.parse().ok()?), hash))
        })
        .collect();
    let Some(seen) = seen.filter(|seen| !seen.is_empty()) else {
        let text = "Nothing was done: the form named no plan.".to_owned();
        return refuse(Some(&visitor), Refusal::Not(StatusCode::BAD_REQUEST, text));
    };
    let reviewer = console.reviewer(&visitor);
    let mut all = true;
    for (job, hash) in seen {
        match reviewer.approve_one_of_many(job, hash, None).await {
            Ok(answered) => all &= !answered.is_refusal(),
            Err(error) => return refuse(Some(&visitor), Refusal::store(&error)),
        }
    }
    console.api.controls.look();
    let notice = if all { "approved_many" } else { "approved_some" };
    Redirect::to(&format!("/jobs?state=waiting-for-approval&notice={notice}")).into_response()
}
