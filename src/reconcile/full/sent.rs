//! What the ERP changed and nobody sent to the shop, where its changes are carried there: fields that only the way out maps, and
//! variants that the ERP made. Nothing is read whole for it but what was written in the ERP since the run before.

use std::collections::BTreeMap;
use std::time::Duration;

use super::book::{About, Became, Book};
use super::look::{Gathered, PAGE, TOGETHER, source_of};
use super::shelf::{ShopShelf, Sign, Suspect};
use super::weigh::kind_of;
use super::{Run, RunError};
use crate::domain::{DriftClass, ErpId, FieldValue, Link, LinkKind, LinkState, Object, ShopName, Timestamp};
use crate::poll::OVERLAP;
use crate::store::{SharedStore, StoreError};

/// Records of the ERP that were written since the run before, or that something of theirs was, each with when.
pub(super) type Changes = BTreeMap<ErpId, Timestamp>;

/// The ERP's field that says when a record was written.
const WRITTEN: &str = "write_date";

/// Longer than a run is ever away from the one before.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 10);

/// How many variants that are not sent are asked about one by one.
const MOST_VARIANTS: usize = 1_000;

/// Why a variant is not sent that was there before the way out was looked at.
const OLDER: &str = "older_than_the_way_out";

/// Where it is kept since when what the ERP makes is sent out.
pub(super) fn sent_since(object: Object) -> String {
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

    /// What was written in the ERP since the run before; nothing where that is not sent, or no run noted it yet.
    pub(super) async fn changes(&self) -> Result<Changes, RunError> {
        let mut changes = Changes::new();
        if !self.is_sent() {
            return Ok(changes);
        }
        let (store, object) = (&self.context.store, self.wanted.object);
        let seen = self
            .life
            .with(store.cursor(&self.shop.name, &seen_until(object)))
            .await??;
        let Some(seen) = seen.and_then(|seen| Timestamp::parse_rfc3339(&seen).ok()) else {
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

    /// Notes up to when this run knew the ERP's changes.
    pub(super) async fn has_seen(&self, seen: Option<Timestamp>) -> Result<(), RunError> {
        let Some(seen) = seen else { return Ok(()) };
        let (store, now) = (&self.context.store, self.context.clock.now());
        let (name, text) = (seen_until(self.wanted.object), seen.to_utc().to_rfc3339());
        store.set_cursor(&self.shop.name, &name, &text, now).await?;
        Ok(())
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
            let anew = self.life.with(Box::pin(anew)).await?.map_err(|error| {
                let kind = kind_of(&error);
                tracing::debug!(run = self.id, kind, "what is sent out cannot be worked out");
                RunError::Compare {
                    run: self.id,
                    tried: u32::try_from(links.len()).unwrap_or(u32::MAX),
                }
            })?;
            for link in links.iter().filter(|link| anew.contains(&link.erp_id)) {
                // What the shop does not list is looked at for that.
                let listed = source_of(link).and_then(|source| Some((source, shop.get(source)?)));
                suspects.extend(listed.map(|(source, listed)| Suspect {
                    is_unsent: true,
                    ..Suspect::new(Sign::Moved, Some(source), Some(link.erp_id)).listed(&listed)
                }));
            }
        }
        gathered.look_at(suspects);
        Ok(())
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

    /// Variants that the ERP has and the shop has not: those that were made since the way out is looked at are looked at with their
    /// products, the others are told.
    pub(super) async fn unsent_variants(
        &self,
        new: Vec<(NewVariant, Link)>,
        shop: &ShopShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let since = match new.first().filter(|_| self.is_sent()) {
            Some((variant, _)) => self.variants_since(variant.model).await?,
            None => None,
        };
        let mut suspects: BTreeMap<ErpId, Suspect> = BTreeMap::new();
        for some in new.chunks(TOGETHER as usize) {
            let ids: Vec<ErpId> = some.iter().map(|(variant, _)| variant.id).collect();
            let (made, written) = match (some.first(), since) {
                (Some((variant, _)), Some(since)) => {
                    let made = self.context.erp.made_since(variant.model, &ids, since);
                    let made = self.ask(made).await?;
                    let written = self.written(variant.model, &made).await?;
                    (made, written)
                }
                _ => (Vec::new(), Changes::new()),
            };
            for (variant, product) in some {
                let Some((source, listed)) =
                    source_of(product).and_then(|source| Some((source, shop.get(source)?)))
                else {
                    continue;
                };
                let suspect = Suspect::new(Sign::UnsentVariant, Some(source), Some(product.erp_id));
                let suspect = suspect.listed(&listed);
                if made.contains(&variant.id) {
                    let at = written.get(&variant.id).copied().unwrap_or_default();
                    let known = suspects.entry(product.erp_id).or_insert(suspect);
                    known.written_at = known.written_at.max(at);
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

    /// Since when variants of the ERP are sent out, as its products are.
    async fn variants_since(&self, model: &str) -> Result<Option<Timestamp>, RunError> {
        self.out_since(self.model().unwrap_or(model)).await
    }

    /// Those of these variants whose product is linked, with its link; without those of which the shop had one and has it no
    /// more.
    pub(super) async fn of_linked(&self, new: Vec<NewVariant>) -> Result<Vec<(NewVariant, Link)>, RunError> {
        let products = new.iter().map(|one| one.product).collect();
        let products: BTreeMap<ErpId, Link> = self
            .links_of_products(products)
            .await?
            .into_iter()
            .filter(|link| link.state == LinkState::Linked)
            .map(|link| (link.erp_id, link))
            .collect();
        let mut found = Vec::new();
        for variant in new {
            let Some(product) = products.get(&variant.product) else {
                continue;
            };
            if found.len() >= MOST_VARIANTS {
                break;
            }
            let store = &self.context.store;
            let kind = LinkKind::Variant;
            let link = self
                .life
                .with(store.link_of_erp(&self.shop.name, kind, variant.id))
                .await??;
            if link.is_none() {
                found.push((variant, product.clone()));
            }
        }
        Ok(found)
    }
}
