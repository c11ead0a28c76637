//! The endpoint with storage switched off: deliveries are accepted and forgotten. Nothing else is asked of it.

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use lockstep::domain::{
    Actor, ErpId, EventId, Fence, JobId, JobKey, Link, LinkKind, NewProblem, Object, RecordKey, ShopName,
    ShopifyId, System, Timestamp,
};
#[expect(clippy::wildcard_imports, reason = "it names every operation with its types")]
use lockstep::store::*;

#[derive(Default)]
pub(crate) struct Off(AtomicI64);

/// Operations that the intake of good deliveries does not need; those that it does follow a `+`.
macro_rules! without {
    ($($topic:ident {
        $($name:ident($($type:ty),*) -> $result:ty;)*
    } $(+ { $($own:tt)* })?)*) => {$(
        #[async_trait]
        impl $topic for Off {
            $(async fn $name(&self, $(_: $type),*) -> Result<$result, StoreError> {
                Err(StoreError::Closed)
            })*

            $($($own)*)?
        }
    )*};
}

without! {
    Intake {
        count_rejections(Vec<RejectionCount>) -> ();
        rejections(Timestamp) -> Vec<RejectionCount>;
    } + {
        async fn record_delivery(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
            drop(delivery);
            let event = EventId(self.0.fetch_add(1, Ordering::Relaxed));
            Ok(Recorded::New { event, job: None })
        }
    }

    Queue {
        enqueue(NewJob) -> Enqueued;
        ready_lanes(Timestamp) -> Vec<ReadyLane>;
        claim(Claim) -> Vec<ClaimedJob>;
        next_due() -> Option<Timestamp>;
        next_in_lane(&Lane, Timestamp, u32) -> Vec<String>;
        heartbeat(Vec<(JobId, Fence)>, Timestamp) -> Vec<JobId>;
        lock(JobId, Fence, Vec<RecordKey>) -> Locked;
        finish(Finish) -> Finished;
        reclaim(Timestamp) -> u64;
        clock_went_back(Timestamp) -> u64;
        hasten(&ShopName, System, Timestamp) -> u64;
    } + {
        async fn work_arrived(&self) {
            std::future::pending::<()>().await;
        }
    }

    Jobs {
        jobs(JobFilter) -> Vec<JobRow>;
        job(JobId) -> Option<JobStory>;
        retry(JobId, Timestamp) -> Retried;
        discard(JobId, &str, Timestamp) -> bool;
        discard_waiting(&Lane, &str, Timestamp) -> u64;
        counts(Timestamp) -> Counts;
    }

    Review {
        act(Act) -> Acted;
        problem_clusters(ClusterFilter) -> Vec<ClusterRow>;
        batches(bool, u32) -> Vec<BatchRow>;
        batch_step(i64, Timestamp) -> Option<BatchRow>;
        queue_place(JobId, Timestamp) -> Option<QueuePlace>;
        pauses() -> Vec<PauseRow>;
        note_names(JobId, Fence, Vec<JobName>) -> bool;
    }

    Audit {
        audit(AuditFilter) -> Vec<AuditRow>;
        action_counts(Timestamp) -> Vec<ActionCount>;
    }

    Problems {
        open_shop_problem(&ShopName, NewProblem, Timestamp) -> ();
        close_shop_problems(&ShopName, &str, Timestamp) -> u64;
        close_shop_problem(&ShopName, &str, &str, Timestamp) -> u64;
        open_problems(u32) -> Vec<ProblemRow>;
    }

    Events {
        event(EventId) -> Option<EventRow>;
        events_of(JobId, bool) -> Vec<EventRow>;
        redact(&ShopName, &[RecordKey], Timestamp) -> u64;
        redact_shop(&ShopName, Timestamp) -> u64;
        record_compliance(ComplianceRecord) -> ();
        compliance_records(&ShopName) -> Vec<ComplianceRecord>;
    }

    Links {
        links(&ShopName, LinkKind, &[String]) -> Vec<Link>;
        link_of_erp(&ShopName, LinkKind, ErpId) -> Option<Link>;
        links_of_erp(&ShopName, LinkKind, &[ErpId]) -> Vec<Link>;
        links_in_order(&ShopName, LinkKind, Option<ErpId>, u32) -> Vec<Link>;
        count_links(&ShopName, LinkKind) -> u64;
        save_links(JobId, Fence, Vec<Link>) -> Saved;
        adopt_links(Vec<Adoption>, Timestamp) -> Vec<Adopted>;
    }

    Intents {
        open_intent(JobId, Fence, NewIntent, Timestamp) -> Option<i64>;
        open_intents(&JobKey) -> Vec<Intent>;
        close_intent(JobId, Fence, i64, Timestamp) -> bool;
        note_items(JobId, Fence, Vec<String>) -> bool;
        order_in_work(&ShopName, &str) -> Option<JobId>;
        note_out_write(&ShopName, Object, &str, &str, Timestamp) -> ();
        out_writes_since(&ShopName, Object, &str, &str, Timestamp) -> u64;
    }

    Shops {
        shop_state(&ShopName, Timestamp) -> ShopState;
        set_shop_disabled(&ShopName, Option<&str>, Timestamp) -> ();
        cursor(&ShopName, &str) -> Option<String>;
        set_cursor(&ShopName, &str, &str, Timestamp) -> ();
        first_value(&ShopName, &str, &str, Timestamp) -> String;
        save_breaker(BreakerRow) -> ();
        breakers() -> Vec<BreakerRow>;
    }

    Nodes {
        config_revision(NodeFile, TakenUp, Timestamp) -> Standing;
        newest_revision() -> Option<Revision>;
        nodes(Timestamp) -> Vec<NodeRow>;
        node_gone(&str) -> ();
    }

    Leases {
        take_lease(&str, &str, Timestamp, Timestamp) -> bool;
        release_lease(&str, &str) -> ();
    }

    Runs {
        start_run(NewRun) -> Option<i64>;
        run_goes_on(i64, RunCounts, Timestamp) -> bool;
        finish_run(i64, RunOutcome, Option<&str>, Vec<String>, Timestamp) -> bool;
        runs(u32) -> Vec<RunRow>;
        open_gap(NewGap, Timestamp) -> i64;
        close_gap(GapRun) -> bool;
        gaps() -> Vec<GapRow>;
    }

    Drift {
        save_drift(i64, Vec<DriftRow>) -> ();
        save_drift_report(DriftReport) -> ();
        drift_reports(DriftReportFilter, u32) -> Vec<DriftReport>;
        drift(i64, DriftFilter, u32) -> Vec<DriftRow>;
        count_corrections(Vec<Correction>, Timestamp) -> u64;
        corrections(Timestamp) -> Vec<CorrectionCount>;
    }

    Imports {
        begin_imports(Vec<NewImport>, Actor, Timestamp) -> ImportsBegun;
        act_on_import(ImportAct) -> bool;
        save_import_page(ImportPage) -> bool;
        feed_import(i64, Lane, u32, Timestamp) -> ImportFed;
        end_import(i64, Vec<String>, Timestamp) -> bool;
        note_import_error(i64, Option<&str>) -> ();
        note_import_effect(JobId, Fence, ImportEffect) -> ();
        imports(u32) -> Vec<ImportRow>;
        imports_of(Vec<i64>) -> Vec<ImportRow>;
        open_imports() -> Vec<ImportRow>;
    }

    Written {
        mappings_that_wrote(&ShopName) -> Vec<String>;
        written_records(WrittenFilter, u32) -> Vec<WrittenRecord>;
        written_count(WrittenFilter) -> u64;
    }

    Polls {
        poll_cursor(&ShopName, &str) -> Option<PollCursor>;
        poll_seen(&ShopName, &str, &[ErpId]) -> Vec<SeenRow>;
        poll_present(&ShopName, &str, Option<ErpId>, Option<ErpId>) -> Vec<PresentId>;
        commit_poll(PollCommit) -> PollCommitted;
        forget_poll(PollForget) -> PollForgotten;
    }

    Subscriptions {
        subscriptions(&ShopName) -> Vec<SubscriptionRow>;
        subscribed_shops() -> Vec<ShopName>;
        rename_subscriptions(&ShopName, &ShopName) -> ();
        save_subscription(SubscriptionRow, Option<Word>) -> ();
        remove_subscription(&ShopName, ShopifyId, Timestamp, Option<Word>) -> ();
        saw_subscriptions(&ShopName, &[ShopifyId], Timestamp) -> ();
        count_deliveries(Vec<DeliveryCount>) -> ();
        deliveries_since(&ShopName, Timestamp) -> Vec<DeliverySum>;
    }

    Sessions {
        open_session(SessionRow, Timestamp) -> ();
        session(&str) -> Option<SessionRow>;
        see_session(&str, Timestamp) -> ();
        close_session(&str) -> ();
    }

    Numbers {
        add_tallies(Vec<Tally>) -> ();
        tallies(TallyFilter) -> Vec<Tally>;
        late_orders(Timestamp) -> Vec<LateOrders>;
        delivery_hours(&ShopName, Timestamp) -> Vec<Timestamp>;
        past_problems(TallyFilter, u32) -> Vec<PastProblem>;
        slowest_jobs(TallyFilter, u32) -> Vec<SlowJob>;
    }

    Alerts {
        alerts() -> Vec<AlertRow>;
        change_alerts(AlertChanges, Timestamp) -> ();
        tell_alerts(AlertsTold, Timestamp) -> bool;
        claim_messages(Timestamp, Timestamp, u32) -> Vec<DueMessage>;
        end_message(i64, MessageEnd, Timestamp) -> ();
        last_message(&str) -> Option<Timestamp>;
        alert_standing() -> AlertStanding;
    }

    Notices {
        add_notifications(Vec<String>, Timestamp) -> ();
        outbox(u32) -> Vec<OutboxRow>;
        outbox_after(i64, u32, u64) -> OutboxPage;
        fan_out(Vec<FannedOut>, Timestamp) -> u64;
        claim_dispatches(&str, Timestamp, Timestamp, u32) -> Vec<ClaimedDispatch>;
        batch_dispatches(Vec<(i64, Fence)>, &str) -> bool;
        may_be_sent(Vec<(i64, Fence)>) -> bool;
        end_dispatches(Vec<EndedDispatch>, Timestamp) -> Vec<i64>;
        reclaim_dispatches(Timestamp) -> u64;
        mend_dispatch_times(Timestamp) -> ();
        next_dispatch() -> Vec<(String, Timestamp)>;
        endpoints() -> Vec<EndpointRow>;
        set_endpoint(EndpointAct) -> bool;
        dispatches(DispatchFilter) -> Vec<DispatchRow>;
        tried_dispatches(&str, u32) -> Vec<DispatchRow>;
        dispatch(i64) -> Option<DispatchStory>;
        redeliver(Redeliver, Actor, Timestamp) -> Redelivered;
        cancel_dispatches(&str, EndpointAfter, Actor, Timestamp) -> u64;
        prune_dispatches(Timestamp, u32) -> u64;
    } + {
        async fn notifications_arrived(&self) {
            std::future::pending::<()>().await;
        }
    }

    Housekeeping {
        prune(Timestamp, u32) -> u64;
        time(Timestamp) -> Timestamp;
        ping() -> ();
    } + {
        async fn close(&self) {}
    }
}

impl Store for Off {}
