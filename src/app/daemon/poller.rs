//! When the ERP is polled: each model of each shop whose `out` is not off, at its interval, sooner while something changes,
//! and at once when Odoo hints at it. One node polls a model at a time (a lease). What is off is not polled, and what was
//! known of it is forgotten, so that switching it on begins with what changes from then on.

mod due;
mod hints;
mod notes;
mod sweeps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::select;
use tokio_util::sync::CancellationToken;

use self::due::ModelPolls;
use self::hints::HINT;
use super::pause;
use super::shops::Current;
use crate::config::Shop;
use crate::domain::{Direction, NewProblem, Object, SharedClock, ShopName, System};
use crate::erp::{Erp, ErpError, Watched};
use crate::poll::{self, Hold, Poll, PollError};
use crate::reconcile::forget_sent;
use crate::store::{PollForget, PollForgotten, SERVING, SharedStore, StoreError};
use crate::subscriptions::Toggle;
use crate::sync::ShopContext;

pub(super) use self::hints::HintBox;

/// How often it is looked what is due. Machine time: tests cannot move it.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 500 });

/// The part of the interval after which a model is polled again that just changed.
const BUSY: u32 = 5;

/// The shortest wait between two polls of a model.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait after failures.
const LONGEST: Duration = Duration::from_secs(600);

/// How long an open breaker keeps polls away: then a poll is as good a probe as a job.
const BREAKER_REST: Duration = Duration::from_secs(60);

/// Failures in a row that a person is told of.
const TELL_AFTER: u32 = 5;

/// The problem's code.
const CODE: &str = "erp_not_polled";

/// The objects that are carried out.
const OBJECTS: [Object; 3] = [Object::Customer, Object::Product, Object::Inventory];

/// Whether the mapping reads the stock that is expected, and not only what is there.
fn is_forecast_read(context: &ShopContext, object: Object) -> bool {
    let mappings = context.mappings.borrow();
    let mapping = mappings.of_shop(context.name.as_str(), object, Direction::Out);
    let rules = mapping.and_then(|mapping| mapping.out.as_ref());
    rules.is_some_and(|rules| rules.reads_forecast)
}

/// Fields that the mapping reads of the ERP's own record; each model has some of them.
fn read_by_the_mapping(context: &ShopContext, object: Object) -> Vec<String> {
    let mappings = context.mappings.borrow();
    let mapping = mappings.of_shop(context.name.as_str(), object, Direction::Out);
    let rules = mapping.and_then(|mapping| mapping.out.as_ref());
    rules.map_or_else(Vec::new, |rules| {
        rules
            .select
            .iter()
            .chain(&rules.variant_select)
            .cloned()
            .collect()
    })
}

/// What is known of a shop's polls.
#[derive(Default)]
struct ShopPolls {
    models: BTreeMap<&'static str, ModelPolls>,
    /// Models that are off and of which nothing is kept.
    forgotten: BTreeSet<&'static str>,
    /// The last hint of another node.
    hint: Option<String>,
}

/// Polls until it is told to stop.
pub(super) struct Poller {
    pub(super) current: Current,
    pub(super) hints: Arc<HintBox>,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) node: String,
    pub(super) stop: CancellationToken,
}

impl Poller {
    pub(super) async fn run(self) {
        let mut idle: BTreeMap<ShopName, ShopPolls> = BTreeMap::new();
        let mut running: FuturesUnordered<BoxFuture<'_, (ShopName, ShopPolls)>> = FuturesUnordered::new();
        let mut busy: BTreeSet<ShopName> = BTreeSet::new();
        loop {
            select! {
                () = self.stop.cancelled() => break,
                Some((shop, polls)) = running.next(), if !running.is_empty() => {
                    busy.remove(&shop);
                    idle.insert(shop, polls);
                    continue;
                }
                () = self.hints.rings.notified() => {}
                () = pause(LOOK) => {}
            }
            // Before the configuration, which is exchanged first: so it is never older than this number.
            let (is_newest, revision) = {
                let standing = self.current.standing.borrow();
                (standing.is_newest, standing.own)
            };
            // Only who has the configuration that all are to act on.
            if !is_newest {
                continue;
            }
            let config = Arc::clone(&self.current.config.borrow());
            let engine = Arc::clone(&self.current.engine.borrow());
            idle.retain(|shop, _| config.shops.contains_key(shop));
            for shop in config.shops.values() {
                if self.current.disabled.contains(&shop.name) || !busy.insert(shop.name.clone()) {
                    continue;
                }
                let Some(context) = engine.shop(&shop.name).map(Arc::clone) else {
                    busy.remove(&shop.name);
                    continue;
                };
                let polls = idle.remove(&shop.name).unwrap_or_default();
                let shop = shop.clone();
                running.push(Box::pin(self.turn(shop, context, revision, polls)));
            }
        }
        // Each step is saved wholly or not at all: what runs may end anywhere.
        drop(running);
        self.give_back().await;
    }

    /// Another node need not wait for the end of a lease.
    async fn give_back(&self) {
        let engine = Arc::clone(&self.current.engine.borrow());
        let config = Arc::clone(&self.current.config.borrow());
        let shops = config.shops.keys().filter_map(|name| engine.shop(name));
        for shop in shops {
            for watched in OBJECTS.into_iter().flat_map(|object| shop.erp.watched(object)) {
                let lease = poll::lease_name(&shop.name, watched.model);
                if let Err(error) = self.store.release_lease(&lease, &self.holder()).await {
                    tracing::debug!(error = %error, "a lease was not given back");
                    return;
                }
            }
        }
    }

    fn holder(&self) -> String {
        format!("{SERVING}{}", self.node)
    }

    /// Does what is due for a shop.
    async fn turn(
        &self,
        shop: Shop,
        context: Arc<ShopContext>,
        revision: i64,
        mut polls: ShopPolls,
    ) -> (ShopName, ShopPolls) {
        if let Err(error) = self.look(&shop, &context, revision, &mut polls).await {
            tracing::warn!(shop = %shop.name, error = %error, "cannot poll the ERP");
        }
        (shop.name, polls)
    }

    async fn look(
        &self,
        shop: &Shop,
        context: &ShopContext,
        revision: i64,
        polls: &mut ShopPolls,
    ) -> Result<(), StoreError> {
        let toggle = |object| shop.sync.toggle(object, Direction::Out);
        if OBJECTS.into_iter().any(|object| toggle(object) != Toggle::Off) {
            self.take_hints(shop, polls).await?;
        }
        for object in OBJECTS {
            for mut watched in context.erp.watched(object) {
                let model = watched.model;
                watched.also(read_by_the_mapping(context, object));
                let is_off = toggle(object) == Toggle::Off
                    || (watched.forecast_only && !is_forecast_read(context, object));
                if is_off {
                    polls.models.remove(model);
                    // Where it cannot be done now, the next look tries again.
                    if !polls.forgotten.contains(model)
                        && self.forget(shop, (object, model), revision).await?
                    {
                        polls.forgotten.insert(model);
                    }
                    continue;
                }
                polls.forgotten.remove(model);
                let known = polls.models.entry(model).or_default();
                self.show_age(&shop.name, model, known);
                if known.is_due(self.clock.now()) {
                    self.poll(shop, context, watched, known).await?;
                }
            }
        }
        Ok(())
    }

    /// Forgets what is known of a model that is off. Says whether that is done.
    async fn forget(
        &self,
        shop: &Shop,
        (object, model): (Object, &str),
        revision: i64,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let lease = (poll::lease_name(&shop.name, model), self.holder());
        let until = now.plus(poll::LEASE);
        if !self.store.take_lease(&lease.0, &lease.1, now, until).await? {
            return Ok(false);
        }
        let forget = PollForget {
            shop: shop.name.clone(),
            model: model.to_owned(),
            lease: lease.clone(),
            revision,
        };
        let forgotten = self.store.forget_poll(forget).await?;
        if let PollForgotten::Done { was_known } = forgotten {
            if was_known {
                tracing::info!(shop = %shop.name, model, "switched off: the ERP's changes are not followed any more");
            }
            self.store
                .close_shop_problem(&shop.name, CODE, model, now)
                .await?;
            let hold = Hold::read(&self.store, &shop.name, model).await?;
            self.release(shop, model, hold).await?;
            if shop.sync.toggle(object, Direction::Out) == Toggle::Off {
                forget_sent(&self.store, &shop.name, object, now).await?;
            }
        }
        // Whoever follows it next need not wait.
        self.store.release_lease(&lease.0, &lease.1).await?;
        Ok(forgotten != PollForgotten::Stale)
    }

    /// Hints that came to this node or another one make the models due.
    async fn take_hints(&self, shop: &Shop, polls: &mut ShopPolls) -> Result<(), StoreError> {
        let mut hinted = self.hints.take(&shop.name);
        let word = self.store.cursor(&shop.name, HINT).await?.unwrap_or_default();
        // The first one that is seen may be old; our own is known.
        let is_ours = word.ends_with(&format!(" {}", self.node));
        if polls.hint.as_ref().is_some_and(|known| *known != word) && !is_ours {
            hinted.insert(None);
        }
        polls.hint = Some(word);
        let now = self.clock.now();
        for model in hinted {
            match model.as_deref().and_then(|model| polls.models.get_mut(model)) {
                Some(known) => known.hint(now),
                // A model that is not watched itself may stand for others (a transfer for stock).
                None => polls.models.values_mut().for_each(|known| known.hint(now)),
            }
        }
        Ok(())
    }

    /// Polls a model, lists its ids if that is due, and says when it is polled next.
    async fn poll(
        &self,
        shop: &Shop,
        context: &ShopContext,
        watched: Watched,
        known: &mut ModelPolls,
    ) -> Result<(), StoreError> {
        let interval = shop.odoo.server.poll.0;
        let (object, model) = (watched.object, watched.model);
        if known.failed == 0 && self.breaker_is_open(&shop.name).await? {
            known.rest(self.clock.now(), interval);
            return Ok(());
        }
        let category = shop.sync.category(watched.object).unwrap_or_default();
        let poll = Poll {
            shop: shop.name.clone(),
            watched,
            erp: &*context.erp,
            store: &self.store,
            clock: &self.clock,
            holder: self.holder(),
            priority: category.priority.priority(),
        };
        let result = self.poll_and_sweep(shop, &poll, known).await;
        let now = self.clock.now();
        match result {
            Ok(changed) => {
                if known.failed > 0 {
                    tracing::info!(shop = %shop.name, model, "the ERP is polled again");
                }
                if !known.is_clean {
                    self.store
                        .close_shop_problem(&shop.name, CODE, model, now)
                        .await?;
                }
                (known.failed, known.is_clean) = (0, true);
                let wait = if changed { interval / BUSY } else { interval };
                known.rest(now, wait.max(SHORTEST));
            }
            Err(PollError::Elsewhere) => known.rest(now, interval),
            Err(PollError::Store(error)) => {
                known.rest(now, interval);
                return Err(error);
            }
            Err(error) => {
                let doubled = interval.saturating_mul(1 << known.failed.min(10));
                let wait = doubled.min(LONGEST).max(error.retry_after().unwrap_or_default());
                known.failed = known.failed.saturating_add(1);
                known.is_clean = false;
                known.again.clear();
                known.rest(now, wait);
                self.note_failed(&shop.name, model, &error).await;
                self.tell(shop, (object, model), &error, known.failed, wait)
                    .await?;
            }
        }
        Ok(())
    }

    async fn poll_and_sweep(
        &self,
        shop: &Shop,
        poll: &Poll<'_, dyn Erp>,
        known: &mut ModelPolls,
    ) -> Result<bool, PollError> {
        let model = poll.watched.model;
        let began = self.clock.now();
        let polled = poll::poll(poll).await?;
        known.succeeded_at = Some(began);
        self.note_polled(&shop.name, model, began, &polled).await;
        if polled.began {
            tracing::info!(shop = %shop.name, model, "the ERP's changes are followed from now on");
        } else if polled.changed > 0 {
            tracing::info!(shop = %shop.name, model, rows = polled.changed, jobs = polled.made, "the ERP changed");
        }
        self.sweep_if_due(shop, poll, known).await?;
        Ok(polled.changed > 0 && !polled.began)
    }

    /// Whether the jobs of the shop found its ERP down a moment ago.
    async fn breaker_is_open(&self, shop: &ShopName) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let breakers = self.store.breakers().await?;
        Ok(breakers.iter().any(|row| {
            row.shop == *shop
                && row.system == System::Erp
                && row.state == "open"
                && now.since(row.since) < BREAKER_REST
        }))
    }

    /// In the log the first time, to a person when it goes on.
    async fn tell(
        &self,
        shop: &Shop,
        (object, model): (Object, &str),
        error: &PollError,
        failed: u32,
        wait: Duration,
    ) -> Result<(), StoreError> {
        if failed == 1 {
            tracing::warn!(
                shop = %shop.name, model, error = %error, wait_s = wait.as_secs(),
                "the ERP cannot be polled; trying again"
            );
        }
        // What the ERP does not have will not come by itself.
        let is_missing = matches!(error, PollError::Erp(ErpError::Setup { .. }));
        if failed != if is_missing { 1 } else { TELL_AFTER } {
            return Ok(());
        }
        let problem = NewProblem {
            code: CODE.into(),
            record: None,
            field: Some(model.to_owned()),
            reason: format!("The ERP cannot be asked what changed in {model}: {error}."),
            fix: if is_missing {
                format!(
                    "Install what is missing in the ERP (stock needs its app Inventory), or switch `out` of {object} off."
                )
            } else {
                "See what is wrong with `lockstep check --live`. It is tried again by itself, and nothing is lost."
                    .to_owned()
            },
            owner: shop.owner.clone(),
            mapping: None,
            cluster: model.to_owned(),
            detail: serde_json::Value::Null,
        };
        self.store
            .open_shop_problem(&shop.name, problem, self.clock.now())
            .await
    }
}
