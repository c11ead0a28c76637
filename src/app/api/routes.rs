//! The routes, each declared once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{MethodRouter, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::outgoing::{self, PushedAll};
use super::webhooks::{self, AdoptRequest, ApplyRequest, ToggleRequest, Toggled};
use super::{Api, Refused, answer, notify, openapi, records, review, runs};
use crate::app::record::Record;
use crate::app::subscriptions::{ApplyReport, ListReport, PlanReports};
use crate::app::test_delivery::TestDelivery;
use crate::app::{numbers, report, ring, status};
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
    /// The least role that may.
    pub(super) needs: Role,
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
pub(super) const SHOP: Parameter = Parameter {
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

pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// All routes.
pub(super) fn table() -> Vec<Route> {
    let mut routes = vec![
        Route {
            method: "get",
            path: "/api/v1/openapi.json",
            id: "getDescription",
            summary: "This description.",
            needs: Role::Viewer,
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
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<status::Status>),
            handler: || get(get_status),
        },
        Route {
            method: "get",
            path: "/api/v1/report",
            id: "getReport",
            summary: "The review report: failures by cause, corrections by hand, slow jobs, what is open, the numbers.",
            needs: Role::Viewer,
            query: &[
                SHOP,
                Parameter {
                    name: "days",
                    about: "The last so many days, 1 to 90; 7 where nothing is said.",
                },
            ],
            request: None,
            response: Some(schema::<report::Report>),
            handler: || get(get_report),
        },
        Route {
            method: "get",
            path: "/api/v1/numbers",
            id: "getNumbers",
            summary: "The numbers of the last 24 hours, in all and hour by hour.",
            needs: Role::Viewer,
            query: &[SHOP],
            request: None,
            response: Some(schema::<numbers::Numbers>),
            handler: || get(get_numbers),
        },
        Route {
            method: "get",
            path: "/api/v1/toggles",
            id: "listToggles",
            summary: "The toggles that are in force.",
            needs: Role::Viewer,
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
            needs: Role::Admin,
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
            needs: Role::Admin,
            query: &[],
            request: None,
            response: Some(schema::<PushedAll>),
            handler: || post(outgoing::push_all),
        },
        Route {
            method: "get",
            path: "/api/v1/webhooks",
            id: "listWebhooks",
            summary: "Webhook subscriptions: what is wanted and what is there, and what arrives.",
            needs: Role::Viewer,
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
            needs: Role::Viewer,
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
            needs: Role::Admin,
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
            needs: Role::Admin,
            query: &[],
            request: Some(schema::<AdoptRequest>),
            response: Some(schema::<Vec<ApplyReport>>),
            handler: || post(webhooks::adopt),
        },
        Route {
            method: "post",
            path: "/api/v1/shops/{shop}/webhooks/test",
            id: "testDelivery",
            summary: "Sends a test delivery to this installation, signed with the shop's secret. It makes no event and no job.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<TestDelivery>),
            handler: || post(webhooks::test_delivery),
        },
        Route {
            method: "post",
            path: ring::PATH,
            id: "ring",
            summary: "Has the daemon look for work at once.",
            needs: Role::Operator,
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
            needs: Role::Admin,
            query: &[],
            request: None,
            response: Some(schema::<Reloaded>),
            handler: || post(reload),
        },
        Route {
            method: "get",
            path: "/api/v1/records/{shop}/{object}/{id}",
            id: "showRecord",
            summary: "One order, customer or product (by Shopify's number) as both systems have it now, and what happened to it. \
                      Viewers see no customers' data.",
            needs: Role::Viewer,
            query: &[
                Parameter {
                    name: "compare",
                    about: "`now` to compare both sides field by field through the mapping.",
                },
                Parameter {
                    name: "live",
                    about: "`no` to ask only the store.",
                },
            ],
            request: None,
            response: Some(schema::<Record>),
            handler: || get(records::show),
        },
    ];
    routes.extend(review::table());
    routes.extend(notify::table());
    routes.extend(runs::table());
    routes
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

/// The query of the report.
#[derive(Debug, Deserialize)]
struct ReportQuery {
    shop: Option<String>,
    days: Option<u32>,
}

async fn get_report(
    State(api): State<Arc<Api>>,
    Query(query): Query<ReportQuery>,
    request: Extensions,
) -> Response {
    let days = query.days.unwrap_or(7);
    if !(1..=90).contains(&days) {
        let refused = Refused::Invalid(format!("`days` is {days}: it must be 1 to 90."));
        return answer::<report::Report>(Err(refused), &request);
    }
    let now = api.clock.now();
    let length = Duration::from_secs(24 * 3600) * days;
    let result = match one_shop(&api, query.shop) {
        Ok(shop) => report::report(&api.store, shop.as_ref(), length, now)
            .await
            .map_err(Refused::from),
        Err(refused) => Err(refused),
    };
    answer(result, &request)
}

async fn get_numbers(
    State(api): State<Arc<Api>>,
    Query(of_shop): Query<OfShop>,
    request: Extensions,
) -> Response {
    let now = api.clock.now();
    let since = now.minus(Duration::from_secs(24 * 3600));
    let result = match one_shop(&api, of_shop.shop) {
        Ok(shop) => numbers::numbers(&api.store, shop.as_ref(), since, now)
            .await
            .map_err(Refused::from),
        Err(refused) => Err(refused),
    };
    answer(result, &request)
}

/// The shop that is named, if one is.
fn one_shop(api: &Api, name: Option<String>) -> Result<Option<ShopName>, Refused> {
    let Some(name) = name else { return Ok(None) };
    let config = Arc::clone(&api.config.borrow());
    let query = OfShop { shop: Some(name) };
    let shops = query.choose(&config)?;
    Ok(shops.first().map(|shop| shop.name.clone()))
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
