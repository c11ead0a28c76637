//! The buttons of accounting and stock: their signatures, and what they do.

use serde_json::{Value as Json, json};

use super::env::Env;
use super::error::{OdooError, Res};
use super::methods::Bound;
use super::models::account::{matching, payment, posting, refund};
use super::models::{delivery, invoicing, quant};
use super::schema::Model;

/// Parameters of a button of `model` beside the ids, as in `Signature`; `None` when there is no such button.
pub(super) fn params(model: &str, method: &str) -> Option<&'static str> {
    Some(match (model, method) {
        ("account.move", "action_post" | "button_draft" | "button_cancel") => "|",
        ("account.move", "js_assign_outstanding_line") => "line_id |",
        ("account.move.line", "reconcile") => "|",
        ("account.payment", "action_post" | "action_draft" | "action_cancel") => "|",
        ("account.payment.register", "action_create_payments") => "|",
        ("account.move.reversal", "refund_moves" | "modify_moves") => "|",
        ("account.move.reversal", "reverse_moves") => "| is_modify",
        ("sale.advance.payment.inv", "create_invoices") => "|",
        ("stock.picking", "button_validate" | "action_assign" | "action_cancel") => "|",
        ("stock.backorder.confirmation", "process" | "process_cancel_backorder") => "|",
        ("stock.quant", "action_apply_inventory") => "|",
        _ => return None,
    })
}

/// Presses a button. `None` is a method that returns nothing.
pub(super) fn run(
    env: &mut Env<'_>,
    model: &'static Model,
    method: &str,
    ids: &[i64],
    call: &Bound,
) -> Res<Option<Json>> {
    match (model.name, method) {
        ("account.move", "action_post") => posting::post(env, model, ids).map(Some),
        ("account.move", "button_draft") => posting::draft(env, model, ids).map(|()| None),
        ("account.move", "button_cancel") => posting::cancel(env, model, ids).map(|()| None),
        ("account.move", "js_assign_outstanding_line") => {
            let item = call.get("line_id").as_i64().unwrap_or_default();
            matching::assign(env, model, ids, item).map(|()| None)
        }
        ("account.move.line", "reconcile") => matching::reconcile(env, model, ids).map(|()| None),
        ("account.payment", "action_post") => payment::post(env, model, ids).map(|()| None),
        ("account.payment", "action_draft" | "action_cancel") => {
            payment::withdraw(env, model, ids, method == "action_cancel").map(|()| None)
        }
        ("account.payment.register", "action_create_payments") => {
            payment::create_payments(env, model, ids).map(Some)
        }
        ("account.move.reversal", "refund_moves" | "modify_moves" | "reverse_moves") => {
            let modify = method == "modify_moves" || call.get("is_modify") == &json!(true);
            refund::reverse(env, model, ids, modify).map(Some)
        }
        ("sale.advance.payment.inv", "create_invoices") => {
            invoicing::create_invoices(env, model, ids).map(Some)
        }
        ("stock.picking", "button_validate") => delivery::validate(env, model, ids).map(Some),
        ("stock.picking", "action_assign" | "action_cancel") => {
            delivery::press(env, model, ids, method == "action_cancel").map(Some)
        }
        ("stock.backorder.confirmation", "process" | "process_cancel_backorder") => {
            delivery::answer(env, model, ids, method == "process").map(Some)
        }
        ("stock.quant", "action_apply_inventory") => quant::apply(env, model, ids).map(|()| None),
        _ => Err(OdooError::attribute(format!(
            "The method '{}.{method}' does not exist",
            model.name
        ))),
    }
}
