//! Delta runs: every few minutes each shop is asked what changed since the last time, and what no webhook told of becomes
//! jobs.
//!
//! How far a shop's object is looked at is a time of the shop's own clock, the last change that it told of; it is moved when
//! every page was read and every job is there. An object that is off has no such time: switched on again, it begins then.
//!
//! Where it begins only a clock on our side can say, and that may be ahead of the shop's: it begins a little earlier, and after it
//! was off the shop is asked what it has of that time already, which is left alone. It is the database's clock where that has one:
//! the clock of a node may be a day ahead, and what is stored is for all of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Around, Key, Kind, is_taken_in};
use crate::app::schedules::Grid;
use crate::domain::{Object, ShopName, ShopifyId, Timestamp};
use crate::reconcile::{Delta, DeltaShop, Every, INDEX_LAG, Known, RunError, changed_so_far, delta_run};
use crate::store::{SharedStore, StoreError};

/// The cause of runs and their jobs.
pub(crate) const CAUSE: &str = "delta";

/// How far the clock that it goes by may be ahead of a shop's without anything being missed where looking begins.
const CLOCKS: Duration = Duration::from_secs(900);

/// How soon a shop must tell what it has already where looking begins.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What is asked for.
pub(crate) const OBJECTS: [Object; 3] = [Object::Order, Object::Customer, Object::Product];

/// How far an object of a shop is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app::daemon) struct Position {
    /// When the last run began, whether it succeeded or not.
    pub(super) ran_at: Timestamp,
    /// The last change that was seen, by the shop's clock.
    pub(super) until: Timestamp,
    /// What changed shortly before: the next run reads it again.
    pub(super) seen: Vec<(ShopifyId, Timestamp)>,
}

fn name(object: Object) -> String {
    format!("delta:{object}")
}

pub(super) async fn read(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
) -> Result<Option<Position>, StoreError> {
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

/// What this node knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is off, and that is noted.
    Off,
    /// The store has a look at it not before this time.
    At(Timestamp),
}

/// What is to be done about an object.
enum Next {
    Wait(Turn),
    Run(DeltaShop, Option<Position>, Duration),
}

/// Runs that are due every few minutes.
pub(in crate::app::daemon) struct DeltaRuns {
    around: Around,
    turns: Mutex<BTreeMap<Key, Turn>>,
}

#[async_trait]
impl Kind for DeltaRuns {
    type Due = (DeltaShop, Option<Position>, Duration);

    async fn due(&self, busy: &BTreeMap<Key, CancellationToken>) -> Vec<(Key, Self::Due)> {
        let mut due = Vec::new();
        for (key, every) in self.wanted() {
            if busy.contains_key(&key) {
                continue;
            }
            match self.turn(&key, every).await {
                Ok(Next::Wait(turn)) => self.note(&key, turn),
                Ok(Next::Run(shop, position, every)) => due.push((key, (shop, position, every))),
                Err(error) => {
                    tracing::warn!(shop = %key.0, object = %key.1, error = %error, "cannot see whether a delta run is due");
                }
            }
        }
        due
    }

    fn is_wanted(&self, (shop, object): &Key) -> bool {
        self.around.is_wanted(shop, |shop| {
            is_taken_in(shop, *object) && shop.runs.delta != Every::Off
        })
    }

    async fn run(&self, key: &Key, (shop, position, every): Self::Due, stop: &CancellationToken) {
        let next = match position {
            Some(position) => self.look(key.1, &shop, position, every, stop).await,
            None => self.begin(key.1, &shop, every, stop).await,
        };
        self.note(key, Turn::At(next));
    }
}

impl DeltaRuns {
    pub(in crate::app::daemon) fn new(around: Around) -> Self {
        Self {
            around,
            turns: Mutex::default(),
        }
    }

    fn note(&self, key: &Key, turn: Turn) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.insert(key.clone(), turn);
    }

    /// The objects of all shops, with how often a run is due; never, where nothing is taken in.
    fn wanted(&self) -> Vec<(Key, Every)> {
        let wanted = self.around.of_each(|shop| {
            OBJECTS.map(|object| {
                let is_off = !is_taken_in(shop, object);
                let every = if is_off { Every::Off } else { shop.runs.delta };
                ((shop.name.clone(), object), every)
            })
        });
        wanted.into_iter().flatten().collect()
    }

    async fn turn(&self, key: &Key, every: Every) -> Result<Next, StoreError> {
        let (shop, object) = key;
        let Around { store, clock, .. } = &self.around;
        let ours = clock.now();
        let known = {
            let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.get(key).copied()
        };
        let every = match (every, known) {
            (Every::Off, Some(Turn::Off)) => return Ok(Next::Wait(Turn::Off)),
            (Every::Off, _) => {
                switch_off(store, shop, *object, ours).await?;
                return Ok(Next::Wait(Turn::Off));
            }
            // A shorter time is in force at once.
            (Every::Each(every), Some(Turn::At(at))) if ours < at && at <= ours.plus(every) => {
                return Ok(Next::Wait(Turn::At(at)));
            }
            (Every::Each(every), _) => every,
        };
        let position = read(store, shop, *object).await?;
        let now = store.time(ours).await?;
        let grid = Grid::new(shop, *object, every);
        // Another node may have made one. By a clock that was ahead by more than that it counts for nothing: no change waits for
        // longer than two runs.
        if let Some(due_at) = position.as_ref().map(|position| grid.after(position.ran_at))
            && now < due_at
            && due_at <= now.plus(every * 2)
        {
            return Ok(Next::Wait(Turn::At(ours.plus(due_at.since(now)))));
        }
        let Some(connected) = self.around.connected(shop) else {
            // What changes until it begins would be missed: it begins at the next look.
            let wait = position.map_or(Duration::ZERO, |_| every);
            return Ok(Next::Wait(Turn::At(ours.plus(wait))));
        };
        Ok(Next::Run(connected, position, every))
    }

    /// Begins to look for changes. Returns when to look again, by our own clock.
    pub(super) async fn begin(
        &self,
        object: Object,
        shop: &DeltaShop,
        every: Duration,
        stop: &CancellationToken,
    ) -> Timestamp {
        let Around { store, clock, .. } = &self.around;
        let ours = clock.now();
        let now = match store.time(ours).await {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(shop = %shop.name, %object, error = %error, "cannot begin to look for missed changes");
                return ours;
            }
        };
        let mut first = Position {
            ran_at: now,
            until: now.minus(CLOCKS),
            seen: Vec::new(),
        };
        let was_off = store.cursor(&shop.name, &name(object)).await;
        if matches!(&was_off, Ok(Some(text)) if text == OFF) {
            let since = first.until.minus(INDEX_LAG);
            // Where the shop does not tell, some get jobs for what changed shortly before: better than missing any.
            let seen = changed_so_far(shop, object, since, AT_ONCE, stop).await;
            let seen = seen.unwrap_or_default();
            first.until = seen.values().copied().fold(first.until, Timestamp::max);
            let again = first.until.minus(INDEX_LAG);
            first.seen = seen
                .into_iter()
                .filter(|(_, changed)| *changed >= again)
                .collect();
        }
        match write(store, &shop.name, object, &first, now).await {
            Ok(()) => ours.plus(Grid::new(&shop.name, object, every).after(now).since(now)),
            Err(error) => {
                tracing::warn!(shop = %shop.name, %object, error = %error, "cannot begin to look for missed changes");
                ours
            }
        }
    }

    /// Makes a run. Returns when to look again, by our own clock.
    pub(super) async fn look(
        &self,
        object: Object,
        shop: &DeltaShop,
        position: Position,
        every: Duration,
        stop: &CancellationToken,
    ) -> Timestamp {
        let Around { store, clock, .. } = &self.around;
        let ours = clock.now();
        let began = match store.time(ours).await {
            Ok(began) => began,
            Err(error) => {
                tracing::warn!(shop = %shop.name, %object, error = %error, "cannot look for missed changes");
                return ours;
            }
        };
        let wanted = Delta {
            object,
            since: position.until.minus(INDEX_LAG),
            cause: CAUSE,
            known: Known::Applied(position.seen.iter().copied().collect()),
        };
        let moved = match delta_run(shop, wanted, stop).await {
            Ok(report) => Position {
                ran_at: began,
                until: report
                    .newest
                    .map_or(position.until, |newest| newest.max(position.until)),
                seen: report.seen.into_iter().collect(),
            },
            // It goes on when it is wanted again, at the next start at the latest.
            Err(RunError::Stopped(_)) => return ours,
            // Another node's, or that of a gap: soon.
            Err(RunError::UnderWay) => return ours.plus(INDEX_LAG.min(every)),
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
        if let Err(error) = write(store, &shop.name, object, &moved, clock.now()).await {
            tracing::warn!(shop = %shop.name, %object, error = %error, "cannot note how far a delta run came");
        }
        ours.plus(Grid::new(&shop.name, object, every).after(began).since(began))
    }
}
