//! Odoo's values, by the type of their field.
//!
//! Odoo writes `false` for everything that is empty, so the JSON type alone says nothing: a value is read by the type
//! that the field declares. Numbers come as binary floats (4.989999999999998 for 4.99) and become decimals here, once,
//! through their text; nothing is ever calculated with a float.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use serde_json::{Number, Value, json};

use crate::domain::{ErpId, FieldValue, Timestamp, parse_decimal, round_half_up};

/// Digits that are kept of a number: more than any price or quantity has, fewer than the noise of a binary float.
const DIGITS: u32 = 6;

const DATE: &str = "%Y-%m-%d";
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// Reads the value of a field of type `kind`; the error says what it is not.
pub(super) fn decode(kind: &str, value: &Value) -> Result<FieldValue, String> {
    let empty = matches!(value, Value::Null | Value::Bool(false));
    match kind {
        "boolean" => value.as_bool().map(FieldValue::Bool),
        "integer" | "many2one_reference" if empty => Some(FieldValue::Integer(0)),
        "integer" | "many2one_reference" => value.as_i64().map(FieldValue::Integer),
        "float" | "monetary" => decimal(value).map(FieldValue::Decimal),
        "one2many" | "many2many" => records(value).map(FieldValue::Records),
        _ if empty => Some(FieldValue::Clear),
        "many2one" => record(value).map(FieldValue::Record),
        "date" => value
            .as_str()
            .and_then(|text| NaiveDate::parse_from_str(text, DATE).ok())
            .map(FieldValue::Date),
        "datetime" => time(value).map(FieldValue::Time),
        _ => match value {
            Value::String(text) if text.is_empty() => Some(FieldValue::Clear),
            Value::String(text) => Some(FieldValue::Text(text.clone())),
            // Selections with numbers, structures: shown as they came.
            other => Some(FieldValue::Text(other.to_string())),
        },
    }
    .ok_or_else(|| format!("a value that is no {kind}"))
}

/// A number; `false` is zero.
pub(super) fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Null | Value::Bool(false) => Some(Decimal::ZERO),
        Value::Number(number) => exact(number),
        _ => None,
    }
}

fn exact(number: &Number) -> Option<Decimal> {
    let text = number.to_string();
    // The text of a float can have more digits than a decimal keeps, which is when only `from_scientific` or a cut helps.
    let parsed = parse_decimal(&text).or_else(|error| match text.split_once('.') {
        Some((whole, fraction)) if !fraction.contains('e') => {
            let kept: String = fraction.chars().take(12).collect();
            parse_decimal(&format!("{whole}.{kept}"))
        }
        _ => Err(error),
    });
    parsed.ok().map(|value| round_half_up(value, DIGITS).normalize())
}

/// The id of a many2one: `[id, "name"]`, `{"id": id, …}` or the plain id.
pub(super) fn record(value: &Value) -> Option<ErpId> {
    let id = match value {
        Value::Array(pair) => pair.first()?,
        Value::Object(fields) => fields.get("id")?,
        other => other,
    };
    id.as_i64().filter(|id| *id > 0).map(ErpId)
}

/// The ids of a one2many or many2many, plain or as objects.
pub(super) fn records(value: &Value) -> Option<Vec<ErpId>> {
    match value {
        Value::Null | Value::Bool(false) => Some(Vec::new()),
        Value::Array(ids) => ids.iter().map(record).collect(),
        _ => None,
    }
}

/// A datetime: UTC, without saying so.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    NaiveDateTime::parse_from_str(text, TIME)
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
        .ok()
        .map(|time| Timestamp::from_millis(time.and_utc().timestamp_millis()))
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The value as `write`, `web_save` and domains take it. Several records replace what was there.
pub(super) fn encode(value: &FieldValue) -> Value {
    match value {
        FieldValue::Clear => json!(false),
        FieldValue::Text(text) => json!(clean(text)),
        FieldValue::Bool(value) => json!(value),
        FieldValue::Integer(value) => json!(value),
        FieldValue::Decimal(value) => number(*value),
        FieldValue::Date(date) => json!(date.format(DATE).to_string()),
        FieldValue::Time(time) => json!(time_text(*time)),
        FieldValue::Record(id) => json!(id.0),
        FieldValue::Records(ids) => json!([[6, 0, ids.iter().map(|id| id.0).collect::<Vec<_>>()]]),
    }
}

/// The value as a cell of `load`, where everything is text and an empty text clears.
pub(super) fn cell(value: &FieldValue) -> String {
    match value {
        FieldValue::Clear => String::new(),
        FieldValue::Text(text) => clean(text),
        FieldValue::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
        FieldValue::Integer(value) => value.to_string(),
        FieldValue::Decimal(value) => value.normalize().to_string(),
        FieldValue::Date(date) => date.format(DATE).to_string(),
        FieldValue::Time(time) => time_text(*time),
        FieldValue::Record(id) => id.to_string(),
        FieldValue::Records(ids) => ids.iter().map(ErpId::to_string).collect::<Vec<_>>().join(","),
    }
}

/// A point in time as Odoo takes it; its datetimes have whole seconds.
pub(super) fn time_text(time: Timestamp) -> String {
    time.to_utc().format(TIME).to_string()
}

/// The number with its exact text: the JSON parser finds the nearest float, as Odoo's own would.
fn number(value: Decimal) -> Value {
    let text = value.normalize().to_string();
    serde_json::from_str::<Number>(&text).map_or_else(|_| json!(text), Value::Number)
}

/// PostgreSQL keeps no NUL character; Odoo fails on one.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Decimal {
        parse_decimal(text).unwrap()
    }

    #[test]
    fn values_are_read_by_the_type_of_their_field() {
        use FieldValue as F;
        for (kind, json, expected) in [
            ("char", json!(false), F::Clear),
            ("char", json!(""), F::Clear),
            ("char", json!("a"), F::Text("a".into())),
            ("boolean", json!(false), F::Bool(false)),
            ("integer", json!(0), F::Integer(0)),
            ("float", json!(4.989_999_999_999_998), F::Decimal(amount("4.99"))),
            ("monetary", json!(0.1), F::Decimal(amount("0.1"))),
            ("monetary", json!(19), F::Decimal(amount("19"))),
            ("monetary", json!(-0.0), F::Decimal(amount("0"))),
            (
                "monetary",
                json!(1_234_567_890.120_000_1),
                F::Decimal(amount("1234567890.12")),
            ),
            ("float", json!(1e-9), F::Decimal(amount("0"))),
            ("float", json!(1e16), F::Decimal(amount("10000000000000000"))),
            (
                "date",
                json!("2026-02-28"),
                F::Date(NaiveDate::from_ymd_opt(2026, 2, 28).unwrap()),
            ),
            (
                "datetime",
                json!("2023-11-14 22:13:20"),
                F::Time(Timestamp::from_millis(1_700_000_000_000)),
            ),
            ("datetime", json!(false), F::Clear),
            ("many2one", json!([7, "US"]), F::Record(ErpId(7))),
            ("many2one", json!(7), F::Record(ErpId(7))),
            (
                "many2one",
                json!({"id": 7, "display_name": "US"}),
                F::Record(ErpId(7)),
            ),
            ("many2one", json!(false), F::Clear),
            ("many2many", json!([1, 2]), F::Records(vec![ErpId(1), ErpId(2)])),
            ("one2many", json!([]), F::Records(vec![])),
            ("selection", json!("draft"), F::Text("draft".into())),
        ] {
            assert_eq!(decode(kind, &json), Ok(expected), "{kind} {json}");
        }
        for (kind, json) in [
            ("boolean", json!("yes")),
            ("integer", json!(1.5)),
            ("monetary", json!("19.99")),
            ("date", json!("28.02.2026")),
            ("datetime", json!("2026-02-28T00:00:00Z")),
            ("many2one", json!(["a"])),
            ("many2many", json!("1,2")),
        ] {
            assert!(decode(kind, &json).is_err(), "{kind} {json}");
        }
    }

    #[test]
    fn values_are_written_as_cells_and_as_json() {
        use FieldValue as F;
        for (value, text, json) in [
            (F::Clear, "", json!(false)),
            (F::Text("a\0b".into()), "ab", json!("ab")),
            (F::Bool(true), "1", json!(true)),
            (F::Bool(false), "0", json!(false)),
            (F::Integer(-3), "-3", json!(-3)),
            (F::Decimal(amount("19.90")), "19.9", json!(19.9)),
            (F::Decimal(amount("100")), "100", json!(100)),
            (F::Decimal(amount("0.0000001")), "0.0000001", json!(1e-7)),
            (
                F::Time(Timestamp::from_millis(1_700_000_000_999)),
                "2023-11-14 22:13:20",
                json!("2023-11-14 22:13:20"),
            ),
            (F::Record(ErpId(7)), "7", json!(7)),
            (
                F::Records(vec![ErpId(7), ErpId(12)]),
                "7,12",
                json!([[6, 0, [7, 12]]]),
            ),
            (F::Records(vec![]), "", json!([[6, 0, []]])),
        ] {
            assert_eq!(cell(&value), text);
            assert_eq!(encode(&value), json, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn amounts_survive_the_way_to_odoo_and_back(cents in -100_000_000_000_i64..100_000_000_000, scale in 0_u32..5) {
            let value = Decimal::new(cents, scale);
            prop_assert_eq!(decode("monetary", &encode(&FieldValue::Decimal(value))), Ok(FieldValue::Decimal(value.normalize())));
        }

        #[test]
        fn any_float_is_read_or_refused(bits in any::<u64>()) {
            if let Some(number) = Number::from_f64(f64::from_bits(bits)) {
                drop(decode("float", &Value::Number(number)));
            }
        }
    }
}
