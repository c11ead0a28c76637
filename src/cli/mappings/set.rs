//! `lockstep mappings set`: one entry of a shop's tables.

use clap::Args;

use super::super::failure::{Failure, report};
use super::super::{Context, actor, opened, the_shop};
use crate::app::review::{Reviewer, TableEditError};
use crate::domain::ShopName;

/// Put one entry into a shop's tables, or take it away.
///
/// The shop's own file (tables.SHOP.toml in the mappings folder) is changed, after all mappings were checked with it; a running
/// daemon takes it up by itself. The audit log keeps what stood there, so that it can be put back.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The table, e.g. tax or journal.
    table: String,
    /// The entry: what the shop calls it.
    key: String,
    /// What the ERP calls it, or the number of its record.
    #[arg(required_unless_present = "remove", conflicts_with = "remove")]
    value: Option<String>,
    /// Take the entry away.
    #[arg(long)]
    remove: bool,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = &the_shop(&config, arguments.shop.as_ref())?.name;
    let (store, clock) = opened(&config).await?;
    let reviewer = Reviewer::new(store.clone(), clock, actor());
    let entry = (arguments.table.as_str(), arguments.key.as_str());
    let edited = reviewer
        .set_table_entry(
            config.mappings.dir.as_deref(),
            shop,
            entry,
            arguments.value.as_deref(),
            arguments.reason.as_deref(),
        )
        .await;
    store.close().await;
    let edit = edited.map_err(failed)?;
    let output = context.output;
    if output.json {
        return output.document(&edit);
    }
    let (table, key) = entry;
    output.line(match (&edit.before, &edit.after) {
        (before, after) if before == after => format!("{table}: `{key}` stands like that already"),
        (Some(before), Some(after)) => format!("{table}: `{key}` is {after} (it was {before})"),
        (None, Some(after)) => format!("{table}: `{key}` is {after}"),
        (before, None) => format!(
            "{table}: `{key}` is taken away (it was {})",
            before.as_deref().unwrap_or("nothing")
        ),
    });
    output.line(format!("in {}", edit.file.display()));
    Ok(())
}

fn failed(error: TableEditError) -> Failure {
    match error {
        TableEditError::Store(error) => error.into(),
        TableEditError::Mistake(errors) => {
            for error in &errors.errors {
                report(error);
            }
            Failure::usage("the mappings could not be used with this entry; nothing was written")
        }
        TableEditError::NoFolder | TableEditError::Broken | TableEditError::Unsound { .. } => {
            Failure::usage(error.to_string())
        }
        TableEditError::File(source) => Failure::because("the tables cannot be changed", source),
    }
}
