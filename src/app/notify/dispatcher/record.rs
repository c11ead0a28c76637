//! Saving what became of requests, many at once, and what it says about their endpoints.

mod unsaved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(super) use self::unsaved::{Outcomes, outcomes};
use self::unsaved::{Unsaved, dispatches, take};
use super::TROUBLE;
use super::rounds::Heard;
use super::send::{Done, Member, Outcome};
use super::wanted::{NOT_WANTED, tell_problems};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, Timestamp};
use crate::notify::{
    Attempt, Detail, Endpoint, EndpointDetail, EventType, Health, Next, Notification, NotificationId,
    PausedBecause, WhenPaused, after,
};
use crate::store::{
    DispatchEnd, EndedDispatch, EndedPart, EndpointChange, EndpointRow, FAILING_TOLD_EVERY, HealthChange,
    NewTry, SharedStore, StoreError,
};
use crate::telemetry;

/// So many dispatches are ended in one transaction, at most: the store has only so much time for one. A single batch that is larger
/// is saved by itself.
const AT_ONCE: usize = 1_000;

/// So many failures of the store are too many for what fails alone, and for all while it stops.
const LAST_TRIES: u32 = 3;

/// What saving changed.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// Endpoints that were paused.
    pub(super) paused: BTreeSet<String>,
    /// Whether some of the dispatches wait again.
    pub(super) some_wait: bool,
}

/// What saves outcomes.
pub(super) struct Recorder {
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) tell: mpsc::UnboundedSender<Heard>,
    pub(super) stop: CancellationToken,
}

impl Recorder {
    /// Saves until nobody has outcomes any more. What comes while a transaction runs is saved by the next one. What cannot be saved
    /// is halved until what is the matter stands alone, so that it keeps nothing else from being saved.
    pub(super) async fn run(self, mut unsaved: Unsaved) {
        let mut came = Vec::new();
        let mut waiting: VecDeque<Done> = VecDeque::new();
        let mut most = AT_ONCE;
        let mut failures = 0;
        loop {
            if waiting.is_empty() {
                if unsaved.from.recv_many(&mut came, AT_ONCE).await == 0 {
                    return;
                }
            } else {
                while let Ok(done) = unsaved.from.try_recv() {
                    came.push(done);
                }
            }
            waiting.extend(came.drain(..));
            let group = take(&mut waiting, most);
            let count = dispatches(&group);
            match self.save(&group).await {
                Ok(saved) => {
                    failures = 0;
                    most = (most * 2).min(AT_ONCE);
                    unsaved.done_with(count);
                    self.tell.send(Heard::Saved(saved)).ok();
                }
                Err(error) => {
                    failures += 1;
                    most = (count / 2).max(1);
                    if self.gives_up(group, &error, failures, &mut waiting) {
                        unsaved.done_with(count);
                        self.tell.send(Heard::Saved(Saved::default())).ok();
                    }
                    let pause = self.clock.sleep_until(self.clock.now().plus(TROUBLE));
                    select! {
                        () = pause => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
    }

    /// Has what was not saved wait to be saved again. True where it is given up: its claims end by themselves. `failures`: so many
    /// there were in a row, whatever was to be saved.
    fn gives_up(
        &self,
        mut group: Vec<Done>,
        error: &StoreError,
        failures: u32,
        waiting: &mut VecDeque<Done>,
    ) -> bool {
        let may_pass = matches!(error, StoreError::Unavailable { .. });
        // What the store refuses is halved until it stands alone all the same: the rest can be noted.
        if self.stop.is_cancelled() && failures > LAST_TRIES && (may_pass || group.len() == 1) {
            tracing::warn!(%error, "the outcome of deliveries was not noted: they are sent again, under the same ids");
            return true;
        }
        if group.len() > 1 {
            tracing::warn!(
                %error,
                deliveries = dispatches(&group),
                "cannot note the outcome of deliveries; trying again with half of them"
            );
            for done in group.into_iter().rev() {
                waiting.push_front(done);
            }
            return false;
        }
        let Some(mut done) = group.pop() else {
            return false;
        };
        done.failures += 1;
        let endpoint = done.endpoint.as_str();
        let deliveries: Vec<i64> = done.members.iter().map(|member| member.id.0).collect();
        if !may_pass && done.failures > LAST_TRIES {
            tracing::error!(
                %error, endpoint, ?deliveries,
                "the outcome of these deliveries cannot be noted: they are sent again once their claim has ended"
            );
            return true;
        }
        tracing::warn!(%error, endpoint, ?deliveries, "cannot note the outcome of a delivery; trying again");
        // Others are saved before.
        waiting.push_back(done);
        false
    }

    async fn save(&self, group: &[Done]) -> Result<Saved, StoreError> {
        let config = Arc::clone(&self.config.borrow());
        let now = self.clock.now();
        // How endpoints stand is read anew each time: a person may have let one go on.
        let rows = self.store.endpoints().await?;
        let mut known: BTreeMap<&str, Known> = BTreeMap::new();
        let mut saved = Saved::default();
        let mut ended = Vec::with_capacity(group.len());
        let mut outcomes = Vec::with_capacity(group.len());
        for done in group {
            let name = done.endpoint.as_str();
            let known = known
                .entry(name)
                .or_insert_with(|| Known::of(rows.iter().find(|row| row.name == name)));
            let endpoint = config.endpoints.iter().find(|endpoint| endpoint.name == name);
            let parts = self.parts(done, endpoint, now);
            saved.some_wait |= parts.iter().any(Part::waits);
            let is_given_up = parts.iter().any(|part| part.ended.end == DispatchEnd::Failed);
            let mut pause = None;
            let mut health = None;
            let mut told_failing_at = None;
            let mut notifications = Vec::new();
            // How one stands that the configuration does not have any more is nobody's concern.
            if let (
                Outcome::Sent {
                    attempt, rests_until, ..
                },
                Some(endpoint),
            ) = (&done.outcome, endpoint)
            {
                let pause_after = Endpoint::pause_after(config.notify.pause_after_hours);
                let (after, because) = known.health.after(attempt.ended(), now, pause_after);
                known.health = after.resting(*rests_until);
                health = Some(HealthChange {
                    was: known.was.clone(),
                    is: serde_json::to_string(&known.health).unwrap_or_default(),
                });
                if because.is_some() && !known.is_paused {
                    known.is_paused = true;
                    pause = because;
                }
                // What seems to be told in the future was told by a clock that was ahead.
                let is_told = known
                    .told_at
                    .is_some_and(|told| told <= now && now.since(told) < FAILING_TOLD_EVERY);
                if pause.is_some() || (is_given_up && !is_told) {
                    known.told_at = Some(now);
                    told_failing_at = Some(now);
                    notifications.extend(self.failing(&config, name, known, attempt, now));
                    tell_log(endpoint, attempt, pause);
                }
                if pause.is_some() {
                    saved.paused.insert(name.to_owned());
                }
            }
            let counted = |part: &Part| Some((name, part.outcome?, part.ended.ids.len()));
            outcomes.extend(parts.iter().filter_map(counted));
            ended.push(EndedDispatch {
                parts: parts.into_iter().map(|part| part.ended).collect(),
                attempt: new_try(&done.outcome),
                endpoint: EndpointChange {
                    name: name.to_owned(),
                    health,
                    pause: pause.map(because),
                    told_failing_at,
                },
                notifications,
            });
        }
        let stale = self.store.end_dispatches(ended, now).await?;
        if !stale.is_empty() {
            tracing::debug!(
                dispatches = stale.len(),
                "the outcome of deliveries came too late: they are sent again"
            );
        }
        count(group, &outcomes);
        problems(group);
        Ok(saved)
    }

    /// What becomes of the dispatches of a request. Those of a batch may have been tried differently often: each is given up by its
    /// own tries, and the others stay together.
    fn parts(&self, done: &Done, endpoint: Option<&Arc<Endpoint>>, now: Timestamp) -> Vec<Part> {
        let all = |end, outcome| vec![Part::of(&done.members, end, outcome)];
        match &done.outcome {
            Outcome::GivenBack { at } => all(DispatchEnd::GivenBack { at: *at }, None),
            Outcome::Problem { sentence } => {
                let sentence = sentence.clone();
                all(DispatchEnd::Problem { sentence }, Some("problem"))
            }
            Outcome::NotWanted => {
                let sentence = NOT_WANTED.to_owned();
                all(DispatchEnd::Cancelled { sentence }, Some("cancelled"))
            }
            Outcome::Sent { attempt, .. } if attempt.is_taken() => {
                all(DispatchEnd::Delivered, Some("delivered"))
            }
            Outcome::Sent { attempt, .. } => {
                let Some(endpoint) = endpoint else {
                    // It is cancelled with what waits for the endpoint, or at once where nothing of that is left.
                    return all(DispatchEnd::Again { at: now }, None);
                };
                let (given_up, again): (Vec<Member>, Vec<Member>) = done
                    .members
                    .iter()
                    .copied()
                    .partition(|member: &Member| endpoint.retry.is_exhausted(member.tries));
                let mut parts = Vec::new();
                if !given_up.is_empty() {
                    parts.push(Part::of(&given_up, DispatchEnd::Failed, Some("failed")));
                }
                let tries = again.iter().map(|member| member.tries).max();
                if let Some(tries) = tries {
                    let unit = self.entropy.unit();
                    let (end, outcome) = match after(&endpoint.retry, tries, attempt.retry_after, now, unit) {
                        Next::At(at) => (DispatchEnd::Again { at }, "retried"),
                        Next::GivenUp => (DispatchEnd::Failed, "failed"),
                    };
                    parts.push(Part::of(&again, end, Some(outcome)));
                }
                parts
            }
        }
    }

    /// What others are told of an endpoint that fails, if anybody wants to hear it.
    fn failing(
        &self,
        config: &Config,
        name: &str,
        known: &Known,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Option<String> {
        let event = EventType::EndpointFailing;
        let is_wanted = config
            .endpoints
            .iter()
            .any(|other| other.name != name && other.wants_type(event, None));
        if !is_wanted {
            return None;
        }
        let detail = Detail::Endpoint(EndpointDetail {
            endpoint: name.to_owned(),
            since: known.health.failing_since.map(|since| since.to_string()),
            failure: attempt
                .failure
                .as_ref()
                .map(|failure| failure.code.as_str().to_owned()),
            waiting: Some(known.waiting),
            paused: known.is_paused,
        });
        let id = NotificationId::new(&*self.entropy);
        serde_json::to_string(&Notification::new(id, event, now).with_detail(&detail)).ok()
    }
}

/// What becomes of some of the dispatches of a request.
struct Part {
    ended: EndedPart,
    /// The word for it in the metrics.
    outcome: Option<&'static str>,
}

impl Part {
    fn of(members: &[Member], end: DispatchEnd, outcome: Option<&'static str>) -> Self {
        let ids = members.iter().map(|member| member.id).collect();
        Self {
            ended: EndedPart { ids, end },
            outcome,
        }
    }

    fn waits(&self) -> bool {
        matches!(
            self.ended.end,
            DispatchEnd::Again { .. } | DispatchEnd::GivenBack { .. }
        )
    }
}

/// How an endpoint stands.
struct Known {
    /// As it was read: what a person changes meanwhile is not overwritten.
    was: String,
    health: Health,
    is_paused: bool,
    told_at: Option<Timestamp>,
    waiting: u64,
}

impl Known {
    fn of(row: Option<&EndpointRow>) -> Self {
        Self {
            was: row.map(|row| row.health.clone()).unwrap_or_default(),
            health: row
                .and_then(|row| serde_json::from_str(&row.health).ok())
                .unwrap_or_default(),
            is_paused: row.is_some_and(|row| row.is_paused),
            told_at: row.and_then(|row| row.told_failing_at),
            waiting: row.map_or(0, |row| row.waiting),
        }
    }
}

fn because(paused: PausedBecause) -> String {
    match paused {
        PausedBecause::Gone => "gone",
        PausedBecause::NothingTaken => "nothing_taken",
    }
    .to_owned()
}

fn tell_log(endpoint: &Endpoint, attempt: &Attempt, pause: Option<PausedBecause>) {
    let meanwhile = match endpoint.when_paused {
        WhenPaused::Keep => "kept",
        WhenPaused::Discard => "discarded",
    };
    let endpoint = endpoint.name.as_str();
    let failure = attempt.failure.as_ref().map(|failure| failure.code.as_str());
    match pause {
        Some(PausedBecause::Gone) => {
            tracing::warn!(
                endpoint,
                meanwhile,
                "the endpoint says that it is gone (410): it is paused until somebody lets it go on; what comes meanwhile is \
                 kept or discarded, as its `when_paused` says"
            );
        }
        Some(PausedBecause::NothingTaken) => {
            tracing::warn!(
                endpoint,
                failure,
                meanwhile,
                "the endpoint has taken nothing for too long: it is paused until somebody lets it go on; what comes meanwhile is \
                 kept or discarded, as its `when_paused` says"
            );
        }
        None => {
            tracing::warn!(
                endpoint,
                failure,
                "a delivery was tried for the last time; it is kept as failed"
            );
        }
    }
}

/// Says of each endpoint once that deliveries became problems.
fn problems(group: &[Done]) {
    let mut told: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for done in group {
        if let Outcome::Problem { sentence } = &done.outcome {
            told.entry(&done.endpoint).or_insert((0, sentence)).0 += done.members.len();
        }
    }
    for (endpoint, (deliveries, sentence)) in told {
        tell_problems(endpoint, deliveries, sentence);
    }
}

/// The try, for the log of deliveries; none where nothing was sent.
fn new_try(outcome: &Outcome) -> Option<NewTry> {
    let Outcome::Sent { attempt, at, .. } = outcome else {
        return None;
    };
    let answer = attempt.answer.clone();
    let status = answer.as_ref().map(|answer| answer.status);
    let (headers, body, is_cut) = answer.map_or_else(
        || (Vec::new(), String::new(), false),
        |answer| (answer.headers, answer.body, answer.is_cut),
    );
    Some(NewTry {
        at: *at,
        took_ms: u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
        failure: attempt
            .failure
            .as_ref()
            .map(|failure| failure.code.as_str().to_owned()),
        sentence: attempt.failure.as_ref().map(|failure| failure.sentence.clone()),
        status,
        headers,
        answer: body,
        is_cut,
    })
}

fn count(group: &[Done], outcomes: &[(&str, &'static str, usize)]) {
    for (endpoint, outcome, dispatches) in outcomes {
        let notifications = u64::try_from(*dispatches).unwrap_or(0);
        metrics::counter!(
            telemetry::NOTIFY_DELIVERIES, "endpoint" => (*endpoint).to_owned(), "outcome" => *outcome
        )
        .increment(notifications);
    }
    for done in group {
        if let Outcome::Sent { attempt, .. } = &done.outcome {
            metrics::histogram!(telemetry::NOTIFY_SECONDS, "endpoint" => done.endpoint.clone())
                .record(attempt.took.as_secs_f64());
        }
    }
}
