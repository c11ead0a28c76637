//! The Shopify side: reads orders, customers and products fresh over the GraphQL Admin API, and verifies webhooks.
//!
//! A record is read whole (every page of every list, one state of it), then made canonical by [`normalise`], which does
//! all arithmetic and proves an order's total. Everybody who asks one shop something shares its [`Shopify`]: one cost
//! throttle, one token, one pool of connections.
//!
//! Promises: the token appears in no log, error or `Debug`; a failure says what it means ([`ShopifyError::disposition`])
//! and carries Shopify's number of the request; a record that cannot be read or proven is an error, never a guess.
//! Written
//! are webhook subscriptions, and what [`write`] says. Deliberately absent: retries over time (the queue's).

mod answer;
mod auth;
mod bulk;
mod changed;
mod check;
mod client;
mod documents;
mod error;
mod everything;
mod fetch;
mod list;
mod listing;
pub mod normalise;
mod parts;
mod recent;
mod schema;
mod settings;
mod subscriptions;
#[cfg(test)]
mod tests;
mod throttle;
pub mod webhook;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::{
    Customer, LinkKind, Object, Order, Product, SharedClock, SharedEntropy, ShopName, ShopifyId, Timestamp,
};
use crate::transport;

pub use bulk::BulkError;
pub use changed::Page;
pub use check::{CheckNeeds, Checked};
pub use error::{RequestId, ShopifyError};
pub use everything::{Everything, ListedRecord, ListedState, ListedTotal, ListedVariant, Manner};
pub use list::Listed;
pub use listing::{IdPage, Listing};
pub use normalise::NormaliseError;
pub use parts::OrderOf;
pub use recent::{Recent, RecentTax};
pub use schema::AdminSchema;
pub use settings::{Credentials, CurrencyChoice, PINNED_VERSION, Settings};
pub use subscriptions::{NewSubscription, Subscription, scope_is_granted, scope_of_topic};
pub use write::{ExpectedLook, Upcoming};

/// One shop. Share it in an `Arc`: all users share one throttle and one token.
#[derive(Debug)]
pub struct Shopify {
    settings: Settings,
    client: Arc<client::Client>,
    clock: SharedClock,
    /// Where the results of bulk operations are fetched from; it is shown no token.
    host: transport::Downloads,
    /// The bounds in which everything is read.
    manner: Manner,
    known: write::Known,
}

impl Shopify {
    /// A client for one shop. Nothing is sent yet.
    ///
    /// # Errors
    /// When the settings cannot be right or a file they name cannot be read.
    pub fn connect(
        shop: ShopName,
        settings: &Settings,
        credentials: Credentials,
        transport: &transport::Settings,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, transport::BuildError> {
        Ok(Self {
            client: Arc::new(client::Client::new(
                shop,
                settings,
                credentials,
                transport,
                clock.clone(),
                entropy,
            )?),
            host: transport::Downloads::new(transport)?,
            settings: settings.clone(),
            clock,
            manner: Manner::default(),
            known: write::Known::default(),
        })
    }

    /// The same, reading everything within these bounds.
    #[must_use]
    pub fn reading(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// The order as it is now, with the fields that `select` adds ([`Selected::text`](crate::domain::Selected)), whole and normalised; `None` when Shopify does not have it (any more), or does not show
    /// it to us because it is older than 60 days and we lack `read_all_orders`.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        let Some(raw) = fetch::whole(&self.client, &fetch::ORDER, id, select).await? else {
            return Ok(None);
        };
        Ok(Some(normalise::order(raw, self.settings.currency)?))
    }

    /// The customer as it is now, with all addresses; `None` when Shopify does not have it (any more).
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        let Some(raw) = fetch::whole(&self.client, &fetch::CUSTOMER, id, select).await? else {
            return Ok(None);
        };
        Ok(Some(normalise::customer(raw)?))
    }

    /// The product as it is now, with all variants; `None` when Shopify does not have it (any more).
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        let Some(raw) = fetch::whole(&self.client, &fetch::PRODUCT, id, select).await? else {
            return Ok(None);
        };
        let product = normalise::product(raw)?;
        self.known.looks.seen(&product);
        Ok(Some(product))
    }

    /// All customers, page by page, each as [`Shopify::customer`] would read it; `after` is where an earlier page said that the
    /// next one begins.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn customers(
        &self,
        select: &str,
        after: Option<&str>,
    ) -> Result<Listed<Customer>, ShopifyError> {
        let page = list::page(&self.client, &list::CUSTOMERS, select, after).await?;
        let records = page.records.into_iter().map(normalise::customer);
        Ok(Listed {
            records: records.collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// All products, likewise.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn products(&self, select: &str, after: Option<&str>) -> Result<Listed<Product>, ShopifyError> {
        let page = list::page(&self.client, &list::PRODUCTS, select, after).await?;
        let records = page.records.into_iter().map(normalise::product);
        Ok(Listed {
            records: records.collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// The orders with this name, e.g. `#1001` (the `#` may be left out), with their names as Shopify spells them.
    /// Found by Shopify's search index, which lags by seconds.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn find_order_by_name(&self, name: &str) -> Result<Vec<(ShopifyId, String)>, ShopifyError> {
        let bare = |name: &str| name.trim().trim_start_matches('#').to_owned();
        let wanted = bare(name);
        let quoted = name.trim().replace('\\', "\\\\").replace('"', "\\\"");
        let variables = json!({ "search": format!("name:\"{quoted}\"") });
        let data = self.client.call(&documents::ORDERS_BY_NAME, &variables).await?;
        let nodes = data.pointer("/orders/nodes").and_then(Value::as_array);
        let found = nodes.into_iter().flatten().filter_map(|node| {
            let id = node.get("id")?.as_str()?.parse().ok()?;
            let name = node.get("name")?.as_str()?;
            // The search may be looser than meant; only the very name counts.
            (bare(name) == wanted).then(|| (id, name.to_owned()))
        });
        Ok(found.collect())
    }

    /// The currencies that orders may be booked in: the shop's own first, then, where the buyer's is booked, every one that
    /// buyers may pay in.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn currencies(&self) -> Result<Vec<String>, ShopifyError> {
        recent::currencies(&self.client, self.settings.currency).await
    }

    /// What the orders made since then used: gateways, taxes, carriers and so on. Test orders do not count.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn recent(&self, since: Timestamp) -> Result<Recent, ShopifyError> {
        recent::recent(&self.client, self.settings.currency, since).await
    }

    /// The orders, customers or products that changed since then, oldest change first; `after` is where an earlier page said
    /// that the next one begins. The search index lags by seconds, sometimes minutes.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        changed::changed_since(&self.client, object, since, after).await
    }

    /// The numbers of the records of a listing, in their order, behind this one.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn listed(&self, listing: &Listing, after: Option<ShopifyId>) -> Result<IdPage, ShopifyError> {
        listing::page(&self.client, listing, after).await
    }

    /// How many records a listing has; none where Shopify cannot count them.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn count(&self, listing: &Listing) -> Result<Option<u64>, ShopifyError> {
        listing::total(&self.client, listing).await
    }

    /// Everything of an object that the shop has, in no order, each record once: by pages where that is little, else by a
    /// bulk operation, which is waited for here. Nobody can tell from the records which it was.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn everything(&self, object: Object) -> Result<Everything, ShopifyError> {
        self.everything_in(object, &self.manner).await
    }

    /// The same, with other bounds.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn everything_in(&self, object: Object, manner: &Manner) -> Result<Everything, ShopifyError> {
        everything::everything(&self.client, &self.host, self.settings.currency, object, manner).await
    }

    /// A cheap question that needs our credentials.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn probe(&self) -> Result<(), ShopifyError> {
        self.client.call(&documents::PROBE, &json!({})).await.map(drop)
    }

    /// What works and what does not, for `check --live`. Never fails: failures are rows.
    pub async fn check(&self, needs: &CheckNeeds) -> Checked {
        check::check(&self.client, &self.settings, needs, self.clock.now()).await
    }

    /// Every webhook subscription that was made through the API with this app's credentials, oldest first.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, ShopifyError> {
        subscriptions::list(&self.client, &self.settings).await
    }

    /// Subscribes to a topic.
    ///
    /// # Errors
    /// A [`ShopifyError`]. Where the answer was lost it may have been made all the same: look.
    pub async fn create_subscription(&self, new: &NewSubscription) -> Result<Subscription, ShopifyError> {
        subscriptions::create(&self.client, &self.settings, new).await
    }

    /// Makes a subscription what it is to be.
    ///
    /// # Errors
    /// A [`ShopifyError`].
    pub async fn update_subscription(
        &self,
        id: ShopifyId,
        new: &NewSubscription,
    ) -> Result<Subscription, ShopifyError> {
        subscriptions::update(&self.client, &self.settings, id, new).await
    }

    /// Deletes a subscription.
    ///
    /// # Errors
    /// A [`ShopifyError`].
    pub async fn delete_subscription(&self, id: ShopifyId) -> Result<(), ShopifyError> {
        subscriptions::delete(&self.client, id).await
    }

    /// The orders of these refunds, movements of money and parcels, each named by the kind of its link; in the order asked,
    /// and none where Shopify does not show the part (any more).
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn orders_of(
        &self,
        parts: &[(LinkKind, ShopifyId)],
    ) -> Result<Vec<Option<OrderOf>>, ShopifyError> {
        parts::orders_of(&self.client, parts).await
    }

    /// The scopes that the app was granted in the shop.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError> {
        subscriptions::granted_scopes(&self.client).await
    }

    /// Whether subscriptions have names in the API version that is asked for.
    pub fn subscriptions_have_names(&self) -> bool {
        subscriptions::have_names(&self.settings)
    }

    /// Points left in the shop's cost bucket, once an answer told them.
    pub fn bucket_level(&self) -> Option<f64> {
        self.client.throttle.level()
    }

    /// The API version served last, once an answer told it.
    pub fn served_version(&self) -> Option<String> {
        self.client.versions().1
    }

    /// Where a person sees this record: `kind` is `order`, `customer` or `product`.
    pub fn admin_url(&self, kind: &str, id: ShopifyId) -> String {
        format!("https://{}/admin/{kind}s/{id}", self.settings.domain())
    }
}
