//! Where flows read records fresh from: Shopify, or a fixture in tests.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::{Customer, LinkKind, Object, Order, Product, ShopifyId, Timestamp};
use crate::shopify::{
    Everything, IdPage, Listed, ListedRecord, ListedState, Listing, OrderOf, Page, Shopify, ShopifyError,
};

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

    /// Everything of an object that the shop has, in no order, each record once.
    ///
    /// Of a source that is no shop, what it lists as changed since ever: ids and times, without totals and variants.
    async fn everything(&self, object: Object) -> Result<Everything, ShopifyError> {
        let mut found = BTreeMap::new();
        let mut after = None;
        loop {
            let page = all(self, object, after.as_deref()).await?;
            found.extend(page.records);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Everything::given(found.into_iter().map(|(id, changed)| {
            Ok(ListedRecord {
                id,
                name: String::new(),
                created_at: changed,
                updated_at: changed,
                state: ListedState::Active,
                is_test: false,
                total: None,
                variants: Vec::new(),
            })
        })))
    }

    /// Whether the shop hides old orders from us: Shopify shows an app without `read_all_orders` those of sixty days.
    ///
    /// A source that is no shop shows all that it has.
    async fn hides_old_orders(&self) -> Result<bool, ShopifyError> {
        Ok(false)
    }

    /// The orders of these refunds, movements of money and parcels, each named by the kind of its link, in the order asked;
    /// none where the shop does not show the part.
    ///
    /// A source that is no shop knows orders only as a whole.
    async fn orders_of(&self, parts: &[(LinkKind, ShopifyId)]) -> Result<Vec<Option<OrderOf>>, ShopifyError> {
        Ok(vec![None; parts.len()])
    }

    /// The numbers of the records of a listing, in their order, behind this one.
    ///
    /// Of a source that is no shop, of everything that it lists as changed.
    async fn listed(&self, listing: &Listing, after: Option<ShopifyId>) -> Result<IdPage, ShopifyError> {
        let mut everything = self.everything(listing.object).await?;
        let mut ids = Vec::new();
        while let Some(record) = everything.next().await? {
            if Some(record.id) > after && listing.holds(record.created_at) {
                ids.push(record.id);
            }
        }
        ids.sort_unstable();
        Ok(IdPage {
            last: ids.last().copied().or(after),
            ids,
            has_more: false,
        })
    }

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

    async fn everything(&self, object: Object) -> Result<Everything, ShopifyError> {
        Shopify::everything(self, object).await
    }

    async fn hides_old_orders(&self) -> Result<bool, ShopifyError> {
        let granted = Shopify::granted_scopes(self).await?;
        Ok(!granted.contains("read_all_orders"))
    }

    async fn orders_of(&self, parts: &[(LinkKind, ShopifyId)]) -> Result<Vec<Option<OrderOf>>, ShopifyError> {
        Shopify::orders_of(self, parts).await
    }

    async fn listed(&self, listing: &Listing, after: Option<ShopifyId>) -> Result<IdPage, ShopifyError> {
        Shopify::listed(self, listing, after).await
    }

    async fn customers(&self, select: &str, after: Option<&str>) -> Result<Listed<Customer>, ShopifyError> {
        Shopify::customers(self, select, after).await
    }

    async fn products(&self, select: &str, after: Option<&str>) -> Result<Listed<Product>, ShopifyError> {
        Shopify::products(self, select, after).await
    }
}
