//! An ERP as it was observed: rows get the time at which their transaction began and become visible when it ends; times are
//! told in whole seconds and compared with microseconds (18) or by the second (19). Time goes by with every call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use crate::domain::{ErpId, FieldValue, Timestamp};
use crate::erp::{ChangedRow, ErpError, PresentRow, Row};
use crate::poll::Watch;

/// 2026-11-20 10:00:00 UTC, in microseconds.
const START: u64 = 1_795_514_400_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) written: u64,
    pub(super) name: String,
    pub(super) parent: Option<i64>,
    pub(super) alone: bool,
    pub(super) active: bool,
}

/// Rows that a transaction writes, and when it ends.
struct Open {
    ends: u64,
    rows: Vec<(i64, Stored)>,
}

#[derive(Default)]
struct State {
    now: u64,
    rows: BTreeMap<i64, Stored>,
    open: Vec<Open>,
    /// When each row's last version became visible.
    committed: BTreeMap<i64, u64>,
    calls: Vec<&'static str>,
    /// The call after so many others fails.
    refuses: Option<(u32, ErpError)>,
}

/// The ERP.
pub(super) struct World {
    /// Whether it compares whole seconds.
    by_second: bool,
    /// How long each call takes, in microseconds.
    call_takes: u64,
    state: Mutex<State>,
}

impl World {
    pub(super) fn new(by_second: bool, call_takes: u64) -> Self {
        Self {
            by_second,
            call_takes,
            state: Mutex::new(State {
                now: START,
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Time goes by; transactions end.
    pub(super) fn advance(&self, micros: u64) {
        let mut state = self.state();
        state.now += micros;
        let now = state.now;
        let (ended, open) = std::mem::take(&mut state.open)
            .into_iter()
            .partition(|open: &Open| open.ends <= now);
        state.open = open;
        let mut ended: Vec<Open> = ended;
        ended.sort_by_key(|open| open.ends);
        for open in ended {
            for (id, row) in open.rows {
                state.rows.insert(id, row);
                state.committed.insert(id, open.ends);
            }
        }
    }

    /// Begins a transaction now that writes these rows and ends so much later. Rows that another open one writes are left out
    /// (a database would have it wait); says which were taken.
    pub(super) fn begin(&self, ids: impl IntoIterator<Item = i64>, name: &str, lasts: u64) -> Vec<i64> {
        let mut state = self.state();
        let held: BTreeSet<i64> = state
            .open
            .iter()
            .flat_map(|open| open.rows.iter().map(|(id, _)| *id))
            .collect();
        let began = state.now;
        let rows: Vec<(i64, Stored)> = ids
            .into_iter()
            .filter(|id| !held.contains(id))
            .map(|id| {
                let row = Stored {
                    written: began,
                    name: name.to_owned(),
                    ..state.rows.get(&id).cloned().unwrap_or(Stored {
                        written: began,
                        name: String::new(),
                        parent: None,
                        alone: true,
                        active: true,
                    })
                };
                (id, row)
            })
            .collect();
        let taken = rows.iter().map(|(id, _)| *id).collect();
        let ends = began + lasts;
        state.open.push(Open { ends, rows });
        drop(state);
        self.advance(0);
        taken
    }

    /// Writes at once.
    pub(super) fn write(&self, id: i64, name: &str) {
        assert_eq!(self.begin([id], name, 0), [id]);
    }

    /// Changes a row without a trace.
    pub(super) fn put(&self, id: i64, change: impl FnOnce(&mut Stored)) {
        change(self.state().rows.get_mut(&id).unwrap());
    }

    pub(super) fn delete(&self, id: i64) {
        self.state().rows.remove(&id);
    }

    /// Whether a transaction is still open.
    pub(super) fn is_busy(&self) -> bool {
        !self.state().open.is_empty()
    }

    pub(super) fn name(&self, id: i64) -> Option<String> {
        self.state().rows.get(&id).map(|row| row.name.clone())
    }

    pub(super) fn names(&self) -> BTreeMap<i64, String> {
        let state = self.state();
        state
            .rows
            .iter()
            .map(|(id, row)| (*id, row.name.clone()))
            .collect()
    }

    /// The calls since the last time this was asked.
    pub(super) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    /// The call after so many others fails.
    pub(super) fn refuse(&self, after: u32, error: ErpError) {
        self.state().refuses = Some((after, error));
    }

    fn call(&self, name: &'static str) -> Result<(), ErpError> {
        self.advance(self.call_takes);
        let mut state = self.state();
        state.calls.push(name);
        match state.refuses.take() {
            Some((0, error)) => Err(error),
            Some((left, error)) => {
                state.refuses = Some((left - 1, error));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A stored time as comparisons see it.
    fn compared(&self, written: u64) -> u64 {
        if self.by_second {
            written / 1_000_000 * 1_000_000
        } else {
            written
        }
    }
}

/// As it is told: whole seconds.
fn told(written: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(written / 1_000_000 * 1_000).unwrap())
}

/// A time as it is sent: whole seconds.
fn sent(time: Timestamp) -> u64 {
    u64::try_from(time.millis().max(0) / 1_000).unwrap() * 1_000_000
}

#[async_trait]
impl Watch for World {
    async fn newest_change(&self, _model: &str) -> Result<Option<Timestamp>, ErpError> {
        self.call("newest")?;
        Ok(self.state().rows.values().map(|row| row.written).max().map(told))
    }

    async fn changed(
        &self,
        _model: &str,
        owner: Option<&str>,
        since: Timestamp,
        until: Timestamp,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<ChangedRow>, ErpError> {
        self.call("changed")?;
        let (since, until) = (sent(since), sent(until));
        let state = self.state();
        let rows = state
            .rows
            .range(after.map_or(0, |id| id.0 + 1)..)
            .filter(|(_, row)| (since..until).contains(&self.compared(row.written)))
            .take(limit as usize)
            .map(|(id, row)| ChangedRow {
                id: ErpId(*id),
                at: told(row.written),
                owner: owner.and(row.parent).map(ErpId),
                alone: row.alone,
            });
        Ok(rows.collect())
    }

    async fn all_ids(
        &self,
        _model: &str,
        owner: Option<&str>,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<PresentRow>, ErpError> {
        self.call("all_ids")?;
        let state = self.state();
        let rows = state
            .rows
            .range(after.map_or(0, |id| id.0 + 1)..)
            .take(limit as usize)
            .map(|(id, row)| PresentRow {
                id: ErpId(*id),
                active: row.active,
                owner: owner.and(row.parent).map(ErpId),
            });
        Ok(rows.collect())
    }

    async fn read(&self, _model: &str, ids: &[ErpId], _fields: &[String]) -> Result<Vec<Row>, ErpError> {
        self.call("read")?;
        let state = self.state();
        let rows = ids.iter().filter_map(|id| {
            let row = state.rows.get(&id.0)?;
            let fields = [
                ("active".to_owned(), FieldValue::Bool(row.active)),
                ("name".to_owned(), FieldValue::Text(row.name.clone())),
            ];
            Some(Row {
                id: *id,
                fields: fields.into(),
            })
        });
        Ok(rows.collect())
    }
}
