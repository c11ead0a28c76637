//! Durable state: events, jobs, attempts, links, problems, locks, cursors.
//!
//! One trait of named operations, two implementations: SQLite (one writer, the default) and PostgreSQL (several
//! nodes). SQL appears nowhere else. Both pass one conformance suite. Every operation is atomic: it happens wholly or
//! not at all, and when it returned `Ok` it survives a power cut.

mod adoption;
mod alerts;
mod body;
#[cfg(test)]
mod conformance;
mod drift;
mod fault;
#[cfg(test)]
pub mod faulty;
mod imports;
mod intents;
mod look_only;
mod migrations;
mod nodes;
mod notices;
mod numbers;
mod open;
mod polls;
mod postgres;
mod prepared;
mod review;
mod rules;
mod runs;
mod sessions;
mod sqlite;
#[cfg(test)]
pub mod testing;
mod types;
mod written;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Actor, EventId, Fence, JobId, Link, LinkKind, RecordKey, ShopName, Timestamp};

pub use adoption::{Adopted, Adoption};
pub use alerts::*;
pub use drift::{
    Correction, CorrectionCount, DriftCount, DriftFilter, DriftKind, DriftLooked, DriftReport,
    DriftReportFilter, DriftRow,
};
pub use imports::{
    ImportAct, ImportCounts, ImportEffect, ImportFed, ImportPage, ImportRow, ImportState, ImportsBegun,
    NewImport,
};
pub use intents::{Intent, NewIntent};
pub use look_only::LookOnly;
pub use migrations::{MigrationName, MigrationReport};
pub use nodes::{NODE_DEAD_AFTER, NodeFile, NodeRow, Revision, Standing, TakenUp};
pub use notices::*;
pub use numbers::*;
pub use open::{OpenMode, is_usable_address, migrate, migrations, open};
pub use polls::{
    PollCommit, PollCommitted, PollCursor, PollForget, PollForgotten, PresentId, PresentPage, SeenRow,
};
pub use review::*;
pub use runs::{
    Covered, GapRow, GapRun, NewGap, NewRun, RUN_DEAD_AFTER, RunCounts, RunKind, RunOutcome, RunRow,
};
pub use sessions::SessionRow;
pub use types::*;
pub use written::*;

/// A store that many parts share.
pub type SharedStore = Arc<dyn Store>;

/// Durable state. See the module's documentation for what every operation promises.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // --- intake -----------------------------------------------------------------------------------------------

    /// Stores one delivery and, in the same transaction, what it asks for (see [`DeliveryAction`]). Concurrent calls
    /// share commits; each returns only after its own commit. A delivery whose `dedup_key` and
    /// `triggered_at` the shop has sent before changes nothing.
    async fn record_delivery(&self, delivery: Delivery) -> Result<Recorded, StoreError>;

    /// Adds to the durable counts of refused deliveries, by shop, reason and hour.
    async fn count_rejections(&self, counts: Vec<RejectionCount>) -> Result<(), StoreError>;

    /// The refusals since `since`, newest hour first.
    async fn rejections(&self, since: Timestamp) -> Result<Vec<RejectionCount>, StoreError>;

    // --- queue ------------------------------------------------------------------------------------------------

    /// Makes sure that an open job exists for the key and wants at least one more attempt: a new job, or one more
    /// `wanted` on the open one. A `problem` or `held` job becomes available at once (its problem stays open until an
    /// attempt succeeds); one that rests (`retryable`, `scheduled`) keeps its time, whatever asks for it.
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError>;

    /// The lanes (shop, object, direction) that have a job to claim at `now`, with the time of the oldest. Its cost
    /// follows the number of lanes, not of jobs.
    async fn ready_lanes(&self, now: Timestamp) -> Result<Vec<ReadyLane>, StoreError>;

    /// Claims up to `limit` jobs of each named lane for `node`: the first by priority, then the oldest. Each claimed
    /// job gets a new fence, a lease, and `taken = wanted`.
    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedJob>, StoreError>;

    /// When the next job that waits for a time becomes ready; `None` when none does.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The source ids of the jobs of a lane that come next, at most `limit`: those that run, and then those that may be
    /// claimed at `now`, in the order of claims. For looking ahead only; nothing is taken by it.
    async fn next_in_lane(&self, lane: &Lane, now: Timestamp, limit: u32) -> Result<Vec<String>, StoreError>;

    /// Extends the leases of these attempts. Returns those that are no longer ours.
    async fn heartbeat(
        &self,
        attempts: Vec<(JobId, Fence)>,
        lease_until: Timestamp,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Takes locks on records for a running attempt, all or none, never waiting. The job's own record is locked by its
    /// claim: a lock on a record that another job's running attempt is about, or has locked, is refused. Locks end with
    /// the attempt's [`Store::finish`] or with the loss of its lease.
    async fn lock(&self, job: JobId, fence: Fence, records: Vec<RecordKey>) -> Result<Locked, StoreError>;

    /// Ends an attempt: checks the fence and saves attempt, job state, links, problem, new jobs and lock release, all or
    /// nothing. Other jobs that waited for this job's record or for its locks become available. When `wanted > taken`, a
    /// job that would be closed, held or a problem becomes available again instead.
    async fn finish(&self, finish: Finish) -> Result<Finished, StoreError>;

    /// Gives back every job that a dead node held (SQLite: every running job at start; PostgreSQL: those of nodes whose
    /// session lock is free, or whose lease ended). Returns how many. The attempt is recorded as unclean and does not
    /// count as a failure of its job; but from the second in a row on the job rests before it is tried again, and the
    /// fifth makes it a problem.
    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// The clock was set back: what was ready stays ready, although its time lies in the future now. Returns how many
    /// jobs that concerned.
    async fn clock_went_back(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Makes retryable jobs of the shop due now whose last attempt failed because `system` was down.
    async fn hasten(
        &self,
        shop: &ShopName,
        system: crate::domain::System,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Completes when new work may be there (a hint: it may be late, early or lost; callers also poll).
    async fn work_arrived(&self);

    // --- people -----------------------------------------------------------------------------------------------

    /// Jobs that fit the filter, newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRow>, StoreError>;

    /// One job with its attempts, events and problems.
    async fn job(&self, id: JobId) -> Result<Option<JobStory>, StoreError>;

    /// Makes an open job that waits (`problem`, `retryable`, `scheduled`, `held`) available now, with its attempts
    /// counted anew; a `completed`, `obsolete` or `discarded` one gets a new job of the same key.
    async fn retry(&self, id: JobId, now: Timestamp) -> Result<Retried, StoreError>;

    /// Gives an open job up, with a person's reason. Refused while it runs.
    async fn discard(&self, id: JobId, reason: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Gives up all jobs of a lane that wait (for their turn, a time or a lock), but none that another job waits for.
    /// Running, held and problem jobs stay. Returns how many.
    async fn discard_waiting(&self, lane: &Lane, reason: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Counts for `status`, metrics and the demo.
    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError>;

    // --- review -----------------------------------------------------------------------------------------------

    /// Does what a person asks for and writes it down, in one transaction; what changes nothing leaves no line.
    async fn act(&self, act: Act) -> Result<Acted, StoreError>;

    /// Open problems by cause, the most frequent first.
    async fn problem_clusters(&self, filter: ClusterFilter) -> Result<Vec<ClusterRow>, StoreError>;

    /// Batches, newest first, up to `limit` (0 means 50); only running ones where that is asked.
    async fn batches(&self, running: bool, limit: u32) -> Result<Vec<BatchRow>, StoreError>;

    /// Makes the next step of a batch if it runs and the step is due. What a step retries and what is left then are
    /// committed together, so that whatever is killed, each job is retried once. Returns the batch as it stands then.
    async fn batch_step(&self, batch: i64, now: Timestamp) -> Result<Option<BatchRow>, StoreError>;

    /// Lines of the audit log, newest first.
    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError>;

    /// How often people did what since then.
    async fn action_counts(&self, since: Timestamp) -> Result<Vec<ActionCount>, StoreError>;

    /// The place of a waiting job in its lane; none for one that does not wait.
    async fn queue_place(&self, job: JobId, now: Timestamp) -> Result<Option<QueuePlace>, StoreError>;

    /// The shops that people paused, by name.
    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError>;

    /// Notes by what the job of a running attempt is found, besides what was noted before. False when the attempt is no
    /// longer ours.
    async fn note_names(&self, job: JobId, fence: Fence, names: Vec<JobName>) -> Result<bool, StoreError>;

    // --- problems without a job -------------------------------------------------------------------------------

    /// Opens a problem of the shop itself (or raises its count when one of the same cluster is open).
    async fn open_shop_problem(
        &self,
        shop: &ShopName,
        problem: crate::domain::NewProblem,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Closes the shop's open problems of this code. Returns how many.
    async fn close_shop_problems(
        &self,
        shop: &ShopName,
        code: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Closes the shop's open problem of this code and cluster, if there is one.
    async fn close_shop_problem(
        &self,
        shop: &ShopName,
        code: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// All open problems, newest first, up to `limit`.
    async fn open_problems(&self, limit: u32) -> Result<Vec<ProblemRow>, StoreError>;

    // --- events -----------------------------------------------------------------------------------------------

    /// One event with its body.
    async fn event(&self, id: EventId) -> Result<Option<EventRow>, StoreError>;

    /// The events that asked for this job, oldest first, without bodies unless asked for.
    async fn events_of(&self, job: JobId, with_bodies: bool) -> Result<Vec<EventRow>, StoreError>;

    /// Removes or blanks what we store about one customer (by Shopify's id, and the orders named): bodies of their events,
    /// names and details of jobs, attempts and problems. Ids stay, so that nothing is synced twice. Returns rows touched.
    async fn redact(&self, shop: &ShopName, records: &[RecordKey], now: Timestamp)
    -> Result<u64, StoreError>;

    /// As [`Store::redact`], for everything of a shop.
    async fn redact_shop(&self, shop: &ShopName, now: Timestamp) -> Result<u64, StoreError>;

    /// Records that a privacy request was carried out.
    async fn record_compliance(&self, record: ComplianceRecord) -> Result<(), StoreError>;

    /// The privacy requests carried out, newest first.
    async fn compliance_records(&self, shop: &ShopName) -> Result<Vec<ComplianceRecord>, StoreError>;

    // --- links ------------------------------------------------------------------------------------------------

    /// The links of these source ids; absent ones are missing from the answer.
    async fn links(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        source_ids: &[String],
    ) -> Result<Vec<Link>, StoreError>;

    /// The link of an ERP record.
    async fn link_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_id: crate::domain::ErpId,
    ) -> Result<Option<Link>, StoreError>;

    /// The live links of these ERP records, in no particular order; those that are not linked are missing from the answer.
    async fn links_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_ids: &[crate::domain::ErpId],
    ) -> Result<Vec<Link>, StoreError>;

    /// Commits links before an attempt ends (adoption, references), under its fence.
    async fn save_links(&self, job: JobId, fence: Fence, links: Vec<Link>) -> Result<Saved, StoreError>;

    /// Links records that exist on both sides, each group of links wholly or not at all, and only where no attempt works on
    /// one of its records and none of them is linked. An attempt that begins later finds the links. Answers in the order given.
    async fn adopt_links(&self, groups: Vec<Adoption>, now: Timestamp) -> Result<Vec<Adopted>, StoreError>;

    // --- outgoing writes --------------------------------------------------------------------------------------

    /// Commits a write to the shop before it is sent, under the attempt's fence. Returns its number; `None` when the attempt
    /// is no longer ours.
    async fn open_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: NewIntent,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError>;

    /// The writes of this record's jobs whose outcome is not known yet, oldest first. They outlive the job that decided them.
    async fn open_intents(&self, key: &crate::domain::JobKey) -> Result<Vec<Intent>, StoreError>;

    /// Closes an intent whose outcome is known. False when the attempt is no longer ours.
    async fn close_intent(
        &self,
        job: JobId,
        fence: Fence,
        intent: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Notes what the order of a running attempt sells (Shopify's numbers of variants), besides what was noted before. False
    /// when the attempt is no longer ours.
    async fn note_items(&self, job: JobId, fence: Fence, items: Vec<String>) -> Result<bool, StoreError>;

    /// An order of the shop that is still to be carried in and sells this variant, or of which nobody knows yet what it
    /// sells.
    async fn order_in_work(&self, shop: &ShopName, item: &str) -> Result<Option<JobId>, StoreError>;

    /// Notes that a record is written to the shop, for the limits on sudden change; `kind` says what makes it count.
    async fn note_out_write(
        &self,
        shop: &ShopName,
        object: crate::domain::Object,
        kind: &str,
        record: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// How many records of the object, besides this one, were noted since.
    async fn out_writes_since(
        &self,
        shop: &ShopName,
        object: crate::domain::Object,
        kind: &str,
        but: &str,
        since: Timestamp,
    ) -> Result<u64, StoreError>;

    /// How many records of a kind are linked.
    async fn count_links(&self, shop: &ShopName, kind: LinkKind) -> Result<u64, StoreError>;

    // --- shops, cursors, configuration ------------------------------------------------------------------------

    /// What is known of a shop; made with `first_seen_at = now` when it is new, except by a tool, which only looks.
    async fn shop_state(&self, shop: &ShopName, now: Timestamp) -> Result<ShopState, StoreError>;

    /// Disables or enables a shop.
    async fn set_shop_disabled(
        &self,
        shop: &ShopName,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// A named position of a shop, e.g. of a run.
    async fn cursor(&self, shop: &ShopName, name: &str) -> Result<Option<String>, StoreError>;

    /// Moves a named position.
    async fn set_cursor(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Sets a named position that nobody has set yet. Returns what stands there then.
    async fn first_value(
        &self,
        shop: &ShopName,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<String, StoreError>;

    /// Records the state of a breaker, so that other processes can show it.
    async fn save_breaker(&self, breaker: BreakerRow) -> Result<(), StoreError>;

    /// The breakers that were ever recorded.
    async fn breakers(&self) -> Result<Vec<BreakerRow>, StoreError>;

    // --- nodes and revisions ----------------------------------------------------------------------------------

    /// Notes what a node runs and that it lives, and says how that stands to the newest revision, on which all nodes act.
    /// What somebody saved while the node ran is the newest from now on, even if it stood before; what it found at its start
    /// or runs still becomes the newest only if no other node runs the newest, or did a moment ago (for one that begins while
    /// no other lives, what was run a moment ago is over). To be repeated every few seconds (see [`NODE_DEAD_AFTER`]).
    async fn config_revision(
        &self,
        file: NodeFile,
        how: TakenUp,
        now: Timestamp,
    ) -> Result<Standing, StoreError>;

    /// What all nodes act on.
    async fn newest_revision(&self) -> Result<Option<Revision>, StoreError>;

    /// The nodes that live, by name.
    async fn nodes(&self, now: Timestamp) -> Result<Vec<NodeRow>, StoreError>;

    /// A node ends in order. What it ran counts as run for [`NODE_DEAD_AFTER`] still, because it may only be restarted.
    async fn node_gone(&self, node: &str) -> Result<(), StoreError>;

    // --- runs and gaps ----------------------------------------------------------------------------------------

    /// Begins a run; `None` while another one of its kind and of this shop's object is under way on any node.
    async fn start_run(&self, run: NewRun) -> Result<Option<i64>, StoreError>;

    /// Notes how far a run is and that it lives (see [`RUN_DEAD_AFTER`]). False when it was taken for dead.
    async fn run_goes_on(&self, run: i64, counts: RunCounts, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends a run, with what other systems are told of that. False, and nothing told, when it had ended.
    async fn finish_run(
        &self,
        run: i64,
        outcome: RunOutcome,
        error: Option<&str>,
        notifications: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The last runs, newest first.
    async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, StoreError>;

    /// The live links of a kind in the order of their ERP records, at most `limit`, from the first one after `after` on.
    async fn links_in_order(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        after: Option<crate::domain::ErpId>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError>;

    /// Keeps what a full run found, row by row; a row of the same place is replaced.
    async fn save_drift(&self, run: i64, rows: Vec<DriftRow>) -> Result<(), StoreError>;

    /// Keeps a full run's counts. They are told of once the run has ended well.
    async fn save_drift_report(&self, report: DriftReport) -> Result<(), StoreError>;

    /// The reports of full runs that ended well, newest first, up to `limit`.
    async fn drift_reports(
        &self,
        filter: DriftReportFilter,
        limit: u32,
    ) -> Result<Vec<DriftReport>, StoreError>;

    /// What a full run found, in its order, up to `limit`.
    async fn drift(&self, run: i64, filter: DriftFilter, limit: u32) -> Result<Vec<DriftRow>, StoreError>;

    /// Counts values that people put in place of what was written, each once. Says how many were not known.
    async fn count_corrections(
        &self,
        corrections: Vec<Correction>,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Field and value of those that were ever counted of a record of the shop, as far as they are still kept.
    async fn corrections_of(
        &self,
        shop: &ShopName,
        object: crate::domain::Object,
        source: crate::domain::ShopifyId,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// How many such values were found since then, by shop, object, field and mapping, the most frequent first.
    async fn corrections(&self, since: Timestamp) -> Result<Vec<CorrectionCount>, StoreError>;

    /// Opens a gap, or widens the open one of this shop's object; a run for it is due at once. Returns its number.
    async fn open_gap(&self, gap: NewGap, now: Timestamp) -> Result<i64, StoreError>;

    /// Closes a gap if the run covers all of it as it stands now (it may have been widened during the run), else notes when
    /// the next run is due. Says whether it closed.
    async fn close_gap(&self, ended: GapRun) -> Result<bool, StoreError>;

    /// The open gaps, oldest first.
    async fn gaps(&self) -> Result<Vec<GapRow>, StoreError>;

    // --- imports ----------------------------------------------------------------------------------------------

    /// Begins imports, all or none, with their lines in the audit log. Where one of the same object runs, that is told
    /// instead; one that is stopped is dropped.
    async fn begin_imports(
        &self,
        imports: Vec<NewImport>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<ImportsBegun, StoreError>;

    /// Stops an import or lets it go on, with its line in the audit log. False where it stood like that, or is over.
    async fn act_on_import(&self, act: ImportAct) -> Result<bool, StoreError>;

    /// Saves what was listed, with where the list goes on. False, and nothing happened, where the import does not run, stands
    /// elsewhere, or has listed records without a job.
    async fn save_import_page(&self, page: ImportPage) -> Result<bool, StoreError>;

    /// Makes jobs of listed records, in their order, as long as no more than `most` of the import run or are due; they go
    /// behind everything else. Those that rest until they are tried again take no place of others, but there is a bound for
    /// all that are open.
    async fn feed_import(
        &self,
        import: i64,
        lane: Lane,
        most: u32,
        now: Timestamp,
    ) -> Result<ImportFed, StoreError>;

    /// Ends an import that runs, whose records all have a job and whose jobs are over or need a person. Says whether it ended.
    async fn end_import(&self, import: i64, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes why an import does not get on, or that it does; the next page takes the note away, too.
    async fn note_import_error(&self, import: i64, error: Option<&str>) -> Result<(), StoreError>;

    /// Notes what an attempt of an import's job did, under its fence. What was created stays created,
    /// until another import asks for the same job.
    async fn note_import_effect(
        &self,
        job: JobId,
        fence: Fence,
        effect: ImportEffect,
    ) -> Result<(), StoreError>;

    /// The last imports, newest first.
    async fn imports(&self, limit: u32) -> Result<Vec<ImportRow>, StoreError>;

    /// The imports that are not over, oldest first, without the counts of their jobs.
    async fn open_imports(&self) -> Result<Vec<ImportRow>, StoreError>;

    // --- what mappings wrote ----------------------------------------------------------------------------------

    /// The revisions of the mappings that stories of attempts tell wrote records of a shop, in the order of their names.
    async fn mappings_that_wrote(&self, shop: &ShopName) -> Result<Vec<String>, StoreError>;

    /// The records that a revision wrote, in their order, at most `limit`, each with the stories that tell it.
    async fn written_records(
        &self,
        filter: WrittenFilter,
        limit: u32,
    ) -> Result<Vec<WrittenRecord>, StoreError>;

    /// How many records a revision wrote; a filter's `after` and `stories` play no part.
    async fn written_count(&self, filter: WrittenFilter) -> Result<u64, StoreError>;

    // --- polling ----------------------------------------------------------------------------------------------

    /// How far a model of the shop's ERP was read; `None` where it never was.
    async fn poll_cursor(&self, shop: &ShopName, model: &str) -> Result<Option<PollCursor>, StoreError>;

    /// Which of these rows were seen in the window that is still open.
    async fn poll_seen(
        &self,
        shop: &ShopName,
        model: &str,
        ids: &[crate::domain::ErpId],
    ) -> Result<Vec<SeenRow>, StoreError>;

    /// The rows that were there when all ids were listed last, after one id and up to another.
    async fn poll_present(
        &self,
        shop: &ShopName,
        model: &str,
        after: Option<crate::domain::ErpId>,
        upto: Option<crate::domain::ErpId>,
    ) -> Result<Vec<PresentId>, StoreError>;

    /// Saves what a step of a poll found: cursor, rows seen, ids listed and the jobs that follow, all or nothing, and only
    /// as long as the right to poll is held.
    async fn commit_poll(&self, commit: PollCommit) -> Result<PollCommitted, StoreError>;

    /// Forgets how far a model was read, so that the next poll begins anew: only as long as the right to poll is held, and
    /// only for the newest configuration.
    async fn forget_poll(&self, forget: PollForget) -> Result<PollForgotten, StoreError>;

    // --- subscriptions ----------------------------------------------------------------------------------------

    /// The webhook subscriptions of the shop that are ours, and of each topic the last one that stands no more.
    async fn subscriptions(&self, shop: &ShopName) -> Result<Vec<SubscriptionRow>, StoreError>;

    /// The shops that have subscriptions of ours which stand, as far as we know.
    async fn subscribed_shops(&self) -> Result<Vec<ShopName>, StoreError>;

    /// A shop has another name now: what is known of its subscriptions and of what arrives through them follows.
    async fn rename_subscriptions(&self, from: &ShopName, to: &ShopName) -> Result<(), StoreError>;

    /// Notes a subscription as ours, or what it is now.
    async fn save_subscription(&self, row: SubscriptionRow) -> Result<(), StoreError>;

    /// Notes that a subscription of ours stands no more, since `at`.
    async fn remove_subscription(
        &self,
        shop: &ShopName,
        id: crate::domain::ShopifyId,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Notes that these subscriptions stand as they are wanted.
    async fn saw_subscriptions(
        &self,
        shop: &ShopName,
        ids: &[crate::domain::ShopifyId],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Takes a right that one holder has at a time, until it ends, or keeps it for longer. Says whether it is the holder's now.
    /// Holders that serve begin with [`SERVING`]. It is held for as long as from `now` to `until`, on PostgreSQL by the
    /// database's clock.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a right back before it ends; nothing happens where it is another holder's.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError>;

    /// Adds to the durable counts of verified deliveries, by shop, topic, subscription's name and hour.
    async fn count_deliveries(&self, counts: Vec<DeliveryCount>) -> Result<(), StoreError>;

    /// The shop's verified deliveries by topic and name: how many in the hours that began at `since` or later, and when the
    /// last of all came.
    async fn deliveries_since(
        &self,
        shop: &ShopName,
        since: Timestamp,
    ) -> Result<Vec<DeliverySum>, StoreError>;

    // --- sessions ---------------------------------------------------------------------------------------------

    /// Begins a session of the console, and forgets those that were last seen before `idle_since`.
    async fn open_session(&self, row: SessionRow, idle_since: Timestamp) -> Result<(), StoreError>;

    /// The session with this id.
    async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError>;

    /// Notes that a session was used; one that was ended stays ended.
    async fn see_session(&self, id: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Ends a session, if there is one.
    async fn close_session(&self, id: &str) -> Result<(), StoreError>;

    // --- numbers and alerts -----------------------------------------------------------------------------------

    /// Adds to the counts by hour. (Ends of attempts are counted by [`Store::finish`] itself.)
    async fn add_tallies(&self, tallies: Vec<Tally>) -> Result<(), StoreError>;

    /// The counts of some hours, oldest first.
    async fn tallies(&self, filter: TallyFilter) -> Result<Vec<Tally>, StoreError>;

    /// Open orders that were first heard of before then and have no record in the ERP, by shop.
    async fn late_orders(&self, before: Timestamp) -> Result<Vec<LateOrders>, StoreError>;

    /// The hours since then in which deliveries of the shop were taken, oldest first.
    async fn delivery_hours(&self, shop: &ShopName, since: Timestamp) -> Result<Vec<Timestamp>, StoreError>;

    /// The problems that were first seen in this time, newest first, up to `limit`.
    async fn past_problems(&self, filter: TallyFilter, limit: u32) -> Result<Vec<PastProblem>, StoreError>;

    /// The completed jobs of this time that took longest, the slowest first. It looks at all of that time.
    async fn slowest_jobs(&self, filter: TallyFilter, limit: u32) -> Result<Vec<SlowJob>, StoreError>;

    /// The conditions that last, and those whose end people are still to be told of.
    async fn alerts(&self) -> Result<Vec<AlertRow>, StoreError>;

    /// Saves what a look at the conditions found. Of one condition there is one row while it lasts.
    async fn change_alerts(&self, changes: AlertChanges, now: Timestamp) -> Result<(), StoreError>;

    /// Writes messages together with what they tell. False, and nothing happened, when any of it was told already.
    async fn tell_alerts(&self, told: AlertsTold, now: Timestamp) -> Result<bool, StoreError>;

    /// Takes up to `limit` messages that are due. Whoever took them says what became of them before `until`; then they are due
    /// again.
    async fn claim_messages(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueMessage>, StoreError>;

    /// Notes what became of a message.
    async fn end_message(&self, id: i64, end: MessageEnd, now: Timestamp) -> Result<(), StoreError>;

    /// When a message to this recipient was last written.
    async fn last_message(&self, recipient: &str) -> Result<Option<Timestamp>, StoreError>;

    /// How telling people goes.
    async fn alert_standing(&self) -> Result<AlertStanding, StoreError>;

    // --- notifications ----------------------------------------------------------------------------------------

    /// Commits notifications that no attempt ends with. (Those of an attempt are committed by [`Store::finish`].)
    async fn add_notifications(&self, bodies: Vec<String>, now: Timestamp) -> Result<(), StoreError>;

    /// Completes when notifications or dispatches may be there to look at (a hint: it may be late, early or lost; callers
    /// also poll).
    async fn notifications_arrived(&self);

    /// Notifications that are not fanned out yet, in their order, up to `limit`.
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError>;

    /// The same with higher numbers than `after`: what comes behind those that are left where they are.
    async fn outbox_after(&self, after: i64, limit: u32) -> Result<Vec<OutboxRow>, StoreError>;

    /// Makes dispatches of notifications and takes these out of the outbox, all or nothing. Of those that are not in it
    /// any more nothing is made: another node was faster. Returns how many dispatches were made.
    async fn fan_out(&self, rows: Vec<FannedOut>, now: Timestamp) -> Result<u64, StoreError>;

    /// Takes up to `limit` dispatches of an endpoint that are due, the first by priority, then by time; none of one that is
    /// paused. What was sent together before is taken together, even if that makes it more than `limit`. Whoever took them says
    /// before `until` what became of them.
    async fn claim_dispatches(
        &self,
        endpoint: &str,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedDispatch>, StoreError>;

    /// Notes that claimed dispatches are sent together, now and whenever they are tried again. False, and nothing noted, when one
    /// of them is no longer ours.
    async fn batch_dispatches(&self, ids: Vec<(i64, Fence)>, batch: &str) -> Result<bool, StoreError>;

    /// Ends claimed dispatches, each with its try, its endpoint's standing and what is told because of it. Returns those that are
    /// no longer ours: of them nothing is saved, and where all of a request's are not, nothing of it is. One that was to be tried
    /// again is cancelled if nothing can be sent any more, and replaced if a newer one took its place.
    async fn end_dispatches(&self, ended: Vec<EndedDispatch>, now: Timestamp)
    -> Result<Vec<i64>, StoreError>;

    /// Makes dispatches due whose claim ended without a word. Returns how many.
    async fn reclaim_dispatches(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// When the first waiting dispatch of each endpoint that is not paused is due, the earliest first.
    async fn next_dispatch(&self) -> Result<Vec<(String, Timestamp)>, StoreError>;

    /// The endpoints that anything was ever made for or known of, by name.
    async fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError>;

    /// Pauses an endpoint or lets it go on, with its line in the audit log. False where it stood like that.
    async fn set_endpoint(&self, act: EndpointAct) -> Result<bool, StoreError>;

    /// Dispatches that fit, newest first.
    async fn dispatches(&self, filter: DispatchFilter) -> Result<Vec<DispatchRow>, StoreError>;

    /// The last dispatches of an endpoint that were tried, newest first, up to `limit`. However many wait for their first try, those
    /// in front of them that are to be tried again are among them.
    async fn tried_dispatches(&self, endpoint: &str, limit: u32) -> Result<Vec<DispatchRow>, StoreError>;

    /// One dispatch with its tries.
    async fn dispatch(&self, id: i64) -> Result<Option<DispatchStory>, StoreError>;

    /// Sends what has ended once more, with its line in the audit log. The notifications keep their ids.
    async fn redeliver(
        &self,
        what: Redeliver,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Redelivered, StoreError>;

    /// Cancels what waits for an endpoint, and forgets how the endpoint stood or leaves that as it is, with a line in the audit
    /// log if anything waited. What is being sent comes to its end; an endpoint that is kept may be sent that again. Returns how
    /// many were cancelled.
    async fn cancel_dispatches(
        &self,
        endpoint: &str,
        after: EndpointAfter,
        actor: Actor,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Deletes at most `limit` dispatches that ended before `before`, with what belongs to them alone. Returns how many went; 0
    /// means that nothing is left.
    async fn prune_dispatches(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    // --- housekeeping -----------------------------------------------------------------------------------------

    /// Deletes at most `limit` of the closed jobs (with their events and attempts) and of the recorded-only events that
    /// ended before `before`; never a failure that is open. Returns how many rows went; 0 means that nothing is left.
    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// The time by the database's clock, which all nodes share; SQLite has none of its own and takes `now`.
    async fn time(&self, now: Timestamp) -> Result<Timestamp, StoreError>;

    /// A cheap proof that the store can be written and read.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Completes when the store broke for good (a fault of lockstep itself): the process is to be started again.
    async fn broken(&self) {
        std::future::pending::<()>().await;
    }

    /// Flushes, releases locks and closes.
    async fn close(&self);
}
