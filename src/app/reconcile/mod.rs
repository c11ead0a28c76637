//! Full runs on demand, and their reports with what became of the jobs since.

mod by_hand;
mod markdown;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::daemon::{self, StartError};
use super::notify::events::Events;
use super::review::Reviewer;
use crate::config::{Config, Shop};
use crate::domain::{
    Actor, Direction, DriftFate, JobId, JobState, Object, SharedClock, SharedEntropy, ShopName, Timestamp,
};
use crate::reconcile::{BegunRun, FullRun, FullShop, RunError, begin_full_run, carry_out_full_run};
use crate::store::{
    DriftFilter, DriftReport, DriftReportFilter, DriftRow, JobFilter, SharedStore, StoreError,
};
use crate::subscriptions::Toggle;
use crate::sync::Engine;

pub use by_hand::{ByHand, FirstRun};

/// What can be compared.
pub const OBJECTS: [Object; 4] = [
    Object::Order,
    Object::Customer,
    Object::Product,
    Object::Inventory,
];

/// What is compared of a shop where nobody says what: stock only where it is carried to the shop.
pub fn objects_of(shop: &Shop) -> Vec<Object> {
    let is_sent = shop.sync.toggle(Object::Inventory, Direction::Out) != Toggle::Off;
    let objects = OBJECTS.into_iter();
    objects
        .filter(|object| *object != Object::Inventory || is_sent)
        .collect()
}

/// Jobs that are asked for at once.
const TOGETHER: usize = 500;

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who asks.
    pub actor: Actor,
    /// Records of these objects, one after the other.
    pub objects: Vec<Object>,
    /// Finds, and repairs nothing.
    pub dry_run: bool,
    /// Records of the shop that changed before are left aside.
    pub since: Option<Timestamp>,
    /// So many linked records, picked at random.
    pub sample: Option<u32>,
}

/// Why a run was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The shop cannot be connected, or the mappings cannot be used.
    #[error(transparent)]
    Wire(#[from] StartError),
    /// It was told to stop.
    #[error("the run was told to stop")]
    Stopped,
    /// Another full run of the object is under way.
    #[error("another full run of {0}s is under way")]
    UnderWay(Object),
    /// The run did not come to its end.
    #[error("the full run of {object}s did not come to its end")]
    Run {
        /// Of these.
        object: Object,
        /// Why.
        #[source]
        source: RunError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The cause of runs that somebody asks for.
pub fn cause(actor: &Actor) -> String {
    format!("asked for by {actor}")
}

/// The other shops that are kept in the same ERP: same address and database, however the address is written.
pub fn beside(config: &Config, shop: &Shop) -> Vec<ShopName> {
    let place = |shop: &Shop| {
        let url = shop.odoo.server.url.trim_end_matches('/').to_ascii_lowercase();
        (url, shop.odoo.server.database.clone())
    };
    let own = place(shop);
    let others = config.shops.values().filter(|other| other.name != shop.name);
    others
        .filter(|other| place(other) == own)
        .map(|other| other.name.clone())
        .collect()
}

/// Begins a run for whoever asks for it, and writes that down.
///
/// # Errors
/// When another full run of the object is under way, nothing of its kind is compared, or the store fails.
pub async fn begin(shop: &FullShop, wanted: FullRun<'_>, reviewer: &Reviewer) -> Result<BegunRun, RunError> {
    let begun = begin_full_run(shop, wanted).await?;
    let noted = reviewer.compared(&shop.name, wanted.object, wanted.dry_run).await;
    if let Err(error) = noted {
        // Nothing is done of which the audit log does not tell, and nobody waits for a run that is not carried out.
        let over = CancellationToken::new();
        over.cancel();
        carry_out_full_run(shop, wanted, begun, &over).await.ok();
        return Err(error.into());
    }
    Ok(begun)
}

/// What runs came to that somebody asked for: one that failed keeps no other from being made, and takes nothing away of what
/// others did.
#[derive(Debug, Default)]
pub struct Made {
    /// Of those that came to their end.
    pub reports: Vec<DriftReport>,
    /// Why the others did not.
    pub failed: Vec<ReconcileError>,
}

/// Compares both sides now, in this process; the jobs are the daemon's. Once it is told to stop, no further run is begun.
///
/// # Errors
/// When the shop cannot be connected, or the mappings cannot be used.
pub async fn run(
    config: &Config,
    shop: &Shop,
    store: &SharedStore,
    wanted: &Wanted,
    (clock, entropy): (&SharedClock, &SharedEntropy),
    stop: &CancellationToken,
) -> Result<Made, ReconcileError> {
    let reviewer = Reviewer::new(store.clone(), clock.clone(), wanted.actor.clone());
    let cause = cause(&wanted.actor);
    let mappings =
        crate::app::mappings::load(config.mappings.dir.as_deref()).map_err(StartError::Mappings)?;
    let mappings = watch::Sender::new(Arc::new(mappings));
    let context = daemon::context(shop, &mappings, store, clock, entropy)?;
    let shop = FullShop {
        beside: beside(config, shop),
        name: shop.name.clone(),
        shops: config.shops.keys().cloned().collect(),
        engine: Engine::new([context]),
        entropy: Arc::clone(entropy),
        node: format!("command {}", std::process::id()),
        notifier: Arc::new(Events::once(config, Arc::clone(entropy))),
    };
    let mut made = Made::default();
    for object in &wanted.objects {
        let run = FullRun {
            dry_run: wanted.dry_run,
            since: wanted.since,
            sample: wanted.sample,
            ..FullRun::of(*object, &cause)
        };
        let report = match begin(&shop, run, &reviewer).await {
            Ok(begun) => carry_out_full_run(&shop, run, begun, stop).await,
            Err(error) => Err(error),
        };
        match report {
            Ok(report) => made.reports.push(report),
            Err(RunError::Stopped(_)) => {
                made.failed.push(ReconcileError::Stopped);
                break;
            }
            Err(RunError::UnderWay) => made.failed.push(ReconcileError::UnderWay(*object)),
            Err(source) => made.failed.push(ReconcileError::Run {
                object: *object,
                source,
            }),
        }
    }
    Ok(made)
}

/// A report with its findings, and how their jobs stand now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Drift {
    /// The counts.
    pub report: DriftReport,
    /// What was found, as far as it is kept.
    pub findings: Vec<Found>,
}

/// A finding.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Found {
    /// What was found, and what became of it then.
    #[serde(flatten)]
    pub row: DriftRow,
    /// How its job stands now; none where there is no job, or it was deleted since.
    pub job_state: Option<JobState>,
    /// Its job's open problem, or the reason why it was closed.
    pub job_reason: Option<String>,
}

impl Found {
    /// What became of it by now, in a few words.
    pub fn became(&self) -> String {
        let of_job = |state: JobState| match state {
            JobState::Completed => "repaired".to_owned(),
            JobState::Problem => "needs a person".to_owned(),
            JobState::Held => "waits for a yes".to_owned(),
            JobState::Obsolete => "left alone".to_owned(),
            JobState::Discarded => "given up by a person".to_owned(),
            state if state.is_open() => "in work".to_owned(),
            state => state.to_string(),
        };
        let text = match (self.row.fate, self.job_state) {
            (DriftFate::Repaired | DriftFate::InWork | DriftFate::NeedsPerson, Some(state)) => of_job(state),
            (DriftFate::Repaired, None) => "repaired".to_owned(),
            (DriftFate::Repairable, _) => "would be repaired".to_owned(),
            (DriftFate::InWork, None) => "in work".to_owned(),
            (DriftFate::NeedsPerson, None) => "needs a person".to_owned(),
            (DriftFate::LeftAlone, _) => "left alone".to_owned(),
            (DriftFate::Unexplained, _) => "unexplained".to_owned(),
        };
        match self.job_reason.as_deref().or(self.row.why.as_deref()) {
            Some(why) => format!("{text}: {}", why.replace('_', " ")),
            None => text,
        }
    }

    /// Without values and names that may be personal: what stands there is still seen to stand there.
    #[must_use]
    pub fn masked(mut self) -> Self {
        if matches!(self.row.object, Object::Product | Object::Inventory) {
            return self;
        }
        let hidden = [&mut self.row.shopify, &mut self.row.erp];
        let hidden = hidden
            .into_iter()
            .chain((self.row.object == Object::Customer).then_some(&mut self.row.name));
        for text in hidden.into_iter().flatten().filter(|text| !text.is_empty()) {
            "•••".clone_into(text);
        }
        self
    }
}

impl Drift {
    /// Findings that nothing explains.
    pub fn unexplained(&self) -> u64 {
        self.report.of_fate(DriftFate::Unexplained)
    }
}

/// The reports that a person asks for: of this run, else the last of each object.
///
/// # Errors
/// When the store fails.
pub async fn reports(
    store: &SharedStore,
    shop: Option<&ShopName>,
    object: Option<Object>,
    run: Option<i64>,
) -> Result<Vec<DriftReport>, StoreError> {
    let filter = DriftReportFilter {
        run,
        shop: shop.cloned(),
        object,
        latest: run.is_none(),
    };
    let mut reports = store.drift_reports(filter, 100).await?;
    reports.sort_by(|one, two| (&one.shop, one.object, one.run).cmp(&(&two.shop, two.object, two.run)));
    Ok(reports)
}

/// A report with up to so many of its findings, and how their jobs stand now.
///
/// # Errors
/// When the store fails.
pub async fn with_findings(
    store: &SharedStore,
    report: DriftReport,
    filter: DriftFilter,
    limit: u32,
) -> Result<Drift, StoreError> {
    let rows = store.drift(report.run, filter, limit).await?;
    let ids: Vec<JobId> = rows.iter().filter_map(|row| row.job).collect();
    let mut jobs = BTreeMap::new();
    for some in ids.chunks(TOGETHER) {
        let filter = JobFilter {
            ids: some.to_vec(),
            limit: u32::try_from(some.len()).unwrap_or(u32::MAX),
            ..JobFilter::default()
        };
        for job in store.jobs(filter).await? {
            let reason = job.problem.map(|problem| problem.code.to_string()).or(job.reason);
            jobs.insert(job.id, (job.state, reason));
        }
    }
    let findings = rows.into_iter().map(|row| {
        let job = row.job.and_then(|id| jobs.get(&id).cloned());
        let (job_state, job_reason) = job.unzip();
        Found {
            row,
            job_state,
            job_reason: job_reason.flatten(),
        }
    });
    Ok(Drift {
        findings: findings.collect(),
        report,
    })
}

#[cfg(test)]
mod tests;
