//! One table, and the form for one entry: with what the ERP has to choose from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::super::Console;
use super::super::error::{Refusal, refuse};
use super::super::problems::Cause;
use super::super::session::Visitor;
use super::super::view::{Frame, field, form_fields, page, percent_encoded};
use super::{cluster_of, exact, shop_named, table_url};
use crate::app::connect;
use crate::app::review::{EntryView, TableChoice, table_choices, tables_of};
use crate::config::Shop;
use crate::domain::Role;
use crate::mapping::SUGGESTED_TABLES;

/// How long a page waits for what the ERP has to choose from. Without it a value can still be typed.
const PATIENCE: Duration = Duration::from_secs(5);

/// One entry in the table of entries.
struct EntryLine {
    key: String,
    value: Option<String>,
    /// What the ERP calls the record with this number.
    label: Option<String>,
    file: String,
    is_own: bool,
    is_meant: bool,
    url: String,
}

/// What is to be filled in.
struct EntryForm {
    /// Nothing where a new entry is to be named, too.
    key: Option<String>,
    choices: Vec<TableChoice>,
    /// Why the ERP's records are not offered.
    unknown: Option<String>,
    value: String,
    /// Whether the shop's own file has the entry, so that it can be taken away there.
    is_own: bool,
}

#[derive(Template)]
#[template(path = "table.html", config = ".config/askama.toml")]
struct TablePage {
    frame: Frame,
    shop: String,
    table: String,
    entries: Vec<EntryLine>,
    form: Option<EntryForm>,
    /// What waits for the entry.
    cause: Option<Cause>,
    code: String,
    cluster: String,
    plan_url: String,
    new_url: String,
}

pub(in crate::app::console) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((shop, table)): Path<(String, String)>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.table_page(&visitor, (&shop, &table), &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    /// What the ERP has to choose from, or why that is not known.
    async fn erp_choices(
        &self,
        shop: &Shop,
        table: &str,
        key: Option<&str>,
    ) -> Result<Vec<TableChoice>, String> {
        let erp = connect::erp(shop, &self.api.clock).map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, table_choices(&*erp, table, key)).await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    async fn table_page(
        &self,
        visitor: &Visitor,
        (shop, table): (&str, &str),
        fields: &[(String, String)],
    ) -> Result<TablePage, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let shop = shop_named(&config, shop)?;
        let mappings = self.mapping_files().await?;
        let known = tables_of(&mappings, &shop.name)
            .into_iter()
            .find(|known| known.name == table);
        let is_suggested = SUGGESTED_TABLES.contains(&table);
        let entries = match known {
            Some(known) => known.entries,
            None if is_suggested => Vec::new(),
            None => return Err(Refusal::NotFound("No mapping has such a table.".to_owned())),
        };
        let key = exact(fields, "key").filter(|key| !key.is_empty());
        let operates = visitor.role.may(Role::Operator);
        // Viewers cannot choose, so nobody is asked for them.
        let offered = if operates {
            self.erp_choices(shop, table, key.as_deref()).await
        } else {
            Ok(Vec::new())
        };
        let (mut choices, unknown) = match offered {
            Ok(choices) => (choices, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let labels: BTreeMap<String, String> = choices
            .iter()
            .filter(|choice| choice.value != choice.label)
            .map(|choice| (choice.value.clone(), choice.label.clone()))
            .collect();
        if choices.is_empty() && unknown.is_none() {
            // The table leads to no records: what its other entries say is what there is.
            let mut values: Vec<&String> = entries.iter().filter_map(|entry| entry.value.as_ref()).collect();
            values.sort_unstable();
            values.dedup();
            choices.extend(values.into_iter().map(|value| TableChoice {
                value: value.clone(),
                label: value.clone(),
                fits: false,
            }));
        }
        let cluster = cluster_of(&shop.name, fields);
        let cause = self.waiting(cluster.as_ref()).await?;
        let current = entries.iter().find(|entry| Some(&entry.key) == key.as_ref());
        let is_own = current.is_some_and(|entry| entry.is_own);
        let value = field(fields, "value").map(str::to_owned);
        let current_value = current.and_then(|entry| entry.value.clone());
        let form = operates.then(|| EntryForm {
            choices: with_current(choices, value.as_ref().or(current_value.as_ref())),
            unknown,
            value: value.unwrap_or_default(),
            is_own,
            key: key.clone(),
        });
        let base = table_url(&shop.name, table);
        let line = |entry: EntryView| EntryLine {
            url: format!("{base}?key={}#entry", percent_encoded(&entry.key)),
            label: entry.value.as_ref().and_then(|value| labels.get(value).cloned()),
            is_meant: Some(&entry.key) == key.as_ref(),
            key: entry.key,
            value: entry.value,
            file: entry.file,
            is_own: entry.is_own,
        };
        Ok(TablePage {
            frame: Frame::new(format!("Table {table}"), "mappings", Some(visitor))
                .noticing(field(fields, "notice")),
            shop: shop.name.to_string(),
            table: table.to_owned(),
            entries: entries.into_iter().map(line).collect(),
            form,
            cause,
            code: cluster
                .as_ref()
                .map(|cluster| cluster.code.clone())
                .unwrap_or_default(),
            cluster: cluster.map(|cluster| cluster.cluster).unwrap_or_default(),
            plan_url: format!("{base}/plan"),
            new_url: format!("{base}#entry"),
        })
    }
}

/// The choices with what stands there now, which may be none of them.
fn with_current(mut choices: Vec<TableChoice>, value: Option<&String>) -> Vec<TableChoice> {
    if let Some(value) = value
        && choices.iter().all(|choice| choice.value != *value)
    {
        choices.push(TableChoice {
            value: value.clone(),
            label: value.clone(),
            fits: false,
        });
    }
    if let Some(value) = value {
        for choice in &mut choices {
            choice.fits = choice.value == *value;
        }
    }
    choices
}
