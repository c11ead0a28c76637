//! What full runs found.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::Row as _;

use super::{Conn, DbRow};
use crate::domain::{
    Direction, DriftClass, DriftFate, ErpId, JobId, Object, RecordKey, ShopName, System, Timestamp,
};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{Correction, CorrectionCount, DriftFilter, DriftReport, DriftReportFilter, DriftRow};

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn optional(text: Option<&str>) -> Option<String> {
    text.map(clean)
}

fn shown<T: Display>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Keeps rows; one of the same place is replaced.
pub(super) async fn save(conn: &mut Conn, run: i64, rows: &[DriftRow]) -> Result<(), Fault> {
    for row in rows {
        sqlx::query(
            "INSERT INTO drift (run_id, position, shop, object, class, fate, source_id, erp_id, model, name, field,
                 shopify, erp, why, direction, job_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT (run_id, position) DO UPDATE SET
                 shop = excluded.shop, object = excluded.object, class = excluded.class, fate = excluded.fate,
                 source_id = excluded.source_id, erp_id = excluded.erp_id, model = excluded.model,
                 name = excluded.name, field = excluded.field, shopify = excluded.shopify, erp = excluded.erp,
                 why = excluded.why, direction = excluded.direction, job_id = excluded.job_id",
        )
        .bind(run)
        .bind(number(row.position))
        .bind(row.shop.as_str())
        .bind(row.object.as_str())
        .bind(row.class.as_str())
        .bind(row.fate.as_str())
        .bind(shown(row.source_id))
        .bind(row.erp_id.map(|id| id.0))
        .bind(optional(row.model.as_deref()))
        .bind(optional(row.name.as_deref()))
        .bind(optional(row.field.as_deref()))
        .bind(optional(row.shopify.as_deref()))
        .bind(optional(row.erp.as_deref()))
        .bind(optional(row.why.as_deref()))
        .bind(row.direction.map(Direction::as_str))
        .bind(row.job.map(|job| job.0))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Keeps a run's counts.
pub(super) async fn save_report(conn: &mut Conn, report: &DriftReport) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO drift_reports (run_id, shop, object, kind, dry_run, body) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (run_id) DO UPDATE SET dry_run = excluded.dry_run, kind = excluded.kind, body = excluded.body",
    )
    .bind(report.run)
    .bind(report.shop.as_str())
    .bind(report.object.as_str())
    .bind(report.kind.as_str())
    .bind(i64::from(report.dry_run))
    .bind(clean(&serde_json::to_string(report)?))
    .execute(conn)
    .await?;
    Ok(())
}

/// Reports of runs that ended well.
pub(super) async fn reports(
    conn: &mut Conn,
    filter: &DriftReportFilter,
    limit: u32,
) -> Result<Vec<DriftReport>, Fault> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT d.run_id, d.body FROM drift_reports AS d JOIN runs AS r ON r.id = d.run_id
         WHERE r.outcome = 'done'
           AND ($1 = 0 OR d.run_id = $1)
           AND ($2 = '' OR d.shop = $2)
           AND ($3 = '' OR d.object = $3)
           AND ($4 = 0 OR (d.dry_run = 0 AND NOT EXISTS (
               SELECT 1 FROM drift_reports AS n JOIN runs AS m ON m.id = n.run_id
               WHERE n.shop = d.shop AND n.object = d.object AND n.kind = d.kind AND n.dry_run = 0
                 AND n.run_id > d.run_id AND m.outcome = 'done')))
         ORDER BY d.run_id DESC LIMIT $5",
    )
    .bind(filter.run.unwrap_or_default())
    .bind(filter.shop.as_ref().map_or("", ShopName::as_str))
    .bind(filter.object.map_or("", Object::as_str))
    .bind(i64::from(filter.latest))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(run, body)| {
            serde_json::from_str(&body).map_err(|_| Fault::BadRow {
                table: "drift_reports",
                row: run,
                column: "body",
            })
        })
        .collect()
}

/// What a run found, in its order.
pub(super) async fn rows(
    conn: &mut Conn,
    run: i64,
    filter: &DriftFilter,
    limit: u32,
) -> Result<Vec<DriftRow>, Fault> {
    let rows = sqlx::query(
        "SELECT position, shop, object, class, fate, source_id, erp_id, model, name, field, shopify, erp, why,
             direction, job_id
         FROM drift WHERE run_id = $1 AND position >= $2 AND ($3 = '' OR class = $3) AND ($4 = '' OR fate = $4)
         ORDER BY position LIMIT $5",
    )
    .bind(run)
    .bind(number(filter.from))
    .bind(filter.class.map_or("", DriftClass::as_str))
    .bind(filter.fate.map_or("", DriftFate::as_str))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read(row, run)).collect()
}

fn parsed<T: FromStr>(text: Option<String>, bad: Fault) -> Result<Option<T>, Fault> {
    match text.map(|text| text.parse()) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(bad),
    }
}

fn read(row: &DbRow, run: i64) -> Result<DriftRow, Fault> {
    let bad = |column| Fault::BadRow {
        table: "drift",
        row: run,
        column,
    };
    let text = |column| row.try_get::<Option<String>, _>(column);
    let position: i64 = row.try_get("position")?;
    Ok(DriftRow {
        position: u64::try_from(position).map_err(|_| bad("position"))?,
        shop: parsed(text("shop")?, bad("shop"))?.ok_or(bad("shop"))?,
        object: parsed(text("object")?, bad("object"))?.ok_or(bad("object"))?,
        class: parsed(text("class")?, bad("class"))?.ok_or(bad("class"))?,
        fate: parsed(text("fate")?, bad("fate"))?.ok_or(bad("fate"))?,
        source_id: parsed(text("source_id")?, bad("source_id"))?,
        erp_id: row.try_get::<Option<i64>, _>("erp_id")?.map(ErpId),
        model: text("model")?,
        name: text("name")?,
        field: text("field")?,
        shopify: text("shopify")?,
        erp: text("erp")?,
        why: text("why")?,
        direction: parsed(text("direction")?, bad("direction"))?,
        job: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
    })
}

/// Counts values that people put in place of what was written, each once. Returns how many were not known.
pub(super) async fn count_corrections(
    conn: &mut Conn,
    corrections: &[Correction],
    now: Timestamp,
) -> Result<u64, Fault> {
    let mut new = 0;
    for correction in corrections {
        new += sqlx::query(
            "INSERT INTO corrections (shop, object, source_id, field, value, mapping, found_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (shop, object, source_id, field, value) DO NOTHING",
        )
        .bind(correction.shop.as_str())
        .bind(correction.object.as_str())
        .bind(correction.source_id.to_string())
        .bind(clean(&correction.field))
        .bind(clean(&correction.value))
        .bind(clean(&correction.mapping))
        .bind(now.millis())
        .execute(&mut *conn)
        .await?
        .rows_affected();
    }
    Ok(new)
}

/// How many of them were found since then.
pub(super) async fn corrections(conn: &mut Conn, since: Timestamp) -> Result<Vec<CorrectionCount>, Fault> {
    let rows: Vec<(String, String, String, String, i64)> = sqlx::query_as(
        "SELECT shop, object, field, mapping, COUNT(*) FROM corrections WHERE found_at >= $1
         GROUP BY shop, object, field, mapping ORDER BY COUNT(*) DESC, shop, object, field, mapping",
    )
    .bind(since.millis())
    .fetch_all(conn)
    .await?;
    let bad = |column| Fault::BadRow {
        table: "corrections",
        row: 0,
        column,
    };
    rows.into_iter()
        .map(|(shop, object, field, mapping, count)| {
            Ok(CorrectionCount {
                shop: shop.parse().map_err(|_| bad("shop"))?,
                object: object.parse().map_err(|_| bad("object"))?,
                field,
                mapping,
                count: u64::try_from(count).unwrap_or_default(),
            })
        })
        .collect()
}

/// Blanks what reports quote of a record of the shop.
pub(super) async fn redact(conn: &mut Conn, record: &RecordKey) -> Result<u64, Fault> {
    if record.system != System::Shopify {
        return Ok(0);
    }
    let touched = sqlx::query(
        "UPDATE drift SET name = NULL, shopify = NULL, erp = NULL
         WHERE shop = $1 AND object = $2 AND source_id = $3
           AND (name IS NOT NULL OR shopify IS NOT NULL OR erp IS NOT NULL)",
    )
    .bind(record.shop.as_str())
    .bind(clean(&record.model))
    .bind(clean(&record.id))
    .execute(conn)
    .await?;
    Ok(touched.rows_affected())
}

/// The same of a whole shop.
pub(super) async fn redact_shop(conn: &mut Conn, shop: &ShopName) -> Result<u64, Fault> {
    let touched = sqlx::query(
        "UPDATE drift SET name = NULL, shopify = NULL, erp = NULL
         WHERE shop = $1 AND (name IS NOT NULL OR shopify IS NOT NULL OR erp IS NOT NULL)",
    )
    .bind(shop.as_str())
    .execute(conn)
    .await?;
    Ok(touched.rows_affected())
}
