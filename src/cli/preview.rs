//! `lockstep preview`: what would be written for one record.

use std::sync::Arc;

use clap::Args;

use super::failure::{FAILED, Failure};
use super::output::Output;
use super::serve::not_started;
use super::sync::{RecordArguments, SyncObject, erp_number, found};
use super::{Context, the_shop};
use crate::app;
use crate::app::preview::PreviewFailure;
use crate::app::preview::{
    ErpAmounts, ExplainedRow, Explanation, Preview, PreviewError, PreviewedWrite, Step,
};
use crate::domain::{ErpId, SharedEntropy, SystemEntropy};

/// Show what would be written for one record, field by field, and what would follow. Writes nothing.
///
/// To the ERP, or with `--out` to the shop: then the id is the ERP's number. What follows an order are its parcels, invoices,
/// credit notes and payments. The exit code is 1 where a person would be needed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    record: RecordArguments,
    /// From the ERP to the shop.
    #[arg(long)]
    out: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match arguments.record.object {
        SyncObject::Inventory if !arguments.out => {
            let why = "stock goes from the ERP to the shop: nothing of it is written to the ERP";
            return Err(Failure::usage(why).help("add --out"));
        }
        SyncObject::Order if arguments.out => {
            return Err(Failure::usage("orders go from the shop to the ERP").help("take --out away"));
        }
        _ => {}
    }
    let config = context.load()?;
    let shop = the_shop(&config, arguments.record.shop.as_ref())?;
    let object = arguments.record.object.into();
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let clock = app::clock::process_clock();
    let preview = if arguments.out {
        let id = ErpId(i64::try_from(erp_number(&arguments.record.id)?).unwrap_or(i64::MAX));
        app::preview::preview_out(&config, shop, object, id, &clock, &entropy).await
    } else {
        let id = found(shop, &arguments.record).await?;
        app::preview::preview(&config, shop, object, id, &clock, &entropy).await
    };
    let preview = preview.map_err(failed)?;
    if context.output.json {
        context.output.document(&preview)?;
    } else {
        show(context.output, &preview);
    }
    match preview.problem {
        Some(_) => Err(Failure::Told(FAILED)),
        None => Ok(()),
    }
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
    if !preview.steps.is_empty() {
        output.line("\nwhat would follow");
        output.table(FOLLOWING, preview.steps.iter().map(following));
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
    output.table(EXPLAINED, explained(explanation));
}

const FOLLOWING: [&str; 4] = ["STEP", "WHAT", "AMOUNT", "A PERSON"];

fn following(step: &Step) -> [String; 4] {
    let amount = step.amount.map(|amount| format!("{amount} {}", step.currency));
    let problem = step.problem.as_ref().map(|problem| problem.code.to_string());
    [
        step.act.to_string(),
        step.what.clone(),
        amount.unwrap_or_default(),
        problem.unwrap_or_default(),
    ]
}

const EXPLAINED: [&str; 7] = ["LINE", "HOW", "TAXES", "NET", "TAX", "GROSS", "SIDE"];

fn explained(explanation: &Explanation) -> Vec<[String; 7]> {
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
        let mut row = <[String; 7]>::default();
        row[0] = format!("tax of {}", rate.name);
        row[1] = format!("{} on Shopify, {} in the ERP", rate.shop, rate.erp);
        rows.push(row);
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
    rows
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preview::{ExplainedLine, ExplainedTotals};

    fn number(text: &str) -> rust_decimal::Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn an_order_is_explained_line_by_line_with_both_totals() {
        let erp = |id, gross: &str, tax: &str| ErpAmounts {
            id: crate::domain::ErpId(id),
            name: "Rounding".into(),
            quantity: number("1"),
            unit_price: number(gross),
            net: number(gross) - number(tax),
            tax: number(tax),
            gross: number(gross),
        };
        let row = |key: &str, quantity: &str, price: &str, erp| ExplainedRow {
            row: key.into(),
            quantity: number(quantity),
            unit_price: number(price),
            amount: number(quantity) * number(price),
            erp,
        };
        let totals = |net: &str, tax: &str, total: &str| ExplainedTotals {
            net: number(net),
            tax: number(tax),
            total: number(total),
        };
        let mut explanation = Explanation {
            currency: "EUR".parse().unwrap(),
            taxes_included: true,
            lines: vec![ExplainedLine {
                line: "line_1".into(),
                kind: "product".into(),
                title: "Mug".into(),
                sold: number("3"),
                quantity: number("3"),
                unit_price: number("10.00"),
                discount: number("1.00"),
                amount: number("29.00"),
                taxes: vec!["19 % VAT: 4.63".into()],
                net: number("24.37"),
                tax: number("4.63"),
                gross: number("29.00"),
                how: "3 x 10.00 less 1.00 of discounts = 29.00; the discount is a row of its own".into(),
                rows: vec![
                    row("line_1", "3", "10.00", Some(erp(1, "30.00", "4.79"))),
                    row("line_1_discount", "1", "-1.00", None),
                ],
            }],
            further: vec![erp(9, "-0.01", "0.00")],
            discounts: Vec::new(),
            taxes: Vec::new(),
            shop: totals("24.37", "4.63", "29.00"),
            erp: Some(totals("24.38", "4.63", "29.01")),
        };
        insta::assert_snapshot!(super::super::output::render(
            EXPLAINED,
            explained(&explanation),
            false
        ));
        explanation.erp = None;
        assert!(
            explained(&explanation)
                .iter()
                .all(|row| row[0] != "total" || row[6] == "Shopify")
        );
    }
}
