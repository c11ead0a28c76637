//! Claiming, running and finishing jobs.
//!
//! One dispatcher per process. It claims as many jobs as it has free workers (a few more where they end faster than the
//! store can be asked, `slots`), in weighted turns between shops and lanes (`turns`), runs each through the [`Handler`], turns the report into what becomes of the job (`verdict`) and
//! saves it under the claim's fence. It is woken by the store when work arrives and sleeps until the next job is due; the
//! slow poll is only a safety net.
//!
//! Promises:
//! - A job that panics, hangs or always fails holds up nobody: panics are caught, attempts have a time limit, retries end
//!   in a problem.
//! - While a system is down its jobs wait and burn no attempts (`breaker`).
//! - Lanes that may not run (paused, disabled) are not claimed; their jobs stay as they are ([`LaneGate`]).
//! - A stop claims nothing more, lets attempts run for a while, then cancels them and gives their jobs back.
//! - A result is never dropped because the store is away for a moment.
//!
//! Deliberately not here: what a job does (the handler), how claims exclude each other (the store), and any state that
//! has to survive: kill the process at any point and the store has all of it.

mod attempt;
mod breaker;
mod dispatcher;
mod gate;
mod leases;
mod notifier;
mod retention;
mod schedule;
mod settings;
mod slots;
mod turns;
mod verdict;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{Report, SharedClock, SharedEntropy};
use crate::store::{ClaimedJob, SharedStore};

pub use gate::{LaneGate, Live};
pub use notifier::{Ending, Notifier, Silent};
pub use retention::prune_on_schedule;
pub use schedule::{Schedule, ScheduleError};
pub use settings::{BreakerSettings, Settings, Weights};

/// Does the work of a job.
#[async_trait]
pub trait Handler: Send + Sync {
    /// One attempt. When `stop` is cancelled it ends soon, with [`Outcome::Interrupted`](crate::domain::Outcome), after
    /// bringing the call that it has under way to its end; [`Report::unclean`] says when it could not. A handler that does
    /// not end within a few seconds is dropped where it awaits, and what it sent counts as unknown.
    async fn attempt(&self, job: ClaimedJob, stop: CancellationToken) -> Report;
}

/// What every attempt needs.
pub(crate) struct Shared {
    store: SharedStore,
    handler: Arc<dyn Handler>,
    notifier: Arc<dyn Notifier>,
    clock: SharedClock,
    entropy: SharedEntropy,
}

/// The queue of one process.
pub struct Queue {
    shared: Shared,
    live: watch::Receiver<Live>,
    node: String,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue that works for `node` (this process's name) through `handler`, and follows `live`. It tells nobody.
    pub fn new(
        store: SharedStore,
        handler: Arc<dyn Handler>,
        live: watch::Receiver<Live>,
        clock: SharedClock,
        entropy: SharedEntropy,
        node: impl Into<String>,
    ) -> Self {
        Self {
            shared: Shared {
                store,
                handler,
                notifier: Arc::new(Silent),
                clock,
                entropy,
            },
            live,
            node: node.into(),
        }
    }

    /// The same, which has others told of how attempts end.
    #[must_use]
    pub fn telling(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.shared.notifier = notifier;
        self
    }

    /// Works until `stop` is cancelled, then ends what runs as the settings say. Takes over what a process that died
    /// left running before it claims anything.
    pub async fn run(self, stop: CancellationToken) {
        dispatcher::Dispatcher::new(Arc::new(self.shared), self.live, self.node)
            .run(stop)
            .await;
    }
}
