//! One attempt: run the handler under its limits, then save the result.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::select;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::domain::{About, Happened, JobId, JobKey, JobState, Outcome, Report, Timestamp};
use crate::failpoint::{self, FailPoint};
use crate::store::{ClaimedJob, Finish, Finished, Lane, StoreError, Verdict};
use crate::telemetry::{
    self,
    calls::{self, Watch},
};

use super::breaker::Evidence;
use super::notifier::Ending;
use super::slots::Place;
use super::verdict::{self, Circumstances};
use super::{Settings, Shared};

/// How long an attempt that was told to stop has to come to an end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A result that the store refuses (not: cannot take at the moment) is offered this often before a bare problem is
/// stored in its place.
const REFUSALS: u32 = 3;

/// What an attempt showed about the systems: told when its handler has ended, before its place is free again, and so before
/// its result is saved. Whoever takes the place must know it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) lane: Lane,
    pub(super) job: JobId,
    pub(super) evidence: Evidence,
}

/// How an attempt ended, for the dispatcher.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whether it told what it showed about the systems.
    pub(super) has_shown: bool,
}

/// What an attempt is given besides its job.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The settings when it began.
    pub(super) settings: Arc<Settings>,
    /// The configuration's revision when it began.
    pub(super) revision: Option<i64>,
    /// The store says that the claim is no longer ours.
    pub(super) lost: CancellationToken,
    /// The lease ran out because the store could not be reached: another node may have taken the job over.
    pub(super) expired: CancellationToken,
    /// What waits for a place is to be given back.
    pub(super) recall: CancellationToken,
    /// The daemon stops and the time for running attempts is over.
    pub(super) hard_stop: CancellationToken,
    /// Where it tells what it shows about the systems.
    pub(super) shown: mpsc::UnboundedSender<Shown>,
}

/// How the handler's run ended.
enum Run {
    /// It reported; `was_cut` when it had been told to stop before.
    Reported { report: Box<Report>, was_cut: bool },
    /// It did not come to an end when told to stop: what it sent may yet take effect. Its job stays claimed, so that the
    /// next start takes it over as unclean.
    Abandoned,
    /// The claim is no longer ours; there is nothing to save.
    Lost,
}

/// Runs one attempt from its claim to its saved result. Whatever is logged meanwhile, by the clients too, names the job.
pub(super) async fn run(shared: &Shared, job: ClaimedJob, frame: Frame, place: Place) -> Ended {
    let span = info_span!("attempt", job = %job.id, shop = %job.key.shop, object = %job.key.object);
    run_in_span(shared, job, frame, place).instrument(span).await
}

async fn run_in_span(shared: &Shared, job: ClaimedJob, frame: Frame, mut place: Place) -> Ended {
    let nothing = Ended { has_shown: false };
    let is_called = select! {
        biased;
        () = place.enter() => true,
        () = frame.lost.cancelled() => return nothing,
        () = frame.recall.cancelled() => false,
    };
    let started_at = shared.clock.now();
    let watch = Watch::default();
    let run = match failpoint::reach(FailPoint::JobClaimed).await {
        Ok(()) if is_called => {
            let work = run_handler(shared, &job, &frame, started_at);
            // What only an import asks for lets what is live go first, in the clients too.
            watch.over(calls::giving_way(job.gives_way(), work)).await
        }
        Ok(()) => Run::Reported {
            report: Box::new(Report::of(
                Outcome::Interrupted,
                "claimed ahead and given back before it began",
            )),
            was_cut: true,
        },
        Err(injected) => Run::Reported {
            report: Box::new(verdict::injected(&job, injected)),
            was_cut: false,
        },
    };
    let went_well = matches!(&run, Run::Reported { report, .. }
        if matches!(report.outcome, Outcome::Completed | Outcome::Obsolete(_)));
    if let Run::Reported { report, .. } = &run {
        let shown = Shown {
            lane: Lane::of(&job.key),
            job: job.id,
            evidence: Evidence::of(&report.outcome, &report.summary),
        };
        // Nobody listens any more when the process ends.
        frame.shown.send(shown).ok();
    }
    place.leave(went_well);
    let (mut report, was_cut) = match run {
        Run::Reported { report, was_cut } => (report, was_cut),
        Run::Abandoned => {
            warn!(shop = %job.key.shop, job = %job.id, key = %job.key, "attempt did not stop in time; it is taken over at the next start");
            return nothing;
        }
        Run::Lost => {
            warn!(shop = %job.key.shop, job = %job.id, key = %job.key, "attempt lost its lease and was cancelled");
            return nothing;
        }
    };
    report.detail = watch.calls().noted(report.detail);
    let told = Told::of(&report);
    let ended_at = shared.clock.now();
    let about = report.about.take();
    let happened = std::mem::take(&mut report.happened);
    let mut finish = verdict::finish(
        *report,
        &Circumstances {
            job: &job,
            started_at,
            now: ended_at,
            policy: &frame.settings.retry,
            longest_probe: Duration::from_secs(frame.settings.breaker.longest_probe_s.get()),
            unit: shared.entropy.unit(),
            was_cut,
            revision: frame.revision,
        },
    );
    finish.notifications = shared
        .notifier
        .of(&ending(&job, &finish, about.as_deref(), &happened));
    let what = What {
        told: &told,
        about: about.as_deref(),
        happened: &happened,
    };
    save(shared, &job, &frame, finish, &what).await;
    Ended { has_shown: true }
}

/// What an attempt had to say besides its end.
struct What<'a> {
    told: &'a Told,
    about: Option<&'a About>,
    happened: &'a [Happened],
}

/// An end as whoever tells others of it sees it.
fn ending<'a>(
    job: &'a ClaimedJob,
    finish: &'a Finish,
    about: Option<&'a About>,
    happened: &'a [Happened],
) -> Ending<'a> {
    Ending {
        job,
        verdict: &finish.verdict,
        about,
        record_name: finish.record_name.as_deref().or(job.record_name.as_deref()),
        erp_name: finish.erp_name.as_deref(),
        happened,
        at: finish.ended_at,
    }
}

/// What the log says of a report. A failure's own text may quote what the other system said, and that may quote the
/// record (names, addresses): it goes to the store, where people look, and the log has the code. What succeeded is told
/// in our own words.
#[derive(Debug)]
struct Told {
    code: Option<String>,
    summary: Option<String>,
}

impl Told {
    fn of(report: &Report) -> Self {
        let code = match &report.outcome {
            Outcome::Failed { problem, .. } | Outcome::Problem(problem) | Outcome::Held(problem) => {
                Some(problem.code.0.clone())
            }
            Outcome::Obsolete(reason) => Some(reason.clone()),
            Outcome::Completed | Outcome::Wait { .. } | Outcome::Later { .. } | Outcome::Interrupted => None,
        };
        let summary = matches!(report.outcome, Outcome::Completed).then(|| report.summary.clone());
        Self { code, summary }
    }
}

/// Why a running attempt is told to stop.
enum Cut {
    Lost,
    Expired,
    Stopped,
    TooLong,
}

async fn run_handler(shared: &Shared, job: &ClaimedJob, frame: &Frame, started_at: Timestamp) -> Run {
    let stop = CancellationToken::new();
    let work = AssertUnwindSafe(shared.handler.attempt(job.clone(), stop.clone())).catch_unwind();
    tokio::pin!(work);
    let limit = frame.settings.attempt_limit();
    let cut = select! {
        ended = &mut work => return Run::Reported { report: Box::new(reported(job, ended)), was_cut: false },
        () = frame.lost.cancelled() => Cut::Lost,
        () = frame.expired.cancelled() => Cut::Expired,
        () = frame.hard_stop.cancelled() => Cut::Stopped,
        () = shared.clock.sleep_until(started_at.plus(limit)) => Cut::TooLong,
    };
    stop.cancel();
    let ended = select! {
        ended = &mut work => Some(reported(job, ended)),
        () = shared.clock.sleep_until(shared.clock.now().plus(GRACE)) => None,
    };
    let report = match (cut, ended) {
        (Cut::Lost, _) => return Run::Lost,
        (Cut::Stopped, None) => return Run::Abandoned,
        // Only the time limit makes a failure of it; the others give the job back.
        (Cut::TooLong, Some(report)) if matches!(report.outcome, Outcome::Interrupted) => Report {
            unclean: report.unclean,
            // What it did by then is done, and its repeat does not see all of it. Its links remember what is told.
            links: report.links,
            about: report.about,
            happened: report.happened,
            ..verdict::timed_out(job, limit)
        },
        (_, Some(report)) => report,
        (Cut::TooLong, None) => Report {
            unclean: true,
            ..verdict::timed_out(job, limit)
        },
        (Cut::Expired, None) => verdict::cut_off(
            "the lease ran out while the store could not be reached, and the attempt was cut off",
        ),
    };
    Run::Reported {
        report: Box::new(report),
        was_cut: true,
    }
}

/// The handler's report, or what stands for it when it panicked.
fn reported(job: &ClaimedJob, ended: std::thread::Result<Report>) -> Report {
    ended.unwrap_or_else(|_| verdict::panicked(job))
}

/// Saves the result, for as long as the claim is ours. The store's own failures are waited out: dropping a result would
/// have the whole attempt repeated.
async fn save(shared: &Shared, job: &ClaimedJob, frame: &Frame, mut finish: Finish, what: &What<'_>) {
    // Of an end that is stored in the place of its own.
    let told_instead = |finish: &Finish| {
        let happened = verdict::told_without_links(what.happened);
        shared.notifier.of(&ending(job, finish, what.about, &happened))
    };
    let mut tries = 0_u32;
    let mut refusals = 0_u32;
    loop {
        let result = match failpoint::reach(FailPoint::BeforeFinish).await {
            Ok(()) => shared.store.finish(finish.clone()).await,
            Err(_) => Err(StoreError::Closed),
        };
        match result {
            Ok(Finished::Done(state)) => {
                note(job, &finish, state, what.told);
                // Nothing is left to be failed here but the process.
                failpoint::reach(FailPoint::AfterFinish).await.ok();
                return;
            }
            Ok(Finished::Conflict(problem)) => {
                finish = verdict::in_conflict(&finish, *problem);
                finish.notifications = told_instead(&finish);
                continue;
            }
            Ok(Finished::Stale) => {
                warn!(shop = %job.key.shop, job = %job.id, key = %job.key, "result came too late: the attempt was no longer ours");
                return;
            }
            Err(failure) => {
                tries = tries.saturating_add(1);
                if matches!(failure, StoreError::Failed { .. } | StoreError::BadRow { .. }) {
                    refusals = refusals.saturating_add(1);
                }
                if tries.is_power_of_two() {
                    error!(
                        shop = %job.key.shop, job = %job.id, key = %job.key, tries,
                        error = %chain(&failure), "cannot save the attempt's result; trying on"
                    );
                }
                if refusals == REFUSALS {
                    finish = verdict::without_result(&finish, job);
                    finish.notifications = told_instead(&finish);
                }
            }
        }
        let pause = Duration::from_millis(50 << tries.min(7));
        select! {
            () = shared.clock.sleep_until(shared.clock.now().plus(pause)) => {}
            () = frame.lost.cancelled() => {
                warn!(shop = %job.key.shop, job = %job.id, key = %job.key, "result could not be saved before the lease was lost");
                return;
            }
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Logs and counts a saved result.
fn note(job: &ClaimedJob, finish: &Finish, state: JobState, told: &Told) {
    let took = finish.ended_at.since(finish.started_at);
    let JobKey {
        shop,
        object,
        direction,
        ..
    } = &job.key;
    let labels = || {
        vec![
            metrics::Label::new("shop", shop.as_str().to_owned()),
            metrics::Label::new("object", object.as_str()),
            metrics::Label::new("direction", direction.as_str()),
        ]
    };
    let with = |name: &'static str, value: &'static str| {
        let mut labels = labels();
        labels.push(metrics::Label::new(name, value));
        labels
    };
    match &finish.verdict {
        Verdict::Completed => {
            metrics::counter!(telemetry::JOBS_COMPLETED, with("outcome", "completed")).increment(1);
            let since = job.triggered_at.unwrap_or(job.wanted_since);
            metrics::histogram!(telemetry::SOURCE_TO_TARGET_SECONDS, labels())
                .record(finish.ended_at.since(since).as_secs_f64());
        }
        Verdict::Obsolete { .. } => {
            metrics::counter!(telemetry::JOBS_COMPLETED, with("outcome", "obsolete")).increment(1);
        }
        Verdict::Retry { counts, .. } => {
            let reason = if *counts { "failed" } else { "system_down" };
            metrics::counter!(telemetry::JOBS_RETRIED, with("reason", reason)).increment(1);
        }
        Verdict::Problem(_) => {
            metrics::counter!(telemetry::JOBS_FAILED, labels()).increment(1);
        }
        Verdict::Wait { .. } | Verdict::Held(_) | Verdict::Release => {}
    }
    // The verdict goes first: the store may have refused the result.
    let code = match &finish.verdict {
        Verdict::Problem(problem) | Verdict::Held(problem) => Some(problem.code.0.as_str()),
        _ => told.code.as_deref(),
    };
    if let Verdict::Problem(_) = finish.verdict {
        warn!(
            %shop, job = %job.id, key = %job.key, attempt = job.attempt, took_ms = took.as_millis(), %state, code,
            "job needs a person: {}", code.unwrap_or_default()
        );
    } else {
        let what = told.summary.as_deref().or(code).unwrap_or(state.as_str());
        info!(
            %shop, job = %job.id, key = %job.key, attempt = job.attempt, took_ms = took.as_millis(), %state, code,
            "attempt ended: {what}"
        );
    }
}
