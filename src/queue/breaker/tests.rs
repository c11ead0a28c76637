//! Breakers between failures, probes and restarts.

use proptest::prelude::*;

use super::*;
use crate::domain::{Direction, Object};

fn lane(object: Object) -> Lane {
    Lane {
        shop: "main".parse().unwrap(),
        object,
        direction: Direction::In,
    }
}

fn down(system: System) -> Evidence {
    Evidence::Down {
        system,
        retry_after: None,
        reason: "refused".into(),
        blame: None,
    }
}

fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(s * 1000)
}

/// One breaker with its settings and a half-way random number.
struct Rig(Breakers, BreakerSettings);

impl Rig {
    fn new() -> Self {
        Self(Breakers::default(), BreakerSettings::default())
    }

    fn end(&mut self, job: i64, evidence: &Evidence, now: Timestamp) -> Vec<Change> {
        self.0
            .end(&lane(Object::Order), JobId(job), evidence, now, &self.1, 0.999)
    }

    fn admits(&self, now: Timestamp) -> Admission {
        self.0.admit(&lane(Object::Order), now)
    }

    fn open(&mut self) {
        for n in 0..3 {
            self.end(n, &down(System::Erp), at(0));
        }
        assert_eq!(self.admits(at(0)), Admission::Shut);
    }
}

#[test]
fn it_opens_after_failures_in_a_row_only() {
    use Evidence::{Nothing, Unclear};
    let works = Evidence::Works(System::ALL);
    let source_only = Evidence::Works(&[System::Shopify]);
    let erp = down(System::Erp);
    let shopify = down(System::Shopify);
    for (name, story, opens) in [
        ("three in a row", vec![&erp, &erp, &erp], true),
        ("two are not enough", vec![&erp, &erp], false),
        ("a success between", vec![&erp, &erp, &works, &erp], false),
        (
            "nothing learned between",
            vec![&erp, &Nothing, &erp, &Unclear, &erp],
            true,
        ),
        (
            "each system by itself",
            vec![&erp, &shopify, &erp, &shopify],
            false,
        ),
        (
            "obsolete jobs never met the ERP",
            vec![&erp, &source_only, &erp, &erp],
            true,
        ),
    ] {
        let mut rig = Rig::new();
        let opened = story
            .into_iter()
            .enumerate()
            .flat_map(|(n, evidence)| rig.end(i64::try_from(n).unwrap(), evidence, at(0)))
            .any(|change| matches!(change, Change::Opened(_)));
        assert_eq!(opened, opens, "{name}");
        assert_eq!(rig.admits(at(0)) == Admission::Shut, opens, "{name}");
    }
}

#[test]
fn one_probe_at_a_time_with_growing_waits_until_it_works() {
    let mut rig = Rig::new();
    rig.open();
    let mut now = at(0);
    let mut waits = Vec::new();
    for n in 10..18 {
        let next = rig.0.next_probe(now).unwrap();
        waits.push(next.since(now).as_secs_f64().round());
        assert_eq!(rig.admits(next.minus(Duration::from_millis(1))), Admission::Shut);
        now = next;
        assert_eq!(rig.admits(now), Admission::Probe);
        rig.0.begin(&lane(Object::Order), JobId(n));
        assert_eq!(rig.admits(now), Admission::Shut, "one probe at a time");
        assert!(rig.end(n, &down(System::Erp), now).is_empty());
    }
    assert_eq!(waits, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0]);
    rig.0.begin(&lane(Object::Order), JobId(20));
    let changes = rig.end(20, &Evidence::Works(System::ALL), now);
    assert!(matches!(&changes[..], [Change::Closed(_)]), "{changes:?}");
    assert_eq!(rig.admits(now), Admission::Free);
}

#[test]
fn only_what_answered_counts_as_working() {
    let problem = || NewProblem {
        code: "x".into(),
        record: Some("#1".into()),
        field: None,
        reason: String::new(),
        fix: String::new(),
        owner: String::new(),
        mapping: None,
        cluster: String::new(),
        detail: serde_json::Value::Null,
    };
    let of_erp = NewProblem {
        detail: serde_json::json!({ "system": System::Erp }),
        ..problem()
    };
    let permanent = |problem| Outcome::Failed {
        disposition: Disposition::Permanent,
        problem,
    };
    for (outcome, works) in [
        (Outcome::Completed, System::ALL),
        (permanent(of_erp), System::ALL),
        (permanent(problem()), &[System::Shopify]),
        (Outcome::Problem(problem()), &[System::Shopify]),
        (Outcome::Held(problem()), &[System::Shopify]),
        (Outcome::Obsolete("gone".into()), &[System::Shopify]),
    ] {
        let text = format!("{outcome:?}");
        assert_eq!(Evidence::of(&outcome, ""), Evidence::Works(works), "{text}");
    }
}

#[test]
fn a_clock_that_was_set_back_holds_up_no_probe() {
    let mut rig = Rig::new();
    rig.open();
    let an_hour_ago = at(-3600);
    rig.0.clock_went_back(an_hour_ago);
    assert_ne!(
        rig.admits(an_hour_ago.plus(Duration::from_secs(10))),
        Admission::Shut
    );
}

#[test]
fn a_latecomer_neither_counts_nor_delays() {
    let mut rig = Rig::new();
    rig.open();
    let next = rig.0.next_probe(at(0));
    rig.end(99, &down(System::Erp), at(1));
    assert_eq!(rig.0.next_probe(at(0)), next);
}

#[test]
fn a_probe_that_learned_nothing_lets_the_next_one_try() {
    for (evidence, at_once) in [
        (Evidence::Nothing, true),
        (Evidence::Works(&[System::Shopify]), true),
        (Evidence::Unclear, false),
    ] {
        let mut rig = Rig::new();
        rig.open();
        rig.0.begin(&lane(Object::Order), JobId(10));
        rig.end(10, &evidence, at(60));
        assert_eq!(rig.admits(at(60)) == Admission::Probe, at_once, "{evidence:?}");
        assert_ne!(rig.admits(at(3600)), Admission::Shut, "{evidence:?}");
    }
}

#[test]
fn notices_about_the_shop_are_never_stopped() {
    let mut rig = Rig::new();
    rig.open();
    assert_eq!(rig.0.admit(&lane(Object::Shop), at(0)), Admission::Free);
    rig.0.begin(&lane(Object::Shop), JobId(9));
    let works = Evidence::Works(System::ALL);
    let changes = rig
        .0
        .end(&lane(Object::Shop), JobId(9), &works, at(0), &rig.1, 0.5);
    assert_eq!(changes, [], "and prove nothing about it");
    assert_eq!(rig.0.admit(&lane(Object::Product), at(0)), Admission::Shut);
}

#[test]
fn what_was_open_before_a_restart_is_probed_at_once() {
    let row = |state: &str, system| BreakerRow {
        shop: "main".parse().unwrap(),
        system,
        state: state.into(),
        since: at(0),
        reason: None,
    };
    for (state, admission) in [("open", Admission::Probe), ("closed", Admission::Free)] {
        let breakers = Breakers::restore(&[row(state, System::Erp)], at(9), &BreakerSettings::default());
        assert_eq!(breakers.admit(&lane(Object::Order), at(9)), admission);
    }
}

proptest! {
    /// Whatever happens in whatever order: a breaker is never shut for ever.
    #[test]
    fn a_shut_breaker_always_gets_another_probe(
        story in proptest::collection::vec((0_u8..7, 0_i64..4, 0.0_f64..1.0), 0..60),
    ) {
        let settings = BreakerSettings::default();
        let lane = lane(Object::Order);
        let mut breakers = Breakers::default();
        let mut now = at(0);
        let mut running: Vec<JobId> = Vec::new();
        for (n, (what, advance, unit)) in story.into_iter().enumerate() {
            now = now.plus(Duration::from_secs(u64::try_from(advance * 20).unwrap()));
            if breakers.admit(&lane, now) != Admission::Shut {
                let job = JobId(i64::try_from(n).unwrap());
                breakers.begin(&lane, job);
                running.push(job);
            }
            let evidence = match what {
                0 => Evidence::Works(System::ALL),
                1 => Evidence::Works(&[System::Shopify]),
                2 => Evidence::Nothing,
                3 => Evidence::Unclear,
                4 => down(System::Shopify),
                _ => down(System::Erp),
            };
            if let Some(job) = running.pop() {
                breakers.end(&lane, job, &evidence, now, &settings, unit);
            }
        }
        for job in running {
            breakers.end(&lane, job, &Evidence::Nothing, now, &settings, 0.5);
        }
        prop_assert_ne!(breakers.admit(&lane, now.plus(LONGEST_PATIENCE)), Admission::Shut);
    }
}
