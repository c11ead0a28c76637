//! What people do about jobs: hold, release, resolve, link, move ahead, note, and retries of many.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::super::actor;
use super::super::failure::{FAILED, Failure};
use super::super::output::{Output, relative};
use super::{choice, many};
use crate::app;
use crate::app::connect;
use crate::app::review::{ByHandError, ClusterFilter, Reviewer, answer, clusters};
use crate::config::{Config, Shop};
use crate::domain::{ErpId, JobId, SharedClock, SharedEntropy, ShopName, ShopifyId, SystemEntropy};
use crate::store::{Acted, Cluster, JobStory, SharedStore};

/// What is done about jobs.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Show open problems by cause: how many, since when, an example.
    Clusters {
        /// Only of this shop.
        #[arg(long, value_name = "NAME")]
        shop: Option<ShopName>,
        /// Only of this kind.
        #[arg(long)]
        code: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Hold an open job back, whatever events come, until it is released.
    Hold(Reasoned),
    /// Let a job go on that somebody holds back.
    Release(Plain),
    /// Have a waiting job done before all others of its kind.
    Ahead(Plain),
    /// Settle by hand what a job asks: whose value is kept, or that its order was entered already.
    ///
    /// With `--keep`, for a problem `changed_on_both_sides`, whose fields and values `lockstep jobs show` lists: the kept values are
    /// carried to the other side. A value that changed since it was shown is asked about anew.
    /// With `--erp-ref`, the order was entered into the ERP by hand: the two are linked and the job is closed. lockstep then leaves
    /// the order to people, and tells when it changes on Shopify.
    Resolve {
        /// The job's number.
        id: i64,
        /// The side whose value is kept.
        #[arg(
            long,
            value_enum,
            required_unless_present = "erp_ref",
            conflicts_with = "erp_ref"
        )]
        keep: Option<choice::Side>,
        /// Only of this field; of all that are shown by default.
        #[arg(long, value_name = "NAME", requires = "keep")]
        field: Option<String>,
        /// The order's number in the ERP, e.g. S00815.
        #[arg(long, value_name = "NUMBER")]
        erp_ref: Option<String>,
        /// Why, for those who ask later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show the records of the ERP that a job may mean.
    Candidates {
        /// The job's number.
        id: i64,
    },
    /// Say which partner of the ERP a job's customer is, and try it again.
    Link {
        /// The job's number.
        id: i64,
        /// The partner's id in the ERP, e.g. one of `lockstep jobs candidates`.
        #[arg(long, value_name = "ID")]
        erp_id: i64,
        /// Why, for those who ask later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Keep a note with a job.
    Note {
        /// The job's number.
        id: i64,
        /// What there is to say.
        text: String,
    },
    /// Look after the problems of one cause, or give that back.
    Claim {
        #[command(flatten)]
        which: OneCluster,
        /// Also when somebody else does.
        #[arg(long)]
        over: bool,
        /// Give it back.
        #[arg(long, conflicts_with = "over")]
        release: bool,
    },
    /// Show retries of many jobs and how far they are.
    Batches,
    /// Stop a retry of many jobs. What was tried again stays so.
    Stop {
        /// The batch's number.
        batch: i64,
        /// Why, for those who ask later.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// One job and a reason that must be given.
#[derive(Debug, Args)]
pub(in crate::cli) struct Reasoned {
    /// The job's number.
    id: i64,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: String,
}

/// One job and a reason that may be given.
#[derive(Debug, Args)]
pub(in crate::cli) struct Plain {
    /// The job's number.
    id: i64,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
}

/// The problems of one cause.
#[derive(Debug, Args)]
pub(in crate::cli) struct OneCluster {
    /// The cause, as `lockstep jobs clusters` shows it.
    cluster: String,
    /// The shop, where several have it.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(in crate::cli) async fn run(
    output: Output,
    command: Command,
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
    match command {
        Command::Clusters { shop, code, limit } => {
            let filter = ClusterFilter {
                shop,
                code,
                limit,
                ..ClusterFilter::default()
            };
            list_clusters(output, filter, config, store, clock).await
        }
        Command::Hold(Reasoned { id, reason }) => {
            let job = JobId(id);
            let acted = reviewer.hold(job, &reason).await?;
            of_job(output, job, &acted, &format!("job {job} is held back"))
        }
        Command::Release(Plain { id, reason }) => {
            let job = JobId(id);
            let acted = reviewer.release(job, reason.as_deref()).await?;
            app::ring::ring(config, store).await;
            of_job(output, job, &acted, "")
        }
        Command::Ahead(Plain { id, reason }) => {
            let job = JobId(id);
            let acted = reviewer.move_ahead(job, reason.as_deref()).await?;
            app::ring::ring(config, store).await;
            if acted == Acted::Again(job) && !output.json {
                output.line(format!("job {job} is the next of its kind"));
                return Ok(());
            }
            of_job(output, job, &acted, "")
        }
        Command::Resolve {
            id,
            keep,
            field,
            erp_ref,
            reason,
        } => {
            let job = JobId(id);
            let Some(erp_ref) = erp_ref else {
                let side = keep.ok_or_else(|| Failure::new("`--keep` or `--erp-ref` is needed"))?;
                let reason = reason.as_deref();
                let kept = choice::run(
                    output,
                    job,
                    side,
                    field.as_deref(),
                    reason,
                    &reviewer,
                    (config, store),
                );
                return kept.await;
            };
            let (shop, story) = of_shop(config, store, job).await?;
            let entropy: SharedEntropy = Arc::new(SystemEntropy);
            let erp = connect::erp(shop, clock).map_err(unreachable)?;
            // As it is now: only so a later change is seen as one.
            let order = match story.job.key.source_id.parse::<ShopifyId>() {
                Ok(id) => connect::shopify(shop, clock, &entropy)
                    .map_err(unreachable)?
                    .order(id, "")
                    .await
                    .map_err(|error| Failure::because("the order cannot be read from Shopify", error))?,
                Err(_) => None,
            };
            let acted = reviewer
                .resolve(shop, &*erp, job, &erp_ref, order.as_ref(), reason.as_deref())
                .await
                .map_err(by_hand)?;
            let done = format!("job {job} is closed: its order is {erp_ref} in the ERP");
            of_job(output, job, &acted, &done)
        }
        Command::Candidates { id } => {
            let job = JobId(id);
            let (shop, _) = of_shop(config, store, job).await?;
            let erp = connect::erp(shop, clock).map_err(unreachable)?;
            let found = reviewer.candidates(shop, &*erp, job).await.map_err(by_hand)?;
            if output.json {
                return output.document(&found);
            }
            if found.is_empty() {
                output.line("the ERP has no record that comes into question");
                return Ok(());
            }
            output.table(
                ["ID", "WHAT", "NAME", "ALSO", "PAGE"],
                found.into_iter().map(|row| {
                    let about = row.about.unwrap_or_else(|| "-".to_owned());
                    [row.id.to_string(), row.model, row.name, about, row.url]
                }),
            );
            Ok(())
        }
        Command::Link { id, erp_id, reason } => {
            let job = JobId(id);
            let (shop, _) = of_shop(config, store, job).await?;
            let erp = connect::erp(shop, clock).map_err(unreachable)?;
            let acted = reviewer
                .link(shop, &*erp, job, ErpId(erp_id), reason.as_deref())
                .await
                .map_err(by_hand)?;
            app::ring::ring(config, store).await;
            of_job(output, job, &acted, "")
        }
        Command::Note { id, text } => {
            let job = JobId(id);
            let acted = reviewer.note(job, &text).await?;
            of_job(output, job, &acted, &format!("kept with job {job}"))
        }
        Command::Claim { which, over, release } => {
            claim(output, &reviewer, which, over, release, store).await
        }
        Command::Batches => {
            let rows = store.batches(false, 0).await?;
            if output.json {
                return output.document(&rows);
            }
            many::list(output, &rows, clock);
            Ok(())
        }
        Command::Stop { batch, reason } => {
            let acted = reviewer.stop_batch(batch, reason.as_deref()).await?;
            let sentence = match acted {
                Acted::Unknown => format!("there is no batch {batch}"),
                Acted::Already => format!("batch {batch} has ended already"),
                _ => format!("batch {batch} is stopped"),
            };
            told(output, &acted, sentence)
        }
    }
}

/// What became of an action on a job. Exit code 1 where it was refused.
fn of_job(output: Output, job: JobId, acted: &Acted, done: &str) -> Result<(), Failure> {
    told(output, acted, answer(job, acted, done))
}

pub(super) fn told(output: Output, acted: &Acted, sentence: String) -> Result<(), Failure> {
    if output.json {
        output.document(&serde_json::json!({ "result": acted, "told": sentence }))?;
    } else {
        output.line(sentence);
    }
    match acted {
        Acted::Unknown | Acted::NotNow(_) | Acted::Later(_) | Acted::Taken(_) | Acted::Linked(_) => {
            Err(Failure::Told(FAILED))
        }
        Acted::Done
        | Acted::Again(_)
        | Acted::New(_)
        | Acted::Batch { .. }
        | Acted::Jobs(_)
        | Acted::Already => Ok(()),
    }
}

/// The job, and its shop as the configuration has it.
async fn of_shop<'a>(
    config: &'a Config,
    store: &SharedStore,
    job: JobId,
) -> Result<(&'a Shop, JobStory), Failure> {
    let story = app::jobs::show(store, job)
        .await?
        .ok_or_else(|| super::unknown(job))?;
    let shop = config.shops.get(&story.job.key.shop).ok_or_else(|| {
        Failure::new(format!(
            "job {job} is of shop {}, which the configuration does not have",
            story.job.key.shop
        ))
    })?;
    Ok((shop, story))
}

fn unreachable(error: crate::transport::BuildError) -> Failure {
    Failure::because("the shop cannot be connected", error)
}

fn by_hand(error: ByHandError) -> Failure {
    match error {
        ByHandError::Store(error) => error.into(),
        ByHandError::UnknownJob(job) => super::unknown(job),
        ByHandError::Erp(source) => Failure::because("the ERP could not be asked", source),
        error @ (ByHandError::NoSuchRecord { .. } | ByHandError::Several { .. } | ByHandError::NotSo(_)) => {
            Failure::new(error.to_string())
        }
    }
}

async fn list_clusters(
    output: Output,
    filter: ClusterFilter,
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    let now = clock.now();
    let views = clusters(config, store, filter, now).await?;
    if output.json {
        return output.document(&views);
    }
    if views.is_empty() {
        output.line("no open problems");
        return Ok(());
    }
    output.table(
        [
            "JOBS", "SHOP", "CAUSE", "OWNER", "SINCE", "LAST", "EXAMPLE", "WHAT",
        ],
        views.iter().map(|view| {
            let row = &view.row;
            let example = &row.example;
            let owner = row.claimed_by.as_ref().unwrap_or(&example.owner);
            [
                row.problems.to_string(),
                row.cluster.shop.to_string(),
                row.cluster.cluster.clone(),
                owner.clone(),
                relative(now, row.opened_at),
                relative(now, row.seen_at),
                example.record.clone().unwrap_or_else(|| "-".to_owned()),
                view.title.clone(),
            ]
        }),
    );
    if let Some(first) = views.first() {
        let example = &first.row.example;
        output.line(format!("\nThe most frequent: {}", example.fix));
        if let Some(mapping) = &example.mapping {
            output.line(format!("  demanded by     {mapping}"));
        }
        for (side, reference) in [
            ("on Shopify", &first.example_sides.shopify),
            ("in the ERP", &first.example_sides.erp),
        ] {
            if let Some(reference) = reference {
                let page = reference.url.clone().unwrap_or_default();
                output.line(format!("  {side:<15} {} {page}", reference.name));
            }
        }
        output.line(format!(
            "  after the fix   lockstep jobs retry --cluster '{}'",
            first.row.cluster.cluster
        ));
    }
    Ok(())
}

async fn claim(
    output: Output,
    reviewer: &Reviewer,
    which: OneCluster,
    over: bool,
    release: bool,
    store: &SharedStore,
) -> Result<(), Failure> {
    let filter = ClusterFilter {
        shop: which.shop,
        cluster: Some(which.cluster.clone()),
        ..ClusterFilter::default()
    };
    let found = store.problem_clusters(filter).await?;
    let cluster: Cluster = match found.as_slice() {
        [one] => one.cluster.clone(),
        [] => {
            return Err(
                Failure::new(format!("no open problem has the cause `{}`", which.cluster))
                    .help("`lockstep jobs clusters` shows the causes"),
            );
        }
        several => {
            let shops: Vec<String> = several.iter().map(|row| row.cluster.shop.to_string()).collect();
            return Err(Failure::usage("several shops have this cause")
                .help(format!("add --shop with one of: {}", shops.join(", "))));
        }
    };
    let acted = if release {
        reviewer.unclaim_problem(&cluster).await?
    } else {
        reviewer.claim_problem(&cluster, over).await?
    };
    let who = &reviewer.actor().name;
    let sentence = match &acted {
        Acted::Taken(other) => format!("{other} looks after it already; --over takes it over"),
        Acted::Already => "it stands like that already".to_owned(),
        _ if release => "nobody in particular looks after it now".to_owned(),
        _ => format!("{who} looks after it now"),
    };
    told(output, &acted, sentence)
}
