//! The `order` of a search.

use std::cmp::Ordering;

use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::Val;

/// One term: field and whether it descends.
pub(in crate::sandbox::odoo) type Term = (&'static str, bool);

/// Reads an `order` text such as `"name, id desc"`.
pub(in crate::sandbox::odoo) fn parse(model: &'static Model, text: &str) -> Res<Vec<Term>> {
    text.split(',')
        .map(|term| {
            let mut words = term.split_whitespace();
            let name = words.next().unwrap_or_default();
            let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(_) => {
                    return Err(OdooError::user(format!("Invalid \"order\" specified ({text}).")));
                }
            };
            let field = model.field(name).ok_or_else(|| {
                OdooError::value(format!("Invalid field '{name}' on model '{}'", model.name))
            })?;
            if !field.stored() {
                return Err(OdooError::value(format!(
                    "Cannot convert {}.{name} to SQL because it is not stored",
                    model.name
                )));
            }
            Ok((field.name, descending))
        })
        .collect()
}

/// The model's own order.
pub(in crate::sandbox::odoo) fn default(model: &'static Model) -> Vec<Term> {
    parse(model, model.order).unwrap_or_default()
}

/// Sorts ids of `model`.
pub(in crate::sandbox::odoo) fn sort(env: &Env<'_>, model: &'static Model, ids: &mut [i64], terms: &[Term]) {
    if ids.len() < 2 {
        return;
    }
    let key = |id: i64, name: &str| {
        if name == "id" {
            Val::Int(id)
        } else {
            env.get(model.name, id, name)
        }
    };
    // Each value is read once, not with each comparison.
    let keys = |id: i64| terms.iter().map(|(name, _)| key(id, name)).collect();
    let mut keyed: Vec<(Vec<Val>, i64)> = ids.iter().map(|id| (keys(*id), *id)).collect();
    keyed.sort_by(|(left, left_id), (right, right_id)| {
        for ((left, right), (_, descending)) in left.iter().zip(right).zip(terms) {
            let compared = compare(left, right);
            let compared = if *descending { compared.reverse() } else { compared };
            if compared != Ordering::Equal {
                return compared;
            }
        }
        left_id.cmp(right_id)
    });
    for (place, (_, id)) in ids.iter_mut().zip(keyed) {
        *place = id;
    }
}

/// Whether this is the order in which rows are stored.
pub(in crate::sandbox::odoo) fn is_by_id(terms: &[Term]) -> bool {
    matches!(terms.first(), None | Some(("id", false)))
}

/// NULL counts as the largest, as in PostgreSQL.
fn compare(left: &Val, right: &Val) -> Ordering {
    match (left, right) {
        (Val::Empty, Val::Empty) => Ordering::Equal,
        (Val::Empty, _) => Ordering::Greater,
        (_, Val::Empty) => Ordering::Less,
        (Val::Text(left), Val::Text(right)) => left
            .to_lowercase()
            .cmp(&right.to_lowercase())
            .then_with(|| left.cmp(right)),
        (Val::Date(left), Val::Date(right)) => left.cmp(right),
        (Val::Time(left), Val::Time(right)) => left.cmp(right),
        (Val::Bool(left), Val::Bool(right)) => left.cmp(right),
        (left, right) => left.as_dec().cmp(&right.as_dec()),
    }
}
