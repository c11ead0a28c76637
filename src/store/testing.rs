//! A store for tests of other modules: SQLite in a file that goes away.

use std::path::Path;
use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::domain::SharedClock;
use crate::store::conformance::fixture::Schema;
use crate::store::sqlite::{SqliteStore, Sync};
use crate::store::{OpenMode, Settings, SharedStore, open};

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

/// A fresh place in the PostgreSQL that the test command started; it goes away with this.
pub struct TempPostgres(Schema);

impl TempPostgres {
    /// Makes one.
    ///
    /// # Panics
    /// When there is no such server.
    pub async fn new() -> Self {
        Self(Schema::make().await)
    }

    /// Its address, as `[store] url` wants it.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Opens it to serve.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn open(&self, clock: SharedClock) -> SharedStore {
        let settings = Settings {
            url: self.url(),
            max_connections: 5,
            ..Settings::default()
        };
        open(&settings, Path::new("/nowhere"), clock, OpenMode::Serve)
            .await
            .expect("a fresh place opens")
    }

    /// Lets the nodes that left be gone for longer than they are waited for. (The database's clock cannot be moved.)
    ///
    /// # Panics
    /// When the server fails.
    pub async fn nodes_that_left_stay_away(&self) {
        let mut conn = PgConnection::connect(&self.url()).await.expect("a connection");
        sqlx::query("UPDATE node_files SET seen_at = seen_at - 61000 WHERE gone = 1")
            .execute(&mut conn)
            .await
            .expect("an answer");
    }
}
