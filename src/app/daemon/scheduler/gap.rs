//! Fills gaps: a run over everything that changed since events were last known to come, at once when a gap opens, and again
//! until a run has succeeded that began some time after events came again. (The index that runs search lags behind: what
//! changed just before the first run may be missing from it, and no webhook told of it.)

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::{Around, Key, Kind, LOOK, is_taken_in, pause};
use crate::reconcile::{Delta, DeltaShop, INDEX_LAG, Known, RunError, delta_run};
use crate::store::{Covered, GapRow, GapRun};

/// The first wait after a run that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(15);

/// The longest wait between two runs for a gap.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The cause of runs and their jobs.
const CAUSE: &str = "catch_up";

/// Runs that are due when the store says so.
pub(in crate::app::daemon) struct GapRuns(pub(in crate::app::daemon) Around);

#[async_trait]
impl Kind for GapRuns {
    type Due = (GapRow, DeltaShop);

    /// Gaps of shops and objects that nothing is taken from at this moment wait.
    async fn due(&self, _: &BTreeMap<Key, CancellationToken>) -> Vec<(Key, Self::Due)> {
        if self.0.of_each(|_| ()).is_empty() {
            return Vec::new();
        }
        let gaps = match self.0.store.gaps().await {
            Ok(gaps) => gaps,
            Err(error) => {
                tracing::warn!(error = %error, "cannot look for gaps");
                return Vec::new();
            }
        };
        if gaps.is_empty() {
            return Vec::new();
        }
        let now = match self.0.store.time(self.0.clock.now()).await {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(error = %error, "cannot see which gaps are due");
                return Vec::new();
            }
        };
        gaps.into_iter()
            .filter_map(|gap| {
                let key = (gap.shop.clone(), gap.object);
                let is_due = gap.next_at <= now && self.is_wanted(&key);
                let shop = is_due.then(|| self.0.connected(&gap.shop))??;
                Some((key, (gap, shop)))
            })
            .collect()
    }

    fn is_wanted(&self, (shop, object): &Key) -> bool {
        self.0.is_wanted(shop, |shop| is_taken_in(shop, *object))
    }

    async fn run(&self, _: &Key, (gap, shop): Self::Due, stop: &CancellationToken) {
        let wanted = Delta {
            object: gap.object,
            since: gap.since,
            cause: CAUSE,
            known: Known::Nothing,
        };
        let result = delta_run(&shop, wanted, stop).await;
        let now = match self.0.store.time(self.0.clock.now()).await {
            Ok(now) => now,
            // It is due still, and looked at again at once.
            Err(error) => {
                tracing::warn!(error = %error, "cannot note what became of a gap");
                return;
            }
        };
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
            // It goes on at once when it is wanted again, at the next start at the latest.
            Err(RunError::Stopped(_)) => return,
            Err(RunError::UnderWay) => {
                select! {
                    () = stop.cancelled() => {}
                    () = pause(LOOK * 10) => {}
                }
                return;
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
        match self.0.store.close_gap(ended).await {
            Ok(true) => tracing::info!(%shop, %object, "the gap is filled"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%shop, %object, error = %error, "cannot note what became of a gap"),
        }
    }
}

/// How long to wait after so many failures in a row.
fn wait_after(failed: u32, asked_for: Option<Duration>) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1 << failed.min(10)).min(LONGEST_WAIT);
    wait.max(asked_for.unwrap_or_default())
}
