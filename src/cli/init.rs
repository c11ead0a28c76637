//! `lockstep init`: a commented configuration to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use crate::config;

/// Write a commented configuration to begin with.
///
/// Writes the file that --config names (lockstep.toml) and, beside it, lockstep.schema.json, from which editors complete
/// and check. An existing configuration is never overwritten.
#[derive(Debug, Args)]
pub(super) struct Arguments {}

#[derive(Serialize)]
struct Written<'a> {
    config: &'a Path,
    schema: &'a Path,
}

pub(super) fn run(context: &Context, _arguments: &Arguments) -> Result<(), Failure> {
    let path = &context.config;
    let cannot = |path: &Path, error| Failure::because(format!("cannot write {}", path.display()), error);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::new(format!("{} is there already", path.display()))
                .help("it is left as it is; to begin anew move it away, or name another file with --config"),
            _ => cannot(path, error),
        })?;
    file.write_all(config::EXAMPLE.as_bytes())
        .map_err(|error| cannot(path, error))?;
    let schema = path.with_file_name("lockstep.schema.json");
    std::fs::write(&schema, format!("{:#}\n", config::schema())).map_err(|error| cannot(&schema, error))?;
    if context.output.json {
        return context.output.document(&Written {
            config: path,
            schema: &schema,
        });
    }
    context.output.line(format!("wrote {}", path.display()));
    context
        .output
        .line(format!("wrote {} (for editors)", schema.display()));
    context.output.line(
        "next: fill in the shop and the ERP, set the variables that it names, then run `lockstep check --live`",
    );
    Ok(())
}
