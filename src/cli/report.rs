//! `lockstep report`: what went well, what failed and why, what people did, what was slow, what is open.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::{Context, opened, the_shop};
use crate::app::report::report;
use crate::domain::ShopName;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Report on the last week: failures by cause, corrections by hand, slow jobs, what is open, and the numbers.
///
/// Markdown, or JSON with `--json`. Changes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The last seven days (this is the default).
    #[arg(long, conflicts_with = "days")]
    week: bool,
    /// The last so many days.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=90))]
    days: Option<u32>,
    /// Only this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    if let Some(shop) = &arguments.shop {
        the_shop(&config, Some(shop))?;
    }
    let (store, clock) = opened(&config).await?;
    let length = DAY * arguments.days.unwrap_or(7);
    let report = report(&store, arguments.shop.as_ref(), length, clock.now()).await;
    store.close().await;
    let report = report?;
    if context.output.json {
        return context.output.document(&report);
    }
    context.output.line(report.markdown().trim_end());
    Ok(())
}
