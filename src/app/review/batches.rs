//! Working off retries of many jobs. The store keeps how far each is, so whichever node lives goes on with it.

use std::time::Duration;

use tokio::select;
use tokio_util::sync::CancellationToken;

use crate::domain::SharedClock;
use crate::store::{BatchState, SharedStore, StoreError};

/// How many jobs of a batch are tried again in a second, unless somebody wants another pace.
pub const DEFAULT_PER_SECOND: u32 = 20;

/// The fastest pace.
pub const MOST_PER_SECOND: u32 = 500;

/// Batches that are worked on at once. (Each is one filter, so that more than a few are nobody's.)
const MOST_AT_ONCE: u32 = 1_000;

/// How often it is looked for batches. Machine time: a batch's own pace goes by the store's times.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 500 });

/// Works off batches until `stop`.
pub async fn work(store: SharedStore, clock: SharedClock, stop: CancellationToken) {
    let mut failed = false;
    while !stop.is_cancelled() {
        match step(&store, &clock).await {
            Ok(()) => failed = false,
            Err(error) => {
                // The queue tells what is wrong with the store; once is enough here.
                if !failed {
                    tracing::warn!(%error, "cannot go on with retries of many jobs; trying on");
                }
                failed = true;
            }
        }
        select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Makes the steps that are due. One that fails keeps none of the others back; the first failure is told.
async fn step(store: &SharedStore, clock: &SharedClock) -> Result<(), StoreError> {
    let mut failed = None;
    for batch in store.batches(true, MOST_AT_ONCE).await? {
        let now = clock.now();
        if batch.next_at > now {
            continue;
        }
        match store.batch_step(batch.id, now).await {
            Ok(Some(stepped)) if stepped.state == BatchState::Done => {
                tracing::info!(
                    batch = stepped.id,
                    jobs = stepped.done,
                    "batch {}: all jobs are tried again",
                    stepped.id
                );
            }
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}
