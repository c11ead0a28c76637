//! Stored values and their two faces: what a client may send for a field, and what it reads back.
//!
//! Money and quantities are exact decimals inside; binary floats exist only in the JSON that leaves.

use base64::Engine as _;
use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value as Json;

use super::error::{OdooError, Res};
use super::html;
use super::schema::{Field, Kind};

/// A JSON object.
pub(super) type Map = serde_json::Map<String, Json>;

/// One field's value in a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Val {
    /// SQL NULL.
    #[default]
    Empty,
    Bool(bool),
    /// Integers and many2one targets.
    Int(i64),
    Dec(Decimal),
    Text(String),
    Date(NaiveDate),
    /// UTC, with the microseconds that replies hide.
    Time(NaiveDateTime),
    /// many2many targets (one2many is never stored).
    Ids(Vec<i64>),
    /// A computed structure that is only read.
    Json(Json),
}

impl Val {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A many2one value.
    pub(super) fn one(id: Option<i64>) -> Self {
        id.map_or(Self::Empty, Self::Int)
    }

    pub(super) fn as_id(&self) -> Option<i64> {
        match self {
            Self::Int(id) => Some(*id),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn as_dec(&self) -> Decimal {
        match self {
            Self::Dec(number) => *number,
            Self::Int(number) => Decimal::from(*number),
            _ => Decimal::ZERO,
        }
    }

    pub(super) fn as_bool(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(super) fn as_ids(&self) -> &[i64] {
        match self {
            Self::Ids(ids) => ids,
            _ => &[],
        }
    }
}

/// Half away from zero, as Odoo's `float_round` does, after dropping the dust of repeating quotients.
pub(super) fn round(number: Decimal, digits: u32) -> Decimal {
    let half_up = RoundingStrategy::MidpointAwayFromZero;
    number
        .round_dp_with_strategy(18, half_up)
        .round_dp_with_strategy(digits, half_up)
}

/// A JSON number exactly as its text reads.
pub(super) fn decimal(number: &serde_json::Number) -> Option<Decimal> {
    parse_decimal(&number.to_string())
}

pub(super) fn parse_decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// The binary float that Odoo would send.
pub(super) fn float(number: Decimal) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

pub(super) const DATETIME: &str = "%Y-%m-%d %H:%M:%S";
pub(super) const DATE: &str = "%Y-%m-%d";

/// Text of a datetime as `create` and `write` take it: seconds, a space, UTC; a bare date is midnight.
pub(super) fn parse_datetime(text: &str) -> Option<NaiveDateTime> {
    if text.len() == 10 {
        return NaiveDate::parse_from_str(text, DATE).ok()?.and_hms_opt(0, 0, 0);
    }
    let seconds = text.get(..19)?;
    NaiveDateTime::parse_from_str(seconds, DATETIME).ok()
}

/// Python's idea of an empty value.
pub(super) fn is_falsy(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Bool(flag) => !flag,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
    }
}

/// A value sent by a client, checked and converted for `field` of `model`. Relations to many are not values but
/// commands and do not come here; whether a many2one target exists is checked by the caller.
pub(super) fn accept(model: &str, field: &Field, json: &Json) -> Res<Val> {
    let wrong = |text: &str| OdooError::value(format!("Wrong value for {model}.{}: '{text}'", field.name));
    if matches!(json, Json::Null | Json::Bool(false)) && !matches!(field.kind, Kind::Bool) {
        return Ok(match field.kind {
            Kind::Int => Val::Int(0),
            Kind::Float | Kind::Money => Val::Dec(Decimal::ZERO),
            _ => Val::Empty,
        });
    }
    Ok(match field.kind {
        Kind::Bool => Val::Bool(!is_falsy(json)),
        Kind::Char | Kind::Text | Kind::Html => {
            let text = plain(json).ok_or_else(|| wrong(&json.to_string()))?;
            if text.contains('\0') {
                return Err(OdooError::value(
                    "A string literal cannot contain NUL (0x00) characters.",
                ));
            }
            if field.kind == Kind::Html {
                Val::Text(html::sanitize(&text))
            } else {
                Val::Text(text)
            }
        }
        Kind::Int => Val::Int(integer(json)?),
        Kind::Float | Kind::Money => {
            let number = number(json)?;
            Val::Dec(field.digits.map_or(number, |digits| round(number, digits)))
        }
        Kind::Date => {
            let text = plain(json).unwrap_or_default();
            let day = text
                .get(..10)
                .and_then(|day| NaiveDate::parse_from_str(day, DATE).ok());
            Val::Date(day.ok_or_else(|| bad_time(&text, DATE))?)
        }
        Kind::Datetime => {
            let text = plain(json).unwrap_or_default();
            Val::Time(parse_datetime(&text).ok_or_else(|| bad_time(&text, DATETIME))?)
        }
        Kind::Select(options) => {
            let text = plain(json).unwrap_or_default();
            if text.is_empty() {
                return Ok(Val::Empty);
            }
            let known = options.iter().any(|(value, _)| *value == text);
            known
                .then_some(Val::Text(text.clone()))
                .ok_or_else(|| wrong(&text))?
        }
        Kind::Lang => Val::Text(plain(json).ok_or_else(|| wrong(&json.to_string()))?),
        Kind::Timezone => {
            let text = plain(json).unwrap_or_default();
            let known = text.parse::<chrono_tz::Tz>().is_ok();
            known
                .then_some(Val::Text(text.clone()))
                .ok_or_else(|| wrong(&text))?
        }
        Kind::One(_) => Val::one(target(json)?),
        Kind::Image => Val::Text(image(json)?),
        Kind::Many(..) | Kind::ManyMany(_) | Kind::Json => return Err(wrong(&json.to_string())),
    })
}

fn bad_time(text: &str, format: &str) -> OdooError {
    OdooError::value(format!("time data '{text}' does not match format '{format}'"))
}

/// The text that a scalar becomes in a char field.
fn plain(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(true) => Some("True".to_owned()),
        _ => None,
    }
}

fn integer(json: &Json) -> Res<i64> {
    match json {
        Json::Number(number) => number
            .as_i64()
            .or_else(|| decimal(number)?.trunc().try_into().ok()),
        Json::Bool(flag) => Some(i64::from(*flag)),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .ok_or_else(|| OdooError::value(format!("invalid literal for int() with base 10: {json}")))
}

fn number(json: &Json) -> Res<Decimal> {
    match json {
        Json::Number(number) => decimal(number),
        Json::String(text) => parse_decimal(text),
        Json::Bool(true) => Some(Decimal::ONE),
        _ => None,
    }
    .ok_or_else(|| OdooError::value(format!("could not convert string to float: {json}")))
}

/// The id in a many2one value.
fn target(json: &Json) -> Res<Option<i64>> {
    match json {
        Json::Number(number) => {
            let id = number
                .as_i64()
                .ok_or_else(|| OdooError::integer_text(&number.to_string()))?;
            Ok((id != 0).then_some(id))
        }
        Json::String(text) => text.parse().map(Some).map_err(|_| OdooError::integer_text(text)),
        // A pair as it was read: taken by 18 and 19.
        Json::Array(pair) => match pair.first() {
            Some(first) => target(first),
            None => Ok(None),
        },
        _ => Err(OdooError::integer_text(&json.to_string())),
    }
}

/// Base64 of something that starts like an image.
fn image(json: &Json) -> Res<String> {
    let refused = || OdooError::user("This file could not be decoded as an image file.");
    let text = json.as_str().ok_or_else(refused)?;
    let compact: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(&compact)
        .map_err(|_| refused())?;
    let known: [&[u8]; 5] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"<svg"];
    known
        .iter()
        .any(|magic| bytes.starts_with(magic))
        .then_some(compact)
        .ok_or_else(refused)
}

/// A value as `read` shows it, for every kind but many2one (which needs the target's name).
pub(super) fn show(field: &Field, val: &Val) -> Json {
    match (field.kind, val) {
        (Kind::Bool, val) => Json::Bool(val.as_bool()),
        (Kind::Int, val) => Json::from(val.as_id().unwrap_or_default()),
        (Kind::Float | Kind::Money, val) => Json::from(float(val.as_dec())),
        (Kind::Many(..) | Kind::ManyMany(_), val) => Json::from(val.as_ids().to_vec()),
        (_, Val::Text(text)) => Json::from(text.as_str()),
        (_, Val::Date(day)) => Json::from(day.format(DATE).to_string()),
        (_, Val::Time(time)) => Json::from(time.format(DATETIME).to_string()),
        (_, Val::Int(id)) => Json::from(*id),
        (_, Val::Json(json)) => json.clone(),
        _ => Json::Bool(false),
    }
}
