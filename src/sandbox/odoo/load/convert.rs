//! Cells to values: each kind of field reads its own text.

use chrono::TimeZone as _;
use serde_json::{Value as Json, json};

use super::{Message, Record, database_id};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::Res;
use crate::sandbox::odoo::external;
use crate::sandbox::odoo::orm::search;
use crate::sandbox::odoo::schema::{Field, Kind, Model};
use crate::sandbox::odoo::value::{DATE, DATETIME, Map, parse_decimal};

/// The values of one record, as `create` and `write` take them.
pub(super) fn values(
    env: &Env<'_>,
    model: &'static Model,
    record: &Record,
    said: &mut Vec<Message>,
) -> Res<Map> {
    let mut vals = Map::new();
    for (path, cell) in &record.cells {
        let Some((name, rest)) = path.split_first() else {
            continue;
        };
        if name == "id" || name == ".id" {
            continue;
        }
        let Some(field) = model.field(name) else { continue };
        if cell.is_empty() {
            vals.insert(name.clone(), Json::Bool(false));
            continue;
        }
        match scalar(env, field, rest.first().map(String::as_str), cell)? {
            Ok(json) => drop(vals.insert(name.clone(), json)),
            Err(message) => {
                if message.kind == "warning" {
                    vals.insert(name.clone(), Json::Bool(true));
                }
                said.push(message);
            }
        }
    }
    for (name, children) in &record.lines {
        let Some(Kind::Many(comodel, _)) = model.field(name).map(|field| field.kind) else {
            continue;
        };
        let comodel = env.model(comodel);
        let mut commands = Vec::new();
        for child in children {
            line(env, comodel, name, child, &mut commands, said)?;
        }
        vals.insert(name.clone(), Json::Array(commands));
    }
    Ok(vals)
}

/// The commands that bring one line about: link and update a known one, create another.
fn line(
    env: &Env<'_>,
    model: &'static Model,
    list: &str,
    record: &Record,
    commands: &mut Vec<Json>,
    said: &mut Vec<Message>,
) -> Res<()> {
    let cell = |name: &str| {
        let found = record
            .cells
            .iter()
            .find(|(path, _)| path.len() == 1 && path[0] == name);
        found
            .map(|(_, cell)| cell.as_str())
            .filter(|cell| !cell.is_empty())
    };
    let mut vals = values(env, model, record, said)?;
    let known = match (cell("id"), cell(".id")) {
        (Some(_), Some(_)) => {
            said.push(Message::error(
                Some(list),
                format!("Ambiguous specification for field '{list}', only provide one of name, external id or database id"),
            ));
            return Ok(());
        }
        (Some(name), None) => match external::resolve(env, name) {
            Some((other, id)) if other == model.name && env.db.exists(model.name, id) => Some(id),
            Some((other, _)) if other != model.name => {
                said.push(Message::error(
                    Some(list),
                    format!(
                        "Invalid external ID {name}: expected model {:?}, found {other:?}",
                        model.name
                    ),
                ));
                return Ok(());
            }
            _ => {
                vals.insert("id".to_owned(), json!(name));
                None
            }
        },
        (None, Some(text)) => {
            let found = database_id(env, model, text)?;
            if found.is_none() {
                said.push(no_match("database id", text, list));
                return Ok(());
            }
            found
        }
        (None, None) => None,
    };
    match known {
        Some(id) => commands.extend([json!([4, id, 0]), json!([1, id, vals])]),
        None => commands.push(json!([0, 0, vals])),
    }
    Ok(())
}

fn no_match(kind: &str, text: &str, field: &str) -> Message {
    Message::error(
        Some(field),
        format!("No matching record found for {kind} '{text}' in field '{field}'"),
    )
}

/// A cell's value, or what is wrong with it. `by` is the part after the slash in the header.
fn scalar(env: &Env<'_>, field: &Field, by: Option<&str>, cell: &str) -> Res<Result<Json, Message>> {
    let label = field.label;
    let bad = |what: &str| {
        Err(Message::error(
            Some(field.name),
            format!("'{cell}' does not seem to be {what} for field '{label}'"),
        ))
    };
    Ok(match field.kind {
        Kind::One(comodel) => reference(env, env.model(comodel), field.name, by, cell)?.map(|id| json!(id)),
        Kind::ManyMany(comodel) | Kind::Many(comodel, _) => {
            let mut ids = Vec::new();
            for part in cell.split(',') {
                match reference(env, env.model(comodel), field.name, by, part.trim())? {
                    Ok(id) => ids.push(id),
                    Err(message) => return Ok(Err(message)),
                }
            }
            Ok(json!([[6, 0, ids]]))
        }
        Kind::Int => match cell.trim().parse::<i64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => bad("an integer"),
        },
        Kind::Float | Kind::Money => match parse_decimal(cell) {
            Some(number) => Ok(json!(number.to_string())),
            None => bad("a number"),
        },
        Kind::Bool => match cell.to_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(json!(true)),
            "0" | "false" | "no" => Ok(json!(false)),
            _ => Err(Message::warning(
                field.name,
                format!("Unknown value '{cell}' for boolean field '{label}', assuming 'yes'"),
            )),
        },
        Kind::Date => match chrono::NaiveDate::parse_from_str(cell, DATE) {
            Ok(_) if cell.len() == 10 => Ok(json!(cell)),
            _ => bad("a valid date"),
        },
        Kind::Datetime => match local_time(env, cell) {
            Some(text) => Ok(json!(text)),
            None => bad("a valid datetime"),
        },
        Kind::Select(options) => match options
            .iter()
            .find(|(value, label)| *value == cell || label.eq_ignore_ascii_case(cell))
        {
            Some((value, _)) => Ok(json!(value)),
            None => Err(Message::error(
                Some(field.name),
                format!("Value '{cell}' not found in selection field '{label}'"),
            )),
        },
        _ => Ok(json!(cell)),
    })
}

/// Text of a moment in the context's time zone, as UTC.
fn local_time(env: &Env<'_>, cell: &str) -> Option<String> {
    let local = match cell.len() {
        10 => chrono::NaiveDate::parse_from_str(cell, DATE)
            .ok()?
            .and_hms_opt(0, 0, 0)?,
        19 => chrono::NaiveDateTime::parse_from_str(cell, DATETIME).ok()?,
        _ => return None,
    };
    let zone = env.context.tz.unwrap_or(chrono_tz::UTC);
    let moment = zone.from_local_datetime(&local).earliest()?;
    Some(moment.naive_utc().format(DATETIME).to_string())
}

/// The id that a cell of a relation means: by external id, by database id or by name.
fn reference(
    env: &Env<'_>,
    model: &'static Model,
    field: &str,
    by: Option<&str>,
    cell: &str,
) -> Res<Result<i64, Message>> {
    Ok(match by {
        Some("id") => match external::resolve(env, cell) {
            Some((other, id)) if other == model.name && env.db.exists(model.name, id) => Ok(id),
            Some((other, _)) if other != model.name => Err(Message::error(
                Some(field),
                format!(
                    "Invalid external ID {cell}: expected model {:?}, found {other:?}",
                    model.name
                ),
            )),
            _ => Err(no_match("external id", cell, field)),
        },
        Some(".id") => database_id(env, model, cell)?.ok_or_else(|| no_match("database id", cell, field)),
        None => {
            let found = search::by_name(env, model, cell, &Json::Null, "=", None)?;
            found
                .first()
                .copied()
                .ok_or_else(|| no_match("name", cell, field))
        }
        Some(_) => Err(Message::error(
            Some(field),
            "Can not create Many-To-One records indirectly, import the field separately",
        )),
    })
}
