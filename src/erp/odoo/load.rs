//! Writing through Odoo's `load`: the one way that is idempotent by external id.
//!
//! `load` takes a table of texts. All rows share the columns, an empty cell of a present column *is* a value (a price of
//! 0, no taxes), and lines follow their record in rows whose other cells are empty. So a column is sent only for fields
//! that are meant to be set: records are grouped by equal sets of columns, and lines of one record that set different
//! fields need one call per set. The first call carries the record itself; repeating all of them is always safe.
//!
//! Planning is pure; only [`read_result`] looks at an answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fault::{is_lost_race, short};
use super::names::wire_name;
use super::value::cell;
use crate::domain::{ErpId, ExternalId, FieldValue, Fields};
use crate::erp::{ErpError, FieldTable, Save};

/// The hidden field whose marker keeps Odoo from replacing a price that was given (18, 19). Without it, any later write
/// of the quantity by anybody recomputes the price.
const PRICE_MARKER: &str = "technical_price_unit";

/// Telling sections and notes from lines of a product.
const DISPLAY: &str = "display_type";

/// One call of `load`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) model: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Which of the saves its records are, in order.
    pub(super) saves: Vec<usize>,
}

impl Batch {
    /// The arguments of `load`.
    pub(super) fn arguments(&self) -> (Value, Value) {
        (json!(self.columns), json!(self.rows))
    }

    /// Whether records are named by their database ids.
    pub(super) fn names_records(&self) -> bool {
        let by_id = |column: &String| column == ".id" || column.ends_with("/.id");
        self.columns.iter().any(by_id)
    }
}

/// Column and cell of each field.
pub(super) type Cells = BTreeMap<String, String>;

/// The name of our record in Odoo: `__lockstep_SHOP__.NAME`.
pub(super) fn full_name(id: &ExternalId) -> String {
    format!("{}.{}", module(id), id.name)
}

/// The module that holds a shop's names.
pub(super) fn module(id: &ExternalId) -> String {
    format!("__lockstep_{}__", id.shop)
}

/// The external id that Odoo's full name stands for, when it is one of lockstep's.
pub(super) fn parse_name(full: &str) -> Option<ExternalId> {
    let (module, name) = full.split_once('.')?;
    let shop = module.strip_prefix("__lockstep_")?.strip_suffix("__")?;
    ExternalId::new(&shop.parse().ok()?, name).ok()
}

/// The calls that carry out `saves`, for a server of version `major`. `table` gives the fields of each model.
pub(super) fn plan<'a>(
    major: u32,
    saves: &[Save],
    table: impl Fn(&str) -> Option<&'a FieldTable>,
) -> Result<Vec<Batch>, ErpError> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut further: Vec<Batch> = Vec::new();
    for (index, save) in saves.iter().enumerate() {
        let empty = FieldTable::default();
        let header = cells(
            major,
            &save.model,
            table(&save.model).unwrap_or(&empty),
            &save.fields,
        )?;
        let groups = match &save.lines {
            None => Vec::new(),
            Some(lines) => {
                let table = table(&lines.model).unwrap_or(&empty);
                let mut rows = Vec::with_capacity(lines.rows.len());
                for (id, fields) in &lines.rows {
                    let mut row = cells(major, &lines.model, table, fields)?;
                    if row.contains_key("price_unit") && table.0.contains_key(PRICE_MARKER) {
                        row.entry(PRICE_MARKER.to_owned())
                            .or_insert_with(|| "-1".to_owned());
                    }
                    rows.push((full_name(id), row));
                }
                group(rows)
            }
        };
        let field = save.lines.as_ref().map_or("", |lines| lines.field.as_str());
        let mut groups = groups.into_iter();
        let first = groups.next().unwrap_or_default();
        push(&mut batches, index, save, header, field, first);
        for lines in groups {
            push(&mut further, index, save, Cells::new(), field, lines);
        }
    }
    batches.append(&mut further);
    Ok(batches)
}

/// The lines of one call: all with the same columns.
#[derive(Default)]
struct Group {
    columns: Vec<String>,
    rows: Vec<(String, Cells)>,
}

/// Lines by equal sets of columns, in order of appearance; the largest set first. Sections and notes join it, with
/// empty cells for what they do not have.
fn group(rows: Vec<(String, Cells)>) -> Vec<Group> {
    let is_display = |row: &Cells| row.get(DISPLAY).is_some_and(|kind| !kind.is_empty());
    let mut groups: Vec<Group> = Vec::new();
    let mut displays = Vec::new();
    for (position, (id, mut row)) in rows.into_iter().enumerate() {
        if is_display(&row) {
            displays.push((position, id, row));
            continue;
        }
        // No display type is what every line of a product has.
        row.remove(DISPLAY);
        let columns: Vec<String> = row.keys().cloned().collect();
        match groups.iter_mut().find(|group| group.columns == columns) {
            Some(group) => group.rows.push((id, row)),
            None => groups.push(Group {
                columns,
                rows: vec![(id, row)],
            }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.columns.len()));
    for (position, id, row) in displays {
        let joins = groups.first().is_some_and(|first| {
            row.keys()
                .all(|column| column == DISPLAY || first.columns.contains(column))
        });
        if joins && let Some(first) = groups.first_mut() {
            if !first.columns.iter().any(|column| column == DISPLAY) {
                first.columns.push(DISPLAY.to_owned());
            }
            let at = position.min(first.rows.len());
            first.rows.insert(at, (id, row));
        } else {
            let columns = row.keys().cloned().collect();
            groups.push(Group {
                columns,
                rows: vec![(id, row)],
            });
        }
    }
    groups
}

/// Adds a record with its lines to the call that has the same columns, or to a new one.
fn push(batches: &mut Vec<Batch>, index: usize, save: &Save, header: Cells, field: &str, lines: Group) {
    let mut columns = vec!["id".to_owned()];
    columns.extend(header.keys().cloned());
    let width = columns.len();
    if !lines.rows.is_empty() {
        columns.push(format!("{field}/id"));
        columns.extend(lines.columns.iter().map(|column| format!("{field}/{column}")));
    }
    let mut head = vec![full_name(&save.external_id)];
    head.extend(header.into_values());
    let mut rows = Vec::with_capacity(lines.rows.len().max(1));
    for (id, row) in lines.rows {
        let mut cells = if rows.is_empty() {
            head.clone()
        } else {
            vec![String::new(); width]
        };
        cells.push(id);
        cells.extend(
            lines
                .columns
                .iter()
                .map(|column| row.get(column).cloned().unwrap_or_default()),
        );
        rows.push(cells);
    }
    if rows.is_empty() {
        rows.push(head);
    }
    let fitting = |batch: &&mut Batch| {
        // One record must not stand twice in one call: its lines would be read as another record's.
        batch.model == save.model && batch.columns == columns && !batch.saves.contains(&index)
    };
    match batches.iter_mut().find(fitting) {
        Some(batch) => {
            batch.rows.append(&mut rows);
            batch.saves.push(index);
        }
        None => batches.push(Batch {
            model: save.model.clone(),
            columns,
            rows,
            saves: vec![index],
        }),
    }
}

/// Column and cell of each field, by the server's names.
pub(super) fn cells(major: u32, model: &str, table: &FieldTable, fields: &Fields) -> Result<Cells, ErpError> {
    let mut cells = Cells::new();
    for (name, value) in fields {
        let info = table.0.get(name).ok_or_else(|| ErpError::Setup {
            message: format!("{model} has no field {name}"),
        })?;
        let wire = wire_name(major, model, name);
        // Relations go by database id; a text there is the other record's name.
        let by_id = info.relation.is_some() && !matches!(value, FieldValue::Text(_));
        let column = if by_id {
            format!("{wire}/.id")
        } else {
            wire.to_owned()
        };
        let text = match value {
            FieldValue::Integer(id) | FieldValue::Record(ErpId(id)) if by_id && *id <= 0 => String::new(),
            value => cell(value),
        };
        if cells.insert(column, text).is_some() {
            return Err(ErpError::Setup {
                message: format!("{name} of {model} is set twice"),
            });
        }
    }
    Ok(cells)
}

/// Reads the answer of `load`: the ids of the batch's records, or what its messages complain about. Failures come as a
/// normal result here.
pub(super) fn read_result(batch: &Batch, result: &Value) -> Result<Vec<ErpId>, ErpError> {
    let nonsense = |message: &str| ErpError::Nonsense {
        model: batch.model.clone(),
        method: "load".to_owned(),
        message: message.to_owned(),
    };
    let Some(answer) = result.as_object() else {
        return Err(nonsense("it is no object"));
    };
    if let Some(ids) = answer.get("ids").and_then(Value::as_array) {
        let ids: Option<Vec<ErpId>> = ids.iter().map(|id| id.as_i64().map(ErpId)).collect();
        return ids
            .filter(|ids| ids.len() == batch.saves.len())
            .ok_or_else(|| nonsense("it names another number of records than were sent"));
    }
    let messages = answer.get("messages").and_then(Value::as_array);
    let complaints: Vec<(Option<&str>, &str)> = messages
        .into_iter()
        .flatten()
        .filter(|message| message["type"] != "warning")
        .map(|message| {
            (
                message["field"].as_str(),
                message["message"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    if let Some((_, message)) = complaints.iter().find(|(_, message)| is_lost_race(message)) {
        return Err(ErpError::Busy {
            message: first_line(message),
            retry_after: None,
        });
    }
    let mut sentences: Vec<String> = complaints
        .iter()
        .map(|(field, message)| match field {
            Some(field) => format!("{field}: {}", first_line(message)),
            None => first_line(message),
        })
        .collect();
    sentences.dedup();
    if sentences.is_empty() {
        return Err(nonsense("it neither names records nor says why not"));
    }
    Err(ErpError::Rejected {
        model: batch.model.clone(),
        method: "load".to_owned(),
        message: short(&sentences.join("; ")),
    })
}

/// The first line; a database error quotes values in the others.
fn first_line(message: &str) -> String {
    short(message.trim().lines().next().unwrap_or_default())
}
