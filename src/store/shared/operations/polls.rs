//! [`Polls`] over either database.

use async_trait::async_trait;

use super::super::{Backend, polls};
use crate::domain::{ErpId, ShopName};
use crate::store::{
    Lane, NewJob, PollCommit, PollCommitted, PollCursor, PollForget, PollForgotten, Polls, PresentId,
    SeenRow, StoreError,
};

#[async_trait]
impl Polls for Backend {
    async fn poll_cursor(&self, shop: &ShopName, model: &str) -> Result<Option<PollCursor>, StoreError> {
        ask!(self, "read how far the ERP was read", |conn| polls::cursor(
            conn, shop, model
        ))
    }

    async fn poll_seen(
        &self,
        shop: &ShopName,
        model: &str,
        ids: &[ErpId],
    ) -> Result<Vec<SeenRow>, StoreError> {
        ask!(self, "read what was seen in the ERP", |conn| polls::seen(
            conn, shop, model, ids
        ))
    }

    async fn poll_present(
        &self,
        shop: &ShopName,
        model: &str,
        after: Option<ErpId>,
        upto: Option<ErpId>,
    ) -> Result<Vec<PresentId>, StoreError> {
        ask!(self, "read what was there in the ERP", |conn| polls::present(
            conn, shop, model, after, upto
        ))
    }

    async fn commit_poll(&self, mut commit: PollCommit) -> Result<PollCommitted, StoreError> {
        commit.lease.1 = self.holder(&commit.lease.1);
        let lanes = commit.jobs.iter().map(|job| Lane::of(&job.key)).collect();
        let lane_ids = self.lane_ids(lanes).await?;
        let jobs: Vec<(NewJob, i64)> = commit.jobs.iter().cloned().zip(lane_ids).collect();
        let rings = !jobs.is_empty();
        let committed = change!(self, "save a poll", |conn| polls::commit(conn, &commit, &jobs))?;
        if rings {
            self.ring().await;
        }
        Ok(committed)
    }

    async fn forget_poll(&self, mut forget: PollForget) -> Result<PollForgotten, StoreError> {
        forget.lease.1 = self.holder(&forget.lease.1);
        change!(self, "forget how far the ERP was read", |conn| polls::forget(
            conn, &forget
        ))
    }
}
