//! Facts as values of fields, as keys of look-ups and of tables, and back.

use std::borrow::Cow;

use super::types::FieldType;
use super::words::Cause;
use crate::domain::{ErpId, Fact, FieldValue, Scalar, parse_decimal};

pub(super) fn table_key(fact: &Fact) -> String {
    match fact {
        Fact::Text(text) => text.clone(),
        Fact::Bool(value) => value.to_string(),
        Fact::Integer(value) => value.to_string(),
        _ => String::new(),
    }
}

pub(super) fn to_scalar(fact: &Fact) -> Result<Scalar, Cause> {
    match fact {
        Fact::Text(text) => Ok(Scalar::Text(text.clone())),
        // Equal rates are one question: 19 and 19.00 have one cache entry.
        Fact::Decimal(value) => Ok(Scalar::Decimal(value.normalize())),
        Fact::Integer(value) => Ok(Scalar::Decimal((*value).into())),
        Fact::Bool(value) => Ok(Scalar::Bool(*value)),
        _ => Err(Cause::WrongKind(
            "a key of a look-up is a text, a number, or yes or no".to_owned(),
        )),
    }
}

/// A fact as a value of a type. Text becomes a number only where the fact came unchecked from the source's own record.
pub(super) fn to_field(fact: &Fact, kind: FieldType) -> Result<FieldValue, String> {
    let value = match (kind, fact) {
        (FieldType::Text, Fact::Text(text)) => FieldValue::Text(text.clone()),
        (FieldType::Text, Fact::Integer(value)) => FieldValue::Text(value.to_string()),
        (FieldType::Bool, Fact::Bool(value)) => FieldValue::Bool(*value),
        (FieldType::Integer, Fact::Integer(value)) => FieldValue::Integer(*value),
        (FieldType::Integer, Fact::Text(text)) => FieldValue::Integer(
            text.trim()
                .parse()
                .map_err(|_| "this is no whole number".to_owned())?,
        ),
        (FieldType::Decimal, Fact::Decimal(value)) => FieldValue::Decimal(*value),
        (FieldType::Decimal, Fact::Integer(value)) => FieldValue::Decimal((*value).into()),
        (FieldType::Decimal, Fact::Text(text)) => {
            FieldValue::Decimal(parse_decimal(text.trim()).map_err(|_| "this is no exact number".to_owned())?)
        }
        (FieldType::Date, Fact::Text(text)) => FieldValue::Date(
            text.parse()
                .map_err(|_| "this is no day such as 2026-11-20".to_owned())?,
        ),
        (FieldType::Time, Fact::Time(time)) => FieldValue::Time(*time),
        (FieldType::Time, Fact::Text(text)) => FieldValue::Time(
            crate::domain::Timestamp::parse_rfc3339(text)
                .map_err(|_| "this is no time such as 2026-11-20T10:00:00Z".to_owned())?,
        ),
        (FieldType::Record, Fact::Integer(id)) if *id > 0 => FieldValue::Record(ErpId(*id)),
        (FieldType::Records, Fact::List(items)) => FieldValue::Records(
            items
                .iter()
                .map(|item| match item {
                    Fact::Integer(id) if *id > 0 => Ok(ErpId(*id)),
                    _ => Err("a record is named by its number".to_owned()),
                })
                .collect::<Result<_, _>>()?,
        ),
        (kind, fact) => {
            return Err(format!(
                "it is {}, and the field takes `{}`",
                kind_of(fact),
                kind.name()
            ));
        }
    };
    Ok(value)
}

/// The same of a fact that may be the rule's own: text that was made for this field goes into it as it is.
pub(super) fn into_field(fact: Cow<'_, Fact>, kind: FieldType) -> Result<FieldValue, String> {
    match (fact, kind) {
        (Cow::Owned(Fact::Text(text)), FieldType::Text) => Ok(FieldValue::Text(text)),
        (fact, kind) => to_field(&fact, kind),
    }
}

pub(super) fn kind_of(fact: &Fact) -> &'static str {
    match fact {
        Fact::Null => "empty",
        Fact::Bool(_) => "yes or no",
        Fact::Integer(_) => "a whole number",
        Fact::Decimal(_) => "an exact number",
        Fact::Text(_) => "a text",
        Fact::Time(_) => "a time",
        Fact::List(_) => "a list",
        Fact::Record(_) | Fact::Raw(_) => "a record",
    }
}

/// A value as a fact, for the look-up of `if_found`.
pub(super) fn to_fact(value: &FieldValue) -> Fact {
    match value {
        FieldValue::Text(text) => Fact::Text(text.clone()),
        FieldValue::Bool(value) => Fact::Bool(*value),
        FieldValue::Integer(value) => Fact::Integer(*value),
        FieldValue::Decimal(value) => Fact::Decimal(*value),
        FieldValue::Record(id) => Fact::Integer(id.0),
        FieldValue::Date(day) => Fact::Text(day.to_string()),
        FieldValue::Time(time) => Fact::Time(*time),
        FieldValue::Clear | FieldValue::Records(_) => Fact::Null,
    }
}
