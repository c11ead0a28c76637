//! Changes of a confirmed order's lines: written where the ERP allows, told line by line where it does not.
//!
//! A line of a confirmed order is never deleted: its quantity becomes 0. Whatever carries a quantity carries text, price
//! and taxes, too, because the ERP would work them out anew. Its product is never written again. A line that was
//! delivered or invoiced keeps at least so many units, and one that was invoiced keeps its price.
//!
//! A line that a person added as they were told stands for ours from then on. No external id leads to it, so the link
//! remembers it, and further changes of it are the person's, too.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::json;

use super::super::flow::{Flow, Held};
use super::super::settings::Invoices;
use super::super::stop::Stop;
use super::known::{BY_HAND, added_by_hand};
use super::plan::{self, LINES};
use super::proof::ROUNDING_LINE;
use super::{Known, book, written};
use crate::domain::{ErpId, ExternalId, FieldValue, Fields, Link, NewProblem, Order};
use crate::erp::{Lines, SalesOrder, SalesOrderLine, Save};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, MappedField, MappedRow};

/// One line that is to become another one.
#[derive(Clone, Debug, PartialEq)]
struct Edit {
    /// Its external id within the shop.
    name: String,
    /// What people know it by.
    title: String,
    /// As it stands in the ERP; none for a line that is to be added.
    held: Option<SalesOrderLine>,
    product: Option<ErpId>,
    quantity: Decimal,
    price: Decimal,
    taxes: Vec<ErpId>,
    fields: Fields,
}

/// Changes the lines. Returns the order as it is then.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    known: &mut Known<'_>,
    held: SalesOrder,
    differences: &[String],
    lines: Option<&BTreeSet<String>>,
) -> Result<SalesOrder, Stop> {
    let ours = book::our_lines(flow, mapped, &held).await?;
    let mut edits = edits(order, mapped, &held, &ours, lines);
    accept_added(flow, &mut edits, &held, &ours, known).await?;
    if edits.is_empty() {
        return Ok(held);
    }
    let obstacles = obstacles(flow, &edits, &held, &known.by_hand);
    if !obstacles.is_empty() {
        return Err(by_hand(flow, order, &held, &edits, &obstacles, differences));
    }
    if let Some(link) = known.link {
        flow.commit_links(vec![plan::while_editing(&remembering(link, known))])
            .await?;
    }
    let (mut fields, mut before) = (Fields::new(), Held::new());
    for edit in &edits {
        let place = written::of_line(&edit.name);
        let own = edit.fields.iter();
        fields.extend(own.map(|(name, value)| (format!("{place}{name}"), value.clone())));
        if let Some(line) = &edit.held {
            before.extend(written::line_before(line, &edit.name));
        }
    }
    flow.may_write()?;
    written::note(flow, &mapped.model, &fields, Some(&before));
    let mut rows = Vec::with_capacity(edits.len());
    for edit in &edits {
        rows.push((flow.external_id(&edit.name)?, edit.fields.clone()));
    }
    known.written.extend(edits.iter().map(|edit| edit.name.clone()));
    save_lines(flow, mapped, rows).await?;
    reach(FailPoint::LinesChanged).await?;
    let lines = mapped.group(LINES).and_then(|group| group.field.as_deref());
    flow.has_written_part(lines.unwrap_or("order_line"));
    for edit in &edits {
        // What is written beside it, because the ERP would work it out anew, stays as it was.
        written::tell_line(flow, &edit.name, &differing(edit), &before);
    }
    flow.note(
        "lines_changed",
        json!({ "order": held.name, "changes": edits.iter().map(instruction).collect::<Vec<_>>() }),
    );
    book::read(flow, held.id).await
}

/// What would be changed of one line, for a preview.
pub(in crate::sync) struct Change {
    /// Its external id within the shop.
    pub(in crate::sync) name: String,
    /// As it stands in the ERP; none for a line that would be added.
    pub(in crate::sync) held: Option<SalesOrderLine>,
    /// Field and value as they would be written, where they differ.
    pub(in crate::sync) fields: Fields,
}

/// For a preview: what would be changed, and why it would be left to a person.
pub(in crate::sync) async fn planned(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    link: Option<&Link>,
    held: &SalesOrder,
    differences: &[String],
    lines: Option<&BTreeSet<String>>,
) -> Result<(Vec<Change>, Option<Stop>), Stop> {
    let ours = book::our_lines(flow, mapped, held).await?;
    let mut edits = edits(order, mapped, held, &ours, lines);
    let mut added = link.map(added_by_hand).unwrap_or_default();
    added.extend(take_added(&mut edits, held, &ours));
    let obstacles = obstacles(flow, &edits, held, &added);
    let stop = (!obstacles.is_empty()).then(|| by_hand(flow, order, held, &edits, &obstacles, differences));
    let changes = edits
        .into_iter()
        .map(|edit| Change {
            fields: differing(&edit),
            name: edit.name,
            held: edit.held,
        })
        .collect();
    Ok((changes, stop))
}

/// The fields of an edit that are not what stands there.
fn differing(edit: &Edit) -> Fields {
    let Some(line) = &edit.held else {
        return edit.fields.clone();
    };
    let differs = |name: &str| match name {
        "product_uom_qty" => line.quantity != edit.quantity,
        "price_unit" => line.unit_price != edit.price,
        "tax_ids" => sorted(&line.taxes) != edit.taxes,
        _ => false,
    };
    let fields = edit.fields.iter();
    fields.filter(|(name, _)| differs(name)).cloned().collect()
}

/// Takes lines that a person added for those that were to be added: of the same product, quantity, price and taxes.
async fn accept_added(
    flow: &Flow<'_>,
    edits: &mut Vec<Edit>,
    held: &SalesOrder,
    ours: &[(String, ErpId)],
    known: &mut Known<'_>,
) -> Result<(), Stop> {
    let added = take_added(edits, held, ours);
    if added.is_empty() {
        return Ok(());
    }
    known.by_hand.extend(added);
    flow.note(
        "lines_added_by_hand",
        json!({ "order": held.name, "lines": known.by_hand }),
    );
    // Kept at once: a person may still have other steps to do.
    match known.link {
        Some(link) => flow.commit_links(vec![remembering(link, known)]).await,
        None => Ok(()),
    }
}

/// Takes from the edits those that a person has made, with the lines that stand for them.
fn take_added(edits: &mut Vec<Edit>, held: &SalesOrder, ours: &[(String, ErpId)]) -> BTreeMap<String, ErpId> {
    let mut added = BTreeMap::new();
    let mut theirs: Vec<&SalesOrderLine> = held
        .lines
        .iter()
        .filter(|line| line.product.is_some() && !ours.iter().any(|(_, id)| *id == line.id))
        .collect();
    edits.retain(|edit| {
        let same = |line: &&SalesOrderLine| {
            line.product == edit.product
                && line.quantity == edit.quantity
                && line.unit_price == edit.price
                && sorted(&line.taxes) == edit.taxes
        };
        let found = match &edit.held {
            None => theirs.iter().position(same),
            Some(_) => None,
        };
        if let Some(found) = found {
            added.insert(edit.name.clone(), theirs.remove(found).id);
        }
        found.is_none()
    });
    added
}

/// The link with the lines that people added.
fn remembering(link: &Link, known: &Known<'_>) -> Link {
    let mut link = link.clone();
    if !known.by_hand.is_empty() {
        if !link.agreed.is_object() {
            link.agreed = json!({});
        }
        link.agreed[BY_HAND] = json!(known.by_hand);
    }
    link
}

/// Writes lines of an order and nothing else of it.
pub(super) async fn save_lines(
    flow: &Flow<'_>,
    mapped: &Mapped,
    rows: Vec<(ExternalId, Fields)>,
) -> Result<(), Stop> {
    let group = mapped.group(LINES);
    let save = Save {
        model: mapped.model.clone(),
        external_id: flow.external_id(&mapped.external_id)?,
        fields: Fields::new(),
        lines: Some(Lines {
            field: group
                .and_then(|group| group.field.clone())
                .unwrap_or_else(|| "order_line".into()),
            model: group.map_or_else(|| "sale.order.line".into(), |group| group.model.clone()),
            rows,
        }),
    };
    flow.write(flow.shop.erp.save(std::slice::from_ref(&save)))
        .await?;
    Ok(())
}

/// What is to be written so that the order has the lines that the mapping makes: of those lines of the shop's order that
/// changed, or of all.
fn edits(
    order: &Order,
    mapped: &Mapped,
    held: &SalesOrder,
    ours: &[(String, ErpId)],
    changed: Option<&BTreeSet<String>>,
) -> Vec<Edit> {
    let rows = mapped.group(LINES).map_or(&[][..], |group| &group.rows);
    let stands = |name: &str| {
        let (_, id) = ours.iter().find(|(of, _)| of == name)?;
        held.lines.iter().find(|line| line.id == *id)
    };
    let mut edits: Vec<Edit> = rows
        .iter()
        .filter(|row| match (changed, order.lines.get(row.source_index)) {
            (Some(changed), Some(line)) => changed.contains(&line.key),
            _ => true,
        })
        .filter_map(|row| {
            let edit = wanted(order, row, stands(&row.external_id));
            let same = edit.held.as_ref().is_some_and(|line| {
                line.quantity == edit.quantity
                    && line.unit_price == edit.price
                    && sorted(&line.taxes) == edit.taxes
            });
            (!same).then_some(edit)
        })
        .collect();
    let rounding = book::line_name(mapped, ROUNDING_LINE);
    for (name, id) in ours {
        let is_wanted = *name == rounding || rows.iter().any(|row| row.external_id == *name);
        let Some(line) = held.lines.iter().find(|line| line.id == *id) else {
            continue;
        };
        if !is_wanted && !line.quantity.is_zero() {
            edits.push(Edit {
                name: name.clone(),
                title: line.name.clone(),
                held: Some(line.clone()),
                product: line.product,
                quantity: Decimal::ZERO,
                price: line.unit_price,
                taxes: sorted(&line.taxes),
                fields: vec![
                    ("name".into(), FieldValue::Text(line.name.clone())),
                    ("product_uom_qty".into(), FieldValue::Decimal(Decimal::ZERO)),
                    ("price_unit".into(), FieldValue::Decimal(line.unit_price)),
                    ("tax_ids".into(), FieldValue::Records(line.taxes.clone())),
                ],
            });
        }
    }
    edits
}

/// A row of the mapping as a change of the line that stands there.
fn wanted(order: &Order, row: &MappedRow, held: Option<&SalesOrderLine>) -> Edit {
    let number = |target: &str, otherwise: Decimal| match value(row, target) {
        Some(FieldValue::Decimal(number)) => *number,
        Some(FieldValue::Integer(number)) => Decimal::from(*number),
        _ => otherwise,
    };
    let title = match (held, value(row, "name"), order.lines.get(row.source_index)) {
        (Some(line), _, _) if !line.name.is_empty() => line.name.clone(),
        (_, Some(FieldValue::Text(name)), _) => name.clone(),
        (_, _, Some(line)) => line.title.clone(),
        _ => row.key.clone(),
    };
    let fields = row
        .fields
        .iter()
        .filter(|field| held.is_none() || is_edited(field))
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect();
    Edit {
        name: row.external_id.clone(),
        title,
        quantity: number("product_uom_qty", held.map_or(Decimal::ONE, |line| line.quantity)),
        price: number("price_unit", held.map_or(Decimal::ZERO, |line| line.unit_price)),
        taxes: match value(row, "tax_ids") {
            Some(FieldValue::Records(taxes)) => sorted(taxes),
            Some(FieldValue::Clear) => Vec::new(),
            _ => held.map(|line| sorted(&line.taxes)).unwrap_or_default(),
        },
        product: match value(row, "product_id") {
            Some(FieldValue::Record(product)) => Some(*product),
            _ => held.and_then(|line| line.product),
        },
        held: held.cloned(),
        fields,
    }
}

/// Whether an edit writes this field of a line that stands there.
pub(super) fn is_edited(field: &MappedField) -> bool {
    !(field.create_only || &*field.target == "product_id")
}

fn value<'r>(row: &'r MappedRow, target: &str) -> Option<&'r FieldValue> {
    let field = row.fields.iter().find(|field| *field.target == *target)?;
    Some(&field.value)
}

fn sorted(taxes: &[ErpId]) -> Vec<ErpId> {
    let mut taxes = taxes.to_vec();
    taxes.sort_unstable();
    taxes
}

/// Why these changes are not made.
fn obstacles(
    flow: &Flow<'_>,
    edits: &[Edit],
    held: &SalesOrder,
    added_by_hand: &BTreeMap<String, ErpId>,
) -> Vec<String> {
    let invoiced_by_people = held.invoiced && flow.shop.settings.invoices == Invoices::None;
    edits
        .iter()
        .filter_map(|edit| {
            if added_by_hand.contains_key(&edit.name) {
                Some(format!("{} was added by hand", edit.title))
            } else {
                obstacle(edit, held, invoiced_by_people)
            }
        })
        .collect()
}

/// Why this change is not made. What people have invoiced they consider done: more of it would never be invoiced unless
/// somebody told them.
fn obstacle(edit: &Edit, held: &SalesOrder, invoiced_by_people: bool) -> Option<String> {
    if held.locked {
        return Some(format!("{} is locked", held.name));
    }
    let before = edit.held.as_ref().map_or(Decimal::ZERO, |line| line.quantity);
    if invoiced_by_people && edit.quantity > before {
        return Some(format!("{} is invoiced", held.name));
    }
    let line = edit.held.as_ref()?;
    let title = &edit.title;
    if line.delivered > edit.quantity {
        return Some(format!("{} x {title} were delivered", line.delivered.normalize()));
    }
    if line.invoiced > edit.quantity {
        return Some(format!("{} x {title} were invoiced", line.invoiced.normalize()));
    }
    let costs_the_same = line.unit_price == edit.price && sorted(&line.taxes) == edit.taxes;
    if !line.invoiced.is_zero() && !costs_the_same {
        return Some(format!("{title} was invoiced at another price"));
    }
    None
}

/// The change as an instruction for a person.
fn instruction(edit: &Edit) -> String {
    let title = &edit.title;
    let (quantity, price) = (edit.quantity.normalize(), edit.price);
    let Some(line) = &edit.held else {
        let product = edit
            .product
            .map_or_else(String::new, |id| format!("product {id}, "));
        let taxes = match edit.taxes.as_slice() {
            [] => "no taxes".to_owned(),
            taxes => {
                let taxes: Vec<String> = taxes.iter().map(ToString::to_string).collect();
                format!("taxes {}", taxes.join(" and "))
            }
        };
        return format!("add {quantity} x {title} at {price} ({product}{taxes})");
    };
    let mut steps = Vec::new();
    if line.quantity != edit.quantity {
        let before = line.quantity.normalize();
        steps.push(format!("set the quantity of {title} from {before} to {quantity}"));
    }
    if line.unit_price != edit.price && !edit.quantity.is_zero() {
        steps.push(format!(
            "set the price of {title} from {} to {price}",
            line.unit_price
        ));
    }
    if sorted(&line.taxes) != edit.taxes {
        steps.push(format!("correct the taxes of {title}"));
    }
    steps.join(" and ")
}

fn by_hand(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    edits: &[Edit],
    obstacles: &[String],
    differences: &[String],
) -> Stop {
    let mut obstacles = obstacles.to_vec();
    obstacles.dedup();
    let instructions: Vec<String> = edits.iter().map(instruction).collect();
    let fix = format!(
        "In the ERP, on {}: {}. If it is locked, unlock it first; what was delivered too much comes back through a return, \
         what was invoiced too much through a credit note. The order must come to {} {} then. Then retry.",
        held.name,
        instructions.join("; "),
        order.totals.total,
        order.currency
    );
    let mut problem: NewProblem = flow.subject.problem(
        "order_changed_after_booking",
        "",
        format!(
            "The order changed on Shopify, and {} cannot be changed by itself: {}.",
            held.name,
            obstacles.join("; ")
        ),
        &fix,
    );
    problem.detail = json!({
        "differences": differences, "instructions": instructions, "obstacles": obstacles,
        "shopify_total": order.totals.total, "erp_total": held.total, "erp_order": held.name,
    });
    problem.into()
}
