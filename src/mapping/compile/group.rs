//! Compiling groups: the rows that belong to a record, and the records of their own that it refers to.

use toml::de::DeTable;

use super::super::check::Scope;
use super::super::diagnose::Diagnostics;
use super::super::document::{self as doc, Entry, entries, expression, get, template, text};
use super::super::expr::Compiled;
use super::super::outgoing::OUT_GROUP_KEYS;
use super::super::rule::{Discounts, Group, Part, RowSource, Template};
use super::super::types::{Kind, Typed};
use super::parts::{condition, fields, match_rules};
use super::rule::{GroupHead, RuleContext};
use super::{identifier, is_name};
use crate::domain::{LinkKind, VARIANT_FIELDS};

pub(in crate::mapping) const GROUP_KEYS: &[&str] = &[
    "model",
    "field",
    "link",
    "once",
    "each",
    "as",
    "when",
    "key",
    "discounts",
    "fields",
    "match",
    "note",
];

/// What other rules may say about groups: their names, roles and links.
pub(super) fn group_heads(d: &mut Diagnostics, top: &DeTable<'_>) -> Vec<GroupHead> {
    let Some(table) = get(top, "groups").and_then(doc::table) else {
        return Vec::new();
    };
    let mut heads = Vec::new();
    for entry in entries(table) {
        let Some(group) = doc::table(entry.value) else {
            continue;
        };
        let roles = get(group, "each")
            .and_then(doc::table)
            .map(|roles| entries(roles).iter().map(|role| role.key.to_owned()).collect())
            .unwrap_or_default();
        let linked = get(group, "link").is_some();
        if linked && get(group, "field").is_some() && object_of(top) == Some("order") {
            d.add(
                entry.key_place(),
                "rows of a field have no link of their own",
                "has both `field` and `link`",
            );
        }
        heads.push(GroupHead {
            name: entry.key.to_owned(),
            roles,
            linked,
        });
    }
    heads
}

fn object_of<'t>(top: &'t DeTable<'t>) -> Option<&'t str> {
    get(top, "object").and_then(|node| node.get_ref().as_str())
}

pub(super) fn groups(
    d: &mut Diagnostics,
    top: &DeTable<'_>,
    scope: &Scope,
    context: &mut RuleContext<'_>,
) -> Vec<Group> {
    let Some(node) = get(top, "groups") else {
        return Vec::new();
    };
    let Some(table) = doc::table(node) else {
        doc::not_a(d, node, "a table of groups");
        return Vec::new();
    };
    entries(table)
        .iter()
        .filter_map(|entry| group(d, entry, scope, context))
        .collect()
}

fn group(
    d: &mut Diagnostics,
    entry: &Entry<'_>,
    scope: &Scope,
    context: &mut RuleContext<'_>,
) -> Option<Group> {
    let Some(table) = doc::table(entry.value) else {
        doc::not_a(d, entry.value, "a table");
        return None;
    };
    let is_out = context.shop_fields.is_some();
    doc::only(d, table, if is_out { OUT_GROUP_KEYS } else { GROUP_KEYS });
    for key in ["model", "each", "as", "key", "fields"] {
        if get(table, key).is_none() && !(is_out && matches!(key, "model" | "key")) {
            d.add(
                entry.key_place(),
                format!("`{key}` is missing in the group `{}`", entry.key),
                "in this group",
            );
        }
    }
    let kinds: Vec<(&'static str, LinkKind)> =
        LinkKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let link = doc::choice_at(d, table, "link", &kinds);
    let split = doc::choice_at(
        d,
        table,
        "discounts",
        &[
            ("unit_price_else_line", Discounts::UnitPriceElseLine),
            ("line", Discounts::Line),
            ("in_unit_price", Discounts::AsTheyStand),
        ],
    )
    .unwrap_or_default();
    let each = get(table, "each")?;
    let (source, item) = row_source(d, each, scope)?;
    let item = match (split, item) {
        (Discounts::UnitPriceElseLine | Discounts::Line, item) => super::super::discounts::split_shape(&item)
            .unwrap_or_else(|| {
                d.add(
                    each.span(),
                    "only the booked lines of an order have discounts",
                    "not booked lines",
                );
                item
            }),
        (Discounts::AsTheyStand, item) => item,
    };
    let name = match get(table, "as") {
        Some(node) => {
            let name = text(d, node)?;
            if !is_name(name) || scope.slot(name).is_some() {
                d.add(
                    node.span(),
                    format!("`{name}` cannot be used as a new name"),
                    "here",
                );
                return None;
            }
            name
        }
        None => "item",
    };
    let mut scope = scope.with(name, item);
    scope = match &source {
        RowSource::Each(_) => scope.with("position", Typed::of(Kind::Integer)),
        RowSource::Roles(roles) => scope.with(
            "role",
            Typed::of(Kind::OneOf(roles.iter().map(|(role, _)| role.clone()).collect())),
        ),
    };
    let when = get(table, "when").and_then(|node| condition(d, node, &scope));
    let key = if is_out {
        by_id(name, &scope, d.line(entry.key_place().start))
    } else {
        get(table, "key").and_then(|node| template(d, node, &scope))
    };
    let field = get(table, "field").and_then(|_| identifier(d, table, "field"));
    let of_shop = is_out.then_some(VARIANT_FIELDS);
    let of_record = std::mem::replace(&mut context.shop_fields, of_shop);
    let rules = fields(d, table, "fields", &scope, context, false);
    context.shop_fields = of_record;
    Some(Group {
        name: entry.key.to_owned(),
        model: if is_out {
            "variant".to_owned()
        } else {
            identifier(d, table, "model").unwrap_or_default()
        },
        field,
        link,
        once: doc::flag_at(d, table, "once"),
        source,
        discounts: split,
        when,
        key: key?,
        fields: rules,
        match_keys: match_rules(d, table, &scope, of_shop),
        line: d.line(entry.key_place().start),
    })
}

/// The key of a row that is known by the ERP's id of its record.
fn by_id(name: &str, scope: &Scope, line: usize) -> Option<Template> {
    let text = format!("{name}.id");
    let compiled = Compiled::new(&text, scope).ok()?;
    Some(Template {
        text,
        parts: vec![Part::Value(compiled)],
        line,
    })
}

/// Where a group's rows come from, and what each of them is.
fn row_source(d: &mut Diagnostics, each: &doc::Node<'_>, scope: &Scope) -> Option<(RowSource, Typed)> {
    if let Some(table) = doc::table(each) {
        let mut roles = Vec::new();
        let mut item: Option<Typed> = None;
        for entry in entries(table) {
            let Some(compiled) = expression(d, entry.value, scope) else {
                continue;
            };
            let typed = Typed {
                optional: false,
                ..compiled.typed.clone()
            };
            if item.as_ref().is_some_and(|item| *item != typed) {
                d.add(
                    entry.value.span(),
                    "this is not of the same kind as the one before",
                    "of another kind",
                );
            }
            item = Some(typed);
            roles.push((entry.key.to_owned(), compiled));
        }
        return item.map(|item| (RowSource::Roles(roles), item));
    }
    let compiled = expression(d, each, scope)?;
    match &compiled.typed.kind {
        Kind::List(item) => {
            let item = (**item).clone();
            Some((RowSource::Each(compiled), item))
        }
        _ => {
            let message = format!("rows come from a list, and this is {}", compiled.typed);
            d.add(each.span(), message, "not a list");
            None
        }
    }
}
