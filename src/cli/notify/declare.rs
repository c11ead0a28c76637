//! `lockstep notify add`, `change` and `remove`: endpoints in the configuration file.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::{Map, Value};

use super::{system_entropy, unknown};
use crate::app;
use crate::app::notify::{Declaration, Declare, DeclareError, Declared, Extent, declare};
use crate::cli::failure::{FAILED, Failure, say};
use crate::cli::{Context, actor, opened, written_down};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct DeclareArguments {
    /// The endpoint's name: 1 to 40 of a-z, 0-9, `_` and `-`, starting with a letter.
    endpoint: String,
    /// Keys of `[notify.endpoints.NAME]` with their values: TOML, or a plain text. `KEY=` takes a key out, and a dot leads into a
    /// table (`body.mime=text/plain`).
    #[arg(required_unless_present = "new_secret", value_name = "KEY=VALUE")]
    keys: Vec<String>,
    /// Make a new secret that signs, beside those that it has. It is printed this once, and kept in a file beside the
    /// configuration.
    #[arg(long)]
    new_secret: bool,
    /// Only show what the file would become.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArguments {
    /// The endpoint's name.
    endpoint: String,
    /// Ask nobody. Needed where nobody can be asked.
    #[arg(long)]
    yes: bool,
    /// Only show what the file would become, and how much waits.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

pub(super) async fn add(context: &Context, arguments: DeclareArguments) -> Result<(), Failure> {
    let values = values(&arguments.keys)?;
    carry_out(context, arguments, Declare::New(values)).await
}

pub(super) async fn change(context: &Context, arguments: DeclareArguments) -> Result<(), Failure> {
    let values = values(&arguments.keys)?;
    carry_out(context, arguments, Declare::Changed(values)).await
}

async fn carry_out(context: &Context, arguments: DeclareArguments, what: Declare) -> Result<(), Failure> {
    let config = context.load()?;
    let wanted = Declaration {
        endpoint: arguments.endpoint,
        what,
        new_secret: arguments.new_secret,
        from_afar: false,
    };
    let extent = if arguments.dry_run {
        Extent::Plan
    } else {
        Extent::Write
    };
    let declared = declared(context, &config, &wanted, &extent).await?;
    if context.output.json {
        return context.output.document(&declared);
    }
    show(context, &declared, &extent);
    Ok(())
}

/// Changes the file, and writes down who did.
async fn declared(
    context: &Context,
    config: &Config,
    wanted: &Declaration,
    extent: &Extent,
) -> Result<Declared, Failure> {
    let declared = match declare(&context.config, wanted, extent, &system_entropy()) {
        Err(DeclareError::Unknown(name)) => return Err(unknown(config, &name)),
        declared => declared?,
    };
    if declared.written {
        written_down(config, async |reviewer| reviewer.declared(wanted).await).await;
    }
    Ok(declared)
}

fn show(context: &Context, declared: &Declared, extent: &Extent) {
    let output = context.output;
    let diff = declared.diff.trim_end_matches('\n');
    if diff.is_empty() {
        output.line(format!(
            "{} says so already; nothing was changed",
            declared.path.display()
        ));
        return;
    }
    output.line(diff);
    if let Some(why) = &declared.read_only {
        say(&format!(
            "note: {} was left as it is ({why}): commit the difference above where the file comes from",
            declared.path.display()
        ));
    } else if *extent == Extent::Plan {
        say("nothing was written");
    } else {
        output.line("written; a running daemon takes it up within 3 seconds");
    }
    if let (Some(secret), Some(file)) = (&declared.secret, &declared.secret_file) {
        output.line(format!(
            "\nthe new secret, for the receiver; it is shown this once:\n  {secret}"
        ));
        output.line(format!("kept in {}", file.display()));
    }
}

pub(super) async fn remove(context: &Context, arguments: RemoveArguments) -> Result<(), Failure> {
    let config = context.load()?;
    let wanted = Declaration {
        endpoint: arguments.endpoint,
        what: Declare::Removed,
        new_secret: false,
        from_afar: false,
    };
    let name = &wanted.endpoint;
    let planned = declared(context, &config, &wanted, &Extent::Plan).await?;
    let (store, clock) = opened(&config).await?;
    let rows = store.endpoints().await;
    let waiting = rows.map(|rows| {
        rows.iter()
            .find(|row| row.name == *name)
            .map_or(0, |row| row.waiting)
    });
    let done = async {
        let waiting = waiting?;
        let told = match waiting {
            0 => format!("nothing waits for {name}"),
            1 => format!("1 delivery waits for {name} and is given up with it"),
            waiting => format!("{waiting} deliveries wait for {name} and are given up with it"),
        };
        if !arguments.dry_run && !arguments.yes && !is_agreed(context, &told)? {
            say("nothing was changed");
            return Err(Failure::Told(FAILED));
        }
        let extent = if arguments.dry_run {
            Extent::Plan
        } else {
            Extent::Agreed(planned.hash)
        };
        let declared = declared(context, &config, &wanted, &extent).await?;
        if declared.differs {
            return Err(Failure::new(format!(
                "{} was changed by somebody else meanwhile; nothing was written",
                declared.path.display()
            ))
            .help("do it again"));
        }
        if declared.written {
            let after = context.load()?;
            app::notify::cancel(&after, &store, &clock, actor(), name).await?;
        }
        if context.output.json {
            let mut document = serde_json::to_value(&declared)
                .map_err(|error| Failure::because("the answer cannot be written", error))?;
            document["waiting"] = waiting.into();
            return context.output.document(&document);
        }
        show(context, &declared, &extent);
        context.output.line(told);
        Ok(())
    };
    let done = done.await;
    store.close().await;
    done
}

/// Whether a person agrees, who is asked on the terminal.
fn is_agreed(context: &Context, told: &str) -> Result<bool, Failure> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !context.output.json;
    if !can_ask {
        return Err(Failure::usage(format!("{told}: say --yes to take it out")));
    }
    let mut stderr = std::io::stderr().lock();
    let asked = write!(stderr, "{told}. Take it out? [y/N] ").and_then(|()| stderr.flush());
    drop(stderr);
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    Ok(asked.is_ok() && matches!(read, Ok(1..)) && is_yes)
}

/// The keys and values of `KEY=VALUE`.
fn values(keys: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut values = Map::new();
    for pair in keys {
        let (key, text) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{pair}` is no KEY=VALUE"))
                .help("for example: events='[\"order.*\"]' rate=50/s")
        })?;
        let mut path: Vec<&str> = key.split('.').map(str::trim).collect();
        let last = path.pop().unwrap_or_default();
        if last.is_empty() || path.iter().any(|part| part.is_empty()) {
            return Err(Failure::usage(format!("`{pair}` begins with no key")));
        }
        let mut table = &mut values;
        for part in path {
            let inner = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
            table = inner.as_object_mut().ok_or_else(|| {
                Failure::usage(format!("`{part}` is given both a value and keys of its own"))
            })?;
        }
        table.insert(last.to_owned(), value(text));
    }
    Ok(values)
}

/// A value as TOML has it; what is none is a text.
fn value(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let parsed: Option<Map<String, Value>> = toml::from_str(&format!("value = {text}")).ok();
    match parsed.and_then(|mut read| (read.len() == 1).then(|| read.remove("value")).flatten()) {
        // A table is what a date becomes.
        Some(value)
            if !text
                .trim_start()
                .starts_with(|first: char| first.is_ascii_digit())
                || value.is_number() =>
        {
            value
        }
        _ => Value::from(text),
    }
}

impl From<DeclareError> for Failure {
    fn from(error: DeclareError) -> Self {
        let told = error.to_string();
        match error {
            DeclareError::Edit(error) => error.into(),
            DeclareError::Secret { source, .. } => Self::because(told, source),
            DeclareError::There(name) => {
                Self::usage(told).help(format!("change it with: lockstep notify change {name} KEY=VALUE"))
            }
            DeclareError::Name(_)
            | DeclareError::Unknown(_)
            | DeclareError::Value { .. }
            | DeclareError::Afar { .. } => Self::usage(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_toml_or_text() {
        let keys = [
            "url=https://hooks.example.com/1?a=b",
            "events=['order.*', \"sync.failed\"]",
            "batch=10",
            "rate=50/s",
            "unique=true",
            "owner=",
            "body.mime=text/plain",
            "body.template='{{ event.id }}'",
            "timeout=5s",
        ]
        .map(str::to_owned);
        assert_eq!(
            Value::Object(values(&keys).unwrap()),
            json!({
                "url": "https://hooks.example.com/1?a=b", "events": ["order.*", "sync.failed"], "batch": 10, "rate": "50/s",
                "unique": true, "owner": null, "body": { "mime": "text/plain", "template": "{{ event.id }}" }, "timeout": "5s",
            })
        );
        for wrong in [&["batch"][..], &["=1"], &["a..b=1"], &["body=x", "body.mime=y"]] {
            let wrong: Vec<String> = wrong.iter().map(|pair| (*pair).to_owned()).collect();
            assert!(values(&wrong).is_err(), "{wrong:?}");
        }
    }
}
