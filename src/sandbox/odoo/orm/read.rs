//! Reading: `read` rows, the nested shapes of `web_read`, and `fields_get`.

use serde_json::{Value as Json, json};

use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::orm::{order, search};
use crate::sandbox::odoo::schema::{Field, Kind, Model, Origin};
use crate::sandbox::odoo::value::{self, Map, Val};

/// The fields asked for; none means all, which an ordinary user of 19 may not read.
fn selected(env: &Env<'_>, model: &'static Model, fields: &Json) -> Res<Vec<&'static Field>> {
    let names: Vec<&str> = match fields {
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    if names.is_empty() {
        if !env.version().before_19() && !env.is_system() {
            return Err(OdooError::access(format!(
                "You do not have enough rights to access the field \"message_main_attachment_id\" on {} ({}). Please contact your system administrator.",
                model.label, model.name
            )));
        }
        return Ok(model.fields().collect());
    }
    names.into_iter().map(|name| declared(model, name)).collect()
}

fn declared(model: &'static Model, name: &str) -> Res<&'static Field> {
    model
        .field(name)
        .ok_or_else(|| OdooError::value(format!("Invalid field '{name}' on model '{}'", model.name)))
}

/// `read`: one object per record that exists, fewer when some are gone.
pub(in crate::sandbox::odoo) fn read(
    env: &Env<'_>,
    model: &'static Model,
    ids: &Json,
    fields: &Json,
    pairs: bool,
) -> Res<Vec<Json>> {
    env.allow(model, "read")?;
    let mut rows = Vec::new();
    let asked = match ids {
        Json::Array(asked) => asked.clone(),
        Json::Number(_) => vec![ids.clone()],
        _ => Vec::new(),
    };
    if asked.is_empty() {
        return Ok(rows);
    }
    let fields = selected(env, model, fields)?;
    for id in asked {
        match id.as_i64() {
            Some(id) if env.db.exists(model.name, id) => {
                env.must_exist(model, &[id])?;
                let mut row = Map::from_iter([("id".to_owned(), json!(id))]);
                for field in &fields {
                    row.insert(field.name.to_owned(), shown(env, model, id, field, pairs));
                }
                rows.push(Json::Object(row));
            }
            // A null id reads as an empty new record.
            None if id.is_null() => {
                let mut row = Map::from_iter([("id".to_owned(), Json::Null)]);
                for field in fields.iter().filter(|field| field.name != "id") {
                    row.insert(field.name.to_owned(), value::show(field, &Val::Empty));
                }
                rows.push(Json::Object(row));
            }
            _ => {}
        }
    }
    Ok(rows)
}

/// One value as `read` shows it.
fn shown(env: &Env<'_>, model: &'static Model, id: i64, field: &Field, pairs: bool) -> Json {
    let val = env.get(model.name, id, field.name);
    match (field.kind, &val) {
        (Kind::One(comodel), Val::Int(target)) if pairs => {
            json!([target, models::display_name(env, comodel, *target)])
        }
        _ => models::shown(env, model, id, field, &val),
    }
}

/// `web_read`: the fields of a specification, relations nested as it says.
pub(in crate::sandbox::odoo) fn web_read(
    env: &Env<'_>,
    model: &'static Model,
    ids: &[i64],
    specification: &Map,
) -> Res<Vec<Json>> {
    env.allow(model, "read")?;
    env.must_exist(model, ids)?;
    ids.iter()
        .map(|id| {
            let mut row = Map::from_iter([("id".to_owned(), json!(id))]);
            for (name, inner) in specification {
                let field = declared(model, name)?;
                row.insert(name.clone(), specified(env, model, *id, field, inner)?);
            }
            Ok(Json::Object(row))
        })
        .collect()
}

fn specified(env: &Env<'_>, model: &'static Model, id: i64, field: &Field, inner: &Json) -> Res<Json> {
    let val = env.get(model.name, id, field.name);
    let nested = inner.get("fields").and_then(Json::as_object);
    let Some(comodel) = field.kind.comodel().map(|name| env.model(name)) else {
        return Ok(models::shown(env, model, id, field, &val));
    };
    match (&val, nested) {
        (Val::Int(target), Some(fields)) => {
            // A related record is shown with the reader's rights, its name always.
            let mut rows = web_read(env, comodel, &[*target], fields)?;
            Ok(rows.pop().unwrap_or(Json::Bool(false)))
        }
        (Val::Ids(targets), nested) => {
            let mut targets = targets.clone();
            if let Some(text) = inner.get("order").and_then(Json::as_str) {
                order::sort(env, comodel, &mut targets, &order::parse(comodel, text)?);
            }
            let Some(fields) = nested else {
                return Ok(json!(targets));
            };
            let limit = inner
                .get("limit")
                .and_then(Json::as_u64)
                .and_then(|limit| usize::try_from(limit).ok());
            let (full, bare) = targets.split_at(limit.unwrap_or(targets.len()).min(targets.len()));
            let mut rows = web_read(env, comodel, full, fields)?;
            rows.extend(bare.iter().map(|id| json!({ "id": id })));
            Ok(json!(rows))
        }
        _ => Ok(value::show(field, &val)),
    }
}

/// `fields_get`: what is declared, with the attributes asked for.
pub(in crate::sandbox::odoo) fn fields_get(
    env: &Env<'_>,
    model: &'static Model,
    only: &Json,
    attributes: &Json,
) -> Res<Json> {
    env.allow(model, "read")?;
    let wanted = |list: &Json, name: &str| match list {
        Json::Array(names) if !names.is_empty() => names.iter().any(|wanted| wanted.as_str() == Some(name)),
        _ => true,
    };
    let mut described = Map::new();
    for field in model.fields().filter(|field| wanted(only, field.name)) {
        let mut about = Map::new();
        let mut tell = |name: &str, value: Json| {
            if wanted(attributes, name) {
                about.insert(name.to_owned(), value);
            }
        };
        tell("name", json!(field.name));
        tell("type", json!(field.kind.name()));
        tell("string", json!(field.label));
        tell("required", json!(field.required));
        let writable = field.origin == Origin::Own
            || field.origin == Origin::Template
            || models::has_inverse(model, field);
        tell("readonly", json!(!writable));
        tell("store", json!(field.stored() && field.origin != Origin::Template));
        tell("sortable", json!(field.stored()));
        tell("searchable", json!(true));
        if let Some(comodel) = field.kind.comodel() {
            tell("relation", json!(comodel));
        }
        if let Kind::Many(_, inverse) = field.kind {
            tell("relation_field", json!(inverse));
        }
        match field.kind {
            Kind::Select(options) => tell("selection", json!(options)),
            Kind::Lang => {
                let languages = env.model("res.lang");
                let installed = search::search(env, languages, &Json::Null, &search::Page::default())?;
                let pairs: Vec<_> = installed
                    .into_iter()
                    .map(|id| [env.text("res.lang", id, "code"), env.text("res.lang", id, "name")])
                    .collect();
                tell("selection", json!(pairs));
            }
            _ => {}
        }
        described.insert(field.name.to_owned(), Json::Object(about));
    }
    Ok(Json::Object(described))
}
