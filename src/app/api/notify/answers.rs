//! What programs ask about notifications, and what they are answered.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{delivery_id, object_of};
use crate::app::api::auth::Caller;
use crate::app::api::review::{Words, body, conflict, limited, query, sees_people};
use crate::app::api::{Api, Refused, answer};
use crate::app::notify::{
    EventType, Turned, Wanted, deliveries, endpoints, fields_of, fields_with, masked, masked_row,
};
use crate::domain::{Actor, Timestamp, Via};
use crate::store::{DispatchState, Redeliver};

/// What became of pausing an endpoint, or of resuming it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TurnedEndpoint {
    /// Its name.
    endpoint: String,
    /// Whether it is paused now.
    paused: bool,
    /// Whether anything was done.
    result: Turned,
}

/// What was given up.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Cancelled {
    /// The endpoint.
    endpoint: String,
    /// How many deliveries.
    cancelled: u64,
}

/// What is to be sent once more: `failed`, or `endpoint` with `since`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    /// All that failed, of all endpoints that the configuration has; with `endpoint` only those of one.
    failed: bool,
    /// The endpoint's name.
    endpoint: Option<String>,
    /// All of events since then (RFC 3339), whether they were delivered or not.
    since: Option<String>,
    /// And before then; until now, where nothing is said.
    until: Option<String>,
}

pub(super) fn caller(request: &Extensions) -> Actor {
    let name = request.get::<Caller>().map_or("-", |caller| caller.name.as_str());
    Actor::new(name, Via::Api)
}

fn time(text: Option<&str>, what: &str) -> Result<Option<Timestamp>, Refused> {
    text.map(|text| {
        Timestamp::parse_rfc3339(text).map_err(|_| {
            Refused::Invalid(format!(
                "`{what}` is no time: write it like 2026-11-20T08:00:00Z."
            ))
        })
    })
    .transpose()
}

pub(super) async fn list(State(api): State<Arc<Api>>, request: Extensions) -> Response {
    let config = Arc::clone(&api.config.borrow());
    let found = endpoints(&config, &api.store).await;
    answer(found.map_err(Refused::from), &request)
}

pub(super) async fn test(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    request: Extensions,
) -> Response {
    let trial = api.try_endpoint(&name, &caller(&request)).await;
    answer(trial, &request)
}

async fn turned(api: &Api, name: String, paused: bool, request: &Extensions, bytes: &Bytes) -> Response {
    let done = async {
        let words: Words = body(bytes)?;
        let how = (name.as_str(), paused, words.reason.as_deref());
        match api.turn_endpoint(caller(request), how).await? {
            Turned::Configured => {
                let detail =
                    format!("The configuration has `{name}` paused: only a change of it lets it go on.");
                Err(conflict("paused_in_configuration", detail))
            }
            result => Ok(TurnedEndpoint {
                endpoint: name.clone(),
                paused,
                result,
            }),
        }
    };
    answer(done.await, request)
}

pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    turned(&api, name, true, &request, &bytes).await
}

pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    turned(&api, name, false, &request, &bytes).await
}

pub(super) async fn give_up(
    State(api): State<Arc<Api>>,
    Path(endpoint): Path<String>,
    request: Extensions,
) -> Response {
    let cancelled = api.cancel_endpoint(caller(&request), &endpoint).await;
    answer(
        cancelled.map(|cancelled| Cancelled { endpoint, cancelled }),
        &request,
    )
}

/// As if what had happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AsIf {
    event: Option<EventType>,
}

pub(super) async fn show_preview(
    State(api): State<Arc<Api>>,
    Path((endpoint, shop, object, id)): Path<(String, String, String, String)>,
    request: Extensions,
    asked: Result<Query<AsIf>, QueryRejection>,
) -> Response {
    let shown = async {
        let asked = query(asked)?;
        let object = object_of(&object)?;
        api.previewed(&endpoint, (&shop, object, &id), asked.event).await
    };
    answer(shown.await, &request)
}

/// Which deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    endpoint: Option<String>,
    event: Option<EventType>,
    state: Option<DispatchState>,
    shop: Option<String>,
    search: Option<String>,
    since: Option<String>,
    until: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn log(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        let wanted = Wanted {
            endpoint: asked.endpoint,
            event: asked.event.map(|event| event.to_string()),
            state: asked.state,
            shop: asked.shop,
            search: asked.search,
            since: time(asked.since.as_deref(), "since")?,
            until: time(asked.until.as_deref(), "until")?,
            before: asked.before,
            limit: limited(asked.limit)?,
        };
        let rows = deliveries(&api.store, wanted).await?;
        Ok(if sees_people(&request) {
            rows
        } else {
            rows.into_iter().map(masked_row).collect()
        })
    };
    answer(found.await, &request)
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(delivery): Path<String>,
    request: Extensions,
) -> Response {
    let found = async {
        let id = delivery_id(&delivery)?;
        let story = api.store.dispatch(id).await?;
        let story =
            story.ok_or_else(|| Refused::Unknown(format!("There is no delivery {id} (any more).")))?;
        Ok(if sees_people(&request) {
            story
        } else {
            masked(story)
        })
    };
    answer(found.await, &request)
}

pub(super) async fn one_again(
    State(api): State<Arc<Api>>,
    Path(delivery): Path<String>,
    request: Extensions,
) -> Response {
    let done = async {
        let id = delivery_id(&delivery)?;
        api.again(caller(&request), Redeliver::One(id)).await
    };
    answer(done.await, &request)
}

pub(super) async fn many_again(State(api): State<Arc<Api>>, request: Extensions, bytes: Bytes) -> Response {
    let done = async {
        let which: Which = body(&bytes)?;
        let (since, until) = (
            time(which.since.as_deref(), "since")?,
            time(which.until.as_deref(), "until")?,
        );
        if let Some(name) = &which.endpoint {
            api.endpoint(name)?;
        }
        let what = match (which.failed, which.endpoint, since) {
            (true, endpoint, None) => Redeliver::Failed { endpoint },
            (false, Some(endpoint), Some(since)) => Redeliver::Range {
                endpoint,
                since,
                until: until.unwrap_or_else(|| api.clock.now()),
            },
            _ => {
                let detail = "Nothing was done: say `failed`, or an `endpoint` and `since` when.";
                return Err(Refused::Invalid(detail.to_owned()));
            }
        };
        api.again(caller(&request), what).await
    };
    answer(done.await, &request)
}

pub(super) async fn fields(Path(event): Path<String>, request: Extensions) -> Response {
    let event: Result<EventType, _> = event.parse();
    let listed = event
        .map(fields_of)
        .map_err(|error| Refused::Unknown(format!("{error}.")));
    answer(listed, &request)
}

pub(super) async fn fields_of_record(
    State(api): State<Arc<Api>>,
    Path((shop, object, id)): Path<(String, String, String)>,
    request: Extensions,
) -> Response {
    let listed = async {
        let object = object_of(&object)?;
        Ok(fields_with(&api.sampled(&shop, object, &id).await?))
    };
    answer(listed.await, &request)
}
