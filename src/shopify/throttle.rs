//! The cost throttle of one shop, shared by everybody who asks it something.
//!
//! Shopify gives each app and shop a leaky bucket of points: a query reserves its requested cost, and the unused part
//! flows back when it is answered (<https://shopify.dev/docs/api/usage/limits#graphql-admin-api-rate-limits>). Bucket size
//! and rate differ by plan and are told with every answer; here they are only followed. A question waits until its cost
//! (as the last answer to the same document told it) fits. Everybody waits in one line, first come first served, and no
//! longer than a bound: after that the job gives its worker free and comes back later.
//!
//! What is not known: which of the questions still under way the level in an answer already counts. Those that were sent
//! after it are taken off again, so that the level is never thought higher than it is; the next answers correct it.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::documents::Document;
use super::error::ShopifyError;
use crate::domain::{SharedClock, SharedEntropy, Timestamp};

/// Assumed until the first answer: less than the smallest bucket that Shopify gives today.
const ASSUMED: Status = Status {
    maximum: 1000.0,
    level: 1000.0,
    rate: 50.0,
};
/// One answer that asks for more (`Retry-After: 86400`, from some proxy) does not stop a shop for a day: it is asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// The longest random addition to a wait, so that those who were refused together do not come back together.
const JITTER: Duration = Duration::from_millis(500);

/// The bucket as an answer tells it (`throttleStatus`), in points and points per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Status {
    pub(super) maximum: f64,
    pub(super) level: f64,
    pub(super) rate: f64,
}

/// What an answer says about cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// What the question reserved.
    pub(super) requested: Option<f64>,
    /// The bucket afterwards.
    pub(super) status: Option<Status>,
}

/// The bucket and the line before it.
#[derive(Debug)]
pub(super) struct Throttle {
    clock: SharedClock,
    entropy: SharedEntropy,
    /// Held by the first in line. The lock is fair, so it is the line.
    line: tokio::sync::Mutex<()>,
    bucket: Mutex<Bucket>,
    /// Rung when the level was corrected, so that the first in line looks again.
    corrected: Notify,
}

#[derive(Debug)]
struct Bucket {
    status: Status,
    /// When `status.level` was right.
    at: Timestamp,
    /// Whether an answer told the status.
    told: bool,
    /// Nobody asks anything before this time.
    paused_until: Timestamp,
    /// Cost of what is under way, in the order of sending.
    under_way: BTreeMap<u64, f64>,
    next: u64,
    /// What each document cost last.
    costs: HashMap<&'static str, f64>,
}

/// The right to send one question. Dropping it without an answer keeps its cost reserved until the bucket has refilled.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    throttle: &'a Throttle,
    number: u64,
    document: &'static str,
}

impl Throttle {
    pub(super) fn new(clock: SharedClock, entropy: SharedEntropy) -> Self {
        let at = clock.now();
        Self {
            clock,
            entropy,
            line: tokio::sync::Mutex::new(()),
            bucket: Mutex::new(Bucket {
                status: ASSUMED,
                at,
                told: false,
                paused_until: at,
                under_way: BTreeMap::new(),
                next: 0,
                costs: HashMap::new(),
            }),
            corrected: Notify::new(),
        }
    }

    /// Waits in line until `document` fits into the bucket, at most until `deadline`.
    ///
    /// # Errors
    /// [`ShopifyError::InLine`] when it would take longer.
    pub(super) async fn take(
        &self,
        document: &Document,
        deadline: Timestamp,
    ) -> Result<Permit<'_>, ShopifyError> {
        let Some(_first) = self.before(deadline, self.line.lock()).await else {
            return Err(self.too_long(document));
        };
        loop {
            let corrected = self.corrected.notified();
            let now = self.clock.now();
            let ready = {
                let mut bucket = self.bucket();
                match bucket.ready_at(document, now) {
                    ready if ready <= now => {
                        let number = bucket.reserve(document);
                        return Ok(Permit {
                            throttle: self,
                            number,
                            document: document.name,
                        });
                    }
                    ready => ready,
                }
            };
            if ready > deadline {
                return Err(self.too_long(document));
            }
            tokio::select! {
                () = self.clock.sleep_until(ready) => {}
                () = corrected => {}
            }
        }
    }

    /// Lets nobody ask anything for this long and a little more; never longer than [`LONGEST_PAUSE`].
    pub(super) fn pause(&self, wait: Duration) {
        let until = self
            .clock
            .now()
            .plus(wait.min(LONGEST_PAUSE))
            .plus(JITTER.mul_f64(self.entropy.unit()));
        let mut bucket = self.bucket();
        bucket.paused_until = bucket.paused_until.max(until);
    }

    /// How long until `document` may be sent as far as is known, and a little more.
    pub(super) fn wait_for(&self, document: &Document) -> Duration {
        let now = self.clock.now();
        let ready = self.bucket().ready_at(document, now);
        ready
            .since(now)
            .saturating_add(JITTER.mul_f64(self.entropy.unit()))
    }

    /// Points in the bucket now, once an answer told them.
    pub(super) fn level(&self) -> Option<f64> {
        let mut bucket = self.bucket();
        bucket.refill(self.clock.now());
        bucket.told.then_some(bucket.status.level)
    }

    fn too_long(&self, document: &Document) -> ShopifyError {
        ShopifyError::InLine {
            after: self.wait_for(document),
        }
    }

    async fn before<T>(&self, deadline: Timestamp, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.clock.sleep_until(deadline) => None,
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn refill(&mut self, now: Timestamp) {
        let refilled = self.status.level + self.status.rate * now.since(self.at).as_secs_f64();
        self.status.level = refilled.min(self.status.maximum);
        self.at = self.at.max(now);
    }

    /// The cost to reserve. What is larger than the whole bucket is sent when the bucket is full: Shopify answers that.
    fn cost(&self, document: &Document) -> f64 {
        let known = self.costs.get(document.name).copied();
        known.unwrap_or(document.points).min(self.status.maximum)
    }

    fn ready_at(&mut self, document: &Document, now: Timestamp) -> Timestamp {
        self.refill(now);
        let lacking = self.cost(document) - self.status.level;
        let wait = if lacking <= 0.0 {
            Duration::ZERO
        } else {
            // Rounded up to the next millisecond: a sleep that ends a moment too early would spin.
            Duration::try_from_secs_f64(lacking / self.status.rate.max(0.001))
                .unwrap_or(Duration::MAX)
                .saturating_add(Duration::from_millis(1))
        };
        now.plus(wait).max(self.paused_until)
    }

    fn reserve(&mut self, document: &Document) -> u64 {
        let cost = self.cost(document);
        self.status.level -= cost;
        let number = self.next;
        self.next += 1;
        self.under_way.insert(number, cost);
        number
    }

    fn settle(&mut self, number: u64, document: &'static str, cost: Cost, now: Timestamp) {
        self.under_way.remove(&number);
        if let Some(requested) = cost.requested {
            self.costs.insert(document, requested);
        }
        if let Some(status) = cost.status {
            let later: f64 = self.under_way.range(number..).map(|(_, cost)| cost).sum();
            self.status = Status {
                level: status.level - later,
                ..status
            };
            self.at = now;
            self.told = true;
        }
    }
}

impl Permit<'_> {
    /// Tells what the answer said about cost.
    pub(super) fn settle(self, cost: Cost) {
        let now = self.throttle.clock.now();
        self.throttle
            .bucket()
            .settle(self.number, self.document, cost, now);
        self.throttle.corrected.notify_waiters();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.throttle.bucket().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{ManualClock, SeededEntropy};

    const DOCUMENT: Document = Document {
        name: "Costly",
        text: "",
        points: 300.0,
        writes: false,
        tells_refusals: false,
        searches: false,
    };
    const CHEAP: Document = Document {
        name: "Cheap",
        points: 1.0,
        ..DOCUMENT
    };

    fn throttle() -> (ManualClock, Throttle) {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let throttle = Throttle::new(Arc::new(clock.clone()), Arc::new(SeededEntropy::new(1)));
        (clock, throttle)
    }

    fn in_s(clock: &ManualClock, seconds: u64) -> Timestamp {
        use crate::domain::Clock as _;
        clock.now().plus(Duration::from_secs(seconds))
    }

    fn told(requested: f64, level: f64) -> Cost {
        Cost {
            requested: Some(requested),
            status: Some(Status {
                maximum: 2000.0,
                level,
                rate: 100.0,
            }),
        }
    }

    #[tokio::test]
    async fn answers_steer_level_and_cost() {
        let (clock, throttle) = throttle();
        let deadline = in_s(&clock, 30);
        assert_eq!(throttle.level(), None, "nothing was told yet");
        throttle
            .take(&DOCUMENT, deadline)
            .await
            .unwrap()
            .settle(told(500.0, 120.0));
        assert_eq!(throttle.level(), Some(120.0));
        // 500 - 120 = 380 points at 100 a second: 3.8 s and a moment.
        let mut waiting = Box::pin(throttle.take(&DOCUMENT, deadline));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        clock.advance(Duration::from_millis(3_799));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        clock.advance(Duration::from_millis(2));
        let permit = waiting.await.unwrap();
        assert!(throttle.level().unwrap() < 1.0);
        permit.settle(told(500.0, 1990.0));
        clock.advance(Duration::from_mins(1));
        assert_eq!(throttle.level(), Some(2000.0), "never above the bucket's size");
    }

    #[tokio::test]
    async fn what_was_sent_later_is_taken_off_an_answers_level() {
        let (clock, throttle) = throttle();
        let deadline = in_s(&clock, 30);
        let first = throttle.take(&DOCUMENT, deadline).await.unwrap();
        let second = throttle.take(&DOCUMENT, deadline).await.unwrap();
        first.settle(told(300.0, 900.0));
        assert_eq!(
            throttle.level(),
            Some(600.0),
            "the second may have come after the answer"
        );
        second.settle(told(300.0, 880.0));
        assert_eq!(throttle.level(), Some(880.0));
        drop(throttle.take(&DOCUMENT, deadline).await.unwrap());
        assert_eq!(
            throttle.level(),
            Some(580.0),
            "a question without an answer stays paid for"
        );
        throttle
            .take(&CHEAP, deadline)
            .await
            .unwrap()
            .settle(told(1.0, 570.0));
        assert_eq!(
            throttle.level(),
            Some(570.0),
            "a dropped question is no longer under way"
        );
    }

    #[tokio::test]
    async fn the_line_is_fair_and_the_wait_is_bounded() {
        let (clock, throttle) = throttle();
        let deadline = in_s(&clock, 10);
        throttle
            .take(&DOCUMENT, deadline)
            .await
            .unwrap()
            .settle(told(900.0, 0.0));
        let mut costly = Box::pin(throttle.take(&DOCUMENT, deadline));
        assert!(futures_util::poll!(&mut costly).is_pending());
        let mut cheap = Box::pin(throttle.take(&CHEAP, deadline));
        assert!(futures_util::poll!(&mut cheap).is_pending());
        clock.advance(Duration::from_secs(5));
        assert!(futures_util::poll!(&mut costly).is_pending());
        assert!(
            futures_util::poll!(&mut cheap).is_pending(),
            "a cheap question does not overtake"
        );
        clock.advance(Duration::from_secs(5));
        drop(costly.await.unwrap());
        drop(cheap.await.unwrap());
        // 900 points are 9 s away, which is past a deadline of 5 s: said at once.
        let refused = throttle.take(&DOCUMENT, in_s(&clock, 5)).await.unwrap_err();
        let ShopifyError::InLine { after: wait } = refused else {
            panic!("{refused:?}")
        };
        assert!(
            (8_000..10_000).contains(&u64::try_from(wait.as_millis()).unwrap()),
            "{wait:?}"
        );
    }

    #[tokio::test]
    async fn whoever_waits_in_line_past_the_deadline_gives_up() {
        let (clock, throttle) = throttle();
        throttle.pause(Duration::from_hours(1));
        let mut first = Box::pin(throttle.take(&CHEAP, in_s(&clock, 7200)));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(throttle.take(&CHEAP, in_s(&clock, 30)));
        assert!(futures_util::poll!(&mut second).is_pending());
        clock.advance(Duration::from_secs(31));
        assert!(matches!(second.await, Err(ShopifyError::InLine { .. })));
        clock.advance(Duration::from_hours(1));
        drop(first.await.unwrap());
    }

    #[tokio::test]
    async fn nobody_is_stopped_for_a_day() {
        let (clock, throttle) = throttle();
        throttle.pause(Duration::from_hours(24));
        assert!(matches!(
            throttle.take(&CHEAP, in_s(&clock, 30)).await,
            Err(ShopifyError::InLine { .. })
        ));
        clock.advance(LONGEST_PAUSE + JITTER);
        drop(throttle.take(&CHEAP, in_s(&clock, 0)).await.unwrap());
    }

    #[tokio::test]
    async fn a_document_larger_than_the_bucket_waits_for_a_full_one_only() {
        let (clock, throttle) = throttle();
        let huge = Document {
            points: 1_000_000.0,
            ..DOCUMENT
        };
        drop(throttle.take(&huge, in_s(&clock, 1)).await.unwrap());
        assert!(matches!(
            throttle.take(&CHEAP, in_s(&clock, 0)).await,
            Err(ShopifyError::InLine { .. })
        ));
    }
}
