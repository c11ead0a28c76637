//! Runs that find what webhooks missed. A delta run asks the shop for everything of one object that changed since a time, and
//! makes the same jobs that webhooks make: they join those that are open, so that nothing is done twice.
//!
//! Promises: one run of a shop's object at a time, on whatever node; every run has a record that says what it found or why it
//! ended; a run that says it is done has read every page. Deliberately absent: when runs are made (the daemon's), and
//! comparing records (the flows', which read each record fresh).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::select;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Direction, Disposition, JobKey, Object, Priority, SharedClock, ShopName, ShopifyId, Timestamp,
};
use crate::shopify::{Page, ShopifyError};
use crate::store::{NewJob, NewRun, RunCounts, RunOutcome, SharedStore, StoreError};
use crate::sync::Source;

/// How often a run says that it lives while it waits for an answer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// What changes so long after a run began comes by webhooks, whatever the clocks say: a busy shop must not keep it going.
const HORIZON: Duration = Duration::from_secs(600);

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
}

/// A run that looked at everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Its number.
    pub run: i64,
    /// What changed before was left alone.
    pub since: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// What it did.
    pub counts: RunCounts,
}

/// Why a run did not look at everything.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is nothing to ask the shop for.
    #[error("{0} records cannot be asked for by the time of their change")]
    NoSuchRun(Object),
    /// Another run of the same object is under way.
    #[error("another run of the same object is under way")]
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
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RunError {
    /// The run, if one began.
    pub const fn run(&self) -> Option<i64> {
        match self {
            Self::Stopped(run) | Self::Lost(run) | Self::Shopify { run, .. } => Some(*run),
            Self::NoSuchRun(_) | Self::UnderWay | Self::Store(_) => None,
        }
    }

    /// How long the shop asks for patience.
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Shopify { source, .. } = self else {
            return None;
        };
        match source.disposition() {
            Disposition::Transient { retry_after } | Disposition::SystemDown { retry_after, .. } => {
                retry_after
            }
            Disposition::NotYet { after } => Some(after),
            Disposition::Permanent | Disposition::Obsolete => None,
        }
    }
}

/// Makes jobs for all records of an object that changed since a time. `cause` says why, in the jobs, too.
///
/// # Errors
/// When not everything was looked at. The jobs that were made stay.
pub async fn delta_run(
    shop: &DeltaShop,
    object: Object,
    since: Timestamp,
    cause: &str,
    stop: &CancellationToken,
) -> Result<RunReport, RunError> {
    if !matches!(object, Object::Order | Object::Customer | Object::Product) {
        return Err(RunError::NoSuchRun(object));
    }
    let started_at = shop.clock.now();
    let begun = shop
        .store
        .start_run(NewRun {
            shop: shop.name.clone(),
            object,
            cause: cause.to_owned(),
            since,
            node: shop.node.clone(),
            now: started_at,
        })
        .await?;
    let mut run = Run {
        shop,
        object,
        since,
        cause,
        stop,
        id: begun.ok_or(RunError::UnderWay)?,
        started_at,
        counts: RunCounts::default(),
    };
    let ended = run.pages().await;
    let (outcome, error) = match &ended {
        Ok(()) => (RunOutcome::Done, None),
        Err(RunError::Stopped(_) | RunError::Lost(_)) => (RunOutcome::Cut, None),
        Err(error) => (RunOutcome::Failed, Some(told(error))),
    };
    let noted = shop
        .store
        .finish_run(run.id, outcome, error.as_deref(), shop.clock.now())
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
    })
}

/// An error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
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
    stop: &'a CancellationToken,
    id: i64,
    started_at: Timestamp,
    counts: RunCounts,
}

impl Run<'_> {
    async fn pages(&mut self) -> Result<(), RunError> {
        let horizon = self.started_at.plus(HORIZON);
        let mut after = None;
        loop {
            let page = self.page(after).await?;
            self.counts.pages += 1;
            self.enqueue(&page.records).await?;
            self.live().await?;
            let is_beyond = page
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
            self.counts.records += 1;
            self.counts.made += u64::from(enqueued?.created);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
