//! "Put right what this mapping wrote": the records that a revision of the mappings wrote are planned again by those in force, and
//! what differs becomes jobs. Only what that revision wrote is put right, and only where it still stands in the ERP; the rest is left alone
//! and named.
//!
//! Which revision wrote a record stands in the stories of jobs, so records are found as long as their jobs are kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::courtesy::Courtesy;
use super::daemon::{self, StartError};
use super::review::Reviewer;
use crate::config::{Config, Shop};
use crate::domain::{
    Actor, Direction, JobId, JobKey, JobState, Object, Priority, SharedClock, SharedEntropy, ShopName,
    Timestamp,
};
use crate::store::{JobFilter, NewJob, OpenMode, SharedStore, StoreError};
use crate::sync::{Engine, Preview, PreviewError, PreviewedField, ResyncMark, can_be_resynced, written_by};

/// Jobs that are read at once.
const PAGE: u32 = 500;

/// The cause of the jobs.
const CAUSE: &str = "resync";

/// The pause between two jobs that are made, so that what people wait for stays ahead.
const PACE: Duration = Duration::from_millis(100);

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

/// What a revision wrote to a record: each field's last value, as a hash, with the time.
type Wrote = BTreeMap<String, (Timestamp, String)>;

/// What a revision wrote, by records.
type WrittenRecords = BTreeMap<(Object, String), Wrote>;

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
}

/// One record.
#[derive(Clone, Debug, Serialize)]
pub struct ResyncedRecord {
    /// What it is.
    pub object: Object,
    /// Its number on Shopify.
    pub id: String,
    /// `right`: nothing is to be done; `shown`, `reviewed`, `written`: what becomes of it; `in_work`: it has an open job, do it
    /// again later; `gone`; `needs_a_person`; `left_alone`; `unread`.
    pub becomes: &'static str,
    /// Why, where that is to be told.
    pub why: Option<String>,
    /// Its job.
    pub job: Option<JobId>,
    /// The fields that are put right.
    pub fields: Vec<ResyncedField>,
    /// The fields that do not hold what the revision wrote there, and so are a person's, with what the mapping in force makes of them.
    pub left_alone: Vec<ResyncedField>,
}

/// A field, with both values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResyncedField {
    /// The field in the ERP.
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
        let (mapping, found) = written(&store, &shop.name, wanted).await?;
        let context = daemon::context(shop, &in_force, &store, clock, entropy)?;
        let mut resynced = Resynced {
            shop: shop.name.clone(),
            mapping: mapping.clone(),
            by: by.clone(),
            records: Vec::new(),
            without_job: Vec::new(),
        };
        let once_more = OnceMore {
            engine: Engine::new([context]),
            store: &store,
            clock,
            becomes: wanted.becomes,
            mapping: mapping.unwrap_or_default(),
            by,
        };
        if wanted.becomes != Becomes::Shown && !found.is_empty() {
            let detail = serde_json::json!({
                "mapping": once_more.mapping, "by": once_more.by, "records": found.len(),
                "write": wanted.becomes == Becomes::Written,
            });
            Reviewer::new(store.clone(), clock.clone(), wanted.actor.clone())
                .configured("resync", &shop.name, detail)
                .await?;
        }
        let mut courtesy = Courtesy::new();
        for ((object, source), wrote) in found {
            let key = JobKey {
                shop: shop.name.clone(),
                object,
                direction: Direction::In,
                source_id: source,
            };
            if key.source_id.parse::<u64>().is_err() {
                resynced.without_job.push(key.source_id);
                continue;
            }
            courtesy.let_the_daemon_work(&store, clock, shop).await?;
            let wrote = wrote
                .into_iter()
                .map(|(field, (_, hash))| (field, hash))
                .collect();
            resynced.records.push(once_more.record(key, wrote).await?);
        }
        Ok(resynced)
    };
    let resynced = all.await;
    store.close().await;
    resynced
}

/// The revision that is meant, and what jobs tell it wrote.
async fn written(
    store: &SharedStore,
    shop: &ShopName,
    wanted: &Resync,
) -> Result<(Option<String>, WrittenRecords), ResyncError> {
    let mut found: BTreeMap<String, WrittenRecords> = BTreeMap::new();
    let mut before: Option<JobId> = None;
    loop {
        let jobs = store
            .jobs(JobFilter {
                shop: Some(shop.clone()),
                direction: Some(Direction::In),
                before,
                limit: PAGE,
                ..JobFilter::default()
            })
            .await?;
        for job in &jobs {
            // An order's job makes its customer and its products, too.
            let Some(story) = store.job(job.id).await? else {
                continue;
            };
            let writes = story.attempts.iter().flat_map(|attempt| {
                let at = attempt.started_at;
                written_by(&attempt.detail)
                    .into_iter()
                    .map(move |write| (at, write))
            });
            for (at, write) in writes {
                let is_meant = write.mapping.starts_with(&wanted.mapping)
                    && wanted.object.is_none_or(|object| object == write.object)
                    && can_be_resynced(write.object);
                if is_meant {
                    let of_it = found.entry(write.mapping).or_default();
                    let known = of_it.entry((write.object, write.source)).or_default();
                    for (field, hash) in write.fields {
                        let last = known.entry(field).or_default();
                        if last.0 <= at {
                            *last = (at, hash);
                        }
                    }
                }
            }
        }
        before = jobs.last().map(|job| job.id);
        if jobs.len() < PAGE as usize {
            break;
        }
    }
    if found.len() > 1 {
        return Err(ResyncError::Ambiguous(
            wanted.mapping.clone(),
            found.into_keys().collect(),
        ));
    }
    Ok(match found.pop_first() {
        Some((mapping, records)) => (Some(mapping), records),
        None => (None, WrittenRecords::new()),
    })
}

/// What records are planned with once more.
struct OnceMore<'a> {
    engine: Engine,
    store: &'a SharedStore,
    clock: &'a SharedClock,
    becomes: Becomes,
    /// The revision that wrote wrongly.
    mapping: String,
    /// The one in force.
    by: String,
}

impl OnceMore<'_> {
    /// Plans a record of which the wrong revision wrote this.
    async fn record(
        &self,
        key: JobKey,
        wrote: BTreeMap<String, String>,
    ) -> Result<ResyncedRecord, StoreError> {
        let mut told = ResyncedRecord {
            object: key.object,
            id: key.source_id.clone(),
            becomes: "right",
            why: None,
            job: None,
            fields: Vec::new(),
            left_alone: Vec::new(),
        };
        if let Some(job) = self.open_job(&key).await? {
            (told.becomes, told.job) = ("in_work", Some(job));
            return Ok(told);
        }
        let Ok(id) = key.source_id.parse() else {
            return Ok(told);
        };
        let looked = self
            .engine
            .preview_resync(&key.shop, key.object, id, wrote.clone())
            .await;
        match looked {
            Ok((preview, kept)) => {
                told.left_alone = kept.iter().map(ResyncedField::from).collect();
                self.planned((key, wrote), &preview, &mut told).await?;
            }
            Err(PreviewError::NotFound { .. }) => told.becomes = "gone",
            Err(error) => (told.becomes, told.why) = ("unread", Some(error.to_string())),
        }
        Ok(told)
    }

    /// Makes the job of a record where its plan writes something.
    async fn planned(
        &self,
        (key, wrote): (JobKey, BTreeMap<String, String>),
        preview: &Preview,
        told: &mut ResyncedRecord,
    ) -> Result<(), StoreError> {
        if let Some(problem) = &preview.problem {
            (told.becomes, told.why) = ("needs_a_person", Some(problem.reason.clone()));
            return Ok(());
        }
        if let Some(reason) = &preview.left_alone {
            (told.becomes, told.why) = ("left_alone", Some(reason.clone()));
            return Ok(());
        }
        let fields = preview.writes.iter().flat_map(|write| &write.fields);
        told.fields = fields.map(ResyncedField::from).collect();
        if preview.writes.is_empty() {
            return Ok(());
        }
        let hold = match self.becomes {
            Becomes::Shown => {
                told.becomes = "shown";
                return Ok(());
            }
            Becomes::Reviewed => true,
            Becomes::Written => false,
        };
        told.becomes = if hold { "reviewed" } else { "written" };
        let now = self.clock.now();
        let name = ResyncMark::name(&key);
        let mut mark = ResyncMark {
            job: None,
            at: now,
            hold,
            mapping: self.mapping.clone(),
            by: self.by.clone(),
            wrote,
        };
        // The mark comes first: the job may be claimed at once, and must not be carried out without care.
        self.store
            .set_cursor(&key.shop, &name, &mark.value(), now)
            .await?;
        let shop = key.shop.clone();
        let made = self
            .store
            .enqueue(NewJob {
                key,
                priority: Priority::BACKGROUND,
                now,
                cause: CAUSE.to_owned(),
            })
            .await?;
        told.job = Some(made.job);
        if made.created {
            mark.job = Some(made.job);
            self.store.set_cursor(&shop, &name, &mark.value(), now).await?;
        } else {
            // Somebody else's came in between.
            self.store.set_cursor(&shop, &name, "", now).await?;
            told.becomes = "in_work";
        }
        self.clock.sleep_until(now.plus(PACE)).await;
        Ok(())
    }

    /// The open job of a record.
    async fn open_job(&self, key: &JobKey) -> Result<Option<JobId>, StoreError> {
        let filter = JobFilter {
            shop: Some(key.shop.clone()),
            object: Some(key.object),
            direction: Some(key.direction),
            source_id: Some(key.source_id.clone()),
            states: JobState::ALL
                .iter()
                .copied()
                .filter(|state| state.is_open())
                .collect(),
            limit: 1,
            ..JobFilter::default()
        };
        Ok(self.store.jobs(filter).await?.first().map(|job| job.id))
    }
}
