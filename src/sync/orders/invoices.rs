//! Invoices of confirmed orders: made by the ERP's own way from order to invoice, dated to the day of the sale.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use serde_json::json;

use super::super::flow::Flow;
use super::super::settings::Invoices;
use super::super::stop::Stop;
use super::refunds::share;
use super::{book, proof, told};
use crate::domain::{Currency, ErpId, FieldValue, Order};
use crate::erp::{Closed, Document, DocumentKind, DocumentState, ErpError, SalesOrder, SalesOrderLine};
use crate::failpoint::{FailPoint, reach};

/// Makes and posts what the shop declares. `order` is what stays on the ERP's order; `kept` are the refunded units of each
/// line that stay there, too. Returns the order's invoices as they are then.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    kept: &BTreeMap<ErpId, Decimal>,
    done: &mut Vec<String>,
) -> Result<Vec<Document>, Stop> {
    let erp = &flow.shop.erp;
    let policy = flow.shop.settings.invoices;
    let mut documents = erp.documents(held.id).await?;
    // What was delivered since the order was read may be due only now.
    let mut held = if held.lines.iter().any(|line| line.quantity > line.invoiced) {
        Cow::Owned(book::read(flow, held.id).await?)
    } else {
        Cow::Borrowed(held)
    };
    let posts = policy == Invoices::Post && invoices(&documents).any(is_draft);
    let is_due = is_due(flow, order.currency, &held, kept, &documents).await?;
    if is_due || posts {
        proof::same_totals(flow, order, &held)?;
    }
    if is_due && invoice(flow, &held).await? {
        reach(FailPoint::InvoiceMade).await?;
        let before: Vec<ErpId> = documents.iter().map(|known| known.id).collect();
        documents = erp.documents(held.id).await?;
        let made: Vec<_> = invoices(&documents)
            .filter(|bill| !before.contains(&bill.id))
            .map(|bill| json!({ "invoice": bill.label(), "total": bill.total }))
            .collect();
        flow.note("invoiced", json!({ "order": held.name, "made": made }));
        done.push("invoiced".to_owned());
        held = Cow::Owned(book::read(flow, held.id).await?);
    }
    told::has_documents(flow, &documents);
    let mut bills: Vec<Document> = invoices(&documents).cloned().collect();
    for bill in &mut bills {
        if is_draft(bill) {
            *bill = draft(flow, order, bill, (&held, &documents), done).await?;
        }
    }
    // A draft gets its number when it is posted.
    told::has_documents(flow, &bills);
    Ok(bills)
}

/// Makes the invoice of what is due; whether anything was left to be invoiced.
async fn invoice(flow: &Flow<'_>, held: &SalesOrder) -> Result<bool, Stop> {
    let refusal = match flow.act(flow.shop.erp.invoice_order(held.id)).await {
        Ok(()) => return Ok(true),
        Err(Stop::Erp(ErpError::Rejected { message, .. })) => message,
        Err(stop) => return Err(stop),
    };
    // Somebody else may have made it at this moment.
    let now = book::read(flow, held.id).await?;
    if !now.lines.iter().any(|line| line.to_invoice > Decimal::ZERO) {
        return Ok(true);
    }
    let mut problem = flow.subject.problem(
        "invoice_refused",
        "",
        format!(
            "The ERP refuses to invoice {}, of which {} are due: {refusal}",
            held.name,
            units(due(&now))
        ),
        &format!(
            "Mend in the ERP what it complains of (often a missing account, journal or address), or invoice {} there, then retry.",
            held.name
        ),
    );
    problem.detail = json!({ "erp_order": held.name, "erp": refusal });
    Err(problem.into())
}

/// The lines that the ERP would invoice now, with the units.
fn due(held: &SalesOrder) -> impl Iterator<Item = (&SalesOrderLine, Decimal)> {
    held.lines
        .iter()
        .filter(|line| line.to_invoice > Decimal::ZERO)
        .map(|line| (line, line.to_invoice))
}

fn units<'l>(lines: impl Iterator<Item = (&'l SalesOrderLine, Decimal)>) -> String {
    let all: Vec<String> = lines
        .map(|(line, units)| format!("{} x {}", units.normalize(), line.name))
        .collect();
    all.join(", ")
}

/// Whether the ERP is to make an invoice. It invoices all lines at once or none, so that a person is asked where some of
/// what it would invoice was refunded.
pub(super) async fn is_due(
    flow: &Flow<'_>,
    currency: Currency,
    held: &SalesOrder,
    kept: &BTreeMap<ErpId, Decimal>,
    documents: &[Document],
) -> Result<bool, Stop> {
    if due(held).next().is_none() {
        // Products that are invoiced when they are delivered: later.
        if held.lines.iter().any(|line| line.quantity > line.invoiced) {
            flow.note("nothing_to_invoice", json!({ "order": held.name }));
        }
        return Ok(false);
    }
    let worth: Decimal = due(held)
        .map(|(line, units)| share(line.total, units, line.quantity, currency))
        .sum();
    let mut lines = held.lines.iter();
    let is_more_to_come =
        lines.any(|line| line.quantity - line.invoiced > line.to_invoice.max(Decimal::ZERO));
    if waits(worth, is_more_to_come) {
        flow.note(
            "invoice_waits",
            json!({ "order": held.name, "due": units(due(held)), "worth": worth }),
        );
        return Ok(false);
    }
    // A credit note by the ERP's own button takes the refunded units off what is invoiced, and the ERP asks for them anew.
    // Ours leave them there.
    let refunded = if kept.values().all(Decimal::is_zero) || !credited_by_people(flow, documents).await? {
        &BTreeMap::new()
    } else {
        kept
    };
    let of = |line: &SalesOrderLine| refunded.get(&line.id).copied().unwrap_or_default();
    if due(held).all(|(line, units)| units <= of(line)) {
        flow.note(
            "refunded_units_stay_credited",
            json!({ "order": held.name, "units": units(due(held)) }),
        );
        return Ok(false);
    }
    let too_many = || {
        held.lines
            .iter()
            .filter(|line| line.to_invoice < Decimal::ZERO)
            .map(|line| (line, -line.to_invoice))
    };
    let mut leave_out = Vec::new();
    let mixed: Vec<(&SalesOrderLine, Decimal)> = due(held)
        .map(|(line, units)| (line, units.min(of(line))))
        .filter(|(_, units)| !units.is_zero())
        .collect();
    if !mixed.is_empty() {
        leave_out.push(format!(
            "{} were refunded and credited",
            units(mixed.iter().copied())
        ));
    }
    if too_many().next().is_some() {
        leave_out.push(format!("{} are invoiced too many", units(too_many())));
    }
    if leave_out.is_empty() {
        let is_settled = comes_to_the_order(held, documents);
        if is_settled {
            flow.note(
                "invoiced_already",
                json!({ "order": held.name, "due": units(due(held)) }),
            );
        }
        return Ok(!is_settled);
    }
    let open = units(
        due(held)
            .map(|(line, units)| (line, units - of(line)))
            .filter(|(_, units)| *units > Decimal::ZERO),
    );
    let why = leave_out.join(", and ");
    let mut problem = flow.subject.problem(
        "invoice_by_hand",
        "",
        format!(
            "{open} of {} are to be invoiced, but {why}, and the ERP would put all of it on one invoice.",
            held.name
        ),
        &format!(
            "In the ERP, make an invoice of {} with {open} and nothing else, then retry.",
            held.name
        ),
    );
    problem.detail = json!({ "erp_order": held.name, "open": open, "leave_out": leave_out });
    Err(problem.into())
}

/// Whether what is due waits for the rest of the order. A discount without its goods comes to less than nothing, and the ERP would
/// make a credit note of it.
pub(super) fn waits(worth: Decimal, is_more_to_come: bool) -> bool {
    is_more_to_come && worth <= Decimal::ZERO
}

/// Whether what is invoiced less what is credited comes to what the order does, and would not any more with what is due: a
/// rounding line that makes up for a cent of a credit note is due, and its cent is credited already.
fn comes_to_the_order(held: &SalesOrder, documents: &[Document]) -> bool {
    let live = |kind: DocumentKind| {
        documents
            .iter()
            .filter(move |known| known.kind == kind && known.state != DocumentState::Cancelled)
            .map(|known| known.total)
    };
    let is_invoiced = live(DocumentKind::Invoice).next().is_some();
    let balance =
        live(DocumentKind::Invoice).sum::<Decimal>() - live(DocumentKind::CreditNote).sum::<Decimal>();
    let is_worth_nothing = due(held).all(|(line, _)| line.total.is_zero());
    is_invoiced && balance == held.total && !is_worth_nothing
}

/// Whether a credit note stands that is not one of ours.
async fn credited_by_people(flow: &Flow<'_>, documents: &[Document]) -> Result<bool, Stop> {
    let notes: Vec<ErpId> = documents
        .iter()
        .filter(|known| known.kind == DocumentKind::CreditNote && known.state != DocumentState::Cancelled)
        .map(|known| known.id)
        .collect();
    if notes.is_empty() {
        return Ok(false);
    }
    let named = flow.shop.erp.external_ids("account.move", &notes).await?;
    Ok(notes.iter().any(|id| {
        !named
            .iter()
            .any(|(known, name)| known == id && name.shop == flow.shop.name)
    }))
}

/// An invoice costs what the order does, and several of them no more than it, or nobody can match it with what was paid.
pub(super) fn same_as_order(
    flow: &Flow<'_>,
    order: &Order,
    bill: &Document,
    held: &SalesOrder,
    documents: &[Document],
) -> Result<(), Stop> {
    let sum = |kind: DocumentKind| -> (usize, Decimal) {
        let all = documents
            .iter()
            .filter(|known| known.kind == kind && known.state != DocumentState::Cancelled);
        all.fold((0, Decimal::ZERO), |(n, sum), known| (n + 1, sum + known.total))
    };
    let ((bills, billed), (notes, credited)) = (sum(DocumentKind::Invoice), sum(DocumentKind::CreditNote));
    let is_whole = bills == 1 && notes == 0 && held.lines.iter().all(|line| line.quantity == line.invoiced);
    let total = billed - credited;
    if if is_whole {
        total == held.total
    } else {
        total <= held.total
    } {
        return Ok(());
    }
    let currency = order.currency;
    let mut problem = flow.subject.problem(
        "invoice_total_differs",
        "",
        format!(
            "The order {} comes to {} {currency}, {} to {total} {currency}. {} is left a draft.",
            held.name,
            held.total,
            if bills == 1 && notes == 0 {
                format!("its invoice {}", bill.label())
            } else {
                format!("its invoices less its credit notes (with the draft {})", bill.label())
            },
            bill.label(),
        ),
        &format!(
            "Correct the lines or taxes of the draft invoice {} in the ERP so that it comes to what the order does (or cancel it), then retry.",
            bill.label()
        ),
    );
    problem.field = Some("amount_total".into());
    problem.detail =
        json!({ "order": held.total, "invoiced": total, "document": bill.id, "draft": bill.total });
    Err(problem.into())
}

fn is_draft(document: &Document) -> bool {
    document.state == DocumentState::Draft
}

fn invoices(documents: &[Document]) -> impl Iterator<Item = &Document> {
    documents.iter().filter(|document| {
        document.kind == DocumentKind::Invoice && document.state != DocumentState::Cancelled
    })
}

/// Dates a draft, and posts it where the shop says so and the books are open.
async fn draft(
    flow: &Flow<'_>,
    order: &Order,
    invoice: &Document,
    (held, documents): (&SalesOrder, &[Document]),
    done: &mut Vec<String>,
) -> Result<Document, Stop> {
    let erp = &flow.shop.erp;
    // A date that stands there already was given by a person, perhaps because a period is closed.
    let dated = match invoice.dated {
        Some(dated) => dated,
        None => {
            let day = flow.day(order.processed_at);
            let fields = vec![("invoice_date".to_owned(), FieldValue::Date(day))];
            flow.write(erp.update("account.move", invoice.id, &fields))
                .await?;
            day
        }
    };
    if flow.shop.settings.invoices != Invoices::Post {
        return Ok(Document {
            dated: Some(dated),
            ..invoice.clone()
        });
    }
    same_as_order(flow, order, invoice, held, documents)?;
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
