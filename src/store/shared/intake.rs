//! Deliveries and wishes for work, many at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use super::{Conn, problems, sql};
use crate::domain::{EventId, JobId, JobState, Priority, Timestamp};
use crate::store::fault::Fault;
use crate::store::prepared::PreparedDelivery;
use crate::store::rules::{clean, millis};
use crate::store::{DeliveryAction, Enqueued, NewJob, Recorded, RejectionCount};

/// What is wanted of one job's key.
pub(super) struct Want {
    pub(super) state: JobState,
    pub(super) priority: Priority,
    /// How often it was asked for.
    pub(super) times: i64,
    /// How many events did so.
    pub(super) events: i64,
    pub(super) since: Timestamp,
    pub(super) triggered_at: Option<Timestamp>,
    pub(super) cause: String,
    /// The import that asked for it.
    pub(super) import: Option<i64>,
}

impl Want {
    /// Adds another wish for the same key.
    fn join(&mut self, other: Self) {
        if other.state == JobState::Available {
            self.state = JobState::Available;
        }
        self.priority = self.priority.min(other.priority);
        self.times += other.times;
        self.events += other.events;
        self.triggered_at = self.triggered_at.or(other.triggered_at);
        self.import = self.import.or(other.import);
    }
}

/// A delivery that is about to be stored, and the job that it asks for.
pub(super) struct NewEvent<'a> {
    pub(super) id: i64,
    pub(super) unit: &'a PreparedDelivery,
    pub(super) job: Option<JobId>,
}

impl NewEvent<'_> {
    /// Why no work follows.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self.unit.delivery.action {
            DeliveryAction::Record { reason } => Some(reason),
            _ => None,
        }
    }
}

/// Wishes by lane and source id: in this order, so that two nodes never wait for each other in a circle.
pub(super) type Wants = BTreeMap<(i64, String), Want>;

/// Adds a wish.
pub(super) fn add(wants: &mut Wants, lane_id: i64, source_id: &str, want: Want) {
    match wants.entry((lane_id, clean(source_id))) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(want);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().join(want),
    }
}

/// The open job of each wanted key, and whether it was made now.
pub(super) async fn want(
    conn: &mut Conn,
    wants: &Wants,
) -> Result<HashMap<(i64, String), (JobId, bool)>, Fault> {
    if wants.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<_> = wants
        .iter()
        .map(|((lane_id, source_id), want)| {
            json!([
                lane_id,
                source_id,
                want.state,
                want.priority.0.clamp(Priority::URGENT.0, Priority::BACKGROUND.0),
                want.since,
                want.times,
                want.events,
                millis(want.triggered_at),
                clean(&want.cause),
                want.import,
            ])
        })
        .collect();
    let rows = serde_json::to_string(&rows)?;
    Ok(sql::want(conn, &rows)
        .await?
        .into_iter()
        .map(|(id, lane_id, source_id, wanted)| {
            let key = (lane_id, source_id);
            // An older row was wanted at least once before.
            let is_new = wants.get(&key).is_some_and(|want| want.times == wanted);
            (key, (JobId(id), is_new))
        })
        .collect())
}

/// Makes sure that open jobs want another attempt; the number beside each job is its lane's.
pub(super) async fn enqueue(conn: &mut Conn, units: &[(NewJob, i64)]) -> Result<Vec<Enqueued>, Fault> {
    let mut wants = Wants::new();
    for (job, lane_id) in units {
        let want_one = Want {
            state: JobState::Available,
            priority: job.priority,
            times: 1,
            events: 0,
            since: job.now,
            triggered_at: None,
            cause: job.cause.clone(),
            import: None,
        };
        add(&mut wants, *lane_id, &job.key.source_id, want_one);
    }
    let mut made = want(conn, &wants).await?;
    units
        .iter()
        .map(|(job, lane_id)| {
            let made = made.get_mut(&(*lane_id, clean(&job.key.source_id)));
            let (job, is_new) = made.ok_or(Fault::Sql(sqlx::Error::RowNotFound))?;
            Ok(Enqueued {
                job: *job,
                // Of several that ask for the same job at once, one makes it.
                created: std::mem::take(is_new),
            })
        })
        .collect()
}

/// Stores deliveries with the jobs that they ask for. Those that were stored before, or twice in this batch, change
/// nothing.
pub(super) async fn record(conn: &mut Conn, units: &[PreparedDelivery]) -> Result<Vec<Recorded>, Fault> {
    let mut results = vec![Recorded::Repeated; units.len()];
    let keys: BTreeSet<String> = units.iter().map(|unit| hex::encode(unit.dedup)).collect();
    let (mut seen, last) = sql::known(conn, &serde_json::to_string(&keys)?).await?;
    let fresh: Vec<(usize, &PreparedDelivery)> = units
        .iter()
        .enumerate()
        .filter(|(_, unit)| seen.insert(hex::encode(unit.dedup)))
        .collect();
    if fresh.is_empty() {
        return Ok(results);
    }

    let mut wants = Wants::new();
    for (_, unit) in &fresh {
        let delivery = &unit.delivery;
        let (state, key, priority) = match &delivery.action {
            DeliveryAction::Job { key, priority } => (JobState::Available, key, *priority),
            DeliveryAction::Problem { key, .. } => (JobState::Problem, key, Priority::LIVE),
            DeliveryAction::Record { .. } => continue,
        };
        if let Some(lane_id) = unit.lane_id {
            let want = Want {
                state,
                priority,
                times: 1,
                events: 1,
                since: delivery.received_at,
                triggered_at: delivery.triggered_at,
                cause: "webhook".to_owned(),
                import: None,
            };
            add(&mut wants, lane_id, &key.source_id, want);
        }
    }
    let jobs = want(conn, &wants).await?;

    let ids = sql::reserve_event_ids(conn, last, fresh.len()).await?;
    let mut rows = Vec::with_capacity(fresh.len());
    for ((index, unit), id) in fresh.iter().zip(&ids) {
        let delivery = &unit.delivery;
        let job = PreparedDelivery::key(delivery)
            .zip(unit.lane_id)
            .and_then(|(key, lane_id)| jobs.get(&(lane_id, clean(&key.source_id))))
            .map(|(job, _)| *job);
        rows.push(NewEvent { id: *id, unit, job });
        results[*index] = Recorded::New {
            event: EventId(*id),
            job,
        };
    }
    sql::insert_events(conn, &rows).await?;

    for (index, unit) in &fresh {
        if let (DeliveryAction::Problem { problem, .. }, Recorded::New { job: Some(job), .. }) =
            (&unit.delivery.action, results[*index])
        {
            let delivery = &unit.delivery;
            problems::open_for_job(conn, job, problem, delivery.received_at).await?;
        }
    }
    Ok(results)
}

/// Adds to the counts of refused deliveries.
pub(super) async fn count_rejections(conn: &mut Conn, counts: &[RejectionCount]) -> Result<(), Fault> {
    for count in counts {
        sqlx::query(
            "INSERT INTO rejections (shop, reason, hour, count) VALUES ($1, $2, $3, $4)
             ON CONFLICT (hour, shop, reason) DO UPDATE SET count = rejections.count + excluded.count",
        )
        .bind(clean(&count.shop))
        .bind(clean(&count.reason))
        .bind(count.hour.millis())
        .bind(i64::try_from(count.count).unwrap_or(i64::MAX))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The refusals since then, newest hour first.
pub(super) async fn rejections(conn: &mut Conn, since: Timestamp) -> Result<Vec<RejectionCount>, Fault> {
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT shop, reason, hour, count FROM rejections WHERE hour >= $1 ORDER BY hour DESC, shop, reason",
    )
    .bind(since.millis())
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(shop, reason, hour, count)| RejectionCount {
            shop,
            reason,
            hour: Timestamp::from_millis(hour),
            count: u64::try_from(count).unwrap_or(0),
        })
        .collect())
}
