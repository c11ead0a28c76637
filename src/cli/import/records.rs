//! `lockstep import orders`: carry everything over that a shop has, or had since a time. The daemon does it; the command
//! asks for it, and shows how it goes.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::select;

use super::Arguments;
use crate::app;
use crate::app::import::Shopify;
use crate::app::imports::{self, BegunImports, ImportsRefused, LAST, WantedImports, listings, of};
use crate::cli::failure::{FAILED, Failure, say};
use crate::cli::output::{absolute, span};
use crate::cli::{Context, actor, opened, the_shop};
use crate::config::{Config, Shop};
use crate::domain::{Object, SharedClock, SharedEntropy, SystemEntropy, Timestamp};
use crate::store::{ImportCounts, ImportRow, ImportState, SharedStore};

/// How often it is looked how far imports are.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks pass between two lines in a log.
const LOOKS_PER_LINE: u32 = 30;

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// Orders, from the first to the last.
    Orders,
    /// Customers.
    Customers,
    /// Products with their variants.
    Products,
    /// Products, customers, then orders.
    All,
}

impl What {
    fn objects(self) -> &'static [Object] {
        match self {
            Self::Orders => &[Object::Order],
            Self::Customers => &[Object::Customer],
            Self::Products => &[Object::Product],
            Self::All => &[Object::Product, Object::Customer, Object::Order],
        }
    }
}

/// Reads a day (its first moment, UTC) or a time.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let day = format!("{text}T00:00:00Z");
    Timestamp::parse_rfc3339(text)
        .or_else(|_| Timestamp::parse_rfc3339(&day))
        .map_err(|_| {
            "write a day (2025-01-01, UTC) or a time with its zone (2025-01-01T08:00:00+01:00)".to_owned()
        })
}

/// Begins imports, and follows them.
pub(super) async fn begin(context: &Context, arguments: &Arguments, what: What) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, arguments.shop.as_ref())?;
    let wanted = WantedImports {
        objects: what.objects().to_vec(),
        since: arguments.since,
        until: arguments.until,
        actor: actor(),
    };
    // Before the store is opened: what is wrong with the command itself.
    listings(shop, &wanted).map_err(refused)?;
    let (store, clock) = opened(&config).await?;
    let done = begin_with(context, arguments, &wanted, (&config, shop), (&store, &clock)).await;
    store.close().await;
    done
}

async fn begin_with(
    context: &Context,
    arguments: &Arguments,
    wanted: &WantedImports,
    (config, shop): (&Config, &Shop),
    (store, clock): (&SharedStore, &SharedClock),
) -> Result<(), Failure> {
    let shopify = connected(shop, clock)?;
    let begun = imports::begin(shop, wanted, &shopify, (store, clock)).await;
    let BegunImports {
        ids,
        listings,
        warning,
    } = begun.map_err(refused)?;
    if let Some(text) = &warning {
        say(&format!("warning: {text}"));
    }
    app::ring::ring(config, store).await;
    let mut totals = Vec::new();
    for listing in &listings {
        totals.push(shopify.count(listing).await.unwrap_or_default());
    }
    if arguments.no_wait {
        let all = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if context.output.json {
            return context.output.document(&of(store, &ids).await?);
        }
        context.output.line(format!(
            "import {all}: `lockstep import --status` shows how far it is"
        ));
        return Ok(());
    }
    follow(context, store, clock, &ids, &totals).await
}

fn refused(refused: ImportsRefused) -> Failure {
    let told = refused.to_string();
    match refused {
        ImportsRefused::Store(error) => error.into(),
        ImportsRefused::NotImported(_) => Failure::usage(told),
        ImportsRefused::SwitchedOff { object, shop } => Failure::usage(told).help(format!(
            "`lockstep toggle {object}s in on --shop {shop}` switches them on"
        )),
        ImportsRefused::NothingBetween => Failure::usage("--until must be later than --since"),
        ImportsRefused::NoDaemon => {
            Failure::new(told).help("start `lockstep serve` with the same configuration, then import again")
        }
        ImportsRefused::UnderWay(running) => Failure::new(format!(
            "import {} of the {}s of {} runs already, since {} ({})",
            running.id,
            running.object,
            running.shop,
            absolute(running.started_at),
            running.actor,
        ))
        .help("`lockstep import --status` shows it, `lockstep import --stop` stops it"),
    }
}

fn connected(shop: &Shop, clock: &SharedClock) -> Result<Arc<Shopify>, Failure> {
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    app::connect::shopify(shop, clock, &entropy)
        .map_err(|error| Failure::because(format!("[shops.{}] cannot be reached", shop.name), error))
}

/// Shows imports until they are over or stopped, or nobody wants to see more.
async fn follow(
    context: &Context,
    store: &SharedStore,
    clock: &SharedClock,
    ids: &[i64],
    totals: &[Option<u64>],
) -> Result<(), Failure> {
    let is_terminal = std::io::stderr().is_terminal();
    let mut attendance = Attendance::default();
    let mut watched = None;
    for look in 0_u32.. {
        let rows = of(store, ids).await?;
        let is_over = rows.iter().all(|row| row.state != ImportState::Running);
        if let Some(row) = rows
            .iter()
            .find(|row| row.state == ImportState::Running)
            .or(rows.last())
        {
            let total = ids
                .iter()
                .position(|id| *id == row.id)
                .and_then(|at| totals.get(at).copied());
            let pace = Watched::pace(&mut watched, row, clock.now());
            if row.state == ImportState::Running
                && let Some(change) = attendance.seen(store.nodes(clock.now()).await?.len())
            {
                if is_terminal {
                    let _gone = write!(std::io::stderr().lock(), "\r\x1b[K");
                }
                say(change);
            }
            let line = progress(row, total.flatten(), pace);
            if is_terminal {
                // Over the line before, whose rest is cleared.
                let _gone = write!(std::io::stderr().lock(), "\r\x1b[K{line}");
            } else if look.is_multiple_of(LOOKS_PER_LINE) || is_over {
                say(&line);
            }
        }
        if is_over {
            if is_terminal {
                say("");
            }
            return summary(context, &rows);
        }
        select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                say(if is_terminal { "\n" } else { "" });
                say("not watched any more; the import goes on. `lockstep import --status` shows it, `lockstep import --stop` stops it");
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether a daemon works on what is watched. One that is only started anew is no reason to end the watching.
#[derive(Debug, Default)]
struct Attendance {
    is_alone: bool,
}

impl Attendance {
    /// What is to be said now that so many daemons live; none where that is as it was.
    fn seen(&mut self, daemons: usize) -> Option<&'static str> {
        let was_alone = std::mem::replace(&mut self.is_alone, daemons == 0);
        match (was_alone, self.is_alone) {
            (false, true) => Some(
                "no daemon runs any more: the import stands still, and goes on where it stood once `lockstep serve` runs again. \
                 Watching on; Ctrl-C ends that",
            ),
            (true, false) => Some("a daemon runs again: the import goes on"),
            (false, false) | (true, true) => None,
        }
    }
}

/// An import as it stood when it was shown first: of several, each has its own time.
#[derive(Clone, Copy, Debug)]
struct Watched {
    import: i64,
    over: u64,
    at: Timestamp,
}

impl Watched {
    /// How fast the import goes that is shown now.
    fn pace(watched: &mut Option<Self>, row: &ImportRow, now: Timestamp) -> Pace {
        let over = row.counts.over();
        let first = watched.filter(|first| first.import == row.id).unwrap_or(Self {
            import: row.id,
            over,
            at: now,
        });
        *watched = Some(first);
        Pace {
            done: over.saturating_sub(first.over),
            within: now.since(first.at),
        }
    }
}

/// How fast it went since it was watched.
#[derive(Clone, Copy, Debug)]
struct Pace {
    done: u64,
    within: Duration,
}

/// One line: how far, how fast, how long still.
fn progress(row: &ImportRow, total: Option<u64>, pace: Pace) -> String {
    let over = row.counts.over();
    let total = if row.is_listed {
        Some(row.listed)
    } else {
        total.map(|total| total.max(row.listed))
    };
    let how_far = match total.filter(|total| *total > 0) {
        Some(total) => {
            let full = usize::try_from(over.min(total) * 24 / total).unwrap_or(0);
            format!(
                "[{}{}] {over} of {total}",
                "#".repeat(full),
                ".".repeat(24 - full)
            )
        }
        None => format!("{over} of {} listed so far", row.listed),
    };
    let mut parts = vec![format!("{}s {how_far}", row.object)];
    let seconds = pace.within.as_secs();
    if pace.done > 0 && seconds > 0 {
        parts.push(format!("{} a minute", pace.done * 60 / seconds));
        if let Some(left) = total
            .map(|total| total.saturating_sub(over))
            .filter(|left| *left > 0)
        {
            let rest = Duration::from_secs(left * seconds / pace.done);
            parts.push(format!("about {} left", span(rest)));
        }
    }
    if row.counts.problems > 0 {
        parts.push(format!("{} need a person", row.counts.problems));
    }
    if let Some(error) = &row.error {
        parts.push(format!("it waits: {error}"));
    }
    parts.join(", ")
}

/// What came of them.
fn summary(context: &Context, rows: &[ImportRow]) -> Result<(), Failure> {
    if context.output.json {
        context.output.document(rows)?;
    } else {
        table(context, rows);
        warn(rows);
    }
    let mut why = Vec::new();
    if rows.iter().any(|row| row.counts.problems > 0) {
        why.push("`lockstep jobs list --state problem` shows what needs a person".to_owned());
    }
    why.extend(rows.iter().filter_map(not_done));
    if why.is_empty() {
        return Ok(());
    }
    if !context.output.json {
        for line in &why {
            say(line);
        }
    }
    Err(Failure::Told(FAILED))
}

/// Why an import that does not run any more did not come to its end.
fn not_done(row: &ImportRow) -> Option<String> {
    match row.state {
        ImportState::Running | ImportState::Done => None,
        ImportState::Stopped => Some(format!(
            "import {} was stopped before its end: `lockstep import --resume` lets it go on",
            row.id
        )),
        ImportState::Dropped => Some(format!(
            "import {} did not come to its end: another one of the {}s began in its place",
            row.id, row.object
        )),
    }
}

fn table(context: &Context, rows: &[ImportRow]) {
    let header = [
        "import",
        "shop",
        "object",
        "state",
        "listed",
        "created",
        "updated",
        "unchanged",
        "left out",
        "problems",
        "open",
        "began",
        "by",
    ];
    context.output.table(
        header,
        rows.iter().map(|row| {
            let ImportCounts {
                created,
                updated,
                unchanged,
                left_out,
                problems,
                open,
            } = row.counts;
            [
                row.id.to_string(),
                row.shop.to_string(),
                row.object.to_string(),
                row.state.to_string(),
                row.listed.to_string(),
                created.to_string(),
                updated.to_string(),
                unchanged.to_string(),
                left_out.to_string(),
                problems.to_string(),
                (open + row.pending).to_string(),
                absolute(row.started_at),
                row.actor.clone(),
            ]
        }),
    );
}

/// Shows the last imports.
pub(super) async fn status(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, _) = opened(&config).await?;
    let rows = store.imports(LAST).await;
    store.close().await;
    let mut rows = rows?;
    rows.retain(|row| arguments.shop.as_ref().is_none_or(|shop| *shop == row.shop));
    if context.output.json {
        return context.output.document(&rows);
    }
    if rows.is_empty() {
        context.output.line("nothing was imported yet");
        return Ok(());
    }
    table(context, &rows);
    for row in rows.iter().filter(|row| row.ended_at.is_none()) {
        if let Some(error) = &row.error {
            say(&format!("import {} waits: {error}", row.id));
        }
    }
    warn(&rows);
    Ok(())
}

/// Says of which imports it is known that they do not see everything.
fn warn(rows: &[ImportRow]) {
    for row in rows {
        if let Some(warning) = &row.warning {
            say(&format!("import {} is not everything: {warning}", row.id));
        }
    }
}

/// Stops the imports that run, or lets those go on that were stopped.
pub(super) async fn turn(context: &Context, arguments: &Arguments, runs: bool) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, arguments.shop.as_ref())?;
    let objects = arguments.what.unwrap_or(What::All).objects();
    let (store, clock) = opened(&config).await?;
    let by = (&actor(), clock.now());
    let changed = imports::turn(&store, &shop.name, objects, by, runs).await;
    if runs && changed.is_ok() {
        app::ring::ring(&config, &store).await;
    }
    store.close().await;
    let changed = changed?;
    if context.output.json {
        return context.output.document(&changed);
    }
    if changed.is_empty() {
        let state = if runs { "stopped" } else { "running" };
        return Err(Failure::new(format!("no import of {} is {state}", shop.name))
            .help("`lockstep import --status` shows the last ones"));
    }
    for one in &changed {
        context.output.line(if runs {
            format!("import {} of {}s goes on where it stood", one.import, one.object)
        } else {
            format!(
                "import {} of {}s is stopped: what is in the queue already is still done. `lockstep import --resume` lets it go on",
                one.import,
                one.object,
            )
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(listed: u64, is_listed: bool, over: u64) -> ImportRow {
        ImportRow {
            id: 1,
            shop: "main".parse().unwrap(),
            object: Object::Order,
            since: None,
            until: None,
            actor: "ada".to_owned(),
            state: ImportState::Running,
            cursor: None,
            listed,
            pending: 0,
            is_listed,
            error: None,
            warning: None,
            started_at: Timestamp::from_millis(0),
            ended_at: None,
            counts: ImportCounts {
                created: over,
                ..ImportCounts::default()
            },
        }
    }

    #[test]
    fn that_nobody_works_on_it_is_said_once_each_time() {
        let mut attendance = Attendance::default();
        let seen: Vec<&str> = [1, 1, 0, 0, 0, 2, 1, 0]
            .into_iter()
            .map(|daemons| attendance.seen(daemons).unwrap_or_default())
            .map(|said| said.split(':').next().unwrap())
            .collect();
        let (gone, back) = ("no daemon runs any more", "a daemon runs again");
        assert_eq!(seen, ["", "", gone, "", "", back, "", gone]);
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let pace = |done, seconds| Pace {
            done,
            within: Duration::from_secs(seconds),
        };
        for (row, total, pace, expected) in [
            (
                row(250, false, 0),
                None,
                pace(0, 0),
                "orders 0 of 250 listed so far",
            ),
            (
                row(250, false, 100),
                Some(1_000),
                pace(100, 60),
                "orders [##......................] 100 of 1000, 100 a minute, about 9 min left",
            ),
            // More were made since they were counted.
            (
                row(1_200, true, 1_200),
                Some(1_000),
                pace(600, 60),
                "orders [########################] 1200 of 1200, 600 a minute",
            ),
            (
                row(0, true, 0),
                Some(0),
                pace(0, 9),
                "orders 0 of 0 listed so far",
            ),
        ] {
            assert_eq!(progress(&row, total, pace), expected);
        }
    }

    #[test]
    fn each_import_has_its_own_pace() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut watched = None;
        let mut orders = row(100, true, 0);
        orders.id = 2;
        for (row, seconds, expected) in [
            // What was done before it was watched counts for nothing.
            (&row(5_000, true, 1_000), 0, (0, 0)),
            (&row(5_000, true, 4_000), 600, (3_000, 600)),
            // The next one begins anew, however long the first one took.
            (&orders, 601, (0, 0)),
            (
                &ImportRow {
                    counts: row(0, true, 10).counts,
                    ..orders.clone()
                },
                611,
                (10, 10),
            ),
        ] {
            let pace = Watched::pace(&mut watched, row, at(seconds));
            assert_eq!((pace.done, pace.within.as_secs()), expected, "at {seconds} s");
        }
    }

    #[test]
    fn an_import_that_did_not_come_to_its_end_is_no_success() {
        for (state, expected) in [
            (ImportState::Done, None),
            (ImportState::Stopped, Some("--resume")),
            (ImportState::Dropped, Some("another one of the orders")),
        ] {
            let why = not_done(&ImportRow {
                state,
                ..row(10, true, 5)
            });
            assert_eq!(why.is_some(), expected.is_some(), "{state}");
            assert!(why.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
    }

    #[test]
    fn days_and_times_are_read_and_nothing_else() {
        let day = moment("2025-01-01").unwrap();
        assert_eq!(day, moment("2025-01-01T01:00:00+01:00").unwrap());
        for wrong in ["", "2025", "01.01.2025", "2025-13-01", "2025-01-01T08:00:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
