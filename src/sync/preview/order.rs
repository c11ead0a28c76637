//! What would be done about an order.

use std::collections::BTreeMap;

use super::super::explain::{self, explain};
use super::super::flow::Flow;
use super::super::gather::Answers;
use super::super::live;
use super::super::orders::{self, Ahead, OrderPlan};
use super::super::stop::Stop;
use super::customer::partner;
use super::{
    NEW, Preview, PreviewedField, PreviewedWrite, bare, compare, created, differing, lines, partners, read,
    shown, text,
};
use crate::domain::{
    Canonical as _, Direction, ErpId, FieldValue, LinkKind, Need, Needed, Object, Order, ShopifyId,
};
use crate::erp::{Row, SalesOrder};
use crate::mapping::{Mapped, MappedField, MappedGroup, Stage, Truth};

/// `false` when Shopify does not have the order.
pub(super) async fn preview(flow: &mut Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let shop = flow.shop;
    let Some(order) = shop.source.order(id, flow.select(Object::Order)).await? else {
        return Ok(false);
    };
    flow.subject.record = Some(order.name.clone());
    preview.record_name = Some(order.name.clone());
    preview.changed_at = Some(order.updated_at);
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Order, &[id.to_string()])
            .await?,
    );
    if orders::is_left_to_people(flow, &order, link.as_ref())? {
        preview.verdict = "would be left alone: a person entered it into the ERP".to_owned();
        return Ok(true);
    }
    let mapping = flow.mapping(Object::Order, Direction::In)?;
    let record = order.fact();
    if link.is_none() {
        orders::skip(flow, &order, &record, &mapping).await?;
    }
    flow.review_order(&order, &record).await?;
    let booked = orders::booked(flow, &record, &mapping, link.as_ref()).await?;
    if orders::is_cancelled(flow, &order, &record, &mapping) {
        cancelled(flow, &order, &mapping.model, booked.as_ref(), preview).await?;
        return Ok(true);
    }
    let decided = orders::what_becomes(flow, &order, &record, &mapping, booked.as_ref()).await?;
    let whole = order;
    let order = decided.order.clone();
    let record = order.fact();
    orders::check_lines(flow, &order)?;
    let buyer = orders::buyer(shop.settings.guests, &order);
    let settings = flow.settings_fact(buyer.as_deref());
    let mut answers = flow.gather(&mapping, &record, &settings).await?;
    if flow.is_claimed() {
        // What a person approves of is to name the products as they are.
        orders::make_products(flow, &order, &mut answers).await?;
    }
    if booked.is_none() {
        partners::forget_the_gone(flow, &mut answers).await?;
    }
    stand_in(flow, &order, &mut answers, preview).await?;
    partners::contact(flow, &order, buyer.as_deref(), &answers, preview).await?;
    let groups = mapping
        .prepare(&record, &settings, &answers)
        .map_err(|problems| flow.field_problems(&problems))?;
    for group in &groups {
        own_records(flow, group, &mut answers, preview).await?;
    }
    let mut mapped = flow.mapped(&mapping, &record, &settings, &answers).await?;
    preview.explanation = Some(explain(&order, explain::rows(&mapped), booked.as_ref()));
    if mapped.stage == Some(Stage::Cancelled) {
        cancelled(flow, &whole, &mapped.model, booked.as_ref(), preview).await?;
        return Ok(true);
    }
    let booked = match booked {
        Some(held) => Some(orders::as_credited(flow, &decided, &mapped, &held).await?),
        None => None,
    };
    compare::made_once(flow, &groups, preview).await?;
    if let Some(held) = &booked {
        compare::order(flow, &mapped, link.as_ref(), held, preview).await?;
    }
    let risky = orders::hold(flow, &order, &mut mapped);
    let stands = booked
        .as_ref()
        .is_some_and(|held| held.state == crate::erp::OrderState::Confirmed);
    let (plan, verdict) = orders::describe(flow, &order, &mapped, link.as_ref(), booked.as_ref())?;
    preview.verdict = verdict;
    let confirms = mapped.stage == Some(Stage::Confirmed);
    let edited = matches!(plan, OrderPlan::Edit { .. });
    match (plan, booked.as_ref()) {
        (OrderPlan::Book { .. }, None) => {
            preview.writes.push(created(
                &mapped.model,
                &mapped.external_id,
                &header(flow, &mapped).await?,
            ));
            for group in lines(&mapped) {
                for row in &group.rows {
                    preview
                        .writes
                        .push(created(&group.model, &row.external_id, &row.fields));
                }
            }
            if confirms {
                preview
                    .writes
                    .push(confirm(&mapped.model, mapped.external_id.clone()));
            }
        }
        (OrderPlan::Book { .. }, Some(held)) => {
            changes(flow, &mapped, held, preview).await?;
            if confirms {
                preview.writes.push(confirm(&mapped.model, held.id.to_string()));
            }
        }
        (OrderPlan::Confirm, Some(held)) => {
            preview.writes.push(confirm(&mapped.model, held.id.to_string()));
        }
        (OrderPlan::Edit { differences, lines }, Some(held)) => {
            let (changes, obstacle) = orders::planned_edits(
                flow,
                &order,
                &mapped,
                link.as_ref(),
                held,
                &differences,
                lines.as_ref(),
            )
            .await?;
            preview.writes.extend(changes.into_iter().map(edit));
            if let Some(stop) = obstacle {
                return Err(stop);
            }
        }
        (OrderPlan::Nothing, Some(_)) => {
            preview.stays = orders::is_mapped_anew(link.as_ref(), &mapped, &order);
        }
        // What it refers to is made all the same.
        _ => {}
    }
    if let Some(held) = booked.as_ref().filter(|_| stands) {
        let facts = orders::facts_due(&mapping, &mapped, link.as_ref());
        let facts: Vec<MappedField> = facts.into_iter().cloned().collect();
        let row = read(flow, &mapped.model, &[held.id], &facts).await?;
        let care = orders::Care::of(flow, &mapped).await?;
        let facts = cared_for(flow, care.as_ref(), "", facts, row.first());
        update(&mapped.model, held.id, &facts, row.first(), preview);
    }
    if risky && !stands {
        return Err(orders::high_risk(flow, &order, false));
    }
    if risky && orders::would_ask_about_risk(flow, &whole, &mapped, &order, link.as_ref()).await? {
        return Err(orders::high_risk(flow, &whole, true));
    }
    let mut moved = None;
    if let Some(held) = booked.as_ref().filter(|_| stands) {
        moved = orders::would_move(flow, &order, &mapped, link.as_ref(), held).await?;
    }
    let ahead = Ahead {
        order: &whole,
        decided: &decided,
        mapped: &mapped,
        held: booked.as_ref(),
        confirmed: confirms || stands,
        edited,
    };
    preview.steps = orders::steps(flow, &ahead).await?;
    preview.problem = preview.steps.iter().find_map(|step| step.problem.clone());
    // Told last: everything else is carried out before.
    if let (None, Some(Stop::Problem(problem))) = (&preview.problem, moved) {
        preview.problem = Some(*problem);
    }
    Ok(true)
}

/// An order that was cancelled. Goods and invoices that stand in the way are told; money that moved is registered.
async fn cancelled(
    flow: &Flow<'_>,
    order: &Order,
    model: &str,
    booked: Option<&SalesOrder>,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let Some(held) = booked else {
        preview.verdict = "would be left alone: cancelled before it was booked".to_owned();
        return Ok(());
    };
    if held.state == crate::erp::OrderState::Cancelled {
        preview.verdict = format!("{} is cancelled already", held.name);
    } else {
        orders::undone(flow, order, held).await?;
        preview.writes.push(bare("cancel", model, held.id));
        preview.verdict = format!("{} would be cancelled", held.name);
    }
    preview.steps = orders::steps_of_cancelled(flow, order).await?;
    preview.problem = preview.steps.iter().find_map(|step| step.problem.clone());
    Ok(())
}

/// A line of a confirmed order that would be changed or added.
fn edit(change: orders::Change) -> PreviewedWrite {
    let now = |field: &str| {
        let line = change.held.as_ref()?;
        Some(match field {
            "product_uom_qty" => text(&FieldValue::Decimal(line.quantity)),
            "price_unit" => text(&FieldValue::Decimal(line.unit_price)),
            "tax_ids" => text(&FieldValue::Records(line.taxes.clone())),
            _ => return None,
        })
    };
    PreviewedWrite {
        action: if change.held.is_some() { "update" } else { "create" }.into(),
        model: "sale.order.line".into(),
        record: match &change.held {
            Some(line) => line.id.0.to_string(),
            None => change.name.clone(),
        },
        fields: change
            .fields
            .iter()
            .map(|(field, value)| PreviewedField {
                field: field.clone(),
                now: now(field),
                then: text(value),
                source: "edited on Shopify".into(),
            })
            .collect(),
    }
}

fn confirm(model: &str, record: String) -> PreviewedWrite {
    PreviewedWrite {
        action: "confirm".into(),
        model: model.into(),
        record,
        fields: Vec::new(),
    }
}

/// The order's own fields, with what the shop's settings declare for those that the mapping leaves out.
async fn header(flow: &Flow<'_>, mapped: &Mapped) -> Result<Vec<MappedField>, Stop> {
    let mut fields = mapped.fields.clone();
    for (target, value) in flow.shop.erp.declared(&mapped.model).await? {
        if mapped.field(&target).is_none() {
            fields.push(MappedField {
                target: target.into(),
                value,
                source: "declared for the shop".into(),
                truth: Truth::Shopify,
                lossy: false,
                create_only: false,
                line: 0,
            });
        }
    }
    Ok(fields)
}

/// What would change of a draft that stands in the ERP.
async fn changes(
    flow: &Flow<'_>,
    mapped: &Mapped,
    held: &SalesOrder,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let fields = header(flow, mapped).await?;
    let row = read(flow, &mapped.model, &[held.id], &fields)
        .await?
        .into_iter()
        .next();
    // Kept or not, all of it is shown: a draft is saved as a whole, or not at all.
    let care = orders::Care::of(flow, mapped).await?;
    let care = care.as_ref();
    cared_for(flow, care, "", mapped.fields.clone(), row.as_ref());
    let fields = without_the_same(care, "", fields, row.as_ref());
    update(&mapped.model, held.id, &fields, row.as_ref(), preview);
    let known: BTreeMap<String, ErpId> = orders::our_lines(flow, mapped, held).await?.into_iter().collect();
    for group in lines(mapped) {
        let ids: Vec<ErpId> = group
            .rows
            .iter()
            .filter_map(|row| known.get(&row.external_id).copied())
            .collect();
        let all: Vec<MappedField> = group.rows.iter().flat_map(|row| row.fields.clone()).collect();
        let held = read(flow, &group.model, &ids, &all).await?;
        for row in &group.rows {
            match known.get(&row.external_id) {
                None => preview
                    .writes
                    .push(created(&group.model, &row.external_id, &row.fields)),
                Some(id) => {
                    let held = held.iter().find(|held| held.id == *id);
                    let place = orders::of_line(&row.external_id);
                    cared_for(flow, care, &place, row.fields.clone(), held);
                    let fields = without_the_same(care, &place, row.fields.clone(), held);
                    update(&group.model, *id, &fields, held, preview);
                }
            }
        }
    }
    let model = lines(mapped)
        .next()
        .map_or("sale.order.line", |group| group.model.as_str());
    for (_, id) in orders::stale_lines(flow, mapped, held).await? {
        preview.writes.push(bare("remove", model, id));
    }
    Ok(())
}

/// The fields without those that are to be left as a person made them, which are noted; all, where nothing is carried over with care.
/// What the shop's settings declare was never a mapping's.
fn cared_for(
    flow: &Flow<'_>,
    care: Option<&orders::Care<'_>>,
    place: &str,
    fields: Vec<MappedField>,
    held: Option<&Row>,
) -> Vec<MappedField> {
    let Some(care) = care else { return fields };
    let mut cared = Vec::with_capacity(fields.len());
    for field in fields {
        let name = format!("{place}{}", field.target);
        let now = held
            .and_then(|row| row.fields.get(&*field.target))
            .unwrap_or(&FieldValue::Clear);
        if !field.create_only && care.is_anothers(&name, now, &field.value) {
            flow.keep(name, now, &field.value);
        } else {
            cared.push(field);
        }
    }
    cared
}

/// The fields without those that hold what is to be written, in the ERP's own form of it: nothing is put right there. All, where
/// nothing is carried over with care.
fn without_the_same(
    care: Option<&orders::Care<'_>>,
    place: &str,
    mut fields: Vec<MappedField>,
    held: Option<&Row>,
) -> Vec<MappedField> {
    if let (Some(care), Some(held)) = (care, held) {
        fields.retain(|field| {
            let now = held.fields.get(&*field.target).unwrap_or(&FieldValue::Clear);
            !care.is_same(&format!("{place}{}", field.target), now, &field.value)
        });
    }
    fields
}

/// Shows an update where a field differs.
fn update(model: &str, id: ErpId, fields: &[MappedField], held: Option<&Row>, preview: &mut Preview) {
    let fields = differing(fields, held);
    if !fields.is_empty() {
        preview.writes.push(PreviewedWrite {
            fields: shown(fields, held),
            ..bare("update", model, id)
        });
    }
}

/// Records of their own that the order refers to (its addresses): made first where they are not linked yet.
pub(super) async fn own_records(
    flow: &Flow<'_>,
    group: &MappedGroup,
    answers: &mut Answers,
    preview: &mut Preview,
) -> Result<(), Stop> {
    for row in &group.rows {
        match row.linked {
            None => {
                preview
                    .writes
                    .push(created(&group.model, &row.external_id, &row.fields));
                if let Some(need) = &row.link {
                    answers.insert(need.clone(), Needed::Found(NEW));
                }
            }
            Some(_) if group.once => {}
            Some(id) => {
                let held = read(flow, &group.model, &[id], &row.fields).await?;
                update(&group.model, id, &row.fields, held.first(), preview);
            }
        }
    }
    Ok(())
}

/// What would be made first stands in for itself: the buyer's partner, and products that are not linked yet.
async fn stand_in(
    flow: &Flow<'_>,
    order: &Order,
    answers: &mut Answers,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let missing: Vec<Need> = answers
        .iter()
        .filter(|(_, answer)| **answer == Needed::Missing)
        .map(|(need, _)| need.clone())
        .collect();
    for need in missing {
        let Need::Link { kind, source_id } = &need else {
            continue;
        };
        match kind {
            LinkKind::Customer => {
                let party = orders::party(flow, order, source_id).await?;
                let found = partner(flow, &party, preview).await?;
                answers.insert(need.clone(), Needed::Found(found));
            }
            LinkKind::Variant | LinkKind::Product => {
                preview.writes.push(PreviewedWrite {
                    action: "sync first".into(),
                    model: "product".into(),
                    record: format!("{kind} {source_id}"),
                    fields: Vec::new(),
                });
                answers.insert(need.clone(), Needed::Found(NEW));
            }
            LinkKind::Order
            | LinkKind::Address
            | LinkKind::Refund
            | LinkKind::Payment
            | LinkKind::Fulfillment
            | LinkKind::Inventory => {}
        }
    }
    Ok(())
}
