//! What single models do beyond storing values: defaults, computed fields, rules.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::db::{Key, Row};
use super::env::Env;
use super::error::{OdooError, Res};
use super::orm::write::Parsed;
use super::schema::{Field, Model, Origin};
use super::value::Val;

pub(in crate::sandbox::odoo) mod account;
pub(in crate::sandbox::odoo) mod amounts;
pub(super) mod confirm;
pub(in crate::sandbox::odoo) mod delivery;
pub(in crate::sandbox::odoo) mod invoicing;
pub(super) mod line;
pub(super) mod mail;
pub(super) mod partner;
pub(super) mod product;
pub(in crate::sandbox::odoo) mod quant;
pub(in crate::sandbox::odoo) mod register;
pub(super) mod sale;
pub(super) mod stock;
pub(super) mod variants;

/// Values that a new record starts with.
pub(super) fn defaults(env: &Env<'_>, model: &'static Model) -> Row {
    let mut row = match model.name {
        "res.partner" => partner::defaults(env),
        "sale.order" => sale::defaults(env),
        "sale.order.line" => line::defaults(),
        "product.template" => product::defaults(env),
        "product.attribute" => Row::from([
            ("create_variant", Val::text("always")),
            ("display_type", Val::text("radio")),
            ("sequence", Val::Int(20)),
        ]),
        "account.tax" => register::tax_defaults(env),
        "stock.picking" => Row::from([("state", Val::text("draft"))]),
        "stock.quant" => Row::from([
            ("company_id", Val::Int(env.company())),
            ("quantity", Val::Dec(Decimal::ZERO)),
            ("inventory_quantity", Val::Dec(Decimal::ZERO)),
        ]),
        "account.move" => account::defaults(env),
        "account.move.line" => account::item_defaults(),
        "account.payment" => account::payment::defaults(env),
        "account.payment.register" => account::payment::register_defaults(env),
        "account.move.reversal" => account::refund::defaults(env),
        "sale.advance.payment.inv" => account::advance_defaults(env),
        "ir.model.fields" => register::field_defaults(),
        "account.journal" => Row::from([
            ("company_id", Val::Int(env.company())),
            ("sequence", Val::Int(10)),
        ]),
        "product.pricelist" => Row::from([
            ("sequence", Val::Int(16)),
            ("currency_id", Val::one(register::company_currency(env))),
        ]),
        _ => Row::new(),
    };
    for name in ["active", "ptav_active"] {
        if model.field(name).is_some_and(|field| field.origin == Origin::Own) {
            row.entry(if name == "active" { "active" } else { "ptav_active" })
                .or_insert(Val::Bool(true));
        }
    }
    row
}

/// Completes and checks a new record before it is stored.
pub(super) fn before_create(env: &mut Env<'_>, model: &'static Model, parsed: &mut Parsed) -> Res<()> {
    match model.name {
        "res.partner" => partner::before_create(env, parsed)?,
        "sale.order" => sale::before_create(env, parsed),
        "sale.order.line" => line::before_create(env, parsed)?,
        "product.template" => product::before_create_template(env, parsed),
        "product.product" => product::before_create_variant(env, parsed)?,
        "product.template.attribute.value" => variants::before_create_value(env, parsed),
        "product.attribute.value" => variants::check_unique_value(env, parsed)?,
        "product.category" => register::complete_category(env, parsed),
        "account.tax" => register::before_write_tax(env, None, parsed),
        "ir.model.data" => register::before_create_external_id(env, parsed)?,
        "ir.model.fields" => register::before_create_field(env, parsed)?,
        "stock.quant" => quant::before_change(env, parsed),
        "account.move" => account::before_create(env, parsed),
        "account.move.line" => account::item_before_create(env, parsed)?,
        "account.payment" => account::payment::before_create(env, parsed)?,
        "account.payment.register" => account::payment::register_before_create(env, parsed)?,
        "account.move.reversal" => account::refund::before_create(env, parsed)?,
        _ => {}
    }
    Ok(())
}

/// Follows up on a stored new record.
pub(super) fn after_create(env: &mut Env<'_>, model: &'static Model, id: i64, parsed: &Parsed) -> Res<()> {
    match model.name {
        "res.partner" => partner::after_change(env, id, parsed),
        "sale.order" => sale::after_create(env, id),
        "sale.order.line" => line::after_create(env, id),
        "product.template" => product::after_create_template(env, id)?,
        "product.product" => product::check_barcode(env, id)?,
        "product.template.attribute.line" => variants::after_line_change(env, id)?,
        "account.move" => drop(env.stale_moves.insert(id)),
        "account.move.line" => account::item_after_change(env, id),
        "ir.model.fields" => env.fields_changed = true,
        _ => {}
    }
    Ok(())
}

/// Completes and checks a change of one record before it is stored.
pub(super) fn before_write(
    env: &mut Env<'_>,
    model: &'static Model,
    id: i64,
    parsed: &mut Parsed,
) -> Res<()> {
    match model.name {
        "res.partner" => partner::before_write(env, id, parsed)?,
        "sale.order" => sale::before_write(env, id, parsed)?,
        "sale.order.line" => line::before_write(env, id, parsed)?,
        "product.template" => product::before_write_template(env, id, parsed),
        "account.tax" => register::before_write_tax(env, Some(id), parsed),
        "account.move" => account::before_write(env, id, parsed)?,
        "account.move.line" => account::item_before_write(env, id, parsed)?,
        "account.payment" => account::payment::before_write(env, id, parsed)?,
        "stock.move" => delivery::before_write_move(env, id, parsed)?,
        "stock.quant" => quant::before_change(env, parsed),
        _ => {}
    }
    Ok(())
}

/// Follows up on a stored change.
pub(super) fn after_write(
    env: &mut Env<'_>,
    model: &'static Model,
    id: i64,
    old: &Row,
    parsed: &Parsed,
) -> Res<()> {
    match model.name {
        "res.partner" => partner::after_change(env, id, parsed),
        "sale.order" => sale::after_write(env, id, old, parsed),
        "sale.order.line" => line::after_write(env, id, old, parsed)?,
        "product.template" => product::after_write_template(env, id, parsed)?,
        "product.product" => product::check_barcode(env, id)?,
        "product.template.attribute.line" => variants::after_line_change(env, id)?,
        "account.move" => drop(env.stale_moves.insert(id)),
        "account.move.line" => account::item_after_change(env, id),
        "stock.move" => delivery::after_write_move(env, id, parsed),
        _ => {}
    }
    Ok(())
}

/// Refuses a deletion.
pub(super) fn before_unlink(env: &mut Env<'_>, model: &'static Model, id: i64) -> Res<()> {
    match model.name {
        "res.partner" => partner::before_unlink(env, id)?,
        "sale.order" => sale::before_unlink(env, id)?,
        "sale.order.line" => line::before_unlink(env, id)?,
        "product.product" => product::before_unlink_variant(env, id)?,
        "account.move" => account::before_unlink(env, id)?,
        "account.move.line" => account::item_before_unlink(env, id)?,
        _ => {}
    }
    Ok(())
}

/// Follows up on a deletion.
pub(super) fn after_unlink(env: &mut Env<'_>, model: &'static Model, old: &Row) {
    match model.name {
        "sale.order.line" => line::after_unlink(env, old),
        "ir.model.fields" => env.fields_changed = true,
        "product.template.attribute.line" => variants::after_line_unlink(env, old),
        _ => {}
    }
}

/// Computes what the writes of a call made out of date.
pub(super) fn settle(env: &mut Env<'_>) -> Res<()> {
    while let Some(template) = env.stale_templates.pop_first() {
        variants::generate(env, template)?;
    }
    while let Some(invoice) = env.stale_moves.pop_first() {
        account::compute(env, invoice);
    }
    while let Some(order) = env.stale_orders.pop_first() {
        amounts::compute(env, order);
    }
    Ok(())
}

/// Whether a computed field can be written through.
pub(super) fn has_inverse(model: &Model, field: &Field) -> bool {
    matches!(
        (model.name, field.name),
        (
            "product.template",
            "default_code" | "barcode" | "weight" | "volume" | "standard_price"
        ) | ("product.product", "lst_price")
            | ("stock.quant", "inventory_quantity_auto_apply")
            | ("res.partner", "company_type")
            | ("res.users", "name" | "email")
    )
}

/// Writes through a computed field; those without an inverse are ignored, as by the real server.
pub(super) fn inverse(
    env: &mut Env<'_>,
    model: &'static Model,
    id: i64,
    field: &'static Field,
    json: &Json,
) -> Res<()> {
    if !has_inverse(model, field) {
        return Ok(());
    }
    match model.name {
        "product.template" => product::write_only_variant(env, id, field, json),
        "product.product" => product::write_list_price(env, id, json),
        "stock.quant" => quant::auto_apply(env, id, json),
        "res.partner" => {
            partner::write_company_type(env, id, json);
            Ok(())
        }
        _ => register::write_user_partner(env, id, field, json),
    }
}

/// A field that is computed when it is read.
pub(super) fn live(env: &Env<'_>, model: &'static Model, id: i64, field: &Field) -> Val {
    match (model.name, field.name) {
        (_, "display_name") => Val::Text(display_name(env, model.name, id)),
        (_, "message_ids") => {
            let key = Key::Text(format!("{},{id}", model.name));
            let mut ids = env.db.find("mail.message", "reference", &key).unwrap_or_default();
            ids.reverse();
            Val::Ids(ids)
        }
        ("res.partner", name) => partner::live(env, id, name),
        ("sale.order", name) => sale::live(env, id, name),
        ("sale.order.line", name) => line::live(env, id, name),
        ("account.move", name) => account::live(env, id, name),
        ("account.move.line", name) => account::item_live(env, id, name),
        ("account.payment", name) => account::payment::live(env, id, name),
        (
            "product.product",
            "qty_available" | "free_qty" | "virtual_available" | "incoming_qty" | "outgoing_qty",
        ) => quant::quantity(env, id, field.name),
        ("stock.quant", _) => quant::live(env, id, field),
        ("product.template", name) => product::live_template(env, id, name),
        ("product.product", name) => product::live_variant(env, id, name),
        ("product.template.attribute.value" | "product.template.attribute.line", name) => {
            variants::live(env, model.name, id, name)
        }
        ("res.users", name @ ("name" | "email")) => {
            let partner = env.id("res.users", id, "partner_id").unwrap_or_default();
            env.get("res.partner", partner, name)
        }
        _ => Val::Empty,
    }
}

/// A value as it leaves in a reply (a many2one as its bare id).
pub(super) fn shown(env: &Env<'_>, model: &Model, id: i64, field: &Field, val: &Val) -> Json {
    match (model.name, field.name) {
        ("sale.order.line", "price_tax") => line::noisy_tax(env, id),
        _ => super::value::show(field, val),
    }
}

/// How a record is shown where it is pointed to.
pub(super) fn display_name(env: &Env<'_>, model: &str, id: i64) -> String {
    match model {
        "res.partner" => partner::display_name(env, id),
        "product.product" => product::variant_name(env, id),
        "product.template" => product::template_name(env, id),
        "product.template.attribute.value" => variants::value_name(env, id),
        "product.attribute.value" => {
            let attribute = env.id(model, id, "attribute_id").unwrap_or_default();
            format!(
                "{}: {}",
                env.text("product.attribute", attribute, "name"),
                env.text(model, id, "name")
            )
        }
        "product.category" | "ir.model.data" => env.text(model, id, "complete_name"),
        "res.country.state" => {
            let country = env.id(model, id, "country_id").unwrap_or_default();
            format!(
                "{} ({})",
                env.text(model, id, "name"),
                env.text("res.country", country, "code")
            )
        }
        "sale.order.line" => {
            let order = env.id(model, id, "order_id").unwrap_or_default();
            let name = env.text(model, id, "name");
            format!(
                "{} - {}",
                env.text("sale.order", order, "name"),
                name.lines().next().unwrap_or_default()
            )
        }
        "product.template.attribute.line" => {
            let attribute = env.id(model, id, "attribute_id").unwrap_or_default();
            env.text("product.attribute", attribute, "name")
        }
        "product.pricelist" => {
            let currency = env.id(model, id, "currency_id").unwrap_or_default();
            format!(
                "{} ({})",
                env.text(model, id, "name"),
                env.text("res.currency", currency, "name")
            )
        }
        "ir.config_parameter" => env.text(model, id, "key"),
        "ir.model.fields" => env.text(model, id, "field_description"),
        "account.move" => account::display_name(env, id),
        _ => env.text(model, id, "name"),
    }
}

/// The texts by which `name_search` (and an import by name) finds a record.
pub(super) fn names(env: &Env<'_>, model: &str, id: i64) -> Vec<String> {
    let mut names = vec![display_name(env, model, id)];
    let fields: &[&str] = match model {
        "res.partner" => &["name", "email", "ref"],
        "product.product" | "product.template" => &["name", "default_code", "barcode"],
        "res.country" | "res.country.state" => &["name", "code"],
        "sale.order" => &["name", "client_order_ref"],
        "account.journal" => &["name", "code"],
        "res.users" => &["login"],
        _ => &["name"],
    };
    let declared = env.model(model);
    for field in fields.iter().filter(|field| declared.has(field)) {
        let text = env.text(model, id, field);
        if !text.is_empty() && !names.contains(&text) {
            names.push(text);
        }
    }
    names
}

/// A number that a client sent for a computed field with an inverse.
fn sent_number(json: &Json) -> Res<Decimal> {
    match json {
        Json::Number(number) => super::value::decimal(number),
        Json::String(text) => super::value::parse_decimal(text),
        Json::Null | Json::Bool(false) => Some(Decimal::ZERO),
        _ => None,
    }
    .ok_or_else(|| OdooError::value(format!("could not convert string to float: {json}")))
}
