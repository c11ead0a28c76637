//! Carrying a plan out: each change is one request, recorded at once; then everything is read back.
//!
//! A change that is refused stops no other. One that fails for a passing reason stops the rest: what was done is recorded,
//! the rest is planned anew at the next time. Where an answer was lost, what is read back decides. A gap is noted before the
//! change that ends it, so that no crash between the two loses it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};

use super::desired::{Desired, object_to_heal};
use super::lease::{Lease, NotHeld};
use super::outcome::{Applied, Changed, Gaps, Outcome, Restored, Telling, Why};
use super::plan::{Kind, Ours, Plan, PlanLine, is_same_address, plan};
use super::{NewSubscription, Observed, Registry};
use crate::domain::{Disposition, SharedClock, ShopName, ShopifyId, Timestamp};
use crate::failpoint::{self, FailPoint};
use crate::shopify::ShopifyError;
use crate::store::{DeliverySum, SharedStore, StoreError, SubscriptionRow, Word};

/// Changes of one shop that are under way at once.
const AT_ONCE: usize = 4;

/// Shopify tries a failed delivery again for four hours and then deletes the subscription
/// (<https://shopify.dev/changelog/updates-to-webhook-retry-mechanism>): while one stood, what happened longer ago than this
/// had arrived.
pub const RETRIES_LAST: Duration = Duration::from_hours(5);

/// A gap may be looked at and closed before the change that ends it, if that comes long after it was noted: then it is noted again.
/// Much less than Shopify's search lags behind, which a gap stays open for at least.
const NOTE_LASTS: Duration = Duration::from_secs(20);

/// Words of Shopify, which has no codes for them.
const TAKEN: &str = "has already been taken";
const NAME_TAKEN: &str = "Name already exists";
const GONE: &str = "does not exist";

/// Where and with what a plan is carried out.
pub struct Site<'a> {
    /// The shop.
    pub shop: &'a ShopName,
    /// Its subscriptions.
    pub registry: &'a dyn Registry,
    /// What we remember.
    pub store: &'a SharedStore,
    /// Who remembers what was missed.
    pub gaps: &'a dyn Gaps,
    /// Who tells others.
    pub telling: &'a dyn Telling,
    /// The time.
    pub clock: &'a SharedClock,
    /// The installation's id.
    pub instance: &'a str,
}

impl Site<'_> {
    /// How our subscriptions are told from others, by what is recorded.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ours(&self) -> Result<Ours, StoreError> {
        Ok(ours(self.instance, &self.store.subscriptions(self.shop).await?))
    }

    /// Records what stands. `rows` are ours as they were before: where one of its topic was gone, others are told that it is there
    /// again.
    async fn record(&self, observed: &Observed, rows: &[SubscriptionRow]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let body = was_gone(rows, &observed.topic).then(|| self.telling.restored(observed, now));
        let row = SubscriptionRow {
            shop: self.shop.clone(),
            id: observed.id,
            topic: observed.topic.clone(),
            uri: observed.uri.clone(),
            name: observed.name.clone(),
            created_at: observed.created_at,
            seen_at: now,
            removed_at: None,
        };
        self.store.save_subscription(row, word(body.flatten(), now)).await
    }

    /// Brings our records in step with what was found: what is ours by its name is recorded, what stands right was seen, what
    /// is gone is noted as gone since it was last seen. Others are told of what came or went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remember(&self, observed: &[Observed], plan: &Plan) -> Result<(), StoreError> {
        let rows = self.store.subscriptions(self.shop).await?;
        let ours = ours(self.instance, &rows);
        for one in observed.iter().filter(|one| ours.has(one)) {
            let known = rows
                .iter()
                .any(|row| row.id == one.id && row.removed_at.is_none());
            if !known {
                self.record(one, &rows).await?;
            }
        }
        let right: Vec<ShopifyId> = plan
            .lines
            .iter()
            .filter(|line| line.kind == Kind::Unchanged)
            .filter_map(|line| line.id)
            .collect();
        if !right.is_empty() {
            self.store
                .saw_subscriptions(self.shop, &right, self.clock.now())
                .await?;
        }
        for row in rows.iter().filter(|row| row.removed_at.is_none()) {
            let stands = observed.iter().find(|one| one.id == row.id);
            if stands.is_none_or(|one| !ours.has(one)) {
                let now = self.clock.now();
                let body = stands.is_none().then(|| self.telling.removed(row, now));
                self.store
                    .remove_subscription(self.shop, row.id, row.seen_at, word(body.flatten(), now))
                    .await?;
            }
        }
        Ok(())
    }
}

impl Site<'_> {
    /// Notes where those that we know stand now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remember_addresses(&self, observed: &[Observed]) -> Result<(), StoreError> {
        for row in self.store.subscriptions(self.shop).await? {
            let stands = observed.iter().find(|one| one.id == row.id);
            if let Some(one) = stands.filter(|one| row.removed_at.is_none() && one.uri != row.uri) {
                let row = SubscriptionRow {
                    uri: one.uri.clone(),
                    ..row
                };
                self.store.save_subscription(row, None).await?;
            }
        }
        Ok(())
    }
}

fn word(body: Option<String>, at: Timestamp) -> Option<Word> {
    body.map(|body| Word { body, at })
}

/// Whether the last one of this topic was found gone. One that we deleted ourselves was noted as gone later than it was last
/// seen.
fn was_gone(rows: &[SubscriptionRow], topic: &str) -> bool {
    let last = rows
        .iter()
        .filter(|row| row.topic == topic)
        .max_by_key(|row| (row.seen_at, row.id));
    last.is_some_and(|row| row.removed_at == Some(row.seen_at))
}

/// How our subscriptions are told from others.
pub fn ours(instance: &str, rows: &[SubscriptionRow]) -> Ours {
    Ours {
        instance: instance.to_owned(),
        recorded: rows
            .iter()
            .filter(|row| row.removed_at.is_none())
            .map(|row| (row.id, row.topic.clone()))
            .collect(),
        ..Ours::default()
    }
}

/// Since when events of the topic of this change may be missing, where that can be made up for.
fn restored(line: &PlanLine, rows: &[SubscriptionRow], deliveries: &[DeliverySum]) -> Option<Restored> {
    if !line.loses || !matches!(line.kind, Kind::Create | Kind::Update | Kind::Adopt) {
        return None;
    }
    let object = object_to_heal(&line.topic)?;
    let header = super::desired::of_graphql(&line.topic)?.name;
    let of_topic = || rows.iter().filter(|row| row.topic == line.topic);
    let why = if line.kind != Kind::Create {
        Why::Changed
    } else if of_topic().any(|row| row.removed_at.is_none_or(|at| at == row.seen_at)) {
        Why::Missing
    } else if of_topic().next().is_some() {
        Why::SwitchedOn
    } else {
        Why::New
    };
    // While it stood right, what is older than the retries last had arrived.
    let stood = of_topic()
        .map(|row| {
            row.seen_at
                .max(row.removed_at.unwrap_or(row.seen_at))
                .minus(RETRIES_LAST)
        })
        .max();
    // That something arrived says nothing of what came before: deliveries are retried for hours and come in any order.
    let arrived = || {
        let last = deliveries.iter().filter(|sum| sum.topic == header);
        let last = last.filter_map(|sum| sum.last_accepted_at).max()?;
        Some(last.minus(RETRIES_LAST))
    };
    Some(Restored {
        object,
        topic: line.topic.clone(),
        since: stood.or_else(arrived),
        why,
    })
}

/// Carries a plan out and reads back what stands then.
///
/// # Errors
/// When the store fails before anything is changed.
pub async fn apply(
    site: &Site<'_>,
    lease: &Lease,
    plan_: Plan,
    desired: &[Desired],
    granted: &std::collections::BTreeSet<String>,
) -> Result<Applied, StoreError> {
    let rows = site.store.subscriptions(site.shop).await?;
    let deliveries = site.store.deliveries_since(site.shop, site.clock.now()).await?;
    let mut gaps = BTreeMap::new();
    for line in plan_.changes() {
        if let Some(restored) = restored(line, &rows, &deliveries) {
            site.gaps.open(site.shop, &restored, false).await?;
            gaps.insert(line.topic.clone(), restored);
        }
    }
    let run = Run {
        site,
        lease,
        rows: &rows,
        gaps: &gaps,
        noted_at: site.clock.now(),
        is_stopped: AtomicBool::new(false),
    };
    let mut results: Vec<Changed> = Vec::new();
    for kinds in [&[Kind::Delete][..], &[Kind::Adopt, Kind::Update], &[Kind::Create]] {
        let changes: Vec<BoxFuture<'_, Changed>> = plan_
            .lines
            .iter()
            .filter(|line| kinds.contains(&line.kind))
            .map(|line| run.change(line))
            .collect();
        let done: Vec<Changed> = stream::iter(changes).buffered(AT_ONCE).collect().await;
        results.extend(done);
    }
    let left = run.read_back(desired, granted, &mut results).await;
    let restored: Vec<Restored> = results
        .iter()
        .filter(|changed| changed.outcome.is_done() && changed.line.kind != Kind::Delete)
        .filter_map(|changed| gaps.get(&changed.line.topic))
        .cloned()
        .collect();
    for one in &restored {
        if let Err(error) = site.gaps.open(site.shop, one, true).await {
            // It is open since before, and is closed a little too early at worst.
            tracing::warn!(shop = %site.shop, topic = one.topic, error = %error, "cannot note since when events arrive again");
        }
    }
    Ok(Applied {
        plan: plan_,
        results,
        restored,
        left,
    })
}

/// Why a step of a change went wrong.
enum Trouble {
    Shopify(ShopifyError),
    Store(StoreError),
    Injected(failpoint::Injected),
}

impl From<ShopifyError> for Trouble {
    fn from(error: ShopifyError) -> Self {
        Self::Shopify(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<failpoint::Injected> for Trouble {
    fn from(error: failpoint::Injected) -> Self {
        Self::Injected(error)
    }
}

impl Trouble {
    fn is_about(&self, words: &str) -> bool {
        matches!(self, Self::Shopify(ShopifyError::Rejected { reason, .. }) if reason.contains(words))
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Shopify(error) if error.disposition() == Disposition::Permanent => Outcome::Refused {
                reason: error.to_string(),
                needs: match error {
                    ShopifyError::AccessDenied { needed, .. } => Some(needed.clone()),
                    _ => None,
                },
            },
            Self::Shopify(error) => Outcome::Failed {
                reason: error.to_string(),
            },
            Self::Store(error) => Outcome::Failed {
                reason: error.to_string(),
            },
            Self::Injected(error) => Outcome::Failed {
                reason: error.to_string(),
            },
        }
    }
}

struct Run<'a> {
    site: &'a Site<'a>,
    lease: &'a Lease,
    /// Ours, as they were before anything is changed.
    rows: &'a [SubscriptionRow],
    /// The gaps that changes end, by topic.
    gaps: &'a BTreeMap<String, Restored>,
    /// When they were noted.
    noted_at: Timestamp,
    /// Something failed that may pass: nothing more is begun.
    is_stopped: AtomicBool,
}

impl Run<'_> {
    fn change<'c>(&'c self, line: &'c PlanLine) -> BoxFuture<'c, Changed> {
        Box::pin(self.try_change(line))
    }

    async fn try_change(&self, line: &PlanLine) -> Changed {
        let changed = |outcome| Changed {
            line: line.clone(),
            outcome,
        };
        if self.is_stopped.load(Ordering::Relaxed) {
            return changed(Outcome::NotTried);
        }
        let outcome = match self.lease.renew().await {
            Ok(Ok(())) => match self.carry_out(line).await {
                Ok(()) => Outcome::Done,
                Err(trouble) => trouble.outcome(),
            },
            Ok(Err(NotHeld::Busy)) => Outcome::Failed {
                reason: "another process changes the subscriptions of this shop now".to_owned(),
            },
            Ok(Err(NotHeld::Overtaken)) => Outcome::Failed {
                reason: "another configuration became the newest meanwhile".to_owned(),
            },
            Err(error) => Outcome::Failed {
                reason: error.to_string(),
            },
        };
        if matches!(outcome, Outcome::Failed { .. }) {
            self.is_stopped.store(true, Ordering::Relaxed);
        }
        changed(outcome)
    }

    async fn carry_out(&self, line: &PlanLine) -> Result<(), Trouble> {
        let site = self.site;
        let is_stale = site.clock.now() >= self.noted_at.plus(NOTE_LASTS);
        if let Some(gap) = self.gaps.get(&line.topic).filter(|_| is_stale && line.loses) {
            site.gaps.open(site.shop, gap, false).await?;
        }
        match (line.kind, line.id, &line.new) {
            (Kind::Delete, Some(id), _) => self.delete(id).await,
            (Kind::Adopt | Kind::Update, Some(id), Some(new)) => self.update(id, new).await,
            (Kind::Adopt, Some(id), None) => self.take_over(id).await,
            (Kind::Create, _, Some(new)) => self.create(new).await,
            _ => Ok(()),
        }
    }

    async fn delete(&self, id: ShopifyId) -> Result<(), Trouble> {
        let site = self.site;
        match site.registry.delete(id).await.map_err(Trouble::from) {
            Ok(()) => {}
            // Somebody was faster, or our answer was lost.
            Err(trouble) if trouble.is_about(GONE) => {}
            Err(trouble) => return Err(trouble),
        }
        Ok(site
            .store
            .remove_subscription(site.shop, id, site.clock.now(), None)
            .await?)
    }

    async fn update(&self, id: ShopifyId, new: &NewSubscription) -> Result<(), Trouble> {
        let site = self.site;
        let updated = site.registry.update(id, new).await?;
        if new.undo && (updated.filter.is_some() || !updated.include_fields.is_empty()) {
            // What somebody set cannot be taken back: a new one has nothing set.
            self.delete(id).await?;
            let plain = NewSubscription {
                undo: false,
                ..new.clone()
            };
            return self.create(&plain).await;
        }
        Ok(site.record(&updated, self.rows).await?)
    }

    async fn take_over(&self, id: ShopifyId) -> Result<(), Trouble> {
        let observed = self.site.registry.list().await?;
        match observed.iter().find(|one| one.id == id) {
            Some(found) => Ok(self.site.record(found, self.rows).await?),
            None => Ok(()),
        }
    }

    async fn create(&self, new: &NewSubscription) -> Result<(), Trouble> {
        let site = self.site;
        let created = match site.registry.create(new).await.map_err(Trouble::from) {
            Ok(created) => created,
            Err(trouble) if trouble.is_about(TAKEN) || trouble.is_about(NAME_TAKEN) => {
                match self.standing(new).await? {
                    Some(standing) => standing,
                    None => return Err(trouble),
                }
            }
            Err(trouble) => return Err(trouble),
        };
        failpoint::reach(FailPoint::SubscriptionCreated).await?;
        Ok(site.record(&created, self.rows).await?)
    }

    /// What stands in the place of a new one, if it is ours or nobody's: its creation succeeded before, and its answer was lost.
    async fn standing(&self, new: &NewSubscription) -> Result<Option<Observed>, Trouble> {
        let ours = self.site.ours().await?;
        let observed = self.site.registry.list().await?;
        Ok(observed
            .into_iter()
            .find(|one| one.topic == new.topic && is_same_address(&one.uri, &new.uri))
            .filter(|one| ours.has(one) || one.name.is_none()))
    }

    /// Reads everything back and lets it decide. What is still to be done then, unless it cannot be read.
    async fn read_back(
        &self,
        desired: &[Desired],
        granted: &std::collections::BTreeSet<String>,
        results: &mut [Changed],
    ) -> Option<Plan> {
        let site = self.site;
        let read = async {
            let observed = site.registry.list().await.map_err(Trouble::from)?;
            let after = plan(site.shop, desired, &observed, &site.ours().await?, granted);
            site.remember(&observed, &after).await?;
            Ok::<_, Trouble>(after)
        };
        let after = match read.await {
            Ok(after) => after,
            Err(trouble) => {
                tracing::warn!(shop = %site.shop, reason = ?trouble.outcome(), "cannot read the subscriptions back");
                return None;
            }
        };
        for changed in results {
            let is_left = after.changes().any(|line| {
                line.topic == changed.line.topic
                    && (changed.line.kind != Kind::Delete || line.id == changed.line.id)
            });
            match (&changed.outcome, is_left) {
                (Outcome::Failed { .. } | Outcome::NotTried, false) => changed.outcome = Outcome::Done,
                (Outcome::Done, true) => changed.outcome = Outcome::Unconfirmed,
                _ => {}
            }
        }
        Some(after)
    }
}
