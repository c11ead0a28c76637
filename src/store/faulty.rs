//! A store for tests that fails, refuses or hangs on demand, and is otherwise the one behind it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{
    Actor, ErpId, EventId, Fence, JobId, JobKey, Link, LinkKind, NewProblem, Object, RecordKey, ShopName,
    ShopifyId, System, Timestamp,
};
use crate::store::*;

/// What an operation does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Reports that the store is away.
    Away,
    /// Reports that the database refuses the operation.
    Refuses,
    /// Never returns.
    Hangs,
    /// Panics.
    Panics,
}

/// A store whose operations can be made to fail.
pub struct FaultyStore {
    inner: SharedStore,
    /// What an operation does instead: how many calls pass first, and how many fail then.
    faults: Mutex<HashMap<&'static str, (StoreFault, u32, u32)>>,
    calls: Mutex<BTreeMap<&'static str, u32>>,
    /// The notification in the outbox of which it makes nothing that is to be sent.
    never_sends: Mutex<Option<i64>>,
    /// How far the database's clock is behind the node's.
    behind: Mutex<Duration>,
}

impl FaultyStore {
    /// Passes everything on to `inner`.
    pub fn new(inner: SharedStore) -> Self {
        Self {
            inner,
            faults: Mutex::default(),
            calls: Mutex::default(),
            never_sends: Mutex::default(),
            behind: Mutex::default(),
        }
    }

    /// Has the next `times` calls of `operation` (the method's name) fail.
    pub fn fail(&self, operation: &'static str, fault: StoreFault, times: u32) {
        self.fail_after(operation, 0, fault, times);
    }

    /// Has `times` calls of `operation` fail after the next `passes`.
    pub fn fail_after(&self, operation: &'static str, passes: u32, fault: StoreFault, times: u32) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.insert(operation, (fault, passes, times));
    }

    /// Has every `fan_out` of this notification fail as if it took too long, unless it only becomes problems.
    pub fn never_send(&self, notification: i64) {
        *self.never_sends.lock().unwrap_or_else(PoisonError::into_inner) = Some(notification);
    }

    /// Has the database's clock be so far behind that of the node, which is ahead.
    pub fn is_behind(&self, by: Duration) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: &str) -> u32 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(operation).copied().unwrap_or(0)
    }

    async fn pass(&self, operation: &'static str) -> Result<(), StoreError> {
        *self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(operation)
            .or_default() += 1;
        let fault = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults
                .get_mut(operation)
                .filter(|(_, _, left)| *left > 0)
                .and_then(|(fault, passes, left)| {
                    if *passes > 0 {
                        *passes -= 1;
                        return None;
                    }
                    *left -= 1;
                    Some(*fault)
                })
        };
        match fault {
            None => Ok(()),
            Some(StoreFault::Away) => Err(StoreError::Unavailable {
                trying: operation,
                source: sqlx::Error::PoolTimedOut,
            }),
            Some(StoreFault::Refuses) => Err(StoreError::Failed {
                trying: operation,
                source: sqlx::Error::RowNotFound,
            }),
            Some(StoreFault::Hangs) => std::future::pending().await,
            Some(StoreFault::Panics) => panic!("{operation} was told to panic"),
        }
    }
}

/// Every operation that can fail: count the call, fail if told to, else pass it on. What cannot fail follows a `+`.
macro_rules! pass_on {
    ($($topic:ident {
        $($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*
    } $(+ { $($own:tt)* })?)*) => {$(
        #[async_trait]
        impl $topic for FaultyStore {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$result, StoreError> {
                self.pass(stringify!($name)).await?;
                self.inner.$name($($argument),*).await
            })*

            $($($own)*)?
        }
    )*};
}

pass_on! {
    Intake {
        record_delivery(delivery: Delivery) -> Recorded;
        count_rejections(counts: Vec<RejectionCount>) -> ();
        rejections(since: Timestamp) -> Vec<RejectionCount>;
    }

    Queue {
        enqueue(job: NewJob) -> Enqueued;
        ready_lanes(now: Timestamp) -> Vec<ReadyLane>;
        claim(claim: Claim) -> Vec<ClaimedJob>;
        next_due() -> Option<Timestamp>;
        next_in_lane(lane: &Lane, now: Timestamp, limit: u32) -> Vec<String>;
        heartbeat(attempts: Vec<(JobId, Fence)>, lease_until: Timestamp) -> Vec<JobId>;
        lock(job: JobId, fence: Fence, records: Vec<RecordKey>) -> Locked;
        finish(finish: Finish) -> Finished;
        reclaim(now: Timestamp) -> u64;
        clock_went_back(now: Timestamp) -> u64;
        hasten(shop: &ShopName, system: System, now: Timestamp) -> u64;
    } + {
        async fn work_arrived(&self) {
            self.inner.work_arrived().await;
        }
    }

    Jobs {
        jobs(filter: JobFilter) -> Vec<JobRow>;
        job(id: JobId) -> Option<JobStory>;
        retry(id: JobId, now: Timestamp) -> Retried;
        discard(id: JobId, reason: &str, now: Timestamp) -> bool;
        discard_waiting(lane: &Lane, reason: &str, now: Timestamp) -> u64;
        counts(now: Timestamp) -> Counts;
    }

    Review {
        act(act: Act) -> Acted;
        problem_clusters(filter: ClusterFilter) -> Vec<ClusterRow>;
        batches(running: bool, limit: u32) -> Vec<BatchRow>;
        batch_step(batch: i64, now: Timestamp) -> Option<BatchRow>;
        queue_place(job: JobId, now: Timestamp) -> Option<QueuePlace>;
        pauses() -> Vec<PauseRow>;
        note_names(job: JobId, fence: Fence, names: Vec<JobName>) -> bool;
    }

    Audit {
        audit(filter: AuditFilter) -> Vec<AuditRow>;
        action_counts(since: Timestamp) -> Vec<ActionCount>;
    }

    Problems {
        open_shop_problem(shop: &ShopName, problem: NewProblem, now: Timestamp) -> ();
        close_shop_problems(shop: &ShopName, code: &str, now: Timestamp) -> u64;
        close_shop_problem(shop: &ShopName, code: &str, cluster: &str, now: Timestamp) -> u64;
        open_problems(limit: u32) -> Vec<ProblemRow>;
    }

    Events {
        event(id: EventId) -> Option<EventRow>;
        events_of(job: JobId, with_bodies: bool) -> Vec<EventRow>;
        redact(shop: &ShopName, records: &[RecordKey], now: Timestamp) -> u64;
        redact_shop(shop: &ShopName, now: Timestamp) -> u64;
        record_compliance(record: ComplianceRecord) -> ();
        compliance_records(shop: &ShopName) -> Vec<ComplianceRecord>;
    }

    Links {
        links(shop: &ShopName, kind: LinkKind, source_ids: &[String]) -> Vec<Link>;
        link_of_erp(shop: &ShopName, kind: LinkKind, erp_id: ErpId) -> Option<Link>;
        links_of_erp(shop: &ShopName, kind: LinkKind, erp_ids: &[ErpId]) -> Vec<Link>;
        links_in_order(shop: &ShopName, kind: LinkKind, after: Option<ErpId>, limit: u32) -> Vec<Link>;
        count_links(shop: &ShopName, kind: LinkKind) -> u64;
        save_links(job: JobId, fence: Fence, links: Vec<Link>) -> Saved;
        adopt_links(groups: Vec<Adoption>, now: Timestamp) -> Vec<Adopted>;
    }

    Intents {
        open_intent(job: JobId, fence: Fence, intent: NewIntent, now: Timestamp) -> Option<i64>;
        open_intents(key: &JobKey) -> Vec<Intent>;
        close_intent(job: JobId, fence: Fence, intent: i64, now: Timestamp) -> bool;
        note_items(job: JobId, fence: Fence, items: Vec<String>) -> bool;
        order_in_work(shop: &ShopName, item: &str) -> Option<JobId>;
        note_out_write(shop: &ShopName, object: Object, kind: &str, record: &str, now: Timestamp) -> ();
        out_writes_since(shop: &ShopName, object: Object, kind: &str, but: &str, since: Timestamp) -> u64;
    }

    Shops {
        shop_state(shop: &ShopName, now: Timestamp) -> ShopState;
        set_shop_disabled(shop: &ShopName, reason: Option<&str>, now: Timestamp) -> ();
        cursor(shop: &ShopName, name: &str) -> Option<String>;
        set_cursor(shop: &ShopName, name: &str, value: &str, now: Timestamp) -> ();
        first_value(shop: &ShopName, name: &str, value: &str, now: Timestamp) -> String;
        save_breaker(breaker: BreakerRow) -> ();
        breakers() -> Vec<BreakerRow>;
    }

    Nodes {
        config_revision(file: NodeFile, how: TakenUp, now: Timestamp) -> Standing;
        newest_revision() -> Option<Revision>;
        nodes(now: Timestamp) -> Vec<NodeRow>;
        node_gone(node: &str) -> ();
    }

    Leases {
        take_lease(name: &str, holder: &str, now: Timestamp, until: Timestamp) -> bool;
        release_lease(name: &str, holder: &str) -> ();
    }

    Runs {
        start_run(run: NewRun) -> Option<i64>;
        run_goes_on(run: i64, counts: RunCounts, now: Timestamp) -> bool;
        finish_run(run: i64, outcome: RunOutcome, error: Option<&str>, notifications: Vec<String>, now: Timestamp) -> bool;
        runs(limit: u32) -> Vec<RunRow>;
        open_gap(gap: NewGap, now: Timestamp) -> i64;
        close_gap(ended: GapRun) -> bool;
        gaps() -> Vec<GapRow>;
    }

    Drift {
        save_drift(run: i64, rows: Vec<DriftRow>) -> ();
        save_drift_report(report: DriftReport) -> ();
        drift_reports(filter: DriftReportFilter, limit: u32) -> Vec<DriftReport>;
        drift(run: i64, filter: DriftFilter, limit: u32) -> Vec<DriftRow>;
        count_corrections(corrections: Vec<Correction>, now: Timestamp) -> u64;
        corrections(since: Timestamp) -> Vec<CorrectionCount>;
    }

    Imports {
        begin_imports(imports: Vec<NewImport>, actor: Actor, now: Timestamp) -> ImportsBegun;
        act_on_import(act: ImportAct) -> bool;
        save_import_page(page: ImportPage) -> bool;
        feed_import(import: i64, lane: Lane, most: u32, now: Timestamp) -> ImportFed;
        end_import(import: i64, notifications: Vec<String>, now: Timestamp) -> bool;
        note_import_error(import: i64, error: Option<&str>) -> ();
        note_import_effect(job: JobId, fence: Fence, effect: ImportEffect) -> ();
        imports(limit: u32) -> Vec<ImportRow>;
        imports_of(ids: Vec<i64>) -> Vec<ImportRow>;
        open_imports() -> Vec<ImportRow>;
    }

    Written {
        mappings_that_wrote(shop: &ShopName) -> Vec<String>;
        written_records(filter: WrittenFilter, limit: u32) -> Vec<WrittenRecord>;
        written_count(filter: WrittenFilter) -> u64;
    }

    Polls {
        poll_cursor(shop: &ShopName, model: &str) -> Option<PollCursor>;
        poll_seen(shop: &ShopName, model: &str, ids: &[ErpId]) -> Vec<SeenRow>;
        poll_present(shop: &ShopName, model: &str, after: Option<ErpId>, upto: Option<ErpId>) -> Vec<PresentId>;
        commit_poll(commit: PollCommit) -> PollCommitted;
        forget_poll(forget: PollForget) -> PollForgotten;
    }

    Subscriptions {
        subscriptions(shop: &ShopName) -> Vec<SubscriptionRow>;
        subscribed_shops() -> Vec<ShopName>;
        rename_subscriptions(from: &ShopName, to: &ShopName) -> ();
        save_subscription(row: SubscriptionRow, word: Option<Word>) -> ();
        remove_subscription(shop: &ShopName, id: ShopifyId, at: Timestamp, word: Option<Word>) -> ();
        saw_subscriptions(shop: &ShopName, ids: &[ShopifyId], now: Timestamp) -> ();
        count_deliveries(counts: Vec<DeliveryCount>) -> ();
        deliveries_since(shop: &ShopName, since: Timestamp) -> Vec<DeliverySum>;
    }

    Sessions {
        open_session(row: SessionRow, idle_since: Timestamp) -> ();
        session(id: &str) -> Option<SessionRow>;
        see_session(id: &str, now: Timestamp) -> ();
        close_session(id: &str) -> ();
    }

    Numbers {
        add_tallies(tallies: Vec<Tally>) -> ();
        tallies(filter: TallyFilter) -> Vec<Tally>;
        late_orders(before: Timestamp) -> Vec<LateOrders>;
        delivery_hours(shop: &ShopName, since: Timestamp) -> Vec<Timestamp>;
        past_problems(filter: TallyFilter, limit: u32) -> Vec<PastProblem>;
        slowest_jobs(filter: TallyFilter, limit: u32) -> Vec<SlowJob>;
    }

    Alerts {
        alerts() -> Vec<AlertRow>;
        change_alerts(changes: AlertChanges, now: Timestamp) -> ();
        tell_alerts(told: AlertsTold, now: Timestamp) -> bool;
        claim_messages(now: Timestamp, until: Timestamp, limit: u32) -> Vec<DueMessage>;
        end_message(id: i64, end: MessageEnd, now: Timestamp) -> ();
        last_message(recipient: &str) -> Option<Timestamp>;
        alert_standing() -> AlertStanding;
    }

    Notices {
        add_notifications(bodies: Vec<String>, now: Timestamp) -> ();
        outbox(limit: u32) -> Vec<OutboxRow>;
        outbox_after(after: i64, limit: u32, bytes: u64) -> OutboxPage;
        claim_dispatches(endpoint: &str, now: Timestamp, until: Timestamp, limit: u32) -> Vec<ClaimedDispatch>;
        batch_dispatches(ids: Vec<(i64, Fence)>, batch: &str) -> bool;
        may_be_sent(ids: Vec<(i64, Fence)>) -> bool;
        end_dispatches(ended: Vec<EndedDispatch>, now: Timestamp) -> Vec<i64>;
        reclaim_dispatches(now: Timestamp) -> u64;
        mend_dispatch_times(now: Timestamp) -> ();
        next_dispatch() -> Vec<(String, Timestamp)>;
        endpoints() -> Vec<EndpointRow>;
        set_endpoint(act: EndpointAct) -> bool;
        dispatches(filter: DispatchFilter) -> Vec<DispatchRow>;
        tried_dispatches(endpoint: &str, limit: u32) -> Vec<DispatchRow>;
        dispatch(id: i64) -> Option<DispatchStory>;
        redeliver(what: Redeliver, actor: Actor, now: Timestamp) -> Redelivered;
        cancel_dispatches(endpoint: &str, after: EndpointAfter, actor: Actor, now: Timestamp) -> u64;
        prune_dispatches(before: Timestamp, limit: u32) -> u64;
    } + {
        async fn notifications_arrived(&self) {
            self.inner.notifications_arrived().await;
        }

        async fn fan_out(&self, rows: Vec<FannedOut>, now: Timestamp) -> Result<u64, StoreError> {
            self.pass("fan_out").await?;
            let never = *self.never_sends.lock().unwrap_or_else(PoisonError::into_inner);
            let is_sent = |row: &FannedOut| row.dispatches.iter().any(|new| new.problem.is_none());
            if rows.iter().any(|row| Some(row.id) == never && is_sent(row)) {
                return Err(StoreError::Unavailable {
                    trying: "fan_out",
                    source: sqlx::Error::PoolTimedOut,
                });
            }
            self.inner.fan_out(rows, now).await
        }
    }

    Housekeeping {
        prune(before: Timestamp, limit: u32) -> u64;
        ping() -> ();
    } + {
        async fn time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
            self.pass("time").await?;
            let behind = *self.behind.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(self.inner.time(now).await?.minus(behind))
        }

        async fn close(&self) {
            self.inner.close().await;
        }
    }
}

impl Store for FaultyStore {}

/// Tests call the operations on it as on any store.
impl Deref for FaultyStore {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        self
    }
}
