//! What parcels of Shopify do to the ERP's deliveries.
//!
//! Parcels are carried out one after the other, by what was delivered in all: units that left the ERP already, by an
//! attempt before or by hand, are not delivered a second time.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::json;

use super::super::flow::Flow;
use super::super::settings::Fulfillments;
use super::super::stop::Stop;
use super::refunds::{parcels, sent};
use super::told;
use crate::domain::{ErpId, Fulfillment, Link, LinkKind, LinkState, Order};
use crate::erp::{Delivery, DeliveryState, ErpError, SalesOrder};

/// Carries out what is to be carried out. `lines` are our lines in the ERP by key.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    lines: &BTreeMap<String, ErpId>,
    done: &mut Vec<String>,
) -> Result<(), Stop> {
    let mut transfers = flow.shop.erp.deliveries(held.id).await?;
    let other = other_goods(held, &transfers);
    for (parcel, mut due) in outstanding(order, held, lines, &transfers) {
        refused(flow, held, parcel, &due, &other)?;
        send(flow, held, parcel, &mut due, &transfers).await?;
        done.push(format!("delivered parcel {}", parcel.id));
        transfers = flow.shop.erp.deliveries(held.id).await?;
    }
    told::has_deliveries(flow, &transfers);
    finish(flow, order, held, &transfers, done).await?;
    left_open(flow, order, held, &transfers)?;
    withdrawn(flow, order, held, lines).await
}

/// Whether a parcel is left to a person as a whole. `other` are the lines of other goods.
fn refused(
    flow: &Flow<'_>,
    held: &SalesOrder,
    parcel: &Fulfillment,
    due: &BTreeMap<ErpId, Decimal>,
    other: &BTreeSet<ErpId>,
) -> Result<(), Stop> {
    if flow.shop.settings.fulfillments == Fulfillments::Hold {
        let why = "the shop leaves deliveries to people";
        return Err(by_hand(flow, held, parcel, due, why));
    }
    if due.keys().any(|line| other.contains(line)) {
        let why = "the ERP moves other goods for it than the order sells (a kit, or something exchanged)";
        return Err(by_hand(flow, held, parcel, due, why));
    }
    Ok(())
}

/// For a preview: carries a parcel out on a copy of the deliveries. What is left in `due` stops the parcels for the reason
/// returned.
pub(super) fn tried(
    flow: &Flow<'_>,
    held: &SalesOrder,
    parcel: &Fulfillment,
    due: &mut BTreeMap<ErpId, Decimal>,
    transfers: &mut [Delivery],
) -> Result<(), Stop> {
    refused(flow, held, parcel, due, &other_goods(held, transfers))?;
    for transfer in transfers.iter_mut().filter(|transfer| is_open(transfer)) {
        for (id, taken) in taken(transfer, due) {
            if let Some(entry) = transfer.moves.iter_mut().find(|entry| entry.id == id) {
                entry.demand -= taken;
            }
        }
    }
    all_sent(flow, held, parcel, due)
}

/// Whether goods are to leave with this delivery.
fn is_open(transfer: &Delivery) -> bool {
    transfer.outgoing && transfer.state == DeliveryState::Open
}

/// The units of each move that leave with a delivery, which are taken off `due`.
fn taken(transfer: &Delivery, due: &mut BTreeMap<ErpId, Decimal>) -> Vec<(ErpId, Decimal)> {
    let moves = transfer.moves.iter().filter(|entry| !entry.is_cancelled);
    moves
        .map(|entry| {
            let wanted = entry.line.and_then(|line| due.get_mut(&line));
            let taken = wanted.map_or(Decimal::ZERO, |units| {
                let taken = entry.demand.min(*units);
                *units -= taken;
                taken
            });
            (entry.id, taken)
        })
        .collect()
}

fn all_sent(
    flow: &Flow<'_>,
    held: &SalesOrder,
    parcel: &Fulfillment,
    due: &mut BTreeMap<ErpId, Decimal>,
) -> Result<(), Stop> {
    due.retain(|_, units| !units.is_zero());
    if due.is_empty() {
        return Ok(());
    }
    let why = "no open delivery of the ERP has so many units";
    Err(by_hand(flow, held, parcel, due, why))
}

/// What each parcel has still to move, by the ERP's lines, the oldest parcel first.
pub(super) fn outstanding<'o>(
    order: &'o Order,
    held: &SalesOrder,
    lines: &BTreeMap<String, ErpId>,
    transfers: &[Delivery],
) -> Vec<(&'o Fulfillment, BTreeMap<ErpId, Decimal>)> {
    let mut all: Vec<&Fulfillment> = parcels(order).collect();
    all.sort_by_key(|parcel| (parcel.created_at, parcel.id));
    // What left the ERP in all, by line. What came back later is no matter of parcels.
    let mut left: BTreeMap<ErpId, Decimal> = BTreeMap::new();
    for entry in transfers
        .iter()
        .filter(|transfer| transfer.outgoing && transfer.state == DeliveryState::Done)
        .flat_map(|transfer| &transfer.moves)
    {
        if let Some(line) = entry.line {
            *left.entry(line).or_default() += entry.quantity;
        }
    }
    // Units of what a kit is made of are no units of the kit: how many of those left is told by the ERP itself.
    for line in other_goods(held, transfers) {
        left.insert(line, kits_sent(held, transfers, line));
    }
    let mut outstanding = Vec::new();
    for parcel in all {
        let mut due: BTreeMap<ErpId, Decimal> = BTreeMap::new();
        for entry in &parcel.lines {
            let Some(line) = lines.get(&entry.key).filter(|line| is_moved(transfers, **line)) else {
                continue;
            };
            let known = left.entry(*line).or_default();
            let taken = entry.quantity.min(*known);
            *known -= taken;
            let units = entry.quantity - taken;
            if !units.is_zero() {
                *due.entry(*line).or_default() += units;
            }
        }
        if !due.is_empty() {
            outstanding.push((parcel, due));
        }
    }
    outstanding
}

/// Parcels that were carried out and then cancelled on Shopify. Only a return brings goods back in the ERP, and a person
/// knows whether they came back.
pub(super) async fn withdrawn(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    lines: &BTreeMap<String, ErpId>,
) -> Result<(), Stop> {
    let cancelled: Vec<&Fulfillment> = order
        .fulfillments
        .iter()
        .filter(|parcel| parcel.status == "CANCELLED")
        .collect();
    if cancelled.is_empty() || flow.shop.settings.fulfillments != Fulfillments::Validate {
        return Ok(());
    }
    let ids: Vec<String> = cancelled.iter().map(|parcel| parcel.id.to_string()).collect();
    let links = flow
        .shop
        .store
        .links(&flow.shop.name, LinkKind::Fulfillment, &ids)
        .await?;
    for parcel in cancelled {
        let Some(link) = links
            .iter()
            .find(|link| link.source_id == parcel.id.to_string() && link.state != LinkState::Retired)
        else {
            continue;
        };
        let goods: Vec<String> = parcel
            .lines
            .iter()
            .filter_map(|entry| {
                let id = lines.get(&entry.key)?;
                let line = held.lines.iter().find(|line| line.id == *id)?;
                let too_many = (line.delivered - sent(order, &entry.key)).min(entry.quantity);
                (too_many > Decimal::ZERO).then(|| format!("{} x {}", too_many.normalize(), line.name))
            })
            .collect();
        if goods.is_empty() {
            continue;
        }
        let transfer = link.erp_name.as_deref().unwrap_or("the delivery");
        let mut problem = flow.subject.problem(
            "parcel_cancelled",
            "",
            format!(
                "The parcel {} was cancelled on Shopify after {transfer} of {} had been carried out.",
                parcel.id, held.name
            ),
            &format!(
                "In the ERP, take back {} with a return of {transfer}, then retry.",
                goods.join(", ")
            ),
        );
        problem.detail = json!({ "parcel": parcel.id, "delivery": transfer, "goods": goods });
        return Err(problem.into());
    }
    Ok(())
}

/// Whether the ERP moves goods for this line at all; it does not for services.
fn is_moved(transfers: &[Delivery], line: ErpId) -> bool {
    transfers
        .iter()
        .flat_map(|transfer| &transfer.moves)
        .any(|entry| entry.line == Some(line))
}

/// The lines for which the ERP moves something else than they sell.
fn other_goods(held: &SalesOrder, transfers: &[Delivery]) -> BTreeSet<ErpId> {
    let sold = |line: ErpId| held.lines.iter().find(|known| known.id == line)?.product;
    transfers
        .iter()
        .flat_map(|transfer| &transfer.moves)
        .filter(|entry| !entry.is_cancelled)
        .filter_map(|entry| {
            let line = entry.line?;
            (entry.product? != sold(line)?).then_some(line)
        })
        .collect()
}

/// How many units of a line of other goods were sent.
fn kits_sent(held: &SalesOrder, transfers: &[Delivery], line: ErpId) -> Decimal {
    let Some(known) = held.lines.iter().find(|known| known.id == line) else {
        return Decimal::ZERO;
    };
    let came_back = transfers
        .iter()
        .filter(|transfer| !transfer.outgoing && transfer.state == DeliveryState::Done)
        .flat_map(|transfer| &transfer.moves)
        .any(|entry| entry.line == Some(line));
    // What came back is off what was delivered, and nothing says how many kits that were. They had been sent.
    if came_back {
        known.quantity.max(known.delivered)
    } else {
        known.delivered
    }
}

/// Carries out one parcel on the order's open deliveries.
async fn send(
    flow: &Flow<'_>,
    held: &SalesOrder,
    parcel: &Fulfillment,
    due: &mut BTreeMap<ErpId, Decimal>,
    transfers: &[Delivery],
) -> Result<(), Stop> {
    let tracking = parcel.tracking_numbers.join(", ");
    for transfer in transfers.iter().filter(|transfer| is_open(transfer)) {
        let quantities = taken(transfer, due);
        let sends = quantities.iter().any(|(_, units)| !units.is_zero());
        if !sends {
            continue;
        }
        flow.lock(
            crate::domain::System::Erp,
            "stock.picking",
            &transfer.id.to_string(),
        )
        .await?;
        let tracking = Some(tracking.as_str()).filter(|text| !text.is_empty());
        match flow
            .act(flow.shop.erp.deliver(transfer.id, &quantities, tracking))
            .await
        {
            Ok(()) => {}
            Err(Stop::Erp(ErpError::Asked { .. })) => {
                let mut problem = flow.subject.problem(
                    "delivery_asked_a_question",
                    "",
                    format!(
                        "The ERP asked a question instead of carrying out {} of {}: nothing is delivered.",
                        transfer.name, held.name
                    ),
                    &format!(
                        "Open {} in the ERP; its quantities are entered already. Validate it and answer the question there, then retry.",
                        transfer.name
                    ),
                );
                problem.detail = json!({ "delivery": transfer.name, "parcel": parcel.id });
                return Err(problem.into());
            }
            Err(stop) => return Err(stop),
        }
        flow.note(
            "delivered",
            json!({
                "delivery": transfer.name, "parcel": parcel.id, "tracking": tracking,
                "goods": goods(held, transfer, &quantities),
            }),
        );
        flow.commit_links(vec![link(flow, parcel, transfer)]).await?;
    }
    all_sent(flow, held, parcel, due)
}

/// What left with a delivery, in words.
fn goods(held: &SalesOrder, transfer: &Delivery, quantities: &[(ErpId, Decimal)]) -> Vec<String> {
    let name = |id: ErpId| {
        let line = transfer.moves.iter().find(|entry| entry.id == id)?.line?;
        Some(&*held.lines.iter().find(|known| known.id == line)?.name)
    };
    quantities
        .iter()
        .filter(|(_, units)| !units.is_zero())
        .map(|(id, units)| format!("{} x {}", units.normalize(), name(*id).unwrap_or("goods")))
        .collect()
}

fn link(flow: &Flow<'_>, parcel: &Fulfillment, transfer: &Delivery) -> Link {
    Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Fulfillment,
        source_id: parcel.id.to_string(),
        model: "stock.picking".to_owned(),
        erp_id: transfer.id,
        erp_name: Some(transfer.name.clone()),
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({ "tracking": parcel.tracking_numbers }),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

/// Whether nothing more will be sent.
pub(super) fn is_over(order: &Order) -> bool {
    matches!(
        order.fulfillment_status.as_deref(),
        Some("FULFILLED" | "fulfilled")
    )
}

/// For a preview: whether open deliveries hold more than these units, by the keys of their lines.
pub(super) fn stays_open(
    transfers: &[Delivery],
    lines: &BTreeMap<String, ErpId>,
    moved: &BTreeMap<String, Decimal>,
) -> bool {
    let demand: Decimal = transfers
        .iter()
        .filter(|transfer| is_open(transfer))
        .flat_map(|transfer| &transfer.moves)
        .filter(|entry| !entry.is_cancelled)
        .map(|entry| entry.demand)
        .sum();
    let leaves: Decimal = moved
        .iter()
        .filter(|(key, _)| lines.contains_key(*key))
        .map(|(_, units)| *units)
        .sum();
    demand > leaves
}

/// When nothing more will be sent, nothing more stays reserved for it.
async fn finish(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    transfers: &[Delivery],
    done: &mut Vec<String>,
) -> Result<(), Stop> {
    if !is_over(order) || flow.shop.settings.fulfillments != Fulfillments::Validate {
        return Ok(());
    }
    let other = other_goods(held, transfers);
    let is_unsure = |line: &ErpId| {
        other.contains(line)
            && held
                .lines
                .iter()
                .any(|known| known.id == *line && known.delivered < known.quantity)
    };
    for transfer in transfers.iter().filter(|transfer| is_open(transfer)) {
        if transfer.dropship {
            // The supplier was asked for them: whoever bought them must know.
            flow.note("delivery_left_open", json!({ "delivery": transfer.name }));
            continue;
        }
        let mut lines = transfer.moves.iter().filter(|entry| !entry.is_cancelled);
        if lines.any(|entry| entry.line.is_some_and(|line| is_unsure(&line))) {
            flow.note("delivery_left_open", json!({ "delivery": transfer.name }));
            continue;
        }
        flow.write(flow.shop.erp.cancel_delivery(transfer.id)).await?;
        flow.note("delivery_cancelled", json!({ "delivery": transfer.name }));
        done.push(format!(
            "cancelled {}, of which nothing will be sent",
            transfer.name
        ));
    }
    Ok(())
}

/// Whether something is still to be picked or packed although nothing more will be sent. It reserves goods, and a person knows
/// whether they were moved. Where goods came back, a transfer may be theirs.
fn left_open(flow: &Flow<'_>, order: &Order, held: &SalesOrder, transfers: &[Delivery]) -> Result<(), Stop> {
    let came_back = transfers.iter().any(|known| !known.outgoing && !known.internal);
    if came_back || !is_over(order) || flow.shop.settings.fulfillments != Fulfillments::Validate {
        return Ok(());
    }
    let within = transfers.iter().filter(|known| known.internal);
    let open = within.filter(|known| known.state == DeliveryState::Open);
    let left: Vec<&str> = open.map(|known| &*known.name).collect();
    if left.is_empty() {
        return Ok(());
    }
    let names = left.join(", ");
    let why = format!(
        "Nothing more will be sent of {}, and {names} is still open and reserves goods.",
        held.name
    );
    let fix = format!(
        "In the ERP, carry out {names} if the goods were taken from there, else cancel it; then retry."
    );
    let mut problem = flow.subject.problem("transfer_left_open", "", why, &fix);
    problem.detail = json!({ "erp_order": held.name, "transfers": left });
    Err(problem.into())
}

/// Cancels what an order of history would have moved.
pub(super) async fn move_nothing(
    flow: &Flow<'_>,
    held: &SalesOrder,
    done: &mut Vec<String>,
) -> Result<(), Stop> {
    for transfer in flow.shop.erp.deliveries(held.id).await? {
        if transfer.state == DeliveryState::Open {
            flow.write(flow.shop.erp.cancel_delivery(transfer.id)).await?;
            flow.note("delivery_cancelled", json!({ "delivery": transfer.name }));
            done.push(format!("cancelled {}: history moves no stock", transfer.name));
        }
    }
    Ok(())
}

fn by_hand(
    flow: &Flow<'_>,
    held: &SalesOrder,
    parcel: &Fulfillment,
    due: &BTreeMap<ErpId, Decimal>,
    why: &str,
) -> Stop {
    let goods: Vec<String> = due
        .iter()
        .map(|(line, units)| {
            let name = held
                .lines
                .iter()
                .find(|known| known.id == *line)
                .map_or("goods", |known| &*known.name);
            format!("{} x {name}", units.normalize())
        })
        .collect();
    let tracking = if parcel.tracking_numbers.is_empty() {
        String::new()
    } else {
        format!(" with the tracking number {}", parcel.tracking_numbers.join(", "))
    };
    let mut problem = flow.subject.problem(
        "delivery_by_hand",
        "",
        format!(
            "{} of {} were sent (parcel {}), and {why}.",
            goods.join(", "),
            held.name,
            parcel.id
        ),
        &format!(
            "Carry out the delivery of {} in the ERP{tracking}, then retry.",
            goods.join(", ")
        ),
    );
    problem.detail = json!({ "parcel": parcel.id, "goods": goods, "tracking": parcel.tracking_numbers });
    problem.into()
}
