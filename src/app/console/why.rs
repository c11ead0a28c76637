//! Why an order is not in the ERP, or where it is: one sentence and the one fitting step.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::session::Visitor;
use super::view::{Frame, field, form_fields, page};
use crate::app::connect;
use crate::app::review::{Outlook, Reference, Said, Why, WhyError, why as ask};
use crate::config::Shop;

struct Told {
    shop: String,
    tone: &'static str,
    sentence: String,
    next: Option<String>,
    job: Option<i64>,
    references: Vec<(&'static str, Reference)>,
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
        && let Err(refusal) = console.find_out(asked, &mut shown).await
    {
        return refuse(Some(&visitor), refusal);
    }
    page(StatusCode::OK, &shown)
}

impl Console {
    /// Asks the store about every shop, and both systems where no shop's store knows the order.
    async fn find_out(&self, asked: &str, shown: &mut WhyPage) -> Result<(), Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let mut answers: Vec<(&Shop, Why)> = Vec::new();
        for shop in config.shops.values() {
            match ask(&self.api.store, &self.api.clock, shop, asked, None).await {
                Ok(why) => answers.push((shop, why)),
                Err(WhyError::Store(error)) => return Err(Refusal::store(&error)),
                Err(error) => shown.failures.push(told(shop, &error)),
            }
        }
        let is_known = |(_, why): &(&Shop, Why)| why.outlook != Outlook::Unknown;
        if !answers.iter().any(is_known) {
            answers.clear();
            for shop in config.shops.values() {
                let client = self.api.clients.borrow().get(&shop.name).cloned();
                let (Some(shopify), Ok(erp)) = (client, connect::erp(shop, &self.api.clock)) else {
                    continue;
                };
                let live = Said { shopify, erp };
                match ask(&self.api.store, &self.api.clock, shop, asked, Some(&live)).await {
                    Ok(why) => answers.push((shop, why)),
                    Err(WhyError::Store(error)) => return Err(Refusal::store(&error)),
                    Err(error) => shown.failures.push(told(shop, &error)),
                }
            }
        }
        if answers.iter().any(is_known) {
            answers.retain(is_known);
        }
        shown.told = answers.into_iter().map(|(shop, why)| view(shop, why)).collect();
        Ok(())
    }
}

fn told(shop: &Shop, error: &WhyError) -> String {
    let below = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{}: {error}{}", shop.name, below.unwrap_or_default())
}

fn view(shop: &Shop, why: Why) -> Told {
    let named = [("Shopify", why.references.shopify), ("ERP", why.references.erp)];
    Told {
        shop: shop.name.to_string(),
        tone: match why.outlook {
            Outlook::Booked => "good",
            Outlook::Problem | Outlook::NeverDelivered | Outlook::Rejected | Outlook::Merged => "bad",
            _ => "plain",
        },
        sentence: why.sentence,
        next: why.next,
        job: why.job.map(|job| job.0),
        references: named
            .into_iter()
            .filter_map(|(system, side)| Some((system, side?)))
            .collect(),
    }
}
