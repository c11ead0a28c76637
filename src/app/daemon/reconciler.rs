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
use crate::app::notify::events::Events;
use crate::app::subscriptions::{
    self, Departed, Installation, Order, SubscriptionsError, Target, name_of_departed,
};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, ShopName};
use crate::queue::Schedule;
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::{Registry, is_newest};

/// Shops that are looked at side by side.
const AT_ONCE: usize = 16;

/// How long a look may take: longer than that, and the shop's turn comes again at the next time.
const PATIENCE: Duration = Duration::from_mins(4);

/// How long a change is waited for that another process makes, or that failed at the store, before it is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The same while another process changes a shop, the first few times: who is overtaken stops at its next change.
const AGAIN_SOON: Duration = Duration::from_millis(1_500);

/// How often in a row that is so short.
const SOON: u32 = 6;

/// How long to wait after so many looks in a row that found another process at it.
fn wait_after_busy(looks: u32) -> Duration {
    if looks <= SOON { AGAIN_SOON } else { AGAIN }
}

/// The task.
pub(super) struct Reconciler {
    current: Current,
    disabled: Disabled,
    installation: Installation,
    wake: Arc<Notify>,
    /// What was told last of each shop, so that a failure that stays is told once.
    told: BTreeMap<ShopName, String>,
    /// The shops of the last look, with their domains.
    declared: BTreeMap<ShopName, (String, Target)>,
    /// Those that were taken out since.
    departed: Departed,
    /// Looks in a row that found another process at it.
    busy: u32,
}

impl Reconciler {
    /// For the shops of the configuration in force.
    pub(super) async fn new(
        current: &Current,
        disabled: &Disabled,
        store: &SharedStore,
        clock: &SharedClock,
        entropy: &SharedEntropy,
        departed: &Departed,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            current: current.clone(),
            disabled: disabled.clone(),
            installation: subscriptions::serving(Installation::new(store, clock, entropy, None).await?),
            wake: Arc::default(),
            told: BTreeMap::new(),
            declared: BTreeMap::new(),
            departed: departed.clone(),
            busy: 0,
        })
    }

    /// The same, which has others told.
    pub(super) fn telling(mut self, events: Events) -> Self {
        self.installation = self.installation.telling(events);
        self
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
            // A look that is interrupted is made good at the next one: nothing of it is only in memory. A shop that does not
            // answer must not keep others from following what was just saved. It ends in order, so that nobody (another node, a
            // command, this node's next look) waits for its leases.
            let interrupt = CancellationToken::new();
            let again = {
                let look = self.look(&config, &interrupt);
                tokio::pin!(look);
                let again = select! {
                    () = stop.cancelled() => None,
                    again = &mut look => Some(again),
                    Ok(()) = newer.changed() => None,
                };
                if again.is_none() {
                    interrupt.cancel();
                    look.await;
                }
                again
            };
            let Some(again) = again else {
                if stop.is_cancelled() {
                    return;
                }
                continue;
            };
            let clock = self.installation.clock.clone();
            let now = clock.now();
            let next = Schedule::parse(&config.webhooks.schedule)
                .ok()
                .and_then(|schedule| schedule.next_after(now));
            let next = match (next, again.map(|wait| now.plus(wait))) {
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

    /// Looks at every shop once. Says when to look again, if soon.
    async fn look(&mut self, config: &Config, interrupt: &CancellationToken) -> Option<Duration> {
        self.note_who_departs(config);
        // Two nodes with different toggles must not undo each other's work.
        let acting_for = {
            let standing = self.current.standing.borrow();
            if !standing.is_newest {
                return None;
            }
            standing.newest.hash.clone()
        };
        // What is known here may be some seconds old. Who saved something meanwhile looks by itself.
        match is_newest(&self.installation.store, Some(&acting_for)).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                tracing::warn!(error = %error, "cannot look which configuration is the newest");
                return Some(AGAIN);
            }
        }
        let mut installation = match self.installation.refreshed().await {
            Ok(installation) => installation,
            Err(error) => {
                tracing::warn!(error = %error, "cannot read the installation's id");
                return Some(AGAIN);
            }
        };
        installation.acting_for = Some(acting_for);
        installation.interrupt = interrupt.clone();
        if let Err(error) = subscriptions::follow_renames(&installation, config).await {
            tracing::warn!(error = %error, "cannot see which shops have another name");
            return Some(AGAIN);
        }
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
        let looks = stream::iter(looks).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let (results, told) = tokio::join!(looks, self.tell_departed(&installation, config));
        if let Err(error) = told {
            tracing::warn!(error = %error, "cannot see which subscriptions are left behind");
        }
        let is_busy =
            |result: &Option<Result<Looked, _>>| matches!(result, Some(Err(SubscriptionsError::Busy)));
        let busy = results.iter().any(|(_, result)| is_busy(result));
        self.busy = if busy { self.busy.saturating_add(1) } else { 0 };
        let mut again = busy.then(|| wait_after_busy(self.busy));
        for (shop, result) in results {
            if self.tell(&shop, result) {
                again = again.or(Some(AGAIN));
            }
        }
        again
    }

    /// Keeps what is needed to remove the subscriptions of shops that were taken out of the file.
    fn note_who_departs(&mut self, config: &Config) {
        let clients = Arc::clone(&self.current.clients.borrow());
        let is_there = |domain: &str| config.shops.values().any(|shop| shop.shopify.domain == domain);
        for (name, (domain, target)) in std::mem::take(&mut self.declared) {
            // With another name it is the same shop.
            if is_there(&domain) {
                continue;
            }
            let name = match config.shops.get(&name) {
                Some(_) => name_of_departed(config, &domain),
                None => Some(name),
            };
            if let Some(name) = name {
                self.departed.insert(Target { name, ..target });
            }
        }
        self.departed.retain(|shop| !config.shops.contains_key(shop));
        for shop in config.shops.values() {
            if let Some(client) = clients.get(&shop.name) {
                let target = Target::new(shop, Arc::clone(client) as Arc<dyn Registry>);
                self.declared
                    .insert(shop.name.clone(), (shop.shopify.domain.clone(), target));
            }
        }
    }

    /// Tells once which subscriptions of shops that are not declared any more still stand.
    async fn tell_departed(&self, installation: &Installation, config: &Config) -> Result<(), StoreError> {
        for left in subscriptions::note_departed(installation, config, &self.departed).await? {
            let shop = &left.shop;
            for line in left.plan.iter().flatten() {
                let id = line.id.map(|id| id.0);
                tracing::info!(%shop, topic = line.topic, id, "subscription left behind: {} planned", line.kind);
            }
            let condition = match left.plan {
                Some(_) => "as long as this process runs, which still has the credentials",
                None => "while its section is there",
            };
            tracing::warn!(
                %shop,
                subscriptions = left.standing,
                "the shop is not declared any more and still has webhook subscriptions: `lockstep webhooks apply --remove-shop \
                 {shop}` removes them {condition}; `lockstep webhooks forget {shop}` leaves them"
            );
        }
        Ok(())
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
            // It is looked at again soon. Whoever saved a newer one looks by itself; what interrupts a look is followed by another
            // one.
            Some(Err(
                SubscriptionsError::Busy | SubscriptionsError::NotNewest | SubscriptionsError::Interrupted,
            )) => return false,
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
        let at = Installation {
            interrupt: installation.interrupt.child_token(),
            ..installation.clone()
        };
        let result = {
            let work = reconcile(&at, config, &target);
            tokio::pin!(work);
            select! {
                result = &mut work => Some(result),
                () = tokio::time::sleep(PATIENCE) => {
                    at.interrupt.cancel();
                    work.await.ok();
                    None
                }
            }
        };
        (target.name, result)
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
