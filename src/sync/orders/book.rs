//! Booking an order: saved as a draft, compared, and only then confirmed.

use rust_decimal::Decimal;
use serde_json::json;

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::super::totals::{Compared, Totals};
use super::plan::LINES;
use super::{Done, OrderPlan};
use crate::domain::{ErpId, FieldValue, LookUp, Needed, Order, Scalar, System};
use crate::erp::{Lines, OrderState, SalesOrder, Save};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, Stage};

/// The key of the visible rounding line.
const ROUNDING: &str = "rounding";

pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    plan: OrderPlan,
    held: Option<SalesOrder>,
) -> Result<Done, Stop> {
    match (plan, held) {
        (OrderPlan::Book { exists, removed }, held) => {
            if let Some(held) = &held {
                flow.lock(System::Erp, &mapped.model, &held.id.to_string())
                    .await?;
            }
            let id = save(flow, mapped, lines(flow, mapped)?).await?;
            reach(FailPoint::RecordSaved).await?;
            flow.note(
                if exists { "updated" } else { "created" },
                json!({ "model": mapped.model, "id": id, "external_id": mapped.external_id }),
            );
            if let Some(held) = &held {
                remove(flow, mapped, held, &removed).await?;
            }
            let held = compared(flow, order, mapped, read(flow, id).await?).await?;
            reach(FailPoint::TotalsChecked).await?;
            settle(
                flow,
                order,
                mapped,
                held,
                if exists { "updated" } else { "created" },
            )
            .await
        }
        (OrderPlan::Confirm, Some(held)) => {
            flow.lock(System::Erp, &mapped.model, &held.id.to_string())
                .await?;
            let held = if held.state == OrderState::Draft {
                compared(flow, order, mapped, held).await?
            } else {
                // A confirmed order gets no further lines: its total is right, or a person looks at it.
                match check(flow, order, &held, Decimal::ZERO)? {
                    None => held,
                    Some(difference) => return Err(differs(flow, order, &held, "total_differs", difference)),
                }
            };
            settle(flow, order, mapped, held, "kept").await
        }
        (OrderPlan::Nothing, Some(held)) => Ok(Done {
            summary: format!("order {} is up to date", held.name),
            held,
        }),
        (OrderPlan::Changed { differences }, Some(held)) => Err(changed(flow, order, &held, differences)),
        // A plan about an existing order is made only where there is one.
        (OrderPlan::Confirm | OrderPlan::Nothing | OrderPlan::Changed { .. }, None) => Err(Stop::Stale),
    }
}

/// The order's lines as the mapping made them, each under its own external id.
fn lines(flow: &Flow<'_>, mapped: &Mapped) -> Result<Option<Lines>, Stop> {
    let Some(group) = mapped.group(LINES) else {
        return Ok(None);
    };
    let mut rows = Vec::with_capacity(group.rows.len());
    for row in &group.rows {
        let key = flow.external_id(&row.external_id)?;
        rows.push((
            key,
            row.fields
                .iter()
                .map(|field| (field.target.clone(), field.value.clone()))
                .collect(),
        ));
    }
    let field = group.field.clone().unwrap_or_else(|| "order_line".to_owned());
    Ok(Some(Lines {
        field,
        model: group.model.clone(),
        rows,
    }))
}

/// A line's external id, as the mapping makes those of its rows: the order's own id in it keeps a line from ever moving
/// to another order.
fn line_name(mapped: &Mapped, key: &str) -> String {
    format!("{}_{key}", mapped.external_id)
}

async fn save(flow: &Flow<'_>, mapped: &Mapped, lines: Option<Lines>) -> Result<ErpId, Stop> {
    let save = Save {
        model: mapped.model.clone(),
        external_id: flow.external_id(&mapped.external_id)?,
        fields: mapped
            .fields
            .iter()
            .map(|field| (field.target.clone(), field.value.clone()))
            .collect(),
        lines,
    };
    let saved = flow
        .write(flow.shop.erp.save(std::slice::from_ref(&save)))
        .await?;
    saved.first().copied().ok_or(Stop::Stale)
}

/// Removes the lines of ours that are no longer part of the order. Lines that people added stay.
async fn remove(flow: &Flow<'_>, mapped: &Mapped, held: &SalesOrder, removed: &[String]) -> Result<(), Stop> {
    if removed.is_empty() {
        return Ok(());
    }
    let ids: Vec<ErpId> = held.lines.iter().map(|line| line.id).collect();
    let known = flow.shop.erp.external_ids("sale.order.line", &ids).await?;
    let names: Vec<String> = removed.iter().map(|key| line_name(mapped, key)).collect();
    let gone: Vec<ErpId> = known
        .into_iter()
        .filter(|(_, id)| names.contains(&id.name))
        .map(|(id, _)| id)
        .collect();
    if !gone.is_empty() {
        flow.note("lines_removed", json!({ "lines": removed }));
        flow.write(flow.shop.erp.remove_order_lines(held.id, &gone))
            .await?;
        reach(FailPoint::LinesRemoved).await?;
    }
    Ok(())
}

async fn read(flow: &Flow<'_>, id: ErpId) -> Result<SalesOrder, Stop> {
    match flow.shop.erp.order(id).await? {
        Some(held) => Ok(held),
        None => Err(super::missing(flow, id)),
    }
}

/// Compares the totals, adding a visible rounding line where the difference is small enough.
async fn compared(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    held: SalesOrder,
) -> Result<SalesOrder, Stop> {
    let Some(difference) = check(flow, order, &held, flow.shop.settings.rounding_limit)? else {
        return Ok(held);
    };
    let question = LookUp {
        kind: "service".into(),
        keys: [("purpose".to_owned(), Scalar::Text(ROUNDING.into()))].into(),
    };
    let Needed::Found(product) = flow.shop.erp.look_up(&question).await? else {
        return Err(differs(flow, order, &held, "total_differs", difference));
    };
    // A rounding line that stands already is part of the ERP's total: the difference comes on top of its price.
    let standing: Decimal = held
        .lines
        .iter()
        .filter(|line| line.product == Some(product))
        .map(|line| line.unit_price)
        .sum();
    let name = line_name(mapped, ROUNDING);
    let fields = vec![
        ("product_id".to_owned(), FieldValue::Record(product)),
        ("name".to_owned(), FieldValue::Text("Rounding".into())),
        ("product_uom_qty".to_owned(), FieldValue::Decimal(Decimal::ONE)),
        (
            "price_unit".to_owned(),
            FieldValue::Decimal(standing + difference),
        ),
        ("tax_ids".to_owned(), FieldValue::Records(Vec::new())),
        ("sequence".to_owned(), FieldValue::Integer(9_999)),
    ];
    let group = mapped.group(LINES);
    let lines = Lines {
        field: group
            .and_then(|group| group.field.clone())
            .unwrap_or_else(|| "order_line".into()),
        model: group.map_or_else(|| "sale.order.line".into(), |group| group.model.clone()),
        rows: vec![(flow.external_id(&name)?, fields)],
    };
    save(flow, mapped, Some(lines)).await?;
    reach(FailPoint::RoundingAdded).await?;
    flow.note("rounded", json!({ "by": difference }));
    let held = read(flow, held.id).await?;
    match check(flow, order, &held, Decimal::ZERO)? {
        None => Ok(held),
        Some(difference) => Err(differs(flow, order, &held, "total_differs", difference)),
    }
}

/// `None` when both sides agree, the difference when a rounding line may carry it; else the order ends here as a problem
/// and stays a draft.
fn check(flow: &Flow<'_>, order: &Order, held: &SalesOrder, limit: Decimal) -> Result<Option<Decimal>, Stop> {
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
    flow.note("totals", serde_json::to_value(&totals).unwrap_or_default());
    match totals.compare(limit, flow.shop.settings.tax_tolerance) {
        Compared::Equal => Ok(None),
        Compared::Round(difference) => Ok(Some(difference)),
        Compared::TotalDiffers(difference) => Err(differs(flow, order, held, "total_differs", difference)),
        Compared::TaxDiffers(difference) => Err(differs(flow, order, held, "tax_differs", difference)),
    }
}

fn differs(flow: &Flow<'_>, order: &Order, held: &SalesOrder, code: &str, difference: Decimal) -> Stop {
    let what = if code == "tax_differs" { "tax" } else { "total" };
    let mut problem = flow.subject.problem(
        code,
        "",
        format!(
            "Shopify's total is {} {currency} (tax {}), the ERP's is {} {currency} (tax {}): the {what} differs by {difference}. \
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
    problem.field = Some(if what == "tax" {
        "amount_tax".into()
    } else {
        "amount_total".into()
    });
    problem.detail = json!({
        "shopify": { "total": order.totals.total, "tax": order.totals.tax, "lines": order.lines.iter()
            .map(|line| json!({ "line": line.key, "net": line.net, "gross": line.gross })).collect::<Vec<_>>() },
        "erp": { "order": held.name, "total": held.total, "tax": held.tax, "lines": held.lines.iter()
            .map(|line| json!({ "line": line.id, "net": line.subtotal, "gross": line.total })).collect::<Vec<_>>() },
        "difference": difference,
    });
    problem.into()
}

/// Confirms where the mapping says so, and compares once more.
async fn settle(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    held: SalesOrder,
    verb: &str,
) -> Result<Done, Stop> {
    if mapped.stage != Some(Stage::Confirmed) {
        return Ok(Done {
            summary: format!("{verb} quotation {}", held.name),
            held,
        });
    }
    // The ERP keeps whole seconds.
    let dated = held
        .ordered_at
        .is_some_and(|at| at.millis() / 1000 == order.processed_at.millis() / 1000);
    if held.state == OrderState::Confirmed && dated {
        return Ok(Done {
            summary: format!("order {} is confirmed", held.name),
            held,
        });
    }
    let before = held.total;
    let confirmed = flow
        .write(flow.shop.erp.confirm_order(held.id, order.processed_at))
        .await?;
    flow.note(
        "confirmed",
        json!({ "id": confirmed.id, "total": confirmed.total }),
    );
    if confirmed.state != OrderState::Confirmed || confirmed.total != before {
        let mut problem = flow.subject.problem(
            "changed_while_confirming",
            "",
            format!(
                "Confirming {} left it in another state or with another total: {} before, {} after.",
                confirmed.name, before, confirmed.total
            ),
            "Look at the order in the ERP: an automation there may change orders on confirmation. Correct it, then retry.",
        );
        problem.detail = json!({ "before": before, "after": confirmed.total, "state": confirmed.state });
        return Err(problem.into());
    }
    Ok(Done {
        summary: format!("{verb} and confirmed {}", confirmed.name),
        held: confirmed,
    })
}

pub(super) fn changed(flow: &Flow<'_>, order: &Order, held: &SalesOrder, differences: Vec<String>) -> Stop {
    let (code, fix) = if held.state == OrderState::Cancelled {
        (
            "cancelled_in_erp",
            "Decide whether the sale stands. If not, cancel the order on Shopify too; if it does, set the order back to quotation in the ERP. Then retry.",
        )
    } else {
        (
            "changed_after_booking",
            "Make the same change in the ERP by hand (quantities, lines or addresses as on Shopify), then discard this job with a note.",
        )
    };
    let mut problem = flow.subject.problem(
        code,
        "",
        format!(
            "The order changed on Shopify after {} was booked: {}.",
            held.name,
            differences.join("; ")
        ),
        fix,
    );
    problem.detail = json!({
        "differences": differences, "shopify_total": order.totals.total, "erp_total": held.total, "erp_order": held.name,
    });
    problem.into()
}
