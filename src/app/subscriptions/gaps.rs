//! What was missed while a subscription was not there.

use async_trait::async_trait;

use super::{Installation, SCOPE_MISSING, SUBSCRIPTION_REFUSED, Target};
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

impl NotedGaps<'_> {
    /// Whether Shopify is known to refuse the subscription to this topic.
    async fn is_refused(&self, topic: &str) -> Result<bool, StoreError> {
        let names = |detail: &serde_json::Value| {
            let several = detail["topics"].as_array().into_iter().flatten();
            detail["topic"] == topic || several.into_iter().any(|one| one == topic)
        };
        let open = self.at.store.open_problems(u32::MAX).await?;
        Ok(open.iter().any(|row| {
            row.job.is_none()
                && row.shop == self.target.name
                && [SUBSCRIPTION_REFUSED, SCOPE_MISSING].contains(&row.problem.code.0.as_str())
                && names(&row.problem.detail)
        }))
    }
}

/// Whether a gap with this reason tells that a subscription of ours was lost, not that somebody switched something.
pub(in crate::app) fn tells_of_a_loss(reason: &str) -> bool {
    reason.ends_with(GONE) || reason.ends_with(ASTRAY)
}

const GONE: &str = "was gone from Shopify";
const ASTRAY: &str = "led elsewhere or left something out";

/// Why, for people.
fn reason(restored: &Restored) -> String {
    let topic = &restored.topic;
    match restored.why {
        Why::Missing => format!("the subscription to {topic} {GONE}"),
        Why::SwitchedOn => format!("the subscription to {topic} had been switched off"),
        Why::New => format!("there was no subscription to {topic} before"),
        Why::Changed => format!("the subscription to {topic} {ASTRAY}"),
    }
}

#[async_trait]
impl Gaps for NotedGaps<'_> {
    async fn open(&self, shop: &ShopName, restored: &Restored, stands: bool) -> Result<(), StoreError> {
        if !stands && self.is_refused(&restored.topic).await? {
            // What Shopify refused before may well be refused again: it is looked for when the subscription stands.
            return Ok(());
        }
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
