//! Stock: the levels of all linked variants at each location that the ERP feeds, on both sides.
//!
//! Nothing tells without a look which levels differ: an order changes them on both sides. So all are read, many at once, and
//! those that differ a second time, because the sides are not read in one moment. A level in flux is no drift: one of which
//! an order that sells it, the notice of its item, or a push, is still under way. Nor is one that fell put back at once, or
//! by the push of another variant of its product: a sale may have lowered it whose order is not told yet, so it goes the way
//! of its notice, which waits for that. Nor is one whose job a person gave up asked about again while it stays as it was.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{About, Became, Book};
use super::notes::Question;
use super::shelf::{Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{Direction, DriftClass, DriftFate, ErpId, LinkKind, LinkState, ShopifyId};
use crate::sync::{PreviewError, StockFailed, StockFound, StockLevel, StockStanding};

/// Variants whose stock is read at once. Tests have the variants of one product apart.
const TOGETHER: u32 = if cfg!(test) { 1 } else { 100 };

/// What is said of a location that never had any of a variant.
const NOT_STOCKED: &str = "not stocked";

/// Products of which a level is not to be put back now.
#[derive(Default)]
struct Flux {
    /// A notice of one of their items is under way: it has their stock looked at.
    noticed: BTreeSet<ErpId>,
    /// A level fell of this item, and nobody told of it.
    fallen: BTreeMap<ErpId, ShopifyId>,
}

impl Run<'_> {
    /// Compares the stock of all linked variants, or of a sample of them.
    pub(super) async fn stock(&self, book: &mut Book) -> Result<(), RunError> {
        // Of each product one job, whatever differs of it.
        let mut jobs: BTreeMap<ErpId, Became> = BTreeMap::new();
        if let Some(count) = self.wanted.sample {
            let picked = self.picked(count, book).await?;
            book.looked.linked = 0;
            let variants: Vec<ErpId> = picked.iter().filter_map(|suspect| suspect.erp).collect();
            for some in variants.chunks(TOGETHER as usize) {
                self.stock_of(some, &mut jobs, book).await?;
            }
            return Ok(());
        }
        let mut after = None;
        loop {
            let store = &self.context.store;
            let links = store.links_in_order(&self.shop.name, LinkKind::Variant, after, TOGETHER);
            let links = self.life.with(links).await??;
            after = links.last().map(|link| link.erp_id);
            let live = links.iter().filter(|link| link.state != LinkState::Retired);
            let variants: Vec<ErpId> = live.map(|link| link.erp_id).collect();
            self.stock_of(&variants, &mut jobs, book).await?;
            self.life.count(|counts| counts.pages += 1);
            if links.len() < TOGETHER as usize {
                return self.life.last().await;
            }
        }
    }

    async fn stock_of(
        &self,
        variants: &[ErpId],
        jobs: &mut BTreeMap<ErpId, Became>,
        book: &mut Book,
    ) -> Result<(), RunError> {
        if variants.is_empty() {
            return Ok(());
        }
        let mut first = self.levels(variants).await?;
        not_reckoned(std::mem::take(&mut first.failed), book);
        let looked = &mut book.looked;
        looked.on_shopify += first.levels.iter().filter(|level| level.shown.is_some()).count() as u64;
        looked.in_erp += variants.len() as u64 - first.left_alone.min(variants.len() as u64);
        looked.linked += first.levels.len() as u64;
        self.life.count(|counts| counts.records = looked.linked);
        let differ = |level: &&StockLevel| level.standing != StockStanding::InStep;
        looked.in_step += first.levels.iter().filter(|level| !differ(level)).count() as u64;
        let left: BTreeSet<ErpId> = first
            .levels
            .iter()
            .filter(differ)
            .map(|level| level.variant)
            .collect();
        if !left.is_empty() {
            let left: Vec<ErpId> = left.into_iter().collect();
            let mut again = self.levels(&left).await?;
            not_reckoned(std::mem::take(&mut again.failed), book);
            let seen = |level: &&StockLevel| {
                let mut before = first.levels.iter().filter(differ);
                before.any(|one| (one.variant, &one.field) == (level.variant, &level.field))
            };
            let twice: Vec<&StockLevel> = again.levels.iter().filter(seen).collect();
            let flux = self.flux(&twice, jobs).await?;
            for level in twice {
                book.looked.compared += 1;
                self.level(level, &flux, jobs, book).await?;
            }
        }
        for warehouse in first.unknown {
            let about = About {
                field: Some(format!("warehouse {warehouse}")),
                ..About::default()
            };
            let became = Became::of(DriftFate::Unexplained).because("warehouse_not_found");
            let suspect = Suspect::new(Sign::Level, None, None);
            if book.unknown_warehouses.insert(warehouse) {
                book.enter(DriftClass::NotCompared, &suspect, about, became);
            }
        }
        Ok(())
    }

    async fn levels(&self, variants: &[ErpId]) -> Result<StockFound, RunError> {
        let levels = self.shop.engine.stock_levels(&self.shop.name, variants);
        let levels = self.life.with(Box::pin(levels)).await?;
        levels.map_err(|error| match error {
            PreviewError::Failed { reason, fix } => RunError::Stock {
                run: self.id,
                reason,
                fix,
            },
            other => RunError::Stock {
                run: self.id,
                reason: other.to_string(),
                fix: String::new(),
            },
        })
    }

    /// Which products of these levels are not to be pushed now. What their notices' jobs say to people goes into `jobs`.
    async fn flux(
        &self,
        levels: &[&StockLevel],
        jobs: &mut BTreeMap<ErpId, Became>,
    ) -> Result<Flux, RunError> {
        let mut flux = Flux::default();
        let mut asked = BTreeSet::new();
        for level in levels {
            let Some(product) = level.product.filter(|_| would_push(level.standing)) else {
                continue;
            };
            if asked.insert(level.item) {
                let notice = Suspect::new(Sign::Level, Some(level.item), None);
                match self.in_hand(&notice).await? {
                    Some(became) if became.fate == DriftFate::InWork => {
                        flux.noticed.insert(product);
                    }
                    Some(became) => {
                        jobs.entry(product).or_insert(became);
                    }
                    None => {}
                }
            }
            if level.has_fallen {
                flux.fallen.entry(product).or_insert(level.item);
            }
        }
        Ok(flux)
    }

    /// What becomes of a level that differed twice.
    async fn level(
        &self,
        level: &StockLevel,
        flux: &Flux,
        jobs: &mut BTreeMap<ErpId, Became>,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let became = match (level.standing, level.product) {
            (StockStanding::InStep, _) => {
                book.looked.in_step += 1;
                return Ok(());
            }
            (StockStanding::OrderInWork, _) => {
                book.looked.left_to_events += 1;
                return Ok(());
            }
            (StockStanding::Stands, _) => Became::left_alone("shopify_has_the_last_word"),
            (StockStanding::Differs | StockStanding::Conflict, Some(product))
                if flux.noticed.contains(&product) =>
            {
                book.looked.left_to_events += 1;
                return Ok(());
            }
            (StockStanding::Differs | StockStanding::Conflict, Some(product)) => {
                let fallen = flux.fallen.get(&product).copied();
                match self.push_of(level, product, fallen, jobs).await? {
                    Some(became) if became.fate == DriftFate::LeftAlone => became,
                    Some(became) if level.standing == StockStanding::Conflict => Became {
                        fate: DriftFate::NeedsPerson,
                        ..became.because("changed_on_both_sides")
                    },
                    Some(became) => became,
                    // A push is under way.
                    None => {
                        book.looked.left_to_events += 1;
                        return Ok(());
                    }
                }
            }
            (StockStanding::Differs | StockStanding::Conflict, None) => {
                Became::of(DriftFate::Unexplained).because("variant_without_product")
            }
        };
        if let (DriftFate::Repaired | DriftFate::NeedsPerson, Some(job)) = (became.fate, became.job) {
            self.has_asked(&Question::of_level(level), job).await?;
        }
        let about = About {
            model: Some(format!("inventory item {}", level.item)),
            name: level.sku.clone(),
            field: Some(level.field.clone()),
            shopify: Some(
                level
                    .shown
                    .map_or_else(|| NOT_STOCKED.to_owned(), |units| units.to_string()),
            ),
            erp: Some(level.wanted.to_string()),
        };
        let suspect = Suspect::new(Sign::Level, level.source, Some(level.variant));
        book.enter(DriftClass::StockDiffers, &suspect, about, became);
        Ok(())
    }

    /// The push of a product's stock, or the notice of its item that fell; none where a push is under way already.
    async fn push_of(
        &self,
        level: &StockLevel,
        product: ErpId,
        fallen: Option<ShopifyId>,
        jobs: &mut BTreeMap<ErpId, Became>,
    ) -> Result<Option<Became>, RunError> {
        if let Some(known) = jobs.get(&product) {
            return Ok(Some(known.clone()));
        }
        let hand = self
            .in_hand(&Suspect::new(Sign::Level, None, Some(product)))
            .await?;
        let became = match hand {
            Some(became) if became.fate == DriftFate::InWork => return Ok(None),
            Some(became) => became,
            None => {
                if let Some(given_up) = self.given_up(&Question::of_level(level)).await? {
                    // Of this level: another one of the product may have moved.
                    return Ok(Some(Became {
                        direction: Some(Direction::Out),
                        ..given_up
                    }));
                }
                let fallen = match fallen {
                    Some(item) => Some(item),
                    None => match self.siblings(product).await? {
                        Siblings::Noticed => return Ok(None),
                        Siblings::Fallen(item) => Some(item),
                        Siblings::Nothing => None,
                    },
                };
                let key = fallen.map_or_else(|| self.key_out(product), |item| self.key_in(item));
                Became {
                    direction: Some(Direction::Out),
                    ..self.repair(key).await?
                }
            }
        };
        jobs.insert(product, became.clone());
        Ok(Some(became))
    }

    /// What keeps a product from being pushed, among all of its variants: a push writes those of another page, too, and those
    /// that a sample did not pick.
    async fn siblings(&self, product: ErpId) -> Result<Siblings, RunError> {
        let variants = self.ask(self.context.erp.variants_of(product)).await?;
        let found = self.levels(&variants).await?;
        let mut known = Siblings::Nothing;
        let mut asked = BTreeSet::new();
        for level in &found.levels {
            if asked.insert(level.item) {
                let notice = Suspect::new(Sign::Level, Some(level.item), None);
                let hand = self.in_hand(&notice).await?;
                if hand.is_some_and(|became| became.fate == DriftFate::InWork) {
                    return Ok(Siblings::Noticed);
                }
            }
            if level.has_fallen && would_push(level.standing) {
                known = Siblings::Fallen(level.item);
            }
        }
        Ok(known)
    }
}

/// What is known of a product's variants before it is pushed.
enum Siblings {
    Nothing,
    /// A notice of one of their items is under way.
    Noticed,
    /// A level fell of this item, and nobody told of it.
    Fallen(ShopifyId),
}

/// Notes variants whose number could not be reckoned.
fn not_reckoned(failed: Vec<StockFailed>, book: &mut Book) {
    for StockFailed {
        variant,
        source,
        code,
    } in failed
    {
        let suspect = Suspect::new(Sign::Level, source, Some(variant));
        let became = Became::of(DriftFate::Unexplained).because(code);
        book.enter(DriftClass::NotCompared, &suspect, About::default(), became);
    }
}

/// Whether a push would see to it.
const fn would_push(standing: StockStanding) -> bool {
    matches!(standing, StockStanding::Differs | StockStanding::Conflict)
}
