//! Open problems by cause: what is wrong, how often, since when, and where to look.

use schemars::JsonSchema;
use serde::Serialize;

use super::places::{References, references};
use crate::config::Config;
use crate::domain::{JobId, Timestamp};
use crate::store::{ClusterRow, JobStory, SharedStore, StoreError};

pub use crate::store::ClusterFilter;

/// One cause, with an example's record on both sides.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ClusterView {
    /// The problems.
    #[serde(flatten)]
    pub row: ClusterRow,
    /// The example's record.
    pub example_sides: References,
    /// Whether they need not be shown now.
    pub is_snoozed: bool,
}

/// Open problems by cause, the most frequent first; snoozed ones last.
///
/// # Errors
/// When the store fails.
pub async fn clusters(
    config: &Config,
    store: &SharedStore,
    filter: ClusterFilter,
    now: Timestamp,
) -> Result<Vec<ClusterView>, StoreError> {
    let mut views = Vec::new();
    for row in store.problem_clusters(filter).await? {
        let example_sides = match row.example_job {
            Some(job) => sides(config, store, job).await?.references,
            None => References::default(),
        };
        views.push(ClusterView {
            is_snoozed: row.snoozed_until.is_some_and(|until| until > now),
            example_sides,
            row,
        });
    }
    views.sort_by_key(|view| view.is_snoozed);
    Ok(views)
}

/// A job's record on both sides.
#[derive(Debug, Default)]
pub struct Sides {
    /// The job, where there is one.
    pub story: Option<JobStory>,
    /// Where its record is to be seen; nothing where the configuration has no such shop any more.
    pub references: References,
}

/// A job with its record's references.
///
/// # Errors
/// When the store fails.
pub async fn sides(config: &Config, store: &SharedStore, job: JobId) -> Result<Sides, StoreError> {
    let Some(story) = store.job(job).await? else {
        return Ok(Sides::default());
    };
    let row = &story.job;
    let references = match config.shops.get(&row.key.shop) {
        Some(shop) => {
            let names = (row.record_name.as_deref(), row.erp_name.as_deref());
            references(store, shop, &row.key, names).await?
        }
        None => References::default(),
    };
    Ok(Sides {
        story: Some(story),
        references,
    })
}
