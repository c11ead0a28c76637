//! What the end of an attempt makes of its job. Pure: both stores save what is decided here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{JobState, Timestamp};
use crate::store::{Finish, Verdict};

/// A job's row as the end of an attempt finds it. Read from a JSON array: the order of the fields matters.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Standing {
    pub(super) id: i64,
    pub(super) lane_id: i64,
    pub(super) state: JobState,
    pub(super) fence: i64,
    pub(super) run_at: i64,
    pub(super) wanted: i64,
    pub(super) taken: i64,
    pub(super) attempts: i64,
    pub(super) failed_attempts: i64,
    pub(super) unclean_attempts: i64,
    pub(super) unclean_at: Option<i64>,
    pub(super) wanted_since: i64,
    pub(super) triggered_at: Option<i64>,
    pub(super) later_since: Option<i64>,
    pub(super) later_triggered_at: Option<i64>,
    pub(super) node: Option<String>,
}

/// The job's row after the attempt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) id: i64,
    pub(super) state: JobState,
    pub(super) run_at: i64,
    pub(super) attempts: i64,
    pub(super) failed_attempts: i64,
    pub(super) unclean_attempts: i64,
    pub(super) unclean_at: Option<i64>,
    pub(super) system_down: Option<&'static str>,
    pub(super) waits_on: Option<String>,
    pub(super) wanted_since: i64,
    pub(super) triggered_at: Option<i64>,
    pub(super) reason: Option<String>,
    pub(super) record_name: Option<String>,
    pub(super) erp_name: Option<String>,
    pub(super) last_summary: Option<String>,
    pub(super) updated_at: i64,
    pub(super) ended_at: Option<i64>,
}

impl Standing {
    /// Whether the attempt with this fence still holds the job.
    pub(super) fn is_held_by(&self, fence: i64) -> bool {
        self.state == JobState::Running && self.fence == fence
    }

    /// The row after an attempt that ends like this.
    ///
    /// - When an event came during the attempt, a job that would be closed is available again; so is one that would
    ///   become a problem or be held, because the attempt may not have seen what the event tells.
    /// - `unclean_at` ends only with a success: an attempt that never came to its writes proves nothing about what a
    ///   killed one may have sent.
    /// - Whatever an attempt says of itself, its process lived to say it: the row of killed ones is broken.
    pub(super) fn after(&self, finish: &Finish) -> Change {
        let ended = finish.ended_at.millis();
        let is_wanted_again = self.wanted > self.taken;
        let mut change = Change {
            id: self.id,
            state: JobState::Available,
            run_at: ended,
            attempts: self.attempts,
            failed_attempts: self.failed_attempts,
            unclean_attempts: 0,
            unclean_at: if finish.unclean {
                self.unclean_at.max(Some(ended))
            } else {
                self.unclean_at
            },
            system_down: None,
            waits_on: None,
            wanted_since: self.wanted_since,
            triggered_at: self.triggered_at,
            reason: None,
            record_name: finish.record_name.as_deref().map(clean),
            erp_name: finish.erp_name.as_deref().map(clean),
            last_summary: Some(clean(&finish.summary)),
            updated_at: ended,
            ended_at: None,
        };
        match &finish.verdict {
            Verdict::Completed | Verdict::Obsolete { .. } => {
                change.failed_attempts = 0;
                change.unclean_at = finish.unclean.then_some(ended);
                if is_wanted_again {
                    change.wanted_since = self.later_since.unwrap_or(ended);
                    change.triggered_at = self.later_triggered_at;
                } else {
                    change.ended_at = Some(ended);
                    change.state = JobState::Completed;
                    if let Verdict::Obsolete { reason } = &finish.verdict {
                        change.state = JobState::Obsolete;
                        change.reason = Some(clean(reason));
                    }
                }
            }
            Verdict::Retry {
                at,
                counts,
                system_down,
            } => {
                change.state = JobState::Retryable;
                change.run_at = at.millis();
                change.failed_attempts += i64::from(*counts);
                change.system_down = system_down.map(crate::domain::System::as_str);
            }
            Verdict::Wait { on, until } => {
                change.state = JobState::Scheduled;
                change.run_at = until.millis();
                change.waits_on = Some(clean(&on.to_string()));
            }
            Verdict::Problem(_) | Verdict::Held(_) if is_wanted_again => change.failed_attempts = 0,
            Verdict::Problem(_) => change.state = JobState::Problem,
            Verdict::Held(_) => change.state = JobState::Held,
            Verdict::Release => {
                change.run_at = self.run_at;
                change.attempts -= 1;
                change.unclean_attempts = self.unclean_attempts;
                change.last_summary = None;
            }
        }
        change
    }
}

/// As many attempts in a row may end without a word; then a person must look.
pub(super) const MOST_UNCLEAN: i64 = 5;

/// How long a job rests whose attempts ended without a word, `unclean` of them in a row. `place` is its place among those
/// that ended together: each of them is tried alone, so that the one that kills the process is told from those that
/// merely ran beside it. None when it must not be tried again.
pub(super) fn rest_after_unclean(unclean: i64, place: usize) -> Option<Duration> {
    let base = match unclean {
        ..2 => return Some(Duration::ZERO),
        2 => 10,
        3 => 60,
        MOST_UNCLEAN.. => return None,
        _ => 300,
    };
    Some(Duration::from_secs(base + 5 * u64::try_from(place).unwrap_or(0)))
}

/// The outcome's name in the retry log; none when the attempt is not to be counted.
pub(super) fn outcome(verdict: &Verdict) -> Option<&'static str> {
    Some(match verdict {
        Verdict::Completed => "completed",
        Verdict::Obsolete { .. } => "obsolete",
        Verdict::Retry { .. } => "retry",
        Verdict::Wait { .. } => "wait",
        Verdict::Problem(_) => "problem",
        Verdict::Held(_) => "held",
        Verdict::Release => return None,
    })
}

/// PostgreSQL's text holds no NUL character; upstream answers that we quote may.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Milliseconds of an optional time.
pub(super) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::millis)
}
