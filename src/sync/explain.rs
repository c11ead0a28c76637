//! How each number of an order in the ERP came to be, line by line, so that finance can follow it without a spreadsheet.
//!
//! Pure: made of the shop's order, of what the mapping made of it, and of the ERP's order where there is one.

use rust_decimal::Decimal;
use serde::Serialize;

use super::totals::{RateTax, by_rate};
use crate::domain::{BookedLine, BookedTax, Currency, ErpId, FieldValue, Order};
use crate::erp::{SalesOrder, SalesOrderLine};
use crate::mapping::{Mapped, MappedRow};

/// An order's numbers on both sides, and the way from one to the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The one currency of all amounts.
    pub currency: Currency,
    /// Whether the order's prices contain tax.
    pub taxes_included: bool,
    /// Every booked line with the rows that stand for it.
    pub lines: Vec<ExplainedLine>,
    /// Rows of the ERP's order that stand for no line: rounding, and what people added.
    pub further: Vec<ErpAmounts>,
    /// The discounts as they were given; what they took off each line is in its `discount`.
    pub discounts: Vec<ExplainedDiscount>,
    /// The tax of each rate on both sides, once the order stands in the ERP.
    pub taxes: Vec<RateTax>,
    /// The shop's totals.
    pub shop: ExplainedTotals,
    /// The ERP's, once the order stands there.
    pub erp: Option<ExplainedTotals>,
}

/// One line of the shop's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedLine {
    /// Its key, e.g. `line_123`.
    pub line: String,
    /// What it is.
    pub kind: String,
    /// Its title.
    pub title: String,
    /// Units as ordered.
    pub sold: Decimal,
    /// Units that are booked.
    pub quantity: Decimal,
    /// Price of one unit before discounts.
    pub unit_price: Decimal,
    /// All discounts of the booked units.
    pub discount: Decimal,
    /// `quantity * unit_price - discount`.
    pub amount: Decimal,
    /// Its taxes, e.g. `19 % VAT: 4.79`.
    pub taxes: Vec<String>,
    /// Without tax.
    pub net: Decimal,
    /// Tax.
    pub tax: Decimal,
    /// With tax.
    pub gross: Decimal,
    /// The sum in words.
    pub how: String,
    /// The rows of the ERP's order that stand for it; none for a line of which nothing is left.
    pub rows: Vec<ExplainedRow>,
}

/// One row of the ERP's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedRow {
    /// Its key, e.g. `line_123_discount`.
    pub row: String,
    /// Units.
    pub quantity: Decimal,
    /// Price of one unit.
    pub unit_price: Decimal,
    /// `quantity * unit_price`.
    pub amount: Decimal,
    /// What the ERP makes of it, once it stands there.
    pub erp: Option<ErpAmounts>,
}

/// Amounts of a row as the ERP has them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErpAmounts {
    /// The row's number.
    pub id: ErpId,
    /// Its text's first line.
    pub name: String,
    /// Units.
    pub quantity: Decimal,
    /// Price of one unit as it is stored.
    pub unit_price: Decimal,
    /// Without tax.
    pub net: Decimal,
    /// Tax.
    pub tax: Decimal,
    /// With tax.
    pub gross: Decimal,
}

/// A discount.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedDiscount {
    /// Name, or code.
    pub title: String,
    /// `product`, `order` or `shipping`.
    pub kind: String,
    /// All that it took off, as sold.
    pub amount: Decimal,
}

/// Totals of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedTotals {
    /// Without tax.
    pub net: Decimal,
    /// Tax.
    pub tax: Decimal,
    /// With tax.
    pub total: Decimal,
}

/// Explains an order. `held` is the ERP's, where there is one.
pub(super) fn explain(order: &Order, rows: &[MappedRow], held: Option<&SalesOrder>) -> Explanation {
    let mut left: Vec<&SalesOrderLine> = held.map(|held| held.lines.iter().collect()).unwrap_or_default();
    let lines = order
        .lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            let own = rows.iter().filter(|row| row.source_index == index);
            explained(line, own.map(|row| explained_row(row, &mut left)).collect())
        })
        .collect();
    Explanation {
        currency: order.currency,
        taxes_included: order.taxes_included,
        lines,
        further: left.into_iter().map(erp_amounts).collect(),
        discounts: order
            .discounts
            .iter()
            .map(|discount| ExplainedDiscount {
                title: discount.title.clone(),
                kind: discount.kind.clone(),
                amount: discount.amount,
            })
            .collect(),
        taxes: held
            .and_then(|held| by_rate(order, rows, held))
            .unwrap_or_default(),
        shop: ExplainedTotals {
            net: order.totals.total - order.totals.tax,
            tax: order.totals.tax,
            total: order.totals.total,
        },
        erp: held.map(|held| ExplainedTotals {
            net: held.untaxed,
            tax: held.tax,
            total: held.total,
        }),
    }
}

/// The rows that the mapping makes of an order's lines.
pub(super) fn rows(mapped: &Mapped) -> &[MappedRow] {
    mapped.group("lines").map_or(&[], |group| group.rows.as_slice())
}

fn explained(line: &BookedLine, rows: Vec<ExplainedRow>) -> ExplainedLine {
    ExplainedLine {
        line: line.key.clone(),
        kind: line.kind.to_string(),
        title: line.title.clone(),
        sold: line.sold_quantity,
        quantity: line.quantity,
        unit_price: line.original_unit_price,
        discount: line.discount,
        amount: line.amount,
        taxes: line.taxes.iter().map(tax).collect(),
        net: line.net,
        tax: line.gross - line.net,
        gross: line.gross,
        how: how(line, &rows),
        rows,
    }
}

fn tax(tax: &BookedTax) -> String {
    let by_the_channel = if tax.channel_liable {
        " (the channel remits it)"
    } else {
        ""
    };
    format!(
        "{} % {}: {}{by_the_channel}",
        tax.rate_percent.normalize(),
        tax.title,
        tax.amount
    )
}

/// The way from the shop's price to the ERP's rows in one sentence.
fn how(line: &BookedLine, rows: &[ExplainedRow]) -> String {
    let mut text = format!("{} x {}", line.quantity, line.original_unit_price);
    if !line.discount.is_zero() {
        text.push_str(&format!(" less {} of discounts", line.discount));
    }
    text.push_str(&format!(" = {}", line.amount));
    if line.sold_quantity != line.quantity {
        text.push_str(&format!(" ({} were ordered)", line.sold_quantity));
    }
    let ends = |end: &str| rows.iter().find(|row| row.row.ends_with(end));
    if rows.is_empty() {
        text.push_str("; nothing is left to book");
    } else if ends("_discount").is_some() {
        text.push_str("; the discount is a row of its own");
    } else if let Some(row) = rows.first()
        && !line.discount.is_zero()
    {
        text.push_str(&format!("; {} each", row.unit_price));
    }
    if let Some(row) = ends("_correction") {
        text.push_str(&format!(
            "; the ERP keeps fewer decimals of the price, a row of {} makes up for it",
            row.amount.normalize()
        ));
    }
    text
}

fn number(row: &MappedRow, target: &str) -> Decimal {
    match row
        .fields
        .iter()
        .find(|field| field.target == target)
        .map(|field| &field.value)
    {
        Some(FieldValue::Decimal(number)) => *number,
        _ => Decimal::ZERO,
    }
}

/// A row with the line of the ERP's order that is it: the first one left with its product, units and text.
fn explained_row(row: &MappedRow, left: &mut Vec<&SalesOrderLine>) -> ExplainedRow {
    let (quantity, unit_price) = (number(row, "product_uom_qty"), number(row, "price_unit"));
    let value = |target: &str| {
        row.fields
            .iter()
            .find(|field| field.target == target)
            .map(|field| &field.value)
    };
    let is_it = |line: &&SalesOrderLine| {
        let product = match value("product_id") {
            Some(FieldValue::Record(id)) => line.product == Some(*id),
            _ => true,
        };
        let text = match value("name") {
            Some(FieldValue::Text(text)) => line.name == *text,
            _ => true,
        };
        product && text && line.quantity == quantity
    };
    let erp = left.iter().position(is_it).map(|at| erp_amounts(left.remove(at)));
    ExplainedRow {
        row: row.key.clone(),
        quantity,
        unit_price,
        amount: quantity * unit_price,
        erp,
    }
}

fn erp_amounts(line: &SalesOrderLine) -> ErpAmounts {
    ErpAmounts {
        id: line.id,
        name: line.name.lines().next().unwrap_or_default().to_owned(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        net: line.subtotal,
        tax: line.total - line.subtotal,
        gross: line.total,
    }
}
