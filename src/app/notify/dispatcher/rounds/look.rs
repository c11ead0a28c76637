//! What is looked at from time to time, beside the bells.

use std::collections::{BTreeMap, BTreeSet};

use super::sending::give_back;
use super::{Heard, Rounds};
use crate::app::notify::dispatcher::by_configuration;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::notify::Health;
use crate::store::{EndpointAfter, EndpointRow, StoreError};
use crate::telemetry;

impl Rounds {
    /// What is done from time to time: taking back what nobody ended, cancelling what waits for endpoints that are no more, keeping
    /// back what is for endpoints that somebody paused, and telling how endpoints stand.
    pub(super) async fn look_around(&mut self, config: &Config) -> Result<(), StoreError> {
        let now = self.clock.now();
        // One that panicked says nothing any more.
        self.cancelling.retain(|_, task| !task.is_finished());
        self.mend_times(now);
        match self.store.reclaim_dispatches(now).await {
            Ok(0) => {}
            Ok(again) => tracing::info!(
                deliveries = again,
                "deliveries whose outcome nobody noted are sent again, under the same ids"
            ),
            // The others are sent meanwhile.
            Err(error) => {
                tracing::warn!(%error, "cannot take back deliveries whose outcome nobody noted; trying again");
            }
        }
        let rows = self.store.endpoints().await?;
        let paused: BTreeSet<String> = rows
            .iter()
            .filter(|row| row.is_paused)
            .map(|row| row.name.clone())
            .collect();
        let rests = rests(&rows, now);
        for name in self.let_go_on(&paused, &rests) {
            self.kept.pace.resumed(&name);
            if let Some(line) = self.lines.get_mut(&name) {
                line.not_before = None;
            }
        }
        for (name, line) in &mut self.lines {
            // Where all was given up the endpoint may be forgotten with it: what is given back is given up, too.
            if paused.contains(name) || !rows.iter().any(|row| row.name == *name) {
                give_back(&self.outcomes, name, &mut line.ready, now);
            }
        }
        self.kept.paused = paused;
        self.kept.rests = rests;
        if std::mem::take(&mut self.reads_rests) {
            self.read_rests(&rows, now);
        }
        for row in rows {
            if config.endpoints.iter().any(|endpoint| endpoint.name == row.name) {
                gauges(&row);
            } else {
                self.cancel(row, now);
            }
        }
        Ok(())
    }

    /// Mends the times that a clock left in the future, beside the rounds. Where the clock is set back meanwhile, it is done once
    /// more.
    fn mend_times(&mut self, now: Timestamp) {
        if self.mending.take_if(|task| task.is_finished()).is_some() {
            // It panicked: it would have been heard of.
            self.seen.mends_times = true;
        }
        if !self.seen.mends_times || self.mending.is_some() {
            return;
        }
        self.seen.mends_times = false;
        let (store, tell) = (self.store.clone(), self.kept.tell.clone());
        self.mending = Some(tokio::spawn(async move {
            let mended = store.mend_dispatch_times(now).await;
            if let Err(error) = &mended {
                tracing::warn!(%error, "cannot mend the times of deliveries; trying again");
            }
            let are_mended = mended.is_ok();
            tell.send(Heard::TimesMended { are_mended }).ok();
        }));
    }

    /// The endpoints that a person let go on since it was looked last. One that was paused in between, too: the rest that it was known
    /// to want is known no more, and nothing else ends one.
    fn let_go_on(&self, paused: &BTreeSet<String>, rests: &BTreeMap<String, Timestamp>) -> BTreeSet<String> {
        let is_ended = |(name, until): &(&String, &Timestamp)| rests.get(*name) < Some(*until);
        let rested = self.kept.rests.iter().filter(is_ended).map(|(name, _)| name);
        self.kept
            .paused
            .difference(paused)
            .chain(rested)
            .cloned()
            .collect()
    }

    /// Cancels what waits for an endpoint that is no more, beside the rounds.
    fn cancel(&mut self, row: EndpointRow, now: Timestamp) {
        let name = row.name.clone();
        if self.cancelling.contains_key(&name) {
            return;
        }
        let (store, tell) = (self.store.clone(), self.kept.tell.clone());
        let cancelling = tokio::spawn(async move {
            let cancelled = store
                .cancel_dispatches(&row.name, EndpointAfter::Forgotten, by_configuration(), now)
                .await;
            match cancelled {
                Ok(cancelled) => {
                    tracing::warn!(
                        endpoint = row.name,
                        cancelled,
                        "this endpoint is not in the configuration any more: what waited for it is cancelled"
                    );
                    gauges(&EndpointRow {
                        is_paused: false,
                        waiting: 0,
                        ..row.clone()
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        %error, endpoint = row.name,
                        "cannot cancel what waits for an endpoint that is not in the configuration any more; trying again"
                    );
                }
            }
            tell.send(Heard::Cancelled(row.name)).ok();
        });
        self.cancelling.insert(name, cancelling);
    }

    /// Takes up the rests that receivers asked for before: of another process, or of another node.
    fn read_rests(&mut self, rows: &[EndpointRow], now: Timestamp) {
        for row in rows {
            if let Some(until) = rest(row, now).filter(|until| *until > now) {
                self.rest(&row.name, until);
            }
        }
    }
}

fn rest(row: &EndpointRow, now: Timestamp) -> Option<Timestamp> {
    let health = serde_json::from_str::<Health>(&row.health).unwrap_or_default();
    health.rest(now)
}

/// Until when receivers want rest.
fn rests(rows: &[EndpointRow], now: Timestamp) -> BTreeMap<String, Timestamp> {
    rows.iter()
        .filter_map(|row| Some((row.name.clone(), rest(row, now)?)))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: counts stay far below 2^53")]
fn gauges(row: &EndpointRow) {
    metrics::gauge!(telemetry::NOTIFY_WAITING, "endpoint" => row.name.clone()).set(row.waiting as f64);
    let paused = if row.is_paused { 1.0 } else { 0.0 };
    metrics::gauge!(telemetry::NOTIFY_PAUSED, "endpoint" => row.name.clone()).set(paused);
}
