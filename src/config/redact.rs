//! Keeps secrets out of what is shown of a configuration file: the excerpts under a caret, and the configuration's hash.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Whether values of this key are secrets (or may hold one).
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.ends_with("_file") || key.ends_with("_files") || key.ends_with("_expires") {
        return false;
    }
    ["token", "secret", "key", "passw", "headers"]
        .iter()
        .any(|word| key.contains(word))
}

/// Whether a text looks like a secret wherever it stands: Shopify's prefixes, and long runs of letters and digits such
/// as Odoo's keys (40 hexadecimal digits).
fn looks_secret(text: &str) -> bool {
    ["shpat_", "shpss_", "shpca_", "shppa_", "shpua_", "prtapi_"]
        .iter()
        .any(|prefix| text.contains(prefix))
        || text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|run| run.len() >= 24 && run.bytes().any(|b| b.is_ascii_digit()))
}

/// The text with every secret overwritten by `*`, byte for byte, so that places stay what they are. References to the
/// environment (`${NAME}`) are no secrets and stay readable.
pub(super) fn redact(text: &str, root: &DeTable<'_>, broken: bool) -> String {
    let mut bytes = text.as_bytes().to_vec();
    redact_table(root, false, &mut bytes);
    redact_lines(&mut bytes, broken);
    // Only whole values and rests of lines are overwritten, both of which end between characters.
    String::from_utf8(bytes).unwrap_or_default()
}

fn redact_table(table: &DeTable<'_>, inside_secret: bool, bytes: &mut [u8]) {
    for (key, value) in table {
        redact_value(value, inside_secret || is_secret(key.get_ref()), bytes);
    }
}

fn redact_value(value: &Spanned<DeValue<'_>>, secret: bool, bytes: &mut [u8]) {
    match value.get_ref() {
        DeValue::Table(table) => redact_table(table, secret, bytes),
        DeValue::Array(items) => items.iter().for_each(|item| redact_value(item, secret, bytes)),
        DeValue::String(text) if secret || looks_secret(text) => {
            if let Some(place) = bytes.get_mut(value.span()) {
                overwrite(place);
            }
        }
        // An address may hold a password before its host.
        DeValue::String(text) if text.contains("://") && text.contains('@') => {
            if let Some(place) = bytes.get_mut(value.span())
                && let Some(from) = find(place, b"://").map(|at| at + 3)
                && let Some(to) = place.iter().rposition(|b| *b == b'@')
                && from < to
            {
                place[from..to].fill(b'*');
            }
        }
        // A secret that was written without quotes.
        DeValue::Integer(_) | DeValue::Float(_) if secret => {
            if let Some(place) = bytes.get_mut(value.span()) {
                place.fill(b'*');
            }
        }
        _ => {}
    }
}

/// Words that look like a secret are overwritten wherever they stand, comments included. Where the file is no TOML there
/// are no values to go by: what follows `=` on a line that begins like a secret's goes too.
fn redact_lines(bytes: &mut [u8], broken: bool) {
    for line in bytes.split_mut(|b| *b == b'\n') {
        for word in line.split_mut(|b| !b.is_ascii_alphanumeric() && *b != b'_') {
            if std::str::from_utf8(word).is_ok_and(looks_secret) {
                word.fill(b'*');
            }
        }
        let value = std::str::from_utf8(line)
            .ok()
            .and_then(|text| text.split_once('='))
            .filter(|(key, _)| broken && is_secret(key.trim()))
            .map(|(key, _)| key.len() + 1);
        if let Some(value) = value {
            overwrite(&mut line[value..]);
        }
    }
}

/// Overwrites letters and digits; quotes, brackets, spaces and `${NAME}` stay, so that one still sees what it was.
fn overwrite(place: &mut [u8]) {
    let mut at = 0;
    while at < place.len() {
        if place[at..].starts_with(b"${")
            && let Some(length) = place[at..].iter().position(|b| *b == b'}')
            && place[at + 2..at + length]
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        {
            at += length + 1;
            continue;
        }
        if place[at] == b'#' {
            // A comment: what it says is no value. (A `#` inside quotes is followed by the rest of the secret.)
            place[at] = b'*';
        }
        if !matches!(
            place[at],
            b'"' | b'\'' | b' ' | b'[' | b']' | b'{' | b'}' | b',' | b'\r'
        ) {
            place[at] = b'*';
        }
        at += 1;
    }
}

fn find(place: &[u8], word: &[u8]) -> Option<usize> {
    place.windows(word.len()).position(|window| window == word)
}

/// The prepared tree as JSON with sorted keys and without secrets, for the configuration's hash.
pub(super) fn public_json(table: &DeTable<'_>) -> serde_json::Value {
    serde_json::Value::Object(
        table
            .iter()
            .filter(|(key, _)| !is_secret(key.get_ref()))
            .map(|(key, value)| (key.get_ref().to_string(), public_value(value.get_ref())))
            .collect(),
    )
}

fn public_value(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::Table(table) => public_json(table),
        DeValue::Array(items) => items.iter().map(|item| public_value(item.get_ref())).collect(),
        DeValue::String(text) => match (text.find("://"), text.rfind('@')) {
            (Some(scheme), Some(at)) if scheme < at => text[at..].into(),
            _ => text.as_ref().into(),
        },
        DeValue::Integer(number) => number.to_string().into(),
        DeValue::Float(number) => number.to_string().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(time) => time.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (root, errors) = DeTable::parse_recoverable(text);
        redact(text, root.get_ref(), !errors.is_empty())
    }

    #[test]
    fn secrets_are_overwritten_and_the_rest_stays() {
        for (text, expected) in [
            ("access_token = \"abc\"", "access_token = \"***\""),
            ("access_token = \"${TOKEN}\"", "access_token = \"${TOKEN}\""),
            (
                "webhook_secrets = [\"a\", \"${B}\"]",
                "webhook_secrets = [\"*\", \"${B}\"]",
            ),
            ("api_key = 12345", "api_key = *****"),
            ("api_key_file = \"keys/odoo\"", "api_key_file = \"keys/odoo\""),
            (
                "api_key_expires = \"2026-12-01\"",
                "api_key_expires = \"2026-12-01\"",
            ),
            (
                "url = \"postgres://me:pw@db/x\"",
                "url = \"postgres://*****@db/x\"",
            ),
            ("domain = \"shpat_0123\"", "domain = \"**********\""),
            ("headers = { X-Gate = \"abc\" }", "headers = { X-Gate = \"***\" }"),
            // Broken files: no values to go by.
            ("access_token = \"abc", "access_token = \"***"),
            ("acess_tkn \"shpat_0123", "acess_tkn \"**********"),
            ("database = \"prod\"", "database = \"prod\""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            assert_eq!(shown(text).len(), text.len(), "{text}");
        }
    }
}
