//! `lockstep replay`: what another version of the mappings would change.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::Context;
use super::failure::{Failure, say};
use super::output::{Output, absolute, counted};
use super::serve::not_started;
use crate::app;
use crate::app::replay::{Replay, ReplayError, Replayed, ReplayedCount, ReplayedLane};
use crate::domain::{Object, SharedEntropy, ShopName, SystemEntropy, Timestamp};

/// Show what another version of the mapping files would change. Writes nothing.
///
/// The records that jobs were about since a time are read fresh and planned twice: by the mappings in force, and by those of a
/// folder. What differs between the two plans is counted by field, with examples. What both would write is not told: it
/// is no difference of the mappings. Bodies of stored events are not used; a record is planned as it is now. Values of orders
/// and customers are shown only with `--values`: they are customers' data, and what is printed often ends in a log or a ticket.
#[derive(Debug, Args)]
#[command(after_help = "For example: lockstep replay --since 7d --mapping new-mappings")]
pub(super) struct Arguments {
    /// Records of jobs since then: `7d`, `12h`, a day (2026-11-01), or a time with its zone (2026-11-01T00:00:00Z).
    #[arg(long, value_name = "TIME")]
    since: Moment,
    /// And before then.
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// The folder with the other version; what it lacks is as it is shipped. Without it, the shipped mappings.
    #[arg(long, value_name = "FOLDER")]
    mapping: Option<PathBuf>,
    /// Only of this object: order, customer, product or inventory.
    #[arg(long, value_name = "OBJECT")]
    object: Option<Object>,
    /// Only of this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// At most so many records of each shop, those of the newest jobs first.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Show what stands in the fields of orders and customers, too.
    #[arg(long)]
    values: bool,
}

/// A point in time, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    fn of(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(length) => now.minus(length),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(day) = text.parse::<chrono::NaiveDate>().ok()
            && let Some(midnight) = day.and_hms_opt(0, 0, 0)
        {
            return Ok(Self::At(Timestamp::from_millis(
                midnight.and_utc().timestamp_millis(),
            )));
        }
        if let Ok(time) = Timestamp::parse_rfc3339(text) {
            return Ok(Self::At(time));
        }
        let seconds = match text.chars().next_back() {
            Some('d') => 86_400,
            Some('h') => 3_600,
            Some('m') => 60,
            _ => 0,
        };
        let count = text
            .get(..text.len().saturating_sub(1))
            .and_then(|count| count.parse::<u64>().ok());
        match count.and_then(|count| count.checked_mul(seconds)) {
            Some(length) if length > 0 => Ok(Self::Ago(Duration::from_secs(length))),
            _ => Err(
                "write how long ago (7d, 12h), a day (2026-11-01) or a time with its zone (2026-11-01T00:00:00Z)"
                    .to_owned(),
            ),
        }
    }
}

/// Between how many records a log is told how far it is.
const TOLD_EVERY: usize = 500;

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    if let Some(shop) = &arguments.shop
        && !config.shops.contains_key(shop)
    {
        return Err(Failure::usage(format!("the configuration has no shop `{shop}`")));
    }
    if let Some(folder) = &arguments.mapping
        && !folder.is_dir()
    {
        return Err(Failure::usage(format!("{} is no folder", folder.display()))
            .help("name the folder with the other version of the mapping files"));
    }
    let clock = app::clock::process_clock();
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let now = clock.now();
    let wanted = Replay {
        since: arguments.since.of(now),
        until: arguments.until.map(|until| until.of(now)),
        object: arguments.object,
        mappings: arguments.mapping.clone(),
        limit: arguments.limit as usize,
    };
    if wanted.until.is_some_and(|until| until <= wanted.since) {
        return Err(Failure::usage("--until is not after --since"));
    }
    let is_watched = std::io::stderr().is_terminal();
    let progress = move |done: usize, of: usize| {
        let is_told = if is_watched {
            done.is_multiple_of(25)
        } else {
            done > 0 && done.is_multiple_of(TOLD_EVERY)
        };
        if is_told && done < of {
            say(&format!("planned {done} of {}", counted(of as u64, "record")));
        }
    };
    let mut all = Vec::new();
    for shop in config.shops.values() {
        if arguments.shop.as_ref().is_some_and(|named| *named != shop.name) {
            continue;
        }
        let replayed = app::replay::replay(&config, shop, &wanted, (&clock, &entropy), &progress);
        let replayed = replayed.await.map_err(failed)?;
        all.push(if arguments.values {
            replayed
        } else {
            replayed.masked()
        });
    }
    if context.output.json {
        return context.output.document(&all);
    }
    for replayed in &all {
        show(context.output, replayed);
    }
    Ok(())
}

fn failed(failure: ReplayError) -> Failure {
    match failure {
        ReplayError::Wire(error) => not_started(error),
        ReplayError::Store(error) => error.into(),
        ReplayError::Silent(count, error) => {
            Failure::because(format!("{count} records in a row could not be planned"), error)
                .help("see with `lockstep check --live` whether both sides answer")
        }
    }
}

fn show(output: Output, replayed: &Replayed) {
    let until = replayed
        .until
        .map_or_else(String::new, |until| format!(" until {}", absolute(until)));
    output.line(format!(
        "{}: records of jobs since {}{until}, by mappings {} instead of {}",
        replayed.shop,
        absolute(replayed.since),
        short(&replayed.to),
        short(&replayed.from),
    ));
    if replayed.from == replayed.to {
        output.line("  both versions are the same");
    }
    for lane in &replayed.lanes {
        show_lane(output, lane);
    }
    show_counts(output, "passed by, there is no plan of them", &replayed.passed_by);
    if replayed.changes_nothing() {
        output.line("\nnothing would change");
    }
    if replayed.is_limited {
        output.line("\nthere are more records than were looked at: add --limit, or a later --since");
    }
    output.line("\nnothing was written\n");
}

/// As much of a revision as tells it from others.
fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

fn show_lane(output: Output, lane: &ReplayedLane) {
    output.line(format!(
        "\n{}.{}: {} planned, {} would change",
        lane.object,
        lane.direction,
        counted(lane.records, "record"),
        lane.changed
    ));
    if !lane.fields.is_empty() {
        output.table(
            ["RECORDS", "MODEL", "FIELD", "FOR EXAMPLE", "NOW", "THEN"],
            lane.fields.iter().flat_map(|field| {
                field.examples.iter().enumerate().map(|(number, example)| {
                    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
                    // The field is told once.
                    let [records, model, name] = if number == 0 {
                        [
                            field.records.to_string(),
                            field.model.clone(),
                            field.field.clone(),
                        ]
                    } else {
                        [const { String::new() }; 3]
                    };
                    [
                        records,
                        model,
                        name,
                        example.record.clone(),
                        value(&example.old),
                        value(&example.new),
                    ]
                })
            }),
        );
    }
    show_counts(output, "would need a person", &lane.newly_failing);
    show_counts(output, "would need no person any more", &lane.newly_working);
    show_counts(output, "would be left alone", &lane.newly_left_alone);
    for (count, what) in [
        (lane.newly_carried, "left alone now, would be carried over"),
        (lane.gone, "not there any more"),
    ] {
        if count > 0 {
            output.line(format!("  {}: {what}", counted(count, "record")));
        }
    }
    if let Some(reason) = &lane.unread_because {
        output.line(format!(
            "  {}: could not be planned, the last one because: {reason}",
            counted(lane.unread, "record")
        ));
    }
}

fn show_counts(output: Output, what: &str, counts: &[ReplayedCount]) {
    for count in counts {
        output.line(format!(
            "  {}: {what}: {} (for example {})",
            counted(count.records, "record"),
            count.what,
            count.examples.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_say_them() {
        let at = |text: &str| Ok(Moment::At(Timestamp::parse_rfc3339(text).unwrap()));
        assert_eq!("2026-11-01".parse(), at("2026-11-01T00:00:00Z"));
        assert_eq!("2026-11-01T02:00:00+02:00".parse(), at("2026-11-01T00:00:00Z"));
        let days = Moment::Ago(Duration::from_secs(7 * 86_400));
        assert_eq!("7d".parse(), Ok(days));
        let now = Timestamp::parse_rfc3339("2026-11-08T00:00:00Z").unwrap();
        assert_eq!(
            days.of(now),
            Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").unwrap()
        );
        for text in [
            "",
            "d",
            "0d",
            "yesterday",
            "-1d",
            "7w",
            "99999999999999999999d",
            "ä",
        ] {
            let error = text.parse::<Moment>().unwrap_err();
            assert!(error.contains("how long ago"), "{text}: {error}");
        }
    }
}
