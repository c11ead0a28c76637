//! Orders that were cancelled on Shopify, before or after they were booked.

use serde_json::json;

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::plan::Fingerprint;
use crate::domain::{Link, Order, Outcome, Report, System};
use crate::erp::{OrderState, SalesOrder};
use crate::failpoint::{FailPoint, reach};

/// Cancels the sales order, or leaves it at nothing where none was made.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    link: Option<Link>,
    held: Option<SalesOrder>,
) -> Result<Report, Stop> {
    let Some(held) = held else {
        return Err(flow.nothing_to_do("cancelled_before_import"));
    };
    reach(FailPoint::Planned).await?;
    let cancelled = match held.state {
        OrderState::Cancelled => held,
        _ if held.invoiced => {
            let mut problem = flow.subject.problem(
                "cancelled_after_invoice",
                "",
                format!(
                    "The order was cancelled on Shopify, and {} is invoiced in the ERP.",
                    held.name
                ),
                "Credit the invoice and cancel the order in the ERP, then retry.",
            );
            problem.detail = json!({ "erp_order": held.name });
            return Err(problem.into());
        }
        _ => {
            flow.lock(System::Erp, "sale.order", &held.id.to_string()).await?;
            let cancelled = flow.write(flow.shop.erp.cancel_order(held.id)).await?;
            reach(FailPoint::RecordSaved).await?;
            flow.note("cancelled", json!({ "id": cancelled.id }));
            cancelled
        }
    };
    let fingerprint: Fingerprint = link
        .as_ref()
        .and_then(|link| serde_json::from_value(link.agreed.get("fingerprint")?.clone()).ok())
        .unwrap_or_default();
    let model = link.as_ref().map_or("sale.order", |link| link.model.as_str());
    let mut report = Report::of(Outcome::Completed, format!("cancelled {}", cancelled.name));
    report.record_name = Some(order.name.clone());
    report.erp_name = Some(cancelled.name.clone());
    report
        .links
        .push(super::link(flow, order, &cancelled, model, fingerprint));
    Ok(report)
}
