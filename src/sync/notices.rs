//! Notices about a shop itself: the app was uninstalled, or a privacy request is to be carried out on our own data.
//!
//! Headers are not signed, only bodies are. So `app/uninstalled` counts only after our own token was refused, and a
//! privacy request only with the exact body that Shopify documents
//! (<https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance>).

use serde::Deserialize;

use super::ShopContext;
use super::stop::{Stop, Subject};
use crate::domain::{Disposition, Object, RecordKey, ShopifyId, System};
use crate::shopify::ShopifyError;
use crate::store::{ClaimedJob, ComplianceRecord, EventRow, JobFilter};

/// The body of `customers/data_request` and `customers/redact`.
#[derive(Debug, Deserialize)]
struct CustomerRequest {
    shop_domain: String,
    customer: CustomerNamed,
    #[serde(default)]
    orders_requested: Vec<u64>,
    #[serde(default)]
    orders_to_redact: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct CustomerNamed {
    id: u64,
}

/// The body of `shop/redact`.
#[derive(Debug, Deserialize)]
struct ShopRequest {
    shop_domain: String,
}

/// Carries out the events of one notice job. Returns one line for the retry log.
pub(super) async fn carry_out(
    shop: &ShopContext,
    job: &ClaimedJob,
    subject: &Subject,
) -> Result<String, Stop> {
    let events = shop.store.events_of(job.id, true).await?;
    let mut done = Vec::new();
    for event in &events {
        match event.topic.as_str() {
            "app/uninstalled" => done.push(uninstalled(shop).await?),
            "customers/data_request" | "customers/redact" | "shop/redact" => {
                done.push(privacy(shop, event, subject).await?);
            }
            _ => {}
        }
    }
    if done.is_empty() {
        return Err(Stop::Obsolete("no_notice".into()));
    }
    done.dedup();
    Ok(done.join("; "))
}

/// Disables the shop when our own credentials no longer work there.
async fn uninstalled(shop: &ShopContext) -> Result<String, Stop> {
    match shop.source.probe().await {
        Ok(()) => Ok("the shop still accepts our token: the notice is not acted on".to_owned()),
        Err(
            ShopifyError::Unauthorized { .. }
            | ShopifyError::NoToken { .. }
            | ShopifyError::NoSuchShop { .. },
        ) => {
            let reason = "the app was uninstalled from the shop";
            shop.store
                .set_shop_disabled(&shop.name, Some(reason), shop.clock.now())
                .await?;
            tracing::warn!(shop = %shop.name, "disabled: {reason}");
            Ok(format!("disabled: {reason}"))
        }
        // Whether the token still works is not known yet.
        Err(error) => match error.disposition() {
            Disposition::Permanent | Disposition::Obsolete => Ok("the notice is not acted on".to_owned()),
            Disposition::Transient { .. } | Disposition::NotYet { .. } | Disposition::SystemDown { .. } => {
                Err(error.into())
            }
        },
    }
}

async fn privacy(shop: &ShopContext, event: &EventRow, subject: &Subject) -> Result<String, Stop> {
    let body = event.body.as_deref().unwrap_or_default();
    let now = shop.clock.now();
    let unreadable = || {
        Stop::from(subject.problem(
            "privacy_request_unreadable",
            &event.topic,
            format!(
                "A privacy request ({}) came with a body that is not the documented one.",
                event.topic
            ),
            "Look at the event; carry out the request by hand if it is genuine, then discard the job.",
        ))
    };
    let summary = if event.topic == "shop/redact" {
        let request: ShopRequest = serde_json::from_slice(body).map_err(|_| unreadable())?;
        if request.shop_domain != shop.domain {
            return Err(unreadable());
        }
        let rows = shop.store.redact_shop(&shop.name, now).await?;
        format!("removed the personal data of the whole shop: {rows} rows")
    } else {
        let request: CustomerRequest = serde_json::from_slice(body).map_err(|_| unreadable())?;
        if request.shop_domain != shop.domain || request.customer.id == 0 {
            return Err(unreadable());
        }
        let redact = event.topic == "customers/redact";
        let orders = if redact {
            &request.orders_to_redact
        } else {
            &request.orders_requested
        };
        let records = records(shop, request.customer.id, orders);
        if redact {
            let rows = shop.store.redact(&shop.name, &records, now).await?;
            format!(
                "removed the personal data of customer {}: {rows} rows",
                request.customer.id
            )
        } else {
            // We tell which of our own records speak of the customer; their content is on Shopify and in the ERP.
            let mut jobs = Vec::new();
            for record in &records {
                let filter = JobFilter {
                    shop: Some(shop.name.clone()),
                    source_id: Some(record.id.clone()),
                    ..JobFilter::default()
                };
                jobs.extend(
                    shop.store
                        .jobs(filter)
                        .await?
                        .into_iter()
                        .map(|job| job.id.to_string()),
                );
            }
            format!(
                "customer {}: data is held by jobs [{}]",
                request.customer.id,
                jobs.join(", ")
            )
        }
    };
    let record = ComplianceRecord {
        shop: shop.name.clone(),
        topic: event.topic.clone(),
        event: event.id,
        requested_at: event.received_at,
        done_at: now,
        summary: summary.clone(),
    };
    shop.store.record_compliance(record).await?;
    Ok(summary)
}

fn records(shop: &ShopContext, customer: u64, orders: &[u64]) -> Vec<RecordKey> {
    let record = |object: Object, id: u64| RecordKey {
        shop: shop.name.clone(),
        system: System::Shopify,
        model: object.as_str().to_owned(),
        id: ShopifyId(id).to_string(),
    };
    std::iter::once(record(Object::Customer, customer))
        .chain(orders.iter().map(|id| record(Object::Order, *id)))
        .collect()
}
