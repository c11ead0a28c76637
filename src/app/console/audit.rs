//! Who did what, when, and why.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::pretty;
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, percent_encoded};
use crate::store::AuditFilter;

/// Lines on one page.
const PAGE: u32 = 100;

struct Line {
    moment: Moment,
    who: String,
    via: &'static str,
    action: String,
    shop: String,
    subject: String,
    /// The subject's page.
    url: Option<String>,
    reason: String,
    detail: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html", config = ".config/askama.toml")]
struct AuditPage {
    frame: Frame,
    lines: Vec<Line>,
    who: String,
    action: String,
    older: Option<String>,
    is_first: bool,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let text = |name| field(&fields, name).map(str::to_owned);
    let before = match field(&fields, "before").map(str::parse::<i64>) {
        Some(Err(_)) => {
            let text = "This filter is not known: before.".to_owned();
            return refuse(Some(&visitor), Refusal::Not(StatusCode::BAD_REQUEST, text));
        }
        other => other.and_then(Result::ok),
    };
    let filter = AuditFilter {
        actor: text("who"),
        action: text("action").map(|action| action.replace(' ', "_")),
        before,
        limit: PAGE,
        ..AuditFilter::default()
    };
    let rows = match console.api.store.audit(filter).await {
        Ok(rows) => rows,
        Err(error) => return refuse(Some(&visitor), Refusal::store(&error)),
    };
    let now = console.api.clock.now();
    let (who, action) = (
        text("who").unwrap_or_default(),
        text("action").unwrap_or_default(),
    );
    let last = rows.last().filter(|_| rows.len() == PAGE as usize);
    let shown = AuditPage {
        frame: Frame::new("Audit log", "audit", Some(&visitor)),
        older: last.map(|last| {
            format!(
                "/audit?who={}&action={}&before={}",
                percent_encoded(&who),
                percent_encoded(&action),
                last.id
            )
        }),
        lines: rows
            .into_iter()
            .map(|row| Line {
                moment: Moment::new(now, row.at),
                who: row.actor,
                via: row.via.as_str(),
                action: row.action.replace('_', " "),
                shop: row.shop.map(|shop| shop.to_string()).unwrap_or_default(),
                url: row.subject.strip_prefix("job:").map(|id| format!("/jobs/{id}")),
                subject: row.subject,
                reason: row.reason.unwrap_or_default(),
                detail: pretty(&row.detail),
            })
            .collect(),
        who,
        action,
        is_first: before.is_none(),
    };
    page(StatusCode::OK, &shown)
}
