//! Deletes finished work that is old enough, on a schedule, in small steps. Failures are never deleted.

use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::domain::{SharedClock, Timestamp};
use crate::store::{self, SharedStore, Store, StoreError};

use super::attempt::chain;
use super::schedule::Schedule;

/// Rows of one step: a step is one short transaction, and others come in between.
const STEP: u32 = 500;

/// Prunes whenever the settings' schedule says so, until `stop`. The settings are followed while it runs; a schedule that
/// cannot be read prunes nothing and is logged (the configuration's check refuses it before).
pub async fn prune_on_schedule(
    store: SharedStore,
    clock: SharedClock,
    mut settings: watch::Receiver<store::Settings>,
    stop: CancellationToken,
) {
    loop {
        let (schedule, keep) = {
            let settings = settings.borrow_and_update();
            let days = u64::from(settings.keep_days);
            (
                Schedule::parse(&settings.prune_schedule),
                Duration::from_secs(days * 24 * 3600),
            )
        };
        let next = match schedule {
            Ok(schedule) => schedule.next_after(clock.now()),
            Err(failure) => {
                error!(error = %failure, "finished work is not pruned");
                None
            }
        };
        let due = async {
            match next {
                Some(next) => clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        select! {
            () = stop.cancelled() => return,
            // Without a sender the settings stay as they are.
            Ok(()) = settings.changed() => {}
            () = due => {
                let before = clock.now().minus(keep);
                match prune(&*store, before, &stop).await {
                    Ok(0) => {}
                    Ok(rows) => info!(rows, %before, "deleted finished work"),
                    Err(failure) => error!(error = %chain(&failure), "could not delete finished work; trying again at the next time"),
                }
            }
        }
    }
}

/// Deletes step by step until nothing is left; returns how many rows went.
async fn prune(store: &dyn Store, before: Timestamp, stop: &CancellationToken) -> Result<u64, StoreError> {
    let mut total = 0_u64;
    while !stop.is_cancelled() {
        let rows = store.prune(before, STEP).await?;
        if rows == 0 {
            break;
        }
        total = total.saturating_add(rows);
        tokio::task::yield_now().await;
    }
    Ok(total)
}
