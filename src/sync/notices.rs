//! Notices about a shop itself: the app was uninstalled, or a privacy request is to be carried out on our own data.
//!
//! Headers are not signed, only bodies are. So `app/uninstalled` counts only after our own token was refused, and a
//! privacy request only with the exact body that Shopify documents
//! (<https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance>).

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ShopContext;
use super::flow::Flow;
use super::stop::{Stop, Subject};
use crate::domain::{Disposition, Happened, Happening, Object, RecordKey, ShopifyId, System};
use crate::failpoint::{FailPoint, reach};
use crate::shopify::ShopifyError;
use crate::store::{ComplianceRecord, EventRow, JobFilter};

/// The body of `customers/data_request`. Each of the three bodies is taken only with exactly its own fields: the topic is not
/// signed, and a captured request must not be carried out as another one that it was never meant to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataRequest {
    #[serde(rename = "shop_id")]
    _shop_id: u64,
    shop_domain: String,
    customer: CustomerNamed,
    orders_requested: Vec<u64>,
    #[serde(rename = "data_request")]
    _data_request: RequestNamed,
}

/// The body of `customers/redact`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerRedaction {
    #[serde(rename = "shop_id")]
    _shop_id: u64,
    shop_domain: String,
    customer: CustomerNamed,
    orders_to_redact: Vec<u64>,
}

/// The body of `shop/redact`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShopRedaction {
    #[serde(rename = "shop_id")]
    _shop_id: u64,
    shop_domain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerNamed {
    id: u64,
    #[serde(default, rename = "email")]
    _email: IgnoredAny,
    #[serde(default, rename = "phone")]
    _phone: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestNamed {
    #[serde(rename = "id")]
    _id: u64,
}

/// What a privacy request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Privacy {
    Tell { customer: u64, orders: Vec<u64> },
    RemoveCustomer { customer: u64, orders: Vec<u64> },
    RemoveShop,
}

impl Privacy {
    /// Reads the documented body of the topic; none for any other, or for another shop.
    fn read(topic: &str, body: &[u8], domain: &str) -> Option<Self> {
        let (of_shop, request) = match topic {
            "customers/data_request" => {
                let body: DataRequest = serde_json::from_slice(body).ok()?;
                let request = Self::Tell {
                    customer: body.customer.id,
                    orders: body.orders_requested,
                };
                (body.shop_domain, request)
            }
            "customers/redact" => {
                let body: CustomerRedaction = serde_json::from_slice(body).ok()?;
                let request = Self::RemoveCustomer {
                    customer: body.customer.id,
                    orders: body.orders_to_redact,
                };
                (body.shop_domain, request)
            }
            "shop/redact" => {
                let body: ShopRedaction = serde_json::from_slice(body).ok()?;
                (body.shop_domain, Self::RemoveShop)
            }
            _ => return None,
        };
        let names_nobody = matches!(
            request,
            Self::Tell { customer: 0, .. } | Self::RemoveCustomer { customer: 0, .. }
        );
        (of_shop == domain && !names_nobody).then_some(request)
    }
}

/// Carries out the events of one notice job. Returns one line for the retry log.
pub(super) async fn carry_out(flow: &Flow<'_>) -> Result<String, Stop> {
    let (shop, job, subject) = (flow.shop, flow.job, &flow.subject);
    let events = shop.store.events_of(job.id, true).await?;
    let mut done = Vec::new();
    for event in &events {
        match event.topic.as_str() {
            "app/uninstalled" => done.push(uninstalled(flow).await?),
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
async fn uninstalled(flow: &Flow<'_>) -> Result<String, Stop> {
    let shop = flow.shop;
    match shop.source.probe().await {
        Ok(()) => Ok("the shop still accepts our token: the notice is not acted on".to_owned()),
        // Nothing else proves it: a 404 may as well mean an API version that Shopify does not know.
        Err(ShopifyError::Unauthorized { .. } | ShopifyError::NoToken { .. }) => {
            let reason = "the app was uninstalled from the shop";
            let known = shop.store.shop_state(&shop.name, shop.clock.now()).await?;
            // A notice of a shop that is known to be gone is a replay. It becomes known with the end of this attempt, which tells
            // of it, in one transaction.
            if known.disabled.is_none() && flow.telling().disables_shop.replace(reason).is_none() {
                tracing::warn!(shop = %shop.name, "disabled: {reason}");
                flow.has_happened(Happened::new(Happening::ShopUninstalled));
            }
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
    let Some(request) = Privacy::read(&event.topic, body, &shop.domain) else {
        return Err(subject
            .problem(
                "privacy_request_unreadable",
                &event.topic,
                format!(
                    "A privacy request ({}) came with a body that is not the documented one.",
                    event.topic
                ),
                "Look at the event; carry out the request by hand if it is genuine, then discard the job.",
            )
            .into());
    };
    let summary = match request {
        Privacy::RemoveShop => {
            let rows = shop.store.redact_shop(&shop.name, now).await?;
            format!("removed the personal data of the whole shop: {rows} rows")
        }
        Privacy::RemoveCustomer { customer, orders } => {
            let records = records(shop, customer, &orders);
            let rows = shop.store.redact(&shop.name, &records, now).await?;
            format!("removed the personal data of customer {customer}: {rows} rows")
        }
        Privacy::Tell { customer, orders } => {
            let jobs = jobs_about(shop, &records(shop, customer, &orders)).await?;
            format!("customer {customer}: data is held by jobs [{}]", jobs.join(", "))
        }
    };
    reach(FailPoint::Redacted).await?;
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

/// The jobs that speak of these records. Their content is on Shopify and in the ERP.
async fn jobs_about(shop: &ShopContext, records: &[RecordKey]) -> Result<Vec<String>, Stop> {
    let mut jobs = Vec::new();
    for record in records {
        let filter = JobFilter {
            shop: Some(shop.name.clone()),
            source_id: Some(record.id.clone()),
            ..JobFilter::default()
        };
        let found = shop.store.jobs(filter).await?;
        jobs.extend(found.into_iter().map(|job| job.id.to_string()));
    }
    Ok(jobs)
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

#[cfg(test)]
mod tests {
    use super::*;

    const DATA_REQUEST: &str = r#"{"shop_id":954889,"shop_domain":"main.myshopify.com","orders_requested":[299938,280263],
        "customer":{"id":191167,"email":"john@example.com","phone":"555-625-1199"},"data_request":{"id":9999}}"#;
    const CUSTOMER: &str = r#"{"shop_id":954889,"shop_domain":"main.myshopify.com",
        "customer":{"id":191167,"email":"john@example.com","phone":null},"orders_to_redact":[299938]}"#;
    const SHOP: &str = r#"{"shop_id":954889,"shop_domain":"main.myshopify.com"}"#;

    fn read(topic: &str, body: &str) -> Option<Privacy> {
        Privacy::read(topic, body.as_bytes(), "main.myshopify.com")
    }

    #[test]
    fn a_body_is_taken_under_its_own_topic_only() {
        let topics = ["customers/data_request", "customers/redact", "shop/redact"];
        let bodies = [DATA_REQUEST, CUSTOMER, SHOP];
        for (t, topic) in topics.into_iter().enumerate() {
            for (b, body) in bodies.into_iter().enumerate() {
                assert_eq!(
                    read(topic, body).is_some(),
                    t == b,
                    "{topic} with the body of {}",
                    topics[b]
                );
            }
        }
        assert_eq!(
            read("customers/redact", CUSTOMER),
            Some(Privacy::RemoveCustomer {
                customer: 191_167,
                orders: vec![299_938]
            })
        );
    }

    #[test]
    fn other_bodies_than_the_documented_ones_are_refused() {
        let without = |body: &str, part: &str| {
            assert!(body.contains(part), "{part}");
            body.replace(part, "")
        };
        for (name, topic, body) in [
            (
                "no orders",
                "customers/redact",
                without(CUSTOMER, r#","orders_to_redact":[299938]"#),
            ),
            (
                "no request",
                "customers/data_request",
                without(DATA_REQUEST, r#","data_request":{"id":9999}"#),
            ),
            ("nobody", "customers/redact", CUSTOMER.replace("191167", "0")),
            ("another shop", "shop/redact", SHOP.replace("main.", "other.")),
            (
                "more than the shop",
                "shop/redact",
                SHOP.replace('}', r#","id":1}"#),
            ),
            ("an order", "shop/redact", r#"{"id":450789469}"#.to_owned()),
            ("nothing", "shop/redact", String::new()),
        ] {
            assert_eq!(read(topic, &body), None, "{name}");
        }
    }
}
