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
    /// Whether the problem is open in the store; unknown after a start.
    stored: Option<bool>,
    /// What is to be stored.
    due: Option<bool>,
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
            let threshold = self.threshold;
            let streak = state.shops.entry(shop.clone()).or_default();
            streak.bad_in_a_row = streak.bad_in_a_row.saturating_add(1);
            if streak.bad_in_a_row >= threshold && streak.stored != Some(true) {
                streak.due = Some(true);
            }
        }
        state.lines = state.lines.saturating_add(1);
        let worth_a_line = state.lines <= MOST_LINES;
        drop(state);
        self.some.notify_one();
        worth_a_line
    }

    /// Notes that a delivery of the shop was signed rightly.
    pub(super) fn signed_well(&self, shop: &ShopName) {
        let mut state = self.lock();
        if !state.shops.contains_key(shop) {
            state.shops.insert(shop.clone(), Streak::default());
        }
        let Some(streak) = state.shops.get_mut(shop) else {
            return;
        };
        streak.bad_in_a_row = 0;
        if streak.stored == Some(false) {
            streak.due = None;
        } else if streak.due != Some(false) {
            streak.due = Some(false);
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
        let (counts, lines, due) = self.lock().take();
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
            let result = store_trouble(store, &shop, open, self.threshold, now).await;
            let mut state = self.lock();
            let streak = state.shops.entry(shop.clone()).or_default();
            match result {
                Ok(()) => streak.stored = Some(open),
                Err(failure) => {
                    // Unless the shop's luck turned meanwhile.
                    streak.due.get_or_insert(open);
                    drop(state);
                    warn!(%shop, error = %failure, "cannot store whether the webhook secret is wrong; trying on");
                    self.some.notify_one();
                }
            }
        }
    }
}

/// Where refusals beyond [`MOST_KEYS`] are counted.
const OTHER: &str = "other";

/// The codes that are counted.
const CODES: &[&str] = &[
    Refusal::UnknownShop.code(),
    Refusal::TooLarge.code(),
    Refusal::BodyTooSlow.code(),
    Refusal::BodyBroken.code(),
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

    fn take(&mut self) -> (Vec<RejectionCount>, u32, Vec<(ShopName, bool)>) {
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
            .iter_mut()
            .filter_map(|(shop, streak)| Some((shop.clone(), streak.due.take()?)))
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
        let (counts, ..) = refusals.lock().take();
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

    #[test]
    fn several_bad_signatures_in_a_row_are_a_problem_until_a_good_one() {
        let shop: ShopName = "main".parse().unwrap();
        let now = Timestamp::from_millis(0);
        let refusals = Refusals::new(3);
        let bad = |n: usize| {
            for _ in 0..n {
                refusals.count(Some(&shop), Refusal::BadSignature, now);
            }
        };
        let due = |stored: bool| {
            let due = refusals.lock().take().2.first().map(|(_, open)| *open);
            if let (Some(open), true) = (due, stored) {
                refusals.lock().shops.get_mut(&shop).unwrap().stored = Some(open);
            }
            due
        };
        bad(2);
        assert_eq!(due(true), None, "two are not enough");
        refusals.signed_well(&shop);
        assert_eq!(
            due(true),
            Some(false),
            "the first good one closes what an earlier process opened"
        );
        bad(2);
        refusals.signed_well(&shop);
        bad(2);
        assert_eq!(due(true), None, "not in a row");
        bad(1);
        assert_eq!(due(false), Some(true));
        bad(1);
        assert_eq!(due(true), Some(true), "not stored yet");
        bad(5);
        assert_eq!(due(true), None, "known already");
        refusals.signed_well(&shop);
        assert_eq!(due(true), Some(false));
        refusals.signed_well(&shop);
        assert_eq!(due(true), None);
    }

    #[test]
    fn every_refusal_of_a_webhook_keeps_its_name_when_it_is_written_later() {
        for code in CODES {
            assert!(!code.is_empty() && *code != OTHER);
        }
    }
}
