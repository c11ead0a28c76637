//! Telling a person, once for the shop, that Shopify keeps personal fields from the app.
//!
//! The records themselves go on without these fields. So the problem is a job of its own about the shop, which asks for
//! one such record again: once Shopify shows all of it, a retry closes the job.

use serde_json::json;

use super::flow::Flow;
use super::stop::Stop;
use crate::domain::{Direction, JobKey, JobState, Object, Outcome, Priority, Report, ShopifyId};
use crate::store::{JobFilter, NewJob};

/// How the keys of these jobs begin; the number of the customer by whom it was noticed follows.
const NOTICED_BY: &str = "withheld_customer_";

/// The customer by whom it was noticed, where a job is one of these.
pub(super) fn noticed_by(source_id: &str) -> Option<ShopifyId> {
    source_id.strip_prefix(NOTICED_BY)?.parse().ok()
}

/// Makes the job, unless there is one already that is not closed.
pub(super) async fn tell(flow: &Flow<'_>, customer: ShopifyId) -> Result<(), Stop> {
    let shop = flow.shop;
    let filter = JobFilter {
        shop: Some(shop.name.clone()),
        object: Some(Object::Shop),
        states: JobState::ALL
            .iter()
            .copied()
            .filter(|state| state.is_open())
            .collect(),
        limit: 50,
        ..JobFilter::default()
    };
    let open = shop.store.jobs(filter).await?;
    if open.iter().any(|job| noticed_by(&job.key.source_id).is_some()) {
        return Ok(());
    }
    let job = NewJob {
        key: JobKey {
            shop: shop.name.clone(),
            object: Object::Shop,
            direction: Direction::In,
            source_id: format!("{NOTICED_BY}{customer}"),
        },
        priority: Priority::LIVE,
        now: shop.clock.now(),
        cause: format!("customer {customer} came without personal fields"),
    };
    shop.store.enqueue(job).await?;
    Ok(())
}

/// The job: looks whether that customer still comes without some fields.
pub(super) async fn look(flow: &Flow<'_>, customer: ShopifyId) -> Result<Report, Stop> {
    let record = flow.shop.source.customer(customer, "").await?;
    let refused = record.map(|record| record.refused).unwrap_or_default();
    if refused.is_empty() {
        return Ok(Report::of(
            Outcome::Completed,
            "Shopify shows the app everything that it asks for",
        ));
    }
    let mut problem = flow.subject.problem(
        "shopify_scope_missing",
        "shop",
        format!(
            "Shopify keeps personal fields of customers from the app: {}. They are left as they are in the ERP, and nobody is recognised by them.",
            refused.join(", ")
        ),
        "Give the app access to these fields (Shopify: API access requests, protected customer data), then retry this job and sync the customers that changed meanwhile.",
    );
    problem.field = refused.first().cloned();
    problem.detail = json!({ "refused": refused });
    Err(problem.into())
}
