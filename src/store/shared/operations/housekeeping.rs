//! [`Housekeeping`] over either database.

use async_trait::async_trait;

use super::super::{Backend, housekeeping};
use crate::domain::Timestamp;
use crate::store::{Housekeeping, StoreError};

#[async_trait]
impl Housekeeping for Backend {
    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        change!(self, "delete old work", |conn| housekeeping::prune(
            conn, before, limit
        ))
    }

    async fn time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        ask!(self, "read the time", |conn| housekeeping::time(conn, now))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self, "read", |conn| housekeeping::ping(conn))?;
        change!(self, "write", |conn| housekeeping::ping(conn))
    }

    async fn broken(&self) {
        self.broken.cancelled().await;
    }

    async fn close(&self) {
        self.shut().await;
    }
}
