//! `lockstep import`: carry everything over, or only link what exists on both sides.

mod records;
mod watch;

use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::failure::{FAILED, Failure, say};
use super::output::{Output, counted};
use super::serve::not_started;
use super::{Context, the_shop};
use crate::app;
use crate::app::import::{MatchError, MatchFailure, MatchProgress, Matched, MatchedPair, NamedRecord};
use crate::domain::{Object, SharedEntropy, ShopName, SystemEntropy, Timestamp};

/// Carry over what the shop has already, or only link what exists on both sides.
///
/// `import orders`, `customers`, `products` or `all`: the running daemon lists the shop page by page and carries every record
/// over, behind everything that is live; it goes on by itself after any stop. Orders from before `start_at` are let in, because
/// somebody asks for them. The command shows how far it is, and says where no daemon runs any more: the import goes on with the
/// next one. Ctrl-C ends the watching, not the import. The exit code is 1 where records need a person, or an import was stopped
/// before its end.
///
/// `import --match-only` goes through both sides page by page and links customers and products that are the same by the
/// matching keys of the mappings, of both directions: one of each side, each key exact. Nothing is written on Shopify or in the
/// ERP. What is linked stays linked, so it can be broken off and done again. The exit code is 1 where a person has to tell
/// records apart, or somebody else worked on some.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(
    after_help = "For example: lockstep import orders --since 2025-01-01\n             lockstep import --match-only --dry-run",
    group(clap::ArgGroup::new("turn").args(["status", "stop", "resume"]))
)]
pub(super) struct Arguments {
    /// What to carry over.
    #[arg(value_enum, conflicts_with = "match_only")]
    what: Option<records::What>,
    /// Only what was made on this day (UTC) or later, e.g. 2025-01-01, or from this time on.
    #[arg(long, value_name = "TIME", value_parser = records::moment, requires = "what", conflicts_with = "turn")]
    since: Option<Timestamp>,
    /// Only what was made before this day or time.
    #[arg(long, value_name = "TIME", value_parser = records::moment, requires = "what", conflicts_with = "turn")]
    until: Option<Timestamp>,
    /// Do not wait for its end.
    #[arg(long, requires = "what", conflicts_with = "turn")]
    no_wait: bool,
    /// Show the last imports.
    #[arg(long, conflicts_with = "match_only")]
    status: bool,
    /// Stop the imports that run: of the shop, or of one object.
    #[arg(long, conflicts_with = "match_only")]
    stop: bool,
    /// Let stopped imports go on where they stood.
    #[arg(long, conflicts_with = "match_only")]
    resume: bool,
    /// Only link; carry nothing over.
    #[arg(long)]
    match_only: bool,
    /// With `--match-only`: only these; both by default.
    #[arg(long, value_enum, requires = "match_only")]
    object: Option<MatchObject>,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Only show what would be linked.
    #[arg(long, requires = "match_only")]
    dry_run: bool,
    /// Show at most this many records of each kind; JSON has them all.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MatchObject {
    #[value(alias = "customer")]
    Customers,
    /// Products with their variants.
    #[value(alias = "product")]
    Products,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match arguments {
        Arguments { status: true, .. } => return records::status(context, arguments).await,
        Arguments { stop: true, .. } => return records::turn(context, arguments, false).await,
        Arguments { resume: true, .. } => return records::turn(context, arguments, true).await,
        Arguments { what: Some(what), .. } => return records::begin(context, arguments, *what).await,
        Arguments { match_only: true, .. } => {}
        Arguments { .. } => {
            return Err(Failure::usage("say what to import").help(
                "`lockstep import all` carries everything over, `lockstep import orders --since 2025-01-01` a part; \
                 `lockstep import --match-only` only links what exists on both sides",
            ));
        }
    }
    let config = context.load()?;
    let shop = the_shop(&config, arguments.shop.as_ref())?;
    let clock = app::clock::process_clock();
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let objects = match arguments.object {
        Some(MatchObject::Customers) => vec![Object::Customer],
        Some(MatchObject::Products) => vec![Object::Product],
        None => vec![Object::Customer, Object::Product],
    };
    let is_watched = std::io::stderr().is_terminal();
    let mut all = Vec::new();
    for object in objects {
        let progress = move |progress| {
            if is_watched {
                say(&told(object, progress));
            }
        };
        let matched = app::import::match_records(
            &config,
            shop,
            object,
            arguments.dry_run,
            (&clock, &entropy),
            &progress,
        )
        .await
        .map_err(failed)?;
        if !context.output.json {
            show(context.output, &matched, arguments.limit);
        }
        all.push(matched);
    }
    if context.output.json {
        context.output.document(&all)?;
    }
    let needs_a_person = |matched: &Matched| !matched.ambiguous.is_empty() || !matched.busy.is_empty();
    if all.iter().any(needs_a_person) {
        Err(Failure::Told(FAILED))
    } else {
        Ok(())
    }
}

fn told(object: Object, progress: MatchProgress) -> String {
    let records = |count| counted(count, object.as_str());
    match progress {
        MatchProgress::Shopify(count) => format!("read {} of Shopify", records(count)),
        MatchProgress::Erp(count) => format!("read {} of the ERP", records(count)),
        MatchProgress::Linked(count) => format!("linked {}", records(count)),
    }
}

fn failed(failure: MatchFailure) -> Failure {
    match failure {
        MatchFailure::Wire(error) => not_started(error),
        MatchFailure::Store(error) => error.into(),
        MatchFailure::Match(error) => {
            let message = error.to_string();
            match error {
                MatchError::Failed { fix, .. } => {
                    Failure::new(message).help(format!("{fix} What is linked stays; then do it again."))
                }
                MatchError::Elsewhere(_) => Failure::new(message)
                    .help("wait until it has ended; after a crash that takes five minutes"),
                MatchError::NoKeys(object) => Failure::new(message)
                    .help(format!("add [[match]] to {object}.in.toml or {object}.out.toml")),
                MatchError::UnknownShop(_) | MatchError::Unsupported => Failure::new(message),
            }
        }
    }
}

fn show(output: Output, matched: &Matched, limit: usize) {
    let object = matched.object;
    output.line(format!(
        "{object}s of {}: {} on Shopify, {} in the ERP",
        matched.shop, matched.on_shopify, matched.in_erp
    ));
    let linked = if matched.dry_run {
        "would be linked"
    } else {
        "linked"
    };
    let counts = [
        ("linked already", matched.linked_before),
        (linked, matched.linked.len() as u64),
        ("ambiguous", matched.ambiguous.len() as u64),
        ("in other hands, not linked", matched.busy.len() as u64),
        ("only on Shopify", matched.unmatched_on_shopify.len() as u64),
        ("only in the ERP", matched.unmatched_in_erp.len() as u64),
        (
            "only in the ERP, left alone by the mapping",
            matched.left_alone_in_erp,
        ),
    ];
    for (name, count) in counts {
        output.line(format!("  {name:<44} {count}"));
    }
    pairs(output, linked, &matched.linked, limit);
    if !matched.ambiguous.is_empty() {
        output.line("\nambiguous: make their keys differ or merge them, then do it again");
        output.table(
            ["ON SHOPIFY", "IN THE ERP", "WHY"],
            matched
                .ambiguous
                .iter()
                .take(limit)
                .map(|doubt| [list(&doubt.shopify), list(&doubt.erp), doubt.reason.clone()]),
        );
        more(output, matched.ambiguous.len(), limit);
    }
    pairs(
        output,
        "in other hands, not linked: do it again",
        &matched.busy,
        limit,
    );
    alone(output, "only on Shopify", &matched.unmatched_on_shopify, limit);
    alone(output, "only in the ERP", &matched.unmatched_in_erp, limit);
    if matched.withheld > 0 {
        output.line(format!(
            "\nnote: Shopify keeps from the app what {} would be recognised by: give it access to protected customer data",
            counted(matched.withheld, object.as_str())
        ));
    }
    for reason in &matched.unreadable {
        output.line(format!("note: the keys of {reason}"));
    }
    output.line(if matched.dry_run {
        "\nnothing was linked or written\n"
    } else {
        "\nnothing was written on Shopify or in the ERP\n"
    });
}

fn pairs(output: Output, title: &str, pairs: &[MatchedPair], limit: usize) {
    if pairs.is_empty() {
        return;
    }
    output.line(format!("\n{title}"));
    output.table(
        ["ON SHOPIFY", "IN THE ERP", "VARIANTS"],
        pairs.iter().take(limit).map(|pair| {
            let variants = match pair.variants.len() {
                0 => String::new(),
                count => count.to_string(),
            };
            [text(&pair.shopify), text(&pair.erp), variants]
        }),
    );
    more(output, pairs.len(), limit);
}

fn alone(output: Output, title: &str, records: &[NamedRecord], limit: usize) {
    if records.is_empty() {
        return;
    }
    output.line(format!("\n{title}"));
    output.table(
        ["ID", "NAME"],
        records
            .iter()
            .take(limit)
            .map(|record| [record.id.to_string(), record.name.clone()]),
    );
    more(output, records.len(), limit);
}

fn more(output: Output, count: usize, limit: usize) {
    if count > limit {
        output.line(format!("and {} more: add --limit {count}", count - limit));
    }
}

/// Candidates that one cell shows.
const SHOWN: usize = 10;

fn list(records: &[NamedRecord]) -> String {
    let mut shown: Vec<String> = records.iter().take(SHOWN).map(text).collect();
    if records.len() > SHOWN {
        shown.push(format!("and {} more", records.len() - SHOWN));
    }
    shown.join(", ")
}

fn text(record: &NamedRecord) -> String {
    format!("{} {}", record.id, record.name)
}
