//! Opening the store that the configuration names.

use std::path::Path;

use crate::config::Config;
use crate::domain::SharedClock;
use crate::store::{self, OpenMode, SharedStore, StoreError};

/// Opens the configured store: [`OpenMode::Serve`] for the daemon, [`OpenMode::Tool`] for a command beside it.
///
/// # Errors
/// When it cannot be reached or used.
pub async fn open(config: &Config, clock: &SharedClock, mode: OpenMode) -> Result<SharedStore, StoreError> {
    store::open(&config.store, folder(config), clock.clone(), mode).await
}

/// The folder that relative paths of the configuration start from.
pub fn folder(config: &Config) -> &Path {
    config.path.parent().unwrap_or(Path::new("."))
}
