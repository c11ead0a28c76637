//! External ids (`ir.model.data`): `module.name` to a record, and back.

use serde_json::{Value as Json, json};

use super::db::{Key, Row};
use super::env::Env;
use super::error::{OdooError, Res};
use super::orm::search;
use super::schema::Model;
use super::value::{Map, Val};

const DATA: &str = "ir.model.data";

/// The module that import takes for names without a dot.
const IMPORTED: &str = "__import__";

/// The full name: the first dot splits module from name, none means the import module.
pub(super) fn complete(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{IMPORTED}.{name}")
    }
}

/// The record that an external id stands for: its row in `ir.model.data`, model and id.
pub(super) fn resolve(env: &Env<'_>, name: &str) -> Option<(String, i64)> {
    let entry = entry(env, &complete(name))?;
    let id = match env.row(DATA, entry)?.get("res_id")? {
        Val::Int(id) => *id,
        _ => return None,
    };
    Some((env.text(DATA, entry, "model"), id))
}

fn entry(env: &Env<'_>, name: &str) -> Option<i64> {
    env.db
        .find(DATA, "complete_name", &Key::Text(name.to_owned()))?
        .first()
        .copied()
}

/// Gives a record an external id, moving the name when it stood for another one.
pub(super) fn attach(env: &mut Env<'_>, name: &str, model: &'static str, id: i64) -> Res<()> {
    let name = complete(name);
    if name.contains(' ') {
        return Err(OdooError::validation("External IDs cannot contain spaces"));
    }
    if let Some(entry) = entry(env, &name) {
        let reference = Val::text(format!("{model},{id}"));
        env.set(
            DATA,
            entry,
            [
                ("model", Val::text(model)),
                ("res_id", Val::Int(id)),
                ("reference", reference),
            ],
        );
        return Ok(());
    }
    let (module, local) = name.split_once('.').unwrap_or((IMPORTED, &name));
    env.insert(
        DATA,
        Row::from([
            ("module", Val::text(module)),
            ("name", Val::text(local)),
            ("model", Val::text(model)),
            ("res_id", Val::Int(id)),
            ("noupdate", Val::Bool(false)),
            ("complete_name", Val::text(name.as_str())),
            ("reference", Val::text(format!("{model},{id}"))),
        ]),
    );
    let at = env.db.commits + 1;
    env.db.marks.insert(name, at);
    Ok(())
}

/// Removes all external ids of a record.
pub(super) fn detach_all(env: &mut Env<'_>, model: &str, id: i64) {
    for entry in entries(env, model, id) {
        env.db.put(DATA, entry, None);
    }
}

fn entries(env: &Env<'_>, model: &str, id: i64) -> Vec<i64> {
    env.db
        .find(DATA, "reference", &Key::Text(format!("{model},{id}")))
        .unwrap_or_default()
}

/// All external ids of a record, oldest first.
pub(super) fn names(env: &Env<'_>, model: &str, id: i64) -> Vec<String> {
    entries(env, model, id)
        .into_iter()
        .map(|entry| env.text(DATA, entry, "complete_name"))
        .collect()
}

/// Whether another call made this external id after ours had begun: a race that PostgreSQL lets one side lose.
pub(super) fn lost_race(env: &Env<'_>, name: &str) -> bool {
    let name = complete(name);
    let made_since = env.db.marks.get(&name).is_some_and(|at| *at > env.snapshot);
    env.sys.options.races && made_since && entry(env, &name).is_some()
}

/// `check_object_reference`: model and id; an archived record gives `false` for the id.
pub(super) fn check_object_reference(env: &Env<'_>, module: &str, name: &str) -> Res<Json> {
    let full = format!("{module}.{name}");
    let missing = || OdooError::value(format!("External ID not found in the system: {full}"));
    let found = entry(env, &full).ok_or_else(missing)?;
    let (model, id) = (
        env.text(DATA, found, "model"),
        env.id(DATA, found, "res_id").unwrap_or_default(),
    );
    let model = env.schema.model(&model).ok_or_else(missing)?;
    let shown = search::search(env, model, &json!([["id", "=", id]]), &search::Page::default())?;
    Ok(json!([
        model.name,
        shown.first().map_or(Json::Bool(false), |id| json!(id))
    ]))
}

/// `get_external_id`: one name for each id, `""` for none.
pub(super) fn get_external_id(env: &Env<'_>, model: &'static Model, ids: &[i64]) -> Res<Json> {
    env.allow(model, "read")?;
    let found = ids.iter().map(|id| {
        (
            id.to_string(),
            json!(names(env, model.name, *id).into_iter().next().unwrap_or_default()),
        )
    });
    Ok(Json::Object(found.collect::<Map>()))
}

/// `get_metadata`: stamps and external ids of each record.
pub(super) fn get_metadata(env: &Env<'_>, model: &'static Model, ids: &[i64]) -> Res<Json> {
    env.allow(model, "read")?;
    let rows = ids.iter().filter(|id| env.db.exists(model.name, **id)).map(|id| {
        let stamp = |field: &str| match env.get(model.name, *id, field) {
            Val::Time(time) => json!(time.format(super::value::DATETIME).to_string()),
            _ => Json::Bool(false),
        };
        let user = |field: &str| match env.id(model.name, *id, field) {
            Some(user) => json!([user, super::models::display_name(env, "res.users", user)]),
            None => Json::Bool(false),
        };
        let names = names(env, model.name, *id);
        let first = names.first().map_or(Json::Bool(false), |name| json!(name));
        let all: Vec<Json> = names
            .iter()
            .map(|name| json!({"xmlid": name, "noupdate": false}))
            .collect();
        json!({
            "id": id, "xmlid": first, "xmlids": all, "noupdate": false,
            "create_date": stamp("create_date"), "write_date": stamp("write_date"),
            "create_uid": user("create_uid"), "write_uid": user("write_uid"),
        })
    });
    Ok(rows.collect::<Vec<_>>().into())
}
