//! Who is told of how runs end.

use crate::domain::{Object, ShopName, Timestamp};
use crate::store::{RunKind, RunOutcome};

/// How a run ends.
#[derive(Clone, Copy, Debug)]
pub struct RunEnded<'a> {
    /// Its number.
    pub run: i64,
    /// What it did.
    pub kind: RunKind,
    /// Its shop.
    pub shop: &'a ShopName,
    /// What it looked at.
    pub object: Object,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Records that it looked at, as far as it came.
    pub seen: u64,
    /// Records that webhooks had missed, or that differed. None where it did not come to its end.
    pub found: Option<u64>,
    /// When.
    pub at: Timestamp,
}

/// Turns ends of runs into what is to be told.
pub trait RunNotifier: Send + Sync {
    /// What is to be saved with this end, each a text that only whoever sends it reads.
    fn of_run(&self, ended: &RunEnded<'_>) -> Vec<String>;
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct TellNobody;

impl RunNotifier for TellNobody {
    fn of_run(&self, _: &RunEnded<'_>) -> Vec<String> {
        Vec::new()
    }
}
