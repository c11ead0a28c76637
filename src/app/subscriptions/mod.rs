//! The webhook subscriptions of the configured shops: planned, applied, listed, taken over. Used by the daemon's own task and by
//! the commands; both go the same way, one of them at a time for each shop.

mod gaps;
mod list;
mod problems;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use super::{connect, reach};
use crate::config::{Config, Shop, is_local};
use crate::domain::{Direction, Object, SharedClock, SharedEntropy, ShopName, ShopifyId, Timestamp};
use crate::shopify::ShopifyError;
use crate::store::{DeliverySum, SharedStore, StoreError, SubscriptionRow};
use crate::subscriptions::{
    self, Applied, Desired, INSTANCE_DIGITS, Lease, Observed, Ours, Plan, Registry, Site, Toggle, Wish,
};
use crate::transport::BuildError;

pub use list::{ListRow, Listed, Status, list};
pub use problems::{PUBLIC_URL_MISSING, SCOPE_MISSING, SHOP_REMOVED, SUBSCRIPTION_REFUSED, note_left_behind};

/// The named position in which the installation's id stands.
const INSTANCE: &str = "instance";

/// The named position of shops whose subscriptions were removed by a command while they were declared still.
const REMOVED: &str = "subscriptions_removed";

/// Shops that are asked at the same time.
const SHOPS_AT_ONCE: usize = 16;

/// How often a plan is made anew and carried out in one go: what one round shows (a name that was free after all) the next
/// one puts right.
const ROUNDS: u32 = 3;

/// Deliveries are counted over this time for people.
pub(super) const A_DAY: Duration = Duration::from_hours(24);

/// Why nothing could be planned or done for a shop.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionsError {
    /// It is not said where Shopify reaches us.
    #[error("`public_url` is not set: it is not known where Shopify is to send webhooks")]
    NoPublicUrl,
    /// Shopify cannot reach that.
    #[error("Shopify cannot send webhooks to public_url {url}: {why}")]
    BadPublicUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Shopify failed us before anything was changed.
    #[error(transparent)]
    Shopify(#[from] ShopifyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shop's settings are not usable.
    #[error(transparent)]
    Connect(#[from] BuildError),
    /// Another process is at it.
    #[error("another process changes the subscriptions of this shop now: try again in a moment")]
    Busy,
    /// What was agreed to is not what is to be done any more.
    #[error("the plan changed meanwhile: look at it again")]
    Changed,
    /// There is no such subscription.
    #[error("the shop has no subscription {0} that was made through the API by this app")]
    NoSuchSubscription(ShopifyId),
    /// It would be deleted at once.
    #[error("no toggle asks for {topic}: subscription {id} would be deleted at once")]
    NotWanted {
        /// The subscription.
        id: ShopifyId,
        /// Its topic.
        topic: String,
    },
}

impl SubscriptionsError {
    /// A stable name of the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPublicUrl | Self::BadPublicUrl { .. } => PUBLIC_URL_MISSING,
            Self::Shopify(error) => error.code(),
            Self::Store(_) => "store_failed",
            Self::Connect(_) => "settings_unusable",
            Self::Busy => "busy",
            Self::Changed => "plan_changed",
            Self::NoSuchSubscription(_) => "no_such_subscription",
            Self::NotWanted { .. } => "not_wanted",
        }
    }

    /// What a person can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NoPublicUrl | Self::BadPublicUrl { .. } => {
                "Set public_url in [http] to the https address under which the internet reaches this listener, e.g. \
                 https://sync.example.com"
                    .to_owned()
            }
            Self::Shopify(error) => error.fix(),
            Self::Store(_) => "See that the store can be reached and written.".to_owned(),
            Self::Connect(_) => "Correct the shop's settings.".to_owned(),
            Self::Busy | Self::Changed => "Run it again.".to_owned(),
            Self::NoSuchSubscription(_) => "See what there is with `lockstep webhooks list`.".to_owned(),
            Self::NotWanted { .. } => {
                "Switch the topic's toggle on (or add it to `topics`) first, or leave the subscription to whom it belongs."
                    .to_owned()
            }
        }
    }
}

/// One shop, as far as its subscriptions go.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: ShopName,
    /// Where they are registered.
    pub registry: Arc<dyn Registry>,
    /// The toggles.
    pub toggles: subscriptions::Settings,
    /// Who owns its problems.
    pub owner: String,
    /// Older orders are left alone; none means the shop's first connection.
    pub start_at: Option<Timestamp>,
    /// Whether it is a real shop, and not a stand-in on this machine.
    pub is_real: bool,
}

impl Target {
    /// A shop of the configuration, reached through this client.
    pub fn new(shop: &Shop, registry: Arc<dyn Registry>) -> Self {
        Self {
            name: shop.name.clone(),
            registry,
            toggles: shop.sync.clone(),
            owner: shop.owner.clone(),
            start_at: shop.start_at,
            is_real: shop
                .shopify
                .base_url
                .as_deref()
                .and_then(|base| reqwest::Url::parse(base).ok())
                .is_none_or(|base| !is_local(&base)),
        }
    }

    /// The shops of the configuration (or one), each with a client of its own.
    pub fn all(
        config: &Config,
        only: Option<&ShopName>,
        clock: &SharedClock,
        entropy: &SharedEntropy,
    ) -> Result<Vec<Self>, (ShopName, BuildError)> {
        config
            .shops
            .values()
            .filter(|shop| only.is_none_or(|name| *name == shop.name))
            .map(|shop| {
                let client =
                    connect::shopify(shop, clock, entropy).map_err(|error| (shop.name.clone(), error))?;
                Ok(Self::new(shop, client))
            })
            .collect()
    }
}

/// What all shops have in common.
#[derive(Clone)]
pub struct Installation {
    /// What we remember.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// `public_url` of the configuration.
    pub public_url: Option<String>,
    /// The installation's id.
    pub instance: String,
    /// This process.
    pub holder: String,
}

impl Installation {
    /// This process on behalf of the installation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(
        store: &SharedStore,
        clock: &SharedClock,
        entropy: &SharedEntropy,
        public_url: Option<String>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store: store.clone(),
            clock: clock.clone(),
            public_url,
            instance: instance(store, clock, entropy).await?,
            holder: hex::encode(entropy.bytes()),
        })
    }
}

/// The installation's id, which the names of its subscriptions carry: made once, then kept in the store.
///
/// # Errors
/// When the store fails.
pub async fn instance(
    store: &SharedStore,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<String, StoreError> {
    let fresh = hex::encode(&entropy.bytes()[..INSTANCE_DIGITS / 2]);
    store
        .first_value(&reach::installation(), INSTANCE, &fresh, clock.now())
        .await
}

/// A plan with what it was made of.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What is to be done.
    pub plan: Plan,
    /// What is wanted.
    pub desired: Vec<Desired>,
    /// What was found.
    pub observed: Vec<Observed>,
    /// The scopes that the app has.
    pub granted: BTreeSet<String>,
    /// How our own were told from others.
    pub ours: Ours,
}

/// What is wanted of a shop.
fn desired(at: &Installation, target: &Target) -> Result<Vec<Desired>, SubscriptionsError> {
    let Some(public_url) = &at.public_url else {
        if subscriptions::wants_events(&target.toggles) {
            return Err(SubscriptionsError::NoPublicUrl);
        }
        // Nothing is to arrive: what still stands goes.
        return Ok(Vec::new());
    };
    if target.is_real {
        let bad = |why| SubscriptionsError::BadPublicUrl {
            url: public_url.clone(),
            why,
        };
        let url = reqwest::Url::parse(public_url).map_err(|_| bad("it is no web address"))?;
        if is_local(&url) {
            return Err(bad("it belongs to this machine or to a private network"));
        }
        if url.scheme() != "https" {
            return Err(bad("it must begin with https://"));
        }
    }
    Ok(subscriptions::desired(&Wish {
        toggles: target.toggles.clone(),
        public_url: public_url.clone(),
        instance: at.instance.clone(),
        names: target.registry.has_names(),
    }))
}

/// Looks at a shop and plans. Nothing is changed.
///
/// # Errors
/// Why there is no plan.
pub async fn plan(at: &Installation, target: &Target) -> Result<Planned, SubscriptionsError> {
    plan_with(at, target, desired(at, target)?, BTreeSet::new()).await
}

async fn plan_with(
    at: &Installation,
    target: &Target,
    desired: Vec<Desired>,
    adopted: BTreeSet<ShopifyId>,
) -> Result<Planned, SubscriptionsError> {
    let rows = at.store.subscriptions(&target.name).await?;
    let (observed, granted) = tokio::try_join!(target.registry.list(), target.registry.granted_scopes())?;
    let ours = Ours {
        adopted,
        ..subscriptions::ours(&at.instance, &rows)
    };
    Ok(Planned {
        plan: subscriptions::plan(&target.name, &desired, &observed, &ours, &granted),
        desired,
        observed,
        granted,
        ours,
    })
}

/// Plans for all of them at once, in the order in which they are given.
pub async fn plan_all(
    at: &Installation,
    targets: &[Target],
) -> Vec<(ShopName, Result<Planned, SubscriptionsError>)> {
    let places = tokio::sync::Semaphore::new(SHOPS_AT_ONCE);
    join_all(targets.iter().map(|target| async {
        let _place = places.acquire().await;
        (target.name.clone(), plan(at, target).await)
    }))
    .await
}

/// As [`plan`], with subscriptions that a person takes over.
///
/// # Errors
/// Why there is no plan.
pub async fn plan_adopting(
    at: &Installation,
    target: &Target,
    ids: &BTreeSet<ShopifyId>,
) -> Result<Planned, SubscriptionsError> {
    let planned = plan_with(at, target, desired(at, target)?, ids.clone()).await?;
    for id in ids {
        may_adopt(&planned, *id)?;
    }
    Ok(planned)
}

/// A plan in which everything of ours goes.
///
/// # Errors
/// Why there is no plan.
pub async fn plan_removal(at: &Installation, target: &Target) -> Result<Planned, SubscriptionsError> {
    plan_with(at, target, Vec::new(), BTreeSet::new()).await
}

/// What should be looked at although nothing is to be done.
///
/// # Errors
/// When the store fails.
pub async fn notes(at: &Installation, planned: &Planned) -> Result<Vec<String>, StoreError> {
    Ok(list::notes(planned, &arrived(at, &planned.plan.shop).await?))
}

/// Lists all of them at once, in the order in which they are given.
pub async fn list_all(
    at: &Installation,
    targets: &[Target],
) -> Vec<(ShopName, Result<Listed, SubscriptionsError>)> {
    let places = tokio::sync::Semaphore::new(SHOPS_AT_ONCE);
    join_all(targets.iter().map(|target| async {
        let _place = places.acquire().await;
        (target.name.clone(), list(at, target).await)
    }))
    .await
}

/// What came of carrying out a shop's order.
pub type Applying = (ShopName, Result<Vec<Applied>, SubscriptionsError>);

/// Carries out an order for each shop, side by side, and remembers whose subscriptions are to stay away. A shop without an order
/// keeps its error.
pub async fn apply_all(
    at: &Installation,
    config: &Config,
    works: Vec<(&Target, Result<Order, SubscriptionsError>)>,
) -> Vec<Applying> {
    let places = tokio::sync::Semaphore::new(SHOPS_AT_ONCE);
    let places = &places;
    join_all(works.into_iter().map(|(target, order)| async move {
        let _place = places.acquire().await;
        let result = match order {
            Ok(order) => ordered(at, config, target, &order).await,
            Err(error) => Err(error),
        };
        (target.name.clone(), result)
    }))
    .await
}

async fn ordered(
    at: &Installation,
    config: &Config,
    target: &Target,
    order: &Order,
) -> Result<Vec<Applied>, SubscriptionsError> {
    let is_marked = is_removed(&at.store, &target.name, config).await?;
    if order.remove != is_marked {
        // Before anything is deleted: a daemon that looks in between would bring it back.
        set_removed(&at.store, &target.name, config, order.remove, at.clock.now()).await?;
    }
    apply(at, target, order).await
}

/// What is to be carried out.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Only the plan with this hash, which somebody agreed to.
    pub agreed: Option<String>,
    /// Subscriptions that become ours.
    pub adopted: BTreeSet<ShopifyId>,
    /// Everything of ours goes, whatever the toggles say.
    pub remove: bool,
}

/// Plans and carries the plan out, round by round, and notes what is wrong as the shop's problems. Returns each round that
/// changed something, or the last one.
///
/// # Errors
/// Why nothing was done.
pub async fn apply(
    at: &Installation,
    target: &Target,
    order: &Order,
) -> Result<Vec<Applied>, SubscriptionsError> {
    let lease = Lease::take(&at.store, &at.clock, &target.name, &at.holder).await?;
    let Some(lease) = lease else {
        return Err(SubscriptionsError::Busy);
    };
    let result = apply_under(at, target, order, &lease).await;
    lease.release().await;
    if !order.remove {
        let noted = match &result {
            Ok(rounds) => problems::note(at, target, rounds).await,
            Err(error) => problems::note_failure(at, target, error).await,
        };
        if let Err(error) = noted {
            tracing::warn!(shop = %target.name, error = %error, "cannot note what is wrong with the subscriptions");
        }
    }
    result
}

async fn apply_under(
    at: &Installation,
    target: &Target,
    order: &Order,
    lease: &Lease,
) -> Result<Vec<Applied>, SubscriptionsError> {
    let desired = if order.remove {
        Vec::new()
    } else {
        desired(at, target)?
    };
    let site = Site {
        shop: &target.name,
        registry: target.registry.as_ref(),
        store: &at.store,
        gaps: &gaps::NotedGaps { at, target },
        clock: &at.clock,
        instance: &at.instance,
    };
    let planned = plan_with(at, target, desired, order.adopted.clone()).await?;
    for id in &order.adopted {
        may_adopt(&planned, *id)?;
    }
    if order
        .agreed
        .as_ref()
        .is_some_and(|agreed| *agreed != planned.plan.hash())
    {
        return Err(SubscriptionsError::Changed);
    }
    site.remember(&planned.observed, &planned.plan).await?;
    let mut rounds = Vec::new();
    let mut next = planned.plan;
    loop {
        let before = next.hash();
        if next.is_empty() {
            if rounds.is_empty() {
                rounds.push(Applied {
                    left: Some(next.clone()),
                    plan: next,
                    results: Vec::new(),
                    restored: Vec::new(),
                });
            }
            return Ok(rounds);
        }
        let applied = subscriptions::apply(&site, lease, next, &planned.desired, &planned.granted).await?;
        told(&target.name, &applied);
        // What was not tried waited for one that failed: when reading back shows that one, the rest follows at once.
        let stuck = applied.results.iter().any(|changed| {
            !matches!(
                changed.outcome,
                subscriptions::Outcome::Done | subscriptions::Outcome::NotTried
            )
        });
        let left = applied.left.clone();
        rounds.push(applied);
        let done = rounds.len() >= ROUNDS as usize || stuck;
        match left {
            Some(left) if !done && left.hash() != before => next = left,
            _ => return Ok(rounds),
        }
    }
}

/// What the log says of a round.
fn told(shop: &ShopName, applied: &Applied) {
    for changed in &applied.results {
        let line = &changed.line;
        let (topic, id) = (&line.topic, line.id.map(|id| id.0));
        match &changed.outcome {
            subscriptions::Outcome::Done => {
                tracing::info!(%shop, topic, id, reason = line.reason, "subscription: {} done", line.kind);
            }
            outcome => {
                tracing::warn!(%shop, topic, id, outcome = ?outcome, "subscription: {} not done", line.kind);
            }
        }
    }
}

fn may_adopt(planned: &Planned, id: ShopifyId) -> Result<(), SubscriptionsError> {
    let found = planned
        .observed
        .iter()
        .find(|one| one.id == id)
        .ok_or(SubscriptionsError::NoSuchSubscription(id))?;
    if planned
        .desired
        .iter()
        .any(|wanted| wanted.topic_name() == found.topic)
    {
        Ok(())
    } else {
        Err(SubscriptionsError::NotWanted {
            id,
            topic: found.topic.clone(),
        })
    }
}

/// The same as a process that serves: of one that was killed, no lease is left to wait for.
pub(super) fn serving(at: Installation) -> Installation {
    Installation {
        holder: format!("{}{}", crate::store::SERVING, at.holder),
        ..at
    }
}

/// Whether a command removed the shop's subscriptions while this configuration was in force: then they stay away until it
/// changes or a command brings them back.
///
/// # Errors
/// When the store fails.
pub async fn is_removed(store: &SharedStore, shop: &ShopName, config: &Config) -> Result<bool, StoreError> {
    Ok(store.cursor(shop, REMOVED).await?.as_deref() == Some(&mark(config)))
}

/// Notes (or forgets) that a command removed them.
///
/// # Errors
/// When the store fails.
pub async fn set_removed(
    store: &SharedStore,
    shop: &ShopName,
    config: &Config,
    removed: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let value = if removed { mark(config) } else { String::new() };
    store.set_cursor(shop, REMOVED, &value, now).await
}

/// What tells this configuration from another one.
fn mark(config: &Config) -> String {
    let url = config.http.public_url.as_deref().unwrap_or_default();
    hex::encode(Sha256::digest(format!("{} {url}", config.hash)))
}

/// The shops that are not declared any more and still have subscriptions, with how many.
///
/// # Errors
/// When the store fails.
pub async fn left_behind(
    store: &SharedStore,
    config: &Config,
) -> Result<BTreeMap<ShopName, usize>, StoreError> {
    let mut left = BTreeMap::new();
    for shop in store.subscribed_shops().await? {
        if !config.shops.contains_key(&shop) {
            let standing = standing(&store.subscriptions(&shop).await?).count();
            left.insert(shop, standing);
        }
    }
    Ok(left)
}

fn standing(rows: &[SubscriptionRow]) -> impl Iterator<Item = &SubscriptionRow> {
    rows.iter().filter(|row| row.removed_at.is_none())
}

/// Objects whose toggle `in` is paused.
fn is_paused(toggles: &subscriptions::Settings, object: Object) -> bool {
    toggles.toggle(object, Direction::In) == Toggle::Paused
}

/// What arrived in the last day, and when the last of all.
async fn arrived(at: &Installation, shop: &ShopName) -> Result<Vec<DeliverySum>, StoreError> {
    at.store.deliveries_since(shop, at.clock.now().minus(A_DAY)).await
}
