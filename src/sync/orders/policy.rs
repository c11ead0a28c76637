//! What the shop declares about odd orders: lines without a product, and a high risk of fraud.

use serde_json::{Value, json};

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::Known;
use super::plan::{Fingerprint, fingerprint};
use crate::domain::{BookedLine, JobId, LineKind, Link, Object, Order, Risk};
use crate::mapping::{Mapped, Stage};
use crate::store::JobFilter;
use crate::sync::settings::{HighRisk, NoProduct};

/// Lines that a person has to decide about end the attempt before anything is made.
pub(in crate::sync) fn check_lines(flow: &Flow<'_>, order: &Order) -> Result<(), Stop> {
    let settings = &flow.shop.settings;
    let needs_a_person = |line: &&BookedLine| {
        let policy = if line.is_deleted_product() {
            settings.lines_of_deleted_products
        } else if line.is_custom {
            settings.custom_lines
        } else {
            return false;
        };
        policy == NoProduct::Problem && line.kind == LineKind::Product && !line.quantity.is_zero()
    };
    let Some(line) = order.lines.iter().find(needs_a_person) else {
        return Ok(());
    };
    let (code, why, setting) = if line.is_custom {
        ("custom_line", "never had a product", "custom_lines")
    } else {
        (
            "deleted_product",
            "had a product that was deleted on Shopify since",
            "lines_of_deleted_products",
        )
    };
    let mut problem = flow.subject.problem(
        code,
        line.sku.as_deref().unwrap_or(&line.key),
        format!("The line `{}` ({}) {why}.", line.title, line.key),
        &format!(
            "Enter the order in the ERP by hand and discard this job; or say `{setting} = \"fallback\"` in the shop's flow, \
             which books such lines on the service product `custom`, then retry."
        ),
    );
    problem.field = Some(format!("lines[{}]", line.key));
    Err(problem.into())
}

/// Whether the order waits for a person because of its risk; it is then carried no further than a quotation.
pub(in crate::sync) fn hold(flow: &Flow<'_>, order: &Order, mapped: &mut Mapped) -> bool {
    let risky = order.risk == Risk::High && flow.shop.settings.high_risk == HighRisk::Hold;
    if risky && mapped.stage == Some(Stage::Confirmed) {
        mapped.stage = Some(Stage::Quotation);
    }
    risky
}

/// Whether a person is still to be asked about the order's risk. `asked` is what is remembered: `true` once the hold of a
/// quotation was told or a person decided; the `occasion`, where the risk was told only after the confirmation. To the first a
/// confirmation by hand is a yes, to the second a retry: the job runs again, and there is no new occasion for it.
pub(super) fn asks_about_risk(risky: bool, confirmed: bool, occasion: Value, asked: &mut Value) -> bool {
    if !risky {
        *asked = Value::Null;
        return false;
    }
    let decided = confirmed && (*asked == json!(true) || *asked == occasion);
    *asked = if decided || !confirmed {
        json!(true)
    } else {
        occasion
    };
    !decided
}

/// Why the order is looked at: the job with the events that it had until now, and the order as Shopify has it.
pub(super) async fn occasion(
    flow: &Flow<'_>,
    order: &Order,
    fingerprint: &Fingerprint,
) -> Result<Value, Stop> {
    let story = flow.shop.store.job(flow.job.id).await?;
    Ok(occasion_of(
        flow.job.id,
        story.map(|story| story.job.events),
        order,
        fingerprint,
    ))
}

fn occasion_of(job: JobId, events: Option<u32>, order: &Order, fingerprint: &Fingerprint) -> Value {
    json!({ "job": job, "events": events, "updated_at": order.updated_at, "order": fingerprint })
}

/// For a preview of a risky order that is confirmed: whether its job would ask a person when it runs next, be it for a retry.
pub(in crate::sync) async fn would_ask_about_risk(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    stays: &Order,
    link: Option<&Link>,
) -> Result<bool, Stop> {
    let fingerprint = fingerprint(mapped, stays);
    let mut known = Known::new(link, fingerprint);
    let filter = JobFilter {
        shop: Some(flow.shop.name.clone()),
        object: Some(Object::Order),
        source_id: Some(order.id.to_string()),
        limit: 1,
        ..JobFilter::default()
    };
    let newest = flow.shop.store.jobs(filter).await?.into_iter().next();
    let occasion = match newest {
        Some(job) => occasion_of(job.id, Some(job.events), order, &known.fingerprint),
        None => occasion_of(flow.job.id, None, order, &known.fingerprint),
    };
    let mut asked = known.risk_held.take();
    Ok(asks_about_risk(true, true, occasion, &mut asked))
}

/// That a person has to look at it.
pub(in crate::sync) fn high_risk(flow: &Flow<'_>, order: &Order, confirmed: bool) -> Stop {
    let (stands, fix) = if confirmed {
        (
            "It was confirmed in the ERP before that was told; nothing more is delivered, invoiced or paid there until somebody looked.",
            "Look at the fraud analysis on Shopify. If the sale is good, retry; if it is not, stop the delivery and cancel the order on Shopify.",
        )
    } else {
        (
            "It stands in the ERP as a quotation.",
            "Look at the fraud analysis on Shopify. If the sale is good, confirm the quotation in the ERP and retry; if it is not, cancel the order on Shopify.",
        )
    };
    let mut problem = flow.subject.problem(
        "high_fraud_risk",
        "",
        format!(
            "Shopify holds the order {} to be a likely fraud and recommends to cancel it. {stands}",
            order.name
        ),
        fix,
    );
    problem.field = Some("risk".into());
    problem.into()
}
