//! The numbers of a shop, or of all: how much was done, how much of it well, and how fast.
//!
//! They come from counts by the hour (`store`), so they cost the same however many jobs there are. Times are counted in classes
//! whose bounds are an eighth apart at most, and the upper bound is told.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{ShopName, Timestamp};
use crate::store::{SharedStore, StoreError, Tally, TallyFilter, TallyKind, hour_of};

const HOUR: Duration = Duration::from_secs(3600);

/// What people did that counts as a correction by hand.
const BY_HAND: [&str; 2] = ["resolve", "link"];

/// Refusals of what named no shop of ours: they are no deliveries.
const OF_NOBODY: &str = "-";

/// Of a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Numbers {
    /// From the hour that began then.
    pub since: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// Its sums.
    pub total: Sums,
    /// Work that people did by hand and told of.
    pub manual_corrections: u64,
    /// Deliveries that had been stored before.
    pub duplicate_skips: u64,
    /// Webhook deliveries that were taken.
    pub deliveries_accepted: u64,
    /// Webhook deliveries that were not: not stored in time, or refused.
    pub deliveries_failed: u64,
    /// Share of the deliveries that were taken, in percent.
    pub delivery_success_percent: Option<u64>,
    /// 95 in 100 deliveries were answered within this, in milliseconds.
    pub answer_p95_ms: Option<u64>,
    /// Half of the deliveries were answered within this, in milliseconds.
    pub answer_p50_ms: Option<u64>,
    /// Hour by hour, oldest first, hours in which nothing was done included.
    pub hours: Vec<HourNumbers>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Sums {
    /// Jobs that ended well: the record is as it should be.
    pub completed: u64,
    /// Jobs that had nothing left to do.
    pub obsolete: u64,
    /// Attempts after which a job needed a person.
    pub failed: u64,
    /// Attempts after which a job waited for a yes.
    pub held: u64,
    /// Attempts that failed and were repeated.
    pub retried: u64,
    /// Share of the jobs that ended well among those that ended or needed a person, in percent, rounded down.
    pub success_percent: Option<u64>,
    /// Share of the attempts that failed among all that came to an end, in percent, rounded up.
    pub error_percent: Option<u64>,
    /// Half of the completed jobs took no longer from the change at the source to the record in the target, in milliseconds.
    pub p50_ms: Option<u64>,
    /// 95 in 100 took no longer.
    pub p95_ms: Option<u64>,
}

/// Of one hour.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HourNumbers {
    /// Its start.
    pub hour: Timestamp,
    /// Its sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Counts by class of time.
#[derive(Clone, Debug, Default)]
struct Times(BTreeMap<u64, u64>);

impl Times {
    /// So many in a hundred took no longer than this.
    fn percentile(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.0.values().sum();
        let wanted = all.checked_mul(percent)?.div_ceil(100).max(1);
        let mut counted = 0;
        self.0.iter().find_map(|(bound, count)| {
            counted += count;
            (counted >= wanted).then_some(*bound)
        })
    }
}

#[derive(Default)]
struct Gathering {
    sums: Sums,
    took: Times,
}

impl Gathering {
    fn add(&mut self, tally: &Tally) {
        let place = match tally.kind {
            TallyKind::Completed => &mut self.sums.completed,
            TallyKind::Obsolete => &mut self.sums.obsolete,
            TallyKind::Failed => &mut self.sums.failed,
            TallyKind::Held => &mut self.sums.held,
            TallyKind::Retried => &mut self.sums.retried,
            TallyKind::Took => self.took.0.entry(tally.bound_ms).or_default(),
            TallyKind::Repeated | TallyKind::Answered => return,
        };
        *place += tally.count;
    }

    fn done(mut self) -> Sums {
        let well = self.sums.completed + self.sums.obsolete;
        let all = well + self.sums.failed;
        self.sums.success_percent = percent(well, all);
        let attempts = all + self.sums.held + self.sums.retried;
        let wrong = self.sums.failed + self.sums.retried;
        self.sums.error_percent = (wrong * 100 + attempts.saturating_sub(1)).checked_div(attempts);
        self.sums.p50_ms = self.took.percentile(50);
        self.sums.p95_ms = self.took.percentile(95);
        self.sums
    }
}

/// Rounded down, so that 100 means all.
fn percent(part: u64, all: u64) -> Option<u64> {
    (part * 100).checked_div(all)
}

/// The numbers of the hours that lie between, the ones that are cut included.
///
/// # Errors
/// When the store fails.
pub async fn numbers(
    store: &SharedStore,
    shop: Option<&ShopName>,
    since: Timestamp,
    until: Timestamp,
) -> Result<Numbers, StoreError> {
    let first = hour_of(since);
    let tallies = store
        .tallies(TallyFilter {
            shop: shop.cloned(),
            since: first,
            until,
        })
        .await?;
    let mut total = Gathering::default();
    let mut hours: BTreeMap<Timestamp, Gathering> = BTreeMap::new();
    let mut answered = Times::default();
    let mut found = Numbers {
        since: first,
        until,
        ..Numbers::default()
    };
    for tally in &tallies {
        match tally.kind {
            TallyKind::Repeated => found.duplicate_skips += tally.count,
            TallyKind::Answered => *answered.0.entry(tally.bound_ms).or_default() += tally.count,
            _ => {
                total.add(tally);
                hours.entry(tally.hour).or_default().add(tally);
            }
        }
    }
    found.total = total.done();
    found.deliveries_accepted = answered.0.values().sum();
    found.answer_p50_ms = answered.percentile(50);
    found.answer_p95_ms = answered.percentile(95);
    let mut hour = first;
    while hour < until {
        let sums = hours.remove(&hour).unwrap_or_default().done();
        found.hours.push(HourNumbers { hour, sums });
        hour = hour.plus(HOUR);
    }
    for count in store.action_counts(since).await? {
        if BY_HAND.contains(&count.action.as_str())
            && shop.is_none_or(|shop| count.shop.as_ref() == Some(shop))
        {
            found.manual_corrections += count.count;
        }
    }
    deliveries(store, shop, first, &mut found).await?;
    Ok(found)
}

async fn deliveries(
    store: &SharedStore,
    shop: Option<&ShopName>,
    since: Timestamp,
    found: &mut Numbers,
) -> Result<(), StoreError> {
    for refused in store.rejections(since).await? {
        let is_theirs = shop.map_or(refused.shop != OF_NOBODY, |shop| refused.shop == shop.as_str());
        if is_theirs && refused.hour < found.until {
            found.deliveries_failed += refused.count;
        }
    }
    found.delivery_success_percent = percent(
        found.deliveries_accepted,
        found.deliveries_accepted + found.deliveries_failed,
    );
    Ok(())
}

impl Numbers {
    /// In one line.
    pub fn in_words(&self) -> String {
        let share = self
            .total
            .success_percent
            .map_or_else(String::new, |percent| format!(" ({percent} % well)"));
        let fast = match (self.total.p50_ms, self.total.p95_ms) {
            (Some(half), Some(most)) => format!(
                " From the change to the record it took {} (half) and {} (95 in 100) at most.",
                length(half),
                length(most)
            ),
            _ => String::new(),
        };
        format!(
            "{} jobs completed{share}, {} needed a person, {} attempts were repeated, {} corrections by hand.{fast}",
            self.total.completed, self.total.failed, self.total.retried, self.manual_corrections
        )
    }

    /// How many jobs are completed in an hour in which any are; none without any.
    pub fn pace(&self) -> Option<u64> {
        let busy = self.hours.iter().filter(|hour| hour.sums.completed > 0).count() as u64;
        self.total.completed.checked_div(busy)
    }
}

/// A length of time in its largest fitting unit.
pub fn length(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=99_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        100_000..=5_999_999 => format!("{} min", ms / 60_000),
        6_000_000..=172_799_999 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests;
