//! The numbers of all records of an object, or of those that were made within a time, in the order of the numbers. Each page
//! begins behind the last record of the one before, whoever read that and however long ago.

use serde_json::json;

use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use super::recent::page_of;
use crate::domain::{Object, ShopifyId, Timestamp};

/// Which records are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What they are.
    pub object: Object,
    /// Only those that were made from then on.
    pub since: Option<Timestamp>,
    /// Only those that were made before then.
    pub until: Option<Timestamp>,
}

impl Listing {
    /// Whether a record that was made then belongs to it.
    pub fn holds(&self, made: Timestamp) -> bool {
        self.since.is_none_or(|since| made >= since) && self.until.is_none_or(|until| made < until)
    }
}

/// Some of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdPage {
    /// Their numbers, rising.
    pub ids: Vec<ShopifyId>,
    /// The last record that was looked at, whether it belongs to the listing or not.
    pub last: Option<ShopifyId>,
    /// Whether there are more.
    pub has_more: bool,
}

fn question(object: Object) -> Option<(&'static Document, &'static str)> {
    match object {
        Object::Order => Some((&documents::LIST_ORDERS, "/orders")),
        Object::Customer => Some((&documents::LIST_CUSTOMERS, "/customers")),
        Object::Product => Some((&documents::LIST_PRODUCTS, "/products")),
        Object::Inventory | Object::Shop => None,
    }
}

/// How many records a listing has; none where only a look at each of them would tell.
pub(super) async fn total(client: &Client, listing: &Listing) -> Result<Option<u64>, ShopifyError> {
    let document = match listing.object {
        Object::Order => &documents::COUNT_ORDERS,
        Object::Customer => &documents::COUNT_CUSTOMERS,
        Object::Product => &documents::COUNT_PRODUCTS,
        Object::Inventory | Object::Shop => return Ok(None),
    };
    let terms = terms(listing);
    if terms.is_empty() && (listing.since.is_some() || listing.until.is_some()) {
        return Ok(None);
    }
    let search = (!terms.is_empty()).then(|| terms.join(" AND "));
    count(client, document, None, search).await.map(Some)
}

/// A count, up to the limit.
pub(super) async fn count(
    client: &Client,
    document: &Document,
    limit: Option<u64>,
    search: Option<String>,
) -> Result<u64, ShopifyError> {
    let variables = json!({ "limit": limit, "search": search });
    let data = client.call(document, &variables).await?;
    data["total"]["count"]
        .as_u64()
        .ok_or_else(|| ShopifyError::Incomplete {
            operation: document.name,
            reason: "it tells no number".to_owned(),
            request: RequestId::default(),
        })
}

/// What Shopify is asked to choose by.
fn terms(listing: &Listing) -> Vec<String> {
    // Only orders can be searched by the time at which they were made; of the others it is looked at each.
    if listing.object != Object::Order {
        return Vec::new();
    }
    // Searches know whole seconds; what is too much is left out afterwards.
    let second = |at: Timestamp| at.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let since = listing.since.map(|at| format!("created_at:>='{}'", second(at)));
    let until = listing.until.map(|at| format!("created_at:<='{}'", second(at)));
    since.into_iter().chain(until).collect()
}

pub(super) async fn page(
    client: &Client,
    listing: &Listing,
    after: Option<ShopifyId>,
) -> Result<IdPage, ShopifyError> {
    let Some((document, at)) = question(listing.object) else {
        return Err(ShopifyError::Refused {
            operation: "LockstepList",
            code: "no such list".to_owned(),
            reason: format!("Shopify has no list of {} records", listing.object),
            request: RequestId::default(),
        });
    };
    let mut terms = terms(listing);
    terms.extend(after.map(|id| format!("id:>{id}")));
    let search = (!terms.is_empty()).then(|| terms.join(" AND "));
    let data = client.call(document, &json!({ "search": search })).await?;
    let (nodes, next) = page_of(document, &data, at)?;
    let incomplete = |reason: &str| ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    };
    let mut page = IdPage {
        ids: Vec::with_capacity(nodes.len()),
        last: after,
        has_more: next.is_some(),
    };
    for node in nodes {
        let id: Option<ShopifyId> = node["id"].as_str().and_then(|id| id.parse().ok());
        let made = node["createdAt"]
            .as_str()
            .and_then(|at| Timestamp::parse_rfc3339(at).ok());
        let (id, made) = id
            .zip(made)
            .ok_or_else(|| incomplete("a record has no id, or no time at which it was made"))?;
        if page.last >= Some(id) {
            return Err(incomplete("its records are not in the order of their ids"));
        }
        page.last = Some(id);
        if listing.holds(made) {
            page.ids.push(id);
        }
    }
    if page.has_more && nodes.is_empty() {
        return Err(incomplete("it has more pages and no records"));
    }
    Ok(page)
}
