//! What full runs found: the rows, the counts, and the values that people put in place of what was written.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Direction, DriftClass, DriftFate, ErpId, JobId, Object, ShopName, ShopifyId, Timestamp, text_enum,
};
use crate::store::StoreError;

/// What full runs found.
#[async_trait]
pub trait Drift: Send + Sync {
    /// Keeps what a full run found, row by row; a row of the same place is replaced.
    async fn save_drift(&self, run: i64, rows: Vec<DriftRow>) -> Result<(), StoreError>;

    /// Keeps a full run's counts. They are told of once the run has ended well.
    async fn save_drift_report(&self, report: DriftReport) -> Result<(), StoreError>;

    /// The reports of full runs that ended well, newest first, up to `limit`.
    async fn drift_reports(
        &self,
        filter: DriftReportFilter,
        limit: u32,
    ) -> Result<Vec<DriftReport>, StoreError>;

    /// What a full run found, in its order, up to `limit`.
    async fn drift(&self, run: i64, filter: DriftFilter, limit: u32) -> Result<Vec<DriftRow>, StoreError>;

    /// Counts values that people put in place of what was written, each once. Says how many were not known.
    async fn count_corrections(
        &self,
        corrections: Vec<Correction>,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// How many such values were found since then, by shop, object, field and mapping, the most frequent first.
    async fn corrections(&self, since: Timestamp) -> Result<Vec<CorrectionCount>, StoreError>;
}

text_enum! {
    /// Which records a run compared.
    DriftKind, "kind of run" {
        /// All of them, by what changed since both sides agreed.
        Full = "full",
        /// Some, picked at random, each read fresh.
        Sample = "sample",
    }
}

/// Something that a run found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftRow {
    /// Its place in the run, from 0.
    pub position: u64,
    /// The shop.
    pub shop: ShopName,
    /// What kind of record.
    pub object: Object,
    /// How it differs.
    pub class: DriftClass,
    /// What became of it.
    pub fate: DriftFate,
    /// Shopify's number of the record.
    pub source_id: Option<ShopifyId>,
    /// The ERP's number of it.
    #[schemars(with = "Option<i64>")]
    pub erp_id: Option<ErpId>,
    /// The model, or what it is on the shop, of the side that is written to.
    pub model: Option<String>,
    /// The record's name for people.
    pub name: Option<String>,
    /// The field that differs.
    pub field: Option<String>,
    /// What Shopify says, in the form that the mapping gives it.
    pub shopify: Option<String>,
    /// What the ERP says, likewise.
    pub erp: Option<String>,
    /// The rule that leaves it alone, or the code of the problem.
    pub why: Option<String>,
    /// Which way the job carries it.
    pub direction: Option<Direction>,
    /// The job that works on it.
    pub job: Option<JobId>,
}

/// How many findings of one class had one fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftCount {
    /// The class.
    pub class: DriftClass,
    /// The fate.
    pub fate: DriftFate,
    /// How many.
    pub count: u64,
}

/// What a run looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftLooked {
    /// Records of the shop.
    pub on_shopify: u64,
    /// Records of the ERP that could stand for one.
    pub in_erp: u64,
    /// Links between them.
    pub linked: u64,
    /// Records that were read fresh on both sides, because something about them had changed.
    pub compared: u64,
    /// Linked records that are in step.
    pub in_step: u64,
    /// Records that changed while the run was under way: their own events tell of them.
    pub left_to_events: u64,
    /// Orders, or products, of which not all that is compared is remembered yet: later runs read them whole, once.
    #[serde(default)]
    pub unnoted: u64,
    /// Linked records that were only matched so far: nothing is agreed on of them, and a full run compares none.
    #[serde(default)]
    pub adopted: u64,
    /// Values that people put in place of what was written, found for the first time.
    pub corrections: u64,
}

/// A full run's counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftReport {
    /// The run.
    pub run: i64,
    /// The shop.
    pub shop: ShopName,
    /// What was looked at.
    pub object: Object,
    /// Which records.
    pub kind: DriftKind,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Why it was made.
    pub cause: String,
    /// Only what changed since then was looked at, where that was asked.
    pub since: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was through.
    pub ended_at: Timestamp,
    /// What it looked at.
    pub looked: DriftLooked,
    /// What it found, by class and fate. Exact, however many rows are kept.
    pub counts: Vec<DriftCount>,
    /// How many of its rows are kept.
    pub kept: u64,
    /// Why nothing was repaired although something could be.
    pub withheld: Option<String>,
}

impl DriftReport {
    /// How many findings had this fate.
    pub fn of_fate(&self, fate: DriftFate) -> u64 {
        let of_it = self.counts.iter().filter(|count| count.fate == fate);
        of_it.map(|count| count.count).sum()
    }

    /// How many findings there are.
    pub fn found(&self) -> u64 {
        self.counts.iter().map(|count| count.count).sum()
    }
}

/// Which reports.
#[derive(Clone, Debug, Default)]
pub struct DriftReportFilter {
    /// Of this run.
    pub run: Option<i64>,
    /// Of this shop.
    pub shop: Option<ShopName>,
    /// About this object.
    pub object: Option<Object>,
    /// Only the newest of each shop, object and kind that was no dry run.
    pub latest: bool,
}

/// Which rows of a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct DriftFilter {
    /// Of this class.
    pub class: Option<DriftClass>,
    /// Of this fate.
    pub fate: Option<DriftFate>,
    /// From this place on.
    pub from: u64,
}

/// A value that a person put in place of what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The shop.
    pub shop: ShopName,
    /// What kind of record.
    pub object: Object,
    /// Shopify's number of it.
    pub source_id: ShopifyId,
    /// The field.
    pub field: String,
    /// A hash of the value that stands there.
    pub value: String,
    /// The mapping's file.
    pub mapping: String,
}

/// How many such values were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CorrectionCount {
    /// The shop.
    pub shop: ShopName,
    /// What kind of record.
    pub object: Object,
    /// The field.
    pub field: String,
    /// The mapping's file.
    pub mapping: String,
    /// How many.
    pub count: u64,
}
