//! What the next products of the queue will be looked for by, so that one look at the shop answers for many.
//!
//! A guess that is free to be wrong: nothing is planned by it. Each of those products is read again in its own attempt, under
//! its locks, and where its keys are others by then it is looked for by those.

use async_trait::async_trait;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use crate::domain::{Canonical as _, Direction, ErpId, FieldValue, LinkKind, Object, VariantKeys};
use crate::mapping::{Mapping, MatchKey, OutRules, VARIANTS};
use crate::shopify::Upcoming;
use crate::store::Lane;

/// The products whose jobs come after this one.
pub(super) struct NextProducts<'a> {
    pub(super) flow: &'a Flow<'a>,
    pub(super) mapping: &'a Mapping,
    pub(super) rules: &'a OutRules,
}

#[async_trait]
impl Upcoming for NextProducts<'_> {
    async fn keys(&self, most: usize) -> Vec<VariantKeys> {
        // Whatever goes wrong: the others look for themselves, as they would have without this.
        self.read(most).await.unwrap_or_default()
    }
}

impl NextProducts<'_> {
    async fn read(&self, most: usize) -> Result<Vec<VariantKeys>, Stop> {
        let flow = self.flow;
        let shop = flow.shop;
        let own = &flow.job.key;
        let limit = u32::try_from(most).unwrap_or(u32::MAX);
        let lane = Lane {
            shop: own.shop.clone(),
            object: Object::Product,
            direction: Direction::Out,
        };
        let next = shop
            .store
            .next_in_lane(&lane, shop.clock.now(), limit.saturating_add(1))
            .await?;
        let mut ids: Vec<ErpId> = next
            .iter()
            .filter(|id| **id != own.source_id)
            .filter_map(|id| id.parse().ok().map(ErpId))
            .collect();
        ids.truncate(most);
        // Who is linked looks for nothing.
        let linked = shop
            .store
            .links_of_erp(&shop.name, LinkKind::Product, &ids)
            .await?;
        ids.retain(|id| linked.iter().all(|link| link.erp_id != *id));
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let records = shop
            .erp
            .product_records(&ids, &self.rules.select, &self.rules.variant_select)
            .await?;
        let settings = flow.settings_fact(None);
        let mut keys = Vec::with_capacity(records.len());
        for record in records.iter().filter(|record| record.active) {
            let fact = record.fact();
            // What is wrong with one of them is told by its own attempt.
            if !matches!(self.mapping.skip(&fact, &settings), Ok(None)) {
                continue;
            }
            let Ok(all) = self.mapping.keys(&fact, &settings) else {
                continue;
            };
            let of_variants = all.rows.iter().filter(|(group, ..)| group == VARIANTS);
            keys.push(keys_of(of_variants.flat_map(|(.., keys)| keys)));
        }
        Ok(keys)
    }
}

/// What variants with these matching keys are looked for by.
pub(super) fn keys_of<'k>(match_keys: impl Iterator<Item = &'k MatchKey>) -> VariantKeys {
    let (mut skus, mut barcodes) = (Vec::new(), Vec::new());
    for (name, value) in match_keys.flat_map(|key| &key.equal) {
        match (name.as_str(), value) {
            ("sku", FieldValue::Text(text)) => skus.push(text),
            ("barcode", FieldValue::Text(text)) => barcodes.push(text),
            _ => {}
        }
    }
    VariantKeys::new(skus, barcodes)
}
