//! `/api/v1` on the admin listener: what the command line can do, for programs and the console.
//!
//! Every route is declared once, in `routes::table`: the router, the description (`openapi`) and the page in
//! `docs/reference` are made of it. All of them want a token (`auth`). Answers are JSON; what is refused is
//! `application/problem+json` with a stable `code`.

pub(crate) mod auth;
mod notify;
mod openapi;
mod outgoing;
mod records;
mod review;
mod routes;
mod runs;
#[cfg(test)]
mod tests;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::http::Extensions;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse as _, Json, Response};
use serde::Serialize;
use tokio::sync::watch;

use super::daemon::Controls;
use super::subscriptions::{Departed, Installation};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, ShopName};
use crate::http::{self, InstanceKey};
use crate::shopify::Shopify;
use crate::store::{SharedStore, StoreError};

pub(in crate::app) use notify::{DeclaredEndpoint, delivery_id, object_of};
pub use openapi::description;
pub(in crate::app) use routes::OfShop;

/// What the routes work with.
pub(crate) struct Api {
    /// What is in force.
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) store: SharedStore,
    pub(crate) clock: SharedClock,
    /// The shops' clients in use.
    pub(crate) clients: watch::Receiver<Arc<BTreeMap<ShopName, Arc<Shopify>>>>,
    /// This process, on behalf of the installation.
    pub(crate) installation: Installation,
    /// The shops that were taken out of the configuration since the start.
    pub(crate) departed: Departed,
    /// Where the public listener is.
    pub(crate) listener: std::net::SocketAddr,
    /// Where nonces come from.
    pub(crate) entropy: SharedEntropy,
    /// Whether the address that is listened on is this machine's own.
    pub(crate) is_local: bool,
    /// Tells the callers of the installation apart: each has leases of its own.
    pub(crate) calls: AtomicU64,
    /// What may be asked of the daemon.
    pub(crate) controls: Controls,
    /// Of this installation: the tokens of its own commands are made from it.
    pub(crate) instance_key: InstanceKey,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// The routes, behind the token.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in routes::table() {
        router = router.route(route.path, (route.handler)());
    }
    router
        .with_state(Arc::clone(&api))
        .layer(middleware::from_fn_with_state(api, auth::only_with_token))
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What was asked for does not exist.
    Unknown(String),
    /// The request itself is wrong.
    Invalid(String),
    /// It is understood, and cannot be done as things stand.
    Conflict { code: &'static str, detail: String },
    /// A system that is needed for it does not answer.
    Unreachable(String),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refused {
    fn answer(self, request: &Extensions) -> Response {
        let (status, code, detail) = match self {
            Self::Unknown(detail) => (StatusCode::NOT_FOUND, "unknown", detail),
            Self::Invalid(detail) => (StatusCode::BAD_REQUEST, "invalid", detail),
            Self::Conflict { code, detail } => (StatusCode::CONFLICT, code, detail),
            Self::Unreachable(detail) => (StatusCode::BAD_GATEWAY, "unreachable", detail),
            Self::Store(error) => {
                tracing::error!(error = %error, "the store failed a request of the API");
                let detail = "The store does not answer. Try again.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
            }
        };
        http::problem(status, code, &detail, request)
    }
}

/// The answer to the request with these extensions.
fn answer<T: Serialize>(result: Result<T, Refused>, request: &Extensions) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(refused) => refused.answer(request),
    }
}
