//! Old work, clock and health.

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::store::StoreError;

/// The store itself: old work deleted, the time, whether it works, its end.
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// Deletes at most `limit` of the closed jobs (with their events and attempts) and of the recorded-only events that
    /// ended before `before`; never a failure that is open. Returns how many rows went; 0 means that nothing is left.
    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// The time by the database's clock, which all nodes share; SQLite has none of its own and takes `now`.
    async fn time(&self, now: Timestamp) -> Result<Timestamp, StoreError>;

    /// A cheap proof that the store can be written and read.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Completes when the store broke for good (a fault of lockstep itself): the process is to be started again.
    async fn broken(&self) {
        std::future::pending::<()>().await;
    }

    /// Flushes, releases locks and closes.
    async fn close(&self);
}
