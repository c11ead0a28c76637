//! What people do with jobs: look at them, try them again, give them up.

use crate::domain::{Direction, JobId, JobState, Object, SharedClock, ShopName};
use crate::store::{JobFilter, JobRow, JobStory, Retried, SharedStore, StoreError};
use crate::sync::SUDDEN_CHANGE;

/// Why a job was not given up.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It is closed already, or runs at this moment.
    #[error("job {id} is {state} and cannot be discarded")]
    NotNow {
        /// Which.
        id: JobId,
        /// Its state.
        state: crate::domain::JobState,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Jobs that fit the filter, newest first.
///
/// # Errors
/// When the store fails.
pub async fn list(store: &SharedStore, filter: JobFilter) -> Result<Vec<JobRow>, StoreError> {
    store.jobs(filter).await
}

/// One job with its whole history.
///
/// # Errors
/// When the store fails.
pub async fn show(store: &SharedStore, id: JobId) -> Result<Option<JobStory>, StoreError> {
    store.job(id).await
}

/// Tries a job again now, with its attempts counted anew; a closed one gets a new job of the same key.
///
/// # Errors
/// When the store fails.
pub async fn retry(store: &SharedStore, clock: &SharedClock, id: JobId) -> Result<Retried, StoreError> {
    let retried = store.retry(id, clock.now()).await?;
    tracing::info!(job = %id, ?retried, "job {id}: retry asked for");
    Ok(retried)
}

/// Gives an open job up, with a person's reason.
///
/// # Errors
/// When there is no such job, when it runs or is closed, or when the store fails.
pub async fn discard(
    store: &SharedStore,
    clock: &SharedClock,
    id: JobId,
    reason: &str,
) -> Result<(), DiscardError> {
    if store.discard(id, reason, clock.now()).await? {
        tracing::info!(job = %id, "job {id}: discarded");
        return Ok(());
    }
    Err(match store.job(id).await? {
        Some(story) => DiscardError::NotNow {
            id,
            state: story.job.state,
        },
        None => DiscardError::Unknown(id),
    })
}

/// How many jobs are read at once.
const PAGE: u32 = 500;

/// The jobs that the limits on sudden change hold back.
///
/// # Errors
/// When the store fails.
pub async fn held_back(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
) -> Result<Vec<JobRow>, StoreError> {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let filter = JobFilter {
            shop: Some(shop.clone()),
            object: Some(object),
            states: vec![JobState::Held],
            before,
            limit: PAGE,
            ..JobFilter::default()
        };
        let page = store.jobs(filter).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        before = Some(last.id);
        found.extend(
            page.into_iter()
                .filter(|job| job.key.direction == Direction::Out)
                .filter(|job| {
                    job.problem
                        .as_ref()
                        .is_some_and(|problem| problem.code.0 == SUDDEN_CHANGE)
                }),
        );
    }
}
