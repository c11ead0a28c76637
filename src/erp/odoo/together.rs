//! Calls of `load` that several attempts make at the same time go together, as the commits of a database do: while one is
//! under way, what comes for the same model and columns waits, and goes as one call when it is over. Who is alone waits for
//! nobody. What gives way ([`calls::gives_way`]: an import's records) goes together with its like only, so that nothing live
//! waits for its calls; of these two may be under way, where an import may have two calls at a time.
//!
//! Only `load` is sent so: it names records by external ids, so that it may be repeated and cut apart. A call that Odoo
//! refuses left nothing behind; whatever it refused it for may be about one record, so it is cut in halves until the bad
//! record stands alone, and fails alone.
//!
//! Calls are sent by tasks of their own: no attempt waits until others know what became of theirs. Right before each call
//! what its attempt gave up is taken out of it, since newer values of the same record may have been sent meanwhile. A call that
//! gives way may have waited long for its turn: it takes along what came meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument as _;

use super::Odoo;
use super::call::Call;
use super::load::{self, Batch};
use super::look_up::LookUps;
use super::session::Session;
use crate::domain::{ErpId, System};
use crate::erp::ErpError;
use crate::telemetry::calls;
use crate::transport::Failure;

/// Most rows of one call. Odoo carries out some ten rows of an order a second, and whoever comes meanwhile waits for the end.
const MOST_ROWS: usize = 50;

/// Most calls of one kind that an import has under way: two keep an ERP busy, and with more each would carry fewer rows.
const MOST_OF_AN_IMPORT: usize = 2;

/// Model and columns that are remembered while nobody uses them.
const MOST_LINES: usize = 256;

type Answer = Result<Vec<ErpId>, ErpError>;

/// Model, columns, and whether what goes there gives way.
type Kind = (String, Vec<String>, bool);

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Together(Mutex<HashMap<Kind, Arc<Line>>>);

/// Calls of one kind.
#[derive(Debug)]
struct Line {
    /// Held by whoever sends.
    turns: Arc<Semaphore>,
    waiting: Mutex<Vec<Waiting>>,
    /// The external ids in the calls that are under way.
    sent: Mutex<BTreeSet<String>>,
}

/// The external ids in a call; none of them is sent a second time before this is dropped.
struct Sent {
    line: Arc<Line>,
    names: Vec<String>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut sent = lock(&self.line.sent);
        for name in &self.names {
            sent.remove(name);
        }
    }
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    done: oneshot::Sender<Told>,
}

/// What an attempt is told of its call.
#[derive(Debug)]
struct Told {
    answer: Answer,
    /// How long the last call took that it was part of.
    took: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Together {
    /// The line of a call, of whose kind so many may be under way.
    fn line(&self, batch: &Batch, gives_way: bool, turns: usize) -> Arc<Line> {
        let mut lines = lock(&self.0);
        if lines.len() > MOST_LINES {
            lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        let kind = (batch.model.clone(), batch.columns.clone(), gives_way);
        let new = || {
            Arc::new(Line {
                turns: Arc::new(Semaphore::new(turns)),
                waiting: Mutex::default(),
                sent: Mutex::default(),
            })
        };
        Arc::clone(lines.entry(kind).or_insert_with(new))
    }
}

impl Line {
    /// What goes in the next call.
    fn next(self: &Arc<Self>) -> (Sent, Vec<Waiting>) {
        let mut sent = Sent {
            line: Arc::clone(self),
            names: Vec::new(),
        };
        let mut parts = Vec::new();
        sent.take(&mut parts);
        (sent, parts)
    }
}

impl Sent {
    /// Adds to a call what waits, oldest first: no record that is in it or under way already, and not too much. Whoever gave up
    /// is left out.
    fn take(&mut self, parts: &mut Vec<Waiting>) {
        let mut waiting = lock(&self.line.waiting);
        let mut sent = lock(&self.line.sent);
        let mut rows: usize = parts.iter().map(|part| part.batch.rows.len()).sum();
        let mut left: Vec<Waiting> = Vec::new();
        for one in std::mem::take(&mut *waiting) {
            if one.done.is_closed() {
                continue;
            }
            let own: Vec<String> = names_of(&one.batch).map(str::to_owned).collect();
            let fits = parts.is_empty() || rows + one.batch.rows.len() <= MOST_ROWS;
            if fits && own.iter().all(|name| !sent.contains(name)) {
                rows += one.batch.rows.len();
                sent.extend(own.iter().cloned());
                self.names.extend(own);
                parts.push(one);
            } else {
                left.push(one);
            }
        }
        *waiting = left;
    }
}

/// The external ids of the records in a call: its first column. Those of their lines' records are not among them.
fn names_of(batch: &Batch) -> impl Iterator<Item = &str> {
    batch
        .rows
        .iter()
        .filter_map(|row| row.first())
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// Several calls as one.
fn merged(parts: &[Waiting]) -> Option<Batch> {
    let first = &parts.first()?.batch;
    let saves: usize = parts.iter().map(|part| part.batch.saves.len()).sum();
    Some(Batch {
        model: first.model.clone(),
        columns: first.columns.clone(),
        rows: parts
            .iter()
            .flat_map(|part| part.batch.rows.iter().cloned())
            .collect(),
        saves: (0..saves).collect(),
    })
}

/// Whether what Odoo answered to several records may be about one of them only. Then nothing of the call was carried out,
/// or it may be repeated, and a smaller one may go through. The others speak of the server or the login, or leave open what
/// was carried out.
pub(super) const fn may_be_about_one(error: &ErpError) -> bool {
    match error {
        ErpError::Rejected { .. }
        | ErpError::Missing { .. }
        | ErpError::Forbidden { .. }
        | ErpError::Setup { .. }
        | ErpError::Asked { .. }
        | ErpError::Nonsense { .. } => true,
        // A value that another record has already is told like a lost race. A server that says when to come again
        // must not be asked more often instead.
        ErpError::Busy { retry_after, .. } => retry_after.is_none(),
        ErpError::Unreachable(_)
        | ErpError::Unknown { .. }
        | ErpError::Refused { .. }
        | ErpError::Misconfigured { .. }
        | ErpError::Down { .. } => false,
    }
}

impl Odoo {
    /// One call of `load`, alone or together with others.
    pub(super) async fn load(&self, batch: &Batch) -> Answer {
        // Each attempt notes one call, whoever sends it and however often it is cut apart.
        let mut under_way = calls::begin(System::Erp, || format!("load {}", batch.model));
        let (done, told) = oneshot::channel();
        self.send(Waiting {
            batch: batch.clone(),
            done,
        });
        let answer = match told.await {
            Ok(told) => {
                under_way.answered_after(told.took);
                told.answer
            }
            // Whoever sent it was broken off before the answer came.
            Err(_) => Err(ErpError::Unknown {
                model: batch.model.clone(),
                method: "load".to_owned(),
                source: Failure::Cut {
                    host: self.session.base().to_owned(),
                },
            }),
        };
        under_way.ended(answer.as_ref().map_or_else(ErpError::code, |_| "ok"));
        answer
    }

    /// Has it sent: at once when nothing of its kind is under way, else with the others that wait.
    fn send(&self, one: Waiting) {
        let gives_way = calls::gives_way();
        let turns = if gives_way {
            self.session.lesser_slots().min(MOST_OF_AN_IMPORT)
        } else {
            1
        };
        let line = self.together.line(&one.batch, gives_way, turns);
        lock(&line.waiting).push(one);
        let turn = Arc::clone(&line.turns).try_acquire_owned().ok();
        let taken = turn.map(|turn| (turn, line.next()));
        let sender = Sender {
            session: Arc::clone(&self.session),
            look_ups: Arc::clone(&self.look_ups),
        };
        // There is one task for each that waits, and each sends the oldest until nothing is left: none is left behind, even if a
        // task breaks off. What is under way in another call goes when that is over.
        let work = async move {
            let (_turn, (mut sent, mut parts)) = match taken {
                Some(taken) => taken,
                None => match Arc::clone(&line.turns).acquire_owned().await {
                    Ok(turn) => (turn, line.next()),
                    // It is never closed.
                    Err(_) => return,
                },
            };
            while !parts.is_empty() {
                sender.send(parts, &mut sent).await;
                drop(sent);
                (sent, parts) = line.next();
            }
        };
        tokio::spawn(calls::giving_way(gives_way, work).in_current_span());
    }
}

/// What the tasks need that send calls.
struct Sender {
    session: Arc<Session>,
    look_ups: Arc<LookUps>,
}

impl Sender {
    /// Sends calls as one, and tells each what became of it.
    async fn send(&self, parts: Vec<Waiting>, sent: &mut Sent) {
        let mut groups = vec![parts];
        // Only the first call takes others along: what is cut apart is to become less.
        let mut takes = calls::gives_way().then_some(sent);
        while let Some(mut parts) = groups.pop() {
            let told = self.once(&mut parts, takes.take(), false).await;
            let Some(Told { mut answer, mut took }) = told else {
                continue;
            };
            if parts.len() > 1
                && let Err(error) = &answer
                && may_be_about_one(error)
            {
                let half = parts.split_off(parts.len() / 2);
                groups.push(half);
                groups.push(parts);
                continue;
            }
            let is_rejected = |answer: &Answer| matches!(answer, Err(ErpError::Rejected { .. }));
            if is_rejected(&answer) && parts.iter().all(|part| part.batch.names_records()) {
                // Odoo resolves the ids of other records by a search, which hides archived ones: a product that was sold
                // and then archived, say. The refused call left nothing behind. Archived records are not let in at once,
                // since whatever Odoo works out by itself (a fiscal position, say) would choose among them, too.
                let Some(again) = self.once(&mut parts, None, true).await else {
                    continue;
                };
                answer = again.answer;
                took += again.took;
            }
            if is_rejected(&answer) {
                // A record that was looked up may be gone; the next try asks again.
                self.look_ups.forget();
            }
            tell(parts, answer, took);
        }
    }

    /// One call with those of the parts that are still wanted when it is its turn, and with what `takes` may add by then; none
    /// when nobody wants anything any more.
    async fn once(
        &self,
        parts: &mut Vec<Waiting>,
        takes: Option<&mut Sent>,
        with_archived: bool,
    ) -> Option<Told> {
        let mut sent_at = None;
        let make = || {
            parts.retain(|part| !part.done.is_closed());
            if let Some(sent) = takes {
                sent.take(parts);
            }
            let whole = merged(parts)?;
            sent_at = Some(Instant::now());
            Some((load_call(&whole, with_archived), whole))
        };
        let answer = self.session.call_in_turn(make).await?;
        Some(Told {
            answer: answer.and_then(|(value, whole)| load::read_result(&whole, &value)),
            took: sent_at.map_or(Duration::ZERO, |at| at.elapsed()),
        })
    }
}

fn load_call(batch: &Batch, with_archived: bool) -> Call {
    let (fields, data) = batch.arguments();
    let call = Call::write(&batch.model, "load")
        .arg("fields", fields)
        .arg("data", data)
        .quietly();
    if with_archived { call.with_archived() } else { call }
}

/// Tells each its own records, or all the same failure.
fn tell(parts: Vec<Waiting>, answer: Answer, took: Duration) {
    let mut ids = answer.map(Vec::into_iter);
    for part in parts {
        let answer = match &mut ids {
            Ok(ids) => Ok(ids.take(part.batch.saves.len()).collect()),
            Err(error) => Err(error.clone()),
        };
        // Who is gone has no use for it.
        part.done.send(Told { answer, took }).ok();
    }
}
