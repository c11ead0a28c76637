//! `lockstep mappings`: the mapping files in force.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Context;
use super::failure::{Failure, report};
use crate::app;
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
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::List => list(context),
        Action::Show { name, shipped } => show(context, name, *shipped),
    }
}

fn in_force(context: &Context) -> Result<Mappings, Failure> {
    let config = context.load()?;
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
