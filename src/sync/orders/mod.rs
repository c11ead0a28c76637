//! Orders: the sales order in the ERP that stands for an order of the shop.
//!
//! References come first (partner, addresses, products), then the order is saved as a draft under its external id, its
//! totals are read back and compared, and only then it is confirmed. A confirmed order is not changed behind anybody's
//! back: what differs from what was booked becomes a problem with exact instructions.

mod book;
mod cancel;
mod plan;
mod references;

use serde_json::json;

use super::flow::Flow;
use super::gone;
use super::live;
use super::stop::Stop;
use crate::domain::{
    Canonical as _, Direction, ErpId, Fact, Link, LinkKind, LinkState, Object, Order, Outcome, Report,
    ShopifyId,
};
use crate::erp::{OrderState, SalesOrder};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, Mapping, Stage};

use plan::OrderPlan;
pub(super) use references::{buyer, party, save_group};

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
    let mapping = flow.mapping(Object::Order, Direction::In)?;
    let record = order.fact();
    if link.is_none() {
        skip(flow, &order, &record, &mapping).await?;
    }
    let booked = booked(flow, &order, &record, &mapping, link.as_ref()).await?;
    if order.cancelled_at.is_some() {
        return cancel::carry_out(flow, &order, link, booked).await;
    }
    let mapped = references::ensure(flow, &order, &record, &mapping).await?;
    reach(FailPoint::Planned).await?;
    let plan = plan::plan(&mapped, link.as_ref(), booked.as_ref());
    let done = book::carry_out(flow, &order, &mapped, plan, booked).await?;
    Ok(report(flow, &order, &mapped, done))
}

/// Why an order that was never booked is left alone.
pub(super) async fn skip(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
) -> Result<(), Stop> {
    let shop = flow.shop;
    let start_at = match shop.start_at {
        Some(start_at) => start_at,
        None => {
            shop.store
                .shop_state(&shop.name, shop.clock.now())
                .await?
                .first_seen_at
        }
    };
    if order.created_at < start_at {
        return Err(Stop::Obsolete("before_start".into()));
    }
    let settings = flow.settings_fact(None);
    match mapping
        .skip(record, &settings)
        .map_err(|problems| flow.field_problems(&problems))?
    {
        Some(skip) => Err(Stop::Obsolete(skip.reason.into())),
        None => Ok(()),
    }
}

/// The order as the ERP has it: by its link, or by its external id where an earlier attempt made it without saying so.
pub(super) async fn booked(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
    link: Option<&Link>,
) -> Result<Option<SalesOrder>, Stop> {
    let shop = flow.shop;
    let id = match link {
        Some(link) => link.erp_id,
        None => {
            let name = mapping
                .identity(record, &flow.settings_fact(None))
                .map_err(|problems| flow.field_problems(&problems))?;
            match shop.erp.identify(&flow.external_id(&name)?).await? {
                Some(found) => found.id,
                None => return Ok(None),
            }
        }
    };
    let Some(held) = shop.erp.order(id).await? else {
        return Err(missing(flow, id));
    };
    if link.is_some() && held.reference.as_deref() != Some(order.name.as_str()) {
        return Err(stranger(flow, order, &held));
    }
    Ok(Some(held))
}

/// One sentence for a preview: what the plan is.
pub(super) fn describe(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    link: Option<&Link>,
    held: Option<&SalesOrder>,
) -> Result<String, Stop> {
    let stage = if mapped.stage == Some(Stage::Confirmed) {
        "and confirmed"
    } else {
        "and left a quotation"
    };
    Ok(match (plan::plan(mapped, link, held), held) {
        (OrderPlan::Book { .. }, None) => format!("a sales order would be created {stage}"),
        (OrderPlan::Book { .. }, Some(held)) => format!("{} would be updated {stage}", held.name),
        (OrderPlan::Confirm, Some(held)) => format!("{} would be confirmed", held.name),
        (OrderPlan::Nothing, Some(held)) => format!("{} is up to date", held.name),
        (OrderPlan::Changed { differences }, Some(held)) => {
            return Err(book::changed(flow, order, held, differences));
        }
        (OrderPlan::Confirm | OrderPlan::Nothing | OrderPlan::Changed { .. }, None) => String::new(),
    })
}

/// The order that we booked under this number is gone.
fn missing(flow: &Flow<'_>, id: ErpId) -> Stop {
    flow.subject
        .problem(
            "erp_record_missing",
            "order",
            format!("The sales order {id} does not exist any more in the ERP."),
            "Find out who deleted it. If it must exist, enter it in the ERP by hand; then discard this job.",
        )
        .into()
}

/// Another order stands under the number that we know: the ERP was restored or exchanged. The shop is stopped before
/// anything is written to strangers' records.
fn stranger(flow: &Flow<'_>, order: &Order, held: &SalesOrder) -> Stop {
    let mut problem = flow.subject.problem(
        "erp_record_is_a_stranger",
        "order",
        format!(
            "The sales order {} ({}) does not carry the shop's number {} any more: it has `{}`.",
            held.id,
            held.name,
            order.name,
            held.reference.as_deref().unwrap_or("(empty)")
        ),
        "Find out whether the ERP was restored or exchanged, or somebody changed the reference. Put the shop's number back into the order's reference, then retry.",
    );
    problem.field = Some("client_order_ref".into());
    problem.into()
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
    summary: String,
}

fn report(flow: &Flow<'_>, order: &Order, mapped: &Mapped, done: Done) -> Report {
    let mut report = Report::of(Outcome::Completed, done.summary);
    report.record_name = Some(order.name.clone());
    report.erp_name = Some(done.held.name.clone());
    report.links.push(link(
        flow,
        order,
        &done.held,
        &mapped.model,
        plan::fingerprint(mapped),
    ));
    report
}

/// The order's link with what is agreed: the fingerprint of what was booked.
fn link(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    model: &str,
    fingerprint: plan::Fingerprint,
) -> Link {
    Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Order,
        source_id: order.id.to_string(),
        model: model.to_owned(),
        erp_id: held.id,
        erp_name: Some(held.name.clone()),
        state: LinkState::Linked,
        source_updated_at: Some(order.updated_at),
        agreed: json!({
            "fingerprint": fingerprint,
            "total": held.total,
            "confirmed": held.state == OrderState::Confirmed,
        }),
    }
}
