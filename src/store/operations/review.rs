//! What people do with jobs, problems and shops, and what is kept of it.
//!
//! Everything goes through [`Act`]: the change and its line in the audit log are committed together, or neither is. What
//! stood like that before is no change, and leaves no line: a double click is one action.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::{
    Actor, Direction, Fence, JobId, JobKey, JobState, Link, NewProblem, Object, Priority, ShopName, Timestamp,
};
use crate::store::StoreError;

/// Acts of people, and the lists that they work from.
#[async_trait]
pub trait Review: Send + Sync {
    /// Does what a person asks for and writes it down, in one transaction; what changes nothing leaves no line.
    async fn act(&self, act: Act) -> Result<Acted, StoreError>;

    /// Open problems by cause, the most frequent first.
    async fn problem_clusters(&self, filter: ClusterFilter) -> Result<Vec<ClusterRow>, StoreError>;

    /// Batches, newest first, up to `limit` (0 means 50); only running ones where that is asked.
    async fn batches(&self, running: bool, limit: u32) -> Result<Vec<BatchRow>, StoreError>;

    /// Makes the next step of a batch if it runs and the step is due. What a step retries and what is left then are
    /// committed together, so that whatever is killed, each job is retried once. Returns the batch as it stands then.
    async fn batch_step(&self, batch: i64, now: Timestamp) -> Result<Option<BatchRow>, StoreError>;

    /// The place of a waiting job in its lane; none for one that does not wait.
    async fn queue_place(&self, job: JobId, now: Timestamp) -> Result<Option<QueuePlace>, StoreError>;

    /// The shops that people paused, by name.
    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError>;

    /// Notes by what the job of a running attempt is found, besides what was noted before. False when the attempt is no
    /// longer ours.
    async fn note_names(&self, job: JobId, fence: Fence, names: Vec<JobName>) -> Result<bool, StoreError>;
}

/// The code of the problem of a job that a person holds back.
pub const HELD_BY_PERSON: &str = "held_by_person";

/// The code of the problem of a job that waits for a person's yes to its plan. The hash of the plan stands under `plan` in the
/// problem's details.
pub const WAITING_FOR_APPROVAL: &str = "waiting_for_approval";

/// One thing that somebody does.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Tries a job again now. One that is closed gets a new job, unless it was open when it was `seen`: then somebody or
    /// something was faster.
    Retry {
        /// Which.
        job: JobId,
        /// The state in which the person saw it.
        seen: Option<JobState>,
    },
    /// Has a record worked on now: its open job is wanted once more and is the next of its lane, else one is made. The reason is its
    /// cause.
    CarryOver {
        /// Which record, and which way.
        key: JobKey,
    },
    /// Gives an open job up, with the reason.
    Discard {
        /// Which.
        job: JobId,
    },
    /// Holds an open job back, whatever events come, until it is released.
    Hold {
        /// Which.
        job: JobId,
    },
    /// Lets a job go on that a person holds back.
    Release {
        /// Which.
        job: JobId,
    },
    /// Has a waiting job done before all others of its lane.
    MoveAhead {
        /// Which.
        job: JobId,
    },
    /// The work was done by hand: links the record and closes the job as completed.
    Resolve {
        /// Which.
        job: JobId,
        /// The record's link, with the ERP's name.
        link: Box<Link>,
    },
    /// Says which ERP record is meant, and tries the job again.
    Adopt {
        /// Which.
        job: JobId,
        /// The record's link.
        link: Box<Link>,
    },
    /// Stops all jobs of a shop, but for notices about the shop itself. Deliveries are taken in as before.
    Pause {
        /// Which.
        shop: ShopName,
    },
    /// Ends the pause.
    Resume {
        /// Which.
        shop: ShopName,
    },
    /// The actor looks after these problems from now on.
    Claim {
        /// Which problems.
        cluster: Cluster,
        /// Also when somebody else does.
        over: bool,
    },
    /// Nobody looks after these problems any more.
    Unclaim {
        /// Which problems.
        cluster: Cluster,
    },
    /// These problems need not be shown for a while; `None` ends that.
    Snooze {
        /// Which problems.
        cluster: Cluster,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Keeps what somebody has to say (the reason) about a job.
    NoteJob {
        /// Which.
        job: JobId,
    },
    /// Keeps what somebody has to say (the reason) about problems.
    NoteCluster {
        /// Which problems.
        cluster: Cluster,
    },
    /// Begins to try many jobs again.
    StartBatch {
        /// Which.
        filter: BatchFilter,
        /// How many in a second, at least 1.
        per_second: u32,
    },
    /// Ends that before all are tried.
    StopBatch {
        /// Which batch.
        batch: i64,
    },
    /// An entry of a shop's tables was changed. (The file is written by whoever acts: only the line is written.)
    EditedTable {
        /// Shop.
        shop: ShopName,
        /// The table.
        table: String,
        /// The entry.
        key: String,
        /// What stood there; `None` for nothing.
        before: Option<String>,
        /// What stands there now; `None` for nothing.
        after: Option<String>,
    },
    /// Answers the limits on sudden change: notes the word that was given, and has the jobs that they hold go on, or gives
    /// them up. One that is not held by them any more is left alone.
    Answer {
        /// Shop.
        shop: ShopName,
        /// About what.
        object: Object,
        /// Whether the changes may go.
        approved: bool,
        /// The jobs that the person saw held.
        held: Vec<JobId>,
        /// What is noted of it.
        notes: Vec<Noted>,
    },
    /// A plan that waits may be carried out: exactly this one, if the job still waits with it.
    ApprovePlan {
        /// Which job.
        job: JobId,
        /// The plan's hash.
        plan: String,
        /// The named position at which attempts look for the approval.
        position: String,
        /// What they find there.
        approval: String,
        /// How urgent the job is then.
        priority: Priority,
    },
    /// A plan that waits is not carried out: the job is given up.
    RejectPlan {
        /// Which job.
        job: JobId,
        /// The hash of the plan that is meant: with another one the job goes on waiting. None means whatever it waits with.
        plan: Option<String>,
    },
    /// Notes whose value a job that asks for it is to keep, and tries it again.
    Choose {
        /// Which.
        job: JobId,
        /// What is noted of it.
        note: Noted,
        /// What was chosen, for the audit log.
        detail: serde_json::Value,
    },
    /// Something else than jobs was changed. (The change itself is made elsewhere: only the line is written.)
    Configured {
        /// `toggle`, `apply_webhooks`, `push_all`, `reconcile`, `test_delivery`, `add_user`, `declare_endpoint`, `change_endpoint` or `remove_endpoint`.
        what: &'static str,
        /// In which shop, where it concerns one.
        shop: Option<ShopName>,
        /// What it was done to, e.g. `shop:main` or `user:ada`.
        subject: String,
        /// What exactly.
        detail: serde_json::Value,
    },
}

/// A named position of a shop that is set with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its name.
    pub name: String,
    /// What stands there then.
    pub value: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acted {
    /// It is done.
    Done,
    /// This job is available now.
    Again(JobId),
    /// The job was closed; this new one does its work anew.
    New(JobId),
    /// This batch works on it.
    Batch {
        /// Its number.
        id: i64,
        /// Whether it was started now; else the same one runs already.
        is_new: bool,
    },
    /// So many jobs go on, or were given up; none is no change, unless what was noted changed.
    Jobs(u64),
    /// The job is closed, and this later one of its record says how it stands. Nothing was done.
    Later(JobId),
    /// It stood like that already. Nothing was done.
    Already,
    /// There is nothing of that number or name.
    Unknown,
    /// The job's state does not allow it. Nothing was done.
    NotNow(JobState),
    /// It is in other hands: the person who claimed the problems, or the source id that the ERP's record is linked to.
    /// Nothing was done.
    Taken(String),
    /// The record is linked to another record of the ERP already, by this name or number. Nothing was done.
    Linked(String),
}

impl Acted {
    /// Whether anything changed.
    pub fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Done | Self::Again(_) | Self::New(_) | Self::Batch { is_new: true, .. } | Self::Jobs(1..)
        )
    }
}

/// Problems of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Shop.
    pub shop: ShopName,
    /// The kind of problem.
    pub code: String,
    /// The cause, as [`NewProblem::cluster`] has it.
    pub cluster: String,
}

/// Which problems to count by cause. What is not given is not asked.
#[derive(Clone, Debug, Default)]
pub struct ClusterFilter {
    /// Of this shop.
    pub shop: Option<ShopName>,
    /// Of this kind.
    pub code: Option<String>,
    /// Of this cause.
    pub cluster: Option<String>,
    /// That this person looks after.
    pub claimed_by: Option<String>,
    /// At most this many clusters; 0 means 50.
    pub limit: u32,
}

/// Open problems of one cause.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ClusterRow {
    /// Which.
    #[serde(flatten)]
    pub cluster: Cluster,
    /// How many are open.
    pub problems: u64,
    /// Of how many jobs. A shop's own problem has none.
    pub jobs: u64,
    /// When the oldest was seen first.
    pub opened_at: Timestamp,
    /// When one was seen last.
    pub seen_at: Timestamp,
    /// The newest, as an example.
    pub example: NewProblem,
    /// Its job.
    pub example_job: Option<JobId>,
    /// Who looks after them.
    pub claimed_by: Option<String>,
    /// Until when they need not be shown.
    pub snoozed_until: Option<Timestamp>,
}

/// Which of the jobs that need a person are tried again. What is not given is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchFilter {
    /// Of this shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shop: Option<ShopName>,
    /// About this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// In this direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// With this kind of problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// Whether a batch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Jobs are left.
    Running,
    /// All that fitted were tried again.
    Done,
    /// Somebody ended it before.
    Stopped,
}

/// A retry of many jobs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BatchRow {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// Who began it.
    pub actor: Actor,
    /// Why.
    pub reason: Option<String>,
    /// Which jobs.
    pub filter: BatchFilter,
    /// Whether it goes on.
    pub state: BatchState,
    /// How many are tried again in a second.
    pub per_second: u32,
    /// How many fitted when it began; of some thousands up, about how many: counting them one by one would hold everything
    /// else up.
    pub total: u64,
    /// How many were tried again.
    pub done: u64,
    /// Its next step is due then.
    pub next_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A shop whose jobs wait because a person wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PauseRow {
    /// Shop.
    pub shop: ShopName,
    /// Since when.
    pub since: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// Where a waiting job stands in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// Jobs of the lane that go first.
    pub ahead: u64,
    /// Jobs of the lane that ended lately.
    pub ended_lately: u64,
    /// How long back that is.
    pub lately: Duration,
}

impl QueuePlace {
    /// When its turn comes at the lane's pace; none while there is none.
    pub fn expected(self) -> Option<Duration> {
        let pace = u32::try_from(self.ended_lately).ok().filter(|pace| *pace > 0)?;
        let ahead = u32::try_from(self.ahead).ok()?;
        Some(self.lately.checked_mul(ahead)? / pace)
    }
}

/// By what else than numbers and names a job is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobName {
    /// A stock keeping unit that it is about or that its order sells, as the shop spells it.
    Sku(String),
    /// The hash of the e-mail address of whom it is about.
    Email(String),
}

impl JobName {
    /// Of an e-mail address. Each shop has hashes of its own, so that nobody is followed from one to another.
    pub fn of_email(shop: &ShopName, address: &str) -> Self {
        let address = address.trim().to_lowercase();
        let digest = Sha256::digest(format!("{shop} {address}"));
        Self::Email(hex::encode(digest))
    }

    /// What kind of name it is, and the name, as they are stored.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Sku(value) => ("sku", value),
            Self::Email(value) => ("email", value),
        }
    }
}
