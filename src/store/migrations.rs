//! Which migrations this binary has, which a database has, and applying the difference.

use std::borrow::Cow;

use serde::Serialize;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use crate::store::StoreError;

/// sqlx's own name for its table.
const TABLE: &str = "_sqlx_migrations";

/// A migration in a folder of `migrations/`: the same number means the same in both.
struct File {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Every migration, first to last. A released one is never edited.
const FILES: &[File] = &[
    File {
        version: 1,
        name: "first",
        sqlite: include_str!("../../migrations/sqlite/0001_first.sql"),
        postgres: include_str!("../../migrations/postgres/0001_first.sql"),
    },
    File {
        version: 2,
        name: "subscriptions",
        sqlite: include_str!("../../migrations/sqlite/0002_subscriptions.sql"),
        postgres: include_str!("../../migrations/postgres/0002_subscriptions.sql"),
    },
    File {
        version: 3,
        name: "nodes and runs",
        sqlite: include_str!("../../migrations/sqlite/0003_nodes_and_runs.sql"),
        postgres: include_str!("../../migrations/postgres/0003_nodes_and_runs.sql"),
    },
    File {
        version: 4,
        name: "nodes that left",
        sqlite: include_str!("../../migrations/sqlite/0004_nodes_that_left.sql"),
        postgres: include_str!("../../migrations/postgres/0004_nodes_that_left.sql"),
    },
    File {
        version: 5,
        name: "polling",
        sqlite: include_str!("../../migrations/sqlite/0005_polling.sql"),
        postgres: include_str!("../../migrations/postgres/0005_polling.sql"),
    },
    File {
        version: 6,
        name: "way back",
        sqlite: include_str!("../../migrations/sqlite/0006_way_back.sql"),
        postgres: include_str!("../../migrations/postgres/0006_way_back.sql"),
    },
    File {
        version: 7,
        name: "outgoing",
        sqlite: include_str!("../../migrations/sqlite/0007_outgoing.sql"),
        postgres: include_str!("../../migrations/postgres/0007_outgoing.sql"),
    },
    File {
        version: 8,
        name: "review",
        sqlite: include_str!("../../migrations/sqlite/0008_review.sql"),
        postgres: include_str!("../../migrations/postgres/0008_review.sql"),
    },
    File {
        version: 9,
        name: "sessions",
        sqlite: include_str!("../../migrations/sqlite/0009_sessions.sql"),
        postgres: include_str!("../../migrations/postgres/0009_sessions.sql"),
    },
    File {
        version: 10,
        name: "review at scale",
        sqlite: include_str!("../../migrations/sqlite/0010_review_at_scale.sql"),
        postgres: include_str!("../../migrations/postgres/0010_review_at_scale.sql"),
    },
    File {
        version: 11,
        name: "alerts",
        sqlite: include_str!("../../migrations/sqlite/0011_alerts.sql"),
        postgres: include_str!("../../migrations/postgres/0011_alerts.sql"),
    },
    File {
        version: 12,
        name: "imports",
        sqlite: include_str!("../../migrations/sqlite/0012_imports.sql"),
        postgres: include_str!("../../migrations/postgres/0012_imports.sql"),
    },
    File {
        version: 13,
        name: "drift",
        sqlite: include_str!("../../migrations/sqlite/0013_drift.sql"),
        postgres: include_str!("../../migrations/postgres/0013_drift.sql"),
    },
    File {
        version: 14,
        name: "kept counts",
        sqlite: include_str!("../../migrations/sqlite/0014_kept_counts.sql"),
        postgres: include_str!("../../migrations/postgres/0014_kept_counts.sql"),
    },
    File {
        version: 15,
        name: "notifications",
        sqlite: include_str!("../../migrations/sqlite/0015_notifications.sql"),
        postgres: include_str!("../../migrations/postgres/0015_notifications.sql"),
    },
    File {
        version: 16,
        name: "written",
        sqlite: include_str!("../../migrations/sqlite/0016_written.sql"),
        postgres: include_str!("../../migrations/postgres/0016_written.sql"),
    },
    File {
        version: 17,
        name: "asked_for",
        sqlite: include_str!("../../migrations/sqlite/0017_asked_for.sql"),
        postgres: include_str!("../../migrations/postgres/0017_asked_for.sql"),
    },
];

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// A migration, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationName {
    /// Its number, from 1.
    pub version: i64,
    /// Its name.
    pub name: String,
}

/// How far a database is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// What was applied, oldest first.
    pub applied: Vec<MigrationName>,
    /// What this binary would apply, in order.
    pub pending: Vec<MigrationName>,
}

impl MigrationReport {
    /// For a database that has these versions.
    ///
    /// # Errors
    /// When the database has one that this binary does not know.
    pub(super) fn new(versions: &[i64]) -> Result<Self, StoreError> {
        let known = FILES.last().map_or(0, |file| file.version);
        if let Some(found) = versions.iter().copied().filter(|version| *version > known).max() {
            return Err(StoreError::TooNew { found, known });
        }
        let names = |is_applied: bool| {
            let files = FILES
                .iter()
                .filter(|file| versions.contains(&file.version) == is_applied);
            files
                .map(|file| MigrationName {
                    version: file.version,
                    name: file.name.to_owned(),
                })
                .collect()
        };
        Ok(Self {
            applied: names(true),
            pending: names(false),
        })
    }
}

/// What makes a database of SQLite as this binary wants it, in order.
#[cfg(test)]
pub(super) fn of_sqlite() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.sqlite)
}

fn migrator(dialect: Dialect) -> Migrator {
    let migrations = FILES.iter().map(|file| {
        let sql = match dialect {
            Dialect::Sqlite => file.sqlite,
            Dialect::Postgres => file.postgres,
        };
        Migration::new(
            file.version,
            Cow::Borrowed(file.name),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

fn failed(trying: &'static str) -> impl Fn(MigrateError) -> StoreError {
    move |error| StoreError::Failed {
        trying,
        source: sqlx::Error::Migrate(Box::new(error)),
    }
}

/// What the database behind the connection has. Makes the table of migrations when there is none.
pub(super) async fn report<C: Migrate>(conn: &mut C) -> Result<MigrationReport, StoreError> {
    let trying = failed("read the list of applied migrations");
    // PostgreSQL: several nodes may start at once, and making one table twice at the same time fails.
    conn.lock().await.map_err(&trying)?;
    conn.ensure_migrations_table(TABLE).await.map_err(&trying)?;
    let applied = conn.list_applied_migrations(TABLE).await.map_err(&trying)?;
    conn.unlock().await.map_err(&trying)?;
    let versions: Vec<i64> = applied.iter().map(|migration| migration.version).collect();
    MigrationReport::new(&versions)
}

/// Applies what is pending. On PostgreSQL a database lock keeps two processes from doing it at once; on SQLite the
/// caller holds the file lock.
pub(super) async fn apply<C: Migrate>(conn: &mut C, dialect: Dialect) -> Result<(), StoreError> {
    migrator(dialect)
        .run_direct(None, conn, false)
        .await
        .map_err(failed("apply migrations"))
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;

    #[test]
    fn numbers_rise_by_one() {
        for (index, file) in FILES.iter().enumerate() {
            assert_eq!(usize::try_from(file.version).unwrap(), index + 1);
        }
    }

    /// Revisions of a database of the first version, before and after.
    async fn kept<DB>(conn: &mut DB::Connection, files: &[&'static str]) -> (Vec<(i64, String)>, i64)
    where
        DB: sqlx::Database,
        for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
        (i64, String): for<'r> sqlx::FromRow<'r, DB::Row>,
        (i64,): for<'r> sqlx::FromRow<'r, DB::Row>,
        for<'q> <DB as sqlx::Database>::Arguments: sqlx::IntoArguments<DB>,
    {
        let mut files = files.iter();
        let first = files.next().unwrap();
        sqlx::raw_sql(*first).execute(&mut *conn).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO revisions (hash, summary, created_at) VALUES ('a', 'one', 1), ('b', 'two', 2)",
        )
        .execute(&mut *conn)
        .await
        .unwrap();
        for (place, file) in files.enumerate() {
            sqlx::raw_sql(*file).execute(&mut *conn).await.unwrap();
            // The third one adds runs; a later one copies them.
            if place == 1 {
                sqlx::raw_sql(
                    "INSERT INTO runs (id, kind, shop, object, cause, since, node, started_at, seen_at)
                     VALUES (7, 'delta', 'main', 'order', 'catch_up', 1, 'one', 2, 3)",
                )
                .execute(&mut *conn)
                .await
                .unwrap();
            }
        }
        let runs: Vec<(i64, String)> = sqlx::query_as("SELECT id, kind FROM runs")
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        assert_eq!(runs, [(7, "delta".to_owned())]);
        let rows = sqlx::query_as("SELECT id, hash FROM revisions WHERE acted_on = 1 ORDER BY id")
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        let (next,): (i64,) = sqlx::query_as(
            "INSERT INTO revisions (hash, summary, toggles, node, acted_on, created_at)
             VALUES ('a', 'one again', '{}', 'node', 1, 4) RETURNING id",
        )
        .fetch_one(conn)
        .await
        .unwrap();
        (rows, next)
    }

    #[tokio::test]
    async fn revisions_and_runs_of_earlier_versions_keep_their_numbers() {
        let expected = (vec![(1, "a".to_owned()), (2, "b".to_owned())], 3);
        let mut sqlite = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let files: Vec<_> = FILES.iter().map(|file| file.sqlite).collect();
        assert_eq!(kept::<sqlx::Sqlite>(&mut sqlite, &files).await, expected);
        let place = crate::store::testing::TempPostgres::new().await;
        let mut postgres = sqlx::PgConnection::connect(&place.url()).await.unwrap();
        let files: Vec<_> = FILES.iter().map(|file| file.postgres).collect();
        assert_eq!(kept::<sqlx::Postgres>(&mut postgres, &files).await, expected);
    }

    /// What is miscounted where half of the migrations met rows, and how many rows are counted.
    async fn miscounted<DB>(conn: &mut DB::Connection, files: &[&'static str]) -> (i64, i64)
    where
        DB: sqlx::Database,
        for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
        (i64,): for<'r> sqlx::FromRow<'r, DB::Row>,
        for<'q> <DB as sqlx::Database>::Arguments: sqlx::IntoArguments<DB>,
    {
        let (kept, before): (Vec<&str>, Vec<&str>) = files
            .iter()
            .copied()
            .partition(|file| file.contains("job_counts"));
        assert_eq!(kept.len(), 1);
        for file in before {
            sqlx::raw_sql(file).execute(&mut *conn).await.unwrap();
        }
        sqlx::raw_sql(
            "INSERT INTO lanes (id, shop, object, direction, record_prefix) VALUES (1, 'main', 'order', 'in', 'x'),
                 (2, 'main', 'product', 'out', 'y');
             INSERT INTO jobs (id, lane_id, source_id, state, priority, run_at, wanted, events, wanted_since, cause,
                 created_at, updated_at, ended_at)
             VALUES (1, 1, '1', 'problem', 1, 1, 1, 1, 1, 'a', 1, 1, NULL), (2, 1, '2', 'problem', 1, 1, 1, 1, 1, 'a', 1, 1, NULL),
                 (3, 2, '3', 'held', 1, 1, 1, 1, 1, 'a', 1, 1, NULL), (4, 2, '4', 'available', 1, 1, 1, 1, 1, 'a', 1, 1, NULL),
                 (5, 2, '5', 'completed', 1, 1, 1, 1, 1, 'a', 1, 1, 5);
             INSERT INTO problems (shop, job_id, code, reason, fix, owner, cluster, detail, opened_at, seen_at, count, closed_at)
             VALUES ('main', 1, 'c', 'r', 'f', 'o', 'k', 'null', 1, 1, 1, NULL), ('main', 2, 'c', 'r', 'f', 'o', 'k', 'null', 1, 1, 1, NULL),
                 ('main', 3, 'd', 'r', 'f', 'o', 'k', 'null', 1, 1, 1, NULL), ('main', NULL, 'c', 'r', 'f', 'o', 'k', 'null', 1, 1, 1, NULL),
                 ('main', 5, 'c', 'r', 'f', 'o', 'k', 'null', 1, 1, 1, 7);
             INSERT INTO job_names (job_id, kind, value) VALUES (1, 'sku', 'HAT'), (3, 'sku', 'HAT'), (4, 'sku', 'HAT'), (5, 'sku', 'HAT')",
        )
        .execute(&mut *conn)
        .await
        .unwrap();
        sqlx::raw_sql(kept[0]).execute(&mut *conn).await.unwrap();
        let (wrong,): (i64,) = sqlx::query_as(crate::store::conformance::kept::MISCOUNTED)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        let (rows,): (i64,) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM job_counts) + (SELECT count(*) FROM problem_counts) + (SELECT count(*) FROM names_at_rest)",
        )
        .fetch_one(conn)
        .await
        .unwrap();
        (wrong, rows)
    }

    #[tokio::test]
    async fn what_stands_already_is_counted() {
        let mut sqlite = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let files: Vec<_> = FILES.iter().map(|file| file.sqlite).collect();
        assert_eq!(miscounted::<sqlx::Sqlite>(&mut sqlite, &files).await, (0, 7));
        let place = crate::store::testing::TempPostgres::new().await;
        let mut postgres = sqlx::PgConnection::connect(&place.url()).await.unwrap();
        let files: Vec<_> = FILES.iter().map(|file| file.postgres).collect();
        assert_eq!(miscounted::<sqlx::Postgres>(&mut postgres, &files).await, (0, 7));
    }

    #[test]
    fn a_newer_database_is_refused() {
        let known = FILES.last().unwrap().version;
        assert!(matches!(
            MigrationReport::new(&[1, known + 1]),
            Err(StoreError::TooNew { found, known: k }) if found == known + 1 && k == known
        ));
        let fresh = MigrationReport::new(&[]).unwrap();
        assert_eq!(fresh.pending.len(), FILES.len());
        assert!(fresh.applied.is_empty());
    }
}
