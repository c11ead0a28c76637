//! From the outbox to one dispatch for each endpoint that wants a notification.

mod keep;
mod late;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::keep::kept;
use self::late::{Late, Turn};
use super::TROUBLE;
use super::wanted::{guarded, tell_problems, unclear, wants};
use crate::app::notify::events::{Audience, given_up_deliveries, given_up_job};
use crate::config::Config;
use crate::domain::{SharedEntropy, Timestamp};
use crate::failpoint::{FailPoint, reach};
use crate::notify::{Endpoint, EndpointPriority, EndpointState, Notification, Wants, WhenPaused};
use crate::store::{
    FannedOut, GivenUpDeliveries, GivenUpJob, NewDispatch, OutboxRow, SharedStore, StoreError,
};
use crate::telemetry;

/// So many notifications are fanned out in one transaction, at most.
const AT_ONCE: u32 = 200;

/// Their bodies are at most so large together, in bytes; one that is larger is fanned out by itself. Whole records may be in them.
const MOST_BYTES: u64 = 8 << 20;

/// A page is never halved more often: it is one notification then.
const MOST_HALVED: u32 = AT_ONCE.ilog2();

/// After so many pages in a row that went well a page that was halved is doubled.
const GROWS_AFTER: u32 = 16;

/// What stands with a delivery that could not be made in time.
const TOO_LATE: &str = "the database did not take it in time, again and again, though it took others: it was not sent; look whether \
    the database has enough time and room, and send it again by its number";

/// What one look at the outbox did.
#[derive(Default)]
pub(super) struct Fanned {
    /// Endpoints that something was made for.
    pub(super) endpoints: BTreeSet<String>,
    /// Whether more may be there.
    pub(super) is_full: bool,
}

/// What a row of the outbox tells.
struct Told {
    row: OutboxRow,
    notification: Notification,
    /// The deliveries that the store gave up, where it tells of such: they are counted once it is fanned out.
    given_up: Option<GivenUpDeliveries>,
}

/// A page that was not fanned out.
struct Failure {
    error: StoreError,
    /// The one notification that was to be fanned out, where it was only one.
    alone: Option<i64>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, alone: None }
    }
}

/// What fans out. It keeps nothing from being sent: what fails is tried again with a smaller page.
pub(super) struct Fan {
    entropy: SharedEntropy,
    /// What is left in the outbox for a newer version, as far as is known.
    unread: BTreeSet<i64>,
    /// What the store refused by itself, and what panicked, so that it held up all that came behind.
    refused: BTreeSet<i64>,
    /// What the store did not take in time by itself.
    late: Late,
    /// Endpoints that keep nothing while they are paused, and of which it was said that something was not kept.
    told_discarding: BTreeSet<String>,
    /// How often a page is halved, in rows and in bytes.
    halved: u32,
    /// How many pages went well since it was halved or doubled last.
    went_well: u32,
    /// How many failed in a row.
    failures: u32,
    /// Nothing is fanned out before then.
    not_before: Timestamp,
}

impl Fan {
    pub(super) fn new(entropy: SharedEntropy) -> Self {
        Self {
            entropy,
            unread: BTreeSet::new(),
            refused: BTreeSet::new(),
            late: Late::default(),
            told_discarding: BTreeSet::new(),
            halved: 0,
            went_well: 0,
            failures: 0,
            not_before: Timestamp::default(),
        }
    }

    /// The clock was set back: nothing waits for what has become a far future.
    pub(super) fn clock_went_back(&mut self) {
        self.not_before = Timestamp::default();
        self.late.clock_went_back();
    }

    /// When it may be fanned out next.
    pub(super) fn due_at(&self, now: Timestamp) -> Timestamp {
        now.max(self.not_before)
    }

    /// Fans out what is in the outbox, up to a number and a size that one transaction takes. What cannot be read stays there: a newer
    /// version wrote it, and sends it once it is its turn.
    pub(super) async fn out(&mut self, store: &SharedStore, config: &Config, now: Timestamp) -> Fanned {
        match self.page(store, config, now).await {
            Ok(fanned) => {
                if self.failures > 0 {
                    tracing::info!(failures = self.failures, "the outbox is fanned out again");
                    self.failures = 0;
                }
                self.went_well += 1;
                if self.went_well >= GROWS_AFTER {
                    self.went_well = 0;
                    self.halved = self.halved.saturating_sub(1);
                }
                fanned
            }
            Err(failure) => {
                self.failed(&failure, now);
                self.not_before = now.plus(TROUBLE);
                Fanned {
                    is_full: true,
                    ..Fanned::default()
                }
            }
        }
    }

    fn failed(&mut self, Failure { error, alone }: &Failure, now: Timestamp) {
        metrics::counter!(telemetry::NOTIFY_FAN_OUT_FAILURES).increment(1);
        if self.failures == 0 {
            tracing::warn!(
                %error,
                "notifications in the outbox cannot be fanned out; trying again with fewer at a time; what is due is sent meanwhile"
            );
        }
        self.failures = self.failures.saturating_add(1);
        self.went_well = 0;
        // One that is tried by itself says nothing about the others.
        if !alone.is_some_and(|id| self.late.knows(id)) {
            self.halved = (self.halved + 1).min(MOST_HALVED);
        }
        let Some(id) = *alone else {
            return;
        };
        match error {
            StoreError::Closed => return,
            StoreError::Unavailable { .. } => {
                let is_first = !self.late.knows(id);
                if self.late.failed(id, now) {
                    if is_first {
                        tracing::warn!(
                            id, %error,
                            "the store does not take a notification: it is tried again by itself, and what comes behind goes on"
                        );
                    }
                    return;
                }
            }
            _ => {}
        }
        tracing::error!(
            id, %error,
            "the store refuses a notification: it stays in the outbox until the next start, and what comes behind goes on"
        );
        self.refused.insert(id);
    }

    async fn page(
        &mut self,
        store: &SharedStore,
        config: &Config,
        now: Timestamp,
    ) -> Result<Fanned, Failure> {
        let (rows, is_full) = self.readable(store, config, now).await?;
        let mut fanned = Fanned {
            endpoints: BTreeSet::new(),
            is_full,
        };
        if rows.is_empty() {
            return Ok(fanned);
        }
        let endpoints = &config.endpoints;
        let discarding = discarding(store, endpoints).await?;
        // One whose turn it is by itself stands alone.
        let late = rows
            .first()
            .map(|told| told.row.id)
            .filter(|id| self.late.knows(*id));
        let is_given_up = late.is_some_and(|id| self.late.turn(id, now) == Turn::GivenUp);
        let mut discarded: BTreeMap<String, u64> = BTreeMap::new();
        let mut outs: Vec<FannedOut> = Vec::with_capacity(rows.len());
        let mut given_up: Vec<GivenUpDeliveries> = Vec::new();
        for told in rows {
            let id = told.row.id;
            given_up.extend(told.given_up.clone());
            match guarded(|| fan(told, is_given_up, (endpoints, &discarding), now)) {
                Some((out, dropped)) => {
                    outs.push(out);
                    for name in dropped {
                        *discarded.entry(name).or_default() += 1;
                    }
                }
                None => self.panicked(id),
            }
        }
        for new in outs.iter().flat_map(|out| &out.dispatches) {
            if new.problem.is_none() {
                fanned.endpoints.insert(new.endpoint.clone());
            }
        }
        let alone = outs.first().filter(|_| outs.len() == 1).map(|out| out.id);
        let problems = problems(&outs);
        store
            .fan_out(outs, now)
            .await
            .map_err(|error| Failure { error, alone })?;
        if let Some(id) = late {
            self.late.took(id);
        }
        self.late.took_others();
        for (endpoint, (count, sentence)) in &problems {
            if is_given_up {
                tracing::error!(
                    endpoint,
                    deliveries = count,
                    sentence,
                    "a notification is not sent"
                );
            } else {
                tell_problems(endpoint, *count, sentence);
            }
            counted(endpoint, "problem", u64::try_from(*count).unwrap_or(0));
        }
        for deliveries in &given_up {
            counted(&deliveries.endpoint, "failed", deliveries.deliveries);
        }
        self.tell_discarded(&discarded, &discarding);
        // What is told to fail here has happened all the same.
        reach(FailPoint::NotifyFannedOut).await.ok();
        Ok(fanned)
    }

    /// What panics would panic each time, and nothing behind it would ever be told.
    fn panicked(&mut self, id: i64) {
        metrics::counter!(telemetry::NOTIFY_FAN_OUT_FAILURES).increment(1);
        tracing::error!(
            id,
            "an internal error (a panic) ended the fan-out of a notification: it stays in the outbox until the next start, and what \
             comes behind goes on"
        );
        self.refused.insert(id);
    }

    /// Says what was not kept, and once of each endpoint while it discards.
    fn tell_discarded(&mut self, discarded: &BTreeMap<String, u64>, discarding: &BTreeSet<String>) {
        for (endpoint, count) in discarded {
            counted(endpoint, "discarded", *count);
            if self.told_discarding.insert(endpoint.clone()) {
                tracing::warn!(
                    endpoint,
                    "the endpoint is paused, and what comes meanwhile is discarded, as its `when_paused` says"
                );
            }
        }
        self.told_discarding
            .retain(|endpoint| discarding.contains(endpoint));
    }

    /// The first page of the outbox in which something can be read, and whether more may be there. Looked for from the beginning each
    /// time: a lower number may be committed after a higher one.
    async fn readable(
        &mut self,
        store: &SharedStore,
        config: &Config,
        now: Timestamp,
    ) -> Result<(Vec<Told>, bool), StoreError> {
        let limit = (AT_ONCE >> self.halved).max(1);
        let bytes = MOST_BYTES >> self.halved;
        let mut rows = Vec::new();
        let mut left = BTreeSet::new();
        let mut first_new: Option<(i64, serde_json::Error)> = None;
        let mut after = 0;
        let mut last = None;
        let mut is_full = 'pages: loop {
            let page = store.outbox_after(after, limit, bytes).await?;
            for row in page.rows {
                after = row.id;
                if self.refused.contains(&row.id) {
                    continue;
                }
                let id = row.id;
                let turn = self.late.turn(id, now);
                match turn {
                    Turn::NotYet => continue,
                    // The others first: it comes with the next page.
                    Turn::Alone | Turn::GivenUp if !rows.is_empty() => break 'pages true,
                    Turn::WithOthers | Turn::OthersFirst | Turn::Alone | Turn::GivenUp => {}
                }
                match guarded(|| self.read(row, config)) {
                    None => self.panicked(id),
                    Some(Ok(read)) if turn == Turn::OthersFirst => {
                        last.get_or_insert(read);
                    }
                    Some(Ok(read)) => rows.push(read),
                    Some(Err((id, error))) => {
                        if !self.unread.contains(&id) && first_new.is_none() {
                            first_new = Some((id, error));
                        }
                        left.insert(id);
                    }
                }
                if matches!(turn, Turn::Alone | Turn::GivenUp) && !rows.is_empty() {
                    break 'pages true;
                }
            }
            if !page.has_more || !rows.is_empty() {
                break page.has_more;
            }
        };
        if rows.is_empty()
            && let Some(last) = last
        {
            rows.push(last);
            is_full = true;
        }
        if is_full {
            self.unread.append(&mut left);
        } else {
            self.unread = left;
        }
        if let Some((id, error)) = first_new {
            tracing::warn!(
                id,
                %error,
                notifications = self.unread.len(),
                "this version cannot read notifications in the outbox: they wait for a newer one"
            );
        }
        gauge(self.unread.len());
        Ok((rows, is_full))
    }

    /// What a row of the outbox tells. What the store told by itself is made a notification of.
    fn read(&self, mut row: OutboxRow, config: &Config) -> Result<Told, (i64, serde_json::Error)> {
        let error = match serde_json::from_str::<Notification>(&row.body) {
            Ok(notification) => {
                return Ok(Told {
                    row,
                    notification,
                    given_up: None,
                });
            }
            Err(error) => error,
        };
        let at = row.created_at;
        let mut given_up = None;
        let notification = if let Some(job) = GivenUpJob::from_body(&row.body) {
            given_up_job(&Audience::of(config), &*self.entropy, &job, at)
        } else if let Some(deliveries) = GivenUpDeliveries::from_body(&row.body) {
            let notification = given_up_deliveries(&*self.entropy, &deliveries, at);
            given_up = Some(deliveries);
            notification
        } else {
            return Err((row.id, error));
        };
        row.body = serde_json::to_string(&notification).map_err(|error| (row.id, error))?;
        Ok(Told {
            row,
            notification,
            given_up,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: counts stay far below 2^53")]
fn gauge(unread: usize) {
    metrics::gauge!(telemetry::NOTIFY_UNREADABLE).set(unread as f64);
}

/// The endpoints that are paused and keep nothing meanwhile.
async fn discarding(
    store: &SharedStore,
    endpoints: &[Arc<Endpoint>],
) -> Result<BTreeSet<String>, StoreError> {
    let discard = |name: &str| {
        endpoints
            .iter()
            .any(|endpoint| endpoint.name == name && endpoint.when_paused == WhenPaused::Discard)
    };
    let mut names: BTreeSet<String> = endpoints
        .iter()
        .filter(|endpoint| endpoint.state == EndpointState::Paused && discard(&endpoint.name))
        .map(|endpoint| endpoint.name.clone())
        .collect();
    if endpoints
        .iter()
        .any(|endpoint| endpoint.when_paused == WhenPaused::Discard)
    {
        let rows = store.endpoints().await?;
        names.extend(
            rows.into_iter()
                .filter(|row| row.is_paused && discard(&row.name))
                .map(|row| row.name),
        );
    }
    Ok(names)
}

/// Counts what became of notifications for an endpoint.
pub(super) fn counted(endpoint: &str, outcome: &'static str, notifications: u64) {
    metrics::counter!(
        telemetry::NOTIFY_DELIVERIES, "endpoint" => endpoint.to_owned(), "outcome" => outcome
    )
    .increment(notifications);
}

/// How many became a problem, by endpoint, with the sentence of one of them.
fn problems(outs: &[FannedOut]) -> BTreeMap<String, (usize, String)> {
    let mut problems: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for new in outs.iter().flat_map(|out| &out.dispatches) {
        if let Some(sentence) = &new.problem {
            let of_it = problems
                .entry(new.endpoint.clone())
                .or_insert_with(|| (0, sentence.clone()));
            of_it.0 += 1;
        }
    }
    problems
}

/// Who gets it, or has it as a problem where it is too late for it, and the names of the endpoints that would and keep nothing now.
fn fan(
    Told {
        row,
        notification,
        given_up,
    }: Told,
    is_too_late: bool,
    (endpoints, discarding): (&[Arc<Endpoint>], &BTreeSet<String>),
    now: Timestamp,
) -> (FannedOut, Vec<String>) {
    let mut dispatches: Vec<NewDispatch> = Vec::new();
    let mut discarded: Vec<String> = Vec::new();
    let is_for_nobody = given_up.is_some_and(|deliveries| !deliveries.is_news);
    for endpoint in endpoints.iter().filter(|_| !is_for_nobody) {
        let problem = match wants(endpoint, &notification) {
            Wants::No => continue,
            Wants::Yes => is_too_late.then(|| TOO_LATE.to_owned()),
            Wants::Unclear(reason) => Some(unclear(&reason)),
        };
        if discarding.contains(&endpoint.name) {
            discarded.push(endpoint.name.clone());
            continue;
        }
        dispatches.push(NewDispatch {
            endpoint: endpoint.name.clone(),
            priority: priority(endpoint.limits.priority),
            object_key: endpoint.unique.then(|| notification.object_key()).flatten(),
            due_at: now,
            problem,
        });
    }
    let out = FannedOut {
        id: row.id,
        kept: (!dispatches.is_empty()).then(|| kept(&notification, row.body)),
        dispatches,
    };
    (out, discarded)
}

const fn priority(priority: EndpointPriority) -> u8 {
    match priority {
        EndpointPriority::High => 0,
        EndpointPriority::Normal => 1,
        EndpointPriority::Low => 2,
    }
}
