//! What was refused: counted in memory, bounded, written to the store every second; and whether a shop's secret seems to
//! be wrong.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::domain::{NewProblem, ProblemCode, SharedClock, ShopName, Timestamp};
use crate::store::{RejectionCount, SharedStore, StoreError};

use super::super::answer::Refusal;

/// Different counts held at most; what comes beyond is counted together.
const MOST_KEYS: usize = 256;

/// How often counts are written.
const EVERY: Duration = Duration::from_secs(1);

/// Log lines about refusals within that time; a flood must not fill the disk.
const MOST_LINES: u32 = 5;

/// Bad signatures do not count as a wrong secret while a good one came within this time: forged deliveries are just that.
/// Where the secret really is wrong, no good one comes any more.
const GOOD_SPEAKS_FOR: Duration = Duration::from_mins(1);

/// The problem is over when no bad signature came for this long, and a good one did.
const QUIET: Duration = Duration::from_mins(5);

const HOUR_MS: i64 = 3_600_000;

/// The code of the problem that several bad signatures in a row raise.
pub(super) const SECRET_WRONG: &str = "webhook_secret_wrong";

/// The counts and the shops' streaks of bad signatures.
#[derive(Debug)]
pub(super) struct Refusals {
    /// Bad signatures in a row that raise the problem.
    threshold: u32,
    state: Mutex<State>,
    some: Notify,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<(String, &'static str, i64), u64>,
    lines: u32,
    shops: HashMap<ShopName, Streak>,
}

/// How a shop's signatures fare.
#[derive(Debug, Default)]
struct Streak {
    bad_in_a_row: u32,
    last_bad: Option<Timestamp>,
    last_good: Option<Timestamp>,
    /// Whether the problem is open in the store; unknown after a start.
    stored: Option<bool>,
}

impl Streak {
    /// What is to be stored at this time: whether the problem is open.
    fn due(&self, threshold: u32, now: Timestamp) -> Option<bool> {
        let is_past = |at: Option<Timestamp>, length| at.is_none_or(|at| now.since(at) >= length);
        if self.seems_wrong(threshold) {
            is_past(self.last_good, GOOD_SPEAKS_FOR).then_some(true)
        } else if self.seems_right() {
            is_past(self.last_bad, QUIET).then_some(false)
        } else {
            None
        }
    }

    fn seems_wrong(&self, threshold: u32) -> bool {
        self.bad_in_a_row >= threshold && self.stored != Some(true)
    }

    fn seems_right(&self) -> bool {
        self.bad_in_a_row == 0 && self.last_good.is_some() && self.stored != Some(false)
    }
}

impl Refusals {
    pub(super) fn new(threshold: u32) -> Self {
        Self {
            threshold,
            state: Mutex::default(),
            some: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal. Returns whether it is worth a log line.
    pub(super) fn count(&self, shop: Option<&ShopName>, refusal: Refusal, now: Timestamp) -> bool {
        let mut state = self.lock();
        let hour = now.millis().div_euclid(HOUR_MS) * HOUR_MS;
        let name = shop.map_or("-", ShopName::as_str);
        state.add(name, refusal.code(), hour, 1);
        if let (Some(shop), Refusal::BadSignature) = (shop, refusal) {
            let streak = state.shops.entry(shop.clone()).or_default();
            streak.bad_in_a_row = streak.bad_in_a_row.saturating_add(1);
            streak.last_bad = Some(now);
        }
        state.lines = state.lines.saturating_add(1);
        let worth_a_line = state.lines <= MOST_LINES;
        drop(state);
        self.some.notify_one();
        worth_a_line
    }

    /// Notes that a delivery of the shop was signed rightly.
    pub(super) fn signed_well(&self, shop: &ShopName, now: Timestamp) {
        let mut state = self.lock();
        if !state.shops.contains_key(shop) {
            state.shops.insert(shop.clone(), Streak::default());
        }
        let Some(streak) = state.shops.get_mut(shop) else {
            return;
        };
        streak.bad_in_a_row = 0;
        streak.last_good = Some(now);
        if streak.seems_right() {
            drop(state);
            self.some.notify_one();
        }
    }

    /// Writes what there is to write, every second while there is something, and once more at the stop.
    pub(super) async fn keep(&self, store: &SharedStore, clock: &SharedClock, stop: &CancellationToken) {
        loop {
            select! {
                () = stop.cancelled() => break,
                () = self.some.notified() => {}
            }
            // The first of a burst is not written alone.
            select! {
                () = stop.cancelled() => break,
                () = clock.sleep_until(clock.now().plus(EVERY)) => {}
            }
            self.write(store, clock.now()).await;
        }
        self.write(store, clock.now()).await;
    }

    async fn write(&self, store: &SharedStore, now: Timestamp) {
        let (counts, lines, due) = self.lock().take(self.threshold, now);
        if lines > MOST_LINES {
            warn!(
                refused = lines,
                "refused deliveries; not each of them has its own line"
            );
        }
        if !counts.is_empty()
            && let Err(failure) = store.count_rejections(counts.clone()).await
        {
            warn!(error = %failure, "cannot store the counts of refused deliveries; trying on");
            let mut state = self.lock();
            for count in counts {
                let reason = CODES
                    .iter()
                    .copied()
                    .find(|code| *code == count.reason)
                    .unwrap_or(OTHER);
                state.add(&count.shop, reason, count.hour.millis(), count.count);
            }
            drop(state);
            self.some.notify_one();
        }
        for (shop, open) in due {
            match store_trouble(store, &shop, open, self.threshold, now).await {
                Ok(()) => self.lock().shops.entry(shop).or_default().stored = Some(open),
                Err(failure) => {
                    warn!(%shop, error = %failure, "cannot store whether the webhook secret is wrong; trying on");
                }
            }
        }
        if self.lock().waits(self.threshold) {
            self.some.notify_one();
        }
    }
}

/// Where refusals beyond [`MOST_KEYS`] are counted.
const OTHER: &str = "other";

/// The codes that are counted.
const CODES: &[&str] = &[
    Refusal::NotAllowed.code(),
    Refusal::UnknownShop.code(),
    Refusal::TooLarge.code(),
    Refusal::BodyTooSlow.code(),
    Refusal::BodyBroken.code(),
    Refusal::TooMuchAtOnce.code(),
    Refusal::NoSignature.code(),
    Refusal::BadSignature.code(),
    Refusal::SecretUnreadable.code(),
    Refusal::NotStored.code(),
    Refusal::StoreTooSlow.code(),
];

impl State {
    fn add(&mut self, shop: &str, reason: &'static str, hour: i64, more: u64) {
        let full = self.counts.len() >= MOST_KEYS;
        let count = match self.counts.entry((shop.to_owned(), reason, hour)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if !full => entry.insert(0),
            // One count for all that is too much, under the hour of the first of them.
            Entry::Vacant(_) => match self
                .counts
                .keys()
                .find(|(_, reason, _)| *reason == OTHER)
                .cloned()
            {
                Some(key) => self.counts.entry(key).or_default(),
                None => self.counts.entry(("-".to_owned(), OTHER, hour)).or_default(),
            },
        };
        *count = count.saturating_add(more);
    }

    /// Whether something is to be stored sooner or later without another delivery.
    fn waits(&self, threshold: u32) -> bool {
        self.shops
            .values()
            .any(|streak| streak.seems_wrong(threshold) || streak.seems_right())
    }

    fn take(&mut self, threshold: u32, now: Timestamp) -> (Vec<RejectionCount>, u32, Vec<(ShopName, bool)>) {
        let counts = self
            .counts
            .drain()
            .map(|((shop, reason, hour), count)| RejectionCount {
                shop,
                reason: reason.to_owned(),
                hour: Timestamp::from_millis(hour),
                count,
            })
            .collect();
        let lines = std::mem::take(&mut self.lines);
        let due = self
            .shops
            .iter()
            .filter_map(|(shop, streak)| Some((shop.clone(), streak.due(threshold, now)?)))
            .collect();
        (counts, lines, due)
    }
}

/// Opens or closes the shop's problem.
async fn store_trouble(
    store: &SharedStore,
    shop: &ShopName,
    open: bool,
    threshold: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !open {
        let closed = store.close_shop_problems(shop, SECRET_WRONG, now).await?;
        if closed > 0 {
            info!(%shop, "webhooks are signed with a known secret again");
        }
        return Ok(());
    }
    warn!(%shop, "several webhooks in a row were signed with an unknown secret");
    let problem = NewProblem {
        code: ProblemCode::from(SECRET_WRONG),
        record: None,
        field: Some("webhook_secrets".into()),
        reason: format!(
            "The last {threshold} webhooks (or more) of this shop were signed with a secret that lockstep does not know."
        ),
        fix: format!(
            "Compare `webhook_secrets` of [shops.{shop}] with the client secret of the app on Shopify; while a secret is \
             being rotated, list the old and the new one. Hurry: after eight failures in a row Shopify deletes the \
             webhook subscription."
        ),
        owner: "operator".into(),
        mapping: None,
        cluster: SECRET_WRONG.into(),
        detail: serde_json::Value::Null,
    };
    store.open_shop_problem(shop, problem, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_and_nothing_is_lost() {
        let refusals = Refusals::new(3);
        for n in 0..1000_i64 {
            refusals.count(
                None,
                Refusal::UnknownShop,
                Timestamp::from_millis(n * HOUR_MS + 5),
            );
        }
        let (counts, ..) = refusals.lock().take(3, Timestamp::from_millis(0));
        assert!(counts.len() <= MOST_KEYS + 1, "{}", counts.len());
        assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), 1000);
        assert!(counts.iter().all(|count| count.hour.millis() % HOUR_MS == 0));
        assert!(counts.iter().any(|count| count.reason == OTHER));
    }

    #[test]
    fn a_flood_has_few_log_lines() {
        let refusals = Refusals::new(3);
        let now = Timestamp::from_millis(0);
        let lines = (0..1000)
            .filter(|_| refusals.count(None, Refusal::NoSignature, now))
            .count();
        assert_eq!(lines, MOST_LINES as usize);
    }

    /// A shop's signatures, and what of them is stored.
    struct Story {
        refusals: Refusals,
        shop: ShopName,
    }

    impl Story {
        fn new() -> Self {
            Self {
                refusals: Refusals::new(3),
                shop: "main".parse().unwrap(),
            }
        }

        fn bad(&self, times: usize, at_s: i64) {
            for _ in 0..times {
                let now = Timestamp::from_millis(at_s * 1000);
                self.refusals.count(Some(&self.shop), Refusal::BadSignature, now);
            }
        }

        fn good(&self, at_s: i64) {
            self.refusals
                .signed_well(&self.shop, Timestamp::from_millis(at_s * 1000));
        }

        /// What is to be stored then.
        fn due(&self, at_s: i64) -> Option<bool> {
            let due = self
                .refusals
                .lock()
                .take(3, Timestamp::from_millis(at_s * 1000))
                .2;
            due.first().map(|(_, open)| *open)
        }

        /// The same, and the store takes it.
        fn stored(&self, at_s: i64) -> Option<bool> {
            let due = self.due(at_s);
            if due.is_some() {
                self.refusals.lock().shops.get_mut(&self.shop).unwrap().stored = due;
            }
            due
        }
    }

    #[test]
    fn a_secret_that_nobody_signs_with_any_more_is_a_problem_until_it_is_quiet() {
        let story = Story::new();
        story.good(0);
        assert_eq!(
            story.stored(0),
            Some(false),
            "what an earlier process opened is over"
        );
        story.bad(2, 1);
        assert_eq!(story.stored(100), None, "two are not enough");
        story.bad(1, 2);
        assert_eq!(story.stored(59), None, "a good one came within a minute");
        assert!(
            story.refusals.lock().waits(3),
            "looked at again without another delivery"
        );
        assert_eq!(story.due(60), Some(true));
        assert_eq!(story.stored(61), Some(true), "not stored yet");
        story.bad(5, 62);
        assert_eq!(story.stored(63), None, "known already");
        story.good(70);
        assert_eq!(story.stored(70), None, "one good delivery is no quiet");
        assert_eq!(story.stored(62 + 299), None);
        assert_eq!(story.stored(62 + 300), Some(false));
        assert!(!story.refusals.lock().waits(3), "nothing is left to look at");
    }

    #[test]
    fn forged_deliveries_between_good_ones_are_no_problem() {
        let story = Story::new();
        story.good(0);
        story.stored(0);
        for second in 1..600 {
            story.bad(3, second);
            assert_eq!(story.stored(second), None, "at {second} s");
            if second % 30 == 0 {
                story.good(second);
            }
        }
        // And an open problem does not flap while they go on.
        let story = Story::new();
        story.bad(3, 0);
        assert_eq!(story.stored(0), Some(true), "no good one is known at all");
        for second in 1..600 {
            story.good(second);
            story.bad(3, second);
            story.good(second);
            assert_eq!(story.stored(second), None, "at {second} s");
        }
    }

    #[test]
    fn every_refusal_of_a_webhook_keeps_its_name_when_it_is_written_later() {
        for code in CODES {
            assert!(!code.is_empty() && *code != OTHER);
        }
    }
}
