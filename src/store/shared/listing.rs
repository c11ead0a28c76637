//! Which jobs a list shows. However many jobs there are and fit, only about as many are read as a page has: each way of
//! asking has an index in the order of the list.

use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, queue, sql};
use crate::domain::{JobState, ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{JobFilter, JobName, Lane};

const DEFAULT_LIMIT: u32 = 50;

/// Of more jobs than this that are found by one name, those in the states and lanes asked for are looked through instead.
const FEW: i64 = if cfg!(test) { 3 } else { 2_000 };

/// Where no more than so many jobs ended since a time, those are looked through for what changed since then.
const ENDED_FEW: i64 = if cfg!(test) { 25 } else { 20_000 };

/// What a list begins with; the rest of the filter is asked of each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The few jobs of a name, a source id, or some numbers.
    Name,
    /// The open problems of a kind or cause.
    Problem,
    /// What else a job is found by.
    KnownBy,
    /// Each lane's jobs in each state.
    Lists,
    /// What else a job is found by, of each lane's jobs that wait for a person.
    AtRest,
    /// What ended since the time that is asked for.
    Ended,
    /// All jobs.
    All,
}

/// The ids of the jobs that fit, newest first.
pub(super) async fn find(conn: &mut Conn, filter: &JobFilter) -> Result<Vec<i64>, Fault> {
    let lanes = fitting_lanes(conn, filter).await?;
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let from = from(conn, filter).await?;
    let mut ids = Vec::new();
    for (part, from) in parts(conn, filter, from).await? {
        ids.extend(ask(conn, question(&part, &lanes, from)?).await?);
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.truncate(usize::try_from(limit(filter)).unwrap_or(usize::MAX));
    Ok(ids)
}

/// States in which a job waits for a person, however many do.
const AT_REST: &[JobState] = &[JobState::Held, JobState::Problem];

/// What is asked for, taken apart by state where lists of some states are had more cheaply than by reading them.
async fn parts(conn: &mut Conn, filter: &JobFilter, from: From) -> Result<Vec<(JobFilter, From)>, Fault> {
    let mut parts = vec![(filter.clone(), from)];
    if from != From::Lists {
        return Ok(parts);
    }
    let take_out = |parts: &mut Vec<(JobFilter, From)>, fits: &dyn Fn(&JobState) -> bool, from| {
        let Some((rest, _)) = parts.first_mut() else {
            return;
        };
        let (out, left): (Vec<JobState>, Vec<JobState>) = states_of(rest).iter().copied().partition(fits);
        rest.states = left;
        let part = JobFilter {
            states: out,
            ..rest.clone()
        };
        parts.push((part, from));
        // Of no state is not of any.
        parts.retain(|(part, _)| !part.states.is_empty());
    };
    if filter.known_by.is_some() {
        take_out(&mut parts, &|state| AT_REST.contains(state), From::AtRest);
    }
    if let Some(since) = filter.changed_since
        && parts.first().is_some_and(|(_, from)| *from == From::Lists)
        && ended_since(conn, since).await? <= ENDED_FEW
    {
        take_out(&mut parts, &|state| !state.is_open(), From::Ended);
    }
    Ok(parts)
}

async fn ask(conn: &mut Conn, mut query: QueryBuilder<Db>) -> Result<Vec<i64>, Fault> {
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get("id"))
        .collect::<Result<_, _>>()?)
}

/// How many jobs ended since then, counted a little further than [`ENDED_FEW`].
async fn ended_since(conn: &mut Conn, since: Timestamp) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM jobs WHERE ended_at IS NOT NULL AND ended_at >= $1 LIMIT $2) AS few",
    )
    .bind(since.millis())
    .bind(ENDED_FEW + 1)
    .fetch_one(conn)
    .await?)
}

/// The states that are asked for.
fn states_of(filter: &JobFilter) -> &[JobState] {
    if filter.states.is_empty() {
        JobState::ALL
    } else {
        &filter.states
    }
}

fn limit(filter: &JobFilter) -> i64 {
    i64::from(if filter.limit == 0 {
        DEFAULT_LIMIT
    } else {
        filter.limit
    })
}

/// The lanes that fit, asked of the database: another process may have made one.
pub(super) async fn fitting_lanes(conn: &mut Conn, filter: &JobFilter) -> Result<Vec<i64>, Fault> {
    let fits = |lane: &Lane| {
        filter
            .shop
            .as_ref()
            .is_none_or(|shop: &ShopName| *shop == lane.shop)
            && filter.object.is_none_or(|object| object == lane.object)
            && filter
                .direction
                .is_none_or(|direction| direction == lane.direction)
    };
    Ok(queue::all_lanes(conn)
        .await?
        .into_iter()
        .filter(|(_, lane)| fits(lane))
        .map(|(id, _)| id)
        .collect())
}

pub(super) const fn has_lanes(filter: &JobFilter) -> bool {
    filter.shop.is_some() || filter.object.is_some() || filter.direction.is_some()
}

async fn from(conn: &mut Conn, filter: &JobFilter) -> Result<From, Fault> {
    if filter.name.is_some() || filter.source_id.is_some() || !filter.ids.is_empty() {
        return Ok(From::Name);
    }
    if filter.code.is_some() || filter.cluster.is_some() {
        return Ok(From::Problem);
    }
    let narrows = has_lanes(filter)
        || !filter.states.is_empty()
        || filter.changed_since.is_some()
        || filter.changed_until.is_some();
    let Some(known_by) = &filter.known_by else {
        return Ok(if narrows { From::Lists } else { From::All });
    };
    if narrows && is_common(conn, known_by).await? {
        return Ok(From::Lists);
    }
    Ok(From::KnownBy)
}

/// Whether a great many jobs are found by this, e.g. by the article that everybody buys.
async fn is_common(conn: &mut Conn, name: &JobName) -> Result<bool, Fault> {
    let (kind, value) = name.parts();
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM job_names WHERE kind = $1 AND value = $2 LIMIT $3) AS few",
    )
    .bind(kind)
    .bind(clean(value))
    .bind(FEW + 1)
    .fetch_one(conn)
    .await?;
    Ok(count > FEW)
}

/// Where open problems `p` are read. `is_one` says that they are of one cause of one shop.
pub(super) const fn open_problems(is_one: bool) -> &'static str {
    if is_one {
        sql::OF_ONE_CAUSE
    } else {
        "problems AS p"
    }
}

pub(super) fn question(filter: &JobFilter, lanes: &[i64], from: From) -> Result<QueryBuilder<Db>, Fault> {
    let limit = limit(filter);
    let mut query = QueryBuilder::<Db>::new("");
    let order = match from {
        From::Name | From::All => {
            query.push("SELECT j.id AS id FROM jobs AS j WHERE true");
            "j.id"
        }
        From::Ended => {
            query
                .push("SELECT j.id AS id FROM ")
                .push(sql::BY_THEIR_END)
                .push(" WHERE j.ended_at IS NOT NULL AND j.ended_at >= ")
                .push_bind(filter.changed_since.map_or(0, Timestamp::millis));
            "j.id"
        }
        From::Problem => {
            let is_one = filter.cluster.is_some() && filter.code.is_some() && filter.shop.is_some();
            query
                .push(sql::OF_PROBLEMS.0)
                .push(open_problems(is_one))
                .push(sql::OF_PROBLEMS.1);
            push_cause(&mut query, filter);
            if let Some(shop) = &filter.shop {
                query.push(" AND p.shop = ").push_bind(shop.as_str().to_owned());
            }
            if let Some(before) = filter.before {
                query.push(" AND p.job_id < ").push_bind(before.0);
            }
            query.push(sql::OF_PROBLEMS.2);
            "p.job_id"
        }
        From::KnownBy => {
            query.push("SELECT j.id AS id FROM job_names AS n CROSS JOIN jobs AS j WHERE j.id = n.job_id");
            push_known_by(&mut query, filter);
            if let Some(before) = filter.before {
                query.push(" AND n.job_id < ").push_bind(before.0);
            }
            "n.job_id"
        }
        From::Lists => {
            let (begin, of_each, _) = sql::EACH_LIST;
            query
                .push(begin)
                .push_bind(lists(lanes, states_of(filter))?)
                .push(of_each);
            "o.id"
        }
        From::AtRest => {
            let (begin, of_each, _) = sql::EACH_NAMED_LIST;
            query
                .push(begin)
                .push_bind(lists(lanes, states_of(filter))?)
                .push(of_each);
            push_known_by(&mut query, filter);
            if let Some(before) = filter.before {
                query.push(" AND n.job_id < ").push_bind(before.0);
            }
            "o.id"
        }
    };
    push_fitting(&mut query, filter, lanes, from);
    if from == From::Problem {
        query.push(sql::OF_PROBLEMS.3);
    }
    let of_each = match from {
        From::Lists => Some(("j.id", sql::EACH_LIST.2)),
        From::AtRest => Some(("n.job_id", sql::EACH_NAMED_LIST.2)),
        _ => None,
    };
    if let Some((order, end)) = of_each {
        query
            .push(format_args!(" ORDER BY {order} DESC LIMIT "))
            .push_bind(limit)
            .push(end);
    }
    query
        .push(format_args!(" ORDER BY {order} DESC LIMIT "))
        .push_bind(limit);
    Ok(query)
}

/// Pairs of lane and state, as an array of arrays.
pub(super) fn lists(lanes: &[i64], states: &[JobState]) -> Result<String, Fault> {
    let mut pairs = Vec::with_capacity(lanes.len() * states.len());
    for state in states {
        pairs.extend(lanes.iter().map(|lane| (*lane, state.as_str())));
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(serde_json::to_string(&pairs)?)
}

fn push_cause(query: &mut QueryBuilder<Db>, filter: &JobFilter) {
    if let Some(cluster) = &filter.cluster {
        query.push(" AND p.cluster = ").push_bind(clean(cluster));
    }
    if let Some(code) = &filter.code {
        query.push(" AND p.code = ").push_bind(clean(code));
    }
}

fn push_known_by(query: &mut QueryBuilder<Db>, filter: &JobFilter) {
    if let Some(known_by) = &filter.known_by {
        let (kind, value) = known_by.parts();
        query
            .push(" AND n.kind = ")
            .push_bind(kind)
            .push(" AND n.value = ")
            .push_bind(clean(value));
    }
}

/// What else is asked of each job `j`.
fn push_fitting(query: &mut QueryBuilder<Db>, filter: &JobFilter, lanes: &[i64], from: From) {
    let (among, end) = sql::AMONG;
    // With the lanes, the index of source ids is of use.
    let is_of_lists = matches!(from, From::Lists | From::AtRest);
    if !is_of_lists && (has_lanes(filter) || filter.source_id.is_some()) {
        // Else the lane would be looked up, which has far more jobs than were found already.
        let of = if filter.source_id.is_some() {
            " AND j.lane_id IN ("
        } else {
            " AND + j.lane_id IN ("
        };
        query.push(of);
        let mut list = query.separated(", ");
        for lane in lanes {
            list.push(lane);
        }
        query.push(")");
    }
    if !is_of_lists && !filter.states.is_empty() {
        // Nor is the state looked up.
        query.push(" AND j.state || '' IN (");
        let mut states = query.separated(", ");
        for state in &filter.states {
            states.push(format_args!("'{}'", state.as_str()));
        }
        query.push(")");
    }
    if !filter.ids.is_empty() {
        query.push(" AND j.id IN (");
        let mut ids = query.separated(", ");
        for id in &filter.ids {
            ids.push(id.0);
        }
        query.push(")");
    }
    if let Some(source_id) = &filter.source_id {
        query.push(" AND j.source_id = ").push_bind(clean(source_id));
    }
    if let Some(name) = &filter.name {
        query
            .push(" AND j.id ")
            .push(among)
            .push("SELECT id FROM jobs WHERE record_name = ")
            .push_bind(clean(name))
            .push(" UNION SELECT id FROM jobs WHERE erp_name = ")
            .push_bind(clean(name))
            .push(end);
    }
    if from != From::Problem && (filter.code.is_some() || filter.cluster.is_some()) {
        query.push(" AND EXISTS (SELECT 1 FROM problems AS p WHERE p.job_id = j.id AND p.closed_at IS NULL");
        push_cause(query, filter);
        query.push(")");
    }
    if !matches!(from, From::KnownBy | From::AtRest) && filter.known_by.is_some() {
        query.push(" AND EXISTS (SELECT 1 FROM job_names AS n WHERE n.job_id = j.id");
        push_known_by(query, filter);
        query.push(")");
    }
    if let Some(since) = filter.changed_since {
        query.push(" AND j.updated_at >= ").push_bind(since.millis());
    }
    if let Some(until) = filter.changed_until {
        query.push(" AND j.updated_at < ").push_bind(until.millis());
    }
    if let Some(before) = filter.before {
        query.push(" AND j.id < ").push_bind(before.0);
    }
}
