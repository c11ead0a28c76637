//! `load`: the import that creates and updates by external id.
//!
//! Rows of text cells become records; rows without cells of their own continue the record above with more lines. One
//! bad cell stops everything: errors come back as a normal result with `ids: false`, and nothing is stored.

use serde_json::{Value as Json, json};

use super::env::Env;
use super::error::{OdooError, Res};
use super::external;
use super::orm::{search, write};
use super::schema::{Kind, Model};

mod convert;

/// A column: the path of its header.
type Path = Vec<String>;

/// One problem with one record.
#[derive(Debug)]
pub(super) struct Message {
    /// `error` or `warning`.
    kind: &'static str,
    field: Option<String>,
    text: String,
}

impl Message {
    fn error(field: Option<&str>, text: impl Into<String>) -> Self {
        Self {
            kind: "error",
            field: field.map(str::to_owned),
            text: text.into(),
        }
    }

    fn warning(field: &str, text: impl Into<String>) -> Self {
        Self {
            kind: "warning",
            field: Some(field.to_owned()),
            text: text.into(),
        }
    }

    fn show(&self, record: usize, rows: (usize, usize)) -> Json {
        let mut shown = json!({
            "type": self.kind, "message": self.text, "record": record, "rows": {"from": rows.0, "to": rows.1},
        });
        if let (Some(field), Some(map)) = (&self.field, shown.as_object_mut()) {
            map.insert("field".to_owned(), json!(field));
        }
        shown
    }
}

/// One record of an import: the cells of its first row, and for each list of lines the rows that hold them.
#[derive(Debug)]
struct Record {
    cells: Vec<(Path, String)>,
    lines: Vec<(String, Vec<Record>)>,
    rows: (usize, usize),
}

/// Loads `rows` under the headers `fields`.
pub(super) fn load(env: &mut Env<'_>, model: &'static Model, fields: &Json, rows: &Json) -> Res<Json> {
    let headers: Vec<Path> = strings(fields)
        .iter()
        .map(|header| header.split('/').map(str::to_owned).collect())
        .collect();
    for header in &headers {
        check_header(env, model, header)?;
    }
    let table: Vec<Vec<String>> = rows
        .as_array()
        .map(|rows| rows.iter().map(strings).collect())
        .unwrap_or_default();
    let columns: Vec<(usize, Path)> = headers.into_iter().enumerate().collect();
    let numbered: Vec<(usize, &Vec<String>)> = table.iter().enumerate().collect();
    let records = split(env, model, &columns, &numbered);
    let savepoint = env.db.savepoint();
    let (mut ids, mut messages) = (Vec::new(), Vec::new());
    for (at, record) in records.iter().enumerate() {
        let mut said = Vec::new();
        let stored = store(env, model, record, &mut said);
        match stored {
            Ok(Some(id)) => ids.push(id),
            Ok(None) => {}
            Err(error) => said.push(Message::error(None, readable(&error))),
        }
        messages.extend(said.iter().map(|message| message.show(at, record.rows)));
    }
    if messages.iter().any(|message| message["type"] == "error") {
        env.db.rollback(savepoint);
        env.stale_orders.clear();
        env.stale_moves.clear();
        env.stale_templates.clear();
        env.created_orders.clear();
        env.confirmed_orders.clear();
        return Ok(json!({"ids": false, "messages": messages, "nextrow": 0}));
    }
    Ok(json!({"ids": ids, "messages": messages, "nextrow": 0}))
}

/// What a failed write says in the list of messages.
fn readable(error: &OdooError) -> String {
    match error.message.split_once("\nField: ") {
        Some((_, field)) => {
            format!(
                "Missing required value for the field '{}",
                field.trim().replacen(" (", "' (", 1)
            )
        }
        None => error.message.trim().to_owned(),
    }
}

/// Text of each cell: tolerant of numbers and nothing.
fn strings(json: &Json) -> Vec<String> {
    let cell = |json: &Json| match json {
        Json::String(text) => text.clone(),
        Json::Null | Json::Bool(false) => String::new(),
        other => other.to_string(),
    };
    json.as_array()
        .map(|cells| cells.iter().map(cell).collect())
        .unwrap_or_default()
}

fn check_header(env: &Env<'_>, model: &'static Model, path: &[String]) -> Res<()> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    if name == ".id" || name == "id" {
        return Ok(());
    }
    let field = model
        .field(name)
        .ok_or_else(|| OdooError::value(format!("Invalid field '{name}' on model '{}'", model.name)))?;
    match field.kind.comodel() {
        Some(comodel) => check_header(env, env.model(comodel), rest),
        None if rest.is_empty() => Ok(()),
        None => Err(OdooError::value(format!(
            "Invalid field '{}' on model '{}'",
            path.join("/"),
            model.name
        ))),
    }
}

/// Groups rows into records: a row with line cells only continues the record above.
fn split(
    env: &Env<'_>,
    model: &'static Model,
    columns: &[(usize, Path)],
    rows: &[(usize, &Vec<String>)],
) -> Vec<Record> {
    let is_line = |path: &Path| {
        model
            .field(&path[0])
            .is_some_and(|field| matches!(field.kind, Kind::Many(..)))
    };
    let (lines, own): (Vec<_>, Vec<_>) = columns.iter().partition(|(_, path)| is_line(path));
    let filled = |row: &[String], columns: &[&(usize, Path)]| {
        columns
            .iter()
            .any(|(at, _)| row.get(*at).is_some_and(|cell| !cell.is_empty()))
    };
    let mut records: Vec<Record> = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let continues = |row: &&(usize, &Vec<String>)| filled(row.1, &lines) && !filled(row.1, &own);
        let span = 1 + rows[start + 1..].iter().take_while(continues).count();
        let group = &rows[start..start + span];
        let first = group[0].1;
        let cell = |at: usize| first.get(at).cloned().unwrap_or_default();
        let cells = own.iter().map(|(at, path)| (path.clone(), cell(*at))).collect();
        let mut children: Vec<(String, Vec<Record>)> = Vec::new();
        for (_, path) in &lines {
            if children.iter().any(|(name, _)| *name == path[0]) {
                continue;
            }
            let Some(Kind::Many(comodel, _)) = model.field(&path[0]).map(|field| field.kind) else {
                continue;
            };
            let inner: Vec<(usize, Path)> = lines
                .iter()
                .filter(|(_, other)| other[0] == path[0])
                .map(|(at, other)| {
                    (
                        *at,
                        if other.len() > 1 {
                            other[1..].to_vec()
                        } else {
                            vec!["id".to_owned()]
                        },
                    )
                })
                .collect();
            let used: Vec<(usize, &Vec<String>)> = group
                .iter()
                .filter(|(_, row)| {
                    inner
                        .iter()
                        .any(|(at, _)| row.get(*at).is_some_and(|cell| !cell.is_empty()))
                })
                .copied()
                .collect();
            children.push((path[0].clone(), split(env, env.model(comodel), &inner, &used)));
        }
        records.push(Record {
            cells,
            lines: children,
            rows: (group[0].0, group[span - 1].0),
        });
        start += span;
    }
    records
}

/// Creates or updates one record; `None` when messages say why not.
fn store(
    env: &mut Env<'_>,
    model: &'static Model,
    record: &Record,
    said: &mut Vec<Message>,
) -> Res<Option<i64>> {
    let cell = |name: &str| {
        record
            .cells
            .iter()
            .find(|(path, _)| path.len() == 1 && path[0] == name)
            .map(|(_, cell)| cell.as_str())
    };
    let external_id = cell("id").filter(|cell| !cell.is_empty());
    let vals = convert::values(env, model, record, said)?;
    let given = cell(".id").filter(|cell| !cell.is_empty());
    let database_id = given
        .and_then(|text| text.trim().parse().ok())
        .filter(|id| env.db.exists(model.name, *id));
    if let (Some(text), None) = (given, database_id) {
        said.push(Message::error(
            Some(".id"),
            format!("Unknown database identifier '{text}'"),
        ));
    }
    if said.iter().any(|message| message.kind == "error") {
        return Ok(None);
    }
    let Some(name) = external_id else {
        return match database_id {
            Some(id) => write::write(env, model, &[id], &vals).map(|()| Some(id)),
            None => write::create(env, model, &vals).map(Some),
        };
    };
    // Beside an external id the database id is ignored.
    if external::lost_race(env, name) {
        return Err(OdooError::serialization());
    }
    match external::resolve(env, name) {
        Some((other, id)) if other != model.name => Err(OdooError::validation(format!(
            "For external id {name} when trying to create/update a record of model {} found record of different model {other} ({id})",
            model.name
        ))),
        Some((_, id)) if env.db.exists(model.name, id) => {
            write::write(env, model, &[id], &vals)?;
            Ok(Some(id))
        }
        _ => {
            let id = write::create(env, model, &vals)?;
            external::attach(env, name, model.name, id)?;
            Ok(Some(id))
        }
    }
}

/// The record that a reference in a cell means, if there is one.
fn database_id(env: &Env<'_>, model: &'static Model, text: &str) -> Res<Option<i64>> {
    let Ok(id) = text.trim().parse::<i64>() else {
        return Ok(None);
    };
    let found = search::search(env, model, &json!([["id", "=", id]]), &search::Page::default())?;
    Ok(found.first().copied())
}
