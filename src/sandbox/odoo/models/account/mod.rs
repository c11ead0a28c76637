//! `account.move` and its lines: what an invoice starts with, what may change, what is due.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::{amounts, invoicing, product, register};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::options::Version;
use crate::sandbox::odoo::orm::write::{self, Parsed};
use crate::sandbox::odoo::value::{Map, Val, float};

pub(in crate::sandbox::odoo) mod matching;
pub(in crate::sandbox::odoo) mod payment;
pub(in crate::sandbox::odoo) mod posting;
pub(in crate::sandbox::odoo) mod refund;

const MOVE: &str = "account.move";
const ITEM: &str = "account.move.line";

/// What a posted invoice keeps; that the values sent may be equal does not matter. Not observed.
const FIXED: [&str; 8] = [
    "invoice_line_ids",
    "line_ids",
    "invoice_date",
    "date",
    "partner_id",
    "currency_id",
    "journal_id",
    "move_type",
];
const FIXED_ITEM: [&str; 7] = [
    "quantity",
    "price_unit",
    "discount",
    "tax_ids",
    "product_id",
    "move_id",
    "account_id",
];

/// Today, on the server.
fn today(env: &Env<'_>) -> NaiveDate {
    env.now.date()
}

fn day(env: &Env<'_>, model: &str, id: i64, field: &str) -> Option<NaiveDate> {
    match env.get(model, id, field) {
        Val::Date(day) => Some(day),
        _ => None,
    }
}

pub(super) fn is_refund(env: &Env<'_>, id: i64) -> bool {
    env.text(MOVE, id, "move_type") == "out_refund"
}

/// Whether it is a customer's invoice or credit note.
fn is_sale(kind: &str) -> bool {
    ["out_invoice", "out_refund"].contains(&kind)
}

/// The first journal of a company that is of one of these types.
fn journal(env: &Env<'_>, company: i64, kinds: &[&str]) -> Option<i64> {
    let mut found: Vec<i64> = env.db.children("account.journal", "company_id", company);
    found.retain(|id| kinds.contains(&env.text("account.journal", *id, "type").as_str()));
    found
        .into_iter()
        .min_by_key(|id| (env.id("account.journal", *id, "sequence"), *id))
}

/// The account of a type.
fn account(env: &Env<'_>, kind: &str) -> Option<i64> {
    let all = env.db.ids("account.account").into_iter();
    all.into_iter()
        .find(|id| env.text("account.account", *id, "account_type") == kind)
}

pub(super) fn defaults(env: &Env<'_>) -> Row {
    let zero = || Val::Dec(Decimal::ZERO);
    let mut row = Row::from([
        ("move_type", Val::text("entry")),
        ("state", Val::text("draft")),
        ("payment_state", Val::text("not_paid")),
        ("date", Val::Date(today(env))),
        ("company_id", Val::Int(env.company())),
        ("invoice_user_id", Val::Int(env.uid)),
        ("amount_untaxed", zero()),
        ("amount_tax", zero()),
        ("amount_total", zero()),
        ("amount_residual", zero()),
    ]);
    // The name comes with posting; 17 shows a slash until then.
    if env.version() == Version::V17 {
        row.insert("name", Val::text("/"));
    }
    row
}

pub(super) fn item_defaults() -> Row {
    Row::from([
        ("display_type", Val::text("product")),
        ("quantity", Val::Dec(Decimal::ONE)),
        ("discount", Val::Dec(Decimal::ZERO)),
        ("price_unit", Val::Dec(Decimal::ZERO)),
        ("sequence", Val::Int(100)),
    ])
}

pub(super) fn before_create(env: &mut Env<'_>, parsed: &mut Parsed) {
    let company = parsed.cells.get("company_id").and_then(Val::as_id).unwrap_or(1);
    let kind = parsed
        .cells
        .get("move_type")
        .map(Val::as_text)
        .unwrap_or_default()
        .to_owned();
    let kinds: &[&str] = match kind.as_str() {
        kind if is_sale(kind) => &["sale"],
        "in_invoice" | "in_refund" => &["purchase"],
        _ => &["general", "bank", "cash"],
    };
    let unset = |parsed: &Parsed, field: &str| parsed.cells.get(field).is_none_or(|val| *val == Val::Empty);
    if unset(parsed, "journal_id") {
        let first = journal(env, company, kinds);
        parsed.cells.insert("journal_id", Val::one(first));
    }
    if unset(parsed, "currency_id") {
        let currency = env.get("res.company", company, "currency_id");
        parsed.cells.insert("currency_id", currency);
    }
    if !parsed.has("date")
        && let Some(day @ Val::Date(_)) = parsed.cells.get("invoice_date").cloned()
    {
        parsed.cells.insert("date", day);
    }
    if !parsed.has("partner_shipping_id")
        && let Some(partner) = parsed.cells.get("partner_id").and_then(Val::as_id)
    {
        parsed.cells.insert("partner_shipping_id", Val::Int(partner));
    }
}

pub(super) fn before_write(env: &mut Env<'_>, id: i64, parsed: &mut Parsed) -> Res<()> {
    if env.text(MOVE, id, "state") == "posted" {
        let touched: Vec<&str> = FIXED.into_iter().filter(|field| parsed.has(field)).collect();
        if !touched.is_empty() {
            return Err(OdooError::user(format!(
                "You cannot modify the following readonly fields on a posted move: {}",
                touched.join(", ")
            )));
        }
    }
    if !parsed.has("date")
        && let Some(day @ Val::Date(_)) = parsed.cells.get("invoice_date").cloned()
    {
        parsed.cells.insert("date", day);
    }
    Ok(())
}

pub(super) fn before_unlink(env: &mut Env<'_>, id: i64) -> Res<()> {
    if env.text(MOVE, id, "state") == "posted" || env.is(MOVE, id, "posted_before") {
        return Err(OdooError::user(
            "You can't delete a posted journal item. Don’t play games with your accounting records; reset the journal entry to draft before deleting it.",
        ));
    }
    let orders = invoicing::orders(env, id);
    env.stale_orders.extend(orders);
    Ok(())
}

pub(super) fn item_before_create(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let invoice = parsed
        .cells
        .get("move_id")
        .and_then(Val::as_id)
        .unwrap_or_default();
    check_open(env, invoice)?;
    let kind = parsed
        .cells
        .get("display_type")
        .map(Val::as_text)
        .unwrap_or_default();
    if ["line_section", "line_note"].contains(&kind) {
        let nothing = ["quantity", "price_unit"];
        parsed
            .cells
            .extend(nothing.map(|field| (field, Val::Dec(Decimal::ZERO))));
        return Ok(());
    }
    parsed.cells.insert("display_type", Val::text("product"));
    if !parsed.has("account_id") {
        let income = account(env, "income");
        parsed.cells.insert("account_id", Val::one(income));
    }
    if let Some(product) = parsed.cells.get("product_id").and_then(Val::as_id) {
        from_product(env, invoice, product, parsed);
    }
    Ok(())
}

/// Name, unit, price and taxes follow the product unless they were sent too.
fn from_product(env: &Env<'_>, invoice: i64, product: i64, parsed: &mut Parsed) {
    if !parsed.has("name") {
        let name = product::variant_name(env, product);
        parsed.cells.insert("name", Val::Text(name));
    }
    if !parsed.has("product_uom_id") {
        let unit = env.get("product.product", product, "uom_id");
        parsed.cells.insert("product_uom_id", unit);
    }
    if !parsed.has("price_unit") {
        let price = product::list_price(env, product);
        parsed.cells.insert("price_unit", Val::Dec(price));
    }
    if !parsed.has("tax_ids") {
        let company = env.id(MOVE, invoice, "company_id");
        let taxes = env.ids("product.product", product, "taxes_id").into_iter();
        let own = taxes.filter(|tax| env.id("account.tax", *tax, "company_id") == company);
        parsed.cells.insert("tax_ids", Val::Ids(own.collect()));
    }
}

/// Refuses changes of a posted invoice's lines.
fn check_open(env: &Env<'_>, invoice: i64) -> Res<()> {
    if env.text(MOVE, invoice, "state") != "posted" {
        return Ok(());
    }
    Err(OdooError::user(
        "You cannot do this modification on a posted journal entry, you can just change some non legal fields. You must reset the journal entry to draft to do so.",
    ))
}

pub(super) fn item_before_write(env: &mut Env<'_>, id: i64, parsed: &mut Parsed) -> Res<()> {
    let invoice = env.id(ITEM, id, "move_id").unwrap_or_default();
    if FIXED_ITEM.into_iter().any(|field| parsed.has(field)) {
        check_open(env, invoice)?;
    }
    if let Some(product) = parsed.cells.get("product_id").and_then(Val::as_id)
        && env.id(ITEM, id, "product_id") != Some(product)
    {
        from_product(env, invoice, product, parsed);
    }
    Ok(())
}

pub(super) fn item_after_change(env: &mut Env<'_>, id: i64) {
    let invoice = env.id(ITEM, id, "move_id").unwrap_or_default();
    env.stale_moves.insert(invoice);
}

pub(super) fn item_before_unlink(env: &mut Env<'_>, id: i64) -> Res<()> {
    let invoice = env.id(ITEM, id, "move_id").unwrap_or_default();
    check_open(env, invoice)?;
    let lines = env.ids(ITEM, id, "sale_line_ids");
    let orders: Vec<i64> = lines
        .into_iter()
        .filter_map(|line| env.id("sale.order.line", line, "order_id"))
        .collect();
    env.stale_orders.extend(orders);
    env.stale_moves.insert(invoice);
    Ok(())
}

/// A relation of an invoice to its lines shows the priced ones, sections and notes; the receivable is a journal item only.
pub(in crate::sandbox::odoo) fn is_invoice_line(env: &Env<'_>, item: i64) -> bool {
    env.text(ITEM, item, "display_type") != "payment_term"
}

/// Computes and stores the amounts of an invoice, what is due of it, and what that means for its orders.
pub(super) fn compute(env: &mut Env<'_>, id: i64) {
    if !env.db.exists(MOVE, id) || env.text(MOVE, id, "move_type") == "entry" {
        return;
    }
    let (untaxed, tax) = amounts::lines(env, &amounts::INVOICES, id);
    let total = untaxed + tax;
    let due = if env.text(MOVE, id, "state") == "posted" {
        let residuals = matching::receivables(env, id).into_iter();
        residuals
            .map(|item| env.dec(ITEM, item, "amount_residual").abs())
            .sum()
    } else {
        total
    };
    let state = matching::payment_state(env, id, due);
    env.set(
        MOVE,
        id,
        [
            ("amount_untaxed", Val::Dec(untaxed)),
            ("amount_tax", Val::Dec(tax)),
            ("amount_total", Val::Dec(total)),
            ("amount_residual", Val::Dec(due)),
            ("payment_state", Val::text(state)),
        ],
    );
    let orders = invoicing::orders(env, id);
    env.stale_orders.extend(orders);
}

/// An invoice whose total came out negative becomes a credit note of the same lines turned around.
pub(super) fn switch_to_refund(env: &mut Env<'_>, id: i64) -> Res<()> {
    for item in env.db.children(ITEM, "move_id", id) {
        let turned = -env.dec(ITEM, item, "quantity");
        let vals = Map::from_iter([("quantity".to_owned(), json!(turned.to_string()))]);
        write::write(env, env.model(ITEM), &[item], &vals)?;
    }
    let vals = Map::from_iter([("move_type".to_owned(), json!("out_refund"))]);
    write::write(env, env.model(MOVE), &[id], &vals)
}

pub(super) fn live(env: &Env<'_>, id: i64, name: &str) -> Val {
    let signed = |field: &str| {
        let amount = env.dec(MOVE, id, field);
        Val::Dec(if is_refund(env, id) { -amount } else { amount })
    };
    match name {
        // In the company's currency, whose rates are all one here.
        "amount_untaxed_signed" => signed("amount_untaxed"),
        "amount_total_signed" => signed("amount_total"),
        "amount_residual_signed" => signed("amount_residual"),
        "tax_totals" => Val::Json(amounts::tax_totals(env, &amounts::INVOICES, id)),
        "matched_payment_ids" => Val::Ids(matching::payments(env, id)),
        "invoice_outstanding_credits_debits_widget" => match matching::outstanding(env, id) {
            lines if lines.is_empty() => Val::Json(Json::Bool(false)),
            lines => Val::Json(
                json!({"outstanding": true, "title": "Outstanding credits", "move_id": id,
                "content": lines.into_iter().map(|item| json!({
                    "id": item, "amount": float(env.dec(ITEM, item, "amount_residual").abs()),
                    "journal_name": env.text(MOVE, env.id(ITEM, item, "move_id").unwrap_or_default(), "name"),
                    "move_id": env.id(ITEM, item, "move_id"),
                })).collect::<Vec<_>>()}),
            ),
        },
        _ => Val::Empty,
    }
}

pub(super) fn item_live(env: &Env<'_>, id: i64, name: &str) -> Val {
    let invoice = env.id(ITEM, id, "move_id").unwrap_or_default();
    match name {
        "account_type" => match env.id(ITEM, id, "account_id") {
            Some(account) => env.get("account.account", account, "account_type"),
            None => Val::Empty,
        },
        "parent_state" => env.get(MOVE, invoice, "state"),
        "move_name" => env.get(MOVE, invoice, "name"),
        "payment_id" => Val::one(payment::of_move(env, invoice)),
        name => env.get(MOVE, invoice, name),
    }
}

/// How an invoice is shown: its number, or that it is a draft.
pub(super) fn display_name(env: &Env<'_>, id: i64) -> String {
    let name = env.text(MOVE, id, "name");
    if !name.is_empty() && name != "/" {
        return name;
    }
    let kind = match env.text(MOVE, id, "move_type").as_str() {
        "out_invoice" => "Invoice",
        "out_refund" => "Credit Note",
        _ => "Entry",
    };
    format!("Draft {kind} (* {id})")
}

/// The records that a wizard was opened on: the context's `active_ids` of `model`.
fn active_ids(env: &Env<'_>, model: &str) -> Vec<i64> {
    let right = env.context.get("active_model").and_then(Json::as_str) == Some(model);
    let ids = env
        .context
        .get("active_ids")
        .or_else(|| env.context.get("active_id"));
    match ids.filter(|_| right) {
        Some(ids) => crate::sandbox::odoo::orm::search::ids(ids),
        None => Vec::new(),
    }
}

pub(super) fn advance_defaults(env: &Env<'_>) -> Row {
    Row::from([
        ("advance_payment_method", Val::text("delivered")),
        ("consolidated_billing", Val::Bool(true)),
        ("deduct_down_payments", Val::Bool(true)),
        ("sale_order_ids", Val::Ids(active_ids(env, "sale.order"))),
    ])
}

/// The current company's currency.
fn company_currency(env: &Env<'_>) -> Val {
    Val::one(register::company_currency(env))
}
