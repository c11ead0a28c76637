//! Plans that wait for a person's yes or no.

use super::Reviewer;
use crate::domain::{Direction, JobId, JobState, Object, Priority, ShopName};
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
#[derive(Debug, Default, serde::Serialize)]
pub struct ManyAnswered {
    /// Plans that are carried out now.
    pub approved: u64,
    /// Plans that changed, or were answered by somebody else, in that moment.
    pub passed_by: u64,
    /// Whether more may wait: it ended at its limit, or because the store failed.
    pub more: bool,
    /// Why it ended before its time. What was approved of before counts.
    #[serde(skip)]
    pub failure: Option<StoreError>,
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
        self.approve_at(job, seen, reason, Priority::URGENT).await
    }

    /// The same for one of many that are approved of at once: nobody waits for just this one, and what comes meanwhile does not
    /// wait behind all of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn approve_one_of_many(
        &self,
        job: JobId,
        seen: &str,
        reason: Option<&str>,
    ) -> Result<Answered, StoreError> {
        self.approve_at(job, Some(seen), reason, Priority::LIVE).await
    }

    async fn approve_at(
        &self,
        job: JobId,
        seen: Option<&str>,
        reason: Option<&str>,
        priority: Priority,
    ) -> Result<Answered, StoreError> {
        let Some(story) = self.store.job(job).await? else {
            return Ok(Answered::Unknown);
        };
        self.approve_row(&story.job, seen, reason, priority).await
    }

    async fn approve_row(
        &self,
        row: &JobRow,
        seen: Option<&str>,
        reason: Option<&str>,
        priority: Priority,
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
            priority,
        };
        Ok(match self.act(action, reason).await? {
            Acted::NotNow(JobState::Held) => Answered::Changed,
            Acted::NotNow(state) => Answered::NotWaiting(state),
            Acted::Unknown => Answered::Unknown,
            acted => Answered::Counts(acted),
        })
    }

    /// Lets jobs go on that wait with a plan and fit, newest first and at most this many, each with the plan that it waits with as
    /// it is read.
    ///
    /// # Errors
    /// When the store fails before anything was done. Later its failure is told beside what was done.
    pub async fn approve_matching(
        &self,
        filter: &PlanFilter,
        most: u64,
        reason: Option<&str>,
    ) -> Result<ManyAnswered, StoreError> {
        let mut many = ManyAnswered::default();
        match self.approve_up_to(filter, most, reason, &mut many).await {
            Ok(more) => many.more = more,
            Err(error) if many.approved == 0 && many.passed_by == 0 => return Err(error),
            Err(error) => {
                many.more = true;
                many.failure = Some(error);
            }
        }
        Ok(many)
    }

    /// Counts in `many` what is done; says whether more may wait.
    async fn approve_up_to(
        &self,
        filter: &PlanFilter,
        most: u64,
        reason: Option<&str>,
        many: &mut ManyAnswered,
    ) -> Result<bool, StoreError> {
        let mut before = None;
        loop {
            let page = self.store.jobs(filter.jobs(before, PAGE)).await?;
            let Some(last) = page.last() else {
                return Ok(false);
            };
            before = Some(last.id);
            for row in &page {
                // Only what is approved of counts: whoever asks again then always gets on.
                if many.approved >= most {
                    return Ok(true);
                }
                match self.approve_row(row, None, reason, Priority::LIVE).await? {
                    Answered::Counts(acted) if acted.is_change() => many.approved += 1,
                    _ => many.passed_by += 1,
                }
            }
        }
    }

    /// Gives a job up whose plan waits; with `seen`, only if it is the plan of this hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reject_plan(
        &self,
        job: JobId,
        seen: Option<&str>,
        reason: &str,
    ) -> Result<Answered, StoreError> {
        let action = Action::RejectPlan {
            job,
            plan: seen.map(str::to_owned),
        };
        Ok(match self.act(action, Some(reason)).await? {
            Acted::NotNow(JobState::Held) if seen.is_some() => {
                let story = self.store.job(job).await?;
                if story.is_some_and(|story| plan_of(&story.job).is_some()) {
                    Answered::Changed
                } else {
                    Answered::NotWaiting(JobState::Held)
                }
            }
            Acted::NotNow(state) => Answered::NotWaiting(state),
            Acted::Unknown => Answered::Unknown,
            acted => Answered::Counts(acted),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::testing::planned;
    use crate::domain::{Actor, ManualClock, SharedClock, Timestamp, Via};
    use crate::store::faulty::{FaultyStore, StoreFault};
    use crate::store::testing::open_temp;

    #[tokio::test]
    async fn many_are_approved_of_up_to_a_limit_and_whoever_asks_again_gets_on() {
        let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-12-01T10:00:00Z").unwrap());
        let clock: SharedClock = Arc::new(clock);
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        for id in ["1", "2", "3"] {
            planned(&store, id, id).await;
        }
        let reviewer = Reviewer::new(store.clone(), clock, Actor::new("anna", Via::Cli));
        for (approved, more) in [(2, true), (1, false), (0, false)] {
            let many = reviewer
                .approve_matching(&PlanFilter::default(), 2, None)
                .await
                .unwrap();
            assert_eq!((many.approved, many.more), (approved, more), "{many:?}");
        }
        store.close().await;
    }

    #[tokio::test]
    async fn what_was_approved_of_before_the_store_failed_is_told() {
        let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-12-01T10:00:00Z").unwrap());
        let clock: SharedClock = Arc::new(clock);
        let (_folder, inner) = open_temp(Arc::clone(&clock)).await;
        for id in ["1", "2"] {
            planned(&inner, id, id).await;
        }
        let store = Arc::new(FaultyStore::new(inner.clone()));
        let reviewer = Reviewer::new(store.clone(), clock, Actor::new("anna", Via::Cli));
        let all = PlanFilter::default();
        store.fail("jobs", StoreFault::Away, 1);
        assert!(reviewer.approve_matching(&all, 9, None).await.is_err());
        // The first page is read, the next is not.
        store.fail_after("jobs", 1, StoreFault::Away, 1);
        let many = reviewer.approve_matching(&all, 9, None).await.unwrap();
        assert_eq!((many.approved, many.more), (2, true), "{many:?}");
        assert!(many.failure.is_some(), "{many:?}");
        inner.close().await;
    }
}
