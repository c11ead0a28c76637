//! `res.partner`: normalised e-mail, names, addresses that follow their company, default addresses.

use serde_json::{Value as Json, json};

use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::unlink;
use crate::sandbox::odoo::orm::write::Parsed;
use crate::sandbox::odoo::value::{Map, Val};

const PARTNER: &str = "res.partner";

/// What a contact takes over from its company.
const ADDRESS: [&str; 6] = ["street", "street2", "zip", "city", "state_id", "country_id"];

pub(super) fn defaults(env: &Env<'_>) -> Row {
    let own = env.text("res.users", env.uid, "lang");
    let lang = env.context.lang.clone().unwrap_or(own);
    let lang = if lang.is_empty() { "en_US".to_owned() } else { lang };
    Row::from([("type", Val::text("contact")), ("lang", Val::Text(lang))])
}

pub(super) fn before_create(_env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let kind = parsed
        .cells
        .get("type")
        .map(Val::as_text)
        .unwrap_or_default()
        .to_owned();
    let named = matches!(parsed.cells.get("name"), Some(Val::Text(_)));
    check_name(&kind, named)?;
    complete(parsed);
    Ok(())
}

pub(super) fn before_write(env: &mut Env<'_>, id: i64, parsed: &mut Parsed) -> Res<()> {
    if parsed.has("name") || parsed.has("type") {
        let kind = parsed
            .cells
            .get("type")
            .cloned()
            .unwrap_or_else(|| env.get(PARTNER, id, "type"));
        let name = parsed
            .cells
            .get("name")
            .cloned()
            .unwrap_or_else(|| env.get(PARTNER, id, "name"));
        check_name(kind.as_text(), name != Val::Empty)?;
    }
    if let Some(Val::Int(parent)) = parsed.cells.get("parent_id") {
        let mut above = Some(*parent);
        while let Some(next) = above {
            if next == id {
                return Err(OdooError::validation(
                    "You cannot create recursive Partner hierarchies.",
                ));
            }
            above = env.id(PARTNER, next, "parent_id");
        }
    }
    complete(parsed);
    Ok(())
}

/// `""` is a name, nothing is not.
fn check_name(kind: &str, named: bool) -> Res<()> {
    if kind == "contact" && !named {
        return Err(OdooError::validation("Contacts require a name"));
    }
    Ok(())
}

fn complete(parsed: &mut Parsed) {
    if let Some(email) = parsed.cells.get("email") {
        let normalized = normalize_email(email.as_text()).map_or(Val::Empty, Val::Text);
        parsed.cells.insert("email_normalized", normalized);
    }
}

/// The one address in a text, in lower case; none when there are several or none.
fn normalize_email(text: &str) -> Option<String> {
    let addresses: Vec<&str> = text
        .split([',', ';', ' ', '\n', '<', '>', '"'])
        .filter(|part| {
            part.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            })
        })
        .collect();
    match addresses.as_slice() {
        [one] => Some(one.to_lowercase()),
        _ => None,
    }
}

/// Names and commercial entity are stored; addresses flow down to contacts.
pub(super) fn after_change(env: &mut Env<'_>, id: i64, parsed: &Parsed) {
    let parent = env.id(PARTNER, id, "parent_id");
    if let Some(parent) = parent.filter(|_| parsed.has("parent_id") || parsed.has("type")) {
        take_address(env, id, parent);
    }
    refresh_names(env, id);
    if ADDRESS.iter().any(|field| parsed.has(field)) {
        for child in env.db.children(PARTNER, "parent_id", id) {
            take_address(env, child, id);
        }
    }
}

/// A contact's address is its company's, as soon as that has one.
fn take_address(env: &mut Env<'_>, id: i64, parent: i64) {
    if env.text(PARTNER, id, "type") != "contact" {
        return;
    }
    let address: Vec<_> = ADDRESS
        .into_iter()
        .map(|field| (field, env.get(PARTNER, parent, field)))
        .collect();
    if address
        .iter()
        .any(|(_, val)| *val != Val::Empty && *val != Val::text(""))
    {
        env.set(PARTNER, id, address);
    }
}

fn refresh_names(env: &mut Env<'_>, id: i64) {
    let complete = Val::Text(display_name(env, id));
    let commercial = commercial(env, id);
    let unchanged = env
        .row(PARTNER, id)
        .is_some_and(|row| row.get("complete_name") == Some(&complete));
    env.set(
        PARTNER,
        id,
        [
            ("complete_name", complete),
            ("commercial_partner_id", Val::Int(commercial)),
        ],
    );
    if !unchanged {
        for child in env.db.children(PARTNER, "parent_id", id) {
            refresh_names(env, child);
        }
    }
}

fn commercial(env: &Env<'_>, id: i64) -> i64 {
    match env.id(PARTNER, id, "parent_id") {
        Some(parent) if !env.is(PARTNER, id, "is_company") => commercial(env, parent),
        _ => id,
    }
}

pub(super) fn display_name(env: &Env<'_>, id: i64) -> String {
    let mut name = env.text(PARTNER, id, "name");
    let parent = env
        .id(PARTNER, id, "parent_id")
        .filter(|_| !env.is(PARTNER, id, "is_company"));
    let Some(parent) = parent else { return name };
    if name.is_empty() {
        name = match env.text(PARTNER, id, "type").as_str() {
            "invoice" => "Invoice Address".to_owned(),
            "delivery" => "Delivery Address".to_owned(),
            "other" => "Other Address".to_owned(),
            _ => name,
        };
    }
    format!("{}, {name}", env.text(PARTNER, parent, "name"))
}

pub(super) fn live(env: &Env<'_>, id: i64, name: &str) -> Val {
    match name {
        "country_code" => {
            let country = env.id(PARTNER, id, "country_id");
            country.map_or(Val::Empty, |country| env.get("res.country", country, "code"))
        }
        "company_type" => Val::text(if env.is(PARTNER, id, "is_company") {
            "company"
        } else {
            "person"
        }),
        "sale_order_count" => {
            let count = env.db.children("sale.order", "partner_id", id).len();
            Val::Int(i64::try_from(count).unwrap_or(i64::MAX))
        }
        _ => Val::Empty,
    }
}

pub(super) fn write_company_type(env: &mut Env<'_>, id: i64, json: &Json) {
    env.set(
        PARTNER,
        id,
        [("is_company", Val::Bool(json.as_str() == Some("company")))],
    );
    refresh_names(env, id);
}

/// The address of each asked kind: among the children first, then those of the company, else the record itself.
pub(in crate::sandbox::odoo) fn address_get(env: &Env<'_>, id: i64, kinds: &[&str]) -> Vec<(String, i64)> {
    let mut kinds: Vec<&str> = kinds.to_vec();
    if !kinds.contains(&"contact") {
        kinds.push("contact");
    }
    let mut found: Vec<(String, i64)> = Vec::new();
    let mut current = Some(id);
    while let Some(top) = current {
        let mut queue = vec![top];
        while !queue.is_empty() {
            let record = queue.remove(0);
            let kind = env.text(PARTNER, record, "type");
            if kinds.contains(&kind.as_str()) && !found.iter().any(|(known, _)| *known == kind) {
                found.push((kind, record));
            }
            let children = env.ids(PARTNER, record, "child_ids");
            queue.extend(
                children
                    .into_iter()
                    .filter(|child| !env.is(PARTNER, *child, "is_company")),
            );
        }
        if found.len() == kinds.len() || env.is(PARTNER, top, "is_company") {
            break;
        }
        current = env.id(PARTNER, top, "parent_id");
    }
    let contact = found
        .iter()
        .find(|(kind, _)| kind == "contact")
        .map_or(id, |(_, record)| *record);
    for kind in kinds {
        if !found.iter().any(|(known, _)| known == kind) {
            found.push((kind.to_owned(), contact));
        }
    }
    found
}

/// `address_get` as a reply.
pub(in crate::sandbox::odoo) fn address_map(env: &Env<'_>, ids: &[i64], kinds: &Json) -> Json {
    let kinds: Vec<&str> = kinds
        .as_array()
        .map(|kinds| kinds.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    let Some(id) = ids.first() else { return json!({}) };
    address_get(env, *id, &kinds)
        .into_iter()
        .map(|(kind, id)| (kind, json!(id)))
        .collect::<Map>()
        .into()
}

/// A partner with orders: 18 deletes drafts and cancelled ones along with it, 19 refuses.
pub(super) fn before_unlink(env: &mut Env<'_>, id: i64) -> Res<()> {
    if !env.db.children("res.users", "partner_id", id).is_empty() {
        return Err(OdooError::user(
            "You cannot delete contacts linked to an active user.\nYou should rather archive them after archiving their associated user.",
        ));
    }
    let mut orders: Vec<i64> = ["partner_id", "partner_invoice_id", "partner_shipping_id"]
        .into_iter()
        .flat_map(|field| env.db.children("sale.order", field, id))
        .collect();
    orders.sort_unstable();
    orders.dedup();
    if orders.is_empty() {
        return Ok(());
    }
    let removable =
        |order: &i64| ["draft", "cancel"].contains(&env.text("sale.order", *order, "state").as_str());
    if !env.version().before_19() || !orders.iter().all(removable) {
        return Err(OdooError::validation(
            "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\nModel: Sales Order (sale.order)\nConstraint: sale_order_partner_id_fkey",
        ));
    }
    let model = env.model("sale.order");
    env.sudo(|env| unlink::unlink(env, model, &orders))
}
