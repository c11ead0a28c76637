//! What a window is, which of its rows are to be read, and which of them changed. No I/O.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::erp::ChangedRow;
use crate::store::SeenRow;

/// How far each window reaches back into the last one: longer than any transaction of the ERP takes. (A call over HTTP ends
/// after two minutes by default; crons and imports run longer.)
pub const OVERLAP: Duration = Duration::from_mins(10);

/// How old a row's second must be for nobody to begin another write in it.
pub const SETTLES: Duration = Duration::from_secs(2);

const SECOND: Duration = Duration::from_secs(1);

/// The time that one poll reads, by the ERP's clock, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub since: Timestamp,
    /// Up to here, without it: the end of the newest row's second.
    pub until: Timestamp,
    /// Where the next window begins.
    pub next: Timestamp,
    newest: Timestamp,
}

/// What was found out about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// To be remembered.
    pub seen: SeenRow,
    /// Whether it is not what it was when it was seen before.
    pub is_change: bool,
}

impl Window {
    /// The window after the one that ended with this cursor, when the newest row was written then. Without a cursor it is what
    /// the next window will see again.
    pub fn open(cursor: Option<Timestamp>, newest: Timestamp) -> Self {
        let newest = Timestamp::from_millis(newest.millis() - newest.millis().rem_euclid(1_000));
        let until = newest.plus(SECOND);
        let next = until.minus(OVERLAP);
        Self {
            // The newest row may be older than it was: it was deleted, or the ERP was restored from a copy. Then what the
            // cursor says would skip what is written from now on.
            since: cursor.map_or(next, |cursor| cursor.min(next)),
            until,
            next,
            newest,
        }
    }

    /// Whether a row's fields are to be read: it was not seen with this time; or it was, but its second was not over then; or
    /// it is seen for the last time, when even a transaction that began in the same second and took long is over.
    pub fn doubts(&self, row: &ChangedRow, seen: Option<&SeenRow>) -> bool {
        row.at < self.next || seen.is_none_or(|seen| seen.written_at != row.at || !seen.is_settled)
    }

    /// What its fields, read at `now` or later, say about a row.
    pub fn judge(&self, row: &ChangedRow, seen: Option<&SeenRow>, hash: String, now: Timestamp) -> Judged {
        let is_change = seen.is_none_or(|seen| seen.hash != hash);
        let first_at = seen
            .filter(|seen| seen.written_at == row.at)
            .map_or(now, |seen| seen.first_at);
        // Either the ERP's clock has passed that second, as a newer row shows, or ours has moved on for long enough since the
        // row was seen.
        let is_settled = self.newest >= row.at.plus(SETTLES) || now >= first_at.plus(SETTLES);
        Judged {
            seen: SeenRow {
                id: row.id,
                written_at: row.at,
                hash,
                is_settled,
                first_at,
            },
            is_change,
        }
    }
}
