//! Products come, change and go; stock is counted.

use std::collections::HashSet;

use super::{ActionError, not_found, refused, tidy_tags};
use crate::sandbox::shopify::draft::{LineDraft, OrderDraft, ProductDraft, VariantDraft};
use crate::sandbox::shopify::facts::{
    InventoryItem, Level, OptionValue, Product, ProductOption, ProductStatus, Variant,
};
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Change;

impl Shop {
    /// Makes a product and returns its id.
    pub fn create_product(&mut self, draft: ProductDraft) -> u64 {
        let now = self.now();
        let id = self.ids.take();
        let plain = draft.options.is_empty();
        let names = if plain {
            vec!["Title".to_owned()]
        } else {
            draft.options
        };
        let status = draft.status.unwrap_or(ProductStatus::Active);
        let mut images = draft.images;
        for image in &mut images {
            image.id = self.ids.take();
        }
        let mut product = Product {
            id,
            handle: self.free_handle(&draft.title),
            title: draft.title,
            description_html: draft.description_html,
            vendor: draft.vendor,
            product_type: draft.product_type,
            status,
            tags: tidy_tags(draft.tags),
            gift_card: draft.gift_card,
            category: None,
            options: names
                .into_iter()
                .map(|name| ProductOption {
                    id: self.ids.take(),
                    name,
                    values: Vec::new(),
                })
                .collect(),
            variants: Vec::new(),
            images,
            metafields: Vec::new(),
            created_at: now,
            updated_at: now,
            published_at: (status == ProductStatus::Active).then_some(now),
        };
        for variant in draft.variants {
            let variant = self.new_variant(id, plain, variant);
            product.variants.push(variant);
        }
        self.complete_options(&mut product);
        self.products.insert(id, product);
        self.announce(&[Change::Product("products/create", id)]);
        id
    }

    /// Makes a product with ids of the caller's choosing: its own, and one for each variant in their order.
    ///
    /// # Errors
    /// An id is taken, or there are more or fewer ids than variants.
    pub fn put_product(&mut self, id: u64, variants: &[u64], draft: ProductDraft) -> Result<(), ActionError> {
        let taken =
            self.products.contains_key(&id) || variants.iter().any(|v| self.product_of.contains_key(v));
        if taken || variants.len() != draft.variants.len() {
            return Err(refused(format!(
                "product {id} cannot have these ids: {variants:?}"
            )));
        }
        let made = self.create_product(draft);
        let Some(mut product) = self.products.remove(&made) else {
            return Err(not_found("product", made));
        };
        product.id = id;
        for (variant, wanted) in product.variants.iter_mut().zip(variants) {
            self.product_of.remove(&variant.id);
            variant.id = *wanted;
            self.product_of.insert(variant.id, id);
            self.product_of.insert(variant.item.id, id);
        }
        self.products.insert(id, product);
        Ok(())
    }

    /// Changes a product or its variants; both are stamped.
    ///
    /// # Errors
    /// The product does not exist.
    pub fn edit_product(&mut self, id: u64, edit: impl FnOnce(&mut Product)) -> Result<(), ActionError> {
        let now = self.now();
        let mut product = self
            .products
            .remove(&id)
            .ok_or_else(|| not_found("product", id))?;
        edit(&mut product);
        product.id = id;
        product.updated_at = now;
        self.complete_options(&mut product);
        self.products.insert(id, product);
        self.announce(&[Change::Product("products/update", id)]);
        Ok(())
    }

    /// Stores a product as a mutation made it: new, or over what was there. Variants that it no longer has are gone.
    pub(in crate::sandbox::shopify) fn store_product(&mut self, mut product: Product) {
        let id = product.id;
        let now = self.now();
        let old = self.products.remove(&id);
        let kept: Vec<u64> = product.variants.iter().map(|v| v.id).collect();
        let gone: Vec<u64> = old
            .iter()
            .flat_map(|p| &p.variants)
            .map(|v| v.id)
            .filter(|v| !kept.contains(v))
            .collect();
        self.forget_variants(&gone);
        for variant in &product.variants {
            self.product_of.insert(variant.id, id);
            self.product_of.insert(variant.item.id, id);
        }
        product.updated_at = now;
        if product.status == ProductStatus::Active && product.published_at.is_none() {
            product.published_at = Some(now);
        }
        self.complete_options(&mut product);
        self.products.insert(id, product);
        let topic = if old.is_some() {
            "products/update"
        } else {
            "products/create"
        };
        self.announce(&[Change::Product(topic, id)]);
    }

    /// A variant that is not stored yet.
    pub(in crate::sandbox::shopify) fn blank_variant(
        &mut self,
        product: u64,
        values: Vec<String>,
    ) -> Variant {
        let draft = VariantDraft {
            option_values: values,
            sku: None,
            barcode: None,
            price: rust_decimal::Decimal::ZERO,
            compare_at_price: None,
            cost: None,
            weight_kg: rust_decimal::Decimal::ZERO,
            taxable: true,
            requires_shipping: true,
            tracked: false,
            available: 0,
        };
        self.new_variant(product, false, draft)
    }

    /// Somebody buys units at the main place with an order of nobody; returns the order.
    ///
    /// # Errors
    /// The variant does not exist.
    pub fn sell(&mut self, variant: u64, units: u32) -> Result<u64, ActionError> {
        self.place_order(OrderDraft {
            lines: vec![LineDraft::variant(variant, units)],
            ..OrderDraft::default()
        })
    }

    /// Changes one variant.
    ///
    /// # Errors
    /// The variant does not exist.
    pub fn edit_variant(&mut self, id: u64, edit: impl FnOnce(&mut Variant)) -> Result<(), ActionError> {
        let now = self.now();
        let product = *self.product_of.get(&id).ok_or_else(|| not_found("variant", id))?;
        self.edit_product(product, |p| {
            if let Some(variant) = p.variants.iter_mut().find(|v| v.id == id) {
                edit(variant);
                variant.updated_at = now;
            }
        })
    }

    /// Adds a variant to a product and returns its id.
    ///
    /// # Errors
    /// The product does not exist.
    pub fn add_variant(&mut self, product: u64, draft: VariantDraft) -> Result<u64, ActionError> {
        if !self.products.contains_key(&product) {
            return Err(not_found("product", product));
        }
        let variant = self.new_variant(product, false, draft);
        let id = variant.id;
        self.edit_product(product, |p| p.variants.push(variant))?;
        Ok(id)
    }

    /// Deletes a variant; lines that were sold with it keep their words.
    ///
    /// # Errors
    /// The variant does not exist.
    pub fn delete_variant(&mut self, id: u64) -> Result<(), ActionError> {
        let product = *self.product_of.get(&id).ok_or_else(|| not_found("variant", id))?;
        self.forget_variants(&[id]);
        self.edit_product(product, |p| p.variants.retain(|v| v.id != id))
    }

    /// Deletes a product; lines that were sold with it keep their words.
    ///
    /// # Errors
    /// The product does not exist.
    pub fn delete_product(&mut self, id: u64) -> Result<(), ActionError> {
        let product = self
            .products
            .remove(&id)
            .ok_or_else(|| not_found("product", id))?;
        let variants: Vec<u64> = product.variants.iter().map(|v| v.id).collect();
        self.forget_variants(&variants);
        for line in self
            .orders
            .values_mut()
            .flat_map(|o| &mut o.lines)
            .filter(|l| l.product == Some(id))
        {
            line.product = None;
        }
        self.deleted.push(("Product", id));
        self.announce(&[Change::Deleted("products/delete", "Product", id)]);
        Ok(())
    }

    /// Sets what lies at a place: what is committed or set aside stays, what can be sold follows.
    ///
    /// # Errors
    /// The variant does not exist.
    pub fn set_level(&mut self, variant: u64, location: u64, on_hand: i64) -> Result<(), ActionError> {
        self.change_stock(variant, location, |level| {
            level.available = on_hand - level.committed - level.reserved - level.damaged;
        })?;
        let item = self
            .variant(variant)
            .map(|(_, v)| v.item.id)
            .ok_or_else(|| not_found("variant", variant))?;
        self.announce(&[Change::Level("inventory_levels/update", item, location)]);
        Ok(())
    }

    /// What is there of a variant at a place.
    pub fn level(&self, variant: u64, location: u64) -> Option<&Level> {
        let (_, found) = self.variant(variant)?;
        found.item.levels.iter().find(|level| level.location == location)
    }

    /// Sets what can be sold at a place.
    ///
    /// # Errors
    /// The variant does not exist.
    pub fn set_available(&mut self, variant: u64, location: u64, available: i64) -> Result<(), ActionError> {
        self.change_stock(variant, location, |level| level.available = available)?;
        let item = self
            .variant(variant)
            .map(|(_, v)| v.item.id)
            .ok_or_else(|| not_found("variant", variant))?;
        self.announce(&[Change::Level("inventory_levels/update", item, location)]);
        Ok(())
    }

    /// Changes the quantities of a variant at a place, without announcing it.
    pub(in crate::sandbox::shopify) fn change_stock(
        &mut self,
        variant: u64,
        location: u64,
        change: impl FnOnce(&mut Level),
    ) -> Result<(), ActionError> {
        let now = self.now();
        let product = *self
            .product_of
            .get(&variant)
            .ok_or_else(|| not_found("variant", variant))?;
        let variants = self.products.get_mut(&product).map(|p| &mut p.variants);
        let found = variants.and_then(|all| all.iter_mut().find(|v| v.id == variant));
        let item = &mut found.ok_or_else(|| not_found("variant", variant))?.item;
        let index = item
            .levels
            .iter()
            .position(|l| l.location == location)
            .unwrap_or_else(|| {
                item.levels.push(new_level(location, 0, now));
                item.levels.len() - 1
            });
        change(&mut item.levels[index]);
        item.levels[index].updated_at = now;
        Ok(())
    }

    fn new_variant(&mut self, product: u64, plain: bool, draft: VariantDraft) -> Variant {
        let now = self.now();
        let [id, item] = [self.ids.take(), self.ids.take()];
        self.product_of.insert(id, product);
        self.product_of.insert(item, product);
        let option_values = if plain {
            vec!["Default Title".to_owned()]
        } else {
            draft.option_values
        };
        Variant {
            id,
            sku: draft.sku,
            barcode: draft.barcode,
            price: draft.price,
            compare_at_price: draft.compare_at_price,
            taxable: draft.taxable,
            oversell: false,
            option_values,
            item: InventoryItem {
                id: item,
                tracked: draft.tracked,
                requires_shipping: draft.requires_shipping,
                cost: draft.cost,
                weight_kg: draft.weight_kg,
                origin: None,
                hs_code: None,
                levels: vec![new_level(self.main_location(), draft.available, now)],
            },
            metafields: Vec::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Every value that a variant uses exists in its option.
    fn complete_options(&mut self, product: &mut Product) {
        for (index, option) in product.options.iter_mut().enumerate() {
            let used: Vec<String> = product
                .variants
                .iter()
                .filter_map(|v| v.option_values.get(index).cloned())
                .collect();
            let names: HashSet<&String> = used.iter().collect();
            option.values.retain(|v| names.contains(&v.name));
            let mut known: HashSet<String> = option.values.iter().map(|v| v.name.clone()).collect();
            for name in used {
                if known.insert(name.clone()) {
                    option.values.push(OptionValue {
                        id: self.ids.take(),
                        name,
                    });
                }
            }
        }
    }

    fn forget_variants(&mut self, gone: &[u64]) {
        for line in self.orders.values_mut().flat_map(|o| &mut o.lines) {
            if line.variant.is_some_and(|v| gone.contains(&v)) {
                line.variant = None;
            }
        }
        for id in gone {
            self.product_of.remove(id);
        }
    }

    pub(in crate::sandbox::shopify) fn free_handle(&self, title: &str) -> String {
        let words: Vec<String> = title
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect();
        let base = words.join("-");
        let taken = |handle: &str| self.products.values().any(|p| p.handle == handle);
        if !taken(&base) {
            return base;
        }
        // As many numbers as there are products cannot all be taken.
        let numbered = (1..=self.products.len()).map(|n| format!("{base}-{n}"));
        numbered.into_iter().find(|handle| !taken(handle)).unwrap_or(base)
    }
}

fn new_level(location: u64, available: i64, now: chrono::DateTime<chrono::Utc>) -> Level {
    Level {
        location,
        available,
        committed: 0,
        incoming: 0,
        reserved: 0,
        damaged: 0,
        updated_at: now,
    }
}
