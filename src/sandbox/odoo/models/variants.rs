//! Product options: attribute lines, the values a template offers, and the variants that follow from them.

use crate::sandbox::odoo::db::{Key, Row};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::orm::write::Parsed;
use crate::sandbox::odoo::orm::{unlink, write};
use crate::sandbox::odoo::value::{Map, Val};

const LINE: &str = "product.template.attribute.line";
const OFFERED: &str = "product.template.attribute.value";
const VARIANT: &str = "product.product";

/// More variants than this are refused.
const MOST_VARIANTS: usize = 1000;

/// Keeps the copies of attribute and template that an offered value carries.
pub(super) fn before_create_value(env: &mut Env<'_>, parsed: &mut Parsed) {
    let line = parsed
        .cells
        .get("attribute_line_id")
        .and_then(Val::as_id)
        .unwrap_or_default();
    for field in ["attribute_id", "product_tmpl_id"] {
        let val = env.get(LINE, line, field);
        parsed.cells.insert(field, val);
    }
}

/// An attribute has each value once.
pub(super) fn check_unique_value(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let name = parsed
        .cells
        .get("name")
        .map(Val::as_text)
        .unwrap_or_default()
        .to_owned();
    let attribute = parsed.cells.get("attribute_id").and_then(Val::as_id);
    let same = env
        .db
        .find("product.attribute.value", "name", &Key::Text(name))
        .unwrap_or_default();
    if same
        .into_iter()
        .any(|id| env.id("product.attribute.value", id, "attribute_id") == attribute)
    {
        return Err(OdooError::validation(
            "You cannot create two values with the same name for the same attribute.",
        ));
    }
    Ok(())
}

/// Offers exactly the values of a line, and has the template's variants generated when the call's writes are done.
pub(super) fn after_line_change(env: &mut Env<'_>, line: i64) -> Res<()> {
    let values = env.ids(LINE, line, "value_ids");
    let attribute = env.id(LINE, line, "attribute_id");
    if values.is_empty() {
        return Err(OdooError::validation(format!(
            "The attribute {} must have at least one value for the product {}.",
            super::display_name(env, "product.attribute", attribute.unwrap_or_default()),
            super::display_name(
                env,
                "product.template",
                env.id(LINE, line, "product_tmpl_id").unwrap_or_default()
            ),
        )));
    }
    if values
        .iter()
        .any(|value| env.id("product.attribute.value", *value, "attribute_id") != attribute)
    {
        return Err(OdooError::validation(
            "On the product the values must belong to the attribute of their line.",
        ));
    }
    let offered = env.db.children(OFFERED, "attribute_line_id", line);
    let of = |env: &Env<'_>, id: i64| {
        env.id(OFFERED, id, "product_attribute_value_id")
            .unwrap_or_default()
    };
    for id in &offered {
        let wanted = values.contains(&of(env, *id));
        env.set(OFFERED, *id, [("ptav_active", Val::Bool(wanted))]);
    }
    for value in values {
        if !offered.iter().any(|id| of(env, *id) == value) {
            let vals = Map::from_iter([
                ("product_attribute_value_id".to_owned(), value.into()),
                ("attribute_line_id".to_owned(), line.into()),
            ]);
            env.sudo(|env| write::create(env, env.model(OFFERED), &vals))?;
        }
    }
    let template = env.id(LINE, line, "product_tmpl_id").unwrap_or_default();
    env.stale_templates.insert(template);
    Ok(())
}

pub(super) fn after_line_unlink(env: &mut Env<'_>, old: &Row) {
    if let Some(template) = old.get("product_tmpl_id").and_then(Val::as_id)
        && env.db.exists("product.template", template)
    {
        env.stale_templates.insert(template);
    }
}

/// Makes the variants match the lines: missing ones are made, surplus ones deleted, or archived when they were sold.
pub(super) fn generate(env: &mut Env<'_>, template: i64) -> Res<()> {
    let mut lines = env.db.children(LINE, "product_tmpl_id", template);
    let mode = |env: &Env<'_>, line: i64| {
        let attribute = env.id(LINE, line, "attribute_id").unwrap_or_default();
        env.text("product.attribute", attribute, "create_variant")
    };
    lines.retain(|line| mode(env, *line) != "no_variant");
    let dynamic = lines.iter().any(|line| mode(env, *line) == "dynamic");
    let choices: Vec<Vec<i64>> = lines.iter().map(|line| offered(env, *line)).collect();
    let total: usize = choices.iter().map(Vec::len).product();
    if total > MOST_VARIANTS {
        return Err(OdooError::user(format!(
            "The number of variants to generate is above allowed limit. You should either not generate variants for each combination or generate them on demand from the sales order. To do so, open the form view of attributes and change the mode of *Create Variants*. ({total})"
        )));
    }
    let mut wanted: Vec<Vec<i64>> = vec![Vec::new()];
    for choice in &choices {
        wanted = wanted
            .into_iter()
            .flat_map(|start| {
                choice
                    .iter()
                    .map(move |value| [start.clone(), vec![*value]].concat())
            })
            .collect();
    }
    extend_with_single_values(env, template, &choices);
    let existing = env.db.children(VARIANT, "product_tmpl_id", template);
    let mut kept = Vec::new();
    for variant in existing {
        let combination = combination(env, variant);
        if wanted.contains(&combination) && !kept.contains(&combination) {
            if !env
                .row(VARIANT, variant)
                .is_some_and(|row| row["active"].as_bool())
            {
                env.set(VARIANT, variant, [("active", Val::Bool(true))]);
            }
            kept.push(combination);
        } else if is_used(env, variant) {
            env.set(VARIANT, variant, [("active", Val::Bool(false))]);
        } else {
            env.sudo(|env| unlink::unlink(env, env.model(VARIANT), &[variant]))?;
        }
    }
    forget_unused_values(env, template);
    if dynamic {
        return Ok(());
    }
    for combination in wanted
        .into_iter()
        .filter(|combination| !kept.contains(combination))
    {
        let indices = combination
            .iter()
            .map(i64::to_string)
            .collect::<Vec<_>>()
            .join(",");
        env.insert(
            VARIANT,
            Row::from([
                ("product_tmpl_id", Val::Int(template)),
                ("product_template_attribute_value_ids", Val::Ids(combination)),
                ("combination_indices", Val::Text(indices)),
                ("active", Val::Bool(true)),
            ]),
        );
    }
    Ok(())
}

/// Deletes values that are offered no more and that no (archived) variant has.
fn forget_unused_values(env: &mut Env<'_>, template: i64) {
    let variants = env.db.children(VARIANT, "product_tmpl_id", template);
    let held: Vec<i64> = variants
        .into_iter()
        .flat_map(|variant| combination(env, variant))
        .collect();
    for value in env.db.children(OFFERED, "product_tmpl_id", template) {
        if !env.is(OFFERED, value, "ptav_active") && !held.contains(&value) {
            env.db.put(OFFERED, value, None);
        }
    }
}

/// Values that a line offers now, in order.
fn offered(env: &Env<'_>, line: i64) -> Vec<i64> {
    let mut ids = env.db.children(OFFERED, "attribute_line_id", line);
    ids.retain(|id| env.is(OFFERED, *id, "ptav_active"));
    ids.sort_by_key(|id| {
        let value = env
            .id(OFFERED, *id, "product_attribute_value_id")
            .unwrap_or_default();
        (env.id("product.attribute.value", value, "sequence"), value)
    });
    ids
}

/// A new option with one value does not make new variants: the existing ones get the value.
fn extend_with_single_values(env: &mut Env<'_>, template: i64, choices: &[Vec<i64>]) {
    let single: Vec<i64> = choices
        .iter()
        .filter(|choice| choice.len() == 1)
        .flatten()
        .copied()
        .collect();
    for variant in env.db.children(VARIANT, "product_tmpl_id", template) {
        let own = combination(env, variant);
        let extended: Vec<i64> = choices
            .iter()
            .filter_map(|choice| {
                choice
                    .iter()
                    .find(|value| own.contains(value) || single.contains(value))
            })
            .copied()
            .collect();
        if extended.len() == choices.len()
            && own.iter().all(|value| extended.contains(value))
            && extended != own
        {
            env.set(
                VARIANT,
                variant,
                [("product_template_attribute_value_ids", Val::Ids(extended))],
            );
        }
    }
}

/// A variant's values, as stored.
fn combination(env: &Env<'_>, variant: i64) -> Vec<i64> {
    let row = env.row(VARIANT, variant);
    row.and_then(|row| row.get("product_template_attribute_value_ids"))
        .map(|val| val.as_ids().to_vec())
        .unwrap_or_default()
}

/// Whether a variant stands on an order or a transfer.
pub(super) fn is_used(env: &Env<'_>, variant: i64) -> bool {
    ["sale.order.line", "stock.move"]
        .into_iter()
        .any(|model| !env.db.children(model, "product_id", variant).is_empty())
}

pub(super) fn live(env: &Env<'_>, model: &str, id: i64, name: &str) -> Val {
    match (model, name) {
        (OFFERED, "name") => {
            let value = env
                .id(OFFERED, id, "product_attribute_value_id")
                .unwrap_or_default();
            env.get("product.attribute.value", value, "name")
        }
        (LINE, "value_count") => {
            Val::Int(i64::try_from(env.ids(LINE, id, "value_ids").len()).unwrap_or(i64::MAX))
        }
        _ => Val::Empty,
    }
}

pub(super) fn value_name(env: &Env<'_>, id: i64) -> String {
    let attribute = env.id(OFFERED, id, "attribute_id").unwrap_or_default();
    format!(
        "{}: {}",
        env.text("product.attribute", attribute, "name"),
        live(env, OFFERED, id, "name").as_text()
    )
}
