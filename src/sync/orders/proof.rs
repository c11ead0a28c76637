//! The proof that the ERP's order costs what Shopify's does, with a visible rounding line where that is allowed.

use rust_decimal::Decimal;
use serde_json::json;

use super::super::explain;
use super::super::flow::Flow;
use super::super::stop::Stop;
use super::super::totals::{Compared, RateTax, Totals, by_rate, differing};
use super::plan::LINES;
use super::{book, edits};
use crate::domain::{FieldValue, LookUp, Needed, Order, Scalar, round_half_up};
use crate::erp::{Lines, OrderState, SalesOrder};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, in_small_units};

/// The purpose of the service product that stands on the visible rounding line.
const ROUNDING: &str = "rounding";

/// The key of that line. None of the shop's own lines has it; their cash rounding is a line of the sale.
pub(super) const ROUNDING_LINE: &str = "total_rounding";

/// Compares the totals, adding a visible rounding line where the difference is small enough.
pub(super) async fn compared(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    held: SalesOrder,
) -> Result<SalesOrder, Stop> {
    let Checked::Total(difference) = check(flow, order, mapped, &held)? else {
        return Ok(held);
    };
    let name = book::line_name(mapped, ROUNDING_LINE);
    // A rounding line that stands already is part of the ERP's total. The limit is for all of it, however often it grows.
    let standing = book::our_lines(flow, mapped, &held)
        .await?
        .into_iter()
        .find(|(line, _)| *line == name)
        .and_then(|(_, id)| held.lines.iter().find(|line| line.id == id));
    let needed = difference + standing.map_or(Decimal::ZERO, |line| line.total);
    if needed.abs() > flow.shop.settings.rounding_limit_in(order.currency) {
        return Err(match standing {
            None => total_differs(flow, order, &held, difference),
            Some(line) => {
                let what = format!(
                    "without its rounding line of {} the total differs by {needed}",
                    line.total
                );
                differs(flow, order, &held, TOTAL, &what, needed)
            }
        });
    }
    match standing {
        // A line of a confirmed order cannot be removed: it gets the price of nothing.
        Some(line) if needed.is_zero() && held.state == OrderState::Draft => {
            flow.write(flow.shop.erp.remove_order_lines(held.id, &[line.id]))
                .await?;
        }
        _ => {
            let rounding = Rounding {
                name: &name,
                stands: standing.is_some(),
                price: needed,
                difference,
            };
            add_rounding(flow, order, mapped, &held, &rounding).await?;
        }
    }
    flow.note("rounded", json!({ "by": needed }));
    let held = book::read(flow, held.id).await?;
    match check(flow, order, mapped, &held)? {
        Checked::Equal => Ok(held),
        Checked::Total(difference) => Err(total_differs(flow, order, &held, difference)),
    }
}

/// The visible rounding line that an order needs.
struct Rounding<'a> {
    /// Its external id.
    name: &'a str,
    /// Whether it stands there already, with another price.
    stands: bool,
    price: Decimal,
    /// By how much the totals differ now.
    difference: Decimal,
}

/// Adds the visible rounding line, or gives the one that stands another price.
async fn add_rounding(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    held: &SalesOrder,
    rounding: &Rounding<'_>,
) -> Result<(), Stop> {
    let Rounding {
        name,
        stands,
        price: needed,
        difference,
    } = *rounding;
    let question = LookUp {
        kind: "service".into(),
        keys: [("purpose".to_owned(), Scalar::Text(ROUNDING.into()))].into(),
    };
    let Needed::Found(product) = flow.shop.erp.look_up(&question).await? else {
        return Err(total_differs(flow, order, held, difference));
    };
    let (units, price) = in_small_units(needed, flow.price_digits());
    let mut fields = vec![
        ("product_id".to_owned(), FieldValue::Record(product)),
        ("name".to_owned(), FieldValue::Text("Rounding".into())),
        ("product_uom_qty".to_owned(), FieldValue::Decimal(units)),
        ("price_unit".to_owned(), FieldValue::Decimal(price)),
        ("tax_ids".to_owned(), FieldValue::Records(Vec::new())),
        ("sequence".to_owned(), FieldValue::Integer(9_999)),
    ];
    // The product of a confirmed order's line cannot be written again.
    if held.state != OrderState::Draft && stands {
        fields.retain(|(name, _)| name != "product_id");
    }
    let group = mapped.group(LINES);
    let lines = Lines {
        field: group
            .and_then(|group| group.field.clone())
            .unwrap_or_else(|| "order_line".into()),
        model: group.map_or_else(|| "sale.order.line".into(), |group| group.model.clone()),
        rows: vec![(flow.external_id(name)?, fields)],
    };
    if held.state == OrderState::Draft {
        book::save(flow, mapped, Some(lines), true, None).await?;
    } else {
        edits::save_lines(flow, mapped, lines.rows).await?;
    }
    reach(FailPoint::RoundingAdded).await?;
    Ok(())
}

/// Compares the sums alone, before something else is made of the order: which tax a line has may have been mapped anew since
/// it was booked.
pub(super) fn same_totals(flow: &Flow<'_>, order: &Order, held: &SalesOrder) -> Result<(), Stop> {
    let totals = Totals {
        shop_total: order.totals.total,
        shop_tax: order.totals.tax,
        erp_total: held.total,
        erp_tax: held.tax,
        currency: order.currency,
    };
    match totals.compare(flow.shop.settings.tax_tolerance_in(order.currency)) {
        Compared::Equal => Ok(()),
        Compared::TotalDiffers(difference) => Err(total_differs(flow, order, held, difference)),
        Compared::TaxDiffers(difference) => Err(tax_differs(flow, order, held, difference, None)),
    }
}

/// What a comparison found that is no problem yet.
pub(super) enum Checked {
    /// Both sides agree.
    Equal,
    /// The totals differ by this much; a rounding line may carry it.
    Total(Decimal),
}

/// Compares totals and taxes. A difference that nothing may carry ends the attempt as a problem; the order stays what it is.
pub(super) fn check(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    held: &SalesOrder,
) -> Result<Checked, Stop> {
    let totals = Totals {
        shop_total: order.totals.total,
        shop_tax: order.totals.tax,
        erp_total: held.total,
        erp_tax: held.tax,
        currency: order.currency,
    };
    if let Some(currency) = held.currency.as_deref()
        && currency != order.currency.as_str()
    {
        let mut problem = flow.subject.problem(
            "currency_differs",
            &format!("{}:{currency}", order.currency),
            format!("The order is in {}, the ERP made it in {currency}.", order.currency),
            "Activate the currency in the ERP and give it a pricelist, or declare the pricelist for this shop; delete the draft's wrong pricelist, then retry.",
        );
        problem.field = Some("pricelist_id".into());
        return Err(problem.into());
    }
    let tolerance = flow.shop.settings.tax_tolerance_in(order.currency);
    let rates = mapped
        .group(LINES)
        .and_then(|group| by_rate(order, &group.rows, held));
    let mut note = serde_json::to_value(&totals).unwrap_or_default();
    note["by_rate"] = json!(rates);
    flow.note("totals", note);
    let explanation = explain::explain(order, explain::rows(mapped), Some(held));
    flow.note_anew("explained", json!({ "order": explanation }));
    match totals.compare(tolerance) {
        Compared::TotalDiffers(difference) => return Ok(Checked::Total(difference)),
        Compared::TaxDiffers(difference) => return Err(tax_differs(flow, order, held, difference, None)),
        Compared::Equal => {}
    }
    // A tax in the wrong place may leave the sum of all taxes as it is.
    match rates
        .as_deref()
        .and_then(|rates| differing(rates, order.currency, tolerance))
    {
        None => Ok(Checked::Equal),
        Some(rate) => {
            let difference = round_half_up(rate.shop - rate.erp, order.currency.decimals());
            Err(tax_differs(flow, order, held, difference, Some(rate)))
        }
    }
}

/// Code and field of a problem with the total.
const TOTAL: (&str, &str) = ("total_differs", "amount_total");

pub(super) fn total_differs(flow: &Flow<'_>, order: &Order, held: &SalesOrder, difference: Decimal) -> Stop {
    let what = format!("the total differs by {difference}");
    differs(flow, order, held, TOTAL, &what, difference)
}

fn tax_differs(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    difference: Decimal,
    rate: Option<&RateTax>,
) -> Stop {
    let what = match rate {
        None => format!("the tax differs by {difference}"),
        Some(rate) => format!(
            "the tax of {} is {} on Shopify and {} in the ERP, it differs by {difference}",
            rate.name, rate.shop, rate.erp
        ),
    };
    differs(
        flow,
        order,
        held,
        ("tax_differs", "amount_tax"),
        &what,
        difference,
    )
}

fn differs(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    (code, field): (&str, &str),
    what: &str,
    difference: Decimal,
) -> Stop {
    let mut problem = flow.subject.problem(
        code,
        "",
        format!(
            "Shopify's total is {} {currency} (tax {}), the ERP's is {} {currency} (tax {}): {what}. \
             The order {} is {}.",
            order.totals.total,
            order.totals.tax,
            held.total,
            held.tax,
            held.name,
            if held.state == OrderState::Draft { "left a quotation" } else { "confirmed already" },
            currency = order.currency,
        ),
        "Compare the lines of both orders: most often a tax in the ERP has another rate or another price-included setting than the shop's. Correct the cause, then retry.",
    );
    problem.field = Some(field.into());
    problem.detail = json!({
        "shopify": { "total": order.totals.total, "tax": order.totals.tax, "lines": order.lines.iter()
            .map(|line| json!({ "line": line.key, "net": line.net, "gross": line.gross })).collect::<Vec<_>>() },
        "erp": { "order": held.name, "total": held.total, "tax": held.tax, "lines": held.lines.iter()
            .map(|line| json!({ "line": line.id, "net": line.subtotal, "gross": line.total })).collect::<Vec<_>>() },
        "difference": difference,
    });
    problem.into()
}
