//! The webhook subscriptions of the configured shops: planned, applied, listed, taken over. Used by the daemon's own task and by
//! the commands; both go the same way, one of them at a time for each shop.

mod departed;
mod error;
mod gaps;
mod list;
mod problems;
mod removed;
mod reports;
mod target;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use crate::config::{Config, is_local};
use crate::domain::{Direction, Object, ShopName, ShopifyId};
use crate::store::{DeliverySum, SharedStore, StoreError, SubscriptionRow};
use crate::subscriptions::{
    self, Applied, Desired, Lease, NotHeld, Observed, Ours, Plan, Site, Toggle, Wish,
};

pub use departed::{
    Departed, LeftBehind, Removal, follow_renames, forget, name_of_departed, note_departed,
    remove_through_daemon,
};
pub use error::{NOT_NEWEST, SubscriptionsError};
pub(in crate::app) use gaps::tells_of_a_loss;
pub use list::{ListRow, Listed, Status, list};
use problems::OF_DECLARED;
pub use problems::{
    PUBLIC_URL_MISSING, SCOPE_MISSING, SHOP_REMOVED, SUBSCRIPTION_BLOCKED, SUBSCRIPTION_OVERLAP,
    SUBSCRIPTION_REFUSED, TWIN_INSTALLATION,
};
pub use removed::{is_removed, set_removed};
pub use reports::{
    ApplyReport, ErrorReport, ListReport, PlanReport, PlanReports, is_complete, report_applied, report_lists,
    report_plans,
};
pub use target::{Installation, Target, instance, renew_instance};
pub(super) use target::{own_name, serving};

/// Shops that are asked at the same time.
const SHOPS_AT_ONCE: usize = 16;

/// How often a plan is made anew and carried out in one go: what one round shows (a name that was free after all) the next
/// one puts right.
const ROUNDS: u32 = 3;

/// Deliveries are counted over this time for people.
pub(super) const A_DAY: Duration = Duration::from_hours(24);

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
    /// Those of ours that stand where we did not put them.
    pub moved: Vec<Observed>,
}

impl Planned {
    /// Why nothing is changed although something is to be done: somebody else moved ours, and nobody took them back (`adopted`).
    pub fn twin(&self, adopted: &BTreeSet<ShopifyId>) -> Option<SubscriptionsError> {
        let moved = || self.moved.iter().filter(|one| !adopted.contains(&one.id));
        Some(SubscriptionsError::Moved {
            shop: self.plan.shop.clone(),
            count: moved().count(),
            to: moved().next()?.uri.clone(),
        })
    }
}

/// The named position of the address at which subscriptions of a shop are being put; empty when that is done, so that a copy of
/// the store knows no address of ours.
const MOVING_TO: &str = "subscriptions_moving_to";

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
    let moving_to = at.store.cursor(&target.name, MOVING_TO).await?;
    let wanted = at.public_url.as_deref().map(subscriptions::address);
    // Where it is wanted, where it stood when we looked last, and where we were about to put it when we were killed. One that we
    // never recorded carries our name all the same: somebody with our identity made it.
    let is_known = |one: &Observed| {
        let row = standing(&rows).find(|row| row.id == one.id);
        [row.map(|row| &row.uri), moving_to.as_ref(), wanted.as_ref()]
            .into_iter()
            .flatten()
            .any(|known| subscriptions::is_same_address(known, &one.uri))
    };
    let moved = observed
        .iter()
        .filter(|one| ours.has(one) && !is_known(one))
        .cloned()
        .collect();
    Ok(Planned {
        moved,
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
    let is_marked = is_removed(&at.store, &target.name, config, at.clock.now()).await?;
    if order.remove != is_marked {
        // Before anything is deleted: a daemon that looks in between would bring it back.
        set_removed(&at.store, &target.name, config, order.remove, at.clock.now()).await?;
    }
    let done = apply(at, target, order).await;
    if order.remove && is_complete(&done) {
        let now = at.clock.now();
        at.store
            .close_shop_problems(&target.name, SHOP_REMOVED, now)
            .await?;
    }
    if order.remove && done.is_err() {
        // Nothing was deleted, so what is there is kept as before.
        set_removed(&at.store, &target.name, config, false, at.clock.now()).await?;
    }
    done
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
    let acting_for = at.acting_for.as_deref();
    let lease = match Lease::take(&at.store, &at.clock, &target.name, &at.holder, acting_for).await? {
        Ok(lease) => lease,
        Err(NotHeld::Busy) => return Err(SubscriptionsError::Busy),
        Err(NotHeld::Overtaken) => return Err(SubscriptionsError::NotNewest),
    };
    // What is interrupted is made good at the next look: nothing of it is only in memory.
    let result = tokio::select! {
        biased;
        () = at.interrupt.cancelled() => Err(SubscriptionsError::Interrupted),
        result = apply_under(at, target, order, &lease) => result,
    };
    lease.release().await;
    if !order.remove {
        let noted = match &result {
            Ok(done) => problems::note(at, target, done).await,
            Err(error) => problems::note_failure(at, target, error).await,
        };
        if let Err(error) = noted {
            tracing::warn!(shop = %target.name, error = %error, "cannot note what is wrong with the subscriptions");
        }
    }
    result.map(|done| done.rounds)
}

/// What came of carrying an order out.
struct Done {
    rounds: Vec<Applied>,
    /// Topics whose events also arrive through a subscription that the API does not list.
    unlisted: Vec<&'static str>,
}

async fn apply_under(
    at: &Installation,
    target: &Target,
    order: &Order,
    lease: &Lease,
) -> Result<Done, SubscriptionsError> {
    // Under the lease nobody gives the installation another id.
    let at = &at.refreshed().await?;
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
        telling: &told::Told {
            at,
            shop: &target.name,
            desired: &desired,
        },
        clock: &at.clock,
        instance: &at.instance,
    };
    let planned = plan_with(at, target, desired.clone(), order.adopted.clone()).await?;
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
    if let Some(twin) = planned.twin(&order.adopted) {
        return Err(twin);
    }
    site.remember(&planned.observed, &planned.plan).await?;
    // What stands elsewhere than it did was moved by us, or a person says that it is ours: from here on it stands there.
    site.remember_addresses(&planned.observed).await?;
    let moves_to = planned.plan.changes().find_map(|line| {
        let found = planned.observed.iter().find(|one| Some(one.id) == line.id);
        let to = &line.new.as_ref()?.uri;
        (!found.is_some_and(|found| subscriptions::is_same_address(to, &found.uri))).then_some(to)
    });
    if let Some(to) = moves_to {
        let now = at.clock.now();
        at.store.set_cursor(&target.name, MOVING_TO, to, now).await?;
    }
    let done = rounds(at, target, &site, lease, planned).await?;
    if done.rounds.last().is_some_and(Applied::is_complete)
        && let Err(error) = forget_move(at, &target.name).await
    {
        tracing::debug!(shop = %target.name, error = %error, "the next look notes that everything stands where it is wanted");
    }
    Ok(done)
}

/// Notes that nothing is on its way any more, as soon as it is recorded where everything stands.
async fn forget_move(at: &Installation, shop: &ShopName) -> Result<(), StoreError> {
    let moving = at.store.cursor(shop, MOVING_TO).await?.unwrap_or_default();
    if moving.is_empty() {
        return Ok(());
    }
    let rows = at.store.subscriptions(shop).await?;
    if standing(&rows).all(|row| subscriptions::is_same_address(&row.uri, &moving)) {
        at.store.set_cursor(shop, MOVING_TO, "", at.clock.now()).await?;
    }
    Ok(())
}

/// Carries out the plan, and what is still to be done after it.
async fn rounds(
    at: &Installation,
    target: &Target,
    site: &Site<'_>,
    lease: &Lease,
    planned: Planned,
) -> Result<Done, SubscriptionsError> {
    let unlisted = list::unlisted(&planned, &arrived(at, &target.name).await?);
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
            return Ok(Done { rounds, unlisted });
        }
        let applied = subscriptions::apply(site, lease, next, &planned.desired, &planned.granted).await?;
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
            _ => return Ok(Done { rounds, unlisted }),
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
    let is_wanted = |wanted: &Desired| wanted.topic_name() == found.topic;
    if planned.desired.iter().any(is_wanted) || planned.moved.iter().any(|one| one.id == id) {
        Ok(())
    } else {
        Err(SubscriptionsError::NotWanted {
            id,
            topic: found.topic.clone(),
        })
    }
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
