//! The look at both sides: lists, links, and what links remember. Nothing is read whole, and nothing is decided here but
//! which records are to be looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::hidden::hidden;
use super::shelf::{ErpShelf, InErp, OnShop, ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{DriftClass, DriftFate, ErpId, FieldValue, Link, LinkKind, LinkState, Object, ShopifyId};
use crate::erp::{ErpError, OrderStanding, OrderState};
use crate::store::Correction;
use crate::sync::{agreed_fields, expected, is_entered_by_hand, moved, reference_of};

/// Links and records of the ERP that are read at once.
pub(super) const TOGETHER: u32 = 500;

/// Numbers of the ERP's records that are listed at once.
pub(super) const PAGE: u32 = 2_000;

/// By how much the shop's clock and ours may differ.
const SKEW: std::time::Duration = std::time::Duration::from_mins(5);

/// What the look came to.
pub(super) struct Looked {
    pub(super) suspects: Vec<Suspect>,
    pub(super) gone_from_shop: u64,
    pub(super) gone_from_erp: u64,
}

/// What is gathered.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) suspects: Vec<Suspect>,
    gone_from_shop: u64,
    gone_from_erp: u64,
    /// Products of the ERP of which a variant moved.
    moved_products: BTreeSet<ErpId>,
}

impl Run<'_> {
    pub(super) async fn look(&self, book: &mut Book) -> Result<Looked, RunError> {
        let object = self.wanted.object;
        let began = match self.model() {
            Some(model) => self.ask(self.context.erp.newest_change(model)).await?,
            None => None,
        };
        let mut shop = self.shop_side().await?;
        let mut erp = self.erp_side().await?;
        book.looked.on_shopify = shop.len();
        let mut gathered = Gathered::default();
        self.links(&mut shop, &mut erp, &mut gathered, book).await?;
        if object == Object::Product {
            self.variants(&shop, &mut erp, &mut gathered, book).await?;
        }
        if object != Object::Order {
            book.looked.in_erp = erp.len();
            self.beside(&mut erp, &mut gathered).await?;
        }
        let starts_at = self.starts_at().await?;
        self.unlinked(&shop, starts_at, &mut gathered, book);
        self.leave_what_moved_since(began, &mut gathered, book).await?;
        self.life.last().await?;
        let is_of_link = |suspect: &&Suspect| {
            !matches!(
                suspect.sign,
                Sign::Unlinked | Sign::Twin | Sign::Unsent | Sign::ErpTwin
            )
        };
        let suspects = gathered.suspects.iter().filter(is_of_link).count() as u64;
        book.looked.in_step = book.looked.linked.saturating_sub(suspects);
        Ok(Looked {
            suspects: gathered.suspects,
            gone_from_shop: gathered.gone_from_shop,
            gone_from_erp: gathered.gone_from_erp,
        })
    }

    /// The ERP's model of the object.
    pub(super) fn model(&self) -> Option<&'static str> {
        match self.wanted.object {
            Object::Order => None,
            object => self
                .context
                .erp
                .watched(object)
                .first()
                .map(|watched| watched.model),
        }
    }

    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, ErpError>>,
    ) -> Result<T, RunError> {
        let answer = self.life.with(question).await?;
        answer.map_err(|source| RunError::Erp { run: self.id, source })
    }

    /// Everything that the shop has.
    async fn shop_side(&self) -> Result<ShopShelf, RunError> {
        let failed = |source| RunError::Shopify { run: self.id, source };
        let mut shelf = ShopShelf::default();
        let all = self.context.source.everything(self.wanted.object);
        let mut all = self.life.with(all).await?.map_err(failed)?;
        while let Some(record) = self.life.with(all.next()).await?.map_err(failed)? {
            shelf.add(&record);
        }
        shelf.sort();
        self.life.count(|counts| counts.records = shelf.len());
        Ok(shelf)
    }

    /// Everything that the ERP has. Orders are looked up by their links alone: most of the ERP's are none of the shop's.
    async fn erp_side(&self) -> Result<ErpShelf, RunError> {
        let mut shelf = ErpShelf::default();
        let Some(model) = self.model() else {
            return Ok(shelf);
        };
        let watched = self.context.erp.watched(self.wanted.object);
        let owner = watched.first().and_then(|watched| watched.owner);
        let mut after = None;
        loop {
            let rows = self
                .ask(self.context.erp.all_ids(model, owner, after, PAGE))
                .await?;
            for row in &rows {
                shelf.add(InErp {
                    id: row.id,
                    is_active: row.active,
                    is_owned: row.owner.is_some(),
                    is_linked: false,
                });
            }
            self.life.count(|counts| counts.pages += 1);
            after = rows.last().map(|row| row.id);
            if rows.len() < PAGE as usize {
                return Ok(shelf);
            }
        }
    }

    /// Goes through the links, each with both of its records.
    async fn links(
        &self,
        shop: &mut ShopShelf,
        erp: &mut ErpShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let identities = match self.wanted.object {
            Object::Customer => self
                .shop
                .engine
                .identities(&self.shop.name, Object::Customer)
                .fields(),
            _ => Vec::new(),
        };
        let mut after = None;
        loop {
            let store = &self.context.store;
            let links = store.links_in_order(&self.shop.name, self.kind, after, TOGETHER);
            let links = self.life.with(links).await??;
            let is_last = links.len() < TOGETHER as usize;
            after = links.last().map(|link| link.erp_id);
            // Guests' partners stand for nobody on the shop.
            for link in links.iter().filter(|link| source_of(link).is_none()) {
                erp.linked(link.erp_id);
            }
            let links: Vec<&Link> = links.iter().filter(|link| source_of(link).is_some()).collect();
            book.looked.linked += links.len() as u64;
            if self.wanted.object == Object::Order {
                self.orders(&links, shop, gathered, book).await?;
            } else {
                self.records(&links, &identities, (&mut *shop, &mut *erp), gathered, book)
                    .await?;
            }
            self.life.count(|counts| counts.pages += 1);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Customers or products.
    async fn records(
        &self,
        links: &[&Link],
        identities: &[String],
        (shop, erp): (&mut ShopShelf, &mut ErpShelf),
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let mut fields: BTreeSet<String> = links.iter().flat_map(|link| agreed_fields(link)).collect();
        fields.extend(identities.iter().cloned());
        let held = self.held(links, fields).await?;
        let ways = self.shop.engine.identities(&self.shop.name, self.wanted.object);
        for link in links {
            let Some(source) = source_of(link) else { continue };
            let theirs = erp.linked(link.erp_id);
            let ours = shop.linked(source);
            let now = held.get(&link.erp_id);
            if let Some(now) = now.filter(|_| !identities.is_empty()) {
                erp.recognise(link.erp_id, ways.tokens(now));
            }
            let Some(suspect) = self.presence(link, ours, now.is_some(), gathered) else {
                continue;
            };
            if link.state == LinkState::Adopted {
                // Nothing was written yet, and nothing is agreed: the first change of either side begins that.
                continue;
            }
            let moved = now.map(|now| moved(link, now)).unwrap_or_default();
            let is_archived = theirs.is_some_and(|theirs| !theirs.is_active);
            let suspect = Suspect {
                is_away: is_archived && !ours.is_some_and(|ours| ours.is_away),
                ..suspect
            };
            for field in &moved {
                book.may_correct(
                    link,
                    Correction {
                        shop: self.shop.name.clone(),
                        object: self.wanted.object,
                        source_id: source,
                        field: field.field.clone(),
                        value: field.value.clone(),
                        mapping: format!("{}.in.toml", self.wanted.object),
                    },
                );
            }
            self.suspect(link, suspect, !moved.is_empty() || is_archived, gathered, book);
        }
        Ok(())
    }

    /// Orders.
    async fn orders(
        &self,
        links: &[&Link],
        shop: &mut ShopShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let ids: Vec<ErpId> = links.iter().map(|link| link.erp_id).collect();
        let standings = self.ask(self.context.erp.order_standings(&ids)).await?;
        book.looked.in_erp += standings.len() as u64;
        let references: Vec<String> = standings
            .iter()
            .filter(|standing| standing.state != OrderState::Cancelled)
            .filter_map(|standing| standing.reference.clone())
            .collect();
        let standings: BTreeMap<ErpId, _> = standings
            .into_iter()
            .map(|standing| (standing.id, standing))
            .collect();
        let is_carried = !self.context.not_in.contains(&Object::Order);
        for link in links {
            let Some(source) = source_of(link) else { continue };
            let ours = shop.linked(source);
            let theirs = standings.get(&link.erp_id);
            if ours.is_none() && self.is_hidden(link, theirs, Some(&*shop), book).await? {
                // They are many, always the same, and no sign of damage: counted, not listed.
                book.tally(DriftClass::Deleted, DriftFate::LeftAlone, 1);
                let suspect = hidden(link, theirs);
                gathered.gone_from_erp += u64::from(theirs.is_none());
                gathered.suspects.extend(suspect);
                continue;
            }
            let Some(suspect) = self.presence(link, ours, theirs.is_some(), gathered) else {
                continue;
            };
            let is_by_hand = is_entered_by_hand(link);
            let is_cancelled = theirs.is_some_and(|theirs| theirs.state == OrderState::Cancelled);
            let is_off = ours.is_some_and(|ours| ours.is_away);
            let suspect = Suspect {
                is_away: is_cancelled && !is_off && !is_by_hand,
                ..suspect
            };
            if theirs.is_some_and(|theirs| has_other_amounts(link, theirs)) && !is_cancelled && !is_by_hand {
                gathered.suspects.push(Suspect {
                    sign: Sign::Total,
                    ..suspect
                });
            } else if is_off && !is_cancelled && !is_by_hand && is_carried {
                // What cannot be cancelled there is an open problem, or one that a person gave up.
                gathered.suspects.push(Suspect {
                    sign: Sign::Alive,
                    ..suspect
                });
            } else {
                self.suspect(link, suspect, suspect.is_away, gathered, book);
            }
        }
        self.order_twins(links, &references, &standings.keys().copied().collect(), gathered)
            .await
    }

    /// Orders of the ERP that carry the number of a linked one, and that no link leads to.
    async fn order_twins(
        &self,
        links: &[&Link],
        references: &[String],
        ours: &BTreeSet<ErpId>,
        gathered: &mut Gathered,
    ) -> Result<(), RunError> {
        let erp = &self.context.erp;
        let found = self.ask(erp.orders_of_references(references)).await?;
        let others: Vec<ErpId> = found
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| !ours.contains(id))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let linked = self
            .context
            .store
            .links_of_erp(&self.shop.name, LinkKind::Order, &others)
            .await?;
        let mut known: BTreeSet<ErpId> = linked.into_iter().map(|link| link.erp_id).collect();
        let model = links.first().map(|link| link.model.as_str()).unwrap_or_default();
        let others: Vec<ErpId> = others.into_iter().filter(|id| !known.contains(id)).collect();
        known.extend(self.of_other_shops(model, &others, &found).await?);
        for other in others.into_iter().filter(|id| !known.contains(id)) {
            let reference = found.iter().find(|(id, _)| *id == other).map(|(_, name)| name);
            let beside = found
                .iter()
                .find(|(id, name)| ours.contains(id) && Some(name) == reference)
                .map(|(id, _)| *id);
            gathered.suspects.push(Suspect {
                beside,
                ..Suspect::new(Sign::ErpTwin, None, Some(other))
            });
        }
        Ok(())
    }

    /// Those of these orders that are another shop's: two shops that are booked in one company may both have a number.
    async fn of_other_shops(
        &self,
        model: &str,
        ids: &[ErpId],
        references: &[(ErpId, String)],
    ) -> Result<BTreeSet<ErpId>, RunError> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let named = self.ask(self.context.erp.external_ids(model, ids)).await?;
        let named = named.into_iter().filter(|(_, name)| name.shop != self.shop.name);
        let mut theirs: BTreeSet<ErpId> = named.map(|(id, _)| id).collect();
        for shop in self.shop.shops.iter().filter(|name| **name != self.shop.name) {
            let links = self.context.store.links_of_erp(shop, LinkKind::Order, ids);
            for link in self.life.with(links).await?? {
                let reference = references.iter().find(|(id, _)| *id == link.erp_id);
                let reference = reference.map(|(_, reference)| reference.as_str());
                // The shop may be booked in another ERP, where the same record number is another order.
                if is_entered_by_hand(&link) || reference_of(&link) == reference {
                    theirs.insert(link.erp_id);
                }
            }
        }
        Ok(theirs)
    }

    /// Looks at a record that both sides have, where something about it changed.
    fn suspect(
        &self,
        link: &Link,
        suspect: Suspect,
        has_moved: bool,
        gathered: &mut Gathered,
        book: &mut Book,
    ) {
        let is_newer = link
            .source_updated_at
            .is_none_or(|applied| applied < suspect.updated_at);
        let is_asked = self.wanted.since.is_none_or(|since| suspect.updated_at >= since);
        let is_off = self.context.not_in.contains(&self.wanted.object);
        if is_newer && is_asked && !is_off {
            gathered.suspects.push(Suspect {
                sign: Sign::Changed,
                ..suspect
            });
        } else if has_moved {
            gathered.suspects.push(Suspect {
                sign: Sign::Moved,
                ..suspect
            });
        } else if is_newer && is_off {
            book.tally(DriftClass::FieldDiffers, DriftFate::LeftAlone, 1);
        }
    }

    /// Variants: what moved of them is looked at with their product.
    async fn variants(
        &self,
        shop: &ShopShelf,
        erp: &mut ErpShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let ways = self.shop.engine.identities(&self.shop.name, Object::Product);
        let watched = self.context.erp.watched(Object::Product);
        let owner = watched.iter().find_map(|watched| watched.owner);
        let mut known: BTreeSet<ShopifyId> = gathered.suspects.iter().filter_map(|one| one.source).collect();
        let mut after = None;
        loop {
            let store = &self.context.store;
            let links = store.links_in_order(&self.shop.name, LinkKind::Variant, after, TOGETHER);
            let links = self.life.with(links).await??;
            let is_last = links.len() < TOGETHER as usize;
            after = links.last().map(|link| link.erp_id);
            let links: Vec<&Link> = links
                .iter()
                .filter(|link| link.state == LinkState::Linked && source_of(link).is_some())
                .collect();
            let mut fields: BTreeSet<String> = links.iter().flat_map(|link| agreed_fields(link)).collect();
            fields.extend(owner.map(str::to_owned));
            fields.extend(ways.fields());
            let held = self.held(&links, fields).await?;
            for link in links {
                let Some(source) = source_of(link) else { continue };
                let product = shop.product_of(source);
                let Some(now) = held.get(&link.erp_id) else {
                    // Known only where the list tells of variants. One that the shop has no more is nobody's.
                    if let Some(product) = product.filter(|product| known.insert(*product)) {
                        gathered
                            .suspects
                            .push(Suspect::new(Sign::Moved, Some(product), None));
                    }
                    continue;
                };
                if shop.knows_variants() && product.is_none() {
                    continue;
                }
                let template = match owner.and_then(|owner| now.get(owner)) {
                    Some(FieldValue::Record(template)) => Some(*template),
                    _ => None,
                };
                if let Some(template) = template {
                    erp.recognise(template, ways.tokens(now));
                }
                let moved = moved(link, now);
                if moved.is_empty() {
                    continue;
                }
                gathered.moved_products.extend(template);
                for field in moved {
                    book.may_correct(
                        link,
                        Correction {
                            shop: self.shop.name.clone(),
                            object: Object::Product,
                            source_id: source,
                            field: field.field,
                            value: field.value,
                            mapping: "product.in.toml".to_owned(),
                        },
                    );
                }
            }
            if is_last {
                break;
            }
        }
        let products: Vec<ErpId> = std::mem::take(&mut gathered.moved_products).into_iter().collect();
        for some in products.chunks(TOGETHER as usize) {
            let store = &self.context.store;
            let links = store.links_of_erp(&self.shop.name, LinkKind::Product, some);
            for link in self.life.with(links).await?? {
                if let Some(product) = source_of(&link).filter(|product| known.insert(*product)) {
                    let suspect = Suspect::new(Sign::Moved, Some(product), Some(link.erp_id));
                    gathered.suspects.push(suspect);
                }
            }
        }
        Ok(())
    }

    /// What the ERP's records of these links hold; those that are gone are absent.
    async fn held(
        &self,
        links: &[&Link],
        fields: BTreeSet<String>,
    ) -> Result<BTreeMap<ErpId, BTreeMap<String, FieldValue>>, RunError> {
        let mut held = BTreeMap::new();
        let mut models: Vec<&str> = links.iter().map(|link| link.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        for model in models {
            let of_model = links.iter().filter(|link| link.model == model);
            let ids: Vec<ErpId> = of_model.map(|link| link.erp_id).collect();
            held.extend(self.read(model, &ids, fields.clone()).await?);
        }
        Ok(held)
    }

    pub(super) async fn read(
        &self,
        model: &str,
        ids: &[ErpId],
        fields: BTreeSet<String>,
    ) -> Result<BTreeMap<ErpId, BTreeMap<String, FieldValue>>, RunError> {
        let table = self.ask(self.context.erp.fields(model)).await?;
        // A field that was mapped once may be gone from the ERP.
        let fields: Vec<String> = fields
            .into_iter()
            .filter(|field| table.0.contains_key(field))
            .collect();
        let rows = self.ask(self.context.erp.read(model, ids, &fields)).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.fields)).collect())
    }

    /// Whether both records of a link are there; if not, that is what is looked at.
    fn presence(
        &self,
        link: &Link,
        ours: Option<OnShop>,
        is_in_erp: bool,
        gathered: &mut Gathered,
    ) -> Option<Suspect> {
        let mut suspect = Suspect::new(Sign::Moved, source_of(link), Some(link.erp_id));
        if let Some(ours) = &ours {
            suspect = suspect.listed(ours);
        }
        suspect.sign = match (ours.is_some(), is_in_erp) {
            (true, true) => return Some(suspect),
            (false, true) => Sign::GoneFromShop,
            (true, false) => Sign::GoneFromErp,
            (false, false) => Sign::GoneFromBoth,
        };
        // What was carried in while the run looked may have been made behind the list's back: that is asked, record by
        // record, and tells nothing of a wrong shop.
        let is_fresh = link
            .source_updated_at
            .is_some_and(|applied| applied >= self.started_at.minus(SKEW));
        gathered.gone_from_shop += u64::from(ours.is_none() && !is_fresh);
        gathered.gone_from_erp += u64::from(!is_in_erp);
        gathered.suspects.push(suspect);
        None
    }
}

/// Whether the ERP's order comes to something else than what was booked and proven.
pub(super) fn has_other_amounts(link: &Link, theirs: &OrderStanding) -> bool {
    expected(link).is_some_and(|expected| {
        expected.total != theirs.total || expected.tax.is_some_and(|tax| tax != theirs.tax)
    })
}

/// Shopify's number of a link; none where it stands for nobody there.
pub(super) fn source_of(link: &Link) -> Option<ShopifyId> {
    link.source_id
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    link.source_id.parse().ok()
}
