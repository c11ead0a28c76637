//! The rounds of the node that dispatches: fan out, claim, send, and hear how it went.

mod look;
mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::sending::give_back;
use super::fan::Fan;
use super::line::Line;
use super::record::{Outcomes, Recorder, Saved, outcomes};
use super::{Dispatcher, LOOK, NOT_BACK, TROUBLE};
use crate::config::Config;
use crate::domain::{SharedClock, Timestamp};
use crate::notify::{Endpoint, EndpointState, Pace, Sender};
use crate::store::{SharedStore, StoreError};

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
    /// The times that a clock left in the future are mended, or could not be for now.
    TimesMended {
        /// Whether they are.
        are_mended: bool,
    },
}

/// What is remembered over a time in which another node had the right to dispatch, or nobody could tell who has it: receivers
/// remember it, too.
pub(super) struct Kept {
    pace: Pace,
    /// The endpoints as they were followed last: they know what their secrets' files held before.
    endpoints: BTreeMap<String, Arc<Endpoint>>,
    /// Those that were paused when it was looked last.
    paused: BTreeSet<String>,
    /// Until when receivers wanted rest, as the store had it then.
    rests: BTreeMap<String, Timestamp>,
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
            rests: BTreeMap::new(),
            tell,
            hear,
        }
    }
}

/// The clock, as it was seen.
struct Seen {
    /// What it showed last.
    at: Timestamp,
    /// Whether times are still to be mended that a clock left in the future which was set back, now or while nothing ran.
    mends_times: bool,
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
    /// Cancelled when the recorder ended, which it must not before the rounds do.
    recorder_ended: CancellationToken,
    outcomes: Outcomes,
    /// Endpoints that are no more and whose dispatches are being cancelled: a million of them take a while, and nobody waits for that.
    cancelling: BTreeMap<String, JoinHandle<()>>,
    /// Mends the times that a clock left in the future: that looks at all that waits for every endpoint, and holds up none.
    mending: Option<JoinHandle<()>>,
    /// Whether something may be in the outbox.
    fans: bool,
    fan: Fan,
    /// Whether the rests that receivers asked for are still to be read: another node or process may have heard of them.
    reads_rests: bool,
    /// Whether it must be asked when what is due.
    asks_due: bool,
    look_at: Timestamp,
    seen: Seen,
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
        let recorder_ended = CancellationToken::new();
        let ends = recorder_ended.clone().drop_guard();
        Self {
            store: of.store.clone(),
            clock: of.clock.clone(),
            config: None,
            lines: BTreeMap::new(),
            kept,
            requests: TaskTracker::new(),
            recorder: tokio::spawn(async move {
                let _ends = ends;
                recorder.run(unsaved).await;
            }),
            recorder_ended,
            outcomes,
            cancelling: BTreeMap::new(),
            mending: None,
            fans: true,
            fan: Fan::new(of.entropy.clone()),
            reads_rests: true,
            asks_due: true,
            look_at: Timestamp::default(),
            seen: Seen {
                at: Timestamp::default(),
                mends_times: true,
            },
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

    /// Cancelled when outcomes are not saved any more, because what saves them failed: these rounds are to be closed.
    pub(super) fn broken(&self) -> CancellationToken {
        self.recorder_ended.clone()
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
                if let (Some(took), Some(line)) = (took, self.lines.get_mut(&endpoint)) {
                    line.took(took);
                }
                if let Some(until) = rest {
                    self.rest(&endpoint, until);
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
            Heard::TimesMended { are_mended } => {
                self.mending = None;
                self.seen.mends_times |= !are_mended;
                self.asks_due = true;
            }
        }
    }

    /// Leaves an endpoint alone until then.
    fn rest(&mut self, endpoint: &str, until: Timestamp) {
        self.kept.pace.rest(endpoint, until);
        if let Some(line) = self.lines.get_mut(endpoint) {
            line.not_before = line.not_before.max(Some(until));
            give_back(&self.outcomes, endpoint, &mut line.ready, until);
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
        self.look_at_clock();
        self.keep_what_came_back().await;
        if self.clock.now() >= self.look_at {
            self.look_around(&config).await?;
            self.look_at = self.clock.now().plus(LOOK);
            self.rung();
        }
        for _ in 0..LOOKS {
            let now = self.clock.now();
            if !self.fans || self.fan.due_at(now) > now {
                break;
            }
            let fanned = self.fan.out(&self.store, &config, now).await;
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
        if self.fans {
            wake = wake.min(self.fan.due_at(now));
        }
        Ok(wake.min(self.look_at))
    }

    /// After a clock that was set back nothing waits for what has become a far future.
    fn look_at_clock(&mut self) {
        let now = self.clock.now();
        let by = self.seen.at.since(now);
        self.seen.at = now;
        if by <= NOT_BACK {
            return;
        }
        tracing::warn!(
            seconds = by.as_secs(),
            "the machine's clock was set back; what waits to be sent is due as before"
        );
        for line in self.lines.values_mut() {
            // Rests and rates are remembered by the pace.
            line.not_before = None;
            line.in_vain = None;
        }
        // What the store has of them was noted by the clock as it was: that it counts for nothing now is nobody's wish.
        self.kept.rests.clear();
        self.fan.clock_went_back();
        self.look_at = Timestamp::default();
        self.seen.mends_times = true;
    }

    /// An endpoint that is declared anew is cleared away no further, or what is made for it from now on would be cleared away, too.
    /// Nobody else is held up: what clears it away ends at once.
    async fn keep_what_came_back(&mut self) {
        let comes_back = |name: &String| self.kept.endpoints.contains_key(name);
        let names: Vec<String> = self
            .cancelling
            .keys()
            .filter(|name| comes_back(name))
            .cloned()
            .collect();
        for name in names {
            if let Some(cancelling) = self.cancelling.remove(&name) {
                cancelling.abort();
                let _aborted = cancelling.await;
                tracing::info!(
                    endpoint = name,
                    "this endpoint is in the configuration again: what still waits for it is sent"
                );
            }
        }
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

    /// Sends nothing more. What is ready is given back, what is under way comes to its end, and all of that is saved.
    ///
    /// # Panics
    /// When saving outcomes did: it is for whoever runs the dispatcher to begin again, and to be told of it.
    pub(super) async fn close(mut self) -> Kept {
        for beside in std::mem::take(&mut self.cancelling)
            .into_values()
            .chain(self.mending.take())
        {
            // Whoever dispatches next begins again with what is left.
            beside.abort();
            let _aborted = beside.await;
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
        let saved = tokio::time::timeout(longest.max(LAST_SAVE), self.recorder).await;
        if let Ok(Err(ended)) = saved
            && ended.is_panic()
        {
            std::panic::resume_unwind(ended.into_panic());
        }
        self.kept
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
