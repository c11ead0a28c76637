//! What the pinned schema says about types, and how compact values are read.

use apollo_compiler::ast::Type;
use apollo_compiler::schema::ExtendedType;
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::sandbox::shopify::schema::schema;

/// What stands behind the name of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox::shopify) enum Kind {
    /// `MoneyBag`: a text, `"12.00"` or `"12.00|13.20"`.
    Bag,
    /// `MoneyV2`: a text.
    Money,
    /// A connection; compact: a plain list of its nodes' type.
    Connection(&'static str),
    Object(&'static str),
    /// An interface or a union.
    Abstract(&'static str),
    Enum,
    Scalar(&'static str),
}

/// The kind of a type by its name.
pub(in crate::sandbox::shopify) fn kind(name: &str) -> Option<Kind> {
    let (name, definition) = schema().types.get_key_value(name)?;
    Some(match definition {
        ExtendedType::Object(_) if name == "MoneyBag" => Kind::Bag,
        ExtendedType::Object(_) if name == "MoneyV2" => Kind::Money,
        ExtendedType::Object(object) if name.ends_with("Connection") => {
            Kind::Connection(object.fields.get("nodes")?.ty.inner_named_type().as_str())
        }
        ExtendedType::Object(_) => Kind::Object(name.as_str()),
        ExtendedType::Interface(_) | ExtendedType::Union(_) => Kind::Abstract(name.as_str()),
        ExtendedType::Enum(_) => Kind::Enum,
        ExtendedType::Scalar(_) => Kind::Scalar(name.as_str()),
        ExtendedType::InputObject(_) => return None,
    })
}

/// The name of an object type as the schema keeps it.
pub(in crate::sandbox::shopify) fn object(name: &str) -> Option<&'static str> {
    let (name, definition) = schema().types.get_key_value(name)?;
    definition.as_object().map(|_| name.as_str())
}

/// The type of a field.
pub(in crate::sandbox::shopify) fn field(type_name: &str, field: &str) -> Option<&'static Type> {
    let object = schema().types.get(type_name)?.as_object()?;
    object.fields.get(field).map(|definition| &definition.ty)
}

/// The names of all fields of an object type.
pub(in crate::sandbox::shopify) fn fields(type_name: &str) -> Vec<&'static str> {
    let object = schema().types.get(type_name).and_then(ExtendedType::as_object);
    object.map_or_else(Vec::new, |object| {
        object.fields.keys().map(apollo_compiler::Name::as_str).collect()
    })
}

/// Both sides of a compact amount.
pub(in crate::sandbox::shopify) fn bag(text: &str) -> Option<(Decimal, Decimal)> {
    match text.split_once('|') {
        Some((shop, presentment)) => Some((shop.parse().ok()?, presentment.parse().ok()?)),
        None => text.parse().ok().map(|amount| (amount, amount)),
    }
}

/// The object type that a value of an interface or union has: as it says itself, else the first member that has all of
/// its fields. A text is money and a number a percentage where the type knows both.
pub(in crate::sandbox::shopify) fn member(abstract_name: &str, value: &Json) -> Option<&'static str> {
    let members = members(abstract_name);
    let pick = |wanted: &str| members.iter().copied().find(|member| *member == wanted);
    match value {
        Json::String(_) => pick("MoneyV2"),
        Json::Number(_) => pick("PricingPercentageValue"),
        Json::Object(given) => match given.get("__typename").and_then(Json::as_str) {
            Some(name) => pick(name),
            None => members
                .iter()
                .copied()
                .find(|member| given.keys().all(|key| field(member, key).is_some())),
        },
        _ => None,
    }
}

/// The object types behind an interface or union.
pub(in crate::sandbox::shopify) fn members(abstract_name: &str) -> Vec<&'static str> {
    match schema().types.get(abstract_name) {
        Some(ExtendedType::Union(union)) => union
            .members
            .iter()
            .filter_map(|member| object(member.name.as_str()))
            .collect(),
        Some(ExtendedType::Interface(_)) => schema()
            .types
            .values()
            .filter_map(ExtendedType::as_object)
            .filter(|object| {
                object
                    .implements_interfaces
                    .iter()
                    .any(|i| i.name == abstract_name)
            })
            .map(|object| object.name.as_str())
            .collect(),
        _ => Vec::new(),
    }
}
