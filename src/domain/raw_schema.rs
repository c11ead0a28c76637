//! What the shop's own records look like, for mappings that read them under `raw`.
//!
//! The canonical records leave out what is special to one shop: metafields, attributes, a channel's details. A mapping
//! names it in the shop's own query language (`select`) and reads it under `raw`. Whoever knows that language says
//! through [`RawSchema`] whether a selection is right and what it brings, so that a misspelt field is a mistake in the
//! mapping file and not a surprise at the first order.

use std::ops::Range;

use super::{Object, Shape};

/// Knows the shop's own records.
pub trait RawSchema: Send + Sync {
    /// What `raw` holds of a record of this object when `select` is read besides what is always read. An empty
    /// `select` adds nothing.
    ///
    /// # Errors
    /// Everything that is wrong with `select`. None for an object that has no records of its own.
    fn selected(&self, object: Object, select: &str) -> Result<Selected, Vec<SelectionError>>;
}

/// A selection that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// As it is sent.
    pub text: String,
    /// What `raw` holds. Everything in it may be empty: a field that the shop refuses arrives as nothing.
    pub shape: Shape,
}

/// A mistake in a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionError {
    /// Where, in bytes of the selection's text; none when the selection as a whole is meant.
    pub place: Option<Range<usize>>,
    /// What is wrong, in one sentence.
    pub message: String,
}
