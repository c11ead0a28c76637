//! `lockstep migrate`: bring the database up to this version.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use crate::store::{MigrationName, MigrationReport};
use crate::{app, store};

/// Bring the database up to this version.
///
/// `serve` does the same when it starts. A database of a newer version is refused and left as it is.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only show what would be applied.
    #[arg(long)]
    dry_run: bool,
}

/// What was there, what was applied now, and what is left, for programs.
#[derive(Serialize)]
struct Done {
    applied: Vec<MigrationName>,
    applied_now: Vec<MigrationName>,
    pending: Vec<MigrationName>,
}

impl Done {
    fn new(report: MigrationReport, dry_run: bool) -> Self {
        let (applied_now, pending) = if dry_run {
            (Vec::new(), report.pending)
        } else {
            (report.pending, Vec::new())
        };
        Self {
            applied: report.applied,
            applied_now,
            pending,
        }
    }
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let folder = app::folder(&config);
    let report = if arguments.dry_run {
        store::migrations(&config.store, folder).await?
    } else {
        store::migrate(&config.store, folder).await?
    };
    let state = if arguments.dry_run {
        "pending"
    } else {
        "applied now"
    };
    if context.output.json {
        return context.output.document(&Done::new(report, arguments.dry_run));
    }
    let applied = report.applied.iter().map(|name| (name, "applied"));
    let pending = report.pending.iter().map(|name| (name, state));
    context.output.table(
        ["NUMBER", "NAME", "STATE"],
        applied.chain(pending).map(|(migration, state)| {
            [
                migration.version.to_string(),
                migration.name.clone(),
                state.to_owned(),
            ]
        }),
    );
    if report.pending.is_empty() {
        context.output.line("the database is up to date");
    }
    Ok(())
}
