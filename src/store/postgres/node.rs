//! This process among others: a row in `nodes` and a session of its own that holds the row's advisory lock. When the
//! process dies, however it dies, the server ends the session and frees the lock: then others know whose running jobs to
//! take back, long before any lease ends.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;

use super::Conn;
use crate::domain::Timestamp;
use crate::store::fault::Fault;

/// A node that serves.
pub(super) struct Node {
    pub(super) id: i64,
    lock_key: i64,
    options: PgConnectOptions,
    session: Mutex<Option<Conn>>,
}

impl Node {
    /// Makes this process a node.
    pub(super) async fn join(options: &PgConnectOptions, now: Timestamp) -> Result<Self, Fault> {
        let mut session = options.connect().await?;
        // A random key: advisory locks belong to the whole database, and other schemas have nodes, too.
        let (id, lock_key): (i64, i64) = sqlx::query_as(
            "INSERT INTO nodes (lock_key, started_at)
             VALUES (hashtextextended(gen_random_uuid()::text, 0), $1) RETURNING id, lock_key",
        )
        .bind(now.millis())
        .fetch_one(&mut session)
        .await?;
        hold(&mut session, lock_key).await?;
        Ok(Self {
            id,
            lock_key,
            options: options.clone(),
            session: Mutex::new(Some(session)),
        })
    }

    /// Makes sure that the lock is still held: the network may have cut the session while the process lives on.
    pub(super) async fn assert(&self) -> Result<(), Fault> {
        let mut session = self.session.lock().await;
        if let Some(conn) = session.as_mut()
            && conn.ping().await.is_ok()
        {
            return Ok(());
        }
        *session = None;
        let mut conn = self.options.connect().await?;
        hold(&mut conn, self.lock_key).await?;
        *session = Some(conn);
        Ok(())
    }

    /// Leaves: running jobs, if any, may be taken back at once.
    pub(super) async fn leave(&self) {
        if let Some(mut conn) = self.session.lock().await.take() {
            let left = sqlx::query(
                "DELETE FROM nodes WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE node_id = $1)",
            )
            .bind(self.id)
            .execute(&mut conn)
            .await;
            if left.is_err() || conn.close().await.is_err() {
                tracing::debug!("the session of this node was not closed cleanly");
            }
        }
    }
}

async fn hold(conn: &mut Conn, lock_key: i64) -> Result<(), Fault> {
    // Waits at most for a transaction of another node that looks at this moment whether we are dead.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(lock_key)
        .execute(conn)
        .await?;
    Ok(())
}
