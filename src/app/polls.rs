//! What is known of the polls of the ERP: when each model was polled last, what that found, and when Odoo hinted last. Whoever
//! polls notes it, and everybody may look.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Shop;
use crate::domain::{Direction, Object, ShopName, Timestamp};
use crate::erp::odoo;
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// The named position by which nodes tell each other of hints: when, and which node it came to.
pub const HINT: &str = "odoo_hint";

/// The last poll of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollNote {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Rows in its window; of the last one that succeeded.
    pub rows: u64,
    /// Rows of them that had changed.
    pub changed: u64,
    /// When the last one that succeeded began.
    pub succeeded_at: Option<Timestamp>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// How it stands with the polls of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PollStatus {
    /// The shop.
    pub shop: ShopName,
    /// Whose changes the model tells.
    pub object: Object,
    /// The ERP's model.
    pub model: String,
    /// When it was polled last; none before the first time.
    pub polled_at: Option<Timestamp>,
    /// How long that took, in milliseconds.
    pub took_ms: Option<u64>,
    /// Rows in the window that was read last.
    pub rows: Option<u64>,
    /// Rows of them that had changed.
    pub changed: Option<u64>,
    /// For how many seconds a change in the ERP may have been waiting to be noticed: since the last poll that succeeded began.
    pub lag_s: Option<u64>,
    /// Up to when, by the ERP's clock, everything is noticed.
    pub noticed_until: Option<Timestamp>,
    /// When all ids were listed last.
    pub listed_at: Option<Timestamp>,
    /// When Odoo's hint came last to any node, whatever its model.
    pub hinted_at: Option<Timestamp>,
    /// Why the last poll failed, if it did.
    pub error: Option<String>,
}

fn name(model: &str) -> String {
    format!("poll:{model}")
}

/// Notes a poll.
///
/// # Errors
/// When the store fails.
pub async fn note(
    store: &SharedStore,
    shop: &ShopName,
    model: &str,
    note: &PollNote,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(note).unwrap_or_default();
    store.set_cursor(shop, &name(model), &text, note.at).await
}

/// What was noted of a model's last poll.
///
/// # Errors
/// When the store fails.
pub async fn noted(
    store: &SharedStore,
    shop: &ShopName,
    model: &str,
) -> Result<Option<PollNote>, StoreError> {
    let text = store.cursor(shop, &name(model)).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// How it stands with the polls of a shop: of the models whose objects are not off.
///
/// # Errors
/// When the store fails.
pub async fn of_shop(
    store: &SharedStore,
    shop: &Shop,
    now: Timestamp,
) -> Result<Vec<PollStatus>, StoreError> {
    let mut polls = Vec::new();
    let mut hinted_at = None;
    for object in [Object::Customer, Object::Product, Object::Inventory] {
        if shop.sync.toggle(object, Direction::Out) == Toggle::Off {
            continue;
        }
        if hinted_at.is_none() {
            let word = store.cursor(&shop.name, HINT).await?.unwrap_or_default();
            let at = word.split(' ').next().and_then(|at| at.parse().ok());
            hinted_at = at.map(Timestamp::from_millis);
        }
        for watched in odoo::watched(object) {
            let note = noted(store, &shop.name, watched.model).await?;
            // One that only some mappings need, and this one does not.
            if note.is_none() && watched.forecast_only {
                continue;
            }
            let cursor = store.poll_cursor(&shop.name, watched.model).await?;
            let succeeded = note.as_ref().and_then(|note| note.succeeded_at);
            polls.push(PollStatus {
                shop: shop.name.clone(),
                object,
                model: watched.model.to_owned(),
                polled_at: note.as_ref().map(|note| note.at),
                took_ms: note.as_ref().map(|note| note.took_ms),
                rows: note.as_ref().map(|note| note.rows),
                changed: note.as_ref().map(|note| note.changed),
                lag_s: succeeded.map(|at| now.since(at).as_secs()),
                noticed_until: cursor.map(|cursor| cursor.until),
                listed_at: cursor.and_then(|cursor| cursor.swept_at),
                hinted_at,
                error: note.and_then(|note| note.error),
            });
        }
    }
    Ok(polls)
}
