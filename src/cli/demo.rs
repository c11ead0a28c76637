//! `lockstep demo`: the whole of it between two stand-ins, with no account anywhere.

use std::io::Write as _;

use clap::{Args, ValueEnum};

use super::Context;
use super::failure::{FAILED, Failure};
use crate::demo::{Demo, Options, Report, Sabotage};
use crate::telemetry;
use crate::telemetry::Settings as LogSettings;

/// Show what lockstep does, between a stand-in shop and a stand-in Odoo, with no account anywhere.
///
/// Realistic shopping happens, things go wrong on purpose, and at the end the two stand-ins' own books are compared, to the
/// cent. Exit code 0 only if everything held.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after the comparison instead of keeping everything running to look around.
    #[arg(long)]
    once: bool,
    /// Everyday orders to place.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(12..=2_000))]
    orders: u32,
    /// The version of Odoo to play.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(17..=19))]
    odoo: u32,
    /// Let the ERP cheat, to see that the comparison notices: the demonstration must fail then.
    #[arg(long, value_enum)]
    sabotage: Option<Cheat>,
}

/// How the ERP cheats.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cheat {
    /// An order that it acknowledged is not in its books.
    Lose,
    /// An order is stored twice.
    Double,
    /// A confirmed order comes to a cent more.
    Cent,
}

impl From<Cheat> for Sabotage {
    fn from(cheat: Cheat) -> Self {
        match cheat {
            Cheat::Lose => Self::Lose,
            Cheat::Double => Self::Double,
            Cheat::Cent => Self::Cent,
        }
    }
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    // The daemon's own log would drown the story; `LOCKSTEP_LOG` brings it back.
    let log = LogSettings {
        level: "error".into(),
        ..LogSettings::default()
    };
    telemetry::init_logs(&log).map_err(|error| Failure::because("logs cannot be set up", error))?;
    let options = Options {
        orders: arguments.orders,
        sabotage: arguments.sabotage.map(Into::into),
        odoo: arguments.odoo,
    };
    let failed = |error| Failure::because("the demonstration could not be carried through", error);
    let demo = Demo::start(options).await.map_err(failed)?;
    let mut say = |line: &str| {
        let _gone = writeln!(std::io::stderr().lock(), "{line}");
    };
    let played = demo.play(options, &mut say).await;
    let report = match played {
        Ok(report) => report,
        Err(error) => {
            demo.stop().await;
            return Err(failed(error));
        }
    };
    show(context, &report)?;
    if arguments.once {
        say("\nWhere to look next:\n  \
             lockstep demo        the same, and everything keeps running to look around\n  \
             lockstep init        a configuration for a shop and an ERP of your own\n  \
             lockstep check       whether it is right, and what to do where it is not");
    } else {
        let (http, admin) = demo.addresses();
        let config = demo.config_path().display().to_string();
        say(&format!(
            "\nEverything keeps running until Ctrl-C. Look around:\n  \
             lockstep --config {config} status\n  \
             lockstep --config {config} jobs list\n  \
             curl {admin}/metrics\n  \
             webhooks go to {http}/webhooks/shopify"
        ));
        // Not being told of Ctrl-C is as good a reason to end as Ctrl-C.
        let _asked = tokio::signal::ctrl_c().await;
    }
    demo.stop().await;
    if report.held {
        Ok(())
    } else {
        Err(Failure::Told(FAILED))
    }
}

fn show(context: &Context, report: &Report) -> Result<(), Failure> {
    let output = context.output;
    if output.json {
        return output.document(report);
    }
    output.line("");
    output.table(
        ["", "in the end"],
        report
            .figures
            .iter()
            .map(|(what, value)| [what.clone(), value.clone()]),
    );
    if !report.problems.is_empty() {
        output.line("\nWaiting for a person, with reasons:");
        for problem in &report.problems {
            output.line(format!("  {problem}"));
        }
    }
    if report.held {
        output.line("\nBoth sides agree: nothing lost, nothing doubled, every total right to the cent.");
    } else {
        output.line("\nNOT as it should be:");
        for broken in &report.broken {
            output.line(format!("  {broken}"));
        }
    }
    Ok(())
}
