//! Webhook topics: the enum value of the API, the header, the scope that a subscription needs.

/// One topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Topic {
    /// Value of `WebhookSubscriptionTopic`.
    pub name: &'static str,
    /// Value of `X-Shopify-Topic`.
    pub header: &'static str,
    /// Scope of the topic, if it needs one.
    pub scope: Option<&'static str>,
}

macro_rules! topics {
    ($($name:literal $header:literal $scope:expr),+ $(,)?) => {
        &[$(Topic { name: $name, header: $header, scope: $scope }),+]
    };
}

const ORDERS: Option<&str> = Some("read_orders");
const CUSTOMERS: Option<&str> = Some("read_customers");
const PRODUCTS: Option<&str> = Some("read_products");
const INVENTORY: Option<&str> = Some("read_inventory");
const FULFILLMENTS: Option<&str> = Some("read_fulfillments");
const LOCATIONS: Option<&str> = Some("read_locations");
const RETURNS: Option<&str> = Some("read_returns");
const DRAFTS: Option<&str> = Some("read_draft_orders");

/// Topics that a connector subscribes to. Others exist in the schema; the shop accepts them and never fires them.
pub const TOPICS: &[Topic] = topics![
    "ORDERS_CREATE" "orders/create" ORDERS,
    "ORDERS_UPDATED" "orders/updated" ORDERS,
    "ORDERS_PAID" "orders/paid" ORDERS,
    "ORDERS_CANCELLED" "orders/cancelled" ORDERS,
    "ORDERS_FULFILLED" "orders/fulfilled" ORDERS,
    "ORDERS_PARTIALLY_FULFILLED" "orders/partially_fulfilled" ORDERS,
    "ORDERS_EDITED" "orders/edited" ORDERS,
    "ORDERS_DELETE" "orders/delete" ORDERS,
    "REFUNDS_CREATE" "refunds/create" ORDERS,
    "ORDER_TRANSACTIONS_CREATE" "order_transactions/create" ORDERS,
    "TENDER_TRANSACTIONS_CREATE" "tender_transactions/create" ORDERS,
    "DRAFT_ORDERS_CREATE" "draft_orders/create" DRAFTS,
    "DRAFT_ORDERS_UPDATE" "draft_orders/update" DRAFTS,
    "DRAFT_ORDERS_DELETE" "draft_orders/delete" DRAFTS,
    "RETURNS_REQUEST" "returns/request" RETURNS,
    "RETURNS_APPROVE" "returns/approve" RETURNS,
    "RETURNS_DECLINE" "returns/decline" RETURNS,
    "RETURNS_CLOSE" "returns/close" RETURNS,
    "RETURNS_REOPEN" "returns/reopen" RETURNS,
    "RETURNS_CANCEL" "returns/cancel" RETURNS,
    "RETURNS_UPDATE" "returns/update" RETURNS,
    "FULFILLMENTS_CREATE" "fulfillments/create" FULFILLMENTS,
    "FULFILLMENTS_UPDATE" "fulfillments/update" FULFILLMENTS,
    "FULFILLMENT_EVENTS_CREATE" "fulfillment_events/create" FULFILLMENTS,
    "FULFILLMENT_EVENTS_DELETE" "fulfillment_events/delete" FULFILLMENTS,
    "CUSTOMERS_CREATE" "customers/create" CUSTOMERS,
    "CUSTOMERS_UPDATE" "customers/update" CUSTOMERS,
    "CUSTOMERS_DELETE" "customers/delete" CUSTOMERS,
    "CUSTOMERS_ENABLE" "customers/enable" CUSTOMERS,
    "CUSTOMERS_DISABLE" "customers/disable" CUSTOMERS,
    "CUSTOMERS_MERGE" "customers/merge" Some("read_customer_merge"),
    "CUSTOMER_TAGS_ADDED" "customer.tags_added" CUSTOMERS,
    "CUSTOMER_TAGS_REMOVED" "customer.tags_removed" CUSTOMERS,
    "CUSTOMERS_PURCHASING_SUMMARY" "customers/purchasing_summary" CUSTOMERS,
    "PRODUCTS_CREATE" "products/create" PRODUCTS,
    "PRODUCTS_UPDATE" "products/update" PRODUCTS,
    "PRODUCTS_DELETE" "products/delete" PRODUCTS,
    "VARIANTS_IN_STOCK" "variants/in_stock" PRODUCTS,
    "VARIANTS_OUT_OF_STOCK" "variants/out_of_stock" PRODUCTS,
    "COLLECTIONS_CREATE" "collections/create" PRODUCTS,
    "COLLECTIONS_UPDATE" "collections/update" PRODUCTS,
    "COLLECTIONS_DELETE" "collections/delete" PRODUCTS,
    "INVENTORY_ITEMS_CREATE" "inventory_items/create" INVENTORY,
    "INVENTORY_ITEMS_UPDATE" "inventory_items/update" INVENTORY,
    "INVENTORY_ITEMS_DELETE" "inventory_items/delete" INVENTORY,
    "INVENTORY_LEVELS_CONNECT" "inventory_levels/connect" INVENTORY,
    "INVENTORY_LEVELS_UPDATE" "inventory_levels/update" INVENTORY,
    "INVENTORY_LEVELS_DISCONNECT" "inventory_levels/disconnect" INVENTORY,
    "LOCATIONS_CREATE" "locations/create" LOCATIONS,
    "LOCATIONS_UPDATE" "locations/update" LOCATIONS,
    "LOCATIONS_DELETE" "locations/delete" LOCATIONS,
    "BULK_OPERATIONS_FINISH" "bulk_operations/finish" None,
    "SHOP_UPDATE" "shop/update" None,
    "APP_UNINSTALLED" "app/uninstalled" None,
    "APP_SCOPES_UPDATE" "app/scopes_update" None,
];

/// The topic with this header.
pub fn by_header(header: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|t| t.header == header)
}

/// The topic with this enum value.
pub fn by_name(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|t| t.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::shopify::schema::schema;

    #[test]
    fn every_topic_is_a_value_of_the_schema() {
        let topics = schema().get_enum("WebhookSubscriptionTopic").unwrap();
        for topic in TOPICS {
            assert!(topics.values.contains_key(topic.name), "{}", topic.name);
        }
    }
}
