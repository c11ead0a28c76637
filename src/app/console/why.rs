//! Why an order is not in the ERP, or where it is: one sentence and the one fitting button.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::record::address;
use super::session::Visitor;
use super::view::{Frame, field, form_fields, page};
use crate::app::review::{Outlook, Reference, Why};
use crate::config::Shop;
use crate::domain::{JobState, Object, Role};
use crate::store::{HELD_BY_PERSON, JobRow};

struct Told {
    shop: String,
    tone: &'static str,
    sentence: String,
    next: Option<String>,
    job: Option<i64>,
    /// The revision of the mappings that it was written by last.
    written_by: Option<String>,
    /// Its page, where both systems' answers stand side by side.
    record: Option<String>,
    references: Vec<(&'static str, Reference)>,
    button: Option<Button>,
}

/// The one thing to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Button {
    text: &'static str,
    url: String,
    /// Whether it does something; else it leads somewhere.
    acts: bool,
    /// The state in which the job was seen.
    seen: Option<i64>,
}

#[derive(Template)]
#[template(path = "why.html", config = ".config/askama.toml")]
struct WhyPage {
    frame: Frame,
    query: String,
    told: Vec<Told>,
    /// What kept a live look from being made.
    failures: Vec<String>,
}

pub(super) async fn why(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let asked = field(&fields, "q").unwrap_or_default();
    let mut shown = WhyPage {
        frame: Frame::new("Where is my order?", "overview", Some(&visitor)),
        query: asked.to_owned(),
        told: Vec::new(),
        failures: Vec::new(),
    };
    if !asked.is_empty()
        && let Err(refusal) = console.find_out(&visitor, asked, &mut shown).await
    {
        return refuse(Some(&visitor), refusal);
    }
    page(StatusCode::OK, &shown)
}

impl Console {
    /// Asks the store about every shop, and both systems where no shop's store knows the order.
    async fn find_out(&self, visitor: &Visitor, asked: &str, shown: &mut WhyPage) -> Result<(), Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let shops: Vec<&Shop> = config.shops.values().collect();
        let found = self.api.find_out(&shops, asked, true).await?;
        shown.failures = found.failures;
        let paused = self.api.store.pauses().await?;
        for (shop, why) in found.answers {
            let job = match why.job {
                Some(job) => self.api.store.job(job).await?.map(|story| story.job),
                None => None,
            };
            let is_paused = paused.iter().any(|pause| pause.shop == shop.name);
            let button = button(visitor.role, shop, &why, job.as_ref(), is_paused);
            shown.told.push(view(shop, why, button));
        }
        Ok(())
    }
}

/// The one fitting button, as far as the person's role goes.
fn button(role: Role, shop: &Shop, why: &Why, job: Option<&JobRow>, is_paused: bool) -> Option<Button> {
    let leads = |text, url: String| {
        Some(Button {
            text,
            url,
            acts: false,
            seen: None,
        })
    };
    let to_job = |text| leads(text, format!("/jobs/{}", job?.id));
    let does = |text, url: String, seen| {
        Some(Button {
            text,
            url,
            acts: true,
            seen,
        })
    };
    let record = why
        .references
        .shopify
        .as_ref()
        .and_then(|side| address(shop.name.as_str(), Object::Order, &side.id));
    let of_job = |text, action: &str| {
        let job = job?;
        does(
            text,
            format!("/jobs/{}/{action}", job.id),
            Some(job.updated_at.millis()),
        )
    };
    let may_operate = role.may(Role::Operator);
    let code = job.and_then(|job| Some(job.problem.as_ref()?.code.0.as_str()));
    match why.outlook {
        Outlook::Booked => leads("Show it on both sides", record?),
        Outlook::Running => to_job("See how it goes"),
        Outlook::Problem if may_operate => of_job("Try again now", "retry"),
        Outlook::Discarded if may_operate => of_job("Do it again", "retry"),
        Outlook::Held if may_operate && code == Some(HELD_BY_PERSON) => of_job("Let it go on", "release"),
        Outlook::Held => to_job("See what it waits for"),
        Outlook::Queued if may_operate => match job?.state {
            JobState::Retryable => of_job("Try again now", "retry"),
            JobState::Available => of_job("Have it done first", "ahead"),
            _ => to_job("See what it waits for"),
        },
        Outlook::Paused if is_paused && may_operate => {
            does("Let the shop go on", format!("/shops/{}/resume", shop.name), None)
        }
        Outlook::Paused if !is_paused && role.may(Role::Admin) => {
            leads("Look at the switches", "/settings".to_owned())
        }
        Outlook::NeverDelivered | Outlook::Rejected | Outlook::Merged if may_operate => {
            does("Carry it over now", format!("{}/sync", record?), None)
        }
        // Switched off, or left alone by a rule: a job says which.
        Outlook::OutOfScope if job.is_none() && may_operate => {
            does("Carry it over now", format!("{}/sync", record?), None)
        }
        Outlook::Problem
        | Outlook::Discarded
        | Outlook::Queued
        | Outlook::Paused
        | Outlook::OutOfScope
        | Outlook::Test
        | Outlook::BeforeStart
        | Outlook::Cancelled
        | Outlook::Deleted => to_job("See what happened"),
        Outlook::Unknown | Outlook::NeverDelivered | Outlook::Rejected | Outlook::Merged => None,
    }
}

fn view(shop: &Shop, why: Why, button: Option<Button>) -> Told {
    let shopify = why.references.shopify.as_ref();
    let record = shopify.and_then(|side| address(shop.name.as_str(), Object::Order, &side.id));
    let named = [("Shopify", why.references.shopify), ("ERP", why.references.erp)];
    Told {
        shop: shop.name.to_string(),
        tone: match why.outlook {
            Outlook::Booked => "good",
            Outlook::Problem | Outlook::NeverDelivered | Outlook::Rejected | Outlook::Merged => "bad",
            _ => "plain",
        },
        button,
        record,
        sentence: why.sentence,
        next: why.next,
        job: why.job.map(|job| job.0),
        written_by: why.written.map(|write| write.mapping),
        references: named
            .into_iter()
            .filter_map(|(system, side)| Some((system, side?)))
            .collect(),
    }
}
