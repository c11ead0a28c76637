//! Runs, their reports, imports, and the recovery plan: what `lockstep reconcile`, `lockstep import` and `lockstep recovery` do, through
//! the daemon.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::Extensions;
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::auth::Caller;
use super::records::mappings;
use super::review::frame::on_post;
use super::routes::{OfShop, Parameter, Route, SHOP, schema};
use super::{Api, Refused, answer};
use crate::app::connect;
use crate::app::import::Shopify;
use crate::app::imports::{self, ImportsRefused, TurnedImport, WantedImports};
use crate::app::reconcile::{self, ByHand, Drift, Wanted, with_findings};
use crate::app::record::ready;
use crate::app::recovery::{Recovery, recovery};
use crate::app::review::{Reviewer, Said};
use crate::config::{Config, Shop};
use crate::domain::{Object, Role, ShopName, Timestamp};
use crate::reconcile::{FullShop, RunError};
use crate::store::{DriftFilter, ImportRow, RunRow};
use crate::sync::Engine;

/// Runs that are listed.
const RUNS: u32 = 100;

/// Findings of a report that are answered.
const FINDINGS: u32 = 1000;

pub(super) fn table() -> Vec<Route> {
    let reads = |path, id, summary, query, response, handler| Route {
        method: "get",
        path,
        id,
        summary,
        needs: Role::Viewer,
        query,
        request: None,
        response: Some(response),
        handler,
    };
    let acts = |path, id, summary, (needs, request, response), handler| Route {
        method: "post",
        path,
        id,
        summary,
        needs,
        query: &[],
        request: Some(request),
        response: Some(response),
        handler,
    };
    vec![
        reads(
            "/api/v1/runs",
            "listRuns",
            "The last runs that looked for missed changes or compared both sides, newest first.",
            &[SHOP],
            schema::<Vec<RunRow>>,
            || get(runs),
        ),
        reads(
            "/api/v1/reconcile",
            "listReports",
            "What full runs found: the last report of each object, or that of a run. Viewers see no customers' data.",
            &[
                SHOP,
                Parameter {
                    name: "object",
                    about: "Only order, customer, product or inventory.",
                },
                Parameter {
                    name: "run",
                    about: "The report of this run.",
                },
            ],
            schema::<Vec<Drift>>,
            || get(reports),
        ),
        acts(
            "/api/v1/shops/{shop}/reconcile",
            "beginReconcile",
            "Begins full runs of the shop, one object after the other; they go on by themselves.",
            (
                Role::Operator,
                schema::<ReconcileRequest>,
                schema::<ReconcileBegun>,
            ),
            || post(begin_runs),
        ),
        reads(
            "/api/v1/imports",
            "listImports",
            "The last imports, newest first, with what became of their records so far.",
            &[SHOP],
            schema::<Vec<ImportRow>>,
            || get(list_imports),
        ),
        acts(
            "/api/v1/shops/{shop}/imports",
            "beginImports",
            "Begins to carry everything over that the shop has, or had since a time, behind everything live.",
            (Role::Admin, schema::<ImportRequest>, schema::<ImportsAnswer>),
            || post(begin_imports),
        ),
        acts(
            "/api/v1/imports/{id}/stop",
            "stopImport",
            "Stops an import; what is in the queue already is still done.",
            (Role::Operator, schema::<Nothing>, schema::<TurnedImport>),
            || post(stop_import),
        ),
        acts(
            "/api/v1/imports/{id}/resume",
            "resumeImport",
            "Lets an import go on where it was stopped.",
            (Role::Operator, schema::<Nothing>, schema::<TurnedImport>),
            || post(resume_import),
        ),
        reads(
            "/api/v1/recovery",
            "getRecovery",
            "What happens and what to do when the ERP, Shopify or lockstep is down for an hour, a day or a weekend.",
            &[SHOP],
            schema::<Recovery>,
            || get(get_recovery),
        ),
    ]
}

/// Nothing is said with it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

/// What is to be compared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ReconcileRequest {
    /// Of order, customer, product and inventory; all of them where none is named, inventory only where it is carried to the shop.
    objects: Vec<Object>,
    /// Finds, and repairs nothing.
    dry_run: bool,
    /// Records of the shop that changed before are left aside.
    since: Option<Timestamp>,
    /// So many linked records instead, picked at random, each field by field: 1 to 10,000.
    sample: Option<u32>,
}

/// That runs began.
#[derive(Debug, Serialize, JsonSchema)]
struct ReconcileBegun {
    /// The number of the first run: its report is there once it is through.
    run: i64,
    /// What it compares.
    object: Object,
    /// Whether an object before it is left out, because a run of it is under way already.
    others_under_way: bool,
}

/// What is to be imported.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ImportRequest {
    /// Of order, customer and product; all of them where none is named.
    objects: Vec<Object>,
    /// Only what was made from then on.
    since: Option<Timestamp>,
    /// Only what was made before then.
    until: Option<Timestamp>,
}

/// Imports that began.
#[derive(Debug, Serialize, JsonSchema)]
struct ImportsAnswer {
    /// How they stand.
    imports: Vec<ImportRow>,
    /// What they do not see of what was asked for.
    warning: Option<String>,
}

/// The query of reports.
#[derive(Debug, Deserialize)]
struct ReportsQuery {
    shop: Option<String>,
    object: Option<String>,
    run: Option<i64>,
}

fn shop_of<'c>(config: &'c Config, name: &str) -> Result<&'c Shop, Refused> {
    let found = config.shops.values().find(|shop| shop.name.as_str() == name);
    found.ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{name}].")))
}

/// The shop that is named, if one is.
fn named(config: &Config, name: Option<String>) -> Result<Option<ShopName>, Refused> {
    match name {
        Some(name) => shop_of(config, &name).map(|shop| Some(shop.name.clone())),
        None => Ok(None),
    }
}

impl Api {
    fn client(&self, shop: &Shop) -> Result<Arc<Shopify>, Refused> {
        let client = self.clients.borrow().get(&shop.name).cloned();
        match client {
            Some(client) => Ok(client),
            None => connect::shopify(shop, &self.clock, &self.entropy).map_err(|error| {
                Refused::Unreachable(format!("[shops.{}] cannot be connected: {error}.", shop.name))
            }),
        }
    }

    async fn begin_runs(
        &self,
        reviewer: Reviewer,
        shop: &str,
        said: ReconcileRequest,
    ) -> Result<ReconcileBegun, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let shop = shop_of(&config, shop)?;
        if let Some(sample) = said.sample
            && (!(1..=10_000).contains(&sample) || said.since.is_some())
        {
            let why = "`sample` must be 1 to 10,000, and picks among all: take `since` away.";
            return Err(Refused::Invalid(why.to_owned()));
        }
        let objects = if said.objects.is_empty() {
            reconcile::objects_of(shop)
        } else {
            said.objects
        };
        if let Some(object) = objects.iter().find(|object| !reconcile::OBJECTS.contains(object)) {
            let why = format!(
                "{object} records are not compared as a whole: order, customer, product and inventory are."
            );
            return Err(Refused::Invalid(why));
        }
        if objects.contains(&Object::Inventory) && !reconcile::objects_of(shop).contains(&Object::Inventory) {
            let why = "Stock is compared where it is sent to the shop: `inventory` is not carried out here.";
            return Err(Refused::Invalid(why.to_owned()));
        }
        let of_shop = Said {
            shopify: self.client(shop)?,
            erp: connect::erp(shop, &self.clock).map_err(|error| {
                Refused::Unreachable(format!("[shops.{}] cannot be connected: {error}.", shop.name))
            })?,
        };
        let files = Arc::new(mappings(&config).await?);
        let context = ready(shop, &of_shop, &self.store, &self.clock, files)
            .map_err(|error| Refused::Unreachable(format!("The shop cannot be connected: {error}.")))?;
        let full = FullShop {
            beside: reconcile::beside(&config, shop),
            name: shop.name.clone(),
            shops: config.shops.keys().cloned().collect(),
            engine: Engine::new([context]),
            entropy: Arc::clone(&self.entropy),
            node: self.installation.holder.clone(),
            notifier: Arc::new(self.installation.events.clone()),
        };
        let wanted = Wanted {
            actor: reviewer.actor().clone(),
            objects,
            dry_run: said.dry_run,
            since: said.since,
            sample: said.sample,
        };
        let by_hand = ByHand::new(wanted, reviewer);
        let (began, has_begun) = oneshot::channel();
        self.controls.aside(|stop| by_hand.carry_out(full, began, stop));
        match has_begun.await {
            Ok(Ok(first)) => Ok(ReconcileBegun {
                run: first.run,
                object: first.object,
                others_under_way: !first.is_first,
            }),
            Ok(Err(RunError::UnderWay)) => Err(Refused::Conflict {
                code: "under_way",
                detail: "A full run of these records is under way already; nothing was begun.".to_owned(),
            }),
            Ok(Err(RunError::Store(error))) => Err(error.into()),
            Ok(Err(error @ RunError::NotCompared(_))) => {
                Err(Refused::Invalid(format!("No run was begun: {error}.")))
            }
            Ok(Err(error)) => Err(Refused::Unreachable(format!("No run was begun: {error}."))),
            Err(_) => Err(Refused::Conflict {
                code: "stopping",
                detail: "The daemon is stopping; nothing was begun.".to_owned(),
            }),
        }
    }

    async fn begin_imports(
        &self,
        reviewer: &Reviewer,
        shop: &str,
        said: ImportRequest,
    ) -> Result<ImportsAnswer, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let shop = shop_of(&config, shop)?;
        let wanted = WantedImports {
            objects: if said.objects.is_empty() {
                imports::OBJECTS.to_vec()
            } else {
                said.objects
            },
            since: said.since,
            until: said.until,
            actor: reviewer.actor().clone(),
        };
        let client = self.client(shop)?;
        let begun = imports::begin(shop, &wanted, &client, (&self.store, &self.clock)).await?;
        self.controls.look();
        Ok(ImportsAnswer {
            imports: imports::of(&self.store, &begun.ids).await?,
            warning: begun.warning,
        })
    }

    async fn turn_import(&self, reviewer: &Reviewer, id: &str, runs: bool) -> Result<TurnedImport, Refused> {
        let unknown = || Refused::Unknown(format!("No import {id} is running or stopped."));
        let number: i64 = id
            .parse()
            .map_err(|_| Refused::Invalid(format!("`{id}` is no number of an import.")))?;
        let open = self.store.open_imports().await?;
        let row = open.iter().find(|row| row.id == number).ok_or_else(unknown)?;
        let by = (reviewer.actor(), self.clock.now());
        let turned = imports::turn_one(&self.store, row, by, runs).await?;
        self.controls.look();
        // What stands like that already is told as such, so that a call whose answer was lost can be repeated.
        Ok(turned.unwrap_or(TurnedImport {
            import: row.id,
            object: row.object,
            state: row.state,
        }))
    }

    async fn reports(&self, query: ReportsQuery) -> Result<Vec<Drift>, Refused> {
        let shop = named(&self.config.borrow(), query.shop)?;
        let object = query.object.map(|object| object.parse::<Object>()).transpose();
        let object = object.map_err(|_| {
            Refused::Invalid("`object` must be order, customer, product or inventory.".to_owned())
        })?;
        let mut all = Vec::new();
        for report in reconcile::reports(&self.store, shop.as_ref(), object, query.run).await? {
            all.push(with_findings(&self.store, report, DriftFilter::default(), FINDINGS).await?);
        }
        Ok(all)
    }

    async fn recovery(&self, shop: Option<String>) -> Result<Recovery, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let shop = named(&config, shop)?;
        let files = mappings(&config).await?;
        Ok(recovery(&config, &files, &self.store, shop.as_ref(), self.clock.now()).await?)
    }
}

impl From<ImportsRefused> for Refused {
    fn from(refused: ImportsRefused) -> Self {
        let detail = format!("{refused}.");
        let code = match refused {
            ImportsRefused::Store(error) => return Self::Store(error),
            ImportsRefused::NotImported(_) | ImportsRefused::NothingBetween => return Self::Invalid(detail),
            ImportsRefused::SwitchedOff { .. } => "switched_off",
            ImportsRefused::NoDaemon => "no_daemon",
            ImportsRefused::UnderWay(_) => "under_way",
        };
        Self::Conflict { code, detail }
    }
}

on_post!(begin_runs, |api, reviewer, shop in String, said: ReconcileRequest| {
    api.begin_runs(reviewer, &shop, said).await
});

on_post!(begin_imports, |api, reviewer, shop in String, said: ImportRequest| {
    api.begin_imports(&reviewer, &shop, said).await
});

on_post!(stop_import, |api, reviewer, id in String, _said: Nothing| {
    api.turn_import(&reviewer, &id, false).await
});

on_post!(resume_import, |api, reviewer, id in String, _said: Nothing| {
    api.turn_import(&reviewer, &id, true).await
});

async fn runs(State(api): State<Arc<Api>>, Query(of): Query<OfShop>, request: Extensions) -> Response {
    let shop = named(&api.config.borrow(), of.shop);
    let found = match shop {
        Ok(shop) => api.store.runs(RUNS).await.map_err(Refused::from).map(|mut rows| {
            rows.retain(|row| shop.as_ref().is_none_or(|shop| *shop == row.shop));
            rows
        }),
        Err(refused) => Err(refused),
    };
    answer(found, &request)
}

async fn list_imports(
    State(api): State<Arc<Api>>,
    Query(of): Query<OfShop>,
    request: Extensions,
) -> Response {
    let shop = named(&api.config.borrow(), of.shop);
    let found = match shop {
        Ok(shop) => api
            .store
            .imports(imports::LAST)
            .await
            .map_err(Refused::from)
            .map(|mut rows| {
                rows.retain(|row| shop.as_ref().is_none_or(|shop| *shop == row.shop));
                rows
            }),
        Err(refused) => Err(refused),
    };
    answer(found, &request)
}

async fn reports(
    State(api): State<Arc<Api>>,
    Query(query): Query<ReportsQuery>,
    request: Extensions,
) -> Response {
    let caller = request.get::<Caller>();
    let is_viewer = caller.is_none_or(|caller| !caller.role.may(Role::Operator));
    let found = api.reports(query).await.map(|mut reports| {
        if is_viewer {
            for report in &mut reports {
                let findings = std::mem::take(&mut report.findings);
                report.findings = findings.into_iter().map(reconcile::Found::masked).collect();
            }
        }
        reports
    });
    answer(found, &request)
}

async fn get_recovery(
    State(api): State<Arc<Api>>,
    Query(of): Query<OfShop>,
    request: Extensions,
) -> Response {
    answer(api.recovery(of.shop).await, &request)
}
