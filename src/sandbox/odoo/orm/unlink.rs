//! Deleting records, and what that does to those that point to them.

use super::write;
use crate::sandbox::odoo::db;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::external;
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::Val;

/// Required relations that are deleted along with their target; all others forbid the deletion.
const CASCADES: [(&str, &str); 10] = [
    ("account.move.line", "move_id"),
    ("account.partial.reconcile", "debit_move_id"),
    ("account.partial.reconcile", "credit_move_id"),
    ("sale.order.line", "order_id"),
    ("product.product", "product_tmpl_id"),
    ("product.template.attribute.line", "product_tmpl_id"),
    ("product.template.attribute.value", "attribute_line_id"),
    ("product.template.attribute.value", "product_attribute_value_id"),
    ("product.attribute.value", "attribute_id"),
    ("stock.move", "picking_id"),
];

/// Deletes records with their external ids.
pub(in crate::sandbox::odoo) fn unlink(env: &mut Env<'_>, model: &'static Model, ids: &[i64]) -> Res<()> {
    env.allow(model, "unlink")?;
    env.must_exist(model, ids)?;
    env.depth += 1;
    let deleted = ids.iter().try_for_each(|id| unlink_one(env, model, *id));
    env.depth -= 1;
    write::settle_after(env)?;
    deleted
}

fn unlink_one(env: &mut Env<'_>, model: &'static Model, id: i64) -> Res<()> {
    // Gone already: deleted along with one before it.
    if !env.db.exists(model.name, id) {
        return Ok(());
    }
    models::before_unlink(env, model, id)?;
    for (referrer, field, required) in db::references(env.schema, model.name) {
        for child in env.db.children(referrer, field, id) {
            let declared = env.model(referrer);
            if CASCADES.contains(&(referrer, field)) {
                env.sudo(|env| unlink_one(env, declared, child))?;
            } else if required {
                return Err(OdooError::validation(format!(
                    "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\nModel: {} ({referrer})\nConstraint: {}_{field}_fkey",
                    declared.label,
                    referrer.replace('.', "_"),
                )));
            } else {
                env.set(referrer, child, [(field, Val::Empty)]);
            }
        }
    }
    let old = env.row(model.name, id).cloned();
    external::detach_all(env, model.name, id);
    env.db.put(model.name, id, None);
    if let Some(old) = old {
        models::after_unlink(env, model, &old);
    }
    Ok(())
}
