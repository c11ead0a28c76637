//! What follows a booked order: invoices, deliveries, credit notes and payments.
//!
//! Each step looks at what stands in the ERP and adds what is missing, so that it does not matter which of Shopify's
//! events came first, or how often. A step that needs a person keeps no other step from being done.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::super::flow::Flow;
use super::super::live;
use super::super::settings::{Fulfillments, Invoices, Payments};
use super::super::stop::Stop;
use super::refunds::{Credit, Decided, InErp, Made, decide};
use super::{credits, deliveries, invoices, known, payments};
use crate::domain::{Currency, ErpId, FieldValue, LinkKind, LookUp, Order, Scalar, ShopifyId};
use crate::erp::{OrderState, SalesOrder};
use crate::mapping::Mapped;

/// Whether the order is history: placed before the shop's start, and booked all the same. Also where such orders are
/// skipped: an import lets them in, and their goods left before the ERP's opening stock was counted.
pub(super) async fn is_history(flow: &Flow<'_>, order: &Order) -> Result<bool, Stop> {
    let (shop, id) = (flow.shop, [order.id.to_string()]);
    let link = live(shop.store.links(&shop.name, LinkKind::Order, &id).await?);
    match link.as_ref().and_then(known::is_history) {
        Some(is_history) => Ok(is_history),
        None => is_before_start(flow, order).await,
    }
}

/// Whether it was placed before the shop began.
pub(super) async fn is_before_start(flow: &Flow<'_>, order: &Order) -> Result<bool, Stop> {
    Ok(order.created_at < super::stands::starts_at(flow).await?)
}

/// Decides about the order's refunds. `order_name` is the order's external id.
pub(super) async fn refunds(
    flow: &Flow<'_>,
    order: &Order,
    order_name: &str,
    held: Option<&SalesOrder>,
    made: &BTreeMap<ShopifyId, Made>,
) -> Result<Decided, Stop> {
    let mut erp = BTreeMap::new();
    if let Some(held) = held.filter(|held| held.state == OrderState::Confirmed && !order.refunds.is_empty()) {
        for (key, id) in credits::lines_by_key(flow, order_name, held).await? {
            if let Some(line) = held.lines.iter().find(|line| line.id == id) {
                erp.insert(
                    key,
                    InErp {
                        quantity: line.quantity,
                        delivered: line.delivered,
                        invoiced: line.invoiced,
                        total: line.total,
                    },
                );
            }
        }
    }
    Ok(decide(order, &flow.shop.settings, &erp, made))
}

/// An order that was booked, with what is known of it.
pub(super) struct Booked<'a> {
    /// As Shopify has it.
    pub(super) order: &'a Order,
    /// What was decided about its refunds.
    pub(super) decided: &'a Decided,
    pub(super) mapped: &'a Mapped,
    pub(super) held: &'a SalesOrder,
    /// Whether it is history: see [`is_history`].
    pub(super) is_history: bool,
}

/// Carries out all that follows. What was done is added to `done`.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    booked: &Booked<'_>,
    done: &mut Vec<String>,
) -> Result<(), Stop> {
    let (order, mapped) = (booked.order, booked.mapped);
    let settings = &flow.shop.settings;
    let mut first: Option<Stop> = None;
    let is_confirmed = booked.held.state == OrderState::Confirmed;
    if booked.is_history {
        if is_confirmed {
            deliveries::move_nothing(flow, booked.held, done).await?;
        }
        return Ok(());
    }
    let delivers = settings.fulfillments != Fulfillments::Leave && !order.fulfillments.is_empty();
    let credits = !booked.decided.credits.is_empty();
    let lines = if is_confirmed && (delivers || credits) {
        credits::lines_by_key(flow, &mapped.external_id, booked.held).await?
    } else {
        BTreeMap::new()
    };
    if is_confirmed && delivers {
        let result = deliveries::carry_out(flow, order, booked.held, &lines, done).await;
        keep_going(result, &mut first)?;
    }
    // Finance's credit notes first: what they stand for is not invoiced again.
    let (asked, own) = apart(booked.decided);
    let partner = record(mapped, "partner_invoice_id");
    let left = if is_confirmed && !asked.credits.is_empty() {
        credits::carry_out(flow, order, &asked, booked.held, &lines, partner).await?
    } else {
        Vec::new()
    };
    let mut bills = Vec::new();
    if is_confirmed && settings.invoices != Invoices::None {
        // What was delivered since may be invoiced only now.
        let kept = kept(flow, booked).await?;
        match invoices::carry_out(flow, &booked.decided.order, booked.held, &kept, done).await {
            Ok(found) => bills = found,
            Err(stop) => keep_going(Err(stop), &mut first)?,
        }
    }
    if is_confirmed && !own.credits.is_empty() {
        let made = credits::carry_out(flow, order, &own, booked.held, &lines, partner).await;
        keep_going(made.map(drop), &mut first)?;
    }
    if !left.is_empty() {
        let stop = credits::needs_finance(flow, order, booked.decided, booked.held, &left);
        keep_going(Err(stop), &mut first)?;
    }
    if settings.payments == Payments::Register {
        let partner = record(mapped, "partner_id").or(booked.held.partner);
        let result = payments::carry_out(flow, order, partner, &bills, done).await;
        keep_going(result, &mut first)?;
    }
    first.map_or(Ok(()), Err)
}

/// The refunds that finance is asked for, and those that we credit.
fn apart(decided: &Decided) -> (Decided, Decided) {
    let part = |finance: bool| Decided {
        credits: decided
            .credits
            .iter()
            .filter(|(at, _)| decided.finance.contains(at) == finance)
            .cloned()
            .collect(),
        ..decided.clone()
    };
    (part(true), part(false))
}

/// The refunded units of each of the order's lines that stay on it.
async fn kept(flow: &Flow<'_>, booked: &Booked<'_>) -> Result<BTreeMap<ErpId, Decimal>, Stop> {
    let name = &booked.mapped.external_id;
    kept_units(flow, booked.order, booked.decided, name, booked.held).await
}

/// The same of an order of this external id.
pub(super) async fn kept_units(
    flow: &Flow<'_>,
    order: &Order,
    decided: &Decided,
    order_name: &str,
    held: &SalesOrder,
) -> Result<BTreeMap<ErpId, Decimal>, Stop> {
    let mut kept = BTreeMap::new();
    if order.refunds.is_empty() {
        return Ok(kept);
    }
    let mut credits: BTreeMap<ShopifyId, Credit> = credits::made(flow, order)
        .await?
        .into_iter()
        .map(|(refund, made)| (refund, made.credit))
        .collect();
    for (at, credit) in &decided.credits {
        let refund = &order.refunds[*at];
        credits.entry(refund.id).or_insert_with(|| credit.clone());
    }
    let lines = credits::lines_by_key(flow, order_name, held).await?;
    for (key, units) in credits.values().flat_map(|credit| &credit.kept) {
        if let Some(line) = lines.get(key) {
            *kept.entry(*line).or_insert(Decimal::ZERO) += *units;
        }
    }
    Ok(kept)
}

/// A problem waits until the other steps are done; anything else ends the attempt.
fn keep_going(result: Result<(), Stop>, first: &mut Option<Stop>) -> Result<(), Stop> {
    match result {
        Err(stop @ Stop::Problem(_)) => {
            first.get_or_insert(stop);
            Ok(())
        }
        other => other,
    }
}

pub(super) fn record(mapped: &Mapped, field: &str) -> Option<ErpId> {
    match mapped.field(field)?.value {
        FieldValue::Record(id) => Some(id),
        _ => None,
    }
}

/// The service product for a purpose.
pub(super) async fn service(flow: &Flow<'_>, purpose: &str) -> Result<ErpId, Stop> {
    let answer = flow.shop.erp.look_up(&credits::service_question(purpose)).await?;
    credits::found(answer).ok_or_else(|| {
        let mut problem = flow.subject.problem(
            "service_missing",
            purpose,
            format!("The ERP has no service product for `{purpose}`."),
            "Make it with `lockstep setup apply`, or name an existing product in the shop's ERP settings (`services`), then retry.",
        );
        problem.field = Some("product_id".into());
        problem.into()
    })
}

/// The currency's record.
pub(super) async fn currency(flow: &Flow<'_>, currency: Currency) -> Result<ErpId, Stop> {
    let question = LookUp {
        kind: "currency".into(),
        keys: [("code".to_owned(), Scalar::Text(currency.as_str().to_owned()))].into(),
    };
    let answer = flow.shop.erp.look_up(&question).await?;
    credits::found(answer).ok_or_else(|| {
        flow.subject
            .problem(
                "currency_missing",
                currency.as_str(),
                format!("The currency {currency} is not active in the ERP."),
                "Activate the currency in the ERP, then retry.",
            )
            .into()
    })
}
