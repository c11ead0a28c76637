//! Notifications about nothing, for trying out endpoints whose template is made for other events than `test.ping`.
//!
//! What may be empty is empty, and what may not is zero, the time of the trial, or the word `TEST`: nothing of it can be taken
//! for a record.

use serde_json::{Map, Value};

use super::event::EventType;
use super::facts::{Scope, record_name};
use super::notification::{Notification, ObjectReference, ProblemNote, Shown};
use super::personal::Includes;
use crate::domain::{Object, Shape};

/// What stands wherever a text must.
const MARK: &str = "TEST";

impl Notification {
    /// A notification of another type under this one's id, as an endpoint gets it that may see `includes`. What marks it as a
    /// test is shown to everybody, since it names nobody.
    #[must_use]
    pub(super) fn made_up(&self, event: EventType, includes: Includes) -> Self {
        let at = serde_json::to_value(self).map_or(Value::Null, |mut ping| ping["timestamp"].take());
        let scope = Scope::of(event);
        let record = record_name(event)
            .and_then(|name| scope.names().iter().find(|(known, _)| *known == name))
            .map(|(_, shape)| made_up(shape, &at));
        let made = Self {
            event,
            record,
            object: event.object().map(|kind| ObjectReference {
                kind,
                title: None,
                sku: None,
                name: None,
                shopify: None,
                erp: None,
            }),
            ..self.clone()
        };
        let mut shown = made.shown(includes);
        if let Some(object) = &mut shown.object {
            let mark = || Some(MARK.to_owned());
            match object.kind {
                Object::Order => object.name = mark(),
                Object::Customer | Object::Shop => object.title = mark().map(Shown),
                Object::Product | Object::Inventory => {
                    object.title = mark().map(Shown);
                    object.sku = mark();
                }
            }
        }
        if matches!(event, EventType::SyncFailed | EventType::SyncHeld) {
            shown.problem = Some(ProblemNote {
                code: "test".to_owned(),
                field: None,
                reason: Some(Shown(format!("{MARK}: somebody tries out this endpoint"))),
                fix: Some(Shown("nothing is to be done".to_owned())),
                owner: MARK.to_owned(),
                job: None,
            });
        }
        shown
    }
}

/// A value of this shape, as JSON.
fn made_up(shape: &Shape, at: &Value) -> Value {
    match shape {
        Shape::Optional(_) | Shape::Raw => Value::Null,
        Shape::Bool => Value::Bool(false),
        Shape::Integer => Value::from(0),
        Shape::Decimal => Value::from("0"),
        Shape::Text => Value::from(MARK),
        Shape::OneOf(texts) => texts.first().map_or(Value::Null, |text| Value::from(*text)),
        Shape::Time => at.clone(),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Record(parts) => Value::Object(
            parts
                .iter()
                .map(|(name, shape)| match (&**name, shape) {
                    // Shops mark orders of their own as tests.
                    ("test", Shape::Bool) => (name.to_string(), Value::Bool(true)),
                    (_, shape) => (name.to_string(), made_up(shape, at)),
                })
                .collect::<Map<_, _>>(),
        ),
    }
}
