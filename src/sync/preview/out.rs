//! What would be written to the shop for a record of the ERP. The flow of the way back itself decides: it runs against a store
//! that keeps nothing and a shop that only notes what it is asked to write.
//!
//! A flow ends where it needs the answer to something that was not done: after a record that would be made.

mod noting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::flow::Flow;
use super::super::out;
use super::super::stop::{Stop, Subject};
use super::super::writes::Writes;
use super::super::{Engine, SUDDEN_CHANGE, ShopContext, Target};
use super::{Preview, PreviewError, PreviewedField, PreviewedWrite, nobodys_job, told_kept};
use crate::domain::{
    Canonical as _, Direction, Disposition, ErpId, LinkState, NewProblem, Object, Outcome, Report, ShopName,
    StockOf,
};
use crate::store::LookOnly;
use crate::sync::ResyncMark;

use noting::Noting;

impl Engine {
    /// What would be written to the shop for a record of the ERP now. Writes nothing.
    ///
    /// # Errors
    /// When the record does not exist, or a side cannot be asked.
    pub async fn preview_out(
        &self,
        shop: &ShopName,
        object: Object,
        id: ErpId,
    ) -> Result<Preview, PreviewError> {
        self.look_out(shop, object, id, None).await
    }

    /// The same, with care where `care` is there.
    pub(in crate::sync) async fn look_out(
        &self,
        shop: &ShopName,
        object: Object,
        id: ErpId,
        care: Option<ResyncMark>,
    ) -> Result<Preview, PreviewError> {
        let Some(context) = self.shop(shop) else {
            return Err(PreviewError::UnknownShop(shop.clone()));
        };
        if matches!(object, Object::Order | Object::Shop) {
            return Err(PreviewError::Unsupported(object));
        }
        // A person looks, who may have mended something in the ERP a moment ago.
        context.erp.forget_look_ups();
        let mut source = id.to_string();
        let dry = |care: &Option<ResyncMark>| Dry {
            care: care.clone(),
            ..Dry::of(context)
        };
        let mut first = dry(&care).run(object, &source).await;
        if let Some(product) = first.handed_over(object) {
            source = product;
            first = dry(&care).run(object, &source).await;
        }
        // What is held because it is unusually much is shown all the same.
        let plan = match &first.outcome {
            Outcome::Held(problem) if problem.code.0 == SUDDEN_CHANGE => problem.detail["plan"].as_str(),
            _ => None,
        };
        let Some(plan) = plan else {
            return first.preview(shop, object, id, None);
        };
        let dry = dry(&care);
        dry.store.grant("approved:", plan);
        let problem = match &first.outcome {
            Outcome::Held(problem) => Some(problem.clone()),
            _ => None,
        };
        let ran = dry.run(object, &source).await;
        ran.preview(shop, object, id, problem)
    }
}

/// A shop that nothing is written to.
struct Dry {
    context: ShopContext,
    store: Arc<LookOnly>,
    target: Arc<Noting>,
    /// Where it is to leave alone what a person changed.
    care: Option<ResyncMark>,
}

/// What an attempt of the way back would write.
pub(in crate::sync) struct PlannedOut {
    /// What it would do.
    pub(in crate::sync) preview: Preview,
    /// Why it waits for a person, as far as rules say so.
    pub(in crate::sync) because: Vec<String>,
    /// Hashes of the changes that it would write. A record's are noted before its first write, so that they are known even where
    /// the rehearsal ended for want of an answer.
    pub(in crate::sync) changes: BTreeSet<String>,
}

/// What an attempt of the way back would write, and why that waits for a person; none where nothing is to be written.
///
/// # Errors
/// When the attempt would end without writing anything.
pub(in crate::sync) async fn planned_out(flow: &Flow<'_>) -> Result<Option<PlannedOut>, Stop> {
    let (shop, key) = (flow.shop, &flow.job.key);
    let id = match key.object {
        // Its key names a product or a variant, in a form of its own.
        Object::Inventory => key.stock_of().map(|of| match of {
            StockOf::Product(id) | StockOf::Variant(id) => id,
        }),
        _ => key.source_id.parse().ok().filter(|id| *id > 0).map(ErpId),
    };
    let Some(id) = id else {
        return Ok(None);
    };
    let (object, source) = (key.object, &key.source_id);
    let mut carried = Dry::of(shop).carry(object, source, Some(flow)).await;
    if let Err(Stop::Held(problem)) = &carried.result
        && problem.code.0 == SUDDEN_CHANGE
        && let Some(plan) = problem.detail["plan"].as_str()
    {
        // That it is unusually much is asked by itself, when it is to be written.
        let dry = Dry::of(shop);
        dry.store.grant("approved:", plan);
        carried = dry.carry(object, source, Some(flow)).await;
    }
    let mut problem = None;
    let report = match carried.result {
        Ok(report) => Some(report),
        Err(_) if carried.is_ended => None,
        Err(Stop::Problem(found) | Stop::Held(found)) if !carried.writes.is_empty() => {
            problem = Some(*found);
            None
        }
        Err(stop) => return Err(stop),
    };
    if carried.writes.is_empty() {
        return Ok(None);
    }
    let mut preview = Preview::of(&shop.name, object, id.to_string());
    preview.record_name = carried.subject.record;
    preview.verdict = verdict(object, &carried.writes, report.as_ref());
    preview.writes = carried.writes;
    preview.problem = problem;
    Ok(Some(PlannedOut {
        preview,
        because: carried.reasons,
        changes: carried.changes,
    }))
}

/// What a flow came to that was carried out for nobody.
struct Carried {
    result: Result<Report, Stop>,
    /// Whether it was ended because it would need an answer.
    is_ended: bool,
    writes: Vec<PreviewedWrite>,
    /// Why they wait for a person.
    reasons: Vec<String>,
    /// What it left as a person made it.
    kept: Vec<PreviewedField>,
    /// Hashes of the changes that it meant to write.
    changes: BTreeSet<String>,
    subject: Subject,
}

/// How a dry run ended.
struct Ran {
    outcome: Outcome,
    report: Option<Report>,
    writes: Vec<PreviewedWrite>,
    kept: Vec<PreviewedField>,
}

impl Dry {
    fn of(shop: &ShopContext) -> Self {
        let store = Arc::new(LookOnly::new(Arc::clone(&shop.store)));
        let target = Arc::new(Noting {
            shop: Arc::clone(&shop.target),
            source: Arc::clone(&shop.source),
            noted: Mutex::default(),
        });
        let context = ShopContext {
            store: Arc::clone(&store) as crate::store::SharedStore,
            target: Arc::clone(&target) as Arc<dyn Target>,
            ..shop.clone()
        };
        Self {
            context,
            store,
            target,
            care: None,
        }
    }

    /// `source` is the job's name of the record.
    async fn run(&self, object: Object, source: &str) -> Ran {
        let carried = self.carry(object, source, None).await;
        let (outcome, report) = match carried.result {
            Ok(report) => (report.outcome.clone(), Some(report)),
            Err(_) if carried.is_ended => (Outcome::Completed, None),
            Err(stop) => (stop.outcome(&carried.subject), None),
        };
        Ran {
            outcome,
            report,
            writes: carried.writes,
            kept: carried.kept,
        }
    }

    /// Carries the flow out, as the attempt `like` that is about to do it would.
    async fn carry(&self, object: Object, source: &str, like: Option<&Flow<'_>>) -> Carried {
        let shop = &self.context;
        let mappings = Arc::clone(&shop.mappings.borrow());
        let mapping = mappings.of_shop(shop.name.as_str(), object, Direction::Out);
        let subject = Subject {
            record: None,
            owner: mapping.map_or_else(|| shop.owner.clone(), |mapping| mapping.owner.clone()),
            mapping: mapping.map(|mapping| mapping.file.clone()),
        };
        let job = nobodys_job(shop, object, Direction::Out, source.to_owned());
        let writes = Writes::default();
        let mut flow = Flow::new(shop, &job, mappings, subject, &writes);
        flow.care.clone_from(&self.care);
        if let Some(like) = like {
            flow.care.clone_from(&like.care);
            flow.mappings = Arc::clone(&like.mappings);
            flow.subject.clone_from(&like.subject);
            flow.distrustful = like.distrustful;
            flow.choice.clone_from(&like.choice);
        }
        let result = carry_out(&mut flow, object).await;
        let mut noted = self.target.noted();
        let is_ended = std::mem::take(&mut noted.is_ended);
        let sources = if noted.writes.is_empty() {
            BTreeMap::new()
        } else {
            // Only what people see of where a value comes from is missing without them.
            sources(&flow, object, source).await.unwrap_or_default()
        };
        let adopted = self.store.links_saved();
        let adopted = adopted
            .into_iter()
            .filter(|link| link.state == LinkState::Adopted)
            .map(|link| PreviewedWrite {
                action: "adopt".into(),
                model: link.kind.to_string(),
                record: link.source_id,
                fields: Vec::new(),
            });
        let mut all: Vec<PreviewedWrite> = adopted.collect();
        all.extend(noted.writes);
        for write in &mut all {
            for field in &mut write.fields {
                let key = (write.model == "variant", field.field.clone());
                if let Some(source) = sources.get(&key) {
                    field.source.clone_from(source);
                }
            }
        }
        let mut reasons = flow.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let reasons = std::mem::take(&mut *reasons);
        let mut changes = flow.meant_changes.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::take(&mut *changes);
        Carried {
            result,
            is_ended,
            writes: all,
            reasons,
            kept: told_kept(&flow),
            changes,
            subject: flow.subject,
        }
    }
}

async fn carry_out(flow: &mut Flow<'_>, object: Object) -> Result<Report, Stop> {
    flow.learn().await?;
    let report = match object {
        Object::Customer => out::customer(flow).await,
        Object::Product => out::product(flow).await,
        _ => out::inventory(flow).await,
    }?;
    flow.agreed()?;
    Ok(report)
}

/// Where each field comes from, as the mapping says it: by whether it is a variant's, and its name.
async fn sources(
    flow: &Flow<'_>,
    object: Object,
    source: &str,
) -> Result<BTreeMap<(bool, String), String>, Stop> {
    let Some(id) = source.parse().ok().map(ErpId) else {
        return Ok(BTreeMap::new());
    };
    let mapping = flow.mapping(object, Direction::Out)?;
    let rules = mapping.out.clone().unwrap_or_default();
    let erp = &flow.shop.erp;
    let record = match object {
        Object::Customer => {
            let partner = erp.partner(id, &rules.select).await?;
            partner.map(|partner| partner.fact())
        }
        Object::Product => {
            let product = erp
                .product_record(id, &rules.select, &rules.variant_select)
                .await?;
            product.map(|product| product.fact())
        }
        _ => None,
    };
    let mut sources = BTreeMap::new();
    let Some(record) = record else {
        return Ok(sources);
    };
    let mapped = flow
        .evaluate(&mapping, &record, &flow.settings_fact(None))
        .await?;
    for field in &mapped.fields {
        sources.insert((false, field.target.to_string()), field.source.to_string());
    }
    for row in mapped.groups.iter().flat_map(|group| &group.rows) {
        for field in &row.fields {
            sources.insert((true, field.target.to_string()), field.source.to_string());
        }
    }
    Ok(sources)
}

impl Ran {
    /// The job that does the work instead: stock is brought over by product, and people name a variant.
    fn handed_over(&self, object: Object) -> Option<String> {
        let (key, ..) = self.report.as_ref()?.enqueue.first()?;
        let is_stock = object == Object::Inventory && key.object == object && key.direction == Direction::Out;
        is_stock.then(|| key.source_id.clone())
    }

    fn preview(
        self,
        shop: &ShopName,
        object: Object,
        id: ErpId,
        held: Option<NewProblem>,
    ) -> Result<Preview, PreviewError> {
        let mut preview = Preview {
            shop: shop.clone(),
            object,
            source_id: id.to_string(),
            record_name: self.report.as_ref().and_then(|report| report.record_name.clone()),
            changed_at: None,
            verdict: verdict(object, &self.writes, self.report.as_ref()),
            writes: self.writes,
            steps: Vec::new(),
            explanation: None,
            problem: held,
            left_alone: None,
            kept: self.kept,
            stays: false,
            compared: None,
        };
        if preview.problem.is_some() {
            preview.verdict = format!("would wait for a yes; then: {}", preview.verdict);
        }
        match self.outcome {
            Outcome::Problem(problem)
            | Outcome::Held(problem)
            | Outcome::Failed {
                disposition: Disposition::Permanent,
                problem,
            } => {
                preview.verdict = "would need a person".to_owned();
                preview.problem = Some(problem);
            }
            // What waits for an order is told as it is.
            Outcome::Failed { problem, .. } if self.report.is_some() => {
                preview.verdict = format!("{}; {}", preview.verdict, problem.reason);
            }
            Outcome::Failed { problem, .. } => {
                return Err(PreviewError::Failed {
                    reason: problem.reason,
                    fix: problem.fix,
                });
            }
            Outcome::Obsolete(reason) => {
                preview.verdict = format!("would be left alone: {reason}");
                preview.left_alone = Some(reason.clone());
            }
            Outcome::Completed | Outcome::Wait { .. } | Outcome::Later { .. } | Outcome::Interrupted => {}
        }
        Ok(preview)
    }
}

fn verdict(object: Object, writes: &[PreviewedWrite], report: Option<&Report>) -> String {
    let is_change = |write: &&PreviewedWrite| write.action != "adopt";
    match writes.iter().find(is_change) {
        Some(write) if write.action == "create" && write.model == object.as_str() => {
            format!("a {object} would be created on the shop")
        }
        Some(_) => format!("the shop's {object} would be brought up to date"),
        None => report.map_or_else(
            || "nothing would be written".to_owned(),
            |report| report.summary.clone(),
        ),
    }
}
