//! Fills gaps: a run over everything that changed since events were last known to come, at once when a gap opens, and again
//! until a run has succeeded that began some time after events came again. (The index that runs search lags behind: what
//! changed just before the first run may be missing from it, and no webhook told of it.)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::pause;
use super::shops::Current;
use crate::app::status;
use crate::domain::{Direction, SharedClock};
use crate::reconcile::{Delta, DeltaShop, INDEX_LAG, Known, RunError, delta_run};
use crate::store::{Covered, GapRow, GapRun, SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// How often it is looked for gaps. Machine time: tests cannot move it.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });

/// The first wait after a run that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(15);

/// The longest wait between two runs for a gap.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The cause of runs and their jobs.
const CAUSE: &str = "catch_up";

/// Fills gaps until `stop`.
pub(super) async fn fill(
    current: Current,
    store: SharedStore,
    clock: SharedClock,
    node: String,
    stop: CancellationToken,
) {
    let filler = Filler {
        current,
        store,
        clock,
        node,
        stop: stop.clone(),
    };
    let mut running: FuturesUnordered<BoxFuture<'_, i64>> = FuturesUnordered::new();
    let mut busy: BTreeSet<i64> = BTreeSet::new();
    loop {
        select! {
            () = stop.cancelled() => break,
            Some(gap) = running.next(), if !running.is_empty() => {
                busy.remove(&gap);
                continue;
            }
            () = pause(LOOK) => {}
        }
        let due = match filler.due().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = %error, "cannot look for gaps");
                continue;
            }
        };
        for (gap, shop) in due {
            if busy.insert(gap.id) {
                running.push(Box::pin(filler.run(gap, shop)));
            }
        }
    }
    // What runs ends by the same token, and says so.
    while running.next().await.is_some() {}
}

struct Filler {
    current: Current,
    store: SharedStore,
    clock: SharedClock,
    node: String,
    stop: CancellationToken,
}

impl Filler {
    /// The gaps for which a run is due, each with what the run needs. Those of shops and objects that nothing is taken from
    /// at this moment wait.
    async fn due(&self) -> Result<Vec<(GapRow, DeltaShop)>, StoreError> {
        if !self.current.standing.borrow().is_newest {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let gaps = self.store.gaps().await?;
        let config = Arc::clone(&self.current.config.borrow());
        let engine = Arc::clone(&self.current.engine.borrow());
        Ok(gaps
            .into_iter()
            .filter(|gap| gap.next_at <= now && !self.current.disabled.contains(&gap.shop))
            .filter_map(|gap| {
                let declared = config.shops.get(&gap.shop)?;
                let wanted = status::toggles(declared)
                    .into_iter()
                    .any(|(object, direction, toggle)| {
                        object == gap.object && direction == Direction::In && toggle != Toggle::Off
                    });
                let context = engine.shop(&gap.shop)?;
                let shop = DeltaShop {
                    name: gap.shop.clone(),
                    source: Arc::clone(&context.source),
                    store: self.store.clone(),
                    clock: self.clock.clone(),
                    node: self.node.clone(),
                };
                wanted.then_some((gap, shop))
            })
            .collect())
    }

    /// Makes a run for the gap. Returns the gap's number.
    async fn run(&self, gap: GapRow, shop: DeltaShop) -> i64 {
        let id = gap.id;
        let wanted = Delta {
            object: gap.object,
            since: gap.since,
            cause: CAUSE,
            known: Known::Nothing,
        };
        let result = delta_run(&shop, wanted, &self.stop).await;
        let now = self.clock.now();
        let (run, covered, next_at) = match &result {
            Ok(report) => (
                Some(report.run),
                Some(Covered {
                    since: report.since,
                    stood_until: report.started_at.minus(INDEX_LAG),
                }),
                gap.stood_at.plus(INDEX_LAG),
            ),
            // Nothing can be missing of what this version does not carry over.
            Err(RunError::NoSuchRun(_)) => (
                None,
                Some(Covered {
                    since: gap.since,
                    stood_until: gap.stood_at,
                }),
                now,
            ),
            // It goes on at the next start, at once.
            Err(RunError::Stopped(_)) => return id,
            Err(RunError::UnderWay) => {
                select! {
                    () = self.stop.cancelled() => {}
                    () = pause(LOOK * 10) => {}
                }
                return id;
            }
            Err(error) => {
                let wait = wait_after(gap.failed, error.retry_after());
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(
                    shop = %gap.shop, object = %gap.object, error = %error, cause, wait_s = wait.as_secs(),
                    "cannot look for missed changes; trying again"
                );
                (error.run(), None, now.plus(wait))
            }
        };
        let ended = GapRun {
            gap,
            run,
            covered,
            next_at,
            now,
        };
        let (shop, object) = (ended.gap.shop.clone(), ended.gap.object);
        match self.store.close_gap(ended).await {
            Ok(true) => tracing::info!(%shop, %object, "the gap is filled"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%shop, %object, error = %error, "cannot note what became of a gap"),
        }
        id
    }
}

/// How long to wait after so many failures in a row.
fn wait_after(failed: u32, asked_for: Option<Duration>) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1 << failed.min(10)).min(LONGEST_WAIT);
    wait.max(asked_for.unwrap_or_default())
}
