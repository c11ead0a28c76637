//! `lockstep resync`: put right what a wrong mapping wrote.

use std::sync::Arc;

use clap::Args;

use super::Context;
use super::failure::{FAILED, Failure};
use super::output::{Output, counted};
use super::serve::not_started;
use crate::app;
use crate::app::resync::{Becomes, Resync, ResyncError, Resynced, ResyncedField};
use crate::domain::{Direction, Object, SharedEntropy, ShopName, SystemEntropy};

/// Put right what a revision of the mapping files wrote wrongly, in the ERP and on the shop.
///
/// Once the mapping is mended: the records that jobs tell this revision wrote are planned again by the mappings in force. What differs
/// becomes jobs whose plans wait for a yes (`lockstep jobs approve`), or with `--write` jobs that write it. A field that a
/// person changed since it was written is left alone and named. Of orders only drafts are written again, and as a whole: one that is
/// confirmed, or that somebody changed, is named. Stock follows the ERP's numbers anyway. The exit code is 1 where a person has
/// to look.
#[derive(Debug, Args)]
#[command(after_help = "For example: lockstep resync --mapping 3f9a2c41 --dry-run")]
pub(super) struct Arguments {
    /// The revision that wrote wrongly, or its first letters: `lockstep mappings list` tells the one in force, and each job's story
    /// by which it wrote.
    #[arg(long, value_name = "REVISION")]
    mapping: String,
    /// Only of this object: order, customer or product.
    #[arg(long, value_name = "OBJECT")]
    object: Option<Object>,
    /// Only of this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Only show what would be put right.
    #[arg(long)]
    dry_run: bool,
    /// Let the plans wait for a person; so it is by default.
    #[arg(long, conflicts_with = "dry_run")]
    review: bool,
    /// Write without asking, behind everything else that waits.
    #[arg(long, conflicts_with_all = ["dry_run", "review"])]
    write: bool,
}

/// Letters that a revision is named by at least.
const LEAST: usize = 8;

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    if arguments.mapping.len() < LEAST {
        return Err(Failure::usage(format!(
            "write at least the first {LEAST} letters of the revision"
        )));
    }
    if matches!(arguments.object, Some(Object::Inventory | Object::Shop)) {
        return Err(
            Failure::usage("only orders, customers and products are written again")
                .help("write order, customer or product"),
        );
    }
    if let Some(shop) = &arguments.shop
        && !config.shops.contains_key(shop)
    {
        return Err(Failure::usage(format!("the configuration has no shop `{shop}`")));
    }
    let clock = app::clock::process_clock();
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let wanted = Resync {
        mapping: arguments.mapping.clone(),
        object: arguments.object,
        becomes: if arguments.dry_run {
            Becomes::Shown
        } else if arguments.write {
            Becomes::Written
        } else {
            Becomes::Reviewed
        },
        actor: super::actor(),
    };
    let mut all = Vec::new();
    for shop in config.shops.values() {
        if arguments.shop.as_ref().is_some_and(|named| *named != shop.name) {
            continue;
        }
        let resynced = app::resync::resync(&config, shop, &wanted, (&clock, &entropy)).await;
        let resynced = resynced.map_err(failed)?;
        all.push(resynced);
    }
    if context.output.json {
        context.output.document(&all)?;
    } else {
        for resynced in &all {
            show(context.output, resynced, wanted.becomes);
        }
    }
    let needs_a_person = |resynced: &Resynced| {
        !resynced.without_job.is_empty()
            || resynced
                .records
                .iter()
                .any(app::resync::ResyncedRecord::needs_a_person)
    };
    if all.iter().any(needs_a_person) {
        return Err(Failure::Told(FAILED));
    }
    Ok(())
}

fn failed(failure: ResyncError) -> Failure {
    match failure {
        ResyncError::Wire(error) => not_started(error),
        ResyncError::Store(error) => error.into(),
        ResyncError::Ambiguous(_, ref revisions) => {
            let help = format!("write more of it: {}", revisions.join(", "));
            Failure::usage(failure.to_string()).help(help)
        }
    }
}

fn show(output: Output, resynced: &Resynced, becomes: Becomes) {
    let Some(mapping) = &resynced.mapping else {
        output.line(format!("{}: no job tells of this revision", resynced.shop));
        return;
    };
    output.line(format!(
        "{}: {} written by mappings {mapping}, planned by {}",
        resynced.shop,
        counted(resynced.records.len() as u64, "record"),
        resynced.by
    ));
    let value = |field: &ResyncedField| field.now.clone().unwrap_or_else(|| "-".to_owned());
    output.table(
        ["RECORD", "BECOMES", "JOB", "FIELD", "NOW", "THEN"],
        resynced.records.iter().flat_map(|record| {
            let name = match record.direction {
                Direction::In => format!("{} {}", record.object, record.id),
                Direction::Out => format!("{} {} to the shop", record.object, record.id),
            };
            let job = record.job.map_or_else(|| "-".to_owned(), |job| job.to_string());
            let mut rows: Vec<[String; 6]> = Vec::new();
            for field in &record.fields {
                rows.push([
                    name.clone(),
                    record.becomes.to_owned(),
                    job.clone(),
                    field.field.clone(),
                    value(field),
                    field.then.clone(),
                ]);
            }
            for field in &record.left_alone {
                let becomes = if record.has_older_writes {
                    let most = app::resync::STORIES;
                    format!(
                        "left alone: not as this revision wrote it, as far as its last {most} writes tell"
                    )
                } else {
                    "left alone: not as this revision wrote it".to_owned()
                };
                rows.push([
                    name.clone(),
                    becomes,
                    "-".to_owned(),
                    field.field.clone(),
                    value(field),
                    field.then.clone(),
                ]);
            }
            if rows.is_empty() || record.becomes == "needs_a_person" {
                let why = record.why.as_ref().map(|why| format!(": {why}"));
                let [field, now, then] = [const { String::new() }; 3];
                let becomes = format!("{}{}", record.becomes.replace('_', " "), why.unwrap_or_default());
                rows.push([name, becomes, job, field, now, then]);
            }
            rows
        }),
    );
    if !resynced.without_job.is_empty() {
        output.line(format!(
            "\nmade for orders, with no job of their own; look at them in the ERP: {}",
            resynced.without_job.join(", ")
        ));
    }
    if resynced.stock_levels > 0 {
        output.line(format!(
            "\n{} that it wrote: left alone, the next job of each sets it to what the ERP counts then",
            counted(resynced.stock_levels, "stock level")
        ));
    }
    output.line(match becomes {
        Becomes::Shown => "\nnothing was written\n",
        Becomes::Reviewed => {
            "\nthe plans wait: `lockstep jobs list --state held`, then `lockstep jobs approve`\n"
        }
        Becomes::Written => "\nthe jobs are done behind everything else that waits\n",
    });
}
