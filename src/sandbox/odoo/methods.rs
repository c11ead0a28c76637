//! Which methods can be called on which model, how their arguments are named, and what they do.

use serde_json::{Value as Json, json};

use super::actions;
use super::env::Env;
use super::error::{OdooError, Res};
use super::external;
use super::load;
use super::models::{confirm, mail, partner, quant};
use super::options::Version;
use super::orm::search::{self, Page};
use super::orm::{read, unlink, write};
use super::schema::Model;
use super::value::{Map, is_falsy};

/// The two ways to call: they bind arguments differently, and `create` answers differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    JsonRpc,
    Json2,
}

/// How a method is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    /// Works on records: the ids come first (JSON-RPC) or as `ids` (JSON-2).
    on_records: bool,
    /// Names in positional order; those after the bar `|` may be left out.
    params: &'static str,
}

/// Models with a chatter.
const CHATTER: [&str; 7] = [
    "account.move",
    "account.payment",
    "sale.order",
    "res.partner",
    "stock.picking",
    "product.template",
    "product.product",
];

impl Signature {
    const fn records(params: &'static str) -> Self {
        Self {
            on_records: true,
            params,
        }
    }

    const fn model(params: &'static str) -> Self {
        Self {
            on_records: false,
            params,
        }
    }

    /// The signature of a method that exists.
    pub(super) fn find(version: Version, model: &str, method: &str) -> Option<Self> {
        let before_19 = version.before_19();
        Some(match (model, method) {
            (_, "search") => Self::model("domain | offset limit order"),
            (_, "search_count") => Self::model("domain | limit"),
            (_, "search_read") => Self::model("| domain fields offset limit order load"),
            (_, "read") => Self::records("| fields load"),
            (_, "create") => Self::model("vals_list |"),
            (_, "write") => Self::records("vals |"),
            (_, "unlink" | "get_external_id" | "get_metadata" | "action_archive" | "action_unarchive") => {
                Self::records("|")
            }
            (_, "load") => Self::model("fields data |"),
            (_, "web_save") => Self::records("vals specification | next_id"),
            (_, "web_save_multi") if !before_19 => Self::records("vals_list specification |"),
            (_, "web_read") => Self::records("specification |"),
            (_, "web_search_read") => Self::model("domain specification | offset limit order count_limit"),
            (_, "fields_get") => Self::model("| allfields attributes"),
            (_, "check_access_rights") => Self::model("operation | raise_exception"),
            (_, "has_access") if version != Version::V17 => Self::records("operation |"),
            (_, "name_search") if before_19 => Self::model("| name args operator limit"),
            (_, "name_search") => Self::model("| name domain operator limit"),
            (_, "default_get") if before_19 => Self::model("fields_list |"),
            (_, "default_get") => Self::model("fields |"),
            (_, "export_data") => Self::records("fields_to_export |"),
            (model, "message_post") if CHATTER.contains(&model) => Self::records(
                "| body subject message_type subtype_xmlid partner_ids author_id email_from body_is_html",
            ),
            (
                "sale.order",
                "action_confirm" | "action_cancel" | "action_draft" | "action_lock" | "action_unlock",
            ) => Self::records("|"),
            ("res.partner", "address_get") => Self::records("| adr_pref"),
            ("res.users", "context_get") | ("res.lang", "get_installed") => Self::model("|"),
            ("ir.model.data", "check_object_reference") => {
                Self::model("module xml_id | raise_on_access_error")
            }
            ("ir.config_parameter", "get_param") => Self::model("key | default"),
            (model, method) => Self::records(actions::params(model, method)?),
        })
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        self.params.split_whitespace().filter(|name| *name != "|")
    }

    fn required(self) -> impl Iterator<Item = &'static str> {
        self.params
            .split('|')
            .next()
            .unwrap_or_default()
            .split_whitespace()
    }

    /// Arguments of a JSON-RPC call: positional ones first, then named ones; the context apart.
    pub(super) fn bind_positional(self, method: &str, args: &[Json], mut named: Map) -> Res<Bound> {
        let context = take_context(&mut named);
        let mut rest = args;
        let mut ids = Json::Null;
        if self.on_records {
            let (first, tail) = rest.split_first().ok_or_else(|| {
                OdooError::type_error(format!(
                    "{method}() missing 1 required positional argument: 'ids'"
                ))
            })?;
            ids = first.clone();
            rest = tail;
        }
        let params: Vec<&str> = self.names().collect();
        if rest.len() > params.len() {
            return Err(OdooError::type_error(format!(
                "{method}() takes {} positional arguments but {} were given",
                params.len() + 1,
                rest.len() + 1
            )));
        }
        for (name, value) in params.iter().zip(rest) {
            named.insert((*name).to_owned(), value.clone());
        }
        if let Some(unknown) = named.keys().find(|name| !params.contains(&name.as_str())) {
            return Err(OdooError::type_error(format!(
                "{method}() got an unexpected keyword argument '{unknown}'"
            )));
        }
        if let Some(missing) = self.required().find(|name| !named.contains_key(*name)) {
            return Err(OdooError::type_error(format!(
                "{method}() missing 1 required positional argument: '{missing}'"
            )));
        }
        Ok(Bound { ids, named, context })
    }

    /// Arguments of a JSON-2 call: all by name, and nothing unknown.
    pub(super) fn bind_named(self, mut body: Map) -> Res<Bound> {
        let context = take_context(&mut body);
        let ids = body.remove("ids");
        if ids.is_some() && !self.on_records {
            return Err(OdooError::unprocessable("cannot call this method with ids"));
        }
        if let Some(unknown) = body
            .keys()
            .find(|name| !self.names().any(|known| known == name.as_str()))
        {
            return Err(OdooError::unprocessable(format!(
                "got an unexpected keyword argument '{unknown}'"
            )));
        }
        if let Some(missing) = self.required().find(|name| !body.contains_key(*name)) {
            return Err(OdooError::unprocessable(format!(
                "missing a required argument: '{missing}'"
            )));
        }
        Ok(Bound {
            ids: ids.unwrap_or(Json::Array(Vec::new())),
            named: body,
            context,
        })
    }
}

fn take_context(named: &mut Map) -> Map {
    match named.remove("context") {
        Some(Json::Object(context)) => context,
        _ => Map::new(),
    }
}

/// The arguments of one call.
#[derive(Debug)]
pub(super) struct Bound {
    ids: Json,
    named: Map,
    pub(super) context: Map,
}

impl Bound {
    pub(super) fn get(&self, name: &str) -> &Json {
        self.named.get(name).unwrap_or(&Json::Null)
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    fn object(&self, name: &str) -> Res<Map> {
        match self.get(name) {
            Json::Object(map) => Ok(map.clone()),
            Json::Null => Ok(Map::new()),
            other => Err(OdooError::type_error(format!(
                "{name} must be a dict, not {other}"
            ))),
        }
    }

    fn page(&self) -> Page {
        Page::from_args(self.get("offset"), self.get("limit"), self.get("order"))
    }
}

/// Carries a call out. `None` is a method that returns nothing.
pub(super) fn run(
    env: &mut Env<'_>,
    protocol: Protocol,
    model: &'static Model,
    method: &str,
    call: &Bound,
) -> Res<Option<Json>> {
    let ids = search::ids(&call.ids);
    // Some buttons are called alike on several models.
    if actions::params(model.name, method).is_some() {
        return actions::run(env, model, method, &ids, call);
    }
    let pairs = match call.named.get("load") {
        None => true,
        Some(load) => load.as_str() == Some("_classic_read"),
    };
    Ok(Some(match method {
        "search" => json!(search::search(env, model, call.get("domain"), &call.page())?),
        "search_count" => {
            let page = Page {
                limit: call.page().limit,
                ..Page::default()
            };
            json!(search::search(env, model, call.get("domain"), &page)?.len())
        }
        "search_read" => {
            let found = search::search(env, model, call.get("domain"), &call.page())?;
            json!(read::read(env, model, &json!(found), call.get("fields"), pairs)?)
        }
        "read" => json!(read::read(env, model, &call.ids, call.get("fields"), pairs)?),
        "create" => create(env, protocol, model, call.get("vals_list"))?,
        "write" => {
            write::write(env, model, &ids, &call.object("vals")?)?;
            json!(true)
        }
        "unlink" => {
            unlink::unlink(env, model, &ids)?;
            json!(true)
        }
        "load" => load::load(env, model, call.get("fields"), call.get("data"))?,
        "web_save" => web_save(env, model, &ids, call)?,
        "web_save_multi" => web_save_multi(env, model, &ids, call)?,
        "web_read" => json!(read::web_read(env, model, &ids, &call.object("specification")?)?),
        "web_search_read" => {
            let domain = call.get("domain");
            let found = search::search(env, model, domain, &call.page())?;
            let all = search::search(env, model, domain, &Page::default())?.len();
            json!({"length": all, "records": read::web_read(env, model, &found, &call.object("specification")?)?})
        }
        "fields_get" => read::fields_get(env, model, call.get("allfields"), call.get("attributes"))?,
        "get_external_id" => external::get_external_id(env, model, &ids)?,
        "get_metadata" => external::get_metadata(env, model, &ids)?,
        "check_access_rights" => match env.allow(model, call.text("operation")) {
            Err(error)
                if call
                    .named
                    .get("raise_exception")
                    .is_none_or(|raise| !is_falsy(raise)) =>
            {
                return Err(error);
            }
            allowed => json!(allowed.is_ok()),
        },
        "has_access" => json!(env.allow(model, call.text("operation")).is_ok()),
        "name_search" => name_search(env, model, call)?,
        "default_get" => default_get(env, model, call),
        "export_data" => {
            return Err(OdooError::user(
                "You don't have the rights to export data. Please contact an Administrator.",
            ));
        }
        "action_archive" | "action_unarchive" => {
            let active = Map::from_iter([("active".to_owned(), json!(method == "action_unarchive"))]);
            write::write(env, model, &ids, &active)?;
            return Ok(None);
        }
        "message_post" => mail::message_post(
            env,
            model,
            &ids,
            call.get("body"),
            call.get("subject"),
            call.get("message_type"),
        )?,
        "action_confirm" => confirm::confirm(env, model, &ids)?,
        "action_cancel" => confirm::cancel(env, model, &ids)?,
        "action_draft" => confirm::draft(env, model, &ids)?,
        "action_lock" | "action_unlock" => {
            confirm::lock(env, model, &ids, method == "action_lock")?;
            return Ok(None);
        }
        "address_get" => {
            env.allow(model, "read")?;
            partner::address_map(env, &ids, call.get("adr_pref"))
        }
        "context_get" => context_get(env),
        "get_installed" => {
            let found = search::search(env, model, &Json::Null, &Page::default())?;
            let pairs = found
                .into_iter()
                .map(|id| [env.text("res.lang", id, "code"), env.text("res.lang", id, "name")]);
            json!(pairs.collect::<Vec<_>>())
        }
        "check_object_reference" => {
            external::check_object_reference(env, call.text("module"), call.text("xml_id"))?
        }
        "get_param" => {
            env.allow(model, "read")?;
            json!(false)
        }
        _ => {
            return Err(OdooError::attribute(format!(
                "The method '{}.{method}' does not exist",
                model.name
            )));
        }
    }))
}

/// One object makes one id in JSON-RPC; everything else answers with a list.
fn create(env: &mut Env<'_>, protocol: Protocol, model: &'static Model, vals: &Json) -> Res<Json> {
    let object = |json: &Json| {
        json.as_object()
            .cloned()
            .ok_or_else(|| OdooError::type_error(format!("vals must be a dict, not {json}")))
    };
    match vals {
        Json::Array(list) => {
            let ids = list
                .iter()
                .map(|vals| create_one(env, model, vals, &object(vals)?))
                .collect::<Res<Vec<_>>>()?;
            Ok(json!(ids))
        }
        single => {
            let id = create_one(env, model, single, &object(single)?)?;
            Ok(if protocol == Protocol::Json2 {
                json!([id])
            } else {
                json!(id)
            })
        }
    }
}

/// Makes a record; a stock level that is there already is changed instead.
fn create_one(env: &mut Env<'_>, model: &'static Model, vals: &Json, object: &Map) -> Res<i64> {
    if model.name == "stock.quant"
        && let Some(level) = quant::existing(env, vals)
    {
        write::write(env, model, &[level], object)?;
        return Ok(level);
    }
    write::create(env, model, object)
}

/// Write (or create) and read in one transaction.
fn web_save(env: &mut Env<'_>, model: &'static Model, ids: &[i64], call: &Bound) -> Res<Json> {
    let vals = call.object("vals")?;
    let saved = if ids.is_empty() {
        vec![write::create(env, model, &vals)?]
    } else {
        write::write(env, model, ids, &vals)?;
        ids.to_vec()
    };
    let shown = call.get("next_id").as_i64().map_or(saved, |next| vec![next]);
    Ok(json!(read::web_read(
        env,
        model,
        &shown,
        &call.object("specification")?
    )?))
}

fn web_save_multi(env: &mut Env<'_>, model: &'static Model, ids: &[i64], call: &Bound) -> Res<Json> {
    let list = call.get("vals_list").as_array().cloned().unwrap_or_default();
    if list.len() != ids.len() {
        return Err(OdooError::value("each record needs its own values"));
    }
    for (id, vals) in ids.iter().zip(&list) {
        let vals = vals.as_object().cloned().unwrap_or_default();
        write::write(env, model, &[*id], &vals)?;
    }
    Ok(json!(read::web_read(
        env,
        model,
        ids,
        &call.object("specification")?
    )?))
}

fn name_search(env: &Env<'_>, model: &'static Model, call: &Bound) -> Res<Json> {
    let domain = if call.named.contains_key("domain") {
        call.get("domain")
    } else {
        call.get("args")
    };
    let operator = match call.text("operator") {
        "" => "ilike",
        operator => operator,
    };
    let limit = call
        .get("limit")
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(100);
    let found = search::by_name(
        env,
        model,
        call.text("name"),
        domain,
        operator,
        (limit > 0).then_some(limit),
    )?;
    let pairs = found
        .into_iter()
        .map(|id| json!([id, super::models::display_name(env, model.name, id)]));
    Ok(pairs.collect::<Vec<_>>().into())
}

fn default_get(env: &Env<'_>, model: &'static Model, call: &Bound) -> Json {
    let list = if call.named.contains_key("fields_list") {
        call.get("fields_list")
    } else {
        call.get("fields")
    };
    let names: Vec<&str> = list
        .as_array()
        .map(|names| names.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    let row = super::models::defaults(env, model);
    let known = names
        .into_iter()
        .filter_map(|name| Some((model.field(name)?, row.get(name)?)));
    known
        .map(|(field, val)| (field.name.to_owned(), super::value::show(field, val)))
        .collect::<Map>()
        .into()
}

fn context_get(env: &Env<'_>) -> Json {
    let text = |field: &str| match env.text("res.users", env.uid, field) {
        text if text.is_empty() => json!(false),
        text => json!(text),
    };
    json!({"lang": text("lang"), "tz": text("tz"), "uid": env.uid})
}
