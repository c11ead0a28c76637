//! The text of the configuration with one toggle changed, and nothing else.

use toml::de::{DeTable, DeValue};
use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use crate::app::edit::{insert, marked, rewritten, unmarked};
use crate::domain::Direction;
use crate::subscriptions::{Category, Toggle, Urgency, WhenOff};

/// What is to stand in the file.
pub(super) struct Wish<'a> {
    pub(super) shop: &'a str,
    pub(super) category: &'a str,
    pub(super) direction: Direction,
    pub(super) toggle: Toggle,
    /// What else a category that is not there yet must say.
    pub(super) also: Option<Category>,
}

/// The changed text, or what is in the way.
pub(super) fn edited(text: &str, wish: &Wish<'_>) -> Result<String, String> {
    let (is_marked, body) = unmarked(text);
    let new = match replaced(body, wish) {
        Some(new) => new,
        None => rewritten(body, |document| insert_into(document, wish))?,
    };
    Ok(marked(is_marked, new))
}

/// The text with another word in the place of the one that is there: nothing else can change.
fn replaced(body: &str, wish: &Wish<'_>) -> Option<String> {
    let root = DeTable::parse(body).ok()?;
    let path = ["shops", wish.shop, "sync", wish.category];
    let category = path
        .iter()
        .try_fold(root.get_ref(), |table, key| match table.get(*key)?.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        })?;
    let place = category.get(wish.direction.as_str())?.span();
    let there = body.get(place.clone())?;
    let quote = there.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let word = format!("{quote}{}{quote}", wish.toggle);
    Some([&body[..place.start], &word, &body[place.end..]].concat())
}

fn insert_into(document: &mut DocumentMut, wish: &Wish<'_>) -> Result<(), String> {
    let shops = child(document.as_item_mut(), "shops")?;
    let shop = child(shops, wish.shop)?;
    if shop.get("sync").is_none() {
        let sync = if shop.is_inline_table() {
            Item::Value(Value::InlineTable(InlineTable::new()))
        } else {
            Item::Table(Table::new())
        };
        insert(shop, "sync", sync)?;
    }
    let sync = child(shop, "sync")?;
    if sync.get(wish.category).is_none() {
        let category = Value::InlineTable(category(wish));
        return insert(sync, wish.category, Item::Value(category));
    }
    let category = child(sync, wish.category)?;
    insert(
        category,
        wish.direction.as_str(),
        toml_edit::value(wish.toggle.to_string()),
    )
}

/// A category that is not there yet.
fn category(wish: &Wish<'_>) -> InlineTable {
    let mut table = InlineTable::new();
    let also = wish.also.clone().unwrap_or_default();
    for (direction, kept) in [(Direction::In, also.inward), (Direction::Out, also.outward)] {
        let toggle = if direction == wish.direction {
            Some(wish.toggle)
        } else {
            wish.also.is_some().then_some(kept)
        };
        if let Some(toggle) = toggle {
            table.insert(direction.as_str(), toggle.to_string().into());
        }
    }
    let priority = match also.priority {
        Urgency::Urgent => Some("urgent"),
        Urgency::Normal => None,
        Urgency::Background => Some("background"),
    };
    let when_off = match also.when_off {
        WhenOff::Drain => None,
        WhenOff::Hold => Some("hold"),
        WhenOff::Discard => Some("discard"),
    };
    for (key, word) in [("priority", priority), ("when_off", when_off)] {
        if let Some(word) = word {
            table.insert(key, word.into());
        }
    }
    table
}

fn child<'i>(item: &'i mut Item, key: &str) -> Result<&'i mut Item, String> {
    item.get_mut(key).ok_or_else(|| format!("`{key}` is not found"))
}
