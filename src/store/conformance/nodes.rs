//! Which configuration all nodes act on.

use serde_json::json;

use super::fixture::Fixture;
use super::given::START;
use crate::domain::Timestamp;
use crate::store::{NodeFile, SharedStore, Standing, TakenUp};

fn file(node: &str, hash: &str) -> NodeFile {
    NodeFile {
        node: node.to_owned(),
        hash: hash.to_owned(),
        summary: format!("shops of {hash}"),
        toggles: json!({ "main": { "orders": { "in": hash } } }),
    }
}

async fn take(store: &SharedStore, node: &str, hash: &str, how: TakenUp) -> Standing {
    store.config_revision(file(node, hash), how, START).await.unwrap()
}

/// Number of its own, number of the newest.
fn numbers(standing: &Standing) -> (i64, i64) {
    assert_eq!(standing.is_newest, standing.own == standing.newest.id);
    (standing.own, standing.newest.id)
}

pub(super) async fn what_was_saved_last_is_the_newest(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.newest_revision().await.unwrap(), None);
    for (hash, how, expected) in [
        ("a", TakenUp::Found, 1),
        ("a", TakenUp::Found, 1),
        ("b", TakenUp::Saved, 2),
        // It stood before, and comes back as something new.
        ("a", TakenUp::Saved, 3),
        ("a", TakenUp::Saved, 3),
        ("b", TakenUp::Saved, 4),
    ] {
        let standing = take(store, "one", hash, how).await;
        assert_eq!(numbers(&standing), (expected, expected), "{hash} {how:?}");
    }
    let newest = store.newest_revision().await.unwrap().unwrap();
    assert_eq!((newest.id, newest.node.as_str()), (4, "one"));
    assert_eq!(newest.toggles, file("one", "b").toggles);
    assert_eq!(newest.summary, "shops of b");
    assert_eq!(newest.created_at, START);
}

pub(super) async fn what_is_found_is_the_newest_only_when_nobody_runs_the_newest(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(numbers(&take(store, "one", "a", TakenUp::Found).await), (1, 1));
    let behind = take(store, "two", "b", TakenUp::Found).await;
    assert_eq!(numbers(&behind), (2, 1), "numbered, not acted on");
    assert_eq!(behind.newest.toggles, file("one", "a").toggles);
    for _ in 0..3 {
        assert_eq!(numbers(&take(store, "two", "b", TakenUp::Found).await), (2, 1));
        assert_eq!(numbers(&take(store, "one", "a", TakenUp::Found).await), (1, 1));
    }
    // Saved on the second node: the first is behind now, and stays so.
    assert_eq!(numbers(&take(store, "two", "c", TakenUp::Saved).await), (3, 3));
    assert_eq!(numbers(&take(store, "one", "a", TakenUp::Found).await), (1, 3));
    assert_eq!(numbers(&take(store, "two", "c", TakenUp::Found).await), (3, 3));
    let nodes = store.nodes(START).await.unwrap();
    let seen: Vec<_> = nodes
        .iter()
        .map(|row| (row.node.as_str(), row.hash.as_str()))
        .collect();
    assert_eq!(seen, [("one", "a"), ("two", "c")]);
    // The first takes the same file: nothing new.
    assert_eq!(numbers(&take(store, "one", "c", TakenUp::Saved).await), (3, 3));
    // The second is stopped: what the third brings waits for the first, which runs the newest.
    store.node_gone("two").await.unwrap();
    assert_eq!(numbers(&take(store, "three", "d", TakenUp::Found).await), (4, 3));
    store.node_gone("one").await.unwrap();
    assert_eq!(store.nodes(START).await.unwrap().len(), 1, "the third");
    assert_eq!(
        numbers(&take(store, "three", "d", TakenUp::Found).await),
        (4, 3),
        "they may be back in a moment"
    );
    // And so it is: with a name of its own, as every process has.
    assert_eq!(numbers(&take(store, "four", "c", TakenUp::Found).await), (3, 3));
    store.node_gone("four").await.unwrap();
    fixture
        .execute("UPDATE node_files SET seen_at = seen_at - 59000 WHERE gone = 1")
        .await;
    assert!(!take(store, "three", "d", TakenUp::Found).await.is_newest);
    fixture
        .execute("UPDATE node_files SET seen_at = seen_at - 2000 WHERE gone = 1")
        .await;
    assert_eq!(numbers(&take(store, "three", "d", TakenUp::Found).await), (5, 5));
}

pub(super) async fn who_begins_alone_means_what_its_file_says(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(numbers(&take(store, "one", "a", TakenUp::Found).await), (1, 1));
    store.node_gone("one").await.unwrap();
    // Stopped, edited, started.
    assert_eq!(numbers(&take(store, "two", "b", TakenUp::Found).await), (2, 2));
    // With another one beside it, it waits as that one does.
    take(store, "three", "b", TakenUp::Found).await;
    store.node_gone("two").await.unwrap();
    assert_eq!(numbers(&take(store, "four", "c", TakenUp::Found).await), (3, 2));
}

pub(super) async fn of_nodes_that_begin_at_once_one_is_the_newest(fixture: Fixture) {
    let nodes: Vec<String> = (0..8).map(|n| format!("node {n}")).collect();
    let taken = nodes
        .iter()
        .map(|node| take(&fixture.store, node, node, TakenUp::Found));
    let standings = futures_util::future::join_all(taken).await;
    let newest: Vec<_> = standings.iter().filter(|standing| standing.is_newest).collect();
    assert_eq!(newest.len(), 1, "{standings:?}");
    assert!(
        standings
            .iter()
            .all(|standing| standing.newest.hash == newest[0].newest.hash)
    );
}

pub(super) async fn a_node_that_is_gone_holds_nothing_up(fixture: Fixture) {
    let store = &fixture.store;
    take(store, "one", "a", TakenUp::Found).await;
    let behind = take(store, "two", "b", TakenUp::Found).await;
    assert!(!behind.is_newest);
    // It says no word for a minute. (PostgreSQL measures by its own clock.)
    fixture
        .execute("UPDATE node_files SET seen_at = seen_at - 59000 WHERE node = 'one'")
        .await;
    assert!(!take(store, "two", "b", TakenUp::Found).await.is_newest);
    fixture
        .execute("UPDATE node_files SET seen_at = seen_at - 2000 WHERE node = 'one'")
        .await;
    let standing = take(store, "two", "b", TakenUp::Found).await;
    assert!(standing.is_newest, "{standing:?}");
    // By the clock of this machine only the second is left; by the database's, too.
    let now: Timestamp = START;
    assert_eq!(store.nodes(now).await.unwrap().len(), 1);
    // The first was only slow: it is behind now.
    let back = take(store, "one", "a", TakenUp::Found).await;
    assert!(!back.is_newest && back.newest.id == standing.newest.id);
    let fixture = fixture.crash().await;
    if !fixture.is_shared() {
        assert!(
            fixture.store.nodes(START).await.unwrap().is_empty(),
            "nobody else serves"
        );
    }
}
