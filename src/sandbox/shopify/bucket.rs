//! The leaky bucket of query cost.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::options::Rate;

/// Points that are left, and when that was so.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    available: f64,
    at: DateTime<Utc>,
}

impl Bucket {
    pub(super) fn new(rate: Rate, now: DateTime<Utc>) -> Self {
        Self {
            rate,
            available: rate.maximum_available,
            at: now,
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Other limits from now on; a fuller bucket is cut to the new size.
    pub(super) fn set_rate(&mut self, rate: Rate, now: DateTime<Utc>) {
        self.refill(now);
        self.rate = rate;
        self.available = self.available.min(rate.maximum_available);
    }

    /// Empties the bucket down to some points.
    pub(super) fn drain_to(&mut self, points: f64, now: DateTime<Utc>) {
        self.refill(now);
        self.available = self.available.min(points);
    }

    /// Reserves points, or refuses.
    pub(super) fn take(&mut self, points: u64, now: DateTime<Utc>) -> bool {
        self.refill(now);
        let points = points_as_float(points);
        let enough = points <= self.available;
        if enough {
            self.available -= points;
        }
        enough
    }

    /// Gives back what was reserved and not used.
    pub(super) fn refund(&mut self, points: u64) {
        self.available = (self.available + points_as_float(points)).min(self.rate.maximum_available);
    }

    /// `throttleStatus`.
    pub(super) fn status(&mut self, now: DateTime<Utc>) -> Json {
        self.refill(now);
        json!({
            "maximumAvailable": self.rate.maximum_available,
            "currentlyAvailable": self.available.floor(),
            "restoreRate": self.rate.restore_rate,
        })
    }

    fn refill(&mut self, now: DateTime<Utc>) {
        let passed = (now - self.at).num_microseconds().unwrap_or(0).max(0);
        #[expect(clippy::cast_precision_loss, reason = "microseconds between two requests")]
        let passed = passed as f64 / 1e6;
        self.available = (self.available + passed * self.rate.restore_rate).min(self.rate.maximum_available);
        self.at = self.at.max(now);
    }
}

fn points_as_float(points: u64) -> f64 {
    // A query costs at most a few thousand points.
    u32::try_from(points).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone};

    use super::*;

    #[test]
    fn the_bucket_leaks_and_refills() {
        let start = Utc.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let rate = Rate {
            restore_rate: 100.0,
            maximum_available: 200.0,
            max_query_cost: 1000,
        };
        let mut bucket = Bucket::new(rate, start);
        assert!(bucket.take(169, start));
        assert!(!bucket.take(169, start), "31 points are left");
        // 138 points are missing: 1.38 s at 100 points a second.
        assert!(!bucket.take(169, start + Duration::milliseconds(1370)));
        assert!(bucket.take(169, start + Duration::milliseconds(1380)));
        bucket.refund(1000);
        assert_eq!(bucket.status(start)["currentlyAvailable"], 200.0);
    }
}
