//! Events with their bodies, and the removal of what we store about a customer or a shop.

use sqlx::Row as _;

use super::{Conn, DbRow, alerts, drift, said, shops, sql};
use crate::domain::{Direction, EventId, JobId, Object, RecordKey, ShopName, Timestamp};
use crate::store::body::unpack;
use crate::store::fault::Fault;
use crate::store::prepared::Lanes;
use crate::store::rules::clean;
use crate::store::{EventRow, Lane};

/// What stands where a text was removed.
pub(super) const REMOVED: &str = "removed on a privacy request";

/// How many bodies are looked through at a time.
const PAGE: i64 = 200;

/// How many numbers one step of the removal of a whole shop covers.
pub(super) const STEP: i64 = 1000;

macro_rules! select {
    ($body:expr, $($rest:expr),+) => {
        concat!(
            "SELECT id, shop, topic, webhook_id, event_id, triggered_at, received_at, body_sha256, reason, body_codec, ",
            $body, " AS body FROM events ", $($rest),+
        )
    };
}

fn read(row: &DbRow) -> Result<EventRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "events",
        row: id,
        column,
    };
    let codec: String = row.try_get("body_codec")?;
    let body = row
        .try_get::<Option<Vec<u8>>, _>("body")?
        .map(|bytes| unpack(bytes, &codec).ok_or_else(|| bad("body")))
        .transpose()?;
    Ok(EventRow {
        id: EventId(id),
        shop: row
            .try_get::<String, _>("shop")?
            .parse()
            .map_err(|_| bad("shop"))?,
        topic: row.try_get("topic")?,
        webhook_id: row.try_get("webhook_id")?,
        event_id: row.try_get("event_id")?,
        triggered_at: row
            .try_get::<Option<i64>, _>("triggered_at")?
            .map(Timestamp::from_millis),
        received_at: Timestamp::from_millis(row.try_get("received_at")?),
        body_sha256: row.try_get("body_sha256")?,
        reason: row.try_get("reason")?,
        body,
    })
}

/// One event with its body.
pub(super) async fn event(conn: &mut Conn, id: EventId) -> Result<Option<EventRow>, Fault> {
    let row = sqlx::query(select!("body", "WHERE id = $1"))
        .bind(id.0)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The events of a job, oldest first.
pub(super) async fn of_job(conn: &mut Conn, job: JobId, with_bodies: bool) -> Result<Vec<EventRow>, Fault> {
    let query = if with_bodies {
        sqlx::query(select!("body", "WHERE job_id = $1 ORDER BY id"))
    } else {
        sqlx::query(select!(sql::no_body!(), "WHERE job_id = $1 ORDER BY id"))
    };
    let rows = query.bind(job.0).fetch_all(conn).await?;
    rows.iter().map(read).collect()
}

/// The jobs about a record.
async fn jobs_about(conn: &mut Conn, record: &RecordKey, lanes: &Lanes) -> Result<Vec<i64>, Fault> {
    let Some((lane_id, source_id)) = lanes.about(record) else {
        return Ok(Vec::new());
    };
    Ok(
        sqlx::query_scalar("SELECT id FROM jobs WHERE lane_id = $1 AND source_id = $2")
            .bind(lane_id)
            .bind(clean(&source_id))
            .fetch_all(conn)
            .await?,
    )
}

/// Removes the contents of these jobs: bodies of their events, names, and everything told about their attempts and
/// problems.
async fn blank_jobs(conn: &mut Conn, jobs: &[i64]) -> Result<u64, Fault> {
    if jobs.is_empty() {
        return Ok(0);
    }
    // People may have named the customer in their reasons. Who did what, and when, stays.
    let subjects: Vec<String> = jobs.iter().map(|job| format!("job:{job}")).collect();
    let subjects = serde_json::to_string(&subjects)?;
    let mut touched = said::blank(conn, jobs, &subjects, REMOVED).await?;
    touched += sqlx::query(concat!(
        "UPDATE audit SET reason = $2, detail = 'null' WHERE subject ",
        sql::in_texts!("$1")
    ))
    .bind(&subjects)
    .bind(REMOVED)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let jobs = serde_json::to_string(jobs)?;
    for statement in [
        concat!("DELETE FROM job_names WHERE job_id ", sql::in_array!("$1")),
        concat!(
            "UPDATE events SET body = NULL WHERE body IS NOT NULL AND job_id ",
            sql::in_array!("$1")
        ),
        concat!(
            "UPDATE jobs SET record_name = NULL, erp_name = NULL, last_summary = NULL WHERE id ",
            sql::in_array!("$1")
        ),
    ] {
        touched += sqlx::query(statement)
            .bind(&jobs)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    for statement in [
        concat!(
            "UPDATE attempts SET summary = $2, detail = 'null' WHERE job_id ",
            sql::in_array!("$1")
        ),
        concat!(
            "UPDATE problems SET record = NULL, reason = $2, fix = $2, cluster = code, detail = 'null' WHERE job_id ",
            sql::in_array!("$1")
        ),
    ] {
        touched += sqlx::query(statement)
            .bind(&jobs)
            .bind(REMOVED)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    Ok(touched)
}

/// Removes what is stored about these records and the bodies of these further events.
pub(super) async fn redact(
    conn: &mut Conn,
    shop: &ShopName,
    records: &[RecordKey],
    mentions: &[i64],
    lanes: &Lanes,
) -> Result<u64, Fault> {
    let mut touched = alerts::redact(conn, shop).await?;
    for record in records {
        touched += drift::redact(conn, record).await?;
        touched += shops::redact_record(conn, shop, record).await?;
        let mut jobs = jobs_about(conn, record, lanes).await?;
        let (back, marks) = way_back(conn, shop, record, lanes).await?;
        jobs.extend(back);
        touched += marks + blank_jobs(conn, &jobs).await?;
        touched += sqlx::query(
            "UPDATE links SET erp_name = NULL, agreed = CASE kind WHEN 'customer' THEN '{}' ELSE agreed END,
                agreed_out = CASE kind WHEN 'customer' THEN NULL ELSE agreed_out END
             WHERE shop = $1 AND kind = $2 AND source_id = $3",
        )
        .bind(shop.as_str())
        .bind(clean(&record.model))
        .bind(clean(&record.id))
        .execute(&mut *conn)
        .await?
        .rows_affected();
    }
    touched += sqlx::query(concat!(
        "UPDATE events SET body = NULL WHERE body IS NOT NULL AND id ",
        sql::in_array!("$1")
    ))
    .bind(serde_json::to_string(mentions)?)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(touched)
}

/// The jobs that carry the linked record of the ERP back to the shop: their stories have the values that were written there. The marks by
/// which it is to be carried over with care are emptied; says how many.
async fn way_back(
    conn: &mut Conn,
    shop: &ShopName,
    record: &RecordKey,
    lanes: &Lanes,
) -> Result<(Vec<i64>, u64), Fault> {
    let Ok(object) = record.model.parse::<Object>() else {
        return Ok((Vec::new(), 0));
    };
    let lane = lanes.id(&Lane {
        shop: shop.clone(),
        object,
        direction: Direction::Out,
    });
    let Some(lane_id) = lane else {
        return Ok((Vec::new(), 0));
    };
    let partners: Vec<i64> =
        sqlx::query_scalar("SELECT erp_id FROM links WHERE shop = $1 AND kind = $2 AND source_id = $3")
            .bind(shop.as_str())
            .bind(clean(&record.model))
            .bind(clean(&record.id))
            .fetch_all(&mut *conn)
            .await?;
    let (mut jobs, mut marks) = (Vec::new(), 0);
    for partner in partners {
        jobs.extend(
            sqlx::query_scalar::<_, i64>("SELECT id FROM jobs WHERE lane_id = $1 AND source_id = $2")
                .bind(lane_id)
                .bind(partner.to_string())
                .fetch_all(&mut *conn)
                .await?,
        );
        marks += sqlx::query("UPDATE cursors SET value = '' WHERE shop = $1 AND name = $2 AND value <> ''")
            .bind(shop.as_str())
            .bind(format!("resync:out:{object}:{partner}"))
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    Ok((jobs, marks))
}

/// The events that no record's job owns (only recorded ones, and ended notices about the shop itself) whose body names one
/// of these ids.
pub(super) async fn mentioning(
    conn: &mut Conn,
    shop: &ShopName,
    records: &[RecordKey],
    lanes: &Lanes,
) -> Result<Vec<i64>, Fault> {
    let mut found = Vec::new();
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let rows: Vec<(i64, i64, Vec<u8>, String)> = sqlx::query_as(
            "SELECT received_at, id, body, body_codec FROM events
             WHERE job_id IS NULL AND body IS NOT NULL AND shop = $1 AND (received_at, id) > ($2, $3)
             ORDER BY received_at, id LIMIT $4",
        )
        .bind(shop.as_str())
        .bind(after.0)
        .bind(after.1)
        .bind(PAGE)
        .fetch_all(&mut *conn)
        .await?;
        let Some((received_at, id, ..)) = rows.last() else {
            break;
        };
        after = (*received_at, *id);
        for (_, id, bytes, codec) in rows {
            if names_one(&bytes, &codec, records) {
                found.push(id);
            }
        }
    }
    // A notice that is still to be carried out needs its body: that goes with its success.
    let rows: Vec<(i64, Vec<u8>, String)> = sqlx::query_as(concat!(
        "SELECT e.id, e.body, e.body_codec FROM jobs AS j JOIN events AS e ON e.job_id = j.id
         WHERE j.ended_at IS NOT NULL AND e.body IS NOT NULL AND j.lane_id ",
        sql::in_array!("$1")
    ))
    .bind(notices(shop, lanes)?)
    .fetch_all(conn)
    .await?;
    for (id, bytes, codec) in rows {
        if names_one(&bytes, &codec, records) {
            found.push(id);
        }
    }
    Ok(found)
}

/// The lanes of the notices about the shop itself, as a JSON array.
fn notices(shop: &ShopName, lanes: &Lanes) -> Result<String, Fault> {
    let ids: Vec<i64> = lanes
        .of_shop(shop)
        .into_iter()
        .filter(|(_, lane)| lane.object == Object::Shop)
        .map(|(id, _)| id)
        .collect();
    Ok(serde_json::to_string(&ids)?)
}

fn names_one(bytes: &[u8], codec: &str, records: &[RecordKey]) -> bool {
    // A body that cannot be read may name anybody.
    unpack(bytes.to_vec(), codec).is_none_or(|body| records.iter().any(|record| names(&body, &record.id)))
}

/// Whether the id stands in the body as a number or word of its own.
pub(super) fn names(body: &[u8], id: &str) -> bool {
    let id = id.as_bytes();
    let is_inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    !id.is_empty()
        && body.windows(id.len()).enumerate().any(|(at, window)| {
            window == id
                && !is_inside(at.checked_sub(1).and_then(|before| body.get(before)))
                && !is_inside(body.get(at + id.len()))
        })
}

/// One step of the removal of everything of a shop: events and jobs with numbers after `after`, up to [`STEP`] of each.
/// Notices that are still to be carried out, the running one too, keep their bodies until their own success.
pub(super) async fn redact_shop_step(
    conn: &mut Conn,
    shop: &ShopName,
    after: i64,
    lanes: &Lanes,
) -> Result<u64, Fault> {
    let notices = notices(shop, lanes)?;
    let mut touched = sqlx::query(concat!(
        "UPDATE events SET body = NULL WHERE id > $2 AND id <= $3 AND shop = $1 AND body IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.id = events.job_id AND j.ended_at IS NULL AND j.lane_id ",
        sql::in_array!("$4"),
        ")"
    ))
    .bind(shop.as_str())
    .bind(after)
    .bind(after.saturating_add(STEP))
    .bind(&notices)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let ids: Vec<i64> = lanes.of_shop(shop).into_iter().map(|(id, _)| id).collect();
    let jobs: Vec<i64> = sqlx::query_scalar(concat!(
        "SELECT id FROM jobs WHERE id > $2 AND id <= $3 AND lane_id ",
        sql::in_array!("$1"),
        " AND NOT (ended_at IS NULL AND lane_id ",
        sql::in_array!("$4"),
        ")"
    ))
    .bind(serde_json::to_string(&ids)?)
    .bind(after)
    .bind(after.saturating_add(STEP))
    .bind(&notices)
    .fetch_all(&mut *conn)
    .await?;
    touched += blank_jobs(conn, &jobs).await?;
    Ok(touched)
}

/// The last step: links (after this kind and source id, up to [`STEP`]) and the shop's own problems. Returns the rows
/// touched and where to go on.
pub(super) async fn redact_shop_links(
    conn: &mut Conn,
    shop: &ShopName,
    after: &(String, String),
) -> Result<(u64, Option<(String, String)>), Fault> {
    let page: Vec<(String, String)> = sqlx::query_as(
        "SELECT kind, source_id FROM links WHERE shop = $1 AND (kind, source_id) > ($2, $3)
         ORDER BY kind, source_id LIMIT $4",
    )
    .bind(shop.as_str())
    .bind(&after.0)
    .bind(&after.1)
    .bind(STEP)
    .fetch_all(&mut *conn)
    .await?;
    let Some(last) = page.last().cloned() else {
        let mut touched = alerts::redact(conn, shop).await?;
        for statement in [
            "UPDATE problems SET record = NULL, reason = $2, detail = 'null' WHERE shop = $1 AND job_id IS NULL",
            "UPDATE audit SET reason = $2 WHERE shop = $1 AND reason IS NOT NULL",
        ] {
            touched += sqlx::query(statement)
                .bind(shop.as_str())
                .bind(REMOVED)
                .execute(&mut *conn)
                .await?
                .rows_affected();
        }
        touched += said::blank_shop(conn, shop, REMOVED).await?;
        touched += drift::redact_shop(conn, shop).await?;
        touched += shops::redact_records(conn, shop).await?;
        return Ok((touched, None));
    };
    let touched = sqlx::query(
        "UPDATE links SET erp_name = NULL, agreed = CASE kind WHEN 'customer' THEN '{}' ELSE agreed END,
                agreed_out = CASE kind WHEN 'customer' THEN NULL ELSE agreed_out END
         WHERE shop = $1 AND (kind, source_id) > ($2, $3) AND (kind, source_id) <= ($4, $5)",
    )
    .bind(shop.as_str())
    .bind(&after.0)
    .bind(&after.1)
    .bind(&last.0)
    .bind(&last.1)
    .execute(conn)
    .await?
    .rows_affected();
    Ok((touched, Some(last)))
}

/// The highest number among events and jobs.
pub(super) async fn highest(conn: &mut Conn) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce(max(top), 0) FROM (SELECT max(id) AS top FROM events UNION ALL SELECT max(id) FROM jobs) AS t",
    )
    .fetch_one(conn)
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_as_whole_words_only() {
        for (body, expected) in [
            (r#"{"id":207119551}"#, true),
            (r#"{"gid":"gid://shopify/Customer/207119551"}"#, true),
            (r#"{"id":1207119551}"#, false),
            (r#"{"id":2071195512}"#, false),
            ("207119551", true),
            ("", false),
        ] {
            assert_eq!(names(body.as_bytes(), "207119551"), expected, "{body}");
        }
        assert!(!names(b"anything", ""));
    }
}
