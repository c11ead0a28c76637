//! [`Jobs`] over either database.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::{Backend, kept, people};
use crate::domain::{JobId, Timestamp};
use crate::store::{Counts, JobFilter, JobRow, JobStory, Jobs, Lane, Retried, StoreError};

#[async_trait]
impl Jobs for Backend {
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRow>, StoreError> {
        ask!(self, "list jobs", |conn| people::jobs(conn, &filter))
    }

    async fn job(&self, id: JobId) -> Result<Option<JobStory>, StoreError> {
        ask!(self, "read a job", |conn| people::job(conn, id))
    }

    async fn retry(&self, id: JobId, now: Timestamp) -> Result<Retried, StoreError> {
        let retried = change!(self, "retry a job", |conn| people::retry(conn, id, now))?;
        self.ring().await;
        Ok(retried)
    }

    async fn discard(&self, id: JobId, reason: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.refresh_lanes().await?;
        let (lanes, reason) = (Arc::clone(&self.lanes), reason.to_owned());
        let discarded = change!(self, "discard a job", |conn| people::discard(
            conn, id, &reason, now, &lanes
        ))?;
        self.ring().await;
        Ok(discarded)
    }

    async fn discard_waiting(&self, lane: &Lane, reason: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.refresh_lanes().await?;
        let Some(lane_id) = self.lanes.id(lane) else {
            return Ok(0);
        };
        let mut discarded = 0;
        loop {
            let reason = reason.to_owned();
            let step = change!(self, "discard waiting jobs", |conn| people::discard_waiting(
                conn, lane_id, &reason, now
            ))?;
            discarded += step;
            if step < u64::from(people::STEP) {
                return Ok(discarded);
            }
        }
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.refresh_lanes().await?;
        let lanes = Arc::clone(&self.lanes);
        ask!(self, "count jobs", |conn| kept::counts(conn, now, &lanes))
    }
}
