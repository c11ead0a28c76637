//! `lockstep alerts`: what people are told of, and whether the ways to them work.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::{absolute, counted, relative};
use super::{Context, opened};
use crate::app::alerts::{is_reached_by, trials};
use crate::app::clock::process_clock;
use crate::store::Channel;

/// Show what people are told of, or try whether they can be reached.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the conditions that last, and whether messages about them were sent.
    List,
    /// Send a test to everybody by every way, and tell what happened.
    Test,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List => list(context).await,
        Command::Test => test(context).await,
    }
}

async fn test(context: &Context) -> Result<(), Failure> {
    let config = context.load()?;
    let trials = trials(&config.alerts, process_clock().now()).await;
    if trials.is_empty() {
        return Err(Failure::new("nobody is configured to be told").help(
            "set email or chat_url in [alerts], or for an owner in [owners.NAME]; docs/operations/alerts.md has examples",
        ));
    }
    let failed = trials.iter().filter(|trial| trial.error.is_some()).count();
    if context.output.json {
        context.output.document(&trials)?;
    } else {
        context.output.table(
            ["WHO", "HOW", "RESULT"],
            trials.iter().map(|trial| {
                [
                    trial.owner.clone(),
                    match (&trial.channel, &trial.address) {
                        (Channel::Email, Some(address)) => format!("mail to {address}"),
                        (Channel::Email, None) => "mail".to_owned(),
                        (Channel::Chat, _) => "chat".to_owned(),
                    },
                    trial
                        .error
                        .as_ref()
                        .map_or_else(|| "sent".to_owned(), |error| format!("not sent: {error}")),
                ]
            }),
        );
    }
    if failed > 0 {
        return Err(Failure::new(format!(
            "{failed} of {} tests were not sent",
            trials.len()
        )));
    }
    Ok(())
}

async fn list(context: &Context) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, clock) = opened(&config).await?;
    let rows = store.alerts().await;
    let standing = store.alert_standing().await;
    store.close().await;
    let (rows, standing) = (rows?, standing?);
    let standing = standing.only(|channel, recipient| is_reached_by(&config.alerts, channel, recipient));
    let now = clock.now();
    if context.output.json {
        return context
            .output
            .document(&serde_json::json!({ "alerts": rows, "standing": standing }));
    }
    let open: Vec<_> = rows.iter().filter(|row| row.ended_at.is_none()).collect();
    if open.is_empty() {
        context.output.line("Nothing that people are told of.");
    } else {
        context.output.table(
            ["SINCE", "KIND", "WHO", "TOLD", "WHAT"],
            open.iter().map(|row| {
                [
                    relative(now, row.since),
                    row.kind.clone(),
                    row.owner.clone(),
                    row.told_at.map_or_else(|| "not yet".to_owned(), absolute),
                    row.text.clone(),
                ]
            }),
        );
    }
    if standing.waiting > 0 {
        context
            .output
            .line(format!("\n{} to be sent.", counted(standing.waiting, "message")));
    }
    if let Some(failure) = &standing.failure {
        context.output.line(format!(
            "\nThe last failure to send ({}, {}): {}",
            failure.recipient,
            relative(now, failure.at),
            failure.error
        ));
    }
    Ok(())
}
