//! Variants and their links: what moved of them is looked at with their product.

use std::collections::BTreeSet;

use super::book::Book;
use super::look::{Gathered, TOGETHER, source_of};
use super::shelf::{ErpShelf, ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{ErpId, FieldValue, Link, LinkKind, LinkState, Object, ShopifyId};
use crate::store::Correction;
use crate::sync::{agreed_fields, moved};

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
}
