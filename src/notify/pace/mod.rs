//! Which endpoint may send now, and how much: each by its own limits alone.
//!
//! Every endpoint has its own places for requests under way, its own rate and its own rest. Nothing is shared between them,
//! so that one that is slow, fails or gets too much takes nothing from another (a bulkhead). Priority decides only whose
//! waiting deliveries are looked at first.

mod rate;
mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as Ticks, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
pub use rate::{Rate, RateError};
use secrecy::{ExposeSecret as _, SecretString};
use window::Window;

use super::endpoint::Endpoint;
use crate::domain::{SharedClock, Timestamp, text_enum};

text_enum! {
    /// Whose deliveries are looked at first.
    EndpointPriority, "priority" {
        /// Before others.
        High = "high",
        /// As usual.
        Normal = "normal",
        /// After others.
        Low = "low",
    }
}

/// What an endpoint allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way at once.
    pub concurrency: u32,
    /// Requests in a time.
    pub rate: Option<Rate>,
    /// Whose deliveries are looked at first.
    pub priority: EndpointPriority,
}

/// Our clock, as the rate limiter asks it.
#[derive(Clone, Debug)]
struct Clock(SharedClock);

/// A time of our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl std::ops::Add<Nanos> for Tick {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Ticks for Clock {
    type Instant = Tick;

    fn now(&self) -> Tick {
        Tick(
            u64::try_from(self.0.now().millis())
                .unwrap_or(0)
                .saturating_mul(1_000_000),
        )
    }
}

/// A clock that is back by less is none that was set back: it is waited for.
const NOT_BACK: Duration = Duration::from_secs(1);

struct Bulkhead {
    limits: Limits,
    /// Where it is sent to, as far as that is known.
    address: Option<SecretString>,
    under_way: u32,
    /// Spreads requests.
    spread: Option<Spread>,
    /// Counts them.
    sent: Window,
    rests_until: Option<Timestamp>,
}

/// Spreads requests over time.
type Spread = RateLimiter<NotKeyed, InMemoryState, Clock, NoOpMiddleware<Tick>>;

/// What is known of an endpoint for its pace: made of an [`Endpoint`], or of a name and limits where its address is of no
/// interest.
#[derive(Clone, Debug)]
pub struct Paced<'n> {
    name: &'n str,
    limits: Limits,
    address: Option<SecretString>,
}

impl<'n> From<(&'n str, Limits)> for Paced<'n> {
    fn from((name, limits): (&'n str, Limits)) -> Self {
        Self {
            name,
            limits,
            address: None,
        }
    }
}

impl<'n> From<&'n Arc<Endpoint>> for Paced<'n> {
    fn from(endpoint: &'n Arc<Endpoint>) -> Self {
        Self::from(&**endpoint)
    }
}

impl<'n> From<&'n Endpoint> for Paced<'n> {
    fn from(endpoint: &'n Endpoint) -> Self {
        Self {
            name: &endpoint.name,
            limits: endpoint.limits,
            // One that cannot be read at the moment says nothing about whether it is another.
            address: endpoint.target.url.current().ok(),
        }
    }
}

/// Who may send now.
pub struct Pace {
    clock: SharedClock,
    /// The latest time that the clock has shown.
    seen: Timestamp,
    endpoints: BTreeMap<String, Bulkhead>,
}

/// Whether an endpoint may send one request more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may: one place and one request of its rate are taken.
    Now,
    /// As soon as one of its requests has ended.
    WhenOneEnds,
    /// Not before this time.
    At(Timestamp),
    /// There is no such endpoint.
    Unknown,
}

impl Pace {
    /// With no endpoint yet.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            seen: clock.now(),
            clock,
            endpoints: BTreeMap::new(),
        }
    }

    /// The time. After a clock that was set back all that is remembered is as long ago, and rests are as long, as they were: nothing
    /// waits for what has become a far future.
    fn now(&mut self) -> Timestamp {
        let now = self.clock.now();
        let by = self.seen.since(now);
        if by > NOT_BACK {
            for bulkhead in self.endpoints.values_mut() {
                bulkhead.sent.clock_went_back(by);
                bulkhead.rests_until = bulkhead.rests_until.map(|until| until.minus(by));
                // It remembers a time only. The window sees to it that there are not more at once than the rate allows.
                bulkhead.spread = spread(bulkhead.limits.rate, &self.clock);
            }
            self.seen = now;
        }
        self.seen = self.seen.max(now);
        now
    }

    /// Takes these endpoints for all that there are. One whose limits are as before keeps what it has used of them; requests
    /// under way are counted on in any case, until they end. A rest that was asked for goes on unless the endpoint is at
    /// another address now, which has asked for none: that shows only when endpoints are given, and not names.
    pub fn set<'n>(&mut self, endpoints: impl IntoIterator<Item = impl Into<Paced<'n>>>) {
        let mut before = std::mem::take(&mut self.endpoints);
        for endpoint in endpoints {
            let Paced {
                name,
                limits,
                address,
            } = endpoint.into();
            let mut bulkhead = before.remove(name).unwrap_or_else(|| Bulkhead {
                limits: Limits { rate: None, ..limits },
                address: None,
                under_way: 0,
                spread: None,
                sent: Window::default(),
                rests_until: None,
            });
            if bulkhead.limits.rate != limits.rate {
                bulkhead.spread = spread(limits.rate, &self.clock);
            }
            bulkhead.limits = limits;
            if is_another(bulkhead.address.as_ref(), address.as_ref()) {
                bulkhead.rests_until = None;
            }
            bulkhead.address = address.or(bulkhead.address);
            self.endpoints.insert(name.to_owned(), bulkhead);
        }
    }

    /// Asks for one request; [`Turn::Now`] takes it, and it must be given back by [`Pace::ended`].
    pub fn take(&mut self, endpoint: &str) -> Turn {
        let now = self.now();
        let Some(bulkhead) = self.endpoints.get_mut(endpoint) else {
            return Turn::Unknown;
        };
        if let Some(until) = bulkhead.rests_until {
            if now < until {
                return Turn::At(until);
            }
            bulkhead.rests_until = None;
        }
        if bulkhead.under_way >= bulkhead.limits.concurrency {
            return Turn::WhenOneEnds;
        }
        if let Some(rate) = bulkhead.limits.rate {
            // Looked at first: the other takes what it grants.
            if let Some(at) = bulkhead.sent.full_until(rate, now) {
                return Turn::At(at);
            }
            if let Some(spread) = &bulkhead.spread
                && let Err(not_yet) = spread.check()
            {
                let wait = not_yet.wait_time_from(Clock(self.clock.clone()).now());
                // Our clock counts whole milliseconds: rounded up, or it would be asked again within the same one.
                return Turn::At(now.plus(Duration::from_millis(
                    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
                )));
            }
            bulkhead.sent.add(rate, now);
        }
        bulkhead.under_way += 1;
        Turn::Now
    }

    /// A request that was taken has ended.
    pub fn ended(&mut self, endpoint: &str) {
        if let Some(bulkhead) = self.endpoints.get_mut(endpoint) {
            bulkhead.under_way = bulkhead.under_way.saturating_sub(1);
        }
    }

    /// The receiver asked for rest (429 or 503 with `Retry-After`): it is sent nothing before then.
    pub fn rest(&mut self, endpoint: &str, until: Timestamp) {
        if let Some(bulkhead) = self.endpoints.get_mut(endpoint) {
            bulkhead.rests_until = bulkhead.rests_until.max(Some(until));
        }
    }

    /// Somebody made the endpoint active again: a rest that it asked for before is over.
    pub fn resumed(&mut self, endpoint: &str) {
        if let Some(bulkhead) = self.endpoints.get_mut(endpoint) {
            bulkhead.rests_until = None;
        }
    }

    /// The endpoints that have a free place, with how many, in the order in which their deliveries are to be looked at.
    /// What their rates say is asked one by one, by [`Pace::take`].
    pub fn free(&mut self) -> Vec<(&str, u32)> {
        let now = self.now();
        let mut free: Vec<_> = self
            .endpoints
            .iter()
            .filter(|(_, bulkhead)| bulkhead.rests_until.is_none_or(|until| until <= now))
            .map(|(name, bulkhead)| {
                let places = bulkhead.limits.concurrency.saturating_sub(bulkhead.under_way);
                (bulkhead.limits.priority, name.as_str(), places)
            })
            .filter(|(_, _, places)| *places > 0)
            .collect();
        free.sort_by_key(|(priority, _, _)| *priority);
        free.into_iter().map(|(_, name, places)| (name, places)).collect()
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = self.endpoints.iter().map(|(name, known)| (name, known.under_way));
        f.debug_map().entries(under_way).finish()
    }
}

/// Whether an address is certainly another one than before.
fn is_another(before: Option<&SecretString>, now: Option<&SecretString>) -> bool {
    matches!((before, now), (Some(before), Some(now)) if before.expose_secret() != now.expose_secret())
}

fn spread(rate: Option<Rate>, clock: &SharedClock) -> Option<Spread> {
    let quota = rate.and_then(quota)?;
    Some(RateLimiter::direct_with_clock(quota, Clock(clock.clone())))
}

fn quota(rate: Rate) -> Option<Quota> {
    let every = rate.per / rate.requests.get();
    // Evenly, or receivers would see more of two stretches at once when some requests travel longer than others. A tenth at
    // once, or every turn that is taken late would be lost.
    let burst = NonZeroU32::new(rate.requests.get().div_ceil(10)).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(every).map(|quota| quota.allow_burst(burst))
}

#[cfg(test)]
mod tests;
