//! Jobs with their history, as people and commands ask for them.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{Direction, JobId, JobKey, JobState, NewProblem, Object, ShopName, Timestamp};
use crate::store::{EventRow, JobName, Lane, ProblemRow, StoreError};

/// Jobs as people see them, and what a person does with one of them or with a lane.
#[async_trait]
pub trait Jobs: Send + Sync {
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
}

/// What [`Jobs::retry`] did.
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
    pub known_by: Option<JobName>,
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
