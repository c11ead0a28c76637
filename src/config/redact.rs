//! Keeps secrets out of what is shown of a configuration file: the excerpts under a caret, and the configuration's hash.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::followed::{Followed, is_told_by_content};

/// Whether values of this key are secrets (or may hold one).
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.ends_with("_file") || key.ends_with("_files") || key.ends_with("_expires") {
        return false;
    }
    ["token", "secret", "key", "passw", "headers", "chat_url", "bearer"]
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
    for (key, value) in root {
        if let Some(shops) = shops(key.get_ref(), value) {
            shops
                .iter()
                .for_each(|(_, shop)| redact_value(shop, false, &mut bytes));
        } else if let Some(notify) = notify(key.get_ref(), value) {
            redact_notify(notify, &mut bytes);
        } else {
            redact_value(value, is_secret(key.get_ref()), &mut bytes);
        }
    }
    redact_lines(&mut bytes, broken);
    // Only whole values and rests of lines are overwritten, both of which end between characters.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The same of a file that is no TOML, e.g. a template.
pub(super) fn redact_other(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    redact_lines(&mut bytes, true);
    // As above.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The table of shops, whose keys are names that people chose: `hockey` holds no key.
fn shops<'v, 't>(key: &str, value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(shops) if key == "shops" => Some(shops),
        _ => None,
    }
}

/// `[notify]`, whose endpoints have names that people chose, too.
fn notify<'v, 't>(key: &str, value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(notify) if key == "notify" => Some(notify),
        _ => None,
    }
}

/// Whether values of this key of an endpoint are secrets: the addresses of chats and automation services are, as a whole.
fn is_secret_of_endpoint(key: &str) -> bool {
    key == "url" || is_secret(key)
}

fn redact_notify(notify: &DeTable<'_>, bytes: &mut [u8]) {
    for (key, value) in notify {
        let DeValue::Table(endpoints) = value.get_ref() else {
            redact_value(value, is_secret(key.get_ref()), bytes);
            continue;
        };
        for endpoint in endpoints.values() {
            let DeValue::Table(keys) = endpoint.get_ref() else {
                redact_value(endpoint, false, bytes);
                continue;
            };
            for (key, value) in keys {
                redact_value(value, is_secret_of_endpoint(key.get_ref()), bytes);
            }
        }
    }
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
/// are no values to go by: what follows a key that is a secret's goes too, whatever stands between them, up to the end of
/// the line or of the list that begins there.
fn redact_lines(bytes: &mut [u8], broken: bool) {
    let mut inside_list = false;
    let mut inside_endpoint = false;
    for line in bytes.split_mut(|b| *b == b'\n') {
        for word in line.split_mut(|b| !b.is_ascii_alphanumeric() && *b != b'_') {
            if std::str::from_utf8(word).is_ok_and(looks_secret) {
                word.fill(b'*');
            }
        }
        if !broken {
            continue;
        }
        let text = line.trim_ascii_start();
        if text.starts_with(b"[") && !inside_list {
            inside_endpoint = text.starts_with(b"[notify");
        }
        let begins = if inside_list {
            Some(0)
        } else {
            secret_begins(line, inside_endpoint)
        };
        if let Some(from) = begins {
            inside_list = (inside_list || line[from..].contains(&b'[')) && !line[from..].contains(&b']');
            overwrite(&mut line[from..]);
        }
    }
}

/// Where the value begins on a line whose first word is a secret's key. A header (`[shops.hockey]`) names no key.
fn secret_begins(line: &[u8], inside_endpoint: bool) -> Option<usize> {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let start = line
        .iter()
        .position(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\''))?;
    let length = line[start..].iter().take_while(|b| is_word(b)).count();
    let key = std::str::from_utf8(&line[start..start + length]).ok()?;
    if !(is_secret(key) || inside_endpoint && is_secret_of_endpoint(key)) {
        return None;
    }
    // One sign between key and value is worth seeing: it may be what is wrong.
    let behind = &line[start + length..];
    let gap = behind
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'"' | b'\''))
        .count();
    let sign = behind.get(gap).is_some_and(|b| matches!(b, b'=' | b':'));
    Some(start + length + if sign { gap + 1 } else { 0 })
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
            b'"' | b'\'' | b' ' | b'[' | b']' | b'{' | b'}' | b',' | b'\r' | b'\n'
        ) {
            place[at] = b'*';
        }
        at += 1;
    }
}

fn find(place: &[u8], word: &[u8]) -> Option<usize> {
    place.windows(word.len()).position(|window| window == word)
}

/// Whether the value names a file: where a node keeps it is its own affair.
fn names_a_file(key: &str) -> bool {
    key.ends_with("_file") || key.ends_with("_files")
}

/// The prepared tree as JSON with sorted keys, without secrets and the places of files, for the configuration's hash. Of endpoints,
/// what decides who is sent what is in it all the same, as hashes: all nodes must mean the same receiver.
pub(super) fn public_json(root: &DeTable<'_>, followed: &Followed) -> serde_json::Value {
    root.iter()
        .filter(|(key, _)| !is_secret(key.get_ref()))
        .map(|(key, value)| {
            let public = if let Some(shops) = shops(key.get_ref(), value) {
                shops
                    .iter()
                    .map(|(name, value)| (name.get_ref().to_string(), public_value(value.get_ref())))
                    .collect()
            } else if let Some(notify) = notify(key.get_ref(), value) {
                public_notify(notify, followed)
            } else {
                public_value(value.get_ref())
            };
            (key.get_ref().to_string(), public)
        })
        .collect()
}

fn public_notify(notify: &DeTable<'_>, followed: &Followed) -> serde_json::Value {
    notify
        .iter()
        .map(|(key, value)| {
            let public = match value.get_ref() {
                DeValue::Table(endpoints) => endpoints
                    .iter()
                    .map(|(name, endpoint)| {
                        let public = match endpoint.get_ref() {
                            DeValue::Table(keys) => public_endpoint(keys, followed),
                            other => public_value(other),
                        };
                        (name.get_ref().to_string(), public)
                    })
                    .collect(),
                value => public_value(value),
            };
            (key.get_ref().to_string(), public)
        })
        .collect()
}

/// What all nodes must agree on of an endpoint. Its address and headers are secrets, and stand there as hashes; what its files
/// with the address and the template hold does, too. Of all other files it is what they are called: where a node keeps them is its
/// own affair, and what they hold is read again when it changes. Secrets themselves are left out.
fn public_endpoint(keys: &DeTable<'_>, followed: &Followed) -> serde_json::Value {
    keys.iter()
        .filter_map(|(key, value)| {
            let (key, value) = (key.get_ref(), value.get_ref());
            let public = match value {
                _ if matches!(&**key, "url" | "headers") => sha256(&whole_value(value)).into(),
                _ if is_secret(key) => return None,
                DeValue::String(path) if is_told_by_content(key) => followed.content(path).into(),
                _ if names_a_file(key) => called(value),
                DeValue::Table(keys) => public_endpoint(keys, followed),
                value => public_value(value),
            };
            Some((key.to_string(), public))
        })
        .collect()
}

/// The names of files without their folders.
fn called(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::Array(items) => items.iter().map(|item| called(item.get_ref())).collect(),
        DeValue::String(path) => Path::new(&**path)
            .file_name()
            .map(|name| name.to_string_lossy())
            .into(),
        _ => serde_json::Value::Null,
    }
}

fn sha256(value: &serde_json::Value) -> String {
    hex::encode(Sha256::digest(value.to_string()))
}

/// A value with everything that is in it, to be hashed.
fn whole_value(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), whole_value(value.get_ref())))
            .collect(),
        DeValue::Array(items) => items.iter().map(|item| whole_value(item.get_ref())).collect(),
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => number.to_string().into(),
        DeValue::Float(number) => number.to_string().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(time) => time.to_string().into(),
    }
}

fn public_table(table: &DeTable<'_>) -> serde_json::Value {
    table
        .iter()
        .filter(|(key, _)| !is_secret(key.get_ref()) && !names_a_file(key.get_ref()))
        .map(|(key, value)| (key.get_ref().to_string(), public_value(value.get_ref())))
        .collect()
}

fn public_value(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::Table(table) => public_table(table),
        DeValue::Array(items) => items.iter().map(|item| public_value(item.get_ref())).collect(),
        DeValue::String(text) => match (text.find("://"), text.rfind('@')) {
            (Some(scheme), Some(at)) if scheme < at => text[at..].into(),
            _ => text.as_ref().into(),
        },
        other => whole_value(other),
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
            ("access_token: hunter2", "access_token: *******"),
            ("access_token hunter2", "access_token *******"),
            ("  \"access_token\": hunter2", "  \"access_token\": *******"),
            (
                "webhook_secrets = [\n'a',\n'b'\n]\nx y",
                "webhook_secrets = [\n'*',\n'*'\n]\nx y",
            ),
            // Names of shops are no keys.
            (
                "[shops.hockey]\ndomain = \"a\"\naccess_token = \"a\"",
                "[shops.hockey]\ndomain = \"a\"\naccess_token = \"*\"",
            ),
            ("[shops.hockey\ndomain = \"a\"", "[shops.hockey\ndomain = \"a\""),
            // Nor are those of endpoints; their addresses are secrets.
            (
                "[notify.endpoints.token-log]\nevents = [\"a\"]\nurl = \"a://b\"\nauth = { bearer = \"c\" }",
                "[notify.endpoints.token-log]\nevents = [\"a\"]\nurl = \"*****\"\nauth = { bearer = \"*\" }",
            ),
            (
                "[notify.endpoints.a\nurl = \"a://b\"\n[shops.b]\nurl = \"a://b\"",
                "[notify.endpoints.a\nurl = \"*****\"\n[shops.b]\nurl = \"a://b\"",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            assert_eq!(shown(text).len(), text.len(), "{text}");
        }
    }
}
