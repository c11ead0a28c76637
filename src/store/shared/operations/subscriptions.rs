//! [`Subscriptions`] over either database.

use async_trait::async_trait;

use super::super::{Backend, subscriptions};
use crate::domain::{ShopName, ShopifyId, Timestamp};
use crate::store::{DeliveryCount, DeliverySum, StoreError, SubscriptionRow, Subscriptions, Word};

#[async_trait]
impl Subscriptions for Backend {
    async fn subscriptions(&self, shop: &ShopName) -> Result<Vec<SubscriptionRow>, StoreError> {
        ask!(self, "read subscriptions", |conn| subscriptions::of_shop(
            conn, shop
        ))
    }

    async fn subscribed_shops(&self) -> Result<Vec<ShopName>, StoreError> {
        ask!(self, "read subscriptions", |conn| subscriptions::shops(conn))
    }

    async fn rename_subscriptions(&self, from: &ShopName, to: &ShopName) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        change!(self, "rename a shop", |conn| subscriptions::rename(
            conn, &from, &to
        ))
    }

    async fn save_subscription(&self, row: SubscriptionRow, word: Option<Word>) -> Result<(), StoreError> {
        let is_told = word.is_some();
        change!(self, "note a subscription", |conn| subscriptions::save(
            conn,
            &row,
            word.as_ref()
        ))?;
        if is_told {
            self.ring_told().await;
        }
        Ok(())
    }

    async fn remove_subscription(
        &self,
        shop: &ShopName,
        id: ShopifyId,
        at: Timestamp,
        word: Option<Word>,
    ) -> Result<(), StoreError> {
        let shop = shop.clone();
        let is_told = word.is_some();
        change!(self, "note a subscription's end", |conn| {
            subscriptions::remove(conn, &shop, id, at, word.as_ref())
        })?;
        if is_told {
            self.ring_told().await;
        }
        Ok(())
    }

    async fn saw_subscriptions(
        &self,
        shop: &ShopName,
        ids: &[ShopifyId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, ids) = (shop.clone(), ids.to_vec());
        change!(self, "note subscriptions", |conn| subscriptions::saw(
            conn, &shop, &ids, now
        ))
    }

    async fn count_deliveries(&self, counts: Vec<DeliveryCount>) -> Result<(), StoreError> {
        change!(self, "count deliveries", |conn| subscriptions::count(
            conn, &counts
        ))
    }

    async fn deliveries_since(
        &self,
        shop: &ShopName,
        since: Timestamp,
    ) -> Result<Vec<DeliverySum>, StoreError> {
        ask!(self, "read counts of deliveries", |conn| {
            subscriptions::deliveries(conn, shop, since)
        })
    }
}
