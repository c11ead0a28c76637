//! One record, whole: every list that Shopify pages is read to its end.
//!
//! Pages are separate answers, and the record may change between two of them. Each page tells the record's `updatedAt`;
//! when it is not the one that the record began with, everything is read again from the start. So what is handed on is
//! one state of the record, or an error.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::REFUSED;
use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use crate::domain::ShopifyId;

/// How often a record that changes meanwhile is begun again.
const TRIES: u32 = 4;
/// How long it is left alone before it is begun again the first time; doubled each time.
const FIRST_REST: Duration = Duration::from_secs(1);
/// More pages than any record has: 2048 variants are 21.
const MOST_PAGES: usize = 200;

/// A kind of record: how it is asked for, and which lists it has.
pub(super) struct Kind {
    /// GraphQL's type.
    pub(super) name: &'static str,
    /// The field of the query's root.
    pub(super) root: &'static str,
    pub(super) document: &'static Document,
    lists: &'static [List],
    parts: &'static [Parts],
}

/// A list that comes in pages.
struct List {
    field: &'static str,
    page: &'static Document,
}

/// Parts of a record (an order's refunds, its parcels) that have such lists, too.
struct Parts {
    field: &'static str,
    lists: &'static [List],
}

pub(super) const ORDER: Kind = Kind {
    name: "Order",
    root: "order",
    document: &documents::ORDER,
    lists: &[
        List {
            field: "lineItems",
            page: &documents::ORDER_LINES,
        },
        List {
            field: "shippingLines",
            page: &documents::ORDER_SHIPPING_LINES,
        },
        List {
            field: "discountApplications",
            page: &documents::ORDER_DISCOUNTS,
        },
    ],
    parts: &[
        Parts {
            field: "refunds",
            lists: &[
                List {
                    field: "refundLineItems",
                    page: &documents::REFUND_LINES,
                },
                List {
                    field: "refundShippingLines",
                    page: &documents::REFUND_SHIPPING_LINES,
                },
                List {
                    field: "orderAdjustments",
                    page: &documents::REFUND_ADJUSTMENTS,
                },
                List {
                    field: "transactions",
                    page: &documents::REFUND_MOVEMENTS,
                },
            ],
        },
        Parts {
            field: "fulfillments",
            lists: &[List {
                field: "fulfillmentLineItems",
                page: &documents::FULFILLMENT_LINES,
            }],
        },
    ],
};

pub(super) const CUSTOMER: Kind = Kind {
    name: "Customer",
    root: "customer",
    document: &documents::CUSTOMER,
    lists: &[List {
        field: "addressesV2",
        page: &documents::CUSTOMER_ADDRESSES,
    }],
    parts: &[],
};

pub(super) const PRODUCT: Kind = Kind {
    name: "Product",
    root: "product",
    document: &documents::PRODUCT,
    lists: &[List {
        field: "variants",
        page: &documents::PRODUCT_VARIANTS,
    }],
    parts: &[],
};

impl Kind {
    /// The record's lists that are read to their end, page by page.
    pub(super) fn lists(&self) -> impl Iterator<Item = &'static str> {
        self.lists.iter().map(|list| list.field)
    }
}

/// Why a reading ended before its end.
enum Stop {
    /// The record changed, or went, between two pages.
    Changed,
    Failed(ShopifyError),
}

impl From<ShopifyError> for Stop {
    fn from(error: ShopifyError) -> Self {
        Self::Failed(error)
    }
}

/// The record as it is now, with the fields that `select` adds; `None` when Shopify does not have it.
///
/// # Errors
/// When a question fails, or the record changes faster than it can be read.
pub(super) async fn whole(
    client: &Client,
    kind: &Kind,
    id: ShopifyId,
    select: &str,
) -> Result<Option<Value>, ShopifyError> {
    let mut rest = FIRST_REST;
    for n in 1..=TRIES {
        match attempt(client, kind, id, select).await {
            Ok(record) => return Ok(record),
            Err(Stop::Failed(error)) => return Err(error),
            // Whatever changes it is still at it: beginning again at once would only cost points.
            Err(Stop::Changed) if n < TRIES => {
                client.rest(rest).await;
                rest = rest.saturating_mul(2);
            }
            Err(Stop::Changed) => {}
        }
    }
    Err(ShopifyError::KeepsChanging { tries: TRIES })
}

async fn attempt(client: &Client, kind: &Kind, id: ShopifyId, select: &str) -> Result<Option<Value>, Stop> {
    let gid = id.gid(kind.name);
    let mut data = client
        .call_selecting(kind.document, select, &json!({ "id": gid }))
        .await?;
    let mut record = match data.get_mut(kind.root).map(Value::take) {
        None => return Err(incomplete(kind.document, format!("it has no `{}`", kind.root)).into()),
        Some(Value::Null) => return Ok(None),
        Some(record) => record,
    };
    if let Some(refused) = data.get(REFUSED) {
        record[REFUSED] = refused_of(kind.root, refused);
    }
    let state = Reading {
        client,
        owner: gid.clone(),
        updated_at: record.get("updatedAt").cloned().unwrap_or_default(),
    };
    for list in kind.lists {
        state.complete(list, &gid, &mut record).await?;
    }
    for parts in kind.parts {
        let Some(Value::Array(found)) = record.get_mut(parts.field) else {
            continue;
        };
        for part in found {
            let Some(holder) = part.get("id").and_then(Value::as_str).map(str::to_owned) else {
                continue;
            };
            for list in parts.lists {
                state.complete(list, &holder, part).await?;
            }
        }
    }
    Ok(Some(record))
}

/// The refused fields of a record by their names within it, each once whatever its place in a list.
pub(super) fn refused_of(root: &str, paths: &Value) -> Value {
    let mut names: Vec<String> = paths
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str()?.strip_prefix(root)?.strip_prefix('.'))
        .map(|path| {
            let steps = path.split('.').filter(|step| step.parse::<usize>().is_err());
            steps.collect::<Vec<_>>().join(".")
        })
        .collect();
    names.sort();
    names.dedup();
    Value::from(names)
}

/// One reading of one record.
struct Reading<'a> {
    client: &'a Client,
    /// Global id of the record.
    owner: String,
    /// When it had last changed as the reading began.
    updated_at: Value,
}

impl Reading<'_> {
    /// Reads the rest of `list`, which belongs to `holder` (the record itself or a part of it), and appends it.
    async fn complete(&self, list: &List, holder: &str, part: &mut Value) -> Result<(), Stop> {
        let Some(Value::Object(connection)) = part.get_mut(list.field) else {
            // Absent or refused: whoever needs it says so.
            return Ok(());
        };
        let mut info = connection.remove("pageInfo").unwrap_or_default();
        for _ in 0..MOST_PAGES {
            match info.get("hasNextPage").and_then(Value::as_bool) {
                Some(true) => {}
                Some(false) => return Ok(()),
                None => {
                    return Err(incomplete(
                        list.page,
                        format!("{} does not say whether it ends", list.field),
                    )
                    .into());
                }
            }
            let cursor = info.get("endCursor").cloned().unwrap_or_default();
            if !cursor.is_string() {
                return Err(
                    incomplete(list.page, format!("{} goes on, but not from where", list.field)).into(),
                );
            }
            let variables = json!({ "owner": self.owner, "holder": holder, "cursor": cursor });
            let mut data = self.client.call(list.page, &variables).await?;
            if data.pointer("/owner/updatedAt") != Some(&self.updated_at) {
                return Err(Stop::Changed);
            }
            let Some(page) = data.pointer_mut("/holder/page") else {
                return Err(Stop::Changed);
            };
            info = page.get_mut("pageInfo").map(Value::take).unwrap_or_default();
            match (page.get_mut("nodes"), connection.get_mut("nodes")) {
                (Some(Value::Array(more)), Some(Value::Array(nodes))) => nodes.append(more),
                _ => return Err(incomplete(list.page, format!("{} has no nodes", list.field)).into()),
            }
        }
        Err(incomplete(list.page, format!("{} does not end", list.field)).into())
    }
}

fn incomplete(document: &Document, reason: String) -> ShopifyError {
    ShopifyError::Incomplete {
        operation: document.name,
        reason,
        request: RequestId::default(),
    }
}
