//! The orders of refunds, of movements of money and of parcels, where only the numbers of these are known.

use serde_json::{Value, json};

use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use crate::domain::{LinkKind, ShopifyId};

/// What the document calls the order of each kind of part: of a transaction it may be missing, and one name is of one type.
const ORDER: [&str; 3] = ["refunded", "paid", "sent"];

/// Parts that are asked about in one call.
const MOST_PER_CALL: usize = 100;

/// The order of one of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderOf {
    /// Its number.
    pub order: ShopifyId,
    /// Whether the order was cancelled, or the part itself.
    pub is_cancelled: bool,
}

/// The orders of these parts, in the order asked; none where Shopify does not show the part (any more).
pub(super) async fn orders_of(
    client: &Client,
    parts: &[(LinkKind, ShopifyId)],
) -> Result<Vec<Option<OrderOf>>, ShopifyError> {
    let document = &documents::ORDERS_OF;
    let mut orders = Vec::with_capacity(parts.len());
    for some in parts.chunks(MOST_PER_CALL) {
        let ids: Vec<String> = some.iter().map(|(kind, id)| id.gid(type_of(*kind))).collect();
        let data = client.call(document, &json!({ "ids": ids })).await?;
        let nodes = data["nodes"].as_array();
        let nodes = nodes
            .filter(|nodes| nodes.len() == some.len())
            .ok_or_else(|| incomplete(document, "it does not have one entry for each part"))?;
        for node in nodes {
            orders.push(order_of(document, node)?);
        }
    }
    Ok(orders)
}

/// GraphQL's type of what a link of this kind leads to.
const fn type_of(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Refund => "Refund",
        LinkKind::Payment => "OrderTransaction",
        LinkKind::Fulfillment => "Fulfillment",
        // Nothing else is a part of an order.
        _ => "Order",
    }
}

/// The order of a part, if Shopify shows both.
fn order_of(document: &Document, part: &Value) -> Result<Option<OrderOf>, ShopifyError> {
    let mut known = ORDER.iter().map(|name| &part[*name]);
    let Some(order) = known.find(|order| !order.is_null()) else {
        return Ok(None);
    };
    let id = order["id"].as_str().and_then(|id| id.parse().ok());
    Ok(Some(OrderOf {
        order: id.ok_or_else(|| incomplete(document, "an order has no id"))?,
        is_cancelled: !order["cancelledAt"].is_null() || part["status"] == "CANCELLED",
    }))
}

fn incomplete(document: &Document, reason: &str) -> ShopifyError {
    ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    }
}
