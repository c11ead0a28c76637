//! Notifications from the outbox to their end.

mod claims;
mod ends;
mod lists;
mod outbox;
mod people;
mod privacy;
mod races;

pub(super) use claims::*;
pub(super) use ends::*;
pub(super) use lists::*;
pub(super) use outbox::*;
pub(super) use people::*;
pub(super) use privacy::*;

use std::time::Duration;

use super::fixture::Fixture;
use super::given::START;
use crate::domain::{Actor, Fence, Timestamp, Via};
use crate::store::{
    ClaimedDispatch, DispatchEnd, DispatchFilter, DispatchRow, DispatchState, EndedDispatch, EndedPart,
    EndpointChange, EndpointRow, FannedOut, HealthChange, KeptNotification, NewDispatch, NewTry, SharedStore,
};

const MINUTE: Duration = Duration::from_secs(60);

fn ada() -> Actor {
    Actor::new("ada", Via::Console)
}

/// The body of a notification about a record.
pub(super) fn body(name: &str) -> String {
    format!(r#"{{"id":"evt_{name}","type":"order.synced","shop":"main","record":"{name}"}}"#)
}

pub(super) fn to(endpoint: &str) -> NewDispatch {
    NewDispatch {
        endpoint: endpoint.to_owned(),
        priority: 1,
        object_key: None,
        due_at: START,
        problem: None,
    }
}

/// The same, of which only the newest about a record is to wait.
fn unique(endpoint: &str, key: &str) -> NewDispatch {
    NewDispatch {
        object_key: Some(key.to_owned()),
        ..to(endpoint)
    }
}

fn kept(name: &str) -> KeptNotification {
    KeptNotification {
        notification: format!("evt_{name}"),
        event: "order.synced".to_owned(),
        shop: Some("main".to_owned()),
        object: Some("order".to_owned()),
        record: Some(format!("#{name}")),
        keys: vec![format!("shopify/{name}"), format!("erp/sale.order/{name}")],
        body: body(name),
    }
}

/// What is in the outbox, for these endpoints.
pub(super) async fn wanted(store: &SharedStore, dispatches: &[NewDispatch]) -> Vec<FannedOut> {
    let rows = store.outbox(1000).await.unwrap();
    rows.into_iter()
        .map(|row| {
            let body: serde_json::Value = serde_json::from_str(&row.body).unwrap();
            let name = body["record"].as_str().unwrap().to_owned();
            FannedOut {
                id: row.id,
                kept: Some(kept(&name)),
                dispatches: dispatches.to_vec(),
            }
        })
        .collect()
}

/// Tells of a record, and fans it out to these endpoints.
async fn tell(store: &SharedStore, name: &str, dispatches: &[NewDispatch]) {
    store.add_notifications(vec![body(name)], START).await.unwrap();
    let rows = wanted(store, dispatches).await;
    store.fan_out(rows, START).await.unwrap();
}

async fn claim(store: &SharedStore, endpoint: &str, limit: u32, now: Timestamp) -> Vec<ClaimedDispatch> {
    store
        .claim_dispatches(endpoint, now, now.plus(MINUTE), limit)
        .await
        .unwrap()
}

/// The records that the claimed ones tell of.
fn names(claimed: &[ClaimedDispatch]) -> Vec<String> {
    claimed
        .iter()
        .map(|dispatch| {
            let body: serde_json::Value = serde_json::from_str(&dispatch.body).unwrap();
            body["record"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn ids(claimed: &[ClaimedDispatch]) -> Vec<(i64, Fence)> {
    claimed
        .iter()
        .map(|dispatch| (dispatch.id, dispatch.fence))
        .collect()
}

fn attempt(failure: Option<&str>, at: Timestamp) -> NewTry {
    NewTry {
        at,
        took_ms: 12,
        failure: failure.map(str::to_owned),
        sentence: failure.map(|_| "the receiver answered 500".to_owned()),
        status: Some(if failure.is_some() { 500 } else { 204 }),
        headers: vec![("server".to_owned(), "nginx".to_owned())],
        answer: "thank you".to_owned(),
        is_cut: false,
    }
}

pub(super) fn ended(endpoint: &str, claimed: &[ClaimedDispatch], end: DispatchEnd) -> EndedDispatch {
    let failure = match end {
        DispatchEnd::Again { .. } | DispatchEnd::Failed => Some("status"),
        _ => None,
    };
    EndedDispatch {
        attempt: (!matches!(end, DispatchEnd::GivenBack { .. } | DispatchEnd::Problem { .. }))
            .then(|| attempt(failure, START)),
        parts: vec![EndedPart {
            ids: ids(claimed),
            end,
        }],
        endpoint: EndpointChange {
            name: endpoint.to_owned(),
            health: Some(HealthChange {
                was: String::new(),
                is: r#"{"failures":1}"#.to_owned(),
            }),
            pause: None,
            told_failing_at: None,
        },
        notifications: Vec::new(),
    }
}

async fn end(store: &SharedStore, endpoint: &str, claimed: &[ClaimedDispatch], end: DispatchEnd) -> Vec<i64> {
    store
        .end_dispatches(vec![ended(endpoint, claimed, end)], START)
        .await
        .unwrap()
}

async fn rows(store: &SharedStore, filter: DispatchFilter) -> Vec<DispatchRow> {
    store.dispatches(filter).await.unwrap()
}

/// The states of an endpoint's dispatches, oldest first.
async fn states(store: &SharedStore, endpoint: &str) -> Vec<DispatchState> {
    let filter = DispatchFilter {
        endpoint: Some(endpoint.to_owned()),
        ..DispatchFilter::default()
    };
    let rows = rows(store, filter).await;
    rows.iter().rev().map(|row| row.state).collect()
}

async fn endpoint(store: &SharedStore, name: &str) -> EndpointRow {
    let all = store.endpoints().await.unwrap();
    all.into_iter()
        .find(|row| row.name == name)
        .expect("the endpoint is known")
}

/// How many of the kept counts are not what a look at all rows finds, or the other way round.
const MISCOUNTED: &str = "
    SELECT (SELECT count(*) FROM (
        SELECT endpoint, state, count FROM dispatch_counts WHERE count <> 0 EXCEPT
        SELECT endpoint, state, count(*) FROM dispatches WHERE state IN ('waiting', 'failed', 'problem') GROUP BY endpoint, state) AS a)
    + (SELECT count(*) FROM (
        SELECT endpoint, state, count(*) FROM dispatches WHERE state IN ('waiting', 'failed', 'problem')
            GROUP BY endpoint, state EXCEPT
        SELECT endpoint, state, count FROM dispatch_counts) AS b)";

/// Fails when a count is not what there is, as it stands and added up.
pub(super) async fn check_counts(fixture: &Fixture) {
    assert_eq!(fixture.number(MISCOUNTED).await, 0);
    fixture.store.reclaim(fixture.now()).await.unwrap();
    assert_eq!(fixture.number(MISCOUNTED).await, 0, "added up");
    if fixture.is_shared() {
        let left = "SELECT count(*) FROM dispatch_counts_changed";
        assert_eq!(fixture.number(left).await, 0);
    }
}
