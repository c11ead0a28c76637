//! The console: pages on the admin listener for the people who look after the shops.
//!
//! Every page is declared once, in `routes::table`, with the least role that may see or do it; the gate (`gate`) is in front
//! of all of them. Pages are made on the server, work without scripts, and ask nothing of any other place. Whatever changes
//! something is a `POST` with the session's own token, followed by a redirection.
//!
//! Deliberately not here: what an action does. The same use cases stand behind the command line and the API (`seam`).

mod asks;
mod audit;
mod concerns;
mod drift;
mod error;
mod gate;
mod guard;
mod job;
mod jobs;
mod login;
mod mappings;
mod notify;
mod numbers;
mod overview;
mod parts;
mod plans;
mod preview;
mod problems;
mod record;
mod recovery;
mod routes;
mod runs;
mod seam;
mod session;
mod settings;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
mod view;
mod webhooks;
mod why;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;

use super::api::Api;
use crate::domain::SharedEntropy;

pub(in crate::app) use problems::{code_page, url_of as cluster_page};

/// Whether the console has a page at this address.
#[cfg(test)]
pub(in crate::app) fn has_page(address: &str) -> bool {
    let path = address.split('?').next().unwrap_or(address);
    routes::table()
        .iter()
        .any(|page| page.method == "get" && page.path == path)
}

use guard::Guard;

/// What the pages work with.
pub(crate) struct Console {
    /// What the API works with.
    pub(super) api: Arc<Api>,
    /// Where sessions' names come from.
    entropy: SharedEntropy,
    /// Slows down whoever guesses passwords.
    guard: Guard,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Console {
    /// A console beside the API.
    pub(crate) fn new(api: Arc<Api>, entropy: SharedEntropy) -> Self {
        Self {
            api,
            entropy,
            guard: Guard::default(),
        }
    }
}

/// The pages, behind the gate.
pub(crate) fn router(console: Arc<Console>) -> Router {
    let mut router = Router::new();
    for page in routes::table() {
        let gate = gate::Gate {
            console: Arc::clone(&console),
            needs: page.needs,
            changes: page.method != "get",
        };
        router = router.route(
            page.path,
            (page.handler)().route_layer(middleware::from_fn_with_state(gate, gate::enter)),
        );
    }
    router
        .with_state(console)
        .route(view::STYLE_PATH, get(view::style))
        .layer(middleware::map_response(view::with_headers))
}
