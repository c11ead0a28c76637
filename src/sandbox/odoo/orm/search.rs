//! Searching: domain, archived records, company rules, order and paging.

use serde_json::Value as Json;

use super::filter::Filter;
use super::order;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::schema::Model;

/// Paging and order of a search.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox::odoo) struct Page {
    pub(in crate::sandbox::odoo) offset: usize,
    /// `None` and 0 mean no limit.
    pub(in crate::sandbox::odoo) limit: Option<usize>,
    pub(in crate::sandbox::odoo) order: Option<String>,
}

impl Page {
    /// From the arguments `offset`, `limit` and `order`.
    pub(in crate::sandbox::odoo) fn from_args(offset: &Json, limit: &Json, order: &Json) -> Self {
        let count = |json: &Json| json.as_u64().and_then(|count| usize::try_from(count).ok());
        Self {
            offset: count(offset).unwrap_or(0),
            limit: count(limit).filter(|limit| *limit > 0),
            order: order
                .as_str()
                .filter(|order| !order.trim().is_empty())
                .map(str::to_owned),
        }
    }
}

/// Ids that satisfy `domain`, in order.
pub(in crate::sandbox::odoo) fn search(
    env: &Env<'_>,
    model: &'static Model,
    domain: &Json,
    page: &Page,
) -> Res<Vec<i64>> {
    env.allow(model, "read")?;
    let terms = match &page.order {
        Some(text) => order::parse(model, text)?,
        None => order::default(model),
    };
    let filter = Filter::parse(env, model, domain)?;
    let hide = model.has("active") && env.context.active_test() && !Filter::mentions(domain, "active");
    let candidates = filter
        .candidates(env, model)
        .unwrap_or_else(|| env.db.ids(model.name));
    let found = candidates
        .into_iter()
        .filter(|id| env.db.exists(model.name, *id))
        .filter(|id| !hide || env.is(model.name, *id, "active"))
        .filter(|id| env.in_company(model, *id))
        .filter(|id| filter.matches(env, model, *id));
    let limit = page.limit.unwrap_or(usize::MAX);
    if order::is_by_id(&terms) {
        // Candidates are in this order already: a page of a large table ends where it is full.
        return Ok(found.skip(page.offset).take(limit).collect());
    }
    let mut found: Vec<i64> = found.collect();
    order::sort(env, model, &mut found, &terms);
    Ok(found.into_iter().skip(page.offset).take(limit).collect())
}

/// `name_search`: records whose shown name, or code, matches.
pub(in crate::sandbox::odoo) fn by_name(
    env: &Env<'_>,
    model: &'static Model,
    name: &str,
    domain: &Json,
    operator: &str,
    limit: Option<usize>,
) -> Res<Vec<i64>> {
    let exact = match operator {
        "=" | "=ilike" => true,
        "ilike" | "like" => false,
        other => {
            return Err(OdooError::value(format!(
                "Invalid operator {other} in name_search"
            )));
        }
    };
    let found = search(env, model, domain, &Page::default())?;
    let folded = name.to_lowercase();
    let fits = |text: &str| {
        if exact && operator == "=" {
            text == name
        } else if exact {
            text.to_lowercase() == folded
        } else {
            text.to_lowercase().contains(&folded)
        }
    };
    let matching = found
        .into_iter()
        .filter(|id| name.is_empty() || models::names(env, model.name, *id).iter().any(|text| fits(text)));
    Ok(match limit {
        Some(limit) => matching.take(limit).collect(),
        None => matching.collect(),
    })
}

/// The record and everything above it, by `parent_id`.
pub(in crate::sandbox::odoo) fn ancestors(env: &Env<'_>, model: &str, id: i64) -> Vec<i64> {
    let mut line = vec![id];
    while let Some(parent) = line.last().and_then(|last| env.id(model, *last, "parent_id")) {
        if line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

/// The ids in an argument: a list, one number, or nothing.
pub(in crate::sandbox::odoo) fn ids(json: &Json) -> Vec<i64> {
    match json {
        Json::Array(items) => items.iter().filter_map(Json::as_i64).collect(),
        Json::Number(number) => number.as_i64().into_iter().collect(),
        _ => Vec::new(),
    }
}
