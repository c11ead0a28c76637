//! Whether an order is booked at all, and which one of the ERP it is.

use super::super::flow::Flow;
use super::super::settings::{BeforeStart, HighRisk};
use super::super::stop::Stop;
use super::known::REFERENCE;
use crate::domain::{ErpId, Fact, Link, Order, Risk, Timestamp};
use crate::erp::SalesOrder;
use crate::mapping::Mapping;

/// From when on the shop's orders are booked.
pub(in crate::sync) async fn starts_at(flow: &Flow<'_>) -> Result<Timestamp, Stop> {
    let shop = flow.shop;
    Ok(match shop.start_at {
        Some(start_at) => start_at,
        None => {
            shop.store
                .shop_state(&shop.name, shop.clock.now())
                .await?
                .first_seen_at
        }
    })
}

/// Why an order that was never booked is left alone.
pub(in crate::sync) async fn skip(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
) -> Result<(), Stop> {
    // Whoever imports says since when.
    let is_wanted = flow.job.import.is_some();
    if !is_wanted
        && flow.shop.settings.before_start == BeforeStart::Skip
        && order.created_at < starts_at(flow).await?
    {
        return Err(Stop::Obsolete("before_start".into()));
    }
    flow.in_scope(record)?;
    if order.risk == Risk::High && flow.shop.settings.high_risk == HighRisk::Skip {
        return Err(Stop::Obsolete("high_fraud_risk".into()));
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
pub(in crate::sync) async fn booked(
    flow: &Flow<'_>,
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
    if let Some(link) = link
        && !is_the_reference(link, &held)
    {
        // Somebody may have written another reference there. Our external id says whether it is still our order.
        let name = mapping
            .identity(record, &flow.settings_fact(None))
            .map_err(|problems| flow.field_problems(&problems))?;
        let ours = shop.erp.identify(&flow.external_id(&name)?).await?;
        if ours.is_none_or(|ours| ours.id != held.id) {
            return Err(stranger(flow, link, &held));
        }
    }
    Ok(Some(held))
}

/// Whether the order carries the reference that was last seen on it.
fn is_the_reference(link: &Link, held: &SalesOrder) -> bool {
    link.agreed
        .get(REFERENCE)
        .is_some_and(|known| known.as_str() == held.reference.as_deref())
}

/// The order that we booked under this number is gone.
pub(super) fn missing(flow: &Flow<'_>, id: ErpId) -> Stop {
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
fn stranger(flow: &Flow<'_>, link: &Link, held: &SalesOrder) -> Stop {
    let mut problem = flow.subject.problem(
        "erp_record_is_a_stranger",
        "order",
        format!(
            "The sales order {} ({}) is not the one that was booked: its reference was `{}` and is `{}`, and it does not carry our external id.",
            held.id,
            held.name,
            link.agreed[REFERENCE].as_str().unwrap_or("(empty)"),
            held.reference.as_deref().unwrap_or("(empty)")
        ),
        "Find out whether the ERP was restored or exchanged. If this is the order after all, put its old reference back, then retry.",
    );
    problem.field = Some("client_order_ref".into());
    problem.into()
}
