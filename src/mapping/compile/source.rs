//! Compiling where a value comes from: expressions, links, rows, look-ups, tables and matching keys.

use toml::de::DeTable;

use super::super::check::Scope;
use super::super::diagnose::Diagnostics;
use super::super::document::{self as doc, Node, entries, expression, get, text};
use super::super::expr::Compiled;
use super::super::rule::{From, MatchRule, Query, Table};
use super::super::types::{FieldType, Kind};
use super::is_identifier;
use super::rule::{Draft, RuleContext};
use crate::domain::{FieldValue, LOOK_UP_KINDS, LinkKind, ShopField};

/// Where the value comes from.
pub(super) fn source<'t>(
    d: &mut Diagnostics,
    from: &str,
    table: &'t DeTable<'t>,
    scope: &Scope,
    context: &RuleContext<'_>,
    draft: &mut Draft<'t>,
) -> Option<From> {
    let node = get(table, from)?;
    match from {
        "value" => {
            let Some(_) = node.get_ref().as_str() else {
                let value = doc::scalar(d, node)?;
                draft.natural = FieldType::of_value(&value);
                draft.constant = Some(node);
                return Some(From::Constant(value));
            };
            let compiled = expression(d, node, scope)?;
            draft.natural = FieldType::of(&compiled.typed.kind);
            draft.kind = Some(compiled.typed.kind.clone());
            draft.may_be_missing = compiled.typed.optional;
            Some(From::Value(compiled))
        }
        "constant" => {
            let value = doc::scalar(d, node)?;
            draft.natural = FieldType::of_value(&value);
            draft.constant = Some(node);
            Some(From::Constant(value))
        }
        "link" => {
            let kinds: Vec<(&'static str, LinkKind)> =
                LinkKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
            let kind = doc::choice_at(d, table, "link", &kinds)?;
            let Some(id_node) = get(table, "id") else {
                d.add(node.span(), "say which one: `id = \"…\"`", "the id is missing");
                return None;
            };
            let id = expression(d, id_node, scope)?;
            if !id.typed.is_text() && !matches!(id.typed.kind, Kind::Integer | Kind::Any) {
                let message = format!("this is {}, which is no id", id.typed);
                d.add(id_node.span(), message, "not an id");
            }
            draft.may_be_missing = id.typed.optional;
            Some(From::Link { kind, id })
        }
        "row" => {
            let name = text(d, node)?;
            let (group, role) = name
                .split_once('.')
                .map_or((name, None), |(group, role)| (group, Some(role)));
            let Some(at) = context.groups.iter().position(|head| head.name == group) else {
                d.unknown(
                    node.span(),
                    "group",
                    group,
                    context.groups.iter().map(|head| head.name.as_str()),
                );
                return None;
            };
            let head = &context.groups[at];
            if !head.linked {
                d.add(
                    node.span(),
                    "rows of this group cannot be referred to: it has no `link`",
                    "no link",
                );
            }
            if role.is_none_or(|role| !head.roles.iter().any(|known| known == role)) {
                d.unknown(node.span(), "row", name, head.roles.iter().map(String::as_str));
            }
            draft.may_be_missing = true;
            Some(From::Row {
                group: at,
                role: role.map(str::to_owned),
            })
        }
        "look_up" => look_up(d, node, table, scope, draft),
        _ => {
            let name = text(d, node)?;
            let Some(at) = context.fields.iter().position(|(known, _)| known == name) else {
                d.unknown(
                    node.span(),
                    "field further up",
                    name,
                    context.fields.iter().map(|(known, _)| known.as_str()),
                );
                return None;
            };
            draft.natural = Some(context.fields[at].1);
            Some(From::SameAs(at))
        }
    }
}

pub(super) fn look_up<'t>(
    d: &mut Diagnostics,
    node: &'t Node<'t>,
    table: &'t DeTable<'t>,
    scope: &Scope,
    draft: &mut Draft<'t>,
) -> Option<From> {
    let Some(each_node) = get(table, "each") else {
        let (query, optional) = query(d, node, scope)?;
        draft.may_be_missing = optional;
        return Some(From::LookUp(query));
    };
    let each = expression(d, each_node, scope)?;
    let Kind::List(item) = &each.typed.kind else {
        d.add(each_node.span(), format!("this is {}", each.typed), "not a list");
        return None;
    };
    let name = match get(table, "as") {
        Some(node) => text(d, node)?,
        None => {
            d.add(
                each_node.span(),
                "say what one of them is called: `as = \"…\"`",
                "no name",
            );
            return None;
        }
    };
    let (query, optional) = query(d, node, &scope.with(name, (**item).clone()))?;
    if optional {
        d.add(node.span(), "a key of this look-up may be empty", "here");
    }
    // Leaving one out would change what the others mean (an order's line with half of its taxes).
    if let Some(node) =
        get(table, "not_found").filter(|node| matches!(node.get_ref().as_str(), Some("skip" | "clear")))
    {
        d.add(
            node.span(),
            "one of several cannot be left out",
            "`fail` or `hold`",
        );
    }
    draft.natural = Some(FieldType::Records);
    draft.may_be_missing = each.typed.optional;
    Some(From::LookUps { each, query })
}

/// A look-up: its kind and keys. Also says whether a key may be empty.
pub(super) fn query(d: &mut Diagnostics, node: &Node<'_>, scope: &Scope) -> Option<(Query, bool)> {
    let Some(table) = doc::table(node) else {
        doc::not_a(
            d,
            node,
            "a table, e.g. `{ kind = \"country\", code = \"address.country_code\" }`",
        );
        return None;
    };
    let Some(kind_node) = get(table, "kind") else {
        d.add(node.span(), "say what is looked up: `kind = \"…\"`", "no kind");
        return None;
    };
    let name = text(d, kind_node)?;
    let Some(kind) = LOOK_UP_KINDS.iter().find(|kind| kind.name == name) else {
        d.unknown(
            kind_node.span(),
            "kind of look-up",
            name,
            LOOK_UP_KINDS.iter().map(|kind| kind.name),
        );
        return None;
    };
    let open = kind.optional.contains(&"*");
    let known: Vec<&str> = kind
        .required
        .iter()
        .chain(kind.optional)
        .copied()
        .filter(|key| *key != "*")
        .collect();
    let mut keys = Vec::new();
    let mut optional = false;
    for entry in entries(table).into_iter().filter(|entry| entry.key != "kind") {
        if !(known.contains(&entry.key) || open && is_identifier(entry.key)) {
            d.unknown(
                entry.key_place(),
                "key of this look-up",
                entry.key,
                known.iter().copied(),
            );
            continue;
        }
        let compiled = match entry.value.get_ref().as_str() {
            // The model of a `record` look-up is a name, not something to read.
            Some(model) if entry.key == "model" => {
                Compiled::new(&format!("'{}'", model.replace('\'', "")), scope).ok()
            }
            Some(_) => expression(d, entry.value, scope),
            None => match doc::scalar(d, entry.value) {
                Some(value) => Compiled::new(&value.to_string(), scope).ok(),
                None => None,
            },
        };
        let Some(compiled) = compiled else { continue };
        let fits = compiled.typed.is_text()
            || matches!(
                compiled.typed.kind,
                Kind::Integer | Kind::Decimal | Kind::Bool | Kind::Any
            );
        if !fits {
            d.add(
                entry.value.span(),
                format!("this is {}, which is no key", compiled.typed),
                "not a key",
            );
        }
        optional |= compiled.typed.optional;
        keys.push((entry.key.to_owned(), compiled));
    }
    for required in kind.required {
        if get(table, required).is_none() {
            d.add(
                node.span(),
                format!("the look-up `{name}` needs `{required}`"),
                "a key is missing",
            );
        }
    }
    Some((
        Query {
            kind: name.to_owned(),
            keys,
        },
        optional,
    ))
}

/// The table that a rule names.
fn named_table<'n, 'c>(
    d: &mut Diagnostics,
    node: &'n Node<'_>,
    context: &RuleContext<'c>,
) -> Option<(&'n str, &'c Table)> {
    let name = text(d, node)?;
    let table = context.tables.get(name);
    if table.is_none() {
        d.unknown(
            node.span(),
            "table",
            name,
            context.tables.keys().map(String::as_str),
        );
    }
    Some((name, table?))
}

/// The table that a value is translated by.
pub(super) fn table_of(
    d: &mut Diagnostics,
    node: &Node<'_>,
    context: &RuleContext<'_>,
    draft: &mut Draft<'_>,
) -> Option<Table> {
    let (name, table) = named_table(d, node, context)?;
    match &draft.kind {
        Some(Kind::OneOf(known)) => {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            for key in table.keys().filter(|key| !known.contains(key)) {
                let hint = super::super::diagnose::hint(key, &names);
                let message = format!("the table `{name}` has `{key}`, which the value never is");
                let in_shop = table
                    .overrides
                    .as_ref()
                    .and_then(|overrides| overrides.at_key(name, key, message.clone(), hint.clone()));
                match in_shop {
                    Some(mistake) => d.errors.push(mistake),
                    None => d.add_with_help(node.span(), message, "this table", hint),
                }
            }
            draft.left_out = known.iter().filter(|value| !table.has(value)).cloned().collect();
            draft.may_be_missing |= !draft.left_out.is_empty();
        }
        Some(Kind::Text | Kind::Any | Kind::Integer | Kind::Bool) => draft.may_be_missing = true,
        _ => {
            d.add(node.span(), "only texts are translated by a table", "here");
            return None;
        }
    }
    draft.kind = None;
    // A table of which nothing is filled in yet says nothing about its type.
    draft.natural = match table.entries.values().next() {
        Some(value) => FieldType::of_value(value),
        None => Some(FieldType::Text),
    };
    Some(table.clone())
}

/// The table whose entries answer a look-up before the ERP is asked.
pub(super) fn known_answers(
    d: &mut Diagnostics,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<Table> {
    let (name, table) = named_table(d, node, context)?;
    let ids = |value: &FieldValue| matches!(value, FieldValue::Integer(id) if *id > 0);
    if let Some((key, wrong)) = table.entries.iter().find(|(_, value)| !ids(value)) {
        let message = format!("the table `{name}` answers a look-up, and `{key}` is no record's number");
        let in_shop = table
            .overrides
            .as_ref()
            .and_then(|overrides| overrides.at_value(name, wrong, message.clone(), "no number", None));
        match in_shop {
            Some(mistake) => d.errors.push(mistake),
            None => d.add(node.span(), message, "this table"),
        }
        return None;
    }
    Some(table.clone())
}

/// `[[match]]`: a way to recognise an existing record.
pub(super) fn match_rule(
    d: &mut Diagnostics,
    node: &Node<'_>,
    scope: &Scope,
    shop: Option<&'static [ShopField]>,
) -> Option<MatchRule> {
    let table = doc::table(node)?;
    doc::only(d, table, &["equal", "note"]);
    let Some(equal) = get(table, "equal").and_then(doc::table) else {
        d.add(
            node.span(),
            "say what is equal: `equal = { field = \"…\" }`",
            "no fields",
        );
        return None;
    };
    let mut keys = Vec::new();
    for entry in entries(equal) {
        if let Some(known) = shop {
            // What the shop can be searched by, exactly.
            let searched = |field: &&ShopField| matches!(field.name, "email" | "phone" | "sku" | "barcode");
            let names: Vec<&str> = known.iter().filter(searched).map(|field| field.name).collect();
            if !names.contains(&entry.key) {
                d.unknown(
                    entry.key_place(),
                    "field that the shop is searched by",
                    entry.key,
                    names,
                );
            }
        } else if !is_identifier(entry.key) {
            d.add(entry.key_place(), "this is no name of a field", "here");
        }
        let Some(compiled) = expression(d, entry.value, scope) else {
            continue;
        };
        if FieldType::of(&compiled.typed.kind).is_none() {
            d.add(
                entry.value.span(),
                format!("this is {}, which no field equals", compiled.typed),
                "here",
            );
        }
        keys.push((entry.key.to_owned(), compiled));
    }
    (!keys.is_empty()).then(|| MatchRule {
        equal: keys,
        line: d.line(node.span().start),
    })
}
