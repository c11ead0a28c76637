//! The webhook subscriptions of all shops follow the toggles: at the start, whenever the configuration or a shop's state
//! changes, on a schedule, and when somebody asks.
//!
//! Shops are looked at side by side; one that does not answer holds no other up. One process at a time changes a shop's
//! subscriptions. A failure is logged and tried again at the next time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use tokio::select;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shops::{Current, Disabled};
use crate::app::subscriptions::{self, Installation, Order, SubscriptionsError, Target};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, ShopName};
use crate::queue::Schedule;
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::Registry;

/// Shops that are looked at side by side.
const AT_ONCE: usize = 16;

/// How long a look may take: longer than that, and the shop's turn comes again at the next time.
const PATIENCE: Duration = Duration::from_mins(4);

/// How long a change is waited for that another process makes, or that failed at the store, before it is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The task.
pub(super) struct Reconciler {
    current: Current,
    disabled: Disabled,
    installation: Installation,
    wake: Arc<Notify>,
    /// What was told last of each shop, so that a failure that stays is told once.
    told: BTreeMap<ShopName, String>,
}

impl Reconciler {
    /// For the shops of the configuration in force.
    pub(super) async fn new(
        current: &Current,
        disabled: &Disabled,
        store: &SharedStore,
        clock: &SharedClock,
        entropy: &SharedEntropy,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            current: current.clone(),
            disabled: disabled.clone(),
            installation: subscriptions::serving(Installation::new(store, clock, entropy, None).await?),
            wake: Arc::default(),
            told: BTreeMap::new(),
        })
    }

    /// What has everything looked at now.
    pub(super) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Looks again and again until `stop`.
    pub(super) async fn follow(mut self, stop: CancellationToken) {
        loop {
            let config = Arc::clone(&self.current.config.borrow_and_update());
            self.current.standing.borrow_and_update();
            let mut newer = self.current.config.clone();
            // A look that is interrupted is made good at the next one: nothing of it is only in memory, and its leases are taken
            // up again under the same name. A shop that does not answer must not keep others from following what was just
            // saved. (Another node's configuration waits for the end: it needs these leases.)
            let again = select! {
                () = stop.cancelled() => return,
                again = self.look(&config) => again,
                Ok(()) = newer.changed() => continue,
            };
            let clock = self.installation.clock.clone();
            let now = clock.now();
            let next = Schedule::parse(&config.webhooks.schedule)
                .ok()
                .and_then(|schedule| schedule.next_after(now));
            let next = match (next, again.then(|| now.plus(AGAIN))) {
                (Some(next), Some(soon)) => Some(next.min(soon)),
                (next, soon) => next.or(soon),
            };
            let due = async {
                match next {
                    Some(next) => clock.sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            select! {
                () = stop.cancelled() => return,
                Ok(()) = self.current.config.changed() => {}
                // This node's configuration became the one that all act on, or another one did.
                Ok(()) = self.current.standing.changed() => {}
                () = self.wake.notified() => {}
                () = due => {}
            }
        }
    }

    /// Looks at every shop once. Says whether to look again soon.
    async fn look(&mut self, config: &Config) -> bool {
        // Two nodes with different toggles must not undo each other's work.
        if !self.current.standing.borrow().is_newest {
            return false;
        }
        let mut installation = self.installation.clone();
        installation.public_url.clone_from(&config.http.public_url);
        let clients = Arc::clone(&self.current.clients.borrow());
        let targets: Vec<Target> = config
            .shops
            .values()
            .filter(|shop| !self.disabled.contains(&shop.name))
            .filter_map(|shop| {
                let client = clients.get(&shop.name)?;
                Some(Target::new(shop, Arc::clone(client) as Arc<dyn Registry>))
            })
            .collect();
        let looks: Vec<BoxFuture<'_, _>> = targets
            .into_iter()
            .map(|target| look_at(&installation, config, target))
            .collect();
        let results: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
        let mut again = false;
        for (shop, result) in results {
            again |= self.tell(&shop, result);
        }
        if let Err(error) = note_left_behind(&installation, config).await {
            tracing::warn!(error = %error, "cannot see which subscriptions are left behind");
        }
        again
    }

    /// What the log says of a look. Says whether to look again soon.
    fn tell(&mut self, shop: &ShopName, result: Option<Result<Looked, SubscriptionsError>>) -> bool {
        let (text, again) = match result {
            Some(Ok(Looked::Followed)) => {
                self.told.remove(shop);
                return false;
            }
            Some(Ok(Looked::Removed)) => {
                let text = "its webhook subscriptions were removed by a command; they stay away until the configuration changes";
                if self.told.insert(shop.clone(), text.to_owned()).as_deref() != Some(text) {
                    tracing::info!(%shop, "{text}");
                }
                return false;
            }
            Some(Err(SubscriptionsError::Busy)) => return true,
            Some(Err(error @ (SubscriptionsError::Store(_) | SubscriptionsError::Changed))) => {
                (error.to_string(), true)
            }
            Some(Err(error)) => (error.to_string(), false),
            None => ("it takes too long".to_owned(), false),
        };
        if self.told.insert(shop.clone(), text.clone()).as_ref() == Some(&text) {
            tracing::debug!(%shop, error = text, "the webhook subscriptions still cannot be looked at");
        } else {
            tracing::warn!(%shop, error = text, "the webhook subscriptions cannot be looked at; trying again at the next time");
        }
        again
    }
}

/// What became of a look.
enum Looked {
    /// The subscriptions are as the toggles want them, or a problem says why not.
    Followed,
    /// A command removed them.
    Removed,
}

/// One shop's turn, with what came of it in time.
fn look_at<'a>(
    installation: &'a Installation,
    config: &'a Config,
    target: Target,
) -> BoxFuture<'a, (ShopName, Option<Result<Looked, SubscriptionsError>>)> {
    Box::pin(async move {
        let result = tokio::time::timeout(PATIENCE, reconcile(installation, config, &target)).await;
        (target.name, result.ok())
    })
}

async fn reconcile(
    installation: &Installation,
    config: &Config,
    target: &Target,
) -> Result<Looked, SubscriptionsError> {
    let store = &installation.store;
    if subscriptions::is_removed(store, &target.name, config, installation.clock.now()).await? {
        return Ok(Looked::Removed);
    }
    subscriptions::apply(installation, target, &Order::default()).await?;
    Ok(Looked::Followed)
}

/// Subscriptions of shops that are not declared any more, told once for each process and kept as a problem.
async fn note_left_behind(installation: &Installation, config: &Config) -> Result<(), StoreError> {
    let now = installation.clock.now();
    for shop in config.shops.keys() {
        installation
            .store
            .close_shop_problems(shop, subscriptions::SHOP_REMOVED, now)
            .await?;
    }
    for (shop, standing) in subscriptions::left_behind(&installation.store, config).await? {
        tracing::warn!(
            %shop,
            subscriptions = standing,
            "the shop is not declared any more and still has webhook subscriptions: `lockstep webhooks apply --remove-shop {shop}` \
             removes them while its section is there"
        );
        subscriptions::note_left_behind(installation, &shop, standing).await?;
    }
    Ok(())
}
