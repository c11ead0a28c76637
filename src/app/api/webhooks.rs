//! Webhook subscriptions and toggles: what `lockstep webhooks` and `lockstep toggle` do, through the daemon's own clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::{Json, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::routes::OfShop;
use super::{Api, Refused, answer};
use crate::app::review::{Reviewer, whole};
use crate::app::subscriptions::{
    self, ApplyReport, Installation, ListReport, NOT_NEWEST, Order, PlanReports, SubscriptionsError, Target,
};
use crate::app::test_delivery::{self, TestDelivery};
use crate::app::toggle::{self, Edited, ToggleError};
use crate::config::Config;
use crate::domain::{Actor, Direction, Object, ShopName, ShopifyId, Via};
use crate::store::StoreError;
use crate::subscriptions::{Registry, Toggle, is_newest};

/// What is to be applied.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApplyRequest {
    /// Only this shop.
    pub(super) shop: Option<String>,
    /// The hash of the plan that was looked at: another one is not carried out. Only together with `shop`.
    pub(super) hash: Option<String>,
    /// Delete every subscription that lockstep made for the shop, before it is taken out of the configuration, or while the
    /// daemon that knew it still runs. Only together with `shop`.
    pub(super) remove: bool,
}

/// What is to be taken over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdoptRequest {
    /// The shop.
    pub(super) shop: String,
    /// The subscriptions' numbers, as the list shows them.
    pub(super) ids: Vec<ShopifyId>,
}

/// What a toggle is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToggleRequest {
    /// `on`, `off` or `paused`.
    pub(super) state: Toggle,
}

/// What became of a toggle.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Toggled {
    /// The file.
    #[serde(flatten)]
    pub(super) edited: Edited,
    /// The number of the configuration in force afterwards, if the file was written.
    pub(super) revision: Option<i64>,
}

impl Api {
    async fn installation(&self, config: &Config) -> Result<Installation, StoreError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Installation {
            public_url: config.http.public_url.clone(),
            holder: format!("{}-{call}", self.installation.holder),
            ..self.installation.refreshed().await?
        })
    }

    /// The shops that are meant, each with the client in use.
    fn targets(&self, config: &Config, of_shop: &OfShop) -> Result<Vec<Target>, Refused> {
        let clients = Arc::clone(&self.clients.borrow());
        let shops = of_shop.choose(config)?;
        Ok(shops
            .into_iter()
            .filter_map(|shop| {
                let client = clients.get(&shop.name)?;
                Some(Target::new(shop, Arc::clone(client) as Arc<dyn Registry>))
            })
            .collect())
    }

    pub(in crate::app) async fn plans(&self, of_shop: &OfShop) -> Result<PlanReports, Refused> {
        let config = Arc::clone(&self.config.borrow());
        self.plans_under(&config, of_shop).await
    }

    /// The plans as they would be under another configuration of the same shops.
    pub(in crate::app) async fn plans_under(
        &self,
        config: &Config,
        of_shop: &OfShop,
    ) -> Result<PlanReports, Refused> {
        let at = self.installation(config).await?;
        let targets = self.targets(config, of_shop)?;
        let planned = subscriptions::plan_all(&at, &targets).await;
        let left_behind = subscriptions::left_behind(&at.store, config).await?;
        Ok(subscriptions::report_plans(&at, planned, left_behind).await?)
    }

    pub(in crate::app) async fn lists(&self, of_shop: &OfShop) -> Result<Vec<ListReport>, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let at = self.installation(&config).await?;
        let targets = self.targets(&config, of_shop)?;
        Ok(subscriptions::report_lists(
            subscriptions::list_all(&at, &targets).await,
        ))
    }

    /// Carries plans out and writes down who had it done, whether or not the one who asked still listens.
    pub(in crate::app) async fn carry_out(
        self: &Arc<Self>,
        of_shop: OfShop,
        order: Order,
        actor: Actor,
    ) -> Result<Vec<ApplyReport>, Refused> {
        let api = Arc::clone(self);
        let work = async move {
            let plan = order.agreed.clone();
            let done = api.apply_all(&of_shop, order).await?;
            let reviewer = Reviewer::new(api.store.clone(), api.clock.clone(), actor);
            reviewer.applied(&done, plan.as_deref()).await?;
            Ok(done)
        };
        whole(work).await.unwrap_or_else(|| Err(broken()))
    }

    async fn apply_all(&self, of_shop: &OfShop, order: Order) -> Result<Vec<ApplyReport>, Refused> {
        let acting_for = self.controls.newest();
        // What this node knows may be some seconds old.
        if acting_for.is_none() || !is_newest(&self.store, acting_for.as_deref()).await? {
            return Err(Refused::Conflict {
                code: NOT_NEWEST,
                detail: "This node's files differ from the newest configuration, which another node has: ask that one, or \
                         save this node's files anew."
                    .to_owned(),
            });
        }
        let config = Arc::clone(&self.config.borrow());
        let at = Installation {
            acting_for,
            ..self.installation(&config).await?
        };
        let departed = of_shop.shop.as_ref().and_then(|shop| shop.parse().ok());
        let departed = departed.and_then(|shop| self.departed.get(&shop));
        let targets = match departed {
            // Nothing else can be done to one that is not declared any more.
            Some(target) if order.remove => vec![target],
            _ => self.targets(&config, of_shop)?,
        };
        let works: Vec<(&Target, Result<Order, SubscriptionsError>)> =
            targets.iter().map(|target| (target, Ok(order.clone()))).collect();
        let done = subscriptions::apply_all(&at, &config, works).await;
        Ok(subscriptions::report_applied(&done))
    }

    /// Sends a delivery of this shop to this installation. Who did is written down before.
    pub(in crate::app) async fn test_delivery(
        &self,
        shop: &str,
        actor: Actor,
    ) -> Result<TestDelivery, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let of_shop = OfShop {
            shop: Some(shop.to_owned()),
        };
        let shop = of_shop.choose(&config)?;
        let shop = shop
            .first()
            .ok_or_else(|| Refused::Unknown("There is no such shop.".to_owned()))?;
        let reviewer = Reviewer::new(self.store.clone(), self.clock.clone(), actor);
        reviewer
            .configured("test_delivery", &shop.name, serde_json::Value::Null)
            .await?;
        let with = (&self.clock, &self.entropy);
        Ok(test_delivery::send(&config, shop, self.listener, &self.instance_key, with).await)
    }

    async fn toggle(
        self: &Arc<Self>,
        (shop, object, direction): (String, String, String),
        state: Toggle,
        actor: Actor,
    ) -> Result<Toggled, Refused> {
        let unknown = |text: &str| Refused::Unknown(format!("There is no toggle `{text}`."));
        let shop: ShopName = shop.parse().map_err(|_| unknown(&shop))?;
        let object: Object = object.parse().map_err(|_| unknown(&object))?;
        let direction: Direction = direction.parse().map_err(|_| unknown(&direction))?;
        let api = Arc::clone(self);
        let work = async move {
            let path = api.config.borrow().path.clone();
            let edit =
                tokio::task::spawn_blocking(move || toggle::set(&path, &shop, object, direction, state));
            let edited = edit.await.map_err(|_| broken())?.map_err(refused)?;
            if !edited.written {
                return Ok(Toggled {
                    edited,
                    revision: None,
                });
            }
            let reviewer = Reviewer::new(api.store.clone(), api.clock.clone(), actor);
            let kept = reviewer.edited(&edited).await;
            let reloaded = api.controls.reload().await;
            let revision = reloaded.map_err(|detail| Refused::Conflict {
                code: "files_not_taken",
                detail,
            })?;
            kept?;
            Ok(Toggled { edited, revision })
        };
        whole(work).await.unwrap_or_else(|| Err(broken()))
    }
}

/// Who calls, for the audit log.
pub(super) fn actor(request: &Extensions) -> Actor {
    let name = request.get::<Caller>().map_or("-", |caller| caller.name.as_str());
    Actor::new(name, Via::Api)
}

/// The work ended without a word: a mistake of ours.
pub(super) fn broken() -> Refused {
    Refused::Conflict {
        code: "broken",
        detail: "This ended without a word. Look at how things stand before you try again.".to_owned(),
    }
}

/// Why a toggle was not changed, with what is below it.
fn refused(error: ToggleError) -> Refused {
    let detail = error.to_string();
    match error {
        ToggleError::NoSuchShop { .. } | ToggleError::NoToggle(_) => Refused::Unknown(detail),
        error => {
            let below = std::error::Error::source(&error).map(|source| format!(": {source}"));
            Refused::Conflict {
                code: "toggle_refused",
                detail: detail + &below.unwrap_or_default(),
            }
        }
    }
}

/// The body, or what is wrong with it.
pub(super) fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Refused> {
    body.map(|Json(body)| body)
        .map_err(|rejection| Refused::Invalid(rejection.body_text()))
}

pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    Query(of_shop): Query<OfShop>,
    request: Extensions,
) -> Response {
    answer(api.plans(&of_shop).await, &request)
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(of_shop): Query<OfShop>,
    request: Extensions,
) -> Response {
    answer(api.lists(&of_shop).await, &request)
}

pub(super) async fn apply(
    State(api): State<Arc<Api>>,
    request: Extensions,
    body: Result<Json<ApplyRequest>, JsonRejection>,
) -> Response {
    let result = async {
        let body = read(body)?;
        if body.shop.is_none() && (body.hash.is_some() || body.remove) {
            let detail = "`hash` and `remove` are about one shop: name it.".to_owned();
            return Err(Refused::Invalid(detail));
        }
        let order = Order {
            agreed: body.hash,
            adopted: BTreeSet::new(),
            remove: body.remove,
        };
        api.carry_out(OfShop { shop: body.shop }, order, actor(&request))
            .await
    };
    answer(result.await, &request)
}

pub(super) async fn adopt(
    State(api): State<Arc<Api>>,
    request: Extensions,
    body: Result<Json<AdoptRequest>, JsonRejection>,
) -> Response {
    let result = async {
        let body = read(body)?;
        let order = Order {
            adopted: body.ids.into_iter().collect(),
            ..Order::default()
        };
        let of_shop = OfShop {
            shop: Some(body.shop),
        };
        api.carry_out(of_shop, order, actor(&request)).await
    };
    answer(result.await, &request)
}

pub(super) async fn toggle(
    State(api): State<Arc<Api>>,
    Path(of): Path<(String, String, String)>,
    request: Extensions,
    body: Result<Json<ToggleRequest>, JsonRejection>,
) -> Response {
    let result = async { api.toggle(of, read(body)?.state, actor(&request)).await };
    answer(result.await, &request)
}

pub(super) async fn test_delivery(
    State(api): State<Arc<Api>>,
    Path(shop): Path<String>,
    request: Extensions,
) -> Response {
    answer(api.test_delivery(&shop, actor(&request)).await, &request)
}
