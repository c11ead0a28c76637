//! Jobs: finding them, and what is done about one, several, or all that fit.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::outgoing::{self, ResolveRequest, Resolved};
use super::super::routes::{Parameter, Route, schema};
use super::super::{Api, Refused, answer};
use super::frame::on_post;
use super::{MOST, OnJob, Told, job_id, limited, needed, no_job, query, sees_people};
use crate::app::review::{Candidate, DEFAULT_PER_SECOND, MOST_PER_SECOND, answer as sentence};
use crate::domain::{Calls, Direction, JobId, JobState, Object, Role, ShopName, Timestamp};
use crate::store::{Acted, BatchFilter, BatchRow, JobFilter, JobName, JobRow, JobStory};

const fn parameter(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about }
}

const FILTER: &[Parameter] = &[
    parameter("shop", "Only of this shop."),
    parameter(
        "object",
        "Only about this: order, customer, product, inventory or shop.",
    ),
    parameter("direction", "Only in this direction: in or out."),
    parameter("state", "Only in this state; several are separated by commas."),
    parameter(
        "name",
        "Only about the record with this name on either side, e.g. `#1042`.",
    ),
    parameter("id", "Only about the record with this id on Shopify."),
    parameter("cluster", "Only with an open problem of this cause."),
    parameter("code", "Only with an open problem of this kind."),
    parameter("sku", "Only orders that sell this stock keeping unit."),
    parameter("email", "Only orders of this buyer; names the shop, too."),
    parameter("changed_since", "Only changed then or later (RFC 3339)."),
    parameter("before", "Only older than this job: the next page."),
    parameter("limit", "At most this many: from 1 to 1000, by default 50."),
];

pub(super) fn table() -> Vec<Route> {
    let act = |path, id, summary, handler| Route {
        method: "post",
        path,
        id,
        summary,
        needs: Role::Operator,
        query: &[],
        request: Some(schema::<OnJob>),
        response: Some(schema::<Told>),
        handler,
    };
    vec![
        Route {
            method: "get",
            path: "/api/v1/jobs",
            id: "listJobs",
            summary: "Jobs that fit, newest first.",
            needs: Role::Viewer,
            query: FILTER,
            request: None,
            response: Some(schema::<Vec<JobRow>>),
            handler: || get(list),
        },
        Route {
            method: "get",
            path: "/api/v1/jobs/{job}",
            id: "getJob",
            summary: "One job with its attempts, events and problems.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<JobStory>),
            handler: || get(show),
        },
        Route {
            method: "post",
            path: "/api/v1/jobs/retry",
            id: "retryJobs",
            summary: "Tries jobs again: those that are named, at once; or all that fit and need a person, a few in each second.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<RetryRequest>),
            response: Some(schema::<Retried>),
            handler: || post(retry_many),
        },
        act(
            "/api/v1/jobs/{job}/retry",
            "retryJob",
            "Tries a job again now. One that is closed gets a new job, unless it was seen open.",
            || post(retry),
        ),
        act(
            "/api/v1/jobs/{job}/discard",
            "discardJob",
            "Gives an open job up. A later change of the record makes a new one.",
            || post(discard),
        ),
        act(
            "/api/v1/jobs/{job}/hold",
            "holdJob",
            "Holds an open job back, whatever events come, until it is released.",
            || post(hold),
        ),
        act(
            "/api/v1/jobs/{job}/release",
            "releaseJob",
            "Lets a job go on that somebody holds back.",
            || post(release),
        ),
        act(
            "/api/v1/jobs/{job}/ahead",
            "moveJobAhead",
            "Has a waiting job done before all others of its kind.",
            || post(ahead),
        ),
        act(
            "/api/v1/jobs/{job}/note",
            "noteJob",
            "Keeps a note (the reason) with a job.",
            || post(note),
        ),
        Route {
            method: "post",
            path: "/api/v1/jobs/{job}/resolve",
            id: "resolveJob",
            summary: "Settles by hand what a job asks: whose value is kept of fields that both sides changed (`keep`), or under which \
                      number its order was entered into the ERP (`erp_ref`).",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<ResolveRequest>),
            response: Some(schema::<Resolved>),
            handler: || post(outgoing::resolve),
        },
        Route {
            method: "get",
            path: "/api/v1/jobs/{job}/candidates",
            id: "listCandidates",
            summary: "The records of the ERP that a job may mean.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<Vec<Candidate>>),
            handler: || get(candidates),
        },
        Route {
            method: "post",
            path: "/api/v1/jobs/{job}/link",
            id: "linkJob",
            summary: "Says which partner of the ERP a job's customer is, and tries it again.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<LinkRequest>),
            response: Some(schema::<Told>),
            handler: || post(link),
        },
    ]
}

/// Which jobs. What is not known is refused: a misspelt filter would mean all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    shop: Option<ShopName>,
    object: Option<Object>,
    direction: Option<Direction>,
    state: Option<String>,
    name: Option<String>,
    id: Option<String>,
    cluster: Option<String>,
    code: Option<String>,
    sku: Option<String>,
    email: Option<String>,
    changed_since: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

impl Asked {
    fn filter(self) -> Result<JobFilter, Refused> {
        let states = self.state.as_deref().unwrap_or_default();
        let states = states.split(',').filter(|state| !state.is_empty()).map(|state| {
            state
                .parse::<JobState>()
                .map_err(|_| Refused::Invalid(format!("`state`: `{state}` is no state.")))
        });
        let known_by = match (self.sku, &self.email, &self.shop) {
            (Some(_), Some(_), _) => return Err(Refused::Invalid("Either `sku` or `email`.".to_owned())),
            (Some(sku), ..) => Some(JobName::Sku(sku)),
            (None, Some(address), Some(shop)) => Some(JobName::of_email(shop, address)),
            (None, Some(_), None) => return Err(Refused::Invalid("`email` needs `shop`, too.".to_owned())),
            (None, None, _) => None,
        };
        let changed_since = match self.changed_since {
            Some(text) => Some(Timestamp::parse_rfc3339(&text).map_err(|_| {
                Refused::Invalid(format!("`changed_since`: `{text}` is no time (RFC 3339)."))
            })?),
            None => None,
        };
        Ok(JobFilter {
            shop: self.shop,
            object: self.object,
            states: states.collect::<Result<_, _>>()?,
            source_id: self.id,
            name: self.name,
            direction: self.direction,
            code: self.code,
            cluster: self.cluster,
            known_by,
            changed_since,
            before: self.before.map(JobId),
            limit: limited(self.limit)?,
            ..JobFilter::default()
        })
    }
}

/// Without what may be personal: details of problems hold both sides' values, and candidates by name.
fn masked(mut job: JobRow) -> JobRow {
    if let Some(problem) = &mut job.problem {
        problem.detail = serde_json::Value::Null;
    }
    job
}

async fn list(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let found = async {
        let jobs = api.store.jobs(query(asked)?.filter()?).await?;
        let sees_people = sees_people(&request);
        Ok(jobs
            .into_iter()
            .map(|job| if sees_people { job } else { masked(job) })
            .collect::<Vec<_>>())
    };
    answer(found.await, &request)
}

async fn show(State(api): State<Arc<Api>>, Path(job): Path<String>, request: Extensions) -> Response {
    let found = async {
        let id = job_id(&job)?;
        let mut story = api.store.job(id).await?.ok_or_else(|| no_job(id))?;
        if !sees_people(&request) {
            story.job = masked(story.job);
            for row in &mut story.problems {
                row.problem.detail = serde_json::Value::Null;
            }
            for attempt in &mut story.attempts {
                attempt.detail = Calls::alone(attempt.detail.take());
            }
        }
        Ok(story)
    };
    answer(found.await, &request)
}

on_post!(retry, |api, reviewer, job in String, said: OnJob| {
    let id = job_id(&job)?;
    let acted = reviewer.retry(id, said.seen, said.reason.as_deref()).await?;
    api.of_job(id, acted, "")
});

/// An action on one job as it was seen: what was said, and what is told of plain success.
macro_rules! action {
    ($name:ident, |$reviewer:ident, $id:ident, $reason:ident| $act:expr, $done:literal) => {
        on_post!($name, |api, $reviewer, job in String, said: OnJob| {
            let $id = job_id(&job)?;
            let $reason = said.reason.as_deref();
            api.as_seen($id, said.seen).await?;
            let acted = $act.await?;
            api.of_job($id, acted, &format!($done))
        });
    };
}

action!(
    discard,
    |reviewer, id, reason| reviewer.discard(id, needed(reason, "reason")?),
    "job {id} is discarded"
);
action!(
    hold,
    |reviewer, id, reason| reviewer.hold(id, needed(reason, "reason")?),
    "job {id} is held back"
);
action!(
    note,
    |reviewer, id, reason| reviewer.note(id, needed(reason, "reason")?),
    "kept with job {id}"
);
action!(
    release,
    |reviewer, id, reason| reviewer.release(id, reason),
    "job {id} goes on"
);
action!(
    ahead,
    |reviewer, id, reason| reviewer.move_ahead(id, reason),
    "job {id} is the next of its kind"
);

/// Which jobs are tried again: some by their numbers, or all that fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryRequest {
    /// These, at most 1000. Either these or `filter`.
    #[serde(default)]
    jobs: Option<Vec<JobId>>,
    /// All of these that need a person; `{}` means all.
    #[serde(default)]
    filter: Option<RetryFilter>,
    /// With `filter`: how many in a second.
    #[serde(default)]
    per_second: Option<u32>,
    /// Why, for those who ask later.
    #[serde(default)]
    reason: Option<String>,
}

/// Which of the jobs that need a person. What is not given is not asked; what is not known is refused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetryFilter {
    /// Of this shop.
    shop: Option<ShopName>,
    /// About this object.
    object: Option<Object>,
    /// In this direction.
    direction: Option<Direction>,
    /// With this kind of problem.
    code: Option<String>,
    /// With this cause.
    cluster: Option<String>,
}

impl From<RetryFilter> for BatchFilter {
    fn from(filter: RetryFilter) -> Self {
        Self {
            shop: filter.shop,
            object: filter.object,
            direction: filter.direction,
            code: filter.code,
            cluster: filter.cluster,
        }
    }
}

/// What became of retries.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Retried {
    /// With `filter`: the batch that works on it.
    batch: Option<BatchRow>,
    /// With `jobs`: what became of each.
    jobs: Vec<RetriedJob>,
}

/// What became of one.
#[derive(Debug, Serialize, JsonSchema)]
struct RetriedJob {
    job: JobId,
    result: Acted,
    told: String,
}

on_post!(retry_many, |api, reviewer, wish: RetryRequest| {
    let reason = wish.reason.as_deref();
    let retried = match (wish.jobs, wish.filter) {
        (Some(ids), None) if !ids.is_empty() && ids.len() <= MOST as usize => {
            let mut jobs = Vec::new();
            for job in ids {
                let result = reviewer.retry(job, None, reason).await?;
                let told = sentence(job, &result, "");
                jobs.push(RetriedJob { job, result, told });
            }
            Retried { batch: None, jobs }
        }
        (Some(_), None) => return Err(Refused::Invalid(format!("`jobs` names 1 to {MOST} jobs."))),
        (None, Some(filter)) => {
            let pace = wish.per_second.unwrap_or(DEFAULT_PER_SECOND);
            if !(1..=MOST_PER_SECOND).contains(&pace) {
                let detail = format!("`per_second` is from 1 to {MOST_PER_SECOND}.");
                return Err(Refused::Invalid(detail));
            }
            let batch = match reviewer.retry_matching(filter.into(), pace, reason).await? {
                Acted::Batch { id, .. } => api.batch(id).await?,
                _ => None,
            };
            Retried {
                batch,
                jobs: Vec::new(),
            }
        }
        _ => return Err(Refused::Invalid("Either `jobs` or `filter`.".to_owned())),
    };
    api.controls.look();
    Ok(retried)
});

async fn candidates(State(api): State<Arc<Api>>, Path(job): Path<String>, request: Extensions) -> Response {
    let found = async {
        let id = job_id(&job)?;
        api.candidates(&api.reviewer(&request), id).await
    };
    answer(found.await, &request)
}

/// Which partner is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkRequest {
    /// Its id in the ERP.
    erp_id: i64,
    /// Why, for those who ask later.
    #[serde(default)]
    reason: Option<String>,
    /// The state in which the job was seen: in another one nothing is done.
    #[serde(default)]
    seen: Option<JobState>,
}

on_post!(link, |api, reviewer, job in String, wish: LinkRequest| {
    let id = job_id(&job)?;
    api.as_seen(id, wish.seen).await?;
    let acted = api
        .link(&reviewer, id, wish.erp_id, wish.reason.as_deref())
        .await?;
    api.of_job(id, acted, "")
});

impl Api {
    /// A batch by its number.
    pub(super) async fn batch(&self, id: i64) -> Result<Option<BatchRow>, Refused> {
        let batches = self.store.batches(false, MOST).await?;
        Ok(batches.into_iter().find(|batch| batch.id == id))
    }
}
