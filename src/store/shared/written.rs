//! Which revision of the mappings wrote what. Triggers keep the rows beside the stories of attempts.

use super::Conn;
use crate::domain::{ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{WrittenFilter, WrittenRecord};

/// The revisions that wrote records of a shop, in their order. Each is looked up by itself, so that it costs as much as there are
/// revisions, and not as much as they wrote.
pub(super) async fn mappings(conn: &mut Conn, shop: &ShopName) -> Result<Vec<String>, Fault> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let next: Option<String> = sqlx::query_scalar(
            "SELECT mapping FROM written WHERE shop = $1 AND mapping > $2 ORDER BY mapping LIMIT 1",
        )
        .bind(shop.as_str())
        .bind(found.last().map_or("", String::as_str))
        .fetch_optional(&mut *conn)
        .await?;
        match next {
            Some(mapping) => found.push(mapping),
            None => return Ok(found),
        }
    }
}

/// Records that a revision wrote, in their order, at most `limit`.
pub(super) async fn records(
    conn: &mut Conn,
    filter: &WrittenFilter,
    limit: u32,
) -> Result<Vec<WrittenRecord>, Fault> {
    let after = filter.after.as_ref();
    let after = after.map(|(direction, object, id)| (direction.as_str(), object.as_str(), id.as_str()));
    let (direction, object, source_id) = after.unwrap_or_default();
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT direction, object, source_id FROM written
         WHERE shop = $1 AND mapping = $2 AND (direction, object, source_id) > ($3, $4, $5) AND ($6 = '' OR object = $6)
           AND ($7 = '' OR object <> $7)
         GROUP BY direction, object, source_id ORDER BY direction, object, source_id LIMIT $8",
    )
    .bind(filter.shop.as_str())
    .bind(clean(&filter.mapping))
    .bind(direction)
    .bind(object)
    .bind(clean(source_id))
    .bind(filter.object.map_or("", |object| object.as_str()))
    .bind(filter.except.map_or("", |object| object.as_str()))
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    let most = filter.stories as usize;
    let mut records = Vec::with_capacity(rows.len());
    for (direction, object, source_id) in rows {
        let bad = |column| Fault::BadRow {
            table: "written",
            row: 0,
            column,
        };
        let stories: Vec<(i64, String)> = sqlx::query_as(
            "SELECT a.started_at, a.detail FROM written AS w JOIN attempts AS a ON a.id = w.attempt_id
             WHERE w.shop = $1 AND w.mapping = $2 AND w.direction = $3 AND w.object = $4 AND w.source_id = $5
             ORDER BY a.started_at DESC, a.id DESC LIMIT $6",
        )
        .bind(filter.shop.as_str())
        .bind(clean(&filter.mapping))
        .bind(&direction)
        .bind(&object)
        .bind(&source_id)
        .bind(i64::from(filter.stories) + 1)
        .fetch_all(&mut *conn)
        .await?;
        let has_older = stories.len() > most;
        let mut told = Vec::with_capacity(stories.len());
        for (at, story) in stories.into_iter().take(most) {
            told.push((Timestamp::from_millis(at), serde_json::from_str(&story)?));
        }
        records.push(WrittenRecord {
            direction: direction.parse().map_err(|_| bad("direction"))?,
            object: object.parse().map_err(|_| bad("object"))?,
            source_id,
            stories: told,
            has_older,
        });
    }
    Ok(records)
}

/// How many records a revision wrote, wherever [`WrittenFilter::after`] stands. Their stories are not read.
pub(super) async fn count(conn: &mut Conn, filter: &WrittenFilter) -> Result<u64, Fault> {
    let count: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (
             SELECT DISTINCT direction, object, source_id FROM written
             WHERE shop = $1 AND mapping = $2 AND ($3 = '' OR object = $3) AND ($4 = '' OR object <> $4)
         ) AS found",
    )
    .bind(filter.shop.as_str())
    .bind(clean(&filter.mapping))
    .bind(filter.object.map_or("", |object| object.as_str()))
    .bind(filter.except.map_or("", |object| object.as_str()))
    .fetch_one(&mut *conn)
    .await?;
    Ok(u64::try_from(count).unwrap_or_default())
}
