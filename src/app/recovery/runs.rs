//! The runs that close what webhooks left open, by this shop's configuration.

use super::words::interval;
use crate::config::Shop;
use crate::domain::{Direction, Object};
use crate::reconcile::{Every, Times};
use crate::subscriptions::Toggle;

/// What runs look for on Shopify.
const OBJECTS: [(Object, &str); 3] = [
    (Object::Order, "orders"),
    (Object::Customer, "customers"),
    (Object::Product, "products"),
];

/// What is taken in from Shopify, in words; none where nothing is.
pub(super) fn taken_in(shop: &Shop) -> Option<String> {
    let on: Vec<&str> = OBJECTS
        .into_iter()
        .filter(|(object, _)| shop.sync.toggle(*object, Direction::In) != Toggle::Off)
        .map(|(_, words)| words)
        .collect();
    (!on.is_empty()).then(|| on.join(", "))
}

/// Whether anything is carried to the shop.
pub(super) fn sends(shop: &Shop) -> bool {
    Object::ALL
        .iter()
        .any(|object| shop.sync.toggle(*object, Direction::Out) != Toggle::Off)
}

/// The delta run.
pub(super) fn delta_run(shop: &Shop) -> String {
    match shop.runs.delta {
        Every::Off => {
            let by = match full_run(shop) {
                Some(schedule) => format!("the full run alone ({schedule})"),
                None => "nobody, since no full run is scheduled either".to_owned(),
            };
            format!(
                "Delta runs are off (`delta = \"off\"` in [shops.{}.runs]): what no webhook tells of is noticed by {by}.",
                shop.name
            )
        }
        Every::Each(every) => format!(
            "The delta run asks every {} for everything that changed since the last one that succeeded, and makes the jobs \
             that no webhook asked for.",
            interval(every)
        ),
    }
}

/// When records are compared as a whole: the expression by which a full run of this shop comes; none where none is scheduled.
pub(super) fn full_run(shop: &Shop) -> Option<String> {
    match &shop.runs.full {
        Times::Off => None,
        Times::Cron(expression) => Some(format!("`{expression}`, {}", shop.time_zone)),
    }
}

/// What is found by a full run alone.
pub(super) fn what_no_delta_finds(shop: &Shop) -> String {
    let what = "A record that was deleted on Shopify while its webhook could not arrive is seen by neither delta runs nor gap runs: \
                they ask for what changed, and what is deleted is not listed any more.";
    match full_run(shop) {
        Some(schedule) => format!("{what} The full run finds it ({schedule})."),
        None => format!(
            "{what} No full run is scheduled (`full = \"off\"` in [shops.{}.runs]).",
            shop.name
        ),
    }
}
