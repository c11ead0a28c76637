//! A shop that is read as it is, and that only notes what it is asked to write.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::super::super::flow::Held;
use super::super::super::out::held;
use super::super::super::{Source, Target};
use super::super::{PreviewedField, PreviewedWrite};
use crate::domain::{
    Currency, Customer, CustomerFound, Fields, ItemStock, LinkKind, Location, NewCustomer, NewProduct,
    NewVariant, Product, QuantitiesSet, Refusal, SetQuantities, ShopifyId, Variant, VariantFound,
    VariantKeys,
};
use crate::shopify::{ExpectedLook, RequestId, ShopifyError, Upcoming};

/// What a shop was asked to write.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) writes: Vec<PreviewedWrite>,
    /// Whether the flow was ended because it would need an answer.
    pub(super) is_ended: bool,
}

/// A shop that is read as it is, and that only notes what is to be written.
pub(super) struct Noting {
    pub(super) shop: Arc<dyn Target>,
    pub(super) source: Arc<dyn Source>,
    pub(super) noted: Mutex<Noted>,
}

impl Noting {
    pub(super) fn noted(&self) -> Noted {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, action: &str, model: &str, record: String, fields: &Fields, held: Option<&Held>) {
        let shown = fields.iter().map(|(name, value)| PreviewedField {
            field: name.clone(),
            now: held.and_then(|held| held.get(name)).map(ToString::to_string),
            then: value.to_string(),
            source: String::new(),
        });
        let write = PreviewedWrite {
            action: action.into(),
            model: model.into(),
            record,
            fields: shown.collect(),
        };
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.writes.push(write);
    }

    /// Ends the flow: what it would be answered does not exist.
    fn end<T>(&self) -> Result<T, ShopifyError> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.is_ended = true;
        Err(ShopifyError::Refused {
            operation: "LockstepPreview",
            code: "not written".to_owned(),
            reason: "a preview writes nothing".to_owned(),
            request: RequestId::default(),
        })
    }
}

#[async_trait]
impl Target for Noting {
    fn expect_look(&self) -> ExpectedLook {
        self.shop.expect_look()
    }

    async fn find_customers(
        &self,
        email: Option<&str>,
        phone: Option<&str>,
    ) -> Result<Vec<CustomerFound>, ShopifyError> {
        self.shop.find_customers(email, phone).await
    }

    async fn customer_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        self.shop.customer_of_ref(erp_ref).await
    }

    async fn create_customer(&self, new: &NewCustomer) -> Result<Customer, ShopifyError> {
        self.note("create", "customer", new.erp_ref.clone(), &new.fields, None);
        self.end()
    }

    async fn update_customer(&self, id: ShopifyId, fields: &Fields) -> Result<Customer, ShopifyError> {
        let Some(customer) = self.source.customer(id, "").await? else {
            return self.end();
        };
        let held = held::customer(&customer);
        self.note("update", "customer", id.to_string(), fields, Some(&held));
        self.end()
    }

    async fn find_variants(
        &self,
        keys: &VariantKeys,
        _upcoming: Option<&dyn Upcoming>,
    ) -> Result<Vec<VariantFound>, ShopifyError> {
        // A person looks: the answer is to be of now.
        self.shop.find_variants(keys, None).await
    }

    async fn product_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        self.shop.product_of_ref(erp_ref).await
    }

    async fn ref_of_product(&self, id: ShopifyId) -> Result<Option<String>, ShopifyError> {
        self.shop.ref_of_product(id).await
    }

    async fn currency(&self) -> Result<Currency, ShopifyError> {
        self.shop.currency().await
    }

    async fn create_product(&self, new: &NewProduct) -> Result<Product, ShopifyError> {
        self.note("create", "product", new.erp_ref.clone(), &new.fields, None);
        for variant in &new.variants {
            self.note(
                "create",
                "variant",
                variant.erp_ref.clone(),
                &variant.fields,
                None,
            );
        }
        self.end()
    }

    async fn update_product(&self, id: ShopifyId, fields: &Fields) -> Result<(), ShopifyError> {
        let product = self.source.product(id, "").await?;
        let held = product.as_ref().map(held::product);
        self.note("update", "product", id.to_string(), fields, held.as_ref());
        Ok(())
    }

    async fn update_variants(
        &self,
        product: ShopifyId,
        variants: &[(ShopifyId, Fields)],
    ) -> Result<Vec<Refusal>, ShopifyError> {
        let product = self.source.product(product, "").await?;
        for (id, fields) in variants {
            let mut known = product.iter().flat_map(|product| &product.variants);
            let held = known.find(|variant| variant.id == *id).map(held::variant);
            self.note("update", "variant", id.to_string(), fields, held.as_ref());
        }
        Ok(Vec::new())
    }

    async fn create_variants(
        &self,
        _product: ShopifyId,
        variants: &[NewVariant],
    ) -> Result<Vec<Variant>, ShopifyError> {
        for variant in variants {
            self.note(
                "create",
                "variant",
                variant.erp_ref.clone(),
                &variant.fields,
                None,
            );
        }
        self.end()
    }

    async fn locations(&self) -> Result<Vec<Location>, ShopifyError> {
        self.shop.locations().await
    }

    async fn items_of(&self, variants: &[ShopifyId]) -> Result<Vec<(ShopifyId, ShopifyId)>, ShopifyError> {
        self.shop.items_of(variants).await
    }

    async fn item_stock(&self, items: &[ShopifyId]) -> Result<Vec<ItemStock>, ShopifyError> {
        self.shop.item_stock(items).await
    }

    async fn set_quantities(&self, set: &SetQuantities) -> Result<QuantitiesSet, ShopifyError> {
        let items: Vec<ShopifyId> = set.items.iter().map(|item| item.item).collect();
        let stock = self.shop.item_stock(&items).await?;
        for item in &set.items {
            let levels = stock.iter().filter(|stock| stock.item == item.item);
            let level = levels
                .flat_map(|stock| &stock.levels)
                .find(|level| level.location == item.location);
            let now = level.map(|level| match set.name.as_str() {
                "available" => level.available,
                _ => level.on_hand,
            });
            let field = PreviewedField {
                field: set.name.clone(),
                now: now.map(|now| now.to_string()),
                then: item.quantity.to_string(),
                source: String::new(),
            };
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.writes.push(PreviewedWrite {
                action: "update".into(),
                model: "inventory level".into(),
                record: format!("{} at {}", item.item, item.location),
                fields: vec![field],
            });
        }
        Ok(QuantitiesSet::Done)
    }

    async fn note_erp_ref(
        &self,
        _kind: LinkKind,
        _id: ShopifyId,
        _erp_ref: &str,
    ) -> Result<(), ShopifyError> {
        Ok(())
    }
}
