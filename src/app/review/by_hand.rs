//! What people did in the ERP themselves: "I entered it as S00815", and "it is this one of the two".

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Reviewer;
use super::places::erp_page;
use crate::config::Shop;
use crate::domain::{Direction, ErpId, FieldValue, JobId, Link, LinkKind, LinkState, Object, Order};
use crate::erp::{Erp, ErpError, Find, Row};
use crate::store::{Acted, Action, JobRow, StoreError};
use crate::sync::entered_by_hand;

/// The models of the records that people name.
const ORDER: &str = "sale.order";
const PARTNER: &str = "res.partner";

/// The detail of a problem that says whose partner is not known: the customer's number, and the partners that fit.
const CUSTOMER: &str = "customer";
const CANDIDATES: &str = "candidates";

/// Why what somebody did by hand cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ByHandError {
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// The ERP has no such record.
    #[error("the ERP has no {model} `{what}`")]
    NoSuchRecord {
        /// Its model.
        model: &'static str,
        /// What was given.
        what: String,
    },
    /// It has several.
    #[error("the ERP has several {model} named `{what}`: {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Several {
        /// Their model.
        model: &'static str,
        /// What was given.
        what: String,
        /// Their ids.
        ids: Vec<ErpId>,
    },
    /// The job's work cannot be done this way.
    #[error("{0}")]
    NotSo(&'static str),
    /// The ERP could not be asked.
    #[error("the ERP could not be asked")]
    Erp(#[from] ErpError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A record of the ERP that may be meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Candidate {
    /// Its id.
    pub id: i64,
    /// Its model.
    pub model: String,
    /// What it is called.
    pub name: String,
    /// What else tells it from others, e.g. a partner's e-mail or an order's reference.
    pub about: Option<String>,
    /// Its form.
    pub url: String,
}

/// Whose link a job's problem asks for.
struct Asked {
    kind: LinkKind,
    model: &'static str,
    source_id: String,
}

impl Reviewer {
    /// The order was entered into the ERP by hand, under this number: the two are linked, the job is closed, and lockstep
    /// leaves the order to people from then on: with `order` as it is on Shopify now, a later change of it is told. Counts as
    /// a manual correction.
    ///
    /// # Errors
    /// When there is no such job or order, or a side cannot be asked.
    pub async fn resolve(
        &self,
        shop: &Shop,
        erp: &dyn Erp,
        job: JobId,
        erp_ref: &str,
        order: Option<&Order>,
        reason: Option<&str>,
    ) -> Result<Acted, ByHandError> {
        let row = self.job(job).await?;
        if (row.key.object, row.key.direction) != (Object::Order, Direction::In) {
            return Err(ByHandError::NotSo(
                "only an order can be resolved by a number of the ERP; a customer is linked instead",
            ));
        }
        let found = named(erp, ORDER, erp_ref.trim(), &["client_order_ref"]).await?;
        let link = Link {
            shop: shop.name.clone(),
            kind: LinkKind::Order,
            source_id: row.key.source_id.clone(),
            model: ORDER.to_owned(),
            erp_id: found.id,
            erp_name: Some(text(&found, "name").unwrap_or_else(|| erp_ref.trim().to_owned())),
            state: LinkState::Linked,
            source_updated_at: None,
            agreed: entered_by_hand(self.actor(), self.clock.now(), order),
            agreed_out: Value::Null,
            writes: Value::Null,
        };
        let link = Box::new(link);
        Ok(self.act(Action::Resolve { job, link }, reason).await?)
    }

    /// The records of the ERP that may be meant: those that the job's problem names, and for an order those that carry its
    /// number.
    ///
    /// # Errors
    /// When there is no such job, or a side cannot be asked.
    pub async fn candidates(
        &self,
        shop: &Shop,
        erp: &dyn Erp,
        job: JobId,
    ) -> Result<Vec<Candidate>, ByHandError> {
        let row = self.job(job).await?;
        if asked(&row).is_some() {
            let rows = erp
                .read(PARTNER, &proposed(&row), &fields(&["name", "email"]))
                .await?;
            return Ok(rows
                .iter()
                .map(|found| candidate(shop, PARTNER, found, "email"))
                .collect());
        }
        let (Object::Order, Some(name)) = (row.key.object, &row.record_name) else {
            return Ok(Vec::new());
        };
        let find = Find {
            model: ORDER.to_owned(),
            equal: vec![("client_order_ref".to_owned(), FieldValue::Text(name.clone()))],
            one_of: None,
            fields: fields(&["name", "client_order_ref"]),
            limit: 20,
        };
        let rows = erp.find(&find).await?;
        Ok(rows
            .iter()
            .map(|found| candidate(shop, ORDER, found, "client_order_ref"))
            .collect())
    }

    /// Says which partner of the ERP the job's customer is, and tries the job again. Counts as a manual correction.
    ///
    /// # Errors
    /// When there is no such job or partner, when the job asks for none, or a side cannot be asked.
    pub async fn link(
        &self,
        shop: &Shop,
        erp: &dyn Erp,
        job: JobId,
        erp_id: ErpId,
        reason: Option<&str>,
    ) -> Result<Acted, ByHandError> {
        let row = self.job(job).await?;
        let asked = asked(&row).ok_or(ByHandError::NotSo(
            "this job does not ask which partner is meant; an order that was entered by hand is resolved by its number",
        ))?;
        let found = erp.read(asked.model, &[erp_id], &fields(&["name"])).await?;
        let Some(found) = found.first() else {
            return Err(ByHandError::NoSuchRecord {
                model: asked.model,
                what: erp_id.to_string(),
            });
        };
        let link = Link {
            shop: shop.name.clone(),
            kind: asked.kind,
            source_id: asked.source_id,
            model: asked.model.to_owned(),
            erp_id: found.id,
            erp_name: None,
            // Nothing was written through it yet: what stands there is not compared with anything.
            state: LinkState::Adopted,
            source_updated_at: None,
            agreed: json!({}),
            agreed_out: Value::Null,
            writes: Value::Null,
        };
        let link = Box::new(link);
        Ok(self.act(Action::Adopt { job, link }, reason).await?)
    }

    async fn job(&self, job: JobId) -> Result<JobRow, ByHandError> {
        let story = self.store.job(job).await?;
        story.map(|story| story.job).ok_or(ByHandError::UnknownJob(job))
    }
}

/// The customer whose partner the job asks for: its own record, or the one that its problem names.
fn asked(row: &JobRow) -> Option<Asked> {
    if row.key.direction != Direction::In {
        return None;
    }
    let named = row
        .problem
        .as_ref()
        .and_then(|problem| problem.detail.get(CUSTOMER))
        .and_then(Value::as_str);
    let source_id = match (row.key.object, named) {
        (Object::Customer, _) => row.key.source_id.clone(),
        (Object::Order, Some(customer)) => customer.to_owned(),
        _ => return None,
    };
    Some(Asked {
        kind: LinkKind::Customer,
        model: PARTNER,
        source_id,
    })
}

/// The ids that the job's problem proposes.
fn proposed(row: &JobRow) -> Vec<ErpId> {
    let detail = row.problem.as_ref().map(|problem| &problem.detail);
    let listed = detail
        .and_then(|detail| detail.get(CANDIDATES))
        .and_then(Value::as_array);
    let ids = listed.into_iter().flatten();
    ids.filter_map(|id| id.as_i64().or_else(|| id.as_str()?.parse().ok()))
        .map(ErpId)
        .collect()
}

/// The one record of this name.
async fn named(erp: &dyn Erp, model: &'static str, name: &str, also: &[&str]) -> Result<Row, ByHandError> {
    let find = Find {
        model: model.to_owned(),
        equal: vec![("name".to_owned(), FieldValue::Text(name.to_owned()))],
        one_of: None,
        fields: [fields(&["name"]), fields(also)].concat(),
        limit: 5,
    };
    let mut rows = erp.find(&find).await?;
    match rows.len() {
        1 => Ok(rows.remove(0)),
        0 => Err(ByHandError::NoSuchRecord {
            model,
            what: name.to_owned(),
        }),
        _ => Err(ByHandError::Several {
            model,
            what: name.to_owned(),
            ids: rows.iter().map(|row| row.id).collect(),
        }),
    }
}

fn candidate(shop: &Shop, model: &str, row: &Row, about: &str) -> Candidate {
    Candidate {
        id: row.id.0,
        model: model.to_owned(),
        name: text(row, "name").unwrap_or_else(|| row.id.to_string()),
        about: text(row, about),
        url: erp_page(shop, model, row.id.0),
    }
}

fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(row: &Row, field: &str) -> Option<String> {
    match row.fields.get(field) {
        Some(FieldValue::Text(text)) => Some(text.clone()),
        _ => None,
    }
}
