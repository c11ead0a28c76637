//! The outbox, and what is made of it.

use std::time::Duration;

use futures_util::future::join_all;

use super::super::fixture::Fixture;
use super::super::given::{START, claim_one, end as end_of, new_job, order};
use super::{body, check_counts, claim, names, states, tell, to, unique, wanted};
use crate::domain::{Fence, Object, Timestamp};
use crate::store::{DispatchState, FannedOut, Finished, NewDispatch, Verdict};

pub(in super::super) async fn what_is_told_is_committed_with_the_end_or_not_at_all(fixture: Fixture) {
    let store = &fixture.store;
    for id in ["1", "2", "3"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let good = claim_one(store, Object::Order, START).await;
    let stale = claim_one(store, Object::Order, START).await;
    let bad = claim_one(store, Object::Order, START).await;
    let tells = |job, names: &[&str]| {
        let mut end = end_of(job, START, Verdict::Completed);
        end.notifications = names.iter().map(|name| body(name)).collect();
        end
    };
    let mut late = tells(&stale, &["late"]);
    late.fence = Fence(stale.fence.0 - 1);
    let mut refused = tells(&bad, &["refused"]);
    // The table refuses times before 1970.
    refused.started_at = Timestamp::from_millis(-1);
    // Together, so that they share a commit.
    let results = join_all([
        store.finish(late),
        store.finish(refused),
        store.finish(tells(&good, &["first", "second"])),
    ])
    .await;
    assert!(matches!(results[0], Ok(Finished::Stale)), "{results:?}");
    assert!(results[1].is_err(), "{results:?}");
    assert!(matches!(results[2], Ok(Finished::Done(_))), "{results:?}");

    let outbox = store.outbox(10).await.unwrap();
    let bodies: Vec<&str> = outbox.iter().map(|row| row.body.as_str()).collect();
    assert_eq!(bodies, [body("first"), body("second")]);
    assert!(outbox[0].id < outbox[1].id);
    assert_eq!(outbox[0].created_at, START);
    assert_eq!(store.outbox(1).await.unwrap(), outbox[..1]);
    let behind = store.outbox_after(outbox[0].id, 10, u64::MAX).await.unwrap();
    assert_eq!((&behind.rows[..], behind.has_more), (&outbox[1..], false));
}

pub(in super::super) async fn a_page_of_the_outbox_has_a_most_in_bytes(fixture: Fixture) {
    let store = &fixture.store;
    // Twice as many bytes as characters.
    let bodies = [500, 500, 2_500].map(|characters| "ü".repeat(characters));
    store.add_notifications(bodies.to_vec(), START).await.unwrap();
    let all = store.outbox(10).await.unwrap();
    for (after, limit, bytes, expected, has_more) in [
        (0, 10, 7_000, &all[..], false),
        (0, 10, 6_999, &all[..2], true),
        (0, 10, 1_999, &all[..1], true),
        // One at least.
        (0, 10, 0, &all[..1], true),
        (all[1].id, 10, 10, &all[2..], false),
        (0, 2, 7_000, &all[..2], true),
        (0, 3, 7_000, &all[..], false),
        (all[2].id, 10, 10, &all[3..], false),
    ] {
        let page = store.outbox_after(after, limit, bytes).await.unwrap();
        let found = (page.rows.as_slice(), page.has_more);
        assert_eq!(found, (expected, has_more), "{after} {limit} {bytes}");
    }
}

pub(in super::super) async fn who_sends_hears_of_what_is_told(fixture: Fixture) {
    let store = &fixture.store;
    let hears = |what: &'static str| async move {
        tokio::time::timeout(Duration::from_secs(20), store.notifications_arrived())
            .await
            .unwrap_or_else(|_| panic!("{what} is heard of"));
    };
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let mut end = end_of(&job, START, Verdict::Completed);
    end.notifications = vec![body("1")];
    store.finish(end).await.unwrap();
    hears("an end").await;
    store.add_notifications(vec![body("2")], START).await.unwrap();
    hears("a notification").await;
}

pub(in super::super) async fn a_notification_is_fanned_out_once(fixture: Fixture) {
    let store = &fixture.store;
    let before = START.minus(Duration::from_secs(5));
    for name in ["1", "2", "3"] {
        store.add_notifications(vec![body(name)], before).await.unwrap();
    }
    let mut rows = wanted(store, &[to("slack"), to("sheet")]).await;
    // Nobody wants the second one.
    rows[1] = FannedOut {
        id: rows[1].id,
        kept: None,
        dispatches: Vec::new(),
    };
    let made = join_all((0..4).map(|_| store.fan_out(rows.clone(), START))).await;
    let made: u64 = made.into_iter().map(Result::unwrap).sum();
    assert_eq!(made, 4);
    assert!(store.outbox(10).await.unwrap().is_empty());
    assert_eq!(store.fan_out(rows.clone(), START).await.unwrap(), 0);

    for endpoint in ["slack", "sheet"] {
        let claimed = claim(store, endpoint, 10, START).await;
        assert_eq!(names(&claimed), ["1", "3"]);
        assert_eq!(claimed[0].sequence, rows[0].id);
        assert_eq!(claimed[0].created_at, before);
        assert_eq!((claimed[0].tries, &claimed[0].batch), (1, &None));
    }
    // Told again later, the number is a higher one: none comes back.
    tell(store, "4", &[to("slack")]).await;
    assert!(claim(store, "slack", 1, START).await[0].sequence > rows[2].id);
    check_counts(&fixture).await;
}

pub(in super::super) async fn a_newer_one_replaces_what_waits_and_not_what_is_sent(fixture: Fixture) {
    use DispatchState::{Problem, Replaced, Sending, Waiting};
    let store = &fixture.store;
    tell(
        store,
        "a",
        &[unique("sheet", "order/1"), unique("slack", "order/1")],
    )
    .await;
    tell(store, "b", &[unique("sheet", "order/2")]).await;
    // Two at once: the later one stays.
    for name in ["c", "d"] {
        store.add_notifications(vec![body(name)], START).await.unwrap();
    }
    let rows = wanted(store, &[unique("sheet", "order/1")]).await;
    assert_eq!(store.fan_out(rows, START).await.unwrap(), 2);
    assert_eq!(
        states(store, "sheet").await,
        [Replaced, Waiting, Replaced, Waiting]
    );
    assert_eq!(
        states(store, "slack").await,
        [Waiting],
        "another endpoint's stays"
    );

    let sent = claim(store, "sheet", 10, START).await;
    assert_eq!(names(&sent), ["b", "d"]);
    tell(store, "e", &[unique("sheet", "order/1")]).await;
    let now = [Replaced, Sending, Replaced, Sending, Waiting];
    assert_eq!(
        states(store, "sheet").await,
        now,
        "what is being sent is not replaced"
    );
    // What cannot be said whether it is wanted replaces nothing.
    let unclear = NewDispatch {
        problem: Some("`order.total` is not known".to_owned()),
        ..unique("sheet", "order/1")
    };
    tell(store, "f", &[unclear]).await;
    let now = [Replaced, Sending, Replaced, Sending, Waiting, Problem];
    assert_eq!(states(store, "sheet").await, now);
    check_counts(&fixture).await;
}
