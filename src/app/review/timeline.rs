//! What happened to a job, in order: what came, what was tried, what went wrong, what people did.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{JobId, Timestamp};
use crate::store::{AuditFilter, JobStory, SharedStore, StoreError};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// `made`, `event`, `attempt`, `problem`, `solved` or `action`.
    pub kind: &'static str,
    /// One sentence.
    pub what: String,
    /// What belongs to it: the attempt's calls, an action's circumstances.
    pub detail: serde_json::Value,
}

/// The whole story of a job, oldest first; nothing where there is no such job.
///
/// # Errors
/// When the store fails.
pub async fn timeline(store: &SharedStore, job: JobId) -> Result<Option<Vec<Moment>>, StoreError> {
    let Some(story) = store.job(job).await? else {
        return Ok(None);
    };
    let actions = AuditFilter {
        subject: Some(format!("job:{job}")),
        limit: 1000,
        ..AuditFilter::default()
    };
    let mut moments = of_story(story);
    moments.extend(store.audit(actions).await?.into_iter().map(|row| Moment {
        at: row.at,
        kind: "action",
        what: match &row.reason {
            Some(reason) => format!("{} ({}): {}: {reason}", row.actor, row.via, row.action),
            None => format!("{} ({}): {}", row.actor, row.via, row.action),
        },
        detail: row.detail,
    }));
    // What is of the same time stays in the order of the sources: an event before the attempt that follows it.
    moments.sort_by_key(|moment| moment.at);
    Ok(Some(moments))
}

fn of_story(story: JobStory) -> Vec<Moment> {
    let none = serde_json::Value::Null;
    let mut moments = vec![Moment {
        at: story.job.created_at,
        kind: "made",
        what: format!("job {} was made for {}", story.job.id, story.job.key),
        detail: none.clone(),
    }];
    moments.extend(story.events.into_iter().map(|event| Moment {
        at: event.received_at,
        kind: "event",
        what: format!("{} came (event {})", event.topic, event.id),
        detail: none.clone(),
    }));
    for problem in &story.problems {
        moments.push(Moment {
            at: problem.opened_at,
            kind: "problem",
            what: problem.problem.reason.clone(),
            detail: problem.problem.detail.clone(),
        });
        if let Some(at) = problem.closed_at {
            moments.push(Moment {
                at,
                kind: "solved",
                what: format!("{} is over", problem.problem.code),
                detail: none.clone(),
            });
        }
    }
    moments.extend(story.attempts.into_iter().map(|attempt| Moment {
        at: attempt.started_at,
        kind: "attempt",
        what: format!(
            "attempt {}: {}: {}",
            attempt.number, attempt.outcome, attempt.summary
        ),
        detail: attempt.detail,
    }));
    moments
}
