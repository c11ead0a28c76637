//! `[queue]`: how much runs at once, how long claims hold, and how patient retries are.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Object, RetryPolicy};

/// `[queue]`. Changes take effect without a restart; attempts that run keep what they began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Attempts that run at once in this process.
    pub workers: NonZeroU32,
    /// Attempts that run at once for one shop, so that one busy shop never holds all workers.
    pub workers_per_shop: NonZeroU32,
    /// Attempts of imports that run at once in this process, beside `workers`, so that what is live never waits for a place that an
    /// import has. They wait most of their time for calls of the ERP, each of which serves many of them: with more, a call carries more.
    pub import_workers: NonZeroU32,
    /// How long a claim holds without a sign of life, in seconds; it is renewed at a third of this.
    pub lease_s: NonZeroU64,
    /// How long running attempts may go on after the daemon was told to stop, in seconds; then they are cancelled and
    /// their jobs are given back.
    pub stop_within_s: u64,
    /// How long one attempt may take, in seconds; then it is cancelled and counts as failed.
    pub attempt_limit_s: NonZeroU64,
    /// Work that arrives is noticed at once; this is the safety net that looks again anyway, in seconds.
    pub poll_s: NonZeroU64,
    /// How many turns each object gets while several wait.
    pub weights: Weights,
    /// How often and how patiently failed jobs are tried again.
    pub retry: RetryPolicy,
    /// When a whole system counts as down.
    pub breaker: BreakerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: count(16),
            workers_per_shop: count(8),
            import_workers: count(48),
            lease_s: seconds(60),
            stop_within_s: 20,
            attempt_limit_s: seconds(15 * 60),
            poll_s: seconds(5),
            weights: Weights::default(),
            retry: RetryPolicy::default(),
            breaker: BreakerSettings::default(),
        }
    }
}

impl Settings {
    /// How long a claim holds.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s.get())
    }

    /// How long one attempt may take.
    pub fn attempt_limit(&self) -> Duration {
        Duration::from_secs(self.attempt_limit_s.get())
    }

    /// How long attempts may go on after a stop.
    pub fn stop_within(&self) -> Duration {
        Duration::from_secs(self.stop_within_s)
    }

    /// How often to look without a reason.
    pub fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_s.get())
    }
}

/// `[queue.weights]`: of the turns that waiting objects share, how many each gets. The heavier one goes first; the
/// lighter one is never left out for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Orders.
    pub order: NonZeroU32,
    /// Customers.
    pub customer: NonZeroU32,
    /// Products.
    pub product: NonZeroU32,
    /// Stock levels.
    pub inventory: NonZeroU32,
    /// Notices about the shop itself.
    pub shop: NonZeroU32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            order: count(50),
            customer: count(10),
            product: count(4),
            inventory: count(2),
            shop: count(50),
        }
    }
}

impl Weights {
    /// The weight of an object.
    pub fn of(&self, object: Object) -> NonZeroU32 {
        match object {
            Object::Order => self.order,
            Object::Customer => self.customer,
            Object::Product => self.product,
            Object::Inventory => self.inventory,
            Object::Shop => self.shop,
        }
    }
}

/// `[queue.breaker]`: while a system is down its jobs wait and burn no attempts; single probes find out when it is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Failures of the whole system in a row that stop its jobs.
    pub failures: NonZeroU32,
    /// The first probe comes after about this many seconds; the wait doubles with each failed probe.
    pub first_probe_s: NonZeroU64,
    /// No wait between probes is longer than this, in seconds (unless the system itself asks for more patience).
    pub longest_probe_s: NonZeroU64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: count(3),
            first_probe_s: seconds(5),
            longest_probe_s: seconds(60),
        }
    }
}

/// A default that is known not to be zero.
const fn count(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

/// As [`count`], for seconds.
const fn seconds(n: u64) -> NonZeroU64 {
    match NonZeroU64::new(n) {
        Some(n) => n,
        None => NonZeroU64::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_unknown_settings_are_refused() {
        for (text, valid) in [
            ("", true),
            ("workers = 4\n[weights]\nproduct = 50", true),
            ("workers = 0", false),
            ("wokers = 4", false),
            ("[weights]\norders = 5", false),
            ("[breaker]\nfailures = 0", false),
        ] {
            assert_eq!(toml::from_str::<Settings>(text).is_ok(), valid, "{text}");
        }
    }
}
