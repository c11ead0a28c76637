//! What conditions and templates can read: the notification as `event`, and the record that it is about under its own name.
//!
//! The record is kept as JSON between the sync and the delivery, and read back by its declared shape, so that amounts stay
//! exact numbers and times stay times.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::SecondsFormat;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::detail::DetailKind;
use super::event::EventType;
use super::notification::{Notification, Status};
use crate::domain::{
    Canonical as _, Customer, Direction, Fact, Object, Order, Product, Shape, System, Timestamp,
};

/// The names that can be read of events of one type, with the shape of what stands behind each.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    names: Vec<(&'static str, Shape)>,
}

impl Scope {
    /// What can be read of events of this type.
    pub fn of(event: EventType) -> Self {
        let mut names = vec![("event", envelope(event))];
        if let Some(name) = record_name(event) {
            let shape = match name {
                "customer" => Customer::shape(),
                "product" => Product::shape(),
                _ => Order::shape(),
            };
            names.push((name, without_raw(shape)));
        }
        Self { names }
    }

    /// The names and shapes, in the order of the facts.
    pub fn names(&self) -> &[(&'static str, Shape)] {
        &self.names
    }

    /// What stands behind each name for this notification.
    pub fn facts(&self, notification: &Notification) -> Vec<Fact> {
        let envelope = serde_json::to_value(notification.without_record()).unwrap_or_default();
        let record = notification.record.as_ref().unwrap_or(&Value::Null);
        self.names
            .iter()
            .map(|(name, shape)| from_json(if *name == "event" { &envelope } else { record }, shape))
            .collect()
    }

    /// Every place that can be read, with its value where `facts` are given; of lists, the first item's.
    pub fn fields(&self, facts: Option<&[Fact]>) -> Vec<Field> {
        let mut fields = Vec::new();
        for (n, (name, shape)) in self.names.iter().enumerate() {
            list(
                name,
                shape,
                false,
                facts.and_then(|facts| facts.get(n)),
                &mut fields,
            );
        }
        fields
    }
}

/// Under which name the record that such an event is about can be read, if it can. A deleted one cannot be any more.
pub(super) const fn record_name(event: EventType) -> Option<&'static str> {
    match (event, event.object()) {
        (EventType::CustomerDeleted | EventType::ProductDeleted, _) => None,
        (_, Some(Object::Order)) => Some("order"),
        (_, Some(Object::Customer)) => Some("customer"),
        (_, Some(Object::Product)) => Some("product"),
        (_, Some(Object::Inventory | Object::Shop) | None) => None,
    }
}

/// A place that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// As it is written, e.g. `order.totals.total`; what stands in lists has `[]`: `order.lines[].sku`.
    pub path: String,
    /// What stands there: `text`, `number`, `amount`, `yes or no`, `time`, `list`, `anything`.
    pub kind: &'static str,
    /// Whether it may be empty.
    pub may_be_empty: bool,
    /// What stands there now, where that was asked for.
    pub value: Option<Value>,
}

fn list(path: &str, shape: &Shape, may_be_empty: bool, fact: Option<&Fact>, fields: &mut Vec<Field>) {
    let mut leaf = |kind: &'static str| {
        fields.push(Field {
            path: path.to_owned(),
            kind,
            may_be_empty,
            value: fact.map(to_json),
        });
    };
    match shape {
        Shape::Bool => leaf("yes or no"),
        Shape::Integer => leaf("number"),
        Shape::Decimal => leaf("amount"),
        Shape::Text | Shape::OneOf(_) => leaf("text"),
        Shape::Time => leaf("time"),
        Shape::Raw => leaf("anything"),
        Shape::Optional(inner) => list(path, inner, true, fact, fields),
        Shape::List(item) => {
            leaf("list");
            if matches!(**item, Shape::Record(_)) {
                let first = match fact {
                    Some(Fact::List(items)) => items.first(),
                    _ => None,
                };
                list(&format!("{path}[]"), item, may_be_empty, first, fields);
            }
        }
        Shape::Record(parts) => {
            for (name, shape) in parts {
                let part = fact.and_then(|fact| fact.at(name));
                list(&format!("{path}.{name}"), shape, may_be_empty, part, fields);
            }
        }
    }
}

/// A canonical record as JSON: amounts and times as text, the source system's own record left out.
pub fn to_json(fact: &Fact) -> Value {
    match fact {
        Fact::Null => Value::Null,
        Fact::Bool(value) => Value::Bool(*value),
        Fact::Integer(value) => Value::from(*value),
        Fact::Decimal(value) => Value::String(value.to_string()),
        Fact::Text(value) => Value::String(value.clone()),
        Fact::Time(value) => Value::String(value.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)),
        Fact::List(items) => Value::Array(items.iter().map(to_json).collect()),
        Fact::Record(parts) => Value::Object(
            parts
                .iter()
                .filter(|(name, part)| !(*name == "raw" && matches!(part, Fact::Raw(_))))
                .map(|(name, part)| ((*name).to_owned(), to_json(part)))
                .collect::<Map<_, _>>(),
        ),
        Fact::Raw(value) => (**value).clone(),
    }
}

/// What [`to_json`] wrote, by the shape that it has. What does not fit the shape is empty.
pub(super) fn from_json(value: &Value, shape: &Shape) -> Fact {
    let read = match (shape, value) {
        (Shape::Optional(inner), value) => Some(from_json(value, inner)),
        (Shape::Bool, Value::Bool(value)) => Some(Fact::Bool(*value)),
        (Shape::Integer, value) => value.as_i64().map(Fact::Integer),
        (Shape::Decimal, Value::String(text)) => text.parse::<Decimal>().ok().map(Fact::Decimal),
        (Shape::Text | Shape::OneOf(_), Value::String(text)) => Some(Fact::Text(text.clone())),
        (Shape::Time, Value::String(text)) => Timestamp::parse_rfc3339(text).ok().map(Fact::Time),
        (Shape::List(item), Value::Array(items)) => Some(Fact::List(
            items.iter().map(|value| from_json(value, item)).collect(),
        )),
        (Shape::Record(parts), Value::Object(values)) => Some(Fact::Record(
            parts
                .iter()
                .filter_map(|(name, shape)| match name {
                    Cow::Borrowed(name) => {
                        Some((*name, from_json(values.get(*name).unwrap_or(&Value::Null), shape)))
                    }
                    // Only shapes that are made at run time have names of their own, and they are not kept as JSON.
                    Cow::Owned(_) => None,
                })
                .collect(),
        )),
        (Shape::Raw, value) if !value.is_null() => Some(Fact::Raw(Arc::new(value.clone()))),
        _ => None,
    };
    read.unwrap_or(Fact::Null)
}

/// A record's shape without the source system's own record, which is not kept.
fn without_raw(shape: Shape) -> Shape {
    match shape {
        Shape::Record(parts) => Shape::Record(
            parts
                .into_iter()
                .filter(|(_, shape)| *shape != Shape::Raw)
                .collect(),
        ),
        shape => shape,
    }
}

fn maybe(shape: Shape) -> Shape {
    Shape::Optional(Box::new(shape))
}

fn many(shape: Shape) -> Shape {
    Shape::List(Box::new(shape))
}

fn record(parts: Vec<(&'static str, Shape)>) -> Shape {
    Shape::Record(
        parts
            .into_iter()
            .map(|(name, shape)| (Cow::Borrowed(name), shape))
            .collect(),
    )
}

/// The shape of a [`Notification`], but for the record, which goes by a name of its own.
fn envelope(event: EventType) -> Shape {
    let text = || maybe(Shape::Text);
    let shopify = || maybe(record(vec![("gid", Shape::Text), ("number", Shape::Integer)]));
    let erp = || {
        maybe(record(vec![
            ("model", Shape::Text),
            ("id", Shape::Integer),
            ("number", text()),
        ]))
    };
    let place = || {
        maybe(record(vec![
            ("system", one_of(System::ALL.iter().map(|value| value.as_str()))),
            ("name", Shape::Text),
        ]))
    };
    let mut parts = vec![
        ("id", Shape::Text),
        ("type", one_of([event.as_str()])),
        ("version", Shape::Integer),
        ("timestamp", Shape::Time),
        ("shop", text()),
        (
            "direction",
            maybe(one_of(Direction::ALL.iter().map(|value| value.as_str()))),
        ),
        ("sequence", maybe(Shape::Integer)),
        (
            "object",
            maybe(record(vec![
                ("kind", one_of(Object::ALL.iter().map(|value| value.as_str()))),
                ("title", text()),
                ("sku", text()),
                ("name", text()),
                ("shopify", shopify()),
                ("erp", erp()),
            ])),
        ),
        (
            "status",
            maybe(one_of(Status::ALL.iter().map(|value| value.as_str()))),
        ),
        ("changed", many(Shape::Text)),
        (
            "problem",
            maybe(record(vec![
                ("code", Shape::Text),
                ("field", text()),
                ("reason", text()),
                ("fix", text()),
                ("owner", Shape::Text),
                ("job", maybe(Shape::Integer)),
            ])),
        ),
        ("source", place()),
        ("destination", place()),
        (
            "related",
            maybe(many(record(vec![
                ("kind", Shape::Text),
                ("shopify", shopify()),
                ("erp", erp()),
            ]))),
        ),
        (
            "values",
            maybe(many(record(vec![
                ("field", Shape::Text),
                ("old", Shape::Raw),
                ("new", Shape::Raw),
            ]))),
        ),
    ];
    parts.extend(detail(event).map(|shape| ("detail", maybe(shape))));
    record(parts)
}

fn one_of(texts: impl IntoIterator<Item = &'static str>) -> Shape {
    Shape::OneOf(texts.into_iter().collect())
}

/// The shape of an event type's detail, where it has one.
fn detail(event: EventType) -> Option<Shape> {
    let text = || maybe(Shape::Text);
    let number = || maybe(Shape::Integer);
    Some(record(match DetailKind::of(event) {
        DetailKind::None => return None,
        DetailKind::Payment => vec![
            ("payment", text()),
            ("amount", maybe(Shape::Decimal)),
            ("currency", text()),
            ("gateway", text()),
            ("kind", text()),
        ],
        DetailKind::Refund => vec![
            ("refund", text()),
            ("amount", maybe(Shape::Decimal)),
            ("currency", text()),
        ],
        DetailKind::Shipment => vec![
            ("shipment", text()),
            ("carrier", text()),
            ("tracking_numbers", many(Shape::Text)),
            ("status", text()),
        ],
        DetailKind::Run => vec![
            ("kind", text()),
            ("run", number()),
            ("object", text()),
            ("outcome", text()),
            ("seen", number()),
            ("found", number()),
        ],
        DetailKind::Subscription => vec![("topic", Shape::Text), ("address", text())],
        DetailKind::Endpoint => vec![
            ("endpoint", Shape::Text),
            ("since", text()),
            ("failure", text()),
            ("waiting", number()),
            ("paused", Shape::Bool),
        ],
    }))
}

#[cfg(test)]
mod tests {
    use super::super::notification::tests::full;
    use super::super::schema::schema;
    use super::*;

    fn parts(shape: &Shape) -> Vec<String> {
        let Shape::Record(parts) = shape else {
            panic!("a record")
        };
        let mut names: Vec<String> = parts.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    fn keys(value: &Value) -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    #[test]
    fn all_that_is_sent_can_be_read_by_templates() {
        for event in EventType::ALL {
            let mut sent = keys(&serde_json::to_value(full()).unwrap());
            sent.retain(|name| name != "record" && name != "detail");
            let described = schema(*event);
            let detail_schema = &described["properties"]["detail"]["anyOf"][0]["properties"];
            if !detail_schema.is_null() {
                sent.push("detail".to_owned());
                sent.sort();
                assert_eq!(parts(&detail(*event).unwrap()), keys(detail_schema), "{event}");
            }
            assert_eq!(parts(&envelope(*event)), sent, "{event}");
        }
    }

    #[test]
    fn facts_come_back_with_their_kinds() {
        let mut notification = full();
        notification.record = Some(serde_json::json!({
            "name": "#1001",
            "totals": { "total": "1234.50" },
            "processed_at": "2023-11-14T22:13:20.000Z",
            "tags": ["a", "b"],
            "lines": [{ "sku": "X-1", "quantity": "2" }],
        }));
        let scope = Scope::of(EventType::OrderSynced);
        let facts = scope.facts(&notification);
        assert_eq!(
            facts[0].at("object.erp.number"),
            Some(&Fact::Text("S00042".to_owned()))
        );
        assert_eq!(facts[0].at("sequence"), Some(&Fact::Integer(7)));
        assert_eq!(
            facts[1].at("totals.total"),
            Some(&Fact::Decimal("1234.50".parse().unwrap()))
        );
        assert_eq!(
            facts[1].at("processed_at"),
            Some(&Fact::Time(Timestamp::from_millis(1_700_000_000_000)))
        );
        assert_eq!(facts[1].at("email"), Some(&Fact::Null));
        assert_eq!(facts[1].at("raw"), None, "not kept, so not offered");
    }

    #[test]
    fn a_record_that_was_kept_is_the_same_as_before() {
        let address = crate::domain::Address {
            city: Some("Ulm".to_owned()),
            ..crate::domain::Address::nothing()
        };
        let shape = crate::domain::Address::shape();
        assert_eq!(from_json(&to_json(&address.fact()), &shape), address.fact());
    }

    #[test]
    fn fields_are_listed_with_the_values_of_a_real_record() {
        let mut notification = full();
        notification.record = Some(serde_json::json!({ "lines": [{ "sku": "X-1" }] }));
        let scope = Scope::of(EventType::OrderSynced);
        let facts = scope.facts(&notification);
        let fields = scope.fields(Some(&facts));
        let value = |path: &str| {
            let field = fields.iter().find(|field| field.path == path);
            field.unwrap_or_else(|| panic!("{path} is listed")).value.clone()
        };
        assert_eq!(value("event.object.name"), Some(Value::from("#1001")));
        assert_eq!(value("order.lines[].sku"), Some(Value::from("X-1")));
        assert_eq!(value("order.email"), Some(Value::Null));
        let unknown = scope.fields(None);
        assert_eq!(unknown.len(), fields.len());
        assert!(unknown.iter().all(|field| field.value.is_none()));
        assert!(!fields.iter().any(|field| field.path.ends_with("raw")));
    }
}
