//! `[shops.NAME.sync]`: what is carried over.

use super::Checker;
use crate::config::finding::Finding;
use crate::config::sections::ShopSection;
use crate::domain::nearest;
use crate::domain::{Object, Topic, TopicAction};
use crate::subscriptions::{Category, Toggle};
use toml::de::DeValue;

impl Checker<'_> {
    pub(super) fn toggles(&mut self, shop: &str, section: &ShopSection) {
        let sync = &section.sync;
        if sync.orders.outward != Toggle::Off {
            self.error(
                &["shops", shop, "sync", "orders", "out"],
                "orders are not carried from the ERP to Shopify",
                "an order is made in the shop and booked in the ERP; take `out` away",
            );
        }
        let not_yet = |checker: &mut Self, object: &'static str, direction: &'static str, toggle: Toggle| {
            if toggle != Toggle::Off {
                checker.warning(
                    &["shops", shop, "sync", object, direction],
                    format!("{object}.{direction} is accepted, but this version does not carry it out yet"),
                    "nothing happens for it until a version that does is installed",
                );
            }
        };
        if let Some(inventory) = &sync.inventory {
            not_yet(self, "inventory", "in", inventory.inward);
        }
        let categories = [
            (Object::Order, Some(&sync.orders)),
            (Object::Customer, Some(&sync.customers)),
            (Object::Product, Some(&sync.products)),
            (Object::Inventory, sync.inventory.as_ref()),
        ];
        for (object, category) in categories {
            if let Some(category) = category {
                self.topics(shop, object, category);
            }
        }
        let says_any = ["orders", "customers", "products", "inventory"]
            .iter()
            .any(|object| {
                ["in", "out"]
                    .iter()
                    .any(|direction| self.says(&["shops", shop, "sync", object, direction]))
            });
        let all_off = [&sync.orders, &sync.customers, &sync.products]
            .into_iter()
            .chain(sync.inventory.as_ref())
            .all(|category| category.inward == Toggle::Off && category.outward == Toggle::Off);
        // What is written and refused is reported already; what is written as "off" is meant so.
        if all_off && !says_any {
            self.warning(
                &["shops", shop, "sync"],
                format!("nothing is switched on for [shops.{shop}]"),
                "add a section [shops.NAME.sync] with orders = { in = \"on\" }",
            );
        }
    }

    /// Each further topic must exist, be about this object, and be one that can be subscribed to.
    fn topics(&mut self, shop: &str, object: Object, category: &Category) {
        let name = category_name(object);
        let path = ["shops", shop, "sync", name, "topics"];
        for (at, topic) in category.topics.iter().enumerate() {
            let (message, help) = match verdict(object, topic) {
                Ok(()) => continue,
                Err(fault) => fault,
            };
            // The item itself; a list that was refused has no items.
            let span = match self.document.get(&path).map(toml::Spanned::get_ref) {
                Some(DeValue::Array(items)) => items.get(at).map(toml::Spanned::span),
                _ => None,
            };
            let span = span.unwrap_or_else(|| self.document.span(&path));
            self.found.push(Finding::error(span, message).help(help));
        }
        if !category.topics.is_empty() && category.inward == Toggle::Off {
            self.warning(
                &path,
                format!("these topics are not subscribed to while {name}.in is \"off\""),
                "switch it on, or take the line out",
            );
        }
    }
}

/// A category as the file names it.
const fn category_name(object: Object) -> &'static str {
    match object {
        Object::Order => "orders",
        Object::Customer => "customers",
        Object::Product | Object::Shop => "products",
        Object::Inventory => "inventory",
    }
}

/// Whether the topic may be one of the object's; else what is wrong, and what to do.
fn verdict(object: Object, name: &str) -> Result<(), (String, String)> {
    let Some(topic) = Topic::of_header(name) else {
        let spelling = |topic: &&Topic| topic.graphql == Some(name);
        let meant = Topic::ALL
            .iter()
            .find(spelling)
            .map(|topic| topic.name)
            .or_else(|| nearest(name, Topic::ALL.iter().map(|topic| topic.name)));
        let help = match meant {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => {
                let known: Vec<&str> = Topic::ALL
                    .iter()
                    .filter(|topic| about(topic) == Some(object) && topic.graphql.is_some())
                    .map(|topic| topic.name)
                    .collect();
                format!("those about {} are: {}", category_name(object), known.join(", "))
            }
        };
        return Err(("there is no such topic".to_owned(), help));
    };
    match (topic.action, about(topic)) {
        (TopicAction::Uninstalled, _) => Err((
            "this topic is always subscribed to".to_owned(),
            "take it out".to_owned(),
        )),
        (TopicAction::Compliance, _) => Err((
            "this topic cannot be subscribed to here".to_owned(),
            "privacy requests are set up with the app (compliance_topics in its shopify.app.toml); lockstep carries them out"
                .to_owned(),
        )),
        (_, Some(other)) if other != object => Err((
            format!("this topic is about {}", category_name(other)),
            format!("write it into the topics of {}", category_name(other)),
        )),
        _ => Ok(()),
    }
}

/// What the events of a topic are about.
fn about(topic: &Topic) -> Option<Object> {
    match topic.action {
        TopicAction::Look(object, _) | TopicAction::Gone(object, _) => Some(object),
        TopicAction::Uninstalled | TopicAction::Compliance => None,
    }
}
