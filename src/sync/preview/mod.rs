//! A dry run: the record read fresh, the plan made, the exact writes shown field by field. Nothing is written anywhere.

use serde::Serialize;

use super::customers::{self, Party};
use super::flow::{Flow, agreed_of};
use super::gather::Answers;
use super::orders;
use super::stop::{Stop, Subject};
use super::{Engine, ShopContext, live};
use crate::domain::{
    Canonical as _, Direction, ErpId, Fence, FieldValue, JobId, JobKey, LinkKind, Need, Needed, NewProblem,
    Object, Order, Outcome, ShopName, ShopifyId,
};
use crate::erp::Row;
use crate::mapping::{Mapped, MappedField};
use crate::store::ClaimedJob;

/// What would be done about one record.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The shop.
    pub shop: ShopName,
    /// What it is.
    pub object: Object,
    /// Shopify's number.
    pub source_id: String,
    /// The record's name for people.
    pub record_name: Option<String>,
    /// One sentence: what would happen.
    pub verdict: String,
    /// Every record that would be written, in order.
    pub writes: Vec<PreviewedWrite>,
    /// What would need a person.
    pub problem: Option<NewProblem>,
}

/// One record that would be written.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewedWrite {
    /// `create`, `update`, `adopt`, `confirm`, `cancel`.
    pub action: String,
    /// The ERP's model.
    pub model: String,
    /// The external id of a record to be made, or the ERP's number of one that exists.
    pub record: String,
    /// Its fields.
    pub fields: Vec<PreviewedField>,
}

/// One field that would be written.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewedField {
    /// The ERP's field.
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
        let job = nobodys_job(context, object, id);
        let mut flow = Flow::new(context, &job, mappings, subject);
        let mut preview = Preview {
            shop: shop.clone(),
            object,
            source_id: id.to_string(),
            record_name: None,
            verdict: String::new(),
            writes: Vec::new(),
            problem: None,
        };
        let made = match object {
            Object::Order => order(&mut flow, id, &mut preview).await,
            Object::Customer => customer(&flow, id, &mut preview).await,
            Object::Product => product(&flow, id, &mut preview).await,
            Object::Inventory | Object::Shop => return Err(PreviewError::Unsupported(object)),
        };
        match made {
            Ok(true) => Ok(preview),
            Ok(false) => Err(PreviewError::NotFound { object, id }),
            Err(stop) => match stop.outcome(&flow.subject) {
                Outcome::Problem(problem) | Outcome::Held(problem) => {
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
                Outcome::Completed | Outcome::Wait { .. } | Outcome::Interrupted => Ok(preview),
            },
        }
    }
}

/// Flows carry a claimed job; a preview claims nothing, and takes none of the steps that need the claim.
fn nobodys_job(shop: &ShopContext, object: Object, id: ShopifyId) -> ClaimedJob {
    ClaimedJob {
        id: JobId(0),
        key: JobKey {
            shop: shop.name.clone(),
            object,
            direction: Direction::In,
            source_id: id.to_string(),
        },
        fence: Fence(0),
        failed_attempts: 0,
        attempt: 0,
        after_unclean: false,
        wanted_since: shop.clock.now(),
        triggered_at: None,
        record_name: None,
    }
}

async fn order(flow: &mut Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let shop = flow.shop;
    let Some(order) = shop.source.order(id).await? else {
        return Ok(false);
    };
    flow.subject.record = Some(order.name.clone());
    preview.record_name = Some(order.name.clone());
    let mapping = flow.mapping(Object::Order, Direction::In)?;
    let record = order.fact();
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Order, &[id.to_string()])
            .await?,
    );
    if link.is_none() {
        orders::skip(flow, &order, &record, &mapping).await?;
    }
    let booked = orders::booked(flow, &record, &mapping, link.as_ref()).await?;
    if order.cancelled_at.is_some() {
        preview.verdict = match &booked {
            Some(held) => {
                preview.writes.push(bare("cancel", &mapping.model, held.id));
                format!("{} would be cancelled", held.name)
            }
            None => "would be left alone: cancelled before it was booked".to_owned(),
        };
        return Ok(true);
    }
    let buyer = orders::buyer(shop.settings.guests, &order);
    let settings = flow.settings_fact(buyer.as_deref());
    let mut answers = flow.gather(&mapping, &record, &settings).await?;
    stand_in(flow, &order, &mut answers, preview).await?;
    let groups = mapping
        .prepare(&record, &settings, &answers)
        .map_err(|problems| flow.field_problems(&problems))?;
    for (group, row) in groups
        .iter()
        .flat_map(|group| group.rows.iter().map(move |row| (group, row)))
    {
        if row.linked.is_none() {
            preview.writes.push(PreviewedWrite {
                action: "create".into(),
                model: group.model.clone(),
                record: row.external_id.clone(),
                fields: shown(&row.fields, None),
            });
            if let Some(need) = &row.link {
                answers.insert(need.clone(), Needed::Found(NEW));
            }
        }
    }
    let mapped = flow.mapped(&mapping, &record, &settings, &answers)?;
    preview.verdict = orders::describe(flow, &order, &mapped, link.as_ref(), booked.as_ref())?;
    let action = if booked.is_some() { "update" } else { "create" };
    let held = match &booked {
        Some(held) => read(flow, &mapped, held.id).await?,
        None => None,
    };
    preview.writes.push(PreviewedWrite {
        action: action.into(),
        model: mapped.model.clone(),
        record: booked
            .as_ref()
            .map_or_else(|| mapped.external_id.clone(), |held| held.name.clone()),
        fields: shown(&mapped.fields, held.as_ref()),
    });
    for group in mapped.groups.iter().filter(|group| group.field.is_some()) {
        for row in &group.rows {
            preview.writes.push(PreviewedWrite {
                action: action.into(),
                model: group.model.clone(),
                record: row.external_id.clone(),
                fields: shown(&row.fields, None),
            });
        }
    }
    Ok(true)
}

/// The place of a record that would be made before the one that refers to it.
const NEW: ErpId = ErpId(-1);

/// What would be made first stands in for itself: the buyer's partner, and products that are not linked yet.
async fn stand_in(
    flow: &Flow<'_>,
    order: &Order,
    answers: &mut Answers,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let missing: Vec<Need> = answers
        .iter()
        .filter(|(_, answer)| **answer == Needed::Missing)
        .map(|(need, _)| need.clone())
        .collect();
    for need in missing {
        let Need::Link { kind, source_id } = &need else {
            continue;
        };
        match kind {
            LinkKind::Customer => {
                let party = orders::party(flow, order, source_id).await?;
                let found = partner(flow, &party, preview).await?;
                answers.insert(need.clone(), Needed::Found(found));
            }
            LinkKind::Variant | LinkKind::Product => {
                preview.writes.push(PreviewedWrite {
                    action: "sync first".into(),
                    model: "product".into(),
                    record: format!("{kind} {source_id}"),
                    fields: Vec::new(),
                });
                answers.insert(need.clone(), Needed::Found(NEW));
            }
            LinkKind::Order | LinkKind::Address => {}
        }
    }
    Ok(())
}

async fn customer(flow: &Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let Some(record) = flow.shop.source.customer(id).await? else {
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
    let mapped = flow
        .evaluate(&mapping, &party.record.fact(), &flow.settings_fact(None))
        .await?;
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Customer, std::slice::from_ref(&party.key))
            .await?,
    );
    let (action, id, held, agreed) = match link {
        Some(link) => {
            let agreed = agreed_of(&link);
            (
                "update",
                link.erp_id,
                read(flow, &mapped, link.erp_id).await?,
                agreed,
            )
        }
        None => match customers::candidate(flow, &mapped).await? {
            Some(row) => ("adopt", row.id, Some(row), super::agree::Agreement::new()),
            None => {
                preview.writes.push(PreviewedWrite {
                    action: "create".into(),
                    model: mapped.model.clone(),
                    record: mapped.external_id.clone(),
                    fields: shown(&mapped.fields, None),
                });
                return Ok(NEW);
            }
        },
    };
    if let Some(held) = held {
        let writes = flow.changes(&mapped.fields, &agreed, &held)?;
        let fields: Vec<MappedField> = mapped
            .fields
            .iter()
            .filter(|field| writes.iter().any(|(name, _)| *name == field.target))
            .cloned()
            .collect();
        if action == "adopt" || !fields.is_empty() {
            preview.writes.push(PreviewedWrite {
                action: action.into(),
                model: mapped.model.clone(),
                record: id.to_string(),
                fields: shown(&fields, Some(&held)),
            });
        }
    }
    Ok(id)
}

async fn product(flow: &Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let shop = flow.shop;
    let Some(record) = shop.source.product(id).await? else {
        return Ok(false);
    };
    preview.record_name = Some(record.title.clone());
    let mapping = flow.mapping(Object::Product, Direction::In)?;
    let mapped = flow
        .evaluate(&mapping, &record.fact(), &flow.settings_fact(None))
        .await?;
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Product, &[id.to_string()])
            .await?,
    );
    let held = match &link {
        Some(link) => read(flow, &mapped, link.erp_id).await?,
        None => None,
    };
    let action = if link.is_some() { "update" } else { "create" };
    preview.verdict = match &link {
        Some(link) => format!("product {} would be brought up to date", link.erp_id),
        None => "a product would be created, unless the ERP has one with the same SKU or bar code".to_owned(),
    };
    preview.writes.push(PreviewedWrite {
        action: action.into(),
        model: mapped.model.clone(),
        record: link
            .as_ref()
            .map_or_else(|| mapped.external_id.clone(), |link| link.erp_id.to_string()),
        fields: shown(&mapped.fields, held.as_ref()),
    });
    for group in &mapped.groups {
        for row in &group.rows {
            preview.writes.push(PreviewedWrite {
                action: if row.linked.is_some() {
                    "update".into()
                } else {
                    action.into()
                },
                model: group.model.clone(),
                record: row
                    .linked
                    .map_or_else(|| row.external_id.clone(), |id| id.to_string()),
                fields: shown(&row.fields, None),
            });
        }
    }
    Ok(true)
}

async fn read(flow: &Flow<'_>, mapped: &Mapped, id: ErpId) -> Result<Option<Row>, Stop> {
    let fields: Vec<String> = mapped
        .fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| field.target.clone())
        .collect();
    Ok(flow
        .shop
        .erp
        .read(&mapped.model, &[id], &fields)
        .await?
        .into_iter()
        .next())
}

fn bare(action: &str, model: &str, id: ErpId) -> PreviewedWrite {
    PreviewedWrite {
        action: action.into(),
        model: model.into(),
        record: id.to_string(),
        fields: Vec::new(),
    }
}

fn shown(fields: &[MappedField], held: Option<&Row>) -> Vec<PreviewedField> {
    fields
        .iter()
        .map(|field| PreviewedField {
            field: field.target.clone(),
            now: held.and_then(|row| row.fields.get(&field.target)).map(text),
            then: text(&field.value),
            source: field.source.clone(),
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
