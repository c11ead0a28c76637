//! What the ERP holds of a product and its variants.

use std::collections::BTreeMap;

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::TEMPLATE_OF;
use super::standing::ACTIVE;
use crate::domain::{ErpId, FieldValue, ShopifyId};
use crate::erp::Row;
use crate::mapping::{Mapped, MappedField, MappedRow};

/// The product's compared fields, and whether it is archived.
pub(super) async fn read_one(flow: &Flow<'_>, mapped: &Mapped, id: ErpId) -> Result<Option<Row>, Stop> {
    let mut fields = targets(&mapped.fields);
    if !fields.iter().any(|field| field == ACTIVE) {
        fields.push(ACTIVE.to_owned());
    }
    let rows = flow.shop.erp.read(&mapped.model, &[id], &fields).await?;
    Ok(rows.into_iter().next())
}

/// Variants as the ERP holds them.
#[derive(Default)]
pub(super) struct HeldVariants {
    /// Each with its compared fields, and its template.
    pub(super) rows: BTreeMap<ErpId, Row>,
    /// Whether each is archived: our own write of the product may change that, too, so it is kept beside what is compared.
    pub(super) active: BTreeMap<ErpId, FieldValue>,
}

/// Reads variants in one call.
pub(super) async fn read_variants(
    flow: &Flow<'_>,
    model: &str,
    ids: &[ErpId],
    rows: &BTreeMap<ShopifyId, &MappedRow>,
) -> Result<HeldVariants, Stop> {
    let mut held = HeldVariants::default();
    if ids.is_empty() {
        return Ok(held);
    }
    let mut fields = vec![TEMPLATE_OF.to_owned()];
    for field in rows.values().flat_map(|row| targets(&row.fields)) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    let is_mapped = fields.iter().any(|field| field == ACTIVE);
    if !is_mapped {
        fields.push(ACTIVE.to_owned());
    }
    for mut row in flow.shop.erp.read(model, ids, &fields).await? {
        if !is_mapped && let Some(active) = row.fields.remove(ACTIVE) {
            held.active.insert(row.id, active);
        }
        held.rows.insert(row.id, row);
    }
    Ok(held)
}

/// The fields to compare and agree on: those that are written only at creation are never looked at again (and some of them
/// exist in some versions only).
fn targets(fields: &[MappedField]) -> Vec<String> {
    fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| field.target.to_string())
        .collect()
}
