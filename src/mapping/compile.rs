//! From the text of a mapping file to a compiled [`Mapping`], or everything that is wrong with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::DeTable;

use super::check::{Scope, Wrong};
use super::check_order::refuse_merging;
use super::compile_group::{group_heads, groups};
use super::compile_rule::{RuleContext, rule};
use super::compile_source::match_rule;
use super::diagnose::{Diagnostics, MappingError};
use super::document::{self as doc, entries, expression, get, template, text, text_at};
use super::expr::Compiled;
use super::facts::settings_shape;
use super::mapped::Truth;
use super::outgoing::{self, OUT_KEYS};
use super::overrides::{self, Overrides};
use super::rule::{Let, Mapping, MatchRule, Rule, SkipRule, Table, stage_named};
use super::types::{Kind, Typed};
use crate::domain::{
    Canonical as _, Customer, Direction, ErpProduct, FieldValue, Object, Order, Partner, Product, RawSchema,
    Shape, ShopField, Stock, shop_fields,
};

/// The ERPs that mappings can be written for.
const ERPS: &[&str] = &["odoo"];

pub(super) const TOP_KEYS: &[&str] = &[
    "version",
    "erp",
    "object",
    "direction",
    "owner",
    "note",
    "model",
    "external_id",
    "adopt",
    "truth",
    "select",
    "skip",
    "let",
    "tables",
    "fields",
    "groups",
    "match",
    "stage",
];

/// The largest file that is taken, in bytes.
pub(super) const LARGEST: usize = 512 * 1024;

pub(super) const TRUTHS: [(&str, Truth); 3] = [
    ("shopify", Truth::Shopify),
    ("erp", Truth::Erp),
    ("hold", Truth::Hold),
];

/// What a mapping of an object reads, by name and shape; none where there is nothing to map.
pub(super) fn source_of(object: Object, direction: Direction) -> Option<(&'static str, Shape)> {
    match (object, direction) {
        (Object::Order, Direction::In) => Some(("order", Order::shape())),
        (Object::Customer, Direction::In) => Some(("customer", Customer::shape())),
        (Object::Product, Direction::In) => Some(("product", Product::shape())),
        (Object::Customer, Direction::Out) => Some(("partner", Partner::shape())),
        (Object::Product, Direction::Out) => Some(("product", ErpProduct::shape())),
        (Object::Inventory, Direction::Out) => Some(("stock", Stock::shape())),
        (Object::Inventory, Direction::In) | (Object::Order, Direction::Out) | (Object::Shop, _) => None,
    }
}

/// Compiles one file, with the tables of a shop laid over its own.
pub(super) fn compile(
    file: &str,
    source: &str,
    raw: &dyn RawSchema,
    overrides: Option<&Arc<Overrides>>,
) -> Result<Mapping, Vec<MappingError>> {
    let mut d = Diagnostics::new(file, source);
    if source.len() > LARGEST {
        return Err(vec![MappingError::of_file(
            file,
            format!("the file is larger than {LARGEST} bytes"),
            None,
        )]);
    }
    let (parsed, errors) = DeTable::parse_recoverable(source);
    for error in errors {
        d.add(error.span().unwrap_or(0..0), error.message().to_owned(), "here");
    }
    if d.errors.is_empty()
        && let Some(mapping) = mapping(&mut d, parsed.get_ref(), raw, overrides)
        && d.errors.is_empty()
    {
        return Ok(mapping);
    }
    if d.errors.is_empty() {
        d.add(0..0, "the file is not complete", "here");
    }
    d.errors.sort_by_key(|error| error.line);
    Err(d.errors)
}

fn mapping(
    d: &mut Diagnostics,
    top: &DeTable<'_>,
    raw: &dyn RawSchema,
    overrides: Option<&Arc<Overrides>>,
) -> Option<Mapping> {
    let directions = [("in", Direction::In), ("out", Direction::Out)];
    let is_out = get(top, "direction").is_some_and(|node| node.get_ref().as_str() == Some("out"));
    doc::only(d, top, if is_out { OUT_KEYS } else { TOP_KEYS });
    for key in [
        "version",
        "erp",
        "object",
        "direction",
        "owner",
        "note",
        "model",
        "external_id",
        "fields",
    ] {
        if get(top, key).is_none() && !(is_out && key == "model") {
            d.add(0..0, format!("`{key}` is missing"), "add it to this file");
        }
    }
    version(d, top);
    let erp = text_at(d, top, "erp").unwrap_or_default();
    if let Some(node) = get(top, "erp").filter(|_| !ERPS.contains(&erp)) {
        d.unknown(node.span(), "ERP", erp, ERPS.iter().copied());
    }
    let direction = doc::choice_at(d, top, "direction", &directions)?;
    let customer_and_product = [("customer", Object::Customer), ("product", Object::Product)];
    let further = match direction {
        Direction::In => ("order", Object::Order),
        Direction::Out => ("inventory", Object::Inventory),
    };
    let objects = [further, customer_and_product[0], customer_and_product[1]];
    let object = doc::choice_at(d, top, "object", &objects)?;
    let expected = format!("{object}.{direction}.toml");
    if d.file != expected
        && let Some(node) = get(top, "object")
    {
        d.add(
            node.span(),
            format!("this file must be named `{expected}`"),
            "named by this and `direction`",
        );
    }
    let truth = doc::choice_at(d, top, "truth", &TRUTHS).unwrap_or_default();
    let adopt = doc::choice_at(d, top, "adopt", &[("exact", true), ("propose", false)]);

    if object == Object::Order {
        refuse_merging(d, top);
    }
    let (name, mut shape) = source_of(object, direction)?;
    let (select, out) = match direction {
        Direction::In => (selection(d, top, object, raw, &mut shape), None),
        Direction::Out => {
            outgoing::check_groups(d, top, object);
            (String::new(), Some(outgoing::rules(d, top, object)))
        }
    };
    let mut scope = Scope::default()
        .with(name, Typed::from(&shape))
        .with("settings", Typed::from(&settings_shape()));
    let lets = lets(d, top, &mut scope);
    let mut tables = tables(d, top);
    if let Some(overrides) = overrides {
        overrides.lay_over(&mut tables, &mut d.errors);
    }
    let skips = skips(d, top, &scope);
    let heads = group_heads(d, top);
    let mut context = RuleContext {
        tables: &tables,
        groups: &heads,
        fields: Vec::new(),
        truth,
        shop_fields: is_out.then(|| shop_fields(object)),
    };
    let fields = fields(d, top, "fields", &scope, &mut context, true);
    let match_keys = match_rules(d, top, &scope, context.shop_fields);
    let groups = groups(d, top, &scope, &mut context);
    if object == Object::Inventory {
        outgoing::check_stock(d, top, &fields, tables.get("locations"));
    }
    let stage = stage(d, top, &scope, &mut context, object);
    let external_id = get(top, "external_id").and_then(|node| template(d, node, &scope));
    Some(Mapping {
        object,
        direction,
        file: d.file.clone(),
        erp: erp.to_owned(),
        model: if is_out {
            object.to_string()
        } else {
            identifier(d, top, "model").unwrap_or_default()
        },
        owner: filled(d, top, "owner"),
        note: filled(d, top, "note"),
        select,
        out,
        external_id: external_id?,
        adopt_exact: adopt.unwrap_or(false),
        skips,
        lets,
        tables,
        fields,
        groups,
        match_keys,
        stage,
    })
}

/// What is read of the shop's own record besides what is always read; puts the shape of `raw` in its place.
fn selection(
    d: &mut Diagnostics,
    top: &DeTable<'_>,
    object: Object,
    raw: &dyn RawSchema,
    shape: &mut Shape,
) -> String {
    let node = get(top, "select");
    // The shop's schema is large: it is asked only by files that read `raw`.
    if node.is_none() && !d.text.contains("raw") {
        return String::new();
    }
    let select = node.and_then(|node| text(d, node)).unwrap_or_default();
    match raw.selected(object, select) {
        Ok(selected) => {
            if let Shape::Record(fields) = shape {
                for (_, known) in fields.iter_mut().filter(|(name, _)| name == "raw") {
                    *known = selected.shape.clone();
                }
            }
            selected.text
        }
        Err(wrong) => {
            for wrong in wrong {
                let Some(node) = node else {
                    d.add(0..0, wrong.message, "here");
                    continue;
                };
                let whole = 0..node.get_ref().as_str().map_or(0, str::len);
                doc::report(
                    d,
                    node,
                    0,
                    Wrong {
                        place: wrong.place.unwrap_or(whole),
                        message: wrong.message,
                        label: "here".into(),
                        help: None,
                    },
                );
            }
            String::new()
        }
    }
}

fn version(d: &mut Diagnostics, top: &DeTable<'_>) {
    if let Some(node) = get(top, "version")
        && node.get_ref().as_integer().map(toml::de::DeInteger::as_str) != Some("1")
    {
        d.add(
            node.span(),
            "this version of the mapping language is not known",
            "must be 1",
        );
    }
}

/// A text that says something.
fn filled(d: &mut Diagnostics, table: &DeTable<'_>, key: &str) -> String {
    let Some(node) = get(table, key) else {
        return String::new();
    };
    let text = text(d, node).unwrap_or("-");
    if text.trim().is_empty() {
        d.add(node.span(), format!("`{key}` must say something"), "empty");
    }
    text.to_owned()
}

/// The name of a model or field of the ERP.
pub(super) fn identifier(d: &mut Diagnostics, table: &DeTable<'_>, key: &str) -> Option<String> {
    let node = get(table, key)?;
    let name = text(d, node)?;
    if !is_identifier(name) {
        d.add(
            node.span(),
            "this is no name of a model or field",
            "letters, digits, `_` and `.` only",
        );
    }
    Some(name.to_owned())
}

pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 100
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

pub(super) fn is_name(name: &str) -> bool {
    is_identifier(name)
        && !name.contains('.')
        && !matches!(
            name,
            "true" | "false" | "none" | "and" | "or" | "not" | "in" | "is" | "if" | "else"
        )
}

/// `[let]`: names for values, each the first of a few that is there.
fn lets(d: &mut Diagnostics, top: &DeTable<'_>, scope: &mut Scope) -> Vec<Let> {
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
fn tables(d: &mut Diagnostics, top: &DeTable<'_>) -> BTreeMap<String, Table> {
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

fn skips(d: &mut Diagnostics, top: &DeTable<'_>, scope: &Scope) -> Vec<SkipRule> {
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
                .push((entry.key.to_owned(), super::types::FieldType::Record));
        }
    }
    rules
}

/// `[stage]`: how far an order is carried.
fn stage(
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
            let names: Vec<&str> = super::mapped::Stage::ALL.iter().map(|(name, _)| *name).collect();
            let text = value.to_string();
            if let Some(mistake) = rule.overridden(value).and_then(|(overrides, table)| {
                let names: Vec<&str> = super::mapped::Stage::ALL.iter().map(|(name, _)| *name).collect();
                let message = format!("`{text}` is no stage");
                let help = super::diagnose::hint(&text, &names);
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
                super::diagnose::hint(&text, &names),
            );
        }
    }
    Some(rule)
}
