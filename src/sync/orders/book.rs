//! Booking an order: saved as a draft, compared, and only then confirmed.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::flow::{Flow, Held};
use super::super::live;
use super::super::stop::Stop;
use super::plan::{self, LINES};
use super::proof::{Checked, ROUNDING_LINE, check, compared, total_differs};
use super::{Done, Known, OrderPlan, edits, written};
use crate::domain::{ErpId, LinkKind, Order, System};
use crate::erp::{Lines, OrderState, SalesOrder, Save};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, Stage};

pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    plan: OrderPlan,
    known: &mut Known<'_>,
    held: Option<SalesOrder>,
) -> Result<Done, Stop> {
    let link = known.link;
    match (plan, held) {
        (OrderPlan::Book { exists }, held) => {
            let mut stale = Vec::new();
            let fields = written::whole(mapped, exists);
            let mut before = None;
            if let Some(held) = &held {
                flow.lock(System::Erp, &mapped.model, &held.id.to_string())
                    .await?;
                stale = stale_lines(flow, mapped, held).await?;
                let stands = written::before(flow, mapped, held).await?;
                if let Some(care) = written::Care::of(flow, mapped).await? {
                    written::ask_where_edited(flow, &care, held, &fields, &stands, &stale)?;
                }
                before = Some(stands);
            }
            flow.may_write()?;
            written::note(flow, &mapped.model, &fields, before.as_ref());
            if let (Some(link), true) = (link, exists) {
                flow.commit_links(vec![plan::while_saving(link, &known.fingerprint)])
                    .await?;
            }
            let id = save(flow, mapped, lines(flow, mapped)?, exists, before.as_ref()).await?;
            if let Some(before) = &before {
                written::tell_lines(flow, mapped, before);
            }
            reach(FailPoint::RecordSaved).await?;
            flow.note(
                if exists { "updated" } else { "created" },
                json!({ "model": mapped.model, "id": id, "external_id": mapped.external_id }),
            );
            if !stale.is_empty() {
                flow.note(
                    "lines_removed",
                    json!({ "lines": stale.iter().map(|(name, _)| name).collect::<Vec<_>>() }),
                );
                let gone: Vec<ErpId> = stale.iter().map(|(_, line)| *line).collect();
                flow.write(flow.shop.erp.remove_order_lines(id, &gone)).await?;
                for (name, _) in &stale {
                    written::tell_removed(flow, name, before.as_ref());
                }
                reach(FailPoint::LinesRemoved).await?;
            }
            let held = compared(flow, order, mapped, read(flow, id).await?).await?;
            known.is_proven = true;
            reach(FailPoint::TotalsChecked).await?;
            let verb = if exists { "updated" } else { "created" };
            settle(flow, order, mapped, known, held, verb).await
        }
        (OrderPlan::Confirm, Some(held)) => {
            flow.lock(System::Erp, &mapped.model, &held.id.to_string())
                .await?;
            let held = if held.state == OrderState::Draft {
                compared(flow, order, mapped, held).await?
            } else {
                // A confirmed order gets no further lines: its total is right, or a person looks at it.
                match check(flow, order, mapped, &held)? {
                    Checked::Equal => held,
                    Checked::Total(difference) => return Err(total_differs(flow, order, &held, difference)),
                }
            };
            known.is_proven = true;
            settle(flow, order, mapped, known, held, "kept").await
        }
        (OrderPlan::Nothing, Some(held)) => {
            let stays = plan::is_mapped_anew(link, mapped, order);
            Ok(Done {
                summary: if stays {
                    format!(
                        "order {} stays as it was booked, although it would be mapped differently now",
                        held.name
                    )
                } else {
                    format!("order {} is up to date", held.name)
                },
                settled: plan::is_settled(link),
                held,
            })
        }
        (OrderPlan::Edit { differences, lines }, Some(held)) => {
            flow.lock(System::Erp, &mapped.model, &held.id.to_string())
                .await?;
            let held =
                edits::carry_out(flow, order, mapped, known, held, &differences, lines.as_ref()).await?;
            let held = compared(flow, order, mapped, held).await?;
            known.is_proven = true;
            reach(FailPoint::TotalsChecked).await?;
            settle(flow, order, mapped, known, held, "changed").await
        }
        (OrderPlan::Changed { differences }, Some(held)) => Err(changed(flow, order, &held, differences)),
        // A plan about an existing order is made only where there is one.
        (
            OrderPlan::Confirm | OrderPlan::Nothing | OrderPlan::Edit { .. } | OrderPlan::Changed { .. },
            None,
        ) => Err(Stop::Stale),
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
                .map(|field| (field.target.to_string(), field.value.clone()))
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
pub(super) fn line_name(mapped: &Mapped, key: &str) -> String {
    format!("{}_{key}", mapped.external_id)
}

pub(super) async fn save(
    flow: &Flow<'_>,
    mapped: &Mapped,
    lines: Option<Lines>,
    exists: bool,
    before: Option<&Held>,
) -> Result<ErpId, Stop> {
    let save = Save {
        model: mapped.model.clone(),
        external_id: flow.external_id(&mapped.external_id)?,
        fields: mapped
            .fields
            .iter()
            .filter(|field| !(exists && field.create_only))
            .map(|field| (field.target.to_string(), field.value.clone()))
            .collect(),
        lines,
    };
    let saved = flow
        .write(flow.shop.erp.save(std::slice::from_ref(&save)))
        .await?;
    flow.has_written(&save.fields, before);
    if let Some(lines) = &save.lines {
        flow.has_written_part(&lines.field);
    }
    saved.first().copied().ok_or(Stop::Stale)
}

/// The lines of ours that the order has in the ERP, by our names for them. Lines that people added have none.
pub(in crate::sync) async fn our_lines(
    flow: &Flow<'_>,
    mapped: &Mapped,
    held: &SalesOrder,
) -> Result<Vec<(String, ErpId)>, Stop> {
    let model = mapped
        .group(LINES)
        .map_or("sale.order.line", |group| group.model.as_str());
    named_lines(flow, &mapped.external_id, model, held).await
}

/// The same for an order of this external id, with what people added in our place.
pub(super) async fn named_lines(
    flow: &Flow<'_>,
    order_name: &str,
    model: &str,
    held: &SalesOrder,
) -> Result<Vec<(String, ErpId)>, Stop> {
    let ids: Vec<ErpId> = held.lines.iter().map(|line| line.id).collect();
    let known = flow.shop.erp.external_ids(model, &ids).await?;
    let prefix = format!("{order_name}_");
    let mut named: Vec<(String, ErpId)> = known
        .into_iter()
        .filter(|(_, name)| name.shop == flow.shop.name && name.name.starts_with(&prefix))
        .map(|(id, name)| (name.name, id))
        .collect();
    let shop = flow.shop;
    let source_id = flow.job.key.source_id.clone();
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Order, &[source_id])
            .await?,
    );
    for (name, id) in link.as_ref().map(super::added_by_hand).unwrap_or_default() {
        let is_ours = named.iter().any(|(of, line)| *of == name || *line == id);
        if name.starts_with(&prefix) && ids.contains(&id) && !is_ours {
            named.push((name, id));
        }
    }
    Ok(named)
}

/// The lines of ours that are no longer part of the order. Asked of the ERP itself: what an attempt that failed half-way
/// wrote is remembered nowhere else. The rounding line is seen to when the totals are compared.
pub(in crate::sync) async fn stale_lines(
    flow: &Flow<'_>,
    mapped: &Mapped,
    held: &SalesOrder,
) -> Result<Vec<(String, ErpId)>, Stop> {
    let mut wanted: BTreeSet<&str> = mapped
        .group(LINES)
        .map(|group| group.rows.iter().map(|row| row.external_id.as_str()).collect())
        .unwrap_or_default();
    let rounding = line_name(mapped, ROUNDING_LINE);
    wanted.insert(&rounding);
    let mut ours = our_lines(flow, mapped, held).await?;
    ours.retain(|(name, _)| !wanted.contains(name.as_str()));
    Ok(ours)
}

pub(super) async fn read(flow: &Flow<'_>, id: ErpId) -> Result<SalesOrder, Stop> {
    match flow.shop.erp.order(id).await? {
        Some(held) => Ok(held),
        None => Err(super::stands::missing(flow, id)),
    }
}

/// Confirms where the mapping says so, and compares once more.
async fn settle(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    known: &Known<'_>,
    held: SalesOrder,
    verb: &str,
) -> Result<Done, Stop> {
    // The ERP keeps whole seconds.
    let dated = held
        .ordered_at
        .is_some_and(|at| at.millis() / 1000 == order.processed_at.millis() / 1000);
    if held.state == OrderState::Confirmed && (dated || mapped.stage != Some(Stage::Confirmed)) {
        return Ok(Done {
            summary: match verb {
                "kept" => format!("order {} is confirmed", held.name),
                verb => format!("{verb} the confirmed order {}", held.name),
            },
            settled: dated,
            held,
        });
    }
    if mapped.stage != Some(Stage::Confirmed) {
        return Ok(Done {
            summary: format!("{verb} quotation {}", held.name),
            settled: false,
            held,
        });
    }
    // Kept before anything is confirmed: if the answer is lost, the next attempt knows what was confirmed, and that its
    // date is still to be seen to.
    let link = super::link(flow, order, &held, &mapped.model, known).await?;
    flow.commit_links(vec![link]).await?;
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
        settled: true,
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
            "order_changed_after_booking",
            "Set the order back to a state that Odoo itself knows (quotation or sales order), then retry.",
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
