//! The log: what was told to whom, how that went, and telling it again.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::endpoints::paused;
use crate::config::Config;
use crate::domain::{Actor, SharedClock, ShopifyId, Timestamp};
use crate::store::{
    DispatchFilter, DispatchRow, DispatchState, DispatchStory, Redeliver, Redelivered, SharedStore,
    StoreError,
};

/// Which deliveries are asked for, as people and programs write it.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The endpoint's name.
    pub endpoint: Option<String>,
    /// Type of event.
    pub event: Option<String>,
    /// State.
    pub state: Option<DispatchState>,
    /// The shop's name.
    pub shop: Option<String>,
    /// An event's id, a record's name on either side, or its number or gid of Shopify.
    pub search: Option<String>,
    /// Of events since then.
    pub since: Option<Timestamp>,
    /// Of events before then.
    pub until: Option<Timestamp>,
    /// Older than this one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Deliveries that fit, newest first.
///
/// # Errors
/// When the store fails.
pub async fn deliveries(store: &SharedStore, wanted: Wanted) -> Result<Vec<DispatchRow>, StoreError> {
    let filter = |search: Option<String>| DispatchFilter {
        endpoint: wanted.endpoint.clone(),
        event: wanted.event.clone(),
        state: wanted.state,
        shop: wanted.shop.clone(),
        search,
        since: wanted.since,
        until: wanted.until,
        before: wanted.before,
        limit: wanted.limit,
    };
    let Some(text) = wanted
        .search
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    else {
        return store.dispatches(filter(None)).await;
    };
    for meaning in meanings(text) {
        let found = store.dispatches(filter(Some(meaning.clone()))).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        // After the last page of one meaning comes none of another.
        if wanted.before.is_some() {
            let first = DispatchFilter {
                before: None,
                limit: 1,
                ..filter(Some(meaning))
            };
            if !store.dispatches(first).await?.is_empty() {
                break;
            }
        }
    }
    Ok(Vec::new())
}

/// What a search may mean, in the order in which it is tried.
fn meanings(text: &str) -> Vec<String> {
    let mut meanings = vec![text.to_owned()];
    if let Ok(id) = text.parse::<ShopifyId>() {
        meanings.push(format!("shopify/{id}"));
    }
    if !text.starts_with('#') {
        meanings.push(format!("#{text}"));
    }
    meanings
}

/// A delivery as somebody sees it who may see no customers' data: neither what is sent nor what was answered.
#[must_use]
pub fn masked(mut story: DispatchStory) -> DispatchStory {
    story.body = None;
    for one in &mut story.tries {
        one.headers.clear();
        one.answer.clear();
    }
    story.row = masked_row(story.row);
    story
}

/// A line of the log as somebody sees it who may see no customers' data.
#[must_use]
pub fn masked_row(mut row: DispatchRow) -> DispatchRow {
    if row.object.as_deref() == Some("customer") {
        row.record = None;
    }
    row
}

/// What came of asking for something to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Again {
    /// Whether anything is sent again, and why not.
    pub result: Redelivered,
    /// How many are sent again.
    pub count: u64,
    /// Whether their endpoint is paused, or one of several is: they wait until it is resumed.
    pub is_paused: bool,
    /// One sentence.
    pub told: String,
}

/// Sends again what has ended, to endpoints that the configuration has: what waits for another one is cancelled, and it would no
/// longer be seen that it had failed.
///
/// # Errors
/// When the store fails.
pub async fn redeliver(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
    actor: Actor,
    what: Redeliver,
) -> Result<Again, StoreError> {
    let is_declared = |name: &str| config.endpoints.iter().any(|endpoint| endpoint.name == name);
    let endpoint = match &what {
        Redeliver::One(id) => store.dispatch(*id).await?.map(|story| story.row.endpoint),
        Redeliver::Failed { endpoint } => endpoint.clone(),
        Redeliver::Range { endpoint, .. } => Some(endpoint.clone()),
    };
    let rests = paused(config, store).await?;
    let (result, is_paused) = match &endpoint {
        Some(name) if !is_declared(name) => (Redelivered::Undeclared, false),
        None if what == (Redeliver::Failed { endpoint: None }) => {
            all_that_failed(config, store, clock, actor, &rests).await?
        }
        _ => {
            let result = store.redeliver(what, actor, clock.now()).await?;
            let is_paused = result.count() > 0 && endpoint.as_ref().is_some_and(|name| rests.contains(name));
            (result, is_paused)
        }
    };
    let told = match result {
        Redelivered::Done(0) => "nothing fits: nothing is sent again",
        Redelivered::Done(_) if is_paused && endpoint.is_none() => {
            "they are sent again, with the same ids; those of paused endpoints wait until these are resumed"
        }
        Redelivered::Done(1) if is_paused => {
            "it waits until the endpoint is resumed, and is sent again then, with the same id"
        }
        Redelivered::Done(_) if is_paused => {
            "they wait until the endpoint is resumed, and are sent again then, with the same ids"
        }
        Redelivered::Done(1) => "it is sent again, with the same id",
        Redelivered::Done(_) => "they are sent again, with the same ids",
        Redelivered::UnderWay => "it is being sent at this moment: nothing was done",
        Redelivered::Replaced => "a newer one about the same record took its place: send that one again",
        Redelivered::Removed => "what it told was removed on a privacy request: it cannot be sent again",
        Redelivered::Pruned => "it ended long ago and is not kept any more",
        Redelivered::Unknown => "there is no such delivery",
        Redelivered::Undeclared => "its endpoint is not in the configuration: nothing is sent again",
    };
    Ok(Again {
        result,
        count: result.count(),
        is_paused,
        told: told.to_owned(),
    })
}

/// Sends again what was given up, endpoint by endpoint. Says also whether one of them is paused.
async fn all_that_failed(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
    actor: Actor,
    paused: &BTreeSet<String>,
) -> Result<(Redelivered, bool), StoreError> {
    let mut count = 0;
    let mut is_paused = false;
    for endpoint in &config.endpoints {
        let what = Redeliver::Failed {
            endpoint: Some(endpoint.name.clone()),
        };
        let redelivered = store.redeliver(what, actor.clone(), clock.now()).await?;
        count += redelivered.count();
        is_paused |= redelivered.count() > 0 && paused.contains(&endpoint.name);
    }
    Ok((Redelivered::Done(count), is_paused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_an_id_a_name_or_a_number() {
        assert_eq!(meanings("#1001"), ["#1001"]);
        assert_eq!(meanings("1001"), ["1001", "shopify/1001", "#1001"]);
        assert_eq!(
            meanings("gid://shopify/Order/450789469"),
            [
                "gid://shopify/Order/450789469",
                "shopify/450789469",
                "#gid://shopify/Order/450789469"
            ]
        );
    }
}
