//! From the tree to typed sections, finding everything that is wrong and not only the first thing.
//!
//! serde stops at the first error. Here the entry at fault is reported, taken out, and decoding starts again, until the
//! rest fits. Sections have defaults for everything, so nothing is "missing" merely because it was taken out; what must
//! be there is checked afterwards, with better words than serde's.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::finding::Finding;
use super::redact::is_secret;
use super::sections::ODOO_ACCESS;
use crate::domain::nearest;

/// Reads `T` from the table. Entries that do not fit are reported and left out.
pub(super) fn decode<T: DeserializeOwned + Default>(table: &DeTable<'_>) -> (T, Vec<Finding>) {
    let mut table = table.clone();
    let mut findings = Vec::new();
    let mut taken_out: Vec<(Range<usize>, String)> = Vec::new();
    // Each round takes at least one entry out, so it ends; the bound is for a hostile file.
    for _ in 0..200 {
        match T::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))) {
            Ok(value) => return (value, findings),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                if let Some(missing) = missing_field(error.message())
                    && let Some(name) = put_in(&mut table, &span, missing)
                {
                    // The tree may have been split (see `sections::split_odoo`); the file was not.
                    let name = name.trim_end_matches(".server");
                    // It may be missing only because it was taken out.
                    if !taken_out.contains(&(span.clone(), missing.to_owned())) {
                        let finding = Finding::error(span, format!("[{name}] has no `{missing}`"));
                        findings.push(finding.label(format!("add {missing} = …")));
                    }
                    continue;
                }
                let removed = take_out(&mut table, &(0..0), &span);
                findings.push(explain(error.message(), span, removed.as_ref()));
                match removed {
                    Some(removed) => taken_out.push((removed.table_span, removed.key)),
                    None => break,
                }
            }
        }
    }
    (T::default(), findings)
}

/// The key that serde misses.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Puts an empty text where a key is missing from the table at this place, so that everything else can be read too.
/// Returns the table's path.
fn put_in(table: &mut DeTable<'_>, place: &Range<usize>, key: &str) -> Option<String> {
    for (name, value) in table.iter_mut() {
        let at_place = value.span() == *place;
        let DeValue::Table(inner) = value.get_mut() else {
            continue;
        };
        if let Some(deeper) = put_in(inner, place, key) {
            return Some(format!("{}.{deeper}", name.get_ref()));
        }
        if at_place && !inner.contains_key(key) {
            inner.insert(
                Spanned::new(place.clone(), key.to_owned().into()),
                Spanned::new(place.clone(), DeValue::String(String::new().into())),
            );
            return Some(name.get_ref().to_string());
        }
    }
    None
}

/// An entry that was taken out.
struct Removed {
    key: String,
    table_span: Range<usize>,
    key_span: Range<usize>,
    value_span: Range<usize>,
}

/// Takes out the innermost entry whose key or value is at this place.
fn take_out(table: &mut DeTable<'_>, table_span: &Range<usize>, place: &Range<usize>) -> Option<Removed> {
    for (_, value) in table.iter_mut() {
        if let Some(removed) = take_out_of_value(value, place) {
            return Some(removed);
        }
    }
    let key = table.iter().find_map(|(key, value)| {
        (within(&key.span(), place) || within(&value.span(), place)).then(|| key.clone())
    })?;
    let (key, value) = table.remove_entry(&key)?;
    Some(Removed {
        key: key.get_ref().to_string(),
        table_span: table_span.clone(),
        key_span: key.span(),
        value_span: value.span(),
    })
}

fn within(outer: &Range<usize>, place: &Range<usize>) -> bool {
    outer.start <= place.start && place.end <= outer.end && !outer.is_empty()
}

fn take_out_of_value(value: &mut Spanned<DeValue<'_>>, place: &Range<usize>) -> Option<Removed> {
    let span = value.span();
    match value.get_mut() {
        DeValue::Table(inner) => take_out(inner, &span, place),
        DeValue::Array(items) => items.iter_mut().find_map(|item| take_out_of_value(item, place)),
        _ => None,
    }
}

/// serde's message in our words. serde quotes values, which may be secrets or come from the environment: those parts
/// are dropped.
fn explain(message: &str, span: Range<usize>, removed: Option<&Removed>) -> Finding {
    let key = removed.map_or("", |removed| removed.key.as_str());
    let (what, expected) = message
        .split_once(", expected ")
        .map_or((message, None), |(what, expected)| (what, Some(expected)));
    let mut known: Vec<&str> = expected
        .unwrap_or_default()
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    if what.starts_with("unknown field") {
        // The table was split; in the file these keys stand beside the others.
        if known.contains(&"sales_team") {
            known.extend(ODOO_ACCESS);
        }
        let key_span = removed.map_or(span, |removed| removed.key_span.clone());
        let finding = Finding::error(key_span, format!("unknown key `{}`", printable(key)));
        return match nearest(key, known.iter().copied()) {
            Some(meant) => finding
                .label(format!("did you mean `{meant}`?"))
                .help(format!("known here: {}", known.join(", "))),
            None if known.is_empty() => finding.label("nothing is known under this name"),
            None => finding
                .label("not known here")
                .help(format!("known here: {}", known.join(", "))),
        };
    }
    let value_span = match removed {
        Some(removed) if !within(&removed.value_span, &span) => removed.value_span.clone(),
        _ => span,
    };
    if what.starts_with("unknown variant") {
        let written = what.split('`').nth(1).filter(|_| !is_secret(key));
        let finding = Finding::error(
            value_span,
            format!(
                "`{}` has a value that is not one of: {}",
                printable(key),
                known.join(", ")
            ),
        );
        return match written.and_then(|written| nearest(written, known.iter().copied())) {
            Some(meant) => finding.label(format!("did you mean \"{meant}\"?")),
            None => finding.label("not one of these"),
        };
    }
    if let Some(kind) = what.strip_prefix("invalid type: ") {
        // `string "secret"`, `integer `5``, `map`: the kind without the value.
        let kind = kind.split(['"', '`']).next().unwrap_or_default().trim();
        let expected = readable_type(expected.unwrap_or("something else"));
        let finding = Finding::error(
            value_span,
            format!(
                "`{}` must be {expected}, not {}",
                printable(key),
                readable_type(kind)
            ),
        );
        return finding.label(format!("must be {expected}"));
    }
    if what.starts_with("invalid value") || what.starts_with("invalid length") {
        let expected = readable_type(expected.unwrap_or("something else"));
        return Finding::error(value_span, format!("`{}` must be {expected}", printable(key)))
            .label(format!("must be {expected}"));
    }
    if what == "wanted string or table" {
        // An enum's way to say that it is neither: all of ours are written as texts.
        let finding = Finding::error(
            value_span,
            format!("`{}` must be a text in quotes", printable(key)),
        );
        return match key {
            "in" | "out" => finding.label("must be \"on\", \"off\" or \"paused\""),
            _ => finding.label("must be a text in quotes"),
        };
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        return Finding::error(value_span, format!("{missing} is missing here"));
    }
    // A message of one of our own types. Its quotations go, whatever they are.
    Finding::error(
        value_span,
        format!("`{}` cannot be used: {}", printable(key), unquoted(message)),
    )
}

/// serde's names of types for people.
fn readable_type(name: &str) -> String {
    match name {
        "a string" | "string" | "str" => "a text in quotes".into(),
        "a boolean" | "boolean" | "bool" => "true or false".into(),
        "a map" | "map" => "a table".into(),
        "a sequence" | "sequence" => "a list in [ ]".into(),
        "integer" | "u16" | "u32" | "u64" | "usize" | "i16" | "i32" | "i64" | "a nonzero u32" => {
            "a whole number".into()
        }
        "floating point" | "f64" => "a number".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other => other.to_owned(),
    }
}

/// The message without what stands between back ticks or quotes at its start.
fn unquoted(message: &str) -> String {
    message
        .split(['`', '"'])
        .step_by(2)
        .collect::<Vec<_>>()
        .join("…")
        .trim_start_matches(['…', ' '])
        .to_owned()
}

/// A key as it may be printed: short, without control characters.
fn printable(key: &str) -> String {
    key.chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        count: u32,
        flag: bool,
        names: Vec<String>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        title: String,
        inner: Inner,
    }

    #[test]
    fn everything_wrong_is_found_at_its_place_and_the_rest_is_kept() {
        let text =
            "titel = 'x'\ntitle = 'kept'\n[inner]\ncount = 'secret value'\nflag = 1\nnames = ['a', 2]\n";
        let table = DeTable::parse(text).unwrap().into_inner();
        let (outer, findings) = decode::<Outer>(&table);
        assert_eq!(outer.title, "kept");
        assert!(outer.inner.names.is_empty() && outer.inner.count == 0 && !outer.inner.flag);
        let mut seen: Vec<_> = findings
            .iter()
            .map(|f| format!("{} @ {}", f.message, &text[f.span.clone()]))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                "`count` must be a whole number, not a text in quotes @ 'secret value'",
                "`flag` must be true or false, not a whole number @ 1",
                "`names` must be a text in quotes, not a whole number @ 2",
                "unknown key `titel` @ titel",
            ]
        );
    }

    #[test]
    fn a_custom_message_loses_its_quotations() {
        assert_eq!(
            unquoted("`shpat_1` is not a valid shop name: 1 to 40 of a-z"),
            "is not a valid shop name: 1 to 40 of a-z"
        );
    }
}
