//! Quantities and inventory items.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::input::number;
use super::{Complaint, Payload, Shown, variants};
use crate::sandbox::shopify::facts::{QuantityChange, StockAdjustment};
use crate::sandbox::shopify::graphql::node::{Args, Failure};
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Change;

/// Quantities beyond this are mistakes.
const HIGHEST: i64 = 1_000_000_000;

/// Reasons that stock may change for.
const REASONS: &[&str] = &[
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "reservation_deleted",
    "reservation_updated",
    "restock",
    "safety_stock",
    "shrinkage",
];

/// One quantity that is to be set and may be.
struct Ready {
    variant: u64,
    item: u64,
    location: u64,
    quantity: i64,
    before: i64,
}

/// `inventorySetQuantities`: all or none.
pub(super) fn set_quantities(shop: &mut Shop, args: &Args) -> Result<Payload, Failure> {
    let wanted = &args["input"];
    let list = wanted["quantities"].as_array().cloned().unwrap_or_default();
    if list.iter().any(|one| one.get("changeFromQuantity").is_none()) {
        return Err(Failure::new(
            "InventoryQuantityInput must include the following argument: changeFromQuantity.",
            "INVALID_FIELD_ARGUMENTS",
        ));
    }
    let mut complaints = Vec::new();
    let name = match wanted["name"].as_str() {
        Some("available") => "available",
        Some("on_hand") => "on_hand",
        _ => {
            let message = "The quantity name must be either 'available' or 'on_hand'.";
            let complaint = Complaint::new(&["input", "name"], message, Some("INVALID_NAME"));
            return Ok(Payload::refused(vec![complaint]));
        }
    };
    let reason = wanted["reason"].as_str().unwrap_or_default();
    if !REASONS.contains(&reason) {
        let message = "The specified reason is invalid.";
        complaints.push(Complaint::new(
            &["input", "reason"],
            message,
            Some("INVALID_REASON"),
        ));
    }
    let reference = wanted["referenceDocumentUri"].as_str().map(str::to_owned);
    if reference
        .as_deref()
        .is_some_and(|uri| !uri.contains("://") || uri.starts_with("gid://shopify/"))
    {
        complaints.push(Complaint::new(
            &["input", "referenceDocumentUri"],
            "The specified reference document is invalid.",
            Some("INVALID_REFERENCE_DOCUMENT"),
        ));
    }
    let mut pairs = BTreeSet::new();
    let mut ready = Vec::new();
    for (index, one) in list.iter().enumerate() {
        match check(shop, name, one, &mut pairs) {
            Ok(one) => ready.push(one),
            Err(complaint) => {
                complaints.push(complaint.below(&["input", "quantities", &index.to_string()]));
            }
        }
    }
    if !complaints.is_empty() {
        return Ok(Payload::refused(complaints));
    }
    let adjustment = carry_out(shop, name, reason, reference, &ready);
    let mut payload = Payload::default();
    payload.show("inventoryAdjustmentGroup", Shown::Adjustment(adjustment));
    Ok(payload)
}

/// One quantity, or what is wrong with it.
fn check(shop: &Shop, name: &str, one: &Json, pairs: &mut BTreeSet<(u64, u64)>) -> Result<Ready, Complaint> {
    let refuse = |field: &str, message: &str, code: &str| Err(Complaint::new(&[field], message, Some(code)));
    let item = number(&one["inventoryItemId"], "InventoryItem");
    let Some((product, variant)) = item.and_then(|id| shop.inventory_item(id)) else {
        let message = "The specified inventory item could not be found.";
        return refuse("inventoryItemId", message, "INVALID_INVENTORY_ITEM");
    };
    let location = number(&one["locationId"], "Location")
        .filter(|id| shop.location(*id).is_some_and(|place| place.active));
    let Some(location) = location else {
        let message = "The specified location could not be found.";
        return refuse("locationId", message, "INVALID_LOCATION");
    };
    if !pairs.insert((variant.item.id, location)) {
        return refuse(
            "locationId",
            "The combination of inventoryItemId and locationId must be unique.",
            "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR",
        );
    }
    if !variant.item.tracked || product.gift_card {
        let message = "The specified inventory item is not allowed to be adjusted via API.";
        return refuse("inventoryItemId", message, "NON_MUTABLE_INVENTORY_ITEM");
    }
    let quantity = one["quantity"].as_i64().unwrap_or_default();
    if quantity > HIGHEST {
        let message = "The total quantity can't be higher than 1,000,000,000.";
        return refuse("quantity", message, "INVALID_QUANTITY_TOO_HIGH");
    }
    if quantity < 0 {
        let message = "The quantity can't be negative.";
        return refuse("quantity", message, "INVALID_QUANTITY_NEGATIVE");
    }
    let level = variant.item.levels.iter().find(|l| l.location == location);
    // A place that does not stock the item has none of it.
    let before = level.and_then(|l| l.quantity(name)).unwrap_or(0);
    if one["changeFromQuantity"]
        .as_i64()
        .is_some_and(|from| from != before)
    {
        let message = "The changeFromQuantity value does not match persisted value.";
        return refuse("changeFromQuantity", message, "CHANGE_FROM_QUANTITY_STALE");
    }
    Ok(Ready {
        variant: variant.id,
        item: variant.item.id,
        location,
        quantity,
        before,
    })
}

fn carry_out(
    shop: &mut Shop,
    name: &'static str,
    reason: &str,
    reference: Option<String>,
    ready: &[Ready],
) -> StockAdjustment {
    let (mut changes, mut told) = (Vec::new(), Vec::new());
    for one in ready.iter().filter(|one| one.quantity != one.before) {
        let delta = one.quantity - one.before;
        // The other quantities stay, so both names move by the same number.
        let mut available = 0;
        let changed = shop.change_stock(one.variant, one.location, |level| {
            level.available += delta;
            available = level.available;
        });
        if changed.is_err() {
            continue;
        }
        let mut note = |name, after| {
            changes.push(QuantityChange {
                name,
                item: one.item,
                location: one.location,
                delta,
                after,
            });
        };
        note("available", available);
        if name == "on_hand" {
            note("on_hand", one.quantity);
        }
        told.push(Change::Level("inventory_levels/update", one.item, one.location));
    }
    let adjustment = StockAdjustment {
        id: shop.ids.take(),
        at: shop.now(),
        reason: reason.to_owned(),
        reference,
        changes,
    };
    if !adjustment.changes.is_empty() {
        shop.adjustments.push(adjustment.clone());
    }
    for change in told {
        shop.announce(&[change]);
    }
    adjustment
}

/// `inventoryActivate`.
pub(super) fn activate(shop: &mut Shop, args: &Args) -> Payload {
    let found = number(&args["inventoryItemId"], "InventoryItem").and_then(|id| shop.inventory_item(id));
    let Some((_, variant)) = found else {
        let message = "The specified inventory item could not be found.";
        return Payload::refused(vec![Complaint::new(&["inventoryItemId"], message, None)]);
    };
    let (id, item) = (variant.id, variant.item.id);
    let levels: Vec<u64> = variant.item.levels.iter().map(|l| l.location).collect();
    let location = number(&args["locationId"], "Location")
        .filter(|id| shop.location(*id).is_some_and(|place| place.active));
    let Some(location) = location else {
        let message = "The specified location could not be found.";
        return Payload::refused(vec![Complaint::new(&["locationId"], message, None)]);
    };
    let mut payload = Payload::default();
    payload.show("inventoryLevel", Shown::Level(item, location));
    if levels.contains(&location) {
        return payload;
    }
    let amount = |name: &str| args.get(name).and_then(Json::as_i64);
    let available = amount("available").or_else(|| amount("onHand")).unwrap_or(0);
    // It exists, as was found.
    let _ = shop.change_stock(id, location, |level| level.available = available);
    shop.announce(&[Change::Level("inventory_levels/connect", item, location)]);
    payload
}

/// `inventoryItemUpdate`.
pub(super) fn update_item(shop: &mut Shop, args: &Args) -> Payload {
    let found = number(&args["id"], "InventoryItem").and_then(|id| shop.inventory_item(id));
    let Some((_, variant)) = found else {
        let message = "The inventory item does not exist.";
        return Payload::refused(vec![Complaint::new(&["id"], message, None)]);
    };
    let mut new = variant.clone();
    let (id, item) = (variant.id, variant.item.id);
    let mut complaints = Vec::new();
    variants::read_item(shop, &mut new, &args["input"], &mut complaints);
    if !complaints.is_empty() {
        return Payload::refused(complaints.into_iter().map(|c| c.below(&["input"])).collect());
    }
    // It exists, as was found.
    let _ = shop.edit_variant(id, |variant| *variant = new);
    let mut payload = Payload::default();
    payload.show("inventoryItem", Shown::Record("InventoryItem", item));
    payload
}
