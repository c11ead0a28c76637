//! How an operation of the store fails.

use crate::domain::Disposition;

/// Why an operation of the store failed. Nothing of it happened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, or was busy or full: it may work later.
    #[error("the store is unavailable while trying to {trying}")]
    Unavailable {
        /// The operation.
        trying: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database refused the operation.
    #[error("the store failed to {trying}")]
    Failed {
        /// The operation.
        trying: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A row that this version cannot read.
    #[error("table {table}, row {row}: column {column} holds what this version cannot read")]
    BadRow {
        /// Table.
        table: &'static str,
        /// Row's number.
        row: i64,
        /// Column.
        column: &'static str,
    },
    /// The database was made by a newer version.
    #[error(
        "the database is at migration {found}, this lockstep knows migrations up to {known}: install the newer lockstep again"
    )]
    TooNew {
        /// The newest migration in the database.
        found: i64,
        /// The newest that this binary has.
        known: i64,
    },
    /// The database is older than this version, and a tool does not change it.
    #[error(
        "the database lacks {pending} of this version's migrations: run `lockstep migrate`, or start `lockstep serve`"
    )]
    Behind {
        /// How many.
        pending: usize,
    },
    /// The settings name no store.
    #[error("`{0}` is no store address: expected sqlite://PATH or postgres://USER@HOST/DATABASE")]
    BadUrl(String),
    /// Another daemon uses the database.
    #[error("another lockstep already serves {path}: stop it first, or give this one a database of its own")]
    InUse {
        /// The database file.
        path: String,
    },
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What it means for a job: every failure of the store may pass, and none is the record's fault.
    pub fn disposition(&self) -> Disposition {
        Disposition::Transient { retry_after: None }
    }
}
