//! `account.payment`, and the wizard that pays invoices.

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::{ITEM, MOVE, account, active_ids, company_currency, day, journal, matching, posting, today};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::options::Version;
use crate::sandbox::odoo::orm::write::{self, Parsed};
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::{DATE, Map, Val};

const PAYMENT: &str = "account.payment";
const WIZARD: &str = "account.payment.register";

/// What a payment calls its text.
fn memo(version: Version) -> &'static str {
    if version == Version::V17 { "ref" } else { "memo" }
}

/// The payment behind an entry.
pub(super) fn of_move(env: &Env<'_>, entry: i64) -> Option<i64> {
    env.db.children(PAYMENT, "move_id", entry).first().copied()
}

pub(in crate::sandbox::odoo::models) fn defaults(env: &Env<'_>) -> Row {
    Row::from([
        ("payment_type", Val::text("inbound")),
        ("partner_type", Val::text("customer")),
        ("amount", Val::Dec(Decimal::ZERO)),
        ("date", Val::Date(today(env))),
        ("company_id", Val::Int(env.company())),
        ("state", Val::text("draft")),
    ])
}

pub(in crate::sandbox::odoo::models) fn before_create(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let company = parsed.cells.get("company_id").and_then(Val::as_id).unwrap_or(1);
    let unset = |parsed: &Parsed, field: &str| parsed.cells.get(field).is_none_or(|val| *val == Val::Empty);
    if unset(parsed, "journal_id") {
        let first = journal(env, company, &["bank", "cash", "credit"]);
        parsed.cells.insert("journal_id", Val::one(first));
    }
    let journal = parsed
        .cells
        .get("journal_id")
        .and_then(Val::as_id)
        .unwrap_or_default();
    if unset(parsed, "currency_id") {
        let own = env
            .id("account.journal", journal, "currency_id")
            .or_else(|| env.id("res.company", company, "currency_id"));
        parsed.cells.insert("currency_id", Val::one(own));
    }
    if unset(parsed, "payment_method_line_id") {
        let direction = parsed
            .cells
            .get("payment_type")
            .map(Val::as_text)
            .unwrap_or_default()
            .to_owned();
        let lines = env
            .db
            .children("account.payment.method.line", "journal_id", journal);
        let first = lines
            .into_iter()
            .find(|line| env.text("account.payment.method.line", *line, "payment_type") == direction);
        parsed.cells.insert("payment_method_line_id", Val::one(first));
    }
    check_amount(parsed)
}

fn check_amount(parsed: &Parsed) -> Res<()> {
    if parsed
        .cells
        .get("amount")
        .is_some_and(|val| val.as_dec() < Decimal::ZERO)
    {
        return Err(OdooError::validation("The payment amount cannot be negative."));
    }
    Ok(())
}

/// A payment that is on the books keeps its money; writing the same values again is fine. Not observed.
pub(in crate::sandbox::odoo::models) fn before_write(env: &mut Env<'_>, id: i64, parsed: &Parsed) -> Res<()> {
    check_amount(parsed)?;
    if env.text(PAYMENT, id, "state") == "draft" {
        return Ok(());
    }
    let fixed = [
        "amount",
        "currency_id",
        "date",
        "journal_id",
        "partner_id",
        "payment_type",
        "partner_type",
    ];
    let row = env.row(PAYMENT, id);
    let changed = fixed.into_iter().find(|field| {
        let sent = parsed.cells.get(field);
        sent.is_some() && sent != row.and_then(|row| row.get(field))
    });
    match changed {
        None => Ok(()),
        Some(field) => Err(OdooError::user(format!(
            "You cannot modify the following readonly fields on a posted move: {field}"
        ))),
    }
}

/// `action_post`: an entry on the books. Answers nothing.
pub(in crate::sandbox::odoo) fn post(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for id in ids {
        if env.text(PAYMENT, *id, "state") != "draft" {
            // From 18 on posting twice does nothing.
            if env.version() == Version::V17 {
                return Err(OdooError::user(format!(
                    "The entry {} (id {id}) must be in draft.",
                    env.text(PAYMENT, *id, "name")
                )));
            }
            continue;
        }
        post_one(env, *id)?;
    }
    models::settle(env)
}

fn post_one(env: &mut Env<'_>, id: i64) -> Res<()> {
    let own = if env.version() == Version::V17 {
        "payment_id"
    } else {
        "origin_payment_id"
    };
    let amount = env.dec(PAYMENT, id, "amount");
    let reference = env.get(PAYMENT, id, memo(env.version()));
    let mut values = Row::from([
        ("move_type", Val::text("entry")),
        ("ref", reference),
        (own, Val::Int(id)),
        ("amount_total", Val::Dec(amount)),
    ]);
    for field in ["date", "journal_id", "company_id", "currency_id", "partner_id"] {
        values.insert(field, env.get(PAYMENT, id, field));
    }
    let entry = posting::entry(env, values)?;
    let inbound = env.text(PAYMENT, id, "payment_type") == "inbound";
    let balance = if inbound { -amount } else { amount };
    let (receivable, outstanding) = (account(env, "asset_receivable"), account(env, "asset_current"));
    matching::add_item(env, entry, "product", outstanding, -balance);
    matching::add_item(env, entry, "payment_term", receivable, balance);
    let state = if env.version() == Version::V17 {
        "posted"
    } else {
        "in_process"
    };
    let name = env.get(MOVE, entry, "name");
    env.set(
        PAYMENT,
        id,
        [
            ("move_id", Val::Int(entry)),
            ("name", name),
            ("state", Val::text(state)),
        ],
    );
    env.touch(PAYMENT, id);
    Ok(())
}

/// `action_draft` and `action_cancel`: the entry goes, and what it settled is open again. Answer nothing.
pub(in crate::sandbox::odoo) fn withdraw(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    cancel: bool,
) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for id in ids {
        if let Some(entry) = env.id(PAYMENT, *id, "move_id") {
            for item in env.db.children(ITEM, "move_id", entry) {
                matching::release(env, item);
                env.db.put(ITEM, item, None);
            }
            env.db.put(MOVE, entry, None);
        }
        let state = match (cancel, env.version()) {
            (false, _) => "draft",
            (true, Version::V17) => "cancel",
            (true, _) => "canceled",
        };
        env.set(
            PAYMENT,
            *id,
            [("move_id", Val::Empty), ("state", Val::text(state))],
        );
        env.touch(PAYMENT, *id);
    }
    models::settle(env)
}

pub(in crate::sandbox::odoo::models) fn live(env: &Env<'_>, id: i64, name: &str) -> Val {
    let entry = env.id(PAYMENT, id, "move_id");
    let invoices = || {
        entry
            .map(|entry| matching::settled(env, entry))
            .unwrap_or_default()
    };
    match name {
        "reconciled_invoice_ids" => Val::Ids(invoices()),
        "reconciled_invoices_count" => Val::Int(i64::try_from(invoices().len()).unwrap_or(i64::MAX)),
        "is_reconciled" => Val::Bool(entry.is_some_and(|entry| {
            matching::receivables(env, entry)
                .into_iter()
                .all(|item| env.is(ITEM, item, "reconciled"))
        })),
        _ => Val::Empty,
    }
}

pub(in crate::sandbox::odoo::models) fn register_defaults(env: &Env<'_>) -> Row {
    Row::from([
        ("payment_date", Val::Date(today(env))),
        ("payment_difference_handling", Val::text("open")),
        ("currency_id", company_currency(env)),
    ])
}

/// The wizard looks at the invoices it was opened on: open receivables of posted ones.
pub(in crate::sandbox::odoo::models) fn register_before_create(
    env: &mut Env<'_>,
    parsed: &mut Parsed,
) -> Res<()> {
    let invoices = active_ids(env, MOVE);
    if invoices.iter().any(|id| env.text(MOVE, *id, "state") != "posted") {
        return Err(OdooError::user(
            "You can only register payment for posted journal entries.",
        ));
    }
    let mut items: Vec<i64> = invoices
        .iter()
        .flat_map(|id| matching::receivables(env, *id))
        .collect();
    items.extend(active_ids(env, ITEM));
    items.retain(|item| !env.is(ITEM, *item, "reconciled"));
    let Some(first) = items.first().copied() else {
        return Err(OdooError::user(
            "You can't register a payment because there is nothing left to pay on the selected journal items.",
        ));
    };
    if !parsed.has("currency_id") {
        let currency = env.get(ITEM, first, "currency_id");
        parsed.cells.insert("currency_id", currency);
    }
    if !parsed.has("amount") {
        let due: Decimal = items
            .iter()
            .map(|item| env.dec(ITEM, *item, "amount_residual"))
            .sum();
        parsed.cells.insert("amount", Val::Dec(due.abs()));
    }
    if !parsed.has("communication") {
        let names: Vec<String> = items
            .iter()
            .map(|item| env.text(ITEM, *item, "move_name"))
            .collect();
        parsed.cells.insert("communication", Val::Text(names.join(", ")));
    }
    if !parsed.has("journal_id") {
        let company = env.id(ITEM, first, "company_id").unwrap_or(1);
        let first = journal(env, company, &["bank", "cash", "credit"]);
        parsed.cells.insert("journal_id", Val::one(first));
    }
    parsed.cells.insert("line_ids", Val::Ids(items));
    Ok(())
}

/// `action_create_payments`: posted payments that settle the invoices, and an action that shows them although
/// everything is done; with `dont_redirect_to_payments` it is `true`. Not observed.
pub(in crate::sandbox::odoo) fn create_payments(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    let mut made = Vec::new();
    for wizard in ids {
        if env.text(WIZARD, *wizard, "payment_difference_handling") == "reconcile" {
            return Err(OdooError::user("Write-offs are not played by the stand-in."));
        }
        let items = env.ids(WIZARD, *wizard, "line_ids");
        let whole = items.len() == 1 || env.is(WIZARD, *wizard, "group_payment");
        let batches: Vec<Vec<i64>> = if whole {
            vec![items]
        } else {
            items.into_iter().map(|item| vec![item]).collect()
        };
        for batch in batches {
            let amount = if whole {
                env.dec(WIZARD, *wizard, "amount")
            } else {
                env.dec(ITEM, batch[0], "amount_residual").abs()
            };
            made.push(pay(env, *wizard, &batch, amount)?);
        }
    }
    models::settle(env)?;
    if env.context.flag("dont_redirect_to_payments") {
        return Ok(json!(true));
    }
    Ok(json!({
        "name": "Payments", "type": "ir.actions.act_window", "res_model": PAYMENT, "view_mode": "form",
        "res_id": made.first(), "domain": [["id", "in", made]], "context": {"create": false},
    }))
}

fn pay(env: &mut Env<'_>, wizard: i64, items: &[i64], amount: Decimal) -> Res<i64> {
    let owed: Decimal = items
        .iter()
        .map(|item| env.dec(ITEM, *item, "amount_residual"))
        .sum();
    let invoices: Vec<i64> = items
        .iter()
        .filter_map(|item| env.id(ITEM, *item, "move_id"))
        .collect();
    let date = day(env, WIZARD, wizard, "payment_date").unwrap_or_else(|| today(env));
    let mut vals = Map::from_iter([
        (
            "payment_type".to_owned(),
            json!(if owed < Decimal::ZERO {
                "outbound"
            } else {
                "inbound"
            }),
        ),
        ("amount".to_owned(), json!(amount.to_string())),
        ("date".to_owned(), json!(date.format(DATE).to_string())),
        (
            memo(env.version()).to_owned(),
            json!(env.text(WIZARD, wizard, "communication")),
        ),
        (
            "partner_id".to_owned(),
            json!(env.id(ITEM, items[0], "partner_id")),
        ),
    ]);
    for field in ["journal_id", "currency_id", "payment_method_line_id"] {
        if let Some(id) = env.id(WIZARD, wizard, field) {
            vals.insert(field.to_owned(), json!(id));
        }
    }
    if env.version() != Version::V17 {
        vals.insert("invoice_ids".to_owned(), json!([[6, 0, invoices]]));
    }
    let id = write::create(env, env.model(PAYMENT), &vals)?;
    post_one(env, id)?;
    let entry = env.id(PAYMENT, id, "move_id").unwrap_or_default();
    for own in matching::receivables(env, entry) {
        for item in items {
            if !env.is(ITEM, own, "reconciled") {
                matching::pair(env, *item, own)?;
            }
        }
    }
    models::settle(env)?;
    // From 18 on a payment is paid when the invoices it was made for are.
    let all_paid = invoices
        .iter()
        .all(|id| env.text(MOVE, *id, "payment_state") == "paid");
    if env.version() != Version::V17 && all_paid {
        env.set(PAYMENT, id, [("state", Val::text("paid"))]);
    }
    Ok(id)
}
