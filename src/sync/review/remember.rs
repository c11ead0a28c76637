//! A shop whose records are read once in an attempt: what was planned and approved of is what is carried out, even if the
//! record changes on the shop in between. That change has an event, and a plan, of its own.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::domain::{Customer, Direction, JobKey, LinkKind, Object, Order, Product, ShopifyId, Timestamp};
use crate::shopify::{Everything, IdPage, Listed, Listing, OrderOf, Page, ShopifyError};
use crate::sync::{ShopContext, Source};

/// Records by number; none where the shop has none.
type Read<T> = Mutex<HashMap<ShopifyId, Option<T>>>;

struct Remembering {
    source: Arc<dyn Source>,
    orders: Read<Order>,
    customers: Read<Customer>,
    products: Read<Product>,
}

/// The shop as an attempt sees it that may have to wait for a person. None where nothing waits, or where the shop is the side that
/// is written to.
pub(in crate::sync) fn remembering(shop: &ShopContext, key: &JobKey) -> Option<ShopContext> {
    let waits = key.direction == Direction::In && shop.rules.may_hold(key.object, key.direction);
    waits.then(|| ShopContext {
        source: Arc::new(Remembering {
            source: Arc::clone(&shop.source),
            orders: Mutex::default(),
            customers: Mutex::default(),
            products: Mutex::default(),
        }),
        ..shop.clone()
    })
}

async fn once<T: Clone>(
    known: &Read<T>,
    id: ShopifyId,
    read: impl Future<Output = Result<Option<T>, ShopifyError>>,
) -> Result<Option<T>, ShopifyError> {
    let mut known = known.lock().await;
    if let Some(record) = known.get(&id) {
        return Ok(record.clone());
    }
    let record = read.await?;
    known.insert(id, record.clone());
    Ok(record)
}

#[async_trait]
impl Source for Remembering {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        once(&self.orders, id, self.source.order(id, select)).await
    }

    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        once(&self.customers, id, self.source.customer(id, select)).await
    }

    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        once(&self.products, id, self.source.product(id, select)).await
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        self.source.probe().await
    }

    async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        self.source.changed_since(object, since, after).await
    }

    async fn everything(&self, object: Object) -> Result<Everything, ShopifyError> {
        self.source.everything(object).await
    }

    async fn hides_old_orders(&self) -> Result<bool, ShopifyError> {
        self.source.hides_old_orders().await
    }

    async fn orders_of(&self, parts: &[(LinkKind, ShopifyId)]) -> Result<Vec<Option<OrderOf>>, ShopifyError> {
        self.source.orders_of(parts).await
    }

    async fn listed(&self, listing: &Listing, after: Option<ShopifyId>) -> Result<IdPage, ShopifyError> {
        self.source.listed(listing, after).await
    }

    async fn customers(&self, select: &str, after: Option<&str>) -> Result<Listed<Customer>, ShopifyError> {
        self.source.customers(select, after).await
    }

    async fn products(&self, select: &str, after: Option<&str>) -> Result<Listed<Product>, ShopifyError> {
        self.source.products(select, after).await
    }
}
