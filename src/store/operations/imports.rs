//! Imports: everything of an object that a shop has, carried over once, behind everything else.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Actor, Fence, JobId, Object, ShopName, ShopifyId, Timestamp, text_enum};
use crate::store::{Lane, StoreError};

/// Beginning, stopping, feeding and looking at imports.
#[async_trait]
pub trait Imports: Send + Sync {
    /// Begins imports, all or none, with their lines in the audit log. Where one of the same object runs, that is told
    /// instead; one that is stopped is dropped.
    async fn begin_imports(
        &self,
        imports: Vec<NewImport>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<ImportsBegun, StoreError>;

    /// Stops an import or lets it go on, with its line in the audit log. False where it stood like that, or is over.
    async fn act_on_import(&self, act: ImportAct) -> Result<bool, StoreError>;

    /// Saves what was listed, with where the list goes on. False, and nothing happened, where the import does not run, stands
    /// elsewhere, or has listed records without a job.
    async fn save_import_page(&self, page: ImportPage) -> Result<bool, StoreError>;

    /// Makes jobs of listed records, in their order, as long as no more than `most` of the import run or are due; they go
    /// behind everything else. Those that rest until they are tried again take no place of others, but there is a bound for
    /// all that are open.
    async fn feed_import(
        &self,
        import: i64,
        lane: Lane,
        most: u32,
        now: Timestamp,
    ) -> Result<ImportFed, StoreError>;

    /// Ends an import that runs, whose records all have a job and whose jobs are over or need a person. Says whether it ended;
    /// if so, these notifications are told of it.
    async fn end_import(
        &self,
        import: i64,
        notifications: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Notes why an import does not get on, or that it does; the next page takes the note away, too.
    async fn note_import_error(&self, import: i64, error: Option<&str>) -> Result<(), StoreError>;

    /// Notes what an attempt of an import's job did, under its fence. What was created stays created,
    /// until another import asks for the same job.
    async fn note_import_effect(
        &self,
        job: JobId,
        fence: Fence,
        effect: ImportEffect,
    ) -> Result<(), StoreError>;

    /// The last imports, newest first.
    async fn imports(&self, limit: u32) -> Result<Vec<ImportRow>, StoreError>;

    /// The imports with these numbers, newest first.
    async fn imports_of(&self, ids: Vec<i64>) -> Result<Vec<ImportRow>, StoreError>;

    /// The imports that are not over, oldest first, without the counts of their jobs.
    async fn open_imports(&self) -> Result<Vec<ImportRow>, StoreError>;
}

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
