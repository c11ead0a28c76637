//! A full run: everything of one object on Shopify, in the ERP and among the links, compared three ways.
//!
//! The two lists are streamed and kept as numbers, times and hashes. What a link agreed on tells without a call of its own
//! whether a record may differ; only those are read fresh, by the flows' own comparison, which names the fields. What the
//! flows repair becomes the same jobs that webhooks make; the rest is told to a person or left alone by a rule that is named.
//!
//! Promises: nothing is concluded from a list that is not proven complete; nothing is written by the run itself but jobs,
//! its report, what it told, and links of which both records are gone; where too much is gone on one side, nothing is repaired. A dry run
//! writes the report only.

mod beside;
mod book;
mod documents;
mod findings;
mod hand;
mod hidden;
mod life;
mod linked;
mod look;
mod notes;
mod orders;
mod sample;
mod sent;
mod shelf;
mod stock;
mod variants;
mod weigh;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::book::Book;
use self::life::Life;
use self::look::Looked;
pub use self::sent::forget_sent;
use super::{RunEnded, RunError, RunNotifier, told};
use crate::domain::{LinkKind, NewProblem, Object, SharedEntropy, ShopName, Timestamp};
use crate::store::{DriftKind, NewRun, RunKind, RunOutcome, StoreError};
use crate::sync::{Engine, ShopContext};

pub use crate::store::DriftReport as FullReport;

/// The cause of jobs that a full run makes.
pub const CAUSE: &str = "full";

/// The problem's code where too much is gone on one side.
pub const TOO_MUCH_GONE: &str = "drift_too_much_gone";

/// Part of the linked records, in percent, that may be gone on one side at once, and how many may always be.
const PERCENT: u64 = 20;
const ALWAYS: u64 = 50;

/// What a run needs of a shop.
#[derive(Clone)]
pub struct FullShop {
    /// Its name.
    pub name: ShopName,
    /// All shops of the configuration: some may be booked in the same company of one ERP.
    pub shops: Vec<ShopName>,
    /// Those of them that are kept in the same ERP, as far as its address and database tell: there the same number is the same
    /// record.
    pub beside: Vec<ShopName>,
    /// Compares its records; knows both of its sides and the store.
    pub engine: Engine,
    /// Picks the records of a sample.
    pub entropy: SharedEntropy,
    /// The node that carries the run out.
    pub node: String,
    /// Who is told how it ended.
    pub notifier: Arc<dyn RunNotifier>,
}

/// What a run is to do.
#[derive(Clone, Copy, Debug)]
pub struct FullRun<'a> {
    /// Records of this object.
    pub object: Object,
    /// Why the run is made.
    pub cause: &'a str,
    /// Finds, and repairs nothing.
    pub dry_run: bool,
    /// Records of the shop that changed before are left aside. What is gone on either side, and what moved in the ERP, is
    /// found all the same.
    pub since: Option<Timestamp>,
    /// Compares so many linked records picked at random instead of all that may differ.
    pub sample: Option<u32>,
}

impl<'a> FullRun<'a> {
    /// All of an object, repaired.
    pub const fn of(object: Object, cause: &'a str) -> Self {
        Self {
            object,
            cause,
            dry_run: false,
            since: None,
            sample: None,
        }
    }
}

/// The kind of links of an object.
const fn kind_of(object: Object) -> Option<LinkKind> {
    match object {
        Object::Order => Some(LinkKind::Order),
        Object::Customer => Some(LinkKind::Customer),
        Object::Product => Some(LinkKind::Product),
        // What is compared of it are variants' levels.
        Object::Inventory => Some(LinkKind::Variant),
        Object::Shop => None,
    }
}

/// A run that began and has not looked at anything yet. It is to be carried out at once: one that is not heard of counts as
/// dead.
#[derive(Debug)]
pub struct BegunRun {
    id: i64,
    kind: LinkKind,
    started_at: Timestamp,
    rules_since: Timestamp,
}

impl BegunRun {
    /// Its number in the list of runs.
    pub const fn id(&self) -> i64 {
        self.id
    }
}

/// Compares everything of an object on both sides, makes the jobs that repair it, and keeps a report.
///
/// # Errors
/// When a side could not be read to its end, another full run of the object is under way, or the store fails. Nothing was
/// repaired then, unless it broke while jobs were made: those stay.
pub async fn full_run(
    shop: &FullShop,
    wanted: FullRun<'_>,
    stop: &CancellationToken,
) -> Result<FullReport, RunError> {
    let begun = begin_full_run(shop, wanted).await?;
    carry_out_full_run(shop, wanted, begun, stop).await
}

/// Begins a run, for whoever wants to know of that before it is through.
///
/// # Errors
/// When another full run of the object is under way, nothing of its kind is compared, or the store fails.
pub async fn begin_full_run(shop: &FullShop, wanted: FullRun<'_>) -> Result<BegunRun, RunError> {
    let Some(kind) = kind_of(wanted.object) else {
        return Err(RunError::NotCompared(wanted.object));
    };
    let Some(context) = shop.engine.shop(&shop.name) else {
        return Err(RunError::NoSuchShop(shop.name.clone()));
    };
    if wanted.object == Object::Inventory && !context.out.contains(&Object::Inventory) {
        return Err(RunError::NotCompared(wanted.object));
    }
    let started_at = context.clock.now();
    let revision = context.store.newest_revision().await?;
    let begun = context
        .store
        .start_run(NewRun {
            kind: RunKind::Full,
            shop: shop.name.clone(),
            object: wanted.object,
            cause: wanted.cause.to_owned(),
            since: wanted.since.unwrap_or(Timestamp::from_millis(0)),
            node: shop.node.clone(),
            now: started_at,
        })
        .await?;
    let id = begun.ok_or(RunError::UnderWay)?;
    Ok(BegunRun {
        id,
        kind,
        started_at,
        rules_since: revision.map_or(Timestamp::from_millis(0), |revision| revision.created_at),
    })
}

/// Carries out a run that began, and notes how it ended.
///
/// # Errors
/// See [`full_run`].
pub async fn carry_out_full_run(
    shop: &FullShop,
    wanted: FullRun<'_>,
    begun: BegunRun,
    stop: &CancellationToken,
) -> Result<FullReport, RunError> {
    let Some(context) = shop.engine.shop(&shop.name) else {
        return Err(RunError::NoSuchShop(shop.name.clone()));
    };
    let BegunRun {
        id,
        kind,
        started_at,
        rules_since,
    } = begun;
    let life = Life::new(context, id, stop);
    let run = Run {
        shop,
        context,
        wanted,
        kind,
        id,
        started_at,
        rules_since,
        life: &life,
    };
    // Callers are small for it.
    let ended = Box::pin(run.carry_out()).await;
    let (outcome, error) = match &ended {
        Ok(_) => (RunOutcome::Done, None),
        Err(RunError::Stopped(_)) => (RunOutcome::Stopped, None),
        Err(RunError::Lost(_)) => (RunOutcome::Cut, None),
        Err(error) => (RunOutcome::Failed, Some(told(error))),
    };
    let now = context.clock.now();
    let report = ended.as_ref().ok();
    let notifications = shop.notifier.of_run(&RunEnded {
        run: id,
        kind: RunKind::Full,
        shop: &shop.name,
        object: wanted.object,
        outcome,
        seen: report.map_or(0, |report| report.looked.on_shopify),
        found: report.map(FullReport::found),
        at: now,
    });
    let noted = context
        .store
        .finish_run(id, outcome, error.as_deref(), notifications, now)
        .await;
    let report = ended?;
    if !noted? {
        return Err(RunError::Lost(id));
    }
    tracing::info!(
        shop = %shop.name, object = %wanted.object, cause = wanted.cause, run = id, dry_run = wanted.dry_run,
        records = report.looked.on_shopify, linked = report.looked.linked, compared = report.looked.compared,
        found = report.found(), "compared both sides"
    );
    Ok(report)
}

/// A run under way.
struct Run<'a> {
    shop: &'a FullShop,
    context: &'a ShopContext,
    wanted: FullRun<'a>,
    kind: LinkKind,
    id: i64,
    started_at: Timestamp,
    /// Since when configuration and mappings are what they are: what was left alone before may not be now.
    rules_since: Timestamp,
    life: &'a Life<'a>,
}

impl Run<'_> {
    async fn carry_out(&self) -> Result<FullReport, RunError> {
        let mut book = Book::new(self.context, self.wanted.object);
        match self.wanted.sample {
            _ if self.wanted.object == Object::Inventory => self.stock(&mut book).await?,
            Some(count) => {
                let picked = self.picked(count, &mut book).await?;
                for suspect in picked {
                    self.weigh(suspect, &mut book).await?;
                }
                self.open_problems(&book).await?;
            }
            None => self.all(&mut book).await?,
        }
        self.close(book).await
    }

    async fn all(&self, book: &mut Book) -> Result<(), RunError> {
        let Looked {
            suspects,
            gone_from_shop,
            gone_from_erp,
            seen,
        } = self.look(book).await?;
        let linked = book.looked.linked;
        let is_too_much =
            |gone: u64| gone > ALWAYS && gone.saturating_mul(100) > linked.saturating_mul(PERCENT);
        if is_too_much(gone_from_shop) || is_too_much(gone_from_erp) {
            let (side, gone) = if gone_from_shop >= gone_from_erp {
                ("Shopify", gone_from_shop)
            } else {
                ("the ERP", gone_from_erp)
            };
            let why = format!("{gone} of {linked} linked records are gone from {side}");
            for suspect in &suspects {
                book.unexplained(suspect, "too_much_gone");
            }
            if !self.wanted.dry_run {
                self.tell_too_much(side, &why).await?;
            }
            book.withheld = Some(why);
            return Ok(());
        }
        for suspect in suspects {
            self.weigh(suspect, book).await?;
        }
        if self.wanted.object == Object::Order && self.wanted.since.is_none() {
            self.documents(book).await?;
        }
        self.open_problems(book).await?;
        if !self.wanted.dry_run && self.wanted.since.is_none() {
            self.close_problems(book).await?;
            let (store, object) = (&self.context.store, self.wanted.object);
            let now = self.context.clock.now();
            store
                .close_shop_problem(&self.shop.name, TOO_MUCH_GONE, object.as_str(), now)
                .await?;
            self.has_seen(seen, book.undecided).await?;
        }
        Ok(())
    }

    /// Keeps the report.
    async fn close(&self, book: Book) -> Result<FullReport, RunError> {
        let store = &self.context.store;
        let now = self.context.clock.now();
        let kind = if self.wanted.sample.is_some() {
            DriftKind::Sample
        } else {
            DriftKind::Full
        };
        let mut looked = book.looked;
        if !self.wanted.dry_run {
            looked.corrections = store.count_corrections(book.corrections, now).await?;
        }
        let report = FullReport {
            run: self.id,
            shop: self.shop.name.clone(),
            object: self.wanted.object,
            kind,
            dry_run: self.wanted.dry_run,
            cause: self.wanted.cause.to_owned(),
            since: self.wanted.since,
            started_at: self.started_at,
            ended_at: now,
            looked,
            counts: book.counts.into_iter().map(book::count).collect(),
            kept: book.rows.len() as u64,
            withheld: book.withheld,
        };
        for rows in book.rows.chunks(500) {
            self.life.with(store.save_drift(self.id, rows.to_vec())).await??;
        }
        store.save_drift_report(report.clone()).await?;
        Ok(report)
    }

    async fn tell_too_much(&self, side: &str, why: &str) -> Result<(), StoreError> {
        let object = self.wanted.object;
        let problem = NewProblem {
            code: TOO_MUCH_GONE.into(),
            record: None,
            field: Some(object.as_str().to_owned()),
            reason: format!(
                "{why}: more than {PERCENT} % (and than {ALWAYS}), as when the wrong system is connected, an old copy was \
                 restored or access was lost. So the full run repaired nothing."
            ),
            fix: format!(
                "See whether {side} is the right one and shows the connection all of its {object}s (scopes, company, rights); \
                 then `lockstep reconcile --object {object}`. If they were deleted on purpose, delete what is left of them on \
                 the other side, or discard their jobs after `lockstep sync {object} ID`."
            ),
            owner: self.context.owner.clone(),
            mapping: None,
            cluster: object.as_str().to_owned(),
            detail: serde_json::json!({ "run": self.id }),
        };
        let now = self.context.clock.now();
        self.context
            .store
            .open_shop_problem(&self.shop.name, problem, now)
            .await
    }
}
