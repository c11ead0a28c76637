//! What people do with endpoints and dispatches, and deleting what ended long ago. What may concern a million dispatches goes in
//! steps, each a transaction of its own.

use serde_json::{Value, json};
use sqlx::QueryBuilder;

use super::ends::ENDPOINT_GONE;
use super::lists::endpoints_ever;
use super::{Conn, Db, audit, held, know, notices_sql, sql};
use crate::domain::{Actor, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{
    Act, Action, DispatchState, EndpointAct, EndpointAfter, PAUSED_BY_PERSON, Redeliver, Redelivered,
};

/// How many dispatches one step looks at.
const STEP: i64 = if cfg!(test) { 3 } else { 2_000 };

/// What stands with a dispatch that somebody gave up while its endpoint goes on.
const GIVEN_UP: &str = "somebody gave up what waited for the endpoint";

/// Writes a line of the audit log.
async fn note(
    conn: &mut Conn,
    actor: &Actor,
    reason: Option<&str>,
    (action, subject): (&'static str, &str),
    detail: &Value,
    at: Timestamp,
) -> Result<(), Fault> {
    let act = Act {
        actor: actor.clone(),
        reason: reason.map(str::to_owned),
        at,
        // Only who, when and why of an act are written.
        action: Action::Configured {
            what: action,
            shop: None,
            subject: subject.to_owned(),
            detail: Value::Null,
        },
    };
    audit::write(conn, &act, action, None, subject, detail).await
}

/// Whether an endpoint is paused.
pub(in super::super) async fn is_paused(conn: &mut Conn, name: &str) -> Result<bool, Fault> {
    let paused_at: Option<Option<i64>> =
        sqlx::query_scalar("SELECT paused_at FROM endpoints WHERE name = $1")
            .bind(clean(name))
            .fetch_optional(conn)
            .await?;
    Ok(paused_at.flatten().is_some())
}

/// Pauses an endpoint or lets it go on.
pub(in super::super) async fn set_endpoint(conn: &mut Conn, act: &EndpointAct) -> Result<bool, Fault> {
    let name = clean(&act.name);
    know(conn, &[name.as_str()]).await?;
    let is_paused = held(conn, &[name.as_str()])
        .await?
        .first()
        .is_some_and(|(_, is_paused)| *is_paused);
    if is_paused == act.pause {
        return Ok(false);
    }
    let (because, by, at) = if act.pause {
        let by = clean(&act.actor.name);
        (Some(PAUSED_BY_PERSON), Some(by), Some(act.at.millis()))
    } else {
        (None, None, None)
    };
    sqlx::query(
        "UPDATE endpoints SET paused_because = $2, paused_by = $3, paused_at = $4, health = coalesce($5, health),
             given_up_at = CASE WHEN $4 IS NULL THEN NULL ELSE given_up_at END
         WHERE name = $1",
    )
    .bind(&name)
    .bind(because)
    .bind(by)
    .bind(at)
    .bind(act.health.as_deref().map(clean))
    .execute(&mut *conn)
    .await?;
    let action = if act.pause {
        "pause_endpoint"
    } else {
        "resume_endpoint"
    };
    let subject = format!("endpoint:{name}");
    let what = (action, subject.as_str());
    note(
        conn,
        &act.actor,
        act.reason.as_deref(),
        what,
        &Value::Null,
        act.at,
    )
    .await?;
    Ok(true)
}

/// How far sending many once more has come.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Progress {
    /// What is left: an endpoint, a state, and after which number.
    left: Vec<(String, DispatchState, i64)>,
    /// How many it was so far.
    pub(in super::super) count: u64,
    is_noted: bool,
    /// The highest number there was when it began.
    upto: i64,
    /// No time of an end was later when it began: the clock may have been set back since.
    ended_upto: i64,
}

impl Progress {
    /// Whether nothing is left.
    pub(in super::super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }
}

/// What sending once more begins with.
pub(in super::super) enum Begun {
    /// It is over already.
    Over(Redelivered),
    /// It goes in steps.
    Steps(Progress),
}

/// How far cancelling has come.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Cancelled {
    /// How many it was so far.
    pub(in super::super) count: u64,
    /// Whether nothing is left.
    pub(in super::super) is_over: bool,
    is_noted: bool,
    /// The highest number that is cancelled, where what comes later is not.
    upto: Option<i64>,
}

/// What is sent once more of one that ended.
const ENDED: &[DispatchState] = &[
    DispatchState::Failed,
    DispatchState::Delivered,
    DispatchState::Cancelled,
    DispatchState::Problem,
];

/// What is sent once more of what failed: what cannot be told to an endpoint has not come there either.
const FAILED: &[DispatchState] = &[DispatchState::Failed, DispatchState::Problem];

/// Sends one once more, or says what is to be gone through for more of them.
pub(in super::super) async fn redeliver(
    conn: &mut Conn,
    what: &Redeliver,
    actor: &Actor,
    now: Timestamp,
) -> Result<Begun, Fault> {
    let (endpoints, states) = match what {
        Redeliver::One(id) => return redeliver_one(conn, *id, actor, now).await.map(Begun::Over),
        Redeliver::Failed { endpoint: None } => (endpoints_ever(conn).await?, FAILED),
        Redeliver::Failed {
            endpoint: Some(endpoint),
        } => (vec![endpoint.clone()], FAILED),
        Redeliver::Range { endpoint, .. } => (vec![endpoint.clone()], ENDED),
    };
    let left = endpoints
        .iter()
        .flat_map(|endpoint| states.iter().map(|state| (clean(endpoint), *state, 0)))
        .collect();
    let (upto, latest): (i64, i64) = sqlx::query_as(
        "SELECT coalesce((SELECT max(id) FROM dispatches), 0),
             coalesce((SELECT max(ended_at) FROM dispatches WHERE ended_at IS NOT NULL), 0)",
    )
    .fetch_one(conn)
    .await?;
    Ok(Begun::Steps(Progress {
        left,
        upto,
        ended_upto: latest.max(now.millis()),
        ..Progress::default()
    }))
}

async fn redeliver_one(
    conn: &mut Conn,
    id: i64,
    actor: &Actor,
    now: Timestamp,
) -> Result<Redelivered, Fault> {
    let endpoint: Option<String> = sqlx::query_scalar("SELECT endpoint FROM dispatches WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(endpoint) = endpoint else {
        let last: i64 = sqlx::query_scalar(notices_sql::DISPATCHES_EVER)
            .fetch_one(conn)
            .await?;
        let is_old = (1..=last).contains(&id);
        return Ok(if is_old {
            Redelivered::Pruned
        } else {
            Redelivered::Unknown
        });
    };
    know(conn, &[endpoint.as_str()]).await?;
    held(conn, &[endpoint.as_str()]).await?;
    let row: Option<(String, Option<String>)> = sqlx::query_as(
        "SELECT d.state, n.notification FROM dispatches AS d
         LEFT JOIN notifications AS n ON n.id = d.notification_id AND n.body IS NOT NULL WHERE d.id = $1",
    )
    .bind(id)
    .fetch_optional(&mut *conn)
    .await?;
    let refused = match row {
        None => Some(Redelivered::Pruned),
        Some((state, _)) if state == "sending" => Some(Redelivered::UnderWay),
        Some((state, _)) if state == "replaced" => Some(Redelivered::Replaced),
        Some((_, None)) => Some(Redelivered::Removed),
        Some((_, Some(_))) => None,
    };
    if let Some(refused) = refused {
        return Ok(refused);
    }
    let count = match send_again(conn, &[id], true, now).await? {
        0 => send_now(conn, id, now).await?,
        count => count,
    };
    if count == 0 {
        // Deleted or emptied at this moment.
        return Ok(Redelivered::Pruned);
    }
    let subject = format!("delivery:{id}");
    let detail = json!({ "endpoint": endpoint });
    note(conn, actor, None, ("redeliver", &subject), &detail, now).await?;
    Ok(Redelivered::Done(count))
}

/// Makes ended dispatches wait anew, as often tried as never. What a person asks for is sent, even if something newer about the
/// same waits. What was removed meanwhile stays as it is.
async fn send_again(conn: &mut Conn, ids: &[i64], is_asked_for: bool, now: Timestamp) -> Result<u64, Fault> {
    Ok(sqlx::query(concat!(
        "UPDATE dispatches SET state = 'waiting', tries = 0, due_at = $2, ended_at = NULL, batch = NULL, object_key = NULL,
             is_asked_for = $3
         WHERE ended_at IS NOT NULL
           AND EXISTS (SELECT 1 FROM notifications AS n WHERE n.id = notification_id AND n.body IS NOT NULL) AND id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(ids)?)
    .bind(now.millis())
    .bind(i64::from(is_asked_for))
    .execute(conn)
    .await?
    .rows_affected())
}

/// Makes one that waits due, as often tried as it is.
async fn send_now(conn: &mut Conn, id: i64, now: Timestamp) -> Result<u64, Fault> {
    Ok(sqlx::query(
        "UPDATE dispatches SET due_at = CASE WHEN due_at > $2 THEN $2 ELSE due_at END, is_asked_for = 1
         WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .bind(now.millis())
    .execute(conn)
    .await?
    .rows_affected())
}

/// One step of sending many once more.
pub(in super::super) async fn redeliver_step(
    conn: &mut Conn,
    what: &Redeliver,
    mut progress: Progress,
    actor: &Actor,
    now: Timestamp,
) -> Result<Progress, Fault> {
    let Some((endpoint, ..)) = progress.left.last().cloned() else {
        return Ok(progress);
    };
    know(conn, &[endpoint.as_str()]).await?;
    held(conn, &[endpoint.as_str()]).await?;
    // Of another endpoint nothing is taken: rows of endpoints are held in the order of their names. A step is bounded by what it
    // looks at, not by what it finds: of a long list only little may be wanted.
    let mut room = STEP;
    while room > 0
        && let Some((_, state, after)) = progress.left.pop_if(|(of, ..)| *of == endpoint)
    {
        let between = (after, progress.upto.saturating_add(1));
        let rows = ended_between(conn, &endpoint, state, between, room).await?;
        let Some((last, ..)) = rows.last() else { continue };
        progress.count += send_again(conn, &wanted(what, &rows, progress.ended_upto), false, now).await?;
        let looked = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if looked >= room {
            progress.left.push((endpoint.clone(), state, *last));
        }
        room -= looked;
    }
    // What takes many steps has a line when it begins, too: nothing is sent without one, whoever is killed meanwhile.
    let detail = match (progress.is_over(), progress.is_noted) {
        _ if progress.count == 0 => None,
        (true, _) => Some(json!({ "what": what, "count": progress.count })),
        (false, false) => Some(json!({ "what": what, "begun": true })),
        (false, true) => None,
    };
    if let Some(detail) = detail {
        progress.is_noted = true;
        let subject = match what {
            Redeliver::One(id) => format!("delivery:{id}"),
            Redeliver::Failed { endpoint: None } => "deliveries:failed".to_owned(),
            Redeliver::Failed {
                endpoint: Some(endpoint),
            }
            | Redeliver::Range { endpoint, .. } => format!("endpoint:{}", clean(endpoint)),
        };
        note(conn, actor, None, ("redeliver", &subject), &detail, now).await?;
    }
    Ok(progress)
}

/// A dispatch, when it was made and when it ended.
type Ended = (i64, i64, Option<i64>);

/// Up to so many of an endpoint's dispatches in one state with numbers between these, the oldest first.
async fn ended_between(
    conn: &mut Conn,
    endpoint: &str,
    state: DispatchState,
    between: (i64, i64),
    limit: i64,
) -> Result<Vec<Ended>, Fault> {
    let mut query = QueryBuilder::<Db>::new("SELECT d.id, d.created_at, d.ended_at FROM ");
    query.push(notices_sql::LISTED).push(" WHERE");
    notices_sql::push_list(&mut query, endpoint, state.as_str(), between);
    query
        .push(notices_sql::LISTED_OLDEST)
        .push(" LIMIT ")
        .push_bind(limit);
    Ok(query.build_query_as().fetch_all(conn).await?)
}

/// Which of these are to be sent once more. What was sent once more and ended again meanwhile is not sent a third time.
fn wanted(what: &Redeliver, rows: &[Ended], ended_upto: i64) -> Vec<i64> {
    let is_of = |created_at: i64| match what {
        Redeliver::Range { since, until, .. } => (since.millis()..until.millis()).contains(&created_at),
        Redeliver::One(_) | Redeliver::Failed { .. } => true,
    };
    rows.iter()
        .filter(|(_, created_at, ended_at)| is_of(*created_at) && ended_at.is_some_and(|at| at <= ended_upto))
        .map(|(id, ..)| *id)
        .collect()
}

/// One step of cancelling what waits for an endpoint. The last one forgets an endpoint that is no more; how one stands that goes
/// on is never touched, so that nothing of it has to be put back.
pub(in super::super) async fn cancel_step(
    conn: &mut Conn,
    endpoint: &str,
    after: EndpointAfter,
    mut progress: Cancelled,
    actor: &Actor,
    now: Timestamp,
) -> Result<Cancelled, Fault> {
    let endpoint = clean(endpoint);
    know(conn, &[endpoint.as_str()]).await?;
    held(conn, &[endpoint.as_str()]).await?;
    let upto = match (after, progress.upto) {
        (EndpointAfter::Forgotten, _) => i64::MAX,
        (EndpointAfter::Kept, Some(upto)) => upto,
        // It may be told more as fast as it is cancelled: what waits now is meant.
        (EndpointAfter::Kept, None) => {
            sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM dispatches")
                .fetch_one(&mut *conn)
                .await?
        }
    };
    progress.upto = Some(upto);
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM dispatches WHERE endpoint = $1 AND state = 'waiting' AND id <= $3 LIMIT $2",
    )
    .bind(&endpoint)
    .bind(STEP)
    .bind(upto)
    .fetch_all(&mut *conn)
    .await?;
    if !ids.is_empty() && !progress.is_noted {
        progress.is_noted = true;
        let waiting: Option<i64> =
            sqlx::query_scalar("SELECT count FROM dispatch_counts WHERE endpoint = $1 AND state = 'waiting'")
                .bind(&endpoint)
                .fetch_optional(&mut *conn)
                .await?;
        let subject = format!("endpoint:{endpoint}");
        let detail = json!({ "waiting": waiting });
        note(conn, actor, None, ("cancel_deliveries", &subject), &detail, now).await?;
    }
    progress.count += sqlx::query(concat!(
        "UPDATE dispatches SET state = 'cancelled', ended_at = $2, sentence = $3 WHERE state = 'waiting' AND id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(&ids)?)
    .bind(now.millis())
    .bind(match after {
        EndpointAfter::Forgotten => ENDPOINT_GONE,
        EndpointAfter::Kept => GIVEN_UP,
    })
    .execute(&mut *conn)
    .await?
    .rows_affected();
    progress.is_over = i64::try_from(ids.len()).unwrap_or(i64::MAX) < STEP;
    if progress.is_over && after == EndpointAfter::Forgotten {
        // It stayed known, and as it stood, until nothing waits: who is killed before begins again, and one that is declared anew
        // meanwhile goes on.
        sqlx::query("DELETE FROM endpoints WHERE name = $1")
            .bind(&endpoint)
            .execute(conn)
            .await?;
    }
    Ok(progress)
}

/// Deletes dispatches that ended long ago, their tries, and the notifications that nobody else keeps.
pub(in super::super) async fn prune(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64, Fault> {
    let gone: Vec<(i64, i64)> = sqlx::query_as(notices_sql::PRUNABLE)
        .bind(before.millis())
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    if gone.is_empty() {
        return Ok(0);
    }
    let ids: Vec<i64> = gone.iter().map(|(id, _)| *id).collect();
    let mut notifications: Vec<i64> = gone.iter().map(|(_, notification)| *notification).collect();
    notifications.sort_unstable();
    notifications.dedup();
    let ids = serde_json::to_string(&ids)?;
    for statement in [
        concat!(
            "DELETE FROM dispatch_tries WHERE dispatch_id ",
            sql::in_array!("$1")
        ),
        concat!("DELETE FROM dispatches WHERE id ", sql::in_array!("$1")),
    ] {
        sqlx::query(statement).bind(&ids).execute(&mut *conn).await?;
    }
    // Only now is it sure what others left: their deletions are over or have not begun.
    let mut notifications: Vec<i64> = sqlx::query_scalar(notices_sql::NOTIFICATIONS_HELD)
        .bind(serde_json::to_string(&notifications)?)
        .fetch_all(&mut *conn)
        .await?;
    let left: Vec<i64> = sqlx::query_scalar(concat!(
        "SELECT DISTINCT notification_id FROM dispatches WHERE notification_id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(&notifications)?)
    .fetch_all(&mut *conn)
    .await?;
    notifications.retain(|id| !left.contains(id));
    let notifications = serde_json::to_string(&notifications)?;
    for statement in [
        concat!(
            "DELETE FROM notification_keys WHERE notification_id ",
            sql::in_array!("$1")
        ),
        concat!("DELETE FROM notifications WHERE id ", sql::in_array!("$1")),
    ] {
        sqlx::query(statement)
            .bind(&notifications)
            .execute(&mut *conn)
            .await?;
    }
    Ok(u64::try_from(gone.len()).unwrap_or(u64::MAX))
}
