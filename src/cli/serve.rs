//! `lockstep serve`: the daemon in the foreground.

use std::error::Error as _;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Failure, report};
use crate::app::clock::process_clock;
use crate::app::daemon::{self, DaemonOptions, Signals, StartError};
use crate::telemetry;

/// Run the daemon: take webhooks and carry changes over.
///
/// Its first line on stdout is one JSON object with the addresses of both listeners; logs go to stderr. SIGTERM and SIGINT
/// stop it in order, SIGHUP takes up changed files (they are noticed within seconds anyway).
#[derive(Debug, Args)]
pub(super) struct Arguments {}

/// The first line on stdout.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    http: String,
    admin: String,
}

pub(super) async fn run(context: &Context, _arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    telemetry::init_logs(&config.log)
        .map_err(|error| Failure::because("logs cannot be set up", error).unusable())?;
    let daemon = daemon::start(config, DaemonOptions::new(process_clock()))
        .await
        .map_err(not_started)?;
    let signals = Signals::listen().map_err(|error| Failure::because("signals cannot be received", error))?;
    let ready = Ready {
        ready: true,
        http: daemon.http_addr.to_string(),
        admin: daemon.admin_addr.to_string(),
    };
    let line = serde_json::to_string(&ready)
        .map_err(|error| Failure::because("the addresses cannot be written as JSON", error))?;
    context.output.line(line);
    if signals.serve(daemon).await {
        Ok(())
    } else {
        Err(Failure::new("a part of the daemon ended before its time")
            .help("the log above says which; nothing is lost, start it again"))
    }
}

/// Why it did not start.
pub(super) fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Store(error) => error.into(),
        StartError::Mappings(errors) => {
            for error in &errors.errors {
                report(error);
            }
            Failure::new("the mappings cannot be used")
                .unusable()
                .help("`lockstep check` shows the same without starting")
        }
        StartError::Http(error) => {
            let failure = match error.source() {
                Some(cause) => Failure::because(error.to_string(), std::io::Error::other(cause.to_string())),
                None => Failure::new(error.to_string()),
            };
            failure.help("is another program (or another lockstep) there already? port 0 takes any free one")
        }
        StartError::Connect { shop, source } => {
            Failure::because(format!("[shops.{shop}] cannot be connected"), source).unusable()
        }
    }
}
