//! Holds raw records to the schema, so that a misspelt field is not silently missing from what is served.
//!
//! The names of enum values are not looked at: a real shop will one day answer with one that the pinned schema lacks.

use std::collections::HashMap;

use apollo_compiler::ast::Type;
use chrono::DateTime;
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::shape::{self, Kind, kind};
use super::{RawError, RawRecord};
use crate::sandbox::shopify::shop::Shop;

type Index = HashMap<(&'static str, u64), String>;

/// Where each record with an id stands inside.
///
/// # Errors
/// Two records of one type have the same id and differ.
pub(super) fn index(type_name: &'static str, json: &Json) -> Result<Index, RawError> {
    let mut index = Index::new();
    enter(type_name, json, String::new(), json, &mut index)?;
    Ok(index)
}

fn enter(
    type_name: &'static str,
    json: &Json,
    pointer: String,
    root: &Json,
    index: &mut Index,
) -> Result<(), RawError> {
    let Some(fields) = json.as_object() else {
        return Ok(());
    };
    if let Some(id) = json["id"].as_u64() {
        let before = index.get(&(type_name, id)).and_then(|at| root.pointer(at));
        match before {
            Some(before) if part_of(json, before) => {}
            Some(before) if !part_of(before, json) => {
                let why = format!("two different records have the id {id}");
                return Err(RawError::new(format!("{type_name} at {pointer}"), why));
            }
            _ => {
                index.insert((type_name, id), pointer.clone());
            }
        }
    }
    for (name, value) in fields {
        let Some(ty) = shape::field(type_name, name) else {
            continue;
        };
        let values: Vec<(String, &Json)> = match value {
            Json::Array(items) => items
                .iter()
                .enumerate()
                .map(|(place, item)| (format!("{pointer}/{name}/{place}"), item))
                .collect(),
            one => vec![(format!("{pointer}/{name}"), one)],
        };
        for (at, value) in values {
            let inner = match kind(ty.inner_named_type().as_str()) {
                Some(Kind::Object(inner) | Kind::Connection(inner)) => Some(inner),
                Some(Kind::Abstract(name)) => shape::member(name, value),
                _ => None,
            };
            let inner = inner.map(|inner| match kind(inner) {
                Some(Kind::Abstract(name)) => shape::member(name, value),
                _ => shape::object(inner),
            });
            if let Some(Some(inner)) = inner {
                enter(inner, value, at, root, index)?;
            }
        }
    }
    Ok(())
}

/// Whether all that one object says is said by the other, too: it is the same record, told in fewer words.
fn part_of(short: &Json, long: &Json) -> bool {
    let short = short.as_object();
    short.is_some_and(|short| short.iter().all(|(key, value)| long.get(key) == Some(value)))
}

/// Checks a record and everything inside it.
pub(super) fn record(shop: &Shop, record: &RawRecord) -> Result<(), RawError> {
    let check = Check { shop, record };
    check.object(record.kind, &record.json, record.kind)
}

struct Check<'a> {
    shop: &'a Shop,
    record: &'a RawRecord,
}

impl Check<'_> {
    fn object(&self, type_name: &str, json: &Json, path: &str) -> Result<(), RawError> {
        let Some(given) = json.as_object() else {
            return Err(RawError::new(path, format!("a {type_name} is an object")));
        };
        for (name, value) in given {
            if name == "__typename" {
                continue;
            }
            let path = format!("{path}.{name}");
            let Some(ty) = shape::field(type_name, name) else {
                let fields = shape::fields(type_name);
                let close = fields
                    .iter()
                    .filter(|field| alike(field, name))
                    .copied()
                    .collect::<Vec<_>>();
                let hint = if close.is_empty() {
                    fields.join(", ")
                } else {
                    close.join(", ")
                };
                let why = format!("{type_name} has no such field; it has {hint}");
                return Err(RawError::new(path, why));
            };
            self.value(ty, value, &path)?;
        }
        Ok(())
    }

    fn value(&self, ty: &Type, value: &Json, path: &str) -> Result<(), RawError> {
        if value.is_null() {
            return Ok(());
        }
        let name = ty.inner_named_type().as_str();
        let Some(what) = kind(name) else {
            return Err(RawError::new(path, format!("{name} cannot be served")));
        };
        let list = ty.is_list() || matches!(what, Kind::Connection(_));
        match (list, value) {
            (true, Json::Array(items)) => {
                let what = match what {
                    Kind::Connection(inner) => kind(inner).unwrap_or(what),
                    other => other,
                };
                for (place, item) in items.iter().enumerate() {
                    self.one(what, item, &format!("{path}[{place}]"))?;
                }
                Ok(())
            }
            (true, _) => Err(RawError::new(path, "a list is wanted")),
            (false, value) => self.one(what, value, path),
        }
    }

    fn one(&self, what: Kind, value: &Json, path: &str) -> Result<(), RawError> {
        let wrong = |wanted: &str| Err(RawError::new(path, format!("{wanted} is wanted, not {value}")));
        match what {
            Kind::Bag | Kind::Money if value.is_object() => {
                let name = if what == Kind::Bag { "MoneyBag" } else { "MoneyV2" };
                self.object(name, value, path)
            }
            Kind::Bag | Kind::Money => match value.as_str().and_then(shape::bag) {
                Some(_) => Ok(()),
                None => wrong("an amount as text, \"12.00\" or \"12.00|13.20\","),
            },
            Kind::Abstract("DiscountApplication") if value.is_number() => {
                let place = value.as_u64().and_then(|n| usize::try_from(n).ok());
                let all = &self.record.json["discountApplications"];
                match place.and_then(|place| all.get(place)) {
                    Some(_) => Ok(()),
                    None => wrong("the place of one of the order's discountApplications"),
                }
            }
            Kind::Abstract(name) => match shape::member(name, value) {
                Some("PricingPercentageValue") if value.is_number() => Ok(()),
                Some("MoneyV2") if value.is_string() => self.one(Kind::Money, value, path),
                Some(member) => self.object(member, value, path),
                None => wrong(&format!(
                    "one of {} (named by __typename or known by its fields)",
                    shape::members(name).join(", ")
                )),
            },
            Kind::Object(name) if value.is_number() => match value.as_u64() {
                Some(id) if self.leads_somewhere(name, id) => Ok(()),
                _ => wrong(&format!("the id of a {name} of this record or of the catalogue")),
            },
            Kind::Object(name) => self.object(name, value, path),
            Kind::Connection(_) => wrong("a list"),
            Kind::Enum if value.is_string() => Ok(()),
            Kind::Enum => wrong("the name of a value"),
            Kind::Scalar(name) => scalar(name, value).map_or(Ok(()), wrong),
        }
    }

    fn leads_somewhere(&self, kind: &str, id: u64) -> bool {
        self.record.inner(kind, id).is_some()
            || match kind {
                "Customer" => self.shop.customer(id).is_some(),
                "Product" => self.shop.product(id).is_some(),
                "ProductVariant" => self.shop.variant(id).is_some(),
                "Location" => self.shop.location(id).is_some(),
                _ => false,
            }
            || self.shop.raw.find(kind, id).is_some()
    }
}

/// What is wanted instead, when a value does not suit a scalar.
fn scalar(name: &str, value: &Json) -> Option<&'static str> {
    let text = value.as_str();
    let (fits, wanted) = match name {
        "Boolean" => (value.is_boolean(), "true or false"),
        "Int" => (value.is_i64(), "a whole number"),
        "Float" => (value.is_number(), "a number"),
        "Decimal" | "Money" => (
            text.is_some_and(|t| t.parse::<Decimal>().is_ok()),
            "a decimal as text",
        ),
        "DateTime" => (
            text.is_some_and(|t| DateTime::parse_from_rfc3339(t).is_ok()),
            "a time as 2026-11-20T10:00:00Z",
        ),
        "ID" => (value.is_u64() || value.is_string(), "a number or a gid"),
        "JSON" => (true, ""),
        _ => (value.is_string(), "a text"),
    };
    (!fits).then_some(wanted)
}

/// Whether one name may have been meant by the other.
fn alike(field: &str, given: &str) -> bool {
    let (field, given) = (field.to_lowercase(), given.to_lowercase());
    let start = given.len().min(5);
    field.contains(&given)
        || given.contains(&field)
        || given.get(..start).is_some_and(|g| field.starts_with(g))
}
