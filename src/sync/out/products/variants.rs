//! Variants: which of the shop's is which of the ERP's, and what the shop lacks.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::{held, model_of_variants};
use super::settle::Pair;
use crate::domain::{
    ErpId, ErpProduct, FieldValue, Fields, Link, LinkKind, LinkState, NewVariant, OptionValue, Product,
    ShopifyId, Variant,
};
use crate::mapping::{Mapped, MappedField, MappedRow, VARIANTS};

/// The live links of a product's variants.
pub(super) async fn variant_links(flow: &Flow<'_>, product: &Product) -> Result<Vec<Link>, Stop> {
    let ids: Vec<String> = product
        .variants
        .iter()
        .map(|variant| variant.id.to_string())
        .collect();
    let shop = flow.shop;
    let links = shop.store.links(&shop.name, LinkKind::Variant, &ids).await?;
    Ok(links
        .into_iter()
        .filter(|link| link.state != LinkState::Retired)
        .collect())
}

/// The rows of the mapping's variants, each with the ERP's id.
pub(super) fn rows(mapped: &Mapped) -> Vec<(ErpId, &MappedRow)> {
    let rows = mapped
        .group(VARIANTS)
        .map_or(&[][..], |group| group.rows.as_slice());
    rows.iter()
        .filter_map(|row| Some((ErpId(row.key.parse().ok()?), row)))
        .collect()
}

pub(super) fn options_of(record: &ErpProduct, id: ErpId) -> &[OptionValue] {
    let variant = record.variants.iter().find(|variant| variant.id == id.0);
    variant.map_or(&[], |variant| variant.options.as_slice())
}

/// Whether two sets of option values are the same, in any order.
pub(super) fn same_options(a: &[OptionValue], b: &[OptionValue]) -> bool {
    let set = |options: &[OptionValue]| -> BTreeSet<(String, String)> {
        let pair = |option: &OptionValue| (option.name.trim().to_owned(), option.value.trim().to_owned());
        options.iter().map(pair).collect()
    };
    set(a) == set(b)
}

pub(super) fn new_link(flow: &Flow<'_>, kind: LinkKind, model: &str, theirs: ErpId, ours: ShopifyId) -> Link {
    Link {
        shop: flow.shop.name.clone(),
        kind,
        source_id: ours.to_string(),
        model: model.to_owned(),
        erp_id: theirs,
        erp_name: None,
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: serde_json::Value::Null,
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

/// Which of the shop's variants is which of the ERP's, and those that the shop lacks.
pub(super) async fn pairs<'m>(
    flow: &Flow<'_>,
    record: &ErpProduct,
    mapped: &'m Mapped,
    product: &Product,
) -> Result<(Vec<Pair<'m>>, Vec<(ErpId, &'m MappedRow)>), Stop> {
    let shop = flow.shop;
    let links = variant_links(flow, product).await?;
    let mut taken: BTreeSet<ShopifyId> = links
        .iter()
        .filter_map(|link| link.source_id.parse().ok())
        .collect();
    let model = model_of_variants(flow);
    let mut pairs = Vec::new();
    let mut missing = Vec::new();
    for (id, row) in rows(mapped) {
        if let Some(link) = links.iter().find(|link| link.erp_id == id)
            && let Ok(variant) = link.source_id.parse()
        {
            pairs.push(Pair {
                row,
                variant,
                link: link.clone(),
            });
            continue;
        }
        if shop
            .store
            .link_of_erp(&shop.name, LinkKind::Variant, id)
            .await?
            .is_some()
        {
            flow.note("variant_is_gone_from_the_shop", json!({ "variant": id }));
            continue;
        }
        let same = |variant: &&Variant| {
            !taken.contains(&variant.id) && same_options(&variant.options, options_of(record, id))
        };
        match product.variants.iter().find(same) {
            Some(variant) => {
                taken.insert(variant.id);
                let link = Link {
                    state: LinkState::Adopted,
                    ..new_link(flow, LinkKind::Variant, &model, id, variant.id)
                };
                pairs.push(Pair {
                    row,
                    variant: variant.id,
                    link,
                });
            }
            None => missing.push((id, row)),
        }
    }
    Ok((pairs, missing))
}

pub(super) fn new_variant(record: &ErpProduct, id: ErpId, fields: &[MappedField]) -> NewVariant {
    let options = options_of(record, id).iter();
    NewVariant {
        erp_ref: format!("variant_{id}"),
        options: options
            .map(|option| (option.name.clone(), option.value.clone()))
            .collect(),
        fields: held::given(fields),
    }
}

/// All that a variant starts with, by names that begin with `name`.
pub(super) fn new_variant_plan(new: &NewVariant, name: &str) -> Fields {
    let options = new.options.iter().map(|(option, value)| {
        (
            format!("{name}.options.{option}"),
            FieldValue::Text(value.clone()),
        )
    });
    let fields = new
        .fields
        .iter()
        .map(|(field, value)| (format!("{name}.{field}"), value.clone()));
    options.chain(fields).collect()
}

/// New variants must have the options that the product has on the shop.
pub(super) fn fits(
    flow: &Flow<'_>,
    record: &ErpProduct,
    product: &Product,
    missing: &[(ErpId, &MappedRow)],
) -> Result<(), Stop> {
    let there: BTreeSet<&str> = product.options.iter().map(|option| option.name.trim()).collect();
    for (id, _) in missing {
        let options = options_of(record, *id);
        let wanted: BTreeSet<&str> = options.iter().map(|option| option.name.trim()).collect();
        if wanted != there || there.is_empty() {
            let shown = |names: &BTreeSet<&str>| {
                let names: Vec<&str> = names.iter().copied().collect();
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            };
            let mut problem = flow.subject.problem(
                "options_differ",
                &product.id.to_string(),
                format!(
                    "The ERP has a variant ({id}) that the shop lacks, and the product's options differ: {} in the ERP, {} on the shop.",
                    shown(&wanted),
                    shown(&there)
                ),
                "Give the product the same options on both sides (by name), then retry.",
            );
            problem.field = Some("options".into());
            return Err(problem.into());
        }
    }
    Ok(())
}
