//! What was missed while a subscription was not there.

use async_trait::async_trait;

use super::{Installation, Target};
use crate::app::gaps::{self, Missed};
use crate::domain::ShopName;
use crate::store::StoreError;
use crate::subscriptions::{Gaps, Restored, Why};

/// Notes for one shop which events may be missing.
pub(super) struct NotedGaps<'a> {
    /// On whose behalf.
    pub(super) at: &'a Installation,
    /// The shop.
    pub(super) target: &'a Target,
}

/// Why, for people.
fn reason(restored: &Restored) -> String {
    let topic = &restored.topic;
    match restored.why {
        Why::Missing => format!("the subscription to {topic} was gone from Shopify"),
        Why::SwitchedOn => format!("the subscription to {topic} had been switched off"),
        Why::New => format!("there was no subscription to {topic} before"),
        Why::Changed => format!("the subscription to {topic} led elsewhere or left something out"),
    }
}

#[async_trait]
impl Gaps for NotedGaps<'_> {
    async fn open(&self, shop: &ShopName, restored: &Restored, stands: bool) -> Result<(), StoreError> {
        let reason = reason(restored);
        let missed = Missed {
            shop,
            start_at: self.target.start_at,
            object: restored.object,
            since: restored.since,
            reason: &reason,
        };
        gaps::open(&self.at.store, &self.at.clock, missed).await?;
        if stands {
            tracing::info!(%shop, object = %restored.object, reason, "events arrive again; those of before are looked for");
        } else {
            tracing::debug!(%shop, object = %restored.object, reason, "events may be missing");
        }
        Ok(())
    }
}
