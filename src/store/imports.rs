//! Imports: everything of an object that a shop has, carried over once, behind everything else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Actor, Object, ShopName, ShopifyId, Timestamp, text_enum};

text_enum! {
    /// How an import stands.
    ImportState, "state of an import" {
        /// It lists records and makes jobs, or waits for those.
        Running = "running",
        /// A person stopped it; it can go on.
        Stopped = "stopped",
        /// Every record has its job, and every job is over or needs a person.
        Done = "done",
        /// A person began another one in its place.
        Dropped = "dropped",
    }
}

text_enum! {
    /// What the job of an import did to the ERP.
    ImportEffect, "effect of an import" {
        /// The record was not known before.
        Created = "created",
        /// It was, and something was written.
        Updated = "updated",
        /// Nothing was written.
        Unchanged = "unchanged",
    }
}

/// An import that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImport {
    /// Shop.
    pub shop: ShopName,
    /// What is carried over.
    pub object: Object,
    /// Only what was made from then on.
    pub since: Option<Timestamp>,
    /// Only what was made before then.
    pub until: Option<Timestamp>,
    /// What is not seen of what is asked for, for people.
    pub warning: Option<String>,
}

/// What became of a wish for imports.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportsBegun {
    /// They run one after the other, in this order.
    Begun(Vec<i64>),
    /// None was begun: this one of the same object runs.
    UnderWay(Box<ImportRow>),
}

/// What became of an import's jobs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImportCounts {
    /// Records that were not in the ERP.
    pub created: u64,
    /// Records that were, and were changed.
    pub updated: u64,
    /// Records that were as they should be.
    pub unchanged: u64,
    /// Records that are not carried over, by rule.
    pub left_out: u64,
    /// Records that need a person.
    pub problems: u64,
    /// Records that are still being worked on.
    pub open: u64,
}

impl ImportCounts {
    /// Records that are over, or need a person.
    pub const fn over(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.left_out + self.problems
    }
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImportRow {
    /// Its number.
    pub id: i64,
    /// Shop.
    pub shop: ShopName,
    /// What is carried over.
    pub object: Object,
    /// Only what was made from then on.
    pub since: Option<Timestamp>,
    /// Only what was made before then.
    pub until: Option<Timestamp>,
    /// Who began it.
    pub actor: String,
    /// How it stands.
    pub state: ImportState,
    /// The last record that was listed.
    #[serde(skip)]
    pub cursor: Option<ShopifyId>,
    /// Records that were listed so far.
    pub listed: u64,
    /// Of these, those that have no job yet.
    pub pending: u64,
    /// Whether all were listed.
    pub is_listed: bool,
    /// Why it does not get on at the moment.
    pub error: Option<String>,
    /// What it does not see of what was asked for: it is not everything, also when it ended well.
    pub warning: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What became of its records.
    pub counts: ImportCounts,
}

/// The next records of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPage {
    /// The import.
    pub import: i64,
    /// Where it stood when they were asked for.
    pub after: Option<ShopifyId>,
    /// The records, in the order of their ids.
    pub records: Vec<ShopifyId>,
    /// Where it stands now.
    pub cursor: Option<ShopifyId>,
    /// Whether these are the last.
    pub is_last: bool,
}

/// What became of an import's wish for jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportFed {
    /// How many of its jobs are open now.
    pub open: u64,
    /// How many of these were made just now.
    pub made: u64,
}

/// What somebody wants of an import.
#[derive(Clone, Debug)]
pub struct ImportAct {
    /// Which.
    pub import: i64,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Whether it is to run.
    pub runs: bool,
}
