//! What kind of value stands where: the types that expressions are checked with at load.

use std::fmt;

use crate::domain::{FieldValue, Shape};

/// The kind of a value, and whether it may be empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed {
    pub(super) kind: Kind,
    pub(super) optional: bool,
}

/// The kind of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    Integer,
    /// An exact number: an amount, a quantity, a rate.
    Decimal,
    Text,
    /// Text that is one of these.
    OneOf(Vec<String>),
    Time,
    /// A day, made by the filter `date`.
    Date,
    List(Box<Typed>),
    Record(Vec<(String, Typed)>),
    /// Something of the source system's own record: not checked.
    Any,
    /// Two kinds at once, as `a or b` can give: good for conditions only.
    Mixed,
    /// Always empty.
    Nothing,
}

impl Typed {
    pub(super) const fn of(kind: Kind) -> Self {
        Self {
            kind,
            optional: false,
        }
    }

    pub(super) const fn maybe(kind: Kind) -> Self {
        Self { kind, optional: true }
    }

    #[must_use]
    pub(super) fn or_empty(mut self, optional: bool) -> Self {
        self.optional |= optional;
        self
    }

    pub(super) fn list(item: Self) -> Self {
        Self::of(Kind::List(Box::new(item)))
    }

    /// The one kind that both sides of a choice have.
    #[must_use]
    pub(super) fn union(&self, other: &Self) -> Self {
        let optional = self.optional || other.optional;
        let kind = match (&self.kind, &other.kind) {
            (a, b) if a == b => a.clone(),
            (Kind::Nothing, b) => b.clone(),
            (a, Kind::Nothing) => a.clone(),
            (Kind::Text | Kind::OneOf(_), Kind::Text | Kind::OneOf(_)) => Kind::Text,
            (Kind::List(a), Kind::List(b)) => {
                let item = a.union(b);
                if item.kind == Kind::Mixed {
                    Kind::Mixed
                } else {
                    Kind::List(Box::new(item))
                }
            }
            (Kind::Any, _) | (_, Kind::Any) => Kind::Any,
            _ => Kind::Mixed,
        };
        Self { kind, optional }
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::OneOf(_))
    }
}

impl From<&Shape> for Typed {
    fn from(shape: &Shape) -> Self {
        Self::of(match shape {
            Shape::Bool => Kind::Bool,
            Shape::Integer => Kind::Integer,
            Shape::Decimal => Kind::Decimal,
            Shape::Text => Kind::Text,
            Shape::OneOf(texts) => Kind::OneOf(texts.iter().map(|text| (*text).to_owned()).collect()),
            Shape::Time => Kind::Time,
            Shape::Optional(inner) => return Self::from(&**inner).or_empty(true),
            Shape::List(item) => Kind::List(Box::new(Self::from(&**item))),
            Shape::Record(fields) => Kind::Record(
                fields
                    .iter()
                    .map(|(name, shape)| (name.clone().into_owned(), Self::from(shape)))
                    .collect(),
            ),
            Shape::Raw => return Self::maybe(Kind::Any),
        })
    }
}

/// As diagnostics name it.
impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.kind {
            Kind::Bool => "yes or no",
            Kind::Integer => "a whole number",
            Kind::Decimal => "an exact number",
            Kind::Text | Kind::OneOf(_) => "a text",
            Kind::Time => "a time",
            Kind::Date => "a day",
            Kind::List(_) => "a list",
            Kind::Record(_) => "a record",
            Kind::Any => "an unchecked value",
            Kind::Mixed => "a value of two kinds",
            Kind::Nothing => "nothing",
        };
        f.write_str(name)
    }
}

/// What a target field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    Text,
    Bool,
    Integer,
    Decimal,
    Date,
    Time,
    Record,
    Records,
}

impl FieldType {
    /// Every type by its name in mapping files.
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("text", Self::Text),
        ("boolean", Self::Bool),
        ("integer", Self::Integer),
        ("decimal", Self::Decimal),
        ("date", Self::Date),
        ("time", Self::Time),
        ("record", Self::Record),
        ("records", Self::Records),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    /// The type that a field has when nothing is declared and its value is of this kind.
    pub(super) const fn of(kind: &Kind) -> Option<Self> {
        Some(match kind {
            Kind::Bool => Self::Bool,
            Kind::Integer => Self::Integer,
            Kind::Decimal => Self::Decimal,
            Kind::Text | Kind::OneOf(_) => Self::Text,
            Kind::Time => Self::Time,
            Kind::Date => Self::Date,
            Kind::List(_) | Kind::Record(_) | Kind::Any | Kind::Mixed | Kind::Nothing => return None,
        })
    }

    pub(super) const fn of_value(value: &FieldValue) -> Option<Self> {
        Some(match value {
            FieldValue::Clear => return None,
            FieldValue::Text(_) => Self::Text,
            FieldValue::Bool(_) => Self::Bool,
            FieldValue::Integer(_) => Self::Integer,
            FieldValue::Decimal(_) => Self::Decimal,
            FieldValue::Date(_) => Self::Date,
            FieldValue::Time(_) => Self::Time,
            FieldValue::Record(_) => Self::Record,
            FieldValue::Records(_) => Self::Records,
        })
    }

    /// Whether a value of this kind can be written as this type.
    pub(super) fn takes(self, kind: &Kind) -> bool {
        match kind {
            Kind::Any => true,
            Kind::Nothing => true,
            Kind::Integer => matches!(self, Self::Integer | Self::Decimal | Self::Text | Self::Record),
            Kind::List(item) => {
                self == Self::Records && matches!(item.kind, Kind::Integer | Kind::Any) && !item.optional
            }
            other => Self::of(other) == Some(self),
        }
    }
}
