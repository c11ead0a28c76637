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
mod places;
mod record;
mod tables;
mod timeline;
mod why;

#[cfg(test)]
mod tests;

use crate::app::jobs;
use crate::domain::{Actor, JobId, JobState, Object, SharedClock, ShopName, Timestamp};
use crate::store::{Act, Acted, Action, BatchFilter, Cluster, SharedStore, StoreError};

pub use answers::answer;
pub use batches::{DEFAULT_PER_SECOND, MOST_PER_SECOND, work as work_batches};
pub use by_hand::{ByHandError, Candidate};
pub use choice::{ChoiceError, ChooseError, Conflict, Keep};
pub use cluster::{ClusterFilter, ClusterView, Sides, clusters, sides};
pub use places::{Reference, References, erp_page, references, shopify_page};
pub use record::{RecordView, record};
pub use tables::{TableEdit, TableEditError};
pub use timeline::{Moment, timeline};
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
        let jobs = jobs::approve(&self.store, &self.clock, shop, object).await?;
        self.answered(shop, object, true, jobs, reason).await?;
        Ok(jobs)
    }

    /// Gives them up. Returns how many jobs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reject(&self, shop: &ShopName, object: Object, reason: &str) -> Result<u64, StoreError> {
        let jobs = jobs::reject(&self.store, &self.clock, shop, object, reason).await?;
        self.answered(shop, object, false, jobs, Some(reason)).await?;
        Ok(jobs)
    }

    async fn answered(
        &self,
        shop: &ShopName,
        object: Object,
        approved: bool,
        jobs: u64,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        if jobs == 0 {
            return Ok(());
        }
        let action = Action::Answered {
            shop: shop.clone(),
            object,
            approved,
            jobs,
        };
        self.act(action, reason).await.map(drop)
    }

    /// Writes down that what a shop syncs was changed: `what` is `toggle` or `apply_webhooks`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn configured(
        &self,
        what: &'static str,
        shop: &ShopName,
        detail: serde_json::Value,
    ) -> Result<Acted, StoreError> {
        let shop = shop.clone();
        self.act(Action::Configured { what, shop, detail }, None).await
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
