//! [`Sessions`] over either database.

use async_trait::async_trait;

use super::super::{Backend, sessions};
use crate::domain::Timestamp;
use crate::store::{SessionRow, Sessions, StoreError};

#[async_trait]
impl Sessions for Backend {
    async fn open_session(&self, row: SessionRow, idle_since: Timestamp) -> Result<(), StoreError> {
        change!(self, "begin a session", |conn| sessions::open(
            conn, &row, idle_since
        ))
    }

    async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError> {
        ask!(self, "read a session", |conn| sessions::read(conn, id))
    }

    async fn see_session(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        change!(self, "note a session", |conn| sessions::see(conn, &id, now))
    }

    async fn close_session(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        change!(self, "end a session", |conn| sessions::close(conn, &id))
    }
}
