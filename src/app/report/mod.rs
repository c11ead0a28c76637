//! The review report: what failed and why, what people did by hand, what was slow, what is still open, and the numbers.
//!
//! Everything comes from the store. Durations of single calls to the two systems are not kept with jobs, so a slow job is
//! taken apart by what it waited for: the event, its turn, its attempts, the pauses between them.

mod markdown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::numbers::{Numbers, numbers};
use crate::app::review::title_of;
use crate::domain::{JobId, ShopName, Timestamp};
use crate::store::{
    AuditFilter, AuditRow, ClusterFilter, ClusterRow, CorrectionCount, JobStory, PastProblem, SharedStore,
    SlowJob, StoreError, TallyFilter,
};

/// So many failures are listed; what is beyond is told as such.
const MOST_FAILURES: u32 = 20_000;

/// So many slow jobs are taken apart.
const SLOWEST: u32 = 10;

/// So many actions of one kind are listed; what is beyond is told as such.
const MOST_ACTIONS: u32 = 5_000;

/// So many causes that are open are listed; what is beyond is told as such.
const MOST_OPEN: u32 = 500;

/// What people do that changes a record or ends a job without the flow.
const BY_HAND: [&str; 7] = [
    "resolve",
    "link",
    "discard",
    "edit_table",
    "approve",
    "reject",
    "choose",
];

/// A report.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Report {
    /// From then.
    pub since: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// Of this shop only.
    pub shop: Option<ShopName>,
    /// The numbers, without the single hours.
    pub numbers: Numbers,
    /// How many jobs wait or run now.
    pub queue_depth: u64,
    /// What failed, by cause, the most frequent first.
    pub failed: Vec<FailedCause>,
    /// Whether more failed than is listed.
    pub failed_is_cut: bool,
    /// What people did instead of the flow, newest first.
    pub by_hand: Vec<ByHand>,
    /// Whether they did more than is listed.
    pub by_hand_is_cut: bool,
    /// Values that people put in the ERP in place of what was written, as full runs found them: by field and mapping, the most
    /// frequent first.
    pub corrected: Vec<CorrectionCount>,
    /// The jobs that took longest.
    pub slow: Vec<Slow>,
    /// What is open now, by cause, the most frequent first.
    pub open: Vec<StillOpen>,
    /// Whether more is open than is listed.
    pub open_is_cut: bool,
}

/// Failures of one cause.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FailedCause {
    /// Shop.
    pub shop: ShopName,
    /// The kind of problem.
    pub code: String,
    /// The cause.
    pub cluster: String,
    /// The sentence of the newest.
    pub reason: String,
    /// Whose it is.
    pub owner: String,
    /// How many of them are still open.
    pub open: u64,
    /// Each of them, newest first.
    pub failures: Vec<Failure>,
}

/// One failure.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// The job, unless the shop itself had the problem.
    pub job: Option<JobId>,
    /// The record's name on Shopify.
    pub record: Option<String>,
    /// First seen.
    pub opened_at: Timestamp,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
}

/// Something that a person did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ByHand {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
}

/// A slow job, and what it spent its time on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Slow {
    /// The job.
    #[serde(flatten)]
    pub job: SlowJob,
    /// From the change at the source until lockstep heard of it, in milliseconds.
    pub until_heard_ms: u64,
    /// From then to the first attempt, in milliseconds.
    pub until_begun_ms: u64,
    /// In attempts, in milliseconds.
    pub in_attempts_ms: u64,
    /// Between attempts, in milliseconds.
    pub between_attempts_ms: u64,
    /// What the longest attempt came to.
    pub longest_attempt: Option<String>,
}

/// A cause that is open.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StillOpen {
    /// Shop.
    pub shop: ShopName,
    /// The kind of problem.
    pub code: String,
    /// The sentence of the newest.
    pub reason: String,
    /// What to do.
    pub fix: String,
    /// Whose it is.
    pub owner: String,
    /// Who looks after it.
    pub claimed_by: Option<String>,
    /// Of how many jobs.
    pub jobs: u64,
    /// Since when.
    pub opened_at: Timestamp,
}

/// The report of the time up to now.
///
/// # Errors
/// When the store fails.
pub async fn report(
    store: &SharedStore,
    shop: Option<&ShopName>,
    length: Duration,
    now: Timestamp,
) -> Result<Report, StoreError> {
    let since = now.minus(length);
    let filter = TallyFilter {
        shop: shop.cloned(),
        since,
        until: now,
    };
    let past = store.past_problems(filter.clone(), MOST_FAILURES).await?;
    let mut slow = Vec::new();
    for job in store.slowest_jobs(filter, SLOWEST).await? {
        if let Some(story) = store.job(job.job).await? {
            slow.push(taken_apart(job, &story));
        }
    }
    let clusters = store
        .problem_clusters(ClusterFilter {
            shop: shop.cloned(),
            limit: MOST_OPEN,
            ..ClusterFilter::default()
        })
        .await?;
    let mut numbers = numbers(store, shop, since, now).await?;
    numbers.hours.clear();
    let counts = store.counts(now).await?;
    let queue_depth = counts
        .jobs
        .iter()
        .filter(|count| count.state.is_open() && shop.is_none_or(|shop| count.lane.shop == *shop))
        .map(|count| count.count)
        .sum();
    let (by_hand, by_hand_is_cut) = by_hand(store, shop, since).await?;
    let mut corrected = store.corrections(since).await?;
    corrected.retain(|count| shop.is_none_or(|shop| count.shop == *shop));
    Ok(Report {
        since,
        until: now,
        shop: shop.cloned(),
        numbers,
        queue_depth,
        failed_is_cut: past.len() >= MOST_FAILURES as usize,
        failed: by_cause(past),
        by_hand,
        by_hand_is_cut,
        corrected,
        slow,
        open_is_cut: clusters.len() >= MOST_OPEN as usize,
        open: clusters.into_iter().map(StillOpen::of).collect(),
    })
}

impl StillOpen {
    fn of(row: ClusterRow) -> Self {
        Self {
            shop: row.cluster.shop,
            code: row.cluster.code,
            reason: title_of(&row.example, row.jobs),
            fix: row.example.fix,
            owner: row.example.owner,
            claimed_by: row.claimed_by,
            jobs: row.jobs,
            opened_at: row.opened_at,
        }
    }
}

/// Failures by cause. They come newest first.
fn by_cause(past: Vec<PastProblem>) -> Vec<FailedCause> {
    let mut causes: BTreeMap<(ShopName, String, String), FailedCause> = BTreeMap::new();
    for problem in past {
        let key = (
            problem.shop.clone(),
            problem.code.clone(),
            problem.cluster.clone(),
        );
        let cause = causes.entry(key).or_insert_with(|| FailedCause {
            shop: problem.shop,
            code: problem.code,
            cluster: problem.cluster,
            reason: problem.reason,
            owner: problem.owner,
            open: 0,
            failures: Vec::new(),
        });
        cause.open += u64::from(problem.closed_at.is_none());
        cause.failures.push(Failure {
            job: problem.job,
            record: problem.record,
            opened_at: problem.opened_at,
            closed_at: problem.closed_at,
        });
    }
    let mut causes: Vec<FailedCause> = causes.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.failures.len()));
    causes
}

/// What people did instead of the flow, and whether that is not all.
async fn by_hand(
    store: &SharedStore,
    shop: Option<&ShopName>,
    since: Timestamp,
) -> Result<(Vec<ByHand>, bool), StoreError> {
    let mut rows: Vec<AuditRow> = Vec::new();
    let mut is_cut = false;
    for action in BY_HAND {
        let filter = AuditFilter {
            shop: shop.cloned(),
            action: Some(action.to_owned()),
            since: Some(since),
            limit: MOST_ACTIONS,
            ..AuditFilter::default()
        };
        let some = store.audit(filter).await?;
        is_cut |= some.len() >= MOST_ACTIONS as usize;
        rows.extend(some);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    let acts = rows
        .into_iter()
        .map(|row| ByHand {
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            reason: row.reason,
        })
        .collect();
    Ok((acts, is_cut))
}

/// What a job spent its time on.
fn taken_apart(job: SlowJob, story: &JobStory) -> Slow {
    let ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let waited = ms(job.ended_at.since(job.asked_at));
    let mut in_attempts = 0;
    let mut longest: Option<(u64, &str, u32)> = None;
    // A job that became available again keeps the attempts of before; they are no part of this wait.
    let attempts = story
        .attempts
        .iter()
        .filter(|attempt| attempt.started_at >= job.asked_at && attempt.started_at <= job.ended_at);
    let mut begun = None;
    for attempt in attempts {
        begun.get_or_insert(attempt.started_at);
        let took = ms(attempt.ended_at.unwrap_or(job.ended_at).since(attempt.started_at));
        in_attempts += took;
        if longest.is_none_or(|(known, ..)| took > known) {
            longest = Some((took, &attempt.summary, attempt.number));
        }
    }
    let until_begun = begun.map_or(0, |begun: Timestamp| ms(begun.since(job.asked_at)));
    Slow {
        until_heard_ms: job.took_ms.saturating_sub(waited),
        until_begun_ms: until_begun,
        in_attempts_ms: in_attempts,
        between_attempts_ms: waited.saturating_sub(until_begun + in_attempts),
        longest_attempt: longest
            .map(|(took, summary, number)| format!("attempt {number}, {took} ms: {summary}")),
        job,
    }
}
