//! The way of a job from its making over claim and locks to the end of an attempt.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::{
    Direction, Fence, JobId, JobKey, JobState, LONGEST_CALL, Link, NewProblem, Object, Priority, RecordKey,
    ShopName, System, Timestamp,
};
use crate::store::StoreError;

/// The queue: jobs made, claimed, locked and ended, and what becomes of them without anybody.
#[async_trait]
pub trait Queue: Send + Sync {
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
    /// the attempt's [`Queue::finish`] or with the loss of its lease.
    async fn lock(&self, job: JobId, fence: Fence, records: Vec<RecordKey>) -> Result<Locked, StoreError>;

    /// Ends an attempt: checks the fence and saves attempt, job state, links, problem, new jobs, what is told of it and
    /// lock release, all or nothing. Other jobs that waited for this job's record or for its locks become available. When
    /// `wanted > taken`, a job that would be closed, held or a problem becomes available again instead.
    async fn finish(&self, finish: Finish) -> Result<Finished, StoreError>;

    /// Gives back every job that a dead node held (SQLite: every running job at start; PostgreSQL: those of nodes whose
    /// session lock is free, or whose lease ended). Returns how many. The attempt is recorded as unclean and does not
    /// count as a failure of its job; but from the second in a row on the job rests before it is tried again, and the
    /// fifth makes it a problem.
    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// The clock was set back: jobs that were ready stay ready, although their time lies in the future now. Returns how many that
    /// concerned. Deliveries have [`Notices::mend_dispatch_times`](super::Notices::mend_dispatch_times): no job waits for them.
    async fn clock_went_back(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Makes retryable jobs of the shop due now whose last attempt failed because `system` was down.
    async fn hasten(&self, shop: &ShopName, system: System, now: Timestamp) -> Result<u64, StoreError>;

    /// Completes when new work may be there (a hint: it may be late, early or lost; callers also poll).
    async fn work_arrived(&self);
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

/// What [`Queue::enqueue`] did.
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
    /// Why the job's shop is disabled from now on, where it found out that it must be.
    pub disables_shop: Option<String>,
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

/// What [`Queue::finish`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Saved; the job is now in this state.
    Done(JobState),
    /// Its links belong to another record already: nothing was saved, and the attempt is still ours. It is to be ended with this
    /// problem, without its links.
    Conflict(Box<NewProblem>),
    /// The attempt was no longer ours; nothing was saved.
    Stale,
}
