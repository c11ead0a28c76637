//! What people do with jobs, problems and shops: each change with its line in the audit log.

use serde_json::{Value, json};

use super::{Conn, approvals, audit, batches, care, finish, intake, links, people, problems, shops, sql};
use crate::domain::{JobId, JobKey, JobState, Link, LinkState, NewProblem, Priority, ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::prepared::Lanes;
use crate::store::rules::clean;
use crate::store::{Act, Acted, Action, Cluster, HELD_BY_PERSON, Lane, NewJob, Noted, PauseRow, Retried};

/// Does what the act says and writes it down, unless nothing changed.
pub(super) async fn act(conn: &mut Conn, act: &Act, lanes: &Lanes) -> Result<Acted, Fault> {
    let now = act.at;
    // An answer may lift a limit that no job waits behind any more.
    let mut is_noted = false;
    let (acted, detail) = match &act.action {
        Action::Retry { job, seen } => retry(conn, *job, *seen, now).await?,
        Action::CarryOver { key } => (carry_over(conn, act, key, lanes).await?, Value::Null),
        Action::Discard { job } => (discard(conn, act, *job, lanes).await?, Value::Null),
        Action::Hold { job } => (hold(conn, act, *job).await?, Value::Null),
        Action::Release { job } => (release(conn, *job, now).await?, Value::Null),
        Action::MoveAhead { job } => (move_ahead(conn, *job, now).await?, Value::Null),
        Action::Resolve { job, link } => (resolve(conn, act, *job, link, lanes).await?, pair(link)),
        Action::Adopt { job, link } => (adopt(conn, *job, link, now).await?, pair(link)),
        Action::Pause { shop } => (pause(conn, act, shop).await?, Value::Null),
        Action::Resume { shop } => (resume(conn, shop).await?, Value::Null),
        Action::Claim { cluster, over } => care::claim(conn, act, cluster, *over).await?,
        Action::Unclaim { cluster } => (care::unclaim(conn, cluster).await?, Value::Null),
        Action::Snooze { cluster, until } => {
            let acted = care::snooze(conn, cluster, *until).await?;
            (acted, json!({ "until": until }))
        }
        Action::NoteJob { job } => {
            let known = people::named(conn, *job).await?;
            (known.map_or(Acted::Unknown, |_| Acted::Done), Value::Null)
        }
        Action::NoteCluster { .. } => (Acted::Done, Value::Null),
        Action::StartBatch { filter, per_second } => batches::start(conn, act, filter, *per_second).await?,
        Action::StopBatch { batch } => batches::stop(conn, *batch, now).await?,
        Action::EditedTable { before, after, .. } => {
            (Acted::Done, json!({ "before": before, "after": after }))
        }
        Action::Answer { approved, held, .. } => {
            let (jobs, changed) = answer(conn, act, held, *approved, lanes).await?;
            is_noted = changed;
            (Acted::Jobs(jobs), json!({ "jobs": jobs }))
        }
        Action::Choose { job, note, detail } => (choose(conn, *job, note, now).await?, detail.clone()),
        Action::Configured { detail, .. } => (Acted::Done, detail.clone()),
        Action::ApprovePlan {
            job,
            plan,
            position,
            approval,
            priority,
        } => {
            let acted = approvals::approve(conn, *job, plan, (position, approval), *priority, now).await?;
            (acted, json!({ "plan": plan }))
        }
        Action::RejectPlan { job, plan } => {
            let acted = approvals::reject(conn, act, *job, plan.as_deref(), lanes).await?;
            (acted, Value::Null)
        }
    };
    if acted.is_change() || is_noted {
        let (action, shop, subject) = describe(&act.action, &acted);
        let shop = match (shop, &act.action) {
            (Some(shop), _) => Some(shop.as_str().to_owned()),
            (None, action) => shop_of_job(conn, action).await?,
        };
        audit::write(conn, act, action, shop, &subject, &detail).await?;
    }
    Ok(acted)
}

fn pair(link: &Link) -> Value {
    json!({ "model": link.model, "erp_id": link.erp_id, "erp_name": link.erp_name })
}

/// What the audit log calls it: the action, the shop as far as the action names it, and the subject.
fn describe<'a>(action: &'a Action, acted: &Acted) -> (&'static str, Option<&'a ShopName>, String) {
    let job = |id: &JobId| format!("job:{id}");
    let of = |cluster: &Cluster| format!("cluster:{}/{}", cluster.code, cluster.cluster);
    match action {
        Action::Retry { job: id, .. } => ("retry", None, job(id)),
        Action::CarryOver { key } => {
            let subject = match acted {
                Acted::Again(id) => job(id),
                _ => key.to_string(),
            };
            ("carry_over", Some(&key.shop), subject)
        }
        Action::Discard { job: id } => ("discard", None, job(id)),
        Action::Hold { job: id } => ("hold", None, job(id)),
        Action::Release { job: id } => ("release", None, job(id)),
        Action::MoveAhead { job: id } => ("move_ahead", None, job(id)),
        Action::Resolve { job: id, .. } => ("resolve", None, job(id)),
        Action::Adopt { job: id, .. } => ("link", None, job(id)),
        Action::NoteJob { job: id } => ("note", None, job(id)),
        Action::ApprovePlan { job: id, .. } => ("approve", None, job(id)),
        Action::RejectPlan { job: id, .. } => ("reject", None, job(id)),
        Action::Pause { shop } => ("pause", Some(shop), format!("shop:{shop}")),
        Action::Resume { shop } => ("resume", Some(shop), format!("shop:{shop}")),
        Action::Claim { cluster, .. } => ("claim", Some(&cluster.shop), of(cluster)),
        Action::Unclaim { cluster } => ("unclaim", Some(&cluster.shop), of(cluster)),
        Action::Snooze { cluster, .. } => ("snooze", Some(&cluster.shop), of(cluster)),
        Action::NoteCluster { cluster } => ("note", Some(&cluster.shop), of(cluster)),
        Action::StartBatch { filter, .. } => {
            let subject = match acted {
                Acted::Batch { id, .. } => format!("batch:{id}"),
                _ => "batch".to_owned(),
            };
            ("start_batch", filter.shop.as_ref(), subject)
        }
        Action::StopBatch { batch } => ("stop_batch", None, format!("batch:{batch}")),
        Action::EditedTable { shop, table, key, .. } => {
            ("edit_table", Some(shop), format!("table:{table}/{key}"))
        }
        Action::Choose { job: id, .. } => ("choose", None, job(id)),
        Action::Answer {
            shop,
            object,
            approved,
            ..
        } => (
            if *approved { "approve" } else { "reject" },
            Some(shop),
            format!("limit:{object}"),
        ),
        Action::Configured {
            what, shop, subject, ..
        } => (what, shop.as_ref(), subject.clone()),
    }
}

async fn shop_of_job(conn: &mut Conn, action: &Action) -> Result<Option<String>, Fault> {
    let (Action::Retry { job, .. }
    | Action::Discard { job }
    | Action::Hold { job }
    | Action::Release { job }
    | Action::MoveAhead { job }
    | Action::Resolve { job, .. }
    | Action::Adopt { job, .. }
    | Action::Choose { job, .. }
    | Action::NoteJob { job }
    | Action::ApprovePlan { job, .. }
    | Action::RejectPlan { job, .. }) = action
    else {
        return Ok(None);
    };
    Ok(
        sqlx::query_scalar(
            "SELECT l.shop FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.id = $1",
        )
        .bind(job.0)
        .fetch_optional(conn)
        .await?,
    )
}

// --- one job --------------------------------------------------------------------------------------------------

async fn retry(
    conn: &mut Conn,
    job: JobId,
    seen: Option<JobState>,
    now: Timestamp,
) -> Result<(Acted, Value), Fault> {
    let nothing = |acted| Ok((acted, Value::Null));
    let Some((state, lane_id, source_id)) = people::named(conn, job).await? else {
        return nothing(Acted::Unknown);
    };
    if !state.is_open()
        && let Some(later) = later_job(conn, job, lane_id, &source_id).await?
    {
        return nothing(Acted::Later(later));
    }
    if state == JobState::Running || (seen.is_some_and(JobState::is_open) && !state.is_open()) {
        return nothing(Acted::NotNow(state));
    }
    // Somebody holds it since it was seen: nobody asked for that to end.
    if state == JobState::Held
        && seen.is_some_and(|seen| seen != JobState::Held)
        && let (Some(who), _) = holder(conn, job).await?
    {
        return nothing(Acted::Taken(who));
    }
    if state == JobState::Available {
        let priority: i64 = sqlx::query_scalar("SELECT priority FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_one(&mut *conn)
            .await?;
        if priority == i64::from(Priority::URGENT.0) {
            return nothing(Acted::Already);
        }
    }
    match people::retry(conn, job, now).await? {
        Retried::Again(again) if again == job => nothing(Acted::Again(job)),
        // A closed job whose record has an open one: that one is hurried.
        Retried::Again(other) => Ok((Acted::Again(other), json!({ "job": other }))),
        Retried::New(made) => Ok((Acted::New(made), json!({ "new_job": made }))),
        Retried::Running => nothing(Acted::NotNow(JobState::Running)),
        Retried::Unknown => nothing(Acted::Unknown),
    }
}

/// Wants a record's job, in the transaction that writes who asked for it.
async fn carry_over(conn: &mut Conn, act: &Act, key: &JobKey, lanes: &Lanes) -> Result<Acted, Fault> {
    let lane_id = lanes.id(&Lane::of(key)).ok_or(Fault::BadRow {
        table: "lanes",
        row: 0,
        column: "object",
    })?;
    let asked = NewJob {
        key: key.clone(),
        priority: Priority::URGENT,
        now: act.at,
        cause: act.reason.clone().unwrap_or_else(|| "asked for".to_owned()),
    };
    let made = intake::enqueue(conn, &[(asked, lane_id)]).await?;
    Ok(made
        .first()
        .map_or(Acted::Unknown, |enqueued| Acted::Again(enqueued.job)))
}

/// A later job of the same record that this closed one is not to be done again beside: it is closed, too, and so was done
/// after it, or a person holds it.
async fn later_job(
    conn: &mut Conn,
    job: JobId,
    lane_id: i64,
    source_id: &str,
) -> Result<Option<JobId>, Fault> {
    let later: Option<(i64, String, Option<String>)> = sqlx::query_as(
        "SELECT id, state, held_by FROM jobs WHERE lane_id = $1 AND source_id = $2 AND id > $3 ORDER BY id DESC LIMIT 1",
    )
    .bind(lane_id)
    .bind(source_id)
    .bind(job.0)
    .fetch_optional(conn)
    .await?;
    Ok(later.and_then(|(id, state, held_by)| {
        let is_open = state.parse::<JobState>().is_ok_and(JobState::is_open);
        (!is_open || held_by.is_some()).then_some(JobId(id))
    }))
}

/// Notes an answer and carries it out on those jobs that still wait for it: so many, and whether anything that is noted
/// changed. All of them at once, however many there are: PostgreSQL ends a transaction that takes too long, and nothing of it
/// would ever be done.
async fn answer(
    conn: &mut Conn,
    act: &Act,
    held: &[JobId],
    approved: bool,
    lanes: &Lanes,
) -> Result<(u64, bool), Fault> {
    let mut noted = 0;
    if let Action::Answer { shop, notes, .. } = &act.action {
        noted = shops::set_cursors(conn, shop, notes, act.at).await?;
    }
    let ids: Vec<i64> = held.iter().map(|job| job.0).collect();
    let waiting: Vec<(i64, i64, String)> = sqlx::query_as(sql::HELD_BY_LIMITS)
        .bind(serde_json::to_string(&ids)?)
        .fetch_all(&mut *conn)
        .await?;
    if !waiting.is_empty() {
        if approved {
            let ids: Vec<i64> = waiting.iter().map(|(id, ..)| *id).collect();
            people::make_all_available(conn, &ids, act.at).await?;
        } else {
            let reason = act.reason.as_deref().unwrap_or("rejected");
            people::discard_all(conn, &waiting, reason, act.at, lanes).await?;
        }
    }
    Ok((waiting.len() as u64, noted > 0))
}

/// Notes a choice of a job that asks for one.
async fn choose(conn: &mut Conn, job: JobId, note: &Noted, now: Timestamp) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    if state != JobState::Problem {
        return Ok(Acted::NotNow(state));
    }
    let shop: String = sqlx::query_scalar(
        "SELECT l.shop FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.id = $1",
    )
    .bind(job.0)
    .fetch_one(&mut *conn)
    .await?;
    let shop = shop.parse().map_err(|_| Fault::BadRow {
        table: "lanes",
        row: job.0,
        column: "shop",
    })?;
    shops::set_cursor(conn, &shop, &note.name, &note.value, now).await?;
    people::make_available(conn, job, now).await?;
    Ok(Acted::Again(job))
}

pub(super) async fn discard(conn: &mut Conn, act: &Act, job: JobId, lanes: &Lanes) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    if state == JobState::Discarded {
        return Ok(Acted::Already);
    }
    let reason = act.reason.as_deref().unwrap_or("given up");
    if people::discard(conn, job, reason, act.at, lanes).await? {
        Ok(Acted::Done)
    } else {
        Ok(Acted::NotNow(state))
    }
}

/// Who holds the job, and its record's name.
async fn holder(conn: &mut Conn, job: JobId) -> Result<(Option<String>, Option<String>), Fault> {
    Ok(
        sqlx::query_as("SELECT held_by, record_name FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_one(conn)
            .await?,
    )
}

async fn hold(conn: &mut Conn, act: &Act, job: JobId) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    if !state.is_open() || state == JobState::Running {
        return Ok(Acted::NotNow(state));
    }
    let (held_by, record) = holder(conn, job).await?;
    if state == JobState::Held && held_by.is_some() {
        return Ok(Acted::Already);
    }
    sqlx::query(
        "UPDATE jobs SET state = 'held', held_by = $2, waits_on = NULL, system_down = NULL, updated_at = $3
         WHERE id = $1",
    )
    .bind(job.0)
    .bind(clean(&act.actor.name))
    .bind(act.at.millis())
    .execute(&mut *conn)
    .await?;
    problems::open_for_job(conn, job, &held(act, job, record), act.at).await?;
    Ok(Acted::Done)
}

/// What is told of a job that a person holds.
fn held(act: &Act, job: JobId, record: Option<String>) -> NewProblem {
    let who = &act.actor.name;
    NewProblem {
        code: HELD_BY_PERSON.into(),
        record,
        field: None,
        reason: match act.reason.as_deref() {
            Some(why) => format!("{who} holds it back: {why}"),
            None => format!("{who} holds it back."),
        },
        fix: format!("Release it when it may go on: lockstep jobs release {job}"),
        owner: who.clone(),
        mapping: None,
        cluster: format!("{HELD_BY_PERSON}:{who}"),
        detail: Value::Null,
    }
}

async fn release(conn: &mut Conn, job: JobId, now: Timestamp) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    let (held_by, _) = holder(conn, job).await?;
    match (state, held_by) {
        (JobState::Held, Some(_)) => {
            people::make_available(conn, job, now).await?;
            Ok(Acted::Again(job))
        }
        (JobState::Available, _) => Ok(Acted::Already),
        _ => Ok(Acted::NotNow(state)),
    }
}

async fn move_ahead(conn: &mut Conn, job: JobId, now: Timestamp) -> Result<Acted, Fault> {
    let Some((state, lane_id, _)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    if !matches!(
        state,
        JobState::Available | JobState::Scheduled | JobState::Retryable
    ) {
        return Ok(Acted::NotNow(state));
    }
    let first: Option<(i64, i64)> = sqlx::query_as(
        "SELECT id, run_at FROM jobs WHERE lane_id = $1 AND priority = 0
             AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at, id LIMIT 1",
    )
    .bind(lane_id)
    .fetch_optional(&mut *conn)
    .await?;
    let run_at = match first {
        Some((id, run_at)) if id == job.0 && run_at <= now.millis() => return Ok(Acted::Already),
        Some((_, run_at)) => now.millis().min(run_at - 1),
        None => now.millis(),
    };
    sqlx::query(
        "UPDATE jobs SET state = 'available', run_at = $2, priority = $3, waits_on = NULL, system_down = NULL,
             updated_at = $4 WHERE id = $1",
    )
    .bind(job.0)
    .bind(run_at)
    .bind(i64::from(Priority::URGENT.0))
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(Acted::Again(job))
}

/// Saves a link that a person named, unless the ERP's record is somebody else's.
async fn save_link(conn: &mut Conn, link: &Link, now: Timestamp) -> Result<Option<Acted>, Fault> {
    let is_free = links::conflicts(conn, &[link]).await?.is_empty();
    if is_free && links::try_save(conn, &[link], now).await? {
        return Ok(None);
    }
    let owner = links::of_erp(conn, &link.shop, link.kind, link.erp_id).await?;
    Ok(Some(Acted::Taken(
        owner.map_or_else(String::new, |owner| owner.source_id),
    )))
}

async fn resolve(conn: &mut Conn, act: &Act, job: JobId, link: &Link, lanes: &Lanes) -> Result<Acted, Fault> {
    let Some((state, lane_id, source_id)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    let known = links::of_sources(conn, &link.shop, link.kind, &[link.source_id.clone()]).await?;
    if let Some(known) = known.into_iter().find(|known| known.state != LinkState::Retired) {
        if known.erp_id != link.erp_id {
            let name = known.erp_name.unwrap_or_else(|| known.erp_id.to_string());
            return Ok(Acted::Linked(name));
        }
        if !state.is_open() {
            return Ok(Acted::Already);
        }
    }
    if !state.is_open() || state == JobState::Running {
        return Ok(Acted::NotNow(state));
    }
    if let Some(refused) = save_link(conn, link, act.at).await? {
        return Ok(refused);
    }
    let name = link.erp_name.clone().unwrap_or_else(|| link.erp_id.to_string());
    sqlx::query(
        "UPDATE jobs SET state = 'completed', reason = 'resolved_by_hand', erp_name = $2, last_summary = $3,
             ended_at = $4, updated_at = $4, waits_on = NULL, system_down = NULL WHERE id = $1",
    )
    .bind(job.0)
    .bind(clean(&name))
    .bind(clean(&format!("entered by hand as {name}")))
    .bind(act.at.millis())
    .execute(&mut *conn)
    .await?;
    problems::close_for_jobs(conn, &[job.0], act.at).await?;
    if let Some(lane) = lanes.lane(lane_id) {
        let record = lane.key(&source_id).record().to_string();
        finish::wake(conn, &serde_json::to_string(&[(record, job)])?, act.at).await?;
    }
    Ok(Acted::Done)
}

async fn adopt(conn: &mut Conn, job: JobId, link: &Link, now: Timestamp) -> Result<Acted, Fault> {
    let Some((state, ..)) = people::named(conn, job).await? else {
        return Ok(Acted::Unknown);
    };
    if !state.is_open() || state == JobState::Running {
        return Ok(Acted::NotNow(state));
    }
    let known = links::of_sources(conn, &link.shop, link.kind, &[link.source_id.clone()]).await?;
    let mut standing = known
        .into_iter()
        .filter(|known| known.state != LinkState::Retired);
    if let Some(known) = standing.find(|known| known.erp_id != link.erp_id) {
        // What was agreed between two records is not carried over to a third one.
        let name = known.erp_name.unwrap_or_else(|| known.erp_id.to_string());
        return Ok(Acted::Linked(name));
    }
    if let Some(refused) = save_link(conn, link, now).await? {
        return Ok(refused);
    }
    people::make_available(conn, job, now).await?;
    Ok(Acted::Again(job))
}

// --- shops ----------------------------------------------------------------------------------------------------

async fn pause(conn: &mut Conn, act: &Act, shop: &ShopName) -> Result<Acted, Fault> {
    let rows = sqlx::query(
        "INSERT INTO pauses (shop, since, actor, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (shop) DO NOTHING",
    )
    .bind(shop.as_str())
    .bind(act.at.millis())
    .bind(clean(&act.actor.name))
    .bind(act.reason.as_deref().map(clean))
    .execute(conn)
    .await?
    .rows_affected();
    Ok(if rows > 0 { Acted::Done } else { Acted::Already })
}

async fn resume(conn: &mut Conn, shop: &ShopName) -> Result<Acted, Fault> {
    let rows = sqlx::query("DELETE FROM pauses WHERE shop = $1")
        .bind(shop.as_str())
        .execute(conn)
        .await?
        .rows_affected();
    Ok(if rows > 0 { Acted::Done } else { Acted::Already })
}

/// The shops that people paused, by name.
pub(super) async fn pauses(conn: &mut Conn) -> Result<Vec<PauseRow>, Fault> {
    let rows: Vec<(String, i64, String, Option<String>)> =
        sqlx::query_as("SELECT shop, since, actor, reason FROM pauses ORDER BY shop")
            .fetch_all(conn)
            .await?;
    rows.into_iter()
        .map(|(shop, since, actor, reason)| {
            Ok(PauseRow {
                shop: shop.parse().map_err(|_| Fault::BadRow {
                    table: "pauses",
                    row: 0,
                    column: "shop",
                })?,
                since: Timestamp::from_millis(since),
                actor,
                reason,
            })
        })
        .collect()
}
