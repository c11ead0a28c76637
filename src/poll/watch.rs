//! The part of an ERP that polling needs.

use async_trait::async_trait;

use crate::domain::{ErpId, Timestamp};
use crate::erp::{ChangedRow, Erp, ErpError, PresentRow, Row};

/// What is asked of the ERP; see [`Erp`] for what each answer means.
#[async_trait]
pub trait Watch: Send + Sync {
    /// See [`Erp::newest_change`].
    async fn newest_change(&self, model: &str) -> Result<Option<Timestamp>, ErpError>;

    /// See [`Erp::changed`].
    async fn changed(
        &self,
        model: &str,
        owner: Option<&str>,
        since: Timestamp,
        until: Timestamp,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<ChangedRow>, ErpError>;

    /// See [`Erp::all_ids`].
    async fn all_ids(
        &self,
        model: &str,
        owner: Option<&str>,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<PresentRow>, ErpError>;

    /// Reads those of these fields that the model has; records that are gone are absent from the answer.
    async fn read(&self, model: &str, ids: &[ErpId], fields: &[String]) -> Result<Vec<Row>, ErpError>;
}

#[async_trait]
impl<E: Erp + ?Sized> Watch for E {
    async fn newest_change(&self, model: &str) -> Result<Option<Timestamp>, ErpError> {
        Erp::newest_change(self, model).await
    }

    async fn changed(
        &self,
        model: &str,
        owner: Option<&str>,
        since: Timestamp,
        until: Timestamp,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<ChangedRow>, ErpError> {
        Erp::changed(self, model, owner, since, until, after, limit).await
    }

    async fn all_ids(
        &self,
        model: &str,
        owner: Option<&str>,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<PresentRow>, ErpError> {
        Erp::all_ids(self, model, owner, after, limit).await
    }

    async fn read(&self, model: &str, ids: &[ErpId], fields: &[String]) -> Result<Vec<Row>, ErpError> {
        // Versions and installed modules differ.
        let table = self.fields(model).await?;
        let fields: Vec<String> = fields
            .iter()
            .filter(|name| table.0.contains_key(*name))
            .cloned()
            .collect();
        Erp::read(self, model, ids, &fields).await
    }
}
