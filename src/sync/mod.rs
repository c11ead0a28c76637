//! The flows that carry one record from one side to the other: order, customer, product, and notices about the shop.
//!
//! Every flow reads its record fresh (a webhook body is only a hint), gathers the facts that the mapping names, plans
//! without I/O, and applies only what differs. What a flow did, and why it could not, it reports; the queue decides what
//! becomes of the job. Flows are idempotent: run again after a crash at any step, they end in the same state.

mod agree;
mod both;
mod circles;
mod customers;
mod drift;
mod explain;
mod flow;
mod gather;
mod gone;
mod imported;
mod matching;
mod notices;
mod orders;
mod out;
mod preview;
mod products;
mod resolve;
mod resync;
mod review;
mod rules;
mod settings;
mod source;
mod steps;
mod stop;
mod target;
mod telling;
mod totals;
mod withheld;
mod writes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Direction, Disposition, LinkState, Object, Outcome, Report, SharedClock, ShopName, ShopifyId, Timestamp,
};
use crate::erp::SharedErp;
use crate::mapping::{Mappings, ShopFacts};
use crate::store::{ClaimedJob, SharedStore};

pub use drift::{
    ACTIVE, AnewError, BookedFields, Expected, Identities, Moved, OrderMoved, Unsent, VARIANTS_GROUP,
    agreed_fields, booked_fields, expected, is_entered_by_hand, moved, reference_of, stood, was_confirmed,
};
pub use explain::{ErpAmounts, ExplainedDiscount, ExplainedLine, ExplainedRow, ExplainedTotals, Explanation};
pub use matching::{Ambiguity, MatchError, MatchProgress, Matched, MatchedPair, NamedRecord, OutCounts};
pub use orders::{BY_PERSON, OrderPlan, entered_by_hand, plan as plan_order};
pub use out::{
    LimitState, Limits, SUDDEN_CHANGE, StockFailed, StockFound, StockLevel, StockStanding, approval_of,
};
pub use preview::{
    ComparedField, ComparedRecord, Comparison, Preview, PreviewError, PreviewedField, PreviewedWrite,
};
pub use resolve::{CHANGED_ON_BOTH_SIDES, ChooseError, Conflict, Keep, choose};
pub use resync::{ResyncMark, Resyncable, WrittenBy, can_be_resynced, written_by};
pub use review::{Asked, Plan, PlannedStep, WAITING_FOR_APPROVAL, approval};
pub use rules::{
    FirstTime, Manual, OUT_OF_SCOPE, ReviewSettings, RuleError, RuleTexts, Rules, Ruling, ScopeSettings,
    Seen, Series,
};
pub use settings::{
    BeforeStart, ClosedPeriod, Deleted, Fulfillments, Guests, HighRisk, Invoices, NoProduct, Payments,
    Refunds, Settings,
};
pub use source::Source;
pub use steps::{Act, Step};
pub use target::Target;
pub use totals::RateTax;

#[cfg(test)]
mod tests;

use flow::Flow;
use stop::{Stop, Subject};
use writes::Writes;

/// One shop with both of its sides, ready to work.
#[derive(Clone)]
pub struct ShopContext {
    /// The shop's name.
    pub name: ShopName,
    /// Its `….myshopify.com` address.
    pub domain: String,
    /// What it declares about its flows.
    pub settings: Settings,
    /// What mappings may read of the shop.
    pub facts: ShopFacts,
    /// Orders made before this time are left alone; none means the shop's first connection.
    pub start_at: Option<Timestamp>,
    /// Who owns problems that no mapping owns.
    pub owner: String,
    /// Where records are read fresh.
    pub source: Arc<dyn Source>,
    /// Where records of the shop are written.
    pub target: Arc<dyn Target>,
    /// The ERP.
    pub erp: SharedErp,
    /// The objects whose changes in the ERP are brought to the shop.
    pub out: BTreeSet<Object>,
    /// The objects whose changes on the shop are not brought to the ERP.
    pub not_in: BTreeSet<Object>,
    /// What is carried over at all, and what waits for a person.
    pub rules: Rules,
    /// Values of orders that were seen before.
    pub seen: Seen,
    /// The mappings in force; an attempt keeps the ones that it began with.
    pub mappings: watch::Receiver<Arc<Mappings>>,
    /// Durable state.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
}

/// All shops, and the flows of each.
#[derive(Clone, Default)]
pub struct Engine {
    shops: HashMap<ShopName, Arc<ShopContext>>,
}

impl Engine {
    /// An engine for these shops.
    pub fn new(shops: impl IntoIterator<Item = ShopContext>) -> Self {
        Self {
            shops: shops
                .into_iter()
                .map(|shop| (shop.name.clone(), Arc::new(shop)))
                .collect(),
        }
    }

    /// Carries one claimed job as far as it goes. When `stop` is cancelled it ends at once where nothing is being written
    /// to the ERP, else as soon as the ERP has answered.
    pub async fn attempt(&self, job: ClaimedJob, stop: CancellationToken) -> Report {
        let Some(shop) = self.shops.get(&job.key.shop) else {
            let subject = Subject {
                record: None,
                owner: "operator".into(),
                mapping: None,
            };
            let problem = subject.problem(
                "shop_not_configured",
                job.key.shop.as_str(),
                format!("The configuration has no shop `{}`.", job.key.shop),
                "Add the shop to the configuration again and retry, or discard the job.",
            );
            return Report::of(Outcome::Problem(problem), "no such shop");
        };
        let mappings = Arc::clone(&shop.mappings.borrow());
        let mapping = mappings.of_shop(shop.name.as_str(), job.key.object, job.key.direction);
        let subject = Subject {
            record: job.record_name.clone(),
            owner: mapping.map_or_else(|| shop.owner.clone(), |mapping| mapping.owner.clone()),
            mapping: mapping.map(|mapping| mapping.file.clone()),
        };
        let writes = Writes::default();
        let remembering = review::remembering(shop, &job.key);
        let shop = remembering.as_ref().unwrap_or(shop);
        let mut flow = Flow::new(shop, &job, mappings, subject, &writes);
        let mut report = tokio::select! {
            biased;
            () = writes.at_rest_after(&stop) => Report::of(Outcome::Interrupted, "stopped"),
            report = run_as_chosen(&mut flow) => report,
        };
        if matches!(report.outcome, Outcome::Interrupted) {
            flow.tell(&mut report);
        }
        report.unclean = writes.in_doubt();
        report
    }

    /// The names of all shops.
    pub fn names(&self) -> impl Iterator<Item = &ShopName> {
        self.shops.keys()
    }

    /// The shop of this name.
    pub fn shop(&self, name: &ShopName) -> Option<&Arc<ShopContext>> {
        self.shops.get(name)
    }
}

/// Runs the flow, and once more where it would ask a person who has answered already.
async fn run_as_chosen(flow: &mut Flow<'_>) -> Report {
    let report = run_trusting(flow).await;
    if !resolve::is_asked(&report) {
        return report;
    }
    match resolve::chosen(flow).await {
        Ok(None) => return report,
        Ok(choice) => flow.choice = choice,
        Err(stop) => return stopped(flow, stop),
    }
    flow.note("chosen", serde_json::json!({ "question": report.summary }));
    let mut report = run_trusting(flow).await;
    let Some(choice) = flow
        .choice
        .as_ref()
        .filter(|_| matches!(report.outcome, Outcome::Completed))
    else {
        return report;
    };
    match resolve::hand_over(flow, choice, &mut report).await {
        Ok(()) => report,
        Err(stop) => stopped(flow, stop),
    }
}

/// Runs the flow that the job asks for, and once more where it would need a person on the word of something remembered:
/// what the ERP lacked a moment ago it may have by now, and a record that was linked may have been merged away.
async fn run_trusting(flow: &mut Flow<'_>) -> Report {
    let began = flow.shop.clock.now();
    let report = run(flow).await;
    let erp = &flow.shop.erp;
    let doubtful = match &report.outcome {
        Outcome::Problem(_) | Outcome::Held(_) => erp.forget_absences(began),
        Outcome::Failed {
            disposition: Disposition::Permanent,
            problem,
        } => match problem.code.0.as_str() {
            "erp_not_set_up" => {
                erp.forget_everything();
                true
            }
            "erp_rejected" | "erp_record_missing" => {
                erp.forget_look_ups();
                true
            }
            _ => false,
        },
        _ => false,
    };
    if !doubtful {
        return report;
    }
    flow.note("asked_again", serde_json::json!({ "because": report.summary }));
    flow.distrustful = true;
    run(flow).await
}

/// Runs the flow that the job asks for.
async fn run(flow: &mut Flow<'_>) -> Report {
    flow.look_anew();
    flow.tells_anew();
    let result = carry_out_noting(flow).await;
    let result = result.and_then(|report| flow.agreed().map(|()| report));
    let mut report = match result {
        Ok(report) => report,
        Err(stop) => return stopped(flow, stop),
    };
    report.detail = flow.story();
    if report.record_name.is_none() {
        report.record_name.clone_from(&flow.subject.record);
    }
    flow.tell(&mut report);
    report
}

/// The report of an attempt that ended early.
fn stopped(flow: &Flow<'_>, stop: Stop) -> Report {
    let summary = stop.to_string();
    let mut report = Report::of(flow.with_value(stop.outcome(&flow.subject)), summary);
    report.detail = flow.story();
    report.record_name.clone_from(&flow.subject.record);
    flow.tell(&mut report);
    report
}

/// Carries it out; of an import's job it is noted what came of it.
async fn carry_out_noting(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    flow.imported = imported::before(flow).await?;
    let report = carry_out(flow).await?;
    imported::ended(flow).await?;
    Ok(report)
}

async fn carry_out(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    let key = &flow.job.key;
    if key.object != Object::Shop {
        flow.learn().await?;
        flow.care = resync::asked_for(flow).await?;
        flow.kept = std::sync::Mutex::default();
        review::pass(flow).await?;
    }
    let report = match (key.object, key.direction) {
        (Object::Shop, _) => notice(flow).await,
        (Object::Order, Direction::In) => match source_id(flow) {
            Ok(id) => orders::sync(flow, id).await,
            Err(stop) => Err(stop),
        },
        (Object::Customer, Direction::In) => customer(flow).await,
        (Object::Product, Direction::In) => product(flow).await,
        (Object::Customer, Direction::Out) => out::customer(flow).await,
        (Object::Product, Direction::Out) => out::product(flow).await,
        (Object::Inventory, Direction::Out) => out::inventory(flow).await,
        (Object::Inventory, Direction::In) => out::level_changed(flow).await,
        (Object::Order, Direction::Out) => Err(Stop::Obsolete("not_carried_out_by_this_version".into())),
    }?;
    if flow.care.is_some() && matches!(report.outcome, Outcome::Completed) {
        // Its mark stands until this end is on record: if it is not, the repeat needs the same care.
        let kept = flow
            .kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let fields: Vec<&str> = kept.iter().map(|(field, ..)| field.as_str()).collect();
        flow.note("left_as_edited", serde_json::json!({ "fields": fields }));
    }
    Ok(report)
}

async fn notice(flow: &Flow<'_>) -> Result<Report, Stop> {
    if let Some(customer) = withheld::noticed_by(&flow.job.key.source_id) {
        return withheld::look(flow, customer).await;
    }
    let summary = notices::carry_out(flow).await?;
    Ok(Report::of(Outcome::Completed, summary))
}

async fn customer(flow: &Flow<'_>) -> Result<Report, Stop> {
    let id = source_id(flow)?;
    let ensured = customers::sync(flow, id).await?;
    let mut report = Report::of(Outcome::Completed, ensured.summary);
    report.record_name = Some(format!("customer {id}"));
    report.links.extend(ensured.link);
    Ok(report)
}

async fn product(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    let id = source_id(flow)?;
    let synced = products::sync(flow, id).await?;
    let mut report = Report::of(Outcome::Completed, synced.summary);
    report.record_name = Some(synced.name);
    report.links = synced.links;
    Ok(report)
}

/// Shopify's number from the job's key.
fn source_id(flow: &Flow<'_>) -> Result<ShopifyId, Stop> {
    flow.job.key.source_id.parse().map_err(|_| {
        flow.subject
            .problem(
                "event_unreadable",
                "",
                format!("The event named no usable id (`{}`).", flow.job.key.source_id),
                "Look at the event; if the record matters, sync it by its number, then discard this job.",
            )
            .into()
    })
}

/// The live link among `links`.
fn live(links: Vec<crate::domain::Link>) -> Option<crate::domain::Link> {
    links.into_iter().find(|link| link.state != LinkState::Retired)
}
