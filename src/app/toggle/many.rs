//! Several toggles at once, looked at before they are written.

use std::path::Path;

use super::{ToggleError, changed};
use crate::app::edit::{FileEdit, Go, edit};
use crate::config::{Config, Environment};
use crate::domain::{Direction, Object, ShopName};
use crate::subscriptions::{Toggle, WhenOff};

/// What a toggle is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The shop.
    pub shop: ShopName,
    /// What.
    pub object: Object,
    /// Which way.
    pub direction: Direction,
    /// The state.
    pub toggle: Toggle,
}

/// A toggle that would be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// What it is to be.
    pub wanted: Wanted,
    /// What it is.
    pub before: Toggle,
    /// What becomes of waiting jobs when it is off.
    pub when_off: WhenOff,
}

/// What would change, or has changed.
#[derive(Clone, Debug)]
pub struct Switching {
    /// The toggles that differ, in the order in which they were named.
    pub switches: Vec<Switch>,
    /// The change of the file as a unified difference. Secrets are overwritten.
    pub diff: String,
    /// Tells this change of this file from every other: who agrees to it names it.
    pub hash: String,
    /// The configuration as it would be.
    pub after: Box<Config>,
    /// Whether the file was written.
    pub written: bool,
    /// Why the file was left alone although something had to change.
    pub read_only: Option<String>,
    /// The file was another one when somebody agreed: nothing was written.
    pub differs: bool,
}

/// What the file would become. Writes nothing.
///
/// # Errors
/// When the file cannot be read, used or changed so.
pub fn plan(path: &Path, wanted: &[Wanted]) -> Result<Switching, ToggleError> {
    carry_out(path, wanted, None, &|name| std::env::var(name).ok())
}

/// Writes it, if it is still the change that was agreed to.
///
/// # Errors
/// When the file cannot be read, used or changed. Nothing was written then.
pub fn set_all(path: &Path, wanted: &[Wanted], agreed: &str) -> Result<Switching, ToggleError> {
    carry_out(path, wanted, Some(agreed), &|name| std::env::var(name).ok())
}

pub(super) fn carry_out(
    path: &Path,
    wanted: &[Wanted],
    agreed: Option<&str>,
    environment: Environment<'_>,
) -> Result<Switching, ToggleError> {
    let go = agreed.map_or(Go::Plan, Go::Agreed);
    let (file, (switches, after)) = edit(path, go, environment, |text, config| {
        let (mut new, mut after) = (text.to_owned(), config);
        let mut switches = Vec::new();
        for one in wanted {
            let step = changed(&new, path, &after, one, environment)?;
            if let Some((next, config)) = step.new {
                switches.push(Switch {
                    wanted: one.clone(),
                    before: step.before,
                    when_off: step.when_off,
                });
                new = next;
                after = config;
            }
        }
        Ok::<_, ToggleError>((new, (switches, after)))
    })?;
    let FileEdit {
        diff,
        hash,
        written,
        read_only,
        differs,
    } = file;
    Ok(Switching {
        switches,
        diff,
        hash,
        after: Box::new(after),
        written,
        read_only,
        differs,
    })
}
