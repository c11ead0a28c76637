//! Verified deliveries: counted in memory by shop, topic, subscription's name and hour, bounded, written to the store every few
//! seconds and at the stop. From these counts people see through which subscription events arrive, and when the last came.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::domain::{SharedClock, ShopName, Timestamp};
use crate::store::{DeliveryCount, SharedStore};

/// How often counts are written.
const EVERY: Duration = Duration::from_secs(5);

/// Different counts held at most. Topic and name stand outside the signature; what comes beyond is counted together.
const MOST_KEYS: usize = 1024;

/// The topic under which they are counted then. No topic of Shopify is spelled like this.
const OTHER: &str = "other";

const HOUR_MS: i64 = 3_600_000;

/// Shop, topic, name, start of the hour.
type Key = (ShopName, String, String, i64);

/// The counts that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Counts {
    waiting: Mutex<HashMap<Key, Tally>>,
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
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let tally = Tally {
            accepted: u64::from(is_accepted),
            failed: u64::from(!is_accepted),
            last_at: now.millis(),
            last_accepted_at: is_accepted.then(|| now.millis()),
        };
        add(
            &mut self.lock(),
            (shop.clone(), text(topic), text(name), hour),
            tally,
        );
        self.some.notify_one();
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
        }
        self.write(store).await;
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
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn counts_are_kept_by_name_and_hour_and_are_bounded() {
        let counts = Counts::default();
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
        }
        let held = counts.lock();
        assert_eq!(held.len(), MOST_KEYS + 1);
        assert_eq!(held.values().map(|tally| tally.accepted).sum::<u64>(), 5003);
    }
}
