//! What is written to a product of the shop and its variants, for the job's story.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::super::flow::{Flow, Held};
use super::super::super::resync::{of_variant, written_own};
use super::super::held;
use crate::domain::{Fields, Product, ShopifyId};

/// Notes what is about to be written: it stays on record even where the answers never come.
pub(super) fn writes(
    flow: &Flow<'_>,
    product: &Product,
    own: &Fields,
    variants: &BTreeMap<ShopifyId, Fields>,
) {
    if own.is_empty() && variants.is_empty() {
        return;
    }
    let mut before: Held = held::product(product);
    for variant in &product.variants {
        let place = of_variant(&variant.id.to_string());
        let fields = held::variant(variant).into_iter();
        before.extend(fields.map(|(name, value)| (format!("{place}{name}"), value)));
    }
    let fields = named(own, variants.iter().map(|(id, fields)| (*id, fields)));
    flow.note_written(
        "writes",
        json!({ "product": product.id }),
        written_own(flow, &fields, Some(&before)),
    );
}

/// Notes what was made. Only its answer has the variants' numbers.
pub(super) fn made<'a>(
    flow: &Flow<'_>,
    what: &'static str,
    product: ShopifyId,
    own: &Fields,
    variants: impl Iterator<Item = (ShopifyId, &'a Fields)>,
) {
    let variants: Vec<_> = variants.collect();
    let told = json!({ "product": product, "variants": variants.len() });
    let fields = named(own, variants.into_iter());
    flow.note_written(what, told, written_own(flow, &fields, None));
}

/// The fields of a product and of its variants, as its story names them.
fn named<'a>(own: &Fields, variants: impl Iterator<Item = (ShopifyId, &'a Fields)>) -> Fields {
    let mut fields = own.clone();
    for (id, row) in variants {
        let place = of_variant(&id.to_string());
        let row = row.iter();
        fields.extend(row.map(|(name, value)| (format!("{place}{name}"), value.clone())));
    }
    fields
}
