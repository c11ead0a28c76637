//! Reads that several records of an import ask for at the same time go together: while one is under way, or waits for its
//! turn, what comes of the same kind waits with it and goes as one call. Whatever is live asks alone and at once: somebody
//! waits for it, and there is less of it.
//!
//! One kind of write goes the same way: an action on records ([`Question::of_action`]), of which Odoo carries out all or none.
//!
//! Only such reads are joined whose answer tells which row was whose: rows by their ids, by the exact text of one field, and by
//! the record that one field names; and those that ask the very same. A row is given to whoever asked for just it, in the order in which the same read alone would have told it. What was
//! asked for is read after it was asked for, never an answer that was on its way already. Where one record may be what a
//! refusal is about, the call is cut in halves until that one stands alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::call::Call;
use super::session::Session;
use super::together::may_be_about_one;
use super::value::record;
use super::{Odoo, acted, nonsense};
use crate::domain::{ErpId, System};
use crate::erp::ErpError;
use crate::telemetry::calls;
use crate::transport::Failure;

/// Most records or values of one call.
const MOST: usize = 100;

/// Most records that one call acts on: Odoo takes a third of a second to confirm an order, and what is live waits for the end.
const MOST_ACTED_ON: usize = 10;

/// Kinds of reads that are remembered while nobody uses them.
const MOST_LINES: usize = 256;

/// What a read asks for.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The call without what is asked for.
    call: Call,
    by: By,
    /// Ids or texts.
    asked: Vec<Value>,
    /// At most so many rows.
    limit: Option<u32>,
}

/// What tells whose a row is. Fields go by the server's names.
#[derive(Clone, Debug)]
enum By {
    /// Its own id.
    Id,
    /// The text in this field.
    Text(String),
    /// The record that this field names.
    Owner(String),
    /// Nothing: all of it belongs to whoever asks just this.
    Whole,
    /// There are no rows: something is done to these records.
    Action,
}

impl Question {
    /// Rows by their ids; `call` is on no records yet.
    pub(super) fn of_records(call: Call, ids: &[ErpId]) -> Self {
        Self {
            call,
            by: By::Id,
            asked: ids.iter().map(|id| json!(id.0)).collect(),
            limit: None,
        }
    }

    /// A `search_read` of the rows whose `field` has just one of these texts, besides all that the domain says already. `field`
    /// has to be among the fields that are read.
    pub(super) fn of_texts(call: Call, field: &str, texts: Vec<Value>, limit: Option<u32>) -> Self {
        Self {
            call,
            by: By::Text(field.to_owned()),
            asked: texts,
            limit,
        }
    }

    /// The same of the rows whose `field` names one of these records.
    pub(super) fn of_owners(call: Call, field: &str, owners: &[ErpId]) -> Self {
        Self {
            call,
            by: By::Owner(field.to_owned()),
            asked: owners.iter().map(|id| json!(id.0)).collect(),
            limit: None,
        }
    }

    /// A call whose answer, a list, cannot be divided: it goes together with the same call only.
    pub(super) fn whole(call: Call) -> Self {
        Self {
            call,
            by: By::Whole,
            asked: Vec::new(),
            limit: None,
        }
    }

    /// An action on one record, whose answer tells nothing. Whoever does it has to see to it that it may be repeated.
    pub(super) fn of_action(call: Call, id: ErpId) -> Self {
        Self {
            call,
            by: By::Action,
            asked: vec![json!(id.0)],
            limit: None,
        }
    }

    /// What questions that can be asked together have in common.
    fn kind(&self) -> String {
        let Self { call, by, .. } = self;
        format!("{call:?} {by:?}")
    }

    fn call(&self) -> Call {
        let mut call = self.call.clone();
        match &self.by {
            By::Id | By::Action => call = call.on(self.asked.iter().filter_map(Value::as_i64).map(ErpId)),
            By::Text(field) | By::Owner(field) => {
                let (operator, value) = match self.asked.as_slice() {
                    [one] => ("=", one.clone()),
                    several => ("in", json!(several)),
                };
                let domain = call.args.iter_mut().find(|(name, _)| *name == "domain");
                if let Some((_, Value::Array(domain))) = domain {
                    domain.insert(0, json!([field, operator, value]));
                }
            }
            By::Whole => {}
        }
        if let Some(limit) = self.limit {
            call = call.option("limit", limit);
        }
        call
    }

    /// The records that it acts on.
    fn names(&self) -> impl Iterator<Item = String> {
        let acts = matches!(self.by, By::Action);
        let asked = self.asked.iter().filter(move |_| acts);
        asked.map(Value::to_string)
    }

    /// Most that may be asked for at a time.
    const fn most(&self) -> usize {
        match self.by {
            By::Action => MOST_ACTED_ON,
            _ => MOST,
        }
    }

    /// Whether a refusal may be about some of those who ask and not about others.
    const fn is_divisible(&self) -> bool {
        !matches!(self.by, By::Whole)
    }

    /// Whether there may be more rows than were told.
    fn is_cut(&self, rows: &[Value]) -> bool {
        self.limit.is_some_and(|limit| rows.len() >= limit as usize)
    }

    /// The rows that answer this, out of those that answer more.
    fn own(&self, rows: &[Value]) -> Vec<Value> {
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let in_order = |is_asked: &dyn Fn(&Value) -> bool| {
            let rows = rows.iter().filter(|row| is_asked(row));
            rows.take(limit).cloned().collect()
        };
        match &self.by {
            By::Id => {
                let by_id: HashMap<i64, &Value> = rows
                    .iter()
                    .filter_map(|row| Some((row["id"].as_i64()?, row)))
                    .collect();
                let asked = self.asked.iter().filter_map(Value::as_i64);
                asked
                    .filter_map(|id| by_id.get(&id).map(|row| (*row).clone()))
                    .collect()
            }
            By::Text(field) => in_order(&|row| self.asked.contains(&row[field])),
            By::Whole => rows.to_vec(),
            By::Action => Vec::new(),
            By::Owner(field) => {
                in_order(&|row| record(&row[field]).is_some_and(|owner| self.asked.contains(&json!(owner.0))))
            }
        }
    }
}

type Answer = Result<Vec<Value>, ErpError>;

/// What waits, by its kind.
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<BTreeMap<String, Arc<Line>>>);

/// Reads of one kind.
#[derive(Debug, Default)]
struct Line {
    /// Held by whoever sends.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Waiting>>,
    /// What was acted on together with others without an answer: one of them may be what the server broke on, or all of them were too
    /// much for it. The next time each goes alone.
    alone: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct Waiting {
    question: Question,
    done: oneshot::Sender<Told>,
}

/// What an attempt is told of its read.
#[derive(Debug)]
struct Told {
    answer: Answer,
    /// How long the last call took that it was part of.
    took: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reads {
    fn line(&self, kind: String) -> Arc<Line> {
        let mut lines = lock(&self.0);
        if lines.len() > MOST_LINES {
            lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        Arc::clone(lines.entry(kind).or_default())
    }

    /// Whether nobody waits, nor is about to send anything.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.0).values().all(|line| Arc::strong_count(line) == 1)
    }
}

impl Line {
    /// Whether somebody waits for an answer.
    fn is_wanted(&self) -> bool {
        lock(&self.waiting).iter().any(|one| !one.done.is_closed())
    }

    /// What goes in the next call, oldest first. Whoever gave up is left out.
    fn next(&self) -> Vec<Waiting> {
        let (mut waiting, alone) = (lock(&self.waiting), lock(&self.alone));
        let is_alone = |one: &Waiting| one.question.names().any(|name| alone.contains(&name));
        let (mut taken, mut left, mut asked) = (Vec::<Waiting>::new(), Vec::new(), 0);
        for one in std::mem::take(&mut *waiting) {
            if one.done.is_closed() {
                continue;
            }
            let count = one.question.asked.len();
            let fits = asked + count <= one.question.most() && !is_alone(&one) && !taken.iter().any(is_alone);
            if taken.is_empty() || fits {
                asked += count;
                taken.push(one);
            } else {
                left.push(one);
            }
        }
        *waiting = left;
        taken
    }
}

impl Line {
    /// Remembers what was lost together, until it went alone.
    fn note_lost(&self, parts: &[Waiting], answer: &Answer) {
        let names = parts.iter().flat_map(|part| part.question.names());
        let mut alone = lock(&self.alone);
        if parts.len() > 1 && matches!(answer, Err(ErpError::Unknown { .. })) {
            alone.extend(names);
        } else {
            for name in names {
                alone.remove(&name);
            }
        }
    }
}

/// Several questions of one kind as one; none where there is none.
fn merged(parts: &[Waiting]) -> Option<Question> {
    let first = &parts.first()?.question;
    let mut known = BTreeSet::new();
    let asked = parts.iter().flat_map(|part| &part.question.asked);
    let asked = asked.filter(|value| known.insert(value.to_string())).cloned();
    let limits = parts.iter().map(|part| part.question.limit);
    Some(Question {
        call: first.call.clone(),
        by: first.by.clone(),
        asked: asked.collect(),
        limit: limits.fold(None, |sum: Option<u32>, limit| {
            limit.map(|limit| sum.unwrap_or(0).saturating_add(limit))
        }),
    })
}

fn rows_of(question: &Question, answer: Value) -> Answer {
    match answer {
        answer if matches!(question.by, By::Action) => acted(&question.call, answer).map(|_| Vec::new()),
        Value::Array(rows) => Ok(rows),
        _ => Err(nonsense(
            &question.call.model,
            question.call.method,
            "it is no list",
        )),
    }
}

impl Odoo {
    /// The rows that a read tells; an import's together with others of its kind.
    pub(super) async fn rows(&self, question: Question) -> Answer {
        if !calls::gives_way() {
            let answer = self.session.call(&question.call()).await?;
            return rows_of(&question, answer);
        }
        // Each attempt notes one call, whoever sends it and however often it is cut apart.
        let Call {
            model,
            method,
            writes,
            ..
        } = question.call.clone();
        let mut under_way = calls::begin(System::Erp, || format!("{method} {model}"));
        let line = self.reads.line(question.kind());
        let (done, told) = oneshot::channel();
        lock(&line.waiting).push(Waiting { question, done });
        // There is one task for each that waits, and each sends the oldest: none is left behind, even if a task breaks off.
        let session = Arc::clone(&self.session);
        let work = async move {
            let _turn = line.turn.lock().await;
            // It may have gone with another's: nobody's turn to call the server is used up for nothing.
            if line.is_wanted() {
                send(&session, &line).await;
            }
        };
        tokio::spawn(calls::giving_way(true, work).in_current_span());
        let answer = match told.await {
            Ok(told) => {
                under_way.answered_after(told.took);
                told.answer
            }
            // Whoever sent it was broken off before the answer came.
            Err(_) => {
                let cut = Failure::Cut {
                    host: self.session.base().to_owned(),
                };
                Err(if writes {
                    ErpError::Unknown {
                        model,
                        method: method.to_owned(),
                        source: cut,
                    }
                } else {
                    ErpError::Unreachable(cut)
                })
            }
        };
        under_way.ended(answer.as_ref().map_or_else(ErpError::code, |_| "ok"));
        answer
    }
}

/// Sends what waits as one call, and tells each what became of it.
async fn send(session: &Session, line: &Line) {
    // The first call takes what waits when it is its turn.
    let mut groups = vec![Vec::new()];
    let mut takes = true;
    while let Some(mut parts) = groups.pop() {
        let told = once(session, line, &mut parts, std::mem::take(&mut takes)).await;
        let Some(Told { answer, took }) = told else {
            continue;
        };
        let may_be_cut = match &answer {
            Ok(rows) => merged(&parts).is_some_and(|question| question.is_cut(rows)),
            Err(error) => may_be_about_one(error) && parts.iter().all(|part| part.question.is_divisible()),
        };
        if parts.len() > 1 && may_be_cut {
            let half = parts.split_off(parts.len() / 2);
            groups.push(half);
            groups.push(parts);
            continue;
        }
        line.note_lost(&parts, &answer);
        for part in parts {
            let answer = match &answer {
                Ok(rows) => Ok(part.question.own(rows)),
                Err(error) => Err(error.clone()),
            };
            // Who is gone has no use for it.
            part.done.send(Told { answer, took }).ok();
        }
    }
}

/// One call with those of the parts that are still wanted when it is its turn, or with what waits then; none when nobody
/// wants anything any more.
async fn once(session: &Session, line: &Line, parts: &mut Vec<Waiting>, takes: bool) -> Option<Told> {
    let mut sent = None;
    let make = || {
        if takes {
            *parts = line.next();
        }
        parts.retain(|part| !part.done.is_closed());
        let whole = merged(parts)?;
        sent = Some(Instant::now());
        Some((whole.call(), whole))
    };
    let answer = session.call_in_turn(make).await?;
    if takes && parts.is_empty() {
        // Nobody could log in: that is what all are told who wait.
        *parts = line.next();
    }
    Some(Told {
        answer: answer.and_then(|(value, whole)| rows_of(&whole, value)),
        took: sent.map_or(Duration::ZERO, |sent| sent.elapsed()),
    })
}
