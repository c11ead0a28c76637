//! "Put right what this mapping wrote": the records that a revision of the mappings wrote are planned again by those in force, and
//! what differs becomes jobs. Only what that revision wrote is put right, and only where it still stands in the ERP; the rest is left alone
//! and named.
//!
//! Which revision wrote a record stands in the stories of jobs, so records are found as long as their jobs are kept. The store knows
//! them by the revision, and they are read a bounded number at a time.
//!
//! Of an order only a draft is put right, and as a whole: one that is confirmed keeps what was sold, and a person is told. Stock is no
//! value of a mapping.

mod once_more;
mod wrote;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use super::courtesy::Courtesy;
use super::daemon::{self, StartError};
use super::review::Reviewer;
use crate::config::{Config, Shop};
use crate::domain::{Actor, Direction, JobId, Object, SharedClock, SharedEntropy, ShopName};
use crate::store::{OpenMode, SharedStore, StoreError, WrittenFilter};
use crate::sync::{Engine, PreviewedField};

use once_more::OnceMore;

/// Records that are read at once, with what their jobs tell: few, because one may have many stories.
const PAGE: u32 = if cfg!(test) { 2 } else { 10 };

/// Stories that are read of one record. A field that the revision wrote only before all of them counts as a person's.
pub const STORIES: u32 = 500;

/// What becomes of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// Nothing: it is only shown.
    Shown,
    /// Their plans wait for a person.
    Reviewed,
    /// They are put right.
    Written,
}

/// What is to be put right.
#[derive(Clone, Debug)]
pub struct Resync {
    /// The revision of the mappings that wrote wrongly, or the beginning of its name.
    pub mapping: String,
    /// Only of this object.
    pub object: Option<Object>,
    /// What becomes of it.
    pub becomes: Becomes,
    /// Who asks for it.
    pub actor: Actor,
}

/// What is put right in a shop.
#[derive(Clone, Debug, Serialize)]
pub struct Resynced {
    /// The shop.
    pub shop: ShopName,
    /// The revision that wrote wrongly; none where no job tells of it.
    pub mapping: Option<String>,
    /// The revision in force.
    pub by: String,
    /// The records that it wrote.
    pub records: Vec<ResyncedRecord>,
    /// Records that it wrote and that have no job of their own (guests of orders): look at them in the ERP.
    pub without_job: Vec<String>,
    /// How many stock levels it wrote besides. They are not written again: the next job of each sets it to what the ERP counts then.
    pub stock_levels: u64,
}

/// One record.
#[derive(Clone, Debug, Serialize)]
pub struct ResyncedRecord {
    /// What it is.
    pub object: Object,
    /// `in` where it was written to the ERP, `out` where it was written to the shop.
    pub direction: Direction,
    /// Its number on the side where it comes from.
    pub id: String,
    /// `right`: nothing is to be done; `shown`, `reviewed`, `written`: what becomes of it; `in_work`: it has an open job, do it
    /// again later; `gone`; `needs_a_person`; `stays`: an order that stays as it was booked, although it would be mapped
    /// differently now; `left_alone`; `unread`.
    pub becomes: &'static str,
    /// Why, where that is to be told.
    pub why: Option<String>,
    /// Its job.
    pub job: Option<JobId>,
    /// The fields that are put right.
    pub fields: Vec<ResyncedField>,
    /// The fields that do not hold what the revision wrote there, and so are a person's, with what the mapping in force makes of them.
    pub left_alone: Vec<ResyncedField>,
    /// Whether the revision wrote it more often than is read of it. Fields that it wrote only before that are among those that are
    /// left alone.
    pub has_older_writes: bool,
}

impl ResyncedRecord {
    /// Whether somebody has to look at it.
    pub fn needs_a_person(&self) -> bool {
        !self.left_alone.is_empty()
            || ["in_work", "needs_a_person", "stays", "unread"].contains(&self.becomes)
            // Of a confirmed order facts are put right, and what was sold stays.
            || (self.object == Object::Order && self.why.is_some())
    }
}

/// A field, with both values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResyncedField {
    /// The field on the side that is written to.
    pub field: String,
    /// What stands there.
    pub now: Option<String>,
    /// What the mapping in force makes of it.
    pub then: String,
}

impl From<&PreviewedField> for ResyncedField {
    fn from(field: &PreviewedField) -> Self {
        Self {
            field: field.field.clone(),
            now: field.now.clone(),
            then: field.then.clone(),
        }
    }
}

/// Why nothing is put right.
#[derive(Debug, thiserror::Error)]
pub enum ResyncError {
    /// The shop cannot be connected, or the mappings cannot be used.
    #[error(transparent)]
    Wire(#[from] StartError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Several revisions begin like this.
    #[error("several revisions begin with {0}")]
    Ambiguous(String, Vec<String>),
}

/// Finds the records that a revision of the mappings wrote, plans them by those in force, and makes their jobs.
///
/// Before the first job is made it is written down who asked for it.
///
/// # Errors
/// When the shop cannot be connected, mappings cannot be used, the store fails, or several revisions are meant.
pub async fn resync(
    config: &Config,
    shop: &Shop,
    wanted: &Resync,
    (clock, entropy): (&SharedClock, &SharedEntropy),
) -> Result<Resynced, ResyncError> {
    let mappings = super::mappings::load(config.mappings.dir.as_deref()).map_err(StartError::Mappings)?;
    let by = mappings.revision().to_owned();
    let in_force = watch::Sender::new(Arc::new(mappings));
    let store = super::open(config, clock, OpenMode::Tool).await?;
    let all = async {
        let context = daemon::context(shop, &in_force, &store, clock, entropy)?;
        let mapping = meant(&store, &shop.name, &wanted.mapping).await?;
        let mut resynced = Resynced {
            shop: shop.name.clone(),
            mapping: mapping.clone(),
            by: by.clone(),
            records: Vec::new(),
            without_job: Vec::new(),
            stock_levels: 0,
        };
        let Some(mapping) = mapping else {
            return Ok(resynced);
        };
        let once_more = OnceMore {
            engine: Engine::new([context]),
            store: &store,
            clock,
            becomes: wanted.becomes,
            mapping: mapping.clone(),
            by,
        };
        let mut filter = WrittenFilter {
            shop: shop.name.clone(),
            mapping,
            object: wanted.object,
            // Every push of stock is one: there may be far more of them than of all that is written again.
            except: Some(Object::Inventory),
            stories: STORIES,
            after: None,
        };
        if wanted.object.is_none() {
            let stock = WrittenFilter {
                object: Some(Object::Inventory),
                except: None,
                ..filter.clone()
            };
            resynced.stock_levels = store.written_count(stock).await?;
        }
        let mut is_noted = wanted.becomes == Becomes::Shown;
        let mut courtesy = Courtesy::new();
        loop {
            let page = store.written_records(filter.clone(), PAGE).await?;
            if let (false, Some(_)) = (is_noted, page.first()) {
                let detail = serde_json::json!({
                    "mapping": once_more.mapping, "by": once_more.by, "object": wanted.object,
                    "write": wanted.becomes == Becomes::Written,
                });
                Reviewer::new(store.clone(), clock.clone(), wanted.actor.clone())
                    .configured("resync", &shop.name, detail)
                    .await?;
                is_noted = true;
            }
            for record in &page {
                // What has no number on its side has no job of its own: a guest, whom orders make.
                if record.object == Object::Customer && record.source_id.parse::<u64>().is_err() {
                    resynced.without_job.push(record.source_id.clone());
                    continue;
                }
                courtesy.let_the_daemon_work(&store, clock, shop).await?;
                resynced
                    .records
                    .push(once_more.record(&filter.shop, record).await?);
            }
            filter.after = page.last().map(crate::store::WrittenRecord::place);
            if page.len() < PAGE as usize {
                return Ok(resynced);
            }
        }
    };
    let resynced = all.await;
    store.close().await;
    resynced
}

/// The revision that is meant.
async fn meant(store: &SharedStore, shop: &ShopName, begins: &str) -> Result<Option<String>, ResyncError> {
    let mut found = store.mappings_that_wrote(shop).await?;
    found.retain(|mapping| mapping.starts_with(begins));
    if found.len() > 1 {
        return Err(ResyncError::Ambiguous(begins.to_owned(), found));
    }
    Ok(found.pop())
}
