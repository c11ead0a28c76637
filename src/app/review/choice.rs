//! Fields that both sides changed: a person chooses whose value is kept.

use serde_json::json;

use super::Reviewer;
use crate::domain::{JobId, JobState};
use crate::store::{Acted, Action, StoreError};
use crate::sync;

pub use crate::sync::{ChooseError, Conflict, Keep};

/// Why a choice between two values was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It does not wait for a choice.
    #[error("job {id} is {state} and does not ask whose value is kept")]
    NotAsked {
        /// Which.
        id: JobId,
        /// Its state.
        state: JobState,
    },
    /// Its problem asks something else.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reviewer {
    /// Chooses whose value is kept of the fields that both sides changed: of all that the job's problem shows, of one by
    /// its name in all rows that have it, or of one row ([`Conflict::row`]).
    /// The job is tried now; where a value changed since it was shown, it asks anew. Returns the fields.
    ///
    /// # Errors
    /// When the job asks for no such choice, or the store fails.
    pub async fn choose(
        &self,
        id: JobId,
        keep: Keep,
        field: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Vec<Conflict>, ChoiceError> {
        let story = self.store.job(id).await?.ok_or(ChoiceError::Unknown(id))?;
        let job = story.job;
        let problem = job.problem.filter(|_| job.state == JobState::Problem);
        let problem = problem.ok_or(ChoiceError::NotAsked { id, state: job.state })?;
        let asked = (id, &job.key, &problem);
        let (chosen, note) = sync::choose(&self.store, asked, keep, field).await?;
        let fields: Vec<_> = chosen.iter().map(|conflict| conflict.field.as_str()).collect();
        let detail = json!({ "keep": keep, "fields": fields });
        let action = Action::Choose {
            job: id,
            note,
            detail,
        };
        match self.act(action, reason).await? {
            Acted::NotNow(state) => return Err(ChoiceError::NotAsked { id, state }),
            Acted::Unknown => return Err(ChoiceError::Unknown(id)),
            _ => {}
        }
        Ok(chosen)
    }
}
