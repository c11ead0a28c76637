//! What the ERP changed and nobody sent to the shop, where its changes are carried there: fields that only the way out maps, and
//! variants that the ERP made. Nothing is read whole for it but what was written in the ERP since the run before.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::book::{About, Became, Book};
use super::look::{Gathered, PAGE, TOGETHER, source_of};
use super::shelf::{ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{
    Direction, DriftClass, DriftFate, ErpId, FieldValue, Link, LinkKind, LinkState, Object, ShopName,
    ShopifyId, Timestamp,
};
use crate::poll::OVERLAP;
use crate::store::{SharedStore, StoreError};
use crate::sync::{AnewError, PreviewError};

/// Records of the ERP that were written since the run before, or that something of theirs was, each with when.
pub(super) type Changes = BTreeMap<ErpId, Timestamp>;

/// The ERP's field that says when a record was written.
const WRITTEN: &str = "write_date";

/// Longer than a run is ever away from the one before.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 10);

/// How many variants that are left unsent are told one by one; of more, how many. Tests have few.
const MOST_VARIANTS: usize = if cfg!(test) { 2 } else { 1_000 };

/// Questions to the store that are asked at once.
const AT_ONCE: usize = 16;

/// Why a variant is not sent that was there before the way out was looked at.
const OLDER: &str = "older_than_the_way_out";

/// Where it is kept since when what the ERP makes is sent out.
fn sent_since(object: Object) -> String {
    format!("full:out:{object}")
}

/// Where it is kept up to when a run knew the ERP's changes.
fn seen_until(object: Object) -> String {
    format!("full:seen:{object}")
}

/// Forgets what full runs know of the way out of an object, which is off: switched on again, only what the ERP changes from
/// then on is sent.
///
/// # Errors
/// When the store fails.
pub async fn forget_sent(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
    now: Timestamp,
) -> Result<(), StoreError> {
    for name in [sent_since(object), seen_until(object)] {
        let known = store.cursor(shop, &name).await?;
        if known.is_some_and(|known| !known.is_empty()) {
            store.set_cursor(shop, &name, "", now).await?;
        }
    }
    Ok(())
}

/// A variant of the ERP of which the shop has none.
#[derive(Clone, Copy)]
pub(super) struct NewVariant {
    pub(super) product: ErpId,
    pub(super) model: &'static str,
    pub(super) id: ErpId,
}

impl Run<'_> {
    /// Whether the ERP's changes of what is looked at go to the shop.
    pub(super) fn is_sent(&self) -> bool {
        self.context.out.contains(&self.wanted.object)
    }

    /// When anything of this object was written last in the ERP; none where that is not sent.
    pub(super) async fn newest_of_all(&self) -> Result<Option<Timestamp>, RunError> {
        let mut newest = None;
        if self.is_sent() {
            for watched in self.context.erp.watched(self.wanted.object) {
                newest = newest.max(self.ask(self.context.erp.newest_change(watched.model)).await?);
            }
        }
        Ok(newest)
    }

    /// Since when new records of the ERP are sent out, by the ERP's clock: what was there when the first run looked is left
    /// alone, as polls leave it. None at that first run, and where nothing is sent. `newest` is when anything was written last.
    pub(super) async fn out_since(&self, newest: Option<Timestamp>) -> Result<Option<Timestamp>, RunError> {
        if !self.is_sent() {
            return Ok(None);
        }
        let name = sent_since(self.wanted.object);
        let known = self.noted(&name).await?;
        if known.is_none() && !self.wanted.dry_run && !self.is_off_by_now(Direction::Out).await? {
            // The second of the last change is over once something later is seen.
            let since = newest.map_or(Timestamp::default(), |newest| newest.plus(Duration::from_secs(1)));
            self.note(&name, since).await?;
        }
        Ok(known)
    }

    /// A time that is kept in the store; none where it was forgotten.
    async fn noted(&self, name: &str) -> Result<Option<Timestamp>, RunError> {
        let text = self
            .life
            .with(self.context.store.cursor(&self.shop.name, name))
            .await??;
        Ok(text.and_then(|text| Timestamp::parse_rfc3339(&text).ok()))
    }

    async fn note(&self, name: &str, at: Timestamp) -> Result<(), RunError> {
        let (store, now) = (&self.context.store, self.context.clock.now());
        let text = at.to_utc().to_rfc3339();
        store.set_cursor(&self.shop.name, name, &text, now).await?;
        Ok(())
    }

    /// What was written in the ERP since the run before; nothing where that is not sent, or no run noted it yet.
    pub(super) async fn changes(&self) -> Result<Changes, RunError> {
        let mut changes = Changes::new();
        if !self.is_sent() {
            return Ok(changes);
        }
        let object = self.wanted.object;
        let Some(seen) = self.noted(&seen_until(object)).await? else {
            return Ok(changes);
        };
        // What a long transaction wrote shows late, with an earlier time.
        let since = seen.minus(OVERLAP);
        let until = since.plus(FOREVER);
        for watched in self.context.erp.watched(object) {
            let mut after = None;
            loop {
                let erp = &self.context.erp;
                let rows = erp.changed(watched.model, watched.owner, since, until, after, PAGE);
                let rows = self.ask(rows).await?;
                self.life.count(|counts| counts.pages += 1);
                after = rows.last().map(|row| row.id);
                for row in &rows {
                    let own = row.alone.then_some(row.id);
                    for id in own.into_iter().chain(row.owner) {
                        let at = changes.entry(id).or_default();
                        *at = row.at.max(*at);
                    }
                }
                if rows.len() < PAGE as usize {
                    break;
                }
            }
        }
        Ok(changes)
    }

    /// Notes up to when this run knew the ERP's changes: not past one about which nobody decided.
    pub(super) async fn has_seen(
        &self,
        seen: Option<Timestamp>,
        undecided: Option<Timestamp>,
    ) -> Result<(), RunError> {
        let object = self.wanted.object;
        let Some(seen) = seen else { return Ok(()) };
        // It was forgotten while the run looked: the way out was switched off.
        if self.noted(&sent_since(object)).await?.is_none() {
            return Ok(());
        }
        let name = seen_until(object);
        let until = match undecided {
            // Nor back, for what a long transaction wrote late: that is looked at again in any case.
            Some(at) => seen.min(at.max(self.noted(&name).await?.unwrap_or_default())),
            None => seen,
        };
        self.note(&name, until).await
    }

    /// Linked records of which the way out makes something else since the ERP changed them.
    pub(super) async fn not_sent(
        &self,
        changes: &Changes,
        shop: &ShopShelf,
        gathered: &mut Gathered,
    ) -> Result<(), RunError> {
        let ids: Vec<ErpId> = changes.keys().copied().collect();
        let mut suspects = Vec::new();
        for some in ids.chunks(TOGETHER as usize) {
            let store = &self.context.store;
            let links = store.links_of_erp(&self.shop.name, self.kind, some);
            let mut links: Vec<Link> = self.life.with(links).await??;
            links.retain(|link| link.state == LinkState::Linked && source_of(link).is_some());
            if links.is_empty() {
                continue;
            }
            let engine = &self.shop.engine;
            let anew = engine.made_anew(&self.shop.name, self.wanted.object, &links);
            let anew = self.life.with(Box::pin(anew)).await?;
            let anew = anew.map_err(|error| self.not_worked_out(error))?;
            for link in links.iter().filter(|link| anew.contains(&link.erp_id)) {
                // What the shop does not list is looked at for that.
                let listed = source_of(link).and_then(|source| Some((source, shop.get(source)?)));
                suspects.extend(listed.map(|(source, listed)| Suspect {
                    is_unsent: true,
                    written_at: changes.get(&link.erp_id).copied().unwrap_or_default(),
                    ..Suspect::new(Sign::Moved, Some(source), Some(link.erp_id)).listed(&listed)
                }));
            }
        }
        gathered.look_at(suspects);
        Ok(())
    }

    fn not_worked_out(&self, error: AnewError) -> RunError {
        let run = self.id;
        match error {
            AnewError::Erp(source) => RunError::Erp { run, source },
            AnewError::Other(PreviewError::Failed { reason, fix }) => RunError::Sent { run, reason, fix },
            AnewError::Other(other) => RunError::Sent {
                run,
                reason: other.to_string(),
                fix: String::new(),
            },
        }
    }

    /// When these records of the ERP were written last.
    pub(super) async fn written(&self, model: &str, ids: &[ErpId]) -> Result<Changes, RunError> {
        if ids.is_empty() {
            return Ok(Changes::new());
        }
        let held = self.read(model, ids, [WRITTEN.to_owned()].into()).await?;
        let at = |(id, mut fields): (ErpId, BTreeMap<String, FieldValue>)| match fields.remove(WRITTEN) {
            Some(FieldValue::Time(at)) => Some((id, at)),
            _ => None,
        };
        Ok(held.into_iter().filter_map(at).collect())
    }

    /// Active variants of linked products that no link leads to. `linked` are those with a link, in the order of their numbers.
    pub(super) async fn new_variants(&self, linked: &[ErpId]) -> Result<Vec<NewVariant>, RunError> {
        let watched = self.context.erp.watched(Object::Product);
        let variants = watched.iter().find_map(|one| Some((one.model, one.owner?)));
        let Some((model, owner)) = variants else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let rows = self.context.erp.all_ids(model, Some(owner), after, PAGE);
            let rows = self.ask(rows).await?;
            self.life.count(|counts| counts.pages += 1);
            after = rows.last().map(|row| row.id);
            let new = rows
                .iter()
                .filter(|row| row.active && linked.binary_search(&row.id).is_err());
            found.extend(new.filter_map(|row| {
                Some(NewVariant {
                    product: row.owner?,
                    model,
                    id: row.id,
                })
            }));
            if rows.len() < PAGE as usize {
                return Ok(found);
            }
        }
    }

    /// Variants that the ERP has and the shop has not, each with its product on the shop and in the ERP: those that were made
    /// since the way out is looked at are looked at with their products, the others are told.
    pub(super) async fn unsent_variants(
        &self,
        new: Vec<(NewVariant, ShopifyId)>,
        shop: &ShopShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let mut suspects: BTreeMap<ErpId, Suspect> = BTreeMap::new();
        let mut left = 0;
        for some in new.chunks(TOGETHER as usize) {
            let ids: Vec<ErpId> = some.iter().map(|(variant, _)| variant.id).collect();
            let (made, written) = match (some.first(), gathered.out_since) {
                (Some((variant, _)), Some(since)) => {
                    let made = self.context.erp.made_since(variant.model, &ids, since);
                    let made = self.ask(made).await?;
                    let written = self.written(variant.model, &made).await?;
                    (made, written)
                }
                _ => (Vec::new(), Changes::new()),
            };
            for (variant, source) in some {
                let Some(listed) = shop.get(*source) else {
                    continue;
                };
                let suspect = Suspect {
                    is_unsent: true,
                    ..Suspect::new(Sign::UnsentVariant, Some(*source), Some(variant.product)).listed(&listed)
                };
                if made.contains(&variant.id) {
                    let at = written.get(&variant.id).copied().unwrap_or_default();
                    let known = suspects.entry(variant.product).or_insert(suspect);
                    known.written_at = known.written_at.max(at);
                    continue;
                }
                left += 1;
                if left > MOST_VARIANTS {
                    book.tally(DriftClass::MissingOnShopify, DriftFate::LeftAlone, 1);
                    continue;
                }
                let about = About {
                    model: Some(format!("{} {}", variant.model, variant.id)),
                    ..About::default()
                };
                let rule = if self.is_sent() { OLDER } else { "toggle_off" };
                let became = Became::left_alone(rule);
                book.enter(DriftClass::MissingOnShopify, &suspect, about, became);
            }
        }
        gathered.look_at(suspects.into_values().collect());
        Ok(())
    }

    /// Those of these variants whose product is linked, with its number on the shop; without those of which the shop had one and
    /// has it no more.
    pub(super) async fn of_linked(
        &self,
        new: Vec<NewVariant>,
    ) -> Result<Vec<(NewVariant, ShopifyId)>, RunError> {
        let mut found = Vec::new();
        for some in new.chunks(TOGETHER as usize) {
            let products = some.iter().map(|one| one.product).collect();
            let products: BTreeMap<ErpId, ShopifyId> = self
                .links_of_products(products)
                .await?
                .iter()
                .filter(|link| link.state == LinkState::Linked)
                .filter_map(|link| Some((link.erp_id, source_of(link)?)))
                .collect();
            let of_linked: Vec<(NewVariant, ShopifyId)> = some
                .iter()
                .filter_map(|one| Some((*one, *products.get(&one.product)?)))
                .collect();
            for few in of_linked.chunks(AT_ONCE) {
                let store = &self.context.store;
                // One that is linked no more is among them only here.
                let links = few
                    .iter()
                    .map(|(variant, _)| store.link_of_erp(&self.shop.name, LinkKind::Variant, variant.id));
                let links = self.life.with(join_all(links)).await?;
                for (one, link) in few.iter().zip(links) {
                    if link?.is_none() {
                        found.push(*one);
                    }
                }
            }
        }
        Ok(found)
    }
}
