//! `[shops.NAME.sync]`: what is carried over, in which direction.

use std::fmt;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Direction, Object, Priority};

/// `[webhooks]`: how the subscriptions on Shopify are watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// When they are looked at and put right, besides at the start and at every change of this file: a cron expression
    /// (UTC), five or six fields. A subscription that Shopify deleted is back within that time.
    pub schedule: String,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            schedule: "*/5 * * * *".into(),
        }
    }
}

/// `[shops.NAME.sync]`: the toggles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Orders; only `in`.
    pub orders: Category,
    /// Customers.
    pub customers: Category,
    /// Products.
    pub products: Category,
    /// Stock levels. Without this key they follow `products`.
    pub inventory: Option<Category>,
}

/// One object: its two directions, and what is special about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Category {
    /// From Shopify to the ERP.
    #[serde(rename = "in")]
    pub inward: Toggle,
    /// From the ERP to Shopify.
    #[serde(rename = "out")]
    pub outward: Toggle,
    /// Webhook topics to subscribe to besides the usual ones, e.g. `["fulfillments/update"]`.
    pub topics: Vec<String>,
    /// How soon its jobs are done where there is more to do than can be done at once.
    pub priority: Urgency,
    /// What becomes of jobs that wait when a direction is switched off.
    pub when_off: WhenOff,
    /// Manual review: every plan waits until a person approves of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ManualReview>,
}

/// That nothing is written before a person saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualReview {
    /// Who looks at the plans: a person or a team.
    pub owner: String,
    /// The last day for which it is meant, e.g. `2026-12-31`. Nothing ends by itself then: whoever looks is reminded.
    pub until: String,
    /// The one direction that is meant; both without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Direction>,
}

impl ManualReview {
    /// The last day; none where it is no day.
    pub fn last_day(&self) -> Option<NaiveDate> {
        self.until.parse().ok()
    }

    /// Whether plans of this direction wait.
    pub fn covers(&self, direction: Direction) -> bool {
        self.only.is_none_or(|only| only == direction)
    }
}

/// Whether something is carried over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Toggle {
    /// It is.
    On,
    /// It is not; events are recorded without effect.
    #[default]
    Off,
    /// Not now: jobs are made and wait.
    Paused,
}

impl fmt::Display for Toggle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Paused => "paused",
        })
    }
}

/// How soon jobs are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Before those of every other object.
    Urgent,
    /// In turn with the others.
    #[default]
    Normal,
    /// When nothing else is to be done.
    Background,
}

impl Urgency {
    /// The priority of jobs that events make.
    pub const fn priority(self) -> Priority {
        match self {
            Self::Urgent => Priority::URGENT,
            Self::Normal => Priority::LIVE,
            Self::Background => Priority::BACKGROUND,
        }
    }
}

/// What becomes of waiting jobs when their toggle is switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenOff {
    /// They are still done; only new changes are left alone.
    #[default]
    Drain,
    /// They wait until it is switched on again.
    Hold,
    /// They are discarded.
    Discard,
}

impl Settings {
    /// The category of an object; notices about the shop itself have none. `inventory` follows `products` in everything
    /// but the extra topics.
    pub fn category(&self, object: Object) -> Option<Category> {
        Some(match object {
            Object::Order => self.orders.clone(),
            Object::Customer => self.customers.clone(),
            Object::Product => self.products.clone(),
            Object::Inventory => self.inventory.clone().unwrap_or_else(|| Category {
                topics: Vec::new(),
                ..self.products.clone()
            }),
            Object::Shop => return None,
        })
    }

    /// The toggle of one lane; off for what has none.
    pub fn toggle(&self, object: Object, direction: Direction) -> Toggle {
        self.category(object)
            .map_or(Toggle::Off, |category| match direction {
                Direction::In => category.inward,
                Direction::Out => category.outward,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_follows_products_unless_it_is_set() {
        let follows: Settings =
            toml::from_str("products = { in = 'on', out = 'paused', topics = ['products/delete'] }").unwrap();
        assert_eq!(follows.toggle(Object::Inventory, Direction::In), Toggle::On);
        assert_eq!(follows.toggle(Object::Inventory, Direction::Out), Toggle::Paused);
        assert!(follows.category(Object::Inventory).unwrap().topics.is_empty());
        let set: Settings = toml::from_str("products = { in = 'on' }\ninventory = { out = 'on' }").unwrap();
        assert_eq!(set.toggle(Object::Inventory, Direction::In), Toggle::Off);
        assert_eq!(set.toggle(Object::Inventory, Direction::Out), Toggle::On);
    }
}
