//! `lockstep reconcile`: compare both sides, repair, and say what was found.

use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::failure::{FAILED, Failure, say};
use super::serve::not_started;
use super::signals::told_to_stop;
use super::{Context, actor, opened, the_shop};
use crate::app;
use crate::app::reconcile::{
    Drift, ReconcileError, Wanted, objects_of, reports, run as compare, with_findings,
};
use crate::domain::{Object, SharedEntropy, ShopName, SystemEntropy, Timestamp};
use crate::store::{DriftFilter, SharedStore};

/// Findings that are asked of the store.
const MOST: u32 = 10_000;

/// Compare everything on both sides, repair what differs, and report it down to the field.
///
/// Lists all records on Shopify and in the ERP, and what links remember of them; only what may differ is read whole. What was
/// missed becomes the jobs that webhooks make, which the running daemon carries out behind everything else. What needs a
/// person becomes a problem, and what a rule leaves alone is named with the rule. Where one kind of record cannot be compared, the
/// others are nevertheless. The exit code is 1 where something is left that nothing explains, or a run failed.
#[derive(Debug, Args)]
#[command(
    after_help = "For example: lockstep reconcile --dry-run, lockstep reconcile --object order, lockstep reconcile --report"
)]
pub(super) struct Arguments {
    /// Only these; by default orders, customers, products, and stock where it is carried to the shop.
    #[arg(long, value_enum)]
    object: Option<ReconcileObject>,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Leave aside what changed on Shopify before: a day (`2026-01-31`) or a time (`2026-01-31T08:00:00Z`).
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Find, and repair nothing.
    #[arg(long)]
    dry_run: bool,
    /// Compare so many linked records instead, picked at random, each field by field; what differs is repaired, unless
    /// `--dry-run` stands beside it. Records that were only matched so far are told of and left as they stand.
    #[arg(long, value_name = "N", conflicts_with = "since",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sample: Option<u32>,
    /// Make no run: show the last report of each object, or that of a run.
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["since", "dry_run", "sample"])]
    #[expect(
        clippy::option_option,
        reason = "asked for or not, and with a number or without"
    )]
    report: Option<Option<i64>>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReconcileObject {
    #[value(alias = "orders")]
    Order,
    #[value(alias = "customers")]
    Customer,
    /// Products with their variants.
    #[value(alias = "products")]
    Product,
    /// Stock levels, where `out` carries them to the shop.
    #[value(alias = "stock")]
    Inventory,
}

impl From<ReconcileObject> for Object {
    fn from(object: ReconcileObject) -> Self {
        match object {
            ReconcileObject::Order => Self::Order,
            ReconcileObject::Customer => Self::Customer,
            ReconcileObject::Product => Self::Product,
            ReconcileObject::Inventory => Self::Inventory,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Markdown,
    Json,
}

/// A day, which begins at midnight UTC, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Since(Timestamp);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = Timestamp::parse_rfc3339(text)
            .or_else(|_| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")));
        time.map(Self)
            .map_err(|_| "expected a day like 2026-01-31 or a time like 2026-01-31T08:00:00Z".to_owned())
    }
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let object = arguments.object.map(Object::from);
    let (store, clock) = opened(&config).await?;
    let mut failures: Vec<Failure> = Vec::new();
    let found = match arguments.report {
        Some(run) => {
            if let Some(shop) = &arguments.shop {
                the_shop(&config, Some(shop))?;
            }
            let found = reports(&store, arguments.shop.as_ref(), object, run).await?;
            if found.is_empty() {
                store.close().await;
                return Err(match run {
                    Some(run) => Failure::new(format!("run {run} has no report"))
                        .help("`lockstep reconcile --report` shows the last ones"),
                    None => Failure::new("there is no report yet")
                        .help("`lockstep reconcile --dry-run` makes one and repairs nothing"),
                });
            }
            found
        }
        None => {
            let shop = the_shop(&config, arguments.shop.as_ref())?;
            let entropy: SharedEntropy = Arc::new(SystemEntropy);
            let wanted = Wanted {
                actor: actor(),
                objects: object.map_or_else(|| objects_of(shop), |object| vec![object]),
                dry_run: arguments.dry_run,
                since: arguments.since.map(|since| since.0),
                sample: arguments.sample,
            };
            let stop = CancellationToken::new();
            let made = compare(&config, shop, &store, &wanted, (&clock, &entropy), &stop);
            tokio::pin!(made);
            let made = tokio::select! {
                made = &mut made => made,
                () = told_to_stop() => {
                    // It notes its end itself: one that only disappears counts as under way until it is taken for dead.
                    stop.cancel();
                    made.await
                }
            };
            let made = match made {
                Ok(made) => made,
                Err(error) => {
                    store.close().await;
                    return Err(failed(error));
                }
            };
            // Also a run that failed may have made jobs by then.
            if !arguments.dry_run && !app::ring::ring(&config, &store).await {
                say("note: no daemon answered; what is to be repaired is done once `lockstep serve` runs");
            }
            failures.extend(made.failed.into_iter().map(failed));
            made.reports
        }
    };
    let shown = show(context, arguments, &store, found).await;
    store.close().await;
    // What there is stands above what failed.
    let Some(last) = failures.pop() else { return shown };
    if let Err(error) = shown {
        error.tell();
    }
    failures.iter().for_each(Failure::tell);
    Err(last)
}

async fn show(
    context: &Context,
    arguments: &Arguments,
    store: &SharedStore,
    found: Vec<crate::store::DriftReport>,
) -> Result<(), Failure> {
    let mut all: Vec<Drift> = Vec::new();
    for report in found {
        all.push(with_findings(store, report, DriftFilter::default(), MOST).await?);
    }
    if context.output.json || arguments.format == Format::Json {
        context.output.document(&all)?;
    } else {
        for drift in &all {
            context.output.line(drift.markdown());
        }
    }
    if all.iter().any(|drift| drift.unexplained() > 0) {
        return Err(Failure::Told(FAILED));
    }
    Ok(())
}

fn failed(error: ReconcileError) -> Failure {
    match error {
        ReconcileError::Wire(error) => not_started(error),
        ReconcileError::Store(error) => error.into(),
        ReconcileError::Stopped => Failure::new("the run was broken off; jobs that it made stay"),
        ReconcileError::UnderWay(object) => Failure::new(format!(
            "a full run of {object}s is under way already"
        ))
        .help("see the page Runs on the console; one that is not heard of for two minutes counts as over"),
        error @ ReconcileError::Run { .. } => Failure::because("both sides could not be compared", error)
            .help("nothing is concluded from half a list; do it again once the cause is gone"),
    }
}
