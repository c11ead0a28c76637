//! The database file, its lock, and its connections.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::Conn;
use crate::store::StoreError;

/// How long a statement waits for another process that writes.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// Readers at the same time.
const READERS: u32 = 4;

/// How safe a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Sync {
    /// A commit that returned survives a power cut.
    Full,
    /// Nothing waits for the disk: for tests that need many commits.
    #[cfg(test)]
    Off,
}

/// The path in `sqlite://PATH`, relative to `base_dir`; `None` when the address is no file of SQLite's.
pub(in crate::store) fn path(url: &str, base_dir: &Path) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    // In memory every connection would have a database of its own; parameters are for settings that are ours to choose.
    if path.is_empty() || path.contains([':', '?', '#']) {
        return None;
    }
    Some(base_dir.join(path))
}

/// The exclusive right to serve a database: an operating system's lock on a file beside it, which ends with the process
/// however that ends.
#[derive(Debug)]
pub(super) struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// Takes the right, or says who has it.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let unavailable = |error| StoreError::Unavailable {
            trying: "lock the database",
            source: sqlx::Error::Io(error),
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
                path: database.display().to_string(),
            }),
            Err(TryLockError::Error(error)) => Err(unavailable(error)),
        }
    }
}

fn options(path: &Path, sync: Sync) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match sync {
            Sync::Full => SqliteSynchronous::Full,
            #[cfg(test)]
            Sync::Off => SqliteSynchronous::Off,
        })
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// The writer's connection.
pub(super) async fn writer(path: &Path, sync: Sync) -> Result<Conn, StoreError> {
    options(path, sync)
        .create_if_missing(true)
        .page_size(8192)
        // What is deleted is overwritten: it may be what a person asked to have removed, or a copy of that.
        .pragma("secure_delete", "ON")
        .pragma("cache_size", "-16384")
        .connect()
        .await
        .map_err(|source| StoreError::Unavailable {
            trying: "open the database",
            source,
        })
}

/// The readers' connections.
pub(super) fn readers(path: &Path, sync: Sync) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        .idle_timeout(Some(Duration::from_secs(60)))
        .connect_lazy_with(options(path, sync).pragma("query_only", "ON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_files_relative_to_the_configuration() {
        let base = Path::new("/etc/lockstep");
        for (url, expected) in [
            ("sqlite://lockstep.db", Some("/etc/lockstep/lockstep.db")),
            ("sqlite:lockstep.db", Some("/etc/lockstep/lockstep.db")),
            ("sqlite:///var/lib/lockstep.db", Some("/var/lib/lockstep.db")),
            ("sqlite://data/a b.db", Some("/etc/lockstep/data/a b.db")),
            ("sqlite::memory:", None),
            ("sqlite://", None),
            ("sqlite://x.db?mode=ro", None),
            ("mysql://x", None),
        ] {
            assert_eq!(path(url, base), expected.map(PathBuf::from), "{url}");
        }
    }
}
