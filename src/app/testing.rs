//! What the tests of several use cases need.

use std::time::Duration;

use serde_json::{Value, json};

use super::review::WAITING_FOR_APPROVAL;
use crate::domain::{
    Call, Calls, Direction, JobId, JobKey, NewProblem, Object, Priority, SeededEntropy, ShopifyId, System,
    Timestamp,
};
use crate::notify::{EventType, Notification, NotificationId, ObjectReference, ShopifyReference, Shown};
use crate::store::{
    Claim, DispatchEnd, DispatchFilter, EndedDispatch, EndedPart, EndpointChange, FannedOut, Finish,
    KeptNotification, Lane, NewDispatch, NewJob, NewTry, SharedStore, Verdict,
};

/// How long a condition may take that usually takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `look` finds something.
pub(in crate::app) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await;
    found.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// What a plan writes, for this customer.
fn detail(name: &str) -> Value {
    json!({
        "plan": format!("hash-{name}"),
        "verdict": "a partner would be created",
        "because": ["all plans of customer.in wait until 2026-12-31"],
        "writes": [
            { "action": "create", "model": "res.partner", "record": "customer_7",
              "fields": [{ "field": "name", "now": null, "then": name, "source": "customer.name" }] },
        ],
        "steps": [],
        "then": null,
    })
}

/// A job that waits with a plan, named `hash-NAME`, after an attempt that asked the ERP one question.
pub(in crate::app) async fn planned(store: &SharedStore, id: &str, name: &str) -> JobId {
    let key = JobKey {
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        direction: Direction::In,
        source_id: id.to_owned(),
    };
    let now = Timestamp::parse_rfc3339("2026-12-01T09:57:00Z").unwrap();
    let job = NewJob {
        key: key.clone(),
        priority: Priority::LIVE,
        now,
        cause: "test".to_owned(),
    };
    store.enqueue(job).await.unwrap();
    let claim = Claim {
        node: "test".to_owned(),
        lanes: vec![(Lane::of(&key), 1)],
        now,
        lease: Duration::from_secs(60),
    };
    let claimed = store.claim(claim).await.unwrap().remove(0);
    let problem = NewProblem {
        code: WAITING_FOR_APPROVAL.into(),
        record: Some(format!("customer {id}")),
        field: None,
        reason: "It waits for somebody to approve of it.".to_owned(),
        fix: "Approve of it.".to_owned(),
        owner: "anna".to_owned(),
        mapping: None,
        cluster: "waiting_for_approval:customer.in".to_owned(),
        detail: detail(name),
    };
    let mut calls = Calls::default();
    calls.add(Call {
        system: System::Erp,
        name: "web_read res.partner".to_owned(),
        took_ms: 37,
        outcome: "ok".to_owned(),
    });
    let end = Finish {
        job: claimed.id,
        fence: claimed.fence,
        started_at: now,
        ended_at: now,
        verdict: Verdict::Held(problem),
        unclean: false,
        summary: "it waits".to_owned(),
        detail: calls.noted(json!([{ "what": "partner", "detail": { "name": name } }])),
        revision: None,
        record_name: None,
        erp_name: None,
        links: Vec::new(),
        enqueue: Vec::new(),
        disables_shop: None,
        notifications: Vec::new(),
    };
    store.finish(end).await.unwrap();
    claimed.id
}

/// A delivery to this endpoint, about a customer, that was tried once and ended so; `answer` is what the receiver said. Its number.
pub(in crate::app) async fn told(
    store: &SharedStore,
    endpoint: &str,
    end: DispatchEnd,
    answer: &str,
    now: Timestamp,
) -> i64 {
    // The same one in every run, and another one for each delivery.
    let known = store.dispatches(DispatchFilter::default()).await.unwrap().len();
    let entropy = SeededEntropy::new(known as u64);
    let notification = Notification {
        shop: Some("main".parse().unwrap()),
        object: Some(ObjectReference {
            kind: Object::Customer,
            title: Some(Shown("Ada Lovelace".to_owned())),
            sku: None,
            name: None,
            shopify: Some(ShopifyReference::new("Customer", ShopifyId(7))),
            erp: None,
        }),
        ..Notification::new(NotificationId::new(&entropy), EventType::CustomerSynced, now)
    };
    let body = serde_json::to_string(&notification).unwrap();
    store.add_notifications(vec![body.clone()], now).await.unwrap();
    // Where a daemon runs, it may be faster, and makes the same of it.
    if let Some(row) = store.outbox(1).await.unwrap().pop() {
        let kept = KeptNotification {
            notification: notification.id.to_string(),
            event: notification.event.to_string(),
            shop: Some("main".to_owned()),
            object: Some("customer".to_owned()),
            record: Some("Ada Lovelace".to_owned()),
            keys: vec!["shopify/7".to_owned()],
            body,
        };
        let dispatch = NewDispatch {
            endpoint: endpoint.to_owned(),
            priority: 1,
            object_key: None,
            due_at: now,
            problem: None,
        };
        let fanned = FannedOut {
            id: row.id,
            kept: Some(kept),
            dispatches: vec![dispatch],
        };
        store.fan_out(vec![fanned], now).await.unwrap();
    }
    let claimed = until("it can be claimed", async || {
        // The daemon's clock may be another one: what it made is due by that.
        let far = now.plus(Duration::from_hours(1_000_000));
        store.claim_dispatches(endpoint, far, far, 1).await.unwrap().pop()
    })
    .await;
    let is_taken = end == DispatchEnd::Delivered;
    let attempt = NewTry {
        at: now,
        took_ms: 37,
        failure: (!is_taken).then(|| "status".to_owned()),
        sentence: (!is_taken).then(|| "hooks.example.com answered HTTP 500".to_owned()),
        status: Some(if is_taken { 200 } else { 500 }),
        headers: vec![("x-said".to_owned(), answer.to_owned())],
        answer: answer.to_owned(),
        is_cut: false,
    };
    let ended = EndedDispatch {
        parts: vec![EndedPart {
            ids: vec![(claimed.id, claimed.fence)],
            end,
        }],
        attempt: Some(attempt),
        endpoint: EndpointChange {
            name: endpoint.to_owned(),
            health: None,
            pause: None,
            told_failing_at: None,
        },
        notifications: Vec::new(),
    };
    let lost = store.end_dispatches(vec![ended], now).await.unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    claimed.id
}
