//! What conditions and templates can read: of a type of event, or with the values of a real record; and what an endpoint would be
//! sent for it. Nothing is sent.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::super::Console;
use super::super::error::{Refusal, refuse};
use super::super::jobs::Choice;
use super::super::session::Visitor;
use super::super::view::{Frame, field, form_fields, page};
use crate::app::api::object_of;
use crate::app::notify::{
    EventFields, EventType, NotifyPreview, fields_of, fields_with, preview, shown_event,
};
use crate::domain::Role;

struct FieldLine {
    path: String,
    kind: String,
    may_be_empty: bool,
    value: Option<String>,
}

#[derive(Template)]
#[template(path = "notify_fields.html", config = ".config/askama.toml")]
struct FieldsPage {
    frame: Frame,
    events: Vec<Choice>,
    shops: Vec<Choice>,
    objects: Vec<Choice>,
    endpoints: Vec<Choice>,
    number: String,
    event: String,
    meaning: String,
    record: Option<String>,
    lines: Vec<FieldLine>,
    preview: Option<NotifyPreview>,
    failure: Option<String>,
    may_look_up: bool,
}

pub(in crate::app::console) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.fields_page(&visitor, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn fields_page(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<FieldsPage, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let event = match field(fields, "event").map(str::parse::<EventType>) {
            None => EventType::OrderSynced,
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                return Err(Refusal::Not(StatusCode::BAD_REQUEST, format!("{error}.")));
            }
        };
        let number = field(fields, "number");
        let (mut listed, mut shown, mut failure) = (fields_of(event), None, None);
        if let Some(number) = number {
            // Values are of people.
            if !visitor.role.may(Role::Operator) {
                return Err(Refusal::NotAllowed(Role::Operator));
            }
            let looked_up = self.looked_up(fields, number).await;
            match looked_up {
                Ok((with_values, previewed)) => (listed, shown) = (with_values, previewed),
                Err(refusal) => failure = Some(refusal.text()),
            }
        }
        let choices = |name: &str, values: Vec<String>| -> Vec<Choice> {
            let chosen = field(fields, name).map(str::to_owned);
            values
                .into_iter()
                .map(|value| Choice {
                    text: value.clone(),
                    is_chosen: Some(&value) == chosen.as_ref(),
                    value,
                })
                .collect()
        };
        let mut events = choices("", EventType::ALL.iter().map(ToString::to_string).collect());
        for choice in &mut events {
            choice.is_chosen = choice.value == listed.event.as_str();
        }
        Ok(FieldsPage {
            frame: Frame::new("Fields", "notify", Some(visitor)),
            events,
            shops: choices("shop", config.shops.keys().map(ToString::to_string).collect()),
            objects: choices(
                "object",
                ["order", "customer", "product"].map(str::to_owned).to_vec(),
            ),
            endpoints: choices(
                "endpoint",
                config.endpoints.iter().map(|one| one.name.clone()).collect(),
            ),
            number: number.unwrap_or_default().to_owned(),
            event: listed.event.to_string(),
            meaning: listed.meaning,
            record: listed.record,
            lines: listed
                .fields
                .into_iter()
                .map(|field| FieldLine {
                    path: field.path,
                    kind: field.kind,
                    may_be_empty: field.may_be_empty,
                    value: field.value.map(text_of),
                })
                .collect(),
            preview: shown,
            failure,
            may_look_up: visitor.role.may(Role::Operator),
        })
    }

    /// The fields with the values of a real record, and what an endpoint would be sent for it, where one is named.
    async fn looked_up(
        &self,
        fields: &[(String, String)],
        number: &str,
    ) -> Result<(EventFields, Option<NotifyPreview>), Refusal> {
        let object = object_of(field(fields, "object").unwrap_or("order"))?;
        let shop = match field(fields, "shop") {
            Some(shop) => shop.to_owned(),
            None => {
                let config = self.api.config.borrow();
                config
                    .shops
                    .keys()
                    .next()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            }
        };
        let mut notification = self.api.sampled(&shop, object, number).await?;
        let listed = fields_with(&notification);
        let Some(name) = field(fields, "endpoint") else {
            return Ok((listed, None));
        };
        let endpoint = self.api.endpoint(name)?;
        let event = shown_event(&endpoint, object, None).ok_or_else(|| {
            let text = format!("The endpoint `{name}` gets no events about such records.");
            Refusal::Not(StatusCode::BAD_REQUEST, text)
        })?;
        notification.event = event;
        let is_paused = self.api.is_paused(&endpoint).await?;
        Ok((
            fields_with(&notification),
            Some(preview(&endpoint, &notification, is_paused)),
        ))
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
