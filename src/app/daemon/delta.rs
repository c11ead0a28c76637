//! Delta runs: every few minutes each shop is asked what changed since the last time, and what no webhook told of becomes
//! jobs.
//!
//! How far a shop's object is looked at is a time of the shop's own clock, the last change that it told of; it is moved when
//! every page was read and every job is there. An object that is off has no such time: switched on again, it begins then.
//!
//! Where it begins only our own clock can say, and that may be ahead of the shop's: it begins a little earlier, and after it
//! was off the shop is asked what it has of that time already, which is left alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::pause;
use super::shops::Current;
use crate::domain::{Direction, Object, SharedClock, ShopName, ShopifyId, Timestamp};
use crate::reconcile::{Delta, DeltaShop, Every, INDEX_LAG, Known, RunError, changed_so_far, delta_run};
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// How often it is looked whether a run is due. Machine time: tests cannot move it.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });

/// The cause of runs and their jobs.
pub(crate) const CAUSE: &str = "delta";

/// How far our clock may be ahead of a shop's without anything being missed where looking begins.
const CLOCKS: Duration = Duration::from_secs(900);

/// How soon a shop must tell what it has already where looking begins.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What is asked for.
const OBJECTS: [Object; 3] = [Object::Order, Object::Customer, Object::Product];

/// How far an object of a shop is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// When the last run began, whether it succeeded or not.
    ran_at: Timestamp,
    /// The last change that was seen, by the shop's clock.
    until: Timestamp,
    /// What changed shortly before: the next run reads it again.
    seen: Vec<(ShopifyId, Timestamp)>,
}

impl Position {
    /// The place of an object that is looked at for the first time. The runs of different shops and objects do not all come at
    /// once.
    fn first(shop: &ShopName, object: Object, now: Timestamp, every: Duration) -> Self {
        let mut hasher = DefaultHasher::new();
        (shop.as_str(), object.as_str()).hash(&mut hasher);
        let part = every / 1_000 * u32::try_from(hasher.finish() % 1_000).unwrap_or_default();
        Self {
            ran_at: now.minus(part),
            until: now.minus(CLOCKS),
            seen: Vec::new(),
        }
    }
}

fn name(object: Object) -> String {
    format!("delta:{object}")
}

async fn read(store: &SharedStore, shop: &ShopName, object: Object) -> Result<Option<Position>, StoreError> {
    let text = store.cursor(shop, &name(object)).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

async fn write(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
    position: &Position,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(position).unwrap_or_default();
    store.set_cursor(shop, &name(object), &text, now).await
}

/// What is stored in place of the position of an object that is off.
const OFF: &str = "";

/// Notes that an object is off: whatever changes from now on is left alone for good.
async fn switch_off(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
    now: Timestamp,
) -> Result<(), StoreError> {
    if store.cursor(shop, &name(object)).await?.as_deref() == Some(OFF) {
        return Ok(());
    }
    store.set_cursor(shop, &name(object), OFF, now).await
}

/// A shop's object.
type Key = (ShopName, Object);

/// What this node knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is off, and that is noted.
    Off,
    /// The store has a look at it not before this time.
    At(Timestamp),
}

/// Makes runs until `stop`.
pub(super) async fn follow(
    current: Current,
    store: SharedStore,
    clock: SharedClock,
    node: String,
    stop: CancellationToken,
) {
    let scheduler = Scheduler {
        current,
        store,
        clock,
        node,
        stop: stop.clone(),
    };
    let mut turns: BTreeMap<Key, Turn> = BTreeMap::new();
    let mut running: FuturesUnordered<BoxFuture<'_, (Key, Timestamp)>> = FuturesUnordered::new();
    let mut busy: Vec<Key> = Vec::new();
    loop {
        select! {
            () = stop.cancelled() => break,
            Some((key, next)) = running.next(), if !running.is_empty() => {
                busy.retain(|one| *one != key);
                turns.insert(key, Turn::At(next));
                continue;
            }
            () = pause(LOOK) => {}
        }
        for (key, every) in scheduler.wanted() {
            if busy.contains(&key) {
                continue;
            }
            match scheduler.turn(&key, every, turns.get(&key).copied()).await {
                Ok(Next::Wait(turn)) => {
                    turns.insert(key, turn);
                }
                Ok(Next::Run(shop, position, every)) => {
                    busy.push(key.clone());
                    running.push(Box::pin(scheduler.run(key, shop, position, every)));
                }
                Err(error) => {
                    tracing::warn!(shop = %key.0, object = %key.1, error = %error, "cannot see whether a delta run is due");
                }
            }
        }
    }
    // What runs ends by the same token.
    while running.next().await.is_some() {}
}

/// What is to be done about an object.
enum Next {
    Wait(Turn),
    Run(DeltaShop, Option<Position>, Duration),
}

struct Scheduler {
    current: Current,
    store: SharedStore,
    clock: SharedClock,
    node: String,
    stop: CancellationToken,
}

impl Scheduler {
    /// The objects of all shops, with how often a run is due; never, where nothing is taken in. Nothing while another node
    /// acts on a newer configuration.
    fn wanted(&self) -> Vec<(Key, Every)> {
        if !self.current.standing.borrow().is_newest {
            return Vec::new();
        }
        let config = Arc::clone(&self.current.config.borrow());
        let shops = config.shops.values();
        let wanted = shops.filter(|shop| !self.current.disabled.contains(&shop.name));
        wanted
            .flat_map(|shop| OBJECTS.map(|object| (shop, object)))
            .map(|(shop, object)| {
                let is_off = shop.sync.toggle(object, Direction::In) == Toggle::Off;
                let every = if is_off { Every::Off } else { shop.runs.delta };
                ((shop.name.clone(), object), every)
            })
            .collect()
    }

    async fn turn(&self, key: &Key, every: Every, known: Option<Turn>) -> Result<Next, StoreError> {
        let (shop, object) = key;
        let now = self.clock.now();
        let every = match (every, known) {
            (Every::Off, Some(Turn::Off)) => return Ok(Next::Wait(Turn::Off)),
            (Every::Off, _) => {
                switch_off(&self.store, shop, *object, now).await?;
                return Ok(Next::Wait(Turn::Off));
            }
            // A shorter time is in force at once.
            (Every::Each(every), Some(Turn::At(at))) if now < at && at <= now.plus(every) => {
                return Ok(Next::Wait(Turn::At(at)));
            }
            (Every::Each(every), _) => every,
        };
        let position = read(&self.store, shop, *object).await?;
        // Another node may have made one.
        if let Some(due_at) = position.as_ref().map(|position| position.ran_at.plus(every))
            && now < due_at
        {
            return Ok(Next::Wait(Turn::At(due_at)));
        }
        let engine = Arc::clone(&self.current.engine.borrow());
        let Some(context) = engine.shop(shop) else {
            // What changes until it begins would be missed: it begins at the next look.
            let wait = position.map_or(Duration::ZERO, |_| every);
            return Ok(Next::Wait(Turn::At(now.plus(wait))));
        };
        let shop = DeltaShop {
            name: shop.clone(),
            source: Arc::clone(&context.source),
            store: self.store.clone(),
            clock: self.clock.clone(),
            node: self.node.clone(),
        };
        Ok(Next::Run(shop, position, every))
    }

    /// Begins to look for changes. Returns when to look again.
    async fn begin(&self, key: Key, shop: DeltaShop, every: Duration) -> (Key, Timestamp) {
        let (object, now) = (key.1, self.clock.now());
        let mut first = Position::first(&shop.name, object, now, every);
        let was_off = self.store.cursor(&shop.name, &name(object)).await;
        if matches!(&was_off, Ok(Some(text)) if text == OFF) {
            let since = first.until.minus(INDEX_LAG);
            // Where the shop does not tell, some get jobs for what changed shortly before: better than missing any.
            let seen = changed_so_far(&shop, object, since, AT_ONCE, &self.stop).await;
            let seen = seen.unwrap_or_default();
            first.until = seen.values().copied().fold(first.until, Timestamp::max);
            let again = first.until.minus(INDEX_LAG);
            first.seen = seen
                .into_iter()
                .filter(|(_, changed)| *changed >= again)
                .collect();
        }
        match write(&self.store, &shop.name, object, &first, now).await {
            Ok(()) => (key, first.ran_at.plus(every)),
            Err(error) => {
                tracing::warn!(shop = %shop.name, %object, error = %error, "cannot begin to look for missed changes");
                (key, now)
            }
        }
    }

    /// Makes a run, or begins where there is no position yet. Returns when to look again.
    async fn run(
        &self,
        key: Key,
        shop: DeltaShop,
        position: Option<Position>,
        every: Duration,
    ) -> (Key, Timestamp) {
        let Some(position) = position else {
            return self.begin(key, shop, every).await;
        };
        let object = key.1;
        let began = self.clock.now();
        let wanted = Delta {
            object,
            since: position.until.minus(INDEX_LAG),
            cause: CAUSE,
            known: Known::Applied(position.seen.iter().copied().collect()),
        };
        let moved = match delta_run(&shop, wanted, &self.stop).await {
            Ok(report) => Position {
                ran_at: began,
                until: report
                    .newest
                    .map_or(position.until, |newest| newest.max(position.until)),
                seen: report.seen.into_iter().collect(),
            },
            // It goes on at the next start.
            Err(RunError::Stopped(_)) => return (key, began),
            // Another node's, or that of a gap: soon.
            Err(RunError::UnderWay) => return (key, began.plus(INDEX_LAG.min(every))),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(
                    shop = %shop.name, %object, error = %error, cause,
                    "cannot look for missed changes; trying again at the next run"
                );
                Position {
                    ran_at: began,
                    ..position
                }
            }
        };
        if let Err(error) = write(&self.store, &shop.name, object, &moved, self.clock.now()).await {
            tracing::warn!(shop = %shop.name, %object, error = %error, "cannot note how far a delta run came");
        }
        (key, began.plus(every))
    }
}
