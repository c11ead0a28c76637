//! Imports and their jobs.

use serde_json::json;
use sqlx::Row as _;

use super::intake::{self, Want, Wants};
use super::{Conn, DbRow, audit, notices, sql};
use crate::domain::{Actor, Fence, JobId, JobState, Priority, ShopifyId, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::{clean, millis};
use crate::store::{
    Act, Action, ImportAct, ImportCounts, ImportEffect, ImportFed, ImportPage, ImportRow, ImportsBegun,
    NewImport,
};

/// How many jobs of an import may be open at all, those that rest until they are tried again included. Without a bound an
/// ERP that is down would make a job of every record.
const MOST_OPEN: u64 = 500;

const COLUMNS: &str =
    "id, shop, object, since, until, actor, state, cursor, pending, is_listed, listed, error, warning,
    started_at, ended_at, counts";

/// A line of the audit log.
async fn noted(
    conn: &mut Conn,
    actor: &Actor,
    at: Timestamp,
    action: &str,
    shop: &str,
    import: i64,
    detail: serde_json::Value,
) -> Result<(), Fault> {
    let act = Act {
        actor: actor.clone(),
        reason: None,
        at,
        // Only who, when and why of an act are written.
        action: Action::Release { job: JobId(0) },
    };
    let subject = format!("import:{import}");
    audit::write(conn, &act, action, Some(shop.to_owned()), &subject, &detail).await
}

/// Begins imports, all or none. One that was stopped makes room.
pub(super) async fn begin(
    conn: &mut Conn,
    imports: &[NewImport],
    actor: &Actor,
    now: Timestamp,
) -> Result<ImportsBegun, Fault> {
    for new in imports {
        let open: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM imports WHERE shop = $1 AND object = $2 AND ended_at IS NULL AND state = 'running'",
        )
        .bind(new.shop.as_str())
        .bind(new.object.as_str())
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(id) = open
            && let Some(row) = one(&mut *conn, id).await?
        {
            return Ok(ImportsBegun::UnderWay(Box::new(row)));
        }
    }
    let mut begun = Vec::with_capacity(imports.len());
    for new in imports {
        sqlx::query(
            "UPDATE imports SET state = 'dropped', ended_at = $3
             WHERE shop = $1 AND object = $2 AND ended_at IS NULL AND state = 'stopped'",
        )
        .bind(new.shop.as_str())
        .bind(new.object.as_str())
        .bind(now.millis())
        .execute(&mut *conn)
        .await?;
        // Of two that begin at the same moment, the index refuses one as a whole.
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO imports (shop, object, since, until, actor, state, started_at, warning)
             VALUES ($1, $2, $3, $4, $5, 'running', $6, $7) RETURNING id",
        )
        .bind(new.shop.as_str())
        .bind(new.object.as_str())
        .bind(millis(new.since))
        .bind(millis(new.until))
        .bind(clean(&actor.name))
        .bind(now.millis())
        .bind(new.warning.as_deref().map(clean))
        .fetch_one(&mut *conn)
        .await?;
        let detail = json!({ "object": new.object, "since": new.since, "until": new.until });
        noted(conn, actor, now, "import", new.shop.as_str(), id, detail).await?;
        begun.push(id);
    }
    Ok(ImportsBegun::Begun(begun))
}

/// Stops an import, or lets it go on. Says whether that changed something.
pub(super) async fn act(conn: &mut Conn, act: &ImportAct) -> Result<bool, Fault> {
    let (from, to) = if act.runs {
        ("stopped", "running")
    } else {
        ("running", "stopped")
    };
    let shop: Option<String> = sqlx::query_scalar(
        "UPDATE imports SET state = $3, error = NULL WHERE id = $1 AND state = $2 RETURNING shop",
    )
    .bind(act.import)
    .bind(from)
    .bind(to)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(shop) = shop else { return Ok(false) };
    let action = if act.runs { "import resume" } else { "import stop" };
    noted(conn, &act.actor, act.at, action, &shop, act.import, json!({})).await?;
    Ok(true)
}

/// Saves what was listed, with where the list goes on. Nothing happens when the import stands elsewhere by now or does not run.
pub(super) async fn listed(conn: &mut Conn, page: &ImportPage) -> Result<bool, Fault> {
    let number = |id: Option<ShopifyId>| id.map(|id| i64::try_from(id.0).unwrap_or(i64::MAX));
    let ids: Vec<String> = page.records.iter().map(ToString::to_string).collect();
    let touched = sqlx::query(
        "UPDATE imports SET cursor = $3, pending = $4, is_listed = $5, listed = listed + $6, error = NULL
         WHERE id = $1 AND state = 'running' AND pending = '[]' AND is_listed = 0
           AND coalesce(cursor, -1) = coalesce($2, -1)",
    )
    .bind(page.import)
    .bind(number(page.after))
    .bind(number(page.cursor))
    .bind(serde_json::to_string(&ids)?)
    .bind(i64::from(page.is_last))
    .bind(i64::try_from(ids.len()).unwrap_or(i64::MAX))
    .execute(conn)
    .await?
    .rows_affected();
    Ok(touched == 1)
}

/// What an import may make jobs of.
pub(super) struct Room {
    /// How many of its jobs are open.
    pub(super) open: u64,
    /// The next records that there is room for.
    records: Vec<String>,
    /// Those after them.
    rest: Vec<String>,
}

impl Room {
    /// Whether no job is to be made.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Looks for how many listed records there is room, where `most` of the import's jobs may run or be due. Jobs that rest until
/// they are tried again take no place of others, up to a bound of their own.
pub(super) async fn room(conn: &mut Conn, import: i64, most: u32, now: Timestamp) -> Result<Room, Fault> {
    let (open, at_work): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(CASE WHEN state IN ('available', 'running') OR run_at <= $2 THEN 1 END)
         FROM jobs WHERE import_id = $1 AND state IN ('available', 'scheduled', 'retryable', 'running')",
    )
    .bind(import)
    .bind(now.millis())
    .fetch_one(&mut *conn)
    .await?;
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let (open, at_work) = (count(open), count(at_work));
    let places = u64::from(most)
        .saturating_sub(at_work)
        .min(MOST_OPEN.saturating_sub(open));
    let mut room = Room {
        open,
        records: Vec::new(),
        rest: Vec::new(),
    };
    if places == 0 {
        return Ok(room);
    }
    let pending: Option<String> =
        sqlx::query_scalar("SELECT pending FROM imports WHERE id = $1 AND state = 'running'")
            .bind(import)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(pending) = pending {
        room.records = serde_json::from_str(&pending)?;
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        room.rest = room.records.split_off(places.min(room.records.len()));
    }
    Ok(room)
}

/// Makes jobs of listed records, as long as there is room for them.
pub(super) async fn feed(
    conn: &mut Conn,
    import: i64,
    lane_id: i64,
    most: u32,
    now: Timestamp,
) -> Result<ImportFed, Fault> {
    let Room {
        open,
        records: pending,
        rest,
    } = room(conn, import, most, now).await?;
    if pending.is_empty() {
        return Ok(ImportFed { open, made: 0 });
    }
    let mut wants = Wants::new();
    for id in &pending {
        let want = Want {
            state: JobState::Available,
            priority: Priority::BACKGROUND,
            times: 1,
            events: 0,
            since: now,
            triggered_at: None,
            cause: format!("import {import}"),
            import: Some(import),
        };
        intake::add(&mut wants, lane_id, id, want);
    }
    intake::want(conn, &wants).await?;
    sqlx::query("UPDATE imports SET pending = $2 WHERE id = $1")
        .bind(import)
        .bind(serde_json::to_string(&rest)?)
        .execute(conn)
        .await?;
    let made = u64::try_from(pending.len()).unwrap_or(0);
    Ok(ImportFed {
        open: open + made,
        made,
    })
}

/// Ends an import whose records all have a job and whose jobs are over or need a person, and has that told. Says whether it ended.
pub(super) async fn end(
    conn: &mut Conn,
    import: i64,
    notifications: &[String],
    now: Timestamp,
) -> Result<bool, Fault> {
    let counts = counted(conn, import).await?;
    if counts.open > 0 {
        return Ok(false);
    }
    let touched = sqlx::query(
        "UPDATE imports SET state = 'done', ended_at = $2, counts = $3, error = NULL
         WHERE id = $1 AND state = 'running' AND is_listed = 1 AND pending = '[]'",
    )
    .bind(import)
    .bind(now.millis())
    .bind(serde_json::to_string(&counts)?)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if touched == 1 {
        let bodies: Vec<(&str, Timestamp)> = notifications.iter().map(|body| (body.as_str(), now)).collect();
        notices::add(conn, &bodies).await?;
    }
    Ok(touched == 1)
}

/// Notes why an import does not get on, or that it does.
pub(super) async fn note_error(conn: &mut Conn, import: i64, error: Option<&str>) -> Result<(), Fault> {
    sqlx::query("UPDATE imports SET error = $2 WHERE id = $1 AND ended_at IS NULL")
        .bind(import)
        .bind(error.map(clean))
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes what a job of an import did. What one attempt made stays made, whatever a later one finds.
pub(super) async fn effect(
    conn: &mut Conn,
    job: JobId,
    fence: Fence,
    effect: ImportEffect,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE jobs SET import_effect = $3 WHERE id = $1 AND fence = $2 AND import_id IS NOT NULL
           AND (import_effect IS NULL OR import_effect = 'unchanged'
                OR (import_effect = 'updated' AND $3 = 'created'))",
    )
    .bind(job.0)
    .bind(fence.0)
    .bind(effect.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Those with these numbers, newest first.
pub(super) async fn of(conn: &mut Conn, ids: &[i64]) -> Result<Vec<ImportRow>, Fault> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM imports WHERE id {} ORDER BY id DESC",
        sql::in_array!("$1")
    )))
    .bind(serde_json::to_string(ids)?)
    .fetch_all(&mut *conn)
    .await?;
    read_all(conn, &rows).await
}

/// The last imports, newest first.
pub(super) async fn last(conn: &mut Conn, limit: u32) -> Result<Vec<ImportRow>, Fault> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM imports ORDER BY id DESC LIMIT $1"
    )))
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    read_all(conn, &rows).await
}

/// The imports that are not over, oldest first.
pub(super) async fn open(conn: &mut Conn) -> Result<Vec<ImportRow>, Fault> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM imports WHERE ended_at IS NULL ORDER BY id"
    )))
    .fetch_all(&mut *conn)
    .await?;
    // Asked often, and of an import of years there are many jobs.
    rows.iter()
        .map(|row| read(row, ImportCounts::default()))
        .collect()
}

async fn one(conn: &mut Conn, id: i64) -> Result<Option<ImportRow>, Fault> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM imports WHERE id = $1"
    )))
    .bind(id)
    .fetch_all(&mut *conn)
    .await?;
    Ok(read_all(conn, &rows).await?.pop())
}

async fn read_all(conn: &mut Conn, rows: &[DbRow]) -> Result<Vec<ImportRow>, Fault> {
    let mut imports = Vec::with_capacity(rows.len());
    for row in rows {
        let kept: Option<String> = row.try_get("counts")?;
        let counts = match kept {
            Some(text) => serde_json::from_str(&text)?,
            None => counted(conn, row.try_get("id")?).await?,
        };
        imports.push(read(row, counts)?);
    }
    Ok(imports)
}

async fn counted(conn: &mut Conn, import: i64) -> Result<ImportCounts, Fault> {
    let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(
        "SELECT state, import_effect, count(*) FROM jobs WHERE import_id = $1 GROUP BY state, import_effect",
    )
    .bind(import)
    .fetch_all(conn)
    .await?;
    let mut counts = ImportCounts::default();
    for (state, effect, count) in rows {
        let count = u64::try_from(count).unwrap_or(0);
        let place = match (state.as_str(), effect.as_deref()) {
            ("completed", Some("created")) => &mut counts.created,
            ("completed", Some("updated")) => &mut counts.updated,
            ("completed", _) => &mut counts.unchanged,
            ("obsolete" | "discarded", _) => &mut counts.left_out,
            ("problem" | "held", _) => &mut counts.problems,
            _ => &mut counts.open,
        };
        *place += count;
    }
    Ok(counts)
}

fn read(row: &DbRow, counts: ImportCounts) -> Result<ImportRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let bad = |column| Fault::BadRow {
        table: "imports",
        row: id,
        column,
    };
    let text = |column| row.try_get::<String, _>(column);
    let number = |column| row.try_get::<Option<i64>, _>(column);
    let time = |column| Ok::<_, Fault>(number(column)?.map(Timestamp::from_millis));
    let pending: Vec<String> = serde_json::from_str(&text("pending")?)?;
    Ok(ImportRow {
        id,
        shop: text("shop")?.parse().map_err(|_| bad("shop"))?,
        object: text("object")?.parse().map_err(|_| bad("object"))?,
        since: time("since")?,
        until: time("until")?,
        actor: text("actor")?,
        state: text("state")?.parse().map_err(|_| bad("state"))?,
        cursor: number("cursor")?
            .and_then(|id| u64::try_from(id).ok())
            .map(ShopifyId),
        listed: u64::try_from(row.try_get::<i64, _>("listed")?).map_err(|_| bad("listed"))?,
        pending: pending.len() as u64,
        is_listed: row.try_get::<i64, _>("is_listed")? != 0,
        error: row.try_get("error")?,
        warning: row.try_get("warning")?,
        started_at: time("started_at")?.ok_or_else(|| bad("started_at"))?,
        ended_at: time("ended_at")?,
        counts,
    })
}
