//! The store's operations over either database: what a caller gave is made ready, run as a read, as a write, or as part
//! of a batch, and its failures are told in the store's words.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::{
    Backend, alerts, audit, batches, care, drift, events, found_by, housekeeping, imports, intake, intents,
    kept, links, nodes, notices, numbers, people, polls, problems, queue, review, runs, sessions, shops,
    subscriptions, upcoming, written,
};
use crate::domain::{
    Actor, Direction, ErpId, EventId, Fence, JobId, JobKey, Link, LinkKind, NewProblem, Object, RecordKey,
    ShopName, ShopifyId, System, Timestamp,
};
use crate::store::fault::Fault;
use crate::store::prepared::{PreparedDelivery, PreparedFinish};
use crate::store::{
    Act, Acted, Action, ActionCount, AuditFilter, AuditRow, BatchRow, ClusterFilter, ClusterRow, JobName,
    PauseRow, QueuePlace,
};
use crate::store::{
    Adopted, Adoption, BreakerRow, Claim, ClaimedJob, ComplianceRecord, Counts, Delivery, DeliveryCount,
    DeliverySum, Enqueued, EventRow, Finish, Finished, GapRow, GapRun, Intent, JobFilter, JobRow, JobStory,
    Lane, Locked, NewGap, NewIntent, NewJob, NewRun, NodeFile, NodeRow, OpenMode, PollCommit, PollCommitted,
    PollCursor, PollForget, PollForgotten, PresentId, ProblemRow, ReadyLane, Recorded, RejectionCount,
    Retried, Revision, RunCounts, RunOutcome, RunRow, Saved, SeenRow, SessionRow, ShopState, Standing, Store,
    StoreError, SubscriptionRow, TakenUp, Verdict,
};
use crate::store::{
    AlertChanges, AlertRow, AlertStanding, AlertsTold, DueMessage, LateOrders, MessageEnd, PastProblem,
    SlowJob, Tally, TallyFilter,
};
use crate::store::{
    ClaimedDispatch, DispatchFilter, DispatchRow, DispatchStory, EndedDispatch, EndpointAct, EndpointAfter,
    EndpointRow, FannedOut, OutboxRow, Redeliver, Redelivered,
};
use crate::store::{Correction, CorrectionCount, DriftFilter, DriftReport, DriftReportFilter, DriftRow};
use crate::store::{ImportAct, ImportEffect, ImportFed, ImportPage, ImportRow, ImportsBegun, NewImport};
use crate::store::{WrittenFilter, WrittenRecord};

/// Runs a question on a connection of its own.
macro_rules! ask {
    ($store:expr, $trying:expr, |$conn:ident| $question:expr) => {
        match $store.reader().await {
            Ok(mut held) => {
                let answer = {
                    let $conn = &mut *held;
                    Backend::in_time($question).await
                };
                if matches!(answer, Err(Fault::TooLong)) {
                    Backend::give_up(held);
                }
                answer
            }
            Err(fault) => Err(fault),
        }
        .map_err(|fault: Fault| fault.told($trying))
    };
}

/// Runs a change in a transaction.
macro_rules! change {
    ($store:expr, $trying:expr, |$conn:ident| $change:expr) => {
        $store
            .write($trying, move |$conn| Box::pin(async move { $change.await }))
            .await
    };
}

impl Backend {
    pub(super) async fn refresh_lanes(&self) -> Result<(), StoreError> {
        let lanes = ask!(self, "read lanes", |conn| queue::all_lanes(conn))?;
        self.lanes.learn(lanes);
        Ok(())
    }

    /// The numbers of these lanes; those that are missing are made.
    async fn lane_ids(&self, lanes: Vec<Lane>) -> Result<Vec<i64>, StoreError> {
        let known = |lanes: &[Lane]| lanes.iter().map(|lane| self.lanes.id(lane)).collect();
        let ids: Option<Vec<i64>> = known(&lanes);
        if let Some(ids) = ids {
            return Ok(ids);
        }
        let missing = lanes.clone();
        let made = change!(self, "make a lane", |conn| queue::make_lanes(conn, &missing))?;
        self.lanes.learn(made);
        let ids: Option<Vec<i64>> = known(&lanes);
        ids.ok_or(StoreError::BadRow {
            table: "lanes",
            row: 0,
            column: "object",
        })
    }
}

#[async_trait]
impl Store for Backend {
    async fn record_delivery(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        let lane_id = match PreparedDelivery::key(&delivery) {
            Some(key) => self.lane_ids(vec![Lane::of(key)]).await?.pop(),
            None => None,
        };
        self.submit_delivery(PreparedDelivery::new(delivery, lane_id))
            .await
    }

    async fn count_rejections(&self, counts: Vec<RejectionCount>) -> Result<(), StoreError> {
        change!(self, "count rejections", |conn| intake::count_rejections(
            conn, &counts
        ))
    }

    async fn rejections(&self, since: Timestamp) -> Result<Vec<RejectionCount>, StoreError> {
        ask!(self, "read rejections", |conn| intake::rejections(conn, since))
    }

    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        let lane_ids = self.lane_ids(vec![Lane::of(&job.key)]).await?;
        self.submit_job(job, lane_ids[0]).await
    }

    async fn ready_lanes(&self, now: Timestamp) -> Result<Vec<ReadyLane>, StoreError> {
        self.looked_at.store(now.millis(), Ordering::Relaxed);
        let ready = ask!(self, "find ready lanes", |conn| queue::ready_lanes(conn, now))?;
        if ready.iter().any(|(id, ..)| self.lanes.lane(*id).is_none()) {
            self.refresh_lanes().await?;
        }
        Ok(queue::named(ready, &self.lanes))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        if claim.lanes.iter().any(|(lane, _)| self.lanes.id(lane).is_none()) {
            // Another process may have made it.
            self.refresh_lanes().await?;
        }
        let mut seen = BTreeSet::new();
        let lanes = claim
            .lanes
            .into_iter()
            .filter_map(|(lane, limit)| Some((self.lanes.id(&lane)?, lane, limit)))
            .filter(|(id, ..)| seen.insert(*id))
            .collect();
        let prepared = queue::PreparedClaim {
            node: claim.node,
            node_id: self.node_id(),
            lanes,
            now: claim.now,
            lease: Self::lease(claim.now, claim.lease),
        };
        change!(self, "claim jobs", |conn| queue::claim(conn, &prepared))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let after = self.looked_at.load(Ordering::Relaxed);
        ask!(self, "find the next due job", |conn| queue::next_due(conn, after))
    }

    async fn next_in_lane(&self, lane: &Lane, now: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
        let Some(lane_id) = self.lanes.id(lane) else {
            return Ok(Vec::new());
        };
        ask!(self, "look ahead in a lane", |conn| upcoming::next_in_lane(
            conn, lane_id, now, limit
        ))
    }

    async fn heartbeat(
        &self,
        attempts: Vec<(JobId, Fence)>,
        lease_until: Timestamp,
    ) -> Result<Vec<JobId>, StoreError> {
        let lease = self.lease_until(lease_until);
        change!(self, "extend leases", |conn| queue::heartbeat(
            conn, &attempts, lease
        ))
    }

    async fn lock(&self, job: JobId, fence: Fence, records: Vec<RecordKey>) -> Result<Locked, StoreError> {
        change!(self, "lock records", |conn| queue::lock(
            conn, job, fence, records
        ))
    }

    async fn finish(&self, finish: Finish) -> Result<Finished, StoreError> {
        let lanes = finish.enqueue.iter().map(|job| Lane::of(&job.key)).collect();
        let lane_ids = self.lane_ids(lanes).await?;
        let awaited = match &finish.verdict {
            Verdict::Wait { on, .. } => self.lanes.about(on),
            _ => None,
        };
        let prepared = PreparedFinish {
            finish,
            lane_ids,
            awaited,
        };
        self.submit_finish(prepared).await
    }

    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.take_back(now).await
    }

    async fn clock_went_back(&self, now: Timestamp) -> Result<u64, StoreError> {
        change!(self, "mend the times of ready jobs", |conn| {
            queue::clock_went_back(conn, now)
        })
    }

    async fn broken(&self) {
        self.broken.cancelled().await;
    }

    async fn hasten(&self, shop: &ShopName, system: System, now: Timestamp) -> Result<u64, StoreError> {
        let shop = shop.clone();
        let count = change!(self, "hasten jobs", |conn| queue::hasten(
            conn, &shop, system, now
        ))?;
        self.ring().await;
        Ok(count)
    }

    async fn work_arrived(&self) {
        tokio::select! {
            () = self.arrived.notified() => {}
            () = self.another_process_wrote() => {}
        }
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRow>, StoreError> {
        ask!(self, "list jobs", |conn| people::jobs(conn, &filter))
    }

    async fn job(&self, id: JobId) -> Result<Option<JobStory>, StoreError> {
        ask!(self, "read a job", |conn| people::job(conn, id))
    }

    async fn retry(&self, id: JobId, now: Timestamp) -> Result<Retried, StoreError> {
        let retried = change!(self, "retry a job", |conn| people::retry(conn, id, now))?;
        self.ring().await;
        Ok(retried)
    }

    async fn discard(&self, id: JobId, reason: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.refresh_lanes().await?;
        let (lanes, reason) = (Arc::clone(&self.lanes), reason.to_owned());
        let discarded = change!(self, "discard a job", |conn| people::discard(
            conn, id, &reason, now, &lanes
        ))?;
        self.ring().await;
        Ok(discarded)
    }

    async fn discard_waiting(&self, lane: &Lane, reason: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.refresh_lanes().await?;
        let Some(lane_id) = self.lanes.id(lane) else {
            return Ok(0);
        };
        let mut discarded = 0;
        loop {
            let reason = reason.to_owned();
            let step = change!(self, "discard waiting jobs", |conn| people::discard_waiting(
                conn, lane_id, &reason, now
            ))?;
            discarded += step;
            if step < u64::from(people::STEP) {
                return Ok(discarded);
            }
        }
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.refresh_lanes().await?;
        let lanes = Arc::clone(&self.lanes);
        ask!(self, "count jobs", |conn| kept::counts(conn, now, &lanes))
    }

    async fn act(&self, act: Act) -> Result<Acted, StoreError> {
        self.refresh_lanes().await?;
        if let Action::CarryOver { key } = &act.action {
            self.lane_ids(vec![Lane::of(key)]).await?;
        }
        let lanes = Arc::clone(&self.lanes);
        let acted = change!(self, "carry out an action", |conn| review::act(
            conn, &act, &lanes
        ))?;
        if acted.is_change() {
            self.ring().await;
        }
        Ok(acted)
    }

    async fn problem_clusters(&self, filter: ClusterFilter) -> Result<Vec<ClusterRow>, StoreError> {
        ask!(self, "count problems by cause", |conn| care::clusters(
            conn, &filter
        ))
    }

    async fn batches(&self, running: bool, limit: u32) -> Result<Vec<BatchRow>, StoreError> {
        ask!(self, "list batches", |conn| batches::list(conn, running, limit))
    }

    async fn batch_step(&self, batch: i64, now: Timestamp) -> Result<Option<BatchRow>, StoreError> {
        let stepped = change!(self, "retry some jobs of a batch", |conn| batches::step(
            conn, batch, now
        ))?;
        self.ring().await;
        Ok(stepped)
    }

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        ask!(self, "read the audit log", |conn| audit::list(conn, &filter))
    }

    async fn action_counts(&self, since: Timestamp) -> Result<Vec<ActionCount>, StoreError> {
        ask!(self, "count actions", |conn| audit::action_counts(conn, since))
    }

    async fn queue_place(&self, job: JobId, now: Timestamp) -> Result<Option<QueuePlace>, StoreError> {
        ask!(self, "find a job's place", |conn| found_by::queue_place(
            conn, job, now
        ))
    }

    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError> {
        ask!(self, "list paused shops", |conn| review::pauses(conn))
    }

    async fn note_names(&self, job: JobId, fence: Fence, names: Vec<JobName>) -> Result<bool, StoreError> {
        change!(self, "note by what a job is found", |conn| found_by::note_names(
            conn, job, fence, &names
        ))
    }

    async fn open_shop_problem(
        &self,
        shop: &ShopName,
        problem: NewProblem,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let shop = shop.clone();
        change!(self, "open a problem", |conn| problems::open_for_shop(
            conn, &shop, &problem, now
        ))
    }

    async fn close_shop_problems(
        &self,
        shop: &ShopName,
        code: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (shop, code) = (shop.clone(), code.to_owned());
        change!(self, "close problems", |conn| problems::close_for_shop(
            conn, &shop, &code, now
        ))
    }

    async fn close_shop_problem(
        &self,
        shop: &ShopName,
        code: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (shop, code, cluster) = (shop.clone(), code.to_owned(), cluster.to_owned());
        change!(self, "close a problem", |conn| problems::close_cluster(
            conn, &shop, &code, &cluster, now
        ))
    }

    async fn open_problems(&self, limit: u32) -> Result<Vec<ProblemRow>, StoreError> {
        ask!(self, "list problems", |conn| problems::open(conn, limit))
    }

    async fn event(&self, id: EventId) -> Result<Option<EventRow>, StoreError> {
        ask!(self, "read an event", |conn| events::event(conn, id))
    }

    async fn events_of(&self, job: JobId, with_bodies: bool) -> Result<Vec<EventRow>, StoreError> {
        ask!(self, "read events", |conn| events::of_job(conn, job, with_bodies))
    }

    async fn redact(
        &self,
        shop: &ShopName,
        records: &[RecordKey],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.refresh_lanes().await?;
        let mentions = ask!(
            self,
            "look for mentions of a customer",
            |conn| events::mentioning(conn, shop, records, &self.lanes)
        )?;
        // What is fanned out meanwhile is found by its keys.
        let told = ask!(self, "look for mentions of a customer", |conn| {
            notices::waiting_mentions(conn, shop, Some(records))
        })?;
        let (shop, records, lanes) = (shop.clone(), records.to_vec(), Arc::clone(&self.lanes));
        change!(self, "remove a customer's data", |conn| async {
            let touched = events::redact(&mut *conn, &shop, &records, &mentions, &lanes).await?;
            Ok(touched + notices::redact(conn, &shop, &records, &told, now).await?)
        })
    }

    async fn redact_shop(&self, shop: &ShopName, now: Timestamp) -> Result<u64, StoreError> {
        self.refresh_lanes().await?;
        let trying = "remove a shop's data";
        let last = ask!(self, trying, |conn| events::highest(conn))?;
        let mut touched = 0;
        let mut after = 0;
        while after < last {
            let (shop, lanes) = (shop.clone(), Arc::clone(&self.lanes));
            touched += change!(self, trying, |conn| events::redact_shop_step(
                conn, &shop, after, &lanes
            ))?;
            after += events::STEP;
        }
        let mut next = Some((String::new(), String::new()));
        while let Some(position) = next {
            let shop = shop.clone();
            let (rows, further) = change!(self, trying, |conn| events::redact_shop_links(
                conn, &shop, &position
            ))?;
            touched += rows;
            next = further;
        }
        let told = ask!(self, trying, |conn| notices::waiting_mentions(conn, shop, None))?;
        touched += change!(self, trying, |conn| notices::redact_shop_outbox(conn, &told))?;
        let (first, last) = ask!(self, trying, |conn| notices::ends_of_numbers(conn))?;
        let mut after = first - 1;
        while after < last {
            let shop = shop.clone();
            touched += change!(self, trying, |conn| notices::redact_shop_step(
                conn, &shop, after, now
            ))?;
            after += events::STEP;
        }
        Ok(touched)
    }

    async fn record_compliance(&self, record: ComplianceRecord) -> Result<(), StoreError> {
        change!(self, "record a privacy request", |conn| shops::record_compliance(
            conn, &record
        ))
    }

    async fn compliance_records(&self, shop: &ShopName) -> Result<Vec<ComplianceRecord>, StoreError> {
        ask!(self, "read privacy requests", |conn| shops::compliance(
            conn, shop
        ))
    }

    async fn links(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        source_ids: &[String],
    ) -> Result<Vec<Link>, StoreError> {
        ask!(self, "read links", |conn| links::of_sources(
            conn, shop, kind, source_ids
        ))
    }

    async fn link_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_id: ErpId,
    ) -> Result<Option<Link>, StoreError> {
        ask!(self, "read a link", |conn| links::of_erp(
            conn, shop, kind, erp_id
        ))
    }

    async fn links_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_ids: &[ErpId],
    ) -> Result<Vec<Link>, StoreError> {
        ask!(self, "read links", |conn| links::of_erp_records(
            conn, shop, kind, erp_ids
        ))
    }

    async fn save_links(&self, job: JobId, fence: Fence, links: Vec<Link>) -> Result<Saved, StoreError> {
        change!(self, "save links", |conn| links::save_under_fence(
            conn, job, fence, &links
        ))
    }

    async fn adopt_links(&self, groups: Vec<Adoption>, now: Timestamp) -> Result<Vec<Adopted>, StoreError> {
        change!(self, "link records of both sides", |conn| links::adopt(
            conn, &groups, now
        ))
    }

    async fn open_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: NewIntent,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        change!(self, "note a write before it is sent", |conn| intents::open(
            conn, job, fence, &intent, now
        ))
    }

    async fn open_intents(&self, key: &JobKey) -> Result<Vec<Intent>, StoreError> {
        let lane_id = self.lane_ids(vec![Lane::of(key)]).await?[0];
        ask!(self, "read writes without an answer", |conn| {
            intents::open_ones(conn, lane_id, &key.source_id)
        })
    }

    async fn close_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        change!(self, "note the answer to a write", |conn| intents::close(
            conn, job, fence, intent, now
        ))
    }

    async fn note_items(&self, job: JobId, fence: Fence, items: Vec<String>) -> Result<bool, StoreError> {
        change!(self, "note what an order sells", |conn| intents::note_items(
            conn, job, fence, &items
        ))
    }

    async fn order_in_work(&self, shop: &ShopName, item: &str) -> Result<Option<JobId>, StoreError> {
        let lane = Lane {
            shop: shop.clone(),
            object: Object::Order,
            direction: Direction::In,
        };
        let lane_id = self.lane_ids(vec![lane]).await?[0];
        ask!(self, "look for open orders", |conn| intents::in_work(
            conn, lane_id, item
        ))
    }

    async fn note_out_write(
        &self,
        shop: &ShopName,
        object: Object,
        kind: &str,
        record: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, kind, record) = (shop.clone(), kind.to_owned(), record.to_owned());
        change!(self, "note a write to the shop", |conn| intents::note_write(
            conn, &shop, object, &kind, &record, now
        ))
    }

    async fn out_writes_since(
        &self,
        shop: &ShopName,
        object: Object,
        kind: &str,
        but: &str,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        ask!(self, "count writes to the shop", |conn| intents::writes_since(
            conn, shop, object, kind, but, since
        ))
    }

    async fn count_links(&self, shop: &ShopName, kind: LinkKind) -> Result<u64, StoreError> {
        ask!(self, "count links", |conn| intents::linked(conn, shop, kind))
    }

    async fn shop_state(&self, shop: &ShopName, now: Timestamp) -> Result<ShopState, StoreError> {
        let known = ask!(self, "read a shop's state", |conn| shops::known_state(conn, shop))?;
        if let Some(state) = known {
            return Ok(state);
        }
        if self.mode == OpenMode::Tool {
            // Which orders are booked follows from the daemon's first sight of a shop, not from somebody's look at it.
            return Ok(ShopState {
                first_seen_at: now,
                disabled: None,
            });
        }
        let shop = shop.clone();
        change!(self, "remember a shop", |conn| shops::state(conn, &shop, now))
    }

    async fn set_shop_disabled(
        &self,
        shop: &ShopName,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, reason) = (shop.clone(), reason.map(str::to_owned));
        change!(self, "disable or enable a shop", |conn| shops::set_disabled(
            conn,
            &shop,
            reason.as_deref(),
            now
        ))
    }

    async fn cursor(&self, shop: &ShopName, name: &str) -> Result<Option<String>, StoreError> {
        ask!(self, "read a position", |conn| shops::cursor(conn, shop, name))
    }

    async fn set_cursor(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, name, value) = (shop.clone(), name.to_owned(), value.to_owned());
        change!(self, "move a position", |conn| shops::set_cursor(
            conn, &shop, &name, &value, now
        ))
    }

    async fn first_value(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let (shop, name, value) = (shop.clone(), name.to_owned(), value.to_owned());
        change!(self, "set a value once", |conn| shops::first_value(
            conn, &shop, &name, &value, now
        ))
    }

    async fn save_breaker(&self, breaker: BreakerRow) -> Result<(), StoreError> {
        change!(self, "record a breaker", |conn| shops::save_breaker(
            conn, &breaker
        ))
    }

    async fn breakers(&self) -> Result<Vec<BreakerRow>, StoreError> {
        ask!(self, "read breakers", |conn| shops::breakers(conn))
    }

    async fn config_revision(
        &self,
        file: NodeFile,
        how: TakenUp,
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let node_id = self.node_id();
        change!(self, "number a configuration", |conn| nodes::take_up(
            conn, &file, how, node_id, now
        ))
    }

    async fn open_session(&self, row: SessionRow, idle_since: Timestamp) -> Result<(), StoreError> {
        change!(self, "begin a session", |conn| sessions::open(
            conn, &row, idle_since
        ))
    }

    async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError> {
        ask!(self, "read a session", |conn| sessions::read(conn, id))
    }

    async fn see_session(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        change!(self, "note a session", |conn| sessions::see(conn, &id, now))
    }

    async fn close_session(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        change!(self, "end a session", |conn| sessions::close(conn, &id))
    }

    async fn subscriptions(&self, shop: &ShopName) -> Result<Vec<SubscriptionRow>, StoreError> {
        ask!(self, "read subscriptions", |conn| subscriptions::of_shop(
            conn, shop
        ))
    }

    async fn subscribed_shops(&self) -> Result<Vec<ShopName>, StoreError> {
        ask!(self, "read subscriptions", |conn| subscriptions::shops(conn))
    }

    async fn rename_subscriptions(&self, from: &ShopName, to: &ShopName) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        change!(self, "rename a shop", |conn| subscriptions::rename(
            conn, &from, &to
        ))
    }

    async fn save_subscription(&self, row: SubscriptionRow) -> Result<(), StoreError> {
        change!(self, "note a subscription", |conn| subscriptions::save(
            conn, &row
        ))
    }

    async fn remove_subscription(
        &self,
        shop: &ShopName,
        id: ShopifyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let shop = shop.clone();
        change!(self, "note a subscription's end", |conn| {
            subscriptions::remove(conn, &shop, id, at)
        })
    }

    async fn saw_subscriptions(
        &self,
        shop: &ShopName,
        ids: &[ShopifyId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shop, ids) = (shop.clone(), ids.to_vec());
        change!(self, "note subscriptions", |conn| subscriptions::saw(
            conn, &shop, &ids, now
        ))
    }

    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let (name, holder) = (name.to_owned(), self.holder(holder));
        change!(self, "take a lease", |conn| subscriptions::take_lease(
            conn, &name, &holder, now, until
        ))
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), self.holder(holder));
        change!(self, "give a lease back", |conn| {
            subscriptions::release_lease(conn, &name, &holder)
        })
    }

    async fn count_deliveries(&self, counts: Vec<DeliveryCount>) -> Result<(), StoreError> {
        change!(self, "count deliveries", |conn| subscriptions::count(
            conn, &counts
        ))
    }

    async fn deliveries_since(
        &self,
        shop: &ShopName,
        since: Timestamp,
    ) -> Result<Vec<DeliverySum>, StoreError> {
        ask!(self, "read counts of deliveries", |conn| {
            subscriptions::deliveries(conn, shop, since)
        })
    }

    async fn newest_revision(&self) -> Result<Option<Revision>, StoreError> {
        ask!(self, "read the newest configuration", |conn| nodes::newest(conn))
    }

    async fn nodes(&self, now: Timestamp) -> Result<Vec<NodeRow>, StoreError> {
        ask!(self, "list nodes", |conn| nodes::live(conn, now))
    }

    async fn node_gone(&self, node: &str) -> Result<(), StoreError> {
        let node = node.to_owned();
        change!(self, "forget a node", |conn| nodes::gone(conn, &node))
    }

    async fn start_run(&self, run: NewRun) -> Result<Option<i64>, StoreError> {
        change!(self, "begin a run", |conn| runs::start(conn, &run))
    }

    async fn run_goes_on(&self, run: i64, counts: RunCounts, now: Timestamp) -> Result<bool, StoreError> {
        change!(self, "note how far a run is", |conn| runs::goes_on(
            conn, run, counts, now
        ))
    }

    async fn finish_run(
        &self,
        run: i64,
        outcome: RunOutcome,
        error: Option<&str>,
        notifications: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let error = error.map(str::to_owned);
        let tells = !notifications.is_empty();
        let ended = change!(self, "end a run", |conn| runs::finish(
            conn,
            run,
            outcome,
            error.as_deref(),
            &notifications,
            now
        ));
        if tells {
            self.ring_told().await;
        }
        ended
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        ask!(self, "list runs", |conn| runs::last(conn, limit))
    }

    async fn links_in_order(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        ask!(self, "read links in order", |conn| links::in_order(
            conn, shop, kind, after, limit
        ))
    }

    async fn save_drift(&self, run: i64, rows: Vec<DriftRow>) -> Result<(), StoreError> {
        change!(self, "keep what a run found", |conn| drift::save(
            conn, run, &rows
        ))
    }

    async fn save_drift_report(&self, report: DriftReport) -> Result<(), StoreError> {
        change!(self, "keep a run's report", |conn| drift::save_report(
            conn, &report
        ))
    }

    async fn drift_reports(
        &self,
        filter: DriftReportFilter,
        limit: u32,
    ) -> Result<Vec<DriftReport>, StoreError> {
        ask!(self, "read reports of runs", |conn| drift::reports(
            conn, &filter, limit
        ))
    }

    async fn drift(&self, run: i64, filter: DriftFilter, limit: u32) -> Result<Vec<DriftRow>, StoreError> {
        ask!(self, "read what a run found", |conn| drift::rows(
            conn, run, &filter, limit
        ))
    }

    async fn count_corrections(
        &self,
        corrections: Vec<Correction>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        change!(self, "count corrections", |conn| drift::count_corrections(
            conn,
            &corrections,
            now
        ))
    }

    async fn corrections_of(
        &self,
        shop: &ShopName,
        object: Object,
        source: ShopifyId,
    ) -> Result<Vec<(String, String)>, StoreError> {
        ask!(self, "read corrections of a record", |conn| {
            drift::corrections_of(conn, shop, object, source)
        })
    }

    async fn corrections(&self, since: Timestamp) -> Result<Vec<CorrectionCount>, StoreError> {
        ask!(self, "read corrections", |conn| drift::corrections(conn, since))
    }

    async fn open_gap(&self, gap: NewGap, now: Timestamp) -> Result<i64, StoreError> {
        change!(self, "open a gap", |conn| runs::open_gap(conn, &gap, now))
    }

    async fn close_gap(&self, ended: GapRun) -> Result<bool, StoreError> {
        change!(self, "close a gap", |conn| runs::ran(conn, &ended))
    }

    async fn gaps(&self) -> Result<Vec<GapRow>, StoreError> {
        ask!(self, "list gaps", |conn| runs::gaps(conn))
    }

    async fn begin_imports(
        &self,
        imports: Vec<NewImport>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<ImportsBegun, StoreError> {
        change!(self, "begin imports", |conn| imports::begin(
            conn, &imports, &actor, now
        ))
    }

    async fn act_on_import(&self, act: ImportAct) -> Result<bool, StoreError> {
        change!(self, "stop or resume an import", |conn| imports::act(conn, &act))
    }

    async fn save_import_page(&self, page: ImportPage) -> Result<bool, StoreError> {
        change!(self, "save what an import listed", |conn| imports::listed(
            conn, &page
        ))
    }

    async fn feed_import(
        &self,
        import: i64,
        lane: Lane,
        most: u32,
        now: Timestamp,
    ) -> Result<ImportFed, StoreError> {
        // Asked many times a second while an import runs: without room nothing is locked, and nobody is woken.
        let room = ask!(self, "look for room for an import", |conn| imports::room(
            conn, import, most, now
        ))?;
        if room.is_empty() {
            return Ok(ImportFed {
                open: room.open,
                made: 0,
            });
        }
        let lane_id = self.lane_ids(vec![lane]).await?[0];
        let fed = change!(self, "make jobs of an import", |conn| imports::feed(
            conn, import, lane_id, most, now
        ))?;
        if fed.made > 0 {
            self.ring().await;
        }
        Ok(fed)
    }

    async fn end_import(&self, import: i64, now: Timestamp) -> Result<bool, StoreError> {
        change!(self, "end an import", |conn| imports::end(conn, import, now))
    }

    async fn note_import_error(&self, import: i64, error: Option<&str>) -> Result<(), StoreError> {
        let error = error.map(str::to_owned);
        change!(self, "note why an import waits", |conn| imports::note_error(
            conn,
            import,
            error.as_deref()
        ))
    }

    async fn note_import_effect(
        &self,
        job: JobId,
        fence: Fence,
        effect: ImportEffect,
    ) -> Result<(), StoreError> {
        change!(self, "note what an import did", |conn| imports::effect(
            conn, job, fence, effect
        ))
    }

    async fn imports(&self, limit: u32) -> Result<Vec<ImportRow>, StoreError> {
        ask!(self, "list imports", |conn| imports::last(conn, limit))
    }

    async fn open_imports(&self) -> Result<Vec<ImportRow>, StoreError> {
        ask!(self, "list open imports", |conn| imports::open(conn))
    }

    async fn mappings_that_wrote(&self, shop: &ShopName) -> Result<Vec<String>, StoreError> {
        ask!(self, "list the mappings that wrote", |conn| written::mappings(
            conn, shop
        ))
    }

    async fn written_records(
        &self,
        filter: WrittenFilter,
        limit: u32,
    ) -> Result<Vec<WrittenRecord>, StoreError> {
        ask!(self, "list what a mapping wrote", |conn| written::records(
            conn, &filter, limit
        ))
    }

    async fn written_count(&self, filter: WrittenFilter) -> Result<u64, StoreError> {
        ask!(self, "count what a mapping wrote", |conn| written::count(
            conn, &filter
        ))
    }

    async fn poll_cursor(&self, shop: &ShopName, model: &str) -> Result<Option<PollCursor>, StoreError> {
        ask!(self, "read how far the ERP was read", |conn| polls::cursor(
            conn, shop, model
        ))
    }

    async fn poll_seen(
        &self,
        shop: &ShopName,
        model: &str,
        ids: &[ErpId],
    ) -> Result<Vec<SeenRow>, StoreError> {
        ask!(self, "read what was seen in the ERP", |conn| polls::seen(
            conn, shop, model, ids
        ))
    }

    async fn poll_present(
        &self,
        shop: &ShopName,
        model: &str,
        after: Option<ErpId>,
        upto: Option<ErpId>,
    ) -> Result<Vec<PresentId>, StoreError> {
        ask!(self, "read what was there in the ERP", |conn| polls::present(
            conn, shop, model, after, upto
        ))
    }

    async fn commit_poll(&self, mut commit: PollCommit) -> Result<PollCommitted, StoreError> {
        commit.lease.1 = self.holder(&commit.lease.1);
        let lanes = commit.jobs.iter().map(|job| Lane::of(&job.key)).collect();
        let lane_ids = self.lane_ids(lanes).await?;
        let jobs: Vec<(NewJob, i64)> = commit.jobs.iter().cloned().zip(lane_ids).collect();
        let rings = !jobs.is_empty();
        let committed = change!(self, "save a poll", |conn| polls::commit(conn, &commit, &jobs))?;
        if rings {
            self.ring().await;
        }
        Ok(committed)
    }

    async fn forget_poll(&self, mut forget: PollForget) -> Result<PollForgotten, StoreError> {
        forget.lease.1 = self.holder(&forget.lease.1);
        change!(self, "forget how far the ERP was read", |conn| polls::forget(
            conn, &forget
        ))
    }

    async fn add_tallies(&self, tallies: Vec<Tally>) -> Result<(), StoreError> {
        change!(self, "count", |conn| numbers::add(conn, &tallies))
    }

    async fn tallies(&self, filter: TallyFilter) -> Result<Vec<Tally>, StoreError> {
        ask!(self, "read counts", |conn| numbers::list(conn, &filter))
    }

    async fn late_orders(&self, before: Timestamp) -> Result<Vec<LateOrders>, StoreError> {
        self.refresh_lanes().await?;
        let lanes = self.lanes.inward();
        ask!(self, "look for late orders", |conn| numbers::late_orders(
            conn, &lanes, before
        ))
    }

    async fn delivery_hours(&self, shop: &ShopName, since: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        ask!(self, "read when deliveries came", |conn| {
            numbers::delivery_hours(conn, shop, since)
        })
    }

    async fn past_problems(&self, filter: TallyFilter, limit: u32) -> Result<Vec<PastProblem>, StoreError> {
        ask!(self, "list past problems", |conn| numbers::past_problems(
            conn, &filter, limit
        ))
    }

    async fn slowest_jobs(&self, filter: TallyFilter, limit: u32) -> Result<Vec<SlowJob>, StoreError> {
        ask!(self, "look for slow jobs", |conn| numbers::slowest(
            conn, &filter, limit
        ))
    }

    async fn alerts(&self) -> Result<Vec<AlertRow>, StoreError> {
        ask!(self, "list alerts", |conn| alerts::pending(conn))
    }

    async fn change_alerts(&self, changes: AlertChanges, now: Timestamp) -> Result<(), StoreError> {
        change!(self, "save alerts", |conn| alerts::change(conn, &changes, now))
    }

    async fn tell_alerts(&self, told: AlertsTold, now: Timestamp) -> Result<bool, StoreError> {
        change!(self, "write messages", |conn| alerts::tell(conn, &told, now))
    }

    async fn claim_messages(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueMessage>, StoreError> {
        change!(self, "take messages", |conn| alerts::claim(
            conn, now, until, limit
        ))
    }

    async fn end_message(&self, id: i64, end: MessageEnd, now: Timestamp) -> Result<(), StoreError> {
        change!(self, "note a message's end", |conn| alerts::end(
            conn, id, &end, now
        ))
    }

    async fn last_message(&self, recipient: &str) -> Result<Option<Timestamp>, StoreError> {
        ask!(self, "read the last message", |conn| alerts::last_written(
            conn, recipient
        ))
    }

    async fn alert_standing(&self) -> Result<AlertStanding, StoreError> {
        ask!(self, "read how alerts stand", |conn| alerts::standing(conn))
    }

    async fn add_notifications(&self, bodies: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        if bodies.is_empty() {
            return Ok(());
        }
        change!(self, "add notifications", |conn| async {
            let bodies: Vec<(&str, Timestamp)> = bodies.iter().map(|body| (body.as_str(), now)).collect();
            notices::add(conn, &bodies).await
        })?;
        self.ring_told().await;
        Ok(())
    }

    async fn notifications_arrived(&self) {
        self.told.notified().await;
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        self.outbox_after(0, limit).await
    }

    async fn outbox_after(&self, after: i64, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        ask!(self, "read the outbox", |conn| notices::outbox(
            conn, after, limit
        ))
    }

    async fn fan_out(&self, rows: Vec<FannedOut>, now: Timestamp) -> Result<u64, StoreError> {
        change!(self, "fan notifications out", |conn| notices::fan_out(
            conn, &rows, now
        ))
    }

    async fn claim_dispatches(
        &self,
        endpoint: &str,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedDispatch>, StoreError> {
        let endpoint = endpoint.to_owned();
        change!(self, "take deliveries to send", |conn| notices::claim(
            conn, &endpoint, now, until, limit
        ))
    }

    async fn batch_dispatches(&self, ids: Vec<(i64, Fence)>, batch: &str) -> Result<bool, StoreError> {
        let batch = batch.to_owned();
        change!(self, "note what is sent together", |conn| notices::batch(
            conn, &ids, &batch
        ))
    }

    async fn end_dispatches(
        &self,
        ended: Vec<EndedDispatch>,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let tells = ended.iter().any(|end| !end.notifications.is_empty());
        let stale = change!(self, "note what became of deliveries", |conn| notices::end(
            conn, &ended, now
        ))?;
        if tells {
            self.ring_told().await;
        }
        Ok(stale)
    }

    async fn reclaim_dispatches(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let step = change!(self, "take back deliveries", |conn| notices::reclaim_step(
                conn,
                now.millis(),
                now
            ))?;
            if step == 0 {
                break;
            }
            count += step;
        }
        if count > 0 {
            self.ring_told().await;
        }
        Ok(count)
    }

    async fn next_dispatch(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        ask!(self, "find the next delivery", |conn| notices::next(conn))
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        ask!(self, "list endpoints", |conn| notices::endpoints(conn))
    }

    async fn set_endpoint(&self, act: EndpointAct) -> Result<bool, StoreError> {
        let changed = change!(self, "pause or resume an endpoint", |conn| {
            notices::set_endpoint(conn, &act)
        })?;
        self.ring_told().await;
        Ok(changed)
    }

    async fn dispatches(&self, filter: DispatchFilter) -> Result<Vec<DispatchRow>, StoreError> {
        ask!(self, "list deliveries", |conn| notices::dispatches(conn, &filter))
    }

    async fn tried_dispatches(&self, endpoint: &str, limit: u32) -> Result<Vec<DispatchRow>, StoreError> {
        ask!(self, "list deliveries that were tried", |conn| {
            notices::tried_dispatches(conn, endpoint, limit)
        })
    }

    async fn dispatch(&self, id: i64) -> Result<Option<DispatchStory>, StoreError> {
        ask!(self, "read a delivery", |conn| notices::dispatch(conn, id))
    }

    async fn redeliver(
        &self,
        what: Redeliver,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Redelivered, StoreError> {
        let trying = "send deliveries once more";
        let (asked, by) = (what.clone(), actor.clone());
        let begun = change!(self, trying, |conn| notices::redeliver(conn, &asked, &by, now))?;
        let redelivered = match begun {
            notices::Begun::Over(redelivered) => redelivered,
            notices::Begun::Steps(mut progress) => {
                while !progress.is_over() {
                    let (asked, by) = (what.clone(), actor.clone());
                    progress = change!(self, trying, |conn| notices::redeliver_step(
                        conn, &asked, progress, &by, now
                    ))?;
                }
                Redelivered::Done(progress.count)
            }
        };
        self.ring_told().await;
        Ok(redelivered)
    }

    async fn cancel_dispatches(
        &self,
        endpoint: &str,
        after: EndpointAfter,
        actor: Actor,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut progress = notices::Cancelled::default();
        while !progress.is_over {
            let (endpoint, by) = (endpoint.to_owned(), actor.clone());
            progress = change!(self, "cancel deliveries", |conn| notices::cancel_step(
                conn, &endpoint, after, progress, &by, now
            ))?;
        }
        Ok(progress.count)
    }

    async fn prune_dispatches(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        change!(self, "delete old deliveries", |conn| notices::prune(
            conn, before, limit
        ))
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        change!(self, "delete old work", |conn| housekeeping::prune(
            conn, before, limit
        ))
    }

    async fn time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        ask!(self, "read the time", |conn| housekeeping::time(conn, now))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self, "read", |conn| housekeeping::ping(conn))?;
        change!(self, "write", |conn| housekeeping::ping(conn))
    }

    async fn close(&self) {
        self.shut().await;
    }
}
