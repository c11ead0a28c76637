//! Verified deliveries: counted in memory by shop, topic, subscription's name and hour, bounded, written to the store every few
//! seconds and at the stop. From these counts people see through which subscription events arrive, and when the last came.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::OwnName;
use crate::domain::{SharedClock, ShopName, Timestamp, Topic};
use crate::store::{DeliveryCount, SharedStore, Tally as HourTally, TallyKind, bound_ms, hour_of};

/// How often counts are written.
const EVERY: Duration = Duration::from_secs(5);

/// Different counts held at most. Topic and name stand outside the signature, so that whoever has seen one delivery can send it
/// again under any; what comes beyond is counted together.
const MOST_KEYS: usize = 1024;

/// Names beside our own under which deliveries of one topic are counted in an hour.
const MOST_NAMES: usize = 8;

/// The topic or the name under which others are counted together. No topic of Shopify is spelled like this.
const OTHER: &str = "other";

const HOUR_MS: i64 = 3_600_000;

/// Shop, what is counted, start of the hour, class of time.
type Answer = (ShopName, TallyKind, Timestamp, u64);

/// Shop, topic, name, start of the hour.
type Key = (ShopName, String, String, i64);

/// The counts that are not written yet.
pub(super) struct Counts {
    waiting: Mutex<HashMap<Key, Tally>>,
    /// How long answers took, and what came again. A shop has a bounded number of classes of times in an hour.
    answers: Mutex<HashMap<Answer, u64>>,
    own_name: OwnName,
    /// Of this hour, the names of others by shop and topic.
    names: Mutex<(i64, HashMap<(ShopName, String), BTreeSet<String>>)>,
    some: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: u64,
    failed: u64,
    last_at: i64,
    last_accepted_at: Option<i64>,
}

impl Tally {
    fn join(&mut self, other: Self) {
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.failed = self.failed.saturating_add(other.failed);
        self.last_at = self.last_at.max(other.last_at);
        self.last_accepted_at = self.last_accepted_at.max(other.last_accepted_at);
    }
}

impl Counts {
    pub(super) fn new(own_name: OwnName) -> Self {
        Self {
            waiting: Mutex::default(),
            answers: Mutex::default(),
            own_name,
            names: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// What a delivery with these headers is counted under, of which there is a bounded number in an hour.
    fn place(&self, shop: &ShopName, topic: &str, name: &str, hour: i64) -> (String, String) {
        if Topic::of_header(topic).is_none() {
            return (OTHER.to_owned(), String::new());
        }
        let is_own = || (self.own_name)(topic).as_deref() == Some(name);
        if name.is_empty() || is_own() {
            return (topic.to_owned(), name.to_owned());
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.0 != hour {
            *names = (hour, HashMap::new());
        }
        let known = names.1.entry((shop.clone(), topic.to_owned())).or_default();
        let name = if known.contains(name) || known.len() < MOST_NAMES {
            known.insert(name.to_owned());
            name
        } else {
            OTHER
        };
        (topic.to_owned(), name.to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Tally>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one delivery that was verified.
    pub(super) fn count(
        &self,
        shop: &ShopName,
        topic: Option<&str>,
        name: Option<&str>,
        is_accepted: bool,
        now: Timestamp,
    ) {
        let hour = now.millis().div_euclid(HOUR_MS) * HOUR_MS;
        let (topic, name) = self.place(shop, topic.unwrap_or_default(), name.unwrap_or_default(), hour);
        let tally = Tally {
            accepted: u64::from(is_accepted),
            failed: u64::from(!is_accepted),
            last_at: now.millis(),
            last_accepted_at: is_accepted.then(|| now.millis()),
        };
        add(&mut self.lock(), (shop.clone(), topic, name, hour), tally);
        self.some.notify_one();
    }

    /// Counts one delivery that was answered with 200, by what it was: a test of our own is none of Shopify's.
    pub(super) fn answered(&self, shop: &ShopName, what: &str, took: Duration, now: Timestamp) {
        if what == "test" {
            return;
        }
        let hour = hour_of(now);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut add = |kind, bound| *answers.entry((shop.clone(), kind, hour, bound)).or_default() += 1;
        add(TallyKind::Answered, bound_ms(took));
        if what == "repeated" {
            add(TallyKind::Repeated, 0);
        }
        drop(answers);
        self.some.notify_one();
    }

    async fn write_answers(&self, store: &SharedStore) {
        let lock = || self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut *lock());
        if waiting.is_empty() {
            return;
        }
        let tallies = waiting
            .iter()
            .map(|((shop, kind, hour, bound), count)| HourTally {
                hour: *hour,
                shop: shop.clone(),
                lane: None,
                kind: *kind,
                bound_ms: *bound,
                count: *count,
            });
        if let Err(failure) = store.add_tallies(tallies.collect()).await {
            warn!(error = %failure, "cannot store how long answers took; trying on");
            let mut answers = lock();
            for (key, count) in waiting {
                *answers.entry(key).or_default() += count;
            }
            drop(answers);
            self.some.notify_one();
        }
    }

    /// Writes what there is to write, every few seconds while there is something, and once more at the stop.
    pub(super) async fn keep(&self, store: &SharedStore, clock: &SharedClock, stop: &CancellationToken) {
        loop {
            select! {
                () = stop.cancelled() => break,
                () = self.some.notified() => {}
            }
            select! {
                () = stop.cancelled() => break,
                () = clock.sleep_until(clock.now().plus(EVERY)) => {}
            }
            self.write(store).await;
            self.write_answers(store).await;
        }
        self.write(store).await;
        self.write_answers(store).await;
    }

    async fn write(&self, store: &SharedStore) {
        let waiting = std::mem::take(&mut *self.lock());
        if waiting.is_empty() {
            return;
        }
        let rows = waiting
            .iter()
            .map(|((shop, topic, name, hour), tally)| DeliveryCount {
                shop: shop.clone(),
                topic: topic.clone(),
                name: name.clone(),
                hour: Timestamp::from_millis(*hour),
                accepted: tally.accepted,
                failed: tally.failed,
                last_at: Timestamp::from_millis(tally.last_at),
                last_accepted_at: tally.last_accepted_at.map(Timestamp::from_millis),
            });
        if let Err(failure) = store.count_deliveries(rows.collect()).await {
            warn!(error = %failure, "cannot store the counts of deliveries; trying on");
            let mut counts = self.lock();
            for (key, tally) in waiting {
                add(&mut counts, key, tally);
            }
            drop(counts);
            self.some.notify_one();
        }
    }
}

fn add(counts: &mut HashMap<Key, Tally>, key: Key, tally: Tally) {
    let key = if counts.len() < MOST_KEYS || counts.contains_key(&key) {
        key
    } else {
        (key.0, OTHER.to_owned(), String::new(), key.3)
    };
    counts.entry(key).or_default().join(tally);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn tests_of_our_own_are_no_deliveries() {
        let counts = Counts::new(Arc::new(|topic| Some(format!("ours-{topic}"))));
        let shop: ShopName = "main".parse().unwrap();
        let kinds = || {
            let answers = counts.answers.lock().unwrap();
            let mut kinds: Vec<String> = answers.keys().map(|(_, kind, ..)| format!("{kind:?}")).collect();
            drop(answers);
            kinds.sort();
            kinds
        };
        counts.answered(&shop, "test", Duration::from_millis(1), at(10));
        assert!(kinds().is_empty(), "{:?}", kinds());
        counts.answered(&shop, "repeated", Duration::from_millis(1), at(10));
        assert_eq!(kinds(), ["Answered", "Repeated"]);
    }

    #[test]
    fn counts_are_kept_by_name_and_hour_and_are_bounded() {
        let counts = Counts::new(Arc::new(|topic| Some(format!("ours-{topic}"))));
        let shop: ShopName = "main".parse().unwrap();
        counts.count(&shop, Some("orders/create"), Some("ours"), true, at(10));
        counts.count(&shop, Some("orders/create"), Some("ours"), false, at(20));
        counts.count(&shop, Some("orders/create"), None, true, at(30));
        counts.count(&shop, Some("orders/create"), Some("ours"), true, at(3600));
        {
            let held = counts.lock();
            assert_eq!(held.len(), 3);
            let first = held[&(shop.clone(), "orders/create".into(), "ours".into(), 0)];
            let expected = Tally {
                accepted: 1,
                failed: 1,
                last_at: 20_000,
                last_accepted_at: Some(10_000),
            };
            assert_eq!(first, expected);
        }
        for n in 0..5000 {
            counts.count(&shop, Some(&format!("forged/{n}")), None, true, at(40));
            // Under a known topic, with names like ours.
            let name = format!("lockstep-{n:08x}-orders_paid");
            counts.count(&shop, Some("orders/paid"), Some(&name), true, at(3700));
        }
        // Our own is told apart still, however many others came before.
        counts.count(
            &shop,
            Some("orders/paid"),
            Some("ours-orders/paid"),
            true,
            at(3800),
        );
        let held = counts.lock();
        let of = |topic: &str| held.keys().filter(|key| key.1 == topic).count();
        assert_eq!((of("other"), of("orders/paid")), (1, MOST_NAMES + 2));
        let own = (
            shop,
            "orders/paid".to_owned(),
            "ours-orders/paid".to_owned(),
            HOUR_MS,
        );
        assert_eq!(held[&own].accepted, 1);
        assert_eq!(held.values().map(|tally| tally.accepted).sum::<u64>(), 10_004);
    }
}
