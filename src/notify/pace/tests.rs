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

/// When each of so many requests is sent, in milliseconds; each turn is taken so much later than it comes.
fn sent(pace: &mut Pace, clock: &ManualClock, count: usize, late_ms: impl Fn(usize) -> u64) -> Vec<i64> {
    let mut sent = Vec::new();
    while sent.len() < count {
        match pace.take("sheet") {
            Turn::Now => sent.push(clock.now().millis() - START.millis()),
            Turn::At(at) => {
                assert!(at > clock.now(), "it would be asked again at once");
                clock.advance(at.since(clock.now()) + Duration::from_millis(late_ms(sent.len())));
            }
            turn => panic!("{turn:?}"),
        }
    }
    sent
}

/// The most requests in any stretch of this length.
fn most_within(sent: &[i64], per_ms: i64) -> usize {
    let within = |n: usize| sent[n..].iter().take_while(|at| **at < sent[n] + per_ms).count();
    (0..sent.len()).map(within).max().unwrap_or(0)
}

#[test]
fn a_thousand_requests_at_fifty_a_second_take_twenty_seconds() {
    let (mut pace, clock) = pace(&[("sheet", limits(1000, Some("50/s")))]);
    let sent = sent(&mut pace, &clock, 1000, |_| 0);
    let last = sent[999];
    assert!((19_000..=20_000).contains(&last), "{last} ms");
    assert_eq!(most_within(&sent, 1000), 50);
    assert!(most_within(&sent, 20) <= 6, "spread, and not all at once");
}

#[test]
fn turns_that_are_taken_late_are_made_up_for() {
    let (mut pace, clock) = pace(&[("sheet", limits(1000, Some("50/s")))]);
    let sent = sent(&mut pace, &clock, 1000, |_| 3);
    assert!(sent[999] <= 20_500, "{} ms", sent[999]);
    assert!(most_within(&sent, 1000) <= 50);
}

#[test]
fn no_stretch_sees_more_wherever_it_begins() {
    for (text, per_ms, most) in [
        ("1/s", 1000, 1),
        ("3/s", 1000, 3),
        ("7/s", 1000, 7),
        ("999/s", 1000, 999),
        ("2000/s", 1000, 2000),
        ("100/m", 60_000, 100),
        ("7/h", 3_600_000, 7),
    ] {
        // At once, and late by anything between nothing and longer than the whole stretch.
        let pattern = [0, 1, 0, 17, 400, 3, 0, 1_234, 61_000, 5];
        for late in [&pattern[..1], &pattern[..]] {
            let (mut pace, clock) = pace(&[("sheet", limits(5000, Some(text)))]);
            clock.advance(Duration::from_millis(777));
            let sent = sent(&mut pace, &clock, most * 2 + 20, |n| late[n % late.len()]);
            assert!(most_within(&sent, per_ms) <= most, "{text}: {sent:?}");
        }
    }
}

#[test]
fn a_lower_rate_counts_what_was_sent_before_it() {
    let (mut pace, clock) = pace(&[("sheet", limits(1000, Some("50/s")))]);
    let mut all = sent(&mut pace, &clock, 40, |_| 0);
    pace.set([("sheet", limits(1000, Some("5/s")))]);
    let slower = sent(&mut pace, &clock, 20, |_| 0);
    let first = slower[0];
    all.retain(|at| *at > first - 1000);
    assert!(all.len() < 5, "{} of before within the second before", all.len());
    assert!(most_within(&slower, 1000) <= 5);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_wait_longer() {
    let (mut pace, clock) = pace(&[("sheet", limits(1000, Some("5/m")))]);
    let month = Duration::from_secs(30 * 24 * 3600);
    clock.advance(month);
    let first = sent(&mut pace, &clock, 5, |_| 0);
    pace.rest("sheet", clock.now().plus(Duration::from_secs(30)));
    clock.set_back(month);
    let wait = match pace.take("sheet") {
        Turn::At(at) => at.since(clock.now()),
        turn => panic!("{turn:?}"),
    };
    assert_eq!(wait, Duration::from_secs(30), "the rest is as long as it was");
    clock.advance(wait);
    let month_ms = i64::try_from(month.as_millis()).unwrap();
    let mut all: Vec<i64> = first.iter().map(|at| at - month_ms).collect();
    all.extend(sent(&mut pace, &clock, 10, |_| 0));
    assert!(most_within(&all, 60_000) <= 5, "nor is it faster: {all:?}");
    // Fourteen times twelve seconds, and what the rest was longer than that.
    assert_eq!(all[14], 186_000, "{all:?}");
}

#[test]
fn a_rest_ends_when_somebody_makes_it_active_or_moves_it() {
    let endpoint = |url: &str| Paced {
        address: Some(SecretString::from(url.to_owned())),
        ..Paced::from(("a", limits(9, None)))
    };
    let (mut pace, _) = pace(&[]);
    let until = START.plus(Duration::from_secs(3600));
    pace.set([endpoint("https://one.example.com")]);
    pace.rest("a", until);
    pace.set([endpoint("https://one.example.com")]);
    assert_eq!(pace.take("a"), Turn::At(until), "still the same receiver");
    pace.set([("a", limits(9, None))]);
    assert_eq!(
        pace.take("a"),
        Turn::At(until),
        "nothing is said about where it is"
    );
    pace.set([endpoint("https://two.example.com")]);
    assert_eq!(pace.take("a"), Turn::Now, "this one has asked for no rest");
    pace.rest("a", until);
    pace.rest("b", until);
    pace.resumed("b");
    assert_eq!(pace.take("a"), Turn::At(until));
    assert_eq!(pace.free(), []);
    pace.resumed("a");
    assert_eq!(pace.take("a"), Turn::Now);
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
    let (mut pace, _) = pace(&[
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
