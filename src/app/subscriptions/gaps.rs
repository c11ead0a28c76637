//! What was missed while a subscription was not there.

use async_trait::async_trait;

use crate::domain::ShopName;
use crate::store::StoreError;
use crate::subscriptions::{Gaps, Restored};

/// Notes in the log which events may be missing.
#[derive(Clone, Copy, Debug)]
pub struct NotedGaps;

#[async_trait]
impl Gaps for NotedGaps {
    async fn open(&self, shop: &ShopName, restored: &Restored) -> Result<(), StoreError> {
        tracing::info!(
            %shop,
            object = %restored.object,
            topic = restored.topic,
            since = restored.since.map(tracing::field::display),
            why = ?restored.why,
            "events may be missing"
        );
        Ok(())
    }
}
