//! What people see of endpoints and dispatches. However many there are, about as many are read as a page has.

use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, DbRow, notices_sql, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{DispatchFilter, DispatchRow, DispatchState, DispatchStory, EndpointRow, TryRow};

const DEFAULT_LIMIT: u32 = 50;

const COLUMNS: &str = "SELECT d.id, n.notification, d.notification_id, d.endpoint, d.event, n.shop, n.object, n.record, d.state,
        d.tries, d.due_at, d.failure, d.sentence, d.status, d.took_ms, d.ended_at, d.created_at";

/// Each dispatch with its notification.
const JOINED: &str = " CROSS JOIN notifications AS n WHERE n.id = d.notification_id AND";

/// The endpoints that dispatches were made for, whether they are known by now or not: one step of the index for each.
const ENDPOINTS_EVER: &str = "
    WITH RECURSIVE every (name) AS (
        SELECT min(endpoint) FROM dispatches
        UNION ALL
        SELECT (SELECT min(d.endpoint) FROM dispatches AS d WHERE d.endpoint > every.name) FROM every
        WHERE every.name IS NOT NULL)
    SELECT name FROM every WHERE name IS NOT NULL";

/// The oldest that waits for each endpoint, and the first that is being sent. Each is ordered by all columns of an index, so that no
/// other one is gone through.
pub(in super::super) const ENDPOINTS: &str = "
    SELECT name, paused_because, paused_by, paused_at, health, told_failing_at, given_up_at,
        (SELECT CASE WHEN d.endpoint = endpoints.name AND d.state = 'waiting' THEN d.created_at ELSE NULL END
         FROM dispatches AS d WHERE (d.endpoint, d.state, d.id) >= (endpoints.name, 'waiting', 0)
         ORDER BY d.endpoint, d.state, d.id LIMIT 1) AS oldest,
        (SELECT CASE WHEN d.endpoint = endpoints.name AND d.state = 'sending' THEN d.id ELSE NULL END
         FROM dispatches AS d WHERE (d.endpoint, d.state, d.id) >= (endpoints.name, 'sending', 0)
         ORDER BY d.endpoint, d.state, d.id LIMIT 1) AS sending
    FROM endpoints ORDER BY name";

/// How endpoints stand.
pub(in super::super) async fn endpoints(conn: &mut Conn) -> Result<Vec<EndpointRow>, Fault> {
    let counts: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT endpoint, state, count FROM dispatch_counts")
            .fetch_all(&mut *conn)
            .await?;
    let rows = sqlx::query(ENDPOINTS).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            let count = |state: DispatchState| {
                counts
                    .iter()
                    .find(|(endpoint, of, _)| *endpoint == name && of == state.as_str())
                    .and_then(|(.., count)| u64::try_from(*count).ok())
                    .unwrap_or(0)
            };
            let paused_at: Option<i64> = row.try_get("paused_at")?;
            Ok(EndpointRow {
                is_paused: paused_at.is_some(),
                paused_because: row.try_get("paused_because")?,
                paused_by: row.try_get("paused_by")?,
                paused_at: paused_at.map(Timestamp::from_millis),
                health: row.try_get("health")?,
                told_failing_at: time(row, "told_failing_at")?,
                given_up_at: time(row, "given_up_at")?,
                waiting: count(DispatchState::Waiting),
                oldest_waiting: time(row, "oldest")?,
                is_sending: row.try_get::<Option<i64>, _>("sending")?.is_some(),
                problems: count(DispatchState::Problem),
                failed: count(DispatchState::Failed),
                name,
            })
        })
        .collect()
}

fn time(row: &DbRow, column: &str) -> Result<Option<Timestamp>, Fault> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

/// The endpoints that dispatches were made for.
pub(super) async fn endpoints_ever(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    Ok(sqlx::query_scalar(ENDPOINTS_EVER).fetch_all(conn).await?)
}

/// What a list is read from.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum From<'a> {
    /// The dispatches of the few notifications that are found by a name.
    Named(&'a str),
    /// An endpoint's dispatches in one state.
    List(&'a str, DispatchState),
    /// The same, the oldest first.
    Oldest(&'a str, DispatchState),
    /// The dispatches of one type of event.
    Event(&'a str),
    /// All of them.
    All,
}

/// The statement of a list.
pub(in super::super) fn question(filter: &DispatchFilter, from: From<'_>) -> QueryBuilder<Db> {
    let before = filter.before.unwrap_or(i64::MAX);
    let mut query = QueryBuilder::<Db>::new(COLUMNS);
    query.push(" FROM ");
    let order = match from {
        From::Named(name) => {
            query
                .push("dispatches AS d")
                .push(JOINED)
                .push(" d.id < ")
                .push_bind(before)
                .push(" AND d.notification_id ")
                .push(sql::AMONG.0)
                .push("SELECT f.id FROM notifications AS f WHERE f.notification = ")
                .push_bind(clean(name))
                .push(" UNION SELECT r.id FROM notifications AS r WHERE r.record = ")
                .push_bind(clean(name))
                .push(" UNION SELECT k.notification_id FROM notification_keys AS k WHERE k.key = ")
                .push_bind(clean(name))
                .push(sql::AMONG.1);
            " ORDER BY d.id DESC"
        }
        From::List(endpoint, state) | From::Oldest(endpoint, state) => {
            query.push(notices_sql::LISTED).push(JOINED);
            notices_sql::push_list(&mut query, &clean(endpoint), state.as_str(), (-1, before));
            if matches!(from, From::Oldest(..)) {
                notices_sql::LISTED_OLDEST
            } else {
                notices_sql::LISTED_NEWEST
            }
        }
        From::Event(event) => {
            query.push(notices_sql::OF_EVENT).push(JOINED);
            notices_sql::push_event(&mut query, &clean(event), before);
            notices_sql::OF_EVENT_NEWEST
        }
        From::All => {
            query
                .push("dispatches AS d")
                .push(JOINED)
                .push(" d.id < ")
                .push_bind(before);
            " ORDER BY d.id DESC"
        }
    };
    // What is not begun with is asked of each row: no index of it is to be taken.
    let is_list = matches!(from, From::List(..) | From::Oldest(..));
    if let (Some(endpoint), false) = (&filter.endpoint, is_list) {
        query.push(" AND d.endpoint || '' = ").push_bind(clean(endpoint));
    }
    if let (Some(state), false) = (filter.state, is_list) {
        query.push(" AND d.state || '' = ").push_bind(state.as_str());
    }
    if let (Some(event), false) = (&filter.event, matches!(from, From::Event(_))) {
        query.push(" AND d.event || '' = ").push_bind(clean(event));
    }
    if let Some(shop) = &filter.shop {
        query.push(" AND n.shop = ").push_bind(clean(shop));
    }
    if let Some(since) = filter.since {
        query.push(" AND d.created_at >= ").push_bind(since.millis());
    }
    if let Some(until) = filter.until {
        query.push(" AND d.created_at < ").push_bind(until.millis());
    }
    query
        .push(order)
        .push(" LIMIT ")
        .push_bind(i64::from(limit(filter)));
    query
}

fn limit(filter: &DispatchFilter) -> u32 {
    if filter.limit == 0 {
        DEFAULT_LIMIT
    } else {
        filter.limit
    }
}

/// Dispatches that fit, newest first.
pub(in super::super) async fn dispatches(
    conn: &mut Conn,
    filter: &DispatchFilter,
) -> Result<Vec<DispatchRow>, Fault> {
    if let Some(name) = &filter.search {
        return ask(conn, filter, From::Named(name)).await;
    }
    if filter.endpoint.is_none() && filter.state.is_none() {
        let from = filter.event.as_deref().map_or(From::All, From::Event);
        return ask(conn, filter, from).await;
    }
    let endpoints = match &filter.endpoint {
        Some(endpoint) => vec![endpoint.clone()],
        None => endpoints_ever(conn).await?,
    };
    let states: Vec<DispatchState> = filter
        .state
        .map_or_else(|| DispatchState::ALL.to_vec(), |state| vec![state]);
    let mut rows = Vec::new();
    for endpoint in &endpoints {
        for state in &states {
            rows.extend(ask(conn, filter, From::List(endpoint, *state)).await?);
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    rows.truncate(usize::try_from(limit(filter)).unwrap_or(usize::MAX));
    Ok(rows)
}

/// Dispatches of an endpoint that were tried, newest first: what ended last, and of what waits what was first in the line, since
/// of a backlog the newest was not tried yet.
pub(in super::super) async fn tried_dispatches(
    conn: &mut Conn,
    endpoint: &str,
    limit: u32,
) -> Result<Vec<DispatchRow>, Fault> {
    let filter = DispatchFilter {
        limit,
        ..DispatchFilter::default()
    };
    let mut rows = Vec::new();
    for state in DispatchState::ALL {
        let from = match state {
            DispatchState::Waiting => From::Oldest(endpoint, *state),
            _ => From::List(endpoint, *state),
        };
        rows.extend(ask(conn, &filter, from).await?);
    }
    rows.retain(|row| row.took_ms.is_some());
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(rows)
}

async fn ask(conn: &mut Conn, filter: &DispatchFilter, from: From<'_>) -> Result<Vec<DispatchRow>, Fault> {
    let rows = question(filter, from)
        .build()
        .persistent(false)
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

fn number<T: TryFrom<i64>>(row: &DbRow, column: &str) -> Result<Option<T>, Fault> {
    Ok(row
        .try_get::<Option<i64>, _>(column)?
        .and_then(|number| T::try_from(number).ok()))
}

fn read(row: &DbRow) -> Result<DispatchRow, Fault> {
    let id: i64 = row.try_get("id")?;
    Ok(DispatchRow {
        id,
        notification: row.try_get("notification")?,
        sequence: row.try_get("notification_id")?,
        endpoint: row.try_get("endpoint")?,
        event: row.try_get("event")?,
        shop: row.try_get("shop")?,
        object: row.try_get("object")?,
        record: row.try_get("record")?,
        state: row
            .try_get::<String, _>("state")?
            .parse()
            .map_err(|_| Fault::BadRow {
                table: "dispatches",
                row: id,
                column: "state",
            })?,
        tries: number(row, "tries")?.unwrap_or(u32::MAX),
        due_at: Timestamp::from_millis(row.try_get("due_at")?),
        failure: row.try_get("failure")?,
        sentence: row.try_get("sentence")?,
        status: number(row, "status")?,
        took_ms: number(row, "took_ms")?,
        ended_at: time(row, "ended_at")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
    })
}

/// One dispatch with its tries.
pub(in super::super) async fn dispatch(conn: &mut Conn, id: i64) -> Result<Option<DispatchStory>, Fault> {
    let mut query = QueryBuilder::<Db>::new(COLUMNS);
    query
        .push(", d.batch, n.body FROM dispatches AS d")
        .push(JOINED)
        .push(" d.id = ")
        .push_bind(id);
    let Some(found) = query.build().fetch_optional(&mut *conn).await? else {
        return Ok(None);
    };
    let tries = sqlx::query(
        "SELECT t.id, t.number, t.at, t.took_ms, t.failure, t.sentence, t.status, t.is_cut,
             coalesce(b.headers, t.headers) AS headers, coalesce(b.answer, t.answer) AS answer
         FROM dispatch_tries AS t LEFT JOIN dispatch_tries AS b ON b.dispatch_id = t.told_by AND b.at = t.at
         WHERE t.dispatch_id = $1 ORDER BY t.id",
    )
    .bind(id)
    .fetch_all(conn)
    .await?;
    Ok(Some(DispatchStory {
        row: read(&found)?,
        body: found.try_get("body")?,
        batch: found.try_get("batch")?,
        tries: tries.iter().map(read_try).collect::<Result<_, _>>()?,
    }))
}

fn read_try(row: &DbRow) -> Result<TryRow, Fault> {
    Ok(TryRow {
        number: number(row, "number")?.unwrap_or(u32::MAX),
        at: Timestamp::from_millis(row.try_get("at")?),
        took_ms: number(row, "took_ms")?.unwrap_or(u64::MAX),
        failure: row.try_get("failure")?,
        sentence: row.try_get("sentence")?,
        status: number(row, "status")?,
        headers: serde_json::from_str(&row.try_get::<String, _>("headers")?)?,
        answer: row.try_get("answer")?,
        is_cut: row.try_get::<i64, _>("is_cut")? != 0,
    })
}
