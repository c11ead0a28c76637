//! Changing a toggle in the configuration file for somebody: the file stays theirs, with its comments, order and layout.
//!
//! The whole file as it would be is checked before anything is written, and it is replaced at once, so that a running
//! daemon never sees half of it. A file that cannot be written (a read-only mount, a file under version control that is
//! deployed) is no failure: the difference to commit is the answer.

mod diff;
mod edit;
mod many;
pub(super) mod replace;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{Config, ConfigError, Environment, redacted};
use crate::domain::{Direction, Object, ShopName};
use crate::subscriptions::{Settings, Toggle, WhenOff};
pub(in crate::app) use diff::unified;
pub use many::{Switch, Switching, Wanted, plan, set_all};
use replace::{Held, Outcome};

/// Why a toggle was not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ToggleError {
    /// The file cannot be used as it is; that must be mended first.
    #[error(transparent)]
    Config(ConfigError),
    /// The file has no such shop.
    #[error("the configuration has no shop `{shop}`; it has: {}", known.join(", "))]
    NoSuchShop {
        /// The shop that was named.
        shop: ShopName,
        /// The shops that there are.
        known: Vec<String>,
    },
    /// Orders are made in the shop.
    #[error(
        "orders are not carried from the ERP to Shopify: an order is made in the shop and booked in the ERP"
    )]
    NoOrdersOut,
    /// The object has no toggle.
    #[error("`{0}` has no toggle")]
    NoToggle(Object),
    /// The file would not be usable with this change.
    #[error("with this change the configuration could not be used")]
    Refused(#[source] ConfigError),
    /// The file is laid out in a way that cannot be edited safely.
    #[error("cannot change {} safely: {reason}; write {wanted} there yourself", path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// What is in the way.
        reason: String,
        /// What should stand there.
        wanted: String,
    },
    /// The file changed while it was edited.
    #[error("{} was changed by somebody else at the same moment: look at it, then try again", .0.display())]
    ChangedMeanwhile(PathBuf),
    /// The file cannot be written for another reason than its permissions.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What became of the wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Edited {
    /// The file.
    pub path: PathBuf,
    /// The shop.
    pub shop: ShopName,
    /// The category as the file names it, e.g. `orders`.
    pub category: &'static str,
    /// The direction.
    pub direction: Direction,
    /// What it was.
    pub before: Toggle,
    /// What it is to be.
    pub after: Toggle,
    /// What becomes of waiting jobs when it is off.
    pub when_off: WhenOff,
    /// The change as a unified difference; empty when nothing had to change. Secrets are overwritten.
    pub diff: String,
    /// Whether the file was written.
    pub written: bool,
    /// Why the file was left alone although something had to change: the difference is to be committed where the file
    /// comes from.
    pub read_only: Option<String>,
}

/// A category as the configuration names it.
pub const fn category_name(object: Object) -> Option<&'static str> {
    match object {
        Object::Order => Some("orders"),
        Object::Customer => Some("customers"),
        Object::Product => Some("products"),
        Object::Inventory => Some("inventory"),
        Object::Shop => None,
    }
}

/// Sets one toggle in the configuration file.
///
/// # Errors
/// When the file cannot be read, used or changed. Nothing was written then.
pub fn set(
    path: &Path,
    shop: &ShopName,
    object: Object,
    direction: Direction,
    toggle: Toggle,
) -> Result<Edited, ToggleError> {
    let environment = |name: &str| std::env::var(name).ok();
    set_with(path, shop, object, direction, toggle, &environment)
}

fn set_with(
    path: &Path,
    shop: &ShopName,
    object: Object,
    direction: Direction,
    toggle: Toggle,
    environment: Environment<'_>,
) -> Result<Edited, ToggleError> {
    let (held, text) = Held::open(path).map_err(|source| {
        ToggleError::Config(ConfigError::Read {
            path: path.to_owned(),
            source,
        })
    })?;
    let config = Config::parse(&text, path, environment).map_err(ToggleError::Config)?;
    let wanted = Wanted {
        shop: shop.clone(),
        object,
        direction,
        toggle,
    };
    let changed = changed(&text, path, &config, &wanted, environment)?;
    let edited = |diff: String, outcome: Option<Outcome>| Edited {
        path: path.to_owned(),
        shop: shop.clone(),
        category: changed.category,
        direction,
        before: changed.before,
        after: toggle,
        when_off: changed.when_off,
        diff,
        written: outcome == Some(Outcome::Written),
        read_only: match outcome {
            Some(Outcome::ReadOnly(why)) => Some(why),
            _ => None,
        },
    };
    let Some((new, _)) = &changed.new else {
        return Ok(edited(String::new(), None));
    };
    let name = path.display().to_string();
    let diff = diff::unified(&name, (&text, &redacted(&text)), (new, &redacted(new)));
    match held.replace(&text, new) {
        Ok(Outcome::Changed) => Err(ToggleError::ChangedMeanwhile(path.to_owned())),
        Ok(outcome) => Ok(edited(diff, Some(outcome))),
        Err(source) => Err(ToggleError::Write {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A text with one toggle changed.
struct Changed {
    category: &'static str,
    before: Toggle,
    when_off: WhenOff,
    /// The new text and what it says; none where the toggle is what it should be already.
    new: Option<(String, Config)>,
}

/// Changes the text, whose configuration is `config`. Nothing is written.
fn changed(
    text: &str,
    path: &Path,
    config: &Config,
    wanted: &Wanted,
    environment: Environment<'_>,
) -> Result<Changed, ToggleError> {
    let Wanted {
        shop,
        object,
        direction,
        toggle,
    } = wanted;
    let (object, direction, toggle) = (*object, *direction, *toggle);
    let category = category_name(object).ok_or(ToggleError::NoToggle(object))?;
    if object == Object::Order && direction == Direction::Out && toggle != Toggle::Off {
        return Err(ToggleError::NoOrdersOut);
    }
    let Some(declared) = config.shops.get(shop) else {
        return Err(ToggleError::NoSuchShop {
            shop: shop.clone(),
            known: config.shops.keys().map(ToString::to_string).collect(),
        });
    };
    let before = declared.sync.toggle(object, direction);
    let changed = |new| Changed {
        category,
        before,
        when_off: declared
            .sync
            .category(object)
            .map_or_else(WhenOff::default, |category| category.when_off),
        new,
    };
    if before == toggle {
        return Ok(changed(None));
    }
    let wish = edit::Wish {
        shop: shop.as_str(),
        category,
        direction,
        toggle,
        // A category of its own says both directions: the other one is to stay what it followed.
        also: (object == Object::Inventory && declared.sync.inventory.is_none())
            .then(|| declared.sync.category(object))
            .flatten(),
    };
    let layout = |reason: String| ToggleError::Layout {
        path: path.to_owned(),
        reason,
        wanted: format!("[shops.{shop}.sync] {category} = {{ {direction} = \"{toggle}\" }}"),
    };
    let new = edit::edited(text, &wish).map_err(layout)?;
    let after = Config::parse(&new, path, environment).map_err(ToggleError::Refused)?;
    let follows = after
        .shops
        .get(shop)
        .is_some_and(|after| after.sync == expected(&declared.sync, &wish, object));
    if !follows || after.shops.len() != config.shops.len() {
        return Err(layout("the change would not mean what it should".to_owned()));
    }
    Ok(changed(Some((new, after))))
}

/// The toggles as they must be after the change: this one is another, everything else is what it was.
fn expected(before: &Settings, wish: &edit::Wish<'_>, object: Object) -> Settings {
    let mut after = before.clone();
    let category = match object {
        Object::Order => &mut after.orders,
        Object::Customer => &mut after.customers,
        Object::Product | Object::Shop => &mut after.products,
        Object::Inventory => after
            .inventory
            .get_or_insert_with(|| wish.also.clone().unwrap_or_default()),
    };
    match wish.direction {
        Direction::In => category.inward = wish.toggle,
        Direction::Out => category.outward = wish.toggle,
    }
    after
}

#[cfg(test)]
mod tests;
