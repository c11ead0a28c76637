//! Claiming what is due, and sending it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::{Heard, Rounds};
use crate::app::notify::dispatcher::line::{Claim, Unit};
use crate::app::notify::dispatcher::record::Outcomes;
use crate::app::notify::dispatcher::send::{Carrier, Outcome, done};
use crate::app::notify::dispatcher::{CLAIM_MARGIN, LOOK, TROUBLE};
use crate::domain::Timestamp;
use crate::notify::Turn;
use crate::store::StoreError;

/// What is ready and whose turn comes later than this is given back meanwhile.
const HELD_READY: Duration = Duration::from_secs(5);

impl Rounds {
    /// Claims and sends as much as there are places, in the order of priority. Says when more may be sent.
    pub(super) async fn send_what_is_due(&mut self) -> Timestamp {
        let mut wake = self.clock.now().plus(LOOK);
        let free: Vec<(String, u32)> = self
            .kept
            .pace
            .free()
            .into_iter()
            .map(|(name, places)| (name.to_owned(), places))
            .collect();
        for (name, places) in free {
            if let Err(error) = self.claim(&name, places).await {
                // What keeps one from being claimed may keep no other: they go on.
                tracing::warn!(%error, endpoint = name, "cannot take deliveries to send; trying again");
                if let Some(line) = self.lines.get_mut(&name) {
                    line.in_vain = Some(self.clock.now().plus(TROUBLE));
                }
            }
            wake = wake.min(self.send(&name));
        }
        wake
    }

    /// Claims what the line can work off soon.
    async fn claim(&mut self, name: &str, places: u32) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(line) = self.lines.get_mut(name) else {
            return Ok(());
        };
        let limit = line.limit(places);
        if limit == 0 || self.outcomes.is_full() || line.claims_at().is_none_or(|at| at > now) {
            return Ok(());
        }
        let until = now.plus(line.endpoint.target.timeout).plus(CLAIM_MARGIN);
        let claimed = self.store.claim_dispatches(name, now, until, limit).await?;
        let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        if count < limit {
            line.due = None;
            self.asks_due = true;
        }
        // What is said to be due and cannot be claimed is not asked for again and again.
        line.in_vain = (count == 0).then(|| now.plus(TROUBLE));
        line.claimed(claimed, Claim { at: now, until });
        Ok(())
    }

    /// Sends what is ready, as far as it may be sent now. Says when the next one may.
    fn send(&mut self, name: &str) -> Timestamp {
        let now = self.clock.now();
        let idle = now.plus(LOOK);
        let Some(line) = self.lines.get_mut(name) else {
            return idle;
        };
        while let Some(unit) = line.ready.front() {
            // What waited here for too long may be somebody else's by the time when it would be sent.
            if now.plus(line.endpoint.target.timeout) >= unit.claim.until {
                give_back(&self.outcomes, name, &mut line.ready, now);
                break;
            }
            match self.kept.pace.take(name) {
                Turn::Now => {}
                Turn::At(at) if at.since(now) > HELD_READY => {
                    line.not_before = line.not_before.max(Some(at));
                    give_back(&self.outcomes, name, &mut line.ready, at);
                    return at;
                }
                Turn::At(at) => return at,
                Turn::WhenOneEnds | Turn::Unknown => break,
            }
            let Some(unit) = line.ready.pop_front() else {
                break;
            };
            let carrier = Carrier::of(line, &self.store, &self.clock);
            let request = Request {
                outcomes: self.outcomes.clone(),
                tell: self.kept.tell.clone(),
            };
            self.requests.spawn(request.carry_out(carrier, unit));
        }
        idle
    }
}

/// One request, and whom its outcome is told.
struct Request {
    outcomes: Outcomes,
    tell: mpsc::UnboundedSender<Heard>,
}

impl Request {
    /// Carries it out. However that ends, its place is free again afterwards. What came of one that panicked is not known: its claim ends
    /// by itself, and it is sent again, but not for ever.
    async fn carry_out(self, carrier: Carrier, unit: Unit) {
        let endpoint = carrier.endpoint.name.clone();
        let deliveries: Vec<i64> = unit.members.iter().map(|one| one.id).collect();
        let carried = AssertUnwindSafe(carrier.carry(unit)).catch_unwind().await;
        let carried = carried.unwrap_or_else(|_| {
            // What it said may quote customer data; where it was stands in the log already.
            tracing::error!(
                endpoint,
                ?deliveries,
                "an internal error (a panic) ended a request: these deliveries are sent again once their claim has ended"
            );
            Vec::new()
        });
        let mut heard = (None, None);
        for done in carried {
            if let Outcome::Sent {
                attempt, rests_until, ..
            } = &done.outcome
            {
                heard = (Some(attempt.took), *rests_until);
            }
            self.outcomes.add(done);
        }
        let (took, rest) = heard;
        self.tell.send(Heard::Ended { endpoint, took, rest }).ok();
    }
}

/// Gives back all that is ready.
pub(super) fn give_back(outcomes: &Outcomes, endpoint: &str, ready: &mut VecDeque<Unit>, at: Timestamp) {
    for unit in ready.drain(..) {
        outcomes.add(done(endpoint, &unit, Outcome::GivenBack { at }));
    }
}
