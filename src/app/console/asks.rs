//! What a job's problem asks of a person, besides a retry: an entry of a table, whose value is kept, whether many changes may go.

use super::parts::object_word;
use super::tables::{Lacking, lacking};
use crate::app::review::Conflict;
use crate::domain::{JobState, NewProblem};
use crate::store::{Cluster, JobRow};
use crate::sync::{CHANGED_ON_BOTH_SIDES, SUDDEN_CHANGE};

/// The fields that the job's problem asks about, with both values.
pub(super) fn conflicts(job: &JobRow) -> Vec<Conflict> {
    let asked = job.problem.as_ref().filter(|_| job.state == JobState::Problem);
    let fields = asked
        .filter(|problem| problem.code.0 == CHANGED_ON_BOTH_SIDES)
        .and_then(|problem| problem.detail.get("fields"));
    fields
        .and_then(|fields| serde_json::from_value(fields.clone()).ok())
        .unwrap_or_default()
}

/// Whose limits hold a job back.
pub(super) struct Limited {
    /// Where the answer goes.
    pub(super) url: String,
    /// What they are about.
    pub(super) object: &'static str,
}

pub(super) fn limited(job: &JobRow) -> Option<Limited> {
    let problem = job.problem.as_ref().filter(|_| job.state == JobState::Held)?;
    (problem.code.0 == SUDDEN_CHANGE).then(|| Limited {
        url: format!("/shops/{}/limits/{}", job.key.shop, job.key.object),
        object: object_word(job.key.object),
    })
}

pub(super) fn lacking_of(job: &JobRow, problem: &NewProblem) -> Vec<Lacking> {
    let cluster = Cluster {
        shop: job.key.shop.clone(),
        code: problem.code.to_string(),
        cluster: problem.cluster.clone(),
    };
    lacking(&cluster, std::iter::once(problem))
}
