//! How canonical records show themselves to mappings: as a tree of facts with a declared shape.
//!
//! A mapping names facts by path (`order.lines[].unit_price`). The shape is known at load, so a misspelt path is an
//! error before any record is met; the facts of one record are built when it is mapped. Amounts stay decimals: they
//! never pass through text or floating point on their way into an expression.

use std::borrow::Cow;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::domain::{Currency, ShopifyId, Timestamp};

/// A value of a canonical record.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Known to be empty.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A count or a position.
    Integer(i64),
    /// An exact number: an amount, a quantity, a rate.
    Decimal(Decimal),
    /// Text.
    Text(String),
    /// A point in time.
    Time(Timestamp),
    /// Several values in order.
    List(Vec<Fact>),
    /// Named values, in the order of declaration.
    Record(Vec<(&'static str, Fact)>),
    /// The source system's own record, as it came.
    Raw(Arc<serde_json::Value>),
}

impl Fact {
    /// The value at a dotted path of record fields, e.g. `customer.email`; `None` when there is no such field.
    pub fn at(&self, path: &str) -> Option<&Fact> {
        path.split('.').try_fold(self, |fact, name| match fact {
            Fact::Record(fields) => fields
                .iter()
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value),
            _ => None,
        })
    }
}

/// What kind of values stand at a place of a canonical record.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Yes or no.
    Bool,
    /// A whole number.
    Integer,
    /// An exact number.
    Decimal,
    /// Text.
    Text,
    /// Text that is one of these and nothing else.
    OneOf(Vec<&'static str>),
    /// A point in time.
    Time,
    /// Either empty or of this shape.
    Optional(Box<Shape>),
    /// Any number of values of this shape.
    List(Box<Shape>),
    /// Named values.
    Record(Vec<(Cow<'static, str>, Shape)>),
    /// Something of the source system's own record whose shape only [`RawSchema`](super::RawSchema) knows, or nobody.
    Raw,
}

/// A type whose values mappings can read.
pub trait Canonical {
    /// The shape that all values of this type have.
    fn shape() -> Shape;
    /// This value as facts.
    fn fact(&self) -> Fact;
}

macro_rules! plain {
    ($($type:ty => $shape:ident, $make:expr;)+) => {$(
        impl Canonical for $type {
            fn shape() -> Shape { Shape::$shape }
            fn fact(&self) -> Fact { let make: fn(&$type) -> Fact = $make; make(self) }
        }
    )+};
}

plain! {
    bool => Bool, |value| Fact::Bool(*value);
    i64 => Integer, |value| Fact::Integer(*value);
    u32 => Integer, |value| Fact::Integer(i64::from(*value));
    Decimal => Decimal, |value| Fact::Decimal(*value);
    String => Text, |value| Fact::Text(value.clone());
    Timestamp => Time, |value| Fact::Time(*value);
    Currency => Text, |value| Fact::Text(value.as_str().to_owned());
    ShopifyId => Text, |value| Fact::Text(value.to_string());
    Arc<serde_json::Value> => Raw, |value| Fact::Raw(Arc::clone(value));
}

impl<T: Canonical> Canonical for Option<T> {
    fn shape() -> Shape {
        Shape::Optional(Box::new(T::shape()))
    }

    fn fact(&self) -> Fact {
        self.as_ref().map_or(Fact::Null, T::fact)
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn fact(&self) -> Fact {
        Fact::List(self.iter().map(T::fact).collect())
    }
}

/// Defines a struct and shows all of its fields to mappings under their own names.
macro_rules! canonical {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type),+ }

        impl $crate::domain::Canonical for $name {
            fn shape() -> $crate::domain::Shape {
                $crate::domain::Shape::Record(vec![
                    $((stringify!($field).into(), <$type as $crate::domain::Canonical>::shape())),+
                ])
            }

            fn fact(&self) -> $crate::domain::Fact {
                $crate::domain::Fact::Record(vec![
                    $((stringify!($field), $crate::domain::Canonical::fact(&self.$field))),+
                ])
            }
        }
    };
}
pub(crate) use canonical;

/// Lets an enum with fixed texts (see `text_enum!`) appear as one of them.
macro_rules! canonical_text {
    ($($type:ty),+) => {$(
        impl $crate::domain::Canonical for $type {
            fn shape() -> $crate::domain::Shape {
                $crate::domain::Shape::OneOf(<$type>::ALL.iter().map(|value| value.as_str()).collect())
            }
            fn fact(&self) -> $crate::domain::Fact { $crate::domain::Fact::Text(self.as_str().to_owned()) }
        }
    )+};
}
pub(crate) use canonical_text;
