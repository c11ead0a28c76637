//! The endpoint with storage switched off: deliveries are accepted and forgotten. Nothing else is asked of it.

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use lockstep::domain::{
    ErpId, EventId, Fence, JobId, Link, LinkKind, NewProblem, RecordKey, ShopName, ShopifyId, System,
    Timestamp,
};
use lockstep::store::{
    BreakerRow, Claim, ClaimedJob, ComplianceRecord, Counts, Delivery, DeliveryCount, DeliverySum, Enqueued,
    EventRow, Finish, Finished, JobFilter, JobRow, JobStory, Locked, NewJob, ProblemRow, ReadyLane, Recorded,
    RejectionCount, Retried, Saved, ShopState, Store, StoreError, SubscriptionRow,
};

#[derive(Default)]
pub(crate) struct Off(AtomicI64);

/// Operations that the intake of good deliveries does not need.
macro_rules! without {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl Store for Off {
            async fn record_delivery(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
                drop(delivery);
                let event = EventId(self.0.fetch_add(1, Ordering::Relaxed));
                Ok(Recorded::New { event, job: None })
            }

            $(async fn $name(&self, $(_: $type),*) -> Result<$result, StoreError> {
                Err(StoreError::Closed)
            })*

            async fn work_arrived(&self) {
                std::future::pending().await
            }

            async fn close(&self) {}
        }
    };
}

without! {
    count_rejections(Vec<RejectionCount>) -> ();
    rejections(Timestamp) -> Vec<RejectionCount>;
    enqueue(NewJob) -> Enqueued;
    ready_lanes(Timestamp) -> Vec<ReadyLane>;
    claim(Claim) -> Vec<ClaimedJob>;
    next_due() -> Option<Timestamp>;
    heartbeat(Vec<(JobId, Fence)>, Timestamp) -> Vec<JobId>;
    lock(JobId, Fence, Vec<RecordKey>) -> Locked;
    finish(Finish) -> Finished;
    reclaim(Timestamp) -> u64;
    clock_went_back(Timestamp) -> u64;
    hasten(&ShopName, System, Timestamp) -> u64;
    jobs(JobFilter) -> Vec<JobRow>;
    job(JobId) -> Option<JobStory>;
    retry(JobId, Timestamp) -> Retried;
    discard(JobId, &str, Timestamp) -> bool;
    counts(Timestamp) -> Counts;
    open_shop_problem(&ShopName, NewProblem, Timestamp) -> ();
    close_shop_problems(&ShopName, &str, Timestamp) -> u64;
    close_shop_problem(&ShopName, &str, &str, Timestamp) -> u64;
    open_problems(u32) -> Vec<ProblemRow>;
    event(EventId) -> Option<EventRow>;
    events_of(JobId, bool) -> Vec<EventRow>;
    redact(&ShopName, &[RecordKey], Timestamp) -> u64;
    redact_shop(&ShopName, Timestamp) -> u64;
    record_compliance(ComplianceRecord) -> ();
    compliance_records(&ShopName) -> Vec<ComplianceRecord>;
    links(&ShopName, LinkKind, &[String]) -> Vec<Link>;
    link_of_erp(&ShopName, LinkKind, ErpId) -> Option<Link>;
    save_links(JobId, Fence, Vec<Link>) -> Saved;
    shop_state(&ShopName, Timestamp) -> ShopState;
    set_shop_disabled(&ShopName, Option<&str>, Timestamp) -> ();
    cursor(&ShopName, &str) -> Option<String>;
    set_cursor(&ShopName, &str, &str, Timestamp) -> ();
    first_value(&ShopName, &str, &str, Timestamp) -> String;
    save_breaker(BreakerRow) -> ();
    breakers() -> Vec<BreakerRow>;
    config_revision(&str, &str, Timestamp) -> i64;
    subscriptions(&ShopName) -> Vec<SubscriptionRow>;
    subscribed_shops() -> Vec<ShopName>;
    save_subscription(SubscriptionRow) -> ();
    remove_subscription(&ShopName, ShopifyId, Timestamp) -> ();
    saw_subscriptions(&ShopName, &[ShopifyId], Timestamp) -> ();
    take_lease(&str, &str, Timestamp, Timestamp) -> bool;
    release_lease(&str, &str) -> ();
    count_deliveries(Vec<DeliveryCount>) -> ();
    deliveries_since(&ShopName, Timestamp) -> Vec<DeliverySum>;
    prune(Timestamp, u32) -> u64;
    ping() -> ();
}
