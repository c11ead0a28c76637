//! What the pages have done for them. The use cases stand behind the command line, too (`review`): here is only what pages
//! add, which is whom it is for, that a form which was made for an older state does nothing, and how it is told.

use axum::http::StatusCode;

use super::Console;
use super::error::Refusal;
use super::session::Visitor;
use super::view::field;
use crate::app::review::{Keep, Reviewer};
use crate::domain::{Actor, JobId, JobState, Via};
use crate::store::{Acted, Cluster, JobStory};

/// What a person wants of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Retry,
    Discard,
    Hold,
    Release,
    Ahead,
    Note,
    /// The plan of this hash is right.
    Approve(String),
    /// The plan that waits is not; of this hash, where the form names it.
    Reject(Option<String>),
    /// It stands in the ERP under this number.
    Resolve(String),
    /// This partner of the ERP is meant.
    Link(i64),
    /// This side's value is kept: of one row, or of all that are shown.
    Keep(Keep, Option<String>),
}

impl Wish {
    /// By the last word of an address, and what its form says.
    pub(super) fn of(action: &str, fields: &[(String, String)]) -> Result<Self, Refusal> {
        let missing =
            |what: &str| Refusal::Not(StatusCode::BAD_REQUEST, format!("Nothing was done: say {what}."));
        Ok(match action {
            "retry" => Self::Retry,
            "discard" => Self::Discard,
            "hold" => Self::Hold,
            "release" => Self::Release,
            "ahead" => Self::Ahead,
            "note" => Self::Note,
            "approve" => {
                let plan = field(fields, "plan").ok_or_else(|| missing("which plan"))?;
                Self::Approve(plan.to_owned())
            }
            "reject" => Self::Reject(field(fields, "plan").map(str::to_owned)),
            "keep" => {
                let side = match field(fields, "side") {
                    Some("shopify") => Keep::Shopify,
                    Some("erp") => Keep::Erp,
                    _ => return Err(missing("whose value is kept")),
                };
                Self::Keep(side, field(fields, "field").map(str::to_owned))
            }
            "resolve" => {
                let number = field(fields, "number").ok_or_else(|| missing("the number in the ERP"))?;
                Self::Resolve(number.to_owned())
            }
            "link" => {
                let id = field(fields, "erp_id").and_then(|id| id.parse().ok());
                Self::Link(id.ok_or_else(|| missing("which record of the ERP"))?)
            }
            _ => return Err(Refusal::NotFound("There is no such action.".to_owned())),
        })
    }
}

/// What became of an action, as the notice's code on the page that follows, and the job to look at then.
pub(super) type Done = (JobId, &'static str);

/// An answer that is no success, or that needs more words than a notice has.
pub(super) fn not_done(acted: &Acted) -> Option<Refusal> {
    let text = match acted {
        Acted::Unknown => return Some(Refusal::NotFound("There is no such thing (any more).".to_owned())),
        Acted::Taken(who) => format!("Nothing was done: it is in the hands of {who}."),
        Acted::Later(job) => format!(
            "Nothing was done: a later job of the same record has ended or is held, job {job}. See to that one."
        ),
        Acted::Linked(name) => {
            format!("Nothing was done: the record is linked to {name} in the ERP already.")
        }
        _ => return None,
    };
    Some(Refusal::Not(StatusCode::CONFLICT, text))
}

pub(super) fn unreachable(what: &str, error: &dyn std::error::Error) -> Refusal {
    Refusal::Not(
        StatusCode::BAD_GATEWAY,
        format!("{what}: {error}. Nothing was done."),
    )
}

impl Console {
    /// The person as the one who acts.
    pub(super) fn reviewer(&self, visitor: &Visitor) -> Reviewer {
        let actor = Actor::new(visitor.name.clone(), Via::Console);
        Reviewer::new(self.api.store.clone(), self.api.clock.clone(), actor)
    }

    /// The job, if it is still as the person saw it.
    async fn as_seen(&self, id: JobId, seen: Option<&str>) -> Result<Result<JobStory, Done>, Refusal> {
        let story = self.api.store.job(id).await?;
        let story = story.ok_or_else(|| Refusal::NotFound(format!("There is no job {id}.")))?;
        let is_as_seen = seen == Some(story.job.updated_at.millis().to_string().as_str());
        Ok(if is_as_seen {
            Ok(story)
        } else if story.job.state == JobState::Running {
            Err((id, "running"))
        } else {
            Err((id, "changed"))
        })
    }

    /// Does what a person wants of a job.
    pub(super) async fn act(
        &self,
        visitor: &Visitor,
        id: JobId,
        wish: Wish,
        (seen, reason): (Option<&str>, Option<&str>),
    ) -> Result<Done, Refusal> {
        if reason.is_none() && matches!(wish, Wish::Discard | Wish::Hold | Wish::Note | Wish::Reject(_)) {
            return Ok((id, "no_reason"));
        }
        let story = match self.as_seen(id, seen).await? {
            Ok(story) => story,
            // What somebody has to say does not depend on how it stands.
            Err(_) if wish == Wish::Note => self.as_it_is(id).await?,
            Err(done) => return Ok(done),
        };
        let reviewer = self.reviewer(visitor);
        let words = reason.unwrap_or_default();
        let (acted, done) = match &wish {
            Wish::Retry => (
                reviewer.retry(id, Some(story.job.state), reason).await?,
                "retried",
            ),
            Wish::Discard => (reviewer.discard(id, words).await?, "discarded"),
            Wish::Hold => (reviewer.hold(id, words).await?, "held"),
            Wish::Release => (reviewer.release(id, reason).await?, "released"),
            Wish::Ahead => (reviewer.move_ahead(id, reason).await?, "ahead"),
            Wish::Note => (reviewer.note(id, words).await?, "noted"),
            Wish::Approve(plan) => {
                let answered = reviewer.approve_plan(id, Some(plan), reason).await?;
                return Ok(self.plan_answered(id, &answered, "approved"));
            }
            Wish::Reject(plan) => {
                let answered = reviewer.reject_plan(id, plan.as_deref(), words).await?;
                return Ok(self.plan_answered(id, &answered, "rejected"));
            }
            Wish::Resolve(number) => (
                self.api.entered_by_hand(&reviewer, id, number, reason).await?,
                "resolved",
            ),
            Wish::Keep(side, name) => {
                self.api
                    .choose(&reviewer, id, *side, name.as_deref(), reason)
                    .await?;
                (Acted::Done, "kept")
            }
            Wish::Link(erp_id) => (self.api.link(&reviewer, id, *erp_id, reason).await?, "linked"),
        };
        self.api.controls.look();
        if let Some(refusal) = not_done(&acted) {
            return Err(refusal);
        }
        Ok(match acted {
            Acted::Again(other) => (other, if wish == Wish::Retry { "retried" } else { done }),
            Acted::New(new) => (new, "anew"),
            Acted::Already => (id, "already"),
            Acted::NotNow(JobState::Running) => (id, "running"),
            Acted::NotNow(_) => (id, "closed"),
            _ => (id, done),
        })
    }

    async fn as_it_is(&self, id: JobId) -> Result<JobStory, Refusal> {
        let story = self.api.store.job(id).await?;
        story.ok_or_else(|| Refusal::NotFound(format!("There is no job {id}.")))
    }

    /// Begins to try all jobs of one cause again.
    pub(super) async fn retry_cluster(&self, visitor: &Visitor, cluster: &Cluster) -> Result<Acted, Refusal> {
        let acted = self.reviewer(visitor).retry_cluster(cluster, None).await?;
        self.api.controls.look();
        Ok(acted)
    }
}
