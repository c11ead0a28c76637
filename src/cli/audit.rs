//! `lockstep audit`: who did what, when and why.

use clap::Args;

use super::failure::Failure;
use super::output::time;
use super::{Context, opened};
use crate::domain::ShopName;
use crate::store::AuditFilter;

/// Show what people did to jobs, problems and shops, newest first.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only about this job.
    #[arg(long, value_name = "JOB")]
    job: Option<i64>,
    /// Only of this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Only this action, e.g. retry, hold, resolve, pause.
    #[arg(long)]
    action: Option<String>,
    /// Only by this person.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only older lines than this one: the next page.
    #[arg(long, value_name = "LINE")]
    before: Option<i64>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, clock) = opened(&config).await?;
    let filter = AuditFilter {
        shop: arguments.shop.clone(),
        subject: arguments.job.map(|job| format!("job:{job}")),
        action: arguments.action.clone(),
        actor: arguments.actor.clone(),
        since: None,
        before: arguments.before,
        limit: arguments.limit,
    };
    let rows = store.audit(filter).await;
    store.close().await;
    let (rows, output, now) = (rows?, context.output, clock.now());
    if output.json {
        return output.document(&rows);
    }
    if rows.is_empty() {
        output.line("nobody did anything");
        return Ok(());
    }
    output.table(
        ["LINE", "WHEN", "WHO", "BY", "WHAT", "TO", "SHOP", "WHY"],
        rows.iter().map(|row| {
            [
                row.id.to_string(),
                time(now, row.at),
                row.actor.clone(),
                row.via.to_string(),
                row.action.clone(),
                row.subject.clone(),
                row.shop
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), ToString::to_string),
                row.reason.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        }),
    );
    if rows.len() == arguments.limit as usize
        && let Some(last) = rows.last()
    {
        output.line(format!("older ones: add --before {}", last.id));
    }
    Ok(())
}
