//! Orders: the sales order in the ERP that stands for an order of the shop.
//!
//! References come first (partner, addresses, products), then the order is saved as a draft under its external id, its
//! totals are read back and compared, and only then it is confirmed. Later edits are written where the ERP allows, and
//! become a problem with exact instructions where it does not. What follows a booked order stands in `after`.

mod after;
pub(in crate::sync) mod agreed;
mod book;
mod cancel;
mod credits;
mod deliveries;
mod edits;
mod facts;
mod invoices;
mod known;
mod manual;
mod next;
mod parties;
mod payments;
mod plan;
mod policy;
mod proof;
mod references;
mod refunds;
mod stands;
mod told;
mod written;

use std::collections::BTreeSet;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::flow::Flow;
use super::gone;
use super::live;
use super::settings::Refunds;
use super::stop::Stop;
use crate::domain::{
    Canonical as _, Direction, Fact, FieldValue, Link, LinkKind, LinkState, Object, Order, Outcome, Report,
    ShopifyId,
};
use crate::erp::{OrderState, SalesOrder};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, Mapping, Stage};
use crate::store::JobName;

use agreed::{Edited, OrderFields};
use known::{Known, link};

pub(super) use book::{our_lines, stale_lines};
pub(super) use cancel::undone;
pub(super) use edits::{Change, planned as planned_edits};
pub(super) use facts::due as facts_due;
pub(super) use known::{REFERENCE, added_by_hand};
pub use manual::{BY_PERSON, entered_by_hand};
pub(super) use next::{Ahead, steps, steps_of_cancelled};
pub(super) use parties::would_move;
pub(super) use plan::is_mapped_anew;
pub use plan::{OrderPlan, plan};
pub(super) use policy::{check_lines, high_risk, hold, would_ask_about_risk};
pub(super) use references::{PARENT, buyer, make_products, party, save_group};
pub(super) use refunds::Decided;
pub(super) use stands::{booked, skip};
pub(super) use told::remember_told;
pub(super) use written::{Care, of_line};

/// Tells pushes of stock what this order sells, until it is carried in.
async fn note_items(flow: &Flow<'_>, order: &Order) -> Result<(), Stop> {
    if !flow.is_sent_out(Object::Inventory) {
        return Ok(());
    }
    let variants = order.lines.iter().filter_map(|line| line.variant_id);
    let mut items: Vec<String> = variants.map(|id| id.to_string()).collect();
    if items.is_empty() {
        // Without a word it would count for every variant.
        items.push("none".to_owned());
    }
    let store = &flow.shop.store;
    if store.note_items(flow.job.id, flow.job.fence, items).await? {
        Ok(())
    } else {
        Err(Stop::Stale)
    }
}

/// Has people find the order by what it sells and by whose it is.
async fn note_names(flow: &Flow<'_>, order: &Order) -> Result<(), Stop> {
    let skus = order.lines.iter().filter_map(|line| line.sku.clone());
    let mut names: Vec<JobName> = skus.map(JobName::Sku).collect();
    let customer = order
        .customer
        .as_ref()
        .and_then(|customer| customer.email.as_deref());
    let addresses = [order.email.as_deref(), customer];
    let addresses = addresses.into_iter().flatten();
    names.extend(addresses.map(|address| JobName::of_email(&flow.shop.name, address)));
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    let store = &flow.shop.store;
    if store.note_names(flow.job.id, flow.job.fence, names).await? {
        Ok(())
    } else {
        Err(Stop::Stale)
    }
}

/// Says what the order is about before anything is decided about it.
pub(super) async fn announce(flow: &Flow<'_>, order: &Order) -> Result<(), Stop> {
    note_items(flow, order).await?;
    note_names(flow, order).await
}

/// An order's job.
pub(super) async fn sync(flow: &mut Flow<'_>, id: ShopifyId) -> Result<Report, Stop> {
    let shop = flow.shop;
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Order, &[id.to_string()])
            .await?,
    );
    let Some(order) = shop.source.order(id, flow.select(Object::Order)).await? else {
        gone::was_deleted(flow).await?;
        return deleted(flow, link);
    };
    flow.subject.record = Some(order.name.clone());
    reach(FailPoint::SourceFetched).await?;
    let record = Arc::new(order.fact());
    flow.is_about(told::about(&order, link.as_ref(), &record));
    flow.knows_order(link.as_ref(), told::is_known(link.as_ref()));
    announce(flow, &order).await?;
    if let Some(link) = link.as_ref().filter(|link| manual::is_by_hand(link)) {
        return manual::follow(flow, &order, link);
    }
    let mapping = flow.mapping(Object::Order, Direction::In)?;
    if link.is_none() {
        skip(flow, &order, &record, &mapping).await?;
    }
    let booked = booked(flow, &record, &mapping, link.as_ref()).await?;
    if is_cancelled(flow, &order, &record, &mapping) {
        return cancel::carry_out(flow, &order, link, booked).await;
    }
    let (decided, booked) = refunded(flow, &order, &record, &mapping, booked).await?;
    // The ERP's order is what is left with everything that stays on it although it was refunded.
    let stays = &decided.order;
    let record = stays.fact();
    policy::check_lines(flow, stays)?;
    let (mut mapped, answers) = references::ensure(flow, stays, &record, &mapping).await?;
    if mapped.stage == Some(Stage::Cancelled) {
        return cancel::carry_out(flow, &order, link, booked).await;
    }
    let risky = policy::hold(flow, &order, &mut mapped);
    reach(FailPoint::Planned).await?;
    let mut known = Known::new(link.as_ref(), plan::fingerprint(&mapped, stays));
    let plan = plan::plan(&mapped, stays, known.link, booked.as_ref());
    let edited = match &plan {
        OrderPlan::Edit {
            lines: Some(keys), ..
        } => Edited::Lines(keys.clone()),
        OrderPlan::Edit { lines: None, .. } => Edited::All,
        _ => Edited::Nothing,
    };
    if matches!(plan, OrderPlan::Book { .. }) {
        known.fields = Some(OrderFields::of(&mapped));
    }
    let mut moved = Vec::new();
    let booked = match booked {
        Some(held) if held.state == OrderState::Confirmed => {
            moved = parties::moved(flow, &mapped, &known, &held).await?;
            let open: Vec<_> = moved.iter().map(|moved| moved.party).collect();
            known.fingerprint.keep_parties(known.link, &open);
            if open.is_empty() && !known.fingerprint.parties_moved(known.link).is_empty() {
                // A person wrote them as asked.
                known.take(&mapped, |field| matches!(field.value, FieldValue::Record(_)));
            }
            if known.fingerprint.remarks_moved(known.link) {
                let written = facts::write_remarks(flow, stays, &mapping, &mapped, &answers, held).await?;
                if let Some(fields) = &mut known.fields {
                    fields.take(
                        written
                            .fields
                            .iter()
                            .map(|(field, value)| (field.as_str(), value)),
                    );
                }
                Some(written.held)
            } else {
                Some(held)
            }
        }
        booked => booked,
    };
    let before = booked.clone();
    let whole = matches!(plan, OrderPlan::Book { .. });
    let done = book::carry_out(flow, stays, &mapped, plan, &mut known, booked).await?;
    told::is_of(flow, done.held.partner);
    if !whole && before.is_some() {
        let kept = facts::keep(flow, &mapping, &mapped, link.as_ref(), &done.held).await?;
        known.take(&mapped, |field| kept.contains(&field.target.to_string()));
    }
    agreed::note(flow, stays, &mapped, &mut known, &edited, &done.held).await?;
    // Before anything is told of the order, however it ends.
    let is_history = after::is_history(flow, &order).await?;
    flow.telling().is_history = is_history;
    let confirmed = done.held.state == OrderState::Confirmed;
    let occasion = if risky && confirmed {
        policy::occasion(flow, &order, &known.fingerprint).await?
    } else {
        Value::Null
    };
    if policy::asks_about_risk(risky, confirmed, occasion, &mut known.risk_held) {
        let stop = policy::high_risk(flow, &order, confirmed);
        let mut report = report(flow, stays, &mapped, &known, done).await?;
        let open_refunds = decided.credits.iter().map(|(at, _)| *at).collect();
        told::end(flow, &order, link.as_ref(), &mut report, &open_refunds);
        // With the problem or not at all: that somebody was asked must not be remembered of an attempt that was cut.
        report.summary = stop.to_string();
        report.outcome = stop.outcome(&flow.subject);
        return Ok(report);
    }
    let mut also = refund_facts(flow, &order, &decided);
    let followed = after::carry_out(
        flow,
        &after::Booked {
            order: &order,
            decided: &decided,
            mapped: &mapped,
            held: &done.held,
            is_history,
        },
        &mut also,
    )
    .await;
    let by_hand = (!moved.is_empty()).then(|| parties::by_hand(flow, stays, &done.held, &moved));
    let mut report = report(flow, stays, &mapped, &known, done).await?;
    flow.note_seen(&order).await?;
    if let Some(stop) = followed.err().or(by_hand) {
        // What is booked is booked, whatever is still to be done about it.
        flow.commit_links(report.links.clone()).await?;
        let open_refunds = decided.credits.iter().map(|(at, _)| *at).collect();
        told::end(flow, &order, link.as_ref(), &mut report, &open_refunds);
        flow.tells_in_parting(report.happened);
        return Err(stop);
    }
    told::end(flow, &order, link.as_ref(), &mut report, &BTreeSet::new());
    if !also.is_empty() {
        report.summary = format!("{}; {}", report.summary, also.join("; "));
    }
    Ok(report)
}

/// Decides what becomes of the order's refunds. Units that were invoiced and never sent are credited first: only then the
/// ERP lets them be taken off the order.
async fn refunded(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
    held: Option<SalesOrder>,
) -> Result<(Decided, Option<SalesOrder>), Stop> {
    let (name, decided) = decided(flow, order, record, mapping, held.as_ref()).await?;
    let is_first = |(at, credit): &(usize, refunds::Credit)| {
        !decided.finance.contains(at) && credit.units.values().sum::<Decimal>() > credit.kept.values().sum()
    };
    match held {
        Some(held) if held.state == OrderState::Confirmed && decided.credits.iter().any(is_first) => {
            let held = credit_first(flow, order, &name, &decided, held).await?;
            let (_, decided) = self::decided(flow, order, record, mapping, Some(&held)).await?;
            Ok((decided, Some(held)))
        }
        held => Ok((decided, held)),
    }
}

/// The order's external id, and what becomes of its refunds as things stand.
async fn decided(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
    held: Option<&SalesOrder>,
) -> Result<(String, Decided), Stop> {
    if order.refunds.is_empty() {
        return Ok((String::new(), Decided::nothing(order)));
    }
    let name = mapping
        .identity(record, &flow.settings_fact(None))
        .map_err(|problems| flow.field_problems(&problems))?;
    let made = credits::made(flow, order).await?;
    let decided = after::refunds(flow, order, &name, held, &made).await?;
    Ok((name, decided))
}

/// For a preview: whether a person entered the order into the ERP, so that nothing is written.
///
/// # Errors
/// When it has changed since, which a person is to be told.
pub(super) fn is_left_to_people(flow: &Flow<'_>, order: &Order, link: Option<&Link>) -> Result<bool, Stop> {
    match link.filter(|link| manual::is_by_hand(link)) {
        Some(link) => manual::follow(flow, order, link).map(|_| true),
        None => Ok(false),
    }
}

/// For a preview: what becomes of the refunds, with the order as far as it stays although it was refunded.
pub(super) async fn what_becomes(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
    held: Option<&SalesOrder>,
) -> Result<Decided, Stop> {
    let (_, decided) = decided(flow, order, record, mapping, held).await?;
    Ok(decided)
}

/// For a preview: the ERP's order as it would be once what was invoiced and never sent is credited.
pub(super) async fn as_credited(
    flow: &Flow<'_>,
    decided: &Decided,
    mapped: &Mapped,
    held: &SalesOrder,
) -> Result<SalesOrder, Stop> {
    let mut held = held.clone();
    if held.state != OrderState::Confirmed || decided.credits.is_empty() {
        return Ok(held);
    }
    let lines = credits::lines_by_key(flow, &mapped.external_id, &held).await?;
    for (at, credit) in &decided.credits {
        if decided.finance.contains(at) {
            continue;
        }
        for (key, units) in &credit.units {
            let off = *units - credit.kept.get(key).copied().unwrap_or_default();
            let id = lines.get(key);
            if let Some(line) = held.lines.iter_mut().find(|line| Some(&line.id) == id) {
                line.invoiced -= off;
            }
        }
    }
    Ok(held)
}

/// Credits what was invoiced and never sent.
async fn credit_first(
    flow: &Flow<'_>,
    order: &Order,
    name: &str,
    decided: &Decided,
    held: SalesOrder,
) -> Result<SalesOrder, Stop> {
    let lines = credits::lines_by_key(flow, name, &held).await?;
    credits::carry_out(flow, order, decided, &held, &lines, None).await?;
    book::read(flow, held.id).await
}

/// Every refund is told, whatever became of it.
fn refund_facts(flow: &Flow<'_>, order: &Order, decided: &Decided) -> Vec<String> {
    order
        .refunds
        .iter()
        .enumerate()
        .map(|(position, refund)| {
            let becomes = if decided.finance.contains(&position) {
                "left to finance"
            } else if decided.credits.iter().any(|(at, _)| *at == position) {
                "a credit note"
            } else if flow.shop.settings.refunds == Refunds::CreditNote || !refund.lines.is_empty() {
                "on the order, or credited before"
            } else {
                "nothing to do"
            };
            flow.note(
                "refund",
                json!({
                    "refund": refund.id, "worth": refund.total, "paid_back": refund.paid_back,
                    "pending": refund.pending, "becomes": becomes,
                    "lines": refund.lines.iter().map(|line| json!({
                        "line": line.key, "units": line.quantity, "goods": line.restock, "location": line.location,
                    })).collect::<Vec<_>>(),
                }),
            );
            format!("refund {} of {} {}: {becomes}", refund.id, refund.total, order.currency)
        })
        .collect()
}

/// Whether the sale is off: cancelled on Shopify, or at a stage that the mapping counts as cancelled, as far as that can be
/// told before anything is made for the order.
pub(super) fn is_cancelled(flow: &Flow<'_>, order: &Order, record: &Fact, mapping: &Mapping) -> bool {
    order.cancelled_at.is_some()
        || mapping.early_stage(record, &flow.settings_fact(None)) == Some(Stage::Cancelled)
}

/// For a preview: the plan, and what it is in one sentence.
pub(super) fn describe(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    link: Option<&Link>,
    held: Option<&SalesOrder>,
) -> Result<(OrderPlan, String), Stop> {
    let stage = if mapped.stage == Some(Stage::Confirmed) {
        "and confirmed"
    } else {
        "and left a quotation"
    };
    let plan = plan::plan(mapped, order, link, held);
    let verdict = match (&plan, held) {
        (OrderPlan::Book { .. }, None) => format!("a sales order would be created {stage}"),
        (OrderPlan::Book { .. }, Some(held)) => format!("{} would be updated {stage}", held.name),
        (OrderPlan::Confirm, Some(held)) if held.state == OrderState::Confirmed => {
            format!("the confirmation of {} would be completed", held.name)
        }
        (OrderPlan::Confirm, Some(held)) => format!("{} would be confirmed", held.name),
        (OrderPlan::Nothing, Some(held)) => format!("{} is up to date", held.name),
        (OrderPlan::Changed { differences }, Some(held)) => {
            return Err(book::changed(flow, order, held, differences.clone()));
        }
        (OrderPlan::Edit { differences, .. }, Some(held)) => format!(
            "the lines of the confirmed order {} would be changed where the ERP allows: {}",
            held.name,
            differences.join("; ")
        ),
        (
            OrderPlan::Confirm | OrderPlan::Nothing | OrderPlan::Edit { .. } | OrderPlan::Changed { .. },
            None,
        ) => String::new(),
    };
    let mut verdict = verdict;
    if held.is_some_and(|held| held.state == OrderState::Confirmed) {
        let wanted = plan::fingerprint(mapped, order);
        if wanted.remarks_moved(link) {
            verdict.push_str("; the note or the purchase order number would be written");
        }
        for party in wanted.parties_moved(link) {
            verdict.push_str("; a person would be asked to change ");
            verdict.push_str(party.title());
            verdict.push_str(" unless that was done");
        }
    }
    Ok((plan, verdict))
}

fn deleted(flow: &Flow<'_>, link: Option<Link>) -> Result<Report, Stop> {
    let Some(link) = link else {
        return Err(flow.nothing_to_do("deleted_before_import"));
    };
    let subject = flow.subject.clone();
    let mut report = Report::of(
        Outcome::Obsolete("deleted".into()),
        "the order was deleted on Shopify; the sales order stays as it is",
    );
    report.record_name = subject.record;
    report.erp_name.clone_from(&link.erp_name);
    report.links.push(Link {
        state: LinkState::Retired,
        ..link
    });
    Ok(report)
}

/// How an order ended up in the ERP.
struct Done {
    held: SalesOrder,
    /// Whether it is confirmed and has its own date again.
    settled: bool,
    summary: String,
}

async fn report(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    known: &Known<'_>,
    done: Done,
) -> Result<Report, Stop> {
    let mut report = Report::of(Outcome::Completed, done.summary);
    report.record_name = Some(order.name.clone());
    report.erp_name = Some(done.held.name.clone());
    let mut link = link(flow, order, &done.held, &mapped.model, known).await?;
    link.agreed["confirmed"] = json!(done.settled);
    link.agreed[facts::FACTS] = json!(facts::digest(&mapped.fields));
    report.links.push(link);
    Ok(report)
}
