//! The JSON schema of each type of event, for `docs/` and for receivers that check what they get.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::detail::{
    DetailKind, EndpointDetail, PaymentDetail, RefundDetail, RunDetail, ShipmentDetail, SubscriptionDetail,
};
use super::event::EventType;
use super::notification::{Notification, VERSION};

/// The schema of what is sent for events of this type. Every field is required, since what is not known is null; others
/// may appear in later releases, and receivers are to pass over them.
pub fn schema(event: EventType) -> Value {
    let mut schema = generate::<Notification>();
    schema.insert("title".to_owned(), json!(event.as_str()));
    schema.insert("description".to_owned(), json!(event.meaning()));
    let mut whole = Value::from(schema);
    let detail = detail(event);
    if let Some(properties) = whole.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("type".to_owned(), json!({ "const": event.as_str() }));
        properties.insert("version".to_owned(), json!({ "const": VERSION }));
        properties.insert("detail".to_owned(), detail);
    }
    if let Some(definitions) = whole.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.remove("EventType");
    }
    whole
}

/// The schema of an event type's detail; null is allowed where nothing of it is known.
fn detail(event: EventType) -> Value {
    let of = |mut schema: Schema| {
        schema.remove("$schema");
        schema.remove("title");
        json!({ "anyOf": [schema, { "type": "null" }] })
    };
    match DetailKind::of(event) {
        DetailKind::None => json!({ "type": "null" }),
        DetailKind::Payment => of(generate::<PaymentDetail>()),
        DetailKind::Refund => of(generate::<RefundDetail>()),
        DetailKind::Shipment => of(generate::<ShipmentDetail>()),
        DetailKind::Run => of(generate::<RunDetail>()),
        DetailKind::Subscription => of(generate::<SubscriptionDetail>()),
        DetailKind::Endpoint => of(generate::<EndpointDetail>()),
    }
}

fn generate<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::notification::tests::full;
    use super::*;

    #[test]
    fn every_field_that_is_sent_is_described_and_required() {
        let sent = serde_json::to_value(full()).unwrap();
        for event in EventType::ALL {
            let schema = schema(*event);
            let required: Vec<&str> = schema["required"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            for name in sent.as_object().unwrap().keys() {
                assert!(schema["properties"].get(name).is_some(), "{event}: {name}");
                assert!(
                    required.contains(&name.as_str()),
                    "{event}: {name} is not required"
                );
            }
            assert_eq!(schema["properties"]["type"]["const"], event.as_str());
            assert_ne!(
                schema["additionalProperties"],
                Value::Bool(false),
                "fields may be added"
            );
        }
    }

    #[test]
    fn an_event_with_a_detail_describes_it() {
        let payment = schema(EventType::PaymentCompleted);
        assert!(payment["properties"]["detail"]["anyOf"][0]["properties"]["amount"].is_object());
        assert_eq!(
            schema(EventType::OrderSynced)["properties"]["detail"]["type"],
            "null"
        );
    }

    #[test]
    fn the_schemas_in_the_docs_are_those_of_this_version() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/events");
        for event in EventType::ALL {
            let path = folder.join(format!("{event}.json"));
            let fresh = serde_json::to_string_pretty(&schema(*event)).unwrap() + "\n";
            if std::env::var_os("LOCKSTEP_WRITE_DOCS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &fresh).unwrap();
            }
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                kept == fresh,
                "{} is stale: run this test with LOCKSTEP_WRITE_DOCS=1",
                path.display()
            );
        }
        let kept = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(kept, EventType::ALL.len(), "a file for each type, and no other");
    }

    /// Guards the promise: a name that is gone from here is a change of what receivers rely on.
    #[test]
    fn fields_are_only_ever_added() {
        let schema = schema(EventType::OrderSynced);
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        for promised in [
            "id",
            "type",
            "version",
            "timestamp",
            "shop",
            "direction",
            "sequence",
            "object",
            "status",
            "changed",
            "problem",
            "source",
            "destination",
            "detail",
            "record",
            "related",
            "values",
        ] {
            assert!(names.iter().any(|name| *name == promised), "{promised}");
        }
    }
}
