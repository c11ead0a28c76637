//! `lockstep mappings`: the mapping files in force.

mod set;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{Failure, report, say};
use super::output::counted;
use super::{Context, the_shop};
use crate::app;
use crate::app::clock::process_clock;
use crate::app::suggest::{EntryResult, FileError, SuggestFailure, Suggested};
use crate::config::Config;
use crate::domain::{SharedEntropy, ShopName, SystemEntropy};
use crate::mapping::{DEFAULTS, Mapping, Mappings};

/// Look at the mapping files in force.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the mapping files and where each comes from.
    List,
    /// Print a mapping file: a good start for one of your own.
    ///
    /// Save it under the same name in the folder that `[mappings] dir` names, and it takes the shipped one's place.
    Show {
        /// Object and direction, e.g. `order.in`.
        name: String,
        /// The one that comes with this version, whatever stands in the folder. Needs no configuration.
        #[arg(long)]
        shipped: bool,
    },
    Set(set::Arguments),
    /// Write tables for a shop from what it used lately and what its ERP has.
    ///
    /// Reads the orders of the last 60 days (payment gateways, taxes, locations, currencies, shipping methods and carriers) and
    /// the ERP's journals, sale taxes, warehouses, currencies and delivery carriers, and adds to tables.SHOP.toml in the
    /// mappings folder what is not there yet: filled in where nothing can be mistaken, else as TODO with its candidates.
    /// What stands in the file stays as it is. `lockstep check` counts what is left to be filled in.
    Suggest {
        /// The shop, where the configuration has several.
        #[arg(long, value_name = "NAME")]
        shop: Option<ShopName>,
        /// Another folder than the one that `[mappings] dir` names.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Set(arguments) => set::run(context, arguments).await,
        Action::Suggest { shop, out } => suggest(context, shop.as_ref(), out.as_deref()).await,
        Action::List => list(context),
        Action::Show { name, shipped } => show(context, name, *shipped),
    }
}

fn in_force(context: &Context) -> Result<Mappings, Failure> {
    of_config(&context.load()?)
}

/// The mappings that this configuration names.
pub(super) fn of_config(config: &Config) -> Result<Mappings, Failure> {
    app::mappings::load(config.mappings.dir.as_deref()).map_err(|errors| {
        for error in &errors.errors {
            report(error);
        }
        Failure::usage("the mappings cannot be used")
    })
}

/// Whether the text is the one that comes with this version.
fn is_shipped(file: &str, text: &str) -> bool {
    DEFAULTS.contains(&(file, text))
}

fn list(context: &Context) -> Result<(), Failure> {
    let mappings = in_force(context)?;
    let rows = mappings.all().iter().map(|mapping| {
        let text = text_of(&mappings, mapping);
        (mapping, is_shipped(&mapping.file, text))
    });
    if context.output.json {
        let rows: Vec<_> = rows
            .map(|(mapping, shipped)| {
                json!({
                    "name": name_of(mapping), "model": mapping.model, "owner": mapping.owner,
                    "shipped": shipped, "note": mapping.note,
                })
            })
            .collect();
        return context
            .output
            .document(&json!({ "revision": mappings.revision(), "mappings": rows }));
    }
    context.output.table(
        ["MAPPING", "MODEL", "OWNER", "FROM", "NOTE"],
        rows.map(|(mapping, shipped)| {
            [
                name_of(mapping),
                mapping.model.clone(),
                mapping.owner.clone(),
                if shipped { "shipped" } else { "your folder" }.to_owned(),
                mapping.note.clone(),
            ]
        }),
    );
    // What jobs tell they wrote by, and `lockstep resync` is told.
    context.output.line(format!("\nrevision {}", mappings.revision()));
    Ok(())
}

fn show(context: &Context, name: &str, shipped: bool) -> Result<(), Failure> {
    let file = format!("{}.toml", name.trim_end_matches(".toml"));
    let unknown = || {
        let known: Vec<&str> = DEFAULTS
            .iter()
            .map(|(file, _)| file.trim_end_matches(".toml"))
            .collect();
        Failure::usage(format!("there is no mapping `{name}`"))
            .help(format!("there are: {}", known.join(", ")))
    };
    let text = if shipped {
        let found = DEFAULTS.iter().find(|(known, _)| *known == file);
        found.ok_or_else(unknown)?.1.to_owned()
    } else {
        let mappings = in_force(context)?;
        let found = mappings.sources().iter().find(|source| source.file == file);
        found.ok_or_else(unknown)?.text.clone()
    };
    if context.output.json {
        let shipped = is_shipped(&file, &text);
        return context
            .output
            .document(&json!({ "file": file, "shipped": shipped, "text": text }));
    }
    context.output.line(text.trim_end());
    Ok(())
}

async fn suggest(context: &Context, shop: Option<&ShopName>, out: Option<&Path>) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, shop)?;
    let folder = out.or(config.mappings.dir.as_deref()).ok_or_else(|| {
        Failure::usage("there is no mappings folder to write to")
            .help("declare one with `[mappings] dir` in the configuration, or name a folder with --out")
    })?;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let suggested = app::suggest::suggest(shop, folder, &process_clock(), &entropy)
        .await
        .map_err(not_suggested)?;
    for note in &suggested.notes {
        say(&format!("note: {note}"));
    }
    if context.output.json {
        return context.output.document(&suggested);
    }
    show_suggested(context, &suggested);
    if out.is_some() && out != config.mappings.dir.as_deref() {
        say("note: only the folder that `[mappings] dir` names is followed");
    }
    Ok(())
}

fn not_suggested(failure: SuggestFailure) -> Failure {
    match failure {
        SuggestFailure::Build(error) => Failure::because("the shop cannot be connected", error).unusable(),
        SuggestFailure::Shopify(error) => {
            let fix = error.fix();
            Failure::because("Shopify cannot be asked", error).help(fix)
        }
        SuggestFailure::Erp(error) => {
            Failure::because("the ERP cannot be asked", error).help("`lockstep check --live` says more")
        }
        SuggestFailure::File(error @ (FileError::Toml { .. } | FileError::NoTable { .. })) => {
            Failure::usage(error.to_string()).help("correct the file, or move it away")
        }
        SuggestFailure::File(error) => Failure::because("nothing was suggested", error),
    }
}

fn show_suggested(context: &Context, suggested: &Suggested) {
    let output = context.output;
    output.line(format!(
        "{} of the last 60 days looked at\n",
        counted(suggested.orders, "order")
    ));
    output.table(
        ["TABLE", "ENTRY", "VALUE", "RESULT", "ORDERS", "CANDIDATES"],
        suggested.rows.iter().map(|row| {
            [
                row.table.to_owned(),
                row.key.clone(),
                row.value
                    .clone()
                    .unwrap_or_else(|| crate::mapping::TODO.to_owned()),
                match row.result {
                    EntryResult::FilledIn => "filled in",
                    EntryResult::Todo => "to fill in",
                    EntryResult::Kept => "as it was",
                    EntryResult::StillTodo => "still to fill in",
                }
                .to_owned(),
                row.orders.to_string(),
                row.candidates.join(", "),
            ]
        }),
    );
    let file = suggested.file.display();
    let left = suggested.rows.iter().filter(|row| row.value.is_none()).count() as u64;
    output.line(match (suggested.changed, left) {
        (true, 0) => format!("\nwrote {file}"),
        (true, left) => format!("\nwrote {file}: {left} still to be filled in by you"),
        (false, 0) => format!("\nnothing new: {file} is as it was"),
        (false, left) => format!("\nnothing new: {file} is as it was, {left} still to be filled in by you"),
    });
}

fn name_of(mapping: &Mapping) -> String {
    format!("{}.{}", mapping.object, mapping.direction)
}

fn text_of<'m>(mappings: &'m Mappings, mapping: &Mapping) -> &'m str {
    mappings
        .sources()
        .iter()
        .find(|source| source.file == mapping.file)
        .map_or("", |source| source.text.as_str())
}
