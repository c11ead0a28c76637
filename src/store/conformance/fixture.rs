//! A fresh store for one test, of either kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::given::START;
use crate::domain::{Clock as _, JobState, ManualClock, SharedClock, Timestamp};
use crate::store::sqlite::{SqliteStore, Sync};
use crate::store::{OpenMode, Settings, SharedStore, Store, StoreError, open};

/// Where the tests find PostgreSQL.
const URL: &str = "LOCKSTEP_TEST_POSTGRES_URL";

/// How long a test waits for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store under test, and the means to open it again.
pub(in crate::store) struct Fixture {
    pub(in crate::store) store: SharedStore,
    pub(in crate::store) clock: ManualClock,
    place: Place,
}

/// Several nodes of one database.
pub(super) struct Nodes {
    pub(super) stores: Vec<SharedStore>,
    _place: Place,
}

/// Where the data is, as long as the test runs.
enum Place {
    Sqlite { path: PathBuf, _folder: TempDir },
    Postgres(Schema),
}

impl Fixture {
    pub(in crate::store) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::at(Place::Sqlite {
            path: folder.path().join("lockstep.db"),
            _folder: folder,
        })
        .await
    }

    pub(in crate::store) async fn postgres() -> Self {
        Self::at(Place::Postgres(Schema::make().await)).await
    }

    /// So many nodes that open one new database at the same time.
    pub(super) async fn postgres_nodes(count: usize) -> Nodes {
        let clock = ManualClock::new(START);
        let place = Place::Postgres(Schema::make().await);
        let opened = (0..count).map(|_| place.open(&clock, OpenMode::Serve));
        let opened = futures_util::future::join_all(opened).await;
        Nodes {
            stores: opened.into_iter().map(Result::unwrap).collect(),
            _place: place,
        }
    }

    /// Whether the database has a clock of its own.
    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Postgres(_))
    }

    /// Has the server end every connection of this store. Returns how many.
    pub(super) async fn cut_connections(&self) -> i64 {
        self.count(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE application_name = current_schema() AND pid <> pg_backend_pid()",
        )
        .await
    }

    /// A number that the database knows.
    pub(super) async fn count(&self, question: &'static str) -> i64 {
        let mut conn = PgConnection::connect(&self.settings().url).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut conn).await.unwrap()
    }

    /// The same of either database.
    pub(super) async fn number(&self, question: &'static str) -> i64 {
        if self.is_shared() {
            return self.count(question).await;
        }
        let mut conn = SqliteConnection::connect(&self.settings().url).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut conn).await.unwrap()
    }

    async fn at(place: Place) -> Self {
        let clock = ManualClock::new(START);
        let store = place.open(&clock, OpenMode::Serve).await.unwrap();
        Self { store, clock, place }
    }

    /// Whether several processes may serve this store.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.place, Place::Postgres(_))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn open(&self, mode: OpenMode) -> Result<SharedStore, StoreError> {
        self.place.open(&self.clock, mode).await
    }

    /// The settings that name this store.
    pub(super) fn settings(&self) -> Settings {
        let url = match &self.place {
            Place::Sqlite { path, .. } => format!("sqlite://{}", path.display()),
            Place::Postgres(schema) => schema.url(),
        };
        Settings {
            url,
            max_connections: 5,
            ..Settings::default()
        }
    }

    /// Runs a statement past the store.
    pub(super) async fn execute(&self, statement: &'static str) {
        let url = self.settings().url;
        if self.is_shared() {
            let mut conn = PgConnection::connect(&url).await.unwrap();
            sqlx::query(statement).execute(&mut conn).await.unwrap();
        } else {
            let mut conn = SqliteConnection::connect(&url).await.unwrap();
            sqlx::query(statement).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
    }

    /// Drops the store without closing it, as a crash does, opens it again, and takes back what ran.
    pub(in crate::store) async fn crash(self) -> Self {
        let Self { store, clock, place } = self;
        drop(store);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let store = loop {
            // The writer may still hold the file for a moment: a real crash ends it at once.
            match place.open(&clock, OpenMode::Serve).await {
                Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                    tokio::task::yield_now().await;
                }
                opened => break opened.unwrap(),
            }
        };
        // The server notices the death of a session within milliseconds, but not at once.
        loop {
            store.reclaim(clock.now()).await.unwrap();
            let counts = store.counts(clock.now()).await.unwrap();
            if counts.jobs.iter().all(|row| row.state != JobState::Running) {
                return Self { store, clock, place };
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "still running: {counts:?}"
            );
            tokio::task::yield_now().await;
        }
    }
}

impl Place {
    async fn open(&self, clock: &ManualClock, mode: OpenMode) -> Result<SharedStore, StoreError> {
        let clock: SharedClock = Arc::new(clock.clone());
        match self {
            Self::Sqlite { path, .. } => {
                let store = SqliteStore::open(path.clone(), Sync::Off, &clock, mode).await?;
                Ok(Arc::new(store) as Arc<dyn Store>)
            }
            Self::Postgres(schema) => {
                let settings = Settings {
                    url: schema.url(),
                    max_connections: 5,
                    ..Settings::default()
                };
                open(&settings, Path::new("."), clock, mode).await
            }
        }
    }
}

/// A schema of one test's own; it goes with the test.
pub(in crate::store) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub(in crate::store) async fn make() -> Self {
        let server = std::env::var(URL).unwrap_or_else(|_| {
            panic!("{URL} names no PostgreSQL to test with: run scripts/test, which starts one")
        });
        let schema = Self {
            server,
            name: format!("test_{}", uuid::Uuid::new_v4().simple()),
        };
        schema.execute("CREATE SCHEMA").await;
        schema
    }

    pub(in crate::store) fn url(&self) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        let name = &self.name;
        // Named after the schema, so that a test finds its own connections.
        format!(
            "{}{separator}options[search_path]={name}&application_name={name}",
            self.server
        )
    }

    async fn execute(&self, what: &str) {
        let mut conn = PgConnection::connect(&self.server).await.expect(URL);
        sqlx::query(AssertSqlSafe(format!("{what} {}", self.name)))
            .execute(&mut conn)
            .await
            .unwrap();
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        // A thread of its own, because this one may be in the middle of a runtime that ends.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    runtime.block_on(async {
                        if let Ok(mut conn) = PgConnection::connect(&self.server).await {
                            let drop = format!("DROP SCHEMA {} CASCADE", self.name);
                            let _ = sqlx::query(AssertSqlSafe(drop)).execute(&mut conn).await;
                        }
                    });
                }
            });
        });
    }
}
