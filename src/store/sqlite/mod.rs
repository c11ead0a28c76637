//! The store in one SQLite file.
//!
//! All writes of a process go through one thread with one connection (see `writer`); reads have connections of their own
//! and, thanks to the write-ahead log, neither wait for the writer nor hold it up. Only one process may serve a
//! database; command line tools may write beside it and are noticed by polling `PRAGMA data_version`.

mod clusters;
mod files;
mod notices_sql;
#[cfg(test)]
mod plans;
mod sql;
mod writer;

// What is done with a statement's answers is the same on both databases; these files are compiled once for each.
#[path = "../shared/alerts.rs"]
mod alerts;
#[path = "../shared/approvals.rs"]
mod approvals;
#[path = "../shared/audit.rs"]
mod audit;
#[path = "../shared/batches.rs"]
mod batches;
#[path = "../shared/care.rs"]
mod care;
#[path = "../shared/drift.rs"]
mod drift;
#[path = "../shared/events.rs"]
mod events;
#[path = "../shared/finish.rs"]
mod finish;
#[path = "../shared/found_by.rs"]
mod found_by;
#[path = "../shared/housekeeping.rs"]
mod housekeeping;
#[path = "../shared/imports.rs"]
mod imports;
#[path = "../shared/intake.rs"]
mod intake;
#[path = "../shared/intents.rs"]
mod intents;
#[path = "../shared/kept.rs"]
mod kept;
#[path = "../shared/leases.rs"]
mod leases;
#[path = "../shared/links.rs"]
mod links;
#[path = "../shared/listing.rs"]
mod listing;
#[path = "../shared/nodes.rs"]
mod nodes;
#[path = "../shared/notices/mod.rs"]
mod notices;
#[path = "../shared/numbers.rs"]
mod numbers;
#[path = "../shared/operations/mod.rs"]
mod operations;
#[path = "../shared/people.rs"]
mod people;
#[path = "../shared/polls.rs"]
mod polls;
#[path = "../shared/problems.rs"]
mod problems;
#[path = "../shared/queue.rs"]
mod queue;
#[path = "../shared/review.rs"]
mod review;
#[path = "../shared/runs.rs"]
mod runs;
#[path = "../shared/said.rs"]
mod said;
#[path = "../shared/sessions.rs"]
mod sessions;
#[path = "../shared/shops.rs"]
mod shops;
#[path = "../shared/subscriptions.rs"]
mod subscriptions;
#[path = "../shared/upcoming.rs"]
mod upcoming;
#[path = "../shared/written.rs"]
mod written;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::files::ServeLock;
pub(super) use self::files::{Sync, path};
use self::writer::Writer;
use crate::domain::{SharedClock, Timestamp};
use crate::store::fault::Fault;
use crate::store::migrations::{self, Dialect, MigrationReport};
use crate::store::prepared::{Lanes, PreparedDelivery, PreparedFinish};
use crate::store::{Enqueued, Finished, NewJob, OpenMode, Recorded, StoreError};

type Backend = SqliteStore;
type Db = sqlx::Sqlite;
type Conn = sqlx::SqliteConnection;
type DbRow = sqlx::sqlite::SqliteRow;

/// How often a process looks whether another one has written.
const LOOK_FOR_OTHERS: Duration = Duration::from_millis(400);

/// How long a tool waits for the right to change the database's layout.
const LAYOUT_WAIT: Duration = Duration::from_secs(2);

/// A store in one file.
pub(super) struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    lanes: Arc<Lanes>,
    /// Rung when there may be work.
    arrived: Arc<Notify>,
    /// Rung when there may be something to tell other systems.
    told: Arc<Notify>,
    /// The time of the last look for ready lanes, in milliseconds.
    looked_at: AtomicI64,
    /// What told last whether another process has written.
    version: AtomicI64,
    /// The writer ended before its time.
    broken: CancellationToken,
    mode: OpenMode,
}

/// Takes the lock for a change of the database's layout; a tool waits a little for another tool.
async fn layout_lock(path: &Path) -> Result<ServeLock, StoreError> {
    let deadline = tokio::time::Instant::now() + LAYOUT_WAIT;
    loop {
        match ServeLock::take(path) {
            Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}

/// How far the database in this file is. A file that does not exist is not made.
pub(super) async fn report(path: &Path) -> Result<MigrationReport, StoreError> {
    if !path.exists() {
        return MigrationReport::new(&[]);
    }
    let mut conn = files::writer(path, Sync::Full).await?;
    let report = migrations::report(&mut conn).await?;
    conn.close()
        .await
        .map_err(|error| Fault::Sql(error).told("close the database"))?;
    Ok(report)
}

/// Applies what is pending, unless another process serves the database.
pub(super) async fn migrate(path: &Path) -> Result<(), StoreError> {
    let lock = layout_lock(path).await?;
    let mut conn = files::writer(path, Sync::Full).await?;
    migrations::apply(&mut conn, Dialect::Sqlite).await?;
    conn.close()
        .await
        .map_err(|error| Fault::Sql(error).told("close the database"))?;
    drop(lock);
    Ok(())
}

impl SqliteStore {
    /// Opens the database, makes it where it is missing, and applies migrations. To serve also takes back every running
    /// job: whoever ran it is gone.
    pub(super) async fn open(
        path: PathBuf,
        sync: Sync,
        clock: &SharedClock,
        mode: OpenMode,
    ) -> Result<Self, StoreError> {
        let lock = match mode {
            OpenMode::Serve => Some(ServeLock::take(&path)?),
            OpenMode::Tool => None,
        };
        let mut conn = files::writer(&path, sync).await?;
        if !migrations::report(&mut conn).await?.pending.is_empty() {
            let layout = match mode {
                OpenMode::Serve => None,
                OpenMode::Tool => Some(layout_lock(&path).await?),
            };
            migrations::apply(&mut conn, Dialect::Sqlite).await?;
            drop(layout);
        }

        let lanes = Arc::new(Lanes::default());
        let (arrived, told) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let readers = files::readers(&path, sync);
        let broken = CancellationToken::new();
        let store = Self {
            writer: Writer::start(
                conn,
                Arc::clone(&lanes),
                Arc::clone(&arrived),
                Arc::clone(&told),
                lock,
                broken.clone(),
            )
            .map_err(|error| StoreError::Unavailable {
                trying: "start the writer",
                source: sqlx::Error::Io(error),
            })?,
            readers,
            lanes,
            arrived,
            told,
            looked_at: AtomicI64::new(i64::MIN),
            version: AtomicI64::new(0),
            broken,
            mode,
        };
        store.refresh_lanes().await?;
        store.version.store(
            store.writer.version().await.unwrap_or_default(),
            Ordering::Relaxed,
        );
        if mode == OpenMode::Serve {
            store.reclaim_leases_until(i64::MAX, clock.now()).await?;
            let now = clock.now();
            loop {
                let freed = store
                    .write("free what a dead process was sending", move |conn| {
                        Box::pin(async move { notices::reclaim_step(conn, i64::MAX, now).await })
                    })
                    .await?;
                if freed == 0 {
                    break;
                }
            }
            let trying = "free what a dead process held";
            store
                .write(trying, |conn| Box::pin(sql::free_leases(conn)))
                .await?;
            store.forget_the_dead(clock.now()).await?;
        }
        Ok(store)
    }

    /// Gives back the jobs whose lease ended: whoever runs them has not been heard of.
    async fn take_back(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.reclaim_leases_until(now.millis(), now).await
    }

    /// Nobody else serves: whatever nodes and runs are known are of the past.
    async fn forget_the_dead(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("forget dead nodes", move |conn| {
            Box::pin(async move {
                sqlx::query("DELETE FROM node_files").execute(&mut *conn).await?;
                sqlx::query("UPDATE runs SET ended_at = $1, outcome = 'cut' WHERE ended_at IS NULL")
                    .bind(now.millis())
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn reclaim_leases_until(&self, lease: i64, now: Timestamp) -> Result<u64, StoreError> {
        let count = self
            .write("reclaim jobs", move |conn| {
                Box::pin(async move {
                    let dead: String = sqlx::query_scalar(sql::RECLAIMABLE)
                        .bind(lease)
                        .fetch_one(&mut *conn)
                        .await?;
                    queue::reclaim(conn, &dead, now).await
                })
            })
            .await?;
        if count > 0 {
            self.arrived.notify_one();
        }
        Ok(count)
    }

    async fn write<T, F>(&self, trying: &'static str, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, Fault>> + Send + 'static,
    {
        self.writer.run(trying, operation).await
    }

    /// A connection to read with.
    async fn reader(&self) -> Result<PoolConnection<Db>, Fault> {
        Ok(self.readers.acquire().await?)
    }

    /// The file answers as soon as the disk does.
    async fn in_time<T>(question: impl Future<Output = Result<T, Fault>> + Send) -> Result<T, Fault> {
        question.await
    }

    fn give_up(held: PoolConnection<Db>) {
        drop(held);
    }

    async fn submit_delivery(&self, delivery: PreparedDelivery) -> Result<Recorded, StoreError> {
        self.writer.record(delivery).await
    }

    async fn submit_job(&self, job: NewJob, lane_id: i64) -> Result<Enqueued, StoreError> {
        self.writer.enqueue(job, lane_id).await
    }

    async fn submit_finish(&self, finish: PreparedFinish) -> Result<Finished, StoreError> {
        self.writer.finish(finish).await
    }

    /// Tells those who wait for work. Other processes notice by themselves.
    #[expect(clippy::unused_async, reason = "PostgreSQL tells the other nodes, too")]
    async fn ring(&self) {
        self.arrived.notify_one();
    }

    /// Tells who sends that there may be something to send.
    #[expect(clippy::unused_async, reason = "PostgreSQL tells the other nodes, too")]
    async fn ring_told(&self) {
        self.told.notify_one();
    }

    /// Has what was removed go from the write-ahead log, too. Where a reader keeps it from that, it goes as soon as that log is
    /// written anew.
    async fn empty_log(&self) {
        if !self.writer.empty_log().await {
            tracing::debug!("the write-ahead log could not be emptied at this moment");
        }
    }

    /// A lease's end as the statements want it: by this machine's clock.
    fn lease(now: Timestamp, lease: Duration) -> i64 {
        now.plus(lease).millis()
    }

    #[expect(clippy::unused_self, reason = "PostgreSQL measures by its own clock")]
    fn lease_until(&self, until: Timestamp) -> i64 {
        until.millis()
    }

    #[expect(clippy::unused_self, reason = "PostgreSQL numbers its nodes")]
    fn node_id(&self) -> Option<i64> {
        None
    }

    /// Who holds a lease, as the statements want it.
    #[expect(clippy::unused_self, reason = "PostgreSQL numbers its nodes")]
    fn holder(&self, holder: &str) -> String {
        holder.to_owned()
    }

    async fn shut(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn another_process_wrote(&self) {
        loop {
            tokio::time::sleep(LOOK_FOR_OTHERS).await;
            let Some(version) = self.writer.version().await else {
                // Closed: nothing will come.
                return std::future::pending().await;
            };
            if self.version.swap(version, Ordering::Relaxed) != version {
                return;
            }
        }
    }
}
