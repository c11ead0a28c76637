//! What it means that Shopify does not show a record.
//!
//! A record that is read as "not there" may have been deleted, but it may as well be hidden from us (an order older than 60
//! days without the scope `read_all_orders`), not yet readable a moment after it was made, or never have existed. Only
//! Shopify's own word, a `*/delete` event about the record, makes it deleted; everything else is said to a person, because
//! a refund of a hidden order would be lost otherwise.

use std::time::Duration;

use super::flow::Flow;
use super::stop::Stop;
use crate::domain::{NewProblem, Object, Topic, TopicAction};
use crate::store::JobFilter;

/// So many attempts of a job that an event asked for count the record as not yet readable.
const TRIES: u32 = 3;

/// How long the record has at least to become readable.
const SOON: Duration = Duration::from_secs(15);

/// Passes when Shopify said that the record of this job was deleted.
///
/// # Errors
/// It did not say so: the attempt is repeated a few times where an event names the record, then a person is asked.
pub(super) async fn was_deleted(flow: &Flow<'_>) -> Result<(), Stop> {
    let key = &flow.job.key;
    let filter = JobFilter {
        shop: Some(key.shop.clone()),
        object: Some(key.object),
        source_id: Some(key.source_id.clone()),
        ..JobFilter::default()
    };
    let mut is_named_by_an_event = false;
    // Older jobs, too: an update that comes after the deletion was carried out asks for another job.
    for job in flow.shop.store.jobs(filter).await? {
        let events = flow.shop.store.events_of(job.id, false).await?;
        if events.iter().any(|event| is_deletion(&event.topic, key.object)) {
            return Ok(());
        }
        is_named_by_an_event |= job.id == flow.job.id && !events.is_empty();
    }
    let problem = not_visible(flow);
    if is_named_by_an_event && flow.job.failed_attempts < TRIES {
        return Err(Stop::Again {
            problem: Box::new(problem),
            after: SOON,
        });
    }
    Err(problem.into())
}

fn is_deletion(topic: &str, object: Object) -> bool {
    Topic::of_header(topic)
        .is_some_and(|topic| matches!(topic.action, TopicAction::Gone(gone, _) if gone == object))
}

fn not_visible(flow: &Flow<'_>) -> NewProblem {
    let key = &flow.job.key;
    let (code, fix) = match key.object {
        Object::Order => (
            "order_not_visible",
            "Check the number. Orders older than 60 days are shown only to an app with the scope read_all_orders: grant it \
             (then install the app again or renew its token) and retry. If the order does not exist any more, discard this job.",
        ),
        Object::Customer => (
            "customer_not_visible",
            "Check the number and that the app has the scope read_customers, then retry. If the customer was deleted or \
             merged into another one, discard this job.",
        ),
        _ => (
            "product_not_visible",
            "Check the number and that the app has the scope read_products, then retry. If the product does not exist any \
             more, discard this job.",
        ),
    };
    flow.subject.problem(
        code,
        "",
        format!(
            "Shopify shows no {} {} to this app, and did not say that it was deleted.",
            key.object, key.source_id
        ),
        fix,
    )
}
