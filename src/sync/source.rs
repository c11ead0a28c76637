//! Where flows read records fresh from: Shopify, or a fixture in tests.

use async_trait::async_trait;

use crate::domain::{Customer, Object, Order, Product, ShopifyId, Timestamp};
use crate::shopify::{Page, Shopify, ShopifyError};

/// Reads records as they are now, with the fields that a mapping selects besides what is always read. `None` means that
/// Shopify does not have the record (any more).
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// An order, whole and normalised.
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError>;
    /// A customer with all addresses.
    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError>;
    /// A product with all variants.
    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError>;
    /// A cheap question that needs our credentials.
    async fn probe(&self) -> Result<(), ShopifyError>;
    /// The records of an object that changed since then, oldest change first, page by page.
    async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError>;
}

#[async_trait]
impl Source for Shopify {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        Shopify::order(self, id, select).await
    }

    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        Shopify::customer(self, id, select).await
    }

    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        Shopify::product(self, id, select).await
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        Shopify::probe(self).await
    }

    async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        Shopify::changed_since(self, object, since, after).await
    }
}
