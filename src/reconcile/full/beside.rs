//! What no link leads to on either side, and what is left to its own events.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Book, class_of};
use super::look::{Gathered, PAGE, TOGETHER, source_of};
use super::sent::Changes;
use super::shelf::{ErpShelf, ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{DriftFate, ErpId, LinkState, Object, ShopifyId, Timestamp};
use crate::sync::BeforeStart;

impl Run<'_> {
    /// Records of the ERP that no link leads to: twins of linked ones, and what is to be sent out.
    pub(super) async fn beside(
        &self,
        erp: &mut ErpShelf,
        changes: &Changes,
        gathered: &mut Gathered,
    ) -> Result<(), RunError> {
        let Some(model) = self.model() else {
            return Ok(());
        };
        let open: Vec<ErpId> = erp
            .unlinked()
            .filter(|record| record.is_active && !record.is_owned)
            .map(|record| record.id)
            .collect();
        let ways = self.shop.engine.identities(&self.shop.name, self.wanted.object);
        let fields: BTreeSet<String> = ways.fields().into_iter().collect();
        let is_recognised = self.wanted.object == Object::Customer && !fields.is_empty();
        let others = self.of_others(model, &open).await?;
        if self.wanted.object == Object::Product && !open.is_empty() && !fields.is_empty() {
            let own: BTreeSet<ErpId> = open.iter().copied().filter(|id| !others.contains(id)).collect();
            self.recognise_products(&own, &fields, erp).await?;
        }
        for some in open.chunks(TOGETHER as usize) {
            self.unsent(model, (some, changes), gathered).await?;
            let own: Vec<ErpId> = some.iter().copied().filter(|id| !others.contains(id)).collect();
            if is_recognised {
                for (id, now) in self.read(model, &own, fields.clone()).await? {
                    erp.recognise(id, ways.tokens(&now));
                }
            }
            self.named_twins(model, &own, gathered).await?;
        }
        for (other, ours) in erp.twins() {
            gathered.suspects.push(Suspect {
                beside: Some(ours),
                ..Suspect::new(Sign::ErpTwin, None, Some(other))
            });
        }
        // One reason is enough, and what stands there twice is not sent out besides.
        let mut twins: BTreeSet<ErpId> = BTreeSet::new();
        gathered
            .suspects
            .retain(|suspect| match (suspect.sign, suspect.erp) {
                (Sign::ErpTwin, Some(id)) => twins.insert(id),
                _ => true,
            });
        gathered.suspects.retain(|suspect| {
            suspect.sign != Sign::Unsent || suspect.erp.is_none_or(|id| !twins.contains(&id))
        });
        Ok(())
    }

    /// Those of these records that stand for a record of another shop that is kept in the same ERP, made for it or adopted: they
    /// are nobody's twins.
    async fn of_others(&self, model: &str, ids: &[ErpId]) -> Result<BTreeSet<ErpId>, RunError> {
        let mut theirs = BTreeSet::new();
        for some in ids.chunks(TOGETHER as usize) {
            let named = self.ask(self.context.erp.external_ids(model, some)).await?;
            let named = named.into_iter().filter(|(_, name)| name.shop != self.shop.name);
            theirs.extend(named.map(|(id, _)| id));
            for shop in self.shop.beside.iter().filter(|name| **name != self.shop.name) {
                let links = self.context.store.links_of_erp(shop, self.kind, some);
                let links = self.life.with(links).await??;
                let live = links.iter().filter(|link| link.state != LinkState::Retired);
                theirs.extend(live.map(|link| link.erp_id));
            }
        }
        Ok(theirs)
    }

    /// Products that no link leads to, by what their variants are recognised by.
    async fn recognise_products(
        &self,
        open: &BTreeSet<ErpId>,
        fields: &BTreeSet<String>,
        erp: &mut ErpShelf,
    ) -> Result<(), RunError> {
        let watched = self.context.erp.watched(Object::Product);
        let variants = watched.iter().find_map(|one| Some((one.model, one.owner?)));
        let Some((model, owner)) = variants else {
            return Ok(());
        };
        let ways = self.shop.engine.identities(&self.shop.name, Object::Product);
        let mut after = None;
        loop {
            let rows = self.context.erp.all_ids(model, Some(owner), after, PAGE);
            let rows = self.ask(rows).await?;
            self.life.count(|counts| counts.pages += 1);
            after = rows.last().map(|row| row.id);
            let active = rows.iter().filter(|row| row.active);
            let of_open: BTreeMap<ErpId, ErpId> = active
                .filter_map(|row| Some((row.id, row.owner.filter(|product| open.contains(product))?)))
                .collect();
            let ids: Vec<ErpId> = of_open.keys().copied().collect();
            for some in ids.chunks(TOGETHER as usize) {
                // Two shops that are kept in one company may sell the same article, each with a product of its own.
                let named = self.ask(self.context.erp.external_ids(model, some)).await?;
                let theirs: BTreeSet<ErpId> = named
                    .into_iter()
                    .filter(|(_, name)| name.shop != self.shop.name)
                    .map(|(id, _)| id)
                    .collect();
                let held = self.read(model, some, fields.clone()).await?;
                for (id, now) in held.into_iter().filter(|(id, _)| !theirs.contains(id)) {
                    if let Some(product) = of_open.get(&id) {
                        erp.recognise(*product, ways.tokens(&now));
                    }
                }
            }
            if rows.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Records that carry our name for a record of the shop that another one is linked with.
    async fn named_twins(&self, model: &str, ids: &[ErpId], gathered: &mut Gathered) -> Result<(), RunError> {
        let named = self.ask(self.context.erp.external_ids(model, ids)).await?;
        let prefix = format!("{}_", self.wanted.object);
        let of_shop = named.iter().filter(|(_, name)| name.shop == self.shop.name);
        let sources: Vec<(ErpId, String)> = of_shop
            .filter_map(|(id, name)| Some((*id, name.name.strip_prefix(&prefix)?.to_owned())))
            .filter(|(_, source)| source.parse::<ShopifyId>().is_ok())
            .collect();
        if sources.is_empty() {
            return Ok(());
        }
        let numbers: Vec<String> = sources.iter().map(|(_, source)| source.clone()).collect();
        let links = self
            .context
            .store
            .links(&self.shop.name, self.kind, &numbers)
            .await?;
        for (id, source) in sources {
            let mut live = links.iter().filter(|link| link.state != LinkState::Retired);
            if let Some(link) = live.find(|link| link.source_id == source && link.erp_id != id) {
                gathered.suspects.push(Suspect {
                    beside: Some(link.erp_id),
                    ..Suspect::new(Sign::ErpTwin, source_of(link), Some(id))
                });
            }
        }
        Ok(())
    }

    /// Records that were made since the way out is looked at, and that nobody sent.
    async fn unsent(
        &self,
        model: &str,
        (ids, changes): (&[ErpId], &Changes),
        gathered: &mut Gathered,
    ) -> Result<(), RunError> {
        let Some(since) = gathered.out_since else {
            return Ok(());
        };
        let erp = &self.context.erp;
        let new = self.ask(erp.made_since(model, ids, since)).await?;
        let written = self.written(model, &new).await?;
        let suspects = new.into_iter().map(|id| Suspect {
            // Of a product, its variants may be what changed.
            written_at: written
                .get(&id)
                .max(changes.get(&id))
                .copied()
                .unwrap_or_default(),
            ..Suspect::new(Sign::Unsent, None, Some(id))
        });
        gathered.suspects.extend(suspects);
        Ok(())
    }

    /// Since when the shop's records are carried in.
    pub(super) async fn starts_at(&self) -> Result<Timestamp, RunError> {
        match self.context.start_at {
            Some(start_at) => Ok(start_at),
            None => {
                let (store, now) = (&self.context.store, self.context.clock.now());
                let state = self.life.with(store.shop_state(&self.shop.name, now)).await??;
                Ok(state.first_seen_at)
            }
        }
    }

    /// Records of the shop that no link leads to. Older orders, and records that nobody touched since the shop began, come by
    /// an import only: a shop may have millions of them, so they are counted and nothing else.
    pub(super) fn unlinked(
        &self,
        shop: &ShopShelf,
        starts_at: Timestamp,
        gathered: &mut Gathered,
        book: &mut Book,
    ) {
        let is_by_making =
            self.wanted.object == Object::Order && self.context.settings.before_start == BeforeStart::Skip;
        let twins = shop.twins();
        let is_off = self.context.not_in.contains(&self.wanted.object);
        for record in shop.unlinked() {
            let sign = if twins.contains(&record.id) {
                Sign::Twin
            } else {
                Sign::Unlinked
            };
            let suspect = Suspect::new(sign, Some(ShopifyId(record.id)), None).listed(&record);
            let is_asked = self.wanted.since.is_none_or(|since| suspect.updated_at >= since);
            let began = if is_by_making {
                suspect.created_at
            } else {
                suspect.updated_at
            };
            if is_off || (is_asked && began < starts_at) {
                book.tally(class_of(sign), DriftFate::LeftAlone, 1);
            } else if is_asked {
                gathered.suspects.push(suspect);
            }
        }
    }

    /// What was written in the ERP while the run looked comes by itself.
    pub(super) async fn leave_what_moved_since(
        &self,
        began: Option<Timestamp>,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let (Some(began), Some(model)) = (began, self.model()) else {
            return Ok(());
        };
        let since = began.plus(std::time::Duration::from_secs(1));
        let until = since.plus(std::time::Duration::from_hours(24 * 365));
        let mut fresh = BTreeSet::new();
        let mut after = None;
        loop {
            let erp = &self.context.erp;
            let rows = self
                .ask(erp.changed(model, None, since, until, after, PAGE))
                .await?;
            after = rows.last().map(|row| row.id);
            fresh.extend(rows.iter().map(|row| row.id));
            if rows.len() < PAGE as usize {
                break;
            }
        }
        let before = gathered.suspects.len();
        gathered.suspects.retain(|suspect| {
            !(suspect.sign == Sign::Moved && suspect.erp.is_some_and(|id| fresh.contains(&id)))
        });
        gathered.left = (before - gathered.suspects.len()) as u64;
        book.looked.left_to_events += gathered.left;
        Ok(())
    }
}
