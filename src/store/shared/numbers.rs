//! Counts by hour, and looks back.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, DbRow, sql};
use crate::domain::{JobId, Object, ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::Standing;
use crate::store::{
    Finish, LATE_COUNTED, Lane, LateOrders, PastProblem, SlowJob, Tally, TallyFilter, TallyKind, Verdict,
    bound_ms, hour_of,
};

fn many(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Adds what the end of an attempt counts as.
pub(super) fn count_end(tallies: &mut Vec<Tally>, lane: &Lane, standing: &Standing, end: &Finish) {
    let kind = match &end.verdict {
        Verdict::Completed => TallyKind::Completed,
        Verdict::Obsolete { .. } => TallyKind::Obsolete,
        Verdict::Problem(_) => TallyKind::Failed,
        Verdict::Held(_) => TallyKind::Held,
        Verdict::Retry { .. } => TallyKind::Retried,
        Verdict::Wait { .. } | Verdict::Release => return,
    };
    let mut add = |kind, bound_ms| {
        tallies.push(Tally {
            hour: hour_of(end.ended_at),
            shop: lane.shop.clone(),
            lane: Some((lane.object, lane.direction)),
            kind,
            bound_ms,
            count: 1,
        });
    };
    add(kind, 0);
    if kind == TallyKind::Completed {
        let since = standing.triggered_at.unwrap_or(standing.wanted_since);
        let took = end.ended_at.since(Timestamp::from_millis(since));
        add(TallyKind::Took, bound_ms(took));
    }
}

/// Adds to the counts. Rows are taken in the order of their key, so that no two transactions wait for each other.
pub(super) async fn add(conn: &mut Conn, tallies: &[Tally]) -> Result<(), Fault> {
    let mut sums: BTreeMap<(i64, &str, &str, &str, &str, i64), u64> = BTreeMap::new();
    for tally in tallies {
        let (object, direction) = tally.lane.map_or(("", ""), |(object, direction)| {
            (object.as_str(), direction.as_str())
        });
        let key = (
            tally.hour.millis(),
            tally.shop.as_str(),
            object,
            direction,
            tally.kind.as_str(),
            many(tally.bound_ms),
        );
        *sums.entry(key).or_default() += tally.count;
    }
    if sums.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = sums
        .into_iter()
        .map(|((hour, shop, object, direction, kind, bound), count)| {
            json!([hour, shop, object, direction, kind, bound, many(count)])
        })
        .collect();
    sqlx::query(sql::TALLIES_ADD)
        .bind(serde_json::to_string(&rows)?)
        .execute(conn)
        .await?;
    Ok(())
}

/// The counts, oldest hour first.
pub(super) async fn list(conn: &mut Conn, filter: &TallyFilter) -> Result<Vec<Tally>, Fault> {
    let mut query = question(filter);
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    rows.iter().map(read).filter_map(Result::transpose).collect()
}

pub(super) fn question(filter: &TallyFilter) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT hour, shop, object, direction, kind, bound_ms, count FROM tallies WHERE hour >= ",
    );
    query.push_bind(filter.since.millis());
    query.push(" AND hour < ").push_bind(filter.until.millis());
    if let Some(shop) = &filter.shop {
        query.push(" AND shop = ").push_bind(shop.as_str().to_owned());
    }
    query.push(" ORDER BY hour, shop, object, direction, kind, bound_ms");
    query
}

/// None for a kind that this version does not know.
fn read(row: &DbRow) -> Result<Option<Tally>, Fault> {
    let hour: i64 = row.try_get("hour")?;
    let bad = |column| Fault::BadRow {
        table: "tallies",
        row: hour,
        column,
    };
    let Some(kind) = TallyKind::parse(&row.try_get::<String, _>("kind")?) else {
        return Ok(None);
    };
    let object: String = row.try_get("object")?;
    let direction: String = row.try_get("direction")?;
    let lane = if object.is_empty() {
        None
    } else {
        Some((
            object.parse().map_err(|_| bad("object"))?,
            direction.parse().map_err(|_| bad("direction"))?,
        ))
    };
    Ok(Some(Tally {
        hour: Timestamp::from_millis(hour),
        shop: row
            .try_get::<String, _>("shop")?
            .parse()
            .map_err(|_| bad("shop"))?,
        lane,
        kind,
        bound_ms: u64::try_from(row.try_get::<i64, _>("bound_ms")?).unwrap_or(0),
        count: u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or(0),
    }))
}

/// The late ones among the jobs in a state, oldest first.
macro_rules! late_in {
    ($state:literal, $name:literal) => {
        concat!(
            "SELECT * FROM (SELECT j.created_at, j.record_name, j.source_id FROM ",
            sql::open_since!(),
            " WHERE j.lane_id = $1 AND j.state = '",
            $state,
            "' AND j.ended_at IS NULL AND j.created_at < $2
              AND NOT EXISTS (SELECT 1 FROM links AS k WHERE k.shop = $3 AND k.kind = 'order'
                              AND k.source_id = j.source_id AND k.state <> 'retired')
             ORDER BY j.created_at LIMIT $4) AS ",
            $name
        )
    };
}

/// `$1`: lane, `$2`: before then, `$3`: its shop, `$4`: at most so many. What needs a person is told by its cause: one order
/// that nobody mends must not hide those that are late after it, and half a million of them are not read for it.
pub(super) const LATE: &str = concat!(
    "SELECT created_at, record_name, source_id FROM (",
    late_in!("available", "of_available"),
    " UNION ALL ",
    late_in!("scheduled", "of_scheduled"),
    " UNION ALL ",
    late_in!("retryable", "of_retryable"),
    " UNION ALL ",
    late_in!("running", "of_running"),
    ") AS late ORDER BY created_at LIMIT $4"
);

/// The orders of a lane that were first heard of before then, have no record yet and need no person.
pub(super) async fn late_orders(
    conn: &mut Conn,
    lanes: &[(i64, Lane)],
    before: Timestamp,
) -> Result<Vec<LateOrders>, Fault> {
    let mut late = Vec::new();
    for (id, lane) in lanes {
        if lane.object != Object::Order {
            continue;
        }
        let rows: Vec<(i64, Option<String>, String)> = sqlx::query_as(LATE)
            .bind(id)
            .bind(before.millis())
            .bind(lane.shop.as_str())
            .bind(many(LATE_COUNTED))
            .fetch_all(&mut *conn)
            .await?;
        let Some((oldest, name, source_id)) = rows.first() else {
            continue;
        };
        late.push(LateOrders {
            shop: lane.shop.clone(),
            count: rows.len() as u64,
            oldest: Timestamp::from_millis(*oldest),
            name: name.clone().unwrap_or_else(|| source_id.clone()),
        });
    }
    Ok(late)
}

/// The hours in which deliveries of the shop were taken, oldest first.
pub(super) async fn delivery_hours(
    conn: &mut Conn,
    shop: &ShopName,
    since: Timestamp,
) -> Result<Vec<Timestamp>, Fault> {
    let hours: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT hour FROM deliveries WHERE shop = $1 AND hour >= $2 AND accepted > 0 ORDER BY hour",
    )
    .bind(shop.as_str())
    .bind(since.millis())
    .fetch_all(conn)
    .await?;
    Ok(hours.into_iter().map(Timestamp::from_millis).collect())
}

/// The problems that were first seen in this time, newest first.
pub(super) async fn past_problems(
    conn: &mut Conn,
    filter: &TallyFilter,
    limit: u32,
) -> Result<Vec<PastProblem>, Fault> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT p.id, p.shop, p.job_id, j.state, p.code, p.cluster, p.record, p.reason, p.owner, p.opened_at, p.closed_at
         FROM problems AS p LEFT JOIN jobs AS j ON j.id = p.job_id WHERE p.opened_at >= ",
    );
    query.push_bind(filter.since.millis());
    query.push(" AND p.opened_at < ").push_bind(filter.until.millis());
    if let Some(shop) = &filter.shop {
        query.push(" AND p.shop = ").push_bind(shop.as_str().to_owned());
    }
    query
        .push(" ORDER BY p.opened_at DESC, p.id DESC LIMIT ")
        .push_bind(i64::from(limit));
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    rows.iter().map(read_past).collect()
}

fn read_past(row: &DbRow) -> Result<PastProblem, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "problems",
        row: id,
        column,
    };
    Ok(PastProblem {
        shop: row
            .try_get::<String, _>("shop")?
            .parse()
            .map_err(|_| bad("shop"))?,
        job: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
        state: row
            .try_get::<Option<String>, _>("state")?
            .map(|state| state.parse().map_err(|_| bad("state")))
            .transpose()?,
        code: row.try_get("code")?,
        cluster: row.try_get("cluster")?,
        record: row.try_get("record")?,
        reason: row.try_get("reason")?,
        owner: row.try_get("owner")?,
        opened_at: Timestamp::from_millis(row.try_get("opened_at")?),
        closed_at: row
            .try_get::<Option<i64>, _>("closed_at")?
            .map(Timestamp::from_millis),
    })
}

/// The completed jobs of this time that took longest, the slowest first.
pub(super) async fn slowest(
    conn: &mut Conn,
    filter: &TallyFilter,
    limit: u32,
) -> Result<Vec<SlowJob>, Fault> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT j.id, l.shop, l.object, l.direction, j.record_name, j.wanted_since, j.ended_at, j.attempts,
                j.ended_at - coalesce(j.triggered_at, j.wanted_since) AS took
         FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.state = 'completed' AND j.ended_at >= ",
    );
    query.push_bind(filter.since.millis());
    query.push(" AND j.ended_at < ").push_bind(filter.until.millis());
    if let Some(shop) = &filter.shop {
        query.push(" AND l.shop = ").push_bind(shop.as_str().to_owned());
    }
    query
        .push(" ORDER BY took DESC, j.id LIMIT ")
        .push_bind(i64::from(limit));
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let id: i64 = row.try_get("id")?;
            let bad = |column| Fault::BadRow {
                table: "jobs",
                row: id,
                column,
            };
            let text = |column| row.try_get::<String, _>(column);
            Ok(SlowJob {
                job: JobId(id),
                shop: text("shop")?.parse().map_err(|_| bad("shop"))?,
                object: text("object")?.parse().map_err(|_| bad("object"))?,
                direction: text("direction")?.parse().map_err(|_| bad("direction"))?,
                record: row.try_get("record_name")?,
                took_ms: u64::try_from(row.try_get::<i64, _>("took")?).unwrap_or(0),
                asked_at: Timestamp::from_millis(row.try_get("wanted_since")?),
                ended_at: Timestamp::from_millis(row.try_get("ended_at")?),
                attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).map_err(|_| bad("attempts"))?,
            })
        })
        .collect()
}
