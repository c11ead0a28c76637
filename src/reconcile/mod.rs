//! Runs that find what webhooks missed. A delta run asks the shop for everything of one object that changed since a time, and
//! makes the same jobs that webhooks make: they join those that are open, so that nothing is done twice. One that is made on
//! a schedule leaves alone what was applied already.
//!
//! Promises: one run of a shop's object at a time, on whatever node; every run has a record that says what it found or why it
//! ended; a run that says it is done has read every page. Deliberately absent: when runs are made (the daemon's), and
//! comparing records (the flows', which read each record fresh).

mod full;
mod notifier;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::select;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Direction, Disposition, JobKey, LinkKind, LinkState, Object, Priority, SharedClock, ShopName, ShopifyId,
    Timestamp,
};
use crate::erp::ErpError;
use crate::shopify::{Page, ShopifyError};
use crate::store::{NewJob, NewRun, RunCounts, RunKind, RunOutcome, SharedStore, StoreError};
use crate::sync::Source;

pub use full::{
    BegunRun, CAUSE, FullReport, FullRun, FullShop, TOO_MUCH_GONE, begin_full_run, carry_out_full_run,
    forget_sent, full_run,
};
pub use notifier::{RunEnded, RunNotifier, TellNobody};
pub use settings::{Every, Settings, Times};

/// How often a run says that it lives while it waits for an answer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// A run that goes on for so long reads no further than to what changed so long after it began: that comes by webhooks, and a busy
/// shop must not keep it going. A shorter one reads all there is, however far the shop's clock is ahead of ours.
const HORIZON: Duration = Duration::from_secs(600);

/// How far the shop's search index may lag behind: what changed so shortly before a run may be missing from it.
pub const INDEX_LAG: Duration = Duration::from_secs(120);

/// How many records a run remembers for the next one. Of more, some get jobs that find nothing to do.
const MOST_SEEN: usize = 2_000;

/// Records, each with the time of the change that was seen.
pub type Seen = BTreeMap<ShopifyId, Timestamp>;

/// What a run looks for.
#[derive(Clone, Debug)]
pub struct Delta<'a> {
    /// Records of this object.
    pub object: Object,
    /// What changed before is left alone.
    pub since: Timestamp,
    /// Why the run is made; its jobs say so, too.
    pub cause: &'a str,
    /// What needs no job.
    pub known: Known,
}

/// What needs no job.
#[derive(Clone, Debug)]
pub enum Known {
    /// Every record gets one.
    Nothing,
    /// A version that was applied already, or that the run before saw.
    Applied(Seen),
}

/// What a run needs of a shop.
#[derive(Clone)]
pub struct DeltaShop {
    /// Its name.
    pub name: ShopName,
    /// Where its records are.
    pub source: Arc<dyn Source>,
    /// Durable state.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// The node that carries the run out.
    pub node: String,
    /// Who is told how it ended.
    pub notifier: Arc<dyn RunNotifier>,
}

/// A run that looked at everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Its number.
    pub run: i64,
    /// What changed before was left alone.
    pub since: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// What it did.
    pub counts: RunCounts,
    /// The last change of all that it read, by the shop's clock.
    pub newest: Option<Timestamp>,
    /// What changed so shortly before that that the next run will read it again.
    pub seen: Seen,
}

/// Why a run did not look at everything.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is nothing to ask the shop for.
    #[error("{0} records cannot be asked for by the time of their change")]
    NoSuchRun(Object),
    /// Another run of the same kind and object is under way.
    #[error("another run of the same kind and object is under way")]
    UnderWay,
    /// It was told to stop.
    #[error("run {0} was told to stop")]
    Stopped(i64),
    /// It was taken for dead: another one may have begun.
    #[error("run {0} was not heard of for too long")]
    Lost(i64),
    /// The shop could not be asked.
    #[error("run {run} could not read the shop's list")]
    Shopify {
        /// The run.
        run: i64,
        /// Why.
        #[source]
        source: ShopifyError,
    },
    /// Nothing of this kind is compared.
    #[error("{0} records are not compared as a whole; stock is, where `out` carries it to the shop")]
    NotCompared(Object),
    /// The shop is not connected.
    #[error("the configuration has no shop `{0}` that is connected")]
    NoSuchShop(ShopName),
    /// The ERP could not be asked.
    #[error("run {run} could not read the ERP's list")]
    Erp {
        /// The run.
        run: i64,
        /// Why.
        #[source]
        source: ErpError,
    },
    /// The stock of the two sides could not be compared.
    #[error("run {run} could not compare stock: {reason} {fix}")]
    Stock {
        /// The run.
        run: i64,
        /// What went wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
    /// What the ERP's changes make on the shop could not be worked out.
    #[error("run {run} could not work out what goes to the shop: {reason} {fix}")]
    Sent {
        /// The run.
        run: i64,
        /// What went wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
    /// Records could not be compared, one after the other.
    #[error("run {run} could compare none of {tried} records in a row")]
    Compare {
        /// The run.
        run: i64,
        /// How many.
        tried: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RunError {
    /// The run, if one began.
    pub const fn run(&self) -> Option<i64> {
        match self {
            Self::Stopped(run)
            | Self::Lost(run)
            | Self::Shopify { run, .. }
            | Self::Erp { run, .. }
            | Self::Stock { run, .. }
            | Self::Sent { run, .. }
            | Self::Compare { run, .. } => Some(*run),
            Self::NoSuchRun(_)
            | Self::UnderWay
            | Self::NotCompared(_)
            | Self::NoSuchShop(_)
            | Self::Store(_) => None,
        }
    }

    /// How long the shop asks for patience.
    pub fn retry_after(&self) -> Option<Duration> {
        let disposition = match self {
            Self::Shopify { source, .. } => source.disposition(),
            Self::Erp { source, .. } => source.disposition(),
            _ => return None,
        };
        match disposition {
            Disposition::Transient { retry_after } | Disposition::SystemDown { retry_after, .. } => {
                retry_after
            }
            Disposition::NotYet { after } => Some(after),
            Disposition::Permanent | Disposition::Obsolete => None,
        }
    }
}

/// Makes jobs for all records of an object that changed since a time.
///
/// # Errors
/// When not everything was looked at. The jobs that were made stay.
pub async fn delta_run(
    shop: &DeltaShop,
    delta: Delta<'_>,
    stop: &CancellationToken,
) -> Result<RunReport, RunError> {
    let Delta {
        object,
        since,
        cause,
        known,
    } = delta;
    if !matches!(object, Object::Order | Object::Customer | Object::Product) {
        return Err(RunError::NoSuchRun(object));
    }
    let began = shop.clock.now();
    // Whoever relies on when it began may be another node.
    let started_at = shop.store.time(began).await?;
    let begun = shop
        .store
        .start_run(NewRun {
            kind: RunKind::Delta,
            shop: shop.name.clone(),
            object,
            cause: cause.to_owned(),
            since,
            node: shop.node.clone(),
            now: began,
        })
        .await?;
    let mut run = Run {
        shop,
        object,
        since,
        cause,
        known,
        stop,
        id: begun.ok_or(RunError::UnderWay)?,
        began,
        started_at,
        counts: RunCounts::default(),
        newest: None,
        seen: Seen::new(),
    };
    let ended = run.pages().await;
    let (outcome, error) = match &ended {
        Ok(()) => (RunOutcome::Done, None),
        Err(RunError::Stopped(_) | RunError::Lost(_)) => (RunOutcome::Cut, None),
        Err(error) => (RunOutcome::Failed, Some(told(error))),
    };
    let now = shop.clock.now();
    let notifications = shop.notifier.of_run(&RunEnded {
        run: run.id,
        kind: RunKind::Delta,
        shop: &shop.name,
        object,
        outcome,
        seen: run.counts.records,
        // Those that have an open job already were not missed.
        found: Some(run.counts.made).filter(|_| outcome == RunOutcome::Done),
        at: now,
    });
    let noted = shop
        .store
        .finish_run(run.id, outcome, error.as_deref(), notifications, now)
        .await;
    ended?;
    // Whoever took it for dead may rely on that.
    if !noted? {
        return Err(RunError::Lost(run.id));
    }
    tracing::info!(
        shop = %shop.name, %object, cause, %since, run = run.id, records = run.counts.records, jobs = run.counts.made,
        "looked for missed changes"
    );
    Ok(RunReport {
        run: run.id,
        since,
        started_at,
        counts: run.counts,
        newest: run.newest,
        seen: run.seen,
    })
}

/// What changed since a time until now, without a run and without jobs: whoever begins to look for changes leaves that alone.
/// None where the shop does not tell it `at_once` enough: what changed while it was asked could be among it.
pub async fn changed_so_far(
    shop: &DeltaShop,
    object: Object,
    since: Timestamp,
    at_once: Duration,
    stop: &CancellationToken,
) -> Option<Seen> {
    let question = async {
        let mut seen = Seen::new();
        let mut after = None;
        loop {
            let page = shop.source.changed_since(object, since, after).await?;
            seen.extend(page.records);
            after = page.next.filter(|_| seen.len() < MOST_SEEN);
            if after.is_none() {
                return Ok::<_, ShopifyError>(seen);
            }
        }
    };
    select! {
        biased;
        () = stop.cancelled() => None,
        seen = question => seen.ok(),
        () = shop.clock.sleep_until(shop.clock.now().plus(at_once)) => None,
    }
}

/// An error with its causes, on one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// A run under way.
struct Run<'a> {
    shop: &'a DeltaShop,
    object: Object,
    since: Timestamp,
    cause: &'a str,
    known: Known,
    stop: &'a CancellationToken,
    id: i64,
    /// When it began by our clock.
    began: Timestamp,
    /// The same by the one that all nodes share.
    started_at: Timestamp,
    counts: RunCounts,
    newest: Option<Timestamp>,
    seen: Seen,
}

impl Run<'_> {
    async fn pages(&mut self) -> Result<(), RunError> {
        let horizon = self.started_at.plus(HORIZON);
        let mut after = None;
        loop {
            let page = self.page(after).await?;
            self.counts.pages += 1;
            let wanted = self.unknown(&page.records).await?;
            self.enqueue(&wanted).await?;
            self.remember(&page.records);
            self.live().await?;
            let is_long = self.shop.clock.now() > self.began.plus(HORIZON);
            let is_beyond = is_long
                && page
                    .records
                    .first()
                    .is_some_and(|(_, changed)| *changed > horizon);
            after = match page.next {
                Some(next) if !is_beyond => Some(next),
                _ => return Ok(()),
            };
        }
    }

    /// The next page, however long the shop lets us wait for it.
    async fn page(&self, after: Option<String>) -> Result<Page, RunError> {
        let question = self.shop.source.changed_since(self.object, self.since, after);
        tokio::pin!(question);
        loop {
            let clock = &self.shop.clock;
            select! {
                () = self.stop.cancelled() => return Err(RunError::Stopped(self.id)),
                page = &mut question => {
                    return page.map_err(|source| RunError::Shopify { run: self.id, source });
                }
                () = clock.sleep_until(clock.now().plus(SIGN_OF_LIFE)) => self.live().await?,
            }
        }
    }

    /// Notes how far it is.
    async fn live(&self) -> Result<(), RunError> {
        let now = self.shop.clock.now();
        if self.shop.store.run_goes_on(self.id, self.counts, now).await? {
            Ok(())
        } else {
            Err(RunError::Lost(self.id))
        }
    }

    /// Those that need a job.
    async fn unknown(
        &self,
        records: &[(ShopifyId, Timestamp)],
    ) -> Result<Vec<(ShopifyId, Timestamp)>, RunError> {
        let Known::Applied(seen) = &self.known else {
            return Ok(records.to_vec());
        };
        let is_new =
            |(id, changed): &&(ShopifyId, Timestamp)| seen.get(id).is_none_or(|known| known < changed);
        let mut left: Vec<_> = records.iter().filter(is_new).copied().collect();
        let kind = match self.object {
            Object::Order => LinkKind::Order,
            Object::Customer => LinkKind::Customer,
            Object::Product => LinkKind::Product,
            Object::Inventory | Object::Shop => return Ok(left),
        };
        if left.is_empty() {
            return Ok(left);
        }
        let ids: Vec<String> = left.iter().map(|(id, _)| id.to_string()).collect();
        let links = self.shop.store.links(&self.shop.name, kind, &ids).await?;
        let applied: BTreeMap<String, Timestamp> = links
            .into_iter()
            .filter(|link| link.state == LinkState::Linked)
            .filter_map(|link| Some((link.source_id, link.source_updated_at?)))
            .collect();
        left.retain(|(id, changed)| applied.get(&id.to_string()).is_none_or(|known| known < changed));
        Ok(left)
    }

    /// What the next run will read again.
    fn remember(&mut self, records: &[(ShopifyId, Timestamp)]) {
        self.counts.records += u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.newest = records
            .iter()
            .map(|(_, changed)| *changed)
            .chain(self.newest)
            .max();
        self.seen.extend(records.iter().copied());
        let from = self.newest.map(|newest| newest.minus(INDEX_LAG));
        self.seen.retain(|_, changed| Some(*changed) >= from);
        while self.seen.len() > MOST_SEEN {
            self.seen.pop_first();
        }
    }

    /// Makes the jobs of a page; asked for together, they share commits.
    async fn enqueue(&mut self, records: &[(ShopifyId, Timestamp)]) -> Result<(), RunError> {
        let now = self.shop.clock.now();
        let jobs = records.iter().map(|(id, _)| {
            self.shop.store.enqueue(NewJob {
                key: JobKey {
                    shop: self.shop.name.clone(),
                    object: self.object,
                    direction: Direction::In,
                    source_id: id.to_string(),
                },
                priority: Priority::BACKGROUND,
                now,
                cause: self.cause.to_owned(),
            })
        });
        for enqueued in join_all(jobs).await {
            self.counts.made += u64::from(enqueued?.created);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
