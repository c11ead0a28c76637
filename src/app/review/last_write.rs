//! By which revision of the mappings a record was written last, as its jobs tell.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{Direction, JobId, Timestamp};
use crate::store::{JobRow, SharedStore, StoreError};
use crate::sync::written_by;

/// Jobs whose stories are read.
const MOST_JOBS: usize = 10;

/// What was written of a record last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LastWrite {
    /// The revision of the mappings: `lockstep resync --mapping` takes it.
    pub mapping: String,
    /// `in` to the ERP, `out` to the shop.
    pub direction: Direction,
    /// When the attempt began that wrote.
    pub at: Timestamp,
    /// Its job.
    pub job: JobId,
}

/// The last write that these jobs of a record tell of, the newest job first; only the first few are asked.
///
/// # Errors
/// When the store fails.
pub async fn last_write(store: &SharedStore, jobs: &[JobRow]) -> Result<Option<LastWrite>, StoreError> {
    for job in jobs.iter().take(MOST_JOBS) {
        let Some(story) = store.job(job.id).await? else {
            continue;
        };
        let mut attempts: Vec<_> = story.attempts.iter().collect();
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.started_at));
        for attempt in attempts {
            let key = &job.key;
            let writes = written_by(&attempt.detail);
            let own = writes
                .into_iter()
                .rfind(|write| write.object == key.object && write.source == key.source_id);
            if let Some(write) = own {
                return Ok(Some(LastWrite {
                    mapping: write.mapping,
                    direction: key.direction,
                    at: attempt.started_at,
                    job: job.id,
                }));
            }
        }
    }
    Ok(None)
}
