//! Orders that were cancelled on Shopify: before they were booked, after, and after goods or an invoice left the ERP.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::json;

use super::super::flow::Flow;
use super::super::settings::Payments;
use super::super::stop::Stop;
use super::super::telling::of_erp;
use super::plan::Fingerprint;
use super::{Known, after, credits, payments, told};
use crate::domain::{Link, Order, Outcome, Report, System};
use crate::erp::{Document, DocumentKind, DocumentState, OrderState, SalesOrder};
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
        _ => {
            let may_unlock = flow.shop.settings.unlock_to_cancel;
            undone(flow, order, &held).await?;
            flow.lock(System::Erp, "sale.order", &held.id.to_string()).await?;
            let cancelled = flow
                .write(flow.shop.erp.cancel_order(held.id, may_unlock))
                .await?;
            reach(FailPoint::RecordSaved).await?;
            flow.note("cancelled", json!({ "id": cancelled.id }));
            cancelled
        }
    };
    let mut also = Vec::new();
    let is_history = after::is_history(flow, order).await?;
    flow.telling().is_history = is_history;
    if flow.shop.settings.payments == Payments::Register && !is_history {
        payments::carry_out(flow, order, cancelled.partner, &[], &mut also).await?;
    }
    let fingerprint: Fingerprint = link
        .as_ref()
        .and_then(|link| serde_json::from_value(link.agreed.get("fingerprint")?.clone()).ok())
        .unwrap_or_default();
    let known = Known::new(link.as_ref(), fingerprint);
    let model = link.as_ref().map_or("sale.order", |link| link.model.as_str());
    also.insert(0, format!("cancelled {}", cancelled.name));
    let mut report = Report::of(Outcome::Completed, also.join("; "));
    report.record_name = Some(order.name.clone());
    report.erp_name = Some(cancelled.name.clone());
    let mut now = super::link(flow, order, &cancelled, model, &known).await?;
    flow.stands_for(of_erp(&now));
    told::is_of(flow, cancelled.partner);
    let reached = told::Reached {
        cancelled: order.cancelled_at.is_some(),
        open_refunds: &BTreeSet::new(),
    };
    report.happened = told::tell(flow, order, link.as_ref(), &mut now, reached);
    report.links.push(now);
    Ok(report)
}

/// What the ERP did with the order must be undone there before it can be cancelled: goods come back, invoices are credited,
/// and who locked it on purpose unlocks it.
pub(in crate::sync) async fn undone(flow: &Flow<'_>, order: &Order, held: &SalesOrder) -> Result<(), Stop> {
    let is_locked = held.locked && !flow.shop.settings.unlock_to_cancel;
    let mut instructions = Vec::new();
    let goods: Vec<String> = held
        .lines
        .iter()
        .filter(|line| line.delivered > Decimal::ZERO)
        .map(|line| format!("{} x {}", line.delivered.normalize(), line.name))
        .collect();
    if !goods.is_empty() {
        instructions.push(format!(
            "take back {} with a return of the delivery of {}",
            goods.join(", "),
            held.name
        ));
    }
    let mut bills = Vec::new();
    // A draft credit note may have taken everything off what counts as invoiced.
    if held.invoiced || !order.refunds.is_empty() {
        let mut documents = flow.shop.erp.documents(held.id).await?;
        if documents.is_empty() && held.invoiced {
            instructions.push(format!("credit what was invoiced of {}", held.name));
        }
        for id in credits::documents(flow, order).await? {
            if documents.iter().all(|known| known.id != id) {
                documents.extend(flow.shop.erp.document(id).await?);
            }
        }
        let of = |kind, state| {
            documents
                .iter()
                .filter(move |known| known.kind == kind && known.state == state)
        };
        let sum = |kind, state| of(kind, state).map(|known| known.total).sum::<Decimal>();
        // Draft invoices are cancelled with the order, and draft credit notes would be, too.
        let missing = sum(DocumentKind::Invoice, DocumentState::Posted)
            - sum(DocumentKind::CreditNote, DocumentState::Posted);
        if missing > Decimal::ZERO {
            bills = of(DocumentKind::Invoice, DocumentState::Posted)
                .map(Document::label)
                .collect();
            let money = |mut amount: Decimal| {
                amount.rescale(order.currency.decimals());
                format!("{amount} {}", order.currency)
            };
            for draft in of(DocumentKind::CreditNote, DocumentState::Draft) {
                instructions.push(format!("post {} ({})", draft.label(), money(draft.total)));
            }
            let missing = missing - sum(DocumentKind::CreditNote, DocumentState::Draft);
            if missing > Decimal::ZERO {
                instructions.push(format!(
                    "make and post a credit note of {} for {}",
                    money(missing),
                    bills.join(" and ")
                ));
            }
        }
    }
    if instructions.is_empty() {
        return if is_locked {
            Err(locked(flow, held))
        } else {
            Ok(())
        };
    }
    let is_invoiced = instructions.len() > usize::from(!goods.is_empty());
    if is_locked {
        instructions.push(format!("unlock {}", held.name));
    }
    let (code, what) = if is_invoiced {
        ("cancelled_after_invoice", "invoiced")
    } else {
        ("cancelled_after_delivery", "delivered")
    };
    let mut problem = flow.subject.problem(
        code,
        "",
        format!(
            "The order was cancelled on Shopify after the ERP had {what} {}{}.",
            held.name,
            if bills.is_empty() {
                String::new()
            } else {
                format!(" ({})", bills.join(", "))
            }
        ),
        &format!(
            "If the cancellation stands: in the ERP, {}, then retry, and {} is cancelled. If the sale stands, it must be sold again on Shopify: a cancellation there cannot be taken back.",
            instructions.join(", and "),
            held.name
        ),
    );
    problem.detail = json!({ "erp_order": held.name, "delivered": goods, "invoices": bills, "instructions": instructions });
    Err(problem.into())
}

/// Somebody locked the order, and that is not undone behind their back.
fn locked(flow: &Flow<'_>, held: &SalesOrder) -> Stop {
    let name = &held.name;
    let mut problem = flow.subject.problem(
        "cancelled_while_locked",
        "",
        format!("The order was cancelled on Shopify, but {name} is locked in the ERP."),
        &format!(
            "If the cancellation stands: unlock {name} in the ERP, then retry, and it is cancelled. If it is to stay as it is, settle it there, \
             e.g. with a credit note, and discard the job. Where Odoo locks every order as it is confirmed (its sales setting \"Lock \
             Confirmed Sales\"), `unlock_to_cancel = true` in `[shops.{}.flow]` lets lockstep unlock what it cancels.",
            flow.shop.name
        ),
    );
    problem.detail = json!({ "erp_order": name });
    problem.into()
}
