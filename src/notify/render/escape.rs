//! How a value is written into JSON, XML or text, so that it stays a value.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use super::ExpressionError;
use super::parse::Part;
use crate::domain::Fact;
use crate::notify::facts::to_json;

/// What a body is, and so how values are escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// Plain text: values stay as they are.
    Text,
}

impl Format {
    /// By a mime type, with or without parameters; none for a type that values cannot be escaped for.
    pub fn of(mime: &str) -> Option<Self> {
        let essence = mime
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let (group, kind) = essence.split_once('/')?;
        match (group, kind) {
            ("application", "json") => Some(Self::Json),
            ("application" | "text", "xml") => Some(Self::Xml),
            ("application", kind) if kind.ends_with("+json") => Some(Self::Json),
            ("application", kind) if kind.ends_with("+xml") => Some(Self::Xml),
            // A script or a table has rules of its own.
            ("text", "plain" | "markdown") => Some(Self::Text),
            _ => None,
        }
    }
}

/// For each part whether it stands within the quotes of a JSON text. Checks that fields stand where values can be written,
/// and that JSON is JSON.
pub(super) fn places(text: &str, parts: &[Part], format: Format) -> Result<Vec<bool>, ExpressionError> {
    match format {
        Format::Json => json_places(text, parts),
        Format::Xml => xml_places(text, parts),
        Format::Text => Ok(vec![false; parts.len()]),
    }
}

fn json_places(text: &str, parts: &[Part]) -> Result<Vec<bool>, ExpressionError> {
    let (mut quoted, mut escaped) = (false, false);
    let mut places = Vec::with_capacity(parts.len());
    // The template with made-up values, and where in the template each part of it comes from.
    let mut sample = String::new();
    let mut origins = Vec::new();
    for part in parts {
        places.push(quoted);
        match part {
            Part::Text(place) => {
                origins.push((sample.len(), place.start));
                sample.push_str(&text[place.clone()]);
                for byte in text[place.clone()].bytes() {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' if quoted => escaped = true,
                        b'"' => quoted = !quoted,
                        _ => {}
                    }
                }
            }
            Part::Field(place) => {
                if escaped {
                    return Err(ExpressionError {
                        place: place.clone(),
                        message: "a backslash stands right before this merge field".to_owned(),
                        help: Some("take it out: values are escaped by themselves".to_owned()),
                    });
                }
                origins.push((sample.len(), place.start));
                if !quoted {
                    sample.push_str("null");
                }
            }
        }
    }
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&sample) {
        let at = offset(&sample, error.line(), error.column());
        let (from, origin) = origins
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .copied()
            .unwrap_or_default();
        let mut place = (origin + at - from).min(text.len());
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        return Err(ExpressionError {
            place: place..text[place..].chars().next().map_or(place, |c| place + c.len_utf8()),
            message: format!("the template is no JSON: {}", without_place(&error.to_string())),
            help: Some(
                "a merge field outside of quotes becomes a value of its own; within quotes, a part of the text"
                    .to_owned(),
            ),
        });
    }
    Ok(places)
}

/// Line and column, both from 1, as an offset in bytes. The column is that of the last byte that was read.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// The parser's reason without its line and column, which are those of the sample.
fn without_place(reason: &str) -> &str {
    reason.split(" at line ").next().unwrap_or(reason)
}

fn xml_places(text: &str, parts: &[Part]) -> Result<Vec<bool>, ExpressionError> {
    for part in parts {
        let Part::Field(place) = part else { continue };
        let before = &text[..place.start];
        for (open, close, what) in [("<![CDATA[", "]]>", "CDATA"), ("<!--", "-->", "a comment")] {
            if before.rfind(open) > before.rfind(close) {
                return Err(ExpressionError {
                    place: place.clone(),
                    message: format!("a merge field cannot be escaped within {what}"),
                    help: Some("put it into plain text or an attribute: values are escaped there".to_owned()),
                });
            }
        }
    }
    Ok(vec![false; parts.len()])
}

/// Writes a value. `quoted` tells that it stands within the quotes of a JSON text.
pub(super) fn write(body: &mut String, value: &Fact, format: Format, quoted: bool) -> Result<(), String> {
    match format {
        Format::Json if !quoted => {
            match value {
                // As a number, with all its digits.
                Fact::Decimal(number) => body.push_str(&number.to_string()),
                value => body.push_str(&to_json(value).to_string()),
            }
            return Ok(());
        }
        Format::Json => {
            let text = serde_json::to_string(&text_of(value)?).unwrap_or_default();
            body.push_str(text.get(1..text.len().saturating_sub(1)).unwrap_or_default());
        }
        Format::Xml => {
            for character in text_of(value)?.chars() {
                match character {
                    '&' => body.push_str("&amp;"),
                    '<' => body.push_str("&lt;"),
                    '>' => body.push_str("&gt;"),
                    '"' => body.push_str("&quot;"),
                    '\'' => body.push_str("&#39;"),
                    // An attribute's value would lose them otherwise.
                    '\t' | '\n' | '\r' => drop(write!(body, "&#{};", u32::from(character))),
                    // XML 1.0 has no way to write these.
                    '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => body.push('\u{fffd}'),
                    character => body.push(character),
                }
            }
        }
        Format::Text => body.push_str(&text_of(value)?),
    }
    Ok(())
}

fn text_of(value: &Fact) -> Result<String, String> {
    Ok(match value {
        Fact::Null => String::new(),
        Fact::Bool(value) => value.to_string(),
        Fact::Integer(value) => value.to_string(),
        Fact::Decimal(value) => value.to_string(),
        Fact::Text(value) => value.clone(),
        Fact::Time(value) => value.to_string(),
        Fact::List(items) => {
            let items: Vec<String> = items.iter().map(text_of).collect::<Result<_, _>>()?;
            items.join(", ")
        }
        Fact::Raw(value) => match &**value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        Fact::Record(_) => return Err("it is a whole record; name one of its fields".to_owned()),
    })
}
