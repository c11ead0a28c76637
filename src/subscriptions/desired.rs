//! Which subscriptions a shop's toggles want. Pure.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::toggles::{Settings, Toggle};
use crate::domain::{Direction, Object, Topic, TopicAction};

/// Longest name that Shopify takes (<https://shopify.dev/docs/api/admin-graphql/latest/objects/WebhookSubscription>).
const LONGEST_NAME: usize = 50;

/// Hex digits of the hash that stands for what a name had no room for.
const HASH_DIGITS: usize = 8;

/// What every installation's names begin with.
const PREFIX: &str = "lockstep-";

/// Hex digits of an installation's id.
pub const INSTANCE_DIGITS: usize = 8;

/// What a shop's configuration says about its subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The toggles.
    pub toggles: Settings,
    /// `public_url` of the configuration.
    pub public_url: String,
    /// The installation's id, [`INSTANCE_DIGITS`] hex digits.
    pub instance: String,
    /// Whether the shop's API version knows names of subscriptions.
    pub names: bool,
}

/// A subscription that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its topic; GraphQL knows it.
    pub topic: &'static Topic,
    /// Where deliveries are to go.
    pub uri: String,
    /// Its name; none where the API version knows no names.
    pub name: Option<String>,
    /// Whether it is only wanted where its scope is granted.
    pub optional: bool,
    /// What asks for it, e.g. `orders.in is on`.
    pub why: String,
}

impl Desired {
    /// GraphQL's spelling of the topic.
    pub fn topic_name(&self) -> &'static str {
        self.topic.graphql.unwrap_or(self.topic.name)
    }
}

/// Topics that an object's toggle `in` asks for, and whether each is optional.
const DEFAULTS: &[(Object, &[(&str, bool)])] = &[
    (
        Object::Order,
        &[
            ("orders/create", false),
            ("orders/updated", false),
            ("orders/paid", false),
            ("orders/cancelled", false),
            ("orders/edited", false),
            ("orders/delete", false),
            ("refunds/create", false),
        ],
    ),
    (
        Object::Customer,
        &[
            ("customers/create", false),
            ("customers/update", false),
            ("customers/delete", false),
            // Needs a scope of its own that no record needs.
            ("customers/merge", true),
        ],
    ),
    (
        Object::Product,
        &[
            ("products/create", false),
            ("products/update", false),
            ("products/delete", false),
        ],
    ),
    (Object::Inventory, &[("inventory_levels/update", false)]),
];

/// Always wanted: nobody else says that our access ended.
const UNINSTALLED: &str = "app/uninstalled";

/// Where deliveries go below `public_url`.
pub fn address(public_url: &str) -> String {
    format!("{}/webhooks/shopify", public_url.trim_end_matches('/'))
}

/// The section of the file that an object's toggle stands in.
const fn section(object: Object) -> &'static str {
    match object {
        Object::Order => "orders",
        Object::Customer => "customers",
        Object::Product => "products",
        Object::Inventory => "inventory",
        Object::Shop => "shop",
    }
}

/// Whether any toggle wants to hear of changes in the shop.
pub fn wants_events(toggles: &Settings) -> bool {
    DEFAULTS
        .iter()
        .any(|(object, _)| toggles.toggle(*object, Direction::In) != Toggle::Off)
}

/// The subscriptions that are wanted, one for each topic, by topic.
pub fn desired(shop: &Wish) -> Vec<Desired> {
    let mut wanted: BTreeMap<&'static str, Desired> = BTreeMap::new();
    let mut add = |name: &str, optional: bool, why: String| {
        let Some(topic) = Topic::of_header(name) else {
            return;
        };
        // Those of privacy requests are declared in the app's configuration and nowhere else.
        let Some(graphql) = topic.graphql else { return };
        if let Some(known) = wanted.get_mut(graphql) {
            known.optional &= optional;
            known.why = format!("{}, {why}", known.why);
            return;
        }
        wanted.insert(
            graphql,
            Desired {
                topic,
                uri: address(&shop.public_url),
                name: shop.names.then(|| name_of(&shop.instance, graphql)),
                optional,
                why,
            },
        );
    };
    for (object, topics) in DEFAULTS {
        let Some(category) = shop.toggles.category(*object) else {
            continue;
        };
        let (mut toggle, mut direction) = (shop.toggles.toggle(*object, Direction::In), Direction::In);
        if toggle == Toggle::Off && *object == Object::Inventory {
            // Stock that is sent must not stay what somebody else made of it.
            direction = Direction::Out;
            toggle = shop.toggles.toggle(*object, direction);
        }
        if toggle == Toggle::Off {
            continue;
        }
        let follows = *object == Object::Inventory && shop.toggles.inventory.is_none();
        let said_of = if follows { Object::Product } else { *object };
        let why = format!("{}.{direction} is {toggle}", section(said_of));
        for (topic, optional) in *topics {
            add(topic, *optional || follows, why.clone());
        }
        for topic in &category.topics {
            add(topic, false, format!("{}.topics", section(*object)));
        }
    }
    add(UNINSTALLED, false, "always".to_owned());
    wanted.into_values().collect()
}

/// The object whose records a topic's events are about, where a look at records that changed makes up for lost ones. What was
/// deleted is not found by looking.
pub fn object_to_heal(topic: &str) -> Option<Object> {
    let topic = of_graphql(topic)?;
    match topic.action {
        // Levels cannot be listed by when they changed: the next change in the ERP looks at them again.
        TopicAction::Look(Object::Inventory, _) => None,
        TopicAction::Look(object, _) => Some(object),
        _ => None,
    }
}

/// The topic with this spelling of GraphQL, when we know it.
pub fn of_graphql(name: &str) -> Option<&'static Topic> {
    Topic::ALL.iter().find(|topic| topic.graphql == Some(name))
}

/// What an installation's names begin with.
pub(super) fn name_prefix(instance: &str) -> String {
    format!("{PREFIX}{instance}-")
}

/// The installation that a name belongs to.
pub fn instance_of(name: &str) -> Option<&str> {
    let instance = name.strip_prefix(PREFIX)?.get(..INSTANCE_DIGITS)?;
    let rest = &name[PREFIX.len() + INSTANCE_DIGITS..];
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (rest.starts_with('-') && instance.bytes().all(is_hex)).then_some(instance)
}

/// `lockstep-{instance}-{topic}`. A topic that is too long is cut, and a hash tells it from others with the same beginning.
pub fn name_of(instance: &str, graphql: &str) -> String {
    let prefix = name_prefix(instance);
    let topic = graphql.to_ascii_lowercase();
    let room = LONGEST_NAME.saturating_sub(prefix.len());
    if topic.len() <= room {
        return format!("{prefix}{topic}");
    }
    let hash = hex::encode(Sha256::digest(&topic));
    let kept = room.saturating_sub(HASH_DIGITS + 1);
    format!("{prefix}{}-{}", &topic[..kept], &hash[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(toggles: &str) -> Wish {
        Wish {
            toggles: toml::from_str(toggles).unwrap(),
            public_url: "https://sync.example.com/".to_owned(),
            instance: "0a1b2c3d".to_owned(),
            names: true,
        }
    }

    fn names(toggles: &str) -> String {
        let all: Vec<String> = desired(&wish(toggles))
            .into_iter()
            .map(|one| format!("{}{}", one.topic.name, if one.optional { "?" } else { "" }))
            .collect();
        all.join(" ")
    }

    const ORDERS: &str =
        "orders/cancelled orders/create orders/delete orders/edited orders/paid orders/updated";
    const PRODUCTS: &str = "products/create products/delete products/update";

    #[test]
    fn toggles_decide_the_topics() {
        for (toggles, expected) in [
            ("", "app/uninstalled".to_owned()),
            (
                "orders = { in = 'off', topics = ['orders/fulfilled'] }",
                "app/uninstalled".to_owned(),
            ),
            ("customers = { out = 'on' }", "app/uninstalled".to_owned()),
            (
                "orders = { in = 'on' }",
                format!("app/uninstalled {ORDERS} refunds/create"),
            ),
            (
                "orders = { in = 'paused' }",
                format!("app/uninstalled {ORDERS} refunds/create"),
            ),
            (
                "orders = { in = 'on', topics = ['fulfillments/update', 'orders/paid'] }",
                format!("app/uninstalled fulfillments/update {ORDERS} refunds/create"),
            ),
            (
                "customers = { in = 'on' }",
                "app/uninstalled customers/create customers/delete customers/merge? customers/update"
                    .to_owned(),
            ),
            (
                "customers = { in = 'on', topics = ['customers/merge'] }",
                "app/uninstalled customers/create customers/delete customers/merge customers/update"
                    .to_owned(),
            ),
            (
                "products = { in = 'on' }",
                format!("app/uninstalled inventory_levels/update? {PRODUCTS}"),
            ),
            (
                "products = { in = 'on' }\ninventory = { in = 'on' }",
                format!("app/uninstalled inventory_levels/update {PRODUCTS}"),
            ),
            (
                "products = { in = 'on' }\ninventory = { in = 'off' }",
                format!("app/uninstalled {PRODUCTS}"),
            ),
            (
                "inventory = { out = 'on' }",
                "app/uninstalled inventory_levels/update".to_owned(),
            ),
            (
                "products = { out = 'on' }",
                "app/uninstalled inventory_levels/update?".to_owned(),
            ),
        ] {
            assert_eq!(names(toggles), expected, "{toggles}");
        }
    }

    #[test]
    fn each_has_address_name_and_reason() {
        let all = desired(&wish("orders = { in = 'paused' }"));
        let paid = all.iter().find(|one| one.topic.name == "orders/paid").unwrap();
        assert_eq!(paid.uri, "https://sync.example.com/webhooks/shopify");
        assert_eq!(paid.name.as_deref(), Some("lockstep-0a1b2c3d-orders_paid"));
        assert_eq!(paid.why, "orders.in is paused");
        let unnamed = Wish {
            names: false,
            ..wish("orders = { in = 'on' }")
        };
        assert!(desired(&unnamed).iter().all(|one| one.name.is_none()));
    }

    #[test]
    fn names_are_short_plain_and_different() {
        let mut seen = std::collections::BTreeSet::new();
        let long = [
            "LONGEST_TOPIC_THAT_NOBODY_MADE_YET_ONE",
            "LONGEST_TOPIC_THAT_NOBODY_MADE_YET_TWO",
        ];
        for topic in Topic::ALL.iter().filter_map(|topic| topic.graphql).chain(long) {
            let name = name_of("0a1b2c3d", topic);
            assert!(name.len() <= LONGEST_NAME, "{name}");
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
                "{name}"
            );
            assert_eq!(instance_of(&name), Some("0a1b2c3d"), "{name}");
            assert!(seen.insert(name));
        }
    }

    #[test]
    fn an_installation_is_told_by_its_names() {
        for (name, expected) in [
            ("lockstep-0a1b2c3d-orders_paid", Some("0a1b2c3d")),
            ("lockstep-0a1b2c3d", None),
            ("lockstep-0a1b2c3-orders", None),
            ("lockstep-0A1B2C3D-orders", None),
            ("lockstep-sünden-x", None),
            ("mine", None),
        ] {
            assert_eq!(instance_of(name), expected, "{name}");
        }
    }
}
