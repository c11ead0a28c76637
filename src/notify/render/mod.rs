//! The body of a request: the notification as JSON, or what an endpoint's template makes of it.
//!
//! A template is text with merge fields, `{{ expression }}`, in the mappings' own language. It is compiled for every type of
//! event that its endpoint wants, so that a misspelt field is a mistake in the configuration and not of the first event.
//! What is merged in is escaped for JSON, XML, Markdown or text, by the template's mime type. In JSON it matters where a field
//! stands: within quotes it becomes a part of the text, elsewhere a value of its own (a number, a text in quotes, null, a list).
//! In XML it stands in text or in the quotes of an attribute.
//!
//! A body is never empty and, if JSON, always JSON: what cannot be rendered is an error, and the delivery a problem.

mod escape;
mod parse;
mod xml;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use escape::{Format, MimeError};
use parse::{Part, parts};

use super::event::EventType;
use super::facts::Scope;
use super::notification::{Notification, NotificationId, VERSION};
use super::personal::Includes;
use crate::domain::Fact;

/// No body is larger, in bytes: receivers refuse what is much smaller already.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// The mime type of the default body.
pub const JSON: &str = "application/json";

/// Compiles the expressions of conditions and templates.
pub trait Expressions: Send + Sync {
    /// Checks and compiles one expression. `names` says what can be read, and its shape; facts are later given in this order.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    fn compile(
        &self,
        text: &str,
        names: &[(&'static str, crate::domain::Shape)],
    ) -> Result<Arc<dyn Expression>, ExpressionError>;
}

/// A compiled expression.
pub trait Expression: Send + Sync + fmt::Debug {
    /// Its value for these facts.
    ///
    /// # Errors
    /// When it cannot be worked out. The reason names no value.
    fn value(&self, facts: &[Fact]) -> Result<Fact, String>;

    /// Whether it holds, as a condition.
    ///
    /// # Errors
    /// As [`Expression::value`].
    fn holds(&self, facts: &[Fact]) -> Result<bool, String>;
}

/// What is wrong with an expression or a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// Where in the text, in bytes.
    pub place: Range<usize>,
    /// What, in one sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// A condition that notifications must meet, for each type of event.
#[derive(Clone, Debug)]
pub struct Condition(BTreeMap<EventType, (Scope, Arc<dyn Expression>)>);

impl Condition {
    /// Checks and compiles a condition on events of these types.
    ///
    /// # Errors
    /// When it is none for one of them.
    pub fn compile(
        text: &str,
        events: &[EventType],
        expressions: &dyn Expressions,
    ) -> Result<Self, ExpressionError> {
        events
            .iter()
            .map(|event| {
                let scope = Scope::of(*event);
                let compiled = compile_for(text, *event, &scope, expressions)?;
                Ok((*event, (scope, compiled)))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it holds for a notification. For a type of event that it was not compiled for, it does not.
    ///
    /// # Errors
    /// When it cannot be worked out.
    pub fn holds(&self, notification: &Notification) -> Result<bool, String> {
        self.0
            .get(&notification.event)
            .map_or(Ok(false), |(scope, expression)| {
                expression.holds(&scope.facts(notification))
            })
    }
}

/// Compiles for one type of event, and says for which when it does not work.
fn compile_for(
    text: &str,
    event: EventType,
    scope: &Scope,
    expressions: &dyn Expressions,
) -> Result<Arc<dyn Expression>, ExpressionError> {
    expressions
        .compile(text, scope.names())
        .map_err(|error| ExpressionError {
            message: format!("of {event}: {}", error.message),
            ..error
        })
}

/// A template for bodies.
#[derive(Clone, Debug)]
pub struct Template {
    mime: String,
    format: Format,
    pieces: Vec<Piece>,
    scopes: BTreeMap<EventType, Scope>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Field {
        text: String,
        /// Within the quotes of a JSON text.
        quoted: bool,
        by_event: BTreeMap<EventType, Arc<dyn Expression>>,
    },
}

/// Why there is no body. It names fields, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A field cannot be worked out for this notification.
    #[error("`{field}` of the body's template cannot be worked out: {reason}")]
    Field {
        /// As it is written.
        field: String,
        /// Why.
        reason: String,
    },
    /// Nothing comes of it.
    #[error("the body's template gives nothing for this event: nothing was sent")]
    Empty,
    /// It is too large.
    #[error("the body would have {bytes} bytes, and at most {LARGEST_BODY} are sent; include less")]
    TooLarge {
        /// How large it would be.
        bytes: usize,
    },
    /// The template was not made for this type of event.
    #[error("the body's template was not made for {event}")]
    OtherEvent {
        /// The type.
        event: EventType,
    },
    /// A notification that cannot be written as JSON.
    #[error("the notification cannot be written as JSON")]
    NoJson,
}

impl Template {
    /// Checks and compiles a template for events of these types.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn compile(
        text: &str,
        mime: &str,
        events: &[EventType],
        expressions: &dyn Expressions,
    ) -> Result<Self, ExpressionError> {
        let whole = |message: &str, help: &str| ExpressionError {
            place: 0..text.len(),
            message: message.to_owned(),
            help: Some(help.to_owned()),
        };
        if text.trim().is_empty() {
            return Err(whole(
                "the template is empty",
                "leave it out for the default body, or write one",
            ));
        }
        let format = Format::read(mime).map_err(|error| whole(&error.to_string(), error.help()))?;
        let found = parts(text)?;
        let quoted = escape::places(text, &found, format)?;
        let scopes: BTreeMap<EventType, Scope> =
            events.iter().map(|event| (*event, Scope::of(*event))).collect();
        let mut pieces = Vec::new();
        for (part, quoted) in found.iter().zip(quoted) {
            match part {
                Part::Text(place) => pieces.push(Piece::Text(text[place.clone()].to_owned())),
                Part::Field(place) => {
                    let field = &text[place.clone()];
                    let by_event = scopes
                        .iter()
                        .map(|(event, scope)| {
                            compile_for(field, *event, scope, expressions)
                                .map(|compiled| (*event, compiled))
                                .map_err(|error| ExpressionError {
                                    place: place.start + error.place.start
                                        ..(place.start + error.place.end).min(place.end),
                                    ..error
                                })
                        })
                        .collect::<Result<_, _>>()?;
                    pieces.push(Piece::Field {
                        text: field.trim().to_owned(),
                        quoted,
                        by_event,
                    });
                }
            }
        }
        Ok(Self {
            mime: mime.to_owned(),
            format,
            pieces,
            scopes,
        })
    }

    /// The mime type of what it makes.
    pub fn mime(&self) -> &str {
        &self.mime
    }

    /// With which type of event it is tried out, where `event` is a trial that it was not made for.
    pub(super) fn tried_with(&self, event: EventType) -> Option<EventType> {
        let is_trial = event == EventType::TestPing && !self.scopes.contains_key(&event);
        self.scopes.keys().next().copied().filter(|_| is_trial)
    }

    /// The body for a notification, of which the endpoint may see all that is in it.
    ///
    /// # Errors
    /// When there is none.
    pub fn render(&self, notification: &Notification) -> Result<Bytes, RenderError> {
        let event = notification.event;
        let scope = self.scopes.get(&event).ok_or(RenderError::OtherEvent { event })?;
        let facts = scope.facts(notification);
        let mut body = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => body.push_str(text),
                Piece::Field {
                    text,
                    quoted,
                    by_event,
                } => {
                    let failed = |reason: String| RenderError::Field {
                        field: text.clone(),
                        reason,
                    };
                    let expression = by_event.get(&event).ok_or(RenderError::OtherEvent { event })?;
                    let value = expression.value(&facts).map_err(failed)?;
                    escape::write(&mut body, &value, self.format, *quoted).map_err(failed)?;
                }
            }
            if body.len() > LARGEST_BODY {
                return Err(RenderError::TooLarge { bytes: body.len() });
            }
        }
        if body.trim().is_empty() {
            return Err(RenderError::Empty);
        }
        Ok(Bytes::from(body))
    }
}

/// What is sent: the id that makes it the same on every try, its body and the body's type. `Debug` shows no body.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Id of the notification, or of the batch.
    pub id: String,
    /// Mime type.
    pub mime: String,
    /// Body.
    pub body: Bytes,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("mime", &self.mime)
            .field("bytes", &self.body.len())
            .finish()
    }
}

impl Message {
    /// What an endpoint is sent for one notification. A template that was not made for `test.ping` is tried out with a made-up
    /// event of the first type that it was made for, under the ping's id.
    ///
    /// # Errors
    /// When there is no body.
    pub fn of(
        notification: &Notification,
        includes: Includes,
        template: Option<&Template>,
    ) -> Result<Self, RenderError> {
        let id = notification.id.as_str().to_owned();
        let Some(template) = template else {
            let body = serde_json::to_vec(&notification.shown(includes)).map_err(|_| RenderError::NoJson)?;
            return Self::json(id, body);
        };
        // A template names what it wants one by one; what it may see of people is still the endpoint's choice.
        let all = Includes {
            record: true,
            related: true,
            values: true,
            ..includes
        };
        Ok(Self {
            id,
            mime: template.mime.clone(),
            body: match template.tried_with(notification.event) {
                Some(event) => template.render(&notification.made_up(event, all))?,
                None => template.render(&notification.shown(all))?,
            },
        })
    }

    /// What an endpoint is sent for several notifications at once: `{"id", "type": "batch", "version", "events": [...]}`.
    /// The id follows from theirs and from the endpoint's name: the same batch has the same one on every try, and no two endpoints
    /// share one.
    ///
    /// # Errors
    /// When it would be too large.
    pub fn batch(
        endpoint: &str,
        notifications: &[Notification],
        includes: Includes,
    ) -> Result<Self, RenderError> {
        let id = batch_id(
            endpoint,
            notifications.iter().map(|notification| &notification.id),
        );
        let events: Vec<Value> = notifications
            .iter()
            .map(|notification| serde_json::to_value(notification.shown(includes)))
            .collect::<Result<_, _>>()
            .map_err(|_| RenderError::NoJson)?;
        let body = json!({ "id": id, "type": "batch", "version": VERSION, "events": events });
        let body = serde_json::to_vec(&body).map_err(|_| RenderError::NoJson)?;
        Self::json(id, body)
    }

    fn json(id: String, body: Vec<u8>) -> Result<Self, RenderError> {
        if body.len() > LARGEST_BODY {
            return Err(RenderError::TooLarge { bytes: body.len() });
        }
        Ok(Self {
            id,
            mime: JSON.to_owned(),
            body: Bytes::from(body),
        })
    }
}

fn batch_id<'n>(endpoint: &str, ids: impl Iterator<Item = &'n NotificationId>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(endpoint.as_bytes());
    hasher.update(b"\n");
    for id in ids {
        hasher.update(id.as_str().as_bytes());
        hasher.update(b"\n");
    }
    format!("bat_{}", hex::encode(&hasher.finalize()[..16]))
}

#[cfg(test)]
pub(super) mod tests;
