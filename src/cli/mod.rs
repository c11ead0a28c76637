//! The command line: arguments, printing, exit codes. One file per command; what a command does is in `app`.
//!
//! Data goes to stdout (tables for people, `--json` for programs), everything else to stderr. Exit code 0: done and
//! right; 1: failed, or something was found wrong; 2: could not begin (wrong usage, unusable configuration or mappings).

mod alerts;
mod audit;
mod check;
mod demo;
mod failure;
mod import;
mod init;
mod jobs;
mod mappings;
mod migrate;
mod notify;
mod output;
mod pages;
mod pause;
mod preview;
mod reconcile;
mod record;
mod recovery;
mod replay;
mod report;
mod resync;
mod rules;
mod serve;
mod setup;
mod signals;
mod status;
mod sync;
#[cfg(test)]
mod tests;
mod toggle;
mod user;
mod webhooks;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app;
use crate::app::clock::process_clock;
use crate::app::review::Reviewer;
use crate::config::Config;
use crate::domain::{Actor, SharedClock, ShopName, Via};
use crate::store::{OpenMode, SharedStore, StoreError};

pub use failure::{DONE, FAILED, UNUSABLE};

use failure::{Failure, say};
use output::Output;

/// Keeps Shopify shops and Odoo in step: what changes in the shop appears in the ERP, once and right.
#[derive(Debug, Parser)]
#[command(
    name = "lockstep",
    version,
    max_term_width = 100,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Begin with `lockstep init`, then `lockstep check --live`, then `lockstep serve`.\n\n\
                  Exit codes: 0 done and everything right; 1 failed, or something was found wrong; \
                  2 wrong usage, or a configuration or mappings that cannot be used."
)]
struct Arguments {
    /// The configuration.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "LOCKSTEP_CONFIG",
        default_value = "lockstep.toml",
        hide_env_values = true
    )]
    config: PathBuf,
    /// Print JSON for programs instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Arguments),
    Check(check::Arguments),
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Status(status::Arguments),
    Why(why::Arguments),
    Jobs(jobs::Arguments),
    Pause(pause::PauseArguments),
    Resume(pause::ResumeArguments),
    Alerts(alerts::Arguments),
    Report(report::Arguments),
    Recovery(recovery::Arguments),
    Audit(audit::Arguments),
    Sync(sync::Arguments),
    Toggle(toggle::Arguments),
    User(user::Arguments),
    Preview(preview::Arguments),
    Record(record::Arguments),
    Reconcile(reconcile::Arguments),
    Rules(rules::Arguments),
    Replay(replay::Arguments),
    Resync(resync::Arguments),
    Import(import::Arguments),
    Mappings(mappings::Arguments),
    Setup(setup::Arguments),
    Webhooks(webhooks::Arguments),
    Notify(notify::Arguments),
    Migrate(migrate::Arguments),
    Completions(pages::CompletionArguments),
    Man(pages::ManArguments),
}

/// The command's definition, for completions, man pages and the reference.
fn definition() -> clap::Command {
    Arguments::command()
}

/// Runs the process's command.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _gone = error.print();
            return ExitCode::from(if error.use_stderr() { UNUSABLE } else { DONE });
        }
    };
    match perform(arguments) {
        Ok(()) => ExitCode::from(DONE),
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}

fn perform(arguments: Arguments) -> Result<(), Failure> {
    let output = Output::stdout(arguments.json);
    let context = Context {
        config: arguments.config,
        output,
    };
    match arguments.command {
        Command::Init(arguments) => init::run(&context, &arguments),
        Command::Check(arguments) => block_on(check::run(&context, &arguments)),
        Command::Demo(arguments) => block_on_all(demo::run(&context, &arguments)),
        Command::Serve(arguments) => block_on_all(serve::run(&context, &arguments)),
        Command::Status(arguments) => block_on(status::run(&context, &arguments)),
        Command::Jobs(arguments) => block_on(jobs::run(&context, arguments)),
        Command::Why(arguments) => block_on(why::run(&context, &arguments)),
        Command::Pause(arguments) => block_on(pause::pause(&context, &arguments)),
        Command::Resume(arguments) => block_on(pause::resume(&context, &arguments)),
        Command::Alerts(arguments) => block_on(alerts::run(&context, &arguments)),
        Command::Report(arguments) => block_on(report::run(&context, &arguments)),
        Command::Recovery(arguments) => block_on(recovery::run(&context, &arguments)),
        Command::Audit(arguments) => block_on(audit::run(&context, &arguments)),
        Command::Sync(arguments) => block_on(sync::run(&context, &arguments)),
        Command::Toggle(arguments) => block_on(toggle::run(&context, &arguments)),
        Command::User(arguments) => block_on(user::run(&context, &arguments)),
        Command::Preview(arguments) => block_on(preview::run(&context, &arguments)),
        Command::Record(arguments) => block_on(record::run(&context, &arguments)),
        Command::Reconcile(arguments) => block_on(reconcile::run(&context, &arguments)),
        Command::Rules(arguments) => block_on(rules::run(&context, arguments)),
        Command::Replay(arguments) => block_on(replay::run(&context, &arguments)),
        Command::Resync(arguments) => block_on(resync::run(&context, &arguments)),
        Command::Import(arguments) => block_on(import::run(&context, &arguments)),
        Command::Mappings(arguments) => block_on(mappings::run(&context, &arguments)),
        Command::Setup(arguments) => block_on(setup::run(&context, &arguments)),
        Command::Webhooks(arguments) => block_on(webhooks::run(&context, &arguments)),
        Command::Notify(arguments) => block_on(notify::run(&context, arguments)),
        Command::Migrate(arguments) => block_on(migrate::run(&context, &arguments)),
        Command::Completions(arguments) => pages::completions(&arguments),
        Command::Man(arguments) => pages::man(&arguments),
    }
}

/// Runs a short command. One thread is enough, and it starts faster.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("cannot start", error))?
        .block_on(command)
}

/// Runs a daemon, on as many threads as the machine has processors.
fn block_on_all(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("cannot start", error))?
        .block_on(command)
}

/// What every command gets.
#[derive(Debug)]
struct Context {
    /// The configuration file.
    config: PathBuf,
    /// Where results go.
    output: Output,
}

impl Context {
    /// Reads the configuration.
    fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.config)?)
    }
}

/// The store of the configuration, for a command beside the daemon, and the time.
async fn opened(config: &Config) -> Result<(SharedStore, SharedClock), Failure> {
    let clock = process_clock();
    let store = app::open(config, &clock, OpenMode::Tool).await?;
    Ok((store, clock))
}

/// Writes down what a command changed outside of the store. That has happened: where the store cannot be written it is told, and
/// the command is done all the same.
async fn written_down(config: &Config, line: impl AsyncFnOnce(&Reviewer) -> Result<(), StoreError>) {
    let clock = process_clock();
    let done = async {
        let store = app::open(config, &clock, OpenMode::Tool).await?;
        let written = line(&Reviewer::new(store.clone(), clock.clone(), actor())).await;
        store.close().await;
        written
    };
    if let Err(failure) = done.await {
        say(&format!(
            "note: the audit log does not tell of this, because the store cannot be written: {failure}"
        ));
    }
}

/// Whoever runs the command, by the operating system's name.
fn actor() -> Actor {
    let name = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|variable| {
        std::env::var(variable)
            .ok()
            .filter(|name| !name.trim().is_empty())
    });
    Actor::new(name.unwrap_or_else(|| "unknown".to_owned()), Via::Cli)
}

/// The shop that is meant: the named one, or the only one.
fn the_shop<'a>(config: &'a Config, named: Option<&ShopName>) -> Result<&'a crate::config::Shop, Failure> {
    let names = || {
        config
            .shops
            .keys()
            .map(ShopName::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match named {
        Some(name) => config.shops.get(name).ok_or_else(|| {
            Failure::usage(format!("the configuration has no shop `{name}`"))
                .help(format!("it has: {}", names()))
        }),
        None if config.shops.len() == 1 => config
            .shops
            .values()
            .next()
            .ok_or_else(|| Failure::usage("the configuration has no shop")),
        None => Err(Failure::usage("which shop?").help(format!("add --shop with one of: {}", names()))),
    }
}
