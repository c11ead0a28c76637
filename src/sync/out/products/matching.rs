//! Finding the shop's product for a template that is not linked: by the variants' matching keys, and by our own name for it.
//!
//! Our name alone is not looked for: making a product twice under one name is refused by the shop, and then the first one is
//! completed. Only where keys find something it must be told whether that is ours.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::super::super::agree::hash;
use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::{identity, model_of_variants};
use super::upcoming::{NextProducts, keys_of};
use super::variants::{new_link, rows};
use crate::domain::{
    ErpId, ErpProduct, FieldValue, Link, LinkKind, LinkState, Object, Product, ShopifyId, System,
    VariantFound,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::Mapped;
use crate::shopify::ExpectedLook;

/// The product that stands for the template, linked before anything is written to it; none where one is to be made.
pub(super) async fn found(
    flow: &Flow<'_>,
    record: &ErpProduct,
    mapped: &Mapped,
    model: &str,
    next: &NextProducts<'_>,
    look: Option<ExpectedLook>,
) -> Result<Option<(Link, Product)>, Stop> {
    let shop = flow.shop;
    let candidates = candidates(flow, mapped, next, look).await?;
    if candidates.is_empty() {
        return Ok(None);
    }
    // Whoever has our mark was made by us, in this job or in one that was given up.
    if let Some(number) = shop.target.product_of_ref(&mapped.external_id).await?
        && let Some(product) = shop.source.product(number, flow.select(Object::Product)).await?
    {
        // Made by an attempt that did not live to say so.
        let link = new_link(flow, LinkKind::Product, model, ErpId(record.id), product.id);
        flow.lock(System::Shopify, Object::Product.as_str(), &link.source_id)
            .await?;
        flow.commit_links(vec![link.clone()]).await?;
        return Ok(Some((link, product)));
    }
    if mapped.adopt_exact
        && let Some((product, pairs)) = exact(mapped, &candidates)
        && let Some(found) = shop.source.product(product, flow.select(Object::Product)).await?
        && found.variants.len() == pairs.len()
    {
        let own = &mapped.external_id;
        return adopt(flow, record, model, own, found, &pairs).await.map(Some);
    }
    let mut shown: Vec<String> = candidates
        .iter()
        .take(20)
        .map(|candidate| {
            format!(
                "{} of product {} ({})",
                candidate.found.variant, candidate.found.product, candidate.by
            )
        })
        .collect();
    shown.dedup();
    let mut problem = flow.subject.problem(
        "product_match_proposed",
        "",
        format!(
            "The shop has variants that may be this product's ({}), and nothing is linked yet.",
            shown.join(", ")
        ),
        "If they are the same, declare `adopt = \"exact\"` in product.out.toml (every SKU then matches exactly one variant of one product); if not, give the ERP's product another SKU. Then retry.",
    );
    problem.field = Some("sku".into());
    problem.detail = json!({ "candidates": shown });
    Err(problem.into())
}

async fn adopt(
    flow: &Flow<'_>,
    record: &ErpProduct,
    model: &str,
    own: &str,
    product: Product,
    pairs: &BTreeMap<ErpId, ShopifyId>,
) -> Result<(Link, Product), Stop> {
    let adopted = |link: Link| Link {
        state: LinkState::Adopted,
        ..link
    };
    let link = adopted(new_link(
        flow,
        LinkKind::Product,
        model,
        ErpId(record.id),
        product.id,
    ));
    identity::may_be_adopted(flow, &link, &product.raw, own)?;
    flow.lock(System::Shopify, Object::Product.as_str(), &link.source_id)
        .await?;
    let model = model_of_variants(flow);
    let variants = pairs
        .iter()
        .map(|(theirs, ours)| adopted(new_link(flow, LinkKind::Variant, &model, *theirs, *ours)));
    flow.commit_links(std::iter::once(link.clone()).chain(variants).collect())
        .await?;
    reach(FailPoint::LinkAdopted).await?;
    flow.note("adopted", json!({ "product": product.id }));
    Ok((link, product))
}

/// A variant of the shop that may be one of the ERP's.
struct Candidate {
    theirs: ErpId,
    found: VariantFound,
    by: String,
}

/// The shop's variants that may be variants of this template, without those that stand for another one already.
async fn candidates(
    flow: &Flow<'_>,
    mapped: &Mapped,
    next: &NextProducts<'_>,
    look: Option<ExpectedLook>,
) -> Result<Vec<Candidate>, Stop> {
    let rows = rows(mapped);
    let keys = keys_of(rows.iter().flat_map(|(_, row)| &row.match_keys));
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let shop = flow.shop;
    drop(look);
    let found = shop.target.find_variants(&keys, Some(next)).await?;
    let numbers: Vec<String> = found.iter().map(|found| found.variant.to_string()).collect();
    let taken = shop.store.links(&shop.name, LinkKind::Variant, &numbers).await?;
    let is_taken = |found: &VariantFound| {
        let number = found.variant.to_string();
        taken
            .iter()
            .any(|link| link.source_id == number && link.state != LinkState::Retired)
    };
    let mut candidates = Vec::new();
    for (theirs, row) in &rows {
        for key in &row.match_keys {
            for found in found.iter().filter(|found| !is_taken(found)) {
                let now = |name: &str| match name {
                    "sku" => found.sku.clone(),
                    "barcode" => found.barcode.clone(),
                    _ => None,
                };
                let holds = |(name, value): &(String, FieldValue)| {
                    now(name).is_some_and(|now| hash(&FieldValue::Text(now)) == hash(value))
                };
                if key.equal.iter().all(holds) {
                    let by = key.equal.iter().map(|(name, value)| format!("{name} {value}"));
                    candidates.push(Candidate {
                        theirs: *theirs,
                        found: found.clone(),
                        by: by.collect::<Vec<_>>().join(", "),
                    });
                }
            }
        }
    }
    Ok(candidates)
}

/// The adoption in which every variant of the ERP has exactly one candidate, all of one product.
fn exact(mapped: &Mapped, candidates: &[Candidate]) -> Option<(ShopifyId, BTreeMap<ErpId, ShopifyId>)> {
    let product = candidates.first()?.found.product;
    let mut pairs: BTreeMap<ErpId, ShopifyId> = BTreeMap::new();
    for candidate in candidates {
        let other = pairs.insert(candidate.theirs, candidate.found.variant);
        if candidate.found.product != product || other.is_some_and(|other| other != candidate.found.variant) {
            return None;
        }
    }
    let ours: BTreeSet<ShopifyId> = pairs.values().copied().collect();
    (pairs.len() == rows(mapped).len() && ours.len() == pairs.len()).then_some((product, pairs))
}
