//! A mapping as it stands compiled: what to read, where to write it, and what to do when it is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::expr::Compiled;
use super::mapped::{Stage, Truth};
use super::outgoing::OutRules;
use super::overrides::Overrides;
use super::types::FieldType;
use crate::domain::{Direction, FieldValue, LinkKind, Object};

/// A compiled mapping of one object in one direction. Immutable.
#[derive(Debug)]
pub struct Mapping {
    /// What it maps.
    pub object: Object,
    /// Which way.
    pub direction: Direction,
    /// Name of the file that it came from.
    pub file: String,
    /// Which ERP it is written for.
    pub erp: String,
    /// The ERP's model; in the direction out, what the shop's record is.
    pub model: String,
    /// Who owns problems with it.
    pub owner: String,
    /// What it is for.
    pub note: String,
    /// What it reads of the shop's own record besides what is always read, as it is sent; empty when nothing.
    pub select: String,
    /// What is said only in the direction out; none in the direction in.
    pub out: Option<OutRules>,
    pub(super) external_id: Template,
    pub(super) adopt_exact: bool,
    pub(super) skips: Vec<SkipRule>,
    pub(super) lets: Vec<Let>,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) fields: Vec<Rule>,
    pub(super) groups: Vec<Group>,
    pub(super) match_keys: Vec<MatchRule>,
    pub(super) stage: Option<Rule>,
}

/// Text with values in it: `order_{order.id}`.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) text: String,
    pub(super) parts: Vec<Part>,
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(String),
    Value(Compiled),
}

/// Records that are left alone.
#[derive(Debug)]
pub(super) struct SkipRule {
    pub(super) when: Compiled,
    pub(super) reason: String,
    pub(super) line: usize,
}

/// A name for a value: the first of these that is there.
#[derive(Debug)]
pub(super) struct Let {
    pub(super) first_of: Vec<Compiled>,
}

/// How one field gets its value.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) target: Arc<str>,
    pub(super) kind: FieldType,
    pub(super) choices: Vec<Choice>,
    pub(super) create_only: bool,
    /// Left out where the ERP has no such field.
    pub(super) optional: bool,
    pub(super) truth: Truth,
    pub(super) lossy: bool,
    pub(super) owner: Option<String>,
    pub(super) line: usize,
    /// As it was written, for people.
    pub(super) text: Arc<str>,
}

/// One way to get a value.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) when: Option<Compiled>,
    pub(super) from: From,
    pub(super) table: Option<Table>,
    /// Only when the ERP has this record.
    pub(super) if_found: Option<Query>,
    pub(super) missing: Option<Missing>,
    pub(super) not_found: NotFound,
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) enum From {
    Constant(FieldValue),
    Value(Compiled),
    /// The ERP record linked to this one.
    Link {
        kind: LinkKind,
        id: Compiled,
    },
    /// A row of a group of this mapping, by its link.
    Row {
        group: usize,
        role: Option<String>,
    },
    /// The ERP's answer.
    LookUp(Query),
    /// The ERP's answers, one for each item.
    LookUps {
        each: Compiled,
        query: Query,
    },
    /// What another field of the record gets.
    SameAs(usize),
}

/// A look-up with the expressions of its keys.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) kind: String,
    pub(super) keys: Vec<(String, Compiled)>,
}

/// A static table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) entries: Arc<BTreeMap<String, FieldValue>>,
    /// Entries that a person has yet to fill in, with file and line.
    pub(super) todo: Arc<BTreeMap<String, (String, usize)>>,
    /// The shop's file that was laid over it.
    pub(super) overrides: Option<Arc<Overrides>>,
}

/// What to do when there is no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Missing {
    Fail,
    /// Leave the field as it is.
    Skip,
    /// Empty the field.
    Clear,
    /// Ask a person.
    Hold,
    Default(FieldValue),
}

/// What to do when the ERP has no such record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NotFound {
    #[default]
    Fail,
    Skip,
    Clear,
    Hold,
}

/// Rows of one kind.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) field: Option<String>,
    pub(super) link: Option<LinkKind>,
    pub(super) once: bool,
    pub(super) source: RowSource,
    pub(super) discounts: Discounts,
    pub(super) when: Option<Compiled>,
    pub(super) key: Template,
    pub(super) fields: Vec<Rule>,
    pub(super) match_keys: Vec<MatchRule>,
    pub(super) line: usize,
}

/// What becomes of the discounts of booked lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Discounts {
    /// Rows are lines as they stand.
    #[default]
    AsTheyStand,
    /// In the unit price where that is exact, else a row of their own.
    UnitPriceElseLine,
    /// Always a row of their own.
    Line,
}

/// Where the rows come from.
#[derive(Debug)]
pub(super) enum RowSource {
    /// One for each item of a list.
    Each(Compiled),
    /// One for each of these that is there, by role.
    Roles(Vec<(String, Compiled)>),
}

/// How an existing record is found.
#[derive(Debug)]
pub(super) struct MatchRule {
    pub(super) equal: Vec<(String, Compiled)>,
    pub(super) line: usize,
}

impl Mapping {
    /// The model of a group's records.
    pub fn group_model(&self, group: &str) -> Option<&str> {
        let found = self.groups.iter().find(|known| known.name == group);
        found.map(|group| group.model.as_str())
    }

    /// The text that a static table has for a key, the shop's own entries first.
    pub fn table_text(&self, table: &str, key: &str) -> Option<&str> {
        match self.tables.get(table)?.entries.get(key)? {
            FieldValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Rule {
    /// Whether it can ask anything: the others need not be evaluated while gathering.
    pub(super) fn asks(&self) -> bool {
        self.choices.iter().any(|choice| {
            choice.if_found.is_some()
                || matches!(
                    choice.from,
                    From::Link { .. } | From::Row { .. } | From::LookUp(_) | From::LookUps { .. }
                )
        })
    }
}

/// A stage by its name in mapping files.
pub(super) fn stage_named(name: &str) -> Option<Stage> {
    Stage::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, stage)| *stage)
}
