//! Full runs at set times. How each shop's object stands is in the store, by the database's clock, so that a run that was
//! missed while nothing ran is made up for once, and one that another node made is not made again: who makes one holds a lease
//! and looks once more before it begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::{Around, Key, Kind};
use crate::app::reconcile::beside;
use crate::app::schedules::full::{FullSchedule, OBJECTS, Standing, is_compared, read, ways, write};
use crate::config::Shop;
use crate::domain::{Direction, NewProblem, Object, SharedEntropy, ShopName, Timestamp};
use crate::reconcile::{CAUSE, FullRun, FullShop, RunError, full_run, told};
use crate::store::{SERVING, StoreError};
use crate::sync::Engine;

/// How long the right to make a run lasts without a sign of life.
const LEASE: Duration = Duration::from_secs(120);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(30);

/// How soon it is looked again where another run is under way, or the shop is not connected.
const SOON: Duration = Duration::from_secs(60);

/// How long the store is not asked again about what is due later: another node may have made the run.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// How many runs this node makes at once: after a long pause those of all shops are due together.
const MOST_AT_ONCE: usize = 2;

/// The problem's code.
const CODE: &str = "full_run_failed";

/// Makes a full run.
#[async_trait]
pub(in crate::app::daemon) trait MakeFullRun: Send + Sync {
    /// Compares both sides of a shop's object. Returns the run's number.
    ///
    /// # Errors
    /// When not everything was compared.
    async fn full_run(
        &self,
        shop: &ShopName,
        object: Object,
        stop: &CancellationToken,
    ) -> Result<i64, RunError>;
}

/// What this node knows of a shop's object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    /// It is off, and that is noted.
    Off,
    /// The store is not asked before this time, unless the schedule is another one than this.
    At(Timestamp, String),
}

/// Runs that are due at set times.
pub(in crate::app::daemon) struct FullRuns {
    around: Around,
    make: Arc<dyn MakeFullRun>,
    turns: Mutex<BTreeMap<Key, Turn>>,
    /// The ways that were on when each object's last run began. It goes by them to its end, and makes jobs for them.
    begun: Mutex<BTreeMap<Key, Vec<Direction>>>,
    /// The shop whose run was begun last: it is looked at the others first, so that each has its turn where there are more runs
    /// than time for them.
    last: Mutex<Option<ShopName>>,
}

/// What decides when an object's runs are due.
struct Wanted {
    key: Key,
    /// None where it is off.
    schedule: Option<FullSchedule>,
    /// The schedule, so that another one is told from it.
    text: String,
}

impl Wanted {
    fn of(shop: &Shop, object: Object) -> Self {
        let schedule = FullSchedule::of(shop).filter(|_| is_compared(shop, object));
        Self {
            key: (shop.name.clone(), object),
            schedule,
            text: format!("{} {}", shop.runs.full, shop.time_zone),
        }
    }
}

#[async_trait]
impl Kind for FullRuns {
    /// The schedule, as text, too.
    type Due = (FullSchedule, String);

    async fn due(&self, busy: &BTreeMap<Key, CancellationToken>) -> Vec<(Key, Self::Due)> {
        let mut due: Vec<(Key, Self::Due)> = Vec::new();
        let wanted = self
            .around
            .of_each(|shop| OBJECTS.map(|object| Wanted::of(shop, object)));
        for Wanted { key, schedule, text } in self.the_last_one_last(wanted).into_iter().flatten() {
            // A shop's objects are compared one after the other.
            let is_its = |(shop, _): &Key| *shop == key.0;
            let is_shops_turn = !busy.keys().any(is_its) && !due.iter().any(|(key, _)| is_its(key));
            let is_free = is_shops_turn && busy.len() + due.len() < MOST_AT_ONCE;
            if busy.contains_key(&key)
                || schedule.is_some() && !is_free
                || self.rests(&key, schedule.is_some(), &text)
            {
                continue;
            }
            match self.is_due(&key, schedule.as_ref(), &text).await {
                Ok(true) => due.extend(schedule.map(|schedule| (key, (schedule, text)))),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(shop = %key.0, object = %key.1, error = %error, "cannot see whether a full run is due");
                }
            }
        }
        if let Some(((shop, _), _)) = due.last() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(shop.clone());
        }
        due
    }

    fn is_wanted(&self, key: &Key) -> bool {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = begun.get(key);
        self.around.is_wanted(&key.0, |shop| {
            let ways = ways(shop, key.1);
            // With other ways it is begun anew.
            FullSchedule::of(shop).is_some() && !ways.is_empty() && begun.is_none_or(|begun| *begun == ways)
        })
    }

    async fn run(&self, key: &Key, (schedule, text): Self::Due, stop: &CancellationToken) {
        let now = self.around.clock.now();
        self.begins(key);
        let next = match self.alone(key, &schedule, stop).await {
            Ok(wait) => self.around.clock.now().plus(wait),
            Err(error) => {
                tracing::warn!(shop = %key.0, object = %key.1, error = %error, "cannot note what became of a full run");
                now.plus(SOON)
            }
        };
        self.note(key, Turn::At(next, text));
    }
}

impl FullRuns {
    pub(in crate::app::daemon) fn new(around: Around, make: Arc<dyn MakeFullRun>) -> Self {
        Self {
            around,
            make,
            turns: Mutex::default(),
            begun: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// Notes by which ways a run goes. What it compares with is taken after that, so that it is never older.
    fn begins(&self, key: &Key) {
        let config = Arc::clone(&self.around.current.config.borrow());
        let ways = config.shops.get(&key.0).map(|shop| ways(shop, key.1));
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.insert(key.clone(), ways.unwrap_or_default());
    }

    /// The shops, those first that come after the one whose run was begun last.
    fn the_last_one_last<const N: usize>(&self, mut shops: Vec<[Wanted; N]>) -> Vec<[Wanted; N]> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let shop = |of: &[Wanted; N]| of.first().map(|wanted| wanted.key.0.clone());
        let begun = shops.iter().position(|of| last.is_some() && shop(of) == *last);
        shops.rotate_left(begun.map_or(0, |place| place + 1));
        shops
    }

    fn note(&self, key: &Key, turn: Turn) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.insert(key.clone(), turn);
    }

    /// Whether the store need not be asked about it now.
    fn rests(&self, key: &Key, is_on: bool, text: &str) -> bool {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        match turns.get(key) {
            Some(Turn::Off) => !is_on,
            // Later than that it is not noted: the clock was put back.
            Some(Turn::At(at, known)) => {
                let now = self.around.clock.now();
                is_on && known == text && now < *at && *at <= now.plus(LOOK_AGAIN)
            }
            None => false,
        }
    }

    /// Whether a run is due, by what the store says. An object that is off forgets what it had: switched on again, it begins
    /// with the next time of its schedule.
    async fn is_due(
        &self,
        key: &Key,
        schedule: Option<&FullSchedule>,
        text: &str,
    ) -> Result<bool, StoreError> {
        let (shop, object) = key;
        let Around { store, clock, .. } = &self.around;
        let standing = read(store, shop, *object).await?;
        let now = store.time(clock.now()).await?;
        let Some(schedule) = schedule else {
            // Nobody would ever close it: whether it was told is not asked, a note of that may have been lost.
            store.close_shop_problem(shop, CODE, object.as_str(), now).await?;
            if standing.is_some() {
                write(store, shop, *object, None, now).await?;
            }
            self.note(key, Turn::Off);
            return Ok(false);
        };
        let standing = if let Some(mut standing) = standing {
            if standing.put_back(now) {
                write(store, shop, *object, Some(&standing), now).await?;
            }
            standing
        } else {
            let first = Standing::new(now);
            write(store, shop, *object, Some(&first), now).await?;
            first
        };
        let wait = wait(schedule, &standing, now);
        if wait > Duration::ZERO {
            let again = clock.now().plus(wait.min(LOOK_AGAIN));
            self.note(key, Turn::At(again, text.to_owned()));
        }
        Ok(wait == Duration::ZERO)
    }

    /// Makes a run if nobody else makes it or has made it meanwhile. Returns how long to rest then.
    async fn alone(
        &self,
        key: &Key,
        schedule: &FullSchedule,
        stop: &CancellationToken,
    ) -> Result<Duration, StoreError> {
        let (shop, object) = key;
        let Around {
            store, clock, node, ..
        } = &self.around;
        let lease = format!("full:{shop}:{object}");
        let holder = format!("{SERVING}{node}");
        let now = clock.now();
        if !store.take_lease(&lease, &holder, now, now.plus(LEASE)).await? {
            return Ok(SOON);
        }
        let began = store.time(now).await?;
        let ended = match read(store, shop, *object).await? {
            Some(standing) if wait(schedule, &standing, began) == Duration::ZERO => {
                self.held(key, (&lease, &holder), (standing, began), schedule, stop)
                    .await
            }
            standing => {
                Ok(standing.map_or(SOON, |standing| wait(schedule, &standing, began).min(LOOK_AGAIN)))
            }
        };
        store.release_lease(&lease, &holder).await?;
        ended
    }

    /// Makes a run while the lease is held, and notes what became of it.
    async fn held(
        &self,
        key: &Key,
        (lease, holder): (&str, &str),
        (mut standing, began): (Standing, Timestamp),
        schedule: &FullSchedule,
        stop: &CancellationToken,
    ) -> Result<Duration, StoreError> {
        let (shop, object) = key;
        let Around { store, clock, .. } = &self.around;
        let lost = stop.child_token();
        let run = self.make.full_run(shop, *object, &lost);
        tokio::pin!(run);
        let mut is_held = true;
        let mut renewed = clock.now();
        let result = loop {
            select! {
                result = &mut run => break result,
                () = clock.sleep_until(clock.now().plus(RENEW)), if is_held => {
                    let now = clock.now();
                    match store.take_lease(lease, holder, now, now.plus(LEASE)).await {
                        Ok(true) => renewed = now,
                        // Whoever has it now makes the run.
                        Ok(false) => is_held = false,
                        Err(error) => {
                            tracing::warn!(%shop, %object, error = %error, "cannot renew the right to make a full run");
                            // The next try would come when it has ended, and another node may have it.
                            is_held = now.since(renewed) + RENEW < LEASE;
                        }
                    }
                    if !is_held {
                        lost.cancel();
                    }
                }
            }
        };
        let ended = store.time(clock.now()).await?;
        if !is_held && !self.is_still_ours(key, (lease, holder), &standing).await? {
            return Ok(SOON);
        }
        match result {
            Ok(run) => {
                // Whatever the standing says: a note of having told it may have been lost.
                store
                    .close_shop_problem(shop, CODE, object.as_str(), ended)
                    .await?;
                standing.succeeded(began, ended, Some(run));
            }
            // Nothing of it counts: it is due when it is wanted again, at the next start at the latest.
            Err(RunError::Stopped(_)) if is_held || stop.is_cancelled() => return Ok(Duration::ZERO),
            Err(RunError::UnderWay | RunError::NoSuchShop(_)) => return Ok(SOON),
            // One that was lost, or cut short because the store did not answer, is tried again later each time, too.
            Err(error) => {
                let reason = told(&error);
                let is_again =
                    standing.failed(began, ended, (error.run(), reason.clone()), error.retry_after());
                tracing::warn!(
                    %shop, %object, error = reason, retry_at = standing.retry_at.map(|at| at.to_string()),
                    "cannot compare both sides"
                );
                if !is_again {
                    standing.is_told = true;
                    self.tell(key, &reason).await?;
                }
            }
        }
        write(store, shop, *object, Some(&standing), ended).await?;
        Ok(wait(schedule, &standing, ended).min(LOOK_AGAIN))
    }

    /// Takes the lease again that could not be renewed. `false` where another node has it, or had it and noted something else than
    /// this standing: what that one notes counts.
    async fn is_still_ours(
        &self,
        (shop, object): &Key,
        (lease, holder): (&str, &str),
        standing: &Standing,
    ) -> Result<bool, StoreError> {
        let Around { store, clock, .. } = &self.around;
        let now = clock.now();
        if !store.take_lease(lease, holder, now, now.plus(LEASE)).await? {
            return Ok(false);
        }
        Ok(read(store, shop, *object).await?.as_ref() == Some(standing))
    }

    /// Tells a person that it goes on failing.
    async fn tell(&self, (shop, object): &Key, error: &str) -> Result<(), StoreError> {
        let config = Arc::clone(&self.around.current.config.borrow());
        let Some(declared) = config.shops.get(shop) else {
            return Ok(());
        };
        let problem = NewProblem {
            code: CODE.into(),
            record: None,
            field: None,
            reason: format!("Both sides could not be compared, however often it was tried: {object}. {error}."),
            fix: "See what is wrong with `lockstep check --live`. It is tried again at the schedule's next time, and \
                  webhooks are carried over meanwhile."
                .to_owned(),
            owner: declared.owner.clone(),
            mapping: None,
            cluster: object.to_string(),
            detail: serde_json::Value::Null,
        };
        let now = self.around.clock.now();
        self.around.store.open_shop_problem(shop, problem, now).await
    }
}

/// How long it is until the next run is due.
fn wait(schedule: &FullSchedule, standing: &Standing, now: Timestamp) -> Duration {
    schedule.due(standing).map_or(LOOK_AGAIN, |due| due.since(now))
}

/// The daemon's shops, compared for real.
pub(in crate::app::daemon) struct BothSides {
    pub(in crate::app::daemon) around: Around,
    pub(in crate::app::daemon) entropy: SharedEntropy,
}

#[async_trait]
impl MakeFullRun for BothSides {
    async fn full_run(
        &self,
        shop: &ShopName,
        object: Object,
        stop: &CancellationToken,
    ) -> Result<i64, RunError> {
        let engine = Arc::clone(&self.around.current.engine.borrow());
        let beside = {
            let config = self.around.current.config.borrow();
            let declared = config.shops.get(shop);
            declared
                .map(|declared| beside(&config, declared))
                .unwrap_or_default()
        };
        let shop = FullShop {
            beside,
            name: shop.clone(),
            shops: engine.names().cloned().collect(),
            engine: Engine::clone(&engine),
            entropy: self.entropy.clone(),
            node: self.around.node.clone(),
            notifier: Arc::new(self.around.events.clone()),
        };
        let report = Box::pin(full_run(&shop, FullRun::of(object, CAUSE), stop)).await?;
        Ok(report.run)
    }
}
