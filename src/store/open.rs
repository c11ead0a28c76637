//! From the settings to an open store.

use std::path::Path;
use std::sync::Arc;

use crate::domain::SharedClock;
use crate::store::migrations::MigrationReport;
use crate::store::postgres::{self, PgStore};
use crate::store::sqlite::{self, SqliteStore, Sync};
use crate::store::{Settings, SharedStore, StoreError};

/// Who opens a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The daemon: claims and runs jobs. On SQLite there is at most one for each database, and it takes over every running job at once.
    Serve,
    /// A command line tool beside it: reads, and writes what people order. It claims nothing.
    Tool,
}

/// An address that is fit to be shown: without user and password.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

/// Whether [`open`] can make something of this address: a file of `SQLite`'s without parameters, or `PostgreSQL`.
pub fn is_usable_address(url: &str) -> bool {
    sqlite::path(url, Path::new("")).is_some() || postgres::is_usable_address(url)
}

/// Opens the store that the settings name. Pending migrations are applied, but not by a tool on PostgreSQL: that is
/// [`StoreError::Behind`]. Paths of SQLite files are relative to
/// `base_dir`, the configuration file's folder.
///
/// # Errors
/// [`StoreError::BadUrl`], [`StoreError::InUse`] and [`StoreError::TooNew`] tell people what to do; the rest means that
/// the database could not be reached or used.
pub async fn open(
    settings: &Settings,
    base_dir: &Path,
    clock: SharedClock,
    mode: OpenMode,
) -> Result<SharedStore, StoreError> {
    if let Some(path) = sqlite::path(&settings.url, base_dir) {
        return Ok(Arc::new(SqliteStore::open(path, Sync::Full, &clock, mode).await?));
    }
    if postgres::is_address(&settings.url) {
        return Ok(Arc::new(PgStore::open(settings, clock, mode).await?));
    }
    Err(StoreError::BadUrl(shown(&settings.url)))
}

/// Which migrations the database has and which it lacks. Changes nothing but the list of
/// applied migrations, which is made where it is missing.
///
/// # Errors
/// As [`open`].
pub async fn migrations(settings: &Settings, base_dir: &Path) -> Result<MigrationReport, StoreError> {
    if let Some(path) = sqlite::path(&settings.url, base_dir) {
        return sqlite::report(&path).await;
    }
    if postgres::is_address(&settings.url) {
        return postgres::report(&settings.url).await;
    }
    Err(StoreError::BadUrl(shown(&settings.url)))
}

/// Applies pending migrations and returns how far the database was before: `pending` is what was applied now.
///
/// # Errors
/// As [`open`]; on SQLite [`StoreError::InUse`] while a daemon serves the database.
pub async fn migrate(settings: &Settings, base_dir: &Path) -> Result<MigrationReport, StoreError> {
    let report = migrations(settings, base_dir).await?;
    if let Some(path) = sqlite::path(&settings.url, base_dir) {
        if !report.pending.is_empty() {
            sqlite::migrate(&path).await?;
        }
    } else if !report.pending.is_empty() {
        postgres::migrate(&settings.url).await?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_as_they_are_opened() {
        for (url, usable) in [
            ("sqlite://lockstep.db", true),
            ("sqlite:///var/lib/lockstep/lockstep.db", true),
            ("sqlite://lockstep.db?mode=rwc", false),
            ("sqlite://c#d/lockstep.db", false),
            ("sqlite::memory:", false),
            ("sqlite://", false),
            ("postgres://me:pw@db.example.com:5432/lockstep", true),
            ("postgres://me:pw@db.example.com:port/lockstep", false),
            ("mysql://me@db/lockstep", false),
            ("lockstep.db", false),
        ] {
            assert_eq!(is_usable_address(url), usable, "{url}");
        }
    }

    #[test]
    fn shown_addresses_hold_no_password() {
        assert_eq!(shown("mysql://me:secret@host/db"), "mysql://…@host/db");
        assert_eq!(shown("postgres://me:s@e@host/db"), "postgres://…@host/db");
        assert_eq!(shown("lockstep.db"), "lockstep.db");
    }
}
