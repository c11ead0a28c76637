//! The listeners: what the world may say to lockstep, and what it answers.
//!
//! The *public* listener takes webhooks and answers health checks. The *admin* listener (loopback unless told otherwise)
//! gives metrics. Both are served through hyper with deadlines for headers and bodies, a cap on connections and on
//! their lifetime, and a stop that ends in time whatever clients do.
//!
//! Promises:
//! - A webhook is answered with 200 only after its event is durable (`intake`).
//! - Nothing that a client sends makes it panic, and a panic all the same becomes a plain 500.
//! - Inner error texts never leave: errors are `application/problem+json` with a stable `code`.
//!
//! Deliberately not here: TLS (a reverse proxy's work), and what a webhook leads to (the queue's work). Shops, secrets and
//! signatures come in through [`IntakeShops`] and [`Verify`], so that this module knows no pillar but the store.

mod address;
mod admin;
mod answer;
mod health;
mod intake;
mod odoo;
mod password;
mod reach;
mod serve;
mod settings;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::domain::{Network, SharedEntropy};

pub use admin::{Admin, admin_router, keep_metrics_small};
pub use answer::problem;
pub use health::Health;
pub use intake::{Intake, IntakeShop, IntakeShops, OwnName, Signature, TEST_TOPIC, Verify, test_body};
pub use odoo::{Hinted, Hints};
pub use password::{
    LONGEST_PASSWORD_BYTES, PasswordError, SHORTEST_PASSWORD, hash_password, is_password, is_password_hash,
};
pub use reach::{InstanceKey, NONCE_PATH, local_token, nonce_proof};
pub use serve::{HttpError, Limits, Listeners, serve};
pub use settings::{AdminSettings, AllowFrom, NamedToken, Settings, TokenSettings, UserSettings};

/// What the public routes need.
#[derive(Clone, Debug)]
pub struct Public {
    /// Webhooks.
    pub intake: Arc<Intake>,
    /// Hints of the ERP's.
    pub hints: Arc<Hints>,
    /// Health.
    pub health: Arc<Health>,
    /// What proves that this very installation was reached.
    pub instance_key: InstanceKey,
    /// `[http]`.
    pub settings: Arc<Settings>,
    /// For request ids.
    pub entropy: SharedEntropy,
}

/// The routes of the public listener.
pub fn public_router(parts: Public) -> Router {
    let Public {
        intake,
        hints,
        health,
        instance_key,
        settings,
        entropy,
    } = parts;
    let access = |allowed: &[Network]| address::Access::new(allowed, &settings.trusted_proxies);
    let webhooks = Router::new()
        .route("/webhooks/shopify", post(intake::receive))
        .with_state(Arc::clone(&intake))
        .layer(middleware::from_fn_with_state(
            (access(&settings.allow_from.webhooks), intake),
            intake::only_from,
        ));
    let health = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(health)
        .layer(middleware::from_fn_with_state(
            access(&settings.allow_from.health),
            address::only_from,
        ));
    let reach = Router::new()
        .route(reach::ROUTE, get(reach::answer))
        .with_state(instance_key);
    let hints = Router::new()
        .route(odoo::ROUTE, post(odoo::receive))
        .route(odoo::ROUTE_WITH_TOKEN, post(odoo::receive_with_token))
        .with_state((hints, access(&[])));
    finish(webhooks.merge(hints).merge(health).merge(reach), entropy)
}

/// What all routes have in common: answers for what is not there, request ids, no panic that gets out.
fn finish(router: Router, entropy: SharedEntropy) -> Router {
    router
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(middleware::from_fn_with_state(entropy, answer::number_requests))
}
