//! What came of attempts and deliveries, by hour, and what a report asks of the past.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{Direction, JobId, JobState, Object, ShopName, Timestamp};
use crate::store::StoreError;

/// Counting by the hour, and asking about the past.
#[async_trait]
pub trait Numbers: Send + Sync {
    /// Adds to the counts by hour. (Ends of attempts are counted by [`Queue::finish`](crate::store::Queue::finish) itself.)
    async fn add_tallies(&self, tallies: Vec<Tally>) -> Result<(), StoreError>;

    /// The counts of some hours, oldest first.
    async fn tallies(&self, filter: TallyFilter) -> Result<Vec<Tally>, StoreError>;

    /// Open orders that were first heard of before then and have no record in the ERP, by shop.
    async fn late_orders(&self, before: Timestamp) -> Result<Vec<LateOrders>, StoreError>;

    /// The hours since then in which deliveries of the shop were taken, oldest first.
    async fn delivery_hours(&self, shop: &ShopName, since: Timestamp) -> Result<Vec<Timestamp>, StoreError>;

    /// The problems that were first seen in this time, newest first, up to `limit`.
    async fn past_problems(&self, filter: TallyFilter, limit: u32) -> Result<Vec<PastProblem>, StoreError>;

    /// The completed jobs of this time that took longest, the slowest first. It looks at all of that time.
    async fn slowest_jobs(&self, filter: TallyFilter, limit: u32) -> Result<Vec<SlowJob>, StoreError>;
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TallyKind {
    /// Attempts that ended well.
    Completed,
    /// Attempts that found nothing left to do.
    Obsolete,
    /// Attempts after which a person is needed.
    Failed,
    /// Attempts after which a yes is awaited.
    Held,
    /// Attempts that failed and are repeated.
    Retried,
    /// Completed jobs by the time from the change at the source to the record in the target.
    Took,
    /// Deliveries that had been stored before, by shop.
    Repeated,
    /// Deliveries that were answered, by the time until the answer, by shop.
    Answered,
}

impl TallyKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Obsolete,
        Self::Failed,
        Self::Held,
        Self::Retried,
        Self::Took,
        Self::Repeated,
        Self::Answered,
    ];

    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Obsolete => "obsolete",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Retried => "retried",
            Self::Took => "took",
            Self::Repeated => "repeated",
            Self::Answered => "answered",
        }
    }

    /// The kind that is stored like this.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The start of the hour.
    pub hour: Timestamp,
    /// Shop.
    pub shop: ShopName,
    /// Object and direction; none for what concerns the shop as a whole.
    pub lane: Option<(Object, Direction)>,
    /// What.
    pub kind: TallyKind,
    /// The upper bound of the class of times, in milliseconds; 0 where no time is counted.
    pub bound_ms: u64,
    /// How many.
    pub count: u64,
}

/// Which counts.
#[derive(Clone, Debug)]
pub struct TallyFilter {
    /// Of this shop only.
    pub shop: Option<ShopName>,
    /// Of hours that began then or later.
    pub since: Timestamp,
    /// Of hours that began before.
    pub until: Timestamp,
}

/// The upper bound of the class that a time is counted in: eight classes to each doubling, so that it is too high by an
/// eighth at most. Whole milliseconds, at least 1.
pub fn bound_ms(took: Duration) -> u64 {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX >> 8).max(1);
    if ms <= 8 {
        return ms;
    }
    let step = 1_u64 << ((ms - 1).ilog2().saturating_sub(3));
    ms.div_ceil(step) * step
}

/// The start of the hour that a time lies in.
pub fn hour_of(at: Timestamp) -> Timestamp {
    const HOUR_MS: i64 = 3_600_000;
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(HOUR_MS))
}

/// Orders of a shop that have waited for their record in the ERP. Those that need a person, or wait for a yes, are told as
/// problems, and not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateOrders {
    /// Shop.
    pub shop: ShopName,
    /// How many; no more than [`LATE_COUNTED`] are counted.
    pub count: u64,
    /// When the oldest was first heard of.
    pub oldest: Timestamp,
    /// The oldest's name on Shopify, or its number.
    pub name: String,
}

/// So many late orders of a shop are counted.
pub const LATE_COUNTED: u64 = 1000;

/// A problem as a report looks back at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PastProblem {
    /// Shop.
    pub shop: ShopName,
    /// The job, unless the shop itself had it.
    pub job: Option<JobId>,
    /// How the job stands now.
    pub state: Option<JobState>,
    /// The kind of problem.
    pub code: String,
    /// The cause.
    pub cluster: String,
    /// The record's name on Shopify.
    pub record: Option<String>,
    /// The sentence.
    pub reason: String,
    /// Whose it is.
    pub owner: String,
    /// First seen.
    pub opened_at: Timestamp,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
}

/// A job that took long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SlowJob {
    /// The job.
    pub job: JobId,
    /// Shop.
    pub shop: ShopName,
    /// Object.
    pub object: Object,
    /// Direction.
    pub direction: Direction,
    /// The record's name on Shopify.
    pub record: Option<String>,
    /// From the change at the source, or else from when it was asked for, to the end, in milliseconds.
    pub took_ms: u64,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How many attempts it took.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_times_are_too_high_by_an_eighth_at_most() {
        for ms in (1..5_000).chain([86_400_000, 604_800_000, 2_592_000_000]) {
            let bound = bound_ms(Duration::from_millis(ms));
            assert!(bound >= ms && bound - ms <= ms / 8, "{ms} became {bound}");
            assert_eq!(
                bound_ms(Duration::from_millis(bound)),
                bound,
                "a bound is its own class"
            );
        }
        assert_eq!(bound_ms(Duration::ZERO), 1);
        assert!(bound_ms(Duration::MAX) > 0);
    }
}
