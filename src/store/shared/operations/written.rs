//! [`Written`] over either database.

use async_trait::async_trait;

use super::super::{Backend, written};
use crate::domain::ShopName;
use crate::store::{StoreError, Written, WrittenFilter, WrittenRecord};

#[async_trait]
impl Written for Backend {
    async fn mappings_that_wrote(&self, shop: &ShopName) -> Result<Vec<String>, StoreError> {
        ask!(self, "list the mappings that wrote", |conn| written::mappings(
            conn, shop
        ))
    }

    async fn written_records(
        &self,
        filter: WrittenFilter,
        limit: u32,
    ) -> Result<Vec<WrittenRecord>, StoreError> {
        ask!(self, "list what a mapping wrote", |conn| written::records(
            conn, &filter, limit
        ))
    }

    async fn written_count(&self, filter: WrittenFilter) -> Result<u64, StoreError> {
        ask!(self, "count what a mapping wrote", |conn| written::count(
            conn, &filter
        ))
    }
}
