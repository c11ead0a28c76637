//! Several toggles at once, looked at before they are written.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::replace::{Held, Outcome};
use super::{ToggleError, changed, diff};
use crate::config::{Config, ConfigError, Environment, redacted};
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
    let (held, text) = Held::open(path).map_err(|source| {
        ToggleError::Config(ConfigError::Read {
            path: path.to_owned(),
            source,
        })
    })?;
    let mut new = text.clone();
    let mut after = Config::parse(&text, path, environment).map_err(ToggleError::Config)?;
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
    let name = path.display().to_string();
    let hash = hex::encode(Sha256::digest([text.as_str(), new.as_str()].join("\0")));
    let mut switching = Switching {
        switches,
        diff: if new == text {
            String::new()
        } else {
            diff::unified(&name, (&text, &redacted(&text)), (&new, &redacted(&new)))
        },
        after: Box::new(after),
        written: false,
        read_only: None,
        differs: agreed.is_some_and(|agreed| agreed != hash),
        hash,
    };
    if agreed.is_none() || switching.differs || new == text {
        return Ok(switching);
    }
    match held.replace(&text, &new) {
        Ok(Outcome::Changed) => return Err(ToggleError::ChangedMeanwhile(path.to_owned())),
        Ok(Outcome::Written) => switching.written = true,
        Ok(Outcome::ReadOnly(why)) => switching.read_only = Some(why),
        Err(source) => {
            return Err(ToggleError::Write {
                path: path.to_owned(),
                source,
            });
        }
    }
    Ok(switching)
}
