//! What earlier runs told of a record, so that what stays as it was is neither read whole nor asked about every night.
//!
//! One note for each record that was left alone, and for each stock level and each direction of a record that a job was made
//! for. It holds a hash of what was found, with all else that decides what becomes of it: the record's change on the shop, and
//! since when configuration and mappings are what they are. Another hash is another finding.

use std::time::Duration;

use super::shelf::short_hash;
use super::{Run, RunError};
use crate::domain::{JobId, JobKey, ShopifyId, Timestamp};
use crate::sync::StockLevel;

/// After so long a record is read whole once more: reports are not kept for ever, and not all that a mapping asks for is in the
/// hash.
const TOLD_AGAIN: Duration = Duration::from_hours(30 * 24);

/// What the ERP holds in place of what was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moves {
    hash: u64,
    /// How many fields moved.
    fields: u64,
}

impl Moves {
    /// How many fields moved.
    pub(super) const fn fields(self) -> u64 {
        self.fields
    }
}

/// What a job is made about.
pub(super) struct Question {
    /// Where it is noted.
    place: String,
    /// What was found.
    found: String,
}

impl Question {
    /// A stock level.
    pub(super) fn of_level(level: &StockLevel) -> Self {
        Self {
            place: format!("full:told:inventory:{}:{}", level.variant, level.field),
            found: format!("{:?}\0{}", level.shown, level.wanted),
        }
    }

    /// What is to be carried over of a record.
    pub(super) fn of_record(key: &JobKey, found: String) -> Self {
        Self {
            place: format!("full:asked:{}:{}:{}", key.object, key.direction, key.source_id),
            found,
        }
    }
}

impl Run<'_> {
    /// What moved of a record that the shop changed last at that time; `what` are all of its fields with what they hold.
    pub(super) fn moves(&self, changed_at: Timestamp, fields: usize, what: &str) -> Moves {
        let (changed_at, rules_since) = (changed_at.millis(), self.rules_since.millis());
        Moves {
            hash: short_hash(&format!("{changed_at}\0{rules_since}\0{what}")),
            fields: fields as u64,
        }
    }

    /// How many differences an earlier run told of a record and left alone, where the very same moved then.
    pub(super) async fn told(&self, source: ShopifyId, moves: Moves) -> Result<Option<u64>, RunError> {
        let note = self.recall(&self.place(source)).await?;
        let mut parts = note.split(' ');
        let (hash, count, at) = (parts.next(), parts.next(), parts.next());
        let at = at.and_then(|at| at.parse().ok()).map(Timestamp::from_millis);
        let is_told =
            hash == Some(&*shown(moves.hash)) && at.is_some_and(|at| self.started_at < at.plus(TOLD_AGAIN));
        Ok(count.filter(|_| is_told).and_then(|count| count.parse().ok()))
    }

    /// Remembers that all that moved was told as so many differences, and left alone. A dry run remembers nothing.
    pub(super) async fn has_told(
        &self,
        source: ShopifyId,
        moves: Moves,
        count: usize,
    ) -> Result<(), RunError> {
        let note = format!("{} {count} {}", shown(moves.hash), self.started_at.millis());
        self.remember(&self.place(source), &note).await
    }

    /// The job that an earlier run made about the very same.
    pub(super) async fn asked(&self, question: &Question) -> Result<Option<JobId>, RunError> {
        let note = self.recall(&question.place).await?;
        let Some((hash, job)) = note.split_once(' ') else {
            return Ok(None);
        };
        let is_same = hash == self.as_found(question);
        Ok(job.parse().ok().filter(|_| is_same).map(JobId))
    }

    /// Remembers the job that is made about it.
    pub(super) async fn has_asked(&self, question: &Question, job: JobId) -> Result<(), RunError> {
        let note = format!("{} {job}", self.as_found(question));
        self.remember(&question.place, &note).await
    }

    fn as_found(&self, question: &Question) -> String {
        let rules_since = self.rules_since.millis();
        shown(short_hash(&format!("{}\0{rules_since}", question.found)))
    }

    fn place(&self, source: ShopifyId) -> String {
        format!("full:told:{}:{source}", self.wanted.object)
    }

    pub(super) async fn recall(&self, place: &str) -> Result<String, RunError> {
        let store = &self.context.store;
        let note = self.life.with(store.cursor(&self.shop.name, place)).await??;
        Ok(note.unwrap_or_default())
    }

    pub(super) async fn remember(&self, place: &str, note: &str) -> Result<(), RunError> {
        if self.wanted.dry_run {
            return Ok(());
        }
        let (store, now) = (&self.context.store, self.context.clock.now());
        store.set_cursor(&self.shop.name, place, note, now).await?;
        Ok(())
    }
}

fn shown(hash: u64) -> String {
    format!("{hash:016x}")
}
