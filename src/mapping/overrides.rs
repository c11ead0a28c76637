//! One shop's own tables: `tables.SHOP.toml` in the mappings folder.
//!
//! A table there is laid over the table of the same name in the mapping files, entry by entry, for this shop only. So one
//! set of mappings serves shops whose payment journals or taxes have other names in the ERP. An entry may say `TODO` until
//! a person knows better: it is counted by `check`, and a record that meets it waits for that person.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::DeTable;

use super::compile::LARGEST;
use super::diagnose::{Diagnostics, MappingError, Place, hint};
use super::document::{self as doc, entries, get};
use super::rule::{Mapping, Table};
use super::set::TableEntry;
use crate::domain::FieldValue;

/// What stands in the place of a value that a person has to fill in.
pub const TODO: &str = "TODO";

/// The tables that `mappings suggest` writes. They may stand in a shop's file although no mapping reads them yet.
pub const SUGGESTED_TABLES: &[&str] = &["journal", "tax", "warehouse", "currency", "carrier"];

/// A table entry that a person has yet to fill in.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Todo {
    /// The shop whose file it stands in; none for a mapping file.
    pub shop: Option<String>,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The table.
    pub table: String,
    /// The entry.
    pub key: String,
}

/// One entry of a table as it stands in a file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// None while it says `TODO`.
    pub(super) value: Option<FieldValue>,
    pub(super) key_place: Place,
    pub(super) value_place: Place,
    pub(super) line: usize,
}

/// The tables of one shop.
#[derive(Debug)]
pub(super) struct Overrides {
    pub(super) file: String,
    pub(super) shop: String,
    text: Arc<str>,
    tables: BTreeMap<String, (Place, Vec<Entry>)>,
}

/// The shop that a file of this name holds the tables of.
pub(super) fn shop_of(file: &str) -> Option<&str> {
    file.strip_prefix("tables.")?
        .strip_suffix(".toml")
        .filter(|shop| !shop.is_empty())
}

/// The entries of one table; everything that is wrong with them goes to `d`.
pub(super) fn rows(d: &mut Diagnostics, table: &DeTable<'_>) -> Vec<Entry> {
    let mut rows: Vec<Entry> = Vec::new();
    for row in entries(table) {
        let Some(value) = doc::scalar(d, row.value) else {
            continue;
        };
        let value = Some(value).filter(|value| !matches!(value, FieldValue::Text(text) if text == TODO));
        let kind = value.as_ref().map(std::mem::discriminant);
        let others = rows.iter().find_map(|row| row.value.as_ref());
        if let (Some(kind), Some(other)) = (kind, others)
            && kind != std::mem::discriminant(other)
        {
            d.add(
                row.value.span(),
                "the values of a table must be of one kind",
                "of another kind",
            );
        }
        rows.push(Entry {
            key: row.key.to_owned(),
            value,
            key_place: row.key_place(),
            value_place: row.value.span(),
            line: d.line(row.key_place().start),
        });
    }
    rows
}

impl Overrides {
    /// Reads a shop's file.
    pub(super) fn read(file: &str, source: &str) -> Result<Self, Vec<MappingError>> {
        if source.len() > LARGEST {
            let message = format!("the file is larger than {LARGEST} bytes");
            return Err(vec![MappingError::of_file(file, message, None)]);
        }
        let mut d = Diagnostics::new(file, source);
        let (parsed, errors) = DeTable::parse_recoverable(source);
        for error in errors {
            d.add(error.span().unwrap_or(0..0), error.message().to_owned(), "here");
        }
        let mut tables = BTreeMap::new();
        if d.errors.is_empty() {
            let top = parsed.get_ref();
            for entry in entries(top).iter().filter(|entry| entry.key != "tables") {
                d.add_with_help(
                    entry.key_place(),
                    format!("unknown key `{}`", entry.key),
                    "not known",
                    Some(format!("tables are written `[tables.{}]`", entry.key)),
                );
            }
            if let Some(node) = get(top, "tables") {
                match doc::table(node) {
                    None => doc::not_a(&mut d, node, "a table of tables"),
                    Some(all) => {
                        for entry in entries(all) {
                            match doc::table(entry.value) {
                                None => doc::not_a(&mut d, entry.value, "a table of keys and values"),
                                Some(table) => {
                                    let found = rows(&mut d, table);
                                    tables.insert(entry.key.to_owned(), (entry.key_place(), found));
                                }
                            }
                        }
                    }
                }
            }
        }
        if d.errors.is_empty() {
            return Ok(Self {
                file: file.to_owned(),
                shop: shop_of(file).unwrap_or_default().to_owned(),
                text: Arc::clone(&d.text),
                tables,
            });
        }
        d.errors.sort_by_key(|error| error.line);
        Err(d.errors)
    }

    /// A mistake at a place of this file.
    fn mistake(
        &self,
        place: &Place,
        message: String,
        label: &str,
        help: Option<String>,
    ) -> Option<MappingError> {
        let mut d = Diagnostics::new(&self.file, &self.text);
        d.add_with_help(place.clone(), message, label, help);
        d.errors.pop()
    }

    fn entry(&self, table: &str, key: &str) -> Option<&Entry> {
        let (_, entries) = self.tables.get(table)?;
        entries.iter().find(|entry| entry.key == key)
    }

    /// What a table here says about a key.
    pub(super) fn get(&self, table: &str, key: &str) -> Option<TableEntry> {
        let entry = self.entry(table, key)?;
        Some(entry.value.clone().map_or(TableEntry::Todo, TableEntry::Value))
    }

    /// A mistake at the key of an entry, if the entry stands here.
    pub(super) fn at_key(
        &self,
        table: &str,
        key: &str,
        message: String,
        help: Option<String>,
    ) -> Option<MappingError> {
        let entry = self.entry(table, key)?;
        self.mistake(&entry.key_place, message, "not known", help)
    }

    /// A mistake at the first entry that has this value, if there is one here.
    pub(super) fn at_value(
        &self,
        table: &str,
        value: &FieldValue,
        message: String,
        label: &str,
        help: Option<String>,
    ) -> Option<MappingError> {
        let (_, entries) = self.tables.get(table)?;
        let entry = entries.iter().find(|entry| entry.value.as_ref() == Some(value))?;
        self.mistake(&entry.value_place, message, label, help)
    }

    /// Lays these tables over those of a mapping file. Tables that the file does not have come in addition: not only rules
    /// read tables.
    pub(super) fn lay_over(
        self: &Arc<Self>,
        tables: &mut BTreeMap<String, Table>,
        errors: &mut Vec<MappingError>,
    ) {
        for (name, (_, entries)) in &self.tables {
            let table = tables
                .entry(name.clone())
                .or_insert_with(|| Table::new(name, &self.file, &[]));
            let kind = table.entries.values().next().map(std::mem::discriminant);
            for entry in entries {
                let fits = match (&entry.value, kind) {
                    (Some(value), Some(kind)) => std::mem::discriminant(value) == kind,
                    _ => true,
                };
                if !fits {
                    errors.extend(self.mistake(
                        &entry.value_place,
                        format!("the values of the table `{name}` are of another kind in the mapping"),
                        "of another kind",
                        None,
                    ));
                    continue;
                }
                table.put(&self.file, entry);
            }
            table.overrides = Some(Arc::clone(self));
        }
    }

    /// Tables that nothing reads, though their names look as if they were meant to be read.
    pub(super) fn unread(&self, mappings: &[Arc<Mapping>]) -> Vec<MappingError> {
        let mut known: Vec<&str> = mappings
            .iter()
            .flat_map(|mapping| mapping.tables.keys().map(String::as_str))
            .chain(SUGGESTED_TABLES.iter().copied())
            .collect();
        known.sort_unstable();
        known.dedup();
        let unknown = self
            .tables
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        unknown
            .filter_map(|(name, (place, _))| {
                let message = format!("no mapping has a table `{name}`");
                self.mistake(place, message, "not known", hint(name, &known))
            })
            .collect()
    }

    /// What is left to be filled in.
    pub(super) fn todos(&self) -> impl Iterator<Item = Todo> {
        self.tables.iter().flat_map(|(table, (_, entries))| {
            let left = entries.iter().filter(|entry| entry.value.is_none());
            left.map(|entry| Todo {
                shop: Some(self.shop.clone()),
                file: self.file.clone(),
                line: entry.line,
                table: table.clone(),
                key: entry.key.clone(),
            })
        })
    }
}

impl Table {
    /// A table as a file has it.
    pub(super) fn new(name: &str, file: &str, entries: &[Entry]) -> Self {
        let mut table = Self {
            name: name.to_owned(),
            entries: Arc::default(),
            todo: Arc::default(),
            overrides: None,
        };
        for entry in entries {
            table.put(file, entry);
        }
        table
    }

    fn put(&mut self, file: &str, entry: &Entry) {
        let values = Arc::make_mut(&mut self.entries);
        let todo = Arc::make_mut(&mut self.todo);
        values.remove(&entry.key);
        todo.remove(&entry.key);
        match &entry.value {
            Some(value) => drop(values.insert(entry.key.clone(), value.clone())),
            None => drop(todo.insert(entry.key.clone(), (file.to_owned(), entry.line))),
        }
    }

    /// Whether there is a place for this key, filled in or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key) || self.todo.contains_key(key)
    }

    /// What it says about a key.
    pub(super) fn get(&self, key: &str) -> Option<TableEntry> {
        match self.entries.get(key) {
            Some(value) => Some(TableEntry::Value(value.clone())),
            None => self.todo.contains_key(key).then_some(TableEntry::Todo),
        }
    }

    /// Every key, filled in or not.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.entries.keys().chain(self.todo.keys())
    }

    /// What is left to be filled in, of a mapping file's own table.
    pub(super) fn todos(&self) -> impl Iterator<Item = Todo> {
        self.todo.iter().map(|(key, (file, line))| Todo {
            shop: None,
            file: file.clone(),
            line: *line,
            table: self.name.clone(),
            key: key.clone(),
        })
    }
}
