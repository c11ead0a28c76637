//! `lockstep check`: is everything as it must be?

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::failure::{FAILED, Failure, UNREADABLE, UNUSABLE, report, say, tell_findings};
use super::output::{Output, counted};
use super::{Context, the_shop};
use crate::app::check::{Checked, check_live};
use crate::app::clock::process_clock;
use crate::config::{Config, ConfigError, FindingRow, Level};
use crate::domain::{CheckOutcome, ShopName, SystemEntropy};
use crate::mapping::{MappingErrors, Mappings, Todo};

/// Check the configuration and the mappings; with --live also both systems.
///
/// Without --live nothing is reached over the network. With it, every shop and ERP is asked whether its credentials, rights,
/// versions, fields and settings are what the configuration and the mappings need, and whether `public_url` leads here.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also reach Shopify, the ERP and the public address.
    #[arg(long)]
    live: bool,
    /// With --live: only this shop.
    #[arg(long, value_name = "NAME", requires = "live")]
    shop: Option<ShopName>,
}

/// Everything that was found, for programs.
#[derive(Default, Serialize)]
struct Report {
    ok: bool,
    config: Vec<FindingRow>,
    mappings: Vec<MappingRow>,
    /// Table entries that a person has yet to fill in.
    todo: Vec<Todo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Vec<Checked>>,
}

#[derive(Serialize)]
struct MappingRow {
    file: String,
    line: usize,
    message: String,
    help: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let output = context.output;
    let mut result = Report::default();
    let config = match Config::load(&context.config) {
        Ok(config) => config,
        Err(error) if output.json => {
            result.config = match &error {
                ConfigError::Invalid(findings) => findings.rows(),
                ConfigError::Read { path, source } => vec![FindingRow {
                    level: Level::Error,
                    file: path.display().to_string(),
                    line: 1,
                    column: 1,
                    message: format!("{error}: {source}"),
                    help: Some(UNREADABLE.to_owned()),
                }],
            };
            output.document(&result)?;
            return Err(Failure::Told(UNUSABLE));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(name) = &arguments.shop {
        the_shop(&config, Some(name))?;
    }
    result.config = config.warnings.rows();
    if !output.json {
        tell_findings(&config.warnings);
    }
    let mappings = match crate::app::mappings::load(config.mappings.dir.as_deref()) {
        Ok(mappings) => mappings,
        Err(errors) => {
            result.mappings = rows(&errors);
            if output.json {
                output.document(&result)?;
            } else {
                for error in &errors.errors {
                    report(error);
                }
            }
            return Err(Failure::Told(UNUSABLE));
        }
    };
    result.mappings = of_no_shop(&config, &mappings);
    if !result.mappings.is_empty() {
        if output.json {
            output.document(&result)?;
        }
        for row in result.mappings.iter().filter(|_| !output.json) {
            let help = row.help.clone().unwrap_or_default();
            Failure::usage(format!("{}: {}", row.file, row.message))
                .help(help)
                .tell();
        }
        return Err(Failure::Told(UNUSABLE));
    }
    if !output.json {
        output.line(format!(
            "{}: {}, {}: right{}",
            context.config.display(),
            counted(config.shops.len() as u64, "shop"),
            counted(mappings.all().len() as u64, "mapping"),
            match result.config.len() {
                0 => String::new(),
                warnings => format!(" ({})", counted(warnings as u64, "warning")),
            }
        ));
    }
    result.todo = mappings.todos().to_vec();
    if !output.json {
        tell_todos(output, &result.todo);
    }
    result.ok = true;
    if arguments.live {
        let live = live(&config, &mappings, arguments, output).await;
        result.ok = !live.iter().any(Checked::has_failed);
        result.live = Some(live);
    }
    let ok = result.ok;
    if output.json {
        output.document(&result)?;
    }
    if ok { Ok(()) } else { Err(Failure::Told(FAILED)) }
}

/// The table entries that are not filled in yet.
fn tell_todos(output: Output, todos: &[Todo]) {
    if todos.is_empty() {
        return;
    }
    output.line(format!(
        "\n{} still TODO; a record that meets one waits for a person:",
        counted_entries(todos.len())
    ));
    output.table(
        ["FILE", "LINE", "TABLE", "ENTRY"],
        todos.iter().map(|todo| {
            [
                todo.file.clone(),
                todo.line.to_string(),
                todo.table.clone(),
                todo.key.clone(),
            ]
        }),
    );
}

fn counted_entries(count: usize) -> String {
    match count {
        1 => "1 table entry is".to_owned(),
        count => format!("{count} table entries are"),
    }
}

/// Tables of a shop that the configuration does not have would silently do nothing.
fn of_no_shop(config: &Config, mappings: &Mappings) -> Vec<MappingRow> {
    let known = |shop: &str| config.shops.keys().any(|name| name.as_str() == shop);
    let strangers = mappings.shops().filter(|shop| !known(shop));
    strangers
        .map(|shop| MappingRow {
            file: format!("tables.{shop}.toml"),
            line: 0,
            message: format!("the configuration has no shop `{shop}`, so nobody follows these tables"),
            help: Some(format!(
                "name the file after a shop: {}",
                config
                    .shops
                    .keys()
                    .map(ShopName::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        })
        .collect()
}

async fn live(config: &Config, mappings: &Mappings, arguments: &Arguments, output: Output) -> Vec<Checked> {
    let entropy: crate::domain::SharedEntropy = Arc::new(SystemEntropy);
    let checked = check_live(
        config,
        mappings,
        arguments.shop.as_ref(),
        &process_clock(),
        &entropy,
    )
    .await;
    if output.json {
        return checked;
    }
    for part in &checked {
        output.line(match &part.shop {
            Some(shop) => format!("\n[shops.{shop}] {}", part.system),
            None => "\nthis installation".to_owned(),
        });
        output.table(
            ["CHECK", "RESULT", "NOTE"],
            part.rows
                .iter()
                .map(|row| [row.what.clone(), word(row.outcome).to_owned(), row.note.clone()]),
        );
    }
    let count = |outcome| {
        let rows = checked.iter().flat_map(|part| &part.rows);
        rows.filter(|row| row.outcome == outcome).count() as u64
    };
    let sentence = summary(
        count(CheckOutcome::Failed),
        count(CheckOutcome::Warning),
        count(CheckOutcome::Skipped),
    );
    if count(CheckOutcome::Failed) > 0 {
        say(&format!("\n{sentence}"));
    } else {
        output.line(format!("\n{sentence}"));
    }
    checked
}

/// The last line: nothing that was not looked at, and nothing that should be looked at, passes for right.
fn summary(failed: u64, warnings: u64, skipped: u64) -> String {
    if (failed, warnings, skipped) == (0, 0, 0) {
        return "all checks passed".to_owned();
    }
    let mut parts = vec![match failed {
        0 => "no check failed".to_owned(),
        _ => format!("{} failed", counted(failed, "check")),
    }];
    if warnings > 0 {
        parts.push(counted(warnings, "warning"));
    }
    if skipped > 0 {
        parts.push(format!("{skipped} not looked at"));
    }
    parts.join(", ")
}

const fn word(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Ok => "ok",
        CheckOutcome::Warning => "warning",
        CheckOutcome::Failed => "FAILED",
        CheckOutcome::Skipped => "skipped",
    }
}

fn rows(errors: &MappingErrors) -> Vec<MappingRow> {
    errors
        .errors
        .iter()
        .map(|error| MappingRow {
            file: error.file.clone(),
            line: error.line,
            message: error.message.clone(),
            help: error.help.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_hides_nothing() {
        for (failed, warnings, skipped, expected) in [
            (0, 0, 0, "all checks passed"),
            (0, 2, 0, "no check failed, 2 warnings"),
            (0, 0, 1, "no check failed, 1 not looked at"),
            (1, 1, 3, "1 check failed, 1 warning, 3 not looked at"),
        ] {
            assert_eq!(summary(failed, warnings, skipped), expected);
        }
    }
}
