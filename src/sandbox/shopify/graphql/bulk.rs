//! `bulkOperationRunQuery`: checks the query by the rules for bulk operations, runs it over everything, and takes the result
//! apart into rows.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Selection, SelectionSet};
use serde_json::Value as Json;

use super::check::Documents;
use super::execute;
use super::mutate::Complaint;
use super::node::{Args, Out};
use super::view::root::Root;
use crate::sandbox::shopify::ids::{gid, parse_gid, utc_text};
use crate::sandbox::shopify::schema::schema;
use crate::sandbox::shopify::shop::Shop;

/// Most connections of a query.
const MOST_CONNECTIONS: usize = 5;
/// Most connections within each other.
const DEEPEST: usize = 2;

/// Starts an operation and returns its number.
pub(super) fn start(shop: &mut Shop, args: &Args) -> Result<u64, Complaint> {
    let text = args.get("query").and_then(Json::as_str).unwrap_or_default();
    let invalid = |message: String| Complaint::new(&["query"], message, Some("INVALID"));
    let document = Documents::default().check(schema(), text).map_err(|errors| {
        let first = errors.first().and_then(|error| error["message"].as_str());
        invalid(format!(
            "Invalid bulk query: {}",
            first.unwrap_or("it cannot be read")
        ))
    })?;
    let operation = document
        .operations
        .get(None)
        .map_err(|_| invalid("Bulk queries must have exactly one operation.".to_owned()))?;
    let mut connections = 0;
    let depth = depth(&document, &operation.selection_set, &mut connections);
    if connections == 0 {
        return Err(invalid(
            "Bulk queries must contain at least one connection.".to_owned(),
        ));
    }
    if connections > MOST_CONNECTIONS || depth > DEEPEST {
        return Err(invalid(format!(
            "Bulk queries cannot contain more than {MOST_CONNECTIONS} connections, nor more than {DEEPEST} within each other."
        )));
    }
    if !shop.has_room_for_bulk() {
        return Err(Complaint::new(
            &[],
            "The maximum number of concurrent bulk operations for this app and shop has been reached.",
            Some("LIMIT_REACHED"),
        ));
    }
    let outcome = execute::run_whole(shop, schema(), &document, operation, &Root(shop));
    let is_denied = outcome
        .errors
        .iter()
        .any(|error| error["extensions"]["code"] == "ACCESS_DENIED");
    let mut rows = Vec::new();
    for value in outcome
        .data
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::values)
    {
        for node in children(value).unwrap_or_default() {
            take_apart(node, None, &mut rows);
        }
    }
    Ok(shop.start_bulk(text, &rows, is_denied))
}

/// `bulkOperationCancel`: cancels an operation and returns its number.
pub(super) fn cancel(shop: &mut Shop, args: &Args) -> Result<u64, Complaint> {
    let id = args.get("id").and_then(Json::as_str).and_then(parse_gid);
    match id {
        Some(("BulkOperation", number)) if shop.cancel_bulk(number) => Ok(number),
        _ => Err(Complaint::new(&["id"], "Bulk operation does not exist", None)),
    }
}

/// How deep connections stand within each other; counts them.
fn depth(document: &ExecutableDocument, set: &SelectionSet, connections: &mut usize) -> usize {
    let mut deepest = 0;
    for selection in &set.selections {
        let below = match selection {
            Selection::Field(field) => {
                let is_connection = field.definition.ty.inner_named_type().ends_with("Connection");
                *connections += usize::from(is_connection);
                usize::from(is_connection) + depth(document, &field.selection_set, connections)
            }
            Selection::InlineFragment(inline) => depth(document, &inline.selection_set, connections),
            Selection::FragmentSpread(spread) => match document.fragments.get(&spread.fragment_name) {
                Some(fragment) => depth(document, &fragment.selection_set, connections),
                None => 0,
            },
        };
        deepest = deepest.max(below);
    }
    deepest
}

/// The nodes of a connection.
fn children(value: &Json) -> Option<Vec<&Json>> {
    if let Some(edges) = value["edges"].as_array() {
        return Some(edges.iter().map(|edge| &edge["node"]).collect());
    }
    value["nodes"].as_array().map(|nodes| nodes.iter().collect())
}

/// A row for a record, and rows for its parts.
fn take_apart(node: &Json, parent: Option<&str>, rows: &mut Vec<Json>) {
    let Some(fields) = node.as_object() else { return };
    let id = node["id"].as_str();
    let mut row = serde_json::Map::new();
    let mut parts = Vec::new();
    for (name, value) in fields {
        match children(value) {
            Some(nodes) => parts.extend(nodes),
            None => {
                row.insert(name.clone(), value.clone());
            }
        }
    }
    if let Some(parent) = parent {
        row.insert("__parentId".to_owned(), parent.into());
    }
    rows.push(row.into());
    for part in parts {
        take_apart(part, id, rows);
    }
}

/// `BulkOperation`.
pub(super) fn operation(shop: &Shop, number: u64) -> Out<'_> {
    let Some(found) = shop.bulk_operation(number) else {
        return Out::Absent;
    };
    let status = found.status(shop);
    let is_over = !matches!(status, "CREATED" | "RUNNING");
    Out::record(
        "BulkOperation",
        vec![
            ("id", Out::leaf(gid("BulkOperation", found.id))),
            ("status", Out::leaf(status)),
            ("type", Out::leaf("QUERY")),
            ("query", Out::leaf(found.query.clone())),
            ("createdAt", Out::leaf(utc_text(found.created_at))),
            (
                "completedAt",
                Out::leaf(is_over.then(|| utc_text(found.created_at))),
            ),
            ("errorCode", Out::leaf(found.error_code(shop))),
            ("objectCount", Out::leaf(found.object_count(shop).to_string())),
            ("rootObjectCount", Out::leaf(found.root_count(shop).to_string())),
            (
                "fileSize",
                Out::leaf(found.file_size(shop).map(|bytes| bytes.to_string())),
            ),
            ("url", Out::leaf(found.url(shop))),
            ("partialDataUrl", Out::leaf(found.partial_url(shop))),
        ],
    )
}
