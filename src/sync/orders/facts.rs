//! Facts about an order that stand in fields of their own (payment status, what was paid, tags): they follow the shop as
//! long as the order lives, also after it was confirmed, since they change nothing that was sold.
//!
//! They are the optional fields of the mapping. Written are only these, and only when one of them changed.

use serde_json::json;

use super::super::flow::{Flow, Held};
use super::super::gather::Answers;
use super::super::stop::Stop;
use super::{book, plan, references, written};
use crate::domain::{Canonical as _, FieldValue, Fields, Link, Order, System};
use crate::erp::SalesOrder;
use crate::mapping::{Mapped, MappedField, Mapping};

/// What the link calls the hash of the order's own fields as they were written last.
pub(super) const FACTS: &str = "facts";

/// Stands for the order's own fields.
pub(super) fn digest(fields: &[MappedField]) -> String {
    plan::digest(fields.iter())
}

/// The facts that are written when one of them changed since.
pub(in crate::sync) fn due<'m>(
    mapping: &Mapping,
    mapped: &'m Mapped,
    link: Option<&Link>,
) -> Vec<&'m MappedField> {
    let same = link.is_some_and(|link| link.agreed[FACTS] == json!(digest(&mapped.fields)));
    if same {
        return Vec::new();
    }
    let optional: Vec<&str> = mapping
        .optional_fields()
        .filter(|(model, _)| *model == mapped.model)
        .map(|(_, target)| target)
        .collect();
    mapped
        .fields
        .iter()
        .filter(|field| optional.contains(&&*field.target) && !field.create_only)
        .collect()
}

/// Brings the facts of an order that stands in the ERP up to date. Returns the fields that were written.
pub(super) async fn keep(
    flow: &Flow<'_>,
    mapping: &Mapping,
    mapped: &Mapped,
    link: Option<&Link>,
    held: &SalesOrder,
) -> Result<Vec<String>, Stop> {
    let mut fields: Vec<(String, FieldValue)> = due(mapping, mapped, link)
        .into_iter()
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect();
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    flow.lock(System::Erp, &mapped.model, &held.id.to_string())
        .await?;
    let before = stands(flow, mapped, held, &fields).await?;
    if let Some(care) = written::Care::of(flow, mapped).await? {
        fields.retain(|(name, then)| {
            let now = before.get(name).unwrap_or(&FieldValue::Clear);
            let is_anothers = care.is_anothers(name, now, then);
            if is_anothers {
                flow.keep(name.clone(), now, then);
            }
            !is_anothers
        });
        if fields.is_empty() {
            return Ok(Vec::new());
        }
    }
    flow.may_write()?;
    written::note(flow, &mapped.model, &fields, Some(&before));
    flow.write(flow.shop.erp.update(&mapped.model, held.id, &fields))
        .await?;
    flow.has_written(&fields, Some(&before));
    flow.note(
        "facts_written",
        json!({ "id": held.id, "fields": fields.iter().map(|(name, _)| name).collect::<Vec<_>>() }),
    );
    Ok(fields.into_iter().map(|(name, _)| name).collect())
}

/// What was written of an order, and the order as it is then.
pub(super) struct Written {
    pub(super) held: SalesOrder,
    pub(super) fields: Fields,
}

/// What stands in these fields of the order.
async fn stands(
    flow: &Flow<'_>,
    mapped: &Mapped,
    held: &SalesOrder,
    fields: &[(String, FieldValue)],
) -> Result<Held, Stop> {
    let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    written::fields_before(flow, &mapped.model, held.id, &names).await
}

/// Writes the note and the purchase order number on a confirmed order, wherever the mapping carries them; the ERP allows that
/// even when it is locked.
///
/// Which fields these are shows when the mapping is evaluated with other remarks: nothing else may be written, because
/// people may have changed the rest.
pub(super) async fn write_remarks(
    flow: &Flow<'_>,
    order: &Order,
    mapping: &Mapping,
    mapped: &Mapped,
    answers: &Answers,
    held: SalesOrder,
) -> Result<Written, Stop> {
    let other = |text: &Option<String>| Some(format!("0 {}", text.as_deref().unwrap_or_default()));
    let otherwise = Order {
        note: other(&order.note),
        po_number: other(&order.po_number),
        ..order.clone()
    };
    let buyer = references::buyer(flow.shop.settings.guests, order);
    let settings = flow.settings_fact(buyer.as_deref());
    let otherwise = flow
        .mapped(mapping, &otherwise.fact(), &settings, answers)
        .await?;
    let mut fields: Vec<(String, FieldValue)> = mapped
        .fields
        .iter()
        .filter(|field| !field.create_only)
        .filter(|field| {
            otherwise
                .field(&field.target)
                .is_none_or(|other| other.value != field.value)
        })
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect();
    // A field that is left out when there is no remark would keep the old one.
    for field in otherwise.fields.iter().filter(|field| !field.create_only) {
        if mapped.field(&field.target).is_none() {
            fields.push((field.target.to_string(), FieldValue::Clear));
        }
    }
    if fields.is_empty() {
        return Ok(Written { held, fields });
    }
    flow.lock(System::Erp, &mapped.model, &held.id.to_string())
        .await?;
    let before = stands(flow, mapped, &held, &fields).await?;
    flow.may_write()?;
    written::note(flow, &mapped.model, &fields, Some(&before));
    flow.write(flow.shop.erp.update(&mapped.model, held.id, &fields))
        .await?;
    flow.has_written(&fields, Some(&before));
    flow.note(
        "remarks_written",
        json!({ "id": held.id, "fields": fields.iter().map(|(name, _)| name).collect::<Vec<_>>() }),
    );
    let held = book::read(flow, held.id).await?;
    Ok(Written { held, fields })
}
