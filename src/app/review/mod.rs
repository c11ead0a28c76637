//! Review: what people find out about failed work, and what they do about it.
//!
//! The command line, the API and the console ask for the same things here. Every action goes through [`Reviewer`], which
//! knows who acts: the change and its line in the audit log are one transaction ([`crate::store::Act`]), and what stood
//! like that before is told as such and done no second time.

mod answers;
mod batches;
mod by_hand;
pub mod catalogue;
mod choice;
mod cluster;
mod configured;
mod entries;
mod last_write;
mod places;
mod plans;
mod rules;
mod tables;
mod timeline;
mod title;
mod why;

#[cfg(test)]
mod tests;

use crate::app::jobs;
use crate::domain::{Actor, JobId, JobKey, JobState, Object, SharedClock, ShopName, Timestamp};
use crate::store::{
    Act, Acted, Action, BatchFilter, Cluster, HELD_BY_PERSON, JobFilter, JobRow, SharedStore, StoreError,
};
use crate::sync::{self, LimitState};

pub use answers::answer;
pub use batches::{DEFAULT_PER_SECOND, MOST_PER_SECOND, work as work_batches};
pub use by_hand::{ByHandError, Candidate};
pub use choice::{ChoiceError, ChooseError, Conflict, Keep};
pub use cluster::{ClusterFilter, ClusterView, Sides, clusters, sides};
pub use configured::whole;
pub use entries::{
    Agreed, EntryPlan, EntryView, PastEdit, TableChoice, TableView, past_edits, plan_entry, table_choices,
    tables_of,
};
pub use last_write::{LastWrite, last_write};
pub(in crate::app) use places::kind_of;
pub use places::{Reference, References, erp_page, references, shopify_page};
pub use plans::{Answered, ManyAnswered, Plan, PlanFilter, WAITING_FOR_APPROVAL, plan_of};
pub use rules::{RuleTrial, Trial, TrialError, Tried, try_rules};
pub use tables::{TableEdit, TableEditError};
pub use timeline::{Moment, timeline};
pub(in crate::app) use title::title_of;
pub use why::{Outlook, Said, Why, WhyError, why};

/// Somebody who acts.
#[derive(Clone)]
pub struct Reviewer {
    store: SharedStore,
    clock: SharedClock,
    actor: Actor,
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviewer")
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

impl Reviewer {
    /// Whoever it is acts on this store from now on.
    pub fn new(store: SharedStore, clock: SharedClock, actor: Actor) -> Self {
        Self { store, clock, actor }
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    async fn act(&self, action: Action, reason: Option<&str>) -> Result<Acted, StoreError> {
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        let act = Act {
            actor: self.actor.clone(),
            reason: reason.map(str::to_owned),
            at: self.clock.now(),
            action,
        };
        let acted = self.store.act(act).await?;
        tracing::info!(via = %self.actor.via, ?acted, "a person acted");
        Ok(acted)
    }

    /// Tries a job again now. `seen` is the state in which the person saw it: a job that was open then and is closed now is
    /// not done a second time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry(
        &self,
        job: JobId,
        seen: Option<JobState>,
        reason: Option<&str>,
    ) -> Result<Acted, StoreError> {
        self.act(Action::Retry { job, seen }, reason).await
    }

    /// Has a record carried over now: its job is made, or tried again now; its last one is done anew where that is closed.
    /// One that a person holds back stays held: only who lets that job go ends that.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn carry_over(&self, key: JobKey) -> Result<(JobId, Acted), StoreError> {
        const ASKED: &str = "asked to carry it over now";
        let filter = JobFilter {
            shop: Some(key.shop.clone()),
            object: Some(key.object),
            direction: Some(key.direction),
            source_id: Some(key.source_id.clone()),
            limit: 1,
            ..JobFilter::default()
        };
        let last = self.store.jobs(filter).await?.pop();
        // One that runs may have read the record before it was asked for: it is asked for once more, and runs again.
        if let Some(job) = last.filter(|job| job.state != JobState::Running) {
            let held_by = job
                .problem
                .filter(|problem| job.state == JobState::Held && problem.code.0 == HELD_BY_PERSON);
            if let Some(held) = held_by {
                return Ok((job.id, Acted::Taken(held.owner)));
            }
            return Ok((job.id, self.retry(job.id, Some(job.state), Some(ASKED)).await?));
        }
        let acted = self.act(Action::CarryOver { key }, Some(ASKED)).await?;
        let job = match acted {
            Acted::Again(job) => job,
            // It has none: a job is made in any case.
            _ => JobId(0),
        };
        Ok((job, acted))
    }

    /// Begins to try all jobs again that need a person and fit, a few in each second; the daemon does it. The same filter
    /// again while that goes on names the batch that runs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry_matching(
        &self,
        filter: BatchFilter,
        per_second: u32,
        reason: Option<&str>,
    ) -> Result<Acted, StoreError> {
        let per_second = per_second.clamp(1, MOST_PER_SECOND);
        self.act(Action::StartBatch { filter, per_second }, reason).await
    }

    /// As [`Self::retry_matching`], for all problems of one cause.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry_cluster(&self, cluster: &Cluster, reason: Option<&str>) -> Result<Acted, StoreError> {
        let filter = BatchFilter {
            shop: Some(cluster.shop.clone()),
            code: Some(cluster.code.clone()),
            cluster: Some(cluster.cluster.clone()),
            ..BatchFilter::default()
        };
        self.retry_matching(filter, DEFAULT_PER_SECOND, reason).await
    }

    /// Ends a batch before all of its jobs were tried again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stop_batch(&self, batch: i64, reason: Option<&str>) -> Result<Acted, StoreError> {
        self.act(Action::StopBatch { batch }, reason).await
    }

    /// Gives an open job up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn discard(&self, job: JobId, reason: &str) -> Result<Acted, StoreError> {
        self.act(Action::Discard { job }, Some(reason)).await
    }

    /// Holds an open job back, whatever events come.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn hold(&self, job: JobId, reason: &str) -> Result<Acted, StoreError> {
        self.act(Action::Hold { job }, Some(reason)).await
    }

    /// Lets a job go on that a person holds back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release(&self, job: JobId, reason: Option<&str>) -> Result<Acted, StoreError> {
        self.act(Action::Release { job }, reason).await
    }

    /// Has a waiting job done before all others of its lane.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn move_ahead(&self, job: JobId, reason: Option<&str>) -> Result<Acted, StoreError> {
        self.act(Action::MoveAhead { job }, reason).await
    }

    /// Lets the changes go to the shop that were held because there were unusually many. Returns how many jobs go on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn approve(
        &self,
        shop: &ShopName,
        object: Object,
        reason: Option<&str>,
    ) -> Result<u64, StoreError> {
        self.answer(shop, object, true, reason).await
    }

    /// Gives them up. Returns how many jobs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reject(&self, shop: &ShopName, object: Object, reason: &str) -> Result<u64, StoreError> {
        self.answer(shop, object, false, Some(reason)).await
    }

    /// Every yes, the limit itself, the jobs and the line of the audit log are one transaction: a job that is tried in between
    /// finds all of it or nothing.
    async fn answer(
        &self,
        shop: &ShopName,
        object: Object,
        approved: bool,
        reason: Option<&str>,
    ) -> Result<u64, StoreError> {
        let held = jobs::held_back(&self.store, shop, object).await?;
        let mut notes = vec![LimitState::Open.noted(object)];
        if approved {
            let yes = |job: &JobRow| Some(sync::approval_of(&job.key, job.problem.as_ref()?));
            notes.extend(held.iter().filter_map(yes));
        }
        let action = Action::Answer {
            shop: shop.clone(),
            object,
            approved,
            held: held.iter().map(|job| job.id).collect(),
            notes,
        };
        Ok(match self.act(action, reason).await? {
            Acted::Jobs(jobs) => jobs,
            _ => 0,
        })
    }

    /// Writes down what was done about a shop as a whole: `what` is `toggle`, `apply_webhooks`, `push_all`, `reconcile` or
    /// `test_delivery`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn configured(
        &self,
        what: &'static str,
        shop: &ShopName,
        detail: serde_json::Value,
    ) -> Result<Acted, StoreError> {
        let action = Action::Configured {
            what,
            shop: Some(shop.clone()),
            subject: format!("shop:{shop}"),
            detail,
        };
        self.act(action, None).await
    }

    /// Stops all jobs of a shop; deliveries are taken in as before, and attempts that run come to their end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pause(&self, shop: &ShopName, reason: &str) -> Result<Acted, StoreError> {
        self.act(Action::Pause { shop: shop.clone() }, Some(reason)).await
    }

    /// Ends the pause.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self, shop: &ShopName, reason: Option<&str>) -> Result<Acted, StoreError> {
        self.act(Action::Resume { shop: shop.clone() }, reason).await
    }

    /// Whoever acts looks after these problems from now on; with `over` also when somebody else does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_problem(&self, cluster: &Cluster, over: bool) -> Result<Acted, StoreError> {
        let cluster = cluster.clone();
        self.act(Action::Claim { cluster, over }, None).await
    }

    /// Nobody looks after these problems any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unclaim_problem(&self, cluster: &Cluster) -> Result<Acted, StoreError> {
        let cluster = cluster.clone();
        self.act(Action::Unclaim { cluster }, None).await
    }

    /// These problems need not be shown until then; `None` ends that.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snooze(
        &self,
        cluster: &Cluster,
        until: Option<Timestamp>,
        reason: Option<&str>,
    ) -> Result<Acted, StoreError> {
        let cluster = cluster.clone();
        self.act(Action::Snooze { cluster, until }, reason).await
    }

    /// Keeps what somebody has to say about a job.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note(&self, job: JobId, text: &str) -> Result<Acted, StoreError> {
        self.act(Action::NoteJob { job }, Some(text)).await
    }

    /// Keeps what somebody has to say about problems of one cause.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_cluster(&self, cluster: &Cluster, text: &str) -> Result<Acted, StoreError> {
        let cluster = cluster.clone();
        self.act(Action::NoteCluster { cluster }, Some(text)).await
    }
}
