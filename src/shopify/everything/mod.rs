//! Everything of an object that a shop has: ids, times, states and, of orders, totals. For comparing whole catalogues.
//!
//! Promises: each record once, in no order; little is held, however much there is; the end is told only when it is proven
//! (by the counts of the bulk operation, or by the last page). What changes while it is read may be shown as it was or as it
//! is, and what is made meanwhile may be missing.

mod file;
mod pages;
mod record;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bulk::{self, Lines};
use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use super::listing;
use super::settings::CurrencyChoice;
use crate::domain::Object;
use crate::transport::Downloads;

pub use record::{ListedRecord, ListedState, ListedTotal, ListedVariant};

/// The bounds in which everything is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// As many records are read page by page: that is quicker than a bulk operation, which takes a minute or so at least.
    pub paged_up_to: u64,
    /// How long it is tried to start a bulk operation while others run; then everything is read page by page.
    pub patience: Duration,
    /// How long the file of a bulk operation may be silent.
    pub silence: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            paged_up_to: 2_500,
            patience: Duration::from_mins(10),
            silence: Duration::from_mins(1),
        }
    }
}

/// A stream of all records of an object.
pub struct Everything {
    reading: Box<dyn Reading>,
    is_broken: bool,
}

impl std::fmt::Debug for Everything {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Everything").finish_non_exhaustive()
    }
}

/// What the records come from.
#[async_trait]
trait Reading: Send {
    async fn next(&mut self) -> Result<Option<ListedRecord>, ShopifyError>;
}

impl Everything {
    /// These records, and then the end or the failure: for sources that are no shop.
    pub fn given(records: impl IntoIterator<Item = Result<ListedRecord, ShopifyError>>) -> Self {
        Self::from_reading(Given(records.into_iter().collect()))
    }

    fn from_reading(reading: impl Reading + 'static) -> Self {
        Self {
            reading: Box::new(reading),
            is_broken: false,
        }
    }

    /// The next record; none only when it is proven that all were read.
    ///
    /// # Errors
    /// A [`ShopifyError`]. What was read so far is then not everything, and it stays so: whoever asks again gets an error again.
    pub async fn next(&mut self) -> Result<Option<ListedRecord>, ShopifyError> {
        if self.is_broken {
            return Err(ShopifyError::Incomplete {
                operation: "LockstepEverything",
                reason: "it broke off before".to_owned(),
                request: RequestId::default(),
            });
        }
        let next = self.reading.next().await;
        self.is_broken = next.is_err();
        next
    }
}

struct Given(VecDeque<Result<ListedRecord, ShopifyError>>);

#[async_trait]
impl Reading for Given {
    async fn next(&mut self) -> Result<Option<ListedRecord>, ShopifyError> {
        self.0.pop_front().transpose()
    }
}

/// How an object is listed.
struct List {
    object: Object,
    count: &'static Document,
    pages: &'static Document,
    /// Where the list stands in a page.
    at: &'static str,
    bulk: &'static Document,
    has_variants: bool,
}

static ORDERS: List = List {
    object: Object::Order,
    count: &documents::COUNT_ORDERS,
    pages: &documents::ALL_ORDERS,
    at: "/orders",
    bulk: &documents::BULK_ORDERS,
    has_variants: false,
};

static CUSTOMERS: List = List {
    object: Object::Customer,
    count: &documents::COUNT_CUSTOMERS,
    pages: &documents::ALL_CUSTOMERS,
    at: "/customers",
    bulk: &documents::BULK_CUSTOMERS,
    has_variants: false,
};

static PRODUCTS: List = List {
    object: Object::Product,
    count: &documents::COUNT_PRODUCTS,
    pages: &documents::ALL_PRODUCTS,
    at: "/products",
    bulk: &documents::BULK_PRODUCTS,
    has_variants: true,
};

fn list(object: Object) -> Option<&'static List> {
    match object {
        Object::Order => Some(&ORDERS),
        Object::Customer => Some(&CUSTOMERS),
        Object::Product => Some(&PRODUCTS),
        Object::Inventory | Object::Shop => None,
    }
}

pub(super) async fn everything(
    client: &Arc<Client>,
    host: &Downloads,
    choice: CurrencyChoice,
    object: Object,
    manner: &Manner,
) -> Result<Everything, ShopifyError> {
    let Some(list) = list(object) else {
        return Err(ShopifyError::Refused {
            operation: "LockstepEverything",
            code: "no such list".to_owned(),
            reason: format!("Shopify has no list of {object} records"),
            request: RequestId::default(),
        });
    };
    let pages = || Everything::from_reading(pages::Pages::new(Arc::clone(client), list, choice));
    if listing::count(
        client,
        list.count,
        Some(manner.paged_up_to.saturating_add(1)),
        None,
    )
    .await?
        <= manner.paged_up_to
    {
        return Ok(pages());
    }
    match bulk::run(client, list.bulk, manner.patience).await {
        Ok(finished) => {
            let lines = Lines::open(finished, host, manner.silence).await?;
            Ok(Everything::from_reading(file::File::new(lines, list, choice)))
        }
        Err(ShopifyError::Bulk(error)) if error.is_unavailable() => {
            tracing::warn!(%object, %error, "reads everything page by page instead, which takes longer");
            Ok(pages())
        }
        Err(error @ ShopifyError::AccessDenied { .. }) => {
            tracing::warn!(%object, %error, "reads everything page by page instead, which takes longer");
            Ok(pages())
        }
        Err(error) => Err(error),
    }
}
