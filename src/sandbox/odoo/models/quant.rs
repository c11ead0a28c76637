//! Stock levels: how many units of a product lie at a location, and what of them is promised.
//!
//! Observed: levels are set by `stock.quant.create` with `inventory_mode` in the context and `action_apply_inventory`; a second
//! creation for the same product and location answers with the existing level; `inventory_quantity_auto_apply` sets at once,
//! and without `inventory_mode` does nothing at all. How reservations and transfers move them is the documented behaviour.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::product;
use super::stock::{MOVE, PICKING, is_open};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::Res;
use crate::sandbox::odoo::options::Version;
use crate::sandbox::odoo::orm::write::Parsed;
use crate::sandbox::odoo::schema::{Field, Model};
use crate::sandbox::odoo::value::Val;

const QUANT: &str = "stock.quant";
const WAREHOUSE: &str = "stock.warehouse";
const MODE: &str = "inventory_mode";

/// The level of a product at a location.
fn level(env: &Env<'_>, product: i64, location: i64) -> Option<i64> {
    let mut levels = env.db.children(QUANT, "product_id", product);
    levels.retain(|level| env.id(QUANT, *level, "location_id") == Some(location));
    levels.first().copied()
}

/// An existing level that a creation of the same is to change instead.
pub(in crate::sandbox::odoo) fn existing(env: &Env<'_>, vals: &Json) -> Option<i64> {
    if !env.context.flag(MODE) {
        return None;
    }
    level(env, vals["product_id"].as_i64()?, vals["location_id"].as_i64()?)
}

/// What a client may say of a level: what was counted, and only while taking stock.
pub(super) fn before_change(env: &Env<'_>, parsed: &mut Parsed) {
    if env.context.flag(MODE) {
        if parsed.has("inventory_quantity") {
            parsed.cells.insert("inventory_quantity_set", Val::Bool(true));
        }
    } else if !env.is_system() {
        for field in ["inventory_quantity", "inventory_quantity_set", "quantity"] {
            parsed.cells.remove(field);
        }
    }
}

/// `action_apply_inventory`: what was counted is what there is.
pub(in crate::sandbox::odoo) fn apply(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for id in ids {
        if env.is(QUANT, *id, "inventory_quantity_set") {
            let counted = env.dec(QUANT, *id, "inventory_quantity");
            put(env, *id, counted);
        }
    }
    Ok(())
}

/// Writing `inventory_quantity_auto_apply`.
pub(super) fn auto_apply(env: &mut Env<'_>, id: i64, json: &Json) -> Res<()> {
    if env.context.flag(MODE) {
        let counted = super::sent_number(json)?;
        put(env, id, counted);
    }
    Ok(())
}

fn put(env: &mut Env<'_>, id: i64, quantity: Decimal) {
    let values = [
        ("quantity", Val::Dec(quantity)),
        ("inventory_quantity", Val::Dec(Decimal::ZERO)),
        ("inventory_quantity_set", Val::Bool(false)),
    ];
    env.set(QUANT, id, values);
    env.touch(QUANT, id);
}

/// Where the goods of a transfer lie.
fn shelf(env: &Env<'_>, picking: i64) -> Option<i64> {
    let order = env.id(PICKING, picking, "sale_id")?;
    let warehouse = env.id("sale.order", order, "warehouse_id")?;
    env.id(WAREHOUSE, warehouse, "lot_stock_id")
}

/// A move that was carried out takes from the shelf or puts back, also where nothing is left: levels may become negative.
pub(super) fn moved(env: &mut Env<'_>, known: i64, quantity: Decimal) {
    let picking = env.id(MOVE, known, "picking_id").unwrap_or_default();
    let signed = match env.text(PICKING, picking, "picking_type_code").as_str() {
        "outgoing" => -quantity,
        "incoming" => quantity,
        _ => return,
    };
    let (Some(product), Some(location)) = (env.id(MOVE, known, "product_id"), shelf(env, picking)) else {
        return;
    };
    if !product::is_stored(env, product) {
        return;
    }
    let id = level(env, product, location).unwrap_or_else(|| {
        let company = env.company();
        env.insert(
            QUANT,
            Row::from([
                ("product_id", Val::Int(product)),
                ("location_id", Val::Int(location)),
                ("company_id", Val::Int(company)),
                ("quantity", Val::Dec(Decimal::ZERO)),
                ("inventory_quantity", Val::Dec(Decimal::ZERO)),
                ("inventory_quantity_set", Val::Bool(false)),
            ]),
        )
    });
    let there = env.dec(QUANT, id, "quantity") + signed;
    env.set(QUANT, id, [("quantity", Val::Dec(there))]);
    env.touch(QUANT, id);
}

/// How much of a stored product a move could still reserve, beside what others have.
pub(super) fn reservable(env: &Env<'_>, known: i64) -> Decimal {
    let picking = env.id(MOVE, known, "picking_id").unwrap_or_default();
    let (Some(product), Some(location)) = (env.id(MOVE, known, "product_id"), shelf(env, picking)) else {
        return Decimal::ZERO;
    };
    let own = env.dec(MOVE, known, "quantity");
    let free = on_hand(env, product, Some(location)) - reserved(env, product, Some(location)) + own;
    free.max(Decimal::ZERO)
}

fn on_hand(env: &Env<'_>, product: i64, location: Option<i64>) -> Decimal {
    env.db
        .children(QUANT, "product_id", product)
        .into_iter()
        .filter(|level| location.is_none_or(|at| env.id(QUANT, *level, "location_id") == Some(at)))
        .map(|level| env.dec(QUANT, level, "quantity"))
        .sum()
}

/// Open moves of a product: out of a location (none: any), and what `of` says of each.
fn open_moves(env: &Env<'_>, product: i64, location: Option<i64>, kind: &str, of: &str) -> Decimal {
    env.db
        .children(MOVE, "product_id", product)
        .into_iter()
        .filter(|known| is_open(env, MOVE, *known))
        .filter(|known| {
            let picking = env.id(MOVE, *known, "picking_id").unwrap_or_default();
            env.text(PICKING, picking, "picking_type_code") == kind
                && location.is_none_or(|at| shelf(env, picking) == Some(at))
        })
        .map(|known| env.dec(MOVE, known, of))
        .sum()
}

fn reserved(env: &Env<'_>, product: i64, location: Option<i64>) -> Decimal {
    open_moves(env, product, location, "outgoing", "quantity")
}

/// The place that the context asks for: a location, or a warehouse's.
fn asked_for(env: &Env<'_>) -> Option<i64> {
    let number = |name: &str| env.context.get(name).and_then(Json::as_i64);
    // 17 knows a warehouse by the first name, later versions by the second, and neither minds the other.
    let name = if env.version() == Version::V17 {
        "warehouse"
    } else {
        "warehouse_id"
    };
    number("location").or_else(|| {
        let warehouse = number(name)?;
        // A warehouse that does not exist holds nothing.
        Some(env.id(WAREHOUSE, warehouse, "lot_stock_id").unwrap_or(-1))
    })
}

/// `qty_available`, `free_qty`, `virtual_available` and their parts, of one variant.
pub(super) fn quantity(env: &Env<'_>, product: i64, name: &str) -> Val {
    if !product::is_stored(env, product) {
        return Val::Dec(Decimal::ZERO);
    }
    let at = asked_for(env);
    let demand = |kind: &str| open_moves(env, product, at, kind, "product_uom_qty");
    Val::Dec(match name {
        "qty_available" => on_hand(env, product, at),
        "free_qty" => on_hand(env, product, at) - reserved(env, product, at),
        "incoming_qty" => demand("incoming"),
        "outgoing_qty" => demand("outgoing"),
        _ => on_hand(env, product, at) + demand("incoming") - demand("outgoing"),
    })
}

/// A level's own computed fields.
pub(super) fn live(env: &Env<'_>, id: i64, field: &Field) -> Val {
    let quantity = env.dec(QUANT, id, "quantity");
    let reserved = || {
        let product = env.id(QUANT, id, "product_id").unwrap_or_default();
        reserved(env, product, env.id(QUANT, id, "location_id"))
    };
    match field.name {
        "reserved_quantity" => Val::Dec(reserved()),
        "available_quantity" => Val::Dec(quantity - reserved()),
        "inventory_quantity_auto_apply" => Val::Dec(quantity),
        _ => Val::Empty,
    }
}
