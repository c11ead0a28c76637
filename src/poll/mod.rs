//! Noticing changes in the ERP, where nothing tells of them reliably.
//!
//! A row's `write_date` is when the transaction that wrote it *began*, told in whole seconds. So what is newer than the last
//! row seen is not what is new: a long transaction becomes visible with a time that lies behind rows already seen, and many
//! rows share a second. A poll therefore reads a *window*: from some minutes before the last window's end (the overlap, longer
//! than any writing transaction takes) up to the end of the second of the newest row, by the ERP's own clock, page by page in
//! the order of ids, which no write moves. What was seen before is told by its time, and where that may lie (the same second,
//! a second transaction that began in it) by a hash of the compared fields.
//!
//! Promises: every row that is written becomes a job, however late it becomes visible within the overlap, and whatever other
//! writers do meanwhile; a poll ends, because its window does not grow while it is read; the cursor moves only together with
//! the jobs that it produced; a poll that finds nothing costs two calls. Absent here: when to poll (the daemon's), and what a
//! job does (the flows').

mod sweep;
#[cfg(test)]
mod tests;
mod vanished;
mod watch;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{Disposition, ErpId, FieldValue, JobKey, Priority, SharedClock, ShopName, Timestamp};
use crate::erp::{ChangedRow, ErpError, Row, Watched};
use crate::store::{NewJob, PollCommit, PollCommitted, PresentId, SeenRow, SharedStore, StoreError};

pub use sweep::{Swept, sweep};
pub use vanished::{Hold, Vanished};
pub use watch::Watch;
pub use window::{OVERLAP, SETTLES, Window};

/// Ids and times that are read at once. They are small, so that a quiet poll has one page even some minutes after an import.
const PAGE: u32 = 1_000;

/// Records whose fields are read at once.
const READ: usize = 200;

/// How long the right to poll is held without being renewed.
pub const LEASE: Duration = Duration::from_secs(60);

/// Why a poll ended before it was done. What it saved stays; the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The ERP could not be asked.
    #[error(transparent)]
    Erp(#[from] ErpError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another node polls.
    #[error("another node polls")]
    Elsewhere,
}

impl PollError {
    /// How long the ERP asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Erp(error) = self else { return None };
        match error.disposition() {
            Disposition::SystemDown { retry_after, .. } | Disposition::Transient { retry_after } => {
                retry_after
            }
            _ => None,
        }
    }
}

/// What a poll of a shop's model needs.
#[derive(Clone)]
pub struct Poll<'a, W: ?Sized> {
    /// The shop.
    pub shop: ShopName,
    /// What is watched.
    pub watched: Watched,
    /// Where.
    pub erp: &'a W,
    /// Where it is kept how far it got.
    pub store: &'a SharedStore,
    /// The time.
    pub clock: &'a SharedClock,
    /// Who polls.
    pub holder: String,
    /// How urgent the jobs are.
    pub priority: Priority,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Rows in the window.
    pub rows: u64,
    /// Rows that changed.
    pub changed: u64,
    /// Jobs that were made for them; the others had an open one.
    pub made: u64,
    /// Whether it was the first one: what is there already is no work.
    pub began: bool,
}

/// The right to poll a model of a shop.
pub fn lease_name(shop: &ShopName, model: &str) -> String {
    format!("poll/{shop}/{model}")
}

impl<W: Watch + ?Sized> Poll<'_, W> {
    /// Takes the right to poll, or keeps it.
    async fn hold(&self) -> Result<(), PollError> {
        let now = self.clock.now();
        let name = lease_name(&self.shop, self.watched.model);
        if self
            .store
            .take_lease(&name, &self.holder, now, now.plus(LEASE))
            .await?
        {
            Ok(())
        } else {
            Err(PollError::Elsewhere)
        }
    }

    /// A step with nothing in it yet.
    fn step(&self) -> PollCommit {
        PollCommit {
            shop: self.shop.clone(),
            model: self.watched.model.to_owned(),
            lease: (lease_name(&self.shop, self.watched.model), self.holder.clone()),
            until: None,
            seen: Vec::new(),
            present: None,
            noted: Vec::new(),
            jobs: Vec::new(),
            now: self.clock.now(),
        }
    }

    async fn save(&self, step: PollCommit) -> Result<u64, PollError> {
        match self.store.commit_poll(step).await? {
            PollCommitted::Done { made } => Ok(made),
            PollCommitted::Stale => Err(PollError::Elsewhere),
        }
    }

    /// One job for each of these records, or for what they belong to.
    async fn jobs(&self, records: &BTreeSet<ErpId>, cause: &str) -> Result<Vec<NewJob>, PollError> {
        let named = match self.watched.through {
            Some((model, field)) => owners(self.erp, model, field, records).await?,
            None => records.clone(),
        };
        let now = self.clock.now();
        let job = |id: &ErpId| NewJob {
            key: JobKey::of_erp(&self.shop, self.watched.object, *id),
            priority: self.priority,
            now,
            cause: format!("{cause} {}", self.watched.model),
        };
        Ok(named.iter().map(job).collect())
    }

    /// Reads the compared fields of these rows; rows that are gone are absent.
    async fn read(&self, ids: &[ErpId]) -> Result<BTreeMap<ErpId, Row>, PollError> {
        let mut found = BTreeMap::new();
        for ids in ids.chunks(READ) {
            let rows = self
                .erp
                .read(self.watched.model, ids, &self.watched.fields)
                .await?;
            found.extend(rows.into_iter().map(|row| (row.id, row)));
        }
        Ok(found)
    }
}

/// What these records name in `field`; records that are gone are nobody's any more.
///
/// # Errors
/// When the ERP cannot be asked.
pub async fn owners<W: Watch + ?Sized>(
    erp: &W,
    model: &str,
    field: &str,
    records: &BTreeSet<ErpId>,
) -> Result<BTreeSet<ErpId>, ErpError> {
    let records: Vec<ErpId> = records.iter().copied().collect();
    let mut found = BTreeSet::new();
    for ids in records.chunks(READ) {
        for row in erp.read(model, ids, &[field.to_owned()]).await? {
            if let Some(FieldValue::Record(owner)) = row.fields.get(field) {
                found.insert(*owner);
            }
        }
    }
    Ok(found)
}

/// Looks once at what changed, and makes the jobs for it. The first time it only notes what is there: from then on counts.
///
/// # Errors
/// When the ERP or the store fails, or another node polls.
pub async fn poll<W: Watch + ?Sized>(poll: &Poll<'_, W>) -> Result<Polled, PollError> {
    poll.hold().await?;
    let model = poll.watched.model;
    let now = poll.clock.now();
    let cursor = poll.store.poll_cursor(&poll.shop, model).await?;
    let newest = poll.erp.newest_change(model).await?;
    let mut polled = Polled {
        began: cursor.is_none(),
        ..Polled::default()
    };
    let Some(newest) = newest else {
        if polled.began {
            // Whatever comes first is new.
            let step = PollCommit {
                until: Some(Timestamp::default()),
                ..poll.step()
            };
            poll.save(step).await?;
        }
        return Ok(polled);
    };
    let window = Window::open(cursor.map(|cursor| cursor.until), newest);
    let mut after = None;
    loop {
        let rows = poll
            .erp
            .changed(model, poll.watched.owner, window.since, window.until, after, PAGE)
            .await?;
        let is_last = rows.len() < PAGE as usize;
        after = rows.last().map(|row| row.id).or(after);
        let mut step = page(poll, &window, &rows, now, &mut polled).await?;
        if is_last && cursor.map(|cursor| cursor.until) != Some(window.next) {
            step.until = Some(window.next);
        }
        if step.until.is_some() || !step.seen.is_empty() || !step.jobs.is_empty() {
            polled.made += poll.save(step).await?;
        }
        if is_last {
            return Ok(polled);
        }
        poll.hold().await?;
    }
}

/// What one page of a window means.
async fn page<W: Watch + ?Sized>(
    poll: &Poll<'_, W>,
    window: &Window,
    rows: &[ChangedRow],
    now: Timestamp,
    polled: &mut Polled,
) -> Result<PollCommit, PollError> {
    let ids: Vec<ErpId> = rows.iter().map(|row| row.id).collect();
    let seen = poll.store.poll_seen(&poll.shop, poll.watched.model, &ids).await?;
    let seen: BTreeMap<ErpId, SeenRow> = seen.into_iter().map(|row| (row.id, row)).collect();
    let doubtful: Vec<&ChangedRow> = rows
        .iter()
        .filter(|row| window.doubts(row, seen.get(&row.id)))
        .collect();
    let ids: Vec<ErpId> = doubtful.iter().map(|row| row.id).collect();
    let read = poll.read(&ids).await?;
    let mut step = poll.step();
    let mut records = BTreeSet::new();
    for row in &doubtful {
        let before = seen.get(&row.id);
        let Some(fields) = read.get(&row.id) else {
            // Deleted since: whoever it belonged to is to be looked at.
            records.extend(concerned(row));
            continue;
        };
        let judged = window.judge(row, before, hash(fields), now);
        if judged.is_change {
            polled.changed += 1;
            records.extend(concerned(row));
            step.noted.push(PresentId {
                id: row.id,
                owner: row.owner,
                active: is_active(fields),
            });
        }
        if before != Some(&judged.seen) {
            step.seen.push(judged.seen);
        }
    }
    polled.rows += rows.len() as u64;
    if !polled.began {
        step.jobs = poll.jobs(&records, "change in").await?;
    }
    Ok(step)
}

/// The records whose work a changed row is.
fn concerned(row: &ChangedRow) -> impl Iterator<Item = ErpId> {
    row.owner.into_iter().chain(row.alone.then_some(row.id))
}

/// Whether a row is not archived, as far as its fields tell.
fn is_active(row: &Row) -> bool {
    ["active", "ptav_active"]
        .iter()
        .all(|name| row.fields.get(*name) != Some(&FieldValue::Bool(false)))
}

/// Of the compared fields, in the order of their names.
fn hash(row: &Row) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hasher = Sha256::new();
    for (name, value) in &row.fields {
        // `Debug` tells the kind of a value, and quotes texts.
        hasher.update(format!("{name}={value:?};"));
    }
    hex::encode(&hasher.finalize()[..16])
}
