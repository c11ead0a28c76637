//! What the pages have done for them. The use cases stand behind the command line, too (`review`): here is only what pages
//! add, which is whom it is for, that a form which was made for an older state does nothing, and how it is told.

use std::sync::Arc;

use axum::http::StatusCode;

use super::Console;
use super::error::Refusal;
use super::session::Visitor;
use crate::app::connect;
use crate::app::review::{ByHandError, Candidate, Reviewer};
use crate::config::{Config, Shop};
use crate::domain::{Actor, ErpId, JobId, JobState, ShopifyId, Via};
use crate::erp::SharedErp;
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
    /// It stands in the ERP under this number.
    Resolve(String),
    /// This partner of the ERP is meant.
    Link(i64),
}

/// What became of an action, as the notice's code on the page that follows, and the job to look at then.
pub(super) type Done = (JobId, &'static str);

/// An answer that is no success, or that needs more words than a notice has.
pub(super) fn not_done(acted: &Acted) -> Option<Refusal> {
    let text = match acted {
        Acted::Unknown => return Some(Refusal::NotFound("There is no such thing (any more).".to_owned())),
        Acted::Taken(who) => format!("Nothing was done: it is in the hands of {who}."),
        Acted::Linked(name) => {
            format!("Nothing was done: the record is linked to {name} in the ERP already.")
        }
        _ => return None,
    };
    Some(Refusal::Not(StatusCode::CONFLICT, text))
}

fn by_hand(error: ByHandError) -> Refusal {
    match error {
        ByHandError::Store(error) => Refusal::store(&error),
        ByHandError::UnknownJob(job) => Refusal::NotFound(format!("There is no job {job}.")),
        ByHandError::Erp(source) => unreachable("The ERP could not be asked", &source),
        error @ (ByHandError::NoSuchRecord { .. } | ByHandError::Several { .. } | ByHandError::NotSo(_)) => {
            Refusal::Not(StatusCode::CONFLICT, format!("Nothing was done: {error}."))
        }
    }
}

fn unreachable(what: &str, error: &dyn std::error::Error) -> Refusal {
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
        if reason.is_none() && matches!(wish, Wish::Discard | Wish::Hold | Wish::Note) {
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
            Wish::Resolve(number) => (self.resolve(&reviewer, &story, number, reason).await?, "resolved"),
            Wish::Link(erp_id) => {
                let config = Arc::clone(&self.api.config.borrow());
                let (shop, erp) = self.erp_of(&config, &story)?;
                let linked = reviewer.link(shop, &*erp, id, ErpId(*erp_id), reason).await;
                (linked.map_err(by_hand)?, "linked")
            }
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

    /// The job's shop, and a client of its ERP.
    fn erp_of<'c>(&self, config: &'c Config, story: &JobStory) -> Result<(&'c Shop, SharedErp), Refusal> {
        let name = &story.job.key.shop;
        let shop = config
            .shops
            .get(name)
            .ok_or_else(|| Refusal::NotFound(format!("The configuration has no shop {name} any more.")))?;
        let erp = connect::erp(shop, &self.api.clock)
            .map_err(|error| unreachable("The ERP cannot be connected", &error))?;
        Ok((shop, erp))
    }

    async fn resolve(
        &self,
        reviewer: &Reviewer,
        story: &JobStory,
        number: &str,
        reason: Option<&str>,
    ) -> Result<Acted, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let (shop, erp) = self.erp_of(&config, story)?;
        let client = self.api.clients.borrow().get(&shop.name).cloned();
        // As it is now: only so a later change is seen as one.
        let order = match (story.job.key.source_id.parse::<ShopifyId>(), client) {
            (Ok(id), Some(client)) => client
                .order(id, "")
                .await
                .map_err(|error| unreachable("The order cannot be read from Shopify", &error))?,
            _ => None,
        };
        reviewer
            .resolve(shop, &*erp, story.job.id, number, order.as_ref(), reason)
            .await
            .map_err(by_hand)
    }

    /// The records of the ERP that the job may mean.
    pub(super) async fn candidates(&self, visitor: &Visitor, id: JobId) -> Result<Vec<Candidate>, Refusal> {
        let story = self.as_it_is(id).await?;
        let config = Arc::clone(&self.api.config.borrow());
        let (shop, erp) = self.erp_of(&config, &story)?;
        let found = self.reviewer(visitor).candidates(shop, &*erp, id).await;
        found.map_err(by_hand)
    }

    /// Begins to try all jobs of one cause again.
    pub(super) async fn retry_cluster(&self, visitor: &Visitor, cluster: &Cluster) -> Result<Acted, Refusal> {
        let acted = self.reviewer(visitor).retry_cluster(cluster, None).await?;
        self.api.controls.look();
        Ok(acted)
    }
}
