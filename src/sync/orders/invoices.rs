//! Invoices of confirmed orders: made by the ERP's own way from order to invoice, dated to the day of the sale.

use chrono::{Days, NaiveDate};
use serde_json::json;

use super::super::flow::Flow;
use super::super::settings::Invoices;
use super::super::stop::Stop;
use crate::domain::{FieldValue, Order};
use crate::erp::{Closed, Document, DocumentKind, DocumentState, ErpError, SalesOrder};
use crate::failpoint::{FailPoint, reach};

/// Makes and posts what the shop declares. Returns the order's invoices as they are then.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    done: &mut Vec<String>,
) -> Result<Vec<Document>, Stop> {
    let erp = &flow.shop.erp;
    let policy = flow.shop.settings.invoices;
    let mut invoices = invoices(erp.documents(held.id).await?);
    if held.lines.iter().any(|line| line.quantity > line.invoiced) {
        match flow.write(erp.invoice_order(held.id)).await {
            Ok(()) => {
                reach(FailPoint::InvoiceMade).await?;
                flow.note("invoiced", json!({ "order": held.name }));
                done.push("invoiced".to_owned());
                invoices = self::invoices(erp.documents(held.id).await?);
            }
            // Products that are invoiced when they are delivered: later.
            Err(Stop::Erp(ErpError::Rejected { message, .. })) => {
                flow.note(
                    "nothing_to_invoice",
                    json!({ "order": held.name, "erp": message }),
                );
            }
            Err(stop) => return Err(stop),
        }
    }
    for invoice in &mut invoices {
        if invoice.state == DocumentState::Draft {
            *invoice = draft(flow, order, invoice, policy, done).await?;
        }
    }
    Ok(invoices)
}

fn invoices(documents: Vec<Document>) -> Vec<Document> {
    documents
        .into_iter()
        .filter(|document| {
            document.kind == DocumentKind::Invoice && document.state != DocumentState::Cancelled
        })
        .collect()
}

/// Dates a draft, and posts it where the shop says so and the books are open.
async fn draft(
    flow: &Flow<'_>,
    order: &Order,
    invoice: &Document,
    policy: Invoices,
    done: &mut Vec<String>,
) -> Result<Document, Stop> {
    let erp = &flow.shop.erp;
    // A date that stands there already was given by a person, perhaps because a period is closed.
    let dated = match invoice.dated {
        Some(dated) => dated,
        None => {
            let day = order.processed_at.to_utc().date_naive();
            let fields = vec![("invoice_date".to_owned(), FieldValue::Date(day))];
            flow.write(erp.update("account.move", invoice.id, &fields))
                .await?;
            day
        }
    };
    if policy != Invoices::Post {
        return Ok(Document {
            dated: Some(dated),
            ..invoice.clone()
        });
    }
    if let Some(closed) = erp.closed(true).await?
        && dated <= closed.until
    {
        let what = format!("The invoice of {} ({})", order.name, invoice.label());
        let remedy = format!("Give the draft invoice {} the date", invoice.id);
        return Err(is_closed(flow, &what, &remedy, dated, &closed));
    }
    let posted = flow.write(erp.post_document(invoice.id)).await?;
    flow.note(
        "invoice_posted",
        json!({ "invoice": posted.label(), "total": posted.total, "date": posted.booked }),
    );
    if posted.booked != Some(dated) {
        let mut problem = flow.subject.problem(
            "accounting_date_moved",
            "",
            format!(
                "The invoice {} is of {dated}, and the ERP put it into the books of {}.",
                posted.label(),
                posted.booked.map_or_else(|| "no day".to_owned(), |day| day.to_string())
            ),
            "Ask the bookkeeper whether that day is right. If not, reset the invoice to draft, correct its date and post it; then discard this job.",
        );
        problem.field = Some("date".into());
        return Err(problem.into());
    }
    done.push(format!("posted {}", posted.label()));
    Ok(posted)
}

/// The problem of a day for which the books are closed.
pub(super) fn is_closed(flow: &Flow<'_>, what: &str, remedy: &str, day: NaiveDate, closed: &Closed) -> Stop {
    let next = closed
        .until
        .checked_add_days(Days::new(1))
        .unwrap_or(closed.until);
    let mut problem = flow.subject.problem(
        "accounting_period_closed",
        &closed.until.to_string(),
        format!(
            "{what} is of {day}, and the books are closed up to {} ({}).",
            closed.until, closed.lock
        ),
        &format!("{remedy} {next}, the next open day, or let the bookkeeper open the period. Then retry."),
    );
    problem.detail =
        json!({ "day": day, "closed_until": closed.until, "lock": closed.lock, "next_open_day": next });
    problem.into()
}
