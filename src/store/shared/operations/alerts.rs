//! [`Alerts`] over either database.

use async_trait::async_trait;

use super::super::{Backend, alerts};
use crate::domain::Timestamp;
use crate::store::{
    AlertChanges, AlertRow, AlertStanding, Alerts, AlertsTold, DueMessage, MessageEnd, StoreError,
};

#[async_trait]
impl Alerts for Backend {
    async fn alerts(&self) -> Result<Vec<AlertRow>, StoreError> {
        ask!(self, "list alerts", |conn| alerts::pending(conn))
    }

    async fn change_alerts(&self, changes: AlertChanges, now: Timestamp) -> Result<(), StoreError> {
        change!(self, "save alerts", |conn| alerts::change(conn, &changes, now))
    }

    async fn tell_alerts(&self, told: AlertsTold, now: Timestamp) -> Result<bool, StoreError> {
        change!(self, "write messages", |conn| alerts::tell(conn, &told, now))
    }

    async fn claim_messages(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueMessage>, StoreError> {
        change!(self, "take messages", |conn| alerts::claim(
            conn, now, until, limit
        ))
    }

    async fn end_message(&self, id: i64, end: MessageEnd, now: Timestamp) -> Result<(), StoreError> {
        change!(self, "note a message's end", |conn| alerts::end(
            conn, id, &end, now
        ))
    }

    async fn last_message(&self, recipient: &str) -> Result<Option<Timestamp>, StoreError> {
        ask!(self, "read the last message", |conn| alerts::last_written(
            conn, recipient
        ))
    }

    async fn alert_standing(&self) -> Result<AlertStanding, StoreError> {
        ask!(self, "read how alerts stand", |conn| alerts::standing(conn))
    }
}
