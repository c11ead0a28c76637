//! What a query costs.
//!
//! The documented rules (object 1, scalar 0, mutation 10, the dearest branch of a union) with the measured ones on top:
//! a connection costs 2 + g(first) x (1 + node), a plain list 1 + its children once, value objects such as money
//! nothing. The requested cost is known before a query runs; the actual cost counts what was there.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use serde_json::Value as Json;

use super::node::Args;
use super::variables::arguments;

/// Objects that are values and cost nothing. Money and versions are measured; the others follow from the costs of the
/// recorded documents, which leave no room for them.
const FREE: &[&str] = &[
    "MoneyBag",
    "MoneyV2",
    "ApiVersion",
    "Attribute",
    "Weight",
    "Count",
    "PageInfo",
];

/// Cost of an operation whose answer is `data`, or its requested cost when there is no answer yet.
pub(super) fn of(
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &Args,
    data: Option<&Json>,
) -> u64 {
    let costing = Costing { document, variables };
    let mutation = operation.is_mutation();
    let mut fields = Vec::new();
    costing.collect(&operation.selection_set, &mut fields);
    let total: f64 = fields
        .iter()
        .map(|field| {
            let value = data.map(|d| &d[field.response_key().as_str()]);
            if mutation {
                10.0 + costing.input(field) + costing.payload(field, value)
            } else if field.definition.ty.inner_named_type() == "Count" {
                10.0
            } else {
                costing.field(field, value)
            }
        })
        .sum();
    // Costs are small whole numbers or averages of them.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and far below 2^53"
    )]
    let total = total.ceil() as u64;
    total
}

/// Weight of a page of `n` records.
fn page_weight(n: i64) -> f64 {
    if n < 1 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "pages have at most 250 records")]
    let n = n as f64;
    (2.0 * n.ln()).floor().max(1.0)
}

struct Costing<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Args,
}

impl<'a> Costing<'a> {
    /// Fields of a set and of the fragments on it, whatever their type condition.
    fn collect(&self, set: &'a SelectionSet, fields: &mut Vec<&'a Field>) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => fields.push(field),
                Selection::InlineFragment(inline) => self.collect(&inline.selection_set, fields),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        self.collect(&fragment.selection_set, fields);
                    }
                }
            }
        }
    }

    /// A set on an abstract type costs its common fields and the dearest of its branches.
    fn set(&self, set: &'a SelectionSet, value: Option<&Json>) -> f64 {
        let mut common = 0.0;
        let mut dearest: f64 = 0.0;
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    common += self.field(field, value.map(|v| &v[field.response_key().as_str()]));
                }
                Selection::InlineFragment(inline) => {
                    let cost = self.set(&inline.selection_set, value);
                    match &inline.type_condition {
                        Some(condition) if *condition != set.ty => dearest = dearest.max(cost),
                        _ => common += cost,
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        let cost = self.set(&fragment.selection_set, value);
                        if *fragment.type_condition() == set.ty {
                            common += cost;
                        } else {
                            dearest = dearest.max(cost);
                        }
                    }
                }
            }
        }
        common + dearest
    }

    fn field(&self, field: &'a Field, value: Option<&Json>) -> f64 {
        let inner = field.definition.ty.inner_named_type().as_str();
        if field.selection_set.is_empty() || is_free(inner) || value.is_some_and(Json::is_null) {
            return 0.0;
        }
        if inner.ends_with("Connection") {
            return self.connection(field, value);
        }
        match value {
            Some(Json::Array(items)) => {
                1.0 + items
                    .iter()
                    .map(|item| self.set(&field.selection_set, Some(item)))
                    .fold(0.0, f64::max)
            }
            value => 1.0 + self.set(&field.selection_set, value),
        }
    }

    fn connection(&self, field: &'a Field, value: Option<&Json>) -> f64 {
        let mut parts = Vec::new();
        self.collect(&field.selection_set, &mut parts);
        if let Some(value) = value {
            let (mut count, mut cost) = (0_i64, 0.0);
            for part in &parts {
                let items = value[part.response_key().as_str()]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice);
                count = count.max(i64::try_from(items.len()).unwrap_or(0));
                for item in items {
                    cost += match part.name.as_str() {
                        "nodes" => self.set(&part.selection_set, Some(item)),
                        "edges" => self.edge(part, Some(item)),
                        _ => 0.0,
                    };
                }
            }
            if count == 0 {
                return 2.0;
            }
            #[expect(clippy::cast_precision_loss, reason = "pages have at most 250 records")]
            let each = cost / count as f64;
            return 2.0 + page_weight(count) * (1.0 + each);
        }
        let args = arguments(field, self.variables);
        let size = ["first", "last"]
            .iter()
            .find_map(|name| args.get(*name).and_then(Json::as_i64));
        let node: f64 = parts
            .iter()
            .map(|part| match part.name.as_str() {
                "nodes" => self.set(&part.selection_set, None),
                "edges" => self.edge(part, None),
                _ => 0.0,
            })
            .sum();
        2.0 + page_weight(size.unwrap_or(0)) * (1.0 + node)
    }

    fn edge(&self, edges: &'a Field, value: Option<&Json>) -> f64 {
        let mut parts = Vec::new();
        self.collect(&edges.selection_set, &mut parts);
        parts
            .iter()
            .filter(|part| part.name == "node")
            .map(|part| {
                self.set(
                    &part.selection_set,
                    value.map(|v| &v[part.response_key().as_str()]),
                )
            })
            .sum()
    }

    /// What the input of a mutation costs besides: the official schema names it for `productSet` only.
    fn input(&self, field: &'a Field) -> f64 {
        if field.name != "productSet" {
            return 0.0;
        }
        let args = arguments(field, self.variables);
        let length = |value: &Json| value.as_array().map_or(0, Vec::len);
        let input = args.get("input").unwrap_or(&Json::Null);
        let variants = input["variants"].as_array().map_or(&[][..], Vec::as_slice);
        let metafields =
            length(&input["metafields"]) + variants.iter().map(|v| length(&v["metafields"])).sum::<usize>();
        // A product has at most 2048 variants.
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        0.2 * count(variants.len()) + 0.4 * count(metafields) + 1.9 * count(length(&input["files"]))
    }

    /// The payload of a mutation and its direct objects are in the 10 already; what they lead to is not.
    fn payload(&self, field: &'a Field, value: Option<&Json>) -> f64 {
        let mut parts = Vec::new();
        self.collect(&field.selection_set, &mut parts);
        parts
            .iter()
            .map(|p| (self.field(p, value.map(|v| &v[p.response_key().as_str()])) - 1.0).max(0.0))
            .sum()
    }
}

fn is_free(type_name: &str) -> bool {
    FREE.contains(&type_name) || type_name.ends_with("UserError")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::shopify::schema::schema;

    fn requested(text: &str, operation: Option<&str>) -> u64 {
        let document = ExecutableDocument::parse_and_validate(schema(), text, "test.graphql").unwrap();
        let operation = document.operations.get(operation).unwrap();
        of(&document, operation, &Args::new(), None)
    }

    #[test]
    fn page_weights_are_the_measured_ones() {
        for (first, weight) in [
            (0, 0.0),
            (1, 1.0),
            (5, 3.0),
            (10, 4.0),
            (20, 5.0),
            (50, 7.0),
            (100, 9.0),
            (250, 11.0),
        ] {
            assert!((page_weight(first) - weight).abs() < 1e-9, "first: {first}");
        }
    }

    #[test]
    fn documents_cost_what_was_estimated_for_them() {
        let text = include_str!("../../../../fixtures/shopify/connector-documents.graphql");
        for (operation, cost) in [
            ("ConnectorOrder", 169),
            ("ConnectorOrdersPage", 9),
            ("ConnectorCustomer", 14),
            ("ConnectorProduct", 121),
            ("ConnectorWebhooks", 20),
            ("ConnectorWebhookCreate", 10),
            ("ConnectorWebhookDelete", 10),
            ("ConnectorCustomerSet", 17),
            ("ConnectorProductSet", 26),
            ("ConnectorInventorySet", 13),
            ("ConnectorVariantsUpdate", 10),
        ] {
            assert_eq!(requested(text, Some(operation)), cost, "{operation}");
        }
    }

    #[test]
    fn small_rules() {
        for (text, cost) in [
            ("{ shop { name } }", 1),
            ("{ webhookSubscriptionsCount { count } }", 10),
            ("{ orders(first: 0) { nodes { id } } }", 2),
            ("{ orders(first: 10) { edges { node { id } } } }", 2 + 4),
            ("{ orders(first: 10) { nodes { customer { id } } } }", 2 + 4 * 2),
            (
                "{ order(id: \"gid://shopify/Order/1\") { totalPriceSet { shopMoney { amount } } } }",
                1,
            ),
            (
                "{ order(id: \"gid://shopify/Order/1\") { taxLines { title } transactions(first: 9) { id } } }",
                3,
            ),
        ] {
            assert_eq!(requested(text, None), cost, "{text}");
        }
    }

    #[test]
    fn variants_that_are_set_cost_something() {
        let text = include_str!("../../../../fixtures/shopify/connector-documents.graphql");
        let document = ExecutableDocument::parse_and_validate(schema(), text, "test.graphql").unwrap();
        let operation = document.operations.get(Some("ConnectorProductSet")).unwrap();
        let variant = json!({"metafields": [{"key": "erp_ref", "value": "variant_1"}]});
        let input = json!({"input": {"variants": vec![variant; 250]}});
        let variables = input.as_object().cloned().unwrap();
        assert_eq!(of(&document, operation, &variables, None), 26 + 150);
    }

    #[test]
    fn actual_cost_counts_what_was_there() {
        let text = "{ orders(first: 250) { nodes { id customer { id } } } }";
        let document = ExecutableDocument::parse_and_validate(schema(), text, "test.graphql").unwrap();
        let operation = document.operations.get(None).unwrap();
        let data =
            json!({"orders": {"nodes": [{"id": 1, "customer": {"id": 1}}, {"id": 2, "customer": null}]}});
        // Two records weigh 1, each costs 1 and half of them a customer: 2 + 1 x 1.5, rounded up.
        assert_eq!(of(&document, operation, &Args::new(), Some(&data)), 4);
        assert_eq!(
            of(
                &document,
                operation,
                &Args::new(),
                Some(&json!({"orders": {"nodes": []}}))
            ),
            2
        );
    }
}
