//! [`Review`] over either database.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::{Backend, batches, care, found_by, review};
use crate::domain::{Fence, JobId, Timestamp};
use crate::store::{
    Act, Acted, Action, BatchRow, ClusterFilter, ClusterRow, JobName, Lane, PauseRow, QueuePlace, Review,
    StoreError,
};

#[async_trait]
impl Review for Backend {
    async fn act(&self, act: Act) -> Result<Acted, StoreError> {
        self.refresh_lanes().await?;
        if let Action::CarryOver { key } = &act.action {
            self.lane_ids(vec![Lane::of(key)]).await?;
        }
        let lanes = Arc::clone(&self.lanes);
        let acted = change!(self, "carry out an action", |conn| review::act(
            conn, &act, &lanes
        ))?;
        if acted.is_change() {
            self.ring().await;
        }
        Ok(acted)
    }

    async fn problem_clusters(&self, filter: ClusterFilter) -> Result<Vec<ClusterRow>, StoreError> {
        ask!(self, "count problems by cause", |conn| care::clusters(
            conn, &filter
        ))
    }

    async fn batches(&self, running: bool, limit: u32) -> Result<Vec<BatchRow>, StoreError> {
        ask!(self, "list batches", |conn| batches::list(conn, running, limit))
    }

    async fn batch_step(&self, batch: i64, now: Timestamp) -> Result<Option<BatchRow>, StoreError> {
        let stepped = change!(self, "retry some jobs of a batch", |conn| batches::step(
            conn, batch, now
        ))?;
        self.ring().await;
        Ok(stepped)
    }

    async fn queue_place(&self, job: JobId, now: Timestamp) -> Result<Option<QueuePlace>, StoreError> {
        ask!(self, "find a job's place", |conn| found_by::queue_place(
            conn, job, now
        ))
    }

    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError> {
        ask!(self, "list paused shops", |conn| review::pauses(conn))
    }

    async fn note_names(&self, job: JobId, fence: Fence, names: Vec<JobName>) -> Result<bool, StoreError> {
        change!(self, "note by what a job is found", |conn| found_by::note_names(
            conn, job, fence, &names
        ))
    }
}
