//! From what an attempt reports to what becomes of its job. Pure.

use std::time::Duration;

use crate::domain::{
    Carried, Disposition, Happened, LONGEST_CALL, NewProblem, Outcome, ProblemCode, Report, RetryPolicy,
    Timestamp,
};
use crate::store::{ClaimedJob, Finish, NewJob, Verdict};

use super::breaker::LONGEST_PATIENCE;

/// What the decision depends on besides the report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// The job.
    pub(super) job: &'a ClaimedJob,
    /// When the attempt began.
    pub(super) started_at: Timestamp,
    /// When it ended.
    pub(super) now: Timestamp,
    /// The retry policy.
    pub(super) policy: &'a RetryPolicy,
    /// A job that met a system that is down is due again after at most this: while the breaker is open it is not claimed
    /// then, but may serve as the probe.
    pub(super) longest_probe: Duration,
    /// A random number from `0.0..1.0`.
    pub(super) unit: f64,
    /// Whether the attempt was told to stop, by a shutdown or by its time limit.
    pub(super) was_cut: bool,
    /// The configuration's revision.
    pub(super) revision: Option<i64>,
}

/// The end of the attempt as the store takes it.
pub(super) fn finish(report: Report, circumstances: &Circumstances<'_>) -> Finish {
    let Circumstances {
        job,
        started_at,
        now,
        revision,
        ..
    } = *circumstances;
    Finish {
        job: job.id,
        fence: job.fence,
        started_at,
        ended_at: now,
        verdict: verdict(report.outcome, report.unclean, circumstances),
        unclean: report.unclean,
        summary: report.summary,
        detail: report.detail,
        revision,
        record_name: report.record_name,
        erp_name: report.erp_name,
        links: report.links,
        enqueue: report
            .enqueue
            .into_iter()
            .map(|(key, priority, cause)| NewJob {
                key,
                priority,
                now,
                cause,
            })
            .collect(),
        disables_shop: report.disables_shop,
        notifications: Vec::new(),
    }
}

fn verdict(outcome: Outcome, unclean: bool, circumstances: &Circumstances<'_>) -> Verdict {
    let Circumstances {
        job,
        now,
        policy,
        longest_probe,
        unit,
        was_cut,
        ..
    } = *circumstances;
    match outcome {
        Outcome::Completed => Verdict::Completed,
        Outcome::Obsolete(reason) => Verdict::Obsolete { reason },
        Outcome::Problem(problem) => Verdict::Problem(problem),
        Outcome::Held(problem) => Verdict::Held(problem),
        Outcome::Wait { on, at_most } => Verdict::Wait {
            on,
            until: now.plus(at_most),
        },
        Outcome::Later { at } => Verdict::Retry {
            at,
            counts: false,
            system_down: None,
        },
        // What it sent may take effect until then; it is nobody's failure.
        Outcome::Interrupted if was_cut && unclean => Verdict::Retry {
            at: now.plus(LONGEST_CALL),
            counts: false,
            system_down: None,
        },
        Outcome::Interrupted if was_cut => Verdict::Release,
        // Giving it back untouched would have it claimed again at once, for ever.
        Outcome::Interrupted => retry_or_problem(None, interrupted_by_itself(job), circumstances),
        Outcome::Failed { disposition, problem } => match disposition {
            Disposition::Transient { retry_after } => retry_or_problem(retry_after, problem, circumstances),
            Disposition::NotYet { after } => Verdict::Retry {
                at: now.plus(policy.wait(1, unit, Some(after))),
                counts: false,
                system_down: None,
            },
            Disposition::SystemDown { system, retry_after } => Verdict::Retry {
                at: now.plus(
                    policy
                        .wait(1, unit, None)
                        .min(longest_probe)
                        .max(retry_after.unwrap_or_default().min(LONGEST_PATIENCE)),
                ),
                counts: false,
                system_down: Some(system),
            },
            Disposition::Permanent => Verdict::Problem(problem),
            Disposition::Obsolete => Verdict::Obsolete {
                reason: problem.code.0,
            },
        },
    }
}

fn retry_or_problem(
    retry_after: Option<Duration>,
    problem: NewProblem,
    circumstances: &Circumstances<'_>,
) -> Verdict {
    let Circumstances {
        job,
        now,
        policy,
        unit,
        ..
    } = *circumstances;
    let failed = job.failed_attempts.saturating_add(1);
    if policy.is_exhausted(failed) {
        return Verdict::Problem(problem);
    }
    Verdict::Retry {
        at: now.plus(policy.wait(failed, unit, retry_after)),
        counts: true,
        system_down: None,
    }
}

/// A problem that is lockstep's own fault.
fn own_fault(job: &ClaimedJob, code: &str, reason: String) -> NewProblem {
    NewProblem {
        code: ProblemCode::from(code),
        record: job.record_name.clone(),
        field: None,
        reason,
        fix: format!(
            "This is a fault of lockstep itself: report it with the log lines of job {}. Retry the job after an update.",
            job.id
        ),
        owner: "lockstep".into(),
        mapping: None,
        cluster: format!("{code}:{}.{}", job.key.object, job.key.direction),
        detail: serde_json::Value::Null,
    }
}

fn failed(problem: NewProblem, retry_after: Option<Duration>) -> Report {
    let summary = problem.reason.clone();
    Report::of(
        Outcome::Failed {
            disposition: Disposition::Transient { retry_after },
            problem,
        },
        summary,
    )
}

/// The report of an attempt that panicked. What the panic said stays in the log: it may quote customer data. What it had
/// sent by then is not known.
pub(super) fn panicked(job: &ClaimedJob) -> Report {
    let reason = "The attempt stopped at an internal error (a panic).".to_owned();
    Report {
        unclean: true,
        ..failed(own_fault(job, "attempt_panicked", reason), None)
    }
}

/// The report of an attempt that was cut off where it stood, through no fault of its own. What it had sent by then is not
/// known.
pub(super) fn cut_off(summary: &str) -> Report {
    Report {
        unclean: true,
        ..Report::of(Outcome::Interrupted, summary)
    }
}

/// The report of an attempt that took too long and was cut off.
pub(super) fn timed_out(job: &ClaimedJob, limit: Duration) -> Report {
    let mut problem = own_fault(
        job,
        "attempt_too_long",
        format!(
            "The attempt took longer than {} seconds and was cut off.",
            limit.as_secs()
        ),
    );
    problem.fix =
        "Look at the retry log for what took so long; raise `attempt_limit_s` in [queue] if the record \
                   really needs more time."
            .into();
    problem.owner = "operator".into();
    failed(problem, Some(LONGEST_CALL))
}

/// The report of an attempt that a fail point told to fail.
pub(super) fn injected(job: &ClaimedJob, error: crate::failpoint::Injected) -> Report {
    failed(own_fault(job, "injected", error.to_string()), None)
}

fn interrupted_by_itself(job: &ClaimedJob) -> NewProblem {
    own_fault(
        job,
        "attempt_interrupted",
        "The attempt gave up although nobody told it to stop.".into(),
    )
}

/// What is stored when the store refuses the result itself: the job must not run for ever.
pub(super) fn without_result(refused: &Finish, job: &ClaimedJob) -> Finish {
    let problem = own_fault(
        job,
        "result_not_stored",
        "The attempt ended, but the store refused to save its result.".into(),
    );
    Finish {
        summary: problem.reason.clone(),
        verdict: Verdict::Problem(problem),
        detail: serde_json::json!({ "refused_summary": refused.summary }),
        record_name: None,
        erp_name: None,
        links: Vec::new(),
        enqueue: Vec::new(),
        disables_shop: None,
        notifications: Vec::new(),
        ..refused.clone()
    }
}

/// What is stored in the place of an end whose links belong to another record: this problem, without them.
pub(super) fn in_conflict(refused: &Finish, problem: NewProblem) -> Finish {
    Finish {
        summary: "its ERP record belongs to another record".to_owned(),
        verdict: Verdict::Problem(problem),
        links: Vec::new(),
        notifications: Vec::new(),
        ..refused.clone()
    }
}

/// What is told of an end although its links are not saved: that a record was written. All else its repeat finds and tells, for
/// no link remembers that it was told.
pub(super) fn told_without_links(happened: &[Happened]) -> Vec<Happened> {
    let written = happened
        .iter()
        .filter(|happened| happened.status == Some(Carried::Updated));
    written.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Fence, JobId, JobKey, Object, System};

    fn job(failed_attempts: u32) -> ClaimedJob {
        ClaimedJob {
            id: JobId(7),
            key: JobKey {
                shop: "main".parse().unwrap(),
                object: Object::Order,
                direction: Direction::In,
                source_id: "1".into(),
            },
            fence: Fence(3),
            failed_attempts,
            attempt: failed_attempts.saturating_add(1),
            unclean_at: None,
            wanted_since: Timestamp::from_millis(0),
            triggered_at: None,
            record_name: None,
            import: None,
            problem: None,
            priority: crate::domain::Priority::LIVE,
        }
    }

    fn problem() -> NewProblem {
        own_fault(&job(0), "tax_not_found", "No tax of 21 %.".into())
    }

    fn with(disposition: Disposition) -> Outcome {
        Outcome::Failed {
            disposition,
            problem: problem(),
        }
    }

    /// The verdict as a short text, with waits in whole seconds.
    fn check(report: Report, failed_attempts: u32, was_cut: bool) -> String {
        let policy = RetryPolicy::default();
        let job = job(failed_attempts);
        let now = Timestamp::from_millis(1_000_000);
        let finish = finish(
            report,
            &Circumstances {
                job: &job,
                started_at: now,
                now,
                policy: &policy,
                longest_probe: Duration::from_mins(1),
                unit: 1.0,
                was_cut,
                revision: None,
            },
        );
        let unclean = if finish.unclean { " unclean" } else { "" };
        let text = match finish.verdict {
            Verdict::Completed => "completed".into(),
            Verdict::Obsolete { reason } => format!("obsolete {reason}"),
            Verdict::Retry {
                at,
                counts,
                system_down,
            } => format!(
                "retry {}{}{}",
                at.since(now).as_secs(),
                if counts { " counts" } else { "" },
                system_down.map_or(String::new(), |system| format!(" {system}"))
            ),
            Verdict::Wait { until, .. } => format!("wait {}", until.since(now).as_secs()),
            Verdict::Problem(problem) => format!("problem {}", problem.code),
            Verdict::Held(problem) => format!("held {}", problem.code),
            Verdict::Release => "release".into(),
        };
        format!("{text}{unclean}")
    }

    #[test]
    fn every_outcome_has_its_verdict() {
        let s = |n| Some(Duration::from_secs(n));
        let transient = |retry_after| with(Disposition::Transient { retry_after });
        let down = |retry_after| {
            with(Disposition::SystemDown {
                system: System::Erp,
                retry_after,
            })
        };
        let wait = Outcome::Wait {
            on: job(0).key.record(),
            at_most: Duration::from_secs(30),
        };
        let later = Outcome::Later {
            at: Timestamp::from_millis(1_130_000),
        };
        for (outcome, failed, was_cut, expected) in [
            (Outcome::Completed, 0, false, "completed"),
            (Outcome::Obsolete("deleted".into()), 0, false, "obsolete deleted"),
            (with(Disposition::Obsolete), 0, false, "obsolete tax_not_found"),
            (transient(None), 0, false, "retry 20 counts"),
            (transient(None), 1, false, "retry 80 counts"),
            (transient(s(300)), 0, false, "retry 300 counts"),
            (transient(None), 8, false, "retry 21600 counts"),
            (transient(None), 9, false, "problem tax_not_found"),
            (transient(None), u32::MAX, false, "problem tax_not_found"),
            (
                with(Disposition::NotYet {
                    after: Duration::from_secs(30),
                }),
                500,
                false,
                "retry 30",
            ),
            (down(None), 0, false, "retry 20 erp"),
            (down(None), 500, false, "retry 20 erp"),
            (down(s(40)), 0, false, "retry 40 erp"),
            (down(s(4000)), 0, false, "retry 900 erp"),
            (with(Disposition::Permanent), 0, false, "problem tax_not_found"),
            (Outcome::Problem(problem()), 0, false, "problem tax_not_found"),
            (Outcome::Held(problem()), 0, false, "held tax_not_found"),
            (wait, 0, false, "wait 30"),
            (later, 0, false, "retry 130"),
            (Outcome::Interrupted, 0, true, "release"),
            (Outcome::Interrupted, 0, false, "retry 20 counts"),
            (Outcome::Interrupted, 9, false, "problem attempt_interrupted"),
        ] {
            let name = format!("{outcome:?} after {failed}");
            assert_eq!(
                check(Report::of(outcome, ""), failed, was_cut),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn what_may_still_take_effect_is_told_and_waited_for() {
        let minutes = Duration::from_mins(15);
        let unclean = |report: Report| Report {
            unclean: true,
            ..report
        };
        let stopped = || Report::of(Outcome::Interrupted, "stopped");
        for (report, failed, was_cut, expected) in [
            (panicked(&job(0)), 0, false, "retry 20 counts unclean"),
            (panicked(&job(9)), 9, false, "problem attempt_panicked unclean"),
            (timed_out(&job(0), minutes), 0, true, "retry 130 counts"),
            (
                unclean(timed_out(&job(0), minutes)),
                0,
                true,
                "retry 130 counts unclean",
            ),
            (cut_off("cut"), 0, true, "retry 130 unclean"),
            (stopped(), 0, true, "release"),
            (unclean(stopped()), 0, true, "retry 130 unclean"),
            (unclean(stopped()), 9, true, "retry 130 unclean"),
        ] {
            let name = format!("{report:?} after {failed}");
            assert_eq!(check(report, failed, was_cut), expected, "{name}");
        }
    }
}
