//! What other systems are told: notifications, what is sent of them to whom, and how that went.
//!
//! A notification is committed with what it tells of (the *outbox*) and fanned out later: one [`DispatchRow`] for each endpoint
//! that wants it. Its body is opaque here.

use async_trait::async_trait;

use super::deliveries::{
    DispatchFilter, DispatchRow, DispatchStory, EndpointAct, EndpointAfter, EndpointRow, Redeliver,
    Redelivered,
};
use crate::domain::{Actor, Fence, Timestamp, text_enum};
use crate::store::StoreError;

/// What other systems are told: the outbox, deliveries, endpoints.
#[async_trait]
pub trait Notices: Send + Sync {
    /// Commits notifications that no attempt ends with. (Those of an attempt are committed by [`Queue::finish`](crate::store::Queue::finish).)
    async fn add_notifications(&self, bodies: Vec<String>, now: Timestamp) -> Result<(), StoreError>;

    /// Completes when notifications or dispatches may be there to look at (a hint: it may be late, early or lost; callers
    /// also poll).
    async fn notifications_arrived(&self);

    /// Notifications that are not fanned out yet, in their order, up to `limit`.
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError>;

    /// The same with higher numbers than `after`: what comes behind those that are left where they are. Their bodies have `bytes`
    /// together at most; a larger one comes alone.
    async fn outbox_after(&self, after: i64, limit: u32, bytes: u64) -> Result<OutboxPage, StoreError>;

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

    /// Whether all of these claimed dispatches are still ours, and what they tell of was not removed on a privacy request.
    async fn may_be_sent(&self, ids: Vec<(i64, Fence)>) -> Result<bool, StoreError>;

    /// Ends claimed dispatches, each with its try, its endpoint's standing and what is told because of it. Returns those that are
    /// no longer ours: of them nothing is saved, and where all of a request's are not, nothing of it is. One that was to be tried
    /// again is cancelled if nothing can be sent any more, and replaced if a newer one took its place.
    async fn end_dispatches(&self, ended: Vec<EndedDispatch>, now: Timestamp)
    -> Result<Vec<i64>, StoreError>;

    /// Takes back dispatches whose claim ended without a word, and makes them due. One with which that happened time and again,
    /// with no outcome noted in between, is given up: kept as failed, and its endpoint is told of as one that fails
    /// ([`GivenUpDeliveries`](crate::store::GivenUpDeliveries)). Returns how many they are together.
    async fn reclaim_dispatches(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// The clock was set back: what only a clock that was ahead can have put off is due now, and claims that only it holds end soon.
    /// It looks at everything that waits until later, step by step: of a long list it takes its time.
    async fn mend_dispatch_times(&self, now: Timestamp) -> Result<(), StoreError>;

    /// When the first waiting dispatch of each endpoint that is not paused is due, the earliest first.
    async fn next_dispatch(&self) -> Result<Vec<(String, Timestamp)>, StoreError>;

    /// The endpoints that anything was ever made for or known of, by name.
    async fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError>;

    /// Pauses an endpoint or lets it go on, with its line in the audit log; what waits for one that goes on is due now. False where
    /// it stood like that.
    async fn set_endpoint(&self, act: EndpointAct) -> Result<bool, StoreError>;

    /// Dispatches that fit, newest first.
    async fn dispatches(&self, filter: DispatchFilter) -> Result<Vec<DispatchRow>, StoreError>;

    /// The last dispatches of an endpoint that were tried, newest first, up to `limit`. However many wait for their first try, those
    /// in front of them that are to be tried again are among them.
    async fn tried_dispatches(&self, endpoint: &str, limit: u32) -> Result<Vec<DispatchRow>, StoreError>;

    /// One dispatch with its tries.
    async fn dispatch(&self, id: i64) -> Result<Option<DispatchStory>, StoreError>;

    /// Sends what has ended once more, with its line in the audit log, and makes one that is asked for by itself due where it waits.
    /// The notifications keep their ids.
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
}

text_enum! {
    /// How a dispatch stands.
    DispatchState, "state of a delivery" {
        /// For its turn, or until it is tried again.
        Waiting = "waiting",
        /// A request is under way.
        Sending = "sending",
        /// The receiver took it.
        Delivered = "delivered",
        /// It was tried for the last time.
        Failed = "failed",
        /// Nobody wants it any more: its endpoint is gone, or what it told was removed on a privacy request.
        Cancelled = "cancelled",
        /// A newer one about the same record took its place.
        Replaced = "replaced",
        /// It cannot be said what is to be sent, or whether it is; it was not sent.
        Problem = "problem",
    }
}

/// A notification that is not fanned out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number, which is its `sequence`: it rises with each notification about a record.
    pub id: i64,
    /// The notification, without its sequence.
    pub body: String,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// The first of what is not fanned out yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxPage {
    /// In their order. One that somebody else took at this moment is not among them.
    pub rows: Vec<OutboxRow>,
    /// Whether there is more behind them.
    pub has_more: bool,
}

/// Who is to get a notification.
#[derive(Clone, Debug)]
pub struct FannedOut {
    /// Number in the outbox.
    pub id: i64,
    /// What is kept of it; none where nobody wants it.
    pub kept: Option<KeptNotification>,
    /// One for each endpoint that wants it.
    pub dispatches: Vec<NewDispatch>,
}

/// A notification as it is kept for the endpoints that want it.
#[derive(Clone, Debug)]
pub struct KeptNotification {
    /// Its id, `evt_…`: the same on every try and in every redelivery.
    pub notification: String,
    /// Type of event.
    pub event: String,
    /// The shop's name, where it is about one.
    pub shop: Option<String>,
    /// What kind of record it is about, e.g. `order`.
    pub object: Option<String>,
    /// The record's name for people, e.g. `#1001`, a title.
    pub record: Option<String>,
    /// What it is found by, and what it is removed by on a privacy request: `shopify/<id>`, `erp/<model>/<id>`. Besides the record
    /// itself also the customer of an order.
    pub keys: Vec<String>,
    /// What is sent.
    pub body: String,
}

/// A dispatch that is to be made.
#[derive(Clone, Debug)]
pub struct NewDispatch {
    /// The endpoint's name.
    pub endpoint: String,
    /// Which goes first: 0 before 1 before 2. Higher numbers count as 2.
    pub priority: u8,
    /// Only where a newer waiting one is to replace an older one: what makes two of them about the same.
    pub object_key: Option<String>,
    /// Not sent before.
    pub due_at: Timestamp,
    /// Why it cannot be said whether the endpoint wants it: kept as a problem and not sent.
    pub problem: Option<String>,
}

/// A dispatch that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedDispatch {
    /// Its number.
    pub id: i64,
    /// The claim's token: whoever claims it later has a higher one.
    pub fence: Fence,
    /// The notification's sequence.
    pub sequence: i64,
    /// The notification, without its sequence.
    pub body: String,
    /// How often it was tried, this time included.
    pub tries: u32,
    /// What it was sent together with before, and is sent together with again.
    pub batch: Option<String>,
    /// When the notification was committed.
    pub created_at: Timestamp,
    /// Whether a person asked for it by itself: it is sent whatever its endpoint wants by now.
    pub is_asked_for: bool,
}

/// One try to send.
#[derive(Clone, Debug)]
pub struct NewTry {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it failed, as a code; none for one that was taken.
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

/// What became of a claimed dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchEnd {
    /// The receiver took it.
    Delivered,
    /// To be tried again then.
    Again {
        /// When.
        at: Timestamp,
    },
    /// It was tried for the last time.
    Failed,
    /// It cannot be said what is to be sent.
    Problem {
        /// Why.
        sentence: String,
    },
    /// Not tried, because nobody wants it any more.
    Cancelled {
        /// Why.
        sentence: String,
    },
    /// Not tried: it counts as if it had not been claimed.
    GivenBack {
        /// When it is due.
        at: Timestamp,
    },
}

/// How an endpoint stands after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointChange {
    /// Its name.
    pub name: String,
    /// What is known of its answers; none where they say nothing new.
    pub health: Option<HealthChange>,
    /// Why it is paused from now on. One that is paused already stays paused for its first reason, and one whose health somebody
    /// else changed meanwhile is not paused.
    pub pause: Option<String>,
    /// When others were told that it fails; none leaves what was noted.
    pub told_failing_at: Option<Timestamp>,
}

/// What is known of an endpoint's answers from now on. Not written where it is not what it was any more: a person has let the
/// endpoint go on meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// As it was read, as JSON; empty before the first answer.
    pub was: String,
    /// As it is now, as JSON.
    pub is: String,
}

/// The end of one request: of one dispatch, or of a batch.
#[derive(Clone, Debug)]
pub struct EndedDispatch {
    /// The dispatches that it carried, by what becomes of them. The answer is kept once, whatever that is.
    pub parts: Vec<EndedPart>,
    /// How the try went; none where there was none.
    pub attempt: Option<NewTry>,
    /// How the endpoint stands now.
    pub endpoint: EndpointChange,
    /// What is told because of it, e.g. that the endpoint fails.
    pub notifications: Vec<String>,
}

/// Dispatches of one request that end alike.
#[derive(Clone, Debug)]
pub struct EndedPart {
    /// Which, with the tokens of their claims.
    pub ids: Vec<(i64, Fence)>,
    /// What becomes of them.
    pub end: DispatchEnd,
}
