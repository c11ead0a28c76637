//! The right to change a shop's subscriptions.

use std::time::Duration;

use crate::domain::{SharedClock, ShopName};
use crate::store::{SharedStore, StoreError};

/// How long the right to change a shop's subscriptions is held without being renewed.
const LEASE: Duration = Duration::from_mins(2);

/// The right to change a shop's subscriptions: one process has it at a time.
#[derive(Clone)]
pub struct Lease {
    store: SharedStore,
    clock: SharedClock,
    name: String,
    holder: String,
}

impl Lease {
    /// Takes it, unless another process has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take(
        store: &SharedStore,
        clock: &SharedClock,
        shop: &ShopName,
        holder: &str,
    ) -> Result<Option<Self>, StoreError> {
        let lease = Self {
            store: store.clone(),
            clock: clock.clone(),
            name: format!("subscriptions:{shop}"),
            holder: holder.to_owned(),
        };
        Ok(lease.renew().await?.then_some(lease))
    }

    /// Keeps it for longer. Says whether it still was ours.
    pub(super) async fn renew(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.store
            .take_lease(&self.name, &self.holder, now, now.plus(LEASE))
            .await
    }

    /// Gives it back. Where that fails it ends by itself.
    pub async fn release(self) {
        if let Err(error) = self.store.release_lease(&self.name, &self.holder).await {
            tracing::debug!(lease = self.name, error = %error, "the lease ends by itself");
        }
    }
}
