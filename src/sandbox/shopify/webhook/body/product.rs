//! Bodies of the `products/*` and `inventory_levels/*` topics.

use serde_json::{Value as Json, json};

use super::time;
use crate::sandbox::shopify::facts::Product;
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::money::rest_text;
use crate::sandbox::shopify::shop::Shop;

/// A product with all its variants.
pub(super) fn product(shop: &Shop, product: &Product) -> Json {
    let variants: Vec<Json> = product
        .variants
        .iter()
        .enumerate()
        .map(|(index, variant)| {
            let value = |i: usize| variant.option_values.get(i);
            json!({
                "id": variant.id,
                "admin_graphql_api_id": gid("ProductVariant", variant.id),
                "product_id": product.id,
                "title": variant.title(),
                "position": index + 1,
                "sku": variant.sku,
                "barcode": variant.barcode,
                "price": rest_text(variant.price, &shop.currency),
                "compare_at_price": variant.compare_at_price.map(|p| rest_text(p, &shop.currency)),
                "taxable": variant.taxable,
                "inventory_policy": if variant.oversell { "continue" } else { "deny" },
                "inventory_item_id": variant.item.id,
                "inventory_quantity": variant.item.available(),
                "old_inventory_quantity": variant.item.available(),
                "option1": value(0), "option2": value(1), "option3": value(2),
                "image_id": null,
                "created_at": time(shop, variant.created_at),
                "updated_at": time(shop, variant.updated_at),
            })
        })
        .collect();
    let options: Vec<Json> = product
        .options
        .iter()
        .enumerate()
        .map(|(index, option)| {
            json!({
                "id": option.id, "product_id": product.id, "name": option.name, "position": index + 1,
                "values": option.values.iter().map(|v| &v.name).collect::<Vec<_>>(),
            })
        })
        .collect();
    let images: Vec<Json> = product
        .images
        .iter()
        .map(|i| json!({"id": i.id, "product_id": product.id, "src": i.url, "alt": i.alt, "variant_ids": []}))
        .collect();
    json!({
        "id": product.id,
        "admin_graphql_api_id": gid("Product", product.id),
        "title": product.title,
        "handle": product.handle,
        "body_html": product.description_html,
        "vendor": product.vendor,
        "product_type": product.product_type,
        "status": product.status.name().to_lowercase(),
        "tags": product.tags.join(", "),
        "template_suffix": null,
        "published_scope": "global",
        "created_at": time(shop, product.created_at),
        "updated_at": time(shop, product.updated_at),
        "published_at": product.published_at.map(|at| time(shop, at)),
        "options": options,
        "variants": variants,
        "image": images.first(),
        "images": images,
        "has_variants_that_requires_components": false,
        "category": product.category.as_ref().map(|(id, name)| json!({"admin_graphql_api_id": id, "full_name": name})),
    })
}

/// Stock of one item at one place.
pub(super) fn level(shop: &Shop, item: u64, location: u64) -> Option<Json> {
    let (_, variant) = shop.inventory_item(item)?;
    let level = variant.item.levels.iter().find(|l| l.location == location)?;
    Some(json!({
        "inventory_item_id": item,
        "location_id": location,
        "available": level.available,
        "updated_at": time(shop, level.updated_at),
        "admin_graphql_api_id": format!("{}?inventory_item_id={item}", gid("InventoryLevel", location)),
    }))
}
