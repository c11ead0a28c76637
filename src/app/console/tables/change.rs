//! A change of one entry: looked at first, then saved, taken up, and what waited for it tried again.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::super::Console;
use super::super::error::{Refusal, refuse};
use super::super::problems::Cause;
use super::super::session::Visitor;
use super::super::settings::diff_lines;
use super::super::view::{Frame, field, form_fields, page};
use super::{cluster_of, entry_url, exact, shop_named};
use crate::app::review::{Agreed, EntryPlan, TableEditError, plan_entry, tables_of};
use crate::app::suggest::FileError;
use crate::config::Config;
use crate::domain::{ShopName, TableKey};
use crate::mapping::MappingErrors;
use crate::store::{Acted, Cluster};

#[derive(Template)]
#[template(path = "table_plan.html", config = ".config/askama.toml")]
struct PlanPage {
    frame: Frame,
    shop: String,
    table: String,
    key: String,
    before: Option<String>,
    after: Option<String>,
    /// What the mapping file says where the shop's own file says nothing.
    beneath: Option<String>,
    diff: Vec<(&'static str, String)>,
    hash: String,
    cause: Option<Cause>,
    code: String,
    cluster: String,
    reason: String,
    table_url: String,
    /// Why this is shown again.
    again: Option<&'static str>,
    /// Why the file was left as it is.
    read_only: Option<String>,
    file: String,
}

/// What a person wants of an entry.
#[derive(Clone, Debug)]
struct Wish {
    shop: ShopName,
    table: String,
    key: String,
    to: Option<String>,
    cluster: Option<Cluster>,
    reason: Option<String>,
}

impl Wish {
    fn of(
        config: &Config,
        (shop, table): (&str, &str),
        fields: &[(String, String)],
    ) -> Result<Self, Refusal> {
        let say =
            |what: &str| Refusal::Not(StatusCode::BAD_REQUEST, format!("Nothing was done: say {what}."));
        let shop = shop_named(config, shop)?.name.clone();
        let key = exact(fields, "key").filter(|key| !key.trim().is_empty());
        let key = key.ok_or_else(|| say("which entry is meant"))?;
        let to = if field(fields, "remove").is_some() {
            None
        } else {
            let value = field(fields, "value").or_else(|| field(fields, "choice"));
            Some(value.ok_or_else(|| say("what the entry is to be"))?.to_owned())
        };
        Ok(Self {
            cluster: cluster_of(&shop, fields),
            shop,
            table: table.to_owned(),
            key,
            to,
            reason: field(fields, "reason").map(str::to_owned),
        })
    }

    fn entry(&self) -> (&str, &str) {
        (&self.table, &self.key)
    }
}

fn mistakes(errors: &MappingErrors) -> String {
    let told: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
    told.join(" ")
}

fn told(error: TableEditError) -> Refusal {
    let text = match error {
        TableEditError::Store(error) => return Refusal::store(&error),
        TableEditError::Mistake(errors) => format!(
            "Nothing was written: the mappings could not be used with this entry. {}",
            mistakes(&errors)
        ),
        TableEditError::Unsound { .. } => {
            return Refusal::Not(StatusCode::BAD_REQUEST, format!("Nothing was done: {error}."));
        }
        TableEditError::Broken => format!("{}.", super::super::job::capitalised(&error.to_string())),
        TableEditError::NoFolder => {
            "Nothing can be written: the configuration names no folder for mappings. Set `dir` in [mappings]."
                .to_owned()
        }
        TableEditError::File(source) => {
            let below = std::error::Error::source(&source).map(|below| format!(": {below}"));
            format!("Nothing was written: {source}{}.", below.unwrap_or_default())
        }
    };
    Refusal::Not(StatusCode::CONFLICT, text)
}

impl Console {
    async fn entry_plan_page(
        &self,
        visitor: &Visitor,
        wish: &Wish,
        plan: EntryPlan,
        (again, read_only): (Option<&'static str>, Option<String>),
    ) -> Result<PlanPage, Refusal> {
        let cause = self.waiting(wish.cluster.as_ref()).await?;
        let mappings = self.mapping_files().await?;
        let tables = tables_of(&mappings, &wish.shop);
        let table = tables.iter().find(|table| table.name == wish.table);
        let stands = table.and_then(|table| table.entries.iter().find(|entry| entry.key == wish.key));
        let beneath = stands
            .filter(|entry| !entry.is_own)
            .and_then(|entry| entry.value.clone());
        let entry = TableKey {
            table: wish.table.clone(),
            key: wish.key.clone(),
        };
        Ok(PlanPage {
            frame: Frame::new("Look before you save", "mappings", Some(visitor)),
            shop: wish.shop.to_string(),
            table: wish.table.clone(),
            key: wish.key.clone(),
            before: plan.edit.before,
            after: plan.edit.after,
            beneath,
            diff: diff_lines(&plan.diff),
            hash: plan.hash,
            cause,
            code: wish
                .cluster
                .as_ref()
                .map(|one| one.code.clone())
                .unwrap_or_default(),
            cluster: wish
                .cluster
                .as_ref()
                .map(|one| one.cluster.clone())
                .unwrap_or_default(),
            reason: wish.reason.clone().unwrap_or_default(),
            table_url: entry_url(&wish.shop, &entry, wish.cluster.as_ref()),
            again,
            read_only,
            file: plan.edit.file.display().to_string(),
        })
    }

    async fn entry_planned(
        &self,
        visitor: &Visitor,
        of: (&str, &str),
        fields: &[(String, String)],
    ) -> Result<Response, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let wish = Wish::of(&config, of, fields)?;
        let plan = plan_entry(
            config.mappings.dir.as_deref(),
            &wish.shop,
            wish.entry(),
            wish.to.as_deref(),
        )
        .await;
        let shown = self
            .entry_plan_page(visitor, &wish, plan.map_err(told)?, (None, None))
            .await?;
        Ok(page(StatusCode::OK, &shown))
    }

    async fn entry_saved(
        &self,
        visitor: &Visitor,
        of: (&str, &str),
        fields: &[(String, String)],
    ) -> Result<Response, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let wish = Wish::of(&config, of, fields)?;
        let agreed = field(fields, "hash").unwrap_or_default();
        let folder = config.mappings.dir.as_deref();
        let reviewer = self.reviewer(visitor);
        let said = (wish.reason.as_deref(), agreed);
        let set = reviewer.set_agreed_entry(folder, &wish.shop, wish.entry(), wish.to.as_deref(), said);
        let made = match set.await {
            Ok(Agreed::Made(_)) => true,
            Ok(Agreed::Already(_)) => false,
            Ok(Agreed::Differs(plan)) => {
                let again =
                    "The file has changed since you looked. Nothing was saved: this is what it would be now.";
                let shown = self
                    .entry_plan_page(visitor, &wish, plan, (Some(again), None))
                    .await?;
                return Ok(page(StatusCode::CONFLICT, &shown));
            }
            Err(TableEditError::File(FileError::Write { source, .. })) => {
                let plan = plan_entry(folder, &wish.shop, wish.entry(), wish.to.as_deref()).await;
                let plan = plan.map_err(told)?;
                let why = Some(source.to_string());
                let shown = self.entry_plan_page(visitor, &wish, plan, (None, why)).await?;
                return Ok(page(StatusCode::CONFLICT, &shown));
            }
            Err(error) => return Err(told(error)),
        };
        if made {
            self.api.controls.reload().await.map_err(|text| {
                let text = format!("The entry was saved, but could not be taken up: {text}");
                Refusal::Not(StatusCode::CONFLICT, text)
            })?;
        }
        let retries = wish.cluster.as_ref().filter(|_| field(fields, "retry").is_some());
        let Some(cluster) = retries else {
            let notice = if made { "table_saved" } else { "already" };
            return Ok(Redirect::to(&format!("/tables?notice={notice}")).into_response());
        };
        let notice = match self.retry_cluster(visitor, cluster).await? {
            Acted::Batch { is_new: true, .. } if made => "table_batch",
            Acted::Batch { is_new: true, .. } => "batch",
            Acted::Batch { .. } => "batch_runs",
            _ if made => "table_saved",
            _ => "already",
        };
        Ok(Redirect::to(&format!("/problems?notice={notice}")).into_response())
    }
}

pub(in crate::app::console) async fn plan(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((shop, table)): Path<(String, String)>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let planned = console.entry_planned(&visitor, (&shop, &table), &fields).await;
    planned.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}

/// Saves in a task of its own: a browser that goes away must not part the file from what follows it.
pub(in crate::app::console) async fn set(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((shop, table)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let who = visitor.clone();
    let work = tokio::spawn(async move {
        let saved = console
            .entry_saved(&visitor, (&shop, &table), &form_fields(&body))
            .await;
        saved.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
    });
    work.await.unwrap_or_else(|error| {
        let refusal = Refusal::Not(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        refuse(Some(&who), refusal)
    })
}
