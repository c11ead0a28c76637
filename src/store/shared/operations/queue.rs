//! [`Queue`] over either database.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::super::{Backend, queue, upcoming};
use crate::domain::{Fence, JobId, RecordKey, ShopName, System, Timestamp};
use crate::store::prepared::PreparedFinish;
use crate::store::{
    Claim, ClaimedJob, Enqueued, Finish, Finished, Lane, Locked, NewJob, Queue, ReadyLane, StoreError,
    Verdict,
};

#[async_trait]
impl Queue for Backend {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        let lane_ids = self.lane_ids(vec![Lane::of(&job.key)]).await?;
        self.submit_job(job, lane_ids[0]).await
    }

    async fn ready_lanes(&self, now: Timestamp) -> Result<Vec<ReadyLane>, StoreError> {
        self.looked_at.store(now.millis(), Ordering::Relaxed);
        let ready = ask!(self, "find ready lanes", |conn| queue::ready_lanes(conn, now))?;
        if ready.iter().any(|(id, ..)| self.lanes.lane(*id).is_none()) {
            self.refresh_lanes().await?;
        }
        Ok(queue::named(ready, &self.lanes))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        if claim.lanes.iter().any(|(lane, _)| self.lanes.id(lane).is_none()) {
            // Another process may have made it.
            self.refresh_lanes().await?;
        }
        let mut seen = BTreeSet::new();
        let lanes = claim
            .lanes
            .into_iter()
            .filter_map(|(lane, limit)| Some((self.lanes.id(&lane)?, lane, limit)))
            .filter(|(id, ..)| seen.insert(*id))
            .collect();
        let prepared = queue::PreparedClaim {
            node: claim.node,
            node_id: self.node_id(),
            lanes,
            now: claim.now,
            lease: Self::lease(claim.now, claim.lease),
        };
        change!(self, "claim jobs", |conn| queue::claim(conn, &prepared))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let after = self.looked_at.load(Ordering::Relaxed);
        ask!(self, "find the next due job", |conn| queue::next_due(conn, after))
    }

    async fn next_in_lane(&self, lane: &Lane, now: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
        let Some(lane_id) = self.lanes.id(lane) else {
            return Ok(Vec::new());
        };
        ask!(self, "look ahead in a lane", |conn| upcoming::next_in_lane(
            conn, lane_id, now, limit
        ))
    }

    async fn heartbeat(
        &self,
        attempts: Vec<(JobId, Fence)>,
        lease_until: Timestamp,
    ) -> Result<Vec<JobId>, StoreError> {
        let lease = self.lease_until(lease_until);
        change!(self, "extend leases", |conn| queue::heartbeat(
            conn, &attempts, lease
        ))
    }

    async fn lock(&self, job: JobId, fence: Fence, records: Vec<RecordKey>) -> Result<Locked, StoreError> {
        change!(self, "lock records", |conn| queue::lock(
            conn, job, fence, records
        ))
    }

    async fn finish(&self, finish: Finish) -> Result<Finished, StoreError> {
        let lanes = finish.enqueue.iter().map(|job| Lane::of(&job.key)).collect();
        let lane_ids = self.lane_ids(lanes).await?;
        let awaited = match &finish.verdict {
            Verdict::Wait { on, .. } => self.lanes.about(on),
            _ => None,
        };
        let prepared = PreparedFinish {
            finish,
            lane_ids,
            awaited,
        };
        self.submit_finish(prepared).await
    }

    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.take_back(now).await
    }

    async fn clock_went_back(&self, now: Timestamp) -> Result<u64, StoreError> {
        change!(self, "mend the times of ready jobs", |conn| {
            queue::clock_went_back(conn, now)
        })
    }

    async fn hasten(&self, shop: &ShopName, system: System, now: Timestamp) -> Result<u64, StoreError> {
        let shop = shop.clone();
        let count = change!(self, "hasten jobs", |conn| queue::hasten(
            conn, &shop, system, now
        ))?;
        self.ring().await;
        Ok(count)
    }

    async fn work_arrived(&self) {
        tokio::select! {
            () = self.arrived.notified() => {}
            () = self.another_process_wrote() => {}
        }
    }
}
