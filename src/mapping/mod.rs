//! Mappings: files that say, in a small declarative language, what becomes of a record of the shop in the ERP.
//!
//! A mapping is read, checked and compiled as a whole when it is loaded: every path against the shape of the canonical
//! record, every filter, table, look-up and type, so that a typo is an error with file, line and a caret before any
//! order meets it. Evaluating one is pure and bounded: [`Mapping::needs`] says which links and look-ups a record needs,
//! [`Mapping::evaluate`] makes the fields from the record and the answers. Amounts are exact from end to end: no
//! operator takes them, only filters that are exact.
//!
//! Deliberately not here: reading or writing anything, the target fields' existence (that is `check --live`), and
//! arithmetic of orders (that is done before, by normalising). `docs/reference/mapping.md` is the manual.

mod asking;
mod check;
mod check_order;
mod check_rules;
mod compile;
mod condition;
mod convert;
mod defaults;
mod diagnose;
mod discounts;
mod document;
mod evaluate;
mod expr;
mod facts;
mod filter_work;
mod filters;
mod free;
mod json_lines;
mod known;
mod mapped;
mod outgoing;
mod overrides;
mod pass;
mod path;
mod phone;
mod plain;
mod rows;
mod rule;
mod set;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod words;

pub use condition::{Condition, ConditionError};
pub use defaults::DEFAULTS;
pub use diagnose::{MappingError, MappingErrors};
pub use discounts::in_small_units;
pub use facts::ShopFacts;
pub use free::FreeExpression;
pub use mapped::{
    FieldProblem, Keys, Mapped, MappedField, MappedGroup, MappedRow, MatchKey, Skip, Stage, Truth,
};
pub use outgoing::{Archived, OutRules, VARIANTS};
pub use overrides::{SUGGESTED_TABLES, TODO, Todo};
pub use rule::Mapping;
pub use set::{Mappings, Source, TableEntry, TableRow};
