//! What orders do not do with a field.
//!
//! An order is written whole until it is confirmed and left to people from then on. It is never merged field by field with
//! what somebody changed in the ERP, so whatever speaks of such a merge is refused instead of being passed over.

use toml::de::DeTable;

use super::diagnose::{Diagnostics, Place};
use super::document::{Entry, Node, entries, get, table};

const WHY: &str =
    "an order is written whole until it is confirmed, and not at all afterwards: its fields are never merged";

/// Refuses what an order's mapping would promise in vain.
pub(super) fn refuse_merging(d: &mut Diagnostics, top: &DeTable<'_>) {
    truth(d, top);
    let fields = |owner: &DeTable<'_>, d: &mut Diagnostics, keeps_created: bool| {
        if let Some(fields) = get(owner, "fields").and_then(table) {
            for entry in entries(fields) {
                rule(d, &entry, keeps_created);
            }
        }
    };
    fields(top, d, true);
    for group in get(top, "groups").and_then(table).into_iter().flat_map(entries) {
        if let Some(group) = table(group.value) {
            // Rows that are made once are never written again anyway.
            let once = get(group, "once").and_then(|node| node.get_ref().as_bool()) == Some(true);
            fields(group, d, once);
        }
    }
    for entry in entries(top).into_iter().filter(|entry| entry.key == "stage") {
        rule(d, &entry, false);
    }
}

fn rule(d: &mut Diagnostics, entry: &Entry<'_>, keeps_created: bool) {
    let Some(rule) = table(entry.value) else { return };
    truth(d, rule);
    if let Some(node) = get(rule, "lossy")
        && node.get_ref().as_bool() == Some(true)
    {
        refuse(d, node.span(), "`lossy` has no meaning in an order", WHY);
    }
    if let Some(node) = get(rule, "on")
        && says(node, "create")
        && !keeps_created
    {
        refuse(
            d,
            node.span(),
            "`on = \"create\"` has no meaning here",
            "an order's lines are written whole as long as it is a draft; only its own `[fields]` can be kept",
        );
    }
}

fn truth(d: &mut Diagnostics, owner: &DeTable<'_>) {
    if let Some(node) = get(owner, "truth")
        && (says(node, "erp") || says(node, "hold"))
    {
        refuse(d, node.span(), "an order knows no other truth than Shopify", WHY);
    }
}

fn says(node: &Node<'_>, text: &str) -> bool {
    node.get_ref().as_str() == Some(text)
}

fn refuse(d: &mut Diagnostics, place: Place, message: &str, why: &str) {
    d.add_with_help(place, message, "here", Some(why.to_owned()));
}
