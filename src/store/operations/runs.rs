//! Runs that look for missed changes, and the gaps that they are to fill.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{Object, ShopName, Timestamp, text_enum};
use crate::store::StoreError;

/// Runs from their beginning to their end, and gaps until they close.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Begins a run; `None` while another one of its kind and of this shop's object is under way on any node.
    async fn start_run(&self, run: NewRun) -> Result<Option<i64>, StoreError>;

    /// Notes how far a run is and that it lives (see [`RUN_DEAD_AFTER`]). False when it was taken for dead.
    async fn run_goes_on(&self, run: i64, counts: RunCounts, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends a run, with what other systems are told of that. False, and nothing told, when it had ended.
    async fn finish_run(
        &self,
        run: i64,
        outcome: RunOutcome,
        error: Option<&str>,
        notifications: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The last runs, newest first.
    async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, StoreError>;

    /// Opens a gap, or widens the open one of this shop's object; a run for it is due at once. Returns its number.
    async fn open_gap(&self, gap: NewGap, now: Timestamp) -> Result<i64, StoreError>;

    /// Closes a gap if the run covers all of it as it stands now (it may have been widened during the run), else notes when
    /// the next run is due. Says whether it closed.
    async fn close_gap(&self, ended: GapRun) -> Result<bool, StoreError>;

    /// The open gaps, oldest first.
    async fn gaps(&self) -> Result<Vec<GapRow>, StoreError>;
}

/// A run that was not heard of for so long was cut off.
pub const RUN_DEAD_AFTER: Duration = Duration::from_secs(120);

text_enum! {
    /// How a run ended.
    RunOutcome, "outcome of a run" {
        /// Everything was looked at.
        Done = "done",
        /// Something failed.
        Failed = "failed",
        /// Its process ended before it did.
        Cut = "cut",
        /// It was told to stop.
        Stopped = "stopped",
    }
}

text_enum! {
    /// What a run does. One of each may be under way at a time.
    RunKind, "kind of run" {
        /// Looks for what changed since a time.
        Delta = "delta",
        /// Compares both sides, or a sample of their records.
        Full = "full",
    }
}

/// A run that begins: over everything of one object that changed since a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// What it does.
    pub kind: RunKind,
    /// Shop.
    pub shop: ShopName,
    /// What is looked at.
    pub object: Object,
    /// Why, e.g. `catch_up`.
    pub cause: String,
    /// What changed before is left alone.
    pub since: Timestamp,
    /// The node that carries it out.
    pub node: String,
    /// When it begins.
    pub now: Timestamp,
}

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunCounts {
    /// Pages read.
    pub pages: u64,
    /// Records found.
    pub records: u64,
    /// Jobs made for them; the others had an open one already.
    pub made: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// Shop.
    pub shop: ShopName,
    /// What was looked at.
    pub object: Object,
    /// Why.
    pub cause: String,
    /// What changed before was left alone.
    pub since: Timestamp,
    /// The node that carried it out.
    pub node: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended; none while it is under way.
    pub outcome: Option<RunOutcome>,
    /// What it has done.
    #[serde(flatten)]
    pub counts: RunCounts,
    /// Why it failed.
    pub error: Option<String>,
}

/// A time of which events may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGap {
    /// Shop.
    pub shop: ShopName,
    /// What the events are about.
    pub object: Object,
    /// The last time of which it is known that they came, with some overlap.
    pub since: Timestamp,
    /// Since when they come again.
    pub stood_at: Timestamp,
    /// Why they are missing, for people.
    pub reason: String,
}

/// A gap that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GapRow {
    /// Its number.
    pub id: i64,
    /// Shop.
    pub shop: ShopName,
    /// What the events are about.
    pub object: Object,
    /// Since when they may be missing.
    pub since: Timestamp,
    /// Since when they come again.
    pub stood_at: Timestamp,
    /// Why they are missing.
    pub reason: String,
    /// When it was noticed.
    pub opened_at: Timestamp,
    /// When the next run is due.
    pub next_at: Timestamp,
    /// Runs that failed in a row.
    pub failed: u32,
    /// The last run for it.
    pub run: Option<i64>,
}

/// A run for a gap, over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRun {
    /// The gap as it was when the run began.
    pub gap: GapRow,
    /// The run, if one began.
    pub run: Option<i64>,
    /// What it looked at, and when it began, if it succeeded.
    pub covered: Option<Covered>,
    /// When the next one is due if the gap stays open.
    pub next_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// What a run that succeeded has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Everything that changed since then.
    pub since: Timestamp,
    /// The newest `stood_at` that it is good for: what changed before that was to be found when it began.
    pub stood_until: Timestamp,
}
