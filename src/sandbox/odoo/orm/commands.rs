//! The command lists that write relations to many: `[0,0,{…}]` to `[6,0,[…]]`.

use serde_json::{Value as Json, json};

use super::{search, unlink, write};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::schema::{Field, Kind, Model};
use crate::sandbox::odoo::value::{Map, Val};

/// One command on a relation to many.
#[derive(Debug, Clone)]
pub(in crate::sandbox::odoo) enum Command {
    Create(Map),
    Update(i64, Map),
    Delete(i64),
    Unlink(i64),
    Link(i64),
    Clear,
    Set(Vec<i64>),
}

/// Reads what a client sent for a relation to many. Nothing (or `false`) clears; a bare list of ids replaces.
pub(in crate::sandbox::odoo) fn parse(model: &Model, field: &Field, json: &Json) -> Res<Vec<Command>> {
    let wrong = || OdooError::value(format!("Wrong value for {}.{}: {json}", model.name, field.name));
    let items = match json {
        Json::Null | Json::Bool(false) => return Ok(vec![Command::Clear]),
        Json::Array(items) => items,
        _ => return Err(wrong()),
    };
    if items.first().is_some_and(Json::is_number) {
        return Ok(vec![Command::Set(search::ids(json))]);
    }
    items
        .iter()
        .map(|item| {
            let parts = item.as_array().ok_or_else(wrong)?;
            let id = || parts.get(1).and_then(Json::as_i64).ok_or_else(wrong);
            let vals = || parts.get(2).and_then(Json::as_object).cloned().ok_or_else(wrong);
            match parts.first().and_then(Json::as_i64) {
                Some(0) => Ok(Command::Create(vals()?)),
                Some(1) => Ok(Command::Update(id()?, vals()?)),
                Some(2) => Ok(Command::Delete(id()?)),
                Some(3) => Ok(Command::Unlink(id()?)),
                Some(4) => Ok(Command::Link(id()?)),
                Some(5) => Ok(Command::Clear),
                Some(6) => Ok(Command::Set(search::ids(parts.get(2).ok_or_else(wrong)?))),
                _ => Err(wrong()),
            }
        })
        .collect()
}

/// Carries commands out on `field` of one record.
pub(in crate::sandbox::odoo) fn run(
    env: &mut Env<'_>,
    model: &'static Model,
    id: i64,
    field: &'static Field,
    commands: Vec<Command>,
) -> Res<()> {
    match field.kind {
        Kind::Many(comodel, inverse) => {
            let comodel = env.model(comodel);
            commands
                .into_iter()
                .try_for_each(|command| run_one_to_many(env, comodel, inverse, id, command))
        }
        Kind::ManyMany(comodel) => {
            let comodel = env.model(comodel);
            let current = env
                .row(model.name, id)
                .and_then(|row| row.get(field.name))
                .map(|val| val.as_ids().to_vec());
            let mut ids = current.unwrap_or_default();
            for command in commands {
                run_many_to_many(env, comodel, &mut ids, command)?;
            }
            env.set(model.name, id, [(field.name, Val::Ids(ids))]);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn run_one_to_many(
    env: &mut Env<'_>,
    comodel: &'static Model,
    inverse: &'static str,
    id: i64,
    command: Command,
) -> Res<()> {
    match command {
        Command::Create(mut vals) => {
            vals.insert(inverse.to_owned(), json!(id));
            write::create(env, comodel, &vals).map(drop)
        }
        Command::Update(target, vals) => write::write(env, comodel, &[target], &vals),
        Command::Delete(target) => unlink::unlink(env, comodel, &[target]),
        Command::Link(target) => {
            let already = env
                .row(comodel.name, target)
                .and_then(|row| row.get(inverse)?.as_id())
                == Some(id);
            if already {
                return env.must_exist(comodel, &[target]);
            }
            write::write(
                env,
                comodel,
                &[target],
                &Map::from_iter([(inverse.to_owned(), json!(id))]),
            )
        }
        Command::Unlink(target) => detach(env, comodel, inverse, target),
        Command::Clear => {
            let all = env.db.children(comodel.name, inverse, id);
            all.into_iter()
                .try_for_each(|target| detach(env, comodel, inverse, target))
        }
        Command::Set(targets) => {
            for present in env.db.children(comodel.name, inverse, id) {
                if !targets.contains(&present) {
                    detach(env, comodel, inverse, present)?;
                }
            }
            targets
                .into_iter()
                .try_for_each(|target| run_one_to_many(env, comodel, inverse, id, Command::Link(target)))
        }
    }
}

/// A child that cannot be without its parent is deleted, another one is let go.
fn detach(env: &mut Env<'_>, comodel: &'static Model, inverse: &'static str, target: i64) -> Res<()> {
    if comodel.field(inverse).is_some_and(|field| field.required) {
        return unlink::unlink(env, comodel, &[target]);
    }
    write::write(
        env,
        comodel,
        &[target],
        &Map::from_iter([(inverse.to_owned(), Json::Bool(false))]),
    )
}

fn run_many_to_many(
    env: &mut Env<'_>,
    comodel: &'static Model,
    ids: &mut Vec<i64>,
    command: Command,
) -> Res<()> {
    match command {
        Command::Create(vals) => ids.push(write::create(env, comodel, &vals)?),
        Command::Update(target, vals) => write::write(env, comodel, &[target], &vals)?,
        Command::Delete(target) => {
            unlink::unlink(env, comodel, &[target])?;
            ids.retain(|id| *id != target);
        }
        Command::Unlink(target) => ids.retain(|id| *id != target),
        Command::Link(target) => {
            env.must_exist(comodel, &[target])?;
            if !ids.contains(&target) {
                ids.push(target);
            }
        }
        Command::Clear => ids.clear(),
        Command::Set(targets) => {
            env.must_exist(comodel, &targets)?;
            ids.clear();
            for target in targets {
                if !ids.contains(&target) {
                    ids.push(target);
                }
            }
        }
    }
    Ok(())
}
