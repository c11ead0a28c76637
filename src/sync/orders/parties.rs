//! Another buyer or another address of a confirmed order: changed by people, because goods and invoices may be under way.
//!
//! A confirmed order of the ERP is not moved by itself. It is compared with the records that stand for the buyer and the
//! addresses now: what a person has changed there needs nobody any more, and neither does a buyer who is the same partner
//! under another number.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::Known;
use super::after::record;
use super::plan::{Party, fingerprint};
use crate::domain::{ErpId, FieldValue, Link, Order};
use crate::erp::SalesOrder;
use crate::mapping::Mapped;

pub(super) const PARTNER: &str = "res.partner";
const NAME: &str = "display_name";

/// One that the ERP's order does not carry yet.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) party: Party,
    from: String,
    to: String,
}

/// The order's field that holds the party, and how the ERP's own screens call it.
fn field(party: Party) -> (&'static str, &'static str) {
    match party {
        Party::Buyer => ("partner_id", "customer"),
        Party::Billing => ("partner_invoice_id", "invoice address"),
        Party::Shipping => ("partner_shipping_id", "delivery address"),
    }
}

/// Who changed since the order was booked and is not what the ERP's order has.
pub(super) async fn moved(
    flow: &Flow<'_>,
    mapped: &Mapped,
    known: &Known<'_>,
    held: &SalesOrder,
) -> Result<Vec<Moved>, Stop> {
    let parties = known.fingerprint.parties_moved(known.link);
    // What the mapping does not carry over is no matter of the ERP's order.
    let wanted: Vec<(Party, ErpId)> = parties
        .into_iter()
        .filter_map(|party| Some((party, record(mapped, field(party).0)?)))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = wanted
        .iter()
        .map(|(party, _)| field(*party).0.to_owned())
        .collect();
    let rows = flow.shop.erp.read(&mapped.model, &[held.id], &names).await?;
    let stands = |party: Party| match rows.first()?.fields.get(field(party).0)? {
        FieldValue::Record(id) => Some(*id),
        _ => None,
    };
    let open: Vec<(Party, Option<ErpId>, ErpId)> = wanted
        .into_iter()
        .map(|(party, wanted)| (party, stands(party), wanted))
        .filter(|(_, stands, wanted)| *stands != Some(*wanted))
        .collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<ErpId> = open
        .iter()
        .flat_map(|(_, stands, wanted)| stands.iter().copied().chain([*wanted]))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    // In a preview one that would be made first has no number yet.
    ids.retain(|id| id.0 > 0);
    let rows = flow.shop.erp.read(PARTNER, &ids, &[NAME.to_owned()]).await?;
    let names: BTreeMap<ErpId, &str> = rows
        .iter()
        .filter_map(|row| match row.fields.get(NAME)? {
            FieldValue::Text(name) => Some((row.id, name.as_str())),
            _ => None,
        })
        .collect();
    let called = |id: ErpId| match names.get(&id) {
        Some(name) => format!("`{name}` (contact {id})"),
        None if id.0 < 0 => "a contact that would be made first".to_owned(),
        None => format!("contact {id}"),
    };
    Ok(open
        .into_iter()
        .map(|(party, stands, wanted)| Moved {
            party,
            from: stands.map_or_else(|| "nothing".to_owned(), called),
            to: called(wanted),
        })
        .collect())
}

/// For a preview: what a person would be asked to change.
pub(in crate::sync) async fn would_move(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    link: Option<&Link>,
    held: &SalesOrder,
) -> Result<Option<Stop>, Stop> {
    let known = Known::new(link, fingerprint(mapped, order));
    let moved = moved(flow, mapped, &known, held).await?;
    Ok((!moved.is_empty()).then(|| by_hand(flow, order, held, &moved)))
}

/// Tells a person each change.
pub(super) fn by_hand(flow: &Flow<'_>, order: &Order, held: &SalesOrder, moved: &[Moved]) -> Stop {
    let differences: Vec<&str> = moved.iter().map(|moved| moved.party.title()).collect();
    let instructions: Vec<String> = moved
        .iter()
        .map(|moved| {
            format!(
                "set the {} from {} to {}",
                field(moved.party).1,
                moved.from,
                moved.to
            )
        })
        .collect();
    let mut problem = flow.subject.problem(
        "order_changed_after_booking",
        "",
        format!(
            "The order changed on Shopify after {} was confirmed: {}.",
            held.name,
            differences.join("; ")
        ),
        &format!(
            "In the ERP, on {}: {}. If it is locked, unlock it first; a delivery or an invoice that exists already is changed by \
             hand, too. Then retry. Everything else about the order was carried out.",
            held.name,
            instructions.join("; ")
        ),
    );
    problem.detail = json!({
        "differences": differences, "instructions": instructions, "erp_order": held.name,
        "shopify_total": order.totals.total, "erp_total": held.total,
    });
    problem.into()
}
