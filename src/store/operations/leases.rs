//! Leases: who may do what only one may do at a time.

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::store::StoreError;

/// Rights that one holder has at a time.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes a right that one holder has at a time, until it ends, or keeps it for longer. Says whether it is the holder's now.
    /// Holders that serve begin with [`SERVING`]. It is held for as long as from `now` to `until`, on PostgreSQL by the
    /// database's clock.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a right back before it ends; nothing happens where it is another holder's.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError>;
}

/// What the holder's name begins with where a process that serves holds a lease. On SQLite there is one such process at a time,
/// so that the next one knows at its start that nobody holds these any more.
pub const SERVING: &str = "serve-";
