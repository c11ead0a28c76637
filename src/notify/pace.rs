//! Which endpoint may send now, and how much: each by its own limits alone.
//!
//! Every endpoint has its own places for requests under way, its own rate and its own rest. Nothing is shared between them,
//! so that one that is slow, fails or gets too much takes nothing from another (a bulkhead). Priority decides only whose
//! waiting deliveries are looked at first.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::clock::{Clock as Ticks, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// The most requests in a time, e.g. `50/s`, `100/m`, `1000/h`. They may come at once; over time it is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// A text that is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of requests and a time, such as \"50/s\", \"100/m\" or \"1000/h\"")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (requests, unit) = text.split_once('/').ok_or(RateError)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(RateError),
        };
        Ok(Self {
            requests: requests.trim().parse().map_err(|_| RateError)?,
            per: Duration::from_secs(seconds),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.requests)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^ *[1-9][0-9]* */ *[smh] *$" })
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

struct Bulkhead {
    limits: Limits,
    under_way: u32,
    rate: Option<RateLimiter<NotKeyed, InMemoryState, Clock, NoOpMiddleware<Tick>>>,
    rests_until: Option<Timestamp>,
}

/// Who may send now.
pub struct Pace {
    clock: SharedClock,
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
            clock,
            endpoints: BTreeMap::new(),
        }
    }

    /// Takes these endpoints for all that there are. One whose limits are as before keeps what it has used of them; requests
    /// under way are counted on in any case, until they end.
    pub fn set<'n>(&mut self, endpoints: impl IntoIterator<Item = (&'n str, Limits)>) {
        let mut before = std::mem::take(&mut self.endpoints);
        for (name, limits) in endpoints {
            let known = before.remove(name);
            let under_way = known.as_ref().map_or(0, |known| known.under_way);
            let rests_until = known.as_ref().and_then(|known| known.rests_until);
            let rate = match known {
                Some(known) if known.limits.rate == limits.rate => known.rate,
                _ => limits
                    .rate
                    .and_then(quota)
                    .map(|quota| RateLimiter::direct_with_clock(quota, Clock(self.clock.clone()))),
            };
            self.endpoints.insert(
                name.to_owned(),
                Bulkhead {
                    limits,
                    under_way,
                    rate,
                    rests_until,
                },
            );
        }
    }

    /// Asks for one request; [`Turn::Now`] takes it, and it must be given back by [`Pace::ended`].
    pub fn take(&mut self, endpoint: &str) -> Turn {
        let now = self.clock.now();
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
        if let Some(rate) = &bulkhead.rate
            && let Err(not_yet) = rate.check()
        {
            let wait = not_yet.wait_time_from(Clock(self.clock.clone()).now());
            // Our clock counts whole milliseconds: rounded up, or it would be asked again within the same one.
            return Turn::At(now.plus(Duration::from_millis(
                u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
            )));
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

    /// The endpoints that have a free place, with how many, in the order in which their deliveries are to be looked at.
    /// What their rates say is asked one by one, by [`Pace::take`].
    pub fn free(&self) -> Vec<(&str, u32)> {
        let now = self.clock.now();
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

fn quota(rate: Rate) -> Option<Quota> {
    let every = rate.per / rate.requests.get();
    // All of a second's requests at once would be twice the rate in the worst second: a tenth of it is enough to be quick.
    let burst = NonZeroU32::new(rate.requests.get().div_ceil(10)).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(every).map(|quota| quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Clock as _, ManualClock};

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn limits(concurrency: u32, rate: Option<&str>) -> Limits {
        Limits {
            concurrency,
            rate: rate.map(|text| text.parse().unwrap()),
            priority: EndpointPriority::Normal,
        }
    }

    fn pace(endpoints: &[(&str, Limits)]) -> (Pace, ManualClock) {
        let clock = ManualClock::new(START);
        let mut pace = Pace::new(Arc::new(clock.clone()));
        pace.set(endpoints.iter().copied());
        (pace, clock)
    }

    #[test]
    fn rates_are_written_as_people_write_them() {
        for (text, requests, seconds) in [("50/s", 50, 1), (" 100 / m", 100, 60), ("1000/h", 1000, 3600)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.requests.get(), rate.per.as_secs()),
                (requests, seconds),
                "{text}"
            );
            assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
        for text in ["", "50", "0/s", "-1/s", "1.5/s", "50/d", "50/s/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }

    #[test]
    fn a_thousand_requests_at_fifty_a_second_take_twenty_seconds() {
        let (mut pace, clock) = pace(&[("sheet", limits(1000, Some("50/s")))]);
        let mut sent: Vec<i64> = Vec::new();
        while sent.len() < 1000 {
            match pace.take("sheet") {
                Turn::Now => sent.push(clock.now().since(START).as_millis().try_into().unwrap()),
                Turn::At(at) => clock.advance(at.since(clock.now())),
                turn => panic!("{turn:?}"),
            }
        }
        let last = sent[999];
        assert!((19_000..=20_100).contains(&last), "{last} ms");
        for (n, from) in sent.iter().enumerate() {
            let within = sent[n..].iter().take_while(|at| **at < from + 1000).count();
            assert!(within <= 55, "{within} within the second from {from} ms");
        }
    }

    #[test]
    fn places_are_given_back() {
        let (mut pace, clock) = pace(&[("slow", limits(2, None)), ("other", limits(1, None))]);
        assert_eq!((pace.take("slow"), pace.take("slow")), (Turn::Now, Turn::Now));
        assert_eq!(pace.take("slow"), Turn::WhenOneEnds);
        assert_eq!(pace.free(), [("other", 1)]);
        pace.ended("slow");
        assert_eq!(pace.take("slow"), Turn::Now);
        assert_eq!(pace.take("nobody"), Turn::Unknown);
        let until = START.plus(Duration::from_secs(30));
        pace.rest("other", until);
        pace.rest("other", START);
        assert_eq!(pace.take("other"), Turn::At(until), "the longer rest counts");
        clock.advance(Duration::from_secs(30));
        assert_eq!(pace.take("other"), Turn::Now);
    }

    #[test]
    fn a_new_configuration_forgets_nothing_that_is_under_way() {
        let (mut pace, _) = pace(&[("a", limits(2, Some("1/s")))]);
        assert_eq!(pace.take("a"), Turn::Now);
        pace.set([("a", limits(1, Some("1/s")))]);
        assert_eq!(pace.take("a"), Turn::WhenOneEnds, "one is still under way");
        pace.ended("a");
        assert!(
            matches!(pace.take("a"), Turn::At(_)),
            "nor is what was used of the rate"
        );
        pace.set([("b", limits(1, None))]);
        pace.ended("a");
        assert_eq!(pace.take("a"), Turn::Unknown);
    }

    #[test]
    fn the_urgent_come_first() {
        let with = |priority| Limits {
            priority,
            ..limits(3, None)
        };
        let (pace, _) = pace(&[
            ("a", with(EndpointPriority::Low)),
            ("b", with(EndpointPriority::Normal)),
            ("c", with(EndpointPriority::High)),
        ]);
        assert_eq!(pace.free(), [("c", 3), ("b", 3), ("a", 3)]);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Take,
        End,
        Rest(u16),
    }

    fn step() -> impl Strategy<Value = (usize, Step, u16)> {
        let step = prop_oneof![
            4 => Just(Step::Take),
            2 => Just(Step::End),
            1 => (0_u16..5_000).prop_map(Step::Rest),
        ];
        (0_usize..3, step, 0_u16..300)
    }

    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// What each step of one endpoint was answered, when only the steps of `which` are carried out, at their own times.
    fn answers(steps: &[(usize, Step, u16)], which: &[usize], of: usize) -> Vec<Turn> {
        let all = [
            ("a", limits(2, Some("20/s"))),
            ("b", limits(1, None)),
            ("c", limits(5, Some("3/s"))),
        ];
        let (mut pace, clock) = pace(&all);
        let mut answers = Vec::new();
        for (endpoint, step, wait_ms) in steps {
            clock.advance(Duration::from_millis((*wait_ms).into()));
            if !which.contains(endpoint) {
                continue;
            }
            let name = NAMES[*endpoint];
            match step {
                Step::Take => {
                    let turn = pace.take(name);
                    if *endpoint == of {
                        answers.push(turn);
                    }
                }
                Step::End => pace.ended(name),
                Step::Rest(ms) => pace.rest(name, clock.now().plus(Duration::from_millis((*ms).into()))),
            }
        }
        answers
    }

    proptest! {
        #[test]
        fn nothing_that_happens_to_others_changes_an_endpoints_turn(
            steps in proptest::collection::vec(step(), 1..120),
        ) {
            for (endpoint, name) in NAMES.iter().enumerate() {
                prop_assert_eq!(
                    answers(&steps, &[0, 1, 2], endpoint),
                    answers(&steps, &[endpoint], endpoint),
                    "endpoint {}", name
                );
            }
        }
    }
}
