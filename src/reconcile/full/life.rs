//! Signs of life of a run, however long it waits for an answer.

use std::sync::{Mutex, PoisonError};

use tokio::select;
use tokio_util::sync::CancellationToken;

use super::super::{RunError, SIGN_OF_LIFE};
use crate::domain::Timestamp;
use crate::store::{RunCounts, SharedStore};
use crate::sync::ShopContext;

/// A run's pulse.
pub(super) struct Life<'a> {
    context: &'a ShopContext,
    run: i64,
    stop: &'a CancellationToken,
    state: Mutex<(RunCounts, Timestamp)>,
}

impl<'a> Life<'a> {
    pub(super) fn new(context: &'a ShopContext, run: i64, stop: &'a CancellationToken) -> Self {
        Self {
            context,
            run,
            stop,
            state: Mutex::new((RunCounts::default(), context.clock.now())),
        }
    }

    /// Changes what is told of how far it is.
    pub(super) fn count(&self, change: impl FnOnce(&mut RunCounts)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.0);
    }

    /// Does this work; the run lives meanwhile, and ends when it is told to.
    pub(super) async fn with<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        tokio::pin!(work);
        let clock = &self.context.clock;
        loop {
            let due = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.1.plus(SIGN_OF_LIFE)
            };
            if due <= clock.now() {
                self.tell().await?;
                continue;
            }
            select! {
                biased;
                () = self.stop.cancelled() => return Err(RunError::Stopped(self.run)),
                done = &mut work => return Ok(done),
                () = clock.sleep_until(due) => {}
            }
        }
    }

    async fn tell(&self) -> Result<(), RunError> {
        let now = self.context.clock.now();
        let counts = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.1 = now;
            state.0
        };
        let store: &SharedStore = &self.context.store;
        if store.run_goes_on(self.run, counts, now).await? {
            Ok(())
        } else {
            Err(RunError::Lost(self.run))
        }
    }

    /// Tells how far it is in the end.
    pub(super) async fn last(&self) -> Result<(), RunError> {
        self.tell().await
    }
}
