//! What the way out agrees on at the end of an attempt that wrote a product to the ERP.

use super::super::both;
use super::super::flow::{Flow, agreed_out_of};
use super::super::out::held;
use super::super::stop::Stop;
use super::{Known, to_json};
use crate::domain::{Direction, ErpId, Link, LinkKind, Product, Variant};
use crate::mapping::{Mapped, MappedField, VARIANTS};

/// Settles what the way out agrees on after our write, so that the ERP's notice of it finds nothing changed. `before` is what
/// it made of the product before our write; none where this attempt made it. `meddled` says that somebody else changed the
/// product in the ERP meanwhile, and `ours` what our write can have changed.
pub(super) async fn settle_out(
    flow: &Flow<'_>,
    product: &Product,
    links: &mut [Link],
    known: &Known,
    before: Option<&Mapped>,
    meddled: bool,
    ours: &both::OwnWrites<'_>,
) -> Result<(), Stop> {
    let Some(template) = links.first().map(|link| link.erp_id) else {
        return Ok(());
    };
    let Some(now) = both::product_out(flow, template).await? else {
        return Ok(());
    };
    let is_new = known.template.is_none();
    if !is_new && before.is_none() {
        return Ok(());
    }
    for link in links {
        let (known, held, was, made) = if link.kind == LinkKind::Product {
            if let Some(known) = &known.template {
                link.writes = known.writes.clone();
            }
            (
                known.template.as_ref(),
                held::product(product),
                before.map(|before| before.fields.clone()),
                Some(now.fields.clone()),
            )
        } else {
            let Some(variant) = product
                .variants
                .iter()
                .find(|variant| variant.id.to_string() == link.source_id)
            else {
                continue;
            };
            (
                known.variants.get(&variant.id),
                held::variant(variant),
                before.and_then(|before| row_of(before, link.erp_id)),
                row_of(&now, link.erp_id),
            )
        };
        let Some(made) = made else { continue };
        let known = known.map(agreed_out_of).unwrap_or_default();
        let agreed = both::follow(&known, was.as_deref(), &made, &held, meddled, |field| {
            ours.can_change(field)
        });
        link.agreed_out = to_json(agreed);
    }
    Ok(())
}

/// The same after an attempt that settled something by a look: the way out must know it.
pub(super) async fn settle_out_by_a_look(
    flow: &Flow<'_>,
    product: &Product,
    links: &mut [Link],
    known: &Known,
) -> Result<(), Stop> {
    let Some(template) = links.first().map(|link| link.erp_id) else {
        return Ok(());
    };
    let Some(now) = both::product_out(flow, template).await? else {
        return Ok(());
    };
    for link in links {
        let (known, held, made) = if link.kind == LinkKind::Product {
            let held = held::product(product);
            (known.template.as_ref(), held, Some(now.fields.clone()))
        } else {
            let is_it = |variant: &&Variant| variant.id.to_string() == link.source_id;
            let Some(variant) = product.variants.iter().find(is_it) else {
                continue;
            };
            let known = known.variants.get(&variant.id);
            (known, held::variant(variant), row_of(&now, link.erp_id))
        };
        let mut before = agreed_out_of(link);
        if before.is_empty() {
            before = known.map(agreed_out_of).unwrap_or_default();
        }
        if let (Some(made), false) = (made, before.is_empty()) {
            link.agreed_out = to_json(both::follow_a_look(Direction::Out, &before, &made, &held));
        }
    }
    Ok(())
}

fn row_of(mapped: &Mapped, id: ErpId) -> Option<Vec<MappedField>> {
    let rows = &mapped.group(VARIANTS)?.rows;
    let row = rows.iter().find(|row| row.key == id.to_string())?;
    Some(row.fields.clone())
}
