//! What can happen to a shop. Every action stamps what it changed and announces it.

mod aftersale;
mod customers;
mod orders;
mod price;
mod products;

/// Why the shop did not do what was asked; a mistake of the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ActionError {
    /// No such record.
    #[error("the shop has no {kind} {id}")]
    NotFound {
        /// Kind of record.
        kind: &'static str,
        /// Its id.
        id: u64,
    },
    /// The record exists but does not allow it.
    #[error("{0}")]
    Refused(String),
}

pub(super) fn not_found(kind: &'static str, id: u64) -> ActionError {
    ActionError::NotFound { kind, id }
}

pub(super) fn refused(why: impl Into<String>) -> ActionError {
    ActionError::Refused(why.into())
}

/// Sorted, without repetitions.
fn tidy_tags(mut tags: Vec<String>) -> Vec<String> {
    tags.sort();
    tags.dedup();
    tags
}
