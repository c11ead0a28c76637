//! One record with everything that is known of it: both ids, its jobs, and what both sides agreed on.

use serde::Serialize;

use super::places::{References, kind_of, references};
use crate::config::Shop;
use crate::domain::{Direction, JobKey, Link, Object};
use crate::store::{JobFilter, JobRow, SharedStore, StoreError};

/// How many jobs of a record are listed.
const MOST_JOBS: u32 = 100;

/// A record of the shop.
#[derive(Clone, Debug, Serialize)]
pub struct RecordView {
    /// What it is.
    pub object: Object,
    /// Shopify's number.
    pub id: String,
    /// Where it is to be seen.
    pub references: References,
    /// Its link, with what both sides agreed on.
    pub link: Option<Link>,
    /// Its jobs into the ERP and, when it is linked, back, newest first.
    pub jobs: Vec<JobRow>,
}

/// What is known of a record of the shop.
///
/// # Errors
/// When the store fails.
pub async fn record(
    store: &SharedStore,
    shop: &Shop,
    object: Object,
    id: &str,
) -> Result<RecordView, StoreError> {
    let key = JobKey {
        shop: shop.name.clone(),
        object,
        direction: Direction::In,
        source_id: id.to_owned(),
    };
    let link = match kind_of(object) {
        Some(kind) => store.links(&shop.name, kind, &[id.to_owned()]).await?.pop(),
        None => None,
    };
    let mut jobs = jobs_of(store, &key).await?;
    if let Some(link) = &link {
        let back = JobKey {
            direction: Direction::Out,
            source_id: link.erp_id.to_string(),
            ..key.clone()
        };
        jobs.extend(jobs_of(store, &back).await?);
        jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    }
    let named = jobs.iter().find(|job| job.key.direction == Direction::In);
    let names = (
        named.and_then(|job| job.record_name.clone()),
        named.and_then(|job| job.erp_name.clone()),
    );
    Ok(RecordView {
        object,
        id: id.to_owned(),
        references: references(store, shop, &key, (names.0.as_deref(), names.1.as_deref())).await?,
        link,
        jobs,
    })
}

async fn jobs_of(store: &SharedStore, key: &JobKey) -> Result<Vec<JobRow>, StoreError> {
    let filter = JobFilter {
        shop: Some(key.shop.clone()),
        object: Some(key.object),
        direction: Some(key.direction),
        source_id: Some(key.source_id.clone()),
        limit: MOST_JOBS,
        ..JobFilter::default()
    };
    store.jobs(filter).await
}
