//! Who is told that a subscription was gone, and that it is there again.

use crate::domain::{ShopName, Timestamp};
use crate::notify::{EventType, SubscriptionDetail};
use crate::store::SubscriptionRow;
use crate::subscriptions::{Desired, Observed, Telling, of_graphql};

use super::Installation;

/// Tells of subscriptions that are wanted; of others nobody misses anything.
pub(super) struct Told<'a> {
    pub(super) at: &'a Installation,
    pub(super) shop: &'a ShopName,
    pub(super) desired: &'a [Desired],
}

impl Told<'_> {
    fn tell(&self, event: EventType, topic: &str, address: &str, now: Timestamp) -> Option<String> {
        self.desired.iter().find(|wanted| wanted.topic_name() == topic)?;
        let detail = SubscriptionDetail {
            topic: of_graphql(topic).map_or_else(|| topic.to_owned(), |topic| topic.name.to_owned()),
            address: Some(address.to_owned()),
        };
        self.at.events.subscription(event, self.shop, detail, now)
    }
}

impl Telling for Told<'_> {
    fn removed(&self, row: &SubscriptionRow, now: Timestamp) -> Option<String> {
        self.tell(EventType::SubscriptionRemoved, &row.topic, &row.uri, now)
    }

    fn restored(&self, observed: &Observed, now: Timestamp) -> Option<String> {
        self.tell(
            EventType::SubscriptionRestored,
            &observed.topic,
            &observed.uri,
            now,
        )
    }
}
