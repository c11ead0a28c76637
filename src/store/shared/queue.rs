//! Claims, leases, locks, and taking back what dead processes held.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Conn, finish, notices, problems, sql};
use crate::domain::{
    Fence, JobId, JobKey, JobState, NewProblem, Object, Priority, RecordKey, ShopName, System, Timestamp,
};
use crate::store::fault::Fault;
use crate::store::prepared::Lanes;
use crate::store::rules::{MOST_UNCLEAN, clean, rest_after_unclean};
use crate::store::{ClaimedJob, GivenUpJob, Lane, Locked, ReadyLane};

/// How long a job that found its own record locked waits when nobody wakes it.
const LOCKED_WAIT: Duration = Duration::from_secs(60);

/// How often a claim looks again after it had to set jobs aside.
const MOST_ROUNDS: usize = 8;

/// All lanes, for the memory of the process.
pub(super) async fn all_lanes(conn: &mut Conn) -> Result<Vec<(i64, Lane)>, Fault> {
    let rows: Vec<(i64, String, String, String)> =
        sqlx::query_as("SELECT id, shop, object, direction FROM lanes ORDER BY id")
            .fetch_all(conn)
            .await?;
    // A lane with an object that only a newer version knows is left alone.
    Ok(rows
        .into_iter()
        .filter_map(|(id, shop, object, direction)| {
            let lane = Lane {
                shop: shop.parse().ok()?,
                object: object.parse().ok()?,
                direction: direction.parse().ok()?,
            };
            Some((id, lane))
        })
        .collect())
}

/// Makes lanes that are missing and returns all.
pub(super) async fn make_lanes(conn: &mut Conn, lanes: &[Lane]) -> Result<Vec<(i64, Lane)>, Fault> {
    for lane in lanes {
        let prefix = JobKey {
            shop: lane.shop.clone(),
            object: lane.object,
            direction: lane.direction,
            source_id: String::new(),
        };
        sqlx::query(
            "INSERT INTO lanes (shop, object, direction, record_prefix) VALUES ($1, $2, $3, $4)
             ON CONFLICT (shop, object, direction) DO NOTHING",
        )
        .bind(lane.shop.as_str())
        .bind(lane.object.as_str())
        .bind(lane.direction.as_str())
        .bind(prefix.record().to_string())
        .execute(&mut *conn)
        .await?;
    }
    all_lanes(conn).await
}

/// A lane by its number, the time of its oldest ready job, and 1 where nothing is ready but jobs of imports.
pub(super) type Ready = (i64, Timestamp, i64);

/// The lanes that have a ready job, by number.
pub(super) async fn ready_lanes(conn: &mut Conn, now: Timestamp) -> Result<Vec<Ready>, Fault> {
    let text: String = sqlx::query_scalar(sql::READY_LANES)
        .bind(now.millis())
        .fetch_one(conn)
        .await?;
    Ok(serde_json::from_str(&text)?)
}

/// [`ready_lanes`] by name, longest waiting first.
pub(super) fn named(ready: Vec<Ready>, lanes: &Lanes) -> Vec<ReadyLane> {
    let mut ready: Vec<_> = ready
        .into_iter()
        .filter_map(|(id, oldest_due, imports)| {
            let lane = lanes.lane(id)?;
            Some(ReadyLane {
                lane,
                oldest_due,
                has_only_imports: imports != 0,
            })
        })
        .collect();
    ready.sort_by(|a, b| (a.oldest_due, &a.lane).cmp(&(b.oldest_due, &b.lane)));
    ready
}

/// A job that could be claimed. Read from a JSON array: the order of the fields matters.
#[derive(Deserialize)]
struct Candidate {
    id: i64,
    source_id: String,
    fence: i64,
    failed_attempts: u32,
    attempts: u32,
    unclean_at: Option<Timestamp>,
    wanted_since: Timestamp,
    triggered_at: Option<Timestamp>,
    record_name: Option<String>,
    import: Option<i64>,
    problem: Option<String>,
    priority: Priority,
}

/// A claim with its lanes by number.
#[derive(Clone)]
pub(super) struct PreparedClaim {
    pub(super) node: String,
    pub(super) node_id: Option<i64>,
    pub(super) lanes: Vec<(i64, Lane, u32)>,
    pub(super) now: Timestamp,
    /// As the database's statement wants it.
    pub(super) lease: i64,
}

/// Claims jobs. One whose own record is in another attempt's hands is set aside until it is released.
pub(super) async fn claim(conn: &mut Conn, claim: &PreparedClaim) -> Result<Vec<ClaimedJob>, Fault> {
    let mut claimed = Vec::new();
    // A person may have paused a shop since its lanes were looked at.
    let paused: Vec<String> = sqlx::query_scalar("SELECT shop FROM pauses")
        .fetch_all(&mut *conn)
        .await?;
    let mut open: Vec<(i64, &Lane, u32)> = claim
        .lanes
        .iter()
        .filter(|(_, lane, _)| {
            lane.object == Object::Shop || paused.iter().all(|shop| shop != lane.shop.as_str())
        })
        .map(|(id, lane, limit)| (*id, lane, *limit))
        .collect();
    for _ in 0..MOST_ROUNDS {
        let set_aside = claim_round(conn, claim, &open, &mut claimed).await?;
        open = open
            .into_iter()
            .filter_map(|(id, lane, _)| {
                let again = set_aside.iter().filter(|lane_id| **lane_id == id).count();
                (again > 0).then(|| (id, lane, u32::try_from(again).unwrap_or(u32::MAX)))
            })
            .collect();
        if open.is_empty() {
            break;
        }
    }
    Ok(claimed)
}

/// One look at each lane. Returns the lane of each job that was set aside.
async fn claim_round(
    conn: &mut Conn,
    claim: &PreparedClaim,
    lanes: &[(i64, &Lane, u32)],
    claimed: &mut Vec<ClaimedJob>,
) -> Result<Vec<i64>, Fault> {
    let mut found: Vec<(ClaimedJob, i64, String)> = Vec::new();
    for (lane_id, lane, limit) in lanes {
        let text: String = sqlx::query_scalar(sql::CANDIDATES)
            .bind(lane_id)
            .bind(claim.now.millis())
            .bind(i64::from(*limit))
            .fetch_one(&mut *conn)
            .await?;
        for candidate in serde_json::from_str::<Vec<Candidate>>(&text)? {
            let job = candidate.into_job(lane);
            let record = job.key.record().to_string();
            found.push((job, *lane_id, record));
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }

    let mut locks: Vec<(&str, i64)> = found
        .iter()
        .map(|(job, _, record)| (record.as_str(), job.id.0))
        .collect();
    // In one order on all nodes, so that they never wait for each other in a circle.
    locks.sort_unstable();
    let busy = take_locks(conn, &locks).await?;
    if !busy.is_empty() {
        sqlx::query(sql::SET_ASIDE)
            .bind(serde_json::to_string(&busy)?)
            .bind(claim.now.plus(LOCKED_WAIT).millis())
            .bind(claim.now.millis())
            .execute(&mut *conn)
            .await?;
    }

    let mut set_aside = Vec::new();
    let mut ids = Vec::with_capacity(found.len());
    for (job, lane_id, _) in found {
        if busy.iter().any(|(_, id)| *id == job.id.0) {
            set_aside.push(lane_id);
        } else {
            ids.push(job.id);
            claimed.push(job);
        }
    }
    sqlx::query(sql::CLAIM)
        .bind(serde_json::to_string(&ids)?)
        .bind(&claim.node)
        .bind(claim.now.millis())
        .bind(claim.lease)
        .bind(claim.node_id)
        .execute(&mut *conn)
        .await?;
    Ok(set_aside)
}

/// Locks those of the records that are free for the job beside them. Returns the others.
async fn take_locks(conn: &mut Conn, pairs: &[(&str, i64)]) -> Result<Vec<(String, i64)>, Fault> {
    let text = serde_json::to_string(pairs)?;
    let mut taken = 0;
    loop {
        taken += sqlx::query(sql::LOCKS_TAKE)
            .bind(&text)
            .execute(&mut *conn)
            .await?
            .rows_affected();
        if taken >= pairs.len() as u64 {
            return Ok(Vec::new());
        }
        let others: String = sqlx::query_scalar(sql::LOCKS_OF_OTHERS)
            .bind(&text)
            .fetch_one(&mut *conn)
            .await?;
        let others: Vec<(String, i64)> = serde_json::from_str(&others)?;
        // On PostgreSQL a record may have become free between the two statements: then it is to be had after all.
        if taken + others.len() as u64 >= pairs.len() as u64 {
            return Ok(others);
        }
    }
}

impl Candidate {
    /// The job as it is after the claim.
    fn into_job(self, lane: &Lane) -> ClaimedJob {
        ClaimedJob {
            id: JobId(self.id),
            key: JobKey {
                shop: lane.shop.clone(),
                object: lane.object,
                direction: lane.direction,
                source_id: self.source_id,
            },
            fence: Fence(self.fence + 1),
            failed_attempts: self.failed_attempts,
            attempt: self.attempts + 1,
            unclean_at: self.unclean_at,
            wanted_since: self.wanted_since,
            triggered_at: self.triggered_at,
            record_name: self.record_name,
            import: self.import,
            problem: self.problem,
            priority: self.priority,
        }
    }
}

/// The first time after `after` at which a waiting job becomes ready.
pub(super) async fn next_due(conn: &mut Conn, after: i64) -> Result<Option<Timestamp>, Fault> {
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT run_at FROM jobs WHERE state IN ('scheduled', 'retryable') AND run_at > $1
         ORDER BY run_at LIMIT 1",
    )
    .bind(after)
    .fetch_optional(conn)
    .await?;
    Ok(due.map(Timestamp::from_millis))
}

/// Extends leases; returns the jobs that do not run under these fences.
pub(super) async fn heartbeat(
    conn: &mut Conn,
    attempts: &[(JobId, Fence)],
    lease: i64,
) -> Result<Vec<JobId>, Fault> {
    let mut attempts = attempts.to_vec();
    attempts.sort_unstable();
    let attempts = serde_json::to_string(&attempts)?;
    sqlx::query(sql::LEASES_EXTEND)
        .bind(&attempts)
        .bind(lease)
        .execute(&mut *conn)
        .await?;
    let lost: String = sqlx::query_scalar(sql::LEASES_LOST)
        .bind(&attempts)
        .fetch_one(conn)
        .await?;
    Ok(serde_json::from_str(&lost)?)
}

/// Whether the attempt holds the job.
pub(super) async fn is_held(conn: &mut Conn, job: JobId, fence: Fence) -> Result<bool, Fault> {
    Ok(finish::standings(conn, &[job.0])
        .await?
        .iter()
        .any(|standing| standing.is_held_by(fence.0)))
}

/// Takes locks, all or none.
pub(super) async fn lock(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    mut records: Vec<RecordKey>,
) -> Result<Locked, Fault> {
    if !is_held(conn, job, fence).await? {
        return Ok(Locked::Stale);
    }
    records.sort_unstable();
    records.dedup();
    let held: String = sqlx::query_scalar(sql::LOCKS_HELD)
        .bind(json!([job]).to_string())
        .fetch_one(&mut *conn)
        .await?;
    let held: Vec<(String, i64)> = serde_json::from_str(&held)?;
    let names: Vec<String> = records.iter().map(|record| clean(&record.to_string())).collect();
    let missing: Vec<(&str, i64)> = names
        .iter()
        .filter(|name| !held.iter().any(|(record, _)| record == *name))
        .map(|name| (name.as_str(), job.0))
        .collect();
    let busy = take_locks(conn, &missing).await?;
    let first = names
        .iter()
        .position(|name| busy.iter().any(|(record, _)| record == name));
    let Some(first) = first else {
        return Ok(Locked::Taken);
    };
    sqlx::query(sql::LOCKS_UNDO)
        .bind(serde_json::to_string(&missing)?)
        .execute(conn)
        .await?;
    Ok(Locked::Busy(records.swap_remove(first)))
}

/// An attempt that ended without a word: `[id, attempts, node, claimed_at, unclean_attempts, record_name]`.
type Dead = (i64, i64, Option<String>, Option<i64>, i64, Option<String>);

/// Gives back the jobs that `dead` (an answer to the store's own question) names.
pub(super) async fn reclaim(conn: &mut Conn, dead: &str, now: Timestamp) -> Result<u64, Fault> {
    let mut dead: Vec<Dead> = serde_json::from_str(dead)?;
    if dead.is_empty() {
        return Ok(0);
    }
    dead.sort_unstable_by_key(|(id, ..)| *id);
    let ids: Vec<i64> = dead.iter().map(|(id, ..)| *id).collect();
    let records = finish::release_locks(conn, &ids).await?;
    let mut given_back = Vec::with_capacity(dead.len());
    let mut killers = Vec::new();
    for (place, (id, _, _, _, unclean, record)) in dead.iter().enumerate() {
        let (state, run_at) = match rest_after_unclean(unclean + 1, place) {
            Some(Duration::ZERO) => (JobState::Available, now),
            Some(rest) => (JobState::Retryable, now.plus(rest)),
            None => {
                killers.push((JobId(*id), record.clone()));
                (JobState::Problem, now)
            }
        };
        given_back.push((id, state, run_at));
    }
    sqlx::query(sql::RECLAIM)
        .bind(serde_json::to_string(&given_back)?)
        .bind(now.millis())
        .execute(&mut *conn)
        .await?;
    for (job, record) in killers {
        let problem = killed(job, record.clone());
        if problems::open_for_job(conn, job, &problem, now).await? {
            tell(conn, job, record, problem, now).await?;
        }
    }
    let attempts: Vec<_> = dead
        .iter()
        .map(|(id, number, node, started_at, ..)| {
            json!([
                id,
                number,
                node.as_deref().unwrap_or("?"),
                started_at.unwrap_or(now.millis()),
                None::<i64>,
                "unclean",
                "the process that ran this attempt ended without a word, or lost its lease",
                "null",
                None::<i64>,
            ])
        })
        .collect();
    sqlx::query(sql::ATTEMPTS_INSERT)
        .bind(serde_json::to_string(&attempts)?)
        .execute(&mut *conn)
        .await?;
    finish::wake(conn, &records, now).await?;
    Ok(dead.len() as u64)
}

/// Makes ready work due that seems to lie in the future.
pub(super) async fn clock_went_back(conn: &mut Conn, now: Timestamp) -> Result<u64, Fault> {
    Ok(sqlx::query(sql::CLOCK_WENT_BACK)
        .bind(now.millis())
        .execute(conn)
        .await?
        .rows_affected())
}

/// Has others told that a job was given up here.
async fn tell(
    conn: &mut Conn,
    job: JobId,
    record: Option<String>,
    problem: NewProblem,
    now: Timestamp,
) -> Result<(), Fault> {
    let (shop, object, direction, source_id): (String, String, String, String) = sqlx::query_as(
        "SELECT l.shop, l.object, l.direction, j.source_id FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id
         WHERE j.id = $1",
    )
    .bind(job.0)
    .fetch_one(&mut *conn)
    .await?;
    let (Ok(shop), Ok(object), Ok(direction)) = (shop.parse(), object.parse(), direction.parse()) else {
        // Only a newer version knows what it is about, and reads it from the outbox.
        let key = [shop, object, direction, source_id];
        tracing::error!(
            %job, shop = key[0], object = key[1], direction = key[2],
            "a job that only a newer version knows the kind of was given up: that version tells of it"
        );
        let body = GivenUpJob::body_of_texts(job, &key, record.as_deref(), &problem)?;
        return notices::add(conn, &[(body.as_str(), now)]).await;
    };
    let given_up = GivenUpJob {
        job,
        key: JobKey {
            shop,
            object,
            direction,
            source_id,
        },
        record,
        problem,
    };
    notices::add(conn, &[(given_up.to_body()?.as_str(), now)]).await
}

/// The problem of a job whose attempts end without a word, again and again.
fn killed(job: JobId, record: Option<String>) -> NewProblem {
    let code = "attempt_killed_the_process";
    NewProblem {
        code: code.into(),
        record,
        field: None,
        reason: format!(
            "{MOST_UNCLEAN} attempts in a row ended without a word: each time the process that ran the job died or lost touch with its store."
        ),
        fix: format!(
            "Look into the system's journal for why lockstep was killed while job {job} ran (out of memory, a stack overflow, kill). Remove the cause, or report it with the log, then retry."
        ),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: format!("{code}:{job}"),
        detail: serde_json::Value::Null,
    }
}

/// Makes jobs due that wait because this system of the shop was down.
pub(super) async fn hasten(
    conn: &mut Conn,
    shop: &ShopName,
    system: System,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(sqlx::query(
        "UPDATE jobs SET state = 'available', run_at = $3, system_down = NULL, updated_at = $3
         WHERE state = 'retryable' AND system_down IS NOT NULL AND system_down = $2
           AND lane_id IN (SELECT id FROM lanes WHERE shop = $1)",
    )
    .bind(shop.as_str())
    .bind(system.as_str())
    .bind(now.millis())
    .execute(conn)
    .await?
    .rows_affected())
}
