//! Products, their options and variants.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::Value;

use super::NormaliseError;
use super::read::At;
use crate::domain::{OptionValue, Product, ProductOption, Variant};

/// Digits after the point that a weight in kilograms is kept with: a milligram.
const WEIGHT_DECIMALS: u32 = 6;

pub(super) fn product(raw: Value) -> Result<Product, NormaliseError> {
    let record = At::root(&raw);
    // Shopify shows a made-up option `Title` with the value `Default Title` where there are no options.
    let plain = record.get("hasOnlyDefaultVariant").need_boolean()?;
    let mut options = Vec::new();
    let list = record.get("options");
    for option in list.items()? {
        if !plain {
            options.push(product_option(&option)?);
        }
    }
    let mut variants = Vec::new();
    let list = record.get("variants");
    for node in list.nodes()? {
        variants.push(variant(&node, plain)?);
    }
    Ok(Product {
        id: record.get("id").need_id()?,
        title: record.get("title").need_text()?,
        handle: record.get("handle").need_text()?,
        description_html: record.get("descriptionHtml").text()?,
        vendor: record.get("vendor").text()?,
        product_type: record.get("productType").text()?,
        status: record.get("status").need_text()?,
        tags: record.get("tags").texts()?,
        is_gift_card: record.get("isGiftCard").boolean()?.unwrap_or(false),
        options,
        variants,
        created_at: record.get("createdAt").need_time()?,
        updated_at: record.get("updatedAt").need_time()?,
        raw: Arc::new(raw),
    })
}

fn product_option(at: &At<'_>) -> Result<ProductOption, NormaliseError> {
    let mut values = Vec::new();
    let list = at.get("optionValues");
    for value in list.items()? {
        // A value that no variant has would become a variant of its own in an ERP that combines all values.
        if value.get("hasVariants").boolean()?.unwrap_or(true) {
            values.push(value.get("name").need_text()?);
        }
    }
    Ok(ProductOption {
        name: at.get("name").need_text()?,
        values,
    })
}

pub(super) fn variant(at: &At<'_>, plain: bool) -> Result<Variant, NormaliseError> {
    let item = at.get("inventoryItem");
    let mut options = Vec::new();
    let list = at.get("selectedOptions");
    for option in list.items()? {
        if !plain {
            options.push(OptionValue {
                name: option.get("name").need_text()?,
                value: option.get("value").need_text()?,
            });
        }
    }
    let price = at.get("price");
    Ok(Variant {
        id: at.get("id").need_id()?,
        inventory_item_id: item.get("id").id()?,
        title: at.get("title").need_text()?,
        sku: at.get("sku").text()?,
        barcode: at.get("barcode").text()?,
        price: price.amount()?.ok_or_else(|| price.missing())?,
        compare_at_price: at.get("compareAtPrice").amount()?,
        cost: item.get("unitCost").get("amount").amount()?,
        weight_kg: weight_kg(&item.get("measurement").get("weight"))?,
        taxable: at.get("taxable").need_boolean()?,
        requires_shipping: item.get("requiresShipping").need_boolean()?,
        tracked: item.get("tracked").need_boolean()?,
        options,
    })
}

/// A weight in kilograms; nothing when there is none or its unit is one that this version does not know.
fn weight_kg(at: &At<'_>) -> Result<Option<Decimal>, NormaliseError> {
    let (Some(value), Some(unit)) = (at.get("value").decimal()?, at.get("unit").text()?) else {
        return Ok(None);
    };
    // The international pound and its sixteenth part, exact by definition.
    let kilograms = match unit.as_str() {
        "KILOGRAMS" => Decimal::ONE,
        "GRAMS" => Decimal::new(1, 3),
        "POUNDS" => Decimal::new(45_359_237, 8),
        "OUNCES" => Decimal::new(28_349_523_125, 12),
        _ => return Ok(None),
    };
    let weight = value
        .checked_mul(kilograms)
        .ok_or_else(|| at.unreadable("a weight"))?;
    Ok(Some(
        crate::domain::round_half_up(weight, WEIGHT_DECIMALS).normalize(),
    ))
}
