//! A dry run: the record read fresh, the plan made, the exact writes shown field by field. Nothing is written anywhere.
//!
//! What is shown is what the flow itself would decide now: all fields of a record that would be made, only the changed
//! ones of a record that exists, and nothing where nothing would be written.

mod order;
mod out;
mod product;

use serde::Serialize;

use super::agree::hash;
use super::customers::{self, Party};
use super::explain::Explanation;
use super::flow::{Flow, agreed_of};
use super::steps::Step;
use super::stop::{Stop, Subject};
use super::writes::Writes;
use super::{Engine, ShopContext, live};
use crate::domain::{
    Canonical as _, Direction, Disposition, ErpId, Fence, FieldValue, JobId, JobKey, LinkKind, LinkState,
    NewProblem, Object, Outcome, ShopName, ShopifyId,
};
use crate::erp::Row;
use crate::mapping::MappedField;
use crate::store::ClaimedJob;

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
}

/// One record that would be written.
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
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
        let mut preview = Preview {
            shop: shop.clone(),
            object,
            source_id: id.to_string(),
            record_name: None,
            verdict: String::new(),
            writes: Vec::new(),
            steps: Vec::new(),
            explanation: None,
            problem: None,
        };
        let made = match (flow.learn().await, object) {
            (Err(stop), _) => Err(stop),
            (Ok(()), Object::Order) => order::preview(&mut flow, id, &mut preview).await,
            (Ok(()), Object::Customer) => customer(&flow, id, &mut preview).await,
            (Ok(()), Object::Product) => product::preview(&flow, id, &mut preview).await,
            (Ok(()), Object::Inventory | Object::Shop) => return Err(PreviewError::Unsupported(object)),
        };
        let made = made.and_then(|found| flow.agreed().map(|()| found));
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
                    Ok(preview)
                }
                Outcome::Completed | Outcome::Wait { .. } | Outcome::Later { .. } | Outcome::Interrupted => {
                    Ok(preview)
                }
            },
        }
    }
}

/// Flows carry a claimed job; a preview claims nothing, and takes none of the steps that need the claim.
pub(super) fn nobodys_job(
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
    }
}

/// The place of a record that would be made before the one that refers to it.
const NEW: ErpId = ErpId(-1);

async fn customer(flow: &Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let Some(record) = flow
        .shop
        .source
        .customer(id, flow.select(Object::Customer))
        .await?
    else {
        return Ok(false);
    };
    preview.record_name = Some(format!("customer {id}"));
    let found = partner(flow, &Party::customer(record), preview).await?;
    preview.verdict = match preview.writes.first().map(|write| write.action.as_str()) {
        Some("create") => "a partner would be created".to_owned(),
        Some("adopt") => format!("partner {found} would be adopted"),
        Some(_) => format!("partner {found} would be updated"),
        None => format!("partner {found} is up to date"),
    };
    Ok(true)
}

/// The partner that stands for the party now, with what would be written to it.
async fn partner(flow: &Flow<'_>, party: &Party, preview: &mut Preview) -> Result<ErpId, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(Object::Customer, Direction::In)?;
    let mut mapped = flow
        .evaluate(&mapping, &party.record.fact(), &flow.settings_fact(None))
        .await?;
    customers::keep_what_is_withheld(flow, party, &mut mapped);
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Customer, std::slice::from_ref(&party.key))
            .await?,
    );
    let is_guest = customers::is_of_an_order(&party.key);
    let (action, id, held, agreed) = match link {
        Some(link) => {
            let agreed = agreed_of(&link);
            let held = read(flow, &mapped.model, &[link.erp_id], &mapped.fields).await?;
            ("update", link.erp_id, held.into_iter().next(), agreed)
        }
        None => match customers::candidate(flow, party, &mapped).await? {
            Some(row) => {
                let other = shop
                    .store
                    .link_of_erp(&shop.name, LinkKind::Customer, row.id)
                    .await?;
                let taken = other
                    .is_some_and(|other| other.state != LinkState::Retired && other.source_id != party.key);
                if taken && is_guest {
                    // The guest is somebody who is known already: that partner is used as it is.
                    return Ok(row.id);
                }
                ("adopt", row.id, Some(row), super::agree::Agreement::new())
            }
            None => {
                let name = if is_guest { &party.key } else { &mapped.external_id };
                preview.writes.push(created(&mapped.model, name, &mapped.fields));
                return Ok(NEW);
            }
        },
    };
    if let Some(held) = held {
        let writes = customers::planned(flow, party, &mapped, &agreed, &held)?;
        let fields = named(&mapped.fields, &writes);
        if action == "adopt" || !fields.is_empty() {
            preview.writes.push(PreviewedWrite {
                action: action.into(),
                model: mapped.model.clone(),
                record: id.to_string(),
                fields: shown(fields, Some(&held)),
            });
        }
    }
    Ok(id)
}

/// The fields that are among the writes which a flow decided on.
fn named<'f>(fields: &'f [MappedField], writes: &[(String, FieldValue)]) -> Vec<&'f MappedField> {
    fields
        .iter()
        .filter(|field| writes.iter().any(|(name, _)| *name == *field.target))
        .collect()
}

/// The fields whose value is not the one that the ERP holds, for records that are written whole.
fn differing<'f>(fields: &'f [MappedField], held: Option<&Row>) -> Vec<&'f MappedField> {
    let same = |field: &MappedField| {
        let now = held
            .and_then(|row| row.fields.get(&*field.target))
            .unwrap_or(&FieldValue::Clear);
        match (&field.value, now) {
            // The ERP keeps whole seconds.
            (FieldValue::Time(then), FieldValue::Time(now)) => then.millis() / 1000 == now.millis() / 1000,
            (then, now) => hash(then) == hash(now),
        }
    };
    fields
        .iter()
        .filter(|field| !field.create_only && !same(field))
        .collect()
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

fn bare(action: &str, model: &str, id: ErpId) -> PreviewedWrite {
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
        FieldValue::Record(NEW) => "(made first)".to_owned(),
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
