//! Configurations as numbered revisions, and which node runs which.

use super::{Conn, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{NODE_DEAD_AFTER, NodeFile, NodeRow, Revision, Standing, TakenUp};

/// Rows of nodes that were not heard of for so long are deleted, in milliseconds.
const FORGET_AFTER_MS: i64 = 3_600_000;

fn dead_after_ms() -> i64 {
    i64::try_from(NODE_DEAD_AFTER.as_millis()).unwrap_or(i64::MAX)
}

/// What all nodes act on.
pub(super) async fn newest(conn: &mut Conn) -> Result<Option<Revision>, Fault> {
    let row: Option<(i64, String, String, String, String, i64)> = sqlx::query_as(
        "SELECT id, hash, summary, toggles, node, created_at FROM revisions WHERE acted_on = 1
         ORDER BY id DESC LIMIT 1",
    )
    .fetch_optional(conn)
    .await?;
    row.map(|(id, hash, summary, toggles, node, created_at)| {
        Ok(Revision {
            id,
            hash,
            summary,
            toggles: serde_json::from_str(&toggles).map_err(|_| Fault::BadRow {
                table: "revisions",
                row: id,
                column: "toggles",
            })?,
            node,
            created_at: Timestamp::from_millis(created_at),
        })
    })
    .transpose()
}

/// Notes what a node runs, and says how that stands to what all are to act on.
pub(super) async fn take_up(
    conn: &mut Conn,
    file: &NodeFile,
    how: TakenUp,
    node_id: Option<i64>,
    now: Timestamp,
) -> Result<Standing, Fault> {
    // Of two nodes that begin at once, the second finds the first.
    sql::alone(conn).await?;
    let is_alone_and_new = !lives(conn, file, now).await?;
    seen(conn, file, node_id, now).await?;
    let hash = clean(&file.hash);
    let standing = newest(conn).await?;
    let becomes_newest = match &standing {
        None => true,
        Some(newest) if newest.hash == hash => false,
        Some(_) if how == TakenUp::Saved => true,
        Some(newest) => !is_run_elsewhere(conn, newest, file, is_alone_and_new, now).await?,
    };
    let newest = match standing {
        Some(newest) if !becomes_newest => newest,
        _ => {
            let id = insert(conn, file, true, now).await?;
            Revision {
                id,
                hash: hash.clone(),
                summary: clean(&file.summary),
                toggles: file.toggles.clone(),
                node: clean(&file.node),
                created_at: now,
            }
        }
    };
    if newest.hash == hash {
        return Ok(Standing {
            own: newest.id,
            newest,
            is_newest: true,
        });
    }
    let known: Option<i64> =
        sqlx::query_scalar("SELECT id FROM revisions WHERE hash = $1 ORDER BY id DESC LIMIT 1")
            .bind(&hash)
            .fetch_optional(&mut *conn)
            .await?;
    let own = match known {
        Some(id) => id,
        None => insert(conn, file, false, now).await?,
    };
    Ok(Standing {
        own,
        newest,
        is_newest: false,
    })
}

async fn seen(conn: &mut Conn, file: &NodeFile, node_id: Option<i64>, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(concat!(
        "INSERT INTO node_files (node, hash, node_id, gone, seen_at) VALUES ($1, $2, $3, 0, ",
        sql::seen_now!("$4"),
        ") ON CONFLICT (node) DO UPDATE
         SET hash = excluded.hash, node_id = excluded.node_id, gone = 0, seen_at = excluded.seen_at"
    ))
    .bind(clean(&file.node))
    .bind(clean(&file.hash))
    .bind(node_id)
    .bind(now.millis())
    .execute(&mut *conn)
    .await?;
    sqlx::query(concat!(
        "DELETE FROM node_files WHERE seen_at < ",
        sql::seen_now!("$1"),
        " - $2"
    ))
    .bind(now.millis())
    .bind(FORGET_AFTER_MS)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether any node lives, this one included.
async fn lives(conn: &mut Conn, file: &NodeFile, now: Timestamp) -> Result<bool, Fault> {
    let nodes: i64 = sqlx::query_scalar(concat!(
        "SELECT count(*) FROM node_files WHERE ",
        sql::lives!(),
        " AND (node = $1 OR seen_at >= ",
        sql::seen_now!("$2"),
        " - $3)"
    ))
    .bind(clean(&file.node))
    .bind(now.millis())
    .bind(dead_after_ms())
    .fetch_one(conn)
    .await?;
    Ok(nodes > 0)
}

/// Whether another node runs this revision. One that left a moment ago may be back soon, and until then counts as if it ran:
/// a node that waits beside it with another file must not take over whenever the first is restarted. For one that has just
/// begun and is alone nobody can come back that it could be confused with: what it found in its file is what was meant.
async fn is_run_elsewhere(
    conn: &mut Conn,
    revision: &Revision,
    file: &NodeFile,
    is_alone_and_new: bool,
    now: Timestamp,
) -> Result<bool, Fault> {
    let nodes: i64 = sqlx::query_scalar(concat!(
        "SELECT count(*) FROM node_files WHERE hash = $1 AND node <> $2 AND seen_at >= ",
        sql::seen_now!("$3"),
        " - $4 AND ($5 = 0 OR ",
        sql::lives!(),
        ")"
    ))
    .bind(&revision.hash)
    .bind(clean(&file.node))
    .bind(now.millis())
    .bind(dead_after_ms())
    .bind(i64::from(is_alone_and_new))
    .fetch_one(conn)
    .await?;
    Ok(nodes > 0)
}

async fn insert(conn: &mut Conn, file: &NodeFile, acted_on: bool, now: Timestamp) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar(
        "INSERT INTO revisions (hash, summary, toggles, node, acted_on, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
    )
    .bind(clean(&file.hash))
    .bind(clean(&file.summary))
    .bind(file.toggles.to_string())
    .bind(clean(&file.node))
    .bind(i64::from(acted_on))
    .bind(now.millis())
    .fetch_one(conn)
    .await?)
}

/// A node ends in order.
pub(super) async fn gone(conn: &mut Conn, node: &str) -> Result<(), Fault> {
    sqlx::query("UPDATE node_files SET gone = 1 WHERE node = $1")
        .bind(clean(node))
        .execute(conn)
        .await?;
    Ok(())
}

/// The nodes that live.
pub(super) async fn live(conn: &mut Conn, now: Timestamp) -> Result<Vec<NodeRow>, Fault> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(concat!(
        "SELECT node, hash, seen_at FROM node_files WHERE ",
        sql::lives!(),
        " AND seen_at >= ",
        sql::seen_now!("$1"),
        " - $2 ORDER BY node"
    ))
    .bind(now.millis())
    .bind(dead_after_ms())
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(node, hash, seen_at)| NodeRow {
            node,
            hash,
            seen_at: Timestamp::from_millis(seen_at),
        })
        .collect())
}
