//! Webhook subscriptions: what is wanted and what is there; the plan, and carrying it out after a look at it.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::jobs::Choice;
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, span};
use crate::app::api::OfShop;
use crate::app::subscriptions::{ListReport, ListRow, Order, PlanReport, Status};
use crate::app::test_delivery::{TestDelivery, Way};
use crate::domain::{Actor, Timestamp, Via};
use crate::subscriptions::{Kind, PlanLine};

struct Row {
    topic: String,
    status: &'static str,
    tone: &'static str,
    uri: String,
    reason: String,
    last: Option<Moment>,
    taken: u64,
    failed: u64,
}

impl Row {
    fn new(row: &ListRow, now: Timestamp) -> Self {
        Self {
            topic: row.topic.clone(),
            status: row.status.as_str(),
            tone: match row.status {
                Status::Active => "good",
                Status::Unproven | Status::Paused | Status::Skipped | Status::Foreign => "plain",
                Status::Unwanted | Status::Wrong => "warn",
                Status::Failing | Status::Missing | Status::Blocked => "bad",
            },
            uri: row.uri.clone(),
            reason: row.reason.clone(),
            last: row.last_delivery_at.map(|at| Moment::new(now, at)),
            taken: row.deliveries_24h,
            failed: row.failures_24h,
        }
    }

    /// Whether the row holds the text that is looked for.
    fn holds(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        [self.topic.as_str(), self.status, &self.uri, &self.reason]
            .iter()
            .any(|part| part.to_lowercase().contains(&text))
    }
}

struct ShopRows {
    shop: String,
    error: Option<(String, String)>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "webhooks.html", config = ".config/askama.toml")]
struct WebhooksPage {
    frame: Frame,
    shops: Vec<ShopRows>,
    query: String,
    resources: Vec<Choice>,
    events: Vec<Choice>,
    address: String,
    is_filtered: bool,
}

/// What rows are looked for.
#[derive(Clone, Copy, Debug)]
struct Wanted<'f> {
    text: &'f str,
    resource: &'f str,
    event: &'f str,
    address: &'f str,
}

impl<'f> Wanted<'f> {
    fn of(fields: &'f [(String, String)]) -> Self {
        let text = |name| field(fields, name).unwrap_or_default();
        Self {
            text: text("q"),
            resource: text("resource"),
            event: text("event"),
            address: text("address"),
        }
    }

    fn is_any(self) -> bool {
        [self.text, self.resource, self.event, self.address]
            .iter()
            .all(|part| part.is_empty())
    }

    fn fits(self, row: &Row) -> bool {
        let (resource, event) = parts_of(&row.topic);
        let address = self.address.to_lowercase();
        (self.text.is_empty() || row.holds(self.text))
            && (self.resource.is_empty() || resource == self.resource)
            && (self.event.is_empty() || event == self.event)
            && row.uri.to_lowercase().contains(&address)
    }
}

/// The two parts of a topic: `orders/create` and `ORDERS_CREATE` are about `orders`, and that one is made.
fn parts_of(topic: &str) -> (String, String) {
    let topic = topic.to_lowercase();
    let parts = topic.rsplit_once('/').or_else(|| topic.rsplit_once('_'));
    let (resource, event) = parts.unwrap_or((topic.as_str(), ""));
    (resource.to_owned(), event.to_owned())
}

/// Each of these once, as choices.
fn choices(mut all: Vec<String>, chosen: &str) -> Vec<Choice> {
    all.push(chosen.to_owned());
    all.sort();
    all.dedup();
    all.retain(|value| !value.is_empty());
    all.into_iter()
        .map(|value| Choice {
            is_chosen: value == chosen,
            text: value.replace('_', " "),
            value,
        })
        .collect()
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let lists = match console.api.lists(&OfShop { shop: None }).await {
        Ok(lists) => lists,
        Err(refused) => return refuse(Some(&visitor), refused.into()),
    };
    let now = console.api.clock.now();
    let wanted = Wanted::of(&fields);
    let topics: Vec<(String, String)> = lists
        .iter()
        .flat_map(|list| &list.rows)
        .map(|row| parts_of(&row.topic))
        .collect();
    let shown = WebhooksPage {
        frame: Frame::new("Webhooks", "webhooks", Some(&visitor)).noticing(field(&fields, "notice")),
        shops: lists
            .into_iter()
            .map(|list| shop_rows(list, wanted, now))
            .collect(),
        query: wanted.text.to_owned(),
        resources: choices(
            topics.iter().map(|(resource, _)| resource.clone()).collect(),
            wanted.resource,
        ),
        events: choices(
            topics.iter().map(|(_, event)| event.clone()).collect(),
            wanted.event,
        ),
        address: wanted.address.to_owned(),
        is_filtered: !wanted.is_any(),
    };
    page(StatusCode::OK, &shown)
}

fn shop_rows(list: ListReport, wanted: Wanted<'_>, now: Timestamp) -> ShopRows {
    ShopRows {
        shop: list.shop.to_string(),
        error: list.error.map(|error| (error.reason, error.fix)),
        rows: list
            .rows
            .iter()
            .map(|row| Row::new(row, now))
            .filter(|row| wanted.fits(row))
            .collect(),
        notes: list.notes,
    }
}

/// One change.
pub(super) struct Change {
    pub(super) what: &'static str,
    pub(super) tone: &'static str,
    pub(super) topic: String,
    pub(super) uri: String,
    pub(super) reason: String,
}

/// What a plan would do, and nothing else of it.
pub(super) fn changes(lines: &[PlanLine]) -> Vec<Change> {
    lines
        .iter()
        .filter_map(|line| {
            let (what, tone) = match line.kind {
                Kind::Create => ("create", "good"),
                Kind::Update => ("update", "warn"),
                Kind::Delete => ("delete", "bad"),
                Kind::Adopt => ("take over", "warn"),
                Kind::Unchanged | Kind::Foreign | Kind::Blocked | Kind::Skipped => return None,
            };
            Some(Change {
                what,
                tone,
                topic: line.topic.clone(),
                uri: line.uri.clone(),
                reason: line.reason.clone(),
            })
        })
        .collect()
}

struct ShopPlan {
    shop: String,
    error: Option<(String, String)>,
    hash: Option<String>,
    changes: Vec<Change>,
    notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "webhooks_plan.html", config = ".config/askama.toml")]
struct PlanPage {
    frame: Frame,
    shops: Vec<ShopPlan>,
}

pub(super) async fn plan(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let reports = match console.api.plans(&OfShop { shop: None }).await {
        Ok(reports) => reports,
        Err(refused) => return refuse(Some(&visitor), refused.into()),
    };
    let shop_plan = |report: PlanReport| ShopPlan {
        shop: report.shop.to_string(),
        error: report.error.map(|error| (error.reason, error.fix)),
        hash: report.hash,
        changes: changes(&report.lines),
        notes: report.notes,
    };
    let shown = PlanPage {
        frame: Frame::new("Plan for webhooks", "webhooks", Some(&visitor)),
        shops: reports.shops.into_iter().map(shop_plan).collect(),
    };
    page(StatusCode::OK, &shown)
}

#[derive(Template)]
#[template(path = "webhooks_done.html", config = ".config/askama.toml")]
struct DonePage {
    frame: Frame,
    shop: String,
    error: Option<(String, String)>,
    /// What, topic, and what became of it.
    failed: Vec<(String, String)>,
}

pub(super) async fn apply(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let (Some(shop), Some(hash)) = (field(&fields, "shop"), field(&fields, "hash")) else {
        let text = "Look at the plan first.".to_owned();
        return refuse(Some(&visitor), Refusal::Not(StatusCode::BAD_REQUEST, text));
    };
    let order = Order {
        agreed: Some(hash.to_owned()),
        adopted: BTreeSet::new(),
        remove: false,
    };
    let of_shop = OfShop {
        shop: Some(shop.to_owned()),
    };
    tracing::info!(account = %visitor.name, shop, "plan for webhooks agreed to on the console");
    let actor = console.reviewer(&visitor).actor().clone();
    let done = match console.api.carry_out(of_shop, order, actor).await {
        Ok(done) => done,
        Err(refused) => return refuse(Some(&visitor), refused.into()),
    };
    let Some(report) = done.into_iter().next() else {
        let text = format!("The shop {shop} is not connected.");
        return refuse(Some(&visitor), Refusal::Not(StatusCode::CONFLICT, text));
    };
    if report.is_complete && report.error.is_none() {
        return Redirect::to("/webhooks?notice=applied").into_response();
    }
    let shown = DonePage {
        frame: Frame::new("Not everything was done", "webhooks", Some(&visitor)),
        shop: report.shop.to_string(),
        error: report.error.map(|error| (error.reason, error.fix)),
        failed: report
            .results
            .iter()
            .map(|changed| {
                let outcome = serde_json::to_value(&changed.outcome).unwrap_or_default();
                (changed.line.topic.clone(), outcome.to_string())
            })
            .collect(),
    };
    page(StatusCode::CONFLICT, &shown)
}

#[derive(Template)]
#[template(path = "test_delivery.html", config = ".config/askama.toml")]
struct TestPage {
    frame: Frame,
    sent: TestDelivery,
    way: &'static str,
    took: String,
}

/// Sends a delivery to ourselves, and shows what became of it.
pub(super) async fn test(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let shop = field(&fields, "shop").unwrap_or_default();
    let actor = Actor::new(visitor.name.clone(), Via::Console);
    match console.api.test_delivery(shop, actor).await {
        Ok(sent) => {
            tracing::info!(account = %visitor.name, shop, taken = sent.taken, "test delivery sent from the console");
            let shown = TestPage {
                frame: Frame::new("Test delivery", "webhooks", Some(&visitor)),
                way: match sent.way {
                    Way::Public => "through the public address",
                    Way::Local => "to the listener of this machine directly",
                },
                took: span(std::time::Duration::from_millis(sent.took_ms)),
                sent,
            };
            page(StatusCode::OK, &shown)
        }
        Err(refused) => refuse(Some(&visitor), refused.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_two_parts_however_it_is_written() {
        for (topic, resource, event) in [
            ("orders/create", "orders", "create"),
            ("ORDERS_CREATE", "orders", "create"),
            ("INVENTORY_LEVELS_UPDATE", "inventory_levels", "update"),
            ("inventory_levels/update", "inventory_levels", "update"),
            ("app", "app", ""),
        ] {
            assert_eq!(
                parts_of(topic),
                (resource.to_owned(), event.to_owned()),
                "{topic}"
            );
        }
    }
}
