//! [`Numbers`] over either database.

use async_trait::async_trait;

use super::super::{Backend, numbers};
use crate::domain::{ShopName, Timestamp};
use crate::store::{LateOrders, Numbers, PastProblem, SlowJob, StoreError, Tally, TallyFilter};

#[async_trait]
impl Numbers for Backend {
    async fn add_tallies(&self, tallies: Vec<Tally>) -> Result<(), StoreError> {
        change!(self, "count", |conn| numbers::add(conn, &tallies))
    }

    async fn tallies(&self, filter: TallyFilter) -> Result<Vec<Tally>, StoreError> {
        ask!(self, "read counts", |conn| numbers::list(conn, &filter))
    }

    async fn late_orders(&self, before: Timestamp) -> Result<Vec<LateOrders>, StoreError> {
        self.refresh_lanes().await?;
        let lanes = self.lanes.inward();
        ask!(self, "look for late orders", |conn| numbers::late_orders(
            conn, &lanes, before
        ))
    }

    async fn delivery_hours(&self, shop: &ShopName, since: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        ask!(self, "read when deliveries came", |conn| {
            numbers::delivery_hours(conn, shop, since)
        })
    }

    async fn past_problems(&self, filter: TallyFilter, limit: u32) -> Result<Vec<PastProblem>, StoreError> {
        ask!(self, "list past problems", |conn| numbers::past_problems(
            conn, &filter, limit
        ))
    }

    async fn slowest_jobs(&self, filter: TallyFilter, limit: u32) -> Result<Vec<SlowJob>, StoreError> {
        ask!(self, "look for slow jobs", |conn| numbers::slowest(
            conn, &filter, limit
        ))
    }
}
