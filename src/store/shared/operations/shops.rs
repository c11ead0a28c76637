//! [`Shops`] over either database.

use async_trait::async_trait;

use super::super::{Backend, shops};
use crate::domain::{ShopName, Timestamp};
use crate::store::{BreakerRow, OpenMode, ShopState, Shops, StoreError};

#[async_trait]
impl Shops for Backend {
    async fn shop_state(&self, shop: &ShopName, now: Timestamp) -> Result<ShopState, StoreError> {
        let known = ask!(self, "read a shop's state", |conn| shops::known_state(conn, shop))?;
        if let Some(state) = known {
            return Ok(state);
        }
        if self.mode == OpenMode::Tool {
            // Which orders are booked follows from the daemon's first sight of a shop, not from somebody's look at it.
            return Ok(ShopState {
                first_seen_at: now,
                disabled: None,
            });
        }
        let shop = shop.clone();
        change!(self, "remember a shop", |conn| shops::state(conn, &shop, now))
    }

    async fn set_shop_disabled(
        &self,
        shop: &ShopName,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, reason) = (shop.clone(), reason.map(str::to_owned));
        change!(self, "disable or enable a shop", |conn| shops::set_disabled(
            conn,
            &shop,
            reason.as_deref(),
            now
        ))
    }

    async fn cursor(&self, shop: &ShopName, name: &str) -> Result<Option<String>, StoreError> {
        ask!(self, "read a position", |conn| shops::cursor(conn, shop, name))
    }

    async fn set_cursor(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, name, value) = (shop.clone(), name.to_owned(), value.to_owned());
        change!(self, "move a position", |conn| shops::set_cursor(
            conn, &shop, &name, &value, now
        ))
    }

    async fn first_value(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let (shop, name, value) = (shop.clone(), name.to_owned(), value.to_owned());
        change!(self, "set a value once", |conn| shops::first_value(
            conn, &shop, &name, &value, now
        ))
    }

    async fn save_breaker(&self, breaker: BreakerRow) -> Result<(), StoreError> {
        change!(self, "record a breaker", |conn| shops::save_breaker(
            conn, &breaker
        ))
    }

    async fn breakers(&self) -> Result<Vec<BreakerRow>, StoreError> {
        ask!(self, "read breakers", |conn| shops::breakers(conn))
    }
}
