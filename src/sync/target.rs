//! Where flows of the direction out write to: Shopify, or a double in tests.

use async_trait::async_trait;

use crate::domain::{
    Currency, Customer, CustomerFound, Fields, ItemStock, LinkKind, Location, NewCustomer, NewProduct,
    NewVariant, Product, QuantitiesSet, Refusal, SetQuantities, ShopifyId, Variant, VariantFound,
    VariantKeys,
};
use crate::shopify::{ExpectedLook, Shopify, ShopifyError, Upcoming};

/// Finds, makes and changes records on the shop. Everything that makes a record looks first whether it was made before.
///
/// Every method ends with a [`ShopifyError`], whose disposition says what it means; a record that the shop does not
/// accept is one of them.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Customers with this e-mail address or this phone number.
    async fn find_customers(
        &self,
        email: Option<&str>,
        phone: Option<&str>,
    ) -> Result<Vec<CustomerFound>, ShopifyError>;
    /// The customer that was made, or marked, under this name of ours.
    async fn customer_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError>;
    /// Makes a customer, unless one was made under its name already.
    async fn create_customer(&self, new: &NewCustomer) -> Result<Customer, ShopifyError>;
    /// Writes these fields of a customer and no others; addresses and tags that they do not name stay. Returns it as it is then.
    async fn update_customer(&self, id: ShopifyId, fields: &Fields) -> Result<Customer, ShopifyError>;
    /// Says that variants are about to be looked for: others who look for theirs wait a moment, so that one question does.
    fn expect_look(&self) -> ExpectedLook;
    /// Variants with one of these keys, each exactly. Who says what is `upcoming` may get an answer that was fetched with an
    /// earlier question, a moment ago; without it the answer is never older than the question.
    async fn find_variants(
        &self,
        keys: &VariantKeys,
        upcoming: Option<&dyn Upcoming>,
    ) -> Result<Vec<VariantFound>, ShopifyError>;
    /// The product that was made, or marked, under this name of ours.
    async fn product_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError>;
    /// The name of ours that a product carries.
    async fn ref_of_product(&self, id: ShopifyId) -> Result<Option<String>, ShopifyError>;
    /// The currency of the shop's prices, remembered.
    async fn currency(&self) -> Result<Currency, ShopifyError>;
    /// Makes a product with its variants, unless one was made under its name already.
    async fn create_product(&self, new: &NewProduct) -> Result<Product, ShopifyError>;
    /// Writes these fields of a product and no others.
    async fn update_product(&self, id: ShopifyId, fields: &Fields) -> Result<(), ShopifyError>;
    /// Writes these fields of a product's variants. What the shop refuses is returned; the other variants are written.
    async fn update_variants(
        &self,
        product: ShopifyId,
        variants: &[(ShopifyId, Fields)],
    ) -> Result<Vec<Refusal>, ShopifyError>;
    /// Makes variants of a product, except those whose option values it has already. Returns them all, in the order given.
    async fn create_variants(
        &self,
        product: ShopifyId,
        variants: &[NewVariant],
    ) -> Result<Vec<Variant>, ShopifyError>;
    /// The shop's locations, remembered for a few minutes.
    async fn locations(&self) -> Result<Vec<Location>, ShopifyError>;
    /// The inventory items of these variants: (variant, item). Variants that are gone are left out.
    async fn items_of(&self, variants: &[ShopifyId]) -> Result<Vec<(ShopifyId, ShopifyId)>, ShopifyError>;
    /// The stock of these inventory items at every location.
    async fn item_stock(&self, items: &[ShopifyId]) -> Result<Vec<ItemStock>, ShopifyError>;
    /// Sets quantities, all or none.
    async fn set_quantities(&self, set: &SetQuantities) -> Result<QuantitiesSet, ShopifyError>;
    /// Writes our name of the ERP's record to a field of the shop's record that only the app sees.
    async fn note_erp_ref(&self, kind: LinkKind, id: ShopifyId, erp_ref: &str) -> Result<(), ShopifyError>;
}

#[async_trait]
impl Target for Shopify {
    async fn find_customers(
        &self,
        email: Option<&str>,
        phone: Option<&str>,
    ) -> Result<Vec<CustomerFound>, ShopifyError> {
        Shopify::find_customers(self, email, phone).await
    }

    async fn customer_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        Shopify::customer_of_ref(self, erp_ref).await
    }

    async fn create_customer(&self, new: &NewCustomer) -> Result<Customer, ShopifyError> {
        Shopify::create_customer(self, new).await
    }

    async fn update_customer(&self, id: ShopifyId, fields: &Fields) -> Result<Customer, ShopifyError> {
        Shopify::update_customer(self, id, fields).await
    }

    fn expect_look(&self) -> ExpectedLook {
        Shopify::expect_look(self)
    }

    async fn find_variants(
        &self,
        keys: &VariantKeys,
        upcoming: Option<&dyn Upcoming>,
    ) -> Result<Vec<VariantFound>, ShopifyError> {
        Shopify::find_variants(self, keys, upcoming).await
    }

    async fn product_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        Shopify::product_of_ref(self, erp_ref).await
    }

    async fn ref_of_product(&self, id: ShopifyId) -> Result<Option<String>, ShopifyError> {
        Shopify::ref_of_product(self, id).await
    }

    async fn currency(&self) -> Result<Currency, ShopifyError> {
        Shopify::currency(self).await
    }

    async fn create_product(&self, new: &NewProduct) -> Result<Product, ShopifyError> {
        Shopify::create_product(self, new).await
    }

    async fn update_product(&self, id: ShopifyId, fields: &Fields) -> Result<(), ShopifyError> {
        Shopify::update_product(self, id, fields).await
    }

    async fn update_variants(
        &self,
        product: ShopifyId,
        variants: &[(ShopifyId, Fields)],
    ) -> Result<Vec<Refusal>, ShopifyError> {
        Shopify::update_variants(self, product, variants).await
    }

    async fn create_variants(
        &self,
        product: ShopifyId,
        variants: &[NewVariant],
    ) -> Result<Vec<Variant>, ShopifyError> {
        Shopify::create_variants(self, product, variants).await
    }

    async fn locations(&self) -> Result<Vec<Location>, ShopifyError> {
        Shopify::locations(self).await
    }

    async fn items_of(&self, variants: &[ShopifyId]) -> Result<Vec<(ShopifyId, ShopifyId)>, ShopifyError> {
        Shopify::items_of(self, variants).await
    }

    async fn item_stock(&self, items: &[ShopifyId]) -> Result<Vec<ItemStock>, ShopifyError> {
        Shopify::item_stock(self, items).await
    }

    async fn set_quantities(&self, set: &SetQuantities) -> Result<QuantitiesSet, ShopifyError> {
        Shopify::set_quantities(self, set).await
    }

    async fn note_erp_ref(&self, kind: LinkKind, id: ShopifyId, erp_ref: &str) -> Result<(), ShopifyError> {
        Shopify::note_erp_ref(self, kind, id, erp_ref).await
    }
}
