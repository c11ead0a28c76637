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
use crate::app::preview::{ErpAmounts, ExplainedRow, Explanation, Preview, PreviewError, PreviewedWrite};
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
    if let Some(explanation) = &preview.explanation {
        explain(output, explanation);
    }
    if let Some(problem) = &preview.problem {
        output.line("");
        super::jobs::show_problem(output, problem);
    }
    output.line("\nnothing was written");
}

/// How each number came to be: the shop's lines, the rows that stand for them, and the totals of both sides.
fn explain(output: Output, explanation: &Explanation) {
    let prices = if explanation.taxes_included {
        "prices with tax"
    } else {
        "prices without tax"
    };
    output.line(format!(
        "\nhow the amounts come to be ({}, {prices})",
        explanation.currency
    ));
    let mut rows: Vec<[String; 7]> = Vec::new();
    for line in &explanation.lines {
        rows.push([
            line.title.clone(),
            line.how.clone(),
            line.taxes.join(", "),
            line.net.to_string(),
            line.tax.to_string(),
            line.gross.to_string(),
            "Shopify".to_owned(),
        ]);
        rows.extend(line.rows.iter().map(explained_row));
    }
    rows.extend(explanation.further.iter().map(|row| {
        let how = format!("{} x {}", row.quantity.normalize(), row.unit_price);
        erp_row(row, format!("  {}", row.name), how)
    }));
    for rate in &explanation.taxes {
        let name = format!("tax of {}", rate.name);
        let sides = format!("{} on Shopify, {} in the ERP", rate.shop, rate.erp);
        rows.push([
            name,
            sides,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    let sides = [
        ("Shopify", Some(&explanation.shop)),
        ("ERP", explanation.erp.as_ref()),
    ];
    for (side, totals) in sides {
        if let Some(totals) = totals {
            rows.push([
                "total".to_owned(),
                String::new(),
                String::new(),
                totals.net.to_string(),
                totals.tax.to_string(),
                totals.total.to_string(),
                side.to_owned(),
            ]);
        }
    }
    output.table(["LINE", "HOW", "TAXES", "NET", "TAX", "GROSS", "SIDE"], rows);
}

fn explained_row(row: &ExplainedRow) -> [String; 7] {
    let name = format!("  {}", row.row);
    let how = format!(
        "{} x {} = {}",
        row.quantity.normalize(),
        row.unit_price,
        row.amount
    );
    match &row.erp {
        Some(erp) => erp_row(erp, name, how),
        None => [
            name,
            how,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            "to book".to_owned(),
        ],
    }
}

fn erp_row(row: &ErpAmounts, name: String, how: String) -> [String; 7] {
    [
        name,
        how,
        String::new(),
        row.net.to_string(),
        row.tax.to_string(),
        row.gross.to_string(),
        "ERP".to_owned(),
    ]
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
