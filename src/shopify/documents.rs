//! The GraphQL documents that are sent, as files under `queries/`, and what is known about each before it was sent.
//!
//! Fragments are files of their own; a document names those that it uses. A test validates every document against the
//! pinned schema, so nothing here can misspell a field. Page documents share one shape: `owner` is the record whose
//! `updatedAt` tells whether it changed between two pages, `holder` is the part of it that the list belongs to, `page`
//! is the list.

use std::borrow::Cow;

/// One document.
#[derive(Debug)]
pub(super) struct Document {
    /// The operation's name, in logs and metrics, too.
    pub(super) name: &'static str,
    /// The whole text.
    pub(super) text: &'static str,
    /// Points reserved for it until an answer told its cost: computed by the rules that were measured for the API
    /// (an object costs 1, a list of n costs 2 + about 2 ln n times one node).
    pub(super) points: f64,
    /// Whether it writes: every payload is looked through for user errors.
    pub(super) writes: bool,
    /// Whether whoever sends it reads the user errors itself; otherwise they are a failure.
    pub(super) tells_refusals: bool,
    /// Whether it searches: an ignored search term is a failure.
    pub(super) searches: bool,
}

/// Where a mapping's own selection stands in the documents of whole records.
const SELECT: &str = "# select\n";

impl Document {
    /// The text with more fields of the record, as the schema has approved them.
    pub(super) fn selecting(&self, select: &str) -> Cow<'static, str> {
        if select.is_empty() {
            Cow::Borrowed(self.text)
        } else {
            Cow::Owned(self.text.replacen(SELECT, &format!("{select}\n"), 1))
        }
    }
}

macro_rules! document {
    ($name:literal, $points:literal, $file:literal $(, $fragment:literal)*) => {
        Document {
            name: $name,
            text: concat!(
                include_str!(concat!("queries/", $file, ".graphql"))
                $(, include_str!(concat!("queries/fragments/", $fragment, ".graphql")))*
            ),
            points: $points,
            writes: false,
            tells_refusals: false,
            searches: false,
        }
    };
}

pub(super) const ORDER: Document = document!(
    "LockstepOrder",
    196.0,
    "order",
    "address",
    "bag",
    "tax",
    "allocation",
    "order_line",
    "order_shipping",
    "order_discount",
    "refund_line",
    "refund_shipping",
    "refund_adjustment",
    "refund_movement",
    "fulfilled_line",
    "buyer"
);
pub(super) const ORDER_LINES: Document = document!(
    "LockstepOrderLines",
    95.0,
    "order_lines",
    "order_line",
    "bag",
    "tax",
    "allocation"
);
pub(super) const ORDER_SHIPPING_LINES: Document = document!(
    "LockstepOrderShippingLines",
    32.0,
    "order_shipping_lines",
    "order_shipping",
    "bag",
    "tax",
    "allocation"
);
pub(super) const ORDER_DISCOUNTS: Document = document!(
    "LockstepOrderDiscounts",
    22.0,
    "order_discounts",
    "order_discount"
);
pub(super) const REFUND_LINES: Document =
    document!("LockstepRefundLines", 31.0, "refund_lines", "refund_line", "bag");
pub(super) const REFUND_SHIPPING_LINES: Document = document!(
    "LockstepRefundShippingLines",
    18.0,
    "refund_shipping_lines",
    "refund_shipping",
    "bag"
);
pub(super) const REFUND_ADJUSTMENTS: Document = document!(
    "LockstepRefundAdjustments",
    14.0,
    "refund_adjustments",
    "refund_adjustment",
    "bag"
);
pub(super) const REFUND_MOVEMENTS: Document = document!(
    "LockstepRefundMovements",
    14.0,
    "refund_movements",
    "refund_movement",
    "bag"
);
pub(super) const FULFILLMENT_LINES: Document = document!(
    "LockstepFulfillmentLines",
    24.0,
    "fulfillment_lines",
    "fulfilled_line"
);
pub(super) const CUSTOMER: Document = document!("LockstepCustomer", 14.0, "customer", "address");
pub(super) const CUSTOMER_ADDRESSES: Document =
    document!("LockstepCustomerAddresses", 13.0, "customer_addresses", "address");
pub(super) const PRODUCT: Document = document!("LockstepProduct", 52.0, "product", "variant");
pub(super) const PRODUCT_VARIANTS: Document =
    document!("LockstepProductVariants", 49.0, "product_variants", "variant");
pub(super) const CUSTOMERS: Document = document!("LockstepCustomers", 68.0, "customers", "address");
pub(super) const PRODUCTS: Document = document!("LockstepProducts", 160.0, "products", "variant");
pub(super) const ORDERS_BY_NAME: Document = Document {
    searches: true,
    ..document!("LockstepOrdersByName", 12.0, "orders_by_name")
};
pub(super) const RECENT_ORDERS: Document = Document {
    searches: true,
    ..document!("LockstepRecentOrders", 66.0, "recent_orders")
};
pub(super) const CHANGED_ORDERS: Document = Document {
    searches: true,
    ..document!("LockstepChangedOrders", 14.0, "changed_orders")
};
pub(super) const CHANGED_CUSTOMERS: Document = Document {
    searches: true,
    ..document!("LockstepChangedCustomers", 14.0, "changed_customers")
};
pub(super) const CHANGED_PRODUCTS: Document = Document {
    searches: true,
    ..document!("LockstepChangedProducts", 14.0, "changed_products")
};
pub(super) const ALL_ORDERS: Document = Document {
    searches: true,
    ..document!("LockstepAllOrders", 13.0, "all_orders", "listed_order")
};
pub(super) const ALL_CUSTOMERS: Document = Document {
    searches: true,
    ..document!("LockstepAllCustomers", 13.0, "all_customers")
};
pub(super) const ALL_PRODUCTS: Document = Document {
    searches: true,
    ..document!("LockstepAllProducts", 250.0, "all_products")
};
pub(super) const COUNT_ORDERS: Document = Document {
    searches: true,
    ..document!("LockstepCountOrders", 10.0, "count_orders")
};
pub(super) const COUNT_CUSTOMERS: Document = Document {
    searches: true,
    ..document!("LockstepCountCustomers", 10.0, "count_customers")
};
pub(super) const COUNT_PRODUCTS: Document = Document {
    searches: true,
    ..document!("LockstepCountProducts", 10.0, "count_products")
};
pub(super) const LIST_ORDERS: Document = Document {
    searches: true,
    ..document!("LockstepListOrders", 13.0, "list_orders")
};
pub(super) const LIST_CUSTOMERS: Document = Document {
    searches: true,
    ..document!("LockstepListCustomers", 13.0, "list_customers")
};
pub(super) const LIST_PRODUCTS: Document = Document {
    searches: true,
    ..document!("LockstepListProducts", 13.0, "list_products")
};
pub(super) const BULK_RUN: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepBulkRun", 11.0, "bulk_run")
};
pub(super) const BULK_CANCEL: Document = Document {
    writes: true,
    ..document!("LockstepBulkCancel", 11.0, "bulk_cancel")
};
pub(super) const BULK_STATE: Document = document!("LockstepBulkState", 1.0, "bulk_state");
// These three are not asked for by themselves: a bulk operation carries them out.
pub(super) const BULK_ORDERS: Document = document!("LockstepBulkOrders", 0.0, "bulk_orders", "listed_order");
pub(super) const BULK_CUSTOMERS: Document = document!("LockstepBulkCustomers", 0.0, "bulk_customers");
pub(super) const BULK_PRODUCTS: Document = document!("LockstepBulkProducts", 0.0, "bulk_products");
pub(super) const LOCATIONS: Document = document!("LockstepLocations", 14.0, "locations");
pub(super) const PROBE: Document = document!("LockstepProbe", 1.0, "probe");
pub(super) const CHECK: Document = document!("LockstepCheck", 4.0, "check");
pub(super) const WEBHOOKS: Document = document!("LockstepWebhooks", 14.0, "webhooks");
pub(super) const SUBSCRIPTIONS: Document = document!("LockstepSubscriptions", 12.0, "subscriptions");
pub(super) const SUBSCRIPTION_CREATE: Document = Document {
    writes: true,
    ..document!("LockstepSubscriptionCreate", 10.0, "subscription_create")
};
pub(super) const SUBSCRIPTION_UPDATE: Document = Document {
    writes: true,
    ..document!("LockstepSubscriptionUpdate", 10.0, "subscription_update")
};
pub(super) const SUBSCRIPTION_DELETE: Document = Document {
    writes: true,
    ..document!("LockstepSubscriptionDelete", 10.0, "subscription_delete")
};
pub(super) const SCOPES: Document = document!("LockstepScopes", 2.0, "scopes");

pub(super) const FIND_CUSTOMERS: Document =
    document!("LockstepFindCustomers", 6.0, "find_customers", "customer_keys");
pub(super) const CUSTOMER_OF_REF: Document = document!("LockstepCustomerOfRef", 1.0, "customer_of_ref");
pub(super) const PRODUCT_OF_REF: Document = document!("LockstepProductOfRef", 1.0, "product_of_ref");
pub(super) const PRODUCT_REF: Document = document!("LockstepProductRef", 2.0, "product_ref");
pub(super) const CUSTOMER_SET: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!(
        "LockstepCustomerSet",
        24.0,
        "customer_set",
        "customer_record",
        "address"
    )
};
pub(super) const CUSTOMER_UPDATE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!(
        "LockstepCustomerUpdate",
        24.0,
        "customer_update",
        "customer_record",
        "address"
    )
};
pub(super) const DEFAULT_ADDRESS: Document = document!("LockstepDefaultAddress", 2.0, "default_address");
pub(super) const ADDRESS_CREATE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepAddressCreate", 10.0, "address_create")
};
pub(super) const ADDRESS_UPDATE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepAddressUpdate", 10.0, "address_update")
};
pub(super) const FIND_VARIANTS: Document = Document {
    searches: true,
    ..document!("LockstepFindVariants", 20.0, "find_variants", "found_variants")
};
pub(super) const FIND_MANY_VARIANTS: Document = Document {
    searches: true,
    ..document!(
        "LockstepFindManyVariants",
        100.0,
        "find_many_variants",
        "found_variants"
    )
};
pub(super) const PRODUCT_SET: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepProductSet", 70.0, "product_set", "variant")
};
pub(super) const PRODUCT_UPDATE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepProductUpdate", 10.0, "product_update")
};
pub(super) const VARIANTS_UPDATE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepVariantsUpdate", 10.0, "variants_update")
};
pub(super) const VARIANTS_CREATE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepVariantsCreate", 15.0, "variants_create", "variant")
};
pub(super) const ORDERS_OF: Document = document!("LockstepOrdersOf", 4.0, "orders_of");
pub(super) const STOCK_LOCATIONS: Document = document!("LockstepStockLocations", 11.0, "stock_locations");
pub(super) const ITEM_STOCK: Document = document!("LockstepItemStock", 28.0, "item_stock", "level");
pub(super) const VARIANT_ITEMS: Document = document!("LockstepVariantItems", 4.0, "variant_items");
pub(super) const ITEM_LEVELS: Document = document!("LockstepItemLevels", 30.0, "item_levels", "level");
pub(super) const QUANTITIES_SET: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepQuantitiesSet", 10.0, "quantities_set")
};
pub(super) const REF_DEFINE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepRefDefine", 10.0, "ref_define")
};
pub(super) const REF_NOTE: Document = Document {
    writes: true,
    tells_refusals: true,
    ..document!("LockstepRefNote", 10.0, "ref_note")
};

/// Every document.
#[cfg(test)]
pub(super) const ALL: &[&Document] = &[
    &ORDER,
    &ORDER_LINES,
    &ORDER_SHIPPING_LINES,
    &ORDER_DISCOUNTS,
    &REFUND_LINES,
    &REFUND_SHIPPING_LINES,
    &REFUND_ADJUSTMENTS,
    &REFUND_MOVEMENTS,
    &FULFILLMENT_LINES,
    &CUSTOMER,
    &CUSTOMER_ADDRESSES,
    &PRODUCT,
    &PRODUCT_VARIANTS,
    &CUSTOMERS,
    &PRODUCTS,
    &ORDERS_BY_NAME,
    &RECENT_ORDERS,
    &CHANGED_ORDERS,
    &CHANGED_CUSTOMERS,
    &CHANGED_PRODUCTS,
    &ALL_ORDERS,
    &ALL_CUSTOMERS,
    &ALL_PRODUCTS,
    &COUNT_ORDERS,
    &COUNT_CUSTOMERS,
    &COUNT_PRODUCTS,
    &LIST_ORDERS,
    &LIST_CUSTOMERS,
    &LIST_PRODUCTS,
    &BULK_RUN,
    &BULK_CANCEL,
    &BULK_STATE,
    &BULK_ORDERS,
    &BULK_CUSTOMERS,
    &BULK_PRODUCTS,
    &LOCATIONS,
    &PROBE,
    &CHECK,
    &WEBHOOKS,
    &SUBSCRIPTIONS,
    &SUBSCRIPTION_CREATE,
    &SUBSCRIPTION_UPDATE,
    &SUBSCRIPTION_DELETE,
    &SCOPES,
    &FIND_CUSTOMERS,
    &CUSTOMER_OF_REF,
    &PRODUCT_OF_REF,
    &PRODUCT_REF,
    &CUSTOMER_SET,
    &CUSTOMER_UPDATE,
    &DEFAULT_ADDRESS,
    &ADDRESS_CREATE,
    &ADDRESS_UPDATE,
    &FIND_VARIANTS,
    &FIND_MANY_VARIANTS,
    &PRODUCT_SET,
    &PRODUCT_UPDATE,
    &VARIANTS_UPDATE,
    &VARIANTS_CREATE,
    &ORDERS_OF,
    &STOCK_LOCATIONS,
    &VARIANT_ITEMS,
    &ITEM_STOCK,
    &ITEM_LEVELS,
    &QUANTITIES_SET,
    &REF_DEFINE,
    &REF_NOTE,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use apollo_compiler::ast::OperationType;
    use apollo_compiler::executable::{Selection, SelectionSet};
    use apollo_compiler::{ExecutableDocument, Schema};

    use super::*;
    use crate::sandbox::shopify::schema;

    /// Every field that is selected, with the reason if it is deprecated.
    fn deprecations(
        schema: &Schema,
        document: &ExecutableDocument,
        set: &SelectionSet,
        found: &mut Vec<String>,
    ) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    if let Some(reason) = field.definition.directives.get("deprecated") {
                        found.push(format!("{}.{}: {reason}", set.ty, field.name));
                    }
                    deprecations(schema, document, &field.selection_set, found);
                }
                Selection::InlineFragment(fragment) => {
                    deprecations(schema, document, &fragment.selection_set, found);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        deprecations(schema, document, &fragment.selection_set, found);
                    }
                }
            }
        }
    }

    #[test]
    fn every_document_is_valid_against_the_pinned_schema_and_uses_nothing_deprecated() {
        for document in ALL {
            let parsed = ExecutableDocument::parse_and_validate(
                schema::schema(),
                document.text,
                format!("{}.graphql", document.name),
            )
            .unwrap_or_else(|e| panic!("{}:\n{}", document.name, e.errors));
            let operation = parsed.operations.get(Some(document.name)).unwrap_or_else(|e| {
                panic!("{} does not name its operation so: {e:?}", document.name);
            });
            assert_eq!(
                document.writes,
                operation.operation_type == OperationType::Mutation,
                "{}",
                document.name
            );
            let mut found = Vec::new();
            deprecations(schema::schema(), &parsed, &operation.selection_set, &mut found);
            assert!(found.is_empty(), "{} selects deprecated {found:?}", document.name);
        }
    }

    /// Whether a field is asked for by search terms.
    fn is_a_search(document: &ExecutableDocument, set: &SelectionSet) -> bool {
        set.selections.iter().any(|selection| match selection {
            Selection::Field(field) => {
                field.arguments.iter().any(|argument| argument.name == "query")
                    || is_a_search(document, &field.selection_set)
            }
            Selection::InlineFragment(fragment) => is_a_search(document, &fragment.selection_set),
            Selection::FragmentSpread(spread) => {
                let fragment = document.fragments.get(&spread.fragment_name);
                fragment.is_some_and(|fragment| is_a_search(document, &fragment.selection_set))
            }
        })
    }

    #[test]
    fn of_every_document_that_searches_an_ignored_term_is_a_failure() {
        let mut searching = 0;
        // The text that a bulk operation is given is no search.
        for document in ALL.iter().filter(|document| !document.writes) {
            let parsed =
                ExecutableDocument::parse_and_validate(schema::schema(), document.text, "document.graphql")
                    .unwrap();
            let operation = parsed.operations.get(Some(document.name)).unwrap();
            let is_one = is_a_search(&parsed, &operation.selection_set);
            assert_eq!(document.searches, is_one, "{}", document.name);
            searching += usize::from(is_one);
        }
        assert!(searching > 10, "{searching}");
    }

    #[test]
    fn a_deprecated_field_would_be_seen() {
        let text = "query Old($id: ID!) { order(id: $id) { totalPrice } }";
        let parsed = ExecutableDocument::parse_and_validate(schema::schema(), text, "old.graphql").unwrap();
        let mut found = Vec::new();
        let operation = parsed.operations.get(None).unwrap();
        deprecations(schema::schema(), &parsed, &operation.selection_set, &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn every_file_belongs_to_a_document() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shopify/queries");
        let mut files = BTreeSet::new();
        for folder in [folder.clone(), folder.join("fragments")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    files.insert(std::fs::read_to_string(path).unwrap());
                }
            }
        }
        for text in files {
            assert!(
                ALL.iter().any(|document| document.text.contains(&text)),
                "unused:\n{text}"
            );
        }
    }
}
