//! Which records changed since a time, page by page, oldest change first. Found by Shopify's search index, which lags: what
//! changed within the last minutes may be missing.

use serde_json::json;

use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use super::recent::page_of;
use crate::domain::{Object, ShopifyId, Timestamp};

/// Some of the records that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, each with the time of its last change.
    pub records: Vec<(ShopifyId, Timestamp)>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<String>,
}

/// The document for this object, and where the list stands in its answer.
fn question(object: Object) -> Option<(&'static Document, &'static str)> {
    match object {
        Object::Order => Some((&documents::CHANGED_ORDERS, "/orders")),
        Object::Customer => Some((&documents::CHANGED_CUSTOMERS, "/customers")),
        Object::Product => Some((&documents::CHANGED_PRODUCTS, "/products")),
        Object::Inventory | Object::Shop => None,
    }
}

pub(super) async fn changed_since(
    client: &Client,
    object: Object,
    since: Timestamp,
    after: Option<String>,
) -> Result<Page, ShopifyError> {
    let Some((document, at)) = question(object) else {
        return Err(ShopifyError::Refused {
            operation: "LockstepChanged",
            code: "no such list".to_owned(),
            reason: format!("Shopify has no list of {object} records by the time of their change"),
            request: RequestId::default(),
        });
    };
    // Searches know whole seconds.
    let since = since.to_utc().format("%Y-%m-%dT%H:%M:%SZ");
    let variables = json!({ "search": format!("updated_at:>='{since}'"), "cursor": after });
    let data = client.call(document, &variables).await?;
    let (nodes, next) = page_of(document, &data, at)?;
    let incomplete = |reason: &str| ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    };
    let next = next.and_then(|next| next.as_str().map(str::to_owned));
    if next.is_some() && next == after {
        return Err(incomplete("its next page is the same page again"));
    }
    let record = |node: &serde_json::Value| {
        let id = node["id"].as_str()?.parse().ok()?;
        let changed_at = Timestamp::parse_rfc3339(node["updatedAt"].as_str()?).ok()?;
        Some((id, changed_at))
    };
    let records: Option<Vec<_>> = nodes.iter().map(record).collect();
    Ok(Page {
        records: records.ok_or_else(|| incomplete("a record has no id or no time of its last change"))?,
        next,
    })
}
