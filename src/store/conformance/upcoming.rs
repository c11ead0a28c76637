//! What comes next in a lane.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::*;
use crate::domain::{Object, Priority};
use crate::store::Verdict;

pub(super) async fn what_comes_next_in_a_lane_is_told_in_the_order_of_claims(fixture: Fixture) {
    let store = &fixture.store;
    let seconds = |n: u64| START.plus(Duration::from_secs(n));
    let lane = lane(Object::Product);
    let product = |id: &str| key(Object::Product, id);
    let next = async |at: u64, limit: u32| store.next_in_lane(&lane, seconds(at), limit).await.unwrap();
    assert_eq!(next(9, 5).await, [""; 0], "a lane that nobody knows is empty");
    store.enqueue(new_job(&product("running"), START)).await.unwrap();
    let running = claim_one(store, Object::Product, START).await;
    store.enqueue(new_job(&product("done"), START)).await.unwrap();
    let done = claim_one(store, Object::Product, START).await;
    finish(store, &done, START, Verdict::Completed).await;
    store.enqueue(new_job(&product("fails"), START)).await.unwrap();
    let fails = claim_one(store, Object::Product, START).await;
    finish(store, &fails, START, retry_at(seconds(20), true, None)).await;
    for (id, priority, at) in [
        ("background", Priority::BACKGROUND, 0),
        ("live-2", Priority::LIVE, 2),
        ("live-1", Priority::LIVE, 1),
        ("urgent", Priority::URGENT, 3),
    ] {
        let mut job = new_job(&product(id), seconds(at));
        job.priority = priority;
        store.enqueue(job).await.unwrap();
    }
    store
        .enqueue(new_job(&order("another lane"), START))
        .await
        .unwrap();

    let all = ["running", "urgent", "live-1", "live-2", "background"];
    assert_eq!(next(9, 9).await, all, "what rests is not next");
    assert_eq!(next(9, 3).await, all[..3]);
    assert_eq!(next(9, 1).await, all[..1]);
    assert_eq!(next(9, 0).await, [""; 0]);
    let rested = ["running", "urgent", "live-1", "live-2", "fails", "background"];
    assert_eq!(next(20, 9).await, rested);
    // And it is still to be had: nothing was taken by asking.
    let claimed = claim(store, Object::Product, 9, seconds(20)).await;
    let claimed: Vec<&str> = claimed.iter().map(|job| job.key.source_id.as_str()).collect();
    assert_eq!(claimed, rested[1..]);
    finish(store, &running, seconds(20), Verdict::Completed).await;
    assert_eq!(next(20, 9).await.len(), 5);
}
