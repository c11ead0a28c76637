//! [`Runs`] over either database.

use async_trait::async_trait;

use super::super::{Backend, runs};
use crate::domain::Timestamp;
use crate::store::{GapRow, GapRun, NewGap, NewRun, RunCounts, RunOutcome, RunRow, Runs, StoreError};

#[async_trait]
impl Runs for Backend {
    async fn start_run(&self, run: NewRun) -> Result<Option<i64>, StoreError> {
        change!(self, "begin a run", |conn| runs::start(conn, &run))
    }

    async fn run_goes_on(&self, run: i64, counts: RunCounts, now: Timestamp) -> Result<bool, StoreError> {
        change!(self, "note how far a run is", |conn| runs::goes_on(
            conn, run, counts, now
        ))
    }

    async fn finish_run(
        &self,
        run: i64,
        outcome: RunOutcome,
        error: Option<&str>,
        notifications: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let error = error.map(str::to_owned);
        let tells = !notifications.is_empty();
        let ended = change!(self, "end a run", |conn| runs::finish(
            conn,
            run,
            outcome,
            error.as_deref(),
            &notifications,
            now
        ));
        if tells {
            self.ring_told().await;
        }
        ended
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        ask!(self, "list runs", |conn| runs::last(conn, limit))
    }

    async fn open_gap(&self, gap: NewGap, now: Timestamp) -> Result<i64, StoreError> {
        change!(self, "open a gap", |conn| runs::open_gap(conn, &gap, now))
    }

    async fn close_gap(&self, ended: GapRun) -> Result<bool, StoreError> {
        change!(self, "close a gap", |conn| runs::ran(conn, &ended))
    }

    async fn gaps(&self) -> Result<Vec<GapRow>, StoreError> {
        ask!(self, "list gaps", |conn| runs::gaps(conn))
    }
}
