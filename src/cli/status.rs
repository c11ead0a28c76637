//! `lockstep status`: how things stand.

use clap::Args;

use super::failure::Failure;
use super::output::{Output, absolute, counted, relative, span, time};
use super::{Context, opened};
use crate::app;
use crate::app::status::{LaneStatus, Status};
use crate::domain::{JobState, Timestamp};

/// Show lanes, open problems, breakers, refused deliveries and warnings.
#[derive(Debug, Args)]
pub(super) struct Arguments {}

pub(super) async fn run(context: &Context, _arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, clock) = opened(&config).await?;
    let status = app::status::status(&config, &store, &clock).await;
    store.close().await;
    let status = status?;
    if context.output.json {
        return context.output.document(&status);
    }
    show(context.output, &status);
    Ok(())
}

fn show(output: Output, status: &Status) {
    let now = status.now;
    output.line(format!(
        "lockstep {}, {}, {} stored",
        status.version,
        absolute(now),
        counted(status.events, "event")
    ));
    if let Some(revision) = &status.revision {
        output.line(format!(
            "configuration {} (taken up by {} {}): {}",
            revision.id,
            revision.node,
            relative(now, revision.since),
            revision.summary
        ));
    }
    output.line("");
    output.table(
        ["SHOP", "DOMAIN", "ORDERS SINCE", "STATE"],
        status.shops.iter().map(|shop| {
            [
                shop.name.clone(),
                shop.domain.clone(),
                absolute(shop.start_at),
                shop.disabled
                    .as_ref()
                    .map_or_else(|| "enabled".to_owned(), |why| format!("disabled: {why}")),
            ]
        }),
    );
    output.line("");
    output.table(
        [
            "LANE",
            "TOGGLE",
            "WAITING",
            "RUNNING",
            "RETRYING",
            "PROBLEM",
            "DONE 24 H",
            "OLDEST OPEN",
        ],
        status.lanes.iter().map(|lane| lane_row(lane, now)),
    );
    if !status.breakers.is_empty() {
        output.line("\nSystems that are down:");
        output.table(
            ["SHOP", "SYSTEM", "BREAKER", "SINCE", "WHY"],
            status.breakers.iter().map(|breaker| {
                [
                    breaker.shop.to_string(),
                    breaker.system.to_string(),
                    breaker.state.clone(),
                    time(now, breaker.since),
                    breaker.reason.clone().unwrap_or_default(),
                ]
            }),
        );
    }
    polls(output, status);
    schedules(output, status);
    nodes_and_runs(output, status);
    problems(output, status);
    if !status.rejections.is_empty() {
        output.line("\nDeliveries refused in the last 24 hours:");
        output.table(
            ["SHOP", "REASON", "COUNT", "LAST HOUR"],
            status.rejections.iter().map(|row| {
                [
                    row.shop.clone(),
                    row.reason.clone(),
                    row.count.to_string(),
                    absolute(row.last_hour),
                ]
            }),
        );
    }
    if !status.warnings.is_empty() {
        output.line("\nWarnings:");
        for warning in &status.warnings {
            output.line(format!("  {warning}"));
        }
    }
}

fn polls(output: Output, status: &Status) {
    if status.polls.is_empty() {
        return;
    }
    let now = status.now;
    let ago = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| relative(now, at));
    let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    output.line("\nPolls of the ERP:");
    output.table(
        [
            "SHOP",
            "MODEL",
            "POLLED",
            "TOOK",
            "ROWS",
            "CHANGED",
            "LAG",
            "IDS LISTED",
            "HINT",
            "FAILED",
        ],
        status.polls.iter().map(|poll| {
            [
                poll.shop.to_string(),
                poll.model.clone(),
                ago(poll.polled_at),
                poll.took_ms
                    .map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")),
                number(poll.rows),
                number(poll.changed),
                poll.lag_s
                    .map_or_else(|| "-".to_owned(), |s| span(std::time::Duration::from_secs(s))),
                ago(poll.listed_at),
                ago(poll.hinted_at),
                poll.error.clone().unwrap_or_default(),
            ]
        }),
    );
}

fn schedules(output: Output, status: &Status) {
    if status.schedules.is_empty() {
        return;
    }
    let now = status.now;
    output.line("\nBy itself:");
    output.table(
        ["SHOP", "WHAT", "OBJECT", "WHEN", "LAST", "NEXT"],
        status.schedules.iter().map(|schedule| {
            let next: Vec<String> = schedule.next.iter().map(|at| absolute(*at)).collect();
            let last = schedule.last.as_ref().map(|last| {
                let end = last
                    .outcome
                    .map_or_else(|| "under way".to_owned(), |outcome| outcome.to_string());
                let error = last.error.as_ref().map(|error| format!(": {error}"));
                format!(
                    "{}, {end}{}",
                    relative(now, last.began),
                    error.unwrap_or_default()
                )
            });
            [
                schedule.shop.to_string(),
                schedule.what.to_owned(),
                schedule
                    .object
                    .map_or_else(|| "-".to_owned(), |object| object.to_string()),
                format!("{} ({})", schedule.schedule, schedule.time_zone),
                last.unwrap_or_else(|| "-".to_owned()),
                next.join(", "),
            ]
        }),
    );
}

fn nodes_and_runs(output: Output, status: &Status) {
    let now = status.now;
    if status.nodes.len() > 1 {
        output.line("\nNodes:");
        output.table(
            ["NODE", "HEARD OF", "FILES"],
            status.nodes.iter().map(|node| {
                let files = if node.is_newest { "the newest" } else { "others" };
                [node.node.clone(), relative(now, node.seen_at), files.to_owned()]
            }),
        );
    }
    if !status.gaps.is_empty() {
        output.line("\nChanges may be missing until a run has looked for them:");
        output.table(
            ["SHOP", "OBJECT", "SINCE", "WHY", "NEXT RUN", "FAILED"],
            status.gaps.iter().map(|gap| {
                [
                    gap.shop.to_string(),
                    gap.object.to_string(),
                    absolute(gap.since),
                    gap.reason.clone(),
                    relative(now, gap.next_at.max(now)),
                    gap.failed.to_string(),
                ]
            }),
        );
    }
    if !status.runs.is_empty() {
        output.line("\nLast runs:");
        output.table(
            [
                "RUN", "SHOP", "OBJECT", "CAUSE", "SINCE", "BEGAN", "END", "RECORDS", "JOBS",
            ],
            status.runs.iter().take(5).map(|run| {
                let end = match (run.outcome, &run.error) {
                    (None, _) => "under way".to_owned(),
                    (Some(outcome), Some(error)) => format!("{outcome}: {error}"),
                    (Some(outcome), None) => outcome.to_string(),
                };
                [
                    run.id.to_string(),
                    run.shop.to_string(),
                    run.object.to_string(),
                    run.cause.clone(),
                    absolute(run.since),
                    relative(now, run.started_at),
                    end,
                    run.counts.records.to_string(),
                    run.counts.made.to_string(),
                ]
            }),
        );
    }
}

fn problems(output: Output, status: &Status) {
    if status.problems.is_empty() {
        output.line("\nNo open problems.");
        return;
    }
    let more = status.open_problems.saturating_sub(status.problems.len() as u64);
    output.line(format!("\n{} open:", counted(status.open_problems, "problem")));
    output.table(
        ["JOB", "SHOP", "RECORD", "SINCE", "PROBLEM", "FIX", "OWNER"],
        status.problems.iter().map(|row| {
            [
                row.job.map_or_else(|| "-".to_owned(), |job| job.to_string()),
                row.shop.to_string(),
                row.problem.record.clone().unwrap_or_else(|| "-".to_owned()),
                relative(status.now, row.opened_at),
                row.problem.reason.clone(),
                row.problem.fix.clone(),
                row.problem.owner.clone(),
            ]
        }),
    );
    if more > 0 {
        output.line(format!("and {more} more: `lockstep jobs list --state problem`"));
    }
}

fn lane_row(lane: &LaneStatus, now: Timestamp) -> [String; 8] {
    let sum = |states: &[JobState]| -> String {
        let jobs: u64 = states.iter().filter_map(|state| lane.jobs.get(state)).sum();
        jobs.to_string()
    };
    [
        format!("{}/{}.{}", lane.shop, lane.object, lane.direction),
        lane.toggle
            .map_or_else(|| "-".to_owned(), |toggle| toggle.to_string()),
        sum(&[JobState::Available, JobState::Scheduled]),
        sum(&[JobState::Running]),
        sum(&[JobState::Retryable]),
        sum(&[JobState::Problem, JobState::Held]),
        sum(&[JobState::Completed, JobState::Obsolete, JobState::Discarded]),
        lane.oldest_open
            .map_or_else(|| "-".to_owned(), |at| relative(now, at)),
    ]
}
