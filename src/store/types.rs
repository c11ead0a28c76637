//! What goes into the store's operations and what comes out.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Direction, Disposition, EventId, Fence, JobId, JobKey, JobState, LONGEST_CALL, Link, NewProblem, Object,
    Priority, RecordKey, ShopName, ShopifyId, System, Timestamp,
};

/// Finished work is kept for at least so many days: Shopify repeats a delivery for up to two, and a repetition is known
/// only by what is kept.
pub const LEAST_KEEP_DAYS: u32 = 7;

/// `[store]`: where durable state lives and how long finished work is kept.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `sqlite://PATH` (relative to the configuration file) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub url: String,
    /// File that holds the address instead, for one with a password; read when the daemon or a command starts.
    pub url_file: Option<PathBuf>,
    /// Completed work older than this many days (at least 7) is deleted in small steps; failures never are.
    #[schemars(range(min = 7))]
    pub keep_days: u32,
    /// When to delete it: a cron expression (UTC), five or six fields.
    pub prune_schedule: String,
    /// PostgreSQL: the most connections this process opens.
    pub max_connections: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "sqlite://lockstep.db".into(),
            url_file: None,
            keep_days: 90,
            prune_schedule: "17 3 * * *".into(),
            max_connections: 10,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password: its scheme is all that is shown.
        let scheme = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("Settings")
            .field("url", &format_args!("{scheme}:…"))
            .field("keep_days", &self.keep_days)
            .finish_non_exhaustive()
    }
}

/// Why an operation of the store failed. Nothing of it happened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, or was busy or full: it may work later.
    #[error("the store is unavailable while trying to {trying}")]
    Unavailable {
        /// The operation.
        trying: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database refused the operation.
    #[error("the store failed to {trying}")]
    Failed {
        /// The operation.
        trying: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A row that this version cannot read.
    #[error("table {table}, row {row}: column {column} holds what this version cannot read")]
    BadRow {
        /// Table.
        table: &'static str,
        /// Row's number.
        row: i64,
        /// Column.
        column: &'static str,
    },
    /// The database was made by a newer version.
    #[error(
        "the database is at migration {found}, this lockstep knows migrations up to {known}: install the newer lockstep again"
    )]
    TooNew {
        /// The newest migration in the database.
        found: i64,
        /// The newest that this binary has.
        known: i64,
    },
    /// The database is older than this version, and a tool does not change it.
    #[error(
        "the database lacks {pending} of this version's migrations: run `lockstep migrate`, or start `lockstep serve`"
    )]
    Behind {
        /// How many.
        pending: usize,
    },
    /// The settings name no store.
    #[error("`{0}` is no store address: expected sqlite://PATH or postgres://USER@HOST/DATABASE")]
    BadUrl(String),
    /// Another daemon uses the database.
    #[error("another lockstep already serves {path}: stop it first, or give this one a database of its own")]
    InUse {
        /// The database file.
        path: String,
    },
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What it means for a job: every failure of the store may pass, and none is the record's fault.
    pub fn disposition(&self) -> Disposition {
        Disposition::Transient { retry_after: None }
    }
}

/// One verified delivery of a webhook.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The shop whose secret signed it.
    pub shop: ShopName,
    /// `X-Shopify-Topic`.
    pub topic: String,
    /// `X-Shopify-Webhook-Id`.
    pub webhook_id: Option<String>,
    /// `X-Shopify-Event-Id`.
    pub event_id: Option<String>,
    /// What makes a repetition a repetition, together with `triggered_at` (Shopify repeats it unchanged); unique within the
    /// shop.
    pub dedup_key: String,
    /// `X-Shopify-Triggered-At`.
    pub triggered_at: Option<Timestamp>,
    /// `X-Shopify-API-Version`.
    pub api_version: Option<String>,
    /// When we received it.
    pub received_at: Timestamp,
    /// The exact bytes. Stored compressed where that saves space.
    pub body: bytes::Bytes,
    /// SHA-256 of the body, hexadecimal.
    pub body_sha256: String,
    /// What it asks for.
    pub action: DeliveryAction,
}

/// What a delivery asks for.
#[derive(Clone, Debug)]
pub enum DeliveryAction {
    /// Work on a record: joins the open job of the key or makes one.
    Job {
        /// The record.
        key: JobKey,
        /// How urgent.
        priority: Priority,
    },
    /// Nothing but to be kept, with the reason, e.g. `unknown_topic`, `toggle_off`.
    Record {
        /// Why no work follows.
        reason: &'static str,
    },
    /// It cannot be understood: a job in state `problem` makes it visible.
    Problem {
        /// A key of its own, made of the body's hash.
        key: JobKey,
        /// What a person is told.
        problem: NewProblem,
    },
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored.
    New {
        /// Its event.
        event: EventId,
        /// The job that it made or joined.
        job: Option<JobId>,
    },
    /// The same delivery was stored before; nothing changed.
    Repeated,
}

/// Refused deliveries of one shop, reason and hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RejectionCount {
    /// The shop's name, or `-` where none could be told.
    pub shop: String,
    /// E.g. `bad_signature`, `no_signature`, `unknown_shop`, `too_large`.
    pub reason: String,
    /// The start of the hour.
    pub hour: Timestamp,
    /// How many.
    pub count: u64,
}

/// A job to make or to join.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its key.
    pub key: JobKey,
    /// How urgent.
    pub priority: Priority,
    /// When it was asked for.
    pub now: Timestamp,
    /// Why, for people: `webhook`, `sync command`, `order #1042 needs it`.
    pub cause: String,
}

/// What [`super::Store::enqueue`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The open job of the key.
    pub job: JobId,
    /// Whether it was made now.
    pub created: bool,
}

/// Jobs of one shop, object and direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Lane {
    /// Shop.
    pub shop: ShopName,
    /// Object.
    pub object: Object,
    /// Direction.
    pub direction: Direction,
}

/// A lane with something to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyLane {
    /// The lane.
    pub lane: Lane,
    /// When its oldest ready job became due.
    pub oldest_due: Timestamp,
    /// Whether nothing is ready there but jobs of imports: everything else goes first.
    pub has_only_imports: bool,
}

/// A request for jobs.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who claims.
    pub node: String,
    /// From which lanes, and how many at most of each, in this order.
    pub lanes: Vec<(Lane, u32)>,
    /// The current time.
    pub now: Timestamp,
    /// How long the claim holds without a heartbeat.
    pub lease: Duration,
}

/// A job that was claimed.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// Its number.
    pub id: JobId,
    /// Its key.
    pub key: JobKey,
    /// The token of this claim.
    pub fence: Fence,
    /// Attempts before this one that count against the retry policy.
    pub failed_attempts: u32,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// When an attempt before this one ended without knowing what became of a call to the ERP (e.g. because its process
    /// died). None once an attempt succeeded since.
    pub unclean_at: Option<Timestamp>,
    /// When the first event that it still owes was received.
    pub wanted_since: Timestamp,
    /// When that change happened on the source side, when the source told.
    pub triggered_at: Option<Timestamp>,
    /// The record's name for people, if an earlier attempt learned it.
    pub record_name: Option<String>,
    /// The import that asked for it: a person wants all of these records, old ones too.
    pub import: Option<i64>,
    /// The problem that is open about it, as [`NewProblem::mark`] tells it from others.
    pub problem: Option<String>,
    /// How urgent it was when it was claimed.
    pub priority: Priority,
}

impl ClaimedJob {
    /// Whether its calls let those of other jobs go first: only an import wants it, and nothing live asked for it since.
    pub fn gives_way(&self) -> bool {
        self.import.is_some() && self.priority == Priority::BACKGROUND
    }

    /// When nothing that an earlier attempt sent can take effect any more, if there is such a thing.
    pub fn settled_at(&self) -> Option<Timestamp> {
        Some(self.unclean_at?.plus(LONGEST_CALL))
    }
}

/// Whether locks were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// All of them.
    Taken,
    /// None: this record is in other hands.
    Busy(RecordKey),
    /// The attempt is no longer ours.
    Stale,
}

/// Whether links were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Committed.
    Done,
    /// The attempt is no longer ours; nothing was saved.
    Stale,
    /// Another source record is linked to the same ERP record; nothing was saved.
    Conflict,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The job.
    pub job: JobId,
    /// The claim's token.
    pub fence: Fence,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its result.
    pub verdict: Verdict,
    /// Whether what it sent to the ERP may still take effect: a call of it has no answer.
    pub unclean: bool,
    /// One line for the retry log: what was done, or the error. No customer data.
    pub summary: String,
    /// What the attempt did, for people: calls with durations, the plan, totals. No secrets.
    pub detail: serde_json::Value,
    /// The configuration's revision it ran under.
    pub revision: Option<i64>,
    /// The record's name for people, e.g. `#1042`.
    pub record_name: Option<String>,
    /// The ERP's name for people, e.g. `S00042`.
    pub erp_name: Option<String>,
    /// Links to store.
    pub links: Vec<Link>,
    /// Jobs to make, e.g. for products that an order waits for.
    pub enqueue: Vec<NewJob>,
    /// What other systems are told of it: notifications without their sequence. They are committed with everything else, or not
    /// at all.
    pub notifications: Vec<String>,
}

/// What becomes of the job.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Done.
    Completed,
    /// Nothing to do, with the reason as a code, e.g. `before_start`, `deleted`, `test_order`.
    Obsolete {
        /// Why.
        reason: String,
    },
    /// To be tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Whether the attempt counts against the policy.
        counts: bool,
        /// The system that was down, if that was the reason.
        system_down: Option<System>,
    },
    /// Waits for a record: for its lock to be released or its job to end.
    Wait {
        /// The record.
        on: RecordKey,
        /// Looked at again then in any case.
        until: Timestamp,
    },
    /// Needs a person.
    Problem(NewProblem),
    /// Planned, and waits for a person's yes.
    Held(NewProblem),
    /// Given back with nothing under way (shutdown): as if it had not been claimed.
    Release,
}

/// What [`super::Store::finish`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Saved; the job is now in this state.
    Done(JobState),
    /// Saved as this problem in the place of its own end, and without what it would have told: its links belong to another
    /// record already.
    Conflict {
        /// The job's state: `available` where it is wanted again by now.
        state: JobState,
        /// The problem, which is open.
        problem: Box<NewProblem>,
    },
    /// The attempt was no longer ours; nothing was saved.
    Stale,
}

/// What [`super::Store::retry`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// This job is available now.
    Again(JobId),
    /// It was closed; this new one was made.
    New(JobId),
    /// It runs at this moment.
    Running,
    /// There is no such job.
    Unknown,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// One of these; empty means any.
    pub ids: Vec<JobId>,
    /// Of this shop.
    pub shop: Option<ShopName>,
    /// About this object.
    pub object: Option<Object>,
    /// In one of these states; empty means any.
    pub states: Vec<JobState>,
    /// About this source record.
    pub source_id: Option<String>,
    /// With this name for people, on either side.
    pub name: Option<String>,
    /// In this direction.
    pub direction: Option<Direction>,
    /// With an open problem of this kind.
    pub code: Option<String>,
    /// With an open problem of this cause.
    pub cluster: Option<String>,
    /// Found by this.
    pub known_by: Option<super::JobName>,
    /// Changed then or later.
    pub changed_since: Option<Timestamp>,
    /// Changed before then.
    pub changed_until: Option<Timestamp>,
    /// Before this job (paging).
    pub before: Option<JobId>,
    /// At most this many; 0 means 50.
    pub limit: u32,
}

/// One job as people see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JobRow {
    /// Number.
    pub id: JobId,
    /// Key.
    pub key: JobKey,
    /// State.
    pub state: JobState,
    /// Why an obsolete or discarded job was closed.
    pub reason: Option<String>,
    /// Shopify's name for people.
    pub record_name: Option<String>,
    /// The ERP's name for people.
    pub erp_name: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// Failures since the last success or the last retry by a person, those that found a whole system down not counted:
    /// what the retry policy goes by.
    pub failed_attempts: u32,
    /// Events that joined it.
    pub events: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it is tried next, if it waits for a time.
    pub run_at: Option<Timestamp>,
    /// What it waits for.
    pub waits_on: Option<String>,
    /// Its open problem.
    pub problem: Option<NewProblem>,
    /// The last attempt's one line.
    pub last_summary: Option<String>,
    /// Why it was made.
    #[serde(skip)]
    pub cause: String,
}

/// One job with its history.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JobStory {
    /// The job.
    pub job: JobRow,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// Its events, oldest first, without bodies.
    pub events: Vec<EventRow>,
    /// All its problems, open and closed, oldest first.
    pub problems: Vec<ProblemRow>,
}

/// One attempt: a line of the retry log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AttemptRow {
    /// From 1.
    pub number: u32,
    /// Who ran it.
    pub node: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none for one that never said.
    pub ended_at: Option<Timestamp>,
    /// `completed`, `obsolete`, `retry`, `wait`, `problem`, `held`, `unclean`.
    pub outcome: String,
    /// One line.
    pub summary: String,
    /// What it did: notes, each with `what` and its `detail`. The last one, `calls`, has the calls that it made to both systems,
    /// with the time that each took and what came of it.
    pub detail: serde_json::Value,
    /// The configuration's revision.
    pub revision: Option<i64>,
}

/// One event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventRow {
    /// Number.
    pub id: EventId,
    /// Shop.
    pub shop: ShopName,
    /// Topic.
    pub topic: String,
    /// Delivery's id.
    pub webhook_id: Option<String>,
    /// Action's id.
    pub event_id: Option<String>,
    /// When it happened, by the shop's word.
    pub triggered_at: Option<Timestamp>,
    /// When it came.
    pub received_at: Timestamp,
    /// Hash of the body.
    pub body_sha256: String,
    /// Why no job followed, if none did.
    pub reason: Option<String>,
    /// The body, where it was asked for and is still kept.
    #[serde(skip)]
    pub body: Option<Vec<u8>>,
}

/// One problem.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProblemRow {
    /// Number.
    pub id: i64,
    /// Shop.
    pub shop: ShopName,
    /// The job, unless the shop itself has the problem.
    pub job: Option<JobId>,
    /// What a person is told.
    pub problem: NewProblem,
    /// First seen.
    pub opened_at: Timestamp,
    /// Last seen.
    pub seen_at: Timestamp,
    /// How often.
    pub count: u32,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
}

/// Counts for `status`, metrics and the demo.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Open jobs and jobs of the last day by lane and state, with the age of the oldest.
    pub jobs: Vec<LaneCount>,
    /// Events stored.
    pub events: u64,
    /// When the last of them came.
    pub last_event_at: Option<Timestamp>,
    /// Problems open.
    pub open_problems: u64,
}

/// Jobs of one lane in one state.
#[derive(Clone, Debug, Serialize)]
pub struct LaneCount {
    /// The lane.
    pub lane: Lane,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest: Timestamp,
}

/// What is known of a shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShopState {
    /// When this shop was first seen; older orders are left alone unless the configuration says otherwise.
    pub first_seen_at: Timestamp,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
}

/// The state of one breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BreakerRow {
    /// Shop.
    pub shop: ShopName,
    /// Which side.
    pub system: System,
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// Why it opened.
    pub reason: Option<String>,
}

/// A privacy request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComplianceRecord {
    /// Shop.
    pub shop: ShopName,
    /// `customers/data_request`, `customers/redact` or `shop/redact`.
    pub topic: String,
    /// The event that asked.
    pub event: EventId,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When it was done.
    pub done_at: Timestamp,
    /// What was done, without customer data.
    pub summary: String,
}

/// What the holder's name begins with where a process that serves holds a lease. On SQLite there is one such process at a time,
/// so that the next one knows at its start that nobody holds these any more.
pub const SERVING: &str = "serve-";

/// A webhook subscription of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubscriptionRow {
    /// Shop.
    pub shop: ShopName,
    /// Shopify's number.
    pub id: ShopifyId,
    /// GraphQL's spelling of its topic.
    pub topic: String,
    /// Where its deliveries go.
    pub uri: String,
    /// Its name.
    pub name: Option<String>,
    /// When Shopify made it.
    pub created_at: Timestamp,
    /// When it last stood as it is wanted.
    pub seen_at: Timestamp,
    /// Since when it stands no more: deleted by us, or not found any more (then it is the time of the last look that found it).
    pub removed_at: Option<Timestamp>,
}

/// Verified deliveries of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryCount {
    /// Shop.
    pub shop: ShopName,
    /// `X-Shopify-Topic`.
    pub topic: String,
    /// `X-Shopify-Name`, empty for none.
    pub name: String,
    /// The start of the hour.
    pub hour: Timestamp,
    /// How many were stored and answered 200.
    pub accepted: u64,
    /// How many were not.
    pub failed: u64,
    /// When the last of them came.
    pub last_at: Timestamp,
    /// When the last came that was stored.
    pub last_accepted_at: Option<Timestamp>,
}

/// Verified deliveries of one topic under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliverySum {
    /// `X-Shopify-Topic`.
    pub topic: String,
    /// `X-Shopify-Name`, empty for none.
    pub name: String,
    /// How many were stored and answered 200, in the hours that were asked about.
    pub accepted: u64,
    /// How many were not.
    pub failed: u64,
    /// When the last of all came.
    pub last_at: Timestamp,
    /// When the last came that was stored.
    pub last_accepted_at: Option<Timestamp>,
}
