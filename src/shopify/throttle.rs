//! The cost throttle of one shop, shared by everybody who asks it something.
//!
//! Shopify gives each app and shop a leaky bucket of points: a query reserves its requested cost, and the unused part
//! flows back when it is answered (<https://shopify.dev/docs/api/usage/limits#graphql-admin-api-rate-limits>). Bucket size
//! and rate differ by plan and are told with every answer; here they are only followed. A question waits until its cost
//! (as the last answer to the same document told it) fits. Everybody waits in one line, first come first served, and no
//! longer than a bound: after that the job gives its worker free and comes back later.
//!
//! What gives way ([`calls::gives_way`]: an import's questions) stands in a line of its own and asks only while half of the bucket
//! is left after it, so that a live question finds points at once and nobody before it. The first of that line does so for half of
//! the time that it may wait; then it stands in line as everybody does, or an import would never end beside a shop that is always
//! busy. The others stay where they are until it has its turn, and their time counts from then. So a live question finds one of them
//! before it at most, and waits no longer for it than its cost takes to flow in.
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
use crate::telemetry::calls;

/// The part of the bucket that questions which give way leave to others.
const LEFT_TO_OTHERS: f64 = 0.5;

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
    /// The line of those that give way.
    lesser: tokio::sync::Mutex<()>,
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
            lesser: tokio::sync::Mutex::new(()),
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

    /// Waits in line until `document` fits into the bucket, at most until `deadline`; what gives way may wait twice as long.
    ///
    /// # Errors
    /// [`ShopifyError::InLine`] when it would take longer.
    pub(super) async fn take(
        &self,
        document: &Document,
        deadline: Timestamp,
    ) -> Result<Permit<'_>, ShopifyError> {
        if calls::gives_way() {
            self.take_last(document, deadline).await
        } else {
            self.take_in_line(document, deadline).await
        }
    }

    async fn take_in_line(
        &self,
        document: &Document,
        deadline: Timestamp,
    ) -> Result<Permit<'_>, ShopifyError> {
        let Some(_first) = self.before(deadline, self.line.lock()).await else {
            return Err(self.too_long(document));
        };
        loop {
            let corrected = self.corrected.notified();
            let ready = match self.reserved(document, 0.0) {
                Ok(permit) => return Ok(permit),
                Err(ready) => ready,
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

    /// For what gives way: waits for its turn among its like until `deadline`, and then as long again to be sent.
    async fn take_last(&self, document: &Document, deadline: Timestamp) -> Result<Permit<'_>, ShopifyError> {
        let patience = deadline.since(self.clock.now());
        // Held while it stands in the other line, too: whoever comes next would follow it there, and soon all of them.
        let Some(_first) = self.before(deadline, self.lesser.lock()).await else {
            return Err(self.too_long(document));
        };
        let now = self.clock.now();
        if let Some(permit) = self.take_what_is_left(document, now.plus(patience / 2)).await {
            return Ok(permit);
        }
        self.take_in_line(document, now.plus(patience)).await
    }

    /// Waits until nobody else waits and enough is left to others; none when it did not come to that until then.
    async fn take_what_is_left(&self, document: &Document, until: Timestamp) -> Option<Permit<'_>> {
        loop {
            let corrected = self.corrected.notified();
            // Held for this look only: whoever stands in the other line goes first.
            let taken = {
                let _line = self.before(until, self.line.lock()).await?;
                self.reserved(document, LEFT_TO_OTHERS)
            };
            let ready = match taken {
                Ok(permit) => return Some(permit),
                Err(ready) => ready,
            };
            if until <= self.clock.now() {
                return None;
            }
            tokio::select! {
                () = self.clock.sleep_until(ready.min(until)) => {}
                () = corrected => {}
            }
        }
    }

    /// Reserves the cost of `document` where it leaves this part of the bucket; else says when that will be so, as far as is known.
    fn reserved(&self, document: &Document, left: f64) -> Result<Permit<'_>, Timestamp> {
        let now = self.clock.now();
        let mut bucket = self.bucket();
        let ready = bucket.ready_at(document, left, now);
        if ready > now {
            return Err(ready);
        }
        let number = bucket.reserve(document);
        Ok(Permit {
            throttle: self,
            number,
            document: document.name,
        })
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
        let ready = self.bucket().ready_at(document, 0.0, now);
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

    /// When `document` fits and leaves this part of the bucket. A document that alone is more than the rest is sent when the bucket
    /// is full.
    fn ready_at(&mut self, document: &Document, left: f64, now: Timestamp) -> Timestamp {
        self.refill(now);
        let maximum = self.status.maximum;
        let lacking = (self.cost(document) + maximum * left).min(maximum) - self.status.level;
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
mod tests;
