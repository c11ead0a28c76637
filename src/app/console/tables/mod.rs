//! The static tables of the mappings: what a problem lacks is filled in here, looked at as a difference, and saved to the
//! shop's own file; then everything that waited for it is tried again. Every edit is listed and can be taken back.

mod change;
mod entry;

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::problems::Cause;
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, percent_encoded};
use crate::app::review::{ClusterFilter, past_edits, tables_of};
use crate::config::{Config, Shop};
use crate::domain::{NewProblem, ShopName, TableKey};
use crate::store::Cluster;

pub(super) use change::{plan, set};
pub(super) use entry::show;

/// Edits on one page.
const EDITS: u32 = 50;

/// The page of a table's entry.
pub(super) fn entry_url(shop: &ShopName, entry: &TableKey, cluster: Option<&Cluster>) -> String {
    let mut url = format!(
        "/tables/{}/{}?key={}",
        percent_encoded(shop.as_str()),
        percent_encoded(&entry.table).replace('/', "%2F"),
        percent_encoded(&entry.key)
    );
    if let Some(cluster) = cluster {
        for part in [
            "&code=",
            &percent_encoded(&cluster.code),
            "&cluster=",
            &percent_encoded(&cluster.cluster),
        ] {
            url.push_str(part);
        }
    }
    url
}

struct TableLine {
    name: String,
    url: String,
    entries: usize,
    todos: usize,
    own: usize,
}

struct ShopTables {
    shop: String,
    tables: Vec<TableLine>,
}

/// An edit that somebody made.
struct EditLine {
    moment: Moment,
    who: String,
    via: &'static str,
    shop: String,
    table: String,
    key: String,
    before: Option<String>,
    after: Option<String>,
    reason: String,
    /// What takes it back: the page that shows that difference.
    back: String,
}

#[derive(Template)]
#[template(path = "tables.html", config = ".config/askama.toml")]
struct TablesPage {
    frame: Frame,
    shops: Vec<ShopTables>,
    edits: Vec<EditLine>,
    older: Option<String>,
    is_first: bool,
    /// Without a folder nothing can be edited.
    has_folder: bool,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.tables_page(&visitor, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// A field as it is: a key may begin or end with a space.
fn exact(fields: &[(String, String)], name: &str) -> Option<String> {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone())
}

fn cluster_of(shop: &ShopName, fields: &[(String, String)]) -> Option<Cluster> {
    Some(Cluster {
        shop: shop.clone(),
        code: field(fields, "code")?.to_owned(),
        cluster: exact(fields, "cluster")?,
    })
}

fn shop_named<'c>(config: &'c Config, shop: &str) -> Result<&'c Shop, Refusal> {
    let found = config.shops.values().find(|known| known.name.as_str() == shop);
    found.ok_or_else(|| Refusal::NotFound("There is no such shop.".to_owned()))
}

impl Console {
    async fn tables_page(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<TablesPage, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let mappings = self.mapping_files().await?;
        let before = field(fields, "before").and_then(|id| id.parse().ok());
        let edits = past_edits(&self.api.store, None, before, EDITS).await?;
        let now = self.api.clock.now();
        let last = edits.last().filter(|_| edits.len() == EDITS as usize);
        let older = last.map(|last| format!("/tables?before={}", last.row.id));
        let shops = config.shops.keys().map(|shop| ShopTables {
            shop: shop.to_string(),
            tables: tables_of(&mappings, shop)
                .into_iter()
                .map(|table| TableLine {
                    url: table_url(shop, &table.name),
                    entries: table.entries.len(),
                    todos: table.todos,
                    own: table.entries.iter().filter(|entry| entry.is_own).count(),
                    name: table.name,
                })
                .collect(),
        });
        Ok(TablesPage {
            frame: Frame::new("Tables", "mappings", Some(visitor)).noticing(field(fields, "notice")),
            shops: shops.collect(),
            older,
            is_first: before.is_none(),
            has_folder: config.mappings.dir.is_some(),
            edits: edits
                .into_iter()
                .map(|edit| {
                    let shop = edit
                        .row
                        .shop
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    let to = match &edit.before {
                        Some(value) => format!("value={}", percent_encoded(value)),
                        None => "remove=yes".to_owned(),
                    };
                    EditLine {
                        back: format!(
                            "/tables/{}/{}/plan?key={}&{to}",
                            percent_encoded(&shop),
                            percent_encoded(&edit.table).replace('/', "%2F"),
                            percent_encoded(&edit.key)
                        ),
                        moment: Moment::new(now, edit.row.at),
                        who: edit.row.actor,
                        via: edit.row.via.as_str(),
                        shop,
                        table: edit.table,
                        key: edit.key,
                        before: edit.before,
                        after: edit.after,
                        reason: edit.row.reason.unwrap_or_default(),
                    }
                })
                .collect(),
        })
    }

    /// What waits for an entry.
    async fn waiting(&self, cluster: Option<&Cluster>) -> Result<Option<Cause>, Refusal> {
        let Some(cluster) = cluster else {
            return Ok(None);
        };
        let filter = ClusterFilter {
            shop: Some(cluster.shop.clone()),
            code: Some(cluster.code.clone()),
            cluster: Some(cluster.cluster.clone()),
            limit: 1,
            claimed_by: None,
        };
        let now = self.api.clock.now();
        Ok(self
            .causes(filter)
            .await?
            .pop()
            .map(|view| Cause::new(&view, now)))
    }
}

fn table_url(shop: &ShopName, table: &str) -> String {
    format!(
        "/tables/{}/{}",
        percent_encoded(shop.as_str()),
        percent_encoded(table).replace('/', "%2F")
    )
}

/// Links to the entries that these problems lack, each once.
pub(super) fn lacking<'p>(cluster: &Cluster, problems: impl Iterator<Item = &'p NewProblem>) -> Vec<Lacking> {
    let mut entries: Vec<TableKey> = problems.flat_map(NewProblem::entries).collect();
    entries.sort();
    entries.dedup();
    entries
        .into_iter()
        .map(|entry| Lacking {
            url: entry_url(&cluster.shop, &entry, Some(cluster)),
            table: entry.table,
            key: entry.key,
        })
        .collect()
}

/// An entry that a problem lacks.
pub(super) struct Lacking {
    pub(super) table: String,
    pub(super) key: String,
    pub(super) url: String,
}
