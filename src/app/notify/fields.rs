//! What conditions and templates can read, for a type of event or for a real record.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::notify::{EventType, Notification, Scope};

/// A place that can be read.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FieldView {
    /// As it is written, e.g. `order.totals.total`; what stands in lists has `[]`: `order.lines[].sku`.
    pub path: String,
    /// What stands there: `text`, `number`, `amount`, `yes or no`, `time`, `list`, `anything`.
    pub kind: String,
    /// Whether it may be empty.
    pub may_be_empty: bool,
    /// What stands there now, of a real record; of lists, the first item's.
    pub value: Option<Value>,
}

/// Everything that can be read of a type of event.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct EventFields {
    /// The type of event.
    pub event: EventType,
    /// What it means.
    pub meaning: String,
    /// The record whose values are told, if any: its name for people, or its number.
    pub record: Option<String>,
    /// The places, in their order.
    pub fields: Vec<FieldView>,
}

/// What can be read of a type of event.
pub fn fields_of(event: EventType) -> EventFields {
    listed(event, None)
}

/// What can be read of this notification, with its values.
pub fn fields_with(notification: &Notification) -> EventFields {
    listed(notification.event, Some(notification))
}

fn listed(event: EventType, notification: Option<&Notification>) -> EventFields {
    let scope = Scope::of(event);
    let facts = notification.map(|notification| scope.facts(notification));
    let record = notification
        .and_then(|notification| notification.object.as_ref())
        .and_then(|object| {
            let title = object.title.as_ref().map(|title| title.0.clone());
            let number = || object.shopify.as_ref().map(|shopify| shopify.number.to_string());
            object.name.clone().or(title).or_else(number)
        });
    EventFields {
        event,
        meaning: event.meaning().to_owned(),
        record,
        fields: scope
            .fields(facts.as_deref())
            .into_iter()
            .map(|field| FieldView {
                path: field.path,
                kind: field.kind.to_owned(),
                may_be_empty: field.may_be_empty,
                value: field.value,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_event_has_its_own_record() {
        let paths = |event| -> Vec<String> {
            let fields = fields_of(event).fields;
            fields.into_iter().map(|field| field.path).collect()
        };
        assert!(paths(EventType::OrderSynced).contains(&"order.totals.total".to_owned()));
        assert!(paths(EventType::ProductSynced).contains(&"product.variants[].sku".to_owned()));
        let failed = paths(EventType::SyncFailed);
        assert!(failed.contains(&"event.problem.reason".to_owned()), "{failed:?}");
        assert!(failed.iter().all(|path| path.starts_with("event.")), "{failed:?}");
    }
}
