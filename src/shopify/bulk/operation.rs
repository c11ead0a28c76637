//! Starting an operation and waiting for its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::BulkError;
use crate::shopify::client::Client;
use crate::shopify::documents::{self, Document};
use crate::shopify::error::{RequestId, ShopifyError};

/// The first pause between two looks; each next one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long after a refusal it is tried again to start one.
const BUSY_PAUSE: Duration = Duration::from_secs(30);
/// How long an operation may take: a night's run must not meet the next night's.
const LONGEST_HOURS: u64 = 12;

/// What nobody waits for any more is cancelled within this time, if it can be.
const CANCEL_WITHIN: Duration = Duration::from_secs(10);

/// An operation that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shopify) struct Finished {
    /// Its number, for messages.
    pub(in crate::shopify) id: String,
    /// Where its result is; none of a shop that has nothing.
    pub(in crate::shopify) url: Option<String>,
    /// Lines of the result.
    pub(in crate::shopify) objects: u64,
    /// Lines that are no part of another one.
    pub(in crate::shopify) roots: u64,
    /// Bytes of the result.
    pub(in crate::shopify) bytes: Option<u64>,
}

/// Runs a query as a bulk operation, to its end. While as many are under way as Shopify allows, it is tried again for as long
/// as `patience`. One that nobody waits for any more, because this is dropped or it takes too long, is cancelled as well as may be:
/// Shopify runs few at a time, and the next run wants a place.
///
/// # Errors
/// In every way in which there is no whole result.
pub(in crate::shopify) async fn run(
    client: &Arc<Client>,
    query: &Document,
    patience: Duration,
) -> Result<Finished, ShopifyError> {
    let deadline = client.now().plus(patience);
    let id = loop {
        match start(client, query).await {
            Err(ShopifyError::Bulk(BulkError::Busy { .. })) if client.now().plus(BUSY_PAUSE) < deadline => {
                client.rest(BUSY_PAUSE).await;
            }
            outcome => break outcome?,
        }
    };
    tracing::debug!(operation = query.name, id, "a bulk operation runs");
    let mut under_way = UnderWay {
        client: Arc::clone(client),
        id: id.clone(),
        is_over: false,
    };
    let deadline = client.now().plus(Duration::from_hours(LONGEST_HOURS));
    let mut pause = FIRST_PAUSE;
    loop {
        client.rest(pause).await;
        pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
        match look(client, &id).await {
            Ok(Some(finished)) => {
                under_way.is_over = true;
                return Ok(finished);
            }
            Ok(None) => {}
            // Looking is free of consequences, and the operation goes on whoever looks.
            Err(error) if error.is_passing() => {
                tracing::debug!(id, %error, "could not look after a bulk operation");
            }
            Err(error) => {
                // What is not told as under way is over, or may not be asked about.
                under_way.is_over = true;
                return Err(error);
            }
        }
        if client.now() > deadline {
            return Err(BulkError::Endless {
                id: number(&id),
                hours: LONGEST_HOURS,
            }
            .into());
        }
    }
}

/// An operation that somebody waits for. Dropped before its end is known, it is cancelled.
struct UnderWay {
    client: Arc<Client>,
    id: String,
    is_over: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // While the process ends there may be none any more: Shopify ends the operation by itself then.
        let Some(runtime) = Handle::try_current().ok().filter(|_| !self.is_over) else {
            return;
        };
        let (client, id) = (Arc::clone(&self.client), std::mem::take(&mut self.id));
        runtime.spawn(async move {
            let variables = json!({ "id": id });
            let cancelling = client.call(&documents::BULK_CANCEL, &variables);
            match timeout(CANCEL_WITHIN, cancelling).await {
                Ok(Ok(_)) => {
                    tracing::info!(id, "a bulk operation that nobody waits for any more is cancelled");
                }
                Ok(Err(error)) => tracing::debug!(id, %error, "could not cancel a bulk operation"),
                Err(_) => tracing::debug!(id, "could not cancel a bulk operation in time"),
            }
        });
    }
}

async fn start(client: &Client, query: &Document) -> Result<String, ShopifyError> {
    let variables = json!({ "query": query.text });
    let data = client.call(&documents::BULK_RUN, &variables).await?;
    let payload = &data["bulkOperationRunQuery"];
    let errors = payload["userErrors"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(error) = errors.first() {
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        let (code, reason) = (
            text("code"),
            text("message").chars().take(300).collect::<String>(),
        );
        // Up to 2025-10 the refusal has no code, and only one operation may run at a time.
        let is_busy = matches!(code, "LIMIT_REACHED" | "OPERATION_IN_PROGRESS")
            || (code.is_empty() && reason.contains("already in progress"));
        return Err(if is_busy {
            BulkError::Busy {
                reason,
                after: BUSY_PAUSE,
            }
            .into()
        } else {
            ShopifyError::Refused {
                operation: query.name,
                code: if code.is_empty() { "INVALID" } else { code }.to_owned(),
                reason,
                request: RequestId::default(),
            }
        });
    }
    let id = payload.pointer("/bulkOperation/id").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| ShopifyError::Incomplete {
        operation: documents::BULK_RUN.name,
        reason: "it names no operation".to_owned(),
        request: RequestId::default(),
    })
}

/// The number in a global id, as people are told it.
fn number(gid: &str) -> String {
    gid.rsplit('/').next().unwrap_or(gid).to_owned()
}

/// How it stands: ended well, or not yet.
async fn look(client: &Client, gid: &str) -> Result<Option<Finished>, ShopifyError> {
    let data = client.call(&documents::BULK_STATE, &json!({ "id": gid })).await?;
    let state = &data["bulkOperation"];
    let id = number(gid);
    if state.is_null() {
        return Err(BulkError::Lost { id }.into());
    }
    let incomplete = |reason: &str| ShopifyError::Incomplete {
        operation: documents::BULK_STATE.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    };
    let count = |name: &str| match &state[name] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    Err(match state["status"].as_str().unwrap_or_default() {
        "CREATED" | "RUNNING" | "CANCELING" => return Ok(None),
        "COMPLETED" => {
            let (Some(objects), Some(roots)) = (count("objectCount"), count("rootObjectCount")) else {
                return Err(incomplete("it does not say how many objects there are"));
            };
            let url = state["url"].as_str().map(str::to_owned);
            if url.is_none() && objects > 0 {
                return Err(incomplete("it names no result, and has objects"));
            }
            return Ok(Some(Finished {
                id,
                url,
                objects,
                roots,
                bytes: count("fileSize"),
            }));
        }
        "FAILED" => BulkError::Failed {
            id,
            code: state["errorCode"]
                .as_str()
                .unwrap_or("it gives no reason")
                .to_owned(),
        }
        .into(),
        "CANCELED" => BulkError::Canceled { id }.into(),
        "EXPIRED" => BulkError::Expired { id }.into(),
        other => incomplete(&format!(
            "its status is {}",
            other.chars().take(40).collect::<String>()
        )),
    })
}
