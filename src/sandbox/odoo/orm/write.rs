//! Creating and changing records.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::commands::{self, Command};
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::external;
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::schema::{Field, Kind, Model, Origin};
use crate::sandbox::odoo::value::{self, Map, Val};

/// What a client sent for one record, sorted by how it is carried out.
#[derive(Debug, Default)]
pub(in crate::sandbox::odoo) struct Parsed {
    /// Plain values.
    pub(in crate::sandbox::odoo) cells: Row,
    /// Relations to many.
    pub(in crate::sandbox::odoo) commands: Vec<(&'static Field, Vec<Command>)>,
    /// Values of a variant that belong to its template, as sent.
    pub(in crate::sandbox::odoo) template: Map,
    /// Computed fields that can be written through, as sent.
    pub(in crate::sandbox::odoo) inverse: Vec<(&'static Field, Json)>,
    /// Every field that was named.
    pub(in crate::sandbox::odoo) given: BTreeSet<&'static str>,
    /// An external id that an import attaches (`id` with text).
    external_id: Option<String>,
}

impl Parsed {
    /// Whether the client named a field.
    pub(in crate::sandbox::odoo) fn has(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    fn read(env: &Env<'_>, model: &'static Model, vals: &Map, creating: bool) -> Res<Self> {
        let mut parsed = Self::default();
        for (name, json) in vals {
            let Some(field) = model.field(name) else {
                return Err(unknown_field(env, model, name, creating));
            };
            if name == "id" {
                parsed.external_id = json.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
                continue;
            }
            parsed.given.insert(field.name);
            match field.origin {
                Origin::Computed => {}
                Origin::Template => {
                    parsed.template.insert(name.clone(), json.clone());
                }
                Origin::Live => parsed.inverse.push((field, json.clone())),
                Origin::Own if field.is_to_many() => {
                    parsed
                        .commands
                        .push((field, commands::parse(model, field, json)?));
                }
                Origin::Own => {
                    let val = value::accept(model.name, field, json)?;
                    check_target(env, model, field, &val)?;
                    parsed.cells.insert(field.name, val);
                }
            }
        }
        Ok(parsed)
    }
}

fn unknown_field(env: &Env<'_>, model: &Model, name: &str, creating: bool) -> OdooError {
    if creating || env.version().before_19() {
        OdooError::value(format!("Invalid field '{name}' on model '{}'", model.name))
    } else {
        OdooError::key(name)
    }
}

/// Whether a many2one target exists, and a language is installed.
fn check_target(env: &Env<'_>, model: &Model, field: &Field, val: &Val) -> Res<()> {
    match (field.kind, val) {
        (Kind::One(comodel), Val::Int(id)) if !env.db.exists(comodel, *id) => {
            let read_at_once = [
                "res.partner",
                "product.product",
                "product.template",
                "product.pricelist",
                "sale.order",
            ];
            if read_at_once.contains(&comodel) {
                return Err(OdooError::missing(comodel, *id, env.uid));
            }
            Err(OdooError::validation(format!(
                "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\nModel: {} ({})\nConstraint: {}_{}_fkey",
                model.label,
                model.name,
                model.name.replace('.', "_"),
                field.name
            )))
        }
        (Kind::Lang, Val::Text(code)) if !code.is_empty() && !env.is_installed(code) => Err(
            OdooError::value(format!("Wrong value for {}.{}: '{code}'", model.name, field.name)),
        ),
        _ => Ok(()),
    }
}

/// Creates one record.
pub(in crate::sandbox::odoo) fn create(env: &mut Env<'_>, model: &'static Model, vals: &Map) -> Res<i64> {
    env.allow(model, "create")?;
    env.depth += 1;
    let created = create_inner(env, model, vals);
    env.depth -= 1;
    settle(env)?;
    created
}

fn create_inner(env: &mut Env<'_>, model: &'static Model, vals: &Map) -> Res<i64> {
    let mut parsed = Parsed::read(env, model, vals, true)?;
    let mut cells = models::defaults(env, model);
    add_context_defaults(env, model, &mut cells)?;
    cells.append(&mut parsed.cells);
    parsed.cells = cells;
    models::before_create(env, model, &mut parsed)?;
    for field in model.fields().filter(|field| field.origin == Origin::Own) {
        if field.kind == Kind::Bool {
            parsed.cells.entry(field.name).or_insert(Val::Bool(false));
        }
    }
    check_required(model, &parsed.cells)?;
    let id = env.insert(model.name, std::mem::take(&mut parsed.cells));
    for (field, commands) in std::mem::take(&mut parsed.commands) {
        commands::run(env, model, id, field, commands)?;
    }
    models::after_create(env, model, id, &parsed)?;
    for (field, json) in std::mem::take(&mut parsed.inverse) {
        models::inverse(env, model, id, field, &json)?;
    }
    if let Some(name) = &parsed.external_id {
        external::attach(env, name, model.name, id)?;
    }
    Ok(id)
}

/// Values that the context proposes: `default_<field>`.
fn add_context_defaults(env: &Env<'_>, model: &'static Model, cells: &mut Row) -> Res<()> {
    for field in model
        .fields()
        .filter(|field| field.origin == Origin::Own && !field.is_to_many())
    {
        if let Some(json) = env.context.get(&format!("default_{}", field.name)) {
            cells.insert(field.name, value::accept(model.name, field, json)?);
        }
    }
    Ok(())
}

fn check_required(model: &'static Model, cells: &Row) -> Res<()> {
    for field in model.fields().filter(|field| field.required) {
        let present = match cells.get(field.name) {
            None | Some(Val::Empty) => false,
            Some(Val::Text(text)) => !text.is_empty() || field.kind == Kind::Char,
            Some(_) => true,
        };
        if !present {
            return Err(missing_required(model, field));
        }
    }
    Ok(())
}

fn missing_required(model: &Model, field: &Field) -> OdooError {
    OdooError::validation(format!(
        "The operation cannot be completed:\n- Create/update: a mandatory field is not set.\n- Delete: another model requires the record being deleted. If possible, archive it instead.\n\nModel: {} ({})\nField: {} ({})\n",
        model.label, model.name, field.label, field.name
    ))
}

/// Changes records, the same values for each.
pub(in crate::sandbox::odoo) fn write(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    vals: &Map,
) -> Res<()> {
    env.allow(model, "write")?;
    env.must_exist(model, ids)?;
    env.depth += 1;
    let written = write_inner(env, model, ids, vals);
    env.depth -= 1;
    settle(env)?;
    written
}

fn write_inner(env: &mut Env<'_>, model: &'static Model, ids: &[i64], vals: &Map) -> Res<()> {
    for id in ids {
        let mut parsed = Parsed::read(env, model, vals, false)?;
        models::before_write(env, model, *id, &mut parsed)?;
        for (name, val) in &parsed.cells {
            let field = model.field(name).filter(|field| field.required);
            if let Some(field) = field.filter(|_| *val == Val::Empty) {
                return Err(missing_required(model, field));
            }
        }
        let Some(old) = env.row(model.name, *id).cloned() else {
            continue;
        };
        let mut row = old.clone();
        row.append(&mut parsed.cells);
        env.db.put(model.name, *id, Some(row));
        env.touch(model.name, *id);
        for (field, commands) in std::mem::take(&mut parsed.commands) {
            commands::run(env, model, *id, field, commands)?;
        }
        if !parsed.template.is_empty() {
            let template = env.id(model.name, *id, "product_tmpl_id").unwrap_or_default();
            let values = std::mem::take(&mut parsed.template);
            write(env, env.model("product.template"), &[template], &values)?;
        }
        models::after_write(env, model, *id, &old, &parsed)?;
        for (field, json) in std::mem::take(&mut parsed.inverse) {
            models::inverse(env, model, *id, field, &json)?;
        }
        if let Some(name) = &parsed.external_id {
            external::attach(env, name, model.name, *id)?;
        }
    }
    Ok(())
}

/// Computes what the writes made out of date, once the outermost one is done.
fn settle(env: &mut Env<'_>) -> Res<()> {
    if env.depth == 0 {
        models::settle(env)
    } else {
        Ok(())
    }
}

pub(in crate::sandbox::odoo) fn settle_after(env: &mut Env<'_>) -> Res<()> {
    settle(env)
}
