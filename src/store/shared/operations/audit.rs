//! [`Audit`] over either database.

use async_trait::async_trait;

use super::super::{Backend, audit};
use crate::domain::Timestamp;
use crate::store::{ActionCount, Audit, AuditFilter, AuditRow, StoreError};

#[async_trait]
impl Audit for Backend {
    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        ask!(self, "read the audit log", |conn| audit::list(conn, &filter))
    }

    async fn action_counts(&self, since: Timestamp) -> Result<Vec<ActionCount>, StoreError> {
        ask!(self, "count actions", |conn| audit::action_counts(conn, since))
    }
}
