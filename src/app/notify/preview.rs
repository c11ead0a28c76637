//! What an endpoint would be sent for a real record. Nothing is sent.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::Object;
use crate::notify::{Endpoint, EventPattern, EventType, Notification, Wants, WhenPaused};

use super::sample::synced;

/// What would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotifyPreview {
    /// The endpoint.
    pub endpoint: String,
    /// As if this had happened.
    pub event: EventType,
    /// Whether it would be sent now.
    pub is_sent: bool,
    /// Why not, or why that cannot be told.
    pub because: Option<String>,
    /// Mime type of the body.
    pub mime: Option<String>,
    /// The body; shown although the condition does not hold, and none where it cannot be made.
    pub body: Option<String>,
    /// Why there is no body.
    pub problem: Option<String>,
}

/// The type of event that the endpoint is shown for such a record: the named one, else that it was carried over, else the first
/// one that it wants about such records; none where it wants none.
pub fn shown_event(endpoint: &Endpoint, object: Object, named: Option<EventType>) -> Option<EventType> {
    let is_wanted = |event: &EventType| endpoint.events.iter().any(|pattern| pattern.matches(*event));
    // What is about no certain kind of record can be about this one.
    let fits = |event: &EventType| event.object().is_none_or(|of| of == object);
    match named {
        Some(event) => Some(event).filter(is_wanted),
        None => synced(object).filter(is_wanted).or_else(|| {
            let wanted = endpoint.events.iter().flat_map(EventPattern::events);
            let wanted: Vec<EventType> = wanted.filter(fits).collect();
            let own = wanted.iter().find(|event| event.object() == Some(object));
            own.or_else(|| wanted.first()).copied()
        }),
    }
}

/// What this endpoint would be sent for this notification. `is_paused`: nothing is sent to it for now.
pub fn preview(endpoint: &Endpoint, notification: &Notification, is_paused: bool) -> NotifyPreview {
    let because = match endpoint.wants(notification) {
        Wants::Yes if is_paused => Some(match endpoint.when_paused {
            WhenPaused::Keep => "it is paused: this would wait until it is resumed".to_owned(),
            WhenPaused::Discard => "it is paused, and what comes meanwhile is discarded".to_owned(),
        }),
        Wants::Yes => None,
        Wants::No if endpoint.wants_type(notification.event, notification.shop.as_ref()) => {
            Some("its condition does not hold".to_owned())
        }
        Wants::No => Some("it does not want events of this type or shop".to_owned()),
        Wants::Unclear(reason) => Some(format!("its condition cannot be worked out: {reason}")),
    };
    let message = endpoint.message(std::slice::from_ref(notification));
    let (mime, body, problem) = match message {
        Ok(message) => (
            Some(message.mime),
            Some(String::from_utf8_lossy(&message.body).into_owned()),
            None,
        ),
        Err(error) => (None, None, Some(error.to_string())),
    };
    NotifyPreview {
        endpoint: endpoint.name.clone(),
        event: notification.event,
        is_sent: because.is_none() && problem.is_none(),
        because,
        mime,
        body,
        problem,
    }
}
