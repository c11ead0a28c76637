//! What the end of an attempt makes of its job. Pure: both stores save what is decided here.

use serde::{Deserialize, Deserializer, Serialize};

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
    #[serde(deserialize_with = "flag")]
    pub(super) after_unclean: bool,
    pub(super) wanted_since: i64,
    pub(super) triggered_at: Option<i64>,
    pub(super) later_since: Option<i64>,
    pub(super) later_triggered_at: Option<i64>,
    pub(super) node: Option<String>,
}

/// SQLite says 0 and 1, PostgreSQL false and true.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Bool(bool),
        Number(i64),
    }
    Ok(match Flag::deserialize(deserializer)? {
        Flag::Bool(value) => value,
        Flag::Number(value) => value != 0,
    })
}

/// The job's row after the attempt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) id: i64,
    pub(super) state: JobState,
    pub(super) run_at: i64,
    pub(super) attempts: i64,
    pub(super) failed_attempts: i64,
    pub(super) after_unclean: bool,
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
    ///   become a problem, because the attempt may not have seen what the event tells.
    /// - `after_unclean` ends only with a success: an attempt that never came to its writes proves nothing about what a
    ///   killed one may have sent.
    pub(super) fn after(&self, finish: &Finish) -> Change {
        let ended = finish.ended_at.millis();
        let is_wanted_again = self.wanted > self.taken;
        let mut change = Change {
            id: self.id,
            state: JobState::Available,
            run_at: ended,
            attempts: self.attempts,
            failed_attempts: self.failed_attempts,
            after_unclean: self.after_unclean,
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
                change.after_unclean = false;
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
            Verdict::Problem(_) if is_wanted_again => change.failed_attempts = 0,
            Verdict::Problem(_) => change.state = JobState::Problem,
            Verdict::Held(_) => change.state = JobState::Held,
            Verdict::Release => {
                change.run_at = self.run_at;
                change.attempts -= 1;
                change.last_summary = None;
            }
        }
        change
    }
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
