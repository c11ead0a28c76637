//! `/healthz`: the process is alive. `/readyz`: it can do its work, or why not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use crate::domain::{SharedClock, Timestamp};
use crate::store::SharedStore;

/// How long the store may take to answer.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// An answer of the store is good for this long, so that nobody can wear it down through `/readyz`.
const PING_GOOD_FOR: Duration = Duration::from_secs(1);

/// What the health routes need.
pub struct Health {
    store: SharedStore,
    clock: SharedClock,
    /// Why the daemon is not ready, besides the store: `migrations are being applied`, `stopping`. Empty when it is.
    pending: watch::Receiver<Vec<String>>,
    last_ping: Mutex<Option<(Timestamp, bool)>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

impl Health {
    /// Health of this store; `pending` says in plain words why the daemon is not ready, and is empty when it is.
    pub fn new(store: SharedStore, clock: SharedClock, pending: watch::Receiver<Vec<String>>) -> Self {
        Self {
            store,
            clock,
            pending,
            last_ping: Mutex::new(None),
        }
    }

    async fn store_answers(&self) -> bool {
        // Held while the store is asked: others wait for the same answer.
        let mut last = self.last_ping.lock().await;
        let now = self.clock.now();
        if let Some((at, answers)) = *last
            && now.since(at) < PING_GOOD_FOR
        {
            return answers;
        }
        let ping = tokio::time::timeout(PING_WITHIN, self.store.ping()).await;
        let answers = match ping {
            Ok(Ok(())) => true,
            Ok(Err(failure)) => {
                tracing::warn!(error = %failure, "not ready: the store does not work");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the store does not answer");
                false
            }
        };
        *last = Some((now, answers));
        answers
    }
}

pub(super) async fn alive() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(super) async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    let mut reasons: Vec<Value> = health
        .pending
        .borrow()
        .iter()
        .map(|reason| json!({ "part": "daemon", "reason": reason }))
        .collect();
    if !health.store_answers().await {
        reasons.push(json!({ "part": "store", "reason": "the store cannot be written and read" }));
    }
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({ "ready": reasons.is_empty(), "reasons": reasons });
    (status, Json(body))
}
