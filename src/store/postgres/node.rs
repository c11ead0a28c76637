//! This process among others: a row in `nodes` and a session of its own that holds the row's advisory lock. When the
//! process dies, however it dies, the server ends the session and frees the lock: then others know whose running jobs to
//! take back, long before any lease ends.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Conn;
use crate::domain::Timestamp;
use crate::store::fault::Fault;

/// How long the server may take to answer about our session. A host that vanished answers nothing at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node that serves.
pub(super) struct Node {
    pub(super) id: i64,
    lock_key: i64,
    started_at: Timestamp,
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
        forget_the_dead(&mut session, id).await?;
        Ok(Self {
            id,
            lock_key,
            started_at: now,
            options: options.clone(),
            session: Mutex::new(Some(session)),
        })
    }

    /// Makes sure that the lock is still held: the network may have cut the session while the process lives on.
    pub(super) async fn assert(&self) -> Result<(), Fault> {
        let mut session = self.session.lock().await;
        if let Some(conn) = session.as_mut()
            && timeout(PATIENCE, conn.ping())
                .await
                .is_ok_and(|pong| pong.is_ok())
        {
            return Ok(());
        }
        *session = None;
        let again = async {
            let mut conn = self.options.connect().await?;
            // Another node that started meanwhile may have taken us for dead.
            sqlx::query(
                "INSERT INTO nodes (id, lock_key, started_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(self.id)
            .bind(self.lock_key)
            .bind(self.started_at.millis())
            .execute(&mut conn)
            .await?;
            hold(&mut conn, self.lock_key).await?;
            Ok::<_, Fault>(conn)
        };
        *session = Some(timeout(PATIENCE, again).await.map_err(|_| Fault::TooLong)??);
        Ok(())
    }

    /// Leaves: running jobs, if any, may be taken back at once.
    pub(super) async fn leave(&self) {
        if let Some(mut conn) = self.session.lock().await.take() {
            let left = timeout(PATIENCE, async {
                sqlx::query(
                    "DELETE FROM nodes WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM jobs
                         WHERE state IN ('running', 'held', 'problem') AND state = 'running' AND node_id = $1)",
                )
                .bind(self.id)
                .execute(&mut conn)
                .await?;
                conn.close().await
            });
            if !left.await.is_ok_and(|left| left.is_ok()) {
                tracing::debug!("the session of this node was not closed cleanly");
            }
        }
    }
}

/// Removes the rows of nodes that are gone and left nothing running.
async fn forget_the_dead(conn: &mut Conn, but: i64) -> Result<(), Fault> {
    sqlx::query(
        "WITH idle AS MATERIALIZED (
             SELECT id, lock_key FROM nodes WHERE id <> $1 AND NOT EXISTS (SELECT 1 FROM jobs
                 WHERE state IN ('running', 'held', 'problem') AND state = 'running' AND node_id = nodes.id)),
             dead AS MATERIALIZED (SELECT id FROM idle WHERE pg_try_advisory_xact_lock(lock_key))
         DELETE FROM nodes WHERE id IN (SELECT id FROM dead)",
    )
    .bind(but)
    .execute(conn)
    .await?;
    Ok(())
}

async fn hold(conn: &mut Conn, lock_key: i64) -> Result<(), Fault> {
    // Waits at most for a transaction of another node that looks at this moment whether we are dead.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(lock_key)
        .execute(conn)
        .await?;
    Ok(())
}
