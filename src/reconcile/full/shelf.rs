//! What is kept of both sides while they are compared: numbers, times and hashes, never records.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::notes::Moves;
use crate::domain::{ErpId, ShopifyId, Timestamp};
use crate::shopify::{ListedRecord, ListedState};

/// A record of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnShop {
    pub(super) id: u64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    /// Whether it is cancelled or archived.
    pub(super) is_away: bool,
    /// Whether a link leads to it.
    pub(super) is_linked: bool,
}

/// The shop's records by their numbers.
#[derive(Debug, Default)]
pub(super) struct ShopShelf {
    records: Vec<OnShop>,
    /// Of products: each variant with its product.
    variants: Vec<(u64, u64)>,
    /// Of products: a hash of each stock keeping unit, with its product.
    skus: Vec<(u64, u64)>,
}

impl ShopShelf {
    pub(super) fn add(&mut self, record: &ListedRecord) {
        self.records.push(OnShop {
            id: record.id.0,
            created_at: record.created_at.millis(),
            updated_at: record.updated_at.millis(),
            is_away: matches!(record.state, ListedState::Archived | ListedState::Cancelled),
            is_linked: false,
        });
        for variant in &record.variants {
            self.variants.push((variant.id.0, record.id.0));
            if let Some(sku) = variant
                .sku
                .as_deref()
                .map(str::trim)
                .filter(|sku| !sku.is_empty())
            {
                self.skus.push((short_hash(sku), record.id.0));
            }
        }
    }

    /// To be called once all are there. One that a list named twice counts once.
    pub(super) fn sort(&mut self) {
        self.records
            .sort_unstable_by_key(|record| (record.id, std::cmp::Reverse(record.updated_at)));
        self.records.dedup_by_key(|record| record.id);
        self.variants.sort_unstable();
        self.skus.sort_unstable();
        self.skus.dedup();
    }

    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    pub(super) fn linked(&mut self, id: ShopifyId) -> Option<OnShop> {
        let place = self
            .records
            .binary_search_by_key(&id.0, |record| record.id)
            .ok()?;
        let record = self.records.get_mut(place)?;
        record.is_linked = true;
        Some(*record)
    }

    pub(super) fn get(&self, id: ShopifyId) -> Option<OnShop> {
        let place = self
            .records
            .binary_search_by_key(&id.0, |record| record.id)
            .ok()?;
        self.records.get(place).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether a record is older than all that the shop lists: numbers grow.
    pub(super) fn is_older(&self, id: ShopifyId) -> bool {
        self.records.first().is_some_and(|first| id.0 < first.id)
    }

    /// Those that no link leads to.
    pub(super) fn unlinked(&self) -> impl Iterator<Item = OnShop> + '_ {
        self.records.iter().filter(|record| !record.is_linked).copied()
    }

    /// Whether the list tells of variants.
    pub(super) fn knows_variants(&self) -> bool {
        !self.variants.is_empty()
    }

    /// The product of a variant.
    pub(super) fn product_of(&self, variant: ShopifyId) -> Option<ShopifyId> {
        let place = self
            .variants
            .binary_search_by_key(&variant.0, |(id, _)| *id)
            .ok()?;
        self.variants.get(place).map(|(_, product)| ShopifyId(*product))
    }

    /// Products that no link leads to and that have a stock keeping unit of one that is linked.
    pub(super) fn twins(&self) -> BTreeSet<u64> {
        let is_linked = |product: u64| {
            let place = self.records.binary_search_by_key(&product, |record| record.id);
            place.is_ok_and(|place| self.records[place].is_linked)
        };
        let alike = self.skus.chunk_by(|one, two| one.0 == two.0);
        alike
            .filter(|group| group.len() > 1 && group.iter().any(|(_, product)| is_linked(*product)))
            .flatten()
            .map(|(_, product)| *product)
            .filter(|product| !is_linked(*product))
            .collect()
    }
}

pub(super) fn short_hash(text: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(text.as_bytes())[..8]);
    u64::from_be_bytes(first)
}

/// A record of the ERP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InErp {
    pub(super) id: ErpId,
    pub(super) is_active: bool,
    /// Whether it belongs to another record.
    pub(super) is_owned: bool,
    pub(super) is_linked: bool,
}

/// The ERP's records by their numbers.
#[derive(Debug, Default)]
pub(super) struct ErpShelf {
    records: Vec<InErp>,
    /// Hashes of what records are recognised by, each with the record.
    tokens: Vec<(u64, ErpId)>,
}

impl ErpShelf {
    /// Records come in the order of their numbers.
    pub(super) fn add(&mut self, record: InErp) {
        self.records.push(record);
    }

    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    pub(super) fn linked(&mut self, id: ErpId) -> Option<InErp> {
        let place = self.records.binary_search_by_key(&id, |record| record.id).ok()?;
        let record = self.records.get_mut(place)?;
        record.is_linked = true;
        Some(*record)
    }

    /// Whether it is there, and not archived.
    pub(super) fn is_active(&self, id: ErpId) -> bool {
        let place = self.records.binary_search_by_key(&id, |record| record.id);
        place.is_ok_and(|place| self.records[place].is_active)
    }

    pub(super) fn unlinked(&self) -> impl Iterator<Item = InErp> + '_ {
        self.records.iter().filter(|record| !record.is_linked).copied()
    }

    pub(super) fn recognise(&mut self, id: ErpId, tokens: impl IntoIterator<Item = u64>) {
        self.tokens.extend(tokens.into_iter().map(|token| (token, id)));
    }

    /// Records that no link leads to, each with a linked one that is recognised by the same.
    pub(super) fn twins(&mut self) -> Vec<(ErpId, ErpId)> {
        self.tokens.sort_unstable();
        self.tokens.dedup();
        let is_linked = |id: ErpId| {
            let place = self.records.binary_search_by_key(&id, |record| record.id);
            place.is_ok_and(|place| self.records[place].is_linked)
        };
        let mut twins = Vec::new();
        for group in self.tokens.chunk_by(|one, two| one.0 == two.0) {
            let Some((_, ours)) = group.iter().find(|(_, id)| is_linked(*id)) else {
                continue;
            };
            let others = group.iter().filter(|(_, id)| !is_linked(*id));
            twins.extend(others.map(|(_, other)| (*other, *ours)));
        }
        twins.sort_unstable();
        twins.dedup_by_key(|(other, _)| *other);
        twins
    }
}

/// Why a record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// On the shop; no link leads to it.
    Unlinked,
    /// The same, and it has a stock keeping unit of a linked product.
    Twin,
    /// Linked; the shop does not list it.
    GoneFromShop,
    /// Linked; the ERP does not have it.
    GoneFromErp,
    /// Linked; neither side has it.
    GoneFromBoth,
    /// The shop's record changed and nobody carried it over.
    Changed,
    /// Fields of the ERP's record are not as they were agreed on, or it was archived or cancelled.
    Moved,
    /// The order is cancelled on the shop and stands in the ERP.
    Alive,
    /// The ERP's order comes to something else.
    Total,
    /// In the ERP, new, and not on the shop.
    Unsent,
    /// Linked, and the ERP has a new variant of it that the shop has not.
    UnsentVariant,
    /// The shop's record changed where its changes are not carried in, and the ERP's are carried out.
    Edited,
    /// In the ERP beside a linked one that it is recognised by the same as.
    ErpTwin,
    /// Picked at random.
    Picked,
    /// A stock level that differs.
    Level,
    /// The order of a document that is gone from the ERP, or cancelled there.
    Document,
    /// A booked order of which nothing is remembered by which its fields could be told to have moved, or a product of which it
    /// was never noted which variants stand.
    Unnoted,
}

/// A record that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) sign: Sign,
    pub(super) source: Option<ShopifyId>,
    pub(super) erp: Option<ErpId>,
    /// When it was made and changed on the shop, as the list said.
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// When it was written in the ERP, where that decides whether an earlier job's end still explains it.
    pub(super) written_at: Timestamp,
    /// Of a twin: the other one.
    pub(super) beside: Option<ErpId>,
    /// Whether one side has it put away and the other does not.
    pub(super) is_away: bool,
    /// Whether the way out makes something else of it, or has a new variant for it: how a job of the way in ended, or that one
    /// waits for a person, is no answer to that.
    pub(super) is_unsent: bool,
    /// Whether it is an order that Shopify hides: then only what the ERP has can be looked at.
    pub(super) is_hidden: bool,
    /// What moved of it, where that can be told without reading it whole.
    pub(super) moves: Option<Moves>,
    /// How many differences an earlier run told of it when the very same had moved, and left alone.
    pub(super) told: Option<u64>,
}

impl Suspect {
    pub(super) const fn new(sign: Sign, source: Option<ShopifyId>, erp: Option<ErpId>) -> Self {
        Self {
            sign,
            source,
            erp,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            written_at: Timestamp::from_millis(0),
            beside: None,
            is_away: false,
            is_unsent: false,
            is_hidden: false,
            moves: None,
            told: None,
        }
    }

    pub(super) const fn listed(mut self, record: &OnShop) -> Self {
        self.created_at = Timestamp::from_millis(record.created_at);
        self.updated_at = Timestamp::from_millis(record.updated_at);
        self
    }

    /// When it changed last, on whichever side that is known of.
    pub(super) fn changed_at(&self) -> Timestamp {
        self.updated_at.max(self.written_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shopify::ListedVariant;

    fn listed(id: ShopifyId, at: Timestamp) -> ListedRecord {
        ListedRecord {
            id,
            name: String::new(),
            created_at: at,
            updated_at: at,
            state: ListedState::Active,
            is_test: false,
            total: None,
            variants: Vec::new(),
        }
    }

    fn product(id: u64, skus: &[&str]) -> ListedRecord {
        let mut record = listed(ShopifyId(id), Timestamp::from_millis(1));
        let variants = skus.iter().enumerate();
        record.variants = variants
            .map(|(place, sku)| ListedVariant {
                id: ShopifyId(id * 100 + place as u64),
                sku: Some((*sku).to_owned()),
                inventory_item: None,
            })
            .collect();
        record
    }

    #[test]
    fn products_with_a_linked_ones_stock_keeping_unit_are_twins() {
        let mut shelf = ShopShelf::default();
        for record in [
            product(3, &["C"]),
            product(1, &["A", "B"]),
            product(2, &["B", "X"]),
            product(4, &["C", ""]),
            product(5, &["", ""]),
        ] {
            shelf.add(&record);
        }
        shelf.sort();
        assert!(shelf.linked(ShopifyId(1)).is_some() && shelf.linked(ShopifyId(9)).is_none());
        assert_eq!(
            shelf.twins(),
            BTreeSet::from([2]),
            "3 and 4 share one, and neither is linked"
        );
        assert_eq!(shelf.product_of(ShopifyId(201)), Some(ShopifyId(2)));
        assert_eq!(shelf.unlinked().count(), 4);
    }

    #[test]
    fn a_record_that_is_listed_twice_counts_once_and_as_it_is_now() {
        let mut shelf = ShopShelf::default();
        for at in [5, 9, 7] {
            shelf.add(&listed(ShopifyId(1), Timestamp::from_millis(at)));
        }
        shelf.sort();
        assert_eq!(shelf.len(), 1);
        assert_eq!(
            shelf.linked(ShopifyId(1)).map(|record| record.updated_at),
            Some(9)
        );
    }

    #[test]
    fn a_record_beside_a_linked_one_is_its_twin() {
        let mut shelf = ErpShelf::default();
        for id in 1..=4 {
            shelf.add(InErp {
                id: ErpId(id),
                is_active: true,
                is_owned: false,
                is_linked: false,
            });
        }
        shelf.linked(ErpId(1));
        shelf.recognise(ErpId(1), [10, 11]);
        shelf.recognise(ErpId(2), [11]);
        shelf.recognise(ErpId(3), [12]);
        shelf.recognise(ErpId(4), [12]);
        assert_eq!(shelf.twins(), [(ErpId(2), ErpId(1))]);
    }
}
