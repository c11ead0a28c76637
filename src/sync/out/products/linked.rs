//! Writing through a link: whether the two products are still the ones that were linked, and what the shop refused.

use serde_json::json;

use super::super::super::both;
use super::super::super::flow::{Flow, agreed_out_of};
use super::super::super::stop::Stop;
use super::super::{held, identity};
use super::settle::Pair;
use crate::domain::{Fields, Link, Product, Refusal, ShopifyId};
use crate::mapping::Mapped;

/// Sees to it that product and template are still the ones that were linked.
pub(super) async fn is_the_linked_one(
    flow: &Flow<'_>,
    mapped: &Mapped,
    link: &Link,
    pairs: &[Pair<'_>],
    product: &Product,
) -> Result<(), Stop> {
    let way_in = both::product_in(flow, product).await?;
    let of_product = identity::Evidence {
        fields: &mapped.fields,
        keys: &mapped.match_keys,
        held: held::product(product),
        known: agreed_out_of(link),
    };
    let of_variants = pairs.iter().filter_map(|pair| {
        let variant = product
            .variants
            .iter()
            .find(|variant| variant.id == pair.variant)?;
        Some(identity::Evidence {
            fields: &pair.row.fields,
            keys: &pair.row.match_keys,
            held: held::variant(variant),
            known: agreed_out_of(&pair.link),
        })
    });
    let pair = identity::Pair {
        link,
        raw: &product.raw,
        own: &mapped.external_id,
        way_in: way_in.as_ref(),
        evidence: std::iter::once(of_product).chain(of_variants).collect(),
    };
    identity::check(flow, &pair).await
}

/// The problem of variants that the shop refused to change.
pub(super) fn refused(
    flow: &Flow<'_>,
    first: &Refusal,
    all: &[Refusal],
    sent: &[(ShopifyId, Fields)],
    product: &Product,
) -> Stop {
    let value = |refusal: &Refusal| {
        let (_, fields) = sent.get(refusal.index?)?;
        let (_, value) = fields
            .iter()
            .find(|(name, _)| Some(name) == refusal.field.as_ref())?;
        Some(value.to_string())
    };
    let field = first.field.as_deref().unwrap_or("a field");
    let mut problem = flow.subject.problem(
        "shopify_write_rejected",
        first.code.as_deref().unwrap_or(field),
        format!(
            "Shopify refused {} of the product's variants ({field}: {}); the others are written.",
            all.len(),
            first.message
        ),
        "Correct the value in the ERP or in the mapping, then retry.",
    );
    problem.field.clone_from(&first.field);
    problem.detail = json!({
        "product": product.id,
        "value": value(first),
        "refused": all.iter().map(|refusal| json!({
            "variant": refusal.index, "field": refusal.field, "value": value(refusal), "message": refusal.message, "code": refusal.code,
        })).collect::<Vec<_>>(),
    });
    problem.into()
}
