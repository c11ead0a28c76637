//! The way back, for programs: carrying everything over, and choosing between two values.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::Extensions;
use axum::response::{Json, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, Refused, answer, review};
use crate::app::review::{ChoiceError, ChooseError, Conflict, Keep, Reviewer, whole};
use crate::app::{connect, push};
use crate::domain::{Actor, Direction, JobId, JobState, Object, ShopName};
use crate::subscriptions::Toggle;

/// What came of asking for everything.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PushedAll {
    shop: ShopName,
    object: Object,
    /// Records of the ERP that are not archived.
    records: u64,
    /// Jobs that were made; the other records had an open one.
    made: u64,
    /// Whether records that are gone from the ERP waited for this word.
    gone_too: bool,
}

/// What a job's question is answered with: `keep`, or `erp_ref`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveRequest {
    /// Whose value is kept: `shopify` or `erp`.
    #[serde(default)]
    pub(super) keep: Option<Keep>,
    /// Only of this field; of all that the problem shows when it is absent.
    #[serde(default)]
    pub(super) field: Option<String>,
    /// The order's number in the ERP, where somebody entered it.
    #[serde(default)]
    pub(super) erp_ref: Option<String>,
    /// Why, for those who ask later.
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// The state in which the job was seen: in another one nothing is done.
    #[serde(default)]
    pub(super) seen: Option<JobState>,
}

/// How a job's question was answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Resolved {
    job: JobId,
    /// Whose value is kept, if that was the question.
    keep: Option<Keep>,
    /// The fields that it is about, each once.
    fields: Vec<String>,
    /// One sentence.
    told: String,
}

impl Api {
    async fn push_all(&self, (shop, object): (String, String), actor: Actor) -> Result<PushedAll, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let named = config.shops.values().find(|known| known.name.as_str() == shop);
        let shop =
            named.ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{shop}].")))?;
        let object: Object = object
            .parse()
            .ok()
            .filter(|object| !matches!(object, Object::Order | Object::Shop))
            .ok_or_else(|| {
                Refused::Unknown(format!(
                    "`{object}` is not carried out: customer, product and inventory are."
                ))
            })?;
        if shop.sync.toggle(object, Direction::Out) == Toggle::Off {
            return Err(Refused::Conflict {
                code: "out_is_off",
                detail: format!("`out` of {object} is off for this shop: switch it on first."),
            });
        }
        let unreachable = |detail: String| Refused::Conflict {
            code: "erp_not_asked",
            detail: format!("The ERP cannot be asked: {detail}. Nothing was done."),
        };
        let erp = connect::erp(shop, &self.clock).map_err(|error| unreachable(error.to_string()))?;
        let records = push::records(&*erp, object)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let pushed = push::push(&self.store, &self.clock, &shop.name, object, &records).await?;
        let gone_too = push::accept_vanished(&self.store, &self.clock, &*erp, &shop.name, object).await?;
        let reviewer = Reviewer::new(self.store.clone(), self.clock.clone(), actor);
        reviewer.pushed(&shop.name, object, pushed, gone_too).await?;
        self.controls.look();
        Ok(PushedAll {
            shop: shop.name.clone(),
            object,
            records: pushed.records,
            made: pushed.made,
            gone_too,
        })
    }

    async fn resolve(
        &self,
        job: &str,
        request: ResolveRequest,
        reviewer: &Reviewer,
    ) -> Result<Resolved, Refused> {
        let id = review::job_id(job)?;
        self.as_seen(id, request.seen).await?;
        let reason = request.reason.as_deref();
        match (request.keep, &request.erp_ref) {
            (Some(keep), None) => {
                self.keep(id, keep, request.field.as_deref(), reason, reviewer)
                    .await
            }
            (None, Some(number)) if request.field.is_none() => {
                let acted = self.entered_by_hand(reviewer, id, number, reason).await?;
                let done = format!("job {id} is closed: its order is {number} in the ERP");
                let told = self.of_job(id, acted, &done)?.told;
                Ok(Resolved {
                    job: id,
                    keep: None,
                    fields: Vec::new(),
                    told,
                })
            }
            _ => {
                let detail = "Either `keep` (and `field`) or `erp_ref`.".to_owned();
                Err(Refused::Invalid(detail))
            }
        }
    }

    async fn keep(
        &self,
        id: JobId,
        keep: Keep,
        field: Option<&str>,
        reason: Option<&str>,
        reviewer: &Reviewer,
    ) -> Result<Resolved, Refused> {
        let chosen = self.choose(reviewer, id, keep, field, reason).await?;
        let mut fields: Vec<String> = chosen.into_iter().map(|conflict| conflict.field).collect();
        fields.dedup();
        Ok(Resolved {
            job: id,
            keep: Some(keep),
            fields,
            told: format!("job {id} is tried again now"),
        })
    }

    /// Chooses whose value is kept. The console does it through here, too.
    pub(in crate::app) async fn choose(
        &self,
        reviewer: &Reviewer,
        id: JobId,
        keep: Keep,
        field: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Vec<Conflict>, Refused> {
        let chosen = reviewer.choose(id, keep, field, reason).await;
        let chosen = chosen.map_err(|error| match error {
            ChoiceError::Unknown(_) => Refused::Unknown(format!("There is no job {id}.")),
            ChoiceError::Store(error) | ChoiceError::Choose(ChooseError::Store(error)) => {
                Refused::Store(error)
            }
            error => Refused::Conflict {
                code: "not_asked",
                detail: format!("{error}."),
            },
        })?;
        self.controls.look();
        Ok(chosen)
    }
}

pub(super) async fn push_all(
    State(api): State<Arc<Api>>,
    Path(of): Path<(String, String)>,
    request: Extensions,
) -> Response {
    let actor = super::webhooks::actor(&request);
    let work = async move { api.push_all(of, actor).await };
    let done = whole(work)
        .await
        .unwrap_or_else(|| Err(super::webhooks::broken()));
    answer(done, &request)
}

pub(super) async fn resolve(
    State(api): State<Arc<Api>>,
    Path(job): Path<String>,
    request: Extensions,
    body: Result<Json<ResolveRequest>, JsonRejection>,
) -> Response {
    let reviewer = api.reviewer(&request);
    let result = async { api.resolve(&job, super::webhooks::read(body)?, &reviewer).await };
    answer(result.await, &request)
}
