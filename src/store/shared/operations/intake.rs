//! [`Intake`] over either database.

use async_trait::async_trait;

use super::super::{Backend, intake};
use crate::domain::Timestamp;
use crate::store::prepared::PreparedDelivery;
use crate::store::{Delivery, Intake, Lane, Recorded, RejectionCount, StoreError};

#[async_trait]
impl Intake for Backend {
    async fn record_delivery(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        let lane_id = match PreparedDelivery::key(&delivery) {
            Some(key) => self.lane_ids(vec![Lane::of(key)]).await?.pop(),
            None => None,
        };
        self.submit_delivery(PreparedDelivery::new(delivery, lane_id))
            .await
    }

    async fn count_rejections(&self, counts: Vec<RejectionCount>) -> Result<(), StoreError> {
        change!(self, "count rejections", |conn| intake::count_rejections(
            conn, &counts
        ))
    }

    async fn rejections(&self, since: Timestamp) -> Result<Vec<RejectionCount>, StoreError> {
        ask!(self, "read rejections", |conn| intake::rejections(conn, since))
    }
}
