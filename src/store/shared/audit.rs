//! The audit log: what people did.

use serde_json::Value;
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, DbRow, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{Act, ActionCount, AuditFilter, AuditRow};

/// How many rows are listed where nobody says so.
const DEFAULT_LIMIT: u32 = 50;

/// How many rows are asked for.
pub(super) fn limit(asked: u32) -> i64 {
    i64::from(if asked == 0 { DEFAULT_LIMIT } else { asked })
}

/// Writes a line.
pub(super) async fn write(
    conn: &mut Conn,
    act: &Act,
    action: &str,
    shop: Option<String>,
    subject: &str,
    detail: &Value,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO audit (at, actor, via, action, shop, subject, reason, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(act.at.millis())
    .bind(clean(&act.actor.name))
    .bind(act.actor.via.as_str())
    .bind(action)
    .bind(shop)
    .bind(clean(subject))
    .bind(act.reason.as_deref().map(clean))
    .bind(detail.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Lines of the audit log, newest first.
pub(super) async fn list(conn: &mut Conn, filter: &AuditFilter) -> Result<Vec<AuditRow>, Fault> {
    let mut query = question(filter);
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    rows.iter().map(read_audit).collect()
}

pub(super) fn question(filter: &AuditFilter) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT id, at, actor, via, action, shop, subject, reason, detail FROM audit WHERE true",
    );
    if let Some(subject) = &filter.subject {
        query.push(" AND subject = ").push_bind(clean(subject));
    }
    if let Some(shop) = &filter.shop {
        // Few lines are about one subject: there the index of shops is of no use.
        let of = if filter.subject.is_some() {
            " AND coalesce(shop, '') = "
        } else {
            " AND shop = "
        };
        query.push(of).push_bind(shop.as_str().to_owned());
    }
    if let Some(action) = &filter.action {
        query.push(" AND action = ").push_bind(clean(action));
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(clean(actor));
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since.millis());
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before);
    }
    query
        .push(" ORDER BY id DESC LIMIT ")
        .push_bind(limit(filter.limit));
    query
}

fn read_audit(row: &DbRow) -> Result<AuditRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "audit",
        row: id,
        column,
    };
    Ok(AuditRow {
        id,
        at: Timestamp::from_millis(row.try_get("at")?),
        actor: row.try_get("actor")?,
        via: row.try_get::<String, _>("via")?.parse().map_err(|_| bad("via"))?,
        action: row.try_get("action")?,
        shop: row
            .try_get::<Option<String>, _>("shop")?
            .map(|shop| shop.parse().map_err(|_| bad("shop")))
            .transpose()?,
        subject: row.try_get("subject")?,
        reason: row.try_get("reason")?,
        detail: serde_json::from_str(&row.try_get::<String, _>("detail")?).map_err(|_| bad("detail"))?,
    })
}

/// Of the whole log they are counted in their own order, of a part of it by reading that part.
pub(super) fn counts_question(since: Timestamp) -> QueryBuilder<Db> {
    let from = if since.millis() > 0 {
        sql::AUDIT_LATELY
    } else {
        "audit"
    };
    let mut query = QueryBuilder::<Db>::new("SELECT action, shop, count(*) FROM ");
    query
        .push(from)
        .push(" WHERE at >= ")
        .push_bind(since.millis())
        .push(" GROUP BY action, shop ORDER BY action, shop");
    query
}

/// How often each action was done since then, by shop.
pub(super) async fn action_counts(conn: &mut Conn, since: Timestamp) -> Result<Vec<ActionCount>, Fault> {
    let rows = counts_question(since).build().fetch_all(conn).await?;
    let rows: Vec<(String, Option<String>, i64)> = rows
        .iter()
        .map(sqlx::FromRow::from_row)
        .collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .map(|(action, shop, count)| ActionCount {
            action,
            shop: shop.and_then(|shop| shop.parse().ok()),
            count: u64::try_from(count).unwrap_or_default(),
        })
        .collect())
}
