//! The buttons of a sale order: confirm, cancel, back to draft, lock, unlock.

use serde_json::{Value as Json, json};

use super::account::posting;
use super::{invoicing, mail, stock};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::Val;

const ORDER: &str = "sale.order";
const LINE: &str = "sale.order.line";

/// `action_confirm`: the order becomes a sale *now*, goods get a transfer.
pub(in crate::sandbox::odoo) fn confirm(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    let first_only = env.sys.options.confirms_first_only;
    let ids = if first_only { &ids[..ids.len().min(1)] } else { ids };
    for id in ids {
        if !["draft", "sent"].contains(&env.text(ORDER, *id, "state").as_str()) {
            return Err(already(env, *id));
        }
        let lines = env.db.children(LINE, "order_id", *id);
        let no_product = lines.iter().any(|line| {
            env.get(LINE, *line, "display_type") == Val::Empty && env.id(LINE, *line, "product_id").is_none()
        });
        if no_product {
            return Err(OdooError::user(
                "A line on these orders missing a product, you cannot confirm it.",
            ));
        }
        if env.context.flag("send_email") {
            return Err(OdooError::user(
                "Unable to find Wkhtmltopdf on this system. The PDF can not be created.",
            ));
        }
        let locked = env.sys.options.auto_lock;
        env.set(
            ORDER,
            *id,
            [
                ("state", Val::text("sale")),
                ("date_order", Val::Time(env.now)),
                ("locked", Val::Bool(locked)),
            ],
        );
        env.touch(ORDER, *id);
        let messages = if mail::tracks(env) { 3 } else { 1 };
        for _ in 0..messages {
            env.post(ORDER, *id, "<p>Quotation confirmed</p>", "notification");
        }
        for line in lines {
            let quantity = env.dec(LINE, line, "product_uom_qty");
            stock::procure(env, line, quantity);
        }
        env.stale_orders.insert(*id);
        let at = env.db.commits + 1;
        env.db.marks.insert(mark(*id), at);
        env.confirmed_orders.push(*id);
    }
    super::settle(env)?;
    Ok(json!(true))
}

fn mark(order: i64) -> String {
    format!("confirmed {order}")
}

/// A second confirmation; on 18, one that overlapped the first trips over the follower it added.
fn already(env: &Env<'_>, order: i64) -> OdooError {
    let overlapped = env
        .db
        .marks
        .get(&mark(order))
        .is_some_and(|at| *at > env.snapshot);
    if env.sys.options.races && overlapped && env.version().before_19() {
        return OdooError::validation("Error, a partner cannot follow twice the same object.");
    }
    OdooError::user("Some orders are not in a state requiring confirmation.")
}

/// `action_cancel`: up to 18 it asks back about anything but a draft, unless told not to.
pub(in crate::sandbox::odoo) fn cancel(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    if ids.iter().any(|id| env.is(ORDER, *id, "locked")) {
        return Err(OdooError::user(
            "You cannot cancel a locked order. Please unlock it first.",
        ));
    }
    let asks = env.version().before_19() && !env.context.flag("disable_cancel_warning");
    if asks && ids.iter().any(|id| env.text(ORDER, *id, "state") != "draft") {
        return Ok(json!({
            "name": "Cancel Sales Order",
            "view_mode": "form",
            "res_model": "sale.order.cancel",
            "views": [[false, "form"]],
            "type": "ir.actions.act_window",
            "context": {"default_order_id": ids.first(), "mark_so_as_canceled": true},
            "target": "new",
        }));
    }
    for id in ids {
        stock::cancel_all(env, *id);
        // Invoices that nobody has posted go with the order; posted ones stay. Not observed.
        for invoice in invoicing::invoices(env, *id) {
            if env.text("account.move", invoice, "state") == "draft" {
                env.sudo(|env| posting::cancel(env, env.model("account.move"), &[invoice]))?;
            }
        }
        set_state(env, *id, "cancel");
    }
    super::settle(env)?;
    Ok(json!(true))
}

/// `action_draft`: a cancelled order becomes a quotation again.
pub(in crate::sandbox::odoo) fn draft(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<Json> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for id in ids {
        if ["cancel", "sent"].contains(&env.text(ORDER, *id, "state").as_str()) {
            set_state(env, *id, "draft");
        }
    }
    super::settle(env)?;
    Ok(json!(true))
}

fn set_state(env: &mut Env<'_>, id: i64, state: &str) {
    env.set(ORDER, id, [("state", Val::text(state))]);
    env.touch(ORDER, id);
    env.stale_orders.insert(id);
}

/// `action_lock` and `action_unlock`: both return nothing.
pub(in crate::sandbox::odoo) fn lock(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    locked: bool,
) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    for id in ids {
        env.set(ORDER, *id, [("locked", Val::Bool(locked))]);
        env.touch(ORDER, *id);
    }
    Ok(())
}
