//! The right to change a shop's subscriptions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::domain::{SharedClock, ShopName};
use crate::store::{SharedStore, StoreError};

/// How long the right to change a shop's subscriptions is held without being renewed.
const LEASE: Duration = Duration::from_mins(2);

/// Why nothing may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// Another process has the right.
    Busy,
    /// Another configuration became the one that all are to act on.
    Overtaken,
}

/// The right to change a shop's subscriptions: one process has it at a time, and only while the configuration that it acts for
/// is the newest.
pub struct Lease {
    store: SharedStore,
    clock: SharedClock,
    name: String,
    holder: String,
    acting_for: Option<String>,
    /// Whether it is (or was never taken and need not be) given back.
    is_given_back: AtomicBool,
}

impl Lease {
    /// Takes it, unless another process has it. `acting_for` is the hash of the configuration that must be the newest; none
    /// where no node runs any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take(
        store: &SharedStore,
        clock: &SharedClock,
        shop: &ShopName,
        holder: &str,
        acting_for: Option<&str>,
    ) -> Result<Result<Self, NotHeld>, StoreError> {
        let lease = Self {
            store: store.clone(),
            clock: clock.clone(),
            name: format!("subscriptions:{shop}"),
            holder: holder.to_owned(),
            acting_for: acting_for.map(str::to_owned),
            is_given_back: AtomicBool::new(false),
        };
        match lease.renew().await {
            Ok(Ok(())) => Ok(Ok(lease)),
            Ok(Err(NotHeld::Busy)) => {
                lease.is_given_back.store(true, Ordering::Relaxed);
                Ok(Err(NotHeld::Busy))
            }
            refused => {
                lease.release().await;
                Ok(Err(refused?.err().unwrap_or(NotHeld::Busy)))
            }
        }
    }

    /// Keeps it for longer.
    pub(super) async fn renew(&self) -> Result<Result<(), NotHeld>, StoreError> {
        let now = self.clock.now();
        let until = now.plus(LEASE);
        if !self
            .store
            .take_lease(&self.name, &self.holder, now, until)
            .await?
        {
            return Ok(Err(NotHeld::Busy));
        }
        // Asked last: who saves another configuration after this waits for the lease.
        Ok(if is_newest(&self.store, self.acting_for.as_deref()).await? {
            Ok(())
        } else {
            Err(NotHeld::Overtaken)
        })
    }

    /// Gives it back. Where that fails it ends by itself.
    pub async fn release(&self) {
        give_back(&self.store, &self.name, &self.holder).await;
        // Not before: who waits for this may go away in the middle of it.
        self.is_given_back.store(true, Ordering::Relaxed);
    }
}

async fn give_back(store: &SharedStore, name: &str, holder: &str) {
    if let Err(error) = store.release_lease(name, holder).await {
        tracing::debug!(lease = name, error = %error, "the lease ends by itself");
    }
}

/// Whoever waited for what was to be done may have gone away in the middle of it (a caller of the API, say).
impl Drop for Lease {
    fn drop(&mut self) {
        if *self.is_given_back.get_mut() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (store, name, holder) = (self.store.clone(), self.name.clone(), self.holder.clone());
        runtime.spawn(async move { give_back(&store, &name, &holder).await });
    }
}

/// Whether the configuration with this hash is the one that all are to act on.
///
/// # Errors
/// When the store fails.
pub async fn is_newest(store: &SharedStore, acting_for: Option<&str>) -> Result<bool, StoreError> {
    let Some(hash) = acting_for else {
        return Ok(true);
    };
    let newest = store.newest_revision().await?;
    Ok(newest.is_none_or(|newest| newest.hash == hash))
}
