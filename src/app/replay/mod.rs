//! "What would this mapping change?": the records that jobs were about lately are read fresh and planned twice, by the mappings in
//! force and by those of another folder, and what differs between the two plans is counted. Nothing is written anywhere.
//!
//! Bodies of stored events are not used: they are hints, and what a flow would write it makes of the record as it is now. So a record
//! that changed since is planned as it is today, by both versions alike. What would be written by both (a person's edit that is put
//! right, a change that no job has carried yet) is no difference of the mappings and is not counted.

mod diff;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use super::courtesy::Courtesy;
use super::daemon::{self, StartError};
use crate::config::{Config, Shop};
use crate::domain::{
    Direction, ErpId, JobId, JobKey, Object, SharedClock, SharedEntropy, ShopName, ShopifyId, StockOf,
    Timestamp,
};
use crate::mapping::Mappings;
use crate::store::{JobFilter, LookOnly, OpenMode, SharedStore, StoreError};
use crate::sync::{Engine, PreviewError, ShopContext};

use diff::Made;
use tally::{Counts, Tally};

/// Jobs that are read at once.
const PAGE: u32 = if cfg!(test) { 2 } else { 500 };

/// How often a record is looked at again that changes all the time.
const MOST_TRIES: u32 = 3;

/// What stands in the place of a value that is not shown.
const MASK: &str = "•••";

/// Records in a row that cannot be read until it is given up: a side does not answer at all then.
const MOST_UNREAD: u32 = 10;

/// What is planned again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Records that jobs were about since then.
    pub since: Timestamp,
    /// And before then.
    pub until: Option<Timestamp>,
    /// Only of this object.
    pub object: Option<Object>,
    /// The folder with the other version of the mappings; what it lacks, or all without it, is as it comes with this version.
    pub mappings: Option<PathBuf>,
    /// At most so many records, those of the newest jobs first.
    pub limit: usize,
}

/// What the other version would change for a shop.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The shop.
    pub shop: ShopName,
    /// Records that jobs were about since then.
    pub since: Timestamp,
    /// And before then.
    pub until: Option<Timestamp>,
    /// The revision of the mappings in force.
    pub from: String,
    /// That of the other version.
    pub to: String,
    /// Whether there were more records than were looked at.
    pub is_limited: bool,
    /// By object and direction.
    pub lanes: Vec<ReplayedLane>,
    /// Records that cannot be planned without carrying them out, by lane; some of them by what their jobs are named by.
    pub passed_by: Vec<ReplayedCount>,
}

impl Replayed {
    /// Whether the other version would change anything.
    pub fn changes_nothing(&self) -> bool {
        self.lanes.iter().all(|lane| {
            lane.changed == 0
                && lane.newly_failing.is_empty()
                && lane.newly_working.is_empty()
                && lane.newly_left_alone.is_empty()
                && lane.newly_carried == 0
        })
    }
}

impl Replayed {
    /// Without values that may be personal: that something stands there is still seen. Those of products and of stock are nobody's.
    #[must_use]
    pub fn masked(mut self) -> Self {
        let lanes = self.lanes.iter_mut();
        let personal = lanes.filter(|lane| matches!(lane.object, Object::Customer | Object::Order));
        let examples = personal
            .flat_map(|lane| &mut lane.fields)
            .flat_map(|field| &mut field.examples);
        for text in examples.flat_map(|example| example.old.iter_mut().chain(&mut example.new)) {
            if !text.is_empty() {
                MASK.clone_into(text);
            }
        }
        self
    }
}

/// What it would change for the records of an object in one direction.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedLane {
    /// The object.
    pub object: Object,
    /// The direction.
    pub direction: Direction,
    /// Records that were planned.
    pub records: u64,
    /// Of those, with a field that would become something else.
    pub changed: u64,
    /// The fields, those of the most records first.
    pub fields: Vec<ReplayedField>,
    /// Records that would need a person, and do not now, or for another reason: by the problem's code.
    pub newly_failing: Vec<ReplayedCount>,
    /// Records that need a person now, and would not: by the problem's code.
    pub newly_working: Vec<ReplayedCount>,
    /// Records that are carried over now and would be left alone: by the reason.
    pub newly_left_alone: Vec<ReplayedCount>,
    /// Records that are left alone now and would be carried over.
    pub newly_carried: u64,
    /// Records that are not there any more.
    pub gone: u64,
    /// Records that could not be planned, with the last reason.
    pub unread: u64,
    /// Why.
    pub unread_because: Option<String>,
}

/// A field that would become something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedField {
    /// The model, or what it is on the shop.
    pub model: String,
    /// The field.
    pub field: String,
    /// For how many records.
    pub records: u64,
    /// Some of them.
    pub examples: Vec<ReplayedExample>,
}

/// What a field would become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedExample {
    /// The record, by its number on the side where it comes from.
    pub record: String,
    /// What the mappings in force make of it, or leave there; none for nothing.
    pub old: Option<String>,
    /// What the other version makes of it.
    pub new: Option<String>,
}

/// How many records something is so with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedCount {
    /// What.
    pub what: String,
    /// With how many.
    pub records: u64,
    /// Some of them, by their numbers.
    pub examples: Vec<String>,
}

/// Why nothing was planned again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The shop cannot be connected, or one of both versions cannot be used.
    #[error(transparent)]
    Wire(#[from] StartError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A side does not answer.
    #[error("{0} records in a row could not be planned")]
    Silent(u32, #[source] PreviewError),
}

/// Plans the records of a shop's jobs by both versions. `progress` is told how many of how many are done.
///
/// # Errors
/// When mappings cannot be used, or a side or the store does not answer.
pub async fn replay(
    config: &Config,
    shop: &Shop,
    wanted: &Replay,
    (clock, entropy): (&SharedClock, &SharedEntropy),
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Replayed, ReplayError> {
    let old = load(config.mappings.dir.as_deref())?;
    let new = load(wanted.mappings.as_deref())?;
    let (from, to) = (old.revision().to_owned(), new.revision().to_owned());
    let store = super::open(config, clock, OpenMode::Tool).await?;
    let all = async {
        let Named {
            records,
            is_limited,
            passed_by,
        } = named(&store, &shop.name, wanted).await?;
        let look_only: SharedStore = Arc::new(LookOnly::new(store.clone()));
        let in_force = watch::Sender::new(Arc::new(old));
        // One client of each side for both, so that their limits are kept.
        let context = daemon::context(shop, &in_force, &look_only, clock, entropy)?;
        let other = watch::Sender::new(Arc::new(new));
        let planned_anew = ShopContext {
            mappings: other.subscribe(),
            ..context.clone()
        };
        let both = Both {
            store: &store,
            clock,
            shop,
            old: Engine::new([context]),
            new: Engine::new([planned_anew]),
        };
        Ok(Replayed {
            shop: shop.name.clone(),
            since: wanted.since,
            until: wanted.until,
            from,
            to,
            is_limited,
            lanes: both.all(records, progress).await?,
            passed_by: passed_by.told(),
        })
    };
    let replayed = all.await;
    store.close().await;
    replayed
}

fn load(folder: Option<&Path>) -> Result<Mappings, StartError> {
    super::mappings::load(folder).map_err(StartError::Mappings)
}

/// What a record is planned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planned {
    In(ShopifyId),
    Out(ErpId),
}

impl Planned {
    /// None where there is no plan of it: what came of a level is seen only by carrying it out, and what has no number on its side is
    /// not looked up there.
    fn of(key: &JobKey) -> Option<Self> {
        match (key.direction, key.object) {
            (Direction::In, Object::Order | Object::Customer | Object::Product) => {
                key.source_id.parse().ok().map(Self::In)
            }
            (Direction::Out, Object::Customer | Object::Product | Object::Inventory) => {
                let id = match key.stock_of() {
                    Some(StockOf::Product(id) | StockOf::Variant(id)) => Some(id),
                    None => key.source_id.parse().ok().map(ErpId),
                };
                id.map(Self::Out)
            }
            _ => None,
        }
    }
}

/// What jobs were about.
#[derive(Default)]
struct Named {
    /// The records, each once.
    records: Vec<(JobKey, Planned)>,
    /// Whether there are more.
    is_limited: bool,
    /// Those that there is no plan of.
    passed_by: Counts,
}

/// The records of jobs.
async fn named(store: &SharedStore, shop: &ShopName, wanted: &Replay) -> Result<Named, StoreError> {
    let mut named = Named::default();
    let mut seen = BTreeSet::new();
    let mut before: Option<JobId> = None;
    loop {
        let jobs = store
            .jobs(JobFilter {
                shop: Some(shop.clone()),
                object: wanted.object,
                changed_since: Some(wanted.since),
                changed_until: wanted.until,
                before,
                limit: PAGE,
                ..JobFilter::default()
            })
            .await?;
        for job in &jobs {
            let key = &job.key;
            let is_new =
                key.object != Object::Shop && seen.insert((key.object, key.direction, key.source_id.clone()));
            if !is_new {
                continue;
            }
            let Some(planned) = Planned::of(key) else {
                let lane = format!("{}.{}", key.object, key.direction);
                named.passed_by.add(&lane, &key.source_id);
                continue;
            };
            if named.records.len() == wanted.limit {
                named.is_limited = true;
                return Ok(named);
            }
            named.records.push((key.clone(), planned));
        }
        before = jobs.last().map(|job| job.id);
        if jobs.len() < PAGE as usize {
            return Ok(named);
        }
    }
}

/// Both versions, ready to plan.
struct Both<'a> {
    store: &'a SharedStore,
    clock: &'a SharedClock,
    shop: &'a Shop,
    old: Engine,
    new: Engine,
}

impl Both<'_> {
    async fn all(
        &self,
        records: Vec<(JobKey, Planned)>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<ReplayedLane>, ReplayError> {
        let mut lanes: BTreeMap<(Object, Direction), Tally> = BTreeMap::new();
        let count = records.len();
        let mut silent = 0;
        let mut courtesy = Courtesy::new();
        for (done, (key, planned)) in records.into_iter().enumerate() {
            progress(done, count);
            courtesy
                .let_the_daemon_work(self.store, self.clock, self.shop)
                .await?;
            let lane = lanes.entry((key.object, key.direction)).or_default();
            match self.both(&key, planned).await {
                Ok((old, new)) => {
                    silent = 0;
                    lane.add(&key.source_id, &old, &new);
                }
                Err(error) => {
                    // Only a side that does not answer is silent.
                    silent += u32::from(matches!(error, PreviewError::Failed { .. }));
                    if silent == MOST_UNREAD {
                        return Err(ReplayError::Silent(silent, error));
                    }
                    lane.unread += 1;
                    lane.unread_because = Some(error.to_string());
                }
            }
        }
        progress(count, count);
        Ok(lanes.into_iter().map(Tally::told).collect())
    }

    /// What both versions make of a record. One that changed between the two looks is looked at again.
    async fn both(&self, key: &JobKey, planned: Planned) -> Result<(Made, Made), PreviewError> {
        let mut old = made(&self.old, key, planned).await?;
        let mut tries = 0;
        loop {
            let new = made(&self.new, key, planned).await?;
            if old == new || tries == MOST_TRIES {
                return Ok((old, new));
            }
            let again = made(&self.old, key, planned).await?;
            if again == old {
                return Ok((old, new));
            }
            old = again;
            tries += 1;
        }
    }
}

async fn made(engine: &Engine, key: &JobKey, planned: Planned) -> Result<Made, PreviewError> {
    let looked = match planned {
        Planned::In(id) => engine.preview(&key.shop, key.object, id).await,
        Planned::Out(id) => engine.preview_out(&key.shop, key.object, id).await,
    };
    match looked {
        Ok(preview) => Ok(Made::of(&preview)),
        Err(PreviewError::NotFound { .. }) => Ok(Made::Gone),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
