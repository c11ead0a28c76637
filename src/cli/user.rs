//! `lockstep user`: accounts of the console.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::failure::{Failure, say};
use super::{Context, written_down};
use crate::app::users::{NewUser, UserError};
use crate::domain::{Role, SharedEntropy, SystemEntropy};

/// Accounts of the console: who may log in, and what they may do.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an account, or give one another password and role.
    ///
    /// Asks for the password twice; where nobody can be asked, the first line of the standard input is taken. Only its hash is
    /// written, into the section [admin.users.NAME] of the configuration file; a running daemon takes it up within three seconds.
    Add {
        /// The name to log in with: letters, digits and . _ - @
        name: String,
        /// What the account may: viewer sees, operator works with jobs, admin changes what is synced.
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// Print the section instead of writing it, for a file that comes from elsewhere.
        #[arg(long)]
        print: bool,
    },
    /// List the accounts.
    List,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Add { name, role, print } => add(context, name, *role, *print).await,
        Action::List => list(context),
    }
}

async fn add(context: &Context, name: &str, role: Role, print: bool) -> Result<(), Failure> {
    let password = password(name)?;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let user = NewUser::new(name, role, &password, &entropy)?;
    if print {
        if context.output.json {
            return context.output.document(&json!({ "section": user.section() }));
        }
        context.output.line(user.section().trim_end());
        return Ok(());
    }
    let was_there = user.save(&context.config)?;
    let config = context.load()?;
    written_down(&config, async |reviewer| {
        reviewer.added_user(name, role, was_there).await
    })
    .await;
    if context.output.json {
        return context
            .output
            .document(&json!({ "name": name, "role": role, "changed": was_there }));
    }
    let path = context.config.display();
    context.output.line(if was_there {
        format!("{name} has a new password and the role {role} in {path}; whoever was logged in with the old one is out")
    } else {
        format!("{name} may log in to the console with the role {role}; written to {path}")
    });
    Ok(())
}

/// Asks twice on a terminal; else takes the first line.
fn password(name: &str) -> Result<SecretString, Failure> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|error| Failure::because("the password cannot be read", error))?;
        return Ok(SecretString::from(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let ask = |question: &str| {
        rpassword::prompt_password(question)
            .map(SecretString::from)
            .map_err(|error| Failure::because("the password cannot be read", error))
    };
    let first = ask(&format!("Password for {name}: "))?;
    let second = ask("Once more: ")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(Failure::usage("the two passwords differ").help("nothing was written; try again"));
    }
    Ok(first)
}

fn list(context: &Context) -> Result<(), Failure> {
    let config = context.load()?;
    let users = &config.admin.users;
    if context.output.json {
        let rows: Vec<_> = users
            .iter()
            .map(|(name, user)| json!({ "name": name, "role": user.role }))
            .collect();
        return context.output.document(&rows);
    }
    if users.is_empty() {
        say("no account yet: `lockstep user add NAME --role admin` makes one");
        return Ok(());
    }
    context.output.table(
        ["NAME", "ROLE"],
        users
            .iter()
            .map(|(name, user)| [name.clone(), user.role.to_string()]),
    );
    Ok(())
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Config(error) => error.into(),
            UserError::Name(_) | UserError::Password(_) => Self::usage(error.to_string()),
            UserError::Layout { .. } | UserError::ChangedMeanwhile(_) => Self::new(error.to_string()),
            UserError::Write { .. } => Self::new(error.to_string())
                .help("add --print, and put the section where the file comes from"),
        }
    }
}
