//! What became of a plan, and what was missed before.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use super::Observed;
use super::plan::{Plan, PlanLine};
use crate::domain::{Object, ShopName, Timestamp};
use crate::store::{StoreError, SubscriptionRow};

/// Why events of a topic were or may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The subscription was there, and then it was not.
    Missing,
    /// It was deleted when its toggle was switched off, and is wanted again.
    SwitchedOn,
    /// There was none before.
    New,
    /// It led elsewhere, or left something out.
    Changed,
}

/// A topic whose events arrive again, or for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The object whose records its events are about.
    pub object: Object,
    /// GraphQL's spelling of the topic.
    pub topic: String,
    /// Until when nothing can have been missed; none when nothing is known.
    pub since: Option<Timestamp>,
    /// What had happened.
    pub why: Why,
}

/// Who remembers which events were missed, until they are made up for.
#[async_trait]
pub trait Gaps: Send + Sync {
    /// Events of this topic may be missing. Called before they arrive again, and once more (`stands`) when they do: what is
    /// made up for before that may leave something out.
    async fn open(&self, shop: &ShopName, restored: &Restored, stands: bool) -> Result<(), StoreError>;
}

/// Who tells others how subscriptions come and go. What is told is committed with the record of it, so that a crash between the two
/// neither loses it nor has it told twice.
pub trait Telling: Send + Sync {
    /// A subscription that stood is gone from the shop, though nobody of us deleted it; none where nobody wants to hear it.
    fn removed(&self, row: &SubscriptionRow, now: Timestamp) -> Option<String>;

    /// One stands again whose topic was found gone; none where nobody wants to hear it.
    fn restored(&self, observed: &Observed, now: Timestamp) -> Option<String>;
}

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried out, and reading back shows it.
    Done,
    /// Shopify does not do it, for this reason.
    Refused {
        /// Shopify's words.
        reason: String,
        /// The scope or approval that it asks for, if that is why.
        needs: Option<String>,
    },
    /// It did not come to an answer, and reading back does not show it: it is tried again.
    Failed {
        /// What happened.
        reason: String,
    },
    /// It was carried out, and reading back does not show it yet.
    Unconfirmed,
    /// An earlier one failed: it is tried again with that one.
    NotTried,
}

impl Outcome {
    /// Whether the plan's wish is fulfilled.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// One change and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changed {
    /// The change.
    #[serde(flatten)]
    pub line: PlanLine,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A plan that was carried out.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// The plan.
    pub plan: Plan,
    /// What became of each of its changes, in the order in which they were begun.
    pub results: Vec<Changed>,
    /// Topics whose events arrive again.
    pub restored: Vec<Restored>,
    /// What is still to be done, read back afterwards; none when that failed.
    pub left: Option<Plan>,
}

impl Applied {
    /// Whether every change was carried out and nothing is left.
    pub fn is_complete(&self) -> bool {
        self.results.iter().all(|changed| changed.outcome.is_done())
            && self.left.as_ref().is_some_and(Plan::is_empty)
    }
}
