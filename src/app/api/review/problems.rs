//! Problems by cause, retries of many, why an order is not in the ERP, and who did what.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::routes::{Parameter, Route, schema};
use super::super::{Api, Refused, answer};
use super::frame::on_post;
use super::why::{WhyAnswer, why};
use super::{MOST, Told, Words, conflict, limited, needed, query, sees_people};
use crate::app::review::{ClusterFilter, ClusterView, clusters};
use crate::domain::{Role, ShopName, Timestamp};
use crate::store::{Acted, AuditFilter, AuditRow, BatchRow, Cluster};

const fn parameter(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about }
}

const LIMIT: Parameter = parameter("limit", "At most this many: from 1 to 1000, by default 50.");
const SHOP: Parameter = parameter("shop", "Only of this shop.");

pub(super) fn table() -> Vec<Route> {
    let read = |path, id, summary, query, response, handler| Route {
        method: "get",
        path,
        id,
        summary,
        needs: Role::Viewer,
        query,
        request: None,
        response: Some(response),
        handler,
    };
    let act = |path, id, summary, request, handler| Route {
        method: "post",
        path,
        id,
        summary,
        needs: Role::Operator,
        query: &[],
        request: Some(request),
        response: Some(schema::<Told>),
        handler,
    };
    vec![
        read(
            "/api/v1/problems/clusters",
            "listClusters",
            "Open problems by cause, the most frequent first; snoozed ones last.",
            const {
                &[
                    SHOP,
                    parameter("code", "Only of this kind."),
                    parameter("cluster", "Only of this cause."),
                    LIMIT,
                ]
            },
            schema::<Vec<ClusterView>>,
            || get(list),
        ),
        act(
            "/api/v1/problems/claim",
            "claimProblems",
            "The caller looks after the problems of one cause from now on.",
            schema::<ClaimRequest>,
            || post(claim),
        ),
        act(
            "/api/v1/problems/unclaim",
            "unclaimProblems",
            "Nobody in particular looks after them any more.",
            schema::<OfCluster>,
            || post(unclaim),
        ),
        act(
            "/api/v1/problems/snooze",
            "snoozeProblems",
            "They need not be shown until then; without a time that ends.",
            schema::<SnoozeRequest>,
            || post(snooze),
        ),
        act(
            "/api/v1/problems/note",
            "noteProblems",
            "Keeps a note (the reason) with the problems of one cause.",
            schema::<OfCluster>,
            || post(note),
        ),
        read(
            "/api/v1/batches",
            "listBatches",
            "Retries of many jobs and how far they are, newest first.",
            const { &[parameter("running", "`true`: only those that go on."), LIMIT] },
            schema::<Vec<BatchRow>>,
            || get(batches),
        ),
        read(
            "/api/v1/batches/{batch}",
            "getBatch",
            "One retry of many jobs.",
            &[],
            schema::<BatchRow>,
            || get(batch),
        ),
        act(
            "/api/v1/batches/{batch}/stop",
            "stopBatch",
            "Ends a retry of many jobs. What was tried again stays so.",
            schema::<Words>,
            || post(stop),
        ),
        read(
            "/api/v1/why",
            "why",
            "Why an order is not in the ERP, or where it is: one sentence and the next step for each shop that knows it.",
            const {
                &[
                    parameter("order", "Its name, Shopify's number or gid, or the ERP's number."),
                    SHOP,
                    parameter(
                        "offline",
                        "`true`: the two systems are not asked about what lockstep never saw.",
                    ),
                ]
            },
            schema::<Vec<WhyAnswer>>,
            || get(why),
        ),
        read(
            "/api/v1/audit",
            "listAudit",
            "Who did what, when, and why, newest first.",
            const {
                &[
                    SHOP,
                    parameter("job", "Only about this job."),
                    parameter("action", "Only this action, e.g. `retry`."),
                    parameter("actor", "Only by this person or token."),
                    parameter("before", "Only older than this line: the next page."),
                    LIMIT,
                ]
            },
            schema::<Vec<AuditRow>>,
            || get(audit),
        ),
    ]
}

/// Which causes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Causes {
    shop: Option<ShopName>,
    code: Option<String>,
    cluster: Option<String>,
    limit: Option<u32>,
}

async fn list(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Causes>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        let filter = ClusterFilter {
            shop: asked.shop,
            code: asked.code,
            cluster: asked.cluster,
            limit: limited(asked.limit)?,
            claimed_by: None,
        };
        let config = Arc::clone(&api.config.borrow());
        let mut found = clusters(&config, &api.store, filter, api.clock.now()).await?;
        if !sees_people(&request) {
            for view in &mut found {
                view.row.example.detail = serde_json::Value::Null;
            }
        }
        Ok(found)
    };
    answer(found.await, &request)
}

/// The problems of one cause.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfCluster {
    /// Shop.
    shop: ShopName,
    /// The kind of problem.
    code: String,
    /// The cause.
    cluster: String,
    /// Why, for those who ask later.
    #[serde(default)]
    reason: Option<String>,
}

impl OfCluster {
    fn cluster(&self) -> Cluster {
        Cluster {
            shop: self.shop.clone(),
            code: self.code.clone(),
            cluster: self.cluster.clone(),
        }
    }
}

/// Whose problems they are from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimRequest {
    /// Shop.
    shop: ShopName,
    /// The kind of problem.
    code: String,
    /// The cause.
    cluster: String,
    /// Also when somebody else looks after them.
    #[serde(default)]
    over: bool,
}

/// Until when problems need not be shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnoozeRequest {
    /// Shop.
    shop: ShopName,
    /// The kind of problem.
    code: String,
    /// The cause.
    cluster: String,
    /// Until when (RFC 3339); without, the snooze ends.
    #[serde(default)]
    until: Option<String>,
    /// Why, for those who ask later.
    #[serde(default)]
    reason: Option<String>,
}

/// What became of an action on problems or a batch.
fn told(acted: Acted, done: &str) -> Result<Told, Refused> {
    let told = match &acted {
        Acted::Unknown => return Err(Refused::Unknown("There is no such thing (any more).".to_owned())),
        Acted::Taken(who) => {
            let detail = format!("{who} looks after it already; `over` takes it over. Nothing was done.");
            return Err(conflict("taken", detail));
        }
        Acted::Already => "it stands like that already; nothing was done".to_owned(),
        _ => done.to_owned(),
    };
    Ok(Told { result: acted, told })
}

on_post!(claim, |_api, reviewer, wish: ClaimRequest| {
    let cluster = Cluster {
        shop: wish.shop,
        code: wish.code,
        cluster: wish.cluster,
    };
    let acted = reviewer.claim_problem(&cluster, wish.over).await?;
    told(acted, "you look after it now")
});

on_post!(unclaim, |_api, reviewer, wish: OfCluster| {
    let acted = reviewer.unclaim_problem(&wish.cluster()).await?;
    told(acted, "nobody in particular looks after it now")
});

on_post!(snooze, |_api, reviewer, wish: SnoozeRequest| {
    let until = match wish.until {
        Some(text) => Some(
            Timestamp::parse_rfc3339(&text)
                .map_err(|_| Refused::Invalid(format!("`until`: `{text}` is no time (RFC 3339).")))?,
        ),
        None => None,
    };
    let cluster = Cluster {
        shop: wish.shop,
        code: wish.code,
        cluster: wish.cluster,
    };
    let acted = reviewer.snooze(&cluster, until, wish.reason.as_deref()).await?;
    let done = if until.is_some() {
        "they stand last until then"
    } else {
        "they are shown as before"
    };
    told(acted, done)
});

on_post!(note, |_api, reviewer, wish: OfCluster| {
    let text = needed(wish.reason.as_deref(), "reason")?;
    let acted = reviewer.note_cluster(&wish.cluster(), text).await?;
    told(acted, "the note is kept")
});

/// Which batches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batches {
    #[serde(default)]
    running: bool,
    limit: Option<u32>,
}

async fn batches(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Batches>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        let limit = limited(asked.limit)?;
        Ok(api.store.batches(asked.running, limit).await?)
    };
    answer(found.await, &request)
}

fn batch_id(text: &str) -> Result<i64, Refused> {
    text.parse()
        .map_err(|_| Refused::Invalid(format!("`{text}` is no number of a batch.")))
}

async fn batch(State(api): State<Arc<Api>>, Path(id): Path<String>, request: Extensions) -> Response {
    let found = async {
        let id = batch_id(&id)?;
        let found = api.batch(id).await?;
        found.ok_or_else(|| Refused::Unknown(format!("There is no batch {id}.")))
    };
    answer(found.await, &request)
}

on_post!(stop, |_api, reviewer, id in String, said: Words| {
    let id = batch_id(&id)?;
    let acted = reviewer.stop_batch(id, said.reason.as_deref()).await?;
    told(acted, &format!("batch {id} is stopped"))
});

/// Which lines of the audit log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    shop: Option<ShopName>,
    job: Option<i64>,
    action: Option<String>,
    actor: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

async fn audit(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Lines>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        let filter = AuditFilter {
            shop: asked.shop,
            subject: asked.job.map(|job| format!("job:{job}")),
            action: asked.action,
            actor: asked.actor,
            since: None,
            before: asked.before,
            limit: limited(asked.limit)?.min(MOST),
        };
        Ok(api.store.audit(filter).await?)
    };
    answer(found.await, &request)
}
