//! Notifications for programs: the endpoints, what was told to whom, and sending again.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::review::{Words, body, capitalised, conflict, limited, query, sees_people};
use super::routes::{Parameter, Route, schema};
use super::{Api, Refused, answer};
use crate::app::connect;
use crate::app::notify::{
    Again, EndpointView, EventFields, EventType, NotifyPreview, SampleError, Trial, Turned, Wanted, cancel,
    deliveries, endpoints, fields_of, fields_with, masked, masked_row, preview, redeliver, sample_named,
    shown_event, synced, try_out, turn,
};
use crate::domain::{Actor, Object, Role, Timestamp, Via};
use crate::notify::{Endpoint, Notification};
use crate::store::{DispatchRow, DispatchState, DispatchStory, Redeliver, Redelivered};

const fn parameter(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about }
}

const LISTED: &[Parameter] = &[
    parameter("endpoint", "Only to this endpoint."),
    parameter("event", "Only of this type of event, e.g. order.synced."),
    parameter(
        "state",
        "Only in this state: waiting, sending, delivered, failed, cancelled, replaced or problem.",
    ),
    parameter("shop", "Only of this shop."),
    parameter(
        "search",
        "Only about this record or event: a name, Shopify's number, or an event's id.",
    ),
    parameter("since", "Only of events since then (RFC 3339)."),
    parameter("until", "Only of events before then (RFC 3339)."),
    parameter("before", "Only older ones than this delivery: the next page."),
    parameter("limit", "At most this many: from 1 to 1000, by default 50."),
];

/// The routes of this module.
pub(super) fn table() -> Vec<Route> {
    vec![
        Route {
            method: "get",
            path: "/api/v1/notify/endpoints",
            id: "listEndpoints",
            summary: "The endpoints: whether they are sent anything, how their last deliveries went, what waits.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<Vec<EndpointView>>),
            handler: || get(list),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/test",
            id: "testEndpoint",
            summary: "Sends a test.ping to an endpoint now, past the queue, and tells what came back.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<Trial>),
            handler: || post(test),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/pause",
            id: "pauseEndpoint",
            summary: "Sends nothing to an endpoint until it is resumed.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Words>),
            response: Some(schema::<TurnedEndpoint>),
            handler: || post(pause),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/resume",
            id: "resumeEndpoint",
            summary: "Sends to an endpoint again.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Words>),
            response: Some(schema::<TurnedEndpoint>),
            handler: || post(resume),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/cancel",
            id: "cancelEndpoint",
            summary: "Gives up all that waits for an endpoint.",
            needs: Role::Admin,
            query: &[],
            request: None,
            response: Some(schema::<Cancelled>),
            handler: || post(give_up),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/endpoints/{endpoint}/preview/{shop}/{object}/{id}",
            id: "previewNotification",
            summary: "What an endpoint would be sent for a real record as it is now. Sends nothing.",
            needs: Role::Operator,
            query: const {
                &[parameter(
                    "event",
                    "As if this had happened; by default that the record was carried over.",
                )]
            },
            request: None,
            response: Some(schema::<NotifyPreview>),
            handler: || get(show_preview),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/deliveries",
            id: "listDeliveries",
            summary: "The log of deliveries, newest first.",
            needs: Role::Viewer,
            query: LISTED,
            request: None,
            response: Some(schema::<Vec<DispatchRow>>),
            handler: || get(log),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/deliveries/{delivery}",
            id: "showDelivery",
            summary: "One delivery with its tries. Viewers see neither what is told nor what was answered.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<DispatchStory>),
            handler: || get(show),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/deliveries/{delivery}/redeliver",
            id: "redeliverOne",
            summary: "Sends a delivery that has ended once more. The event keeps its id.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<Again>),
            handler: || post(one_again),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/redeliver",
            id: "redeliverMany",
            summary: "Sends once more what failed, or everything of an endpoint and a time. Events keep their ids.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Which>),
            response: Some(schema::<Again>),
            handler: || post(many_again),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/fields/{event}",
            id: "listFields",
            summary: "What conditions and templates can read of a type of event.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<EventFields>),
            handler: || get(fields),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/fields/{shop}/{object}/{id}",
            id: "listFieldsOfRecord",
            summary: "What conditions and templates can read, with the values of a real record as it is now.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<EventFields>),
            handler: || get(fields_of_record),
        },
    ]
}

/// What became of pausing an endpoint, or of resuming it.
#[derive(Debug, Serialize, JsonSchema)]
struct TurnedEndpoint {
    /// Its name.
    endpoint: String,
    /// Whether it is paused now.
    paused: bool,
    /// Whether anything was done.
    result: Turned,
}

/// What was given up.
#[derive(Debug, Serialize, JsonSchema)]
struct Cancelled {
    /// The endpoint.
    endpoint: String,
    /// How many deliveries.
    cancelled: u64,
}

/// What is to be sent once more: `failed`, or `endpoint` with `since`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Which {
    /// All that failed, of all endpoints that the configuration has; with `endpoint` only those of one.
    failed: bool,
    /// The endpoint's name.
    endpoint: Option<String>,
    /// All of events since then (RFC 3339), whether they were delivered or not.
    since: Option<String>,
    /// And before then; until now, where nothing is said.
    until: Option<String>,
}

impl Api {
    /// The endpoint of this name.
    pub(in crate::app) fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let found = config.endpoints.iter().find(|endpoint| endpoint.name == name);
        found.cloned().ok_or_else(|| no_endpoint(name))
    }

    /// Sends something to an endpoint now. Waits at most its timeout.
    pub(in crate::app) async fn try_endpoint(&self, name: &str, actor: &Actor) -> Result<Trial, Refused> {
        let endpoint = self.endpoint(name)?;
        let config = Arc::clone(&self.config.borrow());
        let trial = try_out(&config, &endpoint, &self.clock, &self.entropy).await;
        tracing::info!(endpoint = name, by = %actor, taken = trial.taken, "an endpoint was tried out");
        Ok(trial)
    }

    /// Pauses an endpoint, or lets it go on.
    pub(in crate::app) async fn turn_endpoint(
        &self,
        actor: Actor,
        how: (&str, bool, Option<&str>),
    ) -> Result<Turned, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let turned = turn(&config, &self.store, &self.clock, actor, how).await?;
        self.controls.look();
        turned.ok_or_else(|| no_endpoint(how.0))
    }

    /// Gives up all that waits for an endpoint.
    pub(in crate::app) async fn cancel_endpoint(&self, actor: Actor, name: &str) -> Result<u64, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let cancelled = cancel(&config, &self.store, &self.clock, actor, name).await?;
        cancelled.ok_or_else(|| no_endpoint(name))
    }

    /// What would be told about a real record as it is now.
    pub(in crate::app) async fn sampled(
        &self,
        shop: &str,
        object: Object,
        id: &str,
    ) -> Result<Notification, Refused> {
        let name = self.declared(shop)?;
        let config = Arc::clone(&self.config.borrow());
        let shop = config
            .shops
            .get(&name)
            .ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{name}].")))?;
        let unreachable = |error: &dyn std::error::Error| {
            Refused::Unreachable(format!("The shop cannot be asked: {error}."))
        };
        let client = self.clients.borrow().get(&name).cloned();
        let shopify = match client {
            Some(client) => client,
            None => {
                connect::shopify(shop, &self.clock, &self.entropy).map_err(|error| unreachable(&error))?
            }
        };
        let sides = (&*shopify, &self.store);
        let sampling = sample_named(shop, sides, (object, id), (&self.clock, &self.entropy));
        let sampled = tokio::time::timeout(PATIENCE, sampling).await;
        let Ok(sampled) = sampled else {
            return Err(Refused::Unreachable(
                "The shop took too long to answer.".to_owned(),
            ));
        };
        sampled.map_err(|error| match error {
            SampleError::Store(error) => Refused::Store(error),
            SampleError::Shopify(error) => unreachable(&error),
            SampleError::Unsupported(_) => Refused::Invalid(format!("{error}.")),
            SampleError::NotFound { .. } => Refused::Unknown(format!("{error}.")),
            SampleError::Find(error) => match error {
                crate::app::enqueue::FindError::Shopify(error) => unreachable(&error),
                crate::app::enqueue::FindError::Id(_) => Refused::Invalid(format!("{error}.")),
                other => Refused::Unknown(format!("{other}.")),
            },
        })
    }

    /// What an endpoint would be sent for a real record.
    pub(in crate::app) async fn previewed(
        &self,
        endpoint: &str,
        (shop, object, id): (&str, Object, &str),
        event: Option<EventType>,
    ) -> Result<NotifyPreview, Refused> {
        let endpoint = self.endpoint(endpoint)?;
        let event = shown_event(&endpoint, object, event).ok_or_else(|| {
            Refused::Invalid(format!("The endpoint `{}` gets no such event.", endpoint.name))
        })?;
        let mut notification = self.sampled(shop, object, id).await?;
        notification.event = event;
        Ok(preview(&endpoint, &notification))
    }

    /// Sends once more what has ended.
    pub(in crate::app) async fn again(&self, actor: Actor, what: Redeliver) -> Result<Again, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let again = redeliver(&config, &self.store, &self.clock, actor, what).await?;
        self.controls.look();
        let sentence = || format!("{}.", capitalised(&again.told));
        match again.result {
            Redelivered::Done(_) => Ok(again),
            Redelivered::Unknown => Err(Refused::Unknown(sentence())),
            Redelivered::UnderWay => Err(conflict("not_now", sentence())),
            Redelivered::Replaced => Err(conflict("replaced", sentence())),
            Redelivered::Removed => Err(conflict("removed", sentence())),
            Redelivered::Pruned => Err(conflict("pruned", sentence())),
            Redelivered::Undeclared => Err(conflict("undeclared", sentence())),
        }
    }
}

/// How long somebody waits for a shop.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn no_endpoint(name: &str) -> Refused {
    Refused::Unknown(format!("No endpoint is declared as [notify.endpoints.{name}]."))
}

fn caller(request: &Extensions) -> Actor {
    let name = request.get::<Caller>().map_or("-", |caller| caller.name.as_str());
    Actor::new(name, Via::Api)
}

/// A number of a delivery out of an address.
pub(in crate::app) fn delivery_id(text: &str) -> Result<i64, Refused> {
    text.parse()
        .map_err(|_| Refused::Invalid(format!("`{text}` is no number of a delivery.")))
}

/// Objects of which there are fields.
pub(in crate::app) fn object_of(text: &str) -> Result<Object, Refused> {
    let object = text.parse().ok().filter(|object| synced(*object).is_some());
    object.ok_or_else(|| Refused::Unknown("There are fields of order, customer and product.".to_owned()))
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

async fn list(State(api): State<Arc<Api>>, request: Extensions) -> Response {
    let config = Arc::clone(&api.config.borrow());
    let found = endpoints(&config, &api.store).await;
    answer(found.map_err(Refused::from), &request)
}

async fn test(State(api): State<Arc<Api>>, Path(name): Path<String>, request: Extensions) -> Response {
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

async fn pause(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    turned(&api, name, true, &request, &bytes).await
}

async fn resume(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    turned(&api, name, false, &request, &bytes).await
}

async fn give_up(State(api): State<Arc<Api>>, Path(endpoint): Path<String>, request: Extensions) -> Response {
    let cancelled = api.cancel_endpoint(caller(&request), &endpoint).await;
    answer(
        cancelled.map(|cancelled| Cancelled { endpoint, cancelled }),
        &request,
    )
}

/// As if what had happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AsIf {
    event: Option<EventType>,
}

async fn show_preview(
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
struct Asked {
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

async fn log(
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

async fn show(State(api): State<Arc<Api>>, Path(delivery): Path<String>, request: Extensions) -> Response {
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

async fn one_again(
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

async fn many_again(State(api): State<Arc<Api>>, request: Extensions, bytes: Bytes) -> Response {
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

async fn fields(Path(event): Path<String>, request: Extensions) -> Response {
    let event: Result<EventType, _> = event.parse();
    let listed = event
        .map(fields_of)
        .map_err(|error| Refused::Unknown(format!("{error}.")));
    answer(listed, &request)
}

async fn fields_of_record(
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
