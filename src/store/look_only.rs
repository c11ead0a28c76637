//! A store that is only looked into: for dry runs, which carry out a flow's own decisions and keep nothing of them.
//!
//! What a flow writes on its way is answered as if it had been saved. What no flow asks for is refused.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::{
    Actor, ErpId, EventId, Fence, JobId, JobKey, Link, LinkKind, NewProblem, Object, RecordKey, ShopName,
    ShopifyId, System, Timestamp,
};
// Clippy does not look at imports of test builds.
#[cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "it names every operation with its types")
)]
use crate::store::*;

/// A store behind which another one stays as it is.
pub struct LookOnly {
    inner: SharedStore,
    /// What would have been linked.
    links: Mutex<Vec<Link>>,
    /// Named positions that are taken for granted, by the beginning of their names.
    granted: Mutex<Vec<(String, String)>>,
}

impl LookOnly {
    /// Looks into `inner`.
    pub fn new(inner: SharedStore) -> Self {
        Self {
            inner,
            links: Mutex::default(),
            granted: Mutex::default(),
        }
    }

    /// The links that would have been saved so far.
    pub fn links_saved(&self) -> Vec<Link> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers with `value` for the named positions that begin with `prefix`.
    pub fn grant(&self, prefix: &str, value: &str) {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.push((prefix.to_owned(), value.to_owned()));
    }

    fn granted(&self, name: &str) -> Option<String> {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let of = granted.iter().find(|(prefix, _)| name.starts_with(prefix));
        of.map(|(_, value)| value.clone())
    }
}

fn refused<T>(trying: &'static str) -> Result<T, StoreError> {
    let why = "a dry run writes nothing".to_owned();
    Err(StoreError::Failed {
        trying,
        source: sqlx::Error::Protocol(why),
    })
}

/// Each topic's operations: passed on, refused, or answered as a dry run's `own`.
macro_rules! look {
    ($($topic:ident {
        $(pass { $($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)* })?
        $(refuse { $($refused:ident($($unused:ident: $of:ty),*) -> $nothing:ty;)* })?
        $(own { $($own:tt)* })?
    })*) => {$(
        #[async_trait]
        impl $topic for LookOnly {
            $($(async fn $name(&self, $($argument: $type),*) -> Result<$result, StoreError> {
                self.inner.$name($($argument),*).await
            })*)?

            $($(async fn $refused(&self, $($unused: $of),*) -> Result<$nothing, StoreError> {
                $(let _ = $unused;)*
                refused(stringify!($refused))
            })*)?

            $($($own)*)?
        }
    )*};
}

look! {
    Intake {
        pass {
            rejections(since: Timestamp) -> Vec<RejectionCount>;
        }
        refuse {
            record_delivery(delivery: Delivery) -> Recorded;
            count_rejections(counts: Vec<RejectionCount>) -> ();
        }
    }

    Queue {
        pass {
            ready_lanes(now: Timestamp) -> Vec<ReadyLane>;
            next_due() -> Option<Timestamp>;
            next_in_lane(lane: &Lane, now: Timestamp, limit: u32) -> Vec<String>;
        }
        refuse {
            claim(claim: Claim) -> Vec<ClaimedJob>;
            heartbeat(attempts: Vec<(JobId, Fence)>, lease_until: Timestamp) -> Vec<JobId>;
            finish(finish: Finish) -> Finished;
            reclaim(now: Timestamp) -> u64;
            clock_went_back(now: Timestamp) -> u64;
            hasten(shop: &ShopName, system: System, now: Timestamp) -> u64;
        }
        own {
            async fn enqueue(&self, _job: NewJob) -> Result<Enqueued, StoreError> {
                Ok(Enqueued { job: JobId(0), created: false })
            }

            async fn lock(&self, _: JobId, _: Fence, _: Vec<RecordKey>) -> Result<Locked, StoreError> {
                Ok(Locked::Taken)
            }

            async fn work_arrived(&self) {
                self.inner.work_arrived().await;
            }
        }
    }

    Jobs {
        pass {
            jobs(filter: JobFilter) -> Vec<JobRow>;
            job(id: JobId) -> Option<JobStory>;
            counts(now: Timestamp) -> Counts;
        }
        refuse {
            retry(id: JobId, now: Timestamp) -> Retried;
            discard(id: JobId, reason: &str, now: Timestamp) -> bool;
            discard_waiting(lane: &Lane, reason: &str, now: Timestamp) -> u64;
        }
    }

    Review {
        pass {
            problem_clusters(filter: ClusterFilter) -> Vec<ClusterRow>;
            batches(running: bool, limit: u32) -> Vec<BatchRow>;
            queue_place(job: JobId, now: Timestamp) -> Option<QueuePlace>;
            pauses() -> Vec<PauseRow>;
        }
        refuse {
            act(act: Act) -> Acted;
            batch_step(batch: i64, now: Timestamp) -> Option<BatchRow>;
        }
        own {
            async fn note_names(&self, _: JobId, _: Fence, _: Vec<JobName>) -> Result<bool, StoreError> {
                Ok(true)
            }
        }
    }

    Audit {
        pass {
            audit(filter: AuditFilter) -> Vec<AuditRow>;
            action_counts(since: Timestamp) -> Vec<ActionCount>;
        }
    }

    Problems {
        pass {
            open_problems(limit: u32) -> Vec<ProblemRow>;
        }
        refuse {
            open_shop_problem(shop: &ShopName, problem: NewProblem, now: Timestamp) -> ();
            close_shop_problems(shop: &ShopName, code: &str, now: Timestamp) -> u64;
            close_shop_problem(shop: &ShopName, code: &str, cluster: &str, now: Timestamp) -> u64;
        }
    }

    Events {
        pass {
            event(id: EventId) -> Option<EventRow>;
            events_of(job: JobId, with_bodies: bool) -> Vec<EventRow>;
            compliance_records(shop: &ShopName) -> Vec<ComplianceRecord>;
        }
        refuse {
            redact(shop: &ShopName, records: &[RecordKey], now: Timestamp) -> u64;
            redact_shop(shop: &ShopName, now: Timestamp) -> u64;
            record_compliance(record: ComplianceRecord) -> ();
        }
    }

    Links {
        pass {
            links(shop: &ShopName, kind: LinkKind, source_ids: &[String]) -> Vec<Link>;
            link_of_erp(shop: &ShopName, kind: LinkKind, erp_id: ErpId) -> Option<Link>;
            links_of_erp(shop: &ShopName, kind: LinkKind, erp_ids: &[ErpId]) -> Vec<Link>;
            links_in_order(shop: &ShopName, kind: LinkKind, after: Option<ErpId>, limit: u32) -> Vec<Link>;
            count_links(shop: &ShopName, kind: LinkKind) -> u64;
        }
        refuse {
            adopt_links(groups: Vec<Adoption>, now: Timestamp) -> Vec<Adopted>;
        }
        own {
            async fn save_links(&self, _: JobId, _: Fence, links: Vec<Link>) -> Result<Saved, StoreError> {
                self.links.lock().unwrap_or_else(PoisonError::into_inner).extend(links);
                Ok(Saved::Done)
            }
        }
    }

    Intents {
        pass {
            order_in_work(shop: &ShopName, item: &str) -> Option<JobId>;
            out_writes_since(shop: &ShopName, object: Object, kind: &str, but: &str, since: Timestamp) -> u64;
        }
        own {
            async fn open_intent(
                &self,
                _: JobId,
                _: Fence,
                _: NewIntent,
                _: Timestamp,
            ) -> Result<Option<i64>, StoreError> {
                Ok(Some(0))
            }

            // What is in doubt is the next attempt's.
            async fn open_intents(&self, _: &JobKey) -> Result<Vec<Intent>, StoreError> {
                Ok(Vec::new())
            }

            async fn close_intent(&self, _: JobId, _: Fence, _: i64, _: Timestamp) -> Result<bool, StoreError> {
                Ok(true)
            }

            async fn note_items(&self, _: JobId, _: Fence, _: Vec<String>) -> Result<bool, StoreError> {
                Ok(true)
            }

            async fn note_out_write(
                &self,
                _: &ShopName,
                _: Object,
                _: &str,
                _: &str,
                _: Timestamp,
            ) -> Result<(), StoreError> {
                Ok(())
            }
        }
    }

    Shops {
        pass {
            shop_state(shop: &ShopName, now: Timestamp) -> ShopState;
            breakers() -> Vec<BreakerRow>;
        }
        refuse {
            set_shop_disabled(shop: &ShopName, reason: Option<&str>, now: Timestamp) -> ();
            first_value(shop: &ShopName, name: &str, value: &str, now: Timestamp) -> String;
            save_breaker(breaker: BreakerRow) -> ();
        }
        own {
            async fn cursor(&self, shop: &ShopName, name: &str) -> Result<Option<String>, StoreError> {
                match self.granted(name) {
                    Some(value) => Ok(Some(value)),
                    None => self.inner.cursor(shop, name).await,
                }
            }

            async fn set_cursor(&self, _: &ShopName, _: &str, _: &str, _: Timestamp) -> Result<(), StoreError> {
                Ok(())
            }
        }
    }

    Nodes {
        pass {
            newest_revision() -> Option<Revision>;
            nodes(now: Timestamp) -> Vec<NodeRow>;
        }
        refuse {
            config_revision(file: NodeFile, how: TakenUp, now: Timestamp) -> Standing;
            node_gone(node: &str) -> ();
        }
    }

    Leases {
        refuse {
            take_lease(name: &str, holder: &str, now: Timestamp, until: Timestamp) -> bool;
            release_lease(name: &str, holder: &str) -> ();
        }
    }

    Runs {
        pass {
            runs(limit: u32) -> Vec<RunRow>;
            gaps() -> Vec<GapRow>;
        }
        refuse {
            start_run(run: NewRun) -> Option<i64>;
            run_goes_on(run: i64, counts: RunCounts, now: Timestamp) -> bool;
            finish_run(run: i64, outcome: RunOutcome, error: Option<&str>, notifications: Vec<String>, now: Timestamp) -> bool;
            open_gap(gap: NewGap, now: Timestamp) -> i64;
            close_gap(ended: GapRun) -> bool;
        }
    }

    Drift {
        pass {
            drift_reports(filter: DriftReportFilter, limit: u32) -> Vec<DriftReport>;
            drift(run: i64, filter: DriftFilter, limit: u32) -> Vec<DriftRow>;
            corrections(since: Timestamp) -> Vec<CorrectionCount>;
        }
        refuse {
            save_drift(run: i64, rows: Vec<DriftRow>) -> ();
            save_drift_report(report: DriftReport) -> ();
            count_corrections(corrections: Vec<Correction>, now: Timestamp) -> u64;
        }
    }

    Imports {
        pass {
            imports(limit: u32) -> Vec<ImportRow>;
            imports_of(ids: Vec<i64>) -> Vec<ImportRow>;
            open_imports() -> Vec<ImportRow>;
        }
        refuse {
            begin_imports(imports: Vec<NewImport>, actor: Actor, now: Timestamp) -> ImportsBegun;
            act_on_import(act: ImportAct) -> bool;
            save_import_page(page: ImportPage) -> bool;
            feed_import(import: i64, lane: Lane, most: u32, now: Timestamp) -> ImportFed;
            end_import(import: i64, notifications: Vec<String>, now: Timestamp) -> bool;
            note_import_error(import: i64, error: Option<&str>) -> ();
            note_import_effect(job: JobId, fence: Fence, effect: ImportEffect) -> ();
        }
    }

    Written {
        pass {
            mappings_that_wrote(shop: &ShopName) -> Vec<String>;
            written_records(filter: WrittenFilter, limit: u32) -> Vec<WrittenRecord>;
            written_count(filter: WrittenFilter) -> u64;
        }
    }

    Polls {
        pass {
            poll_cursor(shop: &ShopName, model: &str) -> Option<PollCursor>;
            poll_seen(shop: &ShopName, model: &str, ids: &[ErpId]) -> Vec<SeenRow>;
            poll_present(shop: &ShopName, model: &str, after: Option<ErpId>, upto: Option<ErpId>) -> Vec<PresentId>;
        }
        refuse {
            commit_poll(commit: PollCommit) -> PollCommitted;
            forget_poll(forget: PollForget) -> PollForgotten;
        }
    }

    Subscriptions {
        pass {
            subscriptions(shop: &ShopName) -> Vec<SubscriptionRow>;
            subscribed_shops() -> Vec<ShopName>;
            deliveries_since(shop: &ShopName, since: Timestamp) -> Vec<DeliverySum>;
        }
        refuse {
            rename_subscriptions(from: &ShopName, to: &ShopName) -> ();
            save_subscription(row: SubscriptionRow, word: Option<Word>) -> ();
            remove_subscription(shop: &ShopName, id: ShopifyId, at: Timestamp, word: Option<Word>) -> ();
            saw_subscriptions(shop: &ShopName, ids: &[ShopifyId], now: Timestamp) -> ();
            count_deliveries(counts: Vec<DeliveryCount>) -> ();
        }
    }

    Sessions {
        pass {
            session(id: &str) -> Option<SessionRow>;
        }
        refuse {
            open_session(row: SessionRow, idle_since: Timestamp) -> ();
            see_session(id: &str, now: Timestamp) -> ();
            close_session(id: &str) -> ();
        }
    }

    Numbers {
        pass {
            tallies(filter: TallyFilter) -> Vec<Tally>;
            late_orders(before: Timestamp) -> Vec<LateOrders>;
            delivery_hours(shop: &ShopName, since: Timestamp) -> Vec<Timestamp>;
            past_problems(filter: TallyFilter, limit: u32) -> Vec<PastProblem>;
            slowest_jobs(filter: TallyFilter, limit: u32) -> Vec<SlowJob>;
        }
        refuse {
            add_tallies(tallies: Vec<Tally>) -> ();
        }
    }

    Alerts {
        pass {
            alerts() -> Vec<AlertRow>;
            last_message(recipient: &str) -> Option<Timestamp>;
            alert_standing() -> AlertStanding;
        }
        refuse {
            change_alerts(changes: AlertChanges, now: Timestamp) -> ();
            tell_alerts(told: AlertsTold, now: Timestamp) -> bool;
            claim_messages(now: Timestamp, until: Timestamp, limit: u32) -> Vec<DueMessage>;
            end_message(id: i64, end: MessageEnd, now: Timestamp) -> ();
        }
    }

    Notices {
        pass {
            outbox(limit: u32) -> Vec<OutboxRow>;
            outbox_after(after: i64, limit: u32, bytes: u64) -> OutboxPage;
            next_dispatch() -> Vec<(String, Timestamp)>;
            endpoints() -> Vec<EndpointRow>;
            dispatches(filter: DispatchFilter) -> Vec<DispatchRow>;
            tried_dispatches(endpoint: &str, limit: u32) -> Vec<DispatchRow>;
            dispatch(id: i64) -> Option<DispatchStory>;
            may_be_sent(ids: Vec<(i64, Fence)>) -> bool;
        }
        refuse {
            add_notifications(bodies: Vec<String>, now: Timestamp) -> ();
            fan_out(rows: Vec<FannedOut>, now: Timestamp) -> u64;
            claim_dispatches(endpoint: &str, now: Timestamp, until: Timestamp, limit: u32) -> Vec<ClaimedDispatch>;
            batch_dispatches(ids: Vec<(i64, Fence)>, batch: &str) -> bool;
            end_dispatches(ended: Vec<EndedDispatch>, now: Timestamp) -> Vec<i64>;
            reclaim_dispatches(now: Timestamp) -> u64;
            mend_dispatch_times(now: Timestamp) -> ();
            set_endpoint(act: EndpointAct) -> bool;
            redeliver(what: Redeliver, actor: Actor, now: Timestamp) -> Redelivered;
            cancel_dispatches(endpoint: &str, after: EndpointAfter, actor: Actor, now: Timestamp) -> u64;
            prune_dispatches(before: Timestamp, limit: u32) -> u64;
        }
        own {
            async fn notifications_arrived(&self) {
                self.inner.notifications_arrived().await;
            }
        }
    }

    Housekeeping {
        pass {
            time(now: Timestamp) -> Timestamp;
            ping() -> ();
        }
        refuse {
            prune(before: Timestamp, limit: u32) -> u64;
        }
        own {
            // It belongs to whoever opened it.
            async fn close(&self) {}
        }
    }
}

impl Store for LookOnly {}
