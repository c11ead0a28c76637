//! `lockstep import orders`: carry everything over that a shop has, or had since a time. The daemon does it; the command
//! asks for it, and shows how it goes.

use std::sync::Arc;

use super::Arguments;
use super::watch::follow;
use crate::app;
use crate::app::import::Shopify;
use crate::app::imports::{self, BegunImports, ImportsRefused, LAST, WantedImports, listings, of};
use crate::cli::failure::{FAILED, Failure, say};
use crate::cli::output::absolute;
use crate::cli::{Context, actor, opened, the_shop};
use crate::config::{Config, Shop};
use crate::domain::{Object, SharedClock, SharedEntropy, SystemEntropy, Timestamp};
use crate::store::{ImportCounts, ImportRow, ImportState, SharedStore};

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

/// What came of them.
pub(super) fn summary(context: &Context, rows: &[ImportRow]) -> Result<(), Failure> {
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
    use super::super::watch::tests::row;
    use super::*;

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
