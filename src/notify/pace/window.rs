//! How many requests there were in the stretch of time that ends now.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rate;
use crate::domain::Timestamp;

/// Times are kept this much finer than the rate's own time, so that few are kept however many requests there are.
const GRAINS: i64 = 3600;

/// The requests of the last stretch, by time.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Milliseconds, rising, with how many requests there were; a time is rounded up to a whole grain, so that a request
    /// never counts as older than it is.
    sent: VecDeque<(i64, u32)>,
    total: u32,
}

impl Window {
    /// Until when there is no room for one more; none when there is.
    pub(super) fn full_until(&mut self, rate: Rate, now: Timestamp) -> Option<Timestamp> {
        let per_ms = millis(rate.per);
        while let Some((at, requests)) = self.sent.front().copied()
            && at.saturating_add(per_ms) <= now.millis()
        {
            self.sent.pop_front();
            self.total = self.total.saturating_sub(requests);
        }
        if self.total < rate.requests.get() {
            return None;
        }
        // After a lower rate was set, more than one of them may have to go.
        let mut left = self.total;
        for (at, requests) in &self.sent {
            left = left.saturating_sub(*requests);
            if left < rate.requests.get() {
                return Some(Timestamp::from_millis(at.saturating_add(per_ms)));
            }
        }
        None
    }

    /// The clock was set back by so much: what was sent is as long ago as it was.
    pub(super) fn clock_went_back(&mut self, by: Duration) {
        for (at, _) in &mut self.sent {
            *at = at.saturating_sub(millis(by));
        }
    }

    /// One more now.
    pub(super) fn add(&mut self, rate: Rate, now: Timestamp) {
        let grain_ms = (millis(rate.per) / GRAINS).max(1);
        let rounded = now.millis().div_euclid(grain_ms) * grain_ms;
        let at = if rounded < now.millis() {
            rounded.saturating_add(grain_ms)
        } else {
            rounded
        };
        // A clock that was put back, and a finer grain than before, must not break the order.
        let at = at.max(self.sent.back().map_or(i64::MIN, |(last, _)| *last));
        self.total = self.total.saturating_add(1);
        match self.sent.back_mut() {
            Some((last, requests)) if *last == at => *requests = requests.saturating_add(1),
            _ => self.sent.push_back((at, 1)),
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
