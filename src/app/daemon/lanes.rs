//! What the toggles let happen: which events make jobs, which jobs are done, and which are discarded.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::shops::Disabled;
use crate::config::Config;
use crate::domain::{Direction, Object, Priority, ShopName};
use crate::http::{IntakeShop, IntakeShops};
use crate::queue::LaneGate;
use crate::store::{Lane, Standing};
use crate::subscriptions::{self, Toggle, WhenOff};

/// The toggles of each shop.
pub(super) type Toggles = BTreeMap<ShopName, subscriptions::Settings>;

/// The toggles whose switching was acted on last, as far as this process knows.
#[derive(Clone, Debug, Default)]
pub(super) struct ActedOn(Arc<RwLock<Option<Toggles>>>);

impl ActedOn {
    pub(super) fn is(&self, toggles: &Toggles) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref() == Some(toggles)
    }

    pub(super) fn set(&self, toggles: Toggles) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(toggles);
    }
}

/// The toggles as this node's configuration declares them.
pub(super) fn declared(config: &Config) -> Toggles {
    config
        .shops
        .values()
        .map(|shop| (shop.name.clone(), shop.sync.clone()))
        .collect()
}

/// The toggles that this node acts on: those of the newest revision. A shop that it does not know has its own.
pub(super) fn in_force(config: &Config, standing: &Standing) -> Toggles {
    let mut toggles = declared(config);
    if !standing.is_newest {
        for (shop, own) in &mut toggles {
            let newest = standing.newest.toggles.get(shop.as_str());
            if let Some(newest) = newest.and_then(|newest| serde_json::from_value(newest.clone()).ok()) {
                *own = newest;
            }
        }
    }
    toggles
}

/// Which lanes may be claimed.
pub(super) fn gate(toggles: Toggles, disabled: &Disabled, acted_on: &ActedOn) -> LaneGate {
    let (disabled, acted_on) = (disabled.clone(), acted_on.clone());
    LaneGate::new(move |lane| {
        let Some(sync) = toggles.get(&lane.shop) else {
            return false;
        };
        // Notices about the shop (uninstalled, privacy requests) concern our own data and are carried out in any case.
        lane.object == Object::Shop
            || (!disabled.contains(&lane.shop)
                && is_open(sync, lane)
                // What is to be discarded must not be done before it is.
                && (!discards(sync, lane) || acted_on.is(&toggles)))
    })
}

/// The toggle that decides about a lane. Levels that change on the shop matter only because stock is sent there.
fn toggle_of(sync: &subscriptions::Settings, object: Object, direction: Direction) -> Toggle {
    match object {
        Object::Inventory => sync.toggle(object, Direction::Out),
        _ => sync.toggle(object, direction),
    }
}

/// Whether what waits is discarded when the object is off, and it is.
fn discards(sync: &subscriptions::Settings, lane: &Lane) -> bool {
    sync.category(lane.object).is_some_and(|category| {
        toggle_of(sync, lane.object, lane.direction) == Toggle::Off && category.when_off == WhenOff::Discard
    })
}

/// Whether the toggles let jobs of the lane run. What is off makes no new jobs, and those that wait are done unless they are
/// to be held. An order needs its customer and its products whatever their toggles say: while orders are on, those that are
/// off are done in any case.
fn is_open(sync: &subscriptions::Settings, lane: &Lane) -> bool {
    if lane.direction == Direction::Out || lane.object == Object::Inventory {
        return match toggle_of(sync, lane.object, lane.direction) {
            Toggle::On => lane.object != Object::Order,
            Toggle::Paused => false,
            // It was asked for by hand, or was waiting when it was switched off.
            Toggle::Off => sync
                .category(lane.object)
                .is_some_and(|category| category.when_off != WhenOff::Hold),
        };
    }
    let is_needed = match lane.object {
        Object::Shop => return true,
        Object::Customer | Object::Product => sync.orders.inward == Toggle::On,
        Object::Order | Object::Inventory => false,
    };
    let Some(category) = sync.category(lane.object) else {
        return false;
    };
    match category.inward {
        Toggle::On => true,
        Toggle::Paused => false,
        Toggle::Off => is_needed || category.when_off != WhenOff::Hold,
    }
}

/// The shops as the intake sees them.
pub(super) fn intake(config: &Config, toggles: &Toggles) -> IntakeShops {
    config
        .shops
        .values()
        .map(|shop| IntakeShop {
            name: shop.name.clone(),
            domain: shop.shopify.domain.clone(),
            secrets: shop.webhook_secrets.clone(),
            wanted: toggles.get(&shop.name).map(wanted).unwrap_or_default(),
        })
        .collect()
}

/// The objects whose events make jobs, and how soon those are done.
fn wanted(sync: &subscriptions::Settings) -> BTreeMap<Object, Priority> {
    Object::ALL
        .iter()
        .filter_map(|object| Some((*object, sync.category(*object)?)))
        .filter(|(object, _)| toggle_of(sync, *object, Direction::In) != Toggle::Off)
        .map(|(object, category)| (object, category.priority.priority()))
        .collect()
}

/// The lanes that were switched off and whose waiting jobs are to be discarded then.
pub(super) fn to_discard(before: &Toggles, now: &Toggles) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for (shop, sync) in now {
        let Some(known) = before.get(shop) else { continue };
        for object in Object::ALL {
            let discards = sync
                .category(*object)
                .is_some_and(|category| category.when_off == WhenOff::Discard);
            for direction in Direction::ALL {
                let toggle = |sync: &crate::subscriptions::Settings| toggle_of(sync, *object, *direction);
                if discards && toggle(known) != Toggle::Off && toggle(sync) == Toggle::Off {
                    lanes.push(Lane {
                        shop: shop.clone(),
                        object: *object,
                        direction: *direction,
                    });
                }
            }
        }
    }
    lanes
}

/// The objects whose events were or will be left alone for a while: `in` was switched off, or on again.
pub(super) fn to_look_for(before: &Toggles, now: &Toggles) -> Vec<(ShopName, Object, Toggle)> {
    let mut found = Vec::new();
    for (shop, sync) in now {
        let Some(known) = before.get(shop) else { continue };
        for object in [Object::Order, Object::Customer, Object::Product] {
            let toggle = |sync: &subscriptions::Settings| sync.toggle(object, Direction::In);
            if (toggle(known) == Toggle::Off) != (toggle(sync) == Toggle::Off) {
                found.push((shop.clone(), object, toggle(sync)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriptions::Category;

    #[test]
    fn toggles_open_and_close_lanes() {
        let inward = |toggle| Category {
            inward: toggle,
            outward: Toggle::On,
            ..Category::default()
        };
        let lane = |object, direction| Lane {
            shop: "main".parse().unwrap(),
            object,
            direction,
        };
        for (orders, products, object, direction, open) in [
            (Toggle::On, Toggle::On, Object::Order, Direction::In, true),
            (Toggle::Paused, Toggle::On, Object::Order, Direction::In, false),
            // What waits is still done.
            (Toggle::Off, Toggle::On, Object::Order, Direction::In, true),
            (Toggle::Off, Toggle::On, Object::Product, Direction::In, true),
            // An order may be waiting for its product.
            (Toggle::On, Toggle::Off, Object::Product, Direction::In, true),
            (Toggle::Off, Toggle::Off, Object::Product, Direction::In, true),
            (Toggle::On, Toggle::Paused, Object::Product, Direction::In, false),
            // What `in` says is of no concern to the way back.
            (Toggle::Off, Toggle::Off, Object::Product, Direction::Out, true),
            // Orders go one way.
            (Toggle::On, Toggle::On, Object::Order, Direction::Out, false),
        ] {
            let sync = subscriptions::Settings {
                orders: inward(orders),
                products: inward(products),
                ..subscriptions::Settings::default()
            };
            assert_eq!(
                is_open(&sync, &lane(object, direction)),
                open,
                "orders {orders}, products {products}, {object}.{direction}"
            );
        }
    }

    #[test]
    fn the_way_back_has_toggles_of_its_own() {
        let lane = |object| Lane {
            shop: "main".parse().unwrap(),
            object,
            direction: Direction::Out,
        };
        for (toggle, when_off, open) in [
            ("on", "hold", true),
            ("paused", "drain", false),
            ("off", "drain", true),
            ("off", "hold", false),
        ] {
            let text = format!("products = {{ in = 'on', out = '{toggle}', when_off = '{when_off}' }}");
            let sync: subscriptions::Settings = toml::from_str(&text).unwrap();
            let seen = [Object::Product, Object::Inventory].map(|object| is_open(&sync, &lane(object)));
            assert_eq!(seen, [open, open], "{text}");
        }
    }

    #[test]
    fn what_waits_is_held_only_where_that_is_declared_and_no_order_needs_it() {
        let lane = |object| Lane {
            shop: "main".parse().unwrap(),
            object,
            direction: Direction::In,
        };
        for (orders, when_off, order_open, product_open) in [
            (Toggle::On, WhenOff::Hold, true, true),
            (Toggle::Paused, WhenOff::Hold, false, false),
            (Toggle::Off, WhenOff::Hold, false, false),
            (Toggle::Off, WhenOff::Drain, true, true),
            // What is left after the others were discarded is waited for, or asked for by hand.
            (Toggle::Off, WhenOff::Discard, true, true),
        ] {
            let category = |inward| Category {
                inward,
                when_off,
                ..Category::default()
            };
            let sync = subscriptions::Settings {
                orders: category(orders),
                products: category(Toggle::Off),
                ..subscriptions::Settings::default()
            };
            let seen = [Object::Order, Object::Product].map(|object| is_open(&sync, &lane(object)));
            assert_eq!(seen, [order_open, product_open], "orders {orders}, {when_off:?}");
        }
    }

    #[test]
    fn what_is_to_be_discarded_is_not_done_before() {
        let sync: subscriptions::Settings =
            toml::from_str("orders = { when_off = 'discard' }\ncustomers = { in = 'on' }").unwrap();
        let toggles = Toggles::from([("main".parse().unwrap(), sync)]);
        let acted_on = ActedOn::default();
        let gate = gate(toggles.clone(), &Disabled::default(), &acted_on);
        let lets = |object| {
            gate.lets(&Lane {
                shop: "main".parse().unwrap(),
                object,
                direction: Direction::In,
            })
        };
        assert_eq!([lets(Object::Order), lets(Object::Customer)], [false, true]);
        acted_on.set(Toggles::new());
        assert!(!lets(Object::Order), "others were");
        acted_on.set(toggles);
        assert!(
            lets(Object::Order),
            "what is left is waited for, or asked for by hand"
        );
    }

    #[test]
    fn what_is_wanted_comes_with_its_priority() {
        let sync: subscriptions::Settings = toml::from_str(
            "orders = { in = 'on', priority = 'urgent' }\ncustomers = { in = 'paused', priority = 'background' }\n\
             products = { out = 'on' }",
        )
        .unwrap();
        let expected = [
            (Object::Order, Priority::URGENT),
            (Object::Customer, Priority::BACKGROUND),
            // Stock follows the products: where it is sent, levels that change on the shop are looked at.
            (Object::Inventory, Priority::LIVE),
        ];
        assert_eq!(wanted(&sync), BTreeMap::from(expected));
        let inward: subscriptions::Settings = toml::from_str("products = { in = 'on' }").unwrap();
        assert_eq!(wanted(&inward).keys().collect::<Vec<_>>(), [&Object::Product]);
    }
}
