//! Bulk operations: a query over everything whose result lies as a file of lines with a service of its own.
//!
//! An operation is CREATED, RUNNING when it is first looked at, and over at the second look, or after a while by itself. The
//! lines stand in no order: parts (with `__parentId`) before, behind and far from their wholes.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;

use super::faults::BulkFault;
use super::shop::Shop;

/// Operations of one app that may be under way at a time.
const MOST_AT_ONCE: usize = 5;
/// Nothing takes longer, whether it is looked at or not.
const LONGEST: TimeDelta = TimeDelta::seconds(5);

/// One operation.
#[derive(Debug)]
pub(super) struct BulkOperation {
    pub(super) id: u64,
    pub(super) query: String,
    pub(super) created_at: DateTime<Utc>,
    /// Lines of the result.
    lines: Vec<String>,
    /// Lines without a parent.
    roots: usize,
    fault: Option<BulkFault>,
    /// How often it was looked at.
    looks: AtomicU32,
    is_canceled: bool,
}

/// What the service answers that keeps the results.
pub(super) enum BulkFile {
    /// An HTTP status and no file.
    Refused(u16),
    /// The file.
    Whole(Vec<u8>),
    /// The beginning, then the connection breaks.
    Broken(Vec<u8>),
    /// The beginning, then nothing.
    Silent(Vec<u8>),
}

impl BulkOperation {
    fn is_over(&self, shop: &Shop) -> bool {
        self.is_canceled
            || !shop.bulk_held
                && (self.looks.load(Ordering::Relaxed) >= 2 || shop.now() - self.created_at > LONGEST)
    }

    pub(super) fn status(&self, shop: &Shop) -> &'static str {
        if self.is_canceled {
            return "CANCELED";
        }
        match (&self.fault, self.looks.load(Ordering::Relaxed)) {
            _ if !self.is_over(shop) && self.looks.load(Ordering::Relaxed) == 0 => "CREATED",
            _ if !self.is_over(shop) => "RUNNING",
            (Some(BulkFault::Fails(_)), _) => "FAILED",
            (Some(BulkFault::Canceled), _) => "CANCELED",
            (Some(BulkFault::Expires), _) => "EXPIRED",
            _ => "COMPLETED",
        }
    }

    pub(super) fn error_code(&self, shop: &Shop) -> Option<&str> {
        match &self.fault {
            Some(BulkFault::Fails(code)) if self.is_over(shop) => Some(code),
            _ => None,
        }
    }

    pub(super) fn object_count(&self, shop: &Shop) -> usize {
        match &self.fault {
            _ if !self.is_over(shop) => 0,
            Some(BulkFault::WrongCount(difference)) => self.lines.len().saturating_add_signed(*difference),
            _ => self.lines.len(),
        }
    }

    pub(super) fn root_count(&self, shop: &Shop) -> usize {
        match &self.fault {
            _ if !self.is_over(shop) => 0,
            Some(BulkFault::WrongCount(difference)) => self.roots.saturating_add_signed(*difference),
            _ => self.roots,
        }
    }

    pub(super) fn file_size(&self, shop: &Shop) -> Option<usize> {
        (self.status(shop) == "COMPLETED").then(|| self.bytes().len())
    }

    /// Where the result is. An empty one has no file.
    pub(super) fn url(&self, shop: &Shop) -> Option<String> {
        let is_there = self.status(shop) == "COMPLETED" && !self.lines.is_empty();
        is_there.then(|| self.address(shop))
    }

    /// Where a part of the result of a failed operation is.
    pub(super) fn partial_url(&self, shop: &Shop) -> Option<String> {
        let is_there = self.status(shop) == "FAILED" && !self.lines.is_empty();
        is_there.then(|| self.address(shop))
    }

    fn address(&self, shop: &Shop) -> String {
        format!(
            "{}/results/{}/bulk.jsonl?Signature=c2lnbmVk",
            shop.bulk_host, self.id
        )
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text.into_bytes()
    }

    fn file(&self) -> BulkFile {
        let mut bytes = self.bytes();
        match &self.fault {
            Some(BulkFault::UrlGone(status)) => BulkFile::Refused(*status),
            Some(BulkFault::CutLine) => {
                bytes.truncate(bytes.len() - 5);
                BulkFile::Whole(bytes)
            }
            Some(BulkFault::LostLines) => {
                let kept = &self.lines[..self.lines.len() / 2];
                BulkFile::Whole((kept.join("\n") + "\n").into_bytes())
            }
            Some(BulkFault::Garbage) => {
                let mut lines = self.lines.clone();
                let middle = lines.len() / 2;
                lines[middle] = "<html>".repeat(lines[middle].len() / 6 + 1);
                BulkFile::Whole((lines.join("\n") + "\n").into_bytes())
            }
            Some(BulkFault::TwiceTheSame) => {
                let mut lines = self.lines.clone();
                let first = lines[0].clone();
                lines[1] = first;
                let mut text = (lines.join("\n") + "\n").into_bytes();
                text.resize(text.len().max(bytes.len()), b' ');
                BulkFile::Whole(text)
            }
            Some(BulkFault::Broken) => {
                bytes.truncate(bytes.len() / 2);
                BulkFile::Broken(bytes)
            }
            Some(BulkFault::Silent) => {
                bytes.truncate(bytes.len() / 2);
                BulkFile::Silent(bytes)
            }
            _ => BulkFile::Whole(bytes),
        }
    }
}

impl Shop {
    /// Something goes wrong with the next bulk operation.
    pub fn spoil_next_bulk(&mut self, fault: BulkFault) {
        self.bulk_faults.push_back(fault);
    }

    /// Whether bulk operations that are under way do not end.
    pub fn hold_bulk(&mut self, held: bool) {
        self.bulk_held = held;
    }

    /// Queries of the bulk operations that were started, oldest first.
    pub fn bulk_queries(&self) -> Vec<String> {
        self.bulk
            .iter()
            .map(|operation| operation.query.clone())
            .collect()
    }

    /// How the bulk operations stand that were started, oldest first.
    pub fn bulk_states(&self) -> Vec<&'static str> {
        self.bulk.iter().map(|operation| operation.status(self)).collect()
    }

    /// Cancels an operation; one that is over stays as it is. False where there is none.
    pub(super) fn cancel_bulk(&mut self, id: u64) -> bool {
        let Some(at) = self.bulk.iter().position(|operation| operation.id == id) else {
            return false;
        };
        if !self.bulk[at].is_over(self) {
            self.bulk[at].is_canceled = true;
        }
        true
    }

    pub(super) fn bulk_operation(&self, id: u64) -> Option<&BulkOperation> {
        self.bulk.iter().find(|operation| operation.id == id)
    }

    /// Somebody asks how an operation stands.
    pub(super) fn look_at_bulk(&self, id: u64) {
        if let Some(operation) = self.bulk_operation(id) {
            operation.looks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether another operation may begin.
    pub(super) fn has_room_for_bulk(&self) -> bool {
        self.bulk
            .iter()
            .filter(|operation| !operation.is_over(self))
            .count()
            < MOST_AT_ONCE
    }

    /// Starts an operation whose result has these rows.
    pub(super) fn start_bulk(&mut self, query: &str, rows: &[Json], is_denied: bool) -> u64 {
        let id = self.ids.take();
        let mut lines: Vec<(u64, String)> = rows
            .iter()
            .zip(1_u64..)
            // Fibonacci hashing: an order that has nothing to do with the rows.
            .map(|(row, n)| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15), row.to_string()))
            .collect();
        lines.sort_unstable_by_key(|(place, _)| *place);
        let denied = is_denied.then(|| BulkFault::Fails("ACCESS_DENIED".to_owned()));
        let fault = denied.or_else(|| self.bulk_faults.pop_front());
        let created_at = self.now();
        self.bulk.push(BulkOperation {
            id,
            query: query.to_owned(),
            created_at,
            roots: rows.iter().filter(|row| row["__parentId"].is_null()).count(),
            lines: lines.into_iter().map(|(_, line)| line).collect(),
            fault,
            looks: AtomicU32::new(0),
            is_canceled: false,
        });
        id
    }

    /// What the service that keeps the results has at an address.
    pub(super) fn bulk_file(&self, id: u64) -> BulkFile {
        self.bulk_operation(id)
            .map_or(BulkFile::Refused(404), BulkOperation::file)
    }
}
