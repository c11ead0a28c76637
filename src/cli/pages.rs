//! `lockstep completions`, `lockstep man`, and the reference page made from the same definitions.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use clap::Args;
use clap_complete::Shell;

use super::definition;
use super::failure::Failure;

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "For bash: lockstep completions bash > /etc/bash_completion.d/lockstep")]
pub(super) struct CompletionArguments {
    /// Which shell.
    shell: Shell,
}

/// Print the manual page of lockstep or of one of its commands.
#[derive(Debug, Args)]
#[command(after_help = "To read it at once: lockstep man | man -l -")]
pub(super) struct ManArguments {
    /// The command, e.g. `jobs retry`; lockstep itself when left out.
    command: Vec<String>,
}

pub(super) fn completions(arguments: &CompletionArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition(), "lockstep", &mut script);
    put(&script);
    Ok(())
}

pub(super) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let mut root = definition();
    root.build();
    let mut command = &root;
    for name in &arguments.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            Failure::usage(format!("there is no command `{name}` here"))
                .help("`lockstep --help` lists the commands")
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().disable_help_subcommand(true))
        .render(&mut page)
        .map_err(|error| Failure::because("cannot write the manual page", error))?;
    put(&page);
    Ok(())
}

fn put(bytes: &[u8]) {
    // A reader that went away is no failure of ours.
    let _gone = stdout().lock().write_all(bytes);
}

/// `docs/reference/cli.md`: the long help of every command.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the test that keeps the page fresh writes it")
)]
pub(super) fn reference() -> String {
    let mut root = definition().term_width(100);
    root.build();
    let mut page = String::from(
        "# Commands\n\nMade from the program's own help; a test fails when this page is stale.\n\n\
         Data goes to stdout (`--json` for programs), diagnostics to stderr. Exit codes: 0 done and right, 1 failed or\n\
         something was found wrong, 2 could not begin (wrong usage, or a configuration that cannot be used).\n",
    );
    describe(&mut root, &mut page);
    page
}

fn describe(command: &mut clap::Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or("lockstep").to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _infallible = write!(
        page,
        "\n## `{name}`\n\n```text\n{}\n```\n",
        help.join("\n").trim_end()
    );
    for inner in command.get_subcommands_mut() {
        if inner.get_name() != "help" {
            describe(inner, page);
        }
    }
}
