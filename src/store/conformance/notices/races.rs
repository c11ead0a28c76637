//! What only several nodes can show.

use futures_util::future::join_all;

use super::super::fixture::Fixture;
use super::super::given::{START, claim_one, end as end_of, new_job, order};
use super::{MINUTE, body, claim, claim as claim_dispatches, ended, states, to, unique, wanted};
use crate::domain::Object;
use crate::store::{DispatchEnd, DispatchState, Finished, OpenMode, SharedStore, Verdict};

#[tokio::test]
async fn of_two_nodes_that_fan_out_at_once_each_dispatch_is_made_once() {
    let nodes = Fixture::postgres_nodes(2).await;
    let [one, two] = &nodes.stores[..] else {
        panic!("two nodes")
    };
    for round in 0..10 {
        let bodies = (0..20).map(|n| body(&format!("{round}-{n}"))).collect();
        one.add_notifications(bodies, START).await.unwrap();
        // The one has seen less of it, and about each record only the newest is to wait.
        let mut part = wanted(one, &[to("slack"), unique("sheet", "order/1")]).await;
        let all = part.clone();
        part.truncate(7);
        part.reverse();
        let (by_one, by_two) = tokio::join!(one.fan_out(part, START), two.fan_out(all, START));
        assert_eq!(by_one.unwrap() + by_two.unwrap(), 40, "round {round}");
        assert!(one.outbox(10).await.unwrap().is_empty());
        let states = states(two, "sheet").await;
        let waiting = states
            .iter()
            .filter(|state| **state == DispatchState::Waiting)
            .count();
        assert_eq!(waiting, 1, "round {round}");
        let newest = claim_dispatches(one, "sheet", 5, START).await;
        assert_eq!(super::names(&newest), [format!("{round}-19")]);
        one.end_dispatches(vec![ended("sheet", &newest, DispatchEnd::Delivered)], START)
            .await
            .unwrap();
    }
    for store in &nodes.stores {
        store.close().await;
    }
}

#[tokio::test]
async fn of_two_nodes_that_claim_and_end_at_once_each_dispatch_is_sent_once() {
    let nodes = Fixture::postgres_nodes(2).await;
    let [one, two] = &nodes.stores[..] else {
        panic!("two nodes")
    };
    let bodies = (0..60).map(|n| body(&n.to_string())).collect();
    one.add_notifications(bodies, START).await.unwrap();
    let rows = wanted(one, &[to("slack"), to("sheet")]).await;
    one.fan_out(rows, START).await.unwrap();
    let send = async |store: &SharedStore, first: &str, second: &str| {
        let mut sent = Vec::new();
        loop {
            let before = sent.len();
            for endpoint in [first, second] {
                let claimed = claim(store, endpoint, 7, START).await;
                sent.extend(claimed.iter().map(|dispatch| dispatch.id));
                let end = ended(endpoint, &claimed, DispatchEnd::Delivered);
                let stale = store.end_dispatches(vec![end], START).await.unwrap();
                assert!(stale.is_empty(), "{stale:?}");
            }
            if sent.len() == before {
                return sent;
            }
        }
    };
    let (mut sent, others) = tokio::join!(send(one, "slack", "sheet"), send(two, "sheet", "slack"));
    sent.extend(others);
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), 120);
    for endpoint in ["slack", "sheet"] {
        let states = states(one, endpoint).await;
        assert!(states.iter().all(|state| *state == DispatchState::Delivered));
    }
    for store in &nodes.stores {
        store.close().await;
    }
}

/// Each deletes the last delivery but one of a notification, as it seems to it: what the notification tells goes all the same.
#[tokio::test]
async fn of_two_nodes_that_delete_at_once_nothing_is_kept_for_ever() {
    let fixture = Fixture::postgres().await;
    let one = &fixture.store;
    let two = &fixture.open(OpenMode::Serve).await.unwrap();
    let bodies = (0..30).map(|n| body(&n.to_string())).collect();
    one.add_notifications(bodies, START).await.unwrap();
    let rows = wanted(one, &[to("slack"), to("sheet")]).await;
    one.fan_out(rows, START).await.unwrap();
    for endpoint in ["slack", "sheet"] {
        let claimed = claim(one, endpoint, 30, START).await;
        one.end_dispatches(vec![ended(endpoint, &claimed, DispatchEnd::Delivered)], START)
            .await
            .unwrap();
    }
    let later = START.plus(MINUTE);
    let prune = async |store: &SharedStore| {
        let mut gone = 0;
        loop {
            match store.prune_dispatches(later, 1).await.unwrap() {
                0 => return gone,
                count => gone += count,
            }
        }
    };
    let (by_one, by_two) = tokio::join!(prune(one), prune(two));
    assert_eq!(by_one + by_two, 60);
    for question in [
        "SELECT count(*) FROM notifications",
        "SELECT count(*) FROM notification_keys",
    ] {
        assert_eq!(fixture.number(question).await, 0, "{question}");
    }
    two.close().await;
    one.close().await;
}

/// Numbers are had before a commit, so that of two records the later number may be there first. Not of one: its job is ended by
/// one node after the other.
#[tokio::test]
async fn what_is_told_of_a_record_is_numbered_in_its_order_whichever_node_tells() {
    let nodes = Fixture::postgres_nodes(3).await;
    let one = &nodes.stores[0];
    // Others end jobs all the time.
    let noise = async |store: &SharedStore, name: &str| {
        for n in 0..20 {
            store
                .add_notifications(vec![body(&format!("{name}{n}"))], START)
                .await
                .unwrap();
        }
    };
    let record = async {
        for round in 0..10_usize {
            one.enqueue(new_job(&order("1"), START)).await.unwrap();
            let job = claim_one(&nodes.stores[round % 3], Object::Order, START).await;
            // Two nodes believe that the attempt is theirs: one of them ends it.
            let ends = [round % 3, (round + 1) % 3].map(|node| {
                let mut end = end_of(&job, START, Verdict::Completed);
                end.notifications = vec![body(&format!("record/{round}"))];
                nodes.stores[node].finish(end)
            });
            let results = join_all(ends).await;
            let done = results
                .iter()
                .filter(|result| matches!(result, Ok(Finished::Done(_))))
                .count();
            assert_eq!(done, 1, "{results:?}");
        }
    };
    tokio::join!(record, noise(&nodes.stores[1], "a"), noise(&nodes.stores[2], "b"));
    let outbox = one.outbox(1000).await.unwrap();
    let told: Vec<&str> = outbox
        .iter()
        .map(|row| row.body.as_str())
        .filter(|body| body.contains("record/"))
        .collect();
    let expected: Vec<String> = (0..10).map(|round| body(&format!("record/{round}"))).collect();
    assert_eq!(told, expected);
    assert_eq!(outbox.len(), 50);
    for store in &nodes.stores {
        store.close().await;
    }
}
