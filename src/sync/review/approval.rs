//! A person's yes to a plan, as it is kept until the plan is carried out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::domain::{JobId, JobKey, NewProblem};
use crate::sync::flow::Flow;
use crate::sync::stop::Stop;

/// That somebody approved of the plan of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Approval {
    /// Of which. A later job of the same record asks anew.
    job: JobId,
    /// The plan's hash.
    plan: String,
    /// Who.
    pub(super) by: String,
    /// What was approved of, one by one, as hashes.
    parts: BTreeSet<String>,
    /// Whether an attempt began to carry it out.
    began: bool,
}

/// The named position of a record's approval.
fn name(key: &JobKey) -> String {
    format!("plan:{}:{}:{}", key.direction, key.object, key.source_id)
}

/// What is to be kept when a person approves of the plan with which a job is held: the plan's hash, the name of the position,
/// and its value. None where the job waits for nothing of the kind.
pub fn approval(
    job: JobId,
    key: &JobKey,
    problem: &NewProblem,
    by: &str,
) -> Option<(String, String, String)> {
    let plan = Plan::of(problem)?;
    let approval = Approval {
        job,
        parts: plan.parts(),
        plan: plan.plan,
        by: by.to_owned(),
        began: false,
    };
    let value = serde_json::to_string(&approval).ok()?;
    Some((approval.plan, name(key), value))
}

impl Approval {
    /// What a person approved of about the attempt's job. Once an attempt of it has ended on record it is approved no more, and only
    /// then is it taken away: one that did its work and did not live to say so is repeated under the same approval.
    pub(super) async fn read(flow: &Flow<'_>) -> Result<Option<Self>, Stop> {
        let shop = flow.shop;
        let text = shop.store.cursor(&shop.name, &name(&flow.job.key)).await?;
        let approval: Option<Self> = text.and_then(|text| serde_json::from_str(&text).ok());
        let Some(approval) = approval else {
            return Ok(None);
        };
        let story = shop.store.job(approval.job).await?;
        let is_spent = story.is_none_or(|story| {
            let mut since_it_waited = story
                .attempts
                .iter()
                .rev()
                .map(|attempt| attempt.outcome.as_str())
                .take_while(|outcome| *outcome != "held");
            let is_done = |outcome: &str| matches!(outcome, "completed" | "obsolete");
            !story.job.state.is_open() || since_it_waited.any(is_done)
        });
        if is_spent {
            Self::forget(flow).await?;
            return Ok(None);
        }
        Ok((approval.job == flow.job.id).then_some(approval))
    }

    /// Whether this plan may be carried out.
    pub(super) fn allows(&self, plan: &Plan) -> bool {
        self.plan == plan.plan || (self.began && plan.is_rest_of(&self.parts))
    }

    /// Whether an attempt began to carry it out, and did not end.
    pub(super) fn is_being_carried_out(&self) -> bool {
        self.began
    }

    /// Notes that it is being carried out from now on: an attempt that is cut short leaves a rest.
    pub(super) async fn begin(&self, flow: &Flow<'_>) -> Result<(), Stop> {
        if self.began {
            return Ok(());
        }
        let begun = Self {
            began: true,
            ..self.clone()
        };
        begun.write(flow).await
    }

    async fn write(&self, flow: &Flow<'_>) -> Result<(), Stop> {
        let shop = flow.shop;
        let text = serde_json::to_string(self).unwrap_or_default();
        let name = name(&flow.job.key);
        Ok(shop
            .store
            .set_cursor(&shop.name, &name, &text, shop.clock.now())
            .await?)
    }

    /// It is carried out: what comes now is asked anew, even if it looks the same.
    async fn forget(flow: &Flow<'_>) -> Result<(), Stop> {
        let shop = flow.shop;
        let name = name(&flow.job.key);
        Ok(shop
            .store
            .set_cursor(&shop.name, &name, "", shop.clock.now())
            .await?)
    }
}
