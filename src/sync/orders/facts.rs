//! Facts about an order that stand in fields of their own (payment status, what was paid, tags): they follow the shop as
//! long as the order lives, also after it was confirmed, since they change nothing that was sold.
//!
//! They are the optional fields of the mapping. Written are only these, and only when one of them changed.

use serde_json::json;

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::plan;
use crate::domain::{FieldValue, Link, System};
use crate::erp::SalesOrder;
use crate::mapping::{Mapped, MappedField, Mapping};

/// What the link calls the hash of the order's own fields as they were written last.
pub(super) const FACTS: &str = "facts";

/// Stands for the order's own fields.
pub(super) fn digest(fields: &[MappedField]) -> String {
    plan::digest(fields.iter())
}

/// Brings the facts of an order that stands in the ERP up to date.
pub(super) async fn keep(
    flow: &Flow<'_>,
    mapping: &Mapping,
    mapped: &Mapped,
    link: Option<&Link>,
    held: &SalesOrder,
) -> Result<(), Stop> {
    let same = link.is_some_and(|link| link.agreed[FACTS] == json!(digest(&mapped.fields)));
    if same {
        return Ok(());
    }
    let optional: Vec<&str> = mapping
        .optional_fields()
        .filter(|(model, _)| *model == mapped.model)
        .map(|(_, target)| target)
        .collect();
    let fields: Vec<(String, FieldValue)> = mapped
        .fields
        .iter()
        .filter(|field| optional.contains(&&*field.target) && !field.create_only)
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    flow.lock(System::Erp, &mapped.model, &held.id.to_string())
        .await?;
    flow.write(flow.shop.erp.update(&mapped.model, held.id, &fields))
        .await?;
    flow.note(
        "facts_written",
        json!({ "id": held.id, "fields": fields.iter().map(|(name, _)| name).collect::<Vec<_>>() }),
    );
    Ok(())
}
