//! Transfers that follow a confirmed order.

use rust_decimal::Decimal;

use super::{product, quant};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::value::Val;

const LINE: &str = "sale.order.line";
const ORDER: &str = "sale.order";
pub(super) const PICKING: &str = "stock.picking";
pub(super) const MOVE: &str = "stock.move";

/// Whether a transfer or move still waits for something.
pub(super) fn is_open(env: &Env<'_>, model: &str, id: i64) -> bool {
    !["done", "cancel"].contains(&env.text(model, id, "state").as_str())
}

/// Has `quantity` of a line's product delivered: in the order's open delivery, or a new one.
pub(super) fn procure(env: &mut Env<'_>, line: i64, quantity: Decimal) {
    let Some(product) = env.id(LINE, line, "product_id") else {
        return;
    };
    if quantity <= Decimal::ZERO || !product::is_goods(env, product) {
        return;
    }
    let order = env.id(LINE, line, "order_id").unwrap_or_default();
    let kind = if env.sys.options.dropship {
        "dropship"
    } else {
        "outgoing"
    };
    let picking = open_delivery(env, order, kind).unwrap_or_else(|| new_picking(env, order, kind));
    add_move(env, picking, line, product, quantity);
}

fn open_delivery(env: &Env<'_>, order: i64, kind: &str) -> Option<i64> {
    env.db
        .children(PICKING, "sale_id", order)
        .into_iter()
        .find(|picking| {
            env.text(PICKING, *picking, "picking_type_code") == kind && is_open(env, PICKING, *picking)
        })
}

fn new_picking(env: &mut Env<'_>, order: i64, kind: &str) -> i64 {
    let warehouse = env.id(ORDER, order, "warehouse_id").unwrap_or_default();
    let code = env.text("stock.warehouse", warehouse, "code");
    let number = env
        .db
        .next_number(if kind == "incoming" { kind } else { "outgoing" });
    let name = match kind {
        "dropship" => format!("DS/{number:05}"),
        "incoming" => format!("{code}/IN/{number:05}"),
        _ => format!("{code}/OUT/{number:05}"),
    };
    let row = Row::from([
        ("name", Val::Text(name)),
        ("origin", env.get(ORDER, order, "name")),
        ("partner_id", env.get(ORDER, order, "partner_shipping_id")),
        ("company_id", env.get(ORDER, order, "company_id")),
        ("sale_id", Val::Int(order)),
        ("state", Val::text("confirmed")),
        ("picking_type_code", Val::text(kind)),
        ("is_dropship", Val::Bool(kind == "dropship")),
        ("scheduled_date", Val::Time(env.now)),
    ]);
    env.insert(PICKING, row)
}

fn add_move(env: &mut Env<'_>, picking: i64, line: i64, product: i64, quantity: Decimal) {
    let same = env
        .db
        .children(MOVE, "picking_id", picking)
        .into_iter()
        .find(|known| env.id(MOVE, *known, "sale_line_id") == Some(line) && is_open(env, MOVE, *known));
    if let Some(known) = same {
        let demand = env.dec(MOVE, known, "product_uom_qty") + quantity;
        env.set(MOVE, known, [("product_uom_qty", Val::Dec(demand))]);
        reserve(env, known);
        refresh(env, picking);
        return;
    }
    let mut row = Row::from([
        ("picking_id", Val::Int(picking)),
        ("product_id", Val::Int(product)),
        ("sale_line_id", Val::Int(line)),
        ("product_uom_qty", Val::Dec(quantity)),
        ("quantity", Val::Dec(Decimal::ZERO)),
        ("state", Val::text("confirmed")),
        ("date", Val::Time(env.now)),
    ]);
    if env.version().before_19() {
        row.insert("name", env.get(LINE, line, "name"));
    }
    let known = env.insert(MOVE, row);
    reserve(env, known);
    refresh(env, picking);
}

/// Reserves what a move asks for. Goods that are not stored need no stock and always are; of those that are stored as much
/// as is there and free. Not observed.
pub(super) fn reserve(env: &mut Env<'_>, known: i64) {
    let product = env.id(MOVE, known, "product_id").unwrap_or_default();
    if !is_open(env, MOVE, known) {
        return;
    }
    let demand = env.dec(MOVE, known, "product_uom_qty");
    let taken = if product::is_stored(env, product) {
        demand.min(quant::reservable(env, known))
    } else {
        demand
    };
    // What somebody wrote there by hand stays, whether there is stock or not.
    if taken <= env.dec(MOVE, known, "quantity") {
        return;
    }
    let state = if taken < demand {
        "partially_available"
    } else {
        "assigned"
    };
    env.set(
        MOVE,
        known,
        [("quantity", Val::Dec(taken)), ("state", Val::text(state))],
    );
}

/// The state of a transfer follows from those of its moves.
pub(super) fn refresh(env: &mut Env<'_>, picking: i64) {
    let states: Vec<String> = env
        .db
        .children(MOVE, "picking_id", picking)
        .into_iter()
        .map(|known| env.text(MOVE, known, "state"))
        .collect();
    let any = |wanted: &[&str]| states.iter().any(|state| wanted.contains(&state.as_str()));
    let state = if any(&["assigned", "partially_available"]) {
        "assigned"
    } else if any(&["confirmed", "waiting", "draft"]) {
        "confirmed"
    } else if any(&["done"]) {
        "done"
    } else {
        "cancel"
    };
    env.set(PICKING, picking, [("state", Val::text(state))]);
}

/// Takes `quantity` back. When nothing is left the delivery is cancelled; otherwise, with several lines, 19 makes a
/// return, and 18 posts a message, which fails for a user without an e-mail address.
pub(super) fn reduce(env: &mut Env<'_>, line: i64, quantity: Decimal) -> Res<()> {
    let Some(product) = env
        .id(LINE, line, "product_id")
        .filter(|product| product::is_goods(env, *product))
    else {
        return Ok(());
    };
    let order = env.id(LINE, line, "order_id").unwrap_or_default();
    // Known of 17 and 18, and not observed on any.
    if env.dec(LINE, line, "product_uom_qty") < env.dec(LINE, line, "qty_delivered") {
        return Err(OdooError::user(
            "The ordered quantity of a sale order line cannot be decreased below the amount already delivered. Instead, create a return in your inventory.",
        ));
    }
    let lines = env.db.children(LINE, "order_id", order);
    let several = lines
        .iter()
        .filter(|line| env.id(LINE, **line, "product_id").is_some())
        .count()
        > 1;
    if several && !env.version().before_19() {
        let picking = new_picking(env, order, "incoming");
        add_move(env, picking, line, product, quantity);
        return Ok(());
    }
    if several {
        let partner = env.id("res.users", env.uid, "partner_id").unwrap_or_default();
        if env.text("res.partner", partner, "email").is_empty() {
            return Err(OdooError::user(
                "Unable to send message, please configure the sender's email address.",
            ));
        }
        env.post(
            ORDER,
            order,
            "<p>The ordered quantity has been updated.</p>",
            "notification",
        );
    }
    take_from_moves(env, line, quantity);
    for picking in env.db.children(PICKING, "sale_id", order) {
        if is_open(env, PICKING, picking) {
            refresh(env, picking);
        }
    }
    Ok(())
}

fn take_from_moves(env: &mut Env<'_>, line: i64, quantity: Decimal) {
    let mut left = quantity;
    for known in env.db.children(MOVE, "sale_line_id", line) {
        if !is_open(env, MOVE, known) || left.is_zero() {
            continue;
        }
        let demand = env.dec(MOVE, known, "product_uom_qty");
        let taken = demand.min(left);
        left -= taken;
        let rest = demand - taken;
        let quantity = env.dec(MOVE, known, "quantity").min(rest);
        env.set(
            MOVE,
            known,
            [
                ("product_uom_qty", Val::Dec(rest)),
                ("quantity", Val::Dec(quantity)),
            ],
        );
        if rest.is_zero() {
            env.set(MOVE, known, [("state", Val::text("cancel"))]);
        }
    }
}

/// Cancels every open transfer of an order.
pub(super) fn cancel_all(env: &mut Env<'_>, order: i64) {
    for picking in env.db.children(PICKING, "sale_id", order) {
        if env.text(PICKING, picking, "state") == "done" {
            continue;
        }
        env.set(PICKING, picking, [("state", Val::text("cancel"))]);
        for known in env.db.children(MOVE, "picking_id", picking) {
            if is_open(env, MOVE, known) {
                env.set(MOVE, known, [("state", Val::text("cancel"))]);
            }
        }
    }
}

/// How far the deliveries of an order are.
pub(super) fn delivery_status(env: &Env<'_>, order: i64) -> Val {
    let pickings = env.db.children(PICKING, "sale_id", order);
    let states: Vec<String> = pickings
        .into_iter()
        .map(|picking| env.text(PICKING, picking, "state"))
        .filter(|state| state != "cancel")
        .collect();
    let done = states.iter().filter(|state| *state == "done").count();
    let delivered = || {
        let lines = env.db.children(LINE, "order_id", order);
        lines
            .into_iter()
            .any(|line| !env.dec(LINE, line, "qty_delivered").is_zero())
    };
    if states.is_empty() {
        Val::Empty
    } else if done == states.len() {
        Val::text("full")
    } else if done == 0 {
        Val::text("pending")
    } else {
        Val::text(if delivered() { "partial" } else { "started" })
    }
}
