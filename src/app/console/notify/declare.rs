//! Endpoints are declared, changed and taken out in the configuration file, after a look at what becomes of it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::Console;
use super::super::error::{Refusal, refuse};
use super::super::jobs::Choice;
use super::super::session::Visitor;
use super::super::settings::diff_lines;
use super::super::view::{Frame, field, form_fields, page, percent_encoded};
use crate::app::api::{DeclaredEndpoint, Refused};
use crate::app::notify::{Declaration, Declare, EventType, Extent};
use crate::domain::{Actor, Via};
use crate::notify::{EndpointSection, EndpointState, WhenPaused};

/// How a field of the form is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Several words, apart by blanks, commas or lines.
    Words,
    Number,
    Tick,
    /// One of these; the first is what holds where nothing is said.
    Choice(&'static [&'static str]),
    /// Text of what may be several lines, which a field of one line would lose.
    Lines,
}

/// A field of the form and the key that it stands for.
struct FieldOf {
    /// A dot leads into a table.
    key: &'static str,
    kind: Kind,
    label: &'static str,
    hint: &'static str,
}

/// What the form offers. Every other key is for whoever edits the file, or for the API.
const FIELDS: &[FieldOf] = &[
    FieldOf {
        key: "url",
        kind: Kind::Text,
        label: "Address",
        hint: "https://… It may be a secret, and is shown to nobody again.",
    },
    FieldOf {
        key: "events",
        kind: Kind::Words,
        label: "Events",
        hint: "Names, or order.*, *.failed, or * for all; apart by blanks.",
    },
    FieldOf {
        key: "shops",
        kind: Kind::Words,
        label: "Shops",
        hint: "Empty: of all.",
    },
    FieldOf {
        key: "condition",
        kind: Kind::Lines,
        label: "Only where",
        hint: "An expression, e.g. order.totals.total > (\"1000\" | decimal)",
    },
    FieldOf {
        key: "description",
        kind: Kind::Lines,
        label: "What it is for",
        hint: "",
    },
    FieldOf {
        key: "owner",
        kind: Kind::Text,
        label: "Looked after by",
        hint: "",
    },
    FieldOf {
        key: "state",
        kind: Kind::Choice(&["active", "paused"]),
        label: "State",
        hint: "",
    },
    FieldOf {
        key: "when_paused",
        kind: Kind::Choice(&["keep", "discard"]),
        label: "Events during a pause",
        hint: "",
    },
    FieldOf {
        key: "priority",
        kind: Kind::Choice(&["normal", "high", "low"]),
        label: "Priority",
        hint: "high is looked at before all others, low after them",
    },
    FieldOf {
        key: "rate",
        kind: Kind::Text,
        label: "Most requests",
        hint: "e.g. 50/s, 100/m",
    },
    FieldOf {
        key: "batch",
        kind: Kind::Number,
        label: "Events in one request",
        hint: "1 to 100",
    },
    FieldOf {
        key: "concurrency",
        kind: Kind::Number,
        label: "Requests under way at once",
        hint: "1 to 100",
    },
    FieldOf {
        key: "timeout",
        kind: Kind::Text,
        label: "A request may take",
        hint: "e.g. 5s",
    },
    FieldOf {
        key: "unique",
        kind: Kind::Tick,
        label: "A newer waiting event about the same record replaces the older one",
        hint: "",
    },
    FieldOf {
        key: "skipped",
        kind: Kind::Tick,
        label: "Also told where nothing had to be done",
        hint: "",
    },
    FieldOf {
        key: "include",
        kind: Kind::Words,
        label: "Sent besides the envelope",
        hint: "record, related, values; apart by blanks.",
    },
    FieldOf {
        key: "personal_data",
        kind: Kind::Tick,
        label: "May be sent what tells of a person",
        hint: "",
    },
    FieldOf {
        key: "body.template",
        kind: Kind::Lines,
        label: "Body",
        hint: "Text with merge fields. Empty: the event as JSON.",
    },
    FieldOf {
        key: "body.mime",
        kind: Kind::Text,
        label: "Its mime type",
        hint: "application/json, application/xml, text/markdown or text/plain",
    },
];

/// A field as it is shown.
struct FieldView {
    id: String,
    label: &'static str,
    hint: &'static str,
    /// `text`, `lines`, `tick` or `choice`.
    control: &'static str,
    value: String,
    /// What it was before anybody changed it.
    was: String,
    is_ticked: bool,
    choices: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "notify_edit.html", config = ".config/askama.toml")]
struct EditPage {
    frame: Frame,
    /// None where a new one is declared.
    endpoint: Option<String>,
    /// The name that was written for a new one.
    name: String,
    fields: Vec<FieldView>,
    gets_secret: bool,
    events: Vec<String>,
    path: String,
    /// Why what was written does not do.
    refusal: Option<String>,
}

#[derive(Template)]
#[template(path = "notify_plan.html", config = ".config/askama.toml")]
struct PlanPage {
    frame: Frame,
    endpoint: String,
    is_removed: bool,
    waiting: u64,
    diff: Vec<(&'static str, String)>,
    hash: String,
    /// What was written on the form.
    fields: Vec<(String, String)>,
    read_only: Option<String>,
    again: bool,
    path: String,
}

#[derive(Template)]
#[template(path = "notify_secret.html", config = ".config/askama.toml")]
struct SecretPage {
    frame: Frame,
    endpoint: String,
    secret: String,
    file: String,
}

/// What a key holds now, as the form shows it. An address is never shown.
fn shown(section: &EndpointSection, key: &str) -> String {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    match key {
        "events" => section.events.join(" "),
        "shops" => section.shops.join(" "),
        "condition" => optional(&section.condition),
        "description" => optional(&section.description),
        "owner" => optional(&section.owner),
        "state" => match section.state {
            EndpointState::Active => "active".to_owned(),
            EndpointState::Paused => "paused".to_owned(),
        },
        "when_paused" => match section.when_paused {
            WhenPaused::Keep => "keep".to_owned(),
            WhenPaused::Discard => "discard".to_owned(),
        },
        "priority" => word(&section.priority),
        "concurrency" => section.concurrency.to_string(),
        "timeout" => section.timeout.to_string(),
        "include" => {
            let words: Vec<String> = section.include.iter().map(word).collect();
            words.join(" ")
        }
        "rate" => section.rate.map_or_else(String::new, |rate| rate.to_string()),
        "batch" => section.batch.to_string(),
        "unique" => tick(section.unique),
        "skipped" => tick(section.skipped),
        "personal_data" => tick(section.personal_data),
        "body.template" => section
            .body
            .as_ref()
            .map_or_else(String::new, |body| optional(&body.template)),
        "body.mime" => section
            .body
            .as_ref()
            .map_or_else(String::new, |body| body.mime.clone()),
        _ => String::new(),
    }
}

/// A value as the configuration writes it.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn tick(is_set: bool) -> String {
    if is_set { "true".to_owned() } else { String::new() }
}

fn views(section: &EndpointSection, written: Option<&[(String, String)]>) -> Vec<FieldView> {
    let view = |of: &FieldOf| {
        let now = shown(section, of.key);
        let value = written.map_or_else(|| now.clone(), |written| value_of(written, of.key));
        let was = written.map_or(now, |written| value_of(written, &format!("was.{}", of.key)));
        let choices = match of.kind {
            Kind::Choice(words) => words
                .iter()
                .map(|word| Choice {
                    value: (*word).to_owned(),
                    text: (*word).to_owned(),
                    is_chosen: *word == value,
                })
                .collect(),
            _ => Vec::new(),
        };
        FieldView {
            id: of.key.to_owned(),
            label: of.label,
            hint: of.hint,
            control: match of.kind {
                Kind::Text | Kind::Words | Kind::Number => "text",
                Kind::Lines => "lines",
                Kind::Tick => "tick",
                Kind::Choice(_) => "choice",
            },
            is_ticked: value == "true",
            value,
            was,
            choices,
        }
    };
    FIELDS.iter().map(view).collect()
}

/// The field as it was sent, with one kind of line's end.
fn value_of(fields: &[(String, String)], name: &str) -> String {
    field(fields, name).unwrap_or_default().replace("\r\n", "\n")
}

/// The keys that the form gives other values than it was shown with.
fn changes(fields: &[(String, String)], is_new: bool) -> Result<Map<String, Value>, String> {
    let mut changes = Map::new();
    for of in FIELDS {
        let value = value_of(fields, of.key);
        let was = if is_new {
            // What holds where nothing is said needs no line.
            shown(&EndpointSection::default(), of.key)
        } else {
            value_of(fields, &format!("was.{}", of.key))
        };
        if value == was {
            continue;
        }
        let is_default = match of.kind {
            Kind::Choice(words) if !value.is_empty() => words.first() == Some(&value.as_str()),
            _ => value.is_empty(),
        };
        let written = match of.kind {
            _ if is_default => Value::Null,
            Kind::Text | Kind::Lines | Kind::Choice(_) => Value::from(value),
            Kind::Words => value
                .split(|letter: char| letter.is_whitespace() || letter == ',')
                .filter(|word| !word.is_empty())
                .collect(),
            Kind::Number => json!(
                value
                    .parse::<i64>()
                    .map_err(|_| { format!("`{}` is no number: write digits only.", of.label) })?
            ),
            Kind::Tick => json!(value == "true"),
        };
        match of.key.split_once('.') {
            None => drop(changes.insert(of.key.to_owned(), written)),
            Some((table, key)) => {
                let inner = changes.entry(table).or_insert_with(|| Value::Object(Map::new()));
                inner[key] = written;
            }
        }
    }
    Ok(changes)
}

/// What the form asks for.
fn wanted(fields: &[(String, String)]) -> Result<Declaration, Refusal> {
    let bad = |text: String| Refusal::Not(StatusCode::BAD_REQUEST, text);
    let endpoint = field(fields, "endpoint").unwrap_or_default().to_owned();
    let what = match field(fields, "what") {
        Some("new") => Declare::New(changes(fields, true).map_err(bad)?),
        Some("change") => Declare::Changed(changes(fields, false).map_err(bad)?),
        Some("remove") => Declare::Removed,
        _ => return Err(bad("This form is none of ours. Nothing was done.".to_owned())),
    };
    Ok(Declaration {
        endpoint,
        new_secret: what != Declare::Removed && field(fields, "new_secret").is_some(),
        from_afar: true,
        what,
    })
}

impl Console {
    fn edit_page(
        &self,
        visitor: &Visitor,
        endpoint: Option<&str>,
        (written, refusal): (Option<&[(String, String)]>, Option<String>),
    ) -> Result<Response, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let nothing = EndpointSection::default();
        let section =
            match endpoint {
                None => &nothing,
                Some(name) => config.notify.endpoints.get(name).ok_or_else(|| {
                    Refusal::NotFound(format!("The configuration has no endpoint `{name}`."))
                })?,
            };
        let status = if refusal.is_some() {
            StatusCode::CONFLICT
        } else {
            StatusCode::OK
        };
        let title = endpoint.map_or_else(|| "New endpoint".to_owned(), |name| format!("Endpoint {name}"));
        let shown = EditPage {
            frame: Frame::new(title, "notify", Some(visitor)),
            endpoint: endpoint.map(str::to_owned),
            name: written.map_or_else(String::new, |written| value_of(written, "endpoint")),
            fields: views(section, written),
            gets_secret: written.map_or(endpoint.is_none(), |written| {
                field(written, "new_secret").is_some()
            }),
            events: EventType::ALL.iter().map(ToString::to_string).collect(),
            path: config.path.display().to_string(),
            refusal,
        };
        Ok(page(status, &shown))
    }

    /// Plans or carries out what the form asks for.
    async fn declared(
        self: &Arc<Self>,
        visitor: &Visitor,
        fields: Vec<(String, String)>,
        extent: Extent,
    ) -> Result<Response, Refusal> {
        let wanted = wanted(&fields)?;
        let actor = Actor::new(visitor.name.clone(), Via::Console);
        let asked = self.api.declare_endpoint(wanted.clone(), extent, actor).await;
        let is_form = wanted.what != Declare::Removed;
        let made = match asked {
            Err(Refused::Conflict { detail: text, .. } | Refused::Invalid(text)) if is_form => {
                let is_new = matches!(wanted.what, Declare::New(_));
                let endpoint = (!is_new).then_some(wanted.endpoint.as_str());
                return self.edit_page(visitor, endpoint, (Some(&fields), Some(text)));
            }
            asked => asked?,
        };
        if made.declared.written {
            return Ok(written_page(visitor, &wanted, made));
        }
        if made.declared.diff.is_empty() {
            return Ok(Redirect::to("/notify?notice=unchanged").into_response());
        }
        Ok(plan_page(visitor, &wanted, made, fields))
    }
}

fn written_page(visitor: &Visitor, wanted: &Declaration, made: DeclaredEndpoint) -> Response {
    let declared = made.declared;
    match (declared.secret, declared.secret_file) {
        (Some(secret), Some(file)) => page(
            StatusCode::OK,
            &SecretPage {
                frame: Frame::new("New secret", "notify", Some(visitor)),
                endpoint: declared.endpoint,
                secret,
                file: file.display().to_string(),
            },
        ),
        _ => {
            let notice = match wanted.what {
                Declare::New(_) => "endpoint_declared",
                Declare::Changed(_) => "endpoint_changed",
                Declare::Removed => "endpoint_removed",
            };
            Redirect::to(&format!("/notify?notice={notice}")).into_response()
        }
    }
}

fn plan_page(
    visitor: &Visitor,
    wanted: &Declaration,
    made: DeclaredEndpoint,
    fields: Vec<(String, String)>,
) -> Response {
    let declared = made.declared;
    let is_ours = |name: &str| !matches!(name, "form_token" | "hash");
    let shown = PlanPage {
        frame: Frame::new("Look before you save", "notify", Some(visitor)),
        endpoint: declared.endpoint,
        is_removed: wanted.what == Declare::Removed,
        waiting: made.waiting,
        diff: diff_lines(&declared.diff),
        hash: declared.hash,
        fields: fields.into_iter().filter(|(name, _)| is_ours(name)).collect(),
        read_only: declared.read_only,
        again: declared.differs,
        path: declared.path.display().to_string(),
    };
    page(StatusCode::OK, &shown)
}

pub(in super::super) async fn new(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let shown = console.edit_page(&visitor, None, (None, None));
    shown.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}

pub(in super::super) async fn edit(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let shown = console.edit_page(&visitor, Some(&name), (None, None));
    shown.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}

pub(in super::super) async fn plan(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let planned = console.declared(&visitor, form_fields(&body), Extent::Plan).await;
    planned.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}

pub(in super::super) async fn apply(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let agreed = field(&fields, "hash").unwrap_or_default().to_owned();
    let applied = console.declared(&visitor, fields, Extent::Agreed(agreed)).await;
    applied.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}

/// Where an endpoint is edited.
pub(super) fn edit_url(name: &str) -> String {
    format!("/notify/endpoints/{}/edit", percent_encoded(name))
}
