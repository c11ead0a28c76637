//! Changing a toggle in the configuration file for somebody ([`edit`](super::edit)).

mod many;
mod text;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::edit::{EditError, FileEdit, Go, edit};
use crate::config::{Config, Environment};
use crate::domain::{Direction, Object, ShopName};
use crate::subscriptions::{Settings, Toggle, WhenOff};
pub use many::{Switch, Switching, Wanted, plan, set_all};

/// Why a toggle was not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ToggleError {
    /// The file cannot be used or changed.
    #[error(transparent)]
    Edit(#[from] EditError),
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
    let wanted = Wanted {
        shop: shop.clone(),
        object,
        direction,
        toggle,
    };
    let (file, changed) = edit(path, Go::Write, environment, |text, config| {
        let changed = changed(text, path, &config, &wanted, environment)?;
        let new = changed
            .new
            .as_ref()
            .map_or_else(|| text.to_owned(), |(new, _)| new.clone());
        Ok::<_, ToggleError>((new, changed))
    })?;
    let FileEdit {
        diff,
        written,
        read_only,
        ..
    } = file;
    Ok(Edited {
        path: path.to_owned(),
        shop: shop.clone(),
        category: changed.category,
        direction,
        before: changed.before,
        after: toggle,
        when_off: changed.when_off,
        diff,
        written,
        read_only,
    })
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
    let wish = text::Wish {
        shop: shop.as_str(),
        category,
        direction,
        toggle,
        // A category of its own says both directions: the other one is to stay what it followed.
        also: (object == Object::Inventory && declared.sync.inventory.is_none())
            .then(|| declared.sync.category(object))
            .flatten(),
    };
    let layout = |reason: String| EditError::Layout {
        path: path.to_owned(),
        reason,
        wanted: format!("[shops.{shop}.sync] {category} = {{ {direction} = \"{toggle}\" }}"),
    };
    let new = text::edited(text, &wish).map_err(layout)?;
    let after = Config::parse(&new, path, environment).map_err(EditError::Refused)?;
    let follows = after
        .shops
        .get(shop)
        .is_some_and(|after| after.sync == expected(&declared.sync, &wish, object));
    if !follows || after.shops.len() != config.shops.len() {
        return Err(layout("the change would not mean what it should".to_owned()).into());
    }
    Ok(changed(Some((new, after))))
}

/// The toggles as they must be after the change: this one is another, everything else is what it was.
fn expected(before: &Settings, wish: &text::Wish<'_>, object: Object) -> Settings {
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
