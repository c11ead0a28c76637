//! `lockstep rules`: what a shop's rules on scope and review would make of its records.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::Context;
use super::failure::Failure;
use super::output::{Output, absolute};
use crate::app::review::{RuleTrial, Trial, try_rules};
use crate::config::Shop;
use crate::domain::{Object, SharedClock, SharedEntropy, ShopName, SystemEntropy};

/// Look what the rules on scope and review would do.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try the rules of the configuration on the records that changed of late. Writes nothing.
    ///
    /// Reads them fresh from Shopify, each with a call of its own, at the shop's pace. Rules about records of the ERP (`out`) are not
    /// tried.
    Try {
        /// Only of this shop.
        #[arg(long, value_name = "NAME")]
        shop: Option<ShopName>,
        /// Only about this object: order, customer or product. Without it, those that have rules.
        #[arg(long, value_name = "OBJECT")]
        object: Option<Object>,
        /// Records that changed within so many days.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        /// At most so many records of each object.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Failure> {
    let Command::Try {
        shop,
        object,
        days,
        limit,
    } = arguments.command;
    let config = context.load()?;
    let clock: SharedClock = crate::app::clock::process_clock();
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    if matches!(object, Some(Object::Inventory | Object::Shop)) {
        return Err(
            Failure::usage("there are no rules about this object").help("write order, customer or product")
        );
    }
    if let Some(shop) = &shop
        && !config.shops.contains_key(shop)
    {
        return Err(Failure::usage(format!("the configuration has no shop `{shop}`")));
    }
    let mut tried = Vec::new();
    for one in config.shops.values() {
        if shop.as_ref().is_some_and(|shop| *shop != one.name) {
            continue;
        }
        let trial = Trial {
            objects: object.map_or_else(|| with_rules(one), |object| vec![object]),
            days,
            limit: limit as usize,
        };
        let found = try_rules(&config, one, &trial, &clock, &entropy).await;
        tried.extend(found.map_err(|error| Failure::because("the rules cannot be tried", error))?);
    }
    if context.output.json {
        return context.output.document(&tried);
    }
    if tried.is_empty() {
        context
            .output
            .line("no shop has rules on scope or review of what comes in");
    }
    for one in &tried {
        show(context.output, one);
    }
    Ok(())
}

/// The objects about which a shop has rules.
fn with_rules(shop: &Shop) -> Vec<Object> {
    [Object::Order, Object::Customer, Object::Product]
        .into_iter()
        .filter(|object| shop.rules.concern(*object, crate::domain::Direction::In))
        .collect()
}

fn show(output: Output, tried: &RuleTrial) {
    output.line(format!(
        "{} {}: {} read that changed since {}{}",
        tried.shop,
        tried.object,
        tried.looked_at,
        absolute(tried.since),
        if tried.is_complete {
            ""
        } else {
            " (there are more: raise --limit)"
        }
    ));
    output.line(format!(
        "  carried over {}, out of scope {}, waiting for a person {}, not to be worked out {}",
        tried.carried, tried.out_of_scope, tried.waiting, tried.failing
    ));
    if !tried.records.is_empty() {
        output.table(
            ["ID", "NAME", "RULING", "WHY"],
            tried.records.iter().map(|one| {
                let ruling = one.ruling.replace('_', " ");
                [one.id.clone(), one.name.clone(), ruling, one.why.join("; ")]
            }),
        );
    }
}
