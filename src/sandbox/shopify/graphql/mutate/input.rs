//! Reading inputs of mutations: a field that is absent stays, one that is null is emptied.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::Complaint;
use crate::sandbox::shopify::ids::parse_gid;

/// Longest text of an ordinary field.
pub(super) const LONGEST_TEXT: usize = 255;

/// The number of a gid of this kind.
pub(super) fn number(value: &Json, kind: &str) -> Option<u64> {
    let (found, id) = value.as_str().and_then(parse_gid)?;
    (found == kind).then_some(id)
}

/// A text that is given; blank ones are nothing.
pub(super) fn text(value: &Json) -> Option<String> {
    value
        .as_str()
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
}

/// A decimal that came as text or as a number.
pub(super) fn decimal(value: &Json) -> Option<Decimal> {
    match value {
        Json::String(text) => text.trim().parse().ok(),
        Json::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// Texts of a list; one with commas is several.
pub(super) fn texts(value: &Json) -> Vec<String> {
    let list: Vec<&str> = match value {
        Json::String(text) => vec![text.as_str()],
        Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    list.iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Sets an optional text where the input has the field; complains of one that is too long.
pub(super) fn set_text(
    target: &mut Option<String>,
    input: &Json,
    name: &str,
    label: &str,
    longest: usize,
    complaints: &mut Vec<Complaint>,
) {
    let Some(value) = input.get(name) else { return };
    let new = text(value);
    if new.as_ref().is_some_and(|t| t.chars().count() > longest) {
        complaints.push(Complaint::new(
            &[name],
            format!("{label} is too long (maximum is {longest} characters)"),
            Some("TOO_LONG"),
        ));
    }
    *target = new;
}
