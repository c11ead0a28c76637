//! Conditions about a record that stand outside of mapping files, in the mappings' own language: what a shop's rules on scope
//! and review say. Checked when they are read, as a mapping is.

use std::ops::Range;
use std::sync::Arc;

use super::check::Scope;
use super::compile::source_of;
use super::expr::{Compiled, Frame};
use super::facts::settings_shape;
use super::types::{Kind, Typed};
use crate::domain::{Direction, Fact, Object};

/// A condition about records of one object in one direction.
#[derive(Clone, Debug)]
pub struct Condition(Arc<Compiled>);

/// What is wrong with a condition.
#[derive(Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// Where in the text, in bytes.
    pub place: Range<usize>,
    /// What.
    pub message: String,
    /// In a few words, for the place itself.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Condition {
    /// Checks a text. The record goes by the same name as in the mapping of its object and direction (`order`, `customer`,
    /// `partner`, `product`), with everything that a mapping may read of it except what a mapping selects for itself; beside
    /// it stands `settings`.
    ///
    /// # Errors
    /// When it is no condition about such a record.
    pub fn new(text: &str, object: Object, direction: Direction) -> Result<Self, ConditionError> {
        let whole = |message: &str| ConditionError {
            place: 0..text.len(),
            message: message.to_owned(),
            label: "here".to_owned(),
            help: None,
        };
        let Some((name, shape)) = source_of(object, direction) else {
            return Err(whole("there are no conditions about these records"));
        };
        let scope = Scope::default()
            .with(name, Typed::from(&shape))
            .with("settings", Typed::from(&settings_shape()));
        let compiled = Compiled::new(text, &scope).map_err(|wrong| ConditionError {
            place: wrong.place,
            message: wrong.message,
            label: wrong.label,
            help: wrong.help,
        })?;
        if compiled.typed.kind == Kind::Decimal {
            return Err(ConditionError {
                help: Some("compare it, e.g. `> ('100' | decimal)`, or say `is positive`".to_owned()),
                ..whole("an exact number is no condition")
            });
        }
        Ok(Self(Arc::new(compiled)))
    }

    /// Whether it holds for a record.
    ///
    /// # Errors
    /// When it cannot be worked out for this one. The reason names no value of it.
    pub fn holds(&self, record: &Fact, settings: &Fact) -> Result<bool, String> {
        let frame = Frame {
            slots: vec![record, settings],
        };
        self.0.holds(&frame)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }
}
