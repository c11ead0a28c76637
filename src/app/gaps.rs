//! Noting that events may be missing, so that the daemon looks for what they would have told of.

use std::time::Duration;

use crate::domain::{Object, SharedClock, ShopName, Timestamp};
use crate::store::{NewGap, SharedStore, StoreError};

/// How much earlier than the last event it is looked: events come late and out of order.
pub const OVERLAP: Duration = Duration::from_secs(300);

/// Events that may be missing.
#[derive(Clone, Copy, Debug)]
pub struct Missed<'a> {
    /// The shop.
    pub shop: &'a ShopName,
    /// Older changes are left alone; none means the shop's first connection.
    pub start_at: Option<Timestamp>,
    /// What the events are about.
    pub object: Object,
    /// Until when nothing can have been missed; none when nothing is known.
    pub since: Option<Timestamp>,
    /// Why, for people: e.g. `orders/create was missing`.
    pub reason: &'a str,
}

/// Opens the gap, or widens the open one of the same object; a run is due at once. To be called before the events come
/// again, so that nothing that happens in between forgets it, and once more when they do: the gap closes only by a
/// run that begins some time after the last call.
///
/// # Errors
/// When the store fails.
pub async fn open(store: &SharedStore, clock: &SharedClock, missed: Missed<'_>) -> Result<i64, StoreError> {
    // Runs on other nodes close it: what stands in it is by a clock that all share.
    let now = store.time(clock.now()).await?;
    let first = match missed.start_at {
        Some(start_at) => start_at,
        None => store.shop_state(missed.shop, now).await?.first_seen_at,
    };
    let since = missed
        .since
        .map_or(first, |since| since.min(now).minus(OVERLAP).max(first));
    let gap = NewGap {
        shop: missed.shop.clone(),
        object: missed.object,
        since,
        stood_at: now,
        reason: missed.reason.to_owned(),
    };
    store.open_gap(gap, now).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Clock as _, ManualClock};
    use crate::store::faulty::FaultyStore;
    use crate::store::testing::open_temp;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_node_that_is_a_day_ahead_opens_gaps_by_the_databases_clock() {
        let manual = ManualClock::new(Timestamp::from_millis(1_795_514_400_000));
        let clock: SharedClock = Arc::new(manual.clone());
        let (_folder, inner) = open_temp(Arc::clone(&clock)).await;
        let store = Arc::new(FaultyStore::new(inner));
        store.is_behind(HOUR * 24);
        let store: SharedStore = store;
        let right = manual.now().minus(HOUR * 24);
        let shop = "main".parse().unwrap();
        let missed = Missed {
            shop: &shop,
            start_at: Some(Timestamp::default()),
            object: Object::Order,
            since: Some(manual.now()),
            reason: "orders were switched off",
        };
        open(&store, &clock, missed).await.unwrap();
        let gap = store.gaps().await.unwrap().remove(0);
        assert_eq!((gap.stood_at, gap.next_at), (right, right));
        assert_eq!(gap.since, right.minus(OVERLAP), "nothing is missed in the future");
    }

    #[tokio::test]
    async fn it_is_looked_a_little_earlier_but_never_before_the_shop_began() {
        let manual = ManualClock::new(Timestamp::from_millis(1_795_514_400_000));
        let clock: SharedClock = Arc::new(manual.clone());
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let start = manual.now();
        let shops: Vec<ShopName> = ["a", "b", "c", "d", "e"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        for shop in &shops {
            store.shop_state(shop, start).await.unwrap();
        }
        manual.advance(HOUR);
        for (shop, start_at, since, expected) in [
            (
                &shops[0],
                None,
                Some(start.plus(HOUR / 2)),
                start.plus(HOUR / 2).minus(OVERLAP),
            ),
            (&shops[1], None, Some(start.plus(OVERLAP / 2)), start),
            (&shops[2], None, None, start),
            (&shops[3], Some(start.minus(HOUR)), None, start.minus(HOUR)),
            (
                &shops[4],
                Some(start.plus(HOUR * 2)),
                Some(start),
                start.plus(HOUR * 2),
            ),
        ] {
            let missed = Missed {
                shop,
                start_at,
                object: Object::Order,
                since,
                reason: "orders/create was missing",
            };
            open(&store, &clock, missed).await.unwrap();
            let gaps = store.gaps().await.unwrap();
            let gap = gaps.iter().find(|gap| gap.shop == *shop).unwrap();
            assert_eq!((gap.since, gap.stood_at), (expected, manual.now()), "{shop}");
        }
        // It stands again: what closes the gap must begin later than that.
        manual.advance(HOUR);
        let missed = Missed {
            shop: &shops[0],
            start_at: None,
            object: Object::Order,
            since: Some(start.plus(HOUR / 2)),
            reason: "orders/create was missing",
        };
        open(&store, &clock, missed).await.unwrap();
        let gaps = store.gaps().await.unwrap();
        assert_eq!(gaps.len(), 5);
        assert_eq!(gaps[0].stood_at, manual.now());
    }
}
