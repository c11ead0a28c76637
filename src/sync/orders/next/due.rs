//! What would be due of each line of the ERP's order.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::plan::LINES;
use super::{Ahead, Units};
use crate::domain::{BookedLine, ErpId, FieldValue, Order, round_half_up};
use crate::erp::SalesOrder;
use crate::mapping::{Mapped, MappedRow};

/// A line of the ERP's order as far as it is invoiced.
pub(super) struct Due {
    pub(super) quantity: Decimal,
    /// Units to be invoiced now.
    pub(super) units: Decimal,
    /// Units to be invoiced when they have left.
    pub(super) later: Decimal,
    /// What all of it comes to, with tax.
    pub(super) total: Decimal,
}

impl Due {
    /// `until_sent` says whether the ERP invoices only what left.
    fn of(
        (quantity, total): (Decimal, Decimal),
        until_sent: bool,
        delivered: Decimal,
        invoiced: Decimal,
    ) -> Self {
        let due = if until_sent { delivered } else { quantity };
        Self {
            quantity,
            units: due - invoiced,
            later: quantity - due.max(invoiced),
            total,
        }
    }
}

/// What would be due of each line once everything before is done: of products that are invoiced when they are delivered only
/// what left.
pub(super) async fn lines(
    flow: &Flow<'_>,
    ahead: &Ahead<'_>,
    stands: Option<&SalesOrder>,
    lines: &BTreeMap<String, ErpId>,
    moved: &Units,
) -> Result<Vec<Due>, Stop> {
    let on_delivery = on_delivery(flow, ahead, stands).await?;
    let waits = |product: Option<ErpId>| product.is_some_and(|product| on_delivery.contains(&product));
    if let Some(held) = stands
        && !ahead.edited
    {
        let key = |id: ErpId| lines.iter().find(|(_, line)| **line == id).map(|(key, _)| key);
        let all = held.lines.iter().filter(|line| !line.quantity.is_zero());
        return Ok(all
            .map(|line| {
                let leaves = key(line.id)
                    .and_then(|key| moved.get(key))
                    .copied()
                    .unwrap_or_default();
                Due::of(
                    (line.quantity, line.total),
                    waits(line.product),
                    line.delivered + leaves,
                    line.invoiced,
                )
            })
            .collect());
    }
    let order = &ahead.decided.order;
    let all = order.lines.iter().enumerate();
    let rows = all.flat_map(|(index, line)| own_rows(ahead.mapped, index).map(move |row| (index, line, row)));
    Ok(rows
        .map(|(index, line, row)| {
            let key = &row.key;
            let held = stands.and_then(|held| {
                let id = lines.get(key)?;
                held.lines.iter().find(|known| known.id == *id)
            });
            let (delivered, invoiced) =
                held.map_or_else(Default::default, |held| (held.delivered, held.invoiced));
            let leaves = moved.get(key).copied().unwrap_or_default();
            let is_alone = own_rows(ahead.mapped, index).nth(1).is_none();
            let total = if is_alone {
                line.gross
            } else {
                with_tax(order, line, number(row, PRICE) * number(row, UNITS))
            };
            Due::of(
                (number(row, UNITS), total),
                waits(product(row)),
                delivered + leaves,
                invoiced,
            )
        })
        .filter(|due| !due.quantity.is_zero())
        .collect())
}

const UNITS: &str = "product_uom_qty";
const PRICE: &str = "price_unit";

/// The rows that stand for a line of the shop's order: its own, and those of a discount or a correction.
fn own_rows(mapped: &Mapped, index: usize) -> impl Iterator<Item = &MappedRow> {
    let rows = mapped.group(LINES).map_or(&[][..], |group| &group.rows);
    rows.iter().filter(move |row| row.source_index == index)
}

/// A part of a line's amount with its tax.
fn with_tax(order: &Order, line: &BookedLine, amount: Decimal) -> Decimal {
    if order.taxes_included {
        return amount;
    }
    let percent: Decimal = line.taxes.iter().map(|tax| tax.rate_percent).sum();
    let tax = amount
        .checked_mul(percent)
        .and_then(|product| product.checked_div(Decimal::ONE_HUNDRED))
        .unwrap_or_default();
    round_half_up(amount + tax, order.currency.decimals())
}

fn value<'r>(row: &'r MappedRow, target: &str) -> Option<&'r FieldValue> {
    let field = row.fields.iter().find(|field| &*field.target == target)?;
    Some(&field.value)
}

fn number(row: &MappedRow, target: &str) -> Decimal {
    match value(row, target) {
        Some(FieldValue::Decimal(number)) => *number,
        _ => Decimal::ZERO,
    }
}

/// The product of a row.
fn product(row: &MappedRow) -> Option<ErpId> {
    match value(row, "product_id")? {
        // One that would be made first has no number yet.
        FieldValue::Record(id) if id.0 > 0 => Some(*id),
        _ => None,
    }
}

/// The products of the order that the ERP invoices when they are delivered.
async fn on_delivery(
    flow: &Flow<'_>,
    ahead: &Ahead<'_>,
    stands: Option<&SalesOrder>,
) -> Result<Vec<ErpId>, Stop> {
    const PRODUCT: &str = "product.product";
    const POLICY: &str = "invoice_policy";
    if !flow.shop.erp.fields(PRODUCT).await?.0.contains_key(POLICY) {
        return Ok(Vec::new());
    }
    let rows = ahead.mapped.group(LINES).map_or(&[][..], |group| &group.rows);
    let mut ids: Vec<ErpId> = rows
        .iter()
        .filter_map(product)
        .chain(
            stands
                .into_iter()
                .flat_map(|held| held.lines.iter().filter_map(|line| line.product)),
        )
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = flow.shop.erp.read(PRODUCT, &ids, &[POLICY.to_owned()]).await?;
    Ok(rows
        .into_iter()
        .filter(
            |row| matches!(row.fields.get(POLICY), Some(FieldValue::Text(policy)) if policy == "delivery"),
        )
        .map(|row| row.id)
        .collect())
}
