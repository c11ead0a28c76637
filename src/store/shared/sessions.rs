//! Who is logged in on the console.

use super::{Conn, DbRow};
use crate::domain::Timestamp;
use crate::store::SessionRow;
use crate::store::fault::Fault;
use crate::store::rules::clean;
use sqlx::Row as _;

/// Begins a session; those that were last seen before `idle_since` are forgotten with it.
pub(super) async fn open(conn: &mut Conn, row: &SessionRow, idle_since: Timestamp) -> Result<(), Fault> {
    sqlx::query("DELETE FROM sessions WHERE seen_at < $1")
        .bind(idle_since.millis())
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO sessions (id, account, stamp, created_at, seen_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(clean(&row.id))
        .bind(clean(&row.account))
        .bind(clean(&row.stamp))
        .bind(row.created_at.millis())
        .bind(row.seen_at.millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// The session with this id.
pub(super) async fn read(conn: &mut Conn, id: &str) -> Result<Option<SessionRow>, Fault> {
    let row: Option<DbRow> =
        sqlx::query("SELECT id, account, stamp, created_at, seen_at FROM sessions WHERE id = $1")
            .bind(clean(id))
            .fetch_optional(conn)
            .await?;
    row.map(|row| {
        Ok(SessionRow {
            id: row.try_get("id")?,
            account: row.try_get("account")?,
            stamp: row.try_get("stamp")?,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
            seen_at: Timestamp::from_millis(row.try_get("seen_at")?),
        })
    })
    .transpose()
}

/// Notes that it was used. One that was ended meanwhile stays ended.
pub(super) async fn see(conn: &mut Conn, id: &str, now: Timestamp) -> Result<(), Fault> {
    sqlx::query("UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2")
        .bind(clean(id))
        .bind(now.millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a session.
pub(super) async fn close(conn: &mut Conn, id: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM sessions WHERE id = $1")
        .bind(clean(id))
        .execute(conn)
        .await?;
    Ok(())
}
