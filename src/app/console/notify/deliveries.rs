//! The log of what was told to whom, and one delivery with its tries.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::super::Console;
use super::super::error::{Refusal, refuse};
use super::super::jobs::Choice;
use super::super::parts::Chip;
use super::super::session::Visitor;
use super::super::view::{Frame, Moment, field, form_fields, page, percent_encoded, span};
use super::sent_again;
use crate::app::api::delivery_id;
use crate::app::notify::{EventType, Wanted, deliveries, masked, masked_row};
use crate::domain::{Actor, Role, Timestamp, Via};
use crate::store::{DispatchRow, DispatchState, DispatchStory, Redeliver, TryRow};

/// Deliveries on one page.
const PAGE: u32 = 50;

/// How a delivery stands, for people.
const fn chip(row: &DispatchRow) -> Chip {
    let (text, tone) = match row.state {
        DispatchState::Waiting if row.tries > 0 => ("will be tried again", "warn"),
        DispatchState::Waiting => ("waiting", "plain"),
        DispatchState::Sending => ("being sent", "busy"),
        DispatchState::Delivered => ("delivered", "good"),
        DispatchState::Failed => ("failed", "bad"),
        DispatchState::Problem => ("cannot be told", "bad"),
        DispatchState::Cancelled => ("given up", "plain"),
        DispatchState::Replaced => ("replaced by a newer one", "plain"),
    };
    Chip { text, tone }
}

/// A delivery in the list.
struct DeliveryLine {
    id: i64,
    chip: Chip,
    endpoint: String,
    event: String,
    record: String,
    shop: String,
    created: Moment,
    tries: u32,
    status: Option<u16>,
    took: String,
    sentence: String,
    next: Option<Moment>,
}

impl DeliveryLine {
    fn new(row: DispatchRow, now: Timestamp) -> Self {
        Self {
            chip: chip(&row),
            next: (row.state == DispatchState::Waiting).then(|| Moment::new(now, row.due_at)),
            id: row.id,
            endpoint: row.endpoint,
            event: row.event,
            record: row.record.or(row.object).unwrap_or_default(),
            shop: row.shop.unwrap_or_default(),
            created: Moment::new(now, row.created_at),
            tries: row.tries,
            status: row.status,
            took: row
                .took_ms
                .map_or_else(String::new, |ms| span(Duration::from_millis(ms))),
            sentence: row.sentence.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "deliveries.html", config = ".config/askama.toml")]
struct DeliveriesPage {
    frame: Frame,
    endpoints: Vec<Choice>,
    events: Vec<Choice>,
    states: Vec<Choice>,
    shops: Vec<Choice>,
    search: String,
    since: String,
    until: String,
    deliveries: Vec<DeliveryLine>,
    /// Whether an endpoint and a time are chosen, of which all can be sent again.
    range: Option<String>,
    is_filtered: bool,
    older: Option<String>,
    is_first: bool,
}

/// A time as a person writes it into the form: a day, or a day and a time, in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    [
        text.to_owned(),
        format!("{text}T00:00:00Z"),
        format!("{text}:00Z"),
        format!("{text}Z"),
    ]
    .iter()
    .find_map(|text| Timestamp::parse_rfc3339(text).ok())
}

fn wanted(fields: &[(String, String)]) -> Result<Wanted, Refusal> {
    let unknown = |what: &str| {
        Refusal::Not(
            StatusCode::BAD_REQUEST,
            format!("This filter is not known: {what}."),
        )
    };
    let text = |name| field(fields, name).map(str::to_owned);
    let time = |name: &'static str| match field(fields, name) {
        None => Ok(None),
        Some(text) => moment(text).map(Some).ok_or_else(|| unknown(name)),
    };
    let event = match field(fields, "event").map(str::parse::<EventType>) {
        Some(Err(_)) => return Err(unknown("event")),
        found => found.and_then(Result::ok),
    };
    let state = match field(fields, "state").map(str::parse::<DispatchState>) {
        Some(Err(_)) => return Err(unknown("state")),
        found => found.and_then(Result::ok),
    };
    let before = match field(fields, "before").map(str::parse::<i64>) {
        Some(Err(_)) => return Err(unknown("before")),
        found => found.and_then(Result::ok),
    };
    Ok(Wanted {
        endpoint: text("endpoint"),
        event: event.map(|event| event.to_string()),
        state,
        shop: text("shop"),
        search: text("q"),
        since: time("since")?,
        until: time("until")?,
        before,
        limit: PAGE,
    })
}

pub(in crate::app::console) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.deliveries_page(&visitor, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// The filters, as an address has them.
const FILTERS: [&str; 7] = ["endpoint", "event", "state", "shop", "q", "since", "until"];

impl Console {
    async fn deliveries_page(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<DeliveriesPage, Refusal> {
        let wanted = wanted(fields)?;
        let is_first = wanted.before.is_none();
        let range = wanted.endpoint.clone().filter(|_| wanted.since.is_some());
        let rows = deliveries(&self.api.store, wanted).await?;
        let known = self.api.store.endpoints().await?;
        let config = Arc::clone(&self.api.config.borrow());
        let now = self.api.clock.now();
        let chosen = |name| field(fields, name).unwrap_or_default();
        let choices = |name: &str, values: Vec<String>| -> Vec<Choice> {
            let chosen = field(fields, name);
            values
                .into_iter()
                .map(|value| Choice {
                    text: value.clone(),
                    is_chosen: Some(value.as_str()) == chosen,
                    value,
                })
                .collect()
        };
        let mut names: Vec<String> = config.endpoints.iter().map(|one| one.name.clone()).collect();
        names.extend(known.into_iter().map(|row| row.name));
        names.sort();
        names.dedup();
        let texts = |all: &[EventType]| all.iter().map(ToString::to_string).collect();
        let older = rows.last().filter(|_| rows.len() == PAGE as usize).map(|last| {
            let mut url = "/notify/deliveries?".to_owned();
            for name in FILTERS {
                if let Some(value) = field(fields, name) {
                    for part in [name, "=", &percent_encoded(value), "&"] {
                        url.push_str(part);
                    }
                }
            }
            format!("{url}before={}", last.id)
        });
        let sees_people = visitor.role.may(Role::Operator);
        Ok(DeliveriesPage {
            frame: Frame::new("Deliveries", "notify", Some(visitor)).noticing(field(fields, "notice")),
            endpoints: choices("endpoint", names),
            events: choices("event", texts(EventType::ALL)),
            states: choices(
                "state",
                DispatchState::ALL.iter().map(ToString::to_string).collect(),
            ),
            shops: choices("shop", config.shops.keys().map(ToString::to_string).collect()),
            search: chosen("q").to_owned(),
            since: chosen("since").to_owned(),
            until: chosen("until").to_owned(),
            is_filtered: FILTERS.iter().any(|name| field(fields, name).is_some()),
            older,
            is_first,
            range,
            deliveries: rows
                .into_iter()
                .map(|row| if sees_people { row } else { masked_row(row) })
                .map(|row| DeliveryLine::new(row, now))
                .collect(),
        })
    }

    async fn story(&self, id: &str) -> Result<DispatchStory, Refusal> {
        let id = delivery_id(id)?;
        let story = self.api.store.dispatch(id).await?;
        story.ok_or_else(|| Refusal::NotFound(format!("There is no delivery {id} (any more).")))
    }
}

/// One try.
struct TryLine {
    number: u32,
    moment: Moment,
    took: String,
    status: Option<u16>,
    tone: &'static str,
    outcome: String,
    headers: Vec<(String, String)>,
    answer: String,
    is_cut: bool,
}

impl TryLine {
    fn new(one: TryRow, now: Timestamp) -> Self {
        let is_taken = one.failure.is_none();
        Self {
            number: one.number,
            moment: Moment::new(now, one.at),
            took: span(Duration::from_millis(one.took_ms)),
            status: one.status,
            tone: if is_taken { "good" } else { "bad" },
            outcome: one.sentence.or(one.failure).unwrap_or_else(|| "taken".to_owned()),
            headers: one.headers,
            answer: one.answer,
            is_cut: one.is_cut,
        }
    }
}

#[derive(Template)]
#[template(path = "delivery.html", config = ".config/askama.toml")]
struct DeliveryPage {
    frame: Frame,
    line: DeliveryLine,
    notification: String,
    sequence: i64,
    batch: Option<String>,
    tries: Vec<TryLine>,
    /// What is told; none where it was removed, or the person may not see it.
    body: Option<String>,
    sees_people: bool,
    can_redeliver: bool,
}

pub(in crate::app::console) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let story = match console.story(&id).await {
        Ok(story) => story,
        Err(refusal) => return refuse(Some(&visitor), refusal),
    };
    let sees_people = visitor.role.may(Role::Operator);
    let story = if sees_people { story } else { masked(story) };
    let now = console.api.clock.now();
    let title = format!("Delivery {}", story.row.id);
    let shown = DeliveryPage {
        frame: Frame::new(title, "notify", Some(&visitor)).noticing(field(&fields, "notice")),
        notification: story.row.notification.clone(),
        sequence: story.row.sequence,
        batch: story.batch,
        tries: story
            .tries
            .into_iter()
            .map(|one| TryLine::new(one, now))
            .collect(),
        body: story.body.map(pretty),
        sees_people,
        can_redeliver: matches!(
            story.row.state,
            DispatchState::Delivered
                | DispatchState::Failed
                | DispatchState::Problem
                | DispatchState::Cancelled
        ),
        line: DeliveryLine::new(story.row, now),
    };
    page(StatusCode::OK, &shown)
}

/// With line breaks, if it is JSON.
fn pretty(text: String) -> String {
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) => format!("{value:#}"),
        Err(_) => text,
    }
}

/// Sends it again.
pub(in crate::app::console) async fn again(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    _body: Bytes,
) -> Response {
    let actor = Actor::new(visitor.name.clone(), Via::Console);
    let done = async {
        let id = delivery_id(&id)?;
        let again = console.api.again(actor, Redeliver::One(id)).await?;
        let notice = sent_again(&again);
        Ok::<String, Refusal>(format!("/notify/deliveries/{id}?notice={notice}"))
    };
    match done.await {
        Ok(url) => Redirect::to(&url).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// Sends all of an endpoint and a time again.
pub(in crate::app::console) async fn range_again(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let actor = Actor::new(visitor.name.clone(), Via::Console);
    let done = async {
        let Wanted {
            endpoint: Some(endpoint),
            since: Some(since),
            until,
            ..
        } = wanted(&fields)?
        else {
            let text = "Nothing was done: choose an endpoint, and since when.".to_owned();
            return Err(Refusal::Not(StatusCode::BAD_REQUEST, text));
        };
        console.api.endpoint(&endpoint)?;
        let url = format!("/notify/deliveries?endpoint={}", percent_encoded(&endpoint));
        let what = Redeliver::Range {
            endpoint,
            since,
            until: until.unwrap_or_else(|| console.api.clock.now()),
        };
        let again = console.api.again(actor, what).await?;
        let notice = if again.count == 0 {
            "none_fits"
        } else {
            sent_again(&again)
        };
        Ok::<String, Refusal>(format!("{url}&notice={notice}"))
    };
    match done.await {
        Ok(url) => Redirect::to(&url).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_days_or_to_the_minute() {
        let expected = Timestamp::parse_rfc3339("2026-11-20T08:00:00Z").ok();
        for text in [
            "2026-11-20T08:00",
            "2026-11-20T08:00:00",
            "2026-11-20T08:00:00Z",
            "2026-11-20T09:00:00+01:00",
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
        assert!(moment("2026-11-20").is_some() && moment("soon").is_none());
    }
}
