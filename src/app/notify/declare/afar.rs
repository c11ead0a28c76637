//! What may be declared by somebody who is not at the machine: nothing that reads it. An endpoint sends to an address of one's own
//! choice what its template, its headers and its credentials hold, and a refusal quotes what was written: so a variable of the
//! environment or a file that is named over the network would be told to whoever may declare endpoints, and nothing else.

use serde_json::{Map, Value};

use super::DeclareError;
use crate::config::is_path;

/// What an endpoint is sent besides what was told, and is a secret of its receiver.
const CREDENTIALS: [&str; 2] = ["auth", "headers"];

/// Refuses files and variables that the endpoint does not name at the same key already, and another address for credentials that stay.
pub(super) fn checked(values: &Map<String, Value>, now: &Map<String, Value>) -> Result<(), DeclareError> {
    let moves = values.get("url").is_some_and(|url| now.get("url") != Some(url));
    let stays = |key: &&str| now.contains_key(*key) && values.get(*key) != Some(&Value::Null);
    if moves && let Some(key) = CREDENTIALS.iter().find(|key| stays(key)) {
        return Err(DeclareError::Afar {
            key: (*key).to_owned(),
            what: "credentials, which would go to another address (take them out first)",
        });
    }
    named(values, now)
}

fn named(values: &Map<String, Value>, now: &Map<String, Value>) -> Result<(), DeclareError> {
    for (key, value) in values {
        let there = now.get(key);
        if let Value::Object(inner) = value {
            let nothing = Map::new();
            named(inner, there.and_then(Value::as_object).unwrap_or(&nothing))?;
            continue;
        }
        let known = there.map(texts).unwrap_or_default();
        for text in texts(value).into_iter().filter(|text| !known.contains(text)) {
            let what = if is_path(key) {
                "a file"
            } else if names_variable(text) {
                "a variable of the environment (for the two characters `${` write `$${`)"
            } else {
                continue;
            };
            return Err(DeclareError::Afar {
                key: key.clone(),
                what,
            });
        }
    }
    Ok(())
}

/// The texts in a value and in its lists.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        // Lists hold no tables here: the configuration is refused then.
        _ => Vec::new(),
    }
}

/// Whether the configuration would fill something in. `$${` stands for `${`.
fn names_variable(text: &str) -> bool {
    text.replace("$${", "").contains("${")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(values: &Value, now: &Value) -> Result<(), String> {
        let object = |value: &Value| value.as_object().unwrap().clone();
        checked(&object(values), &object(now)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_reads_the_machine_is_named_at_the_machine() {
        let now = json!({
            "url": "https://example.com/in", "secrets_files": ["a.secret", "b.secret"], "auth": { "bearer_file": "token" }, "headers": { "X-Key": "${KEY}" }
        });
        for refused in [
            json!({ "template_file": "lockstep.toml" }),
            json!({ "body": { "template_file": "/proc/self/environ" } }),
            json!({ "secrets_files": ["a.secret", "c.secret"] }),
            json!({ "auth": { "bearer_file": "other" } }),
            json!({ "auth": { "password_file": "token" } }),
            json!({ "events": ["order.*", "${KEY}"] }),
            json!({ "events": [["${KEY}"]] }),
            json!({ "url": "https://example.com/${KEY}" }),
            json!({ "headers": { "X-Key": "${OTHER}" } }),
            json!({ "headers": { "X-Other": "${KEY}" } }),
            json!({ "headers": { "X-Key": "$${${KEY}" } }),
            json!({ "url": "https://example.com/elsewhere" }),
            json!({ "url": "https://example.com/elsewhere", "auth": null }),
        ] {
            let error = check(&refused, &now).unwrap_err();
            assert!(error.contains("at the machine"), "{refused}: {error}");
        }
        for allowed in [
            json!({ "secrets_files": ["b.secret"] }),
            json!({ "secrets_files": null, "auth": null, "headers": { "X-Key": null } }),
            json!({ "auth": { "bearer_file": "token" }, "headers": { "X-Key": "${KEY}" } }),
            json!({ "body": { "template": "a $${KEY} costs $5" }, "rate": "5/s", "batch": 5 }),
            json!({ "url": "https://example.com/in" }),
            json!({ "url": "https://example.com/elsewhere", "auth": null, "headers": null }),
        ] {
            assert_eq!(check(&allowed, &now), Ok(()), "{allowed}");
        }
    }
}
