//! Plans that wait for a person's yes or no.

use super::Reviewer;
use crate::domain::{Direction, JobId, JobState, Object, ShopName};
use crate::store::{Acted, Action, JobFilter, JobRow, StoreError};
use crate::sync;

pub use crate::sync::{Plan, WAITING_FOR_APPROVAL};

/// What became of a person's answer to a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It counts: what the store made of it.
    Counts(Acted),
    /// The job waits with another plan than the one that was seen. Nothing was done.
    Changed,
    /// The job does not wait for an approval; how it stands. Nothing was done.
    NotWaiting(JobState),
    /// There is no such job.
    Unknown,
}

impl Answered {
    /// In one sentence. `done` is what is said when it counts.
    pub fn told(&self, job: JobId, done: &str) -> String {
        match self {
            Self::Counts(Acted::Already) => format!("job {job}: that was answered already; nothing was done"),
            Self::Counts(_) => format!("job {job}: {done}"),
            Self::Changed => format!(
                "job {job}: its plan has changed since it was shown; nothing was done. Look at the new one: lockstep jobs show {job}"
            ),
            Self::NotWaiting(state) => {
                format!("job {job} is {state} and does not wait for approval; nothing was done")
            }
            Self::Unknown => format!("there is no job {job}"),
        }
    }

    /// Whether it was refused.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Counts(_))
    }
}

/// Which of the plans that wait. What is not given is not asked.
#[derive(Clone, Debug, Default)]
pub struct PlanFilter {
    /// Of this shop.
    pub shop: Option<ShopName>,
    /// About this object.
    pub object: Option<Object>,
    /// In this direction.
    pub direction: Option<Direction>,
}

/// What became of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ManyAnswered {
    /// Plans that are carried out now.
    pub approved: u64,
    /// Plans that changed, or were answered by somebody else, in that moment.
    pub passed_by: u64,
}

/// How many jobs are read at once.
const PAGE: u32 = 200;

impl PlanFilter {
    /// The jobs that wait with a plan, newest first, a page of them.
    pub fn jobs(&self, before: Option<JobId>, limit: u32) -> JobFilter {
        JobFilter {
            shop: self.shop.clone(),
            object: self.object,
            direction: self.direction,
            states: vec![JobState::Held],
            code: Some(WAITING_FOR_APPROVAL.to_owned()),
            before,
            limit,
            ..JobFilter::default()
        }
    }
}

/// The plan that a job waits with.
pub fn plan_of(job: &JobRow) -> Option<Plan> {
    let problem = job.problem.as_ref().filter(|_| job.state == JobState::Held)?;
    Plan::of(problem)
}

impl Reviewer {
    /// Lets a job go on with the plan that it waits with; with `seen`, only if it is the plan of this hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn approve_plan(
        &self,
        job: JobId,
        seen: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Answered, StoreError> {
        let Some(story) = self.store.job(job).await? else {
            return Ok(Answered::Unknown);
        };
        self.approve_row(&story.job, seen, reason).await
    }

    async fn approve_row(
        &self,
        row: &JobRow,
        seen: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Answered, StoreError> {
        let job = row.id;
        let by = &self.actor.name;
        let granted = row
            .problem
            .as_ref()
            .and_then(|problem| sync::approval(job, &row.key, problem, by));
        let Some((plan, position, approval)) = granted else {
            return Ok(Answered::NotWaiting(row.state));
        };
        if seen.is_some_and(|seen| seen != plan) {
            return Ok(Answered::Changed);
        }
        let action = Action::ApprovePlan {
            job,
            plan,
            position,
            approval,
        };
        Ok(match self.act(action, reason).await? {
            Acted::NotNow(JobState::Held) => Answered::Changed,
            Acted::NotNow(state) => Answered::NotWaiting(state),
            Acted::Unknown => Answered::Unknown,
            acted => Answered::Counts(acted),
        })
    }

    /// Lets all jobs go on that wait with a plan and fit, each with the plan that it waits with as it is read.
    ///
    /// # Errors
    /// When the store fails. Those that were approved before stay approved.
    pub async fn approve_matching(
        &self,
        filter: &PlanFilter,
        reason: Option<&str>,
    ) -> Result<ManyAnswered, StoreError> {
        let mut many = ManyAnswered::default();
        let mut before = None;
        loop {
            let page = self.store.jobs(filter.jobs(before, PAGE)).await?;
            let Some(last) = page.last() else {
                return Ok(many);
            };
            before = Some(last.id);
            for row in &page {
                match self.approve_row(row, None, reason).await? {
                    Answered::Counts(acted) if acted.is_change() => many.approved += 1,
                    _ => many.passed_by += 1,
                }
            }
        }
    }

    /// Gives a job up whose plan waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reject_plan(&self, job: JobId, reason: &str) -> Result<Answered, StoreError> {
        let acted = self.act(Action::RejectPlan { job }, Some(reason)).await?;
        Ok(match acted {
            Acted::NotNow(state) => Answered::NotWaiting(state),
            Acted::Unknown => Answered::Unknown,
            acted => Answered::Counts(acted),
        })
    }
}
