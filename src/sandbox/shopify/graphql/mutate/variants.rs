//! Variants in bulk.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::input::{LONGEST_TEXT, decimal, number, set_text};
use super::{Complaint, Payload, Shown, metafields};
use crate::sandbox::shopify::facts::{Product, ProductOption, Variant};
use crate::sandbox::shopify::graphql::node::Args;
use crate::sandbox::shopify::money::{decimals, round};
use crate::sandbox::shopify::shop::Shop;

/// Most variants of one product.
pub(super) const MOST: usize = 2048;

/// `productVariantsBulkUpdate`.
pub(super) fn update(shop: &mut Shop, args: &Args) -> Payload {
    let Some(mut product) = number(&args["productId"], "Product").and_then(|id| shop.product(id).cloned())
    else {
        return no_product();
    };
    let partial = args.get("allowPartialUpdates").and_then(Json::as_bool) == Some(true);
    let now = shop.now();
    let (mut complaints, mut written) = (Vec::new(), Vec::new());
    for (index, wanted) in args["variants"].as_array().into_iter().flatten().enumerate() {
        let at = index.to_string();
        let refuse = |field: &str, message: &str, code: &str| {
            Complaint::new(&["variants", &at, field], message, Some(code))
        };
        if wanted["id"].is_null() {
            let message = "Product variant is missing ID attribute";
            complaints.push(refuse("id", message, "PRODUCT_VARIANT_ID_MISSING"));
            continue;
        }
        let id = number(&wanted["id"], "ProductVariant");
        let Some(place) = id.and_then(|id| product.variants.iter().position(|v| v.id == id)) else {
            let message = "Product variant does not exist";
            complaints.push(refuse("id", message, "PRODUCT_VARIANT_DOES_NOT_EXIST"));
            continue;
        };
        let mut found = Vec::new();
        if !wanted["inventoryQuantities"].is_null() {
            found.push(Complaint::new(
                &["inventoryQuantities"],
                "Inventory quantities can only be provided during create. To update inventory for existing variants, use inventoryAdjustQuantities.",
                Some("NO_INVENTORY_QUANTITIES_ON_VARIANTS_UPDATE"),
            ));
        }
        let mut new = product.variants[place].clone();
        read(shop, &mut new, wanted, &mut found);
        if !wanted["optionValues"].is_null() {
            match chosen(
                &product.options,
                &wanted["optionValues"],
                Some(&new.option_values),
            ) {
                Ok(values) => new.option_values = values,
                Err(complaint) => found.push(complaint),
            }
            if has_twin(&product, &new) {
                found.push(twin(&new));
            }
        }
        match metafields::read(shop, "ProductVariant", Some(new.id), &wanted["metafields"]) {
            Ok(fields) => metafields::put(&mut new.metafields, fields),
            Err(more) => found.extend(
                more.into_iter()
                    .map(|c| c.below(&["metafields"]).with_code("INVALID_VALUE")),
            ),
        }
        if found.is_empty() {
            new.updated_at = now;
            written.push(new.id);
            product.variants[place] = new;
        } else {
            complaints.extend(found.into_iter().map(|c| c.below(&["variants", &at])));
        }
    }
    let mut payload = Payload::default();
    if complaints.is_empty() || (partial && !written.is_empty()) {
        payload.show("product", Shown::Record("Product", product.id));
        payload.show("productVariants", Shown::Records("ProductVariant", written));
        shop.store_product(product);
    }
    payload.complaints = complaints;
    payload
}

/// `productVariantsBulkCreate`: all or none.
pub(super) fn create(shop: &mut Shop, args: &Args) -> Payload {
    let Some(mut product) = number(&args["productId"], "Product").and_then(|id| shop.product(id).cloned())
    else {
        return no_product();
    };
    let mut complaints = Vec::new();
    let standalone = product.variants.first().map(|v| v.id).filter(|_| {
        let strategy = args.get("strategy").and_then(Json::as_str).unwrap_or("DEFAULT");
        let alone = product.variants.len() == 1;
        alone
            && match strategy {
                "DEFAULT" => product.only_default_variant(),
                "REMOVE_STANDALONE_VARIANT" => true,
                _ => false,
            }
    });
    let mut made: Vec<Variant> = Vec::new();
    for (index, wanted) in args["variants"].as_array().into_iter().flatten().enumerate() {
        let at = index.to_string();
        let mut found = Vec::new();
        match chosen(&product.options, &wanted["optionValues"], None) {
            Err(complaint) => found.push(complaint),
            Ok(values) => {
                let mut new = shop.blank_variant(product.id, values);
                read(shop, &mut new, wanted, &mut found);
                match metafields::read(shop, "ProductVariant", None, &wanted["metafields"]) {
                    Ok(fields) => new.metafields = fields,
                    Err(more) => found.extend(
                        more.into_iter()
                            .map(|c| c.below(&["metafields"]).with_code("INVALID")),
                    ),
                }
                if has_twin(&product, &new) || made.iter().any(|v| v.option_values == new.option_values) {
                    found.push(twin(&new));
                }
                made.push(new);
            }
        }
        complaints.extend(found.into_iter().map(|c| c.below(&["variants", &at])));
    }
    if product.variants.len() + made.len() > MOST {
        let message = format!("You can't have more than {MOST} variants for a product.");
        complaints.push(Complaint::new(&["variants"], message, Some("INVALID_INPUT")));
    }
    if !complaints.is_empty() {
        return Payload::refused(complaints);
    }
    product.variants.retain(|v| Some(v.id) != standalone);
    let ids = made.iter().map(|v| v.id).collect();
    product.variants.extend(made);
    let mut payload = Payload::default();
    payload.show("product", Shown::Record("Product", product.id));
    payload.show("productVariants", Shown::Records("ProductVariant", ids));
    shop.store_product(product);
    payload
}

fn no_product() -> Payload {
    Payload::refused(vec![Complaint::new(
        &["productId"],
        "Product does not exist",
        Some("PRODUCT_DOES_NOT_EXIST"),
    )])
}

fn has_twin(product: &Product, new: &Variant) -> bool {
    product
        .variants
        .iter()
        .any(|v| v.id != new.id && v.option_values == new.option_values)
}

fn twin(new: &Variant) -> Complaint {
    let message = format!("The variant '{}' already exists.", new.title());
    Complaint::new(&["optionValues"], message, Some("VARIANT_ALREADY_EXISTS"))
}

/// The values of a variant in the order of the product's options; a value that was not there yet comes to be.
pub(super) fn chosen(
    options: &[ProductOption],
    wanted: &Json,
    known: Option<&[String]>,
) -> Result<Vec<String>, Complaint> {
    let list = wanted.as_array().map_or(&[][..], Vec::as_slice);
    let mut values: Vec<Option<String>> = match known {
        Some(known) => known.iter().cloned().map(Some).collect(),
        None => vec![None; options.len()],
    };
    values.resize(options.len(), None);
    for one in list {
        let id = number(&one["optionId"], "ProductOption");
        let by_name = one["optionName"].as_str();
        let place = options
            .iter()
            .position(|o| Some(o.id) == id || by_name == Some(o.name.as_str()));
        let Some(place) = place else {
            return Err(Complaint::new(
                &["optionValues"],
                "Option does not exist",
                Some("OPTION_VALUES_FOR_NUMBER_OF_UNKNOWN_OPTIONS"),
            ));
        };
        let by_id = number(&one["id"], "ProductOptionValue")
            .and_then(|id| options[place].values.iter().find(|v| v.id == id))
            .map(|v| v.name.clone());
        values[place] = by_id.or_else(|| one["name"].as_str().map(|n| n.trim().to_owned()));
        if values[place]
            .as_ref()
            .is_some_and(|v| v.chars().count() > LONGEST_TEXT)
        {
            return Err(Complaint::new(
                &["optionValues"],
                "Option value name is too long",
                Some("OPTION_VALUE_NAME_TOO_LONG"),
            ));
        }
    }
    let complete: Option<Vec<String>> = values.into_iter().collect();
    complete
        .filter(|v| v.iter().all(|v| !v.is_empty()))
        .ok_or_else(|| {
            let message = "You need to add option values for all options";
            Complaint::new(&["optionValues"], message, Some("NEED_TO_ADD_OPTION_VALUES"))
        })
}

/// Reads what the input says of a variant and its item.
pub(super) fn read(shop: &Shop, variant: &mut Variant, wanted: &Json, complaints: &mut Vec<Complaint>) {
    let places = decimals(&shop.currency);
    let not_negative = |field: &str, label: &str, amount: Decimal| {
        (amount < Decimal::ZERO).then(|| {
            let message = format!("{label} must be greater than or equal to 0");
            Complaint::new(&[field], message, Some("GREATER_THAN_OR_EQUAL_TO"))
        })
    };
    if let Some(price) = decimal(&wanted["price"]) {
        complaints.extend(not_negative("price", "Price", price));
        // Further decimals are rounded away.
        variant.price = round(price, places);
    }
    if let Some(value) = wanted.get("compareAtPrice") {
        let price = decimal(value);
        complaints.extend(price.and_then(|p| not_negative("compareAtPrice", "Compare at price", p)));
        variant.compare_at_price = price.map(|price| round(price, places));
    }
    set_text(
        &mut variant.barcode,
        wanted,
        "barcode",
        "Barcode",
        LONGEST_TEXT,
        complaints,
    );
    set_text(&mut variant.sku, wanted, "sku", "Sku", LONGEST_TEXT, complaints);
    if let Some(taxable) = wanted["taxable"].as_bool() {
        variant.taxable = taxable;
    }
    if let Some(policy) = wanted["inventoryPolicy"].as_str() {
        variant.oversell = policy == "CONTINUE";
    }
    let mut found = Vec::new();
    read_item(shop, variant, &wanted["inventoryItem"], &mut found);
    complaints.extend(found.into_iter().map(|c| c.below(&["inventoryItem"])));
}

/// Reads what the input says of an inventory item.
pub(super) fn read_item(shop: &Shop, variant: &mut Variant, wanted: &Json, complaints: &mut Vec<Complaint>) {
    set_text(&mut variant.sku, wanted, "sku", "Sku", LONGEST_TEXT, complaints);
    let item = &mut variant.item;
    if let Some(value) = wanted.get("cost") {
        item.cost = decimal(value).map(|cost| round(cost, decimals(&shop.currency)));
        if item.cost.is_some_and(|cost| cost < Decimal::ZERO) {
            let message = "Cost must be greater than or equal to 0";
            complaints.push(Complaint::new(&["cost"], message, Some("INVALID_INPUT")));
        }
    }
    if let Some(tracked) = wanted["tracked"].as_bool() {
        item.tracked = tracked;
    }
    if let Some(ships) = wanted["requiresShipping"].as_bool() {
        item.requires_shipping = ships;
    }
    let weight = &wanted["measurement"]["weight"];
    if let Some(value) = decimal(&weight["value"]) {
        let factor = match weight["unit"].as_str() {
            Some("GRAMS") => Decimal::new(1, 3),
            Some("POUNDS") => Decimal::new(45_359_237, 8),
            Some("OUNCES") => Decimal::new(28_349_523_125, 12),
            _ => Decimal::ONE,
        };
        item.weight_kg = value * factor;
        if value < Decimal::ZERO {
            let message = "Weight must be greater than or equal to 0";
            complaints.push(Complaint::new(
                &["measurement", "weight"],
                message,
                Some("INVALID_INPUT"),
            ));
        }
    }
    set_text(
        &mut item.hs_code,
        wanted,
        "harmonizedSystemCode",
        "Harmonized system code",
        13,
        complaints,
    );
    if let Some(value) = wanted.get("countryCodeOfOrigin") {
        item.origin = value.as_str().map(str::to_owned);
    }
}
