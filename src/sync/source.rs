//! Where flows read records fresh from: Shopify, or a fixture in tests.

use async_trait::async_trait;

use crate::domain::{Customer, Object, Order, Product, ShopifyId, Timestamp};
use crate::shopify::{Listed, Page, Shopify, ShopifyError};

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

    /// All customers, page by page, in the order of their ids.
    async fn customers(&self, select: &str, after: Option<&str>) -> Result<Listed<Customer>, ShopifyError> {
        let page = all(self, Object::Customer, after).await?;
        let mut records = Vec::new();
        for (id, _) in page.records {
            records.extend(self.customer(id, select).await?);
        }
        Ok(Listed {
            records,
            next: page.next,
        })
    }

    /// All products, likewise.
    async fn products(&self, select: &str, after: Option<&str>) -> Result<Listed<Product>, ShopifyError> {
        let page = all(self, Object::Product, after).await?;
        let mut records = Vec::new();
        for (id, _) in page.records {
            records.extend(self.product(id, select).await?);
        }
        Ok(Listed {
            records,
            next: page.next,
        })
    }
}

/// A page of everything, for a source that has no lists of whole records.
async fn all(
    source: &(impl Source + ?Sized),
    object: Object,
    after: Option<&str>,
) -> Result<Page, ShopifyError> {
    let ever = Timestamp::from_millis(0);
    source.changed_since(object, ever, after.map(str::to_owned)).await
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

    async fn customers(&self, select: &str, after: Option<&str>) -> Result<Listed<Customer>, ShopifyError> {
        Shopify::customers(self, select, after).await
    }

    async fn products(&self, select: &str, after: Option<&str>) -> Result<Listed<Product>, ShopifyError> {
        Shopify::products(self, select, after).await
    }
}
