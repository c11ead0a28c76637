//! Plans that wait for a person's yes: showing them, and the answers to one, several, or all that fit.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::routes::{Parameter, Route, schema};
use super::super::{Api, Refused, answer};
use super::frame::on_post;
use super::{MOST, Told, capitalised, conflict, job_id, limited, needed, no_job, query};
use crate::app::review::{Answered, Plan, PlanFilter, Reviewer, plan_of};
use crate::domain::{Direction, JobId, JobKey, Object, Role, ShopName, Timestamp};
use crate::store::{JobRow, StoreError};

const FILTER: &[Parameter] = &[
    Parameter {
        name: "shop",
        about: "Only of this shop.",
    },
    Parameter {
        name: "object",
        about: "Only about this: order, customer, product or inventory.",
    },
    Parameter {
        name: "direction",
        about: "Only in this direction: in or out.",
    },
    Parameter {
        name: "before",
        about: "Only of older jobs than this: the next page.",
    },
    Parameter {
        name: "limit",
        about: "At most this many: from 1 to 1000, by default 50.",
    },
];

pub(super) fn table() -> Vec<Route> {
    // Plans show what would be written: a viewer does not get them.
    let read = |path, id, summary, query, response, handler| Route {
        method: "get",
        path,
        id,
        summary,
        needs: Role::Operator,
        query,
        request: None,
        response: Some(response),
        handler,
    };
    let act = |path, id, summary, request, response, handler| Route {
        method: "post",
        path,
        id,
        summary,
        needs: Role::Operator,
        query: &[],
        request: Some(request),
        response: Some(response),
        handler,
    };
    vec![
        read(
            "/api/v1/plans",
            "listPlans",
            "Jobs that wait for a yes, each with its plan field by field, newest first.",
            FILTER,
            schema::<Vec<WaitingPlan>>,
            || get(list),
        ),
        act(
            "/api/v1/plans/approve",
            "approvePlans",
            "Approves of plans: those that are named, each as it was seen; or all that fit.",
            schema::<ApproveRequest>,
            schema::<Approved>,
            || post(approve_many),
        ),
        read(
            "/api/v1/jobs/{job}/plan",
            "getPlan",
            "The plan that a job waits with, field by field.",
            &[],
            schema::<WaitingPlan>,
            || get(show),
        ),
        act(
            "/api/v1/jobs/{job}/plan/approve",
            "approvePlan",
            "Lets a job go on with the plan that it waits with; with `plan`, only if it is still that one.",
            schema::<OnPlan>,
            schema::<Told>,
            || post(approve),
        ),
        act(
            "/api/v1/jobs/{job}/plan/reject",
            "rejectPlan",
            "Gives a job up whose plan waits. A later change of the record makes a new plan. Needs a reason.",
            schema::<OnPlan>,
            schema::<Told>,
            || post(reject),
        ),
    ]
}

/// A plan that waits.
#[derive(Debug, Serialize, JsonSchema)]
struct WaitingPlan {
    /// The job.
    job: JobId,
    /// What it is about.
    key: JobKey,
    /// The record's name for people, e.g. `#1042`.
    record: Option<String>,
    /// Who is to answer.
    owner: String,
    /// When the job last changed.
    changed_at: Timestamp,
    /// What would be written. Its hash (`plan`) is what an approval names.
    plan: Plan,
}

impl WaitingPlan {
    fn of(job: &JobRow) -> Option<Self> {
        Some(Self {
            job: job.id,
            key: job.key.clone(),
            record: job.record_name.clone(),
            owner: job.problem.as_ref()?.owner.clone(),
            changed_at: job.updated_at,
            plan: plan_of(job)?,
        })
    }
}

/// Which plans are listed. What is not known is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    shop: Option<ShopName>,
    object: Option<Object>,
    direction: Option<Direction>,
    before: Option<i64>,
    limit: Option<u32>,
}

async fn list(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Waiting>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        let filter = PlanFilter {
            shop: asked.shop,
            object: asked.object,
            direction: asked.direction,
        };
        let filter = filter.jobs(asked.before.map(JobId), limited(asked.limit)?);
        let jobs = api.store.jobs(filter).await?;
        Ok(jobs.iter().filter_map(WaitingPlan::of).collect::<Vec<_>>())
    };
    answer(found.await, &request)
}

async fn show(State(api): State<Arc<Api>>, Path(job): Path<String>, request: Extensions) -> Response {
    let found = async {
        let id = job_id(&job)?;
        let story = api.store.job(id).await?.ok_or_else(|| no_job(id))?;
        WaitingPlan::of(&story.job).ok_or_else(|| refused(id, &Answered::NotWaiting(story.job.state)))
    };
    answer(found.await, &request)
}

/// What is said with an answer to a plan.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct OnPlan {
    /// The hash of the plan that was seen: of another one nothing is done.
    plan: Option<String>,
    /// Why, for those who ask later. A rejection needs one.
    reason: Option<String>,
}

/// Why an answer to a plan did not count.
fn refused(job: JobId, answered: &Answered) -> Refused {
    let detail = format!("{}.", capitalised(&answered.told(job, "")));
    match answered {
        Answered::Unknown => no_job(job),
        Answered::Changed => conflict(
            "plan_changed",
            format!("The plan of job {job} has changed since it was shown; nothing was done."),
        ),
        Answered::NotWaiting(_) | Answered::Counts(_) => conflict("not_waiting", detail),
    }
}

/// What came of an answer to one plan.
fn told(api: &Api, job: JobId, answered: Answered, done: &str) -> Result<Told, Refused> {
    api.controls.look();
    let told = answered.told(job, done);
    match answered {
        Answered::Counts(result) => Ok(Told { result, told }),
        answered => Err(refused(job, &answered)),
    }
}

on_post!(approve, |api, reviewer, job in String, said: OnPlan| {
    let id = job_id(&job)?;
    let answered = reviewer
        .approve_plan(id, said.plan.as_deref(), said.reason.as_deref())
        .await?;
    told(&api, id, answered, "its plan is carried out now")
});

on_post!(reject, |api, reviewer, job in String, said: OnPlan| {
    let id = job_id(&job)?;
    let reason = needed(said.reason.as_deref(), "reason")?;
    let answered = reviewer.reject_plan(id, said.plan.as_deref(), reason).await?;
    told(&api, id, answered, "its plan is given up")
});

/// One plan as it was seen.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeenPlan {
    /// The job.
    job: JobId,
    /// The plan's hash.
    plan: String,
}

/// Which plans are approved of: some as they were seen, or all that fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApproveRequest {
    /// These, at most 1000. Either these or `filter`.
    #[serde(default)]
    plans: Option<Vec<SeenPlan>>,
    /// All of these that wait, each with the plan that it waits with then, at most 1000 at a time; `{}` means all.
    #[serde(default)]
    filter: Option<ApproveFilter>,
    /// Why, for those who ask later.
    #[serde(default)]
    reason: Option<String>,
}

/// Which of the plans that wait. What is not given is not asked; what is not known is refused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ApproveFilter {
    /// Of this shop.
    shop: Option<ShopName>,
    /// About this object.
    object: Option<Object>,
    /// In this direction.
    direction: Option<Direction>,
}

/// What became of approvals.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Approved {
    /// Plans that are carried out now.
    approved: u64,
    /// Plans that changed, or were answered by somebody else, before.
    passed_by: u64,
    /// Whether it ended before its time: after 1000 approvals, or because the store failed. Ask again.
    more: bool,
    /// With `plans`: what became of each.
    plans: Vec<AnsweredPlan>,
}

/// What became of one.
#[derive(Debug, Serialize, JsonSchema)]
struct AnsweredPlan {
    job: JobId,
    /// Whether it is carried out now.
    approved: bool,
    told: String,
}

on_post!(approve_many, |api, reviewer, wish: ApproveRequest| {
    let reason = wish.reason.as_deref();
    let approved = match (wish.plans, wish.filter) {
        (Some(plans), None) if !plans.is_empty() && plans.len() <= MOST as usize => {
            approve_seen(&reviewer, plans, reason).await?
        }
        (Some(_), None) => return Err(Refused::Invalid(format!("`plans` names 1 to {MOST} plans."))),
        (None, Some(filter)) => {
            let filter = PlanFilter {
                shop: filter.shop,
                object: filter.object,
                direction: filter.direction,
            };
            let many = reviewer
                .approve_matching(&filter, u64::from(MOST), reason)
                .await?;
            if let Some(error) = &many.failure {
                warn_of(error);
            }
            Approved {
                approved: many.approved,
                passed_by: many.passed_by,
                more: many.more,
                plans: Vec::new(),
            }
        }
        _ => return Err(Refused::Invalid("Either `plans` or `filter`.".to_owned())),
    };
    api.controls.look();
    Ok(approved)
});

/// What was approved of before the store failed is answered, so the failure stands in the log only.
fn warn_of(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "approvals of plans ended before their time"
    );
}

async fn approve_seen(
    reviewer: &Reviewer,
    plans: Vec<SeenPlan>,
    reason: Option<&str>,
) -> Result<Approved, Refused> {
    let mut approved = Approved::default();
    for seen in plans {
        let job = seen.job;
        let answered = match reviewer.approve_one_of_many(job, &seen.plan, reason).await {
            Ok(answered) => answered,
            Err(error) if approved.plans.is_empty() => return Err(error.into()),
            Err(error) => {
                warn_of(&error);
                approved.more = true;
                break;
            }
        };
        let counts = matches!(&answered, Answered::Counts(acted) if acted.is_change());
        approved.approved += u64::from(counts);
        approved.passed_by += u64::from(!counts);
        approved.plans.push(AnsweredPlan {
            job,
            approved: counts,
            told: answered.told(job, "its plan is carried out now"),
        });
    }
    Ok(approved)
}
