//! Our webhook subscriptions, and what arrives through them.

use super::{Conn, DbRow, notices};
use crate::domain::{ShopName, ShopifyId, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{DeliveryCount, DeliverySum, SubscriptionRow, Word};
use sqlx::Row as _;

fn number(id: ShopifyId) -> i64 {
    // Shopify's numbers are 63 bits long at most.
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

/// The shop's subscriptions, those that stand no more included.
pub(super) async fn of_shop(conn: &mut Conn, shop: &ShopName) -> Result<Vec<SubscriptionRow>, Fault> {
    let rows: Vec<DbRow> = sqlx::query(
        "SELECT id, topic, uri, name, created_at, seen_at, removed_at FROM subscriptions WHERE shop = $1
         ORDER BY topic, id",
    )
    .bind(shop.as_str())
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let time = |name| row.try_get::<i64, _>(name).map(Timestamp::from_millis);
            let id: i64 = row.try_get("id")?;
            Ok(SubscriptionRow {
                shop: shop.clone(),
                id: ShopifyId(u64::try_from(id).map_err(|_| Fault::BadRow {
                    table: "subscriptions",
                    row: id,
                    column: "id",
                })?),
                topic: row.try_get("topic")?,
                uri: row.try_get("uri")?,
                name: row.try_get("name")?,
                created_at: time("created_at")?,
                seen_at: time("seen_at")?,
                removed_at: row
                    .try_get::<Option<i64>, _>("removed_at")?
                    .map(Timestamp::from_millis),
            })
        })
        .collect()
}

/// The shops that have subscriptions which stand.
pub(super) async fn shops(conn: &mut Conn) -> Result<Vec<ShopName>, Fault> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT shop FROM subscriptions WHERE removed_at IS NULL ORDER BY shop")
            .fetch_all(conn)
            .await?;
    names
        .into_iter()
        .map(|name| {
            name.parse().map_err(|_| Fault::BadRow {
                table: "subscriptions",
                row: 0,
                column: "shop",
            })
        })
        .collect()
}

/// What is known of one shop's subscriptions, and what may have been missed for want of them, is another's from now on. Where
/// both know the same, the second is right; of two gaps of one object it becomes one that is as wide as both.
pub(super) async fn rename(conn: &mut Conn, from: &ShopName, to: &ShopName) -> Result<(), Fault> {
    for statement in [
        "UPDATE subscriptions SET shop = $2 WHERE shop = $1 AND NOT EXISTS
             (SELECT 1 FROM subscriptions AS other WHERE other.shop = $2 AND other.id = subscriptions.id)",
        "UPDATE deliveries SET shop = $2 WHERE shop = $1 AND NOT EXISTS
             (SELECT 1 FROM deliveries AS other WHERE other.shop = $2 AND other.topic = deliveries.topic
                 AND other.name = deliveries.name AND other.hour = deliveries.hour)",
        "DELETE FROM subscriptions WHERE shop = $1 AND shop <> $2",
        "UPDATE gaps SET
             since = (SELECT CASE WHEN old.since < gaps.since THEN old.since ELSE gaps.since END FROM gaps AS old
                 WHERE old.shop = $1 AND old.object = gaps.object AND old.closed_at IS NULL),
             stood_at = (SELECT CASE WHEN old.stood_at > gaps.stood_at THEN old.stood_at ELSE gaps.stood_at END
                 FROM gaps AS old WHERE old.shop = $1 AND old.object = gaps.object AND old.closed_at IS NULL)
         WHERE shop = $2 AND closed_at IS NULL AND EXISTS (SELECT 1 FROM gaps AS old
             WHERE old.shop = $1 AND old.object = gaps.object AND old.closed_at IS NULL)",
        "UPDATE gaps SET shop = $2 WHERE shop = $1 AND closed_at IS NULL AND NOT EXISTS
             (SELECT 1 FROM gaps AS other WHERE other.shop = $2 AND other.object = gaps.object
                 AND other.closed_at IS NULL)",
        "DELETE FROM gaps WHERE shop = $1 AND shop <> $2 AND closed_at IS NULL",
    ] {
        sqlx::query(statement)
            .bind(from.as_str())
            .bind(to.as_str())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Notes one that stands, new or known. Those of the same topic that stand no more are forgotten.
pub(super) async fn save(conn: &mut Conn, row: &SubscriptionRow, word: Option<&Word>) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO subscriptions (shop, id, topic, uri, name, created_at, seen_at, removed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (shop, id) DO UPDATE SET topic = excluded.topic, uri = excluded.uri, name = excluded.name,
             created_at = excluded.created_at, seen_at = excluded.seen_at, removed_at = excluded.removed_at",
    )
    .bind(row.shop.as_str())
    .bind(number(row.id))
    .bind(clean(&row.topic))
    .bind(clean(&row.uri))
    .bind(row.name.as_deref().map(clean))
    .bind(row.created_at.millis())
    .bind(row.seen_at.millis())
    .bind(row.removed_at.map(Timestamp::millis))
    .execute(&mut *conn)
    .await?;
    tell(conn, word).await?;
    forget_others(conn, &row.shop, row.id).await
}

async fn tell(conn: &mut Conn, word: Option<&Word>) -> Result<(), Fault> {
    match word {
        Some(word) => notices::add(conn, &[(&word.body, word.at)]).await,
        None => Ok(()),
    }
}

/// Notes that it stands no more, since then.
pub(super) async fn remove(
    conn: &mut Conn,
    shop: &ShopName,
    id: ShopifyId,
    at: Timestamp,
    word: Option<&Word>,
) -> Result<(), Fault> {
    let removed = sqlx::query(
        "UPDATE subscriptions SET removed_at = $3 WHERE shop = $1 AND id = $2 AND removed_at IS NULL",
    )
    .bind(shop.as_str())
    .bind(number(id))
    .bind(at.millis())
    .execute(&mut *conn)
    .await?;
    if removed.rows_affected() > 0 {
        tell(conn, word).await?;
    }
    forget_others(conn, shop, id).await?;
    // Where another one of the topic stands, this one's end is of no interest.
    sqlx::query(
        "DELETE FROM subscriptions WHERE shop = $1 AND id = $2 AND removed_at IS NOT NULL AND EXISTS
             (SELECT 1 FROM subscriptions AS other WHERE other.shop = $1 AND other.topic = subscriptions.topic
                 AND other.removed_at IS NULL)",
    )
    .bind(shop.as_str())
    .bind(number(id))
    .execute(&mut *conn)
    .await?;
    Ok(())
}

async fn forget_others(conn: &mut Conn, shop: &ShopName, id: ShopifyId) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM subscriptions WHERE shop = $1 AND id <> $2 AND removed_at IS NOT NULL
             AND topic = (SELECT topic FROM subscriptions WHERE shop = $1 AND id = $2)",
    )
    .bind(shop.as_str())
    .bind(number(id))
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Notes that these stand as they are wanted.
pub(super) async fn saw(
    conn: &mut Conn,
    shop: &ShopName,
    ids: &[ShopifyId],
    now: Timestamp,
) -> Result<(), Fault> {
    for id in ids {
        sqlx::query(
            "UPDATE subscriptions SET seen_at = $3 WHERE shop = $1 AND id = $2 AND removed_at IS NULL",
        )
        .bind(shop.as_str())
        .bind(number(*id))
        .bind(now.millis())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Adds counts of deliveries.
pub(super) async fn count(conn: &mut Conn, counts: &[DeliveryCount]) -> Result<(), Fault> {
    let many = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for count in counts {
        sqlx::query(
            "INSERT INTO deliveries (shop, topic, name, hour, accepted, failed, last_at, last_accepted_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (shop, topic, name, hour) DO UPDATE SET
                 accepted = deliveries.accepted + excluded.accepted, failed = deliveries.failed + excluded.failed,
                 last_at = CASE WHEN excluded.last_at > deliveries.last_at
                     THEN excluded.last_at ELSE deliveries.last_at END,
                 last_accepted_at = CASE WHEN deliveries.last_accepted_at IS NULL
                         OR excluded.last_accepted_at > deliveries.last_accepted_at
                     THEN excluded.last_accepted_at ELSE deliveries.last_accepted_at END",
        )
        .bind(count.shop.as_str())
        .bind(clean(&count.topic))
        .bind(clean(&count.name))
        .bind(count.hour.millis())
        .bind(many(count.accepted))
        .bind(many(count.failed))
        .bind(count.last_at.millis())
        .bind(count.last_accepted_at.map(Timestamp::millis))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The shop's deliveries by topic and name: counts of the hours since then, and the last of all that are known.
pub(super) async fn deliveries(
    conn: &mut Conn,
    shop: &ShopName,
    since: Timestamp,
) -> Result<Vec<DeliverySum>, Fault> {
    let rows: Vec<(String, String, i64, i64, i64, Option<i64>)> = sqlx::query_as(
        "SELECT topic, name,
             CAST(sum(CASE WHEN hour >= $2 THEN accepted ELSE 0 END) AS BIGINT),
             CAST(sum(CASE WHEN hour >= $2 THEN failed ELSE 0 END) AS BIGINT),
             max(last_at), max(last_accepted_at)
         FROM deliveries WHERE shop = $1 GROUP BY topic, name ORDER BY topic, name",
    )
    .bind(shop.as_str())
    .bind(since.millis())
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(
            |(topic, name, accepted, failed, last_at, last_accepted_at)| DeliverySum {
                topic,
                name,
                accepted: u64::try_from(accepted).unwrap_or(0),
                failed: u64::try_from(failed).unwrap_or(0),
                last_at: Timestamp::from_millis(last_at),
                last_accepted_at: last_accepted_at.map(Timestamp::from_millis),
            },
        )
        .collect())
}
