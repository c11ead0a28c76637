//! Open problems by cause: what is wrong, how often, since when, and where to look.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::places::{References, kind_of, of_link, references};
use super::title::title_of;
use crate::config::Config;
use crate::domain::{Direction, ErpId, JobId, Link, Object, ShopName, Timestamp};
use crate::store::{ClusterRow, JobFilter, JobRow, JobStory, SharedStore, StoreError};

pub use crate::store::ClusterFilter;

/// One cause, with an example's record on both sides.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ClusterView {
    /// What the cause is called: one sentence that is true of all its problems.
    pub title: String,
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
    let rows = store.problem_clusters(filter).await?;
    let jobs: Vec<JobId> = rows.iter().filter_map(|row| row.example_job).collect();
    let mut sides = references_of(config, store, &jobs).await?;
    let mut views: Vec<ClusterView> = rows
        .into_iter()
        .map(|row| ClusterView {
            title: title_of(&row.example, row.jobs),
            is_snoozed: row.snoozed_until.is_some_and(|until| until > now),
            example_sides: row
                .example_job
                .and_then(|job| sides.remove(&job))
                .unwrap_or_default(),
            row,
        })
        .collect();
    views.sort_by_key(|view| view.is_snoozed);
    Ok(views)
}

/// The references of many jobs' records, with a few questions for all of them.
async fn references_of(
    config: &Config,
    store: &SharedStore,
    jobs: &[JobId],
) -> Result<BTreeMap<JobId, References>, StoreError> {
    let mut found = BTreeMap::new();
    if jobs.is_empty() {
        return Ok(found);
    }
    let filter = JobFilter {
        ids: jobs.to_vec(),
        limit: u32::try_from(jobs.len()).unwrap_or(u32::MAX),
        ..JobFilter::default()
    };
    let mut kinds: BTreeMap<(ShopName, Object, Direction), Vec<JobRow>> = BTreeMap::new();
    for row in store.jobs(filter).await? {
        let of = (row.key.shop.clone(), row.key.object, row.key.direction);
        kinds.entry(of).or_default().push(row);
    }
    for ((shop, object, direction), rows) in kinds {
        let Some(shop) = config.shops.get(&shop) else {
            continue;
        };
        let ids: Vec<String> = rows.iter().map(|row| row.key.source_id.clone()).collect();
        let links = match (kind_of(object), direction) {
            (None, _) => Vec::new(),
            (Some(kind), Direction::In) => store.links(&shop.name, kind, &ids).await?,
            (Some(kind), Direction::Out) => {
                let ids: Vec<ErpId> = ids.iter().filter_map(|id| id.parse().ok()).map(ErpId).collect();
                store.links_of_erp(&shop.name, kind, &ids).await?
            }
        };
        for row in rows {
            let is_its = |link: &&Link| match direction {
                Direction::In => link.source_id == row.key.source_id,
                Direction::Out => link.erp_id.to_string() == row.key.source_id,
            };
            let names = (row.record_name.as_deref(), row.erp_name.as_deref());
            let references = of_link(shop, &row.key, links.iter().find(is_its), names);
            found.insert(row.id, references);
        }
    }
    Ok(found)
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
