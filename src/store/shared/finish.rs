//! Ends of attempts, many at a time: everything that one attempt leaves behind is saved at once, under its fence.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::json;

use super::intake::{self, Want, Wants};
use super::{Conn, links, notices, numbers, problems, shops, sql};
use crate::domain::{JobState, Link, NewProblem, Object, Timestamp};
use crate::store::fault::Fault;
use crate::store::prepared::{Lanes, PreparedFinish};
use crate::store::rules::{Change, Standing, clean, outcome};
use crate::store::{Finish, Finished, Verdict};

/// How long a job waits for a record that is in nobody's hands any more when it begins to wait.
const FREE_WAIT: Duration = Duration::from_secs(1);

/// What a batch of ends did.
pub(super) struct Ends {
    pub(super) results: Vec<Finished>,
    /// Whether a job may have become ready, now or at a time.
    pub(super) stirred: bool,
    /// Whether there is something to tell other systems.
    pub(super) told: bool,
}

/// The rows of these jobs, locked against other nodes until the transaction ends.
pub(super) async fn standings(conn: &mut Conn, ids: &[i64]) -> Result<Vec<Standing>, Fault> {
    let text: String = sqlx::query_scalar(sql::STANDINGS)
        .bind(serde_json::to_string(ids)?)
        .fetch_one(conn)
        .await?;
    Ok(serde_json::from_str(&text)?)
}

/// Ends attempts, but for those whose links belong to another record: whoever ends one of them is told, and ends it otherwise.
/// `alone` says that the batch has one unit and is tried again because a larger one failed: then even an unforeseen conflict of
/// links is told.
pub(super) async fn finish(
    conn: &mut Conn,
    lanes: &Lanes,
    units: &[PreparedFinish],
    alone: bool,
) -> Result<Ends, Fault> {
    let ids: Vec<i64> = units.iter().map(|unit| unit.finish.job.0).collect();
    let mut standings: HashMap<i64, Standing> = standings(conn, &ids)
        .await?
        .into_iter()
        .map(|standing| (standing.id, standing))
        .collect();

    let mut seen = HashSet::new();
    let mut live: Vec<(usize, &PreparedFinish)> = units
        .iter()
        .enumerate()
        .filter(|(_, unit)| {
            standings
                .get(&unit.finish.job.0)
                .is_some_and(|standing| standing.is_held_by(unit.finish.fence.0))
                && seen.insert(unit.finish.job.0)
        })
        .collect();
    let mut results = vec![Finished::Stale; units.len()];
    for (index, link) in save_links(conn, &live, alone).await? {
        let problem = link_conflict(&units[index].finish, link);
        results[index] = Finished::Conflict(Box::new(problem));
    }
    live.retain(|(index, _)| results[*index] == Finished::Stale);
    if live.is_empty() {
        return Ok(Ends {
            results,
            stirred: false,
            told: false,
        });
    }

    let mut stirred = make_jobs(conn, &live, &mut standings).await?;

    let mut changes: Vec<Change> = Vec::with_capacity(live.len());
    let mut attempts = Vec::with_capacity(live.len());
    let mut tallies = Vec::new();
    for (index, unit) in &live {
        let Some(standing) = standings.get(&unit.finish.job.0) else {
            continue;
        };
        let end = &unit.finish;
        if let Some(lane) = lanes.lane(standing.lane_id) {
            numbers::count_end(&mut tallies, &lane, standing, end);
            if let Some(reason) = &end.disables_shop {
                shops::set_disabled(conn, &lane.shop, Some(reason), end.ended_at).await?;
            }
        }
        let change = standing.after(end);
        stirred |= matches!(
            change.state,
            JobState::Available | JobState::Scheduled | JobState::Retryable
        );
        if let Some(outcome) = outcome(&end.verdict) {
            attempts.push(json!([
                standing.id,
                standing.attempts,
                standing.node.as_deref().unwrap_or("?"),
                end.started_at,
                end.ended_at,
                outcome,
                clean(&end.summary),
                end.detail.to_string(),
                end.revision,
            ]));
        }
        results[*index] = Finished::Done(change.state);
        changes.push(change);
    }

    let now = live
        .iter()
        .map(|(_, unit)| unit.finish.ended_at)
        .max()
        .unwrap_or_default();
    let ended: Vec<i64> = changes.iter().map(|change| change.id).collect();
    let records = release_locks(conn, &ended).await?;
    sqlx::query(sql::CHANGE)
        .bind(serde_json::to_string(&changes)?)
        .execute(&mut *conn)
        .await?;
    if !attempts.is_empty() {
        sqlx::query(sql::ATTEMPTS_INSERT)
            .bind(serde_json::to_string(&attempts)?)
            .execute(&mut *conn)
            .await?;
    }
    stirred |= wake(conn, &records, now).await? > 0;
    for (_, unit) in &live {
        hasten_needless_wait(conn, unit).await?;
    }
    settle(conn, lanes, &live, &standings).await?;
    // In the order of the ends. A record's own come one after another, because its job's row is held.
    let told: Vec<(&str, Timestamp)> = live
        .iter()
        .flat_map(|(_, unit)| {
            unit.finish
                .notifications
                .iter()
                .map(|body| (body.as_str(), unit.finish.ended_at))
        })
        .collect();
    notices::add(conn, &told).await?;
    numbers::add(conn, &tallies).await?;
    Ok(Ends {
        results,
        stirred,
        told: !told.is_empty(),
    })
}

/// Saves the links of all ends. Returns those ends whose links are not saved, with a link that stood in the way.
async fn save_links<'a>(
    conn: &mut Conn,
    live: &[(usize, &'a PreparedFinish)],
    alone: bool,
) -> Result<HashMap<usize, &'a Link>, Fault> {
    let Some((_, first)) = live.first() else {
        return Ok(HashMap::new());
    };
    let all: Vec<(usize, &Link)> = live
        .iter()
        .flat_map(|(index, unit)| unit.finish.links.iter().map(|link| (*index, link)))
        .collect();
    let mut conflicts = HashMap::new();
    if all.is_empty() {
        return Ok(conflicts);
    }
    let plain: Vec<&Link> = all.iter().map(|(_, link)| *link).collect();
    for position in links::conflicts(conn, &plain).await? {
        let (index, link) = all[position];
        conflicts.insert(index, link);
    }
    let good: Vec<&Link> = all
        .iter()
        .filter(|(index, _)| !conflicts.contains_key(index))
        .map(|(_, link)| *link)
        .collect();
    let now = first.finish.ended_at;
    if !alone {
        links::save(conn, &good, now).await?;
    } else if !links::try_save(conn, &good, now).await? {
        conflicts.extend(all);
    }
    Ok(conflicts)
}

/// The problem of an attempt whose ERP record is linked to another source record.
fn link_conflict(end: &Finish, link: &Link) -> NewProblem {
    let (kind, model, erp_id, source_id) = (link.kind, &link.model, link.erp_id, &link.source_id);
    NewProblem {
        code: "link_conflict".into(),
        record: end.record_name.clone(),
        field: None,
        reason: format!(
            "{kind} {source_id} was matched with the ERP's {model} {erp_id}, but that belongs to another {kind} of the shop already."
        ),
        fix: format!(
            "Decide which {kind} {model} {erp_id} belongs to: merge the two in the shop, or give one of them a record of its own in the ERP; then retry."
        ),
        owner: "operations".to_owned(),
        mapping: None,
        cluster: format!("link_conflict:{kind}:{erp_id}"),
        detail: json!({ "kind": kind, "source_id": source_id, "model": model, "erp_id": erp_id }),
    }
}

/// Makes the jobs that the attempts ask for. An end of this batch whose own job is asked for learns of it.
async fn make_jobs(
    conn: &mut Conn,
    live: &[(usize, &PreparedFinish)],
    standings: &mut HashMap<i64, Standing>,
) -> Result<bool, Fault> {
    let mut wants = Wants::new();
    for (_, unit) in live {
        for (job, lane_id) in unit.finish.enqueue.iter().zip(&unit.lane_ids) {
            let want = Want {
                state: JobState::Available,
                priority: job.priority,
                times: 1,
                events: 0,
                since: job.now,
                triggered_at: None,
                cause: job.cause.clone(),
                import: None,
            };
            intake::add(&mut wants, *lane_id, &job.key.source_id, want);
        }
    }
    let made = intake::want(conn, &wants).await?;
    for (key, (job, _)) in &made {
        if let (Some(standing), Some(want)) = (standings.get_mut(&job.0), wants.get(key)) {
            standing.wanted += want.times;
            standing.later_since = standing.later_since.or(Some(want.since.millis()));
        }
    }
    Ok(!made.is_empty())
}

/// Ends the locks of these jobs. Returns the records that are free now, with who held each.
pub(super) async fn release_locks(conn: &mut Conn, jobs: &[i64]) -> Result<String, Fault> {
    let jobs = serde_json::to_string(jobs)?;
    let records: String = sqlx::query_scalar(sql::LOCKS_HELD)
        .bind(&jobs)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query(concat!("DELETE FROM locks WHERE job_id ", sql::in_array!("$1")))
        .bind(jobs)
        .execute(conn)
        .await?;
    Ok(records)
}

/// Makes the jobs available that wait for one of these records (a JSON array of `[record, job]`) and did not hold it
/// themselves: a job's own end must not make it due at once when it asked for time.
pub(super) async fn wake(conn: &mut Conn, records: &str, now: Timestamp) -> Result<u64, Fault> {
    if records == "[]" {
        return Ok(0);
    }
    Ok(sqlx::query(sql::WAKE)
        .bind(records)
        .bind(now.millis())
        .execute(conn)
        .await?
        .rows_affected())
}

/// The record may have become free between the refused lock and now: then nobody would wake the job.
async fn hasten_needless_wait(conn: &mut Conn, unit: &PreparedFinish) -> Result<(), Fault> {
    let Verdict::Wait { on, .. } = &unit.finish.verdict else {
        return Ok(());
    };
    let holder: Option<i64> = sqlx::query_scalar(sql::LOCK_OF)
        .bind(clean(&on.to_string()))
        .fetch_optional(&mut *conn)
        .await?;
    if holder.is_some() {
        return Ok(());
    }
    if let Some((lane_id, source_id)) = &unit.awaited {
        let state: Option<String> = sqlx::query_scalar(sql::OPEN_STATE)
            .bind(lane_id)
            .bind(clean(source_id))
            .fetch_optional(&mut *conn)
            .await?;
        // Any other open state ends by an attempt, and every end of an attempt wakes those who wait for its record.
        if state.is_some_and(|state| state != "problem" && state != "held") {
            return Ok(());
        }
    }
    sqlx::query("UPDATE jobs SET run_at = $2 WHERE id = $1 AND state = 'scheduled' AND run_at > $2")
        .bind(unit.finish.job.0)
        .bind(unit.finish.ended_at.plus(FREE_WAIT).millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Closes the problems of jobs that succeeded and opens those of jobs that need a person. The bodies of privacy requests
/// and other notices about the shop itself go with their success: they name customers and are of no more use.
async fn settle(
    conn: &mut Conn,
    lanes: &Lanes,
    live: &[(usize, &PreparedFinish)],
    standings: &HashMap<i64, Standing>,
) -> Result<(), Fault> {
    let mut done: Vec<i64> = Vec::new();
    let mut notices: Vec<i64> = Vec::new();
    let mut now = Timestamp::default();
    for (_, unit) in live {
        let job = unit.finish.job;
        let at = unit.finish.ended_at;
        match &unit.finish.verdict {
            Verdict::Completed | Verdict::Obsolete { .. } => {
                done.push(job.0);
                now = now.max(at);
                let is_ended_notice = standings.get(&job.0).is_some_and(|standing| {
                    standing.wanted <= standing.taken
                        && lanes
                            .lane(standing.lane_id)
                            .is_some_and(|lane| lane.object == Object::Shop)
                });
                if is_ended_notice {
                    notices.push(job.0);
                }
            }
            Verdict::Problem(problem) | Verdict::Held(problem) => {
                problems::open_for_job(conn, job, problem, at).await?;
            }
            Verdict::Retry { .. } | Verdict::Wait { .. } | Verdict::Release => {}
        }
    }
    if !done.is_empty() {
        problems::close_for_jobs(conn, &done, now).await?;
    }
    if !notices.is_empty() {
        sqlx::query(concat!(
            "UPDATE events SET body = NULL WHERE job_id ",
            sql::in_array!("$1")
        ))
        .bind(serde_json::to_string(&notices)?)
        .execute(conn)
        .await?;
    }
    Ok(())
}
