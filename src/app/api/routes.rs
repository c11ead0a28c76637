//! The routes, each declared once.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{MethodRouter, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::outgoing::{self, PushedAll, ResolveRequest, Resolved};
use super::webhooks::{self, AdoptRequest, ApplyRequest, ToggleRequest, Toggled};
use super::{Api, Refused, answer, openapi};
use crate::app::subscriptions::{ApplyReport, ListReport, PlanReports};
use crate::app::{ring, status};
use crate::config::{Config, Shop};
use crate::domain::{Direction, Object, Role, ShopName};
use crate::subscriptions::Toggle;

/// One route.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// The operation's name in generated clients.
    pub(super) id: &'static str,
    /// One sentence.
    pub(super) summary: &'static str,
    /// What follows `?`.
    pub(super) query: &'static [Parameter],
    pub(super) request: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// What is answered with 200; nothing means 204.
    pub(super) response: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) handler: fn() -> MethodRouter<Arc<Api>>,
}

/// One parameter of the query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// Restricts the answer to one shop.
const SHOP: Parameter = Parameter {
    name: "shop",
    about: "Only this shop, by its name in the configuration.",
};

/// The query of routes that take [`SHOP`].
#[derive(Debug, Deserialize)]
pub(in crate::app) struct OfShop {
    pub(in crate::app) shop: Option<String>,
}

impl OfShop {
    /// The shops that are meant.
    pub(super) fn choose<'c>(&self, config: &'c Config) -> Result<Vec<&'c Shop>, Refused> {
        let Some(name) = &self.shop else {
            return Ok(config.shops.values().collect());
        };
        let named = config.shops.values().find(|shop| shop.name.as_str() == name);
        named
            .map(|shop| vec![shop])
            .ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{name}].")))
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// All routes.
pub(super) fn table() -> Vec<Route> {
    vec![
        Route {
            method: "get",
            path: "/api/v1/openapi.json",
            id: "getDescription",
            summary: "This description.",
            query: &[],
            request: None,
            response: Some(|_| Schema::default()),
            handler: || get(|| async { Json(openapi::description()) }),
        },
        Route {
            method: "get",
            path: "/api/v1/status",
            id: "getStatus",
            summary: "How things stand: lanes, breakers, problems, refusals, warnings.",
            query: &[],
            request: None,
            response: Some(schema::<status::Status>),
            handler: || get(get_status),
        },
        Route {
            method: "get",
            path: "/api/v1/toggles",
            id: "listToggles",
            summary: "The toggles that are in force.",
            query: &[SHOP],
            request: None,
            response: Some(schema::<Vec<ToggleRow>>),
            handler: || get(list_toggles),
        },
        Route {
            method: "put",
            path: "/api/v1/shops/{shop}/toggles/{object}/{direction}",
            id: "setToggle",
            summary: "Changes a toggle in the configuration file and takes it up; a read-only file stays, and the answer has the difference.",
            query: &[],
            request: Some(schema::<ToggleRequest>),
            response: Some(schema::<Toggled>),
            handler: || put(webhooks::toggle),
        },
        Route {
            method: "post",
            path: "/api/v1/shops/{shop}/push/{object}",
            id: "pushAll",
            summary: "Carries every record of an object in the ERP over to the shop: customer, product or inventory. `out` must not be off.",
            query: &[],
            request: None,
            response: Some(schema::<PushedAll>),
            handler: || post(outgoing::push_all),
        },
        Route {
            method: "post",
            path: "/api/v1/jobs/{job}/resolve",
            id: "resolveJob",
            summary: "Chooses whose value is kept of fields that both sides changed.",
            query: &[],
            request: Some(schema::<ResolveRequest>),
            response: Some(schema::<Resolved>),
            handler: || post(outgoing::resolve),
        },
        Route {
            method: "get",
            path: "/api/v1/webhooks",
            id: "listWebhooks",
            summary: "Webhook subscriptions: what is wanted and what is there, and what arrives.",
            query: &[SHOP],
            request: None,
            response: Some(schema::<Vec<ListReport>>),
            handler: || get(webhooks::list),
        },
        Route {
            method: "get",
            path: "/api/v1/webhooks/plan",
            id: "planWebhooks",
            summary: "What would be created, updated and deleted on Shopify. Changes nothing.",
            query: &[SHOP],
            request: None,
            response: Some(schema::<PlanReports>),
            handler: || get(webhooks::plan),
        },
        Route {
            method: "post",
            path: "/api/v1/webhooks/apply",
            id: "applyWebhooks",
            summary: "Carries the plan out and reads everything back.",
            query: &[],
            request: Some(schema::<ApplyRequest>),
            response: Some(schema::<Vec<ApplyReport>>),
            handler: || post(webhooks::apply),
        },
        Route {
            method: "post",
            path: "/api/v1/webhooks/adopt",
            id: "adoptWebhooks",
            summary: "Takes over subscriptions that are not lockstep's.",
            query: &[],
            request: Some(schema::<AdoptRequest>),
            response: Some(schema::<Vec<ApplyReport>>),
            handler: || post(webhooks::adopt),
        },
        Route {
            method: "post",
            path: ring::PATH,
            id: "ring",
            summary: "Has the daemon look for work at once.",
            query: &[],
            request: None,
            response: None,
            handler: || post(ring),
        },
        Route {
            method: "post",
            path: "/api/v1/reload",
            id: "reload",
            summary: "Takes up the configuration and mapping files now; nothing changes when they have a mistake.",
            query: &[],
            request: None,
            response: Some(schema::<Reloaded>),
            handler: || post(reload),
        },
    ]
}

async fn get_status(State(api): State<Arc<Api>>, request: Extensions) -> Response {
    let config = Arc::clone(&api.config.borrow());
    let mut status = status::status(&config, &api.store, &api.clock).await;
    let is_viewer = request
        .get::<Caller>()
        .is_none_or(|caller| !caller.role.may(Role::Operator));
    if let Ok(status) = &mut status
        && is_viewer
    {
        // Details hold both sides' values, and candidates by name.
        for row in &mut status.problems {
            row.problem.detail = serde_json::Value::Null;
        }
    }
    answer(status.map_err(Refused::from), &request)
}

/// One toggle.
#[derive(Debug, Serialize, JsonSchema)]
struct ToggleRow {
    shop: ShopName,
    object: Object,
    direction: Direction,
    state: Toggle,
}

async fn list_toggles(
    State(api): State<Arc<Api>>,
    Query(of_shop): Query<OfShop>,
    request: Extensions,
) -> Response {
    let config = Arc::clone(&api.config.borrow());
    let rows = of_shop.choose(&config).map(|shops| {
        shops
            .into_iter()
            .flat_map(|shop| {
                status::toggles(shop)
                    .into_iter()
                    .map(|(object, direction, state)| ToggleRow {
                        shop: shop.name.clone(),
                        object,
                        direction,
                        state,
                    })
            })
            .collect::<Vec<_>>()
    });
    answer(rows, &request)
}

async fn ring(State(api): State<Arc<Api>>) -> Response {
    api.controls.look();
    StatusCode::NO_CONTENT.into_response()
}

/// What a reload came to.
#[derive(Debug, Serialize, JsonSchema)]
struct Reloaded {
    /// The number of the configuration and mappings in force.
    revision: Option<i64>,
}

async fn reload(State(api): State<Arc<Api>>, request: Extensions) -> Response {
    let result = api.controls.reload().await;
    answer(
        result
            .map(|revision| Reloaded { revision })
            .map_err(|detail| Refused::Conflict {
                code: "files_not_taken",
                detail,
            }),
        &request,
    )
}
