//! `lockstep setup`: what the ERP lacks for a shop, and making it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::{FAILED, Failure, report, say};
use super::output::{Output, counted};
use super::{Context, the_shop};
use crate::app;
use crate::app::clock::process_clock;
use crate::app::setup::{RowState, SetupFailure, SetupPlan, SetupRow};
use crate::domain::{SharedEntropy, ShopName, SystemEntropy};

/// Set the ERP up for a shop: list what it lacks, and make it.
///
/// Looked at are the currencies and price lists that orders need, the service products for lines that are no goods, and the
/// optional fields of orders. Journals, currencies and accounts are an accountant's: they are named, never made.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what the ERP has and lacks for the shop. Changes nothing.
    Plan(PlanArguments),
    /// Make what is missing and can be made, after a yes. Repeating it makes nothing twice.
    Apply {
        #[command(flatten)]
        plan: PlanArguments,
        /// Do not ask: needed where nobody can answer.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct PlanArguments {
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let output = context.output;
    match &arguments.action {
        Action::Plan(of) => {
            let plan = planned(context, of).await?;
            if output.json {
                output.document(&plan)?;
            } else {
                show(output, &plan);
                tell_rest(output, &plan, "run `lockstep setup apply`");
            }
            ended(&plan)
        }
        Action::Apply { plan: of, yes } => {
            // Before anything is asked: nobody is there to answer.
            let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !output.json;
            if !yes && !can_ask {
                return Err(Failure::usage("nobody can be asked for a yes here")
                    .help("look at `lockstep setup plan` first, then add --yes"));
            }
            let mut plan = planned(context, of).await?;
            let makes = plan.count(RowState::Missing) as u64;
            if makes > 0 && !yes {
                show(output, &plan);
                if !agreed(&format!("\nMake {} in {}?", counted(makes, "record"), plan.erp)) {
                    say("nothing was made");
                    return Err(Failure::Told(FAILED));
                }
                output.line("");
            }
            let missing: Vec<usize> = (0..plan.rows.len())
                .filter(|n| plan.rows[*n].state == RowState::Missing)
                .collect();
            if makes > 0 {
                plan.apply().await;
            }
            if output.json {
                output.document(&plan)?;
            } else {
                if makes > 0 && !yes {
                    // The whole table stands above; what has become of it is enough.
                    table(output, missing.iter().map(|n| &plan.rows[*n]));
                } else {
                    show(output, &plan);
                }
                tell_rest(output, &plan, "run it again");
            }
            ended(&plan)
        }
    }
}

async fn planned(context: &Context, arguments: &PlanArguments) -> Result<SetupPlan, Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, arguments.shop.as_ref())?;
    let mappings = app::mappings::load(config.mappings.dir.as_deref()).map_err(|errors| {
        for error in &errors.errors {
            report(error);
        }
        Failure::usage("the mappings cannot be used")
    })?;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    app::setup::plan(&config, shop, &mappings, &process_clock(), &entropy)
        .await
        .map_err(|failure| match failure {
            SetupFailure::Build(error) => Failure::because("the shop cannot be connected", error).unusable(),
            SetupFailure::Erp(error) => {
                Failure::because("the ERP cannot be asked", error).help("`lockstep check --live` says more")
            }
        })
}

/// Asks on the terminal; anything but a yes is a no.
pub(super) fn agreed(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    drop(stderr);
    let mut answer = String::new();
    asked.is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn show(output: Output, plan: &SetupPlan) {
    output.line(format!("[shops.{}] {}\n", plan.shop, plan.erp));
    table(output, &plan.rows);
    // The same words for all rows of a kind are said once.
    let mut told: Vec<&str> = Vec::new();
    for row in &plan.rows {
        let by_hand = matches!(
            row.state,
            RowState::NeedsAdministrator | RowState::ByHand | RowState::Named
        );
        if by_hand && !row.how.is_empty() && !told.contains(&row.how.as_str()) {
            output.line(format!("\n{} ({}): {}", row.what, word(row.state), row.how));
            told.push(&row.how);
        }
    }
}

fn table<'r>(output: Output, rows: impl IntoIterator<Item = &'r SetupRow>) {
    output.table(
        ["WHAT", "NAME", "STATE", "NOTE"],
        rows.into_iter().map(|row| {
            [
                row.what.to_owned(),
                row.name.clone(),
                word(row.state).to_owned(),
                row.note.clone(),
            ]
        }),
    );
}

const fn word(state: RowState) -> &'static str {
    match state {
        RowState::There => "there",
        RowState::Missing => "MISSING",
        RowState::Made => "made",
        RowState::NeedsAdministrator => "administrator",
        RowState::ByHand => "by hand",
        RowState::Failed => "FAILED",
        RowState::Named => "for you to decide",
    }
}

/// The last line: what is left to be done, and by whom.
fn tell_rest(output: Output, plan: &SetupPlan, missing: &str) {
    let mut parts = Vec::new();
    let made = plan.count(RowState::Made);
    if made > 0 {
        parts.push(format!("{made} made"));
    }
    for (state, text) in [
        (RowState::Missing, format!("can be made: {missing}")),
        (RowState::NeedsAdministrator, "need an administrator".to_owned()),
        (RowState::ByHand, "to be seen to by hand".to_owned()),
        (RowState::Failed, "FAILED".to_owned()),
    ] {
        match plan.count(state) {
            0 => {}
            count => parts.push(format!("{count} {text}")),
        }
    }
    if plan.is_complete() {
        parts.push("everything is there".to_owned());
    }
    output.line(format!("\n{}", parts.join("; ")));
}

fn ended(plan: &SetupPlan) -> Result<(), Failure> {
    if plan.is_complete() {
        Ok(())
    } else {
        Err(Failure::Told(FAILED))
    }
}
