//! Where the merge fields of a template are.

use std::ops::Range;

use super::ExpressionError;

/// A part of a template, by its place in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text that stays as it is.
    Text(Range<usize>),
    /// What stands between `{{` and `}}`.
    Field(Range<usize>),
}

/// The parts of a template, in order. Two fields always have a text between them, if an empty one.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|n| at + n) {
        found.push(Part::Text(at..open));
        let inside = open + 2;
        let Some(close) = end_of_field(&text[inside..]).map(|n| inside + n) else {
            return Err(ExpressionError {
                place: open..inside,
                message: "this merge field has no end".to_owned(),
                help: Some("close it with }}; braces of the text itself are written {{ '{{' }}".to_owned()),
            });
        };
        if text[inside..close].trim().is_empty() {
            return Err(ExpressionError {
                place: open..close + 2,
                message: "this merge field is empty".to_owned(),
                help: Some("name a field, e.g. {{ event.object.name }}".to_owned()),
            });
        }
        found.push(Part::Field(inside..close));
        at = close + 2;
    }
    found.push(Part::Text(at..text.len()));
    Ok(found)
}

/// Where the first `}}` is that stands neither in quotes nor in braces of the expression itself.
fn end_of_field(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut quote, mut braces, mut at) = (None, 0_usize, 0);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'{') => braces += 1,
            (None, b'}') if braces > 0 => braces -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, _) => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Result<Vec<&str>, String> {
        parts(text)
            .map(|found| {
                found
                    .into_iter()
                    .filter_map(|part| match part {
                        Part::Field(place) => Some(&text[place]),
                        Part::Text(_) => None,
                    })
                    .collect()
            })
            .map_err(|error| error.message)
    }

    #[test]
    fn fields_end_where_they_should() {
        for (text, expected) in [
            ("no field", vec![]),
            ("{{a}}", vec!["a"]),
            ("x{{ a }}y{{ b }}z", vec![" a ", " b "]),
            ("{{ '}}' }}", vec![" '}}' "]),
            ("{{ \"a\\\"}}\" }}", vec![" \"a\\\"}}\" "]),
            ("{{ {'a': {'b': 1}} }}", vec![" {'a': {'b': 1}} "]),
            ("{\"a\": {{ a }}}", vec![" a "]),
            ("} }} {", vec![]),
            ("ü{{ ü }}ü", vec![" ü "]),
        ] {
            assert_eq!(fields(text), Ok(expected), "{text}");
        }
        for (text, message) in [
            ("{{ a", "no end"),
            ("{{ 'a }}", "no end"),
            ("{{ }}", "empty"),
            ("{{", "no end"),
        ] {
            let error = fields(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
