//! The store's operations over either database: what a caller gave is made ready, run as a read, as a write, or as part
//! of a batch, and its failures are told in the store's words. One file for each topic of `store/operations/`.

use super::Backend;
use crate::store::{Lane, Store, StoreError};

/// Runs a question on a connection of its own.
macro_rules! ask {
    ($store:expr, $trying:expr, |$conn:ident| $question:expr) => {
        match $store.reader().await {
            Ok(mut held) => {
                let answer = {
                    let $conn = &mut *held;
                    Backend::in_time($question).await
                };
                if matches!(answer, Err($crate::store::fault::Fault::TooLong)) {
                    Backend::give_up(held);
                }
                answer
            }
            Err(fault) => Err(fault),
        }
        .map_err(|fault: $crate::store::fault::Fault| fault.told($trying))
    };
}

/// Runs a change in a transaction.
macro_rules! change {
    ($store:expr, $trying:expr, |$conn:ident| $change:expr) => {
        $store
            .write($trying, move |$conn| Box::pin(async move { $change.await }))
            .await
    };
}

mod alerts;
mod audit;
mod drift;
mod events;
mod housekeeping;
mod imports;
mod intake;
mod intents;
mod jobs;
mod leases;
mod links;
mod nodes;
mod notices;
mod numbers;
mod polls;
mod problems;
mod queue;
mod review;
mod runs;
mod sessions;
mod shops;
mod subscriptions;
mod written;

impl Backend {
    pub(super) async fn refresh_lanes(&self) -> Result<(), StoreError> {
        let lanes = ask!(self, "read lanes", |conn| super::queue::all_lanes(conn))?;
        self.lanes.learn(lanes);
        Ok(())
    }

    /// The numbers of these lanes; those that are missing are made.
    async fn lane_ids(&self, lanes: Vec<Lane>) -> Result<Vec<i64>, StoreError> {
        let known = |lanes: &[Lane]| lanes.iter().map(|lane| self.lanes.id(lane)).collect();
        let ids: Option<Vec<i64>> = known(&lanes);
        if let Some(ids) = ids {
            return Ok(ids);
        }
        let missing = lanes.clone();
        let made = change!(self, "make a lane", |conn| super::queue::make_lanes(
            conn, &missing
        ))?;
        self.lanes.learn(made);
        let ids: Option<Vec<i64>> = known(&lanes);
        ids.ok_or(StoreError::BadRow {
            table: "lanes",
            row: 0,
            column: "object",
        })
    }
}

impl Store for Backend {}
