//! From orders to invoices: what of an order is invoiced, and the wizard that invoices the rest.

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::account;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::write;
use crate::sandbox::odoo::schema::{Model, sale_line_names};
use crate::sandbox::odoo::value::{Map, Val, float};

const LINE: &str = "sale.order.line";
const ORDER: &str = "sale.order";
const MOVE: &str = "account.move";
const ITEM: &str = "account.move.line";
const PRODUCT: &str = "product.product";

/// Invoice lines that name any of these order lines, with the order lines they name.
fn items(env: &Env<'_>, lines: &[i64]) -> Vec<(i64, Vec<i64>)> {
    let all = env.db.ids(ITEM).into_iter();
    all.filter_map(|item| {
        let named = env.row(ITEM, item)?.get("sale_line_ids")?.as_ids();
        let ours: Vec<i64> = named.iter().filter(|id| lines.contains(id)).copied().collect();
        (!ours.is_empty()).then_some((item, ours))
    })
    .collect()
}

/// Invoice lines of one order line.
pub(super) fn lines_of(env: &Env<'_>, line: i64) -> Vec<i64> {
    items(env, &[line]).into_iter().map(|(item, _)| item).collect()
}

/// Invoices and credit notes that an order's lines are on, newest last.
pub(super) fn invoices(env: &Env<'_>, order: i64) -> Vec<i64> {
    let lines = env.db.children(LINE, "order_id", order);
    let mut found: Vec<i64> = items(env, &lines)
        .into_iter()
        .filter_map(|(item, _)| env.id(ITEM, item, "move_id"))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Orders that the lines of an invoice are on.
pub(in crate::sandbox::odoo) fn orders(env: &Env<'_>, invoice: i64) -> Vec<i64> {
    let mut found: Vec<i64> = env
        .db
        .children(ITEM, "move_id", invoice)
        .into_iter()
        .flat_map(|item| env.ids(ITEM, item, "sale_line_ids"))
        .filter_map(|line| env.id(LINE, line, "order_id"))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Computes and stores what is invoiced of an order. Drafts count, cancelled invoices do not, credit notes take back.
pub(super) fn compute(env: &mut Env<'_>, order: i64) {
    let confirmed = env.text(ORDER, order, "state") == "sale";
    let lines = env.db.children(LINE, "order_id", order);
    let linked = items(env, &lines);
    let mut states: Vec<&'static str> = Vec::new();
    for line in lines {
        let invoiced: Decimal = linked
            .iter()
            .filter(|(_, named)| named.contains(&line))
            .map(|(item, _)| signed_quantity(env, *item))
            .sum();
        let plain = env.get(LINE, line, "display_type") == Val::Empty;
        let (ordered, delivered) = (
            env.dec(LINE, line, "product_uom_qty"),
            env.dec(LINE, line, "qty_delivered"),
        );
        let by_order = env
            .id(LINE, line, "product_id")
            .is_none_or(|product| env.text(PRODUCT, product, "invoice_policy") != "delivery");
        let due = if by_order { ordered } else { delivered };
        let open = if confirmed && plain {
            due - invoiced
        } else {
            Decimal::ZERO
        };
        let state = if !confirmed || !plain {
            "no"
        } else if !open.is_zero() {
            "to invoice"
        } else if by_order && delivered > ordered && ordered >= Decimal::ZERO {
            "upselling"
        } else if invoiced >= ordered {
            "invoiced"
        } else {
            "no"
        };
        if plain {
            states.push(state);
        }
        env.set(
            LINE,
            line,
            [
                ("qty_invoiced", Val::Dec(invoiced)),
                ("qty_to_invoice", Val::Dec(open)),
                ("invoice_status", Val::text(state)),
            ],
        );
    }
    let state = if states.contains(&"to invoice") {
        "to invoice"
    } else if !confirmed || states.is_empty() {
        "no"
    } else if states.iter().all(|state| *state == "invoiced") {
        "invoiced"
    } else if states
        .iter()
        .all(|state| ["invoiced", "upselling"].contains(state))
    {
        "upselling"
    } else {
        "no"
    };
    env.set(ORDER, order, [("invoice_status", Val::text(state))]);
}

fn signed_quantity(env: &Env<'_>, item: i64) -> Decimal {
    let invoice = env.id(ITEM, item, "move_id").unwrap_or_default();
    if env.text(MOVE, invoice, "state") == "cancel" {
        return Decimal::ZERO;
    }
    let quantity = env.dec(ITEM, item, "quantity");
    if account::is_refund(env, invoice) {
        -quantity
    } else {
        quantity
    }
}

/// `create_invoices` of the wizard: one draft for each customer (or order), and an action that shows it. What it
/// answers is not observed.
pub(in crate::sandbox::odoo) fn create_invoices(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    let mut made = Vec::new();
    for wizard in ids {
        if env.text(model.name, *wizard, "advance_payment_method") != "delivered" {
            return Err(OdooError::user("Down payments are not played by the stand-in."));
        }
        let orders = env.ids(model.name, *wizard, "sale_order_ids");
        let together = env.is(model.name, *wizard, "consolidated_billing");
        let deduct = env.is(model.name, *wizard, "deduct_down_payments");
        let mut groups: Vec<Vec<i64>> = Vec::new();
        for order in orders {
            let alike = |other: &i64| {
                ["partner_invoice_id", "currency_id", "company_id"]
                    .into_iter()
                    .all(|field| env.id(ORDER, *other, field) == env.id(ORDER, order, field))
            };
            match groups.iter_mut().find(|group| together && alike(&group[0])) {
                Some(group) => group.push(order),
                None => groups.push(vec![order]),
            }
        }
        for group in groups {
            made.push(invoice(env, &group, deduct)?);
        }
    }
    Ok(json!({
        "name": "Invoices", "type": "ir.actions.act_window", "res_model": MOVE, "view_mode": "form",
        "res_id": made.first(), "domain": [["id", "in", made]], "context": {"default_move_type": "out_invoice"},
    }))
}

/// One draft invoice of what is open on orders of one customer.
fn invoice(env: &mut Env<'_>, orders: &[i64], deduct: bool) -> Res<i64> {
    let mut commands = Vec::new();
    for order in orders {
        commands.extend(open_lines(env, *order, deduct));
    }
    let Some(order) = orders.first().copied().filter(|_| !commands.is_empty()) else {
        return Err(OdooError::user(
            "Cannot create an invoice. No items are available to invoice.\n\nTo resolve this issue, please ensure that:\n   • The products have been delivered before attempting to invoice them.\n   • The invoicing policy of the product is configured correctly.",
        ));
    };
    let names: Vec<String> = orders
        .iter()
        .map(|order| env.text(ORDER, *order, "name"))
        .collect();
    let references: Vec<String> = orders
        .iter()
        .map(|order| env.text(ORDER, *order, "client_order_ref"))
        .filter(|text| !text.is_empty())
        .collect();
    let mut vals = Map::from_iter([
        ("move_type".to_owned(), json!("out_invoice")),
        ("invoice_origin".to_owned(), json!(names.join(", "))),
        ("ref".to_owned(), json!(references.join(", "))),
        ("invoice_line_ids".to_owned(), Json::Array(commands)),
    ]);
    for (field, source) in [
        ("partner_id", "partner_invoice_id"),
        ("partner_shipping_id", "partner_shipping_id"),
        ("currency_id", "currency_id"),
        ("company_id", "company_id"),
        ("invoice_user_id", "user_id"),
        ("team_id", "team_id"),
        ("journal_id", "journal_id"),
        ("invoice_payment_term_id", "payment_term_id"),
        ("fiscal_position_id", "fiscal_position_id"),
    ] {
        if let Some(id) = env.id(ORDER, order, source) {
            vals.insert(field.to_owned(), json!(id));
        }
    }
    let id = write::create(env, env.model(MOVE), &vals)?;
    if env.dec(MOVE, id, "amount_total") < Decimal::ZERO {
        account::switch_to_refund(env, id)?;
    }
    Ok(id)
}

/// Commands that copy an order's open lines. Sections and notes come along with a priced line below them.
fn open_lines(env: &Env<'_>, order: i64, deduct: bool) -> Vec<Json> {
    let (_, taxes) = sale_line_names(env.version());
    let (mut commands, mut waiting) = (Vec::new(), Vec::new());
    for line in env.ids(ORDER, order, "order_line") {
        let display = env.text(LINE, line, "display_type");
        if !display.is_empty() {
            let shown = if display == "line_note" {
                "line_note"
            } else {
                "line_section"
            };
            let vals = json!({"display_type": shown, "name": env.text(LINE, line, "name"), "sale_line_ids": [[4, line]],
                "sequence": env.id(LINE, line, "sequence")});
            waiting.push(json!([0, 0, vals]));
            continue;
        }
        let open = env.dec(LINE, line, "qty_to_invoice");
        if open.is_zero() || (open < Decimal::ZERO && !deduct) {
            continue;
        }
        commands.append(&mut waiting);
        let vals = json!({
            "display_type": "product", "product_id": env.id(LINE, line, "product_id"),
            "name": env.text(LINE, line, "name"), "quantity": open.to_string(),
            "price_unit": env.dec(LINE, line, "price_unit").to_string(),
            "discount": float(env.dec(LINE, line, "discount")),
            "tax_ids": [[6, 0, env.ids(LINE, line, taxes)]], "sale_line_ids": [[4, line]],
            "sequence": env.id(LINE, line, "sequence"),
        });
        commands.push(json!([0, 0, vals]));
    }
    commands
}
