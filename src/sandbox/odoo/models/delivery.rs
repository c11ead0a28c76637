//! Validating transfers: what was moved, what is left for a back-order, and what that says about the order.

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::stock::{MOVE, PICKING, is_open, refresh};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::search;
use crate::sandbox::odoo::orm::write::Parsed;
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::Val;

const LINE: &str = "sale.order.line";
const ORDER: &str = "sale.order";

/// The open moves of a transfer.
fn moves(env: &Env<'_>, picking: i64) -> Vec<i64> {
    let mut moves = env.db.children(MOVE, "picking_id", picking);
    moves.retain(|known| is_open(env, MOVE, *known));
    moves
}

/// `button_validate`: true when everything is done. A transfer with less than was asked for answers with a wizard and
/// is *not* done, unless the context skips the question. Quantities that nobody marked as picked all count; once one
/// is marked, the unmarked ones stay behind (the code of 17 and later; not observed).
pub(in crate::sandbox::odoo) fn validate(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    let open: Vec<i64> = ids
        .iter()
        .copied()
        .filter(|id| env.text(PICKING, *id, "state") != "done")
        .collect();
    for picking in &open {
        let moves = moves(env, *picking);
        if moves.is_empty() {
            return Err(OdooError::user("Please add some items to move."));
        }
        if moves
            .iter()
            .all(|known| env.dec(MOVE, *known, "quantity").is_zero())
        {
            return Err(OdooError::user(
                "You cannot validate a transfer if no quantities are reserved. To force the transfer, encode quantities.",
            ));
        }
    }
    let mut short = Vec::new();
    for picking in &open {
        let moves = moves(env, *picking);
        if !moves.iter().any(|known| env.is(MOVE, *known, "picked")) {
            for known in &moves {
                env.set(MOVE, *known, [("picked", Val::Bool(true))]);
            }
        }
        if moves
            .iter()
            .any(|known| taken(env, *known) < env.dec(MOVE, *known, "product_uom_qty"))
        {
            short.push(*picking);
        }
    }
    if !short.is_empty() && !env.context.flag("skip_backorder") {
        return Ok(json!({
            "name": "Create Backorder?", "type": "ir.actions.act_window", "view_mode": "form",
            "res_model": "stock.backorder.confirmation", "target": "new",
            "context": {"default_pick_ids": short.iter().map(|id| json!([4, id])).collect::<Vec<_>>(),
                "button_validate_picking_ids": ids},
        }));
    }
    let dropped = search::ids(
        env.context
            .get("picking_ids_not_to_backorder")
            .unwrap_or(&Json::Null),
    );
    for picking in open {
        finish(env, picking, !dropped.contains(&picking))?;
    }
    super::settle(env)?;
    Ok(json!(true))
}

/// What of a move leaves now.
fn taken(env: &Env<'_>, known: i64) -> Decimal {
    if env.is(MOVE, known, "picked") {
        env.dec(MOVE, known, "quantity")
    } else {
        Decimal::ZERO
    }
}

fn finish(env: &mut Env<'_>, picking: i64, backorder: bool) -> Res<()> {
    let mut rest: Vec<(i64, Decimal)> = Vec::new();
    for known in moves(env, picking) {
        let (taken, demand) = (taken(env, known), env.dec(MOVE, known, "product_uom_qty"));
        if taken < demand {
            rest.push((known, demand - taken));
        }
        if taken.is_zero() {
            continue;
        }
        env.set(
            MOVE,
            known,
            [
                ("state", Val::text("done")),
                ("date", Val::Time(env.now)),
                ("product_uom_qty", Val::Dec(demand.min(taken))),
            ],
        );
        env.touch(MOVE, known);
        super::quant::moved(env, known, taken);
    }
    let next = (backorder && !rest.is_empty()).then(|| continuation(env, picking));
    for (known, left) in rest {
        leave(env, known, left, next);
    }
    env.set(
        PICKING,
        picking,
        [("state", Val::text("done")), ("date_done", Val::Time(env.now))],
    );
    env.touch(PICKING, picking);
    if let Some(next) = next {
        refresh(env, next);
    }
    if let Some(order) = env.id(PICKING, picking, "sale_id") {
        env.touch(ORDER, order);
        count_delivered(env, order);
    }
    Ok(())
}

/// The back-order of a transfer, still empty.
fn continuation(env: &mut Env<'_>, picking: i64) -> i64 {
    let name = env.text(PICKING, picking, "name");
    let (prefix, kind) = name
        .rsplit_once('/')
        .map_or(("WH/OUT", "outgoing"), |(prefix, _)| {
            (
                prefix,
                if prefix.ends_with("IN") {
                    "incoming"
                } else {
                    "outgoing"
                },
            )
        });
    let number = env.db.next_number(kind);
    let mut row = Row::from([
        ("name", Val::Text(format!("{prefix}/{number:05}"))),
        ("backorder_id", Val::Int(picking)),
        ("state", Val::text("confirmed")),
    ]);
    for field in [
        "origin",
        "partner_id",
        "company_id",
        "sale_id",
        "picking_type_code",
        "is_dropship",
        "scheduled_date",
        "carrier_id",
    ] {
        row.insert(field, env.get(PICKING, picking, field));
    }
    env.insert(PICKING, row)
}

/// What was not taken of a move goes to the back-order, or is given up.
fn leave(env: &mut Env<'_>, known: i64, left: Decimal, next: Option<i64>) {
    let state = if next.is_some() { "confirmed" } else { "cancel" };
    let place = next.or_else(|| env.id(MOVE, known, "picking_id"));
    let values = [
        ("picking_id", Val::one(place)),
        ("product_uom_qty", Val::Dec(left)),
        ("quantity", Val::Dec(Decimal::ZERO)),
        ("picked", Val::Bool(false)),
        ("state", Val::text(state)),
    ];
    // A move of which something left was split before; one of which nothing left goes as it is.
    if env.text(MOVE, known, "state") == "done" {
        let Some(mut row) = env.row(MOVE, known).cloned() else {
            return;
        };
        row.extend(values);
        let split = env.insert(MOVE, row);
        super::stock::reserve(env, split);
    } else {
        env.set(MOVE, known, values);
        super::stock::reserve(env, known);
    }
}

/// Delivered quantities of an order's goods: what went out less what came back.
pub(super) fn count_delivered(env: &mut Env<'_>, order: i64) {
    for line in env.db.children(LINE, "order_id", order) {
        let moves = env.db.children(MOVE, "sale_line_id", line);
        if moves.is_empty() {
            continue;
        }
        let delivered: Decimal = moves
            .into_iter()
            .filter(|known| env.text(MOVE, *known, "state") == "done")
            .map(|known| {
                let quantity = env.dec(MOVE, known, "quantity");
                let picking = env.id(MOVE, known, "picking_id").unwrap_or_default();
                if env.text(PICKING, picking, "picking_type_code") == "incoming" {
                    -quantity
                } else {
                    quantity
                }
            })
            .sum();
        env.set(LINE, line, [("qty_delivered", Val::Dec(delivered))]);
    }
    env.stale_orders.insert(order);
}

/// `process` (a back-order is made) and `process_cancel_backorder` (the rest is given up) of the wizard.
pub(in crate::sandbox::odoo) fn answer(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    backorder: bool,
) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for wizard in ids {
        for picking in env.ids(model.name, *wizard, "pick_ids") {
            if env.text(PICKING, picking, "state") != "done" {
                finish(env, picking, backorder)?;
            }
        }
    }
    super::settle(env)?;
    Ok(json!(true))
}

/// `action_assign` reserves what needs no stock, `action_cancel` gives a transfer up; both answer true.
pub(in crate::sandbox::odoo) fn press(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    cancel: bool,
) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for picking in ids {
        if env.text(PICKING, *picking, "state") == "done" && cancel {
            return Err(OdooError::user(
                "You cannot cancel a stock move that has been set to 'Done'. Create a return in order to reverse the moves which took place.",
            ));
        }
        for known in moves(env, *picking) {
            if cancel {
                env.set(MOVE, known, [("state", Val::text("cancel"))]);
            } else {
                super::stock::reserve(env, known);
            }
        }
        refresh(env, *picking);
    }
    Ok(json!(true))
}

/// A done move is history: its demand and product stay. Not observed in this wording.
pub(super) fn before_write_move(env: &mut Env<'_>, id: i64, parsed: &Parsed) -> Res<()> {
    let fixed = ["product_uom_qty", "product_id", "picking_id"];
    if env.text(MOVE, id, "state") == "done" && fixed.into_iter().any(|field| parsed.has(field)) {
        return Err(OdooError::user(
            "You cannot change a stock move that has been set to 'Done'.",
        ));
    }
    Ok(())
}

/// A quantity that is written by hand is reserved, whether there is stock or not.
pub(super) fn after_write_move(env: &mut Env<'_>, id: i64, parsed: &Parsed) {
    let picking = env.id(MOVE, id, "picking_id").unwrap_or_default();
    if env.text(MOVE, id, "state") == "done" {
        if let Some(order) = env.id(PICKING, picking, "sale_id") {
            count_delivered(env, order);
        }
        return;
    }
    if parsed.has("quantity") && is_open(env, MOVE, id) {
        let (quantity, demand) = (
            env.dec(MOVE, id, "quantity"),
            env.dec(MOVE, id, "product_uom_qty"),
        );
        let state = if quantity.is_zero() {
            "confirmed"
        } else if quantity < demand {
            "partially_available"
        } else {
            "assigned"
        };
        env.set(MOVE, id, [("state", Val::text(state))]);
        refresh(env, picking);
    }
}
