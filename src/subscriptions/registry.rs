//! Where subscriptions are registered: Shopify, or a stand-in for tests.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{NewSubscription, Observed};
use crate::domain::ShopifyId;
use crate::shopify::{Shopify, ShopifyError};

/// The subscriptions of one app in one shop.
#[async_trait]
pub trait Registry: Send + Sync {
    /// All that were made through the API.
    async fn list(&self) -> Result<Vec<Observed>, ShopifyError>;
    /// Makes one.
    async fn create(&self, new: &NewSubscription) -> Result<Observed, ShopifyError>;
    /// Makes one what it is to be.
    async fn update(&self, id: ShopifyId, new: &NewSubscription) -> Result<Observed, ShopifyError>;
    /// Deletes one.
    async fn delete(&self, id: ShopifyId) -> Result<(), ShopifyError>;
    /// The scopes that the app was granted.
    async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError>;
    /// Whether subscriptions have names.
    fn has_names(&self) -> bool;
}

#[async_trait]
impl Registry for Shopify {
    async fn list(&self) -> Result<Vec<Observed>, ShopifyError> {
        self.subscriptions().await
    }

    async fn create(&self, new: &NewSubscription) -> Result<Observed, ShopifyError> {
        self.create_subscription(new).await
    }

    async fn update(&self, id: ShopifyId, new: &NewSubscription) -> Result<Observed, ShopifyError> {
        self.update_subscription(id, new).await
    }

    async fn delete(&self, id: ShopifyId) -> Result<(), ShopifyError> {
        self.delete_subscription(id).await
    }

    async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError> {
        Shopify::granted_scopes(self).await
    }

    fn has_names(&self) -> bool {
        self.subscriptions_have_names()
    }
}
