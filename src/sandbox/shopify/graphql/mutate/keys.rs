//! Idempotency keys: what was done under a key is done once and shown again.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::Value as Json;

use super::{Complaint, Payload};
use crate::sandbox::shopify::graphql::node::{Args, Failure};
use crate::sandbox::shopify::shop::Shop;

/// How long a key is remembered.
const LIFE: Duration = Duration::hours(24);

/// Keys that were used, and what came of them.
#[derive(Default)]
pub(in crate::sandbox::shopify) struct Keys(HashMap<String, Used>);

struct Used {
    name: String,
    args: Json,
    at: DateTime<Utc>,
    /// What it did; `None` when it failed.
    payload: Option<Payload>,
}

/// Whether a mutation is refused without a key (since 2026-04).
pub(super) fn are_needed(name: &str) -> bool {
    matches!(
        name,
        "refundCreate" | "inventorySetQuantities" | "inventoryActivate"
    )
}

/// Does it, unless it was done under this key before.
pub(super) fn once(
    shop: &mut Shop,
    key: &str,
    name: &str,
    args: &Args,
    apply: fn(&mut Shop, &str, &Args) -> Result<Payload, Failure>,
) -> Result<Payload, Failure> {
    let now = shop.now();
    shop.keys.0.retain(|_, used| now - used.at < LIFE);
    let args_now = Json::Object(args.clone());
    if let Some(used) = shop.keys.0.get(key) {
        let refused =
            |message: &str, code: &str| Ok(Payload::refused(vec![Complaint::new(&[], message, Some(code))]));
        if used.name != name || used.args != args_now {
            return refused(
                "The same idempotency key cannot be used with different operation parameters.",
                "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
            );
        }
        return match &used.payload {
            Some(payload) => Ok(payload.clone()),
            None => refused(
                "A previous request with this idempotency key failed. Retry with a new idempotency key.",
                "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED",
            ),
        };
    }
    let payload = apply(shop, name, args)?;
    shop.keys.0.insert(
        key.to_owned(),
        Used {
            name: name.to_owned(),
            args: args_now,
            at: now,
            payload: payload.complaints.is_empty().then(|| payload.clone()),
        },
    );
    Ok(payload)
}
