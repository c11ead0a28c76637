//! `lockstep why`: why an order is not in the ERP, or where it is.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::{Context, opened, the_shop};
use crate::app::connect;
use crate::app::review::{Outlook, Said, Why, WhyError, why};
use crate::config::Shop;
use crate::domain::{SharedClock, SharedEntropy, ShopName, SystemEntropy};
use crate::store::SharedStore;

/// Say why an order is not in the ERP, or where it is there.
///
/// What lockstep never saw is looked for on both systems. Changes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The order's name (`#1042`), Shopify's number or gid, the address of its page, or the ERP's number (S00042).
    order: String,
    /// The shop, where only one is to be asked.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Ask only lockstep's own store.
    #[arg(long)]
    offline: bool,
}

/// The answer of one shop.
#[derive(Serialize)]
struct Answer<'a> {
    shop: &'a ShopName,
    #[serde(flatten)]
    why: Why,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let shops: Vec<&Shop> = match &arguments.shop {
        Some(name) => vec![the_shop(&config, Some(name))?],
        None => config.shops.values().collect(),
    };
    let (store, clock) = opened(&config).await?;
    let answers = ask(&shops, arguments, &store, &clock).await;
    store.close().await;
    tell(context.output, answers?)
}

/// Every shop's answer; those that know the order, if one does.
async fn ask<'a>(
    shops: &[&'a Shop],
    arguments: &Arguments,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<Vec<Answer<'a>>, Failure> {
    let mut answers = Vec::new();
    for shop in shops {
        let why = why(store, clock, shop, &arguments.order, None)
            .await
            .map_err(failed)?;
        answers.push(Answer {
            shop: &shop.name,
            why,
        });
    }
    if !arguments.offline
        && answers
            .iter()
            .all(|answer| answer.why.outlook == Outlook::Unknown)
    {
        answers.clear();
        for shop in shops {
            let live = live(shop, clock)?;
            let why = why(store, clock, shop, &arguments.order, Some(&live))
                .await
                .map_err(failed)?;
            answers.push(Answer {
                shop: &shop.name,
                why,
            });
        }
    }
    if answers
        .iter()
        .any(|answer| answer.why.outlook != Outlook::Unknown)
    {
        answers.retain(|answer| answer.why.outlook != Outlook::Unknown);
    }
    Ok(answers)
}

fn live(shop: &Shop, clock: &SharedClock) -> Result<Said, Failure> {
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let unusable = |error| Failure::because(format!("[shops.{}] cannot be connected", shop.name), error);
    Ok(Said {
        shopify: connect::shopify(shop, clock, &entropy).map_err(unusable)?,
        erp: connect::erp(shop, clock).map_err(unusable)?,
    })
}

fn failed(error: WhyError) -> Failure {
    match error {
        WhyError::Store(error) => error.into(),
        WhyError::Shopify(source) => Failure::because("Shopify could not be asked about it", source),
        WhyError::Erp(source) => Failure::because("the ERP could not be asked about it", source),
    }
}

fn tell(output: Output, answers: Vec<Answer<'_>>) -> Result<(), Failure> {
    if output.json {
        return output.document(&answers);
    }
    for Answer { why, .. } in answers {
        output.line(&why.sentence);
        for (side, reference) in [
            ("on Shopify", &why.references.shopify),
            ("in the ERP", &why.references.erp),
        ] {
            if let Some(reference) = reference {
                let page = reference.url.clone().unwrap_or_default();
                output.line(format!("  {side:<11} {} {page}", reference.name));
            }
        }
        if let Some(job) = why.job {
            output.line(format!("  {:<11} lockstep jobs show {job}", "its job"));
        }
        if let Some(write) = &why.written {
            output.line(format!("  {:<11} mappings {}", "written by", write.mapping));
        }
        if let Some(next) = &why.next {
            output.line(format!("  {:<11} {next}", "next"));
        }
    }
    Ok(())
}
