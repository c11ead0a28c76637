//! The static tables of the mappings: looking, editing, and taking edits back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use axum::routing::{get, post, put};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::routes::{Parameter, Route, schema};
use super::super::{Api, Refused, answer};
use super::{Words, body, conflict, limited, query};
use crate::app::connect;
use crate::app::review::{
    Agreed, EntryPlan, PastEdit, TableChoice, TableEdit, TableEditError, TableView, past_edits, plan_entry,
    table_choices, tables_of,
};
use crate::domain::{Role, ShopName};
use crate::mapping::Mappings;

const fn parameter(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about }
}

pub(super) fn table() -> Vec<Route> {
    vec![
        Route {
            method: "get",
            path: "/api/v1/shops/{shop}/tables",
            id: "listTables",
            summary: "The static tables that a shop goes by, with their entries.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<Vec<TableView>>),
            handler: || get(list),
        },
        Route {
            method: "get",
            path: "/api/v1/shops/{shop}/tables/{table}/choices",
            id: "listTableChoices",
            summary: "What the ERP has to choose from for a table; what fits the entry comes first.",
            needs: Role::Operator,
            query: const { &[parameter("key", "The entry.")] },
            request: None,
            response: Some(schema::<Vec<TableChoice>>),
            handler: || get(choices),
        },
        Route {
            method: "post",
            path: "/api/v1/shops/{shop}/tables/{table}/plan",
            id: "planTableEntry",
            summary: "What a change of an entry would do to the shop's own file. Writes nothing.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<EntryRequest>),
            response: Some(schema::<EntryPlan>),
            handler: || post(plan),
        },
        Route {
            method: "put",
            path: "/api/v1/shops/{shop}/tables/{table}/entry",
            id: "setTableEntry",
            summary: "Changes an entry in the shop's own file, after all mappings were checked with it, and takes it up.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<EntryRequest>),
            response: Some(schema::<Edited>),
            handler: || put(set),
        },
        Route {
            method: "get",
            path: "/api/v1/tables/edits",
            id: "listTableEdits",
            summary: "Edits of tables, newest first.",
            needs: Role::Viewer,
            query: const {
                &[
                    parameter("shop", "Only of this shop."),
                    parameter(
                        "before",
                        "Only older than this line of the audit log: the next page.",
                    ),
                    parameter("limit", "At most this many: from 1 to 1000, by default 50."),
                ]
            },
            request: None,
            response: Some(schema::<Vec<PastEdit>>),
            handler: || get(edits),
        },
        Route {
            method: "post",
            path: "/api/v1/tables/edits/{edit}/revert",
            id: "revertTableEdit",
            summary: "Takes an edit back, if the entry is still what that edit made it.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Words>),
            response: Some(schema::<Edited>),
            handler: || post(revert),
        },
    ]
}

/// What an entry is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryRequest {
    /// What the shop calls it.
    key: String,
    /// What the ERP calls it, or the number of its record; null takes the shop's own entry away.
    value: Option<String>,
    /// Why, for those who ask later.
    #[serde(default)]
    reason: Option<String>,
    /// The hash of the plan that was looked at: another one is not carried out.
    #[serde(default)]
    hash: Option<String>,
}

/// What became of an edit.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Edited {
    /// The entry.
    #[serde(flatten)]
    edit: TableEdit,
    /// Whether anything was changed; else it stood like that already.
    changed: bool,
    /// The number of the configuration in force afterwards, if the file was written.
    revision: Option<i64>,
}

fn refused(error: TableEditError) -> Refused {
    let detail = error.to_string();
    match error {
        TableEditError::Store(error) => Refused::Store(error),
        TableEditError::Unsound { .. } => Refused::Invalid(format!("Nothing was done: {detail}.")),
        TableEditError::Mistake(errors) => {
            let told: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
            conflict("mappings_refuse", format!("{detail}: {}", told.join(" ")))
        }
        TableEditError::NoFolder => conflict("no_folder", detail),
        TableEditError::Broken => conflict("broken", detail),
        TableEditError::File(source) => {
            let below = std::error::Error::source(&source).map(|below| format!(": {below}"));
            conflict("file_not_usable", detail + &below.unwrap_or_default())
        }
    }
}

impl Api {
    async fn mapping_files(&self) -> Result<Mappings, Refused> {
        let folder = self.config.borrow().mappings.dir.clone();
        let loaded = tokio::task::spawn_blocking(move || crate::app::mappings::load(folder.as_deref())).await;
        let broken = |detail: String| conflict("mappings_broken", detail);
        loaded
            .map_err(|error| broken(error.to_string()))?
            .map_err(|errors| {
                let told: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
                broken(told.join(" "))
            })
    }

    /// Makes a change and takes it up. In a task of its own: a caller that goes away must not part the two.
    async fn edit(
        self: Arc<Self>,
        request: &Extensions,
        shop: ShopName,
        table: String,
        wish: EntryRequest,
    ) -> Result<Edited, Refused> {
        let reviewer = self.reviewer(request);
        let work = tokio::spawn(async move {
            let folder = self.config.borrow().mappings.dir.clone();
            let (folder, entry, to) = (
                folder.as_deref(),
                (table.as_str(), wish.key.as_str()),
                wish.value.as_deref(),
            );
            let hash = match wish.hash {
                Some(hash) => hash,
                None => {
                    let plan = plan_entry(folder, &shop, entry, to).await;
                    plan.map_err(refused)?.hash
                }
            };
            let said = (wish.reason.as_deref(), hash.as_str());
            let agreed = reviewer.set_agreed_entry(folder, &shop, entry, to, said).await;
            match agreed.map_err(refused)? {
                Agreed::Already(edit) => Ok(Edited {
                    edit,
                    changed: false,
                    revision: None,
                }),
                Agreed::Differs(_) => {
                    let detail = "The file has changed since that plan was made. Nothing was written: look at it anew.";
                    Err(conflict("plan_changed", detail.to_owned()))
                }
                Agreed::Made(edit) => {
                    let reloaded = self.controls.reload().await;
                    let revision = reloaded.map_err(|detail| conflict("files_not_taken", detail))?;
                    Ok(Edited {
                        edit,
                        changed: true,
                        revision,
                    })
                }
            }
        });
        work.await
            .unwrap_or_else(|error| Err(conflict("edit_failed", error.to_string())))
    }

    async fn revert(
        self: Arc<Self>,
        request: &Extensions,
        id: &str,
        words: Words,
    ) -> Result<Edited, Refused> {
        let id: i64 = id
            .parse()
            .map_err(|_| Refused::Invalid(format!("`{id}` is no number of an edit.")))?;
        let found = past_edits(&self.store, None, id.checked_add(1), 1).await?.pop();
        let edit = found.filter(|edit| edit.row.id == id);
        let unknown = || Refused::Unknown(format!("There is no edit {id}."));
        let edit = edit.ok_or_else(unknown)?;
        let shop = edit.row.shop.ok_or_else(unknown)?;
        self.declared(shop.as_str())?;
        let folder = self.config.borrow().mappings.dir.clone();
        let (table, key) = (edit.table.clone(), edit.key.clone());
        let wanted = edit.before.as_deref();
        let plan = plan_entry(folder.as_deref(), &shop, (&table, &key), wanted).await;
        let plan = plan.map_err(refused)?;
        if plan.edit.before != edit.after && plan.edit.before != plan.edit.after {
            let now = plan.edit.before.as_deref().unwrap_or("nothing");
            let detail = format!("The entry has been changed since: it is {now} now. Nothing was done.");
            return Err(conflict("changed", detail));
        }
        let wish = EntryRequest {
            key,
            value: edit.before,
            reason: words.reason.or_else(|| Some(format!("takes edit {id} back"))),
            hash: Some(plan.hash),
        };
        self.edit(request, shop, table, wish).await
    }
}

async fn list(State(api): State<Arc<Api>>, Path(shop): Path<String>, request: Extensions) -> Response {
    let found = async {
        let shop = api.declared(&shop)?;
        Ok(tables_of(&api.mapping_files().await?, &shop))
    };
    answer(found.await, &request)
}

/// For which entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForKey {
    key: Option<String>,
}

async fn choices(
    State(api): State<Arc<Api>>,
    Path((shop, table)): Path<(String, String)>,
    request: Extensions,
    asked: Result<Query<ForKey>, QueryRejection>,
) -> Response {
    let found = async {
        let (shop, asked) = (api.declared(&shop)?, query(asked)?);
        let config = Arc::clone(&api.config.borrow());
        let unreachable = |error: String| Refused::Unreachable(format!("The ERP cannot be asked: {error}."));
        let shop = config
            .shops
            .get(&shop)
            .ok_or_else(|| unreachable("it is not declared".to_owned()))?;
        let erp = connect::erp(shop, &api.clock).map_err(|error| unreachable(error.to_string()))?;
        table_choices(&*erp, &table, asked.key.as_deref())
            .await
            .map_err(|error| unreachable(error.to_string()))
    };
    answer(found.await, &request)
}

async fn plan(
    State(api): State<Arc<Api>>,
    Path((shop, table)): Path<(String, String)>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    let planned = async {
        let (shop, wish) = (api.declared(&shop)?, body::<EntryRequest>(&bytes)?);
        let folder = api.config.borrow().mappings.dir.clone();
        plan_entry(
            folder.as_deref(),
            &shop,
            (&table, &wish.key),
            wish.value.as_deref(),
        )
        .await
        .map_err(refused)
    };
    answer(planned.await, &request)
}

async fn set(
    State(api): State<Arc<Api>>,
    Path((shop, table)): Path<(String, String)>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    let done = async {
        let (shop, wish) = (api.declared(&shop)?, body::<EntryRequest>(&bytes)?);
        Arc::clone(&api).edit(&request, shop, table, wish).await
    };
    answer(done.await, &request)
}

/// Which edits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    shop: Option<ShopName>,
    before: Option<i64>,
    limit: Option<u32>,
}

async fn edits(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<Which>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        let limit = limited(asked.limit)?;
        Ok(past_edits(&api.store, asked.shop.as_ref(), asked.before, limit).await?)
    };
    answer(found.await, &request)
}

async fn revert(
    State(api): State<Arc<Api>>,
    Path(edit): Path<String>,
    request: Extensions,
    bytes: Bytes,
) -> Response {
    let done = async {
        Arc::clone(&api)
            .revert(&request, &edit, body::<Words>(&bytes)?)
            .await
    };
    answer(done.await, &request)
}
