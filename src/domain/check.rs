//! The rows of `lockstep check --live`.

use serde::Serialize;

/// A field of the ERP that a mapping needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNeed {
    /// Its name.
    pub name: String,
    /// Whether it is written; else records are only searched by it.
    pub written: bool,
    /// Whether the mapping does without it where the ERP lacks it.
    pub optional: bool,
    /// Where the mapping says so, e.g. `order.in.toml:12`.
    pub place: String,
}

/// One line of `check --live`.
#[derive(Clone, Debug, Serialize)]
pub struct CheckRow {
    /// What was checked, e.g. `ERP login`.
    pub what: String,
    /// How it went.
    pub outcome: CheckOutcome,
    /// What was seen, and what to do when it is not right.
    pub note: String,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Right.
    Ok,
    /// Works, but should be looked at.
    Warning,
    /// Does not work.
    Failed,
    /// Could not be looked at because something before it failed.
    Skipped,
}
