//! `lockstep preview`: what would be written for one record.

use std::sync::Arc;

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use super::serve::not_started;
use super::sync::{RecordArguments, found};
use super::{Context, the_shop};
use crate::app;
use crate::app::preview::PreviewFailure;
use crate::app::preview::{Preview, PreviewError, PreviewedWrite};
use crate::domain::{SharedEntropy, SystemEntropy};

/// Show what would be written to the ERP for one record, field by field. Writes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    record: RecordArguments,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, arguments.record.shop.as_ref())?;
    let id = found(shop, &arguments.record).await?;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let clock = app::clock::process_clock();
    let preview = app::preview::preview(
        &config,
        shop,
        arguments.record.object.into(),
        id,
        &clock,
        &entropy,
    )
    .await
    .map_err(failed)?;
    if context.output.json {
        return context.output.document(&preview);
    }
    show(context.output, &preview);
    Ok(())
}

fn failed(failure: PreviewFailure) -> Failure {
    match failure {
        PreviewFailure::Wire(error) => not_started(error),
        PreviewFailure::Store(error) => error.into(),
        PreviewFailure::Preview(error) => {
            let message = error.to_string();
            match error {
                PreviewError::Failed { fix, .. } => Failure::new(message).help(fix),
                _ => Failure::new(message),
            }
        }
    }
}

fn show(output: Output, preview: &Preview) {
    let name = preview
        .record_name
        .as_ref()
        .map_or_else(String::new, |name| format!(" {name}"));
    output.line(format!(
        "{} {}{name} of {}: {}",
        preview.object, preview.source_id, preview.shop, preview.verdict
    ));
    for write in &preview.writes {
        output.line(format!("\n{} {} {}", write.action, write.model, write.record));
        show_fields(output, write);
    }
    if let Some(problem) = &preview.problem {
        output.line("");
        super::jobs::show_problem(output, problem);
    }
    output.line("\nnothing was written");
}

fn show_fields(output: Output, write: &PreviewedWrite) {
    if write.fields.is_empty() {
        return;
    }
    output.table(
        ["", "FIELD", "NOW", "THEN", "FROM"],
        write.fields.iter().map(|field| {
            // `+` is new, `~` changes, `=` stays.
            let mark = match &field.now {
                None => "+",
                Some(now) if *now == field.then => "=",
                Some(_) => "~",
            };
            [
                mark.to_owned(),
                field.field.clone(),
                field.now.clone().unwrap_or_default(),
                field.then.clone(),
                field.source.clone(),
            ]
        }),
    );
}
