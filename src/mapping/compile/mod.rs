//! From the text of a mapping file to a compiled [`Mapping`], or everything that is wrong with it.

pub(super) mod group;
mod parts;
pub(super) mod rule;
mod source;

use std::sync::Arc;

use toml::de::DeTable;

use super::check::{Scope, Wrong};
use super::check_order::refuse_merging;
use super::diagnose::{Diagnostics, MappingError};
use super::document::{self as doc, get, template, text, text_at};
use super::facts::settings_shape;
use super::mapped::Truth;
use super::outgoing::{self, OUT_KEYS};
use super::overrides::Overrides;
use super::rule::Mapping;
use super::types::Typed;
use crate::domain::{
    Canonical as _, Customer, Direction, ErpProduct, Object, Order, Partner, Product, RawSchema, Shape,
    Stock, shop_fields,
};

use group::{group_heads, groups};
use parts::{fields, lets, match_rules, skips, stage, tables};
use rule::RuleContext;

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
