//! What became of dispatches that were claimed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row as _;

use super::{Conn, DbRow, add, events, held, notices_sql, sql};
use crate::domain::{Fence, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{DispatchEnd, EndedDispatch, FAILING_TOLD_EVERY, GivenUpDeliveries, HealthChange, NewTry};

/// What stands with a dispatch whose endpoint is no more.
pub(super) const ENDPOINT_GONE: &str = "its endpoint was removed";

/// So many claims of a dispatch may end without a word, with no outcome noted in between; then it is given up. Each may have sent it.
const MOST_UNNOTED: i64 = 20;

/// From so many on each is sent alone, so that the one that kills the process is told from those that were claimed beside it.
const ALONE_FROM: i64 = 3;

/// Those that are to be sent alone are due so far apart.
const APART: Duration = Duration::from_secs(1);

/// Why one was given up that was sent again and again and of which nobody knows what became.
const UNNOTED_FAILURE: &str = "outcome_unknown";
const UNNOTED: &str = "it was sent again and again, and each time the process ended before it could note what came of it, or could \
    not note it: the log says which";

/// How many claims that ended without a word are taken back at a time.
const STEP: u32 = if cfg!(test) { 3 } else { 500 };

/// A dispatch that is being sent under the claim that was asked for.
pub(super) struct Live {
    id: i64,
    pub(super) endpoint: String,
    tries: i64,
    notification: i64,
    /// What makes two about the same, where the newer replaces the older.
    object_key: Option<String>,
    has_body: bool,
    /// The one about the same that waits, and its notification.
    rival: Option<(i64, i64)>,
}

/// Those of these dispatches that are still being sent under these claims.
pub(super) async fn live(conn: &mut Conn, ids: &[(i64, Fence)]) -> Result<Vec<Live>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(notices_sql::LIVE)
        .bind(serde_json::to_string(ids)?)
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &DbRow) -> Result<Live, Fault> {
    let rival: Option<i64> = row.try_get("rival")?;
    let of: Option<i64> = row.try_get("rival_notification")?;
    Ok(Live {
        id: row.try_get("id")?,
        endpoint: row.try_get("endpoint")?,
        tries: row.try_get("tries")?,
        notification: row.try_get("notification_id")?,
        object_key: row.try_get("object_key")?,
        has_body: row.try_get("has_body")?,
        rival: rival.zip(of),
    })
}

/// How a dispatch ends: where one that is to wait cannot, that is seen to in [`Changes::save`].
#[derive(Clone, Copy)]
enum After<'a> {
    Ended { state: &'static str },
    Problem { sentence: &'a str },
    Cancelled { sentence: &'a str },
    Waits { at: Timestamp, tries_less: i64 },
}

/// What is saved of many ends at once.
#[derive(Default)]
struct Changes {
    ended: Vec<Value>,
    waiting: Vec<Value>,
}

impl Changes {
    fn end(&mut self, id: i64, state: &str, told: Option<Told<'_>>, now: Timestamp) {
        self.ended.push(row(id, state, None, 0, told, Some(now)));
    }

    /// Of one that was claimed and not tried.
    fn cancel(&mut self, id: i64, sentence: &str, now: Timestamp) {
        let told = Some(Told::only(sentence));
        self.ended.push(row(id, "cancelled", None, 1, told, Some(now)));
    }

    fn wait(&mut self, id: i64, at: Timestamp, tries_less: i64, told: Option<Told<'_>>) {
        self.waiting
            .push(row(id, "waiting", Some(at), tries_less, told, None));
    }

    /// What ends goes first: it may make room for what waits.
    async fn save(&self, conn: &mut Conn) -> Result<(), Fault> {
        for rows in [&self.ended, &self.waiting] {
            if !rows.is_empty() {
                sqlx::query(notices_sql::DISPATCHES_END)
                    .bind(serde_json::to_string(rows)?)
                    .execute(&mut *conn)
                    .await?;
            }
        }
        Ok(())
    }
}

/// What is noted of the last try.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    failure: Option<&'a str>,
    sentence: Option<&'a str>,
    status: Option<u16>,
    took_ms: Option<u64>,
}

impl<'a> Told<'a> {
    fn of(attempt: &'a NewTry) -> Self {
        Self {
            failure: attempt.failure.as_deref(),
            sentence: attempt.sentence.as_deref(),
            status: attempt.status,
            took_ms: Some(attempt.took_ms),
        }
    }

    fn only(sentence: &'a str) -> Self {
        Self {
            sentence: Some(sentence),
            ..Self::default()
        }
    }
}

fn row(
    id: i64,
    state: &str,
    due_at: Option<Timestamp>,
    tries_less: i64,
    told: Option<Told<'_>>,
    ended_at: Option<Timestamp>,
) -> Value {
    let is_told = i64::from(told.is_some());
    let told = told.unwrap_or_default();
    json!([
        id,
        state,
        due_at,
        tries_less,
        is_told,
        told.failure.map(clean),
        told.sentence.map(clean),
        told.status,
        told.took_ms,
        ended_at,
    ])
}

/// Decides what becomes of dispatches that were being sent, and saves it.
async fn settle(
    conn: &mut Conn,
    mut lives: Vec<(Live, After<'_>, Option<Told<'_>>)>,
    known: &HashSet<String>,
    now: Timestamp,
) -> Result<(), Fault> {
    let mut changes = Changes::default();
    // The newest first: of two about the same that both are to wait, only it does.
    lives.sort_by_key(|(live, ..)| std::cmp::Reverse(live.notification));
    let mut waits: HashSet<(&str, &str)> = HashSet::new();
    for (live, after, told) in &lives {
        let (at, tries_less) = match *after {
            After::Ended { state } => {
                changes.end(live.id, state, *told, now);
                continue;
            }
            After::Problem { sentence } => {
                let told = told.map_or(Told::only(sentence), |told| Told {
                    sentence: Some(sentence),
                    ..told
                });
                changes.end(live.id, "problem", Some(told), now);
                continue;
            }
            After::Cancelled { sentence } => {
                changes.cancel(live.id, sentence, now);
                continue;
            }
            After::Waits { at, tries_less } => (at, tries_less),
        };
        if !known.contains(&live.endpoint) {
            changes.end(live.id, "cancelled", Some(Told::only(ENDPOINT_GONE)), now);
            continue;
        }
        if !live.has_body {
            changes.end(live.id, "cancelled", Some(Told::only(events::REMOVED)), now);
            continue;
        }
        if let Some(key) = &live.object_key {
            let is_older = live.rival.is_some_and(|(_, of)| of > live.notification);
            if is_older || !waits.insert((&live.endpoint, key)) {
                changes.end(live.id, "replaced", *told, now);
                continue;
            }
            if let Some((rival, _)) = live.rival {
                changes.end(rival, "replaced", None, now);
            }
        }
        changes.wait(live.id, at, tries_less, *told);
    }
    changes.save(conn).await
}

/// How an endpoint stands after all ends of one call.
#[derive(Default)]
struct Standing<'a> {
    health: Option<&'a HealthChange>,
    pause: Option<&'a str>,
    told_at: Option<Timestamp>,
    has_given_up: bool,
}

/// Ends claims, each with its try, its endpoint and what is told of it. Returns those that are somebody else's by now.
pub(in super::super) async fn end(
    conn: &mut Conn,
    ended: &[EndedDispatch],
    now: Timestamp,
) -> Result<Vec<i64>, Fault> {
    let names: BTreeSet<&str> = ended.iter().map(|end| end.endpoint.name.as_str()).collect();
    let known: HashSet<String> = held(conn, &names.into_iter().collect::<Vec<_>>())
        .await?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let ids: Vec<(i64, Fence)> = ended.iter().flat_map(carried).collect();
    let mut lives: HashMap<i64, Live> = live(conn, &ids)
        .await?
        .into_iter()
        .map(|live| (live.id, live))
        .collect();

    let mut stale = Vec::new();
    let mut settled = Vec::new();
    let mut tries: Vec<Value> = Vec::new();
    let mut endpoints: BTreeMap<&str, Standing<'_>> = BTreeMap::new();
    let mut told: Vec<(&str, Timestamp)> = Vec::new();
    for end in ended {
        let mut told_by: Option<i64> = None;
        let mut is_live = false;
        let name = clean(&end.endpoint.name);
        // What was removed on a privacy request while it was being sent: the answer may repeat it.
        let is_removed = carried(end).any(|(id, _)| lives.get(&id).is_some_and(|live| !live.has_body));
        let mut has_given_up = false;
        for part in &end.parts {
            let gives_up = matches!(part.end, DispatchEnd::Failed | DispatchEnd::Problem { .. });
            for (id, _) in &part.ids {
                // One of another endpoint was not sent by this request. Taken out: an end that names it twice counts once.
                let is_its = lives.get(id).is_some_and(|live| live.endpoint == name);
                let Some(live) = is_its.then(|| lives.remove(id)).flatten() else {
                    stale.push(*id);
                    continue;
                };
                is_live = true;
                has_given_up |= gives_up;
                if let Some(attempt) = &end.attempt {
                    tries.push(try_row(&live, attempt, told_by, is_removed)?);
                    told_by = told_by.or(Some(live.id));
                }
                settled.push((live, after(&part.end), end.attempt.as_ref().map(Told::of)));
            }
        }
        if !is_live {
            continue;
        }
        let change = &end.endpoint;
        let merged = endpoints.entry(&change.name).or_default();
        merged.health = change.health.as_ref().or(merged.health);
        merged.pause = merged.pause.or(change.pause.as_deref());
        merged.told_at = change.told_failing_at.or(merged.told_at);
        merged.has_given_up |= has_given_up;
        told.extend(end.notifications.iter().map(|body| (body.as_str(), now)));
    }
    settle(conn, settled, &known, now).await?;
    if !tries.is_empty() {
        sqlx::query(notices_sql::TRIES_ADD)
            .bind(serde_json::to_string(&tries)?)
            .execute(&mut *conn)
            .await?;
    }
    if !endpoints.is_empty() {
        let rows: Vec<Value> = endpoints
            .into_iter()
            .map(|(name, standing)| {
                json!([
                    clean(name),
                    standing.health.map(|health| clean(&health.is)),
                    standing.pause.map(clean),
                    standing.told_at,
                    now,
                    i64::from(standing.has_given_up),
                    standing.health.map(|health| clean(&health.was)),
                ])
            })
            .collect();
        sqlx::query(notices_sql::ENDPOINTS_CHANGE)
            .bind(serde_json::to_string(&rows)?)
            .execute(&mut *conn)
            .await?;
    }
    add(conn, &told).await?;
    Ok(stale)
}

/// All dispatches that a request carried.
fn carried(end: &EndedDispatch) -> impl Iterator<Item = (i64, Fence)> {
    end.parts.iter().flat_map(|part| part.ids.iter().copied())
}

fn after(end: &DispatchEnd) -> After<'_> {
    match end {
        DispatchEnd::Delivered => After::Ended { state: "delivered" },
        DispatchEnd::Failed => After::Ended { state: "failed" },
        DispatchEnd::Problem { sentence } => After::Problem { sentence },
        DispatchEnd::Cancelled { sentence } => After::Cancelled { sentence },
        DispatchEnd::Again { at } => After::Waits {
            at: *at,
            tries_less: 0,
        },
        DispatchEnd::GivenBack { at } => After::Waits {
            at: *at,
            tries_less: 1,
        },
    }
}

/// A batch has one answer: it is kept with the first of its dispatches, whatever becomes of which.
fn try_row(live: &Live, attempt: &NewTry, told_by: Option<i64>, is_removed: bool) -> Result<Value, Fault> {
    let (headers, answer) = if told_by.is_none() && !is_removed {
        let headers = serde_json::to_string(&attempt.headers)?;
        (clean(&headers), clean(&attempt.answer))
    } else {
        ("[]".to_owned(), String::new())
    };
    let sentence = attempt
        .sentence
        .as_deref()
        .map(|sentence| if is_removed { events::REMOVED } else { sentence });
    Ok(json!([
        live.id,
        live.tries,
        attempt.at,
        attempt.took_ms,
        attempt.failure.as_deref().map(clean),
        sentence.map(clean),
        attempt.status,
        headers,
        answer,
        i64::from(attempt.is_cut),
        told_by,
    ]))
}

/// Takes back dispatches whose claim ended by `until` without a word, and makes them due: they may have been sent. One that may have
/// been sent too often like that is given up. One step, a transaction of its own; returns how many it took back, 0 when nothing is
/// left.
pub(in super::super) async fn reclaim_step(
    conn: &mut Conn,
    until: i64,
    now: Timestamp,
) -> Result<u64, Fault> {
    let overdue: Vec<(i64, i64, String, i64)> = sqlx::query_as(notices_sql::OVERDUE)
        .bind(until)
        .bind(i64::from(STEP))
        .fetch_all(&mut *conn)
        .await?;
    if overdue.is_empty() {
        return Ok(0);
    }
    let names: BTreeSet<&str> = overdue.iter().map(|(_, _, name, _)| name.as_str()).collect();
    let held = held(conn, &names.into_iter().collect::<Vec<_>>()).await?;
    let known: HashSet<String> = held.iter().map(|(name, _)| name.clone()).collect();
    let ids: Vec<(i64, Fence)> = overdue
        .iter()
        .map(|(id, fence, ..)| (*id, Fence(*fence)))
        .collect();
    let unnoted: HashMap<i64, i64> = overdue.iter().map(|(id, .., unnoted)| (*id, *unnoted)).collect();
    let lives = live(conn, &ids).await?;
    let count = u64::try_from(lives.len()).unwrap_or(0);
    let mut failing: BTreeMap<String, u64> = BTreeMap::new();
    let mut given_up: Vec<i64> = Vec::new();
    let mut apart = Duration::ZERO;
    let mut settled = Vec::with_capacity(lives.len());
    for live in lives {
        let unnoted = unnoted.get(&live.id).copied().unwrap_or(0);
        // What nobody wants any more, or was removed, is cancelled as ever.
        if unnoted >= MOST_UNNOTED && live.has_body && known.contains(&live.endpoint) {
            given_up.push(live.id);
            *failing.entry(live.endpoint.clone()).or_default() += 1;
            let told = Told {
                failure: Some(UNNOTED_FAILURE),
                ..Told::only(UNNOTED)
            };
            settled.push((live, After::Ended { state: "failed" }, Some(told)));
            continue;
        }
        let mut at = now;
        if unnoted >= ALONE_FROM {
            at = now.plus(apart);
            apart += APART;
        }
        settled.push((live, After::Waits { at, tries_less: 0 }, None));
    }
    settle(conn, settled, &known, now).await?;
    if !given_up.is_empty() {
        tell_failing(conn, &failing, &held, now).await?;
        tracing::error!(
            deliveries = ?given_up,
            endpoints = ?failing,
            claims = MOST_UNNOTED,
            "deliveries were sent again and again and nobody could note what came of it: they are kept as failed"
        );
    }
    Ok(count)
}

/// Notes that deliveries to these endpoints were given up, and tells of it; others are to hear of each once a day. Whether anybody
/// wants to is seen when it is fanned out.
async fn tell_failing(
    conn: &mut Conn,
    failing: &BTreeMap<String, u64>,
    held: &[(String, bool)],
    now: Timestamp,
) -> Result<(), Fault> {
    let names = serde_json::to_string(&failing.keys().collect::<Vec<_>>())?;
    sqlx::query(concat!(
        "UPDATE endpoints SET given_up_at = $2 WHERE name ",
        sql::in_texts!("$1")
    ))
    .bind(&names)
    .bind(now.millis())
    .execute(&mut *conn)
    .await?;
    // What seems to be told in the future was told by a clock that was ahead.
    let news: HashSet<String> = sqlx::query_scalar(concat!(
        "UPDATE endpoints SET told_failing_at = $2
         WHERE (told_failing_at IS NULL OR told_failing_at > $2 OR told_failing_at <= $3) AND name ",
        sql::in_texts!("$1"),
        " RETURNING name"
    ))
    .bind(&names)
    .bind(now.millis())
    .bind(now.minus(FAILING_TOLD_EVERY).millis())
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .collect();
    let mut bodies = Vec::with_capacity(failing.len());
    for (endpoint, deliveries) in failing {
        let told = GivenUpDeliveries {
            endpoint: endpoint.clone(),
            deliveries: *deliveries,
            failure: UNNOTED_FAILURE.to_owned(),
            is_news: news.contains(endpoint),
            is_paused: held
                .iter()
                .any(|(name, is_paused)| name == endpoint && *is_paused),
        };
        bodies.push(told.to_body()?);
    }
    let told: Vec<(&str, Timestamp)> = bodies.iter().map(|body| (body.as_str(), now)).collect();
    add(conn, &told).await
}
