//! Reconciliation: which payments and credit notes settle which invoices.

use rust_decimal::Decimal;

use super::{ITEM, MOVE, payment};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::Val;

const PARTIAL: &str = "account.partial.reconcile";

/// Adds a journal item that is no invoice line.
pub(super) fn add_item(
    env: &mut Env<'_>,
    entry: i64,
    kind: &str,
    account: Option<i64>,
    balance: Decimal,
) -> i64 {
    let matched =
        env.text("account.account", account.unwrap_or_default(), "account_type") == "asset_receivable";
    let row = Row::from([
        ("move_id", Val::Int(entry)),
        ("display_type", Val::text(kind)),
        ("account_id", Val::one(account)),
        ("name", env.get(MOVE, entry, "name")),
        ("sequence", Val::Int(10_000)),
        ("balance", Val::Dec(balance)),
        (
            "amount_residual",
            Val::Dec(if matched { balance } else { Decimal::ZERO }),
        ),
        ("reconciled", Val::Bool(matched && balance.is_zero())),
    ]);
    env.insert(ITEM, row)
}

/// The receivable items of an entry.
pub(super) fn receivables(env: &Env<'_>, entry: i64) -> Vec<i64> {
    let mut items = env.db.children(ITEM, "move_id", entry);
    items.retain(|item| env.text(ITEM, *item, "account_type") == "asset_receivable");
    items
}

/// Matches of an item: the other item, and how much.
fn matches(env: &Env<'_>, item: i64) -> Vec<(i64, i64, Decimal)> {
    [
        ("debit_move_id", "credit_move_id"),
        ("credit_move_id", "debit_move_id"),
    ]
    .into_iter()
    .flat_map(|(own, other)| {
        env.db
            .children(PARTIAL, own, item)
            .into_iter()
            .map(move |partial| (partial, other))
    })
    .filter_map(|(partial, other)| {
        Some((
            partial,
            env.id(PARTIAL, partial, other)?,
            env.dec(PARTIAL, partial, "amount"),
        ))
    })
    .collect()
}

/// Settles two items with each other as far as they go.
pub(super) fn pair(env: &mut Env<'_>, left: i64, right: i64) -> Res<()> {
    let residual = |env: &Env<'_>, item: i64| env.dec(ITEM, item, "amount_residual");
    let (debit, credit) = if residual(env, left) > residual(env, right) {
        (left, right)
    } else {
        (right, left)
    };
    for item in [debit, credit] {
        let entry = env.id(ITEM, item, "move_id").unwrap_or_default();
        if env.text(MOVE, entry, "state") != "posted" {
            return Err(OdooError::user("You can only reconcile posted entries."));
        }
        if env.is(ITEM, item, "reconciled") {
            return Err(OdooError::user(
                "You are trying to reconcile some entries that are already reconciled.",
            ));
        }
    }
    let amount = residual(env, debit).min(-residual(env, credit));
    // Two debts, or two credits, do not settle each other.
    if amount <= Decimal::ZERO {
        return Ok(());
    }
    env.insert(
        PARTIAL,
        Row::from([
            ("debit_move_id", Val::Int(debit)),
            ("credit_move_id", Val::Int(credit)),
            ("amount", Val::Dec(amount)),
        ]),
    );
    for item in [debit, credit] {
        refresh(env, item);
    }
    Ok(())
}

/// Undoes all matches of an item.
pub(super) fn release(env: &mut Env<'_>, item: i64) {
    for (partial, other, _) in matches(env, item) {
        env.db.put(PARTIAL, partial, None);
        refresh(env, other);
    }
    refresh(env, item);
}

/// Computes what is left of an item.
fn refresh(env: &mut Env<'_>, item: i64) {
    let balance = env.dec(ITEM, item, "balance");
    let settled: Decimal = matches(env, item).into_iter().map(|(_, _, amount)| amount).sum();
    let left = if balance < Decimal::ZERO {
        balance + settled
    } else {
        balance - settled
    };
    env.set(
        ITEM,
        item,
        [
            ("amount_residual", Val::Dec(left)),
            ("reconciled", Val::Bool(left.is_zero())),
        ],
    );
    let entry = env.id(ITEM, item, "move_id").unwrap_or_default();
    env.stale_moves.insert(entry);
}

/// Entries that settle (parts of) an invoice.
fn counterparts(env: &Env<'_>, invoice: i64) -> Vec<i64> {
    let mut found: Vec<i64> = receivables(env, invoice)
        .into_iter()
        .flat_map(|item| matches(env, item))
        .filter_map(|(_, other, _)| env.id(ITEM, other, "move_id"))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Payments that settle (parts of) an invoice.
pub(super) fn payments(env: &Env<'_>, invoice: i64) -> Vec<i64> {
    counterparts(env, invoice)
        .into_iter()
        .filter_map(|entry| payment::of_move(env, entry))
        .collect()
}

/// Invoices that a payment's entry settles.
pub(super) fn settled(env: &Env<'_>, entry: i64) -> Vec<i64> {
    let mut found = counterparts(env, entry);
    found.retain(|id| env.text(MOVE, *id, "move_type") != "entry");
    found
}

/// Open items of the same customer that could settle an invoice.
pub(super) fn outstanding(env: &Env<'_>, invoice: i64) -> Vec<i64> {
    let partner = env.id(MOVE, invoice, "partner_id");
    let debt = env.dec(MOVE, invoice, "amount_residual").abs();
    if env.text(MOVE, invoice, "state") != "posted" || debt.is_zero() || partner.is_none() {
        return Vec::new();
    }
    let wants_credit = !super::is_refund(env, invoice);
    let mut items = env.db.ids(ITEM);
    items.retain(|item| {
        let left = env.dec(ITEM, *item, "amount_residual");
        (if wants_credit {
            left < Decimal::ZERO
        } else {
            left > Decimal::ZERO
        }) && env.id(ITEM, *item, "partner_id") == partner
            && env.text(ITEM, *item, "parent_state") == "posted"
    });
    items
}

/// `payment_state` of an invoice of which `due` is open.
pub(super) fn payment_state(env: &Env<'_>, invoice: i64, due: Decimal) -> &'static str {
    if env.text(MOVE, invoice, "state") != "posted" {
        return "not_paid";
    }
    let settling = counterparts(env, invoice);
    if !due.is_zero() {
        return if settling.is_empty() {
            "not_paid"
        } else {
            "partial"
        };
    }
    let refunded = env.text(MOVE, invoice, "move_type") == "out_invoice"
        && !settling.is_empty()
        && settling.iter().all(|entry| super::is_refund(env, *entry));
    if refunded {
        "reversed"
    } else if env.sys.options.in_payment && !payments(env, invoice).is_empty() {
        "in_payment"
    } else {
        "paid"
    }
}

/// `account.move.line.reconcile`: settles items of one account with each other. Its answer is not observed.
pub(in crate::sandbox::odoo) fn reconcile(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    let receivable = |item: &i64| env.text(ITEM, *item, "account_type") == "asset_receivable";
    if !ids.iter().all(receivable) {
        return Err(OdooError::user(
            "Entries are not from the same account, or the account does not allow reconciliation.",
        ));
    }
    let (debits, credits): (Vec<i64>, Vec<i64>) = ids
        .iter()
        .partition(|item| env.dec(ITEM, **item, "amount_residual") > Decimal::ZERO);
    for debit in debits {
        for credit in &credits {
            if !env.is(ITEM, debit, "reconciled") && !env.is(ITEM, *credit, "reconciled") {
                pair(env, debit, *credit)?;
            }
        }
    }
    models::settle(env)
}

/// `js_assign_outstanding_line`: settles an invoice with an open item of the customer. Its answer is not observed.
pub(in crate::sandbox::odoo) fn assign(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    item: i64,
) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    env.must_exist(env.model(ITEM), &[item])?;
    for invoice in ids {
        for own in receivables(env, *invoice) {
            pair(env, own, item)?;
        }
    }
    models::settle(env)
}
