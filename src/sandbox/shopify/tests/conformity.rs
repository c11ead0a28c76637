//! Every field that the schema offers is answered with a value of its type, data or not.
//!
//! The documents are made from the schema: all fields of a record and of the records behind it.

use std::collections::BTreeMap;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Selection, SelectionSet};
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use chrono::DateTime;
use serde_json::{Value as Json, json};

use super::*;
use crate::sandbox::shopify::bucket::Bucket;
use crate::sandbox::shopify::draft::{CancelDraft, RefundDraft};
use crate::sandbox::shopify::facts::Metafield;
use crate::sandbox::shopify::graphql::{Documents, Request, answer};
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::options::Rate;
use crate::sandbox::shopify::schema::schema;
use crate::sandbox::shopify::shopping::{OrderKind, Shopping};

/// Arguments that make a field valid; `None` when it needs one that nobody here knows.
fn arguments(field: &FieldDefinition) -> Option<String> {
    let mut given = Vec::new();
    for argument in &field.arguments {
        match argument.name.as_str() {
            "first" => given.push("first: 2".to_owned()),
            "names" => given.push("names: [\"available\", \"on_hand\"]".to_owned()),
            "key" => given.push("key: \"k\"".to_owned()),
            "locationId" => given.push("locationId: \"gid://shopify/Location/1\"".to_owned()),
            _ if argument.is_required() => return None,
            _ => {}
        }
    }
    Some(if given.is_empty() {
        String::new()
    } else {
        format!("({})", given.join(", "))
    })
}

/// All fields of a type; `prefix` keeps the keys of several members of a union apart.
fn selection(type_name: &str, depth: usize, prefix: &str) -> String {
    let fields = match &schema().types[type_name] {
        ExtendedType::Object(object) => &object.fields,
        ExtendedType::Interface(_) | ExtendedType::Union(_) => {
            let members: Vec<String> = schema()
                .types
                .values()
                .filter_map(|t| t.as_object())
                .filter(|o| {
                    let union = schema().types[type_name].as_union();
                    union.is_some_and(|u| u.members.iter().any(|m| m.name == o.name))
                        || o.implements_interfaces.iter().any(|i| i.name == type_name)
                })
                .map(|o| o.name.to_string())
                .collect();
            let parts: Vec<String> = members
                .iter()
                .enumerate()
                .map(|(n, member)| {
                    format!(
                        "... on {member} {{ {} }}",
                        selection(member, 0, &format!("m{n}_"))
                    )
                })
                .collect();
            return format!("__typename {}", parts.join(" "));
        }
        _ => return String::new(),
    };
    let mut parts = vec![format!("{prefix}typename: __typename")];
    for (name, field) in fields {
        let Some(arguments) = arguments(field) else {
            continue;
        };
        let inner = field.ty.inner_named_type();
        let leaf = matches!(
            schema().types[inner],
            ExtendedType::Scalar(_) | ExtendedType::Enum(_)
        );
        let step = inner.ends_with("Connection") || inner.ends_with("Edge");
        if leaf {
            parts.push(format!("{prefix}{name}: {name}{arguments}"));
        } else if step || depth > 0 {
            let depth = if step { depth } else { depth - 1 };
            if step && depth == 0 && inner.ends_with("Connection") {
                continue;
            }
            parts.push(format!(
                "{prefix}{name}: {name}{arguments} {{ {} }}",
                selection(inner, depth, "")
            ));
        }
    }
    parts.join(" ")
}

/// Checks a value against its type; returns how many leaves held data.
fn check(document: &ExecutableDocument, set: &SelectionSet, value: &Json, path: &str) -> usize {
    let mut leaves = 0;
    for selected in &set.selections {
        match selected {
            Selection::Field(field) => {
                let key = field.response_key().as_str();
                if let Some(value) = value.get(key) {
                    let path = format!("{path}.{key}");
                    leaves += check_value(document, field.ty(), &field.selection_set, value, &path);
                }
            }
            Selection::InlineFragment(inline) => {
                leaves += check(document, &inline.selection_set, value, path);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
    leaves
}

fn check_value(
    document: &ExecutableDocument,
    ty: &Type,
    set: &SelectionSet,
    value: &Json,
    path: &str,
) -> usize {
    if value.is_null() {
        assert!(!ty.is_non_null(), "{path} is null");
        return 0;
    }
    if ty.is_list() {
        let items = value
            .as_array()
            .unwrap_or_else(|| panic!("{path} is no list: {value}"));
        return items
            .iter()
            .map(|item| check_value(document, ty.item_type(), set, item, path))
            .sum();
    }
    let name = ty.inner_named_type();
    let text = value.as_str().unwrap_or_default();
    let fits = match &schema().types[name] {
        ExtendedType::Enum(values) => values.values.contains_key(text),
        ExtendedType::Scalar(_) => match name.as_str() {
            "Int" => value.is_i64(),
            "Float" => value.is_number(),
            "Boolean" => value.is_boolean(),
            "Decimal" | "Money" => text.parse::<Decimal>().is_ok() && text.contains('.'),
            "UnsignedInt64" => text.parse::<u64>().is_ok(),
            "DateTime" => DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z'),
            "URL" => text.starts_with("https://"),
            "JSON" => true,
            _ => value.is_string(),
        },
        _ => {
            assert!(value.is_object(), "{path}: {value}");
            return check(document, set, value, path);
        }
    };
    assert!(fits, "{path} is no {ty}: {value}");
    usize::from(!matches!(text, "" if value.is_string()))
}

#[test]
fn every_field_has_a_value_of_its_type() {
    let mut shop = Shop::new(&Options::default());
    let mut shopping = Shopping::new(3);
    shopping.stock(&mut shop);
    let field = Metafield {
        id: 1,
        namespace: "app--1".into(),
        key: "k".into(),
        kind: "single_line_text_field".into(),
        value: "v".into(),
    };
    let mut orders = Vec::new();
    for kind in OrderKind::ALL {
        orders.push(shopping.order(&mut shop, kind).unwrap());
    }
    shop.fulfill_order(orders[0], None).unwrap();
    shop.refund_order(
        orders[0],
        &RefundDraft {
            shipping: Some(None),
            ..RefundDraft::returned(0, 1)
        },
    )
    .unwrap();
    shop.refund_order(orders[1], &RefundDraft::goodwill(d("3")))
        .unwrap();
    shop.cancel_order(orders[2], &CancelDraft::default()).unwrap();
    let customer = shopping.customers[0];
    shop.edit_customer(customer, |c| c.metafields.push(field))
        .unwrap();
    let product = shop.product(shopping.products[0]).unwrap();
    let (variant, item) = (product.variants[0].id, product.variants[0].item.id);
    let mut roots: Vec<(&str, &str, u64)> = vec![
        ("customer", "Customer", customer),
        ("product", "Product", shopping.products[0]),
        ("productVariant", "ProductVariant", variant),
        ("inventoryItem", "InventoryItem", item),
        ("location", "Location", shop.main_location()),
    ];
    roots.extend(orders.iter().map(|id| ("order", "Order", *id)));
    // The document of a kind is made and checked once, however many records it is asked for.
    let made = |query: String| {
        let document = ExecutableDocument::parse_and_validate(schema(), &query, "made.graphql").unwrap();
        (query, document)
    };
    let mut kinds: BTreeMap<&str, (String, Valid<ExecutableDocument>)> = BTreeMap::new();
    for (root, kind, _) in &roots {
        kinds.entry(kind).or_insert_with(|| {
            made(format!(
                "query($id: ID!) {{ {root}(id: $id) {{ {} }} }}",
                selection(kind, 2, "")
            ))
        });
    }
    let mut asked: Vec<(&str, Json, usize)> = roots
        .iter()
        .map(|(_, kind, id)| (*kind, json!({"id": gid(kind, *id)}), 20))
        .collect();
    for (root, kind) in [
        ("shop", "Shop"),
        ("currentAppInstallation", "AppInstallation"),
        ("publicApiVersions", "ApiVersion"),
    ] {
        kinds.insert(
            kind,
            made(format!("{{ {root} {{ {} }} }}", selection(kind, 1, ""))),
        );
        asked.push((kind, json!({}), 3));
    }
    let rate = Rate {
        restore_rate: 1e9,
        maximum_available: 1e9,
        max_query_cost: 1_000_000,
    };
    let now = shop.now();
    let mut bucket = Bucket::new(rate, now);
    let remembered = Documents::default();
    for (kind, variables, least) in asked {
        let (query, document) = &kinds[kind];
        let body = json!({"query": query, "variables": variables});
        let request: Request = serde_json::from_value(body).unwrap();
        let (answered, _) = answer(&mut shop, &remembered, &mut bucket, &request, now);
        assert_eq!(answered["errors"], Json::Null, "{kind} {variables}: {query}");
        let operation = document.operations.get(None).unwrap();
        let leaves = check(document, &operation.selection_set, &answered["data"], kind);
        assert!(
            leaves >= least,
            "{kind} {variables}: only {leaves} leaves hold data"
        );
    }
}
