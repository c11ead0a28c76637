//! The filter `json_lines`: a list as text, a line for each of its items and a JSON object on each line, so that people can
//! read it in one field and programs take it apart.

use minijinja::Value;

use super::filter_work::{items, str_of};
use super::filters::{Arg, list_of};
use super::types::{Kind, Typed};
use super::value::{Parts, canonical_text, nothing, value_is_empty};

/// The parts must be named in writing, and be no lists or records themselves.
pub(super) fn check(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    if args.is_empty() || args.iter().any(|arg| arg.text.is_none()) {
        return Err("it takes the names of parts, e.g. `json_lines('gateway', 'amount')`".to_owned());
    }
    let fields = match list_of(input)?.kind {
        Kind::Record(fields) => fields,
        Kind::Any => return Ok(Typed::maybe(Kind::Text)),
        _ => return Err("the items of this list have no parts".to_owned()),
    };
    let names: Vec<&str> = fields.iter().map(|(known, _)| known.as_str()).collect();
    for name in args.iter().filter_map(|arg| arg.text.as_deref()) {
        let part = fields.iter().find(|(known, _)| known == name);
        let Some((_, typed)) = part else {
            let hint = super::diagnose::hint(name, &names).unwrap_or_default();
            return Err(format!("its items have no `{name}`; {hint}"));
        };
        if matches!(typed.kind, Kind::List(_) | Kind::Record(_)) {
            return Err(format!("the part `{name}` is {typed}, which is no single value"));
        }
    }
    Ok(Typed::maybe(Kind::Text))
}

/// Parts that are empty are left out; amounts are texts, so that nobody reads them as inexact numbers.
pub(super) fn run(value: &Value, args: &[Value]) -> Result<Value, String> {
    let mut lines = Vec::new();
    for item in items(value)? {
        let Some(parts) = item.downcast_object_ref::<Parts>() else {
            continue;
        };
        let mut pairs = Vec::with_capacity(args.len());
        for name in args {
            let name = str_of(name)?;
            let Some(part) = parts.get(name).filter(|part| !value_is_empty(part)) else {
                continue;
            };
            let shown = match bool::try_from(part.clone()) {
                Ok(yes) => serde_json::Value::from(yes),
                Err(_) => serde_json::Value::from(canonical_text(part)),
            };
            pairs.push(format!("{}: {shown}", serde_json::Value::from(name)));
        }
        lines.push(format!("{{{}}}", pairs.join(", ")));
    }
    Ok(if lines.is_empty() {
        nothing()
    } else {
        Value::from(lines.join("\n"))
    })
}
