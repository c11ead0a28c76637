//! Circuit breakers: one for each shop and system.
//!
//! Pure; time and randomness are parameters. A breaker opens after several attempts in a row found the whole system down.
//! While it is open, the shop's lanes that need the system are not claimed, except one job at a time that probes. The
//! first attempt that proves the system to work closes it. Attempts that met a system that was down never count against
//! their job, so an outage of days costs nobody a retry.
//!
//! Every process has breakers of its own; the store's rows only let other processes show them and let a restart during
//! an outage begin with a probe instead of a storm.

#[cfg(test)]
mod tests;

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
