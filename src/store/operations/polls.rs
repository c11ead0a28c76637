//! How far the ERP was read for changes, and what was seen there.

use async_trait::async_trait;

use crate::domain::{ErpId, ShopName, Timestamp};
use crate::store::{NewJob, StoreError};

/// Cursors of models, and what a step of a poll saves.
#[async_trait]
pub trait Polls: Send + Sync {
    /// How far a model of the shop's ERP was read; `None` where it never was.
    async fn poll_cursor(&self, shop: &ShopName, model: &str) -> Result<Option<PollCursor>, StoreError>;

    /// Which of these rows were seen in the window that is still open.
    async fn poll_seen(
        &self,
        shop: &ShopName,
        model: &str,
        ids: &[ErpId],
    ) -> Result<Vec<SeenRow>, StoreError>;

    /// The rows that were there when all ids were listed last, after one id and up to another.
    async fn poll_present(
        &self,
        shop: &ShopName,
        model: &str,
        after: Option<ErpId>,
        upto: Option<ErpId>,
    ) -> Result<Vec<PresentId>, StoreError>;

    /// Saves what a step of a poll found: cursor, rows seen, ids listed and the jobs that follow, all or nothing, and only
    /// as long as the right to poll is held.
    async fn commit_poll(&self, commit: PollCommit) -> Result<PollCommitted, StoreError>;

    /// Forgets how far a model was read, so that the next poll begins anew: only as long as the right to poll is held, and
    /// only for the newest configuration.
    async fn forget_poll(&self, forget: PollForget) -> Result<PollForgotten, StoreError>;
}

/// How far a model was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollCursor {
    /// Everything that was written before is done with, by the ERP's clock.
    pub until: Timestamp,
    /// When all its ids were listed last, if ever.
    pub swept_at: Option<Timestamp>,
}

/// A row that was seen, as long as its time lies in the window that is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRow {
    /// Its id in the ERP.
    pub id: ErpId,
    /// When it was written, by the ERP's clock, in whole seconds.
    pub written_at: Timestamp,
    /// Of its compared fields.
    pub hash: String,
    /// Whether that second was over when the fields were read.
    pub is_settled: bool,
    /// When it was first seen with this time, by our clock.
    pub first_at: Timestamp,
}

/// A row that was there when all ids were listed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentId {
    /// Its id in the ERP.
    pub id: ErpId,
    /// The record whose work it is, if another one's.
    pub owner: Option<ErpId>,
    /// Whether it was not archived.
    pub active: bool,
}

/// Part of a list of all ids: what is stored of them is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentPage {
    /// From the first id after this one on.
    pub after: Option<ErpId>,
    /// Up to this one; none for the last page, which goes on for ever.
    pub upto: Option<ErpId>,
    /// What is there.
    pub rows: Vec<PresentId>,
}

/// One step of a poll: all of it is saved, or nothing.
#[derive(Clone, Debug)]
pub struct PollCommit {
    /// Shop.
    pub shop: ShopName,
    /// The model that was read.
    pub model: String,
    /// The right under which it was read, and who holds it: without it nothing is saved.
    pub lease: (String, String),
    /// Where the next window begins; none leaves it as it was (a window of several pages moves it with the last one). Rows
    /// seen with times before it are forgotten.
    pub until: Option<Timestamp>,
    /// What was seen.
    pub seen: Vec<SeenRow>,
    /// Ids that were listed. The last page notes when that was.
    pub present: Option<PresentPage>,
    /// Rows that a poll found, so that listing all ids finds nothing new about them. Whose work they were is kept.
    pub noted: Vec<PresentId>,
    /// The work that follows.
    pub jobs: Vec<NewJob>,
    /// Now, by our clock.
    pub now: Timestamp,
}

/// What became of [`Polls::commit_poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollCommitted {
    /// It is saved; so many of its jobs were made now, the others had an open one.
    Done {
        /// How many.
        made: u64,
    },
    /// Somebody else has the right to poll by now; nothing was saved.
    Stale,
}

/// To forget how far a model was read, because it is off.
#[derive(Clone, Debug)]
pub struct PollForget {
    /// Shop.
    pub shop: ShopName,
    /// The model.
    pub model: String,
    /// The right to poll it, and who holds it: without it nothing is forgotten.
    pub lease: (String, String),
    /// The number of the configuration that says so: only the newest one counts, because by a later one it may be on again
    /// and followed anew.
    pub revision: i64,
}

/// What became of [`Polls::forget_poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollForgotten {
    /// The next poll begins anew.
    Done {
        /// Whether there was anything to forget.
        was_known: bool,
    },
    /// Somebody else has the right to poll, or a newer configuration is acted on; everything is as it was.
    Stale,
}
