//! `lockstep jobs`: list, show, retry, discard, and the answer to unusually large changes.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::failure::{FAILED, Failure};
use super::output::{Output, relative, span, time};
use super::{Context, opened};
use crate::app;
use crate::app::jobs::{DiscardError, Keep, ResolveError};
use crate::config::Config;
use crate::domain::{JobId, JobState, NewProblem, Object, SharedClock, ShopName, Timestamp};
use crate::store::{JobFilter, JobRow, JobStory, Retried, SharedStore};

/// Look at jobs, try them again, give them up.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, newest first.
    List(ListArguments),
    /// Show one job with its attempts, events and problems.
    Show {
        /// The job's number.
        id: i64,
    },
    /// Try jobs again now, with their attempts counted anew.
    ///
    /// A job that is closed already gets a new job for the same record.
    Retry {
        /// The jobs' numbers.
        #[arg(required_unless_present = "problems")]
        ids: Vec<i64>,
        /// Every job that needs a person, at most 1000.
        #[arg(long, conflicts_with = "ids")]
        problems: bool,
    },
    /// Give an open job up. A later change of the record makes a new one.
    Discard {
        /// The job's number.
        id: i64,
        /// Why, for those who ask later.
        #[arg(long)]
        reason: String,
    },
    /// Choose whose value is kept where both sides changed a field.
    ///
    /// For a problem `changed_on_both_sides`, whose fields and values `lockstep jobs show` lists. The kept values are carried to
    /// the other side. A value that changed since it was shown is asked about anew.
    Resolve {
        /// The job's number.
        id: i64,
        /// The side whose value is kept.
        #[arg(long, value_enum)]
        keep: KeepName,
        /// Only of this field; of all that are shown by default.
        #[arg(long, value_name = "NAME")]
        field: Option<String>,
    },
    /// Let the changes go to the shop that were held because there were unusually many.
    Approve(HeldBack),
    /// Give up the changes that were held because there were unusually many.
    ///
    /// What the ERP changes from now on is sent again.
    Reject {
        #[command(flatten)]
        which: HeldBack,
        /// Why, for those who ask later.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum KeepName {
    Shopify,
    Erp,
}

/// What the limits on sudden change hold back.
#[derive(Debug, Args)]
struct HeldBack {
    /// The shop.
    #[arg(long, value_name = "NAME")]
    shop: ShopName,
    /// What the changes are about: customer, product or inventory.
    #[arg(long, value_name = "OBJECT")]
    object: Object,
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only of this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Only about this object: order, customer, product, inventory or shop.
    #[arg(long, value_name = "OBJECT")]
    object: Option<Object>,
    /// Only in this state; may be repeated.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<JobState>,
    /// Only those that need a person.
    #[arg(long, conflicts_with = "states")]
    problems: bool,
    /// Only about the record with this name on either side, e.g. `#1042` or S00042.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only about the record with this id on Shopify.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only older ones than this job: the next page.
    #[arg(long, value_name = "JOB")]
    before: Option<i64>,
}

/// What became of a retry, for programs.
#[derive(Serialize)]
struct RetriedRow {
    job: JobId,
    result: &'static str,
    new_job: Option<JobId>,
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, clock) = opened(&config).await?;
    let done = perform(context.output, arguments.command, &config, &store, &clock).await;
    store.close().await;
    done
}

async fn perform(
    output: Output,
    command: Command,
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(output, arguments, store, clock).await,
        Command::Show { id } => {
            let story = app::jobs::show(store, JobId(id)).await?;
            let story = story.ok_or_else(|| unknown(JobId(id)))?;
            if output.json {
                return output.document(&story);
            }
            show(output, &story, clock.now());
            Ok(())
        }
        Command::Retry { ids, problems } => {
            let ids = if problems {
                problem_jobs(store).await?
            } else {
                ids.into_iter().map(JobId).collect()
            };
            retry(output, &ids, config, store, clock).await
        }
        Command::Discard { id, reason } => {
            let id = JobId(id);
            app::jobs::discard(store, clock, id, &reason)
                .await
                .map_err(|error| match error {
                    DiscardError::Unknown(_) => unknown(id),
                    DiscardError::NotNow { state, .. } => {
                        Failure::new(error.to_string()).help(if state == JobState::Running {
                            "wait until this attempt has ended"
                        } else {
                            "it is closed already"
                        })
                    }
                    DiscardError::Store(error) => error.into(),
                })?;
            if output.json {
                return output.document(&serde_json::json!({ "job": id, "result": "discarded" }));
            }
            output.line(format!("job {id} discarded"));
            Ok(())
        }
        Command::Resolve { id, keep, field } => {
            let keep = match keep {
                KeepName::Shopify => Keep::Shopify,
                KeepName::Erp => Keep::Erp,
            };
            resolve(output, JobId(id), keep, field.as_deref(), config, store, clock).await
        }
        Command::Approve(HeldBack { shop, object }) => {
            let jobs = app::jobs::approve(store, clock, &shop, object).await?;
            app::ring::ring(config, store).await;
            answered(output, jobs, "approved", "on their way to the shop")
        }
        Command::Reject {
            which: HeldBack { shop, object },
            reason,
        } => {
            let jobs = app::jobs::reject(store, clock, &shop, object, &reason).await?;
            answered(output, jobs, "rejected", "given up")
        }
    }
}

async fn resolve(
    output: Output,
    id: JobId,
    keep: Keep,
    field: Option<&str>,
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    let chosen = app::jobs::resolve(store, clock, id, keep, field).await;
    let chosen = chosen.map_err(|error| match error {
        ResolveError::Unknown(_) => unknown(id),
        ResolveError::Store(error) => error.into(),
        ResolveError::NotAsked { .. } | ResolveError::Choose(_) => {
            Failure::new(error.to_string()).help(format!("`lockstep jobs show {id}` says what it asks"))
        }
    })?;
    app::ring::ring(config, store).await;
    if output.json {
        return output.document(&serde_json::json!({ "job": id, "keep": keep, "fields": chosen }));
    }
    output.table(
        ["OF", "FIELD", "ON SHOPIFY", "IN THE ERP", "KEPT"],
        chosen.into_iter().map(|conflict| {
            let kept = match keep {
                Keep::Shopify => "Shopify's",
                Keep::Erp => "the ERP's",
            };
            [
                conflict.of.unwrap_or_default(),
                conflict.field,
                conflict.shopify,
                conflict.erp,
                kept.to_owned(),
            ]
        }),
    );
    output.line(format!("job {id} is tried again now"));
    Ok(())
}

fn answered(output: Output, jobs: u64, result: &str, what: &str) -> Result<(), Failure> {
    if output.json {
        return output.document(&serde_json::json!({ "jobs": jobs, "result": result }));
    }
    output.line(match jobs {
        0 => "nothing was held back".to_owned(),
        1 => format!("1 job is {what}"),
        jobs => format!("{jobs} jobs are {what}"),
    });
    Ok(())
}

fn unknown(id: JobId) -> Failure {
    Failure::new(format!("there is no job {id}")).help("`lockstep jobs list` shows the jobs")
}

async fn problem_jobs(store: &SharedStore) -> Result<Vec<JobId>, Failure> {
    let filter = JobFilter {
        states: vec![JobState::Problem],
        limit: 1000,
        ..JobFilter::default()
    };
    let jobs = app::jobs::list(store, filter).await?;
    Ok(jobs.into_iter().map(|job| job.id).collect())
}

async fn list(
    output: Output,
    arguments: ListArguments,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    let limit = arguments.limit;
    let filter = JobFilter {
        shop: arguments.shop,
        object: arguments.object,
        states: if arguments.problems {
            vec![JobState::Problem, JobState::Held]
        } else {
            arguments.states
        },
        source_id: arguments.id,
        name: arguments.name,
        before: arguments.before.map(JobId),
        limit,
    };
    let jobs = app::jobs::list(store, filter).await?;
    if output.json {
        return output.document(&jobs);
    }
    if jobs.is_empty() {
        output.line("no jobs");
        return Ok(());
    }
    let now = clock.now();
    output.table(
        [
            "JOB", "STATE", "RECORD", "NAME", "ERP", "TRIES", "CHANGED", "NOTE",
        ],
        jobs.iter().map(|job| row(job, now)),
    );
    if jobs.len() == limit as usize
        && let Some(last) = jobs.last()
    {
        output.line(format!("older ones: add --before {}", last.id));
    }
    Ok(())
}

fn row(job: &JobRow, now: Timestamp) -> [String; 8] {
    [
        job.id.to_string(),
        job.state.to_string(),
        job.key.to_string(),
        job.record_name.clone().unwrap_or_else(|| "-".to_owned()),
        job.erp_name.clone().unwrap_or_else(|| "-".to_owned()),
        job.attempts.to_string(),
        relative(now, job.updated_at),
        note(job, now),
    ]
}

/// The one thing to know about a job in its state.
fn note(job: &JobRow, now: Timestamp) -> String {
    let summary = || job.last_summary.clone().unwrap_or_default();
    match job.state {
        JobState::Problem | JobState::Held => job
            .problem
            .as_ref()
            .map_or_else(summary, |problem| problem.reason.clone()),
        JobState::Retryable => {
            let at = job
                .run_at
                .map_or_else(String::new, |at| format!("again {}; ", relative(now, at)));
            format!("{at}{}", summary())
        }
        JobState::Scheduled => match &job.waits_on {
            Some(record) => format!("waits for {record}"),
            None => summary(),
        },
        JobState::Obsolete | JobState::Discarded => job.reason.clone().unwrap_or_else(summary),
        JobState::Available | JobState::Running | JobState::Completed => summary(),
    }
}

async fn retry(
    output: Output,
    ids: &[JobId],
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut unknown_ones = false;
    for id in ids {
        let (result, new_job) = match app::jobs::retry(store, clock, *id).await? {
            Retried::Again(_) => ("available", None),
            Retried::New(new) => ("new_job", Some(new)),
            Retried::Running => ("running", None),
            Retried::Unknown => {
                unknown_ones = true;
                ("unknown", None)
            }
        };
        rows.push(RetriedRow {
            job: *id,
            result,
            new_job,
        });
    }
    app::ring::ring(config, store).await;
    if output.json {
        output.document(&rows)?;
    } else if rows.is_empty() {
        output.line("no job needs a person");
    } else {
        for row in &rows {
            output.line(match (row.result, row.new_job) {
                ("available", _) => format!("job {} is tried again now", row.job),
                ("running", _) => format!("job {} runs at this moment", row.job),
                (_, Some(new)) => format!("job {} was closed; job {new} does its work anew", row.job),
                _ => format!("there is no job {}", row.job),
            });
        }
    }
    if unknown_ones {
        Err(Failure::Told(FAILED))
    } else {
        Ok(())
    }
}

fn show(output: Output, story: &JobStory, now: Timestamp) {
    let job = &story.job;
    output.line(format!("job {}: {}", job.id, job.key));
    let mut facts = vec![("state", job.state.to_string())];
    let optional = [
        ("reason", job.reason.clone()),
        ("name on Shopify", job.record_name.clone()),
        ("name in the ERP", job.erp_name.clone()),
        ("waits for", job.waits_on.clone()),
        ("next try", job.run_at.map(|at| time(now, at))),
    ];
    facts.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    facts.push(("made", time(now, job.created_at)));
    facts.push(("changed", time(now, job.updated_at)));
    for (name, value) in facts {
        output.line(format!("  {name:<16} {value}"));
    }
    if let Some(problem) = &job.problem {
        show_problem(output, problem);
    }
    output.line(format!("\nAttempts ({}):", story.attempts.len()));
    output.table(
        ["#", "BEGAN", "TOOK", "RESULT", "NODE", "WHAT"],
        story.attempts.iter().map(|attempt| {
            [
                attempt.number.to_string(),
                time(now, attempt.started_at),
                attempt
                    .ended_at
                    .map_or_else(|| "-".to_owned(), |end| span(end.since(attempt.started_at))),
                attempt.outcome.clone(),
                attempt.node.clone(),
                attempt.summary.clone(),
            ]
        }),
    );
    output.line(format!("\nEvents ({}):", story.events.len()));
    output.table(
        ["EVENT", "TOPIC", "RECEIVED", "HAPPENED", "WEBHOOK ID"],
        story.events.iter().map(|event| {
            [
                event.id.to_string(),
                event.topic.clone(),
                time(now, event.received_at),
                event
                    .triggered_at
                    .map_or_else(|| "-".to_owned(), super::output::absolute),
                event.webhook_id.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        }),
    );
    if matches!(
        job.state,
        JobState::Problem | JobState::Retryable | JobState::Held
    ) {
        output.line(format!("\nafter the fix: lockstep jobs retry {}", job.id));
    }
}

pub(super) fn show_problem(output: Output, problem: &NewProblem) {
    output.line("\nProblem:");
    let facts = [
        ("what", Some(problem.reason.clone())),
        ("fix", Some(problem.fix.clone())),
        ("owner", Some(problem.owner.clone())),
        ("field", problem.field.clone()),
        ("mapping", problem.mapping.clone()),
        ("code", Some(problem.code.to_string())),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            output.line(format!("  {name:<16} {value}"));
        }
    }
    if !problem.detail.is_null() {
        for line in format!("{:#}", problem.detail).lines() {
            output.line(format!("  {line}"));
        }
    }
}
