//! The store in PostgreSQL, shared by several nodes.
//!
//! Claims pass over what another node is claiming (`SKIP LOCKED`); a dead node is noticed by the lock of its session
//! (see `node`), leases by the database's clock are the backstop; work is announced by `NOTIFY` and found by polling at
//! the latest. Deliveries and ends of attempts share commits (see `batch`), everything else has a transaction of its own.

mod batch;
mod clusters;
mod node;
mod notices_sql;
mod sql;

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

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::batch::{Batcher, Bell, Deliveries, Finishes, Jobs};
use self::node::Node;
use crate::domain::{SharedClock, Timestamp};
use crate::store::fault::Fault;
use crate::store::migrations::{self, Dialect, MigrationReport};
use crate::store::prepared::{Lanes, PreparedDelivery, PreparedFinish};
use crate::store::{Enqueued, Finished, NewJob, OpenMode, Recorded, Settings, StoreError};

type Backend = PgStore;
type Db = sqlx::Postgres;
type Conn = sqlx::PgConnection;
type DbRow = sqlx::postgres::PgRow;

/// How long a caller waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long a transaction or a question may take. A host that vanished answers nothing, and its silence would last for a
/// quarter of an hour.
const LIMIT: Duration = Duration::from_secs(10);

/// How often an operation is tried that lost against another node's transaction.
const TRIES: usize = 4;

/// Work that was announced to nobody is found after this long.
const POLL: Duration = Duration::from_secs(2);

/// How long the listener waits before it connects again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// For every connection. All statements are written for an index; a plan that was made while a table was small must not
/// read the whole of it when it has grown. Nothing of ours takes as long as the time limits.
const SESSION: &str = "
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET jit = off;
    SET statement_timeout = '60s';
    SET idle_in_transaction_session_timeout = '60s'";

/// A store in PostgreSQL.
pub(super) struct PgStore {
    pool: PgPool,
    lanes: Arc<Lanes>,
    arrived: Arc<Notify>,
    /// Rung when there may be something to tell other systems.
    told: Arc<Notify>,
    bell: Bell,
    /// The time of the last look for ready lanes, in milliseconds.
    looked_at: AtomicI64,
    deliveries: Batcher<Deliveries>,
    jobs: Batcher<Jobs>,
    finishes: Batcher<Finishes>,
    node: Option<Node>,
    clock: SharedClock,
    /// A task that saves batches ended before its time.
    broken: CancellationToken,
    mode: OpenMode,
    _listener: Option<AbortOnDropHandle<()>>,
}

/// Whether the address is one of PostgreSQL's.
pub(super) fn is_address(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether it is one that can be parsed.
pub(super) fn is_usable_address(url: &str) -> bool {
    is_address(url) && options(url).is_ok()
}

fn options(url: &str) -> Result<PgConnectOptions, Fault> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("lockstep"),
    })
}

fn failed(trying: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| Fault::Sql(error).told(trying)
}

/// How far the database is. Makes nothing but the table of migrations.
pub(super) async fn report(url: &str) -> Result<MigrationReport, StoreError> {
    let trying = "reach the database";
    let mut conn = options(url)
        .map_err(|fault| fault.told(trying))?
        .connect()
        .await
        .map_err(failed(trying))?;
    let report = migrations::report(&mut conn).await?;
    conn.close().await.map_err(failed(trying))?;
    Ok(report)
}

/// Applies what is pending. Nodes that run meanwhile go on: a migration suits the version before it, too.
pub(super) async fn migrate(url: &str) -> Result<(), StoreError> {
    let trying = "reach the database";
    let mut conn = options(url)
        .map_err(|fault| fault.told(trying))?
        .connect()
        .await
        .map_err(failed(trying))?;
    migrations::apply(&mut conn, Dialect::Postgres).await?;
    conn.close().await.map_err(failed(trying))
}

impl PgStore {
    /// Opens the database and applies migrations. To serve also makes this process a node, listens for announcements,
    /// and takes back what dead nodes held.
    pub(super) async fn open(
        settings: &Settings,
        clock: SharedClock,
        mode: OpenMode,
    ) -> Result<Self, StoreError> {
        match (report(&settings.url).await?.pending.len(), mode) {
            (0, _) => {}
            (_, OpenMode::Serve) => migrate(&settings.url).await?,
            // Other nodes may run another version: changing the tables is for those who mean it.
            (pending, OpenMode::Tool) => return Err(StoreError::Behind { pending }),
        }
        let told = |fault: Fault| fault.told("open the database");
        let options = options(&settings.url).map_err(told)?;
        let pool = PgPoolOptions::new()
            // Batches, the listener, and some more that do not wait for each other.
            .max_connections(settings.max_connections.max(4))
            .acquire_timeout(ACQUIRE)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    conn.execute(SESSION).await?;
                    Ok(())
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(|error| told(error.into()))?;
        let channel: String =
            sqlx::query_scalar("SELECT 'lockstep_' || abs(hashtext(current_schema())::bigint)")
                .fetch_one(&pool)
                .await
                .map_err(|error| told(error.into()))?;
        let (arrived, notified) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let bell = Bell {
            channel: channel.into(),
            arrived: Arc::clone(&arrived),
            told: Arc::clone(&notified),
        };
        let (node, listener) = match mode {
            OpenMode::Tool => (None, None),
            OpenMode::Serve => {
                let node = Node::join(&options, clock.now()).await.map_err(told)?;
                let listener = tokio::spawn(listen(pool.clone(), bell.clone()));
                (Some(node), Some(AbortOnDropHandle::new(listener)))
            }
        };
        let lanes = Arc::new(Lanes::default());
        let broken = CancellationToken::new();
        let store = Self {
            deliveries: Batcher::start(Deliveries, pool.clone(), bell.clone(), &broken),
            jobs: Batcher::start(Jobs, pool.clone(), bell.clone(), &broken),
            finishes: Batcher::start(Finishes(Arc::clone(&lanes)), pool.clone(), bell.clone(), &broken),
            pool,
            lanes,
            arrived,
            told: notified,
            bell,
            looked_at: AtomicI64::new(i64::MIN),
            node,
            clock,
            broken,
            mode,
            _listener: listener,
        };
        store.refresh_lanes().await?;
        if mode == OpenMode::Serve {
            store.take_back(store.clock.now()).await?;
        }
        Ok(store)
    }

    /// Gives back the jobs of nodes that are gone, and those whose lease ended by the database's clock. It is called every few
    /// seconds, so what changed in the counts is added up here, too; but no job stays with a dead node because that fails.
    async fn take_back(&self, now: Timestamp) -> Result<u64, StoreError> {
        let trying = "reclaim jobs";
        if let Some(node) = &self.node {
            node.assert().await.map_err(|fault| fault.told(trying))?;
        }
        let count = self
            .write(trying, move |conn| {
                Box::pin(async move {
                    let dead = sql::reclaimable(conn).await?;
                    queue::reclaim(conn, &dead, now).await
                })
            })
            .await?;
        if count > 0 {
            self.ring().await;
        }
        // What is not added up now is added up the next time: until then it is read from more rows.
        let added = self
            .write("add up what is counted", |conn| Box::pin(clusters::add_up(conn)))
            .await;
        if let Err(error) = added {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the counts of open jobs and problems were not added up"
            );
        }
        Ok(count)
    }

    /// Runs an operation in a transaction, and again when it lost against another node's.
    async fn write<T, F>(&self, trying: &'static str, operation: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, Fault>> + Clone + Send,
    {
        let mut tries = 1;
        loop {
            match self.transaction(operation.clone()).await {
                Err(fault) if tries < TRIES && fault.is_lost_race() => tries += 1,
                result => return result.map_err(|fault| fault.told(trying)),
            }
        }
    }

    async fn transaction<T, F>(&self, operation: F) -> Result<T, Fault>
    where
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, Fault>>,
    {
        let mut held = self.pool.acquire().await?;
        let result = Self::in_time(async {
            let mut transaction = held.begin().await?;
            let value = operation(&mut transaction).await?;
            transaction.commit().await?;
            Ok(value)
        })
        .await;
        if matches!(result, Err(Fault::TooLong)) {
            Self::give_up(held);
        }
        result
    }

    /// Waits for an answer of the database, but not for ever.
    async fn in_time<T>(question: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        tokio::time::timeout(LIMIT, question)
            .await
            .unwrap_or(Err(Fault::TooLong))
    }

    /// Drops a connection that does not answer, so that nobody else waits for it.
    fn give_up(held: PoolConnection<Db>) {
        drop(held.detach());
    }

    /// A connection to read with.
    async fn reader(&self) -> Result<PoolConnection<Db>, Fault> {
        Ok(self.pool.acquire().await?)
    }

    async fn submit_delivery(&self, delivery: PreparedDelivery) -> Result<Recorded, StoreError> {
        self.deliveries.submit(delivery).await
    }

    async fn submit_job(&self, job: NewJob, lane_id: i64) -> Result<Enqueued, StoreError> {
        self.jobs.submit((job, lane_id)).await
    }

    async fn submit_finish(&self, finish: PreparedFinish) -> Result<Finished, StoreError> {
        self.finishes.submit(finish).await
    }

    /// Tells all nodes that there may be work. A failure costs a poll's delay, no more.
    async fn ring(&self) {
        self.arrived.notify_one();
        let announced = match self.reader().await {
            Ok(mut conn) => self.bell.announce(&mut conn).await,
            Err(fault) => Err(fault),
        };
        if announced.is_err() {
            tracing::debug!("the other nodes were not told of new work");
        }
    }

    /// Tells who sends, on whichever node, that there may be something to send.
    async fn ring_told(&self) {
        self.told.notify_one();
        let announced = match self.reader().await {
            Ok(mut conn) => self.bell.announce_notifications(&mut conn).await,
            Err(fault) => Err(fault),
        };
        if announced.is_err() {
            tracing::debug!("the other nodes were not told of new notifications");
        }
    }

    /// Nothing is to be done: PostgreSQL overwrites what was removed when it vacuums.
    #[expect(clippy::unused_async, reason = "the other database has something to do")]
    async fn empty_log(&self) {}

    /// A lease as the statements want it: how long, by the database's clock.
    fn lease(_now: Timestamp, lease: Duration) -> i64 {
        i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 4)
    }

    fn lease_until(&self, until: Timestamp) -> i64 {
        Self::lease(until, until.since(self.clock.now()))
    }

    fn node_id(&self) -> Option<i64> {
        self.node.as_ref().map(|node| node.id)
    }

    /// Who holds a lease, as the statements want it: with the node that it lives and dies with. A command is none; its leases
    /// end by their time alone.
    fn holder(&self, holder: &str) -> String {
        match &self.node {
            Some(node) => format!("{holder}{}{}", sql::OF_NODE, node.id),
            None => holder.to_owned(),
        }
    }

    /// The backstop of announcements.
    async fn another_process_wrote(&self) {
        tokio::time::sleep(POLL).await;
    }

    async fn shut(&self) {
        if let Some(node) = &self.node {
            node.leave().await;
        }
        // Connections that do not answer are left to the end of the process.
        let _ = tokio::time::timeout(LIMIT, self.pool.close()).await;
    }
}

/// Rings the bell of this process when another one announces work.
async fn listen(pool: PgPool, bell: Bell) {
    while !pool.is_closed() {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(&bell.channel).await.is_ok()
        {
            // Announcements that came before the listener did are lost.
            bell.arrived.notify_one();
            bell.told.notify_one();
            while let Ok(said) = listener.recv().await {
                bell.heard(said.payload());
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}
