//! Writing to the stand-in shop: what comes of it, what a lost answer does, what is refused.

mod customers;
mod looks;
mod products;
mod stock;
mod variants;

use crate::domain::{FieldValue, Fields, NewVariant};
use crate::sandbox::shopify::ShopSandbox;
use crate::sandbox::shopify::faults::ApiFault;
use crate::shopify::ShopifyError;

fn text(name: &str, value: &str) -> (String, FieldValue) {
    (name.to_owned(), FieldValue::Text(value.to_owned()))
}

fn amount(name: &str, value: &str) -> (String, FieldValue) {
    (name.to_owned(), FieldValue::Decimal(value.parse().unwrap()))
}

fn flag(name: &str, value: bool) -> (String, FieldValue) {
    (name.to_owned(), FieldValue::Bool(value))
}

fn clear(name: &str) -> (String, FieldValue) {
    (name.to_owned(), FieldValue::Clear)
}

/// A variant of size `size` with these fields.
fn variant(size: &str, fields: Fields) -> NewVariant {
    NewVariant {
        erp_ref: format!("variant_{size}"),
        options: vec![("Size".to_owned(), size.to_owned())],
        fields,
    }
}

/// The next answer of this operation is lost after everything was done.
fn lose_answer(sandbox: &ShopSandbox, operation: &str) {
    sandbox.inject(ApiFault::CutAfter, Some(operation), 1);
}

/// How often an operation was asked for.
fn calls(sandbox: &ShopSandbox, operation: &str) -> u64 {
    let calls = sandbox.ledger().calls.by_operation;
    calls.get(operation).copied().unwrap_or(0)
}

/// Index, field and code of each refusal.
fn refusals(error: &ShopifyError) -> Vec<(Option<usize>, Option<String>, Option<String>)> {
    match error {
        ShopifyError::Rejected { refusals, .. } => refusals
            .iter()
            .map(|one| (one.index, one.field.clone(), one.code.clone()))
            .collect(),
        other => panic!("refused by the shop, not {other:?}"),
    }
}
