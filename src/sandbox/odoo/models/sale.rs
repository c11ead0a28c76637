//! `sale.order`: defaults from the partner, derived currency, what may be deleted.

use rust_decimal::Decimal;
use serde_json::json;

use super::{amounts, invoicing, mail, partner, stock};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::search::{self, Page};
use crate::sandbox::odoo::orm::write::Parsed;
use crate::sandbox::odoo::value::Val;

const ORDER: &str = "sale.order";

pub(super) fn defaults(env: &Env<'_>) -> Row {
    Row::from([
        ("state", Val::text("draft")),
        ("date_order", Val::Time(env.now)),
        ("company_id", Val::Int(env.company())),
        ("user_id", Val::Int(env.uid)),
        ("invoice_status", Val::text("no")),
        ("require_signature", Val::Bool(true)),
        ("currency_rate", Val::Dec(Decimal::ONE)),
        ("amount_untaxed", Val::Dec(Decimal::ZERO)),
        ("amount_tax", Val::Dec(Decimal::ZERO)),
        ("amount_total", Val::Dec(Decimal::ZERO)),
    ])
}

pub(super) fn before_create(env: &mut Env<'_>, parsed: &mut Parsed) {
    let company = parsed.cells.get("company_id").and_then(Val::as_id).unwrap_or(1);
    let unnamed = ["", "New"].contains(&parsed.cells.get("name").map_or("", Val::as_text));
    if unnamed {
        let number = env.db.next_number("sale.order");
        parsed.cells.insert("name", Val::Text(format!("S{number:05}")));
    }
    let partner = parsed.cells.get("partner_id").and_then(Val::as_id);
    if let Some(partner) = partner {
        from_partner(env, partner, company, true, parsed);
    }
    for (field, model) in [("team_id", "crm.team"), ("warehouse_id", "stock.warehouse")] {
        if !parsed.has(field) {
            let first = first_of_company(env, model, company);
            parsed.cells.insert(field, Val::one(first));
        }
    }
    let currency = currency(
        env,
        parsed.cells.get("pricelist_id").and_then(Val::as_id),
        company,
    );
    parsed.cells.insert("currency_id", Val::one(currency));
}

/// The first record of a register that the company may use.
fn first_of_company(env: &Env<'_>, model: &str, company: i64) -> Option<i64> {
    let domain = json!([["company_id", "in", [company, false]]]);
    search::search(
        env,
        env.model(model),
        &domain,
        &Page {
            limit: Some(1),
            ..Page::default()
        },
    )
    .ok()?
    .first()
    .copied()
}

/// Addresses, price list and payment term follow the customer unless they were sent too.
fn from_partner(env: &Env<'_>, partner: i64, company: i64, draft: bool, parsed: &mut Parsed) {
    let addresses = partner::address_get(env, partner, &["invoice", "delivery"]);
    for (field, kind) in [
        ("partner_invoice_id", "invoice"),
        ("partner_shipping_id", "delivery"),
    ] {
        if !parsed.has(field) {
            let address = addresses
                .iter()
                .find(|(known, _)| known == kind)
                .map(|(_, id)| *id);
            parsed.cells.insert(field, Val::one(address));
        }
    }
    if !parsed.has("pricelist_id") && draft {
        let own = env.id("res.partner", partner, "property_product_pricelist");
        let pricelist = own.or_else(|| first_of_company(env, "product.pricelist", company));
        parsed.cells.insert("pricelist_id", Val::one(pricelist));
    }
    if !parsed.has("payment_term_id") {
        let term = env.get("res.partner", partner, "property_payment_term_id");
        parsed.cells.insert("payment_term_id", term);
    }
}

/// The price list's currency, else the company's.
fn currency(env: &Env<'_>, pricelist: Option<i64>, company: i64) -> Option<i64> {
    pricelist
        .and_then(|pricelist| env.id("product.pricelist", pricelist, "currency_id"))
        .or_else(|| env.id("res.company", company, "currency_id"))
}

pub(super) fn after_create(env: &mut Env<'_>, id: i64) {
    env.stale_orders.insert(id);
    env.created_orders.push(id);
    if mail::tracks(env) {
        env.post(ORDER, id, "<p>Sales Order created</p>", "notification");
    }
    let user = env.id(ORDER, id, "user_id");
    mail::notify_assigned(env, ORDER, id, user);
}

pub(super) fn before_write(env: &mut Env<'_>, id: i64, parsed: &mut Parsed) -> Res<()> {
    let company = env.id(ORDER, id, "company_id").unwrap_or(1);
    let draft = env.text(ORDER, id, "state") == "draft";
    // Writing the customer, even the same one, has what follows from it computed again.
    if let Some(Val::Int(partner)) = parsed.cells.get("partner_id").cloned() {
        from_partner(env, partner, company, draft, parsed);
    }
    if let Some(pricelist) = parsed.cells.get("pricelist_id") {
        if !draft && pricelist.as_id() != env.id(ORDER, id, "pricelist_id") {
            return Err(OdooError::user(
                "You cannot change the pricelist of a confirmed order !",
            ));
        }
        let currency = currency(env, pricelist.as_id(), company);
        parsed.cells.insert("currency_id", Val::one(currency));
    }
    Ok(())
}

pub(super) fn after_write(env: &mut Env<'_>, id: i64, old: &Row, parsed: &Parsed) {
    env.stale_orders.insert(id);
    let user = env.id(ORDER, id, "user_id");
    if parsed.has("user_id") && old.get("user_id").and_then(Val::as_id) != user {
        mail::notify_assigned(env, ORDER, id, user);
    }
}

pub(super) fn before_unlink(env: &mut Env<'_>, id: i64) -> Res<()> {
    if ["draft", "cancel"].contains(&env.text(ORDER, id, "state").as_str()) {
        return Ok(());
    }
    Err(OdooError::user(
        "You can not delete a sent quotation or a confirmed sales order. You must first cancel it.",
    ))
}

pub(super) fn live(env: &Env<'_>, id: i64, name: &str) -> Val {
    match name {
        "tax_totals" => Val::Json(amounts::tax_totals(env, &amounts::ORDERS, id)),
        "delivery_status" => stock::delivery_status(env, id),
        "invoice_ids" => Val::Ids(invoicing::invoices(env, id)),
        "invoice_count" => Val::Int(i64::try_from(invoicing::invoices(env, id).len()).unwrap_or(i64::MAX)),
        "delivery_count" => {
            let count = env.db.children("stock.picking", "sale_id", id).len();
            Val::Int(i64::try_from(count).unwrap_or(i64::MAX))
        }
        _ => Val::Empty,
    }
}
