//! Variants and their links: what moved of them is looked at with their product, and those that the shop has no more are told.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{About, Became, Book};
use super::look::{Gathered, TOGETHER, source_of};
use super::shelf::{ErpShelf, ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{DriftClass, DriftFate, ErpId, FieldValue, Link, LinkKind, LinkState, Object, ShopifyId};
use crate::store::Correction;
use crate::sync::{ACTIVE, VARIANTS_GROUP, agreed_fields, moved, stood};

/// Why nothing is done about a variant that the shop has no more: the flows take none away.
const DELETED: &str = "variant_deleted_on_shopify";

/// A variant that the ERP has and the shop has no more.
struct Deleted {
    /// Its product in the ERP.
    product: ErpId,
    model: String,
    variant: ErpId,
    source: ShopifyId,
}

/// What is found of variants, by their products in the ERP.
#[derive(Default)]
struct OfProducts {
    deleted: Vec<Deleted>,
    /// Products of which it was never noted which of their variants stand, or not as it is.
    unnoted: BTreeSet<ErpId>,
    /// Products of the shop of which the ERP has a variant no more.
    gone: BTreeSet<ShopifyId>,
}

impl Run<'_> {
    /// Variants: what moved of them is looked at with their product.
    pub(super) async fn variants(
        &self,
        shop: &ShopShelf,
        erp: &mut ErpShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let ways = self.shop.engine.identities(&self.shop.name, Object::Product);
        let watched = self.context.erp.watched(Object::Product);
        let owner = watched.iter().find_map(|watched| watched.owner);
        let mut found = OfProducts::default();
        let mut linked: Vec<ErpId> = Vec::new();
        let mut after = None;
        loop {
            let store = &self.context.store;
            let links = store.links_in_order(&self.shop.name, LinkKind::Variant, after, TOGETHER);
            let links = self.life.with(links).await??;
            let is_last = links.len() < TOGETHER as usize;
            after = links.last().map(|link| link.erp_id);
            linked.extend(links.iter().map(|link| link.erp_id));
            let links: Vec<&Link> = links
                .iter()
                .filter(|link| link.state == LinkState::Linked && source_of(link).is_some())
                .collect();
            let mut fields: BTreeSet<String> = links.iter().flat_map(|link| agreed_fields(link)).collect();
            fields.extend(owner.map(str::to_owned));
            fields.extend(ways.fields());
            fields.insert(ACTIVE.to_owned());
            let mut held = self.held(&links, fields).await?;
            for link in links {
                let Some(source) = source_of(link) else { continue };
                let product = shop.product_of(source);
                let Some(now) = held.get_mut(&link.erp_id) else {
                    // Known only where the list tells of variants. One that the shop has no more is nobody's.
                    found.gone.extend(product);
                    continue;
                };
                let template = match owner.and_then(|owner| now.get(owner)) {
                    Some(FieldValue::Record(template)) => Some(*template),
                    _ => None,
                };
                if shop.knows_variants() && product.is_none() {
                    found.deleted.extend(template.map(|product| Deleted {
                        product,
                        model: link.model.clone(),
                        variant: link.erp_id,
                        source,
                    }));
                    continue;
                }
                if let Some(template) = template {
                    erp.recognise(template, ways.tokens(now));
                }
                if template.is_some_and(|template| !erp.is_active(template)) {
                    // Archived with its product, which tells of it.
                    now.remove(ACTIVE);
                }
                let stands = now.get(ACTIVE).map(|active| *active != FieldValue::Bool(false));
                let is_noted = match (stood(link), stands) {
                    (None, Some(_)) => agreed_fields(link).is_empty(),
                    (Some(false), Some(true)) => false,
                    _ => true,
                };
                if !is_noted {
                    found.unnoted.extend(template);
                }
                let mut moved = moved(link, now);
                // One that stands again is no damage, and its product's job agrees on that.
                moved.retain(|moved| moved.field != ACTIVE || stands == Some(false));
                if moved.is_empty() {
                    continue;
                }
                gathered.moved_products.extend(template);
                for field in moved {
                    book.may_correct(
                        &link.model,
                        link.erp_id,
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
        let moved = std::mem::take(&mut gathered.moved_products);
        let moved = self.products_of(moved, Sign::Moved).await?;
        gathered.look_at(moved);
        let gone = found.gone.into_iter();
        gathered.look_at(
            gone.map(|one| Suspect::new(Sign::Moved, Some(one), None))
                .collect(),
        );
        let mut known: BTreeSet<ShopifyId> = gathered.suspects.iter().filter_map(|one| one.source).collect();
        let new =
            |suspect: &Suspect, known: &mut BTreeSet<_>| suspect.source.is_some_and(|one| known.insert(one));
        if !self.context.not_in.contains(&Object::Product) {
            let unnoted = self.products_of(found.unnoted, Sign::Unnoted).await?;
            gathered
                .unnoted
                .extend(unnoted.into_iter().filter(|suspect| new(suspect, &mut known)));
        }
        linked.sort_unstable();
        let mut new = self.new_variants(&linked).await?;
        new.retain(|variant| erp.is_active(variant.product));
        let unsent = self.of_linked(new).await?;
        self.unsent_variants(unsent, shop, gathered, book).await?;
        self.deleted_variants(found.deleted, shop, book).await
    }

    /// The linked products of the shop that stand for these of the ERP.
    async fn products_of(&self, products: BTreeSet<ErpId>, sign: Sign) -> Result<Vec<Suspect>, RunError> {
        let links = self.links_of_products(products).await?;
        let suspects = links.iter().filter_map(|link| {
            let source = source_of(link)?;
            Some(Suspect::new(sign, Some(source), Some(link.erp_id)))
        });
        Ok(suspects.collect())
    }

    pub(super) async fn links_of_products(&self, products: BTreeSet<ErpId>) -> Result<Vec<Link>, RunError> {
        let products: Vec<ErpId> = products.into_iter().collect();
        let mut found = Vec::new();
        for some in products.chunks(TOGETHER as usize) {
            let store = &self.context.store;
            let links = store.links_of_erp(&self.shop.name, LinkKind::Product, some);
            found.extend(self.life.with(links).await??);
        }
        Ok(found)
    }

    /// Variants that the shop has no more, of products that it has. What a product's job saw already is counted; the others
    /// are told.
    async fn deleted_variants(
        &self,
        deleted: Vec<Deleted>,
        shop: &ShopShelf,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let products = deleted.iter().map(|one| one.product).collect();
        let products: BTreeMap<ErpId, Link> = self
            .links_of_products(products)
            .await?
            .into_iter()
            .filter(|link| link.state == LinkState::Linked)
            .map(|link| (link.erp_id, link))
            .collect();
        let is_off = self.context.not_in.contains(&Object::Product);
        for one in deleted {
            let product = products.get(&one.product);
            let Some((product, source)) = product.and_then(|product| Some((product, source_of(product)?)))
            else {
                continue;
            };
            // Where the product is gone, that is told.
            let Some(listed) = shop.get(source) else { continue };
            let was_seen = product
                .source_updated_at
                .is_some_and(|applied| applied.millis() >= listed.updated_at);
            if was_seen || is_off {
                book.tally(DriftClass::Deleted, DriftFate::LeftAlone, 1);
                continue;
            }
            let now = self.life.with(self.context.source.product(source, "")).await?;
            let now = now.map_err(|source| RunError::Shopify { run: self.id, source })?;
            let is_there = now.is_none_or(|now| {
                let mut variants = now.variants.iter();
                variants.any(|variant| variant.id == one.source)
            });
            if is_there {
                // Made while the shop was listed: its own event tells of it.
                book.looked.left_to_events += 1;
                continue;
            }
            let suspect = Suspect::new(Sign::GoneFromShop, Some(source), Some(one.product)).listed(&listed);
            let about = About {
                model: Some(format!("{} {}", one.model, one.variant)),
                field: Some(VARIANTS_GROUP.to_owned()),
                erp: Some(one.source.to_string()),
                ..About::default()
            };
            book.enter(DriftClass::Deleted, &suspect, about, Became::left_alone(DELETED));
        }
        Ok(())
    }
}
