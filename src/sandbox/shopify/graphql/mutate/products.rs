//! Products as a whole.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::input::{LONGEST_TEXT, number, set_text, text, texts};
use super::{Complaint, Payload, Shown, metafields, variants};
use crate::sandbox::shopify::facts::{OptionValue, Product, ProductOption, ProductStatus, Variant};
use crate::sandbox::shopify::graphql::node::{Args, Failure};
use crate::sandbox::shopify::shop::Shop;

/// Most options of a product.
const MOST_OPTIONS: usize = 3;

/// `productUpdate`.
pub(super) fn update(shop: &mut Shop, args: &Args) -> Result<Payload, Failure> {
    let wanted = [args.get("product"), args.get("input")]
        .into_iter()
        .flatten()
        .find(|v| !v.is_null())
        .cloned()
        .unwrap_or_default();
    let identifier = args.get("identifier").unwrap_or(&Json::Null);
    let id = if identifier["customId"].is_null() {
        [&identifier["id"], &wanted["id"]]
            .iter()
            .find_map(|id| number(id, "Product"))
            .or_else(|| by_handle(shop, &identifier["handle"]))
    } else {
        shop.owner_of_custom_id("Product", &identifier["customId"])?
    };
    let Some(mut product) = id.and_then(|id| shop.product(id).cloned()) else {
        return Ok(Payload::refused(vec![Complaint::new(
            &["id"],
            "Product does not exist",
            None,
        )]));
    };
    let mut complaints = Vec::new();
    read(shop, &mut product, &wanted, &mut complaints);
    match metafields::read(shop, "Product", Some(product.id), &wanted["metafields"]) {
        Ok(fields) => metafields::put(&mut product.metafields, fields),
        Err(found) => complaints.extend(found.into_iter().map(|c| c.below(&["metafields"]))),
    }
    if !complaints.is_empty() {
        return Ok(Payload::refused(complaints));
    }
    let mut payload = Payload::default();
    payload.show("product", Shown::Record("Product", product.id));
    shop.store_product(product);
    Ok(payload)
}

/// `productSet`: lists that are given replace what was there; a variant that is left out is gone.
pub(super) fn set(shop: &mut Shop, args: &Args) -> Result<Payload, Failure> {
    if args.get("synchronous").and_then(Json::as_bool) == Some(false) {
        return Err(Failure::new(
            "the stand-in shop sets products at once only",
            "NOT_IMPLEMENTED",
        ));
    }
    let wanted = &args["input"];
    let identifier = args.get("identifier").unwrap_or(&Json::Null);
    let existing = match named(shop, identifier, wanted)? {
        Ok(existing) => existing,
        Err(complaint) => return Ok(Payload::refused(vec![complaint])),
    };
    let old = existing.and_then(|id| shop.product(id).cloned());
    let mut complaints = Vec::new();
    let mut product = match &old {
        Some(old) => old.clone(),
        None => nothing(shop),
    };
    if old.is_none() && wanted["title"].is_null() {
        complaints.push(Complaint::new(
            &["title"],
            "Title can't be blank",
            Some("INVALID_PRODUCT"),
        ));
    }
    read(shop, &mut product, wanted, &mut complaints);
    if let Some(gift_card) = wanted["giftCard"].as_bool() {
        product.gift_card = gift_card;
    }
    if old.is_none() && wanted["handle"].is_null() {
        product.handle = shop.free_handle(&product.title);
    }
    if wanted["metafields"].is_array() {
        match metafields::read(shop, "Product", old.as_ref().map(|p| p.id), &wanted["metafields"]) {
            Ok(fields) => product.metafields = fields,
            Err(found) => complaints.extend(found.into_iter().map(|c| c.below(&["metafields"]))),
        }
    }
    let custom = &identifier["customId"];
    if !custom.is_null() {
        let field = metafields::of_custom_id(shop, custom);
        let has = |f: &crate::sandbox::shopify::facts::Metafield| {
            f.namespace == field.namespace && f.key == field.key && f.value == field.value
        };
        if !product.metafields.iter().any(has) {
            if wanted["metafields"].is_array() {
                let message =
                    "The input argument `metafields` (if present) must contain the `customId` value.";
                complaints.push(Complaint::new(
                    &["metafields"],
                    message,
                    Some("METAFIELD_MISMATCH"),
                ));
            }
            product.metafields.push(field);
        }
    }
    options_and_variants(shop, &mut product, old.is_none(), wanted, &mut complaints);
    if !complaints.is_empty() {
        return Ok(Payload::refused(
            complaints.into_iter().map(|c| c.below(&["input"])).collect(),
        ));
    }
    let mut payload = Payload::default();
    payload.show("product", Shown::Record("Product", product.id));
    shop.store_product(product);
    Ok(payload)
}

fn by_handle(shop: &Shop, handle: &Json) -> Option<u64> {
    let handle = handle.as_str()?;
    shop.products.values().find(|p| p.handle == handle).map(|p| p.id)
}

/// The product that is meant, if it exists.
fn named(shop: &Shop, identifier: &Json, wanted: &Json) -> Result<Result<Option<u64>, Complaint>, Failure> {
    let refused = |message: &str, code: &str| Ok(Err(Complaint::new(&["input"], message, Some(code))));
    if !identifier.is_null() && !wanted["id"].is_null() {
        return refused(
            "The id field is not allowed if identifier is provided.",
            "ID_NOT_ALLOWED",
        );
    }
    if let Some(id) = [&identifier["id"], &wanted["id"]]
        .into_iter()
        .find(|id| !id.is_null())
    {
        return match number(id, "Product").filter(|id| shop.products.contains_key(id)) {
            Some(id) => Ok(Ok(Some(id))),
            None => refused("Product does not exist", "PRODUCT_DOES_NOT_EXIST"),
        };
    }
    if let Some(handle) = identifier["handle"].as_str() {
        return match wanted["handle"].as_str() {
            None => refused(
                "The input field corresponding to the identifier is required.",
                "MISSING_FIELD_REQUIRED",
            ),
            Some(given) if given != handle => refused(
                "The identifier value does not match the value of the corresponding field in the input.",
                "INPUT_MISMATCH",
            ),
            Some(_) => Ok(Ok(by_handle(shop, &identifier["handle"]))),
        };
    }
    if !identifier["customId"].is_null() {
        return Ok(Ok(shop.owner_of_custom_id("Product", &identifier["customId"])?));
    }
    Ok(Ok(None))
}

fn nothing(shop: &mut Shop) -> Product {
    let now = shop.now();
    Product {
        id: shop.ids.take(),
        title: String::new(),
        handle: String::new(),
        description_html: String::new(),
        // The shop is the maker of what has none.
        vendor: shop.name.clone(),
        product_type: String::new(),
        status: ProductStatus::Active,
        tags: Vec::new(),
        gift_card: false,
        category: None,
        options: Vec::new(),
        variants: Vec::new(),
        images: Vec::new(),
        metafields: Vec::new(),
        created_at: now,
        updated_at: now,
        published_at: None,
    }
}

/// Reads the plain fields.
fn read(shop: &Shop, product: &mut Product, wanted: &Json, complaints: &mut Vec<Complaint>) {
    if let Some(value) = wanted.get("title") {
        match text(value) {
            None => complaints.push(Complaint::new(
                &["title"],
                "Title can't be blank",
                Some("INVALID_PRODUCT"),
            )),
            Some(title) if title.chars().count() > LONGEST_TEXT => complaints.push(Complaint::new(
                &["title"],
                format!("Title is too long (maximum is {LONGEST_TEXT} characters)"),
                Some("INVALID_PRODUCT"),
            )),
            Some(title) => product.title = title,
        }
    }
    if let Some(handle) = text(&wanted["handle"]) {
        let taken = |p: &Product| p.id != product.id && p.handle == handle;
        if shop.products.values().any(taken) {
            let message = format!("Handle '{handle}' already in use. Please provide a new handle.");
            complaints.push(Complaint::new(&["handle"], message, Some("HANDLE_NOT_UNIQUE")));
        }
        product.handle = handle;
    }
    if let Some(value) = wanted.get("descriptionHtml") {
        product.description_html = value.as_str().unwrap_or_default().to_owned();
    }
    for (name, label, target) in [
        ("vendor", "Vendor", &mut product.vendor),
        ("productType", "Product type", &mut product.product_type),
    ] {
        let mut value = Some(std::mem::take(target));
        set_text(&mut value, wanted, name, label, LONGEST_TEXT, complaints);
        *target = value.unwrap_or_default();
    }
    if let Some(status) = wanted["status"].as_str() {
        product.status = match status {
            "ARCHIVED" => ProductStatus::Archived,
            "DRAFT" => ProductStatus::Draft,
            "UNLISTED" => ProductStatus::Unlisted,
            _ => ProductStatus::Active,
        };
    }
    if !wanted["tags"].is_null() {
        product.tags = texts(&wanted["tags"]);
        product.tags.sort();
        product.tags.dedup();
    }
}

/// Sets options and variants, if they are given.
fn options_and_variants(
    shop: &mut Shop,
    product: &mut Product,
    new: bool,
    wanted: &Json,
    complaints: &mut Vec<Complaint>,
) {
    let options = wanted["productOptions"].as_array();
    let list = wanted["variants"].as_array();
    let mut complain = |field: &[&str], message: &str, code: &str| {
        complaints.push(Complaint::new(field, message, Some(code)));
    };
    match (options, list) {
        (None, None) => {
            if new {
                plain(shop, product);
            }
            return;
        }
        (Some(_), None) if !new => {
            complain(
                &["variants"],
                "Must specify variants when updating options.",
                "VARIANTS_INPUT_MISSING",
            );
            return;
        }
        (None, Some(_)) => {
            complain(
                &["productOptions"],
                "Must specify product options when updating variants.",
                "PRODUCT_OPTIONS_INPUT_MISSING",
            );
            return;
        }
        _ => {}
    }
    let (options, list) = (
        options.map_or(&[][..], Vec::as_slice),
        list.map_or(&[][..], Vec::as_slice),
    );
    if options.len() > MOST_OPTIONS {
        let message = format!("A product can't have more than {MOST_OPTIONS} options.");
        complain(&["productOptions"], &message, "OPTIONS_OVER_LIMIT");
        return;
    }
    if list.len() > variants::MOST {
        let message = format!(
            "Number of product variants exceeds shop limit of {}.",
            variants::MOST
        );
        complain(&["variants"], &message, "VARIANTS_OVER_LIMIT");
        return;
    }
    let mut names = BTreeSet::new();
    let old = std::mem::take(&mut product.options);
    for (index, one) in options.iter().enumerate() {
        let at = index.to_string();
        let name = one["name"].as_str().unwrap_or_default().trim().to_owned();
        if !names.insert(name.to_lowercase()) {
            complain(
                &["productOptions", &at],
                "Duplicated option name.",
                "DUPLICATED_OPTION_NAME",
            );
        }
        let values: Vec<String> = one["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v["name"].as_str().map(|n| n.trim().to_owned()))
            .collect();
        if values.is_empty() {
            complain(
                &["productOptions", &at, "values"],
                "Each option must have at least one option value specified.",
                "OPTION_VALUES_MISSING",
            );
        }
        let different: BTreeSet<String> = values.iter().map(|v| v.to_lowercase()).collect();
        if different.len() < values.len() {
            complain(
                &["productOptions", &at, "values"],
                "Duplicated option value.",
                "DUPLICATED_OPTION_VALUE",
            );
        }
        let known = old.iter().find(|o| o.name == name);
        product.options.push(ProductOption {
            id: known.map_or_else(|| shop.ids.take(), |o| o.id),
            name,
            values: values
                .into_iter()
                .map(|name| OptionValue {
                    id: shop.ids.take(),
                    name,
                })
                .collect(),
        });
    }
    if list.is_empty() {
        plain_first(shop, product);
        return;
    }
    let before: Vec<Variant> = std::mem::take(&mut product.variants);
    let mut taken: BTreeSet<Vec<String>> = BTreeSet::new();
    for (index, one) in list.iter().enumerate() {
        let at = index.to_string();
        let mut found = Vec::new();
        match variants::chosen(&product.options, &one["optionValues"], None) {
            Err(complaint) => found.push(complaint.with_code("OPTION_DOES_NOT_EXIST")),
            Ok(values) => {
                if !taken.insert(values.clone()) {
                    let message = format!(
                        "The variant '{}' already exists. Please change at least one option value.",
                        values.join(" / ")
                    );
                    found.push(Complaint::new(&[], message, Some("INVALID_VARIANT")));
                }
                let id = number(&one["id"], "ProductVariant");
                // A variant without id is known by its option values.
                let known = before
                    .iter()
                    .find(|v| id.map_or(v.option_values == values, |id| v.id == id));
                if id.is_some() && known.is_none() {
                    let message = "Product variant does not exist.";
                    found.push(Complaint::new(
                        &["id"],
                        message,
                        Some("PRODUCT_VARIANT_DOES_NOT_EXIST"),
                    ));
                }
                let mut variant = match known {
                    Some(known) => known.clone(),
                    None => shop.blank_variant(product.id, values.clone()),
                };
                variant.option_values = values;
                let mut wrong = Vec::new();
                variants::read(shop, &mut variant, one, &mut wrong);
                found.extend(wrong.into_iter().map(|c| c.with_code("INVALID_VARIANT")));
                if one["metafields"].is_array() {
                    let owner = known.map(|v| v.id);
                    match metafields::read(shop, "ProductVariant", owner, &one["metafields"]) {
                        Ok(fields) => variant.metafields = fields,
                        Err(more) => found.extend(more.into_iter().map(|c| c.below(&["metafields"]))),
                    }
                }
                product.variants.push(variant);
            }
        }
        complaints.extend(found.into_iter().map(|c| c.below(&["variants", &at])));
    }
}

/// A product without options: one called `Title`, and one variant.
fn plain(shop: &mut Shop, product: &mut Product) {
    product.options = vec![ProductOption {
        id: shop.ids.take(),
        name: "Title".to_owned(),
        values: Vec::new(),
    }];
    let variant = shop.blank_variant(product.id, vec!["Default Title".to_owned()]);
    product.variants = vec![variant];
}

/// Options without variants: the first value of each makes one.
fn plain_first(shop: &mut Shop, product: &mut Product) {
    let values = product
        .options
        .iter()
        .filter_map(|o| o.values.first().map(|v| v.name.clone()))
        .collect();
    let variant = shop.blank_variant(product.id, values);
    product.variants = vec![variant];
}
