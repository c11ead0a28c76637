//! Orders that a person entered into the ERP: they are left to people. What changes on Shopify afterwards is told once more,
//! because nobody else would carry it over.

use serde_json::{Value, json};

use super::super::flow::Flow;
use super::super::stop::Stop;
use crate::domain::{Actor, Link, Order, Outcome, Report, Timestamp};

/// What the link of such an order calls who entered it.
pub const BY_PERSON: &str = "by_person";

/// What the link remembers of the order as the person entered it.
const AS_ENTERED: &str = "as_entered";

/// What the link of such an order remembers: who entered it, and the order as it was then, as far as it could be read.
pub fn entered_by_hand(actor: &Actor, at: Timestamp, order: Option<&Order>) -> Value {
    let mut agreed = json!({ BY_PERSON: { "name": actor.name, "at": at } });
    if let Some(order) = order {
        agreed[AS_ENTERED] = essence(order);
    }
    agreed
}

/// Whether a person entered the order.
pub(super) fn is_by_hand(link: &Link) -> bool {
    link.agreed.get(BY_PERSON).is_some()
}

/// Remembers the order at the first look, and tells a person when it is another one later.
pub(super) fn follow(flow: &Flow<'_>, order: &Order, link: &Link) -> Result<Report, Stop> {
    let now = essence(order);
    let known = link.agreed.get(AS_ENTERED);
    if known.is_some_and(|known| *known != now) {
        let name = link.erp_name.clone().unwrap_or_else(|| link.erp_id.to_string());
        let mut problem = flow.subject.problem(
            "entered_by_hand_and_changed",
            &order.id.to_string(),
            format!("The order was entered into the ERP by hand as {name} and has changed on Shopify since."),
            "Carry the change over in the ERP by hand, then resolve this job with the same number.",
        );
        problem.detail = json!({ "entered": known, "now": now });
        return Err(problem.into());
    }
    let mut report = Report::of(
        Outcome::Obsolete("entered_by_hand".into()),
        "a person entered this order into the ERP; it is left to people",
    );
    report.record_name = Some(order.name.clone());
    report.erp_name.clone_from(&link.erp_name);
    let mut link = link.clone();
    link.source_updated_at = Some(order.updated_at);
    link.agreed[AS_ENTERED] = now;
    report.links.push(link);
    Ok(report)
}

/// What a person would have to carry over: lines, money, whether it stands.
fn essence(order: &Order) -> Value {
    json!({
        "total": order.totals.total,
        "refunded": order.totals.refunded,
        "cancelled": order.cancelled_at.is_some(),
        "lines": order.lines.iter().map(|line| json!([line.key, line.quantity])).collect::<Vec<_>>(),
    })
}
