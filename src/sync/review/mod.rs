//! Plans that wait for a person: in lanes of which every plan is looked at, and where a shop's rules ask for it.
//!
//! Such an attempt is rehearsed first, by what previews are made by. What it would write is kept with the job, which is held.
//! A person's yes names exactly that plan: an attempt that would write anything else is held anew. What was approved and began
//! may be cut short; then the rest is carried out without another question as long as it holds nothing that was not in the plan.
//!
//! Of a record of the shop, the attempt works with the very record that the plan was made of ([`remember`]).

mod approval;
mod plan;
mod remember;

use std::collections::BTreeSet;

use serde_json::json;

use super::flow::Flow;
use super::preview::{self, Preview};
use super::settings::Deleted;
use super::stop::Stop;
use super::writes::Writes;
use super::{live, orders};
use crate::domain::{Direction, LinkKind, NewProblem, Object, ShopifyId};

pub use approval::approval;
pub use plan::{Asked, Plan, PlannedStep, WAITING_FOR_APPROVAL};
pub(super) use remember::remembering;

use approval::Approval;

/// Passes, or holds the job with its plan. To be called before anything is written.
pub(super) async fn pass(flow: &mut Flow<'_>) -> Result<(), Stop> {
    // A second run of the same attempt is asked by itself.
    flow.approved = false;
    flow.approved_changes = None;
    flow.unasked.clear();
    let key = &flow.job.key;
    let resynced = flow.care.as_ref().filter(|mark| mark.hold);
    let resynced = resynced.map(|mark| mark.mapping.clone());
    let other = by_other_mappings(flow);
    if resynced.is_none() && other.is_none() && !flow.shop.rules.may_hold(key.object, key.direction) {
        return Ok(());
    }
    let mut changes = None;
    let (mut plan, name) = match key.direction {
        Direction::In => planned_in(flow).await?,
        Direction::Out => {
            let planned = preview::planned_out(flow).await?;
            let Some(planned) = planned else {
                // Whatever comes up a moment later is planned anew.
                flow.approved_changes = Some(BTreeSet::new());
                return Ok(());
            };
            changes = Some(planned.changes);
            let name = planned.preview.record_name.clone();
            (Plan::new(planned.preview, planned.because), name)
        }
    };
    if let Some(manual) = flow.shop.rules.manual(key.object, key.direction) {
        let told = format!(
            "all plans of {}.{} wait until {}",
            key.object, key.direction, manual.until
        );
        plan.because.insert(0, told);
    }
    if let Some(mapping) = resynced {
        let told = format!("what mapping {mapping} wrote is put right only when somebody has looked");
        plan.because.insert(0, told);
    }
    if let Some(told) = other {
        plan.because.insert(0, told);
        if plan.is_empty() {
            // It would be done without having put anything right, and nobody would know.
            plan = Plan::not_shown(key.object, &key.source_id, plan.because);
        }
    }
    if plan.because.is_empty() {
        // No rule asks about this. About something else it may, so that nothing else is written.
        flow.approved_changes = changes;
        return Ok(());
    }
    let known = Approval::read(flow).await?;
    if plan.is_empty() {
        return unplanned(flow, plan.because, known).await;
    }
    match known {
        Some(approval) if approval.allows(&plan) => {
            approval.begin(flow).await?;
            flow.note("approved", json!({ "plan": plan.plan, "by": approval.by }));
            flow.approved = true;
            flow.approved_changes = changes;
            return Ok(());
        }
        Some(_) => plan.changed = true,
        None => {}
    }
    if let Some(name) = name {
        flow.subject.record = Some(name);
    }
    Err(Stop::Held(Box::new(held(flow, &plan))))
}

/// Why a record that a wrong mapping wrote waits although its plan was to be carried out: this process maps by other files than it was
/// planned by, maybe still by the wrong ones.
fn by_other_mappings(flow: &Flow<'_>) -> Option<String> {
    let mark = flow.care.as_ref()?;
    let now = flow.mappings.revision();
    (!mark.by.is_empty() && mark.by != now).then(|| {
        format!(
            "it was planned by mappings {} to put right what {} wrote, and the ones in force are {now}",
            mark.by, mark.mapping
        )
    })
}

/// Lets an attempt go on whose rehearsal showed nothing to write. Writes that a rehearsal cannot show stop it
/// ([`Flow::may_write_unplanned`]), unless they are the rest of what was approved of, or somebody said yes to just that.
async fn unplanned(flow: &mut Flow<'_>, because: Vec<String>, known: Option<Approval>) -> Result<(), Stop> {
    let key = &flow.job.key;
    let plan = Plan::not_shown(key.object, &key.source_id, because);
    match known {
        Some(approval) if approval.allows(&plan) || approval.is_being_carried_out() => {
            approval.begin(flow).await?;
            flow.note("approved", json!({ "plan": plan.plan, "by": approval.by }));
            flow.approved = true;
        }
        _ => flow.unasked = plan.because,
    }
    Ok(())
}

impl Flow<'_> {
    /// Ends the attempt before it writes to the ERP what no plan shows, where plans wait for a person and nobody was asked.
    pub(super) fn may_write_unplanned(&self) -> Result<(), Stop> {
        if !self.must_not_write_unplanned() {
            return Ok(());
        }
        let key = &self.job.key;
        let plan = Plan::not_shown(key.object, &key.source_id, self.unasked.clone());
        Err(Stop::Held(Box::new(held(self, &plan))))
    }

    /// Whether nothing may be written to the ERP without asking first.
    pub(super) fn must_not_write_unplanned(&self) -> bool {
        !self.unasked.is_empty() && !self.approved
    }

    /// Notes changes that are about to be written to the shop, and ends the attempt if they are others than were approved of: the
    /// ERP's record has changed since they were planned, a moment ago.
    pub(super) fn changes_as_approved(&self, hash: &str) -> Result<(), Stop> {
        let mut meant = self
            .meant_changes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        meant.insert(hash.to_owned());
        match &self.approved_changes {
            Some(approved) if !approved.contains(hash) => Err(self.look_again()),
            _ => Ok(()),
        }
    }
}

/// The problem of a job that waits with its plan.
fn held(flow: &Flow<'_>, plan: &Plan) -> NewProblem {
    let (job, key) = (flow.job.id, &flow.job.key);
    let mut reason = if plan.changed {
        "Something changed after its plan was approved, so that it waits again".to_owned()
    } else {
        "It waits for somebody to approve of it".to_owned()
    };
    let (verdict, because) = (&plan.verdict, plan.because.join("; "));
    reason = format!("{reason}: {verdict}. Why it waits: {because}.");
    if let Some(asked) = &plan.then {
        reason = format!("{reason} Afterwards a person is asked: {}", asked.reason);
    }
    let fix = format!(
        "Look at the plan (`lockstep jobs show {job}`). If it is right: `lockstep jobs approve {job}`. If not: correct the record, or `lockstep jobs reject {job} --reason …`."
    );
    let lane = format!("{}.{}", key.object, key.direction);
    let mut problem = flow.subject.problem(WAITING_FOR_APPROVAL, &lane, reason, &fix);
    if let Some(manual) = flow.shop.rules.manual(key.object, key.direction) {
        problem.owner.clone_from(&manual.owner);
    }
    problem.mapping = None;
    problem.detail = serde_json::to_value(plan).unwrap_or_default();
    problem
}

/// The plan for a record of the shop, and the record's name.
async fn planned_in(flow: &Flow<'_>) -> Result<(Plan, Option<String>), Stop> {
    let key = &flow.job.key;
    let nothing = || (Plan::nothing(), None);
    let Ok(id) = key.source_id.parse::<ShopifyId>() else {
        return Ok(nothing());
    };
    let writes = Writes::default();
    let mut rehearsed = flow.rehearsed(&writes);
    let mut preview = Preview::of(&flow.shop.name, key.object, key.source_id.clone());
    if key.object == Object::Order
        && let Some(order) = flow.shop.source.order(id, flow.select(Object::Order)).await?
    {
        orders::announce(flow, &order).await?;
    }
    match preview::look(&mut rehearsed, id, &mut preview).await {
        Ok(true) => {}
        Ok(false) => {
            // A record that is gone from the shop may be archived in the ERP.
            archived(flow, &mut preview).await?;
        }
        // All was planned, and a question comes at its end.
        Err(Stop::Problem(problem) | Stop::Held(problem))
            if !preview.verdict.is_empty() && !preview.writes.is_empty() =>
        {
            preview.problem = Some(*problem);
        }
        // There is no whole plan: what stands in the way is told at once, and nothing is written.
        Err(stop) => return Err(stop),
    }
    let because = rehearsed.reasons_to_wait();
    let name = preview.record_name.clone();
    Ok((Plan::new(preview, because), name))
}

/// Adds what becomes of the ERP's record when its source is gone.
async fn archived(flow: &Flow<'_>, preview: &mut Preview) -> Result<(), Stop> {
    let (shop, key) = (flow.shop, &flow.job.key);
    let (kind, becomes) = match key.object {
        Object::Customer => (LinkKind::Customer, shop.settings.deleted_customers),
        Object::Product => (LinkKind::Product, shop.settings.deleted_products),
        _ => return Ok(()),
    };
    if becomes != Deleted::Archive {
        return Ok(());
    }
    let links = shop
        .store
        .links(&shop.name, kind, std::slice::from_ref(&key.source_id))
        .await?;
    if let Some(link) = live(links) {
        preview.verdict = format!("{} {} would be archived", link.model, link.erp_id);
        preview
            .writes
            .push(preview::bare("archive", &link.model, link.erp_id));
    }
    Ok(())
}
