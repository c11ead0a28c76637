//! A dry run: the record read fresh, the plan made, the exact writes shown field by field. Nothing is written anywhere.
//!
//! What is shown is what the flow itself would decide now: all fields of a record that would be made, only the changed
//! ones of a record that exists, and nothing where nothing would be written.

mod compare;
mod customer;
mod order;
mod out;
mod partners;
mod product;

pub(super) use out::planned_out;

use std::sync::PoisonError;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agree::hash;
use super::explain::Explanation;
use super::flow::Flow;
use super::resync::ResyncMark;
use super::steps::Step;
use super::stop::{Stop, Subject};
use super::writes::Writes;
use super::{Engine, ShopContext};
use crate::domain::{
    Direction, Disposition, ErpId, Fence, FieldValue, JobId, JobKey, NewProblem, Object, Outcome, Priority,
    ShopName, ShopifyId, Timestamp,
};
use crate::erp::Row;
use crate::mapping::{Mapped, MappedField, MappedGroup};
use crate::store::ClaimedJob;

pub use compare::{ComparedField, ComparedRecord, Comparison};

/// What would be done about one record.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The shop.
    pub shop: ShopName,
    /// What it is.
    pub object: Object,
    /// Its number on the side where it comes from.
    pub source_id: String,
    /// The record's name for people.
    pub record_name: Option<String>,
    /// When the shop's record was changed last, where it was read from there.
    #[serde(skip)]
    pub changed_at: Option<Timestamp>,
    /// One sentence: what would happen.
    pub verdict: String,
    /// Every record that would be written, in order.
    pub writes: Vec<PreviewedWrite>,
    /// For an order, what would follow then: parcels, invoices, credit notes, payments.
    pub steps: Vec<Step>,
    /// For an order, how each number came to be.
    pub explanation: Option<Explanation>,
    /// What would need a person.
    pub problem: Option<NewProblem>,
    /// Why nothing of it would be carried over.
    #[serde(skip)]
    pub left_alone: Option<String>,
    /// Fields that are left as a person made them, with what the mapping makes of them, where that was asked for.
    #[serde(skip)]
    pub kept: Vec<PreviewedField>,
    /// Whether an order that stands in the ERP would be mapped differently now and stays as it was booked.
    #[serde(skip)]
    pub stays: bool,
    /// Every field that is kept in step, with both sides' values, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Vec<ComparedRecord>>,
}

/// One record that would be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewedWrite {
    /// `create`, `update`, `adopt`, `remove`, `confirm`, `cancel`, `sync first`.
    pub action: String,
    /// The ERP's model, or what it is on the shop.
    pub model: String,
    /// Our name for a record to be made, or its side's number of one that exists.
    pub record: String,
    /// Its fields.
    pub fields: Vec<PreviewedField>,
}

/// One field that would be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewedField {
    /// The field of the side that is written to.
    pub field: String,
    /// What stands there now; none for a record that is to be made.
    pub now: Option<String>,
    /// What would stand there.
    pub then: String,
    /// Where it comes from, as the mapping says it.
    pub source: String,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// No such shop in the configuration.
    #[error("the configuration has no shop `{0}`")]
    UnknownShop(ShopName),
    /// Shopify does not have the record.
    #[error("Shopify has no {object} {id} (any more)")]
    NotFound {
        /// What.
        object: Object,
        /// Its number.
        id: ShopifyId,
    },
    /// Nothing of this kind is carried over.
    #[error("there is no preview of {0}")]
    Unsupported(Object),
    /// A side could not be asked.
    #[error("{reason}")]
    Failed {
        /// What went wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
}

impl Engine {
    /// What would be done about a record now. Writes nothing.
    pub async fn preview(
        &self,
        shop: &ShopName,
        object: Object,
        id: ShopifyId,
    ) -> Result<Preview, PreviewError> {
        self.look(shop, object, id, None, None).await
    }

    /// The same, and with every field of both sides where `compared` is there to be filled; with care where `care` is there.
    pub(super) async fn look(
        &self,
        shop: &ShopName,
        object: Object,
        id: ShopifyId,
        compared: Option<Vec<ComparedRecord>>,
        care: Option<ResyncMark>,
    ) -> Result<Preview, PreviewError> {
        let Some(context) = self.shop(shop) else {
            return Err(PreviewError::UnknownShop(shop.clone()));
        };
        let mappings = std::sync::Arc::clone(&context.mappings.borrow());
        let mapping = mappings.get(object, Direction::In);
        let subject = Subject {
            record: None,
            owner: mapping.map_or_else(|| context.owner.clone(), |mapping| mapping.owner.clone()),
            mapping: mapping.map(|mapping| mapping.file.clone()),
        };
        let job = nobodys_job(context, object, Direction::In, id.to_string());
        // A person looks, who may have mended something in the ERP a moment ago.
        context.erp.forget_look_ups();
        let writes = Writes::default();
        let mut flow = Flow::new(context, &job, mappings, subject, &writes);
        flow.care = care;
        let mut preview = Preview {
            compared,
            ..Preview::of(shop, object, id.to_string())
        };
        if matches!(object, Object::Inventory | Object::Shop) {
            return Err(PreviewError::Unsupported(object));
        }
        let made = match flow.learn().await {
            Err(stop) => Err(stop),
            Ok(()) => look(&mut flow, id, &mut preview).await,
        };
        preview.kept = told_kept(&flow);
        if let Some(mut compared) = preview.compared.take() {
            compare::mark(&mut compared, &preview);
            preview.compared = Some(compared);
        }
        match made {
            Ok(true) => Ok(preview),
            Ok(false) => Err(PreviewError::NotFound { object, id }),
            Err(stop) => match stop.outcome(&flow.subject) {
                Outcome::Problem(problem)
                | Outcome::Held(problem)
                // What is refused for good becomes a problem of the job at once.
                | Outcome::Failed {
                    disposition: Disposition::Permanent,
                    problem,
                } => {
                    preview.verdict = "would need a person".to_owned();
                    preview.problem = Some(problem);
                    Ok(preview)
                }
                Outcome::Failed { problem, .. } => Err(PreviewError::Failed {
                    reason: problem.reason,
                    fix: problem.fix,
                }),
                Outcome::Obsolete(reason) => {
                    preview.verdict = format!("would be left alone: {reason}");
                    preview.left_alone = Some(reason.clone());
                    Ok(preview)
                }
                Outcome::Completed | Outcome::Wait { .. } | Outcome::Later { .. } | Outcome::Interrupted => {
                    Ok(preview)
                }
            },
        }
    }
}

impl Preview {
    /// Of which nothing is known yet.
    pub(super) fn of(shop: &ShopName, object: Object, source_id: String) -> Self {
        Self {
            shop: shop.clone(),
            object,
            source_id,
            record_name: None,
            changed_at: None,
            verdict: String::new(),
            writes: Vec::new(),
            steps: Vec::new(),
            explanation: None,
            problem: None,
            left_alone: None,
            kept: Vec::new(),
            stays: false,
            compared: None,
        }
    }
}

/// What a flow left as a person made it.
fn told_kept(flow: &Flow<'_>) -> Vec<PreviewedField> {
    let kept = std::mem::take(&mut *flow.kept.lock().unwrap_or_else(PoisonError::into_inner));
    let told = |(field, now, then): (String, FieldValue, FieldValue)| PreviewedField {
        field,
        now: Some(text(&now)),
        then: text(&then),
        source: String::new(),
    };
    kept.into_iter().map(told).collect()
}

/// Looks what would be done about a record of the shop; the attempt has learnt what it needs of the ERP. `false` when
/// Shopify does not have the record.
pub(super) async fn look(flow: &mut Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let found = match flow.job.key.object {
        Object::Order => order::preview(flow, id, preview).await,
        Object::Customer => customer::preview(flow, id, preview).await,
        Object::Product => product::preview(flow, id, preview).await,
        Object::Inventory | Object::Shop => Ok(true),
    }?;
    flow.agreed()?;
    Ok(found)
}

/// Flows carry a claimed job; a preview claims nothing, and takes none of the steps that need the claim.
pub(in crate::sync) fn nobodys_job(
    shop: &ShopContext,
    object: Object,
    direction: Direction,
    source_id: String,
) -> ClaimedJob {
    ClaimedJob {
        id: JobId(0),
        key: JobKey {
            shop: shop.name.clone(),
            object,
            direction,
            source_id,
        },
        fence: Fence(0),
        failed_attempts: 0,
        attempt: 0,
        unclean_at: None,
        wanted_since: shop.clock.now(),
        triggered_at: None,
        record_name: None,
        import: None,
        problem: None,
        priority: Priority::LIVE,
    }
}

/// The place of a record that would be made before the one that refers to it.
const NEW: ErpId = ErpId(-1);

/// What is shown as its number.
pub(super) const MADE_FIRST: &str = "(made first)";

/// The fields that are among the writes which a flow decided on.
fn named<'f>(fields: &'f [MappedField], writes: &[(String, FieldValue)]) -> Vec<&'f MappedField> {
    fields
        .iter()
        .filter(|field| writes.iter().any(|(name, _)| *name == *field.target))
        .collect()
}

/// Whether two values are the same as far as the sides keep them.
/// Whether the ERP holds the same value.
pub(in crate::sync) fn same(wanted: &FieldValue, held: &FieldValue) -> bool {
    match (wanted, held) {
        // The ERP keeps whole seconds.
        (FieldValue::Time(then), FieldValue::Time(now)) => then.millis() / 1000 == now.millis() / 1000,
        (then, now) => hash(then) == hash(now),
    }
}

/// The fields whose value is not the one that the ERP holds, for records that are written whole.
fn differing<'f>(fields: &'f [MappedField], held: Option<&Row>) -> Vec<&'f MappedField> {
    let is_same = |field: &MappedField| {
        let now = held
            .and_then(|row| row.fields.get(&*field.target))
            .unwrap_or(&FieldValue::Clear);
        same(&field.value, now)
    };
    fields
        .iter()
        .filter(|field| !field.create_only && !is_same(field))
        .collect()
}

/// The rows that belong to a record, as an order's lines do.
fn lines(mapped: &Mapped) -> impl Iterator<Item = &MappedGroup> {
    mapped.groups.iter().filter(|group| group.field.is_some())
}

/// Records as the ERP holds them, as far as these fields may be written to them again.
async fn read(flow: &Flow<'_>, model: &str, ids: &[ErpId], fields: &[MappedField]) -> Result<Vec<Row>, Stop> {
    let mut names: Vec<String> = fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| field.target.to_string())
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(flow.shop.erp.read(model, ids, &names).await?)
}

/// A record that would be made.
fn created(model: &str, external_id: &str, fields: &[MappedField]) -> PreviewedWrite {
    PreviewedWrite {
        action: "create".into(),
        model: model.into(),
        record: external_id.into(),
        fields: shown(fields, None),
    }
}

pub(super) fn bare(action: &str, model: &str, id: ErpId) -> PreviewedWrite {
    PreviewedWrite {
        action: action.into(),
        model: model.into(),
        record: id.to_string(),
        fields: Vec::new(),
    }
}

fn shown<'f>(fields: impl IntoIterator<Item = &'f MappedField>, held: Option<&Row>) -> Vec<PreviewedField> {
    fields
        .into_iter()
        .map(|field| PreviewedField {
            field: field.target.to_string(),
            now: held.and_then(|row| row.fields.get(&*field.target)).map(text),
            then: text(&field.value),
            source: field.source.to_string(),
        })
        .collect()
}

fn text(value: &FieldValue) -> String {
    match value {
        FieldValue::Record(NEW) => MADE_FIRST.to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_do_not_exist_yet_have_no_number() {
        assert_eq!(text(&FieldValue::Record(NEW)), "(made first)");
        assert_eq!(text(&FieldValue::Record(ErpId(7))), "#7");
    }
}
