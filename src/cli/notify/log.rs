//! The log of deliveries, and sending again.

use clap::Args;

use super::super::failure::Failure;
use super::super::output::{Output, absolute, relative, time};
use super::super::{actor, opened};
use super::{answered, endpoint_named};
use crate::app;
use crate::app::notify::{Again, EventType, Wanted};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::store::{DispatchRow, DispatchState, DispatchStory, Redeliver, Redelivered};

/// A point in time, or the beginning of a day.
fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .or_else(|_| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .map_err(|_| {
            "write it like 2026-11-20T08:00:00Z, or 2026-11-20 for the beginning of that day (UTC)".to_owned()
        })
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only to this endpoint.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Only of this type of event, e.g. order.synced.
    #[arg(long, value_name = "EVENT")]
    event: Option<EventType>,
    /// Only in this state: waiting, sending, delivered, failed, cancelled, replaced or problem.
    #[arg(long)]
    state: Option<DispatchState>,
    /// Only of this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<String>,
    /// Only about this record or event: a name, Shopify's number, or `evt_…`.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only of events since then, e.g. 2026-11-20T08:00:00Z or 2026-11-20.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only of events before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only older ones than this delivery: the next page.
    #[arg(long, value_name = "DELIVERY")]
    before: Option<i64>,
}

pub(super) async fn list(output: Output, config: &Config, arguments: ListArguments) -> Result<(), Failure> {
    let (store, clock) = opened(config).await?;
    let limit = arguments.limit;
    let wanted = Wanted {
        endpoint: arguments.endpoint,
        event: arguments.event.map(|event| event.to_string()),
        state: arguments.state,
        shop: arguments.shop,
        search: arguments.search,
        since: arguments.since,
        until: arguments.until,
        before: arguments.before,
        limit,
    };
    let rows = app::notify::deliveries(&store, wanted).await;
    store.close().await;
    let (rows, now) = (rows?, clock.now());
    if output.json {
        return output.document(&rows);
    }
    if rows.is_empty() {
        output.line("no delivery fits");
        return Ok(());
    }
    output.table(
        [
            "DELIVERY", "WHEN", "ENDPOINT", "EVENT", "RECORD", "STATE", "TRIES", "HTTP", "TOOK", "WHY",
        ],
        rows.iter().map(|row| line(row, now)),
    );
    if rows.len() == limit as usize
        && let Some(last) = rows.last()
    {
        output.line(format!("older ones: add --before {}", last.id));
    }
    Ok(())
}

fn line(row: &DispatchRow, now: Timestamp) -> [String; 10] {
    let dash = || "-".to_owned();
    let state = match row.state {
        DispatchState::Waiting if row.tries > 0 => format!("again {}", relative(now, row.due_at)),
        state => state.to_string(),
    };
    [
        row.id.to_string(),
        relative(now, row.created_at),
        row.endpoint.clone(),
        row.event.clone(),
        row.record.clone().unwrap_or_else(dash),
        state,
        row.tries.to_string(),
        row.status.map_or_else(dash, |status| status.to_string()),
        row.took_ms.map_or_else(dash, |ms| format!("{ms} ms")),
        row.sentence.clone().unwrap_or_else(dash),
    ]
}

pub(super) async fn show(output: Output, config: &Config, id: i64) -> Result<(), Failure> {
    let (store, clock) = opened(config).await?;
    let story = store.dispatch(id).await;
    store.close().await;
    let story = story?.ok_or_else(|| Failure::new(format!("there is no delivery {id} (any more)")))?;
    if output.json {
        return output.document(&story);
    }
    tell(output, &story, clock.now());
    Ok(())
}

fn tell(output: Output, story: &DispatchStory, now: Timestamp) {
    let row = &story.row;
    output.line(format!(
        "delivery {}: {} to {}, {}",
        row.id, row.event, row.endpoint, row.state
    ));
    output.line(format!("event      {}", row.notification));
    output.line(format!("happened   {}", time(now, row.created_at)));
    if let Some(record) = &row.record {
        output.line(format!("record     {record}"));
    }
    if row.state == DispatchState::Waiting {
        output.line(format!("next try   {}", time(now, row.due_at)));
    }
    if let Some(sentence) = &row.sentence {
        output.line(format!("why        {sentence}"));
    }
    for one in &story.tries {
        let outcome = one.sentence.as_deref().unwrap_or("taken");
        let status = one
            .status
            .map_or_else(String::new, |status| format!("HTTP {status}, "));
        output.line(format!(
            "\ntry {}, {}: {status}{} ms, {outcome}",
            one.number,
            absolute(one.at),
            one.took_ms
        ));
        answered(output, &one.headers, &one.answer, one.is_cut);
    }
    match &story.body {
        Some(body) => output.line(format!("\nwhat is told, before the endpoint's own form:\n{body}")),
        None => output.line("\nwhat it told was removed on a privacy request"),
    }
}

#[derive(Debug, Args)]
pub(super) struct RedeliverArguments {
    /// The delivery's number.
    #[arg(
        value_name = "DELIVERY",
        required_unless_present_any = ["failed", "since"],
        conflicts_with_all = ["failed", "since", "until", "endpoint"]
    )]
    id: Option<i64>,
    /// All that failed, of all endpoints that the configuration has; with --endpoint only those of one.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    failed: bool,
    /// To this endpoint.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// All of events since then, whether they were delivered or not, e.g. 2026-11-20T08:00:00Z or 2026-11-20.
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "endpoint")]
    since: Option<Timestamp>,
    /// And before then; until now, where nothing is said.
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "since")]
    until: Option<Timestamp>,
}

pub(super) async fn redeliver(
    output: Output,
    config: &Config,
    arguments: RedeliverArguments,
) -> Result<(), Failure> {
    if let Some(name) = &arguments.endpoint {
        endpoint_named(config, name)?;
    }
    let (store, clock) = opened(config).await?;
    let what = match (arguments.id, arguments.endpoint, arguments.since) {
        (Some(id), ..) => Redeliver::One(id),
        (None, Some(endpoint), Some(since)) => Redeliver::Range {
            endpoint,
            since,
            until: arguments.until.unwrap_or_else(|| clock.now()),
        },
        (None, endpoint, _) => Redeliver::Failed { endpoint },
    };
    let again = app::notify::redeliver(config, &store, &clock, actor(), what).await;
    app::ring::ring(config, &store).await;
    store.close().await;
    told(output, &again?)
}

fn told(output: Output, again: &Again) -> Result<(), Failure> {
    if output.json {
        output.document(again)?;
    } else if let Redelivered::Done(count) = again.result {
        output.line(format!("{count}: {}", again.told));
    }
    match again.result {
        Redelivered::Done(_) => Ok(()),
        _ => Err(Failure::new(again.told.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning() {
        let day = Timestamp::parse_rfc3339("2026-11-20T00:00:00Z").unwrap();
        assert_eq!(moment("2026-11-20"), Ok(day));
        assert_eq!(moment("2026-11-20T01:00:00+01:00"), Ok(day));
        assert!(moment("yesterday").unwrap_err().contains("2026-11-20"));
    }
}
