//! All customers or products, page by page, each record whole. A record that has more parts than a page shows is read by
//! itself; all others cost a fraction of that.

use serde_json::{Value, json};

use super::answer::REFUSED;
use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use super::fetch::{self, Kind};
use super::recent::page_of;
use crate::domain::ShopifyId;

/// Some of a shop's records.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// The records, in the order of their ids.
    pub records: Vec<T>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<String>,
}

/// A list of records, and how one of them is read whole.
pub(super) struct List {
    document: &'static Document,
    at: &'static str,
    kind: &'static Kind,
}

pub(super) const CUSTOMERS: List = List {
    document: &documents::CUSTOMERS,
    at: "/customers",
    kind: &fetch::CUSTOMER,
};

pub(super) const PRODUCTS: List = List {
    document: &documents::PRODUCTS,
    at: "/products",
    kind: &fetch::PRODUCT,
};

/// A page of whole records, as Shopify sends them. Those that are deleted meanwhile are absent.
pub(super) async fn page(
    client: &Client,
    list: &List,
    select: &str,
    after: Option<&str>,
) -> Result<Listed<Value>, ShopifyError> {
    let variables = json!({ "cursor": after });
    let data = client.call_selecting(list.document, select, &variables).await?;
    let (nodes, next) = page_of(list.document, &data, list.at)?;
    let next = next.and_then(|next| next.as_str().map(str::to_owned));
    if next.is_some() && next.as_deref() == after {
        return Err(incomplete(list.document, "its next page is the same page again"));
    }
    let mut records = Vec::with_capacity(nodes.len());
    for (n, node) in nodes.iter().enumerate() {
        let mut node = node.clone();
        if let Some(refused) = data.get(REFUSED) {
            let place = format!("{}.nodes.{n}", list.at.trim_start_matches('/'));
            node[REFUSED] = fetch::refused_of(&place, refused);
        }
        if is_whole(list.kind, &mut node) {
            records.push(node);
            continue;
        }
        let id: Option<ShopifyId> = node["id"].as_str().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| incomplete(list.document, "a record has no id"))?;
        records.extend(fetch::whole(client, list.kind, id, select).await?);
    }
    Ok(Listed { records, next })
}

/// Whether all lists of a record end on this page.
fn is_whole(kind: &Kind, node: &mut Value) -> bool {
    kind.lists().all(|field| {
        let Some(Value::Object(list)) = node.get_mut(field) else {
            // Absent or refused: whoever needs it says so.
            return true;
        };
        let info = list.remove("pageInfo").unwrap_or_default();
        info["hasNextPage"] == false
    })
}

fn incomplete(document: &Document, reason: &str) -> ShopifyError {
    ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    }
}
