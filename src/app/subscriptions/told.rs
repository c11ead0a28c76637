//! Who is told that a subscription was gone, and that it is there again.

use super::{Installation, Planned, standing};
use crate::domain::ShopName;
use crate::notify::{EventType, SubscriptionDetail};
use crate::store::{StoreError, SubscriptionRow};
use crate::subscriptions::{Applied, Kind, Outcome, of_graphql};

/// Has others told which subscriptions that are wanted are gone from the shop although nobody of us deleted them. To be called
/// before it is noted that they are gone, which is the only trace: killed in between, it is found and told once more.
pub(super) async fn removed(at: &Installation, shop: &ShopName, planned: &Planned) -> Result<(), StoreError> {
    let now = at.clock.now();
    let rows = at.store.subscriptions(shop).await?;
    let is_gone = |row: &&SubscriptionRow| {
        planned.observed.iter().all(|one| one.id != row.id)
            && planned
                .desired
                .iter()
                .any(|wanted| wanted.topic_name() == row.topic)
    };
    let notifications: Vec<String> = standing(&rows)
        .filter(is_gone)
        .filter_map(|row| {
            let detail = detail(&row.topic, &row.uri);
            at.events
                .subscription(EventType::SubscriptionRemoved, shop, detail, now)
        })
        .collect();
    if notifications.is_empty() {
        return Ok(());
    }
    at.store.add_notifications(notifications, now).await
}

/// Has others told which of them a round made again. `rows` are ours as they were before it. Killed in between, nobody is told:
/// what comes after it (events that arrive, the run that looks for what was missed) shows it all the same.
pub(super) async fn restored(
    at: &Installation,
    shop: &ShopName,
    rows: &[SubscriptionRow],
    applied: &Applied,
) {
    let now = at.clock.now();
    let notifications: Vec<String> = applied
        .results
        .iter()
        .filter(|changed| changed.line.kind == Kind::Create && matches!(changed.outcome, Outcome::Done))
        .filter(|changed| was_gone(rows, &changed.line.topic))
        .filter_map(|changed| {
            let detail = detail(&changed.line.topic, &changed.line.uri);
            at.events
                .subscription(EventType::SubscriptionRestored, shop, detail, now)
        })
        .collect();
    if notifications.is_empty() {
        return;
    }
    if let Err(error) = at.store.add_notifications(notifications, now).await {
        tracing::warn!(%shop, error = %error, "cannot have others told of subscriptions that are there again");
    }
}

/// Whether the last one of this topic was found gone. One that we deleted ourselves was noted as gone later than it was last
/// seen.
fn was_gone(rows: &[SubscriptionRow], topic: &str) -> bool {
    let last = rows
        .iter()
        .filter(|row| row.topic == topic)
        .max_by_key(|row| (row.seen_at, row.id));
    last.is_some_and(|row| row.removed_at == Some(row.seen_at))
}

fn detail(topic: &str, address: &str) -> SubscriptionDetail {
    SubscriptionDetail {
        topic: of_graphql(topic).map_or_else(|| topic.to_owned(), |topic| topic.name.to_owned()),
        address: Some(address.to_owned()),
    }
}
