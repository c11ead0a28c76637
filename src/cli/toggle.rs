//! `lockstep toggle`: change a toggle in the configuration file.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::{FAILED, Failure, say};
use super::sync::{AskedForAll, all_of, tell};
use super::{Context, the_shop, written_down};
use crate::app;
use crate::app::edit::EditError;
use crate::app::import::OutCounts;
use crate::app::toggle::{Edited, ToggleError, set};
use crate::config::{Config, Shop};
use crate::domain::{Direction, Object, SharedEntropy, ShopName, SystemEntropy};
use crate::subscriptions::{Toggle, WhenOff};

/// Switch a category on, off or to a pause.
///
/// Edits the configuration file for you: comments, order and layout stay, and it is replaced at once, after the whole of it
/// was checked. A running daemon takes it up within three seconds; Shopify's webhooks follow. A file that cannot be written is
/// left alone, and the difference to commit is printed instead.
///
/// `out on` begins with what changes in the ERP from then on; what changed while it was off is not made up for. On a terminal it
/// shows how many records there are and asks whether all are to be carried over instead.
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
    /// With `out on`: begin with what changes in the ERP from now on. This is what happens where nobody can be asked, too.
    #[arg(long, conflicts_with = "push_all")]
    from_now: bool,
    /// With `out on`: carry everything over that is in the ERP.
    #[arg(long)]
    push_all: bool,
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
    /// What is on its way because everything was asked for.
    pushed: Option<&'a AskedForAll>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, arguments.shop.as_ref())?;
    let object: Object = arguments.category.into();
    let direction = match arguments.direction {
        DirectionName::In => Direction::In,
        DirectionName::Out => Direction::Out,
    };
    let toggle = match arguments.state {
        State::On => Toggle::On,
        State::Off => Toggle::Off,
        State::Paused => Toggle::Paused,
    };
    let before = shop.sync.toggle(object, direction);
    let may_begin = object != Object::Order && (direction, toggle) == (Direction::Out, Toggle::On);
    if !may_begin && (arguments.from_now || arguments.push_all) {
        return Err(Failure::usage("--from-now and --push-all go with `out on`"));
    }
    let begin = if may_begin && before == Toggle::Off {
        begin(context, arguments, &config, shop, object).await?
    } else if arguments.push_all {
        Begin::PushAll
    } else {
        Begin::FromNow
    };
    if begin == Begin::Cancelled {
        say("nothing was changed");
        return Err(Failure::Told(FAILED));
    }
    let edited = set(&context.config, &shop.name, object, direction, toggle)?;
    if edited.written {
        written_down(&config, async |reviewer| reviewer.edited(&edited).await).await;
    }
    let is_all = begin == Begin::PushAll;
    let pushed = if is_all && edited.read_only.is_none() {
        let pushed = all_of(&config, shop, object).await.map_err(|failure| {
            let again = format!("do it again with: lockstep sync {object} all --out");
            failure.help(format!(
                "it is \"{toggle}\", but not everything is on its way: {again}"
            ))
        });
        Some(pushed?)
    } else {
        None
    };
    if context.output.json {
        return context.output.document(&Printed {
            edited: &edited,
            changed: edited.before != edited.after,
            pushed: pushed.as_ref(),
        });
    }
    show(context, &edited, object, is_all);
    match &pushed {
        // What is said about toggles is said of the file as it is now.
        Some(pushed) => tell(context, &context.load()?, shop, pushed),
        None => Ok(()),
    }
}

/// What is carried over when the way back is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// What changes from now on.
    FromNow,
    /// Everything.
    PushAll,
    /// It is not switched on after all.
    Cancelled,
}

/// Shows what there is, and asks.
async fn begin(
    context: &Context,
    arguments: &Arguments,
    config: &Config,
    shop: &Shop,
    object: Object,
) -> Result<Begin, Failure> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !context.output.json;
    if arguments.from_now || (!arguments.push_all && !can_ask) {
        return Ok(Begin::FromNow);
    }
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let clock = app::clock::process_clock();
    let counts = app::import::count_out(config, shop, object, (&clock, &entropy)).await;
    match counts {
        Ok(counts) => say(&counted_out(object, &shop.name, &counts)),
        // Beginning from now on needs no counts; carrying everything over finds out by itself what is wrong.
        Err(error) => say(&format!(
            "note: the {object}s of the ERP cannot be counted: {error}"
        )),
    }
    if arguments.push_all {
        return Ok(Begin::PushAll);
    }
    let mut stderr = std::io::stderr().lock();
    let question = "Carry over what changes from [n]ow on, or [a]ll of it, or [c]ancel? [N/a/c] ";
    let asked = write!(stderr, "{question}").and_then(|()| stderr.flush());
    drop(stderr);
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    Ok(match (asked, read) {
        (Ok(()), Ok(1..)) => answered(&answer),
        _ => Begin::Cancelled,
    })
}

/// What an answer means. What nobody can read changes nothing.
fn answered(answer: &str) -> Begin {
    match answer.trim().to_lowercase().as_str() {
        "" | "n" | "now" | "from now" => Begin::FromNow,
        "a" | "all" | "push all" => Begin::PushAll,
        _ => Begin::Cancelled,
    }
}

fn counted_out(object: Object, shop: &ShopName, counts: &OutCounts) -> String {
    let OutCounts {
        in_erp,
        linked,
        left_alone,
        new,
    } = counts;
    if object == Object::Inventory {
        return format!(
            "the ERP has {in_erp} variants with stock: {linked} are linked with [shops.{shop}], and their stock is sent, that of all variants of a \
             product together; {left_alone} are not, and left alone"
        );
    }
    let of = match object {
        Object::Customer => "partners",
        _ => "products",
    };
    format!(
        "the ERP has {in_erp} {of} that are not archived: {linked} are linked with [shops.{shop}], {left_alone} are left alone by the mapping, \
         and {new} would be made new on the shop (but those that match one there; `lockstep import --match-only` links them first)"
    )
}

fn show(context: &Context, edited: &Edited, object: Object, is_all: bool) {
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
        if is_all {
            say(&format!(
                "note: nothing is on its way yet; when it is \"on\": lockstep sync {object} all --out"
            ));
        }
        return;
    }
    context.output.line(change);
    context.output.line(diff);
    context
        .output
        .line("written; a running daemon takes it up within 3 seconds");
    if (edited.direction, edited.before) == (Direction::Out, Toggle::Off) && !is_all {
        context.output.line(format!(
            "from now on: what changes in the ERP is carried over, and nothing of what changed before; for all that is there: lockstep sync {object} all --out"
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
            ToggleError::Edit(error) => error.into(),
            ToggleError::NoOrdersOut | ToggleError::NoSuchShop { .. } | ToggleError::NoToggle(_) => {
                Self::usage(error.to_string())
            }
        }
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Config(error) => error.into(),
            EditError::Refused(error) => {
                say("with this change the configuration could not be used; nothing was written");
                error.into()
            }
            EditError::Write { ref path, .. } => {
                Self::because(format!("cannot write {}", path.display()), error)
            }
            EditError::Layout { .. } | EditError::ChangedMeanwhile(_) => Self::new(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nobody_can_read_changes_nothing() {
        for (answer, expected) in [
            ("\n", Begin::FromNow),
            ("N\n", Begin::FromNow),
            (" all \n", Begin::PushAll),
            ("a\n", Begin::PushAll),
            ("c\n", Begin::Cancelled),
            ("y\n", Begin::Cancelled),
        ] {
            assert_eq!(answered(answer), expected, "{answer:?}");
        }
    }

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
