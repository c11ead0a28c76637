//! Deliveries.

use std::time::Duration;

use futures_util::future::join_all;

use super::fixture::Fixture;
use super::given::{
    START, claim, claim_one, delivery, finish, key, order, other_shop, problem, shop, state, story,
};
use crate::domain::{JobState, Object, Timestamp};
use crate::store::{DeliveryAction, Finished, Recorded, RejectionCount, Verdict};

pub(super) async fn a_repeated_delivery_changes_nothing(fixture: Fixture) {
    let store = &fixture.store;
    let first = store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let Recorded::New { job: Some(job), .. } = first else {
        panic!("{first:?}");
    };
    let before = story(store, job).await;
    let again = store
        .record_delivery(delivery("a", &order("2"), START))
        .await
        .unwrap();
    assert_eq!(again, Recorded::Repeated);
    let after = story(store, job).await;
    assert_eq!(after.job.events, before.job.events);
    assert_eq!(after.events.len(), 1);
    assert_eq!(claim(store, Object::Order, 10, START).await.len(), 1);

    // The same key of another shop is another delivery.
    let mut theirs = order("1");
    theirs.shop = other_shop();
    let other = store
        .record_delivery(delivery("a", &theirs, START))
        .await
        .unwrap();
    assert!(matches!(other, Recorded::New { .. }));
}

pub(super) async fn the_same_delivery_fifty_times_at_once_is_one_event(fixture: Fixture) {
    let store = &fixture.store;
    let all = join_all((0..50).map(|_| store.record_delivery(delivery("a", &order("1"), START)))).await;
    let new = all
        .iter()
        .filter(|result| matches!(result, Ok(Recorded::New { .. })))
        .count();
    let repeated = all
        .iter()
        .filter(|result| matches!(result, Ok(Recorded::Repeated)))
        .count();
    assert_eq!((new, repeated), (1, 49), "{all:?}");
    let jobs = claim(store, Object::Order, 10, START).await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(store.events_of(jobs[0].id, false).await.unwrap().len(), 1);
}

pub(super) async fn deliveries_of_one_record_join_one_job(fixture: Fixture) {
    let store = &fixture.store;
    let later = START.plus(Duration::from_secs(5));
    let first = store.record_delivery(delivery("a", &order("1"), START)).await;
    let rest =
        join_all(["b", "c"].map(|name| store.record_delivery(delivery(name, &order("1"), later)))).await;
    let jobs: Vec<_> = std::iter::once(first)
        .chain(rest)
        .map(|result| match result.unwrap() {
            Recorded::New { job: Some(job), .. } => job,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:?}");
    let claimed = claim_one(store, Object::Order, later).await;
    assert_eq!(claimed.wanted_since, START);
    assert_eq!(claimed.triggered_at, Some(START.minus(Duration::from_secs(2))));
    let done = finish(store, &claimed, later, Verdict::Completed).await;
    assert_eq!(done, Finished::Done(JobState::Completed));
    assert_eq!(story(store, jobs[0]).await.job.events, 3);
}

pub(super) async fn recorded_deliveries_make_no_job(fixture: Fixture) {
    let store = &fixture.store;
    let mut only_kept = delivery("a", &order("1"), START);
    only_kept.action = DeliveryAction::Record { reason: "toggle_off" };
    let Recorded::New { event, job: None } = store.record_delivery(only_kept).await.unwrap() else {
        panic!("it is recorded without a job");
    };
    let row = store.event(event).await.unwrap().unwrap();
    assert_eq!(row.reason.as_deref(), Some("toggle_off"));
    assert_eq!(row.topic, "orders/updated");
    assert!(store.ready_lanes(START).await.unwrap().is_empty());
}

pub(super) async fn an_unreadable_delivery_is_a_problem_at_once(fixture: Fixture) {
    let store = &fixture.store;
    let key = key(Object::Order, "body-0011");
    for name in ["a", "b"] {
        let mut unreadable = delivery(name, &key, START);
        unreadable.action = DeliveryAction::Problem {
            key: key.clone(),
            problem: problem("body_unreadable"),
        };
        let Recorded::New { job: Some(job), .. } = store.record_delivery(unreadable).await.unwrap() else {
            panic!("it makes a job");
        };
        assert_eq!(state(store, job).await, JobState::Problem);
    }
    let open = store.open_problems(10).await.unwrap();
    assert_eq!(open.len(), 1, "the second is the same problem again");
    assert_eq!(
        (open[0].count, open[0].problem.clone()),
        (2, problem("body_unreadable"))
    );
    assert!(claim(store, Object::Order, 10, START).await.is_empty());
}

pub(super) async fn bodies_come_back_as_they_were(fixture: Fixture) {
    let store = &fixture.store;
    let bodies: [Vec<u8>; 5] = [
        Vec::new(),
        b"{}".to_vec(),
        vec![0, 255, 0, 128],
        br#"{"line":"the same again and again"},"#.repeat(500),
        (0..20_000_u32)
            .map(|n| u8::try_from(n * n % 251).unwrap())
            .collect(),
    ];
    let recorded = join_all(bodies.iter().enumerate().map(|(n, body)| {
        let mut with_body = delivery(&n.to_string(), &order("1"), START);
        with_body.body = body.clone().into();
        store.record_delivery(with_body)
    }))
    .await;
    for (result, body) in recorded.into_iter().zip(&bodies) {
        let Recorded::New {
            event,
            job: Some(job),
        } = result.unwrap()
        else {
            panic!("all are new");
        };
        assert_eq!(
            store.event(event).await.unwrap().unwrap().body.as_ref(),
            Some(body)
        );
        let of_job = store.events_of(job, true).await.unwrap();
        let same = of_job.iter().find(|row| row.id == event).unwrap();
        assert_eq!(same.body.as_ref(), Some(body));
        assert!(
            store
                .events_of(job, false)
                .await
                .unwrap()
                .iter()
                .all(|row| row.body.is_none())
        );
    }
}

pub(super) async fn a_bad_unit_fails_alone(fixture: Fixture) {
    let store = &fixture.store;
    let all = join_all((0..20).map(|n| {
        let mut unit = delivery(&n.to_string(), &order(&n.to_string()), START);
        if n == 7 {
            // The table refuses times before 1970.
            unit.received_at = Timestamp::from_millis(-1);
        }
        store.record_delivery(unit)
    }))
    .await;
    for (n, result) in all.iter().enumerate() {
        assert_eq!(result.is_ok(), n != 7, "{n}: {result:?}");
    }
    assert_eq!(claim(store, Object::Order, 100, START).await.len(), 19);
}

pub(super) async fn rejections_add_up(fixture: Fixture) {
    let store = &fixture.store;
    let hour = Timestamp::from_millis(START.millis() / 3_600_000 * 3_600_000);
    let count = |shop: &str, reason: &str, hour: Timestamp, count: u64| RejectionCount {
        shop: shop.to_owned(),
        reason: reason.to_owned(),
        hour,
        count,
    };
    let earlier = hour.minus(Duration::from_secs(3600));
    store
        .count_rejections(vec![
            count(shop().as_str(), "bad_signature", hour, 2),
            count(shop().as_str(), "bad_signature", hour, 3),
            count("-", "unknown_shop", earlier, 1),
        ])
        .await
        .unwrap();
    store
        .count_rejections(vec![count(shop().as_str(), "bad_signature", hour, 1)])
        .await
        .unwrap();
    assert_eq!(
        store.rejections(earlier).await.unwrap(),
        [
            count("main", "bad_signature", hour, 6),
            count("-", "unknown_shop", earlier, 1)
        ]
    );
    assert_eq!(store.rejections(hour).await.unwrap().len(), 1);
}
