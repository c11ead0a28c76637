//! `lockstep toggle`: change a toggle in the configuration file.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::{Failure, say};
use super::{Context, the_shop};
use crate::app::toggle::{Edited, ToggleError, set};
use crate::domain::{Direction, Object, ShopName};
use crate::subscriptions::{Toggle, WhenOff};

/// Switch a category on, off or to a pause.
///
/// Edits the configuration file for you: comments, order and layout stay, and it is replaced at once, after the whole of it
/// was checked. A running daemon takes it up within three seconds; Shopify's webhooks follow. A file that cannot be written is
/// left alone, and the difference to commit is printed instead.
#[derive(Debug, Args)]
#[command(after_help = "For example: lockstep toggle orders in paused --shop main")]
pub(super) struct Arguments {
    /// What is carried over.
    category: CategoryName,
    /// Which way: `in` is from Shopify to the ERP, `out` the other.
    direction: DirectionName,
    /// Whether it is.
    state: State,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CategoryName {
    #[value(alias = "order")]
    Orders,
    #[value(alias = "customer")]
    Customers,
    #[value(alias = "product")]
    Products,
    /// Stock levels; they follow the products until they are set.
    Inventory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DirectionName {
    In,
    Out,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// Changes are carried over.
    On,
    /// Changes are left alone; what came is recorded.
    Off,
    /// Changes are kept and carried over later.
    Paused,
}

impl From<CategoryName> for Object {
    fn from(name: CategoryName) -> Self {
        match name {
            CategoryName::Orders => Self::Order,
            CategoryName::Customers => Self::Customer,
            CategoryName::Products => Self::Product,
            CategoryName::Inventory => Self::Inventory,
        }
    }
}

/// The result for programs.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    edited: &'a Edited,
    changed: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = &the_shop(&config, arguments.shop.as_ref())?.name;
    let direction = match arguments.direction {
        DirectionName::In => Direction::In,
        DirectionName::Out => Direction::Out,
    };
    let toggle = match arguments.state {
        State::On => Toggle::On,
        State::Off => Toggle::Off,
        State::Paused => Toggle::Paused,
    };
    let edited = set(
        &context.config,
        shop,
        arguments.category.into(),
        direction,
        toggle,
    )?;
    if context.output.json {
        return context.output.document(&Printed {
            edited: &edited,
            changed: edited.before != edited.after,
        });
    }
    show(context, &edited);
    Ok(())
}

fn show(context: &Context, edited: &Edited) {
    let what = format!(
        "{}.{} of [shops.{}]",
        edited.category, edited.direction, edited.shop
    );
    if edited.before == edited.after {
        context
            .output
            .line(format!("{what} is \"{}\" already", edited.after));
        return;
    }
    let change = format!("{what}: \"{}\" -> \"{}\"", edited.before, edited.after);
    let diff = edited.diff.trim_end_matches('\n');
    if let Some(why) = &edited.read_only {
        // Nothing but the difference, so that it can be piped to where the file comes from.
        context.output.line(diff);
        say(&format!(
            "{change}\nnote: {} was left as it is ({why}): commit the difference above where the file comes from",
            edited.path.display()
        ));
        return;
    }
    context.output.line(change);
    context.output.line(diff);
    context
        .output
        .line("written; a running daemon takes it up within 3 seconds");
    if (edited.direction, edited.before) == (Direction::Out, Toggle::Off) {
        let object = match edited.category {
            "customers" => "customer",
            "inventory" => "inventory",
            _ => "product",
        };
        context.output.line(format!(
            "what changes in the ERP from now on is carried over; for all that is there: lockstep sync {object} all --out"
        ));
    }
    if let Some(note) = waiting(edited.after, edited.when_off, edited.direction) {
        context.output.line(note);
    }
}

/// What becomes of jobs that wait.
fn waiting(after: Toggle, when_off: WhenOff, direction: Direction) -> Option<&'static str> {
    Some(match (after, when_off) {
        (Toggle::On, _) => return None,
        (Toggle::Paused, _) => "jobs are made and wait until it is \"on\" again",
        (Toggle::Off, WhenOff::Drain) if direction == Direction::Out => {
            "jobs that wait are still done and write to the shop (when_off = \"drain\"); to stop at once, say \"paused\" instead"
        }
        (Toggle::Off, WhenOff::Drain) => {
            "jobs that wait are still done and write to the ERP (when_off = \"drain\"); to stop at once, say \"paused\" instead"
        }
        (Toggle::Off, WhenOff::Hold) => {
            "jobs that wait are kept until it is \"on\" again (when_off = \"hold\")"
        }
        (Toggle::Off, WhenOff::Discard) => "jobs that wait are discarded (when_off = \"discard\")",
    })
}

impl From<ToggleError> for Failure {
    fn from(error: ToggleError) -> Self {
        match error {
            ToggleError::Config(error) => error.into(),
            ToggleError::Refused(error) => {
                say("with this change the configuration could not be used; nothing was written");
                error.into()
            }
            ToggleError::Write { ref path, .. } => {
                Self::because(format!("cannot write {}", path.display()), error)
            }
            ToggleError::NoOrdersOut | ToggleError::NoSuchShop { .. } | ToggleError::NoToggle(_) => {
                Self::usage(error.to_string())
            }
            ToggleError::Layout { .. } | ToggleError::ChangedMeanwhile(_) => Self::new(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_says_what_waiting_jobs_still_do_and_how_to_stop_them() {
        for (after, when_off, direction, parts) in [
            (
                Toggle::Off,
                WhenOff::Drain,
                Direction::Out,
                &["write to the shop", "\"paused\""][..],
            ),
            (
                Toggle::Off,
                WhenOff::Drain,
                Direction::In,
                &["write to the ERP", "\"paused\""],
            ),
            (Toggle::Off, WhenOff::Hold, Direction::Out, &["kept until"]),
            (Toggle::Off, WhenOff::Discard, Direction::Out, &["discarded"]),
            (Toggle::Paused, WhenOff::Drain, Direction::Out, &["wait until"]),
        ] {
            let note = waiting(after, when_off, direction).unwrap();
            for part in parts {
                assert!(note.contains(part), "{after} {when_off:?} {direction}: {note}");
            }
        }
        assert_eq!(waiting(Toggle::On, WhenOff::Drain, Direction::Out), None);
    }
}
