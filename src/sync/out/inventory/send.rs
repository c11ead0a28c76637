//! The write itself: noted before it is sent, closed when its outcome is known, sent again unchanged when it is not.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reckon::{Plan, Quantity, Set};
use crate::domain::{
    Disposition, FieldValue, Fields, QuantitiesSet, Refusal, SetQuantities, SetQuantity, ShopifyId,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::Mapping;
use crate::shopify::ShopifyError;
use crate::store::NewIntent;
use crate::sync::flow::Flow;
use crate::sync::resync::written_own;
use crate::sync::stop::Stop;

/// Shopify's limit of a list in one call.
const MOST_PER_CALL: usize = 250;

/// The kind of the intents.
const SET: &str = "set_quantities";

/// How long Shopify surely remembers an idempotency key. An older intent is not sent again: its number is out of date, and
/// whatever it did shows in the shop by now.
const KEY_LIVES: Duration = Duration::from_secs(12 * 3600);

/// An intent's content: what is sent, but for its key.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    name: String,
    reference: String,
    /// Item, location, quantity, and what it is changed from.
    items: Vec<(ShopifyId, ShopifyId, i64, Option<i64>)>,
}

impl Payload {
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

/// What became of the writes of one attempt.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) done: Vec<Set>,
    /// The shop holds another number by now: to be planned anew.
    pub(super) stale: Vec<Set>,
    /// Not written because others of the same call could not be.
    pub(super) beside: Vec<Set>,
    pub(super) refused: Vec<(Set, Refusal)>,
}

impl Sent {
    /// Whether something of an article is still to be written.
    pub(super) fn is_left(&self, item: ShopifyId) -> bool {
        let mut left = self.stale.iter().chain(&self.beside);
        left.any(|set| set.item == item)
    }
}

/// Sends what is planned, as many levels in a call as Shopify takes. What is on the move (`crowded`) goes in calls of its own, so
/// that it keeps nothing else from being written. What became of the calls so far stands in `sent`, also where one fails.
pub(super) async fn send_all(
    flow: &Flow<'_>,
    mapping: &Mapping,
    plan: &Plan,
    crowded: &BTreeSet<ShopifyId>,
    sent: &mut Sent,
) -> Result<(), Stop> {
    let (apart, together): (Vec<Set>, Vec<Set>) =
        plan.sets.iter().partition(|set| crowded.contains(&set.item));
    let calls = together
        .chunks(MOST_PER_CALL)
        .chain(apart.chunk_by(|one, next| one.item == next.item));
    for sets in calls {
        match set(flow, mapping, plan.quantity, sets).await {
            Ok(QuantitiesSet::Done) => sent.done.extend(sets),
            Ok(QuantitiesSet::Stale(stale)) => {
                flow.note("stock_moved_meanwhile", json!({ "levels": stale.len() }));
                for (at, set) in sets.iter().enumerate() {
                    let of = if stale.contains(&at) {
                        &mut sent.stale
                    } else {
                        &mut sent.beside
                    };
                    of.push(*set);
                }
            }
            Err(Stop::Shopify(error)) if names_levels(&error, sets.len()) => {
                let refusals = match &error {
                    ShopifyError::Rejected { refusals, .. } => refusals.as_slice(),
                    _ => &[],
                };
                for (at, set) in sets.iter().enumerate() {
                    match refusals.iter().find(|one| one.index == Some(at)) {
                        Some(refusal) => sent.refused.push((*set, refusal.clone())),
                        None => sent.beside.push(*set),
                    }
                }
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(())
}

/// Whether a call was refused for good because of some of its levels.
fn names_levels(error: &ShopifyError, levels: usize) -> bool {
    let ShopifyError::Rejected { refusals, .. } = error else {
        return false;
    };
    let is_level = |refusal: &Refusal| refusal.index.is_some_and(|at| at < levels);
    matches!(error.disposition(), Disposition::Permanent)
        && !refusals.is_empty()
        && refusals.iter().all(is_level)
}

/// Commits the write as an intent, sends it, and closes the intent when its outcome is known.
async fn set(
    flow: &Flow<'_>,
    mapping: &Mapping,
    quantity: Quantity,
    sets: &[Set],
) -> Result<QuantitiesSet, Stop> {
    let shop = flow.shop;
    let overwrite = mapping.out.as_ref().is_some_and(|rules| rules.overwrite);
    let sent = Payload {
        name: quantity.name().to_owned(),
        reference: format!("gid://lockstep/Job/{}", flow.job.id),
        items: sets
            .iter()
            .map(|set| {
                (
                    set.item,
                    set.location,
                    set.quantity,
                    set.from.filter(|_| !overwrite),
                )
            })
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
    reach(FailPoint::IntentCommitted).await?;
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
    let is_done = matches!(outcome, QuantitiesSet::Done);
    let told = json!({
        "name": set.name,
        "outcome": if is_done { "done" } else { "stale" },
        "items": set.items.iter().map(|item| json!({
            "item": item.item, "location": item.location, "quantity": item.quantity, "from": item.from,
        })).collect::<Vec<_>>(),
    });
    if is_done {
        let level = |item: &SetQuantity| format!("{}[{}@{}]", set.name, item.item, item.location);
        let fields: Fields = set
            .items
            .iter()
            .map(|item| (level(item), FieldValue::Integer(item.quantity)))
            .collect();
        let before = set
            .items
            .iter()
            .filter_map(|item| Some((level(item), FieldValue::Integer(item.from?))))
            .collect();
        flow.note_written("set_quantities", told, written_own(flow, &fields, Some(&before)));
    } else {
        flow.note("set_quantities", told);
    }
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
        match serde_json::from_value::<Payload>(intent.payload) {
            Ok(sent) if is_fresh && intent.kind == SET => {
                flow.note("sent_again", json!({ "key": intent.key }));
                let sent = sent.with_key(intent.key);
                match send(flow, intent.id, &sent).await {
                    // It did nothing. What is to be written now is planned anew, and refused anew if need be.
                    Err(Stop::Shopify(error)) if names_levels(&error, sent.items.len()) => {}
                    result => drop(result?),
                }
            }
            _ => close(flow, intent.id).await?,
        }
    }
    Ok(())
}
