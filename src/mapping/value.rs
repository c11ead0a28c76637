//! Facts on their way into an expression and back. Amounts go in as opaque objects: no operator takes them, only the
//! filters that are exact, so that no amount ever becomes a float or a text by accident.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{DynObject, Object, ObjectRepr, ValueKind};
use rust_decimal::Decimal;

use crate::domain::{Fact, Timestamp, parse_decimal};

/// An exact number inside an expression.
#[derive(Debug)]
pub(super) struct Amount(pub(super) Decimal);

impl Object for Amount {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_zero()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A point in time inside an expression.
#[derive(Debug)]
pub(super) struct Moment(pub(super) Timestamp);

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The empty value: false in conditions, and every part of it is empty again.
#[derive(Debug)]
struct Nothing;

impl Object for Nothing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(nothing())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|_| Ordering::Equal)
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Named values inside an expression.
#[derive(Debug)]
pub(super) struct Parts(pub(super) Vec<(Arc<str>, Value)>);

impl Parts {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| value)
    }
}

impl Object for Parts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key).cloned()
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// The empty value.
pub(super) fn nothing() -> Value {
    Value::from_object(Nothing)
}

/// Whether a value is the empty one (in any of the ways an expression can make it).
pub(super) fn is_nothing(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.downcast_object_ref::<Nothing>().is_some()
}

/// A fact as an expression sees it.
pub(super) fn to_value(fact: &Fact) -> Value {
    match fact {
        Fact::Null => nothing(),
        // Blank text says nothing, so that `a or b` passes it by as it does an empty value.
        Fact::Text(text) if text.trim().is_empty() => nothing(),
        Fact::Bool(value) => Value::from(*value),
        Fact::Integer(value) => Value::from(*value),
        Fact::Decimal(value) => Value::from_object(Amount(*value)),
        Fact::Text(text) => Value::from(text.as_str()),
        Fact::Time(time) => Value::from_object(Moment(*time)),
        Fact::List(items) => Value::from(items.iter().map(to_value).collect::<Vec<_>>()),
        Fact::Record(fields) => Value::from_object(Parts(
            fields
                .iter()
                .map(|(name, fact)| (Arc::from(*name), to_value(fact)))
                .collect(),
        )),
        Fact::Raw(json) => json_to_value(json),
    }
}

/// The source's own record as an expression sees it. Numbers are exact.
pub(super) fn json_to_value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Object(fields) => Value::from_object(Parts(
            fields
                .iter()
                .map(|(name, json)| (Arc::from(name.as_str()), json_to_value(json)))
                .collect(),
        )),
        serde_json::Value::Array(items) => Value::from(items.iter().map(json_to_value).collect::<Vec<_>>()),
        leaf => to_value(&json_leaf(leaf)),
    }
}

/// A json value as a fact; objects and lists stay raw.
pub(super) fn json_leaf(json: &serde_json::Value) -> Fact {
    match json {
        serde_json::Value::Null => Fact::Null,
        serde_json::Value::Bool(value) => Fact::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Fact::Integer(whole),
            // More digits than can be exact: it stays text, which no number field takes.
            None => parse_decimal(&number.to_string())
                .map_or_else(|_| Fact::Text(number.to_string()), Fact::Decimal),
        },
        serde_json::Value::String(text) => Fact::Text(text.clone()),
        composite => Fact::Raw(Arc::new(composite.clone())),
    }
}

/// What an expression made, as a fact again. A float is refused: it cannot have come from anything exact.
pub(super) fn to_fact(value: &Value) -> Result<Fact, String> {
    if is_nothing(value) {
        return Ok(Fact::Null);
    }
    if let Some(Amount(amount)) = value.downcast_object_ref() {
        return Ok(Fact::Decimal(*amount));
    }
    if let Some(Moment(time)) = value.downcast_object_ref() {
        return Ok(Fact::Time(*time));
    }
    if let Some(text) = value.as_str() {
        return Ok(Fact::Text(text.to_owned()));
    }
    match value.kind() {
        ValueKind::Bool => Ok(Fact::Bool(value.is_true())),
        ValueKind::Number => value
            .as_i64()
            .filter(|_| value.is_integer())
            .map(Fact::Integer)
            .ok_or_else(|| "the expression made a number that is not exact".to_owned()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| error.to_string())?;
            items
                .map(|item| to_fact(&item))
                .collect::<Result<_, _>>()
                .map(Fact::List)
        }
        other => Err(format!("the expression made a {other}, which no field takes")),
    }
}

/// A value as text for hashing: white space around texts and trailing zeros of amounts say nothing.
pub(super) fn canonical_text(value: &Value) -> String {
    if is_nothing(value) {
        String::new()
    } else if let Some(Amount(amount)) = value.downcast_object_ref() {
        amount.normalize().to_string()
    } else if let Some(text) = value.as_str() {
        text.trim().to_owned()
    } else {
        value.to_string()
    }
}

/// Whether a fact says nothing: it is empty, blank text, an empty list, or a record of nothing.
pub(super) fn is_empty(fact: &Fact) -> bool {
    match fact {
        Fact::Null => true,
        Fact::Text(text) => text.trim().is_empty(),
        Fact::List(items) => items.is_empty(),
        Fact::Record(fields) => fields.iter().all(|(_, fact)| is_empty(fact)),
        Fact::Raw(json) => json.is_null(),
        Fact::Bool(_) | Fact::Integer(_) | Fact::Decimal(_) | Fact::Time(_) => false,
    }
}

/// The same for a value inside an expression.
pub(super) fn value_is_empty(value: &Value) -> bool {
    if is_nothing(value) {
        return true;
    }
    if let Some(text) = value.as_str() {
        return text.trim().is_empty();
    }
    if let Some(parts) = value.downcast_object_ref::<Parts>() {
        return parts.0.iter().all(|(_, part)| value_is_empty(part));
    }
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) && value.len() == Some(0)
}
