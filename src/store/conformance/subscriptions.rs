//! Webhook subscriptions, leases, and counts of deliveries.

use std::time::Duration;

use futures_util::future::join_all;

use super::fixture::Fixture;
use super::given::{START, other_shop, problem, shop};
use crate::domain::{Object, ShopifyId, Timestamp};
use crate::store::{DeliveryCount, NewGap, SERVING, SharedStore, SubscriptionRow, Word};

const HOUR: Duration = Duration::from_secs(3600);

fn row(id: u64, topic: &str) -> SubscriptionRow {
    SubscriptionRow {
        shop: shop(),
        id: ShopifyId(id),
        topic: topic.to_owned(),
        uri: "https://sync.example.com/webhooks/shopify".to_owned(),
        name: Some(format!("lockstep-0a1b2c3d-{id}")),
        created_at: START,
        seen_at: START,
        removed_at: None,
    }
}

async fn ids(store: &SharedStore) -> Vec<(u64, Option<Timestamp>)> {
    let rows = store.subscriptions(&shop()).await.unwrap();
    rows.iter().map(|row| (row.id.0, row.removed_at)).collect()
}

pub(super) async fn subscriptions_are_remembered_by_shop_and_topic(fixture: Fixture) {
    let store = &fixture.store;
    let mut largest = row(u64::try_from(i64::MAX).unwrap(), "B");
    largest.name = None;
    for one in [
        row(2, "A"),
        largest.clone(),
        SubscriptionRow {
            shop: other_shop(),
            ..row(2, "A")
        },
    ] {
        store.save_subscription(one, None).await.unwrap();
    }
    assert_eq!(
        store.subscriptions(&shop()).await.unwrap(),
        [row(2, "A"), largest.clone()]
    );
    assert_eq!(store.subscribed_shops().await.unwrap().len(), 2);

    // Saved again, seen, gone.
    let later = START.plus(HOUR);
    let mut moved = row(2, "A");
    moved.uri = "https://new.example.com".to_owned();
    store.save_subscription(moved.clone(), None).await.unwrap();
    store
        .saw_subscriptions(&shop(), &[ShopifyId(2), ShopifyId(99)], later)
        .await
        .unwrap();
    moved.seen_at = later;
    assert_eq!(store.subscriptions(&shop()).await.unwrap()[0], moved);
    store
        .remove_subscription(&shop(), ShopifyId(2), later, None)
        .await
        .unwrap();
    store
        .remove_subscription(&shop(), ShopifyId(2), later.plus(HOUR), None)
        .await
        .unwrap();
    store
        .saw_subscriptions(&shop(), &[ShopifyId(2)], later.plus(HOUR))
        .await
        .unwrap();
    assert_eq!(
        store.subscriptions(&shop()).await.unwrap()[0],
        SubscriptionRow {
            removed_at: Some(later),
            ..moved
        },
        "the first end counts"
    );
    store
        .remove_subscription(&shop(), largest.id, later, None)
        .await
        .unwrap();
    assert_eq!(store.subscribed_shops().await.unwrap(), [other_shop()]);

    // Of each topic the last end is kept, until there is a successor.
    store.save_subscription(row(3, "A"), None).await.unwrap();
    assert_eq!(ids(store).await, [(3, None), (largest.id.0, Some(later))]);
    store.save_subscription(row(4, "A"), None).await.unwrap();
    store
        .remove_subscription(&shop(), ShopifyId(3), later, None)
        .await
        .unwrap();
    assert_eq!(
        ids(store).await,
        [(4, None), (largest.id.0, Some(later))],
        "another one of the topic stands"
    );
    store
        .remove_subscription(&shop(), ShopifyId(4), later, None)
        .await
        .unwrap();
    assert_eq!(ids(store).await, [(4, Some(later)), (largest.id.0, Some(later))]);
}

pub(super) async fn what_comes_and_goes_is_told_with_its_record_and_once(fixture: Fixture) {
    let store = &fixture.store;
    let word = |name: &str| {
        Some(Word {
            body: format!("{{\"told\":\"{name}\"}}"),
            at: START.plus(HOUR),
        })
    };
    store
        .save_subscription(row(2, "A"), word("stands"))
        .await
        .unwrap();
    for _ in 0..2 {
        store
            .remove_subscription(&shop(), ShopifyId(2), START, word("gone"))
            .await
            .unwrap();
    }
    store
        .remove_subscription(&shop(), ShopifyId(3), START, word("never ours"))
        .await
        .unwrap();
    let told = store.outbox(10).await.unwrap();
    let bodies: Vec<&str> = told.iter().map(|row| row.body.as_str()).collect();
    assert_eq!(bodies, [r#"{"told":"stands"}"#, r#"{"told":"gone"}"#]);
    assert!(
        told.iter().all(|row| row.created_at == START.plus(HOUR)),
        "{told:?}"
    );
}

pub(super) async fn what_is_known_follows_a_shops_name(fixture: Fixture) {
    let store = &fixture.store;
    let of = |shop: crate::domain::ShopName, id| SubscriptionRow {
        shop,
        ..row(id, &format!("TOPIC_{id}"))
    };
    for one in [
        of(shop(), 1),
        of(shop(), 2),
        of(other_shop(), 2),
        of(other_shop(), 3),
    ] {
        store.save_subscription(one, None).await.unwrap();
    }
    let count = DeliveryCount {
        shop: shop(),
        topic: "orders/paid".to_owned(),
        name: "x".to_owned(),
        hour: START,
        accepted: 4,
        failed: 0,
        last_at: START,
        last_accepted_at: Some(START),
    };
    store.count_deliveries(vec![count]).await.unwrap();
    let gap = |shop, object, since, stood_at| NewGap {
        shop,
        object,
        since: START.plus(HOUR * since),
        stood_at: START.plus(HOUR * stood_at),
        reason: "a test".to_owned(),
    };
    for gap in [
        gap(shop(), Object::Order, 1, 5),
        gap(other_shop(), Object::Order, 2, 4),
        gap(shop(), Object::Product, 1, 2),
        gap(other_shop(), Object::Customer, 0, 3),
    ] {
        store.open_gap(gap, START).await.unwrap();
    }
    store.rename_subscriptions(&shop(), &other_shop()).await.unwrap();
    let mut gaps: Vec<_> = store.gaps().await.unwrap();
    gaps.sort_by_key(|gap| gap.object.as_str());
    let hours = |time: Timestamp| time.since(START).as_secs() / 3600;
    let told: Vec<_> = gaps
        .iter()
        .map(|gap| {
            (
                gap.shop.clone(),
                gap.object,
                hours(gap.since),
                hours(gap.stood_at),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (other_shop(), Object::Customer, 0, 3),
            (other_shop(), Object::Order, 1, 5),
            (other_shop(), Object::Product, 1, 2),
        ],
        "what may be missing follows, and two gaps become one"
    );
    assert_eq!(ids(store).await, []);
    assert_eq!(store.subscribed_shops().await.unwrap(), [other_shop()]);
    let rows = store.subscriptions(&other_shop()).await.unwrap();
    let known: Vec<u64> = rows.iter().map(|row| row.id.0).collect();
    assert_eq!(known, [1, 2, 3]);
    let sums = store.deliveries_since(&other_shop(), START).await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!(sums[0].accepted, 4);
}

pub(super) async fn a_lease_has_one_holder_until_it_ends(fixture: Fixture) {
    let store = &fixture.store;
    let take = async |holder: &str| {
        store
            .take_lease("x", holder, START, START.plus(HOUR))
            .await
            .unwrap()
    };
    // On PostgreSQL the database's clock goes on, not ours.
    let half_an_hour_passes = async || {
        fixture.execute("UPDATE leases SET until = until - 1800000").await;
    };
    assert!(take("a").await);
    assert!(!take("b").await);
    half_an_hour_passes().await;
    assert!(take("a").await, "kept for longer");
    half_an_hour_passes().await;
    assert!(!take("b").await);
    assert!(
        store.take_lease("y", "b", START, START.plus(HOUR)).await.unwrap(),
        "another right"
    );
    half_an_hour_passes().await;
    assert!(take("b").await, "it ended");
    assert!(!take("a").await);
    store.release_lease("x", "a").await.unwrap();
    assert!(!take("a").await, "only its holder gives it back");
    store.release_lease("x", "b").await.unwrap();
    assert!(take("a").await);
}

pub(super) async fn a_crash_frees_the_leases_of_who_served(fixture: Fixture) {
    let is_shared = fixture.is_shared();
    let until = START.plus(HOUR);
    for (name, holder) in [("x", format!("{SERVING}1")), ("y", "a command".to_owned())] {
        assert!(
            fixture
                .store
                .take_lease(name, &holder, START, until)
                .await
                .unwrap()
        );
    }
    let fixture = fixture.crash().await;
    let again = async |name: &str| {
        let holder = format!("{SERVING}2");
        fixture
            .store
            .take_lease(name, &holder, START, until)
            .await
            .unwrap()
    };
    // A server notices the death of a session within milliseconds, but not at once.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
    while !again("x").await {
        assert!(tokio::time::Instant::now() < deadline, "it is held still");
        tokio::task::yield_now().await;
    }
    assert_eq!(
        again("y").await,
        is_shared,
        "of a shared store it is known whose it was: this process's, which is dead"
    );
}

pub(super) async fn of_many_that_want_a_lease_one_gets_it(fixture: Fixture) {
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for round in 0..3_u32 {
        fixture.execute("UPDATE leases SET until = until - 3600000").await;
        let taken = join_all(names.iter().map(|holder| {
            let store = &fixture.store;
            async move {
                store
                    .take_lease("x", holder, START, START.plus(HOUR))
                    .await
                    .unwrap()
            }
        }));
        assert_eq!(
            taken.await.into_iter().filter(|taken| *taken).count(),
            1,
            "round {round}"
        );
    }
}

pub(super) async fn deliveries_add_up_by_topic_name_and_hour(fixture: Fixture) {
    let store = &fixture.store;
    let count = |name: &str, hour: u32, accepted: u64, failed: u64| DeliveryCount {
        shop: shop(),
        topic: "orders/paid".to_owned(),
        name: name.to_owned(),
        hour: START.plus(HOUR * hour),
        accepted,
        failed,
        last_at: START.plus(HOUR * hour + Duration::from_secs(accepted + 10 * failed)),
        last_accepted_at: (accepted > 0).then(|| START.plus(HOUR * hour + Duration::from_secs(accepted))),
    };
    let elsewhere = DeliveryCount {
        shop: other_shop(),
        ..count("ours", 5, 100, 0)
    };
    store
        .count_deliveries(vec![count("ours", 0, 1, 0), count("ours", 1, 2, 1), elsewhere])
        .await
        .unwrap();
    store
        .count_deliveries(vec![count("ours", 1, 0, 3), count("", 1, 0, 1)])
        .await
        .unwrap();
    let sums = store.deliveries_since(&shop(), START.plus(HOUR)).await.unwrap();
    let told: Vec<_> = sums
        .iter()
        .map(|sum| (sum.name.as_str(), sum.accepted, sum.failed))
        .collect();
    assert_eq!(told, [("", 0, 1), ("ours", 2, 4)]);
    assert_eq!(sums[0].last_accepted_at, None);
    assert_eq!(sums[1].last_at, START.plus(HOUR + Duration::from_secs(30)));
    assert_eq!(
        sums[1].last_accepted_at,
        Some(START.plus(HOUR + Duration::from_secs(2)))
    );
    let none = store
        .deliveries_since(&shop(), START.plus(HOUR * 9))
        .await
        .unwrap();
    assert_eq!(
        (none.len(), none[1].accepted, none[1].last_at),
        (2, 0, sums[1].last_at),
        "the last of all is known"
    );
    // They are pruned like everything that is over.
    assert_eq!(store.prune(START.plus(HOUR), 100).await.unwrap(), 1);
    assert_eq!(
        store.deliveries_since(&shop(), START).await.unwrap()[1].accepted,
        2
    );
}

pub(super) async fn a_shops_problem_is_closed_by_its_cluster(fixture: Fixture) {
    let store = &fixture.store;
    for cluster in ["one", "two"] {
        let mut problem = problem("refused");
        problem.cluster = cluster.to_owned();
        store
            .open_shop_problem(&shop(), problem.clone(), START)
            .await
            .unwrap();
        store
            .open_shop_problem(&other_shop(), problem, START)
            .await
            .unwrap();
    }
    assert_eq!(
        store
            .close_shop_problem(&shop(), "refused", "three", START)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        store
            .close_shop_problem(&shop(), "refused", "one", START)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .close_shop_problem(&shop(), "refused", "one", START)
            .await
            .unwrap(),
        0
    );
    let open = store.open_problems(10).await.unwrap();
    let ours: Vec<_> = open.iter().filter(|row| row.shop == shop()).collect();
    assert_eq!(
        (open.len(), ours.len(), ours[0].problem.cluster.as_str()),
        (3, 1, "two")
    );
}
