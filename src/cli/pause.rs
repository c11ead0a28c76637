//! `lockstep pause` and `lockstep resume`: stop all writes of a shop at once, and let them go on.

use clap::Args;

use super::failure::Failure;
use super::{Context, actor, opened, the_shop};
use crate::app;
use crate::app::review::Reviewer;
use crate::domain::ShopName;
use crate::store::Acted;

/// Stop all work of a shop at once; deliveries are taken in as before.
///
/// What runs at this moment comes to its end, nothing else begins. Only notices about the shop itself (uninstalled, privacy
/// requests) are carried out. Jobs keep their states and coalesce meanwhile.
#[derive(Debug, Args)]
pub(super) struct PauseArguments {
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: String,
}

/// Let the work of a paused shop go on.
#[derive(Debug, Args)]
pub(super) struct ResumeArguments {
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn pause(context: &Context, arguments: &PauseArguments) -> Result<(), Failure> {
    change(context, arguments.shop.as_ref(), Some(&arguments.reason), true).await
}

pub(super) async fn resume(context: &Context, arguments: &ResumeArguments) -> Result<(), Failure> {
    change(
        context,
        arguments.shop.as_ref(),
        arguments.reason.as_deref(),
        false,
    )
    .await
}

async fn change(
    context: &Context,
    named: Option<&ShopName>,
    reason: Option<&str>,
    pauses: bool,
) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, clock) = opened(&config).await?;
    // A shop that was taken out of the configuration while it was paused can be let go on all the same.
    let departed = match named {
        Some(name) if !pauses => store
            .pauses()
            .await?
            .into_iter()
            .find(|pause| pause.shop == *name),
        _ => None,
    };
    let shop = match departed {
        Some(pause) => pause.shop,
        None => match the_shop(&config, named) {
            Ok(shop) => shop.name.clone(),
            Err(failure) => {
                store.close().await;
                return Err(failure);
            }
        },
    };
    let shop = &shop;
    let reviewer = Reviewer::new(store.clone(), clock, actor());
    let acted = if pauses {
        reviewer.pause(shop, reason.unwrap_or_default()).await
    } else {
        reviewer.resume(shop, reason).await
    };
    if acted.is_ok() {
        app::ring::ring(&config, &store).await;
    }
    store.close().await;
    let acted = acted?;
    if context.output.json {
        return context
            .output
            .document(&serde_json::json!({ "shop": shop, "paused": pauses, "result": acted }));
    }
    context.output.line(match (&acted, pauses) {
        (Acted::Already, true) => format!("{shop} is paused already"),
        (Acted::Already, false) => format!("{shop} is not paused"),
        (_, true) => format!("{shop} is paused: what runs now comes to its end, nothing else begins"),
        (_, false) => format!("{shop} goes on"),
    });
    Ok(())
}
