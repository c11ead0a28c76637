//! `lockstep jobs`: list, show, retry, discard, and the answer to unusually large changes.

mod choice;
mod many;
mod plans;
mod review;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::{Output, relative, span, time};
use super::{Context, actor, opened};
use crate::app;
use crate::app::review::{Plan, Reviewer, answer};
use crate::config::Config;
use crate::domain::{
    Calls, Direction, JobId, JobState, NewProblem, Object, SharedClock, ShopName, Timestamp,
};
use crate::store::{Acted, AttemptRow, JobFilter, JobName, JobRow, JobStory, SharedStore};

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
        #[arg(required_unless_present_any = ["problems", "cluster", "code", "shop", "object", "direction"])]
        ids: Vec<i64>,
        /// Every job that needs a person, at most 1000.
        #[arg(long, conflicts_with = "ids")]
        problems: bool,
        #[command(flatten)]
        matching: many::Matching,
    },
    #[command(flatten)]
    Review(review::Command),
    /// Give an open job up. A later change of the record makes a new one.
    Discard {
        /// The job's number.
        id: i64,
        /// Why, for those who ask later.
        #[arg(long)]
        reason: String,
    },
    /// Let jobs go on that wait for a yes: with their plans, or what was held because it was unusually much.
    ///
    /// With job numbers or `--all-matching`: plans of manual review and of review rules. A plan that has changed since waits again.
    /// With `--shop` and `--object` alone: the changes to the shop that were held because there were unusually many.
    Approve(plans::Approve),
    /// Give up what waits for a yes.
    ///
    /// What changes from now on is looked at anew.
    Reject(plans::Reject),
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
    /// Only with an open problem of this cause, as `lockstep jobs clusters` shows it.
    #[arg(long)]
    cluster: Option<String>,
    /// Only with an open problem of this kind.
    #[arg(long)]
    code: Option<String>,
    /// Only in this direction: in or out.
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<Direction>,
    /// Only orders that sell this stock keeping unit.
    #[arg(long, value_name = "SKU", conflicts_with = "email")]
    sku: Option<String>,
    /// Only orders of the buyer with this e-mail address; names the shop, too.
    #[arg(long, value_name = "ADDRESS", requires = "shop")]
    email: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only older ones than this job: the next page.
    #[arg(long, value_name = "JOB")]
    before: Option<i64>,
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
        Command::Review(command) => review::run(output, command, config, store, clock).await,
        Command::Retry { matching, .. } if matching.is_given() => {
            matching.start(output, config, store, clock).await
        }
        Command::Retry {
            ids,
            problems,
            matching,
        } => {
            let ids = if problems {
                problem_jobs(store).await?
            } else {
                ids.into_iter().map(JobId).collect()
            };
            many::retry(output, &ids, matching.reason.as_deref(), config, store, clock).await
        }
        Command::Discard { id, reason } => {
            let id = JobId(id);
            let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
            match reviewer.discard(id, &reason).await? {
                Acted::Done => {}
                Acted::Unknown => return Err(unknown(id)),
                Acted::NotNow(state) => {
                    return Err(
                        Failure::new(format!("job {id} is {state} and cannot be discarded")).help(
                            if state == JobState::Running {
                                "wait until this attempt has ended"
                            } else {
                                "it is closed already"
                            },
                        ),
                    );
                }
                acted => return Err(Failure::new(answer(id, &acted, ""))),
            }
            if output.json {
                return output.document(&serde_json::json!({ "job": id, "result": "discarded" }));
            }
            output.line(format!("job {id} discarded"));
            Ok(())
        }
        Command::Approve(approve) => approve.run(output, config, store, clock).await,
        Command::Reject(reject) => reject.run(output, store, clock).await,
    }
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
    let known_by = match (arguments.sku, &arguments.email, &arguments.shop) {
        (Some(sku), ..) => Some(JobName::Sku(sku)),
        (None, Some(address), Some(shop)) => Some(JobName::of_email(shop, address)),
        _ => None,
    };
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
        direction: arguments.direction,
        code: arguments.code,
        cluster: arguments.cluster,
        known_by,
        before: arguments.before.map(JobId),
        limit,
        ..JobFilter::default()
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
        ["#", "BEGAN", "TOOK", "CALLS", "RESULT", "NODE", "WHAT"],
        story.attempts.iter().map(|attempt| {
            [
                attempt.number.to_string(),
                time(now, attempt.started_at),
                attempt
                    .ended_at
                    .map_or_else(|| "-".to_owned(), |end| span(end.since(attempt.started_at))),
                calls_of(attempt).map_or_else(|| "-".to_owned(), |calls| calls.count().to_string()),
                attempt.outcome.clone(),
                attempt.node.clone(),
                attempt.summary.clone(),
            ]
        }),
    );
    show_calls(output, story);
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

fn calls_of(attempt: &AttemptRow) -> Option<Calls> {
    Calls::taken_from(attempt.detail.clone()).0
}

/// The calls of the last attempt that made some; those of all are in the JSON.
fn show_calls(output: Output, story: &JobStory) {
    let mut newest_first = story.attempts.iter().rev();
    let last = newest_first.find_map(|attempt| Some((attempt.number, calls_of(attempt)?)));
    let Some((number, calls)) = last else { return };
    output.line(format!("\nCalls of attempt {number} ({}):", calls.count()));
    output.table(
        ["TO", "CALL", "TOOK", "OUTCOME"],
        calls.first.iter().map(|call| {
            [
                call.system.to_string(),
                call.name.clone(),
                format!("{} ms", call.took_ms),
                call.outcome.clone(),
            ]
        }),
    );
    if calls.more > 0 {
        output.line(format!("and {} more", calls.more));
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
    if let Some(plan) = Plan::of(problem) {
        plans::show(output, &plan);
    } else if !problem.detail.is_null() {
        for line in format!("{:#}", problem.detail).lines() {
            output.line(format!("  {line}"));
        }
    }
}
