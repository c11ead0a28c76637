//! How a value is written into JSON, XML, Markdown or text, so that it stays a value.

use std::fmt::Write as _;

use serde_json::Value;

use super::parse::Part;
use super::{ExpressionError, xml};
use crate::domain::Fact;
use crate::notify::facts::to_json;

/// What a body is, and so how values are escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// Markdown: values show as they are, in one line.
    Markdown,
    /// Plain text: values stay as they are.
    Text,
}

/// What Markdown gives a meaning to, besides some `.`: any of it may have a backslash before it
/// (<https://spec.commonmark.org/0.31.2/#backslash-escapes>). `@` and `:` are what chats make mentions and pictures of, and links
/// of bare addresses.
const MARKDOWN: &str = "\\`*_{}[]()<>#+-=!|~&@:";

/// A mime type that no body can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// Values cannot be escaped for it.
    #[error("a template cannot be escaped for this mime type")]
    Unknown,
    /// A header cannot hold it.
    #[error("the mime type has a character that headers cannot hold")]
    Character,
    /// Bodies are written in UTF-8.
    #[error("the mime type names another charset than utf-8, in which every body is written")]
    Charset,
}

impl MimeError {
    /// What to write instead.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Unknown => {
                "take application/json, application/xml, text/plain or another type of JSON, XML or text"
            }
            Self::Character => "write it in one line and in plain letters, e.g. text/plain; charset=utf-8",
            Self::Charset => "take charset out, or write charset=utf-8",
        }
    }
}

impl Format {
    /// By a mime type, with or without parameters; none for a type that no body can be of.
    pub fn of(mime: &str) -> Option<Self> {
        Self::read(mime).ok()
    }

    /// By a mime type, with or without parameters.
    ///
    /// # Errors
    /// Why no body can be of it.
    pub fn read(mime: &str) -> Result<Self, MimeError> {
        if !mime.chars().all(|character| matches!(character, ' '..='~')) {
            return Err(MimeError::Character);
        }
        let mut parts = mime.split(';');
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let (group, kind) = essence.split_once('/').ok_or(MimeError::Unknown)?;
        let is_word = kind
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte));
        let format = match (group, kind) {
            ("application", "json") => Self::Json,
            ("application" | "text", "xml") => Self::Xml,
            ("application", kind) if is_word && kind.ends_with("+json") => Self::Json,
            ("application", kind) if is_word && kind.ends_with("+xml") => Self::Xml,
            // A script or a table has rules of its own.
            ("text", "markdown") => Self::Markdown,
            ("text", "plain") => Self::Text,
            _ => return Err(MimeError::Unknown),
        };
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
                return Err(MimeError::Charset);
            }
        }
        Ok(format)
    }
}

/// For each part whether it stands within the quotes of a JSON text. Checks that fields stand where values can be written,
/// that JSON is JSON and XML is XML.
pub(super) fn places(text: &str, parts: &[Part], format: Format) -> Result<Vec<bool>, ExpressionError> {
    match format {
        Format::Json => json_places(text, parts),
        Format::Xml => xml::check(text, parts).map(|()| vec![false; parts.len()]),
        Format::Markdown | Format::Text => Ok(vec![false; parts.len()]),
    }
}

fn json_places(text: &str, parts: &[Part]) -> Result<Vec<bool>, ExpressionError> {
    let (mut quoted, mut escaped) = (false, false);
    // So many digits of a `\u0000` are still to come.
    let mut digits = 0_u8;
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
                    digits = match digits {
                        1.. if byte.is_ascii_hexdigit() => digits - 1,
                        _ => 0,
                    };
                    match byte {
                        _ if escaped => {
                            escaped = false;
                            digits = if byte == b'u' { 4 } else { 0 };
                        }
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
                if digits > 0 {
                    return Err(ExpressionError {
                        place: place.clone(),
                        message: "this merge field stands within a \\u and its four digits".to_owned(),
                        help: Some("write the character itself, or all four digits".to_owned()),
                    });
                }
                origins.push((sample.len(), place.start));
                // Something must stand there: a value splits what would be one character without it (`\ud83d\ude00`).
                sample.push_str(if quoted { "x" } else { "null" });
            }
        }
    }
    // Read as a value: what merely passes over texts does not see half a character in them.
    if let Err(error) = serde_json::from_str::<Value>(&sample) {
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
                    // The template may go on with a `>`, and `]]>` cannot stand in text.
                    ']' => body.push_str("&#93;"),
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
        Format::Markdown => {
            let text = text_of(value)?;
            let mut characters = text.chars().peekable();
            let mut is_number = true;
            let mut is_letter = false;
            while let Some(character) = characters.next() {
                // `1.` at the beginning of a line makes a list of it; the end of a line could begin a list, a quote or a heading. Of
                // `www.example.com` some make a link.
                let next = characters.peek();
                let ends = next.is_none_or(|next| next.is_whitespace());
                let is_of_word = is_letter || next.is_some_and(|next| next.is_alphabetic());
                let has_meaning = character == '.' && (is_of_word || is_number && ends);
                if MARKDOWN.contains(character) || has_meaning {
                    body.push('\\');
                }
                is_letter = character.is_alphabetic();
                body.push(if character.is_control() { ' ' } else { character });
                is_number &= character.is_ascii_digit();
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
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        Fact::Record(_) => return Err("it is a whole record; name one of its fields".to_owned()),
    })
}
