//! What would follow a booked order, for previews: the same questions as the steps themselves ask, and nothing done.
//!
//! What stands in the ERP counts as far as the order stands there; what is to be booked or changed first counts as it will be.

mod due;

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::super::flow::Flow;
use super::super::settings::{Fulfillments, Invoices, Payments};
use super::super::steps::{Act, Step};
use super::super::stop::Stop;
use super::refunds::{Decided, parcels, sent, share, value};
use super::{after, credits, deliveries, invoices, payments, proof};
use crate::domain::{BookedLine, ErpId, LineKind, NewProblem, Order, ShopifyId, round_half_up};
use crate::erp::{DeliveryState, DocumentKind, DocumentState, OrderState, SalesOrder};
use crate::mapping::Mapped;

/// An order whose next steps are asked for.
pub(in crate::sync) struct Ahead<'a> {
    /// As Shopify has it.
    pub(in crate::sync) order: &'a Order,
    /// What was decided about its refunds.
    pub(in crate::sync) decided: &'a Decided,
    pub(in crate::sync) mapped: &'a Mapped,
    /// As the ERP has it, where it stands there.
    pub(in crate::sync) held: Option<&'a SalesOrder>,
    /// Whether it is confirmed, or would be first.
    pub(in crate::sync) confirmed: bool,
    /// Whether its lines would be changed first.
    pub(in crate::sync) edited: bool,
}

/// Units of each line that would be delivered, by the line's key.
type Units = BTreeMap<String, Decimal>;

/// All that would follow, in its order.
pub(in crate::sync) async fn steps(flow: &Flow<'_>, ahead: &Ahead<'_>) -> Result<Vec<Step>, Stop> {
    let settings = &flow.shop.settings;
    let mut steps = Vec::new();
    let stands = ahead.held.filter(|held| held.state == OrderState::Confirmed);
    if after::is_history(flow, ahead.order).await? {
        if ahead.confirmed {
            moves_nothing(flow, ahead, stands, &mut steps).await?;
        }
        return Ok(steps);
    }
    let lines = match stands {
        Some(held) => credits::lines_by_key(flow, &ahead.mapped.external_id, held).await?,
        None => BTreeMap::new(),
    };
    let mut moved = Units::new();
    if ahead.confirmed && settings.fulfillments != Fulfillments::Leave && !ahead.order.fulfillments.is_empty()
    {
        moved = delivered(flow, ahead, stands, &lines, &mut steps).await?;
    }
    let (finance, own): (Vec<_>, Vec<_>) = ahead
        .decided
        .credits
        .iter()
        .partition(|(at, _)| ahead.decided.finance.contains(at));
    if ahead.confirmed && !finance.is_empty() {
        asked(flow, ahead, stands, &mut steps).await?;
    }
    if ahead.confirmed && settings.invoices != Invoices::None {
        invoiced(flow, ahead, stands, &lines, &moved, &mut steps).await?;
    }
    for (at, credit) in own.into_iter().filter(|_| ahead.confirmed) {
        let refund = &ahead.order.refunds[*at];
        let what = format!(
            "a draft for {} ({})",
            credits::reference(refund),
            credits::parts(ahead.order, refund, credit).join(", ")
        );
        let worth = value(refund, credit, ahead.order.currency);
        steps.push(Step::new(Act::CreditNote, what, ahead.order.currency).of(worth));
    }
    if settings.payments == Payments::Register {
        steps.extend(payments::planned(flow, ahead.order).await?);
    }
    Ok(steps)
}

/// What would follow a cancellation: the money that moved is registered all the same.
pub(in crate::sync) async fn steps_of_cancelled(flow: &Flow<'_>, order: &Order) -> Result<Vec<Step>, Stop> {
    if flow.shop.settings.payments == Payments::Register && !after::is_history(flow, order).await? {
        return payments::planned(flow, order).await;
    }
    Ok(Vec::new())
}

/// A problem is a part of the plan; anything else ends it.
pub(super) fn told<T>(result: Result<T, Stop>) -> Result<Result<T, NewProblem>, Stop> {
    match result {
        Ok(found) => Ok(Ok(found)),
        Err(Stop::Problem(problem)) => Ok(Err(*problem)),
        Err(stop) => Err(stop),
    }
}

async fn moves_nothing(
    flow: &Flow<'_>,
    ahead: &Ahead<'_>,
    stands: Option<&SalesOrder>,
    steps: &mut Vec<Step>,
) -> Result<(), Stop> {
    let currency = ahead.order.currency;
    let Some(held) = stands else {
        steps.push(Step::new(
            Act::CancelDelivery,
            "all of it: history moves no stock",
            currency,
        ));
        return Ok(());
    };
    for transfer in flow.shop.erp.deliveries(held.id).await? {
        if transfer.state == DeliveryState::Open {
            let what = format!("{}: history moves no stock", transfer.name);
            steps.push(Step::new(Act::CancelDelivery, what, currency));
        }
    }
    Ok(())
}

/// The parcels that would be carried out, and of what nothing more would be sent.
async fn delivered(
    flow: &Flow<'_>,
    ahead: &Ahead<'_>,
    stands: Option<&SalesOrder>,
    lines: &BTreeMap<String, ErpId>,
    steps: &mut Vec<Step>,
) -> Result<Units, Stop> {
    let (order, currency) = (ahead.order, ahead.order.currency);
    let stays = &ahead.decided.order;
    let transfers = match stands {
        Some(held) => flow.shop.erp.deliveries(held.id).await?,
        None => Vec::new(),
    };
    let mut planned: BTreeMap<ShopifyId, Units> = BTreeMap::new();
    // The parcel that would need a person, and what of it would not leave.
    let mut stopped: Option<(ShopifyId, NewProblem, Units)> = None;
    if let Some(held) = stands {
        let key = |id: ErpId| {
            lines
                .iter()
                .find(|(_, line)| **line == id)
                .map(|(key, _)| key.clone())
        };
        let by_key = |due: BTreeMap<ErpId, Decimal>| -> Units {
            let due = due.into_iter().filter_map(|(id, units)| Some((key(id)?, units)));
            due.collect()
        };
        let mut left = transfers.clone();
        for (parcel, mut due) in deliveries::outstanding(order, held, lines, &transfers) {
            planned.insert(parcel.id, by_key(due.clone()));
            // An edit changes what the open deliveries hold.
            if ahead.edited || stopped.is_some() {
                continue;
            }
            let tried = deliveries::tried(flow, held, parcel, &mut due, &mut left);
            if let Err(problem) = told(tried)? {
                stopped = Some((parcel.id, problem, by_key(due)));
            }
        }
    }
    let mut moved = Units::new();
    let mut all: Vec<_> = parcels(order).collect();
    all.sort_by_key(|parcel| (parcel.created_at, parcel.id));
    for parcel in all {
        let mut due = planned.remove(&parcel.id).unwrap_or_default();
        // What does not stand there yet is delivered whole.
        for entry in parcel
            .lines
            .iter()
            .filter(|entry| !lines.contains_key(&entry.key))
        {
            if stays
                .lines
                .iter()
                .any(|line| line.key == entry.key && is_goods(line))
            {
                *due.entry(entry.key.clone()).or_default() += entry.quantity;
            }
        }
        due.retain(|_, units| !units.is_zero());
        if due.is_empty() {
            continue;
        }
        let goods = goods(stays, &due);
        let tracking = match parcel.tracking_numbers.as_slice() {
            [] => String::new(),
            numbers => format!(", tracking {}", numbers.join(", ")),
        };
        let mut step = Step::new(
            Act::Deliver,
            format!("{goods} (parcel {}{tracking})", parcel.id),
            currency,
        );
        if let Some((id, problem, left)) = stopped.take() {
            if id == parcel.id {
                steps.push(step.but(Some(problem)));
                for (key, units) in due {
                    let stays = left.get(&key).copied().unwrap_or_default();
                    if units > stays {
                        *moved.entry(key).or_default() += units - stays;
                    }
                }
                return Ok(moved);
            }
            stopped = Some((id, problem, left));
        }
        if flow.shop.settings.fulfillments == Fulfillments::Hold {
            step = step.but(Some(held_back(flow, parcel.id, &goods)));
            steps.push(step);
            // The flow goes no further with parcels, either.
            return Ok(Units::new());
        }
        steps.push(step);
        for (key, units) in due {
            *moved.entry(key).or_default() += units;
        }
    }
    if deliveries::is_over(order) && flow.shop.settings.fulfillments == Fulfillments::Validate {
        let left: Units = stays
            .lines
            .iter()
            .filter(|line| is_goods(line))
            .map(|line| (line.key.clone(), line.quantity - sent(order, &line.key)))
            .filter(|(_, units)| *units > Decimal::ZERO)
            .collect();
        let is_open = stands.is_none() || deliveries::stays_open(&transfers, lines, &moved);
        if !left.is_empty() && is_open {
            let what = format!("{}: nothing more will be sent", goods(stays, &left));
            steps.push(Step::new(Act::CancelDelivery, what, currency));
        }
    }
    if let Some(held) = stands
        && let Err(problem) = told(deliveries::withdrawn(flow, order, held, lines).await)?
    {
        let what = "goods of a parcel that was cancelled on Shopify";
        steps.push(Step::new(Act::TakeBack, what, currency).but(Some(problem)));
    }
    Ok(moved)
}

fn held_back(flow: &Flow<'_>, parcel: ShopifyId, goods: &str) -> NewProblem {
    flow.subject.problem(
        "delivery_by_hand",
        "",
        format!("{goods} were sent (parcel {parcel}), and the shop leaves deliveries to people."),
        "Carry out the delivery in the ERP, then retry.",
    )
}

/// What the ERP would move of a line; services are not moved.
fn is_goods(line: &BookedLine) -> bool {
    line.kind == LineKind::Product && line.requires_shipping
}

fn goods(order: &Order, units: &Units) -> String {
    let title = |key: &str| {
        let line = order.lines.iter().find(|line| line.key == key);
        line.map_or_else(|| key.to_owned(), |line| line.title.clone())
    };
    let all: Vec<String> = units
        .iter()
        .map(|(key, units)| format!("{} x {}", units.normalize(), title(key)))
        .collect();
    all.join(", ")
}

/// The credit notes that finance would be asked for, as far as they do not stand there.
async fn asked(
    flow: &Flow<'_>,
    ahead: &Ahead<'_>,
    stands: Option<&SalesOrder>,
    steps: &mut Vec<Step>,
) -> Result<(), Stop> {
    let order = ahead.order;
    let left = credits::left_to_finance(flow, order, ahead.decided).await?;
    let mut problem = match stands {
        Some(held) if !left.is_empty() => {
            let asked = Err::<(), _>(credits::needs_finance(flow, order, ahead.decided, held, &left));
            told(asked)?.err()
        }
        _ => None,
    };
    for (at, credit) in ahead
        .decided
        .credits
        .iter()
        .filter(|(at, _)| left.iter().any(|left| left.position == *at))
    {
        let refund = &order.refunds[*at];
        let what = format!(
            "finance would be asked for it, for {} ({})",
            credits::reference(refund),
            credits::parts(order, refund, credit).join(", ")
        );
        let step = Step::new(Act::CreditNote, what, order.currency).of(value(refund, credit, order.currency));
        // One problem asks for all of them.
        steps.push(step.but(problem.take()));
    }
    Ok(())
}

async fn invoiced(
    flow: &Flow<'_>,
    ahead: &Ahead<'_>,
    stands: Option<&SalesOrder>,
    lines: &BTreeMap<String, ErpId>,
    moved: &Units,
    steps: &mut Vec<Step>,
) -> Result<(), Stop> {
    let (order, currency) = (ahead.order, ahead.order.currency);
    let erp = &flow.shop.erp;
    let posts = flow.shop.settings.invoices == Invoices::Post;
    let documents = match stands {
        Some(held) => erp.documents(held.id).await?,
        None => Vec::new(),
    };
    let due = due::lines(flow, ahead, stands, lines, moved).await?;
    let now = || due.iter().filter(|line| line.units > Decimal::ZERO);
    let worth: Decimal = now()
        .map(|line| share(line.total, line.units, line.quantity, currency))
        .sum();
    let is_more_to_come = due.iter().any(|line| line.later > Decimal::ZERO);
    let mut is_due = now().next().is_some() && !invoices::waits(worth, is_more_to_come);
    let mut problem = None;
    if let Some(held) = stands
        && !ahead.edited
        && moved.is_empty()
        && is_due
    {
        let kept = after::kept_units(flow, order, ahead.decided, &ahead.mapped.external_id, held).await?;
        match told(invoices::is_due(flow, currency, held, &kept, &documents).await)? {
            Ok(answer) => is_due = answer,
            Err(told) => problem = Some(told),
        }
    }
    let day = flow.day(order.processed_at);
    let closed = match erp.closed(true).await? {
        Some(closed) if posts && day <= closed.until => Some(closed),
        _ => None,
    };
    let drafts = || {
        documents
            .iter()
            .filter(|known| known.kind == DocumentKind::Invoice && known.state == DocumentState::Draft)
    };
    if let Some(held) = stands
        && !ahead.edited
        && problem.is_none()
        && (is_due || (posts && drafts().next().is_some()))
    {
        problem = told(proof::same_totals(flow, &ahead.decided.order, held))?.err();
    }
    let is_stopped = problem.is_some();
    let shut = |what: &str| {
        let closed = closed.as_ref()?;
        let stop = invoices::is_closed(flow, what, "Give the draft invoice the date", day, closed);
        told(Err::<(), _>(stop)).ok()?.err()
    };
    let way = if posts {
        "made and posted"
    } else {
        "made as a draft"
    };
    if is_due {
        let whole = due.iter().all(|line| line.units == line.quantity);
        let amount = match stands {
            Some(held) if whole && !ahead.edited => held.total,
            _ if whole => ahead.decided.order.totals.total,
            _ => worth,
        };
        let what = format!(
            "{} {way}, of {day}",
            if whole { "all of it" } else { "what is due of it" }
        );
        let problem = problem
            .take()
            .or_else(|| shut(&format!("The invoice of {}", order.name)));
        steps.push(
            Step::new(Act::Invoice, what, currency)
                .of(round_half_up(amount, currency.decimals()))
                .but(problem),
        );
    }
    for draft in drafts().filter(|_| posts) {
        let step = Step::new(Act::Post, draft.label(), currency).of(draft.total);
        // A date that a person gave it counts.
        let is_dated = draft.dated.is_some_and(|dated| dated != day);
        // One problem stops the invoice and all drafts.
        if is_stopped {
            steps.extend(problem.take().map(|problem| step.but(Some(problem))));
            continue;
        }
        let differs = match stands {
            Some(held) if !ahead.edited && !is_due => told(invoices::same_as_order(
                flow,
                &ahead.decided.order,
                draft,
                held,
                &documents,
            ))?
            .err(),
            _ => None,
        };
        let is_shut = || shut(&format!("The invoice of {}", order.name)).filter(|_| !is_dated);
        steps.push(step.but(differs.or_else(is_shut)));
    }
    Ok(())
}
