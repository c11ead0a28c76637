//! The look at both sides: lists, links, and what links remember. Nothing is read whole, and nothing is decided here but
//! which records are to be looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{About, Became, Book};
use super::shelf::{ErpShelf, InErp, OnShop, ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{DriftClass, ErpId, FieldValue, Link, LinkState, Object, ShopifyId, Timestamp};
use crate::erp::ErpError;
use crate::store::Correction;
use crate::sync::{agreed_fields, moved};

/// Links and records of the ERP that are read at once.
pub(super) const TOGETHER: u32 = 500;

/// Numbers of the ERP's records that are listed at once.
pub(super) const PAGE: u32 = 2_000;

/// How many orders or products a run reads whole because nothing is remembered of them.
const MOST_UNNOTED: usize = 1_000;

/// By how much the shop's clock and ours may differ.
const SKEW: std::time::Duration = std::time::Duration::from_mins(5);

/// What the look came to.
pub(super) struct Looked {
    pub(super) suspects: Vec<Suspect>,
    pub(super) gone_from_shop: u64,
    pub(super) gone_from_erp: u64,
    /// Up to when this run knows the ERP's changes, where they are sent out.
    pub(super) seen: Option<Timestamp>,
}

/// What is gathered.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) suspects: Vec<Suspect>,
    gone_from_shop: u64,
    pub(super) gone_from_erp: u64,
    /// Booked orders of which nothing is remembered by which their fields could be told to have moved, and products of which it
    /// was never noted which variants stand.
    pub(super) unnoted: Vec<Suspect>,
    /// Products of the ERP of which a variant moved.
    pub(super) moved_products: BTreeSet<ErpId>,
    /// Records that the shop changed where that is not carried in: told without a look at them, and those that are looked at.
    off: u64,
    edited: usize,
    /// Linked records that are left aside because they changed before, and those that are left to their own events.
    aside: u64,
    pub(super) left: u64,
    /// Since when new records of the ERP are sent out, by the ERP's clock; none where none are.
    pub(super) out_since: Option<Timestamp>,
}

impl Gathered {
    /// Has these looked at, each once, and also where an earlier run told of other changes of them.
    pub(super) fn look_at(&mut self, suspects: Vec<Suspect>) {
        let places = self.suspects.iter().enumerate();
        let places: BTreeMap<ShopifyId, usize> = places
            .filter_map(|(place, one)| Some((one.source?, place)))
            .collect();
        for suspect in suspects {
            let place = suspect.source.and_then(|source| places.get(&source));
            match place.and_then(|place| self.suspects.get_mut(*place)) {
                None => self.suspects.push(suspect),
                Some(known) => {
                    if known.sign == Sign::Edited {
                        (known.sign, known.written_at) = (suspect.sign, suspect.written_at);
                    }
                    (known.moves, known.told) = (None, None);
                    known.is_unsent |= suspect.is_unsent;
                    known.written_at = known.written_at.max(suspect.written_at);
                }
            }
        }
    }
}

impl Run<'_> {
    pub(super) async fn look(&self, book: &mut Book) -> Result<Looked, RunError> {
        let object = self.wanted.object;
        let began = match self.model() {
            Some(model) => self.ask(self.context.erp.newest_change(model)).await?,
            None => None,
        };
        let seen = self.newest_of_all().await?;
        let out_since = self.out_since(seen).await?;
        let changes = self.changes().await?;
        let mut shop = self.shop_side().await?;
        let mut erp = self.erp_side().await?;
        book.looked.on_shopify = shop.len();
        let mut gathered = Gathered {
            out_since,
            ..Gathered::default()
        };
        self.links(&mut shop, &mut erp, &mut gathered, book).await?;
        if object == Object::Product {
            self.variants(&shop, &mut erp, &mut gathered, book).await?;
        }
        if object != Object::Order {
            book.looked.in_erp = erp.len();
            self.beside(&mut erp, &changes, &mut gathered).await?;
        }
        self.not_sent(&changes, &shop, &mut gathered).await?;
        let starts_at = self.starts_at().await?;
        self.unlinked(&shop, starts_at, &mut gathered, book);
        self.leave_what_moved_since(began, &mut gathered, book).await?;
        self.note_some(&mut gathered, book);
        self.life.last().await?;
        let is_of_link = |suspect: &&Suspect| {
            !matches!(
                suspect.sign,
                Sign::Unlinked | Sign::Twin | Sign::Unsent | Sign::ErpTwin
            )
        };
        let suspects = gathered.suspects.iter().filter(is_of_link).count() as u64;
        let others = suspects + gathered.off + gathered.aside + gathered.left + book.looked.adopted;
        book.looked.in_step = book.looked.linked.saturating_sub(others);
        Ok(Looked {
            seen,
            suspects: gathered.suspects,
            gone_from_shop: gathered.gone_from_shop,
            gone_from_erp: gathered.gone_from_erp,
        })
    }

    /// Records that were carried over before what is looked at was remembered are read whole once, so many a run, the newest first.
    fn note_some(&self, gathered: &mut Gathered, book: &mut Book) {
        if self.wanted.since.is_some() {
            return;
        }
        let mut unnoted = std::mem::take(&mut gathered.unnoted);
        // What is looked at for another reason is noted by that.
        let known: BTreeSet<ShopifyId> = gathered.suspects.iter().filter_map(|one| one.source).collect();
        unnoted.retain(|one| one.source.is_none_or(|source| !known.contains(&source)));
        let left = unnoted.len().saturating_sub(MOST_UNNOTED);
        book.looked.unnoted = left as u64;
        gathered.suspects.extend(unnoted.drain(left..));
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
                book.looked.adopted += 1;
                continue;
            }
            let moved = now.map(|now| moved(link, now)).unwrap_or_default();
            let is_archived = theirs.is_some_and(|theirs| !theirs.is_active);
            let suspect = Suspect {
                is_away: is_archived && !ours.is_some_and(|ours| ours.is_away),
                ..suspect
            };
            // A product's would have to be told with those of its variants.
            let moves = (self.wanted.object == Object::Customer && !moved.is_empty())
                .then(|| self.moves(suspect.updated_at, moved.len(), &format!("{moved:?}")));
            let told = match moves.filter(|_| !suspect.is_away) {
                Some(moves) => self.told(source, moves).await?,
                None => None,
            };
            let suspect = Suspect {
                moves,
                told,
                ..suspect
            };
            for field in moved.iter().filter(|_| told.is_none()) {
                book.may_correct(
                    &link.model,
                    link.erp_id,
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
            self.suspect(link, suspect, !moved.is_empty() || is_archived, gathered, book)
                .await?;
        }
        Ok(())
    }

    /// Looks at a record that both sides have, where something about it changed.
    pub(super) async fn suspect(
        &self,
        link: &Link,
        suspect: Suspect,
        has_moved: bool,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
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
        } else if is_newer && is_asked && is_off {
            self.edited(suspect, gathered, book).await?;
        } else if is_newer {
            gathered.aside += 1;
        }
        Ok(())
    }

    /// A record that the shop changed, where that is not carried in. What it says instead of the ERP is looked at where the ERP's
    /// word goes out, once after each change: nobody takes such a change away.
    async fn edited(
        &self,
        suspect: Suspect,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let (Some(source), true) = (suspect.source, self.is_sent()) else {
            gathered.off += 1;
            let became = Became::left_alone("toggle_off");
            book.enter(DriftClass::FieldDiffers, &suspect, About::default(), became);
            return Ok(());
        };
        let moves = self.moves(suspect.updated_at, 0, "edited");
        let told = self.told(source, moves).await?;
        gathered.edited += usize::from(told.is_none());
        if told.is_none() && gathered.edited > MOST_UNNOTED {
            // The next runs come to it.
            gathered.off += 1;
            let became = Became::left_alone("toggle_off");
            book.enter(DriftClass::FieldDiffers, &suspect, About::default(), became);
            return Ok(());
        }
        gathered.suspects.push(Suspect {
            sign: Sign::Edited,
            moves: Some(moves),
            told,
            ..suspect
        });
        Ok(())
    }

    /// What the ERP's records of these links hold; those that are gone are absent.
    pub(super) async fn held(
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
    pub(super) fn presence(
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

/// Shopify's number of a link; none where it stands for nobody there.
pub(super) fn source_of(link: &Link) -> Option<ShopifyId> {
    link.source_id
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    link.source_id.parse().ok()
}
