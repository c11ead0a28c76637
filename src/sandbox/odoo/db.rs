//! Tables in memory, with indexes and a journal, so that a failed call leaves nothing behind.
//!
//! One call is one transaction: it runs under the database's lock, and is rolled back as a whole on any error.
//! Ids of rolled-back rows are not given again, as with the sequences of PostgreSQL.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::schema::{Kind, Model, Schema};
use super::value::Val;

/// One stored record.
pub(super) type Row = BTreeMap<&'static str, Val>;

/// What an index is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Id(i64),
    Text(String),
}

impl Key {
    fn of(val: &Val) -> Option<Self> {
        match val {
            Val::Int(id) => Some(Self::Id(*id)),
            Val::Text(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<i64, Arc<Row>>,
    next_id: i64,
    /// Ids by value, for each indexed field.
    indexes: HashMap<&'static str, HashMap<Key, BTreeSet<i64>>>,
}

impl Table {
    fn for_model(model: &Model) -> Self {
        let indexes = model
            .fields()
            .filter(|field| field.stored() && field.indexed && !field.is_to_many())
            .map(|field| (field.name, HashMap::new()))
            .collect();
        Self {
            rows: BTreeMap::new(),
            next_id: 1,
            indexes,
        }
    }

    /// Puts or removes a row and gives back what was there.
    fn replace(&mut self, id: i64, row: Option<&Arc<Row>>) -> Option<Arc<Row>> {
        let old = match row {
            Some(row) => self.rows.insert(id, Arc::clone(row)),
            None => self.rows.remove(&id),
        };
        for (field, index) in &mut self.indexes {
            let before = old.as_ref().and_then(|row| row.get(field)).and_then(Key::of);
            let after = row.and_then(|row| row.get(field)).and_then(Key::of);
            if before == after {
                continue;
            }
            if let Some(ids) = before.as_ref().and_then(|key| index.get_mut(key)) {
                ids.remove(&id);
            }
            if let Some(key) = after {
                index.entry(key).or_default().insert(id);
            }
        }
        old
    }
}

/// A point to roll back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Savepoint(usize);

#[derive(Debug)]
struct Undo {
    model: &'static str,
    id: i64,
    row: Option<Arc<Row>>,
}

/// The whole database.
#[derive(Debug)]
pub(super) struct Db {
    tables: HashMap<&'static str, Table>,
    journal: Vec<Undo>,
    /// Numbers for the names of orders, transfers, invoices and payments.
    sequences: HashMap<String, i64>,
    /// How many transactions have been committed.
    pub(super) commits: u64,
    /// When (in commits) an external id was made, and an order confirmed: what races are lost by.
    pub(super) marks: HashMap<String, u64>,
    /// What sabotage adds to the totals of orders.
    pub(super) bends: HashMap<i64, Decimal>,
}

impl Db {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self {
            tables: schema
                .models()
                .map(|model| (model.name, Table::for_model(model)))
                .collect(),
            journal: Vec::new(),
            sequences: HashMap::new(),
            commits: 0,
            marks: HashMap::new(),
            bends: HashMap::new(),
        }
    }

    fn table(&self, model: &str) -> &Table {
        self.tables
            .get(model)
            .unwrap_or_else(|| panic!("table {model} exists"))
    }

    fn table_mut(&mut self, model: &str) -> &mut Table {
        self.tables
            .get_mut(model)
            .unwrap_or_else(|| panic!("table {model} exists"))
    }

    pub(super) fn row(&self, model: &str, id: i64) -> Option<&Row> {
        self.table(model).rows.get(&id).map(Arc::as_ref)
    }

    pub(super) fn exists(&self, model: &str, id: i64) -> bool {
        self.table(model).rows.contains_key(&id)
    }

    /// All ids of a model, ascending.
    pub(super) fn ids(&self, model: &str) -> Vec<i64> {
        self.table(model).rows.keys().copied().collect()
    }

    /// Those from this one on.
    pub(super) fn ids_from(&self, model: &str, first: i64) -> Vec<i64> {
        self.table(model).rows.range(first..).map(|(id, _)| *id).collect()
    }

    pub(super) fn len(&self, model: &str) -> usize {
        self.table(model).rows.len()
    }

    /// Ids whose `field` equals `key`, ascending; `None` when the field has no index.
    pub(super) fn find(&self, model: &str, field: &str, key: &Key) -> Option<Vec<i64>> {
        let index = self.table(model).indexes.get(field)?;
        Some(
            index
                .get(key)
                .map(|ids| ids.iter().copied().collect())
                .unwrap_or_default(),
        )
    }

    /// Rows of `comodel` whose many2one `inverse` is `id`.
    pub(super) fn children(&self, comodel: &str, inverse: &str, id: i64) -> Vec<i64> {
        self.find(comodel, inverse, &Key::Id(id)).unwrap_or_default()
    }

    pub(super) fn next_id(&mut self, model: &str) -> i64 {
        let table = self.table_mut(model);
        let id = table.next_id;
        table.next_id += 1;
        id
    }

    /// Makes the next id of a model at least `id`.
    pub(super) fn reserve(&mut self, model: &str, id: i64) {
        let table = self.table_mut(model);
        table.next_id = table.next_id.max(id);
    }

    pub(super) fn next_number(&mut self, sequence: &str) -> i64 {
        let number = self.sequences.entry(sequence.to_owned()).or_insert(0);
        *number += 1;
        *number
    }

    /// Stores, replaces or (with `None`) removes a row.
    pub(super) fn put(&mut self, model: &'static str, id: i64, row: Option<Row>) {
        let old = self.table_mut(model).replace(id, row.map(Arc::new).as_ref());
        self.journal.push(Undo { model, id, row: old });
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint(self.journal.len())
    }

    pub(super) fn rollback(&mut self, to: Savepoint) {
        while self.journal.len() > to.0 {
            let Some(undo) = self.journal.pop() else { break };
            self.table_mut(undo.model).replace(undo.id, undo.row.as_ref());
        }
    }

    pub(super) fn commit(&mut self) {
        self.journal.clear();
        self.commits += 1;
    }

    /// Whether anything was written since the transaction began.
    pub(super) fn is_dirty(&self) -> bool {
        !self.journal.is_empty()
    }
}

/// The many2one fields of all models that lead to `comodel`: what deleting one of its rows must look at.
pub(super) fn references(schema: &'static Schema, comodel: &str) -> Vec<(&'static str, &'static str, bool)> {
    let mut found = Vec::new();
    for model in schema.models() {
        for field in model.fields() {
            let leads_there = matches!(field.kind, Kind::One(target) if target == comodel);
            if leads_there
                && field.stored()
                && field.indexed
                && field.origin != super::schema::Origin::Template
            {
                found.push((model.name, field.name, field.required));
            }
        }
    }
    found
}
