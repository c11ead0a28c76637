//! Which access scope a field needs, by the type behind it.

use serde_json::json;

use super::node::Failure;
use crate::sandbox::shopify::shop::Shop;

/// Any one of these scopes opens the type. The words are those of the official schema's `requiredAccess`.
fn needed(type_name: &str) -> Option<&'static [&'static str]> {
    Some(match type_name {
        "Order" | "OrderTransaction" | "Refund" | "LineItem" => &["read_orders"],
        "Customer" => &["read_customers"],
        "Company" | "CompanyContact" | "CompanyLocation" => &["read_customers", "read_companies"],
        "Product" | "ProductVariant" | "Collection" => &["read_products"],
        "InventoryItem" => &["read_inventory", "read_products"],
        "InventoryLevel" | "InventoryAdjustmentGroup" => &["read_inventory"],
        "Location" => &["read_locations", "read_inventory"],
        "DraftOrder" => &["read_draft_orders"],
        "Return" => &["read_returns"],
        "Fulfillment" => &["read_fulfillments", "read_orders"],
        "FulfillmentOrder" => &[
            "read_assigned_fulfillment_orders",
            "read_merchant_managed_fulfillment_orders",
            "read_third_party_fulfillment_orders",
        ],
        _ => return None,
    })
}

/// The scopes that would open the field, when the app has none of them.
pub(super) fn missing(
    shop: &Shop,
    owner: &str,
    field: &str,
    type_name: &str,
) -> Option<&'static [&'static str]> {
    // A mutation needs the right to write; its payload is then readable.
    let bare = type_name.trim_end_matches("Connection").trim_end_matches("Edge");
    let special: Option<&'static [&'static str]> = match (owner, field) {
        ("InventoryItem", "duplicateSkuCount" | "inventoryLevel" | "inventoryLevels" | "locationsCount") => {
            Some(&["read_inventory"])
        }
        ("QueryRoot", "ordersCount") => Some(&["read_orders"]),
        ("QueryRoot", "customersCount") => Some(&["read_customers"]),
        ("QueryRoot", "productsCount") => Some(&["read_products"]),
        _ => None,
    };
    let scopes = special.or_else(|| needed(bare))?;
    (!scopes.iter().any(|scope| shop.has_scope(scope))).then_some(scopes)
}

/// The error in place of a field that the app may not see.
pub(super) fn denied(field: &str, scopes: &[&str]) -> Failure {
    let words: Vec<String> = scopes.iter().map(|s| format!("`{s}` access scope")).collect();
    let words = format!("{}.", words.join(" or "));
    Failure {
        message: format!("Access denied for {field} field. Required access: {words}"),
        extensions: json!({
            "code": "ACCESS_DENIED",
            "documentation": "https://shopify.dev/api/usage/access-scopes",
            "requiredAccess": words,
        }),
    }
}
