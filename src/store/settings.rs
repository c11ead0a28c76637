//! `[store]` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Finished work is kept for at least so many days: Shopify repeats a delivery for up to two, and a repetition is known
/// only by what is kept.
pub const LEAST_KEEP_DAYS: u32 = 7;

/// `[store]`: where durable state lives and how long finished work is kept.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `sqlite://PATH` (relative to the configuration file) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub url: String,
    /// File that holds the address instead, for one with a password; read when the daemon or a command starts.
    pub url_file: Option<PathBuf>,
    /// Completed work older than this many days (at least 7) is deleted in small steps; failures never are.
    #[schemars(range(min = 7))]
    pub keep_days: u32,
    /// When to delete it: a cron expression (UTC), five or six fields.
    pub prune_schedule: String,
    /// PostgreSQL: the most connections this process opens.
    pub max_connections: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "sqlite://lockstep.db".into(),
            url_file: None,
            keep_days: 90,
            prune_schedule: "17 3 * * *".into(),
            max_connections: 10,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password: its scheme is all that is shown.
        let scheme = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("Settings")
            .field("url", &format_args!("{scheme}:…"))
            .field("keep_days", &self.keep_days)
            .finish_non_exhaustive()
    }
}
