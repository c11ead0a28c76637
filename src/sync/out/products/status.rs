//! The status of a product on the shop, and the ERP's archive: two words for what is decided on as one field.

use crate::domain::{ErpProduct, FieldValue, Fields};
use crate::mapping::{Mapped, MappedField, Truth};

/// What stands for the status as far as archives go: whether the product is archived.
pub(super) const ARCHIVED: &str = "archived";

/// The shop's word for archived products, and for those that nobody sees yet.
pub(super) const STATUS_ARCHIVED: &str = "ARCHIVED";
const STATUS_DRAFT: &str = "DRAFT";

/// Whether the product is archived, as a field that is decided on like the others.
pub(super) fn archive_field(record: &ErpProduct, mapped: &Mapped) -> MappedField {
    let status = mapped.field("status");
    MappedField {
        target: ARCHIVED.into(),
        value: FieldValue::Bool(!record.active),
        source: "product.active".into(),
        truth: status.map_or(Truth::Shopify, |status| status.truth),
        lossy: false,
        create_only: false,
        line: status.map_or(0, |status| status.line),
    }
}

/// The product's writes, with the status that an archived or restored product gets.
pub(super) fn with_status(decided: &Fields, mapped: &Mapped) -> Fields {
    let mut writes: Fields = decided
        .iter()
        .filter(|(name, _)| name != ARCHIVED)
        .cloned()
        .collect();
    if let Some((_, archived)) = decided.iter().find(|(name, _)| name == ARCHIVED) {
        writes.retain(|(name, _)| name != "status");
        let first = mapped.field("status").map(|status| status.value.clone());
        let status = if *archived == FieldValue::Bool(true) {
            FieldValue::Text(STATUS_ARCHIVED.to_owned())
        } else {
            first.unwrap_or_else(|| FieldValue::Text(STATUS_DRAFT.to_owned()))
        };
        writes.push(("status".to_owned(), status));
    }
    writes
}
