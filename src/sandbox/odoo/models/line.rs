//! `sale.order.line`: what a product brings along, and prices that do not stick.

use rust_decimal::Decimal;
use serde_json::json;

use super::{invoicing, product, stock};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::write::Parsed;
use crate::sandbox::odoo::schema::sale_line_names;
use crate::sandbox::odoo::value::{Val, float, round};

const LINE: &str = "sale.order.line";
const ORDER: &str = "sale.order";

/// Line fields that a locked order protects, besides unit and taxes (whose names differ); 19 adds the discount.
const PROTECTED: [&str; 4] = ["product_id", "name", "price_unit", "product_uom_qty"];

pub(super) fn defaults() -> Row {
    Row::from([
        ("product_uom_qty", Val::Dec(Decimal::ONE)),
        ("discount", Val::Dec(Decimal::ZERO)),
        ("sequence", Val::Int(10)),
        ("customer_lead", Val::Dec(Decimal::ZERO)),
        ("qty_delivered", Val::Dec(Decimal::ZERO)),
        ("qty_invoiced", Val::Dec(Decimal::ZERO)),
        ("price_subtotal", Val::Dec(Decimal::ZERO)),
        ("price_tax", Val::Dec(Decimal::ZERO)),
        ("price_total", Val::Dec(Decimal::ZERO)),
    ])
}

pub(super) fn before_create(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let (unit, _) = sale_line_names(env.version());
    let order = parsed.cells.get("order_id").and_then(Val::as_id);
    let product = parsed.cells.get("product_id").and_then(Val::as_id);
    if parsed
        .cells
        .get("display_type")
        .is_some_and(|kind| *kind != Val::Empty)
    {
        if product.is_some() {
            return Err(OdooError::validation(
                "Forbidden values on non-accountable sale order line",
            ));
        }
        let nothing = ["product_uom_qty", "price_unit", "technical_price_unit"];
        parsed
            .cells
            .extend(nothing.map(|field| (field, Val::Dec(Decimal::ZERO))));
        parsed.cells.insert(unit, Val::Empty);
        return Ok(());
    }
    let Some(order) = order else { return Ok(()) };
    if let Some(product) = product {
        from_product(env, product, order, parsed);
    }
    if parsed.has("price_unit") {
        if !parsed.has("technical_price_unit") {
            let price = parsed.cells.get("price_unit").cloned().unwrap_or_default();
            parsed.cells.insert("technical_price_unit", price);
        }
    } else {
        let price = product.map_or(Decimal::ZERO, |product| catalogue_price(env, product, order));
        parsed.cells.insert("price_unit", Val::Dec(price));
        parsed.cells.insert("technical_price_unit", Val::Dec(price));
    }
    Ok(())
}

/// Name, unit and taxes follow the product unless they were sent too.
fn from_product(env: &Env<'_>, product: i64, order: i64, parsed: &mut Parsed) {
    let (unit, taxes) = sale_line_names(env.version());
    if !parsed.has("name") {
        parsed.cells.insert("name", description(env, product));
    }
    if !parsed.has(unit) {
        parsed
            .cells
            .insert(unit, env.get("product.product", product, "uom_id"));
    }
    if !parsed.has(taxes) {
        parsed.cells.insert(taxes, default_taxes(env, product, order));
    }
}

/// Name and sales text of a product, as a new line shows them.
fn description(env: &Env<'_>, product: i64) -> Val {
    let name = product::variant_name(env, product);
    let text = env.text("product.product", product, "description_sale");
    Val::Text(if text.is_empty() {
        name
    } else {
        format!("{name}\n{text}")
    })
}

/// The product's sale taxes that belong to the order's company.
fn default_taxes(env: &Env<'_>, product: i64, order: i64) -> Val {
    let company = env.id(ORDER, order, "company_id");
    let taxes = env.ids("product.product", product, "taxes_id");
    Val::Ids(
        taxes
            .into_iter()
            .filter(|tax| env.id("account.tax", *tax, "company_id") == company)
            .collect(),
    )
}

/// What the product costs in the order's currency.
fn catalogue_price(env: &Env<'_>, product: i64, order: i64) -> Decimal {
    let price = product::list_price(env, product);
    let rate = |currency: Option<i64>| {
        let rate = currency
            .map(|currency| env.dec("res.currency", currency, "rate"))
            .unwrap_or_default();
        if rate.is_zero() { Decimal::ONE } else { rate }
    };
    let company = env.id(ORDER, order, "company_id").unwrap_or(1);
    let (from, to) = (
        env.id("res.company", company, "currency_id"),
        env.id(ORDER, order, "currency_id"),
    );
    if from == to {
        price
    } else {
        round(price * rate(to) / rate(from), 2)
    }
}

/// Whether somebody changed the price after it was computed: only then does it survive a new quantity.
fn is_sticky(env: &Env<'_>, id: i64) -> bool {
    round(env.dec(LINE, id, "price_unit"), 2) != round(env.dec(LINE, id, "technical_price_unit"), 2)
}

pub(super) fn after_create(env: &mut Env<'_>, id: i64) {
    let order = env.id(LINE, id, "order_id").unwrap_or_default();
    env.stale_orders.insert(order);
    if env.text(ORDER, order, "state") == "sale" {
        stock::procure(env, id, env.dec(LINE, id, "product_uom_qty"));
    }
}

pub(super) fn before_write(env: &mut Env<'_>, id: i64, parsed: &mut Parsed) -> Res<()> {
    let (unit, taxes) = sale_line_names(env.version());
    let order = env.id(LINE, id, "order_id").unwrap_or_default();
    check_lock(env, order, parsed, unit, taxes)?;
    let before = env.id(LINE, id, "product_id");
    let product = parsed.cells.get("product_id").map_or(before, Val::as_id);
    if product != before && env.text(ORDER, order, "state") == "sale" {
        return Err(OdooError::user(
            "You cannot modify the product of this order line.",
        ));
    }
    if env.get(LINE, id, "display_type") != Val::Empty {
        return Ok(());
    }
    if let Some(product) = product.filter(|_| parsed.has("product_id")) {
        from_product(env, product, order, parsed);
    }
    let recomputes = ["product_id", "product_uom_qty", unit]
        .into_iter()
        .any(|field| parsed.has(field));
    if recomputes && !parsed.has("price_unit") && !is_sticky(env, id) {
        let price = product.map_or(Decimal::ZERO, |product| catalogue_price(env, product, order));
        parsed.cells.insert("price_unit", Val::Dec(price));
        parsed.cells.insert("technical_price_unit", Val::Dec(price));
    }
    Ok(())
}

fn check_lock(env: &Env<'_>, order: i64, parsed: &Parsed, unit: &str, taxes: &str) -> Res<()> {
    if !env.is(ORDER, order, "locked") {
        return Ok(());
    }
    let discount: &[&str] = if env.version().before_19() {
        &[]
    } else {
        &["discount"]
    };
    let model = env.model(LINE);
    let touched: Vec<&str> = PROTECTED
        .iter()
        .chain(&[unit, taxes])
        .chain(discount)
        .filter(|field| parsed.has(field))
        .filter_map(|field| model.field(field).map(|field| field.label))
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    Err(OdooError::user(format!(
        "It is forbidden to modify the following fields in a locked order:\n{}",
        touched.join("\n")
    )))
}

pub(super) fn after_write(env: &mut Env<'_>, id: i64, old: &Row, parsed: &Parsed) -> Res<()> {
    let (_, taxes) = sale_line_names(env.version());
    let order = env.id(LINE, id, "order_id").unwrap_or_default();
    env.stale_orders.insert(order);
    if let Some(Val::Int(previous)) = old.get("order_id") {
        env.stale_orders.insert(*previous);
    }
    // Text alone does not show in the order's write_date; what changes amounts does.
    if ["product_uom_qty", "price_unit", "discount", "product_id", taxes]
        .into_iter()
        .any(|field| parsed.has(field))
    {
        env.touch(ORDER, order);
    }
    let before = old.get("product_uom_qty").map(Val::as_dec).unwrap_or_default();
    let now = env.dec(LINE, id, "product_uom_qty");
    if now != before && env.text(ORDER, order, "state") == "sale" {
        if now > before {
            stock::procure(env, id, now - before);
        } else {
            stock::reduce(env, id, before - now)?;
        }
    }
    Ok(())
}

pub(super) fn before_unlink(env: &mut Env<'_>, id: i64) -> Res<()> {
    let order = env.id(LINE, id, "order_id").unwrap_or_default();
    let plain = env.get(LINE, id, "display_type") == Val::Empty;
    if plain && env.text(ORDER, order, "state") == "sale" {
        return Err(OdooError::user(
            "Once a sales order is confirmed, you can't remove one of its lines (we need to track if something gets invoiced or delivered).\n                Set the quantity to 0 instead.",
        ));
    }
    Ok(())
}

pub(super) fn after_unlink(env: &mut Env<'_>, old: &Row) {
    if let Some(order) = old.get("order_id").and_then(Val::as_id)
        && env.db.exists(ORDER, order)
    {
        env.stale_orders.insert(order);
        env.touch(ORDER, order);
    }
}

pub(super) fn live(env: &Env<'_>, id: i64, name: &str) -> Val {
    let order = env.id(LINE, id, "order_id").unwrap_or_default();
    match name {
        "currency_id" | "company_id" | "state" => env.get(ORDER, order, name),
        "order_partner_id" => env.get(ORDER, order, "partner_id"),
        "product_template_id" => {
            let product = env.id(LINE, id, "product_id");
            product.map_or(Val::Empty, |product| {
                env.get("product.product", product, "product_tmpl_id")
            })
        }
        "invoice_lines" => Val::Ids(invoicing::lines_of(env, id)),
        _ => Val::Empty,
    }
}

/// A line's tax as Odoo sends it: the difference of two binary floats, with its dust.
pub(super) fn noisy_tax(env: &Env<'_>, id: i64) -> serde_json::Value {
    json!(float(env.dec(LINE, id, "price_total")) - float(env.dec(LINE, id, "price_subtotal")))
}
