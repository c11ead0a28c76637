//! The rounds of the node that dispatches: fan out, claim, send, and hear how it went.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::line::{Line, Unit};
use super::record::{Outcomes, Recorder, Saved, outcomes};
use super::send::{Carrier, Outcome, done};
use super::{CLAIM_MARGIN, Dispatcher, LOOK, TROUBLE, by_configuration, fan};
use crate::config::Config;
use crate::domain::{SharedClock, Timestamp};
use crate::notify::{Attempt, Ended, Endpoint, EndpointState, Pace, Sender, Turn};
use crate::store::{EndpointAfter, EndpointRow, SharedStore, StoreError};
use crate::telemetry;

/// What is ready and whose turn comes later than this is given back meanwhile.
const HELD_READY: Duration = Duration::from_secs(5);

/// At the end, what is known is saved within this time; what is not is sent again.
const LAST_SAVE: Duration = Duration::from_secs(10);

/// So many looks at the outbox in a row, before what is due is sent.
const LOOKS: usize = 5;

/// What the rounds are told of.
pub(super) enum Heard {
    /// A request has ended.
    Ended {
        /// The endpoint's name.
        endpoint: String,
        /// How long it took; none where nothing was sent.
        took: Option<Duration>,
        /// Until when the receiver asked for rest.
        rest: Option<Timestamp>,
    },
    /// Outcomes were saved.
    Saved(Saved),
    /// What waited for this endpoint, which is not in the configuration any more, is cancelled, or could not be for now.
    Cancelled(String),
}

/// What is remembered over a time in which another node had the right to dispatch, or nobody could tell who has it: receivers
/// remember it, too.
pub(super) struct Kept {
    pace: Pace,
    /// The endpoints as they were followed last: they know what their secrets' files held before.
    endpoints: BTreeMap<String, Arc<Endpoint>>,
    /// Those that were paused when it was looked last.
    paused: BTreeSet<String>,
    /// Requests that ended after all are heard of here, whoever sent them.
    tell: mpsc::UnboundedSender<Heard>,
    hear: mpsc::UnboundedReceiver<Heard>,
}

impl Kept {
    /// Nothing yet.
    pub(super) fn new(clock: &SharedClock) -> Self {
        let (tell, hear) = mpsc::unbounded_channel();
        Self {
            pace: Pace::new(clock.clone()),
            endpoints: BTreeMap::new(),
            paused: BTreeSet::new(),
            tell,
            hear,
        }
    }
}

/// What the rounds remember.
pub(super) struct Rounds {
    store: SharedStore,
    clock: SharedClock,
    config: Option<Arc<Config>>,
    lines: BTreeMap<String, Line>,
    kept: Kept,
    /// Requests under way.
    requests: TaskTracker,
    recorder: JoinHandle<()>,
    outcomes: Outcomes,
    /// Endpoints that are no more and whose dispatches are being cancelled: a million of them take a while, and nobody waits for that.
    cancelling: BTreeMap<String, JoinHandle<()>>,
    /// Whether something may be in the outbox.
    fans: bool,
    /// What is left in the outbox for a newer version, as far as is known.
    unread: BTreeSet<i64>,
    /// Whether it must be asked when what is due.
    asks_due: bool,
    look_at: Timestamp,
}

impl Rounds {
    pub(super) fn new(of: &Dispatcher, kept: Kept, stop: &CancellationToken) -> Self {
        let (outcomes, unsaved) = outcomes();
        let recorder = Recorder {
            config: of.config.clone(),
            store: of.store.clone(),
            clock: of.clock.clone(),
            entropy: of.entropy.clone(),
            tell: kept.tell.clone(),
            stop: stop.clone(),
        };
        Self {
            store: of.store.clone(),
            clock: of.clock.clone(),
            config: None,
            lines: BTreeMap::new(),
            kept,
            requests: TaskTracker::new(),
            recorder: tokio::spawn(recorder.run(unsaved)),
            outcomes,
            cancelling: BTreeMap::new(),
            fans: true,
            unread: BTreeSet::new(),
            asks_due: true,
            look_at: Timestamp::default(),
        }
    }

    /// Goes by this configuration from now on.
    pub(super) fn follow(&mut self, config: &Arc<Config>) {
        if self
            .config
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, config))
        {
            return;
        }
        let mut before = std::mem::take(&mut self.lines);
        let known = std::mem::take(&mut self.kept.endpoints);
        for endpoint in &config.endpoints {
            let name = &endpoint.name;
            let endpoint = known
                .get(name)
                .map_or_else(|| Arc::clone(endpoint), |old| Arc::new(endpoint.carry_over(old)));
            self.kept.endpoints.insert(name.clone(), Arc::clone(&endpoint));
            if endpoint.state != EndpointState::Active {
                continue;
            }
            let Some(sender) = sender(&endpoint, config) else {
                continue;
            };
            let mut line = Line::new(endpoint, sender);
            if let Some(before) = before.get_mut(name) {
                line.follow(before);
            }
            self.lines.insert(name.clone(), line);
        }
        // All of them: one that the configuration pauses for a while has its limits all the same.
        self.kept.pace.set(self.kept.endpoints.values());
        let now = self.clock.now();
        for (name, mut line) in before {
            give_back(&self.outcomes, &name, &mut line.ready, now);
        }
        self.config = Some(Arc::clone(config));
        self.look_at = Timestamp::default();
        self.asks_due = true;
        self.fans = true;
    }

    /// Something may be there.
    pub(super) fn rung(&mut self) {
        self.fans = true;
        self.asks_due = true;
        for line in self.lines.values_mut() {
            line.in_vain = None;
        }
    }

    /// Waits for word of what is under way, and takes note of all that there is.
    pub(super) async fn heard(&mut self) {
        let mut next = self.kept.hear.recv().await;
        while let Some(heard) = next {
            self.note(heard);
            next = self.kept.hear.try_recv().ok();
        }
    }

    fn note(&mut self, heard: Heard) {
        match heard {
            Heard::Ended { endpoint, took, rest } => {
                self.kept.pace.ended(&endpoint);
                if let Some(until) = rest {
                    self.kept.pace.rest(&endpoint, until);
                }
                let Some(line) = self.lines.get_mut(&endpoint) else {
                    return;
                };
                if let Some(took) = took {
                    line.took(took);
                }
                if let Some(until) = rest {
                    line.not_before = line.not_before.max(Some(until));
                    give_back(&self.outcomes, &endpoint, &mut line.ready, until);
                }
            }
            Heard::Saved(saved) => {
                self.asks_due |= saved.some_wait;
                for name in saved.paused {
                    if let Some(line) = self.lines.get_mut(&name) {
                        give_back(&self.outcomes, &name, &mut line.ready, self.clock.now());
                    }
                }
            }
            Heard::Cancelled(endpoint) => {
                self.cancelling.remove(&endpoint);
                self.fans = true;
            }
        }
    }

    /// One round. Says when the next one is due, if nothing is heard before.
    pub(super) async fn round(&mut self) -> Timestamp {
        match self.try_round().await {
            Ok(wake) => wake,
            Err(error) => {
                tracing::warn!(%error, "a round of notifications failed; nothing is lost, and it goes on by itself");
                self.rung();
                self.clock.now().plus(TROUBLE)
            }
        }
    }

    async fn try_round(&mut self) -> Result<Timestamp, StoreError> {
        while let Ok(heard) = self.kept.hear.try_recv() {
            self.note(heard);
        }
        let Some(config) = self.config.clone() else {
            return Ok(self.clock.now().plus(LOOK));
        };
        if self.clock.now() >= self.look_at {
            self.look_around(&config).await?;
            self.look_at = self.clock.now().plus(LOOK);
            self.rung();
        }
        // What is made for an endpoint that came back while it is still being cleared away would be cleared away, too.
        let comes_back = |name: &String| self.kept.endpoints.contains_key(name);
        let may_fan = !self.cancelling.keys().any(comes_back);
        for _ in 0..LOOKS {
            if !self.fans || !may_fan {
                break;
            }
            let now = self.clock.now();
            let fanned = fan::fan_out(&self.store, &config.endpoints, &mut self.unread, now).await?;
            self.fans = fanned.is_full;
            self.are_due(fanned.endpoints, now);
        }
        if self.asks_due {
            self.ask_due().await?;
        }
        let mut wake = self.send_what_is_due().await;
        if self.asks_due {
            self.ask_due().await?;
        }
        let now = self.clock.now();
        let free: BTreeSet<&str> = self.kept.pace.free().into_iter().map(|(name, _)| name).collect();
        let may_claim = !self.outcomes.is_full();
        for (name, line) in &self.lines {
            // Where no place is free, the end of a request wakes; what is ready has said itself when its turn is. Where
            // too much is to be saved, saving wakes.
            let may_claim = may_claim && line.ready.is_empty() && free.contains(name.as_str());
            let at = line.claims_at().filter(|at| *at > now || may_claim);
            wake = at.map_or(wake, |at| wake.min(at));
        }
        if self.fans && may_fan {
            wake = now;
        }
        Ok(wake.min(self.look_at))
    }

    fn are_due(&mut self, endpoints: BTreeSet<String>, at: Timestamp) {
        for name in endpoints {
            if let Some(line) = self.lines.get_mut(&name) {
                line.due = Some(line.due.map_or(at, |due| due.min(at)));
            }
        }
    }

    async fn ask_due(&mut self) -> Result<(), StoreError> {
        let next: BTreeMap<String, Timestamp> = self.store.next_dispatch().await?.into_iter().collect();
        for (name, line) in &mut self.lines {
            line.due = next.get(name).copied();
        }
        self.asks_due = false;
        Ok(())
    }

    /// What is done from time to time: taking back what nobody ended, cancelling what waits for endpoints that are no more, keeping
    /// back what is for endpoints that somebody paused, and telling how endpoints stand.
    async fn look_around(&mut self, config: &Config) -> Result<(), StoreError> {
        let now = self.clock.now();
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
        for name in self.kept.paused.difference(&paused) {
            self.kept.pace.resumed(name);
            if let Some(line) = self.lines.get_mut(name) {
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
        for row in rows {
            if config.endpoints.iter().any(|endpoint| endpoint.name == row.name) {
                gauges(&row);
            } else {
                self.cancel(row, now);
            }
        }
        Ok(())
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

    /// Claims and sends as much as there are places, in the order of priority. Says when more may be sent.
    async fn send_what_is_due(&mut self) -> Timestamp {
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
        line.claimed(claimed, until);
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
            if now.plus(line.endpoint.target.timeout) >= unit.claimed_until {
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
                clock: self.clock.clone(),
            };
            self.requests.spawn(request.carry_out(carrier, unit));
        }
        idle
    }

    /// Sends nothing more. What is ready is given back, what is under way comes to its end, and all of that is saved.
    pub(super) async fn close(mut self) -> Kept {
        for cancelling in std::mem::take(&mut self.cancelling).into_values() {
            // Whoever dispatches next begins again with what is left.
            cancelling.abort();
            let _aborted = cancelling.await;
        }
        let now = self.clock.now();
        let mut longest = Duration::ZERO;
        for (name, line) in &mut self.lines {
            longest = longest.max(line.endpoint.target.timeout);
            give_back(&self.outcomes, name, &mut line.ready, now);
        }
        self.requests.close();
        // Attempts end by themselves; a store that does not answer holds nobody up.
        let _in_time = tokio::time::timeout(longest + TROUBLE, self.requests.wait()).await;
        // Rests that receivers asked for at the end are kept.
        while let Ok(heard) = self.kept.hear.try_recv() {
            self.note(heard);
        }
        drop(self.outcomes);
        let _in_time = tokio::time::timeout(longest.max(LAST_SAVE), self.recorder).await;
        self.kept
    }
}

/// One request, and whom its outcome is told.
struct Request {
    outcomes: Outcomes,
    tell: mpsc::UnboundedSender<Heard>,
    clock: SharedClock,
}

impl Request {
    async fn carry_out(self, carrier: Carrier, unit: Unit) {
        let endpoint = carrier.endpoint.name.clone();
        let mut heard = (None, None);
        for done in carrier.carry(unit).await {
            if let Outcome::Sent { attempt, .. } = &done.outcome {
                heard = (Some(attempt.took), self.rest(attempt));
            }
            self.outcomes.add(done);
        }
        let (took, rest) = heard;
        self.tell.send(Heard::Ended { endpoint, took, rest }).ok();
    }

    /// Until when the receiver wants rest from everything: it said that it gets too much, or that it is not there. One that is gone
    /// is left alone until that is noted.
    fn rest(&self, attempt: &Attempt) -> Option<Timestamp> {
        if attempt.ended() == Ended::Gone {
            return Some(self.clock.now().plus(TROUBLE));
        }
        let status = attempt.answer.as_ref()?.status;
        let asked = attempt.retry_after.filter(|_| matches!(status, 429 | 503))?;
        Some(self.clock.now().plus(asked))
    }
}

/// Gives back all that is ready.
fn give_back(outcomes: &Outcomes, endpoint: &str, ready: &mut VecDeque<Unit>, at: Timestamp) {
    for unit in ready.drain(..) {
        outcomes.add(done(endpoint, &unit, Outcome::GivenBack { at }));
    }
}

fn sender(endpoint: &Endpoint, config: &Config) -> Option<Sender> {
    Sender::new(endpoint.target.clone(), &config.notify.allow_networks)
        .inspect_err(|error| {
            // It worked when the configuration was checked a moment ago.
            tracing::error!(%error, endpoint = endpoint.name, "nothing can be sent to this endpoint until the next reload");
        })
        .ok()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: counts stay far below 2^53")]
fn gauges(row: &EndpointRow) {
    metrics::gauge!(telemetry::NOTIFY_WAITING, "endpoint" => row.name.clone()).set(row.waiting as f64);
    let paused = if row.is_paused { 1.0 } else { 0.0 };
    metrics::gauge!(telemetry::NOTIFY_PAUSED, "endpoint" => row.name.clone()).set(paused);
}
