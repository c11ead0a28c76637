//! A store for tests of other modules: SQLite in a file that goes away.

use std::sync::Arc;

use tempfile::TempDir;

use crate::domain::SharedClock;
use crate::store::sqlite::{SqliteStore, Sync};
use crate::store::{OpenMode, SharedStore};

/// A fresh store in a temporary folder, opened to serve. Keep the folder as long as the store is used. Its commits do not
/// wait for the disk.
///
/// # Panics
/// When the store cannot be made.
pub async fn open_temp(clock: SharedClock) -> (TempDir, SharedStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lockstep.db");
    let store = SqliteStore::open(path, Sync::Off, &clock, OpenMode::Serve)
        .await
        .expect("a fresh store opens");
    (folder, Arc::new(store))
}
