//! Short ways to say what a test starts from.

use std::time::Duration;

use serde_json::json;

use crate::domain::{
    Direction, ErpId, JobId, JobKey, JobState, Link, LinkKind, LinkState, NewProblem, Object, Priority,
    RecordKey, ShopName, System, Timestamp,
};
use crate::store::{
    Claim, ClaimedJob, Delivery, DeliveryAction, Finish, Finished, JobStory, Lane, NewJob, SharedStore,
    Verdict,
};

/// 2026-11-20T10:00:00Z.
pub(super) const START: Timestamp = Timestamp::from_millis(1_795_514_400_000);

pub(super) const LEASE: Duration = Duration::from_secs(60);

pub(super) fn shop() -> ShopName {
    "main".parse().unwrap()
}

pub(super) fn other_shop() -> ShopName {
    "second".parse().unwrap()
}

pub(super) fn key(object: Object, id: &str) -> JobKey {
    JobKey {
        shop: shop(),
        object,
        direction: Direction::In,
        source_id: id.to_owned(),
    }
}

pub(super) fn order(id: &str) -> JobKey {
    key(Object::Order, id)
}

pub(super) fn lane(object: Object) -> Lane {
    Lane::of(&key(object, ""))
}

pub(super) fn record(model: &str, id: &str) -> RecordKey {
    RecordKey {
        shop: shop(),
        system: System::Shopify,
        model: model.to_owned(),
        id: id.to_owned(),
    }
}

pub(super) fn delivery(name: &str, key: &JobKey, now: Timestamp) -> Delivery {
    let body = format!(r#"{{"id":{},"delivery":"{name}"}}"#, key.source_id);
    Delivery {
        shop: key.shop.clone(),
        topic: "orders/updated".to_owned(),
        webhook_id: Some(name.to_owned()),
        event_id: None,
        dedup_key: name.to_owned(),
        triggered_at: Some(now.minus(Duration::from_secs(2))),
        api_version: Some("2026-10".to_owned()),
        received_at: now,
        body_sha256: format!("sha of {name}"),
        body: body.into_bytes().into(),
        action: DeliveryAction::Job {
            key: key.clone(),
            priority: Priority::LIVE,
        },
    }
}

pub(super) fn new_job(key: &JobKey, now: Timestamp) -> NewJob {
    NewJob {
        key: key.clone(),
        priority: Priority::LIVE,
        now,
        cause: "a test".to_owned(),
    }
}

pub(super) fn problem(code: &str) -> NewProblem {
    NewProblem {
        code: code.into(),
        record: Some("#1042".to_owned()),
        field: Some("lines[0].tax".to_owned()),
        reason: format!("{code}: there is no such tax"),
        fix: "make the tax".to_owned(),
        owner: "accounting".to_owned(),
        mapping: Some("order.in.toml:31".to_owned()),
        cluster: format!("{code}:21"),
        detail: json!({ "rate": "0.21" }),
    }
}

pub(super) fn link(kind: LinkKind, source_id: &str, erp_id: i64) -> Link {
    Link {
        shop: shop(),
        kind,
        source_id: source_id.to_owned(),
        model: "res.partner".to_owned(),
        erp_id: ErpId(erp_id),
        erp_name: Some(format!("S{erp_id:05}")),
        state: LinkState::Linked,
        source_updated_at: Some(START),
        agreed: json!({ "name": { "source": "a", "target": "b" } }),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

pub(super) async fn claim_as(
    store: &SharedStore,
    node: &str,
    object: Object,
    limit: u32,
    now: Timestamp,
    lease: Duration,
) -> Vec<ClaimedJob> {
    store
        .claim(Claim {
            node: node.to_owned(),
            lanes: vec![(lane(object), limit)],
            now,
            lease,
        })
        .await
        .unwrap()
}

pub(super) async fn claim(
    store: &SharedStore,
    object: Object,
    limit: u32,
    now: Timestamp,
) -> Vec<ClaimedJob> {
    claim_as(store, "node-1", object, limit, now, LEASE).await
}

/// Claims exactly one job.
pub(super) async fn claim_one(store: &SharedStore, object: Object, now: Timestamp) -> ClaimedJob {
    let mut jobs = claim(store, object, 1, now).await;
    assert_eq!(jobs.len(), 1, "one job of {object} is ready");
    jobs.remove(0)
}

pub(super) fn end(job: &ClaimedJob, now: Timestamp, verdict: Verdict) -> Finish {
    Finish {
        job: job.id,
        fence: job.fence,
        started_at: now,
        ended_at: now,
        verdict,
        unclean: false,
        summary: "a test ended it".to_owned(),
        detail: json!({ "calls": 3 }),
        revision: Some(7),
        record_name: None,
        erp_name: None,
        links: Vec::new(),
        enqueue: Vec::new(),
        disables_shop: None,
        notifications: Vec::new(),
    }
}

pub(super) async fn finish(
    store: &SharedStore,
    job: &ClaimedJob,
    now: Timestamp,
    verdict: Verdict,
) -> Finished {
    store.finish(end(job, now, verdict)).await.unwrap()
}

pub(super) fn retry_at(at: Timestamp, counts: bool, system_down: Option<System>) -> Verdict {
    Verdict::Retry {
        at,
        counts,
        system_down,
    }
}

pub(super) async fn story(store: &SharedStore, id: JobId) -> JobStory {
    store.job(id).await.unwrap().expect("the job exists")
}

pub(super) async fn state(store: &SharedStore, id: JobId) -> JobState {
    story(store, id).await.job.state
}
