//! What people see of endpoints and deliveries, and what they do about them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::notices::DispatchState;
use crate::domain::{Actor, Timestamp};

/// Others are told of an endpoint that fails once in this time.
pub const FAILING_TOLD_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Why an endpoint is paused that a person paused.
pub const PAUSED_BY_PERSON: &str = "person";

/// How an endpoint stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EndpointRow {
    /// Its name.
    pub name: String,
    /// Whether nothing is sent to it.
    pub is_paused: bool,
    /// Why: `person`, or how the endpoint itself came to be paused (`gone`, `nothing_taken`).
    pub paused_because: Option<String>,
    /// Who paused it, if a person did.
    pub paused_by: Option<String>,
    /// Since when.
    pub paused_at: Option<Timestamp>,
    /// What is known of its answers, as JSON; empty before the first.
    pub health: String,
    /// When others were told last that it fails.
    pub told_failing_at: Option<Timestamp>,
    /// When the last delivery was given up or became a problem; none once a person let the endpoint go on.
    pub given_up_at: Option<Timestamp>,
    /// How many wait for it.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest_waiting: Option<Timestamp>,
    /// Whether anything is being sent to it.
    pub is_sending: bool,
    /// How many could not be said or rendered and are kept.
    pub problems: u64,
    /// How many were given up and are kept.
    pub failed: u64,
}

/// Which dispatches are listed. What is not given is not asked.
#[derive(Clone, Debug, Default)]
pub struct DispatchFilter {
    /// The endpoint's name.
    pub endpoint: Option<String>,
    /// Type of event.
    pub event: Option<String>,
    /// State.
    pub state: Option<DispatchState>,
    /// The shop's name.
    pub shop: Option<String>,
    /// The notification's id, the record's name, or a key (see `keys` of [`super::notices::KeptNotification`]); as a whole.
    pub search: Option<String>,
    /// Committed then or later.
    pub since: Option<Timestamp>,
    /// Committed before then.
    pub until: Option<Timestamp>,
    /// Numbers lower than this one, for the next page.
    pub before: Option<i64>,
    /// At most so many; 0 means 50.
    pub limit: u32,
}

/// A dispatch, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DispatchRow {
    /// Its number.
    pub id: i64,
    /// The notification's id.
    pub notification: String,
    /// The notification's sequence.
    pub sequence: i64,
    /// The endpoint's name.
    pub endpoint: String,
    /// Type of event.
    pub event: String,
    /// The shop's name.
    pub shop: Option<String>,
    /// Kind of record.
    pub object: Option<String>,
    /// The record's name for people.
    pub record: Option<String>,
    /// How it stands.
    pub state: DispatchState,
    /// How often it was tried since it was asked for last.
    pub tries: u32,
    /// When it is tried, while it waits.
    pub due_at: Timestamp,
    /// Why the last try failed, as a code.
    pub failure: Option<String>,
    /// Why the last try failed, or what is the problem.
    pub sentence: Option<String>,
    /// Status of the last answer.
    pub status: Option<u16>,
    /// How long the last try took, in milliseconds.
    pub took_ms: Option<u64>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When the notification was committed.
    pub created_at: Timestamp,
}

/// One try, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TryRow {
    /// Which one, from 1; a redelivery counts anew.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it failed, as a code.
    pub failure: Option<String>,
    /// The same in a sentence.
    pub sentence: Option<String>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// The beginning of the answer.
    pub answer: String,
    /// Whether the answer went on.
    pub is_cut: bool,
}

/// A dispatch with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DispatchStory {
    /// The dispatch.
    pub row: DispatchRow,
    /// The notification, without its sequence; none where it was removed on a privacy request.
    pub body: Option<String>,
    /// What it was sent together with.
    pub batch: Option<String>,
    /// Its tries, oldest first.
    pub tries: Vec<TryRow>,
}

/// What is to be sent once more: what has ended, and one that waits if it is asked for by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redeliver {
    /// This one.
    One(i64),
    /// All that were given up, and all that are a problem.
    Failed {
        /// Only those of this endpoint; none for those of every endpoint that the store knows of.
        endpoint: Option<String>,
    },
    /// All of an endpoint that were delivered, given up, cancelled or a problem, by when their notification was committed.
    Range {
        /// The endpoint's name.
        endpoint: String,
        /// Then or later.
        since: Timestamp,
        /// Before then.
        until: Timestamp,
    },
}

/// What came of asking for it once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Redelivered {
    /// So many are sent once more. Those whose text was removed on a privacy request are not among them.
    Done(u64),
    /// It is being sent at this moment.
    UnderWay,
    /// A newer one about the same record was to be sent in its place.
    Replaced,
    /// What it told was removed on a privacy request.
    Removed,
    /// It ended long ago and was deleted.
    Pruned,
    /// There never was one.
    Unknown,
    /// Its endpoint is not in the configuration: nothing would be sent. Who knows the configuration answers this; the store does
    /// not.
    Undeclared,
}

impl Redelivered {
    /// How many are sent once more.
    pub const fn count(self) -> u64 {
        match self {
            Self::Done(count) => count,
            _ => 0,
        }
    }
}

/// What becomes of an endpoint itself when what waits for it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointAfter {
    /// It is no more: how it stood is forgotten, and what is made for it meanwhile is cancelled, too.
    Forgotten,
    /// It goes on as it stands, paused or not. What is made for it from now on waits.
    Kept,
}

/// What a person does to an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointAct {
    /// Its name.
    pub name: String,
    /// Whether nothing is to be sent to it.
    pub pause: bool,
    /// What is known of its answers from now on, as JSON; none leaves it.
    pub health: Option<String>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}
