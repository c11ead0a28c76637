//! Circuit breakers: one for each shop and system.
//!
//! Pure; time and randomness are parameters. A breaker opens after several attempts in a row found the whole system down.
//! While it is open, the shop's lanes that need the system are not claimed, except one job at a time that probes. The
//! first attempt that proves the system to work closes it. Attempts that met a system that was down never count against
//! their job, so an outage of days costs nobody a retry.
//!
//! Every process has breakers of its own; the store's rows only let other processes show them and let a restart during
//! an outage begin with a probe instead of a storm.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::{Disposition, JobId, NewProblem, Outcome, ShopName, System, Timestamp};
use crate::store::{BreakerRow, Lane};

use super::gate::needs;
use super::settings::BreakerSettings;

/// A system that asks for patience is given at most this much before it is probed again.
pub(super) const LONGEST_PATIENCE: Duration = Duration::from_mins(15);

/// All breakers of this process.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    all: HashMap<(ShopName, System), Breaker>,
}

#[derive(Debug, Default)]
struct Breaker {
    /// Failures in a row while it is closed.
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    probe_at: Timestamp,
    /// The bound from which the last wait was drawn.
    bound: Duration,
    /// The job that probes at this moment.
    probing: Option<JobId>,
}

/// Whether a lane may be claimed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// As far as systems go, yes.
    Free,
    /// One job, as a probe.
    Probe,
    /// Not now.
    Shut,
}

/// What an attempt showed about the systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// These systems answered sensibly.
    Works(&'static [System]),
    /// The whole system does not work.
    Down {
        system: System,
        retry_after: Option<Duration>,
        reason: String,
        /// What a person must mend, where it will not mend itself.
        blame: Option<Box<NewProblem>>,
    },
    /// Nothing was learned, and another job may be tried at once.
    Nothing,
    /// Nothing was learned; to be tried again later.
    Unclear,
}

impl Evidence {
    /// What a report shows. Attempts read the record from Shopify first, so one that found nothing to do or needs a person
    /// proves no more than that, unless the ERP itself refused.
    pub(super) fn of(outcome: &Outcome, summary: &str) -> Self {
        match outcome {
            Outcome::Failed {
                disposition: Disposition::SystemDown { system, retry_after },
                problem,
            } => Self::Down {
                system: *system,
                retry_after: *retry_after,
                reason: summary.to_owned(),
                blame: blame(*system, problem).map(Box::new),
            },
            Outcome::Failed {
                disposition: Disposition::Transient { .. } | Disposition::NotYet { .. },
                ..
            } => Self::Unclear,
            Outcome::Completed => Self::Works(System::ALL),
            Outcome::Failed {
                disposition: Disposition::Permanent,
                problem,
            } if problem.detail["system"] == System::Erp.as_str() => Self::Works(System::ALL),
            Outcome::Obsolete(_)
            | Outcome::Problem(_)
            | Outcome::Held(_)
            | Outcome::Failed {
                disposition: Disposition::Permanent | Disposition::Obsolete,
                ..
            } => Self::Works(&[System::Shopify]),
            Outcome::Wait { .. } | Outcome::Later { .. } | Outcome::Interrupted => Self::Nothing,
        }
    }
}

/// Failures of a whole system that a person must mend: keys, settings, the shop's plan.
pub(super) const fn mended_by_people(system: System) -> &'static [&'static str] {
    match system {
        System::Erp => &["erp_login_refused", "erp_misconfigured"],
        System::Shopify => &[
            "shopify_credentials_refused",
            "secret_unreadable",
            "shop_unavailable",
            "shop_not_found",
        ],
    }
}

/// The shop's own problem, of which the job's is one sign.
fn blame(system: System, problem: &NewProblem) -> Option<NewProblem> {
    mended_by_people(system)
        .contains(&problem.code.0.as_str())
        .then(|| NewProblem {
            record: None,
            field: None,
            mapping: None,
            ..problem.clone()
        })
}

/// A breaker that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The system went down.
    Opened(BreakerRow),
    /// The system is back.
    Closed(BreakerRow),
    /// The system is down for a reason that a person must mend.
    Blamed(ShopName, Box<NewProblem>),
}

impl Breakers {
    /// Breakers as another process left them: what was open is probed at once.
    pub(super) fn restore(rows: &[BreakerRow], now: Timestamp, settings: &BreakerSettings) -> Self {
        let mut breakers = Self::default();
        for row in rows.iter().filter(|row| row.state != "closed") {
            let breaker = breakers.of(&row.shop, row.system);
            breaker.open = Some(Open {
                probe_at: now,
                bound: Duration::from_secs(settings.first_probe_s.get()),
                probing: None,
            });
        }
        breakers
    }

    fn of(&mut self, shop: &ShopName, system: System) -> &mut Breaker {
        self.all.entry((shop.clone(), system)).or_default()
    }

    /// The open breakers that concern a lane.
    fn open_for(&self, lane: &Lane) -> impl Iterator<Item = &Open> {
        System::ALL
            .iter()
            .filter(|system| needs(lane, **system))
            .filter_map(|system| self.all.get(&(lane.shop.clone(), *system))?.open.as_ref())
    }

    /// Whether jobs of the lane may be claimed at `now`. With both systems down the later probe decides.
    pub(super) fn admit(&self, lane: &Lane, now: Timestamp) -> Admission {
        let mut admission = Admission::Free;
        for open in self.open_for(lane) {
            if open.probing.is_some() || now < open.probe_at {
                return Admission::Shut;
            }
            admission = Admission::Probe;
        }
        admission
    }

    /// The clock was set back: no probe is to wait for what has become a far future.
    pub(super) fn clock_went_back(&mut self, now: Timestamp) {
        for open in self.all.values_mut().filter_map(|breaker| breaker.open.as_mut()) {
            open.probe_at = open.probe_at.min(now.plus(open.bound));
        }
    }

    /// When the next probe is due that is not yet due at `now`.
    pub(super) fn next_probe(&self, now: Timestamp) -> Option<Timestamp> {
        self.all
            .values()
            .filter_map(|breaker| breaker.open.as_ref())
            .filter(|open| open.probing.is_none() && open.probe_at > now)
            .map(|open| open.probe_at)
            .min()
    }

    /// Notes that a job of the lane begins: while a breaker is open it is the probe.
    pub(super) fn begin(&mut self, lane: &Lane, job: JobId) {
        for system in System::ALL.iter().filter(|system| needs(lane, **system)) {
            if let Some(open) = self
                .all
                .get_mut(&(lane.shop.clone(), *system))
                .and_then(|breaker| breaker.open.as_mut())
            {
                open.probing = Some(job);
            }
        }
    }

    /// Notes how an attempt ended. `unit` is a random number from `0.0..1.0`.
    pub(super) fn end(
        &mut self,
        lane: &Lane,
        job: JobId,
        evidence: &Evidence,
        now: Timestamp,
        settings: &BreakerSettings,
        unit: f64,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for system in System::ALL {
            // A notice about the shop that is done has met no system.
            let concerns = needs(lane, *system)
                && match evidence {
                    Evidence::Down { system: down, .. } => down == system,
                    Evidence::Works(works) => works.contains(system),
                    Evidence::Nothing | Evidence::Unclear => false,
                };
            let Some(breaker) = self.entry_if(&lane.shop, *system, concerns) else {
                continue;
            };
            let row = |state: &str, reason: Option<&str>| BreakerRow {
                shop: lane.shop.clone(),
                system: *system,
                state: state.to_owned(),
                since: now,
                reason: reason.map(str::to_owned),
            };
            let probed = breaker
                .open
                .as_mut()
                .is_some_and(|open| open.probing.take_if(|probe| *probe == job).is_some());
            match (concerns, evidence) {
                (true, Evidence::Works(_)) => {
                    breaker.failures = 0;
                    if breaker.open.take().is_some() {
                        changes.push(Change::Closed(row("closed", None)));
                    }
                }
                (
                    true,
                    Evidence::Down {
                        retry_after,
                        reason,
                        blame,
                        ..
                    },
                ) => match &mut breaker.open {
                    // Attempts that began before it opened say nothing new.
                    Some(_) if !probed => {}
                    Some(open) => {
                        open.wait_longer(*retry_after, now, settings, unit);
                        changes.extend(blamed(&lane.shop, blame.as_deref()));
                    }
                    None => {
                        breaker.failures += 1;
                        if breaker.failures >= settings.failures.get() {
                            let mut open = Open {
                                probe_at: now,
                                bound: Duration::ZERO,
                                probing: None,
                            };
                            open.wait_longer(*retry_after, now, settings, unit);
                            breaker.open = Some(open);
                            breaker.failures = 0;
                            changes.push(Change::Opened(row("open", Some(reason))));
                            changes.extend(blamed(&lane.shop, blame.as_deref()));
                        }
                    }
                },
                // A probe that was cut short, or that found out about the other system only.
                (false, Evidence::Unclear) if probed => {
                    if let Some(open) = &mut breaker.open {
                        open.wait_longer(None, now, settings, unit);
                    }
                }
                _ => {}
            }
        }
        changes
    }

    /// The breaker of a system: an existing one, or a new one where there is something to note.
    fn entry_if(&mut self, shop: &ShopName, system: System, concerns: bool) -> Option<&mut Breaker> {
        if concerns {
            Some(self.of(shop, system))
        } else {
            self.all.get_mut(&(shop.clone(), system))
        }
    }
}

fn blamed(shop: &ShopName, blame: Option<&NewProblem>) -> Option<Change> {
    Some(Change::Blamed(shop.clone(), Box::new(blame?.clone())))
}

impl Open {
    /// Sets the next probe: the bound doubles up to the longest wait, the wait is drawn from its upper half, and what
    /// the system asked for is honoured.
    fn wait_longer(
        &mut self,
        retry_after: Option<Duration>,
        now: Timestamp,
        settings: &BreakerSettings,
        unit: f64,
    ) {
        let longest = Duration::from_secs(settings.longest_probe_s.get());
        let first = Duration::from_secs(settings.first_probe_s.get());
        self.bound = self.bound.saturating_mul(2).clamp(first.min(longest), longest);
        let drawn = self.bound.mul_f64(0.5 + 0.5 * unit.clamp(0.0, 1.0));
        let asked = retry_after.unwrap_or_default().min(LONGEST_PATIENCE);
        self.probe_at = now.plus(drawn.max(asked));
    }
}

#[cfg(test)]
mod tests {
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
}
