//! Compiling what stands at the top of a file, and what records and groups have in common: names, tables, skips, matches,
//! fields, the stage.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::super::check::Scope;
use super::super::diagnose::Diagnostics;
use super::super::document::{self as doc, entries, expression, get, text_at};
use super::super::expr::Compiled;
use super::super::outgoing;
use super::super::overrides;
use super::super::rule::{Let, MatchRule, Rule, SkipRule, Table, stage_named};
use super::super::types::{Kind, Typed};
use super::rule::{RuleContext, rule};
use super::source::match_rule;
use super::{is_identifier, is_name};
use crate::domain::{FieldValue, Object, ShopField};

/// `[let]`: names for values, each the first of a few that is there.
pub(super) fn lets(d: &mut Diagnostics, top: &DeTable<'_>, scope: &mut Scope) -> Vec<Let> {
    let Some(node) = get(top, "let") else {
        return Vec::new();
    };
    let Some(table) = doc::table(node) else {
        doc::not_a(d, node, "a table of names and expressions");
        return Vec::new();
    };
    let mut lets = Vec::new();
    for entry in entries(table) {
        if !is_name(entry.key) || scope.slot(entry.key).is_some() {
            d.add(
                entry.key_place(),
                format!("`{}` cannot be used as a new name", entry.key),
                "here",
            );
            continue;
        }
        let nodes: Vec<&doc::Node<'_>> = match entry.value.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => vec![entry.value],
        };
        let first_of: Vec<Compiled> = nodes
            .into_iter()
            .filter_map(|node| expression(d, node, scope))
            .collect();
        let Some((last, before)) = first_of.split_last() else {
            // A wrong expression is reported already; its name stays known, so that nothing follows from it.
            *scope = scope.with(entry.key, Typed::maybe(Kind::Any));
            lets.push(Let { first_of: Vec::new() });
            continue;
        };
        let union = before
            .iter()
            .fold(last.typed.clone(), |typed, other| typed.union(&other.typed));
        if union.kind == Kind::Mixed {
            d.add(entry.value.span(), "these are of different kinds", "here");
        }
        *scope = scope.with(
            entry.key,
            Typed {
                optional: last.typed.optional,
                ..union
            },
        );
        lets.push(Let { first_of });
    }
    lets
}

/// `[tables.NAME]`: static tables.
pub(super) fn tables(d: &mut Diagnostics, top: &DeTable<'_>) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::new();
    let Some(node) = get(top, "tables") else {
        return tables;
    };
    let Some(all) = doc::table(node) else {
        doc::not_a(d, node, "a table of tables");
        return tables;
    };
    for entry in entries(all) {
        let Some(table) = doc::table(entry.value) else {
            doc::not_a(d, entry.value, "a table of keys and values");
            continue;
        };
        let rows = overrides::rows(d, table);
        tables.insert(entry.key.to_owned(), Table::new(entry.key, &d.file, &rows));
    }
    tables
}

/// The tables of an array of tables such as `[[skip]]`.
fn array_of_tables<'t>(d: &mut Diagnostics, top: &'t DeTable<'t>, key: &str) -> Vec<&'t doc::Node<'t>> {
    let Some(node) = get(top, key) else {
        return Vec::new();
    };
    let Some(array) = node.get_ref().as_array() else {
        d.add(
            node.span(),
            format!("this must be a list: write `[[{key}]]`"),
            "not a list",
        );
        return Vec::new();
    };
    let nodes: Vec<&doc::Node<'_>> = array.iter().collect();
    for node in &nodes {
        if doc::table(node).is_none() {
            doc::not_a(d, node, "a table");
        }
    }
    nodes
        .into_iter()
        .filter(|node| doc::table(node).is_some())
        .collect()
}

pub(super) fn skips(d: &mut Diagnostics, top: &DeTable<'_>, scope: &Scope) -> Vec<SkipRule> {
    let mut skips = Vec::new();
    for node in array_of_tables(d, top, "skip") {
        let Some(table) = doc::table(node) else { continue };
        doc::only(d, table, &["when", "reason"]);
        let reason = text_at(d, table, "reason").unwrap_or_default();
        if reason.trim().is_empty() {
            d.add(node.span(), "say why: `reason = \"…\"`", "no reason");
        }
        match get(table, "when") {
            Some(when) => skips.extend(condition(d, when, scope).map(|compiled| SkipRule {
                when: compiled,
                reason: reason.to_owned(),
                line: d.line(when.span().start),
            })),
            None => d.add(node.span(), "say when: `when = \"…\"`", "no condition"),
        }
    }
    skips
}

/// An expression that is used as a condition.
pub(super) fn condition(d: &mut Diagnostics, node: &doc::Node<'_>, scope: &Scope) -> Option<Compiled> {
    let compiled = expression(d, node, scope)?;
    if compiled.typed.kind == Kind::Decimal {
        d.add_with_help(
            node.span(),
            "an exact number is no condition",
            "zero or empty?",
            Some("say `is zero`, `is positive` or `is present`".to_owned()),
        );
    }
    Some(compiled)
}

pub(super) fn match_rules(
    d: &mut Diagnostics,
    owner: &DeTable<'_>,
    scope: &Scope,
    shop: Option<&'static [ShopField]>,
) -> Vec<MatchRule> {
    array_of_tables(d, owner, "match")
        .into_iter()
        .filter_map(|node| match_rule(d, node, scope, shop))
        .collect()
}

/// The rules of a `[fields]` table. Rules of the record itself may be named by `same_as` further down.
pub(super) fn fields(
    d: &mut Diagnostics,
    owner: &DeTable<'_>,
    key: &str,
    scope: &Scope,
    context: &mut RuleContext<'_>,
    main: bool,
) -> Vec<Rule> {
    let Some(node) = get(owner, key) else {
        return Vec::new();
    };
    let Some(table) = doc::table(node) else {
        doc::not_a(d, node, "a table of fields");
        return Vec::new();
    };
    let mut rules = Vec::new();
    for entry in entries(table) {
        let of_shop = match context.shop_fields {
            None => None,
            Some(known) => match known.iter().find(|field| field.name == entry.key) {
                Some(field) => Some(field),
                None => {
                    let names = known.iter().map(|field| field.name);
                    d.unknown(entry.key_place(), "field of the shop", entry.key, names);
                    continue;
                }
            },
        };
        if of_shop.is_none() && (!is_identifier(entry.key) || entry.key.contains('.')) {
            d.add(
                entry.key_place(),
                "this is no name of a field",
                "letters, digits and `_` only",
            );
            continue;
        }
        if let Some(mut rule) = rule(d, &entry, scope, context, of_shop.map(outgoing::type_of)) {
            if let Some(field) = of_shop {
                outgoing::check_rule(d, entry.value, field, &mut rule);
            }
            if main {
                context.fields.push((rule.target.to_string(), rule.kind));
            }
            rules.push(rule);
        } else if main {
            // Keeps the positions that `same_as` refers to right; nothing is taken while there are mistakes.
            context
                .fields
                .push((entry.key.to_owned(), super::super::types::FieldType::Record));
        }
    }
    rules
}

/// `[stage]`: how far an order is carried.
pub(super) fn stage(
    d: &mut Diagnostics,
    top: &DeTable<'_>,
    scope: &Scope,
    context: &mut RuleContext<'_>,
    object: Object,
) -> Option<Rule> {
    let entry = entries(top).into_iter().find(|entry| entry.key == "stage")?;
    if object != Object::Order {
        d.add(entry.key_place(), "only orders have a stage", "here");
        return None;
    }
    let rule = rule(d, &entry, scope, context, None)?;
    for (value, line) in rule.written_out() {
        let known = match value {
            FieldValue::Text(text) => stage_named(text).is_some(),
            _ => false,
        };
        if !known {
            let names: Vec<&str> = super::super::mapped::Stage::ALL
                .iter()
                .map(|(name, _)| *name)
                .collect();
            let text = value.to_string();
            if let Some(mistake) = rule.overridden(value).and_then(|(overrides, table)| {
                let names: Vec<&str> = super::super::mapped::Stage::ALL
                    .iter()
                    .map(|(name, _)| *name)
                    .collect();
                let message = format!("`{text}` is no stage");
                let help = super::super::diagnose::hint(&text, &names);
                overrides.at_value(table, value, message, "not a stage", help)
            }) {
                d.errors.push(mistake);
                continue;
            }
            let place = d
                .find(entry.value.span(), &text)
                .unwrap_or_else(|| entry.key_place());
            d.add_with_help(
                place,
                format!("`{text}` is no stage (line {line})"),
                "not a stage",
                super::super::diagnose::hint(&text, &names),
            );
        }
    }
    Some(rule)
}
