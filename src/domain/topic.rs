//! Shopify's webhook topics and what each of them asks for.
//!
//! Names: <https://shopify.dev/docs/api/admin-graphql/latest/enums/WebhookSubscriptionTopic>. Enum and header spelling
//! are related by table only; a few topics do not follow the general pattern.

use crate::domain::Object;

/// What an event of a topic is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicAction {
    /// It is a reason to look at this object again; the object's id stands at this path of the body.
    Look(Object, &'static str),
    /// The record is gone on Shopify.
    Gone(Object, &'static str),
    /// The app was uninstalled from the shop.
    Uninstalled,
    /// A privacy request to carry out on our own data.
    Compliance,
}

/// One topic that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// As in the header `X-Shopify-Topic`, e.g. `orders/create`.
    pub name: &'static str,
    /// As in GraphQL, e.g. `ORDERS_CREATE`; compliance topics have none, they are set in the app's configuration.
    pub graphql: Option<&'static str>,
    /// What to do about an event.
    pub action: TopicAction,
}

const fn look(name: &'static str, graphql: &'static str, object: Object, id: &'static str) -> Topic {
    Topic {
        name,
        graphql: Some(graphql),
        action: TopicAction::Look(object, id),
    }
}

/// Every topic that we know. `orders/edited` carries `order_edit.order_id`; refunds, fulfilments and transactions are
/// causes of their order's job.
const TOPICS: &[Topic] = &[
    look("orders/create", "ORDERS_CREATE", Object::Order, "id"),
    look("orders/updated", "ORDERS_UPDATED", Object::Order, "id"),
    look(
        "orders/edited",
        "ORDERS_EDITED",
        Object::Order,
        "order_edit.order_id",
    ),
    look("orders/paid", "ORDERS_PAID", Object::Order, "id"),
    look("orders/cancelled", "ORDERS_CANCELLED", Object::Order, "id"),
    look("orders/fulfilled", "ORDERS_FULFILLED", Object::Order, "id"),
    look(
        "orders/partially_fulfilled",
        "ORDERS_PARTIALLY_FULFILLED",
        Object::Order,
        "id",
    ),
    Topic {
        name: "orders/delete",
        graphql: Some("ORDERS_DELETE"),
        action: TopicAction::Gone(Object::Order, "id"),
    },
    look("refunds/create", "REFUNDS_CREATE", Object::Order, "order_id"),
    look(
        "order_transactions/create",
        "ORDER_TRANSACTIONS_CREATE",
        Object::Order,
        "order_id",
    ),
    look(
        "fulfillments/create",
        "FULFILLMENTS_CREATE",
        Object::Order,
        "order_id",
    ),
    look(
        "fulfillments/update",
        "FULFILLMENTS_UPDATE",
        Object::Order,
        "order_id",
    ),
    look(
        "fulfillment_events/create",
        "FULFILLMENT_EVENTS_CREATE",
        Object::Order,
        "order_id",
    ),
    look("customers/create", "CUSTOMERS_CREATE", Object::Customer, "id"),
    look("customers/update", "CUSTOMERS_UPDATE", Object::Customer, "id"),
    look(
        "customers/merge",
        "CUSTOMERS_MERGE",
        Object::Customer,
        "admin_graphql_api_customer_kept_id",
    ),
    Topic {
        name: "customers/delete",
        graphql: Some("CUSTOMERS_DELETE"),
        action: TopicAction::Gone(Object::Customer, "id"),
    },
    look("products/create", "PRODUCTS_CREATE", Object::Product, "id"),
    look("products/update", "PRODUCTS_UPDATE", Object::Product, "id"),
    Topic {
        name: "products/delete",
        graphql: Some("PRODUCTS_DELETE"),
        action: TopicAction::Gone(Object::Product, "id"),
    },
    look(
        "inventory_levels/update",
        "INVENTORY_LEVELS_UPDATE",
        Object::Inventory,
        "inventory_item_id",
    ),
    Topic {
        name: "app/uninstalled",
        graphql: Some("APP_UNINSTALLED"),
        action: TopicAction::Uninstalled,
    },
    Topic {
        name: "customers/data_request",
        graphql: None,
        action: TopicAction::Compliance,
    },
    Topic {
        name: "customers/redact",
        graphql: None,
        action: TopicAction::Compliance,
    },
    Topic {
        name: "shop/redact",
        graphql: None,
        action: TopicAction::Compliance,
    },
];

impl Topic {
    /// Every topic that we know.
    pub const ALL: &'static [Self] = TOPICS;

    /// The topic of a header, when we know it.
    pub fn of_header(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Topic::ALL.iter().map(|topic| topic.name).collect();
        assert_eq!(names.len(), Topic::ALL.len());
    }

    #[test]
    fn topics_are_found_by_their_header() {
        assert_eq!(
            Topic::of_header("refunds/create").map(|topic| topic.action),
            Some(TopicAction::Look(Object::Order, "order_id"))
        );
        assert_eq!(Topic::of_header("carts/create"), None);
    }
}
