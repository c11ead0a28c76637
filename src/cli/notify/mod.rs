//! `lockstep notify`: what other systems are told, and how that goes.

mod declare;
mod fields;
mod log;

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::{FAILED, Failure};
use super::output::{Output, relative};
use super::{Context, actor, opened};
use crate::app;
use crate::app::notify::{EndpointView, Standing, Trial, Turned};
use crate::config::Config;
use crate::domain::{SharedEntropy, SystemEntropy, Timestamp, nearest};

/// Look after the endpoints that are told what happens: see how they stand, try them out, send again.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the endpoints: whether they are sent anything, how their last deliveries went, what waits.
    List,
    /// Declare a new endpoint in the configuration file.
    ///
    /// Edits the file for you: comments, order and layout stay, and it is replaced at once, after the whole of it was checked. A
    /// running daemon takes it up within three seconds. A file that cannot be written is left alone, and the difference to
    /// commit is printed instead.
    #[command(
        after_help = "For example: lockstep notify add crm url=https://crm.example.com/in events='[\"order.*\"]' --new-secret"
    )]
    Add(declare::DeclareArguments),
    /// Change keys of an endpoint in the configuration file, as `add` writes them.
    #[command(after_help = "For example: lockstep notify change crm rate=50/s condition=")]
    Change(declare::DeclareArguments),
    /// Take an endpoint out of the configuration file, and give up what waits for it. Says how much that is, and asks first.
    Remove(declare::RemoveArguments),
    /// Send a `test.ping` to an endpoint now, and tell what came back. The exit code is 1 if it was not taken.
    ///
    /// An endpoint with a body of its own gets something made up, of the first type of event that it wants. It is sent past the
    /// queue, and also to an endpoint that is paused.
    Test {
        /// The endpoint's name in the configuration.
        endpoint: String,
    },
    /// List what conditions and templates can read: of a type of event, or of a real record with its values.
    ///
    /// `lockstep notify fields` alone lists the types of events.
    Fields(fields::FieldsArguments),
    /// Show what an endpoint would be sent for a real record. Sends nothing.
    Preview(fields::PreviewArguments),
    /// List deliveries, newest first.
    Deliveries(log::ListArguments),
    /// Show one delivery with its tries and what was answered.
    Show {
        /// The delivery's number.
        id: i64,
    },
    /// Send again what has ended: one delivery, all of a time, or all that failed. Events keep their ids.
    Redeliver(log::RedeliverArguments),
    /// Send nothing to an endpoint until it is resumed. What comes meanwhile waits, or is dropped, as the configuration says.
    Pause(TurnArguments),
    /// Send to an endpoint again.
    Resume(TurnArguments),
    /// Give up all that waits for an endpoint.
    Cancel {
        /// The endpoint's name.
        endpoint: String,
    },
}

#[derive(Debug, Args)]
struct TurnArguments {
    /// The endpoint's name in the configuration.
    endpoint: String,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    match arguments.command {
        Command::Add(arguments) => declare::add(context, arguments).await,
        Command::Change(arguments) => declare::change(context, arguments).await,
        Command::Remove(arguments) => declare::remove(context, arguments).await,
        Command::List => list(context.output, &config).await,
        Command::Test { endpoint } => test(context.output, &config, &endpoint).await,
        Command::Fields(arguments) => fields::fields(context.output, &config, &arguments).await,
        Command::Preview(arguments) => fields::preview(context.output, &config, &arguments).await,
        Command::Deliveries(arguments) => log::list(context.output, &config, arguments).await,
        Command::Show { id } => log::show(context.output, &config, id).await,
        Command::Redeliver(arguments) => log::redeliver(context.output, &config, arguments).await,
        Command::Pause(arguments) => turn(context.output, &config, &arguments, true).await,
        Command::Resume(arguments) => turn(context.output, &config, &arguments, false).await,
        Command::Cancel { endpoint } => cancel(context.output, &config, &endpoint).await,
    }
}

/// The endpoint of this name.
fn endpoint_named<'c>(config: &'c Config, name: &str) -> Result<&'c crate::app::notify::Endpoint, Failure> {
    let found = config.endpoints.iter().find(|endpoint| endpoint.name == name);
    found
        .map(|endpoint| &**endpoint)
        .ok_or_else(|| unknown(config, name))
}

fn unknown(config: &Config, name: &str) -> Failure {
    let names = config.endpoints.iter().map(|endpoint| endpoint.name.as_str());
    let known: Vec<&str> = names.collect();
    let failure = Failure::usage(format!("the configuration has no endpoint `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => {
            failure.help("declare one with `lockstep notify add`, or as [notify.endpoints.NAME]; docs/guides/notifications.md has examples")
        }
        None => failure.help(format!("it has: {}", known.join(", "))),
    }
}

fn system_entropy() -> SharedEntropy {
    Arc::new(SystemEntropy)
}

async fn list(output: Output, config: &Config) -> Result<(), Failure> {
    let (store, clock) = opened(config).await?;
    let views = app::notify::endpoints(config, &store).await;
    store.close().await;
    let (views, now) = (views?, clock.now());
    if output.json {
        return output.document(&views);
    }
    if views.is_empty() {
        output.line("no endpoint is declared; docs/guides/notifications.md has examples");
        return Ok(());
    }
    output.table(LISTED, views.iter().map(|view| row(view, now)));
    for view in &views {
        if let Some(failure) = &view.recent.last_failure {
            let sentence = failure.sentence.as_deref().unwrap_or(&failure.failure);
            output.line(format!(
                "\n{}: the last failure, delivery {} ({}): {sentence}",
                view.name,
                failure.delivery,
                relative(now, failure.created_at)
            ));
        }
    }
    Ok(())
}

const LISTED: [&str; 9] = [
    "ENDPOINT",
    "STATE",
    "TO",
    "EVENTS",
    "TAKEN",
    "HALF WITHIN",
    "WAITING",
    "FAILED",
    "OWNER",
];

fn row(view: &EndpointView, now: Timestamp) -> [String; 9] {
    let dash = || "-".to_owned();
    let state = match (view.standing, app::notify::paused_words(view)) {
        (_, Some(because)) => format!("paused: {because}"),
        (Standing::Active, None) if view.failures > 0 => {
            let since = view.failing_since.map(|since| relative(now, since));
            format!("failing since {}", since.unwrap_or_else(dash))
        }
        (standing, None) => standing.to_string(),
    };
    let taken = view
        .recent
        .success_percent
        .map(|percent| format!("{percent} % of {}", view.recent.tried));
    let waiting = match view.oldest_waiting {
        Some(since) => format!("{} ({})", view.waiting, relative(now, since)),
        None => view.waiting.to_string(),
    };
    [
        view.name.clone(),
        state,
        view.host.clone().unwrap_or_else(dash),
        view.events.join(", "),
        taken.unwrap_or_else(dash),
        view.recent.median_ms.map_or_else(dash, |ms| format!("{ms} ms")),
        waiting,
        (view.failed + view.problems).to_string(),
        view.owner.clone().unwrap_or_else(dash),
    ]
}

async fn test(output: Output, config: &Config, name: &str) -> Result<(), Failure> {
    let endpoint = endpoint_named(config, name)?;
    let clock = app::clock::process_clock();
    let trial = app::notify::try_out(config, endpoint, &clock, &system_entropy()).await;
    if output.json {
        output.document(&trial)?;
    } else {
        tell(output, &trial);
    }
    if trial.taken {
        Ok(())
    } else {
        Err(Failure::Told(FAILED))
    }
}

fn tell(output: Output, trial: &Trial) {
    let verdict = if trial.taken { "taken" } else { "not taken" };
    let status = trial
        .status
        .map_or_else(String::new, |status| format!(", HTTP {status}"));
    output.line(format!(
        "{}: {} ({}) was {verdict}{status}, after {} ms",
        trial.endpoint, trial.event, trial.id, trial.took_ms
    ));
    if let Some(sentence) = &trial.sentence {
        output.line(sentence);
    }
    answered(output, &trial.headers, &trial.answer, trial.is_cut);
}

/// What a receiver said.
fn answered(output: Output, headers: &[(String, String)], answer: &str, is_cut: bool) {
    for (name, value) in headers {
        output.line(format!("  {name}: {value}"));
    }
    if !answer.is_empty() {
        output.line("");
        for line in answer.lines() {
            output.line(format!("  {line}"));
        }
        if is_cut {
            output.line("  …");
        }
    }
}

async fn turn(
    output: Output,
    config: &Config,
    arguments: &TurnArguments,
    pause: bool,
) -> Result<(), Failure> {
    let (store, clock) = opened(config).await?;
    let name = &arguments.endpoint;
    let how = (name.as_str(), pause, arguments.reason.as_deref());
    let turned = app::notify::turn(config, &store, &clock, actor(), how).await;
    app::ring::ring(config, &store).await;
    store.close().await;
    let turned = turned?.ok_or_else(|| unknown(config, name))?;
    if turned == Turned::Configured {
        return Err(Failure::new(format!(
            "the configuration has `{name}` paused: only a change of it lets it go on"
        ))
        .help(format!(
            "take `state = \"paused\"` out of [notify.endpoints.{name}]"
        )));
    }
    if output.json {
        return output.document(&serde_json::json!({ "endpoint": name, "paused": pause, "result": turned }));
    }
    let state = if pause { "paused" } else { "active" };
    output.line(match turned {
        Turned::Already => format!("{name} is {state} already"),
        _ => format!("{name} is {state}"),
    });
    Ok(())
}

async fn cancel(output: Output, config: &Config, name: &str) -> Result<(), Failure> {
    let (store, clock) = opened(config).await?;
    let cancelled = app::notify::cancel(config, &store, &clock, actor(), name).await;
    store.close().await;
    let count = cancelled?.ok_or_else(|| unknown(config, name))?;
    if output.json {
        return output.document(&serde_json::json!({ "endpoint": name, "cancelled": count }));
    }
    output.line(match count {
        0 => format!("nothing waited for {name}"),
        1 => format!("1 delivery to {name} was given up"),
        count => format!("{count} deliveries to {name} were given up"),
    });
    Ok(())
}
