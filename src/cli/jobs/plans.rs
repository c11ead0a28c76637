//! `lockstep jobs approve` and `reject`: plans that wait, and what the limits on sudden change hold back.

use clap::Args;
use serde_json::json;

use super::super::actor;
use super::super::failure::{FAILED, Failure};
use super::super::output::Output;
use crate::app;
use crate::app::review::{Answered, ManyAnswered, Plan, PlanFilter, Reviewer};
use crate::config::Config;
use crate::domain::{Direction, JobId, Object, SharedClock, ShopName};
use crate::store::SharedStore;

/// Which plans.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The numbers of jobs that wait with a plan.
    #[arg(required_unless_present_any = ["all_matching", "shop"], conflicts_with = "all_matching")]
    ids: Vec<i64>,
    /// Every plan that waits, as far as `--shop`, `--object` and `--direction` narrow it.
    #[arg(long)]
    all_matching: bool,
    /// Of this shop. Without job numbers and `--all-matching`: what is held of it because it is unusually much.
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    shop: Option<ShopName>,
    /// About this object.
    #[arg(long, value_name = "OBJECT", conflicts_with = "ids")]
    object: Option<Object>,
    /// In this direction; only with `--all-matching`.
    #[arg(long, value_name = "DIRECTION", requires = "all_matching")]
    direction: Option<Direction>,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
}

/// Which plans are not carried out.
#[derive(Debug, Args)]
pub(super) struct Reject {
    /// The numbers of jobs that wait with a plan.
    #[arg(required_unless_present = "shop")]
    ids: Vec<i64>,
    /// The shop of which is held what is unusually much.
    #[arg(long, value_name = "NAME", requires = "object", conflicts_with = "ids")]
    shop: Option<ShopName>,
    /// What those changes are about: customer, product or inventory.
    #[arg(long, value_name = "OBJECT", requires = "shop")]
    object: Option<Object>,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: String,
}

impl Approve {
    pub(super) async fn run(
        self,
        output: Output,
        config: &Config,
        store: &SharedStore,
        clock: &SharedClock,
    ) -> Result<(), Failure> {
        let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
        let reason = self.reason.as_deref();
        if self.all_matching {
            let filter = PlanFilter {
                shop: self.shop,
                object: self.object,
                direction: self.direction,
            };
            let many = reviewer.approve_matching(&filter, u64::MAX, reason).await?;
            app::ring::ring(config, store).await;
            let failed = |many: ManyAnswered| match many.failure {
                Some(error) => Err(Failure::from(error)),
                None => Ok(()),
            };
            if output.json {
                output.document(&many)?;
                return failed(many);
            }
            output.line(format!("{} plans are carried out now", many.approved));
            if many.passed_by > 0 {
                output.line(format!(
                    "{} changed meanwhile or were answered by others",
                    many.passed_by
                ));
            }
            return failed(many);
        }
        if self.ids.is_empty() {
            let (Some(shop), Some(object)) = (&self.shop, self.object) else {
                return Err(Failure::usage("`--object` is needed")
                    .help("or add `--all-matching` to approve of all plans of the shop that wait"));
            };
            let jobs = reviewer.approve(shop, object, reason).await?;
            app::ring::ring(config, store).await;
            return super::answered(output, jobs, "approved", "on their way to the shop");
        }
        let mut answers = Vec::new();
        for id in &self.ids {
            let job = JobId(*id);
            answers.push((job, reviewer.approve_plan(job, None, reason).await?));
        }
        app::ring::ring(config, store).await;
        told(output, &answers, "approved", "its plan is carried out now")
    }
}

impl Reject {
    pub(super) async fn run(
        self,
        output: Output,
        store: &SharedStore,
        clock: &SharedClock,
    ) -> Result<(), Failure> {
        let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
        if let (Some(shop), Some(object)) = (&self.shop, self.object) {
            let jobs = reviewer.reject(shop, object, &self.reason).await?;
            return super::answered(output, jobs, "rejected", "given up");
        }
        let mut answers = Vec::new();
        for id in &self.ids {
            let job = JobId(*id);
            answers.push((job, reviewer.reject_plan(job, None, &self.reason).await?));
        }
        told(
            output,
            &answers,
            "rejected",
            "its plan is given up; a later change of the record makes a new one",
        )
    }
}

fn told(output: Output, answers: &[(JobId, Answered)], result: &str, done: &str) -> Result<(), Failure> {
    if output.json {
        let rows: Vec<_> = answers
            .iter()
            .map(|(job, answer)| {
                let result = if answer.is_refusal() { "nothing" } else { result };
                json!({ "job": job, "result": result, "told": answer.told(*job, done) })
            })
            .collect();
        output.document(&rows)?;
    } else {
        for (job, answer) in answers {
            output.line(answer.told(*job, done));
        }
    }
    if answers.iter().any(|(_, answer)| answer.is_refusal()) {
        return Err(Failure::Told(FAILED));
    }
    Ok(())
}

/// A plan, record by record and field by field.
pub(super) fn show(output: Output, plan: &Plan) {
    output.line("\nPlan:");
    for write in &plan.writes {
        output.line(format!("  {} {} {}", write.action, write.model, write.record));
        for field in &write.fields {
            let now = match &field.now {
                Some(now) => format!("{now} → "),
                None => String::new(),
            };
            output.line(format!("      {:<24} {now}{}", field.field, field.then));
        }
    }
    for step in &plan.steps {
        let amount = step.amount.as_deref().unwrap_or_default();
        output.line(format!("  then {} {} {amount}", step.act, step.what));
    }
    output.line(format!("  hash {}", plan.plan));
}
