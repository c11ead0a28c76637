//! Runs that come by themselves: to fill gaps, every few minutes, and at set times. Each kind says what is due and makes it;
//! what all have in common stands here.
//!
//! Promises: of a kind there is one run of a shop's object at a time; a run whose shop or object is not to be looked at any
//! more is told to stop, also because another node acts on a newer configuration by now; a stop ends all runs in order, and
//! what was not done is due at the next start, once.

mod delta;
mod full;
mod gap;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::pause;
use super::shops::Current;
use crate::app::notify::events::Events;
use crate::config::Shop;
use crate::domain::{Direction, Object, SharedClock, ShopName};
use crate::reconcile::DeltaShop;
use crate::store::SharedStore;
use crate::subscriptions::Toggle;

pub(super) use delta::DeltaRuns;
pub(crate) use delta::{CAUSE as DELTA, OBJECTS as DELTA_OBJECTS};
pub(super) use full::{BothSides, FullRuns};
pub(super) use gap::GapRuns;

/// How often it is looked what is due. Machine time: tests cannot move it.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });

/// A shop's object.
type Key = (ShopName, Object);

/// A kind of run.
#[async_trait]
pub(super) trait Kind: Send + Sync {
    /// What a run is made with.
    type Due: Send;

    /// The runs that are due now. Of `busy` there is one under way.
    async fn due(&self, busy: &BTreeMap<Key, CancellationToken>) -> Vec<(Key, Self::Due)>;

    /// Whether a run under way is still meant.
    fn is_wanted(&self, key: &Key) -> bool;

    /// Makes a run. When `stop` is cancelled it ends as soon as it can.
    async fn run(&self, key: &Key, due: Self::Due, stop: &CancellationToken);
}

/// Makes the runs of a kind until `stop`.
pub(super) async fn follow<K: Kind>(kind: K, stop: CancellationToken) {
    let kind = &kind;
    let mut running: FuturesUnordered<BoxFuture<'_, Key>> = FuturesUnordered::new();
    let mut busy: BTreeMap<Key, CancellationToken> = BTreeMap::new();
    loop {
        select! {
            () = stop.cancelled() => break,
            Some(key) = running.next(), if !running.is_empty() => {
                busy.remove(&key);
                continue;
            }
            () = pause(LOOK) => {}
        }
        for (_, run) in busy.iter().filter(|(key, _)| !kind.is_wanted(key)) {
            run.cancel();
        }
        for (key, due) in kind.due(&busy).await {
            if busy.contains_key(&key) {
                continue;
            }
            let told = stop.child_token();
            busy.insert(key.clone(), told.clone());
            running.push(Box::pin(async move {
                kind.run(&key, due, &told).await;
                key
            }));
        }
    }
    // What runs ends by the same token, and says so.
    while running.next().await.is_some() {}
}

/// What all kinds work with.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) current: Current,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) node: String,
    pub(super) events: Events,
}

impl Around {
    /// What is asked of each shop for which this node makes runs: of none while another one acts on a newer configuration.
    fn of_each<T>(&self, asked: impl FnMut(&Shop) -> T) -> Vec<T> {
        if !self.current.standing.borrow().is_newest {
            return Vec::new();
        }
        let config = Arc::clone(&self.current.config.borrow());
        let shops = config.shops.values();
        shops
            .filter(|shop| !self.current.disabled.contains(&shop.name))
            .map(asked)
            .collect()
    }

    /// Whether this node makes runs for the shop, and what `asked` says of it.
    fn is_wanted(&self, shop: &ShopName, asked: impl FnOnce(&Shop) -> bool) -> bool {
        let config = Arc::clone(&self.current.config.borrow());
        self.current.standing.borrow().is_newest
            && !self.current.disabled.contains(shop)
            && config.shops.get(shop).is_some_and(asked)
    }

    /// What a run needs of a shop, if it is connected.
    fn connected(&self, name: &ShopName) -> Option<DeltaShop> {
        let engine = Arc::clone(&self.current.engine.borrow());
        let context = engine.shop(name)?;
        Some(DeltaShop {
            name: name.clone(),
            source: Arc::clone(&context.source),
            store: self.store.clone(),
            clock: self.clock.clone(),
            node: self.node.clone(),
            notifier: Arc::new(self.events.clone()),
        })
    }
}

/// Whether records of this object are taken in.
fn is_taken_in(shop: &Shop, object: Object) -> bool {
    shop.sync.toggle(object, Direction::In) != Toggle::Off
}
