//! The write itself: noted before it is sent, closed when its outcome is known, sent again unchanged when it is not.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reckon::{Plan, Quantity};
use crate::domain::{QuantitiesSet, SetQuantities, SetQuantity, ShopifyId};
use crate::mapping::Mapping;
use crate::store::NewIntent;
use crate::sync::flow::Flow;
use crate::sync::stop::Stop;

/// The kind of the intents.
const SET: &str = "set_quantities";

/// How long Shopify surely remembers an idempotency key. An older intent is not sent again: its number is out of date, and
/// whatever it did shows in the shop by now.
const KEY_LIVES: Duration = Duration::from_secs(12 * 3600);

/// An intent's content: what is sent, but for its key.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    name: String,
    reference: String,
    /// Item, location, quantity, and what it is changed from.
    items: Vec<(ShopifyId, ShopifyId, i64, Option<i64>)>,
}

impl Sent {
    fn with_key(self, key: String) -> SetQuantities {
        SetQuantities {
            name: self.name,
            key,
            reference: self.reference,
            items: self
                .items
                .into_iter()
                .map(|(item, location, quantity, from)| SetQuantity {
                    item,
                    location,
                    quantity,
                    from,
                })
                .collect(),
        }
    }
}

/// Commits the write as an intent, sends it, and closes the intent when its outcome is known.
pub(super) async fn set(
    flow: &Flow<'_>,
    mapping: &Mapping,
    quantity: Quantity,
    item: ShopifyId,
    plan: &Plan,
) -> Result<QuantitiesSet, Stop> {
    let shop = flow.shop;
    let overwrite = mapping.out.as_ref().is_some_and(|rules| rules.overwrite);
    let sent = Sent {
        name: quantity.name().to_owned(),
        reference: format!("gid://lockstep/Job/{}", flow.job.id),
        items: plan
            .sets
            .iter()
            .map(|set| (item, set.location, set.quantity, set.from.filter(|_| !overwrite)))
            .collect(),
    };
    let key = uuid::Uuid::new_v4().to_string();
    let intent = NewIntent {
        kind: SET.to_owned(),
        key: key.clone(),
        payload: serde_json::to_value(&sent).unwrap_or_default(),
    };
    let now = shop.clock.now();
    let opened = shop
        .store
        .open_intent(flow.job.id, flow.job.fence, intent, now)
        .await?;
    let Some(intent) = opened else {
        return Err(Stop::Stale);
    };
    send(flow, intent, &sent.with_key(key)).await
}

async fn send(flow: &Flow<'_>, intent: i64, set: &SetQuantities) -> Result<QuantitiesSet, Stop> {
    let shop = flow.shop;
    let outcome = match flow.send(shop.target.set_quantities(set)).await {
        Ok(outcome) => outcome,
        Err(stop) => {
            // What the shop refused it did not do; of anything else nobody knows.
            if stop.is_refused_by_shop() {
                close(flow, intent).await?;
            }
            return Err(stop);
        }
    };
    flow.note(
        "set_quantities",
        json!({
            "name": set.name,
            "outcome": if matches!(outcome, QuantitiesSet::Done) { "done" } else { "stale" },
            "items": set.items.iter().map(|item| json!({
                "location": item.location, "quantity": item.quantity, "from": item.from,
            })).collect::<Vec<_>>(),
        }),
    );
    close(flow, intent).await?;
    Ok(outcome)
}

async fn close(flow: &Flow<'_>, intent: i64) -> Result<(), Stop> {
    let now = flow.shop.clock.now();
    let store = &flow.shop.store;
    if store
        .close_intent(flow.job.id, flow.job.fence, intent, now)
        .await?
    {
        Ok(())
    } else {
        Err(Stop::Stale)
    }
}

/// Sends again what an earlier attempt may or may not have sent. With the same key it takes effect once.
pub(super) async fn settle_intents(flow: &Flow<'_>) -> Result<(), Stop> {
    let shop = flow.shop;
    for intent in shop.store.open_intents(&flow.job.key).await? {
        let is_fresh = shop.clock.now().since(intent.created_at) < KEY_LIVES;
        match serde_json::from_value::<Sent>(intent.payload) {
            Ok(sent) if is_fresh && intent.kind == SET => {
                flow.note("sent_again", json!({ "key": intent.key }));
                send(flow, intent.id, &sent.with_key(intent.key)).await?;
            }
            _ => close(flow, intent.id).await?,
        }
    }
    Ok(())
}
