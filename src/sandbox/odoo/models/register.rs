//! Small rules of small models: taxes, categories, users, external ids.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::sandbox::odoo::db::{Key, Row};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::options::{CustomField, Version};
use crate::sandbox::odoo::orm::write::{self, Parsed};
use crate::sandbox::odoo::schema::{Field, Kind};
use crate::sandbox::odoo::value::{Map, Val};

/// The current company's currency.
pub(super) fn company_currency(env: &Env<'_>) -> Option<i64> {
    env.id("res.company", env.company(), "currency_id")
}

pub(super) fn tax_defaults(env: &Env<'_>) -> Row {
    Row::from([
        ("type_tax_use", Val::text("sale")),
        ("amount_type", Val::text("percent")),
        ("amount", Val::Dec(Decimal::ZERO)),
        ("sequence", Val::Int(1)),
        ("company_id", Val::Int(env.company())),
        (
            "country_id",
            Val::one(env.id("res.company", env.company(), "country_id")),
        ),
        ("tax_group_id", Val::Int(1)),
    ])
}

/// From 18 on, whether prices contain a tax follows from its override, else from the company.
pub(super) fn before_write_tax(env: &mut Env<'_>, id: Option<i64>, parsed: &mut Parsed) {
    if env.version() == Version::V17 || (id.is_some() && !parsed.has("price_include_override")) {
        return;
    }
    let company = parsed
        .cells
        .get("company_id")
        .and_then(Val::as_id)
        .unwrap_or_else(|| env.company());
    let chosen = parsed
        .cells
        .get("price_include_override")
        .cloned()
        .unwrap_or_default();
    let mode = match chosen {
        Val::Text(mode) => mode,
        _ => env.text("res.company", company, "account_price_include"),
    };
    parsed
        .cells
        .insert("price_include", Val::Bool(mode == "tax_included"));
}

pub(super) fn complete_category(env: &mut Env<'_>, parsed: &mut Parsed) {
    let name = parsed
        .cells
        .get("name")
        .map(Val::as_text)
        .unwrap_or_default()
        .to_owned();
    let parent = parsed.cells.get("parent_id").and_then(Val::as_id);
    let complete = parent.map_or(name.clone(), |parent| {
        format!(
            "{} / {name}",
            env.text("product.category", parent, "complete_name")
        )
    });
    parsed.cells.insert("complete_name", Val::Text(complete));
}

/// One row for each external id, as the database's constraint says.
pub(super) fn before_create_external_id(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let text = |name: &str| {
        parsed
            .cells
            .get(name)
            .map(Val::as_text)
            .unwrap_or_default()
            .to_owned()
    };
    let complete = format!("{}.{}", text("module"), text("name"));
    let target = parsed
        .cells
        .get("res_id")
        .and_then(Val::as_id)
        .unwrap_or_default();
    let reference = format!("{},{target}", text("model"));
    let taken = env
        .db
        .find("ir.model.data", "complete_name", &Key::Text(complete.clone()))
        .unwrap_or_default();
    if !taken.is_empty() {
        return Err(OdooError::validation(
            "duplicate key value violates unique constraint \"ir_model_data_module_name_uniq_index\"\n",
        ));
    }
    if complete.contains(' ') {
        return Err(OdooError::validation("External IDs cannot contain spaces"));
    }
    parsed.cells.insert("complete_name", Val::Text(complete));
    parsed.cells.insert("reference", Val::Text(reference));
    Ok(())
}

/// A user's name and address are its partner's.
pub(super) fn write_user_partner(env: &mut Env<'_>, id: i64, field: &'static Field, json: &Json) -> Res<()> {
    let partner = env.id("res.users", id, "partner_id").unwrap_or_default();
    let values = Map::from_iter([(field.name.to_owned(), json.clone())]);
    write::write(env, env.model("res.partner"), &[partner], &values)
}

pub(super) fn field_defaults() -> Row {
    Row::from([
        ("state", Val::text("manual")),
        ("ttype", Val::text("char")),
        ("store", Val::Bool(true)),
        ("copied", Val::Bool(true)),
    ])
}

/// Custom fields are named `x_…`, once in each model. The wording is not observed.
pub(super) fn before_create_field(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let text = |name: &str| {
        parsed
            .cells
            .get(name)
            .map(Val::as_text)
            .unwrap_or_default()
            .to_owned()
    };
    let (name, kind) = (text("name"), text("ttype"));
    let target = parsed
        .cells
        .get("model_id")
        .and_then(Val::as_id)
        .unwrap_or_default();
    let model = env.text("ir.model", target, "model");
    if !name.starts_with("x_") {
        return Err(OdooError::validation(
            "Custom fields must have a name that starts with 'x_'!",
        ));
    }
    if !name
        .chars()
        .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    {
        return Err(OdooError::validation(
            "Field names can only contain characters, digits and underscores (up to 63).",
        ));
    }
    if Kind::custom(&kind).is_none() {
        return Err(OdooError::user(format!(
            "Custom fields of type {kind} are not played by the stand-in."
        )));
    }
    if env
        .schema
        .model(&model)
        .is_some_and(|declared| declared.has(&name))
    {
        return Err(OdooError::validation("Field names must be unique per model."));
    }
    parsed.cells.insert("model", Val::Text(model));
    Ok(())
}

/// The custom fields on the books.
pub(in crate::sandbox::odoo) fn custom_fields(env: &Env<'_>) -> BTreeSet<CustomField> {
    const FIELDS: &str = "ir.model.fields";
    let ids = env.db.ids(FIELDS).into_iter();
    ids.map(|id| CustomField {
        model: env.text(FIELDS, id, "model"),
        name: env.text(FIELDS, id, "name"),
        label: env.text(FIELDS, id, "field_description"),
        kind: env.text(FIELDS, id, "ttype"),
    })
    .collect()
}
