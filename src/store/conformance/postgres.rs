//! What only several nodes and a server of its own can show.

use std::time::Duration;

use futures_util::future::join_all;

use super::fixture::Fixture;
use super::given::{START, claim, claim_one, finish, new_job, order, state};
use crate::domain::{JobState, Object};
use crate::store::{Finished, SharedStore, Verdict};

/// How long a test waits for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test]
async fn nodes_that_start_at_once_on_an_empty_database_all_come_up() {
    let nodes = Fixture::postgres_nodes(4).await;
    for store in &nodes.stores {
        store.ping().await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_machine_whose_clock_goes_wrong_takes_nobodys_lease() {
    let nodes = Fixture::postgres_nodes(2).await;
    let [one, two] = &nodes.stores[..] else {
        panic!("two nodes")
    };
    let minute = Duration::from_secs(60);
    let take = async |store: &SharedStore, holder: &str, now: crate::domain::Timestamp| {
        store
            .take_lease("x", holder, now, now.plus(minute))
            .await
            .unwrap()
    };
    let years = Duration::from_secs(10 * 365 * 24 * 3600);
    assert!(take(one, "a", START).await);
    assert!(
        !take(two, "b", START.plus(years)).await,
        "its clock is years ahead"
    );
    assert!(take(one, "a", START.minus(years)).await);
    assert!(!take(two, "b", START).await, "the holder's is years behind");
    one.release_lease("x", "a").await.unwrap();
    // What the one that is ahead takes (for no time at all) does not stay for years.
    let ahead = START.plus(years);
    assert!(two.take_lease("x", "b", ahead, ahead).await.unwrap());
    assert!(take(one, "a", START).await);
    for store in &nodes.stores {
        store.close().await;
    }
}

/// Asks until it is answered: what a connection that was cut had under way may fail.
async fn until_ok<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the store did not come back"
        );
        tokio::task::yield_now().await;
    }
}

async fn enqueue(store: &SharedStore, id: &str) {
    until_ok(async || store.enqueue(new_job(&order(id), START)).await.ok()).await;
}

#[tokio::test]
async fn connections_that_are_cut_are_made_again() {
    let fixture = Fixture::postgres().await;
    let store = &fixture.store;
    enqueue(store, "1").await;
    let running = claim_one(store, Object::Order, START).await;
    // The node's own session, the listener, and the pool.
    let cut = fixture.cut_connections().await;
    assert!(cut >= 3, "{cut} connections");

    // Our own session is back before anybody is taken for dead: what runs here stays ours.
    let reclaimed = until_ok(async || store.reclaim(START).await.ok()).await;
    assert_eq!(reclaimed, 0);
    assert_eq!(
        finish(store, &running, START, Verdict::Completed).await,
        Finished::Done(JobState::Completed)
    );
    // The listener listens again: another process is heard.
    let tool = fixture.open(crate::store::OpenMode::Tool).await.unwrap();
    enqueue(&tool, "2").await;
    tokio::time::timeout(PATIENCE, store.work_arrived())
        .await
        .expect("work is announced");
    assert_eq!(claim(store, Object::Order, 5, START).await.len(), 1);
    tool.close().await;
}

#[tokio::test]
async fn jobs_are_taken_back_although_the_counts_cannot_be_added_up() {
    let fixture = Fixture::postgres().await;
    let store = &fixture.store;
    enqueue(store, "1").await;
    let lost = claim_one(store, Object::Order, START).await;
    fixture
        .execute("UPDATE jobs SET lease_until = 0 WHERE state = 'running'")
        .await;
    fixture
        .execute("ALTER TABLE problem_counts_kept RENAME TO out_of_reach")
        .await;
    assert_eq!(store.reclaim(START).await.unwrap(), 1);
    assert_ne!(state(store, lost.id).await, JobState::Running);
}

#[tokio::test]
async fn the_rows_of_dead_nodes_go_when_another_starts() {
    let fixture = Fixture::postgres().await;
    enqueue(&fixture.store, "1").await;
    claim_one(&fixture.store, Object::Order, START).await;
    let mut fixture = fixture.crash().await;
    for _ in 0..3 {
        fixture = fixture.crash().await;
    }
    let rows = until_ok(async || {
        // The server notices the death of a session within milliseconds, but not at once.
        let other = fixture.open(crate::store::OpenMode::Serve).await.ok()?;
        other.close().await;
        let rows = fixture.count("SELECT count(*) FROM nodes").await;
        (rows == 1).then_some(rows)
    })
    .await;
    assert_eq!(rows, 1, "the one that lives");
}

#[tokio::test]
async fn crossing_wishes_and_ends_all_come_through() {
    let nodes = Fixture::postgres_nodes(2).await;
    let rounds = nodes.stores.iter().enumerate().map(|(which, store)| async move {
        for round in 0..20 {
            let mut ids: Vec<usize> = (0..12).collect();
            if (which + round) % 2 == 0 {
                ids.reverse();
            }
            join_all(ids.iter().map(|id| async move {
                store
                    .enqueue(new_job(&order(&id.to_string()), START))
                    .await
                    .unwrap()
            }))
            .await;
            let jobs = claim(store, Object::Order, 6, START).await;
            let ends = jobs.iter().map(|job| {
                let mut end = super::given::end(job, START, Verdict::Completed);
                end.enqueue = vec![new_job(&order("0"), START), new_job(&order("11"), START)];
                store.finish(end)
            });
            for result in join_all(ends).await {
                result.unwrap();
            }
        }
    });
    join_all(rounds).await;
    for store in &nodes.stores {
        store.close().await;
    }
}
