//! Deleting deliveries that ended long ago.

use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::{SharedClock, Timestamp};
use crate::queue::Schedule;
use crate::store::{SharedStore, StoreError};

/// How many go in one transaction.
const STEP: u32 = 500;

/// Deletes, at the times of `[store] prune_schedule`, what ended more than `[notify] keep_days` ago.
pub async fn prune_on_schedule(
    store: SharedStore,
    clock: SharedClock,
    mut config: watch::Receiver<Arc<Config>>,
    stop: CancellationToken,
) {
    loop {
        let (next, keep) = {
            let config = config.borrow_and_update();
            let schedule = Schedule::parse(&config.store.prune_schedule).ok();
            let days = u64::from(config.notify.keep_days);
            (
                schedule.and_then(|schedule| schedule.next_after(clock.now())),
                Duration::from_secs(days * 24 * 3600),
            )
        };
        let due = async {
            match next {
                Some(next) => clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        select! {
            () = stop.cancelled() => return,
            Ok(()) = config.changed() => {}
            () = due => {
                let before = clock.now().minus(keep);
                match prune(&store, before, &stop).await {
                    Ok(0) => {}
                    Ok(deliveries) => tracing::info!(deliveries, %before, "deleted deliveries that ended long ago"),
                    Err(error) => {
                        tracing::error!(%error, "could not delete old deliveries; trying again at the next time");
                    }
                }
            }
        }
    }
}

/// Deletes step by step until nothing is left; returns how many went.
async fn prune(store: &SharedStore, before: Timestamp, stop: &CancellationToken) -> Result<u64, StoreError> {
    let mut total = 0_u64;
    while !stop.is_cancelled() {
        let rows = store.prune_dispatches(before, STEP).await?;
        if rows == 0 {
            break;
        }
        total = total.saturating_add(rows);
        tokio::task::yield_now().await;
    }
    Ok(total)
}
