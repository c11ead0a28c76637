//! Durable state: events, jobs, attempts, links, problems, locks, cursors.
//!
//! Named operations, a trait for each topic (`operations/`) and one for all of them ([`Store`]). Two implementations: SQLite
//! (one writer, the default) and PostgreSQL (several nodes), which share what is not SQL (`shared/`). SQL appears nowhere
//! else. Both pass one conformance suite. Every operation is atomic: it happens wholly or not at all, and when it returned
//! `Ok` it survives a power cut.

mod body;
#[cfg(test)]
mod conformance;
mod error;
mod fault;
#[cfg(test)]
pub mod faulty;
mod look_only;
mod migrations;
mod open;
mod operations;
mod postgres;
mod prepared;
mod rules;
mod settings;
mod sqlite;
#[cfg(test)]
pub mod testing;

use std::sync::Arc;

pub use error::StoreError;
pub use look_only::LookOnly;
pub use migrations::{MigrationName, MigrationReport};
pub use open::{OpenMode, is_usable_address, migrate, migrations, open};
pub use operations::*;
pub use settings::{LEAST_KEEP_DAYS, Settings};

/// A store that many parts share.
pub type SharedStore = Arc<dyn Store>;

/// Durable state: the operations of all topics. See the module's documentation for what every one of them promises.
pub trait Store:
    Intake
    + Queue
    + Jobs
    + Review
    + Audit
    + Problems
    + Events
    + Links
    + Intents
    + Shops
    + Nodes
    + Leases
    + Runs
    + Drift
    + Imports
    + Written
    + Polls
    + Subscriptions
    + Sessions
    + Numbers
    + Alerts
    + Notices
    + Housekeeping
    + 'static
{
}
