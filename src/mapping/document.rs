//! Reading a mapping file as TOML with the place of every key and value.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::{Scope, Wrong};
use super::diagnose::{Diagnostics, Place};
use super::expr::Compiled;
use super::rule::{Part, Template};
use crate::domain::{FieldValue, parse_decimal};

/// A value with its place.
pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// One entry of a table.
#[derive(Clone, Copy)]
pub(super) struct Entry<'t> {
    pub(super) key: &'t str,
    key_node: &'t Spanned<std::borrow::Cow<'t, str>>,
    pub(super) value: &'t Node<'t>,
}

impl Entry<'_> {
    pub(super) fn key_place(&self) -> Place {
        self.key_node.span()
    }
}

/// The entries of a table in the order of the file.
pub(super) fn entries<'t>(table: &'t DeTable<'t>) -> Vec<Entry<'t>> {
    let mut entries: Vec<Entry<'t>> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref(),
            key_node: key,
            value,
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place().start);
    entries
}

/// The value of a key.
pub(super) fn get<'t>(table: &'t DeTable<'t>, key: &str) -> Option<&'t Node<'t>> {
    table.get(key)
}

/// A table value.
pub(super) fn table<'t>(node: &'t Node<'t>) -> Option<&'t DeTable<'t>> {
    node.get_ref().as_table()
}

/// Refuses keys that are not known.
pub(super) fn only<'t>(d: &mut Diagnostics, table: &'t DeTable<'t>, known: &[&str]) {
    for entry in entries(table) {
        if !known.contains(&entry.key) {
            d.unknown(entry.key_place(), "key", entry.key, known.iter().copied());
        }
    }
}

/// A value of the wrong kind.
pub(super) fn not_a(d: &mut Diagnostics, node: &Node<'_>, expected: &str) {
    d.add(
        node.span(),
        format!("this must be {expected}"),
        format!("this is {}", kind_name(node)),
    );
}

fn kind_name(node: &Node<'_>) -> &'static str {
    match node.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A text.
pub(super) fn text<'t>(d: &mut Diagnostics, node: &'t Node<'t>) -> Option<&'t str> {
    let text = node.get_ref().as_str();
    if text.is_none() {
        not_a(d, node, "a text");
    }
    text
}

/// A text under a key that may be absent.
pub(super) fn text_at<'t>(d: &mut Diagnostics, table: &'t DeTable<'t>, key: &str) -> Option<&'t str> {
    get(table, key).and_then(|node| text(d, node))
}

/// A yes or no under a key that may be absent.
pub(super) fn flag_at(d: &mut Diagnostics, table: &DeTable<'_>, key: &str) -> bool {
    let Some(node) = get(table, key) else { return false };
    node.get_ref().as_bool().unwrap_or_else(|| {
        not_a(d, node, "true or false");
        false
    })
}

/// One of a few named values under a key that may be absent.
pub(super) fn choice_at<T: Copy>(
    d: &mut Diagnostics,
    table: &DeTable<'_>,
    key: &str,
    known: &[(&'static str, T)],
) -> Option<T> {
    let node = get(table, key)?;
    let name = text(d, node)?;
    let found = known
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
        let help = super::diagnose::hint(name, &names);
        d.add_with_help(
            node.span(),
            format!("`{name}` is no value of `{key}`"),
            "not known",
            help,
        );
    }
    found
}

/// A value that is written out.
pub(super) fn scalar(d: &mut Diagnostics, node: &Node<'_>) -> Option<FieldValue> {
    match node.get_ref() {
        DeValue::String(text) => Some(FieldValue::Text(text.clone().into_owned())),
        DeValue::Boolean(value) => Some(FieldValue::Bool(*value)),
        DeValue::Integer(number) => {
            let parsed = (number.radix() == 10)
                .then(|| number.as_str().parse().ok())
                .flatten();
            if parsed.is_none() {
                not_a(d, node, "a decimal whole number of at most 18 digits");
            }
            parsed.map(FieldValue::Integer)
        }
        DeValue::Float(_) => {
            d.add_with_help(
                node.span(),
                "numbers with a fraction are exact only as text",
                "a float",
                Some("write `{ constant = \"0.19\", type = \"decimal\" }`".to_owned()),
            );
            None
        }
        _ => {
            not_a(d, node, "a text, a whole number, true or false");
            None
        }
    }
}

/// Where the text within a string value begins, when it stands there letter by letter.
fn inside(d: &Diagnostics, node: &Node<'_>) -> Option<usize> {
    let (span, text) = (node.span(), node.get_ref().as_str()?);
    let written = d.text.get(span.clone())?;
    ["\"\"\"", "'''", "\"", "'"].iter().find_map(|quote| {
        let inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
        // A line break right behind the quotes of a long text does not belong to it.
        let text_begins = ["", "\n", "\r\n"]
            .iter()
            .find(|start| inner.strip_prefix(**start) == Some(text))?;
        Some(span.start + quote.len() + text_begins.len())
    })
}

/// Reports what is wrong with an expression, or a selection, that begins `offset` bytes into a string value.
pub(super) fn report(d: &mut Diagnostics, node: &Node<'_>, offset: usize, wrong: Wrong) {
    let place = match inside(d, node) {
        Some(start) => start + offset + wrong.place.start..start + offset + wrong.place.end,
        None => node.span(),
    };
    d.add_with_help(place, wrong.message, wrong.label, wrong.help);
}

/// An expression.
pub(super) fn expression(d: &mut Diagnostics, node: &Node<'_>, scope: &Scope) -> Option<Compiled> {
    let text = text(d, node)?;
    match Compiled::new(text, scope) {
        Ok(compiled) => Some(compiled),
        Err(wrong) => {
            report(d, node, 0, wrong);
            None
        }
    }
}

/// A text with expressions in braces.
pub(super) fn template(d: &mut Diagnostics, node: &Node<'_>, scope: &Scope) -> Option<Template> {
    let whole = text(d, node)?;
    let mut parts = Vec::new();
    let mut rest = whole;
    let mut offset = 0;
    let mut sound = true;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|close| open + close) else {
            d.add(node.span(), "a brace is not closed", "here");
            return None;
        };
        if open > 0 {
            parts.push(Part::Text(rest[..open].to_owned()));
        }
        match Compiled::new(&rest[open + 1..close], scope) {
            Ok(compiled) => {
                let fits = compiled.typed.is_text()
                    || matches!(
                        compiled.typed.kind,
                        super::types::Kind::Integer | super::types::Kind::Any
                    );
                if !fits {
                    let message = format!(
                        "this is {}, and only texts and whole numbers fit here",
                        compiled.typed
                    );
                    let wrong = Wrong {
                        place: 0..close - open - 1,
                        message,
                        label: "here".into(),
                        help: None,
                    };
                    report(d, node, offset + open + 1, wrong);
                    sound = false;
                }
                parts.push(Part::Value(compiled));
            }
            Err(wrong) => {
                report(d, node, offset + open + 1, wrong);
                sound = false;
            }
        }
        offset += close + 1;
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    if !parts.iter().any(|part| matches!(part, Part::Value(_))) && sound {
        d.add_with_help(
            node.span(),
            "this would be the same for every record",
            "no value in it",
            Some("put one in braces, e.g. `order_{order.id}`".to_owned()),
        );
        return None;
    }
    sound.then(|| Template {
        text: whole.to_owned(),
        parts,
        line: d.line(node.span().start),
    })
}

/// A written-out value as a field of this type takes it.
pub(super) fn constant_as(
    d: &mut Diagnostics,
    node: &Node<'_>,
    value: FieldValue,
    kind: super::types::FieldType,
) -> Option<FieldValue> {
    use super::types::FieldType;
    let converted = match (kind, value) {
        (FieldType::Decimal, FieldValue::Text(text)) => parse_decimal(&text).ok().map(FieldValue::Decimal),
        (FieldType::Decimal, FieldValue::Integer(whole)) => Some(FieldValue::Decimal(whole.into())),
        (FieldType::Record, FieldValue::Integer(id)) if id > 0 => {
            Some(FieldValue::Record(crate::domain::ErpId(id)))
        }
        (FieldType::Date, FieldValue::Text(text)) => text.parse().ok().map(FieldValue::Date),
        (kind, value) => (FieldType::of_value(&value) == Some(kind)).then_some(value),
    };
    if converted.is_none() {
        d.add(
            node.span(),
            format!("this is no value of type `{}`", kind.name()),
            "here",
        );
    }
    converted
}
