//! The way back, for programs: carrying everything over, and choosing between two values.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::Extensions;
use axum::response::{Json, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::{Api, Refused, answer};
use crate::app::review::{ChoiceError, ChooseError, Keep, Reviewer};
use crate::app::{connect, push};
use crate::domain::{Actor, Direction, JobId, Object, ShopName, Via};
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

/// Whose value is kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveRequest {
    /// `shopify` or `erp`.
    pub(super) keep: Keep,
    /// Only of this field; of all that the problem shows when it is absent.
    #[serde(default)]
    pub(super) field: Option<String>,
}

/// What was chosen about.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Resolved {
    job: JobId,
    keep: Keep,
    /// The fields, each once.
    fields: Vec<String>,
}

impl Api {
    async fn push_all(&self, (shop, object): (String, String)) -> Result<PushedAll, Refused> {
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
        self.controls.look();
        Ok(PushedAll {
            shop: shop.name.clone(),
            object,
            records: pushed.records,
            made: pushed.made,
            gone_too,
        })
    }

    async fn resolve(&self, job: &str, request: ResolveRequest, caller: &str) -> Result<Resolved, Refused> {
        let actor = Actor::new(caller, Via::Api);
        let reviewer = Reviewer::new(self.store.clone(), self.clock.clone(), actor);
        let id = job
            .parse()
            .map(JobId)
            .map_err(|_| Refused::Invalid(format!("`{job}` is no number of a job.")))?;
        let ResolveRequest { keep, field } = request;
        let chosen = reviewer.choose(id, keep, field.as_deref(), None).await;
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
        let mut fields: Vec<String> = chosen.into_iter().map(|conflict| conflict.field).collect();
        fields.dedup();
        Ok(Resolved {
            job: id,
            keep,
            fields,
        })
    }
}

pub(super) async fn push_all(
    State(api): State<Arc<Api>>,
    Path(of): Path<(String, String)>,
    request: Extensions,
) -> Response {
    answer(api.push_all(of).await, &request)
}

pub(super) async fn resolve(
    State(api): State<Arc<Api>>,
    Path(job): Path<String>,
    request: Extensions,
    body: Result<Json<ResolveRequest>, JsonRejection>,
) -> Response {
    let caller = request.get::<Caller>().map_or("-", |caller| caller.name.as_str());
    let result = async { api.resolve(&job, super::webhooks::read(body)?, caller).await };
    answer(result.await, &request)
}
