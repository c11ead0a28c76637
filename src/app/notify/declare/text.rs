//! The text of the configuration with one endpoint declared, changed or taken out, and nothing else.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::DeclareError;
use crate::app::edit::{insert, marked, rewritten, unmarked};

const NOTIFY: &str = "notify";
const ENDPOINTS: &str = "endpoints";

/// Refuses what a configuration cannot hold.
pub(super) fn checked(values: &Map<String, Value>) -> Result<(), DeclareError> {
    for (key, value) in values {
        if !value.is_null() {
            written(value).map_err(|reason| DeclareError::Value {
                key: key.clone(),
                reason,
            })?;
        }
    }
    Ok(())
}

/// What a text says of an endpoint, as it is written; nothing of one that is not there.
pub(super) fn endpoint(text: &str, endpoint: &str) -> Map<String, Value> {
    let section = read(text).and_then(|root| {
        let section = root.get(NOTIFY)?.get(ENDPOINTS)?.get(endpoint)?;
        section.as_object().cloned()
    });
    section.unwrap_or_default()
}

/// The text with these values at an endpoint, or what is in the way.
pub(super) fn with(text: &str, endpoint: &str, values: &Map<String, Value>) -> Result<String, String> {
    let (is_marked, body) = unmarked(text);
    let new = rewritten(body, |document| {
        let endpoints = endpoints(document)?;
        if endpoints.get(endpoint).is_none() {
            let section = if endpoints.is_inline_table() {
                toml_edit::value(InlineTable::new())
            } else {
                Item::Table(Table::new())
            };
            insert(endpoints, endpoint, section)?;
        }
        let section = endpoints.get_mut(endpoint).ok_or("the endpoint is not found")?;
        merge(section, values)
    })?;
    Ok(marked(is_marked, new))
}

/// The text without an endpoint, or what is in the way.
pub(super) fn without(text: &str, endpoint: &str) -> Result<String, String> {
    let (is_marked, body) = unmarked(text);
    let new = rewritten(body, |document| {
        let endpoints = endpoints(document)?
            .as_table_like_mut()
            .ok_or("`endpoints` is no table")?;
        endpoints.remove(endpoint);
        Ok(())
    })?;
    Ok(marked(is_marked, new))
}

/// Whether the new text says what the old one does but for these values of an endpoint, or for the endpoint as a whole.
pub(super) fn means(old: &str, new: &str, endpoint: &str, values: Option<&Map<String, Value>>) -> bool {
    let (Some(mut expected), Some(mut found)) = (read(old), read(new)) else {
        return false;
    };
    let notify = entry(&mut expected, NOTIFY);
    let endpoints = entry(notify, ENDPOINTS);
    match values {
        Some(values) => merged(entry(endpoints, endpoint), values),
        None => drop(endpoints.remove(endpoint)),
    }
    // A table that is not there says what an empty one does.
    entry(entry(&mut found, NOTIFY), ENDPOINTS);
    expected == found
}

/// The table that holds the endpoints; made where there is none.
fn endpoints(document: &mut DocumentMut) -> Result<&mut Item, String> {
    let root = document.as_item_mut();
    let notify = table_in(root, NOTIFY)?;
    table_in(notify, ENDPOINTS)
}

fn table_in<'i>(parent: &'i mut Item, key: &str) -> Result<&'i mut Item, String> {
    if parent.get(key).is_none() {
        let table = if parent.is_inline_table() {
            toml_edit::value(InlineTable::new())
        } else {
            // Without a header of its own.
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        };
        insert(parent, key, table)?;
    }
    parent.get_mut(key).ok_or_else(|| format!("`{key}` is not found"))
}

/// Gives keys other values; comments beside them stay.
fn merge(table: &mut Item, values: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in values {
        let like = table
            .as_table_like_mut()
            .ok_or_else(|| format!("what should hold `{key}` is no table"))?;
        match value {
            Value::Null => drop(like.remove(key)),
            Value::Object(inner) if like.get(key).is_some_and(Item::is_table_like) => {
                let item = like.get_mut(key).ok_or_else(|| format!("`{key}` is not found"))?;
                merge(item, inner)?;
            }
            value => {
                let new = written(value)?;
                match place_of(like, key) {
                    Some(there) => {
                        let decor = there.decor().clone();
                        *there = new;
                        *there.decor_mut() = decor;
                    }
                    None => insert(table, key, Item::Value(new))?,
                }
            }
        }
    }
    Ok(())
}

fn place_of<'t>(table: &'t mut dyn TableLike, key: &str) -> Option<&'t mut toml_edit::Value> {
    table.get_mut(key)?.as_value_mut()
}

/// A value as the file holds it. A null within a table is left out.
fn written(value: &Value) -> Result<toml_edit::Value, String> {
    Ok(match value {
        Value::Null => return Err("a list cannot hold null".to_owned()),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(broken)) if !number.is_u64() => broken.into(),
            _ => return Err(format!("{number} is too large")),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => {
            let items: Result<Array, String> = items.iter().map(written).collect();
            items?.into()
        }
        Value::Object(inner) => {
            let mut table = InlineTable::new();
            for (key, value) in inner.iter().filter(|(_, value)| !value.is_null()) {
                table.insert(key, written(value)?);
            }
            table.into()
        }
    })
}

/// The same change in what a text says.
fn merged(table: &mut Map<String, Value>, values: &Map<String, Value>) {
    for (key, value) in values {
        match (value, table.get_mut(key)) {
            (Value::Null, _) => drop(table.remove(key)),
            (Value::Object(inner), Some(Value::Object(there))) => merged(there, inner),
            (Value::Object(inner), _) => {
                let mut made = Map::new();
                merged(&mut made, inner);
                table.insert(key.clone(), Value::Object(made));
            }
            _ => drop(table.insert(key.clone(), value.clone())),
        }
    }
}

/// What a text says.
fn read(text: &str) -> Option<Map<String, Value>> {
    match toml::from_str(unmarked(text).1).ok()? {
        Value::Object(root) => Some(root),
        _ => None,
    }
}

/// The table at a key; made where there is none.
fn entry<'t>(table: &'t mut Map<String, Value>, key: &str) -> &'t mut Map<String, Value> {
    let value = table.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(table) => table,
        _ => unreachable!("it was just made one"),
    }
}
