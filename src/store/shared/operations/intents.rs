//! [`Intents`] over either database.

use async_trait::async_trait;

use super::super::{Backend, intents};
use crate::domain::{Direction, Fence, JobId, JobKey, Object, ShopName, Timestamp};
use crate::store::{Intent, Intents, Lane, NewIntent, StoreError};

#[async_trait]
impl Intents for Backend {
    async fn open_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: NewIntent,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        change!(self, "note a write before it is sent", |conn| intents::open(
            conn, job, fence, &intent, now
        ))
    }

    async fn open_intents(&self, key: &JobKey) -> Result<Vec<Intent>, StoreError> {
        let lane_id = self.lane_ids(vec![Lane::of(key)]).await?[0];
        ask!(self, "read writes without an answer", |conn| {
            intents::open_ones(conn, lane_id, &key.source_id)
        })
    }

    async fn close_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        change!(self, "note the answer to a write", |conn| intents::close(
            conn, job, fence, intent, now
        ))
    }

    async fn note_items(&self, job: JobId, fence: Fence, items: Vec<String>) -> Result<bool, StoreError> {
        change!(self, "note what an order sells", |conn| intents::note_items(
            conn, job, fence, &items
        ))
    }

    async fn order_in_work(&self, shop: &ShopName, item: &str) -> Result<Option<JobId>, StoreError> {
        let lane = Lane {
            shop: shop.clone(),
            object: Object::Order,
            direction: Direction::In,
        };
        let lane_id = self.lane_ids(vec![lane]).await?[0];
        ask!(self, "look for open orders", |conn| intents::in_work(
            conn, lane_id, item
        ))
    }

    async fn note_out_write(
        &self,
        shop: &ShopName,
        object: Object,
        kind: &str,
        record: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, kind, record) = (shop.clone(), kind.to_owned(), record.to_owned());
        change!(self, "note a write to the shop", |conn| intents::note_write(
            conn, &shop, object, &kind, &record, now
        ))
    }

    async fn out_writes_since(
        &self,
        shop: &ShopName,
        object: Object,
        kind: &str,
        but: &str,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        ask!(self, "count writes to the shop", |conn| intents::writes_since(
            conn, shop, object, kind, but, since
        ))
    }
}
