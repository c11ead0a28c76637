//! What an attempt found and did, and what becomes of the job.

use std::collections::BTreeSet;

use serde_json::json;

use super::articles::Article;
use super::reckon::{Level, Place, Plan, Quantity, Set, Waiting, agreed_as};
use super::send::Sent;
use super::{CROWDED, ORDER_IN_WORK, table_key};
use crate::domain::{
    About, Carried, Changed, Disposition, ErpAbout, FieldValue, Happened, Happening, Link, NewProblem,
    Object, Outcome, Refusal, Report,
};
use crate::sync::flow::{Flow, agreed_out_of};
use crate::sync::out::model_of_variants;
use crate::sync::stop::Stop;

/// What an attempt found and did.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Articles that are done with.
    pub(super) done: Vec<Article>,
    /// Articles that have no stock to be set, and why.
    skipped: Vec<(Article, String)>,
    /// Why others were left out.
    gone: Vec<&'static str>,
    /// Places whose warehouse the ERP does not have.
    pub(super) unknown: BTreeSet<Place>,
    waits: Vec<Waiting>,
    conflicts: Vec<(Quantity, Level)>,
    refused: Vec<(Set, Refusal)>,
    wrote: Vec<(Quantity, Set)>,
    /// Whether numbers changed each time between reading and writing them.
    pub(super) is_crowded: bool,
}

impl Found {
    /// An article that has no stock to be set.
    pub(super) fn skip(&mut self, article: Article, reason: &str) {
        self.skipped.push((article, reason.to_owned()));
    }

    /// An article that is not there any more.
    pub(super) fn gone(&mut self, reason: &'static str) {
        self.gone.push(reason);
    }

    /// Whether the shop refused to have this level set.
    pub(super) fn is_refused(&self, set: &Set) -> bool {
        self.refused
            .iter()
            .any(|(refused, _)| (refused.item, refused.location) == (set.item, set.location))
    }

    /// Takes in what was planned and what became of it: what is agreed on from now on stands in the articles' links.
    pub(super) fn settle(&mut self, articles: &mut [Article], plan: &Plan, sent: &Sent) {
        self.wrote
            .extend(sent.done.iter().map(|set| (plan.quantity, *set)));
        self.refused.extend(sent.refused.iter().cloned());
        for article in articles {
            let of = |level: &&Level| level.item == article.item;
            let is_left = sent.is_left(article.item);
            if !is_left {
                let waits = plan.waits.iter().filter(|wait| wait.item == article.item);
                self.waits.extend(waits);
                let conflicts = plan.conflicts.iter().filter(of);
                self.conflicts
                    .extend(conflicts.map(|level| (plan.quantity, *level)));
            }
            let before = agreed_out_of(&article.link);
            let mut agreed = before.clone();
            for level in plan.levels.iter().filter(of) {
                let name = agreed_as(plan.quantity, level.location);
                let same = |set: &Set| (set.item, set.location) == (level.item, level.location);
                let was_planned = plan.sets.iter().any(same);
                let was_written = sent.done.iter().any(same);
                let waits = plan
                    .waits
                    .iter()
                    .any(|wait| (wait.item, wait.location) == (level.item, level.location));
                if waits || plan.conflicts.contains(level) || (was_planned && !was_written) {
                    continue;
                }
                let now = level.agreed(before.get(&name), was_written);
                agreed.insert(name, now);
            }
            if agreed != before {
                article.link.agreed_out = serde_json::to_value(agreed).unwrap_or_default();
                article.is_changed = true;
            }
        }
    }

    /// The links that are not known yet as they are now.
    pub(super) fn links(&self) -> Vec<Link> {
        let skipped = self.skipped.iter().map(|(article, _)| article);
        let changed = self
            .done
            .iter()
            .chain(skipped)
            .filter(|article| article.is_changed);
        changed.map(|article| article.link.clone()).collect()
    }

    /// What is told of each article: of those that were written, and of the others that nothing had to be.
    pub(super) fn told(&self, flow: &Flow<'_>, only_written: bool) -> Vec<Happened> {
        let model = model_of_variants(flow);
        let of = |article: &Article| {
            let written: Vec<_> = self
                .wrote
                .iter()
                .filter(|(_, set)| set.item == article.item)
                .collect();
            let status = match written.as_slice() {
                [] => Carried::Skipped,
                _ => Carried::Updated,
            };
            let changed = written.into_iter().map(|(quantity, set)| Changed {
                field: agreed_as(*quantity, set.location),
                old: set.from.map(FieldValue::Integer),
                new: Some(FieldValue::Integer(set.quantity)),
            });
            let about = About {
                title: article.name.clone(),
                sku: article.sku.clone(),
                shopify: Some((article.item, "InventoryItem")),
                erp: Some(ErpAbout::new(&model, article.theirs)),
                ..About::new(Object::Inventory)
            };
            Happened {
                about: Some(Box::new(about)),
                status: Some(status),
                changed: changed.collect(),
                ..Happened::new(Happening::InventorySynced)
            }
        };
        self.done
            .iter()
            .map(of)
            .filter(|happened| !only_written || happened.status == Some(Carried::Updated))
            .collect()
    }

    /// What becomes of the job. Whatever keeps a level from being set, the others are set by now.
    pub(super) async fn report(self, flow: &Flow<'_>) -> Result<Report, Stop> {
        if !self.skipped.is_empty() {
            let skipped = self
                .skipped
                .iter()
                .map(|(article, reason)| json!({ "variant": article.theirs, "reason": reason }));
            flow.note("left_alone", json!(skipped.collect::<Vec<_>>()));
        }
        let links = self.links();
        // What has to wait is tried again; a problem would end that. It is told of when nothing waits any more.
        let is_told = self.is_crowded || self.waits.is_empty();
        if let Some(stop) = self.problem(flow).filter(|_| is_told) {
            flow.commit_links(links).await?;
            flow.tells_in_parting(self.told(flow, true));
            return Err(stop);
        }
        if !self.refused.is_empty() || !self.conflicts.is_empty() {
            let (refused, conflicts) = (self.refused.len(), self.conflicts.len());
            flow.note(
                "told_when_nothing_waits",
                json!({ "refused": refused, "changed_on_both_sides": conflicts }),
            );
        }
        let (outcome, summary) = match self.waits.first() {
            Some(first) => {
                let waits = self.waits.iter().map(|wait| {
                    json!({ "item": wait.item, "location": wait.location, "to": wait.quantity, "order_job": wait.order })
                });
                flow.note("rises_later", json!(waits.collect::<Vec<_>>()));
                (
                    waits_for(flow, first),
                    "stock rises when the orders in work are carried in",
                )
            }
            None if !self.wrote.is_empty() => (Outcome::Completed, "set the stock"),
            None if self.done.is_empty() => {
                let reason = self.skipped.first().map(|(_, reason)| reason.clone());
                let gone = self.gone.first().map(|reason| (*reason).to_owned());
                let reason = reason.or(gone).unwrap_or_else(|| "variant_not_linked".to_owned());
                (Outcome::Obsolete(reason), "nothing of it has stock to be set")
            }
            None => (Outcome::Completed, "stock is up to date"),
        };
        let mut report = Report::of(outcome, summary);
        // One that waits is tried again, and tells then what it left alone.
        let only_written = !matches!(report.outcome, Outcome::Completed);
        report.happened = self.told(flow, only_written);
        report.links = links;
        Ok(report)
    }

    /// What is tried again first, and then what a person must know.
    fn problem(&self, flow: &Flow<'_>) -> Option<Stop> {
        if self.is_crowded {
            return Some(crowded(flow));
        }
        if let Some((_, first)) = self.refused.first() {
            return Some(refused(flow, first, &self.refused).into());
        }
        if let Some((quantity, level)) = self.conflicts.first() {
            return Some(changed_on_both_sides(flow, *quantity, level, self.conflicts.len()).into());
        }
        let place = self.unknown.first()?;
        Some(unknown_warehouse(flow, place).into())
    }
}

fn crowded(flow: &Flow<'_>) -> Stop {
    Stop::Again {
        problem: Box::new(flow.subject.problem(
            "stock_keeps_moving",
            "",
            "The shop's stock of this product changed each time between reading and writing it.".to_owned(),
            "Nothing: it is tried again. If this stays, look for another program that sets the same stock.",
        )),
        after: CROWDED,
    }
}

fn refused(flow: &Flow<'_>, first: &Refusal, all: &[(Set, Refusal)]) -> NewProblem {
    let field = first.field.as_deref().unwrap_or("a quantity");
    let mut problem = flow.subject.problem(
        "shopify_write_rejected",
        first.code.as_deref().unwrap_or(field),
        format!(
            "Shopify refused to set {} of the product's stock levels ({field}: {}); the others are set.",
            all.len(),
            first.message
        ),
        "Correct what Shopify names (on the shop, in the ERP or in the mapping), then retry.",
    );
    problem.field.clone_from(&first.field);
    problem.detail = json!({
        "refused": all.iter().map(|(set, refusal)| json!({
            "item": set.item, "location": set.location, "quantity": set.quantity,
            "message": refusal.message, "code": refusal.code,
        })).collect::<Vec<_>>(),
    });
    problem
}

fn changed_on_both_sides(flow: &Flow<'_>, quantity: Quantity, level: &Level, count: usize) -> NewProblem {
    let field = agreed_as(quantity, level.location);
    let mut problem = flow.subject.problem(
        "changed_on_both_sides",
        &field,
        format!(
            "The stock of {count} of this product's levels was changed on Shopify and in the ERP, differently; the first one is \
             item {} at location {}.",
            level.item, level.location
        ),
        "Make both sides hold the same number, then retry. `truth = \"erp\"` in inventory.out.toml has the ERP's number written without asking.",
    );
    problem.field = Some(field);
    problem.detail = json!({ "item": level.item, "location": level.location, "shopify": level.shown, "erp": level.wanted });
    problem
}

fn unknown_warehouse(flow: &Flow<'_>, place: &Place) -> NewProblem {
    let warehouse = place.warehouse.map_or(0, |id| id.0);
    let mut problem = flow.subject.problem(
        "warehouse_not_found",
        &warehouse.to_string(),
        format!(
            "The ERP has no warehouse {warehouse}, which is to feed the shop's location {}.",
            place.location
        ),
        "Correct the id in `[tables.locations]` of inventory.out.toml or of the shop's own tables, then retry.",
    );
    problem.field = Some("tables.locations".to_owned());
    problem.answered_by(Some(&table_key(place.location)))
}

/// Looked at again soon, then more and more rarely; where it takes too long a person is told what stands in the way.
fn waits_for(flow: &Flow<'_>, wait: &Waiting) -> Outcome {
    let order = wait.order;
    let mut problem = flow.subject.problem(
        "stock_waits_for_an_order",
        &order.to_string(),
        format!(
            "The ERP has more of this than the shop shows, and it must not be offered before order job {order} is carried into the ERP, which sells it."
        ),
        "See to that order (`lockstep jobs show NUMBER`) or discard its job, then retry.",
    );
    problem.detail = json!({ "order_job": order });
    Outcome::Failed {
        disposition: Disposition::Transient {
            retry_after: Some(ORDER_IN_WORK),
        },
        problem,
    }
}
