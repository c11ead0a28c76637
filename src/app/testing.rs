//! What the tests of several use cases need.

use std::time::Duration;

use serde_json::{Value, json};

use super::review::WAITING_FOR_APPROVAL;
use crate::domain::{Call, Calls, Direction, JobId, JobKey, NewProblem, Object, Priority, System, Timestamp};
use crate::store::{Claim, Finish, Lane, NewJob, SharedStore, Verdict};

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
    };
    store.finish(end).await.unwrap();
    claimed.id
}
