//! `account.move.reversal`: credit notes of invoices.

use serde_json::{Value as Json, json};

use super::{ITEM, MOVE, active_ids, matching, posting, today};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::write::{self, Parsed};
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::{DATE, Map, Val, float};

const WIZARD: &str = "account.move.reversal";

pub(in crate::sandbox::odoo::models) fn defaults(env: &Env<'_>) -> Row {
    Row::from([
        ("date", Val::Date(today(env))),
        ("company_id", Val::Int(env.company())),
        ("move_ids", Val::Ids(active_ids(env, MOVE))),
    ])
}

pub(in crate::sandbox::odoo::models) fn before_create(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let moves = parsed.cells.get("move_ids").map(|val| val.as_ids().to_vec());
    let open = moves
        .unwrap_or_default()
        .into_iter()
        .any(|id| env.text(MOVE, id, "state") != "posted");
    if open {
        return Err(OdooError::user("You can only reverse posted moves."));
    }
    Ok(())
}

/// `refund_moves` (`modify` also posts the credit note, settles the invoice with it and starts a new one): draft
/// credit notes, and an action that shows them although everything is done. Not observed.
pub(in crate::sandbox::odoo) fn reverse(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    modify: bool,
) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    let mut made = Vec::new();
    for wizard in ids {
        for invoice in env.ids(WIZARD, *wizard, "move_ids") {
            if env.text(MOVE, invoice, "state") != "posted" {
                return Err(OdooError::user("You can only reverse posted moves."));
            }
            let note = credit_note(env, *wizard, invoice)?;
            made.push(note);
            if modify {
                posting::post(env, env.model(MOVE), &[note])?;
                for (debit, credit) in matching::receivables(env, invoice)
                    .into_iter()
                    .zip(matching::receivables(env, note))
                {
                    matching::pair(env, debit, credit)?;
                }
                let again = copy(env, invoice, "out_invoice", Map::new())?;
                made.push(again);
            }
        }
        env.set(WIZARD, *wizard, [("new_move_ids", Val::Ids(made.clone()))]);
    }
    super::super::settle(env)?;
    Ok(json!({
        "name": "Reverse Moves", "type": "ir.actions.act_window", "res_model": MOVE, "view_mode": "form",
        "res_id": made.first(), "domain": [["id", "in", made]], "context": {"default_move_type": "out_refund"},
    }))
}

fn credit_note(env: &mut Env<'_>, wizard: i64, invoice: i64) -> Res<i64> {
    let name = env.text(MOVE, invoice, "name");
    let reason = env.text(WIZARD, wizard, "reason");
    let reference = if reason.is_empty() {
        format!("Reversal of: {name}")
    } else {
        format!("Reversal of: {name}, {reason}")
    };
    let mut vals = Map::from_iter([
        ("ref".to_owned(), json!(reference)),
        ("reversed_entry_id".to_owned(), json!(invoice)),
    ]);
    if let Val::Date(day) = env.get(WIZARD, wizard, "date") {
        let text = day.format(DATE).to_string();
        vals.insert("date".to_owned(), json!(text));
        vals.insert("invoice_date".to_owned(), json!(text));
    }
    if let Some(journal) = env.id(WIZARD, wizard, "journal_id") {
        vals.insert("journal_id".to_owned(), json!(journal));
    }
    copy(env, invoice, "out_refund", vals)
}

/// A draft with an invoice's lines, also tied to the order lines.
fn copy(env: &mut Env<'_>, invoice: i64, kind: &str, mut vals: Map) -> Res<i64> {
    vals.insert("move_type".to_owned(), json!(kind));
    for field in ["invoice_origin", "payment_reference", "narration"] {
        let text = env.text(MOVE, invoice, field);
        if !text.is_empty() {
            vals.insert(field.to_owned(), json!(text));
        }
    }
    for field in [
        "partner_id",
        "partner_shipping_id",
        "currency_id",
        "company_id",
        "journal_id",
        "team_id",
    ] {
        if let Some(id) = env.id(MOVE, invoice, field).filter(|_| !vals.contains_key(field)) {
            vals.insert(field.to_owned(), json!(id));
        }
    }
    let items = env.ids(MOVE, invoice, "invoice_line_ids").into_iter();
    let lines: Vec<Json> = items
        .map(|item| {
            json!([0, 0, {
                "display_type": env.text(ITEM, item, "display_type"), "name": env.text(ITEM, item, "name"),
                "product_id": env.id(ITEM, item, "product_id"), "quantity": env.dec(ITEM, item, "quantity").to_string(),
                "price_unit": env.dec(ITEM, item, "price_unit").to_string(),
                "discount": float(env.dec(ITEM, item, "discount")), "sequence": env.id(ITEM, item, "sequence"),
                "tax_ids": [[6, 0, env.ids(ITEM, item, "tax_ids")]],
                "sale_line_ids": [[6, 0, env.ids(ITEM, item, "sale_line_ids")]],
            }])
        })
        .collect();
    vals.insert("invoice_line_ids".to_owned(), Json::Array(lines));
    write::create(env, env.model(MOVE), &vals)
}
