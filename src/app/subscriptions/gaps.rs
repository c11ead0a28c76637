//! What was missed while a subscription was not there.

use std::time::Duration;

use async_trait::async_trait;

use super::{Installation, Target};
use crate::domain::{ShopName, Timestamp};
use crate::store::StoreError;
use crate::subscriptions::{Gaps, Restored, Why};

/// What happened shortly before the last event that is known of may have been announced later.
const OVERLAP: Duration = Duration::from_mins(5);

/// Notes for one shop which events may be missing.
pub(super) struct NotedGaps<'a> {
    /// On whose behalf.
    pub(super) at: &'a Installation,
    /// The shop.
    pub(super) target: &'a Target,
}

impl NotedGaps<'_> {
    /// Since when events may be missing: never from before the time from which the shop is followed.
    async fn since(&self, restored: &Restored) -> Result<Timestamp, StoreError> {
        let start = match self.target.start_at {
            Some(start) => start,
            None => {
                let now = self.at.clock.now();
                self.at
                    .store
                    .shop_state(&self.target.name, now)
                    .await?
                    .first_seen_at
            }
        };
        Ok(restored
            .since
            .map_or(start, |last| last.minus(OVERLAP).max(start)))
    }
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
        let (since, reason) = (self.since(restored).await?, reason(restored));
        if stands {
            tracing::info!(%shop, object = %restored.object, %since, reason, "events arrive again; those of before may be missing");
        } else {
            tracing::debug!(%shop, object = %restored.object, %since, reason, "events may be missing");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Here, ORDERS, sandbox};
    use super::*;
    use crate::domain::Object;

    #[tokio::test]
    async fn a_gap_begins_before_the_last_event_and_not_before_the_start() {
        let sandbox = sandbox().await;
        let mut here = Here::new(&sandbox, ORDERS).await;
        let now = here.at.clock.now();
        let ago = |minutes: u64| now.minus(Duration::from_mins(minutes));
        for (start, last, expected) in [
            (Some(ago(1000)), Some(ago(100)), ago(105)),
            (Some(ago(102)), Some(ago(100)), ago(102)),
            (Some(ago(50)), Some(ago(100)), ago(50)),
            (Some(ago(50)), None, ago(50)),
            // The shop is seen for the first time now.
            (None, None, now),
            (None, Some(ago(100)), now),
        ] {
            here.target.start_at = start;
            let gaps = NotedGaps {
                at: &here.at,
                target: &here.target,
            };
            let restored = Restored {
                object: Object::Order,
                topic: "ORDERS_PAID".to_owned(),
                since: last,
                why: Why::Missing,
            };
            assert_eq!(
                gaps.since(&restored).await.unwrap(),
                expected,
                "{start:?} {last:?}"
            );
        }
    }
}
